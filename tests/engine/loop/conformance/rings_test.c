// Conformance of what is not about sockets: waking a ring, and rings themselves. See stage.h.
#define _GNU_SOURCE
#include "tests/engine/loop/conformance/stage.h"

#include "engine/base/check.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static void give(struct stage *stage, unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        q_rawring_give(&stage->ring, (uint16_t)(first + i));
    }
}

// --- waking ------------------------------------------------------------------------------------------------------

static struct io_uring_sqe *futex_wait(struct stage *stage, uint64_t user_data, uint32_t *word, uint32_t value) {
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, user_data);
    sqe->opcode = Q_URING_OP_FUTEX_WAIT;
    sqe->fd = (int)(Q_URING_FUTEX2_SIZE_U32 | Q_URING_FUTEX2_PRIVATE);
    sqe->addr = (uint64_t)(uintptr_t)word;
    sqe->off = value;
    sqe->addr3 = Q_URING_FUTEX_MATCH_ANY;
    return sqe;
}

static void futexes(struct stage *stage) {
    uint32_t word = 7;
    futex_wait(stage, 1, &word, 7);
    stage_note_quiet(stage);
    stage->sys->futex_wake(stage->sys, &word);
    stage_note_cqes(stage, 1);
    futex_wait(stage, 2, &word, 8);
    stage_note_cqes(stage, 1);
    futex_wait(stage, 3, &word, 7);
    stage_note_quiet(stage);
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, 4);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = 3;
    stage_note_cqes(stage, 2);
    futex_wait(stage, 5, &word, 7)->addr3 = 0;
    futex_wait(stage, 6, &word, 7)->len = 1;
    stage_note_cqes(stage, 2);
}

static void twenty_at_a_time(struct stage *stage) {
    static uint32_t words[50];
    for (size_t i = 0; i < Q_COUNT_OF(words); i++) {
        futex_wait(stage, i, &words[i], 0);
    }
    q_rawring_submit(&stage->ring);
    for (size_t i = 0; i < Q_COUNT_OF(words); i++) {
        stage->sys->futex_wake(stage->sys, &words[i]);
    }
    stage_note(stage, "%u ", q_rawring_ready(&stage->ring));
    for (int i = 0; i < 3; i++) {
        bool more = (q_rawring_sq_flags(&stage->ring) & IORING_SQ_TASKRUN) != 0;
        q_rawring_enter(&stage->ring, 0, Q_RAWRING_NO_TIMEOUT);
        stage_note(stage, "%s%u ", more ? "more " : "", q_rawring_ready(&stage->ring));
    }
    stage_note(stage, "%d", (q_rawring_sq_flags(&stage->ring) & IORING_SQ_TASKRUN) != 0);
}

static struct io_uring_sqe *on_slot(struct stage *stage, uint64_t user_data, unsigned opcode, unsigned slot) {
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, user_data);
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE;
    return sqe;
}

static struct io_uring_sqe *eight_bytes(struct stage *stage, uint64_t user_data, unsigned opcode, uint64_t *value) {
    struct io_uring_sqe *sqe = on_slot(stage, user_data, opcode, 6);
    sqe->addr = (uint64_t)(uintptr_t)value;
    sqe->len = sizeof *value;
    return sqe;
}

static void eventfds(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    int fd = sys->eventfd(sys);
    struct io_uring_files_update update = {.offset = 6, .fds = (uint64_t)(uintptr_t)&fd};
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1));
    uint64_t value = 5;
    eight_bytes(stage, 1, IORING_OP_WRITE, &value);
    stage_note_cqes(stage, 1);
    stage_note(stage, "count %d ", (int)stage_take_eventfd(stage, fd));
    on_slot(stage, 2, IORING_OP_POLL_ADD, 6)->poll32_events = POLLIN;
    stage_note_quiet(stage);
    sys->eventfd_signal(sys, fd);
    stage_note_cqes(stage, 1);
    on_slot(stage, 3, IORING_OP_POLL_ADD, 6)->poll32_events = POLLIN; // a poll reads nothing
    stage_note_cqes(stage, 1);
    sys->eventfd_clear(sys, fd);
    on_slot(stage, 4, IORING_OP_POLL_ADD, 6)->poll32_events = POLLIN;
    stage_note_quiet(stage);
    q_rawring_cancel_slot(&stage->ring, 5, 6);
    stage_note_cqes(stage, 2);
    eight_bytes(stage, 6, IORING_OP_READ, &value);
    stage_note_quiet(stage); // waits, though the number is non-blocking
    sys->eventfd_signal(sys, fd);
    stage_note_cqes(stage, 1);
    q_rawring_close_slot(&stage->ring, 7, 6);
    stage_note_cqes(stage, 1);
    sys->close(sys, fd);
}

static void the_eventfd_of_a_ring(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    int fd = sys->eventfd(sys);
    stage_connect(stage, 0);
    give(stage, 0, 1);
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_EVENTFD, &fd, 1));
    q_rawring_sqe(&stage->ring, 1);
    stage_note_cqes(stage, 1);
    stage_note(stage, "%d ", stage_take_eventfd(stage, fd) > 0);
    q_rawring_receive(&stage->ring, 2, 0);
    q_rawring_submit(&stage->ring);
    stage_note(stage, "%d ", stage_take_eventfd(stage, fd) > 0);
    stage_peer_send(stage, "abc", 3); // rings before anybody enters: that is what a host waits for
    stage_note(stage, "%d ", stage_take_eventfd(stage, fd) > 0);
    stage_note(stage, "%u ", q_rawring_ready(&stage->ring));
    stage_note_cqes(stage, 1);
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
    stage_end_slot(stage, 0);
    sys->close(sys, fd);
}

// --- rings -------------------------------------------------------------------------------------------------------

static void overflowing(struct stage *stage) {
    struct q_rawring small;
    stage_note(stage, "%d ", q_rawring_open(&small, stage->sys, Q_RAWRING_DEFAULT_FLAGS, 8, 8));
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 8; i++) {
            q_rawring_sqe(&small, round * 8 + i);
        }
        stage_note(stage, "%d ", q_rawring_submit(&small));
    }
    stage_note(stage, "%d ", (q_rawring_sq_flags(&small) & IORING_SQ_CQ_OVERFLOW) != 0);
    uint64_t in_order = 0;
    struct io_uring_cqe cqe;
    for (uint64_t i = 0; i < 24; i++) {
        if (q_rawring_ready(&small) == 0) {
            q_rawring_enter(&small, 0, Q_RAWRING_NO_TIMEOUT);
        }
        in_order += q_rawring_pop(&small, &cqe) && cqe.user_data == i;
    }
    stage_note(stage, "%d %d", (int)in_order, (q_rawring_sq_flags(&small) & IORING_SQ_CQ_OVERFLOW) != 0);
    q_rawring_close(&small);
}

static void timeouts(struct stage *stage) {
    stage_note(stage, "%d ", q_rawring_enter(&stage->ring, 1, Q_NS_PER_MS) == -ETIME);
    q_rawring_sqe(&stage->ring, 1);
    stage_note(stage, "%d ", q_rawring_enter(&stage->ring, 2, Q_NS_PER_MS)); // what was submitted wins over ETIME
    stage_note_cqes(stage, 1);
    stage_note(stage, "%d ", q_rawring_enter(&stage->ring, 0, Q_RAWRING_NO_TIMEOUT));
    stage_note(stage, "%d", stage->sys->enter(stage->sys, stage->ring.fd, 0, 0, 1u << 20, NULL, 0) == -EINVAL);
}

static void a_ring_without_a_number(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    struct q_rawring hidden;
    stage_note(stage, "%d ", q_rawring_open(&hidden, sys, Q_RAWRING_DEFAULT_FLAGS, 8, 16));
    struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint64_t)hidden.fd};
    stage_note(stage, "%d ", sys->reg(sys, hidden.fd, IORING_REGISTER_RING_FDS, &update, 1));
    sys->close(sys, hidden.fd);
    hidden.fd = (int)update.offset;
    hidden.enter_flags = IORING_ENTER_REGISTERED_RING;
    q_rawring_sqe(&hidden, 1);
    stage_note(stage, "%d ", q_rawring_enter(&hidden, 1, Q_RAWRING_NO_TIMEOUT));
    struct io_uring_rsrc_register table = {.nr = 4, .flags = IORING_RSRC_REGISTER_SPARSE};
    unsigned by_index = Q_URING_REGISTER_USE_REGISTERED_RING;
    stage_note(stage, "%d ", sys->reg(sys, hidden.fd, IORING_REGISTER_FILES2 | by_index, &table, sizeof table));
    update = (struct io_uring_rsrc_update){.offset = (uint32_t)hidden.fd};
    stage_note(stage, "%d ", sys->reg(sys, hidden.fd, IORING_UNREGISTER_RING_FDS | by_index, &update, 1));
    sys->unmap(sys, hidden.sqes, hidden.sqes_size);
    sys->unmap(sys, hidden.rings, hidden.rings_size);
}

static void a_disabled_ring(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    struct q_rawring ring;
    unsigned flags = Q_RAWRING_DEFAULT_FLAGS | IORING_SETUP_R_DISABLED;
    stage_note(stage, "%d ", q_rawring_open(&ring, sys, flags, 8, 16));
    q_rawring_sqe(&ring, 1);
    stage_note(stage, "%d ", q_rawring_enter(&ring, 1, Q_RAWRING_NO_TIMEOUT) == -EBADFD);
    stage_note(stage, "%d ", sys->reg(sys, ring.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
    stage_note(stage, "%d ", q_rawring_enter(&ring, 1, Q_RAWRING_NO_TIMEOUT));
    stage_note(stage, "%d", sys->reg(sys, ring.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == -EBADFD);
    q_rawring_close(&ring);
}

static void setting_up(struct stage *stage) {
    static const struct {
        unsigned entries, flags, cq_entries;
    } k_cases[] = {
        {0, 0, 0},
        {8, IORING_SETUP_DEFER_TASKRUN, 0},
        {8, IORING_SETUP_TASKRUN_FLAG, 0},
        {8, IORING_SETUP_CQSIZE, 0},
        {8, IORING_SETUP_CQSIZE, 4},
        {8, 1u << 31, 0},
        {8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0},
        {9, IORING_SETUP_CQSIZE, 33},
        {33000, 0, 0},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct io_uring_params params = {.flags = k_cases[i].flags, .cq_entries = k_cases[i].cq_entries};
        int fd = stage->sys->setup(stage->sys, k_cases[i].entries, &params);
        if (fd >= 0) {
            stage_note(stage, "%u/%u ", params.sq_entries, params.cq_entries);
            stage->sys->close(stage->sys, fd);
        } else {
            stage_note(stage, "%s ", strerrorname_np(-fd));
        }
    }
}

static void bad_requests(struct stage *stage) {
    q_rawring_sqe(&stage->ring, 1)->opcode = 250;
    on_slot(stage, 2, IORING_OP_NOP, 0)->personality = 9;
    q_rawring_sqe(&stage->ring, 3)->flags = 1u << 7;
    on_slot(stage, 4, IORING_OP_SEND, 0)->flags |= IOSQE_FIXED_FILE;
    on_slot(stage, 5, IORING_OP_WRITE, 99);
    q_rawring_sqe(&stage->ring, 6);
    stage_note(stage, "%d ", q_rawring_enter(&stage->ring, 6, Q_NS_PER_S)); // SUBMIT_ALL: none stops the others
    stage_note_cqes(stage, 6);
}

static void buffer_rings(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    void *memory = sys->map_memory(sys, 4096);
    struct io_uring_buf_reg given = {.ring_addr = (uint64_t)(uintptr_t)memory, .ring_entries = 16, .bgid = 0};
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_PBUF_RING, &given, 1) == -EEXIST);
    given.bgid = 5;
    given.ring_entries = 12;
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_PBUF_RING, &given, 1) == -EINVAL);
    given.ring_entries = 16;
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_PBUF_RING, &given, 1));
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_UNREGISTER_PBUF_RING, &given, 1));
    stage_note(stage, "%d", sys->reg(sys, stage->ring.fd, IORING_UNREGISTER_PBUF_RING, &given, 1) != 0);
    sys->unmap(sys, memory, 4096);
}

// --- the table ---------------------------------------------------------------------------------------------------

static const struct stage_script k_scripts[] = {
    {"a futex wait is woken, refused or cancelled", futexes, STAGE_NEEDS_FUTEX,
     "quiet 1=0 2=EAGAIN quiet 3=ECANCELED 4=1 5=EINVAL 6=EINVAL "},
    {"one enter gives twenty completions and says that there are more", twenty_at_a_time, STAGE_NEEDS_FUTEX,
     "0 more 20 more 40 more 50 0"},
    {"an eventfd in a slot is written, polled and read", eventfds, 0,
     "1 1=8 count 5 quiet 2=1 3=1 quiet 4=ECANCELED 5=1 quiet 6=8 7=0 "},
    {"the eventfd of a ring tells of work before anybody enters", the_eventfd_of_a_ring, 0, "0 1=0 1 0 1 0 2=3B 0 "},
    {"completions without room are kept in order", overflowing, 0, "0 8 8 8 1 24 0"},
    {"a wait ends at its timeout", timeouts, 0, "1 1 1=0 0 1"},
    {"a registered ring lives without a number", a_ring_without_a_number, STAGE_NEEDS_REG_REG_RING, "0 1 1 0 1 "},
    {"a disabled ring works once enabled", a_disabled_ring, 0, "0 1 0 1 1"},
    {"set-up rounds sizes and refuses nonsense", setting_up, 0,
     "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL 8/16 16/64 EINVAL "},
    {"bad requests fail alone", bad_requests, 0, "6 1=EINVAL 2=EINVAL 3=EINVAL 4=EBADF 5=EBADF 6=0 "},
    {"buffer rings have one owner and a power of two", buffer_rings, 0, "1 1 0 0 1"},
};

int main(void) { return stage_run_scripts(k_scripts, Q_COUNT_OF(k_scripts)); }

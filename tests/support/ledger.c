#define _GNU_SOURCE
#include "tests/support/ledger.h"

#include "engine/base/check.h"
#include "engine/base/list.h"
#include "engine/loop/io.h"
#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define RINGS_MAX 16
#define BUCKETS 4096
#define LINES_KEPT 1024
#define BUFFERS 65536
#define NO_SLOT UINT32_MAX

enum slot_state {
    SLOT_EMPTY,
    SLOT_FAILED, // its socket could not be made; its close is still legal, and not needed
    SLOT_HOLDS_SOCKET,
    SLOT_HOLDS_OTHER,
    SLOT_CLOSE_SENT,
};

struct slot {
    enum slot_state state;
    bool adopts;              // filled by a register call: the first operation brings the generation
    uint64_t generation;      // the last one seen
    uint32_t in_flight;
    uint32_t receives;
    uint32_t sends;
    uint32_t uncanceled;      // in flight, and no cancel of the slot came behind them
    uint32_t commands;        // cancels and closes in flight: they end by themselves
};

// One SQE whose last CQE is outstanding.
struct entry {
    struct q_list_node in_bucket;
    struct q_list_node in_ring;
    uint64_t user_data;
    uint8_t opcode;
    uint32_t slot;
    bool multishot;
    bool bundle;
    bool canceled;
    bool on_nothing; // names a slot that holds nothing: may only end in EBADF or ECANCELED
};

struct line {
    bool is_cqe;
    uint8_t opcode;
    uint64_t user_data;
    int32_t value; // SQE: fd or file_index; CQE: result
    uint32_t flags;
};

struct ring {
    int fd;        // -1 when closed or unused
    int index;     // -1 when not registered
    struct io_uring_params params;
    char *memory;
    struct io_uring_sqe *sqes;
    uint32_t cq_seen;
    struct slot *slots;
    uint32_t num_slots;
    struct q_list entries;
    struct io_uring_buf_ring *buffers;
    uint32_t buffers_count;
    uint16_t buffers_seen;
    uint8_t with_kernel[BUFFERS];
    uint16_t behind[BUFFERS]; // by buffer: which one was given right behind it
    uint32_t size_of[BUFFERS];
    uint16_t last_given;
};

struct q_ledger {
    struct q_sys_uring sys; // first: the seam's functions get a pointer to it
    struct q_sys_uring *inner;
    struct q_ledger_counts counts;
    struct ring *rings[RINGS_MAX];
    size_t num_rings;
    struct q_list buckets[BUCKETS];
    struct line lines[LINES_KEPT];
    uint64_t num_lines;
    size_t num_violations;
    char first[256];
};

static struct q_ledger *ledger_of(struct q_sys_uring *sys) { return (struct q_ledger *)(void *)sys; }

static void *must_alloc(size_t size) {
    void *ptr = calloc(1, size);
    Q_CHECK(ptr != NULL);
    return ptr;
}

static void violation(struct q_ledger *ledger, const char *format, ...) Q_PRINTF(2, 3);
static void violation(struct q_ledger *ledger, const char *format, ...) {
    if (ledger->num_violations++ == 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(ledger->first, sizeof ledger->first, format, args);
        va_end(args);
    }
}

static void write_line(struct q_ledger *ledger, struct line line) {
    ledger->lines[ledger->num_lines++ % LINES_KEPT] = line;
}

static struct slot *slot_of(struct ring *ring, uint32_t index) {
    if (index >= ring->num_slots) {
        uint32_t count = index + 1 + ring->num_slots;
        ring->slots = realloc(ring->slots, count * sizeof *ring->slots);
        Q_CHECK(ring->slots != NULL);
        memset(ring->slots + ring->num_slots, 0, (count - ring->num_slots) * sizeof *ring->slots);
        ring->num_slots = count;
    }
    return &ring->slots[index];
}

static unsigned long long u64(uint64_t value) { return value; }

// --- requests ----------------------------------------------------------------------------------------------------

static bool is_command(unsigned opcode) { return opcode == IORING_OP_ASYNC_CANCEL || opcode == IORING_OP_CLOSE; }

static void check_open(struct q_ledger *ledger, struct slot *slot, uint32_t index, uint64_t generation) {
    if (slot->state != SLOT_EMPTY && slot->state != SLOT_FAILED) {
        violation(ledger, "slot %u: a socket is made in it while it is occupied", index);
    }
    if (slot->in_flight > 0) {
        violation(ledger, "slot %u: used again with %u requests of before in flight", index, slot->in_flight);
    }
    if (generation != 0 && generation <= slot->generation) {
        violation(ledger, "slot %u: generation %llu after %llu", index, u64(generation), u64(slot->generation));
    }
    slot->state = SLOT_HOLDS_SOCKET;
    slot->generation = generation;
    slot->adopts = false;
    ledger->counts.opened++;
}

static void check_close(struct q_ledger *ledger, struct slot *slot, uint32_t index, uint64_t generation) {
    if (slot->state == SLOT_EMPTY || slot->state == SLOT_CLOSE_SENT) {
        violation(ledger, "slot %u: closed twice, or never opened", index);
    }
    if (slot->uncanceled > 0) {
        violation(ledger, "slot %u: closed before %u requests on it were cancelled", index, slot->uncanceled);
    }
    if (!slot->adopts && generation != slot->generation) {
        violation(ledger, "slot %u: generation %llu closed by %llu", index, u64(slot->generation), u64(generation));
    }
    slot->generation = generation;
    slot->adopts = false;
    slot->state = SLOT_CLOSE_SENT;
    ledger->counts.closed++;
}

static void mark_canceled(struct ring *ring, uint32_t index) {
    for (struct q_list_node *node = ring->entries.head.next; node != &ring->entries.head; node = node->next) {
        struct entry *entry = q_container_of(node, struct entry, in_ring);
        entry->canceled = entry->canceled || entry->slot == index;
    }
    slot_of(ring, index)->uncanceled = 0;
}

static void check_use(struct q_ledger *ledger, struct slot *slot, struct entry *entry, uint64_t generation) {
    if (slot->adopts) {
        slot->adopts = false;
        slot->generation = generation;
    }
    if (slot->state == SLOT_CLOSE_SENT || generation < slot->generation) {
        violation(ledger, "slot %u: operation %u on a dead generation (%llu, now %llu)", entry->slot, entry->opcode,
                  u64(generation), u64(slot->generation));
    } else if (generation > slot->generation) {
        entry->on_nothing = true; // its socket could not be made
    }
    bool is_receive = entry->opcode == IORING_OP_RECV;
    bool is_send = entry->opcode == IORING_OP_SEND || entry->opcode == IORING_OP_SENDMSG;
    if ((is_receive && slot->receives > 0) || (is_send && slot->sends > 0)) {
        violation(ledger, "slot %u: a second operation %u while one is in flight", entry->slot, entry->opcode);
    }
    slot->receives += is_receive;
    slot->sends += is_send;
}

// Which slot an SQE is about.
static uint32_t slot_named(const struct io_uring_sqe *sqe) {
    switch (sqe->opcode) {
    case IORING_OP_SOCKET:
    case IORING_OP_CLOSE:
        return sqe->file_index == 0 || sqe->file_index == IORING_FILE_INDEX_ALLOC ? NO_SLOT : sqe->file_index - 1;
    case IORING_OP_ASYNC_CANCEL:
        return (sqe->cancel_flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0 ? (uint32_t)sqe->fd : NO_SLOT;
    case IORING_OP_NOP: return NO_SLOT;
    default: return (sqe->flags & IOSQE_FIXED_FILE) != 0 ? (uint32_t)sqe->fd : NO_SLOT;
    }
}

static void note_sqe(struct q_ledger *ledger, struct ring *ring, const struct io_uring_sqe *sqe) {
    struct entry *entry = must_alloc(sizeof *entry);
    *entry = (struct entry){.user_data = sqe->user_data, .opcode = sqe->opcode, .slot = slot_named(sqe)};
    entry->multishot = sqe->opcode == IORING_OP_RECV && (sqe->ioprio & IORING_RECV_MULTISHOT) != 0;
    entry->bundle = sqe->opcode == IORING_OP_RECV && (sqe->ioprio & Q_URING_RECVSEND_BUNDLE) != 0;
    q_list_push_back(&ledger->buckets[(sqe->user_data * UINT64_C(0x9E3779B97F4A7C15)) >> 52], &entry->in_bucket);
    q_list_push_back(&ring->entries, &entry->in_ring);
    ledger->counts.sqes++;
    ledger->counts.by_op[sqe->opcode & 63]++;
    ledger->counts.in_flight++;
    if (ledger->counts.in_flight > ledger->counts.in_flight_max) {
        ledger->counts.in_flight_max = ledger->counts.in_flight;
    }
    uint32_t shown = entry->slot != NO_SLOT ? entry->slot : (uint32_t)sqe->fd;
    write_line(ledger, (struct line){.opcode = sqe->opcode, .user_data = sqe->user_data, .value = (int32_t)shown,
                                     .flags = sqe->flags});
    if (entry->slot == NO_SLOT) {
        return;
    }
    struct slot *slot = slot_of(ring, entry->slot);
    struct q_io_slot name = q_io_user_data_slot(sqe->user_data);
    if (sqe->user_data != 0 && name.index != entry->slot) {
        violation(ledger, "slot %u: user_data names slot %u", entry->slot, name.index);
    }
    if (sqe->opcode == IORING_OP_SOCKET) {
        check_open(ledger, slot, entry->slot, name.generation);
    } else if (sqe->opcode == IORING_OP_CLOSE) {
        check_close(ledger, slot, entry->slot, name.generation);
    } else {
        check_use(ledger, slot, entry, name.generation);
    }
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        mark_canceled(ring, entry->slot);
    }
    slot->in_flight++;
    slot->commands += is_command(sqe->opcode);
    bool is_setup = sqe->opcode == IORING_OP_SOCKET || sqe->opcode == Q_URING_OP_URING_CMD ||
                    sqe->opcode == Q_URING_OP_BIND;
    if (is_command(sqe->opcode) || is_setup) {
        entry->canceled = true; // nothing to cancel: they end by themselves
    } else {
        slot->uncanceled++;
    }
}

// --- completions -------------------------------------------------------------------------------------------------

static struct entry *find_entry(struct q_ledger *ledger, struct ring *ring, uint64_t user_data) {
    struct q_list *bucket = &ledger->buckets[(user_data * UINT64_C(0x9E3779B97F4A7C15)) >> 52];
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct entry *entry = q_container_of(node, struct entry, in_bucket);
        if (entry->user_data == user_data) {
            return entry;
        }
    }
    (void)ring;
    return NULL;
}

static void end_entry(struct q_ledger *ledger, struct ring *ring, struct entry *entry, int32_t result) {
    if (entry->on_nothing && result != -EBADF && result != -ECANCELED) {
        violation(ledger, "slot %u: operation %u on nothing gave %d", entry->slot, entry->opcode, result);
    }
    if (entry->slot != NO_SLOT) {
        struct slot *slot = slot_of(ring, entry->slot);
        slot->in_flight--;
        slot->receives -= entry->opcode == IORING_OP_RECV;
        slot->sends -= entry->opcode == IORING_OP_SEND || entry->opcode == IORING_OP_SENDMSG;
        slot->uncanceled -= !entry->canceled && slot->uncanceled > 0;
        slot->commands -= is_command(entry->opcode);
        if (entry->opcode == IORING_OP_CLOSE && slot->state == SLOT_CLOSE_SENT) {
            slot->state = SLOT_EMPTY;
        } else if (entry->opcode == IORING_OP_SOCKET && slot->state == SLOT_HOLDS_SOCKET && result < 0) {
            slot->state = SLOT_FAILED;
        }
    }
    ledger->counts.in_flight--;
    q_list_remove(&entry->in_bucket);
    q_list_remove(&entry->in_ring);
    free(entry);
}

// A bundle consumes as many buffers as its bytes fill, in the order in which they were given.
static void note_consumed(struct q_ledger *ledger, struct ring *ring, const struct io_uring_cqe *cqe, bool bundle) {
    int64_t left = cqe->res;
    uint32_t buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    if ((cqe->flags & IORING_CQE_F_BUFFER) == 0) {
        return;
    }
    do {
        if (ring->with_kernel[buffer] == 0) {
            violation(ledger, "buffer %u was consumed, and was not with the kernel", buffer);
            return;
        }
        ring->with_kernel[buffer] = 0;
        left -= ring->size_of[buffer];
        buffer = ring->behind[buffer];
    } while (bundle && left > 0);
    if (left > 0) {
        violation(ledger, "a completion of %d bytes has more than its buffer holds", cqe->res);
    }
}

static void note_cqe(struct q_ledger *ledger, struct ring *ring, const struct io_uring_cqe *cqe) {
    struct entry *entry = find_entry(ledger, ring, cqe->user_data);
    ledger->counts.cqes++;
    write_line(ledger, (struct line){.is_cqe = true, .opcode = entry != NULL ? entry->opcode : UINT8_MAX,
                                     .user_data = cqe->user_data, .value = cqe->res, .flags = cqe->flags});
    note_consumed(ledger, ring, cqe, entry != NULL && entry->bundle);
    if (entry == NULL) {
        violation(ledger, "completion %llx (%d) without a request", u64(cqe->user_data), cqe->res);
        return;
    }
    bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (more && !entry->multishot) {
        violation(ledger, "completion %llx says more, and its request is not multishot", u64(cqe->user_data));
    }
    if (!more) {
        end_entry(ledger, ring, entry, cqe->res);
    }
}

static uint32_t *word_at(struct ring *ring, uint32_t offset) { return (uint32_t *)(void *)(ring->memory + offset); }

static void look_at_completions(struct q_ledger *ledger, struct ring *ring) {
    if (ring->memory == NULL) {
        return;
    }
    uint32_t tail = __atomic_load_n(word_at(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);
    const struct io_uring_cqe *cqes = (const void *)(ring->memory + ring->params.cq_off.cqes);
    for (; ring->cq_seen != tail; ring->cq_seen++) {
        note_cqe(ledger, ring, &cqes[ring->cq_seen & (ring->params.cq_entries - 1)]);
    }
}

static void look_at_buffers(struct q_ledger *ledger, struct ring *ring) {
    if (ring->buffers == NULL) {
        return;
    }
    uint16_t tail = __atomic_load_n(&ring->buffers->tail, __ATOMIC_ACQUIRE);
    for (; ring->buffers_seen != tail; ring->buffers_seen++) {
        const struct io_uring_buf *given = &ring->buffers->bufs[ring->buffers_seen & (ring->buffers_count - 1)];
        uint16_t id = given->bid;
        if (ring->with_kernel[id] != 0) {
            violation(ledger, "buffer %u was given to the kernel, which has it", id);
        }
        ring->with_kernel[id] = 1;
        ring->size_of[id] = given->len;
        ring->behind[ring->last_given] = id;
        ring->last_given = id;
    }
}

// --- the seam ----------------------------------------------------------------------------------------------------

static struct ring *ring_by(struct q_ledger *ledger, int fd, bool registered) {
    for (size_t i = 0; i < ledger->num_rings; i++) {
        if ((registered ? ledger->rings[i]->index : ledger->rings[i]->fd) == fd) {
            return ledger->rings[i];
        }
    }
    return NULL;
}

static int ledger_setup(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params) {
    struct q_ledger *ledger = ledger_of(sys);
    int fd = ledger->inner->setup(ledger->inner, entries, params);
    if (fd >= 0) {
        Q_CHECK(ledger->num_rings < RINGS_MAX);
        struct ring *ring = must_alloc(sizeof *ring);
        ring->fd = fd;
        ring->index = -1;
        ring->params = *params;
        q_list_init(&ring->entries);
        ledger->rings[ledger->num_rings++] = ring;
    }
    return fd;
}

static int ledger_enter(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete,
                        unsigned flags, const void *arg, size_t arg_size) {
    struct q_ledger *ledger = ledger_of(sys);
    struct ring *ring = ring_by(ledger, ring_fd, (flags & IORING_ENTER_REGISTERED_RING) != 0);
    if (ring == NULL || ring->memory == NULL || ring->sqes == NULL) {
        return ledger->inner->enter(ledger->inner, ring_fd, to_submit, min_complete, flags, arg, arg_size);
    }
    look_at_completions(ledger, ring);
    look_at_buffers(ledger, ring);
    const uint32_t *array = word_at(ring, ring->params.sq_off.array);
    uint32_t mask = ring->params.sq_entries - 1;
    uint32_t head = *word_at(ring, ring->params.sq_off.head);
    uint32_t there = *word_at(ring, ring->params.sq_off.tail) - head;
    uint32_t count = to_submit < there ? to_submit : there;
    // Read before the kernel may write over them; noted before its completions are.
    for (uint32_t i = 0; i < count; i++) {
        note_sqe(ledger, ring, &ring->sqes[array[(head + i) & mask] & mask]);
    }
    int result = ledger->inner->enter(ledger->inner, ring_fd, to_submit, min_complete, flags, arg, arg_size);
    uint32_t taken = *word_at(ring, ring->params.sq_off.head) - head;
    if (taken != count) {
        violation(ledger, "the kernel took %u of %u requests, which this ledger does not follow", taken, count);
    }
    look_at_completions(ledger, ring);
    return result;
}

static void note_installed(struct ring *ring, uint32_t slot, bool holds) {
    struct slot *at = slot_of(ring, slot);
    at->state = holds ? SLOT_HOLDS_OTHER : SLOT_EMPTY;
    at->adopts = holds;
}

static void note_unregistered(struct q_ledger *ledger, struct ring *ring) {
    for (uint32_t i = 0; i < ring->num_slots; i++) {
        if (ring->slots[i].state == SLOT_HOLDS_SOCKET) {
            violation(ledger, "slot %u: its socket was not closed before the table went", i);
        }
        ring->slots[i].state = SLOT_EMPTY;
    }
}

static void note_registered(struct q_ledger *ledger, struct ring *ring, unsigned opcode, const void *arg, int result) {
    if (opcode == IORING_REGISTER_RING_FDS && result == 1) {
        ring->index = (int)((const struct io_uring_rsrc_update *)arg)->offset;
    } else if (opcode == IORING_UNREGISTER_RING_FDS && result == 1) {
        ring->index = -1;
    } else if (opcode == IORING_REGISTER_PBUF_RING && result == 0) {
        const struct io_uring_buf_reg *given = arg;
        ring->buffers = (void *)(uintptr_t)given->ring_addr;
        ring->buffers_count = given->ring_entries;
        ring->buffers_seen = 0;
        memset(ring->with_kernel, 0, sizeof ring->with_kernel);
    } else if (opcode == IORING_UNREGISTER_PBUF_RING && result == 0) {
        ring->buffers = NULL;
    } else if (opcode == IORING_REGISTER_FILES_UPDATE && result > 0) {
        const struct io_uring_files_update *update = arg;
        const int32_t *fds = (const int32_t *)(uintptr_t)update->fds;
        for (int i = 0; i < result; i++) {
            note_installed(ring, update->offset + (uint32_t)i, fds[i] >= 0);
        }
    } else if (opcode == IORING_UNREGISTER_FILES && result == 0) {
        note_unregistered(ledger, ring);
    }
}

static int ledger_register(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args) {
    struct q_ledger *ledger = ledger_of(sys);
    bool registered = (opcode & Q_URING_REGISTER_USE_REGISTERED_RING) != 0;
    struct ring *ring = ring_by(ledger, ring_fd, registered);
    if (ring != NULL) {
        look_at_completions(ledger, ring);
    }
    int result = ledger->inner->reg(ledger->inner, ring_fd, opcode, arg, num_args);
    if (ring != NULL) {
        note_registered(ledger, ring, opcode & ~Q_URING_REGISTER_USE_REGISTERED_RING, arg, result);
    }
    return result;
}

static void *ledger_map_ring(struct q_sys_uring *sys, int ring_fd, size_t size, uint64_t offset) {
    struct q_ledger *ledger = ledger_of(sys);
    void *ptr = ledger->inner->map_ring(ledger->inner, ring_fd, size, offset);
    struct ring *ring = ring_by(ledger, ring_fd, false);
    if (ptr != NULL && ring != NULL && offset == IORING_OFF_SQES) {
        ring->sqes = ptr;
    } else if (ptr != NULL && ring != NULL) {
        ring->memory = ptr; // one mapping for both rings
    }
    return ptr;
}

static void *ledger_map_memory(struct q_sys_uring *sys, size_t size) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->map_memory(inner, size);
}

static void ledger_unmap(struct q_sys_uring *sys, void *ptr, size_t size) {
    struct q_ledger *ledger = ledger_of(sys);
    for (size_t i = 0; i < ledger->num_rings; i++) {
        struct ring *ring = ledger->rings[i];
        if ((void *)ring->memory == ptr || (void *)ring->sqes == ptr) {
            look_at_completions(ledger, ring);
            ring->memory = (void *)ring->memory == ptr ? NULL : ring->memory;
            ring->sqes = (void *)ring->sqes == ptr ? NULL : ring->sqes;
        }
    }
    ledger->inner->unmap(ledger->inner, ptr, size);
}

static void ledger_close(struct q_sys_uring *sys, int fd) {
    struct q_ledger *ledger = ledger_of(sys);
    struct ring *ring = ring_by(ledger, fd, false);
    if (ring != NULL) {
        ring->fd = -1;
    }
    ledger->inner->close(ledger->inner, fd);
}

static int ledger_eventfd(struct q_sys_uring *sys) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->eventfd(inner);
}

static void ledger_eventfd_signal(struct q_sys_uring *sys, int fd) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    inner->eventfd_signal(inner, fd);
}

static uint64_t ledger_eventfd_clear(struct q_sys_uring *sys, int fd) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->eventfd_clear(inner, fd);
}

static void ledger_pause_ms(struct q_sys_uring *sys, unsigned ms) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    inner->pause_ms(inner, ms);
}

static int ledger_socket(struct q_sys_uring *sys, int domain, int type, int protocol) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->socket(inner, domain, type, protocol);
}

static int ledger_setsockopt(struct q_sys_uring *sys, int fd, int level, int name, const void *data, socklen_t len) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->setsockopt(inner, fd, level, name, data, len);
}

static int ledger_bind(struct q_sys_uring *sys, int fd, const struct sockaddr *address, socklen_t len) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    return inner->bind(inner, fd, address, len);
}

static void ledger_futex_wake(struct q_sys_uring *sys, uint32_t *word) {
    struct q_sys_uring *inner = ledger_of(sys)->inner;
    inner->futex_wake(inner, word);
}

// --- life --------------------------------------------------------------------------------------------------------

struct q_ledger *q_ledger_new(struct q_sys_uring *inner) {
    struct q_ledger *ledger = must_alloc(sizeof *ledger);
    ledger->inner = inner;
    for (size_t i = 0; i < BUCKETS; i++) {
        q_list_init(&ledger->buckets[i]);
    }
    ledger->sys = (struct q_sys_uring){
        .setup = ledger_setup,
        .enter = ledger_enter,
        .reg = ledger_register,
        .map_ring = ledger_map_ring,
        .map_memory = ledger_map_memory,
        .unmap = ledger_unmap,
        .close = ledger_close,
        .eventfd = ledger_eventfd,
        .eventfd_signal = ledger_eventfd_signal,
        .eventfd_clear = ledger_eventfd_clear,
        .pause_ms = ledger_pause_ms,
        .socket = ledger_socket,
        .setsockopt = ledger_setsockopt,
        .bind = ledger_bind,
        .futex_wake = ledger_futex_wake,
    };
    return ledger;
}

void q_ledger_free(struct q_ledger *ledger) {
    for (size_t i = 0; i < ledger->num_rings; i++) {
        struct ring *ring = ledger->rings[i];
        struct q_list_node *node;
        while ((node = q_list_pop_front(&ring->entries)) != NULL) {
            free(q_container_of(node, struct entry, in_ring));
        }
        free(ring->slots);
        free(ring);
    }
    free(ledger);
}

struct q_sys_uring *q_ledger_sys(struct q_ledger *ledger) { return &ledger->sys; }
const struct q_ledger_counts *q_ledger_counts(const struct q_ledger *ledger) { return &ledger->counts; }
size_t q_ledger_violations(const struct q_ledger *ledger) { return ledger->num_violations; }

const char *q_ledger_violation(const struct q_ledger *ledger) {
    return ledger->num_violations > 0 ? ledger->first : NULL;
}

bool q_ledger_check(struct q_ledger *ledger, char *text, size_t text_size) {
    size_t open = 0;
    for (size_t i = 0; i < ledger->num_rings; i++) {
        look_at_completions(ledger, ledger->rings[i]);
        for (uint32_t at = 0; at < ledger->rings[i]->num_slots; at++) {
            open += ledger->rings[i]->slots[at].state == SLOT_HOLDS_SOCKET;
        }
    }
    if (ledger->num_violations == 0 && ledger->counts.in_flight == 0 && open == 0) {
        return true;
    }
    snprintf(text, text_size, "ledger: %zu violations (first: %s), %llu requests without an end, %zu sockets open",
             ledger->num_violations, ledger->num_violations > 0 ? ledger->first : "none",
             u64(ledger->counts.in_flight), open);
    return false;
}

void q_ledger_dump(const struct q_ledger *ledger, FILE *out, size_t count) {
    uint64_t kept = ledger->num_lines < LINES_KEPT ? ledger->num_lines : LINES_KEPT;
    uint64_t shown = count < kept ? count : kept;
    for (uint64_t i = ledger->num_lines - shown; i < ledger->num_lines; i++) {
        const struct line *line = &ledger->lines[i % LINES_KEPT];
        struct q_io_slot name = q_io_user_data_slot(line->user_data);
        fprintf(out, "%6llu %s op %3u kind %2u slot %u generation %llu %s %d flags %x\n", u64(i),
                line->is_cqe ? "  <-" : "->  ", line->opcode, (unsigned)q_io_user_data_kind(line->user_data),
                name.index, u64(name.generation), line->is_cqe ? "result" : "on", line->value, line->flags);
    }
}

// The simulated kernel by itself: set-up, rings, slots, completions, time. What it must have in common with the real
// one is in tests/engine/loop/conformance.
#define _GNU_SOURCE
#include "tests/support/rawring.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#include "engine/base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

struct fixture {
    struct q_sim *sim;
    struct q_rawring ring;
    struct sockaddr_in address;
    struct q_sim_conn *conn; // the peer's side of the last connection
    char got[65536];
    size_t got_len;
    bool fin, reset;
    int stuck;
};

static void peer_open(void *context, struct q_sim_conn *conn) { ((struct fixture *)context)->conn = conn; }

static void peer_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    struct fixture *f = context;
    (void)conn;
    if (f->got_len + len <= sizeof f->got) {
        memcpy(f->got + f->got_len, data, len);
    }
    f->got_len += len;
}

static void peer_fin(void *context, struct q_sim_conn *conn) {
    ((struct fixture *)context)->fin = true;
    q_sim_conn_close(conn);
}

static void peer_reset(void *context, struct q_sim_conn *conn) {
    (void)conn;
    ((struct fixture *)context)->reset = true;
}

static const struct q_sim_peer k_peer = {
    .on_open = peer_open, .on_bytes = peer_bytes, .on_fin = peer_fin, .on_reset = peer_reset};

static void on_stuck(void *context, struct q_sim *sim) {
    (void)sim;
    ((struct fixture *)context)->stuck++;
}

static void open_fixture(struct fixture *f, struct q_sim_options options) {
    memset(f, 0, sizeof *f);
    options.on_stuck = on_stuck;
    options.context = f;
    f->sim = q_sim_new(&options);
    f->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
    f->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    q_sim_listen(f->sim, "127.0.0.1", 80, &(struct q_sim_listener){.peer = &k_peer, .context = f});
    assert_int_equal(q_rawring_open(&f->ring, q_sim_sys(f->sim), Q_RAWRING_DEFAULT_FLAGS, 32, 64), 0);
    assert_int_equal(q_rawring_slots(&f->ring, 8), 0);
    assert_int_equal(q_rawring_buffers(&f->ring, 3, 8, 1024), 0);
}

static void close_fixture(struct fixture *f, size_t violations) {
    q_rawring_close(&f->ring);
    if (violations == 0) {
        char text[512] = "";
        if (!q_sim_check(f->sim, text, sizeof text)) {
            fail_msg("%s", text);
        }
    }
    assert_int_equal(q_sim_violations(f->sim), violations);
    q_sim_free(f->sim);
}

static int32_t await(struct fixture *f) {
    struct io_uring_cqe cqe;
    return q_rawring_await(&f->ring, Q_RAWRING_NO_TIMEOUT, &cqe);
}

// A connected socket in `slot`.
static void connect_slot(struct fixture *f, unsigned slot) {
    q_rawring_socket(&f->ring, 1, slot)->flags |= IOSQE_IO_LINK;
    q_rawring_connect(&f->ring, 2, slot, (struct sockaddr *)&f->address, sizeof f->address);
    assert_int_equal(await(f), 0);
    assert_int_equal(await(f), 0);
}

static void end_slot(struct fixture *f, unsigned slot) {
    q_rawring_close_slot(&f->ring, 90, slot);
    assert_int_equal(await(f), 0);
    while (q_sim_step(f->sim, UINT64_MAX)) {
        // the FIN arrives
    }
}

static void a_setup_with_unknown_flags_is_refused(void **state) {
    (void)state;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    struct q_sys_uring *sys = q_sim_sys(sim);
    static const unsigned k_bad[] = {IORING_SETUP_SQPOLL, IORING_SETUP_IOPOLL, IORING_SETUP_DEFER_TASKRUN,
                                     IORING_SETUP_TASKRUN_FLAG, 1u << 16};
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        struct io_uring_params params = {.flags = k_bad[i]};
        assert_int_equal(sys->setup(sys, 8, &params), -EINVAL);
    }
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 4};
    assert_int_equal(sys->setup(sys, 8, &params), -EINVAL);
    params = (struct io_uring_params){0};
    assert_int_equal(sys->setup(sys, 0, &params), -EINVAL);
    q_sim_free(sim);
}

static void a_profile_takes_features_away_and_refuses_on_demand(void **state) {
    (void)state;
    struct q_sim_options options = {
        .profile = {.no_defer_taskrun = true, .setup_errno = ENOMEM, .setup_errno_count = 2, .cq_entries_max = 512}};
    struct q_sim *sim = q_sim_new(&options);
    struct q_sys_uring *sys = q_sim_sys(sim);
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 64};
    assert_int_equal(sys->setup(sys, 8, &params), -ENOMEM);
    assert_int_equal(sys->setup(sys, 8, &params), -ENOMEM);
    params.flags = Q_RAWRING_DEFAULT_FLAGS;
    assert_int_equal(sys->setup(sys, 8, &params), -EINVAL);
    params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 1024};
    assert_int_equal(sys->setup(sys, 8, &params), -ENOMEM);
    params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 512};
    int fd = sys->setup(sys, 8, &params);
    assert_true(fd > 0);
    sys->close(sys, fd);
    char text[256];
    assert_true(q_sim_check(sim, text, sizeof text));
    q_sim_free(sim);
}

static void a_nop_goes_round(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    q_rawring_sqe(&f->ring, 77)->opcode = IORING_OP_NOP;
    assert_int_equal(q_rawring_enter(&f->ring, 1, Q_RAWRING_NO_TIMEOUT), 1);
    struct io_uring_cqe cqe;
    assert_true(q_rawring_pop(&f->ring, &cqe));
    assert_int_equal(cqe.user_data, 77);
    assert_int_equal(cqe.res, 0);
    close_fixture(f, 0);
    free(f);
}

static void a_ring_lives_on_in_its_registered_index(void **state) {
    (void)state;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    struct q_sys_uring *sys = q_sim_sys(sim);
    struct q_rawring ring;
    assert_int_equal(q_rawring_open(&ring, sys, Q_RAWRING_DEFAULT_FLAGS, 8, 16), 0);
    struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint64_t)ring.fd};
    assert_int_equal(sys->reg(sys, ring.fd, IORING_REGISTER_RING_FDS, &update, 1), 1);
    sys->close(sys, ring.fd);
    ring.fd = (int)update.offset;
    ring.enter_flags = IORING_ENTER_REGISTERED_RING;
    q_rawring_sqe(&ring, 5)->opcode = IORING_OP_NOP;
    assert_int_equal(q_rawring_enter(&ring, 1, Q_RAWRING_NO_TIMEOUT), 1);
    struct io_uring_rsrc_register table = {.nr = 4, .flags = IORING_RSRC_REGISTER_SPARSE};
    unsigned through_index = IORING_REGISTER_FILES2 | Q_URING_REGISTER_USE_REGISTERED_RING;
    assert_int_equal(sys->reg(sys, ring.fd, through_index, &table, sizeof table), 0);
    update = (struct io_uring_rsrc_update){.offset = (uint32_t)ring.fd};
    sys->unmap(sys, ring.sqes, ring.sqes_size);
    sys->unmap(sys, ring.rings, ring.rings_size);
    assert_int_equal(q_sim_leaks(sim).rings, 1);
    unsigned unregister = IORING_UNREGISTER_RING_FDS | Q_URING_REGISTER_USE_REGISTERED_RING;
    assert_int_equal(sys->reg(sys, ring.fd, unregister, &update, 1), 1);
    char text[256];
    assert_true(q_sim_check(sim, text, sizeof text));
    q_sim_free(sim);
}

static void a_disabled_ring_works_once_enabled(void **state) {
    (void)state;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    struct q_sys_uring *sys = q_sim_sys(sim);
    struct q_rawring ring;
    unsigned flags = Q_RAWRING_DEFAULT_FLAGS | IORING_SETUP_R_DISABLED;
    assert_int_equal(q_rawring_open(&ring, sys, flags, 8, 16), 0);
    int eventfd = sys->eventfd(sys);
    assert_int_equal(sys->reg(sys, ring.fd, IORING_REGISTER_EVENTFD, &eventfd, 1), 0);
    q_rawring_sqe(&ring, 5)->opcode = IORING_OP_NOP;
    assert_int_equal(q_rawring_enter(&ring, 0, Q_RAWRING_NO_TIMEOUT), -EBADFD);
    assert_int_equal(sys->reg(sys, ring.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
    assert_int_equal(q_sim_eventfd_take(sim, eventfd), 0);
    assert_int_equal(q_rawring_enter(&ring, 0, Q_RAWRING_NO_TIMEOUT), 1);
    assert_int_equal(q_sim_eventfd_take(sim, eventfd), 1);
    sys->close(sys, eventfd);
    q_rawring_close(&ring);
    char text[256];
    assert_true(q_sim_check(sim, text, sizeof text));
    q_sim_free(sim);
}

static void bytes_go_both_ways_and_fin_follows(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    connect_slot(f, 2);
    q_rawring_send(&f->ring, 10, 2, "hello", 5);
    assert_int_equal(await(f), 5);
    q_sim_run_due(f->sim);
    assert_int_equal(f->got_len, 5);
    q_rawring_give(&f->ring, 4);
    q_rawring_receive(&f->ring, 11, 2);
    q_sim_conn_send(f->conn, "world!", 6);
    struct io_uring_cqe cqe;
    assert_int_equal(q_rawring_await(&f->ring, Q_RAWRING_NO_TIMEOUT, &cqe), 6);
    assert_int_equal(cqe.flags >> IORING_CQE_BUFFER_SHIFT, 4);
    assert_true(cqe.flags & IORING_CQE_F_BUFFER);
    assert_memory_equal(q_rawring_buffer(&f->ring, 4), "world!", 6);
    end_slot(f, 2);
    assert_true(f->fin);
    assert_int_equal(q_sim_conn_count(f->sim), 0);
    close_fixture(f, 0);
    free(f);
}

static void an_option_reaches_the_socket(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    connect_slot(f, 0);
    int on = 1;
    q_rawring_option(&f->ring, 3, 0, IPPROTO_TCP, TCP_NODELAY, &on);
    assert_int_equal(await(f), 0);
    assert_int_equal(q_sim_conn_option(f->conn, IPPROTO_TCP, TCP_NODELAY, -1), 1);
    assert_int_equal(q_sim_conn_option(f->conn, SOL_SOCKET, SO_KEEPALIVE, -1), -1);
    q_sim_profile(f->sim)->no_socket_cmd = true;
    q_rawring_option(&f->ring, 3, 0, IPPROTO_TCP, TCP_NODELAY, &on);
    assert_int_equal(await(f), -EOPNOTSUPP);
    end_slot(f, 0);
    close_fixture(f, 0);
    free(f);
}

static void a_full_send_buffer_blocks_until_the_peer_reads(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    struct q_sim_listener listener = {.peer = &k_peer, .context = f, .send_buffer = 1000};
    q_sim_listen(f->sim, "127.0.0.1", 80, &listener);
    connect_slot(f, 0);
    q_sim_conn_pause(f->conn, true);
    static char bytes[5000];
    q_rawring_send(&f->ring, 10, 0, bytes, sizeof bytes);
    struct io_uring_cqe cqe;
    assert_int_equal(q_rawring_await(&f->ring, Q_NS_PER_S, &cqe), INT32_MIN);
    q_rawring_cancel_slot(&f->ring, 11, 0);
    assert_int_equal(await(f), 1);
    assert_int_equal(await(f), 1000); // not ECANCELED: these bytes are gone
    q_sim_conn_pause(f->conn, false);
    q_rawring_send(&f->ring, 12, 0, bytes, sizeof bytes);
    assert_int_equal(await(f), sizeof bytes);
    end_slot(f, 0);
    assert_int_equal(f->got_len, 6000);
    close_fixture(f, 0);
    free(f);
}

static void a_reset_lets_what_has_arrived_be_read_and_is_told_once(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    connect_slot(f, 0);
    q_sim_conn_send(f->conn, "abc", 3);
    q_sim_conn_reset(f->conn);
    q_sim_run_due(f->sim);
    static const int32_t k_expected[] = {3, -ECONNRESET, 0};
    for (size_t i = 0; i < Q_COUNT_OF(k_expected); i++) {
        q_rawring_give(&f->ring, (uint16_t)i);
        q_rawring_receive(&f->ring, 20 + i, 0);
        assert_int_equal(await(f), k_expected[i]);
    }
    q_rawring_send(&f->ring, 30, 0, "x", 1);
    assert_int_equal(await(f), -EPIPE);
    end_slot(f, 0);
    close_fixture(f, 0);
    free(f);
}

static void unread_bytes_at_close_become_a_reset_for_the_peer(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    connect_slot(f, 0);
    q_sim_conn_send(f->conn, "abc", 3);
    q_sim_run_due(f->sim);
    end_slot(f, 0);
    assert_true(f->reset);
    assert_false(f->fin);
    close_fixture(f, 0);
    free(f);
}

static void a_connect_is_refused_unreachable_late_or_never_answered(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    static const struct {
        struct q_sim_listener listener;
        int32_t result;
        uint64_t after_ns;
    } k_cases[] = {
        {{.answer = Q_SIM_REFUSE}, -ECONNREFUSED, 0},
        {{.answer = Q_SIM_UNREACHABLE}, -EHOSTUNREACH, 0},
        {{.answer = Q_SIM_BLACKHOLE}, -ETIMEDOUT, 130 * Q_NS_PER_S},
        {{.answer = Q_SIM_ACCEPT, .delay_ns = Q_NS_PER_S}, 0, Q_NS_PER_S},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        q_sim_listen(f->sim, "127.0.0.1", 80, &k_cases[i].listener);
        uint64_t before_ns = q_sim_now(f->sim);
        q_rawring_socket(&f->ring, 1, 0);
        q_rawring_connect(&f->ring, 2, 0, (struct sockaddr *)&f->address, sizeof f->address);
        assert_int_equal(await(f), 0);
        assert_int_equal(await(f), k_cases[i].result);
        assert_int_equal(q_sim_now(f->sim) - before_ns, k_cases[i].after_ns);
        end_slot(f, 0);
    }
    close_fixture(f, 0);
    free(f);
}

static void one_enter_runs_twenty_completions_and_says_that_there_are_more(void **state) {
    (void)state;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    struct q_sys_uring *sys = q_sim_sys(sim);
    struct q_rawring ring;
    assert_int_equal(q_rawring_open(&ring, sys, Q_RAWRING_DEFAULT_FLAGS, 128, 256), 0);
    static uint32_t words[50];
    for (size_t i = 0; i < Q_COUNT_OF(words); i++) {
        struct io_uring_sqe *sqe = q_rawring_sqe(&ring, i);
        sqe->opcode = Q_URING_OP_FUTEX_WAIT;
        sqe->fd = (int)(Q_URING_FUTEX2_SIZE_U32 | Q_URING_FUTEX2_PRIVATE);
        sqe->addr = (uint64_t)(uintptr_t)&words[i];
        sqe->addr3 = Q_URING_FUTEX_MATCH_ANY;
    }
    assert_int_equal(q_rawring_submit(&ring), 50);
    for (size_t i = 0; i < Q_COUNT_OF(words); i++) {
        sys->futex_wake(sys, &words[i]);
    }
    assert_int_equal(q_rawring_ready(&ring), 0); // woken, but task work runs in our own enter only
    static const uint32_t k_ready[] = {20, 40, 50};
    for (size_t i = 0; i < Q_COUNT_OF(k_ready); i++) {
        assert_true(q_rawring_sq_flags(&ring) & IORING_SQ_TASKRUN);
        assert_int_equal(q_rawring_enter(&ring, 0, Q_RAWRING_NO_TIMEOUT), 0);
        assert_int_equal(q_rawring_ready(&ring), k_ready[i]);
    }
    assert_false(q_rawring_sq_flags(&ring) & IORING_SQ_TASKRUN);
    q_rawring_close(&ring);
    q_sim_free(sim);
}

static void completions_without_room_wait_outside_the_ring(void **state) {
    (void)state;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    struct q_rawring ring;
    assert_int_equal(q_rawring_open(&ring, q_sim_sys(sim), Q_RAWRING_DEFAULT_FLAGS, 8, 8), 0);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 8; i++) {
            q_rawring_sqe(&ring, round * 8 + i)->opcode = IORING_OP_NOP;
        }
        q_rawring_submit(&ring);
    }
    assert_true(q_rawring_sq_flags(&ring) & IORING_SQ_CQ_OVERFLOW);
    assert_int_equal(q_sim_stats(sim)->cqes_overflowed, 16);
    struct io_uring_cqe cqe;
    for (uint64_t i = 0; i < 24; i++) {
        if (q_rawring_ready(&ring) == 0) {
            q_rawring_enter(&ring, 0, Q_RAWRING_NO_TIMEOUT);
        }
        assert_true(q_rawring_pop(&ring, &cqe));
        assert_int_equal(cqe.user_data, i);
    }
    assert_false(q_rawring_sq_flags(&ring) & IORING_SQ_CQ_OVERFLOW);
    q_rawring_close(&ring);
    q_sim_free(sim);
}

static void a_wait_ends_at_its_timeout_and_a_hopeless_one_is_reported(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    uint64_t before_ns = q_sim_now(f->sim);
    assert_int_equal(q_rawring_enter(&f->ring, 1, 5 * Q_NS_PER_MS), -ETIME);
    assert_int_equal(q_sim_now(f->sim) - before_ns, 5 * Q_NS_PER_MS);
    assert_int_equal(q_rawring_enter(&f->ring, 1, Q_RAWRING_NO_TIMEOUT), -EINTR);
    assert_int_equal(f->stuck, 1);
    char text[256];
    assert_false(q_sim_check(f->sim, text, sizeof text));
    assert_non_null(strstr(text, "stuck 1 times"));
    q_rawring_close(&f->ring);
    q_sim_free(f->sim);
    free(f);
}

static bool host_rings(void *context, struct q_sim *sim, uint64_t next_ns) {
    uint32_t *word = context;
    (void)next_ns;
    if (*word != 0) {
        return false;
    }
    *word = 1;
    q_sim_sys(sim)->futex_wake(q_sim_sys(sim), word);
    return true;
}

static void the_host_acts_when_the_loop_would_sleep(void **state) {
    (void)state;
    uint32_t word = 0;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){.on_block = host_rings, .context = &word});
    struct q_rawring ring;
    assert_int_equal(q_rawring_open(&ring, q_sim_sys(sim), Q_RAWRING_DEFAULT_FLAGS, 8, 16), 0);
    for (int32_t expected = 0; expected >= -EAGAIN; expected -= EAGAIN) { // woken; then the word differs at once
        struct io_uring_sqe *sqe = q_rawring_sqe(&ring, 1);
        sqe->opcode = Q_URING_OP_FUTEX_WAIT;
        sqe->fd = (int)(Q_URING_FUTEX2_SIZE_U32 | Q_URING_FUTEX2_PRIVATE);
        sqe->addr = (uint64_t)(uintptr_t)&word;
        sqe->addr3 = Q_URING_FUTEX_MATCH_ANY;
        struct io_uring_cqe cqe;
        assert_int_equal(q_rawring_await(&ring, Q_RAWRING_NO_TIMEOUT, &cqe), expected);
    }
    q_rawring_close(&ring);
    q_sim_free(sim);
}

static void what_a_kernel_allows_and_quoit_must_not_is_a_violation(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){0});
    struct q_sys_uring *sys = q_sim_sys(f->sim);
    q_rawring_socket(&f->ring, 1, 0);
    q_rawring_socket(&f->ring, 2, 0);
    assert_int_equal(await(f), 0);
    assert_int_equal(await(f), 0);
    assert_int_equal(q_sim_violations(f->sim), 1);
    q_rawring_close_slot(&f->ring, 3, 0);
    assert_int_equal(await(f), 0);
    sys->close(sys, 5);
    assert_int_equal(q_sim_violations(f->sim), 2);
    connect_slot(f, 1);
    q_rawring_give(&f->ring, 1);
    q_rawring_give(&f->ring, 1);
    q_rawring_receive(&f->ring, 4, 1);
    q_rawring_submit(&f->ring);
    assert_int_equal(q_sim_violations(f->sim), 4); // the same id, and the same memory
    q_sim_conn_pause(f->conn, true);
    static char bytes[1 << 20];
    q_rawring_send(&f->ring, 5, 1, bytes, sizeof bytes);
    q_rawring_submit(&f->ring);
    bytes[3] = 'x';
    q_rawring_cancel_slot(&f->ring, 6, 1);
    for (int i = 0; i < 3; i++) {
        await(f);
    }
    assert_int_equal(q_sim_violations(f->sim), 5);
    assert_non_null(strstr(q_sim_violation(f->sim, 4), "changed"));
    end_slot(f, 1);
    close_fixture(f, 5);
    free(f);
}

// Everything that a seed decides, in one number.
static uint64_t fingerprint(uint64_t seed) {
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, (struct q_sim_options){.seed = seed});
    connect_slot(f, 0);
    static char bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)i;
    }
    q_sim_conn_send(f->conn, bytes, sizeof bytes);
    q_sim_conn_fin(f->conn);
    uint64_t hash = seed != 0;
    size_t total = 0;
    for (uint16_t i = 0;; i = (uint16_t)((i + 1) % 8)) {
        struct io_uring_cqe cqe;
        q_rawring_give(&f->ring, i);
        q_rawring_receive(&f->ring, 1000, 0);
        int32_t result = q_rawring_await(&f->ring, Q_RAWRING_NO_TIMEOUT, &cqe);
        if (result <= 0) {
            assert_int_equal(result, 0);
            break;
        }
        uint16_t id = (uint16_t)(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        assert_memory_equal(q_rawring_buffer(&f->ring, id), bytes + total, (size_t)result);
        total += (size_t)result;
        hash = hash * 31 + (uint64_t)result + q_sim_now(f->sim);
    }
    assert_int_equal(total, sizeof bytes);
    end_slot(f, 0);
    close_fixture(f, 0);
    free(f);
    return hash;
}

static void a_seed_decides_the_whole_run(void **state) {
    (void)state;
    unsigned differ = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t first = fingerprint(seed);
        assert_int_equal(first, fingerprint(seed));
        differ += first != fingerprint(seed + 1);
    }
    assert_true(differ > 45);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setup_with_unknown_flags_is_refused),
        cmocka_unit_test(a_profile_takes_features_away_and_refuses_on_demand),
        cmocka_unit_test(a_nop_goes_round),
        cmocka_unit_test(a_ring_lives_on_in_its_registered_index),
        cmocka_unit_test(a_disabled_ring_works_once_enabled),
        cmocka_unit_test(bytes_go_both_ways_and_fin_follows),
        cmocka_unit_test(an_option_reaches_the_socket),
        cmocka_unit_test(a_full_send_buffer_blocks_until_the_peer_reads),
        cmocka_unit_test(a_reset_lets_what_has_arrived_be_read_and_is_told_once),
        cmocka_unit_test(unread_bytes_at_close_become_a_reset_for_the_peer),
        cmocka_unit_test(a_connect_is_refused_unreachable_late_or_never_answered),
        cmocka_unit_test(one_enter_runs_twenty_completions_and_says_that_there_are_more),
        cmocka_unit_test(completions_without_room_wait_outside_the_ring),
        cmocka_unit_test(a_wait_ends_at_its_timeout_and_a_hopeless_one_is_reported),
        cmocka_unit_test(the_host_acts_when_the_loop_would_sleep),
        cmocka_unit_test(what_a_kernel_allows_and_quoit_must_not_is_a_violation),
        cmocka_unit_test(a_seed_decides_the_whole_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

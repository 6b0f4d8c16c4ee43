// A close whose cancel does not find what is in flight: the kernel's do not see what is on its way to a worker thread. On
// the simulated kernel, which says when that is so.
#include "tests/engine/loop/ring_rig.h"

#include <stdlib.h>

#include "engine/loop/uring_abi.h"
#include "tests/support/simnet.h"

enum { LEN = 1 << 20 }; // more than the connection takes

static void stop_reading(void *context, struct q_sim_conn *conn) {
    (void)context;
    q_sim_conn_pause(conn, true);
}

static void start_rig(struct rig *rig, enum q_sim_answer answer) {
    static const struct q_sim_peer k_peer = {.on_open = stop_reading};
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    q_sim_listen(sim, "127.0.0.1", 80, &(struct q_sim_listener){.answer = answer, .peer = &k_peer});
    rig_open(rig, (struct rig_options){.sim = sim});
}

static void stop_rig(struct rig *rig) {
    struct q_sim *sim = rig->sim;
    while (q_sim_step(sim, UINT64_MAX)) {
        // the peers see the end
    }
    rig_close(rig);
    q_sim_free(sim);
}

// With a receive beside it, the first cancel has found something all the same.
static void a_close_ends_a_send_that_cancels_did_not_find(void **state) {
    (void)state;
    char *bytes = calloc(1, LEN);
    assert_non_null(bytes);
    for (unsigned misses = 0; misses <= 3; misses++) {
        for (int has_receive = 0; has_receive < 2; has_receive++) {
            struct rig rig;
            start_rig(&rig, Q_SIM_ACCEPT);
            struct q_io_slot slot = rig_connect(&rig, &rig.address);
            struct rig_op send_op = rig_op(&rig), recv_op = rig_op(&rig), close_op = rig_op(&rig);
            struct iovec part = {.iov_base = bytes, .iov_len = LEN};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
            q_io_send(rig.io, slot, &send_op.op, &message);
            if (has_receive) {
                q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
            }
            rig_turn(&rig, 0);
            assert_int_equal(send_op.times, 0);
            q_sim_miss_cancels(rig.sim, IORING_OP_SEND, misses);
            q_io_close(rig.io, slot, &close_op.op);
            assert_int_equal(rig_await(&rig, &close_op), 0);
            assert_int_equal(send_op.times, 1);
            assert_int_equal(recv_op.times, has_receive);
            stop_rig(&rig);
        }
    }
    free(bytes);
}

static void a_close_ends_a_connect_that_cancels_did_not_find(void **state) {
    (void)state;
    for (unsigned misses = 0; misses <= 3; misses++) {
        struct rig rig;
        struct q_io_slot slot;
        start_rig(&rig, Q_SIM_BLACKHOLE);
        struct rig_op connect_op = rig_op(&rig), close_op = rig_op(&rig);
        struct q_io_connect params = {.address = (struct sockaddr *)&rig.address, .address_len = sizeof rig.address};
        assert_false(q_error_is(q_io_open(rig.io, &slot)));
        q_io_connect(rig.io, slot, &connect_op.op, &params);
        rig_turn(&rig, 0);
        uint64_t before_ns = q_clock_now(q_sim_clock(rig.sim));
        q_sim_miss_cancels(rig.sim, IORING_OP_CONNECT, misses);
        q_io_close(rig.io, slot, &close_op.op);
        assert_int_equal(rig_await(&rig, &close_op), 0);
        assert_int_equal(connect_op.times, 1);
        assert_true(q_clock_now(q_sim_clock(rig.sim)) - before_ns < Q_NS_PER_S); // not when the kernel gives it up
        stop_rig(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_ends_a_send_that_cancels_did_not_find),
        cmocka_unit_test(a_close_ends_a_connect_that_cancels_did_not_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Ending our direction of a connection, on the real kernel on each rung of the ladder: a worker thread of the kernel's
// does it, so it may be late for anything.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int32_t send_ping(struct rig *rig, struct q_io_slot slot) {
    struct rig_op op = rig_op(rig);
    struct iovec part = {.iov_base = "ping", .iov_len = 4};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    q_io_send(rig->io, slot, &op.op, &message);
    return rig_await(rig, &op);
}

static void half_of_a_connection_ends_behind_what_was_sent(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    assert_int_equal(send_ping(&rig, slot), 4);
    struct rig_op op = rig_op(&rig);
    q_io_shutdown(rig.io, slot, &op.op);
    assert_int_equal(op.times, 0); // never from inside the call
    assert_int_equal(rig_await(&rig, &op), 0);
    char got[8];
    assert_int_equal(recv(peer, got, sizeof got, MSG_WAITALL), 4); // and the end
    assert_memory_equal(got, "ping", 4);
    assert_int_equal(send_ping(&rig, slot), -EPIPE);
    // The other half goes on.
    assert_int_equal(send(peer, "pong", 4, MSG_NOSIGNAL), 4);
    struct rig_op recv_op = rig_op(&rig);
    q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &recv_op), 4);
    assert_memory_equal(recv_op.op.chunk->data, "pong", 4);
    q_chunk_release(recv_op.op.chunk);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

// The kernel looks the slot up when it comes to it, and may find it empty (EBADF). It never finds another socket there:
// a slot is free again when the shutdown is over, too.
static void a_close_right_behind_it_waits_for_it(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (int i = 0; i < 20; i++) {
        struct q_io_slot slot = rig_connect(&rig, &rig.address);
        int peer = rig_accept(&rig);
        struct rig_op op = rig_op(&rig);
        q_io_shutdown(rig.io, slot, &op.op);
        if (i % 2 == 1) {
            rig_turn(&rig, 0); // the kernel has it
        }
        rig_shut(&rig, slot);
        assert_int_equal(op.times, 1);
        assert_true(op.result == 0 || op.result == -ECANCELED || op.result == -EBADF);
        assert_true(rig_ends(peer));
        close(peer);
    }
    rig_close(&rig);
}

static void without_a_connection_it_is_an_errno(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(peer);
    struct rig_op recv_op = rig_op(&rig);
    q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &recv_op), -ECONNRESET);
    struct rig_op op = rig_op(&rig);
    q_io_shutdown(rig.io, slot, &op.op);
    assert_int_equal(rig_await(&rig, &op), -ENOTCONN);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(half_of_a_connection_ends_behind_what_was_sent),
        RIG_ON_EACH_RUNG(a_close_right_behind_it_waits_for_it),
        RIG_ON_EACH_RUNG(without_a_connection_it_is_an_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

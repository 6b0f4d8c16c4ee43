// The ring's operations: on the real kernel on each rung of the ladder, and on the simulated one where something must
// fail that cannot be made to fail on the real one.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"
#include "tests/support/simnet.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint32_t slots_open(struct rig *rig) {
    return q_io_get_stats(rig->io)->slots_open;
}

// The bell has a slot of its own; this is what is open beside it.
static uint32_t users_slots(struct rig *rig) {
    return slots_open(rig) - 1;
}

static void recv_text(struct rig *rig, struct q_io_slot slot, const char *text) {
    struct rig_op op = rig_op(rig);
    size_t len = strlen(text);
    q_io_recv(rig->io, slot, &op.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(rig, &op), len);
    assert_non_null(op.op.chunk);
    assert_memory_equal(op.op.chunk->data, text, len);
    q_chunk_release(op.op.chunk);
}

static void peer_says(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void peer_hears(int fd, const char *text) {
    char got[256];
    size_t len = strlen(text);
    assert_true(len <= sizeof got);
    assert_int_equal(recv(fd, got, len, MSG_WAITALL), (ssize_t)len);
    assert_memory_equal(got, text, len);
}

// --- on each rung ----------------------------------------------------------------------------------------------------

static void a_connection_carries_bytes_both_ways(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op send_op = rig_op(&rig);
    struct iovec part = {.iov_base = "ping", .iov_len = 4};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    q_io_send(rig.io, slot, &send_op.op, &message);
    assert_int_equal(send_op.times, 0); // never from inside the call
    assert_int_equal(rig_await(&rig, &send_op), 4);
    peer_hears(peer, "ping");
    peer_says(peer, "pong");
    recv_text(&rig, slot, "pong");
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_refused_connect_says_so(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct rig_op op = rig_op(&rig);
    struct q_io_option option = {IPPROTO_TCP, TCP_NODELAY, 1, NULL};
    struct q_io_connect params = {.address = (struct sockaddr *)&rig.nobody,
                                  .address_len = sizeof rig.nobody,
                                  .options = &option,
                                  .num_options = 1};
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    q_io_connect(rig.io, slot, &op.op, &params);
    assert_int_equal(rig_await(&rig, &op), -ECONNREFUSED);
    rig_shut(&rig, slot);
    assert_int_equal(users_slots(&rig), 0);
    rig_close(&rig);
}

static void an_option_that_the_kernel_refuses_fails_the_connect_with_its_errno(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct rig_op op = rig_op(&rig);
    struct q_io_option options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1, NULL}, {IPPROTO_TCP, TCP_KEEPIDLE, -5, NULL}, {SOL_SOCKET, SO_KEEPALIVE, 1, NULL}};
    struct q_io_connect params = {.address = (struct sockaddr *)&rig.address,
                                  .address_len = sizeof rig.address,
                                  .options = options,
                                  .num_options = Q_COUNT_OF(options)};
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    q_io_connect(rig.io, slot, &op.op, &params);
    assert_int_equal(rig_await(&rig, &op), -EINVAL); // not ECANCELED, nor what the later steps say
    assert_int_equal(op.times, 1);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

static void the_end_of_the_stream_is_zero_bytes_without_a_chunk(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    peer_says(peer, "last words");
    shutdown(peer, SHUT_WR);
    recv_text(&rig, slot, "last words");
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &op), 0);
    assert_null(op.op.chunk);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_reset_is_an_errno_without_a_chunk(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct linger linger = {.l_onoff = 1};
    struct rig_op op = rig_op(&rig);
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(peer);
    assert_int_equal(rig_await(&rig, &op), -ECONNRESET);
    assert_null(op.op.chunk);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

static void a_gathered_send_arrives_in_order(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    struct iovec parts[Q_IO_SEND_PARTS_MAX] = {{"a", 1}, {"bc", 2}, {"", 0}, {"defghij", 7}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = Q_COUNT_OF(parts)};
    q_io_send(rig.io, slot, &op.op, &message);
    assert_int_equal(rig_await(&rig, &op), 10);
    peer_hears(peer, "abcdefghij");
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_send_larger_than_the_socket_waits_for_its_peer(void **state) {
    enum { LEN = 16 << 20 };
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    char *bytes = malloc(LEN);
    memset(bytes, 'z', LEN);
    struct iovec part = {.iov_base = bytes, .iov_len = LEN};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    q_io_send(rig.io, slot, &op.op, &message);
    rig_turn(&rig, 0);
    assert_int_equal(op.times, 0);
    char *got = malloc(1 << 20);
    size_t total = 0;
    while (total < LEN) {
        ssize_t len = recv(peer, got, 1 << 20, MSG_DONTWAIT);
        total += len > 0 ? (size_t)len : 0;
        rig_turn(&rig, op.times == 0 && len <= 0 ? Q_NS_PER_MS : 0);
    }
    assert_int_equal(rig_await(&rig, &op), LEN);
    free(got);
    free(bytes);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_send_to_a_peer_that_is_gone_fails_without_a_signal(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct linger linger = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(peer);
    int32_t result = 0;
    for (int i = 0; i < 2; i++) { // the first may still find the reset, the second finds a dead socket: EPIPE
        struct rig_op op = rig_op(&rig);
        struct iovec part = {.iov_base = "x", .iov_len = 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        q_io_send(rig.io, slot, &op.op, &message);
        result = rig_await(&rig, &op);
    }
    assert_int_equal(result, -EPIPE);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

static void a_close_ends_the_armed_receive_first_and_the_peer_sees_a_fin(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op recv_op = rig_op(&rig), close_op = rig_op(&rig);
    q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, 0);
    q_io_close(rig.io, slot, &close_op.op);
    assert_int_equal(rig_await(&rig, &close_op), 0);
    assert_int_equal(recv_op.times, 1);
    assert_true(recv_op.result < 0);
    assert_null(recv_op.op.chunk);
    assert_true(recv_op.order < close_op.order);
    assert_int_equal(users_slots(&rig), 0);
    assert_true(rig_ends(peer));
    close(peer);
    rig_close(&rig);
}

static void a_close_ends_a_send_that_is_stuck(void **state) {
    enum { LEN = 32 << 20 };
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op send_op = rig_op(&rig), recv_op = rig_op(&rig), close_op = rig_op(&rig);
    char *bytes = calloc(1, LEN);
    struct iovec part = {.iov_base = bytes, .iov_len = LEN};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    q_io_send(rig.io, slot, &send_op.op, &message);
    q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, 0);
    rig_turn(&rig, 0);
    assert_int_equal(send_op.times, 0);
    q_io_close(rig.io, slot, &close_op.op);
    assert_int_equal(rig_await(&rig, &close_op), 0);
    assert_int_equal(send_op.times, 1);
    assert_true(send_op.result < LEN); // an errno, or the part that went out
    assert_int_equal(recv_op.times, 1);
    assert_true(close_op.order > send_op.order && close_op.order > recv_op.order);
    free(bytes); // nobody looks at them any more
    close(peer);
    rig_close(&rig);
}

static void a_close_ends_a_connect_that_hangs(void **state) {
    struct rig rig;
    struct sockaddr_in full;
    struct q_io_slot slots[3];
    struct rig_op connects[3];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    int listener = rig_listen(&full, 0); // takes one; the next ones hang, as with a host that drops packets
    struct q_io_connect params = {.address = (struct sockaddr *)&full, .address_len = sizeof full};
    for (size_t i = 0; i < 3; i++) {
        connects[i] = rig_op(&rig);
        assert_false(q_error_is(q_io_open(rig.io, &slots[i])));
        q_io_connect(rig.io, slots[i], &connects[i].op, &params);
    }
    assert_int_equal(rig_await(&rig, &connects[0]), 0);
    assert_int_equal(connects[2].times, 0);
    for (size_t i = 0; i < 3; i++) {
        rig_shut(&rig, slots[i]);
        assert_int_equal(connects[i].times, 1);
    }
    assert_true(connects[2].result < 0);
    close(listener);
    rig_close(&rig);
}

static void a_close_right_behind_the_start_ends_everything(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct rig_op connect_op = rig_op(&rig), close_op = rig_op(&rig);
    struct q_io_connect params = {.address = (struct sockaddr *)&rig.address, .address_len = sizeof rig.address};
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    q_io_connect(rig.io, slot, &connect_op.op, &params);
    q_io_close(rig.io, slot, &close_op.op); // in the same submit
    assert_int_equal(rig_await(&rig, &close_op), 0);
    assert_int_equal(connect_op.times, 1);
    assert_true(connect_op.order < close_op.order);
    assert_int_equal(users_slots(&rig), 0);
    rig_close(&rig);
}

static void a_slot_that_was_never_connected_closes_from_a_turn(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct rig_op op = rig_op(&rig);
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    q_io_close(rig.io, slot, &op.op);
    assert_int_equal(op.times, 0);
    assert_int_equal(rig_await(&rig, &op), 0);
    assert_int_equal(users_slots(&rig), 0);
    rig_close(&rig);
}

static void a_slot_in_use_again_has_a_new_generation(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot last = {0};
    for (int i = 0; i < 5; i++) {
        struct q_io_slot slot = rig_connect(&rig, &rig.address);
        int peer = rig_accept(&rig);
        if (i > 0) {
            assert_int_equal(slot.index, last.index);
            assert_true(slot.generation > last.generation);
            assert_null(q_ring_slot(rig.ring, last));
        }
        assert_non_null(q_ring_slot(rig.ring, slot));
        peer_says(peer, "fresh");
        recv_text(&rig, slot, "fresh");
        rig_shut(&rig, slot);
        assert_null(q_ring_slot(rig.ring, slot));
        assert_true(rig_ends(peer));
        close(peer);
        last = slot;
    }
    rig_close(&rig);
}

static void an_installed_eventfd_is_signalled_and_its_number_not_kept(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    eventfd_t count = 0;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    int host = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int given = dup(host);
    assert_false(q_error_is(q_io_install(rig.io, given, &slot)));
    close(given);
    q_io_signal(rig.io, slot);
    rig_settle(&rig);
    assert_int_equal(eventfd_read(host, &count), 0);
    assert_int_equal(count, 1);
    for (int i = 0; i < 3; i++) {
        q_io_signal(rig.io, slot); // before a turn: they may become one, but not none
    }
    rig_settle(&rig);
    assert_int_equal(eventfd_read(host, &count), 0);
    assert_in_range(count, 1, 3);
    q_io_signal(rig.io, slot);
    rig_settle(&rig);
    assert_int_equal(eventfd_read(host, &count), 0);
    rig_shut(&rig, slot);
    close(host);
    rig_close(&rig);
}

static void a_signal_while_one_is_in_flight_is_not_lost(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    eventfd_t count = 0;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    int host = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_false(q_error_is(q_io_install(rig.io, host, &slot)));
    q_io_signal(rig.io, slot);
    // To the kernel, but not yet reaped: the host may have read the count by the time of the second signal.
    q_ring_enter(rig.ring, q_ring_flush(rig.ring), 0, NULL);
    assert_int_equal(eventfd_read(host, &count), 0);
    q_io_signal(rig.io, slot);
    rig_settle(&rig);
    assert_int_equal(eventfd_read(host, &count), 0);
    assert_int_equal(count, 1);
    rig_shut(&rig, slot);
    close(host);
    rig_close(&rig);
}

static void a_bad_descriptor_is_not_installed(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_error error = q_io_install(rig.io, 1 << 20, &slot);
    assert_int_equal(error.code, Q_ERR_SOCKET_FAILED);
    assert_int_equal(error.os_errno, EBADF);
    assert_int_equal(users_slots(&rig), 0);
    rig_close(&rig);
}

static void sockets_have_no_numbers_while_they_live(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    size_t before = rig_count_fds();
    struct q_io_slot slots[4];
    for (size_t i = 0; i < 4; i++) {
        slots[i] = rig_connect(&rig, &rig.address);
    }
    assert_int_equal(rig_count_fds(), before);
    for (size_t i = 0; i < 4; i++) {
        rig_shut(&rig, slots[i]);
    }
    rig_close(&rig);
}

static void more_connects_than_the_queue_holds_all_come_through(void **state) {
    enum { CONNECTIONS = 24 };
    struct rig rig;
    struct q_io_slot slots[CONNECTIONS];
    struct rig_op ops[CONNECTIONS];
    struct q_io_option options[8];
    rig_open(&rig, (struct rig_options){
                       .capabilities_off = rig_rung_of(state), .num_slots = CONNECTIONS + 1, .sq_entries = 16});
    for (size_t i = 0; i < Q_COUNT_OF(options); i++) {
        options[i] = (struct q_io_option){IPPROTO_TCP, TCP_NODELAY, 1, NULL};
    }
    struct q_io_connect params = {.address = (struct sockaddr *)&rig.address,
                                  .address_len = sizeof rig.address,
                                  .options = options,
                                  .num_options = Q_COUNT_OF(options)};
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ops[i] = rig_op(&rig);
        assert_false(q_error_is(q_io_open(rig.io, &slots[i])));
        q_io_connect(rig.io, slots[i], &ops[i].op, &params); // ten entries each: a cut chain would not connect
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(rig_await(&rig, &ops[i]), 0);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        rig_shut(&rig, slots[i]);
    }
    rig_close(&rig);
}

// --- slots -----------------------------------------------------------------------------------------------------------

static void the_last_slot_is_followed_by_an_error(void **state) {
    (void)state;
    struct rig rig;
    struct q_io_slot slots[4];
    rig_open(&rig, (struct rig_options){.num_slots = 4});
    for (size_t i = 0; i < 3; i++) { // the bell has one
        assert_false(q_error_is(q_io_open(rig.io, &slots[i])));
    }
    assert_int_equal(q_io_open(rig.io, &slots[3]).code, Q_ERR_FD_LIMIT);
    rig_shut(&rig, slots[1]);
    assert_false(q_error_is(q_io_open(rig.io, &slots[3])));
    assert_int_equal(slots[3].index, slots[1].index);
    rig_shut(&rig, slots[0]);
    rig_shut(&rig, slots[2]);
    rig_shut(&rig, slots[3]);
    rig_close(&rig);
}

static void a_slot_whose_generation_is_used_up_is_never_used_again(void **state) {
    (void)state;
    struct rig rig;
    struct q_io_slot slot, next;
    rig_open(&rig, (struct rig_options){0});
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    rig.ring->slots[slot.index].generation = Q_IO_GENERATION_MAX;
    slot.generation = Q_IO_GENERATION_MAX;
    rig_shut(&rig, slot);
    assert_null(q_ring_slot(rig.ring, slot));
    assert_false(q_error_is(q_io_open(rig.io, &next)));
    assert_true(next.index != slot.index);
    rig_shut(&rig, next);
    rig_close(&rig);
}

static void a_name_goes_through_user_data_and_back(void **state) {
    (void)state;
    static const struct q_io_slot k_slots[] = {{.generation = 1, .index = 0},
                                               {.generation = Q_IO_GENERATION_MAX, .index = Q_IO_SLOTS_MAX - 1},
                                               {.generation = 0x123456789, .index = 0x54321}};
    for (size_t i = 0; i < Q_COUNT_OF(k_slots); i++) {
        for (int kind = 0; kind < Q_IO_KINDS; kind++) {
            uint64_t word = q_io_user_data((enum q_io_kind)kind, k_slots[i]);
            assert_int_equal(q_io_user_data_kind(word), kind);
            assert_true(q_io_user_data_slot(word).generation == k_slots[i].generation);
            assert_int_equal(q_io_user_data_slot(word).index, k_slots[i].index);
        }
    }
}

static void a_completion_for_a_dead_generation_is_counted_and_dropped(void **state) {
    (void)state;
    struct rig rig;
    struct q_list done;
    rig_open(&rig, (struct rig_options){0});
    struct q_io_slot old = rig_connect(&rig, &rig.address);
    rig_shut(&rig, old);
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    assert_int_equal(slot.index, old.index);
    struct rig_op op = rig_op(&rig);
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, 0);
    uint16_t in_flight = q_ring_slot(rig.ring, slot)->in_flight;
    uint32_t out = rig.pool.num_out;
    // What a late completion would look like, a buffer of ours in its hands.
    struct io_uring_cqe cqe = {.user_data = q_io_user_data(Q_IO_RECV, old),
                               .res = 5,
                               .flags = IORING_CQE_F_BUFFER | (3u << IORING_CQE_BUFFER_SHIFT)};
    q_list_init(&done);
    q_ring_complete(rig.ring, &cqe, &done);
    assert_true(q_list_is_empty(&done));
    assert_int_equal(q_io_get_stats(rig.io)->stale_completions, 1);
    assert_int_equal(q_ring_slot(rig.ring, slot)->in_flight, in_flight); // the new tenant does not notice
    assert_int_equal(rig.pool.num_out, out - 1);                         // and the buffer is back
    assert_int_equal(op.times, 0);
    cqe = (struct io_uring_cqe){.user_data = q_io_user_data((enum q_io_kind)(Q_IO_KINDS + 3), slot)};
    q_ring_complete(rig.ring, &cqe, &done);
    assert_int_equal(q_io_get_stats(rig.io)->stale_completions, 2);
    rig_shut(&rig, slot);
    assert_int_equal(op.times, 1);
    rig_close(&rig);
}

// --- on the simulated kernel -----------------------------------------------------------------------------------------

static struct q_sim *sim_with_listener(uint64_t seed, const struct q_sim_listener *listener,
                                       struct q_sim_profile profile) {
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){.seed = seed, .profile = profile});
    q_sim_listen(sim, "127.0.0.1", 80, listener);
    return sim;
}

static int32_t connect_result(struct rig *rig, struct q_io_slot *slot) {
    static const struct q_io_option k_options[] = {{IPPROTO_TCP, TCP_NODELAY, 1, NULL}, {SOL_SOCKET, SO_KEEPALIVE, 1, NULL}};
    struct q_io_connect params = {.address = (struct sockaddr *)&rig->address,
                                  .address_len = sizeof rig->address,
                                  .options = k_options,
                                  .num_options = Q_COUNT_OF(k_options)};
    struct rig_op op = rig_op(rig);
    assert_false(q_error_is(q_io_open(rig->io, slot)));
    q_io_connect(rig->io, *slot, &op.op, &params);
    return rig_await(rig, &op);
}

static void sim_done(struct rig *rig) {
    struct q_sim *sim = rig->sim;
    while (q_sim_step(sim, UINT64_MAX)) {
        // the peers see the end
    }
    rig_close(rig);
    q_sim_free(sim);
}

static void options_are_set_before_the_connect(void **state) {
    (void)state;
    for (int by_number = 0; by_number < 2; by_number++) {
        struct rig rig;
        struct q_io_slot slot;
        struct q_sim_profile profile = {.no_socket_cmd = by_number != 0};
        rig_open(&rig, (struct rig_options){.sim = sim_with_listener(0, &(struct q_sim_listener){0}, profile)});
        assert_int_equal((q_ring_capabilities(rig.ring) & Q_RING_DIRECT_SOCKET) != 0, !by_number);
        assert_int_equal(connect_result(&rig, &slot), 0);
        struct q_sim_conn *conn = q_sim_conn_at(rig.sim, 0);
        assert_non_null(conn);
        assert_int_equal(q_sim_conn_option(conn, IPPROTO_TCP, TCP_NODELAY, -1), 1);
        assert_int_equal(q_sim_conn_option(conn, SOL_SOCKET, SO_KEEPALIVE, -1), 1);
        rig_shut(&rig, slot);
        sim_done(&rig);
    }
}

static void a_socket_that_cannot_be_made_is_an_errno_at_its_own_step(void **state) {
    (void)state;
    struct rig rig;
    struct q_io_slot slot;
    rig_open(&rig,
             (struct rig_options){.sim = sim_with_listener(0, &(struct q_sim_listener){0}, (struct q_sim_profile){0})});
    q_sim_fail_op(rig.sim, IORING_OP_SOCKET, 1, ENFILE);
    assert_int_equal(connect_result(&rig, &slot), -ENFILE);
    rig_shut(&rig, slot);
    q_sim_fail_op(rig.sim, Q_URING_OP_URING_CMD, 2, ENOMEM);
    assert_int_equal(connect_result(&rig, &slot), -ENOMEM);
    rig_shut(&rig, slot);
    assert_int_equal(connect_result(&rig, &slot), 0);
    rig_shut(&rig, slot);
    sim_done(&rig);
}

static void a_numbered_socket_that_cannot_be_made_leaves_no_number(void **state) {
    (void)state;
    struct rig rig;
    struct q_io_slot slot;
    struct q_sim_profile profile = {.no_socket_cmd = true};
    rig_open(&rig, (struct rig_options){.sim = sim_with_listener(0, &(struct q_sim_listener){0}, profile)});
    size_t numbers = q_sim_leaks(rig.sim).numbers;
    q_sim_fail_call(rig.sim, "socket", 1, EMFILE);
    assert_int_equal(connect_result(&rig, &slot), -EMFILE);
    rig_shut(&rig, slot);
    q_sim_fail_call(rig.sim, "setsockopt", 2, ENOBUFS);
    assert_int_equal(connect_result(&rig, &slot), -ENOBUFS);
    rig_shut(&rig, slot);
    q_sim_fail_register(rig.sim, IORING_REGISTER_FILES_UPDATE, 1, ENOMEM);
    assert_int_equal(connect_result(&rig, &slot), -ENOMEM);
    rig_shut(&rig, slot);
    assert_int_equal(connect_result(&rig, &slot), 0);
    rig_shut(&rig, slot);
    assert_int_equal(q_sim_leaks(rig.sim).numbers, numbers);
    sim_done(&rig);
}

static void an_unreachable_peer_and_one_that_never_answers_have_their_errnos(void **state) {
    (void)state;
    static const struct {
        enum q_sim_answer answer;
        int32_t result;
    } k_cases[] = {{Q_SIM_REFUSE, -ECONNREFUSED}, {Q_SIM_UNREACHABLE, -EHOSTUNREACH}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct rig rig;
        struct q_io_slot slot;
        struct q_sim_listener listener = {.answer = k_cases[i].answer, .delay_ns = Q_NS_PER_S};
        rig_open(&rig, (struct rig_options){.sim = sim_with_listener(0, &listener, (struct q_sim_profile){0})});
        assert_int_equal(connect_result(&rig, &slot), k_cases[i].result);
        rig_shut(&rig, slot);
        sim_done(&rig);
    }
}

static void a_close_at_any_moment_of_a_random_world_leaves_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig rig;
        struct q_io_slot slot;
        rig_open(&rig,
                 (struct rig_options){.sim = sim_with_listener(seed, &(struct q_sim_listener){.delay_ns = Q_NS_PER_MS},
                                                               (struct q_sim_profile){0})});
        struct rig_op connect_op = rig_op(&rig), recv_op = rig_op(&rig), close_op = rig_op(&rig);
        struct q_io_connect params = {.address = (struct sockaddr *)&rig.address, .address_len = sizeof rig.address};
        assert_false(q_error_is(q_io_open(rig.io, &slot)));
        q_io_connect(rig.io, slot, &connect_op.op, &params);
        for (uint64_t turns = seed % 8; turns > 0; turns--) {
            rig_turn(&rig, 200 * Q_NS_PER_US);
        }
        if (connect_op.times > 0) {
            assert_int_equal(connect_op.result, 0);
            q_io_recv(rig.io, slot, &recv_op.op, Q_IO_RECV_ANY);
        }
        q_io_close(rig.io, slot, &close_op.op);
        assert_int_equal(rig_await(&rig, &close_op), 0);
        assert_int_equal(connect_op.times, 1);
        assert_false(recv_op.op.busy);
        sim_done(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(a_connection_carries_bytes_both_ways),
        RIG_ON_EACH_RUNG(a_refused_connect_says_so),
        RIG_ON_EACH_RUNG(an_option_that_the_kernel_refuses_fails_the_connect_with_its_errno),
        RIG_ON_EACH_RUNG(the_end_of_the_stream_is_zero_bytes_without_a_chunk),
        RIG_ON_EACH_RUNG(a_reset_is_an_errno_without_a_chunk),
        RIG_ON_EACH_RUNG(a_gathered_send_arrives_in_order),
        RIG_ON_EACH_RUNG(a_send_larger_than_the_socket_waits_for_its_peer),
        RIG_ON_EACH_RUNG(a_send_to_a_peer_that_is_gone_fails_without_a_signal),
        RIG_ON_EACH_RUNG(a_close_ends_the_armed_receive_first_and_the_peer_sees_a_fin),
        RIG_ON_EACH_RUNG(a_close_ends_a_send_that_is_stuck),
        RIG_ON_EACH_RUNG(a_close_ends_a_connect_that_hangs),
        RIG_ON_EACH_RUNG(a_close_right_behind_the_start_ends_everything),
        RIG_ON_EACH_RUNG(a_slot_that_was_never_connected_closes_from_a_turn),
        RIG_ON_EACH_RUNG(a_slot_in_use_again_has_a_new_generation),
        RIG_ON_EACH_RUNG(an_installed_eventfd_is_signalled_and_its_number_not_kept),
        RIG_ON_EACH_RUNG(a_signal_while_one_is_in_flight_is_not_lost),
        RIG_ON_EACH_RUNG(a_bad_descriptor_is_not_installed),
        RIG_ON_EACH_RUNG(sockets_have_no_numbers_while_they_live),
        RIG_ON_EACH_RUNG(more_connects_than_the_queue_holds_all_come_through),
        cmocka_unit_test(the_last_slot_is_followed_by_an_error),
        cmocka_unit_test(a_slot_whose_generation_is_used_up_is_never_used_again),
        cmocka_unit_test(a_name_goes_through_user_data_and_back),
        cmocka_unit_test(a_completion_for_a_dead_generation_is_counted_and_dropped),
        cmocka_unit_test(options_are_set_before_the_connect),
        cmocka_unit_test(a_socket_that_cannot_be_made_is_an_errno_at_its_own_step),
        cmocka_unit_test(a_numbered_socket_that_cannot_be_made_leaves_no_number),
        cmocka_unit_test(an_unreachable_peer_and_one_that_never_answers_have_their_errnos),
        cmocka_unit_test(a_close_at_any_moment_of_a_random_world_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

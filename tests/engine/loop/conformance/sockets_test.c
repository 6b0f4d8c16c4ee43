// Conformance of sockets in slots: making, connecting, receiving, sending, ending. See stage.h.
#define _GNU_SOURCE
#include "tests/engine/loop/conformance/stage.h"

#include "engine/base/check.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

static char k_bytes[8 << 20]; // zeros to send
static const int k_on = 1;

static void link_last(struct io_uring_sqe *sqe) { sqe->flags |= IOSQE_IO_LINK; }

static void give(struct stage *stage, unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        q_rawring_give(&stage->ring, (uint16_t)(first + i));
    }
}

static struct io_uring_sqe *connect_to(struct stage *stage, uint64_t user_data, unsigned slot,
                                       const struct sockaddr_in *address) {
    return q_rawring_connect(&stage->ring, user_data, slot, (const struct sockaddr *)address, sizeof *address);
}

// --- slots -------------------------------------------------------------------------------------------------------

static void sockets_in_slots(struct stage *stage) {
    q_rawring_socket(&stage->ring, 1, 0);
    q_rawring_socket(&stage->ring, 2, STAGE_SLOTS);
    q_rawring_socket(&stage->ring, 3, 1)->off = SOCK_STREAM | SOCK_CLOEXEC;
    stage_note_cqes(stage, 3);
    q_rawring_close_slot(&stage->ring, 4, 0);
    q_rawring_close_slot(&stage->ring, 5, 0);
    q_rawring_close_slot(&stage->ring, 6, STAGE_SLOTS);
    q_rawring_close_slot(&stage->ring, 7, 1)->flags |= IOSQE_FIXED_FILE;
    stage_note_cqes(stage, 4);
}

static void no_table(struct stage *stage) {
    stage_note(stage, "%d ", stage->sys->reg(stage->sys, stage->ring.fd, IORING_UNREGISTER_FILES, NULL, 0));
    q_rawring_socket(&stage->ring, 1, 0);
    q_rawring_close_slot(&stage->ring, 2, 0);
    stage_note_cqes(stage, 2);
}

static void an_occupied_slot(struct stage *stage) {
    stage_connect(stage, 0);
    stage_note_peer(stage);
    q_rawring_socket(&stage->ring, 1, 0);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage); // the old one is closed without a word
    stage_end_slot(stage, 0);
}

static void installing_by_number(struct stage *stage) {
    struct q_sys_uring *sys = stage->sys;
    int fd = sys->socket(sys, AF_INET, SOCK_STREAM, 0);
    int one = 1;
    stage_note(stage, "%d ", sys->setsockopt(sys, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    struct io_uring_files_update update = {.offset = 2, .fds = (uint64_t)(uintptr_t)&fd};
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1));
    sys->close(sys, fd);
    connect_to(stage, 1, 2, &stage->address);
    stage_note_cqes(stage, 1);
    fd = -1;
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1));
    q_rawring_close_slot(&stage->ring, 2, 2);
    stage_note_cqes(stage, 1);
    update.offset = STAGE_SLOTS;
    stage_note(stage, "%d ", sys->reg(sys, stage->ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1));
}

// --- connecting --------------------------------------------------------------------------------------------------

static void a_chain_that_works(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 3));
    link_last(q_rawring_option(&stage->ring, 2, 3, IPPROTO_TCP, TCP_NODELAY, &k_on));
    connect_to(stage, 3, 3, &stage->address);
    stage_note_cqes_in_order(stage, 3);
    connect_to(stage, 4, 3, &stage->address);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 3);
}

static void a_refused_connect(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 0));
    link_last(connect_to(stage, 2, 0, &stage->nobody));
    q_rawring_send(&stage->ring, 3, 0, "x", 1);
    stage_note_cqes_in_order(stage, 3);
    stage_end_slot(stage, 0);
}

static void a_chain_that_fails(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 0));
    link_last(q_rawring_option(&stage->ring, 2, 0, 9999, 1, &k_on));
    connect_to(stage, 3, 0, &stage->address);
    stage_note_cqes_in_order(stage, 3);
    stage_end_slot(stage, 0);
}

static struct io_uring_sqe *bind_to(struct stage *stage, uint64_t user_data, unsigned slot, uint32_t ip, size_t len) {
    static struct sockaddr_in address;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
    return q_rawring_bind(&stage->ring, user_data, slot, (const struct sockaddr *)&address, (socklen_t)len);
}

static void a_bound_chain(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 3));
    link_last(bind_to(stage, 2, 3, INADDR_LOOPBACK + 4, sizeof(struct sockaddr_in)));
    connect_to(stage, 3, 3, &stage->address);
    stage_note_cqes_in_order(stage, 3);
    bind_to(stage, 4, 3, INADDR_LOOPBACK + 4, sizeof(struct sockaddr_in));
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 3);
}

static void a_bind_that_fails(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 0));
    link_last(bind_to(stage, 2, 0, 0xc0000201, sizeof(struct sockaddr_in))); // 192.0.2.1
    connect_to(stage, 3, 0, &stage->address);
    stage_note_cqes_in_order(stage, 3);
    bind_to(stage, 4, 0, INADDR_LOOPBACK, sizeof(struct sockaddr_in) - 1);
    stage_note_cqes(stage, 1);
    bind_to(stage, 5, 1, INADDR_LOOPBACK, sizeof(struct sockaddr_in));
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void a_chain_that_swallows(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 0));
    struct io_uring_sqe *sqe = q_rawring_option(&stage->ring, 2, 0, 9999, 1, &k_on);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    connect_to(stage, 3, 0, &stage->address);
    stage_note_cqes(stage, 2);
    stage_note_quiet(stage); // the connect is cancelled, and nobody is told
    stage_end_slot(stage, 0);
}

static void a_chain_with_a_bad_member(struct stage *stage) {
    link_last(q_rawring_sqe(&stage->ring, 1));
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, 2);
    sqe->opcode = 200;
    link_last(sqe);
    q_rawring_sqe(&stage->ring, 3);
    q_rawring_sqe(&stage->ring, 4); // not of the chain
    stage_note_cqes(stage, 4);
}

static void a_chain_closed_in_its_batch(struct stage *stage) {
    link_last(q_rawring_socket(&stage->ring, 1, 0));
    connect_to(stage, 2, 0, &stage->address);
    q_rawring_cancel_slot(&stage->ring, 3, 0);
    q_rawring_close_slot(&stage->ring, 4, 0);
    stage_note_cqes_in_order(stage, 4); // the connect starts behind the close: no cancel finds it
}

static void using_an_empty_slot(struct stage *stage) {
    give(stage, 0, 1);
    connect_to(stage, 1, 4, &stage->address);
    q_rawring_receive(&stage->ring, 2, 4);
    q_rawring_send(&stage->ring, 3, 4, "x", 1);
    q_rawring_cancel_slot(&stage->ring, 4, 4);
    stage_note_cqes(stage, 4);
}

static void not_connected(struct stage *stage) {
    give(stage, 0, 1);
    q_rawring_socket(&stage->ring, 1, 0);
    q_rawring_receive(&stage->ring, 2, 0);
    q_rawring_send(&stage->ring, 3, 0, "x", 1);
    stage_note_cqes(stage, 3);
    stage_end_slot(stage, 0);
}

// --- receiving ---------------------------------------------------------------------------------------------------

static void receiving(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 4);
    stage_peer_send(stage, "hello", 5); // before the receive
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 2, 0);
    stage_note_quiet(stage);
    stage_peer_send(stage, "world!", 6); // after it
    stage_note_cqes(stage, 1);
    stage_peer_send(stage, k_bytes, 1500); // more than a buffer
    q_rawring_receive(&stage->ring, 3, 0);
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 4, 0);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void the_end_of_a_stream(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 3);
    stage_peer_send(stage, "x", 1);
    stage_peer_fin(stage);
    for (uint64_t i = 1; i <= 3; i++) {
        q_rawring_receive(&stage->ring, i, 0);
        stage_note_cqes(stage, 1);
    }
    q_rawring_send(&stage->ring, 4, 0, "still", 5);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
    stage_end_slot(stage, 0);
}

static void no_buffers(struct stage *stage) {
    stage_connect(stage, 0);
    q_rawring_receive(&stage->ring, 1, 0); // at once, though there is nothing to receive
    stage_note_cqes(stage, 1);
    stage_peer_send(stage, "x", 1);
    q_rawring_receive(&stage->ring, 2, 0);
    stage_note_cqes(stage, 1);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 3, 0); // nothing was lost
    stage_note_cqes(stage, 1);
    stage_peer_fin(stage);
    q_rawring_receive(&stage->ring, 4, 0); // the end hides behind it
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 5, 0)->buf_group = 7; // no such group
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void a_reset(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 3);
    stage_peer_send(stage, "abc", 3);
    stage_peer_reset(stage);
    for (uint64_t i = 1; i <= 3; i++) {
        q_rawring_receive(&stage->ring, i, 0);
        stage_note_cqes(stage, 1);
    }
    q_rawring_send(&stage->ring, 4, 0, "x", 1);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void a_reset_while_waiting(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    stage_peer_reset(stage);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void a_reset_told_to_a_send(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 2);
    stage_peer_send(stage, "abc", 3);
    stage_peer_reset(stage);
    q_rawring_send(&stage->ring, 1, 0, "x", 1);
    stage_note_cqes(stage, 1);
    for (uint64_t i = 2; i <= 3; i++) {
        q_rawring_receive(&stage->ring, i, 0);
        stage_note_cqes(stage, 1);
    }
    stage_end_slot(stage, 0);
}

static void a_send_behind_fin_and_reset(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    stage_peer_fin(stage);
    stage_peer_reset(stage);
    q_rawring_send(&stage->ring, 1, 0, "x", 1);
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 2, 0);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void poll_first(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 1, 0)->ioprio = IORING_RECVSEND_POLL_FIRST;
    stage_note_quiet(stage);
    stage_peer_send(stage, "abc", 3);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void multishot(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 4);
    q_rawring_receive(&stage->ring, 1, 0)->ioprio = IORING_RECV_MULTISHOT;
    stage_note_quiet(stage);
    stage_peer_send(stage, "abc", 3);
    stage_note_cqes(stage, 1);
    stage_peer_send(stage, "de", 2);
    stage_note_cqes(stage, 1);
    q_rawring_cancel_slot(&stage->ring, 2, 0);
    stage_note_cqes(stage, 2);
    q_rawring_receive(&stage->ring, 3, 0)->ioprio = IORING_RECV_MULTISHOT;
    stage_peer_send(stage, k_bytes, 3 * STAGE_BUFFER_SIZE); // one more than there are buffers
    stage_note_cqes(stage, 3);
    give(stage, 4, 3);
    q_rawring_receive(&stage->ring, 4, 0)->ioprio = IORING_RECV_MULTISHOT;
    stage_note_cqes(stage, 1);
    stage_peer_fin(stage);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void receive_bundle(struct stage *stage, uint64_t user_data) {
    q_rawring_receive(&stage->ring, user_data, 0)->ioprio = Q_URING_RECVSEND_BUNDLE;
}

// How many buffers one completion fills is the kernel's choice. That it fills them in the order in which they were given,
// each but the last to its end, is not.
static void bundle(struct stage *stage) {
    enum { LEN = 6 * STAGE_BUFFER_SIZE - 1 };
    static const uint16_t k_ids[] = {3, 0, 2, 5, 1, 4}; // as they are given
    char pattern[LEN];
    struct io_uring_cqe cqe;
    size_t got = 0, next = 0, most = 0;
    bool is_whole = true;
    for (size_t i = 0; i < LEN; i++) {
        pattern[i] = (char)(i * 7 + i / STAGE_BUFFER_SIZE);
    }
    stage_connect(stage, 0);
    for (size_t i = 0; i < Q_COUNT_OF(k_ids); i++) {
        q_rawring_give(&stage->ring, k_ids[i]);
    }
    stage_peer_send(stage, pattern, LEN);
    while (got < LEN && next < Q_COUNT_OF(k_ids)) {
        receive_bundle(stage, 1);
        int32_t result = q_rawring_await(&stage->ring, STAGE_WAIT_NS, &cqe);
        is_whole = is_whole && result > 0 && cqe.flags >> IORING_CQE_BUFFER_SHIFT == k_ids[next];
        most = result > (int32_t)most ? (size_t)result : most;
        for (size_t left = result > 0 ? (size_t)result : 0; left > 0 && next < Q_COUNT_OF(k_ids); next++) {
            size_t len = left < STAGE_BUFFER_SIZE ? left : STAGE_BUFFER_SIZE;
            is_whole = is_whole && memcmp(q_rawring_buffer(&stage->ring, k_ids[next]), pattern + got, len) == 0;
            got += len;
            left -= len;
        }
    }
    stage_note(stage, "%s of %zu, %s ", is_whole ? "in order" : "torn", got,
               most > STAGE_BUFFER_SIZE ? "several at once" : "one by one");
    receive_bundle(stage, 2); // none is left
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void bundle_behind_which_the_stream_ends(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 4);
    stage_peer_send(stage, k_bytes, 2 * STAGE_BUFFER_SIZE);
    stage_peer_fin(stage);
    receive_bundle(stage, 1);
    stage_note_cqes(stage, 1);
    receive_bundle(stage, 2);
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

static void unconnected(struct stage *stage) {
    q_rawring_socket(&stage->ring, 1, 0);
    stage_note_cqes(stage, 1);
    give(stage, 0, 1);
    receive_bundle(stage, 2);
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 3, 0)->ioprio = IORING_RECV_MULTISHOT;
    stage_note_cqes(stage, 1);
    q_rawring_receive(&stage->ring, 4, 0)->ioprio = 1 << 9; // a flag that nobody knows
    stage_note_cqes(stage, 1);
    stage_end_slot(stage, 0);
}

// --- sending -----------------------------------------------------------------------------------------------------

static void sending(struct stage *stage) {
    stage_connect(stage, 0);
    q_rawring_send(&stage->ring, 1, 0, "hello", 5);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
    struct iovec parts[3] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cde", 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    struct io_uring_sqe *sqe = q_rawring_send(&stage->ring, 2, 0, &message, 1);
    sqe->opcode = IORING_OP_SENDMSG;
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
    stage_end_slot(stage, 0);
}

static void note_if_part(struct stage *stage, uint64_t user_data) {
    struct io_uring_cqe cqe;
    int32_t result = q_rawring_await(&stage->ring, 2 * Q_NS_PER_S, &cqe);
    bool is_part = cqe.user_data == user_data && result > 0 && (size_t)result < sizeof k_bytes;
    stage_note(stage, "%llu=%s ", (unsigned long long)cqe.user_data, is_part ? "part" : "not part");
}

static void a_blocked_send(struct stage *stage) {
    stage_connect(stage, 0);
    stage_peer_pause(stage, true);
    q_rawring_send(&stage->ring, 1, 0, k_bytes, sizeof k_bytes);
    stage_note_quiet(stage);
    q_rawring_cancel_slot(&stage->ring, 2, 0);
    q_rawring_submit(&stage->ring);
    struct io_uring_cqe cqe;
    int32_t canceled = q_rawring_await(&stage->ring, 2 * Q_NS_PER_S, &cqe);
    stage_note(stage, "%llu=%d ", (unsigned long long)cqe.user_data, canceled);
    note_if_part(stage, 1); // not ECANCELED
    stage_end_slot(stage, 0);
}

static void a_short_send(struct stage *stage) {
    stage_connect(stage, 0);
    stage_peer_pause(stage, true);
    q_rawring_send(&stage->ring, 1, 0, k_bytes, sizeof k_bytes)->msg_flags = MSG_NOSIGNAL; // without WAITALL
    note_if_part(stage, 1);
    stage_end_slot(stage, 0);
}

static void shutting_down_one_way(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, 1);
    sqe->opcode = IORING_OP_SHUTDOWN;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->len = SHUT_WR;
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
    stage_peer_send(stage, "abc", 3);
    q_rawring_receive(&stage->ring, 2, 0);
    q_rawring_send(&stage->ring, 3, 0, "x", 1);
    stage_note_cqes(stage, 2);
    stage_end_slot(stage, 0);
}

// --- ending ------------------------------------------------------------------------------------------------------

static void cancel_and_close(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    q_rawring_cancel_slot(&stage->ring, 2, 0);
    q_rawring_close_slot(&stage->ring, 3, 0);
    stage_note_cqes(stage, 3);
    stage_note_peer(stage);
}

static void close_before_cancel(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 2);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    q_rawring_close_slot(&stage->ring, 2, 0);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage); // nothing: the receive keeps the socket
    q_rawring_cancel_slot(&stage->ring, 3, 0);
    stage_note_cqes(stage, 1);
    stage_peer_send(stage, "alive", 5);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
}

static void close_then_cancel_by_name(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    q_rawring_close_slot(&stage->ring, 2, 0);
    stage_note_cqes(stage, 1);
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, 3);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = 1;
    stage_note_cqes(stage, 2);
    stage_note_peer(stage);
}

static void a_late_completion_after_reuse(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 1);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    q_rawring_cancel_slot(&stage->ring, 2, 0);
    q_rawring_close_slot(&stage->ring, 3, 0);
    q_rawring_socket(&stage->ring, 4, 0);
    stage_note_cqes_in_order(stage, 4); // the old receive ends behind the new socket
    stage_end_slot(stage, 0);
}

static void canceling_nothing(struct stage *stage) {
    stage_connect(stage, 0);
    q_rawring_cancel_slot(&stage->ring, 1, 0);
    q_rawring_cancel_slot(&stage->ring, 2, 0)->cancel_flags &= ~IORING_ASYNC_CANCEL_ALL;
    struct io_uring_sqe *sqe = q_rawring_sqe(&stage->ring, 3);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = 4711;
    q_rawring_cancel_slot(&stage->ring, 4, 5);
    stage_note_cqes(stage, 4);
    stage_end_slot(stage, 0);
}

static void data_and_then_a_cancel(struct stage *stage) {
    stage_connect(stage, 0);
    give(stage, 0, 2);
    q_rawring_receive(&stage->ring, 1, 0);
    stage_note_quiet(stage);
    q_rawring_cancel_slot(&stage->ring, 2, 0);
    q_rawring_submit(&stage->ring);
    stage_peer_send(stage, "abc", 3);
    stage_note_cqes(stage, 2);
    q_rawring_receive(&stage->ring, 3, 0);
    stage_note_cqes(stage, 1); // not lost
    stage_end_slot(stage, 0);
}

static void closing_with_unread_bytes(struct stage *stage) {
    stage_connect(stage, 0);
    stage_peer_send(stage, "abc", 3);
    q_rawring_close_slot(&stage->ring, 1, 0);
    stage_note_cqes(stage, 1);
    stage_note_peer(stage);
}

// --- the table ---------------------------------------------------------------------------------------------------

#define ALL_SOCKETS STAGE_NEEDS_SOCKET_COMMAND

static const struct stage_script k_scripts[] = {
    {"sockets are made and closed in slots", sockets_in_slots, 0,
     "1=0 2=EINVAL 3=EINVAL 4=0 5=EBADF 6=EINVAL 7=EBADF "},
    {"without a table there are no slots", no_table, 0, "0 1=ENXIO 2=ENXIO "},
    {"a socket made in an occupied slot closes the old one silently", an_occupied_slot, 0,
     "peer: nothing 1=0 peer: fin "},
    {"a number is installed and removed", installing_by_number, 0, "0 1 1=0 1 2=EBADF -22 "},
    {"a chain makes, sets and connects a socket", a_chain_that_works, ALL_SOCKETS, "1=0 2=0 3=0 4=EISCONN "},
    {"a refused connect cancels what is behind it", a_refused_connect, 0, "1=0 2=ECONNREFUSED 3=ECANCELED "},
    {"a failed member cancels the rest of its chain", a_chain_that_fails, ALL_SOCKETS,
     "1=0 2=ENOPROTOOPT 3=ECANCELED "},
    {"a chain binds a socket before it connects", a_bound_chain, ALL_SOCKETS | STAGE_NEEDS_BIND,
     "1=0 2=0 3=0 4=EINVAL "},
    {"an address that is not this machine's is not bound", a_bind_that_fails, ALL_SOCKETS | STAGE_NEEDS_BIND,
     "1=0 2=EADDRNOTAVAIL 3=ECANCELED 4=EINVAL 5=EBADF "},
    {"a failed member that skips its completion swallows those behind it", a_chain_that_swallows, ALL_SOCKETS,
     "1=0 2=ENOPROTOOPT quiet "},
    {"a chain with a malformed member does not start", a_chain_with_a_bad_member, 0,
     "1=ECANCELED 2=EINVAL 3=ECANCELED 4=0 "},
    {"a chain that is closed in its batch starts its second member on nothing", a_chain_closed_in_its_batch, 0,
     "1=0 3=0 4=0 2=EBADF "},
    {"an empty slot is a bad file", using_an_empty_slot, 0, "1=EBADF 2=EBADF 3=EBADF 4=EBADF "},
    {"a socket that is not connected neither sends nor receives", not_connected, 0, "1=0 2=ENOTCONN 3=EPIPE "},
    {"a receive takes what is there or waits", receiving, 0, "1=5B quiet 2=6B 3=1024BN 4=476B "},
    {"the end of a stream is a zero without a buffer, again and again", the_end_of_a_stream, 0,
     "1=1BN 2=0N 3=0N 4=5 peer: bytes 5 "},
    {"without a buffer a receive fails at once and loses nothing", no_buffers, 0,
     "1=ENOBUFS 2=ENOBUFS 3=1B 4=ENOBUFS 5=ENOBUFS "},
    {"a reset comes behind the bytes, once", a_reset, 0, "1=3B 2=ECONNRESET 3=0 4=EPIPE "},
    {"a reset that a send was told of looks like the end to the receive", a_reset_told_to_a_send, 0,
     "1=ECONNRESET 2=3B 3=0 "},
    {"a reset behind the end is a broken pipe", a_send_behind_fin_and_reset, 0, "1=EPIPE 2=0N "},
    {"a reset ends a waiting receive", a_reset_while_waiting, 0, "quiet 1=ECONNRESET "},
    {"poll first waits before it tries", poll_first, 0, "quiet 1=3B "},
    {"a multishot receive goes on until it is cancelled, starved or ended", multishot, STAGE_NEEDS_MULTISHOT,
     "quiet 1=3BM 1=2BM 1=ECANCELED 2=1 3=1024BMN 3=1024BMN 3=ENOBUFS 4=1024BM 4=0N "},
    {"a bundle fills buffers in the order in which they were given", bundle, STAGE_NEEDS_BUNDLE,
     "in order of 6143, several at once 2=ENOBUFS "},
    {"an end behind a bundle is the next receive's", bundle_behind_which_the_stream_ends, STAGE_NEEDS_BUNDLE, "1=2048BN 2=0N "},
    {"a receive on a socket that is not connected tells which flags are known", unconnected, STAGE_NEEDS_BUNDLE,
     "1=0 2=ENOTCONN 3=ENOTCONN 4=EINVAL "},
    {"a send hands over bytes or parts", sending, 0, "1=5 peer: bytes 5 2=5 peer: bytes 5 "},
    {"a cancelled send that waited for all tells what is gone", a_blocked_send, 0, "quiet 2=1 1=part "},
    {"a send that does not wait for all is short", a_short_send, 0, "1=part "},
    {"a half-closed socket still receives", shutting_down_one_way, 0, "1=0 peer: fin 2=3B 3=EPIPE "},
    {"cancel and close in one batch end everything", cancel_and_close, 0,
     "quiet 1=ECANCELED 2=1 3=0 peer: fin "},
    {"a close before the cancel leaves the receive alive and sends no FIN", close_before_cancel, 0,
     "quiet 2=0 peer: nothing 3=EBADF 1=5B peer: fin "},
    {"after a close a cancel by name still finds the receive", close_then_cancel_by_name, 0,
     "quiet 2=0 1=ECANCELED 3=0 peer: fin "},
    {"a late completion comes behind the slot's next socket", a_late_completion_after_reuse, 0,
     "quiet 2=1 3=0 4=0 1=ECANCELED "},
    {"a cancel that finds nothing says so", canceling_nothing, 0, "1=0 2=ENOENT 3=ENOENT 4=EBADF "},
    {"bytes that arrive behind a cancel are kept", data_and_then_a_cancel, 0, "quiet 1=ECANCELED 2=1 3=3B "},
    {"a close with unread bytes resets", closing_with_unread_bytes, 0, "1=0 peer: reset "},
};

int main(void) { return stage_run_scripts(k_scripts, Q_COUNT_OF(k_scripts)); }

// What each opcode of the simulated kernel does: its check when the SQE is taken, and its start or retry.
#define _GNU_SOURCE
#include "tests/support/simkernel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define MULTISHOT_MAX 32 // completions of one multishot receive in one go, as the kernel's MULTISHOT_MAX_RETRY

struct op {
    int (*prepare)(struct sim_request *request);
    int (*issue)(struct sim_request *request, uint32_t *flags); // SIM_WAIT, or the result
    bool needs_file;
    bool selects_buffer;
    bool has_ioprio;
};

void sim_request_wait(struct sim_request *request, struct q_list *queue, uint32_t events) {
    request->state = REQ_WAITING;
    request->events = events;
    request->polled = true;
    q_list_push_back(queue, &request->in_queue);
}

static struct q_sim *sim_of_request(const struct sim_request *request) { return request->ring->sim; }

static int wait_on_file(struct sim_request *request, uint32_t events) {
    sim_request_wait(request, &request->file->waiting, events);
    return SIM_WAIT;
}

static int issue_nop(struct sim_request *request, uint32_t *flags) {
    (void)request;
    (void)flags;
    return 0;
}

// SOCKET, CONNECT, SHUTDOWN, CLOSE, socket options.

static int prepare_socket(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->addr != 0 || sqe->rw_flags != 0 || sqe->buf_index != 0) {
        return -EINVAL;
    }
    return sqe->file_index != 0 && (sqe->off & SOCK_CLOEXEC) != 0 ? -EINVAL : 0;
}

static int issue_socket(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    const struct io_uring_sqe *sqe = &request->sqe;
    struct q_sim *sim = sim_of_request(request);
    if (sqe->fd != AF_INET && sqe->fd != AF_INET6 && sqe->fd != AF_VSOCK) {
        return -EAFNOSUPPORT;
    }
    if ((sqe->off & 0xf) != SOCK_STREAM) {
        return -ESOCKTNOSUPPORT;
    }
    struct sim_file *file = sim_file_new(sim, SIM_FILE_SOCKET);
    file->sock = sim_sock_new(sim, sqe->fd);
    file->sock->file = file;
    if (sqe->file_index == 0) {
        return sim_number_add(sim, file);
    }
    if (sqe->file_index != IORING_FILE_INDEX_ALLOC) {
        return sim_slot_install(request->ring, sqe->file_index - 1, file);
    }
    for (uint32_t i = 0; i < request->ring->num_slots; i++) {
        if (request->ring->slots[i] == NULL) {
            return sim_slot_install(request->ring, i, file) == 0 ? (int)i : -ENFILE;
        }
    }
    sim_file_drop(sim, file);
    return -ENFILE;
}

static int prepare_connect(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->len != 0 || sqe->buf_index != 0 || sqe->rw_flags != 0 || sqe->splice_fd_in != 0) {
        return -EINVAL;
    }
    if (sqe->addr2 > sizeof request->address) {
        return -EINVAL;
    }
    memcpy(&request->address, (const void *)(uintptr_t)sqe->addr, sqe->addr2); // copied here, as the kernel does
    return 0;
}

static int issue_connect(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    struct sim_sock *sock = request->file->sock;
    if (request->file->kind != SIM_FILE_SOCKET) {
        return -ENOTSOCK;
    }
    if (request->started && sock->state != SOCK_CONNECTING) {
        return sock->connect_result;
    }
    int result = request->started ? -EINPROGRESS : sim_sock_connect(sock, &request->address);
    request->started = true;
    return result == -EINPROGRESS ? wait_on_file(request, EPOLLOUT) : result;
}

static int prepare_bind(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->len != 0 || sqe->buf_index != 0 || sqe->rw_flags != 0 || sqe->splice_fd_in != 0) {
        return -EINVAL;
    }
    if (sqe->addr2 > sizeof request->address) {
        return -EINVAL;
    }
    memcpy(&request->address, (const void *)(uintptr_t)sqe->addr, sqe->addr2); // the kernel copies it now
    return 0;
}

static int issue_bind(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    return request->file->kind == SIM_FILE_SOCKET
               ? sim_sock_bind(request->file->sock, &request->address, (socklen_t)request->sqe.addr2)
               : -ENOTSOCK;
}

static int issue_shutdown(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    bool is_socket = request->file->kind == SIM_FILE_SOCKET;
    return is_socket ? sim_sock_shutdown(request->file->sock, (int)request->sqe.len) : -ENOTSOCK;
}

static int prepare_close(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->off != 0 || sqe->addr != 0 || sqe->len != 0 || sqe->rw_flags != 0 || sqe->buf_index != 0) {
        return -EINVAL;
    }
    if ((sqe->flags & IOSQE_FIXED_FILE) != 0) {
        return -EBADF;
    }
    return sqe->file_index != 0 && sqe->fd != 0 ? -EINVAL : 0;
}

static int issue_close(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    struct sim_ring *ring = request->ring;
    if (request->sqe.file_index == 0) {
        struct sim_file *file = sim_number_get(ring->sim, request->sqe.fd);
        if (file == NULL || file->kind == SIM_FILE_RING) {
            return -EBADF;
        }
        ring->sim->sys.close(&ring->sim->sys, request->sqe.fd);
        return 0;
    }
    uint32_t slot = request->sqe.file_index - 1;
    if (ring->slots == NULL) {
        return -ENXIO;
    }
    if (slot >= ring->num_slots) {
        return -EINVAL;
    }
    if (ring->slots[slot] == NULL) {
        return -EBADF;
    }
    struct sim_file *file = ring->slots[slot];
    ring->slots[slot] = NULL;
    sim_file_drop(ring->sim, file);
    return 0;
}

static int issue_command(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    const struct io_uring_sqe *sqe = &request->sqe;
    if (request->file->kind != SIM_FILE_SOCKET || sim_of_request(request)->options.profile.no_socket_cmd ||
        sqe->cmd_op != Q_URING_CMD_SETSOCKOPT) {
        return -EOPNOTSUPP;
    }
    int level = (int)(uint32_t)sqe->addr; // level and optname share the address's eight bytes
    int name = (int)(uint32_t)(sqe->addr >> 32);
    return sim_sock_set_option(request->file->sock, level, name, (const void *)(uintptr_t)sqe->addr3,
                               (socklen_t)sqe->splice_fd_in);
}

// RECV.

static int prepare_receive(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    const struct q_sim_profile *profile = &sim_of_request(request)->options.profile;
    bool multishot = (sqe->ioprio & IORING_RECV_MULTISHOT) != 0;
    bool bundle = (sqe->ioprio & Q_URING_RECVSEND_BUNDLE) != 0;
    if (sqe->file_index != 0 || sqe->addr2 != 0) {
        return -EINVAL;
    }
    uint32_t known = IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT | Q_URING_RECVSEND_BUNDLE;
    if ((sqe->ioprio & ~known) != 0 || (multishot && profile->no_recv_multishot) ||
        (bundle && (profile->no_recv_bundle || (sqe->flags & IOSQE_BUFFER_SELECT) == 0))) {
        return -EINVAL;
    }
    if (multishot && ((sqe->flags & IOSQE_BUFFER_SELECT) == 0 || sqe->len != 0 || sqe->msg_flags != 0)) {
        return -EINVAL;
    }
    return 0;
}

static const struct io_uring_buf *select_buffer(struct sim_request *request, struct sim_buffer_group **out_group) {
    struct sim_buffer_group *group = sim_group_find(request->ring, request->sqe.buf_group);
    if (group == NULL) {
        return NULL;
    }
    sim_group_look(request->ring, group);
    *out_group = group;
    return group->seen == group->head ? NULL : &group->ring->bufs[group->head & (group->entries - 1)];
}

// A kernel may consume a buffer and report it with an error or an end (liburing issue 359): the caller looks at the
// flag and not at the result.
static bool consumes_on_failure(struct sim_request *request, int result) {
    return result <= 0 && result != -EAGAIN && q_sim_chance(sim_of_request(request), 12);
}

// A bundle goes on into the buffers behind the first, as far as there are buffers and bytes, or any shorter way. Its
// length is no bound: a receive that has filled it is tried once more, for all that is there. An end or an error stays
// for the next receive.
static int receive_rest_of_bundle(struct sim_request *request, struct sim_buffer_group *group, int first) {
    struct sim_sock *sock = request->file->sock;
    int total = first;
    while (sim_sock_readable(sock) > 0 && !q_sim_chance(sim_of_request(request), 12)) {
        const struct io_uring_buf *buffer = select_buffer(request, &group);
        if (buffer == NULL) {
            break;
        }
        int result = sim_sock_receive(sock, (void *)(uintptr_t)buffer->addr, buffer->len);
        group->head++;
        total += result;
        if ((uint32_t)result < buffer->len) {
            break; // only the last buffer of a bundle may be part full
        }
    }
    return total;
}

static int receive_selected(struct sim_request *request, uint32_t *flags) {
    struct sim_buffer_group *group = NULL;
    const struct io_uring_buf *buffer = select_buffer(request, &group);
    if (buffer == NULL) {
        sim_of_request(request)->stats.enobufs++;
        return -ENOBUFS; // also when the peer has ended: an EOF hides behind this
    }
    size_t len = request->sqe.len != 0 && request->sqe.len < buffer->len ? request->sqe.len : buffer->len;
    int result = sim_sock_receive(request->file->sock, (void *)(uintptr_t)buffer->addr, len);
    if (result > 0 || consumes_on_failure(request, result)) {
        *flags = IORING_CQE_F_BUFFER | ((uint32_t)buffer->bid << IORING_CQE_BUFFER_SHIFT);
        group->head++;
    }
    bool bundle = (request->sqe.ioprio & Q_URING_RECVSEND_BUNDLE) != 0;
    if (bundle && result > 0 && (size_t)result == buffer->len) {
        return receive_rest_of_bundle(request, group, result);
    }
    return result;
}

static int receive_multishot(struct sim_request *request, uint32_t *flags) {
    unsigned most = (unsigned)q_sim_between(sim_of_request(request), 1, MULTISHOT_MAX, MULTISHOT_MAX);
    for (unsigned i = 0; i < most; i++) {
        *flags = 0;
        int result = receive_selected(request, flags);
        if (result == -EAGAIN) {
            break;
        }
        *flags |= result >= 0 && sim_sock_has_more(request->file->sock) ? IORING_CQE_F_SOCK_NONEMPTY : 0;
        if (result <= 0) {
            return result;
        }
        sim_ring_post(request->ring, request->sqe.user_data, result, *flags | IORING_CQE_F_MORE);
    }
    int waits = wait_on_file(request, EPOLLIN);
    if ((sim_sock_events(request->file->sock) & EPOLLIN) != 0) {
        sim_ring_make_ready(request); // its turn is over, the data is not
    }
    return waits;
}

static int issue_receive(struct sim_request *request, uint32_t *flags) {
    if (request->file->kind != SIM_FILE_SOCKET) {
        return -ENOTSOCK;
    }
    struct sim_sock *sock = request->file->sock;
    bool poll_first = (request->sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
    if (poll_first && !request->polled && (sim_sock_events(sock) & EPOLLIN) == 0) {
        return wait_on_file(request, EPOLLIN);
    }
    bool selects = (request->sqe.flags & IOSQE_BUFFER_SELECT) != 0;
    if ((request->sqe.ioprio & IORING_RECV_MULTISHOT) != 0) {
        return receive_multishot(request, flags);
    }
    int result = selects ? receive_selected(request, flags)
                         : sim_sock_receive(sock, (void *)(uintptr_t)request->sqe.addr, request->sqe.len);
    if (result == -EAGAIN) {
        return wait_on_file(request, EPOLLIN);
    }
    if (result >= 0 && sim_sock_has_more(sock)) {
        *flags |= IORING_CQE_F_SOCK_NONEMPTY;
    }
    return result;
}

// SEND and SENDMSG.

static int prepare_parts(struct sim_request *request, const struct iovec *parts, size_t count) {
    request->parts = sim_alloc((count + 1) * sizeof *parts);
    memcpy(request->parts, parts, count * sizeof *parts);
    request->num_parts = count;
    for (size_t i = 0; i < count; i++) {
        request->total += parts[i].iov_len;
    }
    return 0;
}

static int prepare_send(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->file_index != 0 || sqe->addr2 != 0 || (sqe->ioprio & ~IORING_RECVSEND_POLL_FIRST) != 0) {
        return -EINVAL;
    }
    struct iovec one = {.iov_base = (void *)(uintptr_t)sqe->addr, .iov_len = sqe->len};
    return prepare_parts(request, &one, 1);
}

static int prepare_sendmsg(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    if (sqe->file_index != 0 || sqe->addr2 != 0 || (sqe->ioprio & ~IORING_RECVSEND_POLL_FIRST) != 0) {
        return -EINVAL;
    }
    struct msghdr message;
    memcpy(&message, (const void *)(uintptr_t)sqe->addr, sizeof message);
    if (message.msg_iovlen > 1024) {
        return -EMSGSIZE;
    }
    return message.msg_name == NULL ? prepare_parts(request, message.msg_iov, message.msg_iovlen) : -EISCONN;
}

static uint64_t hash_of_parts(const struct sim_request *request) {
    static const uint64_t k_key[2] = {1, 2};
    uint64_t hash = 0;
    for (size_t i = 0; i < request->num_parts; i++) {
        hash = hash * 31 + q_hash_keyed(k_key, request->parts[i].iov_base, request->parts[i].iov_len);
    }
    return hash;
}

// Hands over what fits, from where the last try ended. Bytes of this try, or -errno.
static int64_t send_parts(struct sim_request *request) {
    size_t skip = (size_t)request->done;
    int64_t sent = 0;
    for (size_t i = 0; i < request->num_parts; i++) {
        const struct iovec *part = &request->parts[i];
        if (skip >= part->iov_len) {
            skip -= part->iov_len;
            continue;
        }
        const char *from = (const char *)part->iov_base + skip;
        int result = sim_sock_send(request->file->sock, from, part->iov_len - skip);
        if (result < 0) {
            return sent > 0 ? sent : result;
        }
        sent += result;
        if ((size_t)result < part->iov_len - skip) {
            return sent;
        }
        skip = 0;
    }
    return sent;
}

static int end_of_send(struct sim_request *request, int64_t result) {
    if (hash_of_parts(request) != request->content_hash) {
        sim_violation(sim_of_request(request), "the bytes of a send changed while it was in flight");
    }
    return (int)(result < 0 && request->done > 0 ? request->done : result);
}

static int issue_send(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    if (request->file->kind != SIM_FILE_SOCKET) {
        return -ENOTSOCK;
    }
    if (!request->started) {
        request->started = true;
        request->content_hash = hash_of_parts(request);
    }
    if ((request->sqe.msg_flags & MSG_NOSIGNAL) == 0) {
        sim_violation(sim_of_request(request), "a send without MSG_NOSIGNAL could raise SIGPIPE in the host");
    }
    bool waits_for_all = (request->sqe.msg_flags & MSG_WAITALL) != 0;
    int64_t sent = send_parts(request);
    if (sent == -EAGAIN) {
        return wait_on_file(request, EPOLLOUT);
    }
    if (sent < 0) {
        return end_of_send(request, sent);
    }
    request->done += sent;
    if ((size_t)request->done < request->total && waits_for_all) {
        return wait_on_file(request, EPOLLOUT);
    }
    return end_of_send(request, request->done);
}

// Eventfds and futexes.

static int issue_poll(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    struct sim_file *file = request->file;
    uint32_t there = file->kind == SIM_FILE_EVENTFD ? EPOLLOUT | (file->count > 0 ? EPOLLIN : 0)
                     : file->kind == SIM_FILE_SOCKET ? sim_sock_events(file->sock)
                                                     : 0;
    uint32_t wanted = request->sqe.poll32_events | EPOLLERR | EPOLLHUP;
    return (there & wanted) != 0 ? (int)(there & wanted) : wait_on_file(request, wanted);
}

static int prepare_poll(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    return sqe->len != 0 || sqe->buf_index != 0 || sqe->off != 0 || sqe->addr != 0 ? -EINVAL : 0;
}

static int issue_write(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    struct sim_file *file = request->file;
    uint64_t value;
    if (file->kind != SIM_FILE_EVENTFD || request->sqe.len < sizeof value) {
        return -EINVAL;
    }
    memcpy(&value, (const void *)(uintptr_t)request->sqe.addr, sizeof value);
    if (value == UINT64_MAX) {
        return -EINVAL;
    }
    if (UINT64_MAX - 1 - file->count < value) {
        return wait_on_file(request, EPOLLOUT); // also when the number is non-blocking
    }
    file->count += value;
    sim_file_wake(file, EPOLLIN);
    return sizeof value;
}

static int issue_read(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    struct sim_file *file = request->file;
    if (file->kind != SIM_FILE_EVENTFD || request->sqe.len < sizeof file->count) {
        return -EINVAL;
    }
    if (file->count == 0) {
        return wait_on_file(request, EPOLLIN);
    }
    memcpy((void *)(uintptr_t)request->sqe.addr, &file->count, sizeof file->count);
    file->count = 0;
    return sizeof file->count;
}

static int prepare_futex(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    uint32_t flags = (uint32_t)sqe->fd;
    bool is_sound = sqe->len == 0 && sqe->rw_flags == 0 && sqe->buf_index == 0 && sqe->file_index == 0 &&
                    (flags & ~(Q_URING_FUTEX2_PRIVATE | 3u)) == 0 && (flags & 3u) == Q_URING_FUTEX2_SIZE_U32 &&
                    sqe->addr2 <= UINT32_MAX && sqe->addr3 != 0 && sqe->addr3 <= UINT32_MAX;
    request->word = (uint32_t *)(uintptr_t)sqe->addr;
    return is_sound ? 0 : -EINVAL;
}

static int issue_futex(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    if (request->started) {
        return 0; // woken
    }
    request->started = true;
    if (__atomic_load_n(request->word, __ATOMIC_SEQ_CST) != (uint32_t)request->sqe.addr2) {
        return -EAGAIN;
    }
    sim_request_wait(request, &sim_of_request(request)->futex_waiting, 0);
    return SIM_WAIT;
}

// ASYNC_CANCEL.

static int prepare_cancel(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    uint32_t known = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
    if (!sim_of_request(request)->options.profile.no_cancel_by_slot) {
        known |= IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED;
    } else {
        known = 0;
    }
    if (sqe->off != 0 || sqe->splice_fd_in != 0 || (sqe->flags & IOSQE_BUFFER_SELECT) != 0) {
        return -EINVAL;
    }
    return (sqe->cancel_flags & ~known) != 0 ? -EINVAL : 0;
}

// Gives what one cancel gives when it found something: 1 for a futex, 0 for the rest; else -ENOENT.
static int cancel_one(struct sim_request *by, const struct sim_file *file) {
    const struct io_uring_sqe *sqe = &by->sqe;
    bool by_file = (sqe->cancel_flags & IORING_ASYNC_CANCEL_FD) != 0;
    bool any = (sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0;
    const struct q_sim *sim = by->ring->sim;
    for (struct q_list_node *node = by->ring->requests.head.next; node != &by->ring->requests.head;
         node = node->next) {
        struct sim_request *request = q_container_of(node, struct sim_request, in_ring);
        bool is_missed = sim->num_misses > 0 && request->sqe.opcode == sim->missed_opcode;
        bool is_there = request->state != REQ_CHAINED && !request->canceled && request->findable && !is_missed;
        bool matches = any || (by_file ? request->file == file : request->sqe.user_data == sqe->addr);
        if (is_there && matches) {
            request->canceled = true;
            sim_ring_make_ready(request);
            return request->sqe.opcode == Q_URING_OP_FUTEX_WAIT;
        }
    }
    return -ENOENT;
}

static int issue_cancel(struct sim_request *request, uint32_t *flags) {
    (void)flags;
    const struct io_uring_sqe *sqe = &request->sqe;
    const struct sim_file *file = NULL;
    if ((sqe->cancel_flags & IORING_ASYNC_CANCEL_FD) != 0) {
        struct sim_ring *ring = request->ring;
        bool fixed = (sqe->flags & IOSQE_FIXED_FILE) != 0 || (sqe->cancel_flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0;
        bool in_range = sqe->fd >= 0 && (uint32_t)sqe->fd < ring->num_slots;
        file = !fixed ? sim_number_get(ring->sim, sqe->fd) : in_range ? ring->slots[sqe->fd] : NULL;
        if (file == NULL) {
            return -EBADF;
        }
    }
    int count = 0;
    bool all = (sqe->cancel_flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) != 0;
    int result = cancel_one(request, file);
    while (all && result != -ENOENT) {
        count++;
        result = cancel_one(request, file);
    }
    struct q_sim *sim = request->ring->sim;
    sim->num_misses -= sim->num_misses > 0;
    return all ? count : result;
}

// The table.

static const struct op k_ops[] = {
    [IORING_OP_NOP] = {.issue = issue_nop},
    [IORING_OP_POLL_ADD] = {.prepare = prepare_poll, .issue = issue_poll, .needs_file = true},
    [IORING_OP_SENDMSG] = {.prepare = prepare_sendmsg, .issue = issue_send, .needs_file = true, .has_ioprio = true},
    [IORING_OP_ASYNC_CANCEL] = {.prepare = prepare_cancel, .issue = issue_cancel},
    [IORING_OP_CONNECT] = {.prepare = prepare_connect, .issue = issue_connect, .needs_file = true},
    [IORING_OP_CLOSE] = {.prepare = prepare_close, .issue = issue_close},
    [IORING_OP_READ] = {.issue = issue_read, .needs_file = true},
    [IORING_OP_WRITE] = {.issue = issue_write, .needs_file = true},
    [IORING_OP_SEND] = {.prepare = prepare_send, .issue = issue_send, .needs_file = true, .has_ioprio = true},
    [IORING_OP_RECV] = {.prepare = prepare_receive,
                        .issue = issue_receive,
                        .needs_file = true,
                        .selects_buffer = true,
                        .has_ioprio = true},
    [IORING_OP_SHUTDOWN] = {.issue = issue_shutdown, .needs_file = true},
    [IORING_OP_SOCKET] = {.prepare = prepare_socket, .issue = issue_socket},
    [Q_URING_OP_URING_CMD] = {.issue = issue_command, .needs_file = true},
    [Q_URING_OP_BIND] = {.prepare = prepare_bind, .issue = issue_bind, .needs_file = true},
    [Q_URING_OP_FUTEX_WAIT] = {.prepare = prepare_futex, .issue = issue_futex},
};

int sim_request_prepare(struct sim_request *request) {
    const struct io_uring_sqe *sqe = &request->sqe;
    uint8_t known = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC | IOSQE_BUFFER_SELECT |
                    IOSQE_CQE_SKIP_SUCCESS;
    if (!sim_op_is_supported(sim_of_request(request), sqe->opcode)) {
        return -EINVAL;
    }
    const struct op *op = &k_ops[sqe->opcode];
    if ((sqe->flags & ~known) != 0 || sqe->personality != 0 || (sqe->ioprio != 0 && !op->has_ioprio)) {
        return -EINVAL;
    }
    if ((sqe->flags & IOSQE_BUFFER_SELECT) != 0 && !op->selects_buffer) {
        return -EOPNOTSUPP;
    }
    return op->prepare != NULL ? op->prepare(request) : 0;
}

static bool find_file(struct sim_request *request) {
    struct sim_ring *ring = request->ring;
    int fd = request->sqe.fd;
    struct sim_file *file;
    if ((request->sqe.flags & IOSQE_FIXED_FILE) != 0) {
        file = fd >= 0 && (uint32_t)fd < ring->num_slots ? ring->slots[fd] : NULL;
    } else {
        file = sim_number_get(ring->sim, fd);
    }
    if (file != NULL) {
        file->refs++;
        request->file = file;
    }
    return file != NULL;
}

// What breaks a chain: an error, and a transfer that was not whole although the caller asked for all of it.
static bool is_failure(const struct sim_request *request, int result) {
    bool is_send = request->sqe.opcode == IORING_OP_SEND || request->sqe.opcode == IORING_OP_SENDMSG;
    if (is_send && result >= 0) {
        return (request->sqe.msg_flags & MSG_WAITALL) != 0 && (size_t)result < request->total;
    }
    return result < 0;
}

static void finish_canceled(struct sim_request *request) {
    int result = -ECANCELED;
    if (request->done > 0) {
        result = end_of_send(request, -ECANCELED); // what is gone is gone, and is reported
    }
    sim_request_finish(request, result, 0, true);
}

// Whether a request may start late: what the kernel would poll for anyway. It can be cancelled meanwhile.
bool sim_request_start_late(struct sim_request *request) {
    unsigned opcode = request->sqe.opcode;
    bool polls = opcode == IORING_OP_RECV || opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG ||
                 opcode == IORING_OP_CONNECT;
    if (!polls || request->file != NULL || !find_file(request)) {
        return false;
    }
    request->findable = true;
    sim_ring_make_ready(request);
    return true;
}

void sim_request_issue(struct sim_request *request) {
    if (request->canceled) {
        finish_canceled(request);
        return;
    }
    const struct op *op = &k_ops[request->sqe.opcode];
    if (op->needs_file && request->file == NULL && !find_file(request)) {
        sim_request_finish(request, -EBADF, 0, true);
        return;
    }
    unsigned opcode = request->sqe.opcode;
    int result = sim_failure_now(&sim_of_request(request)->fail_ops[opcode], opcode, NULL);
    uint32_t flags = 0;
    if (result == 0) {
        result = op->issue(request, &flags);
    } else if (request->done > 0) {
        result = end_of_send(request, result); // a part is gone, and is what is reported
    }
    if (result == SIM_WAIT) {
        request->findable = true;
        return;
    }
    sim_request_finish(request, result, flags, is_failure(request, result));
}

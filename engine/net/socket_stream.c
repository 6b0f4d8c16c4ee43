#include "engine/net/socket_stream.h"

#include <errno.h>
#include <netinet/tcp.h>

// Set on every TCP socket before it connects. Servers that think for minutes behind a NAT are the common case with
// LLMs, so keep-alive probes are on: first after 60 s of silence, then every 15 s, four times. TCP_USER_TIMEOUT bounds
// how long sent data may stay unacknowledged to about the same.
// The last is for bound sockets alone: the kernel then takes the port when it connects, and ports that are in use towards
// other peers will do.
static const struct q_io_option k_tcp_options[] = {
    {.level = IPPROTO_TCP, .name = TCP_NODELAY, .value = 1},
    {.level = SOL_SOCKET, .name = SO_KEEPALIVE, .value = 1},
    {.level = IPPROTO_TCP, .name = TCP_KEEPIDLE, .value = 60},
    {.level = IPPROTO_TCP, .name = TCP_KEEPINTVL, .value = 15},
    {.level = IPPROTO_TCP, .name = TCP_KEEPCNT, .value = 4},
    {.level = IPPROTO_TCP, .name = TCP_USER_TIMEOUT, .value = 120000},
    {.level = IPPROTO_IP, .name = IP_BIND_ADDRESS_NO_PORT, .value = 1},
};

static struct q_socket_stream *socket_of(struct q_stream *stream) {
    return q_container_of(stream, struct q_socket_stream, stream);
}

static struct q_error connect_error(int os_errno) {
    enum q_error_code code = Q_ERR_CONNECT_FAILED;
    switch (os_errno) {
    case ECONNREFUSED: code = Q_ERR_CONNECT_REFUSED; break;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN: code = Q_ERR_CONNECT_UNREACHABLE; break;
    case ETIMEDOUT: code = Q_ERR_CONNECT_TIMED_OUT; break;
    case EMFILE:
    case ENFILE: code = Q_ERR_FD_LIMIT; break;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT: code = Q_ERR_SOCKET_FAILED; break;
    case EADDRNOTAVAIL: code = Q_ERR_NO_LOCAL_PORT; break; // of a connect: a bind's failure has a name of its own
    default: break;
    }
    struct q_error error = q_error_os(code, Q_PHASE_CONNECT, os_errno);
    error.retry_safe = 1; // nothing has been sent
    return error;
}

static struct q_error transfer_error(int os_errno, enum q_phase phase) {
    bool is_reset = os_errno == ECONNRESET || os_errno == EPIPE || os_errno == ECONNABORTED;
    return q_error_os(is_reset ? Q_ERR_CONNECTION_RESET : Q_ERR_CONNECTION_FAILED, phase, os_errno);
}

static void connect_done(struct q_io_op *op);
static void recv_done(struct q_io_op *op);
static void send_done(struct q_io_op *op);

static void prepare_to_connect(struct q_socket_stream *socket) {
    socket->u.connecting = (struct q_socket_connecting){.op = {.done = connect_done}};
}

static void become_open(struct q_socket_stream *socket) {
    socket->state = Q_SOCKET_OPEN;
    socket->was_opened = true;
    socket->u.open = (struct q_socket_open){.recv_op = {.done = recv_done}, .send_op = {.done = send_done}};
}

static void connect_done(struct q_io_op *op) {
    struct q_socket_stream *socket = q_container_of(op, struct q_socket_stream, u.connecting.op);
    if (socket->state != Q_SOCKET_CONNECTING) {
        return; // closed meanwhile; on_closed follows
    }
    struct q_error error = Q_OK;
    if (op->result < 0) {
        error = connect_error(-op->result);
        error.code = op->has_bind_failed ? Q_ERR_BIND_FAILED : error.code;
        error.code = op->has_option_failed ? Q_ERR_OPTION_REFUSED : error.code;
    } else {
        become_open(socket);
    }
    socket->stream.events->on_connected(&socket->stream, error);
}

static void recv_done(struct q_io_op *op) {
    struct q_socket_stream *socket = q_container_of(op, struct q_socket_stream, u.open.recv_op);
    struct q_chunk *chunk = op->chunk;
    op->chunk = NULL;
    if (socket->state != Q_SOCKET_OPEN) {
        if (chunk != NULL) {
            q_chunk_release(chunk);
        }
        return;
    }
    if (op->result > 0) {
        socket->stream.events->on_received(&socket->stream, chunk, q_slice_make(chunk->data, (size_t)op->result));
        return;
    }
    if (op->result == 0 && socket->is_datagram) {
        socket->stream.events->on_ended(&socket->stream, Q_OK);
        return;
    }
    int os_errno = -op->result;
    if (op->result == 0 && !op->is_fin && (socket->is_sending || socket->has_send_failed)) {
        // The kernel tells of a reset once. If it told the send, maybe hidden behind the count of a part, then this only
        // looks like the end, and would make a cut body whole.
        os_errno = ECONNRESET;
    }
    struct q_error error = os_errno == 0 ? Q_OK : transfer_error(os_errno, Q_PHASE_HEAD);
    socket->stream.events->on_ended(&socket->stream, error);
}

// Sends what is left. A cancelled or interrupted send may have taken a part of it.
static void send_rest(struct q_socket_stream *socket, size_t taken) {
    struct msghdr *message = &socket->u.open.message;
    while (taken > 0 && taken >= message->msg_iov->iov_len) {
        taken -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + taken;
    message->msg_iov->iov_len -= taken;
    q_io_send(socket->io, socket->slot, &socket->u.open.send_op, message);
}

static void send_done(struct q_io_op *op) {
    struct q_socket_stream *socket = q_container_of(op, struct q_socket_stream, u.open.send_op);
    if (socket->state != Q_SOCKET_OPEN) {
        return;
    }
    if (op->result == -EINTR || op->result == -EAGAIN) {
        op->result = 0;
    }
    if (op->result < 0) {
        socket->is_sending = false;
        socket->has_send_failed = true;
        socket->stream.events->on_sent(&socket->stream, socket->u.open.sent_len, transfer_error(-op->result, Q_PHASE_SEND));
        return;
    }
    socket->u.open.sent_len += (size_t)op->result;
    if (socket->u.open.sent_len < socket->u.open.send_len) {
        send_rest(socket, (size_t)op->result);
        return;
    }
    socket->is_sending = false;
    socket->stream.events->on_sent(&socket->stream, socket->u.open.sent_len, Q_OK);
}

// What became of it a receive tells; close waits for it.
static void shutdown_done(struct q_io_op *op) { (void)op; }

static void close_done(struct q_io_op *op) {
    struct q_socket_stream *socket = q_container_of(op, struct q_socket_stream, close_op);
    socket->state = Q_SOCKET_NEW;
    socket->slot = (struct q_io_slot){0};
    if (socket->was_opened) {
        socket->was_opened = false;
        prepare_to_connect(socket);
    }
    socket->stream.events->on_closed(&socket->stream);
}

static bool is_internet(const struct q_address *address) {
    return address->u.any.sa_family == AF_INET || address->u.any.sa_family == AF_INET6;
}

static struct q_error socket_connect(struct q_stream *stream, const struct q_address *address) {
    struct q_socket_stream *socket = socket_of(stream);
    Q_CHECK(socket->state == Q_SOCKET_NEW);
    struct q_error error = q_io_open(socket->io, &socket->slot);
    if (q_error_is(error)) {
        error.retry_safe = 1;
        return error;
    }
    socket->state = Q_SOCKET_CONNECTING;
    socket->is_sending = false;
    socket->has_send_failed = false;
    bool is_tcp = is_internet(address) && !socket->is_datagram;
    bool is_bound = is_tcp && socket->u.connecting.local.len > 0;
    socket->u.connecting.params = (struct q_io_connect){
        .address = &address->u.any,
        .address_len = address->len,
        .local = is_bound ? &socket->u.connecting.local.u.any : NULL,
        .local_len = is_bound ? socket->u.connecting.local.len : 0,
        .options = k_tcp_options,
        .num_options = Q_COUNT_OF(k_tcp_options) - !is_bound,
        .is_datagram = socket->is_datagram,
    };
    if (socket->u.connecting.options != NULL) {
        socket->u.connecting.params.options = socket->u.connecting.options;
        socket->u.connecting.params.num_options = socket->u.connecting.num_options;
    }
    socket->u.connecting.params.num_options *= is_tcp; // a unix socket knows none of them
    q_io_connect(socket->io, socket->slot, &socket->u.connecting.op, &socket->u.connecting.params);
    return Q_OK;
}

_Static_assert(Q_STREAM_RECV_ANY == Q_IO_RECV_ANY, "a socket passes it on");

static void socket_recv(struct q_stream *stream, uint32_t most) {
    struct q_socket_stream *socket = socket_of(stream);
    Q_CHECK(socket->state == Q_SOCKET_OPEN);
    q_io_recv(socket->io, socket->slot, &socket->u.open.recv_op, most);
}

static bool socket_has_unasked(const struct q_stream *stream) {
    const struct q_socket_stream *socket = q_container_of(stream, const struct q_socket_stream, stream);
    return q_io_has_unasked(socket->io, socket->slot);
}

static void socket_send(struct q_stream *stream, const struct iovec *parts, unsigned num_parts) {
    struct q_socket_stream *socket = socket_of(stream);
    Q_CHECK(socket->state == Q_SOCKET_OPEN && num_parts > 0 && num_parts <= Q_IO_SEND_PARTS_MAX);
    socket->u.open.send_len = 0;
    socket->u.open.sent_len = 0;
    socket->is_sending = true;
    for (unsigned i = 0; i < num_parts; i++) {
        socket->u.open.parts[i] = parts[i];
        socket->u.open.send_len += parts[i].iov_len;
    }
    Q_CHECK(socket->u.open.send_len > 0);
    socket->u.open.message = (struct msghdr){.msg_iov = socket->u.open.parts, .msg_iovlen = num_parts};
    q_io_send(socket->io, socket->slot, &socket->u.open.send_op, &socket->u.open.message);
}

static void socket_shutdown(struct q_stream *stream) {
    struct q_socket_stream *socket = socket_of(stream);
    Q_CHECK(socket->state == Q_SOCKET_OPEN && !socket->is_sending);
    socket->u.open.send_op.done = shutdown_done;
    q_io_shutdown(socket->io, socket->slot, &socket->u.open.send_op);
}

static void socket_close(struct q_stream *stream) {
    struct q_socket_stream *socket = socket_of(stream);
    Q_CHECK(socket->state == Q_SOCKET_CONNECTING || socket->state == Q_SOCKET_OPEN);
    socket->state = Q_SOCKET_CLOSING;
    q_io_close(socket->io, socket->slot, &socket->close_op);
}

static const struct q_stream_vtable k_socket_vtable = {
    .connect = socket_connect,
    .recv = socket_recv,
    .has_unasked = socket_has_unasked,
    .send = socket_send,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

void q_socket_stream_init(struct q_socket_stream *socket, struct q_io *io, const struct q_stream_events *events) {
    *socket = (struct q_socket_stream){
        .stream = {.v = &k_socket_vtable, .events = events},
        .io = io,
        .close_op = {.done = close_done},
        .state = Q_SOCKET_NEW,
    };
    prepare_to_connect(socket);
}

void q_socket_stream_bind(struct q_socket_stream *socket, const struct q_address *local) {
    Q_CHECK(socket->state == Q_SOCKET_NEW);
    socket->u.connecting.local = *local;
}

void q_socket_stream_set_options(struct q_socket_stream *socket, const struct q_io_option *options, uint32_t num_options) {
    Q_CHECK(socket->state == Q_SOCKET_NEW);
    socket->u.connecting.options = options;
    socket->u.connecting.num_options = num_options;
}

void q_socket_stream_adopt(struct q_socket_stream *socket, struct q_io_slot slot) {
    Q_CHECK(socket->state == Q_SOCKET_NEW);
    socket->slot = slot;
    socket->is_sending = false;
    socket->has_send_failed = false;
    become_open(socket);
}

struct q_io_slot q_socket_stream_give(struct q_socket_stream *socket) {
    Q_CHECK(socket->state == Q_SOCKET_OPEN && !socket->u.open.recv_op.busy && !socket->u.open.send_op.busy);
    struct q_io_slot slot = socket->slot;
    socket->state = Q_SOCKET_NEW;
    socket->slot = (struct q_io_slot){0};
    socket->was_opened = false;
    prepare_to_connect(socket);
    return slot;
}

void q_socket_stream_datagram(struct q_socket_stream *socket) {
    Q_CHECK(socket->state == Q_SOCKET_NEW);
    socket->is_datagram = true;
}

bool q_socket_is_quiet(const struct q_socket_stream *socket) { return socket->state == Q_SOCKET_NEW; }

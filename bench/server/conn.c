#include "bench/server/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    VECTORS_MAX = 64,
    TURN_REQUESTS_MAX = 64,     // pipelined requests that one connection gets answered before others have their turn
    TURN_OCTETS_MAX = 4 << 20,  // octets likewise
    LINGER_MS = 5000,           // a client that does not close by then is cut off
    DRAIN_POLL_NS = 500 * 1000, // there is no event for an empty send queue, so it is looked at that often
    DRAIN_MS = 5000,            // a client that does not read by then gets its reset early
};
#define MS ((uint64_t)1000000)

// What a step of a connection leaves behind.
enum step {
    STEP_ON,      // the state has changed, or may have more to do: step again
    STEP_BLOCKED, // wait for an event or the deadline
};

// struct window is the part of the worker's scratch that holds bytes of the connection that moves now.
struct window {
    bool loaded;
    uint8_t *begin, *end;
    unsigned num_requests;
    uint64_t num_octets;
};

static const char k_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void set_deadline(struct bench_conn *conn, uint64_t ns_from_now) {
    conn->yielded = false;
    bench_timer_set(conn->worker, conn, conn->worker->now_ns + ns_from_now);
}

// yield lets the other connections have a turn; this one goes on in the next tick.
static enum step yield(struct bench_conn *conn) {
    set_deadline(conn, 0);
    conn->yielded = true;
    return STEP_BLOCKED;
}

// receive and transmit are recv and sendmsg, of what HTTP is made of.
static ssize_t receive(struct bench_conn *conn, void *to, size_t room) {
    return conn->tls ? bench_tls_recv(conn->tls, to, room) : recv(conn->fd, to, room, 0);
}

static ssize_t transmit(struct bench_conn *conn, struct iovec *vectors, size_t num) {
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = num};
    return conn->tls ? bench_tls_send(conn->tls, vectors, num) : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

// is_flushed hands over what TLS has sealed. False: the socket does not take all of it yet, or is closed.
static bool is_flushed(struct bench_conn *conn) {
    int flushed = conn->tls ? bench_tls_flush(conn->tls) : 1;
    if (flushed == 0)
        conn->writable = false;
    if (flushed < 0) {
        bench_worker_count(conn->worker, BENCH_HANGUPS, conn->response != NULL);
        bench_conn_close(conn, false);
    }
    return flushed > 0;
}

// arm_idle starts the idle clock of a connection that waits for a request and has none running.
static void arm_idle(struct bench_conn *conn) {
    uint64_t idle_close_ms = conn->worker->server->options.idle_close_ms;
    if (conn->state <= BENCH_CONN_HEAD && idle_close_ms > 0 && conn->timer_index == 0)
        set_deadline(conn, idle_close_ms * MS);
}

void bench_conn_open(struct bench_worker *worker, int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // fails on a unix socket, which needs none
    struct bench_conn *conn = calloc(1, sizeof *conn);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = conn}};
    struct ssl_ctx_st *context = worker->server->tls_context;
    if (conn) {
        conn->worker = worker;
        conn->fd = fd;
        conn->state = context ? BENCH_CONN_SHAKE : BENCH_CONN_HEAD;
        conn->tls = context ? bench_tls_new(conn, context) : NULL;
    }
    if (!conn || !conn->tls != !context || epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        bench_tls_free(conn ? conn->tls : NULL);
        free(conn);
        close(fd);
        atomic_fetch_sub_explicit(&worker->server->num_open, 1, memory_order_relaxed);
        bench_worker_count(worker, BENCH_CLOSED, 1);
        return;
    }
    conn->link = &worker->conns;
    conn->next = worker->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    worker->conns = conn;
    arm_idle(conn);
}

void bench_conn_close(struct bench_conn *conn, bool reset) {
    struct bench_worker *worker = conn->worker;
    if (conn->state == BENCH_CONN_CLOSED)
        return;
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        bench_worker_count(worker, BENCH_RESETS, 1);
    } else if (conn->tls && !conn->cut) {
        bench_tls_goodbye(conn->tls);
        (void)bench_tls_flush(conn->tls); // whoever does not read does not want to know
    }
    // Closing alone would not do it when a child that was forked meanwhile has the socket too: epoll would go on
    // telling of it, by the name of a connection that is gone.
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    close(conn->fd);
    conn->fd = -1;
    conn->state = BENCH_CONN_CLOSED;
    bench_timer_clear(worker, conn);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    conn->next = worker->dead;
    worker->dead = conn;
    bench_worker_count(worker, BENCH_CLOSED, 1);
    atomic_fetch_sub_explicit(&worker->server->num_open, 1, memory_order_relaxed);
}

void bench_conn_free(struct bench_conn *conn) {
    bench_tls_free(conn->tls);
    if (conn->response)
        bench_response_release(conn->response);
    bench_bytes_free(&conn->pending);
    bench_bytes_free(&conn->head);
    bench_bytes_free(&conn->body);
    free(conn);
}

static void window_load(struct bench_conn *conn, struct window *window) {
    if (window->loaded)
        return;
    window->loaded = true;
    window->begin = window->end = conn->worker->scratch;
    if (conn->pending.len > 0) // never longer than the scratch: it came from there
        memcpy(window->end, conn->pending.at, conn->pending.len);
    window->end += conn->pending.len;
    conn->pending.len = 0;
}

static void window_save(struct bench_conn *conn, struct window *window) {
    if (!window->loaded || conn->state == BENCH_CONN_CLOSED)
        return;
    conn->pending.len = 0;
    if (!bench_bytes_add(&conn->pending, window->begin, (size_t)(window->end - window->begin)))
        bench_conn_close(conn, true);
    else if (conn->pending.len == 0)
        bench_bytes_free(&conn->pending);
}

// read_more appends what the socket has to the window. False: nothing came, and the connection is blocked, or closed
// when the client has ended its direction.
static bool read_more(struct bench_conn *conn, struct window *window) {
    if (!conn->readable)
        return false;
    uint8_t *scratch = conn->worker->scratch;
    size_t held = (size_t)(window->end - window->begin);
    if (held > 0 && window->begin > scratch)
        memmove(scratch, window->begin, held);
    window->begin = scratch;
    window->end = scratch + held;
    size_t room = BENCH_SCRATCH_LEN - held;
    ssize_t len = receive(conn, window->end, room);
    if (len <= 0) {
        if (len == 0 || (errno != EAGAIN && errno != EINTR))
            bench_conn_close(conn, false);
        conn->readable = len < 0 && errno == EINTR;
        return false;
    }
    conn->readable = (size_t)len == room || conn->peer_fin; // a short read has emptied the socket, but for a FIN
    window->end += len;
    bench_worker_count(conn->worker, BENCH_BYTES_IN, (uint64_t)len);
    return true;
}

// answer starts on `response`, whose reference it takes over.
static enum step answer(struct bench_conn *conn, struct bench_response *response) {
    if (!response) {
        bench_conn_close(conn, true);
        return STEP_BLOCKED;
    }
    conn->response = response;
    conn->sent = 0;
    conn->stop = bench_response_stop(response, 0);
    conn->state = response->delay_ms > 0 ? BENCH_CONN_WAIT : BENCH_CONN_SEND;
    if (conn->state == BENCH_CONN_WAIT)
        set_deadline(conn, response->delay_ms * MS);
    return STEP_ON;
}

static enum step refuse(struct bench_conn *conn, int status) {
    bench_worker_count(conn->worker, BENCH_REFUSALS, 1);
    return answer(conn, bench_response_refuse(status, "this request is not one that a client may send\n"));
}

// begin_body sets up the reading of a body; the head is kept where the answer is made from it afterwards.
static enum step begin_body(struct bench_conn *conn, const struct bench_request *request, bool asked,
                            bool nothing_yet) {
    if (conn->response->needs_body && !bench_bytes_add(&conn->head, request->head.at, request->head.len)) {
        bench_conn_close(conn, true);
        return STEP_BLOCKED;
    }
    if (asked && nothing_yet) {
        // The client waits for this and sends nothing before it, so the few octets always fit the empty send queue.
        struct iovec vector = {.iov_base = (char *)(uintptr_t)k_continue, .iov_len = sizeof k_continue - 1};
        ssize_t len = transmit(conn, &vector, 1);
        if (len != (ssize_t)sizeof k_continue - 1) {
            bench_conn_close(conn, true);
            return STEP_BLOCKED;
        }
        bench_worker_count(conn->worker, BENCH_BYTES_OUT, (uint64_t)len);
    }
    conn->state = BENCH_CONN_BODY;
    return STEP_ON;
}

static enum step step_shake(struct bench_conn *conn, struct window *window) {
    (void)window;
    int shaken = bench_tls_shake(conn->tls);
    if (shaken < 0)
        bench_conn_close(conn, false);
    if (shaken <= 0)
        return STEP_BLOCKED;
    conn->state = BENCH_CONN_HEAD;
    return STEP_ON;
}

static enum step step_head(struct bench_conn *conn, struct window *window) {
    if (window->num_requests >= TURN_REQUESTS_MAX)
        return yield(conn);
    window_load(conn, window);
    struct bench_request request;
    size_t held = (size_t)(window->end - window->begin);
    int parsed = bench_request_parse(&request, (const char *)window->begin, held);
    if (parsed == 0)
        return read_more(conn, window) ? STEP_ON : STEP_BLOCKED;
    if (conn->timer_index > 0)
        bench_timer_clear(conn->worker, conn);
    if (parsed < 0)
        return refuse(conn, -parsed);
    window->begin += request.head.len;
    window->num_requests++;
    conn->num_requests++;
    bench_worker_count(conn->worker, BENCH_REQUESTS, 1);
    struct bench_response *response = bench_cache_get(conn->worker, &request);
    if (!response)
        return answer(conn, NULL);
    bench_body_reader_init(&conn->body_reader, &request);
    if (response->before_body || (conn->body_reader.done && !response->needs_body))
        return answer(conn, response);
    conn->response = response;
    return begin_body(conn, &request, request.expect_continue, window->begin == window->end);
}

// end_body answers once the whole body is there; /echo builds its answer now, from the head that was kept.
static enum step end_body(struct bench_conn *conn) {
    struct bench_response *response = conn->response;
    conn->response = NULL;
    if (response->needs_body) {
        struct bench_request request;
        bench_request_parse(&request, (const char *)conn->head.at, conn->head.len); // it was well-formed before
        bench_response_release(response);
        response = bench_response_echo(&request, &conn->body);
    }
    bench_bytes_free(&conn->head);
    bench_bytes_free(&conn->body);
    return answer(conn, response);
}

static enum step step_body(struct bench_conn *conn, struct window *window) {
    window_load(conn, window);
    struct bench_bytes *sink = conn->response->needs_body ? &conn->body : NULL;
    window->begin += bench_body_read(&conn->body_reader, window->begin, (size_t)(window->end - window->begin), sink,
                                     conn->worker->server->options.max_body);
    if (conn->body_reader.done)
        return end_body(conn);
    if (conn->body_reader.failed) {
        bench_response_release(conn->response);
        conn->response = NULL;
        return refuse(conn, conn->body_reader.too_long ? 413 : 400);
    }
    return read_more(conn, window) ? STEP_ON : STEP_BLOCKED;
}

static enum step step_wait(struct bench_conn *conn, struct window *window) {
    (void)window;
    if (conn->timer_index > 0 && !conn->peer_fin)
        return STEP_BLOCKED;
    if (conn->peer_fin) { // the client has given up while we were idle on purpose
        bench_worker_count(conn->worker, BENCH_HANGUPS, 1);
        bench_conn_close(conn, false);
        return STEP_BLOCKED;
    }
    conn->state = BENCH_CONN_SEND;
    return STEP_ON;
}

// end_of tells what the response says, or the server's options do, to do after its last octet.
static enum bench_end end_of(const struct bench_conn *conn) {
    uint64_t max_requests = conn->worker->server->options.max_requests;
    bool is_last = max_requests > 0 && conn->num_requests >= max_requests;
    return conn->response->end == BENCH_END_KEEP && is_last ? BENCH_END_FIN : conn->response->end;
}

static enum step end_response(struct bench_conn *conn) {
    enum bench_end end = end_of(conn);
    conn->cut = conn->response->cut;
    bench_response_release(conn->response);
    conn->response = NULL;
    bench_worker_count(conn->worker, BENCH_RESPONSES, end != BENCH_END_SILENCE);
    switch (end) {
    case BENCH_END_KEEP: conn->state = BENCH_CONN_HEAD; break;
    case BENCH_END_FIN:
        shutdown(conn->fd, SHUT_WR);
        conn->state = BENCH_CONN_LINGER;
        set_deadline(conn, LINGER_MS * MS);
        break;
    case BENCH_END_RST:
        conn->state = BENCH_CONN_DRAIN;
        conn->drain_until_ns = conn->worker->now_ns + DRAIN_MS * MS;
        break;
    case BENCH_END_SILENCE: conn->state = BENCH_CONN_SILENT; break;
    case BENCH_END_ECHO: conn->state = BENCH_CONN_ECHO; break;
    }
    return STEP_ON;
}

// settle has all that was sent so far with the kernel, the goodbye included where one is due. False: blocked or closed.
static bool settle(struct bench_conn *conn) {
    bool is_end = conn->sent == conn->response->octets_len && end_of(conn) == BENCH_END_FIN;
    if (is_end && conn->tls && !conn->response->cut)
        bench_tls_goodbye(conn->tls);
    return is_flushed(conn);
}

// at_stop pauses where the response wants a gap, and ends it where it ends.
static enum step at_stop(struct bench_conn *conn) {
    if (conn->sent == conn->response->octets_len)
        return end_response(conn);
    conn->stop = bench_response_stop(conn->response, conn->sent);
    conn->state = BENCH_CONN_WAIT;
    set_deadline(conn,
                 conn->response->gap_ms * MS); // without a gap: the next turn, so that drips are sends of their own
    return STEP_ON;
}

static enum step step_send(struct bench_conn *conn, struct window *window) {
    if (conn->sent == conn->stop)
        return settle(conn) ? at_stop(conn) : STEP_BLOCKED;
    if (!conn->writable)
        return STEP_BLOCKED;
    if (window->num_octets >= TURN_OCTETS_MAX)
        return yield(conn);
    struct iovec vectors[VECTORS_MAX];
    size_t num = bench_response_gather(conn->response, conn->sent, conn->stop, vectors, VECTORS_MAX);
    ssize_t len = transmit(conn, vectors, num);
    if (len < 0) {
        if (errno == EAGAIN) {
            conn->writable = false;
        } else if (errno != EINTR) {
            bench_worker_count(conn->worker, BENCH_HANGUPS, 1);
            bench_conn_close(conn, false);
        }
        return errno == EINTR ? STEP_ON : STEP_BLOCKED;
    }
    conn->sent += (uint64_t)len;
    window->num_octets += (uint64_t)len;
    bench_worker_count(conn->worker, BENCH_BYTES_OUT, (uint64_t)len);
    return STEP_ON;
}

// step_drain resets once the kernel has nothing left to send: a reset drops what is still queued, and then the client
// would not have got its exact count.
static enum step step_drain(struct bench_conn *conn, struct window *window) {
    (void)window;
    int queued = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) != 0 || queued == 0 || conn->worker->now_ns >= conn->drain_until_ns)
        bench_conn_close(conn, true);
    else
        set_deadline(conn, DRAIN_POLL_NS);
    return STEP_BLOCKED;
}

static enum step step_linger(struct bench_conn *conn, struct window *window) {
    window_load(conn, window);
    window->begin = window->end;
    if (conn->timer_index == 0) {
        bench_conn_close(conn, false);
        return STEP_BLOCKED;
    }
    return read_more(conn, window) ? STEP_ON : STEP_BLOCKED;
}

// step_echo reads again only when everything was sent back: a client that does not read is not read from.
static enum step step_echo(struct bench_conn *conn, struct window *window) {
    window_load(conn, window);
    if (window->begin == window->end)
        return is_flushed(conn) && read_more(conn, window) ? STEP_ON : STEP_BLOCKED;
    if (!conn->writable)
        return STEP_BLOCKED;
    if (window->num_octets >= TURN_OCTETS_MAX)
        return yield(conn);
    struct iovec vector = {.iov_base = window->begin, .iov_len = (size_t)(window->end - window->begin)};
    ssize_t len = transmit(conn, &vector, 1);
    if (len < 0) {
        if (errno == EAGAIN)
            conn->writable = false;
        else if (errno != EINTR)
            bench_conn_close(conn, false);
        return errno == EINTR ? STEP_ON : STEP_BLOCKED;
    }
    window->begin += len;
    window->num_octets += (uint64_t)len;
    bench_worker_count(conn->worker, BENCH_BYTES_OUT, (uint64_t)len);
    return STEP_ON;
}

static enum step step_silent(struct bench_conn *conn, struct window *window) {
    (void)window;
    if (conn->peer_fin) {
        bench_worker_count(conn->worker, BENCH_HANGUPS, 1);
        bench_conn_close(conn, false);
    }
    return STEP_BLOCKED;
}

static enum step (*const k_steps[BENCH_CONN_NUM_STATES])(struct bench_conn *, struct window *) = {
    [BENCH_CONN_HEAD] = step_head,     [BENCH_CONN_BODY] = step_body,   [BENCH_CONN_WAIT] = step_wait,
    [BENCH_CONN_SEND] = step_send,     [BENCH_CONN_DRAIN] = step_drain, [BENCH_CONN_LINGER] = step_linger,
    [BENCH_CONN_SILENT] = step_silent, [BENCH_CONN_ECHO] = step_echo,   [BENCH_CONN_SHAKE] = step_shake,
};

static void advance(struct bench_conn *conn) {
    struct window window = {0};
    if (conn->tls && conn->writable && !is_flushed(conn) && conn->state == BENCH_CONN_CLOSED)
        return;
    while (conn->state != BENCH_CONN_CLOSED && k_steps[conn->state](conn, &window) == STEP_ON) {
    }
    window_save(conn, &window);
    arm_idle(conn);
}

void bench_conn_on_events(struct bench_conn *conn, uint32_t events) {
    if (conn->state == BENCH_CONN_CLOSED)
        return;
    conn->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    conn->writable |= (events & EPOLLOUT) != 0;
    conn->peer_fin |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (events & EPOLLERR) { // reset by the client, in whatever state
        bench_worker_count(conn->worker, BENCH_HANGUPS, conn->response != NULL);
        bench_conn_close(conn, false);
        return;
    }
    if (conn->tls && conn->readable)
        bench_tls_on_readable(conn->tls);
    advance(conn);
}

void bench_conn_on_deadline(struct bench_conn *conn) {
    if (conn->state <= BENCH_CONN_HEAD && !conn->yielded)
        bench_conn_close(conn, false); // idle for too long
    else
        advance(conn);
}

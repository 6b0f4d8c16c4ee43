#include "engine/conn/h1_conn_internal.h"

// The reader was refused memory: the budget is used up. The next try comes by itself, since what frees
// memory is somebody else's release and nobody knows who waits for it.
#define MEMORY_RETRY_NS (10 * Q_NS_PER_MS)

// What the pump does after an event.
enum pump_next { PUMP_GO_ON, PUMP_STOP };

static struct q_h1_conn *h1_of_conn(struct q_conn *conn) { return q_container_of(conn, struct q_h1_conn, conn); }

static struct q_h1_conn *h1_of_stream(struct q_stream *stream) { return stream->above; }

// The stream that the connection talks through.
static struct q_stream *stream_of(struct q_h1_conn *h1) {
    return h1->tls != NULL ? &h1->tls->stream.stream : &h1->socket.stream;
}

static void drop_chunk(struct q_chunk **chunk) {
    if (*chunk != NULL) {
        q_chunk_release(*chunk);
        *chunk = NULL;
    }
}

// The kernel does not look at head and body any more.
static void release_request(struct q_h1_conn *h1) {
    void (*release)(void *context, struct q_loop *loop) = h1->release;
    h1->release = NULL;
    if (release != NULL) {
        release(h1->release_context, h1->env->loop);
    }
}

static void forget_exchange(struct q_h1_conn *h1) {
    q_holders_remove(&h1->holder);
    h1->user = NULL;
    h1->input = (struct q_slice){0};
    h1->refused = Q_H1_NEED_MORE;
    h1->is_short_of_memory = false;
    drop_chunk(&h1->chunk);
    drop_chunk(&h1->head_chunk);
}

void q_h1_drop_tls(struct q_h1_conn *h1) {
    if (h1->tls != NULL) {
        q_h1_ask_drop(h1);
        q_tls_client_leave(h1->env->tls, h1->tls->user.context);
        q_tls_report_drop(h1->tls->report);
        q_alloc_free(h1->env->tls->env.alloc, h1->tls, sizeof *h1->tls);
        h1->tls = NULL;
    }
}

static void begin_closing(struct q_h1_conn *h1) {
    if (h1->conn.state == Q_CONN_CLOSING) {
        return;
    }
    q_loop_disarm(h1->env->loop, &h1->timer);
    forget_exchange(h1);
    q_h1_ask_drop(h1);
    bool was_connected = h1->conn.state != Q_CONN_CONNECTING;
    h1->conn.state = Q_CONN_CLOSING;
    if (was_connected) {
        h1->conn.owner->on_dying(&h1->conn);
    }
    if (h1->is_dialing) {
        q_dialer_cancel(h1->u.dialer);
    } else {
        q_stream_close(stream_of(h1));
    }
}

static void receive(struct q_h1_conn *h1, uint32_t most) {
    if (most > 0 && !h1->is_receiving) {
        h1->is_receiving = true;
        q_stream_recv(stream_of(h1), most);
    }
}

static void become_idle(struct q_h1_conn *h1) {
    h1->conn.state = Q_CONN_IDLE;
    h1->since.deadline_ns = h1->env->loop->now_ns + h1->env->idle_timeout_ns;
    if (!q_timer_is_armed(&h1->timer)) {
        q_loop_arm(h1->env->loop, &h1->timer, h1->since.deadline_ns);
    }
    receive(h1, Q_STREAM_RECV_ANY);
}

static const struct q_stream_events k_stream_events;

// The socket's events are the connection's, unless TLS takes them over.
static void listen_to_socket(struct q_h1_conn *h1) {
    h1->socket.stream.events = &k_stream_events;
    h1->socket.stream.above = h1;
}

// --- connecting ----------------------------------------------------------------------------------------------------

static void give_up_connecting(struct q_h1_conn *h1, struct q_error error) {
    error.retry_safe = 1;
    begin_closing(h1);
    h1->conn.owner->on_connect_failed(&h1->conn, error);
}

static void note_facts(struct q_h1_tls *tls) {
    if (tls == NULL) {
        return;
    }
    struct q_tls_facts facts;
    q_tls_stream_facts(&tls->stream, &facts);
    tls->facts = (struct q_conn_tls){.handshake_ns = facts.handshake_ns,
                                     .version = facts.version_number,
                                     .cipher = facts.cipher_number,
                                     .is_resumed = facts.is_resumed};
    if (facts.alpn.len > 0 && facts.alpn.len < sizeof tls->facts.alpn) {
        memcpy(tls->facts.alpn, facts.alpn.ptr, facts.alpn.len);
    }
}

// What the server said of itself goes with the stream.
static void note_failure(struct q_h1_conn *h1, struct q_error error) {
    if (h1->tls != NULL && error.phase == Q_PHASE_TLS && h1->tls->report == NULL) {
        h1->tls->report = q_tls_report_of_stream(&h1->env->tls->reports, &h1->tls->stream, error);
    }
}

static void on_connected(struct q_stream *stream, struct q_error error) {
    struct q_h1_conn *h1 = h1_of_stream(stream);
    if (q_error_is(error)) {
        note_failure(h1, error);
        // Who is there and cannot be trusted, or speaks no TLS, is not another one at another address.
        give_up_connecting(h1, error);
        return;
    }
    q_loop_disarm(h1->env->loop, &h1->timer);
    note_facts(h1->tls);
    become_idle(h1);
    h1->conn.owner->on_ready(&h1->conn);
}

void q_h1_end(struct q_h1_conn *h1) {
    q_h1_drop_tls(h1);
    h1->conn.state = Q_CONN_NEW;
    h1->conn.owner->on_closed(&h1->conn);
}

static void on_closed(struct q_stream *stream) {
    struct q_h1_conn *h1 = h1_of_stream(stream);
    release_request(h1);
    q_h1_feeds_drop(&h1->feeds, h1->env->loop);
    q_h1_end(h1);
}

// The socket is there; what TLS does on it is a part of connecting.
void q_h1_go_on_with(struct q_h1_conn *h1, struct q_io_slot slot, const struct q_endpoint *remote) {
    h1->conn.remote = *remote;
    q_socket_stream_adopt(&h1->socket, slot);
    if (h1->tls == NULL) {
        on_connected(&h1->socket.stream, Q_OK);
        return;
    }
    struct q_error error = q_tls_stream_start(&h1->tls->stream);
    if (q_error_is(error)) {
        q_h1_drop_tls(h1);
        listen_to_socket(h1); // it was TLS that did
        give_up_connecting(h1, error);
    }
}

void q_h1_conn_adopt(struct q_h1_conn *h1, struct q_io_slot slot, const struct q_endpoint *remote, uint64_t deadline_ns) {
    Q_CHECK(h1->conn.state == Q_CONN_NEW);
    h1->conn.state = Q_CONN_CONNECTING;
    q_loop_arm(h1->env->loop, &h1->timer, deadline_ns);
    q_h1_go_on_with(h1, slot, remote);
}

// --- reading a response --------------------------------------------------------------------------------------------

// Only what a connection begins with can have gone early.
static uint8_t early_of(const struct q_h1_conn *h1) {
    return h1->tls == NULL || h1->is_reused ? Q_TLS_EARLY_NONE : h1->tls->stream.early;
}

static struct q_conn_progress progress_of(const struct q_h1_conn *h1) {
    struct q_conn_progress progress = {
        .bytes_in = h1->bytes_in,
        .bytes_out = h1->bytes_out,
        .connection_id = h1->conn.id,
        .is_reused = h1->is_reused,
        .remote = h1->conn.remote,
        .has_response_begun = q_h1_reader_has_begun(&h1->reader),
        .tls = h1->tls != NULL ? h1->tls->facts : (struct q_conn_tls){0},
    };
    progress.tls.early = early_of(h1);
    return progress;
}

// Behind what is asked for stands what an alert says: servers tell by one that they miss a client certificate.
static void add_report(const struct q_h1_conn *h1, struct q_error error, struct q_conn_progress *progress) {
    if (h1->tls != NULL && (h1->asks_report || error.alert != 0)) {
        progress->report = q_tls_report_of_stream(&h1->env->tls->reports, &h1->tls->stream, error);
    }
}

static void fail(struct q_h1_conn *h1, struct q_error error) {
    struct q_conn_user *user = h1->user;
    struct q_conn_progress progress = progress_of(h1);
    if (!progress.has_response_begun && q_error_is(h1->send_error) && error.code != Q_ERR_TLS_ALERT) {
        error = h1->send_error; // the send knew first, but for what the peer itself has said
    }
    // Sending was refused before the kernel had taken a byte: the peer cannot have seen anything.
    error.retry_safe = progress.bytes_out == 0 && !h1->is_sending && !progress.has_response_begun && !h1->is_fast_open;
    add_report(h1, error, &progress);
    begin_closing(h1);
    user->events->on_failed(user, error, &progress);
}

static void finish(struct q_h1_conn *h1, bool at_boundary) {
    struct q_conn_user *user = h1->user;
    bool is_reusable = at_boundary && q_h1_reader_keep_alive(&h1->reader) && !h1->is_sending && !h1->asks_close &&
                       !q_error_is(h1->send_error) && h1->input.len == 0 && !q_stream_has_unasked(stream_of(h1));
    struct q_conn_progress progress = progress_of(h1);
    progress.has_response_begun = true;
    add_report(h1, Q_OK, &progress);
    forget_exchange(h1);
    if (!is_reusable) {
        begin_closing(h1);
        user->events->on_end(user, &progress);
        return;
    }
    become_idle(h1);
    // The owner first: an exchange that goes on from here (a redirect) finds the connection on the shelf.
    h1->conn.owner->on_free(&h1->conn);
    user->events->on_end(user, &progress);
}

static void wait_for_memory(struct q_h1_conn *h1) {
    h1->is_short_of_memory = true;
    q_loop_arm(h1->env->loop, &h1->timer, h1->env->loop->now_ns + MEMORY_RETRY_NS);
}

// The reader builds heads, and later trailers, in a chunk. It is lent when the first byte is there, so that a
// connection that waits for its answer holds no memory.
static bool lend_memory(struct q_h1_conn *h1, struct q_chunk_pool *pool) {
    if (h1->head_chunk != NULL) {
        return true;
    }
    h1->head_chunk = q_chunk_take(pool, Q_CHUNK_FOR_HEAD);
    if (h1->head_chunk == NULL) {
        wait_for_memory(h1);
        return false;
    }
    q_h1_reader_lend(&h1->reader, h1->head_chunk->data, pool->capacity);
    return true;
}

typedef enum pump_next event_fn(struct q_h1_conn *h1);

static enum pump_next on_need_more(struct q_h1_conn *h1) {
    drop_chunk(&h1->chunk);
    // Credit is for bytes of the body: until the final head is there the answer is received without any.
    bool has_head = h1->u.out.status >= 200 || h1->feeds.is_open;
    receive(h1, has_head ? h1->user->events->wants(h1->user) : Q_STREAM_RECV_ANY);
    return PUMP_STOP;
}

// A refused event stays in h1->u.out and is offered again.
static enum pump_next offered(struct q_h1_conn *h1, enum q_h1_event event, bool was_taken) {
    h1->refused = was_taken ? Q_H1_NEED_MORE : event;
    return was_taken ? PUMP_GO_ON : PUMP_STOP;
}

static enum pump_next on_informational(struct q_h1_conn *h1) {
    bool was_taken = h1->user->events->on_informational(h1->user, &h1->u.out, h1->head_chunk);
    if (was_taken) {
        drop_chunk(&h1->head_chunk); // the next head gets memory of its own: this one may live on in an event
        q_h1_reader_lend(&h1->reader, NULL, 0);
    }
    return offered(h1, Q_H1_INFORMATIONAL, was_taken);
}

// A reset is not the end yet: a server may answer (413, 401) and close without reading the rest. The receive will
// tell: it is armed since the start, unless the user has paused it or still owes an answer to what it brought.
// After another failure the connection lives, and its peer would wait for the rest as long as we for the answer.
static bool ends_exchange(struct q_error send_error) {
    return q_error_is(send_error) && send_error.code != Q_ERR_CONNECTION_RESET;
}

static enum pump_next on_head(struct q_h1_conn *h1) {
    if (h1->u.out.body == Q_H1_BODY_TUNNEL && !h1->feeds.is_open) {
        q_h1_feeds_begin(&h1->feeds); // first: the user may feed at once
    }
    if (!h1->user->events->on_head(h1->user, &h1->u.out, h1->head_chunk)) {
        if (h1->input.len == 0) {
            drop_chunk(&h1->chunk); // a host may take long to decide, and the head does not lie in it
        }
        return offered(h1, Q_H1_HEAD, false);
    }
    h1->refused = Q_H1_NEED_MORE;
    // A long body must not hold the chunk; trailers, should there be any, get one of their own.
    drop_chunk(&h1->head_chunk);
    q_h1_reader_lend(&h1->reader, NULL, 0);
    if (ends_exchange(h1->send_error)) {
        fail(h1, h1->send_error); // it came while the head was refused
        return PUMP_STOP;
    }
    return PUMP_GO_ON;
}

static enum pump_next on_data(struct q_h1_conn *h1) {
    return offered(h1, Q_H1_DATA, h1->user->events->on_data(h1->user, h1->u.out.data, h1->chunk));
}

static enum pump_next on_end(struct q_h1_conn *h1) {
    if (h1->u.out.headers != NULL &&
        !h1->user->events->on_trailers(h1->user, h1->u.out.headers, h1->head_chunk)) {
        return offered(h1, Q_H1_END, false);
    }
    finish(h1, true);
    return PUMP_STOP;
}

static enum pump_next on_failed(struct q_h1_conn *h1) {
    fail(h1, h1->u.out.error);
    return PUMP_STOP;
}

static enum pump_next on_need_memory(struct q_h1_conn *h1) {
    bool has_head = h1->u.out.status >= 200;
    return lend_memory(h1, has_head ? h1->env->trailer_chunks : h1->env->head_chunks) ? PUMP_GO_ON : PUMP_STOP;
}

static event_fn *const k_on_event[] = {
    [Q_H1_NEED_MORE] = on_need_more, [Q_H1_INFORMATIONAL] = on_informational, [Q_H1_HEAD] = on_head,
    [Q_H1_DATA] = on_data,           [Q_H1_END] = on_end,                     [Q_H1_FAILED] = on_failed,
    [Q_H1_NEED_MEMORY] = on_need_memory,
};

// Between pumps a connection that is not receiving holds what it has, and what the stream has fetched ahead for it; and
// by TLS what is sealed and not sent.
static void note_hold(struct q_h1_conn *h1) {
    if (h1->conn.state != Q_CONN_BUSY) {
        return; // over
    }
    if (h1->chunk != NULL || (h1->tls != NULL && h1->is_sending) || (!h1->is_receiving && q_stream_has_unasked(stream_of(h1)))) {
        q_holders_add(h1->env->holders, &h1->holder);
    } else {
        q_holders_remove(&h1->holder);
    }
}

static void give_up_hold(struct q_holder *holder) {
    struct q_h1_conn *h1 = q_container_of(holder, struct q_h1_conn, holder);
    fail(h1, q_error_make(Q_ERR_NO_MEMORY, h1->u.out.status >= 200 ? Q_PHASE_BODY : Q_PHASE_HEAD));
}

// Reads what was received, one event at a time, until it is used up, refused, or the exchange is over.
static void pump(struct q_h1_conn *h1) {
    enum pump_next next = PUMP_GO_ON;
    while (next == PUMP_GO_ON) {
        enum q_h1_event event = (enum q_h1_event)h1->refused;
        if (event == Q_H1_NEED_MORE) {
            event = q_h1_reader_next(&h1->reader, &h1->input, &h1->u.out);
        }
        next = k_on_event[event](h1);
    }
    note_hold(h1);
}

// --- stream events -------------------------------------------------------------------------------------------------

static void on_received(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    struct q_h1_conn *h1 = h1_of_stream(stream);
    h1->is_receiving = false;
    if (h1->conn.state != Q_CONN_BUSY) {
        // Nobody asked: these bytes must never meet the next request.
        q_chunk_release(chunk);
        begin_closing(h1);
        return;
    }
    Q_CHECK(h1->chunk == NULL && h1->refused == Q_H1_NEED_MORE);
    if (q_io_get_stats(h1->env->loop->io)->turns == h1->since.started_turn ||
        (h1->tls != NULL && !q_tls_stream_has_sent(&h1->tls->stream))) {
        // These bytes came before the request was handed to the kernel: they answer something else.
        q_chunk_release(chunk);
        fail(h1, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_SEND));
        return;
    }
    h1->chunk = chunk;
    h1->input = bytes;
    h1->bytes_in += bytes.len;
    h1->user->events->on_bytes(h1->user, bytes.len);
    pump(h1);
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    struct q_h1_conn *h1 = h1_of_stream(stream);
    h1->is_receiving = false;
    if (h1->conn.state != Q_CONN_BUSY) {
        begin_closing(h1);
        return;
    }
    Q_CHECK(h1->chunk == NULL && h1->refused == Q_H1_NEED_MORE);
    if (error.code == Q_ERR_TLS_TRUNCATED && h1->is_reused && !q_h1_reader_has_begun(&h1->reader)) {
        error = Q_OK; // nothing was there to be cut: many servers drop idle connections without a word
    }
    if (q_error_is(error)) {
        error.phase = q_h1_reader_has_begun(&h1->reader) ? Q_PHASE_BODY : Q_PHASE_HEAD;
        fail(h1, error);
        return;
    }
    if (h1->feeds.is_open) {
        h1->has_peer_ended = true;
        h1->user->events->on_peer_end(h1->user);
        return;
    }
    if (q_h1_reader_eof(&h1->reader, &h1->u.out) == Q_H1_END) {
        finish(h1, false);
    } else {
        fail(h1, h1->u.out.error);
    }
}

// Sends the next of what was fed, unless something is being sent.
static void send_feeds(struct q_h1_conn *h1) {
    if (h1->is_sending || !h1->feeds.is_open) {
        return;
    }
    struct iovec parts[Q_IO_SEND_PARTS_MAX];
    unsigned num_parts;
    switch (q_h1_feeds_next(&h1->feeds, parts, Q_IO_SEND_PARTS_MAX, &num_parts)) {
    case Q_H1_FEEDS_SEND:
        h1->is_sending = true;
        q_stream_send(stream_of(h1), parts, num_parts);
        break;
    case Q_H1_FEEDS_END: q_stream_shutdown(stream_of(h1)); break;
    case Q_H1_FEEDS_NOTHING: break;
    }
}

// A send on an upgraded connection is over: of the request's rest, or of what was fed.
static void feeds_sent(struct q_h1_conn *h1, bool has_failed) {
    uint64_t bytes = q_h1_feeds_sent(&h1->feeds, has_failed, h1->env->loop);
    send_feeds(h1);
    if (bytes > 0) {
        h1->user->events->on_fed(h1->user, bytes);
    }
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    struct q_h1_conn *h1 = h1_of_stream(stream);
    h1->is_sending = false;
    release_request(h1);
    if (h1->conn.state != Q_CONN_BUSY) {
        return;
    }
    h1->bytes_out += len;
    h1->send_error = error;
    if (h1->tls != NULL) {
        note_hold(h1);
    }
    if (h1->feeds.is_open && (!q_error_is(error) || error.code == Q_ERR_CONNECTION_RESET)) {
        feeds_sent(h1, q_error_is(error));
        return;
    }
    if (ends_exchange(error)) {
        if (h1->refused != Q_H1_HEAD) {
            fail(h1, error);
        }
    } else if (!q_error_is(error)) {
        h1->user->events->on_sent(h1->user);
    }
}

static const struct q_stream_events k_stream_events = {
    .on_connected = on_connected,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

// --- the seam ------------------------------------------------------------------------------------------------------

static void h1_start(struct q_conn *conn, struct q_conn_user *user, const struct q_conn_request *request) {
    struct q_h1_conn *h1 = h1_of_conn(conn);
    Q_CHECK(conn->state == Q_CONN_IDLE && h1->user == NULL && !h1->is_sending);
    conn->state = Q_CONN_BUSY;
    h1->user = user;
    h1->bytes_in = 0;
    h1->bytes_out = 0;
    h1->is_reused = conn->uses > 0;
    conn->uses++;
    h1->since.started_turn = q_io_get_stats(h1->env->loop->io)->turns;
    h1->asks_close = request->asks_close;
    h1->asks_report = request->asks_report;
    h1->release = request->release;
    h1->release_context = request->release_context;
    h1->send_error = Q_OK;
    h1->u.out = (struct q_h1_out){0};
    h1->has_peer_ended = false;
    q_h1_reader_begin(&h1->reader, request->reader_flags, NULL, 0, &h1->env->limits);
    if (request->upgrade.len > 0) {
        q_h1_reader_ask_upgrade(&h1->reader, request->upgrade);
    }
    struct iovec parts[2] = {
        {.iov_base = (char *)(uintptr_t)request->head.ptr, .iov_len = request->head.len},
        {.iov_base = (char *)(uintptr_t)request->body.ptr, .iov_len = request->body.len},
    };
    h1->is_sending = true;
    if (h1->tls != NULL && request->may_go_early) {
        q_tls_stream_go_early(&h1->tls->stream);
    }
    q_stream_send(stream_of(h1), parts, request->body.len > 0 ? 2 : 1);
    receive(h1, Q_STREAM_RECV_ANY);
    if (h1->tls != NULL) {
        note_hold(h1);
    }
}

static bool h1_is_fit(const struct q_conn *conn) {
    return !q_stream_has_unasked(stream_of(q_container_of(conn, struct q_h1_conn, conn)));
}

static void h1_resume(struct q_conn *conn) {
    struct q_h1_conn *h1 = h1_of_conn(conn);
    if (conn->state != Q_CONN_BUSY) {
        return;
    }
    h1->is_short_of_memory = false;
    if (h1->chunk != NULL || h1->refused != Q_H1_NEED_MORE) {
        pump(h1);
    } else if (!h1->has_peer_ended) {
        receive(h1, h1->user->events->wants(h1->user));
    }
}

static void h1_feed(struct q_conn *conn, struct q_feed *feed) {
    struct q_h1_conn *h1 = h1_of_conn(conn);
    Q_CHECK(conn->state == Q_CONN_BUSY);
    uint64_t bytes = q_h1_feeds_take(&h1->feeds, feed, h1->env->loop);
    send_feeds(h1);
    if (bytes > 0) {
        h1->user->events->on_fed(h1->user, bytes);
    }
}

static void h1_abandon(struct q_conn *conn, struct q_conn_progress *out_progress) {
    struct q_h1_conn *h1 = h1_of_conn(conn);
    Q_CHECK(conn->state == Q_CONN_BUSY);
    *out_progress = progress_of(h1);
    add_report(h1, Q_OK, out_progress);
    begin_closing(h1);
}

static void h1_retire(struct q_conn *conn) {
    if (conn->state == Q_CONN_IDLE) {
        begin_closing(h1_of_conn(conn));
    }
    h1_of_conn(conn)->asks_close = true; // as if its request had said so
}

static void h1_answer(struct q_conn *conn, bool is_yes, struct q_slice signature) {
    q_h1_ask_answer(h1_of_conn(conn), is_yes, signature);
}

static bool h1_went_early(const struct q_conn *conn) {
    return early_of(q_container_of(conn, const struct q_h1_conn, conn)) == Q_TLS_EARLY_ACCEPTED;
}

static void h1_close(struct q_conn *conn) { begin_closing(h1_of_conn(conn)); }

static void timer_fired(struct q_timer *timer) {
    struct q_h1_conn *h1 = q_container_of(timer, struct q_h1_conn, timer);
    switch ((enum q_conn_state)h1->conn.state) {
    case Q_CONN_CONNECTING:
        if (q_h1_ask_again(h1)) {
            break;
        }
        h1->conn.is_out_of_time = true;
        give_up_connecting(h1, q_h1_dial_timeout(&h1->conn));
        break;
    case Q_CONN_IDLE:
        // Armed once and looked at late: an exchange does not touch the timer unless it fired meanwhile.
        if (h1->env->loop->now_ns < h1->since.deadline_ns) {
            q_loop_arm(h1->env->loop, timer, h1->since.deadline_ns);
        } else {
            begin_closing(h1);
        }
        break;
    case Q_CONN_BUSY:
        if (h1->is_short_of_memory) {
            h1_resume(&h1->conn);
        }
        break;
    case Q_CONN_NEW:
    case Q_CONN_CLOSING: break;
    }
}

static const struct q_conn_vtable k_h1_vtable = {
    .is_fit = h1_is_fit,
    .start = h1_start,
    .resume = h1_resume,
    .feed = h1_feed,
    .abandon = h1_abandon,
    .retire = h1_retire,
    .answer = h1_answer,
    .close = h1_close,
    .went_early = h1_went_early,
    .tell_dial = q_h1_tell_dial,
    .dial_timeout = q_h1_dial_timeout,
};

void q_h1_conn_init(struct q_h1_conn *h1, const struct q_conn_env *env) {
    h1->conn.v = &k_h1_vtable;
    h1->env = env;
    h1->timer.fired = timer_fired;
    h1->holder.give_up = give_up_hold;
    q_socket_stream_init(&h1->socket, env->loop->io, &k_stream_events);
    h1->socket.stream.above = h1;
}

// --- sessions of TLS -------------------------------------------------------------------------------------------------

static struct q_h1_tls *h1_tls_of(struct q_tls_stream *stream) { return q_container_of(stream, struct q_h1_tls, stream); }

static struct q_tls_client *client_of(struct q_tls_stream *stream) { return h1_of_stream(&stream->stream)->env->tls; }

static struct ssl_session_st *take_session(struct q_tls_stream *stream) {
    const struct q_h1_tls *tls = h1_tls_of(stream);
    return q_tls_client_take_session(client_of(stream), &tls->user, tls->params.verify_name);
}

static void keep_session(struct q_tls_stream *stream, struct ssl_session_st *session) {
    q_tls_client_keep_session(client_of(stream), &h1_tls_of(stream)->user, session);
}

static void drop_session(struct q_tls_stream *stream, const struct ssl_session_st *session) {
    q_tls_client_drop_session(client_of(stream), &h1_tls_of(stream)->user, session);
}

static void on_settled(struct q_tls_stream *stream) { note_facts(h1_tls_of(stream)); }

static void on_question(struct q_tls_stream *stream, const struct q_tls_question *question) {
    q_h1_ask(h1_of_stream(&stream->stream), question);
}

static const struct q_tls_events k_tls_events = {.on_question = on_question,
                                                 .on_session = keep_session,
                                                 .take_session = take_session,
                                                 .on_session_useless = drop_session,
                                                 .on_settled = on_settled};

struct q_error q_h1_conn_secure(struct q_h1_conn *h1, struct q_handle tls, const struct q_tls_peer *peer,
                                struct q_slice audience) {
    struct q_tls_client *client = h1->env->tls;
    struct q_h1_tls *made = q_alloc_new(client->env.alloc, sizeof *made);
    if (made == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
    }
    struct q_error error = q_tls_client_enter(client, tls, &made->user.context);
    if (q_error_is(error)) {
        q_alloc_free(client->env.alloc, made, sizeof *made);
        return error;
    }
    made->user.audience = audience;
    q_tls_client_params(client, made->user.context, peer, &made->params);
    q_tls_stream_init(&made->stream, &client->env, &h1->socket.stream, &k_stream_events, &k_tls_events);
    q_tls_stream_set(&made->stream, &made->params);
    made->stream.stream.above = h1;
    made->ask = (struct q_h1_ask){.host = peer->name, .port = peer->port};
    h1->tls = made;
    return Q_OK;
}

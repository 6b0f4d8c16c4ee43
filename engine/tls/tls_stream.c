#include "engine/tls/tls_stream_internal.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

// Before each call the library's errors must be cleared. SSL_read, _peek, _write, _shutdown and _do_handshake begin with that
// by themselves, and it is not cheap, so where nothing else is called it is left to them.

// There was no memory. What frees some is somebody else's release, and nobody knows who waits for it.
#define MEMORY_RETRY_NS (10 * Q_NS_PER_MS)
#define MEMORY_WAIT_MAX_NS Q_NS_PER_S // as long as holders of memory may keep others waiting

#define RECORD_MAX 16384    // plaintext of one record
#define RECORD_MIN 512      // less is not worth a record of its own while more is to come
#define GATHER_MAX 4096     // small parts up to this, as a head and a short body, become one record
#define SEAL_SLACK 256      // for an answer to a key update in front of a record
#define ASKS_PER_PASS 4     // 64 KiB, as much as a large receive buffer holds
#define GOODBYE_ROOM 512    // for a close_notify, with the same in front of it

static struct q_tls_stream *tls_of(struct q_stream *stream) {
    return q_container_of(stream, struct q_tls_stream, stream);
}

void q_tls_receive_below(struct q_tls_stream *tls, uint32_t most) {
    if (!tls->is_receiving) {
        tls->is_receiving = true;
        // A handshake and its tickets are asked for again and again, and say nothing of how the answers will be. Until one
        // has come, what lies below is not to take it for an owner whose answers are small (ring_recv.c).
        q_stream_recv(tls->below, tls->has_brought ? most : 1);
    }
}

void q_tls_flush(struct q_tls_stream *tls) {
    if (q_tls_pipe_has_out(&tls->pipe)) {
        struct iovec parts[Q_TLS_PIPE_CHUNKS];
        unsigned num_parts = q_tls_pipe_send(&tls->pipe, parts);
        q_stream_send(tls->below, parts, num_parts);
    }
}

bool q_tls_wait_for_memory(struct q_tls_stream *tls, uint64_t *since_ns) {
    uint64_t now_ns = tls->env->loop->now_ns;
    if (*since_ns == 0) {
        *since_ns = now_ns;
    } else if (now_ns - *since_ns >= MEMORY_WAIT_MAX_NS) {
        return false;
    }
    q_loop_arm(tls->env->loop, &tls->timer, now_ns + MEMORY_RETRY_NS);
    return true;
}

// --- sending ---------------------------------------------------------------------------------------------------------

static size_t left_to_seal(const struct q_tls_stream *tls) {
    size_t left = 0;
    for (unsigned i = tls->part; i < tls->num_parts; i++) {
        left += tls->parts[i].iov_len;
    }
    return left;
}

static void advance(struct q_tls_stream *tls, size_t len) {
    tls->flying_len += len;
    while (len > 0) {
        struct iovec *part = &tls->parts[tls->part];
        size_t step = len < part->iov_len ? len : part->iov_len;
        part->iov_base = (char *)part->iov_base + step;
        part->iov_len -= step;
        len -= step;
        tls->part += part->iov_len == 0;
    }
}

// The next record's plaintext, of `most` bytes at most: the first part's own bytes, or small ones of several in `scratch`.
static struct q_slice next_plain(const struct q_tls_stream *tls, size_t most, char scratch[GATHER_MAX]) {
    const struct iovec *part = &tls->parts[tls->part];
    if (part->iov_len >= GATHER_MAX || part->iov_len >= most || tls->part + 1u == tls->num_parts) {
        return q_slice_make(part->iov_base, part->iov_len < most ? part->iov_len : most);
    }
    size_t len = 0;
    most = most < GATHER_MAX ? most : GATHER_MAX;
    for (unsigned i = tls->part; i < tls->num_parts && len < most; i++) {
        size_t step = tls->parts[i].iov_len < most - len ? tls->parts[i].iov_len : most - len;
        if (step > 0) {
            memcpy(scratch + len, tls->parts[i].iov_base, step);
        }
        len += step;
    }
    return q_slice_make(scratch, len);
}

// True: one more record was sealed.
static bool seal_record(struct q_tls_stream *tls) {
    char scratch[GATHER_MAX];
    size_t left = left_to_seal(tls);
    if (left == 0) {
        return false;
    }
    size_t overhead = SSL_max_seal_overhead(tls->ssl) + SEAL_SLACK;
    size_t most = left < RECORD_MAX ? left : RECORD_MAX;
    size_t room = q_tls_pipe_make_room(&tls->pipe, most + overhead);
    if (room < overhead + (most < RECORD_MIN ? most : RECORD_MIN)) {
        return false;
    }
    most = most < room - overhead ? most : room - overhead;
    struct q_slice plain = next_plain(tls, most, scratch);
    int result = SSL_write(tls->ssl, plain.ptr, (int)plain.len);
    if (plain.ptr == scratch) {
        q_wipe(scratch, plain.len); // a head may be in it, with what is secret there
    }
    if (result != (int)plain.len) {
        // The receiving side has found the session broken before.
        tls->send_error = q_tls_error(tls, Q_PHASE_SEND);
        return false;
    }
    advance(tls, plain.len);
    return true;
}

// Seals as much of the owner's send as one send below takes, and begins that. Calls down only.
static void seal(struct q_tls_stream *tls) {
    if (tls->pipe.is_sending || q_error_is(tls->send_error)) {
        return;
    }
    if (tls->flying_len == 0) {
        tls->flying_head = q_tls_pipe_gathered(&tls->pipe);
    }
    while (seal_record(tls)) {
    }
    if (tls->flying_len > 0) {
        tls->short_of_out_ns = 0;
    } else if (!q_error_is(tls->send_error) && left_to_seal(tls) > 0 &&
               !q_tls_wait_for_memory(tls, &tls->short_of_out_ns)) {
        tls->send_error = q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SEND);
    }
    q_tls_flush(tls);
}

static void end_send(struct q_tls_stream *tls) {
    size_t sent_len = tls->sent_len;
    tls->is_sending = false;
    tls->num_parts = 0;
    tls->part = 0;
    tls->stream.events->on_sent(&tls->stream, sent_len, tls->send_error);
}

// Goes on with the owner's send, which may be over.
static void go_on_sending(struct q_tls_stream *tls) {
    if (left_to_seal(tls) > 0) {
        seal(tls);
    }
    if (!tls->pipe.is_sending && (q_error_is(tls->send_error) || left_to_seal(tls) + tls->flying_len == 0)) {
        end_send(tls);
    }
}

// --- the end of our direction ----------------------------------------------------------------------------------------

// Gathers a close_notify, once. False: there is no room for it.
static bool say_goodbye(struct q_tls_stream *tls) {
    if (tls->has_said_goodbye || tls->pipe.is_deaf) {
        return true;
    }
    if (q_tls_pipe_make_room(&tls->pipe, GOODBYE_ROOM) < GOODBYE_ROOM) {
        return false;
    }
    tls->has_said_goodbye = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl); // says it, and waits for nothing; where it may not be said any more nothing is gathered
    ERR_clear_error();
    q_tls_flush(tls);
    return true;
}

static void go_on_shutting(struct q_tls_stream *tls) {
    if (tls->pipe.is_sending) {
        return;
    }
    if (!say_goodbye(tls) && q_tls_wait_for_memory(tls, &tls->short_of_out_ns)) {
        return;
    }
    if (!tls->pipe.is_sending) {
        tls->wants_shutdown = false;
        tls->pipe.is_deaf = true; // nothing may be sent below any more
        q_stream_shutdown(tls->below);
    }
}

// --- receiving -------------------------------------------------------------------------------------------------------

static bool may_have_some(const struct q_tls_stream *tls) {
    return !tls->has_end && (tls->pipe.in.len > 0 || tls->pipe.has_ended || SSL_pending(tls->ssl) > 0);
}

// Whether a read that brought nothing has found the end.
static void note_end(struct q_tls_stream *tls, int result) {
    int reason = SSL_get_error(tls->ssl, result);
    if (reason == SSL_ERROR_WANT_READ && !tls->pipe.is_flooded) {
        return;
    }
    tls->has_end = true;
    tls->end = reason == SSL_ERROR_ZERO_RETURN ? Q_OK : q_tls_error(tls, Q_PHASE_HEAD);
    ERR_clear_error();
}

// Opens what lies before the next plaintext, and that, without taking any of it. True: there is some, or the end.
static bool look_ahead(struct q_tls_stream *tls) {
    char byte;
    int result = SSL_peek(tls->ssl, &byte, 1);
    if (result > 0) {
        q_tls_pipe_had_data(&tls->pipe);
        return true;
    }
    note_end(tls, result);
    return tls->has_end;
}

// Plaintext into `chunk`, `most` bytes at most, as far as the pass goes.
static void open_records(struct q_tls_stream *tls, struct q_chunk *chunk, uint32_t most) {
    while (chunk->used < most && may_have_some(tls)) { // a read that finds nothing costs as much as a small record
        int result = SSL_read(tls->ssl, chunk->data + chunk->used, (int)(most - chunk->used));
        if (result <= 0) {
            note_end(tls, result);
            return;
        }
        q_tls_pipe_had_data(&tls->pipe);
        chunk->used += (uint32_t)result;
    }
    // The beginning of a record moves to the library's memory now, so that the chunk goes home, and the next receive begins
    // below at once instead of in the run queue.
    if (!tls->has_end && SSL_pending(tls->ssl) == 0 && q_tls_pipe_has_part(&tls->pipe)) {
        (void)look_ahead(tls);
    }
}

// Nothing came of a pass.
static void wait_for_more(struct q_tls_stream *tls) {
    if (tls->has_end) {
        tls->wants = 0;
        tls->stream.events->on_ended(&tls->stream, tls->end);
    } else if (tls->pipe.in.len > 0) {
        q_loop_post(tls->env->loop, &tls->task);
    } else {
        q_tls_receive_below(tls, tls->wants);
    }
}

static void fail_for_memory(struct q_tls_stream *tls) {
    tls->wants = 0;
    tls->has_end = true;
    tls->end = q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_HEAD);
    tls->stream.events->on_ended(&tls->stream, tls->end);
}

// Answers the owner's ask, or begins what will. True: it was told of plaintext.
static bool answer_ask(struct q_tls_stream *tls) {
    if (!may_have_some(tls)) {
        wait_for_more(tls);
        return false;
    }
    struct q_chunk *chunk = q_chunk_take(tls->env->chunks, Q_CHUNK_FOR_KERNEL);
    if (chunk == NULL) {
        if (!q_tls_wait_for_memory(tls, &tls->short_of_in_ns)) {
            fail_for_memory(tls);
        }
        return false;
    }
    tls->short_of_in_ns = 0;
    uint32_t capacity = chunk->pool->capacity;
    open_records(tls, chunk, tls->wants < capacity ? tls->wants : capacity);
    if (tls->has_end) {
        q_tls_flush(tls); // the alert, if there is one
    }
    if (chunk->used == 0) {
        q_chunk_release(chunk);
        wait_for_more(tls);
        return false;
    }
    tls->wants = 0;
    tls->has_brought = true;
    tls->stream.events->on_received(&tls->stream, chunk, q_slice_make(chunk->data, chunk->used));
    return true;
}

// A pass. A large receive buffer holds several asks' worth: an owner that asks again inside the event is answered here and
// not in the next tick, ASKS_PER_PASS times. The task that its ask has posted stays when that is used up.
static void go_on_receiving(struct q_tls_stream *tls) {
    q_tls_pipe_begin_pass(&tls->pipe);
    for (unsigned asks = 1; answer_ask(tls) && asks < ASKS_PER_PASS; asks++) {
        bool goes_on = tls->state == Q_TLS_OPEN && tls->wants > 0 && !tls->is_receiving && may_have_some(tls) &&
                       tls->pipe.records_left > 0 && !q_error_is(tls->send_error);
        if (!goes_on) {
            return;
        }
        q_loop_unpost(&tls->task);
    }
}

// --- events from below, tasks, timers --------------------------------------------------------------------------------

// Does what there is to do. The owner may be told of something, and may have closed behind each step.
static void go_on(struct q_tls_stream *tls) {
    if (q_tls_is_shaking(tls)) {
        q_tls_shake_go_on(tls);
        return;
    }
    if (tls->state == Q_TLS_OPEN && tls->is_sending) {
        go_on_sending(tls);
    }
    if (tls->state == Q_TLS_OPEN && tls->wants_shutdown) {
        go_on_shutting(tls);
    }
    if (tls->state == Q_TLS_OPEN && tls->wants > 0 && (!tls->is_receiving || tls->has_end)) {
        go_on_receiving(tls);
    }
}

static void run_task(struct q_task *task) { go_on(q_container_of(task, struct q_tls_stream, task)); }

static void timer_fired(struct q_timer *timer) {
    struct q_tls_stream *tls = q_container_of(timer, struct q_tls_stream, timer);
    if (q_tls_is_shaking(tls)) {
        q_tls_shake_timer(tls);
    } else {
        go_on(tls);
    }
}

static void below_connected(struct q_stream *below, struct q_error error) {
    struct q_tls_stream *tls = below->above;
    if (q_error_is(error)) {
        tls->state = Q_TLS_FAILED;
        tls->stream.events->on_connected(&tls->stream, error);
        return;
    }
    q_tls_shake_start(tls);
}

static void below_received(struct q_stream *below, struct q_chunk *chunk, struct q_slice bytes) {
    struct q_tls_stream *tls = below->above;
    tls->is_receiving = false;
    q_tls_pipe_feed(&tls->pipe, chunk, bytes);
    go_on(tls);
}

static void below_ended(struct q_stream *below, struct q_error error) {
    struct q_tls_stream *tls = below->above;
    tls->is_receiving = false;
    tls->below_error = error;
    tls->pipe.has_ended = true;
    go_on(tls);
}

static void below_sent(struct q_stream *below, size_t len, struct q_error error) {
    struct q_tls_stream *tls = below->above;
    q_tls_pipe_sent(&tls->pipe, q_error_is(error));
    if (tls->state == Q_TLS_HANDSHAKING && q_error_is(error)) {
        q_tls_shake_send_failed(tls, error);
        return;
    }
    // A record that was not taken whole cannot be opened: with nothing behind what is not the owner's the server has seen
    // nothing of it.
    tls->sent_len += len > tls->flying_head ? tls->flying_len : 0;
    tls->flying_len = 0;
    tls->flying_head = 0;
    if (tls->state == Q_TLS_AHEAD && q_error_is(error)) {
        q_tls_shake_send_failed(tls, error);
        return;
    }
    if (q_error_is(error) && !q_error_is(tls->send_error)) {
        tls->send_error = error;
    }
    go_on(tls);
}

static void below_closed(struct q_stream *below) {
    struct q_tls_stream *tls = below->above;
    q_tls_pipe_drop_out(&tls->pipe);
    tls->state = Q_TLS_NEW;
    tls->stream.events->on_closed(&tls->stream);
}

static const struct q_stream_events k_below_events = {
    .on_connected = below_connected,
    .on_received = below_received,
    .on_ended = below_ended,
    .on_sent = below_sent,
    .on_closed = below_closed,
};

// --- the seam --------------------------------------------------------------------------------------------------------

// A stream that was closed begins anew.
static void forget(struct q_tls_stream *tls) {
    q_tls_pipe_init(&tls->pipe, tls->env->chunks);
    tls->sent_len = tls->flying_len = 0;
    tls->short_of_in_ns = tls->short_of_out_ns = 0;
    tls->flying_head = tls->wants = 0;
    tls->below_error = tls->end = tls->send_error = Q_OK;
    tls->num_parts = tls->part = 0;
    tls->early = Q_TLS_EARLY_NONE;
    tls->next_goes_early = false;
    tls->has_end = tls->is_receiving = tls->is_sending = tls->has_said_goodbye = tls->wants_shutdown = false;
    tls->has_brought = false;
}

struct q_error q_tls_stream_start(struct q_tls_stream *tls) {
    Q_CHECK(tls->state == Q_TLS_NEW);
    forget(tls);
    struct q_error error = q_tls_shake_begin(tls);
    if (!q_error_is(error)) {
        tls->state = Q_TLS_CONNECTING;
        q_tls_shake_start(tls);
    }
    return error;
}

static struct q_error tls_connect(struct q_stream *stream, const struct q_address *address) {
    struct q_tls_stream *tls = tls_of(stream);
    Q_CHECK(tls->state == Q_TLS_NEW);
    forget(tls);
    struct q_error error = q_tls_shake_begin(tls);
    if (q_error_is(error)) {
        return error;
    }
    error = q_stream_connect(tls->below, address);
    if (q_error_is(error)) {
        SSL_free(tls->ssl);
        tls->ssl = NULL;
        q_tls_shake_drop(tls);
        return error;
    }
    tls->state = Q_TLS_CONNECTING;
    return Q_OK;
}

static void tls_recv(struct q_stream *stream, uint32_t most) {
    struct q_tls_stream *tls = tls_of(stream);
    Q_CHECK((tls->state == Q_TLS_OPEN || tls->state == Q_TLS_AHEAD) && tls->wants == 0 && most > 0);
    tls->wants = most;
    if (tls->state == Q_TLS_AHEAD) {
        return; // what comes is the handshake's; the rest is asked for when that is over
    }
    if (tls->has_end || tls->pipe.in.len > 0 || tls->pipe.has_ended || SSL_pending(tls->ssl) > 0) {
        q_loop_post(tls->env->loop, &tls->task);
    } else {
        q_tls_receive_below(tls, most);
    }
}

// Opens records, so that tickets and the like are told from what is meant for the owner; seen from outside nothing changes.
static bool tls_has_unasked(const struct q_stream *stream) {
    struct q_tls_stream *tls = tls_of((struct q_stream *)(uintptr_t)stream);
    if (tls->state == Q_TLS_AHEAD) {
        return false; // what is there is the handshake's
    }
    if (tls->state != Q_TLS_OPEN || tls->has_end || SSL_pending(tls->ssl) > 0) {
        return true;
    }
    if (tls->pipe.in.len > 0 || tls->pipe.has_ended) {
        q_tls_pipe_begin_pass(&tls->pipe);
        if (look_ahead(tls) || tls->pipe.in.len > 0) {
            return true;
        }
    }
    // The beginning of a record lies with the library. What it is going to be nobody knows before the rest of it is there.
    return tls->pipe.header_len > 0 || q_stream_has_unasked(tls->below);
}

static void tls_send(struct q_stream *stream, const struct iovec *parts, unsigned num_parts) {
    struct q_tls_stream *tls = tls_of(stream);
    Q_CHECK((tls->state == Q_TLS_OPEN || tls->state == Q_TLS_AHEAD) && !tls->is_sending && !tls->wants_shutdown &&
            num_parts > 0 && num_parts <= Q_IO_SEND_PARTS_MAX);
    bool goes_early = tls->next_goes_early;
    tls->next_goes_early = false;
    tls->is_sending = true;
    tls->sent_len = 0;
    tls->num_parts = (uint8_t)num_parts;
    tls->part = 0;
    memcpy(tls->parts, parts, num_parts * sizeof *parts);
    Q_CHECK(left_to_seal(tls) > 0);
    if (tls->state == Q_TLS_AHEAD && !(goes_early && q_tls_shake_lets_early(tls, left_to_seal(tls)))) {
        return; // it waits for the handshake
    }
    seal(tls);
    if (q_error_is(tls->send_error)) {
        q_loop_post(tls->env->loop, &tls->task);
    }
}

static void tls_shutdown(struct q_stream *stream) {
    struct q_tls_stream *tls = tls_of(stream);
    Q_CHECK(tls->state == Q_TLS_OPEN && !tls->is_sending && !tls->wants_shutdown);
    tls->wants_shutdown = true;
    go_on_shutting(tls);
}

static bool may_say_goodbye(const struct q_tls_stream *tls) {
    return tls->state == Q_TLS_OPEN && !tls->is_sending && !tls->pipe.is_sending && !tls->pipe.has_ended;
}

static void tls_close(struct q_stream *stream) {
    struct q_tls_stream *tls = tls_of(stream);
    Q_CHECK(tls->state != Q_TLS_NEW && tls->state != Q_TLS_CLOSING);
    if (may_say_goodbye(tls)) {
        (void)say_goodbye(tls);
    }
    tls->state = Q_TLS_CLOSING;
    q_loop_disarm(tls->env->loop, &tls->timer);
    q_loop_unpost(&tls->task);
    q_tls_pipe_drop_in(&tls->pipe);
    q_tls_shake_drop(tls);
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    q_stream_close(tls->below);
}

static const struct q_stream_vtable k_tls_vtable = {
    .connect = tls_connect,
    .recv = tls_recv,
    .has_unasked = tls_has_unasked,
    .send = tls_send,
    .shutdown = tls_shutdown,
    .close = tls_close,
};

void q_tls_stream_init(struct q_tls_stream *tls, const struct q_tls_env *env, struct q_stream *below,
                       const struct q_stream_events *events, const struct q_tls_events *tls_events) {
    *tls = (struct q_tls_stream){
        .stream = {.v = &k_tls_vtable, .events = events},
        .env = env,
        .events = tls_events,
        .below = below,
        .task = {.run = run_task},
        .timer = {.fired = timer_fired},
        .state = Q_TLS_NEW,
    };
    below->events = &k_below_events;
    below->above = tls;
}

void q_tls_stream_set(struct q_tls_stream *tls, const struct q_tls_params *params) {
    Q_CHECK(tls->state == Q_TLS_NEW);
    tls->params = params;
}

// --- what it tells ---------------------------------------------------------------------------------------------------

void q_tls_stream_facts(const struct q_tls_stream *tls, struct q_tls_facts *out) {
    Q_CHECK(tls->ssl != NULL && (tls->state == Q_TLS_OPEN || tls->state == Q_TLS_AHEAD));
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    const uint8_t *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    *out = (struct q_tls_facts){
        .version = SSL_get_version(tls->ssl),
        .cipher = SSL_CIPHER_standard_name(cipher),
        .alpn = q_slice_make(alpn, alpn_len),
        .handshake_ns = tls->begun_ns,
        .version_number = (uint16_t)SSL_version(tls->ssl),
        .cipher_number = SSL_CIPHER_get_protocol_id(cipher),
        .is_resumed = SSL_session_reused(tls->ssl),
    };
}

bool q_tls_stream_peer_certificate(const struct q_tls_stream *tls, size_t index, struct q_slice *out) {
    const STACK_OF(CRYPTO_BUFFER) *chain = tls->ssl == NULL ? NULL : SSL_get0_peer_certificates(tls->ssl);
    if (chain == NULL || index >= sk_CRYPTO_BUFFER_num(chain)) {
        return false;
    }
    const CRYPTO_BUFFER *buffer = sk_CRYPTO_BUFFER_value(chain, index);
    *out = q_slice_make(CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer));
    return true;
}

struct q_slice q_tls_stream_staple(const struct q_tls_stream *tls) {
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (tls->ssl != NULL) {
        SSL_get0_ocsp_response(tls->ssl, &bytes, &len);
    }
    return q_slice_make(bytes, len);
}

const struct q_verify_verdict *q_tls_stream_verdict(const struct q_tls_stream *tls) {
    return tls->shake != NULL && tls->shake->has_verdict ? &tls->shake->verdict : NULL;
}

const char *q_tls_stream_why(const struct q_tls_stream *tls) {
    return tls->shake != NULL && tls->shake->why != NULL ? tls->shake->why : "";
}

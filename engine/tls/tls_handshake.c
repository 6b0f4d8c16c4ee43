#include "engine/tls/liberror.h"
#include "engine/tls/sessions.h"
#include "engine/tls/tls_internal.h"
#include "engine/tls/tls_stream_internal.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#define SERVER_NAME_MAX 255 // of a host name (RFC 1035); what is longer is none

static struct q_tls_stream *tls_of(const SSL *ssl) {
    return q_container_of(q_tls_pipe_of(ssl), struct q_tls_stream, pipe);
}

// --- errors ----------------------------------------------------------------------------------------------------------

// Another part of the library may have found the fault; what it means then says who called it.
static enum q_error_code code_of(struct q_tls_stream *tls, uint32_t packed, uint32_t noticed) {
    bool is_signing = ERR_GET_LIB(packed) == ERR_LIB_SSL && ERR_GET_REASON(packed) == SSL_R_PRIVATE_KEY_OPERATION_FAILED;
    if (is_signing && tls->shake != NULL && tls->shake->sign_answer == Q_TLS_ANSWER_NO) {
        return Q_ERR_TLS_SIGN_REFUSED;
    }
    enum q_error_code kind = q_liberror_kind(packed);
    return kind != Q_ERR_TLS_PROTOCOL ? kind : q_liberror_kind(noticed);
}

static struct q_error error_of_end(const struct q_tls_stream *tls, enum q_phase phase) {
    struct q_error error = tls->below_error;
    if (!q_error_is(error)) {
        return q_error_make(Q_ERR_TLS_TRUNCATED, phase);
    }
    error.phase = (uint8_t)phase;
    return error;
}

struct q_error q_tls_error(struct q_tls_stream *tls, enum q_phase phase) {
    uint32_t packed = ERR_peek_error(); // the first is the cause; what follows it is where it was noticed
    uint32_t noticed = ERR_peek_last_error();
    bool has_memory = q_liberror_has_memory();
    if (tls->shake != NULL && packed != 0) {
        tls->shake->why = ERR_reason_error_string(packed);
    }
    if (tls->pipe.is_http) {
        return q_error_make(Q_ERR_TLS_PLAIN_HTTP, phase);
    }
    if (tls->pipe.is_flooded) {
        return q_error_make(Q_ERR_TLS_PROTOCOL, phase);
    }
    if (packed == 0 && tls->pipe.has_ended) {
        return error_of_end(tls, phase);
    }
    if (has_memory || packed == 0) { // what a server does wrong has a name always
        return q_error_make(Q_ERR_NO_MEMORY, phase);
    }
    if (tls->shake != NULL && q_error_is(tls->shake->verdict.error) && ERR_GET_LIB(packed) == ERR_LIB_SSL &&
        ERR_GET_REASON(packed) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return tls->shake->verdict.error;
    }
    int alert = ERR_GET_REASON(packed) - SSL_AD_REASON_OFFSET;
    if (ERR_GET_LIB(packed) == ERR_LIB_SSL && alert >= 0 && alert <= UINT8_MAX) {
        struct q_error error =
            q_error_make(tls->state == Q_TLS_OPEN ? Q_ERR_TLS_ALERT : Q_ERR_TLS_HANDSHAKE_ALERT, phase);
        error.alert = (uint8_t)alert;
        return error;
    }
    return q_error_make(code_of(tls, packed, noticed), phase);
}

// --- what the library asks -------------------------------------------------------------------------------------------

static bool must_ask(const struct q_tls_stream *tls) {
    switch ((enum q_tls_asks_verify)tls->params->asks_verify) {
    case Q_TLS_ASKS_NEVER: return false;
    case Q_TLS_ASKS_IF_GOOD: return !q_error_is(tls->shake->verdict.error);
    case Q_TLS_ASKS_ALWAYS: {
        // Nobody overrules a pin, nor that we could not look.
        int32_t code = tls->shake->verdict.error.code;
        return code != Q_ERR_TLS_PIN_MISMATCH && code != Q_ERR_NO_MEMORY;
    }
    }
    return false;
}

static void judge(struct q_tls_stream *tls, const SSL *ssl) {
    struct q_tls_shake *shake = tls->shake;
    shake->has_verdict = true;
    struct q_verify_policy policy = *tls->params->verify;
    policy.now_s = policy.now_s != 0 ? policy.now_s : q_clock_calendar(tls->env->loop->clock);
    q_verify(&policy, SSL_get0_peer_certificates(ssl), tls->params->verify_name, &shake->verdict);
    shake->verify_answer = must_ask(tls) ? Q_TLS_ANSWER_AWAITED : Q_TLS_ANSWER_NONE;
}

static enum ssl_verify_result_t on_verify(SSL *ssl, uint8_t *out_alert) {
    struct q_tls_stream *tls = tls_of(ssl);
    struct q_tls_shake *shake = tls->shake;
    if (!shake->has_verdict) {
        judge(tls, ssl);
    }
    struct q_verify_verdict *verdict = &shake->verdict;
    switch ((enum q_tls_answer)shake->verify_answer) {
    case Q_TLS_ANSWER_AWAITED: return ssl_verify_retry;
    case Q_TLS_ANSWER_YES: *verdict = (struct q_verify_verdict){0}; break;
    case Q_TLS_ANSWER_NO:
        if (!q_error_is(verdict->error)) {
            *verdict = (struct q_verify_verdict){.error = q_error_make(Q_ERR_TLS_VERIFY_REFUSED, Q_PHASE_TLS),
                                                 .alert = SSL_AD_CERTIFICATE_UNKNOWN};
        }
        break;
    case Q_TLS_ANSWER_NONE: break;
    }
    *out_alert = verdict->alert;
    return q_error_is(verdict->error) ? ssl_verify_invalid : ssl_verify_ok;
}

static enum ssl_private_key_result_t on_sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out, uint16_t algorithm,
                                             const uint8_t *in, size_t in_len) {
    (void)out;
    (void)out_len;
    (void)max_out;
    struct q_tls_stream *tls = tls_of(ssl);
    struct q_tls_shake *shake = tls->shake;
    shake->sign_input = (uint8_t *)q_alloc_copy(tls->env->alloc, in, in_len);
    if (shake->sign_input == NULL) {
        OPENSSL_PUT_ERROR(SSL, ERR_R_MALLOC_FAILURE);
        return ssl_private_key_failure;
    }
    shake->sign_input_len = in_len;
    shake->sign_algorithm = algorithm;
    shake->sign_answer = Q_TLS_ANSWER_AWAITED;
    return ssl_private_key_retry;
}

// Only servers decrypt with their key.
static enum ssl_private_key_result_t on_decrypt(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out, const uint8_t *in,
                                                size_t in_len) {
    (void)ssl;
    (void)out;
    (void)out_len;
    (void)max_out;
    (void)in;
    (void)in_len;
    return ssl_private_key_failure;
}

static enum ssl_private_key_result_t on_complete(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out) {
    struct q_tls_shake *shake = tls_of(ssl)->shake;
    if (shake->sign_answer == Q_TLS_ANSWER_AWAITED) {
        return ssl_private_key_retry;
    }
    if (shake->sign_answer != Q_TLS_ANSWER_YES || shake->signature_len > max_out) {
        shake->sign_answer = Q_TLS_ANSWER_NO;
        return ssl_private_key_failure;
    }
    memcpy(out, shake->signature, shake->signature_len);
    *out_len = shake->signature_len;
    return ssl_private_key_success;
}

const struct ssl_private_key_method_st *q_tls_stream_key_method(void) {
    static const SSL_PRIVATE_KEY_METHOD k_method = {.sign = on_sign, .decrypt = on_decrypt, .complete = on_complete};
    return &k_method;
}

// 1: the reference is ours now, whoever has it.
static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct q_tls_stream *tls = tls_of(ssl);
    tls->pipe.is_flooded |= ++tls->pipe.sessions_idle > Q_TLS_SESSIONS_MAX;
    if (tls->events->on_session == NULL || tls->pipe.is_flooded) {
        return 0;
    }
    tls->events->on_session(tls, session);
    return 1;
}

static void tell_time(const SSL *ssl, struct timeval *out) {
    (void)ssl; // NULL: the library does not say on whose behalf it asks
    *out = (struct timeval){.tv_sec = (time_t)Q_SESSIONS_CLOCK_S};
}

static void on_key_line(const SSL *ssl, const char *line) {
    const struct q_tls_env *env = tls_of(ssl)->env;
    q_tls_context_log_key(SSL_get_SSL_CTX(ssl), line);
    if (env->on_key_line != NULL) {
        env->on_key_line(env->owner, q_slice_of_string(line));
    }
}

void q_tls_stream_log_keys(struct ssl_ctx_st *context) { SSL_CTX_set_keylog_callback(context, on_key_line); }

void q_tls_stream_prepare(struct ssl_ctx_st *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    SSL_CTX_set_session_psk_dhe_timeout(context, Q_SESSIONS_LIFE_S); // the server's word counts, up to this
    SSL_CTX_set_current_time_cb(context, tell_time);
}

// --- the session -----------------------------------------------------------------------------------------------------

static struct q_error set_server_name(SSL *ssl, struct q_slice name) {
    char text[SERVER_NAME_MAX + 1];
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--; // never sent (RFC 6066 section 3)
    }
    if (name.len == 0) {
        return Q_OK;
    }
    if (name.len > SERVER_NAME_MAX || memchr(name.ptr, '\0', name.len) != NULL) {
        return q_error_make(Q_ERR_INVALID_ARGUMENT, Q_PHASE_TLS);
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return SSL_set_tlsext_host_name(ssl, text) ? Q_OK : q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
}

static struct q_error set_up(struct q_tls_stream *tls, SSL *ssl) {
    const struct q_tls_params *params = tls->params;
    SSL_set_connect_state(ssl);
    SSL_set_custom_verify(ssl, SSL_VERIFY_PEER, on_verify);
    SSL_set_shed_handshake_config(ssl, 1);
    SSL_set_early_data_enabled(ssl, params->may_go_ahead && params->asks_verify == Q_TLS_ASKS_NEVER);
    bool is_set = params->session == NULL || SSL_set_session(ssl, params->session);
    if (!is_set || !q_tls_pipe_attach(&tls->pipe, ssl)) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
    }
    return set_server_name(ssl, params->server_name);
}

struct q_error q_tls_shake_begin(struct q_tls_stream *tls) {
    Q_CHECK(tls->params != NULL && tls->params->verify != NULL && tls->shake == NULL && tls->ssl == NULL);
    ERR_clear_error();
    tls->shake = q_alloc_new(tls->env->alloc, sizeof *tls->shake);
    SSL *ssl = tls->shake == NULL ? NULL : SSL_new(tls->params->context);
    struct q_error error = ssl == NULL ? q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS) : set_up(tls, ssl);
    if (q_error_is(error)) {
        ERR_clear_error();
        SSL_free(ssl);
        q_tls_shake_drop(tls);
        error.retry_safe = 1;
        return error;
    }
    tls->ssl = ssl;
    return Q_OK;
}

void q_tls_shake_drop(struct q_tls_stream *tls) {
    struct q_tls_shake *shake = tls->shake;
    if (shake != NULL) {
        SSL_SESSION_free(shake->session);
        q_alloc_free(tls->env->alloc, shake->sign_input, shake->sign_input_len + 1);
        q_alloc_free(tls->env->alloc, shake, sizeof *shake);
        tls->shake = NULL;
    }
}

// --- going on --------------------------------------------------------------------------------------------------------

static bool is_asking(const struct q_tls_shake *shake) {
    return shake->verify_answer == Q_TLS_ANSWER_AWAITED || shake->sign_answer == Q_TLS_ANSWER_AWAITED;
}

// Asked for as late as can be: what was taken for a connection that never stands would be lost.
static void take_session(struct q_tls_stream *tls) {
    if (tls->params->session == NULL && tls->events->take_session != NULL) {
        tls->shake->session = tls->events->take_session(tls);
    }
    if (tls->shake->session != NULL) {
        (void)SSL_set_session(tls->ssl, tls->shake->session); // cannot fail before the handshake
    }
}

// Behind a handshake, whatever became of it.
static void note_use_of_session(struct q_tls_stream *tls, bool is_of_use) {
    const SSL_SESSION *session = tls->shake->session;
    if (session != NULL && !is_of_use && tls->events->on_session_useless != NULL) {
        tls->events->on_session_useless(tls, session);
    }
}

// on_connected was told already. What the shake knows stays for who asks why.
static void fail_ahead(struct q_tls_stream *tls, struct q_error error) {
    tls->state = Q_TLS_OPEN;
    tls->has_end = true;
    tls->end = error;
    tls->send_error = error;
    tls->shake->early_max = 0;
    q_loop_disarm(tls->env->loop, &tls->timer);
    q_tls_flush(tls);
    q_loop_post(tls->env->loop, &tls->task);
}

void q_tls_shake_fail(struct q_tls_stream *tls, struct q_error error) {
    error.retry_safe = 1; // nothing of the owner's was sealed
    note_use_of_session(tls, false);
    if (tls->state == Q_TLS_AHEAD) {
        fail_ahead(tls, error);
        return;
    }
    tls->state = Q_TLS_FAILED;
    q_loop_disarm(tls->env->loop, &tls->timer);
    q_loop_unpost(&tls->task);
    q_tls_flush(tls); // the alert, if there is one
    tls->stream.events->on_connected(&tls->stream, error);
}

// Waiting for memory has moved the timer, maybe.
static void arm_bound(struct q_tls_stream *tls) {
    if (tls->shake->deadline_ns != 0) {
        q_loop_arm(tls->env->loop, &tls->timer, tls->shake->deadline_ns);
    } else {
        q_loop_disarm(tls->env->loop, &tls->timer);
    }
}

static void ask(struct q_tls_stream *tls, enum q_tls_question_kind kind) {
    struct q_tls_shake *shake = tls->shake;
    if (shake->is_told) {
        return;
    }
    shake->is_told = true;
    shake->asked_ns = tls->env->loop->now_ns;
    q_loop_disarm(tls->env->loop, &tls->timer); // the host's silence is not the server's
    struct q_tls_question question = {.kind = (uint8_t)kind};
    if (kind == Q_TLS_ASK_VERIFY) {
        question.verdict = &shake->verdict;
        question.point = tls->params->verify_point;
    } else {
        question.point = tls->params->sign_point;
        question.algorithm = shake->sign_algorithm;
        question.input = q_slice_make(shake->sign_input, shake->sign_input_len);
    }
    Q_CHECK(tls->events->on_question != NULL);
    tls->events->on_question(tls, &question);
}

// --- ahead -----------------------------------------------------------------------------------------------------------

static void go_ahead(struct q_tls_stream *tls) {
    tls->state = Q_TLS_AHEAD;
    tls->shake->early_max = q_sessions_early_max(SSL_get_session(tls->ssl));
    tls->stream.events->on_connected(&tls->stream, Q_OK);
    if (tls->state == Q_TLS_AHEAD) {
        q_tls_flush(tls); // the hello, with what the owner has sent early, or alone
        q_loop_post(tls->env->loop, &tls->task);
    }
}

bool q_tls_shake_lets_early(struct q_tls_stream *tls, size_t len) {
    struct q_tls_shake *shake = tls->shake;
    if (len > shake->early_max || tls->pipe.is_sending) {
        return false;
    }
    shake->early_max = 0; // one send, so that one is all there is to be sent again
    tls->early = Q_TLS_EARLY_SENT;
    memcpy(shake->early_parts, tls->parts, sizeof shake->early_parts);
    return true;
}

void q_tls_stream_bound_ahead(struct q_tls_stream *tls, uint64_t handshake_ns, uint64_t deadline_ns) {
    if (tls->state != Q_TLS_AHEAD) {
        return;
    }
    struct q_tls_shake *shake = tls->shake;
    if (shake->deadline_ns != 0 && shake->deadline_ns < tls->begun_ns + handshake_ns) {
        shake->deadline_ns = tls->begun_ns + handshake_ns;
    }
    if (shake->deadline_ns == 0 || deadline_ns < shake->deadline_ns) {
        shake->deadline_ns = deadline_ns;
        shake->is_owners_bound = true;
    }
    // What comes sooner, a next try to get memory, looks at the bound then. While a question stands, no bound runs.
    bool is_sooner_armed =
        q_timer_is_armed(&tls->timer) && tls->timer.deadline_tick * Q_NS_PER_MS <= shake->deadline_ns;
    if (!is_sooner_armed && !is_asking(shake)) {
        arm_bound(tls);
    }
}

// The server has thrown away what went early. It goes again when the handshake is over, from its first byte.
static void take_back_early(struct q_tls_stream *tls) {
    SSL_reset_early_data_reject(tls->ssl);
    tls->shake->early_max = 0;
    if (tls->early == Q_TLS_EARLY_SENT) {
        tls->early = Q_TLS_EARLY_REJECTED;
        memcpy(tls->parts, tls->shake->early_parts, sizeof tls->parts);
        tls->part = 0;
        tls->sent_len = tls->flying_len = tls->flying_head = 0;
    }
    q_loop_post(tls->env->loop, &tls->task);
}

static void settle(struct q_tls_stream *tls) {
    if (tls->early == Q_TLS_EARLY_SENT) {
        tls->early = Q_TLS_EARLY_ACCEPTED;
    }
    if (tls->events->on_settled != NULL) {
        tls->events->on_settled(tls);
    }
    if (tls->state == Q_TLS_OPEN) {
        q_tls_flush(tls);
        q_loop_post(tls->env->loop, &tls->task); // what the owner has sent or asked for meanwhile
    }
}

static void finish(struct q_tls_stream *tls) {
    bool was_ahead = tls->state == Q_TLS_AHEAD;
    tls->state = Q_TLS_OPEN;
    tls->begun_ns = tls->env->loop->now_ns - tls->begun_ns;
    tls->short_of_out_ns = 0;
    q_tls_pipe_had_data(&tls->pipe); // what is counted from here on is something else
    q_loop_disarm(tls->env->loop, &tls->timer);
    note_use_of_session(tls, SSL_session_reused(tls->ssl));
    q_tls_shake_drop(tls);
    if (was_ahead) {
        settle(tls);
        return;
    }
    tls->stream.events->on_connected(&tls->stream, Q_OK);
    if (tls->state == Q_TLS_OPEN) {
        q_tls_flush(tls); // with what the owner has sent, or alone
    }
}

static void wait_to_read(struct q_tls_stream *tls) {
    if (tls->pipe.in.len > 0) {
        q_loop_post(tls->env->loop, &tls->task); // the pass was used up
    } else {
        q_tls_receive_below(tls, Q_STREAM_RECV_ANY);
    }
}

// The library has more to say than there was room for. What there was is on its way, and its end is the next try.
static void wait_to_write(struct q_tls_stream *tls) {
    if (!tls->pipe.is_sending && !q_tls_wait_for_memory(tls, &tls->short_of_out_ns)) {
        q_tls_shake_fail(tls, q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS));
    }
}

void q_tls_shake_go_on(struct q_tls_stream *tls) {
    if (is_asking(tls->shake)) {
        return;
    }
    q_tls_pipe_begin_pass(&tls->pipe);
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1 && SSL_in_early_data(tls->ssl)) {
        go_ahead(tls);
        return;
    }
    if (result == 1) {
        finish(tls);
        return;
    }
    int reason = SSL_get_error(tls->ssl, result);
    if (tls->pipe.is_flooded) {
        reason = SSL_ERROR_SSL;
    }
    q_tls_flush(tls);
    switch (reason) {
    case SSL_ERROR_WANT_READ: wait_to_read(tls); break;
    case SSL_ERROR_WANT_WRITE: wait_to_write(tls); break;
    case SSL_ERROR_EARLY_DATA_REJECTED: take_back_early(tls); break;
    case SSL_ERROR_WANT_CERTIFICATE_VERIFY: ask(tls, Q_TLS_ASK_VERIFY); break;
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION: ask(tls, Q_TLS_ASK_SIGN); break;
    default: q_tls_shake_fail(tls, q_tls_error(tls, Q_PHASE_TLS)); break;
    }
}

void q_tls_shake_start(struct q_tls_stream *tls) {
    tls->state = Q_TLS_HANDSHAKING;
    tls->begun_ns = tls->env->loop->now_ns;
    take_session(tls);
    if (tls->params->handshake_ns != 0) {
        tls->shake->deadline_ns = tls->begun_ns + tls->params->handshake_ns;
        arm_bound(tls);
    }
    q_tls_shake_go_on(tls);
}

void q_tls_shake_timer(struct q_tls_stream *tls) {
    uint64_t deadline_ns = tls->shake->deadline_ns;
    if (deadline_ns != 0 && tls->env->loop->now_ns >= deadline_ns) {
        enum q_error_code code = tls->shake->is_owners_bound ? Q_ERR_TIMEOUT_CONNECT : Q_ERR_TIMEOUT_TLS;
        q_tls_shake_fail(tls, q_error_make(code, tls->shake->is_owners_bound ? Q_PHASE_CONNECT : Q_PHASE_TLS));
        return;
    }
    arm_bound(tls);
    q_tls_shake_go_on(tls);
}

// A reset is not the end yet: an alert may have come before it, which the receive brings.
void q_tls_shake_send_failed(struct q_tls_stream *tls, struct q_error error) {
    if (error.code != Q_ERR_CONNECTION_RESET) {
        error.phase = Q_PHASE_TLS;
        q_tls_shake_fail(tls, error);
    } else {
        q_tls_shake_go_on(tls);
    }
}

// --- answers ---------------------------------------------------------------------------------------------------------

static void answered(struct q_tls_stream *tls, uint8_t *answer, bool is_yes) {
    struct q_tls_shake *shake = tls->shake;
    *answer = is_yes ? Q_TLS_ANSWER_YES : Q_TLS_ANSWER_NO;
    shake->is_told = false;
    uint64_t took_ns = tls->env->loop->now_ns - shake->asked_ns;
    tls->begun_ns += took_ns;
    if (shake->deadline_ns != 0) {
        shake->deadline_ns += took_ns;
        arm_bound(tls);
    }
    q_loop_post(tls->env->loop, &tls->task);
}

void q_tls_stream_answer_verify(struct q_tls_stream *tls, bool is_accepted) {
    if (q_tls_is_shaking(tls) && tls->shake->verify_answer == Q_TLS_ANSWER_AWAITED) {
        answered(tls, &tls->shake->verify_answer, is_accepted);
    }
}

void q_tls_stream_answer_sign(struct q_tls_stream *tls, struct q_slice signature) {
    if (!q_tls_is_shaking(tls) || tls->shake->sign_answer != Q_TLS_ANSWER_AWAITED) {
        return;
    }
    bool is_yes = signature.len > 0 && signature.len <= sizeof tls->shake->signature;
    if (is_yes) {
        memcpy(tls->shake->signature, signature.ptr, signature.len);
        tls->shake->signature_len = (uint16_t)signature.len;
    }
    answered(tls, &tls->shake->sign_answer, is_yes);
}

#include "tests/engine/tls/tls_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/aead.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { KEY_ROOT = 1, KEY_MIDDLE, KEY_LEAF, KEY_CLIENT, SPARE_CHUNKS = 8 };

static struct tls_rig *rig_of_wire(const struct q_stream *stream) {
    return (struct tls_rig *)(uintptr_t)((const char *)stream - offsetof(struct tls_rig, wire.stream));
}

static struct tls_rig *rig_of(struct q_stream *stream) {
    return q_container_of(q_container_of(stream, struct q_tls_stream, stream), struct tls_rig, tls);
}

static struct tls_rig *rig_of_tls(struct q_tls_stream *tls) { return q_container_of(tls, struct tls_rig, tls); }

// --- the wire --------------------------------------------------------------------------------------------------------

static struct q_error wire_connect(struct q_stream *stream, const struct q_address *address) {
    struct tls_rig *rig = rig_of_wire(stream);
    (void)address;
    assert_false(rig->wire.is_connecting || rig->wire.is_open || rig->wire.is_closing);
    rig->wire.is_connecting = true;
    return Q_OK;
}

static void wire_recv(struct q_stream *stream, uint32_t most) {
    struct tls_rig *rig = rig_of_wire(stream);
    assert_true(rig->wire.is_open && !rig->wire.is_receiving && most > 0);
    rig->wire.is_receiving = true;
    rig->wire.was_recv_asked = true;
}

static bool wire_has_unasked(const struct q_stream *stream) { return rig_of_wire(stream)->wire.has_unasked; }

static void wire_send(struct q_stream *stream, const struct iovec *parts, unsigned num_parts) {
    struct tls_rig *rig = rig_of_wire(stream);
    assert_true(rig->wire.is_open && !rig->wire.is_sending && !rig->wire.is_shut && num_parts > 0);
    memcpy(rig->wire.parts, parts, num_parts * sizeof *parts);
    rig->wire.num_parts = num_parts;
    rig->wire.is_sending = true;
    rig->wire.num_sends++;
}

static void wire_shutdown(struct q_stream *stream) {
    struct tls_rig *rig = rig_of_wire(stream);
    assert_true(rig->wire.is_open && !rig->wire.is_sending && !rig->wire.is_shut);
    rig->wire.is_shut = true;
}

// As the kernel does it: what was handed over before goes out, unless it is held.
static void take_parts(struct tls_rig *rig);

static void wire_close(struct q_stream *stream) {
    struct tls_rig *rig = rig_of_wire(stream);
    assert_true((rig->wire.is_open || rig->wire.is_connecting) && !rig->wire.is_closing);
    if (rig->wire.is_sending && !rig->options.holds_sends) {
        take_parts(rig);
    }
    rig->wire.is_closing = true;
}

static const struct q_stream_vtable k_wire_vtable = {
    .connect = wire_connect,
    .recv = wire_recv,
    .has_unasked = wire_has_unasked,
    .send = wire_send,
    .shutdown = wire_shutdown,
    .close = wire_close,
};

// --- the server ------------------------------------------------------------------------------------------------------

static void wire_append(struct tls_rig *rig, const void *data, size_t len) {
    assert_true(rig->wire.in_len + len <= TLS_RIG_BYTES_MAX);
    memcpy(rig->wire.in + rig->wire.in_len, data, len);
    rig->wire.in_len += len;
}

static void drain_server(struct tls_rig *rig) {
    const uint8_t *data;
    size_t len;
    BIO *out = SSL_get_wbio(rig->server);
    assert_true(BIO_mem_contents(out, &data, &len));
    wire_append(rig, data, len);
    BIO_reset(out);
}

// The server does what it can with what has come.
static void serve(struct tls_rig *rig) {
    if (rig->server == NULL) {
        return;
    }
    ERR_clear_error();
    if (!rig->server_is_done) {
        rig->server_is_done = SSL_do_handshake(rig->server) == 1;
    }
    char bytes[4096];
    int len;
    while (rig->server_is_done && (len = SSL_read(rig->server, bytes, sizeof bytes)) > 0) {
        assert_true(rig->server_got_len + (size_t)len <= TLS_RIG_BYTES_MAX);
        memcpy(rig->server_got + rig->server_got_len, bytes, (size_t)len);
        rig->server_got_len += (size_t)len;
    }
    rig->server_saw_close |= (SSL_get_shutdown(rig->server) & SSL_RECEIVED_SHUTDOWN) != 0;
    ERR_clear_error();
    drain_server(rig);
}

static void take_parts(struct tls_rig *rig) {
    size_t len = 0;
    for (unsigned i = 0; i < rig->wire.num_parts; i++) {
        struct iovec *part = &rig->wire.parts[i];
        assert_true(part->iov_len > 0 && rig->wire.out_len + part->iov_len <= TLS_RIG_BYTES_MAX);
        memcpy(rig->wire.out + rig->wire.out_len, part->iov_base, part->iov_len);
        rig->wire.out_len += part->iov_len;
        len += part->iov_len;
        if (rig->server != NULL) {
            BIO_write(SSL_get_rbio(rig->server), part->iov_base, (int)part->iov_len);
        }
    }
    rig->wire.send_max = len > rig->wire.send_max ? len : rig->wire.send_max;
    rig->wire.num_parts = 0;
    serve(rig);
}

void tls_rig_finish_send(struct tls_rig *rig, struct q_error error) {
    assert_true(rig->wire.is_sending);
    size_t len = 0;
    for (unsigned i = 0; i < rig->wire.num_parts; i++) {
        len += rig->wire.parts[i].iov_len;
    }
    if (q_error_is(error)) {
        len = rig->wire.send_taken;
        rig->wire.num_parts = 0;
    } else {
        take_parts(rig);
    }
    rig->wire.is_sending = false;
    rig->wire.stream.events->on_sent(&rig->wire.stream, len, error);
}

void tls_rig_say(struct tls_rig *rig, const char *data, size_t len, size_t record) {
    while (len > 0) {
        size_t step = record == 0 || record > len ? len : record;
        assert_int_equal(SSL_write(rig->server, data, (int)step), step);
        data += step;
        len -= step;
    }
    drain_server(rig);
}

bool tls_rig_may_say(const struct tls_rig *rig) {
    return rig->server_is_done && (SSL_get_shutdown(rig->server) & SSL_SENT_SHUTDOWN) == 0;
}

void tls_rig_goodbye(struct tls_rig *rig) {
    assert_int_not_equal(SSL_shutdown(rig->server), -1);
    drain_server(rig);
}

// A key update goes out in front of the next record; one without data is not to be had from the library, so the caller says
// something next.
void tls_rig_update(struct tls_rig *rig, bool asks_for_one) {
    assert_true(SSL_key_update(rig->server, asks_for_one ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
}

void tls_rig_inject(struct tls_rig *rig, const void *data, size_t len) { wire_append(rig, data, len); }

void tls_rig_end(struct tls_rig *rig, struct q_error error) {
    rig->wire.has_end = true;
    rig->wire.end_error = error;
}

// --- records of the test's own ----------------------------------------------------------------------------------------

// HKDF-Expand-Label of RFC 8446 section 7.1, with no context.
static void expand(const uint8_t secret[32], const char *label, uint8_t *out, size_t len) {
    uint8_t info[64] = {0, (uint8_t)len, (uint8_t)(6 + strlen(label)), 't', 'l', 's', '1', '3', ' '};
    memcpy(info + 9, label, strlen(label));
    assert_true(HKDF_expand(out, len, EVP_sha256(), secret, 32, info, 9 + strlen(label) + 1));
}

void tls_rig_rekey(struct tls_rig *rig) {
    uint8_t next[32];
    expand(rig->server_secret, "traffic upd", next, sizeof next);
    memcpy(rig->server_secret, next, sizeof next);
    rig->seal_sequence = 0;
}

void tls_rig_seal(struct tls_rig *rig, uint8_t type, const void *data, size_t len) {
    if (!rig->has_sealed) {
        rig->has_sealed = true;
        rig->seal_sequence = SSL_get_write_sequence(rig->server);
    }
    uint16_t cipher = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(rig->server));
    assert_true(cipher == 0x1301 || cipher == 0x1303); // the one with AES-256 has another hash
    const EVP_AEAD *aead = cipher == 0x1301 ? EVP_aead_aes_128_gcm() : EVP_aead_chacha20_poly1305();
    uint8_t key[32];
    uint8_t nonce[12];
    expand(rig->server_secret, "key", key, EVP_AEAD_key_length(aead));
    expand(rig->server_secret, "iv", nonce, sizeof nonce);
    for (int i = 0; i < 8; i++) {
        nonce[11 - i] ^= (uint8_t)(rig->seal_sequence >> (8 * i));
    }
    rig->seal_sequence++;
    static uint8_t plain[16384 + 1];
    static uint8_t record[5 + 16384 + 1 + 16];
    assert_true(len < sizeof plain);
    memcpy(plain, data, len);
    plain[len] = type;
    size_t sealed_len = len + 1 + 16;
    memcpy(record, (const uint8_t[]){23, 3, 3, (uint8_t)(sealed_len >> 8), (uint8_t)sealed_len}, 5);
    EVP_AEAD_CTX context;
    assert_true(EVP_AEAD_CTX_init(&context, aead, key, EVP_AEAD_key_length(aead), 16, NULL));
    size_t out_len;
    assert_true(EVP_AEAD_CTX_seal(&context, record + 5, &out_len, sizeof record - 5, nonce, sizeof nonce, plain, len + 1,
                                  record, 5));
    assert_int_equal(out_len, sealed_len);
    EVP_AEAD_CTX_cleanup(&context);
    wire_append(rig, record, 5 + sealed_len);
}

// A line of the server's key log: label, random, secret.
static void on_key_log(const SSL *ssl, const char *line) {
    struct tls_rig *rig = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0) {
        return;
    }
    const char *hex = strrchr(line, ' ') + 1;
    for (size_t i = 0; i < sizeof rig->server_secret && hex[2 * i] != '\0'; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        rig->server_secret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

// --- the owner -------------------------------------------------------------------------------------------------------

// True: the owner closed.
static bool tell(struct tls_rig *rig, char letter) {
    assert_true(rig->told_len + 1 < sizeof rig->told);
    rig->told[rig->told_len++] = letter;
    if (rig->close_at != letter) {
        return false;
    }
    rig->close_at = 0;
    q_stream_close(&rig->tls.stream);
    return true;
}

static void on_connected(struct q_stream *stream, struct q_error error) {
    struct tls_rig *rig = rig_of(stream);
    rig->connect_error = error;
    if (tell(rig, 'C') || q_error_is(error)) {
        return;
    }
    if (rig->goes_early) {
        q_tls_stream_go_early(&rig->tls);
    }
    if (rig->send_at_connect != NULL) {
        tls_rig_send(rig, rig->send_at_connect, strlen(rig->send_at_connect));
    }
    if (rig->asks > 0) {
        tls_rig_recv(rig, rig->asks);
    }
}

static void on_received(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    struct tls_rig *rig = rig_of(stream);
    assert_true(bytes.len > 0 && bytes.ptr >= chunk->data && bytes.ptr + bytes.len <= chunk->data + chunk->pool->capacity);
    assert_true(rig->received_len + bytes.len <= TLS_RIG_BYTES_MAX);
    memcpy(rig->received + rig->received_len, bytes.ptr, bytes.len);
    rig->received_len += bytes.len;
    rig->received_max = bytes.len > rig->received_max ? bytes.len : rig->received_max;
    q_chunk_release(chunk);
    if (!tell(rig, 'R') && rig->asks > 0) {
        tls_rig_recv(rig, rig->asks);
    }
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    struct tls_rig *rig = rig_of(stream);
    rig->end_error = error;
    tell(rig, 'E');
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    struct tls_rig *rig = rig_of(stream);
    rig->sent_len = len;
    rig->sent_error = error;
    tell(rig, 'S');
}

static void on_closed(struct q_stream *stream) { tell(rig_of(stream), 'X'); }

static void on_question(struct q_tls_stream *tls, const struct q_tls_question *question) {
    struct tls_rig *rig = rig_of_tls(tls);
    rig->question = *question;
    if (question->verdict != NULL) {
        rig->question_verdict = *question->verdict;
    }
    if (tell(rig, 'Q') || rig->question_answer < 0) {
        return;
    }
    if (question->kind == Q_TLS_ASK_VERIFY) {
        q_tls_stream_answer_verify(tls, rig->question_answer == 1);
    } else {
        q_tls_stream_answer_sign(tls, Q_SLICE(""));
    }
}

static void on_session(struct q_tls_stream *tls, struct ssl_session_st *session) {
    struct tls_rig *rig = rig_of_tls(tls);
    tell(rig, 'T');
    SSL_SESSION_free(rig->session);
    rig->session = session;
    rig->num_sessions++;
}

static const struct q_stream_events k_events = {
    .on_connected = on_connected,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

static struct ssl_session_st *take_session(struct q_tls_stream *tls) {
    struct tls_rig *rig = rig_of_tls(tls);
    SSL_SESSION *session = rig->offer;
    rig->offer = NULL;
    return session;
}

static void on_session_useless(struct q_tls_stream *tls, const struct ssl_session_st *session) {
    struct tls_rig *rig = rig_of_tls(tls);
    tell(rig, 'U');
    rig->useless = session;
}

static void on_settled(struct q_tls_stream *tls) { tell(rig_of_tls(tls), 'Z'); }

static const struct q_tls_events k_tls_events = {.on_settled = on_settled,
                                                 .on_question = on_question,
                                                 .on_session = on_session,
                                                 .take_session = take_session,
                                                 .on_session_useless = on_session_useless};

void tls_rig_send(struct tls_rig *rig, const char *text, size_t len) {
    struct iovec part = {.iov_base = (char *)(uintptr_t)text, .iov_len = len};
    q_stream_send(&rig->tls.stream, &part, 1);
}

void tls_rig_recv(struct tls_rig *rig, uint32_t most) { q_stream_recv(&rig->tls.stream, most); }

// --- the loop --------------------------------------------------------------------------------------------------------

// The wire's next event.
static bool step_wire(struct tls_rig *rig) {
    struct q_stream *stream = &rig->wire.stream;
    if (rig->wire.is_closing) {
        rig->wire.is_closing = rig->wire.is_open = rig->wire.is_connecting = false;
        rig->wire.is_receiving = rig->wire.is_sending = rig->wire.is_shut = false;
        stream->events->on_closed(stream);
        return true;
    }
    if (rig->wire.is_connecting) {
        rig->wire.is_connecting = false;
        rig->wire.is_open = true; // a failed one is closed as well
        stream->events->on_connected(stream, rig->wire.connect_error);
        return true;
    }
    if (rig->wire.is_sending && !rig->options.holds_sends) {
        tls_rig_finish_send(rig, rig->wire.send_error);
        return true;
    }
    if (!rig->wire.is_receiving) {
        return false;
    }
    size_t len = rig->wire.in_len < rig->wire.cut ? rig->wire.in_len : rig->wire.cut;
    size_t left = rig->wire.limit - rig->wire.delivered;
    len = len < left ? len : left;
    len = len < rig->wire_pool.capacity ? len : rig->wire_pool.capacity;
    if (len > 0) {
        struct q_chunk *chunk = q_chunk_take(&rig->wire_pool, Q_CHUNK_FOR_KERNEL);
        if (chunk == NULL) {
            return false;
        }
        memcpy(chunk->data, rig->wire.in, len);
        memmove(rig->wire.in, rig->wire.in + len, rig->wire.in_len - len);
        rig->wire.in_len -= len;
        rig->wire.delivered += len;
        rig->wire.is_receiving = false;
        stream->events->on_received(stream, chunk, q_slice_make(chunk->data, len));
        return true;
    }
    if (rig->wire.has_end && (rig->wire.in_len == 0 || left == 0)) {
        rig->wire.is_receiving = false;
        stream->events->on_ended(stream, rig->wire.end_error);
        return true;
    }
    return false;
}

static bool run_tasks(struct tls_rig *rig) {
    struct q_list due;
    q_list_init(&due);
    q_list_take(&due, &rig->loop.tasks);
    bool had_some = !q_list_is_empty(&due);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
    return had_some;
}

bool tls_rig_step(struct tls_rig *rig) { return step_wire(rig) || run_tasks(rig); }

void tls_rig_run(struct tls_rig *rig) {
    for (size_t i = 0; tls_rig_step(rig); i++) {
        assert_true(i < 2u * TLS_RIG_BYTES_MAX); // or it turns in circles
    }
}

void tls_rig_pass(struct tls_rig *rig, uint64_t ns) {
    rig->loop.now_ns += ns;
    struct q_list due;
    q_list_init(&due);
    q_wheel_expire(&rig->loop.wheel, rig->loop.now_ns, &due);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_timer *timer = q_container_of(node, struct q_timer, link);
        timer->fired(timer);
    }
    tls_rig_run(rig);
}

// --- life ------------------------------------------------------------------------------------------------------------

static uint64_t clock_now(const struct q_clock *clock) {
    (void)clock;
    return Q_NS_PER_S;
}

static void use_certificate(SSL_CTX *context, const struct q_cert *leaf, const struct q_cert *issuer) {
    CRYPTO_BUFFER *certs[2] = {CRYPTO_BUFFER_new(leaf->der, leaf->der_len, NULL),
                               issuer == NULL ? NULL : CRYPTO_BUFFER_new(issuer->der, issuer->der_len, NULL)};
    assert_true(SSL_CTX_set_chain_and_key(context, certs, issuer == NULL ? 1 : 2, leaf->key, NULL));
    CRYPTO_BUFFER_free(certs[0]);
    CRYPTO_BUFFER_free(certs[1]);
}

static int take_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *context) {
    (void)ssl;
    (void)context;
    uint8_t *chosen;
    int result = SSL_select_next_proto(&chosen, out_len, (const uint8_t *)"\x08http/1.1", 9, in, in_len);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static enum ssl_verify_result_t take_any(SSL *ssl, uint8_t *alert) {
    (void)ssl;
    (void)alert;
    return ssl_verify_ok;
}

static void make_server(struct tls_rig *rig) {
    const struct tls_rig_options *options = &rig->options;
    rig->server_context = SSL_CTX_new(TLS_with_buffers_method());
    const struct q_cert *leaf = options->leaf == NULL ? rig->leaf : options->leaf;
    use_certificate(rig->server_context, leaf, rig->middle);
    SSL_CTX_set_app_data(rig->server_context, rig);
    SSL_CTX_set_keylog_callback(rig->server_context, on_key_log);
    SSL_CTX_set_session_id_context(rig->server_context, (const uint8_t *)"rig", 3);
    SSL_CTX_set_early_data_enabled(rig->server_context, options->has_early_data);
    if (options->wants_client_certificate) {
        SSL_CTX_set_custom_verify(rig->server_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
    }
    if (options->server_has_alpn) {
        SSL_CTX_set_alpn_select_cb(rig->server_context, take_alpn, NULL);
    }
    rig->server = SSL_new(rig->server_context);
    SSL_set_accept_state(rig->server);
    SSL_set_bio(rig->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(rig->server), -1);
}

static void make_client(struct tls_rig *rig) {
    const struct tls_rig_options *options = &rig->options;
    uint16_t version = options->version == 0 ? TLS1_3_VERSION : options->version;
    rig->client_context = SSL_CTX_new(TLS_with_buffers_method());
    assert_true(SSL_CTX_set_min_proto_version(rig->client_context, version));
    assert_true(SSL_CTX_set_max_proto_version(rig->client_context, version));
    assert_int_equal(SSL_CTX_set_alpn_protos(rig->client_context, (const uint8_t *)"\x02h2\x08http/1.1", 12), 0);
    if (options->has_client_key || options->asks_key) {
        struct q_cert *cert = q_certs_make(rig->root, &(struct q_certs_spec){.key_number = KEY_CLIENT});
        use_certificate(rig->client_context, cert, NULL);
        if (options->asks_key) {
            CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(cert->der, cert->der_len, NULL);
            assert_true(SSL_CTX_set_chain_and_key(rig->client_context, &buffer, 1, NULL, q_tls_stream_key_method()));
            CRYPTO_BUFFER_free(buffer);
        }
        q_certs_free(cert);
    }
    q_tls_stream_prepare(rig->client_context);
}

static void make_stream(struct tls_rig *rig) {
    const char *name = rig->options.name == NULL ? "a.example" : rig->options.name;
    X509_STORE *roots = X509_STORE_new();
    assert_true(X509_STORE_add_cert(roots, rig->root->x509));
    rig->policy = (struct q_verify_policy){.roots = roots, .now_s = Q_CERTS_NOW};
    rig->params = (struct q_tls_params){
        .context = rig->client_context,
        .server_name = q_slice_of_string(name),
        .verify_name = q_slice_of_string(name),
        .verify = &rig->policy,
        .handshake_ns = rig->options.handshake_ns,
        .asks_verify = rig->options.asks_verify,
        .may_go_ahead = rig->options.has_early_data,
    };
    rig->env = (struct q_tls_env){
        .loop = &rig->loop, .chunks = &rig->pool, .alloc = q_failalloc_alloc(rig->failalloc)};
    q_tls_stream_init(&rig->tls, &rig->env, &rig->wire.stream, &k_events, &k_tls_events);
    q_tls_stream_set(&rig->tls, &rig->params);
}

struct tls_rig *tls_rig_new(const struct tls_rig_options *options) {
    struct tls_rig *rig = calloc(1, sizeof *rig);
    rig->options = *options;
    rig->question_answer = 1;
    rig->clock.now_ns = clock_now;
    q_loop_init(&rig->loop, NULL, &rig->clock, &rig->log, 1, NULL, NULL);
    q_loop_bind(&rig->loop);
    rig->failalloc = q_failalloc_new();
    rig->budget.limit = 1 << 24;
    uint32_t capacity = options->chunk_capacity == 0 ? 16384 : options->chunk_capacity;
    q_chunk_pool_init(&rig->pool, q_failalloc_alloc(rig->failalloc), &rig->budget, capacity, SPARE_CHUNKS);
    q_chunk_pool_init(&rig->wire_pool, q_alloc_libc(), &rig->budget, 16384, SPARE_CHUNKS);
    rig->wire.stream.v = &k_wire_vtable;
    rig->wire.cut = rig->wire.limit = TLS_RIG_ALL;
    rig->wire.in = malloc(TLS_RIG_BYTES_MAX);
    rig->wire.out = malloc(TLS_RIG_BYTES_MAX);
    rig->received = malloc(TLS_RIG_BYTES_MAX);
    rig->server_got = malloc(TLS_RIG_BYTES_MAX);
    rig->root = q_certs_authority(NULL, "root", KEY_ROOT);
    rig->middle = q_certs_authority(rig->root, "middle", KEY_MIDDLE);
    rig->leaf = q_certs_make(rig->middle, &(struct q_certs_spec){.alt_names = "DNS:a.example", .key_number = KEY_LEAF});
    make_client(rig);
    if (!options->server_is_mute) {
        make_server(rig);
    }
    make_stream(rig);
    return rig;
}

void tls_rig_free(struct tls_rig *rig) {
    assert_true(q_tls_stream_is_quiet(&rig->tls));
    assert_true(q_list_is_empty(&rig->loop.tasks));
    assert_int_equal(rig->loop.wheel.num_armed, 0);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(rig->pool.num_out, 0);
    assert_int_equal(rig->wire_pool.num_out, 0);
    SSL_SESSION_free(rig->session);
    SSL_SESSION_free(rig->offer);
    SSL_free(rig->server);
    SSL_CTX_free(rig->server_context);
    SSL_CTX_free(rig->client_context);
    X509_STORE_free(rig->policy.roots);
    q_certs_free(rig->leaf);
    q_certs_free(rig->middle);
    q_certs_free(rig->root);
    q_chunk_pool_deinit(&rig->pool);
    q_chunk_pool_deinit(&rig->wire_pool);
    char text[256];
    if (!q_failalloc_check(rig->failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(rig->failalloc);
    free(rig->wire.in);
    free(rig->wire.out);
    free(rig->received);
    free(rig->server_got);
    free(rig);
}

void tls_rig_connect(struct tls_rig *rig) {
    static const struct q_address k_anywhere;
    struct q_error error = q_stream_connect(&rig->tls.stream, &k_anywhere);
    assert_int_equal(error.code, 0);
}

void tls_rig_open(struct tls_rig *rig) {
    tls_rig_connect(rig);
    tls_rig_run(rig);
    if (rig->connect_error.code != 0 || rig->tls.state != Q_TLS_OPEN) {
        fail_msg("not open: %s", q_error_name(rig->connect_error.code));
    }
}

void tls_rig_close(struct tls_rig *rig) {
    if (rig->tls.state != Q_TLS_NEW && rig->tls.state != Q_TLS_CLOSING) {
        q_stream_close(&rig->tls.stream);
    }
    tls_rig_run(rig);
}

#define _GNU_SOURCE
#include "tests/support/simtls_internal.h"

#include "tests/support/simkernel_internal.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define PIECE_DELAY_NS Q_NS_PER_US
#define WIRE_RECORD_MAX (5 + SIMTLS_RECORD_MAX + 256)

struct q_simtls {
    struct q_sim *sim;
    struct q_simtls_options options;
    struct q_simtls_stats stats;
    SSL_CTX *context;
};

// One connection's server.
struct simtls_conn {
    struct q_simtls *server;
    struct q_sim_conn *conn;
    struct q_simtls_script script;
    SSL *ssl;
    struct simtls_seal seal;
    uint64_t sent, num_records; // on the wire
    uint64_t said;            // by the peer
    uint8_t header[5];        // of the client's record
    size_t header_len, body_left;
    bool is_open, is_over;    // nothing goes out any more
    bool is_too_early;        // what the peer says is thrown away
    bool is_garbled;
};

// The library's clock gets no argument.
static const struct q_sim *the_sim;

static void tell_time(const SSL *ssl, struct timeval *out) {
    (void)ssl;
    *out = (struct timeval){.tv_sec = (time_t)q_sim_calendar(the_sim)};
}

static void fault(struct simtls_conn *tls, const char *what) {
    struct q_simtls_stats *stats = &tls->server->stats;
    if (stats->faults++ == 0) {
        snprintf(stats->first_fault, sizeof stats->first_fault, "TLS connection %llu: %s",
                 (unsigned long long)q_sim_conn_id(tls->conn), what);
    }
}

static void enter(const struct q_simtls *server) {
    if (server->options.on_library != NULL) {
        server->options.on_library(true);
    }
}

static void leave(const struct q_simtls *server) {
    ERR_clear_error(); // the list of errors is the thread's, and the engine's too
    if (server->options.on_library != NULL) {
        server->options.on_library(false);
    }
}

// --- the wire --------------------------------------------------------------------------------------------------------

static void put(struct simtls_conn *tls, const uint8_t *data, size_t len) {
    const struct q_simtls_script *script = &tls->script;
    bool is_cut = script->piece != 0 && (script->piece_until == 0 || tls->sent < script->piece_until);
    size_t piece = is_cut ? script->piece : len;
    tls->sent += len;
    for (size_t at = 0; at < len; at += piece) {
        size_t step = len - at < piece ? len - at : piece;
        if (is_cut) {
            q_sim_conn_delay(tls->conn, script->piece_delay_ns != 0 ? script->piece_delay_ns : PIECE_DELAY_NS);
        }
        q_sim_wire_send(tls->conn, data + at, step);
    }
}

static void reset_late(void *context, uint64_t arg) {
    (void)arg;
    q_sim_conn_reset_now(context);
}

// Where in `data`, which begins with a record's header, the fault is; `len` when it is not there.
static size_t find_fault(struct simtls_conn *tls, const uint8_t *data, size_t len) {
    const struct q_simtls_script *script = &tls->script;
    size_t at = len;
    if (script->fault != Q_SIMTLS_NO_FAULT && !script->is_fault_at_record && script->fault_at < tls->sent + len) {
        at = script->fault_at > tls->sent ? (size_t)(script->fault_at - tls->sent) : 0;
    }
    for (size_t next = 0; next + 5 <= len; tls->num_records++) {
        if (script->fault != Q_SIMTLS_NO_FAULT && script->is_fault_at_record && script->fault_at == tls->num_records) {
            at = next < at ? next : at;
        }
        next += 5 + (((size_t)data[next + 3] << 8) | data[next + 4]);
    }
    return at;
}

static void send_records(struct simtls_conn *tls, uint8_t *data, size_t len) {
    if (tls->is_over) {
        return;
    }
    size_t at = find_fault(tls, data, len);
    if (at < len && tls->script.fault == Q_SIMTLS_GARBLE) {
        data[at] ^= tls->is_garbled ? 0 : 0x10;
        tls->is_garbled = true;
        at = len;
    }
    put(tls, data, at);
    if (at == len) {
        return;
    }
    tls->is_over = true;
    if (tls->script.fault == Q_SIMTLS_FIN) {
        q_sim_wire_fin(tls->conn);
    } else if (tls->script.fault == Q_SIMTLS_RESET) {
        q_sim_conn_reset(tls->conn);
    } else if (tls->script.silence_ns != 0) {
        q_sim_at(tls->server->sim, q_sim_now(tls->server->sim) + tls->script.silence_ns, reset_late, tls->conn, 0);
    }
}

// What the library has written goes out.
static void flush(struct simtls_conn *tls) {
    const uint8_t *data;
    size_t len;
    BIO *out = SSL_get_wbio(tls->ssl);
    Q_CHECK(BIO_mem_contents(out, &data, &len));
    if (len == 0) {
        return;
    }
    uint8_t *copy = sim_alloc(len);
    memcpy(copy, data, len);
    Q_CHECK(BIO_reset(out));
    if (!tls->is_open) {
        q_sim_conn_delay(tls->conn, tls->script.flight_delay_ns);
    }
    send_records(tls, copy, len);
    free(copy);
}

static void flood(struct simtls_conn *tls, enum q_simtls_flood kind, unsigned count) {
    static uint8_t record[WIRE_RECORD_MAX];
    for (unsigned i = 0; i < count; i++) {
        send_records(tls, record, simtls_seal_flood(&tls->seal, tls->ssl, kind, record));
    }
}

// Data of the peer's, in records.
static void say(struct simtls_conn *tls, const char *data, size_t len) {
    static uint8_t record[WIRE_RECORD_MAX];
    size_t most = tls->script.record_max != 0 ? tls->script.record_max : SIMTLS_RECORD_MAX;
    while (len > 0) {
        size_t step = len < most ? len : most;
        if (tls->seal.is_begun) {
            send_records(tls, record, simtls_seal_record(&tls->seal, tls->ssl, 23, data, step, record));
        } else {
            Q_CHECK(SSL_write(tls->ssl, data, (int)step) == (int)step);
        }
        data += step;
        len -= step;
    }
    flush(tls);
}

static void end_with_alert(struct simtls_conn *tls, uint8_t alert) {
    if (tls->seal.is_begun) {
        static uint8_t record[WIRE_RECORD_MAX];
        send_records(tls, record, simtls_seal_record(&tls->seal, tls->ssl, 21, (const uint8_t[]){2, alert}, 2, record));
    } else {
        Q_CHECK(SSL_send_fatal_alert(tls->ssl, alert) == 1);
        flush(tls);
    }
    tls->is_over = true;
}

static void say_all(struct simtls_conn *tls, const char *data, size_t len) {
    const struct q_simtls_script *script = &tls->script;
    if (tls->is_over || tls->is_too_early) {
        return;
    }
    if (tls->said == 0 && script->num_floods > 0) {
        flush(tls);
        flood(tls, script->flood, script->num_floods);
    }
    bool is_1_3 = SSL_version(tls->ssl) == TLS1_3_VERSION;
    bool updates = is_1_3 && !tls->seal.is_begun && !SSL_in_init(tls->ssl); // not among early data
    for (unsigned i = 0; i < script->num_updates && updates; i++) {
        Q_CHECK(SSL_key_update(tls->ssl, script->asks_updates ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
    }
    bool is_end = script->alert_at != 0 && tls->said + len >= script->alert_at;
    size_t step = is_end ? (size_t)(script->alert_at - tls->said) : len;
    tls->said += step;
    say(tls, data, step);
    if (is_end) {
        end_with_alert(tls, SSL_AD_INTERNAL_ERROR);
        q_sim_wire_fin(tls->conn);
    }
}

// --- what comes ------------------------------------------------------------------------------------------------------

// The client's stream must be records.
static void check_records(struct simtls_conn *tls, const uint8_t *data, size_t len) {
    while (len > 0) {
        if (tls->header_len == sizeof tls->header) {
            size_t step = len < tls->body_left ? len : tls->body_left;
            tls->body_left -= step;
            data += step;
            len -= step;
            tls->header_len = tls->body_left == 0 ? 0 : tls->header_len;
            continue;
        }
        tls->header[tls->header_len++] = *data++;
        len--;
        if (tls->header_len == sizeof tls->header) {
            tls->body_left = ((size_t)tls->header[3] << 8) | tls->header[4];
            if (tls->header[0] < 20 || tls->header[0] > 23 || tls->header[1] != 3 || tls->body_left == 0 ||
                tls->body_left > SIMTLS_RECORD_MAX + 256) {
                fault(tls, "what came is no record");
            }
            bool is_early = tls->header[0] == 23 && !tls->is_open && tls->sent == 0 && !tls->server->options.takes_early;
            if (is_early && SSL_version(tls->ssl) == TLS1_2_VERSION && SSL_in_init(tls->ssl)) {
                fault(tls, "data in front of a handshake");
            }
        }
    }
}

static void note_failure(struct simtls_conn *tls, int result) {
    struct q_simtls_stats *stats = &tls->server->stats;
    int reason = SSL_get_error(tls->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_ZERO_RETURN) {
        return;
    }
    uint32_t packed = ERR_peek_error();
    int alert = ERR_GET_REASON(packed) - SSL_AD_REASON_OFFSET;
    if (ERR_GET_LIB(packed) == ERR_LIB_SSL && alert >= 0 && alert <= UINT8_MAX) {
        stats->alerts++;
        stats->last_alert = (uint8_t)alert;
        return;
    }
    if (!tls->is_open && tls->header[0] == SSL3_RT_ALERT) {
        stats->alerts++; // in the clear: a client that cannot read the first answer has no keys (RFC 8446, appendix A.1)
        return;
    }
    char text[96];
    ERR_error_string_n(packed, text, sizeof text);
    if (!tls->is_over && !tls->is_garbled) { // who sends nonsense gets it back
        fault(tls, text);
    }
}

static void note_open(struct simtls_conn *tls) {
    struct q_simtls_stats *stats = &tls->server->stats;
    tls->is_open = true;
    stats->handshakes++;
    stats->resumed += SSL_session_reused(tls->ssl) != 0;
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(tls->ssl);
    stats->last_serial = 0;
    if (chain != NULL && sk_CRYPTO_BUFFER_num(chain) > 0) {
        X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
        Q_CHECK(cert != NULL && ASN1_INTEGER_get_uint64(&stats->last_serial, X509_get0_serialNumber(cert)));
        X509_free(cert);
    }
}

// Before the peer hears of it. What it says to this request is thrown away; to the next it is not.
static void meet_early(struct simtls_conn *tls, bool is_early) {
    static const char k_answer[] = "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n";
    tls->server->stats.early += is_early;
    tls->is_too_early = false;
    if (is_early && tls->script.early == Q_SIMTLS_TOO_EARLY) {
        say_all(tls, k_answer, sizeof k_answer - 1);
        tls->is_too_early = true;
    }
}

static void read_all(struct simtls_conn *tls) {
    char data[4096];
    int result = 0;
    while (q_sim_conn_is_alive(tls->conn) && (result = SSL_read(tls->ssl, data, sizeof data)) > 0) {
        meet_early(tls, SSL_in_early_data(tls->ssl) != 0);
        flush(tls); // an answer to a key update, before what the peer answers
        tls->server->stats.opened += (uint64_t)result;
        q_sim_conn_pass(tls->conn, data, (size_t)result);
        enter(tls->server); // the peer may have sent something
    }
    note_failure(tls, result);
    flush(tls);
}

static void simtls_from_wire(void *own, const char *data, size_t len) {
    struct simtls_conn *tls = own;
    enter(tls->server);
    check_records(tls, (const uint8_t *)data, len);
    Q_CHECK(BIO_write(SSL_get_rbio(tls->ssl), data, (int)len) == (int)len);
    if (!tls->is_open && !tls->is_over) {
        int result = SSL_do_handshake(tls->ssl);
        if (SSL_in_early_data(tls->ssl) && tls->script.early == Q_SIMTLS_EARLY_FIN) {
            tls->is_over = true;
            q_sim_wire_fin(tls->conn);
        } else if (result == 1) {
            flush(tls);
            note_open(tls);
        } else {
            note_failure(tls, result);
        }
        flush(tls);
        if (tls->sent > 0) {
            SSL_set_early_data_enabled(tls->ssl, tls->server->options.takes_early); // for the tickets
        }
    }
    if (tls->is_open) {
        read_all(tls);
    }
    leave(tls->server);
}

static void simtls_from_peer(void *own, const char *data, size_t len) {
    struct simtls_conn *tls = own;
    enter(tls->server);
    Q_CHECK(tls->is_open);
    say_all(tls, data, len);
    leave(tls->server);
}

static void say_goodbye(struct simtls_conn *tls) {
    static uint8_t record[WIRE_RECORD_MAX];
    if (tls->is_over || !tls->is_open) {
        return;
    }
    if (tls->seal.is_begun) {
        send_records(tls, record, simtls_seal_record(&tls->seal, tls->ssl, 21, (const uint8_t[]){1, 0}, 2, record));
    } else {
        SSL_shutdown(tls->ssl);
        flush(tls);
    }
    tls->is_over = true;
}

static void simtls_end(void *own) {
    struct simtls_conn *tls = own;
    enter(tls->server);
    if (tls->script.end == Q_SIMTLS_GOODBYE) {
        say_goodbye(tls);
    }
    tls->is_over = true;
    leave(tls->server);
}

static void simtls_fin(void *own) {
    struct simtls_conn *tls = own;
    enter(tls->server);
    if (tls->is_open) {
        read_all(tls);
        tls->server->stats.goodbyes += (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    }
    leave(tls->server);
}

// --- life ------------------------------------------------------------------------------------------------------------

static void on_key_log(const SSL *ssl, const char *line) {
    struct simtls_conn *tls = SSL_get_app_data(ssl);
    simtls_seal_learn(&tls->seal, line);
}

static enum ssl_verify_result_t take_any(SSL *ssl, uint8_t *out_alert) {
    (void)ssl;
    (void)out_alert;
    return ssl_verify_ok;
}

static void *simtls_open(void *context, struct q_sim_conn *conn) {
    struct q_simtls *server = context;
    struct simtls_conn *tls = sim_alloc(sizeof *tls);
    enter(server);
    server->stats.connections++;
    *tls = (struct simtls_conn){.server = server, .conn = conn, .script = server->options.script};
    if (server->options.on_open != NULL) {
        server->options.on_open(server->options.context, conn, &tls->script);
    }
    tls->ssl = SSL_new(server->context);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    Q_CHECK(tls->ssl != NULL && in != NULL && out != NULL && SSL_set_app_data(tls->ssl, tls));
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(tls->ssl, in, out);
    SSL_set_accept_state(tls->ssl);
    SSL_set_early_data_enabled(tls->ssl, server->options.takes_early && tls->script.early != Q_SIMTLS_REJECT);
    if (tls->script.record_max >= 512) {
        Q_CHECK(SSL_set_max_send_fragment(tls->ssl, tls->script.record_max)); // of the handshake too
    }
    leave(server);
    return tls;
}

static void simtls_closed(void *own) {
    struct simtls_conn *tls = own;
    enter(tls->server);
    SSL_free(tls->ssl);
    leave(tls->server);
    free(tls);
}

const struct q_sim_filter *q_simtls_filter(void) {
    static const struct q_sim_filter k_filter = {
        .open = simtls_open,
        .from_wire = simtls_from_wire,
        .from_peer = simtls_from_peer,
        .end = simtls_end,
        .fin = simtls_fin,
        .closed = simtls_closed,
    };
    return &k_filter;
}

// A key of the server's own, so that nothing of another server's stays in it.
static void set_chain(SSL_CTX *context, const struct q_simtls_options *options) {
    CRYPTO_BUFFER *buffers[Q_SIMTLS_CHAIN_MAX] = {NULL};
    size_t count = 0;
    for (; count < Q_SIMTLS_CHAIN_MAX && options->chain[count] != NULL; count++) {
        buffers[count] = CRYPTO_BUFFER_new(options->chain[count]->der, options->chain[count]->der_len, NULL);
        Q_CHECK(buffers[count] != NULL);
    }
    Q_CHECK(count > 0);
    CBS der;
    CBS_init(&der, options->chain[0]->key_der, options->chain[0]->key_der_len);
    EVP_PKEY *key = EVP_parse_private_key(&der);
    Q_CHECK(key != NULL && SSL_CTX_set_chain_and_key(context, buffers, count, key, NULL));
    EVP_PKEY_free(key);
    for (size_t i = 0; i < count; i++) {
        CRYPTO_BUFFER_free(buffers[i]);
    }
}

static SSL_CTX *make_context(const struct q_simtls_options *options) {
    static const char k_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"; // see simtls_seal.c
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    Q_CHECK(context != NULL);
    set_chain(context, options);
    Q_CHECK(SSL_CTX_set_min_proto_version(context, options->version != 0 ? options->version : TLS1_2_VERSION) &&
            SSL_CTX_set_max_proto_version(context, options->version != 0 ? options->version : TLS1_3_VERSION) &&
            SSL_CTX_set_strict_cipher_list(context, k_ciphers));
    SSL_CTX_set_current_time_cb(context, tell_time);
    SSL_CTX_set_keylog_callback(context, on_key_log);
    Q_CHECK(SSL_CTX_set_session_id_context(context, (const uint8_t *)"sim", 3));
    if (options->has_no_tickets) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    SSL_CTX_set_early_data_enabled(context, options->takes_early);
    if (options->wants_certificate) {
        SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
    }
    return context;
}

struct q_simtls *q_simtls_new(struct q_sim *sim, const struct q_simtls_options *options) {
    struct q_simtls *server = sim_alloc(sizeof *server);
    server->sim = sim;
    server->options = *options;
    the_sim = sim;
    enter(server);
    server->context = make_context(options);
    leave(server);
    return server;
}

void q_simtls_restart(struct q_simtls *server, const struct q_cert *leaf) {
    struct q_simtls_options options = server->options;
    enter(server);
    if (leaf != NULL) {
        options.chain[0] = leaf;
        options.chain[1] = NULL;
    }
    SSL_CTX_free(server->context); // connections have holds of their own
    server->context = make_context(&options);
    leave(server);
}

void q_simtls_free(struct q_simtls *server) {
    enter(server);
    SSL_CTX_free(server->context);
    leave(server);
    free(server);
}

const struct q_simtls_stats *q_simtls_stats(const struct q_simtls *server) { return &server->stats; }

void q_simtls_set_script(struct q_simtls *server, const struct q_simtls_script *script) {
    server->options.script = *script;
}

// --- of its own accord -----------------------------------------------------------------------------------------------

void q_simtls_say_goodbye(struct q_sim_conn *conn) {
    struct simtls_conn *tls = q_sim_conn_own(conn);
    enter(tls->server);
    say_goodbye(tls);
    leave(tls->server);
}

void q_simtls_alert(struct q_sim_conn *conn, uint8_t alert) {
    struct simtls_conn *tls = q_sim_conn_own(conn);
    enter(tls->server);
    end_with_alert(tls, alert);
    leave(tls->server);
}

void q_simtls_flood(struct q_sim_conn *conn, enum q_simtls_flood kind, unsigned count) {
    struct simtls_conn *tls = q_sim_conn_own(conn);
    enter(tls->server);
    flood(tls, kind, count);
    leave(tls->server);
}

bool q_simtls_is_open(const struct q_sim_conn *conn) {
    const struct simtls_conn *tls = q_sim_conn_own(conn);
    return tls->is_open;
}

uint64_t q_simtls_sent(const struct q_sim_conn *conn) {
    const struct simtls_conn *tls = q_sim_conn_own(conn);
    return tls->sent;
}

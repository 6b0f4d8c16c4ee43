#include "tests/support/bad_tls_internal.h"

#include "engine/base/check.h"
#include "tests/support/certs.h"

#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

enum { CHAIN_MAX = 3, RECORD_MAX = 512, DAY_S = 86400 };

#define BYTES(text) .way = BAD_TLS_WAY_BYTES, .bytes = (text), .bytes_len = sizeof(text) - 1

static const char k_hello_of_tls_1_1[] =
    "\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02"
    "0123456789abcdef0123456789abcdef" // random
    "\x00\xc0\x13\x00";                // no session, ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression

static const struct bad_tls_row k_rows[BAD_TLS_COUNT] = {
    [BAD_TLS_NONE] = {.title = "nothing", .error = NULL},
    [BAD_TLS_LENGTH_UNCLOSED] = {.title = "no close_notify behind a whole length",
                                 .error = NULL,
                                 .end = BAD_TLS_END_FIN},
    [BAD_TLS_CHUNKED_UNCLOSED] = {.title = "no close_notify behind the last chunk",
                                  .error = NULL,
                                  .framing = BAD_TLS_BY_CHUNKS,
                                  .end = BAD_TLS_END_FIN},
    [BAD_TLS_TO_THE_END] = {.title = "a body without length, closed well", .error = NULL, .framing = BAD_TLS_BY_END},

    [BAD_TLS_EXPIRED] = {.title = "expired", .error = "QUOIT_ERR_TLS_CERT_EXPIRED"},
    [BAD_TLS_EXPIRED_MIDDLE] = {.title = "expired intermediate", .error = "QUOIT_ERR_TLS_CERT_EXPIRED"},
    [BAD_TLS_NOT_YET_VALID] = {.title = "not yet valid", .error = "QUOIT_ERR_TLS_CERT_NOT_YET_VALID"},
    [BAD_TLS_WRONG_NAME] = {.title = "wrong name", .error = "QUOIT_ERR_TLS_NAME_MISMATCH"},
    [BAD_TLS_NAME_IN_CN_ALONE] = {.title = "the name in the common name alone", .error = "QUOIT_ERR_TLS_NAME_MISMATCH"},
    [BAD_TLS_WIDE_WILDCARD] = {.title = "a wildcard below one label", .error = "QUOIT_ERR_TLS_NAME_MISMATCH"},
    [BAD_TLS_NO_NAME] = {.title = "no name", .error = "QUOIT_ERR_TLS_NAME_MISMATCH"},
    [BAD_TLS_SELF_SIGNED] = {.title = "self-signed", .error = "QUOIT_ERR_TLS_SELF_SIGNED"},
    [BAD_TLS_UNTRUSTED_ROOT] = {.title = "untrusted root", .error = "QUOIT_ERR_TLS_UNTRUSTED_ROOT"},
    [BAD_TLS_NO_MIDDLE] = {.title = "no intermediate", .error = "QUOIT_ERR_TLS_UNTRUSTED_ROOT"},
    [BAD_TLS_WRONG_CHAIN] = {.title = "another leaf's intermediate", .error = "QUOIT_ERR_TLS_UNTRUSTED_ROOT"},
    [BAD_TLS_FORGED] = {.title = "a forged leaf", .error = "QUOIT_ERR_TLS_BAD_CHAIN"},
    [BAD_TLS_GARBLED_CHAIN] = {.title = "a garbled intermediate", .error = "QUOIT_ERR_TLS_BAD_CHAIN"},
    [BAD_TLS_LEAF_ISSUED] = {.title = "issued by no authority", .error = "QUOIT_ERR_TLS_BAD_PURPOSE"},
    [BAD_TLS_FOR_CLIENTS] = {.title = "a certificate for clients", .error = "QUOIT_ERR_TLS_BAD_PURPOSE"},
    [BAD_TLS_WEAK_RSA] = {.title = "RSA with 1024 bits", .error = "QUOIT_ERR_TLS_WEAK_KEY"},
    [BAD_TLS_MD5] = {.title = "signed with MD5", .error = "QUOIT_ERR_TLS_WEAK_SIGNATURE"},
    [BAD_TLS_SHA1] = {.title = "signed with SHA-1", .error = "QUOIT_ERR_TLS_WEAK_SIGNATURE"},

    [BAD_TLS_OLD_VERSION] = {.title = "TLS 1.1 at most", .error = "QUOIT_ERR_TLS_HANDSHAKE_ALERT"},
    [BAD_TLS_OLD_HELLO] = {.title = "a ServerHello of TLS 1.1",
                           .error = "QUOIT_ERR_TLS_NOTHING_IN_COMMON",
                           BYTES(k_hello_of_tls_1_1)},
    [BAD_TLS_OTHER_PROTOCOL] = {.title = "another protocol", .error = "QUOIT_ERR_TLS_BAD_ALPN"},
    [BAD_TLS_BAD_SIGNATURE] = {.title = "a signature that is none", .error = "QUOIT_ERR_TLS_BAD_SIGNATURE"},
    [BAD_TLS_GARBAGE] = {.title = "garbage",
                         .error = "QUOIT_ERR_TLS_PROTOCOL",
                         BYTES("220 mail.example ESMTP ready\r\n")},
    [BAD_TLS_ZEROS] = {.title = "zeros", .error = "QUOIT_ERR_TLS_PROTOCOL", BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    [BAD_TLS_LONG_RECORD] = {.title = "a record that is too long",
                             .error = "QUOIT_ERR_TLS_PROTOCOL",
                             BYTES("\x16\x03\x03\xff\xff....")},
    [BAD_TLS_PLAIN_HTTP] = {.title = "plain HTTP",
                            .error = "QUOIT_ERR_TLS_PLAIN_HTTP",
                            BYTES("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")},
    [BAD_TLS_ALERT] = {.title = "an alert",
                       .error = "QUOIT_ERR_TLS_HANDSHAKE_ALERT",
                       BYTES("\x15\x03\x03\x00\x02\x02\x28")},
    [BAD_TLS_RESET] = {.title = "a reset", .error = "QUOIT_ERR_CONNECTION_RESET", .way = BAD_TLS_WAY_RST},
    [BAD_TLS_CLOSE] = {.title = "a close", .error = "QUOIT_ERR_TLS_TRUNCATED", BYTES("")},
    [BAD_TLS_SILENT] = {.title = "silence", .error = "QUOIT_ERR_TIMEOUT_TLS", .way = BAD_TLS_WAY_NOTHING},
    [BAD_TLS_SILENT_MIDWAY] = {.title = "silence behind the first record", .error = "QUOIT_ERR_TIMEOUT_TLS"},

    [BAD_TLS_TRUNCATED] = {.title = "truncated", .error = "QUOIT_ERR_TLS_TRUNCATED"},
    [BAD_TLS_LENGTH_CUT] = {.title = "cut within a length",
                            .error = "QUOIT_ERR_TLS_TRUNCATED",
                            .end = BAD_TLS_END_FIN,
                            .is_half = true,
                            .is_cut = true},
    [BAD_TLS_LENGTH_CUT_CLOSED] = {.title = "closed within a length",
                                   .error = "QUOIT_ERR_HTTP_TRUNCATED_BODY",
                                   .is_half = true,
                                   .is_cut = true},
    [BAD_TLS_CHUNKED_CUT] = {.title = "cut between chunks",
                             .error = "QUOIT_ERR_TLS_TRUNCATED",
                             .framing = BAD_TLS_BY_CHUNKS,
                             .end = BAD_TLS_END_FIN,
                             .is_half = true,
                             .is_cut = true},
    [BAD_TLS_TO_THE_END_CUT] = {.title = "no close_notify behind a body without length",
                                .error = "QUOIT_ERR_TLS_TRUNCATED",
                                .framing = BAD_TLS_BY_END,
                                .end = BAD_TLS_END_FIN,
                                .is_cut = true},
    [BAD_TLS_HEAD_ALONE] = {.title = "closed without an answer",
                            .error = "QUOIT_ERR_CONNECTION_CLOSED",
                            .framing = BAD_TLS_NO_ANSWER,
                            .is_cut = true},
    [BAD_TLS_BODY_GARBLED] = {.title = "a garbled body",
                              .error = "QUOIT_ERR_TLS_PROTOCOL",
                              .end = BAD_TLS_END_GARBLED,
                              .is_cut = true},
    [BAD_TLS_BODY_ALERT] = {.title = "an alert in the body",
                            .error = "QUOIT_ERR_TLS_ALERT",
                            .end = BAD_TLS_END_ALERT,
                            .is_half = true,
                            .is_cut = true},
};

const struct bad_tls_row *bad_tls_row(enum bad_tls_kind kind) {
    Q_CHECK(kind < BAD_TLS_COUNT && k_rows[kind].title != NULL);
    return &k_rows[kind];
}

const char *bad_tls_title(enum bad_tls_kind kind) {
    return bad_tls_row(kind)->title;
}
const char *bad_tls_error(enum bad_tls_kind kind) {
    return bad_tls_row(kind)->error;
}
bool bad_tls_is_cut(enum bad_tls_kind kind) {
    return bad_tls_row(kind)->is_cut;
}

// --- certificates ----------------------------------------------------------------------------------------------------

static pthread_once_t the_once = PTHREAD_ONCE_INIT;
static struct q_cert *the_root;

static void make_root(void) {
    the_root = q_certs_authority(NULL, "bad_tls root", 1);
}

static const struct q_cert *root(void) {
    pthread_once(&the_once, make_root);
    return the_root;
}

const char *bad_tls_roots(void) {
    return root()->pem;
}

// What a server sends, the leaf first. The last two are kept because others were made from them.
struct chain {
    struct q_cert *certs[CHAIN_MAX];
    size_t num;
    struct q_cert *unsent[CHAIN_MAX];
};

static struct q_cert *make_middle(const struct q_cert *issuer, enum bad_tls_kind kind) {
    struct q_certs_spec spec = {.common_name = "bad_tls intermediate", .is_ca = true, .key_number = 2};
    if (kind == BAD_TLS_EXPIRED_MIDDLE) {
        spec.not_after = Q_CERTS_2020 + DAY_S;
    } else if (kind == BAD_TLS_LEAF_ISSUED) {
        spec.is_ca = false;
        spec.key_usage = "keyCertSign"; // without it, it is not even tried
    } else if (kind == BAD_TLS_MD5) {
        spec.key = Q_CERTS_RSA_2048; // no other kind of key signs with it
    }
    return q_certs_make(issuer, &spec);
}

static struct q_cert *make_leaf(const struct q_cert *issuer, enum bad_tls_kind kind) {
    struct q_certs_spec spec = {
        .common_name = BAD_TLS_HOST, .alt_names = "DNS:" BAD_TLS_HOST ",IP:127.0.0.1", .key_number = 3};
    switch (kind) {
    case BAD_TLS_EXPIRED: spec.not_after = Q_CERTS_2020 + DAY_S; break;
    case BAD_TLS_NOT_YET_VALID: spec.not_before = Q_CERTS_2050 - DAY_S; break;
    case BAD_TLS_WRONG_NAME: spec.alt_names = "DNS:other.example,DNS:a." BAD_TLS_HOST ",DNS:good.example.test"; break;
    case BAD_TLS_NAME_IN_CN_ALONE: spec.alt_names = "DNS:other.example"; break;
    case BAD_TLS_WIDE_WILDCARD: spec.alt_names = "DNS:*.example"; break;
    case BAD_TLS_NO_NAME: spec.alt_names = NULL; break;
    case BAD_TLS_FOR_CLIENTS: spec.extended_usage = "clientAuth"; break;
    case BAD_TLS_WEAK_RSA: spec.key = Q_CERTS_RSA_1024; break;
    case BAD_TLS_MD5: spec.digest = Q_CERTS_MD5; break;
    case BAD_TLS_SHA1: spec.digest = Q_CERTS_SHA1; break;
    default: break;
    }
    return q_certs_make(issuer, &spec);
}

// A byte in the middle of the signature, or of whatever stands at the given place.
static void garble(struct q_cert *cert, size_t from_end) {
    cert->der[cert->der_len - from_end] ^= 0x55;
}

static struct chain make_chain(enum bad_tls_kind kind) {
    struct chain chain = {.num = 2};
    if (kind == BAD_TLS_SELF_SIGNED) {
        chain.certs[0] = make_leaf(NULL, kind);
        chain.num = 1;
        return chain;
    }
    const struct q_cert *anchor = root();
    if (kind == BAD_TLS_UNTRUSTED_ROOT) {
        anchor = chain.certs[2] = q_certs_authority(NULL, "another root", 4);
        chain.num = 3;
    }
    chain.certs[1] = make_middle(anchor, kind);
    chain.certs[0] = make_leaf(chain.certs[1], kind);
    if (kind == BAD_TLS_NO_MIDDLE) {
        chain.num = 1;
    } else if (kind == BAD_TLS_WRONG_CHAIN) {
        chain.unsent[0] = chain.certs[1];
        chain.certs[1] = q_certs_authority(anchor, "another intermediate", 5);
    } else if (kind == BAD_TLS_FORGED) {
        garble(chain.certs[0], 8);
    } else if (kind == BAD_TLS_GARBLED_CHAIN) {
        memset(chain.certs[1]->der + 4, 0xff, 16);
    }
    return chain;
}

static void chain_free(struct chain *chain) {
    for (size_t i = 0; i < CHAIN_MAX; i++) {
        q_certs_free(chain->certs[i]);
        q_certs_free(chain->unsent[i]);
    }
}

static int choose_h2(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg) {
    (void)ssl;
    (void)in;
    (void)in_len;
    (void)arg;
    *out = (const uint8_t *)"h2";
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

static enum ssl_private_key_result_t scrawl(SSL *ssl, uint8_t *out, size_t *out_len, size_t max, uint16_t algorithm,
                                           const uint8_t *in, size_t in_len) {
    static const char k_scrawl[] = "signed: somebody";
    (void)ssl;
    (void)algorithm;
    (void)in;
    (void)in_len;
    Q_CHECK(sizeof k_scrawl <= max);
    memcpy(out, k_scrawl, sizeof k_scrawl);
    *out_len = sizeof k_scrawl;
    return ssl_private_key_success;
}

static const SSL_PRIVATE_KEY_METHOD k_scrawler = {.sign = scrawl};

struct ssl_ctx_st *bad_tls_context(enum bad_tls_kind kind, uint16_t version) {
    struct chain chain = make_chain(kind);
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    CRYPTO_BUFFER *buffers[CHAIN_MAX] = {NULL};
    Q_CHECK(context != NULL);
    for (size_t i = 0; i < chain.num; i++) {
        buffers[i] = CRYPTO_BUFFER_new(chain.certs[i]->der, chain.certs[i]->der_len, NULL);
        Q_CHECK(buffers[i] != NULL);
    }
    bool is_scrawler = kind == BAD_TLS_BAD_SIGNATURE;
    Q_CHECK(SSL_CTX_set_chain_and_key(context, buffers, chain.num, is_scrawler ? NULL : chain.certs[0]->key,
                                      is_scrawler ? &k_scrawler : NULL));
    for (size_t i = 0; i < chain.num; i++) {
        CRYPTO_BUFFER_free(buffers[i]);
    }
    chain_free(&chain);
    uint16_t least = kind == BAD_TLS_OLD_VERSION ? TLS1_VERSION : version == 0 ? TLS1_2_VERSION : version;
    uint16_t most = kind == BAD_TLS_OLD_VERSION ? TLS1_1_VERSION : version == 0 ? TLS1_3_VERSION : version;
    Q_CHECK(SSL_CTX_set_min_proto_version(context, least) && SSL_CTX_set_max_proto_version(context, most) &&
            SSL_CTX_set_max_send_fragment(context, RECORD_MAX) &&
            SSL_CTX_set_session_id_context(context, (const uint8_t *)"bad", 3));
    if (kind == BAD_TLS_OTHER_PROTOCOL) {
        SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    }
    return context;
}

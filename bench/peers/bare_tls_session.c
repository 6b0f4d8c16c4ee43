#include "bench/peers/bare_tls_session.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers/meter.h"

enum { RECORD_MAX = 16384 };

static X509_STORE *roots;
static X509_VERIFY_PARAM *wanted; // of a path: for whom it must be

static _Noreturn void refuse(const char *problem) {
    fprintf(stderr, "%s\n", problem);
    ERR_print_errors_fp(stderr);
    exit(PEER_EXIT_FAILED);
}

// --- the library's side ----------------------------------------------------------------------------------------------

static int read_received(BIO *bio, char *out, int size) {
    struct bare_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = (size_t)size < tls->in_len ? (size_t)size : tls->in_len;
    memcpy(out, tls->in, len);
    tls->in += len;
    tls->in_len -= len;
    return (int)len;
}

static int write_out(BIO *bio, const char *data, int len) {
    struct bare_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if ((size_t)len > sizeof tls->out - tls->out_len) {
        return -1;
    }
    memcpy(tls->out + tls->out_len, data, (size_t)len);
    tls->out_len += (size_t)len;
    return len;
}

static long control(BIO *bio, int command, long number, void *data) {
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD k_method = {
    .type = BIO_TYPE_SOURCE_SINK, .name = "bare", .bwrite = write_out, .bread = read_received, .ctrl = control};

static bool is_path_good(STACK_OF(X509) * certs) {
    X509_STORE_CTX *path = X509_STORE_CTX_new();
    bool is_good = path != NULL && X509_STORE_CTX_init(path, roots, sk_X509_value(certs, 0), certs) &&
                   X509_STORE_CTX_set_default(path, "ssl_server") &&
                   X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(path), wanted) && X509_verify_cert(path) > 0;
    X509_STORE_CTX_free(path);
    return is_good;
}

// The certificates are not kept in parsed form: an idle connection holds their bytes alone.
static enum ssl_verify_result_t on_verify(SSL *ssl, uint8_t *out_alert) {
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);
    STACK_OF(X509) *certs = sk_X509_new_null();
    bool is_good = certs != NULL && chain != NULL && sk_CRYPTO_BUFFER_num(chain) > 0;
    for (size_t i = 0; is_good && i < sk_CRYPTO_BUFFER_num(chain); i++) {
        X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
        is_good = cert != NULL && sk_X509_push(certs, cert);
    }
    is_good = is_good && is_path_good(certs);
    sk_X509_pop_free(certs, X509_free);
    *out_alert = SSL_AD_CERTIFICATE_UNKNOWN;
    return is_good ? ssl_verify_ok : ssl_verify_invalid;
}

static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct bare_tls *tls = BIO_get_data(SSL_get_rbio(ssl));
    if (tls == NULL) {
        return 0; // the one that has learned
    }
    SSL_SESSION_free(tls->session);
    tls->session = session;
    return 1;
}

SSL_CTX *bare_tls_context(const struct peer_options *options, const struct peer_wire *wire) {
    uint16_t version = options->tls_version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    roots = X509_STORE_new();
    wanted = X509_VERIFY_PARAM_new();
    if (!wire->is_tls || options->cacert == NULL) {
        refuse("this peer wants an https URL and --cacert");
    }
    if (context == NULL || roots == NULL || wanted == NULL || !X509_STORE_load_locations(roots, options->cacert, NULL) ||
        !X509_VERIFY_PARAM_set1_ip(wanted, (const uint8_t *)&wire->address.sin_addr, sizeof wire->address.sin_addr) ||
        !SSL_CTX_set_min_proto_version(context, options->tls_version == 0 ? TLS1_2_VERSION : version) ||
        !SSL_CTX_set_max_proto_version(context, version)) {
        refuse("no TLS");
    }
    SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_session_cache_mode(context, options->resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                             : SSL_SESS_CACHE_OFF);
    if (options->resumes) {
        SSL_CTX_sess_set_new_cb(context, on_session);
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
    return context;
}

// --- a session -------------------------------------------------------------------------------------------------------

void bare_tls_begin(struct bare_tls *tls, SSL_CTX *context) {
    BIO *bio = BIO_new(&k_method);
    tls->ssl = SSL_new(context);
    if (bio == NULL || tls->ssl == NULL || (tls->session != NULL && !SSL_set_session(tls->ssl, tls->session))) {
        refuse("no session");
    }
    SSL_SESSION_free(tls->session); // of use once
    tls->session = NULL;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    SSL_set_shed_handshake_config(tls->ssl, 1);
    tls->is_open = false;
    tls->out_len = 0;
    tls->in_len = 0;
    bare_tls_shake(tls);
}

void bare_tls_end(struct bare_tls *tls) {
    SSL_free(tls->ssl);
    tls->ssl = NULL;
}

bool bare_tls_shake(struct bare_tls *tls) {
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1 && SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ) {
        refuse("handshake");
    }
    tls->is_open = result == 1;
    return tls->is_open;
}

void bare_tls_write(struct bare_tls *tls, const void *data, size_t len) {
    if (SSL_write(tls->ssl, data, (int)len) != (int)len) {
        refuse("write");
    }
}

uint64_t bare_tls_read(struct bare_tls *tls, bool *out_ended) {
    static uint8_t plain[RECORD_MAX]; // for all, so it stays in the cache
    uint64_t len = 0;
    *out_ended = false;
    while (tls->in_len > 0 || SSL_pending(tls->ssl) > 0) {
        int result = SSL_read(tls->ssl, plain, sizeof plain);
        if (result > 0) {
            len += (uint64_t)result;
            continue;
        }
        int reason = SSL_get_error(tls->ssl, result);
        if (reason == SSL_ERROR_ZERO_RETURN) {
            *out_ended = true;
            return len;
        }
        if (reason != SSL_ERROR_WANT_READ) {
            refuse("read");
        }
    }
    return len;
}

// --- learning --------------------------------------------------------------------------------------------------------

static ssize_t receive(void *context, void *out, size_t size) { return SSL_read(context, out, (int)size); }

uint64_t bare_tls_learn(SSL_CTX *context, const struct peer_wire *wire, char *out_facts, size_t facts_size) {
    int fd = peer_wire_dial(wire);
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1) {
        refuse("handshake");
    }
    if (SSL_write(ssl, wire->request, (int)wire->request_len) != (int)wire->request_len) {
        refuse("write");
    }
    uint64_t len = peer_wire_read_length(receive, ssl);
    snprintf(out_facts, facts_size, "%s %s %s", SSL_get_version(ssl), SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)),
             SSL_get_curve_name(SSL_get_curve_id(ssl)));
    SSL_free(ssl);
    close(fd);
    return len;
}

#include "bench/server/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/server/conn.h"

enum { CHAIN_MAX = 8 };

struct bench_tls {
    struct bench_conn *conn;
    SSL *ssl;
    const uint8_t *in, *in_end; // ciphertext that was received, in the worker's buffer or in `held`
    struct bench_bytes held;    // what of it did not fit the reader; from `held_used` on
    struct bench_bytes out;     // sealed and not taken by the socket; from `out_used` on
    size_t out_used;
    bool dry; // the socket was found empty, and has not been reported since
    bool said_goodbye;
};

// --- buffers of a worker ---

bool bench_tls_buffers_init(struct bench_tls_buffers *buffers) {
    *buffers = (struct bench_tls_buffers){
        .in = malloc(BENCH_TLS_IN_LEN), .plain = malloc(BENCH_TLS_PLAIN_LEN), .out = malloc(BENCH_TLS_OUT_LEN)};
    if (buffers->in && buffers->plain && buffers->out)
        return true;
    bench_tls_buffers_deinit(buffers);
    return false;
}

void bench_tls_buffers_deinit(struct bench_tls_buffers *buffers) {
    free(buffers->in);
    free(buffers->plain);
    free(buffers->out);
    *buffers = (struct bench_tls_buffers){0};
}

static struct bench_tls_buffers *buffers_of(const struct bench_tls *tls) {
    return &tls->conn->worker->tls_buffers;
}

// --- between the library and the socket ---

// receive fills the worker's buffer. It gives what recv gives.
static ssize_t receive(struct bench_tls *tls) {
    uint8_t *buffer = buffers_of(tls)->in;
    if (tls->dry) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t len;
    do {
        len = recv(tls->conn->fd, buffer, BENCH_TLS_IN_LEN, 0);
    } while (len < 0 && errno == EINTR);
    // A short read has emptied the socket, but for a FIN; then there is no other event to come.
    tls->dry = len < BENCH_TLS_IN_LEN && len != 0 && !tls->conn->peer_fin;
    tls->in = buffer;
    tls->in_end = buffer + (len > 0 ? len : 0);
    return len;
}

static int socket_read(BIO *bio, char *out, int size) {
    struct bench_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in == tls->in_end) {
        ssize_t len = receive(tls);
        if (len < 0 && errno == EAGAIN)
            BIO_set_retry_read(bio);
        if (len <= 0)
            return (int)len;
    }
    size_t len = (size_t)(tls->in_end - tls->in);
    len = len < (size_t)size ? len : (size_t)size;
    memcpy(out, tls->in, len);
    tls->in += len;
    return (int)len;
}

static int socket_write(BIO *bio, const char *data, int len) {
    struct bench_tls_buffers *buffers = buffers_of(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if ((size_t)len > BENCH_TLS_OUT_LEN - buffers->out_len)
        return -1; // more than BENCH_TLS_SEAL_MAX makes
    memcpy(buffers->out + buffers->out_len, data, (size_t)len);
    buffers->out_len += (size_t)len;
    return len;
}

static long socket_ctrl(BIO *bio, int command, long number, void *data) {
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD k_socket = {
    .type = BIO_TYPE_SOURCE_SINK, .name = "bench", .bwrite = socket_write, .bread = socket_read, .ctrl = socket_ctrl};

// Keeps what was received and not read, before another connection needs the buffer. False: no memory.
static bool hold(struct bench_tls *tls) {
    struct bench_bytes rest = {0};
    bool is_kept = tls->in == tls->in_end || bench_bytes_add(&rest, tls->in, (size_t)(tls->in_end - tls->in));
    bench_bytes_free(&tls->held); // the rest may have been in there
    tls->held = rest;
    tls->in = rest.at;
    tls->in_end = tls->in + rest.len;
    return is_kept;
}

// What the socket takes of `len` octets; -1: it has failed.
static ssize_t give(struct bench_tls *tls, const uint8_t *data, size_t len) {
    ssize_t sent;
    do {
        sent = send(tls->conn->fd, data, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

int bench_tls_flush(struct bench_tls *tls) {
    if (tls->out.len > 0) {
        ssize_t sent = give(tls, tls->out.at + tls->out_used, tls->out.len - tls->out_used);
        if (sent < 0)
            return -1;
        tls->out_used += (size_t)sent;
        if (tls->out_used < tls->out.len)
            return 0;
        bench_bytes_free(&tls->out);
        tls->out_used = 0;
    }
    return 1;
}

// push hands over what the library has just written, behind what waits; what the socket does not take waits, too.
// False: it has failed.
static bool push(struct bench_tls *tls) {
    struct bench_tls_buffers *buffers = buffers_of(tls);
    size_t len = buffers->out_len;
    buffers->out_len = 0;
    if (len == 0)
        return true;
    ssize_t sent = tls->out.len > 0 ? 0 : give(tls, buffers->out, len);
    return sent >= 0 && ((size_t)sent == len || bench_bytes_add(&tls->out, buffers->out + sent, len - (size_t)sent));
}

// --- what a connection does ---

struct bench_tls *bench_tls_new(struct bench_conn *conn, struct ssl_ctx_st *context) {
    struct bench_tls *tls = calloc(1, sizeof *tls);
    BIO *bio = tls ? BIO_new(&k_socket) : NULL;
    SSL *ssl = bio ? SSL_new(context) : NULL;
    if (!ssl) {
        ERR_clear_error();
        BIO_free(bio);
        free(tls);
        return NULL;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    tls->conn = conn;
    tls->ssl = ssl;
    return tls;
}

void bench_tls_free(struct bench_tls *tls) {
    if (!tls)
        return;
    SSL_free(tls->ssl);
    bench_bytes_free(&tls->held);
    bench_bytes_free(&tls->out);
    free(tls);
}

void bench_tls_on_readable(struct bench_tls *tls) {
    tls->dry = false;
}

// Why the last call of the library gave `result`; its list of errors is emptied. 0: the client has ended.
static int reason_of(struct bench_tls *tls, int result) {
    int error = SSL_get_error(tls->ssl, result);
    int number = errno;
    uint32_t packed = ERR_peek_error();
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        return EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && packed == 0 && result == 0))
        return 0;
    return error == SSL_ERROR_SYSCALL && packed == 0 && number != 0 ? number : EPROTO;
}

int bench_tls_shake(struct bench_tls *tls) {
    int result = SSL_do_handshake(tls->ssl);
    int reason = result == 1 ? 0 : reason_of(tls, result);
    if (!push(tls) || !hold(tls))
        return -1;
    return result == 1 ? 1 : reason == EAGAIN ? 0 : -1;
}

ssize_t bench_tls_recv(struct bench_tls *tls, void *out, size_t size) {
    uint8_t *to = out;
    size_t len = 0;
    int reason = EAGAIN;
    while (len < size) {
        int result = SSL_read(tls->ssl, to + len, (int)(size - len));
        if (result <= 0) {
            reason = reason_of(tls, result);
            break;
        }
        len += (size_t)result;
    }
    if (!push(tls) || !hold(tls))
        reason = EPROTO;
    if (len > 0 || reason == 0)
        return (ssize_t)len;
    errno = reason;
    return -1;
}

// Up to one record's worth: a pointer into the vector where it has so much in one piece, else a copy.
static const uint8_t *next_record(struct bench_tls *tls, const struct iovec **vectors, size_t *num, size_t *offset,
                                  size_t *out_len) {
    const struct iovec *first = *vectors;
    const uint8_t *at = (const uint8_t *)first->iov_base + *offset;
    if (first->iov_len - *offset >= BENCH_TLS_PLAIN_LEN) {
        *offset += BENCH_TLS_PLAIN_LEN;
        *out_len = BENCH_TLS_PLAIN_LEN;
        return at;
    }
    uint8_t *plain = buffers_of(tls)->plain;
    size_t len = 0;
    while (*num > 0 && len < BENCH_TLS_PLAIN_LEN) {
        size_t part = (*vectors)->iov_len - *offset;
        part = part < BENCH_TLS_PLAIN_LEN - len ? part : BENCH_TLS_PLAIN_LEN - len;
        memcpy(plain + len, (const uint8_t *)(*vectors)->iov_base + *offset, part);
        len += part;
        *offset += part;
        if (*offset == (*vectors)->iov_len) {
            ++*vectors;
            --*num;
            *offset = 0;
        }
    }
    *out_len = len;
    return plain;
}

ssize_t bench_tls_send(struct bench_tls *tls, const struct iovec *vectors, size_t num) {
    size_t offset = 0, taken = 0;
    int flushed = bench_tls_flush(tls);
    if (flushed <= 0) {
        errno = flushed == 0 ? EAGAIN : EPIPE;
        return -1;
    }
    while (num > 0 && taken + BENCH_TLS_PLAIN_LEN <= BENCH_TLS_SEAL_MAX) {
        size_t len;
        const uint8_t *record = next_record(tls, &vectors, &num, &offset, &len);
        if (num > 0 && offset == vectors->iov_len) {
            vectors++;
            num--;
            offset = 0;
        }
        int result = len > 0 ? SSL_write(tls->ssl, record, (int)len) : 0;
        ERR_clear_error();
        if (result != (int)len) {
            errno = EPROTO;
            return -1;
        }
        taken += len;
    }
    if (push(tls))
        return (ssize_t)taken;
    errno = EPIPE;
    return -1;
}

void bench_tls_goodbye(struct bench_tls *tls) {
    if (tls->said_goodbye || SSL_in_init(tls->ssl))
        return;
    tls->said_goodbye = true;
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
    (void)push(tls); // the next flush finds out
}

// --- the context ---

static int take_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
                     void *context) {
    static const uint8_t k_ours[] = "\x08http/1.1";
    uint8_t *chosen;
    (void)ssl;
    (void)context;
    int result = SSL_select_next_proto(&chosen, out_len, k_ours, sizeof k_ours - 1, in, in_len);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool take_certificates(SSL_CTX *context, const char *cert_pem, const char *key_pem) {
    CRYPTO_BUFFER *chain[CHAIN_MAX] = {NULL};
    BIO *certs = BIO_new_mem_buf(cert_pem, -1);
    BIO *keys = BIO_new_mem_buf(key_pem, -1);
    EVP_PKEY *key = keys ? PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL) : NULL;
    char *name, *header;
    uint8_t *der;
    long der_len;
    size_t num = 0;
    while (certs && num < CHAIN_MAX && PEM_read_bio(certs, &name, &header, &der, &der_len)) {
        chain[num] = CRYPTO_BUFFER_new(der, (size_t)der_len, NULL);
        num += chain[num] != NULL;
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    bool is_taken = key && num > 0 && SSL_CTX_set_chain_and_key(context, chain, num, key, NULL);
    while (num > 0)
        CRYPTO_BUFFER_free(chain[--num]);
    EVP_PKEY_free(key);
    BIO_free(keys);
    BIO_free(certs);
    ERR_clear_error();
    return is_taken;
}

struct ssl_ctx_st *bench_tls_context_new(const struct bench_server_options *options, int *out_error) {
    CRYPTO_library_init();
    uint16_t version = options->tls_version;
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    *out_error = context ? 0 : ENOMEM;
    if (!context)
        return NULL;
    if (!options->tls_key || !take_certificates(context, options->tls_cert, options->tls_key) ||
        !SSL_CTX_set_min_proto_version(context, version ? version : TLS1_2_VERSION) ||
        !SSL_CTX_set_max_proto_version(context, version ? version : TLS1_3_VERSION)) {
        ERR_clear_error();
        SSL_CTX_free(context);
        *out_error = EINVAL;
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL); // tickets alone
    if (options->tls_no_tickets)
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, take_alpn, NULL);
    return context;
}

void bench_tls_context_free(struct ssl_ctx_st *context) {
    SSL_CTX_free(context);
}

// TLS below a connection of the server, on BoringSSL. No part of the engine: the code that makes a client's records is
// not the code that reads them here, but for the library's own.
//
// Plaintext goes in and out of the connection as it would of a socket: the two functions below stand in for recv and
// sendmsg, and say EAGAIN the same way. In between, ciphertext passes through two buffers of the worker; what a socket
// does not take, and what a reader has no room for, waits in the connection. So an idle connection holds no buffer.
//
// A context is made once and shared by all workers. A struct bench_tls is its connection's, on its worker's thread.
#ifndef QUOIT_BENCH_SERVER_TLS_H
#define QUOIT_BENCH_SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    BENCH_TLS_SEAL_MAX = 256 * 1024, // plaintext that one send takes
    BENCH_TLS_IN_LEN = 64 * 1024,
    BENCH_TLS_PLAIN_LEN = 16 * 1024,                // one record
    BENCH_TLS_OUT_LEN = BENCH_TLS_SEAL_MAX + 65536, // sealed, and a handshake
};

struct ssl_ctx_st;
struct bench_conn;
struct bench_server_options;
struct bench_tls;

// struct bench_tls_buffers is a worker's, for whichever connection moves now. All NULL: plain.
struct bench_tls_buffers {
    uint8_t *in, *plain, *out;
    size_t out_len;
};

// bench_tls_buffers_init makes them; false: no memory, and nothing is left behind.
bool bench_tls_buffers_init(struct bench_tls_buffers *buffers);
void bench_tls_buffers_deinit(struct bench_tls_buffers *buffers);

// bench_tls_context_new makes the context that `options` ask for, and writes 0 or an errno; EINVAL: the certificate or
// the key cannot be read, or they do not belong together. bench_tls_context_free takes NULL.
struct ssl_ctx_st *bench_tls_context_new(const struct bench_server_options *options, int *out_error);
void bench_tls_context_free(struct ssl_ctx_st *context);

// bench_tls_new makes the TLS of `conn`, whose worker and socket are set; NULL: no memory.
struct bench_tls *bench_tls_new(struct bench_conn *conn, struct ssl_ctx_st *context);
void bench_tls_free(struct bench_tls *tls);

// bench_tls_on_readable is told that epoll has reported something to read.
void bench_tls_on_readable(struct bench_tls *tls);

// bench_tls_shake goes on with the handshake: 1 when it is over, 0 when it waits for the client, -1 when it has failed.
int bench_tls_shake(struct bench_tls *tls);

// bench_tls_recv is recv. 0: the client has said goodbye, or ended without. An errno besides the socket's own: EPROTO.
ssize_t bench_tls_recv(struct bench_tls *tls, void *out, size_t size);

// bench_tls_send is sendmsg: it gives the octets that it has taken, at most BENCH_TLS_SEAL_MAX. Not all of what it has
// made of them need be with the kernel: bench_tls_flush does the rest, and nothing more is taken before.
ssize_t bench_tls_send(struct bench_tls *tls, const struct iovec *vectors, size_t num);

// bench_tls_flush hands over what waits: 1 when nothing is left, 0 when the socket is full, -1 when it has failed.
int bench_tls_flush(struct bench_tls *tls);

// bench_tls_goodbye makes the close_notify, once; it goes with the next flush.
void bench_tls_goodbye(struct bench_tls *tls);

#endif

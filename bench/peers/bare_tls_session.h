// What the bare TLS client has of BoringSSL: one context for all, and a session that reads out of the buffer it is given
// and writes into a buffer of its connection's. The engine's library, its way of I/O (a BIO over received bytes, no memory
// BIO), the checks of a certificate that any client owes (chain, times, name), and nothing of HTTP. One thread uses it.
#ifndef QUOIT_BENCH_PEERS_BARE_TLS_SESSION_H
#define QUOIT_BENCH_PEERS_BARE_TLS_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/peers/options.h"
#include "bench/peers/wire.h"

enum { BARE_TLS_OUT_MAX = 2048 }; // a hello with a ticket, or the end of a handshake with a request

struct bare_tls {
    SSL *ssl;
    const uint8_t *in; // received, not read yet
    size_t in_len;
    size_t out_len;
    SSL_SESSION *session; // for the next connection; NULL: none
    bool is_open;         // the handshake is over
    uint8_t out[BARE_TLS_OUT_MAX];
};

// bare_tls_context gives the context: trusted is who is in options->cacert, for the address of `wire` alone.
SSL_CTX *bare_tls_context(const struct peer_options *options, const struct peer_wire *wire);

// bare_tls_begin begins a session; its hello lies in `out`.
void bare_tls_begin(struct bare_tls *tls, SSL_CTX *context);

// bare_tls_end frees the session, but for what the next may take up.
void bare_tls_end(struct bare_tls *tls);

// bare_tls_shake goes on with the handshake. True: it is over.
bool bare_tls_shake(struct bare_tls *tls);

// bare_tls_write seals `len` bytes into `out`.
void bare_tls_write(struct bare_tls *tls, const void *data, size_t len);

// bare_tls_read opens everything that was received and gives the number of bytes that it held. *out_ended: the server has
// said goodbye.
uint64_t bare_tls_read(struct bare_tls *tls, bool *out_ended);

// bare_tls_learn makes a request on a connection of its own and gives the length of its response. `out_facts` is written:
// version, cipher, key exchange.
uint64_t bare_tls_learn(SSL_CTX *context, const struct peer_wire *wire, char *out_facts, size_t facts_size);

#endif

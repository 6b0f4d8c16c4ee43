// A TLS server in front of a plain one: what the plain one says goes out sealed, and what a client says comes to it
// opened. So a test can have every server of plain HTTP, scripted ones too, behind https.
//
// It is no more than a pipe, and it keeps little: it reads from a side only when the other has taken what came before, and
// its own sockets' buffers are small, so a server that does not read makes a client that cannot send. Ends go through, too:
// a client's close_notify (or FIN) is a FIN to the server, the server's FIN is close_notify and FIN to the client, a reset
// is one on the other side. How clients end is counted.
//
// The certificate is for 127.0.0.1 and TLS_FRONT_HOST, ECDSA, below one root that is the same for all fronts of a process.
// Life: tls_front_start gives one that listens on a loopback port; it connects to the plain server when a handshake is
// over; tls_front_stop closes all connections and frees it. Any thread may call; what cannot go on aborts the test. Its
// threads block all signals.
#ifndef QUOIT_TESTS_SUPPORT_TLS_FRONT_H
#define QUOIT_TESTS_SUPPORT_TLS_FRONT_H

#include "tests/support/certs.h"

#include <stdint.h>

#define TLS_FRONT_HOST "front.example"

enum { TLS_FRONT_CONNECTIONS_MAX = 8192 }; // of one front, in its whole life

struct tls_front_options {
    uint16_t port;    // of the plain server on 127.0.0.1
    uint16_t version; // 0x0303 or 0x0304 alone; 0: both
    const struct q_cert *const *chain; // what it shows, the leaf first, NULL ends it; NULL: the process's own
    const char *staple;                // its OCSP response, as a string; NULL: none
    uint16_t compression;              // CERT_PACK_ZLIB or CERT_PACK_BROTLI, for clients that take it; 0: none
    const char *client_roots; // PEM: clients must show a certificate below this one; NULL: none is asked for
};

// struct tls_front_facts is what a front has seen of its clients.
struct tls_front_facts {
    uint32_t num_connections; // accepted
    uint32_t num_shaken;      // whose handshake came to its end
    uint32_t num_goodbyes;    // that said close_notify
    uint32_t num_cuts;        // that ended with FIN and without it, behind the handshake
    uint32_t num_open;
    uint32_t num_compressed; // certificate messages
    uint64_t bytes_in; // plaintext from clients
};

struct tls_front;

struct tls_front *tls_front_start(const struct tls_front_options *options);
void tls_front_stop(struct tls_front *front);

uint16_t tls_front_port(const struct tls_front *front);
struct tls_front_facts tls_front_facts(struct tls_front *front);

// tls_front_roots gives the root to trust, tls_front_cert and tls_front_key what every front shows, as PEM. They stay for
// good.
const char *tls_front_roots(void);
const char *tls_front_cert(void);
const char *tls_front_key(void);

#endif

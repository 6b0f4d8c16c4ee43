// Debian's nginx with TLS: certificates of the test's own, the versions and kinds of key that a test asks for, and a
// log of what each request's session was.
//
// The server's certificates are for 127.0.0.1 and NGINX_TLS_HOST, of a chain root, intermediate, leaf. All files are in
// a folder of its own; struct nginx_tls holds their paths. The test's main thread calls; all failures fail the test.
// Life: nginx_tls_start, whatever nginx.h has for `nginx`, nginx_tls_stop.
#ifndef QUOIT_TESTS_E2E_NGINX_TLS_H
#define QUOIT_TESTS_E2E_NGINX_TLS_H

#include "tests/e2e/nginx.h"

#define NGINX_TLS_HOST "nginx.example"

// Zero: TLS 1.2 and 1.3, an ECDSA certificate, no client's, tickets and a session cache.
struct nginx_tls_options {
    const char *protocols; // "TLSv1.2", "TLSv1.3", or several; NULL: both
    bool has_rsa;          // an RSA certificate alone, unless has_ecdsa is said too
    bool has_ecdsa;
    bool wants_client;   // no request is served without a client's certificate
    bool has_no_tickets; // then sessions are resumed by the server's memory, if at all
    bool has_no_cache;
    const char *more; // lines of the server's configuration besides; NULL: none
    bool has_early_data; // it takes 0-RTT, but for /too_early/..., to which it says 425 then
};

// The authority that clients are let in by is of this common name, and its key has this number (tests/support/certs.h).
#define NGINX_TLS_AUTHORITY "nginx authority"
enum { NGINX_TLS_AUTHORITY_KEY = 11 };

struct nginx_tls {
    struct nginx nginx;
    struct nginx_tls_options options;
    char *folder;
    char *roots;       // PEM files: what the server's certificate is to be trusted by,
    char *next_roots;  // what it is after nginx_tls_rotate,
    char *both_roots;  // and both
    char *client_cert; // a client's that is let in, with its intermediate, and its key
    char *client_key;
    char *wrong_cert; // one of another authority
    char *wrong_key;
};

// struct nginx_tls_line is a line of the log: one request.
struct nginx_tls_line {
    char protocol[16]; // "TLSv1.3"
    char cipher[64];   // "ECDHE-RSA-AES128-GCM-SHA256"
    char reused[8];    // "r": the session was resumed; ".": it was not
    char early[8];     // "1": the request came before the handshake was over; "-": it did not
    char verify[128];  // of the client's certificate: "SUCCESS", "NONE", "FAILED:..."
    int status;
};

struct nginx_tls nginx_tls_start(const struct nginx_tls_options *options);
void nginx_tls_stop(struct nginx_tls *tls);

// nginx_tls_wait_line waits until the log has more than `index` lines, and gives that one (from 0).
struct nginx_tls_line nginx_tls_wait_line(const struct nginx_tls *tls, unsigned index);

// nginx_tls_rotate gives it certificates of another root and has it reload. Connections that are open stay; when the
// first with the new certificate is made is for the test to find out.
void nginx_tls_rotate(struct nginx_tls *tls);

// nginx_tls_rotate_wholly does so, and waits until no process is left that knows the old ones. No connection may be open.
void nginx_tls_rotate_wholly(struct nginx_tls *tls);

#endif

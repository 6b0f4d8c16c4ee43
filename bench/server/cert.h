// A certificate for a server on loopback, made on the spot: an authority of its own, and one for 127.0.0.1, ::1 and
// localhost by it. Both have P-256 keys, drawn at each call and nowhere kept, and are valid from a day ago for a month.
//
// It has no part in the engine. Any thread may call.
#ifndef QUOIT_BENCH_SERVER_CERT_H
#define QUOIT_BENCH_SERVER_CERT_H

#include <stdbool.h>

// struct bench_cert holds PEM texts. All NULL: none.
struct bench_cert {
    char *authority; // that clients are to trust: one certificate
    char *cert;      // the server's, without the authority's
    char *key;       // PKCS #8
};

// bench_cert_make makes one; false: no memory or no randomness, and nothing is left behind.
bool bench_cert_make(struct bench_cert *out);

// bench_cert_free frees the texts; the key is overwritten first.
void bench_cert_free(struct bench_cert *cert);

#endif

// Simulated TLS servers, for the two files that make them up: connections (simtls.c), and records that the library does not
// make for anybody (simtls_seal.c).
#ifndef QUOIT_TESTS_SUPPORT_SIMTLS_INTERNAL_H
#define QUOIT_TESTS_SUPPORT_SIMTLS_INTERNAL_H

#include "tests/support/simtls.h"

struct ssl_st;

#define SIMTLS_SECRET_MAX 48
#define SIMTLS_RECORD_MAX 16384

// Seals on its own from its first record on: the library does not know of those.
struct simtls_seal {
    bool is_begun;
    uint64_t sequence;
    uint8_t secret[SIMTLS_SECRET_MAX]; // 1.3: of what the server sends
    size_t secret_len;
};

// simtls_seal_learn reads a line of the server's key log.
void simtls_seal_learn(struct simtls_seal *seal, const char *line);

// simtls_seal_record makes a record in `out`, which has room for 256 more bytes than the data; gives its length.
size_t simtls_seal_record(struct simtls_seal *seal, const struct ssl_st *ssl, uint8_t type, const void *data, size_t len,
                          uint8_t *out);

// simtls_seal_flood makes one record of a flood.
size_t simtls_seal_flood(struct simtls_seal *seal, const struct ssl_st *ssl, enum q_simtls_flood flood, uint8_t *out);

#endif

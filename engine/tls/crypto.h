// Crypto: the only door to hashes, message authentication codes and secret randomness for other floors, so that
// the library behind them shows nowhere else. None of these can fail, and none allocates.
//
// Life: q_crypto_init comes before anything else here; create calls it, and so does whoever makes a TLS config before there
// is an engine. There is no way back, and none is needed: no memory, no descriptor is held.
// The state of a hash is a value that its maker owns; it may hold secrets, and is wiped by its end.
// Thread-free: any thread, each with a state of its own.
#ifndef QUOIT_ENGINE_TLS_CRYPTO_H
#define QUOIT_ENGINE_TLS_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define Q_CRYPTO_DIGEST_LEN 32
#define Q_CRYPTO_STATE_SIZE 128 // of the library's own state, with room; checked when it is built

struct q_sha256 {
    _Alignas(8) unsigned char state[Q_CRYPTO_STATE_SIZE];
};

// HMAC with SHA-256 (RFC 2104).
struct q_mac {
    struct q_sha256 inner;
    struct q_sha256 outer;
};

// q_crypto_init prepares the library, and draws the process's key. As often as one likes, from any thread.
void q_crypto_init(void);

// q_sha256_start, q_sha256_add and q_sha256_end hash what comes piece by piece. The end wipes the state.
void q_sha256_start(struct q_sha256 *sha256);
void q_sha256_add(struct q_sha256 *sha256, const void *data, size_t len);
void q_sha256_end(struct q_sha256 *sha256, uint8_t out[Q_CRYPTO_DIGEST_LEN]);

// q_crypto_sha256 hashes `len` bytes.
void q_crypto_sha256(const void *data, size_t len, uint8_t out[Q_CRYPTO_DIGEST_LEN]);

// q_mac_start, q_mac_add and q_mac_end authenticate what comes piece by piece under a key of any length. The end wipes the
// state.
void q_mac_start(struct q_mac *mac, const void *key, size_t key_len);
void q_mac_add(struct q_mac *mac, const void *data, size_t len);
void q_mac_end(struct q_mac *mac, uint8_t out[Q_CRYPTO_DIGEST_LEN]);

// q_mac_start_keyed is q_mac_start under the process's key: 256 random bits, drawn once, which nobody outside can know. So
// a digest that leaves by mistake tells nothing about what was digested, and a peer cannot look for two things with one.
// A forked child keeps its parent's key.
void q_mac_start_keyed(struct q_mac *mac);

// q_crypto_equal compares in a time that depends on `len` alone.
bool q_crypto_equal(const void *a, const void *b, size_t len);

// q_crypto_random gives bytes fit for secrets; a forked child gets others than its parent.
void q_crypto_random(void *out, size_t len);

#endif

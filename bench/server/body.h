// The bytes of every generated body, and the hash that proves them.
//
// Byte i of a body is (i % 251) ^ ((i / 251) % 241). The sequence repeats after 251 * 241 = 60,491 bytes, which shares
// no factor with any power of two: a client that drops, repeats or swaps a buffer of 2^n bytes cannot get the same
// hash. The hash is FNV-1a with 64-bit words in place of bytes (a word is little-endian, the last one is padded with
// zeros, the length is mixed in at the end), so it keeps up with loopback. It is fed in pieces of any size.
//
// Thread-free: the functions are pure but for the table behind bench_body_at, which is built once, under pthread_once.
#ifndef QUOIT_BENCH_SERVER_BODY_H
#define QUOIT_BENCH_SERVER_BODY_H

#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_BODY_PERIOD = 251 * 241,
    BENCH_BODY_RUN_MAX = 256 * 1024, // longest run that bench_body_at gives at once
};

// bench_server_body_byte returns byte `i` of every generated body.
static inline uint8_t bench_server_body_byte(uint64_t i) {
    return (uint8_t)((i % 251) ^ ((i / 251) % 241));
}

// bench_server_body_hash returns the hash of a whole generated body of `len` bytes. It costs a pass over that many
// bytes: a caller that checks many bodies of one size keeps the result.
uint64_t bench_server_body_hash(uint64_t len);

// bench_body_at points at the bytes of a generated body from `offset` on; at least BENCH_BODY_RUN_MAX of them are
// readable there. The memory is static and never changes.
const uint8_t *bench_body_at(uint64_t offset);

// struct bench_hash is a hash in progress; a value type, with nothing to free.
struct bench_hash {
    uint64_t state;
    uint64_t len;
    uint8_t tail[8]; // the first len % 8 bytes wait here for the rest of their word
};

// bench_hash_init starts `hash` at the empty body.
void bench_hash_init(struct bench_hash *hash);

// bench_hash_add feeds `len` bytes. The cut between two calls does not change the result.
void bench_hash_add(struct bench_hash *hash, const void *data, size_t len);

// bench_hash_end returns the hash of what was fed so far and leaves `hash` as it was.
uint64_t bench_hash_end(const struct bench_hash *hash);

#endif

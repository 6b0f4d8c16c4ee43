#include "engine/base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void q_random_seed(struct q_random *random, uint64_t seed) { random->state = seed; }

struct q_error q_random_seed_from_kernel(struct q_random *random) {
    uint64_t seed;
    ssize_t got;
    do {
        got = getrandom(&seed, sizeof seed, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof seed) {
        return q_error_os(Q_ERR_NO_MEMORY, Q_PHASE_CREATE, errno);
    }
    q_random_seed(random, seed);
    return Q_OK;
}

// SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps; passes BigCrush; every seed is good.
uint64_t q_random_next(struct q_random *random) {
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t q_random_below(struct q_random *random, uint64_t bound) {
    Q_CHECK(bound != 0);
    return (uint64_t)(((unsigned __int128)q_random_next(random) * bound) >> 64);
}

static uint64_t rotate_left(uint64_t x, unsigned bits) { return (x << bits) | (x >> (64 - bits)); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

// SipHash-1-3 as Aumasson and Bernstein define it: one round per word, three at the end.
uint64_t q_hash_keyed(const uint64_t key[2], const void *data, size_t len) {
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *at = data;
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t tail = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++) {
        tail |= (uint64_t)at[i] << (8 * i);
    }
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// Random: the seam for randomness. A generator (SplitMix64; not for secrets) seeded once per engine: from
// getrandom(2) for users, from one number in the simulator, so that a whole run is replayable.
// One owner: a generator belongs to one thread.
#ifndef QUOIT_ENGINE_BASE_RANDOM_H
#define QUOIT_ENGINE_BASE_RANDOM_H

#include "engine/base/error.h"

#include <stdint.h>

struct q_random {
    uint64_t state;
};

// q_random_seed starts the sequence that belongs to `seed`. Equal seeds give equal sequences.
void q_random_seed(struct q_random *random, uint64_t seed);

// q_random_seed_from_kernel seeds from getrandom(2). It fails only when the kernel has no generator, with
// QUOIT_ERR_NO_MEMORY and the errno; that does not happen after boot.
Q_MUST_USE struct q_error q_random_seed_from_kernel(struct q_random *random);

// q_random_next gives 64 bits.
uint64_t q_random_next(struct q_random *random);

// q_random_below gives a number in [0, bound); `bound` must not be 0. The bias is below 2^-32 for bounds under 2^32.
uint64_t q_random_below(struct q_random *random, uint64_t bound);

// q_hash_keyed is a keyed 64-bit hash (SipHash-1-3) of `len` bytes; the key keeps a peer that picks names from
// choosing collisions.
uint64_t q_hash_keyed(const uint64_t key[2], const void *data, size_t len);

#endif

#define BORINGSSL_UNSAFE_DETERMINISTIC_MODE // for the declaration of the reset
#include "tests/support/deterministic/deterministic.h"

#include "engine/base/check.h"

// A header of the library's own files, where its warnings are its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "src/crypto/internal.h"
#pragma GCC diagnostic pop

#include <openssl/mem.h>
#include <openssl/rand.h>

static void free_state(void *state) { OPENSSL_free(state); }

// The library's own reset is that of the system's bytes, by which each thread's generator is seeded once: that is thrown
// away too. The seed is mixed in by taking another place in one sequence.
void q_deterministic_reset(uint64_t seed) {
    enum { PLACES = 251 };
    uint8_t skipped[16];
    void *state = CRYPTO_get_thread_local(OPENSSL_THREAD_LOCAL_RAND);
    int ok = CRYPTO_set_thread_local(OPENSSL_THREAD_LOCAL_RAND, NULL, free_state);
    Q_CHECK(ok);
    OPENSSL_free(state);
    RAND_reset_for_fuzzing();
    for (uint64_t i = 0; i < seed % PLACES; i++) {
        RAND_bytes(skipped, sizeof skipped);
    }
}

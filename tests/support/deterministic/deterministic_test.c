#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/deterministic/deterministic.h"

#include <openssl/ec_key.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rand.h>

static void a_seed_gives_its_bytes_again(void **state) {
    (void)state;
    uint8_t first[1000], again[1000], other[1000];
    q_deterministic_reset(1);
    RAND_bytes(first, sizeof first);
    q_deterministic_reset(2);
    RAND_bytes(other, sizeof other);
    q_deterministic_reset(1);
    RAND_bytes(again, 1); // not of the sequence: each call draws for itself
    q_deterministic_reset(1);
    RAND_bytes(again, sizeof again);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
}

// Beyond the number of calls after which a generator seeds itself anew.
static void so_it_does_for_long(void **state) {
    (void)state;
    uint8_t last[2][16];
    for (unsigned i = 0; i < 2; i++) {
        q_deterministic_reset(7);
        for (unsigned call = 0; call < 10000; call++) {
            RAND_bytes(last[i], sizeof last[i]);
        }
    }
    assert_memory_equal(last[0], last[1], sizeof last[0]);
}

static void keys_are_the_same_again(void **state) {
    (void)state;
    uint8_t *keys[2];
    size_t lens[2];
    for (unsigned i = 0; i < 2; i++) {
        q_deterministic_reset(3);
        EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        assert_int_equal(EC_KEY_generate_key(key), 1);
        lens[i] = EC_KEY_key2buf(key, POINT_CONVERSION_UNCOMPRESSED, &keys[i], NULL);
        EC_KEY_free(key);
    }
    assert_int_equal(lens[0], lens[1]);
    assert_memory_equal(keys[0], keys[1], lens[0]);
    OPENSSL_free(keys[0]);
    OPENSSL_free(keys[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_its_bytes_again),
        cmocka_unit_test(so_it_does_for_long),
        cmocka_unit_test(keys_are_the_same_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

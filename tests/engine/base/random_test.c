// The generator and the keyed hash, against published values.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "tests/engine/base/dies.h"

// SplitMix64, as its authors' reference code prints it for these seeds.
static void the_sequence_is_the_published_one(void **state) {
    (void)state;
    static const uint64_t k_from_0[] = {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4)};
    static const uint64_t k_from_1234567[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                              UINT64_C(9817491932198370423)};
    struct q_random random;
    q_random_seed(&random, 0);
    for (size_t i = 0; i < Q_COUNT_OF(k_from_0); i++) {
        assert_int_equal(q_random_next(&random), k_from_0[i]);
    }
    q_random_seed(&random, 1234567);
    for (size_t i = 0; i < Q_COUNT_OF(k_from_1234567); i++) {
        assert_int_equal(q_random_next(&random), k_from_1234567[i]);
    }
}

static void numbers_stay_below_their_bound_and_reach_it(void **state) {
    (void)state;
    struct q_random random;
    q_random_seed(&random, 42);
    unsigned counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t number = q_random_below(&random, 10);
        assert_true(number < 10);
        counts[number]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 850, 1150); // five standard deviations
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(q_random_below(&random, 1), 0);
    }
}

static void draw_below_nothing(void *context) { q_random_below(context, 0); }

static void a_bound_of_zero_dies(void **state) {
    (void)state;
    struct q_random random;
    q_random_seed(&random, 1);
    assert_true(dies_saying(draw_below_nothing, &random, "bound != 0"));
}

static void the_kernel_gives_different_seeds(void **state) {
    (void)state;
    struct q_random a, b;
    assert_false(q_error_is(q_random_seed_from_kernel(&a)));
    assert_false(q_error_is(q_random_seed_from_kernel(&b)));
    assert_int_not_equal(q_random_next(&a), q_random_next(&b));
}

// Values of an independent implementation of SipHash-1-3: CPython's bytes hash with its seed switched off (key 0), and
// the first one of Rust's test vectors (key 00 01 .. 0f).
static void the_hash_is_siphash_1_3(void **state) {
    (void)state;
    static const uint64_t k_zero[2] = {0, 0};
    static const uint64_t k_counting[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    assert_int_equal(q_hash_keyed(k_zero, "a", 1), UINT64_C(0x407448d2b89b1813));
    assert_int_equal(q_hash_keyed(k_zero, "abc", 3), UINT64_C(0xc03bc3a0042630f2));
    assert_int_equal(q_hash_keyed(k_zero, "12345678", 8), UINT64_C(0x3489982430560a87));
    assert_int_equal(q_hash_keyed(k_zero, "example.com", 11), UINT64_C(0x7e0432aaedb1758c));
    assert_int_equal(q_hash_keyed(k_zero, "0123456789abcdef", 16), UINT64_C(0x1d42b30f7e060c24));
    assert_int_equal(q_hash_keyed(k_counting, "", 0), UINT64_C(0xabac0158050fc4dc));
}

static void another_key_gives_another_hash(void **state) {
    (void)state;
    static const uint64_t k_first[2] = {1, 0};
    static const uint64_t k_second[2] = {0, 1};
    assert_int_not_equal(q_hash_keyed(k_first, "abc", 3), q_hash_keyed(k_second, "abc", 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sequence_is_the_published_one),
        cmocka_unit_test(numbers_stay_below_their_bound_and_reach_it),
        cmocka_unit_test(a_bound_of_zero_dies),
        cmocka_unit_test(the_kernel_gives_different_seeds),
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(another_key_gives_another_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Slices and the two conversions of numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/slice.h"

static struct q_slice text(const char *string) { return q_slice_of_string(string); }

static void slices_are_equal_by_content(void **state) {
    (void)state;
    assert_true(q_slice_equal(Q_SLICE("abc"), text("abc")));
    assert_false(q_slice_equal(Q_SLICE("abc"), text("abd")));
    assert_false(q_slice_equal(Q_SLICE("abc"), text("ab")));
    assert_true(q_slice_equal(q_slice_make("a\0b", 3), Q_SLICE("a\0b")));
    assert_false(q_slice_equal(Q_SLICE("abc"), Q_SLICE("ABC")));
    assert_true(q_slice_equal((struct q_slice){0}, Q_SLICE("")));
}

static void a_slice_may_lose_more_than_it_has(void **state) {
    (void)state;
    assert_true(q_slice_equal(q_slice_from(Q_SLICE("abc"), 0), Q_SLICE("abc")));
    assert_true(q_slice_equal(q_slice_from(Q_SLICE("abc"), 2), Q_SLICE("c")));
    assert_int_equal(q_slice_from(Q_SLICE("abc"), 3).len, 0);
    assert_int_equal(q_slice_from(Q_SLICE("abc"), SIZE_MAX).len, 0);
}

static void only_ascii_letters_are_folded(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        int folded = c >= 'A' && c <= 'Z' ? c + 32 : c;
        assert_int_equal((unsigned char)q_ascii_lower((char)c), folded);
    }
    assert_true(q_slice_equal_nocase(Q_SLICE("Content-TYPE"), Q_SLICE("cOntent-type")));
    assert_false(q_slice_equal_nocase(Q_SLICE("a"), Q_SLICE("ab")));
    assert_false(q_slice_equal_nocase(Q_SLICE("@"), Q_SLICE("`")));
    assert_false(q_slice_equal_nocase(Q_SLICE("["), Q_SLICE("{")));
    assert_false(q_slice_equal_nocase(Q_SLICE("\xc4"), Q_SLICE("\xe4")));
}

static void trimming_drops_spaces_and_tabs_at_both_ends(void **state) {
    (void)state;
    assert_true(q_slice_equal(q_slice_trim(Q_SLICE(" \t a b\t ")), Q_SLICE("a b")));
    assert_true(q_slice_equal(q_slice_trim(Q_SLICE("a")), Q_SLICE("a")));
    assert_int_equal(q_slice_trim(Q_SLICE(" \t ")).len, 0);
    assert_int_equal(q_slice_trim(Q_SLICE("")).len, 0);
    assert_true(q_slice_equal(q_slice_trim(Q_SLICE("\ra\n")), Q_SLICE("\ra\n")));
}

static void numbers_are_digits_and_nothing_else(void **state) {
    (void)state;
    static const char *const k_wrong[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1a", "1.0", "18446744073709551616",
                                          "99999999999999999999", "184467440737095516150"};
    uint64_t out = 77;
    for (size_t i = 0; i < sizeof k_wrong / sizeof k_wrong[0]; i++) {
        assert_false(q_slice_to_u64(text(k_wrong[i]), &out));
        assert_int_equal(out, 77);
    }
    assert_true(q_slice_to_u64(Q_SLICE("0"), &out) && out == 0);
    assert_true(q_slice_to_u64(Q_SLICE("00042"), &out) && out == 42);
    assert_true(q_slice_to_u64(Q_SLICE("18446744073709551615"), &out) && out == UINT64_MAX);
}

static void a_number_is_written_as_it_is_read(void **state) {
    (void)state;
    static const uint64_t k_numbers[] = {0, 9, 10, 99, 100, 1234567890, UINT64_MAX};
    static const size_t k_lens[] = {1, 1, 2, 2, 3, 10, 20};
    for (size_t i = 0; i < sizeof k_numbers / sizeof k_numbers[0]; i++) {
        char digits[20];
        uint64_t back;
        size_t len = q_u64_to_text(k_numbers[i], digits);
        assert_int_equal(len, k_lens[i]);
        assert_true(q_slice_to_u64(q_slice_make(digits, len), &back));
        assert_int_equal(back, k_numbers[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_equal_by_content),
        cmocka_unit_test(a_slice_may_lose_more_than_it_has),
        cmocka_unit_test(only_ascii_letters_are_folded),
        cmocka_unit_test(trimming_drops_spaces_and_tabs_at_both_ends),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(a_number_is_written_as_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

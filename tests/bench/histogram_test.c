// The histogram of the load: what it keeps, how exactly, and its edges.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load/histogram.h"

static struct histogram g_histogram, g_other;

static int clear(void **state) {
    (void)state;
    memset(&g_histogram, 0, sizeof g_histogram);
    memset(&g_other, 0, sizeof g_other);
    return 0;
}

static void an_empty_histogram_gives_zero(void **state) {
    (void)state;
    assert_int_equal(histogram_at(&g_histogram, 0.5), 0);
}

static void any_value_is_kept_to_within_two_percent(void **state) {
    (void)state;
    for (uint64_t value = 0; value < (uint64_t)1 << 62; value += value / 8 + 1) {
        memset(&g_histogram, 0, sizeof g_histogram);
        histogram_add(&g_histogram, value);
        histogram_add(&g_histogram, (uint64_t)1 << 63); // so that the maximum does not round the answer for us
        uint64_t kept = histogram_at(&g_histogram, 0.5);
        assert_true(kept >= value && kept <= value + value / 50);
    }
}

static void percentiles_come_in_order(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(&g_histogram, i * 1000);
    assert_in_range(histogram_at(&g_histogram, 0.5), 500000, 510000);
    assert_in_range(histogram_at(&g_histogram, 0.99), 990000, 1000000);
    assert_int_equal(histogram_at(&g_histogram, 1), 1000000);
}

static void the_highest_value_fits(void **state) {
    (void)state;
    histogram_add(&g_histogram, UINT64_MAX);
    assert_int_equal(g_histogram.num, 1);
    assert_true(histogram_at(&g_histogram, 0.5) > UINT64_MAX / 4);
}

static void merging_adds_up(void **state) {
    (void)state;
    histogram_add(&g_histogram, 10);
    histogram_add(&g_other, 20);
    histogram_add(&g_other, 30);
    histogram_merge(&g_histogram, &g_other);
    assert_int_equal(g_histogram.num, 3);
    assert_int_equal(histogram_at(&g_histogram, 0.5), 20);
    assert_int_equal(g_histogram.max, 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_histogram_gives_zero, clear),
        cmocka_unit_test_setup(any_value_is_kept_to_within_two_percent, clear),
        cmocka_unit_test_setup(percentiles_come_in_order, clear),
        cmocka_unit_test_setup(the_highest_value_fits, clear),
        cmocka_unit_test_setup(merging_adds_up, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

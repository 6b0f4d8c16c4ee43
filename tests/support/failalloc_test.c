#include "tests/support/failalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char text[256];

static void what_was_taken_and_given_back_leaves_nothing(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    char *one = q_alloc_new(alloc, 100);
    char *two = q_alloc_copy(alloc, "abc", 3);
    assert_int_equal(q_failalloc_live_bytes(failalloc), 104);
    q_alloc_free(alloc, one, 100);
    assert_false(q_failalloc_check(failalloc, text, sizeof text));
    assert_non_null(strstr(text, "1 blocks out: 4 (call 2)"));
    q_alloc_free(alloc, two, 4);
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    assert_int_equal(q_failalloc_calls(failalloc), 2);
    assert_int_equal(q_failalloc_peak_bytes(failalloc), 104);
    q_failalloc_free(failalloc);
}

static void the_nth_call_fails_once_or_all_from_it_on(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    q_failalloc_fail_at(failalloc, 2);
    void *first = q_alloc_new(alloc, 8);
    assert_non_null(first);
    assert_false(q_failalloc_failed(failalloc));
    assert_null(q_alloc_new(alloc, 8));
    assert_true(q_failalloc_failed(failalloc));
    void *third = q_alloc_new(alloc, 8);
    assert_non_null(third);
    q_failalloc_fail_from(failalloc, 1);
    assert_null(q_alloc_new(alloc, 8));
    assert_null(q_alloc_new(alloc, 8));
    q_alloc_free(alloc, first, 8);
    q_alloc_free(alloc, third, 8);
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

static void double_and_foreign_frees_wrong_sizes_and_overruns_are_faults(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    char *block = q_alloc_new(alloc, 32);
    q_alloc_free(alloc, block, 32);
    q_alloc_free(alloc, block, 32);
    assert_int_equal(q_failalloc_faults(failalloc), 1);
    char stranger[16];
    q_alloc_free(alloc, stranger, 16);
    assert_int_equal(q_failalloc_faults(failalloc), 2);
    block = q_alloc_new(alloc, 32);
    q_alloc_free(alloc, block, 31);
    assert_int_equal(q_failalloc_faults(failalloc), 3);
    block = q_alloc_new(alloc, 32);
    char *volatile end = block + 32;
    *end = 1;
    q_alloc_free(alloc, block, 32);
    assert_int_equal(q_failalloc_faults(failalloc), 4);
    assert_false(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

static void what_comes_back_with_a_watched_text_is_found(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    char *block = q_alloc_copy(alloc, "a secret one", 12);
    q_alloc_free(alloc, block, 13);
    assert_int_equal(q_failalloc_found(failalloc), 0);
    q_failalloc_watch(failalloc, "secret");
    q_failalloc_watch(failalloc, "hidden");
    block = q_alloc_copy(alloc, "a secret one", 12);
    q_alloc_free(alloc, block, 13);
    assert_int_equal(q_failalloc_found(failalloc), 1);
    block = q_alloc_copy(alloc, "hidden", 6);
    q_alloc_free(alloc, block, 7);
    block = q_alloc_copy(alloc, "hidde", 5);
    q_alloc_free(alloc, block, 6);
    assert_int_equal(q_failalloc_found(failalloc), 2);
    q_failalloc_free(failalloc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_and_given_back_leaves_nothing),
        cmocka_unit_test(the_nth_call_fails_once_or_all_from_it_on),
        cmocka_unit_test(what_comes_back_with_a_watched_text_is_found),
        cmocka_unit_test(double_and_foreign_frees_wrong_sizes_and_overruns_are_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

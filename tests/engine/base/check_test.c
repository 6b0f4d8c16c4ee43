// Checks: what a broken invariant does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "tests/engine/base/dies.h"

static void check_sum(void *context) {
    int *evaluated = context;
    Q_CHECK(++*evaluated == 1);
}

static void fail_a_check(void *context) {
    (void)context;
    Q_CHECK(1 + 1 == 3);
}

static void fail_an_assertion(void *context) {
    (void)context;
    Q_ASSERT(2 + 2 == 5);
}

static void be_unreachable(void *context) {
    (void)context;
    Q_UNREACHABLE("no such state");
}

static void panic_at_a_line(void *context) { q_panic("some/file.c", *(int *)context, "a sentence"); }

static void a_check_that_holds_is_evaluated_once(void **state) {
    (void)state;
    int evaluated = 0;
    check_sum(&evaluated);
    assert_int_equal(evaluated, 1);
}

static void a_broken_check_dies_and_says_where(void **state) {
    (void)state;
    assert_true(dies_saying(fail_a_check, NULL, "check_test.c:"));
    assert_true(dies_saying(fail_a_check, NULL, "1 + 1 == 3"));
}

static void test_builds_check_assertions_too(void **state) {
    (void)state;
    assert_true(dies_saying(fail_an_assertion, NULL, "2 + 2 == 5"));
}

static void the_unreachable_dies(void **state) {
    (void)state;
    assert_true(dies_saying(be_unreachable, NULL, "no such state"));
}

static void the_line_number_is_printed_whole(void **state) {
    (void)state;
    int lines[] = {0, 7, 1200, INT32_MAX};
    assert_true(dies_saying(panic_at_a_line, &lines[0], "quoit: broken invariant at some/file.c:0: a sentence\n"));
    assert_true(dies_saying(panic_at_a_line, &lines[1], " some/file.c:7: a sentence\n"));
    assert_true(dies_saying(panic_at_a_line, &lines[2], " some/file.c:1200: a sentence\n"));
    assert_true(dies_saying(panic_at_a_line, &lines[3], " some/file.c:2147483647: a sentence\n"));
}

struct pair {
    int first;
    int second;
};

static void a_container_is_found_by_its_member(void **state) {
    (void)state;
    struct pair pair = {0};
    assert_ptr_equal(q_container_of(&pair.second, struct pair, second), &pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_holds_is_evaluated_once),
        cmocka_unit_test(a_broken_check_dies_and_says_where),
        cmocka_unit_test(test_builds_check_assertions_too),
        cmocka_unit_test(the_unreachable_dies),
        cmocka_unit_test(the_line_number_is_printed_whole),
        cmocka_unit_test(a_container_is_found_by_its_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Log lines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/log.h"

struct page {
    int lines;
    int level;
    char last[2 * Q_LOG_LINE_MAX];
};

static void note_line(void *context, int level, const char *line) {
    struct page *page = context;
    page->lines++;
    page->level = level;
    strncpy(page->last, line, sizeof page->last - 1);
}

static int count_calls(int *calls) { return ++*calls; }

static void a_line_is_formatted_and_carries_its_level(void **state) {
    (void)state;
    struct page page = {0};
    struct q_log log = {.sink = note_line, .context = &page, .level = Q_LOG_DEBUG};
    Q_LOG(&log, Q_LOG_WARN, "conn %u open: %s", 7u, "reused");
    assert_int_equal(page.lines, 1);
    assert_int_equal(page.level, Q_LOG_WARN);
    assert_string_equal(page.last, "conn 7 open: reused");
}

static void lines_above_the_level_are_not_built(void **state) {
    (void)state;
    struct page page = {0};
    int calls = 0;
    struct q_log log = {.sink = note_line, .context = &page, .level = Q_LOG_INFO};
    Q_LOG(&log, Q_LOG_DEBUG, "%d", count_calls(&calls));
    assert_int_equal(page.lines, 0);
    assert_int_equal(calls, 0);
    Q_LOG(&log, Q_LOG_INFO, "%d", count_calls(&calls));
    Q_LOG(&log, Q_LOG_ERROR, "%d", count_calls(&calls));
    assert_int_equal(page.lines, 2);
    assert_int_equal(calls, 2);
}

static void nobody_listens_to_the_zero_log(void **state) {
    (void)state;
    int calls = 0;
    struct q_log log = {0};
    Q_LOG(&log, Q_LOG_ERROR, "%d", count_calls(&calls));
    log.level = Q_LOG_DEBUG;
    Q_LOG(&log, Q_LOG_ERROR, "%d", count_calls(&calls));
    assert_int_equal(calls, 0);
}

static void a_long_line_is_cut(void **state) {
    (void)state;
    struct page page = {0};
    struct q_log log = {.sink = note_line, .context = &page, .level = Q_LOG_DEBUG};
    char text[2 * Q_LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    Q_LOG(&log, Q_LOG_INFO, "%s", text);
    assert_int_equal(strlen(page.last), Q_LOG_LINE_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_formatted_and_carries_its_level),
        cmocka_unit_test(lines_above_the_level_are_not_built),
        cmocka_unit_test(nobody_listens_to_the_zero_log),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Rendezvous hooks, and the schedules that are built on them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/base/hook.h"
#include "tests/support/schedule.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *g_last_name;
static int g_calls;

static void note_hook(const char *name) {
    g_last_name = name;
    g_calls++;
}

static void a_hook_calls_the_test_and_nobody_else(void **state) {
    (void)state;
    Q_HOOK("nobody.listens");
    q_hook_fn = note_hook;
    Q_HOOK("somebody.listens");
    q_hook_fn = NULL;
    Q_HOOK("nobody.listens");
    assert_int_equal(g_calls, 1);
    assert_string_equal(g_last_name, "somebody.listens");
}

static char g_order[16];
static size_t g_order_len;

static void write_a(void *context) {
    (void)context;
    Q_HOOK("a.before");
    g_order[g_order_len++] = 'a';
    Q_HOOK("a.behind");
    Q_HOOK("a.before");
    g_order[g_order_len++] = 'A';
}

static void write_b(void *context) {
    (void)context;
    q_schedule_point("b.before");
    g_order[g_order_len++] = 'b';
    q_schedule_point("b.behind");
}

static const struct q_schedule_actor k_actors[] = {{"one", write_a, NULL}, {"two", write_b, NULL}};

static void run_and_expect(const struct q_schedule_rule *rules, size_t rules_len, const char *order) {
    g_order_len = 0;
    memset(g_order, 0, sizeof g_order);
    assert_true(q_schedule_run(rules, rules_len, k_actors, Q_COUNT_OF(k_actors)));
    assert_string_equal(g_order, order);
    assert_null(q_hook_fn);
}

static void a_schedule_runs_in_the_order_of_its_rules(void **state) {
    (void)state;
    static const struct q_schedule_rule k_b_last[] = {{"two:start", "one:end"}};
    static const struct q_schedule_rule k_b_first[] = {{"one:a.before", "two:end"}};
    static const struct q_schedule_rule k_b_between[] = {
        {"two:b.before", "one:a.behind"},
        {"one:a.before#2", "two:b.behind"},
    };
    for (int i = 0; i < 10; i++) {
        run_and_expect(k_b_last, Q_COUNT_OF(k_b_last), "aAb");
        run_and_expect(k_b_first, Q_COUNT_OF(k_b_first), "baA");
        run_and_expect(k_b_between, Q_COUNT_OF(k_b_between), "abA");
    }
}

// Runs the schedule with stderr in a file, and gives what it said there.
static bool run_quietly(const struct q_schedule_rule *rules, size_t rules_len, char *said, size_t said_size) {
    FILE *file = tmpfile();
    Q_CHECK(file != NULL);
    fflush(stderr);
    int old = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    g_order_len = 0;
    bool is_kept = q_schedule_run(rules, rules_len, k_actors, Q_COUNT_OF(k_actors));
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    close(old);
    rewind(file);
    said[fread(said, 1, said_size - 1, file)] = 0;
    fclose(file);
    return is_kept;
}

static void a_point_that_nobody_reaches_fails_the_schedule_and_is_named(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {{"two:renamed.hook", "one:a.before"}};
    char said[1024];
    assert_false(run_quietly(k_rules, Q_COUNT_OF(k_rules), said, sizeof said));
    assert_non_null(strstr(said, "nobody reached two:renamed.hook"));
    assert_non_null(strstr(said, "one:a.behind"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hook_calls_the_test_and_nobody_else),
        cmocka_unit_test(a_schedule_runs_in_the_order_of_its_rules),
        cmocka_unit_test(a_point_that_nobody_reaches_fails_the_schedule_and_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

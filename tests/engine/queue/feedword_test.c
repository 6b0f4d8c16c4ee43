// The feed word: one by one, and the schedules of tests/model/feedword.pml (each named by its mutation).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue/feedword.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

enum { LIMIT = 1000 };

// What the actors of one test share: the tenant's generation is 1.
struct scene {
    struct q_feedword word;
    enum q_feed_result added[2];
    uint64_t left;
    bool is_room_told;
};

static void scene_init(struct scene *s) {
    *s = (struct scene){0};
    q_feedword_open(&s->word, 1, LIMIT);
}

static uint64_t take_off(struct scene *s, uint64_t bytes) {
    s->is_room_told = q_feedword_take_off(&s->word, bytes, &s->left);
    return s->left;
}

static void fresh_memory_is_not_open(void **state) {
    (void)state;
    struct q_feedword word = {0};
    assert_int_equal(q_feedword_add(&word, 0, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_add(&word, 1, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_ask(&word, 1, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_finish(&word, 1), Q_FEED_UNOPENED);
    q_feedword_open(&word, 1, 1);
    assert_int_equal(q_feedword_ask(&word, 1, 1), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_ask(&word, 1, 1), Q_FEED_TAKEN); // it has counted nothing
    assert_int_equal(q_feedword_add(&word, 2, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_add(&word, 0, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_add(&word, 1, 1), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_add(&word, 1, 1), Q_FEED_FULL);
}

static void what_is_counted_is_bounded(void **state) {
    (void)state;
    static const uint32_t k_limits[] = {2, 1000, Q_FEEDWORD_LIMIT_MAX};
    for (size_t i = 0; i < Q_COUNT_OF(k_limits); i++) {
        struct scene s = {0};
        q_feedword_open(&s.word, UINT32_MAX, k_limits[i]); // its neighbour in the word is all ones
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, (uint64_t)k_limits[i] + 1), Q_FEED_TOO_LARGE);
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, UINT64_MAX), Q_FEED_TOO_LARGE);
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, k_limits[i]), Q_FEED_TAKEN);
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, 1), Q_FEED_FULL);
        assert_int_equal(take_off(&s, 1), k_limits[i] - 1);
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, 1), Q_FEED_TAKEN);
        assert_int_equal(take_off(&s, k_limits[i]), 0);
        q_feedword_end(&s.word, UINT32_MAX);
        assert_int_equal(q_feedword_add(&s.word, UINT32_MAX, 1), Q_FEED_SHUT);
    }
}

static void room_is_told_once_and_when_half_is_free(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_feedword_add(&s.word, 1, LIMIT), Q_FEED_TAKEN);
    take_off(&s, 600);
    assert_false(s.is_room_told); // nobody asked
    assert_int_equal(q_feedword_add(&s.word, 1, 600), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_FULL);
    assert_int_equal(q_feedword_ask(&s.word, 1, 1), Q_FEED_FULL);
    take_off(&s, 499);
    assert_false(s.is_room_told);
    take_off(&s, 1);
    assert_true(s.is_room_told);
    take_off(&s, 1);
    assert_false(s.is_room_told);                                   // once is enough
    assert_int_equal(q_feedword_ask(&s.word, 1, 600), Q_FEED_FULL); // to ask is enough
    take_off(&s, 1);
    assert_true(s.is_room_told);
}

static void who_has_finished_feeds_no_more(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_feedword_add(&s.word, 1, 7), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_finish(&s.word, 2), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_finish(&s.word, 1), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_finish(&s.word, 1), Q_FEED_FINISHED);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_FINISHED);
    assert_int_equal(q_feedword_shut(&s.word), 7);
    assert_int_equal(q_feedword_finish(&s.word, 1), Q_FEED_SHUT);
}

// Mutation 4: the generation does not matter.
static void a_word_that_is_shut_takes_nothing_and_tells_no_room(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_feedword_add(&s.word, 1, LIMIT), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_FULL);
    assert_int_equal(q_feedword_shut(&s.word), LIMIT);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_SHUT);
    assert_int_equal(take_off(&s, LIMIT), 0);
    assert_false(s.is_room_told); // nobody may feed
    q_feedword_end(&s.word, 1);
    q_feedword_open(&s.word, 2, LIMIT);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_shut(&s.word), 0); // nothing was left of the tenant before
}

static void a_tenant_that_was_never_upgraded_ends_shut(void **state) {
    (void)state;
    struct q_feedword word = {0};
    q_feedword_end(&word, 5);
    assert_int_equal(q_feedword_add(&word, 5, 1), Q_FEED_SHUT);
    assert_int_equal(q_feedword_add(&word, 6, 1), Q_FEED_UNOPENED);
}

static void open_twice(void *context) {
    q_feedword_open(context, 2, 1);
}
static void open_without_room(void *context) {
    q_feedword_end(context, 1);
    q_feedword_open(context, 2, 0);
}
static void shut_twice(void *context) {
    (void)q_feedword_shut(context);
    (void)q_feedword_shut(context);
}
static void take_off_what_is_not_there(void *context) {
    uint64_t left;
    Q_CHECK(!q_feedword_take_off(context, 1, &left));
}
static void add_nothing(void *context) {
    Q_CHECK(q_feedword_add(context, 1, 0) == Q_FEED_TAKEN);
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(open_twice, &s.word, "feedword.c"));
    assert_true(dies_saying(open_without_room, &s.word, "limit"));
    assert_true(dies_saying(shut_twice, &s.word, "feedword.c"));
    assert_true(dies_saying(take_off_what_is_not_there, &s.word, "bytes_of"));
    assert_true(dies_saying(add_nothing, &s.word, "bytes > 0"));
}

// Schedules.

static void add_first(void *context) {
    struct scene *s = context;
    s->added[0] = q_feedword_add(&s->word, 1, 600);
}

static void add_second(void *context) {
    struct scene *s = context;
    s->added[1] = q_feedword_add(&s->word, 1, 600);
}

static void take_off_all(void *context) {
    take_off(context, LIMIT);
}
static void take_off_most(void *context) {
    take_off(context, 700);
}

static void change_tenants(void *context) {
    struct scene *s = context;
    q_feedword_end(&s->word, 1);
    q_feedword_open(&s->word, 2, LIMIT);
}

static void shut(void *context) {
    struct scene *s = context;
    s->left = q_feedword_shut(&s->word);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: no room is found, and then said to be wanted whatever the word is by then.
static void room_that_comes_while_one_looks_is_not_missed(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:feedword.add.before_cas"},
        {"host:feedword.add.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_feedword_add(&s.word, 1, LIMIT), Q_FEED_TAKEN);
    const struct q_schedule_actor actors[] = {{"host", add_first, &s}, {"loop", take_off_all, &s}};
    RUN(k_rules, actors);
    assert_false(s.is_room_told);
    assert_int_equal(s.added[0], Q_FEED_TAKEN); // for nobody would tell it
}

// Mutation 2: the count is read, and what is left is stored.
static void what_is_added_while_something_is_taken_off_is_not_lost(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:feedword.take_off.before_and"},
        {"loop:feedword.take_off.before_and", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_feedword_add(&s.word, 1, LIMIT), Q_FEED_TAKEN);
    assert_int_equal(q_feedword_add(&s.word, 1, 1), Q_FEED_FULL);
    const struct q_schedule_actor actors[] = {{"host", add_first, &s}, {"loop", take_off_most, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.added[0], Q_FEED_TAKEN);
    assert_true(s.is_room_told);
    assert_int_equal(q_feedword_shut(&s.word), 900);
}

// Mutation 3: it is added whatever the word is by then.
static void a_late_feed_is_not_counted_to_the_next_tenant(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:feedword.add.before_cas"},
        {"host:feedword.add.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", add_first, &s}, {"loop", change_tenants, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.added[0], Q_FEED_UNOPENED);
    assert_int_equal(q_feedword_shut(&s.word), 0);
}

// Mutation 5: the count is read, and then the word is shut.
static void a_feed_at_the_moment_of_the_end_is_waited_for(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:feedword.shut.before_xor"},
        {"loop:feedword.shut.before_xor", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", add_first, &s}, {"loop", shut, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.added[0], Q_FEED_TAKEN);
    assert_int_equal(s.left, 600);
}

static void a_feed_behind_the_end_is_refused(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:feedword.add.before_cas"},
        {"host:feedword.add.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", add_first, &s}, {"loop", shut, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.added[0], Q_FEED_SHUT);
    assert_int_equal(s.left, 0);
}

static void two_feeders_at_once_do_not_pass_the_limit(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:feedword.add.before_cas"},
        {"first:feedword.add.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", add_first, &s}, {"second", add_second, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.added[1], Q_FEED_TAKEN);
    assert_int_equal(s.added[0], Q_FEED_FULL);
    take_off(&s, 600);
    assert_true(s.is_room_told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_memory_is_not_open),
        cmocka_unit_test(what_is_counted_is_bounded),
        cmocka_unit_test(room_is_told_once_and_when_half_is_free),
        cmocka_unit_test(who_has_finished_feeds_no_more),
        cmocka_unit_test(a_word_that_is_shut_takes_nothing_and_tells_no_room),
        cmocka_unit_test(a_tenant_that_was_never_upgraded_ends_shut),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(room_that_comes_while_one_looks_is_not_missed),
        cmocka_unit_test(what_is_added_while_something_is_taken_off_is_not_lost),
        cmocka_unit_test(a_late_feed_is_not_counted_to_the_next_tenant),
        cmocka_unit_test(a_feed_at_the_moment_of_the_end_is_waited_for),
        cmocka_unit_test(a_feed_behind_the_end_is_refused),
        cmocka_unit_test(two_feeders_at_once_do_not_pass_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

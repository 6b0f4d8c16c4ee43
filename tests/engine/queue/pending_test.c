// The pending word: one by one, and the schedules of tests/model/pending.pml (each named by its mutation).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue/pending.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

enum { LIMIT = 10 };

// What the actors of one test share: the engine's generation is 1.
struct scene {
    struct q_pending word;
    bool result[2];
    enum q_pending_result entered;
};

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    assert_int_equal(q_pending_open(&scene->word), 1);
}

static void close_engine(struct scene *scene) {
    assert_true(q_pending_drain(&scene->word));
    assert_true(q_pending_close(&scene->word));
    q_pending_retire(&scene->word);
}

static void nobody_enters_before_open(void **state) {
    (void)state;
    struct q_pending word = {0};
    assert_false(q_pending_enter(&word, 0));
    assert_false(q_pending_enter(&word, 1));
    assert_int_equal(q_pending_open(&word), 1);
    assert_true(q_pending_enter(&word, 1));
    assert_false(q_pending_leave(&word));
}

// Mutation 5: the generation stays.
static void a_stale_handle_does_not_enter_the_next_engine(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    close_engine(&s);
    assert_false(q_pending_enter(&s.word, 1));
    assert_false(q_pending_enter(&s.word, 2)); // not open yet
    assert_int_equal(q_pending_open(&s.word), 2);
    assert_false(q_pending_enter(&s.word, 1));
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, LIMIT), Q_PENDING_STALE);
    assert_true(q_pending_enter(&s.word, 2));
}

static void requests_are_counted_up_to_the_limit(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, LIMIT + 1, LIMIT), Q_PENDING_FULL);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, LIMIT - 1, LIMIT), Q_PENDING_ENTERED);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 2, LIMIT), Q_PENDING_FULL);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, LIMIT), Q_PENDING_ENTERED);
    assert_int_equal(q_pending_requests(&s.word), LIMIT);
    assert_false(q_pending_leave(&s.word));
    assert_false(q_pending_leave(&s.word));
    assert_false(q_pending_end_requests(&s.word, LIMIT));
    assert_int_equal(q_pending_requests(&s.word), 0);
}

static void the_largest_counts_do_not_spill_into_each_other(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    uint32_t most = Q_PENDING_REQUESTS_MAX;
    assert_int_equal(q_pending_enter_requests(&s.word, 1, most, most), Q_PENDING_ENTERED);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, most), Q_PENDING_FULL);
    for (uint32_t i = 1; i < Q_PENDING_USERS_MAX; i++) {
        assert_true(q_pending_enter(&s.word, 1));
    }
    assert_int_equal(q_pending_requests(&s.word), most);
    for (uint32_t i = 0; i < Q_PENDING_USERS_MAX; i++) {
        assert_false(q_pending_leave(&s.word));
    }
    assert_false(q_pending_end_requests(&s.word, most));
    close_engine(&s);
}

// Mutation 8: submits come in although the engine drains.
static void a_draining_engine_takes_calls_but_no_requests(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 2, LIMIT), Q_PENDING_ENTERED);
    assert_false(q_pending_leave(&s.word));
    assert_false(q_pending_drain(&s.word));
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, LIMIT), Q_PENDING_DRAINING);
    assert_true(q_pending_enter(&s.word, 1));
    assert_false(q_pending_leave(&s.word));
    assert_false(q_pending_end_requests(&s.word, 1));
    assert_true(q_pending_end_requests(&s.word, 1)); // the last one is told
    assert_true(q_pending_drain(&s.word));
    assert_true(q_pending_close(&s.word));
}

// Mutation 6: calls come in although the engine is closed.
static void the_last_to_leave_a_closed_engine_is_told(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_pending_enter(&s.word, 1));
    assert_true(q_pending_enter(&s.word, 1));
    assert_true(q_pending_drain(&s.word));
    assert_false(q_pending_close(&s.word));
    assert_false(q_pending_enter(&s.word, 1));
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, LIMIT), Q_PENDING_STALE);
    assert_false(q_pending_leave(&s.word));
    assert_true(q_pending_leave(&s.word));
    q_pending_retire(&s.word);
}

// Mutation 9: destroy closes although somebody else is inside.
static void a_user_closes_only_when_it_is_alone_inside(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 1, LIMIT), Q_PENDING_ENTERED);
    assert_false(q_pending_try_close(&s.word)); // not draining
    assert_false(q_pending_drain(&s.word));
    assert_false(q_pending_try_close(&s.word)); // a request is left
    assert_true(q_pending_end_requests(&s.word, 1));
    assert_true(q_pending_enter(&s.word, 1));
    assert_false(q_pending_try_close(&s.word)); // two are inside
    assert_false(q_pending_leave(&s.word));
    assert_true(q_pending_try_close(&s.word));
    assert_false(q_pending_enter(&s.word, 1));
    q_pending_retire(&s.word);
    assert_int_equal(q_pending_open(&s.word), 2);
}

static void a_word_copied_by_fork_is_fit_for_use_once_abandoned(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_pending_enter_requests(&s.word, 1, 3, LIMIT), Q_PENDING_ENTERED);
    assert_false(q_pending_drain(&s.word));
    q_pending_abandon(&s.word);
    assert_false(q_pending_enter(&s.word, 1));
    assert_int_equal(q_pending_requests(&s.word), 0);
    assert_int_equal(q_pending_open(&s.word), 2);
    assert_true(q_pending_enter(&s.word, 2));
    struct q_pending fresh = {0};
    q_pending_abandon(&fresh);
    assert_int_equal(q_pending_open(&fresh), 1);
}

static void a_worn_out_slot_is_never_opened_again(void **state) {
    (void)state;
    struct q_pending word = {0};
    atomic_init(&word.word, (UINT64_C(1) << 24) - 1); // as pending.h draws the word: the last generation, live
    assert_true(q_pending_drain(&word));
    assert_true(q_pending_close(&word));
    q_pending_retire(&word);
    assert_int_equal(q_pending_open(&word), 0);
    assert_int_equal(q_pending_open(&word), 0);
    assert_false(q_pending_enter(&word, 0));
    assert_false(q_pending_enter(&word, 1));
}

static void leave_without_entering(void *context) { Q_CHECK(!q_pending_leave(context)); }
static void end_what_was_not_accepted(void *context) { Q_CHECK(!q_pending_end_requests(context, 1)); }
static void close_without_draining(void *context) { Q_CHECK(q_pending_close(context)); }
static void retire_while_open(void *context) { q_pending_retire(context); }

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(leave_without_entering, &s.word, "users_of(before) > 0"));
    assert_true(dies_saying(end_what_was_not_accepted, &s.word, "requests_of(before) >= n"));
    assert_true(dies_saying(close_without_draining, &s.word, "DRAINING"));
    assert_true(dies_saying(retire_while_open, &s.word, "CLOSED"));
}

// Schedules.

static void enter(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_pending_enter(&scene->word, 1);
}

static void enter_request(void *context) {
    struct scene *scene = context;
    scene->entered = q_pending_enter_requests(&scene->word, 1, 1, LIMIT);
}

static void leave_0(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_pending_leave(&scene->word);
}

static void leave_1(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_pending_leave(&scene->word);
}

static void live_twice(void *context) {
    struct scene *scene = context;
    Q_CHECK(q_pending_drain(&scene->word) && q_pending_close(&scene->word));
    q_pending_retire(&scene->word);
    Q_CHECK(q_pending_open(&scene->word) == 2);
}

static void drain(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_pending_drain(&scene->word);
}

static void close_word(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_pending_close(&scene->word);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: a caller checks, then counts itself in whatever the word is by then.
static void a_late_caller_never_enters_the_next_engine(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:pending.enter.before_cas"},
        {"host:pending.enter.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", enter, &s}, {"loop", live_twice, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[0]);
    assert_true(q_pending_drain(&s.word));
    assert_true(q_pending_close(&s.word)); // nobody is inside
}

// Mutations 2 and 8: a shutdown passes a submit that has looked already.
static void a_submit_that_looked_before_the_drain_is_refused(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:pending.enter_requests.before_cas"},
        {"host:pending.enter_requests.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", enter_request, &s}, {"loop", drain, &s}};
    RUN(k_rules, actors);
    assert_true(s.result[1]);
    assert_int_equal(s.entered, Q_PENDING_DRAINING);
    assert_true(q_pending_close(&s.word));
}

// Mutation 2: a request is counted only after it was pushed; a drain at that moment finds none.
static void a_submit_just_before_the_drain_is_waited_for(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:pending.drain.before_or"},
        {"loop:pending.drain.before_or", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", enter_request, &s}, {"loop", drain, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.entered, Q_PENDING_ENTERED);
    assert_false(s.result[1]);
    assert_true(q_pending_end_requests(&s.word, 1));
}

// Mutation 3: who was the last is decided by a second look; then both are, or nobody is.
static void of_two_that_leave_at_once_one_is_the_last(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:pending.leave.after_sub"},
        {"first:pending.leave.after_sub", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_true(q_pending_enter(&s.word, 1));
    assert_true(q_pending_enter(&s.word, 1));
    assert_true(q_pending_drain(&s.word));
    assert_false(q_pending_close(&s.word));
    const struct q_schedule_actor actors[] = {{"first", leave_0, &s}, {"second", leave_1, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[0]);
    assert_true(s.result[1]);
}

static void try_close(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_pending_try_close(&scene->word);
}

// Mutation 9, in time: somebody comes in while destroy looks whether it is alone.
static void a_caller_during_destroy_keeps_the_engine(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"caller:start", "destroyer:pending.try_close.before_cas"},
        {"destroyer:pending.try_close.before_cas", "caller:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_true(q_pending_enter(&s.word, 1)); // destroy's own pin
    assert_true(q_pending_drain(&s.word));
    const struct q_schedule_actor actors[] = {{"caller", enter, &s}, {"destroyer", try_close, &s}};
    RUN(k_rules, actors);
    assert_true(s.result[0]);
    assert_false(s.result[1]);
}

// Mutation 4: close looks who is inside, then closes; the user who leaves in between tells nobody.
static void a_leave_during_close_is_told_by_close(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:pending.close.before_or"},
        {"loop:pending.close.before_or", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_true(q_pending_enter(&s.word, 1));
    assert_true(q_pending_drain(&s.word));
    const struct q_schedule_actor actors[] = {{"host", leave_0, &s}, {"loop", close_word, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[0]);
    assert_true(s.result[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_enters_before_open),
        cmocka_unit_test(a_stale_handle_does_not_enter_the_next_engine),
        cmocka_unit_test(requests_are_counted_up_to_the_limit),
        cmocka_unit_test(the_largest_counts_do_not_spill_into_each_other),
        cmocka_unit_test(a_draining_engine_takes_calls_but_no_requests),
        cmocka_unit_test(the_last_to_leave_a_closed_engine_is_told),
        cmocka_unit_test(a_user_closes_only_when_it_is_alone_inside),
        cmocka_unit_test(a_word_copied_by_fork_is_fit_for_use_once_abandoned),
        cmocka_unit_test(a_worn_out_slot_is_never_opened_again),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(a_late_caller_never_enters_the_next_engine),
        cmocka_unit_test(a_submit_that_looked_before_the_drain_is_refused),
        cmocka_unit_test(a_submit_just_before_the_drain_is_waited_for),
        cmocka_unit_test(of_two_that_leave_at_once_one_is_the_last),
        cmocka_unit_test(a_caller_during_destroy_keeps_the_engine),
        cmocka_unit_test(a_leave_during_close_is_told_by_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

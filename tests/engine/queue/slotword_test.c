// The slot word: one by one, and the schedules of tests/model/slotword.pml (each named by its mutation).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue/slotword.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

#define MIB (UINT64_C(1) << 20)
#define GENERATION_SHIFT 32 // as slotword.h draws the word

// What the actors of one test share: the first tenant's generation is 1.
struct scene {
    struct q_slotword word;
    enum q_pin_result cancel[2];
    enum q_grant_result grant[2];
    enum q_retire_result retired;
    uint64_t taken;
    uint32_t next_generation;
};

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    assert_int_equal(q_slotword_open(&scene->word, 1), 1);
}

static void fresh_memory_opens_as_generation_1(void **state) {
    (void)state;
    struct q_slotword word = {0};
    assert_false(q_slotword_is_live(&word, 0));
    assert_false(q_slotword_is_live(&word, 1));
    assert_int_equal(q_slotword_try_pin_cancel(&word, 0), Q_PIN_STALE);
    assert_int_equal(q_slotword_open(&word, 1), 1);
    assert_true(q_slotword_is_live(&word, 1));
    assert_false(q_slotword_is_live(&word, 0));
    assert_false(q_slotword_is_live(&word, 2));
}

// Mutation 4: the generation stays.
static void a_stale_handle_names_nobody(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_DONE);
    for (int tenants = 0; tenants < 2; tenants++) {
        assert_false(q_slotword_is_live(&s.word, 1));
        assert_int_equal(q_slotword_try_pin_cancel(&s.word, 1), Q_PIN_STALE);
        assert_int_equal(q_slotword_grant(&s.word, 1, 1), Q_GRANT_STALE);
        if (tenants == 0) {
            assert_int_equal(q_slotword_open(&s.word, 1), 2);
        }
    }
    assert_int_equal(q_slotword_try_retire(&s.word, 2, 1), Q_RETIRE_DONE); // no pin was left on it
}

// Mutation 7: a second cancel pushes the node again.
static void a_cancel_is_queued_once(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_slotword_try_pin_cancel(&s.word, 1), Q_PIN_DONE);
    assert_int_equal(q_slotword_try_pin_cancel(&s.word, 1), Q_PIN_ALREADY);
    q_slotword_unpin_cancel(&s.word);
    assert_int_equal(q_slotword_try_pin_cancel(&s.word, 1), Q_PIN_DONE);
}

// Mutation 3: pins do not matter.
static void a_pinned_slot_is_not_retired(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_slotword_try_pin_cancel(&s.word, 1), Q_PIN_DONE);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_PINNED);
    assert_int_equal(q_slotword_grant(&s.word, 1, 5), Q_GRANT_PUSH);
    q_slotword_unpin_cancel(&s.word);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_PINNED);
    assert_int_equal(q_slotword_take_credit(&s.word), 5);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_DONE);
}

static void grants_merge_until_they_are_taken(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_slotword_grant(&s.word, 1, 100), Q_GRANT_PUSH);
    assert_int_equal(q_slotword_grant(&s.word, 1, 23), Q_GRANT_MERGED);
    assert_int_equal(q_slotword_take_credit(&s.word), 123);
    assert_int_equal(q_slotword_grant(&s.word, 1, 7), Q_GRANT_PUSH);
    assert_int_equal(q_slotword_take_credit(&s.word), 7);
}

static uint64_t credit_for(uint64_t first, uint64_t second) {
    struct scene s;
    scene_init(&s);
    Q_CHECK(q_slotword_grant(&s.word, 1, first) == Q_GRANT_PUSH);
    if (second > 0) {
        Q_CHECK(q_slotword_grant(&s.word, 1, second) == Q_GRANT_MERGED);
    }
    uint64_t credit = q_slotword_take_credit(&s.word);
    Q_CHECK(q_slotword_try_retire(&s.word, 1, 1) == Q_RETIRE_DONE); // nothing spilled into the fields beside it
    return credit;
}

static void credit_is_exact_up_to_256_mib_and_never_short_above(void **state) {
    (void)state;
    assert_int_equal(credit_for(0, 0), 0);
    assert_int_equal(credit_for(1, 0), 1);
    assert_int_equal(credit_for(256 * MIB - 1, 0), 256 * MIB - 1);
    assert_int_equal(credit_for(256 * MIB - 2, 1), 256 * MIB - 1);
    assert_int_equal(credit_for(256 * MIB, 0), 256 * MIB);
    assert_int_equal(credit_for(256 * MIB + 1, 0), 256 * MIB + 65536);
    assert_int_equal(credit_for(256 * MIB - 1, 2), 256 * MIB + 65536);
    assert_int_equal(credit_for(1024 * MIB, 1), 1024 * MIB + 65536);
    uint64_t most = ((UINT64_C(1) << 28) - 1) << 16;
    assert_int_equal(credit_for(most, 0), most);
    assert_int_equal(credit_for(UINT64_MAX, 0), most);
    assert_int_equal(credit_for(UINT64_MAX, UINT64_MAX), most);
}

static void the_last_generation_wears_the_slot_out(void **state) {
    (void)state;
    struct q_slotword word;
    atomic_init(&word.word, (uint64_t)(UINT32_MAX - 1) << GENERATION_SHIFT);
    assert_int_equal(q_slotword_open(&word, 1), UINT32_MAX - 1);
    assert_int_equal(q_slotword_try_retire(&word, UINT32_MAX - 1, 1), Q_RETIRE_DONE);
    assert_int_equal(q_slotword_open(&word, 1), UINT32_MAX);
    assert_int_equal(q_slotword_try_retire(&word, UINT32_MAX, 1), Q_RETIRE_WORN_OUT);
    assert_false(q_slotword_is_live(&word, UINT32_MAX));
    assert_int_equal(q_slotword_try_pin_cancel(&word, UINT32_MAX), Q_PIN_STALE);
}

// Generations begin where the array wants, come round past 0, and end where they began.
static void a_slot_begins_with_its_arrays_generation_and_ends_before_it(void **state) {
    (void)state;
    struct q_slotword word = {0};
    assert_int_equal(q_slotword_open(&word, UINT32_MAX), UINT32_MAX);
    assert_false(q_slotword_is_live(&word, 1));
    assert_int_equal(q_slotword_try_retire(&word, UINT32_MAX, UINT32_MAX), Q_RETIRE_DONE);
    assert_int_equal(q_slotword_open(&word, UINT32_MAX), 1); // 0 names nobody
    assert_int_equal(q_slotword_try_retire(&word, 1, UINT32_MAX), Q_RETIRE_DONE);
    assert_int_equal(q_slotword_open(&word, 3), 2);
    assert_int_equal(q_slotword_try_retire(&word, 2, 3), Q_RETIRE_WORN_OUT);
    assert_false(q_slotword_is_live(&word, 2));
}

static void unpin_what_is_not_pinned(void *context) { q_slotword_unpin_cancel(context); }
static void take_credit_that_is_not_queued(void *context) { q_slotword_take_credit(context); }
static void open_twice(void *context) { q_slotword_open(context, 1); }
static void retire_another_generation(void *context) { Q_CHECK(q_slotword_try_retire(context, 2, 1) == Q_RETIRE_DONE); }

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(unpin_what_is_not_pinned, &s.word, "CANCEL_QUEUED"));
    assert_true(dies_saying(take_credit_that_is_not_queued, &s.word, "CREDIT_QUEUED"));
    assert_true(dies_saying(open_twice, &s.word, "slotword.c"));
    assert_true(dies_saying(retire_another_generation, &s.word, "names_tenant"));
}

// Schedules.

static void cancel_0(void *context) {
    struct scene *scene = context;
    scene->cancel[0] = q_slotword_try_pin_cancel(&scene->word, 1);
}

static void cancel_1(void *context) {
    struct scene *scene = context;
    scene->cancel[1] = q_slotword_try_pin_cancel(&scene->word, 1);
}

static void grant_0(void *context) {
    struct scene *scene = context;
    scene->grant[0] = q_slotword_grant(&scene->word, 1, 100);
}

static void grant_1(void *context) {
    struct scene *scene = context;
    scene->grant[1] = q_slotword_grant(&scene->word, 1, 23);
}

static void retire(void *context) {
    struct scene *scene = context;
    scene->retired = q_slotword_try_retire(&scene->word, 1, 1);
}

static void change_tenants(void *context) {
    struct scene *scene = context;
    retire(context);
    scene->next_generation = q_slotword_open(&scene->word, 1);
}

static void take_credit(void *context) {
    struct scene *scene = context;
    scene->taken = q_slotword_take_credit(&scene->word);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: the cancel is checked, then set whatever the word is by then.
static void a_late_cancel_never_hits_the_next_tenant(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:slotword.pin_cancel.before_cas"},
        {"host:slotword.pin_cancel.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", cancel_0, &s}, {"loop", change_tenants, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.cancel[0], Q_PIN_STALE);
    assert_int_equal(s.next_generation, 2);
    assert_int_equal(q_slotword_try_retire(&s.word, 2, 1), Q_RETIRE_DONE);
}

// Mutation 2: the grant is checked, then added whatever the word is by then.
static void a_late_grant_never_reaches_the_next_tenant(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:slotword.grant.before_cas"},
        {"host:slotword.grant.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", grant_0, &s}, {"loop", change_tenants, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.grant[0], Q_GRANT_STALE);
    assert_int_equal(q_slotword_grant(&s.word, 2, 5), Q_GRANT_PUSH);
    assert_int_equal(q_slotword_take_credit(&s.word), 5);
}

// Mutation 9: retire looks for pins, then stores whatever the word is by then.
static void a_cancel_just_before_the_end_keeps_the_slot(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:slotword.retire.before_cas"},
        {"loop:slotword.retire.before_cas", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", cancel_0, &s}, {"loop", retire, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.cancel[0], Q_PIN_DONE);
    assert_int_equal(s.retired, Q_RETIRE_PINNED);
    q_slotword_unpin_cancel(&s.word);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_DONE);
}

// Mutation 5: the amount is read, then cleared.
static void a_grant_while_credit_is_taken_is_not_lost(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:slotword.take_credit.before_and"},
        {"loop:slotword.take_credit.before_and", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    grant_0(&s);
    const struct q_schedule_actor actors[] = {{"host", grant_1, &s}, {"loop", take_credit, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.grant[1], Q_GRANT_MERGED);
    assert_int_equal(s.taken, 123);
    assert_int_equal(q_slotword_try_retire(&s.word, 1, 1), Q_RETIRE_DONE);
}

// Mutation 8: who pushes the credit node is decided by the first look.
static void two_granters_at_once_push_one_node(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:slotword.grant.before_cas"},
        {"first:slotword.grant.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", grant_0, &s}, {"second", grant_1, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.grant[1], Q_GRANT_PUSH);
    assert_int_equal(s.grant[0], Q_GRANT_MERGED);
    assert_int_equal(q_slotword_take_credit(&s.word), 123);
}

static void two_cancellers_at_once_push_one_node(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:slotword.pin_cancel.before_cas"},
        {"first:slotword.pin_cancel.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", cancel_0, &s}, {"second", cancel_1, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.cancel[1], Q_PIN_DONE);
    assert_int_equal(s.cancel[0], Q_PIN_ALREADY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_memory_opens_as_generation_1),
        cmocka_unit_test(a_stale_handle_names_nobody),
        cmocka_unit_test(a_cancel_is_queued_once),
        cmocka_unit_test(a_pinned_slot_is_not_retired),
        cmocka_unit_test(grants_merge_until_they_are_taken),
        cmocka_unit_test(credit_is_exact_up_to_256_mib_and_never_short_above),
        cmocka_unit_test(the_last_generation_wears_the_slot_out),
        cmocka_unit_test(a_slot_begins_with_its_arrays_generation_and_ends_before_it),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(a_late_cancel_never_hits_the_next_tenant),
        cmocka_unit_test(a_late_grant_never_reaches_the_next_tenant),
        cmocka_unit_test(a_cancel_just_before_the_end_keeps_the_slot),
        cmocka_unit_test(a_grant_while_credit_is_taken_is_not_lost),
        cmocka_unit_test(two_granters_at_once_push_one_node),
        cmocka_unit_test(two_cancellers_at_once_push_one_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

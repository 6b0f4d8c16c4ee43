// The cache of contexts: building, sharing, room, rotation. Where a test is the counterexample of a mutation of
// tests/model/contexts.pml, it says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/engine/tls/contexts_rig.h"

// --- building and sharing -------------------------------------------------------------------------------------------

static void a_context_is_built_once_and_shared(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle context;
    struct q_error error;
    int material;
    assert_int_equal(q_contexts_get(&s->contexts, scene_digest(1), &material, &s->waiters[0].waiter, &context, &error),
                     Q_CONTEXTS_NOW);
    assert_ptr_equal(s->material, &material);
    struct q_handle again = scene_get(s, 1);
    assert_true(scene_is_same(context, again));
    struct q_handle other = scene_get(s, 2);
    assert_false(scene_is_same(context, other));
    assert_int_equal(scene_value(s, context)->number, 1);
    assert_int_equal(scene_value(s, other)->number, 2);
    assert_int_equal(STATS(s)->builds, 2);
    assert_int_equal(STATS(s)->misses, 2);
    assert_int_equal(STATS(s)->hits, 1);
    scene_release(s, context);
    scene_release(s, again);
    scene_release(s, other);
    struct q_handle later = scene_get(s, 1); // idle ones are there still
    assert_true(scene_is_same(later, context));
    scene_release(s, later);
    assert_int_equal(s->num_destroyed, 0);
    scene_close(s);
}

static void every_byte_of_a_digest_counts(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle first = scene_get(s, 1);
    for (size_t i = 0; i < Q_CONTEXTS_DIGEST_LEN; i++) {
        uint8_t digest[Q_CONTEXTS_DIGEST_LEN];
        memcpy(digest, scene_digest(1), sizeof digest);
        digest[i] ^= 0x80; // 64 buckets: with the first byte too it is in the same one
        struct q_handle context;
        struct q_error error;
        assert_int_equal(q_contexts_get(&s->contexts, digest, NULL, &s->waiters[0].waiter, &context, &error),
                         Q_CONTEXTS_NOW);
        assert_false(scene_is_same(context, first));
        scene_release(s, context);
    }
    scene_release(s, first);
    scene_close(s);
}

// --- users and capacity ---------------------------------------------------------------------------------------------

// Mutation 1: eviction under a user.
static void contexts_with_users_are_never_evicted(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle contexts[3 * CAPACITY];
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        contexts[i] = scene_get(s, i);
        scene_let_pass(s, 2 * IDLE_NS);
    }
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->overflows, 2 * CAPACITY);
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        assert_int_equal(scene_value(s, contexts[i])->number, i);
        struct q_handle again = scene_get(s, i); // and are found
        assert_true(scene_is_same(again, contexts[i]));
        scene_release(s, again);
    }
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        scene_release(s, contexts[i]);
        scene_tick(s);
    }
    assert_int_equal(STATS(s)->current, CAPACITY); // those that were released last, when there was room again
    assert_int_equal(s->num_destroyed, 2 * CAPACITY);
    for (uint8_t i = 2 * CAPACITY; i < 3 * CAPACITY; i++) {
        assert_false(s->values[i].is_destroyed);
    }
    scene_close(s);
}

static void the_longest_idle_makes_room(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle contexts[CAPACITY];
    for (uint8_t i = 0; i < CAPACITY; i++) {
        contexts[i] = scene_get(s, i);
    }
    static const uint8_t k_order[CAPACITY] = {2, 0, 3, 1}; // of the releases; nobody asks for the order of the gets
    for (uint8_t i = 0; i < CAPACITY; i++) {
        scene_release(s, contexts[k_order[i]]);
        scene_let_pass(s, Q_NS_PER_S);
    }
    for (uint8_t i = 0; i < CAPACITY; i++) {
        struct q_handle more = scene_get(s, 100 + i);
        scene_tick(s);
        assert_int_equal(STATS(s)->evictions, i + 1);
        assert_true(s->values[k_order[i]].is_destroyed);
        assert_int_equal(s->num_destroyed, i + 1);
        assert_int_equal(STATS(s)->current, CAPACITY);
        (void)more; // in use: none of these is a victim
    }
    assert_int_equal(STATS(s)->overflows, 0);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        struct q_handle held = scene_get(s, 100 + i);
        scene_release(s, held);
        scene_release(s, held);
    }
    scene_close(s);
}

// Mutation 2: inserted, then evicted: the new one is its own victim.
static void room_is_made_before_the_new_one_is_there(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle users[CAPACITY];
    for (uint8_t i = 0; i < CAPACITY; i++) {
        users[i] = scene_get(s, i);
    }
    struct q_handle new_one = scene_get(s, 50);
    scene_tick(s);
    assert_int_equal(scene_value(s, new_one)->number, 50);
    assert_false(scene_value(s, new_one)->is_destroyed);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        scene_release(s, users[i]);
    }
    scene_release(s, new_one);
    scene_tick(s);
    assert_int_equal(STATS(s)->current, CAPACITY);
    assert_int_equal(s->num_destroyed, 1);
    scene_close(s);
}

// Mutation 3: time counts from the get.
static void idle_time_counts_from_the_last_release(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle context = scene_get(s, 1);
    scene_let_pass(s, 10 * IDLE_NS);
    assert_int_equal(s->num_destroyed, 0);
    scene_release(s, context);
    scene_let_pass(s, IDLE_NS - Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 0);
    struct q_handle again = scene_get(s, 1);
    scene_let_pass(s, IDLE_NS);
    scene_release(s, again); // counts anew
    scene_let_pass(s, IDLE_NS - Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 0);
    scene_let_pass(s, 2 * Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 1);
    assert_int_equal(STATS(s)->expired, 1);
    assert_int_equal(STATS(s)->current, 0);
    scene_close(s);
}

static void each_expires_in_its_own_time(void **state) {
    (void)state;
    struct scene *s = scene_open();
    for (uint8_t i = 0; i < CAPACITY; i++) {
        scene_release(s, scene_get(s, i));
        scene_let_pass(s, Q_NS_PER_S);
    }
    scene_let_pass(s, IDLE_NS - CAPACITY * Q_NS_PER_S - Q_NS_PER_MS);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        assert_int_equal(s->num_destroyed, i);
        scene_let_pass(s, 2 * Q_NS_PER_MS);
        assert_int_equal(s->num_destroyed, i + 1);
        scene_let_pass(s, Q_NS_PER_S - 2 * Q_NS_PER_MS);
    }
    scene_close(s);
}

// --- rotation -------------------------------------------------------------------------------------------------------

// Mutations 4, 8 and 9: an invalidated context still serves; is kept behind its last user; ends under its users.
static void an_invalidated_context_serves_nobody_new_and_ends_with_its_last_user(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle old = scene_get(s, 1);
    struct q_handle old_too = scene_get(s, 1);
    scene_invalidate(s, 1);
    assert_int_equal(STATS(s)->stale, 1);
    struct q_handle fresh = scene_get(s, 1);
    assert_false(scene_is_same(fresh, old));
    assert_int_equal(STATS(s)->builds, 2);
    q_contexts_acquire(&s->contexts, old); // its users may still share it
    scene_release(s, old);
    scene_release(s, old);
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(scene_value(s, old_too)->number, 1);
    scene_release(s, old_too);
    assert_int_equal(s->num_destroyed, 0); // not inside the release
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[0].is_destroyed);
    assert_int_equal(STATS(s)->stale, 0);
    assert_int_equal(scene_value(s, fresh)->number, 1);
    scene_release(s, fresh);
    scene_close(s);
}

static void an_idle_context_goes_at_once_when_it_is_invalidated(void **state) {
    (void)state;
    struct scene *s = scene_open();
    scene_release(s, scene_get(s, 1));
    scene_release(s, scene_get(s, 2));
    scene_invalidate(s, 3); // of which there is none
    scene_invalidate(s, 1);
    assert_int_equal(s->num_destroyed, 0);
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[0].is_destroyed);
    scene_let_pass(s, 2 * IDLE_NS);
    assert_int_equal(s->num_destroyed, 2); // its own once only
    scene_close(s);
}

static void all_contexts_can_be_invalidated(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle used = scene_get(s, 1);
    scene_release(s, scene_get(s, 2));
    s->mode = Q_BUILD_FAILED;
    scene_get_error(s, 3);
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 1, 4);
    q_contexts_invalidate_all(&s->contexts);
    scene_tick(s);
    assert_int_equal(STATS(s)->current, 0);
    assert_int_equal(STATS(s)->stale, 2);
    assert_int_equal(s->num_destroyed, 1);
    s->mode = Q_BUILD_DONE;
    for (uint8_t i = 1; i <= 4; i++) {
        scene_release(s, scene_get(s, i)); // all are built anew
    }
    assert_int_equal(STATS(s)->builds, 8);
    scene_finish_build(s);
    scene_tick(s);
    assert_int_equal(s->waiters[1].told, 1); // asked before, and is served
    scene_release(s, s->waiters[1].context);
    scene_release(s, used);
    scene_tick(s);
    assert_int_equal(STATS(s)->stale, 0);
    assert_int_equal(s->num_destroyed, 3);
    scene_close(s);
}

// --- one build for all ----------------------------------------------------------------------------------------------

// Mutation 5: a miss while a build is under way begins another.
static void misses_while_it_is_built_share_the_build(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_LATER;
    for (int i = 0; i < WAITERS; i++) {
        scene_wait(s, i, 1);
    }
    assert_int_equal(STATS(s)->builds, 1);
    assert_int_equal(STATS(s)->misses, WAITERS);
    scene_tick(s);
    assert_int_equal(s->waiters[0].told, 0);
    scene_finish_build(s);
    assert_int_equal(s->waiters[0].told, 0); // not inside the call
    scene_tick(s);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(s->waiters[i].told, 1);
        assert_true(scene_is_same(s->waiters[i].context, s->building));
    }
    struct q_handle one_more = scene_get(s, 1);
    assert_true(scene_is_same(one_more, s->building));
    scene_release(s, one_more);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(scene_value(s, s->building)->number, 1);
        scene_release(s, s->building);
    }
    scene_close(s);
}

static void all_who_wait_get_the_failure(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 0, 1);
    scene_wait(s, 1, 1);
    q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS));
    assert_int_equal(s->waiters[0].told, 0);
    scene_tick(s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s->waiters[i].told, 1);
        assert_int_equal(s->waiters[i].error.code, Q_ERR_CONNECTION_FAILED);
    }
    assert_int_equal(scene_get_error(s, 1), Q_ERR_CONNECTION_FAILED); // and it is kept
    assert_int_equal(STATS(s)->builds, 1);
    scene_close(s);
}

static void who_waits_can_go(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_LATER;
    for (int i = 0; i < 4; i++) {
        scene_wait(s, i, 1);
    }
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter); // while it is built
    scene_finish_build(s);
    q_contexts_cancel(&s->contexts, &s->waiters[1].waiter); // between the outcome and the telling
    q_contexts_cancel(&s->contexts, &s->waiters[1].waiter); // waits no more: nothing
    s->waiters[2].cancels = &s->waiters[3];                 // by another who is told
    scene_tick(s);
    assert_int_equal(s->waiters[0].told, 0);
    assert_int_equal(s->waiters[1].told, 0);
    assert_int_equal(s->waiters[2].told, 1);
    assert_int_equal(s->waiters[3].told, 0);
    scene_release(s, s->building); // the one use that is left
    scene_let_pass(s, IDLE_NS + Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 1);
    scene_close(s);
}

// Mutation 6: waiters become users when they are told.
static void a_context_stays_until_its_waiters_are_told(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 1, 1);
    scene_finish_build(s);
    s->mode = Q_BUILD_DONE;
    scene_invalidate(s, 1);
    for (uint8_t i = 10; i < 10 + 2 * CAPACITY; i++) {
        scene_release(s, scene_get(s, i)); // more than there is room for
    }
    scene_tick(s);
    assert_int_equal(s->waiters[1].told, 1);
    struct value *value = scene_value(s, s->waiters[1].context);
    assert_int_equal(value->number, 1);
    assert_false(value->is_destroyed);
    scene_release(s, s->waiters[1].context);
    scene_tick(s);
    assert_true(value->is_destroyed);
    scene_close(s);
}

static void a_build_that_nobody_waits_for_any_more_is_kept(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 0, 1);
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter);
    scene_finish_build(s);
    scene_release(s, scene_get(s, 1));
    assert_int_equal(STATS(s)->hits, 1);
    // Unless it is stale by then: nobody is left who may have it.
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 0, 2);
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter);
    scene_invalidate(s, 2);
    scene_finish_build(s);
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[1].is_destroyed);
    scene_wait(s, 0, 3);
    scene_invalidate(s, 3);
    q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS));
    scene_tick(s);
    assert_int_equal(s->waiters[0].told, 1);
    assert_int_equal(STATS(s)->current, 1);
    assert_int_equal(STATS(s)->stale, 0);
    scene_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_is_built_once_and_shared),
        cmocka_unit_test(every_byte_of_a_digest_counts),
        cmocka_unit_test(contexts_with_users_are_never_evicted),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(room_is_made_before_the_new_one_is_there),
        cmocka_unit_test(idle_time_counts_from_the_last_release),
        cmocka_unit_test(each_expires_in_its_own_time),
        cmocka_unit_test(an_invalidated_context_serves_nobody_new_and_ends_with_its_last_user),
        cmocka_unit_test(an_idle_context_goes_at_once_when_it_is_invalidated),
        cmocka_unit_test(all_contexts_can_be_invalidated),
        cmocka_unit_test(misses_while_it_is_built_share_the_build),
        cmocka_unit_test(all_who_wait_get_the_failure),
        cmocka_unit_test(who_waits_can_go),
        cmocka_unit_test(a_context_stays_until_its_waiters_are_told),
        cmocka_unit_test(a_build_that_nobody_waits_for_any_more_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

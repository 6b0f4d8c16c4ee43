// The cache of contexts: failures, ends, misuse, and any order of calls. Where a test is the counterexample of a
// mutation of tests/model/contexts.pml, it says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/random.h"
#include "tests/engine/base/dies.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/support/failalloc.h"

// --- failures -------------------------------------------------------------------------------------------------------

static void a_failure_is_kept_briefly(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_FAILED;
    assert_int_equal(scene_get_error(s, 1), Q_ERR_CONNECTION_FAILED);
    s->mode = Q_BUILD_DONE;
    s->now_ns += FAILURE_NS - Q_NS_PER_MS;
    scene_tick(s);
    assert_int_equal(scene_get_error(s, 1), Q_ERR_CONNECTION_FAILED);
    assert_int_equal(STATS(s)->builds, 1);
    assert_int_equal(STATS(s)->refused, 1);
    scene_let_pass(s, 2 * Q_NS_PER_MS);
    assert_int_equal(STATS(s)->current, 0); // nobody has asked: the timer took it
    scene_release(s, scene_get(s, 1));
    assert_int_equal(STATS(s)->builds, 2);
    scene_close(s);
}

static void a_failure_that_is_over_does_not_wait_for_its_timer(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->mode = Q_BUILD_FAILED;
    scene_get_error(s, 1);
    s->mode = Q_BUILD_DONE;
    s->loop.now_ns += FAILURE_NS; // within a tick
    scene_release(s, scene_get(s, 1));
    assert_int_equal(STATS(s)->failures, 1);
    assert_int_equal(STATS(s)->expired, 1);
    scene_close(s);
}

static void a_failure_goes_before_a_context_and_with_its_invalidation(void **state) {
    (void)state;
    struct scene *s = scene_open();
    for (uint8_t i = 1; i < CAPACITY; i++) {
        scene_release(s, scene_get(s, i));
    }
    s->mode = Q_BUILD_FAILED;
    scene_get_error(s, 10);
    scene_get_error(s, 11); // takes the place of the other failure, not of a context
    s->mode = Q_BUILD_DONE;
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->evictions, 1);
    scene_invalidate(s, 11);
    scene_release(s, scene_get(s, 11));
    scene_tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->current, CAPACITY);
    scene_close(s);
}

static void failures_are_not_kept_when_they_are_not_to_be(void **state) {
    (void)state;
    struct scene *s = scene_open();
    s->contexts.options.failure_ns = 0;
    s->mode = Q_BUILD_FAILED;
    scene_get_error(s, 1);
    scene_get_error(s, 1);
    assert_int_equal(STATS(s)->builds, 2);
    assert_int_equal(STATS(s)->current, 0);
    scene_close(s);
}

// --- ends -----------------------------------------------------------------------------------------------------------

// Mutation 7: the value is destroyed inside the last release. Here a chain of them, each released by the end of
// another.
static void the_last_release_may_come_from_the_end_of_another(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_handle first = scene_get(s, 0);
    struct q_handle before = first;
    for (uint8_t i = 1; i < 3; i++) {
        struct q_handle next = scene_get(s, i);
        scene_value(s, before)->drops = next;
        before = next;
    }
    q_contexts_invalidate_all(&s->contexts);
    scene_release(s, first);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(s->num_destroyed, i); // one a tick: nothing nests
        scene_tick(s);
    }
    assert_int_equal(s->num_destroyed, 3);
    scene_close(s);
}

static void deinit_destroys_what_is_idle_and_what_was_ending(void **state) {
    (void)state;
    struct scene *s = scene_open();
    scene_release(s, scene_get(s, 1));
    struct q_handle stale = scene_get(s, 2);
    scene_invalidate(s, 2);
    scene_release(s, stale); // its task will not run any more
    s->mode = Q_BUILD_FAILED;
    scene_get_error(s, 3);
    scene_close(s);
    q_contexts_deinit(&s->contexts); // the zero state
}

static void without_memory_a_get_fails_and_the_next_one_does_not(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct q_failalloc *failalloc = q_failalloc_new();
        q_failalloc_fail_at(failalloc, nth);
        struct scene *s = scene_open_with(q_failalloc_alloc(failalloc));
        assert_true((s == NULL) == (nth == 1));
        if (nth == 2) {
            assert_int_equal(scene_get_error(s, 1), Q_ERR_NO_MEMORY);
            assert_int_equal(STATS(s)->current, 0);
        }
        if (s != NULL) {
            scene_release(s, scene_get(s, 1));
            scene_close(s);
        }
        char text[200];
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        q_failalloc_free(failalloc);
    }
}

static struct q_contexts *the_contexts; // those of the scene

static void release_0(void *context) {
    q_contexts_release(the_contexts, *(struct q_handle *)context);
}
static void look_at_0(void *context) {
    q_contexts_value(the_contexts, *(struct q_handle *)context);
}
static void acquire_0(void *context) {
    q_contexts_acquire(the_contexts, *(struct q_handle *)context);
}
static void deinit_now(void *context) {
    (void)context;
    q_contexts_deinit(the_contexts);
}
static void finish_0(void *context) {
    q_contexts_built(the_contexts, *(struct q_handle *)context, context);
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene *s = scene_open();
    the_contexts = &s->contexts;
    struct q_handle context = scene_get(s, 1);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    assert_true(dies_saying(finish_0, &context, "BUILDING"));
    scene_release(s, context);
    assert_true(dies_saying(release_0, &context, "is_used"));
    assert_true(dies_saying(look_at_0, &context, "is_used"));
    assert_true(dies_saying(acquire_0, &context, "is_used"));
    scene_invalidate(s, 1);
    assert_true(dies_saying(release_0, &context, "is_used"));
    scene_tick(s);
    assert_true(dies_saying(release_0, &context, "is_used"));
    struct q_handle next = scene_get(s, 2);
    assert_int_equal(next.index, context.index); // the same place, another name
    assert_true(dies_saying(release_0, &context, "is_used"));
    scene_release(s, next);
    s->mode = Q_BUILD_LATER;
    scene_wait(s, 1, 3);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    scene_finish_build(s);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    scene_tick(s);
    scene_release(s, s->waiters[1].context);
    scene_close(s);
}

// --- any order ------------------------------------------------------------------------------------------------------

enum { STEPS = 20000, HELD_MAX = 12, NUMBERS = 9 };

struct walk {
    struct scene *scene;
    struct q_random random;
    struct q_handle held[HELD_MAX];
    uint32_t num_held;
    struct q_handle building[NUMBERS * 2];
    uint8_t building_number[NUMBERS * 2];
    uint32_t num_building;
};

static void walk_get(struct walk *w, uint64_t draw) {
    struct scene *s = w->scene;
    uint64_t builds = STATS(s)->builds;
    struct q_handle context;
    struct q_error error;
    struct waiter *waiter = &s->waiters[draw % WAITERS];
    if (q_list_is_linked(&waiter->waiter.link) || w->num_held == HELD_MAX ||
        w->num_building == Q_COUNT_OF(w->building)) {
        return;
    }
    s->mode = (enum q_build_result)((draw >> 8) % 3);
    enum q_contexts_result result = scene_ask(s, waiter, (uint8_t)((draw >> 16) % NUMBERS), &context, &error);
    if (result == Q_CONTEXTS_NOW) {
        w->held[w->num_held++] = context;
    }
    if (result == Q_CONTEXTS_WAITING && STATS(s)->builds != builds) {
        w->building[w->num_building] = s->building;
        w->building_number[w->num_building++] = s->building_number;
    }
}

static void walk_finish(struct walk *w, uint64_t draw) {
    struct scene *s = w->scene;
    if (w->num_building == 0) {
        return;
    }
    uint32_t which = (uint32_t)(draw % w->num_building);
    s->building = w->building[which];
    s->building_number = w->building_number[which];
    w->building[which] = w->building[--w->num_building];
    w->building_number[which] = w->building_number[w->num_building];
    if ((draw >> 32) % 3 == 0) {
        q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS));
    } else if (s->num_values < VALUES_MAX) {
        scene_finish_build(s);
    } else {
        q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS));
    }
}

static void walk_release(struct walk *w, uint64_t draw) {
    if (w->num_held > 0) {
        uint32_t which = (uint32_t)(draw % w->num_held);
        struct q_handle context = w->held[which];
        assert_false(scene_value(w->scene, context)->is_destroyed);
        w->held[which] = w->held[--w->num_held];
        scene_release(w->scene, context);
    }
}

// Waiters that were told release at once: they would overrun what the walk holds.
static void walk_take(struct walk *w) {
    for (int i = 0; i < WAITERS; i++) {
        struct waiter *waiter = &w->scene->waiters[i];
        if (waiter->told > 0 && waiter->context.generation != 0) {
            assert_false(scene_value(w->scene, waiter->context)->is_destroyed);
            scene_release(w->scene, waiter->context);
            waiter->context = (struct q_handle){0};
        }
        waiter->told = 0;
    }
}

static void walk_step(struct walk *w) {
    struct scene *s = w->scene;
    uint64_t draw = q_random_next(&w->random);
    switch (draw >> 60) {
    case 0: q_contexts_cancel(&s->contexts, &s->waiters[draw % WAITERS].waiter); break;
    case 1: scene_invalidate(s, (uint8_t)(draw % NUMBERS)); break;
    case 2: scene_let_pass(s, (draw % 4) * IDLE_NS / 3); break;
    case 3:
    case 4:
    case 5: walk_release(w, draw); break;
    case 6:
    case 7: walk_finish(w, draw); break;
    case 8:
        if (draw % 64 == 0) {
            q_contexts_invalidate_all(&s->contexts);
        }
        break;
    case 9: scene_tick(s); break;
    default:
        if (s->num_values < VALUES_MAX - 1) {
            walk_get(w, draw);
        }
        break;
    }
    walk_take(w);
    q_contexts_validate(&s->contexts);
}

static void whatever_the_order_each_value_is_destroyed_once(void **state) {
    (void)state;
    struct walk w = {.scene = scene_open()};
    q_random_seed(&w.random, 5);
    for (int i = 0; i < STEPS; i++) {
        walk_step(&w);
    }
    while (w.num_building > 0) {
        walk_finish(&w, 1);
    }
    while (w.num_held > 0) {
        walk_release(&w, 0);
    }
    scene_tick(w.scene);
    walk_take(&w);
    assert_true(STATS(w.scene)->evictions > 0 && STATS(w.scene)->expired > 0 && STATS(w.scene)->overflows > 0);
    assert_true(STATS(w.scene)->hits > 0 && STATS(w.scene)->refused > 0);
    scene_close(w.scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_kept_briefly),
        cmocka_unit_test(a_failure_that_is_over_does_not_wait_for_its_timer),
        cmocka_unit_test(a_failure_goes_before_a_context_and_with_its_invalidation),
        cmocka_unit_test(failures_are_not_kept_when_they_are_not_to_be),
        cmocka_unit_test(the_last_release_may_come_from_the_end_of_another),
        cmocka_unit_test(deinit_destroys_what_is_idle_and_what_was_ending),
        cmocka_unit_test(without_memory_a_get_fails_and_the_next_one_does_not),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(whatever_the_order_each_value_is_destroyed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

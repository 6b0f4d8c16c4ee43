// The cache of contexts: one by one, on a loop whose io does nothing and whose clock is the test's. Where a test is the
// counterexample of a mutation of tests/model/contexts.pml, it says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/tls/contexts.h"
#include "tests/engine/base/dies.h"
#include "tests/support/failalloc.h"

#define START      (UINT64_C(1000) * Q_NS_PER_S)
#define IDLE_NS    (60 * Q_NS_PER_S)
#define FAILURE_NS Q_NS_PER_S

enum { CAPACITY = 4, VALUES_MAX = 4096, WAITERS = 8 };

struct value {
    uint8_t number; // of the digest
    bool is_destroyed;
    struct q_handle drops; // a context that goes with it
};

struct waiter {
    struct q_context_waiter waiter;
    struct scene *scene;
    struct q_handle context;
    struct q_error error;
    unsigned told;
    struct waiter *cancels; // when it is told
};

struct scene {
    struct q_contexts contexts;
    struct q_loop loop;
    struct q_io io;
    struct q_io_stats io_stats;
    struct q_clock clock;
    struct q_log log;
    uint64_t now_ns;
    enum q_build_result mode;
    struct q_handle building; // the last one that is to come later
    uint8_t building_number;
    const void *material;
    struct value values[VALUES_MAX];
    uint32_t num_values;
    uint32_t num_destroyed;
    bool is_inside; // a call of ours: nothing may be destroyed, and nobody told
    struct waiter waiters[WAITERS];
};

static struct scene the_scene;

// --- a loop that has nothing to do
// -----------------------------------------------------------------------------------------

static uint64_t read_clock(const struct q_clock *clock) {
    return q_container_of(clock, struct scene, clock)->now_ns;
}

static enum q_io_rest turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    (void)io;
    (void)turn;
    (void)out_done;
    return Q_IO_REST_NONE;
}

static bool collect_nothing(struct q_io *io, struct q_list *out_done) {
    (void)io;
    (void)out_done;
    return false;
}

static bool nothing_started(const struct q_io *io) {
    (void)io;
    return false;
}

static const struct q_io_stats *io_stats(const struct q_io *io) {
    return &q_container_of(io, const struct scene, io)->io_stats;
}

static const struct q_io_vtable k_io = {
    .turn = turn, .collect = collect_nothing, .has_started = nothing_started, .stats = io_stats};

static bool no_work(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    (void)owner;
    *out_bell_value = 0;
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = no_work, .publish = no_work, .park = park};

static void tick(struct scene *s) {
    q_contexts_validate(&s->contexts);
    q_loop_tick(&s->loop, true);
    q_contexts_validate(&s->contexts);
}

static void let_pass(struct scene *s, uint64_t ns) {
    s->now_ns += ns;
    tick(s); // timers
    tick(s); // and what they posted
}

// --- the owner
// -------------------------------------------------------------------------------------------------------------

static enum q_build_result build(void *owner, struct q_handle context, const uint8_t *digest, const void *material,
                                 void **out_value, struct q_error *out_error) {
    struct scene *s = owner;
    s->material = material;
    assert_true(s->num_values < VALUES_MAX);
    switch (s->mode) {
    case Q_BUILD_DONE:
        s->values[s->num_values] = (struct value){.number = digest[0]};
        *out_value = &s->values[s->num_values++];
        break;
    case Q_BUILD_FAILED: *out_error = q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS); break;
    case Q_BUILD_LATER:
        s->building = context;
        s->building_number = digest[0];
        break;
    }
    return s->mode;
}

static void destroy(void *owner, void *value) {
    struct scene *s = owner;
    struct value *v = value;
    assert_false(s->is_inside);
    assert_false(v->is_destroyed);
    v->is_destroyed = true;
    s->num_destroyed++;
    if (v->drops.generation != 0) {
        s->is_inside = true; // the next one goes by a task of its own
        q_contexts_release(&s->contexts, v->drops);
        s->is_inside = false;
    }
}

static const struct q_contexts_owner k_owner = {.build = build, .destroy = destroy};

static void be_told(struct waiter *w) {
    assert_false(w->scene->is_inside);
    w->told++;
    if (w->cancels != NULL) {
        q_contexts_cancel(&w->scene->contexts, &w->cancels->waiter);
    }
}

static void on_ready(struct q_context_waiter *waiter, struct q_handle context) {
    struct waiter *w = q_container_of(waiter, struct waiter, waiter);
    w->context = context;
    w->error = Q_OK;
    be_told(w);
}

static void on_failed(struct q_context_waiter *waiter, struct q_error error) {
    struct waiter *w = q_container_of(waiter, struct waiter, waiter);
    w->context = (struct q_handle){0};
    w->error = error;
    be_told(w);
}

static struct scene *open_scene_with(const struct q_alloc *alloc) {
    struct scene *s = &the_scene;
    memset(s, 0, sizeof *s);
    s->io.v = &k_io;
    s->clock.now_ns = read_clock;
    s->now_ns = START;
    s->mode = Q_BUILD_DONE;
    q_loop_init(&s->loop, &s->io, &s->clock, &s->log, 1, &k_steps, s);
    q_loop_bind(&s->loop);
    const struct q_contexts_options options = {.capacity = CAPACITY, .idle_ns = IDLE_NS, .failure_ns = FAILURE_NS};
    for (size_t i = 0; i < WAITERS; i++) {
        s->waiters[i] = (struct waiter){.waiter = {.on_ready = on_ready, .on_failed = on_failed}, .scene = s};
    }
    return q_contexts_init(&s->contexts, alloc, &s->loop, &options, &k_owner, s) ? s : NULL;
}

static struct scene *open_scene(void) {
    struct scene *s = open_scene_with(q_alloc_libc());
    assert_non_null(s);
    return s;
}

static void close_scene(struct scene *s) {
    q_contexts_validate(&s->contexts);
    q_contexts_deinit(&s->contexts);
    assert_int_equal(s->num_destroyed, s->num_values); // each once
    assert_int_equal(s->loop.wheel.num_armed, 0);
    assert_true(q_list_is_empty(&s->loop.tasks));
}

// --- steps
// -----------------------------------------------------------------------------------------------------------------

static const uint8_t *digest_of(uint8_t number) {
    static uint8_t digest[Q_CONTEXTS_DIGEST_LEN];
    memset(digest, 0x55, sizeof digest);
    digest[0] = number;
    return digest;
}

static enum q_contexts_result ask(struct scene *s, struct waiter *w, uint8_t number, struct q_handle *out_context,
                                  struct q_error *out_error) {
    s->is_inside = true;
    enum q_contexts_result result =
        q_contexts_get(&s->contexts, digest_of(number), NULL, &w->waiter, out_context, out_error);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
    return result;
}

static struct q_handle get(struct scene *s, uint8_t number) {
    struct q_handle context = {0};
    struct q_error error;
    assert_int_equal(ask(s, &s->waiters[0], number, &context, &error), Q_CONTEXTS_NOW);
    return context;
}

static int32_t get_error(struct scene *s, uint8_t number) {
    struct q_handle context;
    struct q_error error = Q_OK;
    assert_int_equal(ask(s, &s->waiters[0], number, &context, &error), Q_CONTEXTS_FAILED);
    return error.code;
}

static void wait(struct scene *s, int which, uint8_t number) {
    struct q_handle context;
    struct q_error error;
    assert_int_equal(ask(s, &s->waiters[which], number, &context, &error), Q_CONTEXTS_WAITING);
}

static void release(struct scene *s, struct q_handle context) {
    s->is_inside = true;
    q_contexts_release(&s->contexts, context);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

static void invalidate(struct scene *s, uint8_t number) {
    s->is_inside = true;
    q_contexts_invalidate(&s->contexts, digest_of(number));
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

static void finish_build(struct scene *s) {
    s->values[s->num_values] = (struct value){.number = s->building_number};
    s->is_inside = true;
    q_contexts_built(&s->contexts, s->building, &s->values[s->num_values++]);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

static struct value *value_of(struct scene *s, struct q_handle context) {
    return q_contexts_value(&s->contexts, context);
}

static bool is_same(struct q_handle left, struct q_handle right) {
    return left.index == right.index && left.generation == right.generation;
}

#define STATS(s) (&(s)->contexts.stats)

// --- building and sharing
// --------------------------------------------------------------------------------------------------

static void a_context_is_built_once_and_shared(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle context;
    struct q_error error;
    int material;
    assert_int_equal(q_contexts_get(&s->contexts, digest_of(1), &material, &s->waiters[0].waiter, &context, &error),
                     Q_CONTEXTS_NOW);
    assert_ptr_equal(s->material, &material);
    struct q_handle again = get(s, 1);
    assert_true(is_same(context, again));
    struct q_handle other = get(s, 2);
    assert_false(is_same(context, other));
    assert_int_equal(value_of(s, context)->number, 1);
    assert_int_equal(value_of(s, other)->number, 2);
    assert_int_equal(STATS(s)->builds, 2);
    assert_int_equal(STATS(s)->misses, 2);
    assert_int_equal(STATS(s)->hits, 1);
    release(s, context);
    release(s, again);
    release(s, other);
    struct q_handle later = get(s, 1); // idle ones are there still
    assert_true(is_same(later, context));
    release(s, later);
    assert_int_equal(s->num_destroyed, 0);
    close_scene(s);
}

static void every_byte_of_a_digest_counts(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle first = get(s, 1);
    for (size_t i = 0; i < Q_CONTEXTS_DIGEST_LEN; i++) {
        uint8_t digest[Q_CONTEXTS_DIGEST_LEN];
        memcpy(digest, digest_of(1), sizeof digest);
        digest[i] ^= 0x80; // 64 buckets: with the first byte too it is in the same one
        struct q_handle context;
        struct q_error error;
        assert_int_equal(q_contexts_get(&s->contexts, digest, NULL, &s->waiters[0].waiter, &context, &error),
                         Q_CONTEXTS_NOW);
        assert_false(is_same(context, first));
        release(s, context);
    }
    release(s, first);
    close_scene(s);
}

// --- users and capacity
// ----------------------------------------------------------------------------------------------------

// Mutation 1: eviction under a user.
static void contexts_with_users_are_never_evicted(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle contexts[3 * CAPACITY];
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        contexts[i] = get(s, i);
        let_pass(s, 2 * IDLE_NS);
    }
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->overflows, 2 * CAPACITY);
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        assert_int_equal(value_of(s, contexts[i])->number, i);
        struct q_handle again = get(s, i); // and are found
        assert_true(is_same(again, contexts[i]));
        release(s, again);
    }
    for (uint8_t i = 0; i < 3 * CAPACITY; i++) {
        release(s, contexts[i]);
        tick(s);
    }
    assert_int_equal(STATS(s)->current, CAPACITY); // those that were released last, when there was room again
    assert_int_equal(s->num_destroyed, 2 * CAPACITY);
    for (uint8_t i = 2 * CAPACITY; i < 3 * CAPACITY; i++) {
        assert_false(s->values[i].is_destroyed);
    }
    close_scene(s);
}

static void the_longest_idle_makes_room(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle contexts[CAPACITY];
    for (uint8_t i = 0; i < CAPACITY; i++) {
        contexts[i] = get(s, i);
    }
    static const uint8_t k_order[CAPACITY] = {2, 0, 3, 1}; // of the releases; nobody asks for the order of the gets
    for (uint8_t i = 0; i < CAPACITY; i++) {
        release(s, contexts[k_order[i]]);
        let_pass(s, Q_NS_PER_S);
    }
    for (uint8_t i = 0; i < CAPACITY; i++) {
        struct q_handle more = get(s, 100 + i);
        tick(s);
        assert_int_equal(STATS(s)->evictions, i + 1);
        assert_true(s->values[k_order[i]].is_destroyed);
        assert_int_equal(s->num_destroyed, i + 1);
        assert_int_equal(STATS(s)->current, CAPACITY);
        (void)more; // in use: none of these is a victim
    }
    assert_int_equal(STATS(s)->overflows, 0);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        struct q_handle held = get(s, 100 + i);
        release(s, held);
        release(s, held);
    }
    close_scene(s);
}

// Mutation 2: inserted, then evicted: the new one is its own victim.
static void room_is_made_before_the_new_one_is_there(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle users[CAPACITY];
    for (uint8_t i = 0; i < CAPACITY; i++) {
        users[i] = get(s, i);
    }
    struct q_handle new_one = get(s, 50);
    tick(s);
    assert_int_equal(value_of(s, new_one)->number, 50);
    assert_false(value_of(s, new_one)->is_destroyed);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        release(s, users[i]);
    }
    release(s, new_one);
    tick(s);
    assert_int_equal(STATS(s)->current, CAPACITY);
    assert_int_equal(s->num_destroyed, 1);
    close_scene(s);
}

// Mutation 3: time counts from the get.
static void idle_time_counts_from_the_last_release(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle context = get(s, 1);
    let_pass(s, 10 * IDLE_NS);
    assert_int_equal(s->num_destroyed, 0);
    release(s, context);
    let_pass(s, IDLE_NS - Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 0);
    struct q_handle again = get(s, 1);
    let_pass(s, IDLE_NS);
    release(s, again); // counts anew
    let_pass(s, IDLE_NS - Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 0);
    let_pass(s, 2 * Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 1);
    assert_int_equal(STATS(s)->expired, 1);
    assert_int_equal(STATS(s)->current, 0);
    close_scene(s);
}

static void each_expires_in_its_own_time(void **state) {
    (void)state;
    struct scene *s = open_scene();
    for (uint8_t i = 0; i < CAPACITY; i++) {
        release(s, get(s, i));
        let_pass(s, Q_NS_PER_S);
    }
    let_pass(s, IDLE_NS - CAPACITY * Q_NS_PER_S - Q_NS_PER_MS);
    for (uint8_t i = 0; i < CAPACITY; i++) {
        assert_int_equal(s->num_destroyed, i);
        let_pass(s, 2 * Q_NS_PER_MS);
        assert_int_equal(s->num_destroyed, i + 1);
        let_pass(s, Q_NS_PER_S - 2 * Q_NS_PER_MS);
    }
    close_scene(s);
}

// --- rotation
// --------------------------------------------------------------------------------------------------------------

// Mutations 4, 8 and 9: an invalidated context still serves; is kept behind its last user; ends under its users.
static void an_invalidated_context_serves_nobody_new_and_ends_with_its_last_user(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle old = get(s, 1);
    struct q_handle old_too = get(s, 1);
    invalidate(s, 1);
    assert_int_equal(STATS(s)->stale, 1);
    struct q_handle fresh = get(s, 1);
    assert_false(is_same(fresh, old));
    assert_int_equal(STATS(s)->builds, 2);
    q_contexts_acquire(&s->contexts, old); // its users may still share it
    release(s, old);
    release(s, old);
    tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(value_of(s, old_too)->number, 1);
    release(s, old_too);
    assert_int_equal(s->num_destroyed, 0); // not inside the release
    tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[0].is_destroyed);
    assert_int_equal(STATS(s)->stale, 0);
    assert_int_equal(value_of(s, fresh)->number, 1);
    release(s, fresh);
    close_scene(s);
}

static void an_idle_context_goes_at_once_when_it_is_invalidated(void **state) {
    (void)state;
    struct scene *s = open_scene();
    release(s, get(s, 1));
    release(s, get(s, 2));
    invalidate(s, 3); // of which there is none
    invalidate(s, 1);
    assert_int_equal(s->num_destroyed, 0);
    tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[0].is_destroyed);
    let_pass(s, 2 * IDLE_NS);
    assert_int_equal(s->num_destroyed, 2); // its own once only
    close_scene(s);
}

static void all_contexts_can_be_invalidated(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle used = get(s, 1);
    release(s, get(s, 2));
    s->mode = Q_BUILD_FAILED;
    get_error(s, 3);
    s->mode = Q_BUILD_LATER;
    wait(s, 1, 4);
    q_contexts_invalidate_all(&s->contexts);
    tick(s);
    assert_int_equal(STATS(s)->current, 0);
    assert_int_equal(STATS(s)->stale, 2);
    assert_int_equal(s->num_destroyed, 1);
    s->mode = Q_BUILD_DONE;
    for (uint8_t i = 1; i <= 4; i++) {
        release(s, get(s, i)); // all are built anew
    }
    assert_int_equal(STATS(s)->builds, 8);
    finish_build(s);
    tick(s);
    assert_int_equal(s->waiters[1].told, 1); // asked before, and is served
    release(s, s->waiters[1].context);
    release(s, used);
    tick(s);
    assert_int_equal(STATS(s)->stale, 0);
    assert_int_equal(s->num_destroyed, 3);
    close_scene(s);
}

// --- one build for all
// -----------------------------------------------------------------------------------------------------

// Mutation 5: a miss while a build is under way begins another.
static void misses_while_it_is_built_share_the_build(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_LATER;
    for (int i = 0; i < WAITERS; i++) {
        wait(s, i, 1);
    }
    assert_int_equal(STATS(s)->builds, 1);
    assert_int_equal(STATS(s)->misses, WAITERS);
    tick(s);
    assert_int_equal(s->waiters[0].told, 0);
    finish_build(s);
    assert_int_equal(s->waiters[0].told, 0); // not inside the call
    tick(s);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(s->waiters[i].told, 1);
        assert_true(is_same(s->waiters[i].context, s->building));
    }
    struct q_handle one_more = get(s, 1);
    assert_true(is_same(one_more, s->building));
    release(s, one_more);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(value_of(s, s->building)->number, 1);
        release(s, s->building);
    }
    close_scene(s);
}

static void all_who_wait_get_the_failure(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_LATER;
    wait(s, 0, 1);
    wait(s, 1, 1);
    q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS));
    assert_int_equal(s->waiters[0].told, 0);
    tick(s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s->waiters[i].told, 1);
        assert_int_equal(s->waiters[i].error.code, Q_ERR_CONNECTION_FAILED);
    }
    assert_int_equal(get_error(s, 1), Q_ERR_CONNECTION_FAILED); // and it is kept
    assert_int_equal(STATS(s)->builds, 1);
    close_scene(s);
}

static void who_waits_can_go(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_LATER;
    for (int i = 0; i < 4; i++) {
        wait(s, i, 1);
    }
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter); // while it is built
    finish_build(s);
    q_contexts_cancel(&s->contexts, &s->waiters[1].waiter); // between the outcome and the telling
    q_contexts_cancel(&s->contexts, &s->waiters[1].waiter); // waits no more: nothing
    s->waiters[2].cancels = &s->waiters[3];                 // by another who is told
    tick(s);
    assert_int_equal(s->waiters[0].told, 0);
    assert_int_equal(s->waiters[1].told, 0);
    assert_int_equal(s->waiters[2].told, 1);
    assert_int_equal(s->waiters[3].told, 0);
    release(s, s->building); // the one use that is left
    let_pass(s, IDLE_NS + Q_NS_PER_MS);
    assert_int_equal(s->num_destroyed, 1);
    close_scene(s);
}

// Mutation 6: waiters become users when they are told.
static void a_context_stays_until_its_waiters_are_told(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_LATER;
    wait(s, 1, 1);
    finish_build(s);
    s->mode = Q_BUILD_DONE;
    invalidate(s, 1);
    for (uint8_t i = 10; i < 10 + 2 * CAPACITY; i++) {
        release(s, get(s, i)); // more than there is room for
    }
    tick(s);
    assert_int_equal(s->waiters[1].told, 1);
    struct value *value = value_of(s, s->waiters[1].context);
    assert_int_equal(value->number, 1);
    assert_false(value->is_destroyed);
    release(s, s->waiters[1].context);
    tick(s);
    assert_true(value->is_destroyed);
    close_scene(s);
}

static void a_build_that_nobody_waits_for_any_more_is_kept(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_LATER;
    wait(s, 0, 1);
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter);
    finish_build(s);
    release(s, get(s, 1));
    assert_int_equal(STATS(s)->hits, 1);
    // Unless it is stale by then: nobody is left who may have it.
    s->mode = Q_BUILD_LATER;
    wait(s, 0, 2);
    q_contexts_cancel(&s->contexts, &s->waiters[0].waiter);
    invalidate(s, 2);
    finish_build(s);
    tick(s);
    assert_int_equal(s->num_destroyed, 1);
    assert_true(s->values[1].is_destroyed);
    wait(s, 0, 3);
    invalidate(s, 3);
    q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_TLS));
    tick(s);
    assert_int_equal(s->waiters[0].told, 1);
    assert_int_equal(STATS(s)->current, 1);
    assert_int_equal(STATS(s)->stale, 0);
    close_scene(s);
}

// --- failures
// --------------------------------------------------------------------------------------------------------------

static void a_failure_is_kept_briefly(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_FAILED;
    assert_int_equal(get_error(s, 1), Q_ERR_CONNECTION_FAILED);
    s->mode = Q_BUILD_DONE;
    s->now_ns += FAILURE_NS - Q_NS_PER_MS;
    tick(s);
    assert_int_equal(get_error(s, 1), Q_ERR_CONNECTION_FAILED);
    assert_int_equal(STATS(s)->builds, 1);
    assert_int_equal(STATS(s)->refused, 1);
    let_pass(s, 2 * Q_NS_PER_MS);
    assert_int_equal(STATS(s)->current, 0); // nobody has asked: the timer took it
    release(s, get(s, 1));
    assert_int_equal(STATS(s)->builds, 2);
    close_scene(s);
}

static void a_failure_that_is_over_does_not_wait_for_its_timer(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->mode = Q_BUILD_FAILED;
    get_error(s, 1);
    s->mode = Q_BUILD_DONE;
    s->loop.now_ns += FAILURE_NS; // within a tick
    release(s, get(s, 1));
    assert_int_equal(STATS(s)->failures, 1);
    assert_int_equal(STATS(s)->expired, 1);
    close_scene(s);
}

static void a_failure_goes_before_a_context_and_with_its_invalidation(void **state) {
    (void)state;
    struct scene *s = open_scene();
    for (uint8_t i = 1; i < CAPACITY; i++) {
        release(s, get(s, i));
    }
    s->mode = Q_BUILD_FAILED;
    get_error(s, 10);
    get_error(s, 11); // takes the place of the other failure, not of a context
    s->mode = Q_BUILD_DONE;
    tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->evictions, 1);
    invalidate(s, 11);
    release(s, get(s, 11));
    tick(s);
    assert_int_equal(s->num_destroyed, 0);
    assert_int_equal(STATS(s)->current, CAPACITY);
    close_scene(s);
}

static void failures_are_not_kept_when_they_are_not_to_be(void **state) {
    (void)state;
    struct scene *s = open_scene();
    s->contexts.options.failure_ns = 0;
    s->mode = Q_BUILD_FAILED;
    get_error(s, 1);
    get_error(s, 1);
    assert_int_equal(STATS(s)->builds, 2);
    assert_int_equal(STATS(s)->current, 0);
    close_scene(s);
}

// --- ends
// ------------------------------------------------------------------------------------------------------------------

// Mutation 7: the value is destroyed inside the last release. Here a chain of them, each released by the end of
// another.
static void the_last_release_may_come_from_the_end_of_another(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle first = get(s, 0);
    struct q_handle before = first;
    for (uint8_t i = 1; i < 3; i++) {
        struct q_handle next = get(s, i);
        value_of(s, before)->drops = next;
        before = next;
    }
    q_contexts_invalidate_all(&s->contexts);
    release(s, first);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(s->num_destroyed, i); // one a tick: nothing nests
        tick(s);
    }
    assert_int_equal(s->num_destroyed, 3);
    close_scene(s);
}

static void deinit_destroys_what_is_idle_and_what_was_ending(void **state) {
    (void)state;
    struct scene *s = open_scene();
    release(s, get(s, 1));
    struct q_handle stale = get(s, 2);
    invalidate(s, 2);
    release(s, stale); // its task will not run any more
    s->mode = Q_BUILD_FAILED;
    get_error(s, 3);
    close_scene(s);
    q_contexts_deinit(&s->contexts); // the zero state
}

static void without_memory_a_get_fails_and_the_next_one_does_not(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct q_failalloc *failalloc = q_failalloc_new();
        q_failalloc_fail_at(failalloc, nth);
        struct scene *s = open_scene_with(q_failalloc_alloc(failalloc));
        assert_true((s == NULL) == (nth == 1));
        if (s == NULL) {
            q_contexts_deinit(&the_scene.contexts);
        } else {
            if (nth == 2) {
                assert_int_equal(get_error(s, 1), Q_ERR_NO_MEMORY);
                assert_int_equal(STATS(s)->current, 0);
            }
            release(s, get(s, 1));
            close_scene(s);
        }
        char text[200];
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        q_failalloc_free(failalloc);
    }
}

static void release_0(void *context) {
    q_contexts_release(&the_scene.contexts, *(struct q_handle *)context);
}
static void look_at_0(void *context) {
    q_contexts_value(&the_scene.contexts, *(struct q_handle *)context);
}
static void acquire_0(void *context) {
    q_contexts_acquire(&the_scene.contexts, *(struct q_handle *)context);
}
static void deinit_now(void *context) {
    (void)context;
    q_contexts_deinit(&the_scene.contexts);
}
static void finish_0(void *context) {
    q_contexts_built(&the_scene.contexts, *(struct q_handle *)context, context);
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_handle context = get(s, 1);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    assert_true(dies_saying(finish_0, &context, "BUILDING"));
    release(s, context);
    assert_true(dies_saying(release_0, &context, "is_used"));
    assert_true(dies_saying(look_at_0, &context, "is_used"));
    assert_true(dies_saying(acquire_0, &context, "is_used"));
    invalidate(s, 1);
    assert_true(dies_saying(release_0, &context, "is_used"));
    tick(s);
    assert_true(dies_saying(release_0, &context, "is_used"));
    struct q_handle next = get(s, 2);
    assert_int_equal(next.index, context.index); // the same place, another name
    assert_true(dies_saying(release_0, &context, "is_used"));
    release(s, next);
    s->mode = Q_BUILD_LATER;
    wait(s, 1, 3);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    finish_build(s);
    assert_true(dies_saying(deinit_now, NULL, "stale"));
    tick(s);
    release(s, s->waiters[1].context);
    close_scene(s);
}

// --- any order
// -------------------------------------------------------------------------------------------------------------

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
    enum q_contexts_result result = ask(s, waiter, (uint8_t)((draw >> 16) % NUMBERS), &context, &error);
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
        finish_build(s);
    } else {
        q_contexts_build_failed(&s->contexts, s->building, q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS));
    }
}

static void walk_release(struct walk *w, uint64_t draw) {
    if (w->num_held > 0) {
        uint32_t which = (uint32_t)(draw % w->num_held);
        struct q_handle context = w->held[which];
        assert_false(value_of(w->scene, context)->is_destroyed);
        w->held[which] = w->held[--w->num_held];
        release(w->scene, context);
    }
}

// Waiters that were told release at once: they would overrun what the walk holds.
static void walk_take(struct walk *w) {
    for (int i = 0; i < WAITERS; i++) {
        struct waiter *waiter = &w->scene->waiters[i];
        if (waiter->told > 0 && waiter->context.generation != 0) {
            assert_false(value_of(w->scene, waiter->context)->is_destroyed);
            release(w->scene, waiter->context);
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
    case 1: invalidate(s, (uint8_t)(draw % NUMBERS)); break;
    case 2: let_pass(s, (draw % 4) * IDLE_NS / 3); break;
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
    case 9: tick(s); break;
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
    struct walk w = {.scene = open_scene()};
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
    tick(w.scene);
    walk_take(&w);
    assert_true(STATS(w.scene)->evictions > 0 && STATS(w.scene)->expired > 0 && STATS(w.scene)->overflows > 0);
    assert_true(STATS(w.scene)->hits > 0 && STATS(w.scene)->refused > 0);
    close_scene(w.scene);
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

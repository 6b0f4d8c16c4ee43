#include "tests/engine/tls/contexts_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static struct scene the_scene;

// --- a loop that has nothing to do ----------------------------------------------------------------------------------

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

void scene_tick(struct scene *s) {
    q_contexts_validate(&s->contexts);
    q_loop_tick(&s->loop, true);
    q_contexts_validate(&s->contexts);
}

void scene_let_pass(struct scene *s, uint64_t ns) {
    s->now_ns += ns;
    scene_tick(s); // timers
    scene_tick(s); // and what they posted
}

// --- the owner ------------------------------------------------------------------------------------------------------

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

struct scene *scene_open_with(const struct q_alloc *alloc) {
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
    if (!q_contexts_init(&s->contexts, alloc, &s->loop, &options, &k_owner, s)) {
        q_contexts_deinit(&s->contexts); // legal on the zero state
        return NULL;
    }
    return s;
}

struct scene *scene_open(void) {
    struct scene *s = scene_open_with(q_alloc_libc());
    assert_non_null(s);
    return s;
}

void scene_close(struct scene *s) {
    q_contexts_validate(&s->contexts);
    q_contexts_deinit(&s->contexts);
    assert_int_equal(s->num_destroyed, s->num_values); // each once
    assert_int_equal(s->loop.wheel.num_armed, 0);
    assert_true(q_list_is_empty(&s->loop.tasks));
}

// --- steps ----------------------------------------------------------------------------------------------------------

const uint8_t *scene_digest(uint8_t number) {
    static uint8_t digest[Q_CONTEXTS_DIGEST_LEN];
    memset(digest, 0x55, sizeof digest);
    digest[0] = number;
    return digest;
}

enum q_contexts_result scene_ask(struct scene *s, struct waiter *w, uint8_t number, struct q_handle *out_context,
                                 struct q_error *out_error) {
    s->is_inside = true;
    enum q_contexts_result result =
        q_contexts_get(&s->contexts, scene_digest(number), NULL, &w->waiter, out_context, out_error);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
    return result;
}

struct q_handle scene_get(struct scene *s, uint8_t number) {
    struct q_handle context = {0};
    struct q_error error;
    assert_int_equal(scene_ask(s, &s->waiters[0], number, &context, &error), Q_CONTEXTS_NOW);
    return context;
}

int32_t scene_get_error(struct scene *s, uint8_t number) {
    struct q_handle context;
    struct q_error error = Q_OK;
    assert_int_equal(scene_ask(s, &s->waiters[0], number, &context, &error), Q_CONTEXTS_FAILED);
    return error.code;
}

void scene_wait(struct scene *s, int which, uint8_t number) {
    struct q_handle context;
    struct q_error error;
    assert_int_equal(scene_ask(s, &s->waiters[which], number, &context, &error), Q_CONTEXTS_WAITING);
}

void scene_release(struct scene *s, struct q_handle context) {
    s->is_inside = true;
    q_contexts_release(&s->contexts, context);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

void scene_invalidate(struct scene *s, uint8_t number) {
    s->is_inside = true;
    q_contexts_invalidate(&s->contexts, scene_digest(number));
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

void scene_finish_build(struct scene *s) {
    s->values[s->num_values] = (struct value){.number = s->building_number};
    s->is_inside = true;
    q_contexts_built(&s->contexts, s->building, &s->values[s->num_values++]);
    s->is_inside = false;
    q_contexts_validate(&s->contexts);
}

struct value *scene_value(struct scene *s, struct q_handle context) {
    return q_contexts_value(&s->contexts, context);
}

bool scene_is_same(struct q_handle left, struct q_handle right) {
    return left.index == right.index && left.generation == right.generation;
}

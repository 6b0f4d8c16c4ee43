// A bench for the cache of contexts: a loop whose io does nothing, a clock that is the test's, and an owner whose
// values say whether they are destroyed. That nothing is destroyed and nobody told inside a call of the cache's is
// checked throughout. One scene at a time; one thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_TLS_CONTEXTS_RIG_H
#define QUOIT_TESTS_ENGINE_TLS_CONTEXTS_RIG_H

#include "engine/tls/contexts.h"

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

#define STATS(s) (&(s)->contexts.stats)

// scene_open makes an empty cache on a bound loop; NULL when `alloc` gives no memory for it. scene_close ends it, and
// checks that each value was destroyed once.
struct scene *scene_open_with(const struct q_alloc *alloc);
struct scene *scene_open(void);
void scene_close(struct scene *s);

// scene_tick is one tick; scene_let_pass moves the clock, and ticks for the timers and for what they post.
void scene_tick(struct scene *s);
void scene_let_pass(struct scene *s, uint64_t ns);

// scene_ask gets a context, or one of what else a get may come to; the next three demand an outcome.
enum q_contexts_result scene_ask(struct scene *s, struct waiter *w, uint8_t number, struct q_handle *out_context,
                                 struct q_error *out_error);
struct q_handle scene_get(struct scene *s, uint8_t number);
int32_t scene_get_error(struct scene *s, uint8_t number);
void scene_wait(struct scene *s, int which, uint8_t number);

// The other calls, with the checks around them. scene_finish_build ends the last build that was to come later.
void scene_release(struct scene *s, struct q_handle context);
void scene_invalidate(struct scene *s, uint8_t number);
void scene_finish_build(struct scene *s);
struct value *scene_value(struct scene *s, struct q_handle context);

// scene_digest gives digest `number`, until the next call.
const uint8_t *scene_digest(uint8_t number);
bool scene_is_same(struct q_handle left, struct q_handle right);

#endif

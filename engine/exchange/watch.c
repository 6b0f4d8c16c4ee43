#include "engine/exchange/watch.h"

#include <string.h>

// Release, and acquire in q_watch_read: a reader that sees a value of the slot's next tenant also sees, when it looks at
// the slot's word again, that the tenant has changed.
static void store(_Atomic(uint64_t) *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t load(const _Atomic(uint64_t) *word) { return atomic_load_explicit(word, memory_order_acquire); }

// When the bound of the present stage is over, if it has one.
static uint64_t deadline_of(const struct q_watch *watch, struct q_error *out_error) {
    const struct q_bounds *bounds = watch->bounds;
    uint64_t bound_ns = 0;
    switch (q_watch_stage(watch)) {
    case Q_STAGE_QUEUED:
        *out_error = q_error_make(Q_ERR_TIMEOUT_QUEUE, Q_PHASE_QUEUE);
        bound_ns = bounds->queue_ns;
        break;
    case Q_STAGE_AWAITING:
        *out_error = q_error_make(Q_ERR_TIMEOUT_FIRST_BYTE, Q_PHASE_HEAD);
        bound_ns = bounds->first_byte_ns;
        break;
    case Q_STAGE_RECEIVING:
        *out_error = q_error_make(Q_ERR_TIMEOUT_IDLE, Q_PHASE_BODY);
        bound_ns = bounds->idle_ns;
        break;
    case Q_STAGE_ASKING:
        *out_error = q_error_make(Q_ERR_TIMEOUT_ANSWER, Q_PHASE_HEAD);
        bound_ns = bounds->answer_ns;
        break;
    case Q_STAGE_NONE:
    case Q_STAGE_CONNECTING:
    case Q_STAGE_SENDING:
    case Q_STAGE_PAUSED:
    case Q_STAGES: break;
    }
    return bound_ns == 0 ? Q_WHEEL_NEVER : watch->progress_ns + bound_ns;
}

static uint64_t window_end(const struct q_watch *watch) {
    bool has_window = q_watch_stage(watch) == Q_STAGE_RECEIVING && watch->bounds->low_speed_ns > 0;
    return has_window ? watch->window_ns + watch->bounds->low_speed_ns : Q_WHEEL_NEVER;
}

// An armed timer is left alone when it fires no later than it must: it looks again when it does.
static void arm(struct q_watch *watch) {
    struct q_error error;
    uint64_t deadline_ns = deadline_of(watch, &error);
    uint64_t window_ns = window_end(watch);
    uint64_t next_ns = deadline_ns < window_ns ? deadline_ns : window_ns;
    if (next_ns == Q_WHEEL_NEVER) {
        return;
    }
    bool is_early_enough = q_timer_is_armed(&watch->timer) && watch->timer.deadline_tick * Q_NS_PER_MS <= next_ns;
    if (!is_early_enough) {
        q_loop_arm(watch->loop, &watch->timer, next_ns);
    }
}

static void timer_fired(struct q_timer *timer) {
    struct q_watch *watch = q_container_of(timer, struct q_watch, timer);
    uint64_t now_ns = watch->loop->now_ns;
    struct q_error error = Q_OK;
    if (now_ns >= deadline_of(watch, &error)) {
        watch->expired(watch, error);
        return;
    }
    if (now_ns >= window_end(watch)) {
        if (watch->window_bytes < watch->bounds->low_speed_bytes) {
            watch->expired(watch, q_error_make(Q_ERR_TIMEOUT_LOW_SPEED, Q_PHASE_BODY));
            return;
        }
        watch->window_ns = now_ns;
        watch->window_bytes = 0;
    }
    arm(watch);
}

void q_watch_clear(struct q_watch *watch) { store(&watch->entered_ns, 0); }

void q_watch_begin(struct q_watch *watch, struct q_loop *loop, const struct q_bounds *bounds,
                   void (*expired)(struct q_watch *watch, struct q_error error), void *owner) {
    watch->timer = (struct q_timer){.fired = timer_fired};
    watch->loop = loop;
    watch->bounds = bounds;
    watch->expired = expired;
    watch->owner = owner;
    for (int stage = 0; stage < Q_STAGES; stage++) {
        store(&watch->spent_ns[stage], 0);
    }
    atomic_store_explicit(&watch->stage, Q_STAGE_NONE, memory_order_release);
    store(&watch->entered_ns, loop->now_ns); // last: what a reader takes for this tenant's is this tenant's
}

static void leave_stage(struct q_watch *watch) {
    enum q_stage stage = q_watch_stage(watch);
    uint64_t spent_ns = load(&watch->spent_ns[stage]) + (watch->loop->now_ns - load(&watch->entered_ns));
    store(&watch->spent_ns[stage], spent_ns);
}

void q_watch_enter(struct q_watch *watch, enum q_stage stage) {
    if (q_watch_stage(watch) == stage) {
        return;
    }
    leave_stage(watch);
    uint64_t now_ns = watch->loop->now_ns;
    store(&watch->entered_ns, now_ns);
    atomic_store_explicit(&watch->stage, stage, memory_order_release);
    watch->progress_ns = now_ns;
    watch->window_ns = now_ns;
    watch->window_bytes = 0;
    arm(watch);
}

void q_watch_bytes(struct q_watch *watch, size_t len) {
    watch->progress_ns = watch->loop->now_ns;
    watch->window_bytes += len;
}

void q_watch_end(struct q_watch *watch) {
    q_loop_disarm(watch->loop, &watch->timer);
    q_watch_enter(watch, Q_STAGE_NONE);
}

void q_watch_read(const struct q_watch *watch, uint64_t now_ns, uint32_t *out_stage, uint64_t *out_stage_ns,
                  uint64_t out_spent_ns[Q_STAGES]) {
    if (load(&watch->entered_ns) == 0) {
        *out_stage = Q_STAGE_NONE;
        *out_stage_ns = 0;
        memset(out_spent_ns, 0, Q_STAGES * sizeof out_spent_ns[0]);
        return;
    }
    *out_stage = atomic_load_explicit(&watch->stage, memory_order_acquire);
    uint64_t entered_ns = load(&watch->entered_ns);
    *out_stage_ns = now_ns > entered_ns ? now_ns - entered_ns : 0;
    for (int stage = 0; stage < Q_STAGES; stage++) {
        out_spent_ns[stage] = load(&watch->spent_ns[stage]);
    }
}

static const char *const k_stage_names[Q_STAGES] = {
    [Q_STAGE_NONE] = "none",         [Q_STAGE_QUEUED] = "queued",       [Q_STAGE_CONNECTING] = "connecting",
    [Q_STAGE_SENDING] = "sending",   [Q_STAGE_AWAITING] = "awaiting",   [Q_STAGE_RECEIVING] = "receiving",
    [Q_STAGE_PAUSED] = "paused",     [Q_STAGE_ASKING] = "asking",
};

const char *q_stage_name(unsigned stage) { return stage < Q_STAGES ? k_stage_names[stage] : "none"; }

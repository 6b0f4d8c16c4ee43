#include "engine/tls/hostpoint.h"

#include "engine/base/epoch.h"

#define TAG UINT64_C(0x51756f6974507074)

struct q_error q_hostpoint_new(struct quoit_tls_point **out, const struct q_alloc *alloc, void *context,
                               q_hostpoint_release_fn release) {
    uint32_t epoch = q_epoch_begin();
    struct quoit_tls_point *point = epoch == 0 ? NULL : q_alloc_new(alloc, sizeof *point);
    if (point == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    point->alloc = alloc;
    point->serial = q_tls_point_draw();
    point->context = context;
    point->release = release;
    point->epoch = epoch;
    atomic_init(&point->holds, 1);
    atomic_init(&point->hosts_holds, 1);
    point->tag = TAG;
    *out = point;
    return Q_OK;
}

bool q_hostpoint_is_hosts(const struct quoit_tls_point *point) {
    return point != NULL && point->tag == TAG && atomic_load_explicit(&point->hosts_holds, memory_order_relaxed) > 0;
}

// --- the end -------------------------------------------------------------------------------------------------------

static void end(struct quoit_tls_point *point) {
    q_hostpoint_release_fn release = point->epoch == q_epoch_now() ? point->release : NULL;
    void *context = point->context;
    point->tag = 0;
    q_alloc_free(point->alloc, point, sizeof *point);
    if (release != NULL) {
        release(context);
    }
}

static void say_farewell(struct q_task *task) { end(q_container_of(task, struct quoit_tls_point, farewell)); }

static void hold(void *owner) {
    struct quoit_tls_point *point = owner;
    // Who holds one has it above 0; a count that wraps would end it under its holders.
    uint32_t before = atomic_fetch_add_explicit(&point->holds, 1, memory_order_relaxed);
    Q_CHECK(before != 0 && before != UINT32_MAX);
}

static void let_go(void *owner) {
    struct quoit_tls_point *point = owner;
    uint32_t before = atomic_fetch_sub_explicit(&point->holds, 1, memory_order_acq_rel);
    Q_CHECK(before != 0); // one release too many
    if (before != 1) {
        return; // and nobody but the last looks at it behind its own drop
    }
    struct q_loop *loop = q_loop_current();
    if (loop == NULL) {
        end(point);
        return;
    }
    point->farewell.run = say_farewell;
    q_loop_post_farewell(loop, &point->farewell);
}

// --- the host's holds ----------------------------------------------------------------------------------------------

bool q_hostpoint_acquire(struct quoit_tls_point *point) {
    if (point == NULL || point->tag != TAG) {
        return false;
    }
    uint32_t seen = atomic_load_explicit(&point->hosts_holds, memory_order_relaxed);
    do {
        if (seen == 0 || seen == UINT32_MAX) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&point->hosts_holds, &seen, seen + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool q_hostpoint_release(struct quoit_tls_point *point) {
    if (point == NULL || point->tag != TAG) {
        return false;
    }
    uint32_t seen = atomic_load_explicit(&point->hosts_holds, memory_order_relaxed);
    do {
        if (seen == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&point->hosts_holds, &seen, seen - 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (seen == 1) {
        let_go(point);
    }
    return true;
}

struct q_tls_point q_hostpoint_point(struct quoit_tls_point *point) {
    return (struct q_tls_point){
        .serial = point->serial, .context = point->context, .owner = point, .acquire = hold, .release = let_go};
}

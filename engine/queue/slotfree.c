#include "engine/queue/slotfree.h"

#include "engine/base/hook.h"

static uint32_t link_of(uint64_t top) { return (uint32_t)top; }

// The word for a new top, with the tag counted on.
static uint64_t top_after(uint64_t seen, uint32_t link) { return ((seen >> 32) + 1) << 32 | link; }

bool q_slotfree_init(struct q_slotfree *f, const struct q_alloc *alloc, uint32_t capacity) {
    Q_CHECK(capacity > 0 && capacity < Q_SLOTFREE_NONE);
    *f = (struct q_slotfree){.alloc = alloc, .capacity = capacity};
    f->next = q_alloc_new_array(alloc, capacity, sizeof *f->next);
    if (f->next == NULL) {
        *f = (struct q_slotfree){0};
        return false;
    }
    return true;
}

size_t q_slotfree_size(uint32_t capacity) { return capacity * sizeof(_Atomic(uint32_t)); }

void q_slotfree_init_in(struct q_slotfree *f, void *memory, uint32_t capacity) {
    Q_CHECK(capacity > 0 && capacity < Q_SLOTFREE_NONE);
    *f = (struct q_slotfree){.next = memory, .capacity = capacity};
}

void q_slotfree_deinit(struct q_slotfree *f) {
    if (f->alloc != NULL) {
        q_alloc_free(f->alloc, (void *)f->next, q_slotfree_size(f->capacity));
    }
    *f = (struct q_slotfree){0};
}

static uint32_t take_fresh(struct q_slotfree *f) {
    uint32_t seen = atomic_load_explicit(&f->fresh, memory_order_relaxed);
    do {
        if (seen == f->capacity) {
            return Q_SLOTFREE_NONE;
        }
        Q_HOOK("slotfree.fresh.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&f->fresh, &seen, seen + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return seen;
}

uint32_t q_slotfree_take(struct q_slotfree *f) {
    // Acquire, here and when the exchange fails: the top's successor is read next, and was written before the top.
    uint64_t seen = atomic_load_explicit(&f->top, memory_order_acquire);
    uint32_t below;
    do {
        if (link_of(seen) == 0) {
            return take_fresh(f);
        }
        // May be the successor of another time, if the top was taken meanwhile: then the tag has moved on.
        below = atomic_load_explicit(&f->next[link_of(seen) - 1], memory_order_relaxed);
        Q_HOOK("slotfree.take.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&f->top, &seen, top_after(seen, below), memory_order_acquire,
                                                    memory_order_acquire));
    return link_of(seen) - 1;
}

void q_slotfree_give(struct q_slotfree *f, uint32_t index) {
    Q_CHECK(index < f->capacity);
    Q_ASSERT(index < atomic_load_explicit(&f->fresh, memory_order_relaxed));
    uint64_t seen = atomic_load_explicit(&f->top, memory_order_relaxed);
    do {
        atomic_store_explicit(&f->next[index], link_of(seen), memory_order_relaxed);
        Q_HOOK("slotfree.give.before_cas");
        // Release: the giver is done with the slot, and its successor is written. Later changes of the top are
        // read-modify-writes and continue this release sequence, so it holds also for slots further below.
    } while (!atomic_compare_exchange_weak_explicit(&f->top, &seen, top_after(seen, index + 1), memory_order_release,
                                                    memory_order_relaxed));
    Q_HOOK("slotfree.give.after_cas");
}

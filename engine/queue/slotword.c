#include "engine/queue/slotword.h"

#include "engine/base/hook.h"

#define LIVE          UINT64_C(1)
#define CANCEL_QUEUED UINT64_C(2)
#define CREDIT_QUEUED UINT64_C(4)
#define PINS          (CANCEL_QUEUED | CREDIT_QUEUED)

#define CREDIT_SHIFT      3
#define CREDIT_BITS       29
#define CREDIT_COARSE     (UINT64_C(1) << (CREDIT_BITS - 1)) // top bit of the field: it counts units, not bytes
#define CREDIT_NUMBER_MAX (CREDIT_COARSE - 1)
#define CREDIT_UNIT_SHIFT 16 // 64 KiB
#define CREDIT_MASK       (((UINT64_C(1) << CREDIT_BITS) - 1) << CREDIT_SHIFT)

#define GENERATION_SHIFT (CREDIT_SHIFT + CREDIT_BITS)

static uint32_t generation_of(uint64_t word) { return (uint32_t)(word >> GENERATION_SHIFT); }

static bool names_tenant(uint64_t word, uint32_t generation) {
    return (word & LIVE) != 0 && generation_of(word) == generation;
}

static uint64_t credit_of(uint64_t word) {
    uint64_t field = (word & CREDIT_MASK) >> CREDIT_SHIFT;
    return (field & CREDIT_COARSE) != 0 ? (field & CREDIT_NUMBER_MAX) << CREDIT_UNIT_SHIFT : field;
}

// Rounds up: a grant that loses bytes could starve its request for ever, one that gains 64 KiB on 256 MiB cannot hurt.
static uint64_t with_credit(uint64_t word, uint64_t bytes) {
    uint64_t field = bytes;
    if (bytes > CREDIT_NUMBER_MAX) {
        uint64_t unit_mask = (UINT64_C(1) << CREDIT_UNIT_SHIFT) - 1;
        uint64_t units = (bytes >> CREDIT_UNIT_SHIFT) + ((bytes & unit_mask) != 0);
        field = CREDIT_COARSE | (units < CREDIT_NUMBER_MAX ? units : CREDIT_NUMBER_MAX);
    }
    return (word & ~CREDIT_MASK) | (field << CREDIT_SHIFT);
}

uint32_t q_slotword_open(struct q_slotword *w, uint32_t first) {
    Q_ASSERT(first != 0);
    // Relaxed: the free list handed the slot over, so the last word written to it is visible; and nobody else changes a
    // word that is not live.
    uint64_t word = atomic_load_explicit(&w->word, memory_order_relaxed);
    Q_CHECK((word & ~(UINT64_C(0xffffffff) << GENERATION_SHIFT)) == 0);
    uint32_t generation = generation_of(word) == 0 ? first : generation_of(word);
    // Release: a thread that pins the slot sees its nodes ready.
    atomic_store_explicit(&w->word, (uint64_t)generation << GENERATION_SHIFT | LIVE, memory_order_release);
    return generation;
}

bool q_slotword_is_live(const struct q_slotword *w, uint32_t generation) {
    return names_tenant(atomic_load_explicit(&w->word, memory_order_acquire), generation);
}

// The orders of the next four: pinning acquires and unpinning releases, so that the loop is done with a node before
// the next one to pin may write to it. Retiring needs neither: the free list hands the slot over.

enum q_pin_result q_slotword_try_pin_cancel(struct q_slotword *w, uint32_t generation) {
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    do {
        if (!names_tenant(seen, generation)) {
            return Q_PIN_STALE;
        }
        if ((seen & CANCEL_QUEUED) != 0) {
            return Q_PIN_ALREADY;
        }
        Q_HOOK("slotword.pin_cancel.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, seen | CANCEL_QUEUED, memory_order_acquire,
                                                    memory_order_relaxed));
    Q_HOOK("slotword.pin_cancel.after_cas");
    return Q_PIN_DONE;
}

void q_slotword_unpin_cancel(struct q_slotword *w) {
    uint64_t before = atomic_fetch_and_explicit(&w->word, ~CANCEL_QUEUED, memory_order_release);
    Q_CHECK((before & CANCEL_QUEUED) != 0);
}

enum q_grant_result q_slotword_grant(struct q_slotword *w, uint32_t generation, uint64_t bytes) {
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    uint64_t wanted;
    do {
        if (!names_tenant(seen, generation)) {
            return Q_GRANT_STALE;
        }
        uint64_t sum;
        if (__builtin_add_overflow(credit_of(seen), bytes, &sum)) {
            sum = UINT64_MAX; // cut to the most that the field holds
        }
        wanted = with_credit(seen, sum) | CREDIT_QUEUED;
        Q_HOOK("slotword.grant.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, wanted, memory_order_acquire,
                                                    memory_order_relaxed));
    Q_HOOK("slotword.grant.after_cas");
    return (seen & CREDIT_QUEUED) != 0 ? Q_GRANT_MERGED : Q_GRANT_PUSH;
}

uint64_t q_slotword_take_credit(struct q_slotword *w) {
    Q_HOOK("slotword.take_credit.before_and");
    // Amount and pin go in one step: a grant comes before it and is in the amount, or after it and pushes anew.
    uint64_t before = atomic_fetch_and_explicit(&w->word, ~(CREDIT_MASK | CREDIT_QUEUED), memory_order_release);
    Q_CHECK((before & CREDIT_QUEUED) != 0);
    return credit_of(before);
}

static uint32_t behind(uint32_t generation) { return generation == UINT32_MAX ? 1 : generation + 1; }

enum q_retire_result q_slotword_try_retire(struct q_slotword *w, uint32_t generation, uint32_t first) {
    bool is_last = behind(generation) == first;
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    uint64_t wanted;
    do {
        Q_CHECK(names_tenant(seen, generation));
        if ((seen & PINS) != 0) {
            return Q_RETIRE_PINNED;
        }
        Q_ASSERT((seen & CREDIT_MASK) == 0);
        wanted = (uint64_t)(is_last ? generation : behind(generation)) << GENERATION_SHIFT;
        Q_HOOK("slotword.retire.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, wanted, memory_order_relaxed,
                                                    memory_order_relaxed));
    return is_last ? Q_RETIRE_WORN_OUT : Q_RETIRE_DONE;
}

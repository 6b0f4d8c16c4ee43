#include "engine/queue/pending.h"

#include "engine/base/hook.h"

#define GENERATION_MASK ((UINT64_C(1) << 24) - 1)
#define CLOSED          (UINT64_C(1) << 24)
#define DRAINING        (UINT64_C(1) << 25)
#define USERS_SHIFT     26
#define USERS_ONE       (UINT64_C(1) << USERS_SHIFT)
#define REQUESTS_SHIFT  42
#define REQUESTS_ONE    (UINT64_C(1) << REQUESTS_SHIFT)

// A word of generation g that is not closed is live; {0} and a retired generation stand there as closed, so that one
// test tells. Zeroed memory is generation 0, which no caller may hold.

static uint32_t generation_of(uint64_t word) { return (uint32_t)(word & GENERATION_MASK); }
static uint32_t users_of(uint64_t word) { return (uint32_t)(word >> USERS_SHIFT) & Q_PENDING_USERS_MAX; }
static uint32_t requests_of(uint64_t word) { return (uint32_t)(word >> REQUESTS_SHIFT); }

static bool may_enter(uint64_t word, uint32_t generation) {
    return generation != 0 && generation_of(word) == generation && (word & CLOSED) == 0;
}

uint32_t q_pending_open(struct q_pending *p) {
    // Relaxed: who owns the table's slot got it by the table's own hand-over; nobody else changes a closed word.
    uint64_t word = atomic_load_explicit(&p->word, memory_order_relaxed);
    Q_CHECK((word & ~(GENERATION_MASK | CLOSED)) == 0);
    uint32_t generation = generation_of(word) + ((word & CLOSED) == 0); // {0} opens as 1; {g, closed} as g
    if (generation == 0) {
        return 0; // it wrapped
    }
    // Release: a thread that enters sees the engine complete.
    atomic_store_explicit(&p->word, generation, memory_order_release);
    return generation;
}

// Entering acquires, leaving releases: what users did inside comes before the tear-down of whoever was told that the
// last one left.

bool q_pending_enter(struct q_pending *p, uint32_t generation) {
    uint64_t seen = atomic_load_explicit(&p->word, memory_order_relaxed);
    do {
        if (!may_enter(seen, generation)) {
            return false;
        }
        Q_CHECK(users_of(seen) < Q_PENDING_USERS_MAX); // 65535 threads inside at once: the count would run over
        Q_HOOK("pending.enter.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&p->word, &seen, seen + USERS_ONE, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

enum q_pending_result q_pending_enter_requests(struct q_pending *p, uint32_t generation, uint32_t n, uint32_t limit) {
    Q_CHECK(limit <= Q_PENDING_REQUESTS_MAX);
    uint64_t seen = atomic_load_explicit(&p->word, memory_order_relaxed);
    do {
        if (!may_enter(seen, generation)) {
            return Q_PENDING_STALE;
        }
        if ((seen & DRAINING) != 0) {
            return Q_PENDING_DRAINING;
        }
        if (n > limit || requests_of(seen) > limit - n) {
            return Q_PENDING_FULL;
        }
        Q_CHECK(users_of(seen) < Q_PENDING_USERS_MAX);
        Q_HOOK("pending.enter_requests.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&p->word, &seen, seen + USERS_ONE + n * REQUESTS_ONE,
                                                    memory_order_acquire, memory_order_relaxed));
    return Q_PENDING_ENTERED;
}

bool q_pending_leave(struct q_pending *p) {
    Q_HOOK("pending.leave.before_sub");
    // Acquire, too: the last one acts for all who left before it.
    uint64_t before = atomic_fetch_sub_explicit(&p->word, USERS_ONE, memory_order_acq_rel);
    Q_CHECK(users_of(before) > 0);
    Q_HOOK("pending.leave.after_sub");
    return (before & CLOSED) != 0 && users_of(before) == 1;
}

bool q_pending_end_requests(struct q_pending *p, uint32_t n) {
    Q_ASSERT(n > 0);
    uint64_t before = atomic_fetch_sub_explicit(&p->word, n * REQUESTS_ONE, memory_order_acq_rel);
    Q_CHECK(requests_of(before) >= n);
    return (before & DRAINING) != 0 && requests_of(before) == n;
}

bool q_pending_drain(struct q_pending *p) {
    Q_HOOK("pending.drain.before_or");
    return requests_of(atomic_fetch_or_explicit(&p->word, DRAINING, memory_order_acq_rel)) == 0;
}

bool q_pending_close(struct q_pending *p) {
    Q_HOOK("pending.close.before_or");
    uint64_t before = atomic_fetch_or_explicit(&p->word, CLOSED, memory_order_acq_rel);
    Q_CHECK((before & DRAINING) != 0 && requests_of(before) == 0 && (before & CLOSED) == 0);
    return users_of(before) == 0;
}

bool q_pending_try_close(struct q_pending *p) {
    uint64_t seen = atomic_load_explicit(&p->word, memory_order_relaxed);
    uint64_t alone;
    do {
        if ((seen & DRAINING) == 0 || (seen & CLOSED) != 0 || requests_of(seen) != 0 || users_of(seen) != 1) {
            return false;
        }
        alone = (seen - USERS_ONE) | CLOSED;
        Q_HOOK("pending.try_close.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&p->word, &seen, alone, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

void q_pending_abandon(struct q_pending *p) {
    uint64_t word = atomic_load_explicit(&p->word, memory_order_relaxed);
    if (word == 0) {
        return; // never used
    }
    atomic_store_explicit(&p->word, ((generation_of(word) + 1) & GENERATION_MASK) | CLOSED, memory_order_release);
}

void q_pending_retire(struct q_pending *p) {
    uint64_t word = atomic_load_explicit(&p->word, memory_order_acquire);
    Q_CHECK((word & CLOSED) != 0 && users_of(word) == 0 && requests_of(word) == 0);
    // The next generation, still closed: nobody may enter before it is opened. After the last one comes {0, closed},
    // which open refuses for ever.
    atomic_store_explicit(&p->word, ((generation_of(word) + 1) & GENERATION_MASK) | CLOSED, memory_order_release);
}

uint32_t q_pending_requests(const struct q_pending *p) {
    return requests_of(atomic_load_explicit(&p->word, memory_order_relaxed));
}

#include "engine/queue/feedword.h"

#include "engine/base/hook.h"

#define OPEN       UINT64_C(1)
#define SHUT       UINT64_C(2)
#define FINISHED   UINT64_C(4)
#define WANTS_ROOM UINT64_C(8)

#define BYTES_SHIFT 4
#define BYTES_MASK  (((UINT64_C(1) << 28) - 1) << BYTES_SHIFT)

#define GENERATION_SHIFT 32

static uint32_t generation_of(uint64_t word) {
    return (uint32_t)(word >> GENERATION_SHIFT);
}

static uint64_t bytes_of(uint64_t word) {
    return (word & BYTES_MASK) >> BYTES_SHIFT;
}

static uint64_t word_of(uint32_t generation, uint64_t flags) {
    return (uint64_t)generation << GENERATION_SHIFT | flags;
}

// Whether `generation` may feed at all by this word.
static enum q_feed_result standing(uint64_t word, uint32_t generation) {
    if (generation_of(word) != generation || (word & (OPEN | SHUT)) == 0) {
        return Q_FEED_UNOPENED;
    }
    if ((word & SHUT) != 0) {
        return Q_FEED_SHUT;
    }
    return (word & FINISHED) != 0 ? Q_FEED_FINISHED : Q_FEED_TAKEN;
}

static enum q_feed_result judge(uint64_t word, uint32_t generation, uint64_t bytes, uint64_t limit) {
    enum q_feed_result result = standing(word, generation);
    if (result != Q_FEED_TAKEN) {
        return result;
    }
    if (bytes > limit) {
        return Q_FEED_TOO_LARGE;
    }
    return bytes_of(word) + bytes > limit ? Q_FEED_FULL : Q_FEED_TAKEN;
}

// Acquire, before the word is looked at for good: see `limit` in the header. The release is in open.
static uint64_t limit_of(const struct q_feedword *w) {
    return atomic_load_explicit(&w->limit, memory_order_acquire);
}

void q_feedword_open(struct q_feedword *w, uint32_t generation, uint32_t limit) {
    Q_CHECK(limit > 0 && limit <= Q_FEEDWORD_LIMIT_MAX);
    Q_CHECK((atomic_load_explicit(&w->word, memory_order_relaxed) & OPEN) == 0);
    // Release: who reads this limit comes behind the word's last shutting. Release again: who sees the word open reads
    // this limit, or a later one.
    atomic_store_explicit(&w->limit, limit, memory_order_release);
    atomic_store_explicit(&w->word, word_of(generation, OPEN), memory_order_release);
}

// Judges, and in the same step counts, or asks for room.
static enum q_feed_result settle(struct q_feedword *w, uint32_t generation, uint64_t bytes, bool counts) {
    Q_CHECK(bytes > 0);
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_acquire);
    enum q_feed_result result;
    uint64_t wanted;
    do {
        result = judge(seen, generation, bytes, limit_of(w));
        bool asks = result == Q_FEED_FULL;
        if (!asks && (result != Q_FEED_TAKEN || !counts)) {
            return result;
        }
        wanted = asks ? seen | WANTS_ROOM : seen + (bytes << BYTES_SHIFT);
        Q_HOOK("feedword.add.before_cas");
        // Acquire on failure: as at the load. On success nothing is handed over, the node brings the bytes.
    } while (
        !atomic_compare_exchange_weak_explicit(&w->word, &seen, wanted, memory_order_acquire, memory_order_acquire));
    Q_HOOK("feedword.add.after_cas");
    return result;
}

enum q_feed_result q_feedword_ask(struct q_feedword *w, uint32_t generation, uint64_t bytes) {
    return settle(w, generation, bytes, false);
}

enum q_feed_result q_feedword_add(struct q_feedword *w, uint32_t generation, uint64_t bytes) {
    return settle(w, generation, bytes, true);
}

enum q_feed_result q_feedword_finish(struct q_feedword *w, uint32_t generation) {
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    do {
        enum q_feed_result result = standing(seen, generation);
        if (result != Q_FEED_TAKEN) {
            return result;
        }
        Q_HOOK("feedword.finish.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, seen | FINISHED, memory_order_relaxed,
                                                    memory_order_relaxed));
    return Q_FEED_TAKEN;
}

bool q_feedword_take_off(struct q_feedword *w, uint64_t bytes, uint64_t *out_left) {
    Q_HOOK("feedword.take_off.before_sub");
    uint64_t before = atomic_fetch_sub_explicit(&w->word, bytes << BYTES_SHIFT, memory_order_relaxed);
    Q_CHECK(bytes_of(before) >= bytes);
    uint64_t left = bytes_of(before) - bytes;
    *out_left = left;
    bool is_half_empty = left <= atomic_load_explicit(&w->limit, memory_order_relaxed) / 2;
    if ((before & WANTS_ROOM) == 0 || (before & OPEN) == 0 || !is_half_empty) {
        return false;
    }
    // Who leaves the flag between the two steps is told with the rest: there is room, or there is more to take off.
    Q_HOOK("feedword.take_off.before_and");
    atomic_fetch_and_explicit(&w->word, ~WANTS_ROOM, memory_order_relaxed);
    return true;
}

uint64_t q_feedword_shut(struct q_feedword *w) {
    Q_HOOK("feedword.shut.before_xor");
    // OPEN falls and SHUT rises in one step, which also tells what came before it.
    uint64_t before = atomic_fetch_xor_explicit(&w->word, OPEN | SHUT, memory_order_release);
    Q_CHECK((before & (OPEN | SHUT)) == OPEN);
    return bytes_of(before);
}

void q_feedword_end(struct q_feedword *w, uint32_t generation) {
    Q_HOOK("feedword.end.before_store");
    atomic_store_explicit(&w->word, word_of(generation, SHUT), memory_order_release);
}

#include "engine/queue/askword.h"

#include "engine/base/hook.h"

#define OPEN         UINT64_C(1)
#define PINNED       UINT64_C(2)
#define ANSWER_SHIFT 2
#define ANSWER_MASK  (UINT64_C(3) << ANSWER_SHIFT)
#define KIND_SHIFT   4
#define KIND_MASK    (UINT64_C(3) << KIND_SHIFT)

#define GENERATION_SHIFT (64 - Q_ASKWORD_GENERATION_BITS)

static uint64_t generation_of(uint64_t word) { return word >> GENERATION_SHIFT; }

static uint64_t next_of(uint64_t word) { return (generation_of(word) + 1) << GENERATION_SHIFT; }

static bool suits(uint64_t word, unsigned kinds) { return (kinds >> ((word & KIND_MASK) >> KIND_SHIFT) & 1) != 0; }

uint64_t q_askword_open(struct q_askword *w, uint64_t first, unsigned kind) {
    Q_ASSERT(first != 0 && kind <= Q_ASKWORD_KIND_MAX);
    // Relaxed: nobody but the loop changes a word that is neither open nor pinned.
    uint64_t word = atomic_load_explicit(&w->word, memory_order_relaxed);
    Q_CHECK((word & (OPEN | PINNED)) == 0);
    uint64_t generation = generation_of(word) == 0 ? first : generation_of(word);
    // Release: a thread that answers sees the node ready.
    uint64_t opened = generation << GENERATION_SHIFT | (uint64_t)kind << KIND_SHIFT | OPEN;
    atomic_store_explicit(&w->word, opened, memory_order_release);
    return generation;
}

// Answering acquires and taking releases, so that the loop is done with the node before the next one to answer may write
// to it.
enum q_ask_result q_askword_try_answer(struct q_askword *w, uint64_t generation, unsigned answer,
                                         unsigned kinds) {
    Q_ASSERT(answer >= 1 && answer <= Q_ASKWORD_ANSWER_MAX);
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    uint64_t wanted;
    do {
        if (generation_of(seen) != generation || (seen & (OPEN | PINNED)) == 0) {
            return Q_ASK_STALE;
        }
        if (!suits(seen, kinds)) {
            return Q_ASK_UNSUITED;
        }
        if ((seen & PINNED) != 0) {
            return Q_ASK_ALREADY;
        }
        wanted = (seen & KIND_MASK) | generation << GENERATION_SHIFT | (uint64_t)answer << ANSWER_SHIFT | PINNED;
        Q_HOOK("askword.answer.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, wanted, memory_order_acquire,
                                                    memory_order_relaxed));
    Q_HOOK("askword.answer.after_cas");
    return Q_ASK_PUSH;
}

void q_askword_withdraw(struct q_askword *w) {
    uint64_t seen = atomic_load_explicit(&w->word, memory_order_relaxed);
    do {
        if ((seen & OPEN) == 0) {
            return; // none stands, or its answer is on its way
        }
        Q_HOOK("askword.withdraw.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&w->word, &seen, next_of(seen), memory_order_relaxed,
                                                    memory_order_relaxed));
}

uint64_t q_askword_generation(const struct q_askword *w) {
    return generation_of(atomic_load_explicit(&w->word, memory_order_relaxed));
}

bool q_askword_is_pinned(const struct q_askword *w) {
    return (atomic_load_explicit(&w->word, memory_order_relaxed) & PINNED) != 0;
}

unsigned q_askword_take(struct q_askword *w) {
    // A store is enough: while the pin stands nobody else changes the word.
    uint64_t word = atomic_load_explicit(&w->word, memory_order_relaxed);
    Q_CHECK((word & PINNED) != 0);
    atomic_store_explicit(&w->word, next_of(word), memory_order_release);
    return (unsigned)((word & ANSWER_MASK) >> ANSWER_SHIFT);
}

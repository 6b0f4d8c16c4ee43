#include "engine/queue/mpsc.h"

#include "engine/base/hook.h"

// Values of the word that are not nodes. A node is pointer-aligned, so its address is never 1 or 2.
#define WORD_EMPTY ((uintptr_t)0)
#define WORD_ASLEEP ((uintptr_t)1)
#define WORD_CLOSED ((uintptr_t)2)

static struct q_mpsc_node *node_of(uintptr_t word) {
    return word == WORD_EMPTY || word == WORD_ASLEEP || word == WORD_CLOSED ? NULL : (struct q_mpsc_node *)word;
}

// The word holds a stack, newest on top; callers want oldest first.
static struct q_mpsc_node *reverse(struct q_mpsc_node *top) {
    struct q_mpsc_node *oldest = NULL;
    while (top != NULL) {
        struct q_mpsc_node *below = top->next;
        top->next = oldest;
        oldest = top;
        top = below;
    }
    return oldest;
}

void q_mpsc_init(struct q_mpsc *q) { atomic_init(&q->word, WORD_EMPTY); }

enum q_mpsc_push_result q_mpsc_push(struct q_mpsc *q, struct q_mpsc_node *node) {
    Q_ASSERT(((uintptr_t)node & (_Alignof(struct q_mpsc_node) - 1)) == 0);
    // Relaxed: the value is only a guess that the exchange below verifies.
    uintptr_t seen = atomic_load_explicit(&q->word, memory_order_relaxed);
    do {
        if (seen == WORD_CLOSED) {
            return Q_MPSC_CLOSED;
        }
        node->next = node_of(seen);
        Q_HOOK("mpsc.push.before_cas");
        // Release: what the pusher wrote, node->next included, is visible to whoever takes the node. Later pushes are
        // read-modify-writes, so they continue this release sequence and the one acquire in drain covers all of them.
        // A node that was taken and pushed again in between (ABA) does no harm: `next` is then right again, as only
        // the consumer takes nodes away, and all at once.
    } while (!atomic_compare_exchange_weak_explicit(&q->word, &seen, (uintptr_t)node, memory_order_release,
                                                    memory_order_relaxed));
    Q_HOOK("mpsc.push.after_cas");
    return seen == WORD_ASLEEP ? Q_MPSC_PUSHED_WAKE : Q_MPSC_PUSHED;
}

struct q_mpsc_node *q_mpsc_drain(struct q_mpsc *q) {
    uintptr_t seen = atomic_load_explicit(&q->word, memory_order_relaxed);
    Q_CHECK(seen != WORD_CLOSED); // the exchange would open the queue again; only this thread closes, so `seen` is new
    if (seen == WORD_EMPTY) {
        return NULL; // an idle tick costs one read, and does not take the line from the pushers
    }
    Q_HOOK("mpsc.drain.before_exchange");
    return reverse(node_of(atomic_exchange_explicit(&q->word, WORD_EMPTY, memory_order_acquire)));
}

bool q_mpsc_park(struct q_mpsc *q) {
    uintptr_t seen = WORD_EMPTY;
    Q_HOOK("mpsc.park.before_cas");
    // Relaxed: nothing is handed over here. That the doorbell's value was read before is ensured by the acquire there.
    bool is_asleep = atomic_compare_exchange_strong_explicit(&q->word, &seen, WORD_ASLEEP, memory_order_relaxed,
                                                             memory_order_relaxed);
    Q_CHECK(seen != WORD_ASLEEP && seen != WORD_CLOSED);
    Q_HOOK("mpsc.park.after_cas");
    return is_asleep;
}

bool q_mpsc_is_empty(const struct q_mpsc *q) {
    return node_of(atomic_load_explicit(&q->word, memory_order_relaxed)) == NULL;
}

struct q_mpsc_node *q_mpsc_close(struct q_mpsc *q) {
    Q_HOOK("mpsc.close.before_exchange");
    return reverse(node_of(atomic_exchange_explicit(&q->word, WORD_CLOSED, memory_order_acq_rel)));
}

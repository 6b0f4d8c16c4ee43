// Submission queue: many threads push commands, one loop drains them. Intrusive, unbounded in itself (what may be
// pushed is bounded by what exists: one node per request, cancel link, credit link, port), lock-free.
//
// Vocabulary: the *pusher* is any thread, a signal handler too; the *consumer* is the loop thread.
// The whole state is one atomic word: empty | ASLEEP (empty, and the consumer waits in the kernel) | CLOSED | the node
// pushed last. Every hand-over is a read-modify-write of that one word, and a read-modify-write always sees the newest
// value; there is no second flag which could be read stale, so no fence can be forgotten.
//
// Life: init; then push, drain, park in any order; close ends it, once and for all. There is no deinit.
// Thread-free: each function names its caller.
// Model: tests/model/mpsc.pml.
#ifndef QUOIT_ENGINE_QUEUE_MPSC_H
#define QUOIT_ENGINE_QUEUE_MPSC_H

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// A node belongs to the pusher until push, then to the consumer until it was handed out by drain or close.
// It says which command it is by what it is embedded in.
struct q_mpsc_node {
    struct q_mpsc_node *next;
};

// Whatever the alignment of the struct around it, no other datum shares the word's cache line.
struct q_mpsc {
    char unused_before[Q_CACHE_LINE - sizeof(uintptr_t)];
    _Atomic(uintptr_t) word;
    char unused_behind[Q_CACHE_LINE - sizeof(uintptr_t)];
};

enum q_mpsc_push_result {
    Q_MPSC_PUSHED,      // the consumer is awake and will see the node
    Q_MPSC_PUSHED_WAKE, // the consumer sleeps: this pusher, and no other one, must ring the doorbell
    Q_MPSC_CLOSED,      // nothing happened, the node is still the caller's
};

// q_mpsc_init makes the queue empty, with an awake consumer. Before any other thread knows of it.
void q_mpsc_init(struct q_mpsc *q);

// q_mpsc_push hands `node` to the consumer. Any thread; async-signal-safe; never blocks, never allocates.
// Unless it returns Q_MPSC_CLOSED the node is no longer the caller's: not even a look at it is allowed, and what it is
// embedded in may be gone. The pushes of one thread arrive in their order.
Q_MUST_USE enum q_mpsc_push_result q_mpsc_push(struct q_mpsc *q, struct q_mpsc_node *node);

// q_mpsc_drain takes everything: oldest first, linked by `next`, NULL-ended; NULL when there is nothing. The nodes are
// the caller's. It also leaves the sleeping state. Consumer only; never after q_mpsc_close (checked).
// A node that may be pushed again as soon as its command is done (a cancel or credit link) must have its `next` read
// before that.
struct q_mpsc_node *q_mpsc_drain(struct q_mpsc *q);

// q_mpsc_park tells pushers that the consumer is about to sleep. True: it may sleep; the next push will return
// Q_MPSC_PUSHED_WAKE, and the consumer must drain after it woke, for whatever reason. False: work came in.
// Before it, the consumer reads q_doorbell_value (doorbell.h). Consumer only, awake, not closed (checked).
Q_MUST_USE bool q_mpsc_park(struct q_mpsc *q);

// q_mpsc_is_empty is a cheap look (relaxed): false means that drain will return something. True may be out of date;
// only q_mpsc_park decides whether to sleep. Consumer only.
bool q_mpsc_is_empty(const struct q_mpsc *q);

// q_mpsc_close refuses every later push and gives what was queued, as drain does. Consumer only. Calling it again is
// harmless and gives NULL.
struct q_mpsc_node *q_mpsc_close(struct q_mpsc *q);

#endif

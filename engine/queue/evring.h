// Event ring of a port: a bounded ring of fixed-size entries from one producer (the loop) to one consumer (a host
// thread), with an eventfd that is written only when the consumer sleeps.
//
// Vocabulary. Positions count entries since init and never wrap (63 bits). In order of position:
//     collected <= head <= tail (published) <= filled <= collected + capacity
// [collected, head) the consumer is done with these, the producer has not taken them back;
// [head, tail) the consumer may read these; [tail, filled) the producer fills these, to be published as one batch.
//
// Room. The capacity is split, once and for all: two thirds are *reservable* (submit reserves the slots for a request's
// head and terminal event), one third is for *data*, that is for everything unreserved. A small exchange makes events
// in that ratio. Why split: were both taken from one count, then a slow consumer of bulk data would make submits fail,
// and requests that wait long for their head would hold every slot and starve the data of others, with nobody left
// whose advance could wake the loop. As it is, a submit fails because of the number of requests alone, and data waits
// because of its consumer alone.
//     reserve (any thread)  reservable -= n               only if reservable >= n, by compare-and-swap
//     unreserve (any)       reservable += n
//     produce_reserved      none of the counts changes, which is why it cannot fail
//     collect               reservable += the reserved entries among those taken back, data_room += the others
//     produce_unreserved    data_room -= 1                only if data_room >= 1; loop only, so no atomic
// Invariant: filled - collected <= (slots reserved and not given back) + (data slots in use) <= capacity. Each part is
// kept by arithmetic on one location. So the entry at `filled` was collected: nobody else looks at it.
//
// Hand-over, tail word {position, armed}: the producer publishes by one exchange; if the old value was armed, it must
// write the eventfd, once. The consumer arms by one compare-and-swap that demands the position which it has looked
// up to: it fails if anything was published. Hand-over, head word {position, want_wake}: the consumer advances by one
// exchange; if the old value had want_wake, it must push the port's wake node to the loop. The producer, short of room
// for data or waiting for slices to come back, sets want_wake by one fetch_or, which tells it the newest head in the
// same step.
// Each hand-over is a read-modify-write of one word; there is no fence to forget.
//
// The wake node is one node, so it may be in the queue once: after a want_wake the producer sets no second one until
// the node came (q_evring_wake_drained). Meanwhile nothing is lost: the node is either still to be pushed by the next
// advance, or on its way; and when it comes the producer collects.
//
// The eventfd. Each arming that the producer cleared makes exactly one write, of 1, which may land later than its
// events are visible. The consumer's loop:
//     1. if q_evring_signal_due: read the eventfd (non-blocking), and say so by q_evring_signal_read;
//     2. peek, and advance at once or later, until there is nothing more to see;
//     3. q_evring_arm, behind what it has peeked at; if false, go to 2; else advance over what is left, sleep until the
//        eventfd is readable, go to 1.
// Reading comes *before* looking for events, never after: a read in between 2 and 3 could swallow the signal of events
// that were published after the look. Then a write that lands late makes one wake-up for nothing, and none is lost.
//
// Life: init, use, deinit once neither side uses it. Thread-free: each function names its caller.
// Model: tests/model/evring.pml.
#ifndef QUOIT_ENGINE_QUEUE_EVRING_H
#define QUOIT_ENGINE_QUEUE_EVRING_H

#include "engine/base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Fewer slots could not be split. More would be a mistake in a unit: at 64 bytes an entry it is a gigabyte of events.
#define Q_EVRING_CAPACITY_MIN UINT32_C(4)
#define Q_EVRING_CAPACITY_MAX (UINT32_C(1) << 24)
#define Q_EVRING_ENTRY_SIZE_MAX 4096 // an event is a few words; with the line above, sizes cannot overflow

// Each group has a cache line distance to the next: it is written by other threads than its neighbours.
struct q_evring {
    // Constant after init.
    const struct q_alloc *alloc;
    char *entries;
    size_t entry_size;
    bool *is_reserved; // per slot: the entry was made by q_evring_produce_reserved (producer only)
    uint64_t mask;     // capacity - 1
    char unused_behind_constants[Q_CACHE_LINE];
    // Shared words.
    _Atomic(uint64_t) reservable;
    char unused_behind_reservable[Q_CACHE_LINE];
    _Atomic(uint64_t) tail; // {position:63, armed:1}
    char unused_behind_tail[Q_CACHE_LINE];
    _Atomic(uint64_t) head; // {position:63, want_wake:1}
    char unused_behind_head[Q_CACHE_LINE];
    // Producer only.
    uint64_t filled;
    uint64_t published;
    uint64_t collected;
    uint64_t data_room;
    bool is_wake_wanted; // want_wake was set, and the wake node has not come yet
    char unused_behind_producer[Q_CACHE_LINE];
    // Consumer only.
    uint64_t consumed;
    uint64_t seen_tail;   // newest published position that the consumer knows of
    uint64_t signals_due; // eventfd writes that were or will be made and were not read yet
    bool is_armed;        // armed, and not yet seen to be cleared
};

// q_evring_init allocates `capacity` entries (a power of two within the limits above) of `entry_size` bytes. False
// when out of memory; the ring is then in its zero state.
Q_MUST_USE bool q_evring_init(struct q_evring *ring, const struct q_alloc *alloc, uint32_t capacity, size_t entry_size);

// q_evring_deinit frees the entries. Nobody may use the ring any more. Legal on a zeroed ring.
void q_evring_deinit(struct q_evring *ring);

// q_evring_reserve promises `n` slots to the caller, or none: false when too few are left. Any thread.
// Each is used by q_evring_produce_reserved, and may be reserved again when that entry was collected; or is given back
// by q_evring_unreserve. Nobody waits for reservable slots, so neither wakes anybody.
Q_MUST_USE bool q_evring_reserve(struct q_evring *ring, uint32_t n);

// q_evring_unreserve gives `n` reserved slots back unused. Any thread.
void q_evring_unreserve(struct q_evring *ring, uint32_t n);

// q_evring_produce_reserved turns one reserved slot into the next entry, to be filled before q_evring_publish. It
// always succeeds; the entry holds what its last use left there. Loop thread.
void *q_evring_produce_reserved(struct q_evring *ring);

// q_evring_produce_unreserved gives the next entry likewise, but from the data slots: NULL when all are in use. Then
// the caller publishes what it filled, asks by q_evring_want_wake, and waits for the wake node. Loop thread.
Q_MUST_USE void *q_evring_produce_unreserved(struct q_evring *ring);

// q_evring_publish shows the consumer all entries filled since the last call, in one step. True: the consumer sleeps,
// and the caller must write 1 to the port's eventfd, once. Loop thread.
Q_MUST_USE bool q_evring_publish(struct q_evring *ring);

// q_evring_collect calls `fn` (which may be NULL) for each entry that the consumer has advanced past since the last
// call, oldest first, so that what it lends can be taken back; then gives their slots back. `fn` must not use the
// ring. Returns how many. Loop thread.
size_t q_evring_collect(struct q_evring *ring, void (*fn)(void *context, void *entry), void *context);

// q_evring_want_wake asks for the wake node at the consumer's next advance. True: the consumer has advanced past what
// was collected; collect again instead of waiting (the wake node may come all the same). False: the wake node will
// come. Loop thread.
Q_MUST_USE bool q_evring_want_wake(struct q_evring *ring);

// q_evring_wake_drained says that the wake node came out of the submission queue; it may be asked for again. The
// caller collects next. Loop thread.
void q_evring_wake_drained(struct q_evring *ring);

// q_evring_retract_wake takes the request for the wake node back, before the port ends. True: the node is not, and will
// not be, in the queue. False: it is on its way; wait for it. Loop thread.
Q_MUST_USE bool q_evring_retract_wake(struct q_evring *ring);

// q_evring_peek gives the entry `offset` behind the head, or NULL when it is not published yet. The entry is readable,
// and may be changed by the consumer, until it is advanced past. Consumer.
void *q_evring_peek(struct q_evring *ring, size_t offset);

// q_evring_advance is done with the first `n` entries, all seen by peek (checked): they are the producer's again, and
// what they lend with them. True: the caller must push the port's wake node to the loop. Consumer.
Q_MUST_USE bool q_evring_advance(struct q_evring *ring, size_t n);

// q_evring_arm asks for a signal on the eventfd at the next publish behind the first `num_seen` entries, which the
// consumer has peeked at and need not have advanced past. True: armed, the consumer may sleep. False: there are more.
// Arming an armed ring is harmless. Consumer.
Q_MUST_USE bool q_evring_arm(struct q_evring *ring, size_t num_seen);

// q_evring_signal_due says whether the eventfd holds, or will soon hold, a signal of this ring that was not read yet.
// Consumer.
bool q_evring_signal_due(struct q_evring *ring);

// q_evring_signal_read takes note of `count`, read from the eventfd, and returns what is left of it for other rings
// behind the same eventfd; 0 when there is no other. Consumer.
uint64_t q_evring_signal_read(struct q_evring *ring, uint64_t count);

#endif

// Free list of slots: which slots of a type-stable array have no tenant. Hosts take when they submit, the loop gives
// back when a request is gone; both without a lock. Slots that were never used come from a counter, so an array of
// many slots costs memory only as far as it was used at once.
//
// A Treiber stack of indexes. The top word is {tag:32, index + 1:32}: each change counts the tag up, so that a taker
// who was held up between its look at the top's successor and its exchange fails when the top went and came back
// (ABA). It would have to be held up for exactly a multiple of 2^32 changes to be deceived.
// The successor of a slot lies in an array of atomics beside the slots, never in the slot: a late look at it is a look
// at an index, whoever has the slot by then.
//
// Whoever has taken an index owns the slot, until it gives it back. Thread-free: take and give by any thread.
// Model: tests/model/slotfree.pml.
#ifndef QUOIT_ENGINE_QUEUE_SLOTFREE_H
#define QUOIT_ENGINE_QUEUE_SLOTFREE_H

#include "engine/base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define Q_SLOTFREE_NONE UINT32_MAX

struct q_slotfree {
    const struct q_alloc *alloc; // NULL: the memory is the caller's
    _Atomic(uint32_t) *next; // per slot: index + 1 of the slot below, 0 for none
    uint32_t capacity;
    char unused_behind_constants[Q_CACHE_LINE];
    _Atomic(uint64_t) top; // {tag:32, index + 1:32}
    _Atomic(uint32_t) fresh; // slots below this index were used before
    char unused_behind_shared[Q_CACHE_LINE];
};

// q_slotfree_init makes all of `capacity` slots free; capacity < Q_SLOTFREE_NONE. It allocates 4 bytes a slot. False
// when out of memory; the list is then in its zero state.
Q_MUST_USE bool q_slotfree_init(struct q_slotfree *f, const struct q_alloc *alloc, uint32_t capacity);

// q_slotfree_size gives the bytes that q_slotfree_init_in needs.
size_t q_slotfree_size(uint32_t capacity);

// q_slotfree_init_in is q_slotfree_init in the caller's memory, which holds zeros, is aligned to 4 and outlives the list. It
// cannot fail; nothing of that memory is touched before its slot is.
void q_slotfree_init_in(struct q_slotfree *f, void *memory, uint32_t capacity);

// q_slotfree_deinit frees the array. Nobody may use the list any more. Legal on a zeroed list.
void q_slotfree_deinit(struct q_slotfree *f);

// q_slotfree_take gives the index of a free slot, which is the caller's from here on, or Q_SLOTFREE_NONE when all are
// taken. What the last owner wrote to the slot before it gave it back is visible. Any thread.
Q_MUST_USE uint32_t q_slotfree_take(struct q_slotfree *f);

// q_slotfree_give gives a taken slot back. The caller may not touch the slot after it. Any thread.
void q_slotfree_give(struct q_slotfree *f, uint32_t index);

#endif

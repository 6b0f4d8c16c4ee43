// Slots: a type-stable table of objects named by {index, generation}. A name of a released slot never resolves again:
// release moves the generation on, and a slot whose generation would wrap is retired for ever. Memory of a slot is
// never given back while the table lives, so a late look at it is a look at a slot, never at a stranger.
//
// Objects live in blocks that are allocated as they are first needed and stay at their address.
// One owner: the loop thread (the table that hosts share is queue/slotfree.h).
#ifndef QUOIT_ENGINE_BASE_SLOTS_H
#define QUOIT_ENGINE_BASE_SLOTS_H

#include "engine/base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

struct q_handle {
    uint32_t index;
    uint32_t generation; // 0 is never live, so the zero handle names nothing
};

#define Q_SLOTS_PER_BLOCK 64
#define Q_SLOTS_NONE UINT32_MAX

struct q_slots {
    const struct q_alloc *alloc;
    char **blocks;
    size_t object_size;
    uint32_t capacity;   // most slots that there may ever be
    uint32_t made;       // slots that exist
    uint32_t live;
    uint32_t retired;
    uint32_t free_first; // LIFO: the warmest slot is used next
};

// q_slots_init prepares a table of at most `capacity` objects of `object_size` bytes. Only the array of block pointers
// is allocated. False when out of memory; the table is then in its zero state.
Q_MUST_USE bool q_slots_init(struct q_slots *slots, const struct q_alloc *alloc, size_t object_size,
                             uint32_t capacity);

// q_slots_deinit frees all blocks. No slot may be live (checked). Legal on a zeroed table.
void q_slots_deinit(struct q_slots *slots);

// q_slots_take gives a zeroed object and its handle, or NULL when the capacity or the memory is used up.
Q_MUST_USE void *q_slots_take(struct q_slots *slots, struct q_handle *out_handle);

// q_slots_get gives the object that `handle` names, or NULL when it is stale. Never reads outside the table.
void *q_slots_get(const struct q_slots *slots, struct q_handle handle);

// q_slots_release ends the life of a live object; its handle, and every copy of it, is stale from here on.
void q_slots_release(struct q_slots *slots, struct q_handle handle);

// q_slots_at gives the object in slot `index` if that slot is live, else NULL: for walks over all live objects.
void *q_slots_at(const struct q_slots *slots, uint32_t index, struct q_handle *out_handle);

#endif

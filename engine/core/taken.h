// Taken pieces: what hosts hold of chunks beyond their events (quoit_port_take). Each has a slot in a type-stable table,
// and the slice that the host gets names it by {generation:44, index:20}: so of all copies of a slice the first that is
// released counts, and any later one is found out, whatever has become of the chunk. Nothing that a slice says is believed.
//
// The slot's word is queue/askword.h's: "who gives this piece back?" is a question that is asked once and answered once.
// Who has taken the slot from the free list opens it; who answered it takes the answer, and gives the slot back.
// Generations begin apart in each engine, as those of requests do (core/request.h).
//
// Any thread; neither locks nor allocates.
#ifndef QUOIT_ENGINE_CORE_TAKEN_H
#define QUOIT_ENGINE_CORE_TAKEN_H

#include "engine/buf/chunk.h"
#include "engine/loop/sys_uring.h"
#include "engine/queue/askword.h"
#include "engine/queue/slotfree.h"

#define Q_TAKEN_INDEX_BITS (64 - Q_ASKWORD_GENERATION_BITS)
#define Q_TAKEN_PIECE_BYTES 256 // of the engine's memory, for each piece that can be taken at a time

struct q_taken_slot {
    struct q_askword word;
    struct q_chunk *chunk; // one hold
    uint64_t charge;
};

struct q_taken {
    struct q_sys_uring *sys;
    struct q_taken_slot *slots; // mapped: they cost nothing until they are used
    size_t mapped_size;
    uint64_t first; // generation of each slot; set before the first piece is taken
    struct q_slotfree free;
};

// q_taken_init makes room for as many pieces as `memory_max` bytes can hold. False: no memory.
Q_MUST_USE bool q_taken_init(struct q_taken *taken, struct q_sys_uring *sys, uint64_t memory_max);

// q_taken_deinit gives the table back; nobody uses it any more. Legal on a zeroed one.
void q_taken_deinit(struct q_taken *taken);

// q_taken_add takes over one hold on `chunk` and gives the piece's name; 0, and the hold stays the caller's: the table is
// full.
Q_MUST_USE uint64_t q_taken_add(struct q_taken *taken, struct q_chunk *chunk, uint64_t charge);

// q_taken_remove gives the chunk and charge of a piece, once for each name; NULL: no such piece, or not any more.
Q_MUST_USE struct q_chunk *q_taken_remove(struct q_taken *taken, uint64_t name, uint64_t *out_charge);

// q_taken_generations gives the most generations that any slot has had. Nobody uses the table at the time.
uint64_t q_taken_generations(const struct q_taken *taken);

#endif

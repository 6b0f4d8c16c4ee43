// Chunks: counted blocks of memory that carry bytes from the kernel to the host. A chunk belongs to a pool, and both
// belong to the loop; `refs` counts the loop's own holders (the parser, an entry of a port's event ring, a carry of a
// paused connection). When it reaches zero the chunk goes home to its pool.
//
// A host that takes a slice takes over one of those holds. It gives it back from any thread, without lock or
// allocation: q_chunk_return adds to one atomic word {slices:16, bytes:48} and, when the word was zero, tells the
// caller to push the chunk's own command on the submission queue. The loop drains the command and takes the word with
// one exchange (q_chunk_collect). The chunk cannot go home in between, because the hold that was given back is still
// counted until then. After a return that did not find zero a thread does not touch the chunk again.
//
// A budget bounds the memory of all pools together: it answers hosts and servers that make the engine hold more and
// more. What lies free in one pool of a budget makes room for another; when there is nothing left a pool gives NULL and
// the caller pauses its connection. Who could be paused for ever must not take what others need to go on: each use of
// memory has a bound of its own, and behind them all is a reserve for what is received.
#ifndef QUOIT_ENGINE_BUF_CHUNK_H
#define QUOIT_ENGINE_BUF_CHUNK_H

#include "engine/base/alloc.h"
#include "engine/base/slots.h"
#include "engine/queue/command.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// What a chunk is taken for, from the first to be refused to the last.
enum q_chunk_use {
    Q_CHUNK_FOR_HOST,   // what a host may keep as long as it likes: three quarters of what is not in reserve
    Q_CHUNK_FOR_HEAD,   // what a server may leave half done: all but the reserve
    Q_CHUNK_FOR_KERNEL, // what is received, and soon has gone on to one of the others: everything
};

struct q_chunk_budget {
    uint64_t limit;   // bytes
    uint64_t reserve; // of them; 0: each use may take all
    uint64_t used;    // bytes of all chunks that exist, headers included
    uint64_t out;         // of those that are taken
    uint64_t with_kernel; // of those, what lies with the kernel for receives: the reserve is about the others
    struct q_chunk_pool *first_pool; // all that share it
};

struct q_chunk_pool {
    const struct q_alloc *alloc;
    struct q_chunk_budget *budget;
    struct q_chunk_pool *next_pool; // of the budget
    struct q_chunk *free_first; // LIFO: warm memory first
    uint32_t capacity;          // bytes of data in each chunk
    uint32_t num_free;
    uint32_t num_free_max;      // kept whatever was needed lately
    uint32_t num_out;           // taken and not home yet
    uint32_t most_out;          // at once, in the last whole span of Q_CHUNK_SPAN chunks that came home
    uint32_t span_most_out;     // at once, in this span
    uint32_t span_left;
};

#define Q_CHUNK_SPAN 16384

struct q_chunk {
    // Shared with hosts: see the protocol above.
    struct q_command command;  // kind Q_COMMAND_CHUNK
    _Atomic(uint64_t) returned; // {slices:16, bytes:48}

    // Loop only.
    struct q_chunk_pool *pool;
    struct q_chunk *next; // in the list of whoever has it: the pool, or a receive that nobody has asked for yet
    struct q_handle owner; // the request whose credit the bytes count against; set by who lends
    uint32_t refs;
    uint32_t used; // bytes filled from the start, for who appends
    _Alignas(16) char data[];
};

// q_chunk_pool_init prepares an empty pool of chunks with `capacity` bytes. What comes home is kept for re-use: up to
// `num_free_max`, or to as many as were out at once lately, so that a steady load of any size allocates nothing; beyond
// that it is given back to the allocator. `budget` is shared with other pools and outlives them; the pool stays where
// it is until deinit.
void q_chunk_pool_init(struct q_chunk_pool *pool, const struct q_alloc *alloc, struct q_chunk_budget *budget,
                       uint32_t capacity, uint32_t num_free_max);

// q_chunk_pool_deinit frees the free chunks. None may be out (checked). Legal on a zeroed pool.
void q_chunk_pool_deinit(struct q_chunk_pool *pool);

// q_chunk_pool_prime makes sure that a take will succeed, allocating one chunk if none is free. False when memory is
// used up, or the budget for this use.
Q_MUST_USE bool q_chunk_pool_prime(struct q_chunk_pool *pool, enum q_chunk_use use);

// q_chunk_take gives an empty chunk with one hold, the caller's; NULL when memory is used up, or the budget for this use.
Q_MUST_USE struct q_chunk *q_chunk_take(struct q_chunk_pool *pool, enum q_chunk_use use);

// q_chunk_pool_size gives what one chunk of the pool takes of its budget.
static inline uint64_t q_chunk_pool_size(const struct q_chunk_pool *pool) {
    return sizeof(struct q_chunk) + pool->capacity;
}

// q_chunk_budget_is_plenty tells whether memory may be taken that nobody may come to need.
static inline bool q_chunk_budget_is_plenty(const struct q_chunk_budget *budget) {
    return budget->out <= budget->limit / 2;
}

// q_chunk_pool_allows tells whether the budget has one more chunk of the pool for this use.
bool q_chunk_pool_allows(const struct q_chunk_pool *pool, enum q_chunk_use use);

static inline struct q_chunk *q_chunk_acquire(struct q_chunk *chunk) {
    Q_ASSERT(chunk->refs > 0);
    chunk->refs++;
    return chunk;
}

// q_chunk_release drops one hold; the last one sends the chunk home. The caller must not touch it afterwards.
void q_chunk_release(struct q_chunk *chunk);

// q_chunk_return gives back a taken slice of `bytes` bytes. Any thread. True: the caller must push chunk->command.
Q_MUST_USE bool q_chunk_return(struct q_chunk *chunk, uint64_t bytes);

// q_chunk_collect, on the loop after it drained chunk->command, drops the holds that were given back and gives the
// number of their bytes. The chunk may be gone afterwards.
uint64_t q_chunk_collect(struct q_chunk *chunk);

#endif

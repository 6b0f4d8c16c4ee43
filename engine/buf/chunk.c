#include "engine/buf/chunk.h"

#define BYTES_BITS 48
#define BYTES_MASK ((UINT64_C(1) << BYTES_BITS) - 1)

void q_chunk_pool_init(struct q_chunk_pool *pool, const struct q_alloc *alloc, struct q_chunk_budget *budget,
                       uint32_t capacity, uint32_t num_free_max) {
    *pool = (struct q_chunk_pool){
        .alloc = alloc, .budget = budget, .capacity = capacity, .num_free_max = num_free_max, .span_left = Q_CHUNK_SPAN};
    pool->next_pool = budget->first_pool;
    budget->first_pool = pool;
}

static void destroy(struct q_chunk_pool *pool, struct q_chunk *chunk) {
    pool->budget->used -= q_chunk_pool_size(pool);
    q_alloc_free(pool->alloc, chunk, q_chunk_pool_size(pool));
}

static void destroy_one_free(struct q_chunk_pool *pool) {
    struct q_chunk *chunk = pool->free_first;
    pool->free_first = chunk->next;
    pool->num_free--;
    destroy(pool, chunk);
}

void q_chunk_pool_deinit(struct q_chunk_pool *pool) {
    Q_CHECK(pool->num_out == 0);
    while (pool->free_first != NULL) {
        destroy_one_free(pool);
    }
    struct q_chunk_pool **link = pool->budget == NULL ? NULL : &pool->budget->first_pool;
    while (link != NULL && *link != pool) {
        link = &(*link)->next_pool;
    }
    if (link != NULL) {
        *link = pool->next_pool;
    }
    pool->budget = NULL;
}

// Makes room in the budget out of what lies free in its other pools. What is out leaves room for `size`, as the caller
// knows, so there is enough.
static void make_room(struct q_chunk_budget *budget, size_t size) {
    for (struct q_chunk_pool *pool = budget->first_pool; pool != NULL; pool = pool->next_pool) {
        while (budget->used + size > budget->limit && pool->free_first != NULL) {
            destroy_one_free(pool);
        }
    }
    Q_ASSERT(budget->used + size <= budget->limit);
}

bool q_chunk_pool_allows(const struct q_chunk_pool *pool, enum q_chunk_use use) {
    const struct q_chunk_budget *budget = pool->budget;
    uint64_t common = budget->limit - budget->reserve;
    uint64_t kept = budget->out - budget->with_kernel + q_chunk_pool_size(pool);
    switch (budget->reserve == 0 ? Q_CHUNK_FOR_KERNEL : use) {
    case Q_CHUNK_FOR_HOST: return kept <= common / 4 * 3;
    case Q_CHUNK_FOR_HEAD: return kept <= common;
    case Q_CHUNK_FOR_KERNEL: break;
    }
    return budget->out + q_chunk_pool_size(pool) <= budget->limit;
}

bool q_chunk_pool_prime(struct q_chunk_pool *pool, enum q_chunk_use use) {
    if (!q_chunk_pool_allows(pool, use)) {
        return false;
    }
    if (pool->free_first != NULL) {
        return true;
    }
    size_t size = q_chunk_pool_size(pool);
    make_room(pool->budget, size);
    // Not zeroed: the data part is written before it is read, and 16 KiB of zeros per chunk would show.
    struct q_chunk *chunk = pool->alloc->allocate(pool->alloc->context, size);
    if (chunk == NULL) {
        return false;
    }
    pool->budget->used += size;
    *chunk = (struct q_chunk){.command = {.kind = Q_COMMAND_CHUNK}, .pool = pool};
    pool->free_first = chunk;
    pool->num_free = 1;
    return true;
}

struct q_chunk *q_chunk_take(struct q_chunk_pool *pool, enum q_chunk_use use) {
    if (!q_chunk_pool_prime(pool, use)) {
        return NULL;
    }
    struct q_chunk *chunk = pool->free_first;
    pool->free_first = chunk->next;
    pool->num_free--;
    pool->num_out++;
    pool->budget->out += q_chunk_pool_size(pool);
    if (pool->num_out > pool->span_most_out) {
        pool->span_most_out = pool->num_out;
    }
    Q_ASSERT(chunk->refs == 0);
    chunk->next = NULL;
    chunk->refs = 1;
    chunk->used = 0;
    chunk->owner = (struct q_handle){0};
    return chunk;
}

// Whether one more free chunk may soon be needed. Spans are counted and not timed: what nobody takes costs nobody time.
static bool is_worth_keeping(struct q_chunk_pool *pool) {
    uint32_t most = pool->span_most_out > pool->most_out ? pool->span_most_out : pool->most_out;
    if (--pool->span_left == 0) {
        pool->span_left = Q_CHUNK_SPAN;
        pool->most_out = pool->span_most_out;
        pool->span_most_out = pool->num_out;
    }
    return pool->num_free < pool->num_free_max || pool->num_free + pool->num_out < most;
}

void q_chunk_release(struct q_chunk *chunk) {
    Q_CHECK(chunk->refs > 0);
    if (--chunk->refs > 0) {
        return;
    }
    struct q_chunk_pool *pool = chunk->pool;
    pool->num_out--;
    pool->budget->out -= q_chunk_pool_size(pool);
    if (!is_worth_keeping(pool)) {
        destroy(pool, chunk);
        return;
    }
    chunk->next = pool->free_first;
    pool->free_first = chunk;
    pool->num_free++;
}

bool q_chunk_return(struct q_chunk *chunk, uint64_t bytes) {
    Q_ASSERT(bytes <= BYTES_MASK);
    // Release: what this thread read from the slice happened before the loop may reuse the memory. Acquire: who finds
    // zero will write the command's link, and the loop's last touch of that link, before its collect, comes first.
    return atomic_fetch_add_explicit(&chunk->returned, (UINT64_C(1) << BYTES_BITS) | bytes, memory_order_acq_rel) == 0;
}

uint64_t q_chunk_collect(struct q_chunk *chunk) {
    // Acquire and release: pairs with q_chunk_return, both ways.
    uint64_t word = atomic_exchange_explicit(&chunk->returned, 0, memory_order_acq_rel);
    uint64_t slices = word >> BYTES_BITS;
    Q_CHECK(slices > 0 && slices <= chunk->refs);
    chunk->refs -= (uint32_t)slices - 1;
    q_chunk_release(chunk);
    return word & BYTES_MASK;
}

// Provided buffers: one ring of buffers that all connections share. A buffer is a chunk; its id says where the kernel
// finds it and nothing about its place in the ring. Whatever was consumed is replaced before the next kernel entry, by
// the same chunk when it has come home, or by a spare when it was lent.
//
// The kernel has as many bytes at a time as `num_buffers` small buffers hold: a working set that stays in a core's cache.
// Where bodies stream fast, large buffers take the place of small ones: a piece costs the same whatever its size. They
// may count for more bytes than they hold: all of them are overwritten again and again, and what lies closer is faster, for
// the kernel and, by much, for who reads what comes (TLS). A large one that something small was received into is replaced by
// small ones again.
#define _GNU_SOURCE
#include "engine/loop/ring_internal.h"

#include <errno.h>

static size_t ring_bytes(const struct q_ring *ring) {
    return ring->options.num_buffers * sizeof(struct io_uring_buf);
}

struct q_error q_ring_buffers_init(struct q_ring *ring) {
    uint32_t count = ring->options.num_buffers;
    const struct q_alloc *alloc = ring->options.alloc;
    ring->buffer_chunks = q_alloc_new_array(alloc, count, sizeof *ring->buffer_chunks);
    ring->buffer_free_ids = q_alloc_new_array(alloc, count, sizeof *ring->buffer_free_ids);
    ring->buffers_behind = q_alloc_new_array(alloc, count, sizeof *ring->buffers_behind);
    ring->maps.buffers_size = ring_bytes(ring);
    ring->maps.buffers = ring->sys->map_memory(ring->sys, ring->maps.buffers_size);
    if (ring->buffer_chunks == NULL || ring->buffer_free_ids == NULL || ring->buffers_behind == NULL ||
        ring->maps.buffers == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)ring->maps.buffers,
        .ring_entries = count,
        .bgid = Q_RING_BUFFER_GROUP,
    };
    int result = q_ring_register(ring, IORING_REGISTER_PBUF_RING, &registration, 1);
    for (int pauses = 0; result == -ENOMEM && pauses < Q_RING_MEMLOCK_PAUSES_MAX; pauses++) {
        ring->sys->pause_ms(ring->sys, Q_RING_MEMLOCK_PAUSE_MS);
        result = q_ring_register(ring, IORING_REGISTER_PBUF_RING, &registration, 1);
    }
    if (result < 0) {
        return q_error_os(result == -ENOMEM ? Q_ERR_RING_MEMLOCK : Q_ERR_RING_TOO_OLD, Q_PHASE_CREATE, -result);
    }
    io_uring_buf_ring_init(ring->maps.buffers);
    for (uint32_t id = count; id-- > 0;) {
        ring->buffer_free_ids[ring->num_buffer_free_ids++] = (uint16_t)id;
    }
    return Q_OK;
}

void q_ring_buffers_deinit(struct q_ring *ring) {
    uint32_t count = ring->options.num_buffers;
    for (uint32_t id = 0; ring->buffer_chunks != NULL && id < count; id++) {
        if (ring->buffer_chunks[id] != NULL) {
            q_chunk_release(q_ring_buffers_consume(ring, id));
        }
    }
    q_alloc_free(ring->options.alloc, ring->buffer_chunks, count * sizeof *ring->buffer_chunks);
    q_alloc_free(ring->options.alloc, ring->buffer_free_ids, count * sizeof *ring->buffer_free_ids);
    q_alloc_free(ring->options.alloc, ring->buffers_behind, count * sizeof *ring->buffers_behind);
    if (ring->maps.buffers != NULL) {
        ring->sys->unmap(ring->sys, ring->maps.buffers, ring->maps.buffers_size);
    }
}

static uint32_t bytes_wanted(const struct q_ring *ring) {
    return ring->options.num_buffers * ring->options.buffer_pool->capacity;
}

// What a buffer takes of the bytes that are wanted.
static uint32_t weight_of(const struct q_ring *ring, const struct q_chunk_pool *pool) {
    return pool == ring->options.large_pool ? pool->capacity * ring->options.large_weight : pool->capacity;
}

// Gives a buffer for the kernel, of at most `room` bytes; NULL when memory is used up, or the budget.
static struct q_chunk *take_buffer(struct q_ring *ring, uint32_t room) {
    struct q_chunk_pool *large = ring->options.large_pool;
    if (large != NULL && ring->large_due >= large->capacity && room >= weight_of(ring, large) &&
        q_chunk_budget_is_plenty(large->budget)) {
        ring->large_due -= large->capacity;
        struct q_chunk *chunk = q_chunk_take(large, Q_CHUNK_FOR_KERNEL);
        if (chunk != NULL) {
            return chunk;
        }
    }
    return q_chunk_take(ring->options.buffer_pool, Q_CHUNK_FOR_KERNEL);
}

void q_ring_buffers_refill(struct q_ring *ring) {
    int added = 0;
    int mask = io_uring_buf_ring_mask(ring->options.num_buffers);
    uint32_t wanted = bytes_wanted(ring);
    while (ring->buffer_bytes + ring->options.buffer_pool->capacity <= wanted) {
        struct q_chunk *chunk = take_buffer(ring, wanted - ring->buffer_bytes);
        if (chunk == NULL) {
            break; // budget or memory: the kernel has fewer buffers until some come home
        }
        uint16_t id = ring->buffer_free_ids[--ring->num_buffer_free_ids];
        ring->buffer_chunks[id] = chunk;
        ring->buffer_bytes += weight_of(ring, chunk->pool);
        chunk->pool->budget->with_kernel += q_chunk_pool_size(chunk->pool);
        ring->buffers_behind[ring->last_buffer] = id;
        ring->last_buffer = id;
        io_uring_buf_ring_add(ring->maps.buffers, chunk->data, chunk->pool->capacity, id, mask, added++);
    }
    if (added > 0) {
        io_uring_buf_ring_advance(ring->maps.buffers, added);
    }
    ring->stats.num_buffers += (uint32_t)added;
    ring->stats.is_dry = ring->stats.num_buffers == 0;
}

struct q_chunk *q_ring_buffers_consume(struct q_ring *ring, unsigned buffer_id) {
    Q_CHECK(buffer_id < ring->options.num_buffers && ring->buffer_chunks[buffer_id] != NULL);
    struct q_chunk *chunk = ring->buffer_chunks[buffer_id];
    ring->buffer_chunks[buffer_id] = NULL;
    ring->buffer_free_ids[ring->num_buffer_free_ids++] = (uint16_t)buffer_id;
    ring->stats.num_buffers--;
    ring->buffer_bytes -= weight_of(ring, chunk->pool);
    chunk->pool->budget->with_kernel -= q_chunk_pool_size(chunk->pool);
    return chunk;
}

// A completion that has filled a large buffer's worth of buffers at once would have filled large ones.
static void note_run(struct q_ring *ring, uint32_t len) {
    const struct q_chunk_pool *large = ring->options.large_pool;
    if (large != NULL && len >= large->capacity) {
        uint32_t most = bytes_wanted(ring);
        ring->large_due = len < most - ring->large_due ? ring->large_due + len : most;
    }
}

struct q_chunk *q_ring_buffers_take(struct q_ring *ring, const struct io_uring_cqe *cqe, struct q_chunk **out_last) {
    struct q_chunk *first = NULL;
    struct q_chunk **link = &first;
    uint32_t left = cqe->res > 0 ? (uint32_t)cqe->res : 0;
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    bool has_more = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    note_run(ring, left);
    for (; has_more; id = ring->buffers_behind[id]) {
        struct q_chunk *chunk = q_ring_buffers_consume(ring, id);
        chunk->used = left < chunk->pool->capacity ? left : chunk->pool->capacity;
        left -= chunk->used;
        *link = *out_last = chunk;
        link = &chunk->next;
        has_more = left > 0;
    }
    return first;
}

void q_ring_buffers_release(struct q_chunk *first) {
    while (first != NULL) {
        struct q_chunk *chunk = first;
        first = chunk->next;
        chunk->next = NULL;
        q_chunk_release(chunk);
    }
}

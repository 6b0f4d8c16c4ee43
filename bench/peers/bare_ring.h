// The bare client's ring, set up as cheaply as the kernel offers: one issuer, deferred task work, the ring's own
// descriptor registered, sockets in its file table, receives into provided buffers. One thread uses it.
#ifndef QUOIT_BENCH_PEERS_BARE_RING_H
#define QUOIT_BENCH_PEERS_BARE_RING_H

#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

#include "bench/peers/options.h"

struct bare_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers; // what the kernel takes buffers from
    char *memory;                      // of the buffers
    unsigned buffer_bytes;
    unsigned num_buffers;
    unsigned num_returned; // since the last bare_ring_publish
    enum peer_receive receive;
};

// bare_ring_init makes the ring with `files` empty slots for sockets, or ends the process.
void bare_ring_init(struct bare_ring *ring, const struct peer_options *options, unsigned files);

void bare_ring_deinit(struct bare_ring *ring);

// bare_ring_sqe gives the next entry; it submits what is there when the queue is full.
struct io_uring_sqe *bare_ring_sqe(struct bare_ring *ring);

// bare_ring_receive arms a receive on a slot, by the strategy of the command line.
struct io_uring_sqe *bare_ring_receive(struct bare_ring *ring, unsigned slot, uint64_t user_data);

// bare_ring_give_back returns the buffers of a receive's completion, in the order in which the kernel took them: a bundle
// names the first alone, and the others are those behind it.
void bare_ring_give_back(struct bare_ring *ring, const struct io_uring_cqe *cqe);

// bare_ring_buffer gives the memory of a buffer.
static inline const uint8_t *bare_ring_buffer(const struct bare_ring *ring, unsigned id) {
    return (const uint8_t *)ring->memory + (size_t)id * ring->buffer_bytes;
}

// bare_ring_publish shows the kernel what was given back, in one store.
void bare_ring_publish(struct bare_ring *ring);

#endif

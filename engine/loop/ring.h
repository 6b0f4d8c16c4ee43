// The ring: io.h on io_uring. Sockets are direct descriptors in slots that the ring allocates itself; receives pick
// from one ring of provided buffers that all connections share; a sleeping ring is woken by a futex operation (or a
// polled eventfd). Which of the newer kernel features are used is a ladder: each rung is probed by trying it, never
// by version, and can be forced off by a mask.
//
// Life: q_ring_create on the loop thread (or, host-driven, on any thread with the ring disabled, and q_ring_enable on
// the loop thread) -> turns -> all slots closed -> q_ring_destroy on the loop thread.
#ifndef QUOIT_ENGINE_LOOP_RING_H
#define QUOIT_ENGINE_LOOP_RING_H

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/loop/io.h"
#include "engine/loop/sys_uring.h"

// Bounds a turn, so that timers and the submission queue are never starved by a flood of completions.
#define Q_RING_COMPLETIONS_PER_TURN 256

// Equal to enum quoit_capability of the public header; a test compares the two.
enum q_ring_capability {
    Q_RING_DEFER_TASKRUN = 1 << 0,
    Q_RING_HIDDEN = 1 << 1,
    Q_RING_DIRECT_SOCKET = 1 << 2,
    Q_RING_FUTEX_DOORBELL = 1 << 3,
    Q_RING_NO_IOWAIT = 1 << 4,
    Q_RING_DIRECT_BIND = 1 << 5,
    Q_RING_RECV_MULTISHOT = 1 << 6,
    Q_RING_RECV_BUNDLE = 1 << 7,
    Q_RING_CAPABILITIES = (1 << 8) - 1,
};

struct q_ring;

struct q_ring_options {
    struct q_sys_uring *sys;
    const struct q_alloc *alloc;
    const struct q_clock *clock;
    const struct q_log *log;
    struct q_doorbell *doorbell;      // hung up by the ring; the owner takes it down when no thread can ring it
    struct q_chunk_pool *buffer_pool; // where receive buffers come from and go home to
    struct q_chunk_pool *large_pool;  // likewise, of several times the size, for what streams fast; NULL: none
    uint32_t large_weight;            // how often a large one's bytes count in place of small ones'; 1 at least
    uint32_t num_buffers;             // of buffer_pool's, lent to the kernel at a time, or large ones in their place;
                                      // a power of two
    uint32_t num_slots;               // size of the file table; at least 2: the doorbell has one
    uint32_t sq_entries;
    uint32_t cq_entries;
    uint32_t capabilities_off;
    bool host_driven;                 // made disabled, with an eventfd that tells of completions
};

// q_ring_create makes a ring and proves it with a first operation (host-driven: in q_ring_enable). What `options`
// points at outlives the ring. Errors: NO_MEMORY, FD_LIMIT, and RING_* naming the cause; nothing is left behind.
Q_MUST_USE struct q_error q_ring_create(const struct q_ring_options *options, struct q_ring **out);

// q_ring_enable binds a host-driven ring to the calling thread, which becomes the loop thread, and proves it.
Q_MUST_USE struct q_error q_ring_enable(struct q_ring *ring);

// q_ring_destroy gives everything back but the doorbell: threads that are about to ring it may come later still. All
// slots must have been closed (checked).
void q_ring_destroy(struct q_ring *ring);

// q_ring_take_down_bell closes what the ring hung the doorbell on. Nobody rings it any more; a second call does nothing.
void q_ring_take_down_bell(struct q_sys_uring *sys, struct q_doorbell *bell);

// q_ring_io gives the seam's view of the ring.
struct q_io *q_ring_io(struct q_ring *ring);

// q_ring_capabilities gives the rungs in use, enum q_ring_capability bits. Constant once bound to a thread.
uint32_t q_ring_capabilities(const struct q_ring *ring);
// q_ring_sq_entries gives the submission queue's size, which may be less than was asked for. Constant.
uint32_t q_ring_sq_entries(const struct q_ring *ring);
// q_ring_cq_entries gives the completion queue's size, likewise. Constant.
uint32_t q_ring_cq_entries(const struct q_ring *ring);

// q_ring_event_fd gives the eventfd of a host-driven ring, else -1. It is the doorbell's, and goes with it; any thread
// may poll it.
int q_ring_event_fd(const struct q_ring *ring);

// q_ring_quiesce cancels the ring's own operations (the doorbell's); turns must follow until it gives true.
bool q_ring_quiesce(struct q_ring *ring);

// q_ring_refusal names the cause of a refused io_uring_setup(2) from its errno and, for EPERM, from the sysctl's text
// (`sysctl_text` as read from /proc/sys/kernel/io_uring_disabled, or NULL when it cannot be read).
struct q_error q_ring_refusal(int os_errno, const char *sysctl_text);

#endif

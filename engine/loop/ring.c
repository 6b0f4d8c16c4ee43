// The turn: everything that was started goes to the kernel, and everything that is done comes back, in one entry.
//
// From liburing only the inline helpers are used, on a struct io_uring that ring_setup.c fills. Its register and exit
// calls would use a descriptor number that we have closed and a stranger may own by now.
#define _GNU_SOURCE
#include "engine/loop/ring_internal.h"

#include "engine/base/clock.h"
#include "engine/loop/wheel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

unsigned q_ring_flush(struct q_ring *ring) {
    struct io_uring_sq *sq = &ring->uring.sq;
    unsigned tail = *sq->ktail;
    while (sq->sqe_head != sq->sqe_tail) {
        sq->array[tail & sq->ring_mask] = sq->sqe_head & sq->ring_mask;
        tail++;
        sq->sqe_head++;
    }
    // Release: the kernel that sees the tail sees the entries. (One thread submits, so the head only grows under us.)
    io_uring_smp_store_release(sq->ktail, tail);
    return tail - io_uring_smp_load_acquire(sq->khead);
}

// Results of io_uring_enter(2) that the loop lives with: interrupted, timed out, completion queue full (reap first),
// memory short for the moment.
bool q_ring_is_bearable(int result) {
    return result == -EINTR || result == -ETIME || result == -EBUSY || result == -EAGAIN || result == -ENOMEM;
}

int q_ring_try_enter(struct q_ring *ring, unsigned to_submit, unsigned min_complete, const struct q_io_turn *turn) {
    struct __kernel_timespec timeout;
    struct io_uring_getevents_arg arg = {0};
    unsigned flags = ring->enter_flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (min_complete > 0 && turn->deadline_ns != Q_WHEEL_NEVER) {
        // The caller never sleeps with a deadline that has passed: a wait with a timeout of zero costs a hundred
        // times what not waiting costs.
        uint64_t wait_ns = turn->deadline_ns - turn->now_ns;
        timeout.tv_sec = (long long)(wait_ns / Q_NS_PER_S);
        timeout.tv_nsec = (long long)(wait_ns % Q_NS_PER_S);
        arg.ts = (uint64_t)(uintptr_t)&timeout;
    }
    int result = ring->sys->enter(ring->sys, ring->enter_fd, to_submit, min_complete, flags, &arg, sizeof arg);
    ring->stats.enters++;
    return result;
}

int q_ring_enter(struct q_ring *ring, unsigned to_submit, unsigned min_complete, const struct q_io_turn *turn) {
    int result = q_ring_try_enter(ring, to_submit, min_complete, turn);
    Q_CHECK(result >= 0 || q_ring_is_bearable(result));
    return result;
}

void q_ring_reserve_sqes(struct q_ring *ring, unsigned count) {
    Q_ASSERT(count <= ring->uring.sq.ring_entries);
    // A kernel short of memory may consume nothing; it recovers, since what it consumed before completes.
    while (io_uring_sq_space_left(&ring->uring) < count) {
        q_ring_enter(ring, q_ring_flush(ring), 0, NULL);
    }
}

struct io_uring_sqe *q_ring_sqe(struct q_ring *ring, enum q_io_kind kind, struct q_io_slot slot) {
    q_ring_reserve_sqes(ring, 1);
    struct io_uring_sq *sq = &ring->uring.sq;
    struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->user_data = q_io_user_data(kind, slot); // liburing's prep helpers leave this field alone
    struct ring_slot *entry = q_ring_slot(ring, slot);
    Q_CHECK(entry != NULL && entry->in_flight < UINT16_MAX);
    entry->in_flight++;
    return sqe;
}

// The doorbell is armed only when the loop is about to sleep, and stays armed until it rings. `bell_value` was read
// before the queue was parked: a producer that rang in between has changed it, and the wait ends at once.
static void arm_doorbell(struct q_ring *ring, uint32_t bell_value) {
    if (ring->bell_armed || ring->bell_closing || ring->options.host_driven) {
        return; // host-driven, the bell rings at the host itself
    }
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_WAKE, ring->bell_slot);
    if (ring->capabilities & Q_RING_FUTEX_DOORBELL) {
        io_uring_prep_rw(Q_URING_OP_FUTEX_WAIT, sqe, Q_URING_FUTEX2_SIZE_U32 | Q_URING_FUTEX2_PRIVATE,
                         &ring->options.doorbell->word, 0, bell_value);
        sqe->addr3 = Q_URING_FUTEX_MATCH_ANY;
    } else {
        io_uring_prep_poll_add(sqe, (int)ring->bell_slot.index, POLLIN);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    ring->bell_armed = true;
}

// Whether the kernel says that an entry would bring something at once.
static bool has_kernel_work(const struct q_ring *ring) {
    unsigned kernel_flags = io_uring_smp_load_acquire(ring->uring.sq.kflags);
    return (kernel_flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

// Brings a bounded number. Behind is who has not brought all that had come when he last was not: so he is for as many
// turns as the completion queue has bounds in it, at most, however fast more comes.
static enum q_io_rest reap(struct q_ring *ring, struct q_list *out_done) {
    struct io_uring_cq *cq = &ring->uring.cq;
    unsigned head = *cq->khead;
    unsigned tail = io_uring_smp_load_acquire(cq->ktail);
    if ((int)(ring->known_tail - head) <= 0) {
        ring->known_tail = tail;
    }
    unsigned count = 0;
    for (; head != tail && count < Q_RING_COMPLETIONS_PER_TURN; head++, count++) {
        struct io_uring_cqe cqe = cq->cqes[head & cq->ring_mask];
        q_ring_complete(ring, &cqe, out_done);
    }
    io_uring_smp_store_release(cq->khead, head);
    ring->stats.completions += count;
    return (int)(ring->known_tail - head) > 0 ? Q_IO_REST_BEHIND : head != tail ? Q_IO_REST_MORE : Q_IO_REST_NONE;
}

static enum q_io_rest turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    struct q_ring *ring = q_ring_of(io);
    ring->stats.turns++;
    q_ring_buffers_refill(ring);
    q_ring_recv_cancel_unwanted(ring);
    q_ring_recv_feed_starved(ring);
    if (turn->is_idle) {
        arm_doorbell(ring, turn->bell_value);
    }
    unsigned to_submit = q_ring_flush(ring);
    unsigned kernel_flags = io_uring_smp_load_acquire(ring->uring.sq.kflags);
    ring->stats.overflows += (kernel_flags & IORING_SQ_CQ_OVERFLOW) != 0;
    bool enters = to_submit > 0 || turn->may_sleep || has_kernel_work(ring);
    // With work pending in the kernel the wait would return at once anyhow, so the deadline does not matter.
    int entered = enters ? q_ring_enter(ring, to_submit, turn->may_sleep ? 1 : 0, turn) : 0;
    uint64_t completions = ring->stats.completions;
    enum q_io_rest rest = reap(ring, out_done);
    // Kernel 6.18 leaves the flag of pending task work up at times when there is none, until there is some again. So it is
    // not believed behind an entry that brought nothing: a wait runs what is pending all the same, and a host that waits
    // by itself is asked to come back soon.
    bool is_fruitless = enters && entered >= 0 && to_submit == 0 && !turn->may_sleep &&
                        ring->stats.completions == completions;
    ring->stats.is_doubtful = is_fruitless && has_kernel_work(ring);
    bool has_more = (has_kernel_work(ring) && !is_fruitless) || io_uring_sq_ready(&ring->uring) > 0;
    return rest == Q_IO_REST_NONE && has_more ? Q_IO_REST_MORE : rest;
}

bool q_ring_quiesce(struct q_ring *ring) {
    if (!ring->bell_closing && ring->bell_armed) {
        struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_CANCEL, ring->bell_slot);
        io_uring_prep_cancel64(sqe, q_io_user_data(Q_IO_WAKE, ring->bell_slot), 0);
    }
    ring->bell_closing = true;
    struct ring_slot *bell = q_ring_slot(ring, ring->bell_slot); // NULL: host-driven
    return bell == NULL || bell->in_flight == 0;
}

static bool has_news(const struct q_io *io) {
    const struct q_ring *ring = (const struct q_ring *)(const void *)io;
    return has_kernel_work(ring) || *ring->uring.cq.khead != io_uring_smp_load_acquire(ring->uring.cq.ktail);
}

static void flush(struct q_io *io) {
    struct q_ring *ring = q_ring_of(io);
    unsigned to_submit = q_ring_flush(ring);
    if (to_submit > 0) {
        q_ring_enter(ring, to_submit, 0, NULL);
    }
}

static bool has_started(const struct q_io *io) {
    const struct q_ring *ring = (const struct q_ring *)(const void *)io;
    return ring->uring.sq.sqe_head != ring->uring.sq.sqe_tail || q_ring_recv_has_work(ring);
}

static const struct q_io_stats *get_stats(const struct q_io *io) {
    return &((const struct q_ring *)(const void *)io)->stats;
}

struct q_io *q_ring_io(struct q_ring *ring) { return &ring->io; }
uint32_t q_ring_capabilities(const struct q_ring *ring) { return ring->capabilities; }
uint32_t q_ring_sq_entries(const struct q_ring *ring) { return ring->uring.sq.ring_entries; }
uint32_t q_ring_cq_entries(const struct q_ring *ring) { return ring->uring.cq.ring_entries; }
int q_ring_event_fd(const struct q_ring *ring) { return ring->event_fd; }

const struct q_io_vtable q_ring_vtable = {
    .open = q_ring_op_open,
    .install = q_ring_op_install,
    .connect = q_ring_op_connect,
    .recv = q_ring_op_recv,
    .collect = q_ring_op_collect,
    .has_unasked = q_ring_op_has_unasked,
    .send = q_ring_op_send,
    .shutdown = q_ring_op_shutdown,
    .read_file = q_ring_op_read_file,
    .close = q_ring_op_close,
    .signal = q_ring_op_signal,
    .has_started = has_started,
    .has_news = has_news,
    .flush = flush,
    .turn = turn,
    .stats = get_stats,
};

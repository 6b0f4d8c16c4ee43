// Receiving. The owner asks once and is brought one buffer's worth, whatever the kernel was asked for beneath it:
//
//   single-shot   one receive for one ask, of one buffer;
//   bundle        likewise, of several buffers at once, when the owner would take them;
//   multishot     one receive that goes on by itself, for an owner that takes whatever comes, again and again: small
//                 responses on a connection that is used again.
//
// What the kernel brings before the owner asks for it is *unasked*: it waits on its slot, in its order, and is what the
// next ask is answered with, without the kernel. So pausing is not asking, with each strategy alike. A multishot receive
// whose owner has paused, or has set a bound, is cancelled with the next kernel entry; until then it adds no more than
// one entry can bring. Single-shot follows only behind its last completion, so that bytes cannot change places.
//
// Unasked bytes take memory that nobody may want. So both fast ways are for when memory is plenty, and neither is used
// before it is known to pay: the first ask on a connection brings one buffer.
#define _GNU_SOURCE
#include "engine/loop/ring_internal.h"

#include <errno.h>

static struct q_io_slot name_of(const struct q_ring *ring, const struct ring_slot *slot) {
    return (struct q_io_slot){.generation = slot->generation, .index = (uint32_t)(slot - ring->slots)};
}

static void stand_in(struct ring_slot *slot, struct q_list *line, enum ring_recv_place place) {
    Q_ASSERT(slot->recv.place == RECV_NOWHERE);
    q_list_push_back(line, &slot->recv.link);
    slot->recv.place = (uint8_t)place;
}

static void leave_line(struct ring_slot *slot) {
    if (slot->recv.place != RECV_NOWHERE) {
        q_list_remove(&slot->recv.link);
        slot->recv.place = RECV_NOWHERE;
    }
}

static bool has_unasked(const struct ring_slot *slot) { return slot->recv.first != NULL || slot->recv.has_ended; }

// --- asking the kernel ---------------------------------------------------------------------------------------------

static void arm(struct q_ring *ring, struct ring_slot *slot) {
    struct q_io_slot name = name_of(ring, slot);
    struct ring_recv *recv = &slot->recv;
    uint32_t len = ring->options.buffer_pool->capacity;
    unsigned flags = 0;
    bool is_plenty = q_chunk_budget_is_plenty(ring->options.buffer_pool->budget);
    recv->is_armed = true;
    recv->is_multishot = false;
    if (recv->is_steady && (ring->capabilities & Q_RING_RECV_MULTISHOT) != 0 && is_plenty) {
        recv->is_multishot = true;
        flags = IORING_RECV_MULTISHOT;
        len = 0; // of a buffer
    } else if (recv->most != Q_IO_RECV_ANY && recv->most > len && (ring->capabilities & Q_RING_RECV_BUNDLE) != 0 &&
               is_plenty) {
        flags = Q_URING_RECVSEND_BUNDLE;
        len = recv->most; // the kernel may go beyond it, as far as there are buffers, when that much was there
    }
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_RECV, name);
    io_uring_prep_recv(sqe, (int)name.index, NULL, len, 0);
    sqe->ioprio = (uint16_t)flags;
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = Q_RING_BUFFER_GROUP;
}

void q_ring_op_recv(struct q_io *io, struct q_io_slot name, struct q_io_op *op, uint32_t most) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    q_ring_start(slot, SLOT_OP_RECV, op, Q_IO_RECV);
    // Steady is who has been answered as he asked, and asks for the same again.
    slot->recv.is_steady = most == Q_IO_RECV_ANY && slot->recv.most == Q_IO_RECV_ANY;
    slot->recv.most = most;
    leave_line(slot);
    if (has_unasked(slot)) {
        stand_in(slot, &ring->ready_slots, RECV_READY);
    } else if (!slot->recv.is_armed) {
        arm(ring, slot);
    } else if (slot->recv.is_multishot && most != Q_IO_RECV_ANY && !slot->recv.is_canceling) {
        stand_in(slot, &ring->unwanted_slots, RECV_UNWANTED);
    }
}

void q_ring_recv_cancel_unwanted(struct q_ring *ring) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(&ring->unwanted_slots)) != NULL) {
        struct ring_slot *slot = q_container_of(node, struct ring_slot, recv.link);
        slot->recv.place = RECV_NOWHERE;
        slot->recv.is_canceling = true;
        struct q_io_slot name = name_of(ring, slot);
        struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_CANCEL, name);
        io_uring_prep_cancel64(sqe, q_io_user_data(Q_IO_RECV, name), 0);
    }
}

// It found nothing when the receive has ended by itself, which its own completion tells; should it be there all the
// same, it may be cancelled again. Any other answer means that its end is on its way.
void q_ring_recv_cancel_done(struct ring_slot *slot, int32_t result) {
    if (result == -ENOENT) {
        slot->recv.is_canceling = false;
    }
}

// Receives that found no buffer are armed again once there is one. Arming with none would fail at once, and spin.
void q_ring_recv_feed_starved(struct q_ring *ring) {
    // No more than there are buffers: the others would come back at once.
    uint32_t left = ring->stats.num_buffers;
    struct q_list_node *node;
    while (left > 0 && (node = q_list_pop_front(&ring->starved_slots)) != NULL) {
        struct ring_slot *slot = q_container_of(node, struct ring_slot, recv.link);
        slot->recv.place = RECV_NOWHERE;
        left--;
        arm(ring, slot);
    }
}

bool q_ring_recv_has_work(const struct q_ring *ring) {
    return !q_list_is_empty(&ring->ready_slots) || !q_list_is_empty(&ring->unwanted_slots) ||
           (!q_list_is_empty(&ring->starved_slots) && !ring->stats.is_dry);
}

// --- what it brings ------------------------------------------------------------------------------------------------

// Answers the owner's ask with the first of what is there.
static void bring_one(struct ring_slot *slot, struct q_list *out_done) {
    struct ring_recv *recv = &slot->recv;
    struct q_io_op *op = slot->ops[SLOT_OP_RECV];
    struct q_chunk *chunk = recv->first;
    if (chunk == NULL) {
        recv->has_ended = false;
        op->is_fin = recv->is_fin;
        q_ring_finish(slot, SLOT_OP_RECV, recv->end, out_done);
        return;
    }
    recv->first = chunk->next;
    chunk->next = NULL;
    op->is_fin = false;
    op->chunk = chunk;
    q_ring_finish(slot, SLOT_OP_RECV, (int32_t)chunk->used, out_done);
}

bool q_ring_op_collect(struct q_io *io, struct q_list *out_done) {
    struct q_ring *ring = q_ring_of(io);
    bool has_any = false;
    struct q_list_node *node;
    while ((node = q_list_pop_front(&ring->ready_slots)) != NULL) {
        struct ring_slot *slot = q_container_of(node, struct ring_slot, recv.link);
        slot->recv.place = RECV_NOWHERE;
        bring_one(slot, out_done);
        has_any = true;
    }
    return has_any;
}

bool q_ring_op_has_unasked(struct q_io *io, struct q_io_slot name) {
    return has_unasked(q_ring_slot_in_state(q_ring_of(io), name, SLOT_OPEN));
}

static void note_end(struct ring_recv *recv, const struct io_uring_cqe *cqe) {
    recv->has_ended = true;
    recv->end = cqe->res;
    // Behind a FIN the kernel hints at more for ever; behind a reset that a send was told of, it does not.
    recv->is_fin = cqe->res == 0 && (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
}

void q_ring_recv_drop(struct ring_slot *slot) {
    leave_line(slot);
    slot->recv.has_ended = false;
    q_ring_buffers_release(slot->recv.first);
    slot->recv.first = NULL;
}

// Nothing is there and the kernel is asked for nothing, but the owner asks.
static void ask_again(struct q_ring *ring, struct ring_slot *slot, bool is_starved) {
    if (is_starved) {
        ring->stats.buffers_starved++;
        stand_in(slot, &ring->starved_slots, RECV_STARVED);
    } else {
        arm(ring, slot);
    }
}

void q_ring_recv_complete(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                          const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)name;
    struct ring_recv *recv = &slot->recv;
    bool was_canceled = recv->is_canceling && cqe->res == -ECANCELED;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        recv->is_armed = false;
        recv->is_canceling = false;
        if (recv->place == RECV_UNWANTED) {
            leave_line(slot);
        }
    }
    struct q_chunk *last = NULL;
    struct q_chunk *first = q_ring_buffers_take(ring, cqe, &last);
    if (slot->state == SLOT_CLOSING) {
        q_ring_buffers_release(first); // its op ends with the slot
        return;
    }
    if (cqe->res > 0) {
        Q_CHECK(first != NULL);
        *(recv->first == NULL ? &recv->first : &recv->last->next) = first;
        recv->last = last;
    } else {
        q_ring_buffers_release(first); // a buffer may be consumed and reported with any result
        // Out of buffers is never an error: nothing is lost, and it can hide the end of the stream.
        if (cqe->res != -ENOBUFS && !was_canceled) {
            note_end(recv, cqe);
        }
    }
    bool is_asked = slot->ops[SLOT_OP_RECV] != NULL && recv->place == RECV_NOWHERE;
    if (is_asked && has_unasked(slot)) {
        bring_one(slot, out_done);
    } else if (is_asked && !recv->is_armed) {
        ask_again(ring, slot, cqe->res == -ENOBUFS);
    } else if (slot->ops[SLOT_OP_RECV] == NULL && recv->is_armed && recv->is_multishot && !recv->is_canceling &&
               recv->place == RECV_NOWHERE) {
        stand_in(slot, &ring->unwanted_slots, RECV_UNWANTED); // unless the owner asks before the next kernel entry
    }
}

// Starting operations and ending them. Accounting is by slot: each SQE that names a slot is counted in its in_flight
// until its final CQE, so that closing can wait for zero; no SQE of ours ever skips its CQE, since a failed member of
// a chain would swallow those behind it and the count would hang.
#define _GNU_SOURCE
#include "engine/loop/ring_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

struct ring_slot *q_ring_slot(struct q_ring *ring, struct q_io_slot name) {
    if (name.index >= ring->slots_made) {
        return NULL;
    }
    struct ring_slot *slot = &ring->slots[name.index];
    return slot->generation == name.generation && slot->state != SLOT_FREE ? slot : NULL;
}

struct ring_slot *q_ring_slot_in_state(struct q_ring *ring, struct q_io_slot name, enum ring_slot_state state) {
    struct ring_slot *slot = q_ring_slot(ring, name);
    Q_CHECK(slot != NULL && slot->state == state);
    return slot;
}

struct q_error q_ring_op_open(struct q_io *io, struct q_io_slot *out) {
    struct q_ring *ring = q_ring_of(io);
    uint32_t index = ring->slot_free_first;
    if (index != Q_RING_SLOT_NONE) {
        ring->slot_free_first = ring->slots[index].next_free;
    } else if (ring->slots_made < ring->options.num_slots) {
        index = ring->slots_made++;
        ring->slots[index].generation = 1;
    } else {
        return q_error_make(Q_ERR_FD_LIMIT, Q_PHASE_CONNECT);
    }
    struct ring_slot *slot = &ring->slots[index];
    *slot = (struct ring_slot){.generation = slot->generation, .state = SLOT_OPEN};
    ring->stats.slots_open++;
    *out = (struct q_io_slot){.generation = slot->generation, .index = index};
    return Q_OK;
}

// The slot is free from here on, and every name of it is stale.
static void free_slot(struct q_ring *ring, struct ring_slot *slot) {
    slot->state = SLOT_FREE;
    ring->stats.slots_open--;
    if (slot->generation == Q_IO_GENERATION_MAX) {
        return; // retired: one more use would repeat a name
    }
    slot->generation++;
    slot->next_free = ring->slot_free_first;
    ring->slot_free_first = (uint32_t)(slot - ring->slots);
}

struct q_error q_ring_op_install(struct q_io *io, int fd, struct q_io_slot *out) {
    struct q_ring *ring = q_ring_of(io);
    struct q_error error = q_ring_op_open(io, out);
    if (q_error_is(error)) {
        return error;
    }
    struct io_uring_files_update update = {.offset = out->index, .fds = (uint64_t)(uintptr_t)&fd};
    int result = q_ring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, 1);
    struct ring_slot *slot = q_ring_slot(ring, *out);
    if (result < 0) {
        free_slot(ring, slot);
        return q_error_os(Q_ERR_SOCKET_FAILED, Q_PHASE_CONNECT, -result);
    }
    slot->has_file = true;
    return Q_OK;
}

void q_ring_start(struct ring_slot *slot, enum ring_slot_op which, struct q_io_op *op, enum q_io_kind kind) {
    Q_CHECK(slot->ops[which] == NULL && !op->busy);
    slot->ops[which] = op;
    op->kind = (uint8_t)kind;
    op->busy = true;
    op->chunk = NULL;
}

void q_ring_finish(struct ring_slot *slot, enum ring_slot_op which, int32_t result, struct q_list *out_done) {
    struct q_io_op *op = slot->ops[which];
    Q_CHECK(op != NULL && op->busy);
    slot->ops[which] = NULL;
    op->result = result;
    op->busy = false;
    q_list_push_back(out_done, &op->link);
}

static int type_of(const struct q_io_connect *params) { return params->is_datagram ? SOCK_DGRAM : SOCK_STREAM; }

// Kernels before 6.7, and before 6.11 when it is to be bound: the socket has a number, but only between these lines, on
// the loop thread.
static int make_socket_by_number(struct q_ring *ring, struct q_io_slot name, const struct q_io_connect *params,
                                 bool *out_bind_failed, bool *out_option_failed) {
    struct q_sys_uring *sys = ring->sys;
    int fd = sys->socket(sys, params->address->sa_family, type_of(params), 0);
    int result = fd;
    for (uint32_t i = 0; i < params->num_options && result >= 0; i++) {
        const struct q_io_option *option = &params->options[i];
        result = sys->setsockopt(sys, fd, option->level, option->name, q_io_option_data(option), q_io_option_len(option));
        *out_option_failed = result < 0;
    }
    if (result >= 0 && params->local != NULL) {
        result = sys->bind(sys, fd, params->local, params->local_len);
        *out_bind_failed = result < 0;
    }
    if (result >= 0) {
        struct io_uring_files_update update = {.offset = name.index, .fds = (uint64_t)(uintptr_t)&fd};
        result = q_ring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, 1);
    }
    if (fd >= 0) {
        sys->close(sys, fd);
    }
    return result < 0 ? result : 0;
}

static void chain_socket(struct q_ring *ring, struct q_io_slot name, const struct q_io_connect *params) {
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_SOCKET, name);
    io_uring_prep_socket_direct(sqe, params->address->sa_family, type_of(params), 0, name.index, 0);
    sqe->flags |= IOSQE_IO_LINK;
    for (uint32_t i = 0; i < params->num_options; i++) {
        const struct q_io_option *option = &params->options[i];
        sqe = q_ring_sqe(ring, Q_IO_OPTION, name);
        sqe->opcode = Q_URING_OP_URING_CMD;
        sqe->fd = (int)name.index;
        sqe->flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
        sqe->cmd_op = Q_URING_CMD_SETSOCKOPT;
        // The words that later headers call level, optname, optlen and optval.
        uint32_t words[2] = {(uint32_t)option->level, (uint32_t)option->name};
        memcpy(&sqe->addr, words, sizeof words);
        sqe->file_index = q_io_option_len(option);
        sqe->addr3 = (uint64_t)(uintptr_t)q_io_option_data(option);
    }
    if (params->local != NULL) {
        sqe = q_ring_sqe(ring, Q_IO_BIND, name);
        sqe->opcode = Q_URING_OP_BIND;
        sqe->fd = (int)name.index;
        sqe->flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
        sqe->addr = (uint64_t)(uintptr_t)params->local;
        sqe->addr2 = params->local_len;
    }
}

void q_ring_op_connect(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct q_io_connect *params) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    Q_CHECK(!slot->has_file && params->num_options + 3 <= Q_RING_CONNECT_SQES_MAX);
    q_ring_start(slot, SLOT_OP_CONNECT, op, Q_IO_CONNECT);
    // A chain that is cut by a submit in its middle is two chains.
    q_ring_reserve_sqes(ring, params->num_options + 3);
    uint32_t needed = Q_RING_DIRECT_SOCKET | (params->local != NULL ? Q_RING_DIRECT_BIND : 0);
    bool is_direct = (ring->capabilities & needed) == needed;
    if (is_direct) {
        chain_socket(ring, name, params);
        slot->has_file = true;
    } else {
        slot->connect_error = make_socket_by_number(ring, name, params, &slot->has_bind_failed,
                                                    &slot->has_option_failed);
        slot->has_file = slot->connect_error == 0;
    }
    // Without a file the connect still runs, and fails with EBADF: one path to the op's end, and the first error wins.
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_CONNECT, name);
    io_uring_prep_connect(sqe, (int)name.index, params->address, params->address_len);
    sqe->flags |= IOSQE_FIXED_FILE;
}

void q_ring_op_send(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct msghdr *message) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    Q_ASSERT(message->msg_iovlen > 0 && message->msg_iovlen <= Q_IO_SEND_PARTS_MAX);
    q_ring_start(slot, SLOT_OP_SEND, op, Q_IO_SEND);
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_SEND, name);
    unsigned flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (message->msg_iovlen == 1 && message->msg_iov->iov_len <= INT32_MAX) { // an SQE's length has 32 bits
        io_uring_prep_send(sqe, (int)name.index, message->msg_iov->iov_base, message->msg_iov->iov_len, (int)flags);
    } else {
        io_uring_prep_sendmsg(sqe, (int)name.index, message, flags);
    }
    sqe->flags |= IOSQE_FIXED_FILE;
}

void q_ring_op_shutdown(struct q_io *io, struct q_io_slot name, struct q_io_op *op) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    q_ring_start(slot, SLOT_OP_SEND, op, Q_IO_SHUTDOWN); // in the place of the send that may not be under way
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_SHUTDOWN, name);
    io_uring_prep_shutdown(sqe, (int)name.index, SHUT_WR);
    sqe->flags |= IOSQE_FIXED_FILE;
}

void q_ring_op_read_file(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct q_io_file *file) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    Q_CHECK(!slot->has_file);
    q_ring_start(slot, SLOT_OP_CONNECT, op, Q_IO_FILE_READ); // in the place of a connect, which does not come on a file
    q_ring_reserve_sqes(ring, 2);
    slot->has_file = true;
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_FILE_OPEN, name);
    // A FIFO in the file's place must not block whoever does this in the kernel.
    io_uring_prep_openat_direct(sqe, AT_FDCWD, file->path, O_RDONLY | O_NONBLOCK, 0, name.index);
    sqe->flags |= IOSQE_IO_LINK;
    sqe = q_ring_sqe(ring, Q_IO_FILE_READ, name);
    io_uring_prep_read(sqe, (int)name.index, file->into, file->size, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
}

static void prepare_cancel_and_close(struct q_ring *ring, struct q_io_slot name) {
    // One batch, in this order: closed first, the file could no longer be found by its slot, its receive would stay
    // alive, and the peer would see no FIN.
    q_ring_reserve_sqes(ring, 2);
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_CANCEL, name);
    io_uring_prep_cancel_fd(sqe, (int)name.index, IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_ALL);
    sqe = q_ring_sqe(ring, Q_IO_CLOSE, name);
    io_uring_prep_close_direct(sqe, name.index);
}

void q_ring_op_close(struct q_io *io, struct q_io_slot name, struct q_io_op *op) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    q_ring_start(slot, SLOT_OP_CLOSE, op, Q_IO_CLOSE);
    slot->state = SLOT_CLOSING;
    q_ring_recv_drop(slot);
    if (slot->has_file) {
        prepare_cancel_and_close(ring, name);
        return;
    }
    // Nothing is in the slot. A probe keeps the promise that `done` comes from a turn and not from inside this call.
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_PROBE, name);
    io_uring_prep_nop(sqe);
}

static void start_signal(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot) {
    slot->signal_in_flight = true;
    slot->signal_value = slot->signals_due;
    slot->signals_due = 0;
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_SIGNAL, name);
    io_uring_prep_write(sqe, (int)name.index, &slot->signal_value, sizeof slot->signal_value, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
}

void q_ring_op_signal(struct q_io *io, struct q_io_slot name) {
    struct q_ring *ring = q_ring_of(io);
    struct ring_slot *slot = q_ring_slot_in_state(ring, name, SLOT_OPEN);
    slot->signals_due++; // the consumer counts one signal per arming, so none may be dropped
    if (!slot->signal_in_flight) {
        start_signal(ring, name, slot);
    }
}

// --- completions -------------------------------------------------------------------------------------------------

typedef void complete_fn(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                         const struct io_uring_cqe *cqe, struct q_list *out_done);

static void complete_connect_step(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                                  const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)ring;
    (void)name;
    (void)out_done;
    // ECANCELED is the echo of an earlier member's failure, or of our own close.
    if (cqe->res < 0 && cqe->res != -ECANCELED && slot->connect_error == 0) {
        slot->connect_error = cqe->res;
        slot->has_bind_failed = q_io_user_data_kind(cqe->user_data) == Q_IO_BIND;
        slot->has_option_failed = q_io_user_data_kind(cqe->user_data) == Q_IO_OPTION;
    }
}

static void complete_connect(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                             const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)ring;
    (void)name;
    slot->ops[SLOT_OP_CONNECT]->has_bind_failed = slot->has_bind_failed;
    slot->ops[SLOT_OP_CONNECT]->has_option_failed = slot->has_option_failed;
    q_ring_finish(slot, SLOT_OP_CONNECT, slot->connect_error != 0 ? slot->connect_error : cqe->res, out_done);
}

static void complete_send(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                          const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)ring;
    (void)name;
    q_ring_finish(slot, SLOT_OP_SEND, cqe->res, out_done);
}

static void complete_signal(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                            const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)cqe;
    (void)out_done;
    slot->signal_in_flight = false;
    if (slot->signals_due > 0 && slot->state == SLOT_OPEN) {
        start_signal(ring, name, slot);
    }
}

static void complete_wake(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                          const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)name;
    (void)slot;
    (void)cqe;
    (void)out_done;
    ring->bell_armed = false;
    if (ring->options.doorbell->fd >= 0) {
        ring->sys->eventfd_clear(ring->sys, ring->options.doorbell->fd);
    }
}

// A connect to a unix socket whose backlog is full waits on a worker thread of the kernel's, and so does the rest of a large
// send that the peer does not read. On the way there it can be where no cancel finds it, and then it would wait for ever;
// nor does the kernel count what it found on a worker, and beside a send what it counts may be the receive. So cancel again
// until the connect or the send is over. By its user_data: the slot's file is no longer there to find it by.
// An open slot cancels its receive alone.
static void complete_cancel(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                            const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)out_done;
    if (slot->state == SLOT_OPEN) {
        q_ring_recv_cancel_done(slot, cqe->res);
        return;
    }
    bool is_connecting = slot->ops[SLOT_OP_CONNECT] != NULL && cqe->res <= 0;
    if (slot->state != SLOT_CLOSING || (!is_connecting && slot->ops[SLOT_OP_SEND] == NULL)) {
        return;
    }
    struct io_uring_sqe *sqe = q_ring_sqe(ring, Q_IO_CANCEL, name);
    io_uring_prep_cancel64(sqe, q_io_user_data(is_connecting ? Q_IO_CONNECT : Q_IO_SEND, name), 0);
}

static void complete_nothing(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                             const struct io_uring_cqe *cqe, struct q_list *out_done) {
    (void)ring;
    (void)name;
    (void)slot;
    (void)cqe;
    (void)out_done;
}

static complete_fn *const k_complete[Q_IO_KINDS] = {
    [Q_IO_NONE] = complete_nothing,          [Q_IO_SOCKET] = complete_connect_step,
    [Q_IO_OPTION] = complete_connect_step,   [Q_IO_BIND] = complete_connect_step,
    [Q_IO_CONNECT] = complete_connect,
    [Q_IO_RECV] = q_ring_recv_complete,      [Q_IO_SEND] = complete_send,
    [Q_IO_CANCEL] = complete_cancel,         [Q_IO_CLOSE] = complete_nothing,
    [Q_IO_SIGNAL] = complete_signal,         [Q_IO_WAKE] = complete_wake,
    [Q_IO_PROBE] = complete_nothing,         [Q_IO_SHUTDOWN] = complete_send,
    [Q_IO_FILE_OPEN] = complete_connect_step, [Q_IO_FILE_READ] = complete_connect,
};

static void drop_stale(struct q_ring *ring, const struct io_uring_cqe *cqe) {
    ring->stats.stale_completions++;
    struct q_chunk *last;
    q_ring_buffers_release(q_ring_buffers_take(ring, cqe, &last));
}

// A closing slot with nothing in flight is done. A receive that the kernel has not has no completion to wait for.
static void finish_closing(struct q_ring *ring, struct ring_slot *slot, struct q_list *out_done) {
    if (slot->ops[SLOT_OP_RECV] != NULL) {
        q_ring_finish(slot, SLOT_OP_RECV, -ECANCELED, out_done);
    }
    Q_CHECK(slot->ops[SLOT_OP_CONNECT] == NULL && slot->ops[SLOT_OP_RECV] == NULL && slot->ops[SLOT_OP_SEND] == NULL);
    q_ring_finish(slot, SLOT_OP_CLOSE, 0, out_done);
    free_slot(ring, slot);
}

void q_ring_complete(struct q_ring *ring, const struct io_uring_cqe *cqe, struct q_list *out_done) {
    enum q_io_kind kind = q_io_user_data_kind(cqe->user_data);
    struct q_io_slot name = q_io_user_data_slot(cqe->user_data);
    struct ring_slot *slot = q_ring_slot(ring, name);
    if (slot == NULL || kind >= Q_IO_KINDS) {
        drop_stale(ring, cqe);
        return;
    }
    Q_CHECK(slot->in_flight > 0);
    slot->in_flight -= (cqe->flags & IORING_CQE_F_MORE) == 0;
    k_complete[kind](ring, name, slot, cqe, out_done);
    if (slot->state == SLOT_CLOSING && slot->in_flight == 0) {
        finish_closing(ring, slot, out_done);
    }
}

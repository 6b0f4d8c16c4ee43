// What the ring's own files share; nobody else includes this. ring.c: the turn. ring_ops.c: starting operations and
// ending them. ring_recv.c: receiving. ring_setup.c: making, proving and unmaking the ring. ring_buffers.c: the provided
// buffers.
#ifndef QUOIT_ENGINE_LOOP_RING_INTERNAL_H
#define QUOIT_ENGINE_LOOP_RING_INTERNAL_H

#include "engine/loop/ring.h"
#include "engine/loop/uring_abi.h"

// The kernel gives the memory of closed rings back late; this long is waited for it before the ring is made smaller.
#define Q_RING_MEMLOCK_PAUSE_MS 10
#define Q_RING_MEMLOCK_PAUSES_MAX 20
#define Q_RING_BUFFER_GROUP 0
#define Q_RING_CONNECT_SQES_MAX 16 // socket, options, bind, connect: one chain that must go in one submit

enum ring_slot_state { SLOT_FREE, SLOT_OPEN, SLOT_CLOSING };

// Which of a slot's ops stands in ring_slot.ops.
enum ring_slot_op { SLOT_OP_CONNECT, SLOT_OP_RECV, SLOT_OP_SEND, SLOT_OP_CLOSE, SLOT_OPS };

// In which of the ring's lines of receives a slot stands.
enum ring_recv_place {
    RECV_NOWHERE,
    RECV_READY,    // asked for, and there: collected
    RECV_STARVED,  // asked for, and no buffer was there
    RECV_UNWANTED, // multishot, and goes on although nobody asks, or not for so much: to be cancelled
};

// Receiving on a slot; see ring_recv.c.
struct ring_recv {
    struct q_list_node link; // where `place` says
    struct q_chunk *first;   // unasked, in their order; chunk->used says how much is in each
    struct q_chunk *last;
    uint32_t most;           // what the owner asked for last; 0: it has not yet
    int32_t end;             // behind them: 0 or -errno
    bool has_ended;          // `end` is unasked
    bool is_fin;
    bool is_steady;          // it may be multishot
    bool is_armed;           // the kernel has a receive
    bool is_multishot;       // that receive
    bool is_canceling;       // likewise
    uint8_t place;
};

struct ring_slot {
    uint64_t generation;
    struct q_io_op *ops[SLOT_OPS];
    struct ring_recv recv;
    uint32_t next_free;
    int32_t connect_error;      // first failure in a connect's chain
    uint16_t in_flight;         // SQEs whose final CQE is outstanding
    uint8_t state;
    bool has_bind_failed;       // connect_error is what the bind said
    bool has_option_failed;     // likewise an option
    bool has_file;              // something was put in the slot, so it must be closed
    uint32_t signals_due;       // asked for while a write was in flight
    uint64_t signal_value;      // what that write adds
    bool signal_in_flight;
};

// Mapped memory of the ring and what stays registered.
struct ring_maps {
    void *rings;
    size_t rings_size;
    void *sqes;
    size_t sqes_size;
    struct io_uring_buf_ring *buffers;
    size_t buffers_size;
};

struct q_ring {
    struct q_io io; // first: a q_io is a ring
    struct q_ring_options options;
    struct q_sys_uring *sys;
    struct io_uring uring; // liburing's view, filled by us: only its inline helpers are used on it
    struct ring_maps maps;
    int enter_fd;          // descriptor, or index when the ring is registered
    unsigned enter_flags;
    unsigned register_flags;
    unsigned setup_flags;
    uint32_t capabilities;
    bool is_enabled;

    struct ring_slot *slots;
    uint32_t slot_free_first;
    uint32_t slots_made;

    struct q_chunk **buffer_chunks; // by buffer id; NULL: the id is not with the kernel
    uint16_t *buffer_free_ids;
    uint32_t num_buffer_free_ids;
    uint32_t buffer_bytes; // what those hold that are with the kernel, large ones as often as they count
    uint32_t large_due;    // bytes that large buffers shall hold of what is refilled next
    uint16_t *buffers_behind; // by buffer id: which one was given to the kernel right behind it
    uint16_t last_buffer;     // the one given last
    struct q_list starved_slots, ready_slots, unwanted_slots;

    // The doorbell's own operation; see arm_doorbell in ring.c.
    struct q_io_slot bell_slot;
    bool bell_armed;
    bool bell_closing;

    unsigned known_tail; // end of the completions that had come when the turn before last brought all of its own
    int event_fd; // host-driven: tells the host of completions, else -1
    struct q_io_stats stats;
};

#define Q_RING_SLOT_NONE UINT32_MAX

static inline struct q_ring *q_ring_of(struct q_io *io) { return (struct q_ring *)(void *)io; }

// Gives an SQE with user_data set, counted on its slot; flushes the queue to the kernel when it is full.
struct io_uring_sqe *q_ring_sqe(struct q_ring *ring, enum q_io_kind kind, struct q_io_slot slot);

// Makes sure that `count` SQEs fit without a flush in between.
void q_ring_reserve_sqes(struct q_ring *ring, unsigned count);

// Publishes prepared SQEs to the kernel's view and gives how many it has not consumed.
unsigned q_ring_flush(struct q_ring *ring);

// io_uring_enter on this ring, with whatever result.
int q_ring_try_enter(struct q_ring *ring, unsigned to_submit, unsigned min_complete, const struct q_io_turn *turn);

// Whether a turn can live with a negative result of io_uring_enter.
bool q_ring_is_bearable(int result);

// q_ring_enter is q_ring_try_enter where any other result stops the program: the ring has been proved.
int q_ring_enter(struct q_ring *ring, unsigned to_submit, unsigned min_complete, const struct q_io_turn *turn);

// io_uring_register on this ring.
int q_ring_register(struct q_ring *ring, unsigned opcode, void *arg, unsigned num_args);

// q_ring_slot gives the slot that `name` names, or NULL when the name is stale.
struct ring_slot *q_ring_slot(struct q_ring *ring, struct q_io_slot name);

// q_ring_slot_in_state is q_ring_slot for a name that must be good, of a slot in that state (checked).
struct ring_slot *q_ring_slot_in_state(struct q_ring *ring, struct q_io_slot name, enum ring_slot_state state);

// q_ring_start gives `op` its place on the slot; q_ring_finish ends it and puts it among those that are done.
void q_ring_start(struct ring_slot *slot, enum ring_slot_op which, struct q_io_op *op, enum q_io_kind kind);
void q_ring_finish(struct ring_slot *slot, enum ring_slot_op which, int32_t result, struct q_list *out_done);

// One completion, to the op that it belongs to. See ring_ops.c.
void q_ring_complete(struct q_ring *ring, const struct io_uring_cqe *cqe, struct q_list *out_done);

extern const struct q_io_vtable q_ring_vtable;

// The seam's operations: ring_ops.c.
struct q_error q_ring_op_open(struct q_io *io, struct q_io_slot *out);
struct q_error q_ring_op_install(struct q_io *io, int fd, struct q_io_slot *out);
void q_ring_op_connect(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct q_io_connect *params);
void q_ring_op_send(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct msghdr *message);
void q_ring_op_shutdown(struct q_io *io, struct q_io_slot slot, struct q_io_op *op);
void q_ring_op_read_file(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct q_io_file *file);
void q_ring_op_close(struct q_io *io, struct q_io_slot slot, struct q_io_op *op);
void q_ring_op_signal(struct q_io *io, struct q_io_slot slot);

// Receiving: ring_recv.c.
void q_ring_op_recv(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, uint32_t most);
bool q_ring_op_collect(struct q_io *io, struct q_list *out_done);
bool q_ring_op_has_unasked(struct q_io *io, struct q_io_slot slot);
void q_ring_recv_complete(struct q_ring *ring, struct q_io_slot name, struct ring_slot *slot,
                          const struct io_uring_cqe *cqe, struct q_list *out_done);
void q_ring_recv_cancel_done(struct ring_slot *slot, int32_t result);
void q_ring_recv_cancel_unwanted(struct q_ring *ring); // before each kernel entry
void q_ring_recv_feed_starved(struct q_ring *ring);    // likewise, behind the refill
void q_ring_recv_drop(struct ring_slot *slot);         // the slot is closing: what is unasked goes
bool q_ring_recv_has_work(const struct q_ring *ring);  // the next turn, or a collect, will do something by itself

// Provided buffers: ring_buffers.c.
Q_MUST_USE struct q_error q_ring_buffers_init(struct q_ring *ring);
void q_ring_buffers_deinit(struct q_ring *ring);
void q_ring_buffers_refill(struct q_ring *ring);
struct q_chunk *q_ring_buffers_consume(struct q_ring *ring, unsigned buffer_id);
// q_ring_buffers_take gives the chunks that a completion brings, in the order in which their buffers were given to the
// kernel, linked by `next`; `used` says how much is in each. One hold on each passes to the caller. NULL: it brings none.
struct q_chunk *q_ring_buffers_take(struct q_ring *ring, const struct io_uring_cqe *cqe, struct q_chunk **out_last);

// q_ring_buffers_release drops the hold on each of such a list.
void q_ring_buffers_release(struct q_chunk *first);

#endif

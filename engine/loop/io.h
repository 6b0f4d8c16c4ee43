// The I/O seam: what the engine above sees of the kernel. One caller-owned op struct per operation, and an
// implementation (the ring; an epoll twin can stand beside it) that is chosen when the engine is created.
//
// Vocabulary. A *slot* is a place for one socket or eventfd in the ring's own file table, named by {index,
// generation}; it never has a descriptor number. An *op* is one operation in flight; its owner embeds it, must not
// touch or free it while `busy`, and gets `done` called on the loop thread, from the tick, never from inside the call
// that started it. At most one op of a kind is in flight on a slot.
//
// Life of a slot: free -> open (q_io_open) -> closing (q_io_close) -> free again, generation moved on. Closing cancels
// everything on the slot, closes it, and is done when nothing of the slot is in flight any more; every other op of the
// slot has had its `done` by then. The kernel's own name for an op is user_data = [kind:8 | generation:36 | slot:20];
// a completion with an old generation is counted and dropped.
//
// Loop thread only.
#ifndef QUOIT_ENGINE_LOOP_IO_H
#define QUOIT_ENGINE_LOOP_IO_H

#include "engine/base/error.h"
#include "engine/base/list.h"
#include "engine/buf/chunk.h"
#include "engine/queue/doorbell.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum q_io_kind {
    Q_IO_NONE,
    Q_IO_SOCKET, // these four make one connect op
    Q_IO_OPTION,
    Q_IO_BIND,
    Q_IO_CONNECT,
    Q_IO_RECV,
    Q_IO_SEND,
    Q_IO_CANCEL, // these two make one close op
    Q_IO_CLOSE,
    Q_IO_SIGNAL,
    Q_IO_WAKE,
    Q_IO_PROBE,
    Q_IO_SHUTDOWN,
    Q_IO_FILE_OPEN, // these two make one read op
    Q_IO_FILE_READ,
    Q_IO_KINDS,
};

#define Q_IO_SLOT_BITS 20
#define Q_IO_GENERATION_BITS 36
#define Q_IO_SLOTS_MAX (UINT32_C(1) << Q_IO_SLOT_BITS)
#define Q_IO_GENERATION_MAX ((UINT64_C(1) << Q_IO_GENERATION_BITS) - 1)
#define Q_IO_SEND_PARTS_MAX 4

struct q_io_slot {
    uint64_t generation; // 0 names nothing
    uint32_t index;
};

static inline uint64_t q_io_user_data(enum q_io_kind kind, struct q_io_slot slot) {
    return ((uint64_t)kind << (Q_IO_SLOT_BITS + Q_IO_GENERATION_BITS)) | (slot.generation << Q_IO_SLOT_BITS) |
           slot.index;
}

static inline enum q_io_kind q_io_user_data_kind(uint64_t user_data) {
    return (enum q_io_kind)(user_data >> (Q_IO_SLOT_BITS + Q_IO_GENERATION_BITS));
}

static inline struct q_io_slot q_io_user_data_slot(uint64_t user_data) {
    return (struct q_io_slot){
        .generation = (user_data >> Q_IO_SLOT_BITS) & Q_IO_GENERATION_MAX,
        .index = (uint32_t)(user_data & (Q_IO_SLOTS_MAX - 1)),
    };
}

struct q_io_op {
    struct q_list_node link; // the loop's list of completed ops
    void (*done)(struct q_io_op *op);
    struct q_chunk *chunk;   // recv with result > 0: the bytes, one hold that goes to the owner in `done`
    int32_t result;          // bytes, 0, or a negative errno
    uint8_t kind;
    bool busy;               // from start until `done` is called
    bool has_bind_failed;    // connect with a negative result: it was the local address that the kernel refused
    bool has_option_failed;  // likewise: it was an option
    bool is_fin;             // recv with result 0: the kernel vouches for it that the peer has ended its stream
};

// A socket option, set between socket and connect: an integer, or a text.
struct q_io_option {
    int level;
    int name;
    int value;
    const char *text; // instead of the value; NULL: it is the value
};

// What the kernel is given of an option, and its length.
static inline const void *q_io_option_data(const struct q_io_option *option) {
    return option->text != NULL ? (const void *)option->text : &option->value;
}

static inline uint32_t q_io_option_len(const struct q_io_option *option) {
    return option->text != NULL ? (uint32_t)strlen(option->text) : (uint32_t)sizeof option->value;
}

// What a connect needs. The struct and all that it points at stay valid and unchanged until the op is done.
struct q_io_connect {
    const struct sockaddr *address;
    socklen_t address_len;
    const struct sockaddr *local; // NULL: whichever the kernel takes
    socklen_t local_len;
    const struct q_io_option *options;
    uint32_t num_options;
    bool is_datagram; // UDP; else a stream
};

// A file to be read from its begin. The struct and all that it points at stay valid and unchanged until the op is done.
struct q_io_file {
    const char *path;
    void *into;
    uint32_t size;
};

struct q_io_stats {
    uint64_t turns;
    uint64_t enters;
    uint64_t completions;
    uint64_t stale_completions;
    uint64_t buffers_starved; // receives that found no buffer and were put off
    uint64_t overflows;       // turns that saw the completion queue overflow
    uint32_t slots_open;
    uint32_t slots_max;       // that may be open at a time; constant
    uint32_t num_buffers;     // for receives, with the kernel
    bool is_doubtful;         // the last turn left something that may come to nothing: who waits elsewhere asks again soon
    bool is_dry;              // it had none when the last turn began, and there was no memory for one
};

struct q_io_turn {
    bool is_idle;         // the queue is parked: arm the doorbell
    bool may_sleep;       // and wait for a completion, until `deadline_ns` at most; implies is_idle
    uint64_t now_ns;
    uint64_t deadline_ns; // Q_WHEEL_NEVER: no bound
    uint32_t bell_value;  // the doorbell's value, read before the queue was parked
};

// How a turn left the kernel's side.
enum q_io_rest {
    Q_IO_REST_NONE,   // all that had come was brought
    Q_IO_REST_MORE,   // more is waiting
    Q_IO_REST_BEHIND, // likewise, and some of it had come turns ago: what it tells of a connection is not known here yet
};

struct q_io;

struct q_io_vtable {
    struct q_error (*open)(struct q_io *io, struct q_io_slot *out);
    struct q_error (*install)(struct q_io *io, int fd, struct q_io_slot *out);
    void (*connect)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct q_io_connect *params);
    void (*recv)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, uint32_t most);
    bool (*collect)(struct q_io *io, struct q_list *out_done);
    bool (*has_unasked)(struct q_io *io, struct q_io_slot slot);
    void (*send)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct msghdr *message);
    void (*shutdown)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op);
    void (*read_file)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct q_io_file *file);
    void (*close)(struct q_io *io, struct q_io_slot slot, struct q_io_op *op);
    void (*signal)(struct q_io *io, struct q_io_slot slot);
    bool (*has_started)(const struct q_io *io);
    bool (*has_news)(const struct q_io *io);
    void (*flush)(struct q_io *io);
    enum q_io_rest (*turn)(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done);
    const struct q_io_stats *(*stats)(const struct q_io *io);
};

struct q_io {
    const struct q_io_vtable *v;
};

// q_io_open takes a free slot. Nothing is asked of the kernel yet. It fails with FD_LIMIT when all are in use.
static inline Q_MUST_USE struct q_error q_io_open(struct q_io *io, struct q_io_slot *out) {
    return io->v->open(io, out);
}

// q_io_install puts a duplicate of the host's descriptor `fd` in a slot; the number is not kept. Errors: FD_LIMIT,
// SOCKET_FAILED with the errno.
static inline Q_MUST_USE struct q_error q_io_install(struct q_io *io, int fd, struct q_io_slot *out) {
    return io->v->install(io, fd, out);
}

// q_io_connect makes a socket in an open slot, sets its options, binds it if it is to have a certain local address, and
// connects it. op->result: 0, or the errno of the
// first step that failed.
static inline void q_io_connect(struct q_io *io, struct q_io_slot slot, struct q_io_op *op,
                                const struct q_io_connect *params) {
    io->v->connect(io, slot, op, params);
}

// How much an owner will take that takes whatever comes, and asks again as soon as something came.
#define Q_IO_RECV_ANY UINT32_MAX

// q_io_recv asks for the next bytes, once: one buffer's worth, in a buffer that is chosen when there are bytes, so that
// an armed receive holds no memory. Not asking again is pausing. `most` says how many bytes the owner would take in all
// if it asked on; it bounds what the kernel brings before it is asked for, and never less than a buffer is brought.
// op->result: bytes with op->chunk, 0 at the end of the stream, or an errno.
static inline void q_io_recv(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, uint32_t most) {
    io->v->recv(io, slot, op, most);
}

// q_io_collect appends to `out_done` the receives that can be answered with what has come before they were asked for.
// True: there were some.
static inline bool q_io_collect(struct q_io *io, struct q_list *out_done) { return io->v->collect(io, out_done); }

// q_io_has_unasked tells whether something has come on an open slot that its owner has not been brought: bytes, or the
// end. Nothing of that can be meant for what the owner begins from here on.
static inline bool q_io_has_unasked(struct q_io *io, struct q_io_slot slot) { return io->v->has_unasked(io, slot); }

// q_io_send sends what `message` gathers; header, parts and bytes stay valid and unchanged until the op is done.
// op->result: bytes, which may be fewer than asked for, or an errno. A cancelled send may have sent some.
static inline void q_io_send(struct q_io *io, struct q_io_slot slot, struct q_io_op *op,
                             const struct msghdr *message) {
    io->v->send(io, slot, op, message);
}

// q_io_shutdown ends our direction of a connected socket: the peer reads its end behind what was sent. It takes the place
// of a send, so none may be in flight, and none follows. op->result: 0 or an errno.
static inline void q_io_shutdown(struct q_io *io, struct q_io_slot slot, struct q_io_op *op) {
    io->v->shutdown(io, slot, op);
}

// q_io_read_file opens a file in an open slot and reads as much of it as `file` has room for: no descriptor number comes into
// being. Nothing else is done on the slot but to close it. op->result: bytes, or the errno of what failed.
static inline void q_io_read_file(struct q_io *io, struct q_io_slot slot, struct q_io_op *op,
                                  const struct q_io_file *file) {
    io->v->read_file(io, slot, op, file);
}

// q_io_close ends a slot as described at the top. op->result is 0.
static inline void q_io_close(struct q_io *io, struct q_io_slot slot, struct q_io_op *op) {
    io->v->close(io, slot, op);
}

// q_io_signal adds 1 to the eventfd in `slot`. Needs no op; several before the next turn may become one.
static inline void q_io_signal(struct q_io *io, struct q_io_slot slot) { io->v->signal(io, slot); }

// q_io_has_started tells whether something was started that waits for the next turn: to be handed to the kernel, or to
// be collected.
static inline bool q_io_has_started(const struct q_io *io) { return io->v->has_started(io); }

// q_io_has_news tells whether something has come that the last turn did not bring.
static inline bool q_io_has_news(const struct q_io *io) { return io->v->has_news(io); }

// q_io_flush hands everything that was started to the kernel now, for who does not know when the next turn will be. Costs
// a kernel entry when there is something.
static inline void q_io_flush(struct q_io *io) { io->v->flush(io); }

// q_io_turn hands everything that was started to the kernel, waits if it may, and appends the ops that are done to
// `out_done`, in one kernel entry (none when there is nothing to do). A flood of completions is brought in turns of a
// bounded number each.
static inline enum q_io_rest q_io_turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    return io->v->turn(io, turn, out_done);
}

static inline const struct q_io_stats *q_io_get_stats(const struct q_io *io) { return io->v->stats(io); }

#endif

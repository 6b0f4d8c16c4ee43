#include "bench/peers/bare_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/peers/meter.h"
#include "bench/peers/ring_init.h"

enum {
    SQ_MIN = 128, // ring memory counts against a limit that can be small, so it is no larger than the load asks for
    SQ_MAX = 2048,
    CQ_MIN = 1024,
    CQ_MAX = 16384,
    GROUP = 0,
    BUFFER_BYTES = 16384,
    BUFFERS_MIN = 16,
    BUFFERS_MAX = 4096,
    BUFFERS_IDLE_MAX = 256, // they are shared, so they count for no connection: all are touched before the first is
    RECVSEND_BUNDLE = 1 << 4, // IORING_RECVSEND_BUNDLE (6.10); Debian 12's header has no name for it
};

static void check(int result, const char *what) {
    if (result < 0) {
        errno = -result;
        peer_die(what);
    }
}

static void *map(size_t bytes, int more_flags) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | more_flags, -1, 0);
    if (memory == MAP_FAILED) {
        peer_die("mmap");
    }
    return memory;
}

// The power of two that `wanted` fits into, within bounds that are powers of two.
static unsigned size_for(unsigned wanted, unsigned least, unsigned most) {
    while (least < most && least < wanted) {
        least *= 2;
    }
    return least;
}

static unsigned choose_num_buffers(const struct peer_options *options) {
    if (options->num_buffers > 0) {
        return options->num_buffers;
    }
    // Two for each connection, so that none waits for the turn's end.
    return size_for(2 * options->connections, BUFFERS_MIN, options->is_idle ? BUFFERS_IDLE_MAX : BUFFERS_MAX);
}

static void add_buffer(struct bare_ring *ring, unsigned id) {
    io_uring_buf_ring_add(ring->buffers, ring->memory + (size_t)id * ring->buffer_bytes, ring->buffer_bytes,
                          (unsigned short)id, (int)ring->num_buffers - 1, (int)ring->num_returned++);
}

static void init_buffers(struct bare_ring *ring, const struct peer_options *options) {
    ring->buffer_bytes = options->buffer_bytes > 0 ? options->buffer_bytes : BUFFER_BYTES;
    ring->num_buffers = choose_num_buffers(options);
    ring->buffers = map(ring->num_buffers * sizeof(struct io_uring_buf), 0);
    ring->memory = map((size_t)ring->num_buffers * ring->buffer_bytes, options->is_idle ? MAP_POPULATE : 0);
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)ring->buffers, .ring_entries = ring->num_buffers, .bgid = GROUP};
    check(io_uring_register_buf_ring(&ring->uring, &reg, 0), "the kernel takes no ring of buffers");
    io_uring_buf_ring_init(ring->buffers);
    for (unsigned id = 0; id < ring->num_buffers; id++) {
        add_buffer(ring, id);
    }
    bare_ring_publish(ring);
}

void bare_ring_init(struct bare_ring *ring, const struct peer_options *options, unsigned files) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = size_for(4 * options->connections, CQ_MIN, CQ_MAX),
    };
    *ring = (struct bare_ring){.receive = options->receive};
    peer_ring_init(&ring->uring, size_for(4 * options->connections, SQ_MIN, SQ_MAX), &params);
    check(io_uring_register_ring_fd(&ring->uring), "the ring's descriptor cannot be registered");
    check(io_uring_register_files_sparse(&ring->uring, files), "the kernel gives no table of files");
    init_buffers(ring, options);
}

void bare_ring_deinit(struct bare_ring *ring) {
    io_uring_queue_exit(&ring->uring);
    munmap(ring->memory, (size_t)ring->num_buffers * ring->buffer_bytes);
    munmap(ring->buffers, ring->num_buffers * sizeof(struct io_uring_buf));
}

struct io_uring_sqe *bare_ring_sqe(struct bare_ring *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    while (sqe == NULL) {
        int submitted = io_uring_submit(&ring->uring);
        check(submitted == -EBUSY || submitted == -EAGAIN ? 0 : submitted, "io_uring_enter");
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

struct io_uring_sqe *bare_ring_receive(struct bare_ring *ring, unsigned slot, uint64_t user_data) {
    struct io_uring_sqe *sqe = bare_ring_sqe(ring);
    if (ring->receive == PEER_RECEIVE_SINGLE) {
        io_uring_prep_recv(sqe, (int)slot, NULL, ring->buffer_bytes, 0);
    } else {
        io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
        sqe->ioprio |= ring->receive == PEER_RECEIVE_BUNDLE ? RECVSEND_BUNDLE : 0;
    }
    sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
    sqe->buf_group = GROUP;
    sqe->user_data = user_data;
    return sqe;
}

void bare_ring_give_back(struct bare_ring *ring, const struct io_uring_cqe *cqe) {
    if ((cqe->flags & IORING_CQE_F_BUFFER) == 0) {
        return;
    }
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    size_t left = (size_t)cqe->res;
    do {
        add_buffer(ring, id);
        left -= left < ring->buffer_bytes ? left : ring->buffer_bytes;
        id = (id + 1) & (ring->num_buffers - 1);
    } while (left > 0);
}

void bare_ring_publish(struct bare_ring *ring) {
    io_uring_buf_ring_advance(ring->buffers, (int)ring->num_returned);
    ring->num_returned = 0;
}

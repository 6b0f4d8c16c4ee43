// Making, proving and unmaking the ring. Every step's failure undoes the steps before it through one function, which
// looks at what exists.
#define _GNU_SOURCE
#include "engine/loop/ring_internal.h"

#include "engine/loop/wheel.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define SQ_ENTRIES_MIN 16
#define SQ_ENTRIES_PLENTY 128
#define CQ_ENTRIES_MIN 64
#define PROBED_OPS 64
#define ENTERS_MAX 100 // for one operation of the proof: signals may interrupt, memory may be short for a moment

int q_ring_register(struct q_ring *ring, unsigned opcode, void *arg, unsigned num_args) {
    return ring->sys->reg(ring->sys, ring->enter_fd, opcode | ring->register_flags, arg, num_args);
}

struct q_error q_ring_refusal(int os_errno, const char *sysctl_text) {
    enum q_error_code code = Q_ERR_RING_FAILED;
    switch (os_errno) {
    case EPERM:
    case EACCES:
        // One errno for two causes; the sysctl tells them apart.
        code = sysctl_text != NULL && (sysctl_text[0] == '1' || sysctl_text[0] == '2') ? Q_ERR_RING_SYSCTL
                                                                                       : Q_ERR_RING_SECCOMP;
        break;
    case ENOSYS:
        // A kernel that has the sysctl has the system call: then it is a filter that says so.
        code = sysctl_text != NULL ? Q_ERR_RING_SECCOMP : Q_ERR_RING_NOT_SUPPORTED;
        break;
    case EINVAL: code = Q_ERR_RING_TOO_OLD; break;
    case ENOMEM: code = Q_ERR_RING_MEMLOCK; break;
    case EMFILE:
    case ENFILE: code = Q_ERR_FD_LIMIT; break;
    default: break;
    }
    return q_error_os(code, Q_PHASE_CREATE, os_errno);
}

// Reads the sysctl that can switch io_uring off. Only after a refusal, in create.
static struct q_error refusal(int os_errno) {
    char text[8] = {0};
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return q_ring_refusal(os_errno, NULL);
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    return q_ring_refusal(os_errno, got > 0 ? text : NULL);
}

static unsigned setup_flags_of(const struct q_ring *ring) {
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    bool defers = (ring->options.capabilities_off & Q_RING_DEFER_TASKRUN) == 0;
    flags |= defers ? IORING_SETUP_DEFER_TASKRUN : IORING_SETUP_COOP_TASKRUN;
    return flags | (ring->options.host_driven ? IORING_SETUP_R_DISABLED : 0);
}

// io_uring_setup(2), patient and then modest when ring memory is short.
static int setup_within_memlock(struct q_ring *ring, struct io_uring_params *params) {
    unsigned sq_entries = ring->options.sq_entries;
    unsigned cq_entries = ring->options.cq_entries;
    for (unsigned pauses = 0;;) {
        *params = (struct io_uring_params){.flags = setup_flags_of(ring), .cq_entries = cq_entries};
        int fd = ring->sys->setup(ring->sys, sq_entries, params);
        if (fd != -ENOMEM) {
            return fd;
        }
        if (pauses++ < Q_RING_MEMLOCK_PAUSES_MAX) {
            ring->sys->pause_ms(ring->sys, Q_RING_MEMLOCK_PAUSE_MS);
        } else if (sq_entries > SQ_ENTRIES_PLENTY) { // the largest part, and the least needed
            sq_entries /= 2;
        } else if (cq_entries > CQ_ENTRIES_MIN) {
            cq_entries /= 2;
            sq_entries = sq_entries < cq_entries ? sq_entries : cq_entries; // a CQ smaller than the SQ is EINVAL
        } else if (sq_entries > SQ_ENTRIES_MIN) {
            sq_entries /= 2;
        } else {
            return fd;
        }
    }
}

static struct q_error map_rings(struct q_ring *ring, const struct io_uring_params *params) {
    if ((params->features & IORING_FEAT_SINGLE_MMAP) == 0 || (params->features & IORING_FEAT_EXT_ARG) == 0) {
        return q_error_os(Q_ERR_RING_TOO_OLD, Q_PHASE_CREATE, EINVAL);
    }
    struct ring_maps *maps = &ring->maps;
    size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    maps->rings_size = sq_size > cq_size ? sq_size : cq_size;
    maps->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
    maps->rings = ring->sys->map_ring(ring->sys, ring->enter_fd, maps->rings_size, IORING_OFF_SQ_RING);
    maps->sqes = ring->sys->map_ring(ring->sys, ring->enter_fd, maps->sqes_size, IORING_OFF_SQES);
    if (maps->rings == NULL || maps->sqes == NULL) { // the kernel has the memory; the address space has no room
        return q_error_os(Q_ERR_NO_MEMORY, Q_PHASE_CREATE, ENOMEM);
    }
    char *base = maps->rings;
    ring->uring.sq = (struct io_uring_sq){
        .khead = (unsigned *)(void *)(base + params->sq_off.head),
        .ktail = (unsigned *)(void *)(base + params->sq_off.tail),
        .kflags = (unsigned *)(void *)(base + params->sq_off.flags),
        .kdropped = (unsigned *)(void *)(base + params->sq_off.dropped),
        .array = (unsigned *)(void *)(base + params->sq_off.array),
        .sqes = maps->sqes,
        .ring_mask = params->sq_entries - 1,
        .ring_entries = params->sq_entries,
    };
    ring->uring.cq = (struct io_uring_cq){
        .khead = (unsigned *)(void *)(base + params->cq_off.head),
        .ktail = (unsigned *)(void *)(base + params->cq_off.tail),
        .koverflow = (unsigned *)(void *)(base + params->cq_off.overflow),
        .cqes = (struct io_uring_cqe *)(void *)(base + params->cq_off.cqes),
        .ring_mask = params->cq_entries - 1,
        .ring_entries = params->cq_entries,
    };
    ring->uring.features = params->features;
    ring->uring.ring_fd = -1; // no helper of liburing shall ever find a number here
    ring->uring.enter_ring_fd = -1;
    return Q_OK;
}

static struct q_error register_file_table(struct q_ring *ring) {
    struct io_uring_rsrc_register table = {.nr = ring->options.num_slots, .flags = IORING_RSRC_REGISTER_SPARSE};
    int result = q_ring_register(ring, IORING_REGISTER_FILES2, &table, sizeof table);
    if (result == -EMFILE) {
        return q_error_os(Q_ERR_FD_LIMIT, Q_PHASE_CREATE, EMFILE);
    }
    if (result < 0) {
        return q_error_os(result == -ENOMEM ? Q_ERR_NO_MEMORY : Q_ERR_RING_TOO_OLD, Q_PHASE_CREATE, -result);
    }
    return Q_OK;
}

static bool has_op(const struct io_uring_probe *probe, unsigned op) {
    return op <= probe->last_op && op < PROBED_OPS && (probe->ops[op].flags & IO_URING_OP_SUPPORTED);
}

// What can be known without trying. Direct sockets and receives are tried in prove(): no probe tells of flags.
static void probe_capabilities(struct q_ring *ring) {
    union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + PROBED_OPS * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof answer);
    uint32_t found = 0;
    if (q_ring_register(ring, IORING_REGISTER_PROBE, &answer, PROBED_OPS) >= 0) {
        found |= has_op(&answer.probe, Q_URING_OP_FUTEX_WAIT) ? Q_RING_FUTEX_DOORBELL : 0;
        found |= has_op(&answer.probe, Q_URING_OP_URING_CMD) ? Q_RING_DIRECT_SOCKET : 0;
        found |= has_op(&answer.probe, Q_URING_OP_BIND) ? Q_RING_DIRECT_BIND : 0;
    }
    found |= ring->uring.features & Q_URING_FEAT_REG_REG_RING ? Q_RING_HIDDEN : 0;
    found |= ring->uring.features & Q_URING_FEAT_NO_IOWAIT ? Q_RING_NO_IOWAIT : 0;
    found |= ring->uring.features & Q_URING_FEAT_RECVSEND_BUNDLE ? Q_RING_RECV_BUNDLE : 0;
    found |= Q_RING_RECV_MULTISHOT; // nothing tells of it
    found |= ring->setup_flags & IORING_SETUP_DEFER_TASKRUN ? Q_RING_DEFER_TASKRUN : 0;
    ring->capabilities = found & ~ring->options.capabilities_off;
    if (ring->capabilities & Q_RING_NO_IOWAIT) {
        ring->enter_flags |= Q_URING_ENTER_NO_IOWAIT;
    }
}

// After this the ring has no number that a stray close could hit or a child could keep.
static void hide(struct q_ring *ring) {
    if ((ring->capabilities & Q_RING_HIDDEN) == 0) {
        return;
    }
    struct io_uring_rsrc_update registration = {.offset = (uint32_t)-1, .data = (uint64_t)ring->enter_fd};
    int result = q_ring_register(ring, IORING_REGISTER_RING_FDS, &registration, 1);
    if (result != 1) {
        ring->capabilities &= ~(uint32_t)Q_RING_HIDDEN;
        return;
    }
    ring->sys->close(ring->sys, ring->enter_fd);
    ring->enter_fd = (int)registration.offset;
    ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    ring->register_flags = Q_URING_REGISTER_USE_REGISTERED_RING;
}

// Neither touches the ring: a late ringer may come when the ring is gone already. The bell outlives them all.
static void ring_eventfd_bell(void *context, uint32_t *word) {
    struct q_sys_uring *sys = context;
    sys->eventfd_signal(sys, q_container_of(word, struct q_doorbell, word)->fd);
}

static void ring_futex_bell(void *context, uint32_t *word) {
    struct q_sys_uring *sys = context;
    sys->futex_wake(sys, word);
}

static struct q_error hang_doorbell(struct q_ring *ring) {
    if (ring->options.host_driven) {
        // The host sleeps, and not the ring: what it watches is rung itself. An eventfd that the ring polls would not do
        // anyhow: of all signals that one eventfd causes on another through the ring, with deferred task work, kernel
        // 6.18 delivers the first alone.
        q_doorbell_init(ring->options.doorbell, ring_eventfd_bell, ring->sys);
        ring->options.doorbell->fd = ring->event_fd;
        return Q_OK;
    }
    if (ring->capabilities & Q_RING_FUTEX_DOORBELL) {
        q_doorbell_init(ring->options.doorbell, ring_futex_bell, ring->sys);
        return q_io_open(&ring->io, &ring->bell_slot);
    }
    struct q_doorbell *bell = ring->options.doorbell;
    q_doorbell_init(bell, ring_eventfd_bell, ring->sys);
    int fd = ring->sys->eventfd(ring->sys);
    if (fd < 0) {
        return q_error_os(Q_ERR_FD_LIMIT, Q_PHASE_CREATE, -fd);
    }
    bell->fd = fd;
    struct q_error error = q_io_install(&ring->io, fd, &ring->bell_slot);
    if (error.code == Q_ERR_SOCKET_FAILED) {
        error.code = Q_ERR_RING_FAILED; // no request's socket: the ring's own
    }
    error.phase = q_error_is(error) ? Q_PHASE_CREATE : Q_PHASE_NONE;
    return error;
}

// The next completion's result. An entry may be interrupted or put off; it is made again, but not for ever.
static struct q_error expect_one(struct q_ring *ring, int *out_result) {
    struct io_uring_cq *cq = &ring->uring.cq;
    unsigned head = *cq->khead;
    int entered = 0;
    for (int tries = 0; head == io_uring_smp_load_acquire(cq->ktail); tries++) {
        if (tries == ENTERS_MAX) {
            return q_error_os(Q_ERR_RING_FAILED, Q_PHASE_CREATE, entered < 0 ? -entered : EIO);
        }
        entered = q_ring_try_enter(ring, q_ring_flush(ring), 1, &(struct q_io_turn){.deadline_ns = Q_WHEEL_NEVER});
        if (entered < 0 && !q_ring_is_bearable(entered)) {
            return q_ring_refusal(-entered, NULL); // a filter that lets a ring be made and not be used
        }
    }
    *out_result = cq->cqes[head & cq->ring_mask].res;
    io_uring_smp_store_release(cq->khead, head + 1);
    return Q_OK;
}

// Tries one operation by itself, in the raw: the slots' bookkeeping is not involved yet.
static struct q_error try_one(struct q_ring *ring, const struct io_uring_sqe *wanted, int *out_result) {
    struct io_uring_sq *sq = &ring->uring.sq;
    sq->sqes[sq->sqe_tail++ & sq->ring_mask] = *wanted;
    return expect_one(ring, out_result);
}

static struct q_error try_option(struct q_ring *ring, uint32_t index, int *out_result) {
    static const int k_one = 1;
    struct io_uring_sqe sqe = {
        .opcode = Q_URING_OP_URING_CMD, .flags = IOSQE_FIXED_FILE, .fd = (int)index, .cmd_op = Q_URING_CMD_SETSOCKOPT};
    uint32_t words[2] = {IPPROTO_TCP, TCP_NODELAY};
    memcpy(&sqe.addr, words, sizeof words);
    sqe.file_index = sizeof k_one;
    sqe.addr3 = (uint64_t)(uintptr_t)&k_one;
    return try_one(ring, &sqe, out_result);
}

static struct q_error close_tried(struct q_ring *ring, uint32_t index) {
    struct io_uring_sqe sqe = {0};
    int result = 0;
    io_uring_prep_close_direct(&sqe, index);
    struct q_error error = try_one(ring, &sqe, &result);
    if (!q_error_is(error) && result < 0) {
        return q_error_os(Q_ERR_RING_FAILED, Q_PHASE_CREATE, -result); // the slot could never be used
    }
    return error;
}

// Takes DIRECT_SOCKET off when a socket cannot be made and set up in the slot. Leaves one there if it can.
static struct q_error try_direct_socket(struct q_ring *ring, uint32_t index, bool *out_is_there) {
    struct io_uring_sqe sqe = {0};
    int made = 0, set = 0;
    *out_is_there = false;
    if ((ring->capabilities & Q_RING_DIRECT_SOCKET) == 0) {
        return Q_OK;
    }
    io_uring_prep_socket_direct(&sqe, AF_INET, SOCK_STREAM, 0, index, 0);
    struct q_error error = try_one(ring, &sqe, &made);
    if (!q_error_is(error) && made >= 0) {
        *out_is_there = true;
        error = try_option(ring, index, &set);
    }
    if (made < 0 || set < 0) {
        ring->capabilities &= ~(uint32_t)Q_RING_DIRECT_SOCKET;
    }
    return error;
}

static struct q_error install_socket(struct q_ring *ring, uint32_t index) {
    int fd = ring->sys->socket(ring->sys, AF_INET, SOCK_STREAM, 0);
    struct io_uring_files_update update = {.offset = index, .fds = (uint64_t)(uintptr_t)&fd};
    int result = fd < 0 ? fd : q_ring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, 1);
    if (fd >= 0) {
        ring->sys->close(ring->sys, fd);
    }
    bool lacks_number = result == -EMFILE || result == -ENFILE;
    return result < 0 ? q_error_os(lacks_number ? Q_ERR_FD_LIMIT : Q_ERR_RING_FAILED, Q_PHASE_CREATE, -result) : Q_OK;
}

// Takes those ways of receiving off that this kernel refuses. On a socket that is not connected each ends at once,
// with ENOTCONN where it is known and with EINVAL where it is not.
static struct q_error try_receives(struct q_ring *ring, uint32_t index) {
    static const struct {
        uint32_t capability;
        uint16_t flags;
    } k_ways[] = {{Q_RING_RECV_MULTISHOT, IORING_RECV_MULTISHOT}, {Q_RING_RECV_BUNDLE, Q_URING_RECVSEND_BUNDLE}};
    for (size_t i = 0; i < Q_COUNT_OF(k_ways); i++) {
        struct io_uring_sqe sqe = {0};
        int result = 0;
        if ((ring->capabilities & k_ways[i].capability) == 0) {
            continue;
        }
        io_uring_prep_recv(&sqe, (int)index, NULL, 0, 0);
        sqe.ioprio = k_ways[i].flags;
        sqe.flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
        sqe.buf_group = Q_RING_BUFFER_GROUP;
        struct q_error error = try_one(ring, &sqe, &result);
        if (q_error_is(error)) {
            return error;
        }
        if (result == -EINVAL) {
            ring->capabilities &= ~k_ways[i].capability;
        }
    }
    return Q_OK;
}

// Tries on a socket what no probe tells. The last slot is used: slots are taken from the first one up, and a host-driven
// ring has its bell in one already.
static struct q_error try_socket(struct q_ring *ring) {
    uint32_t index = ring->options.num_slots - 1;
    bool is_there;
    struct q_error error = try_direct_socket(ring, index, &is_there);
    if (!q_error_is(error) && !is_there) {
        error = install_socket(ring, index);
    }
    if (q_error_is(error)) {
        return error;
    }
    error = try_receives(ring, index);
    return q_error_is(error) ? error : close_tried(ring, index);
}

// One operation through the whole path before the ring is declared good: a seccomp filter may allow the set-up and
// kill or refuse the rest.
static struct q_error prove(struct q_ring *ring) {
    struct io_uring_sqe sqe = {0};
    int result;
    io_uring_prep_nop(&sqe);
    struct q_error error = try_one(ring, &sqe, &result);
    if (q_error_is(error)) {
        return error;
    }
    if (result < 0) {
        return q_ring_refusal(-result, NULL);
    }
    return try_socket(ring);
}

// What needs the loop thread: the registration of the ring belongs to the task that makes it.
static struct q_error bind_to_this_thread(struct q_ring *ring) {
    hide(ring);
    struct q_error error = prove(ring);
    if (!q_error_is(error)) {
        ring->is_enabled = true;
    }
    return error;
}

static struct q_error set_up(struct q_ring *ring) {
    struct io_uring_params params;
    int fd = setup_within_memlock(ring, &params);
    if (fd < 0) {
        return refusal(-fd);
    }
    ring->enter_fd = fd;
    ring->setup_flags = params.flags;
    struct q_error error = map_rings(ring, &params);
    if (q_error_is(error)) {
        return error;
    }
    probe_capabilities(ring);
    error = register_file_table(ring);
    if (q_error_is(error)) {
        return error;
    }
    error = q_ring_buffers_init(ring);
    if (q_error_is(error)) {
        return error;
    }
    if (!ring->options.host_driven) {
        error = bind_to_this_thread(ring);
        return q_error_is(error) ? error : hang_doorbell(ring);
    }
    ring->event_fd = ring->sys->eventfd(ring->sys);
    if (ring->event_fd < 0) {
        return q_error_os(Q_ERR_FD_LIMIT, Q_PHASE_CREATE, -ring->event_fd);
    }
    int result = q_ring_register(ring, IORING_REGISTER_EVENTFD, &ring->event_fd, 1);
    if (result < 0) {
        return q_error_os(Q_ERR_RING_TOO_OLD, Q_PHASE_CREATE, -result);
    }
    return hang_doorbell(ring);
}

struct q_error q_ring_create(const struct q_ring_options *options, struct q_ring **out) {
    Q_CHECK(options->num_slots >= 2); // the bell's and one more
    struct q_ring *ring = q_alloc_new(options->alloc, sizeof *ring);
    if (ring == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    ring->io.v = &q_ring_vtable;
    ring->options = *options;
    ring->stats.slots_max = options->num_slots;
    ring->sys = options->sys;
    ring->enter_fd = -1;
    options->doorbell->fd = -1;
    ring->event_fd = -1;
    ring->slot_free_first = Q_RING_SLOT_NONE;
    q_list_init(&ring->starved_slots);
    q_list_init(&ring->ready_slots);
    q_list_init(&ring->unwanted_slots);
    ring->slots = q_alloc_new_array(options->alloc, options->num_slots, sizeof *ring->slots);
    struct q_error error =
        ring->slots == NULL ? q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE) : set_up(ring);
    if (q_error_is(error)) {
        q_ring_destroy(ring);
        q_ring_take_down_bell(options->sys, options->doorbell);
        return error;
    }
    *out = ring;
    return Q_OK;
}

struct q_error q_ring_enable(struct q_ring *ring) {
    Q_CHECK(ring->options.host_driven && !ring->is_enabled);
    int result = q_ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) {
        return q_error_os(Q_ERR_RING_FAILED, Q_PHASE_CREATE, -result);
    }
    return bind_to_this_thread(ring);
}

// Gives up the ring's own file. Registered, it is released by index; the number is a stranger's by now.
static void let_go(struct q_ring *ring) {
    if (ring->enter_fd < 0) {
        return;
    }
    if (ring->register_flags & Q_URING_REGISTER_USE_REGISTERED_RING) {
        struct io_uring_rsrc_update registration = {.offset = (uint32_t)ring->enter_fd};
        q_ring_register(ring, IORING_UNREGISTER_RING_FDS, &registration, 1);
    } else {
        ring->sys->close(ring->sys, ring->enter_fd);
    }
    ring->enter_fd = -1;
}

void q_ring_destroy(struct q_ring *ring) {
    struct q_sys_uring *sys = ring->sys;
    if (ring->is_enabled) {
        // The bell's slot is the one that may still be open: nothing but this ring knows it.
        Q_CHECK(ring->stats.slots_open <= 1 && q_list_is_empty(&ring->starved_slots));
    }
    if (ring->maps.rings != NULL && ring->enter_fd >= 0) {
        // Explicitly, before the ring goes: the kernel tears a ring down late, files and buffers must not wait for it.
        q_ring_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
        struct io_uring_buf_reg registration = {.bgid = Q_RING_BUFFER_GROUP};
        q_ring_register(ring, IORING_UNREGISTER_PBUF_RING, &registration, 1);
    }
    let_go(ring);
    if (ring->maps.sqes != NULL) {
        sys->unmap(sys, ring->maps.sqes, ring->maps.sqes_size);
    }
    if (ring->maps.rings != NULL) {
        sys->unmap(sys, ring->maps.rings, ring->maps.rings_size);
    }
    q_ring_buffers_deinit(ring);
    if (ring->event_fd >= 0 && ring->options.doorbell->fd != ring->event_fd) {
        sys->close(sys, ring->event_fd);
    }
    q_alloc_free(ring->options.alloc, ring->slots, ring->options.num_slots * sizeof *ring->slots);
    q_alloc_free(ring->options.alloc, ring, sizeof *ring);
}

void q_ring_take_down_bell(struct q_sys_uring *sys, struct q_doorbell *bell) {
    if (bell->fd >= 0) {
        sys->close(sys, bell->fd);
        bell->fd = -1;
    }
}

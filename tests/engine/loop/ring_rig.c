#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/wheel.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static bool has_lost_patience;

const struct rig_rung k_rig_rungs[RIG_RUNGS] = {
    {"whole ladder", 0},
    {"no defer-taskrun", Q_RING_DEFER_TASKRUN},
    {"not hidden", Q_RING_HIDDEN},
    {"sockets by number", Q_RING_DIRECT_SOCKET},
    {"bell by eventfd", Q_RING_FUTEX_DOORBELL},
    {"no no-iowait", Q_RING_NO_IOWAIT},
    {"bound by number", Q_RING_DIRECT_BIND},
    {"receives one by one", Q_RING_RECV_MULTISHOT},
    {"buffers one by one", Q_RING_RECV_BUNDLE},
    {"lowest rung", Q_RING_CAPABILITIES},
};

int rig_listen(struct sockaddr_in *out_address, int backlog) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *out_address = (struct sockaddr_in){.sin_family = AF_INET};
    out_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof *out_address;
    assert_int_equal(bind(fd, (struct sockaddr *)out_address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)out_address, &len), 0);
    if (backlog >= 0) {
        assert_int_equal(listen(fd, backlog), 0);
    }
    return fd;
}

void rig_prepare(struct rig *rig, struct rig_options options) {
    *rig = (struct rig){.memory = q_failalloc_new(), .sim = options.sim, .listener = -1, .closed_port = -1};
    uint32_t buffer_bytes = options.buffer_bytes == 0 ? 1024 : options.buffer_bytes;
    uint64_t chunks = options.chunks_max == 0 ? 64 : options.chunks_max;
    rig->budget.limit = chunks * (sizeof(struct q_chunk) + buffer_bytes);
    q_chunk_pool_init(&rig->pool, q_failalloc_alloc(rig->memory), &rig->budget, buffer_bytes, 4);
    q_chunk_pool_init(&rig->large, q_failalloc_alloc(rig->memory), &rig->budget, options.large_bytes, 4);
    rig->options = (struct q_ring_options){
        .sys = options.sim == NULL ? q_sys_uring_real() : q_sim_sys(options.sim),
        .alloc = q_failalloc_alloc(rig->memory),
        .clock = options.sim == NULL ? q_clock_monotonic() : q_sim_clock(options.sim),
        .log = &rig->log,
        .doorbell = &rig->bell,
        .buffer_pool = &rig->pool,
        .large_pool = options.large_bytes == 0 ? NULL : &rig->large,
        .large_weight = options.large_weight == 0 ? 1 : options.large_weight,
        .num_buffers = options.num_buffers == 0 ? 8 : options.num_buffers,
        .num_slots = options.num_slots == 0 ? 16 : options.num_slots,
        .sq_entries = options.sq_entries == 0 ? 32 : options.sq_entries,
        .cq_entries = options.cq_entries == 0 ? 256 : options.cq_entries,
        .capabilities_off = options.capabilities_off,
        .host_driven = options.host_driven,
    };
    if (options.sim == NULL) {
        rig->listener = rig_listen(&rig->address, 64);
        rig->closed_port = rig_listen(&rig->nobody, -1); // bound, so that nobody else gets it, but nobody listens
    } else {
        rig->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
        rig->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        rig->nobody = rig->address;
        rig->nobody.sin_port = htons(81);
    }
}

struct q_error rig_create(struct rig *rig) {
    struct q_error error = q_ring_create(&rig->options, &rig->ring);
    if (!q_error_is(error)) {
        rig->io = q_ring_io(rig->ring);
    }
    return error;
}

void rig_open(struct rig *rig, struct rig_options options) {
    rig_prepare(rig, options);
    struct q_error error = rig_create(rig);
    if (q_error_is(error)) {
        fail_msg("no ring: %s %s", q_error_name(error.code), q_errno_name(error.os_errno));
    }
}

static uint64_t now_of(const struct rig *rig) {
    return q_clock_now(rig->options.clock);
}

enum q_io_rest rig_turn(struct rig *rig, uint64_t wait_ns) {
    uint64_t now = now_of(rig);
    struct q_io_turn turn = {
        .is_idle = wait_ns > 0,
        .may_sleep = wait_ns > 0,
        .now_ns = now,
        .deadline_ns = now + wait_ns,
        .bell_value = q_doorbell_value(&rig->bell),
    };
    struct q_list done;
    struct q_list_node *node;
    q_list_init(&done);
    if (q_io_collect(rig->io, &done)) {
        turn.may_sleep = false;
    }
    enum q_io_rest rest = q_io_turn(rig->io, &turn, &done);
    do {
        while ((node = q_list_pop_front(&done)) != NULL) {
            struct q_io_op *op = q_container_of(node, struct q_io_op, link);
            op->done(op);
        }
    } while (q_io_collect(rig->io, &done));
    return rest;
}

static void probe_done(struct q_io_op *op) {
    struct rig_op *probe = q_container_of(op, struct rig_op, op);
    assert_false(op->busy);
    probe->times++;
    probe->order = ++probe->rig->num_done;
    probe->result = op->result;
}

struct rig_op rig_op(struct rig *rig) {
    return (struct rig_op){.op = {.done = probe_done}, .rig = rig};
}

uint64_t rig_patience_ns(void) {
    return has_lost_patience ? 100 * Q_NS_PER_MS : 20 * Q_NS_PER_S;
}

void rig_assert_patient(const struct rig *rig, uint64_t start_ns) {
    if (now_of(rig) >= start_ns + rig_patience_ns() / 4 * 3) {
        has_lost_patience = true;
        fail_msg("what must come did not come");
    }
}

int32_t rig_await(struct rig *rig, struct rig_op *op) {
    int before = op->times;
    uint64_t start = now_of(rig);
    while (op->times == before && op->op.busy) {
        rig_assert_patient(rig, start); // an op that does not end
        rig_turn(rig, rig_patience_ns());
    }
    while (q_list_is_linked(&op->op.link)) {
        fail_msg("an op of kind %d is done but was not run", op->op.kind);
    }
    return op->result;
}

void rig_settle(struct rig *rig) {
    uint64_t completions;
    do {
        completions = q_io_get_stats(rig->io)->completions;
        rig_turn(rig, 30 * Q_NS_PER_MS);
    } while (q_io_get_stats(rig->io)->completions != completions);
}

void rig_destroy(struct rig *rig) {
    if (rig->ring == NULL) {
        return;
    }
    uint64_t start = now_of(rig);
    while (!q_ring_quiesce(rig->ring)) {
        rig_assert_patient(rig, start);
        rig_turn(rig, 0);
    }
    q_ring_destroy(rig->ring);
    q_ring_take_down_bell(rig->options.sys, &rig->bell);
    rig->ring = NULL;
}

void rig_close(struct rig *rig) {
    char text[256] = "";
    rig_destroy(rig);
    q_chunk_pool_deinit(&rig->pool);
    q_chunk_pool_deinit(&rig->large);
    if (rig->listener >= 0) {
        close(rig->listener);
        close(rig->closed_port);
    }
    if (!q_failalloc_check(rig->memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(rig->memory);
    if (rig->sim != NULL && !q_sim_check(rig->sim, text, sizeof text)) {
        fail_msg("%s", text);
    }
}

// --- connections -----------------------------------------------------------------------------------------------------

struct q_io_slot rig_connect(struct rig *rig, const struct sockaddr_in *address) {
    struct q_io_slot slot;
    struct rig_op op = rig_op(rig);
    struct q_io_connect params = {.address = (const struct sockaddr *)address, .address_len = sizeof *address};
    assert_false(q_error_is(q_io_open(rig->io, &slot)));
    q_io_connect(rig->io, slot, &op.op, &params);
    assert_int_equal(op.times, 0);
    assert_int_equal(rig_await(rig, &op), 0);
    return slot;
}

void rig_shut(struct rig *rig, struct q_io_slot slot) {
    struct rig_op op = rig_op(rig);
    q_io_close(rig->io, slot, &op.op);
    assert_int_equal(rig_await(rig, &op), 0);
    assert_int_equal(op.times, 1);
}

int rig_accept(struct rig *rig) {
    struct pollfd poll_fd = {.fd = rig->listener, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    int fd = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

bool rig_ends(int fd) {
    char byte;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 20000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

size_t rig_count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

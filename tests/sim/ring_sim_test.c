// The ring on the simulated kernel: users of the I/O seam open slots, connect, send, receive, are slow with their
// buffers and close whenever they like, against peers that answer, end, reset and stop reading. For each seed, on each
// rung of the feature ladder: every op ends exactly once, the bytes are those that were sent, close ends everything,
// the ledger is clean and nothing is left.
#define _GNU_SOURCE
#include "tests/sim/seeds.h"

#include "engine/loop/ring.h"
#include "engine/loop/wheel.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 2000
#define USERS 6
#define HELD_MAX 3
#define SEND_MAX 30000
#define TURNS 150
#define TURNS_TO_END 20000

enum user_state { USER_NONE, USER_CONNECTING, USER_OPEN, USER_CLOSING };

struct user {
    struct world *world;
    enum user_state state;
    struct q_io_slot slot;
    struct q_io_op connect, recv, send, close;
    struct q_io_connect params;
    struct q_io_option options[2];
    struct sockaddr_in address;
    struct msghdr message;
    struct iovec parts[3];
    char bytes[SEND_MAX];
    size_t asked;
    uint32_t tag; // its streams are those of this number
    uint64_t sent;
    uint64_t received;
    bool ended; // nothing more will come
    struct q_chunk *held[HELD_MAX];
    unsigned num_held;
};

struct world {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct q_chunk_budget budget;
    struct q_chunk_pool pool, large;
    struct q_doorbell bell;
    struct q_log log;
    struct q_ring *ring;
    struct q_io *io;
    struct user users[USERS];
    uint32_t next_tag;
    int signal_fd;
    struct q_io_slot signal_slot;
    uint64_t signals;
    uint64_t opened, closed, rings_in_a_row;
    bool host_driven;
};

// What all seeds together have seen: a simulation that never meets a full ring proves nothing about it.
static struct {
    uint64_t cqes, overflowed, starved, eintr, connections, signals, rings, refused, host_driven, eventfd_bells;
} seen;

static char stream_byte(uint64_t tag, uint64_t at) { return (char)(tag * 37 + at * 11 + (at >> 8) * 3); }

static uint64_t pick(struct world *world, uint64_t bound) {
    return q_random_below(q_sim_random(world->sim), bound);
}

static bool chance(struct world *world, unsigned percent) { return pick(world, 100) < percent; }

// --- peers -------------------------------------------------------------------------------------------------------

// A peer learns the client's tag from its first four bytes, and checks and answers by it.
struct remote {
    struct world *world;
    uint64_t tag;
    uint64_t got;
    uint64_t sent;
};

static void remote_open(void *context, struct q_sim_conn *conn) {
    struct remote *remote = calloc(1, sizeof *remote);
    remote->world = context;
    q_sim_conn_set_user(conn, remote);
}

static void remote_act(struct world *world, struct q_sim_conn *conn, struct remote *remote) {
    static char bytes[20000];
    uint64_t act = pick(world, 100);
    if (act < 60) {
        size_t len = (size_t)pick(world, act < 10 ? sizeof bytes : 1000) + 1;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = stream_byte(remote->tag + 1000, remote->sent + i);
        }
        remote->sent += len;
        q_sim_conn_delay(conn, chance(world, 20) ? pick(world, 5 * Q_NS_PER_MS) : 0);
        q_sim_conn_send(conn, bytes, len);
    } else if (act < 64) {
        q_sim_conn_close(conn);
    } else if (act < 67) {
        q_sim_conn_fin(conn);
    } else if (act < 71) {
        q_sim_conn_reset(conn);
    } else if (act < 73) {
        q_sim_conn_reset_now(conn);
    } else if (act < 80) {
        q_sim_conn_pause(conn, true);
    }
}

static void remote_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    struct world *world = context;
    struct remote *remote = q_sim_conn_user(conn);
    for (size_t i = 0; i < len; i++, remote->got++) {
        if (remote->got < 4) {
            remote->tag |= (uint64_t)(unsigned char)data[i] << (8 * remote->got);
        } else if (data[i] != stream_byte(remote->tag, remote->got)) {
            Q_SEEDS_CHECK(false, "the peer of %llu got a wrong byte at %llu", (unsigned long long)remote->tag,
                          (unsigned long long)remote->got);
        }
    }
    if (remote->got >= 4) {
        remote_act(world, conn, remote);
    }
}

static void remote_fin(void *context, struct q_sim_conn *conn) {
    (void)context;
    q_sim_conn_close(conn);
}

static void remote_closed(void *context, struct q_sim_conn *conn) {
    (void)context;
    free(q_sim_conn_user(conn));
}

static const struct q_sim_peer k_remote = {
    .on_open = remote_open, .on_bytes = remote_bytes, .on_fin = remote_fin, .on_closed = remote_closed};

static void start_net(struct world *world) {
    struct q_sim_listener listener = {.peer = &k_remote, .context = world};
    q_sim_listen(world->sim, "127.0.0.1", 80, &listener);
    listener.delay_ns = 3 * Q_NS_PER_MS;
    listener.send_buffer = 700;
    q_sim_listen(world->sim, "127.0.0.1", 81, &listener);
    q_sim_listen(world->sim, "127.0.0.1", 82, &(struct q_sim_listener){.answer = Q_SIM_UNREACHABLE});
    q_sim_listen(world->sim, "127.0.0.1", 83, &(struct q_sim_listener){.answer = Q_SIM_BLACKHOLE});
}

// --- users -------------------------------------------------------------------------------------------------------

static void user_close(struct user *user) {
    user->state = USER_CLOSING;
    q_io_close(user->world->io, user->slot, &user->close);
}

static void on_connected(struct q_io_op *op) {
    struct user *user = q_container_of(op, struct user, connect);
    bool is_known = op->result == 0 || op->result == -ECONNREFUSED || op->result == -EHOSTUNREACH ||
                    op->result == -ETIMEDOUT;
    // Closed in the batch that it started in, it is between socket and connect, and finds its slot empty (EBADF).
    bool is_ended = user->state == USER_CLOSING && (op->result == -ECANCELED || op->result == -EBADF);
    Q_SEEDS_CHECK(is_known || is_ended, "connect gave %d in state %d", op->result, (int)user->state);
    if (user->state == USER_CONNECTING) {
        user->state = USER_OPEN;
        user->ended = op->result != 0;
    }
}

static void on_received(struct q_io_op *op) {
    struct user *user = q_container_of(op, struct user, recv);
    Q_SEEDS_CHECK((op->result > 0) == (op->chunk != NULL), "a receive of %d bytes and its chunk disagree", op->result);
    if (op->result <= 0) {
        bool is_known = op->result == 0 || op->result == -ECONNRESET || op->result == -EPIPE;
        Q_SEEDS_CHECK(is_known || (op->result == -ECANCELED && user->state == USER_CLOSING), "receive gave %d",
                      op->result);
        user->ended = true;
        return;
    }
    for (int32_t i = 0; i < op->result; i++) {
        Q_SEEDS_CHECK(op->chunk->data[i] == stream_byte(user->tag + 1000, user->received + (uint64_t)i),
                      "user %u received a wrong byte at %llu", user->tag, (unsigned long long)user->received);
    }
    user->received += (uint64_t)op->result;
    if (user->num_held < HELD_MAX && chance(user->world, 30)) {
        user->held[user->num_held++] = op->chunk; // lent: another chunk must take its place
    } else {
        q_chunk_release(op->chunk);
    }
}

static void on_sent(struct q_io_op *op) {
    struct user *user = q_container_of(op, struct user, send);
    bool is_known = op->result >= 0 || op->result == -ECONNRESET || op->result == -EPIPE;
    Q_SEEDS_CHECK(is_known || (op->result == -ECANCELED && user->state == USER_CLOSING), "send gave %d", op->result);
    Q_SEEDS_CHECK(op->result <= (int32_t)user->asked, "a send gave %d of %zu", op->result, user->asked);
    if (op->result > 0) {
        user->sent += (uint64_t)op->result;
    }
    memset(user->bytes, 0x77, sizeof user->bytes); // ours again
}

static void on_closed(struct q_io_op *op) {
    struct user *user = q_container_of(op, struct user, close);
    Q_SEEDS_CHECK(op->result == 0, "close gave %d", op->result);
    Q_SEEDS_CHECK(!user->connect.busy && !user->recv.busy && !user->send.busy, "close was done before the slot's ops");
    while (user->num_held > 0) {
        q_chunk_release(user->held[--user->num_held]);
    }
    user->world->closed++;
    user->state = USER_NONE;
}

static void user_open(struct user *user) {
    struct world *world = user->world;
    struct q_io_slot slot;
    if (q_error_is(q_io_open(world->io, &slot))) {
        return;
    }
    *user = (struct user){.world = world, .slot = slot, .state = USER_CONNECTING, .tag = ++world->next_tag};
    world->opened++;
    user->connect.done = on_connected;
    user->recv.done = on_received;
    user->send.done = on_sent;
    user->close.done = on_closed;
    if (chance(world, 5)) {
        user_close(user); // never connected
        return;
    }
    user->options[0] = (struct q_io_option){IPPROTO_TCP, TCP_NODELAY, 1, NULL};
    user->options[1] = (struct q_io_option){SOL_SOCKET, SO_KEEPALIVE, 1, NULL};
    uint16_t port = (uint16_t)(80 + (chance(world, 70) ? pick(world, 2) : pick(world, 5))); // nobody at 84
    user->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    user->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    user->params = (struct q_io_connect){.address = (struct sockaddr *)&user->address,
                                         .address_len = sizeof user->address,
                                         .options = user->options,
                                         .num_options = (uint32_t)pick(world, 3)};
    q_io_connect(world->io, slot, &user->connect, &user->params);
}

static void user_send(struct user *user) {
    struct world *world = user->world;
    user->asked = (size_t)pick(world, chance(world, 10) ? SEND_MAX - 4 : 500) + (user->sent == 0 ? 4 : 1);
    for (size_t i = 0; i < user->asked; i++) {
        uint64_t at = user->sent + i;
        user->bytes[i] = at < 4 ? (char)(user->tag >> (8 * at)) : stream_byte(user->tag, at);
    }
    size_t cut = (size_t)pick(world, user->asked + 1);
    size_t num_parts = 1 + (size_t)pick(world, 3);
    user->parts[0] = (struct iovec){user->bytes, num_parts == 1 ? user->asked : cut};
    user->parts[1] = (struct iovec){user->bytes + cut, user->asked - cut};
    user->parts[2] = (struct iovec){user->bytes, 0};
    user->message = (struct msghdr){.msg_iov = user->parts, .msg_iovlen = num_parts};
    q_io_send(world->io, user->slot, &user->send, &user->message);
}

static void user_act(struct user *user) {
    struct world *world = user->world;
    if (user->num_held > 0 && chance(world, 30)) {
        q_chunk_release(user->held[--user->num_held]);
    }
    if (user->state == USER_NONE) {
        if (chance(world, 20)) {
            user_open(user);
        }
        return;
    }
    if (user->state == USER_CLOSING || (user->state == USER_CONNECTING && !chance(world, 3))) {
        return;
    }
    if (chance(world, user->ended ? 30 : 3) || user->state == USER_CONNECTING) {
        user_close(user);
        return;
    }
    if (user->ended) {
        return;
    }
    if (!user->recv.busy && chance(world, 60)) {
        uint32_t most = chance(world, 60) ? Q_IO_RECV_ANY : 1 + (uint32_t)pick(world, 8 * world->pool.capacity);
        q_io_recv(world->io, user->slot, &user->recv, most);
    }
    if (!user->send.busy && chance(world, 30)) {
        user_send(user);
    }
}

// --- the world ---------------------------------------------------------------------------------------------------

static bool host_acts(void *context, struct q_sim *sim, uint64_t next_ns) {
    struct world *world = context;
    bool must = next_ns == UINT64_MAX;
    if (!must && !q_sim_chance(sim, 10)) {
        return false;
    }
    if (++world->rings_in_a_row == 100) {
        q_ledger_dump(world->ledger, stderr, 60);
        Q_SEEDS_CHECK(false, "the doorbell rings, and the ring sleeps on");
    }
    q_doorbell_ring(&world->bell);
    return true;
}

static void choose_world(struct world *world, struct q_sim_options *options, uint64_t seed) {
    struct q_random random;
    q_random_seed(&random, ~seed);
    uint64_t bits = q_random_next(&random);
    *options = (struct q_sim_options){.seed = seed, .on_block = host_acts, .context = world};
    if ((bits & 3) == 0) { // one seed of four on an older kernel
        options->profile = (struct q_sim_profile){
            .no_futex = (bits & 4) != 0,
            .no_socket_cmd = (bits & 8) != 0,
            .no_reg_reg_ring = (bits & 16) != 0,
            .no_iowait_flag = (bits & 32) != 0,
            .no_recv_multishot = (bits & 4096) != 0,
            .no_recv_bundle = (bits & 8192) != 0,
            .setup_errno = (bits & 64) != 0 ? ENOMEM : 0,
            .setup_errno_count = (unsigned)(bits >> 20 & 15) + 1,
            .cq_entries_max = (bits & 128) != 0 ? 64 : 0,
        };
    }
    world->host_driven = (bits >> 16 & 7) == 0;
}

static bool make_ring(struct world *world) {
    uint32_t off = chance(world, 40) ? (uint32_t)pick(world, Q_RING_CAPABILITIES + 1) : 0;
    uint32_t num_buffers = 1u << (1 + pick(world, 4));
    uint32_t capacity = 64u << (2 * pick(world, 4));
    world->budget.limit = (sizeof(struct q_chunk) + capacity) * (1 + pick(world, 2 * num_buffers + 8));
    q_chunk_pool_init(&world->pool, q_failalloc_alloc(world->failalloc), &world->budget, capacity, 4);
    q_chunk_pool_init(&world->large, q_failalloc_alloc(world->failalloc), &world->budget, 4 * capacity, 2);
    bool is_small = chance(world, 50);
    struct q_ring_options options = {
        .sys = q_ledger_sys(world->ledger),
        .alloc = q_failalloc_alloc(world->failalloc),
        .clock = q_sim_clock(world->sim),
        .log = &world->log,
        .doorbell = &world->bell,
        .buffer_pool = &world->pool,
        .large_pool = chance(world, 60) ? &world->large : NULL,
        .large_weight = chance(world, 50) ? 1 : 2,
        .num_buffers = num_buffers,
        .num_slots = 2 + (uint32_t)pick(world, 8),
        .sq_entries = is_small ? 16 : 128,
        .cq_entries = is_small ? 16 : 1024,
        .capabilities_off = off,
        .host_driven = world->host_driven,
    };
    bool may_fail = chance(world, 10);
    if (may_fail) {
        q_failalloc_fail_at(world->failalloc, 1 + pick(world, 6));
        q_sim_fail_register(world->sim, (unsigned)pick(world, 26), 1, ENOMEM);
    }
    struct q_error error = q_ring_create(&options, &world->ring);
    if (!q_error_is(error) && world->host_driven) {
        error = q_ring_enable(world->ring);
        if (q_error_is(error)) {
            q_ring_destroy(world->ring);
            q_ring_take_down_bell(options.sys, &world->bell);
        }
    }
    q_failalloc_fail_at(world->failalloc, 0);
    q_sim_fail_register(world->sim, 0, 0, 0);
    if (q_error_is(error)) {
        Q_SEEDS_CHECK(may_fail, "create failed: %s, errno %d", q_error_name(error.code), error.os_errno);
        return false;
    }
    world->io = q_ring_io(world->ring);
    return true;
}

// One turn, as loop.c does it; host-driven, as a host does it that polls the ring's eventfd.
static void turn(struct world *world, bool may_sleep) {
    struct q_list done;
    q_list_init(&done);
    uint64_t now_ns = q_sim_now(world->sim);
    struct q_io_turn turn = {.now_ns = now_ns, .deadline_ns = Q_WHEEL_NEVER};
    turn.bell_value = q_doorbell_value(&world->bell);
    turn.is_idle = may_sleep;
    turn.may_sleep = may_sleep && !world->host_driven;
    if (chance(world, 50)) {
        turn.deadline_ns = now_ns + 1 + pick(world, 20 * Q_NS_PER_MS);
    }
    bool is_owed = q_io_collect(world->io, &done);
    turn.may_sleep = turn.may_sleep && !is_owed;
    bool more = q_io_turn(world->io, &turn, &done) != Q_IO_REST_NONE || is_owed;
    world->rings_in_a_row = 0;
    struct q_list_node *node;
    do {
        while ((node = q_list_pop_front(&done)) != NULL) {
            struct q_io_op *op = q_container_of(node, struct q_io_op, link);
            Q_SEEDS_CHECK(!op->busy, "an op that is done is busy");
            op->done(op);
        }
    } while (q_io_collect(world->io, &done));
    if (world->host_driven && !more && may_sleep) {
        while (q_sim_eventfd_take(world->sim, q_ring_event_fd(world->ring)) == 0 &&
               q_sim_step(world->sim, now_ns + 20 * Q_NS_PER_MS)) {
            // a host that polls
        }
    }
}

// Whether a byte still waits for an open user that receives, in the kernel or in the ring.
static bool bytes_are_left(struct world *world) {
    for (unsigned u = 0; u < USERS; u++) {
        const struct user *user = &world->users[u];
        if (user->state == USER_OPEN && !user->ended && q_io_has_unasked(world->io, user->slot)) {
            return true;
        }
    }
    for (size_t i = 0;; i++) {
        struct q_sim_conn *conn = q_sim_conn_at(world->sim, i);
        if (conn == NULL) {
            return false;
        }
        const struct remote *remote = q_sim_conn_is_alive(conn) ? q_sim_conn_user(conn) : NULL;
        for (unsigned u = 0; remote != NULL && u < USERS; u++) {
            const struct user *user = &world->users[u];
            if (user->state == USER_OPEN && !user->ended && user->tag == remote->tag && q_sim_conn_unread(conn) > 0) {
                return true;
            }
        }
    }
}

// Nothing may be forgotten: with buffers back and receives armed, every byte arrives.
static void settle(struct world *world) {
    for (unsigned i = 0; i == 0 || bytes_are_left(world); i++) {
        Q_SEEDS_CHECK(i < TURNS_TO_END, "bytes do not arrive");
        for (unsigned u = 0; u < USERS; u++) {
            struct user *user = &world->users[u];
            while (user->num_held > 0) {
                q_chunk_release(user->held[--user->num_held]);
            }
            if (user->state == USER_OPEN && !user->ended && !user->recv.busy) {
                q_io_recv(world->io, user->slot, &user->recv, Q_IO_RECV_ANY);
            }
        }
        turn(world, true);
    }
}

static void use_ring(struct world *world) {
    world->signal_fd = q_sim_sys(world->sim)->eventfd(q_sim_sys(world->sim));
    bool has_signal = !q_error_is(q_io_install(world->io, world->signal_fd, &world->signal_slot));
    for (unsigned i = 0; i < TURNS; i++) {
        for (unsigned u = 0; u < USERS; u++) {
            user_act(&world->users[u]);
        }
        if (has_signal && chance(world, 10)) {
            q_io_signal(world->io, world->signal_slot);
            world->signals++;
        }
        turn(world, chance(world, 80));
    }
    settle(world);
    bool open = true;
    for (unsigned i = 0; open; i++) {
        Q_SEEDS_CHECK(i < TURNS_TO_END, "a slot does not close");
        open = false;
        for (unsigned u = 0; u < USERS; u++) {
            if (world->users[u].state == USER_OPEN || world->users[u].state == USER_CONNECTING) {
                user_close(&world->users[u]);
            }
            open = open || world->users[u].state != USER_NONE;
        }
        turn(world, true);
    }
    Q_SEEDS_CHECK(world->opened == world->closed, "opened and closed differ");
    uint64_t count = q_sim_eventfd_take(world->sim, world->signal_fd);
    Q_SEEDS_CHECK(!has_signal || (count <= world->signals && (count > 0) == (world->signals > 0)),
                  "%llu signals became %llu", (unsigned long long)world->signals, (unsigned long long)count);
}

static void signal_slot_closed(struct q_io_op *op) { *(bool *)(op + 1) = true; }

static void end_ring(struct world *world) {
    struct {
        struct q_io_op op;
        bool closed;
    } end = {.op = {.done = signal_slot_closed}};
    if (world->signal_slot.generation != 0) {
        q_io_close(world->io, world->signal_slot, &end.op);
        for (unsigned i = 0; !end.closed; i++) {
            Q_SEEDS_CHECK(i < TURNS_TO_END, "the signal's slot does not close");
            turn(world, true);
        }
    }
    for (unsigned i = 0; !q_ring_quiesce(world->ring); i++) {
        Q_SEEDS_CHECK(i < TURNS_TO_END, "the ring does not come to rest");
        turn(world, true);
    }
    const struct q_io_stats *stats = q_io_get_stats(world->io);
    Q_SEEDS_CHECK(stats->stale_completions == 0, "a stale completion");
    seen.starved += stats->buffers_starved;
    seen.host_driven += world->host_driven;
    seen.eventfd_bells += (q_ring_capabilities(world->ring) & Q_RING_FUTEX_DOORBELL) == 0;
    seen.signals += world->signals;
    q_ring_destroy(world->ring);
    q_ring_take_down_bell(q_sim_sys(world->sim), &world->bell);
    q_sim_sys(world->sim)->close(q_sim_sys(world->sim), world->signal_fd);
}

static void run(uint64_t seed) {
    struct world *world = calloc(1, sizeof *world);
    struct q_sim_options options;
    choose_world(world, &options, seed);
    world->sim = q_sim_new(&options);
    world->ledger = q_ledger_new(q_sim_sys(world->sim));
    world->failalloc = q_failalloc_new();
    start_net(world);
    for (unsigned u = 0; u < USERS; u++) {
        world->users[u].world = world;
    }
    if (make_ring(world)) {
        use_ring(world);
        end_ring(world);
    } else {
        seen.refused++;
    }
    seen.cqes += q_sim_stats(world->sim)->cqes;
    seen.overflowed += q_sim_stats(world->sim)->cqes_overflowed;
    seen.eintr += q_sim_stats(world->sim)->eintr_injected;
    seen.connections += q_sim_stats(world->sim)->connections;
    seen.rings += world->bell.word;
    q_chunk_pool_deinit(&world->pool);
    q_chunk_pool_deinit(&world->large);
    char text[512] = "";
    if (!q_ledger_check(world->ledger, text, sizeof text)) {
        q_ledger_dump(world->ledger, stderr, 60);
        Q_SEEDS_CHECK(false, "%s", text);
    }
    Q_SEEDS_CHECK(q_sim_check(world->sim, text, sizeof text), "%s", text);
    Q_SEEDS_CHECK(q_failalloc_check(world->failalloc, text, sizeof text), "%s", text);
    Q_SEEDS_CHECK(world->budget.used == 0, "the budget is not back at zero");
    q_sim_free(world->sim);
    q_ledger_free(world->ledger);
    q_failalloc_free(world->failalloc);
    free(world);
}

static void the_ring_keeps_its_promises_for_every_seed(void **state) {
    (void)state;
    uint64_t seeds = q_seeds_run(run, NULL, 0, SEEDS);
    print_message("%llu seeds: %llu completions (%llu overflowed), %llu connections, %llu receives without a buffer, "
                  "%llu EINTR, %llu signals, %llu rings, %llu refused, %llu host-driven, %llu with an eventfd bell\n",
                  (unsigned long long)seeds, (unsigned long long)seen.cqes, (unsigned long long)seen.overflowed,
                  (unsigned long long)seen.connections, (unsigned long long)seen.starved,
                  (unsigned long long)seen.eintr, (unsigned long long)seen.signals, (unsigned long long)seen.rings,
                  (unsigned long long)seen.refused, (unsigned long long)seen.host_driven,
                  (unsigned long long)seen.eventfd_bells);
    if (seeds >= SEEDS) {
        assert_true(seen.overflowed > 0 && seen.starved > 0 && seen.eintr > 0 && seen.signals > 0);
        assert_true(seen.rings > 0 && seen.refused > 0);
        assert_true(seen.host_driven > 0 && seen.eventfd_bells > 0 && seen.connections > seeds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_ring_keeps_its_promises_for_every_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#define _GNU_SOURCE
#include "tests/sim/engine_world.h"

#include <stdlib.h>
#include <string.h>

#define TICKS_IN_A_ROW_MAX 20000 // a loop that always wants another tick never sleeps

uint64_t world_pick(struct world *world, uint64_t bound) { return q_random_below(q_sim_random(world->sim), bound); }
bool world_chance(struct world *world, unsigned percent) { return world_pick(world, 100) < percent; }

static void *world_allocate(void *context, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    return alloc->allocate(alloc->context, size);
}

static void world_release(void *context, void *ptr, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    alloc->release(alloc->context, ptr, size);
}

static void on_server_request(void *context, uint64_t tag, const char *method) {
    struct world *world = context;
    WORLD_CHECK(tag >= 1 && tag <= world->max_requests, "a server got a request of nobody: %s", method);
    struct world_request *request = &world->requests[tag - 1];
    WORLD_CHECK(strcmp(request->method, method) == 0, "request %u came as %s", request->number, method);
    request->heads_at_server++;
    WORLD_CHECK(request->heads_at_server <= 1 + request->hops || request->is_idempotent, "request %u (%s) was sent twice",
                request->number, method);
}

static void start_server(struct world *world, enum world_origin origin, struct q_simhttp_options options) {
    bool is_moody = origin == ORIGIN_MOODY || origin == ORIGIN_FAULTY;
    unsigned number = origin == ORIGIN_BREACH ? 4 : (unsigned)origin;
    options.on_request = on_server_request;
    options.context = world;
    world->fronts[number] = sim_route_open(world->sim, is_moody, &options);
    world->servers[number] = q_simhttp_new(world->sim, "127.0.0.1", (uint16_t)(80 + origin), &options);
}

static void start_servers(struct world *world) {
    start_server(world, ORIGIN_CLEAN, (struct q_simhttp_options){0});
    start_server(world, ORIGIN_SLOW,
                 (struct q_simhttp_options){
                     .accept_delay_ns = 2 * Q_NS_PER_MS, .send_buffer = 3000, .receive_buffer = 3000});
    start_server(world, ORIGIN_MOODY, (struct q_simhttp_options){.idle_close_percent = 40});
    start_server(world, ORIGIN_FAULTY, (struct q_simhttp_options){.idle_close_percent = 5});
    if (hard_is(world, HARD_BREACHES)) {
        start_server(world, ORIGIN_BREACH,
                     (struct q_simhttp_options){.raws = world->hard.raws, .num_raws = world->hard.num_raws});
    }
    q_sim_listen(world->sim, "127.0.0.1", 85, &(struct q_sim_listener){.answer = Q_SIM_UNREACHABLE});
    q_sim_listen(world->sim, "127.0.0.1", 86, &(struct q_sim_listener){.answer = Q_SIM_BLACKHOLE});
}

struct world *world_new(uint64_t seed, const struct world_hardships *hard) {
    struct world *world = calloc(1, sizeof *world);
    Q_CHECK(world != NULL);
    world->hard = hard != NULL ? *hard : (struct world_hardships){0};
    struct q_random random;
    q_random_seed(&random, ~seed);
    uint64_t bits = q_random_next(&random);
    struct q_sim_options options = {.seed = seed};
    if ((bits & 3) == 0) { // one seed of four on an older kernel
        options.profile = (struct q_sim_profile){.no_futex = (bits & 4) != 0,
                                                 .no_socket_cmd = (bits & 8) != 0,
                                                 .no_reg_reg_ring = (bits & 16) != 0,
                                                 .no_iowait_flag = (bits & 32) != 0,
                                                 .no_bind_op = (bits & 64) != 0};
    }
    world->sim = q_sim_new(&options);
    world->ledger = q_ledger_new(q_sim_sys(world->sim));
    world->failalloc = q_failalloc_new();
    world->allocator = (struct quoit_allocator){world_allocate, world_release, world->failalloc};
    sim_route_begin(seed);
    start_servers(world);
    return world;
}

void world_free(struct world *world) {
    char text[512] = "";
    if (!q_ledger_check(world->ledger, text, sizeof text)) {
        q_ledger_dump(world->ledger, stderr, 80);
        WORLD_CHECK(false, "%s", text);
    }
    while (q_sim_step(world->sim, q_sim_now(world->sim) + Q_NS_PER_S)) {
        // FINs arrive, servers let go
    }
    WORLD_CHECK(q_sim_check(world->sim, text, sizeof text), "%s", text);
    WORLD_CHECK(q_failalloc_check(world->failalloc, text, sizeof text), "%s", text);
    q_sim_free(world->sim);
    for (unsigned i = 0; i < WORLD_SERVERS && world->servers[i] != NULL; i++) {
        const struct q_simhttp_stats *stats = q_simhttp_stats(world->servers[i]);
        WORLD_CHECK(stats->faults == 0, "server %u: %s", i, stats->first_fault);
        q_simhttp_free(world->servers[i]);
        const char *fault = sim_route_close(world->fronts[i]);
        WORLD_CHECK(fault == NULL, "server %u: %s", i, fault);
    }
    q_ledger_free(world->ledger);
    q_failalloc_free(world->failalloc);
    free(world);
}

static struct q_engine *engine_of(struct world *world) { return q_table_entry_of(world->engine)->engine; }

static struct q_port *port_of(struct world *world, uint32_t index) {
    return q_engine_port_at(engine_of(world), index);
}

static void open_ports(struct world *world) {
    uint32_t wanted = 1 + (uint32_t)world_pick(world, WORLD_PORTS);
    for (uint32_t i = 0; i < wanted; i++) {
        struct world_port *port = &world->ports[i];
        *port = (struct world_port){.world = world, .is_inline = world_chance(world, 30), .must_drain = true};
        port->is_inline = port->is_inline && world->starvation != NEVER_DRAINS && world->starvation != DRAINS_HOURLY;
        struct quoit_port_options options = {
            .struct_size = sizeof options,
            .mode = port->is_inline ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD,
            .capacity = 16u << world_pick(world, 4),
            .on_event = world_on_event,
            .context = port,
        };
        int32_t code = quoit_port_create(world->engine, &options, &port->handle);
        WORLD_CHECK(code == 0, "port_create gave %s", quoit_error_name(code));
        world->num_ports++;
        const struct q_evring *ring = &port_of(world, i)->ring;
        port->reservable = atomic_load(&ring->reservable);
        port->data_room = ring->data_room;
    }
}

bool world_create_engine(struct world *world) {
    hard_begin(world);
    struct quoit_engine_options options = {
        .struct_size = sizeof options,
        .mode = QUOIT_ENGINE_HOST_DRIVEN,
        .capabilities_off = world_chance(world, 30) ? (uint32_t)world_pick(world, Q_RING_CAPABILITIES + 1) : 0,
        .requests_max = 4 + (uint32_t)world_pick(world, 60),
        .connections_max = 1 + (uint32_t)world_pick(world, 12),
        .connections_per_origin_max = 1 + (uint32_t)world_pick(world, 6),
        .waiters_per_origin_max = world_chance(world, 10) ? 2 : 1000,
        .idle_timeout_ms = world_chance(world, 30) ? 3 : 0,
        .memory_max = UINT64_C(2) << (20 + world_pick(world, 4)),
        .allocator = &world->allocator,
        .hosts_file = "/nonexistent",
    };
    world->waiters_max = options.waiters_per_origin_max;
    struct q_engine_seams seams = {.sys = q_ledger_sys(world->ledger),
                                   .clock = q_sim_clock(world->sim),
                                   .has_seed = true,
                                   .seed = q_sim_seed(world->sim)};
    bool may_fail = world_chance(world, 5);
    if (may_fail) {
        q_failalloc_fail_at(world->failalloc, 1 + world_pick(world, 12));
    }
    struct q_error error = q_engine_create(&options, &seams, &world->engine);
    q_failalloc_fail_at(world->failalloc, 0);
    if (q_error_is(error)) {
        WORLD_CHECK(may_fail && error.code == Q_ERR_NO_MEMORY, "create gave %s", q_error_name(error.code));
        return false;
    }
    world->is_open = true;
    world->ticks_again = true;
    world->has_memory_faults = world_chance(world, 8);
    world->has_kernel_faults = world_chance(world, 8);
    world->max_requests = 1 + (uint32_t)world_pick(world, WORLD_REQUESTS);
    open_ports(world);
    return true;
}

// --- driving -----------------------------------------------------------------------------------------------------

static void check_tick(struct world *world) {
    WORLD_CHECK(q_sim_violations(world->sim) == 0, "%s", q_sim_violation(world->sim, 0));
    if (q_ledger_violations(world->ledger) != 0) {
        q_ledger_dump(world->ledger, stderr, 80);
        WORLD_CHECK(false, "%s", q_ledger_violation(world->ledger));
    }
    struct quoit_engine_info info = {.struct_size = sizeof info};
    int32_t code = quoit_engine_info(world->engine, &info);
    WORLD_CHECK(code == 0, "info gave %s", quoit_error_name(code));
    WORLD_CHECK(info.stale_completions == 0, "a stale completion");
}

static void tick(struct world *world) {
    uint64_t enters_before = q_sim_stats(world->sim)->enters;
    int32_t result = quoit_engine_tick(world->engine);
    uint64_t enters = q_sim_stats(world->sim)->enters - enters_before;
    // Driven by a host: one entry to look, one to hand over what was begun.
    WORLD_CHECK(enters <= 2 || world->ticks == 0, "a tick entered the kernel %llu times", (unsigned long long)enters);
    WORLD_CHECK(result >= 0, "tick gave %s", quoit_error_name(-result));
    world->ticks++;
    world->ticks_again = result == 1;
    int64_t timeout_ms = result == 1 ? 0 : quoit_engine_timeout_ms(world->engine);
    world->tick_at_ns = timeout_ms < 0 ? UINT64_MAX : q_sim_now(world->sim) + (uint64_t)timeout_ms * Q_NS_PER_MS;
    check_tick(world);
}

static bool is_readable(struct world *world, int fd) { return fd >= 0 && q_sim_eventfd_count(world->sim, fd) > 0; }

bool world_engine_wants_tick(struct world *world) {
    return world->ticks_again || q_sim_now(world->sim) >= world->tick_at_ns ||
           is_readable(world, quoit_engine_fd(world->engine));
}

static bool port_wants_drain(struct world_port *port) {
    if (port->is_inline || port->is_closed || port->is_lazy || !hard_lets_drain(port)) {
        return false;
    }
    return port->num_drained > 0 || port->must_drain || is_readable(port->world, quoit_port_fd(port->handle));
}

// Lets time pass until something is due for the host, or a moment for its own ideas.
static void sleep_a_little(struct world *world) {
    uint64_t most_ns = world->is_settling ? 300 * Q_NS_PER_MS : 3 * Q_NS_PER_MS; // a settling host has nothing to do
    most_ns = hard_sleep_ns(world, most_ns);
    uint64_t until_ns = q_sim_now(world->sim) + 1 + world_pick(world, most_ns);
    until_ns = until_ns < world->tick_at_ns ? until_ns : world->tick_at_ns;
    bool woken = false;
    while (!woken && q_sim_step(world->sim, until_ns)) {
        woken = world_engine_wants_tick(world);
        for (uint32_t i = 0; i < world->num_ports; i++) {
            woken = woken || port_wants_drain(&world->ports[i]);
        }
    }
}

void world_step(struct world *world) {
    bool did = false;
    if (world_engine_wants_tick(world)) {
        tick(world);
        did = true;
    }
    for (uint32_t i = 0; i < world->num_ports; i++) {
        struct world_port *port = &world->ports[i];
        if (port_wants_drain(port) && (world->is_settling || world_chance(world, 70))) {
            world_take_events(port);
            did = true;
        }
    }
    if (!did) {
        sleep_a_little(world);
    }
}

void world_destroy_engine(struct world *world) {
    while (world->num_slices > 0) {
        if (world_chance(world, 10)) {
            int32_t code = quoit_engine_destroy(world->engine);
            WORLD_CHECK(code == QUOIT_ERR_BUSY, "destroy with slices out gave %s", quoit_error_name(code));
        }
        world_release_slice(world, 0);
    }
    for (uint32_t i = 0; i < world->num_ports; i++) {
        if (!world->ports[i].is_inline && world_chance(world, 50)) {
            world_advance(&world->ports[i]); // or destroy drops what was not advanced over
        }
    }
    int32_t code = quoit_engine_destroy(world->engine);
    WORLD_CHECK(code == 0, "destroy gave %s", quoit_error_name(code));
    world->is_open = false;
    code = quoit_engine_tick(world->engine);
    WORLD_CHECK(code == -QUOIT_ERR_STALE_HANDLE, "tick of a destroyed engine gave %d", code);
}

// --- at rest -----------------------------------------------------------------------------------------------------

static uint32_t free_slots(const struct q_slotfree *list) {
    uint32_t count = list->capacity - atomic_load(&list->fresh);
    for (uint32_t at = (uint32_t)atomic_load(&list->top); at != 0; at = atomic_load(&list->next[at - 1])) {
        count++;
    }
    return count;
}

static uint32_t received_out(const struct q_engine *engine) {
    return engine->buffer_pool.num_out * engine->buffer_pool.capacity +
           engine->large_pool.num_out * engine->large_pool.capacity;
}

static bool is_at_rest(struct world *world) {
    struct q_engine *engine = engine_of(world);
    bool rests = free_slots(&engine->slots_free) == engine->options.requests_max && engine->head_pool.num_out == 0 &&
                 engine->small_pool.num_out == 0 && received_out(engine) <= Q_ENGINE_BUFFERS * Q_ENGINE_BUFFER_BYTES;
    for (uint32_t i = 0; i < world->num_ports; i++) {
        const struct q_evring *ring = &port_of(world, i)->ring;
        rests = rests && atomic_load(&ring->reservable) == world->ports[i].reservable &&
                ring->data_room == world->ports[i].data_room;
    }
    return rests;
}

void world_check_rest(struct world *world) {
    for (unsigned i = 0; !is_at_rest(world); i++) {
        struct q_engine *engine = engine_of(world);
        if (i == 100) {
            world_describe(world);
        }
        WORLD_CHECK(i < 100, "at rest %u of %u slots are free, %u heads, %u small chunks and %u bytes of buffers are out",
                    free_slots(&engine->slots_free), engine->options.requests_max, engine->head_pool.num_out,
                    engine->small_pool.num_out, received_out(engine));
        tick(world); // what the host has advanced over is collected in a tick, whenever that comes
        world_step(world);
    }
}

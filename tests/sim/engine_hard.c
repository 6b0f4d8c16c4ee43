// What makes a world hard: see engine_world.h. Where it is not, nothing is drawn and nothing is changed.
#define _GNU_SOURCE
#include "tests/sim/engine_world.h"

#include <stdio.h>
#include <string.h>

#define HOUR_NS (UINT64_C(3600) * Q_NS_PER_S)
#define STEPS_TO_STARVE 100000

bool hard_is(const struct world *world, enum world_hardship hardship) {
    return (world->hard.kinds & (unsigned)hardship) != 0;
}

void hard_begin(struct world *world) {
    if (hard_is(world, HARD_STARVING)) {
        world->starvation = (enum world_starvation)(1 + world_pick(world, STARVATIONS - 1));
    }
}

// --- servers that break a rule -------------------------------------------------------------------------------------

bool hard_draws_breach(struct world_request *request) {
    // What is broken in a body is nothing to HEAD, which has none.
    return request->origin == ORIGIN_BREACH && !request->is_head_method && world_chance(request->world, 70);
}

bool hard_is_breach(const struct world_request *request) {
    return request->kind == KIND_BREACH && !request->was_stopped;
}

void hard_add_trouble(struct world_request *request, char *target, size_t size) {
    struct world *world = request->world;
    size_t len = strlen(target);
    if (world_chance(world, 20)) {
        uint64_t at = world_pick(world, world->hard.raws[request->count].len);
        bool resets = world->hard.codes[request->count] == 0 || world_chance(world, 50);
        snprintf(target + len, size - len, "&%s=%llu", resets ? "reset" : "cut", (unsigned long long)at);
        request->is_faulty = true;
    } else if (world_chance(world, 20)) {
        snprintf(target + len, size - len, "&early");
        request->is_early = true;
    }
}

bool hard_may_be_done(const struct world_request *request) {
    return hard_is_breach(request) && request->world->hard.codes[request->count] == 0;
}

bool hard_may_fail_with(const struct world_request *request, int32_t code) {
    const struct world *world = request->world;
    bool is_truncated = code == QUOIT_ERR_HTTP_TRUNCATED_HEAD || code == QUOIT_ERR_HTTP_TRUNCATED_BODY;
    bool is_lost = quoit_error_category(code) == QUOIT_CATEGORY_CONNECTION;
    bool is_of_breach = hard_is_breach(request) && code == world->hard.codes[request->count];
    // What is broken off is so at each hop.
    bool is_of_trouble = request->kind == KIND_BREACH &&
                         ((request->is_faulty && (is_truncated || is_lost)) || (request->is_early && is_lost));
    if (is_of_breach || is_of_trouble) {
        return true;
    }
    // Thirty seconds, by default, are over in no time, and so are the ten of a handshake.
    return (code == QUOIT_ERR_TIMEOUT_CONNECT || code == QUOIT_ERR_TIMEOUT_TLS) && world->jumps > 0;
}

// --- a clock that jumps, or stands still ---------------------------------------------------------------------------

// Where the clock goes on it is a jump, too: as far as the world has come meanwhile.
static void hold_clock(struct world *world, bool held) {
    world->jumps += world->is_clock_held;
    world->is_clock_held = held;
    q_sim_hold_clock(world->sim, held);
    world->ticks_again = true; // what the engine has said of its timeout is of another time
}

void hard_act(struct world *world) {
    if (!hard_is(world, HARD_CLOCKS)) {
        return;
    }
    static const uint64_t k_jumps_ns[] = {Q_NS_PER_MS, Q_NS_PER_S, 61 * Q_NS_PER_S, HOUR_NS, 30 * HOUR_NS};
    if (world_chance(world, 4)) {
        q_sim_jump(world->sim, k_jumps_ns[world_pick(world, Q_COUNT_OF(k_jumps_ns))]);
        world->jumps++;
    }
    if (world_chance(world, world->is_clock_held ? 10 : 3)) {
        hold_clock(world, !world->is_clock_held);
    }
}

void hard_settle(struct world *world) {
    if (world->is_clock_held) {
        hold_clock(world, false);
    }
}

// --- a host that starves its engine --------------------------------------------------------------------------------

bool hard_lets_drain(const struct world_port *port) {
    const struct world *world = port->world;
    if (world->is_settling) {
        return true;
    }
    return world->starvation != NEVER_DRAINS && q_sim_now(world->sim) >= port->drain_at_ns;
}

uint32_t hard_drain_max(const struct world_port *port, uint32_t wanted) {
    return port->world->starvation == DRAINS_HOURLY && !port->world->is_settling ? 1 : wanted;
}

void hard_drained(struct world_port *port) {
    if (port->world->starvation == DRAINS_HOURLY) {
        port->drain_at_ns = q_sim_now(port->world->sim) + HOUR_NS;
    }
}

uint64_t hard_sleep_ns(struct world *world, uint64_t wanted_ns) {
    bool is_long = world->starvation == DRAINS_HOURLY && !world->is_settling && world_chance(world, 20);
    return is_long ? 2 * HOUR_NS : wanted_ns;
}

// The host never comes to its senses before the engine has closed: the close has a deadline, and must not need it.
void hard_starve_to_the_end(struct world *world) {
    uint64_t drain_ms = world_pick(world, 20);
    uint64_t over_ns = q_sim_now(world->sim) + (drain_ms + 10) * Q_NS_PER_MS;
    world_close(world, drain_ms);
    for (unsigned i = 0; q_sim_now(world->sim) < over_ns || world_engine_wants_tick(world); i++) {
        if (i == STEPS_TO_STARVE) {
            world_describe(world);
            WORLD_CHECK(false, "the engine goes on and on");
        }
        world_step(world);
    }
    struct quoit_engine_info info = {.struct_size = sizeof info};
    int32_t code = quoit_engine_info(world->engine, &info);
    WORLD_CHECK(code == 0, "info gave %s", quoit_error_name(code));
    WORLD_CHECK(info.requests_pending == 0, "%llu requests have outlived the close's deadline",
                (unsigned long long)info.requests_pending);
}

// The life of a world: the host acts at random, then behaves, and everything must come to an end and be back.
#define _GNU_SOURCE
#include "tests/sim/engine_world.h"

#include <stdio.h>

#define STEPS 200
#define STEPS_TO_SETTLE 100000

// The host behaves from here on: it drains, grants and gives back; what can end must end.
static void behave(struct world *world) {
    for (uint32_t i = 0; i < world->num_ports; i++) {
        world->ports[i].is_lazy = false;
    }
    while (world->num_slices > 0) {
        world_release_slice(world, 0);
    }
    for (uint32_t i = 0; i < world->num_requests; i++) {
        struct world_request *request = &world->requests[i];
        if (request->has_ended) {
            continue;
        }
        if (request->is_manual && !request->has_all_credit) {
            request->has_all_credit = true;
            request->credit += UINT64_C(1) << 40;
            quoit_grant(world->engine, request->handle, UINT64_C(1) << 40);
        }
        if (request->kind == KIND_NEVER && !request->was_canceled) {
            request->was_canceled = true;
            quoit_cancel(world->engine, request->handle);
        }
    }
}

static bool all_ports_closed(const struct world *world) {
    for (uint32_t i = 0; i < world->num_ports; i++) {
        if (!world->ports[i].is_closed) {
            return false;
        }
    }
    return true;
}

static void settle(struct world *world) {
    world->is_settling = true;
    for (unsigned i = 0; world_pending(world) > 0; i++) {
        if (i == STEPS_TO_SETTLE) {
            world_describe(world);
            Q_SEEDS_CHECK(false, "%u requests do not end", world_pending(world));
        }
        behave(world);
        world_step(world);
    }
    if (!world->is_closing) {
        behave(world);
        world_check_rest(world);
    }
    world_close(world, world_pick(world, 20));
}

static void end(struct world *world) {
    world->is_settling = true;
    for (unsigned i = 0; !all_ports_closed(world); i++) {
        if (i == STEPS_TO_SETTLE) {
            world_describe(world);
            Q_SEEDS_CHECK(false, "the engine does not close");
        }
        behave(world);
        world_step(world);
    }
}

void world_live(uint64_t seed, const struct world_hardships *hard, void (*note)(struct world *world)) {
    struct world *world = world_new(seed, hard);
    if (world_create_engine(world)) {
        for (unsigned i = 0; i < STEPS && !world->is_closing; i++) {
            world_act(world);
            hard_act(world);
            world_step(world);
        }
        world->closed_early = world->is_closing;
        q_failalloc_fail_at(world->failalloc, 0);
        sim_route_fail_memory_at(0);
        for (unsigned opcode = 0; opcode < 64; opcode++) {
            q_sim_fail_op(world->sim, opcode, 0, 0);
        }
        hard_settle(world);
        if (world->starvation != FED && world_chance(world, 50)) {
            hard_starve_to_the_end(world);
        } else {
            settle(world);
        }
        end(world);
        note(world);
        world_destroy_engine(world);
    }
    world_check_end(world);
    world_free(world);
}

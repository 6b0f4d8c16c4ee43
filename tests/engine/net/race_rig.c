#define _GNU_SOURCE
#include "tests/engine/net/race_rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool nothing_to_do(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    struct race *race = owner;
    *out_bell_value = q_doorbell_value(&race->bell);
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = nothing_to_do, .publish = nothing_to_do, .park = park};

void race_open(struct race *race, uint64_t seed, uint32_t num_slots) {
    *race = (struct race){.memory = q_failalloc_new()};
    race->sim = q_sim_new(&(struct q_sim_options){.seed = seed});
    const struct q_alloc *alloc = q_failalloc_alloc(race->memory);
    race->budget.limit = 1 << 20;
    q_chunk_pool_init(&race->buffers, alloc, &race->budget, 4096, 0);
    struct q_ring_options options = {
        .sys = q_sim_sys(race->sim),
        .alloc = alloc,
        .clock = q_sim_clock(race->sim),
        .log = &race->log,
        .doorbell = &race->bell,
        .buffer_pool = &race->buffers,
        .num_buffers = 2,
        .num_slots = num_slots == 0 ? 80 : num_slots,
        .sq_entries = 64,
        .cq_entries = 256,
    };
    struct q_error error = q_ring_create(&options, &race->ring);
    assert_int_equal(error.code, Q_ERR_OK);
    q_loop_init(&race->loop, q_ring_io(race->ring), q_sim_clock(race->sim), &race->log, 1, &k_steps, race);
    q_loop_bind(&race->loop);
    race->num_strange = q_io_get_stats(race->loop.io)->slots_open;
    race->params = (struct q_eyeballs_params){.loop = &race->loop, .alloc = alloc};
}

void race_close(struct race *race) {
    char text[512] = "";
    if (race->end == RACE_CONNECTED) {
        race_drop(race);
    }
    for (uint32_t i = 0; i < race->num_answers; i++) {
        q_loop_disarm(&race->loop, &race->answers[i].timer);
    }
    assert_true(q_wheel_next(&race->loop.wheel) == Q_WHEEL_NEVER);
    race->loop.is_open = false;
    while (!q_ring_quiesce(race->ring)) {
        q_loop_tick(&race->loop, false);
    }
    q_ring_destroy(race->ring);
    q_ring_take_down_bell(q_sim_sys(race->sim), &race->bell);
    while (q_sim_step(race->sim, UINT64_MAX)) {
        // the peers see the end
    }
    q_chunk_pool_deinit(&race->buffers);
    if (!q_failalloc_check(race->memory, text, sizeof text) || !q_sim_check(race->sim, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_sim_free(race->sim);
    q_failalloc_free(race->memory);
}

struct q_endpoint race_address(char family, unsigned number) {
    struct q_endpoint address = {.family = family == '4' ? Q_ENDPOINT_V4 : Q_ENDPOINT_V6, .port = 80};
    if (family == '4') {
        memcpy(address.ip, (const uint8_t[4]){192, 0, 2, (uint8_t)number}, 4);
    } else {
        memcpy(address.ip, (const uint8_t[16]){0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)number}, 16);
    }
    return address;
}

void race_listen(struct race *race, char family, unsigned number, enum q_sim_answer answer, uint64_t delay_ms) {
    char text[64];
    if (family == '4') {
        snprintf(text, sizeof text, "192.0.2.%u", number);
    } else {
        snprintf(text, sizeof text, "2001:db8::%x", number);
    }
    struct q_sim_listener listener = {.answer = answer, .delay_ns = delay_ms * Q_NS_PER_MS};
    q_sim_listen(race->sim, text, 80, &listener);
}

// --- the race --------------------------------------------------------------------------------------------------------

uint32_t race_slots_open(const struct race *race) { return q_io_get_stats(race->loop.io)->slots_open - race->num_strange; }

static void take_end(struct q_eyeballs *eyeballs, enum race_end end) {
    struct race *race = q_container_of(eyeballs, struct race, eyeballs);
    assert_int_equal(race->end, RACE_RUNS); // once
    race->end = end;
    race->end_ms = (race->loop.now_ns - race->began_ns) / Q_NS_PER_MS;
    race->num_tries = q_eyeballs_tell(eyeballs, race->tries, Q_ADDRESS_ORDER_MAX);
    assert_int_equal(race_slots_open(race), end == RACE_CONNECTED); // losers are gone before anybody is told
    assert_false(q_timer_is_armed(&eyeballs->timer));
    assert_true(q_list_is_empty(&eyeballs->flights));
}

static void on_connected(struct q_eyeballs *eyeballs, struct q_io_slot slot) {
    struct race *race = q_container_of(eyeballs, struct race, eyeballs);
    take_end(eyeballs, RACE_CONNECTED);
    race->slot = slot;
    race->winner = *q_eyeballs_winner(eyeballs);
    memset(eyeballs, 0xa5, sizeof *eyeballs); // the memory may go
}

static void on_failed(struct q_eyeballs *eyeballs, struct q_error error) {
    take_end(eyeballs, RACE_FAILED);
    q_container_of(eyeballs, struct race, eyeballs)->error = error;
    memset(eyeballs, 0xa5, sizeof *eyeballs);
}

static void on_canceled(struct q_eyeballs *eyeballs) {
    take_end(eyeballs, RACE_CANCELED);
    memset(eyeballs, 0xa5, sizeof *eyeballs);
}

static const struct q_eyeballs_events k_events = {
    .on_connected = on_connected, .on_failed = on_failed, .on_canceled = on_canceled};

void race_begin(struct race *race, unsigned families) {
    race->end = RACE_RUNS;
    race->num_answers = 0;
    race->loop.now_ns = q_sim_now(race->sim);
    race->began_ns = race->loop.now_ns;
    q_eyeballs_init(&race->eyeballs, &race->params, families, &k_events);
}

static void bring(struct q_timer *timer) {
    struct race_answer *answer = q_container_of(timer, struct race_answer, timer);
    if (answer->race->end == RACE_RUNS) {
        q_eyeballs_answer(&answer->race->eyeballs, answer->family, answer->addresses, answer->count, answer->error);
    }
}

void race_answer(struct race *race, uint64_t in_ms, unsigned family, unsigned first, uint32_t count) {
    assert_true(race->num_answers < RACE_ANSWERS_MAX);
    struct race_answer *answer = &race->answers[race->num_answers++];
    *answer = (struct race_answer){.timer = {.fired = bring}, .race = race, .family = family, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        answer->addresses[i] = race_address(family == Q_RESOLVE_V4 ? '4' : '6', first + i);
    }
    if (count == 0) {
        answer->error = q_error_make(Q_ERR_NAME_NO_ADDRESS, Q_PHASE_RESOLVE);
    }
    if (in_ms == 0) {
        bring(&answer->timer);
        assert_int_equal(race->end, RACE_RUNS); // never from inside a call
    } else {
        q_loop_arm(&race->loop, &answer->timer, race->began_ns + in_ms * Q_NS_PER_MS);
    }
}

struct alarm {
    struct q_timer timer;
    bool rang;
};

static void ring_alarm(struct q_timer *timer) { q_container_of(timer, struct alarm, timer)->rang = true; }

static void run(struct race *race, uint64_t ns, const enum race_end *end) {
    struct alarm alarm = {.timer = {.fired = ring_alarm}};
    q_loop_arm(&race->loop, &alarm.timer, q_sim_now(race->sim) + ns);
    while (!alarm.rang && (end == NULL || *end == RACE_RUNS)) {
        q_loop_tick(&race->loop, true);
    }
    assert_true(end == NULL || *end != RACE_RUNS);
    q_loop_disarm(&race->loop, &alarm.timer);
}

void race_until_over(struct race *race) { run(race, 200 * Q_NS_PER_S, &race->end); }

void race_run_for(struct race *race, uint64_t ms) { run(race, ms * Q_NS_PER_MS, NULL); }

static void slot_closed(struct q_io_op *op) { q_container_of(op, struct race, close_op)->is_slot_closed = true; }

void race_drop(struct race *race) {
    race->close_op = (struct q_io_op){.done = slot_closed};
    race->is_slot_closed = false;
    q_io_close(race->loop.io, race->slot, &race->close_op);
    while (!race->is_slot_closed) {
        q_loop_tick(&race->loop, true);
    }
    race->end = RACE_RUNS;
}

void assert_try(const struct race *race, uint32_t index, char family, unsigned number, uint64_t began_ms,
                enum q_try_state state) {
    struct q_endpoint address = race_address(family, number);
    assert_true(index < race->num_tries);
    const struct q_try *it = &race->tries[index];
    assert_int_equal(it->to.family, address.family);
    assert_memory_equal(it->to.ip, address.ip, sizeof address.ip);
    assert_in_range(it->began_ns / Q_NS_PER_MS, began_ms, began_ms + 2); // a timer's tick, and the loop's
    assert_int_equal(it->state, state);
}

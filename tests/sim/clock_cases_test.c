// The clock jumps by hours, days and years while a request waits in each of the ways there are, or stands still; and hosts
// that starve their engine. Every bound strikes at once where its time is over, with its own error, and nowhere else.
#define _GNU_SOURCE
#include "tests/sim/stand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_NS (UINT64_C(3600) * Q_NS_PER_S)
#define YEAR_NS (365 * 24 * HOUR_NS)

// A jump takes no time; what is due must come in a few ticks, in which none passes either.
#define TICKS_AFTER_A_JUMP 8

static void jump(struct stand *stand, uint64_t by_ns) {
    q_sim_jump(stand->sim, by_ns);
    for (unsigned i = 0; i < TICKS_AFTER_A_JUMP && !stand->has_ended; i++) {
        assert_true(quoit_engine_tick(stand->engine) >= 0);
    }
}

#define BOUNDS(...) &(const struct quoit_request_bounds){.struct_size = sizeof(struct quoit_request_bounds), __VA_ARGS__}

static void each_bound_strikes_when_the_clock_jumps(void **state) {
    static const uint64_t k_jumps_ns[] = {HOUR_NS, 30 * 24 * HOUR_NS, YEAR_NS, 50 * YEAR_NS};
    const struct {
        const char *target;
        unsigned port;
        const struct quoit_request_bounds *bounds;
        int32_t code;
        uint32_t phase;
    } k_rows[] = {
        {"/size/1", 83, BOUNDS(.connect_ms = 1000), QUOIT_ERR_TIMEOUT_CONNECT, QUOIT_PHASE_CONNECT},
        {"/size/1", 83, BOUNDS(0), QUOIT_ERR_TIMEOUT_CONNECT, QUOIT_PHASE_CONNECT}, // thirty seconds are the default
        {"/size/1", 83, BOUNDS(.total_ms = 1000), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_CONNECT},
        {"/never", 80, BOUNDS(.first_byte_ms = 1000), QUOIT_ERR_TIMEOUT_FIRST_BYTE, QUOIT_PHASE_HEAD},
        {"/never", 80, BOUNDS(.total_ms = 1000), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD},
        {"/size/999?pause=9999999999", 80, BOUNDS(.idle_ms = 1000), QUOIT_ERR_TIMEOUT_IDLE, QUOIT_PHASE_BODY},
        {"/size/999?pause=9999999999", 80, BOUNDS(.low_speed_ms = 1000, .low_speed_bytes = 1000),
         QUOIT_ERR_TIMEOUT_LOW_SPEED, QUOIT_PHASE_BODY},
        {"/size/999?pause=9999999999", 80, BOUNDS(.total_ms = 1000), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_BODY},
        {"/size/1?hops=1", 80, BOUNDS(0), QUOIT_ERR_TIMEOUT_ANSWER, QUOIT_PHASE_HEAD},
        {"/size/1?hops=1", 80, BOUNDS(.total_ms = 1000), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD},
    };
    struct stand *stand = *state;
    stand->is_body_unchecked = true;
    for (size_t j = 0; j < Q_COUNT_OF(k_jumps_ns); j++) {
        for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
            stand_begin(stand, (struct ask){.port = k_rows[i].port, .bounds = k_rows[i].bounds}, "%s", k_rows[i].target);
            stand_run_for(stand, 20);
            assert_false(stand->has_ended);
            jump(stand, k_jumps_ns[j]);
            assert_true(stand->has_ended);
            stand_expect(stand, k_rows[i].code);
            if (stand->summary.failure.phase != k_rows[i].phase) {
                fail_msg("%s in %s", quoit_error_name(k_rows[i].code), quoit_phase_name(stand->summary.failure.phase));
            }
        }
    }
}

// The time in the line for a connection, and the time that a close may take.
static void a_queue_and_a_close_have_their_bounds_too(void **state) {
    (void)state;
    struct stand *stand = stand_new(NULL, 0, &(struct quoit_engine_options){.connections_per_origin_max = 1});
    stand_begin(stand, (struct ask){0}, "/never");
    stand_run_for(stand, 20);
    stand_begin(stand, (struct ask){.bounds = BOUNDS(.queue_ms = 1000)}, "/size/1");
    stand_run_for(stand, 20);
    assert_false(stand->has_ended);
    jump(stand, HOUR_NS);
    assert_true(stand->has_ended);
    stand_expect(stand, QUOIT_ERR_TIMEOUT_QUEUE);
    stand->has_ended = false; // the first one's end is awaited now
    assert_int_equal(quoit_engine_close(stand->engine, 600 * 1000), 0);
    stand_run_for(stand, 20);
    assert_false(stand->has_ended);
    jump(stand, HOUR_NS);
    assert_true(stand->has_ended);
    stand_expect(stand, QUOIT_ERR_CLOSED);
    stand_free(stand);
}

static void what_has_no_bound_lives_through_a_jump(void **state) {
    struct stand *stand = *state;
    stand_begin(stand, (struct ask){0}, "/size/1000?tag=0&pause=50");
    stand_run_for(stand, 20);
    jump(stand, 7 * YEAR_NS);
    stand_run_until(stand, &stand->has_ended);
    stand_expect(stand, 0);
    assert_int_equal(stand->received, 1000);
}

// What came while the program was stopped comes before what its bounds say of the time.
static void an_answer_that_is_there_beats_the_bound_that_is_over(void **state) {
    struct stand *stand = *state;
    stand_begin(stand, (struct ask){.total_ms = 1000}, "/size/10?tag=0&delay=500");
    stand_run_for(stand, 20);
    q_sim_jump(stand->sim, HOUR_NS);
    while (!stand->has_ended && q_sim_step(stand->sim, q_sim_now(stand->sim))) {
        // the segments arrive, of which the program has not heard yet
    }
    stand_run_until(stand, &stand->has_ended);
    stand_expect(stand, 0);
}

static void an_idle_connection_ends_when_the_clock_jumps(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10?tag=0");
    uint32_t connection = stand->summary.connection_id;
    jump(stand, HOUR_NS);
    stand_run_for(stand, 1);
    assert_int_equal(q_sim_conn_count(stand->sim), 0);
    stand_ask(stand, (struct ask){.total_ms = 1000}, "/size/10?tag=0");
    stand_expect(stand, 0);
    assert_int_not_equal(stand->summary.connection_id, connection);
}

// Where the clock does not move no time is over, whatever happens meanwhile; and where it moves on, all of it counts.
static void a_clock_that_stands_still_ends_nothing(void **state) {
    struct stand *stand = *state;
    q_sim_hold_clock(stand->sim, true);
    for (unsigned i = 0; i < 3; i++) {
        stand_ask(stand, (struct ask){.total_ms = 300}, "/size/1000?tag=0&delay=2000&pause=2000");
        stand_expect(stand, 0);
        assert_int_equal(stand->summary.reused, i > 0); // nor is an idle connection's time over
        stand_run_for(stand, 70000);
    }
    stand_begin(stand, (struct ask){.total_ms = 300}, "/never");
    stand_run_for(stand, 5000);
    for (unsigned i = 0; i < 1000; i++) { // nor is a tick a measure of time
        assert_true(quoit_engine_tick(stand->engine) >= 0);
    }
    assert_false(stand->has_ended);
    q_sim_hold_clock(stand->sim, false);
    jump(stand, 0);
    assert_true(stand->has_ended);
    stand_expect(stand, QUOIT_ERR_TIMEOUT_TOTAL);
    stand_ask(stand, (struct ask){.total_ms = 300}, "/size/10?tag=0&delay=200");
    stand_expect(stand, 0);
}

// --- hosts that starve ---------------------------------------------------------------------------------------------

static struct quoit_port starving_port(struct stand *stand) {
    struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_EVENTFD, .capacity = 16};
    struct quoit_port port;
    assert_int_equal(quoit_port_create(stand->engine, &options, &port), 0);
    return port;
}

// Takes the event at the port's head when there is one; with `out_slice` its data is kept.
static bool drain_one(struct stand *stand, struct quoit_slice *out_slice) {
    struct quoit_event event;
    int32_t count = quoit_port_drain(stand->port, &event, sizeof event, 1);
    assert_in_range(count, 0, 1);
    if (count == 1) {
        stand_on_event(stand, &event);
        if (out_slice != NULL && event.type == QUOIT_EVENT_DATA) {
            assert_int_equal(quoit_port_take(stand->port, &event, out_slice), 0);
        }
        assert_int_equal(quoit_port_advance(stand->port), 0);
    }
    return count == 1;
}

static void drain_all(struct stand *stand) {
    while (drain_one(stand, NULL)) {
        // the next one
    }
}

// Ends what waits by the host's own doing: it is nobody's silence, and the total bound is the host's own word.
static void expect_only_the_total_bound(struct stand *stand) {
    jump(stand, HOUR_NS);
    for (unsigned i = 0; i < TICKS_AFTER_A_JUMP; i++) {
        assert_true(quoit_engine_tick(stand->engine) >= 0);
    }
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(stand->engine, &info), 0);
    assert_int_equal(info.requests_pending, 1);
    jump(stand, 20 * HOUR_NS);
    assert_int_equal(quoit_engine_info(stand->engine, &info), 0);
    assert_int_equal(info.requests_pending, 0); // its end is published, though nobody may have seen it
    drain_all(stand);
    assert_true(stand->has_ended);
    stand_expect(stand, QUOIT_ERR_TIMEOUT_TOTAL);
}

#define PATIENCE                                                                                                       \
    BOUNDS(.total_ms = 10 * 3600 * 1000, .first_byte_ms = 1000, .idle_ms = 1000, .low_speed_ms = 1000,                  \
           .low_speed_bytes = 1000)

static void a_host_that_never_drains_meets_its_total_bound_alone(void **state) {
    struct stand *stand = *state;
    struct quoit_port ports[2] = {stand->port, starving_port(stand)};
    stand->port = ports[1];
    stand->is_body_unchecked = true;
    stand_begin(stand, (struct ask){.bounds = PATIENCE}, "/size/2000000");
    stand_run_for(stand, 500);
    assert_int_equal(stand->received, 0);
    expect_only_the_total_bound(stand);
    assert_true(stand->received > 0);
    stand->port = ports[0];
}

static void a_host_that_gives_no_credit_meets_its_total_bound_alone(void **state) {
    struct stand *stand = *state;
    struct quoit_port ports[2] = {stand->port, starving_port(stand)};
    stand->port = ports[1];
    stand_begin(stand, (struct ask){.bounds = PATIENCE, .has_no_credit = true}, "/size/2000000?tag=0");
    stand_run_for(stand, 500);
    drain_all(stand);
    assert_int_equal(stand->status, 200);
    expect_only_the_total_bound(stand);
    assert_in_range(stand->received, 0, Q_ENGINE_BUFFER_BYTES);
    stand->port = ports[0];
}

static void a_host_that_keeps_all_slices_meets_its_total_bound_alone(void **state) {
    struct stand *stand = *state;
    struct quoit_port ports[2] = {stand->port, starving_port(stand)};
    struct quoit_slice slices[256] = {{0}};
    size_t count = 0;
    stand->port = ports[1];
    stand_begin(stand, (struct ask){.bounds = PATIENCE}, "/size/2000000?tag=0");
    for (unsigned i = 0; i < 200; i++) {
        stand_run_for(stand, 3);
        while (drain_one(stand, &slices[count])) {
            count += slices[count].len > 0;
            assert_true(count < Q_COUNT_OF(slices));
        }
    }
    assert_in_range(stand->received, 200000, 300000); // its credit
    expect_only_the_total_bound(stand);
    assert_int_equal(quoit_engine_close(stand->engine, 0), 0);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(q_simhttp_matches(0, at, slices[i].data, slices[i].len)); // also a day later
        at += slices[i].len;
        assert_int_equal(quoit_slice_release(stand->engine, &slices[i]), 0);
    }
    stand->port = ports[0];
}

// One event an hour: a head, pieces of a body, an end, each an hour apart, and nothing is lost or told twice.
static void a_host_that_drains_once_an_hour_gets_everything(void **state) {
    struct stand *stand = *state;
    struct quoit_port ports[2] = {stand->port, starving_port(stand)};
    stand->port = ports[1];
    stand_begin(stand, (struct ask){0}, "/chunked/300000?tag=0&info=2");
    for (unsigned hours = 0; !stand->has_ended; hours++) {
        assert_true(hours < 1000);
        stand_run_for(stand, 3600 * 1000);
        drain_one(stand, NULL);
    }
    stand_expect(stand, 0);
    assert_int_equal(stand->received, 300000);
    assert_int_equal(stand->infos, 2);
    assert_true(stand->is_body_right && stand->has_trailers);
    stand->port = ports[0];
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stand_set_up, stand_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(each_bound_strikes_when_the_clock_jumps),
        cmocka_unit_test(a_queue_and_a_close_have_their_bounds_too),
        CASE(what_has_no_bound_lives_through_a_jump),
        CASE(an_answer_that_is_there_beats_the_bound_that_is_over),
        CASE(an_idle_connection_ends_when_the_clock_jumps),
        CASE(a_clock_that_stands_still_ends_nothing),
        CASE(a_host_that_never_drains_meets_its_total_bound_alone),
        CASE(a_host_that_gives_no_credit_meets_its_total_bound_alone),
        CASE(a_host_that_keeps_all_slices_meets_its_total_bound_alone),
        CASE(a_host_that_drains_once_an_hour_gets_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

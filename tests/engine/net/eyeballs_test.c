// Races to connect, in simulated time.
#define _GNU_SOURCE
#include "tests/engine/net/race_rig.h"

#include <errno.h>
#include <string.h>

#include "engine/loop/uring_abi.h"

#define BOTH Q_RESOLVE_BOTH
#define V4   Q_RESOLVE_V4
#define V6   Q_RESOLVE_V6

// A tick of the wheel, and the loop's.
#define assert_at(race, ms) assert_in_range((race)->end_ms, (ms), (ms) + 3)

static void assert_winner(const struct race *race, char family, unsigned number) {
    struct q_endpoint address = race_address(family, number);
    assert_int_equal(race->end, RACE_CONNECTED);
    assert_int_equal(race->winner.family, address.family);
    assert_memory_equal(race->winner.ip, address.ip, sizeof address.ip);
}

static void ipv6_goes_first_and_nobody_else_is_asked(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_ACCEPT, 20);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 1);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '6', 1);
    assert_at(&race, 20);
    assert_int_equal(race.num_tries, 1);
    race_close(&race);
}

static void dead_ipv6_costs_one_pace(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 10);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    assert_at(&race, 260);
    assert_int_equal(race.num_tries, 2);
    assert_try(&race, 0, '6', 1, 0, Q_TRY_GIVEN_UP);
    assert_try(&race, 1, '4', 1, 250, Q_TRY_WON);
    assert_in_range(race.tries[0].took_ns / Q_NS_PER_MS, 260, 263);
    race_close(&race);
}

static void a_slow_aaaa_is_waited_for_50_ms_and_no_more(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_ACCEPT, 5);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 5);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 1);
    race_answer(&race, 40, V6, 1, 1); // within the 50 ms: it goes first
    race_until_over(&race);
    assert_winner(&race, '6', 1);
    assert_at(&race, 45);
    race_drop(&race);

    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 1);
    race_answer(&race, 2000, V6, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    assert_at(&race, 55);
    assert_int_equal(race.num_tries, 1);
    race_close(&race);
}

static void an_answer_without_addresses_ends_the_wait(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 5);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 1);
    race_answer(&race, 10, V6, 0, 0);
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    assert_at(&race, 15);
    race_close(&race);
}

static void an_answer_that_comes_late_joins(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '4', 1, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 2, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 3, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '6', 1, Q_SIM_ACCEPT, 5);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 3);
    race_answer(&race, 400, V6, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '6', 1);
    assert_try(&race, 0, '4', 1, 50, Q_TRY_GIVEN_UP);
    assert_try(&race, 1, '4', 2, 300, Q_TRY_GIVEN_UP);
    assert_try(&race, 2, '6', 1, 550, Q_TRY_WON); // in its turn: nobody's time is cut
    race_close(&race);
}

static void all_answers_late_begin_with_the_first(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_REFUSE, 5);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 5);
    race_begin(&race, BOTH);
    race_answer(&race, 5000, V6, 1, 1);
    race_answer(&race, 9000, V4, 1, 1);
    race_until_over(&race);
    assert_try(&race, 0, '6', 1, 5000, Q_TRY_FAILED);
    assert_try(&race, 1, '4', 1, 9000, Q_TRY_WON); // at once: nothing else is under way
    race_close(&race);
}

static void a_refused_address_is_followed_at_once(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_REFUSE, 10);
    race_listen(&race, '6', 2, Q_SIM_UNREACHABLE, 10);
    race_listen(&race, '4', 1, Q_SIM_REFUSE, 10);
    race_listen(&race, '4', 2, Q_SIM_ACCEPT, 10);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 2);
    race_answer(&race, 0, V4, 1, 2);
    race_until_over(&race);
    assert_winner(&race, '4', 2);
    assert_at(&race, 40);
    // In turn of the families.
    assert_try(&race, 0, '6', 1, 0, Q_TRY_FAILED);
    assert_try(&race, 1, '4', 1, 10, Q_TRY_FAILED);
    assert_try(&race, 2, '6', 2, 20, Q_TRY_FAILED);
    assert_try(&race, 3, '4', 2, 30, Q_TRY_WON);
    assert_int_equal(race.tries[0].os_errno, ECONNREFUSED);
    assert_int_equal(race.tries[0].code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(race.tries[2].os_errno, EHOSTUNREACH);
    race_close(&race);
}

static void each_failure_is_told_with_its_errno_and_time(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_REFUSE, 30);
    race_listen(&race, '4', 1, Q_SIM_UNREACHABLE, 70);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.error.code, Q_ERR_CONNECT_UNREACHABLE); // the last word
    assert_int_equal(race.error.os_errno, EHOSTUNREACH);
    assert_int_equal(race.error.retry_safe, 1);
    assert_int_equal(race.num_tries, 2);
    assert_try(&race, 0, '6', 1, 0, Q_TRY_FAILED);
    assert_try(&race, 1, '4', 1, 30, Q_TRY_FAILED);
    assert_in_range(race.tries[0].took_ns / Q_NS_PER_MS, 30, 32);
    assert_in_range(race.tries[1].took_ns / Q_NS_PER_MS, 70, 72);
    race_close(&race);
}

static void blackholes_alone_end_when_the_kernel_gives_up(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 1, Q_SIM_BLACKHOLE, 0);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.error.code, Q_ERR_CONNECT_TIMED_OUT);
    assert_at(&race, 130250);
    race_close(&race);
}

// The schedule of RFC 8305: the n-th address is tried n paces from the begin, whatever the others do, and never are more
// under way than may be.
static void among_fifty_dead_addresses_the_good_one_is_found_in_time(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    for (unsigned i = 1; i <= 50; i++) {
        race_listen(&race, '4', i, Q_SIM_BLACKHOLE, 0);
    }
    race_listen(&race, '4', 51, Q_SIM_ACCEPT, 10);
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 51);
    while (race.end == RACE_RUNS) {
        race_run_for(&race, 100);
        assert_true(race.end != RACE_RUNS || race.eyeballs.num_connecting <= Q_EYEBALLS_FLIGHT_MAX);
        assert_true(race_slots_open(&race) <= Q_EYEBALLS_FLIGHT_MAX + 1);
    }
    assert_winner(&race, '4', 51);
    assert_in_range(race.end_ms, 12510, 12510 + 51 * 2);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(race.tries[i].state, Q_TRY_GIVEN_UP);
        assert_true(race.tries[i].took_ns >= Q_EYEBALLS_FLIGHT_MAX * Q_EYEBALLS_PACE_NS || i >= 51 - Q_EYEBALLS_FLIGHT_MAX);
    }
    race_close(&race);
}

static void fifty_refusals_cost_no_pace(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    for (unsigned i = 1; i <= 50; i++) {
        race_listen(&race, '4', i, Q_SIM_REFUSE, 1);
    }
    race_listen(&race, '4', 51, Q_SIM_ACCEPT, 1);
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 51);
    race_until_over(&race);
    assert_winner(&race, '4', 51);
    assert_in_range(race.end_ms, 51, 60);
    race_close(&race);
}

static void no_more_than_the_bound_are_tried(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 60);
    race_answer(&race, 0, V4, 1, 60); // all refuse
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.num_tries, Q_ADDRESS_ORDER_MAX);
    race_close(&race);
}

static void the_pace_is_an_option_within_its_bounds(void **state) {
    (void)state;
    static const struct {
        uint64_t pace_ns, ms;
    } k_cases[] = {{0, 250}, {Q_NS_PER_MS, 100}, {700 * Q_NS_PER_MS, 700}, {60 * Q_NS_PER_S, 2000}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct race race;
        race_open(&race, 0, 0);
        race.params.pace_ns = k_cases[i].pace_ns;
        race_listen(&race, '4', 1, Q_SIM_BLACKHOLE, 0);
        race_listen(&race, '4', 2, Q_SIM_ACCEPT, 0);
        race_begin(&race, V4);
        race_answer(&race, 0, V4, 1, 2);
        race_until_over(&race);
        assert_try(&race, 1, '4', 2, k_cases[i].ms, Q_TRY_WON);
        race_close(&race);
    }
}

static void who_won_last_time_goes_first_and_waits_for_nobody(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '4', 2, Q_SIM_ACCEPT, 5);
    race.params.favoured = race_address('4', 2);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 3); // IPv6's answer never comes
    race_until_over(&race);
    assert_winner(&race, '4', 2);
    assert_at(&race, 5);
    assert_int_equal(race.num_tries, 1);
    race_drop(&race);

    race.params.favoured = race_address('4', 9); // it is not among them any more
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 2, 1);
    race_until_over(&race);
    assert_at(&race, 55);
    race_close(&race);
}

static void a_late_connect_beside_the_winner_is_closed(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_ACCEPT, 260); // both in the same millisecond
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 10);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_CONNECTED);
    assert_int_equal(race_slots_open(&race), 1);
    race_close(&race);
}

// Whatever the order in which two connects end, at whatever moment: one has won.
static void two_winners_at_a_time_are_one(void **state) {
    (void)state;
    unsigned num_won[2] = {0};
    unsigned num_double = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct race race;
        race_open(&race, seed, 0);
        race_listen(&race, '6', 1, Q_SIM_ACCEPT, 300);
        race_listen(&race, '4', 1, Q_SIM_ACCEPT, 50);
        race_begin(&race, BOTH);
        race_answer(&race, 0, V6, 1, 1);
        race_answer(&race, 0, V4, 1, 1);
        race_run_for(&race, 260);
        q_sim_jump(race.sim, Q_NS_PER_S); // a machine that was stopped for a second: both have connected
        race_until_over(&race);
        assert_int_equal(race.end, RACE_CONNECTED);
        num_won[race.winner.family == Q_ENDPOINT_V4]++;
        num_double += q_sim_stats(race.sim)->connections == 2;
        race_close(&race);
    }
    assert_true(num_won[0] > 0 && num_won[1] > 0);
    assert_true(num_double > 0); // there were some in which both had connected
}

static void without_an_address_the_resolvers_word_is_told(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 0, 0);
    race_answer(&race, 0, V6, 0, 0);
    assert_int_equal(race.end, RACE_RUNS);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.error.code, Q_ERR_NAME_NO_ADDRESS);
    assert_int_equal(race.error.phase, Q_PHASE_RESOLVE);
    assert_int_equal(race.num_tries, 0);
    race_close(&race);
}

static void a_wait_that_is_ended_fails_with_what_ended_it_or_goes_on(void **state) {
    (void)state;
    struct race race;
    struct q_error error = q_error_make(Q_ERR_TIMEOUT_TOTAL, Q_PHASE_RESOLVE);
    race_open(&race, 0, 0);
    race_begin(&race, BOTH);
    race_run_for(&race, 100);
    q_eyeballs_await_no_more(&race.eyeballs, error);
    race_until_over(&race);
    assert_int_equal(race.error.code, Q_ERR_TIMEOUT_TOTAL);

    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 500);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V4, 1, 1);
    race_run_for(&race, 100);
    q_eyeballs_await_no_more(&race.eyeballs, error); // an attempt is under way
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    race_close(&race);
}

static void from_a_local_address_only_its_family_is_tried(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 0);
    race.params.local = (struct q_endpoint){.family = Q_ENDPOINT_V4, .ip = {127, 0, 0, 3}};
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 2);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    assert_int_equal(race.num_tries, 1);
    race_drop(&race);
    race_begin(&race, V6);
    race_answer(&race, 0, V6, 1, 2);
    race_until_over(&race);
    assert_int_equal(race.error.code, Q_ERR_NAME_NO_ADDRESS);
    race_close(&race);
}

// --- sources ---------------------------------------------------------------------------------------------------------

// `context` is the family that has a source.
static bool one_family(const struct q_sources *sources, const struct q_endpoint *to, uint32_t count,
                       struct q_endpoint *out_from) {
    uint16_t family = *(const uint16_t *)sources->context;
    for (uint32_t i = 0; i < count; i++) {
        out_from[i] = to[i].family == family ? to[i] : (struct q_endpoint){0};
    }
    return true;
}

static void no_address_of_a_family_without_source_is_tried(void **state) {
    (void)state;
    struct race race;
    uint16_t family = Q_ENDPOINT_V4;
    struct q_sources sources = {.find = one_family, .context = &family};
    race_open(&race, 0, 0);
    race.params.sources = &sources;
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 5);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 3); // first, and no reason to begin
    race_answer(&race, 100, V4, 1, 1);
    race_until_over(&race);
    assert_winner(&race, '4', 1);
    assert_at(&race, 105);
    assert_int_equal(race.num_tries, 1);
    race_drop(&race);

    race_begin(&race, BOTH); // where there is no other, the kernel shall say what is wrong
    race_answer(&race, 0, V6, 1, 3);
    race_answer(&race, 0, V4, 0, 0);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.num_tries, 3);
    race_close(&race);
}

// --- want of room ----------------------------------------------------------------------------------------------------

static void without_any_slot_it_fails_and_never_spins(void **state) {
    (void)state;
    struct race race;
    struct q_io_slot taken;
    race_open(&race, 0, 2);
    assert_false(q_error_is(q_io_open(race.loop.io, &taken)));
    race.num_strange++;
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(race.error.retry_safe, 1);
    race.slot = taken;
    race_drop(&race);
    race_close(&race);
}

static void with_slots_for_two_the_third_waits_for_one_of_them(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 3); // the bell has one
    race_listen(&race, '4', 1, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 2, Q_SIM_REFUSE, 900);
    race_listen(&race, '4', 3, Q_SIM_ACCEPT, 5);
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 3);
    uint64_t turns = q_io_get_stats(race.loop.io)->turns;
    race_run_for(&race, 1100);
    assert_true(q_io_get_stats(race.loop.io)->turns - turns < 30); // it looks now and then
    race_until_over(&race);
    assert_winner(&race, '4', 3);
    assert_try(&race, 1, '4', 2, 250, Q_TRY_FAILED);
    assert_try(&race, 2, '4', 3, 1150, Q_TRY_WON); // as soon as the second's socket had closed
    race_close(&race);
}

static void a_kernel_without_sockets_says_so(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '4', 1, Q_SIM_ACCEPT, 0);
    q_sim_fail_op(race.sim, IORING_OP_SOCKET, 1, EMFILE);
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(race.error.os_errno, EMFILE);
    q_sim_fail_op(race.sim, IORING_OP_CONNECT, 1, EADDRNOTAVAIL);
    race_begin(&race, V4);
    race_answer(&race, 0, V4, 1, 1);
    race_until_over(&race);
    assert_int_equal(race.error.code, Q_ERR_NO_LOCAL_PORT);
    assert_int_equal(race.error.os_errno, EADDRNOTAVAIL);
    race_close(&race);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth < 10; nth++) {
        struct race race;
        race_open(&race, 0, 0);
        race_listen(&race, '6', 1, Q_SIM_BLACKHOLE, 0);
        race_listen(&race, '6', 2, Q_SIM_BLACKHOLE, 0);
        race_listen(&race, '4', 1, Q_SIM_REFUSE, 1);
        race_listen(&race, '4', 2, Q_SIM_ACCEPT, 1);
        q_failalloc_fail_at(race.memory, nth);
        race_begin(&race, BOTH);
        race_answer(&race, 0, V6, 1, 2);
        race_answer(&race, 0, V4, 1, 2);
        race_until_over(&race);
        assert_true(race.end == RACE_CONNECTED || race.error.code == Q_ERR_NO_MEMORY);
        assert_true(race.end == RACE_CONNECTED || nth == 1); // later ones wait
        bool has_failed = q_failalloc_failed(race.memory);
        race_close(&race);
        if (!has_failed) {
            return;
        }
    }
    fail_msg("there was no end to it");
}

// --- ends ------------------------------------------------------------------------------------------------------------

static void a_canceled_race_is_told_when_all_is_closed(void **state) {
    (void)state;
    struct race race;
    race_open(&race, 0, 0);
    race_listen(&race, '6', 1, Q_SIM_BLACKHOLE, 0);
    race_listen(&race, '4', 1, Q_SIM_BLACKHOLE, 0);
    race_begin(&race, BOTH);
    race_answer(&race, 0, V6, 1, 1);
    race_answer(&race, 0, V4, 1, 1);
    race_run_for(&race, 300);
    q_eyeballs_cancel(&race.eyeballs);
    assert_int_equal(race.end, RACE_RUNS);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_CANCELED);
    assert_at(&race, 300);

    race_begin(&race, BOTH); // before anything has begun
    q_eyeballs_cancel(&race.eyeballs);
    assert_int_equal(race.end, RACE_RUNS);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_CANCELED);
    race_close(&race);
}

static void one_address_of_a_socket_is_a_race_of_one(void **state) {
    (void)state;
    struct race race;
    struct q_address address;
    race_open(&race, 0, 0);
    assert_true(q_address_unix(Q_SLICE("/nobody/here"), &address));
    race_begin(&race, 0);
    q_eyeballs_at(&race.eyeballs, &address);
    race_until_over(&race);
    assert_int_equal(race.end, RACE_FAILED);
    assert_int_equal(race.num_tries, 1);
    assert_int_equal(race.tries[0].to.family, Q_ENDPOINT_UNIX);
    race_close(&race);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv6_goes_first_and_nobody_else_is_asked),
        cmocka_unit_test(dead_ipv6_costs_one_pace),
        cmocka_unit_test(a_slow_aaaa_is_waited_for_50_ms_and_no_more),
        cmocka_unit_test(an_answer_without_addresses_ends_the_wait),
        cmocka_unit_test(an_answer_that_comes_late_joins),
        cmocka_unit_test(all_answers_late_begin_with_the_first),
        cmocka_unit_test(a_refused_address_is_followed_at_once),
        cmocka_unit_test(each_failure_is_told_with_its_errno_and_time),
        cmocka_unit_test(blackholes_alone_end_when_the_kernel_gives_up),
        cmocka_unit_test(among_fifty_dead_addresses_the_good_one_is_found_in_time),
        cmocka_unit_test(fifty_refusals_cost_no_pace),
        cmocka_unit_test(no_more_than_the_bound_are_tried),
        cmocka_unit_test(the_pace_is_an_option_within_its_bounds),
        cmocka_unit_test(who_won_last_time_goes_first_and_waits_for_nobody),
        cmocka_unit_test(a_late_connect_beside_the_winner_is_closed),
        cmocka_unit_test(two_winners_at_a_time_are_one),
        cmocka_unit_test(without_an_address_the_resolvers_word_is_told),
        cmocka_unit_test(a_wait_that_is_ended_fails_with_what_ended_it_or_goes_on),
        cmocka_unit_test(from_a_local_address_only_its_family_is_tried),
        cmocka_unit_test(no_address_of_a_family_without_source_is_tried),
        cmocka_unit_test(without_any_slot_it_fails_and_never_spins),
        cmocka_unit_test(with_slots_for_two_the_third_waits_for_one_of_them),
        cmocka_unit_test(a_kernel_without_sockets_says_so),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_canceled_race_is_told_when_all_is_closed),
        cmocka_unit_test(one_address_of_a_socket_is_a_race_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

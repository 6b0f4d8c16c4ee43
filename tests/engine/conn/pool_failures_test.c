// The pool, on the ring and the simulated kernel: every way in which connecting can fail, and random worlds.
#define _GNU_SOURCE
#include "tests/engine/conn/pool_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- failures --------------------------------------------------------------------------------------------------------

static void one_refused_connect_fails_one_waiter(void **state) {
    (void)state;
    enum { MANY = 4 };
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, MANY);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    for (size_t i = 0; i < MANY; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    for (size_t i = 0; i < MANY; i++) {
        conn_rig_until(&s.rig, &askers[i].has_failed);
        assert_int_equal(askers[i].error.code, Q_ERR_CONNECT_REFUSED);
        for (size_t k = i + 1; k < MANY; k++) {
            assert_false(askers[k].has_failed); // the others get attempts of their own
        }
    }
    assert_int_equal(s.pool.stats.opened, MANY);
    pool_rig_close(&s);
    free(askers);
}

static void a_server_that_comes_up_serves_those_who_still_wait(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    conn_rig_until(&s.rig, &askers[0].has_failed);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
    until_over(&askers[1]);
    until_over(&askers[2]);
    assert_string_equal(askers[2].user.diary, "H200DE");
    pool_rig_close(&s);
    free(askers);
}

static void a_connect_that_takes_too_long_is_a_timeout_of_its_own(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *asker = new_askers(&s, 1);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    asker->lease.connect_timeout_ns = 700 * Q_NS_PER_MS;
    uint64_t start_ns = q_sim_now(s.rig.sim);
    ask(asker, POOL_RIG_HOME);
    conn_rig_until(&s.rig, &asker->has_failed);
    uint64_t took_ns = q_sim_now(s.rig.sim) - start_ns;
    assert_int_equal(asker->error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_true(took_ns >= 700 * Q_NS_PER_MS && took_ns < 710 * Q_NS_PER_MS);
    pool_rig_close(&s);
    free(asker);
}

static void a_timeout_says_what_the_attempt_before_had_failed_with(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 2);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[1], POOL_RIG_HOME);
    conn_rig_until(&s.rig, &askers[0].has_failed);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    conn_rig_until(&s.rig, &askers[1].has_failed);
    assert_int_equal(askers[1].error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_int_equal(askers[1].error.os_errno, ECONNREFUSED);
    pool_rig_close(&s);
    free(askers);
}

// One waits for a tenth of a second, the one behind it for three: the attempt that is given up for the first one must
// not fail the second one too, whose own time begins when a connection is made for it.
static void play_three_bounds(bool first_gives_up) {
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    askers[0].lease.connect_timeout_ns = 100 * Q_NS_PER_MS;
    askers[1].lease.connect_timeout_ns = 3 * Q_NS_PER_S;
    askers[2].lease.connect_timeout_ns = 3 * Q_NS_PER_S;
    uint64_t start_ns = q_sim_now(s.rig.sim);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    if (first_gives_up) {
        run_a_moment(&s);
        q_pool_cancel(&s.pool, &askers[0].lease); // its attempt goes on, for the second one
    } else {
        conn_rig_until(&s.rig, &askers[0].has_failed);
        assert_int_equal(askers[0].error.code, Q_ERR_TIMEOUT_CONNECT);
    }
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_false(askers[1].has_failed || askers[2].has_failed);
    conn_rig_until(&s.rig, &askers[1].has_failed);
    assert_int_equal(askers[1].error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_true(q_sim_now(s.rig.sim) - start_ns >= 3 * Q_NS_PER_S);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
    until_over(&askers[2]);
    assert_string_equal(askers[2].user.diary, "H200DE");
    pool_rig_close(&s);
    free(askers);
}

static void nobody_is_failed_by_another_ones_connect_timeout(void **state) {
    (void)state;
    play_three_bounds(false);
    play_three_bounds(true);
}

static void the_second_address_of_a_name_is_tried(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    visit(&askers[0], "http://two/"); // 127.0.0.7 refuses, 127.0.0.1 does not
    assert_int_equal(s.pool.stats.opened, 1);
    visit(&askers[1], "http://two/");
    assert_true(askers[1].user.progress.is_reused);
    pool_rig_close(&s);
    free(askers);
}

static void from_a_local_address_its_own_family_alone_is_tried(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 4);
    conn_rig_listen(&s.rig, "::1", 80, Q_SIM_ACCEPT, 0);
    visit(&askers[0], "http://both/"); // from wherever: the second address answers
    askers[1].local = (struct q_endpoint){.family = Q_ENDPOINT_V4, .ip = {127, 0, 0, 1}};
    assert_int_equal(ask(&askers[1], "http://both/"), Q_LEASE_WAITING);
    conn_rig_until(&s.rig, &askers[1].has_failed);
    assert_int_equal(askers[1].error.code, Q_ERR_CONNECT_REFUSED); // the last word is that of the only one
    askers[2].local = (struct q_endpoint){.family = Q_ENDPOINT_V6, .ip = {[15] = 1}};
    visit(&askers[2], "http://both/");
    askers[3].local = askers[2].local;
    assert_int_equal(ask(&askers[3], "http://one/"), Q_LEASE_WAITING);
    conn_rig_until(&s.rig, &askers[3].has_failed);
    assert_int_equal(askers[3].error.code, Q_ERR_NAME_NO_ADDRESS);
    pool_rig_close(&s);
    free(askers);
}

static void names_are_found_or_refused_for_all_who_wait(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 24);
    for (size_t i = 4; i < 24; i++) { // of which no more than 8 have a connection under way
        assert_int_equal(ask(&askers[i], "http://unknown.example/"), Q_LEASE_WAITING);
    }
    for (size_t i = 4; i < 24; i++) {
        conn_rig_until(&s.rig, &askers[i].has_failed);
        assert_int_equal(askers[i].error.code, Q_ERR_NAME_NOT_FOUND);
        assert_int_equal(askers[i].error.phase, Q_PHASE_RESOLVE);
        assert_int_equal(askers[i].error.retry_safe, 1);
    }
    assert_int_equal(s.pool.stats.opened, 8); // nobody asked again
    visit(&askers[1], "http://ONE/");
    visit(&askers[2], "http://one./"); // the root's dot
    visit(&askers[3], "http://deep.localhost/");
    pool_rig_close(&s);
    free(askers);
}

static void without_slots_a_lease_fails_or_waits_for_one(void **state) {
    (void)state;
    struct pool_rig s;
    // The bell and one socket: the pool may have more connections than the ring has slots.
    pool_rig_open(&s, (struct conn_rig_options){.num_slots = 2}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 3);
    struct q_io_slot slot;
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    ask(&askers[0], POOL_RIG_HOME);
    assert_int_equal(ask(&askers[1], "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    until_over(&askers[0]);
    until_over(&askers[1]);
    pool_rig_empty(&s);
    s.pool.is_closing = false;
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot)));
    assert_int_equal(ask(&askers[2], POOL_RIG_HOME), Q_LEASE_WAITING);
    conn_rig_until(&s.rig, &askers[2].has_failed); // nobody would ever make room
    assert_int_equal(askers[2].error.code, Q_ERR_FD_LIMIT);
    struct q_io_op op = {.done = NULL};
    struct q_list done;
    q_list_init(&done);
    q_io_close(s.rig.loop.io, slot, &op);
    while (op.busy) {
        q_io_turn(s.rig.loop.io, &(struct q_io_turn){0}, &done);
    }
    pool_rig_close(&s);
    free(askers);
}

static void a_busy_connection_that_dies_makes_room_for_those_behind(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 2);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[1], POOL_RIG_HOME);
    run_a_moment(&s);
    s.rig.response = CONN_RIG_OK;
    q_sim_conn_reset(server_conn(&s, 0));
    until_over(&askers[0]);
    assert_string_equal(askers[0].user.diary, "F");
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    assert_int_equal(s.pool.stats.opened, 2);
    pool_rig_close(&s);
    free(askers);
}

static void every_failing_allocation_is_a_typed_error_and_leaves_nothing(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct pool_rig s;
        pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
        struct asker *askers = new_askers(&s, 4);
        q_failalloc_fail_at(s.rig.memory, nth);
        for (size_t i = 0; i < 4; i++) {
            if (ask(&askers[i], i % 2 == 0 ? POOL_RIG_HOME : "http://two/") == Q_LEASE_FAILED) {
                assert_int_equal(askers[i].error.code, Q_ERR_NO_MEMORY);
                assert_int_equal(askers[i].error.retry_safe, 1);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            for (int ticks = 0;
                 askers[i].result != Q_LEASE_FAILED && !askers[i].has_failed && !askers[i].user.is_over; ticks++) {
                assert_true(ticks < 20000);
                conn_rig_tick(&s.rig);
            }
            if (askers[i].has_failed) {
                assert_int_equal(askers[i].error.code, Q_ERR_NO_MEMORY);
            }
        }
        failed = q_failalloc_failed(s.rig.memory);
        pool_rig_close(&s);
        free(askers);
        assert_true(nth < 100);
    }
}

static void a_pool_without_memory_is_not_made(void **state) {
    (void)state;
    struct conn_rig rig;
    struct q_pool pool;
    conn_rig_open(&rig, (struct conn_rig_options){0});
    q_failalloc_fail_at(rig.memory, 1);
    struct q_error error = q_pool_init(&pool, q_failalloc_alloc(rig.memory), &rig.env,
                                       &(struct q_pool_options){.connections_max = 4});
    assert_int_equal(error.code, Q_ERR_NO_MEMORY);
    pool = (struct q_pool){0};
    q_pool_deinit(&pool); // a zeroed pool
    conn_rig_close(&rig);
}

// --- random worlds ---------------------------------------------------------------------------------------------------

static void answer_at_random(struct conn_rig *rig, struct q_sim_conn *conn, int number) {
    (void)number;
    switch (q_sim_between(rig->sim, 0, 9, 0)) {
    case 0: q_sim_conn_reset(conn); return;
    case 1: q_sim_conn_close(conn); return;
    default: q_sim_conn_send(conn, CONN_RIG_OK, strlen(CONN_RIG_OK)); break;
    }
    if (q_sim_chance(rig->sim, 20)) {
        q_sim_conn_delay(conn, q_sim_between(rig->sim, 0, 3 * Q_NS_PER_MS, 0));
        q_sim_conn_close(conn); // an idle close that may meet the next request
    }
}

// Many askers at four origins of which two are bad, with cancels in between: each hears exactly one thing, and no limit
// is ever passed.
static void play(uint64_t seed) {
    enum { MANY = 24 };
    static const char *const k_urls[] = {POOL_RIG_HOME, "http://two/", "http://127.0.0.1:81/", "http://127.0.0.1:82/"};
    struct pool_rig s;
    bool canceled[MANY] = {false};
    pool_rig_open(&s, (struct conn_rig_options){.seed = seed, .num_slots = seed % 3 == 0 ? 4 : 0},
                  (struct q_pool_options){.connections_max = 4, .connections_per_origin_max = 3});
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_BLACKHOLE, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_REFUSE, Q_NS_PER_MS);
    s.rig.on_request = answer_at_random;
    uint64_t start_ns = q_sim_now(s.rig.sim);
    struct asker *askers = new_askers(&s, MANY);
    for (size_t i = 0; i < MANY; i++) {
        askers[i].lease.connect_timeout_ns = 20 * Q_NS_PER_MS;
        ask(&askers[i], k_urls[q_sim_between(s.rig.sim, 0, 3, 0)]);
        for (uint64_t ticks = q_sim_between(s.rig.sim, 0, 3, 0); ticks > 0; ticks--) {
            conn_rig_tick(&s.rig);
            assert_true(s.pool.stats.open <= 4);
        }
        size_t other = (size_t)q_sim_between(s.rig.sim, 0, i, 0);
        if (q_sim_chance(s.rig.sim, 15) && askers[other].lease.origin != NULL) {
            q_pool_cancel(&s.pool, &askers[other].lease);
            canceled[other] = true;
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        for (int ticks = 0;
             !canceled[i] && askers[i].result != Q_LEASE_FAILED && !askers[i].has_failed && !askers[i].user.is_over;
             ticks++) {
            assert_true(ticks < 20000 && q_sim_now(s.rig.sim) < start_ns + CONN_RIG_PATIENCE_NS);
            conn_rig_tick(&s.rig);
            assert_true(s.pool.stats.open <= 4);
        }
        assert_false(canceled[i] && (askers[i].is_leased || askers[i].has_failed));
    }
    pool_rig_close(&s);
    free(askers);
}

static void everybody_hears_exactly_one_thing_in_any_world(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        play(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_refused_connect_fails_one_waiter),
        cmocka_unit_test(a_server_that_comes_up_serves_those_who_still_wait),
        cmocka_unit_test(a_connect_that_takes_too_long_is_a_timeout_of_its_own),
        cmocka_unit_test(a_timeout_says_what_the_attempt_before_had_failed_with),
        cmocka_unit_test(nobody_is_failed_by_another_ones_connect_timeout),
        cmocka_unit_test(the_second_address_of_a_name_is_tried),
        cmocka_unit_test(from_a_local_address_its_own_family_alone_is_tried),
        cmocka_unit_test(names_are_found_or_refused_for_all_who_wait),
        cmocka_unit_test(without_slots_a_lease_fails_or_waits_for_one),
        cmocka_unit_test(a_busy_connection_that_dies_makes_room_for_those_behind),
        cmocka_unit_test(every_failing_allocation_is_a_typed_error_and_leaves_nothing),
        cmocka_unit_test(a_pool_without_memory_is_not_made),
        cmocka_unit_test(everybody_hears_exactly_one_thing_in_any_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The pool, on the ring and the simulated kernel: room that comes free, who gets it, and what waiters are told of the
// connections that are made for them.
#define _GNU_SOURCE
#include "tests/engine/conn/pool_rig.h"

#include <stdlib.h>
#include <string.h>

// --- room ------------------------------------------------------------------------------------------------------------

static void open_slots(struct pool_rig *s, struct q_io_slot *slots, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_false(q_error_is(q_io_open(s->rig.loop.io, &slots[i])));
    }
}

static void close_slots(struct pool_rig *s, const struct q_io_slot *slots, size_t count) {
    struct q_list done;
    q_list_init(&done);
    for (size_t i = 0; i < count; i++) {
        struct q_io_op op = {.done = NULL};
        q_io_close(s->rig.loop.io, slots[i], &op);
        while (op.busy) {
            q_io_turn(s->rig.loop.io, &(struct q_io_turn){0}, &done);
        }
    }
}

// Several slots have come free when the next connection closes: each who found none gets one, and not the first alone.
static void room_for_two_serves_two(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){.num_slots = 4}, (struct q_pool_options){0}); // the bell's, and three
    struct asker *askers = new_askers(&s, 3);
    struct q_io_slot slots[2];
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    open_slots(&s, slots, 2);
    assert_int_equal(ask(&askers[1], "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    assert_int_equal(ask(&askers[2], "http://127.0.0.1:82/"), Q_LEASE_WAITING);
    close_slots(&s, slots, 2);
    q_sim_conn_reset(server_conn(&s, 0));
    run_a_moment(&s);
    assert_true(askers[1].is_leased && askers[2].is_leased);
    answer(&s, 1);
    answer(&s, 2);
    until_over(&askers[1]);
    until_over(&askers[2]);
    pool_rig_close(&s);
    free(askers);
}

// Two of one origin wait for room, and one connection makes it: the other idle ones stay, also when the line had been
// stood in before.
static void no_more_connections_are_closed_than_room_is_wanted(void **state) {
    (void)state;
    static const char *const k_urls[] = {POOL_RIG_HOME, "http://127.0.0.1:81/", "http://127.0.0.1:82/",
                                         "http://127.0.0.1:83/", "http://127.0.0.1:84/"};
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 3});
    struct asker *askers = new_askers(&s, 7);
    for (uint16_t i = 1; i < 5; i++) {
        conn_rig_listen(&s.rig, "127.0.0.1", (uint16_t)(80 + i), Q_SIM_ACCEPT, 0);
    }
    for (size_t i = 0; i < 4; i++) {
        visit(&askers[i], k_urls[i]); // the last one finds the pool full, and the first one's connection makes room
    }
    assert_int_equal(s.pool.stats.open, 3);
    assert_int_equal(ask(&askers[4], k_urls[4]), Q_LEASE_WAITING);
    assert_int_equal(ask(&askers[5], k_urls[4]), Q_LEASE_WAITING);
    assert_int_equal(ask(&askers[6], k_urls[2]), Q_LEASE_NOW);
    for (size_t i = 4; i < 7; i++) {
        until_over(&askers[i]);
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    pool_rig_close(&s);
    free(askers);
}

// Connections that fail take room until they have closed, and no longer.
static void room_is_made_behind_connects_that_failed(void **state) {
    (void)state;
    static const enum q_sim_answer k_answers[] = {Q_SIM_REFUSE, Q_SIM_BLACKHOLE};
    for (size_t i = 0; i < Q_COUNT_OF(k_answers); i++) {
        struct pool_rig s;
        pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
        struct asker *askers = new_askers(&s, 4);
        conn_rig_listen(&s.rig, "127.0.0.1", 81, k_answers[i], 0);
        conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
        ask(&askers[0], "http://127.0.0.1:81/");
        conn_rig_until(&s.rig, &askers[0].has_failed);
        visit(&askers[1], POOL_RIG_HOME);
        visit(&askers[2], "http://127.0.0.1:82/"); // the idle one makes room
        s.rig.response = NULL;
        ask(&askers[3], POOL_RIG_HOME);
        run_a_moment(&s);
        assert_true(askers[3].is_leased);
        answer(&s, 2);
        until_over(&askers[3]);
        pool_rig_close(&s);
        free(askers);
    }
}

// --- what waiters are told of the connections that are made for them ---------------------------------------------------

static void who_waits_is_told_when_a_connection_is_made_for_it(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 4);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    assert_string_equal(askers[0].dialing, "+"); // from inside the call
    ask(&askers[1], POOL_RIG_HOME);
    ask(&askers[2], POOL_RIG_HOME);
    run_a_moment(&s);
    assert_string_equal(askers[0].dialing, "+"); // connected: no more than the connection itself
    assert_string_equal(askers[1].dialing, "");
    answer(&s, 0);
    until_over(&askers[0]);
    assert_true(askers[1].is_leased);
    assert_string_equal(askers[1].dialing, ""); // the connection came free; none was made
    q_sim_conn_reset(server_conn(&s, 0));
    until_over(&askers[1]);
    s.rig.response = CONN_RIG_OK;
    until_over(&askers[2]);
    assert_string_equal(askers[2].dialing, "+"); // the only one has died
    assert_int_equal(ask(&askers[3], POOL_RIG_HOME), Q_LEASE_NOW);
    assert_string_equal(askers[3].dialing, "");
    until_over(&askers[3]);
    pool_rig_close(&s);
    free(askers);
}

static void who_waits_for_room_is_told_when_there_is_some(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    ask(&askers[1], "http://127.0.0.1:81/");
    ask(&askers[2], "http://127.0.0.1:81/");
    run_a_moment(&s);
    assert_string_equal(askers[1].dialing, "");
    answer(&s, 0);
    s.rig.response = CONN_RIG_OK;
    until_over(&askers[2]);
    assert_string_equal(askers[1].dialing, "+");
    assert_string_equal(askers[2].dialing, ""); // had what the other one left
    pool_rig_close(&s);
    free(askers);
}

static void who_is_served_first_takes_nobody_elses_connection(void **state) {
    (void)state;
    enum { MANY = 3 };
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, MANY);
    s.rig.response = NULL;
    for (size_t i = 0; i < MANY; i++) {
        conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, (i + 1) * 20 * Q_NS_PER_MS);
        ask(&askers[i], POOL_RIG_HOME);
        run_a_moment(&s); // the attempt is with the kernel
    }
    conn_rig_run_for(&s.rig, 100 * Q_NS_PER_MS);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(askers[i].is_leased);
        assert_string_equal(askers[i].dialing, "+");
        answer(&s, i);
        until_over(&askers[i]);
    }
    pool_rig_close(&s);
    free(askers);
}

// A connection that was made for the younger one makes room for the older one of another origin, who found no slot. From
// then on the younger one waits in a line, where its bound on connecting does not run.
static void whose_connection_goes_to_another_is_told_and_its_bound_stops(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){.num_slots = 3}, (struct q_pool_options){0}); // the bell's, and two
    struct asker *askers = new_askers(&s, 3);
    struct asker *busy = &askers[0], *older = &askers[1], *younger = &askers[2];
    struct q_io_slot slot;
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(busy, POOL_RIG_HOME);
    run_a_moment(&s);
    open_slots(&s, &slot, 1); // somebody has the last one
    assert_int_equal(ask(older, "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    assert_string_equal(older->dialing, "");
    close_slots(&s, &slot, 1);
    younger->lease.connect_timeout_ns = 100 * Q_NS_PER_MS;
    assert_int_equal(ask(younger, "http://127.0.0.1:82/"), Q_LEASE_WAITING);
    assert_string_equal(younger->dialing, "+");
    run_a_moment(&s);
    assert_string_equal(older->dialing, "+");
    assert_string_equal(younger->dialing, "+-");
    assert_true(older->is_leased);
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_false(younger->has_failed);
    s.rig.response = CONN_RIG_OK;
    answer(&s, 2); // the older one's: the younger one's was the second that the server saw
    until_over(older);
    until_over(younger);
    assert_string_equal(younger->dialing, "+-+");
    assert_string_equal(younger->user.diary, "H200DE");
    answer(&s, 0);
    until_over(busy);
    pool_rig_close(&s);
    free(askers);
}

// Of two younger ones the first gets the connection that is left, and the last one waits. It is not counted on a
// connection from then on: nobody else's goes for it.
static void of_those_whose_connection_has_gone_the_last_waits(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){.num_slots = 8}, (struct q_pool_options){0}); // the bell's, and seven
    struct asker *askers = new_askers(&s, 7);
    struct asker *busy = &askers[0], *older = &askers[1], *first = &askers[2], *last = &askers[3];
    struct q_io_slot slots[6];
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(busy, POOL_RIG_HOME);
    run_a_moment(&s);
    open_slots(&s, slots, 6);
    ask(older, "http://127.0.0.1:81/");
    close_slots(&s, slots, 2);
    ask(first, "http://127.0.0.1:82/");
    ask(last, "http://127.0.0.1:82/");
    assert_string_equal(last->dialing, "+");
    run_a_moment(&s);
    assert_true(first->is_leased);
    assert_string_equal(first->dialing, "+");
    assert_false(last->is_leased);
    assert_string_equal(last->dialing, "+-");
    assert_true(older->is_leased);
    s.rig.response = CONN_RIG_OK;
    for (size_t i = 0; i < 4; i++) {
        if (i != 1) {
            answer(&s, i); // the second one was closed
        }
    }
    for (size_t i = 0; i < 4; i++) {
        until_over(&askers[i]);
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    close_slots(&s, slots + 2, 4);
    s.rig.response = NULL;
    for (size_t i = 4; i < 7; i++) {
        conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, i * 20 * Q_NS_PER_MS);
        assert_int_equal(ask(&askers[i], "http://127.0.0.1:82/"), i == 4 ? Q_LEASE_NOW : Q_LEASE_WAITING);
        run_a_moment(&s);
    }
    conn_rig_run_for(&s.rig, 200 * Q_NS_PER_MS);
    assert_string_equal(askers[5].dialing, "+");
    assert_string_equal(askers[6].dialing, "+");
    answer(&s, 2); // the one that was left
    answer(&s, 4);
    answer(&s, 5);
    for (size_t i = 4; i < 7; i++) {
        until_over(&askers[i]);
    }
    pool_rig_close(&s);
    free(askers);
}

// --- attempts whose own waiter has gone --------------------------------------------------------------------------------

static uint64_t until_failed(struct asker *asker) {
    uint64_t start_ns = q_sim_now(asker->s->rig.sim);
    conn_rig_until(&asker->s->rig, &asker->has_failed);
    assert_int_equal(asker->error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_int_equal(asker->error.phase, Q_PHASE_CONNECT);
    return (q_sim_now(asker->s->rig.sim) - start_ns) / Q_NS_PER_MS;
}

// The attempt of one that was cancelled goes on, with a bound that was the other one's.
static void who_waits_for_anothers_attempt_is_under_its_own_bound(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    askers[0].lease.connect_timeout_ns = 20 * Q_NS_PER_S;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    q_pool_cancel(&s.pool, &askers[0].lease);
    for (size_t i = 1; i < 3; i++) { // the second one finds an attempt that has outlived its second waiter
        askers[i].lease.connect_timeout_ns = Q_NS_PER_S;
        assert_int_equal(ask(&askers[i], POOL_RIG_HOME), Q_LEASE_WAITING);
        assert_string_equal(askers[i].dialing, "+"); // from inside the call
        uint64_t took_ms = until_failed(&askers[i]);
        assert_true(took_ms >= 1000 && took_ms < 1010);
    }
    assert_int_equal(s.pool.stats.opened, 1);
    pool_rig_close(&s);
    free(askers);
}

// Whoever leaves the line: the one behind it has waited because of the limit, and does so no more.
static void an_attempt_is_the_next_ones_when_its_own_waiter_leaves(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    askers[0].lease.connect_timeout_ns = 20 * Q_NS_PER_S;
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
        assert_string_equal(askers[i].dialing, i == 0 ? "+" : "");
    }
    q_pool_cancel(&s.pool, &askers[0].lease); // one goes by its host's word
    assert_string_equal(askers[1].dialing, "+");
    assert_string_equal(askers[2].dialing, "");
    assert_in_range(until_failed(&askers[1]), 5000, 5010); // and one by its own bound
    assert_string_equal(askers[2].dialing, "+");
    assert_in_range(until_failed(&askers[2]), 5000, 5010);
    assert_int_equal(s.pool.stats.opened, 1);
    pool_rig_close(&s);
    free(askers);
}

static void an_attempt_is_the_next_ones_when_another_connection_serves_the_first(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 2});
    struct asker *askers = new_askers(&s, 3);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    ask(&askers[1], POOL_RIG_HOME);
    ask(&askers[2], POOL_RIG_HOME);
    assert_string_equal(askers[1].dialing, "+");
    assert_string_equal(askers[2].dialing, "");
    answer(&s, 0);
    until_over(&askers[0]);
    assert_true(askers[1].is_leased);
    assert_string_equal(askers[2].dialing, "+");
    assert_in_range(until_failed(&askers[2]), 5000, 5010);
    answer(&s, 0);
    until_over(&askers[1]);
    pool_rig_close(&s);
    free(askers);
}

// An attempt that took too long is made again for those who counted on it, and is nobody else's.
static void an_attempt_that_took_too_long_is_made_again_for_its_own_waiter(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    askers[0].lease.connect_timeout_ns = 100 * Q_NS_PER_MS;
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    q_pool_cancel(&s.pool, &askers[0].lease);
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_int_equal(s.pool.stats.opened, 2);
    assert_string_equal(askers[1].dialing, "+");
    assert_string_equal(askers[2].dialing, "");
    until_failed(&askers[1]);
    until_failed(&askers[2]);
    pool_rig_close(&s);
    free(askers);
}

// There is no room to make it again: that is waiting, not connecting, and ends at no bound on connecting.
static void who_counted_on_an_attempt_that_is_over_waits_for_room(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_BLACKHOLE, 0);
    askers[0].lease.connect_timeout_ns = 100 * Q_NS_PER_MS;
    askers[2].lease.connect_timeout_ns = 20 * Q_NS_PER_S;
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[2], "http://127.0.0.1:82/");
    ask(&askers[1], POOL_RIG_HOME);
    q_pool_cancel(&s.pool, &askers[0].lease);
    assert_string_equal(askers[1].dialing, "+");
    conn_rig_run_for(&s.rig, 10 * Q_NS_PER_S); // twice its bound; the room is the third one's, who has waited longer for it
    assert_string_equal(askers[2].dialing, "+");
    assert_string_equal(askers[1].dialing, "+-");
    assert_false(askers[1].has_failed);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
    until_failed(&askers[2]);
    until_over(&askers[1]);
    assert_string_equal(askers[1].dialing, "+-+");
    pool_rig_close(&s);
    free(askers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_for_two_serves_two),
        cmocka_unit_test(no_more_connections_are_closed_than_room_is_wanted),
        cmocka_unit_test(room_is_made_behind_connects_that_failed),
        cmocka_unit_test(who_waits_is_told_when_a_connection_is_made_for_it),
        cmocka_unit_test(who_waits_for_room_is_told_when_there_is_some),
        cmocka_unit_test(who_is_served_first_takes_nobody_elses_connection),
        cmocka_unit_test(whose_connection_goes_to_another_is_told_and_its_bound_stops),
        cmocka_unit_test(of_those_whose_connection_has_gone_the_last_waits),
        cmocka_unit_test(who_waits_for_anothers_attempt_is_under_its_own_bound),
        cmocka_unit_test(an_attempt_is_the_next_ones_when_its_own_waiter_leaves),
        cmocka_unit_test(an_attempt_is_the_next_ones_when_another_connection_serves_the_first),
        cmocka_unit_test(an_attempt_that_took_too_long_is_made_again_for_its_own_waiter),
        cmocka_unit_test(who_counted_on_an_attempt_that_is_over_waits_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

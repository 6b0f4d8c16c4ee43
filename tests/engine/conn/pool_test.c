// The pool, on the ring and the simulated kernel: re-use, limits, lines, and its end.
#define _GNU_SOURCE
#include "tests/engine/conn/pool_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- re-use ----------------------------------------------------------------------------------------------------------

static void a_connection_is_used_again(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 4);
    for (size_t i = 0; i < 4; i++) {
        visit(&askers[i], POOL_RIG_HOME);
        assert_int_equal(askers[i].result, i == 0 ? Q_LEASE_WAITING : Q_LEASE_NOW);
        assert_int_equal(askers[i].user.progress.is_reused, i > 0);
        assert_int_equal(askers[i].user.progress.connection_id, askers[0].user.progress.connection_id);
    }
    assert_int_equal(s.pool.stats.opened, 1);
    assert_int_equal(s.pool.stats.reused, 3);
    assert_int_equal(s.pool.stats.open, 1);
    pool_rig_close(&s);
    free(askers);
}

static void only_the_same_origin_uses_it_again(void **state) {
    (void)state;
    static const char *const k_urls[] = {POOL_RIG_HOME, "http://127.0.0.1:81/", "http://one/", "http://localhost/",
                                         "http://[::1]/"};
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "::1", 80, Q_SIM_ACCEPT, 0);
    struct asker *askers = new_askers(&s, 2 * Q_COUNT_OF(k_urls));
    for (size_t i = 0; i < 2 * Q_COUNT_OF(k_urls); i++) {
        visit(&askers[i], k_urls[i % Q_COUNT_OF(k_urls)]);
        assert_int_equal(askers[i].user.progress.is_reused, i >= Q_COUNT_OF(k_urls));
    }
    assert_int_equal(s.pool.stats.opened, Q_COUNT_OF(k_urls)); // one name, one address, but another origin: another one
    pool_rig_close(&s);
    free(askers);
}

static void an_idle_connection_that_hears_anything_is_never_lent_again(void **state) {
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct pool_rig s;
        pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
        struct asker *askers = new_askers(&s, 2);
        visit(&askers[0], POOL_RIG_HOME);
        if (what == 0) {
            q_sim_conn_fin(server_conn(&s, 0));
        } else if (what == 1) {
            q_sim_conn_reset(server_conn(&s, 0));
        } else {
            answer(&s, 0); // to nothing
        }
        run_a_moment(&s);
        assert_int_equal(s.pool.stats.open, 0); // gone at once, without being asked for
        visit(&askers[1], POOL_RIG_HOME);
        assert_false(askers[1].user.progress.is_reused);
        assert_int_equal(s.pool.stats.opened, 2);
        pool_rig_close(&s);
        free(askers);
    }
}

static struct asker *the_next_two;

static void ask_the_next_two(struct rig_user *user) {
    (void)user;
    assert_int_equal(ask(&the_next_two[0], POOL_RIG_HOME), Q_LEASE_NOW); // the connection that has just come free
    assert_int_equal(ask(&the_next_two[1], POOL_RIG_HOME), Q_LEASE_NOW); // and the one that was idle
}

// The kernel has told of the end of one exchange and of stray bytes on an idle connection in one go; a request that
// starts on that connection in between must not take the bytes for its answer.
static void stray_bytes_that_are_known_already_answer_no_request(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 4);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[1], POOL_RIG_HOME);
    run_a_moment(&s);
    answer(&s, 1);
    until_over(&askers[1]);
    the_next_two = &askers[2];
    askers[0].user.on_over = ask_the_next_two;
    answer(&s, 0);
    answer(&s, 1); // to nothing
    until_over(&askers[0]);
    until_over(&askers[3]);
    assert_ptr_equal(askers[3].conn, askers[1].conn);
    assert_string_equal(askers[0].user.diary, "H200DE");
    assert_string_equal(askers[3].user.diary, "F");
    assert_int_equal(askers[3].user.error.code, Q_ERR_CONNECTION_FAILED);
    run_a_moment(&s);
    answer(&s, 0);
    until_over(&askers[2]);
    assert_string_equal(askers[2].user.diary, "H200DE");
    pool_rig_close(&s);
    free(askers);
}

static void the_latest_idle_connection_is_lent_first(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 5);
    s.rig.response = NULL;
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    run_a_moment(&s);
    answer(&s, 1);
    until_over(&askers[1]);
    answer(&s, 2);
    until_over(&askers[2]);
    answer(&s, 0);
    until_over(&askers[0]);
    assert_int_equal(ask(&askers[3], POOL_RIG_HOME), Q_LEASE_NOW);
    assert_ptr_equal(askers[3].conn, askers[0].conn);
    assert_int_equal(ask(&askers[4], POOL_RIG_HOME), Q_LEASE_NOW);
    assert_ptr_equal(askers[4].conn, askers[2].conn);
    run_a_moment(&s);
    answer(&s, 0);
    answer(&s, 2);
    until_over(&askers[3]);
    until_over(&askers[4]);
    pool_rig_close(&s);
    free(askers);
}

// --- limits and lines ------------------------------------------------------------------------------------------------

static void waiters_are_served_first_come_first_served(void **state) {
    (void)state;
    enum { MANY = 6 };
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ask(&askers[i], POOL_RIG_HOME), Q_LEASE_WAITING);
    }
    for (size_t i = 0; i < MANY; i++) {
        until_over(&askers[i]);
        assert_int_equal(askers[i].order, i + 1);
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    assert_int_equal(s.pool.stats.opened, 1);
    assert_int_equal(s.pool.stats.reused, MANY - 1);
    pool_rig_close(&s);
    free(askers);
}

static void an_origin_has_no_more_connections_than_it_may(void **state) {
    (void)state;
    enum { MANY = 9 };
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 3});
    struct asker *askers = new_askers(&s, MANY);
    s.rig.response = NULL;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ask(&askers[i], POOL_RIG_HOME), Q_LEASE_WAITING);
    }
    run_a_moment(&s);
    assert_int_equal(s.pool.stats.open, 3);
    assert_int_equal(s.num_served, 3);
    assert_int_equal(q_sim_conn_count(s.rig.sim), 3);
    s.rig.response = CONN_RIG_OK;
    for (size_t i = 0; i < 3; i++) {
        answer(&s, i);
    }
    for (size_t i = 0; i < MANY; i++) {
        until_over(&askers[i]);
    }
    assert_int_equal(s.pool.stats.opened, 3);
    pool_rig_close(&s);
    free(askers);
}

static void a_connection_under_way_is_counted_for_its_waiter(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 3);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
        assert_int_equal(s.pool.stats.opened, i + 1); // one for each, not more
    }
    for (size_t i = 0; i < 3; i++) {
        until_over(&askers[i]);
    }
    assert_int_equal(s.pool.stats.opened, 3);
    pool_rig_close(&s);
    free(askers);
}

static void the_total_is_never_exceeded_and_who_waits_for_room_gets_it(void **state) {
    (void)state;
    enum { ORIGINS = 6 };
    static const char *const k_urls[ORIGINS] = {POOL_RIG_HOME,          "http://127.0.0.1:81/", "http://127.0.0.1:82/",
                                                "http://127.0.0.1:83/", "http://127.0.0.1:84/", "http://127.0.0.1:85/"};
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
    struct asker *askers = new_askers(&s, ORIGINS);
    for (uint16_t i = 0; i < ORIGINS; i++) {
        conn_rig_listen(&s.rig, "127.0.0.1", (uint16_t)(80 + i), Q_SIM_ACCEPT, 0);
    }
    for (size_t i = 0; i < ORIGINS; i++) {
        assert_int_equal(ask(&askers[i], k_urls[i]), Q_LEASE_WAITING);
        assert_true(s.pool.stats.open <= 2);
    }
    uint64_t start_ns = q_sim_now(s.rig.sim);
    for (size_t i = 0; i < ORIGINS; i++) {
        while (!askers[i].user.is_over) {
            conn_rig_tick(&s.rig);
            assert_true(q_sim_now(s.rig.sim) < start_ns + CONN_RIG_PATIENCE_NS);
            assert_true(s.pool.stats.open <= 2);
        }
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    for (size_t i = 2; i < ORIGINS; i++) {
        assert_true(askers[i].order > 2); // in their turn
    }
    pool_rig_close(&s);
    free(askers);
}

static void the_longest_idle_connection_makes_room(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
    struct asker *askers = new_askers(&s, 5);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    visit(&askers[0], POOL_RIG_HOME);
    visit(&askers[1], "http://127.0.0.1:81/");
    visit(&askers[2], POOL_RIG_HOME); // so the other one has been idle longest
    visit(&askers[3], "http://127.0.0.1:82/");
    assert_int_equal(s.pool.stats.opened, 3);
    assert_int_equal(s.pool.stats.open, 2);
    visit(&askers[4], POOL_RIG_HOME); // still there
    assert_true(askers[4].user.progress.is_reused);
    pool_rig_close(&s);
    free(askers);
}

static void a_connection_that_nobody_needs_makes_room_when_it_comes_free(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 2);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    assert_int_equal(ask(&askers[1], "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    run_a_moment(&s);
    assert_int_equal(s.num_served, 1); // the only connection is busy, and is not taken away
    s.rig.response = CONN_RIG_OK;
    answer(&s, 0);
    until_over(&askers[0]);
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    pool_rig_close(&s);
    free(askers);
}

static void a_line_that_is_full_refuses_at_once(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0},
                  (struct q_pool_options){.connections_per_origin_max = 1, .waiters_per_origin_max = 2});
    struct asker *askers = new_askers(&s, 4);
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[1], POOL_RIG_HOME);
    assert_int_equal(ask(&askers[2], POOL_RIG_HOME), Q_LEASE_FAILED);
    assert_int_equal(askers[2].error.code, Q_ERR_WAITERS_MAX);
    assert_int_equal(askers[2].error.phase, Q_PHASE_QUEUE);
    assert_int_equal(askers[2].error.retry_safe, 1);
    assert_int_equal(ask(&askers[3], "http://one/"), Q_LEASE_WAITING); // another line
    until_over(&askers[0]);
    until_over(&askers[1]);
    until_over(&askers[3]);
    pool_rig_close(&s);
    free(askers);
}

static void a_cancelled_waiter_hears_nothing_and_its_connection_serves_others(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], POOL_RIG_HOME);
    }
    q_pool_cancel(&s.pool, &askers[0].lease);
    q_pool_cancel(&s.pool, &askers[0].lease); // does not wait any more: left alone
    until_over(&askers[1]);
    q_pool_cancel(&s.pool, &askers[1].lease); // nor does one that was served
    until_over(&askers[2]);
    assert_false(askers[0].is_leased || askers[0].has_failed);
    assert_int_equal(s.pool.stats.opened, 1);
    pool_rig_close(&s);
    free(askers);
}

static void a_connection_that_nobody_waits_for_any_more_is_shelved(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    ask(&askers[0], POOL_RIG_HOME);
    q_pool_cancel(&s.pool, &askers[0].lease);
    run_a_moment(&s);
    assert_int_equal(ask(&askers[1], POOL_RIG_HOME), Q_LEASE_NOW);
    until_over(&askers[1]);
    assert_false(askers[1].user.progress.is_reused); // nobody has used it before
    assert_int_equal(s.pool.stats.reused, 0);
    pool_rig_close(&s);
    free(askers);
}

static void waiters_of_a_hungry_origin_may_all_give_up(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    ask(&askers[1], "http://127.0.0.1:81/");
    ask(&askers[2], "http://127.0.0.1:82/");
    q_pool_cancel(&s.pool, &askers[1].lease); // the first in line for room
    s.rig.response = CONN_RIG_OK;
    answer(&s, 0);
    until_over(&askers[0]);
    until_over(&askers[2]);
    pool_rig_close(&s);
    free(askers);
}

// Room that comes free goes to who has waited longest, whatever the origin.
static void an_older_waiter_of_another_origin_comes_first(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    run_a_moment(&s);
    ask(&askers[1], "http://127.0.0.1:81/");
    ask(&askers[2], POOL_RIG_HOME); // could have the connection when it comes free, but came later
    s.rig.response = CONN_RIG_OK;
    answer(&s, 0);
    for (size_t i = 0; i < 3; i++) {
        until_over(&askers[i]);
        assert_string_equal(askers[i].user.diary, "H200DE");
        assert_int_equal(askers[i].order, i + 1);
    }
    pool_rig_close(&s);
    free(askers);
}

static void who_wants_a_fresh_connection_gets_none_that_was_idle(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 2);
    visit(&askers[0], POOL_RIG_HOME);
    askers[1].lease.wants_fresh = true;
    assert_int_equal(ask(&askers[1], POOL_RIG_HOME), Q_LEASE_WAITING);
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    assert_false(askers[1].user.progress.is_reused);
    assert_int_equal(s.pool.stats.opened, 2);
    assert_int_equal(s.pool.stats.open, 1); // the idle one has made room
    pool_rig_close(&s);
    free(askers);
}

// --- the end ---------------------------------------------------------------------------------------------------------

static void closing_ends_what_has_no_user_and_lets_the_others_finish(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 5);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_BLACKHOLE, 0);
    visit(&askers[0], POOL_RIG_HOME); // will be idle
    s.rig.response = NULL;
    assert_int_equal(ask(&askers[1], "http://one/"), Q_LEASE_WAITING);
    run_a_moment(&s);                        // busy
    ask(&askers[2], "http://127.0.0.1:81/"); // connecting
    q_pool_cancel(&s.pool, &askers[2].lease);
    q_pool_close(&s.pool);
    assert_int_equal(ask(&askers[3], POOL_RIG_HOME), Q_LEASE_FAILED);
    assert_int_equal(askers[3].error.code, Q_ERR_CLOSED);
    run_a_moment(&s);
    assert_int_equal(s.pool.stats.open, 1);
    answer(&s, 1);
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    run_a_moment(&s);
    assert_true(q_pool_is_empty(&s.pool)); // not shelved any more
    pool_rig_close(&s);
    free(askers);
}

// The first in line for room stands there for nobody any more; but its origin lives, by a connection that is busy.
static void room_goes_down_the_line_past_those_who_gave_up(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
    struct asker *askers = new_askers(&s, 4);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], POOL_RIG_HOME);
    ask(&askers[1], "http://127.0.0.1:81/");
    run_a_moment(&s);
    assert_int_equal(ask(&askers[2], POOL_RIG_HOME), Q_LEASE_WAITING);
    assert_int_equal(ask(&askers[3], "http://127.0.0.1:82/"), Q_LEASE_WAITING);
    q_pool_cancel(&s.pool, &askers[2].lease);
    s.rig.response = CONN_RIG_OK;
    q_sim_conn_reset(server_conn(&s, 1));
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "F");
    until_over(&askers[3]);
    assert_string_equal(askers[3].user.diary, "H200DE");
    answer(&s, 0);
    until_over(&askers[0]);
    pool_rig_close(&s);
    free(askers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(only_the_same_origin_uses_it_again),
        cmocka_unit_test(an_idle_connection_that_hears_anything_is_never_lent_again),
        cmocka_unit_test(stray_bytes_that_are_known_already_answer_no_request),
        cmocka_unit_test(the_latest_idle_connection_is_lent_first),
        cmocka_unit_test(waiters_are_served_first_come_first_served),
        cmocka_unit_test(an_origin_has_no_more_connections_than_it_may),
        cmocka_unit_test(a_connection_under_way_is_counted_for_its_waiter),
        cmocka_unit_test(the_total_is_never_exceeded_and_who_waits_for_room_gets_it),
        cmocka_unit_test(the_longest_idle_connection_makes_room),
        cmocka_unit_test(a_connection_that_nobody_needs_makes_room_when_it_comes_free),
        cmocka_unit_test(a_line_that_is_full_refuses_at_once),
        cmocka_unit_test(a_cancelled_waiter_hears_nothing_and_its_connection_serves_others),
        cmocka_unit_test(a_connection_that_nobody_waits_for_any_more_is_shelved),
        cmocka_unit_test(waiters_of_a_hungry_origin_may_all_give_up),
        cmocka_unit_test(room_goes_down_the_line_past_those_who_gave_up),
        cmocka_unit_test(an_older_waiter_of_another_origin_comes_first),
        cmocka_unit_test(who_wants_a_fresh_connection_gets_none_that_was_idle),
        cmocka_unit_test(closing_ends_what_has_no_user_and_lets_the_others_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

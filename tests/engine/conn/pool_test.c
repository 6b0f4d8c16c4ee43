// The pool, on the ring and the simulated kernel: re-use, limits, lines, and every way in which connecting can fail.
#define _GNU_SOURCE
#include "tests/engine/conn/conn_rig.h"

#include "engine/conn/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOME "http://127.0.0.1/"

struct scene {
    struct conn_rig rig;
    struct q_hosts hosts;
    struct q_pool pool;
    int num_served; // leases that got a connection, in all
};

// Who wants a connection: it makes one exchange on what it gets.
struct asker {
    struct q_lease lease;
    struct scene *s;
    struct q_conn *conn;
    enum q_lease_result result;
    bool is_leased, has_failed, is_asking;
    int order; // the how manieth that got a connection
    struct q_error error;
    struct rig_user user;
};

static void start_on(struct asker *asker, struct q_conn *conn) {
    struct q_conn_request request = conn_rig_request(CONN_RIG_GET, (struct q_slice){0});
    assert_int_equal(conn->state, Q_CONN_IDLE);
    asker->conn = conn;
    asker->order = ++asker->s->num_served;
    conn_rig_user(&asker->user, &asker->s->rig);
    q_conn_start(conn, &asker->user.user, &request);
}

static void on_leased(struct q_lease *lease, struct q_conn *conn) {
    struct asker *asker = q_container_of(lease, struct asker, lease);
    assert_false(asker->is_asking || asker->is_leased || asker->has_failed);
    asker->is_leased = true;
    start_on(asker, conn);
}

static void on_failed(struct q_lease *lease, struct q_error error) {
    struct asker *asker = q_container_of(lease, struct asker, lease);
    assert_false(asker->is_asking || asker->is_leased || asker->has_failed);
    assert_true(q_error_is(error));
    assert_int_equal(error.retry_safe, 1); // nothing was sent
    asker->has_failed = true;
    asker->error = error;
}

static const struct q_lease_events k_lease_events = {.on_leased = on_leased, .on_failed = on_failed};

static void open_scene(struct scene *s, struct conn_rig_options options, struct q_pool_options limits) {
    memset(s, 0, sizeof *s);
    conn_rig_open(&s->rig, options);
    limits.connections_max = limits.connections_max == 0 ? 16 : limits.connections_max;
    limits.connections_per_origin_max = limits.connections_per_origin_max == 0 ? 8 : limits.connections_per_origin_max;
    limits.waiters_per_origin_max = limits.waiters_per_origin_max == 0 ? 64 : limits.waiters_per_origin_max;
    struct q_slice text = Q_SLICE("127.0.0.7 two\n127.0.0.1 two\n127.0.0.1 one\n");
    assert_false(q_error_is(q_hosts_parse(&s->hosts, q_alloc_libc(), text)));
    struct q_error error = q_pool_init(&s->pool, q_failalloc_alloc(s->rig.memory), &s->rig.env, &s->hosts, &limits);
    assert_int_equal(error.code, Q_ERR_OK);
}

static void close_pool(struct scene *s) {
    q_pool_close(&s->pool);
    for (int ticks = 0; !q_pool_is_empty(&s->pool); ticks++) {
        assert_true(ticks < 10000);
        conn_rig_tick(&s->rig);
    }
    assert_int_equal(s->pool.stats.open, 0);
}

static void close_scene(struct scene *s) {
    close_pool(s);
    q_pool_deinit(&s->pool);
    q_hosts_deinit(&s->hosts);
    conn_rig_close(&s->rig);
}

static struct asker *new_askers(struct scene *s, size_t count) {
    struct asker *askers = calloc(count, sizeof *askers);
    for (size_t i = 0; i < count; i++) {
        askers[i].s = s;
        askers[i].lease.events = &k_lease_events;
        askers[i].lease.connect_timeout_ns = 5 * Q_NS_PER_S;
    }
    return askers;
}

static enum q_lease_result ask(struct asker *asker, const char *text) {
    struct q_url url;
    struct q_origin origin;
    struct q_conn *conn = NULL;
    assert_false(q_error_is(q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url)));
    assert_false(q_error_is(q_origin_build(&origin, q_alloc_libc(), &url)));
    asker->is_asking = true;
    asker->result = q_pool_lease(&asker->s->pool, &asker->lease, &origin, &conn, &asker->error);
    asker->is_asking = false;
    q_origin_deinit(&origin); // the pool has its own
    q_url_deinit(&url);
    if (asker->result == Q_LEASE_NOW) {
        start_on(asker, conn);
    }
    return asker->result;
}

static void until_over(struct asker *asker) {
    conn_rig_until(&asker->s->rig, &asker->user.is_over);
}

// Asks, and does the whole exchange.
static void visit(struct asker *asker, const char *url) {
    assert_true(ask(asker, url) != Q_LEASE_FAILED);
    until_over(asker);
    assert_string_equal(asker->user.diary, "H200DE");
}

static struct q_sim_conn *server_conn(struct scene *s, size_t index) {
    struct q_sim_conn *conn = q_sim_conn_at(s->rig.sim, index);
    assert_non_null(conn);
    return conn;
}

static void answer(struct scene *s, size_t index) {
    q_sim_conn_send(server_conn(s, index), CONN_RIG_OK, strlen(CONN_RIG_OK));
}

static void run_a_moment(struct scene *s) {
    conn_rig_run_for(&s->rig, 5 * Q_NS_PER_MS);
}

// --- re-use ----------------------------------------------------------------------------------------------------------

static void a_connection_is_used_again(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 4);
    for (size_t i = 0; i < 4; i++) {
        visit(&askers[i], HOME);
        assert_int_equal(askers[i].result, i == 0 ? Q_LEASE_WAITING : Q_LEASE_NOW);
        assert_int_equal(askers[i].user.progress.is_reused, i > 0);
        assert_int_equal(askers[i].user.progress.connection_id, askers[0].user.progress.connection_id);
    }
    assert_int_equal(s.pool.stats.opened, 1);
    assert_int_equal(s.pool.stats.reused, 3);
    assert_int_equal(s.pool.stats.open, 1);
    close_scene(&s);
    free(askers);
}

static void only_the_same_origin_uses_it_again(void **state) {
    (void)state;
    static const char *const k_urls[] = {HOME, "http://127.0.0.1:81/", "http://one/", "http://localhost/",
                                         "http://[::1]/"};
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "::1", 80, Q_SIM_ACCEPT, 0);
    struct asker *askers = new_askers(&s, 2 * Q_COUNT_OF(k_urls));
    for (size_t i = 0; i < 2 * Q_COUNT_OF(k_urls); i++) {
        visit(&askers[i], k_urls[i % Q_COUNT_OF(k_urls)]);
        assert_int_equal(askers[i].user.progress.is_reused, i >= Q_COUNT_OF(k_urls));
    }
    assert_int_equal(s.pool.stats.opened, Q_COUNT_OF(k_urls)); // one name, one address, but another origin: another one
    close_scene(&s);
    free(askers);
}

static void an_idle_connection_that_hears_anything_is_never_lent_again(void **state) {
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
        struct asker *askers = new_askers(&s, 2);
        visit(&askers[0], HOME);
        if (what == 0) {
            q_sim_conn_fin(server_conn(&s, 0));
        } else if (what == 1) {
            q_sim_conn_reset(server_conn(&s, 0));
        } else {
            answer(&s, 0); // to nothing
        }
        run_a_moment(&s);
        assert_int_equal(s.pool.stats.open, 0); // gone at once, without being asked for
        visit(&askers[1], HOME);
        assert_false(askers[1].user.progress.is_reused);
        assert_int_equal(s.pool.stats.opened, 2);
        close_scene(&s);
        free(askers);
    }
}

static void the_latest_idle_connection_is_lent_first(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 5);
    s.rig.response = NULL;
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], HOME);
    }
    run_a_moment(&s);
    answer(&s, 1);
    until_over(&askers[1]);
    answer(&s, 2);
    until_over(&askers[2]);
    answer(&s, 0);
    until_over(&askers[0]);
    assert_int_equal(ask(&askers[3], HOME), Q_LEASE_NOW);
    assert_ptr_equal(askers[3].conn, askers[0].conn);
    assert_int_equal(ask(&askers[4], HOME), Q_LEASE_NOW);
    assert_ptr_equal(askers[4].conn, askers[2].conn);
    run_a_moment(&s);
    answer(&s, 0);
    answer(&s, 2);
    until_over(&askers[3]);
    until_over(&askers[4]);
    close_scene(&s);
    free(askers);
}

// --- limits and lines ------------------------------------------------------------------------------------------------

static void waiters_are_served_first_come_first_served(void **state) {
    (void)state;
    enum { MANY = 6 };
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ask(&askers[i], HOME), Q_LEASE_WAITING);
    }
    for (size_t i = 0; i < MANY; i++) {
        until_over(&askers[i]);
        assert_int_equal(askers[i].order, i + 1);
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    assert_int_equal(s.pool.stats.opened, 1);
    close_scene(&s);
    free(askers);
}

static void an_origin_has_no_more_connections_than_it_may(void **state) {
    (void)state;
    enum { MANY = 9 };
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 3});
    struct asker *askers = new_askers(&s, MANY);
    s.rig.response = NULL;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ask(&askers[i], HOME), Q_LEASE_WAITING);
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
    close_scene(&s);
    free(askers);
}

static void a_connection_under_way_is_counted_for_its_waiter(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 3);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], HOME);
        assert_int_equal(s.pool.stats.opened, i + 1); // one for each, not more
    }
    for (size_t i = 0; i < 3; i++) {
        until_over(&askers[i]);
    }
    assert_int_equal(s.pool.stats.opened, 3);
    close_scene(&s);
    free(askers);
}

static void the_total_is_never_exceeded_and_who_waits_for_room_gets_it(void **state) {
    (void)state;
    enum { ORIGINS = 6 };
    static const char *const k_urls[ORIGINS] = {HOME,
                                                "http://127.0.0.1:81/",
                                                "http://127.0.0.1:82/",
                                                "http://127.0.0.1:83/",
                                                "http://127.0.0.1:84/",
                                                "http://127.0.0.1:85/"};
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
    struct asker *askers = new_askers(&s, ORIGINS);
    for (uint16_t i = 0; i < ORIGINS; i++) {
        conn_rig_listen(&s.rig, "127.0.0.1", (uint16_t)(80 + i), Q_SIM_ACCEPT, 0);
    }
    for (size_t i = 0; i < ORIGINS; i++) {
        assert_int_equal(ask(&askers[i], k_urls[i]), Q_LEASE_WAITING);
        assert_true(s.pool.stats.open <= 2);
    }
    for (size_t i = 0; i < ORIGINS; i++) {
        while (!askers[i].user.is_over) {
            conn_rig_tick(&s.rig);
            assert_true(s.pool.stats.open <= 2);
        }
        assert_string_equal(askers[i].user.diary, "H200DE");
    }
    for (size_t i = 2; i < ORIGINS; i++) {
        assert_true(askers[i].order > 2); // in their turn
    }
    close_scene(&s);
    free(askers);
}

static void the_longest_idle_connection_makes_room(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
    struct asker *askers = new_askers(&s, 5);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    visit(&askers[0], HOME);
    visit(&askers[1], "http://127.0.0.1:81/");
    visit(&askers[2], HOME); // so the other one has been idle longest
    visit(&askers[3], "http://127.0.0.1:82/");
    assert_int_equal(s.pool.stats.opened, 3);
    assert_int_equal(s.pool.stats.open, 2);
    visit(&askers[4], HOME); // still there
    assert_true(askers[4].user.progress.is_reused);
    close_scene(&s);
    free(askers);
}

static void a_connection_that_nobody_needs_makes_room_when_it_comes_free(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 2);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], HOME);
    run_a_moment(&s);
    assert_int_equal(ask(&askers[1], "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    run_a_moment(&s);
    assert_int_equal(s.num_served, 1); // the only connection is busy, and is not taken away
    s.rig.response = CONN_RIG_OK;
    answer(&s, 0);
    until_over(&askers[0]);
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    close_scene(&s);
    free(askers);
}

static void a_line_that_is_full_refuses_at_once(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0},
               (struct q_pool_options){.connections_per_origin_max = 1, .waiters_per_origin_max = 2});
    struct asker *askers = new_askers(&s, 4);
    ask(&askers[0], HOME);
    ask(&askers[1], HOME);
    assert_int_equal(ask(&askers[2], HOME), Q_LEASE_FAILED);
    assert_int_equal(askers[2].error.code, Q_ERR_WAITERS_MAX);
    assert_int_equal(askers[2].error.phase, Q_PHASE_QUEUE);
    assert_int_equal(askers[2].error.retry_safe, 1);
    assert_int_equal(ask(&askers[3], "http://one/"), Q_LEASE_WAITING); // another line
    until_over(&askers[0]);
    until_over(&askers[1]);
    until_over(&askers[3]);
    close_scene(&s);
    free(askers);
}

static void a_cancelled_waiter_hears_nothing_and_its_connection_serves_others(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], HOME);
    }
    q_pool_cancel(&s.pool, &askers[0].lease);
    q_pool_cancel(&s.pool, &askers[0].lease); // does not wait any more: left alone
    until_over(&askers[1]);
    q_pool_cancel(&s.pool, &askers[1].lease); // nor does one that was served
    until_over(&askers[2]);
    assert_false(askers[0].is_leased || askers[0].has_failed);
    assert_int_equal(s.pool.stats.opened, 1);
    close_scene(&s);
    free(askers);
}

static void a_connection_that_nobody_waits_for_any_more_is_shelved(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    ask(&askers[0], HOME);
    q_pool_cancel(&s.pool, &askers[0].lease);
    run_a_moment(&s);
    assert_int_equal(ask(&askers[1], HOME), Q_LEASE_NOW);
    until_over(&askers[1]);
    assert_false(askers[1].user.progress.is_reused); // nobody has used it before
    assert_int_equal(s.pool.stats.reused, 0);
    close_scene(&s);
    free(askers);
}

static void waiters_of_a_hungry_origin_may_all_give_up(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_ACCEPT, 0);
    s.rig.response = NULL;
    ask(&askers[0], HOME);
    run_a_moment(&s);
    ask(&askers[1], "http://127.0.0.1:81/");
    ask(&askers[2], "http://127.0.0.1:82/");
    q_pool_cancel(&s.pool, &askers[1].lease); // the first in line for room
    s.rig.response = CONN_RIG_OK;
    answer(&s, 0);
    until_over(&askers[0]);
    until_over(&askers[2]);
    close_scene(&s);
    free(askers);
}

// --- failures --------------------------------------------------------------------------------------------------------

static void one_refused_connect_fails_one_waiter(void **state) {
    (void)state;
    enum { MANY = 4 };
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, MANY);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    for (size_t i = 0; i < MANY; i++) {
        ask(&askers[i], HOME);
    }
    for (size_t i = 0; i < MANY; i++) {
        conn_rig_until(&s.rig, &askers[i].has_failed);
        assert_int_equal(askers[i].error.code, Q_ERR_CONNECT_REFUSED);
        for (size_t k = i + 1; k < MANY; k++) {
            assert_false(askers[k].has_failed); // the others get attempts of their own
        }
    }
    assert_int_equal(s.pool.stats.opened, MANY);
    close_scene(&s);
    free(askers);
}

static void a_server_that_comes_up_serves_those_who_still_wait(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i], HOME);
    }
    conn_rig_until(&s.rig, &askers[0].has_failed);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
    until_over(&askers[1]);
    until_over(&askers[2]);
    assert_string_equal(askers[2].user.diary, "H200DE");
    close_scene(&s);
    free(askers);
}

static void a_connect_that_takes_too_long_is_a_timeout_of_its_own(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *asker = new_askers(&s, 1);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_BLACKHOLE, 0);
    asker->lease.connect_timeout_ns = 700 * Q_NS_PER_MS;
    uint64_t start_ns = q_sim_now(s.rig.sim);
    ask(asker, HOME);
    conn_rig_until(&s.rig, &asker->has_failed);
    uint64_t took_ns = q_sim_now(s.rig.sim) - start_ns;
    assert_int_equal(asker->error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_true(took_ns >= 700 * Q_NS_PER_MS && took_ns < 710 * Q_NS_PER_MS);
    close_scene(&s);
    free(asker);
}

static void the_second_address_of_a_name_is_tried(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    visit(&askers[0], "http://two/"); // 127.0.0.7 refuses, 127.0.0.1 does not
    assert_int_equal(s.pool.stats.opened, 1);
    visit(&askers[1], "http://two/");
    assert_true(askers[1].user.progress.is_reused);
    close_scene(&s);
    free(askers);
}

static void names_are_found_or_refused_at_once(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 4);
    assert_int_equal(ask(&askers[0], "http://unknown.example/"), Q_LEASE_FAILED);
    assert_int_equal(askers[0].error.code, Q_ERR_NAME_NOT_FOUND);
    assert_int_equal(askers[0].error.phase, Q_PHASE_RESOLVE);
    assert_int_equal(askers[0].error.retry_safe, 1);
    visit(&askers[1], "http://ONE/");
    visit(&askers[2], "http://one./"); // the root's dot
    visit(&askers[3], "http://deep.localhost/");
    close_scene(&s);
    free(askers);
}

static void without_slots_a_lease_fails_or_waits_for_one(void **state) {
    (void)state;
    struct scene s;
    // The bell and one socket: the pool may have more connections than the ring has slots.
    open_scene(&s, (struct conn_rig_options){.num_slots = 2}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 3);
    struct q_io_slot slot;
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_ACCEPT, 0);
    ask(&askers[0], HOME);
    assert_int_equal(ask(&askers[1], "http://127.0.0.1:81/"), Q_LEASE_WAITING);
    until_over(&askers[0]);
    until_over(&askers[1]);
    close_pool(&s);
    s.pool.is_closing = false;
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot)));
    assert_int_equal(ask(&askers[2], HOME), Q_LEASE_FAILED); // and nobody would ever make room
    assert_int_equal(askers[2].error.code, Q_ERR_FD_LIMIT);
    struct q_io_op op = {.done = NULL};
    struct q_list done;
    q_list_init(&done);
    q_io_close(s.rig.loop.io, slot, &op);
    while (op.busy) {
        q_io_turn(s.rig.loop.io, &(struct q_io_turn){0}, &done);
    }
    close_scene(&s);
    free(askers);
}

static void a_busy_connection_that_dies_makes_room_for_those_behind(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 2);
    s.rig.response = NULL;
    ask(&askers[0], HOME);
    ask(&askers[1], HOME);
    run_a_moment(&s);
    s.rig.response = CONN_RIG_OK;
    q_sim_conn_reset(server_conn(&s, 0));
    until_over(&askers[0]);
    assert_string_equal(askers[0].user.diary, "F");
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    assert_int_equal(s.pool.stats.opened, 2);
    close_scene(&s);
    free(askers);
}

static void every_failing_allocation_is_a_typed_error_and_leaves_nothing(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_max = 2});
        struct asker *askers = new_askers(&s, 4);
        q_failalloc_fail_at(s.rig.memory, nth);
        for (size_t i = 0; i < 4; i++) {
            if (ask(&askers[i], i % 2 == 0 ? HOME : "http://two/") == Q_LEASE_FAILED) {
                assert_int_equal(askers[i].error.code, Q_ERR_NO_MEMORY);
                assert_int_equal(askers[i].error.retry_safe, 1);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            while (askers[i].result != Q_LEASE_FAILED && !askers[i].has_failed && !askers[i].user.is_over) {
                conn_rig_tick(&s.rig);
            }
            if (askers[i].has_failed) {
                assert_int_equal(askers[i].error.code, Q_ERR_NO_MEMORY);
            }
        }
        failed = q_failalloc_failed(s.rig.memory);
        close_scene(&s);
        free(askers);
        assert_true(nth < 100);
    }
}

static void a_pool_without_memory_is_not_made(void **state) {
    (void)state;
    struct conn_rig rig;
    struct q_hosts hosts = {0};
    struct q_pool pool;
    conn_rig_open(&rig, (struct conn_rig_options){0});
    q_failalloc_fail_at(rig.memory, 1);
    struct q_error error = q_pool_init(&pool, q_failalloc_alloc(rig.memory), &rig.env, &hosts,
                                       &(struct q_pool_options){.connections_max = 4});
    assert_int_equal(error.code, Q_ERR_NO_MEMORY);
    pool = (struct q_pool){0};
    q_pool_deinit(&pool); // a zeroed pool
    conn_rig_close(&rig);
}

// --- the end ---------------------------------------------------------------------------------------------------------

static void closing_ends_what_has_no_user_and_lets_the_others_finish(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 5);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_BLACKHOLE, 0);
    visit(&askers[0], HOME); // will be idle
    s.rig.response = NULL;
    assert_int_equal(ask(&askers[1], "http://one/"), Q_LEASE_WAITING);
    run_a_moment(&s);                        // busy
    ask(&askers[2], "http://127.0.0.1:81/"); // connecting
    q_pool_cancel(&s.pool, &askers[2].lease);
    q_pool_close(&s.pool);
    assert_int_equal(ask(&askers[3], HOME), Q_LEASE_FAILED);
    assert_int_equal(askers[3].error.code, Q_ERR_CLOSED);
    run_a_moment(&s);
    assert_int_equal(s.pool.stats.open, 1);
    answer(&s, 1);
    until_over(&askers[1]);
    assert_string_equal(askers[1].user.diary, "H200DE");
    run_a_moment(&s);
    assert_true(q_pool_is_empty(&s.pool)); // not shelved any more
    close_scene(&s);
    free(askers);
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
    static const char *const k_urls[] = {HOME, "http://two/", "http://127.0.0.1:81/", "http://127.0.0.1:82/"};
    struct scene s;
    bool canceled[MANY] = {false};
    open_scene(&s, (struct conn_rig_options){.seed = seed, .num_slots = seed % 3 == 0 ? 4 : 0},
               (struct q_pool_options){.connections_max = 4, .connections_per_origin_max = 3});
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_BLACKHOLE, 0);
    conn_rig_listen(&s.rig, "127.0.0.1", 82, Q_SIM_REFUSE, Q_NS_PER_MS);
    s.rig.on_request = answer_at_random;
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
            assert_true(ticks < 20000);
            conn_rig_tick(&s.rig);
            assert_true(s.pool.stats.open <= 4);
        }
        assert_false(canceled[i] && (askers[i].is_leased || askers[i].has_failed));
    }
    close_scene(&s);
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
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(only_the_same_origin_uses_it_again),
        cmocka_unit_test(an_idle_connection_that_hears_anything_is_never_lent_again),
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
        cmocka_unit_test(one_refused_connect_fails_one_waiter),
        cmocka_unit_test(a_server_that_comes_up_serves_those_who_still_wait),
        cmocka_unit_test(a_connect_that_takes_too_long_is_a_timeout_of_its_own),
        cmocka_unit_test(the_second_address_of_a_name_is_tried),
        cmocka_unit_test(names_are_found_or_refused_at_once),
        cmocka_unit_test(without_slots_a_lease_fails_or_waits_for_one),
        cmocka_unit_test(a_busy_connection_that_dies_makes_room_for_those_behind),
        cmocka_unit_test(every_failing_allocation_is_a_typed_error_and_leaves_nothing),
        cmocka_unit_test(a_pool_without_memory_is_not_made),
        cmocka_unit_test(closing_ends_what_has_no_user_and_lets_the_others_finish),
        cmocka_unit_test(everybody_hears_exactly_one_thing_in_any_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

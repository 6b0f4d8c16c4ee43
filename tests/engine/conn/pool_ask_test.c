// Whom a question is asked of, with connections that are being made by nobody: each is asked about as the test says, and
// what becomes of it too.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/conn/pool_internal.h"

enum { CONNS = 3, WAITERS = 4 };

struct fake {
    struct q_conn conn;
    int num_closes;
    int num_answers;
    bool last_answer;
    size_t signature_len;
};

struct waiter {
    struct q_lease lease;
    struct q_tls_dossier *asked; // the last that it was asked about
    int num_asked;
    int num_leased;
    int num_unasked;
    struct q_error error;
};

struct scene {
    struct q_loop loop;
    struct q_log log;
    struct q_conn_env env;
    struct q_pool pool;
    struct q_pool_origin *entry;
    struct fake fakes[CONNS];
    struct waiter waiters[WAITERS];
    int num_waiters;
};

static struct fake *fake_of(struct q_conn *conn) { return q_container_of(conn, struct fake, conn); }

static struct waiter *waiter_of(struct q_lease *lease) { return q_container_of(lease, struct waiter, lease); }

static void fake_answer(struct q_conn *conn, bool is_yes, struct q_slice signature) {
    struct fake *fake = fake_of(conn);
    fake->num_answers++;
    fake->last_answer = is_yes;
    fake->signature_len = signature.len;
}

static void fake_close(struct q_conn *conn) {
    fake_of(conn)->num_closes++;
    conn->state = Q_CONN_CLOSING;
}

static bool fake_is_fit(const struct q_conn *conn) { return conn != NULL; }

static uint32_t fake_tell_dial(const struct q_conn *conn, struct q_try *out, uint32_t room) {
    (void)conn;
    (void)out;
    (void)room;
    return 0;
}

static struct q_error fake_dial_timeout(const struct q_conn *conn) {
    (void)conn;
    return q_error_make(Q_ERR_TIMEOUT_CONNECT, Q_PHASE_CONNECT);
}

static const struct q_conn_vtable k_fake = {.answer = fake_answer,
                                            .close = fake_close,
                                            .is_fit = fake_is_fit,
                                            .tell_dial = fake_tell_dial,
                                            .dial_timeout = fake_dial_timeout};

static void on_leased(struct q_lease *lease, struct q_conn *conn) {
    (void)conn;
    waiter_of(lease)->num_leased++;
}

static void on_failed(struct q_lease *lease, struct q_error error) { waiter_of(lease)->error = error; }

static void on_question(struct q_lease *lease, struct q_tls_dossier *dossier) {
    waiter_of(lease)->asked = dossier;
    waiter_of(lease)->num_asked++;
}

static void on_unasked(struct q_lease *lease) {
    assert_false(lease->is_asked);
    waiter_of(lease)->num_unasked++;
}

static const struct q_lease_events k_events = {
    .on_leased = on_leased, .on_failed = on_failed, .on_question = on_question, .on_unasked = on_unasked};

// One waiter more. The pool opens nothing for it: its limit is in the way.
static struct waiter *wait_in_line(struct scene *s) {
    struct waiter *waiter = &s->waiters[s->num_waiters++];
    struct q_conn *conn;
    struct q_error error;
    struct q_url url;
    struct q_origin origin;
    waiter->lease.events = &k_events;
    waiter->lease.connect_timeout_ns = 10 * Q_NS_PER_S;
    assert_false(q_error_is(q_url_parse(q_alloc_libc(), Q_SLICE("http://1.2.3.4/"), &url)));
    assert_false(q_error_is(q_origin_build(&origin, q_alloc_libc(), &url)));
    assert_int_equal(q_pool_lease(&s->pool, &waiter->lease, &origin, &conn, &error), Q_LEASE_WAITING);
    q_origin_deinit(&origin);
    q_url_deinit(&url);
    s->entry = waiter->lease.origin;
    return waiter;
}

// A connection that is being made, as the pool would have it; the first in line who has none counts on it.
static struct q_conn *dial(struct scene *s, int index) {
    struct q_conn *conn = &s->fakes[index].conn;
    static char dossiers[CONNS]; // names, and nothing else
    *conn = (struct q_conn){.v = &k_fake,
                            .owner_context = &s->pool,
                            .origin = s->entry,
                            .state = Q_CONN_CONNECTING,
                            .dossier = (struct q_tls_dossier *)(void *)&dossiers[index]};
    q_list_push_back(&s->entry->connecting, &conn->idle_lru_link);
    s->entry->num_connecting++;
    s->entry->num_usable++;
    s->entry->num_members++;
    struct waiter *waiter = &s->waiters[index];
    if (index < s->num_waiters) {
        waiter->lease.is_dialed = true;
        waiter->lease.deadline_ns = s->loop.now_ns + waiter->lease.connect_timeout_ns;
        s->entry->num_dialed++;
        q_pool_ask_arm(&s->loop, &waiter->lease);
    }
    return conn;
}

static void open_scene(struct scene *s, int waiters, int conns) {
    static const struct q_loop_steps k_steps;
    static const struct q_pool_options k_options = {.connections_max = 1, .waiters_per_origin_max = 10};
    memset(s, 0, sizeof *s);
    q_loop_init(&s->loop, NULL, q_clock_monotonic(), &s->log, 1, &k_steps, NULL);
    q_loop_bind(&s->loop);
    s->env.loop = &s->loop;
    assert_false(q_error_is(q_pool_init(&s->pool, q_alloc_libc(), &s->env, &k_options)));
    for (int i = 0; i < waiters; i++) {
        wait_in_line(s);
    }
    for (int i = 0; i < conns; i++) {
        dial(s, i);
    }
}

static void run_tasks(struct scene *s) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(&s->loop.tasks)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
}

// The pool's own books of the fakes end here; what it would do when they have closed is pool_test.c's.
static void close_scene(struct scene *s, int conns) {
    s->entry->num_members -= (uint32_t)conns;
    s->entry->num_connecting = 0;
    for (int i = 0; i < s->num_waiters; i++) {
        q_pool_cancel(&s->pool, &s->waiters[i].lease);
        assert_false(q_timer_is_armed(&s->waiters[i].lease.timer));
    }
    q_pool_deinit(&s->pool);
}

static struct q_tls_dossier *dossier_of(const struct scene *s, int index) { return s->fakes[index].conn.dossier; }

static void each_connection_asks_another_in_their_order(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 3, 3);
    q_pool_ask(&s.fakes[1].conn); // it is the first to come so far
    q_pool_ask(&s.fakes[0].conn);
    q_pool_ask(&s.fakes[2].conn);
    assert_ptr_equal(s.waiters[0].asked, dossier_of(&s, 1));
    assert_ptr_equal(s.waiters[1].asked, dossier_of(&s, 0));
    assert_ptr_equal(s.waiters[2].asked, dossier_of(&s, 2));
    q_pool_answer(&s.pool, &s.waiters[1].lease, true, Q_SLICE("four"));
    assert_int_equal(s.fakes[0].num_answers, 1);
    assert_true(s.fakes[0].last_answer);
    assert_int_equal(s.fakes[0].signature_len, 4);
    q_pool_answer(&s.pool, &s.waiters[1].lease, false, (struct q_slice){0}); // nothing stands any more
    assert_int_equal(s.fakes[0].num_answers, 1);
    assert_int_equal(s.fakes[1].num_answers + s.fakes[2].num_answers, 0);
    close_scene(&s, 3);
}

static void who_has_answered_is_asked_the_next_and_gets_what_becomes_of_it(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 2, 2);
    q_pool_ask(&s.fakes[1].conn);
    q_pool_answer(&s.pool, &s.waiters[0].lease, true, (struct q_slice){0});
    q_pool_ask(&s.fakes[1].conn);
    assert_int_equal(s.waiters[0].num_asked, 2);
    assert_int_equal(s.waiters[1].num_asked, 0);
    assert_ptr_equal(q_pool_ask_end(&s.fakes[1].conn), &s.waiters[0].lease);
    assert_null(q_pool_ask_end(&s.fakes[1].conn));
    assert_null(s.waiters[0].lease.asked_by);
    assert_null(q_pool_ask_end(&s.fakes[0].conn)); // nobody was asked by it
    close_scene(&s, 2);
}

// Not from inside the leaving, but before anything else happens.
static void the_question_of_who_leaves_is_the_next_ones(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 3, 1);
    q_pool_ask(&s.fakes[0].conn);
    q_pool_cancel(&s.pool, &s.waiters[0].lease);
    assert_int_equal(s.waiters[1].num_asked, 0);
    q_pool_cancel(&s.pool, &s.waiters[1].lease); // in the same step
    run_tasks(&s);
    assert_int_equal(s.waiters[1].num_asked, 0);
    assert_ptr_equal(s.waiters[2].asked, dossier_of(&s, 0));
    assert_int_equal(s.fakes[0].num_closes, 0);
    q_pool_answer(&s.pool, &s.waiters[0].lease, true, (struct q_slice){0}); // late
    assert_int_equal(s.fakes[0].num_answers, 0);
    q_pool_answer(&s.pool, &s.waiters[2].lease, true, (struct q_slice){0});
    assert_int_equal(s.fakes[0].num_answers, 1);
    close_scene(&s, 1);
}

static void a_question_that_was_answered_is_nobody_elses(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 2, 1);
    q_pool_ask(&s.fakes[0].conn);
    q_pool_answer(&s.pool, &s.waiters[0].lease, true, (struct q_slice){0});
    q_pool_cancel(&s.pool, &s.waiters[0].lease);
    run_tasks(&s);
    assert_int_equal(s.waiters[1].num_asked, 0);
    assert_int_equal(s.fakes[0].num_closes, 0); // it goes on, for whoever waits
    assert_null(s.fakes[0].conn.asked);
    close_scene(&s, 1);
}

static void a_connection_that_nobody_answers_for_is_given_up(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 2, 2);
    q_pool_ask(&s.fakes[0].conn);
    q_pool_ask(&s.fakes[1].conn);
    q_pool_cancel(&s.pool, &s.waiters[1].lease);
    run_tasks(&s);
    assert_int_equal(s.fakes[1].num_closes, 1); // who waits has a question already
    assert_int_equal(s.fakes[0].num_closes, 0);
    assert_int_equal(s.entry->num_connecting, 1);
    assert_int_equal(s.entry->num_usable, 1);
    assert_int_equal(s.pool.num_closing, 1);
    close_scene(&s, 2);
}

static void an_orphan_that_ends_is_not_looked_at_again(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 1, 1);
    q_pool_ask(&s.fakes[0].conn);
    q_pool_cancel(&s.pool, &s.waiters[0].lease);
    q_pool_give_up_connecting(&s.fakes[0].conn); // the pool closes
    run_tasks(&s);
    assert_int_equal(s.fakes[0].num_closes, 1);
    assert_int_equal(s.entry->num_connecting, 0);
    s.num_waiters = 0;
    wait_in_line(&s);
    close_scene(&s, 1);
}

// As when its configuration is invalidated: who waits goes on waiting, and is asked about the next one.
static void who_is_asked_hears_that_the_connection_is_not_made_any_more(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 2, 2);
    struct q_lease *lease = &s.waiters[0].lease;
    uint64_t deadline_ns = lease->deadline_ns;
    q_pool_ask(&s.fakes[0].conn);
    s.loop.now_ns += Q_NS_PER_S;
    q_pool_give_up_connecting(&s.fakes[0].conn);
    assert_int_equal(s.waiters[0].num_unasked, 1);
    assert_true(q_timer_is_armed(&lease->timer));
    assert_int_equal(lease->deadline_ns, deadline_ns + Q_NS_PER_S);
    q_pool_ask(&s.fakes[1].conn);
    assert_ptr_equal(s.waiters[0].asked, dossier_of(&s, 1));
    q_pool_answer(&s.pool, lease, true, (struct q_slice){0});
    q_pool_give_up_connecting(&s.fakes[1].conn); // its answer was there
    assert_int_equal(s.waiters[0].num_unasked, 1);
    close_scene(&s, 2);
}

// The host's silence is not the server's.
static void the_bound_on_connecting_stands_still_while_it_is_asked(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, 1, 1);
    struct q_lease *lease = &s.waiters[0].lease;
    uint64_t deadline_ns = lease->deadline_ns;
    assert_true(q_timer_is_armed(&lease->timer));
    s.loop.now_ns += 3 * Q_NS_PER_S;
    q_pool_ask(&s.fakes[0].conn);
    assert_false(q_timer_is_armed(&lease->timer));
    s.loop.now_ns += 100 * Q_NS_PER_S;
    q_pool_answer(&s.pool, lease, true, (struct q_slice){0});
    assert_true(q_timer_is_armed(&lease->timer));
    assert_int_equal(lease->deadline_ns, deadline_ns + 100 * Q_NS_PER_S);
    close_scene(&s, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_asks_another_in_their_order),
        cmocka_unit_test(who_has_answered_is_asked_the_next_and_gets_what_becomes_of_it),
        cmocka_unit_test(the_question_of_who_leaves_is_the_next_ones),
        cmocka_unit_test(a_question_that_was_answered_is_nobody_elses),
        cmocka_unit_test(a_connection_that_nobody_answers_for_is_given_up),
        cmocka_unit_test(an_orphan_that_ends_is_not_looked_at_again),
        cmocka_unit_test(who_is_asked_hears_that_the_connection_is_not_made_any_more),
        cmocka_unit_test(the_bound_on_connecting_stands_still_while_it_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// An exchange whose connection has become its host's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/conn/feed.h"
#include "tests/engine/exchange/stage.h"

static struct stage *upgraded_stage(void) {
    struct stage *stage = stage_at(Q_X_UPGRADED);
    assert_int_equal(stage->num_heads, 1);
    stage->fed_left = 10;
    return stage;
}

static void tell_fed(struct stage *stage, uint64_t bytes) {
    stage->exchange.user.events->on_fed(&stage->exchange.user, bytes);
}

// Runs what was posted, as a tick does.
static void run_tasks(struct stage *stage) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(&stage->loop.tasks)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
}

static void feeds_go_to_the_connection_while_it_is_upgraded(void **state) {
    (void)state;
    for (int at = 0; at < Q_X_STATES; at++) {
        struct stage *stage = stage_at(at);
        struct q_feed *feed = q_feed_new(q_alloc_libc(), (struct q_handle){0}, "x", 1, NULL, NULL);
        bool may_be_fed = at == Q_X_UPGRADED || at == Q_X_FLUSHING;
        assert_int_equal(q_exchange_feed(&stage->exchange, feed), may_be_fed);
        assert_int_equal(stage->num_feeds, may_be_fed);
        if (!may_be_fed) {
            q_feed_free(feed);
        }
        if (at == Q_X_DECIDING) {
            q_exchange_step(&stage->exchange, Q_X_EV_GIVE_UP);
        }
        stage_free(stage);
    }
}

static void the_peers_end_waits_for_what_was_fed_before(void **state) {
    (void)state;
    for (uint64_t before = 0; before <= 10; before += 5) {
        struct stage *stage = upgraded_stage();
        tell_fed(stage, before);
        stage_tell_peer_end(stage);
        assert_int_equal(stage->num_ended, 0); // not from inside the connection's event
        run_tasks(stage);
        assert_int_equal(stage->exchange.state, before == 10 ? Q_X_ENDED : Q_X_FLUSHING);
        if (before < 10) {
            tell_fed(stage, 10 - before);
            assert_int_equal(stage->num_ended, 0);
            run_tasks(stage);
        }
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->num_abandons, 1);
        assert_int_equal(stage->summary.error.code, Q_ERR_OK);
        assert_int_equal(stage->summary.status, 101);
        stage_free(stage);
    }
}

static void a_failure_behind_the_peers_end_is_none(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct stage *stage = upgraded_stage();
        if (i == 0) {
            stage_tell_peer_end(stage);
        }
        stage_tell_failed(stage, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_SEND), false, true);
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.code, i == 0 ? Q_ERR_OK : Q_ERR_CONNECTION_FAILED);
        assert_int_equal(stage->num_starts, 1); // nor is it ever sent again
        stage_free(stage);
    }
}

static void room_is_offered_until_it_is_taken(void **state) {
    (void)state;
    struct stage *stage = upgraded_stage();
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 0);
    stage->is_room_wanted = true;
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 1); // the port is full
    stage->is_room_wanted = false;
    stage->has_port_room = true;
    q_exchange_resume(&stage->exchange);
    assert_int_equal(stage->num_room_offers, 2);
    q_exchange_resume(&stage->exchange);
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 2);
    stage_free(stage);
}

static void nobody_is_told_of_room_behind_the_peers_end(void **state) {
    (void)state;
    struct stage *stage = upgraded_stage();
    stage->is_room_wanted = true;
    tell_fed(stage, 1);
    stage_tell_peer_end(stage);
    stage->has_port_room = true;
    q_exchange_resume(&stage->exchange);
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 1);
    stage_free(stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_go_to_the_connection_while_it_is_upgraded),
        cmocka_unit_test(the_peers_end_waits_for_what_was_fed_before),
        cmocka_unit_test(a_failure_behind_the_peers_end_is_none),
        cmocka_unit_test(room_is_offered_until_it_is_taken),
        cmocka_unit_test(nobody_is_told_of_room_behind_the_peers_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What a failed connect has tried, as those who waited for it hear it.
#define _GNU_SOURCE
#include "tests/engine/conn/pool_rig.h"

#include <errno.h>
#include <stdlib.h>

static void whoever_waits_hears_what_was_tried(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){.connections_per_origin_max = 1});
    struct asker *askers = new_askers(&s, 3);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_UNREACHABLE, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(&askers[i], "http://two/"), Q_LEASE_WAITING);
    }
    for (size_t i = 0; i < 3; i++) {
        conn_rig_until(&s.rig, &askers[i].has_failed);
        assert_int_equal(askers[i].num_dials, 2);
        assert_int_equal(askers[i].dials[0].to.ip[3], 7);
        assert_int_equal(askers[i].dials[0].os_errno, ECONNREFUSED);
        assert_int_equal(askers[i].dials[1].to.ip[3], 1);
        assert_int_equal(askers[i].dials[1].code, Q_ERR_CONNECT_UNREACHABLE);
    }
    pool_rig_close(&s);
    free(askers);
}

static void a_wait_that_was_too_long_hears_what_is_still_tried(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    conn_rig_listen(&s.rig, "127.0.0.1", 81, Q_SIM_BLACKHOLE, 0);
    askers[1].lease.connect_timeout_ns = 2 * Q_NS_PER_S; // less than the first one's
    ask(&askers[0], "http://127.0.0.1:81/");
    ask(&askers[1], "http://127.0.0.1:81/");
    for (size_t i = 2; i-- > 0;) {
        conn_rig_until(&s.rig, &askers[i].has_failed);
        assert_int_equal(askers[i].error.code, Q_ERR_TIMEOUT_CONNECT);
        assert_int_equal(askers[i].num_dials, 1);
        assert_int_equal(askers[i].dials[0].code, 0);
        assert_true(askers[i].dials[0].took_ns >= 2 * Q_NS_PER_S);
    }
    pool_rig_close(&s);
    free(askers);
}

static void without_memory_nothing_is_told(void **state) {
    (void)state;
    struct pool_rig s;
    pool_rig_open(&s, (struct conn_rig_options){0}, (struct q_pool_options){0});
    struct asker *askers = new_askers(&s, 2);
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    s.rig.budget.limit = s.rig.budget.used;
    ask(&askers[0], POOL_RIG_HOME);
    conn_rig_until(&s.rig, &askers[0].has_failed);
    assert_int_equal(askers[0].error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(askers[0].num_dials, 0);
    assert_null(q_dials_of(NULL));
    ask(&askers[1], "http://unknown.example/");
    conn_rig_until(&s.rig, &askers[1].has_failed);
    assert_int_equal(askers[1].num_dials, 0); // there was nothing to try
    pool_rig_close(&s);
    free(askers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_waits_hears_what_was_tried),
        cmocka_unit_test(a_wait_that_was_too_long_hears_what_is_still_tried),
        cmocka_unit_test(without_memory_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

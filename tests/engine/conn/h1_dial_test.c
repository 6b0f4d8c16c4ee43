// The HTTP/1.1 connection on the ring and the simulated kernel: dialling one address after the other.
#define _GNU_SOURCE
#include "tests/engine/conn/h1_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- dialling --------------------------------------------------------------------------------------------------------

static void a_connection_becomes_idle_with_a_receive_armed(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    assert_int_equal(s.h1.conn.state, Q_CONN_IDLE);
    assert_true(s.h1.is_receiving);
    assert_int_equal(s.ready, 1);
    close_scene(&s);
    assert_int_equal(s.dying, 1);
}

static void a_refused_connect_is_the_kernels_own_word(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_true(s.has_failed);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(s.error.os_errno, ECONNREFUSED);
    assert_int_equal(s.error.retry_safe, 1);
    assert_int_equal(s.dying, 0); // it was never alive
    close_scene(&s);
}

static void the_next_address_is_tried_when_one_refuses(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_UNREACHABLE, 0);
    add_address(&s, 3, Q_SIM_ACCEPT, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_ready);
    assert_false(s.has_failed);
    exchange(&s);
    assert_string_equal(the_user.diary, "H200DE");
    close_scene(&s);
}

static void when_all_addresses_fail_the_last_error_is_told(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_UNREACHABLE, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_UNREACHABLE);
    close_scene(&s);
}

static void a_peer_that_never_answers_is_given_up_at_the_deadline(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_BLACKHOLE, 0);
    dial(&s, 3 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.has_failed);
    uint64_t took_ns = q_sim_now(s.rig.sim) - s.opened_ns;
    assert_true(took_ns >= 3 * Q_NS_PER_S && took_ns <= 3 * Q_NS_PER_S + 2 * Q_NS_PER_MS);
    assert_int_equal(s.error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_int_equal(s.error.os_errno, ECONNREFUSED); // what the address before it had said
    assert_int_equal(s.error.retry_safe, 1);
    conn_rig_until(&s.rig, &s.is_closed);
    close_scene(&s);
}

// The deadline passes at every moment around the change from one address to the next.
static void a_deadline_between_two_addresses_ends_it_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){.seed = seed});
        conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 10 * Q_NS_PER_MS);
        add_address(&s, 2, seed % 2 == 0 ? Q_SIM_REFUSE : Q_SIM_BLACKHOLE, 0);
        dial(&s, (9 + seed % 4) * Q_NS_PER_MS);
        conn_rig_until(&s.rig, &s.is_closed);
        assert_true(s.has_failed);
        if (s.error.code != Q_ERR_TIMEOUT_CONNECT) {
            assert_int_equal(s.error.code, Q_ERR_CONNECT_REFUSED);
        }
        assert_int_equal(s.dying, 0);
        close_scene(&s);
    }
}

static void a_close_while_dialling_is_silent(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){.seed = seed});
        conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, Q_NS_PER_MS);
        add_address(&s, 2, Q_SIM_BLACKHOLE, 0);
        dial(&s, 5 * Q_NS_PER_S);
        conn_rig_run_for(&s.rig, (seed % 5) * Q_NS_PER_MS);
        q_conn_close(&s.h1.conn);
        conn_rig_until(&s.rig, &s.is_closed);
        assert_false(s.is_ready || s.has_failed);
        assert_int_equal(s.dying, 0);
        close_scene(&s);
    }
}

static void slot_closed(struct q_io_op *op) {
    (void)op;
}

static void without_a_free_slot_connecting_ends(void **state) {
    (void)state;
    struct scene s;
    struct q_io_slot slot;
    struct q_io_op close_op = {.done = slot_closed};
    open_scene(&s, (struct conn_rig_options){.num_slots = 2});
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot))); // the bell has the other one
    dial(&s, Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_true(s.has_failed);
    assert_int_equal(s.error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(s.error.retry_safe, 1);
    assert_int_equal(s.h1.conn.state, Q_CONN_NEW);
    assert_false(q_timer_is_armed(&s.h1.timer));
    q_io_close(s.rig.loop.io, slot, &close_op);
    while (close_op.busy) {
        conn_rig_tick(&s.rig);
    }
    s.is_closed = s.has_failed = false;
    dial(&s, Q_NS_PER_S); // and it can be tried again
    conn_rig_until(&s.rig, &s.is_ready);
    close_scene(&s);
}

static void without_memory_for_a_dialer_nothing_is_begun(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    struct q_dial_target target = {.name = Q_SLICE("peer"), .port = 80, .options = &s.options};
    q_failalloc_fail_at(s.rig.memory, 1);
    struct q_error error = q_h1_conn_connect(&s.h1, &target, UINT64_MAX);
    assert_int_equal(error.code, Q_ERR_NO_MEMORY);
    assert_int_equal(s.h1.conn.state, Q_CONN_NEW);
    assert_false(q_timer_is_armed(&s.h1.timer));
    dial(&s, Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_ready);
    close_scene(&s);
}

// The name is not answered: that is no matter of connecting.
static void never_asked(struct q_names *names, struct q_resolve *request, struct q_slice name, uint16_t port,
                        unsigned families) {
    (void)names;
    (void)name;
    (void)port;
    request->families = (uint8_t)families;
    request->of = request;
}

static void forgotten(struct q_names *names, struct q_resolve *request) {
    (void)names;
    request->of = NULL;
}

static void a_name_that_is_not_answered_is_told_apart(void **state) {
    (void)state;
    static const struct q_names_vtable k_mute = {.ask = never_asked, .cancel = forgotten};
    struct q_names mute = {.v = &k_mute};
    for (int has_bound = 0; has_bound < 2; has_bound++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){0});
        s.rig.dial.names = &mute;
        struct q_dial_target target = {.name = Q_SLICE("peer"), .port = 80, .options = &s.options};
        target.resolve_ns = has_bound ? 2 * Q_NS_PER_S : 0;
        s.opened_ns = q_sim_now(s.rig.sim);
        assert_false(q_error_is(q_h1_conn_connect(&s.h1, &target, s.opened_ns + 3 * Q_NS_PER_S)));
        conn_rig_until(&s.rig, &s.is_closed);
        uint64_t took_ms = (q_sim_now(s.rig.sim) - s.opened_ns) / Q_NS_PER_MS;
        assert_in_range(took_ms, has_bound ? 2000 : 3000, has_bound ? 2003 : 3003);
        assert_int_equal(s.error.code, Q_ERR_TIMEOUT_RESOLVE);
        assert_int_equal(s.error.phase, Q_PHASE_RESOLVE);
        assert_int_equal(s.h1.conn.is_out_of_time, !has_bound);
        close_scene(&s);
    }
}

static void an_adopted_socket_is_a_connection(void **state) {
    (void)state;
    struct scene s;
    struct q_io_slot slot;
    struct q_io_op op = {.done = slot_closed};
    struct q_address address = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, 80);
    struct q_io_connect params = {.address = &address.u.any, .address_len = address.len};
    struct q_endpoint remote = q_address_endpoint(&address);
    open_scene(&s, (struct conn_rig_options){0});
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot)));
    q_io_connect(s.rig.loop.io, slot, &op, &params);
    while (op.busy) {
        conn_rig_tick(&s.rig);
    }
    assert_int_equal(op.result, 0);
    q_h1_conn_adopt(&s.h1, slot, &remote, UINT64_MAX);
    assert_true(s.is_ready);
    exchange(&s);
    assert_string_equal(the_user.diary, "H200DE");
    assert_int_equal(the_user.progress.remote.ip[3], 1);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_becomes_idle_with_a_receive_armed),
        cmocka_unit_test(a_refused_connect_is_the_kernels_own_word),
        cmocka_unit_test(the_next_address_is_tried_when_one_refuses),
        cmocka_unit_test(when_all_addresses_fail_the_last_error_is_told),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up_at_the_deadline),
        cmocka_unit_test(a_deadline_between_two_addresses_ends_it_once),
        cmocka_unit_test(a_close_while_dialling_is_silent),
        cmocka_unit_test(without_a_free_slot_connecting_ends),
        cmocka_unit_test(without_memory_for_a_dialer_nothing_is_begun),
        cmocka_unit_test(a_name_that_is_not_answered_is_told_apart),
        cmocka_unit_test(an_adopted_socket_is_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

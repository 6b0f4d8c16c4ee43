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
        assert_true(s.error.code == Q_ERR_TIMEOUT_CONNECT || s.error.code == Q_ERR_CONNECT_REFUSED);
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

static void without_a_free_slot_nothing_is_begun(void **state) {
    (void)state;
    struct scene s;
    struct q_io_slot slot;
    struct q_io_op close_op = {.done = slot_closed};
    open_scene(&s, (struct conn_rig_options){.num_slots = 2});
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot))); // the bell has the other one
    struct q_error error = q_h1_conn_connect(&s.h1, &s.addresses, UINT64_MAX);
    assert_int_equal(error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(error.retry_safe, 1);
    assert_int_equal(s.h1.conn.state, Q_CONN_NEW);
    q_io_close(s.rig.loop.io, slot, &close_op);
    while (close_op.busy) {
        conn_rig_tick(&s.rig);
    }
    dial(&s, Q_NS_PER_S); // and it can be tried again
    conn_rig_until(&s.rig, &s.is_ready);
    close_scene(&s);
}

static struct q_error no_slot(struct q_io *io, struct q_io_slot *out) {
    (void)io;
    (void)out;
    return q_error_make(Q_ERR_FD_LIMIT, Q_PHASE_CONNECT);
}

// The first address has refused, and when the next one is to be dialled there is no slot any more: the end comes at once,
// from the close of the first, and once; nothing of it is left armed.
static void without_a_slot_for_the_next_address_connecting_ends(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_ACCEPT, 0);
    dial(&s, 5 * Q_NS_PER_S);
    const struct q_io_vtable *ring = s.rig.loop.io->v;
    struct q_io_vtable full = *ring;
    full.open = no_slot;
    s.rig.loop.io->v = &full;
    conn_rig_until(&s.rig, &s.is_closed);
    s.rig.loop.io->v = ring;
    assert_true(s.has_failed);
    assert_int_equal(s.error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(s.error.retry_safe, 1);
    assert_int_equal(s.dying, 0);
    assert_int_equal(s.h1.conn.state, Q_CONN_NEW);
    assert_false(q_timer_is_armed(&s.h1.timer));
    s.is_closed = s.has_failed = false;
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
    dial(&s, 5 * Q_NS_PER_S); // from its first address again
    conn_rig_until(&s.rig, &s.is_ready);
    assert_int_equal(s.h1.conn.remote.ip[3], 1);
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
        cmocka_unit_test(without_a_free_slot_nothing_is_begun),
        cmocka_unit_test(without_a_slot_for_the_next_address_connecting_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

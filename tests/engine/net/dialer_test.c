// From a peer's name to a connected socket, in simulated time.
#define _GNU_SOURCE
#include "tests/engine/net/race_rig.h"

#include "engine/net/dialer.h"
#include "engine/net/hosts_names.h"

#include <errno.h>
#include <netinet/tcp.h>

struct scene {
    struct race race;
    struct q_hosts hosts;
    struct q_hosts_names names;
    struct q_winners winners;
    struct q_dial_env env;
    struct q_dial_options options;
    struct q_dial_target target;
    struct q_dialer dialer;
    int num_ends;
    bool is_canceled;
    struct q_io_slot slot; // generation 0: none
    struct q_endpoint remote;
    struct q_error error;
};

static struct scene *scene_of(struct q_dialer *dialer) { return q_container_of(dialer, struct scene, dialer); }

static void on_dialed(struct q_dialer *dialer, struct q_io_slot slot, const struct q_endpoint *remote) {
    scene_of(dialer)->num_ends++;
    scene_of(dialer)->slot = slot;
    scene_of(dialer)->remote = *remote;
}

static void on_failed(struct q_dialer *dialer, struct q_error error) {
    scene_of(dialer)->num_ends++;
    scene_of(dialer)->error = error;
}

static void on_canceled(struct q_dialer *dialer) {
    scene_of(dialer)->num_ends++;
    scene_of(dialer)->is_canceled = true;
}

static const struct q_dialer_events k_events = {
    .on_dialed = on_dialed, .on_failed = on_failed, .on_canceled = on_canceled};

static void open_scene(struct scene *s) {
    *s = (struct scene){0};
    race_open(&s->race, 0, 0);
    struct q_slice text = Q_SLICE("192.0.2.1 both\n192.0.2.2 both\n2001:db8::1 both\n");
    assert_false(q_error_is(q_hosts_parse(&s->hosts, q_alloc_libc(), text)));
    q_hosts_names_init(&s->names, &s->race.loop, q_failalloc_alloc(s->race.memory), &s->hosts);
    s->env = (struct q_dial_env){.loop = &s->race.loop,
                                 .alloc = q_failalloc_alloc(s->race.memory),
                                 .names = &s->names.names,
                                 .winners = &s->winners};
    s->target = (struct q_dial_target){.name = Q_SLICE("both"), .port = 80, .options = &s->options, .winner = 77};
}

static void begin(struct scene *s) {
    s->num_ends = 0;
    s->error = Q_OK;
    q_dialer_start(&s->dialer, &s->env, &s->target, &k_events);
    assert_int_equal(s->num_ends, 0);
}

static void until_over(struct scene *s) {
    for (int i = 0; i < 100 && s->num_ends == 0; i++) {
        race_run_for(&s->race, 20);
    }
    assert_int_equal(s->num_ends, 1);
}

static void close_scene(struct scene *s) {
    q_hosts_names_deinit(&s->names);
    q_hosts_deinit(&s->hosts);
    race_close(&s->race);
}

static void drop(struct scene *s) {
    s->race.slot = s->slot;
    race_drop(&s->race);
}

static void who_won_goes_first_next_time(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    race_listen(&s.race, '6', 1, Q_SIM_REFUSE, 1);
    race_listen(&s.race, '4', 1, Q_SIM_REFUSE, 1);
    race_listen(&s.race, '4', 2, Q_SIM_ACCEPT, 1);
    begin(&s);
    until_over(&s);
    assert_int_equal(s.remote.ip[3], 2);
    struct q_try tries[8];
    assert_int_equal(q_dialer_tell(&s.dialer, tries, 8), 3);
    drop(&s);
    begin(&s);
    until_over(&s);
    assert_int_equal(s.remote.ip[3], 2);
    assert_int_equal(q_dialer_tell(&s.dialer, tries, 8), 1);
    drop(&s);
    race_listen(&s.race, '4', 2, Q_SIM_REFUSE, 1);
    begin(&s);
    until_over(&s);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(q_dialer_last_errno(&s.dialer), ECONNREFUSED);
    assert_int_equal(q_winners_find(&s.winners, 77, s.race.loop.now_ns).family, Q_ENDPOINT_NONE); // forgotten
    close_scene(&s);
}

static void families_and_literals_are_chosen_among(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    race_listen(&s.race, '6', 1, Q_SIM_ACCEPT, 1);
    race_listen(&s.race, '4', 1, Q_SIM_ACCEPT, 1);
    s.options.families = Q_RESOLVE_V4;
    begin(&s);
    until_over(&s);
    assert_int_equal(s.remote.family, Q_ENDPOINT_V4);
    drop(&s);
    s.target.local = (struct q_endpoint){.family = Q_ENDPOINT_V6, .ip = {[15] = 1}};
    begin(&s); // IPv4 alone, from an IPv6 address
    until_over(&s);
    assert_int_equal(s.error.code, Q_ERR_NAME_NO_ADDRESS);
    s.target = (struct q_dial_target){.address = q_address_v6((const uint8_t[16]){[15] = 1}, 80), .options = &s.options};
    begin(&s);
    until_over(&s);
    assert_int_equal(s.error.code, Q_ERR_NAME_NO_ADDRESS);
    close_scene(&s);
}

static void a_virtual_machine_is_reached_without_tcps_options(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    struct q_sim_listener listener = {.answer = Q_SIM_ACCEPT};
    q_sim_listen(s.race.sim, "vsock:3", 1024, &listener);
    s.target = (struct q_dial_target){.address = q_address_vsock(3, 1024), .options = &s.options};
    begin(&s);
    until_over(&s);
    assert_int_equal(s.remote.family, Q_ENDPOINT_VSOCK);
    assert_int_equal(q_sim_conn_option(q_sim_conn_at(s.race.sim, 0), IPPROTO_TCP, TCP_NODELAY, -1), -1);
    drop(&s);
    s.target.address = q_address_vsock(3, 1025);
    begin(&s);
    until_over(&s);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_REFUSED);
    close_scene(&s);
}

static void sockets_are_set_as_asked(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    race_listen(&s.race, '4', 1, Q_SIM_ACCEPT, 1);
    s.target = (struct q_dial_target){.address = q_address_v4((const uint8_t[4]){192, 0, 2, 1}, 80), .options = &s.options};
    s.options = (struct q_dial_options){.mark = 5, .keepalive_idle_s = 9, .device = "lo"};
    begin(&s);
    until_over(&s);
    const struct q_sim_conn *conn = q_sim_conn_at(s.race.sim, 0);
    assert_int_equal(q_sim_conn_option(conn, SOL_SOCKET, SO_MARK, -1), 5);
    assert_int_equal(q_sim_conn_option(conn, IPPROTO_TCP, TCP_KEEPIDLE, -1), 9);
    assert_int_equal(q_sim_conn_option(conn, IPPROTO_TCP, TCP_NODELAY, -1), 1);
    drop(&s);
    s.options = (struct q_dial_options){.device = "nosuch"};
    begin(&s);
    until_over(&s);
    assert_int_equal(s.error.code, Q_ERR_OPTION_REFUSED);
    assert_int_equal(s.error.os_errno, ENODEV);
    close_scene(&s);
}

static void a_cancel_at_any_moment_leaves_nothing(void **state) {
    (void)state;
    for (uint64_t ms = 0; ms < 60; ms += 3) {
        struct scene s;
        open_scene(&s);
        race_listen(&s.race, '6', 1, Q_SIM_BLACKHOLE, 0);
        race_listen(&s.race, '4', 1, Q_SIM_REFUSE, 20);
        race_listen(&s.race, '4', 2, Q_SIM_BLACKHOLE, 0);
        begin(&s);
        if (ms > 0) {
            race_run_for(&s.race, ms);
        }
        q_dialer_cancel(&s.dialer);
        q_dialer_cancel(&s.dialer);
        assert_int_equal(s.num_ends, 0);
        until_over(&s);
        assert_true(s.is_canceled);
        assert_int_equal(race_slots_open(&s.race), 0);
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_won_goes_first_next_time),
        cmocka_unit_test(families_and_literals_are_chosen_among),
        cmocka_unit_test(a_virtual_machine_is_reached_without_tcps_options),
        cmocka_unit_test(sockets_are_set_as_asked),
        cmocka_unit_test(a_cancel_at_any_moment_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

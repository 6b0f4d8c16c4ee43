// Binding a socket before it connects: on the real kernel at each rung, and on the simulated one where it has no
// operation for that.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/uring_abi.h"
#include "tests/support/simnet.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int32_t connect_from(struct rig *rig, uint32_t ip, struct q_io_slot *slot, bool *out_bind_failed) {
    const struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
    static const struct q_io_option k_options[] = {{IPPROTO_TCP, TCP_NODELAY, 1, NULL},
                                                   {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, NULL}};
    struct q_io_connect params = {.address = (struct sockaddr *)&rig->address,
                                  .address_len = sizeof rig->address,
                                  .local = (const struct sockaddr *)&local,
                                  .local_len = sizeof local,
                                  .options = k_options,
                                  .num_options = Q_COUNT_OF(k_options)};
    struct rig_op op = rig_op(rig);
    assert_false(q_error_is(q_io_open(rig->io, slot)));
    q_io_connect(rig->io, *slot, &op.op, &params);
    int32_t result = rig_await(rig, &op);
    *out_bind_failed = op.op.has_bind_failed;
    return result;
}

static void a_bound_socket_comes_from_its_address(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    bool has_bind_failed;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    assert_int_equal(connect_from(&rig, INADDR_LOOPBACK + 8, &slot, &has_bind_failed), 0);
    assert_false(has_bind_failed);
    int peer = rig_accept(&rig);
    struct sockaddr_in from = {0};
    socklen_t len = sizeof from;
    assert_int_equal(getpeername(peer, (struct sockaddr *)&from, &len), 0);
    assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 8);
    assert_int_not_equal(from.sin_port, 0);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void an_address_of_another_machine_is_told_apart_from_a_failed_connect(void **state) {
    struct rig rig;
    struct q_io_slot slot;
    bool has_bind_failed;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    assert_int_equal(connect_from(&rig, 0xc0000201, &slot, &has_bind_failed), -EADDRNOTAVAIL); // 192.0.2.1
    assert_true(has_bind_failed);
    rig_shut(&rig, slot);
    rig.address = rig.nobody;
    assert_int_equal(connect_from(&rig, INADDR_LOOPBACK + 8, &slot, &has_bind_failed), -ECONNREFUSED);
    assert_false(has_bind_failed);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

// A kernel that has sockets in slots and cannot bind them there: the number lives for a moment.
static void a_socket_is_bound_on_each_rung(void **state) {
    (void)state;
    static const struct q_sim_profile k_profiles[] = {
        {0}, {.no_bind_op = true}, {.no_socket_cmd = true}, {.no_socket_cmd = true, .no_bind_op = true}};
    for (size_t i = 0; i < Q_COUNT_OF(k_profiles); i++) {
        struct rig rig;
        struct q_io_slot slot;
        bool has_bind_failed;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){.profile = k_profiles[i]});
        q_sim_listen(sim, "127.0.0.1", 80, &(struct q_sim_listener){0});
        rig_open(&rig, (struct rig_options){.sim = sim});
        size_t numbers = q_sim_leaks(rig.sim).numbers;
        assert_int_equal(connect_from(&rig, INADDR_LOOPBACK + 3, &slot, &has_bind_failed), 0);
        struct q_sim_conn *conn = q_sim_conn_at(rig.sim, 0);
        const struct sockaddr_in *local = (const struct sockaddr_in *)(const void *)q_sim_conn_local(conn);
        assert_int_equal(ntohl(local->sin_addr.s_addr), INADDR_LOOPBACK + 3);
        assert_int_equal(q_sim_conn_option(conn, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0), 1);
        rig_shut(&rig, slot);
        if (i == 0) {
            q_sim_fail_op(rig.sim, Q_URING_OP_BIND, 1, EACCES);
        } else {
            q_sim_fail_call(rig.sim, "bind", 1, EACCES);
        }
        assert_int_equal(connect_from(&rig, INADDR_LOOPBACK + 3, &slot, &has_bind_failed), -EACCES);
        assert_true(has_bind_failed);
        rig_shut(&rig, slot);
        slot = rig_connect(&rig, &rig.address); // without a local address as ever
        assert_int_equal(q_sim_conn_local(q_sim_conn_at(rig.sim, 1))->ss_family, 0);
        rig_shut(&rig, slot);
        assert_int_equal(q_sim_leaks(rig.sim).numbers, numbers); // no number outlived its moment
        while (q_sim_step(sim, UINT64_MAX)) {
            // the peers see the end
        }
        rig_close(&rig);
        q_sim_free(sim);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(a_bound_socket_comes_from_its_address),
        RIG_ON_EACH_RUNG(an_address_of_another_machine_is_told_apart_from_a_failed_connect),
        cmocka_unit_test(a_socket_is_bound_on_each_rung),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

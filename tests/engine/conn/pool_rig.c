#define _GNU_SOURCE
#include "tests/engine/conn/pool_rig.h"

#include <stdlib.h>
#include <string.h>

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
    asker->num_dials = 0;
    if (lease->dials != NULL) {
        const struct q_dials *dials = q_dials_of(lease->dials);
        asker->num_dials = dials->count;
        memcpy(asker->dials, dials->tries, dials->count * sizeof dials->tries[0]);
        q_chunk_release(lease->dials);
        lease->dials = NULL;
    }
}

// This one may come from inside the asker's own call.
static void on_dialing(struct q_lease *lease, bool is_dialed) {
    struct asker *asker = q_container_of(lease, struct asker, lease);
    size_t len = strlen(asker->dialing);
    assert_false(asker->is_leased || asker->has_failed);
    assert_non_null(lease->origin); // it waits
    assert_int_equal(len > 0 && asker->dialing[len - 1] == '+', !is_dialed);
    assert_true(len + 1 < sizeof asker->dialing);
    asker->dialing[len] = is_dialed ? '+' : '-';
}

static const struct q_lease_events k_lease_events = {
    .on_leased = on_leased, .on_failed = on_failed, .on_dialing = on_dialing};

void pool_rig_open(struct pool_rig *s, struct conn_rig_options options, struct q_pool_options limits) {
    memset(s, 0, sizeof *s);
    conn_rig_open(&s->rig, options);
    limits.connections_max = limits.connections_max == 0 ? 16 : limits.connections_max;
    limits.connections_per_origin_max = limits.connections_per_origin_max == 0 ? 8 : limits.connections_per_origin_max;
    limits.waiters_per_origin_max = limits.waiters_per_origin_max == 0 ? 64 : limits.waiters_per_origin_max;
    struct q_slice text = Q_SLICE("127.0.0.7 two\n127.0.0.1 two\n127.0.0.1 one\n127.0.0.7 both\n::1 both\n");
    assert_false(q_error_is(q_hosts_parse(&s->rig.hosts, q_alloc_libc(), text)));
    struct q_error error = q_pool_init(&s->pool, q_failalloc_alloc(s->rig.memory), &s->rig.env, &limits);
    assert_int_equal(error.code, Q_ERR_OK);
}

void pool_rig_empty(struct pool_rig *s) {
    q_pool_close(&s->pool);
    for (int ticks = 0; !q_pool_is_empty(&s->pool); ticks++) {
        assert_true(ticks < 10000);
        conn_rig_tick(&s->rig);
    }
    assert_int_equal(s->pool.stats.open, 0);
}

void pool_rig_close(struct pool_rig *s) {
    pool_rig_empty(s);
    q_pool_deinit(&s->pool);
    conn_rig_close(&s->rig);
}

struct asker *new_askers(struct pool_rig *s, size_t count) {
    struct asker *askers = calloc(count, sizeof *askers);
    for (size_t i = 0; i < count; i++) {
        askers[i].s = s;
        askers[i].lease.events = &k_lease_events;
        askers[i].lease.connect_timeout_ns = 5 * Q_NS_PER_S;
    }
    return askers;
}

enum q_lease_result ask(struct asker *asker, const char *text) {
    struct q_url url;
    struct q_origin origin;
    struct q_conn *conn = NULL;
    assert_false(q_error_is(q_url_parse(q_alloc_libc(), q_slice_of_string(text), &url)));
    assert_false(q_error_is(q_origin_build(&origin, q_alloc_libc(), &url)));
    if (asker->local.family != Q_ENDPOINT_NONE) {
        assert_false(q_error_is(q_origin_set_local(&origin, &asker->local)));
    }
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

void until_over(struct asker *asker) {
    conn_rig_until(&asker->s->rig, &asker->user.is_over);
}

// Asks, and does the whole exchange.
void visit(struct asker *asker, const char *url) {
    assert_true(ask(asker, url) != Q_LEASE_FAILED);
    until_over(asker);
    assert_string_equal(asker->user.diary, "H200DE");
}

struct q_sim_conn *server_conn(struct pool_rig *s, size_t index) {
    struct q_sim_conn *conn = q_sim_conn_at(s->rig.sim, index);
    assert_non_null(conn);
    return conn;
}

void answer(struct pool_rig *s, size_t index) {
    q_sim_conn_send(server_conn(s, index), CONN_RIG_OK, strlen(CONN_RIG_OK));
}

void run_a_moment(struct pool_rig *s) {
    conn_rig_run_for(&s->rig, 5 * Q_NS_PER_MS);
}

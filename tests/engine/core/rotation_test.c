// Rotation: what was made before with a TLS configuration serves nobody who comes behind it, and whoever has a connection keeps
// it. And the bound on a handshake, which is the request's.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/support/bad_tls.h"
#include "tests/support/certs.h"

static struct host host;
static struct bench_server *the_server;
static struct q_cert *the_root;
static struct q_cert *the_leaf;

static struct quoit_tls *trusting(const char *roots, uint16_t version) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)), QUOIT_OK);
    assert_int_equal(quoit_tls_set_versions(tls, version, 0), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static struct quoit_tls *the_one; // the engine's
static struct quoit_tls *another;

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 2});
    the_server = bench_server_start(
        &(struct bench_server_options){.tls_cert = the_leaf->pem, .tls_key = the_leaf->key_pem});
    assert_non_null(the_server);
    the_one = trusting(the_root->pem, 0);
    another = trusting(the_root->pem, QUOIT_TLS_1_3);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    quoit_tls_release(the_one);
    quoit_tls_release(another);
    bench_server_stop(the_server);
    q_certs_free(the_leaf);
    q_certs_free(the_root);
    return 0;
}

static void start(struct quoit_engine_options options) {
    options.tls = the_one;
    host_start(&host, &options, NULL);
}

static struct quoit_request *request_by(const struct quoit_tls *tls, const char *path) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", bench_server_url(the_server, path, url, sizeof url));
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    return request;
}

// On which connection a request went; `is_fresh`: one that was made for it, with a handshake of its own.
static uint32_t get(uint32_t index, const struct quoit_tls *tls, bool is_fresh) {
    host_submit(&host, index, request_by(tls, "/size/10"));
    const struct host_record *record = host_wait(&host, index);
    host_assert_done(record, 10);
    assert_int_equal(record->summary.reused, !is_fresh);
    if (is_fresh) {
        assert_false(record->summary.tls_resumed);
    }
    return record->summary.connection_id;
}

static void what_lay_idle_serves_nobody_any_more(void **state) {
    (void)state;
    start((struct quoit_engine_options){0});
    uint32_t first = get(0, NULL, true);
    uint32_t foreign = get(1, another, true);
    assert_int_equal(get(2, NULL, false), first);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, the_one), QUOIT_OK);
    assert_int_not_equal(get(3, NULL, true), first);           // no session either: it is not resumed
    assert_int_equal(get(4, another, false), foreign);         // of another configuration
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, NULL), QUOIT_OK);
    get(5, NULL, true);
    get(6, another, true);
    get(7, NULL, false);
    host_stop(&host);
}

// By the name of an equal configuration, which is the same one.
static void an_equal_configuration_is_the_same(void **state) {
    (void)state;
    start((struct quoit_engine_options){0});
    struct quoit_tls *equal = trusting(the_root->pem, 0);
    get(0, NULL, true);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, equal), QUOIT_OK);
    quoit_tls_release(equal); // the call is done with it
    get(1, NULL, true);
    host_stop(&host);
}

static void what_is_running_goes_on(void **state) {
    (void)state;
    start((struct quoit_engine_options){0});
    struct quoit_request *slow = request_by(NULL, "/size/300000");
    assert_int_equal(quoit_request_set_credit(slow, 1000, 1), QUOIT_OK);
    host_submit(&host, 0, slow);
    host_wait_body(&host, 0, 1);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, NULL), QUOIT_OK);
    uint32_t second = get(1, NULL, true);
    assert_int_equal(quoit_grant(host.engine, host.records[0].handle, 1000000), QUOIT_OK);
    host_assert_done(host_wait(&host, 0), 300000);
    assert_int_not_equal(host.records[0].summary.connection_id, second);
    assert_int_equal(get(2, NULL, false), second); // that of the slow one is not used again
    host_until(&host, host_is_open, 1);
    host_stop(&host);
}

static bool has_opened(const struct quoit_engine_info *info, uint64_t value) { return info->connections_opened == value; }

// Who waits for a connection that was begun before gets one that is begun behind it.
static void what_is_being_made_is_made_anew(void **state) {
    (void)state;
    struct bad_tls *mute = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_SILENT});
    start((struct quoit_engine_options){0});
    for (uint32_t i = 0; i < 3; i++) {
        struct quoit_request *request = host_request("GET", "https://" BAD_TLS_HOST "/");
        assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(mute)), QUOIT_OK);
        host_submit(&host, i, request);
        host_until_stage(&host, i, QUOIT_STAGE_CONNECTING);
    }
    host_until(&host, has_opened, 3);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, the_one), QUOIT_OK);
    host_until(&host, has_opened, 6);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(host.records[i].num_ends, 0);
        quoit_cancel(host.engine, host.records[i].handle);
        host_assert_failed(host_wait(&host, i), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    }
    host_stop(&host);
    bad_tls_stop(mute, NULL);
}

static void nothing_is_lost_under_load(void **state) {
    enum { MANY = 400 };
    (void)state;
    start((struct quoit_engine_options){.connections_per_origin_max = 4});
    for (uint32_t i = 0; i < MANY; i++) {
        host_submit(&host, i, request_by(i % 3 == 0 ? another : NULL, "/size/5000"));
        if (i % 20 == 0) {
            assert_int_equal(quoit_engine_invalidate_tls(host.engine, i % 40 == 0 ? NULL : the_one), QUOIT_OK);
        }
        if (i % 50 == 0) {
            host_step(&host);
        }
    }
    host_wait_all(&host, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        host_assert_done(&host.records[i], 5000);
    }
    host_stop(&host);
}

// One that no loop runs any more is dropped with the engine.
static void it_may_come_too_late(void **state) {
    (void)state;
    start((struct quoit_engine_options){0});
    get(0, NULL, true);
    host_close_and_wait(&host, 0);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, the_one), QUOIT_OK);
    host_destroy(&host);
    assert_int_equal(quoit_engine_invalidate_tls(host.engine, the_one), QUOIT_ERR_STALE_HANDLE);
}

// --- the handshake's bound ---------------------------------------------------------------------------------------------

static void ask_the_mute(uint32_t index, const struct bad_tls *mute, struct quoit_request_bounds bounds) {
    struct quoit_request *request = host_request("GET", "https://" BAD_TLS_HOST "/");
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(mute)), QUOIT_OK);
    bounds.struct_size = sizeof bounds;
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, index, request);
}

static void a_handshake_has_the_requests_bound(void **state) {
    (void)state;
    struct bad_tls *mute = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_SILENT_MIDWAY});
    start((struct quoit_engine_options){0});
    ask_the_mute(0, mute, (struct quoit_request_bounds){.tls_ms = 60});
    ask_the_mute(1, mute, (struct quoit_request_bounds){.tls_ms = 60000, .connect_ms = 70});
    ask_the_mute(2, mute, (struct quoit_request_bounds){.tls_ms = 60000, .total_ms = 80});
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_TLS, QUOIT_PHASE_TLS);
    host_assert_failed(host_wait(&host, 1), QUOIT_ERR_TIMEOUT_CONNECT, QUOIT_PHASE_CONNECT);
    host_assert_failed(host_wait(&host, 2), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_CONNECT);
    assert_true(host.records[0].summary.end_ns >= 60000000);
    host_stop(&host);
    bad_tls_stop(mute, NULL);
}

// A handshake that was begun for somebody in a hurry has not failed for who would wait longer.
static void who_would_wait_longer_does(void **state) {
    (void)state;
    struct bad_tls *mute = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_SILENT});
    start((struct quoit_engine_options){.connections_per_origin_max = 1});
    ask_the_mute(0, mute, (struct quoit_request_bounds){.tls_ms = 300});
    ask_the_mute(1, mute, (struct quoit_request_bounds){.tls_ms = 30});
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_TLS, QUOIT_PHASE_TLS);
    assert_true(host.records[0].summary.end_ns >= 300000000);
    host_assert_failed(host_wait(&host, 1), QUOIT_ERR_TIMEOUT_TLS, QUOIT_PHASE_TLS);
    host_stop(&host);
    bad_tls_stop(mute, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lay_idle_serves_nobody_any_more),
        cmocka_unit_test(an_equal_configuration_is_the_same),
        cmocka_unit_test(what_is_running_goes_on),
        cmocka_unit_test(what_is_being_made_is_made_anew),
        cmocka_unit_test(nothing_is_lost_under_load),
        cmocka_unit_test(it_may_come_too_late),
        cmocka_unit_test(a_handshake_has_the_requests_bound),
        cmocka_unit_test(who_would_wait_longer_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// Bounds, redirects and the question why a request waits, through the public API against the embedded server. Each bound
// ends its request with an error of its own; how late is not what is tested here.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"

static struct host the_host; // too large for a stack
static struct bench_server *the_server;

static int start(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    host_start(&the_host, NULL, NULL);
    return the_server == NULL ? -1 : 0;
}

static int stop(void **state) {
    (void)state;
    host_stop(&the_host);
    bench_server_stop(the_server);
    return 0;
}

static struct quoit_request *request_for(const char *method, const char *path, struct quoit_request_bounds bounds) {
    char url[HOST_URL_MAX];
    bench_server_url(the_server, path, url, sizeof url);
    struct quoit_request *request = host_request(method, url);
    bounds.struct_size = sizeof bounds;
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    return request;
}

static const struct host_record *run(const char *path, struct quoit_request_bounds bounds) {
    host_submit(&the_host, 0, request_for("GET", path, bounds));
    return host_wait(&the_host, 0);
}

static void a_server_that_says_nothing_is_cut_off_before_the_first_byte(void **state) {
    (void)state;
    host_assert_failed(run("/size/1?silent=1", (struct quoit_request_bounds){.first_byte_ms = 50}),
                       QUOIT_ERR_TIMEOUT_FIRST_BYTE, QUOIT_PHASE_HEAD);
}

static void a_server_that_stops_in_the_middle_is_idle(void **state) {
    (void)state;
    const struct host_record *record =
        run("/size/1000?drip=300&gap_ms=3600000", (struct quoit_request_bounds){.idle_ms = 50, .first_byte_ms = 10000});
    host_assert_failed(record, QUOIT_ERR_TIMEOUT_IDLE, QUOIT_PHASE_BODY);
    assert_true(record->summary.spent_ns[QUOIT_STAGE_RECEIVING] >= 50000000);
}

static void a_server_that_drips_is_too_slow_though_never_idle(void **state) {
    (void)state;
    struct quoit_request_bounds bounds = {.idle_ms = 10000, .low_speed_ms = 100, .low_speed_bytes = 100000};
    host_assert_failed(run("/size/100000?drip=100&gap_ms=10", bounds), QUOIT_ERR_TIMEOUT_LOW_SPEED, QUOIT_PHASE_BODY);
}

static void a_body_beyond_its_bound_is_cut_off(void **state) {
    static const char *const k_paths[] = {"/size/1001", "/size/1001?chunked=100", "/size/1001?close=2"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct host_record *record = run(k_paths[i], (struct quoit_request_bounds){.body_bytes_max = 1000});
        assert_int_equal(record->summary.failure.code, QUOIT_ERR_BODY_TOO_LARGE);
        assert_true(record->body_len <= 1000);
        host_stop(&the_host);
        host_start(&the_host, NULL, NULL);
        host_assert_done(run("/size/1000?chunked=100", (struct quoit_request_bounds){.body_bytes_max = 1000}), 1000);
        host_stop(&the_host);
        host_start(&the_host, NULL, NULL);
    }
}

static void a_line_that_does_not_move_has_a_bound_of_its_own(void **state) {
    (void)state;
    host_stop(&the_host);
    host_start(&the_host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    host_submit(&the_host, 0, request_for("GET", "/size/1?silent=1", (struct quoit_request_bounds){0}));
    host_until(&the_host, host_is_open, 1);
    host_submit(&the_host, 1, request_for("GET", "/size/1", (struct quoit_request_bounds){.queue_ms = 50}));
    const struct host_record *record = host_wait(&the_host, 1);
    host_assert_failed(record, QUOIT_ERR_TIMEOUT_QUEUE, QUOIT_PHASE_QUEUE);
    assert_int_equal(record->summary.failure.retry_safe, 1);
    assert_int_equal(quoit_cancel(the_host.engine, the_host.records[0].handle), QUOIT_OK);
    host_wait(&the_host, 0);
}

static void a_request_says_why_it_waits(void **state) {
    (void)state;
    host_submit(&the_host, 0, request_for("GET", "/size/1?silent=1", (struct quoit_request_bounds){0}));
    struct quoit_request_state now = {.struct_size = sizeof now};
    do {
        assert_int_equal(quoit_request_state(the_host.engine, the_host.records[0].handle, &now), QUOIT_OK);
    } while (now.stage != QUOIT_STAGE_AWAITING);
    assert_string_equal(quoit_stage_name((int32_t)now.stage), "awaiting");
    assert_int_equal(quoit_cancel(the_host.engine, the_host.records[0].handle), QUOIT_OK);
    const struct host_record *record = host_wait(&the_host, 0);
    assert_true(record->summary.bytes_out > 0 && record->summary.connection_id > 0); // told although it was canceled
    host_until(&the_host, host_is_pending, 0);
    assert_int_equal(quoit_request_state(the_host.engine, record->handle, &now), QUOIT_ERR_STALE_HANDLE);
    now.struct_size = 4;
    assert_int_equal(quoit_request_state(the_host.engine, record->handle, &now), QUOIT_ERR_INVALID_STRUCT_SIZE);
}

// --- redirects ---------------------------------------------------------------------------------------------------------

static size_t hops_told;
static char last_hop[HOST_URL_MAX];

static void note_hops(struct host *host, const struct quoit_event *event) {
    (void)host;
    if (event->type != QUOIT_EVENT_DONE && event->type != QUOIT_EVENT_FAILED) {
        return;
    }
    hops_told = event->u.summary.redirects == NULL ? 0 : quoit_headers_count(event->u.summary.redirects);
    const char *name;
    const char *value;
    size_t name_len;
    size_t value_len;
    if (hops_told > 0 &&
        quoit_headers_at(event->u.summary.redirects, hops_told - 1, &name, &name_len, &value, &value_len)) {
        assert_int_equal(name_len, 3);
        snprintf(last_hop, sizeof last_hop, "%.*s", (int)value_len, value);
    }
}

static const struct host_record *follow(const char *path, uint32_t limit) {
    struct quoit_request *request = request_for("GET", path, (struct quoit_request_bounds){.total_ms = 20000});
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = limit};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    the_host.on_event = note_hops;
    host_submit(&the_host, 0, request);
    return host_wait(&the_host, 0);
}

static void redirects_are_followed_to_their_end_and_told(void **state) {
    (void)state;
    const struct host_record *record = follow("/redirect/3", 3);
    assert_int_equal(record->summary.failure.code, QUOIT_OK);
    assert_int_equal(record->status, 200);
    assert_int_equal(record->num_heads, 1); // of the followed ones nothing is seen
    assert_int_equal(hops_told, 3);
    assert_int_equal(record->summary.num_redirects, 3);
    assert_non_null(strstr(last_hop, "/redirect/0"));
    assert_int_equal(host_info(&the_host).connections_opened, 1); // their bodies were read, so the connection lives
}

static void one_redirect_too_many_is_a_typed_error(void **state) {
    (void)state;
    const struct host_record *record = follow("/redirect/3", 2);
    host_assert_failed(record, QUOIT_ERR_TOO_MANY_REDIRECTS, QUOIT_PHASE_HEAD);
    assert_int_equal(hops_told, 2);
    assert_int_equal(record->summary.num_redirects, 2);
    assert_int_equal(record->summary.status, 302); // of the one that was not followed
}

static void without_a_limit_a_redirect_is_a_response(void **state) {
    (void)state;
    const struct host_record *record = follow("/redirect/1", 0);
    assert_int_equal(record->summary.failure.code, QUOIT_OK);
    assert_int_equal(record->status, 302);
    assert_int_equal(hops_told, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_server_that_says_nothing_is_cut_off_before_the_first_byte),
        CASE(a_server_that_stops_in_the_middle_is_idle),
        CASE(a_server_that_drips_is_too_slow_though_never_idle),
        CASE(a_body_beyond_its_bound_is_cut_off),
        CASE(a_line_that_does_not_move_has_a_bound_of_its_own),
        CASE(a_request_says_why_it_waits),
        CASE(redirects_are_followed_to_their_end_and_told),
        CASE(one_redirect_too_many_is_a_typed_error),
        CASE(without_a_limit_a_redirect_is_a_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

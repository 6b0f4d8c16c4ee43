// The request's entry points: what is built, refused, held and released, and header blocks from outside.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/schedule.h"

#define URL "http://127.0.0.1:1/"

static struct host host;

static void missing_arguments_are_refused(void **state) {
    struct quoit_request *request = NULL;
    (void)state;
    assert_int_equal(quoit_request_new(NULL, URL, &request), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_new("GET", NULL, &request), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_new("GET", URL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_null(request);
    assert_int_equal(quoit_request_add_header(NULL, "a", 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_body(NULL, "a", 1, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_bounds(NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_credit(NULL, 1, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_freeze(NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_null(quoit_request_acquire(NULL));
    quoit_request_release(NULL);
    request = host_request("GET", URL);
    assert_int_equal(quoit_request_add_header(request, NULL, 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, "a", 1, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_add_header(request, "a", 1, NULL, 0), QUOIT_OK);
    assert_int_equal(quoit_request_set_body(request, NULL, 1, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
}

static void what_cannot_be_sent_is_refused(void **state) {
    struct quoit_request *request = NULL;
    (void)state;
    assert_int_equal(quoit_request_new("G T", URL, &request), QUOIT_ERR_INVALID_METHOD);
    assert_int_equal(quoit_request_new("", URL, &request), QUOIT_ERR_INVALID_METHOD);
    assert_int_equal(quoit_request_new("GET", "no url", &request), QUOIT_ERR_INVALID_URL);
    assert_int_equal(quoit_request_new("GET", "ftp://h/", &request), QUOIT_ERR_UNSUPPORTED_SCHEME);
    assert_null(request);
    request = host_request("GET", URL);
    assert_int_equal(quoit_request_add_header(request, "a b", 3, "c", 1), QUOIT_ERR_INVALID_HEADER_NAME);
    assert_int_equal(quoit_request_add_header(request, "a", 1, "b\nc", 3), QUOIT_ERR_INVALID_HEADER_VALUE);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_add_header(request, "a", 1, "b", 1), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void a_submit_that_cannot_freeze_hands_nothing_over(void **state) {
    (void)state;
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("GET", URL);
    int32_t code = quoit_request_add_header(request, "Content-Length", 14, "1", 1);
    if (code == QUOIT_OK) {
        code = quoit_submit(host.engine, host.port, request, 0, NULL);
    }
    assert_int_equal(code, QUOIT_ERR_FORBIDDEN_HEADER);
    assert_int_equal(quoit_submit(host.engine, host.port, NULL, 0, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = host_request("GET", URL);
    struct quoit_port nowhere = {.id = host.port.id ^ 0x70000};
    assert_int_equal(quoit_submit(host.engine, nowhere, request, 0, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(host_info(&host).requests_pending, 0);
    quoit_request_release(request);
    host_stop(&host);
}

enum { LONG_MS = 3600000 };

static int32_t refused_code;

static void submits_to_no_port(void *context) {
    refused_code = quoit_submit(host.engine, (struct quoit_port){0}, context, 0, NULL);
}

static void sleeps_in_its_drain(void *context) {
    bool *was_woken = context;
    (void)quoit_engine_close(host.engine, LONG_MS);
    while (quoit_engine_tick(host.engine) > 0) {
    }
    uint64_t wakes = host_info(&host).wakes;
    q_schedule_point("asleep");
    *was_woken = host_info(&host).wakes == wakes + 1;
    while (*was_woken && host.num_closed == 0) { // else the drain is long
        host_step(&host);
    }
}

// Mutation 7 of tests/model/pending.pml: the loop sleeps in its drain, and what was counted last is refused. Nobody but
// the refused submit can tell the loop that nothing is left to wait for.
static void a_refused_submit_that_was_the_last_tells_the_loop(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:face.submit.before_uncount"},
        {"host:face.submit.before_uncount", "loop:asleep"},
        {"loop:asleep", "host:end"},
    };
    (void)state;
    bool was_woken = false;
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN}, NULL);
    struct quoit_request *request = host_request("GET", URL);
    const struct q_schedule_actor actors[] = {{"host", submits_to_no_port, request},
                                              {"loop", sleeps_in_its_drain, &was_woken}};
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    assert_int_equal(refused_code, QUOIT_ERR_STALE_HANDLE);
    assert_true(was_woken);
    host_destroy(&host);
    quoit_request_release(request);
}

static _Atomic int num_released;

static void count_release(void *context, const void *data, size_t len) {
    assert_ptr_equal(context, &num_released);
    assert_string_equal(data, "body");
    assert_int_equal(len, 4);
    num_released++;
}

// The engine's hold is one more, and the body goes with the last holder, once.
static void a_body_is_released_when_the_last_holder_lets_go(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/echo", url, sizeof url);
    for (int keeps = 0; keeps < 2; keeps++) {
        num_released = 0;
        host_start(&host, NULL, NULL);
        struct quoit_request *request = host_request("POST", url);
        assert_int_equal(quoit_request_set_body(request, "body", 4, count_release, &num_released), QUOIT_OK);
        assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
        struct quoit_request *kept = keeps ? quoit_request_acquire(request) : NULL;
        host_submit(&host, 0, request); // which releases the test's own hold
        host_assert_done(host_wait(&host, 0), 4);
        assert_string_equal(host.records[0].text, "body");
        if (keeps) {
            host_submit(&host, 1, quoit_request_acquire(kept)); // and again
            host_assert_done(host_wait(&host, 1), 4);
            assert_int_equal(num_released, 0);
            quoit_request_release(kept);
        }
        host_stop(&host);
        assert_int_equal(num_released, 1);
    }
    bench_server_stop(server);
}

static void a_body_is_released_also_when_the_request_fails(void **state) {
    (void)state;
    num_released = 0;
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("POST", URL); // nobody listens there
    assert_int_equal(quoit_request_set_body(request, "body", 4, count_release, &num_released), QUOIT_OK);
    host_submit(&host, 0, request);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_CONNECT_REFUSED, QUOIT_PHASE_CONNECT);
    host_stop(&host);
    assert_int_equal(num_released, 1);
}

// The pointer is the host's no more, and the engine's still.
static void a_release_too_many_takes_nothing_from_an_engine(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1?silent=1", url, sizeof url);
    num_released = 0;
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("POST", url);
    assert_int_equal(quoit_request_set_body(request, "body", 4, count_release, &num_released), QUOIT_OK);
    host_submit(&host, 0, request); // which releases it
    for (int i = 0; i < 3; i++) {
        quoit_request_release(request);
        assert_null(quoit_request_acquire(request));
        assert_int_equal(quoit_request_freeze(request), QUOIT_ERR_INVALID_ARGUMENT);
        assert_int_equal(quoit_request_add_header(request, "a", 1, "b", 1), QUOIT_ERR_INVALID_ARGUMENT);
        assert_int_equal(quoit_submit(host.engine, host.port, request, 1, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(num_released, 0);
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    host_wait(&host, 0);
    host_stop(&host);
    assert_int_equal(num_released, 1);
    bench_server_stop(server);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // which rightly see a use of freed memory
// No promise, but what is to be expected: nobody has been given its memory in between.
static void a_release_behind_the_last_one_does_nothing(void **state) {
    (void)state;
    num_released = 0;
    struct quoit_request *request = host_request("POST", URL);
    assert_int_equal(quoit_request_set_body(request, "body", 4, count_release, &num_released), QUOIT_OK);
    quoit_request_release(request);
    quoit_request_release(request);
    assert_int_equal(quoit_request_freeze(request), QUOIT_ERR_INVALID_ARGUMENT);
    assert_null(quoit_request_acquire(request));
    assert_int_equal(num_released, 1);
}
#endif

static void one_request_may_be_sent_by_many_engines(void **state) {
    static struct host second;
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/100", url, sizeof url);
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    host_start(&host, NULL, NULL);
    host_start(&second, NULL, NULL);
    for (uint32_t i = 0; i < 20; i++) {
        host_submit(&host, i, quoit_request_acquire(request));
        host_submit(&second, i, quoit_request_acquire(request));
    }
    quoit_request_release(request);
    host_wait_all(&host, 20);
    host_wait_all(&second, 20);
    host_stop(&host);
    host_stop(&second);
    bench_server_stop(server);
}

static void a_slice_that_is_none_is_released_in_peace(void **state) {
    struct quoit_slice slice = {0};
    (void)state;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_slice_release(host.engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_slice_release(host.engine, &slice), QUOIT_OK);
    host_stop(&host);
}

static void check_headers(struct host *from, const struct quoit_event *event) {
    const char *name = "untouched";
    const char *value = "untouched";
    size_t name_len = 1;
    size_t value_len = 1;
    (void)from;
    if (event->type != QUOIT_EVENT_HEAD) {
        return;
    }
    const struct quoit_headers *headers = event->u.head.headers;
    size_t count = quoit_headers_count(headers);
    assert_true(count > 0);
    assert_int_equal(quoit_headers_at(headers, count, &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_at(headers, SIZE_MAX, &name, &name_len, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "no-such-field", 13, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, NULL, 0, &value, &value_len), 0);
    assert_int_equal(quoit_headers_get(headers, "", 0, &value, &value_len), 0);
    assert_string_equal(name, "untouched");
    assert_string_equal(value, "untouched");
    assert_int_equal(quoit_headers_get(headers, "CONTENT-length", 14, &value, &value_len), 1);
    assert_int_equal(value_len, 3);
    assert_memory_equal(value, "100", 3);
}

static void header_blocks_are_read_with_care(void **state) {
    char url[HOST_URL_MAX];
    const char *text;
    size_t len;
    (void)state;
    assert_int_equal(quoit_headers_count(NULL), 0);
    assert_int_equal(quoit_headers_at(NULL, 0, &text, &len, &text, &len), 0);
    assert_int_equal(quoit_headers_get(NULL, "a", 1, &text, &len), 0);
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/100", url, sizeof url);
    host_start(&host, NULL, NULL);
    host.on_event = check_headers;
    host_fetch(&host, 0, url, 100);
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_arguments_are_refused),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
        cmocka_unit_test(a_submit_that_cannot_freeze_hands_nothing_over),
        cmocka_unit_test(a_refused_submit_that_was_the_last_tells_the_loop),
        cmocka_unit_test(a_body_is_released_when_the_last_holder_lets_go),
        cmocka_unit_test(a_body_is_released_also_when_the_request_fails),
        cmocka_unit_test(a_release_too_many_takes_nothing_from_an_engine),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_release_behind_the_last_one_does_nothing),
#endif
        cmocka_unit_test(one_request_may_be_sent_by_many_engines),
        cmocka_unit_test(a_slice_that_is_none_is_released_in_peace),
        cmocka_unit_test(header_blocks_are_read_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

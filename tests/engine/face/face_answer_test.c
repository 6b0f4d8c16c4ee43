// quoit_answer from handles to objects: whose question it answers, and what it refuses. The rest is in
// tests/engine/core/question_test.c.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"

static struct host host;

static struct quoit_request *asking(const char *url) {
    struct quoit_request *request = host_request("GET", url);
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = 3, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    return request;
}

static void no_engine_takes_an_answer_for_another(void **state) {
    static struct host other;
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    host_start(&host, NULL, NULL);
    host_start(&other, NULL, NULL);
    host_submit(&host, 0, asking(bench_server_url(server, "/redirect/1", url, sizeof url)));
    while (host.records[0].num_questions == 0) {
        host_step(&host);
    }
    assert_int_equal(quoit_answer(other.engine, host.records[0].token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer((struct quoit_engine){0}, 0, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer(host.engine, host.records[0].token, 99), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer(host.engine, host.records[0].token, QUOIT_ANSWER_YES), QUOIT_OK);
    assert_int_equal(host_wait(&host, 0)->status, 200);
    host_stop(&other);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_frozen_request_and_wrong_bounds_are_refused(void **state) {
    (void)state;
    struct quoit_request *request = asking("http://a/");
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .answer_ms = UINT64_C(864000001)};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_ERR_INVALID_ARGUMENT);
    bounds.answer_ms = 864000000;
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    bounds.struct_size = offsetof(struct quoit_request_bounds, answer_ms); // a host that does not know of it
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    struct quoit_redirect_options options = {.struct_size = sizeof options, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_engine_takes_an_answer_for_another),
        cmocka_unit_test(a_frozen_request_and_wrong_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

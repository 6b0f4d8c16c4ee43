// Connections that go elsewhere than the URL says, through the public API against the embedded server.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"

static struct host the_host; // too large for a stack
static struct bench_server *the_server;

static struct quoit_request *request_for(const char *url, const char *host, uint16_t port) {
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_connect_to(request, host, port, "127.0.0.1", bench_server_port(the_server)),
                     QUOIT_OK);
    return request;
}

static void the_name_stays_and_the_connection_goes_elsewhere(void **state) {
    (void)state;
    host_submit(&the_host, 0, request_for("http://nowhere.test/headers", "NOWHERE.test", 80));
    const struct host_record *record = host_wait(&the_host, 0);
    assert_int_equal(record->status, 200);
    assert_non_null(strstr(record->text, "\r\nHost: nowhere.test\r\n"));
    host_submit(&the_host, 1, request_for("http://nowhere.test:81/headers", "nowhere.test", 80));
    host_assert_failed(host_wait(&the_host, 1), QUOIT_ERR_NAME_NOT_FOUND, QUOIT_PHASE_RESOLVE);
    host_submit(&the_host, 2, request_for("http://nowhere.test:81/headers", NULL, 0));
    record = host_wait(&the_host, 2);
    assert_non_null(strstr(record->text, "\r\nHost: nowhere.test:81\r\n"));
}

static void only_what_goes_the_same_way_shares_a_connection(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    bench_server_url(the_server, "/size/3", url, sizeof url);
    host_fetch(&the_host, 0, url, 3);
    uint64_t num_opened = host_info(&the_host).connections_opened;
    host_submit(&the_host, 1, request_for("http://a.test/size/3", "", 0));
    host_assert_done(host_wait(&the_host, 1), 3);
    host_submit(&the_host, 2, request_for("http://b.test/size/3", "", 0));
    host_assert_done(host_wait(&the_host, 2), 3);
    assert_int_equal(host_info(&the_host).connections_opened, num_opened + 2);
    host_submit(&the_host, 3, request_for("http://a.test/size/3", "", 80));
    host_assert_done(host_wait(&the_host, 3), 3);
    assert_int_equal(the_host.records[3].summary.reused, 1);
    host_submit(&the_host, 4, request_for(url, "", 0)); // it leads where the URL does
    host_assert_done(host_wait(&the_host, 4), 3);
    assert_int_equal(the_host.records[4].summary.reused, 1);
    assert_int_equal(host_info(&the_host).connections_opened, num_opened + 2);
}

static void each_hop_goes_by_the_rules(void **state) {
    (void)state;
    struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = 5};
    struct quoit_request *request = request_for("http://a.test/redirect/3", "a.test", 80);
    assert_int_equal(quoit_request_set_redirects(request, &redirects), QUOIT_OK);
    host_submit(&the_host, 0, request);
    const struct host_record *record = host_wait(&the_host, 0);
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    assert_int_equal(record->status, 200);
}

static void wrong_rules_are_refused(void **state) {
    struct quoit_request *request = host_request("GET", "http://a.test/");
    (void)state;
    assert_int_equal(quoit_request_connect_to(NULL, "a", 1, "b", 2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_connect_to(request, "a b", 1, "b", 2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_connect_to(request, "a", 1, "b\r\nc", 2), QUOIT_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(quoit_request_connect_to(request, NULL, 0, NULL, 0), QUOIT_OK);
    }
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, NULL, 0), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static int start(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    return the_server == NULL;
}

static int stop(void **state) {
    (void)state;
    bench_server_stop(the_server);
    return 0;
}

static int start_host(void **state) {
    (void)state;
    host_start(&the_host, NULL, NULL);
    return 0;
}

static int stop_host(void **state) {
    (void)state;
    host_stop(&the_host);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_name_stays_and_the_connection_goes_elsewhere, start_host, stop_host),
        cmocka_unit_test_setup_teardown(only_what_goes_the_same_way_shares_a_connection, start_host, stop_host),
        cmocka_unit_test_setup_teardown(each_hop_goes_by_the_rules, start_host, stop_host),
        cmocka_unit_test(wrong_rules_are_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

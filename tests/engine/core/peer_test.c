// Whom a request has talked to, as its terminal event tells.
#include "tests/engine/core/host.h"

#include <arpa/inet.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"

static struct host host;
static char the_url[HOST_URL_MAX];

static void assert_address(const struct quoit_address *address, int family, const char *ip, uint16_t port) {
    uint8_t octets[16] = {0};
    assert_int_equal(inet_pton(family, ip, octets), 1);
    assert_int_equal(address->family, family == AF_INET ? QUOIT_ADDRESS_IPV4 : QUOIT_ADDRESS_IPV6);
    assert_int_equal(address->port, port);
    assert_memory_equal(address->ip, octets, sizeof octets);
}

static void done_tells_the_peer_of_both_families_also_when_the_connection_is_re_used(void **state) {
    static const struct {
        const char *address;
        int family;
    } k_rows[] = {{"127.0.0.1", AF_INET}, {"::1", AF_INET6}};
    (void)state;
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        struct bench_server *server =
            bench_server_start(&(struct bench_server_options){.address = k_rows[i].address});
        assert_non_null(server);
        bench_server_url(server, "/size/10", the_url, sizeof the_url);
        host_start(&host, NULL, NULL);
        for (uint32_t n = 0; n < 2; n++) {
            host_fetch(&host, n, the_url, 10);
            assert_int_equal(host.records[n].summary.reused, n);
            assert_address(&host.records[n].summary.remote, k_rows[i].family, k_rows[i].address,
                           bench_server_port(server));
        }
        host_stop(&host);
        bench_server_stop(server);
    }
}

static void the_last_hop_is_the_one_that_is_told(void **state) {
    (void)state;
    struct bench_server *target = bench_server_start(NULL);
    char location[HOST_URL_MAX];
    char response[2 * HOST_URL_MAX];
    snprintf(response, sizeof response, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             bench_server_url(target, "/size/10", location, sizeof location));
    const struct bench_step script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = response}, {.kind = BENCH_STEP_END}};
    struct bench_scripted *first = bench_scripted_start_one(script);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("GET", bench_scripted_url(first, "/", the_url, sizeof the_url));
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = 1};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    host_submit(&host, 0, request);
    host_assert_done(host_wait(&host, 0), 10);
    assert_address(&host.records[0].summary.remote, AF_INET, "127.0.0.1", bench_server_port(target));
    host_stop(&host);
    bench_scripted_stop(first);
    bench_server_stop(target);
}

static void a_failed_request_tells_its_peer_if_it_had_one(void **state) {
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = "what?\r\n\r\n"}, {.kind = BENCH_STEP_END}};
    (void)state;
    struct bench_scripted *server = bench_scripted_start_one(k_script);
    uint16_t port = bench_scripted_port(server);
    host_start(&host, NULL, NULL);
    host_get(&host, 0, bench_scripted_url(server, "/", the_url, sizeof the_url));
    assert_int_equal(host_wait(&host, 0)->end_type, QUOIT_EVENT_FAILED);
    assert_address(&host.records[0].summary.remote, AF_INET, "127.0.0.1", port);
    bench_scripted_stop(server);
    host_get(&host, 1, the_url); // nobody is there any more
    assert_int_equal(host_wait(&host, 1)->summary.failure.code, QUOIT_ERR_CONNECT_REFUSED);
    assert_int_equal(host.records[1].summary.remote.family, QUOIT_ADDRESS_NONE);
    host_stop(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_tells_the_peer_of_both_families_also_when_the_connection_is_re_used),
        cmocka_unit_test(the_last_hop_is_the_one_that_is_told),
        cmocka_unit_test(a_failed_request_tells_its_peer_if_it_had_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

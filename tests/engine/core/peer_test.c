// Whom a request has talked to and from where, as its terminal event tells.
#include "tests/engine/core/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

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

// --- from where ------------------------------------------------------------------------------------------------------

static struct quoit_request *from(const char *local, const char *url) {
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_set_local_address(request, local), QUOIT_OK);
    return request;
}

static int listen_on(int family, struct sockaddr_storage *out, socklen_t *out_len) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(out, 0, sizeof *out);
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *out_len = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = in6addr_loopback;
        *out_len = sizeof *v6;
    }
    assert_int_equal(bind(fd, (struct sockaddr *)out, *out_len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)out, out_len), 0);
    return fd;
}

// Accepts one connection, and answers its request; gives where it came from.
static void serve_one(int listener, struct sockaddr_storage *out_peer) {
    static const char k_answer[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, HOST_WAIT_MS), 1);
    socklen_t len = sizeof *out_peer;
    int fd = accept4(listener, (struct sockaddr *)out_peer, &len, SOCK_CLOEXEC);
    char head[4096];
    assert_true(recv(fd, head, sizeof head, 0) > 0);
    assert_int_equal(send(fd, k_answer, sizeof k_answer - 1, MSG_NOSIGNAL), sizeof k_answer - 1);
    close(fd);
}

static void a_request_comes_from_its_local_address_on_each_rung_and_says_so(void **state) {
    static const uint32_t k_off[] = {0, QUOIT_CAP_DIRECT_BIND, QUOIT_CAP_DIRECT_SOCKET};
    static const struct {
        int family;
        const char *local;
        const char *url;
    } k_rows[] = {{AF_INET, "127.0.0.5", "http://127.0.0.1:%u/"}, {AF_INET6, "::1", "http://[::1]:%u/"}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof k_off / sizeof k_off[0]; i++) {
        struct sockaddr_storage address;
        struct sockaddr_storage peer;
        socklen_t len;
        int listener = listen_on(k_rows[i % 2].family, &address, &len);
        uint16_t port = ntohs(((struct sockaddr_in *)&address)->sin_port); // at the same place in both
        host_start(&host, &(struct quoit_engine_options){.capabilities_off = k_off[i / 2]}, NULL);
        snprintf(the_url, sizeof the_url, k_rows[i % 2].url, port);
        host_submit(&host, 0, from(k_rows[i % 2].local, the_url));
        serve_one(listener, &peer);
        const struct quoit_summary *summary = &host_wait(&host, 0)->summary;
        assert_int_equal(summary->failure.code, QUOIT_OK);
        assert_address(&summary->local, k_rows[i % 2].family, k_rows[i % 2].local, 0);
        assert_int_equal(summary->remote.port, port);
        uint8_t octets[16] = {0};
        inet_pton(k_rows[i % 2].family, k_rows[i % 2].local, octets);
        const void *seen = k_rows[i % 2].family == AF_INET ? (const void *)&((struct sockaddr_in *)&peer)->sin_addr
                                                           : (const void *)&((struct sockaddr_in6 *)&peer)->sin6_addr;
        assert_memory_equal(seen, octets, k_rows[i % 2].family == AF_INET ? 4 : 16);
        host_stop(&host);
        close(listener);
    }
}

static void requests_from_different_addresses_share_no_connection(void **state) {
    static const char *const k_locals[] = {"127.0.0.5", "127.0.0.6", NULL, "127.0.0.5", "127.0.0.6", NULL};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/10", the_url, sizeof the_url);
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < 6; i++) {
        host_submit(&host, i, k_locals[i] == NULL ? host_request("GET", the_url) : from(k_locals[i], the_url));
        const struct quoit_summary *summary = &host_wait(&host, i)->summary;
        host_assert_done(&host.records[i], 10);
        assert_int_equal(summary->reused, i >= 3);
        if (k_locals[i] == NULL) {
            assert_int_equal(summary->local.family, QUOIT_ADDRESS_NONE);
        } else {
            assert_address(&summary->local, AF_INET, k_locals[i], 0);
        }
    }
    assert_int_equal(host_info(&host).connections_opened, 3);
    host_stop(&host);
    bench_server_stop(server);
}

static void an_address_that_cannot_be_bound_is_a_typed_error(void **state) {
    static const uint32_t k_off[] = {0, QUOIT_CAP_DIRECT_BIND, QUOIT_CAP_DIRECT_SOCKET};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/10", the_url, sizeof the_url);
    for (size_t i = 0; i < sizeof k_off / sizeof k_off[0]; i++) {
        host_start(&host, &(struct quoit_engine_options){.capabilities_off = k_off[i]}, NULL);
        host_submit(&host, 0, from("192.0.2.1", the_url));
        host_assert_failed(host_wait(&host, 0), QUOIT_ERR_BIND_FAILED, QUOIT_PHASE_CONNECT);
        assert_int_equal(host.records[0].summary.failure.os_errno, EADDRNOTAVAIL);
        assert_int_equal(host.records[0].summary.failure.retry_safe, 1);
        host_submit(&host, 1, from("::1", the_url)); // the server's address is of the other family
        host_assert_failed(host_wait(&host, 1), QUOIT_ERR_NAME_NO_ADDRESS, QUOIT_PHASE_RESOLVE);
        host_fetch(&host, 2, the_url, 10);
        host_stop(&host);
    }
    bench_server_stop(server);
}

static void what_is_no_address_of_a_machine_is_refused(void **state) {
    static const char *const k_wrong[] = {"",           "localhost", "127.0.0.1:80", "[::1]",
                                          "fe80::1%lo", "0.0.0.0",   "::",           "1.2.3"};
    (void)state;
    struct quoit_request *request = host_request("GET", "http://a/");
    for (size_t i = 0; i < sizeof k_wrong / sizeof k_wrong[0]; i++) {
        assert_int_equal(quoit_request_set_local_address(request, k_wrong[i]), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_request_set_local_address(NULL, "127.0.0.1"), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_local_address(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_local_address(request, "127.0.0.1"), QUOIT_OK);
    assert_int_equal(quoit_request_set_local_address(request, "::1"), QUOIT_OK); // in its place
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_local_address(request, "127.0.0.1"), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
    request = host_request("GET", "http+unix://%2Frun%2Fx/");
    assert_int_equal(quoit_request_set_local_address(request, "127.0.0.1"), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_tells_the_peer_of_both_families_also_when_the_connection_is_re_used),
        cmocka_unit_test(the_last_hop_is_the_one_that_is_told),
        cmocka_unit_test(a_failed_request_tells_its_peer_if_it_had_one),
        cmocka_unit_test(a_request_comes_from_its_local_address_on_each_rung_and_says_so),
        cmocka_unit_test(requests_from_different_addresses_share_no_connection),
        cmocka_unit_test(an_address_that_cannot_be_bound_is_a_typed_error),
        cmocka_unit_test(what_is_no_address_of_a_machine_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

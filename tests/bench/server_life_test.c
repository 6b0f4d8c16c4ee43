// The embedded server over time: delays, connections that come, go and are cut off, threads, start and stop.
#include "tests/bench/server_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static struct bench_server *g_server; // one for all tests that need nothing special

static int start_common(void **state) {
    (void)state;
    g_server = server_start((struct bench_server_options){.num_threads = 2});
    return 0;
}

static int stop_common(void **state) {
    (void)state;
    bench_server_stop(g_server);
    return 0;
}

static struct raw_client dial(void) {
    return raw_connect(bench_server_port(g_server));
}

static void delays_and_gaps_take_their_time(void **state) {
    struct raw_client client = dial();
    uint64_t begin_ms = clock_ms();
    (void)state;
    struct raw_response response = raw_get(&client, "/size/10?delay_ms=60");
    assert_true(clock_ms() - begin_ms >= 60);
    raw_response_free(&response);
    begin_ms = clock_ms();
    response = raw_get(&client, "/size/10?chunked=5&gap_ms=20"); // after the head, and after each of two chunks
    assert_true(clock_ms() - begin_ms >= 60);
    raw_response_free(&response);
    raw_close(&client);
}

static void silence_lasts_until_the_client_hangs_up(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){0});
    struct raw_client client = raw_connect(bench_server_port(server));
    (void)state;
    raw_send(&client, "GET /size/10?silent=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /size/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(counters(server).requests == 1);
    struct pollfd polled = {.fd = client.fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 30), 0);
    raw_close(&client);
    until(counters(server).open == 0);
    assert_int_equal(counters(server).hangups, 1);
    bench_server_stop(server);
}

static void a_client_that_gives_up_during_a_delay_is_noticed(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){0});
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct raw_client client = raw_connect(bench_server_port(server));
        raw_send(&client, "GET /size/10?delay_ms=3600000 HTTP/1.1\r\nHost: x\r\n\r\n");
        until(counters(server).requests == (uint64_t)i + 1);
        if (i == 0)
            raw_close(&client);
        else
            raw_reset(&client);
        until(counters(server).open == 0);
        assert_int_equal(counters(server).hangups, i + 1);
    }
    bench_server_stop(server);
}

static void killing_resets_every_connection(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.num_threads = 3});
    struct raw_client clients[10];
    (void)state;
    for (int i = 0; i < 10; i++) {
        clients[i] = raw_connect(bench_server_port(server));
        if (i % 2)
            raw_send(&clients[i], "GET /size/10?silent=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    until(counters(server).requests == 5);
    assert_int_equal(bench_server_kill_connections(server), 10);
    assert_int_equal(counters(server).open, 0);
    for (int i = 0; i < 10; i++) {
        assert_false(raw_read(&clients[i]));
        assert_int_equal(clients[i].read_error, ECONNRESET);
        raw_close(&clients[i]);
    }
    struct raw_client client = raw_connect(bench_server_port(server)); // and it goes on
    struct raw_response response = raw_get(&client, "/size/1");
    raw_response_free(&response);
    raw_close(&client);
    bench_server_stop(server);
}

static void a_server_that_does_not_accept_leaves_clients_waiting(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){0});
    (void)state;
    bench_server_set_accepting(server, false);
    struct raw_client client = raw_connect(bench_server_port(server));
    raw_send(&client, "GET /size/10 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct pollfd polled = {.fd = client.fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 30), 0);
    assert_int_equal(counters(server).accepted, 0);
    bench_server_set_accepting(server, true);
    struct raw_response response = raw_take_response(&client, false);
    raw_assert_body(&response, 10);
    raw_response_free(&response);
    raw_close(&client);
    bench_server_stop(server);
}

static void connections_beyond_the_limit_are_reset(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.max_connections = 2});
    struct raw_client first = raw_connect(bench_server_port(server));
    struct raw_client second = raw_connect(bench_server_port(server));
    (void)state;
    until(counters(server).open == 2);
    struct raw_client third = raw_connect(bench_server_port(server));
    assert_false(raw_read(&third));
    assert_int_equal(third.read_error, ECONNRESET);
    assert_int_equal(counters(server).refused, 1);
    raw_close(&third);
    raw_close(&first);
    raw_close(&second);
    bench_server_stop(server);
}

static void idle_and_used_up_connections_are_closed(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.idle_close_ms = 30});
    struct raw_client client = raw_connect(bench_server_port(server));
    (void)state;
    struct raw_response response = raw_get(&client, "/size/10");
    raw_response_free(&response);
    raw_read_to_end(&client);
    assert_true(client.eof);
    raw_close(&client);
    bench_server_stop(server);

    server = server_start((struct bench_server_options){.max_requests = 2});
    client = raw_connect(bench_server_port(server));
    for (int i = 0; i < 2; i++) {
        response = raw_get(&client, "/size/10");
        assert_null(strstr(response.head, "Connection: close"));
        raw_response_free(&response);
    }
    raw_read_to_end(&client);
    assert_true(client.eof);
    raw_close(&client);
    bench_server_stop(server);
}

static void it_listens_on_ipv6_and_unix_paths_too(void **state) {
    char url[64], path[64], address[80];
    struct bench_server *server = bench_server_start(&(struct bench_server_options){.address = "::1"});
    (void)state;
    if (server) { // a machine without IPv6 has no ::1
        struct raw_client client = raw_connect_6(bench_server_port(server));
        struct raw_response response = raw_get(&client, "/size/10");
        raw_assert_body(&response, 10);
        raw_response_free(&response);
        raw_close(&client);
        assert_memory_equal(bench_server_url(server, "/x", url, sizeof url), "http://[::1]:", 13);
        bench_server_stop(server);
    } else {
        assert_int_equal(errno, EADDRNOTAVAIL);
    }
    snprintf(path, sizeof path, "/tmp/quoit-bench-%d", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    server = server_start((struct bench_server_options){.address = address});
    assert_string_equal(bench_server_url(server, "/x", url, sizeof url), "http://localhost/x");
    struct raw_client client = raw_connect_unix(path);
    struct raw_response response = raw_get(&client, "/size/10?chunked=3");
    raw_assert_body(&response, 10);
    raw_response_free(&response);
    raw_close(&client);
    assert_null(bench_server_start(&(struct bench_server_options){.address = address}));
    assert_int_equal(errno, EADDRINUSE);
    bench_server_stop(server);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void connections_are_dealt_out_to_all_threads(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.num_threads = 4});
    struct raw_client clients[64];
    (void)state;
    for (int i = 0; i < 64; i++)
        clients[i] = raw_connect(bench_server_port(server));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 64; i++)
            raw_send(&clients[i], "GET /size/2000?chunked=300 HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 64; i++) {
            struct raw_response response = raw_take_response(&clients[i], false);
            raw_assert_body(&response, 2000);
            raw_response_free(&response);
        }
    }
    until(counters(server).responses == 64 * 20);
    struct bench_server_counters now = counters(server);
    assert_int_equal(now.accepted, 64);
    assert_int_equal(now.open, 64);
    assert_int_equal(now.requests, 64 * 20);
    bench_server_stop(server); // with all of them open
    for (int i = 0; i < 64; i++) {
        assert_false(raw_read(&clients[i]));
        raw_close(&clients[i]);
    }
}

static void a_stopped_server_leaves_no_descriptor(void **state) {
    unsigned before = raw_num_fds();
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct bench_server *server = server_start((struct bench_server_options){.num_threads = 3});
        struct raw_client client = raw_connect(bench_server_port(server));
        struct raw_response response = raw_get(&client, "/size/10");
        raw_response_free(&response);
        bench_server_stop(server);
        raw_close(&client);
    }
    assert_int_equal(raw_num_fds(), before);
}

// A child that was forked has the server's sockets too, so that closing one does not end it. Under asan this test fails
// when the server goes on hearing of it.
static void a_closed_connection_is_not_heard_of_again_though_a_child_holds_it(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.num_threads = 1});
    struct raw_client client = raw_connect(bench_server_port(server));
    int until_closed[2];
    char nothing;
    (void)state;
    until(counters(server).open == 1);
    assert_int_equal(pipe(until_closed), 0);
    pid_t child = fork();
    if (child == 0) {
        close(until_closed[1]);
        _exit(read(until_closed[0], &nothing, 1) != 0);
    }
    assert_true(child > 0);
    assert_int_equal(bench_server_kill_connections(server), 1);
    raw_send(&client, "GET /size/10 HTTP/1.1\r\n");
    struct raw_client other = raw_connect(bench_server_port(server));
    struct raw_response response = raw_get(&other, "/size/10"); // the server has seen what there was to see before it
    raw_assert_body(&response, 10);
    raw_response_free(&response);
    assert_int_equal(counters(server).open, 1);
    raw_close(&other);
    raw_close(&client);
    close(until_closed[1]);
    close(until_closed[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    bench_server_stop(server);
}

static void an_address_that_is_none_is_refused(void **state) {
    (void)state;
    assert_null(bench_server_start(&(struct bench_server_options){.address = "localhost"}));
    assert_int_equal(errno, EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_and_gaps_take_their_time),
        cmocka_unit_test(silence_lasts_until_the_client_hangs_up),
        cmocka_unit_test(a_client_that_gives_up_during_a_delay_is_noticed),
        cmocka_unit_test(killing_resets_every_connection),
        cmocka_unit_test(a_server_that_does_not_accept_leaves_clients_waiting),
        cmocka_unit_test(connections_beyond_the_limit_are_reset),
        cmocka_unit_test(idle_and_used_up_connections_are_closed),
        cmocka_unit_test(it_listens_on_ipv6_and_unix_paths_too),
        cmocka_unit_test(connections_are_dealt_out_to_all_threads),
        cmocka_unit_test(a_stopped_server_leaves_no_descriptor),
        cmocka_unit_test(a_closed_connection_is_not_heard_of_again_though_a_child_holds_it),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, start_common, stop_common);
}

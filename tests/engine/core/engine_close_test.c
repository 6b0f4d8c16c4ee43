// The end of an engine: what is pending may finish, or is ended; every port hears CLOSED last.
#include "tests/engine/core/host.h"

#include <time.h>

#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum { FOR_EVER_MS = 3600000, SOON_MS = 50, LATE_MS = 10000 };

static struct host host;

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_requests(const struct bench_server *server, uint64_t num) {
    struct bench_server_counters counters;
    bench_server_counters(server, &counters);
    return counters.requests >= num;
}

static void until_heard(const struct bench_server *server, uint64_t num) {
    uint64_t end_ms = clock_ms() + HOST_WAIT_MS;
    while (!has_requests(server, num)) {
        assert_true(clock_ms() < end_ms);
    }
}

static void pending_requests_may_finish_while_new_ones_are_refused(void **state) {
    static struct bench_gate heard;
    static struct bench_gate go;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_OPEN, .gate = &heard},
        {.kind = BENCH_WAIT, .gate = &go},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {0}};
    char url[HOST_URL_MAX];
    (void)state;
    bench_gate_init(&heard);
    bench_gate_init(&go);
    struct bench_scripted *server = bench_scripted_start_one(k_script);
    assert_non_null(server);
    bench_scripted_url(server, "/", url, sizeof url);
    host_start(&host, NULL, NULL);
    host_get(&host, 0, url);
    assert_true(bench_gate_wait(&heard, -1, HOST_WAIT_MS));
    assert_int_equal(quoit_engine_close(host.engine, FOR_EVER_MS), QUOIT_OK);
    // Opening a port is a round trip: the loop has seen the close before it.
    struct quoit_port port;
    int32_t code = quoit_port_create(host.engine, NULL, &port);
    assert_true(code == QUOIT_OK || code == QUOIT_ERR_CLOSED);
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_submit(host.engine, host.port, request, 1, NULL), QUOIT_ERR_CLOSED);
    quoit_request_release(request);
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_ERR_CLOSED);
    assert_int_equal(host.num_closed, 0);
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_NOT_CLOSED);
    bench_gate_open(&go);
    host_assert_done(host_wait(&host, 0), 2);
    host_close_and_wait(&host, FOR_EVER_MS);
    host_destroy(&host);
    bench_scripted_stop(server);
    bench_gate_deinit(&heard);
    bench_gate_deinit(&go);
}

static void the_drain_has_an_end(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1?silent=1", url, sizeof url);
    host_start(&host, NULL, NULL);
    host_get(&host, 0, url);
    until_heard(server, 1);
    uint64_t begin_ms = clock_ms();
    host_close_and_wait(&host, SOON_MS);
    assert_in_range(clock_ms() - begin_ms, SOON_MS - 1, LATE_MS);
    host_assert_failed(&host.records[0], QUOIT_ERR_CLOSED, QUOIT_PHASE_CLOSE);
    host_destroy(&host);
    bench_server_stop(server);
}

static void a_second_close_only_shortens_the_first(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1?silent=1", url, sizeof url);
    host_start(&host, NULL, NULL);
    host_get(&host, 0, url);
    until_heard(server, 1);
    uint64_t begin_ms = clock_ms();
    assert_int_equal(quoit_engine_close(host.engine, FOR_EVER_MS), QUOIT_OK);
    assert_int_equal(quoit_engine_close(host.engine, UINT64_MAX), QUOIT_OK);
    assert_int_equal(quoit_engine_close(host.engine, SOON_MS), QUOIT_OK);
    host_close_and_wait(&host, FOR_EVER_MS); // longer again: of no effect
    assert_in_range(clock_ms() - begin_ms, SOON_MS - 1, LATE_MS);
    assert_int_equal(quoit_engine_close(host.engine, 0), QUOIT_OK); // closed already
    host_destroy(&host);
    bench_server_stop(server);
}

// Requests that wait for a connection, that connect, that wait for a head, and that receive, all at once.
static void requests_in_every_state_are_ended_once(void **state) {
    enum { PER_KIND = 20 };
    char urls[3][HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    struct bench_server *deaf = bench_server_start(&(struct bench_server_options){.backlog = 1});
    bench_server_set_accepting(deaf, false);
    bench_server_url(server, "/size/1?silent=1", urls[0], HOST_URL_MAX);
    bench_server_url(server, "/size/100000?drip=1000&gap_ms=3600000", urls[1], HOST_URL_MAX);
    bench_server_url(deaf, "/size/1", urls[2], HOST_URL_MAX);
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = PER_KIND + 4}, NULL);
    for (uint32_t i = 0; i < 3 * PER_KIND; i++) {
        host_get(&host, i, urls[i % 3]);
    }
    until_heard(server, PER_KIND + 4);
    host_close_and_wait(&host, 0);
    assert_int_equal(host.num_ended, 3 * PER_KIND);
    for (uint32_t i = 0; i < 3 * PER_KIND; i++) {
        assert_int_equal(host.records[i].summary.failure.code, QUOIT_ERR_CLOSED);
        bool is_sent = host.records[i].summary.attempts > 0;
        assert_int_equal(host.records[i].summary.failure.retry_safe, !is_sent);
    }
    host_destroy(&host);
    bench_server_stop(deaf);
    bench_server_stop(server);
}

static void each_port_hears_closed_once_and_last(void **state) {
    enum { PORTS = 5 };
    struct quoit_port ports[PORTS];
    struct quoit_event events[4];
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1?silent=1", url, sizeof url);
    host_start(&host, NULL, NULL);
    for (int i = 0; i < PORTS; i++) {
        assert_int_equal(quoit_port_create(host.engine, NULL, &ports[i]), QUOIT_OK);
        struct quoit_request *request = host_request("GET", url);
        assert_int_equal(quoit_submit(host.engine, ports[i], request, 7, NULL), QUOIT_OK);
        quoit_request_release(request);
    }
    host_close_and_wait(&host, 0);
    for (int i = 0; i < PORTS; i++) {
        int32_t count = 0;
        while (count < 2) {
            int32_t more = quoit_port_wait(ports[i], events + count, sizeof events[0], 4 - (size_t)count, HOST_WAIT_MS);
            assert_true(more > 0);
            count += more;
            assert_int_equal(quoit_port_advance(ports[i]), QUOIT_OK);
        }
        assert_int_equal(count, 2);
        assert_int_equal(events[0].type, QUOIT_EVENT_FAILED);
        assert_int_equal(events[0].user_data, 7);
        assert_int_equal(events[1].type, QUOIT_EVENT_CLOSED);
        assert_int_equal(events[1].request.id, 0);
        assert_int_equal(quoit_port_drain(ports[i], events, sizeof events[0], 4), 0);
    }
    host_destroy(&host);
    bench_server_stop(server);
}

enum { CLOSERS = 8 };

static void *close_it(void *argument) {
    const struct host *closing = argument;
    assert_int_equal(quoit_engine_close(closing->engine, 0), QUOIT_OK);
    return NULL;
}

static void many_threads_may_close_at_once(void **state) {
    pthread_t threads[CLOSERS];
    (void)state;
    for (int round = 0; round < 20; round++) {
        host_start(&host, NULL, NULL);
        for (int i = 0; i < CLOSERS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, close_it, &host), 0);
        }
        for (int i = 0; i < CLOSERS; i++) {
            pthread_join(threads[i], NULL);
        }
        host_stop(&host);
        assert_int_equal(host.num_closed, 1);
    }
}

// Undrained events are dropped with the engine, and what they hold with them.
static void an_engine_is_destroyed_with_events_that_nobody_drained(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/30000", url, sizeof url);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("GET", url);
    struct quoit_port other;
    assert_int_equal(quoit_port_create(host.engine, NULL, &other), QUOIT_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(quoit_submit(host.engine, other, request, 0, NULL), QUOIT_OK);
    }
    host_until(&host, host_is_pending, 0);
    host_close_and_wait(&host, 0);
    host_destroy(&host);
    quoit_request_release(request);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending_requests_may_finish_while_new_ones_are_refused),
        cmocka_unit_test(the_drain_has_an_end),
        cmocka_unit_test(a_second_close_only_shortens_the_first),
        cmocka_unit_test(requests_in_every_state_are_ended_once),
        cmocka_unit_test(each_port_hears_closed_once_and_last),
        cmocka_unit_test(many_threads_may_close_at_once),
        cmocka_unit_test(an_engine_is_destroyed_with_events_that_nobody_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// An engine without a thread: the host watches its descriptor, asks how long it may wait, and ticks.
#include "tests/engine/core/host.h"

#include <poll.h>
#include <unistd.h>

#include "bench/server/server.h"

static struct host host;
static char the_url[HOST_URL_MAX];

static const struct quoit_engine_options k_driven = {.mode = QUOIT_ENGINE_HOST_DRIVEN};

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

static void a_poll_loop_drives_requests_in_both_port_modes(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/30000");
    for (uint32_t mode = QUOIT_PORT_EVENTFD; mode <= QUOIT_PORT_INLINE; mode++) {
        host_start(&host, &k_driven, &(struct quoit_port_options){.mode = mode});
        assert_true(quoit_engine_fd(host.engine) >= 0);
        for (uint32_t i = 0; i < 50; i++) {
            host_get(&host, i, the_url);
        }
        host_wait_all(&host, 50);
        for (uint32_t i = 50; i < 100; i++) { // one at a time, so that it sleeps in between
            host_fetch(&host, i, the_url, 30000);
        }
        for (uint32_t i = 0; i < 50; i++) {
            host_assert_done(&host.records[i], 30000);
            assert_false(host.records[i].is_foreign);
        }
        host_stop(&host);
    }
    bench_server_stop(server);
}

static void nothing_happens_between_ticks(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, &k_driven, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host_get(&host, 0, the_url);
    struct bench_server_counters counters;
    bench_server_counters(server, &counters);
    assert_int_equal(counters.accepted, 0);
    assert_int_equal(host_info(&host).ticks, 0);
    assert_int_equal(host.num_ended, 0);
    host_assert_done(host_wait(&host, 0), 10);
    host_stop(&host);
    bench_server_stop(server);
}

// What a slot's last tenant left behind is never told of the next one, which the loop has not seen yet.
static void a_request_that_no_tick_has_seen_tells_nothing_of_another(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10?delay_ms=5");
    struct quoit_engine_options options = k_driven;
    options.requests_max = 1;
    host_start(&host, &options, NULL);
    host_get(&host, 0, the_url);
    host_assert_done(host_wait(&host, 0), 10);
    assert_true(host.records[0].summary.spent_ns[QUOIT_STAGE_AWAITING] > 0);
    host_until(&host, host_is_pending, 0);
    host_get(&host, 1, the_url);
    assert_int_equal((uint32_t)host.records[1].handle.id, (uint32_t)host.records[0].handle.id); // the same slot
    struct quoit_request_state now = {.struct_size = sizeof now};
    assert_int_equal(quoit_request_state(host.engine, host.records[1].handle, &now), QUOIT_OK);
    assert_int_equal(now.stage, QUOIT_STAGE_NONE);
    assert_int_equal(now.stage_ns, 0);
    for (int stage = 0; stage < QUOIT_STAGES; stage++) {
        assert_int_equal(now.spent_ns[stage], 0);
    }
    host_assert_done(host_wait(&host, 1), 10);
    host_stop(&host);
    bench_server_stop(server);
}

static void timeouts_bound_the_wait(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, &k_driven, NULL);
    while (quoit_engine_tick(host.engine) > 0) {
    }
    assert_int_equal(quoit_engine_timeout_ms(host.engine), -1); // nothing to do, ever
    struct quoit_request *request = host_request("GET", the_url);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .total_ms = 100};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, 0, request);
    struct pollfd wait = {.fd = quoit_engine_fd(host.engine), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, HOST_WAIT_MS), 1); // the submit rang
    while (quoit_engine_tick(host.engine) > 0) {
    }
    int64_t timeout_ms = quoit_engine_timeout_ms(host.engine);
    assert_true(timeout_ms >= 0 && timeout_ms <= 101);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD);
    host_stop(&host);
    bench_server_stop(server);
}

struct elsewhere {
    int32_t tick;
    int64_t timeout_ms;
    int32_t port;
    int32_t submit;
    int32_t info;
};

static void *call_elsewhere(void *argument) {
    struct elsewhere *codes = argument;
    struct quoit_port port;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    struct quoit_request *request = NULL;
    codes->tick = quoit_engine_tick(host.engine);
    codes->timeout_ms = quoit_engine_timeout_ms(host.engine);
    codes->port = quoit_port_create(host.engine, NULL, &port);
    codes->info = quoit_engine_info(host.engine, &info);
    if (quoit_request_new("GET", the_url, &request) == QUOIT_OK) {
        host.records[0].is_submitted = true;
        codes->submit = quoit_submit(host.engine, host.port, request, 0, &host.records[0].handle);
        quoit_request_release(request);
    }
    return NULL;
}

static void the_first_thread_that_ticks_is_the_loop_thread(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, &k_driven, NULL);
    assert_true(quoit_engine_tick(host.engine) >= 0);
    struct elsewhere codes;
    pthread_t thread;
    memset(&codes, 0xff, sizeof codes);
    assert_int_equal(pthread_create(&thread, NULL, call_elsewhere, &codes), 0);
    pthread_join(thread, NULL);
    assert_int_equal(codes.tick, -QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(codes.timeout_ms, 0);
    assert_int_equal(codes.port, QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(codes.info, QUOIT_OK);
    assert_int_equal(codes.submit, QUOIT_OK);
    host_assert_done(host_wait(&host, 0), 10);
    host_stop(&host);
    bench_server_stop(server);
}

static int32_t inner_tick;
static int32_t inner_destroy;

static void tick_inside(struct host *from, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_DONE) {
        inner_tick = quoit_engine_tick(from->engine);
        inner_destroy = quoit_engine_destroy(from->engine);
    }
}

static void a_tick_inside_a_tick_is_refused(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, &k_driven, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = tick_inside;
    host_get(&host, 0, the_url);
    host_assert_done(host_wait(&host, 0), 10);
    assert_int_equal(inner_tick, -QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(inner_destroy, QUOIT_ERR_WRONG_THREAD);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_threaded_engine_is_not_ticked(void **state) {
    (void)state;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_engine_tick(host.engine), -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(quoit_engine_fd(host.engine), -1);
    assert_int_equal(quoit_engine_timeout_ms(host.engine), 0);
    host_stop(&host);
}

static void an_engine_that_was_never_ticked_can_be_closed(void **state) {
    (void)state;
    host_start(&host, &k_driven, NULL);
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_NOT_CLOSED);
    host_stop(&host);
    host_start(&host, &k_driven, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host_stop(&host);
}

static void a_closed_engine_wants_no_ticks(void **state) {
    (void)state;
    host_start(&host, &k_driven, NULL);
    host_close_and_wait(&host, 0);
    assert_int_equal(quoit_engine_tick(host.engine), 0);
    assert_true(quoit_engine_fd(host.engine) >= 0); // a host that still watches it watches no stranger's
    assert_int_equal(quoit_engine_timeout_ms(host.engine), -1);
    // The ring's last signals, and late doorbells, come when nothing looks at the descriptor any more but a tick: a host
    // that may not destroy yet would else be called by it again and again.
    struct pollfd watched = {.fd = quoit_engine_fd(host.engine), .events = POLLIN};
    uint64_t one = 1;
    assert_int_equal(write(watched.fd, &one, sizeof one), sizeof one);
    assert_int_equal(poll(&watched, 1, 0), 1);
    assert_int_equal(quoit_engine_tick(host.engine), 0);
    assert_int_equal(poll(&watched, 1, 0), 0);
    host_destroy(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_loop_drives_requests_in_both_port_modes),
        cmocka_unit_test(nothing_happens_between_ticks),
        cmocka_unit_test(a_request_that_no_tick_has_seen_tells_nothing_of_another),
        cmocka_unit_test(timeouts_bound_the_wait),
        cmocka_unit_test(the_first_thread_that_ticks_is_the_loop_thread),
        cmocka_unit_test(a_tick_inside_a_tick_is_refused),
        cmocka_unit_test(a_threaded_engine_is_not_ticked),
        cmocka_unit_test(an_engine_that_was_never_ticked_can_be_closed),
        cmocka_unit_test(a_closed_engine_wants_no_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

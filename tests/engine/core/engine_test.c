// The life of engines: many in sequence, many at a time, each with requests in flight; who may end one, and when.
#include "tests/engine/core/host.h"

#include "bench/server/gate.h"
#include "bench/server/server.h"
#include "tests/bench/raw_client.h"

enum { ENGINES_IN_SEQUENCE = 200, ENGINES_AT_A_TIME = 8 };

static struct host host;
static struct host hosts[ENGINES_AT_A_TIME];

static struct bench_server *server_start(char *url, const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, url, HOST_URL_MAX);
    return server;
}

static void engines_come_and_go_with_requests_in_flight(void **state) {
    char url[HOST_URL_MAX];
    char silent_url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/100");
    bench_server_url(server, "/size/1?silent=1", silent_url, sizeof silent_url);
    for (int i = 0; i < ENGINES_IN_SEQUENCE; i++) {
        host_start(&host, NULL, NULL);
        host_get(&host, 1, silent_url);
        host_get(&host, 2, url);
        if (i % 2 == 0) { // else both are in flight, in whatever state
            host_assert_done(host_wait(&host, 2), 100);
        }
        host_stop(&host);
        assert_int_equal(host.records[1].end_type, QUOIT_EVENT_FAILED);
        assert_int_equal(host.records[1].summary.failure.code, QUOIT_ERR_CLOSED);
    }
    bench_server_stop(server);
}

static void an_engine_leaves_no_descriptor_behind(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    unsigned fds_before = raw_num_fds();
    for (int i = 0; i < 5; i++) {
        struct bench_server *server = server_start(url, "/size/100");
        host_start(&host, NULL, NULL);
        host_fetch(&host, 0, url, 100);
        host_stop(&host);
        bench_server_stop(server);
        assert_int_equal(raw_num_fds(), fds_before);
    }
}

static void engines_live_beside_each_other(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/5000");
    for (int i = 0; i < ENGINES_AT_A_TIME; i++) {
        host_start(&hosts[i], NULL, NULL);
    }
    for (uint32_t round = 0; round < 10; round++) {
        for (int i = 0; i < ENGINES_AT_A_TIME; i++) {
            host_get(&hosts[i], round, url);
        }
        for (int i = 0; i < ENGINES_AT_A_TIME; i++) {
            host_assert_done(host_wait(&hosts[i], round), 5000);
        }
    }
    // The ends in another order than the beginnings; those that are left work on.
    for (int i = 0; i < ENGINES_AT_A_TIME; i += 2) {
        host_stop(&hosts[i]);
        host_fetch(&hosts[i + 1], 10, url, 5000);
    }
    for (int i = 1; i < ENGINES_AT_A_TIME; i += 2) {
        host_stop(&hosts[i]);
    }
    bench_server_stop(server);
}

static void an_engine_that_is_not_closed_is_not_destroyed(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/10");
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_NOT_CLOSED);
    host_fetch(&host, 0, url, 10); // and nothing happened to it
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_NOT_CLOSED);
    host_stop(&host);
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_STALE_HANDLE);
    bench_server_stop(server);
}

// Takes every piece of body; the test's own thread drains.
struct taken {
    struct quoit_slice slices[16];
    int count;
};

static void take(struct host *from, const struct quoit_event *event) {
    struct taken *taken = from->context;
    if (event->type == QUOIT_EVENT_DATA) {
        assert_int_equal(quoit_port_take(from->port, event, &taken->slices[taken->count++]), QUOIT_OK);
    }
}

static void a_taken_slice_keeps_a_closed_engine(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/10");
    struct taken taken = {0};
    host_start(&host, NULL, NULL);
    host.on_event = take;
    host.context = &taken;
    host_fetch(&host, 0, url, 10);
    assert_int_equal(taken.count, 1);
    host_close_and_wait(&host, 0);
    assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_BUSY);
    assert_int_equal(taken.slices[0].len, 10);
    assert_int_equal(((const unsigned char *)taken.slices[0].data)[9], 9); // the memory is still there
    assert_int_equal(quoit_slice_release(host.engine, &taken.slices[0]), QUOIT_OK);
    assert_int_equal(quoit_slice_release(host.engine, &taken.slices[0]), QUOIT_OK); // zeroed: nothing
    host_destroy(&host);
    bench_server_stop(server);
}

struct from_inside {
    int32_t destroy_code;
    int32_t close_code;
    int32_t tick_code;
    int32_t fd;
    int32_t port_code;
    int32_t drain_code;
    int32_t advance_code;
};

static void call_from_inside(struct host *from, const struct quoit_event *event) {
    struct from_inside *codes = from->context;
    struct quoit_event drained;
    struct quoit_port port;
    if (event->type != QUOIT_EVENT_DONE) {
        return;
    }
    codes->destroy_code = quoit_engine_destroy(from->engine);
    codes->tick_code = quoit_engine_tick(from->engine);
    codes->fd = quoit_engine_fd(from->engine);
    codes->drain_code = quoit_port_drain(from->port, &drained, sizeof drained, 1);
    codes->advance_code = quoit_port_advance(from->port);
    codes->port_code = quoit_port_create(from->engine, NULL, &port); // does not wait for itself
    codes->close_code = quoit_engine_close(from->engine, 0);
}

static void an_inline_callback_may_close_but_not_destroy_its_engine(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/10");
    struct from_inside codes;
    memset(&codes, 0xff, sizeof codes);
    host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = call_from_inside;
    host.context = &codes;
    host_fetch(&host, 0, url, 10);
    host_close_and_wait(&host, 1000000); // a second close; it does not make the first one longer
    assert_int_equal(codes.destroy_code, QUOIT_ERR_WRONG_THREAD);
    assert_int_equal(codes.tick_code, -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(codes.fd, -1);
    assert_int_equal(codes.drain_code, -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(codes.advance_code, QUOIT_ERR_WRONG_MODE);
    assert_int_equal(codes.port_code, QUOIT_OK);
    assert_int_equal(codes.close_code, QUOIT_OK);
    host_destroy(&host);
    bench_server_stop(server);
}

// Each answer asks for the next request, from the loop thread; the last one closes.
static void ask_again(struct host *from, const struct quoit_event *event) {
    struct quoit_request *request = from->context;
    if (event->type == QUOIT_EVENT_DONE && event->user_data < 99) {
        uint32_t next = (uint32_t)event->user_data + 1;
        from->records[next].is_submitted =
            quoit_submit(from->engine, from->port, request, next, &from->records[next].handle) == QUOIT_OK;
    }
}

static void an_inline_callback_may_submit(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start(url, "/size/10");
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = ask_again;
    host.context = request;
    host_get(&host, 0, url);
    host_wait_all(&host, 100);
    assert_int_equal(host_info(&host).connections_opened, 1);
    host_stop(&host);
    quoit_request_release(request);
    bench_server_stop(server);
}

static void a_callback_that_was_not_given_is_refused(void **state) {
    struct quoit_port_options options = {.struct_size = sizeof options, .mode = QUOIT_PORT_INLINE};
    struct quoit_port port;
    (void)state;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_create(host.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_port_options){.struct_size = sizeof options, .mode = 2};
    assert_int_equal(quoit_port_create(host.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_port_options){.struct_size = sizeof options, .capacity = UINT32_MAX};
    assert_int_equal(quoit_port_create(host.engine, &options, &port), QUOIT_ERR_INVALID_ARGUMENT);
    options = (struct quoit_port_options){.struct_size = 2};
    assert_int_equal(quoit_port_create(host.engine, &options, &port), QUOIT_ERR_INVALID_STRUCT_SIZE);
    host_stop(&host);
}

static void the_thread_has_a_name_and_takes_no_signals(void **state) {
    (void)state;
    host_start(&host, NULL, NULL);
    bool is_found = false;
    FILE *tasks = popen("cat /proc/$PPID/task/*/status", "r"); // $PPID of the shell is this process
    char line[256];
    bool is_here = false;
    assert_non_null(tasks);
    while (fgets(line, sizeof line, tasks) != NULL) {
        if (strncmp(line, "Name:", 5) == 0) {
            is_here = strcmp(line, "Name:\tquoit\n") == 0;
        }
        unsigned long long blocked;
        if (is_here && sscanf(line, "SigBlk: %llx", &blocked) == 1) {
            is_found = true;
            // All but SIGKILL and SIGSTOP, which cannot be, and 32 and 33, which libc keeps to itself.
            assert_int_equal(blocked | 0x40100ull | 0x180000000ull, UINT64_MAX);
        }
    }
    pclose(tasks);
    assert_true(is_found);
    host_stop(&host);
}

// Beside hosts that submit, cancel and close while it looks for work.
static void an_engine_that_spins_serves_as_any_other(void **state) {
    enum { NUM = 60 };
    (void)state;
    char url[HOST_URL_MAX];
    struct bench_server *server = server_start(url, "/size/1000");
    host_start(&host, &(struct quoit_engine_options){.spin_us = 1000}, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        host_get(&host, i, url);
        if (i % 3 == 0) {
            int32_t code = quoit_cancel(host.engine, host.records[i].handle);
            assert_true(code == QUOIT_OK || code == QUOIT_ERR_STALE_HANDLE); // it may be over already
        }
        const struct host_record *record = host_wait(&host, i);
        assert_true(record->end_type == QUOIT_EVENT_DONE || i % 3 == 0);
    }
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_come_and_go_with_requests_in_flight),
        cmocka_unit_test(an_engine_leaves_no_descriptor_behind),
        cmocka_unit_test(engines_live_beside_each_other),
        cmocka_unit_test(an_engine_that_is_not_closed_is_not_destroyed),
        cmocka_unit_test(a_taken_slice_keeps_a_closed_engine),
        cmocka_unit_test(an_inline_callback_may_close_but_not_destroy_its_engine),
        cmocka_unit_test(an_inline_callback_may_submit),
        cmocka_unit_test(a_callback_that_was_not_given_is_refused),
        cmocka_unit_test(an_engine_that_spins_serves_as_any_other),
        cmocka_unit_test(the_thread_has_a_name_and_takes_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

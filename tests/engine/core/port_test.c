// A port's room: what submits reserve, what data waits for, and what a host that stalls costs the others.
#include "tests/engine/core/host.h"

#include <sched.h>
#include <time.h>

#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum { SMALL = 16, FITS = 5 }; // a port of 16 slots: 5 for data, 1 for CLOSED, and 10 for five requests

static struct host host;
static char the_url[HOST_URL_MAX];

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

// Submits until the port has room again, which it must have without any event: the host has advanced over all.
static void submit_when_there_is_room(uint32_t index, struct quoit_request *request) {
    int32_t code;
    time_t end = time(NULL) + HOST_WAIT_MS / 1000;
    do {
        assert_true(time(NULL) <= end);
        code = quoit_submit(host.engine, host.port, request, index, &host.records[index].handle);
        assert_true(code == QUOIT_OK || code == QUOIT_ERR_PORT_FULL);
        sched_yield();
    } while (code != QUOIT_OK);
    host.records[index].is_submitted = true;
}

static void each_pending_request_reserves_its_room(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < FITS; i++) {
            submit_when_there_is_room(round * FITS + i, request);
        }
        assert_int_equal(quoit_submit(host.engine, host.port, request, 1000, NULL), QUOIT_ERR_PORT_FULL);
        host_wait_all(&host, (round + 1) * FITS);
    }
    quoit_request_release(request);
    host_stop(&host);
    bench_server_stop(server);
}

// A request that fails before its head gives back the room for it.
static void requests_that_fail_give_all_of_their_room_back(void **state) {
    (void)state;
    struct quoit_request *request = host_request("GET", "http://127.0.0.1:1/"); // nobody listens there
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < FITS; i++) {
            submit_when_there_is_room(round * FITS + i, request);
        }
        host_wait_all(&host, (round + 1) * FITS);
    }
    quoit_request_release(request);
    host_stop(&host);
}

static void a_full_port_does_not_keep_others_from_their_room(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    char url[HOST_URL_MAX];
    bench_server_url(server, "/size/10", url, sizeof url);
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
    struct quoit_request *request = host_request("GET", the_url);
    for (uint32_t i = 0; i < FITS; i++) {
        submit_when_there_is_room(i, request);
    }
    assert_int_equal(quoit_submit(host.engine, host.port, request, 1000, NULL), QUOIT_ERR_PORT_FULL);
    quoit_request_release(request);
    struct quoit_port port;
    struct quoit_event events[8];
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    request = host_request("GET", url);
    assert_int_equal(quoit_submit(host.engine, port, request, 1, NULL), QUOIT_OK);
    quoit_request_release(request);
    for (uint32_t last = 0; last != QUOIT_EVENT_DONE;) {
        int32_t count = quoit_port_wait(port, events, sizeof events[0], 8, HOST_WAIT_MS);
        assert_true(count > 0);
        last = events[count - 1].type;
        assert_int_equal(quoit_port_advance(port), QUOIT_OK);
    }
    host_stop(&host);
    bench_server_stop(server);
}

// More pieces than the port has room for: they wait in the connection, and none is lost.
static void data_waits_for_room_and_nothing_is_lost(void **state) {
    static const char *const k_paths[] = {"/size/60000?chunked=50", "/size/5000?chunked=1&trailers=1",
                                          "/size/3000?early=10&chunked=100&trailers=1", "/size/2000?drip=40"};
    (void)state;
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        struct bench_server *server = server_start(k_paths[i]);
        host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
        uint64_t len = strtoull(strstr(k_paths[i], "size/") + 5, NULL, 10);
        for (uint32_t request = 0; request < FITS; request++) {
            host_get(&host, request, the_url);
        }
        struct quoit_event event; // one at a time, the slowest host there is
        while (host.num_ended < FITS) {
            assert_int_equal(quoit_port_wait(host.port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
            host_note(&host, &event);
            assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
        }
        for (uint32_t request = 0; request < FITS; request++) {
            const struct host_record *record = host_wait(&host, request);
            host_assert_done(record, len);
            assert_false(record->is_foreign);
            assert_int_equal(record->num_informational, strstr(k_paths[i], "early") != NULL ? 10 : 0);
            assert_int_equal(record->num_trailers, strstr(k_paths[i], "trailers") != NULL ? 1 : 0);
        }
        host_stop(&host);
        bench_server_stop(server);
    }
}

static uint32_t stage_of(uint32_t index) {
    struct quoit_request_state state = {.struct_size = sizeof state};
    assert_int_equal(quoit_request_state(host.engine, host.records[index].handle, &state), QUOIT_OK);
    return state.stage;
}

// Drains until `num` pieces of body have come, and leaves everything that was drained in its place.
static void wait_for_pieces(uint32_t num) {
    struct quoit_event events[SMALL];
    for (uint32_t seen = 0; seen < num;) {
        int32_t count = quoit_port_wait(host.port, events, sizeof events[0], SMALL, HOST_WAIT_MS);
        assert_true(count > 0); // 0: somebody was not served
        for (int32_t i = 0; i < count; i++) {
            host_note(&host, &events[i]);
            seen += events[i].type == QUOIT_EVENT_DATA;
        }
    }
}

// The port is full of the first pieces, and each request waits with its second one. One advance makes room for them all;
// who were served one by one would wait for advances that the host has no reason to make.
static void one_advance_serves_all_that_it_makes_room_for(void **state) {
    (void)state;
    static struct bench_gate gate;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"},
        {.kind = BENCH_WAIT, .gate = &gate},
        {.kind = BENCH_SEND, .bytes = "b"},
        {0}};
    bench_gate_init(&gate);
    struct bench_scripted *scripted = bench_scripted_start_one(k_script);
    assert_non_null(scripted);
    bench_scripted_url(scripted, "/", the_url, sizeof the_url);
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
    for (uint32_t i = 0; i < FITS; i++) {
        host_get(&host, i, the_url);
    }
    wait_for_pieces(FITS);
    for (uint32_t i = 0; i < FITS; i++) {
        bench_gate_open(&gate);
    }
    time_t end = time(NULL) + HOST_WAIT_MS / 1000;
    for (uint32_t i = 0; i < FITS; i++) {
        while (stage_of(i) != QUOIT_STAGE_PAUSED) {
            assert_true(time(NULL) <= end);
            sched_yield();
        }
    }
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    wait_for_pieces(FITS);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    host_wait_all(&host, FITS);
    for (uint32_t i = 0; i < FITS; i++) {
        host_assert_done(&host.records[i], 2);
        assert_string_equal(host.records[i].text, "ab");
    }
    host_stop(&host);
    bench_scripted_stop(scripted);
    bench_gate_deinit(&gate);
}

// While one host does nothing, another one on the same engine gets all of its bytes; then the first one does, too.
static void a_host_that_stalls_stalls_nobody_else(void **state) {
    enum { LEN = 2000000 };
    (void)state;
    struct bench_server *server = server_start("/size/2000000");
    host_start(&host, NULL, NULL);
    host_get(&host, 0, the_url);
    struct quoit_port port;
    struct quoit_event events[16];
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    struct quoit_request *request = host_request("GET", the_url);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(quoit_submit(host.engine, port, request, 1, NULL), QUOIT_OK);
        uint64_t len = 0;
        for (uint32_t last = 0; last != QUOIT_EVENT_DONE;) {
            int32_t count = quoit_port_wait(port, events, sizeof events[0], 16, HOST_WAIT_MS);
            assert_true(count > 0);
            for (int32_t i = 0; i < count; i++) {
                last = events[i].type;
                assert_int_not_equal(last, QUOIT_EVENT_FAILED);
                len += last == QUOIT_EVENT_DATA ? events[i].u.data.len : 0;
            }
            assert_int_equal(quoit_port_advance(port), QUOIT_OK);
        }
        assert_int_equal(len, LEN);
    }
    quoit_request_release(request);
    assert_int_equal(host.records[0].body_len, 0); // it has not looked yet
    host_assert_done(host_wait(&host, 0), LEN);
    assert_false(host.records[0].is_foreign);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_port_that_is_canceled_out_of_its_wait_for_room_ends_once(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/60000?chunked=50");
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = SMALL});
    for (uint32_t i = 0; i < FITS; i++) {
        host_get(&host, i, the_url);
    }
    struct quoit_event event;
    assert_int_equal(quoit_port_wait(host.port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
    host_note(&host, &event);
    for (uint32_t i = 0; i < FITS; i++) {
        assert_int_equal(quoit_cancel(host.engine, host.records[i].handle), QUOIT_OK);
    }
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    host_wait_all(&host, FITS);
    host_until(&host, host_is_pending, 0);
    host_stop(&host);
    bench_server_stop(server);
}

static void drop_event(void *context, const struct quoit_event *event) {
    (void)context;
    (void)event;
}

static void ports_are_bounded(void **state) {
    (void)state;
    struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_INLINE, .capacity = SMALL, .on_event = drop_event};
    host_start(&host, NULL, NULL);
    int32_t code = QUOIT_OK;
    int num = 1; // the host's own
    while (code == QUOIT_OK) {
        struct quoit_port port;
        code = quoit_port_create(host.engine, &options, &port);
        num += code == QUOIT_OK;
        assert_true(num <= 256);
    }
    assert_int_equal(code, QUOIT_ERR_PORTS_MAX);
    assert_int_equal(num, 256);
    host_stop(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pending_request_reserves_its_room),
        cmocka_unit_test(requests_that_fail_give_all_of_their_room_back),
        cmocka_unit_test(a_full_port_does_not_keep_others_from_their_room),
        cmocka_unit_test(data_waits_for_room_and_nothing_is_lost),
        cmocka_unit_test(one_advance_serves_all_that_it_makes_room_for),
        cmocka_unit_test(a_host_that_stalls_stalls_nobody_else),
        cmocka_unit_test(a_port_that_is_canceled_out_of_its_wait_for_room_ends_once),
        cmocka_unit_test(ports_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

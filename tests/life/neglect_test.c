// Hosts that neglect what they are given: that never drain a port, or drain and never advance, or let requests wait for
// credit that never comes, or keep pieces of bodies. Their requests stand still, in bounded memory; those of others go on;
// and the engine closes and is destroyed with all of it as it stands, and nothing is left.
#include "tests/life/life.h"

#include <poll.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "tests/support/failalloc.h"

enum {
    NUM_NEGLECTED = 12,
    NUM_OTHERS = 30,
    NUM_KEPT = 4,           // pieces that are taken
    BODY = 4000000,         // more than credit, port and memory let in
    MEMORY_MAX = 8 << 20,   // credit of all that is neglected, 256 KiB each, and room for the others
    SMALL_PORT = 64,
    DRAIN_MS = 20,          // over, because what is neglected does not end
};

enum neglect { NEVER_DRAINS, NEVER_ADVANCES, FULL_PORT, NO_CREDIT, KEEPS, NEGLECTS };

static struct {
    struct bench_server *server;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct quoit_engine engine;
    struct quoit_port neglected;
    struct quoit_port port; // of a host that looks after its own
    bool is_driven;
    struct quoit_slice kept[NUM_KEPT];
    unsigned num_kept;
    unsigned num_ends; // of the neglected, seen before the close
} scene;

static struct quoit_engine_info engine_info(void) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(scene.engine, &info), QUOIT_OK);
    return info;
}

static void drive(void) {
    if (scene.is_driven) {
        struct pollfd wait = {.fd = quoit_engine_fd(scene.engine), .events = POLLIN};
        poll(&wait, 1, quoit_engine_timeout_ms(scene.engine) == 0 ? 0 : 1);
        assert_true(quoit_engine_tick(scene.engine) >= 0);
    }
}

static void open_engine(enum neglect neglect, uint32_t mode) {
    struct quoit_port_options small = {.struct_size = sizeof small,
                                       .capacity = neglect == FULL_PORT ? SMALL_PORT : 0};
    scene.failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(scene.failalloc);
    scene.allocator =
        (struct quoit_allocator){.allocate = alloc->allocate, .release = alloc->release, .context = alloc->context};
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .mode = mode,
                                           .memory_max = MEMORY_MAX,
                                           .allocator = &scene.allocator,
                                           .tls = host_route.tls};
    scene.is_driven = mode == QUOIT_ENGINE_HOST_DRIVEN;
    scene.num_kept = 0;
    scene.num_ends = 0;
    assert_int_equal(quoit_engine_create(&options, &scene.engine, NULL), QUOIT_OK);
    assert_int_equal(quoit_port_create(scene.engine, &small, &scene.neglected), QUOIT_OK);
    assert_int_equal(quoit_port_create(scene.engine, NULL, &scene.port), QUOIT_OK);
}

static void submit_neglected(enum neglect neglect) {
    char url[HOST_URL_MAX];
    snprintf(url, sizeof url, "/size/%d?chunked=1000", BODY);
    struct quoit_request *request = NULL;
    char full[HOST_URL_MAX];
    bench_server_url(scene.server, url, full, sizeof full);
    request = host_request("GET", full);
    if (neglect == NO_CREDIT) {
        assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
    }
    for (unsigned i = 0; i < NUM_NEGLECTED; i++) {
        assert_int_equal(quoit_submit(scene.engine, scene.neglected, request, i, NULL), QUOIT_OK);
    }
    quoit_request_release(request);
}

// One look at the neglected port, and what is done with it.
static void neglect_some(enum neglect neglect) {
    struct quoit_event events[8];
    if (neglect == NEVER_DRAINS || neglect == FULL_PORT) {
        return;
    }
    int32_t num = quoit_port_drain(scene.neglected, events, sizeof events[0], 8);
    assert_true(num >= 0);
    for (int32_t i = 0; i < num; i++) {
        scene.num_ends += events[i].type == QUOIT_EVENT_DONE || events[i].type == QUOIT_EVENT_FAILED;
        if (neglect == KEEPS && events[i].type == QUOIT_EVENT_DATA && scene.num_kept < NUM_KEPT) {
            assert_int_equal(quoit_port_take(scene.neglected, &events[i], &scene.kept[scene.num_kept++]), QUOIT_OK);
        }
    }
    if (neglect == NO_CREDIT || (neglect == KEEPS && scene.num_kept < NUM_KEPT)) {
        assert_int_equal(quoit_port_advance(scene.neglected), QUOIT_OK);
    }
}

// Others' requests go through, one after another, whole, while the neglected stand.
static void others_go_on(enum neglect neglect) {
    char url[HOST_URL_MAX];
    struct quoit_request *request =
        host_request("GET", bench_server_url(scene.server, "/size/100000", url, sizeof url));
    for (unsigned i = 0; i < NUM_OTHERS; i++) {
        struct quoit_event event = {0};
        uint64_t len = 0;
        assert_int_equal(quoit_submit(scene.engine, scene.port, request, i, NULL), QUOIT_OK);
        for (int left_ms = HOST_WAIT_MS; event.type != QUOIT_EVENT_DONE; left_ms--) {
            assert_true(left_ms > 0);
            drive();
            if (quoit_port_wait(scene.port, &event, sizeof event, 1, scene.is_driven ? 0 : 1) == 1) {
                assert_int_not_equal(event.type, QUOIT_EVENT_FAILED);
                len += event.type == QUOIT_EVENT_DATA ? event.u.data.len : 0;
                assert_int_equal(quoit_port_advance(scene.port), QUOIT_OK);
            }
        }
        assert_int_equal(len, 100000);
        neglect_some(neglect);
    }
    quoit_request_release(request);
}

// Only CLOSED is left for the port that is looked after. The other one is not looked at any more.
static void close_engine(uint64_t drain_ms) {
    struct quoit_event event = {0};
    char text[512];
    assert_int_equal(quoit_engine_close(scene.engine, drain_ms), QUOIT_OK);
    for (int left_ms = HOST_WAIT_MS; event.type != QUOIT_EVENT_CLOSED; left_ms--) {
        assert_true(left_ms > 0);
        drive();
        (void)quoit_port_wait(scene.port, &event, sizeof event, 1, scene.is_driven ? 0 : 1);
    }
    assert_int_equal(engine_info().requests_pending, 0);
    for (unsigned i = 0; i < scene.num_kept; i++) {
        assert_int_equal(quoit_engine_destroy(scene.engine), QUOIT_ERR_BUSY);
        assert_int_equal(quoit_slice_release(scene.engine, &scene.kept[i]), QUOIT_OK);
    }
    int32_t code = QUOIT_ERR_NOT_CLOSED;
    for (int left_ms = HOST_WAIT_MS; code == QUOIT_ERR_NOT_CLOSED; left_ms--) {
        assert_true(left_ms > 0);
        drive();
        code = quoit_engine_destroy(scene.engine); // the other port's CLOSED may come a tick later
    }
    assert_int_equal(code, QUOIT_OK);
    if (!q_failalloc_check(scene.failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(scene.failalloc);
}

// What a host that has come back finds: what it was not told in order, one end each, and CLOSED behind them.
static void all_is_there_when_somebody_looks_at_last(void) {
    static uint8_t num_ends[NUM_NEGLECTED];
    struct quoit_event event = {0};
    memset(num_ends, 0, sizeof num_ends);
    assert_int_equal(quoit_engine_close(scene.engine, 0), QUOIT_OK);
    for (int left_ms = HOST_WAIT_MS; event.type != QUOIT_EVENT_CLOSED; left_ms--) {
        assert_true(left_ms > 0);
        drive();
        while (event.type != QUOIT_EVENT_CLOSED &&
               quoit_port_wait(scene.neglected, &event, sizeof event, 1, scene.is_driven ? 0 : 1) == 1) {
            if (event.type == QUOIT_EVENT_FAILED) {
                assert_int_equal(event.u.summary.failure.code, QUOIT_ERR_CLOSED);
                num_ends[event.user_data]++;
            }
            assert_int_equal(quoit_port_advance(scene.neglected), QUOIT_OK);
        }
    }
    for (unsigned i = 0; i < NUM_NEGLECTED; i++) {
        assert_int_equal(num_ends[i], 1);
    }
}

static void neglect_and_end(enum neglect neglect, uint32_t mode, uint64_t drain_ms) {
    unsigned num_fds = life_num_fds();
    scene.server = bench_server_start(NULL);
    assert_non_null(scene.server);
    open_engine(neglect, mode);
    submit_neglected(neglect);
    others_go_on(neglect);
    assert_true(engine_info().buffer_bytes <= MEMORY_MAX);
    assert_int_equal(scene.num_ends, 0);
    assert_int_equal(scene.num_kept, neglect == KEEPS ? NUM_KEPT : 0);
    if (drain_ms == 0 && neglect == NEVER_DRAINS) {
        all_is_there_when_somebody_looks_at_last();
    }
    close_engine(drain_ms);
    bench_server_stop(scene.server);
    host_route_end();
    assert_int_equal(life_num_fds(), num_fds);
}

static void neglected_requests_stand_and_others_go_on(void **state) {
    (void)state;
    for (int neglect = 0; neglect < NEGLECTS; neglect++) {
        neglect_and_end(neglect, QUOIT_ENGINE_THREAD, 0);
        neglect_and_end(neglect, QUOIT_ENGINE_THREAD, DRAIN_MS);
    }
}

static void so_they_do_when_the_host_drives(void **state) {
    (void)state;
    for (int neglect = 0; neglect < NEGLECTS; neglect++) {
        neglect_and_end(neglect, QUOIT_ENGINE_HOST_DRIVEN, 0);
        neglect_and_end(neglect, QUOIT_ENGINE_HOST_DRIVEN, DRAIN_MS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neglected_requests_stand_and_others_go_on),
        cmocka_unit_test(so_they_do_when_the_host_drives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

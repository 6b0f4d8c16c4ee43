// Memory that others sit on: servers that leave heads half done, and a host that reads nothing, want far more of it than
// there is. Whoever asks for something small beside them is answered, and nothing stands still for good.
#include "tests/life/life.h"

#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum {
    MEMORY_MAX = 2 << 20,
    NUM_HALF = 200,   // their heads' chunks would take several times the memory
    NUM_UNREAD = 120, // more than there are buffers, in the ring and in reserve
    UNREAD = 1000000,
    NUM_OTHERS = 5,
    REFUSED_MAX = 5,
    REFUSED_TLS_MAX = 16, // each connection holds more there, and those in the way end a tenth at a time
    SMALL = 100,
    LOOKS_MAX = 20000, // a millisecond apart
};

static struct {
    struct bench_server *others; // another origin
    struct quoit_engine engine;
    struct quoit_port crowd; // of the many
    struct quoit_port port;  // of the one with small requests
    struct quoit_request *small;
} scene;

static struct quoit_engine_info engine_info(void) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(scene.engine, &info), QUOIT_OK);
    return info;
}

static void open_scene(void) {
    struct quoit_engine_options options = {
        .struct_size = sizeof options, .memory_max = MEMORY_MAX, .connections_per_origin_max = NUM_HALF, .tls = host_route.tls};
    struct quoit_port_options large = {.struct_size = sizeof large, .capacity = 65536};
    char url[HOST_URL_MAX];
    char path[32];
    scene.others = bench_server_start(NULL);
    assert_non_null(scene.others);
    assert_int_equal(quoit_engine_create(&options, &scene.engine, NULL), QUOIT_OK);
    assert_int_equal(quoit_port_create(scene.engine, &large, &scene.crowd), QUOIT_OK);
    assert_int_equal(quoit_port_create(scene.engine, NULL, &scene.port), QUOIT_OK);
    snprintf(path, sizeof path, "/size/%d", SMALL);
    scene.small = host_request("GET", bench_server_url(scene.others, path, url, sizeof url));
}

// Only CLOSED is left for the port that was looked after.
static void close_scene(void) {
    struct quoit_event event = {0};
    quoit_request_release(scene.small);
    assert_int_equal(quoit_engine_close(scene.engine, 0), QUOIT_OK);
    while (event.type != QUOIT_EVENT_CLOSED) {
        assert_int_equal(quoit_port_wait(scene.port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
        assert_int_equal(quoit_port_advance(scene.port), QUOIT_OK);
    }
    int32_t code = QUOIT_ERR_NOT_CLOSED;
    for (unsigned looks = 0; code == QUOIT_ERR_NOT_CLOSED; looks++) {
        assert_true(looks < LOOKS_MAX);
        (void)quoit_port_wait(scene.port, &event, sizeof event, 1, 1);
        code = quoit_engine_destroy(scene.engine); // the other port's CLOSED may come a tick later
    }
    assert_int_equal(code, QUOIT_OK);
    bench_server_stop(scene.others);
}

// With `credit` bytes each; 0: as usual.
static void submit_crowd(const char *url, unsigned num, uint64_t credit) {
    struct quoit_request *request = host_request("GET", url);
    if (credit > 0) {
        assert_int_equal(quoit_request_set_credit(request, credit, 0), QUOIT_OK);
    }
    for (unsigned i = 0; i < num; i++) {
        assert_int_equal(quoit_submit(scene.engine, scene.crowd, request, i, NULL), QUOIT_OK);
    }
    quoit_request_release(request);
}

// Receives have come that found no buffer: memory is used up, as far as those may who want it.
static void until_memory_is_short(void) {
    struct quoit_event event;
    for (unsigned looks = 0; engine_info().buffers_starved == 0; looks++) {
        assert_true(looks < LOOKS_MAX);
        assert_int_equal(quoit_port_wait(scene.port, &event, sizeof event, 1, 1), 0);
    }
}

// One that comes while memory is short may have to wait for it as long as those in whose way it is, and end with them.
static void others_are_answered(void) {
    unsigned num_refused = 0;
    for (unsigned num_done = 0; num_done < NUM_OTHERS;) {
        int32_t code = life_ask(scene.engine, scene.port, scene.small);
        assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY);
        num_done += code == QUOIT_OK;
        num_refused += code != QUOIT_OK;
        assert_true(num_refused <= (host_route.tls != NULL ? REFUSED_TLS_MAX : REFUSED_MAX));
    }
    assert_true(engine_info().buffer_bytes <= MEMORY_MAX);
}

static void heads_that_are_left_half_done_keep_nobody_for_ever(void **state) {
    (void)state;
    struct bench_gate all_are_there;
    struct bench_gate goes_on;
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nX: aaaa"},
                                        {.kind = BENCH_OPEN, .gate = &all_are_there},
                                        {.kind = BENCH_WAIT, .gate = &goes_on},
                                        {.kind = BENCH_SEND, .bytes = "aa\r\nContent-Length: 2\r\n\r\nok"},
                                        {0}};
    static uint8_t num_ends[NUM_HALF];
    char url[HOST_URL_MAX];
    unsigned num_done = 0;
    unsigned num_ended = 0;
    if (host_route.tls != NULL) {
        return; // that many handshakes beside what others sit on are not all to be had
    }
    memset(num_ends, 0, sizeof num_ends);
    bench_gate_init(&all_are_there);
    bench_gate_init(&goes_on);
    struct bench_scripted *server = bench_scripted_start_one(script);
    assert_non_null(server);
    open_scene();
    submit_crowd(bench_scripted_url(server, "/", url, sizeof url), NUM_HALF, 0);
    for (unsigned i = 0; i < NUM_HALF; i++) {
        assert_true(bench_gate_wait(&all_are_there, -1, HOST_WAIT_MS));
    }
    until_memory_is_short();
    for (unsigned i = 0; i < NUM_HALF; i++) {
        bench_gate_open(&goes_on);
    }
    others_are_answered();
    while (num_ended < NUM_HALF) {
        struct quoit_event events[16];
        int32_t num = quoit_port_wait(scene.crowd, events, sizeof events[0], 16, HOST_WAIT_MS);
        assert_true(num > 0);
        for (int32_t i = 0; i < num; i++) {
            if (events[i].type == QUOIT_EVENT_DONE || events[i].type == QUOIT_EVENT_FAILED) {
                int32_t code = events[i].u.summary.failure.code;
                assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY);
                num_done += code == QUOIT_OK;
                num_ended++;
                num_ends[events[i].user_data]++;
            }
        }
        assert_int_equal(quoit_port_advance(scene.crowd), QUOIT_OK);
    }
    for (unsigned i = 0; i < NUM_HALF; i++) {
        assert_int_equal(num_ends[i], 1);
    }
    assert_true(num_done > 0); // what was not in anybody's way goes on
    others_are_answered();
    close_scene();
    bench_scripted_stop(server);
    bench_gate_deinit(&all_are_there);
    bench_gate_deinit(&goes_on);
}

// What the host that reads nothing was given, for as long as it likes: no more than its share, and nothing of what the
// others need to go on.
static void unread_stay_in_their_share(void) {
    static struct quoit_event events[65536];
    uint64_t len = 0;
    int32_t num = quoit_port_drain(scene.crowd, events, sizeof events[0], 65536);
    assert_true(num > 0);
    for (int32_t i = 0; i < num; i++) {
        len += events[i].type == QUOIT_EVENT_DATA ? events[i].u.data.len : 0;
    }
    assert_true(len > 0 && len < MEMORY_MAX / 3 * 2);
}

static void unread_bodies_keep_nobody_for_ever(void **state) {
    static const struct {
        const char *form;
        uint64_t credit;
    } k_cases[] = {
        {"", 1},              // a buffer is lent to each
        {"?chunked=1000", 0}, // small pieces are copied
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        char path[64];
        char url[HOST_URL_MAX];
        struct bench_server *server = bench_server_start(NULL);
        assert_non_null(server);
        open_scene();
        snprintf(path, sizeof path, "/size/%d%s", UNREAD, k_cases[i].form);
        submit_crowd(bench_server_url(server, path, url, sizeof url), NUM_UNREAD, k_cases[i].credit);
        until_memory_is_short();
        others_are_answered();
        assert_true(engine_info().requests_pending > 0); // they stand
        unread_stay_in_their_share();
        close_scene();
        bench_server_stop(server);
    }
}

static void keep_large(void *context, const void *data, size_t len) {
    (void)context;
    (void)data;
    (void)len;
}

// Bodies that their servers do not read. In the clear they take no memory of the engine's; by TLS each has some that is
// sealed and cannot go, which is given up like what was received and is not read.
static void bodies_that_are_not_read_keep_nobody_for_ever(void **state) {
    static const char large[LIFE_LARGE];
    struct bench_gate never;
    const struct bench_step script[] = {{.kind = BENCH_WAIT, .gate = &never}, {0}};
    char url[HOST_URL_MAX];
    (void)state;
    bench_gate_init(&never);
    struct bench_scripted *server = bench_scripted_start_one(script);
    assert_non_null(server);
    open_scene();
    struct quoit_request *request = host_request("POST", bench_scripted_url(server, "/", url, sizeof url));
    assert_int_equal(quoit_request_set_body(request, large, sizeof large, keep_large, NULL), QUOIT_OK);
    for (unsigned i = 0; i < NUM_HALF; i++) {
        assert_int_equal(quoit_submit(scene.engine, scene.crowd, request, i, NULL), QUOIT_OK);
    }
    quoit_request_release(request);
    for (unsigned looks = 0; engine_info().connections_opened < NUM_HALF; looks++) {
        struct quoit_event event;
        assert_true(looks < LOOKS_MAX);
        assert_int_equal(quoit_port_wait(scene.port, &event, sizeof event, 1, 1), 0);
    }
    others_are_answered();
    close_scene();
    for (unsigned i = 0; i < BENCH_SCRIPTED_CONNECTIONS_MAX; i++) {
        bench_gate_open(&never);
    }
    bench_scripted_stop(server);
    bench_gate_deinit(&never);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_are_not_read_keep_nobody_for_ever),
        cmocka_unit_test(heads_that_are_left_half_done_keep_nobody_for_ever),
        cmocka_unit_test(unread_bodies_keep_nobody_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

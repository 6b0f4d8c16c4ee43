// Memory: each allocation fails once, in turn, and nothing is lost but what asked; and whatever happens on the wire,
// everything comes back.
#include "tests/engine/core/host.h"

#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/bench/raw_client.h"
#include "tests/support/failalloc.h"

static struct host host;
static struct q_failalloc *failalloc;
static struct quoit_allocator allocator;
static char the_url[HOST_URL_MAX];

static struct quoit_engine_options options_with_allocator(void) {
    failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    allocator =
        (struct quoit_allocator){.allocate = alloc->allocate, .release = alloc->release, .context = alloc->context};
    return (struct quoit_engine_options){.struct_size = sizeof(struct quoit_engine_options), .allocator = &allocator};
}

static void assert_nothing_leaked(const char *what, uint64_t nth) {
    char text[512];
    if (!q_failalloc_check(failalloc, text, sizeof text)) {
        fail_msg("%s %llu: %s", what, (unsigned long long)nth, text);
    }
}

static void free_allocator(void) {
    assert_nothing_leaked("in the end", 0);
    q_failalloc_free(failalloc);
}

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

static void create_gives_everything_back_whatever_fails(void **state) {
    (void)state;
    for (uint32_t mode = QUOIT_ENGINE_THREAD; mode <= QUOIT_ENGINE_HOST_DRIVEN; mode++) {
        struct quoit_engine_options options = options_with_allocator();
        options.mode = mode;
        unsigned fds_before = raw_num_fds();
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            struct quoit_engine engine = {.id = 12345};
            struct quoit_failure failure;
            q_failalloc_fail_at(failalloc, nth);
            int32_t code = quoit_engine_create(&options, &engine, &failure);
            has_failed = q_failalloc_failed(failalloc);
            q_failalloc_fail_at(failalloc, 0);
            assert_int_equal(failure.code, code);
            if (code == QUOIT_OK) { // also where less memory does, such as fewer buffers
                while (quoit_engine_close(engine, 0) == QUOIT_OK && quoit_engine_destroy(engine) != QUOIT_OK) {
                    (void)quoit_engine_tick(engine);
                }
            } else {
                assert_int_equal(code, QUOIT_ERR_NO_MEMORY);
                assert_int_equal(failure.phase, QUOIT_PHASE_CREATE);
                assert_int_equal(engine.id, 12345); // written on success only
            }
            assert_nothing_leaked("create without allocation", nth);
            assert_int_equal(raw_num_fds(), fds_before);
            assert_true(nth < 1000);
        }
        free_allocator();
    }
}

static void a_port_gives_everything_back_whatever_fails(void **state) {
    (void)state;
    struct quoit_engine_options options = options_with_allocator();
    host_start(&host, &options, NULL);
    struct quoit_port port;
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK); // the loop has its buffers now
    uint64_t num_failed = 0;
    int32_t code = QUOIT_ERR_NO_MEMORY;
    for (uint64_t nth = 1; code != QUOIT_OK; nth++) {
        unsigned fds_before = raw_num_fds();
        q_failalloc_fail_at(failalloc, nth);
        code = quoit_port_create(host.engine, NULL, &port);
        num_failed += code != QUOIT_OK;
        assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY);
        assert_true(code == QUOIT_OK || raw_num_fds() == fds_before);
        assert_true(nth < 100);
    }
    assert_true(num_failed > 0);
    q_failalloc_fail_at(failalloc, 0);
    host_stop(&host);
    free_allocator();
}

// An engine whose first request meets the nth failure; a second request then finds it alive and well.
static bool request_survives(const struct bench_server *server, const char *method, const char *path, uint64_t len,
                             uint32_t mode, uint64_t nth) {
    struct quoit_engine_options options = options_with_allocator();
    char url[HOST_URL_MAX];
    static char body[50000];
    host_start(&host, &options, &(struct quoit_port_options){.mode = mode});
    struct quoit_request *request = host_request(method, bench_server_url(server, path, url, sizeof url));
    if (strcmp(method, "POST") == 0) {
        assert_int_equal(quoit_request_set_body(request, body, sizeof body, NULL, NULL), QUOIT_OK);
    }
    struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = 5};
    if (strncmp(path, "/redirect/", 10) == 0) {
        assert_int_equal(quoit_request_set_redirects(request, &redirects), QUOIT_OK);
    }
    q_failalloc_fail_at(failalloc, nth);
    host_submit(&host, 0, request);
    const struct host_record *record = host_wait(&host, 0);
    bool has_failed = q_failalloc_failed(failalloc);
    if (record->end_type == QUOIT_EVENT_FAILED) {
        assert_true(has_failed);
        assert_int_equal(record->summary.failure.code, QUOIT_ERR_NO_MEMORY);
    } else {
        host_assert_done(record, len); // it waited for memory, and went on
    }
    q_failalloc_fail_at(failalloc, 0);
    host_fetch(&host, 1, the_url, 100);
    host_stop(&host);
    assert_nothing_leaked("request without allocation", nth);
    q_failalloc_free(failalloc);
    return has_failed;
}

static void a_request_survives_the_failure_of_any_allocation(void **state) {
    static const struct {
        const char *method;
        const char *path;
        uint64_t len;
    } k_rows[] = {{"GET", "/size/50000", 50000},
                  {"GET", "/size/3000?chunked=100&trailers=1&early=2", 3000},
                  {"POST", "/echo", 50000},
                  {"GET", "/redirect/3", sizeof "arrived\n" - 1},
                  {"GET", "/redirect/2?chunked=100&trailers=1", sizeof "arrived\n" - 1}};
    (void)state;
    struct bench_server *server = server_start("/size/100");
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        for (uint32_t mode = QUOIT_PORT_EVENTFD; mode <= QUOIT_PORT_INLINE; mode++) {
            uint64_t nth = 1;
            while (request_survives(server, k_rows[i].method, k_rows[i].path, k_rows[i].len, mode, nth)) {
                assert_true(++nth < 100);
            }
            assert_true(nth > 1);
        }
    }
    bench_server_stop(server);
}

// All memory is gone from some point on, and comes back while requests wait: each ends, and the engine is whole.
static void an_engine_survives_a_drought(void **state) {
    enum { NUM = 20 };
    (void)state;
    struct bench_server *server = server_start("/size/100");
    for (uint64_t from = 1; from < 30; from += 4) {
        struct quoit_engine_options options = options_with_allocator();
        host_start(&host, &options, NULL);
        q_failalloc_fail_from(failalloc, from);
        for (uint32_t i = 0; i < NUM; i++) {
            struct quoit_request *request = host_request("GET", the_url);
            struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .total_ms = 100};
            assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
            host_submit(&host, i, request);
        }
        host_wait_all(&host, NUM);
        for (uint32_t i = 0; i < NUM; i++) {
            int32_t code = host.records[i].summary.failure.code;
            assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY || code == QUOIT_ERR_TIMEOUT_TOTAL);
        }
        q_failalloc_fail_at(failalloc, 0);
        host_fetch(&host, NUM, the_url, 100);
        host_stop(&host);
        free_allocator();
    }
    bench_server_stop(server);
}

// --- the wire
// ---------------------------------------------------------------------------------------------------------

#define PLAIN "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
#define CHUNKED                                                                                                        \
    "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n" \
    "T: x\r\n\r\n"

static bool is_typed(int32_t code) {
    return code == QUOIT_ERR_CONNECTION_RESET || code == QUOIT_ERR_CONNECTION_CLOSED ||
           code == QUOIT_ERR_HTTP_TRUNCATED_HEAD || code == QUOIT_ERR_HTTP_TRUNCATED_BODY;
}

static void cut_at_every_octet(const char *response, enum bench_step_kind end) {
    size_t len = strlen(response);
    struct quoit_engine_options options = options_with_allocator();
    host_start(&host, &options, NULL);
    host_route_end();
    // What one connection and its server have of descriptors, once the engine is warm.
    unsigned fds_before = raw_num_fds();
    for (uint32_t cut = 0; cut <= len; cut++) {
        const struct bench_step send = {.kind = BENCH_SEND, .bytes = response, .len = cut};
        const struct bench_step last = {.kind = end};
        const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST}, cut > 0 ? send : last, last, {0}};
        struct bench_scripted *server = bench_scripted_start_one(script);
        assert_non_null(server);
        bench_scripted_url(server, "/", the_url, sizeof the_url);
        host_get(&host, cut, the_url);
        const struct host_record *record = host_wait(&host, cut);
        if (cut < len) {
            assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
            assert_true(is_typed(record->summary.failure.code));
            assert_int_equal(record->summary.failure.retry_safe, 0);
        } else {
            host_assert_done(record, 10);
        }
        bench_scripted_stop(server);
        host_until(&host, host_is_open, 0);
        host_route_end();
        assert_int_equal(raw_num_fds(), fds_before);
    }
    host_stop(&host);
    free_allocator();
}

static void whatever_is_cut_off_leaves_nothing_behind(void **state) {
    (void)state;
    cut_at_every_octet(PLAIN, BENCH_RST);
    cut_at_every_octet(PLAIN, BENCH_FIN);
    cut_at_every_octet(CHUNKED, BENCH_RST);
    cut_at_every_octet(CHUNKED, BENCH_FIN);
}

static void refused_and_killed_servers_leave_nothing_behind(void **state) {
    enum { NUM = 20 };
    (void)state;
    struct quoit_engine_options options = options_with_allocator();
    unsigned fds_before = raw_num_fds();
    host_start(&host, &options, NULL);
    unsigned fds_engine = raw_num_fds();
    for (uint32_t round = 0; round < 5; round++) {
        struct bench_server *server = server_start("/size/1?silent=1");
        uint16_t port = bench_server_port(server);
        host_route.bare_ports[0] = 0;
        for (uint32_t i = 0; i < NUM; i++) {
            host_get(&host, round * 2 * NUM + i, the_url);
        }
        host_until(&host, host_is_open, NUM);
        bench_server_stop(server); // kills what it holds, in whatever state it was
        host_route_end();
        host_route.bare_ports[0] = port; // nobody is there, in front or behind
        for (uint32_t i = NUM; i < 2 * NUM; i++) {
            host_get(&host, round * 2 * NUM + i, the_url);
        }
        host_wait_all(&host, (round + 1) * 2 * NUM);
        for (uint32_t i = NUM; i < 2 * NUM; i++) {
            host_assert_failed(&host.records[round * 2 * NUM + i], QUOIT_ERR_CONNECT_REFUSED, QUOIT_PHASE_CONNECT);
        }
        host_until(&host, host_is_open, 0);
        assert_int_equal(raw_num_fds(), fds_engine);
    }
    host_stop(&host);
    assert_int_equal(raw_num_fds(), fds_before);
    free_allocator();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_gives_everything_back_whatever_fails),
        cmocka_unit_test(a_port_gives_everything_back_whatever_fails),
        cmocka_unit_test(a_request_survives_the_failure_of_any_allocation),
        cmocka_unit_test(an_engine_survives_a_drought),
        cmocka_unit_test(whatever_is_cut_off_leaves_nothing_behind),
        cmocka_unit_test(refused_and_killed_servers_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

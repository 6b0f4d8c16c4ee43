// Nobody in the engine reads the environment once the process's first create has returned: `environ` then points at a
// page that cannot be read, while every mode and rung works, fails in each of its ways, closes and is made anew. The
// locale is C.UTF-8, in which the C library itself reads the environment for an error's text.
//
// The test itself and the servers that it runs against read nothing meanwhile (poison.h).
#include "tests/life/life.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/life/poison.h"

enum { SHORT_MS = 30 }; // a timeout that is meant to strike

// --- the scenario ------------------------------------------------------------------------------------------------------

static struct host host;
static uint32_t next_index;

static struct {
    struct bench_server *server;
    struct bench_scripted *scripted; // answers with nonsense, another one on each connection
    uint16_t closed_port;
} peers;


static const char *const k_nonsense[] = {
    "NONSENSE\r\n\r\n",
    "HTTP/3.7 200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked, gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\nContent",
    "",
};
enum { NUM_NONSENSE = sizeof k_nonsense / sizeof k_nonsense[0] };

static const struct host_record *ask(const char *method, const char *url, const char *body, uint64_t total_ms) {
    uint32_t index = next_index++;
    struct quoit_request *request = host_request(method, url);
    if (body != NULL) {
        assert_int_equal(quoit_request_set_body(request, body, strlen(body), NULL, NULL), QUOIT_OK);
    }
    struct quoit_request_bounds bounds = {
        .struct_size = sizeof bounds, .total_ms = total_ms, .connect_ms = total_ms};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, index, request);
    return host_wait(&host, index);
}

static const struct host_record *ask_path(const char *method, const char *path, const char *body, uint64_t total_ms) {
    char url[HOST_URL_MAX];
    return ask(method, bench_server_url(peers.server, path, url, sizeof url), body, total_ms);
}

static void assert_failed_somehow(const struct host_record *record) {
    assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
    int32_t code = record->summary.failure.code;
    assert_int_not_equal(code, QUOIT_OK);
    assert_true(strlen(quoit_error_sentence(code)) > 0); // and without a locale
    assert_non_null(quoit_errno_name(record->summary.failure.os_errno));
}

static void all_that_goes_well(void) {
    static const struct {
        const char *method, *path, *body;
        uint64_t len;
    } k_requests[] = {
        {"GET", "/size/0", NULL, 0},
        {"GET", "/size/1000", NULL, 1000},
        {"HEAD", "/size/1000", NULL, 0},
        {"GET", "/size/50000?chunked=7000&trailers=1&ext=1", NULL, 50000},
        {"GET", "/size/10?early=3&headers=20", NULL, 10},
        {"GET", "/size/100?close=1", NULL, 100},
        {"GET", "/size/100?close=2", NULL, 100},
        {"POST", "/echo", "octets", 6},
        {"PUT", "/echo?chunked=2", "octets", 6},
        {"POST", "/size/10", "", 10},
        {"GET", "/size/100?status=404", NULL, 100},
        {"GET", "/size/100?close=3", NULL, 100}, // the next one may meet its FIN, and is then asked again
        {"GET", "/status/204", NULL, 0},
    };
    for (size_t i = 0; i < sizeof k_requests / sizeof k_requests[0]; i++) {
        host_assert_done(ask_path(k_requests[i].method, k_requests[i].path, k_requests[i].body, 0), k_requests[i].len);
    }
}

static void all_that_goes_wrong(void) {
    static const char *const k_paths[] = {
        "/size/100?reset_at=0", "/size/100?reset_at=20",   "/size/100?fin_at=0",
        "/size/100?fin_at=20",  "/size/100?fin_at=150",    "/size/10?header_bytes=30000",
        "/size/10?headers=200", "/size/100?early=1000",    "/size/10000?chunked=100&fin_at=1000",
    };
    char url[HOST_URL_MAX];
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        assert_failed_somehow(ask_path("POST", k_paths[i], "", 0));
    }
    host_assert_failed(ask_path("GET", "/size/1?silent=1", NULL, SHORT_MS), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD);
    assert_failed_somehow(ask("GET", "http://no-such-name.invalid/", NULL, 0));
    assert_failed_somehow(ask("GET", "http://no-such-name.test/", NULL, 0)); // name servers are asked for this one
    assert_failed_somehow(ask("GET", "http://[::1]:1/", NULL, 0));
    assert_failed_somehow(ask("GET", "http://255.255.255.255:1/", NULL, 0)); // no host has it: the kernel refuses at once
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peers.closed_port);
    host_assert_failed(ask("GET", url, NULL, 0), QUOIT_ERR_CONNECT_REFUSED, QUOIT_PHASE_CONNECT);
    for (int i = 0; i < NUM_NONSENSE; i++) {
        assert_failed_somehow(ask("POST", bench_scripted_url(peers.scripted, "/", url, sizeof url), "", 0));
    }
    uint32_t index = next_index++;
    host_get(&host, index, bench_server_url(peers.server, "/size/1?silent=1", url, sizeof url));
    assert_int_equal(quoit_cancel(host.engine, host.records[index].handle), QUOIT_OK);
    assert_int_equal(host_wait(&host, index)->summary.failure.code, QUOIT_ERR_CANCELED);
}

static void all_that_is_refused(void) {
    struct quoit_request *request = NULL;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_failure failure;
    struct quoit_engine_options options = {.struct_size = sizeof options, .mode = 77};
    assert_int_not_equal(quoit_request_new("GET", "http://", &request), QUOIT_OK);
    assert_int_not_equal(quoit_request_new("G T", "http://127.0.0.1/", &request), QUOIT_OK);
    assert_int_not_equal(quoit_request_new("GET", "gopher://127.0.0.1/", &request), QUOIT_OK);
    assert_int_not_equal(quoit_request_new("GET", "http://xn--a/", &request), QUOIT_OK);
    request = host_request("GET", "http://b\xc3\xbc" "cher.invalid/"); // whose labels another library looks up
    quoit_request_release(request);
    request = host_request("GET", "http://127.0.0.1/");
    assert_int_not_equal(quoit_request_add_header(request, "a b", 3, "x", 1), QUOIT_OK);
    assert_int_not_equal(quoit_request_add_header(request, "a", 1, "\n", 1), QUOIT_OK);
    assert_int_equal(quoit_submit(host.engine, (struct quoit_port){.id = 7}, request, 0, NULL), QUOIT_ERR_STALE_HANDLE);
    quoit_request_release(request);
    assert_int_equal(quoit_engine_create(&options, &engine, &failure), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_create((struct quoit_engine){.id = 9}, NULL, &port), QUOIT_ERR_STALE_HANDLE);
    for (int32_t code = -1; code <= 1000; code++) {
        assert_non_null(quoit_error_name(code));
        assert_non_null(quoit_error_sentence(code));
        assert_non_null(quoit_errno_name(code));
        (void)quoit_error_category(code);
        (void)quoit_error_is_retryable(code);
        assert_non_null(quoit_phase_name(code));
    }
}

// Roots that the host names, and the system's: looked for where the host says, and nowhere else.
static void configurations_are_made(void) {
    static const char *const k_named[] = {"SSL_CERT_FILE=/no/such/file", "SSL_CERT_DIR=/no/such/folder", NULL};
    const char *const *const environments[] = {NULL, k_named};
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        struct quoit_tls *tls = NULL;
        assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
        assert_int_equal(quoit_tls_set_environment(tls, environments[i]), QUOIT_OK);
        int32_t code = quoit_tls_freeze(tls, NULL);
        assert_true(i == 0 ? code == QUOIT_OK || code == QUOIT_ERR_TLS_NO_TRUST_STORE : code != QUOIT_OK);
        assert_true(code == QUOIT_OK || strlen(quoit_tls_detail(tls)) > 0);
        quoit_tls_release(tls);
    }
}

// A create that fails in the kernel looks for the cause.
static void a_create_that_fails(void) {
    struct rlimit before;
    struct quoit_engine engine;
    struct quoit_failure failure;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int32_t code = quoit_engine_create(NULL, &engine, &failure);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(code, QUOIT_ERR_FD_LIMIT);
    assert_int_equal(failure.os_errno, EMFILE);
    struct quoit_probe_result probe = {.struct_size = sizeof probe};
    assert_int_equal(quoit_probe(&probe), QUOIT_OK);
}

static void on_log(void *context, int32_t level, const char *line) {
    (void)level;
    *(size_t *)context += strlen(line);
}

static void one_engine(uint32_t engine_mode, uint32_t port_mode, uint32_t capabilities_off) {
    static size_t logged;
    struct quoit_engine_options engine = {.struct_size = sizeof engine,
                                          .mode = engine_mode,
                                          .capabilities_off = capabilities_off,
                                          .log = on_log,
                                          .log_context = &logged,
                                          .log_level = 4,
                                          .dns_servers = "127.0.0.1:1"}; // where nobody is
    struct quoit_port_options port = {.struct_size = sizeof port, .mode = port_mode};
    next_index = 0;
    host_start(&host, &engine, &port);
    all_that_goes_well();
    all_that_goes_wrong();
    all_that_is_refused();
    char url[HOST_URL_MAX];
    host_get(&host, next_index++, bench_server_url(peers.server, "/size/1?silent=1", url, sizeof url));
    host_close_and_wait(&host, SHORT_MS);
    host_destroy(&host);
}

static void nothing_reads_the_environment_after_the_first_create(void **state) {
    static struct bench_step scripts[NUM_NONSENSE][4];
    static const struct bench_step *one_after_the_other[NUM_NONSENSE + 1];
    (void)state;
    poison_set_locale();
    peers.server = bench_server_start(NULL);
    assert_non_null(peers.server);
    struct bench_server *gone = bench_server_start(NULL);
    assert_non_null(gone);
    peers.closed_port = host_route.bare_ports[0] = bench_server_port(gone);
    bench_server_stop(gone);
    for (size_t i = 0; i < NUM_NONSENSE; i++) {
        scripts[i][0] = (struct bench_step){.kind = BENCH_EXPECT_REQUEST};
        scripts[i][1] = (struct bench_step){.kind = BENCH_SEND, .bytes = k_nonsense[i]};
        scripts[i][2] = (struct bench_step){.kind = BENCH_FIN};
        one_after_the_other[i] = scripts[i];
    }

    struct quoit_engine first;
    struct quoit_port first_port;
    struct quoit_failure failure;
    assert_int_equal(quoit_engine_create(NULL, &first, &failure), QUOIT_OK);
    poison_begin();
    assert_int_equal(quoit_port_create(first, NULL, &first_port), QUOIT_OK);
    for (uint32_t rung = 0; rung < LIFE_RUNGS; rung++) {
        peers.scripted = bench_scripted_start(NULL, one_after_the_other);
        assert_non_null(peers.scripted);
        one_engine(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, life_rungs[rung]);
        bench_scripted_stop(peers.scripted);
    }
    for (uint32_t i = 1; i < 4; i++) {
        peers.scripted = bench_scripted_start(NULL, one_after_the_other);
        assert_non_null(peers.scripted);
        one_engine(i & 1 ? QUOIT_ENGINE_HOST_DRIVEN : QUOIT_ENGINE_THREAD, i & 2 ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD,
                   0);
        bench_scripted_stop(peers.scripted);
    }
    configurations_are_made();
    a_create_that_fails();
    int line = life_shut(first, first_port);
    int num_reads = poison_end();
    bench_server_stop(peers.server);
    if (num_reads > 0) {
        fail_msg("the environment was read, first by a thread named '%s'", poison_reader());
    }
    assert_int_equal(line, 0);
}

// What the other test would not be worth a thing without.
static void the_page_catches_whoever_reads(void **state) {
    (void)state;
    poison_begin();
    assert_null(getenv("HOME")); // an empty environment, once it was read
    assert_int_equal(poison_end(), 1);
    poison_set_locale();
    poison_begin();
    assert_non_null(strerror(EMFILE));
    assert_int_equal(poison_end(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_reads_the_environment_after_the_first_create),
        cmocka_unit_test(the_page_catches_whoever_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

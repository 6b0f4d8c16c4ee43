// What a host may rely on by https as by http, and what is TLS's own in it: credit bounds what is opened and what is
// held; where redirects change between the two, who is told what; and configurations of requests go along with them.
#include "tests/engine/core/host.h"

#include <poll.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/support/tls_front.h"

enum {
    READERS = 24,
    STEP = 10000,
    STEPS = 20,
    SIZE = 4000000,
    BUFFER_MAX = 32 << 10, // that may come beyond the credit
    MEMORY_ALL = 6 << 20,    // of all readers and the engine, however much lies in the sockets
};

static struct host host;
static struct bench_server *server; // with TLS
static struct bench_server *plain;

static struct quoit_tls *trusting(void) {
    struct quoit_tls *tls = NULL;
    const char *roots = tls_front_roots();
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static _Atomic(uint32_t) num_lines;
static _Atomic(uint32_t) num_telling; // lines of the log with a secret of `following` in them

static void look_for_secrets(void *context, int32_t level, const char *line) {
    (void)context;
    (void)level;
    num_lines++;
    num_telling += strstr(line, "the-key") != NULL || strstr(line, "secret") != NULL;
}

static void start(uint32_t engine_mode, uint32_t port_mode, bool trusts) {
    struct quoit_tls *tls = trusts ? trusting() : NULL;
    struct quoit_engine_options options = {
        .mode = engine_mode, .tls = tls, .log = look_for_secrets, .log_level = 4};
    num_lines = num_telling = 0;
    host_start(&host, &options,
               &(struct quoit_port_options){.mode = port_mode});
    quoit_tls_release(tls);
}

static int set_up(void **state) {
    (void)state;
    server = bench_server_start(
        &(struct bench_server_options){.tls_cert = tls_front_cert(), .tls_key = tls_front_key()});
    plain = bench_server_start(NULL);
    assert_true(server != NULL && plain != NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bench_server_stop(plain);
    bench_server_stop(server);
    return 0;
}

// --- credit ----------------------------------------------------------------------------------------------------------

// Lets the engine do all that it wants to: a request of its own, answered behind everything that was there before it.
static void let_go_on(uint32_t *index) {
    char url[HOST_URL_MAX];
    for (int i = 0; i < 3; i++) {
        host_get(&host, *index, bench_server_url(server, "/size/1", url, sizeof url));
        host_assert_done(host_wait(&host, (*index)++), 1);
    }
}

static void assert_bounded(uint64_t granted) {
    for (uint32_t i = 0; i < READERS; i++) {
        const struct host_record *record = &host.records[i];
        assert_int_equal(record->num_ends, 0);
        if (record->body_len > granted + BUFFER_MAX) {
            fail_msg("reader %u got %llu of %llu", i, (unsigned long long)record->body_len, (unsigned long long)granted);
        }
    }
    assert_true(host_info(&host).buffer_bytes <= MEMORY_ALL);
}

static void read_slowly(uint32_t engine_mode, uint32_t port_mode) {
    char path[64];
    char url[HOST_URL_MAX];
    uint32_t next = READERS;
    start(engine_mode, port_mode, true);
    snprintf(path, sizeof path, "/size/%d", SIZE);
    for (uint32_t i = 0; i < READERS; i++) {
        struct quoit_request *request = host_request("GET", bench_server_url(server, path, url, sizeof url));
        assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
        host_submit(&host, i, request);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        host_wait_head(&host, i);
    }
    let_go_on(&next);
    assert_bounded(0);
    for (uint64_t granted = STEP; granted <= STEP * STEPS; granted += STEP) {
        for (uint32_t i = 0; i < READERS; i++) {
            assert_int_equal(quoit_grant(host.engine, host.records[i].handle, STEP), QUOIT_OK);
        }
        for (uint32_t i = 0; i < READERS; i++) {
            host_wait_body(&host, i, granted - STEP / 2); // all of it, but for what waits for more
        }
        let_go_on(&next);
        assert_bounded(granted);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        assert_int_equal(quoit_grant(host.engine, host.records[i].handle, SIZE), QUOIT_OK);
    }
    host_wait_all(&host, next);
    for (uint32_t i = 0; i < READERS; i++) {
        host_assert_done(&host.records[i], SIZE);
        assert_false(host.records[i].is_foreign);
    }
    host_stop(&host);
}

static void slow_readers_hold_little_whatever_the_server_sends(void **state) {
    (void)state;
    read_slowly(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
}

static void so_they_do_inline(void **state) {
    (void)state;
    read_slowly(QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE);
}

static void so_they_do_when_the_host_drives(void **state) {
    (void)state;
    read_slowly(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD);
}

// --- redirects -------------------------------------------------------------------------------------------------------

static struct bench_scripted *the_scripted;
static struct bench_step the_script[4];
static char the_answer[512];

static void redirect_to(const char *url) {
    snprintf(the_answer, sizeof the_answer, "HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", url);
    the_script[0] = (struct bench_step){.kind = BENCH_EXPECT_REQUEST};
    the_script[1] = (struct bench_step){.kind = BENCH_SEND, .bytes = the_answer};
    the_script[2] = (struct bench_step){.kind = BENCH_REPEAT};
    the_scripted = bench_scripted_start_one(the_script);
    assert_non_null(the_scripted);
}

static struct quoit_request *following(const char *url, bool keeps_scheme, struct quoit_tls *tls) {
    struct quoit_redirect_options options = {
        .struct_size = sizeof options, .limit = 5, .same_scheme = keeps_scheme};
    struct quoit_request *request = host_request("POST", url);
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    assert_int_equal(quoit_request_set_body(request, "once", 4, NULL, NULL), QUOIT_OK);
    assert_int_equal(quoit_request_add_header(request, "Authorization", 13, "secret", 6), QUOIT_OK);
    assert_int_equal(quoit_request_add_secret_header(request, "X-Api-Key", 9, "the-key", 7), QUOIT_OK);
    assert_int_equal(quoit_request_add_header(request, "X-Open", 6, "1", 1), QUOIT_OK);
    if (tls != NULL) {
        assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    }
    return request;
}

// Plain, then TLS by the request's own configuration, with its method and body, and without what was for the first alone.
static void a_redirect_to_https_goes_by_the_requests_configuration(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct quoit_tls *tls = trusting();
    redirect_to(bench_server_url(server, "/headers", url, sizeof url));
    bench_scripted_url(the_scripted, "/", url, sizeof url);
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, false);
    host_submit(&host, 0, following(url, false, tls));
    const struct host_record *record = host_wait(&host, 0);
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    assert_int_equal(record->status, 200);
    assert_int_equal(record->summary.num_redirects, 1);
    assert_true(record->summary.tls_version >= QUOIT_TLS_1_2);
    assert_non_null(strstr(record->text, "POST /headers HTTP/1.1"));
    assert_null(strstr(record->text, "Authorization"));
    assert_null(strstr(record->text, "X-Api-Key"));
    assert_non_null(strstr(record->text, "X-Open: 1"));
    host_submit(&host, 1, following(url, false, NULL)); // by the engine's, which has never heard of that root
    assert_int_equal(quoit_error_category(host_wait(&host, 1)->summary.failure.code), QUOIT_CATEGORY_TLS);
    host_submit(&host, 2, following(url, true, tls));
    assert_int_equal(host_wait(&host, 2)->summary.failure.code, QUOIT_ERR_UNSUPPORTED_SCHEME);
    host_stop(&host);
    assert_true(num_lines > 0);
    assert_int_equal(num_telling, 0);
    bench_scripted_stop(the_scripted);
    quoit_tls_release(tls);
}

static void a_redirect_from_https_to_http_is_followed_without_credentials_or_refused(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    redirect_to(bench_server_url(plain, "/headers", url, sizeof url));
    struct tls_front *front = tls_front_start(&(struct tls_front_options){.port = bench_scripted_port(the_scripted)});
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", tls_front_port(front));
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, true);
    host_submit(&host, 0, following(url, false, NULL));
    const struct host_record *record = host_wait(&host, 0);
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    assert_int_equal(record->status, 200);
    assert_int_equal(record->summary.tls_version, 0); // of the last connection
    assert_null(strstr(record->text, "Authorization"));
    assert_null(strstr(record->text, "X-Api-Key"));
    assert_non_null(strstr(record->text, "X-Open: 1"));
    host_submit(&host, 1, following(url, true, NULL));
    assert_int_equal(host_wait(&host, 1)->summary.failure.code, QUOIT_ERR_UNSUPPORTED_SCHEME);
    host_stop(&host);
    assert_int_equal(num_telling, 0);
    tls_front_stop(front);
    bench_scripted_stop(the_scripted);
}

// --- an expectation ---------------------------------------------------------------------------------------------------

static void answer_with(const char *answer) {
    snprintf(the_answer, sizeof the_answer, "%s", answer);
    the_script[0] = (struct bench_step){.kind = BENCH_EXPECT_REQUEST}; // with its body
    the_script[1] = (struct bench_step){.kind = BENCH_SEND, .bytes = the_answer};
    the_script[2] = (struct bench_step){.kind = BENCH_REPEAT};
    the_scripted = bench_scripted_start_one(the_script);
    assert_non_null(the_scripted);
}

// It goes out as it was given, with the body behind it; a 100 is an informational head, and no other answer waits for one.
static void an_expectation_is_met_or_refused_and_the_connection_goes_on(void **state) {
    static const struct {
        const char *answer;
        uint32_t num_informational;
        int status;
    } k_rows[] = {
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", 1, 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", 0, 200},
        {"HTTP/1.1 417 No\r\nContent-Length: 3\r\n\r\nyes", 0, 417},
    };
    static char body[100000];
    char url[HOST_URL_MAX];
    (void)state;
    memset(body, 'b', sizeof body);
    for (size_t row = 0; row < sizeof k_rows / sizeof k_rows[0]; row++) {
        answer_with(k_rows[row].answer);
        struct tls_front *front = tls_front_start(&(struct tls_front_options){.port = bench_scripted_port(the_scripted)});
        snprintf(url, sizeof url, "https://127.0.0.1:%u/", tls_front_port(front));
        start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, true);
        for (uint32_t i = 0; i < 3; i++) {
            struct quoit_request *request = host_request("POST", url);
            assert_int_equal(quoit_request_add_header(request, "Expect", 6, "100-continue", 12), QUOIT_OK);
            assert_int_equal(quoit_request_set_body(request, body, sizeof body, NULL, NULL), QUOIT_OK);
            host_submit(&host, i, request);
            const struct host_record *record = host_wait(&host, i);
            assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
            assert_int_equal(record->body_len, 3);
            assert_int_equal(record->num_informational, k_rows[row].num_informational);
            assert_int_equal(record->status, k_rows[row].status);
            assert_int_equal(record->summary.tls_version, QUOIT_TLS_1_3);
        }
        assert_int_equal(host_info(&host).connections_opened, 1);
        host_stop(&host);
        tls_front_stop(front);
        bench_scripted_stop(the_scripted);
    }
}

// --- ends ------------------------------------------------------------------------------------------------------------

static bool has_ended(struct tls_front *front, uint32_t num, struct tls_front_facts *out) {
    *out = tls_front_facts(front);
    return out->num_open == 0 && out->num_shaken == num;
}

static struct tls_front_facts wait_for_ends(struct tls_front *front, uint32_t num) {
    struct tls_front_facts facts;
    for (int left_ms = HOST_WAIT_MS; !has_ended(front, num, &facts); left_ms--) {
        assert_true(left_ms > 0);
        poll(NULL, 0, 1);
    }
    return facts;
}

// Idle connections are left with close_notify, by timeout and by the engine's end; each connection's client says one.
static void idle_connections_are_left_with_a_goodbye(void **state) {
    enum { NUM = 6 };
    char url[HOST_URL_MAX];
    (void)state;
    for (int by_timeout = 0; by_timeout < 2; by_timeout++) {
        struct quoit_tls *tls = trusting();
        struct tls_front *front = tls_front_start(&(struct tls_front_options){.port = bench_server_port(plain)});
        host_start(&host, &(struct quoit_engine_options){.tls = tls, .idle_timeout_ms = by_timeout ? 30 : 0}, NULL);
        quoit_tls_release(tls);
        snprintf(url, sizeof url, "https://127.0.0.1:%u/size/10?delay_ms=20", tls_front_port(front));
        for (uint32_t i = 1; i <= NUM; i++) {
            host_get(&host, i, url);
        }
        for (uint32_t i = 1; i <= NUM; i++) {
            host_assert_done(host_wait(&host, i), 10);
        }
        uint32_t num = (uint32_t)host_info(&host).connections_opened;
        if (by_timeout) {
            assert_int_equal(wait_for_ends(front, num).num_goodbyes, num);
        }
        host_stop(&host);
        struct tls_front_facts facts = wait_for_ends(front, num);
        assert_int_equal(facts.num_goodbyes, num);
        assert_int_equal(facts.num_cuts, 0);
        tls_front_stop(front);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_readers_hold_little_whatever_the_server_sends),
        cmocka_unit_test(so_they_do_inline),
        cmocka_unit_test(so_they_do_when_the_host_drives),
        cmocka_unit_test(a_redirect_to_https_goes_by_the_requests_configuration),
        cmocka_unit_test(an_expectation_is_met_or_refused_and_the_connection_goes_on),
        cmocka_unit_test(a_redirect_from_https_to_http_is_followed_without_credentials_or_refused),
        cmocka_unit_test(idle_connections_are_left_with_a_goodbye),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

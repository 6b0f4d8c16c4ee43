// What can befall a request on the wire, each ending in its own typed error, in time, and leaving nothing behind.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/quoit.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/bench/raw_client.h"

enum {
    WAIT_MS = 20000, // nothing here takes long; what does not come by then hangs
    SHORT_MS = 100,  // a timeout that is meant to strike
    LATE_MS = 10000, // and by when it must have, on a busy machine
    URL_MAX = 256,
};

// struct rig is an engine with one port, and the embedded server.
struct rig {
    struct bench_server *server;
    struct quoit_engine engine;
    struct quoit_port port;
    unsigned fds_before;
};

// struct outcome is how a request ended.
struct outcome {
    uint32_t type;
    struct quoit_summary summary;
    uint64_t body_len;
    uint64_t elapsed_ms;
};

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct quoit_engine_info engine_info(const struct rig *rig) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(rig->engine, &info), QUOIT_OK);
    return info;
}

static struct rig rig_start(void) {
    struct rig rig = {.fds_before = raw_num_fds()};
    struct quoit_failure failure;
    rig.server = bench_server_start(NULL);
    assert_non_null(rig.server);
    assert_int_equal(quoit_engine_create(NULL, &rig.engine, &failure), QUOIT_OK);
    assert_int_equal(quoit_port_create(rig.engine, NULL, &rig.port), QUOIT_OK);
    return rig;
}

static void rig_stop(struct rig *rig) {
    struct quoit_event event;
    assert_int_equal(engine_info(rig).requests_pending, 0);
    assert_int_equal(quoit_engine_close(rig->engine, 0), QUOIT_OK);
    assert_int_equal(quoit_port_wait(rig->port, &event, sizeof event, 1, WAIT_MS), 1);
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    assert_int_equal(quoit_port_advance(rig->port), QUOIT_OK);
    assert_int_equal(quoit_engine_destroy(rig->engine), QUOIT_OK);
    bench_server_stop(rig->server);
    assert_int_equal(raw_num_fds(), rig->fds_before);
}

static void submit(const struct rig *rig, const char *method, const char *url, uint64_t total_ms, uint64_t connect_ms,
                   uint64_t user_data) {
    struct quoit_request *request = NULL;
    assert_int_equal(quoit_request_new(method, url, &request), QUOIT_OK);
    struct quoit_request_bounds bounds = {
        .struct_size = sizeof bounds, .total_ms = total_ms, .connect_ms = connect_ms};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    assert_int_equal(quoit_submit(rig->engine, rig->port, request, user_data, NULL), QUOIT_OK);
    quoit_request_release(request);
}

// wait_end waits for the next terminal event, which has to be the last one that is there.
static struct outcome wait_end(const struct rig *rig) {
    struct outcome outcome = {0};
    uint64_t begin_ms = clock_ms();
    while (outcome.type == 0) {
        struct quoit_event event;
        int32_t num = quoit_port_wait(rig->port, &event, sizeof event, 1, WAIT_MS);
        if (num != 1)
            fail_msg("no event came: %d", num);
        if (event.type == QUOIT_EVENT_DATA)
            outcome.body_len += event.u.data.len;
        if (event.type == QUOIT_EVENT_DONE || event.type == QUOIT_EVENT_FAILED) {
            outcome.type = event.type;
            outcome.summary = event.u.summary;
        }
        assert_int_equal(quoit_port_advance(rig->port), QUOIT_OK);
    }
    outcome.elapsed_ms = clock_ms() - begin_ms;
    return outcome;
}

static struct outcome fetch(const struct rig *rig, const char *method, const char *path, uint64_t total_ms) {
    char url[URL_MAX];
    submit(rig, method, bench_server_url(rig->server, path, url, sizeof url), total_ms, 0, 1);
    return wait_end(rig);
}

static void assert_failed(const struct outcome *outcome, int32_t code, const char *what) {
    const struct quoit_failure *failure = &outcome->summary.failure;
    if (outcome->type != QUOIT_EVENT_FAILED || failure->code != code)
        fail_msg("%s: event %u with %s (%s), not %s", what, outcome->type, quoit_error_name(failure->code),
                 quoit_errno_name(failure->os_errno), quoit_error_name(code));
}

static void assert_done(const struct outcome *outcome, uint64_t body_len, const char *what) {
    if (outcome->type != QUOIT_EVENT_DONE || outcome->body_len != body_len)
        fail_msg("%s: event %u with %s and %llu bytes of body", what, outcome->type,
                 quoit_error_name(outcome->summary.failure.code), (unsigned long long)outcome->body_len);
}

static void a_port_that_refuses_is_told_as_such(void **state) {
    struct rig rig = rig_start();
    char url[URL_MAX];
    (void)state;
    struct bench_server *gone = bench_server_start(NULL);
    assert_non_null(gone);
    bench_server_url(gone, "/size/1", url, sizeof url);
    bench_server_stop(gone);
    submit(&rig, "POST", url, 0, 0, 1);
    struct outcome outcome = wait_end(&rig);
    assert_failed(&outcome, QUOIT_ERR_CONNECT_REFUSED, url);
    assert_int_equal(outcome.summary.failure.phase, QUOIT_PHASE_CONNECT);
    assert_int_equal(outcome.summary.failure.os_errno, ECONNREFUSED);
    assert_int_equal(outcome.summary.failure.retry_safe, 1);
    rig_stop(&rig);
}

static void a_server_that_never_answers_is_cut_off_in_time(void **state) {
    struct rig rig = rig_start();
    (void)state;
    struct outcome outcome = fetch(&rig, "GET", "/size/1?silent=1", SHORT_MS);
    assert_failed(&outcome, QUOIT_ERR_TIMEOUT_TOTAL, "silent");
    assert_int_equal(outcome.summary.failure.phase, QUOIT_PHASE_HEAD);
    assert_int_equal(outcome.summary.failure.retry_safe, 0);
    assert_true(outcome.summary.end_ns >= SHORT_MS * UINT64_C(1000000)); // never early, by the engine's own clock
    assert_true(outcome.elapsed_ms <= LATE_MS);
    outcome = fetch(&rig, "GET", "/size/1000?drip=300&gap_ms=3600000", SHORT_MS);
    assert_failed(&outcome, QUOIT_ERR_TIMEOUT_TOTAL, "stuck in the body");
    assert_int_equal(outcome.summary.failure.phase, QUOIT_PHASE_BODY);
    assert_true(outcome.body_len > 0);
    rig_stop(&rig);
}

enum { ROOM = 2, FILLERS = ROOM + 2 };

// Fills the backlog of a listener that was given 1, into which the kernel lets one more. Nothing waits for a connect: the
// fillers are begun, and when ROOM of them are in, there is no more room, whatever becomes of the others.
static void fill_backlog(uint16_t port, int *fillers) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pollfd waits[FILLERS];
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fillers[i] >= 0);
        assert_true(connect(fillers[i], (const struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
        waits[i] = (struct pollfd){.fd = fillers[i], .events = POLLOUT};
    }
    uint64_t end_ms = clock_ms() + WAIT_MS;
    for (int num_in = 0; num_in < ROOM;) {
        assert_true(clock_ms() < end_ms);
        (void)poll(waits, FILLERS, WAIT_MS);
        num_in = 0;
        for (int i = 0; i < FILLERS; i++)
            num_in += (waits[i].revents & POLLOUT) != 0;
    }
}

// A listener whose backlog is full answers no SYN: the connect hangs, as against a host that drops packets.
static void a_connection_that_is_never_made_is_cut_off_in_time(void **state) {
    struct rig rig = rig_start();
    int fillers[FILLERS];
    char url[URL_MAX];
    (void)state;
    struct bench_server *deaf = bench_server_start(&(struct bench_server_options){.backlog = 1});
    assert_non_null(deaf);
    bench_server_set_accepting(deaf, false);
    fill_backlog(bench_server_port(deaf), fillers);
    submit(&rig, "GET", bench_server_url(deaf, "/size/1", url, sizeof url), 0, SHORT_MS, 1);
    struct outcome outcome = wait_end(&rig);
    assert_failed(&outcome, QUOIT_ERR_TIMEOUT_CONNECT, "full backlog");
    assert_int_equal(outcome.summary.failure.phase, QUOIT_PHASE_CONNECT);
    assert_int_equal(outcome.summary.failure.retry_safe, 1);
    assert_true(outcome.summary.end_ns >= SHORT_MS * UINT64_C(1000000)); // never early, by the engine's own clock
    assert_true(outcome.elapsed_ms <= LATE_MS);
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    bench_server_stop(deaf);
    rig_stop(&rig);
}

// struct shape is how long the parts of a response are.
struct shape {
    size_t head_len, len;
};

static struct shape shape_of(const struct rig *rig, const char *target) {
    struct raw_client client = raw_connect(bench_server_port(rig->server));
    char request[URL_MAX + 64];
    snprintf(request, sizeof request, "GET %s&fin_at=1000000 HTTP/1.1\r\nHost: x\r\n\r\n", target);
    raw_send(&client, request);
    raw_read_to_end(&client);
    assert_true(client.eof);
    const uint8_t *head_end = memmem(client.held, client.held_len, "\r\n\r\n", 4);
    assert_non_null(head_end);
    struct shape shape = {.head_len = (size_t)(head_end - client.held) + 4, .len = client.held_len};
    raw_close(&client);
    return shape;
}

static void resets_at_every_octet_are_told_as_such(void **state) {
    static const struct {
        const char *target;
        bool close_delimited; // then only a FIN ends the body
    } k_responses[] = {
        {"/size/30?tag=x", false}, {"/size/30?chunked=8&trailers=1&early=1", false}, {"/size/30?close=2", true}};
    struct rig rig = rig_start();
    (void)state;
    for (size_t i = 0; i < sizeof k_responses / sizeof k_responses[0]; i++) {
        struct shape shape = shape_of(&rig, k_responses[i].target);
        for (size_t cut = 0; cut <= shape.len; cut++) {
            char path[URL_MAX];
            snprintf(path, sizeof path, "%s&reset_at=%zu", k_responses[i].target, cut);
            struct outcome outcome = fetch(&rig, "GET", path, WAIT_MS);
            if (cut == shape.len && !k_responses[i].close_delimited)
                assert_done(&outcome, 30, path);
            else
                assert_failed(&outcome, QUOIT_ERR_CONNECTION_RESET, path);
        }
    }
    rig_stop(&rig);
}

static int32_t code_of_fin(const struct shape *shape, size_t cut) {
    if (cut == 0)
        return QUOIT_ERR_CONNECTION_CLOSED;
    return cut < shape->head_len ? QUOIT_ERR_HTTP_TRUNCATED_HEAD : QUOIT_ERR_HTTP_TRUNCATED_BODY;
}

static void an_early_end_at_every_octet_is_told_as_such(void **state) {
    static const char *const k_targets[] = {"/size/30?tag=x", "/size/30?chunked=8&trailers=1", "/size/30?close=2"};
    struct rig rig = rig_start();
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct shape shape = shape_of(&rig, k_targets[i]);
        for (size_t cut = 0; cut <= shape.len; cut++) {
            char path[URL_MAX];
            snprintf(path, sizeof path, "%s&fin_at=%zu", k_targets[i], cut);
            struct outcome outcome = fetch(&rig, "GET", path, WAIT_MS);
            if (cut == shape.len)
                assert_done(&outcome, 30, path);
            else if (i == 2 && cut >= shape.head_len) // nobody can tell that this one is short
                assert_done(&outcome, cut - shape.head_len, path);
            else
                assert_failed(&outcome, code_of_fin(&shape, cut), path);
        }
    }
    rig_stop(&rig);
}

static void a_killed_server_ends_all_that_waits_for_it(void **state) {
    enum { NUM = 32 };
    struct rig rig = rig_start();
    char url[URL_MAX];
    (void)state;
    for (uint64_t i = 0; i < NUM; i++)
        submit(&rig, "GET", bench_server_url(rig.server, "/size/1?silent=1", url, sizeof url), 0, 0, i);
    struct bench_server_counters counters = {0};
    for (uint64_t end_ms = clock_ms() + WAIT_MS; counters.requests < NUM; poll(NULL, 0, 1)) {
        bench_server_counters(rig.server, &counters);
        assert_true(clock_ms() < end_ms);
    }
    bench_server_kill_connections(rig.server);
    for (uint64_t i = 0; i < NUM; i++) {
        struct outcome outcome = wait_end(&rig);
        assert_failed(&outcome, QUOIT_ERR_CONNECTION_RESET, "killed");
    }
    struct outcome outcome = fetch(&rig, "GET", "/size/10", WAIT_MS);
    assert_done(&outcome, 10, "after the kill");
    rig_stop(&rig);
}

// until_connections waits until the engine has `num` open connections; its counters may be a tick behind its events.
static void until_connections(const struct rig *rig, uint64_t num) {
    for (uint64_t end_ms = clock_ms() + WAIT_MS; engine_info(rig).connections_open != num; poll(NULL, 0, 1))
        assert_true(clock_ms() < end_ms);
}

static void a_connection_that_dies_idle_is_never_used_again(void **state) {
    struct rig rig = rig_start();
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct outcome outcome = fetch(&rig, "POST", "/size/10", WAIT_MS);
        assert_done(&outcome, 10, "fresh");
        assert_int_equal(outcome.summary.attempts, 1);
        assert_int_equal(outcome.summary.reused, 0);
        until_connections(&rig, 1);
        bench_server_kill_connections(rig.server);
        until_connections(&rig, 0);
    }
    rig_stop(&rig);
}

// The first connection answers once and dies under the second request; the second connection answers for ever.
static void only_what_may_be_sent_twice_is_replayed(void **state) {
#define OK_RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    static const struct bench_step k_dying[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                {.kind = BENCH_SEND, .bytes = OK_RESPONSE},
                                                {.kind = BENCH_EXPECT_REQUEST},
                                                {.kind = BENCH_RST},
                                                {0}};
    static const struct bench_step k_living[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = OK_RESPONSE}, {.kind = BENCH_REPEAT}, {0}};
    static const struct bench_step *const k_scripts[] = {k_dying, k_living, NULL};
    static const char *const k_methods[] = {"GET", "POST"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct rig rig = rig_start();
        char url[URL_MAX];
        struct bench_scripted *scripted = bench_scripted_start(NULL, k_scripts);
        assert_non_null(scripted);
        bench_scripted_url(scripted, "/", url, sizeof url);
        submit(&rig, "GET", url, 0, 0, 1);
        struct outcome outcome = wait_end(&rig);
        assert_done(&outcome, 2, "first");
        submit(&rig, k_methods[i], url, 0, 0, 2);
        outcome = wait_end(&rig);
        if (i == 0) {
            assert_done(&outcome, 2, "replayed");
            assert_int_equal(outcome.summary.attempts, 2);
        } else {
            assert_failed(&outcome, QUOIT_ERR_MAYBE_PROCESSED, "not replayed");
            assert_int_equal(outcome.summary.failure.retry_safe, 0);
            assert_int_equal(bench_scripted_accepted(scripted), 1);
        }
        bench_scripted_stop(scripted);
        rig_stop(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_that_refuses_is_told_as_such),
        cmocka_unit_test(a_server_that_never_answers_is_cut_off_in_time),
        cmocka_unit_test(a_connection_that_is_never_made_is_cut_off_in_time),
        cmocka_unit_test(resets_at_every_octet_are_told_as_such),
        cmocka_unit_test(an_early_end_at_every_octet_is_told_as_such),
        cmocka_unit_test(a_killed_server_ends_all_that_waits_for_it),
        cmocka_unit_test(a_connection_that_dies_idle_is_never_used_again),
        cmocka_unit_test(only_what_may_be_sent_twice_is_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

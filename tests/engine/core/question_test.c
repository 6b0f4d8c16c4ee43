// Questions to the host, through the public API: each answer in each mode, and everything that can come between a
// question and its answer.
#include "tests/engine/core/host.h"

#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/schedule.h"

enum { ANSWERS_MAX = 8 };

static struct host host; // too large for a stack
static char the_url[HOST_URL_MAX];

// What is answered as questions come, inside their events: by hop, then the last one for all that follow; 0: nothing.
static uint32_t the_answers[ANSWERS_MAX];
static char the_questions[ANSWERS_MAX][HOST_URL_MAX];
static size_t hops_told;

static void answer_at_once(struct host *of, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_QUESTION) {
        const struct quoit_question *question = &event->u.question;
        assert_int_equal(question->kind, QUOIT_QUESTION_REDIRECT);
        assert_true(question->hop >= 1 && question->hop <= ANSWERS_MAX);
        snprintf(the_questions[question->hop - 1], HOST_URL_MAX, "%u %.*s %.*s", question->status,
                 (int)question->method_len, question->method, (int)question->url_len, question->url);
        uint32_t answer = the_answers[question->hop - 1];
        if (answer != 0) {
            assert_int_equal(quoit_answer(of->engine, question->token, answer), QUOIT_OK);
        }
    } else if (event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED) {
        hops_told = event->u.summary.redirects == NULL ? 0 : quoit_headers_count(event->u.summary.redirects);
    }
}

static struct quoit_request *asking(const char *method, const char *url, struct quoit_request_bounds bounds) {
    struct quoit_request *request = host_request(method, url);
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = 5, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    bounds.struct_size = sizeof bounds;
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    return request;
}

static void submit_asking(uint32_t index, const char *url) {
    host_submit(&host, index, asking("GET", url, (struct quoit_request_bounds){0}));
}

static uint64_t wait_for_question(uint32_t index) {
    while (host.records[index].num_questions == 0) {
        assert_int_equal(host.records[index].num_ends, 0);
        host_step(&host);
    }
    return host.records[index].token;
}

// Lets the loop come round: what it would do by itself, it has done.
static void let_the_loop_come_round(void) {
    for (int i = 0; i < 3; i++) {
        struct quoit_port port;
        assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    }
}

// --- answers ---------------------------------------------------------------------------------------------------------

static void each_answer_does_what_it_says_in_every_mode(void **state) {
    static const struct {
        uint32_t answers[3];
        int32_t code;
        uint16_t status;
        uint32_t num_questions;
        size_t hops;
        uint64_t body_len;
    } k_rows[] = {
        {{QUOIT_ANSWER_YES, QUOIT_ANSWER_YES}, QUOIT_OK, 200, 2, 2, 0},
        {{QUOIT_ANSWER_YES, QUOIT_ANSWER_STOP}, QUOIT_OK, 302, 2, 1, sizeof "redirect\n" - 1},
        {{QUOIT_ANSWER_STOP}, QUOIT_OK, 302, 1, 0, sizeof "redirect\n" - 1},
        {{QUOIT_ANSWER_REFUSE}, QUOIT_ERR_REDIRECT_REFUSED, 0, 1, 0, 0},
        {{QUOIT_ANSWER_YES, QUOIT_ANSWER_REFUSE}, QUOIT_ERR_REDIRECT_REFUSED, 0, 2, 1, 0},
    };
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/redirect/2", the_url, sizeof the_url);
    for (uint32_t mode = 0; mode < 4; mode++) {
        struct quoit_engine_options engine = {.mode = mode & 1};
        struct quoit_port_options port = {.mode = mode >> 1};
        for (uint32_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
            memcpy(the_answers, k_rows[i].answers, sizeof k_rows[i].answers);
            host_start(&host, &engine, &port);
            host.on_event = answer_at_once;
            submit_asking(0, the_url);
            const struct host_record *record = host_wait(&host, 0);
            assert_int_equal(record->summary.failure.code, k_rows[i].code);
            assert_int_equal(record->num_questions, k_rows[i].num_questions);
            assert_int_equal(record->num_heads, k_rows[i].code == QUOIT_OK);
            assert_int_equal(record->status, k_rows[i].status);
            if (k_rows[i].status != 200) {
                assert_int_equal(record->body_len, k_rows[i].body_len);
            }
            assert_true(record->summary.spent_ns[QUOIT_STAGE_ASKING] > 0 || mode > 0); // inline: in the same tick
            for (uint32_t hop = 0; hop < record->num_questions; hop++) {
                char wanted[HOST_URL_MAX + 16];
                char path[32];
                char url[HOST_URL_MAX];
                char led[HOST_URL_MAX];
                snprintf(path, sizeof path, "/redirect/%u", 1 - hop);
                snprintf(wanted, sizeof wanted, "302 GET %s",
                         host_led(bench_server_url(server, path, url, sizeof url), led));
                assert_string_equal(the_questions[hop], wanted);
            }
            assert_int_equal(host_info(&host).connections_opened, 1); // a question costs no connection
            host_stop(&host);
            assert_int_equal(hops_told, k_rows[i].hops); // inline, it is noted behind the record
        }
    }
    bench_server_stop(server);
}

#define REDIRECT_HEAD "HTTP/1.1 303 See Other\r\nLocation: http://u:p@127.0.0.1:1/x?y#z\r\nContent-Length: 0\r\n\r\n"

static void a_question_tells_neither_credentials_nor_fragment_and_the_next_method(void **state) {
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = REDIRECT_HEAD}, {0}};
    (void)state;
    struct bench_scripted *server = bench_scripted_start_one(k_script);
    host_start(&host, NULL, NULL);
    host.on_event = answer_at_once;
    the_answers[0] = QUOIT_ANSWER_REFUSE;
    bench_scripted_url(server, "/", the_url, sizeof the_url);
    host_submit(&host, 0, asking("PUT", the_url, (struct quoit_request_bounds){0}));
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_REDIRECT_REFUSED, QUOIT_PHASE_HEAD);
    assert_string_equal(the_questions[0], "303 GET http://127.0.0.1:1/x?y");
    host_stop(&host);
    bench_scripted_stop(server);
}

static void nothing_is_asked_about_what_cannot_be_followed(void **state) {
    static const struct {
        const char *response;
        int32_t code;
    } k_rows[] = {
        {"HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\nContent-Length: 0\r\n\r\n", QUOIT_ERR_UNSUPPORTED_SCHEME},
        {"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", QUOIT_ERR_HTTP_BAD_LOCATION},
        {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", QUOIT_OK},
        {"HTTP/1.1 304 Same\r\nLocation: /x\r\n\r\n", QUOIT_OK},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        const struct bench_step script[] = {
            {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = k_rows[i].response}, {0}};
        struct bench_scripted *server = bench_scripted_start_one(script);
        host_start(&host, NULL, NULL);
        submit_asking(0, bench_scripted_url(server, "/", the_url, sizeof the_url));
        const struct host_record *record = host_wait(&host, 0);
        assert_int_equal(record->summary.failure.code, k_rows[i].code);
        assert_int_equal(record->num_questions, 0);
        host_stop(&host);
        bench_scripted_stop(server);
    }
}

// --- tokens ----------------------------------------------------------------------------------------------------------

static void a_token_that_names_no_question_is_refused(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    host_start(&host, NULL, NULL);
    submit_asking(0, bench_server_url(server, "/redirect/1", the_url, sizeof the_url));
    uint64_t token = wait_for_question(0);
    const uint64_t others[] = {0, 1, UINT64_MAX, token + 1, token + (UINT64_C(1) << 20), token - (UINT64_C(1) << 20)};
    for (size_t i = 0; i < Q_COUNT_OF(others); i++) {
        assert_int_equal(quoit_answer(host.engine, others[i], QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    }
    assert_int_equal(quoit_answer(host.engine, token, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_REFUSE + 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer((struct quoit_engine){0}, token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(host.records[0].num_ends, 0);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_YES), QUOIT_OK);
    assert_int_equal(host_wait(&host, 0)->status, 200);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    struct quoit_engine gone = host.engine;
    host_stop(&host);
    assert_int_equal(quoit_answer(gone, token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    bench_server_stop(server);
}

// The same slot asks again: an answer to its first question is not one to its second.
static void an_answer_to_the_last_question_is_none_to_this_one(void **state) {
    static const struct quoit_engine_options k_one = {.requests_max = 1};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/redirect/2", the_url, sizeof the_url);
    host_start(&host, &k_one, NULL);
    submit_asking(0, the_url);
    uint64_t first = wait_for_question(0);
    assert_int_equal(quoit_answer(host.engine, first, QUOIT_ANSWER_YES), QUOIT_OK);
    while (host.records[0].num_questions < 2) {
        host_step(&host);
    }
    assert_true(host.records[0].token != first);
    assert_int_equal(quoit_answer(host.engine, first, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    host_wait(&host, 0);
    host_until(&host, host_is_pending, 0);
    submit_asking(1, the_url); // the next tenant of the slot
    uint64_t third = wait_for_question(1);
    assert_int_equal(quoit_answer(host.engine, host.records[0].token, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer(host.engine, third, QUOIT_ANSWER_STOP), QUOIT_OK);
    assert_int_equal(host_wait(&host, 1)->status, 302);
    host_stop(&host);
    bench_server_stop(server);
}

static void the_first_of_two_answers_counts(void **state) {
    static const struct quoit_engine_options k_driven = {.mode = QUOIT_ENGINE_HOST_DRIVEN};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    host_start(&host, &k_driven, NULL);
    submit_asking(0, bench_server_url(server, "/redirect/1", the_url, sizeof the_url));
    uint64_t token = wait_for_question(0);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_STOP), QUOIT_OK);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_REFUSE), QUOIT_OK); // the first is on its way
    assert_int_equal(host_wait(&host, 0)->status, 302);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_STOP), QUOIT_ERR_STALE_HANDLE);
    host_stop(&host);
    bench_server_stop(server);
}

// --- memory and room -------------------------------------------------------------------------------------------------

static void what_a_question_points_at_stays_until_it_is_advanced_over(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    struct quoit_event events[16];
    int32_t count = 0;
    host_start(&host, NULL, NULL);
    submit_asking(0, bench_server_url(server, "/redirect/1", the_url, sizeof the_url));
    while (count == 0 || events[count - 1].type != QUOIT_EVENT_DONE) {
        int32_t more = quoit_port_wait(host.port, events + count, sizeof events[0], 16 - (size_t)count, HOST_WAIT_MS);
        assert_true(more > 0);
        for (int32_t i = 0; i < more; i++) {
            host_note(&host, &events[count + i]);
        }
        if (count == 0) {
            assert_int_equal(events[0].type, QUOIT_EVENT_QUESTION);
            assert_int_equal(quoit_answer(host.engine, events[0].u.question.token, QUOIT_ANSWER_YES), QUOIT_OK);
        }
        count += more;
    }
    host_until(&host, host_is_pending, 0); // the request and its hops are gone
    char led[HOST_URL_MAX];
    const char *target = host_led(bench_server_url(server, "/redirect/0", the_url, sizeof the_url), led);
    assert_int_equal(events[0].u.question.url_len, strlen(target));
    assert_memory_equal(events[0].u.question.url, target, strlen(target));
    assert_memory_equal(events[0].u.question.method, "GET", 3);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    host_stop(&host);
    bench_server_stop(server);
}

static void an_engine_is_destroyed_with_questions_that_nobody_advanced_over(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    struct quoit_event events[8];
    host_start(&host, NULL, NULL);
    submit_asking(0, bench_server_url(server, "/redirect/1", the_url, sizeof the_url));
    assert_int_equal(quoit_port_wait(host.port, events, sizeof events[0], 8, HOST_WAIT_MS), 1);
    assert_int_equal(events[0].type, QUOIT_EVENT_QUESTION);
    assert_int_equal(quoit_engine_close(host.engine, 0), QUOIT_OK);
    for (uint32_t last = 0; last != QUOIT_EVENT_CLOSED;) {
        int32_t count = quoit_port_wait(host.port, events, sizeof events[0], 8, HOST_WAIT_MS);
        assert_true(count > 0);
        for (int32_t i = 0; i < count; i++) {
            host_note(&host, &events[i]);
        }
        last = events[count - 1].type;
    }
    host_assert_failed(&host.records[0], QUOIT_ERR_CLOSED, host.records[0].summary.failure.phase);
    host_destroy(&host);
    bench_server_stop(server);
}

#define EARLY "HTTP/1.1 103 Early\r\n\r\n"
#define FOUND "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 3\r\n\r\nabc"

static void a_question_waits_for_room_in_the_port(void **state) {
    enum { DATA_SLOTS = 5 }; // of a port with 16
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = EARLY EARLY EARLY EARLY EARLY FOUND}, {0}};
    (void)state;
    struct bench_scripted *server = bench_scripted_start_one(k_script);
    struct quoit_event events[16];
    int32_t count = 0;
    host_start(&host, NULL, &(struct quoit_port_options){.capacity = 16});
    submit_asking(0, bench_scripted_url(server, "/", the_url, sizeof the_url));
    while (count < DATA_SLOTS) {
        int32_t more = quoit_port_wait(host.port, events, sizeof events[0], 16, HOST_WAIT_MS);
        assert_true(more > 0);
        for (int32_t i = 0; i < more; i++) {
            assert_int_equal(events[i].type, QUOIT_EVENT_INFORMATIONAL);
        }
        count += more;
    }
    let_the_loop_come_round();
    struct quoit_request_state now = {.struct_size = sizeof now};
    assert_int_equal(quoit_request_state(host.engine, host.records[0].handle, &now), QUOIT_OK);
    assert_int_equal(now.stage, QUOIT_STAGE_PAUSED);
    assert_int_equal(quoit_port_drain(host.port, events, sizeof events[0], 16), 0);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    uint64_t token = wait_for_question(0);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_STOP), QUOIT_OK);
    const struct host_record *record = host_wait(&host, 0);
    assert_int_equal(record->num_questions, 1);
    assert_int_equal(record->status, 302);
    assert_string_equal(record->text, "abc");
    host_stop(&host);
    bench_scripted_stop(server);
}

// --- what comes between ----------------------------------------------------------------------------------------------

static void an_answer_that_does_not_come_in_time_is_a_typed_error(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/redirect/1", the_url, sizeof the_url);
    host_start(&host, NULL, NULL);
    host_submit(&host, 0, asking("GET", the_url, (struct quoit_request_bounds){.answer_ms = 30}));
    uint64_t token = wait_for_question(0);
    const struct host_record *record = host_wait(&host, 0);
    host_assert_failed(record, QUOIT_ERR_TIMEOUT_ANSWER, QUOIT_PHASE_HEAD);
    assert_true(record->summary.spent_ns[QUOIT_STAGE_ASKING] >= 29 * UINT64_C(1000000));
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    // The total bound counts, and is told by its own error.
    host_submit(&host, 1, asking("GET", the_url, (struct quoit_request_bounds){.total_ms = 30}));
    host_assert_failed(host_wait(&host, 1), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_that_asks_says_so_and_is_cancelled_like_any_other(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    host_start(&host, NULL, NULL);
    submit_asking(0, bench_server_url(server, "/redirect/1", the_url, sizeof the_url));
    uint64_t token = wait_for_question(0);
    struct quoit_request_state now = {.struct_size = sizeof now};
    assert_int_equal(quoit_request_state(host.engine, host.records[0].handle, &now), QUOIT_OK);
    assert_int_equal(now.stage, QUOIT_STAGE_ASKING);
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    assert_int_equal(host_wait(&host, 0)->summary.failure.code, QUOIT_ERR_CANCELED);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_close_ends_what_asks(void **state) {
    static const uint64_t k_drains_ms[] = {0, 20};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/redirect/1", the_url, sizeof the_url);
    for (size_t i = 0; i < Q_COUNT_OF(k_drains_ms); i++) {
        host_start(&host, NULL, NULL);
        submit_asking(0, the_url);
        uint64_t token = wait_for_question(0);
        host_close_and_wait(&host, k_drains_ms[i]);
        assert_int_equal(host.records[0].num_ends, 1);
        assert_int_equal(host.records[0].summary.failure.code, QUOIT_ERR_CLOSED);
        int32_t code = quoit_answer(host.engine, token, QUOIT_ANSWER_YES);
        assert_int_equal(code, QUOIT_ERR_STALE_HANDLE);
        host_destroy(&host);
    }
    // A drain lets a question be answered.
    host_start(&host, NULL, NULL);
    submit_asking(0, the_url);
    uint64_t token = wait_for_question(0);
    assert_int_equal(quoit_engine_close(host.engine, HOST_WAIT_MS), QUOIT_OK);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_YES), QUOIT_OK);
    assert_int_equal(host_wait(&host, 0)->status, 200);
    host_stop(&host);
    bench_server_stop(server);
}

#define LONG_FOUND "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 10\r\n\r\nabc"
#define FINE       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// The redirect's connection dies while the host thinks.
static void a_dead_connection_does_not_stop_yes_and_is_told_after_stop(void **state) {
    static const enum bench_step_kind k_deaths[] = {BENCH_CLOSE, BENCH_RST};
    (void)state;
    for (size_t death = 0; death < Q_COUNT_OF(k_deaths); death++) {
        for (uint32_t answer = QUOIT_ANSWER_YES; answer <= QUOIT_ANSWER_STOP; answer++) {
            const struct bench_step dies[] = {{.kind = BENCH_EXPECT_REQUEST},
                                              {.kind = BENCH_SEND, .bytes = LONG_FOUND},
                                              {.kind = k_deaths[death]},
                                              {0}};
            const struct bench_step lives[] = {
                {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = FINE}, {0}};
            const struct bench_step *const scripts[] = {dies, lives, NULL};
            struct bench_scripted *server = bench_scripted_start(NULL, scripts);
            host_start(&host, NULL, NULL);
            submit_asking(0, bench_scripted_url(server, "/", the_url, sizeof the_url));
            uint64_t token = wait_for_question(0);
            assert_true(bench_scripted_wait_closed(server, 0, HOST_WAIT_MS));
            let_the_loop_come_round();
            assert_int_equal(quoit_answer(host.engine, token, answer), QUOIT_OK);
            const struct host_record *record = host_wait(&host, 0);
            if (answer == QUOIT_ANSWER_YES) {
                host_assert_done(record, 2);
                assert_int_equal(record->summary.status, 200);
            } else {
                assert_int_equal(record->status, 302);
                assert_string_equal(record->text, "abc");
                host_assert_failed(record,
                                   k_deaths[death] == BENCH_RST ? QUOIT_ERR_CONNECTION_RESET
                                                                : QUOIT_ERR_HTTP_TRUNCATED_BODY,
                                   QUOIT_PHASE_BODY);
            }
            host_stop(&host);
            bench_scripted_stop(server);
        }
    }
}

// Nothing of the body is lost, and not much of it is read before the answer.
static void a_long_body_waits_in_the_socket_and_comes_whole_after_stop(void **state) {
    enum { LEN = 16 << 20 }; // more than the kernel's buffers take
    (void)state;
    static char response[LEN + 128];
    int head = snprintf(response, sizeof response,
                        "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: %d\r\n\r\n", LEN);
    memset(response + head, 'b', LEN);
    const struct bench_step script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = response, .len = (size_t)head + LEN}, {0}};
    struct bench_scripted *server = bench_scripted_start_one(script);
    host_start(&host, NULL, NULL);
    submit_asking(0, bench_scripted_url(server, "/", the_url, sizeof the_url));
    uint64_t token = wait_for_question(0);
    let_the_loop_come_round();
    assert_int_equal(bench_scripted_wait(server, 0, 0), BENCH_SCRIPT_RUNNING); // it cannot get rid of its body
    assert_int_equal(host.records[0].num_heads, 0);
    assert_int_equal(quoit_answer(host.engine, token, QUOIT_ANSWER_STOP), QUOIT_OK);
    const struct host_record *record = host_wait(&host, 0);
    host_assert_done(record, LEN);
    assert_int_equal(record->status, 302);
    assert_int_equal(record->summary.bytes_in, (uint64_t)head + LEN);
    host_stop(&host);
    bench_scripted_stop(server);
}

// --- schedules -------------------------------------------------------------------------------------------------------

static uint64_t the_token;
static int32_t the_code;

static void answer_yes(void *context) {
    (void)context;
    the_code = quoit_answer(host.engine, the_token, QUOIT_ANSWER_YES);
}

// Until the end has been told and the loop would have given the slot back.
static void cancel_and_wait(void *context) {
    (void)context;
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    host_wait(&host, 0);
    let_the_loop_come_round();
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_submit(host.engine, host.port, request, 1, NULL), *(const int32_t *)context);
    quoit_request_release(request);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 4 of tests/model/askword.pml: the slot changes tenants while its answer node is about to be pushed.
static void an_answer_on_its_way_keeps_the_slot_of_a_cancelled_request(void **state) {
    static const struct quoit_engine_options k_one = {.requests_max = 1};
    static const struct q_schedule_rule k_rules[] = {
        {"canceller:start", "answerer:askword.answer.after_cas"},
        {"answerer:askword.answer.after_cas", "canceller:end"},
    };
    static int32_t wanted = QUOIT_ERR_REQUESTS_MAX;
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/redirect/1", the_url, sizeof the_url);
    host_start(&host, &k_one, NULL);
    submit_asking(0, the_url);
    the_token = wait_for_question(0);
    const struct q_schedule_actor actors[] = {{"answerer", answer_yes, NULL}, {"canceller", cancel_and_wait, &wanted}};
    RUN(k_rules, actors);
    assert_int_equal(the_code, QUOIT_OK); // it was in time; the loop decided
    assert_int_equal(host.records[0].summary.failure.code, QUOIT_ERR_CANCELED);
    host_until(&host, host_is_pending, 0);
    host_fetch(&host, 1, bench_server_url(server, "/size/10", the_url, sizeof the_url), 10);
    host_stop(&host);
    bench_server_stop(server);
}

static void an_answer_that_looked_before_the_cancel_and_comes_behind_it_is_stale(void **state) {
    static const struct quoit_engine_options k_two = {.requests_max = 2};
    static const struct q_schedule_rule k_rules[] = {
        {"canceller:start", "answerer:askword.answer.before_cas"},
        {"answerer:askword.answer.before_cas", "canceller:end"},
    };
    static int32_t wanted = QUOIT_OK;
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/redirect/1", the_url, sizeof the_url);
    host_start(&host, &k_two, NULL);
    submit_asking(0, the_url);
    the_token = wait_for_question(0);
    host.records[1].is_submitted = true; // by the canceller
    const struct q_schedule_actor actors[] = {{"answerer", answer_yes, NULL}, {"canceller", cancel_and_wait, &wanted}};
    RUN(k_rules, actors);
    assert_int_equal(the_code, QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(host.records[0].summary.failure.code, QUOIT_ERR_CANCELED);
    assert_int_equal(host_wait(&host, 1)->status, 302); // it does not follow
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_does_what_it_says_in_every_mode),
        cmocka_unit_test(a_question_tells_neither_credentials_nor_fragment_and_the_next_method),
        cmocka_unit_test(nothing_is_asked_about_what_cannot_be_followed),
        cmocka_unit_test(a_token_that_names_no_question_is_refused),
        cmocka_unit_test(an_answer_to_the_last_question_is_none_to_this_one),
        cmocka_unit_test(the_first_of_two_answers_counts),
        cmocka_unit_test(what_a_question_points_at_stays_until_it_is_advanced_over),
        cmocka_unit_test(an_engine_is_destroyed_with_questions_that_nobody_advanced_over),
        cmocka_unit_test(a_question_waits_for_room_in_the_port),
        cmocka_unit_test(an_answer_that_does_not_come_in_time_is_a_typed_error),
        cmocka_unit_test(a_request_that_asks_says_so_and_is_cancelled_like_any_other),
        cmocka_unit_test(a_close_ends_what_asks),
        cmocka_unit_test(a_dead_connection_does_not_stop_yes_and_is_told_after_stop),
        cmocka_unit_test(a_long_body_waits_in_the_socket_and_comes_whole_after_stop),
        cmocka_unit_test(an_answer_on_its_way_keeps_the_slot_of_a_cancelled_request),
        cmocka_unit_test(an_answer_that_looked_before_the_cancel_and_comes_behind_it_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

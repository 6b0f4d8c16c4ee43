// What is sent again, and what is not, against a server that dies at a chosen octet. The rules without a socket are in
// exchange_test.c.
#include "tests/engine/core/host.h"

#include "bench/server/gate.h"
#include "bench/server/scripted.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// struct rig is a host and a scripted server.
struct rig {
    struct host host;
    struct bench_scripted *server;
    char url[HOST_URL_MAX];
};

static struct rig the_rig; // too large for a stack

static struct rig *rig_start(const struct bench_step *const *scripts) {
    host_start(&the_rig.host, NULL, NULL);
    the_rig.server = bench_scripted_start(NULL, scripts);
    assert_non_null(the_rig.server);
    bench_scripted_url(the_rig.server, "/", the_rig.url, sizeof the_rig.url);
    return &the_rig;
}

static void rig_stop(struct rig *rig) {
    bench_scripted_stop(rig->server);
    host_stop(&rig->host);
}

static void submit(struct rig *rig, uint32_t index, const char *method, const char *body) {
    struct quoit_request *request = host_request(method, rig->url);
    if (body != NULL) {
        assert_int_equal(quoit_request_set_body(request, body, strlen(body), NULL, NULL), QUOIT_OK);
    }
    host_submit(&rig->host, index, request);
}

static const struct bench_step k_answers[] = {
    {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = ANSWER}, {.kind = BENCH_REPEAT}, {0}};

// Answers once; then hears a second request and dies.
static const struct bench_step k_dies_second[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_SEND, .bytes = ANSWER},
                                                  {.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_RST},
                                                  {0}};

static void a_fresh_connection_that_dies_is_not_replayed(void **state) {
    static const struct bench_step k_fin[] = {{.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_FIN}, {0}};
    static const struct bench_step k_rst[] = {{.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_RST}, {0}};
    static const struct {
        const struct bench_step *script;
        int32_t code;
    } k_rows[] = {{k_fin, QUOIT_ERR_CONNECTION_CLOSED}, {k_rst, QUOIT_ERR_CONNECTION_RESET}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct bench_step *const scripts[] = {k_rows[i].script, k_answers, NULL};
        struct rig *rig = rig_start(scripts);
        submit(rig, 0, "GET", NULL);
        const struct host_record *record = host_wait(&rig->host, 0);
        host_assert_failed(record, k_rows[i].code, QUOIT_PHASE_HEAD);
        assert_int_equal(record->summary.attempts, 1);
        assert_int_equal(record->summary.failure.retry_safe, 0);
        assert_int_equal(bench_scripted_accepted(rig->server), 1);
        rig_stop(rig);
    }
}

static void an_idempotent_request_on_a_reused_connection_is_sent_again_with_its_body(void **state) {
    (void)state;
    const struct bench_step *const scripts[] = {k_dies_second, k_answers, NULL};
    struct rig *rig = rig_start(scripts);
    submit(rig, 0, "GET", NULL);
    host_assert_done(host_wait(&rig->host, 0), 2);
    submit(rig, 1, "PUT", "the whole body");
    const struct host_record *record = host_wait(&rig->host, 1);
    host_assert_done(record, 2);
    assert_int_equal(record->summary.attempts, 2);
    assert_int_equal(record->summary.reused, 0); // the connection that answered was a new one
    char received[1024] = {0};
    size_t len = bench_scripted_received(rig->server, 1, received, sizeof received - 1);
    assert_true(len < sizeof received);
    assert_ptr_equal(strstr(received, "PUT / HTTP/1.1\r\n"), received);
    assert_non_null(strstr(received, "\r\nContent-Length: 14\r\n"));
    assert_string_equal(received + len - 14, "the whole body");
    assert_int_equal(host_info(&rig->host).requests_failed, 0);
    rig_stop(rig);
}

static void another_request_on_a_reused_connection_may_have_been_processed(void **state) {
    (void)state;
    const struct bench_step *const scripts[] = {k_dies_second, k_answers, NULL};
    struct rig *rig = rig_start(scripts);
    submit(rig, 0, "GET", NULL);
    host_assert_done(host_wait(&rig->host, 0), 2);
    submit(rig, 1, "POST", "once");
    const struct host_record *record = host_wait(&rig->host, 1);
    host_assert_failed(record, QUOIT_ERR_MAYBE_PROCESSED, QUOIT_PHASE_HEAD);
    assert_int_equal(record->summary.failure.retry_safe, 0);
    assert_int_equal(record->summary.attempts, 1);
    assert_int_equal(record->summary.reused, 1);
    assert_int_equal(bench_scripted_accepted(rig->server), 1);
    rig_stop(rig);
}

static void a_response_that_has_begun_is_never_asked_for_again(void **state) {
    static const struct bench_step k_dies_in_head[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                       {.kind = BENCH_SEND, .bytes = ANSWER},
                                                       {.kind = BENCH_EXPECT_REQUEST},
                                                       {.kind = BENCH_SEND, .bytes = "H"},
                                                       {.kind = BENCH_FIN},
                                                       {0}};
    (void)state;
    const struct bench_step *const scripts[] = {k_dies_in_head, k_answers, NULL};
    struct rig *rig = rig_start(scripts);
    submit(rig, 0, "GET", NULL);
    host_assert_done(host_wait(&rig->host, 0), 2);
    submit(rig, 1, "GET", NULL);
    const struct host_record *record = host_wait(&rig->host, 1);
    host_assert_failed(record, QUOIT_ERR_HTTP_TRUNCATED_HEAD, QUOIT_PHASE_HEAD);
    assert_int_equal(record->summary.attempts, 1);
    rig_stop(rig);
}

// All connections are open and have served before the last request comes: it uses up five of them, and no more.
static void a_replay_does_not_count_on_what_was_idle_together_with_the_dead(void **state) {
    enum { NUM = 7 };
    static struct bench_gate gate;
    static const struct bench_step k_gated[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                {.kind = BENCH_WAIT, .gate = &gate},
                                                {.kind = BENCH_SEND, .bytes = ANSWER},
                                                {.kind = BENCH_EXPECT_REQUEST},
                                                {.kind = BENCH_RST},
                                                {0}};
    (void)state;
    const struct bench_step *const scripts[] = {k_gated, NULL};
    bench_gate_init(&gate);
    struct rig *rig = rig_start(scripts);
    for (uint32_t i = 0; i < NUM; i++) {
        submit(rig, i, "GET", NULL);
    }
    host_until(&rig->host, host_is_open, NUM);
    for (uint32_t i = 0; i < NUM; i++) {
        bench_gate_open(&gate);
    }
    host_wait_all(&rig->host, NUM);
    bench_gate_open(&gate); // for the connection that is made
    submit(rig, NUM, "GET", NULL);
    const struct host_record *record = host_wait(&rig->host, NUM);
    assert_int_equal(record->summary.failure.code, QUOIT_OK);
    assert_int_equal(record->summary.attempts, 2); // one that died, and one that was never idle
    assert_int_equal(record->summary.reused, 0);
    assert_int_equal(bench_scripted_accepted(rig->server), NUM + 1);
    rig_stop(rig);
    bench_gate_deinit(&gate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_connection_that_dies_is_not_replayed),
        cmocka_unit_test(an_idempotent_request_on_a_reused_connection_is_sent_again_with_its_body),
        cmocka_unit_test(another_request_on_a_reused_connection_may_have_been_processed),
        cmocka_unit_test(a_response_that_has_begun_is_never_asked_for_again),
        cmocka_unit_test(a_replay_does_not_count_on_what_was_idle_together_with_the_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Cases: one request at a time on the simulated network, in plain mode, with the outcome that it must have. What the
// seeds of engine_sim_test.c meet by chance is here by name, at every byte.
#define _GNU_SOURCE
#include "tests/sim/stand.h"

#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_framing_brings_the_whole_body(void **state) {
    struct stand *stand = *state;
    static const char *const k_framings[] = {"size", "chunked", "close"};
    static const uint64_t k_counts[] = {0, 1, 100, 16384, 16385, 200000};
    for (size_t f = 0; f < Q_COUNT_OF(k_framings); f++) {
        for (size_t c = 0; c < Q_COUNT_OF(k_counts); c++) {
            stand->tag = f * 10 + c;
            stand_ask(stand, (struct ask){0}, "/%s/%llu?tag=%llu", k_framings[f], (unsigned long long)k_counts[c],
                      (unsigned long long)stand->tag);
            stand_expect(stand, 0);
            assert_int_equal(stand->status, 200);
            assert_int_equal(stand->received, k_counts[c]);
            assert_int_equal(stand->has_trailers, f == 1);
            assert_int_equal(stand->heads_at_server, 1);
        }
    }
}

static void a_body_comes_back_as_it_was_sent(void **state) {
    struct stand *stand = *state;
    static const uint64_t k_lens[] = {1, 1000, 70000, 1000000};
    for (size_t i = 0; i < Q_COUNT_OF(k_lens); i++) {
        stand->tag = i;
        stand_ask(stand, (struct ask){.method = "POST", .body_len = k_lens[i]}, "/echo?tag=%zu&check", i);
        stand_expect(stand, 0);
        assert_int_equal(stand->received, k_lens[i]);
    }
}

// How long a response is, with its framing, on the server's side.
static uint64_t response_len(struct stand *stand, const char *target) {
    stand_ask(stand, (struct ask){0}, "%s", target);
    stand_expect(stand, 0);
    return stand->summary.bytes_in;
}

static void a_reset_at_every_byte_is_a_typed_error(void **state) {
    struct stand *stand = *state;
    static const char *const k_targets[] = {"/size/40?tag=1", "/chunked/40?tag=1", "/close/40?tag=1",
                                            "/size/40?tag=1&info=2"};
    stand->tag = 1;
    for (size_t t = 0; t < Q_COUNT_OF(k_targets); t++) {
        uint64_t len = response_len(stand, k_targets[t]);
        assert_true(len > 60);
        for (uint64_t at = 0; at < len; at++) {
            stand_ask(stand, (struct ask){.method = "POST"}, "%s&reset=%llu", k_targets[t], (unsigned long long)at);
            // On a connection that has served before, and without a byte of answer, nobody knows what happened.
            bool is_unknown = at == 0 && stand->summary.reused;
            stand_expect(stand, is_unknown ? QUOIT_ERR_MAYBE_PROCESSED : QUOIT_ERR_CONNECTION_RESET);
            assert_true(stand->received < 40 || strstr(k_targets[t], "size") == NULL);
        }
    }
}

static void an_end_at_every_byte_is_a_typed_error(void **state) {
    struct stand *stand = *state;
    static const char *const k_targets[] = {"/size/40?tag=1", "/chunked/40?tag=1"};
    stand->tag = 1;
    for (size_t t = 0; t < Q_COUNT_OF(k_targets); t++) {
        uint64_t len = response_len(stand, k_targets[t]);
        for (uint64_t at = 0; at < len; at++) {
            stand_ask(stand, (struct ask){.method = "POST"}, "%s&cut=%llu", k_targets[t], (unsigned long long)at);
            int32_t code = at == 0 && stand->summary.reused ? QUOIT_ERR_MAYBE_PROCESSED
                           : at == 0                        ? QUOIT_ERR_CONNECTION_CLOSED
                           : stand->status == 0             ? QUOIT_ERR_HTTP_TRUNCATED_HEAD
                                                            : QUOIT_ERR_HTTP_TRUNCATED_BODY;
            stand_expect(stand, code);
        }
    }
}

static void connecting_fails_with_its_own_error(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){.port = 81}, "/size/1");
    stand_expect(stand, QUOIT_ERR_CONNECT_REFUSED);
    assert_int_equal(stand->summary.failure.retry_safe, 1);
    stand_ask(stand, (struct ask){.port = 82}, "/size/1");
    stand_expect(stand, QUOIT_ERR_CONNECT_UNREACHABLE);
    uint64_t before_ns = q_sim_now(stand->sim);
    stand_ask(stand, (struct ask){.port = 83, .connect_ms = 200}, "/size/1");
    stand_expect(stand, QUOIT_ERR_TIMEOUT_CONNECT);
    uint64_t took_ms = (q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS;
    assert_in_range(took_ms, 200, 205);
    stand_ask(stand, (struct ask){.port = 83, .connect_ms = 200000}, "/size/1");
    stand_expect(stand, QUOIT_ERR_CONNECT_TIMED_OUT); // the kernel gave up first
}

static void a_server_that_never_answers_ends_at_the_total_timeout(void **state) {
    struct stand *stand = *state;
    static const char *const k_targets[] = {"/never", "/size/1000?pause=100000", "/size/5?delay=100000"};
    for (size_t i = 0; i < Q_COUNT_OF(k_targets); i++) {
        uint64_t before_ns = q_sim_now(stand->sim);
        stand->tag = 0;
        stand_ask(stand, (struct ask){.total_ms = 300}, "%s", k_targets[i]);
        stand_expect(stand, QUOIT_ERR_TIMEOUT_TOTAL);
        assert_int_equal(stand->summary.failure.phase, i == 1 ? QUOIT_PHASE_BODY : QUOIT_PHASE_HEAD);
        assert_in_range((q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS, 300, 305);
    }
}

// A host that thinks for long is no server that is silent; but the total bound is the host's own word.
static void time_to_think_is_nobodys_silence(void **state) {
    struct stand *stand = *state;
    stand->tag = 5;
    stand->answer = QUOIT_ANSWER_YES;
    stand->answer_after_ms = 5000;
    stand_ask(stand, (struct ask){.every_ms = 50}, "/size/10?tag=5&hops=2");
    stand_expect(stand, 0);
    assert_int_equal(stand->status, 200);
    assert_int_equal(stand->heads_at_server, 3);
    assert_in_range(stand->summary.spent_ns[QUOIT_STAGE_ASKING] / Q_NS_PER_MS, 10000, 10010);
    stand->answer = QUOIT_ANSWER_STOP;
    stand_ask(stand, (struct ask){.every_ms = 50}, "/size/10?tag=5&hops=1");
    stand_expect(stand, 0);
    assert_int_equal(stand->status, 307);
    assert_int_equal(stand->received, Q_SIMHTTP_HOP_BYTES);
    stand->answer_after_ms = 0;
    stand->answer = 0;
    uint64_t before_ns = q_sim_now(stand->sim);
    stand_ask(stand, (struct ask){.total_ms = 300}, "/size/10?tag=5&hops=1");
    stand_expect(stand, QUOIT_ERR_TIMEOUT_TOTAL);
    assert_in_range((q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS, 300, 305);
    before_ns = q_sim_now(stand->sim);
    stand_ask(stand, (struct ask){0}, "/size/10?tag=5&hops=1");
    stand_expect(stand, QUOIT_ERR_TIMEOUT_ANSWER);
    assert_in_range((q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS, 30000, 30010); // unless it was given
    assert_int_equal(quoit_answer(stand->engine, stand->token, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
}

// The redirect's connection dies, behind its head, while the host thinks: of what it said nothing is lost.
static void a_redirect_that_dies_at_every_byte_of_its_body_is_followed_or_told(void **state) {
    static const char *const k_deaths[] = {"reset", "cut"};
    struct stand *stand = *state;
    stand->tag = 5;
    for (size_t death = 0; death < Q_COUNT_OF(k_deaths); death++) {
        stand->answer = QUOIT_ANSWER_STOP;
        stand->answer_after_ms = 0;
        stand_ask(stand, (struct ask){0}, "/size/40?tag=5&hops=1&pause=50&%s=999", k_deaths[death]); // it is not that long
        stand_expect(stand, 0);
        uint64_t body_at = stand->summary.bytes_in - Q_SIMHTTP_HOP_BYTES;
        // The pause is in the middle of the body: before it a reset takes the head with it.
        uint64_t first = death == 0 ? body_at + Q_SIMHTTP_HOP_BYTES / 2 + 1 : body_at;
        stand->answer_after_ms = 100; // behind the death
        for (uint64_t at = first; at < body_at + Q_SIMHTTP_HOP_BYTES; at += 7) {
            stand->answer = QUOIT_ANSWER_STOP;
            stand_ask(stand, (struct ask){0}, "/size/40?tag=5&hops=1&pause=50&%s=%llu", k_deaths[death],
                      (unsigned long long)at);
            stand_expect(stand, death == 0 ? QUOIT_ERR_CONNECTION_RESET : QUOIT_ERR_HTTP_TRUNCATED_BODY);
            assert_int_equal(stand->status, 307);
            assert_true(stand->received == at - body_at || (death == 0 && stand->received < at - body_at));
            stand->answer = QUOIT_ANSWER_YES; // only the redirect is so long that it dies
            stand_ask(stand, (struct ask){0}, "/size/1?tag=5&hops=1&pause=50&%s=%llu", k_deaths[death],
                      (unsigned long long)at);
            stand_expect(stand, 0);
            assert_int_equal(stand->status, 200);
        }
    }
}

static void statuses_without_a_body_end_with_their_head(void **state) {
    struct stand *stand = *state;
    static const struct {
        const char *method, *target;
        unsigned status;
    } k_cases[] = {{"GET", "/status/204", 204},       {"GET", "/status/304", 304}, {"HEAD", "/size/1000", 200},
                   {"HEAD", "/chunked/1000", 200},    {"HEAD", "/close/1000", 200}, {"GET", "/status/404", 404},
                   {"POST", "/status/200?info=3", 200}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        stand_ask(stand, (struct ask){.method = k_cases[i].method}, "%s", k_cases[i].target);
        stand_expect(stand, 0);
        assert_int_equal(stand->status, k_cases[i].status);
        assert_int_equal(stand->received, 0);
    }
}

static void a_connection_is_used_again_until_its_server_closes_it(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10");
    uint32_t first = stand->summary.connection_id;
    stand_ask(stand, (struct ask){0}, "/chunked/10?linger=1000");
    assert_int_equal(stand->summary.connection_id, first);
    assert_int_equal(stand->summary.reused, 1);
    stand_run_for(stand, 2000); // the server closes the idle connection
    stand_ask(stand, (struct ask){.method = "POST"}, "/size/10?last");
    stand_expect(stand, 0);
    assert_int_not_equal(stand->summary.connection_id, first);
    uint32_t second = stand->summary.connection_id;
    stand_ask(stand, (struct ask){.method = "POST"}, "/size/10");
    stand_expect(stand, 0);
    assert_int_not_equal(stand->summary.connection_id, second); // it had said close
}

static void an_idempotent_request_is_sent_again_and_another_is_not(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_ask(stand, (struct ask){.method = "POST"}, "/size/10?reset=0");
    stand_expect(stand, QUOIT_ERR_MAYBE_PROCESSED);
    assert_int_equal(stand->heads_at_server, 1);
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_ask(stand, (struct ask){.method = "PUT"}, "/size/10?reset=0"); // each of its servers dies
    stand_expect(stand, QUOIT_ERR_CONNECTION_RESET);
    assert_int_equal(stand->heads_at_server, 2); // once on the old connection, once on a fresh one
    assert_int_equal(stand->summary.failure.retry_safe, 0);
}

static void a_response_that_nobody_asked_for_is_nobodys(void **state) {
    struct stand *stand = *state;
    for (unsigned i = 0; i < 3; i++) {
        stand_ask(stand, (struct ask){0}, "/size/10?extra=%u", i * 10);
        stand_expect(stand, 0);
        uint32_t first = stand->summary.connection_id;
        stand_run_for(stand, i * 15);
        stand_ask(stand, (struct ask){0}, "/status/204");
        stand_expect(stand, 0);
        assert_int_equal(stand->status, 204);
        assert_int_not_equal(stand->summary.connection_id, first);
    }
}

static void let_time_pass(struct stand *stand, uint64_t ms) {
    uint64_t until_ns = q_sim_now(stand->sim) + ms * Q_NS_PER_MS;
    while (q_sim_step(stand->sim, until_ns)) {
    }
}

// A host that drives the loop may be away for long. What it has begun is handed over before it goes: or what comes on the
// connection meanwhile would be taken for the answer.
static void a_request_goes_out_with_the_tick_that_took_it_in(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_expect(stand, 0);
    uint32_t first = stand->summary.connection_id;
    stand_begin(stand, (struct ask){0}, "/status/204");
    assert_true(quoit_engine_tick(stand->engine) >= 0);
    let_time_pass(stand, 10);
    assert_int_equal(stand->heads_at_server, 1);
    stand_run_until(stand, &stand->has_ended);
    stand_expect(stand, 0);
    assert_int_equal(stand->summary.connection_id, first);
}

static unsigned num_begun_inside;

static void begins_another_and_takes_long(void *context, const struct quoit_event *event) {
    struct stand *stand = context;
    stand_on_event(context, event);
    if (stand->has_ended && stand->status == 200) {
        num_begun_inside++;
        stand_begin(stand, (struct ask){0}, "/status/204");
        let_time_pass(stand, 40);
    }
}

// The same inside a callback, where the engine waits for its host: what came meanwhile is looked at before the request
// takes the connection.
static void a_callback_that_takes_long_is_not_followed_by_a_strangers_answer(void **state) {
    struct stand *stand = *state;
    const struct quoit_port_options options = {.struct_size = sizeof options,
                                               .mode = QUOIT_PORT_INLINE,
                                               .on_event = begins_another_and_takes_long,
                                               .context = stand};
    struct quoit_port ports[2] = {stand->port};
    assert_int_equal(quoit_port_create(stand->engine, &options, &ports[1]), 0);
    stand->port = ports[1];
    num_begun_inside = 0;
    stand_begin(stand, (struct ask){0}, "/size/10?extra=20");
    while (!stand->has_ended || stand->status != 204) {
        stand_run_once(stand, UINT64_MAX);
    }
    stand_expect(stand, 0);
    assert_int_equal(num_begun_inside, 1); // a stranger's 200 would have ended the second and begun a third
    assert_int_equal(stand->summary.reused, 0);
    assert_int_equal(stand->summary.attempts, 1);
    stand->port = ports[0];
}

static void a_socket_has_its_options(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10");
    struct q_sim_conn *conn = q_sim_conn_at(stand->sim, 0);
    assert_int_equal(q_sim_conn_option(conn, IPPROTO_TCP, TCP_NODELAY, -1), 1);
    assert_int_equal(q_sim_conn_option(conn, SOL_SOCKET, SO_KEEPALIVE, -1), 1);
    assert_true(q_sim_conn_option(conn, IPPROTO_TCP, TCP_KEEPIDLE, -1) > 0);
    assert_true(q_sim_conn_option(conn, IPPROTO_TCP, TCP_USER_TIMEOUT, -1) > 0);
}

static void an_idle_connection_ends_at_its_timeout(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_run_for(stand, 59000);
    assert_int_equal(q_sim_conn_count(stand->sim), 1);
    stand_run_for(stand, 2000);
    assert_int_equal(q_sim_conn_count(stand->sim), 0);
}

static void an_early_answer_to_a_large_body_is_heard(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 900000}, "/size/10?early&last");
    stand_expect(stand, 0);
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 900000}, "/size/10?early&stall=50");
    stand_expect(stand, 0);
    uint32_t half_sent = stand->summary.connection_id;
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_expect(stand, 0);
    assert_int_not_equal(stand->summary.connection_id, half_sent); // the rest of the body would be its beginning
}

// An early answer to a request that is sent completely all the same: both directions are at their boundary.
static void an_early_answer_to_a_request_that_is_sent_keeps_the_connection(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 1000}, "/size/10?early&check");
    stand_expect(stand, 0);
    uint32_t connection = stand->summary.connection_id;
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 1000}, "/size/10?early&check");
    stand_expect(stand, 0);
    assert_int_equal(stand->summary.connection_id, connection);
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 1000}, "/size/10?early&check&last");
    stand_expect(stand, 0);
    stand_ask(stand, (struct ask){0}, "/size/10");
    stand_expect(stand, 0);
    assert_int_not_equal(stand->summary.connection_id, connection); // it said close
}

// The server closes with the request unread and its answer not yet delivered: its kernel resets. The send is told, and
// what the receive then finds looks like the end of a body that ends with the connection.
static void a_reset_that_the_send_was_told_of_does_not_end_a_body(void **state) {
    struct stand *stand = *state;
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 900000}, "/close/1000000?early");
    stand_expect(stand, QUOIT_ERR_CONNECTION_RESET);
    assert_true(stand->received < 1000000);
}

// Sends of the route's own before the request.
static unsigned num_hellos(void) { return sim_route != NULL; }

static void a_send_of_nothing_is_tried_on_another_connection(void **state) {
    struct stand *stand = *state;
    q_sim_fail_op(stand->sim, IORING_OP_SEND, 1 + num_hellos(), ENOMEM);
    stand_ask(stand, (struct ask){.method = "POST"}, "/size/10");
    stand_expect(stand, 0);
    assert_int_equal(stand->summary.attempts, 2);
    assert_int_equal(stand->heads_at_server, 1);
}

static void a_send_that_breaks_off_fails_its_request_at_once(void **state) {
    struct stand *stand = *state;
    uint64_t before_ns = q_sim_now(stand->sim);
    q_sim_fail_op(stand->sim, IORING_OP_SENDMSG, 2, ENOMEM); // its second try: a part is gone, and it ends short
    q_sim_fail_op(stand->sim, IORING_OP_SEND, 1 + num_hellos(), ENOMEM); // the rest
    stand_ask(stand, (struct ask){.method = "POST", .body_len = 900000}, "/size/10?stall=10");
    stand_expect(stand, QUOIT_ERR_CONNECTION_FAILED);
    assert_int_equal(stand->summary.failure.retry_safe, 0);
    assert_in_range((q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS, 0, 20);
}

static void each_allocation_may_fail_and_nothing_is_lost(void **state) {
    struct stand *stand = *state;
    for (uint64_t nth = 1;; nth++) {
        q_failalloc_fail_at(stand->failalloc, nth);
        stand->tag = 3;
        stand_ask(stand, (struct ask){.method = "POST", .body_len = 100}, "/echo?tag=3&last");
        bool has_failed = q_failalloc_failed(stand->failalloc);
        q_failalloc_fail_at(stand->failalloc, 0);
        int32_t code = stand->summary.failure.code;
        assert_true(code == 0 || (has_failed && code == QUOIT_ERR_NO_MEMORY));
        if (!has_failed) {
            break;
        }
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stand_set_up, stand_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(every_framing_brings_the_whole_body),
        CASE(a_body_comes_back_as_it_was_sent),
        CASE(a_reset_at_every_byte_is_a_typed_error),
        CASE(an_end_at_every_byte_is_a_typed_error),
        CASE(connecting_fails_with_its_own_error),
        CASE(a_server_that_never_answers_ends_at_the_total_timeout),
        CASE(time_to_think_is_nobodys_silence),
        CASE(a_redirect_that_dies_at_every_byte_of_its_body_is_followed_or_told),
        CASE(statuses_without_a_body_end_with_their_head),
        CASE(a_connection_is_used_again_until_its_server_closes_it),
        CASE(an_idempotent_request_is_sent_again_and_another_is_not),
        CASE(a_response_that_nobody_asked_for_is_nobodys),
        CASE(a_request_goes_out_with_the_tick_that_took_it_in),
        CASE(a_callback_that_takes_long_is_not_followed_by_a_strangers_answer),
        CASE(a_socket_has_its_options),
        CASE(an_idle_connection_ends_at_its_timeout),
        CASE(an_early_answer_to_a_large_body_is_heard),
        CASE(an_early_answer_to_a_request_that_is_sent_keeps_the_connection),
        CASE(a_reset_that_the_send_was_told_of_does_not_end_a_body),
        CASE(a_send_of_nothing_is_tried_on_another_connection),
        CASE(a_send_that_breaks_off_fails_its_request_at_once),
        CASE(each_allocation_may_fail_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Between a question about TLS and its answer: other threads, answers that come late, twice, to another kind or never, who is
// asked when the first one has gone, and what is shown outliving what it is about.
#include "tests/engine/core/asked.h"

#include <sched.h>

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"
#include "tests/support/tls_front.h"

static struct bench_server *the_server;
static struct tls_front *the_front;
static struct asked_point the_owner;
static struct quoit_tls *the_tls; // asks before trusting
static char the_url[HOST_URL_MAX];
static char the_long_url[HOST_URL_MAX]; // whose response does not end by itself

static int set_up(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    assert_non_null(the_server);
    the_front = tls_front_start(&(struct tls_front_options){.port = bench_server_port(the_server)});
    asked_point_new(&the_owner);
    the_tls = asked_verify(tls_front_roots(), QUOIT_TLS_ASK_BEFORE_TRUSTING, the_owner.point);
    snprintf(the_url, sizeof the_url, "https://127.0.0.1:%u/size/10", tls_front_port(the_front));
    snprintf(the_long_url, sizeof the_long_url, "https://127.0.0.1:%u/size/8000000", tls_front_port(the_front));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    quoit_tls_release(the_tls);
    quoit_tls_point_release(the_owner.point);
    assert_int_equal(the_owner.num_released, 1); // all engines have gone before
    tls_front_stop(the_front);
    bench_server_stop(the_server);
    return 0;
}

static void start(const struct quoit_engine_options *engine) { asked_start(engine, NULL); }

static void *allocate(void *context, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    return alloc->allocate(alloc->context, size);
}

static void release(void *context, void *ptr, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    alloc->release(alloc->context, ptr, size);
}

// An engine whose memory is overwritten when it is freed, and counted.
static struct q_failalloc *start_counted(void) {
    struct q_failalloc *memory = q_failalloc_new();
    const struct quoit_allocator allocator = {.allocate = allocate, .release = release, .context = memory};
    start(&(struct quoit_engine_options){.allocator = &allocator});
    return memory;
}

// The engine has gone.
static void assert_nothing_is_left(struct q_failalloc *memory) {
    char text[512];
    if (!q_failalloc_check(memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(memory);
}

static const struct quoit_engine_options k_one_connection = {.connections_per_origin_max = 1};

static int32_t answer(const struct asked_question *question, uint32_t word) {
    return quoit_answer(asked_host.engine, question->token, word);
}

// --- tokens ----------------------------------------------------------------------------------------------------------

static void an_answer_of_another_kind_is_refused_and_the_question_stands(void **state) {
    (void)state;
    struct q_failalloc *memory = start_counted();
    asked_get(0, the_url, the_tls);
    const struct asked_question *question = asked_wait(1);
    assert_int_equal(answer(question, QUOIT_ANSWER_STOP), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer_signature(asked_host.engine, question->token, "abc", 3), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer_signature(asked_host.engine, question->token + (1u << 20), "abc", 3),
                     QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 10);
    assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE); // late
    assert_int_equal(answer(question, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    host_stop(&asked_host);
    assert_nothing_is_left(memory);
}

// The loop is kept from the queue by nothing, so the second may be late; either way it changes nothing.
static void the_first_of_two_answers_counts(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        start(NULL);
        asked_get(0, the_url, the_tls);
        const struct asked_question *question = asked_wait(1);
        assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_OK);
        int32_t second = answer(question, QUOIT_ANSWER_REFUSE);
        assert_true(second == QUOIT_OK || second == QUOIT_ERR_STALE_HANDLE);
        host_assert_done(host_wait(&asked_host, 0), 10);
        host_stop(&asked_host);
    }
}

static void *answer_from_elsewhere(void *context) {
    const struct asked_question *question = context;
    return (void *)(intptr_t)answer(question, QUOIT_ANSWER_YES);
}

static void another_thread_answers_in_every_mode(void **state) {
    (void)state;
    for (uint32_t mode = 0; mode < 4; mode++) {
        pthread_t thread;
        void *result;
        asked_start(&(struct quoit_engine_options){.mode = mode & 1}, &(struct quoit_port_options){.mode = mode >> 1});
        asked_get(0, the_url, the_tls);
        const struct asked_question *question = asked_wait(1);
        assert_int_equal(pthread_create(&thread, NULL, answer_from_elsewhere, (void *)(uintptr_t)question), 0);
        pthread_join(thread, &result);
        assert_int_equal((intptr_t)result, QUOIT_OK);
        host_assert_done(host_wait(&asked_host, 0), 10);
        host_stop(&asked_host);
    }
}

// --- time ------------------------------------------------------------------------------------------------------------

static void an_answer_that_does_not_come_is_a_timeout_of_its_own(void **state) {
    (void)state;
    start(NULL);
    host_submit(&asked_host, 0, asked_request(the_url, the_tls, 30));
    const struct asked_question *question = asked_wait(1);
    const struct host_record *record = host_wait(&asked_host, 0);
    host_assert_failed(record, QUOIT_ERR_TIMEOUT_ANSWER, QUOIT_PHASE_TLS);
    assert_true(record->summary.failure.retry_safe);
    assert_true(record->summary.spent_ns[QUOIT_STAGE_ASKING] >= 30 * 1000000u);
    assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
    host_until(&asked_host, host_is_open, 0); // nobody is left who could answer: it is given up
    struct quoit_request *request = asked_request(the_url, the_tls, 0);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .total_ms = 30};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&asked_host, 1, request);
    host_assert_failed(host_wait(&asked_host, 1), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_TLS);
    assert_int_equal(asked.num, 2);
    host_stop(&asked_host);
}

// Connecting has 40 ms, and the host takes longer.
static void the_hosts_time_is_not_the_connections(void **state) {
    (void)state;
    start(NULL);
    struct quoit_request *request = asked_request(the_url, the_tls, 0);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .connect_ms = 2000};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&asked_host, 0, request);
    const struct asked_question *question = asked_wait(1);
    struct quoit_request_state told = {.struct_size = sizeof told};
    do { // longer than connecting may take
        assert_int_equal(quoit_request_state(asked_host.engine, asked_host.records[0].handle, &told), QUOIT_OK);
        assert_int_equal(told.stage, QUOIT_STAGE_ASKING);
        sched_yield();
    } while (told.stage_ns < 2100 * UINT64_C(1000000));
    assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_OK);
    const struct host_record *record = host_wait(&asked_host, 0);
    host_assert_done(record, 10);
    assert_true(record->summary.tls_handshake_ns < 2000 * UINT64_C(1000000)); // nor is it the handshake's
    host_stop(&asked_host);
}

// --- who is asked ----------------------------------------------------------------------------------------------------

static void a_cancelled_requests_question_is_the_next_ones_in_line(void **state) {
    (void)state;
    start(&k_one_connection);
    for (uint32_t i = 0; i < 3; i++) {
        asked_get(i, the_url, the_tls);
    }
    const struct asked_question *first = asked_wait(1);
    assert_int_equal(first->user_data, 0);
    assert_int_equal(quoit_cancel(asked_host.engine, first->request), QUOIT_OK);
    host_assert_failed(host_wait(&asked_host, 0), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    const struct asked_question *second = asked_wait(2);
    assert_int_equal(second->user_data, 1);
    assert_int_not_equal(second->token, first->token);
    assert_int_equal(second->num_certs, first->num_certs);
    assert_memory_equal(second->certs[0], first->certs[0], first->cert_len[0]);
    assert_int_equal(answer(first, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(answer(second, QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 1), 10);
    host_assert_done(host_wait(&asked_host, 2), 10);
    assert_int_equal(asked.num, 2);
    assert_int_equal(host_info(&asked_host).connections_opened, 1);
    host_stop(&asked_host);
}

static void who_refuses_ends_himself_and_nobody_else(void **state) {
    (void)state;
    start(NULL);
    for (uint32_t i = 0; i < 3; i++) {
        asked_get(i, the_url, the_tls); // a connection each
    }
    asked_wait(3);
    const struct asked_question *of[3] = {NULL};
    for (uint32_t i = 0; i < 3; i++) {
        of[asked.questions[i].user_data] = &asked.questions[i];
    }
    assert_int_equal(answer(of[1], QUOIT_ANSWER_REFUSE), QUOIT_OK);
    host_assert_failed(host_wait(&asked_host, 1), QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_PHASE_TLS);
    assert_int_equal(answer(of[2], QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 2), 10);
    host_assert_done(host_wait(&asked_host, 0), 10); // by the connection that the other one does not need any more
    assert_int_equal(asked.num, 3);
    host_stop(&asked_host);
}

// The first has a connection, and sits on it. The second is asked about another one, and gets the first one's.
static void a_connection_that_comes_free_takes_the_place_of_the_answer(void **state) {
    (void)state;
    start(&(struct quoit_engine_options){.connections_per_origin_max = 2});
    struct quoit_request *request = asked_request(the_long_url, the_tls, 0);
    assert_int_equal(quoit_request_set_credit(request, 100000, 1), QUOIT_OK);
    host_submit(&asked_host, 0, request);
    assert_int_equal(answer(asked_wait(1), QUOIT_ANSWER_YES), QUOIT_OK);
    host_wait_body(&asked_host, 0, 1);
    asked_get(1, the_url, the_tls);
    const struct asked_question *question = asked_wait(2);
    assert_int_equal(question->user_data, 1);
    assert_int_equal(quoit_grant(asked_host.engine, asked_host.records[0].handle, 8000000), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 8000000);
    host_assert_done(host_wait(&asked_host, 1), 10);
    assert_true(asked_host.records[1].summary.reused);
    assert_int_equal(answer(question, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(asked.num, 2);
    host_until(&asked_host, host_is_open, 1); // the other was given up
    host_stop(&asked_host);
}

static void a_question_waits_for_room_in_the_port(void **state) {
    (void)state;
    asked_start(NULL, &(struct quoit_port_options){.capacity = 16}); // which has 5 slots for what is not reserved
    for (uint32_t i = 0; i < 5; i++) {
        asked_get(i, the_url, the_tls);
    }
    host_until_stage(&asked_host, 0, QUOIT_STAGE_ASKING);
    asked.answer = ASKED_YES;
    host_wait_all(&asked_host, 5);
    for (uint32_t i = 0; i < 5; i++) {
        host_assert_done(&asked_host.records[i], 10);
    }
    host_stop(&asked_host);
}

// --- memory ----------------------------------------------------------------------------------------------------------

static void what_a_question_shows_stays_until_the_host_has_advanced(void **state) {
    struct quoit_event events[4];
    uint8_t leaf[ASKED_BYTES_MAX];
    (void)state;
    struct q_failalloc *memory = start_counted();
    asked_get(0, the_url, the_tls);
    int32_t count;
    while ((count = quoit_port_wait(asked_host.port, events, sizeof events[0], 1, HOST_WAIT_MS)) == 0) {
    }
    assert_int_equal(count, 1);
    assert_int_equal(events[0].type, QUOIT_EVENT_QUESTION);
    const struct quoit_question *question = &events[0].u.question;
    const struct quoit_der *der = question->certificates.list;
    assert_true(der->len <= sizeof leaf);
    memcpy(leaf, der->data, der->len);
    assert_int_equal(quoit_cancel(asked_host.engine, events[0].request), QUOIT_OK);
    host_until(&asked_host, host_is_open, 0); // the connection is gone, and the configuration's context idle
    assert_memory_equal(der->data, leaf, der->len);
    assert_memory_equal(question->host, "127.0.0.1", question->host_len);
    host_wait(&asked_host, 0); // drains the rest, and advances
    host_stop(&asked_host);
    assert_nothing_is_left(memory);
}

static void engines_close_and_are_destroyed_with_questions_that_nobody_looked_at(void **state) {
    (void)state;
    for (uint32_t drained = 0; drained < 2; drained++) {
        struct q_failalloc *memory = start_counted();
        for (uint32_t i = 0; i < 4; i++) {
            asked_get(i, the_url, the_tls);
        }
        if (drained == 1) {
            asked_wait(4);
        } else {
            host_until_stage(&asked_host, 0, QUOIT_STAGE_ASKING);
        }
        host_close_and_wait(&asked_host, 0);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(asked_host.records[i].summary.failure.code, QUOIT_ERR_CLOSED);
        }
        for (uint32_t i = 0; i < asked.num; i++) {
            assert_int_equal(answer(&asked.questions[i], QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
        }
        host_destroy(&asked_host);
        assert_nothing_is_left(memory);
    }
}

// Nobody drains: what the questions show, and the rest, goes with the port.
static void an_engine_is_destroyed_with_its_questions_unread(void **state) {
    (void)state;
    struct q_failalloc *memory = start_counted();
    for (uint32_t i = 0; i < 4; i++) {
        asked_get(i, the_url, the_tls);
    }
    for (uint32_t i = 0; i < 4; i++) {
        host_until_stage(&asked_host, i, QUOIT_STAGE_ASKING);
    }
    assert_int_equal(quoit_engine_close(asked_host.engine, 0), QUOIT_OK);
    int32_t code;
    while ((code = quoit_engine_destroy(asked_host.engine)) == QUOIT_ERR_NOT_CLOSED || code == QUOIT_ERR_BUSY) {
        sched_yield();
    }
    assert_int_equal(code, QUOIT_OK);
    assert_int_equal(asked.num, 0);
    pthread_cond_destroy(&asked_host.noted);
    pthread_mutex_destroy(&asked_host.lock);
    assert_nothing_is_left(memory);
}

// Each allocation from the submit on fails once: the request ends, well or with NO_MEMORY, and nothing is left.
static void each_allocation_may_fail(void **state) {
    (void)state;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed && nth < 200; nth++) {
        struct q_failalloc *memory = q_failalloc_new();
        const struct quoit_allocator allocator = {.allocate = allocate, .release = release, .context = memory};
        start(&(struct quoit_engine_options){.allocator = &allocator, .tls = the_tls});
        asked.answer = ASKED_YES;
        q_failalloc_fail_at(memory, nth);
        asked_get(0, the_url, the_tls);
        int32_t code = host_wait(&asked_host, 0)->summary.failure.code;
        assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY);
        has_failed = q_failalloc_failed(memory);
        host_stop(&asked_host);
        char text[512];
        if (!q_failalloc_check(memory, text, sizeof text)) {
            fail_msg("allocation %d: %s", (int)nth, text);
        }
        q_failalloc_free(memory);
    }
    assert_false(has_failed);
}

// --- schedules -------------------------------------------------------------------------------------------------------

static uint64_t the_token;
static int32_t the_code;

static void answer_yes(void *context) {
    (void)context;
    the_code = quoit_answer(asked_host.engine, the_token, QUOIT_ANSWER_YES);
}

static void cancel_first(void *context) {
    (void)context;
    assert_int_equal(quoit_cancel(asked_host.engine, asked_host.records[0].handle), QUOIT_OK);
    host_wait(&asked_host, 0);
    asked_come_round();
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// The answer was in time, and its request has gone when it arrives: the connection asks the next one, whose answer alone
// counts.
static void an_answer_on_its_way_is_not_the_next_ones(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"canceller:start", "answerer:askword.answer.after_cas"},
        {"answerer:askword.answer.after_cas", "canceller:end"},
    };
    (void)state;
    start(&k_one_connection);
    asked_get(0, the_url, the_tls);
    asked_get(1, the_url, the_tls);
    the_token = asked_wait(1)->token;
    const struct q_schedule_actor actors[] = {{"answerer", answer_yes, NULL}, {"canceller", cancel_first, NULL}};
    RUN(k_rules, actors);
    assert_int_equal(the_code, QUOIT_OK);
    assert_int_equal(asked_host.records[0].summary.failure.code, QUOIT_ERR_CANCELED);
    const struct asked_question *second = asked_wait(2);
    assert_int_equal(second->user_data, 1);
    assert_int_equal(asked_host.records[1].num_ends, 0);
    assert_int_equal(answer(second, QUOIT_ANSWER_REFUSE), QUOIT_OK);
    host_assert_failed(host_wait(&asked_host, 1), QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_PHASE_TLS);
    host_stop(&asked_host);
}

// The request has got another connection meanwhile, which is redirected, and asks again: behind the answer that is under way.
static void serve_first(void *context) {
    (void)context;
    assert_int_equal(quoit_grant(asked_host.engine, asked_host.records[0].handle, 8000000), QUOIT_OK);
    host_wait(&asked_host, 0);
    asked_come_round();
    assert_int_equal(asked.num, 2); // it may not ask yet
    assert_int_equal(asked_host.records[1].num_ends, 0);
}

static void a_question_behind_one_that_was_taken_back_waits_for_its_answer(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"server:start", "answerer:askword.answer.after_cas"},
        {"answerer:askword.answer.after_cas", "server:end"},
    };
    char url[HOST_URL_MAX];
    (void)state;
    start(&(struct quoit_engine_options){.connections_per_origin_max = 2});
    struct quoit_request *request = asked_request(the_long_url, the_tls, 0);
    assert_int_equal(quoit_request_set_credit(request, 100000, 1), QUOIT_OK);
    host_submit(&asked_host, 0, request);
    assert_int_equal(answer(asked_wait(1), QUOIT_ANSWER_YES), QUOIT_OK);
    host_wait_body(&asked_host, 0, 1);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/redirect/1", tls_front_port(the_front));
    request = asked_request(url, the_tls, 0);
    struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = 3, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &redirects), QUOIT_OK);
    host_submit(&asked_host, 1, request);
    the_token = asked_wait(2)->token;
    const struct q_schedule_actor actors[] = {{"answerer", answer_yes, NULL}, {"server", serve_first, NULL}};
    RUN(k_rules, actors);
    assert_int_equal(the_code, QUOIT_OK); // and it does nothing
    const struct asked_question *redirect = asked_wait(3);
    assert_int_equal(redirect->kind, QUOIT_QUESTION_REDIRECT);
    assert_int_equal(redirect->user_data, 1);
    assert_int_equal(answer(redirect, QUOIT_ANSWER_STOP), QUOIT_OK);
    assert_int_equal(host_wait(&asked_host, 1)->status, 302);
    host_stop(&asked_host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_of_another_kind_is_refused_and_the_question_stands),
        cmocka_unit_test(the_first_of_two_answers_counts),
        cmocka_unit_test(another_thread_answers_in_every_mode),
        cmocka_unit_test(an_answer_that_does_not_come_is_a_timeout_of_its_own),
        cmocka_unit_test(the_hosts_time_is_not_the_connections),
        cmocka_unit_test(a_cancelled_requests_question_is_the_next_ones_in_line),
        cmocka_unit_test(who_refuses_ends_himself_and_nobody_else),
        cmocka_unit_test(a_connection_that_comes_free_takes_the_place_of_the_answer),
        cmocka_unit_test(a_question_waits_for_room_in_the_port),
        cmocka_unit_test(what_a_question_shows_stays_until_the_host_has_advanced),
        cmocka_unit_test(engines_close_and_are_destroyed_with_questions_that_nobody_looked_at),
        cmocka_unit_test(an_engine_is_destroyed_with_its_questions_unread),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(an_answer_on_its_way_is_not_the_next_ones),
        cmocka_unit_test(a_question_behind_one_that_was_taken_back_waits_for_its_answer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

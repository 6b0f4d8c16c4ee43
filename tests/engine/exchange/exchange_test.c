// The life of an exchange: its table, what it sends and tells, replay.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/engine/exchange/stage.h"

// --- the table --------------------------------------------------------------------------------------------------------

// What exchange.h says about the life of an exchange, written down a second time. -1: may not happen.
// A cell that is not written is 0, which is Q_X_NEW, and nothing leads there.
static const int k_next[Q_X_STATES][Q_X_EVENTS] = {
    [Q_X_NEW] = {[Q_X_EV_START] = Q_X_LEASING, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_LEASING] = {[Q_X_EV_LEASED] = Q_X_AWAITING,
                     [Q_X_EV_LEASE_FAILED] = Q_X_ENDED,
                     [Q_X_EV_QUESTION] = Q_X_VOUCHING,
                     [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_VOUCHING] = {[Q_X_EV_LEASED] = Q_X_AWAITING,
                      [Q_X_EV_LEASE_FAILED] = Q_X_ENDED,
                      [Q_X_EV_ANSWERED] = Q_X_LEASING,
                      [Q_X_EV_UNASKED] = Q_X_LEASING,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_AWAITING] = {[Q_X_EV_HEAD] = Q_X_RECEIVING,
                      [Q_X_EV_QUESTION] = Q_X_ASKING,
                      [Q_X_EV_UPGRADE] = Q_X_UPGRADED,
                      [Q_X_EV_REDIRECT] = Q_X_DISCARDING,
                      [Q_X_EV_CONN_FAILED] = Q_X_DECIDING,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_ASKING] = {[Q_X_EV_ANSWERED] = Q_X_AWAITING, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_RECEIVING] = {[Q_X_EV_END] = Q_X_ENDED, [Q_X_EV_CONN_FAILED] = Q_X_ENDED, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_UPGRADED] = {[Q_X_EV_PEER_END] = Q_X_FLUSHING,
                      [Q_X_EV_CONN_FAILED] = Q_X_ENDED,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_FLUSHING] = {[Q_X_EV_FLUSHED] = Q_X_ENDED,
                      [Q_X_EV_CONN_FAILED] = Q_X_ENDED,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_DISCARDING] = {[Q_X_EV_END] = Q_X_LEASING,
                        [Q_X_EV_CONN_FAILED] = Q_X_LEASING,
                        [Q_X_EV_CUT] = Q_X_LEASING,
                        [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_DECIDING] = {[Q_X_EV_REPLAY] = Q_X_LEASING, [Q_X_EV_GIVE_UP] = Q_X_ENDED},
    [Q_X_ENDED] = {[Q_X_EV_CANCEL] = Q_X_ENDED},
};

static void the_table_allows_what_is_written_and_nothing_else(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            bool is_allowed = q_exchange_allows((enum q_exchange_state)from, (enum q_exchange_event)event);
            if (is_allowed != (k_next[from][event] != Q_X_NEW)) {
                fail_msg("%s: %s", q_exchange_state_name((enum q_exchange_state)from),
                         q_exchange_event_name((enum q_exchange_event)event));
            }
        }
    }
}

static bool stops_the_program(int from, int event) {
    struct stage *stage = stage_at(from);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        close(STDERR_FILENO); // the sentence of the check that fails is expected here
        signal(SIGABRT, SIG_DFL);
        q_exchange_step(&stage->exchange, (enum q_exchange_event)event);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (from == Q_X_DECIDING) {
        q_exchange_step(&stage->exchange, Q_X_EV_GIVE_UP);
    }
    stage_free(stage);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void what_the_table_does_not_allow_stops_the_program(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            if (k_next[from][event] == Q_X_NEW && !stops_the_program(from, event)) {
                fail_msg("%s: %s went on", q_exchange_state_name((enum q_exchange_state)from),
                         q_exchange_event_name((enum q_exchange_event)event));
            }
        }
    }
}

// Lets `event` happen as the floors around would.
static void happen(struct stage *stage, int event) {
    struct q_error error = q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD);
    switch (event) {
    case Q_X_EV_LEASED: stage_answer_leased(stage); break;
    case Q_X_EV_LEASE_FAILED: stage_answer_failed(stage, error); break;
    case Q_X_EV_HEAD: stage_tell_head(stage); break;
    case Q_X_EV_REDIRECT: assert_true(stage_tell_redirect(stage, "/elsewhere")); break;
    case Q_X_EV_ANSWERED:
        q_exchange_answer(&stage->exchange, Q_ANSWER_YES);
        q_exchange_answer_connection(&stage->exchange, true, (struct q_slice){0}); // one of them is asked for
        break;
    case Q_X_EV_UPGRADE: stage_tell_upgrade(stage); break;
    case Q_X_EV_PEER_END: stage_tell_peer_end(stage); break;
    case Q_X_EV_END: stage_tell_end(stage); break;
    case Q_X_EV_CONN_FAILED: stage_tell_failed(stage, error, false, true); break;
    case Q_X_EV_CANCEL: q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE)); break;
    default: q_exchange_step(&stage->exchange, (enum q_exchange_event)event); break;
    }
}

static void every_allowed_step_leads_where_it_should_and_ends_once(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            int next = k_next[from][event];
            if (next == Q_X_NEW) {
                continue;
            }
            struct stage *stage = stage_at(from);
            bool has_conn = stage->exchange.conn != NULL;
            happen(stage, event);
            // Deciding is left in the same step; here, with a response begun, by giving up.
            assert_int_equal(stage->exchange.state, next == Q_X_DECIDING ? Q_X_ENDED : next);
            assert_int_equal(stage->num_ended, stage->exchange.state == Q_X_ENDED);
            bool abandons = event == Q_X_EV_CANCEL || event == Q_X_EV_CUT || event == Q_X_EV_FLUSHED;
            assert_int_equal(stage->num_abandons, abandons && has_conn);
            assert_int_equal(stage->exchange.conn != NULL, stage_has_connection(next));
            assert_int_equal(stage->exchange.lease.origin != NULL, next == Q_X_LEASING || next == Q_X_VOUCHING);
            assert_int_equal(stage->num_unasked, from == Q_X_VOUCHING && (event == Q_X_EV_LEASED || event == Q_X_EV_UNASKED));
            assert_int_equal(stage->exchange.spec == NULL, stage->exchange.state == Q_X_ENDED);
            stage_free(stage);
        }
    }
}

// --- what it sends and tells ------------------------------------------------------------------------------------------

static void a_whole_exchange_sends_its_request_and_sums_up(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(q_alloc_libc(), Q_SLICE("HEAD"), Q_SLICE("http://1.2.3.4/"), &spec)));
    assert_false(q_error_is(q_spec_set_body(spec, "abc", 3, NULL, NULL)));
    assert_false(q_error_is(q_spec_add_header(spec, Q_SLICE("Connection"), Q_SLICE("close"))));
    assert_false(q_error_is(q_spec_freeze(spec)));
    q_exchange_start(&stage->exchange, &stage->loop, &stage->pool, &k_stage_sink, &stage->watch, spec);
    assert_false(q_timer_is_armed(&stage->exchange.deadline)); // no total timeout was asked for
    stage->loop.now_ns += 10;
    stage_answer_leased(stage);
    assert_int_equal(stage->num_starts, 1);
    assert_int_equal(stage->sent.reader_flags, Q_H1_REQUEST_HEAD);
    assert_true(stage->sent.asks_close);
    assert_int_equal(stage->sent.body.len, 3);
    assert_ptr_equal(stage->sent.head.ptr, spec->head);
    stage->loop.now_ns += 10;
    stage_tell_head(stage);
    stage->loop.now_ns += 10;
    stage_tell_end(stage);
    assert_int_equal(stage->num_heads, 1);
    assert_int_equal(stage->num_ended, 1);
    const struct q_exchange_summary *summary = &stage->summary;
    assert_false(q_error_is(summary->error));
    assert_int_equal(summary->status, 200);
    assert_int_equal(summary->attempts, 1);
    assert_int_equal(summary->bytes_in, 100);
    assert_int_equal(summary->bytes_out, 10);
    assert_int_equal(summary->connection_id, 3);
    assert_int_equal(summary->leased_ns, 10);
    assert_int_equal(summary->head_ns, 20);
    assert_int_equal(summary->end_ns, 30);
    stage_free(stage);
}

static void the_total_deadline_says_in_which_phase_it_struck(void **state) {
    static const struct {
        int from;
        uint8_t phase;
        uint8_t retry_safe;
    } k_rows[] = {{Q_X_LEASING, Q_PHASE_CONNECT, 1}, {Q_X_VOUCHING, Q_PHASE_TLS, 1}, {Q_X_AWAITING, Q_PHASE_HEAD, 0},
                  {Q_X_ASKING, Q_PHASE_HEAD, 0},     {Q_X_RECEIVING, Q_PHASE_BODY, 0}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct stage *stage = stage_at(k_rows[i].from);
        struct q_timer *deadline = &stage->exchange.deadline;
        assert_true(q_timer_is_armed(deadline));
        q_loop_disarm(&stage->loop, deadline); // as the wheel does before it fires
        deadline->fired(deadline);
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.code, Q_ERR_TIMEOUT_TOTAL);
        assert_int_equal(stage->summary.error.phase, k_rows[i].phase);
        assert_int_equal(stage->summary.error.retry_safe, k_rows[i].retry_safe);
        stage_free(stage);
    }
}

// While a connection is being made for it, a request does not wait for a limit; when that one goes to another, it does
// again, and its bound on waiting counts anew.
static void what_the_pool_does_for_a_request_is_its_stage(void **state) {
    (void)state;
    struct stage *stage = stage_at(Q_X_LEASING);
    struct q_lease *lease = &stage->exchange.lease;
    stage->exchange.bounds.queue_ns = 5 * Q_NS_PER_MS;
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_QUEUED);
    lease->events->on_dialing(lease, true);
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_CONNECTING);
    stage->loop.now_ns += 100 * Q_NS_PER_MS;
    lease->events->on_dialing(lease, false);
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_QUEUED);
    assert_int_equal(stage->num_ended, 0);
    assert_true(q_timer_is_armed(&stage->watch.timer));
    stage->loop.now_ns += 5 * Q_NS_PER_MS;
    q_loop_disarm(&stage->loop, &stage->watch.timer); // as the wheel does before it fires
    stage->watch.timer.fired(&stage->watch.timer);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.error.code, Q_ERR_TIMEOUT_QUEUE);
    stage_free(stage);
}

static void tell_question_without_room(struct stage *stage) {
    stage->has_no_room = true;
    stage_tell_question(stage);
    stage->has_no_room = false;
    assert_int_equal(stage->num_questions, 0);
    assert_int_equal(stage->exchange.state, Q_X_LEASING);
}

// A question that waits for room in the port is told when there is some, unless its connection has gone by then, or another
// one has come, or the request has ended: what it is about has gone with it.
static void a_question_that_waits_for_room_goes_with_its_connection(void **state) {
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct stage *stage = stage_at(Q_X_LEASING);
        struct q_lease *lease = &stage->exchange.lease;
        tell_question_without_room(stage);
        switch (what) {
        case 0: break;
        case 1: lease->events->on_unasked(lease); break;
        case 2: stage_answer_leased(stage); break;
        case 3: q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE)); break;
        }
        q_exchange_resume(&stage->exchange);
        assert_int_equal(stage->num_questions, what == 0);
        stage_free(stage);
    }
}

static void a_cancel_behind_the_end_changes_nothing(void **state) {
    (void)state;
    struct stage *stage = stage_at(Q_X_RECEIVING);
    stage_tell_end(stage);
    q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
    assert_int_equal(stage->num_ended, 1);
    assert_false(q_error_is(stage->summary.error));
    assert_int_equal(stage->num_abandons, 0);
    stage_free(stage);
}

static void credit_stops_and_resumes_the_connection_at_zero(void **state) {
    (void)state;
    struct stage *stage = stage_at(Q_X_RECEIVING);
    struct q_exchange *x = &stage->exchange;
    assert_int_equal(x->credit, 1000);
    assert_int_equal(x->user.events->wants(&x->user), x->credit);
    x->credit = 1;
    assert_int_equal(x->user.events->wants(&x->user), x->credit);
    q_exchange_grant(x, 5);
    assert_int_equal(stage->num_resumes, 0); // it had not stopped
    x->credit = 0;
    assert_int_equal(x->user.events->wants(&x->user), 0);
    x->credit = -100; // the one buffer that may come beyond it
    q_exchange_grant(x, 100);
    assert_int_equal(stage->num_resumes, 0);
    assert_int_equal(x->user.events->wants(&x->user), 0);
    q_exchange_grant(x, 1);
    assert_int_equal(stage->num_resumes, 1);
    q_exchange_grant(x, UINT64_MAX);
    assert_true(x->credit > 0);
    q_exchange_grant(x, UINT64_MAX);
    assert_true(x->credit > 0); // no overflow
    stage_free(stage);
}

// --- replay -----------------------------------------------------------------------------------------------------------

struct death {
    bool is_idempotent;
    bool is_reused;
    bool has_begun; // a byte of the response was there
    bool is_safe;   // nothing was handed to the kernel
};

static bool may_replay(const struct death *death) {
    return !death->has_begun && (death->is_safe || (death->is_reused && death->is_idempotent));
}

static void a_request_is_sent_again_only_when_it_may_be(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct death death = {bits & 1, bits & 2, bits & 4, bits & 8};
        struct stage *stage = stage_new();
        stage_start(stage, death.is_idempotent ? "PUT" : "POST");
        stage_answer_leased(stage);
        struct q_error error = q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD, 104);
        error.retry_safe = death.is_safe;
        stage_tell_failed(stage, error, death.is_reused, death.has_begun);
        assert_int_equal(stage->exchange.state, may_replay(&death) ? Q_X_LEASING : Q_X_ENDED);
        if (!may_replay(&death)) {
            bool is_maybe = death.is_reused && !death.has_begun;
            assert_int_equal(stage->summary.error.code, is_maybe ? Q_ERR_MAYBE_PROCESSED : Q_ERR_CONNECTION_RESET);
            assert_int_equal(stage->summary.error.os_errno, 104);
            assert_int_equal(stage->summary.error.retry_safe, death.is_safe);
            assert_int_equal(stage->summary.attempts, 1);
        }
        stage_free(stage);
    }
}

static void replays_are_bounded_and_their_octets_are_summed(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, "GET");
    int num_attempts = 0;
    while (stage->exchange.state == Q_X_LEASING) {
        num_attempts++;
        assert_true(num_attempts <= Q_EXCHANGE_ATTEMPTS_MAX);
        stage_answer_leased(stage);
        stage_tell_failed(stage, q_error_make(Q_ERR_CONNECTION_CLOSED, Q_PHASE_HEAD), true, false);
    }
    assert_int_equal(num_attempts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->num_starts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.attempts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.error.code, Q_ERR_CONNECTION_CLOSED);
    assert_int_equal(stage->summary.bytes_in, 7 * Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.bytes_out, 5 * Q_EXCHANGE_ATTEMPTS_MAX);
    stage_free(stage);
}

static void a_replay_that_succeeds_is_a_success(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, "GET");
    stage_answer_leased(stage);
    stage_tell_failed(stage, q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD), true, false);
    stage_answer_leased(stage);
    stage_tell_head(stage);
    stage_tell_end(stage);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.error.code, Q_ERR_OK);
    assert_int_equal(stage->summary.attempts, 2);
    assert_int_equal(stage->summary.connection_id, 3);
    stage_free(stage);
}

// Once a connection may have carried the request to the peer, no later failure proves that it did not.
static void what_may_have_been_processed_is_never_called_safe_again(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct stage *stage = stage_new();
        struct q_error safe = q_error_make(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT);
        safe.retry_safe = 1;
        stage_start(stage, "GET");
        stage_answer_leased(stage);
        stage_tell_failed(stage, q_error_make(Q_ERR_CONNECTION_CLOSED, Q_PHASE_HEAD), true, false);
        assert_int_equal(stage->exchange.state, Q_X_LEASING);
        if (way == 0) {
            stage_answer_failed(stage, safe);
        } else if (way == 1) {
            q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
        } else {
            stage_answer_leased(stage);
            stage_tell_failed(stage, safe, true, true);
        }
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.retry_safe, 0);
        stage_free(stage);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_allows_what_is_written_and_nothing_else),
        cmocka_unit_test(what_the_table_does_not_allow_stops_the_program),
        cmocka_unit_test(every_allowed_step_leads_where_it_should_and_ends_once),
        cmocka_unit_test(a_whole_exchange_sends_its_request_and_sums_up),
        cmocka_unit_test(the_total_deadline_says_in_which_phase_it_struck),
        cmocka_unit_test(what_the_pool_does_for_a_request_is_its_stage),
        cmocka_unit_test(a_question_that_waits_for_room_goes_with_its_connection),
        cmocka_unit_test(a_cancel_behind_the_end_changes_nothing),
        cmocka_unit_test(credit_stops_and_resumes_the_connection_at_zero),
        cmocka_unit_test(a_request_is_sent_again_only_when_it_may_be),
        cmocka_unit_test(replays_are_bounded_and_their_octets_are_summed),
        cmocka_unit_test(a_replay_that_succeeds_is_a_success),
        cmocka_unit_test(what_may_have_been_processed_is_never_called_safe_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What an exchange makes of what it hears about early data, without a socket: which requests may go so, what is sent again and
// how often, and what the host sees of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/engine/exchange/stage.h"

#define TOO_EARLY 425

// The exchange has its connection, and what it sends may go early as `may` says.
static void goes_out(struct stage *stage, bool may) {
    int before = stage->num_starts;
    stage_answer_leased(stage);
    assert_int_equal(stage->num_starts, before + 1);
    assert_int_equal(stage->sent.may_go_early, may);
}

static struct stage *stage_out(const char *method, bool may) {
    struct stage *stage = stage_new();
    stage_start(stage, method);
    goes_out(stage, may);
    return stage;
}

static void fails(struct stage *stage, uint8_t early, int32_t code) {
    stage->early = early;
    stage_tell_failed(stage, q_error_make(code, Q_PHASE_TLS), false, false);
}

static void answers(struct stage *stage, uint16_t status) {
    stage_tell_status(stage, status);
    stage_tell_end(stage);
    assert_int_equal(stage->num_heads, 1);
    assert_int_equal(stage->last_status, status);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.error.code, 0);
    assert_int_equal(stage->summary.status, status);
}

static void what_changes_something_never_goes_early(void **state) {
    static const struct {
        const char *method;
        bool may;
    } k_rows[] = {{"GET", true},    {"HEAD", true},  {"OPTIONS", true}, {"POST", false},
                  {"PUT", false},   {"PATCH", false}, {"DELETE", false}, {"TRACE", false}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        stage_free(stage_out(k_rows[i].method, k_rows[i].may));
    }
}

static void a_425_to_early_data_is_sent_again_once_and_the_second_is_the_hosts(void **state) {
    static const uint16_t k_then[] = {200, TOO_EARLY};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage *stage = stage_out("GET", true);
        stage->went_early = true;
        stage_tell_status(stage, TOO_EARLY);
        assert_int_equal(stage->num_heads, 0);
        assert_int_equal(stage->exchange.state, Q_X_DISCARDING);
        stage_tell_end(stage);
        goes_out(stage, false); // and though the connection said once more that it went early, that is all
        answers(stage, k_then[i]);
        assert_int_equal(stage->num_starts, 2);
        assert_int_equal(stage->summary.attempts, 2);
        assert_int_equal(stage->summary.num_redirects, 0); // it is no redirect, and uses up none
        stage_free(stage);
    }
}

static void a_425_to_what_did_not_go_early_is_the_hosts(void **state) {
    (void)state;
    struct stage *stage = stage_out("GET", true);
    answers(stage, TOO_EARLY);
    assert_int_equal(stage->num_starts, 1);
    stage_free(stage);
}

// The answer that says it is too early may be cut: it is said.
static void a_425_whose_connection_dies_is_sent_again_all_the_same(void **state) {
    (void)state;
    struct stage *stage = stage_out("GET", true);
    stage->went_early = true;
    stage_tell_status(stage, TOO_EARLY);
    stage_tell_failed(stage, q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_BODY), false, true);
    goes_out(stage, false);
    answers(stage, 200);
    stage_free(stage);
}

// Each hop is a request of its own, which may be early, and too early, once more.
static void a_redirect_behind_a_425_may_go_early_again(void **state) {
    (void)state;
    struct stage *stage = stage_out("GET", true);
    stage->went_early = true;
    stage_tell_status(stage, TOO_EARLY);
    stage_tell_end(stage);
    goes_out(stage, false);
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    stage_tell_end(stage);
    goes_out(stage, true);
    stage_tell_status(stage, TOO_EARLY);
    stage_tell_end(stage);
    goes_out(stage, false);
    answers(stage, 200);
    assert_int_equal(stage->summary.num_redirects, 1);
    stage_free(stage);
}

static void a_handshake_that_fails_behind_early_data_is_sent_again_once_and_not_twice(void **state) {
    (void)state;
    struct stage *stage = stage_out("GET", true);
    fails(stage, Q_TLS_EARLY_SENT, Q_ERR_TLS_PROTOCOL);
    assert_int_equal(stage->num_ended, 0);
    assert_true(stage->exchange.lease.wants_fresh);
    goes_out(stage, false);
    fails(stage, Q_TLS_EARLY_SENT, Q_ERR_TLS_PROTOCOL); // which it was not; but were it to say so
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->num_starts, 2);
    assert_int_equal(stage->summary.error.code, Q_ERR_TLS_PROTOCOL);
    assert_int_equal(stage->summary.error.retry_safe, 0); // the first may have brought it
    stage_free(stage);
    stage = stage_out("GET", true);
    fails(stage, Q_TLS_EARLY_SENT, Q_ERR_TLS_PROTOCOL);
    goes_out(stage, false);
    answers(stage, 200);
    stage_free(stage);
}

// Behind a handshake that was over it is a connection as any.
static void a_connection_that_took_it_and_dies_is_no_reason_to_send_again(void **state) {
    static const uint8_t k_early[] = {Q_TLS_EARLY_NONE, Q_TLS_EARLY_ACCEPTED, Q_TLS_EARLY_REJECTED};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_early); i++) {
        struct stage *stage = stage_out("GET", true);
        fails(stage, k_early[i], Q_ERR_CONNECTION_RESET);
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->num_starts, 1);
        assert_int_equal(stage->summary.error.code, Q_ERR_CONNECTION_RESET);
        stage_free(stage);
    }
}

static void a_failure_and_a_425_together_do_not_go_round_for_ever(void **state) {
    (void)state;
    struct stage *stage = stage_out("GET", true);
    fails(stage, Q_TLS_EARLY_SENT, Q_ERR_CONNECTION_RESET);
    goes_out(stage, false);
    stage->went_early = true;
    answers(stage, TOO_EARLY); // it may not have been early any more
    assert_int_equal(stage->num_starts, 2);
    stage_free(stage);
}

// At each point of the way: while the 425 is thrown away, and while a connection for the second time is awaited or used.
static void it_can_be_cancelled_and_run_out_of_time_in_between(void **state) {
    (void)state;
    for (int point = 0; point < 6; point++) {
        for (int is_deadline = 0; is_deadline < 2; is_deadline++) {
            static const int k_phases[] = {Q_PHASE_HEAD, Q_PHASE_CONNECT, Q_PHASE_HEAD};
            struct stage *stage = stage_out("GET", true);
            if (point < 3) {
                stage->went_early = true;
                stage_tell_status(stage, TOO_EARLY);
                if (point > 0) {
                    stage_tell_end(stage);
                }
            } else if (point > 3) {
                fails(stage, Q_TLS_EARLY_SENT, Q_ERR_TLS_PROTOCOL);
            }
            if (point == 2 || point == 5) {
                goes_out(stage, false);
            }
            struct q_exchange *x = &stage->exchange;
            if (is_deadline) {
                x->deadline.fired(&x->deadline);
            } else {
                q_exchange_cancel(x, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
            }
            assert_int_equal(stage->num_ended, 1);
            assert_int_equal(stage->num_heads, 0);
            assert_int_equal(stage->summary.error.code, is_deadline ? Q_ERR_TIMEOUT_TOTAL : Q_ERR_CANCELED);
            assert_int_equal(stage->summary.error.phase, is_deadline ? k_phases[point % 3] : Q_PHASE_NONE);
            assert_int_equal(stage->summary.error.retry_safe, 0); // a server may have acted on the early one
            assert_null(x->conn);
            stage_free(stage);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_something_never_goes_early),
        cmocka_unit_test(a_425_to_early_data_is_sent_again_once_and_the_second_is_the_hosts),
        cmocka_unit_test(a_425_to_what_did_not_go_early_is_the_hosts),
        cmocka_unit_test(a_425_whose_connection_dies_is_sent_again_all_the_same),
        cmocka_unit_test(a_redirect_behind_a_425_may_go_early_again),
        cmocka_unit_test(a_handshake_that_fails_behind_early_data_is_sent_again_once_and_not_twice),
        cmocka_unit_test(a_connection_that_took_it_and_dies_is_no_reason_to_send_again),
        cmocka_unit_test(a_failure_and_a_425_together_do_not_go_round_for_ever),
        cmocka_unit_test(it_can_be_cancelled_and_run_out_of_time_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

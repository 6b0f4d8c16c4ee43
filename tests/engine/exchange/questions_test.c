// An exchange that asks its host about each redirect.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/engine/exchange/stage.h"

static struct stage *stage_asking(void) { return stage_at(Q_X_ASKING); }

static void a_redirect_waits_for_the_answer_whatever_else_wakes_it(void **state) {
    (void)state;
    struct stage *stage = stage_asking();
    assert_string_equal(stage->question, "1 302 GET http://1.2.3.4/elsewhere");
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_ASKING);
    q_exchange_resume(&stage->exchange);
    stage->exchange.credit = 0;
    q_exchange_grant(&stage->exchange, 1);
    assert_false(stage_tell_redirect(stage, "/elsewhere"));
    assert_int_equal(stage->num_questions, 1);
    assert_int_equal(stage->num_heads, 0);
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_ASKING);
    stage_free(stage);
}

static void yes_follows_and_the_next_hop_is_asked_about_again(void **state) {
    (void)state;
    struct stage *stage = stage_asking();
    q_exchange_answer(&stage->exchange, Q_ANSWER_YES);
    assert_int_equal(stage->num_resumes, 1);
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_RECEIVING); // so the bounds of the answer count again
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    assert_int_equal(stage->exchange.state, Q_X_DISCARDING);
    stage_tell_end(stage);
    stage_answer_leased(stage);
    assert_false(stage_tell_redirect(stage, "/further"));
    assert_string_equal(stage->question, "2 302 GET http://1.2.3.4/further");
    q_exchange_answer(&stage->exchange, Q_ANSWER_YES);
    assert_true(stage_tell_redirect(stage, "/further"));
    stage_tell_end(stage);
    stage_answer_leased(stage);
    assert_true(stage_tell_redirect(stage, "/too/far")); // there is nothing to ask: it cannot be followed
    assert_int_equal(stage->num_questions, 2);
    assert_int_equal(stage->num_heads, 0);
    stage_free(stage);
}

static void a_hop_counts_when_it_was_followed(void **state) {
    (void)state;
    struct stage *stage = stage_asking();
    assert_null(stage->exchange.chain.chunk);
    q_exchange_answer(&stage->exchange, Q_ANSWER_YES);
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    assert_non_null(stage->exchange.chain.chunk);
    stage_free(stage);
}

static void stop_delivers_the_redirect_as_the_response(void **state) {
    (void)state;
    struct stage *stage = stage_asking();
    q_exchange_answer(&stage->exchange, Q_ANSWER_STOP);
    assert_null(stage->exchange.next);
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    assert_int_equal(stage->exchange.state, Q_X_RECEIVING);
    stage_tell_end(stage);
    assert_int_equal(stage->num_heads, 1);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.status, 302);
    assert_null(stage->summary.redirects);
    assert_int_equal(stage->summary.error.code, Q_ERR_OK);
    stage_free(stage);
}

static void refuse_ends_it_with_an_error_of_its_own(void **state) {
    (void)state;
    struct stage *stage = stage_asking();
    q_exchange_answer(&stage->exchange, Q_ANSWER_REFUSE);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->num_abandons, 1);
    assert_int_equal(stage->summary.error.code, Q_ERR_REDIRECT_REFUSED);
    assert_int_equal(stage->summary.error.retry_safe, 0);
    stage_free(stage);
}

static void an_answer_to_nothing_changes_nothing(void **state) {
    static const int k_states[] = {Q_X_LEASING, Q_X_AWAITING, Q_X_RECEIVING, Q_X_DISCARDING, Q_X_ENDED};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_states); i++) {
        struct stage *stage = stage_at(k_states[i]);
        int ended = stage->num_ended;
        for (int answer = Q_ANSWER_YES; answer <= Q_ANSWER_REFUSE; answer++) {
            q_exchange_answer(&stage->exchange, (enum q_exchange_answer)answer);
            assert_int_equal(stage->exchange.state, k_states[i]);
            assert_int_equal(stage->exchange.answer, Q_ANSWER_NONE);
        }
        assert_int_equal(stage->num_ended, ended);
        stage_free(stage);
    }
}

static void a_question_without_room_is_asked_when_there_is_some(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    stage_start_asking(stage, "GET", true);
    stage_answer_leased(stage);
    stage->has_no_room = true;
    assert_false(stage_tell_redirect(stage, "/elsewhere"));
    assert_int_equal(stage->exchange.state, Q_X_AWAITING);
    assert_int_equal(q_watch_stage(&stage->watch), Q_STAGE_PAUSED);
    stage->has_no_room = false;
    q_exchange_resume(&stage->exchange);
    assert_int_equal(stage->num_resumes, 1);
    assert_false(stage_tell_redirect(stage, "/elsewhere"));
    assert_int_equal(stage->num_questions, 1);
    assert_int_equal(stage->exchange.state, Q_X_ASKING);
    stage_free(stage);
}

static void a_connection_that_died_meanwhile_matters_as_far_as_it_was_needed(void **state) {
    (void)state;
    struct q_error reset = q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_BODY);
    struct stage *stage = stage_asking();
    q_exchange_answer(&stage->exchange, Q_ANSWER_YES);
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    stage_tell_failed(stage, reset, false, true);
    assert_int_equal(stage->exchange.state, Q_X_LEASING); // on its way to the next hop
    stage_answer_leased(stage);
    stage_tell_head(stage);
    stage_tell_end(stage);
    assert_int_equal(stage->summary.error.code, Q_ERR_OK); // nothing is left of that failure
    stage_free(stage);
    stage = stage_asking();
    q_exchange_answer(&stage->exchange, Q_ANSWER_STOP);
    assert_true(stage_tell_redirect(stage, "/elsewhere"));
    stage_tell_failed(stage, reset, false, true);
    assert_int_equal(stage->num_heads, 1);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.error.code, Q_ERR_CONNECTION_RESET);
    stage_free(stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redirect_waits_for_the_answer_whatever_else_wakes_it),
        cmocka_unit_test(yes_follows_and_the_next_hop_is_asked_about_again),
        cmocka_unit_test(a_hop_counts_when_it_was_followed),
        cmocka_unit_test(stop_delivers_the_redirect_as_the_response),
        cmocka_unit_test(refuse_ends_it_with_an_error_of_its_own),
        cmocka_unit_test(an_answer_to_nothing_changes_nothing),
        cmocka_unit_test(a_question_without_room_is_asked_when_there_is_some),
        cmocka_unit_test(a_connection_that_died_meanwhile_matters_as_far_as_it_was_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

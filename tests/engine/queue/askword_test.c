// The ask word: one by one, and the schedules of tests/model/askword.pml (each named by its mutation).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue/askword.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

enum { YES = 1, STOP = 2, REFUSE = 3 };

// What the actors of one test share: the first question's generation is 1.
struct scene {
    struct q_askword word;
    enum q_ask_result result[2];
    uint64_t next_generation;
    bool is_pinned;
};

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    assert_int_equal(q_askword_open(&scene->word, 1, 0), 1);
}

static void questions_begin_where_their_array_wants(void **state) {
    (void)state;
    struct q_askword word = {0};
    assert_int_equal(q_askword_open(&word, 77, 0), 77);
    q_askword_withdraw(&word);
    assert_int_equal(q_askword_open(&word, 77, 0), 78);
}

static void fresh_memory_stands_for_no_question(void **state) {
    (void)state;
    struct q_askword word = {0};
    assert_int_equal(q_askword_try_answer(&word, 0, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_int_equal(q_askword_try_answer(&word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_false(q_askword_is_pinned(&word));
    q_askword_withdraw(&word); // nothing stands
    assert_int_equal(q_askword_open(&word, 1, 0), 1);
    assert_int_equal(q_askword_try_answer(&word, 0, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_int_equal(q_askword_try_answer(&word, 2, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_int_equal(q_askword_try_answer(&word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_PUSH);
}

static void the_answer_that_was_given_is_taken(void **state) {
    (void)state;
    for (unsigned answer = YES; answer <= REFUSE; answer++) {
        struct scene s;
        scene_init(&s);
        assert_int_equal(q_askword_try_answer(&s.word, 1, answer, Q_ASKWORD_KINDS), Q_ASK_PUSH);
        assert_true(q_askword_is_pinned(&s.word));
        assert_int_equal(q_askword_take(&s.word), answer);
        assert_false(q_askword_is_pinned(&s.word));
    }
}

// Mutation 5: the generation stays when an answer is taken; and 6: when a question is withdrawn.
static void a_question_that_is_over_is_never_answered(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    q_askword_withdraw(&s.word);
    assert_int_equal(q_askword_try_answer(&s.word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_int_equal(q_askword_open(&s.word, 1, 0), 2);
    assert_int_equal(q_askword_try_answer(&s.word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    assert_int_equal(q_askword_try_answer(&s.word, 2, YES, Q_ASKWORD_KINDS), Q_ASK_PUSH);
    assert_int_equal(q_askword_take(&s.word), YES);
    assert_int_equal(q_askword_open(&s.word, 1, 0), 3);
    assert_int_equal(q_askword_try_answer(&s.word, 2, REFUSE, Q_ASKWORD_KINDS), Q_ASK_STALE);
}

// Mutation 2: a second answer pushes the node again.
static void the_first_answer_counts(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_askword_try_answer(&s.word, 1, STOP, Q_ASKWORD_KINDS), Q_ASK_PUSH);
    assert_int_equal(q_askword_try_answer(&s.word, 1, REFUSE, Q_ASKWORD_KINDS), Q_ASK_ALREADY);
    assert_int_equal(q_askword_take(&s.word), STOP);
}

// Mutation 7: it is not looked whether an answer suits; and 8: one that does not suit uses the question up.
static void an_answer_that_does_not_suit_leaves_the_question_standing(void **state) {
    (void)state;
    for (unsigned kind = 0; kind <= Q_ASKWORD_KIND_MAX; kind++) {
        struct q_askword word = {0};
        unsigned others = Q_ASKWORD_KINDS & ~(1u << kind);
        assert_int_equal(q_askword_open(&word, 1, kind), 1);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(q_askword_try_answer(&word, 1, STOP, others), Q_ASK_UNSUITED);
            assert_false(q_askword_is_pinned(&word));
            assert_int_equal(q_askword_generation(&word), 1);
        }
        assert_int_equal(q_askword_try_answer(&word, 1, YES, 1u << kind), Q_ASK_PUSH);
        assert_int_equal(q_askword_try_answer(&word, 1, STOP, others), Q_ASK_UNSUITED); // and the answer on its way, too
        assert_int_equal(q_askword_take(&word), YES);
        assert_int_equal(q_askword_try_answer(&word, 1, STOP, others), Q_ASK_STALE);
        assert_int_equal(q_askword_open(&word, 1, (kind + 1) % (Q_ASKWORD_KIND_MAX + 1)), 2); // of another kind
        assert_int_equal(q_askword_try_answer(&word, 2, YES, 1u << kind), Q_ASK_UNSUITED);
        q_askword_withdraw(&word);
        assert_int_equal(q_askword_try_answer(&word, 2, YES, Q_ASKWORD_KINDS), Q_ASK_STALE);
    }
}

// A withdrawal that comes too late leaves the pin: the node is on its way.
static void a_late_withdrawal_leaves_the_answer(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_askword_try_answer(&s.word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_PUSH);
    q_askword_withdraw(&s.word);
    assert_true(q_askword_is_pinned(&s.word));
    assert_int_equal(q_askword_take(&s.word), YES);
}

// The kind stays with the answer, so that one which does not suit is told from one that comes second.
static void an_answer_suits_the_kinds_that_it_names_and_no_others(void **state) {
    (void)state;
    for (unsigned kind = 0; kind <= Q_ASKWORD_KIND_MAX; kind++) {
        struct q_askword word = {0};
        unsigned own = 1u << kind;
        unsigned others = Q_ASKWORD_KINDS & ~own;
        assert_int_equal(q_askword_open(&word, 1, kind), 1);
        assert_int_equal(q_askword_try_answer(&word, 1, YES, others), Q_ASK_UNSUITED);
        assert_false(q_askword_is_pinned(&word));
        assert_int_equal(q_askword_try_answer(&word, 2, YES, others), Q_ASK_STALE);
        assert_int_equal(q_askword_try_answer(&word, 1, STOP, own), Q_ASK_PUSH);
        assert_int_equal(q_askword_try_answer(&word, 1, YES, others), Q_ASK_UNSUITED);
        assert_int_equal(q_askword_try_answer(&word, 1, YES, own), Q_ASK_ALREADY);
        assert_int_equal(q_askword_take(&word), STOP);
        assert_int_equal(q_askword_try_answer(&word, 1, YES, others), Q_ASK_STALE);
        unsigned next = (kind + 1) % (Q_ASKWORD_KIND_MAX + 1);
        assert_int_equal(q_askword_open(&word, 1, next), 2);
        assert_int_equal(q_askword_try_answer(&word, 2, YES, own), Q_ASK_UNSUITED); // the last one's kind is gone
        assert_int_equal(q_askword_try_answer(&word, 2, REFUSE, 1u << next), Q_ASK_PUSH);
        assert_int_equal(q_askword_take(&word), REFUSE);
    }
}

static void open_again(void *context) { q_askword_open(context, 1, 0); }
static void take_nothing(void *context) { q_askword_take(context); }

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(open_again, &s.word, "OPEN | PINNED"));
    assert_true(dies_saying(take_nothing, &s.word, "PINNED"));
    assert_int_equal(q_askword_try_answer(&s.word, 1, YES, Q_ASKWORD_KINDS), Q_ASK_PUSH);
    assert_true(dies_saying(open_again, &s.word, "OPEN | PINNED"));
}

// Schedules.

static void answer_0(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_askword_try_answer(&scene->word, 1, YES, Q_ASKWORD_KINDS);
}

static void answer_1(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_askword_try_answer(&scene->word, 1, STOP, Q_ASKWORD_KINDS);
}

static void withdraw(void *context) {
    struct scene *scene = context;
    q_askword_withdraw(&scene->word);
    scene->is_pinned = q_askword_is_pinned(&scene->word);
}

static void ask_the_next(void *context) {
    struct scene *scene = context;
    withdraw(context);
    scene->next_generation = q_askword_open(&scene->word, 1, 0);
}

static void ask_another_kind(void *context) {
    struct scene *scene = context;
    withdraw(context);
    scene->next_generation = q_askword_open(&scene->word, 1, 1);
}

static void answer_kind_0(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_askword_try_answer(&scene->word, 1, YES, 1u << 0);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: the token is checked, then the answer set whatever the word is by then.
static void a_late_answer_never_reaches_the_next_question(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:askword.answer.before_cas"},
        {"host:askword.answer.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", answer_0, &s}, {"loop", ask_the_next, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.result[0], Q_ASK_STALE);
    assert_int_equal(s.next_generation, 2);
    assert_false(q_askword_is_pinned(&s.word));
    assert_int_equal(q_askword_try_answer(&s.word, 2, STOP, Q_ASKWORD_KINDS), Q_ASK_PUSH);
    assert_int_equal(q_askword_take(&s.word), STOP);
}

// The same, with a next question that the answer would not even suit: the kind is looked at behind the generation.
static void a_late_answer_never_reaches_a_question_of_another_kind(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:askword.answer.before_cas"},
        {"host:askword.answer.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", answer_kind_0, &s}, {"loop", ask_another_kind, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.result[0], Q_ASK_STALE);
    assert_false(q_askword_is_pinned(&s.word));
    assert_int_equal(q_askword_try_answer(&s.word, 2, YES, 1u << 0), Q_ASK_UNSUITED);
    assert_int_equal(q_askword_try_answer(&s.word, 2, STOP, 1u << 1), Q_ASK_PUSH);
    assert_int_equal(q_askword_take(&s.word), STOP);
}

// Mutation 3: the question is withdrawn by a store, whatever the word is by then.
static void an_answer_just_before_the_withdrawal_keeps_the_slot(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:askword.withdraw.before_cas"},
        {"loop:askword.withdraw.before_cas", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", answer_0, &s}, {"loop", withdraw, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.result[0], Q_ASK_PUSH);
    assert_true(s.is_pinned);
    assert_int_equal(q_askword_take(&s.word), YES);
}

// Mutation 4 is the loop's: a slot that is retired while the pin stands. Its test is core/question_test.c. So are 9, a
// question that is opened while the pin of one that was withdrawn stands, and 10, where it waits for ever: the test is
// core/tls_answer_test.c.

// Mutations 1 and 2 once more: of two answers at once one pushes.
static void two_answers_at_once_push_one_node(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:askword.answer.before_cas"},
        {"first:askword.answer.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", answer_0, &s}, {"second", answer_1, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.result[1], Q_ASK_PUSH);
    assert_int_equal(s.result[0], Q_ASK_ALREADY);
    assert_int_equal(q_askword_take(&s.word), STOP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_memory_stands_for_no_question),
        cmocka_unit_test(questions_begin_where_their_array_wants),
        cmocka_unit_test(the_answer_that_was_given_is_taken),
        cmocka_unit_test(a_question_that_is_over_is_never_answered),
        cmocka_unit_test(the_first_answer_counts),
        cmocka_unit_test(an_answer_that_does_not_suit_leaves_the_question_standing),
        cmocka_unit_test(a_late_withdrawal_leaves_the_answer),
        cmocka_unit_test(an_answer_suits_the_kinds_that_it_names_and_no_others),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(a_late_answer_never_reaches_the_next_question),
        cmocka_unit_test(a_late_answer_never_reaches_a_question_of_another_kind),
        cmocka_unit_test(an_answer_just_before_the_withdrawal_keeps_the_slot),
        cmocka_unit_test(two_answers_at_once_push_one_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

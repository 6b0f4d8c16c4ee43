// Taken pieces: each name gives its piece back once, whoever asks, in whatever order, and whatever else is asked for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/core/taken.h"
#include "tests/support/schedule.h"

enum { PIECES = 8, MEMORY = PIECES * Q_TAKEN_PIECE_BYTES };

// Never looked into here: a piece is told from another by its address.
static struct q_chunk chunks[PIECES + 1];

static void open_table(struct q_taken *taken) {
    assert_true(q_taken_init(taken, q_sys_uring_real(), MEMORY));
}

static void each_piece_comes_back_once(void **state) {
    struct q_taken taken;
    uint64_t names[PIECES];
    uint64_t charge;
    (void)state;
    open_table(&taken);
    for (int turn = 0; turn < 3; turn++) { // the names of earlier turns are not given out again
        uint64_t old = turn == 0 ? 0 : names[0];
        for (uint64_t i = 0; i < PIECES; i++) {
            names[i] = q_taken_add(&taken, &chunks[i], 100 + i);
            assert_true(names[i] != 0 && names[i] != old);
        }
        assert_null(q_taken_remove(&taken, old, &charge));
        for (uint64_t i = PIECES; i-- > 0;) {
            assert_ptr_equal(q_taken_remove(&taken, names[i], &charge), &chunks[i]);
            assert_int_equal(charge, 100 + i);
            for (uint64_t again = i; again < PIECES; again++) {
                assert_null(q_taken_remove(&taken, names[again], &charge));
            }
        }
    }
    assert_int_equal(q_taken_generations(&taken), 3);
    q_taken_deinit(&taken);
}

static void a_name_that_was_never_given_is_nothing(void **state) {
    struct q_taken taken;
    uint64_t charge;
    (void)state;
    open_table(&taken);
    uint64_t name = q_taken_add(&taken, &chunks[0], 1);
    for (int bit = 0; bit < 64; bit++) {
        assert_null(q_taken_remove(&taken, name ^ (UINT64_C(1) << bit), &charge));
    }
    assert_null(q_taken_remove(&taken, 0, &charge));
    assert_null(q_taken_remove(&taken, UINT64_MAX, &charge));
    assert_ptr_equal(q_taken_remove(&taken, name, &charge), &chunks[0]);
    q_taken_deinit(&taken);
}

static void a_full_table_takes_no_more_until_one_comes_back(void **state) {
    struct q_taken taken;
    uint64_t names[PIECES];
    uint64_t charge;
    (void)state;
    open_table(&taken);
    for (int i = 0; i < PIECES; i++) {
        names[i] = q_taken_add(&taken, &chunks[i], 1);
    }
    assert_int_equal(q_taken_add(&taken, &chunks[PIECES], 1), 0);
    assert_ptr_equal(q_taken_remove(&taken, names[3], &charge), &chunks[3]);
    assert_true(q_taken_add(&taken, &chunks[PIECES], 1) != 0);
    q_taken_deinit(&taken);
}

static void names_begin_where_the_engine_wants(void **state) {
    struct q_taken one;
    struct q_taken two;
    uint64_t charge;
    (void)state;
    open_table(&one);
    open_table(&two);
    two.first = 1000;
    uint64_t name = q_taken_add(&one, &chunks[0], 1);
    uint64_t other = q_taken_add(&two, &chunks[1], 1);
    assert_null(q_taken_remove(&two, name, &charge));
    assert_null(q_taken_remove(&one, other, &charge));
    q_taken_deinit(&one);
    q_taken_deinit(&two);
}

// --- two copies of one slice, released at once -------------------------------------------------------------------------

struct scene {
    struct q_taken taken;
    uint64_t name;
    struct q_chunk *got[2];
};

static void remove_first(void *context) {
    struct scene *scene = context;
    uint64_t charge;
    scene->got[0] = q_taken_remove(&scene->taken, scene->name, &charge);
}

// Between the first one's look and its step, the piece comes back and its slot has another one.
static void remove_and_add(void *context) {
    struct scene *scene = context;
    uint64_t charge;
    scene->got[1] = q_taken_remove(&scene->taken, scene->name, &charge);
    Q_CHECK(q_taken_add(&scene->taken, &chunks[2], 1) != 0);
}

static void of_two_copies_released_at_once_one_counts(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:askword.answer.before_cas"},
        {"first:askword.answer.before_cas", "second:end"},
    };
    struct scene scene = {0};
    (void)state;
    open_table(&scene.taken);
    scene.name = q_taken_add(&scene.taken, &chunks[0], 1);
    const struct q_schedule_actor actors[] = {{"first", remove_first, &scene}, {"second", remove_and_add, &scene}};
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    assert_null(scene.got[0]);
    assert_ptr_equal(scene.got[1], &chunks[0]);
    q_taken_deinit(&scene.taken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_comes_back_once),
        cmocka_unit_test(a_name_that_was_never_given_is_nothing),
        cmocka_unit_test(a_full_table_takes_no_more_until_one_comes_back),
        cmocka_unit_test(names_begin_where_the_engine_wants),
        cmocka_unit_test(of_two_copies_released_at_once_one_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

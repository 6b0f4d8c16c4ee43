// The doorbell, alone and with the queue that it belongs to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue/doorbell.h"
#include "engine/queue/mpsc.h"
#include "tests/support/schedule.h"

struct scene {
    struct q_mpsc queue;
    struct q_doorbell bell;
    struct q_mpsc_node nodes[2];
    uint32_t value;         // what the loop would wait with
    uint32_t word_at_wake;  // what the kernel would find when it is asked to wake
    uint32_t *woken;
    unsigned wakes;
    bool is_parked;
    bool would_sleep; // the kernel's comparison, made when the wait begins
};

static void note_wake(void *context, uint32_t *word) {
    struct scene *scene = context;
    scene->word_at_wake = __atomic_load_n(word, __ATOMIC_RELAXED);
    scene->woken = word;
    scene->wakes++;
}

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    q_mpsc_init(&scene->queue);
    q_doorbell_init(&scene->bell, note_wake, scene);
}

static void push_0(void *context) {
    struct scene *scene = context;
    if (q_mpsc_push(&scene->queue, &scene->nodes[0]) == Q_MPSC_PUSHED_WAKE) {
        q_doorbell_ring(&scene->bell);
    }
}

// What the loop does before it sleeps, in the order that doorbell.h demands.
static void go_to_sleep(void *context) {
    struct scene *scene = context;
    scene->value = q_doorbell_value(&scene->bell);
    scene->is_parked = q_mpsc_park(&scene->queue);
    scene->would_sleep = scene->is_parked && __atomic_load_n(&scene->bell.word, __ATOMIC_RELAXED) == scene->value;
}

static void each_ring_counts_up_and_wakes_once(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_doorbell_value(&s.bell), 0);
    q_doorbell_ring(&s.bell);
    q_doorbell_ring(&s.bell);
    assert_int_equal(q_doorbell_value(&s.bell), 2);
    assert_int_equal(s.wakes, 2);
    assert_ptr_equal(s.woken, &s.bell.word);
}

static void the_word_wraps(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    s.bell.word = UINT32_MAX;
    uint32_t value = q_doorbell_value(&s.bell);
    q_doorbell_ring(&s.bell);
    assert_int_not_equal(q_doorbell_value(&s.bell), value);
}

// Mutation 5 of tests/model/mpsc.pml: a wake before the bump finds a word on which the loop may still go to sleep.
static void the_word_has_changed_when_the_kernel_is_asked_to_wake(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    go_to_sleep(&s);
    assert_true(s.would_sleep);
    push_0(&s);
    assert_int_equal(s.wakes, 1);
    assert_int_not_equal(s.word_at_wake, s.value);
}

// Mutation 4: the value is read after park. Here the whole push and ring fall between park and the wait.
static void a_ring_between_park_and_wait_is_not_lost(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:mpsc.park.after_cas"},
        {"loop:mpsc.park.after_cas", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", go_to_sleep, &s}};
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    assert_true(s.is_parked);
    assert_int_equal(s.wakes, 1);
    assert_false(s.would_sleep);
}

static void wake_early(void *context) {
    struct scene *scene = context;
    (void)q_mpsc_drain(&scene->queue); // a completion woke the loop before the pusher came to ring
    go_to_sleep(scene);
}

// A ring that answers an earlier sleep may land while the loop goes to sleep again: one wake-up for nothing.
static void a_late_ring_only_wakes_for_nothing(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:doorbell.ring.before_bump"},
        {"host:doorbell.ring.before_bump", "loop:doorbell.value.after_load"},
        {"loop:doorbell.value.after_load", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    assert_true(q_mpsc_park(&s.queue));
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", wake_early, &s}};
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    assert_true(s.is_parked);
    assert_false(s.would_sleep);
    assert_int_equal(q_mpsc_push(&s.queue, &s.nodes[1]), Q_MPSC_PUSHED_WAKE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ring_counts_up_and_wakes_once),
        cmocka_unit_test(the_word_wraps),
        cmocka_unit_test(the_word_has_changed_when_the_kernel_is_asked_to_wake),
        cmocka_unit_test(a_ring_between_park_and_wait_is_not_lost),
        cmocka_unit_test(a_late_ring_only_wakes_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The submission queue: its rules one by one, the schedules of tests/model/mpsc.pml (each named by its mutation), and
// a short run of real threads for the sanitizers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/queue/doorbell.h"
#include "engine/queue/mpsc.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

// What the actors of one test share. Results are looked at when all have ended.
struct scene {
    struct q_mpsc queue;
    struct q_mpsc_node nodes[4];
    enum q_mpsc_push_result pushed[4];
    struct q_mpsc_node *got;
    size_t got_len; // counted at once: what the loop sees is what is linked then
    bool is_parked;
};

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    q_mpsc_init(&scene->queue);
}

static size_t count_of(const struct q_mpsc_node *node) {
    size_t count = 0;
    for (; node != NULL; node = node->next) {
        count++;
    }
    return count;
}

static void push_0(void *context) {
    struct scene *scene = context;
    scene->pushed[0] = q_mpsc_push(&scene->queue, &scene->nodes[0]);
}

static void push_1(void *context) {
    struct scene *scene = context;
    scene->pushed[1] = q_mpsc_push(&scene->queue, &scene->nodes[1]);
}

static void drain(void *context) {
    struct scene *scene = context;
    scene->got = q_mpsc_drain(&scene->queue);
    scene->got_len = count_of(scene->got);
}

static void park(void *context) {
    struct scene *scene = context;
    scene->is_parked = q_mpsc_park(&scene->queue);
}

static void close_queue(void *context) {
    struct scene *scene = context;
    scene->got = q_mpsc_close(&scene->queue);
}

static void an_empty_queue_gives_nothing(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_mpsc_is_empty(&s.queue));
    assert_null(q_mpsc_drain(&s.queue));
}

static void nodes_come_out_oldest_first(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(q_mpsc_push(&s.queue, &s.nodes[i]), Q_MPSC_PUSHED);
    }
    assert_false(q_mpsc_is_empty(&s.queue));
    struct q_mpsc_node *node = q_mpsc_drain(&s.queue);
    for (size_t i = 0; i < 3; i++, node = node->next) {
        assert_ptr_equal(node, &s.nodes[i]);
    }
    assert_null(node);
    assert_true(q_mpsc_is_empty(&s.queue));
}

static void a_node_may_be_pushed_again_once_it_came_out(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    for (int round = 0; round < 3; round++) {
        push_0(&s);
        assert_ptr_equal(q_mpsc_drain(&s.queue), &s.nodes[0]);
        assert_null(s.nodes[0].next);
    }
}

static void only_the_first_push_after_park_must_wake(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_mpsc_park(&s.queue));
    assert_true(q_mpsc_is_empty(&s.queue));
    push_0(&s);
    push_1(&s);
    assert_int_equal(s.pushed[0], Q_MPSC_PUSHED_WAKE);
    assert_int_equal(s.pushed[1], Q_MPSC_PUSHED);
    assert_int_equal(count_of(q_mpsc_drain(&s.queue)), 2);
}

static void park_is_refused_while_there_is_work(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    push_0(&s);
    assert_false(q_mpsc_park(&s.queue));
    push_1(&s);
    assert_int_equal(s.pushed[1], Q_MPSC_PUSHED);
}

static void a_drain_for_another_reason_ends_the_sleep(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_mpsc_park(&s.queue));
    assert_null(q_mpsc_drain(&s.queue));
    push_0(&s);
    assert_int_equal(s.pushed[0], Q_MPSC_PUSHED);
}

static void close_gives_what_was_queued_and_refuses_the_rest(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    push_0(&s);
    struct q_mpsc_node *got = q_mpsc_close(&s.queue);
    assert_ptr_equal(got, &s.nodes[0]);
    assert_null(got->next);
    push_1(&s);
    assert_int_equal(s.pushed[1], Q_MPSC_CLOSED);
    assert_null(q_mpsc_close(&s.queue));
    push_1(&s);
    assert_int_equal(s.pushed[1], Q_MPSC_CLOSED);
}

static void a_sleeping_queue_can_be_closed(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_mpsc_park(&s.queue));
    assert_null(q_mpsc_close(&s.queue));
    push_0(&s);
    assert_int_equal(s.pushed[0], Q_MPSC_CLOSED);
}

static void drain_after_close(void *context) {
    struct scene *scene = context;
    q_mpsc_close(&scene->queue);
    q_mpsc_drain(&scene->queue);
}

static void park_twice(void *context) {
    struct scene *scene = context;
    Q_CHECK(q_mpsc_park(&scene->queue));
    Q_CHECK(q_mpsc_park(&scene->queue) && "two sleeps without a drain");
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(drain_after_close, &s, "seen != WORD_CLOSED"));
    assert_true(dies_saying(park_twice, &s, "seen != WORD_ASLEEP"));
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: the word is stored without being compared.
static void two_pushers_at_once_lose_no_node(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:mpsc.push.before_cas"},
        {"first:mpsc.push.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", push_0, &s}, {"second", push_1, &s}};
    RUN(k_rules, actors);
    s.got = q_mpsc_drain(&s.queue);
    assert_int_equal(count_of(s.got), 2);
    assert_ptr_equal(s.got, &s.nodes[1]); // it was visible first
}

// Mutation 3: the loop looks, then stores that it sleeps.
static void a_push_while_the_loop_parks_keeps_it_awake(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:mpsc.park.before_cas"},
        {"loop:mpsc.park.before_cas", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", park, &s}};
    RUN(k_rules, actors);
    assert_false(s.is_parked);
    assert_int_equal(count_of(q_mpsc_drain(&s.queue)), 1);
}

// Mutation 11: who wakes is decided by the first look.
static void a_pusher_who_looked_before_park_wakes_the_loop(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:mpsc.push.before_cas"},
        {"host:mpsc.push.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", park, &s}};
    RUN(k_rules, actors);
    assert_true(s.is_parked);
    assert_int_equal(s.pushed[0], Q_MPSC_PUSHED_WAKE);
}

// Mutation 6: whether the queue is closed is asked once.
static void a_pusher_who_looked_before_close_is_refused(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:mpsc.push.before_cas"},
        {"host:mpsc.push.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", close_queue, &s}};
    RUN(k_rules, actors);
    assert_null(s.got);
    assert_int_equal(s.pushed[0], Q_MPSC_CLOSED);
    assert_null(q_mpsc_close(&s.queue));
}

// Mutation 7: drain reads the word, then empties it.
static void a_push_during_drain_is_not_lost(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:mpsc.drain.before_exchange"},
        {"loop:mpsc.drain.before_exchange", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    push_0(&s);
    const struct q_schedule_actor actors[] = {{"host", push_1, &s}, {"loop", drain, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.got_len + count_of(q_mpsc_drain(&s.queue)), 2);
}

// Mutation 9: the node is linked after it is visible.
static void a_node_is_linked_before_it_is_visible(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:mpsc.push.after_cas"},
        {"host:mpsc.push.after_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    push_0(&s);
    const struct q_schedule_actor actors[] = {{"host", push_1, &s}, {"loop", drain, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.got_len, 2);
}

// Mutation 10: close reads the word, then stores that it is closed.
static void a_push_during_close_is_handed_out(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:mpsc.close.before_exchange"},
        {"loop:mpsc.close.before_exchange", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"host", push_0, &s}, {"loop", close_queue, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.pushed[0], Q_MPSC_PUSHED);
    assert_ptr_equal(s.got, &s.nodes[0]);
}

// The run of real threads: pushers with numbered nodes against a loop that sleeps on a futex.

enum { PUSHERS = 3, PUSHES = 50000, WATCHDOG_S = 30 };

struct numbered {
    struct q_mpsc_node node;
    unsigned pusher;
    unsigned number;
};

struct crowd {
    struct q_mpsc queue;
    struct q_doorbell bell;
    struct numbered items[PUSHERS][PUSHES];
    _Atomic(unsigned) next_pusher;
    unsigned sleeps;
    bool is_ordered;
};

static void futex_wake(void *context, uint32_t *word) {
    (void)context;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *push_many(void *argument) {
    struct crowd *crowd = argument;
    unsigned pusher = atomic_fetch_add(&crowd->next_pusher, 1);
    for (unsigned i = 0; i < PUSHES; i++) {
        struct numbered *item = &crowd->items[pusher][i];
        item->pusher = pusher;
        item->number = i;
        if (q_mpsc_push(&crowd->queue, &item->node) == Q_MPSC_PUSHED_WAKE) {
            q_doorbell_ring(&crowd->bell);
        }
    }
    return NULL;
}

static void *drain_all(void *argument) {
    struct crowd *crowd = argument;
    unsigned next[PUSHERS] = {0};
    crowd->is_ordered = true;
    for (unsigned left = PUSHERS * PUSHES; left > 0;) {
        for (struct q_mpsc_node *node = q_mpsc_drain(&crowd->queue); node != NULL; node = node->next, left--) {
            struct numbered *item = q_container_of(node, struct numbered, node);
            crowd->is_ordered = crowd->is_ordered && item->number == next[item->pusher]++;
        }
        uint32_t value = q_doorbell_value(&crowd->bell);
        if (left > 0 && q_mpsc_park(&crowd->queue)) {
            crowd->sleeps++;
            syscall(SYS_futex, &crowd->bell.word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
        }
    }
    return NULL;
}

static void a_crowd_of_pushers_loses_nothing_and_keeps_each_order(void **state) {
    (void)state;
    static struct crowd crowd;
    q_mpsc_init(&crowd.queue);
    q_doorbell_init(&crowd.bell, futex_wake, NULL);
    alarm(WATCHDOG_S); // a lost wake-up must fail, not hang
    pthread_t threads[PUSHERS + 1];
    assert_int_equal(pthread_create(&threads[PUSHERS], NULL, drain_all, &crowd), 0);
    for (int i = 0; i < PUSHERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &crowd), 0);
    }
    for (int i = 0; i <= PUSHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    alarm(0);
    assert_true(crowd.is_ordered);
    assert_null(q_mpsc_close(&crowd.queue));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_gives_nothing),
        cmocka_unit_test(nodes_come_out_oldest_first),
        cmocka_unit_test(a_node_may_be_pushed_again_once_it_came_out),
        cmocka_unit_test(only_the_first_push_after_park_must_wake),
        cmocka_unit_test(park_is_refused_while_there_is_work),
        cmocka_unit_test(a_drain_for_another_reason_ends_the_sleep),
        cmocka_unit_test(close_gives_what_was_queued_and_refuses_the_rest),
        cmocka_unit_test(a_sleeping_queue_can_be_closed),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(two_pushers_at_once_lose_no_node),
        cmocka_unit_test(a_push_while_the_loop_parks_keeps_it_awake),
        cmocka_unit_test(a_pusher_who_looked_before_park_wakes_the_loop),
        cmocka_unit_test(a_pusher_who_looked_before_close_is_refused),
        cmocka_unit_test(a_push_during_drain_is_not_lost),
        cmocka_unit_test(a_node_is_linked_before_it_is_visible),
        cmocka_unit_test(a_push_during_close_is_handed_out),
        cmocka_unit_test(a_crowd_of_pushers_loses_nothing_and_keeps_each_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

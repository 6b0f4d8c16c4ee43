// The timer wheel, by itself and against a naive reference: a table of deadlines that is looked through from end to
// end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/loop/wheel.h"

#define DAY   (UINT64_C(86400) * Q_NS_PER_S)
#define START (UINT64_C(5000) * Q_NS_PER_S + 123456)

static void nothing(struct q_timer *timer) {
    (void)timer;
}

static struct q_timer fresh(void) {
    return (struct q_timer){.fired = nothing};
}

// Moves the wheel and takes the due timers out of the list, as the loop does; gives how many there were.
static size_t expire(struct q_wheel *wheel, uint64_t now_ns, struct q_timer **out, size_t out_max) {
    struct q_list due;
    struct q_list_node *node;
    size_t count = 0;
    q_list_init(&due);
    q_wheel_expire(wheel, now_ns, &due);
    q_wheel_validate(wheel);
    while ((node = q_list_pop_front(&due)) != NULL) {
        if (count < out_max) {
            out[count] = q_container_of(node, struct q_timer, link);
        }
        count++;
    }
    return count;
}

static void an_empty_wheel_never_fires(void **state) {
    (void)state;
    struct q_wheel wheel;
    q_wheel_init(&wheel, START);
    assert_true(q_wheel_next(&wheel) == Q_WHEEL_NEVER);
    assert_int_equal(expire(&wheel, START + 400 * DAY, NULL, 0), 0);
    assert_true(q_wheel_next(&wheel) == Q_WHEEL_NEVER);
}

static void a_timer_never_fires_early_and_at_most_one_tick_late(void **state) {
    (void)state;
    static const uint64_t k_delays[] = {1,
                                        Q_NS_PER_MS - 1,
                                        Q_NS_PER_MS,
                                        Q_NS_PER_MS + 1,
                                        63 * Q_NS_PER_MS,
                                        64 * Q_NS_PER_MS,
                                        65 * Q_NS_PER_MS,
                                        4096 * Q_NS_PER_MS,
                                        300 * Q_NS_PER_S,
                                        3 * DAY,
                                        13 * DAY, // beyond the wheel's range
                                        400 * DAY};
    for (size_t i = 0; i < Q_COUNT_OF(k_delays); i++) {
        struct q_wheel wheel;
        struct q_timer timer = fresh();
        uint64_t deadline = START + k_delays[i];
        q_wheel_init(&wheel, START);
        q_wheel_arm(&wheel, &timer, deadline);
        q_wheel_validate(&wheel);
        assert_int_equal(expire(&wheel, deadline - 1, NULL, 0), 0);
        assert_true(q_timer_is_armed(&timer));
        assert_int_equal(expire(&wheel, deadline + Q_NS_PER_MS - 1, NULL, 0), 1);
        assert_false(q_timer_is_armed(&timer));
        assert_int_equal(wheel.num_armed, 0);
    }
}

static void a_deadline_on_a_tick_fires_on_that_tick(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer timer = fresh();
    q_wheel_init(&wheel, 7 * Q_NS_PER_S);
    q_wheel_arm(&wheel, &timer, 8 * Q_NS_PER_S);
    assert_int_equal(expire(&wheel, 8 * Q_NS_PER_S, NULL, 0), 1);
}

static void a_deadline_in_the_past_fires_with_the_next_tick(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer timer = fresh();
    q_wheel_init(&wheel, START);
    q_wheel_arm(&wheel, &timer, 0);
    assert_true(q_wheel_next(&wheel) <= START + Q_NS_PER_MS);
    assert_int_equal(expire(&wheel, START + Q_NS_PER_MS, NULL, 0), 1);
}

static void due_timers_come_earliest_first(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer timers[5];
    struct q_timer *due[5];
    static const uint64_t k_ms[] = {500, 3, 70, 3, 5000};
    static const size_t k_order[] = {1, 3, 2, 0, 4}; // equal ones in the order of arming
    q_wheel_init(&wheel, START);
    for (size_t i = 0; i < Q_COUNT_OF(timers); i++) {
        timers[i] = fresh();
        q_wheel_arm(&wheel, &timers[i], START + k_ms[i] * Q_NS_PER_MS);
    }
    assert_int_equal(expire(&wheel, START + 10 * Q_NS_PER_S, due, Q_COUNT_OF(due)), Q_COUNT_OF(due));
    for (size_t i = 0; i < Q_COUNT_OF(due); i++) {
        assert_ptr_equal(due[i], &timers[k_order[i]]);
    }
}

static void arming_an_armed_timer_moves_it(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer timer = fresh();
    q_wheel_init(&wheel, START);
    q_wheel_arm(&wheel, &timer, START + 10 * Q_NS_PER_MS);
    q_wheel_arm(&wheel, &timer, START + 10 * Q_NS_PER_S);
    q_wheel_validate(&wheel);
    assert_int_equal(wheel.num_armed, 1);
    assert_int_equal(expire(&wheel, START + Q_NS_PER_S, NULL, 0), 0);
    q_wheel_arm(&wheel, &timer, START + 1010 * Q_NS_PER_MS);
    assert_int_equal(expire(&wheel, START + 1011 * Q_NS_PER_MS, NULL, 0), 1);
}

static void a_disarmed_timer_does_not_fire_and_may_be_disarmed_again(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer timer = fresh();
    q_wheel_init(&wheel, START);
    q_wheel_disarm(&wheel, &timer);
    q_wheel_arm(&wheel, &timer, START + Q_NS_PER_S);
    q_wheel_disarm(&wheel, &timer);
    q_wheel_disarm(&wheel, &timer);
    q_wheel_validate(&wheel);
    assert_true(q_wheel_next(&wheel) == Q_WHEEL_NEVER);
    assert_int_equal(expire(&wheel, START + 2 * Q_NS_PER_S, NULL, 0), 0);
}

static void a_due_timer_may_disarm_another_due_timer(void **state) {
    (void)state;
    struct q_wheel wheel;
    struct q_timer first = fresh(), second = fresh(), third = fresh();
    struct q_list due;
    q_list_init(&due);
    q_wheel_init(&wheel, START);
    q_wheel_arm(&wheel, &first, START + Q_NS_PER_MS);
    q_wheel_arm(&wheel, &second, START + Q_NS_PER_MS);
    q_wheel_arm(&wheel, &third, START + Q_NS_PER_MS);
    q_wheel_expire(&wheel, START + Q_NS_PER_S, &due);
    assert_int_equal(wheel.num_armed, 0);
    assert_ptr_equal(q_list_pop_front(&due), &first.link);
    q_wheel_disarm(&wheel, &second);                     // gone
    q_wheel_arm(&wheel, &third, START + 5 * Q_NS_PER_S); // put off
    assert_true(q_list_is_empty(&due));
    q_wheel_validate(&wheel);
    assert_int_equal(wheel.num_armed, 1);
    assert_int_equal(expire(&wheel, START + 6 * Q_NS_PER_S, NULL, 0), 1);
}

// Sleeping until next() again and again brings a timer out in a bounded number of steps, each of them later.
static void sleeping_by_the_bound_reaches_every_timer(void **state) {
    (void)state;
    static const uint64_t k_delays[] = {Q_NS_PER_MS, 100 * Q_NS_PER_MS, 90 * Q_NS_PER_S, 2 * DAY, 40 * DAY};
    for (size_t i = 0; i < Q_COUNT_OF(k_delays); i++) {
        struct q_wheel wheel;
        struct q_timer timer = fresh();
        uint64_t now = START;
        int steps = 0;
        q_wheel_init(&wheel, START);
        q_wheel_arm(&wheel, &timer, START + k_delays[i]);
        while (q_timer_is_armed(&timer)) {
            uint64_t next = q_wheel_next(&wheel);
            assert_true(next > now); // a wait until `now` would be a spin
            now = next;
            expire(&wheel, now, NULL, 0);
            assert_true(++steps <= 2 * Q_WHEEL_LEVELS + (int)(k_delays[i] / (12 * DAY)));
        }
        assert_true(now >= START + k_delays[i]);
        assert_true(now < START + k_delays[i] + Q_NS_PER_MS);
    }
}

// --- against the reference -------------------------------------------------------------------------------------------

enum { TIMERS = 128, STEPS = 300000 };

struct lab {
    struct q_wheel wheel;
    struct q_timer timers[TIMERS];
    uint64_t due_tick[TIMERS]; // the reference: the first tick at which it may fire; 0: not armed
    uint64_t now_ns;
    uint64_t fired;
    uint64_t re_armed;
    struct q_random random;
};

static uint64_t below(struct lab *lab, uint64_t bound) {
    return q_random_below(&lab->random, bound);
}

// Delays of every size: below a tick, inside each level, behind the end.
static uint64_t some_span(struct lab *lab) {
    static const uint64_t k_spans[] = {
        Q_NS_PER_MS, 20 * Q_NS_PER_MS, 300 * Q_NS_PER_MS, 10 * Q_NS_PER_S, 900 * Q_NS_PER_S, DAY, 13 * DAY, 60 * DAY};
    return below(lab, k_spans[below(lab, Q_COUNT_OF(k_spans))]);
}

static void arm(struct lab *lab, size_t i) {
    uint64_t deadline = lab->now_ns + some_span(lab);
    if (below(lab, 16) == 0) {
        deadline = below(lab, lab->now_ns);
    }
    uint64_t tick = (deadline + Q_NS_PER_MS - 1) / Q_NS_PER_MS;
    uint64_t now_tick = lab->now_ns / Q_NS_PER_MS;
    lab->due_tick[i] = tick > now_tick ? tick : now_tick + 1;
    q_wheel_arm(&lab->wheel, &lab->timers[i], deadline);
}

static void disarm(struct lab *lab, size_t i) {
    lab->due_tick[i] = 0;
    q_wheel_disarm(&lab->wheel, &lab->timers[i]);
}

static uint64_t earliest(const struct lab *lab) {
    uint64_t tick = UINT64_MAX;
    for (size_t i = 0; i < TIMERS; i++) {
        tick = lab->due_tick[i] != 0 && lab->due_tick[i] < tick ? lab->due_tick[i] : tick;
    }
    return tick;
}

// Runs what is due; a due timer sometimes disarms or moves another one, due as well or not.
static void run_due(struct lab *lab) {
    struct q_list due;
    struct q_list_node *node;
    uint64_t last_tick = 0;
    q_list_init(&due);
    q_wheel_expire(&lab->wheel, lab->now_ns, &due);
    while ((node = q_list_pop_front(&due)) != NULL) {
        size_t i = (size_t)(q_container_of(node, struct q_timer, link) - lab->timers);
        assert_true(lab->due_tick[i] != 0 && lab->due_tick[i] <= lab->now_ns / Q_NS_PER_MS); // never early
        assert_true(lab->due_tick[i] >= last_tick);
        last_tick = lab->due_tick[i];
        lab->due_tick[i] = 0;
        lab->fired++;
        size_t other = (size_t)below(lab, TIMERS);
        switch (below(lab, 8)) {
        case 0: disarm(lab, other); break;
        case 1: arm(lab, other); break;
        case 2:
            arm(lab, i);
            lab->re_armed++;
            break;
        default: break;
        }
    }
    assert_true(earliest(lab) > lab->now_ns / Q_NS_PER_MS); // none is left behind
}

static void check(const struct lab *lab) {
    uint64_t next = q_wheel_next(&lab->wheel);
    uint64_t tick = earliest(lab);
    assert_int_equal(next == Q_WHEEL_NEVER, tick == UINT64_MAX);
    if (next != Q_WHEEL_NEVER) {
        assert_true(next > lab->now_ns);
        assert_true(next <= tick * Q_NS_PER_MS);
    }
    uint64_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(lab->due_tick[i] != 0, q_timer_is_armed(&lab->timers[i]));
        armed += lab->due_tick[i] != 0;
    }
    assert_int_equal(lab->wheel.num_armed, armed);
}

static void advance(struct lab *lab) {
    uint64_t next = q_wheel_next(&lab->wheel);
    if (next != Q_WHEEL_NEVER && below(lab, 3) == 0) {
        lab->now_ns = next - below(lab, 2); // just before, or at the bound
    } else {
        lab->now_ns += below(lab, 4) == 0 ? some_span(lab) : below(lab, 3 * Q_NS_PER_MS);
    }
}

static void play(uint64_t seed, int steps) {
    static struct lab lab;
    memset(&lab, 0, sizeof lab);
    lab.now_ns = START;
    q_random_seed(&lab.random, seed);
    q_wheel_init(&lab.wheel, lab.now_ns);
    for (size_t i = 0; i < TIMERS; i++) {
        lab.timers[i] = fresh();
    }
    for (int step = 0; step < steps; step++) {
        size_t i = (size_t)below(&lab, TIMERS);
        switch (below(&lab, 4)) {
        case 0:
        case 1: arm(&lab, i); break;
        case 2: disarm(&lab, i); break;
        default:
            advance(&lab);
            run_due(&lab);
            break;
        }
        check(&lab);
        if (step % 64 == 0) {
            q_wheel_validate(&lab.wheel);
        }
    }
    q_wheel_validate(&lab.wheel);
    assert_true(lab.fired > (uint64_t)steps / 64 && lab.re_armed > 0);
}

static void random_steps_agree_with_a_naive_reference(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        play(seed, STEPS / 6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_never_fires),
        cmocka_unit_test(a_timer_never_fires_early_and_at_most_one_tick_late),
        cmocka_unit_test(a_deadline_on_a_tick_fires_on_that_tick),
        cmocka_unit_test(a_deadline_in_the_past_fires_with_the_next_tick),
        cmocka_unit_test(due_timers_come_earliest_first),
        cmocka_unit_test(arming_an_armed_timer_moves_it),
        cmocka_unit_test(a_disarmed_timer_does_not_fire_and_may_be_disarmed_again),
        cmocka_unit_test(a_due_timer_may_disarm_another_due_timer),
        cmocka_unit_test(sleeping_by_the_bound_reaches_every_timer),
        cmocka_unit_test(random_steps_agree_with_a_naive_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

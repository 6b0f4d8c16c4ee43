// The clock seam.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/base/clock.h"

#include <time.h>

static void the_real_clock_is_monotonic_and_counts_nanoseconds(void **state) {
    (void)state;
    const struct q_clock *clock = q_clock_monotonic();
    struct timespec before, behind;
    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t first = q_clock_now(clock);
    uint64_t second = q_clock_now(clock);
    clock_gettime(CLOCK_MONOTONIC, &behind);
    assert_true(first <= second);
    assert_true((uint64_t)before.tv_sec * Q_NS_PER_S + (uint64_t)before.tv_nsec <= first);
    assert_true((uint64_t)behind.tv_sec * Q_NS_PER_S + (uint64_t)behind.tv_nsec >= second);
}

static int64_t tell_day(const struct q_clock *clock) {
    (void)clock;
    return 5;
}

static void the_day_is_the_clocks_or_else_the_systems(void **state) {
    (void)state;
    const struct q_clock dated = {.calendar_s = tell_day};
    assert_int_equal(q_clock_today(&dated), 5);
    struct timespec before, behind;
    clock_gettime(CLOCK_REALTIME, &before);
    int64_t today = q_clock_today(q_clock_monotonic());
    clock_gettime(CLOCK_REALTIME, &behind);
    assert_in_range(today, before.tv_sec, behind.tv_sec);
}

struct fake_clock {
    struct q_clock clock;
    uint64_t now;
};

static uint64_t fake_now(const struct q_clock *clock) {
    return q_container_of(clock, struct fake_clock, clock)->now;
}

static void a_clock_of_the_tests_own_is_read(void **state) {
    (void)state;
    struct fake_clock fake = {.clock = {.now_ns = fake_now}, .now = 5 * Q_NS_PER_MS};
    assert_int_equal(q_clock_now(&fake.clock), 5000 * Q_NS_PER_US);
    fake.now = Q_NS_PER_S;
    assert_int_equal(q_clock_now(&fake.clock), 1000000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_day_is_the_clocks_or_else_the_systems),
        cmocka_unit_test(the_real_clock_is_monotonic_and_counts_nanoseconds),
        cmocka_unit_test(a_clock_of_the_tests_own_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "engine/base/clock.h"

#include <time.h>

static uint64_t monotonic_now(const struct q_clock *clock) {
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail with a constant clock id and a valid pointer
    return (uint64_t)now.tv_sec * Q_NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t q_clock_today(const struct q_clock *clock) {
    struct timespec now;
    if (clock->calendar_s != NULL) {
        return clock->calendar_s(clock);
    }
    clock_gettime(CLOCK_REALTIME, &now); // likewise
    return now.tv_sec;
}

static const struct q_clock k_monotonic = {.now_ns = monotonic_now};

const struct q_clock *q_clock_monotonic(void) { return &k_monotonic; }

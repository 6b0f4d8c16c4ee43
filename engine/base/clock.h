// Clock: the seam for time. Nanoseconds on a clock that never goes back; its zero is arbitrary. The real clock reads
// CLOCK_MONOTONIC; the simulator's clock is a variable. A clock may have a calendar too, by which certificates
// expire; the real one leaves it to the system's, which goes as it is set. Thread-free: the real clock may be read by any
// thread.
#ifndef QUOIT_ENGINE_BASE_CLOCK_H
#define QUOIT_ENGINE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define Q_NS_PER_US UINT64_C(1000)
#define Q_NS_PER_MS UINT64_C(1000000)
#define Q_NS_PER_S UINT64_C(1000000000)

struct q_clock {
    uint64_t (*now_ns)(const struct q_clock *clock);
    int64_t (*calendar_s)(const struct q_clock *clock); // since 1970, above 0; NULL: the system's calendar holds
};

// q_clock_now reads the clock. The loop reads it once per tick and hands the value down.
static inline uint64_t q_clock_now(const struct q_clock *clock) { return clock->now_ns(clock); }

// q_clock_calendar gives the seconds since 1970 on a clock with a calendar, 0 on others: ask the system.
static inline int64_t q_clock_calendar(const struct q_clock *clock) {
    return clock->calendar_s == NULL ? 0 : clock->calendar_s(clock);
}

// q_clock_today gives the seconds since 1970, on a clock without a calendar by the system's. Any thread.
int64_t q_clock_today(const struct q_clock *clock);

// q_clock_monotonic is the real clock; constant, never freed.
const struct q_clock *q_clock_monotonic(void);

#endif

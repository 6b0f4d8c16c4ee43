// Clock: the seam for time. Nanoseconds on a clock that never goes back; its zero is arbitrary. The real clock reads
// CLOCK_MONOTONIC; the simulator's clock is a variable. Thread-free: the real clock may be read by any thread.
#ifndef QUOIT_ENGINE_BASE_CLOCK_H
#define QUOIT_ENGINE_BASE_CLOCK_H

#include <stdint.h>

#define Q_NS_PER_US UINT64_C(1000)
#define Q_NS_PER_MS UINT64_C(1000000)
#define Q_NS_PER_S UINT64_C(1000000000)

struct q_clock {
    uint64_t (*now_ns)(const struct q_clock *clock);
};

// q_clock_now reads the clock. The loop reads it once per tick and hands the value down.
static inline uint64_t q_clock_now(const struct q_clock *clock) { return clock->now_ns(clock); }

// q_clock_monotonic is the real clock; constant, never freed.
const struct q_clock *q_clock_monotonic(void);

#endif

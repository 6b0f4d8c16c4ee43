// Timer wheel: a hierarchical wheel of 1 ms ticks. Arming, disarming and expiring are O(1) per timer; the kernel's
// timeout only bounds the wait. Pure: every call takes `now`, nothing reads a clock. Self-validating: q_wheel_validate
// walks it in tests. A timer never fires early; it fires at most one tick late plus the time until the next tick of
// the loop.
//
// A timer is in the wheel or not; arming an armed timer moves it. The owner must disarm before it frees.
// Loop thread only.
#ifndef QUOIT_ENGINE_LOOP_WHEEL_H
#define QUOIT_ENGINE_LOOP_WHEEL_H

#include "engine/base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define Q_WHEEL_LEVELS 5
#define Q_WHEEL_SLOTS 64 // one 64-bit word tells which slots of a level hold timers
#define Q_WHEEL_NEVER UINT64_MAX

struct q_timer {
    struct q_list_node link;
    uint64_t deadline_tick;
    void (*fired)(struct q_timer *timer);
    uint8_t level;
    uint8_t slot;
};

struct q_wheel {
    struct q_list slots[Q_WHEEL_LEVELS][Q_WHEEL_SLOTS];
    uint64_t occupied[Q_WHEEL_LEVELS];
    uint64_t now_tick;
    uint64_t num_armed;
};

// q_wheel_init prepares an empty wheel that stands at `now_ns`.
void q_wheel_init(struct q_wheel *wheel, uint64_t now_ns);

// q_wheel_arm sets `timer` to fire when `deadline_ns` has passed. timer->fired must be set. A deadline in the past
// fires at the next expire. Deadlines beyond the wheel's range (12 days) wait in its last slot and are sorted again.
void q_wheel_arm(struct q_wheel *wheel, struct q_timer *timer, uint64_t deadline_ns);

// q_wheel_disarm takes `timer` out; a timer that is not armed is left alone.
void q_wheel_disarm(struct q_wheel *wheel, struct q_timer *timer);

static inline bool q_timer_is_armed(const struct q_timer *timer) { return q_list_is_linked(&timer->link); }

// q_wheel_next gives a time at or before the next firing, or Q_WHEEL_NEVER: how long the loop may sleep.
uint64_t q_wheel_next(const struct q_wheel *wheel);

// q_wheel_expire moves the wheel to `now_ns` and appends all timers that are due to `out_due`, earliest tick first.
// They are disarmed as far as the wheel is concerned, but linked in `out_due`: q_wheel_disarm still takes them out of
// there, so one due timer may disarm another.
void q_wheel_expire(struct q_wheel *wheel, uint64_t now_ns, struct q_list *out_due);

// q_wheel_validate checks every invariant and stops the program when one is broken. For tests and debug builds.
void q_wheel_validate(const struct q_wheel *wheel);

#endif

#include "engine/loop/wheel.h"

#include "engine/base/clock.h"

#define SLOT_BITS 6
#define LEVEL_NONE UINT8_MAX

static struct q_timer *timer_of(struct q_list_node *node) { return q_container_of(node, struct q_timer, link); }

void q_wheel_init(struct q_wheel *wheel, uint64_t now_ns) {
    *wheel = (struct q_wheel){.now_tick = now_ns / Q_NS_PER_MS};
    for (int level = 0; level < Q_WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < Q_WHEEL_SLOTS; slot++) {
            q_list_init(&wheel->slots[level][slot]);
        }
    }
}

// The level whose slots are just wide enough that the deadline is not in the slot where the wheel stands now.
static unsigned level_of(uint64_t now_tick, uint64_t deadline_tick) {
    uint64_t differing = now_tick ^ deadline_tick;
    unsigned level = 0;
    while (level < Q_WHEEL_LEVELS - 1 && (differing >> (SLOT_BITS * (level + 1))) != 0) {
        level++;
    }
    return level;
}

static void place(struct q_wheel *wheel, struct q_timer *timer) {
    uint64_t range = UINT64_C(1) << (SLOT_BITS * Q_WHEEL_LEVELS);
    uint64_t tick = timer->deadline_tick;
    if (tick <= wheel->now_tick) {
        tick = wheel->now_tick + 1; // the slot where the wheel stands has been emptied; the next one is the earliest
    }
    if (tick - wheel->now_tick >= range - (range >> SLOT_BITS)) {
        tick = wheel->now_tick + range - (range >> SLOT_BITS) - 1; // too far: sorted again when the wheel comes there
    }
    unsigned level = level_of(wheel->now_tick, tick);
    unsigned slot = (unsigned)(tick >> (SLOT_BITS * level)) % Q_WHEEL_SLOTS;
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    q_list_push_back(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

void q_wheel_arm(struct q_wheel *wheel, struct q_timer *timer, uint64_t deadline_ns) {
    q_wheel_disarm(wheel, timer);
    // Rounded up: a timer never fires early.
    timer->deadline_tick = deadline_ns / Q_NS_PER_MS + (deadline_ns % Q_NS_PER_MS != 0);
    place(wheel, timer);
    wheel->num_armed++;
}

void q_wheel_disarm(struct q_wheel *wheel, struct q_timer *timer) {
    if (!q_timer_is_armed(timer)) {
        return;
    }
    q_list_remove(&timer->link);
    if (timer->level == LEVEL_NONE) {
        return; // it was due already and waited in the caller's list
    }
    wheel->num_armed--;
    if (q_list_is_empty(&wheel->slots[timer->level][timer->slot])) {
        wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
    }
}

// The first tick of the next occupied slot of `level` at or behind the one where the wheel stands.
static uint64_t next_of_level(const struct q_wheel *wheel, unsigned level) {
    uint64_t occupied = wheel->occupied[level];
    if (occupied == 0) {
        return Q_WHEEL_NEVER;
    }
    unsigned shift = SLOT_BITS * level;
    uint64_t here = wheel->now_tick >> shift;
    unsigned at = (unsigned)(here % Q_WHEEL_SLOTS);
    uint64_t rotated = at == 0 ? occupied : (occupied >> at) | (occupied << (Q_WHEEL_SLOTS - at));
    // The slot where the wheel stands is always empty: it was emptied on entry, and what is due inside it lies on a
    // lower level.
    Q_ASSERT((rotated & 1) == 0);
    unsigned distance = (unsigned)__builtin_ctzll(rotated);
    return (here + distance) << shift;
}

static uint64_t next_tick(const struct q_wheel *wheel) {
    uint64_t next = Q_WHEEL_NEVER;
    for (unsigned level = 0; level < Q_WHEEL_LEVELS; level++) {
        uint64_t of_level = next_of_level(wheel, level);
        next = of_level < next ? of_level : next;
    }
    return next;
}

uint64_t q_wheel_next(const struct q_wheel *wheel) {
    uint64_t tick = next_tick(wheel);
    return tick == Q_WHEEL_NEVER ? Q_WHEEL_NEVER : tick * Q_NS_PER_MS;
}

// Empties the slots that begin at the tick where the wheel stands: due timers go out, others to a lower level.
static void empty_slots_here(struct q_wheel *wheel, struct q_list *out_due) {
    for (unsigned level = Q_WHEEL_LEVELS; level-- > 0;) {
        unsigned shift = SLOT_BITS * level;
        if (wheel->now_tick & ((UINT64_C(1) << shift) - 1)) {
            continue;
        }
        unsigned slot = (unsigned)(wheel->now_tick >> shift) % Q_WHEEL_SLOTS;
        struct q_list here;
        q_list_init(&here);
        q_list_take(&here, &wheel->slots[level][slot]);
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
        struct q_list_node *node;
        while ((node = q_list_pop_front(&here)) != NULL) {
            struct q_timer *timer = timer_of(node);
            if (timer->deadline_tick <= wheel->now_tick) {
                timer->level = LEVEL_NONE;
                wheel->num_armed--;
                q_list_push_back(out_due, node);
            } else {
                place(wheel, timer);
            }
        }
    }
}

void q_wheel_expire(struct q_wheel *wheel, uint64_t now_ns, struct q_list *out_due) {
    uint64_t target = now_ns / Q_NS_PER_MS;
    while (wheel->now_tick < target) {
        uint64_t next = next_tick(wheel);
        if (next > target) {
            wheel->now_tick = target;
            return;
        }
        wheel->now_tick = next;
        empty_slots_here(wheel, out_due);
    }
}

void q_wheel_validate(const struct q_wheel *wheel) {
    uint64_t armed = 0;
    for (unsigned level = 0; level < Q_WHEEL_LEVELS; level++) {
        for (unsigned slot = 0; slot < Q_WHEEL_SLOTS; slot++) {
            const struct q_list *list = &wheel->slots[level][slot];
            bool is_marked = (wheel->occupied[level] >> slot) & 1;
            Q_CHECK(is_marked == !q_list_is_empty(list));
            for (struct q_list_node *node = list->head.next; node != &list->head; node = node->next) {
                struct q_timer *timer = timer_of(node);
                Q_CHECK(timer->level == level && timer->slot == slot);
                Q_CHECK(timer->fired != NULL);
                armed++;
            }
        }
    }
    Q_CHECK(armed == wheel->num_armed);
}

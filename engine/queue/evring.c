#include "engine/queue/evring.h"

#include "engine/base/hook.h"

// The flag in the lowest bit of both words: `armed` in tail, `want_wake` in head.
#define FLAG UINT64_C(1)

static uint64_t word_of(uint64_t position) { return position << 1; }
static uint64_t position_of(uint64_t word) { return word >> 1; }

static void *entry_at(const struct q_evring *ring, uint64_t position) {
    return ring->entries + (position & ring->mask) * ring->entry_size;
}

static uint64_t data_slots_of(uint64_t capacity) { return capacity / 3; }

static size_t bytes_of(const struct q_evring *ring) {
    return (ring->mask + 1) * (ring->entry_size + sizeof *ring->is_reserved);
}

bool q_evring_init(struct q_evring *ring, const struct q_alloc *alloc, uint32_t capacity, size_t entry_size) {
    Q_CHECK(capacity >= Q_EVRING_CAPACITY_MIN && capacity <= Q_EVRING_CAPACITY_MAX);
    Q_CHECK((capacity & (capacity - 1)) == 0);
    Q_CHECK(entry_size > 0 && entry_size <= Q_EVRING_ENTRY_SIZE_MAX);
    *ring = (struct q_evring){.alloc = alloc, .entry_size = entry_size, .mask = capacity - 1};
    ring->entries = q_alloc_new(alloc, bytes_of(ring));
    if (ring->entries == NULL) {
        *ring = (struct q_evring){0};
        return false;
    }
    ring->is_reserved = (bool *)(ring->entries + capacity * entry_size);
    ring->data_room = data_slots_of(capacity);
    atomic_init(&ring->reservable, capacity - ring->data_room);
    return true;
}

void q_evring_deinit(struct q_evring *ring) {
    if (ring->entries == NULL) {
        return;
    }
    q_alloc_free(ring->alloc, ring->entries, bytes_of(ring));
    *ring = (struct q_evring){0};
}

// `reservable` is a number and nothing else: no data is handed over with it (the producer alone touches entries, and
// knows by `collected` which), so relaxed is enough wherever it changes.
bool q_evring_reserve(struct q_evring *ring, uint32_t n) {
    uint64_t seen = atomic_load_explicit(&ring->reservable, memory_order_relaxed);
    do {
        if (seen < n) {
            return false;
        }
        Q_HOOK("evring.reserve.before_cas");
    } while (!atomic_compare_exchange_weak_explicit(&ring->reservable, &seen, seen - n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void q_evring_unreserve(struct q_evring *ring, uint32_t n) {
    uint64_t before = atomic_fetch_add_explicit(&ring->reservable, n, memory_order_relaxed);
    Q_CHECK(before + n <= ring->mask + 1 - data_slots_of(ring->mask + 1)); // more than was reserved
}

static void *fill_next(struct q_evring *ring, bool is_reserved) {
    // Would only fail if more reserved slots were used than were reserved: the entry would be the consumer's still.
    Q_CHECK(ring->filled - ring->collected <= ring->mask);
    ring->is_reserved[ring->filled & ring->mask] = is_reserved;
    return entry_at(ring, ring->filled++);
}

void *q_evring_produce_reserved(struct q_evring *ring) { return fill_next(ring, true); }

void *q_evring_produce_unreserved(struct q_evring *ring) {
    if (ring->data_room == 0) {
        return NULL;
    }
    ring->data_room--;
    return fill_next(ring, false);
}

bool q_evring_publish(struct q_evring *ring) {
    if (ring->filled == ring->published) {
        return false;
    }
    ring->published = ring->filled;
    Q_HOOK("evring.publish.before_exchange");
    // Release: the entries are visible with the position. The flag comes back from the very step that shows the
    // entries, so the consumer either was armed before it (and is signalled) or finds the entries when it arms.
    uint64_t before = atomic_exchange_explicit(&ring->tail, word_of(ring->filled), memory_order_release);
    Q_HOOK("evring.publish.after_exchange");
    return (before & FLAG) != 0;
}

size_t q_evring_collect(struct q_evring *ring, void (*fn)(void *context, void *entry), void *context) {
    // Acquire: the consumer's last reads of these entries, and what it wrote into them, come before our next use.
    uint64_t head = position_of(atomic_load_explicit(&ring->head, memory_order_acquire));
    Q_ASSERT(head - ring->collected <= ring->published - ring->collected);
    uint64_t count = head - ring->collected;
    uint32_t reserved = 0;
    for (; ring->collected < head; ring->collected++) {
        if (fn != NULL) {
            fn(context, entry_at(ring, ring->collected));
        }
        reserved += ring->is_reserved[ring->collected & ring->mask];
    }
    ring->data_room += count - reserved;
    Q_ASSERT(ring->data_room <= data_slots_of(ring->mask + 1));
    if (reserved > 0) {
        q_evring_unreserve(ring, reserved);
    }
    return count;
}

bool q_evring_want_wake(struct q_evring *ring) {
    uint64_t head;
    Q_HOOK("evring.want_wake.before_or");
    if (ring->is_wake_wanted) {
        // The flag is still there, or the consumer took it and pushes the node. Setting it again could make it push
        // the node a second time while it is queued.
        head = atomic_load_explicit(&ring->head, memory_order_acquire);
    } else {
        ring->is_wake_wanted = true;
        head = atomic_fetch_or_explicit(&ring->head, FLAG, memory_order_acq_rel);
    }
    return position_of(head) != ring->collected;
}

void q_evring_wake_drained(struct q_evring *ring) {
    Q_CHECK(ring->is_wake_wanted);
    Q_ASSERT((atomic_load_explicit(&ring->head, memory_order_relaxed) & FLAG) == 0);
    ring->is_wake_wanted = false;
}

bool q_evring_retract_wake(struct q_evring *ring) {
    if (!ring->is_wake_wanted) {
        return true;
    }
    uint64_t before = atomic_fetch_and_explicit(&ring->head, ~FLAG, memory_order_acq_rel);
    if ((before & FLAG) == 0) {
        return false; // the consumer has taken it: the node is on its way
    }
    ring->is_wake_wanted = false;
    return true;
}

// The consumer's look at the tail: learns the newest position, and whether its arming was answered.
// Acquire: the entries up to that position are readable.
static void look_at_tail(struct q_evring *ring) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    ring->seen_tail = position_of(tail);
    if (ring->is_armed && (tail & FLAG) == 0) {
        ring->is_armed = false;
        ring->signals_due++;
    }
}

void *q_evring_peek(struct q_evring *ring, size_t offset) {
    if (ring->seen_tail - ring->consumed <= offset) {
        look_at_tail(ring);
        if (ring->seen_tail - ring->consumed <= offset) {
            return NULL;
        }
    }
    return entry_at(ring, ring->consumed + offset);
}

bool q_evring_advance(struct q_evring *ring, size_t n) {
    Q_CHECK(n <= ring->seen_tail - ring->consumed);
    if (n == 0) {
        return false;
    }
    ring->consumed += n;
    Q_HOOK("evring.advance.before_exchange");
    // Release: our reads of the entries come before the producer's next use. Acquire: what the producer did before it
    // asked for the wake node comes before our push of it.
    uint64_t before = atomic_exchange_explicit(&ring->head, word_of(ring->consumed), memory_order_acq_rel);
    Q_HOOK("evring.advance.after_exchange");
    return (before & FLAG) != 0;
}

bool q_evring_arm(struct q_evring *ring, size_t num_seen) {
    look_at_tail(ring);
    if (ring->is_armed) {
        return true;
    }
    uint64_t seen = word_of(ring->consumed + num_seen);
    Q_HOOK("evring.arm.before_cas");
    // The position in the expected value is the point: it fails if anything was published since. Relaxed: nothing is
    // handed over; on failure peek looks again, with acquire.
    if (!atomic_compare_exchange_strong_explicit(&ring->tail, &seen, seen | FLAG, memory_order_relaxed,
                                                 memory_order_relaxed)) {
        return false;
    }
    ring->is_armed = true;
    Q_HOOK("evring.arm.after_cas");
    return true;
}

bool q_evring_signal_due(struct q_evring *ring) {
    look_at_tail(ring);
    return ring->signals_due > 0;
}

uint64_t q_evring_signal_read(struct q_evring *ring, uint64_t count) {
    look_at_tail(ring); // the write that was just read came after its exchange: it is counted before it is subtracted
    uint64_t ours = count < ring->signals_due ? count : ring->signals_due;
    ring->signals_due -= ours;
    return count - ours;
}

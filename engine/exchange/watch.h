// Watch: what one exchange is waiting for, since when, and for how long it may. One function moves it from stage to
// stage; it adds up the time spent in each, publishes both where any thread can read them (why is it waiting?), and
// holds the bounds that count only while the exchange is in a certain stage.
//
// The total deadline is the exchange's own; a connection attempt's bound is the connection's.
//
// The timer is touched rarely: it is armed for the earliest bound that could be over, and when it fires the watch looks
// at what really happened meanwhile. An exchange without bounds touches no timer at all.
//
// Life: q_watch_clear -> q_watch_begin -> q_watch_enter any number of times -> q_watch_end. Embedded beside the exchange in
// a request slot, which is type-stable: a late reader reads a slot, and finds out by the slot's word that it was late. An
// early one, before the loop has begun, finds a cleared watch: what it holds is the last tenant's, and is not looked at.
// Loop thread, but for q_watch_clear: who has the slot; and q_watch_read: any thread.
#ifndef QUOIT_ENGINE_EXCHANGE_WATCH_H
#define QUOIT_ENGINE_EXCHANGE_WATCH_H

#include "engine/loop/loop.h"

#include <stdatomic.h>

// Equal to enum quoit_stage of the public header; a test compares the two.
enum q_stage {
    Q_STAGE_NONE,
    Q_STAGE_QUEUED,     // no connection is there or on its way for this request: limits
    Q_STAGE_CONNECTING, // one is being made for it
    Q_STAGE_SENDING,
    Q_STAGE_AWAITING,   // sent; not a byte of the answer yet
    Q_STAGE_RECEIVING,
    Q_STAGE_PAUSED,     // the host has no credit, no room, or the engine no memory left for it
    Q_STAGE_ASKING,     // the host was asked a question
    Q_STAGES,
};

// Bounds in nanoseconds; 0: none.
struct q_bounds {
    uint64_t queue_ns;      // in QUEUED
    uint64_t connect_ns;    // of one connection, resolving included
    uint64_t first_byte_ns; // in AWAITING
    uint64_t idle_ns;       // in RECEIVING, between bytes
    uint64_t low_speed_ns;  // in RECEIVING: over each window of this length ...
    uint64_t low_speed_bytes; // ... at least this many bytes must come
    uint64_t total_ns;
    uint64_t body_bytes_max;  // of the response, as received; 0: none
    uint64_t answer_ns;     // in ASKING
    uint64_t tls_ns;        // of a handshake, within connect_ns
    uint64_t resolve_ns;    // looking up a name, within connect_ns
};

struct q_watch {
    // Read by any thread.
    _Atomic(uint32_t) stage; // enum q_stage
    _Atomic(uint64_t) entered_ns; // 0: cleared; nothing else holds then
    _Atomic(uint64_t) spent_ns[Q_STAGES];

    // The loop.
    struct q_timer timer;
    struct q_loop *loop;
    const struct q_bounds *bounds;
    void (*expired)(struct q_watch *watch, struct q_error error);
    void *owner;          // for `expired`
    uint64_t progress_ns; // last byte, or the stage's begin
    uint64_t window_ns;   // begin of the low-speed window
    uint64_t window_bytes;
};

// q_watch_clear says that nothing is known yet of the slot's next tenant: stage NONE, no time in any. One store, since it is
// part of each submit. Who has taken the slot, before anybody can read it.
void q_watch_clear(struct q_watch *watch);

// q_watch_begin starts at stage NONE. `bounds` outlives it. `expired` is called from the tick when a bound is over; the
// watch is then still in its stage, and its owner ends it.
void q_watch_begin(struct q_watch *watch, struct q_loop *loop, const struct q_bounds *bounds,
                   void (*expired)(struct q_watch *watch, struct q_error error), void *owner);

// q_watch_stage gives the stage. Loop thread.
static inline enum q_stage q_watch_stage(const struct q_watch *watch) {
    return (enum q_stage)atomic_load_explicit(&watch->stage, memory_order_relaxed);
}

// q_watch_enter moves to a stage; entering the stage where it stands does nothing.
void q_watch_enter(struct q_watch *watch, enum q_stage stage);

// q_watch_bytes notes that bytes of the response have come.
void q_watch_bytes(struct q_watch *watch, size_t len);

// q_watch_end ends it: stage NONE, no timer. The times stay readable until the next begin.
void q_watch_end(struct q_watch *watch);

// q_watch_read copies stage and times; `now_ns` is the engine's clock now. What is read of a request that ends meanwhile
// is for the caller to throw away (slot word). Any thread.
void q_watch_read(const struct q_watch *watch, uint64_t now_ns, uint32_t *out_stage, uint64_t *out_stage_ns,
                  uint64_t out_spent_ns[Q_STAGES]);

// q_stage_name gives a lower-case word for a stage ("receiving"). Constant text, any thread.
const char *q_stage_name(unsigned stage);

#endif

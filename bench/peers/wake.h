// What it costs to wake a sleeping loop from another thread, by the kernel's means alone and by an engine's submit.
//
// A subject is a loop on a thread of its own that sleeps until it is woken, notes when it saw that, and sleeps again. The
// producer rings only when the last ring has been seen and some time has passed, so that each ring finds it asleep.
#ifndef QUOIT_BENCH_PEERS_WAKE_H
#define QUOIT_BENCH_PEERS_WAKE_H

#include <stdatomic.h>
#include <stdint.h>

// What the loop tells the producer. The loop alone writes.
struct wake_sightings {
    _Atomic uint64_t count;
    uint64_t seen_ns;      // when the last was seen; read it behind `count`
    uint64_t first_cpu_ns; // of the loop's thread, at the first and the last
    uint64_t last_cpu_ns;
};

struct wake_subject {
    const char *name;
    // Starts the loop; its thread begins with the affinity of the caller.
    void (*start)(struct wake_sightings *sightings);
    // Wakes it. Called by one thread.
    void (*ring)(void);
    // Ends it and gives how many rings had to wake a sleeper, UINT64_MAX if it does not know.
    uint64_t (*stop)(void);
};

extern const struct wake_subject k_wake_futex;   // the ring waits on a futex (6.7)
extern const struct wake_subject k_wake_eventfd; // the ring polls an eventfd
extern const struct wake_subject k_wake_engine;  // quoit_submit of a request that ends without the kernel's help

// wake_seen is called by a loop, on its thread, for each ring.
void wake_seen(struct wake_sightings *sightings);

#endif

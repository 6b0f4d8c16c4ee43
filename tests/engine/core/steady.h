// Steady state: a closed load on an engine, and what a request costs once everything is warm, counted and not timed: system
// calls, allocations, copied bytes, atomic read-modify-writes (counts.h). Each scenario plays on the real kernel against the
// embedded server; the figures of bench/README.md, section "Counts", are the bars that steady_play holds it to.
//
// How many ticks a load takes is the kernel's and the scheduler's business. So what belongs to a request, an event or a
// call of the host's is asserted as an exact number for each of them, what belongs to a tick as an upper bar per tick.
// One thread calls.
#ifndef QUOIT_TESTS_ENGINE_CORE_STEADY_H
#define QUOIT_TESTS_ENGINE_CORE_STEADY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/quoit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEADY_SANITIZED 1
#else
#define STEADY_SANITIZED 0
#endif

// As many requests of a round as a sanitizer leaves time for.
#define STEADY_SOME(num) (STEADY_SANITIZED ? (num) / 4 : (num))

enum {
    STEADY_MIB = 1024 * 1024,
    STEADY_MANY = STEADY_SANITIZED ? 100 : 700, // more than complete, or are submitted, in one tick
};

// What is copied of the bodies that are received.
enum steady_copies {
    STEADY_COPIES_NONE,
    STEADY_COPIES_ALL,   // each byte of body once: small pieces
    STEADY_COPIES_SMALL, // what the kernel brought in pieces of less than half a buffer, and by no means most
};

struct steady_scenario {
    const char *path;
    uint32_t engine_mode;
    uint32_t port_mode;
    uint32_t num_connections;
    uint32_t num_producers; // each a thread with a port of its own; inline and host-driven: 1
    uint32_t num_requests;
    uint64_t body_len; // received
    uint64_t sent_len;
    enum steady_copies copies;
    uint32_t entries_max; // into the kernel for ten requests
    uint32_t num_records; // of TLS for a request, both ways together, at most; 0: plain HTTP
};

// steady_play plays the scenarios one after the other, and fails the test when one costs more than it may.
void steady_play(const struct steady_scenario *scenarios, size_t num);

#endif

// A load on an engine, through api/quoit.h alone: what the demo shows, what the stress test proves.
//
// Vocabulary: a load has clients; a client is a thread with a port of its own, which keeps a window of requests in
// flight. A scenario says what they send and what has to come back; running it gives a result. Each request of a
// scenario is checked: events in order, the status, each piece of the body at its offset, the hash of the whole body,
// and exactly one terminal event. What is wrong is counted as an error, and the first one is kept as a sentence.
//
// Life: load_open, any number of load_run, load_close, which also closes and destroys the engine. One thread calls
// these.
#ifndef QUOIT_BENCH_LOAD_LOAD_H
#define QUOIT_BENCH_LOAD_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/quoit.h"
#include "bench/load/histogram.h"

enum {
    LOAD_CLIENTS_MAX = 64,
    LOAD_TARGETS_MAX = 16,
    LOAD_WINDOW_MAX = 1024,
};

// struct load_target is one kind of request.
struct load_target {
    const char *method; // NULL: GET
    const char *url;
    const void *body; // copied; NULL: none
    size_t body_len;
    unsigned status; // that has to come back; 0: 200
    uint64_t
        response_len; // of the body, which is a generated one (bench/server/body.h); for an echo it is the request's
};

// struct load_scenario is what to do. Request i of a client is for target (i + the client's index) % num_targets.
struct load_scenario {
    const char *name;
    const struct load_target *targets;
    unsigned num_targets;
    uint64_t num_requests;  // of all clients together
    uint64_t limit_ms;      // submits no more after this; 0: no limit
    unsigned window;        // requests in flight of each client
    unsigned take_every;    // takes every so manieth piece of body, checks it again later and releases it; 0: none
    unsigned cancel_every;  // cancels every so manieth request right after its submit; 0: none
    bool failures_expected; // a FAILED event is counted as a failure and is no error
};

// struct load_result is what came of it.
struct load_result {
    uint64_t submitted;
    uint64_t done;
    uint64_t failed;   // FAILED events that were expected, cancellations apart
    uint64_t canceled; // FAILED with QUOIT_ERR_CANCELED where we had canceled
    uint64_t errors;   // anything that is not as the scenario says
    char first_error[200];
    uint64_t body_bytes;
    uint64_t wall_ns;
    uint64_t cpu_ns; // of the process; the caller takes off what is not the load's
    struct histogram latency_ns;
};

struct load;

// load_open makes `num_clients` ports on `engine`, which belongs to the load from here on. NULL: `out_error` says why,
// and the engine is still the caller's.
struct load *load_open(struct quoit_engine engine, unsigned num_clients, int32_t *out_error);

// load_run plays `scenario` and fills `out`. It returns when each submitted request has had its terminal event, or when
// nothing at all came for 30 s (an error). `progress` (may be NULL) counts terminal events while it runs.
void load_run(struct load *load, const struct load_scenario *scenario, struct load_result *out,
              _Atomic uint64_t *progress);

// load_close closes the engine, waits for the last event of each port, destroys the engine and frees `load`. It returns
// QUOIT_OK, or what went wrong.
int32_t load_close(struct load *load);

#endif

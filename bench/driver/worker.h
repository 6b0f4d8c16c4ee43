// One engine of quoit-bench, and the closed loop that it runs: so many slots, each with one request at a time, each
// submitted from where its last one's terminal event was taken.
//
// Inline, the loop's own thread does everything. With a port a thread of the worker's drains it and submits. Either way
// one thread alone touches the counts, from the first event to worker_join.
#ifndef QUOIT_BENCH_DRIVER_WORKER_H
#define QUOIT_BENCH_DRIVER_WORKER_H

#include <pthread.h>
#include <semaphore.h>

#include "api/quoit.h"
#include "bench/driver/options.h"
#include "bench/load/histogram.h"

enum { WORKER_ERRORS_MAX = 32 }; // kinds of errors that are told apart

struct worker_counts {
    uint64_t requests; // ended, with a response or without
    uint64_t failed;
    uint64_t bad_status; // responses of status 400 and above
    struct {
        int32_t code;
        uint64_t count;
    } errors[WORKER_ERRORS_MAX];
    unsigned num_errors;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint16_t http_version; // of the last response
    struct histogram latency_ns;
};

struct worker {
    const struct options *options;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *requests[OPTIONS_URLS_MAX];
    uint64_t *begun_ns; // of each slot's request
    unsigned num_slots;
    unsigned num_in_flight;
    uint64_t num_left;  // requests to be begun; UINT64_MAX: as many as the time allows
    uint64_t until_ns;  // begins none after this
    uint64_t num_begun;
    struct worker_counts counts;
    struct quoit_engine_info info; // as it was at the end
    sem_t closed;
    pthread_t thread; // port mode
};

// worker_start makes the engine and begins. `share` is how many requests it may begin, UINT64_MAX: any number until
// `until_ns`. QUOIT_OK, or why it could not; *out_failure is written then.
int32_t worker_start(struct worker *worker, const struct options *options, unsigned num_slots, uint64_t share,
                     uint64_t until_ns, struct quoit_failure *out_failure);

// worker_join waits for the last event and destroys the engine.
void worker_join(struct worker *worker);

// worker_now_ns reads the monotonic clock.
uint64_t worker_now_ns(void);

#endif

// One engine of quoit-bench with its lanes: one that runs inline, or as many ports as there are producers.
#ifndef QUOIT_BENCH_DRIVER_WORKER_H
#define QUOIT_BENCH_DRIVER_WORKER_H

#include <semaphore.h>
#include <stdatomic.h>

#include "api/quoit.h"
#include "bench/driver/lane.h"
#include "bench/driver/options.h"

struct worker {
    const struct options *options;
    struct quoit_engine engine;
    struct quoit_request *requests[OPTIONS_URLS_MAX];
    struct lane lanes[OPTIONS_PRODUCERS_MAX];
    unsigned num_lanes;
    _Atomic unsigned num_working;
    sem_t closed;
    struct quoit_engine_info info; // as it was at the end
};

// worker_make makes the engine, with room for `num_slots` requests at a time. That can take a while where ring memory is
// short, so it counts for nothing. `share` is how many requests it may begin, UINT64_MAX: any number. QUOIT_OK, or why it
// could not; *out_failure is written then.
int32_t worker_make(struct worker *worker, const struct options *options, unsigned num_slots, uint64_t share,
                    struct quoit_failure *out_failure);

// worker_begin begins to request, until `until_ns`; latency counts from `warm_ns` on. Errors as worker_make.
int32_t worker_begin(struct worker *worker, uint64_t warm_ns, uint64_t until_ns);

// worker_is_closed waits for the last event of each port, at most until `until_ns` of the monotonic clock (UINT64_MAX: for
// ever). False when they have not come by then.
bool worker_is_closed(struct worker *worker, uint64_t until_ns);

// worker_num_ended gives the number of requests that have ended, while it works.
uint64_t worker_num_ended(struct worker *worker);

// worker_bytes_in gives the octets that were received, while it works.
uint64_t worker_bytes_in(struct worker *worker);

// worker_join waits for the last event and destroys the engine.
void worker_join(struct worker *worker);

// worker_make_requests makes and freezes one request per URL.
int32_t worker_make_requests(const struct options *options, struct quoit_request **requests);

#endif

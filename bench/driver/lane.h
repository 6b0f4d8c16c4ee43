// A closed loop on one port: so many slots, each with one request at a time, each submitted from where its last one's
// terminal event was taken.
//
// Inline, the loop's own thread does everything. With a port a thread of the lane's drains it and submits: as many
// producers as an engine has, so many lanes. Either way one thread alone touches the counts, from the first event to the
// lane's end; `num_ended` and `bytes_open` alone may be read by others meanwhile.
#ifndef QUOIT_BENCH_DRIVER_LANE_H
#define QUOIT_BENCH_DRIVER_LANE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "api/quoit.h"
#include "bench/driver/options.h"
#include "bench/load/histogram.h"

enum { LANE_ERRORS_MAX = 32 }; // kinds of errors that are told apart

struct lane_counts {
    uint64_t requests; // ended, with a response or without
    uint64_t failed;
    uint64_t bad_status; // responses of status 400 and above
    struct {
        int32_t code;
        uint64_t count;
    } errors[LANE_ERRORS_MAX];
    unsigned num_errors;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint16_t http_version; // of the last response
    uint16_t tls_version;  // likewise (enum quoit_tls_version); 0: no TLS
    uint16_t tls_cipher;
    uint64_t tls_resumed;  // requests that were the first on a connection whose session was taken up again
    struct histogram latency_ns;
};

struct lane {
    const struct options *options;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *const *requests; // the worker's
    _Atomic unsigned *num_working;         // lanes of this engine that are not through; the last one closes it
    sem_t *closed;                         // posted when the port has had its last event
    uint64_t *begun_ns;                    // of each slot's request
    uint64_t *received;                    // body of each slot's request, so far
    unsigned num_slots;
    unsigned num_in_flight;
    uint64_t num_left;  // requests to be begun; UINT64_MAX: as many as the time allows
    uint64_t warm_ns;   // latency counts for what begins after this
    uint64_t until_ns;  // begins none after this
    uint64_t num_begun;
    _Atomic uint64_t num_ended;
    _Atomic uint64_t bytes_open; // sum of `received`: the engine counts a request's octets when it ends
    struct lane_counts counts;
    pthread_t thread; // port mode
};

// lane_requests_max gives how many requests of a lane can count as pending at a time.
uint32_t lane_requests_max(unsigned num_slots);

// lane_start makes the lane's port and begins. All but the port and the counts must be set. QUOIT_OK, or why it could not.
int32_t lane_start(struct lane *lane);

// lane_join waits for the thread, if there is one, and frees what is the lane's; its last event must have come.
void lane_join(struct lane *lane);

// lane_now_ns reads the monotonic clock.
uint64_t lane_now_ns(void);

#endif

// What a run of a peer is counted by: it says when another request may begin and when the run is over, and tells what
// the run cost, as one line of JSON. One thread uses it.
#ifndef QUOIT_BENCH_PEERS_METER_H
#define QUOIT_BENCH_PEERS_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/peers/options.h"

struct peer_mark {
    uint64_t now_ns;
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t num_done;
    uint64_t bytes_in;
};

struct peer_meter {
    const struct peer_options *options;
    uint64_t num_begun;
    uint64_t num_done;
    uint64_t bytes_in;
    unsigned turns;
    bool is_counting; // the warm-up is over
    uint64_t warm_ns; // when it is
    uint64_t end_ns;
    struct peer_mark first;
    struct peer_mark last;
    const char *tls;      // what TLS is made by, or what was agreed on; NULL: nothing of it is told
    uint64_t num_resumed; // TLS sessions, if they are counted
    size_t rss_before;    // --idle
    size_t heap_before;
};

// peer_die prints `what` with the words of errno and ends the process: a peer that carries on after an error measures
// something else.
_Noreturn void peer_die(const char *what);

// peer_now_ns reads the monotonic clock.
uint64_t peer_now_ns(void);

// peer_meter_idle_begin notes the memory that is in use before the connections are.
void peer_meter_idle_begin(struct peer_meter *meter);

// peer_meter_begin starts the warm-up, or with -n the run. Call it when the connections are open.
void peer_meter_begin(struct peer_meter *meter, const struct peer_options *options);

// peer_meter_may_request says whether another request is wanted, and counts it.
bool peer_meter_may_request(struct peer_meter *meter);

// peer_meter_goes_on is called once per turn of the loop; false: the run is over.
bool peer_meter_goes_on(struct peer_meter *meter);

// peer_meter_report prints the line of JSON. `how` names the peer's variant.
void peer_meter_report(struct peer_meter *meter, const char *peer, const char *how);

// peer_meter_report_idle prints what the connections hold: the memory since peer_meter_idle_begin.
void peer_meter_report_idle(struct peer_meter *meter, const char *peer, const char *how);

#endif

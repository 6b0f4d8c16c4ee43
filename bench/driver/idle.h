// What idle connections hold in memory: a run of quoit-bench of its own.
#ifndef QUOIT_BENCH_DRIVER_IDLE_H
#define QUOIT_BENCH_DRIVER_IDLE_H

#include "bench/driver/options.h"

// idle_run opens the connections by one request each, all at once, and tells what the process holds when all have ended
// and lie in the pool, less what it held with one. For that the server must answer late enough (`?delay_ms=`) that none
// serves a second request; it fails when one did. Gives the exit code.
int idle_run(const struct options *options);

#endif

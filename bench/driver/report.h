// What came of a run of quoit-bench, as a table for people and as JSON for programs.
#ifndef QUOIT_BENCH_DRIVER_REPORT_H
#define QUOIT_BENCH_DRIVER_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/driver/worker.h"

// The sum over all workers.
struct report {
    const struct options *options;
    struct worker_counts counts;
    struct quoit_engine_info info; // numbers are sums, features and sizes the first engine's
    uint64_t cpu_ns;               // user and system, of this process
    long max_rss_kib;
};

// report_add adds a worker that has been joined.
void report_add(struct report *report, const struct worker *worker);

// report_duration_s gives the time from the first request to the last end.
double report_duration_s(const struct report *report);

void report_write_table(const struct report *report, FILE *out);
void report_write_json(const struct report *report, FILE *out);

#endif

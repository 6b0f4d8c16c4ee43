// What came of a run of quoit-bench, as a table for people and as JSON for programs.
#ifndef QUOIT_BENCH_DRIVER_REPORT_H
#define QUOIT_BENCH_DRIVER_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/driver/worker.h"

// What had been used and done at a moment.
struct report_mark {
    uint64_t now_ns;
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t requests;
    uint64_t bytes_in;
};

// The sum over all workers, and the part of the run that is told: all of it, or what lies between two marks.
struct report {
    const struct options *options;
    struct lane_counts counts;
    struct quoit_engine_info info; // numbers are sums, features and sizes the first engine's
    struct report_mark from;
    struct report_mark to;
    long max_rss_kib;
};

// report_mark notes what the process has used and the workers have done.
void report_mark(struct report_mark *out, struct worker *workers, unsigned num_workers);

// report_add adds a worker that has been joined.
void report_add(struct report *report, const struct worker *worker);

// report_whole has the report tell of the whole run, from the first request to the last end. Behind report_add.
void report_whole(struct report *report);

void report_write_table(const struct report *report, FILE *out);
void report_write_json(const struct report *report, FILE *out);

#endif

// A histogram of times: 64 steps to each power of two, so a value is kept to within 1.6 %, from 0 to 2^63 ns, in fixed
// memory.
//
// A value type with one owner at a time; its zero state is empty.
#ifndef QUOIT_BENCH_LOAD_HISTOGRAM_H
#define QUOIT_BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 64,
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 58,
};

struct histogram {
    uint64_t num;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

// histogram_add counts `value`.
void histogram_add(struct histogram *histogram, uint64_t value);

// histogram_merge adds all of `from`.
void histogram_merge(struct histogram *histogram, const struct histogram *from);

// histogram_at returns the value that `share` (0 to 1) of all values do not exceed; 0 when empty.
uint64_t histogram_at(const struct histogram *histogram, double share);

#endif

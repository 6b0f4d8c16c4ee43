#include "bench/load/histogram.h"

// index_of: values below 64 have a bucket each; above, the top 7 bits choose one.
static unsigned index_of(uint64_t value) {
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 6u;
    unsigned index = (shift + 1) * HISTOGRAM_STEPS + (unsigned)((value >> shift) - HISTOGRAM_STEPS);
    return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

// highest_of gives the highest value of a bucket.
static uint64_t highest_of(unsigned index) {
    if (index < HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(HISTOGRAM_STEPS + index % HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->num++;
    histogram->buckets[index_of(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from) {
    histogram->num += from->num;
    if (from->max > histogram->max)
        histogram->max = from->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += from->buckets[i];
}

uint64_t histogram_at(const struct histogram *histogram, double share) {
    uint64_t rank = (uint64_t)(share * (double)histogram->num + 0.5);
    uint64_t seen = 0;
    if (histogram->num == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0)
            return highest_of(i) < histogram->max ? highest_of(i) : histogram->max;
    }
    return histogram->max;
}

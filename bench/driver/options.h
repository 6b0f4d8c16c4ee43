// The command line of quoit-bench.
#ifndef QUOIT_BENCH_DRIVER_OPTIONS_H
#define QUOIT_BENCH_DRIVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    OPTIONS_URLS_MAX = 64,
    OPTIONS_ENGINES_MAX = 64,
    OPTIONS_CONNECTIONS_MAX = 65536, // of each engine; as many requests are in flight
};

struct options {
    unsigned connections; // of all engines together
    unsigned engines;
    double seconds;       // how long requests are begun; used when num_requests is 0
    uint64_t num_requests; // of all engines together
    bool is_port;          // events by ports that threads drain, else inline
    bool allows_errors;
    uint32_t capabilities_off;
    const char *json; // NULL: none; "-": standard output
    const char *urls[OPTIONS_URLS_MAX];
    unsigned num_urls;
};

extern const char k_options_usage[];

// options_parse reads argv. It gives NULL, or what is wrong in one sentence.
const char *options_parse(int argc, char **argv, struct options *out);

#endif

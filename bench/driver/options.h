// The command line of quoit-bench.
#ifndef QUOIT_BENCH_DRIVER_OPTIONS_H
#define QUOIT_BENCH_DRIVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    OPTIONS_URLS_MAX = 64,
    OPTIONS_ENGINES_MAX = 64,
    OPTIONS_PRODUCERS_MAX = 64,
    OPTIONS_CONNECTIONS_MAX = 65536, // of each engine; as many requests are in flight
};

struct quoit_tls;

struct options {
    unsigned connections; // of all engines together
    unsigned engines;
    double seconds;       // how long requests are begun; used when num_requests is 0
    double warmup_s;       // before `seconds`, not counted
    uint64_t num_requests; // of all engines together
    unsigned producers;    // of each engine, each with a port and a thread; 1 when inline
    bool is_fresh;         // a new connection for each request
    bool is_idle;          // opens the connections, and tells what they hold in memory
    bool is_port;          // events by ports that threads drain, else inline
    bool allows_errors;
    uint32_t capabilities_off;
    uint32_t spin_us;
    const char *cacert;    // PEM file of those who are trusted, for https; NULL: the system's
    uint32_t tls_version;  // alone (enum quoit_tls_version); 0: any
    bool resumes;          // TLS sessions are taken up again; else every handshake is a full one
    struct quoit_tls *tls; // made of the three by main; NULL: the engine's own
    const char *json; // NULL: none; "-": standard output
    const char *urls[OPTIONS_URLS_MAX];
    unsigned num_urls;
};

extern const char k_options_usage[];

// options_parse reads argv. It gives NULL, or what is wrong in one sentence.
const char *options_parse(int argc, char **argv, struct options *out);

// options_part gives the i-th of `parts` parts of `whole`, which differ by one at most.
uint64_t options_part(uint64_t whole, unsigned i, unsigned parts);

#endif

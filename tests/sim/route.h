// How a simulation's requests travel: plain, unless the program links the way by TLS (tls_route.c), which sets sim_route
// before main. The tests are the same then, without a word about it in most: servers get a filter between them and the
// wire, URLs another scheme, requests a configuration. Where an outcome differs, the test asks sim_route.
//
// On the way by TLS a run is still a function of its seed, ciphertext included: random bytes begin again with each kernel.
#ifndef QUOIT_TESTS_SIM_ROUTE_H
#define QUOIT_TESTS_SIM_ROUTE_H

#include "api/quoit.h"
#include "tests/support/simhttp.h"

struct sim_route {
    const char *scheme;

    // Begins with a new kernel, whose seed is given (0: in plain mode): before its servers, and before its engine.
    void (*begin)(uint64_t seed);

    // Puts a filter before a server to be; `is_moody` ones may do anything to a connection. Gives the filter's own, for
    // `close`, which frees it behind the kernel, and gives what it found wrong, or NULL.
    void *(*open)(struct q_sim *sim, bool is_moody, const struct q_sim_filter **out_filter);
    const char *(*close)(void *front);

    // The configuration of requests. The caller's hold; NULL: no memory.
    const struct quoit_tls *(*settings)(void);

    // Has the nth allocation from now on fail that is the route's and for the engine; 0: none.
    void (*fail_memory_at)(uint64_t nth);

    // Whether a request that a moody server answered may end so.
    bool (*may_fail_with)(int32_t code);
};

extern const struct sim_route *sim_route; // NULL: plain

// The functions of the route, or what is so without one.
const char *sim_route_scheme(void);
void sim_route_begin(uint64_t seed);
void *sim_route_open(struct q_sim *sim, bool is_moody, struct q_simhttp_options *options);
const char *sim_route_close(void *front);
int32_t sim_route_set(struct quoit_request *request); // what set_tls gave
void sim_route_fail_memory_at(uint64_t nth);
bool sim_route_may_fail_with(int32_t code);

#endif

#include "tests/sim/route.h"

const struct sim_route *sim_route;

const char *sim_route_scheme(void) { return sim_route == NULL ? "http" : sim_route->scheme; }

void sim_route_begin(uint64_t seed) {
    if (sim_route != NULL) {
        sim_route->begin(seed);
    }
}

void *sim_route_open(struct q_sim *sim, bool is_moody, struct q_simhttp_options *options) {
    if (sim_route == NULL) {
        return NULL;
    }
    options->filter_context = sim_route->open(sim, is_moody, &options->filter);
    return options->filter_context;
}

const char *sim_route_close(void *front) { return sim_route == NULL ? NULL : sim_route->close(front); }

int32_t sim_route_set(struct quoit_request *request) {
    if (sim_route == NULL) {
        return QUOIT_OK;
    }
    const struct quoit_tls *tls = sim_route->settings();
    int32_t code = quoit_request_set_tls(request, tls);
    quoit_tls_release((struct quoit_tls *)(uintptr_t)tls); // the request has a hold of its own
    return code;
}

void sim_route_fail_memory_at(uint64_t nth) {
    if (sim_route != NULL) {
        sim_route->fail_memory_at(nth);
    }
}

bool sim_route_may_fail_with(int32_t code) { return sim_route != NULL && sim_route->may_fail_with(code); }

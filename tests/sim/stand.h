// The stand of the cases: an engine on the simulated kernel in plain mode, driven by its host, with one inline port; a
// server, and two addresses that nobody answers at. One request at a time, and what became of it. A test ends with
// stand_tear_down, which fails when anything is left: an operation, a descriptor, a byte of memory, a fault that the
// server found.
#ifndef QUOIT_TESTS_SIM_STAND_H
#define QUOIT_TESTS_SIM_STAND_H

#include "api/quoit.h"
#include "engine/core/engine.h"
#include "tests/sim/route.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simhttp.h"
#include "tests/support/simkernel.h"

struct stand {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct q_simhttp *server;
    void *front; // what sim_route has put before it
    struct q_simhttp *more_server; // a test's own beside it, with what the test has put before that; freed with the stand
    void *more_front;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle; // of the request under way
    uint64_t heads_at_server;

    // Of the request under way.
    uint64_t tag;
    unsigned status;
    uint64_t received;
    bool is_body_right;     // it is that of the tag
    bool is_body_unchecked; // it is not the tag's
    bool has_trailers;
    uint32_t infos;
    bool has_ended;
    bool is_closed;
    struct quoit_summary summary;

    // What is answered to questions; 0: nothing.
    uint32_t answer;
    uint64_t answer_after_ms; // 0: inside the event
    uint64_t token;
    bool is_asked;
};

struct ask {
    const char *method; // NULL: GET
    unsigned port;      // 0: 80
    uint64_t body_len;
    uint64_t total_ms, connect_ms;
    const char *upgrade; // NULL: none
    bool has_no_credit;  // manual, and none at the start
    const struct quoit_request_bounds *bounds; // in place of the times here; NULL: these
    uint64_t every_ms; // each bound that is about the peer's silence
    const struct quoit_tls *tls; // in place of the route's
};

// stand_new makes one whose server has these raws; `limits` gives the engine's limits of a response, or is NULL.
struct stand *stand_new(const struct q_simhttp_raw *raws, size_t num_raws, const struct quoit_engine_options *limits);
void stand_free(struct stand *stand);

// stand_set_up and stand_tear_down are the two for cmocka: a server without raws, and no limits of the test's own.
int stand_set_up(void **state);
int stand_tear_down(void **state);

// stand_begin submits a request for a target of the server's; stand_ask also sees it to its end.
void stand_begin(struct stand *stand, struct ask how, const char *format, ...) Q_PRINTF(3, 4);
void stand_ask(struct stand *stand, struct ask how, const char *format, ...) Q_PRINTF(3, 4);

// stand_on_event is the port's. A test with a port of its own, put in `port`, drains it and gives its events to this.
void stand_on_event(void *context, const struct quoit_event *event);

// stand_expect fails the test unless the last request ended with this code; 0: DONE.
void stand_expect(struct stand *stand, int32_t code);

// stand_run_once ticks, and then lets time pass as the engine asks for it, up to `until_ns`. stand_run_until goes on
// until the flag is set, stand_run_for for so long.
void stand_run_once(struct stand *stand, uint64_t until_ns);
void stand_run_until(struct stand *stand, const bool *flag);
void stand_run_for(struct stand *stand, uint64_t ms);

#endif

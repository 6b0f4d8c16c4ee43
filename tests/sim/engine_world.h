// The world of a whole-engine simulation: an engine on the simulated kernel, driven by its host; servers that behave
// and servers that do not; a host that submits, cancels, grants, drains late, keeps slices and closes when it likes.
// Everything is drawn from one seed. Everything that the public header promises is checked as it happens.
//
// A world may be *hard* on top: servers that break a rule of HTTP each in a way of its own, a clock that jumps or stands
// still, a host that starves its engine (engine_hard.c). Without hardships nothing is drawn for them, so that a seed
// stays the world that it was.
//
// The host is strict: it ticks only when the engine's descriptor is readable, its timeout has passed, or the last tick
// asked for another; and it drains a port only when the port's descriptor is readable or the last drain was full. So
// a lost wake-up is a hang, and a hang is a failure.
#ifndef QUOIT_TESTS_SIM_ENGINE_WORLD_H
#define QUOIT_TESTS_SIM_ENGINE_WORLD_H

#include "api/quoit.h"
#include "engine/core/engine.h"
#include "tests/sim/route.h"
#include "tests/sim/seeds.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simhttp.h"
#include "tests/support/simkernel.h"

#define WORLD_REQUESTS 48
#define WORLD_PORTS 3
#define WORLD_DRAIN 8
#define WORLD_SLICES 16
#define WORLD_SLICES_HELD 200 // by a host that gives none back
#define WORLD_SERVERS 5 // the last one only where servers break rules
#define WORLD_BODY_MAX 60000
#define WORLD_HOPS_MAX 2 // that are followed; some targets have one more

enum world_kind { KIND_SIZE, KIND_CHUNKED, KIND_CLOSE, KIND_STATUS, KIND_ECHO, KIND_GARBAGE, KIND_NEVER, KINDS,
                  KIND_BREACH = KINDS };

// Where a request goes. Nothing may fail on a clean server.
enum world_origin { ORIGIN_CLEAN, ORIGIN_SLOW, ORIGIN_MOODY, ORIGIN_FAULTY, ORIGIN_REFUSES, ORIGIN_UNREACHABLE,
                    ORIGIN_BLACKHOLE, ORIGINS, ORIGIN_BREACH = ORIGINS };

// What makes a world hard; may be or-ed.
enum world_hardship { HARD_BREACHES = 1, HARD_CLOCKS = 2, HARD_STARVING = 4 };

// The bytes that servers send, mostly against the rules, and the one error that each must come to; 0: a response.
struct world_hardships {
    unsigned kinds; // enum world_hardship
    const struct q_simhttp_raw *raws;
    const int32_t *codes;
    size_t num_raws;
};

enum world_starvation { FED, NEVER_DRAINS, DRAINS_HOURLY, HOLDS_SLICES, GIVES_NO_CREDIT, STARVATIONS };

struct world_request {
    struct world *world;
    uint32_t number; // its tag too; 1 for the first
    struct quoit_handle handle;
    uint32_t port;
    enum world_kind kind;
    enum world_origin origin;
    uint64_t count;      // what the target asks for
    uint64_t body_len;   // of the request
    uint32_t num_infos;
    bool is_head_method;
    bool is_idempotent;
    bool is_faulty;      // the target asks for a fault
    bool is_early;       // the breach comes before the server has read the request
    bool has_total_timeout, has_connect_timeout;
    bool is_manual;
    bool has_all_credit;
    bool was_canceled;
    uint32_t hops;       // the target is behind so many redirects
    bool asks;           // about each of them
    bool has_answer_timeout;
    uint8_t local;       // it comes from 127.0.0.`local`; 0: from wherever
    char method[8];
    char target[256]; // for people
    char *body;
    uint32_t releases;   // of the body

    uint32_t heads_at_server;
    bool has_head, has_trailers, has_ended;
    uint64_t token;      // of its last question; 0: it was not asked any
    uint32_t questions;
    bool is_answered;    // the last question
    bool was_stopped, was_refused;
    uint32_t infos;
    uint64_t received;
    uint64_t credit;  // at its start, and what was granted: no more may be received, but for one buffer
    uint64_t held;    // of what was received: not advanced over, not released
    struct quoit_failure failure;
};

struct world_slice {
    struct quoit_slice slice;
    uint64_t tag, offset;
};

struct world_port {
    struct world *world;
    struct quoit_port handle;
    bool is_inline;
    bool is_closed;   // CLOSED was seen
    bool must_drain;  // the last drain was full, or there was none yet
    bool is_lazy;     // the host does not drain for the time being
    uint64_t drain_at_ns; // and not before this
    struct quoit_event drained[WORLD_DRAIN]; // drained and not advanced over
    int32_t num_drained;
    uint64_t reservable, data_room; // of its event ring, when it was new
};

struct world {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct q_simhttp *servers[WORLD_SERVERS];
    void *fronts[WORLD_SERVERS]; // what sim_route has put before them
    struct quoit_engine engine;
    bool is_open;      // the engine exists
    bool is_closing;   // quoit_engine_close was called
    bool is_settling;  // the host behaves, and everything must come to an end
    bool ticks_again;  // the last tick asked for another
    bool has_memory_faults; // allocations fail now and then
    bool has_kernel_faults; // operations fail now and then
    uint64_t tick_at_ns;
    struct world_port ports[WORLD_PORTS];
    uint32_t num_ports;
    struct world_request requests[WORLD_REQUESTS];
    uint32_t num_requests; // accepted
    uint32_t max_requests;
    struct world_slice slices[WORLD_SLICES_HELD];
    uint32_t num_slices;
    uint32_t waiters_max;
    struct world_hardships hard;
    enum world_starvation starvation;
    bool is_clock_held;
    uint64_t jumps;
    bool closed_early;
    uint64_t ticks;
    uint64_t done, failed;
    uint32_t failed_by_code[1000];
};

#define WORLD_CHECK(condition, ...) Q_SEEDS_CHECK(condition, __VA_ARGS__)

// engine_world.c: making and driving.
struct world *world_new(uint64_t seed, const struct world_hardships *hard); // NULL: none
void world_free(struct world *world);            // checks that nothing is left
bool world_create_engine(struct world *world);   // false: create failed, as it may under failing memory
void world_destroy_engine(struct world *world);
void world_step(struct world *world);            // what is due: ticks, drains; else lets time pass
void world_check_rest(struct world *world);      // nothing is pending: every slot, buffer and reservation is back
uint64_t world_pick(struct world *world, uint64_t bound);
bool world_chance(struct world *world, unsigned percent);
bool world_engine_wants_tick(struct world *world);

// engine_life.c: from its making to its end; then `note` may look at it, and it is freed.
void world_live(uint64_t seed, const struct world_hardships *hard, void (*note)(struct world *world));

// engine_hard.c: what makes it hard. Nothing is drawn where it is not.
void hard_begin(struct world *world);
void hard_act(struct world *world);
void hard_settle(struct world *world);           // clocks go on; the host goes on starving until it behaves
bool hard_is(const struct world *world, enum world_hardship hardship);
bool hard_lets_drain(const struct world_port *port);
uint32_t hard_drain_max(const struct world_port *port, uint32_t wanted);
void hard_drained(struct world_port *port);
uint64_t hard_sleep_ns(struct world *world, uint64_t wanted_ns);
bool hard_draws_breach(struct world_request *request);
void hard_add_trouble(struct world_request *request, char *target, size_t size); // to a breach's target
bool hard_is_breach(const struct world_request *request); // what comes is the breach, and no redirect before it
bool hard_may_fail_with(const struct world_request *request, int32_t code);
bool hard_may_be_done(const struct world_request *request);
void hard_starve_to_the_end(struct world *world); // closes, and only then

// engine_host.c: what the host does, and what it checks.
void world_submit(struct world *world);
void world_act(struct world *world);             // one random thing
void world_take_events(struct world_port *port); // drain, and maybe advance
void world_advance(struct world_port *port);
void world_on_event(void *context, const struct quoit_event *event);
void world_release_slice(struct world *world, uint32_t index);
void world_close(struct world *world, uint64_t drain_ms);
uint32_t world_pending(const struct world *world);
void world_describe(struct world *world);        // what is pending, to stderr
void world_check_end(struct world *world);       // after the engine is gone

#endif

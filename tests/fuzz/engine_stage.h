// The stage of the engine's fuzz target: one engine, host-driven, on the simulated kernel below the ledger; two ports,
// one inline and one drained; places where peers listen. The script (engine_fuzz.c) says what happens; the host here is
// strict: it ticks only when the engine's descriptor is readable, its timeout has passed or the last tick asked for
// another, and drains only what it was told of. So a lost wake-up is a hang, and a hang stops the process.
//
// engine_stage.c makes, drives and ends; engine_peer.c reads what the peers get; engine_events.c reads what the host
// gets. What happened is folded into `trace`: two runs of one input have the same.
#ifndef QUOIT_TESTS_FUZZ_ENGINE_STAGE_H
#define QUOIT_TESTS_FUZZ_ENGINE_STAGE_H

#include "api/quoit.h"
#include "engine/core/engine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#define STAGE_REQUESTS 24
#define STAGE_CONNS 48
#define STAGE_DRAIN 4
#define STAGE_SLICES 4
#define STAGE_HEAD_MAX 4096
#define STAGE_BODY_MAX 10240
#define STAGE_SECRET "Basic c1JjM3Q6dzByRDU=" // of the credentials in a URL; they belong to PLACE_PLAIN alone

enum stage_place {
    PLACE_PLAIN,
    PLACE_NARROW,  // small buffers both ways: sends are cut
    PLACE_REFUSES, // nobody listens
    PLACE_BLACKHOLE,
    PLACE_SLOW, // to accept
    PLACE_OTHER,
    PLACE_IPV6,
    PLACE_NO_NAME,
    PLACES,
};

struct stage_request {
    struct stage *stage;
    uint32_t number; // its user_data, and a field of its head; 1 for the first
    uint32_t port;
    struct quoit_handle handle;
    bool is_head_method, is_idempotent, wants_upgrade, is_manual, has_bounds;
    uint32_t redirects_max;
    uint64_t credit, body_max, due_ns;
    char body[STAGE_BODY_MAX];
    size_t body_len;
    bool has_body;
    uint32_t releases; // of the body

    uint32_t heads_at_peers;
    bool was_canceled, was_refused, was_stopped, is_answered, is_full;
    bool has_head, is_upgraded, has_trailers, has_ended;
    uint64_t token; // of its last question
    uint32_t questions;
    uint64_t promised; // bytes of the body, by its head; UINT64_MAX: it does not say
    uint64_t received, held;
};

struct stage_port {
    struct stage *stage;
    struct quoit_port handle;
    bool is_inline, is_closed, must_drain, is_lazy;
    struct quoit_event drained[STAGE_DRAIN];
    uint64_t sums[STAGE_DRAIN]; // of what the events point at
    int32_t num_drained;
    uint64_t reservable, data_room; // of its ring, when it was new
};

struct stage_slice {
    struct quoit_slice slice;
    uint32_t number; // of the request
    uint64_t sum;
};

// One connection, as its peer sees it.
struct stage_conn {
    struct stage *stage;
    struct q_sim_conn *conn;
    enum stage_place place;
    char head[STAGE_HEAD_MAX];
    size_t head_len;
    uint64_t body_left;
    bool is_unread; // what follows is not looked into: another protocol, or too long
};

struct stage_config {
    uint8_t seed;    // 0: the plain mode of the simulation
    uint8_t kernel;  // what it can do
    uint8_t limits;  // of the engine
    uint8_t parser;  // bounds of the reader
    uint8_t create;  // allocation that fails in create
    bool is_fair;    // each request is let come to its own end
};

struct stage {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *memory;
    struct quoit_allocator allocator;
    struct quoit_engine engine;
    struct stage_config config;
    struct stage_port ports[2];
    struct stage_request requests[STAGE_REQUESTS];
    uint32_t num_requests;
    struct stage_conn conns[STAGE_CONNS];
    uint32_t num_conns;
    struct stage_slice slices[STAGE_SLICES];
    uint32_t num_slices;
    struct quoit_slice greetings[PLACES]; // what peers send when they are connected to (data and len alone)
    struct quoit_slice replies[PLACES];   // and behind each request's head
    uint64_t tick_at_ns, peers_sent, trace;
    uint32_t num_feeds; // lent and not come back
    uint8_t reaction;   // what the host does inside the next event; 0: nothing
    bool ticks_again, is_closing, is_settling, has_memory_faults, has_kernel_faults;
};

// engine_stage.c
bool stage_open(struct stage *stage, const struct stage_config *config); // false: create failed, as it was made to
void stage_run_for(struct stage *stage, uint64_t ns);
void stage_close(struct stage *stage, uint64_t drain_ms);
void stage_advance(struct stage_port *port);
void stage_release_slice(struct stage *stage, uint32_t index);
void stage_end(struct stage *stage); // settles, closes, destroys, and looks for what is left
void stage_note(struct stage *stage, uint64_t what);
uint64_t stage_sum(const void *data, size_t len);

// engine_peer.c
extern const struct q_sim_peer k_stage_peer;
void stage_peer_send(struct stage *stage, struct q_sim_conn *conn, const void *data, size_t len);

// engine_events.c
void stage_on_event(void *context, const struct quoit_event *event);
void stage_check_event(struct stage_port *port, const struct quoit_event *event);
bool stage_take(struct stage_port *port, const struct quoit_event *event);
void stage_give_back(struct stage_port *port, const struct quoit_event *event);

// engine_fuzz.c
void stage_react(struct stage *stage, struct stage_request *request, uint8_t reaction);

#endif

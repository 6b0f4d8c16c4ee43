// Request slot: what a submit fills and the loop lives in. Slots are type-stable and named by {index, generation}; a
// host reaches one only through its state word (queue/slotword.h).
//
// Fields by who may touch them: the word and the commands by any thread, under their protocols; what the submitter
// fills, until the push; the rest by the loop alone.
#ifndef QUOIT_ENGINE_CORE_REQUEST_H
#define QUOIT_ENGINE_CORE_REQUEST_H

#include "engine/exchange/exchange.h"
#include "engine/queue/slotfree.h"
#include "engine/queue/slotword.h"

struct q_engine;
struct q_port;

struct q_request {
    // Any thread.
    struct q_slotword word;
    struct q_command submit;
    struct q_command cancel;
    struct q_command credit;

    // The submitter until the push, then the loop.
    struct q_port *port;
    struct q_spec *spec;
    uint64_t user_data;
    uint32_t index;
    uint32_t generation;

    // The loop.
    struct q_engine *engine;
    struct q_list_node link;         // live, then dead requests
    struct q_list_node refused_link; // in its port's list while an event waits for room
    struct q_chunk *chunk;           // small pieces of the body are gathered here; one hold
    uint64_t body_offset;
    bool is_started;
    bool is_canceled_early; // a cancel overtook the submit
    bool has_head;          // its reserved slot for the head is used
    struct q_exchange exchange;
};

static inline struct q_request *q_request_of(struct q_exchange *exchange) {
    return q_container_of(exchange, struct q_request, exchange);
}

static inline struct quoit_handle q_request_handle(const struct q_request *request) {
    return (struct quoit_handle){.id = ((uint64_t)request->generation << 32) | request->index};
}

#endif

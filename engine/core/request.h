// Request slot: what a submit fills and the loop lives in. Slots are type-stable and named by {index, generation}; a
// host reaches one only through its state word (queue/slotword.h).
//
// Names. A host's handle is {generation:32, unused:2, engine's place in the table:10, index:20}, so that no two engines
// that live at a time give out the same one; and an engine begins with a generation that no engine in its place before it
// had come to (core/table.h). A token for a question is {generation:44, index:20}, and generations of questions begin
// apart in the same way.
//
// Fields by who may touch them: the word and the commands by any thread, under their protocols; what the submitter
// fills, until the push; the rest by the loop alone.
#ifndef QUOIT_ENGINE_CORE_REQUEST_H
#define QUOIT_ENGINE_CORE_REQUEST_H

#include "api/quoit.h"
#include "engine/exchange/exchange.h"
#include "engine/queue/askword.h"
#include "engine/queue/feedword.h"
#include "engine/queue/slotfree.h"
#include "engine/queue/slotword.h"

struct q_engine;
struct q_port;

// What comes with an answer besides its word: the bytes of a signature, in memory of their own.
struct q_answered {
    char *bytes; // NULL: none
    size_t len;
};

struct q_request {
    // Any thread.
    struct q_slotword word;
    struct q_command submit;
    struct q_command cancel;
    struct q_command credit;
    struct q_askword ask; // the question that stands
    struct q_command answer;
    struct q_answered answered; // with the answer; whose the slot's pin is, then the loop's
    struct q_feedword feeds;

    // The submitter until the push, then the loop.
    struct q_port *port;
    struct q_spec *spec;
    uint64_t user_data;
    uint32_t index;
    uint32_t generation;
    uint32_t name; // the lower half of its handle

    // The loop.
    struct q_engine *engine;
    struct q_list_node link;         // live, then dead requests
    struct q_list_node refused_link; // in its port's list while an event waits for room, or in the engine's for memory
    struct q_chunk *chunk;           // small pieces of the body are gathered here; one hold
    uint64_t body_offset;
    bool is_started;
    bool is_canceled_early; // a cancel overtook the submit
    bool has_head;          // its reserved slot for the head is used
    struct q_exchange exchange;

    // Read by any thread, under the word's protection: see exchange/watch.h.
    struct q_watch watch;
};

#define Q_REQUEST_INDEX_BITS 20
#define Q_REQUEST_INDEX_MASK ((UINT32_C(1) << Q_REQUEST_INDEX_BITS) - 1)

// All request slots of an engine; a slot is found by the index in a handle, and its word decides about the rest.
struct q_requests {
    struct q_request *slots;
    uint32_t count;
    uint32_t place;            // the engine's, in the table of engines
    uint32_t first_generation; // of each slot
    uint64_t first_question;   // likewise, of its questions
};

// q_requests_name gives the lower half of the handles of slot `index`.
static inline uint32_t q_requests_name(const struct q_requests *requests, uint32_t index) {
    return requests->place << Q_REQUEST_INDEX_BITS | index;
}

// q_requests_find gives the slot that a handle points at, live or not, and the generation that the handle wants; NULL
// when there is no such slot. Any thread.
static inline struct q_request *q_requests_find(const struct q_requests *requests, struct quoit_handle handle,
                                                uint32_t *out_generation) {
    uint32_t name = (uint32_t)handle.id;
    uint32_t index = name & Q_REQUEST_INDEX_MASK;
    *out_generation = (uint32_t)(handle.id >> 32);
    return index < requests->count && name == q_requests_name(requests, index) ? &requests->slots[index] : NULL;
}

static inline struct q_request *q_request_of(struct q_exchange *exchange) {
    return q_container_of(exchange, struct q_request, exchange);
}

static inline struct quoit_handle q_request_handle(const struct q_request *request) {
    return (struct quoit_handle){.id = ((uint64_t)request->generation << 32) | request->name};
}

#endif

// Questions to the host: how they are asked, answered from any thread, and taken back. The word that decides about an
// answer is queue/askword.h's; here it meets the request slot, the port and the exchange.
#include "engine/core/engine.h"
#include "engine/core/options.h"

#define INDEX_BITS (64 - Q_ASKWORD_GENERATION_BITS) // of a token: see request.h
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)

_Static_assert(Q_OPTIONS_REQUESTS_MAX <= INDEX_MASK + 1, "a token's index names every slot");

static uint64_t open_question(struct q_engine *engine, struct q_request *request) {
    uint64_t first = engine->port_env.requests.first_question;
    uint64_t generation = q_askword_open(&request->ask, first);
    uint64_t questions = generation - first + 1;
    engine->questions_used = questions > engine->questions_used ? questions : engine->questions_used;
    return generation << INDEX_BITS | request->index;
}

bool q_engine_ask(struct q_exchange *exchange, uint16_t status, struct q_spec *next, uint32_t hop) {
    struct q_request *request = q_request_of(exchange);
    struct q_port_entry *entry = q_port_produce(request->port, request, QUOIT_EVENT_QUESTION, false);
    if (entry == NULL) {
        q_port_refuse(request->port, request);
        return false;
    }
    entry->event.u.question = (struct quoit_question){
        .kind = QUOIT_QUESTION_REDIRECT,
        .status = status,
        .token = open_question(request->engine, request),
        .url = next->url.href.ptr,
        .url_len = next->url.href.len,
        .method = next->method.ptr,
        .method_len = next->method.len,
        .hop = hop,
    };
    entry->spec = q_spec_acquire(next); // the event points into it, however the question ends
    return true;
}

int32_t q_engine_answer(struct q_engine *engine, uint64_t token, uint32_t answer) {
    if (answer < QUOIT_ANSWER_YES || answer > QUOIT_ANSWER_REFUSE) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    uint64_t index = token & INDEX_MASK;
    if (index >= engine->port_env.requests.count) {
        return Q_ERR_STALE_HANDLE;
    }
    struct q_request *request = &engine->port_env.requests.slots[index];
    enum q_ask_result result = q_askword_try_answer(&request->ask, token >> INDEX_BITS, answer);
    if (result == Q_ASK_PUSH) {
        q_engine_push(engine, &request->answer);
    }
    return result == Q_ASK_STALE ? Q_ERR_STALE_HANDLE : 0;
}

void q_engine_run_answer(struct q_engine *engine, struct q_command *command) {
    (void)engine;
    struct q_request *request = q_container_of(command, struct q_request, answer);
    // Pinned, the slot still has the tenant that asked; if that has ended meanwhile, nobody waits for the answer.
    unsigned answer = q_askword_take(&request->ask);
    q_exchange_answer(&request->exchange, (enum q_exchange_answer)answer);
}

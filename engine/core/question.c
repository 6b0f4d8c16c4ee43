// Questions to the host: how they are asked, answered from any thread, and taken back. The word that decides about an
// answer is queue/askword.h's; here it meets the request slot, the port and the exchange.
#include "engine/core/engine.h"
#include "engine/core/options.h"

#define INDEX_BITS (64 - Q_ASKWORD_GENERATION_BITS) // of a token: see request.h
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)

_Static_assert(Q_OPTIONS_REQUESTS_MAX <= INDEX_MASK + 1, "a token's index names every slot");

// Kinds of the ask word, and which of them an answer suits. To sign is a yes with a signature, and has a call of its own.
enum { KIND_REDIRECT, KIND_VERIFY, KIND_SIGN };

#define BIT(kind) (1u << (kind))

static const unsigned k_kinds_of_answer[] = {
    [QUOIT_ANSWER_YES] = BIT(KIND_REDIRECT) | BIT(KIND_VERIFY),
    [QUOIT_ANSWER_STOP] = BIT(KIND_REDIRECT),
    [QUOIT_ANSWER_REFUSE] = BIT(KIND_REDIRECT) | BIT(KIND_VERIFY) | BIT(KIND_SIGN),
};

// --- asking ----------------------------------------------------------------------------------------------------------

static uint64_t open_question(struct q_engine *engine, struct q_request *request, unsigned kind) {
    uint64_t first = engine->port_env.requests.first_question;
    uint64_t generation = q_askword_open(&request->ask, first, kind);
    uint64_t questions = generation - first + 1;
    engine->questions_used = questions > engine->questions_used ? questions : engine->questions_used;
    return generation << INDEX_BITS | request->index;
}

// An event for a question. NULL: not now.
static struct q_port_entry *produce(struct q_request *request) {
    if (q_askword_is_pinned(&request->ask)) {
        return NULL; // an answer to one that was taken back; q_engine_run_answer has it asked again
    }
    struct q_port_entry *entry = q_port_produce(request->port, request, QUOIT_EVENT_QUESTION, false);
    if (entry == NULL) {
        q_port_refuse(request->port, request);
    }
    return entry;
}

bool q_engine_ask(struct q_exchange *exchange, uint16_t status, struct q_spec *next, uint32_t hop) {
    struct q_request *request = q_request_of(exchange);
    struct q_port_entry *entry = produce(request);
    if (entry == NULL) {
        return false;
    }
    entry->event.u.question = (struct quoit_question){
        .kind = QUOIT_QUESTION_REDIRECT,
        .status = status,
        .token = open_question(request->engine, request, KIND_REDIRECT),
        .url = next->url.href.ptr,
        .url_len = next->url.href.len,
        .method = next->method.ptr,
        .method_len = next->method.len,
        .hop = hop,
    };
    entry->spec = q_spec_acquire(next); // the event points into it, however the question ends
    return true;
}

_Static_assert(sizeof(struct quoit_der) == sizeof(struct q_slice) &&
                   offsetof(struct quoit_der, data) == offsetof(struct q_slice, ptr) &&
                   offsetof(struct quoit_der, len) == offsetof(struct q_slice, len),
               "hosts read slices of ours as pieces of DER");

bool q_engine_ask_connection(struct q_exchange *exchange, struct q_tls_dossier *dossier) {
    struct q_request *request = q_request_of(exchange);
    struct q_port_entry *entry = produce(request);
    if (entry == NULL) {
        return false;
    }
    bool is_sign = dossier->kind == Q_TLS_ASK_SIGN;
    entry->event.u.question = (struct quoit_question){
        .kind = is_sign ? QUOIT_QUESTION_TLS_SIGN : QUOIT_QUESTION_TLS_VERIFY,
        .token = open_question(request->engine, request, is_sign ? KIND_SIGN : KIND_VERIFY),
        .context = dossier->point.context,
        .host = dossier->host.ptr,
        .host_len = dossier->host.len,
        .verify_name = dossier->verify_name.ptr,
        .verify_name_len = dossier->verify_name.len,
        .certificates = {.list = (const struct quoit_der *)(const void *)dossier->certificates,
                         .count = dossier->num_certificates},
        .staple = {.data = dossier->staple.ptr, .len = dossier->staple.len},
        .message = dossier->message.ptr,
        .message_len = dossier->message.len,
        .verdict = dossier->verdict.code,
        .port = dossier->port,
        .algorithm = dossier->algorithm,
    };
    entry->dossier = q_tls_dossier_acquire(dossier); // the event points into it, whatever becomes of the connection
    return true;
}

void q_engine_unask(struct q_exchange *exchange) { q_askword_withdraw(&q_request_of(exchange)->ask); }

// --- answers ---------------------------------------------------------------------------------------------------------

static struct q_request *asked_by(struct q_engine *engine, uint64_t token) {
    uint64_t index = token & INDEX_MASK;
    return index < engine->port_env.requests.count ? &engine->port_env.requests.slots[index] : NULL;
}

static int32_t code_of(enum q_ask_result result) {
    switch (result) {
    case Q_ASK_PUSH:
    case Q_ASK_ALREADY: return 0;
    case Q_ASK_UNSUITED: return Q_ERR_INVALID_ARGUMENT;
    case Q_ASK_STALE: break;
    }
    return Q_ERR_STALE_HANDLE;
}

int32_t q_engine_answer(struct q_engine *engine, uint64_t token, uint32_t answer) {
    if (answer < QUOIT_ANSWER_YES || answer > QUOIT_ANSWER_REFUSE) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct q_request *request = asked_by(engine, token);
    if (request == NULL) {
        return Q_ERR_STALE_HANDLE;
    }
    enum q_ask_result result =
        q_askword_try_answer(&request->ask, token >> INDEX_BITS, answer, k_kinds_of_answer[answer]);
    if (result == Q_ASK_PUSH) {
        q_engine_push(engine, &request->answer);
    }
    return code_of(result);
}

int32_t q_engine_answer_signature(struct q_engine *engine, uint64_t token, struct q_slice signature) {
    struct q_request *request = asked_by(engine, token);
    if (request == NULL) {
        return Q_ERR_STALE_HANDLE;
    }
    char *bytes = q_alloc_copy(&engine->alloc, signature.ptr, signature.len);
    if (bytes == NULL) {
        return Q_ERR_NO_MEMORY;
    }
    enum q_ask_result result =
        q_askword_try_answer(&request->ask, token >> INDEX_BITS, QUOIT_ANSWER_YES, BIT(KIND_SIGN));
    if (result == Q_ASK_PUSH) {
        request->answered = (struct q_answered){.bytes = bytes, .len = signature.len}; // the pin's, and so ours until the push
        q_engine_push(engine, &request->answer);
    } else {
        q_alloc_free(&engine->alloc, bytes, signature.len + 1);
    }
    return code_of(result);
}

// What came with an answer, out of its slot. Before the slot's pin is taken off.
static struct q_answered take_answered(struct q_request *request) {
    struct q_answered answered = request->answered;
    request->answered = (struct q_answered){0};
    return answered;
}

static void free_answered(struct q_engine *engine, const struct q_answered *answered) {
    q_alloc_free(&engine->alloc, answered->bytes, answered->len + 1);
}

void q_engine_run_answer(struct q_engine *engine, struct q_command *command) {
    struct q_request *request = q_container_of(command, struct q_request, answer);
    struct q_exchange *exchange = &request->exchange;
    struct q_answered answered = take_answered(request);
    // Pinned, the slot still has the tenant that asked, and no question but that one stands; if it was taken back, or its
    // tenant has ended meanwhile, nobody waits for the answer.
    unsigned answer = q_askword_take(&request->ask);
    if (exchange->state == Q_X_VOUCHING) {
        q_exchange_answer_connection(exchange, answer == QUOIT_ANSWER_YES, q_slice_make(answered.bytes, answered.len));
    } else if (exchange->state == Q_X_ASKING) {
        q_exchange_answer(exchange, (enum q_exchange_answer)answer);
    } else if (exchange->state != Q_X_ENDED) {
        q_exchange_resume(exchange); // what it wants to ask by now had to wait for this one
    }
    free_answered(engine, &answered);
}

void q_engine_drop_answer(struct q_engine *engine, struct q_command *command) {
    struct q_answered answered = take_answered(q_container_of(command, struct q_request, answer));
    free_answered(engine, &answered);
}

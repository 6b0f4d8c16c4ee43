#include "engine/base/hook.h"
#include "engine/conn/feed.h"
#include "engine/face/calls.h"

static int32_t code_of(enum q_feed_result result, const struct q_request *request, uint32_t generation) {
    switch (result) {
    case Q_FEED_TAKEN: return 0;
    case Q_FEED_FULL: return Q_ERR_FEED_FULL;
    case Q_FEED_TOO_LARGE: return Q_ERR_INVALID_ARGUMENT;
    case Q_FEED_FINISHED: return Q_ERR_FROZEN;
    case Q_FEED_SHUT: return Q_ERR_STALE_HANDLE;
    case Q_FEED_UNOPENED: break;
    }
    return q_slotword_is_live(&request->word, generation) ? Q_ERR_NOT_UPGRADED : Q_ERR_STALE_HANDLE;
}

// What is to be sent: `data` NULL is the end of our direction.
struct piece {
    const void *data;
    size_t len;
    quoit_release_fn release;
    void *context;
};

static struct q_feed *make_feed(struct q_engine *engine, const struct q_request *request, uint32_t generation,
                                const struct piece *piece) {
    uint32_t index = (uint32_t)(request - engine->port_env.requests.slots);
    struct q_handle name = {.index = index, .generation = generation};
    return q_feed_new(&engine->alloc, name, piece->data, piece->len, piece->release, piece->context);
}

static int32_t feed(struct q_engine *engine, struct q_request *request, uint32_t generation,
                    const struct piece *piece) {
    uint64_t bytes = q_feed_bytes(piece->len);
    enum q_feed_result result = q_feedword_ask(&request->feeds, generation, bytes);
    if (result != Q_FEED_TAKEN) {
        return code_of(result, request, generation);
    }
    struct q_feed *made = make_feed(engine, request, generation, piece);
    if (made == NULL) {
        return Q_ERR_NO_MEMORY;
    }
    result = q_feedword_add(&request->feeds, generation, bytes);
    if (result != Q_FEED_TAKEN) {
        q_feed_free(made);
        return code_of(result, request, generation);
    }
    Q_HOOK("face.feed.before_push");
    q_engine_push(engine, &made->command);
    return 0;
}

static int32_t feed_end(struct q_engine *engine, struct q_request *request, uint32_t generation) {
    static const struct piece k_end = {0};
    struct q_feed *made = make_feed(engine, request, generation, &k_end);
    if (made == NULL) {
        return Q_ERR_NO_MEMORY;
    }
    enum q_feed_result result = q_feedword_finish(&request->feeds, generation);
    if (result == Q_FEED_TAKEN) {
        q_engine_push(engine, &made->command);
        return 0;
    }
    q_feed_free(made);
    return result == Q_FEED_FINISHED ? 0 : code_of(result, request, generation);
}

int32_t quoit_feed(struct quoit_engine handle, struct quoit_handle request_handle, const void *data, size_t len,
                   quoit_release_fn release, void *context) {
    if (data == NULL || len == 0) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    int32_t code;
    uint32_t generation;
    struct q_engine *engine;
    struct q_request *request = q_call_enter_slot(handle, request_handle, &engine, &generation, &code);
    if (request == NULL) {
        return code;
    }
    struct piece piece = {.data = data, .len = len, .release = release, .context = context};
    code = feed(engine, request, generation, &piece);
    q_table_leave(engine->entry);
    return code;
}

int32_t quoit_feed_end(struct quoit_engine handle, struct quoit_handle request_handle) {
    int32_t code;
    uint32_t generation;
    struct q_engine *engine;
    struct q_request *request = q_call_enter_slot(handle, request_handle, &engine, &generation, &code);
    if (request == NULL) {
        return code;
    }
    code = feed_end(engine, request, generation);
    q_table_leave(engine->entry);
    return code;
}

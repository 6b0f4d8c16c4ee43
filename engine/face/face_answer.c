#include "engine/face/calls.h"

int32_t quoit_answer(struct quoit_engine handle, uint64_t token, uint32_t answer) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return code;
    }
    code = q_engine_answer(engine, token, answer);
    q_table_leave(engine->entry);
    return code;
}

int32_t quoit_answer_signature(struct quoit_engine handle, uint64_t token, const void *signature, size_t len) {
    int32_t code;
    struct q_engine *engine = q_table_enter(handle, &code);
    if (engine == NULL) {
        return code;
    }
    code = Q_ERR_INVALID_ARGUMENT;
    if (signature != NULL && len > 0 && len <= Q_TLS_SIGNATURE_MAX) {
        code = q_engine_answer_signature(engine, token, q_slice_make(signature, len));
    }
    q_table_leave(engine->entry);
    return code;
}

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

#include "engine/conn/dials.h"

struct q_chunk *q_dials_make(struct q_chunk_pool *pool, const struct q_conn *conn) {
    struct q_try none;
    if (pool->capacity < sizeof(struct q_dials) + sizeof none || q_conn_tell_dial(conn, &none, 1) == 0) {
        return NULL;
    }
    struct q_chunk *chunk = q_chunk_take(pool, Q_CHUNK_FOR_HOST);
    if (chunk != NULL) {
        struct q_dials *dials = (struct q_dials *)(void *)chunk->data;
        size_t room = (pool->capacity - sizeof *dials) / sizeof dials->tries[0];
        dials->count = q_conn_tell_dial(conn, dials->tries, (uint32_t)room);
    }
    return chunk;
}

const struct q_dials *q_dials_of(const struct q_chunk *chunk) {
    return chunk == NULL ? NULL : (const struct q_dials *)(const void *)chunk->data;
}

// Dials: the addresses that a connect which failed has tried, for the request's terminal event to tell. They lie in a chunk,
// so that they are counted with all that hosts may keep. Nothing of it changes once it is made.
// Loop thread makes, any thread reads.
#ifndef QUOIT_ENGINE_CONN_DIALS_H
#define QUOIT_ENGINE_CONN_DIALS_H

#include "engine/buf/chunk.h"
#include "engine/conn/conn.h"

struct q_dials {
    uint32_t count;
    struct q_try tries[];
};

// q_dials_make writes down what `conn`, which connects or has just failed to, has tried, in a chunk of `pool`, with one hold,
// the caller's. What has no room is left out. NULL: nothing was tried, or there is no memory.
struct q_chunk *q_dials_make(struct q_chunk_pool *pool, const struct q_conn *conn);

// q_dials_drop drops a hold on such a chunk; of NULL it does nothing.
static inline void q_dials_drop(struct q_chunk *chunk) {
    if (chunk != NULL) {
        q_chunk_release(chunk);
    }
}

// q_dials_of gives what lies in such a chunk; NULL for NULL.
const struct q_dials *q_dials_of(const struct q_chunk *chunk);

#endif

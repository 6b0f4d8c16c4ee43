#include "engine/core/rotation.h"

#include "engine/tls/interned.h"

struct q_rotation *q_rotation_new(const struct q_alloc *alloc, struct q_handle tls) {
    struct q_rotation *rotation = q_alloc_new(alloc, sizeof *rotation);
    if (rotation != NULL) {
        q_tls_hold(tls);
        *rotation = (struct q_rotation){.command = {.kind = Q_COMMAND_ROTATION}, .alloc = alloc, .tls = tls};
    }
    return rotation;
}

void q_rotation_free(struct q_rotation *rotation) {
    q_tls_let_go(rotation->tls);
    q_alloc_free(rotation->alloc, rotation, sizeof *rotation);
}

void q_rotation_run(const struct q_rotation *rotation, struct q_pool *pool, struct q_tls_client *client) {
    q_tls_client_invalidate(client, rotation->tls); // first: what the pool makes anew is made with what is new
    q_pool_retire(pool, rotation->tls);
}

// Rotation: what was made with a TLS configuration, or with any, is not used any more for anything that begins from now on:
// certificates have been renewed or revoked, or a host wants every server looked at anew. Connections that nobody uses end,
// those in use serve nobody else, those being made begin again, contexts are built anew and sessions are forgotten. Nothing
// that is running is touched.
//
// A command with memory of its own, made by any thread, and ended by the loop or by destroy.
#ifndef QUOIT_ENGINE_CORE_ROTATION_H
#define QUOIT_ENGINE_CORE_ROTATION_H

#include "engine/conn/pool.h"
#include "engine/queue/command.h"

struct q_rotation {
    struct q_command command; // kind Q_COMMAND_ROTATION
    const struct q_alloc *alloc;
    struct q_handle tls; // one hold; none: all
};

// q_rotation_new makes one about `tls`, of which it takes a hold; the zero handle: about all. NULL: out of memory. Any thread.
Q_MUST_USE struct q_rotation *q_rotation_new(const struct q_alloc *alloc, struct q_handle tls);

// q_rotation_free ends one that was or was not run. Any thread that has it.
void q_rotation_free(struct q_rotation *rotation);

// q_rotation_run does what it is for. Loop thread.
void q_rotation_run(const struct q_rotation *rotation, struct q_pool *pool, struct q_tls_client *client);

#endif

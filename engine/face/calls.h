// What the entry points share: from handles to objects and back, with the caller inside the engine meanwhile.
// Any thread.
#ifndef QUOIT_ENGINE_FACE_CALLS_H
#define QUOIT_ENGINE_FACE_CALLS_H

#include "engine/core/engine.h"

// A port's handle: {engine generation:24.., port index:16, engine index + 1:16} laid out so that the engine's handle
// can be cut out of it.
static inline struct quoit_port q_call_port_handle(struct quoit_engine engine, uint32_t index) {
    return (struct quoit_port){.id = ((engine.id >> 16) << 32) | ((uint64_t)index << 16) | (engine.id & 0xffff)};
}

static inline struct quoit_engine q_call_engine_of_port(struct quoit_port port) {
    return (struct quoit_engine){.id = ((port.id >> 32) << 16) | (port.id & 0xffff)};
}

static inline uint32_t q_call_port_index(struct quoit_port port) { return (uint32_t)(port.id >> 16) & 0xffff; }

// q_call_failure_of gives an error as hosts see it.
static inline struct quoit_failure q_call_failure_of(struct q_error error) {
    return (struct quoit_failure){.code = error.code,
                                  .os_errno = error.os_errno,
                                  .phase = error.phase,
                                  .retry_safe = error.retry_safe,
                                  .alert = error.alert};
}

// q_call_enter_port makes the caller a user of the port's engine and gives the port; NULL with a code otherwise.
static inline struct q_port *q_call_enter_port(struct quoit_port handle, int32_t *out_code) {
    struct q_engine *engine = q_table_enter(q_call_engine_of_port(handle), out_code);
    if (engine == NULL) {
        return NULL;
    }
    struct q_port *port = q_engine_port_at(engine, q_call_port_index(handle));
    if (port == NULL) {
        *out_code = Q_ERR_STALE_HANDLE;
        q_table_leave(engine->entry);
    }
    return port;
}

// q_call_enter_slot makes the caller a user of the engine and gives the slot that a request's handle points at; NULL
// with a code otherwise.
static inline struct q_request *q_call_enter_slot(struct quoit_engine handle, struct quoit_handle request_handle,
                                                  struct q_engine **out_engine, uint32_t *out_generation,
                                                  int32_t *out_code) {
    struct q_engine *engine = q_table_enter(handle, out_code);
    if (engine == NULL) {
        return NULL;
    }
    struct q_request *request = q_requests_find(&engine->port_env.requests, request_handle, out_generation);
    if (request == NULL) {
        *out_code = Q_ERR_STALE_HANDLE;
        q_table_leave(engine->entry);
    }
    *out_engine = engine;
    return request;
}

#endif

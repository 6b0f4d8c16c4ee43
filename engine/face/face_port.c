#include "engine/core/options.h"
#include "engine/face/calls.h"

int32_t quoit_port_create(struct quoit_engine handle, const struct quoit_port_options *options,
                          struct quoit_port *out) {
    struct quoit_port_options filled = {0};
    int32_t code = out == NULL        ? Q_ERR_INVALID_ARGUMENT
                   : options == NULL ? 0
                                     : q_options_read_struct(&filled, sizeof filled, options);
    if (code != 0) {
        return code;
    }
    // Counted like a request, so that the loop goes on until the port is open.
    struct q_engine *engine = q_table_enter_beside(handle, &code);
    if (engine == NULL) {
        return code;
    }
    uint32_t index;
    code = q_engine_open_port(engine, &filled, &index);
    if (code == 0) {
        *out = q_call_port_handle(handle, index);
    }
    if (q_pending_end_requests(&engine->entry->pending, 1)) {
        q_engine_poke(engine);
    }
    q_table_leave(engine->entry);
    return code;
}

int quoit_port_fd(struct quoit_port handle) {
    int32_t code;
    struct q_port *port = q_call_enter_port(handle, &code);
    if (port == NULL) {
        return -1;
    }
    int fd = port->fd;
    q_table_leave(port->engine->entry);
    return fd;
}

int32_t quoit_port_drain(struct quoit_port handle, struct quoit_event *events, size_t event_size, size_t max) {
    int32_t code;
    struct q_port *port = q_call_enter_port(handle, &code);
    if (port == NULL) {
        return -code;
    }
    int32_t count = q_port_drain(port, events, event_size, max);
    q_table_leave(port->engine->entry);
    return count;
}

int32_t quoit_port_wait(struct quoit_port handle, struct quoit_event *events, size_t event_size, size_t max,
                        int32_t timeout_ms) {
    int32_t code;
    struct q_port *port = q_call_enter_port(handle, &code);
    if (port == NULL) {
        return -code;
    }
    int32_t count = q_port_wait(port, events, event_size, max, timeout_ms);
    q_table_leave(port->engine->entry);
    return count;
}

int32_t quoit_port_advance(struct quoit_port handle) {
    int32_t code;
    struct q_port *port = q_call_enter_port(handle, &code);
    if (port == NULL) {
        return code;
    }
    bool is_wake_wanted;
    code = q_port_advance(port, &is_wake_wanted);
    if (is_wake_wanted) {
        q_engine_push(port->engine, &port->wake);
    }
    q_table_leave(port->engine->entry);
    return code;
}

int32_t quoit_port_take(struct quoit_port handle, const struct quoit_event *event, struct quoit_slice *out) {
    if (event == NULL || out == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    int32_t code;
    struct q_port *port = q_call_enter_port(handle, &code);
    if (port == NULL) {
        return code;
    }
    code = q_port_take(port, event, out);
    if (code == 0) {
        atomic_fetch_add_explicit(&port->engine->num_taken, 1, memory_order_relaxed);
    }
    q_table_leave(port->engine->entry);
    return code;
}

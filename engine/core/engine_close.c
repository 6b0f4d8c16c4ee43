// The end of an engine, phase by phase. Every step is asked for once and then waited for, from the publish step of the
// ticks; nothing here blocks.
#include "engine/core/engine.h"

#define ABORTS_PER_TICK 1024

// A bounded number a tick, as of everything.
static void abort_requests(struct q_engine *engine) {
    struct q_list_node *node;
    for (int left = ABORTS_PER_TICK; left > 0 && (node = q_list_first(&engine->requests_live)) != NULL; left--) {
        struct q_request *request = q_container_of(node, struct q_request, link);
        q_exchange_cancel(&request->exchange, q_error_make(Q_ERR_CLOSED, Q_PHASE_CLOSE));
    }
}

static bool are_ports_closed(struct q_engine *engine) {
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL && port->is_slot_open) {
            return false;
        }
    }
    return true;
}

static void close_ports(struct q_engine *engine) {
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL && port->is_slot_open) {
            q_io_close(engine->loop.io, port->slot, &port->close_op);
        }
    }
}

static bool is_deadline_over(struct q_engine *engine) {
    return engine->loop.now_ns >= atomic_load_explicit(&engine->close_at_ns, memory_order_relaxed);
}

// Each function tells whether its phase is over; it is called once a tick until it says so.
static bool drain_is_over(struct q_engine *engine) {
    return q_pending_requests(&engine->entry->pending) == 0 || is_deadline_over(engine);
}

static bool abort_is_over(struct q_engine *engine) {
    abort_requests(engine);
    return q_pending_requests(&engine->entry->pending) == 0;
}

static bool connections_are_gone(struct q_engine *engine) {
    if (!engine->pool.is_closing) {
        q_pool_close(&engine->pool);
    }
    return q_pool_is_empty(&engine->pool) && q_engine_names_close(&engine->names);
}

static bool ports_are_gone(struct q_engine *engine) {
    if (!engine->are_ports_closing) {
        engine->are_ports_closing = true;
        close_ports(engine);
    }
    return are_ports_closed(engine);
}

static bool bell_is_quiet(struct q_engine *engine) {
    engine->loop.is_open = false; // nothing sleeps from here on: the doorbell is coming down
    return q_ring_quiesce(engine->ring);
}

static bool (*const k_is_over[])(struct q_engine *engine) = {
    [Q_ENGINE_DRAINING] = drain_is_over,
    [Q_ENGINE_ABORTING] = abort_is_over,
    [Q_ENGINE_CLOSING_CONNECTIONS] = connections_are_gone,
    [Q_ENGINE_CLOSING_PORTS] = ports_are_gone,
    [Q_ENGINE_QUIESCING] = bell_is_quiet,
};

bool q_engine_advance_closing(struct q_engine *engine) {
    uint8_t before = engine->phase;
    while (engine->phase < Q_ENGINE_CLOSED && k_is_over[engine->phase](engine)) {
        engine->phase++;
        Q_LOG(&engine->log, Q_LOG_DEBUG, "engine closing: phase %d", engine->phase);
    }
    return engine->phase != before || (engine->phase == Q_ENGINE_ABORTING && !q_list_is_empty(&engine->requests_live));
}

void q_engine_finish(struct q_engine *engine) {
    if (engine->phase != Q_ENGINE_CLOSED || engine->is_over) {
        return;
    }
    engine->is_over = true;
    q_loop_say_farewells(&engine->loop);
    q_loop_disarm(&engine->loop, &engine->close_timer);
    q_loop_disarm(&engine->loop, &engine->memory_timer);
    q_loop_disarm(&engine->loop, &engine->holders.timer);
    q_ring_destroy(engine->ring);
    engine->ring = NULL;
    engine->loop.io = NULL;
    engine->port_env.io = NULL;
    // Before the events: a host that has seen CLOSED may destroy, which waits for this thread to end or leave its tick.
    atomic_store_explicit(&engine->is_closed, 1, memory_order_release);
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL) {
            q_port_end(port);
        }
    }
}

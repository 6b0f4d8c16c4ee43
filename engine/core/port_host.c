// The consumer's side of a port: host threads, one at a time. The order of reading the eventfd, looking and arming is
// the protocol of queue/evring.h.
#include "engine/core/port.h"

#include "engine/base/clock.h"
#include "engine/base/hook.h"

#include <poll.h>

// The events of hosts that were compiled with the first version of the header: what was added since stands behind it.
#define EVENT_SIZE_MAX (sizeof(struct quoit_event) + 4096) // of a later header; more can only be a mistake
#define EVENT_SIZE_MIN (offsetof(struct quoit_event, u) + offsetof(struct quoit_summary, remote))

// A host's event is as long as its header says: the end of ours is cut off, or zeros stand in for what we do not know.
static void copy_event(char *out, const struct quoit_event *event, size_t size) {
    size_t known = size < sizeof *event ? size : sizeof *event;
    memcpy(out, event, known);
    memset(out + known, 0, size - known);
}

// The draining side is one thread's at a time. Who finds another one inside is told so, instead of sharing its counters
// with it; signal handlers on the same thread, too. One exchange on a word of the draining thread's own.
static bool come_in(struct q_port *port) { return atomic_exchange_explicit(&port->is_draining, 1, memory_order_acquire) == 0; }

static void go_out(struct q_port *port) { atomic_store_explicit(&port->is_draining, 0, memory_order_release); }

static void read_signal(struct q_port *port) {
    if (!q_evring_signal_due(&port->ring)) {
        return;
    }
    struct q_sys_uring *sys = port->env->sys;
    uint64_t count = sys->eventfd_clear(sys, port->fd);
    if (count > 0) {
        q_evring_signal_read(&port->ring, count);
    }
    // Nothing read: the write is still on its way; it will wake this thread once for nothing.
}

// A code when the draining side is not the caller's, or not with these arguments.
static int32_t come_in_to_drain(struct q_port *port, const struct quoit_event *events, size_t event_size, size_t max) {
    if (port->mode != QUOIT_PORT_EVENTFD) {
        return Q_ERR_WRONG_MODE;
    }
    bool is_size = event_size >= EVENT_SIZE_MIN && event_size <= EVENT_SIZE_MAX;
    if (events == NULL || max == 0 || max > INT32_MAX || !is_size) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    return come_in(port) ? 0 : Q_ERR_WRONG_THREAD;
}

static int32_t drain(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max) {
    read_signal(port);
    size_t count = 0;
    for (;;) {
        struct q_port_entry *entry = count < max ? q_evring_peek(&port->ring, port->num_drained) : NULL;
        if (entry != NULL) {
            copy_event((char *)events + count * event_size, &entry->event, event_size);
            port->num_drained++;
            count++;
            continue;
        }
        if (count == max) {
            return (int32_t)count;
        }
        // Armed only behind all that is published; when that fails there is more to hand out.
        if (q_evring_arm(&port->ring, port->num_drained)) {
            Q_HOOK("core.drain.behind_arm");
            return (int32_t)count;
        }
    }
}

int32_t q_port_drain(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max) {
    int32_t code = come_in_to_drain(port, events, event_size, max);
    if (code != 0) {
        return -code;
    }
    int32_t count = drain(port, events, event_size, max);
    go_out(port);
    return count;
}

int32_t q_port_advance(struct q_port *port, bool *out_is_wake_wanted) {
    *out_is_wake_wanted = false;
    if (port->mode != QUOIT_PORT_EVENTFD) {
        return Q_ERR_WRONG_MODE;
    }
    if (!come_in(port)) {
        return Q_ERR_WRONG_THREAD;
    }
    size_t count = port->num_drained;
    port->num_drained = 0;
    *out_is_wake_wanted = count > 0 && q_evring_advance(&port->ring, count);
    go_out(port);
    return 0;
}

static int64_t now_ms(const struct q_port *port) {
    return (int64_t)(q_clock_now(port->env->clock) / Q_NS_PER_MS);
}

static int32_t wait_and_drain(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max,
                              int32_t timeout_ms) {
    int64_t deadline = timeout_ms < 0 ? INT64_MAX : now_ms(port) + timeout_ms;
    for (;;) {
        int32_t count = drain(port, events, event_size, max);
        if (count != 0) {
            return count;
        }
        int64_t left = deadline == INT64_MAX ? -1 : deadline - now_ms(port);
        if (deadline != INT64_MAX && left <= 0) {
            return 0;
        }
        Q_HOOK("core.wait.before_poll");
        struct pollfd wait = {.fd = port->fd, .events = POLLIN};
        poll(&wait, 1, left > INT32_MAX ? INT32_MAX : (int)left);
    }
}

int32_t q_port_wait(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max,
                    int32_t timeout_ms) {
    int32_t code = come_in_to_drain(port, events, event_size, max);
    if (code != 0) {
        return -code;
    }
    int32_t count = wait_and_drain(port, events, event_size, max, timeout_ms);
    go_out(port);
    return count;
}

// Inline events lie in the kernel's receive buffers. A small piece that is kept is copied out, so that it does not keep
// 16 KiB; a large one, or one for which there is no memory, keeps its buffer and is charged with all of it. On the loop
// thread, inside a callback.
static void keep_inline(struct q_port *port, struct q_port_entry *entry) {
    struct quoit_data *data = &entry->event.u.data;
    uint32_t generation;
    struct q_request *request = q_requests_find(&port->env->requests, entry->event.request, &generation);
    struct q_chunk *copy =
        data->len <= port->env->small_pool->capacity ? q_chunk_take(port->env->small_pool, Q_CHUNK_FOR_HOST) : NULL;
    if (copy != NULL) {
        memcpy(copy->data, data->data, data->len);
        copy->owner = entry->chunk->owner;
        q_chunk_release(entry->chunk);
        entry->chunk = copy;
        data->data = copy->data;
    }
    uint64_t charge = entry->chunk->pool->capacity;
    if (charge > entry->charge && q_slotword_is_live(&request->word, generation) &&
        !request->exchange.is_credit_manual) {
        request->exchange.credit -= (int64_t)(charge - entry->charge);
        entry->charge = charge;
    }
}

static int32_t take(struct q_port *port, const struct quoit_event *event, struct quoit_slice *out) {
    size_t offset = (uint32_t)(event->cookie - (uint32_t)port->ring.consumed);
    if (offset >= port->num_drained) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    // The caller's copy says where to look; what is taken is what stands there.
    struct q_port_entry *entry = q_evring_peek(&port->ring, offset);
    if (entry == NULL || entry->event.type != QUOIT_EVENT_DATA || entry->event.request.id != event->request.id ||
        entry->is_taken || entry->chunk == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    if (port->mode == QUOIT_PORT_INLINE) {
        keep_inline(port, entry);
    }
    uint64_t name = q_taken_add(&port->env->taken, entry->chunk, entry->charge);
    if (name == 0) {
        return Q_ERR_NO_MEMORY;
    }
    entry->is_taken = true;
    *out = (struct quoit_slice){
        .data = entry->event.u.data.data,
        .len = entry->event.u.data.len,
        .owner = port->env, // says no more than that there is one
        .cookie = name,
    };
    return 0;
}

int32_t q_port_take(struct q_port *port, const struct quoit_event *event, struct quoit_slice *out) {
    bool is_inline = port->mode == QUOIT_PORT_INLINE;
    if (is_inline ? !q_loop_is_here(port->env->loop) : !come_in(port)) {
        return Q_ERR_WRONG_THREAD;
    }
    int32_t code = take(port, event, out);
    if (!is_inline) {
        go_out(port);
    }
    return code;
}

#include "engine/core/port.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PORT_CAPACITY_DEFAULT 4096u
// Fewer would not hold one request; more is memory that a mistake asks for (a slot has about 250 bytes).
#define PORT_CAPACITY_MIN 16u
#define PORT_CAPACITY_MAX (1u << 20)

static uint32_t power_of_two(uint32_t wanted) {
    uint32_t capacity = PORT_CAPACITY_MIN;
    while (capacity < wanted) {
        capacity *= 2;
    }
    return capacity;
}

struct q_port *q_port_new(struct q_port_env *env, struct q_engine *engine,
                          const struct quoit_port_options *options, int32_t *out_code) {
    uint32_t wanted = options->capacity == 0 ? PORT_CAPACITY_DEFAULT : options->capacity;
    *out_code = Q_ERR_INVALID_ARGUMENT;
    if (options->reserved != 0 || options->reserved2 != 0 || options->key_log > 1 ||
        wanted > PORT_CAPACITY_MAX || options->mode > QUOIT_PORT_INLINE ||
        (options->mode == QUOIT_PORT_INLINE && options->on_event == NULL)) {
        return NULL;
    }
    *out_code = Q_ERR_NO_MEMORY;
    struct q_port *port = q_alloc_new(env->alloc, sizeof *port);
    if (port == NULL) {
        return NULL;
    }
    port->env = env;
    port->engine = engine;
    port->mode = options->mode;
    port->on_event = options->on_event;
    port->context = options->context;
    port->wants_keys = options->key_log == 1;
    port->fd = -1;
    port->wake.kind = Q_COMMAND_PORT_WAKE;
    port->open.kind = Q_COMMAND_PORT_OPEN;
    q_list_init(&port->refused);
    sem_init(&port->opened, 0, 0);
    // One slot is reserved for the port's own last event.
    if (!q_evring_init(&port->ring, env->alloc, power_of_two(wanted), sizeof(struct q_port_entry)) ||
        !q_evring_reserve(&port->ring, 1)) {
        q_port_free(port);
        return NULL;
    }
    if (port->mode == QUOIT_PORT_EVENTFD) {
        port->fd = env->sys->eventfd(env->sys);
        if (port->fd < 0) {
            port->fd = -1;
            q_port_free(port);
            *out_code = Q_ERR_FD_LIMIT;
            return NULL;
        }
        // Armed from the start: a host may watch the eventfd before it drains for the first time.
        bool is_armed = q_evring_arm(&port->ring, 0);
        Q_CHECK(is_armed);
    }
    *out_code = 0;
    return port;
}

void q_port_free(struct q_port *port) {
    if (port->fd >= 0) {
        port->env->sys->close(port->env->sys, port->fd);
    }
    q_evring_deinit(&port->ring);
    sem_destroy(&port->opened);
    q_alloc_free(port->env->alloc, port, sizeof *port);
}

static void slot_closed(struct q_io_op *op) {
    struct q_port *port = q_container_of(op, struct q_port, close_op);
    port->is_slot_open = false;
}

int32_t q_port_attach(struct q_port *port) {
    if (port->mode != QUOIT_PORT_EVENTFD) {
        return 0;
    }
    port->close_op.done = slot_closed;
    struct q_error error = q_io_install(port->env->io, port->fd, &port->slot);
    port->is_slot_open = !q_error_is(error);
    return error.code;
}

struct q_port_entry *q_port_produce(struct q_port *port, struct q_request *request, uint32_t type, bool is_reserved) {
    uint32_t position = (uint32_t)port->ring.filled;
    struct q_port_entry *entry =
        is_reserved ? q_evring_produce_reserved(&port->ring) : q_evring_produce_unreserved(&port->ring);
    if (entry == NULL) {
        return NULL;
    }
    entry->event.type = type;
    entry->event.cookie = position; // how take finds the entry again
    entry->event.request = request == NULL ? (struct quoit_handle){0} : q_request_handle(request);
    entry->event.user_data = request == NULL ? 0 : request->user_data;
    entry->chunk = NULL;
    entry->spec = NULL;
    entry->report = NULL;
    entry->secret = NULL;
    entry->dossier = NULL;
    entry->dials = NULL;
    entry->charge = 0;
    entry->is_taken = false;
    port->last = entry;
    port->num_outstanding++;
    return entry;
}

void q_port_refuse(struct q_port *port, struct q_request *request) {
    if (!q_list_is_linked(&request->refused_link)) {
        q_list_push_back(&port->refused, &request->refused_link);
    }
}

static void drop_secret(struct q_port *port, struct q_port_entry *entry) {
    if (entry->secret != NULL) {
        q_wipe(entry->secret, entry->secret_len);
        q_alloc_free(port->env->alloc, entry->secret, entry->secret_len + 1);
        entry->secret = NULL;
    }
}

void q_port_tell_key(struct q_port *port, struct q_slice line) {
    if (!port->wants_keys || (port->mode == QUOIT_PORT_EVENTFD && !port->is_slot_open)) {
        return;
    }
    char *copy = port->ring.data_room == 0 ? NULL : q_alloc_copy(port->env->alloc, line.ptr, line.len);
    struct q_port_entry *entry = copy == NULL ? NULL : q_port_produce(port, NULL, QUOIT_EVENT_KEY_LOG, false);
    if (entry == NULL) {
        port->num_lost++; // nobody waits for room
        return;
    }
    entry->secret = copy;
    entry->secret_len = (uint32_t)line.len;
    entry->event.u.key_log = (struct quoit_key_log){.line = copy, .line_len = line.len, .lost = port->num_lost};
}

// One entry that the host is done with: its memory and its credit come back. What was taken comes back by itself.
static void take_back(void *context, void *ring_entry) {
    struct q_port *port = context;
    struct q_port_entry *entry = ring_entry;
    port->num_outstanding--;
    if (entry->spec != NULL) {
        q_spec_release_on_loop(entry->spec, port->env->loop);
    }
    q_tls_report_drop(entry->report);
    drop_secret(port, entry);
    q_tls_dossier_release(entry->dossier);
    if (entry->dials != NULL) {
        q_chunk_release(entry->dials);
    }
    if (entry->chunk == NULL || entry->is_taken) {
        return;
    }
    q_chunk_release(entry->chunk);
    if (entry->charge == 0) {
        return;
    }
    uint32_t generation;
    struct q_request *request = q_requests_find(&port->env->requests, entry->event.request, &generation);
    // By the word: the slot may be a submitter's by now, who writes its other fields.
    if (q_slotword_is_live(&request->word, generation) && !request->exchange.is_credit_manual) {
        q_exchange_grant(&request->exchange, entry->charge);
    }
}

static void serve_refused(struct q_port *port) {
    if (q_list_is_empty(&port->refused) || port->ring.data_room == 0) {
        return;
    }
    struct q_list waiting;
    q_list_init(&waiting);
    q_list_take(&waiting, &port->refused);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&waiting)) != NULL) {
        q_exchange_resume(&q_container_of(node, struct q_request, refused_link)->exchange);
    }
}

static bool collect(struct q_port *port) {
    bool has_collected = q_evring_collect(&port->ring, take_back, port) > 0;
    if (port->num_outstanding == 0) {
        port->needs_credit = false;
    }
    serve_refused(port);
    return has_collected;
}

// Runs the inline callbacks: the loop is its own consumer. What they submit or cancel goes through the queue.
static void run_inline(struct q_port *port) {
    struct q_port_entry *entry;
    if (q_evring_peek(&port->ring, 0) == NULL) {
        return;
    }
    uint64_t since_ns = q_clock_now(port->env->clock);
    while ((entry = q_evring_peek(&port->ring, 0)) != NULL) {
        port->num_drained = 1;
        port->on_event(port->context, &entry->event);
        q_table_escape_if_forked(&port->env->escape);
        port->num_drained = 0;
        bool is_wake_wanted = q_evring_advance(&port->ring, 1);
        Q_ASSERT(!is_wake_wanted);
        (void)is_wake_wanted;
    }
    q_loop_host_took(port->env->loop, since_ns);
}

// Whether the next submit would be refused. What it waits for comes back when the loop collects, and the loop may have
// no other reason to wake up. A submit that takes the last slots is a tick of its own, so this is seen in time.
static bool is_full(struct q_port *port) {
    return atomic_load_explicit(&port->ring.reservable, memory_order_relaxed) < Q_PORT_SLOTS_PER_REQUEST;
}

bool q_port_publish(struct q_port *port) {
    bool has_more = collect(port);
    if (port->ring.filled != port->ring.published) {
        port->last = NULL;
        if (q_evring_publish(&port->ring) && port->is_slot_open) {
            q_io_signal(port->env->io, port->slot);
        }
    }
    if (port->mode == QUOIT_PORT_INLINE) {
        run_inline(port);
        has_more |= collect(port);
        return has_more;
    }
    bool is_short = port->needs_credit || !q_list_is_empty(&port->refused) || is_full(port);
    if (is_short && port->num_outstanding > 0 && !port->ring.is_wake_wanted) {
        has_more |= q_evring_want_wake(&port->ring);
    }
    return has_more;
}

void q_port_end(struct q_port *port) {
    struct q_port_entry *entry = q_port_produce(port, NULL, QUOIT_EVENT_CLOSED, true);
    Q_CHECK(entry != NULL);
    port->last = NULL;
    bool must_signal = q_evring_publish(&port->ring);
    (void)must_signal;
    if (port->mode == QUOIT_PORT_INLINE) {
        run_inline(port);
    } else {
        // Always: a signal that was under way through the ring may have ended with the port's slot.
        port->env->sys->eventfd_signal(port->env->sys, port->fd);
    }
}

static void drop_entry(void *context, void *ring_entry) {
    struct q_port_entry *entry = ring_entry;
    if (entry->spec != NULL) {
        q_spec_release(entry->spec);
    }
    q_tls_report_drop(entry->report);
    drop_secret(context, entry);
    q_tls_dossier_release(entry->dossier);
    if (entry->dials != NULL) {
        q_chunk_release(entry->dials);
    }
    if (entry->chunk != NULL && !entry->is_taken) {
        q_chunk_release(entry->chunk);
    }
}

void q_port_drop(struct q_port *port) {
    struct q_port_entry *entry;
    size_t num_left = 0;
    while ((entry = q_evring_peek(&port->ring, num_left)) != NULL) {
        num_left++;
    }
    bool is_wake_wanted = q_evring_advance(&port->ring, num_left);
    (void)is_wake_wanted; // there is no loop to wake any more
    q_evring_collect(&port->ring, drop_entry, port);
}

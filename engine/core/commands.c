// Commands: what other threads ask, drained from the submission queue on the loop, and the loop's own steps.
#include "engine/core/engine.h"

#include "engine/base/hook.h"
#include "engine/conn/feed.h"
#include "engine/core/rotation.h"
#include "engine/core/tls_sessions.h"

void q_engine_push(struct q_engine *engine, struct q_command *command) {
    if (q_mpsc_push(&engine->queue, &command->node) == Q_MPSC_PUSHED_WAKE) {
        atomic_fetch_add_explicit(&engine->num_wakes, 1, memory_order_relaxed);
        q_doorbell_ring(&engine->bell);
    }
}

int32_t q_engine_submit(struct q_engine *engine, struct q_port *port, struct q_spec *spec, uint64_t user_data,
                        struct quoit_handle *out) {
    if (!q_evring_reserve(&port->ring, Q_PORT_SLOTS_PER_REQUEST)) {
        return Q_ERR_PORT_FULL;
    }
    uint32_t index = q_slotfree_take(&engine->slots_free);
    if (index == Q_SLOTFREE_NONE) {
        q_evring_unreserve(&port->ring, Q_PORT_SLOTS_PER_REQUEST);
        return Q_ERR_REQUESTS_MAX;
    }
    struct q_request *request = &engine->port_env.requests.slots[index];
    request->submit.kind = Q_COMMAND_SUBMIT;
    request->cancel.kind = Q_COMMAND_CANCEL;
    request->credit.kind = Q_COMMAND_CREDIT;
    request->answer.kind = Q_COMMAND_ANSWER;
    request->engine = engine;
    request->port = port;
    request->spec = q_spec_acquire(spec);
    request->user_data = user_data;
    request->index = index;
    request->name = q_requests_name(&engine->port_env.requests, index);
    request->is_started = false;
    request->is_canceled_early = false;
    q_watch_clear(&request->watch);
    // From here on a cancel may pin the slot. It cannot run before the loop has the slot: it would come before the
    // submit only from a thread that guessed the handle, and is then remembered.
    request->generation = q_slotword_open(&request->word, engine->port_env.requests.first_generation);
    if (out != NULL) {
        *out = q_request_handle(request);
    }
    Q_HOOK("core.submit.before_push");
    q_engine_push(engine, &request->submit);
    return 0;
}

static struct q_error canceled(void) { return q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE); }

static void run_submit(struct q_engine *engine, struct q_command *command) {
    struct q_request *request = q_container_of(command, struct q_request, submit);
    request->is_started = true;
    request->has_head = false;
    request->body_offset = 0;
    Q_ASSERT(request->chunk == NULL);
    q_list_push_back(&engine->requests_live, &request->link);
    struct q_exchange *exchange = &request->exchange;
    q_exchange_start(exchange, &engine->loop, &engine->pool, &q_engine_sink, &request->watch, request->spec);
    if (request->is_canceled_early) {
        q_exchange_cancel(exchange, canceled());
    } else if (engine->phase > Q_ENGINE_DRAINING) {
        q_exchange_cancel(exchange, q_error_make(Q_ERR_CLOSED, Q_PHASE_QUEUE));
    }
}

static void run_cancel(struct q_engine *engine, struct q_command *command) {
    (void)engine;
    struct q_request *request = q_container_of(command, struct q_request, cancel);
    if (request->is_started) {
        q_exchange_cancel(&request->exchange, canceled());
    } else {
        request->is_canceled_early = true;
    }
    q_slotword_unpin_cancel(&request->word);
}

static void run_credit(struct q_engine *engine, struct q_command *command) {
    (void)engine;
    struct q_request *request = q_container_of(command, struct q_request, credit);
    uint64_t bytes = q_slotword_take_credit(&request->word);
    if (request->is_started) {
        q_exchange_grant(&request->exchange, bytes);
    }
}

static void run_chunk(struct q_engine *engine, struct q_command *command) {
    struct q_chunk *chunk = q_container_of(command, struct q_chunk, command);
    struct q_handle owner = chunk->owner;
    uint64_t bytes = q_chunk_collect(chunk);
    struct q_request *request = &engine->port_env.requests.slots[owner.index];
    if (q_slotword_is_live(&request->word, owner.generation) && !request->exchange.is_credit_manual) {
        q_exchange_grant(&request->exchange, bytes);
    }
}

// A feed has memory of its own and pins nothing: whom it names may be long gone.
static void run_feed(struct q_engine *engine, struct q_command *command) {
    struct q_feed *feed = q_container_of(command, struct q_feed, command);
    struct q_request *request = &engine->port_env.requests.slots[feed->request.index];
    // By the word first: the slot may be a submitter's by now, who writes its other fields.
    bool is_live = q_slotword_is_live(&request->word, feed->request.generation) && request->is_started;
    if (!is_live || !q_exchange_feed(&request->exchange, feed)) {
        q_feed_drop_on_loop(feed, &engine->loop);
    }
}

static void run_rotation(struct q_engine *engine, struct q_command *command) {
    struct q_rotation *rotation = q_container_of(command, struct q_rotation, command);
    q_rotation_run(rotation, &engine->pool, &engine->tls_client);
    q_rotation_free(rotation);
}

static void run_port_wake(struct q_engine *engine, struct q_command *command) {
    engine->must_publish = true; // that step collects
    q_evring_wake_drained(&q_container_of(command, struct q_port, wake)->ring);
}

static void run_port_open(struct q_engine *engine, struct q_command *command) {
    struct q_port *port = q_container_of(command, struct q_port, open);
    port->open_code = engine->phase >= Q_ENGINE_CLOSING_PORTS ? Q_ERR_CLOSED : q_port_attach(port);
    sem_post(&port->opened);
}

static void run_engine_close(struct q_engine *engine, struct q_command *command) {
    (void)command;
    Q_HOOK("core.close.before_clear");
    // Cleared first: a close that comes now pushes again, and the deadline that is read next is at most its own.
    atomic_store_explicit(&engine->is_close_queued, 0, memory_order_seq_cst);
    Q_HOOK("core.close.after_clear");
    // That step moves the phase on. So also when a close is under way: the node may be all that tells of the last count
    // that ended, behind that step's look at it.
    engine->must_publish = true;
    if (engine->phase > Q_ENGINE_DRAINING) {
        return;
    }
    uint64_t close_at_ns = atomic_load_explicit(&engine->close_at_ns, memory_order_seq_cst);
    bool is_idle = q_pending_drain(&engine->entry->pending);
    (void)is_idle; // the phases look for themselves
    engine->phase = Q_ENGINE_DRAINING;
    q_loop_arm(&engine->loop, &engine->close_timer, close_at_ns);
}

static void (*const k_run[Q_COMMAND_KINDS])(struct q_engine *engine, struct q_command *command) = {
    [Q_COMMAND_SUBMIT] = run_submit,         [Q_COMMAND_CANCEL] = run_cancel,
    [Q_COMMAND_CREDIT] = run_credit,         [Q_COMMAND_CHUNK] = run_chunk,
    [Q_COMMAND_PORT_WAKE] = run_port_wake,   [Q_COMMAND_PORT_OPEN] = run_port_open,
    [Q_COMMAND_ENGINE_CLOSE] = run_engine_close, [Q_COMMAND_ANSWER] = q_engine_run_answer,
    [Q_COMMAND_FEED] = run_feed,             [Q_COMMAND_ROTATION] = run_rotation,
    [Q_COMMAND_ERRAND] = q_engine_run_errand,
};

void q_engine_run_command(struct q_engine *engine, struct q_command *command) {
    k_run[command->kind](engine, command);
}

// Whether something waits for the publish step.
static bool has_unpublished(struct q_engine *engine) {
    if (engine->must_publish || !q_list_is_empty(&engine->requests_dead)) {
        return true;
    }
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL && port->ring.filled != port->ring.published) {
            return true;
        }
    }
    return false;
}

static bool take_commands(void *owner) {
    struct q_engine *engine = owner;
    Q_HOOK("core.commands.before_look");
    if (engine->is_parked && q_mpsc_is_empty(&engine->queue)) {
        return has_unpublished(engine); // draining would end the sleep that a host-driven loop may be going into
    }
    engine->is_parked = false;
    if (engine->backlog == NULL) {
        engine->backlog = q_mpsc_drain(&engine->queue);
    }
    for (unsigned count = 0; engine->backlog != NULL; count++) {
        if (count == Q_ENGINE_COMMANDS_PER_TICK) {
            return true;
        }
        struct q_mpsc_node *node = engine->backlog;
        engine->backlog = node->next; // read before the command runs: some may be pushed again at once
        q_engine_run_command(engine, q_command_of(node));
        Q_HOOK("core.commands.behind_run");
    }
    return has_unpublished(engine);
}

// Gives back the slots of requests that have ended. A slot that a cancel, a grant or an answer still pins waits for its
// node.
static void bury_dead(struct q_engine *engine) {
    struct q_list dead;
    q_list_init(&dead);
    q_list_take(&dead, &engine->requests_dead);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&dead)) != NULL) {
        struct q_request *request = q_container_of(node, struct q_request, link);
        uint32_t index = request->index;
        if (q_askword_is_pinned(&request->ask)) { // withdrawn when the request ended, so it cannot become so any more
            q_list_push_back(&engine->requests_dead, node);
            continue;
        }
        uint32_t first = engine->port_env.requests.first_generation;
        uint32_t generations = request->generation - first + 1;
        engine->generations_used = generations > engine->generations_used ? generations : engine->generations_used;
        switch (q_slotword_try_retire(&request->word, request->generation, first)) {
        case Q_RETIRE_PINNED: q_list_push_back(&engine->requests_dead, node); continue;
        case Q_RETIRE_DONE: q_slotfree_give(&engine->slots_free, index); break;
        case Q_RETIRE_WORN_OUT: break;
        }
        bool was_last = q_pending_end_requests(&engine->entry->pending, 1);
        (void)was_last; // the phases look for themselves, later in this step
    }
}

// Before callbacks run: what they submit finds the queue awake, so that the loop's own thread does not ring its own bell.
static void leave_sleep(struct q_engine *engine) {
    if (engine->is_parked && engine->backlog == NULL) {
        engine->is_parked = false;
        engine->backlog = q_mpsc_drain(&engine->queue);
    }
}

static bool publish(void *owner) {
    struct q_engine *engine = owner;
    bool has_more = false;
    engine->must_publish = false;
    if (engine->phase != Q_ENGINE_RUNNING) {
        has_more = q_engine_advance_closing(engine); // first: what it ends is published in this very step
    }
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL) {
            if (port->mode == QUOIT_PORT_INLINE && port->ring.filled != port->ring.published) {
                leave_sleep(engine);
            }
            has_more |= q_port_publish(port);
        }
    }
    if (!q_list_is_empty(&engine->requests_dead)) {
        bury_dead(engine);
        // Those that have gone may have been what closing waits for.
        has_more |= engine->phase != Q_ENGINE_RUNNING;
    }
    q_holders_look(&engine->holders);
    q_engine_snapshot(engine);
    return has_more;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    struct q_engine *engine = owner;
    *out_bell_value = q_doorbell_value(&engine->bell); // before parking, and before looking: see queue/doorbell.h
    if (engine->is_parked) {
        return q_mpsc_is_empty(&engine->queue); // nothing was drained since; who pushes now rings
    }
    engine->is_parked = q_mpsc_park(&engine->queue);
    return engine->is_parked;
}

static bool has_commands(void *owner) {
    const struct q_engine *engine = owner;
    return !q_mpsc_is_empty(&engine->queue);
}

static void look_for_fork(void *owner) {
    struct q_engine *engine = owner;
    q_table_escape_if_forked(&engine->port_env.escape);
}

const struct q_loop_steps q_engine_steps = {.take_commands = take_commands,
                                            .publish = publish,
                                            .park = park,
                                            .has_commands = has_commands,
                                            .on_farewells = look_for_fork};

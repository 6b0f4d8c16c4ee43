// Making, driving and unmaking an engine.
#define _GNU_SOURCE
#include "engine/core/engine.h"

#include "engine/base/hook.h"
#include "engine/conn/feed.h"
#include "engine/core/options.h"
#include "engine/core/rotation.h"
#include "engine/net/sources.h"
#include "engine/tls/config.h"
#include "engine/tls/default.h"
#include "engine/tls/interned.h"
#include "engine/tls/settings.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

// A tick's one entry hands over all that it starts: two operations for each of Q_RING_COMPLETIONS_PER_TURN completions and
// of Q_ENGINE_COMMANDS_PER_TICK commands, on connections that are open. (A connect takes more; many in one tick fill the
// queue, and enter the kernel in the middle of it.)
#define SQ_ENTRIES 1024
#define CQ_ENTRIES 1024
#define SPARE_SLOTS 64          // for connections that are closing while their successors open
#define BUFFERS_KEPT 256        // free receive buffers kept for the next burst: 4 MiB
#define LARGE_KEPT 32           // 1 MiB
#define LARGE_WEIGHT 4          // 256 KiB with the kernel: 8 connections in bulk are a fifth faster by TLS, and no slower plain
#define CHUNKS_KEPT 256
#define PLACE_BITS 10           // of an engine's place in the table, in the names of its requests and questions

_Static_assert(2 * (Q_RING_COMPLETIONS_PER_TURN + Q_ENGINE_COMMANDS_PER_TICK) <= SQ_ENTRIES, "one entry a tick");

static struct q_error create_error(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

static void no_op(struct q_timer *timer) { (void)timer; } // its only work is to end the loop's sleep

static uint32_t slots_of(const struct q_engine *engine) {
    uint32_t names = 2 * Q_RESOLVER_ASKING_MAX; // sockets to name servers
    uint32_t wanted = engine->options.connections_max + Q_ENGINE_PORTS_MAX + SPARE_SLOTS + names;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        // The kernel makes no larger table. With no descriptor at all it is the kernel that shall say so.
        wanted = limit.rlim_cur > 2 ? (uint32_t)limit.rlim_cur : 2;
    }
    return wanted < Q_IO_SLOTS_MAX ? wanted : Q_IO_SLOTS_MAX;
}

// A third of the memory at most. A power of two.
static uint32_t num_buffers_of(const struct q_engine *engine) {
    uint32_t num = Q_ENGINE_BUFFERS;
    while (num * q_chunk_pool_size(&engine->buffer_pool) > engine->budget.limit / 3) {
        num /= 2;
    }
    return num;
}

static void init_pools(struct q_engine *engine) {
    const struct quoit_engine_options *options = &engine->options;
    engine->budget = (struct q_chunk_budget){.limit = options->memory_max};
    engine->conn_env.limits = (struct q_h1_limits){
        .head_bytes = options->head_bytes_max,
        .headers_count = options->headers_max,
        .line_bytes = options->line_bytes_max,
        .informational_count = options->informational_max,
        .chunk_extension_bytes = options->chunk_extension_bytes_max,
        .trailer_bytes = options->trailer_bytes_max,
    };
    size_t head_bytes = q_h1_reader_memory_for(&engine->conn_env.limits);
    const struct q_alloc *alloc = &engine->alloc;
    q_chunk_pool_init(&engine->buffer_pool, alloc, &engine->budget, Q_ENGINE_BUFFER_BYTES, BUFFERS_KEPT);
    q_chunk_pool_init(&engine->large_pool, alloc, &engine->budget, Q_ENGINE_LARGE_BYTES, LARGE_KEPT);
    q_chunk_pool_init(&engine->head_pool, alloc, &engine->budget, (uint32_t)((head_bytes + 15) & ~(size_t)15),
                      CHUNKS_KEPT);
    q_chunk_pool_init(&engine->small_pool, alloc, &engine->budget, Q_ENGINE_SMALL_BYTES, CHUNKS_KEPT);
    engine->budget.reserve = num_buffers_of(engine) * q_chunk_pool_size(&engine->buffer_pool);
}

static struct q_error make_ring(struct q_engine *engine) {
    struct q_ring_options options = {
        .sys = engine->seams.sys,
        .alloc = &engine->alloc,
        .clock = engine->seams.clock,
        .log = &engine->log,
        .doorbell = &engine->bell,
        .buffer_pool = &engine->buffer_pool,
        .large_pool = &engine->large_pool,
        .large_weight = LARGE_WEIGHT,
        .num_buffers = num_buffers_of(engine),
        .num_slots = slots_of(engine),
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .capabilities_off = engine->options.capabilities_off,
        .host_driven = engine->options.mode == QUOIT_ENGINE_HOST_DRIVEN,
    };
    return q_ring_create(&options, &engine->ring);
}

static void tell_key(void *owner, struct q_slice line) {
    struct q_engine *engine = owner;
    uint32_t num_ports = q_engine_num_ports(engine);
    for (uint32_t i = 0; i < num_ports; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL) {
            q_port_tell_key(port, line);
        }
    }
}

// What may run on the loop thread only; host-driven, the ring is made disabled and bound by the first tick.
static struct q_error start(struct q_engine *engine) {
    struct q_error error = make_ring(engine);
    if (q_error_is(error)) {
        return error;
    }
    q_loop_init(&engine->loop, q_ring_io(engine->ring), engine->seams.clock, &engine->log, engine->seams.seed,
                &q_engine_steps, engine);
    engine->loop.spin_ns = engine->options.spin_us * Q_NS_PER_US;
    engine->close_timer.fired = no_op;
    q_list_init(&engine->requests_short);
    engine->memory_timer.fired = q_engine_retry_short;
    q_holders_init(&engine->holders, &engine->loop, &engine->head_pool);
    engine->conn_env.loop = &engine->loop;
    engine->conn_env.holders = &engine->holders;
    engine->conn_env.head_chunks = &engine->head_pool;
    engine->conn_env.small_chunks = &engine->small_pool;
    struct q_h1_limits trailers_alone = engine->conn_env.limits;
    trailers_alone.head_bytes = trailers_alone.trailer_bytes;
    engine->conn_env.trailer_chunks = q_h1_reader_memory_for(&trailers_alone) <= Q_ENGINE_SMALL_BYTES
                                          ? &engine->small_pool
                                          : &engine->head_pool;
    engine->dial_env = (struct q_dial_env){
        .loop = &engine->loop,
        .alloc = &engine->alloc,
        .names = &engine->names.resolver.names,
        .sources = engine->seams.sys == q_sys_uring_real() ? &q_sources_kernel : NULL, // what is simulated has no routes
        .winners = &engine->winners,
    };
    engine->conn_env.dial = &engine->dial_env;
    engine->conn_env.idle_timeout_ns = engine->options.idle_timeout_ms * Q_NS_PER_MS;
    struct q_pool_options pool_options = {
        .connections_max = engine->options.connections_max,
        .connections_per_origin_max = engine->options.connections_per_origin_max,
        .waiters_per_origin_max = engine->options.waiters_per_origin_max,
    };
    q_engine_names_start(&engine->names, &engine->loop);
    engine->conn_env.tls = &engine->tls_client;
    error = q_tls_client_init(&engine->tls_client, &engine->alloc, &engine->loop, &engine->buffer_pool)
                ? Q_OK
                : create_error(Q_ERR_NO_MEMORY);
    if (q_error_is(error)) {
        q_ring_destroy(engine->ring);
        engine->ring = NULL;
        return error;
    }
    error = q_pool_init(&engine->pool, &engine->alloc, &engine->conn_env, &pool_options);
    if (q_error_is(error)) {
        q_ring_destroy(engine->ring);
        engine->ring = NULL;
        return error;
    }
    engine->tls_client.env.on_key_line = tell_key;
    engine->tls_client.env.owner = engine;
    engine->pool.default_tls = engine->default_tls;
    engine->pool.default_tls_error = engine->default_tls_error;
    if (engine->default_tls_detail != NULL) {
        engine->default_tls_report = q_tls_report_of_text(&engine->tls_client.reports, engine->default_tls_error,
                                                          engine->default_tls_detail);
        engine->pool.default_tls_report = engine->default_tls_report;
    }
    engine->event_fd = q_ring_event_fd(engine->ring);
    engine->port_env.io = engine->loop.io;
    engine->port_env.loop = &engine->loop;
    q_engine_snapshot(engine);
    return Q_OK;
}

static void run_until_over(struct q_engine *engine) {
    while (!engine->is_over) {
        q_loop_tick(&engine->loop, true);
        q_engine_finish(engine);
    }
}

static void *thread_main(void *argument) {
    struct q_engine *engine = argument;
    prctl(PR_SET_NAME, "quoit", 0, 0, 0);
    q_table_enter_loop();
    engine->start_error = start(engine);
    bool is_started = !q_error_is(engine->start_error);
    if (is_started) {
        q_loop_bind(&engine->loop);
    }
    sem_post(&engine->started);
    // In a child it ends here at once: the process's only thread, and the process with it, as at the end of any last one.
    if (is_started && setjmp(engine->port_env.escape.at) == 0) {
        run_until_over(engine);
    }
    return NULL;
}

static void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) {
        // interrupted by a signal of the host's: go on waiting
    }
}

// The engine's thread takes no signals: they are the host's business, and a handler must not meet our locks-free loop.
static struct q_error start_thread(struct q_engine *engine) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&engine->thread, NULL, thread_main, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        return q_error_os(Q_ERR_THREAD_FAILED, Q_PHASE_CREATE, result);
    }
    wait_for(&engine->started);
    if (q_error_is(engine->start_error)) {
        pthread_join(engine->thread, NULL);
    }
    return engine->start_error;
}

// Without a trust store an engine is as good as ever for all but https, whose requests then say what is missing.
static struct q_error find_default_tls(struct q_engine *engine) {
    struct quoit_engine_options *options = &engine->options;
    if (options->tls != NULL) {
        engine->default_tls = q_tls_settings_handle(options->tls);
        q_tls_hold(engine->default_tls);
        options->tls = NULL; // the host's, for the call
        return Q_OK;
    }
    if (engine->seams.sys != q_sys_uring_real()) {
        engine->default_tls_error = q_error_make(Q_ERR_TLS_NO_TRUST_STORE, Q_PHASE_TLS); // what is simulated reads none
        return Q_OK;
    }
    uint64_t now_ns = q_clock_now(engine->seams.clock);
    char detail[Q_TLS_DETAIL_MAX];
    engine->default_tls_error = q_tls_default(options->environment, now_ns, &engine->default_tls, detail);
    engine->default_tls_error.phase = Q_PHASE_TLS; // where a request meets it
    options->environment = NULL;                   // likewise
    if (detail[0] != '\0') {
        engine->default_tls_detail = q_alloc_copy(&engine->alloc, detail, strlen(detail)); // for want of memory: none
    }
    return engine->default_tls_error.code == Q_ERR_NO_MEMORY ? create_error(Q_ERR_NO_MEMORY) : Q_OK;
}

static struct q_error make_parts(struct q_engine *engine) {
    q_mpsc_init(&engine->queue);
    atomic_init(&engine->close_at_ns, UINT64_MAX);
    q_list_init(&engine->requests_live);
    q_list_init(&engine->requests_dead);
    engine->close_command.kind = Q_COMMAND_ENGINE_CLOSE;
    engine->bell.fd = -1;
    engine->event_fd = -1;
    engine->port_env = (struct q_port_env){
        .alloc = &engine->alloc,
        .sys = engine->seams.sys,
        .clock = engine->seams.clock,
        .small_pool = &engine->small_pool,
    };
    init_pools(engine);
    if (!q_taken_init(&engine->port_env.taken, engine->seams.sys, engine->options.memory_max)) {
        return create_error(Q_ERR_NO_MEMORY);
    }
    struct q_error error = q_engine_names_make(&engine->names, &engine->alloc, &engine->options,
                                               engine->seams.sys == q_sys_uring_real());
    if (q_error_is(error)) {
        return error;
    }
    error = find_default_tls(engine);
    if (q_error_is(error)) {
        return error;
    }
    // Mapped and not allocated: zeros that cost nothing until a slot is used for the first time.
    struct q_sys_uring *sys = engine->seams.sys;
    struct q_requests *requests = &engine->port_env.requests;
    engine->requests_size = engine->options.requests_max * sizeof *requests->slots;
    requests->slots = sys->map_memory(sys, engine->requests_size);
    requests->count = engine->options.requests_max;
    if (requests->slots == NULL ||
        !q_slotfree_init(&engine->slots_free, &engine->alloc, engine->options.requests_max)) {
        return create_error(Q_ERR_NO_MEMORY);
    }
    if (!engine->seams.has_seed) {
        struct q_random random;
        error = q_random_seed_from_kernel(&random);
        engine->seams.seed = random.state;
    }
    return error;
}

// Frees whatever there is of an engine whose loop is over or never began.
static void take_back(struct q_engine *engine, struct q_mpsc_node *node) {
    while (node != NULL) {
        struct q_command *command = q_command_of(node);
        node = node->next;
        if (command->kind == Q_COMMAND_CHUNK) {
            q_chunk_collect(q_container_of(command, struct q_chunk, command));
        } else if (command->kind == Q_COMMAND_FEED) {
            q_feed_drop(q_container_of(command, struct q_feed, command));
        } else if (command->kind == Q_COMMAND_ROTATION) {
            q_rotation_free(q_container_of(command, struct q_rotation, command));
        } else if (command->kind == Q_COMMAND_ANSWER) {
            q_engine_drop_answer(engine, command);
        }
    }
}

static void dismantle(struct q_engine *engine) {
    struct q_alloc alloc = engine->alloc;
    struct q_sys_uring *sys = engine->seams.sys;
    q_ring_take_down_bell(sys, &engine->bell);
    take_back(engine, engine->backlog); // drained by the last ticks, and not run any more
    take_back(engine, q_mpsc_close(&engine->queue));
    for (uint32_t i = 0; i < Q_ENGINE_PORTS_MAX; i++) {
        struct q_port *port = q_engine_port_at(engine, i);
        if (port != NULL) {
            q_port_drop(port);
            q_port_free(port);
        }
    }
    if (engine->pool.alloc != NULL) {
        q_pool_deinit(&engine->pool);
    }
    q_tls_report_drop(engine->default_tls_report);
    q_tls_client_deinit(&engine->tls_client);
    if (engine->default_tls_detail != NULL) {
        q_alloc_free(&alloc, engine->default_tls_detail, strlen(engine->default_tls_detail) + 1);
    }
    q_tls_let_go(engine->default_tls);
    q_chunk_pool_deinit(&engine->buffer_pool);
    q_chunk_pool_deinit(&engine->large_pool);
    q_chunk_pool_deinit(&engine->head_pool);
    q_chunk_pool_deinit(&engine->small_pool);
    q_engine_names_free(&engine->names);
    q_slotfree_deinit(&engine->slots_free);
    q_taken_deinit(&engine->port_env.taken);
    if (engine->port_env.requests.slots != NULL) {
        sys->unmap(sys, engine->port_env.requests.slots, engine->requests_size);
    }
    sem_destroy(&engine->started);
    q_alloc_free(&alloc, engine, sizeof *engine);
}

// Where a word of 44 bits begins to count, in this place, when those before it have come so far.
static uint64_t begin_at(uint32_t place, uint64_t given) {
    uint64_t room = UINT64_C(1) << (Q_ASKWORD_GENERATION_BITS - PLACE_BITS);
    return place * room + given % (room - 1) + 1;
}

// Names of requests, questions and taken pieces: apart from those of the engines that live beside this one by its place in
// the table, and from those of the ones before it in this place by where they begin. They come round after 2^32 requests,
// or 2^34 of the others, in one slot.
static void begin_names(struct q_engine *engine) {
    struct q_requests *requests = &engine->port_env.requests;
    const struct q_table_entry *entry = engine->entry;
    _Static_assert(Q_OPTIONS_REQUESTS_MAX <= Q_REQUEST_INDEX_MASK + 1, "a handle's index names every slot");
    _Static_assert(Q_TABLE_ENGINES_MAX <= 1u << PLACE_BITS, "a handle and a token have room for the engine's place");
    requests->place = q_table_place(entry);
    requests->first_generation = entry->generations_given == UINT32_MAX ? 1 : entry->generations_given + 1;
    requests->first_question = begin_at(requests->place, entry->questions_given);
    engine->port_env.taken.first = begin_at(requests->place, entry->pieces_given);
}

static void end_names(struct q_engine *engine) {
    engine->entry->generations_given += engine->generations_used;
    engine->entry->questions_given += engine->questions_used;
    engine->entry->pieces_given += q_taken_generations(&engine->port_env.taken);
}

// Makes an entry of the table the engine's.
static void adopt_entry(struct q_engine *engine) {
    engine->entry->engine = engine;
    atomic_store_explicit(&engine->entry->requests_max, engine->options.requests_max, memory_order_relaxed);
    begin_names(engine);
}

static struct q_error bring_up(struct q_engine *engine) {
    struct q_error error = make_parts(engine);
    if (q_error_is(error)) {
        return error;
    }
    error = q_table_take(&engine->entry);
    if (q_error_is(error)) {
        return error;
    }
    adopt_entry(engine);
    engine->port_env.escape.epoch = q_table_epoch_of(engine->entry);
    error = engine->options.mode == QUOIT_ENGINE_THREAD ? start_thread(engine) : start(engine);
    if (q_error_is(error)) {
        q_table_give_back(engine->entry);
    }
    return error;
}

// Gives the engine its public handle. An entry that has had its last generation is left where it is, taken for ever.
static struct quoit_engine open_entry(struct q_engine *engine) {
    engine->handle = q_table_open(engine->entry);
    while (engine->handle.id == 0) {
        struct q_error error = q_table_take(&engine->entry);
        Q_CHECK(!q_error_is(error)); // 2^24 engines in each of a thousand entries
        adopt_entry(engine);
        engine->handle = q_table_open(engine->entry);
    }
    return engine->handle;
}

struct q_error q_engine_create(const struct quoit_engine_options *options, const struct q_engine_seams *seams,
                               struct quoit_engine *out) {
    struct quoit_engine_options filled;
    int32_t code = q_options_of_engine(options, &filled);
    if (code != 0) {
        return create_error((enum q_error_code)code);
    }
    struct q_alloc alloc = *q_alloc_libc();
    if (filled.allocator != NULL) {
        alloc = (struct q_alloc){.allocate = filled.allocator->allocate,
                                 .release = filled.allocator->release,
                                 .context = filled.allocator->context};
    }
    struct q_engine *engine = q_alloc_new(&alloc, sizeof *engine);
    if (engine == NULL) {
        return create_error(Q_ERR_NO_MEMORY);
    }
    engine->options = filled;
    engine->alloc = alloc;
    engine->log = (struct q_log){.sink = filled.log, .context = filled.log_context, .level = (int)filled.log_level};
    engine->seams = seams != NULL ? *seams
                                  : (struct q_engine_seams){.sys = q_sys_uring_real(), .clock = q_clock_monotonic()};
    sem_init(&engine->started, 0, 0);
    struct q_error error = bring_up(engine);
    if (q_error_is(error)) {
        dismantle(engine);
        return error;
    }
    *out = open_entry(engine);
    return Q_OK;
}

bool q_engine_is_here(const struct q_engine *engine) { return q_loop_is_here(&engine->loop); }

void q_engine_poke(struct q_engine *engine) {
    Q_HOOK("core.poke.before_exchange");
    if (atomic_exchange_explicit(&engine->is_close_queued, 1, memory_order_seq_cst) == 0) {
        q_engine_push(engine, &engine->close_command);
    }
}

void q_engine_close(struct q_engine *engine, uint64_t drain_ms) {
    uint64_t now_ns = q_clock_now(engine->seams.clock);
    uint64_t wanted = drain_ms > Q_SPEC_TIMEOUT_MS_MAX ? now_ns + Q_SPEC_TIMEOUT_MS_MAX * Q_NS_PER_MS
                                                       : now_ns + drain_ms * Q_NS_PER_MS;
    uint64_t seen = atomic_load_explicit(&engine->close_at_ns, memory_order_relaxed);
    while (wanted < seen && !atomic_compare_exchange_weak_explicit(&engine->close_at_ns, &seen, wanted,
                                                                   memory_order_seq_cst, memory_order_relaxed)) {
    }
    q_engine_poke(engine);
}

int32_t q_engine_destroy(struct q_engine *engine) {
    struct q_table_entry *entry = engine->entry;
    bool is_thread = engine->options.mode == QUOIT_ENGINE_THREAD;
    int32_t code = 0;
    if (q_engine_is_here(engine) && (is_thread || engine->is_ticking)) {
        code = Q_ERR_WRONG_THREAD;
    } else if (atomic_load_explicit(&engine->is_closed, memory_order_acquire) == 0) {
        code = Q_ERR_NOT_CLOSED;
    } else if (atomic_load_explicit(&engine->num_taken, memory_order_acquire) != 0 ||
               !q_pending_try_close(&entry->pending)) {
        code = Q_ERR_BUSY;
    }
    if (code != 0) {
        q_table_leave(entry);
        return code;
    }
    if (is_thread) {
        pthread_join(engine->thread, NULL);
    }
    end_names(engine);
    dismantle(engine);
    q_pending_retire(&entry->pending);
    q_table_give_back(entry);
    return 0;
}

static int32_t bind_to_ticker(struct q_engine *engine) {
    uint32_t binding = atomic_load_explicit(&engine->binding, memory_order_acquire);
    if (binding == Q_ENGINE_BOUND) {
        return q_engine_is_here(engine) ? engine->bind_code : Q_ERR_WRONG_THREAD;
    }
    binding = Q_ENGINE_UNBOUND;
    if (!atomic_compare_exchange_strong_explicit(&engine->binding, &binding, Q_ENGINE_BINDING, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return Q_ERR_BUSY; // another thread is about to be the one, or is opening a port
    }
    q_loop_bind(&engine->loop);
    engine->bind_code = q_ring_enable(engine->ring).code;
    atomic_store_explicit(&engine->binding, Q_ENGINE_BOUND, memory_order_release);
    return engine->bind_code;
}

static int32_t tick_here(struct q_engine *engine) {
    engine->is_ticking = true;
    q_table_enter_loop();
    q_loop_tick(&engine->loop, false);
    q_engine_finish(engine);
    q_table_leave_loop();
    engine->is_ticking = false;
    return !engine->is_over && !engine->loop.is_idle;
}

int32_t q_engine_tick(struct q_engine *engine) {
    if (engine->options.mode != QUOIT_ENGINE_HOST_DRIVEN) {
        return -Q_ERR_WRONG_MODE;
    }
    int32_t code = bind_to_ticker(engine);
    if (code != 0) {
        return -code;
    }
    if (engine->is_ticking) {
        return -Q_ERR_WRONG_THREAD;
    }
    struct q_sys_uring *sys = engine->seams.sys;
    sys->eventfd_clear(sys, engine->event_fd); // of a closed engine too: the ring's last signals come behind its last tick
    if (engine->is_over) {
        return 0;
    }
    return setjmp(engine->port_env.escape.at) == 0 ? tick_here(engine) : -Q_ERR_FORKED;
}

// Has the loop take the port in, and waits for it, or does it here when this thread may.
static int32_t attach(struct q_engine *engine, struct q_port *port) {
    if (q_engine_is_here(engine)) {
        return q_port_attach(port);
    }
    if (engine->options.mode == QUOIT_ENGINE_THREAD) {
        q_engine_push(engine, &port->open);
        wait_for(&port->opened);
        return port->open_code;
    }
    uint32_t binding = Q_ENGINE_UNBOUND;
    if (!atomic_compare_exchange_strong_explicit(&engine->binding, &binding, Q_ENGINE_BINDING, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return binding == Q_ENGINE_BOUND ? Q_ERR_WRONG_THREAD : Q_ERR_BUSY;
    }
    int32_t code = q_port_attach(port);
    atomic_store_explicit(&engine->binding, Q_ENGINE_UNBOUND, memory_order_release);
    return code;
}

// Puts a port in the engine's list. False: the list is full.
static bool enlist(struct q_engine *engine, struct q_port *port, uint32_t *out_index) {
    uint32_t index = q_engine_num_ports(engine);
    do {
        if (index == Q_ENGINE_PORTS_MAX) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&engine->num_ports, &index, index + 1, memory_order_acq_rel,
                                                    memory_order_acquire));
    atomic_store_explicit(&engine->ports[index], port, memory_order_release);
    *out_index = index;
    return true;
}

int32_t q_engine_open_port(struct q_engine *engine, const struct quoit_port_options *options, uint32_t *out_index) {
    if (!q_engine_is_here(engine) && q_table_is_in_loop()) {
        return Q_ERR_WRONG_THREAD; // it would wait for another loop, which may be waiting for this one
    }
    int32_t code;
    struct q_port *port = q_port_new(&engine->port_env, engine, options, &code);
    if (port == NULL) {
        return code;
    }
    Q_HOOK("core.open_port.before_store");
    // In the list first: once it is attached the loop has a slot of its own for it, which only the engine's end closes.
    if (!enlist(engine, port, out_index)) {
        q_port_free(port);
        return Q_ERR_PORTS_MAX;
    }
    Q_HOOK("core.open_port.listed");
    // A port that could not be attached stays, for nobody: the loop may be walking the list.
    return attach(engine, port);
}

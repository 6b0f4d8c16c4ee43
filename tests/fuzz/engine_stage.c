#include "tests/fuzz/engine_stage.h"

#include <string.h>

#define TICKS_IN_A_ROW_MAX 2000 // a loop that always wants another tick never sleeps
#define STEPS_MAX 20000         // of one wait; far more than anything here needs
#define CLOSE_NS (10 * Q_NS_PER_S)

uint64_t stage_sum(const void *data, size_t len) {
    uint64_t sum = 14695981039346656037u; // FNV-1a
    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    }
    return sum;
}

void stage_note(struct stage *stage, uint64_t what) {
    stage->trace = (stage->trace ^ what) * 1099511628211u;
    stage->trace ^= stage->trace >> 29;
}

// --- making ------------------------------------------------------------------------------------------------------

static void *stage_allocate(void *context, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    return alloc->allocate(alloc->context, size);
}

static void stage_release(void *context, void *ptr, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    alloc->release(alloc->context, ptr, size);
}

static void listen_everywhere(struct stage *stage) {
    static const struct {
        enum stage_place place;
        const char *address;
        uint16_t port;
        struct q_sim_listener listener;
    } k_rows[] = {
        {PLACE_PLAIN, "127.0.0.1", 80, {0}},
        {PLACE_NARROW, "127.0.0.1", 81, {.send_buffer = 300, .receive_buffer = 100}},
        {PLACE_BLACKHOLE, "127.0.0.1", 83, {.answer = Q_SIM_BLACKHOLE}},
        {PLACE_SLOW, "127.0.0.1", 84, {.delay_ns = 5 * Q_NS_PER_MS}},
        {PLACE_OTHER, "127.0.0.2", 80, {0}},
        {PLACE_IPV6, "::1", 80, {0}},
    };
    for (unsigned place = 0; place < PLACES; place++) {
        stage->greetings[place] = (struct quoit_slice){.owner = stage};
        stage->replies[place] = (struct quoit_slice){0};
    }
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct q_sim_listener listener = k_rows[i].listener;
        listener.peer = &k_stage_peer;
        listener.context = &stage->greetings[k_rows[i].place];
        q_sim_listen(stage->sim, k_rows[i].address, k_rows[i].port, &listener);
    }
}

// A line of the log is one line: what a peer sent cannot end it, or speak to a terminal.
static void on_log(void *context, int32_t level, const char *line) {
    (void)context;
    FUZZ_CHECK(level >= 1 && level <= 4);
    for (; *line != 0; line++) {
        FUZZ_CHECK((unsigned char)*line >= 0x20 && (unsigned char)*line != 0x7f);
    }
}

static struct quoit_engine_options engine_options(struct stage *stage) {
    const struct stage_config *c = &stage->config;
    static const uint32_t k_heads[] = {0, 200, 600, 60};
    return (struct quoit_engine_options){
        .struct_size = sizeof(struct quoit_engine_options),
        .mode = QUOIT_ENGINE_HOST_DRIVEN,
        .capabilities_off = c->kernel >> 3,
        .requests_max = 2 + (c->limits & 7u) * 3,
        .connections_max = 1 + (c->limits >> 3 & 3u),
        .connections_per_origin_max = 1 + (c->limits >> 5 & 1u),
        .waiters_per_origin_max = (c->limits >> 6 & 1) != 0 ? 1 : 0,
        .idle_timeout_ms = (c->limits >> 7 & 1) != 0 ? 3 : 0,
        .memory_max = UINT64_C(2) << 20,
        .head_bytes_max = k_heads[c->parser & 3],
        .headers_max = (c->parser >> 2 & 1) != 0 ? 3 : 0,
        .line_bytes_max = (c->parser >> 3 & 1) != 0 ? 40 : 0,
        .informational_max = (c->parser >> 4 & 1) != 0 ? 2 : 0,
        .chunk_extension_bytes_max = (c->parser >> 5 & 1) != 0 ? 16 : 0,
        .trailer_bytes_max = (c->parser >> 6 & 1) != 0 ? 40 : 0,
        .log = on_log,
        .log_level = 4,
        .allocator = &stage->allocator,
        .hosts_file = "/nonexistent",
    };
}

static struct q_engine *engine_of(struct stage *stage) { return q_table_entry_of(stage->engine)->engine; }
static struct q_port *port_of(struct stage *stage, uint32_t index) {
    return q_engine_port_at(engine_of(stage), index);
}

static void open_ports(struct stage *stage) {
    for (uint32_t i = 0; i < 2; i++) {
        struct stage_port *port = &stage->ports[i];
        *port = (struct stage_port){.stage = stage, .is_inline = i == 0, .must_drain = true};
        struct quoit_port_options options = {.struct_size = sizeof options,
                                             .mode = port->is_inline ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD,
                                             .capacity = 16,
                                             .on_event = stage_on_event,
                                             .context = port};
        FUZZ_CHECK(quoit_port_create(stage->engine, &options, &port->handle) == 0);
        const struct q_evring *ring = &port_of(stage, i)->ring;
        port->reservable = atomic_load(&ring->reservable);
        port->data_room = ring->data_room;
    }
}

static void make_kernel(struct stage *stage) {
    uint8_t bits = stage->config.kernel;
    struct q_sim_options options = {.seed = stage->config.seed};
    if ((bits & 1) != 0) {
        options.profile = (struct q_sim_profile){.no_futex = (bits & 2) != 0,
                                                 .no_socket_cmd = (bits & 4) != 0,
                                                 .no_bind_op = (bits & 8) != 0,
                                                 .no_reg_reg_ring = (bits & 16) != 0};
    }
    stage->sim = q_sim_new(&options);
    stage->ledger = q_ledger_new(q_sim_sys(stage->sim));
    stage->memory = q_failalloc_new();
    stage->allocator = (struct quoit_allocator){stage_allocate, stage_release, stage->memory};
    listen_everywhere(stage);
}

static void free_kernel(struct stage *stage) {
    char text[512] = "";
    bool is_clean = q_ledger_check(stage->ledger, text, sizeof text);
    while (is_clean && q_sim_step(stage->sim, q_sim_now(stage->sim) + Q_NS_PER_S)) {
        // FINs arrive, peers let go
    }
    is_clean = is_clean && q_sim_check(stage->sim, text, sizeof text) &&
               q_failalloc_check(stage->memory, text, sizeof text);
    if (!is_clean) {
        q_ledger_dump(stage->ledger, stderr, 40);
        fprintf(stderr, "%s\n", text);
        abort();
    }
    stage_note(stage, q_ledger_counts(stage->ledger)->sqes << 32 | q_ledger_counts(stage->ledger)->cqes);
    stage_note(stage, q_failalloc_calls(stage->memory));
    q_sim_free(stage->sim);
    q_ledger_free(stage->ledger);
    q_failalloc_free(stage->memory);
}

bool stage_open(struct stage *stage, const struct stage_config *config) {
    // The arrays' elements are made when they are used.
    stage->config = *config;
    stage->num_requests = stage->num_conns = stage->num_slices = stage->num_feeds = 0;
    stage->tick_at_ns = stage->peers_sent = stage->trace = 0;
    stage->reaction = 0;
    stage->is_closing = stage->is_settling = stage->has_memory_faults = stage->has_kernel_faults = false;
    make_kernel(stage);
    struct q_engine_seams seams = {
        .sys = q_ledger_sys(stage->ledger), .clock = q_sim_clock(stage->sim), .has_seed = true, .seed = 1};
    struct quoit_engine_options options = engine_options(stage);
    q_failalloc_fail_at(stage->memory, config->create);
    struct q_error error = q_engine_create(&options, &seams, &stage->engine);
    bool has_failed = q_failalloc_failed(stage->memory);
    q_failalloc_fail_at(stage->memory, 0);
    FUZZ_CHECK(error.code == (has_failed && config->create > 0 ? Q_ERR_NO_MEMORY : 0));
    if (q_error_is(error)) {
        free_kernel(stage);
        return false;
    }
    stage->ticks_again = true;
    open_ports(stage);
    return true;
}

// --- driving -----------------------------------------------------------------------------------------------------

static void tick(struct stage *stage) {
    uint64_t enters_before = q_sim_stats(stage->sim)->enters;
    int32_t result = quoit_engine_tick(stage->engine);
    FUZZ_CHECK(result == 0 || result == 1);
    FUZZ_CHECK(q_sim_stats(stage->sim)->enters - enters_before <= 2 || stage->tick_at_ns == 0);
    stage->ticks_again = result == 1;
    int64_t timeout_ms = result == 1 ? 0 : quoit_engine_timeout_ms(stage->engine);
    stage->tick_at_ns = timeout_ms < 0 ? UINT64_MAX : q_sim_now(stage->sim) + (uint64_t)timeout_ms * Q_NS_PER_MS;
    if (q_sim_violations(stage->sim) > 0 || q_ledger_violations(stage->ledger) > 0) {
        const char *what = q_sim_violation(stage->sim, 0);
        q_ledger_dump(stage->ledger, stderr, 40);
        fprintf(stderr, "%s\n", what != NULL ? what : q_ledger_violation(stage->ledger));
        abort();
    }
}

static bool is_readable(struct stage *stage, int fd) { return fd >= 0 && q_sim_eventfd_count(stage->sim, fd) > 0; }

static bool wants_tick(struct stage *stage) {
    return stage->ticks_again || q_sim_now(stage->sim) >= stage->tick_at_ns ||
           is_readable(stage, quoit_engine_fd(stage->engine));
}

static bool wants_drain(struct stage_port *port) {
    bool may_drain = !port->is_inline && !port->is_closed && !port->is_lazy;
    return may_drain && (port->num_drained > 0 || port->must_drain ||
                         is_readable(port->stage, quoit_port_fd(port->handle)));
}

static uint64_t event_sum(const struct quoit_event *event) {
    const struct quoit_question *question = &event->u.question;
    switch (event->type) {
    case QUOIT_EVENT_DATA: return stage_sum(event->u.data.data, event->u.data.len);
    case QUOIT_EVENT_QUESTION: return stage_sum(question->url, question->url_len);
    default: return 0;
    }
}

// What was drained stays as it is until the host advances.
void stage_advance(struct stage_port *port) {
    for (int32_t i = 0; i < port->num_drained; i++) {
        FUZZ_CHECK(event_sum(&port->drained[i]) == port->sums[i]);
        stage_give_back(port, &port->drained[i]);
    }
    port->num_drained = 0;
    FUZZ_CHECK(quoit_port_advance(port->handle) == 0);
}

static void drain(struct stage_port *port) {
    struct stage *stage = port->stage;
    if (port->num_drained > 0) {
        stage_advance(port);
        return;
    }
    int32_t count = quoit_port_drain(port->handle, port->drained, sizeof port->drained[0], STAGE_DRAIN);
    FUZZ_CHECK(count >= 0 && count <= STAGE_DRAIN);
    port->num_drained = count;
    port->must_drain = count == STAGE_DRAIN; // returning less, a drain has armed the descriptor
    for (int32_t i = 0; i < count; i++) {
        struct quoit_event *event = &port->drained[i];
        stage_check_event(port, event);
        port->sums[i] = event_sum(event);
        uint8_t reaction = stage->reaction;
        stage->reaction = 0;
        if (reaction != 0 && event->type != QUOIT_EVENT_CLOSED) {
            stage_react(stage, &stage->requests[event->user_data - 1], reaction);
        }
        if (reaction % 8 == 1 && stage_take(port, event)) {
            event->type = 0; // not the port's any more
            port->sums[i] = 0;
        }
    }
}

// One thing that is due now; false: there is none.
static bool step_now(struct stage *stage) {
    bool did = false;
    q_sim_run_due(stage->sim);
    if (wants_tick(stage)) {
        tick(stage);
        did = true;
    }
    if (wants_drain(&stage->ports[1])) {
        drain(&stage->ports[1]);
        did = true;
    }
    return did;
}

static bool is_over(const struct stage *stage) { return stage->ports[0].is_closed && stage->ports[1].is_closed; }

// Lets time pass until something is due for the host, at most until `until_ns`; of an engine that is over nothing is.
static void sleep_until(struct stage *stage, uint64_t until_ns) {
    until_ns = stage->tick_at_ns < until_ns && !is_over(stage) ? stage->tick_at_ns : until_ns;
    while ((is_over(stage) || (!wants_tick(stage) && !wants_drain(&stage->ports[1]))) &&
           q_sim_step(stage->sim, until_ns)) {
        // an event of the world's
    }
}

static bool have_all_ended(const struct stage *stage) {
    for (uint32_t i = 0; i < stage->num_requests; i++) {
        if (!stage->requests[i].has_ended) {
            return false;
        }
    }
    return true;
}

static void describe(struct stage *stage, unsigned steps, unsigned in_a_row) {
    fprintf(stderr, "%u steps, %u in a row; tick: again %d, readable %d, at %lld of now; port: lazy %d, must %d, out %d\n",
            steps, in_a_row, stage->ticks_again, is_readable(stage, quoit_engine_fd(stage->engine)),
            (long long)(stage->tick_at_ns - q_sim_now(stage->sim)), stage->ports[1].is_lazy,
            stage->ports[1].must_drain, stage->ports[1].num_drained);
    for (uint32_t i = 0; i < stage->num_requests; i++) {
        const struct stage_request *request = &stage->requests[i];
        fprintf(stderr, "request %u: port %u, head %d, upgraded %d, ended %d, canceled %d, received %llu, credit %llu\n",
                request->number, request->port, request->has_head, request->is_upgraded, request->has_ended,
                request->was_canceled, (unsigned long long)request->received, (unsigned long long)request->credit);
    }
}

// Runs until `is_done`, or until the time is there; false: then it was not done.
static bool run_until(struct stage *stage, uint64_t until_ns, bool (*is_done)(const struct stage *stage)) {
    unsigned in_a_row = 0;
    for (unsigned steps = 0; !is_done(stage); steps++) {
        bool is_stuck = steps >= STEPS_MAX || in_a_row >= TICKS_IN_A_ROW_MAX;
        if (is_stuck) {
            describe(stage, steps, in_a_row);
        }
        FUZZ_CHECK(!is_stuck);
        if (!is_over(stage) && step_now(stage)) {
            in_a_row++;
            continue;
        }
        in_a_row = 0;
        if (q_sim_now(stage->sim) >= until_ns) {
            return false;
        }
        sleep_until(stage, until_ns);
    }
    return true;
}

static bool is_never(const struct stage *stage) {
    (void)stage;
    return false;
}

void stage_run_for(struct stage *stage, uint64_t ns) {
    (void)run_until(stage, q_sim_now(stage->sim) + ns, is_never);
}

void stage_close(struct stage *stage, uint64_t drain_ms) {
    stage->is_closing = true;
    FUZZ_CHECK(quoit_engine_close(stage->engine, drain_ms) == 0);
}

void stage_release_slice(struct stage *stage, uint32_t index) {
    struct stage_slice *held = &stage->slices[index];
    FUZZ_CHECK(stage_sum(held->slice.data, held->slice.len) == held->sum);
    stage->requests[held->number - 1].held -= held->slice.len;
    FUZZ_CHECK(quoit_slice_release(stage->engine, &held->slice) == 0);
    *held = stage->slices[--stage->num_slices];
}

// --- the end -----------------------------------------------------------------------------------------------------

static uint32_t free_slots(const struct q_slotfree *list) {
    uint32_t count = list->capacity - atomic_load(&list->fresh);
    for (uint32_t at = (uint32_t)atomic_load(&list->top); at != 0; at = atomic_load(&list->next[at - 1])) {
        count++;
    }
    return count;
}

static uint32_t received_out(const struct q_engine *engine) {
    return engine->buffer_pool.num_out * engine->buffer_pool.capacity +
           engine->large_pool.num_out * engine->large_pool.capacity;
}

// With no request pending, every slot, chunk and reservation is back where it was; what a port's host has advanced over
// is collected in a tick, whenever that comes.
static bool is_at_rest(struct stage *stage) {
    struct q_engine *engine = engine_of(stage);
    bool rests = free_slots(&engine->slots_free) == engine->options.requests_max && engine->head_pool.num_out == 0 &&
                 engine->small_pool.num_out == 0 && received_out(engine) <= Q_ENGINE_BUFFERS * Q_ENGINE_BUFFER_BYTES;
    for (uint32_t i = 0; i < 2; i++) {
        const struct q_evring *ring = &port_of(stage, i)->ring;
        rests = rests && atomic_load(&ring->reservable) == stage->ports[i].reservable &&
                ring->data_room == stage->ports[i].data_room;
    }
    return rests;
}

static void behave(struct stage *stage) {
    stage->is_settling = true;
    stage->reaction = 0;
    stage->ports[1].is_lazy = false;
    q_failalloc_fail_at(stage->memory, 0);
    for (unsigned opcode = 0; opcode < 64; opcode++) {
        q_sim_fail_op(stage->sim, opcode, 0, 0);
    }
    while (stage->num_slices > 0) {
        stage_release_slice(stage, 0);
    }
}

// Each request has a total timeout: with a host that behaves all end by then, whatever the peers do.
static void await_ends(struct stage *stage) {
    uint64_t due_ns = q_sim_now(stage->sim);
    for (uint32_t i = 0; i < stage->num_requests; i++) {
        due_ns = stage->requests[i].due_ns > due_ns ? stage->requests[i].due_ns : due_ns;
    }
    FUZZ_CHECK(run_until(stage, due_ns + 10 * Q_NS_PER_MS, have_all_ended));
    for (unsigned i = 0; !stage->is_closing && !is_at_rest(stage); i++) {
        FUZZ_CHECK(i < 100);
        stage_run_for(stage, Q_NS_PER_MS);
        tick(stage);
    }
    struct quoit_engine_info info = {.struct_size = sizeof info};
    FUZZ_CHECK(quoit_engine_info(stage->engine, &info) == 0);
    FUZZ_CHECK(stage->is_closing || info.requests_pending == 0);
    FUZZ_CHECK(info.requests_done + info.requests_failed == stage->num_requests);
}

void stage_end(struct stage *stage) {
    behave(stage);
    if (stage->config.is_fair) {
        await_ends(stage);
    }
    stage_close(stage, 0);
    FUZZ_CHECK(run_until(stage, q_sim_now(stage->sim) + CLOSE_NS, is_over));
    FUZZ_CHECK(have_all_ended(stage));
    FUZZ_CHECK(quoit_engine_destroy(stage->engine) == 0);
    FUZZ_CHECK(quoit_engine_tick(stage->engine) == -QUOIT_ERR_STALE_HANDLE);
    FUZZ_CHECK(stage->num_feeds == 0);
    for (uint32_t i = 0; i < stage->num_requests; i++) {
        FUZZ_CHECK(stage->requests[i].releases == (stage->requests[i].has_body ? 1 : 0));
    }
    free_kernel(stage);
}

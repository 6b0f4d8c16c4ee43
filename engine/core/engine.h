// Engine: everything together. core owns lifetimes: of the engine, its thread, ports and request slots; takes in the
// commands of the submission queue; and turns what exchanges tell into events.
//
// Phases: running -> draining (no new requests; the pending ones may finish until a deadline) -> aborting (they are
// ended) -> dismantling (connections, then ports' slots, then the doorbell) -> closed (the ring is gone; each port has
// had its CLOSED). One function moves the phase on, once a tick.
#ifndef QUOIT_ENGINE_CORE_ENGINE_H
#define QUOIT_ENGINE_CORE_ENGINE_H

#include "engine/core/engine_names.h"
#include "engine/core/port.h"
#include "engine/core/table.h"
#include "engine/loop/ring.h"
#include "engine/queue/pending.h"

#include <pthread.h>

#define Q_ENGINE_PORTS_MAX 256
#define Q_ENGINE_COMMANDS_PER_TICK 256  // so that a flood of submits does not starve sockets and timers
#define Q_ENGINE_BUFFER_BYTES 16384     // one TLS record fits; smaller ones mean more completions
#define Q_ENGINE_BUFFERS 64             // at most; lent to the kernel at a time; a kernel entry posts about 20 completions
#define Q_ENGINE_LARGE_BYTES 32768      // for what streams fast; see ring_buffers.c
#define Q_ENGINE_SMALL_BYTES 4096

// The seams: the real ones for hosts, others in tests and simulation.
struct q_engine_seams {
    struct q_sys_uring *sys;
    const struct q_clock *clock;
    bool has_seed; // else the kernel gives one
    uint64_t seed;
};

// Host-driven: which thread ticks. Until one does, a port may be opened by any thread, but by one at a time.
enum q_engine_binding { Q_ENGINE_UNBOUND, Q_ENGINE_BINDING, Q_ENGINE_BOUND };

enum q_engine_phase {
    Q_ENGINE_RUNNING,
    Q_ENGINE_DRAINING,
    Q_ENGINE_ABORTING,
    Q_ENGINE_CLOSING_CONNECTIONS,
    Q_ENGINE_CLOSING_PORTS,
    Q_ENGINE_QUIESCING,
    Q_ENGINE_CLOSED,
};

struct q_engine {
    // Any thread, under their protocols.
    struct q_mpsc queue;
    struct q_doorbell bell;
    struct q_slotfree slots_free;
    struct q_command close_command;
    _Atomic(uint32_t) is_close_queued;
    _Atomic(uint64_t) close_at_ns;  // earliest deadline that any close asked for
    _Atomic(uint64_t) num_taken;    // slices that hosts hold
    _Atomic(uint32_t) is_closed;    // the loop is over but for the last events
    _Atomic(uint32_t) num_ports;    // places given out in `ports`; a place may be empty
    _Atomic(uint64_t) num_wakes;
    _Atomic(struct q_port *) ports[Q_ENGINE_PORTS_MAX];
    _Atomic(uint64_t) snapshot[32]; // counters for quoit_engine_info; see engine_info.c

    // Constant once made.
    struct q_table_entry *entry;
    struct quoit_engine handle;
    struct quoit_engine_options options; // every default filled in
    struct q_alloc alloc;
    struct q_log log;
    struct q_engine_seams seams;
    struct q_port_env port_env; // the request slots too
    size_t requests_size;
    pthread_t thread;
    sem_t started;
    int event_fd; // host-driven: for the host to watch; -1 otherwise. The bell's, and goes with it.
    struct q_error start_error;
    struct q_handle default_tls;      // one hold; none: there is no trust store here
    struct q_error default_tls_error; // then why
    char *default_tls_detail;         // and what more there is to say; NULL: nothing
    struct q_tls_report *default_tls_report; // the loop's: the same for who meets it; NULL: nothing, or no memory for it

    // The loop.
    struct q_ring *ring;
    struct q_loop loop;
    struct q_engine_names names;
    struct q_winners winners;
    struct q_dial_env dial_env;
    struct q_chunk_budget budget;
    struct q_holders holders;
    struct q_list requests_short; // of memory for what they were offered; linked by refused_link
    struct q_timer memory_timer;  // when they try again
    struct q_chunk_pool buffer_pool;
    struct q_chunk_pool large_pool; // receive buffers too
    struct q_chunk_pool head_pool;
    struct q_chunk_pool small_pool;
    struct q_tls_client tls_client;
    struct q_conn_env conn_env;
    struct q_pool pool;
    struct q_mpsc_node *backlog; // commands taken out of the queue and not run yet
    struct q_list requests_live;
    struct q_list requests_dead; // ended; their slots are given back between ticks
    struct q_timer close_timer;
    uint32_t generations_used; // the most that any slot has had
    uint64_t questions_used;   // the most that any slot has asked
    uint64_t num_done;
    uint64_t num_failed;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint8_t phase; // enum q_engine_phase
    bool must_publish; // a command asked for the publish step
    bool is_parked; // the queue was parked and not drained since
    bool are_ports_closing;
    bool is_ticking; // host-driven: inside a tick
    bool is_over;  // the loop has nothing to do any more
    _Atomic(uint32_t) binding;  // enum q_engine_binding; host-driven
    int32_t bind_code;          // what binding came to
};

// --- life: engine.c ---

// q_engine_create makes an engine on the given seams (NULL: the real ones). Errors as quoit_engine_create.
Q_MUST_USE struct q_error q_engine_create(const struct quoit_engine_options *options,
                                          const struct q_engine_seams *seams, struct quoit_engine *out);

// q_engine_close, q_engine_destroy, q_engine_tick: see the functions of the same names in api/quoit.h.
void q_engine_close(struct q_engine *engine, uint64_t drain_ms);
int32_t q_engine_destroy(struct q_engine *engine);
int32_t q_engine_tick(struct q_engine *engine);

// q_engine_push hands a command to the loop and wakes it if it sleeps. Any thread inside the engine.
void q_engine_push(struct q_engine *engine, struct q_command *command);

static inline uint32_t q_engine_num_ports(const struct q_engine *engine) {
    return atomic_load_explicit(&engine->num_ports, memory_order_acquire);
}

static inline struct q_port *q_engine_port_at(struct q_engine *engine, uint32_t index) {
    return index < Q_ENGINE_PORTS_MAX ? atomic_load_explicit(&engine->ports[index], memory_order_acquire) : NULL;
}

// q_engine_poke makes the loop look at the engine's phase. Any thread inside the engine.
void q_engine_poke(struct q_engine *engine);

// q_engine_is_here tells whether the caller is the loop thread.
bool q_engine_is_here(const struct q_engine *engine);

// q_engine_open_port makes a port and waits until the loop has it. The caller has counted a request, which keeps the
// loop going for as long. Errors as quoit_port_create.
Q_MUST_USE int32_t q_engine_open_port(struct q_engine *engine, const struct quoit_port_options *options,
                                      uint32_t *out_index);

// --- commands: commands.c ---

extern const struct q_loop_steps q_engine_steps;

// q_engine_submit fills a slot and pushes it. The caller has counted the request and holds `spec`, which is frozen; one
// more hold is taken. Errors: PORT_FULL, REQUESTS_MAX. Any thread.
Q_MUST_USE int32_t q_engine_submit(struct q_engine *engine, struct q_port *port, struct q_spec *spec,
                                   uint64_t user_data, struct quoit_handle *out);

// q_engine_run_command runs one drained command. Loop thread, and destroy.
void q_engine_run_command(struct q_engine *engine, struct q_command *command);

// --- closing: engine_close.c ---

// q_engine_advance_closing moves the phase on as far as it can go now. True: it got somewhere, or could at once. Loop
// thread, publish step.
bool q_engine_advance_closing(struct q_engine *engine);

// q_engine_finish ends what can only be ended outside a tick: the ring; then says CLOSED. Loop thread.
void q_engine_finish(struct q_engine *engine);

// --- events: sink.c ---

extern const struct q_exchange_sink q_engine_sink;

// q_engine_retry_short, of memory_timer, offers those who were short of memory once more what they had to refuse.
void q_engine_retry_short(struct q_timer *timer);

// --- questions: question.c ---

// q_engine_ask asks the host whether `exchange` may go on to `next`: the sink's `ask`. False: not now, since the port has no
// room, or an answer to a question that was taken back is on its way still; the exchange is resumed.
bool q_engine_ask(struct q_exchange *exchange, uint16_t status, struct q_spec *next, uint32_t hop);

// q_engine_ask_connection asks the host about the connection that is being made for `exchange`: the sink's
// `ask_connection`. False: not now.
bool q_engine_ask_connection(struct q_exchange *exchange, struct q_tls_dossier *dossier);

// q_engine_unask takes that question back: the sink's `unask`.
void q_engine_unask(struct q_exchange *exchange);

// q_engine_answer is quoit_answer. Any thread inside the engine; async-signal-safe.
int32_t q_engine_answer(struct q_engine *engine, uint64_t token, uint32_t answer);

// q_engine_answer_signature is quoit_answer_signature. Any thread inside the engine; it allocates.
int32_t q_engine_answer_signature(struct q_engine *engine, uint64_t token, struct q_slice signature);

// q_engine_drop_answer frees what an answer has brought whose command is not run any more. Destroy.
void q_engine_drop_answer(struct q_engine *engine, struct q_command *command);

// q_engine_run_answer runs the command of an answer. Loop thread.
void q_engine_run_answer(struct q_engine *engine, struct q_command *command);

// --- counters: engine_info.c ---

// q_engine_snapshot stores the loop's counters where any thread can read them. Loop thread, once a tick.
void q_engine_snapshot(struct q_engine *engine);

// q_engine_info is quoit_engine_info; `out->struct_size` says how much of it the caller knows. Any thread.
int32_t q_engine_info(struct q_engine *engine, struct quoit_engine_info *out);

#endif

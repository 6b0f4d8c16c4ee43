// Port: where events meet the host. One event ring (queue/evring.h) with the loop as producer; the consumer is a host
// thread with an eventfd, or, inline, the loop itself at the publish step.
//
// Each pending request holds two reserved slots of its port, for its head and its terminal event; everything else goes
// into unreserved slots or waits: the request is then refused, stands in `refused`, and its connection stops receiving
// until the host advances.
//
// Memory. An entry holds its chunk, its spec or its dossier until the host has advanced over it; a taken entry's hold passes
// to the host.
#ifndef QUOIT_ENGINE_CORE_PORT_H
#define QUOIT_ENGINE_CORE_PORT_H

#include "api/quoit.h"
#include "engine/core/request.h"
#include "engine/core/table.h"
#include "engine/core/taken.h"
#include "engine/loop/sys_uring.h"
#include "engine/queue/evring.h"

#include <semaphore.h>

// What ports need of their engine, which fills it in and outlives them.
struct q_port_env {
    const struct q_alloc *alloc;
    struct q_sys_uring *sys;
    const struct q_clock *clock;
    struct q_io *io; // while the ring lives; the loop's
    struct q_loop *loop; // likewise
    struct q_chunk_pool *small_pool; // loop only: for copies
    struct q_taken taken;            // pieces that hosts hold
    struct q_requests requests;
    struct q_table_escape escape; // the loop's way out in a child
};

#define Q_PORT_SLOTS_PER_REQUEST 2 // reserved by each submit: its head and its terminal event

// One event on its way. Between publish and advance it belongs to the consumer, who may set `is_taken`.
struct q_port_entry {
    struct quoit_event event;
    struct q_chunk *chunk; // one hold, or NULL
    struct q_spec *spec;   // that a question points into; one hold, or NULL
    struct q_chunk *dials;       // likewise, beside `chunk`
    struct q_tls_report *report; // that a summary points at; one hold, or NULL
    char *secret;          // line of a key log, overwritten and freed when the host is done with it; NULL: none
    uint32_t secret_len;
    struct q_tls_dossier *dossier; // that a question points into; one hold, or NULL
    uint64_t charge;       // credit that comes back with it
    bool is_taken;
};

struct q_port {
    // Constant once open.
    struct q_port_env *env;
    struct q_engine *engine; // for the entry points; nothing here looks into it
    uint32_t mode;           // enum quoit_port_mode
    int fd;        // eventfd; -1 inline
    quoit_event_fn on_event;
    void *context;

    // Shared, each under its protocol.
    struct q_evring ring;
    struct q_command wake;
    struct q_command open;
    sem_t opened;         // posted once by the loop
    int32_t open_code;

    // The draining thread.
    _Atomic(uint32_t) is_draining; // it is inside: for others to find out
    size_t num_drained; // entries handed out and not advanced over

    // The loop.
    struct q_io_slot slot;
    struct q_io_op close_op;
    struct q_list refused;
    struct q_port_entry *last; // last filled entry while it is not published, else NULL
    uint64_t num_outstanding;  // filled and not collected
    uint64_t num_lost;         // lines of the key log for which there was no room
    bool wants_keys;           // constant once open
    bool needs_credit;         // a request ran out of credit that this port's events hold
    bool is_slot_open;
};

// q_port_new makes a port that nobody knows yet. NULL when the options are wrong, or memory or descriptors are used up
// (`out_code` says which).
struct q_port *q_port_new(struct q_port_env *env, struct q_engine *engine,
                          const struct quoit_port_options *options, int32_t *out_code);

// q_port_free gives everything back. Nobody uses the port any more, and its entries hold nothing (q_port_drop).
void q_port_free(struct q_port *port);

// --- the loop's side (port.c) ---

// q_port_attach installs the port's eventfd in a slot of the ring. Loop thread.
int32_t q_port_attach(struct q_port *port);

// q_port_produce gives an entry to fill, of a reserved slot or of the unreserved ones (NULL: no room). Its event's
// type, handle and user data are set, its chunk and charge are not. Loop thread.
struct q_port_entry *q_port_produce(struct q_port *port, struct q_request *request, uint32_t type, bool is_reserved);

// q_port_tell_key gives the port a line of the key log, if it wants any; what there is no room or memory for is counted. Loop
// thread.
void q_port_tell_key(struct q_port *port, struct q_slice line);

// q_port_refuse puts a request in line for room. Loop thread.
void q_port_refuse(struct q_port *port, struct q_request *request);

// q_port_publish takes back what the host has advanced over, serves those who waited for it, and publishes what was
// filled. True: there is more to do at once. Loop thread, publish step.
bool q_port_publish(struct q_port *port);

// q_port_end publishes CLOSED as the last event, when the ring is gone already. Loop thread.
void q_port_end(struct q_port *port);

// q_port_drop releases every chunk that the port's entries still hold. No consumer any more: destroy.
void q_port_drop(struct q_port *port);

// --- the consumer's side (port_host.c) ---

// q_port_drain is quoit_port_drain: the number of events, or a negated code. The draining thread.
int32_t q_port_drain(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max);

// q_port_wait is quoit_port_wait. The draining thread.
int32_t q_port_wait(struct q_port *port, struct quoit_event *events, size_t event_size, size_t max,
                    int32_t timeout_ms);

// q_port_advance is quoit_port_advance: a code. `out_is_wake_wanted`: the loop waits for it, and the caller must push
// port->wake. The draining thread.
Q_MUST_USE int32_t q_port_advance(struct q_port *port, bool *out_is_wake_wanted);

// q_port_take is quoit_port_take: a code. The caller counts what was taken. The draining thread.
Q_MUST_USE int32_t q_port_take(struct q_port *port, const struct quoit_event *event, struct quoit_slice *out);

#endif

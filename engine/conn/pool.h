// The pool: connections by origin, and the requests that wait for them. It makes connections, lends each to one
// exchange at a time, keeps idle ones (latest first) and lets them die. Hard limits per origin and in total; waiters
// are served first come, first served.
//
// A lease is embedded by who asks. It is in one of three places: waiting (linked), holding a connection, or neither.
// Loop thread only.
#ifndef QUOIT_ENGINE_CONN_POOL_H
#define QUOIT_ENGINE_CONN_POOL_H

#include "engine/conn/dials.h"
#include "engine/conn/h1_conn.h"
#include "engine/conn/origin.h"

struct q_lease;

struct q_lease_events {
    // A connection is there; it is idle, and the lessee starts on it at once.
    void (*on_leased)(struct q_lease *lease, struct q_conn *conn);
    void (*on_failed)(struct q_lease *lease, struct q_error error);
    // A connection is being made that this one in line counts on, whoever it was begun for; or (false) it has gone to
    // another, and this one waits for whichever comes free. The one event that may come from inside q_pool_lease, and from
    // inside another lease's q_pool_cancel. NULL: not told.
    void (*on_dialing)(struct q_lease *lease, bool is_dialed);
    // The host must decide before the connection that is being made can go on: q_pool_answer. Or this one in line leaves it,
    // by whatever event, and the question is another's. The connection stands still, and the bound on connecting with it.
    // `dossier` is there until then; who keeps it longer acquires it. NULL: never asked.
    void (*on_question)(struct q_lease *lease, struct q_tls_dossier *dossier);
    // The question is over without an answer, and this one is in line still: the connection is not made any more. Another one
    // may come with a question of its own. Told by whoever ends connections.
    void (*on_unasked)(struct q_lease *lease);
};

struct q_lease {
    struct q_list_node link; // in its origin's waiters
    const struct q_lease_events *events;
    struct q_pool_origin *origin; // while waiting
    uint64_t connect_timeout_ns;
    uint64_t tls_timeout_ns; // of a handshake that is begun for it; 0: Q_TLS_HANDSHAKE_NS
    uint64_t resolve_timeout_ns; // within it; 0: none of its own
    struct q_chunk *dials;  // set with on_failed: what was tried (dials.h), one hold, the lessee's; NULL: nothing
    struct q_timer timer;   // of connecting, from when it first counts on an attempt
    struct q_tls_report *report; // inside on_failed: what is known of the server; borrowed. NULL: nothing
    uint64_t deadline_ns;   // likewise
    struct q_conn *asked_by; // in line: the connection whose question it has or has answered; NULL: none. See pool_internal.h
    uint64_t asked_ns;
    uint64_t place;         // in the order in which leases began to wait, over all origins
    bool is_asked;          // the question of `asked_by` stands
    bool is_dialed;         // it counts on a connection that is being made
    bool wants_fresh;       // no connection that has been idle: those just died under it
};

struct q_pool_options {
    uint32_t connections_max;            // in total
    uint32_t connections_per_origin_max;
    uint32_t waiters_per_origin_max;
};

struct q_pool_stats {
    uint64_t opened;
    uint64_t reused;
    uint32_t open;
};

#define Q_POOL_BUCKETS 256 // of the origin table; origins are few, and a walk of a bucket is short

struct q_pool {
    const struct q_alloc *alloc;
    const struct q_conn_env *env;
    struct q_pool_options options;
    struct q_pool_stats stats;
    struct q_slots conns;
    struct q_list buckets[Q_POOL_BUCKETS];
    struct q_list idle_lru; // longest idle first
    struct q_list orphans;  // connections whose question has nobody
    struct q_task orphans_task;
    struct q_list hungry;   // origins whose waiters need a connection that the total limit forbids
    uint64_t hash_key[2];
    struct q_handle default_tls;      // for https origins without a config of their own; held by the pool's owner
    struct q_error default_tls_error; // why there is none
    struct q_tls_report *default_tls_report; // and what more there is to say; its owner's. NULL: nothing
    uint32_t next_conn_id;
    uint32_t num_hungry;
    uint32_t num_closing; // connections that take up room and are on their way out
    uint64_t next_place;
    bool is_closing;
};

// q_pool_init prepares an empty pool. `env` outlives it. Fails with NO_MEMORY.
Q_MUST_USE struct q_error q_pool_init(struct q_pool *pool, const struct q_alloc *alloc, const struct q_conn_env *env,
                                      const struct q_pool_options *options);

// q_pool_deinit frees the pool. No connection and no waiter may be left (checked). Legal on a zeroed pool.
void q_pool_deinit(struct q_pool *pool);

enum q_lease_result { Q_LEASE_NOW, Q_LEASE_WAITING, Q_LEASE_FAILED };

// q_pool_lease asks for a connection to `origin`. It never calls back before it returns, but for on_dialing: with
// Q_LEASE_NOW `out_conn` is an idle connection that the caller starts on; with Q_LEASE_WAITING exactly one of on_leased
// and on_failed follows, unless q_pool_cancel comes first; with Q_LEASE_FAILED `out_error` says why and nothing follows.
// `origin` is copied. `lease->events`, `connect_timeout_ns` (for resolving and connecting) and `resolve_timeout_ns` are set
// by the caller. Errors now: WAITERS_MAX, NO_MEMORY, CLOSED, and default_tls_error (with lease->report).
Q_MUST_USE enum q_lease_result q_pool_lease(struct q_pool *pool, struct q_lease *lease, const struct q_origin *origin,
                                            struct q_conn **out_conn, struct q_error *out_error);

// q_pool_cancel takes a waiting lease back; one that does not wait is left alone.
void q_pool_cancel(struct q_pool *pool, struct q_lease *lease);

// q_pool_retire has connections that speak TLS by the interned config `tls` (the zero handle: that speak TLS at all) serve
// nobody any more but who uses them now. Idle ones end; those that are being made end too, and are begun again for whoever
// waits.
void q_pool_retire(struct q_pool *pool, struct q_handle tls);

// q_pool_answer gives the host's answer to the question that was told by on_question, with a signature, if it is one to sign
// and is answered with yes. It does nothing when none stands. Nothing is told from inside this call.
void q_pool_answer(struct q_pool *pool, struct q_lease *lease, bool is_yes, struct q_slice signature);

// q_pool_close ends all connections that have no user and opens no more. Waiters must have been cancelled.
void q_pool_close(struct q_pool *pool);

// q_pool_is_empty tells whether every connection is gone.
bool q_pool_is_empty(const struct q_pool *pool);

#endif

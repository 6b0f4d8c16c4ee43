// Dialer: from the name of a peer to a connected socket. It asks for the name's addresses (resolve.h), races to them
// (eyeballs.h), and remembers who won (winners.h).
//
// Life: q_dialer_start -> one of on_dialed and on_failed, or, behind q_dialer_cancel, on_canceled. Events come from the
// loop's tick, never from inside a call. When one comes nothing of the dialer is asked or in flight any more, but for the
// slot that on_dialed hands over; its memory may go in the event, or start anew.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_DIALER_H
#define QUOIT_ENGINE_NET_DIALER_H

#include "engine/net/dial_options.h"
#include "engine/net/eyeballs.h"
#include "engine/net/winners.h"

// What all dialers of an engine share; outlives them.
struct q_dial_env {
    struct q_loop *loop;
    const struct q_alloc *alloc;
    struct q_names *names;
    const struct q_sources *sources; // NULL: nobody can tell
    struct q_winners *winners;       // NULL: nobody remembers
};

// Where to, and how. What it points at outlives the dialer.
struct q_dial_target {
    struct q_slice name;        // to be looked up; empty: `address` it is
    struct q_address address;
    uint16_t port;              // of a name
    struct q_endpoint local;    // where from; NONE: wherever
    const struct q_dial_options *options;
    uint64_t winner;            // its name in `winners`; 0: none
    uint64_t resolve_ns;        // most that looking up may take; 0: no bound of its own
};

struct q_dialer;

struct q_dialer_events {
    void (*on_dialed)(struct q_dialer *dialer, struct q_io_slot slot, const struct q_endpoint *remote);
    void (*on_failed)(struct q_dialer *dialer, struct q_error error);
    void (*on_canceled)(struct q_dialer *dialer);
};

struct q_dialer {
    const struct q_dialer_events *events;
    const struct q_dial_env *env;
    void *above; // the owner's own
    struct q_dial_target target;
    struct q_io_option options[Q_DIAL_SOCKET_OPTIONS_MAX];
    struct q_resolve resolve;
    struct q_timer timer; // of looking up
    struct q_eyeballs eyeballs;
};

// q_dialer_start begins. `env` and `events` outlive the dialer.
void q_dialer_start(struct q_dialer *dialer, const struct q_dial_env *env, const struct q_dial_target *target,
                    const struct q_dialer_events *events);

// q_dialer_cancel ends it; on_canceled follows.
void q_dialer_cancel(struct q_dialer *dialer);

// q_dialer_is_resolving tells whether no address is known yet.
bool q_dialer_is_resolving(const struct q_dialer *dialer);

// q_dialer_last_errno gives what the last attempt that failed said; 0: none has.
int q_dialer_last_errno(const struct q_dialer *dialer);

// q_dialer_timeout gives the error of a connect that took too long: before an address was known it was the name that did, and
// else what the last attempt said is told. NULL: it was dialled, and what follows takes its time.
struct q_error q_dialer_timeout(const struct q_dialer *dialer);

// q_dialer_tell is q_eyeballs_tell: which addresses were tried, and what became of each.
uint32_t q_dialer_tell(const struct q_dialer *dialer, struct q_try *out, uint32_t room);

#endif

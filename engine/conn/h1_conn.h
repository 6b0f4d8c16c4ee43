// HTTP/1.1 connection: has itself dialled, sends one request at a time, reads its response, and waits armed in between.
// Loop thread only.
#ifndef QUOIT_ENGINE_CONN_H1_CONN_H
#define QUOIT_ENGINE_CONN_H1_CONN_H

#include "engine/conn/conn.h"
#include "engine/conn/h1_feeds.h"
#include "engine/conn/holders.h"
#include "engine/loop/loop.h"
#include "engine/net/dialer.h"
#include "engine/net/socket_stream.h"
#include "engine/tls/client.h"

// What all connections of an engine share; outlives them.
struct q_conn_env {
    struct q_loop *loop;
    struct q_chunk_pool *head_chunks;  // heads are built in these
    struct q_chunk_pool *small_chunks; // for an exchange's notes
    struct q_chunk_pool *trailer_chunks; // one of the two: whichever holds what the limits allow
    struct q_holders *holders;
    struct q_tls_client *tls; // NULL: no connection is made secure
    const struct q_dial_env *dial;
    struct q_h1_limits limits;
    uint64_t idle_timeout_ns;
};

// What its handshake asks.
struct q_h1_ask {
    struct q_slice host; // of the URL; outlives the connection
    uint16_t port;
    struct q_tls_question question; // that stands; its kind is Q_TLS_ASK_NOTHING when none does
    uint64_t asked_ns;              // when the owner was told
};

// What a connection of https has besides. Memory of its own, so that the others do not have it.
struct q_h1_tls {
    struct q_tls_stream stream; // above the socket
    struct q_tls_params params;
    struct q_tls_user user;  // of a context
    struct q_conn_tls facts; // once connected
    struct q_tls_report *report; // of a handshake that failed; one hold
    struct q_h1_ask ask;
};

struct q_h1_conn {
    struct q_conn conn; // first: a q_conn is an HTTP/1.1 connection
    const struct q_conn_env *env;
    struct q_socket_stream socket;
    struct q_h1_tls *tls; // NULL: in the clear
    struct q_timer timer; // connecting: the deadline; idle: the timeout; busy and short of memory: the next try

    // What only one state needs shares its memory with what only another one does: thousands of connections may be idle.
    union {
        uint64_t deadline_ns;  // connecting, idle
        uint64_t started_turn; // busy: of the ring, when the exchange began
    } since;
    union {
        struct q_dialer *dialer; // while is_dialing: memory of its own
        struct q_h1_out out;     // busy: of the event that the user refused
    } u;

    // Busy.
    struct q_conn_user *user;
    struct q_h1_reader reader;
    struct q_holder holder;     // while received bytes wait here for somebody else
    struct q_chunk *head_chunk; // memory lent to the reader, one hold
    struct q_chunk *chunk;      // what was received, one hold; NULL when all of it has been read
    struct q_slice input;       // rest of it
    uint64_t bytes_in;
    uint64_t bytes_out; // taken by the kernel
    struct q_error send_error;
    void (*release)(void *context, struct q_loop *loop); // of what is being sent, until nothing of it is in flight
    void *release_context;
    struct q_h1_feeds feeds; // open once the connection is upgraded
    uint8_t refused; // enum q_h1_event, or Q_H1_NEED_MORE: none
    bool is_reused;      // the connection had served an exchange before this one
    bool is_receiving;
    bool has_peer_ended; // upgraded: nothing more comes
    bool is_sending;
    bool asks_close;
    bool asks_report;
    bool is_short_of_memory;
    bool is_fast_open; // what failed to be sent may have gone out with the first packet
    bool is_dialing; // connecting, or closing from there: there is a dialer, and no socket yet
};

// q_h1_conn_init prepares a connection in place. `env` outlives it.
void q_h1_conn_init(struct q_h1_conn *h1, const struct q_conn_env *env);

// q_h1_conn_secure has the connection speak TLS with `peer`, by the interned config `tls`, which the caller holds until the
// connection is closed. Sessions are kept and taken by `audience` (origin.h), which stays until then. Before
// q_h1_conn_connect. Errors: NO_MEMORY; the connection is as it was.
Q_MUST_USE struct q_error q_h1_conn_secure(struct q_h1_conn *h1, struct q_handle tls, const struct q_tls_peer *peer,
                                           struct q_slice audience);

// q_h1_conn_connect dials `target` until a connection is there or `deadline_ns` has passed; on_ready or on_connect_failed
// follows. What `target` points at stays valid until on_closed. Errors now: NO_MEMORY; nothing was begun.
Q_MUST_USE struct q_error q_h1_conn_connect(struct q_h1_conn *h1, const struct q_dial_target *target,
                                            uint64_t deadline_ns);

// q_h1_conn_adopt makes an open connection of a slot whose socket is connected, which it takes over: on_ready follows, maybe
// from inside this call, or on_connect_failed when TLS cannot be spoken on it by `deadline_ns`.
void q_h1_conn_adopt(struct q_h1_conn *h1, struct q_io_slot slot, const struct q_endpoint *remote, uint64_t deadline_ns);

// q_h1_conn_bound_ahead is for who is about to use an idle connection: if its handshake is not over (tls_stream.h, "Ahead"),
// that still is connecting, and ends with TIMEOUT_CONNECT at `deadline_ns`; with TIMEOUT_TLS no sooner than `handshake_ns` says.
void q_h1_conn_bound_ahead(struct q_h1_conn *h1, uint64_t handshake_ns, uint64_t deadline_ns);

#endif

// The simulated network: TCP as two byte streams per connection, between a client socket in a ring's slot and a
// scripted peer that is a table of callbacks.
//
// Client to peer: what a send took waits in the connection's send buffer (bounded) and arrives at the peer in
// segments; the peer can stop reading, and then sends stay blocked. Peer to client: a queue of bytes, delays, FIN and
// RST that is delivered in order, as far as the client's receive buffer (bounded) has room.
// As TCP does: a socket closed with unread bytes sends RST; bytes for a closed socket are answered with RST; RST lets
// the client read what has arrived, then gives ECONNRESET once, then EOF.
//
// A struct q_sim_conn lives until q_sim_free, so that a late callback finds a dead connection and not a stranger.
// Thread rule as for simkernel.h.
#ifndef QUOIT_TESTS_SUPPORT_SIMNET_H
#define QUOIT_TESTS_SUPPORT_SIMNET_H

#include "tests/support/simkernel.h"

#include <sys/socket.h>

struct q_sim_conn;

// What a peer does. Any member may be NULL. `context` is the listener's.
struct q_sim_peer {
    void (*on_open)(void *context, struct q_sim_conn *conn);
    void (*on_bytes)(void *context, struct q_sim_conn *conn, const char *data, size_t len);
    void (*on_fin)(void *context, struct q_sim_conn *conn);    // the client will send no more
    void (*on_reset)(void *context, struct q_sim_conn *conn);  // the client reset the connection
    void (*on_closed)(void *context, struct q_sim_conn *conn); // once, last: free what user data you set
};

// What may stand between a peer and the wire, as TLS does. The peer's calls and callbacks are then about what is inside; the
// filter's are about the wire. It passes on by q_sim_conn_pass, and sends by q_sim_wire_send. All members are there.
struct q_sim_filter {
    void *(*open)(void *context, struct q_sim_conn *conn);         // gives what the others get; before the peer's on_open
    void (*from_wire)(void *own, const char *data, size_t len);    // the client has sent it
    void (*from_peer)(void *own, const char *data, size_t len);    // the peer sends it
    void (*end)(void *own);    // the peer ends its stream to the client: FIN follows, unless it is on the wire already
    void (*fin)(void *own);    // the client will send no more; the peer's on_fin follows
    void (*closed)(void *own); // behind the peer's on_closed: free it
};

enum q_sim_answer {
    Q_SIM_ACCEPT,
    Q_SIM_REFUSE,      // ECONNREFUSED; what an address without listener does
    Q_SIM_UNREACHABLE, // EHOSTUNREACH
    Q_SIM_BLACKHOLE,   // nothing, until the kernel gives up with ETIMEDOUT after 130 s
};

struct q_sim_listener {
    enum q_sim_answer answer;
    uint64_t delay_ns;   // before the answer to a connect
    const struct q_sim_peer *peer;
    void *context;
    const struct q_sim_filter *filter; // NULL: none
    void *filter_context;
    size_t send_buffer;  // bytes that the client can send ahead of the peer; 0: 256 KiB, or drawn in random mode
    size_t receive_buffer; // bytes that the peer can send ahead of the client; 0: the same
};

// q_sim_listen sets what happens at an address ("127.0.0.1", "::1" or, of a virtual machine, "vsock:2") and port; a second
// call replaces the first,
// for new connections. `options` is copied.
void q_sim_listen(struct q_sim *sim, const char *address, uint16_t port, const struct q_sim_listener *options);

// q_sim_conn_send queues bytes for the client (copied). q_sim_conn_delay makes all that is queued later wait.
void q_sim_conn_send(struct q_sim_conn *conn, const void *data, size_t len);
void q_sim_conn_delay(struct q_sim_conn *conn, uint64_t delay_ns);

// q_sim_conn_fin ends the stream to the client behind what is queued; the peer still reads. q_sim_conn_close does the
// same and answers later bytes with RST. q_sim_conn_reset resets behind what is queued; q_sim_conn_reset_now at once.
void q_sim_conn_fin(struct q_sim_conn *conn);
void q_sim_conn_close(struct q_sim_conn *conn);
void q_sim_conn_reset(struct q_sim_conn *conn);
void q_sim_conn_reset_now(struct q_sim_conn *conn);

// q_sim_conn_pause makes the peer stop reading (the client's sends then block when the buffer is full), or go on.
void q_sim_conn_pause(struct q_sim_conn *conn, bool paused);

// What a filter does: bytes for the peer, bytes for the client, and the end of the latter without what the filter itself
// says about an end.
void q_sim_conn_pass(struct q_sim_conn *conn, const void *data, size_t len);
void q_sim_wire_send(struct q_sim_conn *conn, const void *data, size_t len);
void q_sim_wire_fin(struct q_sim_conn *conn);

// q_sim_conn_own gives what the filter's `open` gave, NULL without a filter. Not behind the connection's end.
void *q_sim_conn_own(const struct q_sim_conn *conn);

// q_sim_tap has all that arrives on any wire told, in both directions, as it is there.
void q_sim_tap(struct q_sim *sim, void (*tap)(void *context, const struct q_sim_conn *conn, bool is_to_client,
                                              const char *data, size_t len), void *context);

// A value of the peer's own. Set it in on_open, free it in on_closed.
void q_sim_conn_set_user(struct q_sim_conn *conn, void *user);
void *q_sim_conn_user(const struct q_sim_conn *conn);

struct q_sim *q_sim_conn_sim(const struct q_sim_conn *conn);
uint64_t q_sim_conn_id(const struct q_sim_conn *conn);       // 1 for the first of a run
bool q_sim_conn_is_alive(const struct q_sim_conn *conn);     // on_closed has not been called
size_t q_sim_conn_unread(const struct q_sim_conn *conn);     // bytes that the client has not yet received; behind a
                                                             // filter: up to the last that the peer itself has sent
uint64_t q_sim_conn_received(const struct q_sim_conn *conn); // bytes that the peer has read

// q_sim_conn_option gives the value of a socket option that the client set, or `absent`.
int q_sim_conn_option(const struct q_sim_conn *conn, int level, int name, int absent);

// q_sim_conn_local gives the address that the client bound its socket to; ss_family 0: it did not.
const struct sockaddr_storage *q_sim_conn_local(const struct q_sim_conn *conn);

// q_sim_conn_count counts connections of the run that are alive; q_sim_conn_at gives the n-th of the run, or NULL.
size_t q_sim_conn_count(const struct q_sim *sim);
struct q_sim_conn *q_sim_conn_at(const struct q_sim *sim, size_t index);

#endif

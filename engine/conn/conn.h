// The connection seam: what the pool and an exchange see of a connection, whatever protocol it speaks. HTTP/1.1 stands
// behind it (h1_conn.h) with a capacity of one exchange; a protocol with more comes behind the same seam.
//
// Roles. The *owner* is the pool: it makes connections, lends them out and lets them die. The *user* is one exchange
// that has the connection on loan. Calls go down, events go up, all on the loop thread.
//
// Life: connecting -> idle <-> busy -> closing -> closed. A connection is idle only at a message boundary in both
// directions, and an idle connection always has a receive armed: FIN, RST or unexpected bytes end it at once.
#ifndef QUOIT_ENGINE_CONN_CONN_H
#define QUOIT_ENGINE_CONN_CONN_H

#include "engine/base/error.h"
#include "engine/base/list.h"
#include "engine/base/slots.h"
#include "engine/buf/chunk.h"
#include "engine/net/address.h"
#include "engine/net/eyeballs.h"
#include "engine/tls/report.h"
#include "engine/wire/h1_reader.h"

struct q_conn;
struct q_feed;
struct q_lease;
struct q_tls_dossier;
struct q_conn_user;
struct q_loop;
struct q_pool_origin;

// What one exchange sends. Head and body stay valid until `release` is called, once: when the send is over. That can be
// long after the exchange is: a send that was abandoned still reads them until its slot is closed.
struct q_conn_request {
    struct q_slice head; // serialised request head
    struct q_slice body;
    unsigned reader_flags; // enum q_h1_request_flags
    struct q_slice upgrade; // the protocol that the request asks for, valid until the head is there; empty: none
    bool asks_close;       // the request says Connection: close
    bool may_go_early;     // it does no harm when it comes to the server twice (RFC 8470)
    bool asks_report;      // its user wants to know the server's certificates when it is over
    void (*release)(void *context, struct q_loop *loop); // NULL: they outlive the connection
    void *release_context;
};

#define Q_CONN_ALPN_MAX 32 // of a protocol's name, its NUL included; what is offered is shorter

// How a connection speaks TLS; all zeros: it does not.
struct q_conn_tls {
    uint64_t handshake_ns;
    uint16_t version; // 0x0304
    uint16_t cipher;  // as IANA has it
    bool is_resumed;
    uint8_t early; // enum q_tls_early: of the request
    char alpn[Q_CONN_ALPN_MAX]; // the protocol that was agreed upon, with its NUL; "" none
};

// How far an exchange got on this connection. Valid in on_end and on_failed.
struct q_conn_progress {
    uint64_t bytes_in;
    uint64_t bytes_out;      // taken by the kernel
    uint32_t connection_id;  // serial, never 0
    bool is_reused;          // the connection had served an exchange before
    struct q_endpoint remote;
    bool has_response_begun; // a byte of the response was seen
    struct q_conn_tls tls;
    struct q_tls_report *report; // that was asked for, or of TLS's own failure; one hold passes to the user. NULL: none
};

// What a connection tells its user. Those that return bool may refuse for the moment, for lack of room: the
// connection then keeps the event, stops receiving, and offers it again on q_conn_resume.
struct q_conn_user_events {
    bool (*on_informational)(struct q_conn_user *user, const struct q_h1_out *out, struct q_chunk *chunk);
    // A final head may also be refused until its user has made up its mind about it. Whatever happens to the connection
    // meanwhile is told when the head was taken.
    bool (*on_head)(struct q_conn_user *user, const struct q_h1_out *out, struct q_chunk *chunk);
    // `data` lies in `chunk`; who keeps it acquires the chunk.
    bool (*on_data)(struct q_conn_user *user, struct q_slice data, struct q_chunk *chunk);
    bool (*on_trailers)(struct q_conn_user *user, const struct q_headers *trailers, struct q_chunk *chunk);
    // Upgraded only. The peer has ended its direction; the connection stays the user's, who abandons it when it is done.
    void (*on_peer_end)(struct q_conn_user *user);
    // Upgraded only. `bytes` of what was fed are sent or given up. Maybe from inside q_conn_feed.
    void (*on_fed)(struct q_conn_user *user, uint64_t bytes);
    // The response is complete. The connection is not the user's any more when this is called.
    void (*on_end)(struct q_conn_user *user, const struct q_conn_progress *progress);
    // The connection failed. It is not the user's any more when this is called.
    void (*on_failed)(struct q_conn_user *user, struct q_error error, const struct q_conn_progress *progress);
    // The request has gone out completely.
    void (*on_sent)(struct q_conn_user *user);
    // Bytes of the response have come, before the events that they hold.
    void (*on_bytes)(struct q_conn_user *user, size_t len);
    // How many bytes should be received now, at most; 0 pauses until q_conn_resume.
    uint32_t (*wants)(struct q_conn_user *user);
};

struct q_conn_user {
    const struct q_conn_user_events *events;
};

// What a connection tells its owner.
struct q_conn_owner_events {
    void (*on_ready)(struct q_conn *conn);                              // connected, idle
    void (*on_connect_failed)(struct q_conn *conn, struct q_error error); // closing has begun
    void (*on_free)(struct q_conn *conn);                               // an exchange is over, idle again
    void (*on_dying)(struct q_conn *conn);                              // closing has begun; it cannot be lent any more
    void (*on_closed)(struct q_conn *conn);                             // its memory may go
    // The host must decide before the connection can be there: conn->dossier says what. It stands still, and its bound on
    // connecting too, until q_conn_answer or q_conn_close. NULL: nothing is ever asked.
    void (*on_question)(struct q_conn *conn);
};

enum q_conn_state { Q_CONN_NEW, Q_CONN_CONNECTING, Q_CONN_IDLE, Q_CONN_BUSY, Q_CONN_CLOSING };

struct q_conn_vtable {
    bool (*is_fit)(const struct q_conn *conn);
    void (*start)(struct q_conn *conn, struct q_conn_user *user, const struct q_conn_request *request);
    void (*resume)(struct q_conn *conn);
    void (*feed)(struct q_conn *conn, struct q_feed *feed);
    void (*abandon)(struct q_conn *conn, struct q_conn_progress *out_progress);
    void (*retire)(struct q_conn *conn);
    void (*answer)(struct q_conn *conn, bool is_yes, struct q_slice signature);
    void (*close)(struct q_conn *conn);
    bool (*went_early)(const struct q_conn *conn);
    uint32_t (*tell_dial)(const struct q_conn *conn, struct q_try *out, uint32_t room);
    struct q_error (*dial_timeout)(const struct q_conn *conn);
};

struct q_conn {
    const struct q_conn_vtable *v;
    const struct q_conn_owner_events *owner;
    void *owner_context;
    struct q_pool_origin *origin;
    struct q_list_node idle_link;     // the origin's idle connections, latest first; connecting: the owner's, of those
                                      // whose question has nobody
    struct q_list_node idle_lru_link; // all idle connections, longest idle first; connecting: the origin's, oldest first
    struct q_lease *asked;            // connecting: who has its question, or has answered one; the owner's. NULL: nobody
    struct q_tls_dossier *dossier;    // connecting: of the question that stands; one hold. NULL: none
    struct q_handle handle;           // the pool's name for it
    uint32_t id;                      // serial, for people
    uint32_t uses;
    struct q_endpoint remote;         // once connected
    uint8_t state; // enum q_conn_state
    bool is_out_of_time; // with on_connect_failed: its own deadline was over
    bool is_short;       // the pool's: it failed for want of a slot or of memory, while others have some
};

// q_conn_is_fit tells whether an idle connection can be lent: nothing has come on it that would be taken for an answer.
static inline bool q_conn_is_fit(const struct q_conn *conn) { return conn->v->is_fit(conn); }

// q_conn_start sends `request` and reads its response for `user`, on an idle connection. Events follow from the tick.
static inline void q_conn_start(struct q_conn *conn, struct q_conn_user *user,
                                const struct q_conn_request *request) {
    conn->v->start(conn, user, request);
}

// q_conn_went_early tells, from the head on, whether the server took the request before the handshake was over.
static inline bool q_conn_went_early(const struct q_conn *conn) { return conn->v->went_early(conn); }

// q_conn_resume offers what was refused once more, and receives again if the user wants more. Events may come from
// inside this call; the caller is the user's own, in a step of the tick.
static inline void q_conn_resume(struct q_conn *conn) { conn->v->resume(conn); }

// q_conn_feed sends a piece, or ends our direction, on an upgraded connection: one whose head, by on_head, was a 101. From
// there on every byte of the peer's comes by on_data, and there is no on_end. The connection takes the feed over.
static inline void q_conn_feed(struct q_conn *conn, struct q_feed *feed) { conn->v->feed(conn, feed); }

// q_conn_abandon ends the loan of a busy connection in the middle: the user hears nothing more but how far it got, and
// the connection dies.
static inline void q_conn_abandon(struct q_conn *conn, struct q_conn_progress *out_progress) {
    conn->v->abandon(conn, out_progress);
}

// q_conn_retire has a connection serve nobody any more but who uses it now: an idle one ends, a busy one when its user is done.
static inline void q_conn_retire(struct q_conn *conn) { conn->v->retire(conn); }

// q_conn_answer gives the host's answer to the question of conn->dossier; a signature, which is copied, with a yes to sign.
// It does nothing where nothing is asked. Events follow from the tick.
static inline void q_conn_answer(struct q_conn *conn, bool is_yes, struct q_slice signature) {
    conn->v->answer(conn, is_yes, signature);
}

// q_conn_close ends a connection that has no user.
static inline void q_conn_close(struct q_conn *conn) { conn->v->close(conn); }

// q_conn_tell_dial copies which addresses were tried so far, and what became of each, at most `room`, and gives their number.
// While it connects, and inside on_connect_failed.
static inline uint32_t q_conn_tell_dial(const struct q_conn *conn, struct q_try *out, uint32_t room) {
    return conn->v->tell_dial(conn, out, room);
}

// q_conn_dial_timeout gives the error of who will not wait any longer for a connection that connects: what it was that took
// so long.
static inline struct q_error q_conn_dial_timeout(const struct q_conn *conn) { return conn->v->dial_timeout(conn); }

#endif

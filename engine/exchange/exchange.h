// Exchange: the life of one request, from the moment that the loop sees it until its one terminal event. A state table
// says what may happen when; one function changes the state. The exchange asks the pool for a connection, drives it,
// decides about replay, and tells the sink (core's port) what the host shall hear.
//
// Replay. A request is sent again only when the peer provably has not processed it (nothing was handed to the kernel),
// or when a re-used connection died without a byte of response and the method is idempotent. Anything else that dies so
// is `maybe processed`. (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1.)
//
// Early data (RFC 8470). GET, HEAD and OPTIONS without a body may go before the handshake of a resumed connection is over, when
// the configuration has it so. When the handshake fails behind one it is sent again, on a connection of its own; and a server
// that says 425 (Too Early) gets it again, once, when a handshake is over. What the server rejects by TLS's own means is sent
// again below (tls_stream.h).
//
// Upgrade (RFC 9110 section 7.8). When the request asked for another protocol and the server switched, the connection is
// the host's: bytes come as data and go as feeds, until the peer ends its direction and what was fed before is sent.
//
// Embedded in core's request slot. Loop thread only.
#ifndef QUOIT_ENGINE_EXCHANGE_EXCHANGE_H
#define QUOIT_ENGINE_EXCHANGE_EXCHANGE_H

#include "engine/conn/pool.h"
#include "engine/exchange/chain.h"
#include "engine/exchange/redirect.h"
#include "engine/exchange/watch.h"
#include "engine/loop/loop.h"

// Connections that one request may use up: enough for a handful of idle ones that died together, and an end to it.
#define Q_EXCHANGE_ATTEMPTS_MAX 5

// Body of a redirect that is read and thrown away to keep its connection; a longer one costs the connection.
#define Q_EXCHANGE_DISCARD_MAX 65536

struct q_exchange;

// All that is known when an exchange has ended. Times count from its start.
struct q_exchange_summary {
    struct q_error error;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t leased_ns;
    uint64_t head_ns;
    uint64_t end_ns;
    uint64_t spent_ns[Q_STAGES];
    const struct q_headers *redirects; // status and target of hops that were followed; NULL: none is told
    struct q_chunk *redirects_chunk;   // where they lie; borrowed
    struct q_endpoint remote;          // of the connection that was used last
    struct q_endpoint local;           // likewise; NONE: not known
    struct q_conn_tls tls;             // likewise
    struct q_tls_report *report;       // what is known of the server, or of why there was no connection; one hold of the
                                       // exchange's. NULL: nothing, or nobody asked
    struct q_chunk *dials;             // what the connect that failed had tried (conn/dials.h); borrowed; NULL: nothing
    uint32_t num_redirects;            // hops that were followed; those beyond what `redirects` has are not told
    uint32_t connection_id;
    uint32_t attempts;
    uint16_t status;
    bool is_reused;
};

// What an exchange tells core. Those that return bool may refuse for the moment; q_exchange_resume offers it again.
// A chunk is borrowed for the call: who keeps bytes of it acquires it.
struct q_exchange_sink {
    bool (*informational)(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk);
    // A status of 101 is an upgrade that was asked for: feeds may come from now on.
    bool (*head)(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk);
    // Asks the host whether to go on to `next`, which would be hop number `hop` (from 1); `status` leads there. Taken, it
    // ends in q_exchange_answer, or with the exchange. Who keeps `next` acquires it.
    bool (*ask)(struct q_exchange *exchange, uint16_t status, struct q_spec *next, uint32_t hop);
    // Asks the host about the connection that is being made, which `dossier` is about. Taken, it ends in
    // q_exchange_answer_connection, with `unask`, or with the exchange. Who keeps `dossier` acquires it.
    bool (*ask_connection)(struct q_exchange *exchange, struct q_tls_dossier *dossier);
    // Takes the question about a connection back: it is not this exchange's any more.
    void (*unask)(struct q_exchange *exchange);
    // Charges exchange->credit with what the host now holds on to.
    bool (*data)(struct q_exchange *exchange, struct q_slice data, struct q_chunk *chunk);
    bool (*trailers)(struct q_exchange *exchange, const struct q_headers *trailers, struct q_chunk *chunk);
    // `bytes` that were fed are sent or given up. True: the host is to be told of room.
    bool (*fed)(struct q_exchange *exchange, uint64_t bytes, uint64_t *out_left);
    bool (*room)(struct q_exchange *exchange);
    // Nothing more may be fed; gives what was before, and is on its way still.
    uint64_t (*stop_feeds)(struct q_exchange *exchange);
    // The last call. The exchange holds nothing any more.
    void (*ended)(struct q_exchange *exchange, const struct q_exchange_summary *summary);
};

enum q_exchange_state {
    Q_X_NEW,          // not started
    Q_X_LEASING,      // waits for a connection
    Q_X_VOUCHING,     // likewise, and the host was asked about one that is being made
    Q_X_AWAITING,     // sent, or being sent; waits for the final head
    Q_X_ASKING,       // a redirect's head is there and waits in the connection for the host's answer
    Q_X_RECEIVING,    // the final head is there; the body comes
    Q_X_UPGRADED,     // the connection is the host's, both ways
    Q_X_FLUSHING,     // likewise, but the peer has ended its direction; what was fed before is being sent
    Q_X_DISCARDING,   // a redirect's head is there; its body is thrown away
    Q_X_DECIDING,     // a connection died; to replay or not
    Q_X_ENDED,
    Q_X_STATES,
};

enum q_exchange_event {
    Q_X_EV_START,
    Q_X_EV_LEASED,
    Q_X_EV_LEASE_FAILED,
    Q_X_EV_HEAD,
    Q_X_EV_QUESTION, // a final head, or a connection, that the host was asked about
    Q_X_EV_ANSWERED, // by `answer`: the head may be taken now; or the connection has its answer
    Q_X_EV_UNASKED,  // that connection is not made any more
    Q_X_EV_REDIRECT, // a final head that is followed
    Q_X_EV_UPGRADE,  // a 101 that was asked for
    Q_X_EV_PEER_END, // no more bytes of the peer's
    Q_X_EV_FLUSHED,  // what was fed before that is sent or given up
    Q_X_EV_END,
    Q_X_EV_CUT,      // the redirect's body is too long to be read
    Q_X_EV_CONN_FAILED,
    Q_X_EV_REPLAY,
    Q_X_EV_GIVE_UP,
    Q_X_EV_CANCEL,   // the host's word, the total deadline, or the engine's end; `error` says which
    Q_X_EVENTS,
    Q_X_EV_NONE,
};

// What the host may say to a redirect. Equal to enum quoit_answer_kind of the public header; a test compares the two.
enum q_exchange_answer {
    Q_ANSWER_NONE,   // it has not been asked, or has not answered
    Q_ANSWER_YES,    // follow it
    Q_ANSWER_STOP,   // deliver it as the response
    Q_ANSWER_REFUSE, // fail
};

struct q_exchange {
    struct q_conn_user user;
    struct q_lease lease;
    struct q_timer deadline;
    struct q_task doom; // ends it with `error_of_doom`, cuts a redirect's body, or ends what is flushed, from outside
                        // its connection's events
    struct q_watch *watch;
    struct q_bounds bounds;
    const struct q_exchange_sink *sink;
    struct q_loop *loop;
    struct q_pool *pool;
    struct q_spec *spec; // one hold
    struct q_spec *next; // of a redirect that is being followed, or asked about; one hold
    struct q_conn *conn; // while it is on loan to this exchange
    struct q_conn *leased; // handed over with Q_X_EV_LEASED
    struct q_error error;  // why it fails
    struct q_exchange_summary summary;
    uint64_t started_ns;
    struct q_tls_dossier *dossier; // what the host is to be asked about a connection, and could not be yet; or NULL
    struct q_chain chain; // of redirects that are followed
    struct q_error error_of_doom;
    uint64_t body_bytes;   // of the final response
    uint64_t discarded;    // bytes of the redirect's body
    uint32_t num_redirects;
    uint32_t hop_attempts; // connections used for this hop
    int64_t credit; // bytes of body that may still be received
    bool is_credit_manual; // credit comes from the host's grants alone; for core
    bool is_room_due;       // the host is to be told that it may feed again
    bool is_last_reused;        // of the connection that failed last
    bool is_last_response_begun;
    bool avoids_early;   // this hop's request was taken early, which was too early
    bool is_too_early;   // what is thrown away is the answer that says so
    uint8_t last_early;  // enum q_tls_early: of the connection that failed last
    bool is_maybe_processed; // a connection that was given up may have brought the request to the peer
    uint8_t answer; // enum q_exchange_answer: about the hop that is next
    uint8_t state; // enum q_exchange_state
};

// q_exchange_start begins. The exchange takes over one hold on `spec`, which is frozen; `watch` lives as long as it.
// Exactly one sink->ended follows,
// maybe from inside this call.
void q_exchange_start(struct q_exchange *exchange, struct q_loop *loop, struct q_pool *pool,
                      const struct q_exchange_sink *sink, struct q_watch *watch, struct q_spec *spec);

// q_exchange_cancel ends the exchange with `error` unless it has ended. sink->ended comes from inside this call.
void q_exchange_cancel(struct q_exchange *exchange, struct q_error error);

// q_exchange_grant gives more credit, and goes on receiving if that was what was missing.
void q_exchange_grant(struct q_exchange *exchange, uint64_t bytes);

// q_exchange_resume offers again what the sink refused: it has room now.
void q_exchange_resume(struct q_exchange *exchange);

// q_exchange_answer gives the host's answer to the question that stands. It does nothing to an exchange that has not
// asked, or has ended meanwhile. sink->ended may come from inside this call.
void q_exchange_answer(struct q_exchange *exchange, enum q_exchange_answer answer);

// q_exchange_answer_connection gives the host's answer to the question that stands about a connection, with a signature
// where one was asked for and given, which is copied. It does nothing to an exchange that has asked none.
void q_exchange_answer_connection(struct q_exchange *exchange, bool is_yes, struct q_slice signature);

// q_exchange_feed sends a piece, or the end of our direction, to the peer of an upgraded exchange, which takes the feed
// over. False: it was never upgraded, or is over; the feed is the caller's still.
Q_MUST_USE bool q_exchange_feed(struct q_exchange *exchange, struct q_feed *feed);

// q_exchange_step feeds one event to the state table. For the exchange itself and its tests.
void q_exchange_step(struct q_exchange *exchange, enum q_exchange_event event);

// q_exchange_allows tells whether the table has a cell for this pair: for the test that walks them all.
bool q_exchange_allows(enum q_exchange_state state, enum q_exchange_event event);

// q_exchange_state_name and q_exchange_event_name give lower-case words. Constant text, any thread.
const char *q_exchange_state_name(enum q_exchange_state state);
// q_exchange_event_name: see above.
const char *q_exchange_event_name(enum q_exchange_event event);

#endif

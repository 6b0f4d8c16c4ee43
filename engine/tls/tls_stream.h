// TLS stream: the stream seam by TLS, above another stream. HTTPS is composition: connect connects the stream below, then
// shakes hands, verifies, and tells on_connected; from there bytes go sealed one way and opened the other.
//
// Vocabulary. *Below*: the stream that carries the records, any of the seam's; the TLS stream is its only owner. The
// *owner* is whoever uses the TLS stream. A *pass* opens a bounded number of records (tls_pipe.h).
//
// Receiving. Nothing is opened that the owner has not asked for, but for what may be a ticket, a key update or the end
// behind it (see has_unasked). Plaintext comes in a chunk of the environment's pool, of which one hold passes to the
// owner: what fits into one chunk for one ask. Records without plaintext are consumed as long as a receive is asked for, so
// an idle connection whose owner keeps one asked for takes tickets and key updates in silence. Ciphertext that waits while
// the owner asks is looked at from the loop's run queue, never from inside recv.
//
// Sending. Up to 64 KiB are sealed at once, into chunks for which room is made before anything is sealed, and are the one
// send that is under way below. The handshake's last flight waits for on_connected to return, and goes out together with
// what the owner sends there.
//
// The end. The peer's close_notify is a clean end. The end of the stream below without one is TLS_TRUNCATED: somebody on
// the way may have cut it. Whether that matters the framing decides: a body whose length is known, or whose last chunk was
// there, is complete, and its exchange is over before on_ended is; a body that goes to the end of the connection is not.
// shutdown sends close_notify and ends our direction below. close sends it too, once, unless something is being sent or the
// peer has ended below: a request that was cut must not look complete. Nobody waits for the peer's.
//
// The gate. Not one byte of the owner's is sealed, and no client certificate is signed with, before the server's
// certificates were found good (verify.h), by the host as well if it has a say. A resumed session was judged when it was
// made, under the same policy: who gives a session sees to that (client.h does, and looks at its certificates again).
//
// Ahead (0-RTT, RFC 8446 section 2.3). With a session that allows it, and where params do, on_connected is told before the
// server has answered. What the owner then sends waits for the handshake, unless it says that this may go early: such a send
// goes out with the hello, under the session's key, up to the session's limit. It may be replayed by whoever watches, so that
// only what does no harm twice may go early; that is the owner's to know. The send is over, for the owner, when the handshake
// is: if the server rejects early data, the same bytes are sealed once more, once, in the finished handshake. on_settled tells
// that the facts are final. When the handshake fails, the send ends with its error, and so does the receive.
// The gate holds: an early byte is readable by nobody but who has the session's key, which is the server whose certificates
// were found good when the session was made and again when it was taken. Who is asked by the host (params) goes nowhere early.
//
// Whoever waited for on_connected under a bound of its own waits no longer once it came ahead, and may set that bound to what
// is left of the handshake: q_tls_stream_bound_ahead.
//
// Questions. A handshake that needs the host's decision (certificates, or a signature by a key that the host keeps) tells
// on_question and stands still until q_tls_stream_answer_*; the handshake's bound stands still too.
//
// Memory. Between the handshake and the next byte only the session's keys are held; what the handshake needed is freed.
//
// Life: q_tls_stream_init -> connect -> ... -> close -> on_closed -> may connect again. Loop thread only.
#ifndef QUOIT_ENGINE_TLS_TLS_STREAM_H
#define QUOIT_ENGINE_TLS_TLS_STREAM_H

#include "engine/base/alloc.h"
#include "engine/loop/loop.h"
#include "engine/net/stream.h"
#include "engine/tls/policy.h"
#include "engine/tls/tls_pipe.h"
#include "engine/tls/verify.h"

// Sessions given in a row, without data of the application's between them. One record may hold 900 tickets, each of which
// costs as much as a small answer; servers send up to 8 at a time.
#define Q_TLS_SESSIONS_MAX 64

struct q_tls_stream;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_private_key_method_st;

// What all streams of a loop share; outlives them.
struct q_tls_env {
    struct q_loop *loop;
    struct q_chunk_pool *chunks; // plaintext that was received, ciphertext to be sent; 512 bytes each at least
    const struct q_alloc *alloc;
    // Takes a line of secrets, of a context that q_tls_stream_log_keys was called with; during the call alone. From inside the
    // library: nothing of the stream's may be called. NULL: nobody does.
    void (*on_key_line)(void *owner, struct q_slice line);
    void *owner;
};

// What one connection is to be. Stays valid and unchanged until on_connected or close, whichever is first; `context` and
// `session` gain references of the stream's own.
struct q_tls_params {
    struct ssl_ctx_st *context;           // see q_tls_stream_prepare
    struct q_slice server_name;           // told to the server (SNI); empty: none, as for addresses
    struct q_slice verify_name;           // that the certificate must be for
    const struct q_verify_policy *verify; // never NULL
    struct ssl_session_st *session;       // to resume, or NULL
    uint64_t handshake_ns;                // bound of the handshake, from the connect below on; 0: none
    uint8_t asks_verify;                  // enum q_tls_asks_verify
    const struct q_tls_point *verify_point; // told with questions of the one kind; NULL: a question without
    const struct q_tls_point *sign_point;   // and of the other
    bool may_go_ahead;                    // with a session that allows it; see above
};

enum q_tls_question_kind { Q_TLS_ASK_NOTHING, Q_TLS_ASK_VERIFY, Q_TLS_ASK_SIGN };

struct q_tls_question {
    uint8_t kind;                           // enum q_tls_question_kind
    uint16_t algorithm;                     // sign: TLS's number of the signature scheme (RFC 8446, 4.2.3)
    const struct q_verify_verdict *verdict; // verify: what the policy says. Valid until the answer or close, as all of it
    struct q_slice input;                   // sign: the message, not hashed yet
    const struct q_tls_point *point;        // that asks; NULL: none
};

// What a TLS stream tells besides the stream seam. May be zeros where nothing is asked and no sessions are kept.
struct q_tls_events {
    // The handshake waits for an answer. It may be given from inside this call. The peer's chain can be read.
    void (*on_question)(struct q_tls_stream *tls, const struct q_tls_question *question);

    // The server gave a session, for one use when it is of TLS 1.3; one reference passes to the receiver. Called from
    // inside the library: nothing of the stream's may be called here.
    void (*on_session)(struct q_tls_stream *tls, struct ssl_session_st *session);

    // The stream below stands: which session is to be resumed, when params name none? One reference passes to the stream.
    // NULL: none.
    struct ssl_session_st *(*take_session)(struct q_tls_stream *tls);

    // Behind an on_connected that came ahead: the handshake is over, and the facts are what they are. NULL: nobody asks.
    void (*on_settled)(struct q_tls_stream *tls);

    // The session that was taken was of no use: the server did not resume it, or the handshake failed.
    void (*on_session_useless)(struct q_tls_stream *tls, const struct ssl_session_st *session);
};

// Facts of an open stream.
struct q_tls_facts {
    const char *version;     // "TLSv1.3"; constant
    const char *cipher;      // "TLS_AES_128_GCM_SHA256", as IANA has it; constant
    struct q_slice alpn;     // chosen; empty: none. Valid until close
    uint64_t handshake_ns;   // from the connect below to on_connected, less what the host's answers took
    uint16_t version_number; // 0x0304
    uint16_t cipher_number;  // as IANA has it
    bool is_resumed;
};

// AHEAD: on_connected was told, and the handshake goes on.
enum q_tls_state {
    Q_TLS_NEW,
    Q_TLS_CONNECTING,
    Q_TLS_HANDSHAKING,
    Q_TLS_AHEAD,
    Q_TLS_OPEN,
    Q_TLS_FAILED,
    Q_TLS_CLOSING,
};

// What became of what was sent early.
enum q_tls_early {
    Q_TLS_EARLY_NONE,     // nothing was
    Q_TLS_EARLY_ACCEPTED,
    Q_TLS_EARLY_REJECTED, // and sent again
    Q_TLS_EARLY_SENT,     // the server has not said
};

// Where the answer to a question is.
enum q_tls_answer { Q_TLS_ANSWER_NONE, Q_TLS_ANSWER_AWAITED, Q_TLS_ANSWER_YES, Q_TLS_ANSWER_NO };

#define Q_TLS_SIGNATURE_MAX 1024 // RSA of 8192 bits

// What only a handshake needs; memory of its own, freed when it is over.
struct q_tls_shake {
    struct q_verify_verdict verdict;
    struct ssl_session_st *session; // that was taken; one reference
    uint8_t *sign_input;
    size_t sign_input_len;
    uint8_t signature[Q_TLS_SIGNATURE_MAX];
    uint16_t signature_len;
    uint16_t sign_algorithm;
    uint8_t verify_answer; // enum q_tls_answer
    uint8_t sign_answer;
    bool is_told;          // of the question that is awaited
    bool has_verdict;
    bool is_owners_bound;  // deadline_ns is the owner's, of q_tls_stream_bound_ahead
    uint64_t deadline_ns;  // 0: none
    uint64_t asked_ns;     // when the question was
    struct iovec early_parts[Q_IO_SEND_PARTS_MAX]; // what went early, whole, to be sent again
    uint64_t early_max;    // bytes that may; 0: none, or none any more
    const char *why;       // the library's word for what went wrong; NULL: none
};

struct q_tls_stream {
    struct q_stream stream; // first: a q_stream is a TLS stream
    const struct q_tls_env *env;
    const struct q_tls_events *events;
    const struct q_tls_params *params;
    struct q_stream *below;
    struct ssl_st *ssl;        // from connect to close
    struct q_tls_shake *shake; // from connect until the handshake is over
    struct q_tls_pipe pipe;
    struct q_task task;   // what recv, send or an answer has left to do
    struct q_timer timer; // the handshake's bound, or the next try to get memory
    uint64_t begun_ns;    // of the handshake; then how long it took
    uint64_t short_of_in_ns;  // without memory since then; 0: not
    uint64_t short_of_out_ns;
    struct iovec parts[Q_IO_SEND_PARTS_MAX]; // the owner's send: what is not sealed yet
    size_t sent_len;      // of it, taken below
    size_t flying_len;    // of it, sealed and not known to be taken
    size_t flying_head;   // of what is under way, ciphertext that is not the owner's
    uint32_t wants;       // the owner's ask; 0: none
    struct q_error below_error; // of the end below
    struct q_error end;         // once has_end
    struct q_error send_error;  // nothing more can be sent
    uint8_t state;  // enum q_tls_state
    uint8_t num_parts;
    uint8_t part;   // the first that is not sealed whole
    bool has_end;   // found, and maybe told
    bool is_receiving; // below
    bool has_brought;  // plaintext to the owner, once at least
    bool is_sending;   // the owner's send
    bool has_said_goodbye;
    bool wants_shutdown;
    bool next_goes_early; // the owner's next send may
    uint8_t early;        // enum q_tls_early
};

// q_tls_stream_prepare sets what a context must have for streams: where its sessions go, no cache of its own, and a clock that
// stands still (sessions.h). Once, by whoever makes the context, before the first stream.
void q_tls_stream_prepare(struct ssl_ctx_st *context);

// q_tls_stream_log_keys has the secrets of a context's streams told to their environment, besides its file. Once, likewise.
void q_tls_stream_log_keys(struct ssl_ctx_st *context);

// q_tls_stream_key_method is for contexts whose client key the host keeps: each signature becomes a question.
const struct ssl_private_key_method_st *q_tls_stream_key_method(void);

// q_tls_stream_init prepares a stream above `below`, which is prepared itself, outlives it, and whose events it takes over.
// `events` and `tls_events` outlive it. In-place; nothing to deinit once it is closed or was never connected.
void q_tls_stream_init(struct q_tls_stream *tls, const struct q_tls_env *env, struct q_stream *below,
                       const struct q_stream_events *events, const struct q_tls_events *tls_events);

// q_tls_stream_set says what the next connects are to be. Not connected.
void q_tls_stream_set(struct q_tls_stream *tls, const struct q_tls_params *params);

// q_tls_stream_start begins the handshake above a stream that is connected already, in the place of q_stream_connect.
// on_connected follows, maybe from inside this call. An error now means that nothing was begun; the stream below is as it
// was. Not connected.
Q_MUST_USE struct q_error q_tls_stream_start(struct q_tls_stream *tls);

// q_tls_stream_answer_verify answers ASK_VERIFY. Does nothing when nothing of the kind is asked any more.
void q_tls_stream_answer_verify(struct q_tls_stream *tls, bool is_accepted);

// q_tls_stream_answer_sign answers ASK_SIGN with a signature, which is copied; an empty or too long one refuses.
void q_tls_stream_answer_sign(struct q_tls_stream *tls, struct q_slice signature);

// q_tls_stream_go_early says that the owner's next send does no harm when it comes to the server twice.
static inline void q_tls_stream_go_early(struct q_tls_stream *tls) { tls->next_goes_early = true; }

// q_tls_stream_bound_ahead gives a handshake that goes on behind on_connected the bounds of who uses the stream from here on,
// once: its own becomes `handshake_ns` if that is longer, and when `deadline_ns` comes before that, it fails then, with
// TIMEOUT_CONNECT in place of TIMEOUT_TLS. It does nothing in any other state.
void q_tls_stream_bound_ahead(struct q_tls_stream *tls, uint64_t handshake_ns, uint64_t deadline_ns);

// q_tls_stream_facts tells the facts, from on_connected until close; those of a session that is to be resumed until
// on_settled.
void q_tls_stream_facts(const struct q_tls_stream *tls, struct q_tls_facts *out);

// q_tls_stream_peer_certificate gives the server's `index`-th certificate as DER, the leaf is 0, as it was sent or, in a
// resumed session, had been. From on_question, and after a failed handshake, until close. False: there is none.
bool q_tls_stream_peer_certificate(const struct q_tls_stream *tls, size_t index, struct q_slice *out);

// q_tls_stream_staple gives the server's OCSP response, unread and unjudged, or an empty slice. Likewise until close.
struct q_slice q_tls_stream_staple(const struct q_tls_stream *tls);

// q_tls_stream_has_sent tells whether something of the send that is under way, if one is, has been sealed: before that
// nothing that comes can be an answer to it.
static inline bool q_tls_stream_has_sent(const struct q_tls_stream *tls) {
    return !tls->is_sending || tls->sent_len + tls->flying_len > 0;
}

// q_tls_stream_verdict gives what was found of the server's certificates in a handshake that has failed or is asking, NULL
// when they were not looked at. Until close.
const struct q_verify_verdict *q_tls_stream_verdict(const struct q_tls_stream *tls);

// q_tls_stream_why gives the library's word for why the handshake has failed, "" when there is none. Constant text.
const char *q_tls_stream_why(const struct q_tls_stream *tls);

// q_tls_stream_is_quiet tells whether nothing of the stream is under way, so that its memory may go.
static inline bool q_tls_stream_is_quiet(const struct q_tls_stream *tls) { return tls->state == Q_TLS_NEW; }

#endif

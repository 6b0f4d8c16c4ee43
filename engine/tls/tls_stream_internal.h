// TLS stream, for the two files that make it up: the handshake (tls_handshake.c) and everything behind it (tls_stream.c).
// Loop thread only.
#ifndef QUOIT_ENGINE_TLS_TLS_STREAM_INTERNAL_H
#define QUOIT_ENGINE_TLS_TLS_STREAM_INTERNAL_H

#include "engine/tls/tls_stream.h"

// q_tls_shake_begin makes the session for the stream's params. Errors: NO_MEMORY, INVALID_ARGUMENT (a server name that
// cannot be sent). Nothing is left of it on an error.
Q_MUST_USE struct q_error q_tls_shake_begin(struct q_tls_stream *tls);

// q_tls_shake_start begins the handshake: the stream below is connected.
void q_tls_shake_start(struct q_tls_stream *tls);

// q_tls_shake_go_on does what the handshake can do now. on_connected may be told.
void q_tls_shake_go_on(struct q_tls_stream *tls);

// q_tls_shake_lets_early tells whether the owner's send, `len` bytes, may be sealed now, and if so remembers it. AHEAD.
Q_MUST_USE bool q_tls_shake_lets_early(struct q_tls_stream *tls, size_t len);

// q_tls_shake_send_failed is told that a send below failed before the handshake was over.
void q_tls_shake_send_failed(struct q_tls_stream *tls, struct q_error error);

// q_tls_shake_timer is told that the timer fired in the handshake.
void q_tls_shake_timer(struct q_tls_stream *tls);

// q_tls_shake_fail ends the handshake with `error`: on_connected is told or, ahead, the ends of what is under way.
void q_tls_shake_fail(struct q_tls_stream *tls, struct q_error error);

// q_tls_shake_drop frees what only the handshake needs. Legal at any time.
void q_tls_shake_drop(struct q_tls_stream *tls);

// q_tls_is_shaking tells whether the handshake is under way, whether the owner knows or not.
static inline bool q_tls_is_shaking(const struct q_tls_stream *tls) {
    return tls->state == Q_TLS_HANDSHAKING || tls->state == Q_TLS_AHEAD;
}

// q_tls_error is what the library's last call failed of, and empties the library's list of errors.
struct q_error q_tls_error(struct q_tls_stream *tls, enum q_phase phase);

// q_tls_receive_below asks below for ciphertext, unless that is under way. `most`: how much plaintext the owner would take.
void q_tls_receive_below(struct q_tls_stream *tls, uint32_t most);

// q_tls_flush sends what is gathered, unless something is being sent.
void q_tls_flush(struct q_tls_stream *tls);

// q_tls_wait_for_memory has the timer try again soon. False: it has been so for too long. `since_ns` is one of the stream's
// two times, 0 before the first wait; whoever got memory sets it to 0.
Q_MUST_USE bool q_tls_wait_for_memory(struct q_tls_stream *tls, uint64_t *since_ns);

#endif

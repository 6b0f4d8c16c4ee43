// HTTP/1.1 connection, for the three files that make it up: what it is and does (h1_conn.c), how it comes by its socket
// (h1_dial.c), and what its handshake asks (h1_ask.c). Loop thread only.
//
// What the handshake of a connection asks the host (tls_stream.h), on its way to the connection's owner, who knows of whom to
// ask it: the dossier is made here, and the bound on connecting stands still while the question does.
//
// A question for whose dossier there is no memory waits for some; that is not the host's time, so the bound runs on.
#ifndef QUOIT_ENGINE_CONN_H1_CONN_INTERNAL_H
#define QUOIT_ENGINE_CONN_H1_CONN_INTERNAL_H

#include "engine/conn/h1_conn.h"

// q_h1_ask asks: the owner's on_question comes, from inside this call or when there is memory.
void q_h1_ask(struct q_h1_conn *h1, const struct q_tls_question *question);

// q_h1_ask_again is told that the timer of a connecting connection has fired. True: that was for a question that waits for
// memory, and the bound is not over.
bool q_h1_ask_again(struct q_h1_conn *h1);

// q_h1_ask_answer hands the answer on, and has the bound run again. It does nothing when the owner was told of no question.
void q_h1_ask_answer(struct q_h1_conn *h1, bool is_yes, struct q_slice signature);

// q_h1_ask_drop: nobody asks any more. Legal at any time, in the clear too.
void q_h1_ask_drop(struct q_h1_conn *h1);

// What dialling (h1_dial.c) has of the connection: its socket is there; nothing of it is, and the end is told; TLS's part goes.
void q_h1_go_on_with(struct q_h1_conn *h1, struct q_io_slot slot, const struct q_endpoint *remote);
void q_h1_end(struct q_h1_conn *h1);
void q_h1_drop_tls(struct q_h1_conn *h1);

// q_h1_tell_dial and q_h1_dial_timeout are the seam's functions of these names: conn.h.
uint32_t q_h1_tell_dial(const struct q_conn *conn, struct q_try *out, uint32_t room);
struct q_error q_h1_dial_timeout(const struct q_conn *conn);

#endif

// Pool, for the two files that make it up: connections and those that wait for them (pool.c), and whom questions are asked
// of (pool_ask.c). Loop thread only.
//
// Whom a question is asked of that stands in the way of a connection which is being made (conn.h, on_question): an origin's
// waiters share its connections, and a question is one request's.
//
// It is the first in line who has none yet. That one is *asked by* the connection from then on: further questions of the same
// handshake are its own too, and so is what becomes of the connection, whether it is there then or has failed; or a host
// that refuses one request would see another one end. When it leaves the line with a question that stands (cancelled, timed
// out, or served by a connection that came free), the question is the next one's who has none, who is told of it as if it
// were new: a host that answers twice the same way loses nothing, and one that has not answered at all must not keep the
// others waiting. When there is nobody, the connection is given up: it could not go on without an answer, and whoever comes
// later begins one of his own.
//
// Moving a question waits for the run queue: who leaves the line may be one of many who do so in this very step.
#ifndef QUOIT_ENGINE_CONN_POOL_INTERNAL_H
#define QUOIT_ENGINE_CONN_POOL_INTERNAL_H

#include "engine/conn/pool.h"

// All that the pool knows of one origin. It lives as long as it has connections, closing ones included, or waiters.
struct q_pool_origin {
    struct q_list_node bucket_link;
    struct q_list_node hungry_link;
    struct q_pool *pool;
    struct q_origin identity; // `key` and `host` point into memory of its own
    struct q_dial_target target; // points into `identity`
    struct q_list idle; // latest first
    struct q_list connecting; // oldest first
    struct q_list waiters;
    uint32_t num_waiters;
    uint32_t num_usable;     // connecting, idle and busy
    uint32_t num_connecting;
    uint32_t num_dialed;     // waiters who count on one that is being made; they stand in front
    uint32_t num_members;    // usable and closing
    bool is_starved;         // it is hungry for want of a slot or of memory: only who closes brings a new attempt
    int32_t last_errno;      // of the last attempt that failed
    struct q_error last_timeout; // of the last connection that took too long; none since one was ready
    struct q_chunk *last_dials;  // of the last that failed, one hold
};

// q_pool_ask_init prepares what the pool needs for it.
void q_pool_ask_init(struct q_pool *pool);

// q_pool_ask is the owner's on_question.
void q_pool_ask(struct q_conn *conn);

// q_pool_ask_other: `lease` leaves the line, and whatever it is asked is another's to answer.
void q_pool_ask_other(struct q_lease *lease);

// q_pool_ask_end: the connection is not being made any more. It gives the one in line who was asked by it, or NULL.
struct q_lease *q_pool_ask_end(struct q_conn *conn);

// q_pool_ask_arm has the bound of a lease on connecting run to its deadline_ns, unless it is asked something: then when it
// has answered.
void q_pool_ask_arm(struct q_loop *loop, struct q_lease *lease);

// q_pool_give_up_connecting ends a connection that is being made. Nobody in line hears of it but who was asked about it.
void q_pool_give_up_connecting(struct q_conn *conn);

#endif

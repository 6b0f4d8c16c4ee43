// Who holds what was received and can do nothing with it: connections whose host has no credit or no room, or has a
// question to answer, and those for whose head there is no memory. When there is no memory for what others receive, nor
// for a head, those who have held theirs for a second or more are given up, the longest first, each with a typed error:
// or the rest of what others wait for could never come.
// Loop thread only.
#ifndef QUOIT_ENGINE_CONN_HOLDERS_H
#define QUOIT_ENGINE_CONN_HOLDERS_H

#include "engine/loop/loop.h"

// A host that reads at all has read in this time; a request that waits for others to be given up bears it.
#define Q_HOLDERS_PATIENCE_NS Q_NS_PER_S

struct q_holder {
    struct q_list_node link;
    uint64_t since_ns;
    void (*give_up)(struct q_holder *holder); // ends the hold; called from a timer
};

struct q_holders {
    struct q_loop *loop;
    const struct q_chunk_pool *head_chunks;
    struct q_list list; // the longest first
    struct q_timer timer;
};

// q_holders_init prepares an empty list. The loop, and the pool that heads come from, outlive it.
void q_holders_init(struct q_holders *holders, struct q_loop *loop, const struct q_chunk_pool *head_chunks);

// q_holders_add writes a hold down, once; its owner takes it out with q_holders_remove when it is over, and before its
// memory goes. Removing one that is not there does nothing.
void q_holders_add(struct q_holders *holders, struct q_holder *holder);
void q_holders_remove(struct q_holder *holder);

// q_holders_look, once a tick, sees to it that holds end when memory is short.
void q_holders_look(struct q_holders *holders);

#endif

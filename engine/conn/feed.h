// Feed: one piece that a host sends into an upgraded connection, or the end of what it sends. One allocation holds the
// command that brings it to the loop, and the bytes when they are copied.
//
// Life: made by a host's thread, pushed, then the loop's; the connection keeps it until the kernel has taken its bytes
// or its slot is closed, and lets go of it at the publish step, where the host's release function may run. One that
// never reaches a loop is dropped by who finds it: a call that could not push it, or destroy. Loop thread only, but for
// making and dropping.
#ifndef QUOIT_ENGINE_CONN_FEED_H
#define QUOIT_ENGINE_CONN_FEED_H

#include "engine/base/slots.h"
#include "engine/loop/loop.h"
#include "engine/queue/command.h"

// Each feed costs a node of about this size, so smaller ones are counted as this many bytes: it bounds the memory of a
// host that feeds single bytes.
#define Q_FEED_BYTES_MIN 128

struct q_feed {
    struct q_command command; // kind Q_COMMAND_FEED
    struct q_handle request;
    const struct q_alloc *alloc;
    size_t size; // of this allocation
    const char *data;
    size_t len;                                                   // 0: the end of our direction
    void (*release)(void *context, const void *data, size_t len); // NULL: the bytes are our copy
    void *context;
    struct q_list_node link; // of the connection's list
    struct q_task farewell;
    char copy[];
};

// q_feed_bytes gives what a piece of `len` bytes counts as.
static inline uint64_t q_feed_bytes(size_t len) {
    return len < Q_FEED_BYTES_MIN ? Q_FEED_BYTES_MIN : len;
}

// q_feed_new makes a feed for `request`; `release` NULL copies the bytes. NULL when out of memory. Any thread.
Q_MUST_USE struct q_feed *q_feed_new(const struct q_alloc *alloc, struct q_handle request, const void *data, size_t len,
                                     void (*release)(void *context, const void *data, size_t len), void *context);

// q_feed_free frees a feed that was refused: the bytes are still the host's, and nothing is released. Any thread.
void q_feed_free(struct q_feed *feed);

// q_feed_drop is done with a feed now: releases what the host lent, and frees. No loop any more: destroy.
void q_feed_drop(struct q_feed *feed);

// q_feed_drop_on_loop does so at the publish step.
void q_feed_drop_on_loop(struct q_feed *feed, struct q_loop *loop);

#endif

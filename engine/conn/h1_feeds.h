// Feeds of one upgraded connection: what waits to be sent, what is being sent, and the end of our direction behind it.
// It knows nothing of sockets: the connection asks what to send next and says what became of it.
//
// Life: a zeroed struct is initialised by the first q_h1_feeds_begin; everything left is dropped by q_h1_feeds_drop
// once nothing is in flight. Loop thread only.
#ifndef QUOIT_ENGINE_CONN_H1_FEEDS_H
#define QUOIT_ENGINE_CONN_H1_FEEDS_H

#include "engine/conn/feed.h"

#include <sys/uio.h>

// Most that one send gathers: enough that a send costs little, and little enough that room for more comes steadily. A
// single piece is sent whole, whatever its size.
#define Q_H1_FEEDS_GATHER_MAX 65536

enum q_h1_feeds_next {
    Q_H1_FEEDS_NOTHING,
    Q_H1_FEEDS_SEND, // the parts
    Q_H1_FEEDS_END,  // end our direction: everything before it is sent
};

struct q_h1_feeds {
    struct q_list waiting;
    struct q_list sending;
    bool is_open;    // upgraded; feeds are taken
    bool is_broken;  // a send has failed: whatever comes is given up
    bool is_end_due; // the host has ended our direction; nothing more is taken
    bool has_ended;
};

// q_h1_feeds_begin opens it.
void q_h1_feeds_begin(struct q_h1_feeds *feeds);

// q_h1_feeds_take takes over a feed. It gives how many bytes were given up instead, for nothing can be sent any more.
Q_MUST_USE uint64_t q_h1_feeds_take(struct q_h1_feeds *feeds, struct q_feed *feed, struct q_loop *loop);

// q_h1_feeds_next says what to do while nothing is being sent; with Q_H1_FEEDS_SEND `parts`, of which there is room for
// `max`, stay valid until q_h1_feeds_sent.
enum q_h1_feeds_next q_h1_feeds_next(struct q_h1_feeds *feeds, struct iovec *parts, unsigned max,
                                     unsigned *out_num_parts);

// q_h1_feeds_sent says that the send is over; with `has_failed` everything that waits is given up too. It gives how
// many bytes are done with.
uint64_t q_h1_feeds_sent(struct q_h1_feeds *feeds, bool has_failed, struct q_loop *loop);

// q_h1_feeds_drop gives everything up. Nothing is in flight. Legal on a zeroed struct, which it becomes.
void q_h1_feeds_drop(struct q_h1_feeds *feeds, struct q_loop *loop);

#endif

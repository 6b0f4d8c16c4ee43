// Socket stream: the stream seam on one slot of the I/O seam. It does by its slot what io.h describes: the slot is taken
// when it connects, and the stream is closed when the slot has nothing in flight any more.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_SOCKET_STREAM_H
#define QUOIT_ENGINE_NET_SOCKET_STREAM_H

#include "engine/loop/io.h"
#include "engine/net/stream.h"

enum q_socket_state { Q_SOCKET_NEW, Q_SOCKET_CONNECTING, Q_SOCKET_OPEN, Q_SOCKET_CLOSING };

// What only a stream that connects needs, and what only an open one does: they share their memory, since thousands of
// streams may be open and idle.
struct q_socket_connecting {
    struct q_io_op op;
    struct q_io_connect params;
    struct q_address local; // len 0: whichever the kernel takes
    const struct q_io_option *options; // of TCP sockets; NULL: the defaults
    uint32_t num_options;
};

struct q_socket_open {
    struct q_io_op recv_op;
    struct q_io_op send_op; // the shutdown's, too, which takes a send's place
    struct msghdr message;
    struct iovec parts[Q_IO_SEND_PARTS_MAX];
    size_t send_len;
    size_t sent_len;
};

struct q_socket_stream {
    struct q_stream stream; // first: a q_stream is a socket stream
    struct q_io *io;
    struct q_io_slot slot;
    struct q_io_op close_op;
    union {
        struct q_socket_connecting connecting; // new and connecting
        struct q_socket_open open;             // from on_connected
    } u;
    uint8_t state; // enum q_socket_state
    bool was_opened;
    bool is_datagram;
    bool is_sending; // until on_sent
    bool has_send_failed;
};

// q_socket_stream_init prepares a stream on `io`. `events` outlives it. In-place; there is nothing to deinit once it is
// closed or was never connected.
void q_socket_stream_init(struct q_socket_stream *socket, struct q_io *io, const struct q_stream_events *events);

// q_socket_stream_bind makes the next connects, up to the first that succeeds, come from `local`, whose port is 0: the
// kernel takes one. Not connected.
void q_socket_stream_bind(struct q_socket_stream *socket, const struct q_address *local);

// q_socket_stream_set_options has the next connects, up to the first that succeeds, set these options on TCP sockets instead
// of the defaults. The options outlive the connects. Not connected.
void q_socket_stream_set_options(struct q_socket_stream *socket, const struct q_io_option *options, uint32_t num_options);

// q_socket_stream_adopt opens a stream on a slot whose socket is connected, which is the stream's from here on. No event
// follows. Not connected.
void q_socket_stream_adopt(struct q_socket_stream *socket, struct q_io_slot slot);

// q_socket_stream_give takes the slot out of an open stream on which nothing is in flight, and leaves it as if never
// connected.
struct q_io_slot q_socket_stream_give(struct q_socket_stream *socket);

// q_socket_stream_datagram makes it a UDP socket that talks to one peer: each send is a datagram, on_received brings one,
// and on_ended without an error one that was empty. What others send is never brought: the kernel drops it. Not connected.
void q_socket_stream_datagram(struct q_socket_stream *socket);

// q_socket_is_quiet tells whether nothing of the stream is in flight, so that its memory may go.
bool q_socket_is_quiet(const struct q_socket_stream *socket);

#endif

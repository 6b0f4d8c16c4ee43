// The stream seam: a reliable stream of bytes to one peer. Sockets, and later TLS, tunnels and the like, are all
// streams, so that HTTPS through a proxy is composition. Calls go down; events come up, from the loop's tick and never
// from inside a call.
//
// Life: connect -> on_connected -> any number of recv and send -> close -> on_closed; shutdown
// once in between, behind the last send. After close only on_closed comes,
// once; the owner may free the stream's memory, or connect again, in it. At most one recv and one send are under way.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_STREAM_H
#define QUOIT_ENGINE_NET_STREAM_H

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/buf/chunk.h"
#include "engine/net/address.h"

#include <sys/uio.h>

struct q_stream;

// What a stream tells its owner, who fills this in.
struct q_stream_events {
    // The connect is over. On an error the owner closes.
    void (*on_connected)(struct q_stream *stream, struct q_error error);

    // A receive has brought `bytes` (never empty), which lie in `chunk`; one hold on the chunk passes to the owner.
    void (*on_received)(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes);

    // A receive found the end: of the stream (no error) or of the connection (an error). The owner closes.
    void (*on_ended)(struct q_stream *stream, struct q_error error);

    // A send is over: all of it, or an error, with the number of bytes that the layer below has taken.
    void (*on_sent)(struct q_stream *stream, size_t len, struct q_error error);

    // Nothing of this stream is in flight any more.
    void (*on_closed)(struct q_stream *stream);
};

struct q_stream_vtable {
    struct q_error (*connect)(struct q_stream *stream, const struct q_address *address);
    void (*recv)(struct q_stream *stream, uint32_t most);
    bool (*has_unasked)(const struct q_stream *stream);
    void (*send)(struct q_stream *stream, const struct iovec *parts, unsigned num_parts);
    void (*shutdown)(struct q_stream *stream);
    void (*close)(struct q_stream *stream);
};

struct q_stream {
    const struct q_stream_vtable *v;
    const struct q_stream_events *events;
    void *above; // whoever fills `events` in may keep its own pointer here, when the stream is no part of its own memory
};

// q_stream_connect begins to connect. `address` stays valid until on_connected. An error now (no free slot) means that
// nothing was begun and no event follows.
static inline Q_MUST_USE struct q_error q_stream_connect(struct q_stream *stream, const struct q_address *address) {
    return stream->v->connect(stream, address);
}

// As much as comes; the owner asks again as soon as something came.
#define Q_STREAM_RECV_ANY UINT32_MAX

// q_stream_recv asks for the next bytes, once. Not asking again is back-pressure. `most`: how many bytes the owner would
// take if it asked on, which bounds what may be fetched ahead of it.
static inline void q_stream_recv(struct q_stream *stream, uint32_t most) { stream->v->recv(stream, most); }

// q_stream_has_unasked tells, of an open stream, whether bytes or the end have come that the owner has not been brought:
// they cannot be meant for anything that it begins from here on.
static inline bool q_stream_has_unasked(const struct q_stream *stream) { return stream->v->has_unasked(stream); }

// q_stream_send sends all parts, at most Q_IO_SEND_PARTS_MAX. The parts are copied, the bytes stay valid until on_sent.
static inline void q_stream_send(struct q_stream *stream, const struct iovec *parts, unsigned num_parts) {
    stream->v->send(stream, parts, num_parts);
}

// q_stream_shutdown ends our direction, once, when nothing is being sent; the peer's goes on. There is no event: when it
// fails the connection is gone, which a receive tells.
static inline void q_stream_shutdown(struct q_stream *stream) { stream->v->shutdown(stream); }

// q_stream_close ends the stream, whatever is under way.
static inline void q_stream_close(struct q_stream *stream) { stream->v->close(stream); }

#endif

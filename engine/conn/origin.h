// Origin key: one value that says which connections a request may use. Everything that affects identity or trust is in
// it, length-prefixed, so that two different keys never have the same bytes: what a later feature adds to identity
// (proxy, TLS digest, local address ...) it adds here, and nowhere else. Equal bytes mean interchangeable connections.
// Thread-free: frozen once built.
#ifndef QUOIT_ENGINE_CONN_ORIGIN_H
#define QUOIT_ENGINE_CONN_ORIGIN_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slots.h"
#include "engine/net/address.h"
#include "engine/net/dial_options.h"
#include "engine/wire/url.h"

// A peer's host_kind beside those of URLs: a virtual machine. Its host is text, for the key; the address context id and port.
#define Q_ORIGIN_PEER_VSOCK 100

// Where connections go to: the origin's own host and port, unless the program has them go elsewhere (conn/detour.h).
struct q_origin_peer {
    struct q_slice host; // inside the key; as q_origin.host
    uint16_t port;
    uint8_t host_kind;
    uint8_t address[16]; // of a literal host
};

struct q_origin {
    const struct q_alloc *alloc; // owns the key
    struct q_slice key;
    size_t audience_len; // of the key, up to how TLS is spoken
    struct q_slice host; // inside the key; of http+unix the socket's name, percent-encoded
    uint16_t port;
    uint8_t scheme;    // enum q_scheme
    uint8_t host_kind; // enum q_host_kind
    struct q_endpoint local; // where its connections come from; NONE: whichever the kernel takes
    struct q_origin_peer peer; // where they go to
    struct q_dial_options dial; // how their sockets are made
    struct q_handle tls;       // how TLS is spoken, of https; none: the engine's own way. Held by whoever has the origin
};

// q_origin_build makes the key of a URL's origin (RFC 6454: scheme, host, port; of http+unix the socket is the host).
// Fails with NO_MEMORY. Ends with q_origin_deinit.
Q_MUST_USE struct q_error q_origin_build(struct q_origin *out, const struct q_alloc *alloc, const struct q_url *url);

// q_origin_set_local adds the local address that connections to `origin` are bound to; once. It lets nothing else change.
// Fails with NO_MEMORY, and leaves the origin as it was.
Q_MUST_USE struct q_error q_origin_set_local(struct q_origin *origin, const struct q_endpoint *local);

// q_origin_set_peer has connections to `origin` go to `peer`, whose host is copied; once, behind q_origin_set_local. Who
// is asked, and for what, does not change. Fails with NO_MEMORY, and leaves the origin as it was.
Q_MUST_USE struct q_error q_origin_set_peer(struct q_origin *origin, const struct q_origin_peer *peer);

// q_origin_set_socket and q_origin_set_vsock are q_origin_set_peer for a unix socket, whose name is as in net/address.h, and for
// a port of a virtual machine.
Q_MUST_USE struct q_error q_origin_set_socket(struct q_origin *origin, struct q_slice name);
Q_MUST_USE struct q_error q_origin_set_vsock(struct q_origin *origin, uint32_t cid, uint32_t port);

// q_origin_set_dial has the sockets of connections to `origin` made by `options`, which are not the defaults; once. Fails with
// NO_MEMORY, and leaves the origin as it was.
Q_MUST_USE struct q_error q_origin_set_dial(struct q_origin *origin, const struct q_dial_options *options);

// q_origin_set_tls has connections to `origin` speak TLS by the interned config `tls`, whose digest becomes a part of the
// key; once. The caller holds the config as long as the origin is there. Fails with NO_MEMORY, and leaves the origin as it
// was.
Q_MUST_USE struct q_error q_origin_set_tls(struct q_origin *origin, struct q_handle tls);

// q_origin_audience gives that part of the key which says whom one talks to, from where and by which way, and not how TLS is
// spoken: what sessions of TLS are kept by, besides the config that was used. It lies inside the key.
static inline struct q_slice q_origin_audience(const struct q_origin *origin) {
    return q_slice_make(origin->key.ptr, origin->audience_len);
}

// q_origin_move lets `origin` live in `key`, which has room for all of its key; the old memory stays whose it was.
void q_origin_move(struct q_origin *origin, char *key);

// q_origin_deinit gives the memory back; legal on the zero value.
void q_origin_deinit(struct q_origin *origin);

static inline bool q_origin_equal(const struct q_origin *a, const struct q_origin *b) {
    return q_slice_equal(a->key, b->key);
}

#endif

#include "engine/conn/target.h"

#include "engine/wire/token.h"

// The socket's name, which stands percent-encoded in the origin (engine/wire/url_host.h).
static struct q_address socket_address(struct q_slice host) {
    char name[3 * Q_HOST_SOCKET_MAX];
    struct q_address address;
    Q_CHECK(host.len <= sizeof name);
    Q_CHECK(q_address_unix(q_slice_make(name, q_percent_decode(host, name)), &address));
    return address;
}

struct q_dial_target q_target_of(const struct q_origin *origin, uint64_t winner) {
    const struct q_origin_peer *peer = &origin->peer;
    struct q_dial_target target = {
        .port = peer->port,
        .local = origin->local,
        .options = &origin->dial,
        .winner = winner,
    };
    if (peer->host_kind == Q_ORIGIN_PEER_VSOCK) {
        struct q_endpoint endpoint = {.family = Q_ENDPOINT_VSOCK};
        memcpy(endpoint.ip, peer->address, sizeof endpoint.ip);
        target.address = q_endpoint_address(&endpoint);
        return target;
    }
    switch ((enum q_host_kind)peer->host_kind) {
    case Q_HOST_IPV4: target.address = q_address_v4(peer->address, peer->port); break;
    case Q_HOST_IPV6: target.address = q_address_v6(peer->address, peer->port); break;
    case Q_HOST_SOCKET: target.address = socket_address(peer->host); break;
    case Q_HOST_NAME: target.name = peer->host; break;
    }
    return target;
}

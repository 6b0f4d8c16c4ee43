#include "engine/net/address.h"

#include <arpa/inet.h>
#include <stddef.h>

struct q_address q_address_v4(const uint8_t bytes[4], uint16_t port) {
    struct q_address address = {.len = sizeof address.u.v4};
    address.u.v4.sin_family = AF_INET;
    address.u.v4.sin_port = htons(port);
    memcpy(&address.u.v4.sin_addr, bytes, 4);
    return address;
}

struct q_address q_address_v6(const uint8_t bytes[16], uint16_t port) {
    struct q_address address = {.len = sizeof address.u.v6};
    address.u.v6.sin6_family = AF_INET6;
    address.u.v6.sin6_port = htons(port);
    memcpy(&address.u.v6.sin6_addr, bytes, 16);
    return address;
}

bool q_address_unix(struct q_slice name, struct q_address *out) {
    struct sockaddr_un *local = &out->u.local;
    *out = (struct q_address){0};
    bool is_abstract = name.len > 0 && name.ptr[0] == 0;
    struct q_slice rest = q_slice_from(name, is_abstract);
    // A path ends with a NUL, an abstract name with its length.
    if (rest.len == 0 || name.len + !is_abstract > sizeof local->sun_path || memchr(rest.ptr, 0, rest.len) != NULL) {
        return false;
    }
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, name.ptr, name.len);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len + !is_abstract);
    return true;
}

struct q_address q_address_vsock(uint32_t cid, uint32_t port) {
    struct q_address address = {.len = sizeof address.u.vm};
    address.u.vm.svm_family = AF_VSOCK;
    address.u.vm.svm_cid = cid;
    address.u.vm.svm_port = port;
    return address;
}

bool q_address_parse(struct q_slice text, uint16_t port, struct q_address *out) {
    char literal[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    // A NUL would end the literal for inet_pton, and what stands behind it would go unseen.
    if (text.len == 0 || text.len >= sizeof literal || memchr(text.ptr, 0, text.len) != NULL) {
        return false;
    }
    memcpy(literal, text.ptr, text.len);
    literal[text.len] = 0;
    if (inet_pton(AF_INET, literal, bytes) == 1) {
        *out = q_address_v4(bytes, port);
        return true;
    }
    if (inet_pton(AF_INET6, literal, bytes) == 1) {
        *out = q_address_v6(bytes, port);
        return true;
    }
    return false;
}

struct q_endpoint q_address_endpoint(const struct q_address *address) {
    struct q_endpoint endpoint = {.family = Q_ENDPOINT_NONE};
    switch (address->u.any.sa_family) {
    case AF_UNIX: endpoint.family = Q_ENDPOINT_UNIX; break;
    case AF_INET:
        endpoint.family = Q_ENDPOINT_V4;
        endpoint.port = ntohs(address->u.v4.sin_port);
        memcpy(endpoint.ip, &address->u.v4.sin_addr, 4);
        break;
    case AF_INET6:
        endpoint.family = Q_ENDPOINT_V6;
        endpoint.port = ntohs(address->u.v6.sin6_port);
        memcpy(endpoint.ip, &address->u.v6.sin6_addr, 16);
        break;
    case AF_VSOCK: {
        uint32_t words[2] = {htonl(address->u.vm.svm_cid), htonl(address->u.vm.svm_port)};
        endpoint.family = Q_ENDPOINT_VSOCK;
        memcpy(endpoint.ip, words, sizeof words);
        break;
    }
    default: break;
    }
    return endpoint;
}

struct q_address q_endpoint_address(const struct q_endpoint *endpoint) {
    if (endpoint->family == Q_ENDPOINT_VSOCK) {
        uint32_t words[2];
        memcpy(words, endpoint->ip, sizeof words);
        return q_address_vsock(ntohl(words[0]), ntohl(words[1]));
    }
    return endpoint->family == Q_ENDPOINT_V4 ? q_address_v4(endpoint->ip, endpoint->port)
                                             : q_address_v6(endpoint->ip, endpoint->port);
}

static size_t unix_text(const struct q_address *address, char out[Q_ADDRESS_TEXT_MAX]) {
    const struct sockaddr_un *local = &address->u.local;
    size_t len = address->len - offsetof(struct sockaddr_un, sun_path);
    bool is_abstract = local->sun_path[0] == 0;
    len -= !is_abstract; // the NUL
    memcpy(out, "unix:", 5);
    for (size_t i = 0; i < len; i++) {
        char c = local->sun_path[i];
        out[5 + i] = c > 0x20 && c < 0x7f ? c : '?';
    }
    out[5] = is_abstract ? '@' : out[5];
    out[5 + len] = 0;
    return 5 + len;
}

static size_t vsock_text(const struct q_address *address, char out[Q_ADDRESS_TEXT_MAX]) {
    size_t at = 6;
    memcpy(out, "vsock:", at);
    at += q_u64_to_text(address->u.vm.svm_cid, out + at);
    out[at++] = ':';
    at += q_u64_to_text(address->u.vm.svm_port, out + at);
    out[at] = 0;
    return at;
}

size_t q_address_text(const struct q_address *address, char out[Q_ADDRESS_TEXT_MAX]) {
    if (address->u.any.sa_family == AF_UNIX) {
        return unix_text(address, out);
    }
    if (address->u.any.sa_family == AF_VSOCK) {
        return vsock_text(address, out);
    }
    size_t at = 0;
    bool is_v4 = address->u.any.sa_family == AF_INET;
    if (!is_v4) {
        out[at++] = '[';
    }
    const void *bytes = is_v4 ? (const void *)&address->u.v4.sin_addr : (const void *)&address->u.v6.sin6_addr;
    inet_ntop(address->u.any.sa_family, bytes, out + at, INET6_ADDRSTRLEN);
    at += strlen(out + at);
    if (!is_v4) {
        out[at++] = ']';
    }
    out[at++] = ':';
    at += q_u64_to_text(ntohs(is_v4 ? address->u.v4.sin_port : address->u.v6.sin6_port), out + at);
    out[at] = 0;
    return at;
}

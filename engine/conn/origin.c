#include "engine/conn/origin.h"

#include "engine/tls/config.h"
#include "engine/tls/interned.h"

// Fields of the key, in this order. Each is written as {field, 32-bit length, bytes}.
enum key_field { KEY_SCHEME = 1, KEY_HOST_KIND, KEY_HOST, KEY_PORT, KEY_LOCAL, KEY_PEER, KEY_PEER_HOST, KEY_TLS, KEY_DIAL };

static size_t field_size(size_t len) { return 1 + 4 + len; }

static char *put_field(char *at, enum key_field field, const void *data, uint32_t len) {
    *at++ = (char)field;
    for (int shift = 0; shift < 32; shift += 8) {
        *at++ = (char)(len >> shift);
    }
    if (len > 0) {
        memcpy(at, data, len);
    }
    return at + len;
}

struct q_error q_origin_build(struct q_origin *out, const struct q_alloc *alloc, const struct q_url *url) {
    *out = (struct q_origin){0};
    size_t size = field_size(1) + field_size(1) + field_size(url->host.len) + field_size(2);
    char *key = q_alloc_new(alloc, size);
    if (key == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SUBMIT);
    }
    uint8_t port[2] = {(uint8_t)(url->port >> 8), (uint8_t)url->port};
    char *at = put_field(key, KEY_SCHEME, &url->scheme, 1);
    at = put_field(at, KEY_HOST_KIND, &url->host_kind, 1);
    at = put_field(at, KEY_HOST, url->host.ptr, (uint32_t)url->host.len);
    out->host = q_slice_make(at - url->host.len, url->host.len);
    at = put_field(at, KEY_PORT, port, 2);
    Q_CHECK((size_t)(at - key) == size);
    out->alloc = alloc;
    out->key = q_slice_make(key, size);
    out->audience_len = size;
    out->port = url->port;
    out->scheme = url->scheme;
    out->host_kind = url->host_kind;
    out->peer = (struct q_origin_peer){.host = out->host, .port = out->port, .host_kind = out->host_kind};
    memcpy(out->peer.address, url->address, sizeof out->peer.address);
    return Q_OK;
}

void q_origin_move(struct q_origin *origin, char *key) {
    const char *old = origin->key.ptr;
    memcpy(key, old, origin->key.len);
    origin->key.ptr = key;
    origin->host.ptr = key + (origin->host.ptr - old);
    origin->peer.host.ptr = key + (origin->peer.host.ptr - old);
}

// Gives memory for a key that is `size` bytes longer; NULL: there is none.
static char *longer_key(const struct q_origin *origin, size_t size) {
    return q_alloc_new(origin->alloc, origin->key.len + size);
}

// Moves into `key`, behind whose old part the fields up to `end` have been written.
static void adopt(struct q_origin *origin, char *key, const char *end) {
    struct q_slice old = origin->key;
    q_origin_move(origin, key);
    q_alloc_free(origin->alloc, (void *)(uintptr_t)old.ptr, old.len);
    origin->key.len = (size_t)(end - key);
}

struct q_error q_origin_set_local(struct q_origin *origin, const struct q_endpoint *local) {
    Q_CHECK(origin->local.family == Q_ENDPOINT_NONE && local->port == 0 && q_tls_is_none(origin->tls));
    uint8_t field[1 + sizeof local->ip] = {(uint8_t)local->family};
    memcpy(field + 1, local->ip, sizeof local->ip);
    char *key = longer_key(origin, field_size(sizeof field));
    if (key == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SUBMIT);
    }
    adopt(origin, key, put_field(key + origin->key.len, KEY_LOCAL, field, sizeof field));
    origin->audience_len = origin->key.len;
    origin->local = *local;
    return Q_OK;
}

struct q_error q_origin_set_peer(struct q_origin *origin, const struct q_origin_peer *peer) {
    struct q_origin_peer copy = *peer;
    uint8_t start[3] = {peer->host_kind, (uint8_t)(peer->port >> 8), (uint8_t)peer->port};
    char *key = longer_key(origin, field_size(sizeof start) + field_size(peer->host.len));
    if (key == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SUBMIT);
    }
    char *end = put_field(key + origin->key.len, KEY_PEER, start, sizeof start);
    end = put_field(end, KEY_PEER_HOST, copy.host.ptr, (uint32_t)copy.host.len);
    adopt(origin, key, end);
    origin->audience_len = origin->key.len;
    origin->peer = copy;
    origin->peer.host.ptr = end - copy.host.len;
    return Q_OK;
}

// Percent-encoded whole, as the pool reads it.
struct q_error q_origin_set_socket(struct q_origin *origin, struct q_slice name) {
    static const char k_digits[] = "0123456789ABCDEF";
    char text[3 * Q_HOST_SOCKET_MAX];
    Q_CHECK(name.len <= Q_HOST_SOCKET_MAX);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = (uint8_t)name.ptr[i];
        text[3 * i] = '%';
        text[3 * i + 1] = k_digits[byte >> 4];
        text[3 * i + 2] = k_digits[byte & 15];
    }
    struct q_origin_peer peer = {.host = q_slice_make(text, 3 * name.len), .host_kind = Q_HOST_SOCKET};
    return q_origin_set_peer(origin, &peer);
}

struct q_error q_origin_set_vsock(struct q_origin *origin, uint32_t cid, uint32_t port) {
    char text[Q_ADDRESS_TEXT_MAX];
    struct q_address address = q_address_vsock(cid, port);
    struct q_endpoint endpoint = q_address_endpoint(&address);
    struct q_origin_peer peer = {.host = q_slice_make(text, q_address_text(&address, text)),
                                 .host_kind = Q_ORIGIN_PEER_VSOCK};
    memcpy(peer.address, endpoint.ip, sizeof peer.address);
    return q_origin_set_peer(origin, &peer);
}

struct q_error q_origin_set_dial(struct q_origin *origin, const struct q_dial_options *options) {
    Q_CHECK(q_dial_options_is_default(&origin->dial) && !q_dial_options_is_default(options));
    char *key = longer_key(origin, field_size(sizeof *options));
    if (key == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SUBMIT);
    }
    adopt(origin, key, put_field(key + origin->key.len, KEY_DIAL, options, sizeof *options));
    origin->dial = *options;
    return Q_OK;
}

struct q_error q_origin_set_tls(struct q_origin *origin, struct q_handle tls) {
    Q_CHECK(q_tls_is_none(origin->tls) && !q_tls_is_none(tls));
    char *key = longer_key(origin, field_size(Q_CRYPTO_DIGEST_LEN));
    if (key == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_SUBMIT);
    }
    const uint8_t *digest = q_tls_config_digest(q_tls_config_of(tls));
    adopt(origin, key, put_field(key + origin->key.len, KEY_TLS, digest, Q_CRYPTO_DIGEST_LEN));
    origin->tls = tls;
    return Q_OK;
}

void q_origin_deinit(struct q_origin *origin) {
    if (origin->alloc != NULL) {
        q_alloc_free(origin->alloc, (void *)(uintptr_t)origin->key.ptr, origin->key.len);
    }
    *origin = (struct q_origin){0};
}

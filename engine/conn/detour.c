#include "engine/conn/detour.h"

// What one host of a rule may need: its brackets, and what its normal form may grow by.
#define HOST_ROOM (Q_DETOUR_HOST_BYTES_MAX + 2 + Q_HOST_TEXT_ROOM)

struct q_detour {
    struct q_detour *next;
    size_t size;
    struct q_slice host; // in normal form; empty: any
    uint16_t port;       // 0: any
    struct q_origin_peer to;
};

// A host of a rule in the form that origins have; without text: none was given.
struct host {
    struct q_host parsed;
    char text[HOST_ROOM];
};

static struct q_error usage(enum q_error_code code) { return q_error_make(code, Q_PHASE_SUBMIT); }

static struct q_error normalise(struct q_slice raw, struct host *out) {
    char bracketed[Q_DETOUR_HOST_BYTES_MAX + 2];
    out->parsed = (struct q_host){0};
    if (raw.len == 0) {
        return Q_OK;
    }
    if (raw.len > Q_DETOUR_HOST_BYTES_MAX) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    if (raw.ptr[0] != '[' && memchr(raw.ptr, ':', raw.len) != NULL) {
        bracketed[0] = '[';
        memcpy(bracketed + 1, raw.ptr, raw.len);
        bracketed[raw.len + 1] = ']';
        raw = q_slice_make(bracketed, raw.len + 2);
    }
    enum q_error_code code = q_host_parse(raw, out->text, &out->parsed);
    if (code == Q_ERR_OK) {
        return Q_OK;
    }
    return usage(code == Q_ERR_NO_MEMORY ? code : Q_ERR_INVALID_ARGUMENT);
}

static void append(struct q_detours *detours, struct q_detour *detour) {
    struct q_detour **at = &detours->first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = detour;
    detours->count++;
}

static void put_text(char *at, struct q_slice text) {
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
}

// The texts lie behind the rule, in the same piece of memory.
static struct q_detour *make(const struct q_alloc *alloc, struct q_slice host, struct q_slice to_host) {
    size_t size = sizeof(struct q_detour) + host.len + to_host.len;
    struct q_detour *detour = q_alloc_new(alloc, size);
    if (detour != NULL) {
        char *text = (char *)(detour + 1);
        put_text(text, host);
        put_text(text + host.len, to_host);
        detour->size = size;
        detour->host = q_slice_make(text, host.len);
        detour->to.host = q_slice_make(text + host.len, to_host.len);
    }
    return detour;
}

struct q_error q_detours_add(struct q_detours *detours, const struct q_alloc *alloc,
                             const struct q_detour_rule *rule) {
    struct host from;
    struct host to;
    if (detours->count >= Q_DETOURS_MAX) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    struct q_error error = normalise(rule->host, &from);
    if (!q_error_is(error)) {
        error = normalise(rule->to_host, &to);
    }
    if (q_error_is(error)) {
        return error;
    }
    struct q_detour *detour = make(alloc, q_slice_make(from.text, from.parsed.text_len),
                                   q_slice_make(to.text, to.parsed.text_len));
    if (detour == NULL) {
        return usage(Q_ERR_NO_MEMORY);
    }
    detour->port = rule->port;
    detour->to.port = rule->to_port;
    detour->to.host_kind = to.parsed.kind;
    memcpy(detour->to.address, to.parsed.address, sizeof to.parsed.address);
    append(detours, detour);
    return Q_OK;
}

struct q_error q_detours_copy(const struct q_detours *from, const struct q_alloc *alloc, struct q_detours *to) {
    for (const struct q_detour *rule = from->first; rule != NULL; rule = rule->next) {
        struct q_detour *copy = make(alloc, rule->host, rule->to.host);
        if (copy == NULL) {
            return usage(Q_ERR_NO_MEMORY);
        }
        struct q_slice to_host = copy->to.host;
        copy->port = rule->port;
        copy->to = rule->to;
        copy->to.host = to_host;
        append(to, copy);
    }
    return Q_OK;
}

static bool matches(const struct q_detour *rule, const struct q_origin *origin) {
    return (rule->host.len == 0 || q_slice_equal(rule->host, origin->host)) &&
           (rule->port == 0 || rule->port == origin->port);
}

struct q_error q_detours_apply(const struct q_detours *detours, struct q_origin *origin) {
    const struct q_detour *rule = detours->first;
    while (rule != NULL && !matches(rule, origin)) {
        rule = rule->next;
    }
    if (rule == NULL || origin->host_kind == Q_HOST_SOCKET) {
        return Q_OK;
    }
    struct q_origin_peer peer = rule->to.host.len > 0 ? rule->to : origin->peer;
    peer.port = rule->to.port > 0 ? rule->to.port : origin->port;
    bool goes_elsewhere = peer.port != origin->port || !q_slice_equal(peer.host, origin->host);
    return goes_elsewhere ? q_origin_set_peer(origin, &peer) : Q_OK; // else its connections serve others, too
}

void q_detours_deinit(struct q_detours *detours, const struct q_alloc *alloc) {
    while (detours->first != NULL) {
        struct q_detour *rule = detours->first;
        detours->first = rule->next;
        q_alloc_free(alloc, rule, rule->size);
    }
    detours->count = 0;
}

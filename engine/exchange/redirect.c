#include "engine/exchange/redirect.h"

#include "engine/wire/url_basic.h"

bool q_redirect_is(uint16_t status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

struct q_error q_redirect_location(const struct q_headers *headers, struct q_slice *out) {
    struct q_slice value;
    uint32_t cursor = 0;
    *out = (struct q_slice){0};
    while (q_headers_next_known(headers, Q_KNOWN_LOCATION, &cursor, &value)) {
        if (out->ptr != NULL && !q_slice_equal(*out, value)) {
            *out = (struct q_slice){0};
            return q_error_make(Q_ERR_HTTP_BAD_LOCATION, Q_PHASE_HEAD);
        }
        *out = value;
    }
    return Q_OK;
}

static bool becomes_get(const struct q_spec *spec, uint16_t status) {
    bool is_post = q_slice_equal(spec->method, Q_SLICE("POST"));
    return (status == 303 && !spec->is_head) || ((status == 301 || status == 302) && is_post);
}

// Fields that describe a body that is not sent any more.
static bool is_of_body(struct q_slice name) {
    switch (q_known_find(name)) {
    case Q_KNOWN_CONTENT_TYPE:
    case Q_KNOWN_CONTENT_ENCODING:
    case Q_KNOWN_CONTENT_LANGUAGE:
    case Q_KNOWN_CONTENT_LOCATION:
    case Q_KNOWN_CONTENT_DISPOSITION: return true;
    default: return false;
    }
}

static struct q_error copy_fields(const struct q_spec *from, struct q_spec *to, bool drops_body) {
    bool is_same_origin = q_origin_equal(&from->origin, &to->origin);
    struct q_error error = Q_OK;
    for (uint32_t i = 0; i < q_headers_builder_count(&from->headers) && !q_error_is(error); i++) {
        struct q_slice name;
        struct q_slice value;
        q_headers_builder_at(&from->headers, i, &name, &value);
        bool is_secret = q_headers_builder_is_secret(&from->headers, i);
        // What speaks to one origin must not reach another one: what is secret, and the name it was called by.
        bool is_of_origin = is_secret || q_known_find(name) == Q_KNOWN_HOST;
        if ((drops_body && is_of_body(name)) || (!is_same_origin && is_of_origin)) {
            continue;
        }
        error = is_secret ? q_spec_add_secret_header(to, name, value) : q_spec_add_header(to, name, value);
    }
    return error;
}

static bool gives_authorization(const struct q_spec *spec) {
    for (uint32_t i = 0; i < q_headers_builder_count(&spec->headers); i++) {
        struct q_slice name;
        struct q_slice value;
        q_headers_builder_at(&spec->headers, i, &name, &value);
        if (q_known_find(name) == Q_KNOWN_AUTHORIZATION) {
            return true;
        }
    }
    return false;
}

// A Location that names its origin has lost the URL's credentials, though it may be the same origin: there they go on,
// as a field, so that they go no further than a field of the user's would.
static struct q_error keep_credentials(const struct q_spec *from, struct q_spec *to) {
    if (!from->url.has_credentials || to->url.has_credentials || gives_authorization(from) ||
        !q_origin_equal(&from->origin, &to->origin)) {
        return Q_OK;
    }
    size_t size = q_url_write_basic(&from->url, NULL, 0);
    char *value = from->alloc->allocate(from->alloc->context, size);
    if (value == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_HEAD);
    }
    q_url_write_basic(&from->url, value, size);
    // They were in the head already, beyond what a program may add.
    to->headers.limits.count++;
    to->headers.limits.line_bytes += (uint32_t)size;
    to->headers.limits.text_bytes += (uint32_t)size + sizeof "Authorization";
    struct q_error error = q_spec_add_header(to, Q_SLICE("Authorization"), q_slice_make(value, size));
    q_alloc_free_wiped(from->alloc, value, size);
    return error;
}

// The body stays where it is: the next hop holds the spec that has it.
static void release_owner(void *context, const void *data, size_t len) {
    (void)data;
    (void)len;
    q_spec_release(context);
}

// Where connections come from and go to is the host's word for every hop; and a part of the origin, so it comes first.
static struct q_error copy_ends(const struct q_spec *from, struct q_spec *to) {
    struct q_error error = Q_OK;
    if (from->origin.local.family != Q_ENDPOINT_NONE) {
        error = q_origin_set_local(&to->origin, &from->origin.local);
    }
    if (!q_error_is(error)) {
        error = q_detours_copy(&from->detours, to->alloc, &to->detours);
    }
    to->dial = from->dial;
    to->via = from->via;
    if (!q_error_is(error)) {
        error = q_spec_set_tls(to, from->tls);
    }
    return q_error_is(error) ? error : q_spec_route(to);
}

static struct q_error copy_rest(struct q_spec *from, struct q_spec *to, bool drops_body) {
    to->headers.limits = from->headers.limits; // which may have grown, see keep_credentials
    struct q_error error = copy_ends(from, to);
    if (!q_error_is(error)) {
        error = copy_fields(from, to, drops_body);
    }
    if (!q_error_is(error)) {
        error = keep_credentials(from, to);
    }
    if (!q_error_is(error) && from->has_body && !drops_body) {
        error = q_spec_set_body(to, from->body, from->body_len, release_owner, from);
        if (!q_error_is(error)) {
            q_spec_acquire(from);
        }
    }
    if (!q_error_is(error)) {
        error = q_spec_set_redirects(to, from->redirects_max, from->keeps_scheme);
    }
    to->asks_redirects = from->asks_redirects;
    to->asks_report = from->asks_report;
    if (!q_error_is(error) && from->upgrade.len > 0) {
        error = q_spec_set_upgrade(to, from->upgrade);
    }
    to->feed_max = from->feed_max;
    to->bounds = from->bounds;
    to->credit = from->credit;
    to->is_credit_manual = from->is_credit_manual;
    return q_error_is(error) ? error : q_spec_freeze(to);
}

// What is wrong with the URL is wrong with the Location.
static struct q_error location_error(struct q_error error) {
    enum q_error_code code = (enum q_error_code)error.code;
    return q_error_make(code == Q_ERR_INVALID_URL ? Q_ERR_HTTP_BAD_LOCATION : code, Q_PHASE_HEAD);
}

// A server may move a request about on its own socket, and never onto another one: behind those are things that trust
// whoever can reach them.
static bool is_strange_socket(const struct q_url *from, const struct q_url *to) {
    return to->scheme == Q_SCHEME_HTTP_UNIX && !q_url_same_origin(from, to);
}

struct q_error q_redirect_next(struct q_spec *spec, uint16_t status, struct q_slice location, struct q_spec **out) {
    struct q_url url;
    struct q_error error = q_url_resolve(spec->alloc, &spec->url, location, &url);
    if (q_error_is(error)) {
        return location_error(error);
    }
    if ((spec->keeps_scheme && url.scheme != spec->url.scheme) || is_strange_socket(&spec->url, &url)) {
        q_url_deinit(&url);
        return q_error_make(Q_ERR_UNSUPPORTED_SCHEME, Q_PHASE_HEAD);
    }
    bool drops_body = becomes_get(spec, status);
    struct q_spec *next;
    error = q_spec_of_url(spec->alloc, drops_body ? Q_SLICE("GET") : spec->method, &url, &next);
    if (!q_error_is(error)) {
        error = copy_rest(spec, next, drops_body);
        if (q_error_is(error)) {
            q_spec_release(next);
        }
    }
    *out = q_error_is(error) ? NULL : next;
    return q_error_is(error) ? location_error(error) : Q_OK;
}

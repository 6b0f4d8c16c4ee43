#include "engine/exchange/spec.h"

#include "engine/tls/interned.h"

#include "engine/base/clock.h"
#include "engine/conn/feed.h"
#include "engine/wire/h1_upgrade.h"
#include "engine/wire/h1_writer.h"
#include "engine/wire/token.h"
#include "engine/wire/url_basic.h"

#define USER_AGENT "quoit/0.1.0"

static struct q_error usage(enum q_error_code code) { return q_error_make(code, Q_PHASE_SUBMIT); }

static bool is_one_of(struct q_slice method, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (q_slice_equal(method, q_slice_of_string(names[i]))) {
            return true;
        }
    }
    return false;
}

static struct q_error check_method(struct q_slice method) {
    if (method.len == 0 || method.len > Q_SPEC_METHOD_MAX || !q_is_token(method)) {
        return usage(Q_ERR_INVALID_METHOD);
    }
    // CONNECT asks for a tunnel, which is the business of proxies.
    return q_slice_equal(method, Q_SLICE("CONNECT")) ? usage(Q_ERR_INVALID_METHOD) : Q_OK;
}

// Takes over what `url` owns.
static struct q_error build(struct q_spec *spec, struct q_slice method, struct q_url *url) {
    spec->url = *url;
    *url = (struct q_url){0};
    static const char *const k_idempotent[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    char *copy = q_alloc_copy(spec->alloc, method.ptr, method.len);
    if (copy == NULL) {
        return usage(Q_ERR_NO_MEMORY);
    }
    spec->method = q_slice_make(copy, method.len);
    spec->is_head = q_slice_equal(method, Q_SLICE("HEAD"));
    spec->is_idempotent = is_one_of(method, k_idempotent, Q_COUNT_OF(k_idempotent));
    return q_origin_build(&spec->origin, spec->alloc, &spec->url);
}

struct q_error q_spec_of_url(const struct q_alloc *alloc, struct q_slice method, struct q_url *url,
                             struct q_spec **out) {
    struct q_spec *spec = q_alloc_new(alloc, sizeof *spec);
    if (spec == NULL) {
        q_url_deinit(url);
        return usage(Q_ERR_NO_MEMORY);
    }
    spec->alloc = alloc;
    atomic_init(&spec->holders, 1);
    atomic_init(&spec->host_holds, 1);
    spec->tag = Q_SPEC_TAG;
    spec->bounds.connect_ns = Q_SPEC_CONNECT_NS_DEFAULT;
    spec->bounds.answer_ns = Q_SPEC_ANSWER_NS_DEFAULT;
    spec->credit = Q_SPEC_CREDIT_DEFAULT;
    spec->feed_max = Q_SPEC_FEED_DEFAULT;
    q_headers_builder_init_growing(&spec->headers, alloc, NULL);
    struct q_error error = build(spec, method, url);
    if (q_error_is(error)) {
        error.phase = Q_PHASE_SUBMIT;
        q_spec_release(spec);
        return error;
    }
    *out = spec;
    return Q_OK;
}

struct q_error q_spec_new(const struct q_alloc *alloc, struct q_slice method, struct q_slice url,
                          struct q_spec **out) {
    struct q_error error = check_method(method);
    if (q_error_is(error)) {
        return error;
    }
    struct q_url parsed;
    error = q_url_parse(alloc, url, &parsed);
    if (q_error_is(error)) {
        error.phase = Q_PHASE_SUBMIT;
        return error;
    }
    return q_spec_of_url(alloc, method, &parsed, out);
}

// Fields that are secret whether they are said to be or not.
static bool is_always_secret(struct q_slice name) {
    switch (q_known_find(name)) {
    case Q_KNOWN_AUTHORIZATION:
    case Q_KNOWN_COOKIE:
    case Q_KNOWN_PROXY_AUTHORIZATION: return true;
    default: return false;
    }
}

static struct q_error add_field(struct q_spec *spec, struct q_slice name, struct q_slice value, bool is_secret) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    // Before anything is read: a host's mistake in a length must not become a walk through its memory.
    if (name.len > Q_HEADERS_NAME_BYTES_MAX || value.len > spec->headers.limits.line_bytes) {
        return usage(Q_ERR_HEAD_TOO_LARGE);
    }
    bool is_second_host = spec->has_host && q_known_find(name) == Q_KNOWN_HOST;
    if (is_second_host || q_h1_is_engines(name, q_slice_trim(value))) {
        return usage(Q_ERR_FORBIDDEN_HEADER);
    }
    if (q_known_find(name) == Q_KNOWN_HOST && !q_h1_is_host(q_slice_trim(value))) {
        return usage(Q_ERR_INVALID_HEADER_VALUE);
    }
    struct q_error error = is_secret || is_always_secret(name)
                               ? q_headers_builder_add_secret(&spec->headers, name, value)
                               : q_headers_builder_add(&spec->headers, name, value);
    spec->has_host |= !q_error_is(error) && q_known_find(name) == Q_KNOWN_HOST;
    return error;
}

struct q_error q_spec_add_header(struct q_spec *spec, struct q_slice name, struct q_slice value) {
    return add_field(spec, name, value, false);
}

struct q_error q_spec_add_secret_header(struct q_spec *spec, struct q_slice name, struct q_slice value) {
    return add_field(spec, name, value, true);
}

static void drop_body(struct q_spec *spec) {
    if (spec->body_release != NULL) {
        spec->body_release(spec->body_context, spec->body, spec->body_len);
    } else if (spec->body != NULL) {
        q_alloc_free(spec->alloc, (void *)(uintptr_t)spec->body, spec->body_len + 1);
    }
    spec->body = NULL;
    spec->body_release = NULL;
}

struct q_error q_spec_set_body(struct q_spec *spec, const void *data, size_t len,
                               void (*release)(void *context, const void *data, size_t len), void *context) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    if ((data == NULL && len > 0) || len > PTRDIFF_MAX) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    const char *body = data;
    if (release == NULL) {
        body = q_alloc_copy(spec->alloc, data, len);
        if (body == NULL) {
            return usage(Q_ERR_NO_MEMORY);
        }
    }
    drop_body(spec);
    spec->body = body;
    spec->body_len = len;
    spec->body_release = release;
    spec->body_context = context;
    spec->has_body = true;
    return Q_OK;
}

struct q_error q_spec_set_bounds(struct q_spec *spec, const struct q_bounds *bounds) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    const uint64_t times_ns[] = {bounds->queue_ns, bounds->connect_ns,   bounds->first_byte_ns, bounds->idle_ns,
                                 bounds->total_ns, bounds->low_speed_ns, bounds->answer_ns,  bounds->tls_ns,
                                 bounds->resolve_ns};
    for (size_t i = 0; i < Q_COUNT_OF(times_ns); i++) {
        if (times_ns[i] > Q_SPEC_TIMEOUT_MS_MAX * Q_NS_PER_MS) {
            return usage(Q_ERR_INVALID_ARGUMENT);
        }
    }
    if ((bounds->low_speed_ns == 0) != (bounds->low_speed_bytes == 0)) {
        return usage(Q_ERR_INVALID_ARGUMENT); // one means nothing without the other
    }
    spec->bounds = *bounds;
    spec->bounds.connect_ns = bounds->connect_ns == 0 ? Q_SPEC_CONNECT_NS_DEFAULT : bounds->connect_ns;
    spec->bounds.answer_ns = bounds->answer_ns == 0 ? Q_SPEC_ANSWER_NS_DEFAULT : bounds->answer_ns;
    return Q_OK;
}

struct q_error q_spec_set_redirects(struct q_spec *spec, uint32_t limit, bool keeps_scheme) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    if (limit > Q_SPEC_REDIRECTS_MAX) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    spec->redirects_max = limit;
    spec->keeps_scheme = keeps_scheme;
    return Q_OK;
}

// Of the unspecified address nothing is known, and a unix socket has none.
static bool can_come_from(const struct q_spec *spec, const struct q_endpoint *local) {
    static const uint8_t k_zeros[sizeof local->ip] = {0};
    return spec->url.scheme != Q_SCHEME_HTTP_UNIX && memcmp(local->ip, k_zeros, sizeof k_zeros) != 0;
}

struct q_error q_spec_set_local_address(struct q_spec *spec, struct q_slice literal) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    struct q_address address;
    if (!q_address_parse(literal, 0, &address)) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    struct q_endpoint local = q_address_endpoint(&address);
    if (!can_come_from(spec, &local)) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    // Built anew: an earlier one is no part of it any more.
    struct q_origin origin;
    struct q_error error = q_origin_build(&origin, spec->alloc, &spec->url);
    if (q_error_is(error)) {
        return error;
    }
    error = q_origin_set_local(&origin, &local);
    if (q_error_is(error)) {
        q_origin_deinit(&origin);
        return error;
    }
    q_origin_deinit(&spec->origin);
    spec->origin = origin;
    return Q_OK;
}

struct q_error q_spec_ask_redirects(struct q_spec *spec, bool asks) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    spec->asks_redirects = asks;
    return Q_OK;
}

struct q_error q_spec_ask_report(struct q_spec *spec, bool asks) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    spec->asks_report = asks;
    return Q_OK;
}

struct q_error q_spec_set_credit(struct q_spec *spec, uint64_t bytes, bool is_manual) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    if (bytes > INT64_MAX / 2) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    spec->credit = bytes == 0 && !is_manual ? Q_SPEC_CREDIT_DEFAULT : bytes;
    spec->is_credit_manual = is_manual;
    return Q_OK;
}

struct q_error q_spec_connect_to(struct q_spec *spec, const struct q_detour_rule *rule) {
    return spec->is_frozen ? usage(Q_ERR_FROZEN) : q_detours_add(&spec->detours, spec->alloc, rule);
}

struct q_error q_spec_set_tls(struct q_spec *spec, struct q_handle tls) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    q_tls_hold(tls);
    q_tls_let_go(spec->tls);
    spec->tls = tls;
    return Q_OK;
}

struct q_error q_spec_set_dial(struct q_spec *spec, const struct q_dial_options *dial, const struct q_spec_via *via) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    struct q_address address;
    bool is_name = via->socket_len == 0 || q_address_unix(q_slice_make(via->socket, via->socket_len), &address);
    bool is_one = via->socket_len == 0 || via->vsock_port == 0;
    bool is_free = spec->url.scheme != Q_SCHEME_HTTP_UNIX || (via->socket_len == 0 && via->vsock_port == 0);
    if (!is_name || !is_one || !is_free) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    struct q_error error = q_dial_options_check(dial);
    if (!q_error_is(error)) {
        spec->dial = *dial;
        spec->via = *via;
    }
    return error;
}

static struct q_error route_peer(struct q_spec *spec) {
    const struct q_spec_via *via = &spec->via;
    if (spec->url.scheme == Q_SCHEME_HTTP_UNIX || (via->socket_len == 0 && via->vsock_port == 0)) {
        return q_detours_apply(&spec->detours, &spec->origin);
    }
    return via->socket_len > 0 ? q_origin_set_socket(&spec->origin, q_slice_make(via->socket, via->socket_len))
                               : q_origin_set_vsock(&spec->origin, via->vsock_cid, via->vsock_port);
}

struct q_error q_spec_route(struct q_spec *spec) {
    struct q_error error = spec->is_routed ? Q_OK : route_peer(spec);
    if (!q_error_is(error) && !spec->is_routed && !q_dial_options_is_default(&spec->dial)) {
        error = q_origin_set_dial(&spec->origin, &spec->dial);
    }
    spec->is_routed = !q_error_is(error);
    bool wants_tls = spec->url.scheme == Q_SCHEME_HTTPS && !q_tls_is_none(spec->tls) && q_tls_is_none(spec->origin.tls);
    return wants_tls && !q_error_is(error) ? q_origin_set_tls(&spec->origin, spec->tls) : error;
}

static void drop_upgrade(struct q_spec *spec) {
    if (spec->upgrade.ptr != NULL) {
        q_alloc_free(spec->alloc, (void *)(uintptr_t)spec->upgrade.ptr, spec->upgrade.len + 1);
    }
    spec->upgrade = (struct q_slice){0};
}

struct q_error q_spec_set_upgrade(struct q_spec *spec, struct q_slice protocol) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    if (protocol.len > Q_SPEC_PROTOCOL_MAX || !q_h1_is_protocol(protocol)) {
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    char *copy = q_alloc_copy(spec->alloc, protocol.ptr, protocol.len);
    if (copy == NULL) {
        return usage(Q_ERR_NO_MEMORY);
    }
    drop_upgrade(spec);
    spec->upgrade = q_slice_make(copy, protocol.len);
    return Q_OK;
}

struct q_error q_spec_set_feed_max(struct q_spec *spec, uint64_t bytes) {
    if (spec->is_frozen) {
        return usage(Q_ERR_FROZEN);
    }
    if (bytes > Q_FEEDWORD_LIMIT_MAX || (bytes > 0 && bytes < Q_FEED_BYTES_MIN)) { // not one piece would ever fit
        return usage(Q_ERR_INVALID_ARGUMENT);
    }
    spec->feed_max = bytes == 0 ? Q_SPEC_FEED_DEFAULT : (uint32_t)bytes;
    return Q_OK;
}

// The URL's credentials as an Authorization value in memory of its own, unless the host gives a field of that name.
static struct q_error make_authorization(const struct q_spec *spec, const struct q_headers *headers,
                                         struct q_slice *out) {
    struct q_slice given;
    *out = (struct q_slice){0};
    if (!spec->url.has_credentials || q_headers_get_known(headers, Q_KNOWN_AUTHORIZATION, &given)) {
        return Q_OK;
    }
    if (!q_url_basic_is_valid(&spec->url)) {
        return usage(Q_ERR_INVALID_URL);
    }
    size_t size = q_url_write_basic(&spec->url, NULL, 0);
    char *value = spec->alloc->allocate(spec->alloc->context, size);
    if (value == NULL) {
        return usage(Q_ERR_NO_MEMORY);
    }
    q_url_write_basic(&spec->url, value, size);
    *out = q_slice_make(value, size);
    return Q_OK;
}

static void drop_head(struct q_spec *spec) {
    bool has_secrets = spec->headers.has_secrets || spec->url.has_credentials;
    (has_secrets ? q_alloc_free_wiped : q_alloc_free)(spec->alloc, spec->head, spec->head_len);
    spec->head = NULL;
    spec->head_len = 0;
}

static struct q_error write_head(struct q_spec *spec, const struct q_h1_head_in *in) {
    struct q_error error = q_h1_check_head(in);
    if (q_error_is(error)) {
        return error;
    }
    spec->head_len = q_h1_write_head(in, NULL, 0);
    spec->head = spec->alloc->allocate(spec->alloc->context, spec->head_len);
    if (spec->head == NULL) {
        return usage(Q_ERR_NO_MEMORY);
    }
    q_h1_write_head(in, spec->head, spec->head_len);
    return Q_OK;
}

static struct q_error serialise(struct q_spec *spec, const struct q_headers *headers) {
    static const char *const k_with_length[] = {"POST", "PUT", "PATCH"};
    struct q_h1_head_in in = {
        .method = spec->method,
        .target = spec->url.target,
        .authority = spec->url.authority,
        .headers = headers,
        .user_agent = Q_SLICE(USER_AGENT),
        .upgrade = spec->upgrade,
        .body_len = spec->body_len,
        .has_body = spec->has_body || is_one_of(spec->method, k_with_length, Q_COUNT_OF(k_with_length)),
    };
    struct q_error error = make_authorization(spec, headers, &in.authorization);
    if (q_error_is(error)) {
        return error;
    }
    error = write_head(spec, &in);
    q_alloc_free_wiped(spec->alloc, (void *)(uintptr_t)in.authorization.ptr, in.authorization.len);
    spec->asks_close = q_h1_asks_close(headers);
    return error;
}

struct q_error q_spec_freeze(struct q_spec *spec) {
    if (spec->is_frozen) {
        return Q_OK;
    }
    // From a copy of the builder's fields, so that a spec that is refused can still be corrected and frozen later.
    struct q_headers_builder copy;
    q_headers_builder_init_growing(&copy, spec->alloc, &spec->headers.limits);
    struct q_error error = Q_OK;
    for (uint32_t i = 0; i < q_headers_builder_count(&spec->headers) && !q_error_is(error); i++) {
        struct q_slice name;
        struct q_slice value;
        q_headers_builder_at(&spec->headers, i, &name, &value);
        error = q_headers_builder_is_secret(&spec->headers, i) ? q_headers_builder_add_secret(&copy, name, value)
                                                               : q_headers_builder_add(&copy, name, value);
    }
    if (!q_error_is(error)) {
        error = serialise(spec, q_headers_builder_freeze(&copy));
    }
    q_headers_builder_deinit(&copy);
    if (!q_error_is(error)) { // last: a spec that is not frozen may still be given rules
        error = q_spec_route(spec);
        if (q_error_is(error)) {
            drop_head(spec);
        }
    }
    spec->is_frozen = !q_error_is(error);
    error.phase = q_error_is(error) ? Q_PHASE_SUBMIT : 0;
    return error;
}

struct q_spec *q_spec_acquire(struct q_spec *spec) {
    atomic_fetch_add_explicit(&spec->holders, 1, memory_order_relaxed);
    return spec;
}

// acq_rel: what every holder did with the spec happened before the last one frees it.
static bool let_go(struct q_spec *spec) {
    return atomic_fetch_sub_explicit(&spec->holders, 1, memory_order_acq_rel) == 1;
}

static void destroy(struct q_spec *spec) {
    spec->tag = 0;
    drop_body(spec);
    drop_upgrade(spec);
    drop_head(spec);
    q_detours_deinit(&spec->detours, spec->alloc);
    q_headers_builder_deinit(&spec->headers);
    q_origin_deinit(&spec->origin);
    q_tls_let_go(spec->tls);
    q_url_deinit(&spec->url);
    q_alloc_free(spec->alloc, (void *)(uintptr_t)spec->method.ptr, spec->method.len + 1);
    q_alloc_free(spec->alloc, spec, sizeof *spec);
}

void q_spec_release(struct q_spec *spec) {
    if (let_go(spec)) {
        destroy(spec);
    }
}

bool q_spec_is_hosts(const struct q_spec *spec) {
    return spec != NULL && spec->tag == Q_SPEC_TAG && atomic_load_explicit(&spec->host_holds, memory_order_relaxed) > 0;
}

// Counts up or down from what is not zero.
static bool change_holds(struct q_spec *spec, uint32_t change, uint32_t *out_left) {
    if (!q_spec_is_hosts(spec)) {
        return false;
    }
    uint32_t seen = atomic_load_explicit(&spec->host_holds, memory_order_relaxed);
    do {
        if (seen == 0) {
            return false;
        }
        *out_left = seen + change;
        // Release and acquire: what every holder did with the spec comes before the last one's release.
    } while (!atomic_compare_exchange_weak_explicit(&spec->host_holds, &seen, *out_left, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

bool q_spec_host_acquire(struct q_spec *spec) {
    uint32_t holds;
    return change_holds(spec, 1, &holds);
}

bool q_spec_host_release(struct q_spec *spec) {
    uint32_t left;
    if (!change_holds(spec, UINT32_MAX, &left)) {
        return false;
    }
    if (left == 0) {
        q_spec_release(spec);
    }
    return true;
}

static void say_farewell(struct q_task *task) { destroy(q_container_of(task, struct q_spec, farewell)); }

void q_spec_release_on_loop(struct q_spec *spec, struct q_loop *loop) {
    if (let_go(spec)) {
        spec->farewell.run = say_farewell; // nobody else has the spec any more
        q_loop_post_farewell(loop, &spec->farewell);
    }
}

bool q_spec_may_go_early(const struct q_spec *spec) {
    static const char *const k_methods[] = {"GET", "HEAD", "OPTIONS"}; // safe, and without an effect that counts
    return is_one_of(spec->method, k_methods, Q_COUNT_OF(k_methods)) && spec->is_idempotent && !spec->has_body &&
           spec->body_len == 0 && spec->upgrade.len == 0;
}

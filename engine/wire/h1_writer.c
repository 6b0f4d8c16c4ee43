#include "engine/wire/h1_writer.h"

#include "engine/wire/h1_upgrade.h"
#include "engine/wire/token.h"

// A cursor that measures when there is no memory and writes when there is: one walk for both.
struct writer {
    char *out; // NULL: only measure
    size_t len;
};

static void put(struct writer *w, struct q_slice s) {
    if (w->out != NULL && s.len > 0) {
        memcpy(w->out + w->len, s.ptr, s.len);
    }
    w->len += s.len;
}

static void put_field(struct writer *w, struct q_slice name, struct q_slice value) {
    put(w, name);
    put(w, Q_SLICE(": "));
    put(w, value);
    put(w, Q_SLICE("\r\n"));
}

static const struct q_headers *headers_of(const struct q_h1_head_in *in) {
    return in->headers == NULL ? q_headers_empty() : in->headers;
}

static bool gives(const struct q_headers *headers, enum q_known known) {
    struct q_slice value;
    return q_headers_get_known(headers, known, &value);
}

static struct q_error submit_error(enum q_error_code code) {
    return q_error_make(code, Q_PHASE_SUBMIT);
}

// connection_is_allowed: hop-by-hop options are between the engine and its peer; the host may only ask to close or not.
static bool connection_is_allowed(struct q_slice list) {
    struct q_slice member;
    while (q_list_next(&list, &member)) {
        if (!q_slice_equal_nocase(member, Q_SLICE("close")) && !q_slice_equal_nocase(member, Q_SLICE("keep-alive"))) {
            return false;
        }
    }
    return true;
}

// is_engines: framing, and the fields that are between the engine and its peer (RFC 9110 section 7.6.1).
static bool is_engines(enum q_known known, struct q_slice value) {
    switch (known) {
    case Q_KNOWN_CONTENT_LENGTH:
    case Q_KNOWN_TRANSFER_ENCODING:
    case Q_KNOWN_TE:
    case Q_KNOWN_TRAILER:
    case Q_KNOWN_UPGRADE:
    case Q_KNOWN_KEEP_ALIVE:
    case Q_KNOWN_PROXY_CONNECTION: return true;
    case Q_KNOWN_CONNECTION: return !connection_is_allowed(value);
    default: return false;
    }
}

struct q_error q_h1_check_head(const struct q_h1_head_in *in) {
    if (!q_is_token(in->method)) {
        return submit_error(Q_ERR_INVALID_METHOD);
    }
    if (!q_is_request_target(in->target) || (in->authority.len > 0 && !q_is_request_target(in->authority))) {
        return submit_error(Q_ERR_INVALID_URL);
    }
    const struct q_headers *headers = headers_of(in);
    // A connection that is to end with the answer cannot go on as another protocol's.
    if (in->upgrade.len > 0 && (!q_h1_is_protocol(in->upgrade) || in->close || q_h1_asks_close(headers))) {
        return submit_error(Q_ERR_INVALID_ARGUMENT);
    }
    if (in->has_body && in->body_len > 0 && q_slice_equal(in->method, Q_SLICE("TRACE"))) {
        return submit_error(Q_ERR_INVALID_ARGUMENT);
    }
    uint32_t hosts = 0;
    for (uint32_t i = 0; i < q_headers_count(headers); i++) {
        struct q_slice name, value;
        (void)q_headers_at(headers, i, &name, &value);
        enum q_known known = q_headers_known_at(headers, i);
        hosts += known == Q_KNOWN_HOST ? 1 : 0;
        if (hosts > 1 || is_engines(known, value)) {
            return submit_error(Q_ERR_FORBIDDEN_HEADER);
        }
    }
    return Q_OK;
}

bool q_h1_is_host(struct q_slice value) {
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.ptr[i];
        bool is_host = q_byte_is(byte, Q_BYTE_ALPHA | Q_BYTE_DIGIT) ||
                       (byte != 0 && strchr("-._~%!$&'()*+,;=:[]", byte) != NULL);
        if (!is_host) {
            return false;
        }
    }
    return true;
}

bool q_h1_is_engines(struct q_slice name, struct q_slice value) { return is_engines(q_known_find(name), value); }

bool q_h1_asks_close(const struct q_headers *headers) {
    return headers != NULL && q_headers_has_member(headers, Q_KNOWN_CONNECTION, Q_SLICE("close"));
}

// method_has_content: methods whose request has content by their nature say so also when it is empty (RFC 9110 8.6).
static bool method_has_content(struct q_slice method) {
    return q_slice_equal(method, Q_SLICE("POST")) || q_slice_equal(method, Q_SLICE("PUT")) ||
           q_slice_equal(method, Q_SLICE("PATCH"));
}

static void put_request_line(struct writer *w, const struct q_h1_head_in *in) {
    put(w, in->method);
    put(w, Q_SLICE(" "));
    put(w, in->target);
    put(w, Q_SLICE(" HTTP/1.1\r\n"));
}

static void put_defaults(struct writer *w, const struct q_h1_head_in *in, const struct q_headers *headers) {
    if (in->authorization.len > 0 && !gives(headers, Q_KNOWN_AUTHORIZATION)) {
        put_field(w, Q_SLICE("Authorization"), in->authorization);
    }
    if (in->user_agent.len > 0 && !gives(headers, Q_KNOWN_USER_AGENT)) {
        put_field(w, Q_SLICE("User-Agent"), in->user_agent);
    }
    if (!gives(headers, Q_KNOWN_ACCEPT)) {
        put_field(w, Q_SLICE("Accept"), Q_SLICE("*/*"));
    }
    if (in->close && !q_h1_asks_close(headers)) {
        put_field(w, Q_SLICE("Connection"), Q_SLICE("close"));
    }
    if (in->upgrade.len > 0) {
        put_field(w, Q_SLICE("Connection"), Q_SLICE("Upgrade"));
        put_field(w, Q_SLICE("Upgrade"), in->upgrade);
    }
    if (in->has_body || method_has_content(in->method)) {
        char digits[20];
        put_field(w, Q_SLICE("Content-Length"),
                  q_slice_make(digits, q_u64_to_text(in->has_body ? in->body_len : 0, digits)));
    }
}

static void put_head(struct writer *w, const struct q_h1_head_in *in) {
    const struct q_headers *headers = headers_of(in);
    put_request_line(w, in);
    // Host first, as RFC 9110 section 7.2 recommends, wherever the fields give it.
    struct q_slice host = in->authority;
    (void)q_headers_get_known(headers, Q_KNOWN_HOST, &host);
    put_field(w, Q_SLICE("Host"), host);
    for (uint32_t i = 0; i < q_headers_count(headers); i++) {
        struct q_slice name, value;
        (void)q_headers_at(headers, i, &name, &value);
        if (q_headers_known_at(headers, i) != Q_KNOWN_HOST) {
            put_field(w, name, value);
        }
    }
    put_defaults(w, in, headers);
    put(w, Q_SLICE("\r\n"));
}

size_t q_h1_write_head(const struct q_h1_head_in *in, char *out, size_t cap) {
    struct writer measure = {0};
    put_head(&measure, in);
    if (out != NULL && measure.len <= cap) {
        struct writer writer = {.out = out};
        put_head(&writer, in);
        Q_ASSERT(writer.len == measure.len);
    }
    return measure.len;
}

#include "engine/wire/h1_framing.h"

#include "engine/wire/token.h"

// What the framing fields of one head say, all lines together.
struct framing_fields {
    uint64_t content_length;
    uint32_t lengths;      // members of Content-Length
    uint32_t codings;      // members of Transfer-Encoding
    bool length_bad;       // not a number, or two that differ
    bool coding_bad;       // a member other than `chunked`
    bool connection_close; // members of Connection
    bool connection_keep_alive;
};

static void read_length(struct framing_fields *f, struct q_slice list) {
    struct q_slice member;
    while (q_list_next(&list, &member)) {
        uint64_t length = 0;
        // 63 bits, so that sums of lengths and offsets cannot wrap.
        if (!q_slice_to_u64(member, &length) || length > INT64_MAX || (f->lengths > 0 && length != f->content_length)) {
            f->length_bad = true;
        }
        f->content_length = length;
        f->lengths++;
    }
}

static void read_codings(struct framing_fields *f, struct q_slice list) {
    struct q_slice member;
    while (q_list_next(&list, &member)) {
        // The request never offers another coding (no TE is sent), so any other is a breach, as is `chunked` twice.
        if (f->codings > 0 || !q_slice_equal_nocase(member, Q_SLICE("chunked"))) {
            f->coding_bad = true;
        }
        f->codings++;
    }
}

static void read_connection(struct framing_fields *f, struct q_slice list) {
    struct q_slice member;
    while (q_list_next(&list, &member)) {
        f->connection_close |= q_slice_equal_nocase(member, Q_SLICE("close"));
        f->connection_keep_alive |= q_slice_equal_nocase(member, Q_SLICE("keep-alive"));
    }
}

static struct framing_fields read_fields(const struct q_headers *headers) {
    struct framing_fields f = {0};
    for (uint32_t i = 0; i < q_headers_count(headers); i++) {
        enum q_known known = q_headers_known_at(headers, i);
        if (known != Q_KNOWN_CONTENT_LENGTH && known != Q_KNOWN_TRANSFER_ENCODING && known != Q_KNOWN_CONNECTION) {
            continue;
        }
        struct q_slice name, value;
        (void)q_headers_at(headers, i, &name, &value);
        if (known == Q_KNOWN_CONTENT_LENGTH) {
            read_length(&f, value);
        } else if (known == Q_KNOWN_TRANSFER_ENCODING) {
            read_codings(&f, value);
        } else {
            read_connection(&f, value);
        }
    }
    return f;
}

static struct q_error check_fields(const struct framing_fields *f, unsigned version_minor) {
    if (f->length_bad) {
        return q_error_make(Q_ERR_HTTP_BAD_LENGTH, Q_PHASE_HEAD);
    }
    // A server of HTTP/1.0 does not know the field: someone in between has passed it on unread.
    if (f->coding_bad || (f->codings > 0 && (f->lengths > 0 || version_minor == 0))) {
        return q_error_make(Q_ERR_HTTP_BAD_TRANSFER_CODING, Q_PHASE_HEAD);
    }
    return Q_OK;
}

static enum q_h1_body body_of(const struct framing_fields *f, unsigned status, bool to_head) {
    if (to_head || status < 200 || status == 204 || status == 304) {
        return Q_H1_BODY_NONE;
    }
    if (f->codings > 0) {
        return Q_H1_BODY_CHUNKED;
    }
    if (f->lengths > 0) {
        return f->content_length > 0 ? Q_H1_BODY_LENGTH : Q_H1_BODY_NONE;
    }
    return Q_H1_BODY_CLOSE;
}

// A 204 never has a body, and may not say that it has one (RFC 9110 section 8.6, RFC 9112 section 6.1). A server that
// says so may well send it, late enough to meet the next request.
static bool may_send_more(const struct framing_fields *f, unsigned status) {
    return status == 204 && (f->codings > 0 || f->content_length > 0);
}

struct q_error q_h1_frame(const struct q_headers *headers, unsigned status, unsigned version_minor, bool to_head,
                          bool to_connect, struct q_h1_framing *out) {
    *out = (struct q_h1_framing){.content_length = Q_H1_NO_CONTENT_LENGTH};
    // RFC 9110 section 9.3.6: such a response's framing fields must be ignored, whatever they say.
    if (to_connect && status / 100 == 2) {
        out->body = Q_H1_BODY_TUNNEL;
        return Q_OK;
    }
    struct framing_fields f = read_fields(headers);
    struct q_error error = check_fields(&f, version_minor);
    if (q_error_is(error)) {
        return error;
    }
    if (f.lengths > 0) {
        out->content_length = f.content_length;
    }
    out->body = (uint8_t)body_of(&f, status, to_head);
    out->keep_alive = out->body != Q_H1_BODY_CLOSE && !may_send_more(&f, status) && !f.connection_close &&
                      (version_minor > 0 || f.connection_keep_alive);
    return Q_OK;
}

#include "engine/wire/h1_reader.h"

#include "engine/wire/h1_upgrade.h"
#include "engine/wire/token.h"

#include <llhttp.h>

_Static_assert(sizeof(llhttp_t) <= Q_H1_PARSER_BYTES, "the parser must fit its place in struct q_h1_reader");
_Static_assert(_Alignof(llhttp_t) <= 8, "the parser's place is aligned to 8");

#define ENTRY_BYTES ((uint32_t)sizeof(struct q_headers_entry))
#define NO_EVENT    ((enum q_h1_event)0xff)

// Where we are. Each state has one function, which gives an event or moves on (NO_EVENT).
enum reader_state {
    R_IDLE = 0,
    R_HEAD_FIRST, // before the first byte of a head
    R_HEAD,
    R_LENGTH,
    R_CHUNKED,
    R_CLOSE,
    R_TRAILER_FIRST, // behind the last chunk's line
    R_TRAILER_LF,    // the CR of an empty trailer section has been seen
    R_TRAILER,
    R_END, // complete; Q_H1_END is still to be given
    R_DONE,
    R_FAILED,
    R_COUNT,
};

static llhttp_t *parser_of(struct q_h1_reader *r) {
    return (llhttp_t *)(void *)r->parser;
}

static enum q_phase phase_of(const struct q_h1_reader *r) {
    return r->state == R_HEAD || r->state == R_HEAD_FIRST ? Q_PHASE_HEAD : Q_PHASE_BODY;
}

static enum q_h1_event fail_with(struct q_h1_reader *r, struct q_h1_out *out, struct q_error error) {
    r->state = R_FAILED;
    r->error = error;
    r->keep_alive = false;
    out->error = error;
    return Q_H1_FAILED;
}

static enum q_h1_event fail(struct q_h1_reader *r, struct q_h1_out *out, enum q_error_code code) {
    return fail_with(r, out, q_error_make(code, phase_of(r)));
}

static enum q_error_code too_large(const struct q_h1_reader *r) {
    return r->in_trailers ? Q_ERR_TRAILERS_TOO_LARGE : Q_ERR_HEAD_TOO_LARGE;
}

// ---- what llhttp tells us; a result other than 0 stops it, and r->error says why ----

static int refuse(llhttp_t *parser, enum q_error_code code) {
    struct q_h1_reader *r = parser->data;
    r->error = q_error_make(code, phase_of(r));
    return -1;
}

static int on_version_complete(llhttp_t *parser) {
    bool known = llhttp_get_http_major(parser) == 1 && llhttp_get_http_minor(parser) <= 1;
    return known ? 0 : refuse(parser, Q_ERR_HTTP_BAD_VERSION);
}

// llhttp takes any byte but CR and LF in the reason phrase.
static int on_status(llhttp_t *parser, const char *at, size_t len) {
    struct q_h1_reader *r = parser->data;
    r->value_len += (uint32_t)len;
    return q_is_field_value(q_slice_make(at, len)) ? 0 : refuse(parser, Q_ERR_HTTP_BAD_STATUS_LINE);
}

static int on_status_complete(llhttp_t *parser) {
    struct q_h1_reader *r = parser->data;
    bool is_too_long = !r->in_trailers && r->value_len > r->limits.line_bytes; // theirs is our own
    r->value_len = 0;
    return is_too_long ? refuse(parser, Q_ERR_LINE_TOO_LONG) : 0;
}

// keep_text appends a piece of the field that is being read. When it does not fit the field fails, but only at its end:
// so that what is said about a head does not depend on how it came.
static void keep_text(struct q_h1_reader *r, const char *at, size_t len) {
    if (!r->overflow && len + ENTRY_BYTES <= q_headers_builder_room(&r->builder)) {
        q_headers_builder_raw_text(&r->builder, q_slice_make(at, len));
    } else {
        r->overflow = true;
    }
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len) {
    struct q_h1_reader *r = parser->data;
    keep_text(r, at, len);
    r->name_len += (uint32_t)len;
    return 0;
}

// on_header_field_complete makes llhttp forget which field this is: its own reading of Content-Length,
// Transfer-Encoding and Connection is neither complete nor typed, so h1_framing.c reads them instead.
static int on_header_field_complete(llhttp_t *parser) {
    parser->header_state = 0;
    const struct q_h1_reader *r = parser->data;
    return r->name_len > 0 ? 0 : refuse(parser, Q_ERR_HTTP_BAD_HEADER); // llhttp takes a line that begins with ':'
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len) {
    struct q_h1_reader *r = parser->data;
    keep_text(r, at, len);
    r->value_len += (uint32_t)len;
    return 0;
}

static int on_header_value_complete(llhttp_t *parser) {
    struct q_h1_reader *r = parser->data;
    if (r->builder.count >= r->limits.headers_count) {
        return refuse(parser, Q_ERR_TOO_MANY_HEADERS);
    }
    if (r->name_len > Q_HEADERS_NAME_BYTES_MAX || r->name_len + r->value_len > r->limits.line_bytes) {
        return refuse(parser, Q_ERR_LINE_TOO_LONG);
    }
    if (r->overflow) {
        return refuse(parser, too_large(r));
    }
    // llhttp leaves the blanks behind a value in it.
    const char *text_end = r->builder.mem + sizeof(struct q_headers) + r->builder.text_len;
    uint32_t blanks = 0;
    while (blanks < r->value_len && (text_end[-1 - (int64_t)blanks] == ' ' || text_end[-1 - (int64_t)blanks] == '\t')) {
        blanks++;
    }
    q_headers_builder_raw_entry(&r->builder, (uint16_t)r->name_len, r->value_len - blanks, blanks);
    r->name_len = r->value_len = 0;
    return 0;
}

// The end of the section is all that llhttp is asked for: it stops here and is not used again for this message.
static int on_headers_complete(llhttp_t *parser) {
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t k_settings = {
    .on_version_complete = on_version_complete,
    .on_status = on_status,
    .on_status_complete = on_status_complete,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
};

// ---- sections ----

// begin_section starts a head or trailers in what is left of the lent memory. False when that is nothing.
static bool begin_section(struct q_h1_reader *r, bool trailers) {
    r->in_trailers = trailers;
    r->section_bytes = r->lines = r->name_len = r->value_len = 0;
    r->previous_byte = 0;
    r->overflow = false;
    if (r->mem == NULL || r->mem_size < sizeof(struct q_headers)) {
        return false;
    }
    q_headers_builder_init(&r->builder, r->mem, r->mem_size, NULL);
    llhttp_init(parser_of(r), HTTP_RESPONSE, &k_settings);
    if (trailers) {
        // llhttp knows fields only behind a status line.
        static const char k_line[] = "HTTP/1.1 200 OK\r\n";
        parser_of(r)->data = r;
        llhttp_errno_t result = llhttp_execute(parser_of(r), k_line, sizeof(k_line) - 1);
        Q_CHECK(result == HPE_OK);
        r->previous_byte = '\n';
        r->lines = 1;
    }
    return true;
}

// end_section freezes the block and gives the memory behind it back for the next one.
static const struct q_headers *end_section(struct q_h1_reader *r) {
    const struct q_headers *h = q_headers_builder_freeze(&r->builder);
    size_t used = ((size_t)h->size + 7) & ~(size_t)7;
    used = used < r->mem_size ? used : r->mem_size;
    r->mem += used;
    r->mem_size -= used;
    return h;
}

// check_lines refuses what llhttp passes: a line that ends without CR, and a line that begins with a blank (obs-fold,
// RFC 9112 section 5.2), which changes what the field before it says.
static enum q_error_code check_lines(struct q_h1_reader *r, const char *from, const char *end) {
    if (from == end) {
        return Q_ERR_OK;
    }
    char before = r->previous_byte;
    r->previous_byte = end[-1];
    if (before == '\n' && (*from == ' ' || *from == '\t')) {
        return Q_ERR_HTTP_BAD_HEADER;
    }
    const char *at = from;
    for (const char *lf; at < end && (lf = memchr(at, '\n', (size_t)(end - at))) != NULL; at = lf + 1) {
        if ((lf > from ? lf[-1] : before) != '\r') {
            return r->lines == 0 ? Q_ERR_HTTP_BAD_STATUS_LINE : Q_ERR_HTTP_BAD_HEADER;
        }
        r->lines++;
        if (lf + 1 < end && (lf[1] == ' ' || lf[1] == '\t')) {
            return Q_ERR_HTTP_BAD_HEADER;
        }
    }
    return Q_ERR_OK;
}

// check_status refuses a fourth digit of the status, which llhttp reads as a number of any length: "0200" is none.
static enum q_error_code check_status(const struct q_h1_reader *r, const char *from, const char *end) {
    static const uint32_t k_behind_status = sizeof("HTTP/1.1 200") - 1;
    uint32_t first = r->section_bytes - (uint32_t)(end - from);
    bool is_here = !r->in_trailers && first <= k_behind_status && k_behind_status < r->section_bytes;
    return is_here && q_byte_is(from[k_behind_status - first], Q_BYTE_DIGIT) ? Q_ERR_HTTP_BAD_STATUS_LINE : Q_ERR_OK;
}

static enum q_error_code code_of_llhttp(const struct q_h1_reader *r, llhttp_errno_t result) {
    if (result == HPE_INVALID_VERSION) {
        return Q_ERR_HTTP_BAD_VERSION;
    }
    return r->lines == 0 ? Q_ERR_HTTP_BAD_STATUS_LINE : Q_ERR_HTTP_BAD_HEADER;
}

// read_section feeds llhttp. NO_EVENT: the section is complete.
static enum q_h1_event read_section(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    uint32_t section_max = r->in_trailers ? r->limits.trailer_bytes : r->limits.head_bytes;
    while (input->len > 0) {
        size_t len = section_max - r->section_bytes;
        if (len == 0) {
            return fail(r, out, too_large(r));
        }
        len = len < input->len ? len : input->len;
        const char *from = input->ptr;
        r->begun = true;
        parser_of(r)->data = r;
        llhttp_errno_t result = llhttp_execute(parser_of(r), from, len);
        size_t used = result == HPE_OK ? len : (size_t)(llhttp_get_error_pos(parser_of(r)) - from);
        *input = q_slice_from(*input, used);
        r->section_bytes += (uint32_t)used;
        // In the order of the bytes: what a line breaks comes before what stopped llhttp.
        enum q_error_code code = check_status(r, from, from + used);
        code = code == Q_ERR_OK ? check_lines(r, from, from + used) : code;
        if (code != Q_ERR_OK) {
            return fail(r, out, code);
        }
        if (result == HPE_PAUSED) {
            return NO_EVENT;
        }
        if (result != HPE_OK) {
            return q_error_is(r->error) ? fail_with(r, out, r->error) : fail(r, out, code_of_llhttp(r, result));
        }
    }
    return Q_H1_NEED_MORE;
}

// ---- states ----

static enum q_h1_event head_first(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    if (input->len == 0) {
        return Q_H1_NEED_MORE;
    }
    r->begun = true;
    // llhttp skips empty lines in front of a status line; behind the last response they are bytes that nobody sent for.
    if (input->ptr[0] != 'H') {
        return fail(r, out, Q_ERR_HTTP_BAD_STATUS_LINE);
    }
    if (r->mem == NULL) {
        return Q_H1_NEED_MEMORY;
    }
    if (!begin_section(r, false)) {
        return fail(r, out, Q_ERR_HEAD_TOO_LARGE);
    }
    r->state = R_HEAD;
    return NO_EVENT;
}

// A 101 that was asked for: from here on it is the other protocol's stream, whatever its framing fields say.
static enum q_h1_event switched(struct q_h1_reader *r, struct q_h1_out *out) {
    bool was_asked = (r->request_flags & Q_H1_REQUEST_UPGRADE) != 0 && out->version_minor > 0;
    if (!was_asked || !q_h1_upgrade_matches(out->headers, r->upgrade)) {
        return fail(r, out, Q_ERR_HTTP_UNEXPECTED_UPGRADE);
    }
    out->body = Q_H1_BODY_TUNNEL;
    out->content_length = Q_H1_NO_CONTENT_LENGTH;
    r->state = R_CLOSE;
    return Q_H1_HEAD;
}

static enum q_h1_event informational(struct q_h1_reader *r, struct q_h1_out *out) {
    if (out->status == 101) {
        return switched(r, out);
    }
    if (r->informational_count >= r->limits.informational_count) {
        return fail(r, out, Q_ERR_TOO_MANY_INFORMATIONAL);
    }
    r->informational_count++;
    r->state = R_HEAD_FIRST;
    return Q_H1_INFORMATIONAL;
}

static const uint8_t k_state_of_body[] = {
    [Q_H1_BODY_NONE] = R_END,    [Q_H1_BODY_LENGTH] = R_LENGTH, [Q_H1_BODY_CHUNKED] = R_CHUNKED,
    [Q_H1_BODY_CLOSE] = R_CLOSE, [Q_H1_BODY_TUNNEL] = R_END,
};

static enum q_h1_event final_head(struct q_h1_reader *r, struct q_h1_out *out) {
    struct q_h1_framing framing;
    struct q_error error =
        q_h1_frame(out->headers, out->status, out->version_minor, (r->request_flags & Q_H1_REQUEST_HEAD) != 0,
                   (r->request_flags & Q_H1_REQUEST_CONNECT) != 0, &framing);
    if (q_error_is(error)) {
        return fail_with(r, out, error);
    }
    out->body = framing.body;
    out->content_length = framing.content_length;
    r->keep_alive = framing.keep_alive;
    r->body_left = framing.content_length;
    r->state = k_state_of_body[framing.body];
    if (framing.body == Q_H1_BODY_CHUNKED) {
        q_h1_chunk_init(&r->chunk, r->limits.chunk_extension_bytes);
    }
    return Q_H1_HEAD;
}

static enum q_h1_event head(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    enum q_h1_event event = read_section(r, input, out);
    if (event != NO_EVENT) {
        return event;
    }
    out->status = (uint16_t)llhttp_get_status_code(parser_of(r));
    out->version_minor = llhttp_get_http_minor(parser_of(r));
    if (out->status < 100) {
        return fail(r, out, Q_ERR_HTTP_BAD_STATUS_LINE);
    }
    out->headers = end_section(r);
    return out->status < 200 ? informational(r, out) : final_head(r, out);
}

static enum q_h1_event body_length(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    if (input->len == 0) {
        return Q_H1_NEED_MORE;
    }
    size_t len = input->len < r->body_left ? input->len : (size_t)r->body_left;
    out->data = q_slice_make(input->ptr, len);
    *input = q_slice_from(*input, len);
    r->body_left -= len;
    if (r->body_left == 0) {
        r->state = R_END;
    }
    return Q_H1_DATA;
}

static enum q_h1_event body_chunked(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    switch (q_h1_chunk_next(&r->chunk, input, &out->data)) {
    case Q_H1_CHUNK_MORE: return Q_H1_NEED_MORE;
    case Q_H1_CHUNK_DATA: return Q_H1_DATA;
    case Q_H1_CHUNK_LAST: r->state = R_TRAILER_FIRST; return NO_EVENT;
    case Q_H1_CHUNK_BAD: return fail(r, out, Q_ERR_HTTP_BAD_CHUNK);
    case Q_H1_CHUNK_TOO_LARGE: return fail(r, out, Q_ERR_CHUNK_EXTENSION_TOO_LARGE);
    }
    Q_UNREACHABLE("an event that no chunk gives");
}

static enum q_h1_event body_close(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    (void)r;
    if (input->len == 0) {
        return Q_H1_NEED_MORE;
    }
    out->data = *input;
    *input = q_slice_from(*input, input->len);
    return Q_H1_DATA;
}

// trailer_first spares the usual empty section the parser and the memory.
static enum q_h1_event trailer_first(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    if (input->len == 0) {
        return Q_H1_NEED_MORE;
    }
    if (input->ptr[0] == '\r') {
        *input = q_slice_from(*input, 1);
        r->state = R_TRAILER_LF;
        return NO_EVENT;
    }
    if (r->mem == NULL) {
        return Q_H1_NEED_MEMORY;
    }
    if (!begin_section(r, true)) {
        return fail(r, out, Q_ERR_TRAILERS_TOO_LARGE);
    }
    r->state = R_TRAILER;
    return NO_EVENT;
}

static enum q_h1_event trailer_lf(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    if (input->len == 0) {
        return Q_H1_NEED_MORE;
    }
    if (input->ptr[0] != '\n') {
        return fail(r, out, Q_ERR_HTTP_BAD_CHUNK);
    }
    *input = q_slice_from(*input, 1);
    r->state = R_END;
    return NO_EVENT;
}

static enum q_h1_event trailer(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    enum q_h1_event event = read_section(r, input, out);
    if (event != NO_EVENT) {
        return event;
    }
    out->headers = end_section(r);
    r->state = R_DONE;
    return Q_H1_END;
}

static enum q_h1_event end(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    (void)input;
    out->headers = NULL;
    r->state = R_DONE;
    return Q_H1_END;
}

static enum q_h1_event failed(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    (void)input;
    out->error = r->error;
    return Q_H1_FAILED;
}

typedef enum q_h1_event state_fn(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out);

// A state without a function may not be asked: there is no response to read.
static state_fn *const k_states[R_COUNT] = {
    [R_HEAD_FIRST] = head_first, [R_HEAD] = head,        [R_LENGTH] = body_length,
    [R_CHUNKED] = body_chunked,  [R_CLOSE] = body_close, [R_TRAILER_FIRST] = trailer_first,
    [R_TRAILER_LF] = trailer_lf, [R_TRAILER] = trailer,  [R_END] = end,
    [R_FAILED] = failed,
};

// ---- what the caller sees ----

static struct q_h1_limits limits_or_defaults(const struct q_h1_limits *given) {
    struct q_h1_limits limits = given == NULL ? (struct q_h1_limits){0} : *given;
#define OR_DEFAULT(field, value) limits.field = limits.field == 0 ? (value) : limits.field
    OR_DEFAULT(head_bytes, Q_H1_HEAD_BYTES_DEFAULT);
    OR_DEFAULT(headers_count, Q_H1_HEADERS_COUNT_DEFAULT);
    OR_DEFAULT(line_bytes, Q_H1_LINE_BYTES_DEFAULT);
    OR_DEFAULT(informational_count, Q_H1_INFORMATIONAL_COUNT_DEFAULT);
    OR_DEFAULT(chunk_extension_bytes, Q_H1_CHUNK_EXTENSION_BYTES_DEFAULT);
    OR_DEFAULT(trailer_bytes, Q_H1_TRAILER_BYTES_DEFAULT);
#undef OR_DEFAULT
    return limits;
}

size_t q_h1_reader_memory_for(const struct q_h1_limits *given) {
    struct q_h1_limits limits = limits_or_defaults(given);
    size_t section = limits.head_bytes > limits.trailer_bytes ? limits.head_bytes : limits.trailer_bytes;
    // The text, its entries, and what alignment may take.
    return sizeof(struct q_headers) + section + (size_t)limits.headers_count * ENTRY_BYTES + 8;
}

void q_h1_reader_begin(struct q_h1_reader *r, unsigned request_flags, void *mem, size_t mem_size,
                       const struct q_h1_limits *limits) {
    memset(r, 0, sizeof(*r));
    r->limits = limits_or_defaults(limits);
    r->request_flags = (uint8_t)request_flags;
    r->state = R_HEAD_FIRST;
    q_h1_reader_lend(r, mem, mem_size);
}

void q_h1_reader_ask_upgrade(struct q_h1_reader *r, struct q_slice protocol) {
    Q_CHECK(r->state == R_HEAD_FIRST && !r->begun);
    r->request_flags |= Q_H1_REQUEST_UPGRADE;
    r->upgrade = protocol;
}

void q_h1_reader_lend(struct q_h1_reader *r, void *mem, size_t mem_size) {
    Q_CHECK(r->state != R_HEAD && r->state != R_TRAILER);
    Q_CHECK((uintptr_t)mem % 8 == 0);
    r->mem = mem;
    r->mem_size = mem == NULL ? 0 : mem_size;
}

enum q_h1_event q_h1_reader_next(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out) {
    enum q_h1_event event;
    do {
        Q_CHECK(r->state < R_COUNT && k_states[r->state] != NULL);
        event = k_states[r->state](r, input, out);
    } while (event == NO_EVENT);
    return event;
}

enum q_h1_event q_h1_reader_eof(struct q_h1_reader *r, struct q_h1_out *out) {
    r->keep_alive = false;
    switch ((enum reader_state)r->state) {
    case R_HEAD_FIRST:
        if (!r->begun) {
            return fail(r, out, Q_ERR_CONNECTION_CLOSED);
        }
        return fail(r, out, Q_ERR_HTTP_TRUNCATED_HEAD);
    case R_HEAD: return fail(r, out, Q_ERR_HTTP_TRUNCATED_HEAD);
    case R_CLOSE:
    case R_END: return end(r, NULL, out);
    case R_FAILED: return failed(r, NULL, out);
    default: return fail(r, out, Q_ERR_HTTP_TRUNCATED_BODY);
    }
}

bool q_h1_reader_keep_alive(const struct q_h1_reader *r) {
    return r->state == R_DONE && r->keep_alive;
}

bool q_h1_reader_has_begun(const struct q_h1_reader *r) {
    return r->begun;
}

#include "bench/server/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool bench_text_is(struct bench_text text, const char *literal) {
    return text.len == strlen(literal) && memcmp(text.at, literal, text.len) == 0;
}

static bool text_is_nocase(struct bench_text text, const char *literal) {
    return text.len == strlen(literal) && strncasecmp(text.at, literal, text.len) == 0;
}

static bool is_token_char(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bench_text text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.at[i]))
            return false;
    }
    return text.len > 0;
}

static struct bench_text trim(struct bench_text text) {
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

// next_item cuts the next comma-separated item off the front of `list`; false at its end.
static bool next_item(struct bench_text *list, struct bench_text *out_item) {
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->at, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->at) : list->len;
    *out_item = trim((struct bench_text){list->at, len});
    list->at += comma ? len + 1 : len;
    list->len -= comma ? len + 1 : len;
    return true;
}

static int parse_content_length(struct bench_request *out, struct bench_text value) {
    uint64_t number = 0;
    if (value.len == 0 || value.len > 18)
        return -400;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return -400;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    if (out->has_content_length)
        return -400; // even two equal ones: a client has no business to send them
    out->has_content_length = true;
    out->content_length = number;
    return 0;
}

static int parse_field(struct bench_request *out, struct bench_text name, struct bench_text value,
                       unsigned *num_hosts) {
    struct bench_text item;
    if (text_is_nocase(name, "host")) {
        ++*num_hosts;
    } else if (text_is_nocase(name, "content-length")) {
        return parse_content_length(out, value);
    } else if (text_is_nocase(name, "transfer-encoding")) {
        if (out->chunked || !text_is_nocase(value, "chunked"))
            return out->chunked ? -400 : -501;
        out->chunked = true;
    } else if (text_is_nocase(name, "connection")) {
        while (next_item(&value, &item)) {
            if (text_is_nocase(item, "close"))
                out->keep_alive = false;
            else if (out->http10 && text_is_nocase(item, "keep-alive"))
                out->keep_alive = true;
        }
    } else if (text_is_nocase(name, "upgrade")) {
        if (out->upgrade.len > 0 || value.len == 0)
            return -400;
        out->upgrade = value;
    } else if (text_is_nocase(name, "expect")) {
        if (!text_is_nocase(value, "100-continue"))
            return -417;
        out->expect_continue = !out->http10;
    }
    return 0;
}

// parse_request_line reads `METHOD SP target SP HTTP/1.x`.
static int parse_request_line(struct bench_request *out, struct bench_text line) {
    const char *space = memchr(line.at, ' ', line.len);
    if (!space)
        return -400;
    out->method = (struct bench_text){line.at, (size_t)(space - line.at)};
    if (!is_token(out->method))
        return -400;
    struct bench_text rest = {space + 1, line.len - out->method.len - 1};
    space = memchr(rest.at, ' ', rest.len);
    if (!space || space == rest.at)
        return -400;
    out->target = (struct bench_text){rest.at, (size_t)(space - rest.at)};
    struct bench_text version = {space + 1, rest.len - out->target.len - 1};
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0)
        return -400;
    out->http10 = bench_text_is(version, "HTTP/1.0");
    if (!out->http10 && !bench_text_is(version, "HTTP/1.1"))
        return -505;
    out->keep_alive = !out->http10;
    for (size_t i = 0; i < out->target.len; i++) {
        unsigned char c = (unsigned char)out->target.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return -400;
    }
    return 0;
}

// cut_authority turns an absolute target into the path and query of it.
static int cut_authority(struct bench_request *out) {
    struct bench_text *target = &out->target;
    if (target->at[0] == '/' || bench_text_is(*target, "*"))
        return 0;
    if (target->len < 8 || strncasecmp(target->at, "http://", 7) != 0)
        return -400;
    const char *slash = memchr(target->at + 7, '/', target->len - 7);
    if (!slash) {
        *target = (struct bench_text){"/", 1};
        return 0;
    }
    target->len -= (size_t)(slash - target->at);
    target->at = slash;
    return 0;
}

// parse_line splits one field line and checks its characters.
static int parse_line(struct bench_request *out, struct bench_text line, unsigned *num_hosts) {
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon)
        return -400;
    struct bench_text name = {line.at, (size_t)(colon - line.at)};
    if (!is_token(name)) // refuses a folded line and a space before the colon, too
        return -400;
    struct bench_text value = {colon + 1, line.len - name.len - 1};
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return -400;
    }
    return parse_field(out, name, trim(value), num_hosts);
}

int bench_request_parse(struct bench_request *out, const char *data, size_t len) {
    size_t seen = len < BENCH_REQUEST_HEAD_MAX ? len : BENCH_REQUEST_HEAD_MAX;
    const char *end = seen >= 4 ? memmem(data, seen, "\r\n\r\n", 4) : NULL;
    if (!end)
        return len >= BENCH_REQUEST_HEAD_MAX ? -431 : 0;
    *out = (struct bench_request){.head = {data, (size_t)(end - data) + 4}};
    unsigned num_hosts = 0;
    bool first = true;
    for (const char *at = data; at < end;) {
        const char *cr = memchr(at, '\r', (size_t)(end + 1 - at));
        struct bench_text line = {at, (size_t)(cr - at)};
        if (cr[1] != '\n' || memchr(at, '\n', line.len))
            return -400;
        int status = first ? parse_request_line(out, line) : parse_line(out, line, &num_hosts);
        if (status)
            return status;
        first = false;
        at = cr + 2;
    }
    if (first || num_hosts > 1 || (num_hosts == 0 && !out->http10))
        return -400;
    if (out->chunked && (out->has_content_length || out->http10))
        return -400;
    int status = cut_authority(out);
    return status ? status : 1;
}

bool bench_bytes_add(struct bench_bytes *bytes, const void *data, size_t len) {
    if (bytes->size - bytes->len < len) {
        size_t size = bytes->size ? bytes->size : 512;
        while (size - bytes->len < len)
            size *= 2;
        uint8_t *at = realloc(bytes->at, size);
        if (!at)
            return false;
        bytes->at = at;
        bytes->size = size;
    }
    if (len > 0)
        memcpy(bytes->at + bytes->len, data, len);
    bytes->len += len;
    return true;
}

void bench_bytes_free(struct bench_bytes *bytes) {
    free(bytes->at);
    *bytes = (struct bench_bytes){0};
}

// Where the chunked decoder stands: what the next byte has to be.
enum chunk_state {
    CHUNK_NONE, // a content-length body
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
};

enum { CHUNK_LINE_MAX = 16 * 1024 }; // of a chunk-size line with its extensions, and of all trailers together

void bench_body_reader_init(struct bench_body_reader *reader, const struct bench_request *request) {
    *reader = (struct bench_body_reader){.left = request->content_length,
                                         .state = request->chunked ? CHUNK_SIZE : CHUNK_NONE};
    reader->done = !request->chunked && reader->left == 0;
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

static enum chunk_state after_size_char(struct bench_body_reader *reader, uint8_t c) {
    int digit = hex_value(c);
    if (digit >= 0 && reader->left <= UINT64_MAX >> 8) {
        reader->left = reader->left * 16 + (unsigned)digit;
        reader->digits = true;
        return CHUNK_SIZE;
    }
    if (reader->digits && c == ';')
        return CHUNK_EXTENSION;
    if (reader->digits && c == '\r')
        return CHUNK_SIZE_LF;
    reader->failed = true;
    return CHUNK_SIZE;
}

// take_framing moves the chunked decoder over one byte that is not content.
static void take_framing(struct bench_body_reader *reader, uint8_t c) {
    bool want_lf = false;
    switch (reader->state) {
    case CHUNK_SIZE: reader->state = (int)after_size_char(reader, c); break;
    case CHUNK_EXTENSION: reader->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION; break;
    case CHUNK_SIZE_LF:
        want_lf = true;
        reader->state = reader->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
        reader->line_len = 0;
        break;
    case CHUNK_DATA_CR:
        reader->failed = c != '\r';
        reader->state = CHUNK_DATA_LF;
        break;
    case CHUNK_DATA_LF:
        want_lf = true;
        reader->state = CHUNK_SIZE;
        reader->digits = false;
        reader->line_len = 0;
        break;
    case CHUNK_TRAILER_START: reader->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER; break;
    case CHUNK_TRAILER: reader->state = c == '\r' ? CHUNK_TRAILER_LF : CHUNK_TRAILER; break;
    case CHUNK_TRAILER_LF:
        want_lf = true;
        reader->state = CHUNK_TRAILER_START;
        break;
    case CHUNK_END_LF:
        want_lf = true;
        reader->done = true;
        break;
    default: reader->failed = true; break;
    }
    bool is_ctl = c < ' ' && c != '\r' && c != '\n' && c != '\t';
    if (want_lf != (c == '\n') || is_ctl || ++reader->line_len > CHUNK_LINE_MAX)
        reader->failed = true;
}

size_t bench_body_read(struct bench_body_reader *reader, const void *data, size_t len, struct bench_bytes *sink,
                       size_t sink_max) {
    const uint8_t *p = data;
    size_t at = 0;
    while (at < len && !reader->done && !reader->failed) {
        if (reader->state != CHUNK_NONE && reader->state != CHUNK_DATA) {
            take_framing(reader, p[at++]);
            continue;
        }
        size_t take = len - at < reader->left ? len - at : (size_t)reader->left;
        if (sink && (sink->len + take > sink_max || !bench_bytes_add(sink, p + at, take))) {
            reader->failed = reader->too_long = true;
            break;
        }
        at += take;
        reader->left -= take;
        if (reader->left == 0) {
            reader->done = reader->state == CHUNK_NONE;
            if (!reader->done)
                reader->state = CHUNK_DATA_CR;
        }
    }
    return at;
}

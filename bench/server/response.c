#include "bench/server/response.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/server/body.h"

enum {
    SSE_EVENTS_MAX = 1 << 20,
    HEADERS_MAX = 10000,
    TEXT_MAX = 16 << 20, // one header value, or one head of early answers
    REDIRECT_MAX = 1000,
    MS_MAX = 24 * 3600 * 1000,
};
#define NUMBER_MAX ((uint64_t)1 << 40) // 1 TiB: keeps every sum of lengths far from wrapping
#define UNSET      UINT64_MAX

// struct params is the query, one number for each parameter.
struct params {
    uint64_t chunked, close, delay_ms, gap_ms, status, trailers, early, reset_at, fin_at, silent, drip, n, nowait,
        headers, header_bytes, ext;
};

static const struct {
    const char *name;
    size_t offset;
    uint64_t max;
} k_params[] = {
#define PARAM(name, max)                                                                                               \
    { #name, offsetof(struct params, name), max }
    PARAM(chunked, NUMBER_MAX),
    PARAM(close, 3),
    PARAM(delay_ms, MS_MAX),
    PARAM(gap_ms, MS_MAX),
    PARAM(status, 599),
    PARAM(trailers, 1),
    PARAM(early, HEADERS_MAX),
    PARAM(reset_at, NUMBER_MAX),
    PARAM(fin_at, NUMBER_MAX),
    PARAM(silent, 1),
    PARAM(drip, NUMBER_MAX),
    PARAM(n, SSE_EVENTS_MAX),
    PARAM(nowait, 1),
    PARAM(headers, HEADERS_MAX),
    PARAM(header_bytes, TEXT_MAX),
    PARAM(ext, 1),
#undef PARAM
};

static const struct {
    unsigned status;
    const char *phrase;
} k_phrases[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {413, "Content Too Large"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {505, "HTTP Version Not Supported"},
};

static const char *phrase_of(unsigned status) {
    for (size_t i = 0; i < sizeof k_phrases / sizeof k_phrases[0]; i++) {
        if (k_phrases[i].status == status)
            return k_phrases[i].phrase;
    }
    return "Status";
}

// struct build is a response in the making; `failed` collects every lack of memory, to be asked once at the end.
struct build {
    struct bench_response *response;
    const struct bench_request *request; // NULL for a refusal
    struct params params;
    unsigned status;
    const char *type;     // Content-Type, NULL for none
    char location[64];    // "" for none
    const char *bad_name; // why the query is refused
    bool failed;
};

__attribute__((format(printf, 3, 4))) static void add_text(struct build *b, struct bench_bytes *to, const char *format,
                                                           ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text || !bench_bytes_add(to, text, (size_t)len))
        b->failed = true;
}

static bool parse_number(struct bench_text text, uint64_t max, uint64_t *out) {
    uint64_t number = 0;
    if (text.len == 0 || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.at[i] - '0');
    }
    *out = number;
    return number <= max;
}

static bool parse_param(struct params *params, struct bench_text item) {
    const char *equals = memchr(item.at, '=', item.len);
    if (!equals)
        return false;
    struct bench_text name = {item.at, (size_t)(equals - item.at)};
    struct bench_text value = {equals + 1, item.len - name.len - 1};
    for (size_t i = 0; i < sizeof k_params / sizeof k_params[0]; i++) {
        if (bench_text_is(name, k_params[i].name))
            return parse_number(value, k_params[i].max, (uint64_t *)((char *)params + k_params[i].offset));
    }
    return bench_text_is(name, "tag"); // any value: makes a target unique in logs and captures
}

static bool parse_query(struct params *params, struct bench_text query) {
    *params = (struct params){.reset_at = UNSET, .fin_at = UNSET, .n = 3};
    while (query.len > 0) {
        const char *amp = memchr(query.at, '&', query.len);
        size_t len = amp ? (size_t)(amp - query.at) : query.len;
        if (!parse_param(params, (struct bench_text){query.at, len}))
            return false;
        query.at += amp ? len + 1 : len;
        query.len -= amp ? len + 1 : len;
    }
    return params->status == 0 || params->status >= 200;
}

static void body_text(struct build *b, const char *text) {
    b->type = "text/plain";
    add_text(b, &b->response->body, "%s", text);
}

static void path_size(struct build *b, uint64_t number) {
    b->type = "application/octet-stream";
    b->response->body_is_pattern = true;
    b->response->body_len = number;
}

static void path_status(struct build *b, uint64_t number) {
    b->status = (unsigned)number;
    body_text(b, "status\n");
    if (number < 200 || number > 599)
        b->bad_name = "a status from 200 to 599 is what /status takes\n";
}

static void path_redirect(struct build *b, uint64_t number) {
    if (number > REDIRECT_MAX) {
        b->bad_name = "/redirect goes up to 1000\n";
    } else if (number == 0) {
        body_text(b, "arrived\n");
    } else {
        b->status = 302;
        body_text(b, "redirect\n");
        snprintf(b->location, sizeof b->location, "/redirect/%" PRIu64, number - 1);
    }
}

static void path_headers(struct build *b, uint64_t number) {
    (void)number;
    b->type = "text/plain";
    b->response->cacheable = false;
    if (!bench_bytes_add(&b->response->body, b->request->head.at, b->request->head.len))
        b->failed = true;
}

static void path_upgrade(struct build *b, uint64_t number) {
    (void)number;
    b->response->cacheable = false;
    b->status = 101;
    if (b->request->upgrade.len == 0 || b->request->http10)
        b->bad_name = "/upgrade is for requests that ask for a protocol\n";
}

static void path_echo(struct build *b, uint64_t number) {
    (void)number;
    b->type = "application/octet-stream";
    b->response->cacheable = false;
    b->response->needs_body = true;
}

// Events are all of one length, so that an event is a chunk and its place in the body is a product.
static void path_sse(struct build *b, uint64_t number) {
    (void)number;
    b->type = "text/event-stream";
    for (uint64_t i = 0; i < b->params.n && !b->failed; i++)
        add_text(b, &b->response->body, "id: %07" PRIu64 "\ndata: tick %07" PRIu64 "\n\n", i, i);
    if (b->params.n > 0 && b->params.chunked == 0)
        b->params.chunked = b->response->body.len / b->params.n;
}

static const struct {
    const char *prefix;
    bool has_number;
    void (*fill)(struct build *b, uint64_t number);
} k_paths[] = {
    {"/size/", true, path_size},       {"/status/", true, path_status}, {"/redirect/", true, path_redirect},
    {"/headers", false, path_headers}, {"/echo", false, path_echo},     {"/sse", false, path_sse},
    {"/upgrade", false, path_upgrade},
};

// fill_by_path finds the row of the path; what is wrong with the target becomes a plain 400 or 404.
static void fill_by_path(struct build *b, struct bench_text target) {
    const char *question = memchr(target.at, '?', target.len);
    struct bench_text path = {target.at, question ? (size_t)(question - target.at) : target.len};
    struct bench_text query = {target.at + path.len + (question != NULL), target.len - path.len - (question != NULL)};
    if (!parse_query(&b->params, query)) {
        b->bad_name = "a query parameter is not known, or its value is out of range\n";
        return;
    }
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        size_t len = strlen(k_paths[i].prefix);
        uint64_t number = 0;
        if (path.len < len || memcmp(path.at, k_paths[i].prefix, len) != 0)
            continue;
        struct bench_text rest = {path.at + len, path.len - len};
        if (k_paths[i].has_number ? parse_number(rest, NUMBER_MAX, &number) : rest.len == 0) {
            k_paths[i].fill(b, number);
            return;
        }
    }
    b->status = 404;
    body_text(b, "no such path\n");
}

// refuse makes the build a plain answer with `sentence`, whatever it was before.
static void refuse(struct build *b, unsigned status, const char *sentence) {
    b->params = (struct params){.reset_at = UNSET, .fin_at = UNSET, .close = 1};
    b->status = status;
    b->response->body_is_pattern = false;
    b->response->needs_body = false;
    b->response->body.len = 0;
    b->location[0] = '\0';
    body_text(b, sentence);
}

static void add_head(struct build *b, bool no_body, bool close_delimited) {
    struct bench_response *r = b->response;
    const struct params *p = &b->params;
    for (uint64_t i = 0; i < p->early && !b->failed; i++)
        add_text(b, &r->head, "HTTP/1.1 103 Early Hints\r\nLink: </style-%" PRIu64 ".css>; rel=preload\r\n\r\n", i);
    add_text(b, &r->head, "HTTP/1.1 %u %s\r\nServer: quoit-bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n", b->status,
             phrase_of(b->status));
    if (b->location[0])
        add_text(b, &r->head, "Location: %s\r\n", b->location);
    for (uint64_t i = 0; i < p->headers && !b->failed; i++)
        add_text(b, &r->head, "X-Header-%" PRIu64 ": value %" PRIu64 "\r\n", i, i);
    if (p->header_bytes > 0) {
        add_text(b, &r->head, "X-Long: ");
        for (uint64_t i = 0; i < p->header_bytes && !b->failed; i++)
            b->failed = !bench_bytes_add(&r->head, "x", 1);
        add_text(b, &r->head, "\r\n");
    }
    if (b->status == 101) {
        add_text(b, &r->head, "Connection: Upgrade\r\nUpgrade: %.*s\r\n\r\n", (int)b->request->upgrade.len,
                 b->request->upgrade.at);
        return;
    }
    if (b->type && !no_body)
        add_text(b, &r->head, "Content-Type: %s\r\n", b->type);
    if (r->chunk_len > 0)
        add_text(b, &r->head, "Transfer-Encoding: chunked\r\n%s", p->trailers ? "Trailer: X-Checksum\r\n" : "");
    else if (!close_delimited && b->status != 204 && b->status != 304)
        add_text(b, &r->head, "Content-Length: %" PRIu64 "\r\n", r->body_len);
    if (r->end == BENCH_END_FIN && p->close != 3)
        add_text(b, &r->head, "Connection: close\r\n");
    else if (b->request && b->request->http10)
        add_text(b, &r->head, "Connection: keep-alive\r\n");
    add_text(b, &r->head, "\r\n");
}

static uint64_t framed_len(const struct bench_response *r) {
    if (r->chunk_len == 0)
        return r->body_len;
    uint64_t rest = r->body_len % r->chunk_len;
    return r->body_len / r->chunk_len * (r->chunk_line_len + r->chunk_len + 2) +
           (rest ? r->last_line_len + rest + 2 : 0) + r->tail.len;
}

static void set_chunks(struct build *b, uint64_t chunk_len) {
    struct bench_response *r = b->response;
    const char *extension = b->params.ext ? ";x=y" : "";
    r->chunk_len = chunk_len;
    r->chunk_line_len =
        (size_t)snprintf(r->chunk_line, sizeof r->chunk_line, "%" PRIx64 "%s\r\n", chunk_len, extension);
    r->last_line_len =
        (size_t)snprintf(r->last_line, sizeof r->last_line, "%" PRIx64 "%s\r\n", r->body_len % chunk_len, extension);
    add_text(b, &r->tail, "0\r\n%s\r\n", b->params.trailers ? "X-Checksum: none\r\n" : "");
}

// finish settles framing, head and ending, once path and query have said what they want.
static void finish(struct build *b) {
    struct bench_response *r = b->response;
    struct params *p = &b->params;
    if (p->status)
        b->status = (unsigned)p->status;
    if (!r->body_is_pattern)
        r->body_len = r->body.len;
    bool is_head = b->request && bench_text_is(b->request->method, "HEAD");
    bool bodiless = b->status == 101 || b->status == 204 || b->status == 304;
    bool http10 = b->request && b->request->http10;
    if (p->trailers && p->chunked == 0)
        p->chunked = 4096;
    bool close_delimited = p->close == 2 || (http10 && p->chunked > 0);
    if (close_delimited || bodiless)
        p->chunked = 0;
    bool keep = b->request && b->request->keep_alive && p->close == 0 && !close_delimited && !p->nowait;
    r->end = b->status == 101 ? BENCH_END_ECHO : keep ? BENCH_END_KEEP : BENCH_END_FIN;
    if (p->chunked > 0)
        set_chunks(b, p->chunked);
    if (http10)
        p->early = 0;
    add_head(b, is_head || bodiless, close_delimited);
    r->octets_len = r->head.len + (is_head || bodiless ? 0 : framed_len(r));
    r->delay_ms = p->delay_ms;
    r->gap_ms = p->gap_ms;
    r->drip = p->drip;
    r->before_body = p->nowait != 0;
    if (p->silent) {
        r->octets_len = 0;
        r->end = BENCH_END_SILENCE;
    } else if (p->reset_at != UNSET) {
        r->octets_len = p->reset_at < r->octets_len ? p->reset_at : r->octets_len;
        r->end = BENCH_END_RST;
    } else if (p->fin_at != UNSET) {
        r->octets_len = p->fin_at < r->octets_len ? p->fin_at : r->octets_len;
        r->end = BENCH_END_FIN;
        r->cut = true;
    }
}

// build runs path, query and framing; `body` is the request's, for /echo, or NULL.
static struct bench_response *build(const struct bench_request *request, struct bench_bytes *body, unsigned refusal,
                                    const char *sentence) {
    struct bench_response *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct bench_response){.num_refs = 1, .cacheable = true};
    struct build b = {.response = r, .request = request, .status = 200};
    if (refusal)
        refuse(&b, refusal, sentence);
    else
        fill_by_path(&b, request->target);
    if (b.bad_name)
        refuse(&b, 400, b.bad_name);
    if (r->needs_body && body) {
        r->body = *body;
        *body = (struct bench_bytes){0};
        r->needs_body = false;
    }
    finish(&b);
    if (!b.failed)
        return r;
    bench_response_release(r);
    return NULL;
}

struct bench_response *bench_response_build(const struct bench_request *request) {
    return build(request, NULL, 0, NULL);
}

struct bench_response *bench_response_echo(const struct bench_request *request, struct bench_bytes *body) {
    return build(request, body, 0, NULL);
}

struct bench_response *bench_response_refuse(int status, const char *sentence) {
    return build(NULL, NULL, (unsigned)status, sentence);
}

void bench_response_release(struct bench_response *response) {
    if (--response->num_refs > 0)
        return;
    bench_bytes_free(&response->head);
    bench_bytes_free(&response->body);
    bench_bytes_free(&response->tail);
    free(response);
}

uint64_t bench_response_stop(const struct bench_response *r, uint64_t at) {
    uint64_t stop = r->octets_len;
    if (r->drip > 0) {
        stop = at - at % r->drip + r->drip;
    } else if (r->gap_ms > 0) {
        if (at < r->head.len) {
            stop = r->head.len;
        } else if (r->chunk_len > 0) {
            uint64_t frame_len = r->chunk_line_len + r->chunk_len + 2;
            uint64_t index = (at - r->head.len) / frame_len;
            if (index < r->body_len / r->chunk_len) // the last short chunk and the end go together
                stop = r->head.len + (index + 1) * frame_len;
        }
    }
    return stop < r->octets_len ? stop : r->octets_len;
}

// struct piece is a run of octets that lies in one place in memory.
struct piece {
    const void *at;
    uint64_t len;
};

static struct piece body_piece(const struct bench_response *r, uint64_t offset, uint64_t len) {
    if (!r->body_is_pattern)
        return (struct piece){r->body.at + offset, len};
    return (struct piece){bench_body_at(offset), len < BENCH_BODY_RUN_MAX ? len : BENCH_BODY_RUN_MAX};
}

// piece_at finds the piece that octet `at` is in, from `at` on.
static struct piece piece_at(const struct bench_response *r, uint64_t at) {
    if (at < r->head.len)
        return (struct piece){r->head.at + at, r->head.len - at};
    at -= r->head.len;
    if (r->chunk_len == 0)
        return body_piece(r, at, r->body_len - at);
    uint64_t frame_len = r->chunk_line_len + r->chunk_len + 2;
    uint64_t index = at / frame_len;
    uint64_t num_whole = r->body_len / r->chunk_len;
    bool whole = index < num_whole;
    uint64_t content_len = whole ? r->chunk_len : r->body_len % r->chunk_len;
    const char *line = whole ? r->chunk_line : r->last_line;
    uint64_t line_len = whole ? r->chunk_line_len : r->last_line_len;
    if (!whole) {
        at -= num_whole * frame_len;
        uint64_t last_frame_len = content_len ? line_len + content_len + 2 : 0;
        if (at >= last_frame_len)
            return (struct piece){r->tail.at + (at - last_frame_len), r->tail.len - (at - last_frame_len)};
        index = num_whole;
    } else {
        at %= frame_len;
    }
    if (at < line_len)
        return (struct piece){line + at, line_len - at};
    at -= line_len;
    if (at < content_len)
        return body_piece(r, index * r->chunk_len + at, content_len - at);
    return (struct piece){"\r\n" + (at - content_len), 2 - (at - content_len)};
}

size_t bench_response_gather(const struct bench_response *r, uint64_t at, uint64_t end, struct iovec *out_vectors,
                             size_t max) {
    size_t num = 0;
    while (at < end && num < max) {
        struct piece piece = piece_at(r, at);
        uint64_t len = piece.len < end - at ? piece.len : end - at;
        out_vectors[num++] = (struct iovec){.iov_base = (void *)(uintptr_t)piece.at, .iov_len = (size_t)len};
        at += len;
    }
    return num;
}

#define _GNU_SOURCE
#include "tests/support/simhttp.h"

#include "tests/support/simkernel_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 32768

enum http_state { READ_HEAD, READ_BODY, READ_CHUNK_HEAD, READ_CHUNK, READ_CHUNK_END, READ_TRAILER, READ_NOTHING };

// What the target asks for.
struct http_wish {
    char verb[16];
    uint64_t count;
    uint64_t tag;
    uint64_t delay_ms, pause_ms, stall_ms, linger_ms;
    uint64_t info;
    uint64_t reset_at, cut_at; // UINT64_MAX: not
    uint64_t extra_ms;
    uint64_t hops;
    char next_hop[256]; // target, when there are any
    bool last, drop, early, check, has_extra, has_linger;
};

struct http_conn {
    struct q_simhttp *server;
    struct q_sim_conn *conn;
    enum http_state state;
    struct sim_bytes in;
    struct sim_bytes body; // kept for echo
    struct http_wish wish;
    char method[24];
    bool client_closes;
    bool answered;
    bool was_extra; // the client has bytes that it did not ask for
    bool is_final;  // the client must not come back on this connection
    uint64_t left;    // of the body, or of the chunk
    uint64_t body_at; // bytes of the body so far
};

struct q_simhttp {
    struct q_sim *sim;
    struct q_simhttp_options options;
    struct q_simhttp_stats stats;
};

char q_simhttp_byte(uint64_t tag, uint64_t at) {
    return (char)(tag * 131 + at * 7 + (at >> 8) * 13 + (at >> 16) * 29);
}

void q_simhttp_fill(uint64_t tag, uint64_t at, char *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        out[i] = q_simhttp_byte(tag, at + i);
    }
}

bool q_simhttp_matches(uint64_t tag, uint64_t at, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (data[i] != q_simhttp_byte(tag, at + i)) {
            return false;
        }
    }
    return true;
}

static void fault(struct http_conn *http, const char *what) {
    struct q_simhttp_stats *stats = &http->server->stats;
    if (stats->faults++ == 0) {
        snprintf(stats->first_fault, sizeof stats->first_fault, "connection %llu: %s",
                 (unsigned long long)q_sim_conn_id(http->conn), what);
    }
}

// --- the answer --------------------------------------------------------------------------------------------------

static void add_text(struct sim_bytes *wire, const char *format, ...) Q_PRINTF(2, 3);
static void add_text(struct sim_bytes *wire, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    Q_CHECK(len >= 0 && (size_t)len < sizeof text);
    sim_bytes_add(wire, text, (size_t)len);
}

static void add_body(struct sim_bytes *wire, uint64_t tag, uint64_t at, uint64_t count) {
    char block[4096];
    for (uint64_t end = at + count; at < end;) {
        size_t len = end - at < sizeof block ? (size_t)(end - at) : sizeof block;
        q_simhttp_fill(tag, at, block, len);
        sim_bytes_add(wire, block, len);
        at += len;
    }
}

static void add_chunks(struct http_conn *http, struct sim_bytes *wire) {
    const struct http_wish *wish = &http->wish;
    for (uint64_t at = 0; at < wish->count;) {
        uint64_t len = q_sim_between(http->server->sim, 1, 4000, 1000);
        len = len < wish->count - at ? len : wish->count - at;
        add_text(wire, "%llx\r\n", (unsigned long long)len);
        add_body(wire, wish->tag, at, len);
        add_text(wire, "\r\n");
        at += len;
    }
    add_text(wire, "0\r\nX-Trailer: %llu\r\n\r\n", (unsigned long long)wish->tag);
}

static bool is_verb(const struct http_conn *http, const char *verb) { return strcmp(http->wish.verb, verb) == 0; }

// Writes the final response; gives the offset of its body.
static size_t add_response(struct http_conn *http, struct sim_bytes *wire) {
    const struct http_wish *wish = &http->wish;
    bool is_head = strcmp(http->method, "HEAD") == 0;
    unsigned status = is_verb(http, "status") ? (unsigned)wish->count : 200;
    bool has_body = !is_head && !is_verb(http, "status");
    for (uint64_t i = 0; i < wish->info; i++) {
        add_text(wire, "HTTP/1.1 103 Early Hints\r\nX-Hint: %llu\r\n\r\n", (unsigned long long)i);
    }
    add_text(wire, "HTTP/1.1 %u Thing\r\nX-Tag: %llu\r\n", status, (unsigned long long)wish->tag);
    if (wish->last || is_verb(http, "close")) {
        add_text(wire, "Connection: close\r\n");
    }
    if (is_verb(http, "chunked")) {
        add_text(wire, "Transfer-Encoding: chunked\r\n");
    } else if (is_verb(http, "echo")) {
        add_text(wire, "Content-Length: %zu\r\n", http->body.len);
    } else if (is_verb(http, "size")) {
        add_text(wire, "Content-Length: %llu\r\n", (unsigned long long)wish->count);
    } else if (is_verb(http, "status") && status != 204 && status != 304) {
        add_text(wire, "Content-Length: 0\r\n");
    }
    add_text(wire, "\r\n");
    size_t body_at = wire->len;
    if (!has_body) {
        return body_at;
    }
    if (is_verb(http, "chunked")) {
        add_chunks(http, wire);
    } else if (is_verb(http, "echo")) {
        sim_bytes_add(wire, http->body.data != NULL ? http->body.data + http->body.start : "", http->body.len);
    } else {
        add_body(wire, wish->tag, 0, wish->count);
    }
    return body_at;
}

// The same target with one hop less, as it stands in `target`.
static void write_next_hop(struct http_wish *wish, const char *target) {
    const char *option = strstr(target, "hops=");
    if (option != NULL && wish->hops > 0) {
        snprintf(wish->next_hop, sizeof wish->next_hop, "%.*shops=%llu%s", (int)(option - target), target,
                 (unsigned long long)(wish->hops - 1), option + strcspn(option, "&"));
    }
}

// Writes a redirect; gives the offset of its body.
static size_t add_hop(struct http_conn *http, struct sim_bytes *wire) {
    const struct http_wish *wish = &http->wish;
    add_text(wire, "HTTP/1.1 307 Further\r\nX-Tag: %llu\r\n", (unsigned long long)wish->tag);
    add_text(wire, "Location: %s\r\n%s", wish->next_hop, wish->last ? "Connection: close\r\n" : "");
    add_text(wire, "Content-Length: %d\r\n\r\n", Q_SIMHTTP_HOP_BYTES);
    size_t body_at = wire->len;
    if (strcmp(http->method, "HEAD") != 0) {
        add_body(wire, wish->tag, 0, Q_SIMHTTP_HOP_BYTES);
    }
    return body_at;
}

static const struct q_simhttp_raw *raw_of(const struct http_conn *http) {
    const struct q_simhttp_options *options = &http->server->options;
    Q_CHECK(http->wish.count < options->num_raws);
    return &options->raws[http->wish.count];
}

// What /raw leaves behind: whoever gets it is to find out alone that there is nothing more to come.
static void end_of_raw(struct http_conn *http) {
    http->server->stats.responses++;
    http->is_final = raw_of(http)->is_final;
    http->was_extra = http->is_final; // a part of it may not be of the response, and stay unread
    if (raw_of(http)->is_end) {
        q_sim_conn_close(http->conn);
    }
}

static void close_later(void *context, uint64_t arg) {
    (void)arg;
    struct q_sim_conn *conn = context;
    if (q_sim_conn_is_alive(conn)) {
        q_sim_conn_close(conn);
    }
}

static void end_of_response(struct http_conn *http) {
    const struct http_wish *wish = &http->wish;
    struct q_sim *sim = http->server->sim;
    http->server->stats.responses++;
    bool is_until_close = is_verb(http, "close") && wish->hops == 0;
    bool closes = wish->last || wish->drop || http->client_closes || is_until_close;
    if (closes) {
        q_sim_conn_close(http->conn);
    } else if (wish->has_linger) {
        q_sim_at(sim, q_sim_now(sim) + wish->linger_ms * Q_NS_PER_MS, close_later, http->conn, 0);
    } else if (q_sim_chance(sim, http->server->options.idle_close_percent)) {
        uint64_t soon_ns = q_sim_between(sim, 0, 20 * Q_NS_PER_MS, 0);
        q_sim_at(sim, q_sim_now(sim) + soon_ns, close_later, http->conn, 0);
    }
}

static void answer(struct http_conn *http) {
    const struct http_wish *wish = &http->wish;
    http->answered = true;
    if (is_verb(http, "never") && wish->hops == 0) {
        return;
    }
    struct sim_bytes wire = {0};
    size_t middle = 0;
    if (wish->hops > 0) {
        middle = add_hop(http, &wire);
        middle += (wire.len - middle) / 2;
    } else if (is_verb(http, "raw")) {
        sim_bytes_add(&wire, raw_of(http)->bytes, raw_of(http)->len);
        middle = wire.len / 2;
    } else if (is_verb(http, "garbage")) {
        add_text(&wire, "220 this is not the protocol you expect\r\n\r\n");
    } else {
        middle = add_response(http, &wire);
        middle += (wire.len - middle) / 2;
    }
    uint64_t ends_at = wish->reset_at < wish->cut_at ? wish->reset_at : wish->cut_at;
    bool is_cut = ends_at < wire.len;
    size_t len = is_cut ? (size_t)ends_at : wire.len;
    middle = middle < len ? middle : len;
    q_sim_conn_delay(http->conn, wish->delay_ms * Q_NS_PER_MS);
    q_sim_conn_send(http->conn, wire.data, middle);
    q_sim_conn_delay(http->conn, wish->pause_ms * Q_NS_PER_MS);
    q_sim_conn_send(http->conn, wire.data + middle, len - middle);
    if (is_cut && wish->reset_at == ends_at) {
        q_sim_conn_reset(http->conn);
    } else if (is_cut) {
        q_sim_conn_close(http->conn);
    } else if (is_verb(http, "raw") && wish->hops == 0) {
        end_of_raw(http);
    } else {
        if (wish->has_extra) {
            static const char k_extra[] = "HTTP/1.1 200 Poison\r\nX-Tag: 0\r\nContent-Length: 0\r\n\r\n";
            q_sim_conn_delay(http->conn, wish->extra_ms * Q_NS_PER_MS);
            q_sim_conn_send(http->conn, k_extra, sizeof k_extra - 1);
            http->was_extra = true;
        }
        end_of_response(http);
    }
    sim_bytes_free(&wire);
}

// --- the request -------------------------------------------------------------------------------------------------

static bool read_option(const char *option, const char *name, uint64_t *out) {
    size_t len = strlen(name);
    if (strncmp(option, name, len) != 0 || option[len] != '=') {
        return false;
    }
    *out = strtoull(option + len + 1, NULL, 10);
    return true;
}

static void read_wish(struct http_wish *wish, char *target) {
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", target);
    *wish = (struct http_wish){.reset_at = UINT64_MAX, .cut_at = UINT64_MAX};
    char *saved = NULL;
    char *path = strtok_r(target, "?", &saved);
    for (char *option = strtok_r(NULL, "&", &saved); option != NULL; option = strtok_r(NULL, "&", &saved)) {
        (void)(read_option(option, "tag", &wish->tag) || read_option(option, "delay", &wish->delay_ms) ||
               read_option(option, "pause", &wish->pause_ms) || read_option(option, "info", &wish->info) ||
               read_option(option, "reset", &wish->reset_at) || read_option(option, "cut", &wish->cut_at) ||
               read_option(option, "stall", &wish->stall_ms) || read_option(option, "hops", &wish->hops));
        wish->has_linger = read_option(option, "linger", &wish->linger_ms) || wish->has_linger;
        wish->last = wish->last || strcmp(option, "last") == 0;
        wish->drop = wish->drop || strcmp(option, "drop") == 0;
        wish->early = wish->early || strcmp(option, "early") == 0;
        wish->check = wish->check || strcmp(option, "check") == 0;
        wish->has_extra = read_option(option, "extra", &wish->extra_ms) || wish->has_extra;
    }
    unsigned long long count = 0;
    if (path != NULL) {
        sscanf(path, "/%15[a-z]/%llu", wish->verb, &count);
    }
    wish->count = count;
    write_next_hop(wish, copy);
}

static void unstall(void *context, uint64_t arg) {
    (void)arg;
    struct q_sim_conn *conn = context;
    if (q_sim_conn_is_alive(conn)) {
        q_sim_conn_pause(conn, false);
    }
}

static void head_is_read(struct http_conn *http, bool chunked, uint64_t length) {
    struct q_sim *sim = http->server->sim;
    http->server->stats.requests++;
    http->answered = false;
    http->body_at = 0;
    sim_bytes_take(&http->body, NULL, SIZE_MAX);
    http->left = length;
    http->state = chunked ? READ_CHUNK_HEAD : length > 0 ? READ_BODY : READ_HEAD;
    if (http->wish.early || http->state == READ_HEAD) {
        answer(http);
    }
    if (http->wish.stall_ms > 0 && http->state != READ_HEAD) {
        q_sim_conn_pause(http->conn, true);
        q_sim_at(sim, q_sim_now(sim) + http->wish.stall_ms * Q_NS_PER_MS, unstall, http->conn, 0);
    }
}

// One head of `len` bytes, its empty line included.
static void read_head(struct http_conn *http, size_t len) {
    struct q_simhttp_stats *stats = &http->server->stats;
    if (http->is_final) {
        fault(http, "a request behind a response that ends the connection");
    }
    char *head = sim_alloc(len + 1);
    sim_bytes_take(&http->in, head, len);
    snprintf(stats->last_head, sizeof stats->last_head, "%s", head);
    char target[1024] = "";
    char version[16] = "";
    if (sscanf(head, "%23s %1023s %15[^\r]", http->method, target, version) != 3 || strcmp(version, "HTTP/1.1") != 0) {
        fault(http, "a bad request line");
    }
    read_wish(&http->wish, target);
    http->client_closes = false;
    bool chunked = false;
    bool has_host = false;
    uint64_t length = 0;
    char *saved = NULL;
    strtok_r(head, "\r\n", &saved);
    for (char *line = strtok_r(NULL, "\r\n", &saved); line != NULL; line = strtok_r(NULL, "\r\n", &saved)) {
        has_host = has_host || strncasecmp(line, "host:", 5) == 0;
        chunked = chunked || strcasecmp(line, "transfer-encoding: chunked") == 0;
        http->client_closes = http->client_closes || strcasecmp(line, "connection: close") == 0;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            length = strtoull(line + 15, NULL, 10);
        }
        if (strcasecmp(line, "expect: 100-continue") == 0) {
            q_sim_conn_send(http->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
    }
    if (!has_host) {
        fault(http, "a request without Host");
    }
    free(head);
    if (http->server->options.on_request != NULL) {
        http->server->options.on_request(http->server->options.context, http->wish.tag, http->method);
    }
    head_is_read(http, chunked, length);
}

static void body_bytes(struct http_conn *http, size_t len) {
    char *bytes = sim_alloc(len);
    sim_bytes_take(&http->in, bytes, len);
    if (http->wish.check && !q_simhttp_matches(http->wish.tag, http->body_at, bytes, len)) {
        fault(http, "the request's body is not what it should be");
    }
    if (is_verb(http, "echo")) {
        sim_bytes_add(&http->body, bytes, len);
    }
    http->body_at += len;
    http->left -= len;
    http->server->stats.body_bytes += len;
    free(bytes);
}

static void body_is_read(struct http_conn *http) {
    http->state = READ_HEAD;
    if (!http->answered) {
        answer(http);
    }
}

static const char *in_start(const struct http_conn *http) { return http->in.data + http->in.start; }

// The length of the first line with its end, or 0 when it is not all there.
static size_t line_len(const struct http_conn *http) {
    const char *end = http->in.len > 0 ? memmem(in_start(http), http->in.len, "\r\n", 2) : NULL;
    return end != NULL ? (size_t)(end - in_start(http)) + 2 : 0;
}

// One step of reading; false when more bytes are needed.
static bool read_step(struct http_conn *http) {
    size_t len;
    const char *end;
    switch (http->state) {
    case READ_HEAD:
        end = http->in.len > 0 ? memmem(in_start(http), http->in.len, "\r\n\r\n", 4) : NULL;
        if (end == NULL) {
            return false;
        }
        read_head(http, (size_t)(end - in_start(http)) + 4);
        return true;
    case READ_BODY:
    case READ_CHUNK:
        len = http->in.len < http->left ? http->in.len : (size_t)http->left;
        if (len > 0) {
            body_bytes(http, len);
        }
        if (http->left > 0) {
            return false;
        }
        if (http->state == READ_BODY) {
            body_is_read(http);
        } else {
            http->state = READ_CHUNK_END;
        }
        return true;
    case READ_CHUNK_HEAD:
    case READ_CHUNK_END:
    case READ_TRAILER:
        len = line_len(http);
        if (len == 0) {
            return false;
        }
        if (http->state == READ_CHUNK_HEAD) {
            http->left = strtoull(in_start(http), NULL, 16);
            http->state = http->left > 0 ? READ_CHUNK : READ_TRAILER;
        } else if (http->state == READ_CHUNK_END) {
            http->state = READ_CHUNK_HEAD;
        } else if (len == 2) {
            sim_bytes_take(&http->in, NULL, len);
            body_is_read(http);
            return true;
        }
        sim_bytes_take(&http->in, NULL, len);
        return true;
    case READ_NOTHING: sim_bytes_take(&http->in, NULL, SIZE_MAX); return false;
    }
    return false;
}

// --- the peer ----------------------------------------------------------------------------------------------------

static void http_open(void *context, struct q_sim_conn *conn) {
    struct q_simhttp *server = context;
    struct http_conn *http = sim_alloc(sizeof *http);
    server->stats.connections++;
    http->server = server;
    http->conn = conn;
    q_sim_conn_set_user(conn, http);
}

static void http_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    (void)context;
    struct http_conn *http = q_sim_conn_user(conn);
    bool starts = http->state == READ_HEAD && http->in.len == 0;
    if (starts && q_sim_conn_unread(conn) > 0 && !http->was_extra) {
        fault(http, "a request before the response before it was read whole");
    }
    sim_bytes_add(&http->in, data, len);
    while (q_sim_conn_is_alive(conn) && read_step(http)) {
        // goes on with what is there
    }
    if (q_sim_conn_is_alive(conn) && http->in.len > HEAD_MAX && http->state == READ_HEAD) {
        fault(http, "a head without an end");
        http->state = READ_NOTHING;
    }
}

static void http_fin(void *context, struct q_sim_conn *conn) {
    (void)context;
    q_sim_conn_close(conn);
}

static void http_closed(void *context, struct q_sim_conn *conn) {
    (void)context;
    struct http_conn *http = q_sim_conn_user(conn);
    sim_bytes_free(&http->in);
    sim_bytes_free(&http->body);
    free(http);
    q_sim_conn_set_user(conn, NULL);
}

static const struct q_sim_peer k_http_peer = {
    .on_open = http_open, .on_bytes = http_bytes, .on_fin = http_fin, .on_closed = http_closed};

struct q_simhttp *q_simhttp_new(struct q_sim *sim, const char *address, uint16_t port,
                                const struct q_simhttp_options *options) {
    struct q_simhttp *server = sim_alloc(sizeof *server);
    server->sim = sim;
    server->options = *options;
    q_sim_listen(sim, address, port,
                 &(struct q_sim_listener){.delay_ns = options->accept_delay_ns,
                                          .peer = &k_http_peer,
                                          .context = server,
                                          .filter = options->filter,
                                          .filter_context = options->filter_context,
                                          .send_buffer = options->send_buffer,
                                          .receive_buffer = options->receive_buffer});
    return server;
}

void q_simhttp_free(struct q_simhttp *server) { free(server); }
const struct q_simhttp_stats *q_simhttp_stats(const struct q_simhttp *server) { return &server->stats; }

#include "tests/engine/wire/reader_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 200

struct log {
    char *text;
    size_t len, cap;
};

struct data {
    char *bytes;
    size_t len, cap;
};

static void grow(char **mem, size_t *cap, size_t need) {
    if (need <= *cap) {
        return;
    }
    size_t size = *cap == 0 ? 1024 : *cap;
    while (size < need) {
        size *= 2;
    }
    *mem = realloc(*mem, size);
    if (*mem == NULL) {
        abort();
    }
    *cap = size;
}

static void put(struct log *log, const char *text, size_t len) {
    grow(&log->text, &log->cap, log->len + len + 1);
    memcpy(log->text + log->len, text, len);
    log->len += len;
    log->text[log->len] = '\0';
}

static void put_text(struct log *log, const char *text) {
    put(log, text, strlen(text));
}

static void put_number(struct log *log, unsigned long long value) {
    char digits[32];
    put(log, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", value));
}

static void put_escaped(struct log *log, struct q_slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        char text[8];
        int len = byte == '\r'                                  ? snprintf(text, sizeof(text), "\\r")
                  : byte == '\n'                                ? snprintf(text, sizeof(text), "\\n")
                  : byte < 0x20 || byte >= 0x7f || byte == '\\' ? snprintf(text, sizeof(text), "\\x%02x", byte)
                                                                : snprintf(text, sizeof(text), "%c", byte);
        put(log, text, (size_t)len);
    }
}

static void put_bytes(struct log *log, struct q_slice s) {
    if (s.len <= SHOWN_MAX) {
        put_escaped(log, s);
        return;
    }
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char)s.ptr[i]) * 16777619u;
    }
    put_number(log, s.len);
    put_text(log, " bytes, checksum ");
    put_number(log, hash);
}

// flush_data writes the data since the last other event as one line.
static void flush_data(struct log *log, struct data *data) {
    if (data->len > 0) {
        put_text(log, "data ");
        put_bytes(log, q_slice_make(data->bytes, data->len));
        put_text(log, "\n");
        data->len = 0;
    }
}

static void add_data(struct data *data, struct q_slice more) {
    if (more.len == 0) {
        abort(); // an event without news
    }
    grow(&data->bytes, &data->cap, data->len + more.len);
    memcpy(data->bytes + data->len, more.ptr, more.len);
    data->len += more.len;
}

static void put_fields(struct log *log, const struct q_headers *h) {
    if (!q_headers_validate(h)) {
        abort();
    }
    struct q_slice name, value;
    for (uint32_t i = 0; q_headers_at(h, i, &name, &value); i++) {
        put_text(log, "field ");
        put_bytes(log, name);
        put_text(log, ": ");
        put_bytes(log, value);
        put_text(log, "\n");
    }
}

static void put_head(struct log *log, const struct q_h1_out *out, bool final) {
    static const char *const k_bodies[] = {" none", " length", " chunked", " close", " tunnel"};
    put_text(log, final ? "head " : "informational ");
    put_number(log, out->status);
    put_text(log, out->version_minor == 1 ? " 1.1" : " 1.0");
    if (final) {
        put_text(log, k_bodies[out->body]);
        if (out->content_length != Q_H1_NO_CONTENT_LENGTH) {
            put_text(log, " ");
            put_number(log, out->content_length);
        }
    }
    put_text(log, "\n");
    put_fields(log, out->headers);
}

static void put_end(struct log *log, const struct q_h1_reader *r, const struct q_h1_out *out, size_t left) {
    if (out->headers != NULL) {
        put_text(log, "trailers\n");
        put_fields(log, out->headers);
    }
    put_text(log, q_h1_reader_keep_alive(r) ? "end keep-alive left " : "end close left ");
    put_number(log, left);
    put_text(log, "\n");
}

// put_event writes one event; false when it was the last.
static bool put_event(struct log *log, struct data *data, const struct q_h1_reader *r, enum q_h1_event event,
                      const struct q_h1_out *out, size_t left) {
    if (event == Q_H1_DATA) {
        add_data(data, out->data);
        return true;
    }
    if (event == Q_H1_NEED_MORE) {
        return true;
    }
    flush_data(log, data);
    if (event == Q_H1_INFORMATIONAL || event == Q_H1_HEAD) {
        put_head(log, out, event == Q_H1_HEAD);
        return true;
    }
    if (event == Q_H1_END) {
        put_end(log, r, out, left);
        return false;
    }
    put_text(log, "failed ");
    put_text(log, q_error_name(out->error.code));
    put_text(log, " ");
    put_text(log, q_phase_name(out->error.phase));
    put_text(log, "\n");
    return false;
}

// read_piece reads one piece from a block of its own; false when the response is over. `left` is what follows it.
static bool read_piece(struct log *log, struct data *data, struct q_h1_reader *r, struct q_slice piece, size_t left) {
    char *own = malloc(piece.len == 0 ? 1 : piece.len);
    if (own == NULL) {
        abort();
    }
    memcpy(own, piece.ptr, piece.len);
    struct q_slice input = q_slice_make(own, piece.len);
    bool going_on;
    enum q_h1_event event;
    do {
        struct q_h1_out out;
        memset(&out, 0xa5, sizeof(out));
        event = q_h1_reader_next(r, &input, &out);
        going_on = put_event(log, data, r, event, &out, left + input.len);
    } while (going_on && event != Q_H1_NEED_MORE);
    if (going_on && input.len != 0) {
        abort(); // more is asked for while some is left
    }
    free(own);
    return going_on;
}

char *reader_log(struct q_slice input, const struct reader_log_run *run) {
    struct log log = {0};
    struct data data = {0};
    size_t memory = run->memory == 0 ? q_h1_reader_memory_for(&run->limits) : run->memory;
    void *mem = malloc(memory);
    if (mem == NULL) {
        abort();
    }
    struct q_h1_reader r;
    q_h1_reader_begin(&r, run->request_flags & ~(unsigned)Q_H1_REQUEST_UPGRADE, mem, memory, &run->limits);
    if ((run->request_flags & Q_H1_REQUEST_UPGRADE) != 0) {
        q_h1_reader_ask_upgrade(&r, Q_SLICE("websocket"));
    }
    put(&log, "", 0);
    bool going_on = true;
    while (going_on && input.len > 0) {
        size_t len = run->cut_fn == NULL ? input.len : run->cut_fn(run->cut_context, input.len);
        if (len == 0 || len > input.len) {
            abort();
        }
        going_on = read_piece(&log, &data, &r, q_slice_make(input.ptr, len), input.len - len);
        input = q_slice_from(input, len);
    }
    if (going_on && run->eof) {
        struct q_h1_out out;
        memset(&out, 0xa5, sizeof(out));
        enum q_h1_event event = q_h1_reader_eof(&r, &out);
        (void)put_event(&log, &data, &r, event, &out, 0);
    } else if (going_on) {
        flush_data(&log, &data);
        put_text(&log, "more\n");
    }
    free(mem);
    free(data.bytes);
    return log.text;
}

// Whatever bytes a host gives for method, URL and fields: what is frozen is the head of exactly one request, as RFC 9112
// writes it, and says what it must; everything else was refused. A reader of requests, as plain as it can be, checks it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/exchange/spec.h"

#define RUNS 60000
#define TEXT_MAX 64

static struct q_random random_;

static uint64_t pick(uint64_t bound) { return q_random_below(&random_, bound); }

static struct q_slice piece_of(const char *const *pieces, size_t count, char *out) {
    size_t len = 0;
    for (uint64_t left = 1 + pick(3); left > 0; left--) {
        const char *piece = pieces[pick(count)];
        size_t piece_len = strlen(piece);
        if (len + piece_len < TEXT_MAX - 1) {
            memcpy(out + len, piece, piece_len);
            len += piece_len;
        }
    }
    if (pick(4) == 0) { // any byte at any place
        size_t at = (size_t)pick(len + 1);
        memmove(out + at + 1, out + at, len - at);
        out[at] = (char)pick(256);
        len++;
    }
    return q_slice_make(out, len);
}

#define PIECE(out, ...)                                                                                                \
    piece_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), out)

// --- what a server reads -------------------------------------------------------------------------------------------

static bool is_tchar(char c) {
    return c != '\0' && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c) != NULL;
}

static bool is_value(char c) { return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f); }
static bool is_target(char c) { return c > 0x20 && c < 0x7f; }

static const char *past(const char *at, const char *end, bool (*is)(char c)) {
    while (at < end && is(*at)) {
        at++;
    }
    return at;
}

struct found {
    unsigned hosts, lengths, connections;
    const char *target;
    size_t target_len;
};

static bool is_line_named(const char *line, size_t name_len, const char *name) {
    return name_len == strlen(name) && strncasecmp(line, name, name_len) == 0;
}

// Reads one request's head, all of it; false where it is none.
static bool read_head(const char *at, const char *end, struct found *out) {
    const char *method = at;
    at = past(at, end, is_tchar);
    if (at == method || at == end || *at++ != ' ') {
        return false;
    }
    out->target = at;
    at = past(at, end, is_target);
    out->target_len = (size_t)(at - out->target);
    if (end - at < 11 || out->target[0] != '/' || memcmp(at, " HTTP/1.1\r\n", 11) != 0) {
        return false;
    }
    at += 11;
    while (end - at >= 2 && memcmp(at, "\r\n", 2) != 0) {
        const char *name = at;
        at = past(at, end, is_tchar);
        size_t name_len = (size_t)(at - name);
        if (name_len == 0 || at == end || *at++ != ':') {
            return false;
        }
        at = past(at, end, is_value);
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0) {
            return false;
        }
        at += 2;
        out->hosts += is_line_named(name, name_len, "Host");
        out->lengths += is_line_named(name, name_len, "Content-Length");
        out->connections += is_line_named(name, name_len, "Connection");
        if (is_line_named(name, name_len, "Transfer-Encoding") || is_line_named(name, name_len, "TE") ||
            is_line_named(name, name_len, "Upgrade") || is_line_named(name, name_len, "Trailer")) {
            return false;
        }
    }
    return end - at == 2 && memcmp(at, "\r\n", 2) == 0; // and nothing behind it
}

// --- what a host gives ---------------------------------------------------------------------------------------------

static struct q_spec *any_spec(void) {
    char method[TEXT_MAX + 1], url[TEXT_MAX + 16] = "http://";
    struct q_slice m = PIECE(method, "GET", "POST", "HEAD", "TRACE", "X-Y", "get", "G ET", "\r\n", "CONNECT", "");
    struct q_slice u = PIECE(url + 7, "h", "h:81", "u:p@h", "/a", "?q", "#f", "/a b", "/\r\nX: y", "%0d%0a", "[::1]",
                             "/\xc3\xbc", "u%0d:p@h", "\\", "/..", ":", "@", " ");
    struct q_spec *spec = NULL;
    struct q_error error = q_spec_new(q_alloc_libc(), m, q_slice_make(url, u.len + 7), &spec);
    return q_error_is(error) ? NULL : spec;
}

static void any_fields(struct q_spec *spec) {
    for (uint64_t left = pick(4); left > 0; left--) {
        char name[TEXT_MAX + 1], value[TEXT_MAX + 1];
        struct q_slice n = PIECE(name, "Host", "X", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Upgrade",
                                 "Trailer", "Authorization", "Keep-Alive", "-", ":", " ", "\r\n", "Expect", "");
        struct q_slice v = PIECE(value, "a", "close", "keep-alive", ",", " ", "\t", "\r\n", "X: y", "h:81", "chunked",
                                 "5", "");
        struct q_error ignored = q_spec_add_header(spec, n, v);
        (void)ignored;
    }
    if (pick(3) == 0) {
        assert_int_equal(q_spec_set_body(spec, "body", (size_t)pick(5), NULL, NULL).code, 0);
    }
}

static void whatever_a_host_gives_is_one_request_or_none(void **state) {
    (void)state;
    unsigned sent = 0, refused = 0;
    q_random_seed(&random_, 9110);
    for (unsigned i = 0; i < RUNS; i++) {
        struct q_spec *spec = any_spec();
        if (spec == NULL) {
            refused++;
            continue;
        }
        any_fields(spec);
        if (q_error_is(q_spec_freeze(spec))) {
            refused++;
        } else {
            struct found found = {0};
            bool is_request = read_head(spec->head, spec->head + spec->head_len, &found);
            if (!is_request || found.hosts != 1 || found.lengths > 1 || (spec->body_len > 0 && found.lengths == 0) ||
                memchr(found.target, '#', found.target_len) != NULL) {
                fail_msg("this was taken for one request:\n%.*s", (int)spec->head_len, spec->head);
            }
            sent++;
        }
        q_spec_release(spec);
    }
    assert_true(sent > RUNS / 20 && refused > RUNS / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_a_host_gives_is_one_request_or_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

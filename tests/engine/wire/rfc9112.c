#define _GNU_SOURCE
#include "tests/engine/wire/rfc9112.h"

#include "engine/base/check.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

// What is still to be read. A rule that does not match leaves it anywhere.
struct text {
    const char *at, *end;
};

// What the fields of a head say of its framing.
struct said {
    bool has_length, is_length_bad;
    uint64_t length;
    unsigned codings;
    bool is_coding_bad;
    bool close, keep_alive;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_tchar(char c) {
    return c != '\0' && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c) != NULL;
}

// field-vchar, SP, HTAB: also what a reason and, but for two bytes, a quoted string are made of.
static bool is_value(char c) {
    unsigned char byte = (unsigned char)c;
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool take(struct text *t, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0) {
        return false;
    }
    t->at += len;
    return true;
}

// As many as there are.
static struct q_slice take_all(struct text *t, bool (*is)(char c)) {
    const char *from = t->at;
    while (t->at < t->end && is(*t->at)) {
        t->at++;
    }
    return q_slice_make(from, (size_t)(t->at - from));
}

// HTTP-version SP status-code [ SP [ reason-phrase ] ] CRLF
static bool status_line(struct text *t, unsigned *out_status, unsigned *out_minor) {
    if (!take(t, "HTTP/1.") || t->end - t->at < 5 || (t->at[0] != '0' && t->at[0] != '1') || t->at[1] != ' ') {
        return false;
    }
    *out_minor = (unsigned)(t->at[0] - '0');
    const char *digits = t->at + 2;
    if (!is_digit(digits[0]) || digits[0] == '0' || !is_digit(digits[1]) || !is_digit(digits[2])) {
        return false;
    }
    *out_status = (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    t->at += 5;
    if (take(t, " ")) {
        take_all(t, is_value);
    }
    return take(t, "\r\n");
}

static bool is_named(struct q_slice name, const char *expected) {
    return name.len == strlen(expected) && strncasecmp(name.ptr, expected, name.len) == 0;
}

static void say_length(struct said *said, struct q_slice member) {
    uint64_t length = 0;
    bool is_bad = member.len == 0;
    for (size_t i = 0; i < member.len && !is_bad; i++) {
        is_bad = !is_digit(member.ptr[i]) || length > ((uint64_t)INT64_MAX - (uint64_t)(member.ptr[i] - '0')) / 10;
        length = length * 10 + (uint64_t)(member.ptr[i] - '0');
    }
    said->is_length_bad |= is_bad || (said->has_length && length != said->length);
    said->has_length = true;
    said->length = length;
}

static void say(struct said *said, struct q_slice name, struct q_slice member) {
    if (is_named(name, "Content-Length")) {
        say_length(said, member);
    } else if (is_named(name, "Transfer-Encoding")) {
        said->codings++;
        said->is_coding_bad |= !is_named(member, "chunked");
    } else if (is_named(name, "Connection")) {
        said->close |= is_named(member, "close");
        said->keep_alive |= is_named(member, "keep-alive");
    }
}

// field-name ":" OWS field-value OWS CRLF, and what each member of its list says.
static bool field(struct text *t, struct said *said) {
    struct q_slice name = take_all(t, is_tchar);
    if (name.len == 0 || !take(t, ":")) {
        return false;
    }
    struct q_slice value = take_all(t, is_value);
    const char *from = value.ptr;
    for (const char *at = value.ptr; at <= value.ptr + value.len; at++) {
        if (at == value.ptr + value.len || *at == ',') {
            const char *end = at;
            while (from < end && is_blank(*from)) {
                from++;
            }
            while (end > from && is_blank(end[-1])) {
                end--;
            }
            say(said, name, q_slice_make(from, (size_t)(end - from)));
            from = at + 1;
        }
    }
    return take(t, "\r\n");
}

static bool fields(struct text *t, struct said *said) {
    while (!take(t, "\r\n")) {
        if (!field(t, said)) {
            return false;
        }
    }
    return true;
}

static bool quoted_string(struct text *t) {
    if (!take(t, "\"")) {
        return false;
    }
    while (t->at < t->end && *t->at != '"') {
        t->at += *t->at == '\\';
        if (t->at == t->end || !is_value(*t->at)) {
            return false;
        }
        t->at++;
    }
    return take(t, "\"");
}

// *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) CRLF
static bool extensions(struct text *t) {
    while (!take(t, "\r\n")) {
        take_all(t, is_blank);
        if (!take(t, ";")) {
            return false;
        }
        take_all(t, is_blank);
        if (take_all(t, is_tchar).len == 0) {
            return false;
        }
        struct text behind_name = *t;
        take_all(t, is_blank);
        if (!take(t, "=")) {
            *t = behind_name; // the blanks may be those in front of the next ';'
            continue;
        }
        take_all(t, is_blank);
        if (!quoted_string(t) && take_all(t, is_tchar).len == 0) {
            return false;
        }
    }
    return true;
}

static int hex_value(char c) {
    static const char k_digits[] = "0123456789abcdef";
    const char *digit = c == '\0' ? NULL : strchr(k_digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
    return digit == NULL ? -1 : (int)(digit - k_digits);
}

static bool chunk_size(struct text *t, uint64_t *out) {
    const char *from = t->at;
    for (*out = 0; t->at < t->end && hex_value(*t->at) >= 0; t->at++) {
        if (*out > INT64_MAX >> 4) {
            return false;
        }
        *out = *out << 4 | (uint64_t)hex_value(*t->at);
    }
    return t->at > from;
}

static bool content(struct text *t, uint64_t len, struct rfc9112 *out) {
    if ((uint64_t)(t->end - t->at) < len) {
        return false;
    }
    Q_CHECK(out->body_len + len <= sizeof out->body);
    memcpy(out->body + out->body_len, t->at, (size_t)len);
    out->body_len += (size_t)len;
    t->at += len;
    return true;
}

static bool chunked_body(struct text *t, struct rfc9112 *out) {
    struct said ignored = {0}; // a trailer changes nothing
    for (;;) {
        uint64_t len;
        if (!chunk_size(t, &len) || !extensions(t)) {
            return false;
        }
        if (len == 0) {
            return fields(t, &ignored);
        }
        if (!content(t, len, out) || !take(t, "\r\n")) {
            return false;
        }
    }
}

static bool body(struct text *t, const struct said *said, struct rfc9112 *out) {
    if (out->status == 204 || out->status == 304) {
        return true;
    }
    if (said->codings > 0) {
        return chunked_body(t, out);
    }
    if (said->has_length) {
        return content(t, said->length, out);
    }
    out->keep_alive = false;
    return content(t, (uint64_t)(t->end - t->at), out);
}

static bool response(struct text *t, struct rfc9112 *out) {
    struct said said;
    unsigned minor;
    do {
        said = (struct said){0};
        if (!status_line(t, &out->status, &minor) || !fields(t, &said) || out->status == 101) {
            return false; // nobody asked for a 101
        }
    } while (out->status < 200);
    bool is_chunked_well = said.codings == 1 && !said.is_coding_bad && !said.has_length && minor == 1;
    if (said.is_length_bad || (said.codings > 0 && !is_chunked_well)) {
        return false;
    }
    bool claims_body = said.codings > 0 || (said.has_length && said.length > 0);
    out->keep_alive = !said.close && (minor == 1 || said.keep_alive) && !(out->status == 204 && claims_body);
    return body(t, &said, out);
}

void rfc9112_read(struct q_slice input, struct rfc9112 *out) {
    struct text text = {input.ptr, input.ptr + input.len};
    out->body_len = 0;
    out->is_response = response(&text, out);
    out->left = (size_t)(text.end - text.at);
}

#include "engine/wire/token.h"

#define T Q_BYTE_TOKEN
#define V Q_BYTE_FIELD_VALUE
#define R Q_BYTE_TARGET
#define D Q_BYTE_DIGIT
#define H Q_BYTE_HEX
#define A Q_BYTE_ALPHA
// A visible byte that is no token character; one that is; a digit; a letter up to f; another letter.
#define DELIM (V | R)
#define TCHAR (T | V | R)
#define DIGIT (T | V | R | D | H)
#define HEXAL (T | V | R | H | A)
#define ALPHA (T | V | R | A)

// clang-format off
const uint8_t q_byte_classes[256] = {
    ['\t'] = V, [' '] = V,
    ['!'] = TCHAR, ['"'] = DELIM, ['#'] = TCHAR, ['$'] = TCHAR, ['%'] = TCHAR, ['&'] = TCHAR, ['\''] = TCHAR,
    ['('] = DELIM, [')'] = DELIM, ['*'] = TCHAR, ['+'] = TCHAR, [','] = DELIM, ['-'] = TCHAR, ['.'] = TCHAR,
    ['/'] = DELIM,
    ['0' ... '9'] = DIGIT,
    [':'] = DELIM, [';'] = DELIM, ['<'] = DELIM, ['='] = DELIM, ['>'] = DELIM, ['?'] = DELIM, ['@'] = DELIM,
    ['A' ... 'F'] = HEXAL, ['G' ... 'Z'] = ALPHA,
    ['['] = DELIM, ['\\'] = DELIM, [']'] = DELIM, ['^'] = TCHAR, ['_'] = TCHAR, ['`'] = TCHAR,
    ['a' ... 'f'] = HEXAL, ['g' ... 'z'] = ALPHA,
    ['{'] = DELIM, ['|'] = TCHAR, ['}'] = DELIM, ['~'] = TCHAR,
    [0x80 ... 0xff] = V,
};
// clang-format on

int q_hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = q_ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool all_are(struct q_slice s, unsigned classes) {
    for (size_t i = 0; i < s.len; i++) {
        if (!q_byte_is(s.ptr[i], classes)) {
            return false;
        }
    }
    return true;
}

bool q_is_token(struct q_slice s) {
    return s.len > 0 && all_are(s, Q_BYTE_TOKEN);
}

bool q_is_field_value(struct q_slice s) {
    return all_are(s, Q_BYTE_FIELD_VALUE);
}

bool q_is_request_target(struct q_slice s) {
    return s.len > 0 && all_are(s, Q_BYTE_TARGET);
}

bool q_list_next(struct q_slice *rest, struct q_slice *out_member) {
    // A NULL pointer says that the last member has been given: an empty one may stand behind the last comma.
    if (rest->ptr == NULL) {
        return false;
    }
    const char *comma = rest->len == 0 ? NULL : memchr(rest->ptr, ',', rest->len);
    if (comma == NULL) {
        *out_member = q_slice_trim(*rest);
        *rest = (struct q_slice){0};
        return true;
    }
    *out_member = q_slice_trim(q_slice_make(rest->ptr, (size_t)(comma - rest->ptr)));
    *rest = q_slice_from(*rest, (size_t)(comma - rest->ptr) + 1);
    return true;
}

size_t q_percent_decode(struct q_slice s, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char byte = s.ptr[i];
        if (byte == '%' && s.len - i > 2 && q_hex_value(s.ptr[i + 1]) >= 0 && q_hex_value(s.ptr[i + 2]) >= 0) {
            byte = (char)(q_hex_value(s.ptr[i + 1]) << 4 | q_hex_value(s.ptr[i + 2]));
            i += 2;
        }
        out[len++] = byte;
    }
    return len;
}

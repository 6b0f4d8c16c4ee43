#include "engine/wire/h1_chunk.h"

#include "engine/base/check.h"
#include "engine/wire/token.h"

// What a byte is to a chunk's line.
enum chunk_class {
    K_BAD = 0, // control bytes: nowhere
    K_CR,
    K_LF,
    K_BLANK, // space, tab
    K_HEX,
    K_TOKEN, // tchar that is no hexadecimal digit
    K_SEMICOLON,
    K_EQUALS,
    K_QUOTE,
    K_BACKSLASH,
    K_TEXT, // everything else that is visible, and obs-text: only in quoted strings
    K_COUNT,
};

// Where we are. The zero state is the only one that is an error.
enum chunk_state {
    C_BAD = 0,
    C_SIZE_FIRST,
    C_SIZE,
    C_SIZE_BLANK, // BWS; a ';' must come
    C_NAME_FIRST, // BWS behind ';'
    C_NAME,
    C_NAME_BLANK,  // BWS; a '=' or ';' must come
    C_VALUE_FIRST, // BWS behind '='
    C_VALUE,
    C_VALUE_BLANK, // BWS; a ';' must come
    C_QUOTED,
    C_ESCAPE,
    C_QUOTED_END,
    C_LINE_LF, // the CR of the size line has been seen
    C_DATA,    // not in the table: content is taken in runs
    C_DATA_CR,
    C_DATA_LF,
    C_LAST,
    C_COUNT,
};

// clang-format off
#define BLANKS ['\t'] = K_BLANK, [' '] = K_BLANK
static const uint8_t k_class[256] = {
    ['\r'] = K_CR, ['\n'] = K_LF, BLANKS,
    ['!'] = K_TOKEN, ['"'] = K_QUOTE, ['#' ... '\''] = K_TOKEN, ['('] = K_TEXT, [')'] = K_TEXT,
    ['*'] = K_TOKEN, ['+'] = K_TOKEN, [','] = K_TEXT, ['-'] = K_TOKEN, ['.'] = K_TOKEN, ['/'] = K_TEXT,
    ['0' ... '9'] = K_HEX, [':'] = K_TEXT, [';'] = K_SEMICOLON, ['<'] = K_TEXT, ['='] = K_EQUALS,
    ['>' ... '@'] = K_TEXT,
    ['A' ... 'F'] = K_HEX, ['G' ... 'Z'] = K_TOKEN,
    ['['] = K_TEXT, ['\\'] = K_BACKSLASH, [']'] = K_TEXT, ['^' ... '`'] = K_TOKEN,
    ['a' ... 'f'] = K_HEX, ['g' ... 'z'] = K_TOKEN,
    ['{'] = K_TEXT, ['|'] = K_TOKEN, ['}'] = K_TEXT, ['~'] = K_TOKEN,
    [0x80 ... 0xff] = K_TEXT,
};

// An empty cell is C_BAD.
static const uint8_t k_next[C_COUNT][K_COUNT] = {
    [C_SIZE_FIRST]  = {[K_HEX] = C_SIZE},
    [C_SIZE]        = {[K_HEX] = C_SIZE, [K_CR] = C_LINE_LF, [K_BLANK] = C_SIZE_BLANK, [K_SEMICOLON] = C_NAME_FIRST},
    [C_SIZE_BLANK]  = {[K_BLANK] = C_SIZE_BLANK, [K_SEMICOLON] = C_NAME_FIRST},
    [C_NAME_FIRST]  = {[K_BLANK] = C_NAME_FIRST, [K_HEX] = C_NAME, [K_TOKEN] = C_NAME},
    [C_NAME]        = {[K_HEX] = C_NAME, [K_TOKEN] = C_NAME, [K_BLANK] = C_NAME_BLANK, [K_EQUALS] = C_VALUE_FIRST,
                       [K_SEMICOLON] = C_NAME_FIRST, [K_CR] = C_LINE_LF},
    [C_NAME_BLANK]  = {[K_BLANK] = C_NAME_BLANK, [K_EQUALS] = C_VALUE_FIRST, [K_SEMICOLON] = C_NAME_FIRST},
    [C_VALUE_FIRST] = {[K_BLANK] = C_VALUE_FIRST, [K_HEX] = C_VALUE, [K_TOKEN] = C_VALUE, [K_QUOTE] = C_QUOTED},
    [C_VALUE]       = {[K_HEX] = C_VALUE, [K_TOKEN] = C_VALUE, [K_BLANK] = C_VALUE_BLANK,
                       [K_SEMICOLON] = C_NAME_FIRST, [K_CR] = C_LINE_LF},
    [C_VALUE_BLANK] = {[K_BLANK] = C_VALUE_BLANK, [K_SEMICOLON] = C_NAME_FIRST},
    [C_QUOTED]      = {[K_BLANK] = C_QUOTED, [K_HEX] = C_QUOTED, [K_TOKEN] = C_QUOTED, [K_SEMICOLON] = C_QUOTED,
                       [K_EQUALS] = C_QUOTED, [K_TEXT] = C_QUOTED, [K_BACKSLASH] = C_ESCAPE, [K_QUOTE] = C_QUOTED_END},
    [C_ESCAPE]      = {[K_BLANK] = C_QUOTED, [K_HEX] = C_QUOTED, [K_TOKEN] = C_QUOTED, [K_SEMICOLON] = C_QUOTED,
                       [K_EQUALS] = C_QUOTED, [K_TEXT] = C_QUOTED, [K_BACKSLASH] = C_QUOTED, [K_QUOTE] = C_QUOTED},
    [C_QUOTED_END]  = {[K_BLANK] = C_VALUE_BLANK, [K_SEMICOLON] = C_NAME_FIRST, [K_CR] = C_LINE_LF},
    [C_LINE_LF]     = {[K_LF] = C_DATA},
    [C_DATA_CR]     = {[K_CR] = C_DATA_LF},
    [C_DATA_LF]     = {[K_LF] = C_SIZE_FIRST},
};
// clang-format on

void q_h1_chunk_init(struct q_h1_chunk *c, uint32_t extra_max) {
    *c = (struct q_h1_chunk){.extra_max = extra_max, .state = C_SIZE_FIRST};
}

// count_extra charges one byte that carries neither content nor its length. False above the limit.
static bool count_extra(struct q_h1_chunk *c) {
    if (c->extra_bytes >= c->extra_max) {
        return false;
    }
    c->extra_bytes++;
    return true;
}

// add_digit takes one digit of a size. A leading zero changes nothing and is charged, so that zeros without end end.
static enum q_h1_chunk_event add_digit(struct q_h1_chunk *c, char byte, bool first) {
    uint64_t before = first ? 0 : c->left;
    if (before > (uint64_t)INT64_MAX >> 4) {
        return Q_H1_CHUNK_BAD;
    }
    c->left = before << 4 | (uint64_t)q_hex_value(byte);
    return c->left == 0 && !first && !count_extra(c) ? Q_H1_CHUNK_TOO_LARGE : Q_H1_CHUNK_MORE;
}

// step takes one byte of framing. Q_H1_CHUNK_MORE: go on.
static enum q_h1_chunk_event step(struct q_h1_chunk *c, char byte) {
    uint8_t from = c->state;
    c->state = k_next[from][k_class[(unsigned char)byte]];
    switch (c->state) {
    case C_BAD: return Q_H1_CHUNK_BAD;
    case C_SIZE: return add_digit(c, byte, from == C_SIZE_FIRST);
    case C_SIZE_FIRST: // the end of a chunk
    case C_LINE_LF:
    case C_DATA_LF: return Q_H1_CHUNK_MORE;
    case C_DATA:
        if (c->left > 0) {
            return Q_H1_CHUNK_MORE;
        }
        c->state = C_LAST;
        return Q_H1_CHUNK_LAST;
    default: return count_extra(c) ? Q_H1_CHUNK_MORE : Q_H1_CHUNK_TOO_LARGE;
    }
}

static struct q_slice take_data(struct q_h1_chunk *c, struct q_slice *input) {
    size_t len = input->len < c->left ? input->len : (size_t)c->left;
    struct q_slice data = q_slice_make(input->ptr, len);
    *input = q_slice_from(*input, len);
    c->left -= len;
    if (c->left == 0) {
        c->state = C_DATA_CR;
    }
    return data;
}

enum q_h1_chunk_event q_h1_chunk_next(struct q_h1_chunk *c, struct q_slice *input, struct q_slice *out_data) {
    Q_ASSERT(c->state != C_BAD && c->state != C_LAST);
    while (input->len > 0) {
        if (c->state == C_DATA) {
            *out_data = take_data(c, input);
            return Q_H1_CHUNK_DATA;
        }
        enum q_h1_chunk_event event = step(c, input->ptr[0]);
        *input = q_slice_from(*input, 1);
        if (event != Q_H1_CHUNK_MORE) {
            return event;
        }
    }
    return Q_H1_CHUNK_MORE;
}

// Tokens: what kind of byte may stand where in HTTP/1.1 (RFC 9110 section 5.6, RFC 9112), as one constant table of 256
// entries, one bit per class, and the small things that are read with it. Thread-free: constant data and pure
// functions; no locale is read.
#ifndef QUOIT_ENGINE_WIRE_TOKEN_H
#define QUOIT_ENGINE_WIRE_TOKEN_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum q_byte_class {
    Q_BYTE_TOKEN = 1 << 0,       // tchar: what names, methods and list members are made of
    Q_BYTE_FIELD_VALUE = 1 << 1, // HTAB, SP, VCHAR and obs-text (0x80 and above); no control byte
    Q_BYTE_TARGET = 1 << 2,      // VCHAR: what a request target may hold once it is percent-encoded
    Q_BYTE_DIGIT = 1 << 3,
    Q_BYTE_HEX = 1 << 4,
    Q_BYTE_ALPHA = 1 << 5,
};

extern const uint8_t q_byte_classes[256];

// q_byte_is says whether `c` is of any of the classes in `classes`.
static inline bool q_byte_is(char c, unsigned classes) {
    return (q_byte_classes[(unsigned char)c] & classes) != 0;
}

// q_hex_value gives 0 to 15 for a hexadecimal digit, or -1.
int q_hex_value(char c);

// q_is_token: at least one byte, all of them tchar.
bool q_is_token(struct q_slice s);

// q_is_field_value: may be empty; holds no control byte other than HTAB, so neither CR, LF nor NUL.
bool q_is_field_value(struct q_slice s);

// q_is_request_target: at least one byte, only visible ASCII.
bool q_is_request_target(struct q_slice s);

// q_list_next cuts the next member off a comma-separated list (RFC 9110 section 5.6.1), trimmed of spaces and tabs.
// `rest` moves behind it. Empty members are given as empty slices; an empty list has one of them. False when the list
// is used up, or when `rest` has no pointer. Quoted strings are not looked into: for lists of tokens only.
bool q_list_next(struct q_slice *rest, struct q_slice *out_member);

// q_percent_decode writes `s` with each valid %XX replaced by its byte, and gives the number of bytes written, at most
// s.len. `out` may be s.ptr. The result may hold any byte.
size_t q_percent_decode(struct q_slice s, char *out);

#endif

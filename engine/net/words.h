// Words: how the plain text files of /etc are cut into lines and words. The text ends where the slice does; a NUL is a
// character like others, of no name and no address. Thread-free: nothing is kept.
#ifndef QUOIT_ENGINE_NET_WORDS_H
#define QUOIT_ENGINE_NET_WORDS_H

#include "engine/base/slice.h"

static inline bool q_is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// q_next_word cuts the next word off `rest`; empty when there is none.
static inline struct q_slice q_next_word(struct q_slice *rest) {
    while (rest->len > 0 && q_is_blank(rest->ptr[0])) {
        *rest = q_slice_from(*rest, 1);
    }
    size_t len = 0;
    while (len < rest->len && !q_is_blank(rest->ptr[len])) {
        len++;
    }
    struct q_slice word = q_slice_make(rest->ptr, len);
    *rest = q_slice_from(*rest, len);
    return word;
}

// q_next_line cuts the next line off `rest`, which is not empty, without its comment: from the first '#', wherever it
// stands.
static inline struct q_slice q_next_line(struct q_slice *rest) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->ptr);
    struct q_slice line = q_slice_make(rest->ptr, len);
    *rest = q_slice_from(*rest, len + 1);
    const char *comment = len == 0 ? NULL : memchr(line.ptr, '#', line.len);
    if (comment != NULL) {
        line.len = (size_t)(comment - line.ptr);
    }
    return line;
}

#endif

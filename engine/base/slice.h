// Slices: borrowed, read-only runs of bytes. A slice owns nothing; who owns the bytes and for how long is said
// where a slice is handed over. Thread-free: value type, no writes.
#ifndef QUOIT_ENGINE_BASE_SLICE_H
#define QUOIT_ENGINE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct q_slice {
    const char *ptr;
    size_t len;
};

// Q_SLICE makes a slice of a string literal, without its NUL.
#define Q_SLICE(literal) ((struct q_slice){.ptr = ("" literal), .len = sizeof(literal) - 1})

static inline struct q_slice q_slice_make(const void *ptr, size_t len) {
    return (struct q_slice){.ptr = ptr, .len = len};
}

static inline struct q_slice q_slice_of_string(const char *string) {
    return (struct q_slice){.ptr = string, .len = strlen(string)};
}

static inline bool q_slice_equal(struct q_slice a, struct q_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// q_slice_from drops the first `count` bytes; dropping more than there are leaves an empty slice at the end.
static inline struct q_slice q_slice_from(struct q_slice s, size_t count) {
    if (count > s.len) {
        count = s.len;
    }
    if (count == 0) {
        return s; // an empty slice may have no address, and nothing may be added to none
    }
    return (struct q_slice){.ptr = s.ptr + count, .len = s.len - count};
}

// q_ascii_lower folds A-Z only; no locale is read.
static inline char q_ascii_lower(char c) { return (c >= 'A' && c <= 'Z') ? (char)(c + ('a' - 'A')) : c; }

// q_slice_equal_nocase compares as HTTP compares field names (RFC 9110 section 5.1): ASCII case is folded.
bool q_slice_equal_nocase(struct q_slice a, struct q_slice b);

// q_slice_trim drops spaces and tabs (OWS, RFC 9110 section 5.6.3) at both ends.
struct q_slice q_slice_trim(struct q_slice s);

// q_slice_to_u64 reads decimal digits only: no sign, no white space, no empty text. False on anything else and on
// overflow; `out` is then untouched.
bool q_slice_to_u64(struct q_slice s, uint64_t *out);

// q_u64_to_text writes `value` in decimal, without NUL, and gives the number of bytes written (at most 20).
size_t q_u64_to_text(uint64_t value, char out[20]);

#endif

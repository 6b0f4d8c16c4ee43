#include "engine/base/slice.h"

bool q_slice_equal_nocase(struct q_slice a, struct q_slice b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (q_ascii_lower(a.ptr[i]) != q_ascii_lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool is_ows(char c) { return c == ' ' || c == '\t'; }

struct q_slice q_slice_trim(struct q_slice s) {
    while (s.len > 0 && is_ows(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_ows(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool q_slice_to_u64(struct q_slice s, uint64_t *out) {
    if (s.len == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

size_t q_u64_to_text(uint64_t value, char out[20]) {
    char reversed[20];
    size_t len = 0;
    do {
        reversed[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < len; i++) {
        out[i] = reversed[len - 1 - i];
    }
    return len;
}

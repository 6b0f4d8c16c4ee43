#include "engine/wire/known.h"

#include "engine/base/check.h"

static const struct q_slice k_names[Q_KNOWN_COUNT] = {
#define Q_KNOWN_ROW(id, name) [Q_KNOWN_##id] = {name, sizeof(name) - 1},
    Q_KNOWN_LIST(Q_KNOWN_ROW)
#undef Q_KNOWN_ROW
};

// The first name of each length; the next entry is where that length ends. The list is in order of length.
static const uint8_t k_first_of_length[] = {
    [0] = Q_KNOWN_TE,
    [1] = Q_KNOWN_TE,
    [2] = Q_KNOWN_TE,
    [3] = Q_KNOWN_AGE,
    [4] = Q_KNOWN_DATE,
    [5] = Q_KNOWN_ALLOW,
    [6] = Q_KNOWN_ACCEPT,
    [7] = Q_KNOWN_ALT_SVC,
    [8] = Q_KNOWN_IF_MATCH,
    [9] = Q_KNOWN_CONNECTION,
    [10] = Q_KNOWN_CONNECTION,
    [11] = Q_KNOWN_RETRY_AFTER,
    [12] = Q_KNOWN_CONTENT_TYPE,
    [13] = Q_KNOWN_ACCEPT_RANGES,
    [14] = Q_KNOWN_CONTENT_LENGTH,
    [15] = Q_KNOWN_ACCEPT_ENCODING,
    [16] = Q_KNOWN_CONTENT_ENCODING,
    [17] = Q_KNOWN_IF_MODIFIED_SINCE,
    [18] = Q_KNOWN_PROXY_AUTHENTICATE,
    [19] = Q_KNOWN_CONTENT_DISPOSITION,
    [20 ... 25] = Q_KNOWN_STRICT_TRANSPORT_SECURITY,
    [26] = Q_KNOWN_COUNT,
};

static uint64_t load8(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

// load_short loads 2 to 7 bytes, some of them twice: which ones depends on the length alone.
static uint64_t load_short(const char *at, size_t len) {
    uint32_t front = 0, back = 0;
    if (len >= 4) {
        memcpy(&front, at, 4);
        memcpy(&back, at + len - 4, 4);
    } else {
        memcpy(&front, at, 2);
        memcpy(&back, at + len - 2, 2);
    }
    return (uint64_t)front << 32 | back;
}

#define EACH_BYTE 0x0101010101010101u

// words_match compares eight bytes with case folded by setting the bit that tells the cases apart. That bit is set in
// '-' and in the digits already; what it would fold into them are control bytes, which are refused.
static bool words_match(uint64_t name, uint64_t known) {
    uint64_t has_high = (name | name << 1) & (EACH_BYTE * 0x40);
    uint64_t wanted = (known | known << 1) & (EACH_BYTE * 0x40);
    return (name | EACH_BYTE * 0x20) == (known | EACH_BYTE * 0x20) && has_high == wanted;
}

// name_matches: the lengths are equal, and at least 2.
static bool name_matches(const char *name, const char *known, size_t len) {
    if (len < 8) {
        return words_match(load_short(name, len), load_short(known, len));
    }
    for (size_t i = 0; i + 8 < len; i += 8) {
        if (!words_match(load8(name + i), load8(known + i))) {
            return false;
        }
    }
    return words_match(load8(name + len - 8), load8(known + len - 8));
}

enum q_known q_known_find(struct q_slice name) {
    if (name.len >= Q_COUNT_OF(k_first_of_length) - 1) {
        return Q_KNOWN_NONE;
    }
    for (unsigned known = k_first_of_length[name.len]; known < k_first_of_length[name.len + 1]; known++) {
        // The first letter tells most names of one length apart.
        if (((name.ptr[0] ^ k_names[known].ptr[0]) & ~0x20) == 0 &&
            name_matches(name.ptr, k_names[known].ptr, name.len)) {
            return (enum q_known)known;
        }
    }
    return Q_KNOWN_NONE;
}

struct q_slice q_known_name(unsigned known) {
    return known < Q_KNOWN_COUNT ? k_names[known] : (struct q_slice){0};
}

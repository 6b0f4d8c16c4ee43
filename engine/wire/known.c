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

enum q_known q_known_find(struct q_slice name) {
    if (name.len + 1 >= Q_COUNT_OF(k_first_of_length)) {
        return Q_KNOWN_NONE;
    }
    for (unsigned known = k_first_of_length[name.len]; known < k_first_of_length[name.len + 1]; known++) {
        // The first letter tells most names of one length apart.
        if (q_ascii_lower(name.ptr[0]) == q_ascii_lower(k_names[known].ptr[0]) &&
            q_slice_equal_nocase(name, k_names[known])) {
            return (enum q_known)known;
        }
    }
    return Q_KNOWN_NONE;
}

struct q_slice q_known_name(unsigned known) {
    return known < Q_KNOWN_COUNT ? k_names[known] : (struct q_slice){0};
}

#include "engine/wire/h1_upgrade.h"

#include "engine/wire/token.h"

bool q_h1_is_protocol(struct q_slice protocol) {
    const char *slash = protocol.len == 0 ? NULL : memchr(protocol.ptr, '/', protocol.len);
    if (slash == NULL) {
        return q_is_token(protocol);
    }
    size_t name_len = (size_t)(slash - protocol.ptr);
    return q_is_token(q_slice_make(protocol.ptr, name_len)) && q_is_token(q_slice_from(protocol, name_len + 1));
}

bool q_h1_upgrade_matches(const struct q_headers *headers, struct q_slice protocol) {
    uint32_t num_members = 0;
    for (uint32_t i = 0; i < q_headers_count(headers); i++) {
        if (q_headers_known_at(headers, i) != Q_KNOWN_UPGRADE) {
            continue;
        }
        struct q_slice name, list, member;
        (void)q_headers_at(headers, i, &name, &list);
        while (q_list_next(&list, &member)) {
            // A second member would be a layer that nobody asked for.
            if (member.len > 0 && !q_slice_equal_nocase(member, protocol)) {
                return false;
            }
            num_members += member.len > 0;
        }
    }
    return num_members == 1 && q_headers_has_member(headers, Q_KNOWN_CONNECTION, Q_SLICE("upgrade"));
}

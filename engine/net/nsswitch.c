#include "engine/net/nsswitch.h"

#include "engine/net/words.h"

static void note(struct q_nsswitch *out, struct q_slice word) {
    if (out->needs_more) {
        return;
    }
    size_t len = word.len < sizeof out->first ? word.len : sizeof out->first - 1;
    for (size_t i = 0; i < len; i++) {
        out->first[i] = word.ptr[i] > 0x20 && word.ptr[i] < 0x7f ? word.ptr[i] : '?';
    }
    out->needs_more = true;
}

static void read_services(struct q_nsswitch *out, struct q_slice line) {
    bool has_files = false;
    bool has_dns = false;
    *out = (struct q_nsswitch){0};
    for (struct q_slice word = q_next_word(&line); word.len > 0; word = q_next_word(&line)) {
        // "files dns" is what we do. A service twice, or an action in brackets between them, changes it.
        bool is_files = q_slice_equal(word, Q_SLICE("files")) && !has_files && !has_dns;
        bool is_dns = q_slice_equal(word, Q_SLICE("dns")) && has_files && !has_dns;
        has_files |= is_files;
        has_dns |= is_dns;
        if (!is_files && !is_dns) {
            note(out, word);
        }
    }
    if (!has_dns) {
        note(out, Q_SLICE("hosts:")); // less than files and dns is not the same either
    }
}

void q_nsswitch_parse(struct q_nsswitch *out, struct q_slice text) {
    *out = (struct q_nsswitch){0};
    while (text.len > 0) {
        struct q_slice line = q_next_line(&text);
        struct q_slice keyword = q_next_word(&line);
        size_t len = sizeof "hosts:" - 1;
        if (keyword.len >= len && memcmp(keyword.ptr, "hosts:", len) == 0) {
            line = q_slice_make(keyword.ptr + len, keyword.len - len + line.len); // "hosts:files" has no blank
            read_services(out, line);
        }
    }
}

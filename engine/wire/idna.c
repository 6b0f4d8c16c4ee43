#include "engine/wire/idna.h"

#ifndef Q_WITHOUT_IDN2

#include "engine/wire/token.h"

#include <idn2.h>

// A label that is not yet ASCII may be longer than one of the DNS (63 octets): several octets a letter, and letters that
// vanish, such as soft hyphens. This is far more than any label that becomes short enough needs.
#define LABEL_BYTES_MAX 1024

#define RULES_FIRST  (IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)
#define RULES_SECOND (IDN2_NFC_INPUT | IDN2_TRANSITIONAL)

static bool is_ascii(struct q_slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static bool begins_with(struct q_slice s, struct q_slice prefix) {
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

// code_point reads the code point at `offset`, which moves behind it. libidn2 has found the text to be UTF-8, so the
// lead byte tells the length; should it lie, the end of the text still bounds the reading.
static uint32_t code_point(struct q_slice s, size_t *offset) {
    unsigned char lead = (unsigned char)s.ptr[(*offset)++];
    uint32_t value = lead < 0x80 ? lead : lead < 0xe0 ? lead & 0x1f : lead < 0xf0 ? lead & 0x0f : lead & 0x07;
    while (*offset < s.len && ((unsigned char)s.ptr[*offset] & 0xc0) == 0x80) {
        value = value << 6 | ((unsigned char)s.ptr[(*offset)++] & 0x3f);
    }
    return value;
}

// needs_first_rules: has a letter for which the second rules are not as good as the first. Transitional rules change the
// deviation characters of UTS 46 section 7 (sharp s, final sigma, the joiners), and do not apply the Bidi rule
// (RFC 5893), which matters where the code charts put right-to-left scripts.
static bool needs_first_rules(struct q_slice label) {
    static const struct {
        uint32_t first, last;
    } k_ranges[] = {
        {0xdf, 0xdf},     {0x3c2, 0x3c2},   {0x590, 0x8ff},     {0x200c, 0x200f},
        {0xfb1d, 0xfdff}, {0xfe70, 0xfeff}, {0x10800, 0x10fff}, {0x1e800, 0x1efff},
    };
    for (size_t offset = 0; offset < label.len;) {
        uint32_t value = code_point(label, &offset);
        for (size_t i = 0; i < Q_COUNT_OF(k_ranges); i++) {
            if (value >= k_ranges[i].first && value <= k_ranges[i].last) {
                return true;
            }
        }
    }
    return false;
}

// dot_len gives the length of the full stop in front of `s`, in any of the forms that end a label, or 0.
static size_t dot_len(struct q_slice s) {
    static const struct q_slice k_dots[] = {
        {".", 1}, {"\xe3\x80\x82", 3}, {"\xef\xbc\x8e", 3}, {"\xef\xbd\xa1", 3}, // ideographic, full and half width
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_dots); i++) {
        if (begins_with(s, k_dots[i])) {
            return k_dots[i].len;
        }
    }
    return 0;
}

// next_label cuts the next label and its dot off `rest`. True when a dot stood behind it.
static bool next_label(struct q_slice *rest, struct q_slice *out_label) {
    size_t len = 0;
    size_t dot = 0;
    while (len < rest->len && (dot = dot_len(q_slice_from(*rest, len))) == 0) {
        len++;
    }
    *out_label = q_slice_make(rest->ptr, len);
    *rest = q_slice_from(*rest, len + dot);
    return dot > 0;
}

// look_up asks libidn2 about one label; the result, to be freed with idn2_free, is a string.
static enum q_error_code look_up(struct q_slice label, uint8_t **out) {
    uint8_t string[LABEL_BYTES_MAX + 1];
    if (label.len > LABEL_BYTES_MAX || memchr(label.ptr, 0, label.len) != NULL) {
        return Q_ERR_INVALID_URL;
    }
    memcpy(string, label.ptr, label.len);
    string[label.len] = 0;
    int result = idn2_lookup_u8(string, out, RULES_FIRST);
    if (result == IDN2_DISALLOWED && !needs_first_rules(label)) {
        result = idn2_lookup_u8(string, out, RULES_SECOND);
    }
    if (result == IDN2_MALLOC) {
        return Q_ERR_NO_MEMORY;
    }
    return result == IDN2_OK ? Q_ERR_OK : Q_ERR_INVALID_URL;
}

// check_label asks whether an `xn--` label decodes, and encodes again to itself.
static enum q_error_code check_label(struct q_slice label) {
    uint8_t *again;
    enum q_error_code code = look_up(label, &again);
    if (code == Q_ERR_OK) {
        code = q_slice_equal(label, q_slice_of_string((const char *)again)) ? Q_ERR_OK : Q_ERR_INVALID_URL;
        idn2_free(again);
    }
    return code;
}

enum q_error_code q_idna_check(struct q_slice domain) {
    enum q_error_code code = Q_ERR_OK;
    // The DNS has no longer names, and a Location that is nothing but labels to check must not hold up the loop.
    bool is_too_long = domain.len > Q_IDNA_DOMAIN_MAX;
    for (bool more = true; more && code == Q_ERR_OK;) {
        struct q_slice label;
        more = next_label(&domain, &label);
        if (begins_with(label, Q_SLICE("xn--"))) {
            code = is_too_long ? Q_ERR_INVALID_URL : check_label(label);
        }
    }
    return code;
}

// A name that is being put together.
struct result {
    char *out;
    size_t len;
};

static enum q_error_code append(struct result *r, struct q_slice s) {
    if (s.len > Q_IDNA_DOMAIN_MAX - r->len) {
        return Q_ERR_INVALID_URL;
    }
    for (size_t i = 0; i < s.len; i++) {
        r->out[r->len++] = q_ascii_lower(s.ptr[i]);
    }
    return Q_ERR_OK;
}

static enum q_error_code append_label(struct result *r, struct q_slice label) {
    if (is_ascii(label)) {
        size_t start = r->len;
        enum q_error_code code = append(r, label);
        return code == Q_ERR_OK ? q_idna_check(q_slice_make(r->out + start, label.len)) : code;
    }
    uint8_t *encoded;
    enum q_error_code code = look_up(label, &encoded);
    if (code == Q_ERR_OK) {
        code = append(r, q_slice_of_string((const char *)encoded));
        idn2_free(encoded);
    }
    return code;
}

enum q_error_code q_idna_to_ascii(struct q_slice domain, char *out, size_t *out_len) {
    struct result r = {.out = out};
    enum q_error_code code = Q_ERR_OK;
    for (bool more = true; more && code == Q_ERR_OK;) {
        struct q_slice label;
        more = next_label(&domain, &label);
        code = append_label(&r, label);
        if (more && code == Q_ERR_OK) {
            code = append(&r, Q_SLICE("."));
        }
    }
    *out_len = r.len;
    return code;
}

#else

enum q_error_code q_idna_to_ascii(struct q_slice domain, char *out, size_t *out_len) {
    (void)domain;
    (void)out;
    (void)out_len;
    return Q_ERR_INVALID_URL;
}

enum q_error_code q_idna_check(struct q_slice domain) {
    (void)domain;
    return Q_ERR_OK;
}

#endif

#define _GNU_SOURCE // memrchr
#include "engine/wire/url_host.h"

#include "engine/base/check.h"
#include "engine/wire/idna.h"
#include "engine/wire/token.h"

// ---- IPv4 ----

#define NOT_A_NUMBER UINT64_MAX
#define HUGE_NUMBER  (UINT64_MAX - 1) // larger than any address, but a number

// ipv4_number reads one part: decimal, octal after 0, hexadecimal after 0x.
static uint64_t ipv4_number(struct q_slice part) {
    if (part.len == 0) {
        return NOT_A_NUMBER;
    }
    int base = 10;
    if (part.len >= 2 && part.ptr[0] == '0') {
        bool hex = q_ascii_lower(part.ptr[1]) == 'x';
        base = hex ? 16 : 8;
        part = q_slice_from(part, hex ? 2 : 1);
    }
    uint64_t value = 0;
    for (size_t i = 0; i < part.len; i++) {
        int digit = q_hex_value(part.ptr[i]);
        if (digit < 0 || digit >= base) {
            return NOT_A_NUMBER;
        }
        value = value > UINT32_MAX ? HUGE_NUMBER >> 8 : value * (uint64_t)base + (uint64_t)digit;
    }
    return value;
}

static struct q_slice last_part(struct q_slice name) {
    const char *dot = memrchr(name.ptr, '.', name.len);
    return dot == NULL ? name : q_slice_from(name, (size_t)(dot - name.ptr) + 1);
}

// ends_in_number decides whether a name must be an IPv4 address: then it is one or it is an error.
static bool ends_in_number(struct q_slice name) {
    struct q_slice last = last_part(name);
    if (last.len == 0 && name.len > 1) {
        name.len--; // the root's dot
        last = last_part(name);
    }
    bool digits = last.len > 0;
    for (size_t i = 0; i < last.len; i++) {
        digits = digits && q_byte_is(last.ptr[i], Q_BYTE_DIGIT);
    }
    return digits || ipv4_number(last) != NOT_A_NUMBER;
}

static bool parse_ipv4(struct q_slice name, uint8_t address[4]) {
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    uint64_t parts[4];
    size_t count = 0;
    for (const char *at = name.ptr, *end = name.ptr + name.len; at != NULL;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        if (count == Q_COUNT_OF(parts)) {
            return false;
        }
        parts[count] = ipv4_number(q_slice_make(at, (size_t)((dot == NULL ? end : dot) - at)));
        if (parts[count] == NOT_A_NUMBER) {
            return false;
        }
        count++;
        at = dot == NULL ? NULL : dot + 1;
    }
    // The last part fills all bytes that the others leave.
    uint64_t whole = parts[count - 1];
    if (whole >= (uint64_t)1 << (8 * (5 - count))) {
        return false;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255) {
            return false;
        }
        whole += parts[i] << (8 * (3 - i));
    }
    for (size_t i = 0; i < 4; i++) {
        address[i] = (uint8_t)(whole >> (8 * (3 - i)));
    }
    return true;
}

static size_t write_ipv4(const uint8_t address[4], char *text) {
    size_t len = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i > 0) {
            text[len++] = '.';
        }
        char digits[20];
        size_t digits_len = q_u64_to_text(address[i], digits);
        memcpy(text + len, digits, digits_len);
        len += digits_len;
    }
    return len;
}

// ---- IPv6 ----

// read_dotted reads the IPv4 tail of an IPv6 address: four strict decimal bytes into two pieces.
static bool read_dotted(struct q_slice s, uint16_t pieces[2]) {
    for (size_t i = 0; i < 4; i++) {
        if (i > 0) {
            if (s.len == 0 || s.ptr[0] != '.') {
                return false;
            }
            s = q_slice_from(s, 1);
        }
        size_t len = 0;
        unsigned value = 0;
        while (len < s.len && q_byte_is(s.ptr[len], Q_BYTE_DIGIT)) {
            if ((len > 0 && value == 0) || (value = value * 10 + (unsigned)(s.ptr[len] - '0')) > 255) {
                return false;
            }
            len++;
        }
        if (len == 0) {
            return false;
        }
        s = q_slice_from(s, len);
        pieces[i / 2] = (uint16_t)(pieces[i / 2] << 8 | value);
    }
    return s.len == 0;
}

// Reading state of an IPv6 address: pieces so far, and where '::' stood (-1: nowhere).
struct ipv6 {
    uint16_t pieces[8];
    int count;
    int gap;
};

static size_t hex_digits(struct q_slice s, unsigned *out_value) {
    size_t len = 0;
    *out_value = 0;
    while (len < 4 && len < s.len && q_hex_value(s.ptr[len]) >= 0) {
        *out_value = *out_value << 4 | (unsigned)q_hex_value(s.ptr[len]);
        len++;
    }
    return len;
}

static bool read_pieces(struct q_slice s, struct ipv6 *v6) {
    if (s.len > 0 && s.ptr[0] == ':') {
        if (s.len < 2 || s.ptr[1] != ':') {
            return false;
        }
        s = q_slice_from(s, 2);
        v6->gap = 0;
    }
    while (s.len > 0) {
        if (v6->count == 8) {
            return false;
        }
        if (s.ptr[0] == ':') {
            if (v6->gap >= 0) {
                return false;
            }
            v6->gap = v6->count;
            s = q_slice_from(s, 1);
            continue;
        }
        unsigned value;
        size_t len = hex_digits(s, &value);
        if (len < s.len && s.ptr[len] == '.') {
            v6->count += 2;
            return len > 0 && v6->count <= 8 && read_dotted(s, &v6->pieces[v6->count - 2]);
        }
        s = q_slice_from(s, len);
        if (s.len > 0 && (s.ptr[0] != ':' || s.len == 1)) {
            return false;
        }
        s = q_slice_from(s, 1);
        v6->pieces[v6->count++] = (uint16_t)value;
    }
    return true;
}

static bool parse_ipv6(struct q_slice s, uint8_t address[16]) {
    struct ipv6 v6 = {.gap = -1};
    // A '::' stands for at least one piece.
    if (!read_pieces(s, &v6) || (v6.gap >= 0 ? v6.count == 8 : v6.count != 8)) {
        return false;
    }
    int behind = v6.gap < 0 ? 0 : v6.count - v6.gap;
    for (int i = 0; i < 8; i++) {
        int from = i < v6.count - behind ? i : i - (8 - v6.count);
        uint16_t piece = i < v6.count - behind || i >= 8 - behind ? v6.pieces[from] : 0;
        address[2 * i] = (uint8_t)(piece >> 8);
        address[2 * i + 1] = (uint8_t)piece;
    }
    return true;
}

// longest_zeros gives the first longest run of zero pieces of at least two, as [start, end).
static void longest_zeros(const uint8_t address[16], int *out_start, int *out_end) {
    *out_start = *out_end = -1;
    for (int start = 0; start < 8;) {
        int end = start;
        while (end < 8 && address[2 * end] == 0 && address[2 * end + 1] == 0) {
            end++;
        }
        if (end - start >= 2 && end - start > *out_end - *out_start) {
            *out_start = start;
            *out_end = end;
        }
        start = end + 1;
    }
}

static size_t write_ipv6(const uint8_t address[16], char *text) {
    static const char k_hex[] = "0123456789abcdef";
    int gap_start, gap_end;
    longest_zeros(address, &gap_start, &gap_end);
    size_t len = 0;
    for (int i = 0; i < 8; i++) {
        if (i == gap_start) {
            text[len++] = ':';
            if (i == 0) {
                text[len++] = ':';
            }
            i = gap_end - 1;
            continue;
        }
        unsigned piece = (unsigned)address[2 * i] << 8 | address[2 * i + 1];
        for (int shift = 12; shift >= 0; shift -= 4) {
            if (piece >> shift != 0 || shift == 0) {
                text[len++] = k_hex[piece >> shift & 15];
            }
        }
        if (i < 7) {
            text[len++] = ':';
        }
    }
    return len;
}

// ---- names ----

// is_forbidden: what may not stand in a domain even when percent-encoded (the standard's forbidden domain code points).
static bool is_forbidden(char c) {
    unsigned char byte = (unsigned char)c;
    return byte <= 0x20 || byte >= 0x7f || strchr("#/:<>?@[\\]^|%", c) != NULL;
}

static bool has_forbidden(struct q_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if (is_forbidden(name.ptr[i])) {
            return true;
        }
    }
    return false;
}

// to_ascii puts a decoded name, which lies in `text`, into ASCII and lower case, in place.
static enum q_error_code to_ascii(char *text, size_t *len) {
    bool is_ascii = true;
    for (size_t i = 0; i < *len; i++) {
        is_ascii = is_ascii && (unsigned char)text[i] < 0x80;
        text[i] = q_ascii_lower(text[i]);
    }
    if (is_ascii) {
        return q_idna_check(q_slice_make(text, *len));
    }
    char ascii[Q_IDNA_DOMAIN_MAX];
    enum q_error_code code = q_idna_to_ascii(q_slice_make(text, *len), ascii, len);
    if (code == Q_ERR_OK) {
        memcpy(text, ascii, *len);
    }
    return code;
}

static enum q_error_code parse_name(struct q_slice raw, char *text, struct q_host *out) {
    size_t len = q_percent_decode(raw, text);
    enum q_error_code code = to_ascii(text, &len);
    if (code != Q_ERR_OK) {
        return code;
    }
    struct q_slice name = q_slice_make(text, len);
    if (len == 0 || has_forbidden(name)) {
        return Q_ERR_INVALID_URL;
    }
    out->kind = Q_HOST_NAME;
    out->text_len = len;
    if (ends_in_number(name)) {
        out->kind = Q_HOST_IPV4;
        if (!parse_ipv4(name, out->address)) {
            return Q_ERR_INVALID_URL;
        }
        out->text_len = write_ipv4(out->address, text);
    }
    return Q_ERR_OK;
}

enum q_error_code q_host_parse(struct q_slice raw, char *text, struct q_host *out) {
    *out = (struct q_host){0};
    if (raw.len == 0) {
        return Q_ERR_INVALID_URL;
    }
    if (raw.ptr[0] != '[') {
        return parse_name(raw, text, out);
    }
    if (raw.len < 2 || raw.ptr[raw.len - 1] != ']' ||
        !parse_ipv6(q_slice_make(raw.ptr + 1, raw.len - 2), out->address)) {
        return Q_ERR_INVALID_URL;
    }
    out->kind = Q_HOST_IPV6;
    out->text_len = write_ipv6(out->address, text);
    return Q_ERR_OK;
}

// ---- sockets ----

// is_written_well: whole escapes only, and nothing that ends a host or is no part of any.
static bool is_written_well(struct q_slice raw) {
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        bool is_escape = c == '%' && raw.len - i > 2 && q_hex_value(raw.ptr[i + 1]) >= 0 && q_hex_value(raw.ptr[i + 2]) >= 0;
        if (!is_escape && (unsigned char)c < 0x80 && is_forbidden(c)) {
            return false;
        }
    }
    return true;
}

static bool is_unreserved(char c) {
    return q_byte_is(c, Q_BYTE_ALPHA | Q_BYTE_DIGIT) || (c != 0 && strchr("-._~", c) != NULL);
}

// is_socket_name: a relative path would depend on the process's working directory, which is not ours to know.
static bool is_socket_name(struct q_slice name) {
    if (name.len < 2 || name.len > Q_HOST_SOCKET_MAX || memchr(name.ptr + 1, 0, name.len - 1) != NULL) {
        return false;
    }
    return name.ptr[0] == 0 || (name.ptr[0] == '/' && name.len < Q_HOST_SOCKET_MAX);
}

enum q_error_code q_host_parse_socket(struct q_slice raw, char *text, struct q_host *out) {
    static const char k_hex[] = "0123456789ABCDEF";
    *out = (struct q_host){.kind = Q_HOST_SOCKET};
    struct q_slice decoded = q_slice_make(text, q_percent_decode(raw, text));
    if (!is_written_well(raw) || !is_socket_name(decoded)) {
        return Q_ERR_INVALID_URL;
    }
    char name[Q_HOST_SOCKET_MAX];
    memcpy(name, decoded.ptr, decoded.len);
    for (size_t i = 0; i < decoded.len; i++) {
        if (is_unreserved(name[i])) {
            text[out->text_len++] = name[i];
            continue;
        }
        text[out->text_len++] = '%';
        text[out->text_len++] = k_hex[(unsigned char)name[i] >> 4];
        text[out->text_len++] = k_hex[(unsigned char)name[i] & 15];
    }
    return Q_ERR_OK;
}

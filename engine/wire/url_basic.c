#include "engine/wire/url_basic.h"

#include "engine/wire/token.h"

// Reads "user:password" decoded, octet by octet: nothing of it needs to lie in memory as a whole.
struct reader {
    struct q_slice rest[3];
    size_t part;
};

static struct reader reader_of(const struct q_url *url) {
    return (struct reader){.rest = {url->user, Q_SLICE(":"), url->password}};
}

// next gives the next octet, or -1 at the end.
static int next(struct reader *r) {
    while (r->part < Q_COUNT_OF(r->rest) && r->rest[r->part].len == 0) {
        r->part++;
    }
    if (r->part == Q_COUNT_OF(r->rest)) {
        return -1;
    }
    struct q_slice *rest = &r->rest[r->part];
    char encoded[3];
    size_t len = rest->ptr[0] == '%' && rest->len >= sizeof(encoded) ? sizeof(encoded) : 1;
    if (q_percent_decode(q_slice_make(rest->ptr, len), encoded) != 1) {
        len = 1; // a '%' that stands for itself
    }
    *rest = q_slice_from(*rest, len);
    return (unsigned char)encoded[0];
}

bool q_url_basic_is_valid(const struct q_url *url) {
    struct reader r = reader_of(url);
    for (int octet = next(&r); octet >= 0; octet = next(&r)) {
        if (octet < 0x20 || octet == 0x7f || (octet == ':' && r.part == 0)) {
            return false;
        }
    }
    return true;
}

// put_group writes up to three octets as four letters.
static void put_group(const int octets[3], char out[4]) {
    static const char k_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = (unsigned)octets[0] << 16;
    bits |= octets[1] < 0 ? 0 : (unsigned)octets[1] << 8;
    bits |= octets[2] < 0 ? 0 : (unsigned)octets[2];
    out[0] = k_letters[bits >> 18];
    out[1] = k_letters[bits >> 12 & 63];
    out[2] = octets[1] < 0 ? '=' : k_letters[bits >> 6 & 63];
    out[3] = octets[2] < 0 ? '=' : k_letters[bits & 63];
}

size_t q_url_write_basic(const struct q_url *url, char *out, size_t cap) {
    static const struct q_slice k_scheme = {.ptr = "Basic ", .len = 6};
    if (!url->has_credentials) {
        return 0;
    }
    size_t count = 0;
    for (struct reader r = reader_of(url); next(&r) >= 0;) {
        count++;
    }
    size_t size = k_scheme.len + (count + 2) / 3 * 4;
    if (out == NULL || cap < size) {
        return size;
    }
    memcpy(out, k_scheme.ptr, k_scheme.len);
    struct reader r = reader_of(url);
    for (char *at = out + k_scheme.len; at < out + size; at += 4) {
        int octets[3];
        for (size_t i = 0; i < 3; i++) {
            octets[i] = next(&r);
        }
        put_group(octets, at);
    }
    return size;
}

#include "engine/tls/pem.h"

#include <openssl/base64.h>

#define DASHES "-----"
#define BEGIN DASHES "BEGIN "
#define END DASHES "END "

// find gives the place of `words`, which begin with a hyphen, in `text`, or NULL.
static const char *find(struct q_slice text, struct q_slice words) {
    while (text.len >= words.len) {
        const char *hyphen = memchr(text.ptr, '-', text.len - words.len + 1);
        if (hyphen == NULL) {
            return NULL;
        }
        if (memcmp(hyphen, words.ptr, words.len) == 0) {
            return hyphen;
        }
        text = q_slice_from(text, (size_t)(hyphen - text.ptr) + 1);
    }
    return NULL;
}

// take_line reads `keyword`LABEL----- at the start of `text`; the length of it all, or 0.
static size_t take_line(struct q_slice text, struct q_slice keyword, struct q_slice *out_label) {
    if (text.len < keyword.len || memcmp(text.ptr, keyword.ptr, keyword.len) != 0) {
        return 0;
    }
    struct q_slice rest = q_slice_from(text, keyword.len);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] >= ' ' && rest.ptr[len] != '-') {
        len++;
    }
    *out_label = q_slice_make(rest.ptr, len);
    rest = q_slice_from(rest, len);
    struct q_slice dashes = Q_SLICE(DASHES);
    if (len == 0 || rest.len < dashes.len || memcmp(rest.ptr, dashes.ptr, dashes.len) != 0) {
        return 0;
    }
    return keyword.len + len + dashes.len;
}

bool q_pem_is_text(struct q_slice data) { return find(data, Q_SLICE(BEGIN)) != NULL; }

// read_block reads one that begins at the start of `text`.
static bool read_block(struct q_slice text, struct q_pem_block *out) {
    struct q_slice end_label;
    size_t begin_len = take_line(text, Q_SLICE(BEGIN), &out->label);
    if (begin_len == 0) {
        return false;
    }
    struct q_slice rest = q_slice_from(text, begin_len);
    const char *end = find(rest, Q_SLICE(DASHES)); // no hyphen is in a body
    if (end == NULL) {
        return false;
    }
    out->body = q_slice_make(rest.ptr, (size_t)(end - rest.ptr));
    size_t end_len = take_line(q_slice_from(rest, out->body.len), Q_SLICE(END), &end_label);
    out->whole = q_slice_make(text.ptr, begin_len + out->body.len + end_len);
    return end_len > 0 && q_slice_equal(out->label, end_label);
}

bool q_pem_next(struct q_slice *rest, struct q_pem_block *out) {
    const char *begin;
    while ((begin = find(*rest, Q_SLICE(BEGIN))) != NULL) {
        struct q_slice text = q_slice_from(*rest, (size_t)(begin - rest->ptr));
        if (read_block(text, out)) {
            *rest = q_slice_from(text, out->whole.len);
            return true;
        }
        *rest = q_slice_from(text, sizeof BEGIN - 1);
    }
    *rest = q_slice_from(*rest, rest->len);
    return false;
}

bool q_pem_label_is(const struct q_pem_block *block, const char *label) {
    return q_slice_equal(block->label, q_slice_of_string(label));
}

size_t q_pem_decoded_max(const struct q_pem_block *block) { return block->body.len / 4 * 3 + 3; }

bool q_pem_decode(const struct q_pem_block *block, uint8_t *out, size_t *out_len) {
    EVP_ENCODE_CTX context;
    int len = 0;
    int tail = 0;
    if (block->body.len == 0 || block->body.len > INT32_MAX) {
        return false;
    }
    EVP_DecodeInit(&context);
    if (EVP_DecodeUpdate(&context, out, &len, (const uint8_t *)block->body.ptr, block->body.len) < 0 ||
        EVP_DecodeFinal(&context, out + len, &tail) != 1) {
        return false;
    }
    *out_len = (size_t)(len + tail);
    return *out_len > 0;
}

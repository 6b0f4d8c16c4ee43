// Header blocks: the input is a list of operations on a builder, which is compared with a plain model after each.
#include "engine/wire/headers.h"
#include "engine/wire/token.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define FIELDS_MAX 24
#define MEMORY_MAX 600

struct field {
    struct q_slice name, value; // in the input
};

struct model {
    struct field fields[FIELDS_MAX];
    size_t count;
};

static void model_remove(struct model *m, struct q_slice name) {
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (!q_slice_equal_nocase(m->fields[i].name, name)) {
            m->fields[kept++] = m->fields[i];
        }
    }
    m->count = kept;
}

static struct q_slice take(struct q_slice *input, size_t len) {
    struct q_slice taken = q_slice_make(input->ptr, len < input->len ? len : input->len);
    *input = q_slice_from(*input, len);
    return taken;
}

static void check_same(const struct q_headers_builder *b, const struct model *m) {
    FUZZ_CHECK(q_headers_builder_count(b) == m->count);
    struct q_slice name, value;
    for (uint32_t i = 0; i < m->count; i++) {
        FUZZ_CHECK(q_headers_builder_at(b, i, &name, &value));
        FUZZ_CHECK(q_slice_equal(name, m->fields[i].name) && q_slice_equal(value, m->fields[i].value));
    }
    FUZZ_CHECK(!q_headers_builder_at(b, (uint32_t)m->count, &name, &value));
}

static void check_block(const struct q_headers *h, const struct model *m) {
    FUZZ_CHECK(q_headers_validate(h));
    FUZZ_CHECK(q_headers_count(h) == m->count);
    for (size_t i = 0; i < m->count; i++) {
        uint32_t cursor = 0;
        struct q_slice value;
        bool found = false;
        while (q_headers_next(h, m->fields[i].name, &cursor, &value)) {
            found = found || q_slice_equal(value, m->fields[i].value);
        }
        FUZZ_CHECK(found);
    }
}

// step does one operation: a byte that says which, two lengths, a name, a value.
static void step(struct q_headers_builder *b, struct model *m, struct q_slice *input) {
    struct q_slice op = take(input, 3);
    if (op.len < 3) {
        return;
    }
    struct q_slice name = take(input, (unsigned char)op.ptr[1] % 32);
    struct q_slice value = take(input, (unsigned char)op.ptr[2]);
    uint64_t version = b->version;
    int kind = (unsigned char)op.ptr[0] % 3;
    struct q_error error = kind == 0   ? q_headers_builder_add(b, name, value)
                           : kind == 1 ? q_headers_builder_set(b, name, value)
                                       : q_headers_builder_remove(b, name, NULL);
    if (q_error_is(error)) {
        FUZZ_CHECK(b->version == version);
        bool bad_text = error.code == Q_ERR_INVALID_HEADER_NAME || error.code == Q_ERR_INVALID_HEADER_VALUE;
        FUZZ_CHECK(bad_text == (!q_is_token(name) || !q_is_field_value(value)));
    } else {
        if (kind > 0) {
            model_remove(m, name);
        }
        if (kind < 2) {
            m->fields[m->count++] = (struct field){name, q_slice_trim(value)};
        }
    }
    check_same(b, m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    static _Alignas(8) char mem[MEMORY_MAX];
    struct q_headers_limits limits = {.count = FIELDS_MAX, .line_bytes = 200, .text_bytes = 2000};
    struct q_headers_builder b;
    struct model m = {0};
    if ((data[0] & 1) != 0) {
        q_headers_builder_init(&b, mem, sizeof(struct q_headers) + data[1] * 2u, &limits);
    } else {
        q_headers_builder_init_growing(&b, q_alloc_libc(), &limits);
    }
    struct q_slice input = q_slice_make(data + 2, size - 2);
    while (input.len > 0) {
        step(&b, &m, &input);
    }
    check_block(q_headers_builder_freeze(&b), &m);
    check_same(&b, &m);
    q_headers_builder_deinit(&b);
    return 0;
}

#include "engine/wire/headers.h"

#include "engine/wire/token.h"

#define ENTRY_BYTES       ((uint32_t)sizeof(struct q_headers_entry))
#define BLOCK_BYTES       ((uint32_t)sizeof(struct q_headers))
#define GROWING_BYTES_MIN 512u

static const struct q_headers k_empty = {.size = sizeof(struct q_headers)};

const struct q_headers *q_headers_empty(void) {
    return &k_empty;
}

// ---- reading ----

static struct q_slice entry_name(const char *base, const struct q_headers_entry *e) {
    return q_slice_make(base + e->text_offset, e->name_len);
}

static struct q_slice entry_value(const char *base, const struct q_headers_entry *e) {
    return q_slice_make(base + e->text_offset + e->name_len, e->value_len);
}

bool q_headers_at(const struct q_headers *h, uint32_t index, struct q_slice *out_name, struct q_slice *out_value) {
    if (index >= h->count) {
        return false;
    }
    const struct q_headers_entry *e = q_headers_entry_at(h, index);
    *out_name = entry_name((const char *)h, e);
    *out_value = entry_value((const char *)h, e);
    return true;
}

enum q_known q_headers_known_at(const struct q_headers *h, uint32_t index) {
    return index < h->count ? (enum q_known)q_headers_entry_at(h, index)->known : Q_KNOWN_NONE;
}

bool q_headers_is_secret(const struct q_headers *h, uint32_t index) {
    return index < h->count && q_headers_entry_at(h, index)->is_secret;
}

// entry_matches compares by number where there is one, else by text.
static bool entry_matches(const char *base, const struct q_headers_entry *e, enum q_known known, struct q_slice name) {
    return known != Q_KNOWN_NONE ? e->known == known : q_slice_equal_nocase(entry_name(base, e), name);
}

static bool next_match(const struct q_headers *h, enum q_known known, struct q_slice name, uint32_t *cursor,
                       struct q_slice *out_value) {
    for (uint32_t i = *cursor; i < h->count; i++) {
        const struct q_headers_entry *e = q_headers_entry_at(h, i);
        if (entry_matches((const char *)h, e, known, name)) {
            *out_value = entry_value((const char *)h, e);
            *cursor = i + 1;
            return true;
        }
    }
    *cursor = h->count;
    return false;
}

bool q_headers_get(const struct q_headers *h, struct q_slice name, struct q_slice *out_value) {
    uint32_t cursor = 0;
    return next_match(h, q_known_find(name), name, &cursor, out_value);
}

bool q_headers_get_known(const struct q_headers *h, enum q_known known, struct q_slice *out_value) {
    uint32_t cursor = 0;
    return q_headers_next_known(h, known, &cursor, out_value);
}

bool q_headers_next(const struct q_headers *h, struct q_slice name, uint32_t *cursor, struct q_slice *out_value) {
    return next_match(h, q_known_find(name), name, cursor, out_value);
}

bool q_headers_next_known(const struct q_headers *h, enum q_known known, uint32_t *cursor, struct q_slice *out_value) {
    return known != Q_KNOWN_NONE && next_match(h, known, (struct q_slice){0}, cursor, out_value);
}

bool q_headers_has_member(const struct q_headers *h, enum q_known known, struct q_slice member) {
    uint32_t cursor = 0;
    struct q_slice value;
    while (q_headers_next_known(h, known, &cursor, &value)) {
        struct q_slice one;
        while (q_list_next(&value, &one)) {
            if (q_slice_equal_nocase(one, member)) {
                return true;
            }
        }
    }
    return false;
}

bool q_headers_validate(const struct q_headers *h) {
    uint64_t fields_bytes = (uint64_t)h->count * ENTRY_BYTES;
    if (h->has_secrets > 1 || h->size % 4 != 0 || (uint64_t)BLOCK_BYTES + h->text_len + fields_bytes > h->size) {
        return false;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        const struct q_headers_entry *e = q_headers_entry_at(h, i);
        uint64_t end = (uint64_t)e->text_offset + e->name_len + e->value_len;
        if (e->text_offset < BLOCK_BYTES || end > (uint64_t)BLOCK_BYTES + h->text_len) {
            return false;
        }
        struct q_slice name = entry_name((const char *)h, e), value = entry_value((const char *)h, e);
        if (!q_is_token(name) || !q_is_field_value(value) || q_slice_trim(value).len != value.len ||
            e->known != q_known_find(name) || e->is_secret > h->has_secrets) {
            return false;
        }
    }
    return true;
}

struct q_headers *q_headers_copy(const struct q_headers *h, void *mem) {
    Q_ASSERT((uintptr_t)mem % 4 == 0);
    memcpy(mem, h, h->size);
    return mem;
}

struct q_headers *q_headers_new(const struct q_alloc *alloc, const struct q_headers *h) {
    void *mem = q_alloc_new(alloc, h->size);
    return mem == NULL ? NULL : q_headers_copy(h, mem);
}

void q_headers_free(const struct q_alloc *alloc, struct q_headers *h) {
    if (h != NULL) {
        (h->has_secrets != 0 ? q_alloc_free_wiped : q_alloc_free)(alloc, h, h->size);
    }
}

// ---- building ----

static struct q_headers_limits limits_or_defaults(const struct q_headers_limits *given) {
    struct q_headers_limits limits = given == NULL ? (struct q_headers_limits){0} : *given;
    if (limits.count == 0) {
        limits.count = Q_HEADERS_COUNT_DEFAULT;
    }
    if (limits.line_bytes == 0) {
        limits.line_bytes = Q_HEADERS_LINE_BYTES_DEFAULT;
    }
    if (limits.text_bytes == 0) {
        limits.text_bytes = Q_HEADERS_TEXT_BYTES_DEFAULT;
    }
    return limits;
}

void q_headers_builder_init(struct q_headers_builder *b, void *mem, size_t mem_size,
                            const struct q_headers_limits *limits) {
    Q_CHECK(mem_size >= BLOCK_BYTES && (uintptr_t)mem % 4 == 0);
    // Offsets are 32 bits wide; what lies beyond is not used.
    uint32_t usable = mem_size > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)mem_size;
    *b = (struct q_headers_builder){.mem = mem, .mem_size = usable & ~3u, .limits = limits_or_defaults(limits)};
}

void q_headers_builder_init_growing(struct q_headers_builder *b, const struct q_alloc *alloc,
                                    const struct q_headers_limits *limits) {
    *b = (struct q_headers_builder){.alloc = alloc, .limits = limits_or_defaults(limits)};
}

// free_memory gives a growing builder's memory back, and nothing secret with it.
static void free_memory(struct q_headers_builder *b) {
    (b->has_secrets ? q_alloc_free_wiped : q_alloc_free)(b->alloc, b->mem, b->mem_size);
}

void q_headers_builder_deinit(struct q_headers_builder *b) {
    if (b->alloc != NULL) {
        free_memory(b);
    }
    *b = (struct q_headers_builder){0};
}

static struct q_headers_entry *builder_entry(const struct q_headers_builder *b, uint32_t index) {
    return (struct q_headers_entry *)(void *)(b->mem + b->mem_size) - (index + 1);
}

// make_room ensures that one more field of `text_bytes` fits.
static struct q_error make_room(struct q_headers_builder *b, uint32_t text_bytes) {
    uint64_t entries = ((uint64_t)b->count + 1) * ENTRY_BYTES;
    uint64_t need = (uint64_t)BLOCK_BYTES + b->text_len + text_bytes + entries;
    if (need <= b->mem_size) {
        return Q_OK;
    }
    if (b->alloc == NULL || need > UINT32_MAX / 2) {
        return q_error_make(Q_ERR_HEAD_TOO_LARGE, Q_PHASE_NONE);
    }
    uint64_t size = b->mem_size < GROWING_BYTES_MIN ? GROWING_BYTES_MIN : b->mem_size;
    while (size < need) {
        size *= 2;
    }
    char *mem = q_alloc_new(b->alloc, (size_t)size);
    if (mem == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_NONE);
    }
    if (b->mem != NULL) {
        uint32_t table_bytes = b->count * ENTRY_BYTES;
        memcpy(mem + BLOCK_BYTES, b->mem + BLOCK_BYTES, b->text_len);
        memcpy(mem + size - table_bytes, b->mem + b->mem_size - table_bytes, table_bytes);
        free_memory(b);
    }
    b->mem = mem;
    b->mem_size = (uint32_t)size;
    return Q_OK;
}

// check_field says whether one more field may be added to `count` fields, whatever the memory.
static struct q_error check_field(const struct q_headers_builder *b, uint32_t count, struct q_slice name,
                                  struct q_slice value) {
    if (b->frozen) {
        return q_error_make(Q_ERR_FROZEN, Q_PHASE_NONE);
    }
    if (!q_is_token(name)) {
        return q_error_make(Q_ERR_INVALID_HEADER_NAME, Q_PHASE_NONE);
    }
    if (!q_is_field_value(value)) {
        return q_error_make(Q_ERR_INVALID_HEADER_VALUE, Q_PHASE_NONE);
    }
    if (count >= b->limits.count) {
        return q_error_make(Q_ERR_TOO_MANY_HEADERS, Q_PHASE_NONE);
    }
    if (name.len > Q_HEADERS_NAME_BYTES_MAX || value.len > b->limits.line_bytes ||
        name.len + value.len > b->limits.line_bytes || name.len + value.len + b->text_len > b->limits.text_bytes) {
        return q_error_make(Q_ERR_HEAD_TOO_LARGE, Q_PHASE_NONE);
    }
    return Q_OK;
}

struct q_error q_headers_builder_add(struct q_headers_builder *b, struct q_slice name, struct q_slice value) {
    value = q_slice_trim(value);
    struct q_error error = check_field(b, b->count, name, value);
    if (q_error_is(error)) {
        return error;
    }
    error = make_room(b, (uint32_t)(name.len + value.len));
    if (q_error_is(error)) {
        return error;
    }
    q_headers_builder_raw_text(b, name);
    q_headers_builder_raw_text(b, value);
    q_headers_builder_raw_entry(b, (uint16_t)name.len, (uint32_t)value.len, 0);
    return Q_OK;
}

struct q_error q_headers_builder_add_secret(struct q_headers_builder *b, struct q_slice name, struct q_slice value) {
    struct q_error error = q_headers_builder_add(b, name, value);
    if (!q_error_is(error)) {
        builder_entry(b, b->count - 1)->is_secret = true;
        b->has_secrets = true;
    }
    return error;
}

void q_headers_builder_raw_entry(struct q_headers_builder *b, uint16_t name_len, uint32_t value_len,
                                 uint32_t dropped_bytes) {
    Q_ASSERT((uint64_t)BLOCK_BYTES + b->text_len + ((uint64_t)b->count + 1) * ENTRY_BYTES <= b->mem_size);
    b->text_len -= dropped_bytes;
    uint32_t offset = BLOCK_BYTES + b->text_len - value_len - name_len;
    *builder_entry(b, b->count) = (struct q_headers_entry){
        .text_offset = offset,
        .value_len = value_len,
        .name_len = name_len,
        .known = (uint8_t)q_known_find(q_slice_make(b->mem + offset, name_len)),
    };
    b->count++;
    b->version++;
}

static uint32_t count_of(const struct q_headers_builder *b, enum q_known known, struct q_slice name) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        count += entry_matches(b->mem, builder_entry(b, i), known, name) ? 1 : 0;
    }
    return count;
}

// drop_entries removes the fields of that name among the first `upto` and keeps the others in order.
static void drop_entries(struct q_headers_builder *b, uint32_t upto, enum q_known known, struct q_slice name) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        struct q_headers_entry entry = *builder_entry(b, i);
        if (i >= upto || !entry_matches(b->mem, &entry, known, name)) {
            *builder_entry(b, kept++) = entry;
        }
    }
    b->count = kept;
    b->version++;
}

struct q_error q_headers_builder_set(struct q_headers_builder *b, struct q_slice name, struct q_slice value) {
    enum q_known known = q_known_find(name);
    value = q_slice_trim(value);
    // The new field comes first, so that a failure leaves the old ones; they do not count against it.
    uint32_t old_count = b->count;
    struct q_error error = check_field(b, old_count - count_of(b, known, name), name, value);
    if (q_error_is(error)) {
        return error;
    }
    error = make_room(b, (uint32_t)(name.len + value.len));
    if (q_error_is(error)) {
        return error;
    }
    q_headers_builder_raw_text(b, name);
    q_headers_builder_raw_text(b, value);
    q_headers_builder_raw_entry(b, (uint16_t)name.len, (uint32_t)value.len, 0);
    drop_entries(b, old_count, known, name);
    return Q_OK;
}

struct q_error q_headers_builder_remove(struct q_headers_builder *b, struct q_slice name, uint32_t *out_removed) {
    if (b->frozen) {
        return q_error_make(Q_ERR_FROZEN, Q_PHASE_NONE);
    }
    enum q_known known = q_known_find(name);
    uint32_t removed = count_of(b, known, name);
    if (removed > 0) {
        drop_entries(b, b->count, known, name);
    }
    if (out_removed != NULL) {
        *out_removed = removed;
    }
    return Q_OK;
}

bool q_headers_builder_at(const struct q_headers_builder *b, uint32_t index, struct q_slice *out_name,
                          struct q_slice *out_value) {
    if (index >= b->count) {
        return false;
    }
    // A frozen builder's entries have moved to where the block ends.
    if (b->frozen) {
        return q_headers_at((const struct q_headers *)(const void *)b->mem, index, out_name, out_value);
    }
    const struct q_headers_entry *e = builder_entry(b, index);
    *out_name = entry_name(b->mem, e);
    *out_value = entry_value(b->mem, e);
    return true;
}

bool q_headers_builder_is_secret(const struct q_headers_builder *b, uint32_t index) {
    if (index >= b->count) {
        return false;
    }
    return b->frozen ? q_headers_is_secret((const struct q_headers *)(const void *)b->mem, index)
                     : builder_entry(b, index)->is_secret;
}

const struct q_headers *q_headers_builder_freeze(struct q_headers_builder *b) {
    if (b->mem == NULL) {
        b->frozen = true;
        return &k_empty;
    }
    struct q_headers *h = (struct q_headers *)(void *)b->mem;
    if (b->frozen) {
        return h;
    }
    uint32_t table_bytes = b->count * ENTRY_BYTES;
    uint32_t size = ((BLOCK_BYTES + b->text_len + 3) & ~3u) + table_bytes;
    // The padding bytes are part of what a byte-for-byte copy takes along: make them known.
    memset(b->mem + BLOCK_BYTES + b->text_len, 0, size - table_bytes - BLOCK_BYTES - b->text_len);
    memmove(b->mem + size - table_bytes, b->mem + b->mem_size - table_bytes, table_bytes);
    *h = (struct q_headers){
        .size = size, .count = b->count, .text_len = b->text_len, .has_secrets = b->has_secrets};
    b->frozen = true;
    return h;
}

struct q_headers_iterator q_headers_iterate(const struct q_headers_builder *b) {
    return (struct q_headers_iterator){.builder = b, .version = b->version};
}

struct q_error q_headers_iterator_next(struct q_headers_iterator *it, struct q_slice *out_name,
                                       struct q_slice *out_value) {
    *out_name = *out_value = (struct q_slice){0};
    if (it->version != it->builder->version) {
        return q_error_make(Q_ERR_HEADERS_CHANGED, Q_PHASE_NONE);
    }
    if (q_headers_builder_at(it->builder, it->index, out_name, out_value)) {
        it->index++;
    }
    return Q_OK;
}

// Header blocks: an ordered multimap of field names and values.
//
// Vocabulary. A *builder* is being written by one owner. A *block* (struct q_headers) is frozen: nobody writes it any
// more, its readers included, so that any number of threads may read it at once and it may lie on a read-only page.
// A *field* is one name and one value; the same name may come again, order and spelling are kept as given, and names
// are compared with ASCII case folded.
//
// Layout. A block is one run of memory that names nothing outside itself: this struct, then the text of all fields,
// then one entry per field, the first field's last. It may be copied byte for byte. While it is built the text grows
// up from the front and the entries grow down from the end of the builder's memory; freezing closes the gap.
//
// Invariants. A name is a token. A value has no control byte but HTAB, so CR, LF and NUL never pass, and no spaces or
// tabs at its ends. A block never has more fields or bytes than its builder's limits.
//
// Secrets. A field may be marked secret when it is added; the mark stays with it in the block and in copies of that. What a
// builder with such a field has of its own memory is overwritten before it is given back, also when it grows, also when
// the field has been removed meanwhile; so is a block of q_headers_free. Memory of the caller is the caller's to wipe.
//
// Life. q_headers_builder_init (memory of the caller) or _init_growing (memory from a q_alloc), then _add, _set and
// _remove, then q_headers_builder_freeze, which gives a block in the builder's own memory, or q_headers_copy into
// other memory. The zero value of a builder may be deinitialised.
//
// Thread-free: a builder belongs to one thread at a time; a block to all. A block is not counted: what holds it (a
// request, a chunk) is, since a count inside the block would have its readers write.
#ifndef QUOIT_ENGINE_WIRE_HEADERS_H
#define QUOIT_ENGINE_WIRE_HEADERS_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/wire/known.h"

#include <stdbool.h>
#include <stdint.h>

// One field. The value's text stands right behind the name's.
struct q_headers_entry {
    uint32_t text_offset; // of the name, from the start of the block
    uint32_t value_len;
    uint16_t name_len;
    uint8_t known; // enum q_known
    uint8_t is_secret;
};

_Static_assert(Q_KNOWN_COUNT <= UINT8_MAX, "the number of a well-known name fits into an entry");

struct q_headers {
    uint32_t size; // of the whole block, this struct included
    uint32_t count;
    uint32_t text_len;
    uint32_t has_secrets; // 0 or 1: some field is secret, or was
};

// What a builder refuses to pass, each with what it answers. Zero fields take the defaults.
struct q_headers_limits {
    uint32_t count;      // fields; a flood of tiny fields costs entries and look-ups, not bytes
    uint32_t line_bytes; // name and value of one field; one value that eats the whole block
    uint32_t text_bytes; // all names and values; memory
};

#define Q_HEADERS_COUNT_DEFAULT      256u
#define Q_HEADERS_LINE_BYTES_DEFAULT (64u * 1024u)
#define Q_HEADERS_TEXT_BYTES_DEFAULT (256u * 1024u)
#define Q_HEADERS_NAME_BYTES_MAX     65535u // what an entry's name_len can hold

struct q_headers_builder {
    char *mem;
    uint32_t mem_size;
    uint32_t text_len;
    uint32_t count;
    bool frozen;
    bool has_secrets; // some field is secret, or was: its text is in the memory until the end
    uint64_t version; // grows with each change
    struct q_headers_limits limits;
    const struct q_alloc *alloc; // NULL: the memory is the caller's and does not grow
};

// q_headers_empty gives a block without fields; constant, never freed.
const struct q_headers *q_headers_empty(void);

// ---- reading a frozen block; none of these writes ----

// q_headers_count gives the number of fields.
static inline uint32_t q_headers_count(const struct q_headers *h) {
    return h->count;
}

// q_headers_entry_at gives the entry of field `index`, which must be below the count.
static inline const struct q_headers_entry *q_headers_entry_at(const struct q_headers *h, uint32_t index) {
    return (const struct q_headers_entry *)(const void *)((const char *)h + h->size) - (index + 1);
}

// q_headers_at gives field `index`; false when there is none. `out_name` and `out_value` point into the block.
bool q_headers_at(const struct q_headers *h, uint32_t index, struct q_slice *out_name, struct q_slice *out_value);

// q_headers_known_at gives the well-known number of field `index`, or Q_KNOWN_NONE.
enum q_known q_headers_known_at(const struct q_headers *h, uint32_t index);

// q_headers_is_secret says whether field `index` is there and marked.
bool q_headers_is_secret(const struct q_headers *h, uint32_t index);

// q_headers_get gives the first value of `name`; false, and `out_value` untouched, when there is none.
bool q_headers_get(const struct q_headers *h, struct q_slice name, struct q_slice *out_value);

// q_headers_get_known is q_headers_get by number.
bool q_headers_get_known(const struct q_headers *h, enum q_known known, struct q_slice *out_value);

// q_headers_next gives the values of `name` one after the other. `cursor` starts at 0 and is moved on; false at the
// end.
bool q_headers_next(const struct q_headers *h, struct q_slice name, uint32_t *cursor, struct q_slice *out_value);

// q_headers_next_known is q_headers_next by number.
bool q_headers_next_known(const struct q_headers *h, enum q_known known, uint32_t *cursor, struct q_slice *out_value);

// q_headers_has_member says whether a comma-separated list of tokens, spread over all fields of that number, has
// `member` (ASCII case folded). For Connection, Transfer-Encoding, Trailer, Vary and their like.
bool q_headers_has_member(const struct q_headers *h, enum q_known known, struct q_slice member);

// q_headers_validate checks every invariant of a block. For tests and debug builds.
bool q_headers_validate(const struct q_headers *h);

// q_headers_copy copies a block into `mem` (h->size bytes, aligned to 4) and gives the copy.
struct q_headers *q_headers_copy(const struct q_headers *h, void *mem);

// q_headers_new copies a block into memory of its own, or gives NULL when there is none. Free with q_headers_free.
Q_MUST_USE struct q_headers *q_headers_new(const struct q_alloc *alloc, const struct q_headers *h);

// q_headers_free frees what q_headers_new gave; `h` may be NULL.
void q_headers_free(const struct q_alloc *alloc, struct q_headers *h);

// ---- building ----

// q_headers_builder_init starts a builder in `mem` (aligned to 4, at least sizeof(struct q_headers) bytes), which
// stays the caller's. It never allocates: what does not fit is Q_ERR_HEAD_TOO_LARGE. `limits` may be NULL.
void q_headers_builder_init(struct q_headers_builder *b, void *mem, size_t mem_size,
                            const struct q_headers_limits *limits);

// q_headers_builder_init_growing starts a builder that takes memory from `alloc` as it needs it. End it with
// q_headers_builder_deinit.
void q_headers_builder_init_growing(struct q_headers_builder *b, const struct q_alloc *alloc,
                                    const struct q_headers_limits *limits);

// q_headers_builder_deinit gives a growing builder's memory back, and with it the block that freezing gave. Legal on a
// zero value and on a builder in the caller's memory.
void q_headers_builder_deinit(struct q_headers_builder *b);

// q_headers_builder_add appends a field; both texts are copied, the value without spaces and tabs at its ends. They may
// not point into the builder, whose memory may move.
// Fails with INVALID_HEADER_NAME, INVALID_HEADER_VALUE, TOO_MANY_HEADERS, HEAD_TOO_LARGE, NO_MEMORY or FROZEN; the
// builder is then as it was.
Q_MUST_USE struct q_error q_headers_builder_add(struct q_headers_builder *b, struct q_slice name, struct q_slice value);

// q_headers_builder_add_secret is q_headers_builder_add for a field that is marked as secret.
Q_MUST_USE struct q_error q_headers_builder_add_secret(struct q_headers_builder *b, struct q_slice name,
                                                       struct q_slice value);

// q_headers_builder_set puts one field in the place of all fields of that name, at the end. Fails as _add does; the
// builder is then as it was.
Q_MUST_USE struct q_error q_headers_builder_set(struct q_headers_builder *b, struct q_slice name, struct q_slice value);

// q_headers_builder_remove removes all fields of that name and gives their number in `out_removed` (may be NULL).
// Their text stays in the memory until the builder ends, which wipes it when it was secret. Fails with FROZEN only.
Q_MUST_USE struct q_error q_headers_builder_remove(struct q_headers_builder *b, struct q_slice name,
                                                   uint32_t *out_removed);

// q_headers_builder_count gives the number of fields so far.
static inline uint32_t q_headers_builder_count(const struct q_headers_builder *b) {
    return b->count;
}

// q_headers_builder_at gives field `index` of a builder; the slices hold until its next change.
bool q_headers_builder_at(const struct q_headers_builder *b, uint32_t index, struct q_slice *out_name,
                          struct q_slice *out_value);

// q_headers_builder_is_secret says whether field `index` is there and marked.
bool q_headers_builder_is_secret(const struct q_headers_builder *b, uint32_t index);

// q_headers_builder_freeze ends the building and gives the block, in the builder's own memory and of h->size bytes;
// what lies behind it in a caller's memory is free again. The builder refuses every change from now on. A growing
// builder that never had memory gives q_headers_empty().
const struct q_headers *q_headers_builder_freeze(struct q_headers_builder *b);

// ---- for codecs that have checked every byte and every bound themselves ----

// q_headers_builder_room gives how many more bytes of text and entries fit.
static inline uint32_t q_headers_builder_room(const struct q_headers_builder *b) {
    return b->mem_size - (uint32_t)sizeof(struct q_headers) - b->text_len -
           b->count * (uint32_t)sizeof(struct q_headers_entry);
}

// q_headers_builder_raw_text appends text; the caller knows that there is room for it and for its entry.
static inline void q_headers_builder_raw_text(struct q_headers_builder *b, struct q_slice text) {
    Q_ASSERT(text.len <= q_headers_builder_room(b));
    if (text.len > 0) { // an empty slice may have no pointer, which memcpy may not see
        memcpy(b->mem + sizeof(struct q_headers) + b->text_len, text.ptr, text.len);
    }
    b->text_len += (uint32_t)text.len;
}

// q_headers_builder_raw_entry makes a field of the last text: it drops the last `dropped_bytes`; before them stand
// `value_len` bytes of value, and before those `name_len` bytes of name.
void q_headers_builder_raw_entry(struct q_headers_builder *b, uint16_t name_len, uint32_t value_len,
                                 uint32_t dropped_bytes);

// ---- walking a builder that may change meanwhile ----

struct q_headers_iterator {
    const struct q_headers_builder *builder;
    uint64_t version; // of the builder when the walk began
    uint32_t index;
};

// q_headers_iterate begins a walk over the builder as it is now. It owns nothing and need not be ended.
struct q_headers_iterator q_headers_iterate(const struct q_headers_builder *b);

// q_headers_iterator_next gives the next field. At the end `out_name` is empty and there is no error. A builder that
// changed since the walk began is Q_ERR_HEADERS_CHANGED, and nothing is given.
Q_MUST_USE struct q_error q_headers_iterator_next(struct q_headers_iterator *it, struct q_slice *out_name,
                                                  struct q_slice *out_value);

#endif

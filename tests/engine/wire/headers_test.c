#include "engine/wire/headers.h"

#include "tests/support/failalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define ADD(b, name, value) q_headers_builder_add((b), Q_SLICE(name), Q_SLICE(value)).code
#define SET(b, name, value) q_headers_builder_set((b), Q_SLICE(name), Q_SLICE(value)).code

static _Alignas(8) char g_mem[4096];

static struct q_headers_builder builder_in(size_t mem_size) {
    struct q_headers_builder b;
    q_headers_builder_init(&b, g_mem, mem_size, NULL);
    return b;
}

static void expect_field(const struct q_headers *h, uint32_t index, const char *name, const char *value) {
    struct q_slice got_name, got_value;
    assert_true(q_headers_at(h, index, &got_name, &got_value));
    assert_true(q_slice_equal(got_name, q_slice_of_string(name)));
    assert_true(q_slice_equal(got_value, q_slice_of_string(value)));
}

static void expect_get(const struct q_headers *h, const char *name, const char *value) {
    struct q_slice got;
    assert_true(q_headers_get(h, q_slice_of_string(name), &got));
    assert_true(q_slice_equal(got, q_slice_of_string(value)));
}

static void fields_keep_their_order_and_spelling(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "X-Zebra", "1"), 0);
    assert_int_equal(ADD(&b, "aCCept", "text/html"), 0);
    assert_int_equal(ADD(&b, "x-zebra", ""), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(q_headers_count(h), 3);
    expect_field(h, 0, "X-Zebra", "1");
    expect_field(h, 1, "aCCept", "text/html");
    expect_field(h, 2, "x-zebra", "");
    assert_true(q_headers_validate(h));
    struct q_slice name, value;
    assert_false(q_headers_at(h, 3, &name, &value));
    assert_false(q_headers_at(h, UINT32_MAX, &name, &value));
}

static void names_are_found_whatever_their_case(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "Set-Cookie", "a"), 0);
    assert_int_equal(ADD(&b, "X-Own", "o"), 0);
    assert_int_equal(ADD(&b, "SET-COOKIE", "b"), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    expect_get(h, "set-cookie", "a");
    expect_get(h, "x-OWN", "o");
    struct q_slice value;
    assert_false(q_headers_get(h, Q_SLICE("X-Other"), &value));
    assert_false(q_headers_get(h, Q_SLICE(""), &value));
    assert_true(q_headers_get_known(h, Q_KNOWN_SET_COOKIE, &value));
    assert_false(q_headers_get_known(h, Q_KNOWN_HOST, &value));
    assert_false(q_headers_get_known(h, Q_KNOWN_NONE, &value));
    assert_int_equal(q_headers_known_at(h, 0), Q_KNOWN_SET_COOKIE);
    assert_int_equal(q_headers_known_at(h, 1), Q_KNOWN_NONE);
    assert_int_equal(q_headers_known_at(h, 9), Q_KNOWN_NONE);
}

static void all_values_of_a_name_come_in_order(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "Via", "1"), 0);
    assert_int_equal(ADD(&b, "Date", "x"), 0);
    assert_int_equal(ADD(&b, "via", "2"), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    uint32_t cursor = 0;
    struct q_slice value;
    assert_true(q_headers_next(h, Q_SLICE("VIA"), &cursor, &value));
    assert_memory_equal(value.ptr, "1", 1);
    assert_true(q_headers_next_known(h, Q_KNOWN_VIA, &cursor, &value));
    assert_memory_equal(value.ptr, "2", 1);
    assert_false(q_headers_next(h, Q_SLICE("VIA"), &cursor, &value));
    assert_false(q_headers_next(h, Q_SLICE("VIA"), &cursor, &value));
}

static void members_of_lists_are_found_in_every_line(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "Connection", "keep-alive,X-Own"), 0);
    assert_int_equal(ADD(&b, "Connection", " , CLOSE "), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_true(q_headers_has_member(h, Q_KNOWN_CONNECTION, Q_SLICE("close")));
    assert_true(q_headers_has_member(h, Q_KNOWN_CONNECTION, Q_SLICE("x-own")));
    assert_false(q_headers_has_member(h, Q_KNOWN_CONNECTION, Q_SLICE("keep")));
    assert_false(q_headers_has_member(h, Q_KNOWN_UPGRADE, Q_SLICE("close")));
}

static void values_are_trimmed(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "A", " \t b c \t"), 0);
    assert_int_equal(ADD(&b, "B", " \t "), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    expect_field(h, 0, "A", "b c");
    expect_field(h, 1, "B", "");
}

// Every byte, in a name and in a value: what passes is what the grammar has, and CR, LF and NUL never do.
static void no_other_byte_passes(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct q_headers_builder b = builder_in(sizeof(g_mem));
        char text[3] = {'a', (char)c, 'b'};
        bool in_name = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
        bool in_value = c == '\t' || (c >= 0x20 && c != 0x7f);
        struct q_error error = q_headers_builder_add(&b, q_slice_make(text, 3), Q_SLICE("v"));
        assert_int_equal(error.code, in_name ? 0 : Q_ERR_INVALID_HEADER_NAME);
        error = q_headers_builder_add(&b, Q_SLICE("n"), q_slice_make(text, 3));
        assert_int_equal(error.code, in_value ? 0 : Q_ERR_INVALID_HEADER_VALUE);
        error = q_headers_builder_set(&b, Q_SLICE("n"), q_slice_make(text, 3));
        assert_int_equal(error.code, in_value ? 0 : Q_ERR_INVALID_HEADER_VALUE);
        assert_true(q_headers_validate(q_headers_builder_freeze(&b)));
    }
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "", "v"), Q_ERR_INVALID_HEADER_NAME);
    // A line end at the end of a value is not trimmed away: it is refused.
    assert_int_equal(ADD(&b, "n", "v\r\n"), Q_ERR_INVALID_HEADER_VALUE);
}

static void each_limit_has_its_error(void **state) {
    (void)state;
    struct q_headers_limits limits = {.count = 2, .line_bytes = 10, .text_bytes = 15};
    struct q_headers_builder b;
    q_headers_builder_init(&b, g_mem, sizeof(g_mem), &limits);
    assert_int_equal(ADD(&b, "abc", "45678901"), Q_ERR_HEAD_TOO_LARGE);
    assert_int_equal(ADD(&b, "abc", "4567890"), 0);
    assert_int_equal(ADD(&b, "abc", "456"), Q_ERR_HEAD_TOO_LARGE);
    assert_int_equal(ADD(&b, "abc", "45"), 0);
    assert_int_equal(ADD(&b, "a", ""), Q_ERR_TOO_MANY_HEADERS);
    assert_int_equal(q_headers_builder_count(&b), 2);
    assert_true(q_headers_validate(q_headers_builder_freeze(&b)));
}

static void memory_of_the_caller_is_filled_and_not_left(void **state) {
    (void)state;
    for (size_t size = sizeof(struct q_headers); size < 200; size++) {
        memset(g_mem, 0x5a, sizeof(g_mem));
        struct q_headers_builder b = builder_in(size);
        int32_t code;
        uint32_t added = 0;
        while ((code = ADD(&b, "name", "value")) == 0) {
            added++;
        }
        assert_int_equal(code, Q_ERR_HEAD_TOO_LARGE);
        const struct q_headers *h = q_headers_builder_freeze(&b);
        assert_ptr_equal(h, g_mem);
        assert_true(h->size <= size);
        assert_int_equal(q_headers_count(h), added);
        assert_true(q_headers_validate(h));
        for (size_t i = size; i < sizeof(g_mem); i++) {
            assert_int_equal(g_mem[i], 0x5a);
        }
        // No field was refused for which there was room.
        assert_true(size - sizeof(struct q_headers) < (added + 1) * (9 + sizeof(struct q_headers_entry)) + 3);
    }
}

static void setting_replaces_all_fields_of_the_name(void **state) {
    (void)state;
    struct q_headers_limits limits = {.count = 3};
    struct q_headers_builder b;
    q_headers_builder_init(&b, g_mem, sizeof(g_mem), &limits);
    assert_int_equal(ADD(&b, "Accept", "a"), 0);
    assert_int_equal(ADD(&b, "X", "x"), 0);
    assert_int_equal(ADD(&b, "ACCEPT", "b"), 0);
    // Full: but what is replaced does not count.
    assert_int_equal(SET(&b, "Y", "y"), Q_ERR_TOO_MANY_HEADERS);
    assert_int_equal(SET(&b, "accept", "c"), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(q_headers_count(h), 2);
    expect_field(h, 0, "X", "x");
    expect_field(h, 1, "accept", "c");
}

static void a_failed_change_leaves_the_builder_as_it_was(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(struct q_headers) + 12 + 4);
    assert_int_equal(ADD(&b, "A", "b"), 0);
    uint64_t version = b.version;
    assert_int_equal(SET(&b, "A", "much longer"), Q_ERR_HEAD_TOO_LARGE);
    assert_int_equal(SET(&b, "A", "\n"), Q_ERR_INVALID_HEADER_VALUE);
    assert_int_equal(ADD(&b, "A", "c"), Q_ERR_HEAD_TOO_LARGE);
    assert_int_equal(b.version, version);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(q_headers_count(h), 1);
    expect_field(h, 0, "A", "b");
}

static void removing_keeps_the_order_of_the_rest(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "A", "1"), 0);
    assert_int_equal(ADD(&b, "Host", "h"), 0);
    assert_int_equal(ADD(&b, "a", "2"), 0);
    assert_int_equal(ADD(&b, "B", "3"), 0);
    uint32_t removed = 9;
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("a"), &removed).code, 0);
    assert_int_equal(removed, 2);
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("a"), &removed).code, 0);
    assert_int_equal(removed, 0);
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("HOST"), NULL).code, 0);
    assert_int_equal(ADD(&b, "C", "4"), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(q_headers_count(h), 2);
    expect_field(h, 0, "B", "3");
    expect_field(h, 1, "C", "4");
    assert_true(q_headers_validate(h));
}

static void a_frozen_builder_refuses_every_change(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "A", "1"), 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_ptr_equal(q_headers_builder_freeze(&b), h);
    assert_int_equal(ADD(&b, "B", "2"), Q_ERR_FROZEN);
    assert_int_equal(SET(&b, "A", "2"), Q_ERR_FROZEN);
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("A"), NULL).code, Q_ERR_FROZEN);
    struct q_slice name, value;
    assert_true(q_headers_builder_at(&b, 0, &name, &value));
    assert_memory_equal(value.ptr, "1", 1);
    expect_field(h, 0, "A", "1");
}

static void an_iterator_reports_a_changed_builder(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "A", "1"), 0);
    assert_int_equal(ADD(&b, "B", "2"), 0);
    struct q_headers_iterator it = q_headers_iterate(&b);
    struct q_slice name, value;
    assert_int_equal(q_headers_iterator_next(&it, &name, &value).code, 0);
    assert_memory_equal(name.ptr, "A", 1);
    assert_int_equal(ADD(&b, "C", "3"), 0);
    assert_int_equal(q_headers_iterator_next(&it, &name, &value).code, Q_ERR_HEADERS_CHANGED);
    assert_int_equal(name.len, 0);
    it = q_headers_iterate(&b);
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("B"), NULL).code, 0);
    assert_int_equal(q_headers_iterator_next(&it, &name, &value).code, Q_ERR_HEADERS_CHANGED);
    it = q_headers_iterate(&b);
    assert_int_equal(SET(&b, "A", "4"), 0);
    assert_int_equal(q_headers_iterator_next(&it, &name, &value).code, Q_ERR_HEADERS_CHANGED);
}

static void an_iterator_walks_to_the_end(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "A", "1"), 0);
    assert_int_equal(ADD(&b, "B", "2"), 0);
    struct q_headers_iterator it = q_headers_iterate(&b);
    // Removing nothing changes nothing.
    assert_int_equal(q_headers_builder_remove(&b, Q_SLICE("Z"), NULL).code, 0);
    struct q_slice name, value;
    size_t seen = 0;
    while (q_headers_iterator_next(&it, &name, &value).code == 0 && name.len > 0) {
        seen++;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(q_headers_iterator_next(&it, &name, &value).code, 0);
    assert_int_equal(name.len, 0);
}

static void expect_clean(struct q_failalloc *memory) {
    char text[256];
    if (!q_failalloc_check(memory, text, sizeof(text))) {
        fail_msg("%s", text);
    }
    q_failalloc_free(memory);
}

static struct q_error add_many(struct q_headers_builder *b, int count) {
    for (int i = 0; i < count; i++) {
        char name[16], value[64];
        int name_len = snprintf(name, sizeof(name), "N-%d", i);
        int value_len = snprintf(value, sizeof(value), "value %d %0*d", i, i % 40, 7);
        struct q_error error =
            q_headers_builder_add(b, q_slice_make(name, (size_t)name_len), q_slice_make(value, (size_t)value_len));
        if (q_error_is(error)) {
            return error;
        }
    }
    return Q_OK;
}

static void a_growing_builder_keeps_what_it_has(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(memory);
    struct q_headers_builder b;
    q_headers_builder_init_growing(&b, alloc, NULL);
    assert_int_equal(add_many(&b, 200).code, 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_true(q_headers_validate(h));
    assert_int_equal(q_headers_count(h), 200);
    expect_get(h, "n-123", "value 123 007");
    struct q_headers *own = q_headers_new(alloc, h);
    assert_non_null(own);
    q_headers_builder_deinit(&b);
    assert_true(q_headers_validate(own));
    expect_get(own, "n-199", "value 199 000000000000000000000000000000000000007");
    q_headers_free(alloc, own);
    q_headers_free(alloc, NULL);
    expect_clean(memory);
}

static void allocation_n_fails_for_every_n(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct q_failalloc *memory = q_failalloc_new();
        q_failalloc_fail_at(memory, n);
        struct q_headers_builder b;
        q_headers_builder_init_growing(&b, q_failalloc_alloc(memory), NULL);
        struct q_error error = add_many(&b, 100);
        failed = q_failalloc_failed(memory);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        assert_true(failed || n > 3);
        uint32_t count = q_headers_builder_count(&b);
        const struct q_headers *h = q_headers_builder_freeze(&b);
        assert_true(q_headers_validate(h));
        assert_int_equal(q_headers_count(h), count);
        q_headers_builder_deinit(&b);
        expect_clean(memory);
    }
}

static void a_builder_without_fields_gives_an_empty_block(void **state) {
    (void)state;
    struct q_headers_builder b;
    q_headers_builder_init_growing(&b, q_alloc_libc(), NULL);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(q_headers_count(h), 0);
    assert_true(q_headers_validate(h));
    assert_int_equal(ADD(&b, "A", "1"), Q_ERR_FROZEN);
    struct q_slice name, value;
    assert_false(q_headers_builder_at(&b, 0, &name, &value));
    q_headers_builder_deinit(&b);
    q_headers_builder_deinit(&b);
    struct q_headers_builder zero = {0};
    q_headers_builder_deinit(&zero);
}

static void a_copied_block_stands_alone(void **state) {
    (void)state;
    static _Alignas(8) char copy[4096];
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(add_many(&b, 20).code, 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    uint32_t size = h->size;
    const struct q_headers *own = q_headers_copy(h, copy);
    memset(g_mem, 0xff, sizeof(g_mem));
    assert_int_equal(own->size, size);
    assert_true(q_headers_validate(own));
    expect_field(own, 7, "N-7", "value 7 0000007");
}

static void read_everything(const struct q_headers *h) {
    struct q_slice name, value;
    uint32_t cursor = 0;
    static _Alignas(8) char copy[4096];
    assert_true(q_headers_validate(h));
    for (uint32_t i = 0; i < q_headers_count(h); i++) {
        assert_true(q_headers_at(h, i, &name, &value));
        (void)q_headers_known_at(h, i);
        (void)q_headers_entry_at(h, i);
    }
    assert_true(q_headers_get(h, Q_SLICE("n-3"), &value));
    assert_false(q_headers_get_known(h, Q_KNOWN_HOST, &value));
    assert_true(q_headers_next(h, Q_SLICE("N-4"), &cursor, &value));
    assert_false(q_headers_next_known(h, Q_KNOWN_HOST, &cursor, &value));
    assert_false(q_headers_has_member(h, Q_KNOWN_CONNECTION, Q_SLICE("close")));
    (void)q_headers_copy(h, copy);
    struct q_headers *own = q_headers_new(q_alloc_libc(), h);
    assert_non_null(own);
    q_headers_free(q_alloc_libc(), own);
}

// The block lies on a page that cannot be written: a reader that writes dies here.
static void readers_never_write(void **state) {
    (void)state;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    struct q_headers_builder b;
    q_headers_builder_init(&b, page, 4096, NULL);
    assert_int_equal(add_many(&b, 30).code, 0);
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_int_equal(mprotect(page, 4096, PROT_READ), 0);
    read_everything(h);
    assert_int_equal(munmap(page, 4096), 0);
}

static void a_broken_block_is_not_valid(void **state) {
    (void)state;
    struct q_headers_builder b = builder_in(sizeof(g_mem));
    assert_int_equal(ADD(&b, "Host", "a"), 0);
    const struct q_headers *frozen = q_headers_builder_freeze(&b);
    static _Alignas(8) char copy[256];
    struct q_headers *h = q_headers_copy(frozen, copy);
    char *text = copy + sizeof(*h);
    text[0] = '\n';
    assert_false(q_headers_validate(h));
    h = q_headers_copy(frozen, copy);
    text[4] = '\0';
    assert_false(q_headers_validate(h));
    h = q_headers_copy(frozen, copy);
    ((struct q_headers_entry *)(void *)(copy + h->size))[-1].is_secret = true; // and the block says that none is
    assert_false(q_headers_validate(h));
    h = q_headers_copy(frozen, copy);
    h->count = 100;
    assert_false(q_headers_validate(h));
    h = q_headers_copy(frozen, copy);
    ((struct q_headers_entry *)(void *)(copy + h->size))[-1].known = Q_KNOWN_DATE;
    assert_false(q_headers_validate(h));
    h = q_headers_copy(frozen, copy);
    ((struct q_headers_entry *)(void *)(copy + h->size))[-1].value_len = 2;
    assert_false(q_headers_validate(h));
}

#define SECRET "the-key-of-the-house"

static int32_t add_secret(struct q_headers_builder *b, const char *name) {
    return q_headers_builder_add_secret(b, q_slice_of_string(name), Q_SLICE(SECRET)).code;
}

// Blocks that came back with the secret in them: of the builder that grows, with and without the mark.
static uint64_t found_after_growing(bool is_marked, bool is_removed) {
    struct q_failalloc *memory = q_failalloc_new();
    q_failalloc_watch(memory, SECRET);
    struct q_headers_builder b;
    q_headers_builder_init_growing(&b, q_failalloc_alloc(memory), NULL);
    assert_int_equal(is_marked ? add_secret(&b, "X-Key") : ADD(&b, "X-Key", SECRET), 0);
    if (is_removed) {
        assert_false(q_error_is(q_headers_builder_remove(&b, Q_SLICE("x-key"), NULL)));
    }
    assert_int_equal(add_many(&b, 200).code, 0);
    uint64_t found_growing = q_failalloc_found(memory);
    q_headers_builder_deinit(&b);
    uint64_t found = q_failalloc_found(memory);
    assert_int_equal(found > found_growing, !is_marked);
    expect_clean(memory);
    return found_growing;
}

static void a_secret_is_wiped_when_its_builder_grows_and_ends(void **state) {
    (void)state;
    assert_true(found_after_growing(false, false) > 1); // the test would see it
    assert_int_equal(found_after_growing(true, false), 0);
    assert_int_equal(found_after_growing(true, true), 0);
}

static void a_mark_goes_with_its_field_and_copies_are_wiped_too(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(memory);
    q_failalloc_watch(memory, SECRET);
    struct q_headers_builder b;
    q_headers_builder_init_growing(&b, alloc, NULL);
    assert_int_equal(ADD(&b, "A", "1"), 0);
    assert_int_equal(add_secret(&b, "X-Key"), 0);
    assert_int_equal(ADD(&b, "B", "2"), 0);
    assert_int_equal(q_headers_builder_add_secret(&b, Q_SLICE("C"), Q_SLICE("a\nb")).code, Q_ERR_INVALID_HEADER_VALUE);
    assert_false(q_headers_builder_is_secret(&b, 0));
    assert_true(q_headers_builder_is_secret(&b, 1));
    assert_false(q_error_is(q_headers_builder_remove(&b, Q_SLICE("A"), NULL)));
    assert_true(q_headers_builder_is_secret(&b, 0));
    assert_false(q_headers_builder_is_secret(&b, 1));
    assert_false(q_headers_builder_is_secret(&b, 2));
    const struct q_headers *h = q_headers_builder_freeze(&b);
    assert_true(q_headers_builder_is_secret(&b, 0));
    assert_false(q_headers_builder_is_secret(&b, 1));
    struct q_headers *own = q_headers_new(alloc, h);
    assert_non_null(own);
    assert_true(q_headers_validate(own));
    assert_true(q_headers_is_secret(own, 0));
    assert_false(q_headers_is_secret(own, 1));
    assert_false(q_headers_is_secret(own, 2));
    q_headers_free(alloc, own);
    q_headers_builder_deinit(&b);
    assert_int_equal(q_failalloc_found(memory), 0);
    expect_clean(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_keep_their_order_and_spelling),
        cmocka_unit_test(names_are_found_whatever_their_case),
        cmocka_unit_test(all_values_of_a_name_come_in_order),
        cmocka_unit_test(members_of_lists_are_found_in_every_line),
        cmocka_unit_test(values_are_trimmed),
        cmocka_unit_test(no_other_byte_passes),
        cmocka_unit_test(each_limit_has_its_error),
        cmocka_unit_test(memory_of_the_caller_is_filled_and_not_left),
        cmocka_unit_test(setting_replaces_all_fields_of_the_name),
        cmocka_unit_test(a_failed_change_leaves_the_builder_as_it_was),
        cmocka_unit_test(removing_keeps_the_order_of_the_rest),
        cmocka_unit_test(a_frozen_builder_refuses_every_change),
        cmocka_unit_test(an_iterator_reports_a_changed_builder),
        cmocka_unit_test(an_iterator_walks_to_the_end),
        cmocka_unit_test(a_growing_builder_keeps_what_it_has),
        cmocka_unit_test(allocation_n_fails_for_every_n),
        cmocka_unit_test(a_builder_without_fields_gives_an_empty_block),
        cmocka_unit_test(a_copied_block_stands_alone),
        cmocka_unit_test(readers_never_write),
        cmocka_unit_test(a_broken_block_is_not_valid),
        cmocka_unit_test(a_secret_is_wiped_when_its_builder_grows_and_ends),
        cmocka_unit_test(a_mark_goes_with_its_field_and_copies_are_wiped_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The allocator seam.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "engine/base/alloc.h"

struct ledger {
    size_t calls;
    size_t held;   // bytes
    bool is_dry;   // no more memory
    bool is_sized; // each release gave the size that was allocated
    char last[16]; // the beginning of what was released last, as it came back
};

// Keeps the size before the block, and hands out dirty memory.
static void *count_allocate(void *context, size_t size) {
    struct ledger *ledger = context;
    ledger->calls++;
    if (ledger->is_dry) {
        return NULL;
    }
    max_align_t *block = q_alloc_libc()->allocate(NULL, sizeof(max_align_t) + size);
    *(size_t *)(void *)block = size;
    ledger->held += size;
    return memset(block + 1, 0xa5, size);
}

static void count_release(void *context, void *ptr, size_t size) {
    struct ledger *ledger = context;
    max_align_t *block = (max_align_t *)ptr - 1;
    ledger->is_sized = ledger->is_sized && *(size_t *)(void *)block == size;
    ledger->held -= size;
    memcpy(ledger->last, ptr, size < sizeof ledger->last ? size : sizeof ledger->last);
    q_alloc_libc()->release(NULL, block, sizeof(max_align_t) + size);
}

static struct q_alloc count_with(struct ledger *ledger) {
    *ledger = (struct ledger){.is_sized = true};
    return (struct q_alloc){.allocate = count_allocate, .release = count_release, .context = ledger};
}

static void new_memory_is_zeroed(void **state) {
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    static const char k_zeros[100];
    char *memory = q_alloc_new(&alloc, 100);
    assert_memory_equal(memory, k_zeros, 100);
    assert_int_equal(ledger.held, 100);
    q_alloc_free(&alloc, memory, 100);
    memory = q_alloc_new_array(&alloc, 4, 25);
    assert_memory_equal(memory, k_zeros, 100);
    q_alloc_free(&alloc, memory, 100);
    assert_int_equal(ledger.held, 0);
    assert_true(ledger.is_sized);
}

static void an_array_too_large_to_count_is_refused_unasked(void **state) {
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    assert_null(q_alloc_new_array(&alloc, SIZE_MAX / 2, 3));
    assert_null(q_alloc_new_array(&alloc, SIZE_MAX, SIZE_MAX));
    assert_null(q_alloc_new_array(&alloc, 0, 8));
    assert_int_equal(ledger.calls, 0);
}

static void a_copy_without_room_for_its_nul_is_refused_unasked(void **state) {
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    assert_null(q_alloc_copy(&alloc, "a", SIZE_MAX));
    assert_int_equal(ledger.calls, 0);
}

static void a_copy_ends_with_a_nul(void **state) {
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    char *copy = q_alloc_copy(&alloc, "abcdef", 3);
    assert_string_equal(copy, "abc");
    q_alloc_free(&alloc, copy, 4);
    copy = q_alloc_copy(&alloc, NULL, 0);
    assert_string_equal(copy, "");
    q_alloc_free(&alloc, copy, 1);
    assert_int_equal(ledger.held, 0);
    assert_true(ledger.is_sized);
}

static void out_of_memory_is_null_everywhere(void **state) {
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    ledger.is_dry = true;
    assert_null(q_alloc_new(&alloc, 1));
    assert_null(q_alloc_new_array(&alloc, 2, 2));
    assert_null(q_alloc_copy(&alloc, "a", 1));
}

static void freeing_nothing_is_nothing(void **state) {
    (void)state;
    q_alloc_free(q_alloc_libc(), NULL, 10);
}

static void what_is_wiped_is_gone(void **state) {
    (void)state;
    char secret[] = "a secret, and more";
    q_wipe(secret, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(secret[i], 0);
    }
    assert_string_equal(secret + 8, ", and more");
    q_wipe(NULL, 0);
}

static void memory_of_a_secret_comes_back_empty(void **state) {
    static const char k_zeros[7];
    (void)state;
    struct ledger ledger;
    struct q_alloc alloc = count_with(&ledger);
    char *copy = q_alloc_copy(&alloc, "secret", 6);
    q_alloc_free(&alloc, copy, 7);
    assert_memory_equal(ledger.last, "secret", 7); // the test would see it
    copy = q_alloc_copy(&alloc, "secret", 6);
    q_alloc_free_wiped(&alloc, copy, 7);
    assert_memory_equal(ledger.last, k_zeros, 7);
    q_alloc_free_wiped(&alloc, NULL, 7);
    assert_int_equal(ledger.held, 0);
    assert_true(ledger.is_sized);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed),
        cmocka_unit_test(an_array_too_large_to_count_is_refused_unasked),
        cmocka_unit_test(a_copy_without_room_for_its_nul_is_refused_unasked),
        cmocka_unit_test(a_copy_ends_with_a_nul),
        cmocka_unit_test(out_of_memory_is_null_everywhere),
        cmocka_unit_test(freeing_nothing_is_nothing),
        cmocka_unit_test(what_is_wiped_is_gone),
        cmocka_unit_test(memory_of_a_secret_comes_back_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

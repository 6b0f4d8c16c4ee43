// The chain of redirects: told from the first on without a hole, within two sizes of chunk, and counted beyond them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/exchange/chain.h"

enum { SMALL = 512, LARGE = 4096, URL_MAX = 8192 };

struct scene {
    struct q_chunk_budget budget;
    struct q_chunk_pool small, large;
    struct q_chain chain;
};

static void open_scene(struct scene *s, uint64_t limit) {
    *s = (struct scene){.budget = {.limit = limit}};
    q_chunk_pool_init(&s->small, q_alloc_libc(), &s->budget, SMALL, 0);
    q_chunk_pool_init(&s->large, q_alloc_libc(), &s->budget, LARGE, 0);
}

static void close_scene(struct scene *s) {
    q_chain_release(&s->chain);
    q_chunk_pool_deinit(&s->small); // which checks that nothing is out
    q_chunk_pool_deinit(&s->large);
}

// Hop `number` leads to a URL of `len` bytes that begins with its number.
static void add(struct scene *s, uint32_t number, size_t len) {
    char url[URL_MAX];
    assert_true(len < sizeof url);
    memset(url, 'x', sizeof url);
    int digits = snprintf(url, sizeof url, "%u", number);
    url[digits] = '/';
    q_chain_add(&s->chain, &s->small, &s->large, (uint16_t)(300 + number % 2), q_slice_make(url, len));
}

// The first `told` hops of `num` are told, and no other.
static void assert_told(struct scene *s, uint32_t told, uint32_t num) {
    assert_int_equal(s->chain.num_hops, num);
    const struct q_headers *hops = q_chain_freeze(&s->chain);
    assert_int_equal(hops == NULL, told == 0);
    assert_int_equal(hops == NULL ? 0 : q_headers_count(hops), told);
    for (uint32_t i = 0; i < told; i++) {
        struct q_slice status;
        struct q_slice url;
        assert_true(q_headers_at(hops, i, &status, &url));
        assert_true(q_slice_equal(status, i % 2 == 0 ? Q_SLICE("300") : Q_SLICE("301")));
        assert_int_equal(strtoul(url.ptr, NULL, 10), i);
    }
}

static void no_hop_is_no_chain(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, UINT64_MAX);
    assert_told(&s, 0, 0);
    close_scene(&s);
}

static void hops_are_told_in_order(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, UINT64_MAX);
    for (uint32_t i = 0; i < 10; i++) {
        add(&s, i, 20);
    }
    assert_int_equal(s.chain.chunk->pool->capacity, SMALL);
    assert_told(&s, 10, 10);
    close_scene(&s);
}

static void a_long_url_among_short_ones_is_told(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, UINT64_MAX);
    add(&s, 0, 20);
    add(&s, 1, 2 * SMALL);
    add(&s, 2, 20);
    assert_told(&s, 3, 3);
    close_scene(&s);
}

static void a_first_url_that_is_long_is_told(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, UINT64_MAX);
    add(&s, 0, LARGE - 100);
    assert_told(&s, 1, 1);
    close_scene(&s);
}

static void the_first_without_room_is_the_last_that_counts(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, UINT64_MAX);
    add(&s, 0, 20);
    add(&s, 1, LARGE / 2);
    add(&s, 2, LARGE);
    add(&s, 3, 20); // has room, but stands behind a hole
    assert_told(&s, 2, 4);
    close_scene(&s);
}

static void without_memory_nothing_is_told_and_all_is_counted(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, 0);
    add(&s, 0, 20);
    s.budget.limit = UINT64_MAX; // and then there is some, too late
    add(&s, 1, 20);
    assert_told(&s, 0, 2);
    close_scene(&s);
}

static void without_memory_to_move_to_the_rest_stays(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, sizeof(struct q_chunk) + SMALL);
    add(&s, 0, 20);
    add(&s, 1, SMALL);
    s.budget.limit = UINT64_MAX;
    add(&s, 2, 20);
    assert_told(&s, 1, 3);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hop_is_no_chain),
        cmocka_unit_test(hops_are_told_in_order),
        cmocka_unit_test(a_long_url_among_short_ones_is_told),
        cmocka_unit_test(a_first_url_that_is_long_is_told),
        cmocka_unit_test(the_first_without_room_is_the_last_that_counts),
        cmocka_unit_test(without_memory_nothing_is_told_and_all_is_counted),
        cmocka_unit_test(without_memory_to_move_to_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The name cache: how long what is kept for whom, and what makes room for what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/net/name_cache.h"
#include "tests/support/failalloc.h"

#define S Q_NS_PER_S

static struct q_failalloc *memory;
static struct q_name_cache cache;
static struct q_cached cached;
static const uint64_t k_key[2] = {1, 2};
static const uint8_t k_addresses[2][16] = {{10, 0, 0, 1}, {10, 0, 0, 2}};

static void begin(const struct q_name_cache_options *options) {
    memory = q_failalloc_new();
    q_name_cache_init(&cache, q_failalloc_alloc(memory), options, k_key);
}

static void end(void) {
    char text[256] = "";
    q_name_cache_validate(&cache);
    q_name_cache_clear(&cache);
    assert_int_equal(cache.num_bytes, 0);
    if (!q_failalloc_check(memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(memory);
}

static const struct q_name_cache_options k_usual = {
    .entries_max = 8, .bytes_max = 4096, .ttl_min_s = 2, .ttl_max_s = 100, .negative_ttl_max_s = 10};

static void put(const char *name, uint64_t now_s, uint32_t ttl_s) {
    q_name_cache_put(&cache, q_slice_of_string(name), Q_RESOLVE_V4, now_s * S, ttl_s, 0, k_addresses, 2);
    q_name_cache_validate(&cache);
}

static bool has(const char *name, uint64_t now_s) {
    bool is_there = q_name_cache_find(&cache, q_slice_of_string(name), Q_RESOLVE_V4, now_s * S, false, &cached);
    q_name_cache_validate(&cache);
    return is_there;
}

static void an_entry_is_kept_for_its_ttl_within_bounds(void **state) {
    (void)state;
    begin(&k_usual);
    put("a", 1000, 30);
    assert_true(has("a", 1000));
    assert_int_equal(cached.count, 2);
    assert_memory_equal(cached.addresses, k_addresses, sizeof k_addresses);
    assert_int_equal(cached.ttl_s, 30);
    assert_false(cached.is_stale);
    assert_true(has("a", 1029));
    assert_int_equal(cached.ttl_s, 1);
    assert_false(has("a", 1030));
    assert_int_equal(cache.num_entries, 0);
    put("a", 1000, 0); // no less than is set
    assert_true(has("a", 1001));
    assert_false(has("a", 1002));
    put("a", 1000, INT32_MAX); // nor more
    assert_true(has("a", 1099));
    assert_false(has("a", 1100));
    q_name_cache_put(&cache, Q_SLICE("no"), Q_RESOLVE_V4, 1000 * S, 3000, Q_ERR_NAME_NOT_FOUND, NULL, 0);
    assert_true(has("no", 1009));
    assert_int_equal(cached.count, 0);
    assert_int_equal(cached.code, Q_ERR_NAME_NOT_FOUND);
    assert_false(has("no", 1010));
    end();
}

static void names_and_families_are_told_apart(void **state) {
    (void)state;
    begin(&k_usual);
    put("a", 1000, 30);
    assert_false(has("aa", 1000));
    assert_false(has("", 1000));
    assert_false(q_name_cache_find(&cache, Q_SLICE("a"), Q_RESOLVE_V6, 1000 * S, true, &cached));
    q_name_cache_put(&cache, Q_SLICE("a"), Q_RESOLVE_V6, 1000 * S, 30, Q_ERR_NAME_NO_ADDRESS, NULL, 0);
    assert_true(has("a", 1000));
    assert_int_equal(cached.count, 2);
    assert_int_equal(cache.num_entries, 2);
    put("a", 1010, 30); // in place of what was
    assert_int_equal(cache.num_entries, 2);
    assert_true(has("a", 1035));
    end();
}

static void the_one_used_longest_ago_makes_room(void **state) {
    (void)state;
    char name[16];
    begin(&k_usual);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put(name, 1000, 60);
    }
    assert_true(has("n0", 1001));
    put("n8", 1001, 60);
    assert_true(has("n0", 1002));
    assert_false(has("n1", 1002));
    assert_true(has("n2", 1002));
    assert_int_equal(cache.num_evicted, 1);
    end();
    struct q_name_cache_options few_bytes = k_usual;
    few_bytes.bytes_max = 400;
    begin(&few_bytes);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put(name, 1000, 60);
        assert_true(has(name, 1000));
    }
    assert_true(cache.num_entries >= 2 && cache.num_entries < 8);
    end();
}

static void what_is_larger_than_all_room_is_not_kept(void **state) {
    (void)state;
    struct q_name_cache_options none = {.entries_max = 0, .bytes_max = 4096, .ttl_max_s = 100};
    begin(&none);
    put("a", 1000, 60);
    assert_false(has("a", 1000));
    end();
    struct q_name_cache_options small = {.entries_max = 5, .bytes_max = 50, .ttl_max_s = 100};
    begin(&small);
    put("a", 1000, 60);
    assert_false(has("a", 1000));
    end();
    begin(&k_usual);
    q_failalloc_fail_from(memory, 1);
    put("a", 1000, 60);
    assert_false(has("a", 1000));
    end();
}

static void stale_entries_are_for_those_who_take_them(void **state) {
    (void)state;
    struct q_name_cache_options options = k_usual;
    options.stale_s = 50;
    begin(&options);
    put("a", 1000, 30);
    q_name_cache_put(&cache, Q_SLICE("no"), Q_RESOLVE_V4, 1000 * S, 5, Q_ERR_NAME_NOT_FOUND, NULL, 0);
    assert_false(has("a", 1031));
    assert_true(q_name_cache_find(&cache, Q_SLICE("a"), Q_RESOLVE_V4, 1031 * S, true, &cached));
    assert_true(cached.is_stale);
    assert_int_equal(cached.ttl_s, 0);
    // What is not there never is.
    assert_false(q_name_cache_find(&cache, Q_SLICE("no"), Q_RESOLVE_V4, 1031 * S, true, &cached));
    // Held, it passes for fresh, but not beyond its time.
    q_name_cache_hold(&cache, Q_SLICE("a"), Q_RESOLVE_V4, 1031 * S, 30);
    assert_true(has("a", 1060));
    assert_true(cached.is_stale);
    assert_false(has("a", 1061));
    q_name_cache_hold(&cache, Q_SLICE("a"), Q_RESOLVE_V4, 1061 * S, 30);
    assert_true(has("a", 1079));
    assert_false(has("a", 1080));
    assert_int_equal(cache.num_entries, 0);
    q_name_cache_hold(&cache, Q_SLICE("a"), Q_RESOLVE_V4, 1061 * S, 30); // there is none
    // One that is fresh is not touched.
    put("a", 2000, 30);
    q_name_cache_hold(&cache, Q_SLICE("a"), Q_RESOLVE_V4, 2001 * S, 90);
    assert_false(has("a", 2030));
    end();
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(an_entry_is_kept_for_its_ttl_within_bounds),
        cmocka_unit_test(names_and_families_are_told_apart),
        cmocka_unit_test(the_one_used_longest_ago_makes_room),
        cmocka_unit_test(what_is_larger_than_all_room_is_not_kept),
        cmocka_unit_test(stale_entries_are_for_those_who_take_them),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}

// Options of every age and size, their defaults and their bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/core/options.h"

static void no_options_are_the_defaults_of_the_header(void **state) {
    static const struct quoit_engine_options k_empty = {.struct_size = sizeof k_empty};
    const struct quoit_engine_options *const k_inputs[] = {NULL, &k_empty};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_inputs); i++) {
        struct quoit_engine_options out;
        assert_int_equal(q_options_of_engine(k_inputs[i], &out), 0);
        assert_int_equal(out.struct_size, sizeof out);
        assert_int_equal(out.mode, QUOIT_ENGINE_THREAD);
        assert_int_equal(out.capabilities_off, 0);
        assert_int_equal(out.requests_max, 16384);
        assert_int_equal(out.connections_max, 4096);
        assert_int_equal(out.connections_per_origin_max, 64);
        assert_int_equal(out.waiters_per_origin_max, 16384);
        assert_int_equal(out.idle_timeout_ms, 60000);
        assert_int_equal(out.memory_max, 64 << 20);
        assert_int_equal(out.head_bytes_max, 16384);
        assert_int_equal(out.headers_max, 128);
        assert_int_equal(out.line_bytes_max, 16384);
        assert_int_equal(out.informational_max, 32);
        assert_int_equal(out.chunk_extension_bytes_max, 16384);
        assert_int_equal(out.trailer_bytes_max, 2048);
        assert_int_equal(out.log_level, 2);
        assert_string_equal(out.hosts_file, "/etc/hosts");
        assert_null(out.allocator);
    }
}

// An older host's struct ends earlier: what it lacks is zero, whatever lies behind it.
static void a_shorter_struct_is_filled_up(void **state) {
    (void)state;
    for (uint32_t size = sizeof(uint32_t); size <= sizeof(struct quoit_engine_options); size++) {
        struct quoit_engine_options in;
        struct quoit_engine_options out;
        memset(&in, 0xff, sizeof in);
        memset(&in, 0, size);
        in.struct_size = size;
        assert_int_equal(q_options_read_struct(&out, sizeof out, &in), 0);
        for (size_t i = sizeof(uint32_t); i < sizeof out; i++) {
            assert_int_equal(((unsigned char *)&out)[i], 0);
        }
    }
}

struct longer {
    struct quoit_engine_options options;
    unsigned char tail[64];
};

static void a_longer_struct_is_taken_as_long_as_its_tail_is_zero(void **state) {
    (void)state;
    for (size_t at = 0; at <= sizeof((struct longer *)0)->tail; at++) {
        struct longer in = {.options = {.struct_size = sizeof in, .requests_max = 7}};
        struct quoit_engine_options out;
        bool has_more = at < sizeof in.tail;
        if (has_more) {
            in.tail[at] = 1;
        }
        assert_int_equal(q_options_of_engine(&in.options, &out), has_more ? Q_ERR_INVALID_STRUCT_SIZE : 0);
        if (!has_more) {
            assert_int_equal(out.requests_max, 7);
        }
    }
}

static void sizes_that_no_version_has_are_refused(void **state) {
    static const uint32_t k_sizes[] = {0, 1, 3, UINT32_MAX, 1u << 20};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_sizes); i++) {
        struct quoit_engine_options in = {.struct_size = k_sizes[i]};
        struct quoit_engine_options out;
        assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_STRUCT_SIZE);
    }
}

struct row {
    size_t offset;
    uint32_t most;
};

#define ROW(field, most)                                                                                               \
    { offsetof(struct quoit_engine_options, field), (most) }

static void who_never_sleeps_does_not_spin(void **state) {
    (void)state;
    struct quoit_engine_options out;
    struct quoit_engine_options in = {.struct_size = sizeof in, .mode = QUOIT_ENGINE_HOST_DRIVEN, .spin_us = 1};
    assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
    in.mode = QUOIT_ENGINE_THREAD;
    assert_int_equal(q_options_of_engine(&in, &out), 0);
    in.reserved2 = 1;
    assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
}

static void every_number_has_its_bound(void **state) {
    static const struct row k_rows[] = {
        ROW(mode, QUOIT_ENGINE_HOST_DRIVEN),
        ROW(requests_max, 1u << 20),
        ROW(connections_max, 1u << 19),
        ROW(connections_per_origin_max, 1u << 19),
        ROW(waiters_per_origin_max, 1u << 20),
        ROW(idle_timeout_ms, 86400000),
        ROW(spin_us, 1000),
        ROW(head_bytes_max, 262144),
        ROW(headers_max, 1024),
        ROW(log_level, 4),
        ROW(line_bytes_max, 262144),
        ROW(informational_max, 1024),
        ROW(chunk_extension_bytes_max, 1u << 20),
        ROW(trailer_bytes_max, 262144),
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct quoit_engine_options in = {.struct_size = sizeof in};
        struct quoit_engine_options out;
        memcpy((char *)&in + k_rows[i].offset, &k_rows[i].most, sizeof(uint32_t));
        assert_int_equal(q_options_of_engine(&in, &out), 0);
        assert_memory_equal((char *)&out + k_rows[i].offset, &k_rows[i].most, sizeof(uint32_t));
        uint32_t more = k_rows[i].most + 1;
        memcpy((char *)&in + k_rows[i].offset, &more, sizeof more);
        assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
    }
}

static void memory_has_a_least(void **state) {
    (void)state;
    struct quoit_engine_options in = {.struct_size = sizeof in, .memory_max = (2 << 20) - 1};
    struct quoit_engine_options out;
    assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
    in.memory_max = 2 << 20;
    assert_int_equal(q_options_of_engine(&in, &out), 0);
    in.memory_max = UINT64_MAX;
    assert_int_equal(q_options_of_engine(&in, &out), 0);
}

static void *no_memory(void *context, size_t size) {
    (void)context;
    (void)size;
    return NULL;
}

static void no_release(void *context, void *ptr, size_t size) {
    (void)context;
    (void)ptr;
    (void)size;
}

static void half_an_allocator_is_none(void **state) {
    (void)state;
    struct quoit_allocator allocator = {.allocate = no_memory};
    struct quoit_engine_options in = {.struct_size = sizeof in, .allocator = &allocator};
    struct quoit_engine_options out;
    assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
    allocator = (struct quoit_allocator){.release = no_release};
    assert_int_equal(q_options_of_engine(&in, &out), Q_ERR_INVALID_ARGUMENT);
    allocator.allocate = no_memory;
    assert_int_equal(q_options_of_engine(&in, &out), 0);
    assert_ptr_equal(out.allocator, &allocator);
}

// A host's struct of any size: it gets what it has room for, zeros in what it knows and we do not, and not a byte behind.
static void a_struct_is_given_back_in_the_size_that_it_has(void **state) {
    struct known {
        uint32_t struct_size;
        uint32_t numbers[3];
    };
    (void)state;
    for (uint32_t size = sizeof(uint32_t); size < 2 * sizeof(struct known); size += sizeof(uint32_t)) {
        struct known known = {.struct_size = size, .numbers = {1, 2, 3}};
        uint32_t theirs[3 * sizeof known / sizeof(uint32_t)];
        memset(theirs, 0xff, sizeof theirs);
        theirs[0] = size;
        q_options_write_struct(theirs, &known, sizeof known);
        assert_int_equal(theirs[0], size);
        for (uint32_t i = 1; i < Q_COUNT_OF(theirs); i++) {
            uint32_t wanted = i * sizeof(uint32_t) >= size ? UINT32_MAX : i <= Q_COUNT_OF(known.numbers) ? i : 0;
            assert_int_equal(theirs[i], wanted);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_struct_is_given_back_in_the_size_that_it_has),
        cmocka_unit_test(no_options_are_the_defaults_of_the_header),
        cmocka_unit_test(a_shorter_struct_is_filled_up),
        cmocka_unit_test(a_longer_struct_is_taken_as_long_as_its_tail_is_zero),
        cmocka_unit_test(sizes_that_no_version_has_are_refused),
        cmocka_unit_test(who_never_sleeps_does_not_spin),
        cmocka_unit_test(every_number_has_its_bound),
        cmocka_unit_test(memory_has_a_least),
        cmocka_unit_test(half_an_allocator_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

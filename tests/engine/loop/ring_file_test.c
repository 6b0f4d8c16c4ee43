// Files that are read in a slot of the ring: what there is of them, what is none, and an end in the middle. No descriptor
// number comes into being.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig rig;
static char path[600];
static char text[8192];
static size_t fds_before;

static int set_up(void **state) {
    const char *folder = getenv("TEST_TMPDIR");
    snprintf(path, sizeof path, "%s/file", folder == NULL ? "/tmp" : folder);
    unlink(path);
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    fds_before = rig_count_fds();
    memset(text, 0, sizeof text);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    rmdir(path);
    rig_close(&rig);
    return 0;
}

static void write_file(size_t len) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++) {
        fputc('a' + (int)(i % 26), file);
    }
    fclose(file);
}

static int32_t read_some(const char *what, uint32_t size) {
    struct q_io_slot slot;
    struct rig_op op = rig_op(&rig);
    struct q_io_file file = {.path = what, .into = text, .size = size};
    assert_false(q_error_is(q_io_open(rig.io, &slot)));
    q_io_read_file(rig.io, slot, &op.op, &file);
    int32_t result = rig_await(&rig, &op);
    assert_int_equal(rig_count_fds(), fds_before);
    rig_shut(&rig, slot);
    assert_int_equal(rig_count_fds(), fds_before);
    return result;
}

static void a_file_is_read_from_its_begin_as_far_as_there_is_room(void **state) {
    (void)state;
    write_file(5000);
    assert_int_equal(read_some(path, sizeof text), 5000);
    assert_int_equal(text[0], 'a');
    assert_int_equal(text[4999], 'a' + 4999 % 26);
    assert_int_equal(read_some(path, 10), 10);
    write_file(0);
    assert_int_equal(read_some(path, sizeof text), 0);
    for (int i = 0; i < 50; i++) { // slots come free again
        write_file((size_t)i);
        assert_int_equal(read_some(path, sizeof text), i);
    }
}

static void what_is_no_file_says_so(void **state) {
    (void)state;
    assert_int_equal(read_some(path, sizeof text), -ENOENT);
    assert_int_equal(read_some("/", sizeof text), -EISDIR);
    assert_int_equal(mkfifo(path, 0600), 0);
    int32_t result = read_some(path, sizeof text); // and does not block
    assert_true(result <= 0);
}

static void a_close_ends_a_read(void **state) {
    (void)state;
    write_file(5000);
    for (int turns = 0; turns < 3; turns++) {
        struct q_io_slot slot;
        struct rig_op op = rig_op(&rig);
        struct rig_op end = rig_op(&rig);
        struct q_io_file file = {.path = path, .into = text, .size = sizeof text};
        assert_false(q_error_is(q_io_open(rig.io, &slot)));
        q_io_read_file(rig.io, slot, &op.op, &file);
        for (int i = 0; i < turns; i++) {
            rig_turn(&rig, 0);
        }
        q_io_close(rig.io, slot, &end.op);
        rig_await(&rig, &end);
        assert_int_equal(op.times, 1);
        assert_true(op.order < end.order);
    }
}

#define TEST_ON(test, i, name)                                                                                         \
    { #test " (" name ")", (test), set_up, tear_down, (void *)(uintptr_t)&k_rig_rungs[i] }
#define TEST(test)                                                                                                     \
    TEST_ON(test, 0, "whole ladder"), TEST_ON(test, 1, "no defer-taskrun"), TEST_ON(test, 3, "sockets by number"),     \
        TEST_ON(test, 9, "lowest rung")

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        TEST(a_file_is_read_from_its_begin_as_far_as_there_is_room),
        TEST(what_is_no_file_says_so),
        TEST(a_close_ends_a_read),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}

// The hosts file: what a line says, what is not believed, and files that are no files.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "engine/net/hosts.h"
#include "tests/support/failalloc.h"

static struct q_hosts hosts_of(const char *text) {
    struct q_hosts hosts;
    struct q_error error = q_hosts_parse(&hosts, q_alloc_libc(), q_slice_of_string(text));
    assert_int_equal(error.code, Q_ERR_OK);
    return hosts;
}

// Gives the addresses of `name` as text, blanks between; "" when it is not there.
static const char *find(const struct q_hosts *hosts, const char *name) {
    static char text[Q_ADDRESSES_MAX * Q_ADDRESS_TEXT_MAX];
    struct q_addresses found;
    size_t at = 0;
    bool is_there = q_hosts_find(hosts, q_slice_of_string(name), 80, &found);
    assert_int_equal(is_there, found.count > 0);
    text[0] = 0;
    for (uint32_t i = 0; i < found.count; i++) {
        if (i > 0) {
            text[at++] = ' ';
        }
        at += q_address_text(&found.list[i], text + at);
    }
    return text;
}

static void a_line_gives_an_address_to_each_of_its_names(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("10.0.0.1 one two\tthree\n10.0.0.2\tfour\n");
    assert_string_equal(find(&hosts, "one"), "10.0.0.1:80");
    assert_string_equal(find(&hosts, "two"), "10.0.0.1:80");
    assert_string_equal(find(&hosts, "three"), "10.0.0.1:80");
    assert_string_equal(find(&hosts, "four"), "10.0.0.2:80");
    assert_string_equal(find(&hosts, "five"), "");
    assert_string_equal(find(&hosts, "10.0.0.1"), ""); // the address is no name
    q_hosts_deinit(&hosts);
}

static void localhost_is_the_loopback_whatever_the_file_says(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("6.6.6.6 localhost evil.localhost notlocalhost localhost.example\n");
    assert_string_equal(find(&hosts, "localhost"), "127.0.0.1:80 [::1]:80");
    assert_string_equal(find(&hosts, "evil.localhost"), "127.0.0.1:80 [::1]:80");
    assert_string_equal(find(&hosts, "a.b.localhost"), "127.0.0.1:80 [::1]:80");
    // And not what only looks like it.
    assert_string_equal(find(&hosts, "notlocalhost"), "6.6.6.6:80");
    assert_string_equal(find(&hosts, "localhost.example"), "6.6.6.6:80");
    q_hosts_deinit(&hosts);
    hosts = (struct q_hosts){0}; // nor does it need a file
    assert_string_equal(find(&hosts, "localhost"), "127.0.0.1:80 [::1]:80");
    assert_string_equal(find(&hosts, "host"), "");
}

static void several_addresses_come_in_the_order_of_the_file(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("::2 multi\n10.0.0.9 multi\n10.0.0.1 other multi\n::1 multi2\n10.0.0.4 multi\n");
    assert_string_equal(find(&hosts, "multi"), "[::2]:80 10.0.0.9:80 10.0.0.1:80 10.0.0.4:80");
    assert_string_equal(find(&hosts, "multi2"), "[::1]:80");
    q_hosts_deinit(&hosts);
}

static void more_addresses_than_are_ever_tried_are_cut(void **state) {
    (void)state;
    char text[1024];
    size_t at = 0;
    for (int i = 1; i <= Q_ADDRESSES_MAX + 5; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "10.0.0.%d many\n", i);
    }
    struct q_hosts hosts = hosts_of(text);
    struct q_addresses found;
    assert_true(q_hosts_find(&hosts, Q_SLICE("many"), 1, &found));
    assert_int_equal(found.count, Q_ADDRESSES_MAX);
    assert_string_equal(find(&hosts, "many"), "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80 10.0.0.5:80 "
                                              "10.0.0.6:80 10.0.0.7:80 10.0.0.8:80");
    q_hosts_deinit(&hosts);
}

static void one_family_is_found_and_the_name_told_from_none(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("10.0.0.1 a\n::1 a\n10.0.0.2 a\n::2 six\n");
    uint8_t found[2][16];
    bool is_there;
    assert_int_equal(q_hosts_find_family(&hosts, Q_SLICE("a"), false, found, 2, &is_there), 2);
    assert_true(is_there);
    assert_int_equal(found[1][3], 2);
    assert_int_equal(q_hosts_find_family(&hosts, Q_SLICE("a"), false, found, 1, &is_there), 1);
    assert_int_equal(q_hosts_find_family(&hosts, Q_SLICE("a"), true, found, 2, &is_there), 1);
    assert_int_equal(found[0][15], 1);
    assert_int_equal(q_hosts_find_family(&hosts, Q_SLICE("six"), false, found, 2, &is_there), 0);
    assert_true(is_there); // with addresses of the other family
    assert_int_equal(q_hosts_find_family(&hosts, Q_SLICE("b"), false, found, 2, &is_there), 0);
    assert_false(is_there);
    q_hosts_deinit(&hosts);
}

static void comments_and_blanks_are_skipped(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("# 1.1.1.1 all\n\n   \t\n  1.1.1.2   a   b # c 1.1.1.3 d\n1.1.1.4 e#f\n#");
    assert_string_equal(find(&hosts, "all"), "");
    assert_string_equal(find(&hosts, "a"), "1.1.1.2:80");
    assert_string_equal(find(&hosts, "b"), "1.1.1.2:80");
    assert_string_equal(find(&hosts, "c"), "");
    assert_string_equal(find(&hosts, "d"), "");
    assert_string_equal(find(&hosts, "e"), "1.1.1.4:80");
    assert_string_equal(find(&hosts, "e#f"), "");
    assert_string_equal(find(&hosts, "#"), "");
    q_hosts_deinit(&hosts);
}

static void lines_may_end_as_they_do_elsewhere(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("1.1.1.1 crlf\r\n1.1.1.2 next \r\n1.1.1.3 last");
    assert_string_equal(find(&hosts, "crlf"), "1.1.1.1:80");
    assert_string_equal(find(&hosts, "next"), "1.1.1.2:80");
    assert_string_equal(find(&hosts, "last"), "1.1.1.3:80"); // without an end
    q_hosts_deinit(&hosts);
}

static void names_are_the_same_in_any_case(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("1.1.1.1 UPPER.Example\n2001:DB8::A mixed\n");
    assert_string_equal(find(&hosts, "upper.example"), "1.1.1.1:80");
    assert_string_equal(find(&hosts, "mixed"), "[2001:db8::a]:80");
    q_hosts_deinit(&hosts);
}

static void lines_that_make_no_sense_are_skipped_alone(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("nonsense\n1.1.1 a\nfe80::1%lo b\n1.1.1.1\nname 1.1.1.1\n1.1.1.9 good\n");
    assert_string_equal(find(&hosts, "a"), "");
    assert_string_equal(find(&hosts, "b"), "");
    assert_string_equal(find(&hosts, "name"), "");
    assert_string_equal(find(&hosts, "1.1.1.1"), "");
    assert_string_equal(find(&hosts, "good"), "1.1.1.9:80");
    q_hosts_deinit(&hosts);
}

static void an_empty_file_has_no_names(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("");
    assert_string_equal(find(&hosts, "a"), "");
    assert_string_equal(find(&hosts, ""), "");
    q_hosts_deinit(&hosts);
    q_hosts_deinit(&hosts); // the zero value
}

static void a_name_is_found_whole_or_not_at_all(void **state) {
    (void)state;
    struct q_hosts hosts = hosts_of("1.1.1.1 ab\n1.1.1.2 abc\n1.1.1.3 abcd\n");
    assert_string_equal(find(&hosts, "a"), "");
    assert_string_equal(find(&hosts, "ab"), "1.1.1.1:80");
    assert_string_equal(find(&hosts, "abc"), "1.1.1.2:80");
    assert_string_equal(find(&hosts, "abcd"), "1.1.1.3:80");
    assert_string_equal(find(&hosts, "abcde"), "");
    assert_string_equal(find(&hosts, ""), "");
    q_hosts_deinit(&hosts);
}

static void a_huge_line_is_read(void **state) {
    (void)state;
    enum { NAMES = 40000 };
    char *text = malloc(NAMES * 16);
    size_t at = (size_t)sprintf(text, "9.9.9.9");
    for (int i = 0; i < NAMES; i++) {
        at += (size_t)sprintf(text + at, " name-%d", i);
    }
    struct q_hosts hosts = hosts_of(text);
    assert_string_equal(find(&hosts, "name-0"), "9.9.9.9:80");
    assert_string_equal(find(&hosts, "name-12345"), "9.9.9.9:80");
    assert_string_equal(find(&hosts, "name-39999"), "9.9.9.9:80");
    assert_string_equal(find(&hosts, "name-40000"), "");
    q_hosts_deinit(&hosts);
    free(text);
}

static void any_bytes_are_read_without_harm(void **state) {
    (void)state;
    static const char k_bytes[] = "1.a \n\r\t#\0:\xff";
    struct q_random random;
    q_random_seed(&random, 5);
    for (int i = 0; i < 2000; i++) {
        char *text = malloc(64); // on the heap, so that a look behind the end is seen
        struct q_hosts hosts;
        struct q_addresses found;
        for (size_t k = 0; k < 64; k++) {
            text[k] = k_bytes[q_random_below(&random, sizeof k_bytes - 1)];
        }
        assert_false(q_error_is(q_hosts_parse(&hosts, q_alloc_libc(), q_slice_make(text, 64))));
        free(text);
        q_hosts_find(&hosts, Q_SLICE("a"), 80, &found);
        q_hosts_deinit(&hosts);
    }
}

// --- files -----------------------------------------------------------------------------------------------------------

struct folder {
    char path[64];
    char file[96];
};

static struct folder make_folder(void) {
    struct folder folder;
    snprintf(folder.path, sizeof folder.path, "/tmp/hosts-test-XXXXXX");
    assert_non_null(mkdtemp(folder.path));
    snprintf(folder.file, sizeof folder.file, "%s/hosts", folder.path);
    return folder;
}

static void remove_folder(const struct folder *folder) {
    unlink(folder->file);
    rmdir(folder->path);
}

static void write_file(const char *path, const char *text, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static struct q_hosts load(const char *path) {
    struct q_hosts hosts;
    struct q_error error = q_hosts_load(&hosts, q_alloc_libc(), path);
    assert_int_equal(error.code, Q_ERR_OK);
    return hosts;
}

static void a_file_is_read_once(void **state) {
    (void)state;
    struct folder folder = make_folder();
    write_file(folder.file, "7.7.7.7 seven\n", 14);
    struct q_hosts hosts = load(folder.file);
    remove_folder(&folder);
    assert_string_equal(find(&hosts, "seven"), "7.7.7.7:80"); // the table is its own
    q_hosts_deinit(&hosts);
}

static void a_file_that_is_not_there_is_an_empty_table(void **state) {
    (void)state;
    struct q_hosts hosts = load("/nonexistent/hosts");
    assert_string_equal(find(&hosts, "seven"), "");
    assert_string_equal(find(&hosts, "localhost"), "127.0.0.1:80 [::1]:80");
    q_hosts_deinit(&hosts);
}

static void a_folder_in_the_files_place_is_an_empty_table(void **state) {
    (void)state;
    struct q_hosts hosts = load("/tmp");
    assert_string_equal(find(&hosts, "seven"), "");
    q_hosts_deinit(&hosts);
}

static void a_fifo_in_the_files_place_does_not_block(void **state) {
    (void)state;
    struct folder folder = make_folder();
    assert_int_equal(mkfifo(folder.file, 0600), 0);
    alarm(20); // a test that blocks would hang for ever
    struct q_hosts hosts = load(folder.file);
    assert_string_equal(find(&hosts, "seven"), "");
    q_hosts_deinit(&hosts);
    int writer = open(folder.file, O_RDWR | O_CLOEXEC); // now one that could say something, and does not
    assert_true(writer >= 0);
    hosts = load(folder.file);
    q_hosts_deinit(&hosts);
    alarm(0);
    close(writer);
    remove_folder(&folder);
}

static void a_file_without_end_is_cut(void **state) {
    (void)state;
    struct folder folder = make_folder();
    size_t len = 2 * Q_HOSTS_FILE_MAX;
    char *text = malloc(len);
    memset(text, '#', len);
    memcpy(text, "7.7.7.7 early\n", 14);
    memcpy(text + len - 14, "\n7.7.7.7 late\n", 14);
    write_file(folder.file, text, len);
    free(text);
    struct q_hosts hosts = load(folder.file);
    assert_string_equal(find(&hosts, "early"), "7.7.7.7:80");
    assert_string_equal(find(&hosts, "late"), "");
    q_hosts_deinit(&hosts);
    hosts = load("/dev/zero"); // has no end at all
    q_hosts_deinit(&hosts);
    remove_folder(&folder);
}

static void each_failing_allocation_is_no_memory_and_leaves_nothing(void **state) {
    (void)state;
    struct folder folder = make_folder();
    bool failed = true;
    write_file(folder.file, "7.7.7.7 seven\n", 14);
    for (uint64_t nth = 1; failed; nth++) {
        struct q_failalloc *memory = q_failalloc_new();
        struct q_hosts hosts;
        char text[256];
        q_failalloc_fail_at(memory, nth);
        struct q_error error = q_hosts_load(&hosts, q_failalloc_alloc(memory), folder.file);
        failed = q_failalloc_failed(memory);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : Q_ERR_OK);
        if (!failed) {
            assert_string_equal(find(&hosts, "seven"), "7.7.7.7:80");
            q_hosts_deinit(&hosts);
            assert_true(nth > 2); // it has allocated something at all
        }
        if (!q_failalloc_check(memory, text, sizeof text)) {
            fail_msg("%s", text);
        }
        q_failalloc_free(memory);
    }
    remove_folder(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_an_address_to_each_of_its_names),
        cmocka_unit_test(localhost_is_the_loopback_whatever_the_file_says),
        cmocka_unit_test(several_addresses_come_in_the_order_of_the_file),
        cmocka_unit_test(more_addresses_than_are_ever_tried_are_cut),
        cmocka_unit_test(one_family_is_found_and_the_name_told_from_none),
        cmocka_unit_test(comments_and_blanks_are_skipped),
        cmocka_unit_test(lines_may_end_as_they_do_elsewhere),
        cmocka_unit_test(names_are_the_same_in_any_case),
        cmocka_unit_test(lines_that_make_no_sense_are_skipped_alone),
        cmocka_unit_test(an_empty_file_has_no_names),
        cmocka_unit_test(a_name_is_found_whole_or_not_at_all),
        cmocka_unit_test(a_huge_line_is_read),
        cmocka_unit_test(any_bytes_are_read_without_harm),
        cmocka_unit_test(a_file_is_read_once),
        cmocka_unit_test(a_file_that_is_not_there_is_an_empty_table),
        cmocka_unit_test(a_folder_in_the_files_place_is_an_empty_table),
        cmocka_unit_test(a_fifo_in_the_files_place_does_not_block),
        cmocka_unit_test(a_file_without_end_is_cut),
        cmocka_unit_test(each_failing_allocation_is_no_memory_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Files are read whole, bounded, and wiped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/tls/files.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

static const struct q_alloc *libc(void) { return q_alloc_libc(); }

static void a_file_is_read_whole(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    static const size_t k_lens[] = {0, 1, 4095, 4096, 4097, 300000};
    for (size_t i = 0; i < Q_COUNT_OF(k_lens); i++) {
        char *data = malloc(k_lens[i] + 1);
        assert_non_null(data);
        for (size_t at = 0; at < k_lens[i]; at++) {
            data[at] = (char)(at * 31 % 251);
        }
        char *path = q_certs_write_bytes(folder, "file", data, k_lens[i]);
        struct q_file file;
        assert_int_equal(q_file_read(&file, libc(), AT_FDCWD, path).code, 0);
        assert_int_equal(file.len, k_lens[i]);
        assert_memory_equal(file.ptr, data, k_lens[i]);
        q_file_deinit(&file);
        q_file_deinit(&file);
        free(path);
        free(data);
    }
    q_certs_folder_remove(folder);
    free(folder);
}

// /proc says 0 bytes of files that have some.
static void a_file_may_be_longer_than_it_says(void **state) {
    (void)state;
    struct q_file file;
    assert_int_equal(q_file_read(&file, libc(), AT_FDCWD, "/proc/self/maps").code, 0);
    assert_true(file.len > 100);
    q_file_deinit(&file);
}

static void expect_failure(const char *path, int code, int os_errno) {
    struct q_file file;
    struct q_error error = q_file_read(&file, libc(), AT_FDCWD, path);
    assert_int_equal(error.code, code);
    assert_int_equal(error.os_errno, os_errno);
    assert_null(file.ptr);
    q_file_deinit(&file);
}

static void what_is_no_file_is_refused_and_does_not_block(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[512];
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_failure(path, Q_ERR_TLS_FILE, EINVAL);
    expect_failure(folder, Q_ERR_TLS_FILE, EINVAL);
    snprintf(path, sizeof path, "%s/none", folder);
    expect_failure(path, Q_ERR_TLS_FILE, ENOENT);
    q_certs_folder_remove(folder);
    free(folder);
}

static void a_file_beyond_the_limit_is_refused(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char *path = q_certs_write(folder, "large", "");
    assert_int_equal(truncate(path, (off_t)Q_FILES_MAX_BYTES + 1), 0);
    expect_failure(path, Q_ERR_TLS_FILE_TOO_LARGE, 0);
    struct q_file file;
    assert_int_equal(truncate(path, (off_t)Q_FILES_MAX_BYTES), 0);
    assert_int_equal(q_file_read(&file, libc(), AT_FDCWD, path).code, 0);
    assert_int_equal(file.len, Q_FILES_MAX_BYTES);
    q_file_deinit(&file);
    free(path);
    q_certs_folder_remove(folder);
    free(folder);
}

// An allocator that looks at what comes back.
static bool secret_came_back;

static void *allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void look_and_release(void *context, void *ptr, size_t size) {
    (void)context;
    secret_came_back = secret_came_back || memmem(ptr, size, "secret", 6) != NULL;
    free(ptr);
}

static void bytes_are_wiped_before_they_are_given_back(void **state) {
    (void)state;
    static const struct q_alloc k_alloc = {.allocate = allocate, .release = look_and_release};
    char *folder = q_certs_folder_new();
    char *path = q_certs_write(folder, "file", "a secret in a file");
    struct q_file file;
    assert_int_equal(q_file_read(&file, &k_alloc, AT_FDCWD, path).code, 0);
    assert_non_null(memmem(file.ptr, file.len, "secret", 6));
    q_file_deinit(&file);
    assert_false(secret_came_back);
    free(path);
    q_certs_folder_remove(folder);
    free(folder);
}

static void a_file_is_all_or_nothing_without_memory(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[200];
    struct q_file file;
    for (uint64_t nth = 1;; nth++) {
        q_failalloc_fail_at(failalloc, nth);
        struct q_error error = q_file_read(&file, q_failalloc_alloc(failalloc), AT_FDCWD, "/proc/self/smaps");
        bool failed = q_failalloc_failed(failalloc);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        q_file_deinit(&file);
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        if (!failed) {
            break;
        }
    }
    q_failalloc_free(failalloc);
}

struct names {
    char text[100];
    unsigned count;
    unsigned at_most;
};

static bool note_name(void *context, int folder, const char *name) {
    struct names *names = context;
    assert_true(folder >= 0);
    if (names->count < 3) {
        strncat(names->text, name, 10);
    }
    return ++names->count < names->at_most;
}

static void a_folder_is_walked_without_hidden_names(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    free(q_certs_write(folder, ".hidden", ""));
    free(q_certs_write(folder, "seen", ""));
    struct names names = {.at_most = 100};
    assert_int_equal(q_folder_walk(folder, note_name, &names).code, 0);
    assert_string_equal(names.text, "seen");
    for (unsigned i = 0; i < 600; i++) { // more than one read of the kernel's
        char name[60];
        snprintf(name, sizeof name, "a-name-of-some-length-%u", i);
        free(q_certs_write(folder, name, ""));
    }
    names = (struct names){.at_most = 10000};
    assert_int_equal(q_folder_walk(folder, note_name, &names).code, 0);
    assert_int_equal(names.count, 601);
    names = (struct names){.at_most = 7};
    assert_int_equal(q_folder_walk(folder, note_name, &names).code, 0);
    assert_int_equal(names.count, 7);
    q_certs_folder_remove(folder);
    assert_int_equal(q_folder_walk(folder, note_name, &names).code, Q_ERR_TLS_FILE);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(a_file_may_be_longer_than_it_says),
        cmocka_unit_test(what_is_no_file_is_refused_and_does_not_block),
        cmocka_unit_test(a_file_beyond_the_limit_is_refused),
        cmocka_unit_test(bytes_are_wiped_before_they_are_given_back),
        cmocka_unit_test(a_file_is_all_or_nothing_without_memory),
        cmocka_unit_test(a_folder_is_walked_without_hidden_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The key log: appended line by line to the file that was named, for its owner alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/tls/files.h"
#include "engine/tls/keylog.h"
#include "tests/support/certs.h"

static void expect_text(const char *path, const char *text) {
    struct q_file file;
    assert_int_equal(q_file_read(&file, q_alloc_libc(), AT_FDCWD, path).code, 0);
    assert_int_equal(file.len, strlen(text));
    assert_memory_equal(file.ptr, text, file.len);
    q_file_deinit(&file);
}

static void lines_are_appended_and_nobody_else_may_read_them(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[600];
    struct q_key_log *log;
    struct stat status;
    snprintf(path, sizeof path, "%s/keys", folder);
    assert_int_equal(q_key_log_new(&log, q_slice_of_string(path)).code, 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    q_key_log_write(log, "one");
    q_key_log_write(q_key_log_acquire(log), "two");
    q_key_log_release(log);
    expect_text(path, "one\ntwo\n");
    assert_int_equal(unlink(path), 0); // whoever rotates the file gets a new one
    q_key_log_write(log, "three");
    expect_text(path, "three\n");
    q_key_log_release(log);
    q_key_log_release(NULL);
    q_certs_folder_remove(folder);
    free(folder);
}

// Between two lines no descriptor of ours is open that a stranger could close.
static void no_descriptor_stays_open(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[600];
    struct q_key_log *log;
    snprintf(path, sizeof path, "%s/keys", folder);
    int before = dup(0);
    assert_true(before >= 0);
    close(before);
    assert_int_equal(q_key_log_new(&log, q_slice_of_string(path)).code, 0);
    q_key_log_write(log, "one");
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
    q_key_log_release(log);
    q_certs_folder_remove(folder);
    free(folder);
}

static void a_file_that_cannot_be_written_is_told_at_once(void **state) {
    (void)state;
    struct q_key_log *log;
    struct q_error error = q_key_log_new(&log, Q_SLICE("/none/keys"));
    assert_int_equal(error.code, Q_ERR_TLS_FILE);
    assert_int_equal(error.os_errno, ENOENT);
    assert_null(log);
    assert_int_equal(q_key_log_new(&log, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_key_log_new(&log, Q_SLICE("a\0b")).code, Q_ERR_INVALID_ARGUMENT);
}

enum { LINES = 200 };

static void *write_lines(void *context) {
    for (unsigned i = 0; i < LINES; i++) {
        q_key_log_write(context, "0123456789");
    }
    q_key_log_release(context);
    return NULL;
}

static void lines_of_many_threads_stay_whole(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[600];
    struct q_key_log *log;
    pthread_t threads[3];
    snprintf(path, sizeof path, "%s/keys", folder);
    assert_int_equal(q_key_log_new(&log, q_slice_of_string(path)).code, 0);
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, q_key_log_acquire(log)), 0);
    }
    q_key_log_release(log);
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct q_file file;
    assert_int_equal(q_file_read(&file, q_alloc_libc(), AT_FDCWD, path).code, 0);
    assert_int_equal(file.len, Q_COUNT_OF(threads) * LINES * 11);
    for (size_t at = 0; at < file.len; at += 11) {
        assert_memory_equal(file.ptr + at, "0123456789\n", 11);
    }
    q_file_deinit(&file);
    q_certs_folder_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_appended_and_nobody_else_may_read_them),
        cmocka_unit_test(no_descriptor_stays_open),
        cmocka_unit_test(a_file_that_cannot_be_written_is_told_at_once),
        cmocka_unit_test(lines_of_many_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

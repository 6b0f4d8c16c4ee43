#include "tests/support/program.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *read_all(FILE *file, size_t *out_len) {
    char *bytes = NULL;
    FILE *memory = open_memstream(&bytes, out_len);
    int c;
    assert_non_null(memory);
    rewind(file);
    while ((c = fgetc(file)) != EOF) {
        fputc(c, memory);
    }
    fclose(memory);
    fclose(file);
    return bytes;
}

static int run(const char *program, const char *const *argv, FILE *out, FILE *err) {
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), STDERR_FILENO);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

struct program_said program_run(const char *program, const char *const *arguments) {
    struct program_said said = {0};
    const char *argv[PROGRAM_ARGUMENTS_MAX + 2] = {program};
    for (int i = 0; arguments[i] != NULL; i++) {
        assert_true(i < PROGRAM_ARGUMENTS_MAX);
        argv[i + 1] = arguments[i];
    }
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    assert_true(out != NULL && err != NULL);
    said.exit_code = run(program, argv, out, err);
    said.out = read_all(out, &said.out_len);
    said.err = read_all(err, &said.err_len);
    return said;
}

void program_free(struct program_said *said) {
    free(said->out);
    free(said->err);
    *said = (struct program_said){0};
}

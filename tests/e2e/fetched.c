#include "tests/e2e/fetched.h"

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

static int run(const char *program, const char *const *argv, FILE *body, FILE *text) {
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(body), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(text), STDERR_FILENO);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

struct fetched fetched_run(const char *program, const char *const *arguments) {
    struct fetched fetched = {0};
    const char *argv[FETCHED_ARGUMENTS_MAX + 2] = {program};
    size_t len;
    for (int i = 0; arguments[i] != NULL; i++) {
        assert_true(i < FETCHED_ARGUMENTS_MAX);
        argv[i + 1] = arguments[i];
    }
    FILE *body = tmpfile();
    FILE *text = tmpfile();
    assert_true(body != NULL && text != NULL);
    fetched.exit_code = run(program, argv, body, text);
    fetched.body = read_all(body, &fetched.body_len);
    fetched.text = read_all(text, &len);
    if (len < 2 || fetched.text[len - 1] != '\n' || fetched.text[len - 2] != '}') {
        fail_msg("stderr does not end with a line of JSON: %s", fetched.text);
    }
    fetched.text[len - 1] = 0;
    char *newline = strrchr(fetched.text, '\n');
    fetched.report = newline == NULL ? fetched.text : newline + 1;
    return fetched;
}

void fetched_free(struct fetched *fetched) {
    free(fetched->body);
    free(fetched->text);
    *fetched = (struct fetched){0};
}

void fetched_assert(const struct fetched *fetched, const char *title, int status, const char *error) {
    char start[32];
    char end[96];
    snprintf(start, sizeof start, "{\"status\":%d,", status);
    snprintf(end, sizeof end, error == NULL ? "\"error\":null" : "\"error\":\"%s\"", error);
    if (strstr(fetched->report, start) != fetched->report || strstr(fetched->report, end) == NULL) {
        fail_msg("%s: not %s and %s, but %s", title, start, end, fetched->report);
    }
    if ((fetched->exit_code != 0) != (error != NULL)) {
        fail_msg("%s: exit code %d", title, fetched->exit_code);
    }
}

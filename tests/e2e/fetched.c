#include "tests/e2e/fetched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fetched fetched_run(const char *program, const char *const *arguments) {
    struct fetched fetched = {.said = program_run(program, arguments)};
    char *text = fetched.said.err;
    size_t len = fetched.said.err_len;
    if (len < 2 || text[len - 1] != '\n' || text[len - 2] != '}') {
        fail_msg("stderr does not end with a line of JSON: %s", text);
    }
    text[len - 1] = 0;
    char *newline = strrchr(text, '\n');
    fetched.report = newline == NULL ? text : newline + 1;
    return fetched;
}

void fetched_free(struct fetched *fetched) {
    program_free(&fetched->said);
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
    if ((fetched->said.exit_code != 0) != (error != NULL)) {
        fail_msg("%s: exit code %d", title, fetched->said.exit_code);
    }
}

// A run of the fetch example, as a user starts it, and what it said. The test's main thread; what cannot go on fails
// the test.
#ifndef QUOIT_TESTS_E2E_FETCHED_H
#define QUOIT_TESTS_E2E_FETCHED_H

#include <stddef.h>

enum { FETCHED_ARGUMENTS_MAX = 30 };

struct fetched {
    int exit_code;
    char *body; // stdout, with a NUL behind it
    size_t body_len;
    char *text;   // stderr
    char *report; // its last line, in `text`
};

// fetched_run runs `program` with `arguments` (NULL ends them) to its end, and demands that it exits and ends stderr
// with one line of JSON. Whoever can hang is given a --max-time. fetched_free frees what it said.
struct fetched fetched_run(const char *program, const char *const *arguments);
void fetched_free(struct fetched *fetched);

// fetched_assert demands what the report says: `status`, and the name of the error, or NULL for none. The exit code
// must fit. `title` is of the case, for the message.
void fetched_assert(const struct fetched *fetched, const char *title, int status, const char *error);

#endif

// A run of the fetch example, as a user starts it, and what it reported. The test's main thread; what cannot go on
// fails the test.
#ifndef QUOIT_TESTS_E2E_FETCHED_H
#define QUOIT_TESTS_E2E_FETCHED_H

#include "tests/support/program.h"

struct fetched {
    struct program_said said; // its `out` is the body
    char *report;             // the last line of stderr, inside `said`
};

// fetched_run runs `program` with `arguments` (NULL ends them) to its end, and demands that stderr ends with a line of
// JSON. fetched_free frees what it said.
struct fetched fetched_run(const char *program, const char *const *arguments);
void fetched_free(struct fetched *fetched);

// fetched_assert demands what the report says: `status`, and the name of the error, or NULL for none. The exit code
// must fit. `title` is of the case, for the message.
void fetched_assert(const struct fetched *fetched, const char *title, int status, const char *error);

#endif

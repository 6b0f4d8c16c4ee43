// A program that a test runs to its end, and what it said: the examples, and Debian's curl. Whoever can hang is told a
// limit of its own by its arguments. The test's main thread; what cannot go on fails the test.
#ifndef QUOIT_TESTS_SUPPORT_PROGRAM_H
#define QUOIT_TESTS_SUPPORT_PROGRAM_H

#include <stddef.h>

enum { PROGRAM_ARGUMENTS_MAX = 40 };

struct program_said {
    int exit_code;
    char *out; // stdout, with a NUL behind it
    size_t out_len;
    char *err; // stderr, likewise
    size_t err_len;
};

// program_run runs the file `program` with `arguments` (NULL ends them) in the test's environment. program_free frees
// what it said.
struct program_said program_run(const char *program, const char *const *arguments);
void program_free(struct program_said *said);

#endif

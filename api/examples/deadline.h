// The one bound of a whole program: a moment after which nothing waits any more. It is there for what is outside of the
// engine, above all a stdout that nobody reads: an interval timer's signal, without SA_RESTART, ends the system call that
// waits, and comes again and again, so that one which begins to wait just behind it ends as well.
#ifndef QUOIT_API_EXAMPLES_DEADLINE_H
#define QUOIT_API_EXAMPLES_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// deadline_set makes it come in `ms` from now. Once, before other threads exist.
void deadline_set(uint64_t ms);

// deadline_left_ms gives what is left, at least 1 until it has passed; 0: it has passed, UINT64_MAX: it was not set.
uint64_t deadline_left_ms(void);

// deadline_write writes all of it to a descriptor. False: errno says why; EINTR: the deadline passed, and so did
// `grace_ms` after it or after the call, whatever was later.
bool deadline_write(int fd, const char *data, size_t len, uint64_t grace_ms);

// deadline_read_file reads a whole file into memory, which the caller frees. NULL: errno says why, as above.
char *deadline_read_file(const char *path, size_t *out_len);

#endif

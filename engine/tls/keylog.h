// Key log: a file into which the secrets of connections are written, for those who must read their own traffic. The file is
// given explicitly, and never taken from an environment.
//
// It is opened by path for each line, appended to and closed: a number that stays open can be closed by a stranger, and the
// secrets would then go into whatever file has the number next. Made for its owner's eyes alone (0600) if it is not there.
//
// Life: q_key_log_new, counted holders, the last release frees. It lies in libc's memory: contexts that hold it outlive the
// configuration. Immutable; any thread. Writing blocks on the file: it is for debugging.
#ifndef QUOIT_ENGINE_TLS_KEYLOG_H
#define QUOIT_ENGINE_TLS_KEYLOG_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

struct q_key_log;

// q_key_log_new gives a log that appends to the file at `path`, which is opened once to see that it can be.
// Errors: TLS_FILE with the errno, NO_MEMORY, INVALID_ARGUMENT (no path, or a NUL in it).
Q_MUST_USE struct q_error q_key_log_new(struct q_key_log **out, struct q_slice path);

// q_key_log_acquire adds a holder for one who is one.
struct q_key_log *q_key_log_acquire(struct q_key_log *log);

// q_key_log_release ends one; NULL is nothing.
void q_key_log_release(struct q_key_log *log);

// q_key_log_write appends one line, whole or not at all as far as the kernel does. A failure is not told: a connection
// does not end for its log.
void q_key_log_write(const struct q_key_log *log, const char *line);

#endif

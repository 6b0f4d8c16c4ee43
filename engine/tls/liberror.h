// Liberror: what the TLS library's list of errors says of the call that just failed. The list belongs to the calling
// thread and lasts until somebody clears it: it is cleared before each call whose failure is looked at, and after it.
// Thread-free: each thread has a list of its own.
#ifndef QUOIT_ENGINE_TLS_LIBERROR_H
#define QUOIT_ENGINE_TLS_LIBERROR_H

#include "engine/base/error.h"

#include <stdbool.h>

// q_liberror_was_memory tells whether a call failed for want of memory, and clears the list. The library says so in the
// first line, or does not say there what failed; about bytes that it cannot read it always does.
bool q_liberror_was_memory(void);

// q_liberror_has_memory tells whether any line is about want of memory, and clears the list: for calls that may fail without
// a line, and for others that go on with what is left when there is none. A few failed allocations leave no trace at all.
bool q_liberror_has_memory(void);

// q_liberror_kind gives what a server has done wrong, by the library's error: TLS_PROTOCOL unless there is a kind of its own
// for it.
enum q_error_code q_liberror_kind(uint32_t packed);

#endif

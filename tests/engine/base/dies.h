// Whether something dies as a broken invariant must: in a child process, so that the test lives on.
#ifndef QUOIT_TESTS_ENGINE_BASE_DIES_H
#define QUOIT_TESTS_ENGINE_BASE_DIES_H

#include <stdbool.h>
#include <stddef.h>

// dies_saying runs `fn` in a child. True when it aborted, and its stderr holds `words`. No other thread may be running.
bool dies_saying(void (*fn)(void *context), void *context, const char *words);

#endif

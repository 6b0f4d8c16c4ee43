// An allocator for tests: it can fail one call, counts, and finds leaks, double and foreign frees, wrong sizes and
// writes past the end. Memory that was freed is overwritten; memory that is given is not zero.
// Any thread may call it, as q_alloc demands, and ask it; what q_failalloc_check tells is final when nobody allocates.
#ifndef QUOIT_TESTS_SUPPORT_FAILALLOC_H
#define QUOIT_TESTS_SUPPORT_FAILALLOC_H

#include "engine/base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

struct q_failalloc;

// q_failalloc_new makes one. Never NULL.
struct q_failalloc *q_failalloc_new(void);

// q_failalloc_free frees it, and whatever leaked from it.
void q_failalloc_free(struct q_failalloc *failalloc);

const struct q_alloc *q_failalloc_alloc(struct q_failalloc *failalloc);

// q_failalloc_fail_at makes the `nth` allocation from now on (1 is the next) give NULL, once; 0 lets all succeed.
// q_failalloc_fail_from makes that one and all after it fail.
void q_failalloc_fail_at(struct q_failalloc *failalloc, uint64_t nth);
void q_failalloc_fail_from(struct q_failalloc *failalloc, uint64_t nth);

// q_failalloc_failed tells whether an allocation has been made to fail since fail_at: when not, the test has seen
// every place.
bool q_failalloc_failed(const struct q_failalloc *failalloc);

uint64_t q_failalloc_calls(const struct q_failalloc *failalloc);      // allocations so far
uint64_t q_failalloc_live(const struct q_failalloc *failalloc);       // blocks that are out
uint64_t q_failalloc_live_bytes(const struct q_failalloc *failalloc);
uint64_t q_failalloc_peak_bytes(const struct q_failalloc *failalloc);

// q_failalloc_faults counts frees of what was not given, wrong sizes and overruns.
uint64_t q_failalloc_faults(const struct q_failalloc *failalloc);

// q_failalloc_watch has every block that comes back from now on searched for `text`, which must stay; up to four texts.
// q_failalloc_found counts the blocks that had one of them in it: secrets that were not wiped.
void q_failalloc_watch(struct q_failalloc *failalloc, const char *text);
uint64_t q_failalloc_found(const struct q_failalloc *failalloc);

// q_failalloc_check is true when nothing is out and no fault happened; otherwise it says so in `text`, with the sizes
// of the first leaks.
bool q_failalloc_check(struct q_failalloc *failalloc, char *text, size_t text_size);

#endif

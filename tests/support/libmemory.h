// The memory of the TLS library, in tests that link this: counted, and made to fail at a chosen allocation. It defines the
// library's own hooks (OPENSSL_memory_alloc and its kind), so the whole program's library goes through it.
// Any thread may allocate; the counts are read when nobody does.
#ifndef QUOIT_TESTS_SUPPORT_LIBMEMORY_H
#define QUOIT_TESTS_SUPPORT_LIBMEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// q_libmemory_live_bytes is what is out now; q_libmemory_live the number of pieces.
size_t q_libmemory_live_bytes(void);
size_t q_libmemory_live(void);

// q_libmemory_fail_at makes the `nth` allocation from now on fail, once; 0: none. q_libmemory_failed: whether one has.
void q_libmemory_fail_at(uint64_t nth);
bool q_libmemory_failed(void);

// q_libmemory_suspend has what is allocated meanwhile not fail, and not count for the next that is to: the other side's, in
// one process with what is tested.
void q_libmemory_suspend(bool suspended);

#endif

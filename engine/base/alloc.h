// Allocator: the seam for memory. Given once per engine by the host, or libc's. Everything that the engine allocates
// goes through it, so that a host sees all of it and a test can fail the N-th call.
// The functions may be called from any thread that calls into Quoit and from the loop thread; they must be
// thread-safe and must not call Quoit.
#ifndef QUOIT_ENGINE_BASE_ALLOC_H
#define QUOIT_ENGINE_BASE_ALLOC_H

#include "engine/base/check.h"

#include <stddef.h>

struct q_alloc {
    void *(*allocate)(void *context, size_t size);                          // NULL when there is none
    void (*release)(void *context, void *ptr, size_t size);                 // size as allocated; ptr never NULL
    void *context;
};

// q_alloc_libc is malloc and free; constant, never freed.
const struct q_alloc *q_alloc_libc(void);

// q_alloc_new gives `size` bytes of zeros, aligned for any type, or NULL. Free with q_alloc_free and the same size.
Q_MUST_USE void *q_alloc_new(const struct q_alloc *alloc, size_t size);

// q_alloc_new_array gives `count` zeroed elements of `size` bytes; NULL also when the product overflows.
Q_MUST_USE void *q_alloc_new_array(const struct q_alloc *alloc, size_t count, size_t size);

// q_alloc_free gives memory back; `ptr` may be NULL.
void q_alloc_free(const struct q_alloc *alloc, void *ptr, size_t size);

// q_alloc_copy gives a copy of `len` bytes with a NUL behind them (so len + 1 bytes are to be freed), or NULL.
Q_MUST_USE char *q_alloc_copy(const struct q_alloc *alloc, const void *data, size_t len);

// q_wipe overwrites `len` bytes with zeros; the compiler does not take it out, though nobody reads them any more. `ptr`
// may be NULL when `len` is 0. It is for what must not be found in memory that somebody else gets next, in a core file or
// in swap; copies in registers and on stacks are beyond it.
void q_wipe(void *ptr, size_t len);

// q_alloc_free_wiped is q_alloc_free for memory that a secret lay in.
void q_alloc_free_wiped(const struct q_alloc *alloc, void *ptr, size_t size);

#endif

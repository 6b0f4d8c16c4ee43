// An allocator that fails its N-th call and counts what is out: scenarios run once for each N, until one passes.
// For one thread.
#ifndef QUOIT_TESTS_ENGINE_WIRE_FAILING_ALLOC_H
#define QUOIT_TESTS_ENGINE_WIRE_FAILING_ALLOC_H

#include "engine/base/alloc.h"

#include <stdbool.h>
#include <stdlib.h>

struct failing_alloc {
    struct q_alloc alloc;
    size_t calls;
    size_t fail_at; // 1: the first call fails; 0: none
    size_t bytes_out;
};

static inline void *failing_alloc_get(void *context, size_t size) {
    struct failing_alloc *f = context;
    if (++f->calls == f->fail_at) {
        return NULL;
    }
    f->bytes_out += size;
    return malloc(size);
}

static inline void failing_alloc_put(void *context, void *ptr, size_t size) {
    struct failing_alloc *f = context;
    f->bytes_out -= size;
    free(ptr);
}

static inline void failing_alloc_init(struct failing_alloc *f, size_t fail_at) {
    *f = (struct failing_alloc){.alloc = {failing_alloc_get, failing_alloc_put, f}, .fail_at = fail_at};
}

static inline bool failing_alloc_has_failed(const struct failing_alloc *f) {
    return f->fail_at != 0 && f->calls >= f->fail_at;
}

#endif

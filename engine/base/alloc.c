#include "engine/base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *libc_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void libc_release(void *context, void *ptr, size_t size) {
    (void)context;
    (void)size;
    free(ptr);
}

static const struct q_alloc k_libc = {.allocate = libc_allocate, .release = libc_release};

const struct q_alloc *q_alloc_libc(void) { return &k_libc; }

void *q_alloc_new(const struct q_alloc *alloc, size_t size) {
    Q_ASSERT(size > 0);
    void *ptr = alloc->allocate(alloc->context, size);
    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

void *q_alloc_new_array(const struct q_alloc *alloc, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total) || total == 0) {
        return NULL;
    }
    return q_alloc_new(alloc, total);
}

void q_alloc_free(const struct q_alloc *alloc, void *ptr, size_t size) {
    if (ptr != NULL) {
        alloc->release(alloc->context, ptr, size);
    }
}

void q_wipe(void *ptr, size_t len) {
    if (len > 0) {
        memset(ptr, 0, len);
        __asm__ __volatile__("" : : "r"(ptr) : "memory"); // a reader, as far as the compiler can tell
    }
}

void q_alloc_free_wiped(const struct q_alloc *alloc, void *ptr, size_t size) {
    if (ptr != NULL) {
        q_wipe(ptr, size);
        alloc->release(alloc->context, ptr, size);
    }
}

char *q_alloc_copy(const struct q_alloc *alloc, const void *data, size_t len) {
    if (len == SIZE_MAX) {
        return NULL; // no room for the NUL
    }
    char *copy = alloc->allocate(alloc->context, len + 1);
    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, data, len);
        }
        copy[len] = 0;
    }
    return copy;
}

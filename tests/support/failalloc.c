#define _GNU_SOURCE
#include "tests/support/failalloc.h"

#include "engine/base/list.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 16
#define GUARD 0xEC
#define BUCKETS 1024
#define WATCHED_MAX 4

// In front of each block; the guard is behind it.
struct block {
    struct q_list_node in_bucket;
    size_t size;
    uint64_t number;
    _Alignas(16) char data[];
};

struct q_failalloc {
    struct q_alloc alloc;
    pthread_mutex_t lock;
    struct q_list buckets[BUCKETS]; // by address: a free of a stranger is found, and not followed
    uint64_t calls;
    uint64_t fail_at; // number of a call, or 0
    bool fails_on;    // and of all behind it
    bool failed;
    uint64_t live;
    uint64_t live_bytes;
    uint64_t peak_bytes;
    uint64_t faults;
    uint64_t found;
    const char *watched[WATCHED_MAX];
};

static struct q_list *bucket_of(struct q_failalloc *failalloc, const void *ptr) {
    return &failalloc->buckets[((uintptr_t)ptr >> 4) % BUCKETS];
}

static void *allocate(void *context, size_t size) {
    struct q_failalloc *failalloc = context;
    pthread_mutex_lock(&failalloc->lock);
    uint64_t number = ++failalloc->calls;
    bool fails = failalloc->fail_at != 0 &&
                 (number == failalloc->fail_at || (failalloc->fails_on && number > failalloc->fail_at));
    failalloc->failed = failalloc->failed || fails;
    struct block *block = fails ? NULL : malloc(sizeof *block + size + GUARD_BYTES);
    if (block != NULL) {
        *block = (struct block){.size = size, .number = number};
        memset(block->data, 0xA1, size);
        memset(block->data + size, GUARD, GUARD_BYTES);
        q_list_push_back(bucket_of(failalloc, block->data), &block->in_bucket);
        failalloc->live++;
        failalloc->live_bytes += size;
        if (failalloc->live_bytes > failalloc->peak_bytes) {
            failalloc->peak_bytes = failalloc->live_bytes;
        }
    }
    pthread_mutex_unlock(&failalloc->lock);
    return block != NULL ? block->data : NULL;
}

static struct block *find(struct q_failalloc *failalloc, const void *ptr) {
    struct q_list *bucket = bucket_of(failalloc, ptr);
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct block *block = q_container_of(node, struct block, in_bucket);
        if (block->data == ptr) {
            return block;
        }
    }
    return NULL;
}

static bool is_overrun(const struct block *block) {
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if ((unsigned char)block->data[block->size + i] != GUARD) {
            return true;
        }
    }
    return false;
}

static bool has_watched(const struct q_failalloc *failalloc, const struct block *block) {
    for (size_t i = 0; i < WATCHED_MAX && failalloc->watched[i] != NULL; i++) {
        const char *text = failalloc->watched[i];
        if (memmem(block->data, block->size, text, strlen(text)) != NULL) {
            return true;
        }
    }
    return false;
}

static void release(void *context, void *ptr, size_t size) {
    struct q_failalloc *failalloc = context;
    pthread_mutex_lock(&failalloc->lock);
    struct block *block = find(failalloc, ptr);
    if (block == NULL) {
        failalloc->faults++; // never given, or given back already
    } else {
        failalloc->faults += block->size != size;
        failalloc->faults += is_overrun(block);
        failalloc->found += has_watched(failalloc, block);
        q_list_remove(&block->in_bucket);
        failalloc->live--;
        failalloc->live_bytes -= block->size;
        memset(block->data, 0xDD, block->size);
        __asm__ volatile("" : : "r"(block->data) : "memory"); // or the compiler leaves it out: nobody may read it
        free(block);
    }
    pthread_mutex_unlock(&failalloc->lock);
}

struct q_failalloc *q_failalloc_new(void) {
    struct q_failalloc *failalloc = calloc(1, sizeof *failalloc);
    Q_CHECK(failalloc != NULL);
    failalloc->alloc = (struct q_alloc){.allocate = allocate, .release = release, .context = failalloc};
    pthread_mutex_init(&failalloc->lock, NULL);
    for (size_t i = 0; i < BUCKETS; i++) {
        q_list_init(&failalloc->buckets[i]);
    }
    return failalloc;
}

void q_failalloc_free(struct q_failalloc *failalloc) {
    for (size_t i = 0; i < BUCKETS; i++) {
        struct q_list_node *node;
        while ((node = q_list_pop_front(&failalloc->buckets[i])) != NULL) {
            free(q_container_of(node, struct block, in_bucket));
        }
    }
    pthread_mutex_destroy(&failalloc->lock);
    free(failalloc);
}

void q_failalloc_watch(struct q_failalloc *failalloc, const char *text) {
    pthread_mutex_lock(&failalloc->lock);
    size_t num = 0;
    while (num < WATCHED_MAX && failalloc->watched[num] != NULL) {
        num++;
    }
    Q_CHECK(num < WATCHED_MAX);
    failalloc->watched[num] = text;
    pthread_mutex_unlock(&failalloc->lock);
}

const struct q_alloc *q_failalloc_alloc(struct q_failalloc *failalloc) { return &failalloc->alloc; }

static void fail(struct q_failalloc *failalloc, uint64_t nth, bool on) {
    pthread_mutex_lock(&failalloc->lock);
    failalloc->fail_at = nth == 0 ? 0 : failalloc->calls + nth;
    failalloc->fails_on = on;
    failalloc->failed = false;
    pthread_mutex_unlock(&failalloc->lock);
}

// A number that another thread may be about to change.
static uint64_t read_locked(const struct q_failalloc *failalloc, const uint64_t *number) {
    pthread_mutex_t *lock = &((struct q_failalloc *)(uintptr_t)failalloc)->lock;
    pthread_mutex_lock(lock);
    uint64_t value = *number;
    pthread_mutex_unlock(lock);
    return value;
}

void q_failalloc_fail_at(struct q_failalloc *failalloc, uint64_t nth) { fail(failalloc, nth, false); }
void q_failalloc_fail_from(struct q_failalloc *failalloc, uint64_t nth) { fail(failalloc, nth, true); }

bool q_failalloc_failed(const struct q_failalloc *failalloc) {
    pthread_mutex_t *lock = &((struct q_failalloc *)(uintptr_t)failalloc)->lock;
    pthread_mutex_lock(lock);
    bool failed = failalloc->failed;
    pthread_mutex_unlock(lock);
    return failed;
}

uint64_t q_failalloc_calls(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->calls); }
uint64_t q_failalloc_live(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->live); }
uint64_t q_failalloc_live_bytes(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->live_bytes); }
uint64_t q_failalloc_peak_bytes(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->peak_bytes); }
uint64_t q_failalloc_found(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->found); }
uint64_t q_failalloc_faults(const struct q_failalloc *failalloc) { return read_locked(failalloc, &failalloc->faults); }

bool q_failalloc_check(struct q_failalloc *failalloc, char *text, size_t text_size) {
    if (failalloc->live == 0 && failalloc->faults == 0) {
        return true;
    }
    int at = snprintf(text, text_size, "allocator: %llu faults, %llu blocks out:",
                      (unsigned long long)failalloc->faults, (unsigned long long)failalloc->live);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct q_list_node *node = failalloc->buckets[i].head.next; node != &failalloc->buckets[i].head;
             node = node->next) {
            const struct block *block = q_container_of(node, struct block, in_bucket);
            if (at >= 0 && (size_t)at + 40 < text_size) {
                at += snprintf(text + at, text_size - (size_t)at, " %zu (call %llu)", block->size,
                               (unsigned long long)block->number);
            }
        }
    }
    return false;
}

#include "tests/support/libmemory.h"

#include "engine/base/check.h"

#include <openssl/mem.h>
#include <pthread.h>
#include <stdlib.h>

struct piece {
    size_t size;
    _Alignas(16) char data[];
};

static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t the_live_bytes;
static size_t the_live;
static uint64_t the_fail_at; // counts down; 0: never
static bool has_failed;
static bool is_suspended;

// The library's hooks, weak there.
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *ptr);
size_t OPENSSL_memory_get_size(void *ptr);

static struct piece *piece_of(void *ptr) { return q_container_of(ptr, struct piece, data); }

void *OPENSSL_memory_alloc(size_t size) {
    pthread_mutex_lock(&the_lock);
    bool fails = the_fail_at != 0 && !is_suspended && --the_fail_at == 0;
    struct piece *piece = fails ? NULL : malloc(sizeof *piece + size);
    has_failed = has_failed || fails;
    if (piece != NULL) {
        piece->size = size;
        the_live_bytes += size;
        the_live++;
    }
    pthread_mutex_unlock(&the_lock);
    return piece == NULL ? NULL : piece->data;
}

void OPENSSL_memory_free(void *ptr) {
    struct piece *piece = piece_of(ptr);
    pthread_mutex_lock(&the_lock);
    the_live_bytes -= piece->size;
    the_live--;
    pthread_mutex_unlock(&the_lock);
    OPENSSL_cleanse(ptr, piece->size); // the hook's duty
    free(piece);
}

size_t OPENSSL_memory_get_size(void *ptr) { return piece_of(ptr)->size; }

size_t q_libmemory_live_bytes(void) {
    pthread_mutex_lock(&the_lock);
    size_t bytes = the_live_bytes;
    pthread_mutex_unlock(&the_lock);
    return bytes;
}

size_t q_libmemory_live(void) {
    pthread_mutex_lock(&the_lock);
    size_t live = the_live;
    pthread_mutex_unlock(&the_lock);
    return live;
}

void q_libmemory_fail_at(uint64_t nth) {
    pthread_mutex_lock(&the_lock);
    the_fail_at = nth;
    has_failed = false;
    pthread_mutex_unlock(&the_lock);
}

void q_libmemory_suspend(bool suspended) {
    pthread_mutex_lock(&the_lock);
    is_suspended = suspended;
    pthread_mutex_unlock(&the_lock);
}

bool q_libmemory_failed(void) {
    pthread_mutex_lock(&the_lock);
    bool failed = has_failed;
    pthread_mutex_unlock(&the_lock);
    return failed;
}

// Rendezvous hooks: named points in lock-free code at which a test may hold a thread, so that a schedule is a script
// and not luck. Compiled to nothing in what users get. Thread-free.
//
// A test sets q_hook_fn by q_hook_set; an engine's thread may be running (tests/support/schedule.h sets and clears it).
#ifndef QUOIT_ENGINE_BASE_HOOK_H
#define QUOIT_ENGINE_BASE_HOOK_H

#if defined(Q_HOOKS) && Q_HOOKS
#include <stdbool.h>
#include <stddef.h>

extern void (*q_hook_fn)(const char *name);

// What hook_counts.h tells a test: an atomic read-modify-write, or a copy of `len` bytes, in `function`. Set before the
// first engine is made; NULL: nobody counts. Called from any thread.
extern void (*q_hook_rmw_fn)(const char *function, bool is_done);
extern void (*q_hook_copy_fn)(const char *function, size_t len);

static inline void q_hook_set(void (*fn)(const char *name)) {
    __atomic_store_n(&q_hook_fn, fn, __ATOMIC_RELEASE);
}

static inline void q_hook_reach(const char *name) {
    void (*fn)(const char *) = __atomic_load_n(&q_hook_fn, __ATOMIC_ACQUIRE);
    if (fn != NULL) {
        fn(name);
    }
}

#define Q_HOOK(name) q_hook_reach(name)
#else
#define Q_HOOK(name) ((void)0)
#endif

#endif

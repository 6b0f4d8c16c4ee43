// Counts what is dear, for tests: each atomic read-modify-write and each memcpy or memmove of engine code, by the name
// of the function that it stands in. bazel/defs.bzl includes this file before every file of the hooked libraries, so no
// place can be forgotten, neither old ones nor new ones; what users get does not know of it. Thread-free.
//
// What is counted: all read-modify-writes by way of <stdatomic.h> or gcc's __atomic builtins, a compare-and-swap that
// has lost told apart from one that was done; a sequentially consistent store and fence too, which cost the same. gcc's
// older __sync builtins do not compile here. What is not: plain atomic loads and stores; copies by hand or by assigning
// a struct; what the kernel and libc do; operators on an _Atomic (`word++`), of which there are none in the engine.
#ifndef QUOIT_ENGINE_BASE_HOOK_COUNTS_H
#define QUOIT_ENGINE_BASE_HOOK_COUNTS_H

#if defined(Q_HOOKS) && Q_HOOKS
#include "engine/base/hook.h"

#include <stdatomic.h>
#include <string.h>

static inline bool q_hook_rmw(const char *function, bool is_done) {
    if (q_hook_rmw_fn != NULL) {
        q_hook_rmw_fn(function, is_done);
    }
    return is_done;
}

static inline void *q_hook_memcpy(const char *function, void *to, const void *from, size_t len) {
    if (q_hook_copy_fn != NULL) {
        q_hook_copy_fn(function, len);
    }
    return memcpy(to, from, len);
}

static inline void *q_hook_memmove(const char *function, void *to, const void *from, size_t len) {
    if (q_hook_copy_fn != NULL) {
        q_hook_copy_fn(function, len);
    }
    return memmove(to, from, len);
}

#undef memcpy
#undef memmove
#define memcpy(...) q_hook_memcpy(__func__, __VA_ARGS__)
#define memmove(...) q_hook_memmove(__func__, __VA_ARGS__)

// gcc's <stdatomic.h> is macros over these builtins; clang's is not, and is not counted.
#ifndef __clang__
#define Q_HOOK_RMW_DONE ((void)q_hook_rmw(__func__, true))

#define __atomic_fetch_add(...) (Q_HOOK_RMW_DONE, __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...) (Q_HOOK_RMW_DONE, __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_and(...) (Q_HOOK_RMW_DONE, __atomic_fetch_and(__VA_ARGS__))
#define __atomic_fetch_or(...) (Q_HOOK_RMW_DONE, __atomic_fetch_or(__VA_ARGS__))
#define __atomic_fetch_xor(...) (Q_HOOK_RMW_DONE, __atomic_fetch_xor(__VA_ARGS__))
#define __atomic_fetch_nand(...) (Q_HOOK_RMW_DONE, __atomic_fetch_nand(__VA_ARGS__))
#define __atomic_add_fetch(...) (Q_HOOK_RMW_DONE, __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...) (Q_HOOK_RMW_DONE, __atomic_sub_fetch(__VA_ARGS__))
#define __atomic_and_fetch(...) (Q_HOOK_RMW_DONE, __atomic_and_fetch(__VA_ARGS__))
#define __atomic_or_fetch(...) (Q_HOOK_RMW_DONE, __atomic_or_fetch(__VA_ARGS__))
#define __atomic_xor_fetch(...) (Q_HOOK_RMW_DONE, __atomic_xor_fetch(__VA_ARGS__))
#define __atomic_nand_fetch(...) (Q_HOOK_RMW_DONE, __atomic_nand_fetch(__VA_ARGS__))
#define __atomic_exchange(...) (Q_HOOK_RMW_DONE, __atomic_exchange(__VA_ARGS__))
#define __atomic_exchange_n(...) (Q_HOOK_RMW_DONE, __atomic_exchange_n(__VA_ARGS__))
#define __atomic_test_and_set(...) (Q_HOOK_RMW_DONE, __atomic_test_and_set(__VA_ARGS__))
#define __atomic_compare_exchange(...) q_hook_rmw(__func__, __atomic_compare_exchange(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) q_hook_rmw(__func__, __atomic_compare_exchange_n(__VA_ARGS__))

#define Q_HOOK_IF_SEQ_CST(order) ((order) == __ATOMIC_SEQ_CST ? Q_HOOK_RMW_DONE : (void)0)
#define __atomic_store(word, value, order) (Q_HOOK_IF_SEQ_CST(order), __atomic_store((word), (value), (order)))
#define __atomic_store_n(word, value, order) (Q_HOOK_IF_SEQ_CST(order), __atomic_store_n((word), (value), (order)))
#define __atomic_thread_fence(order) (Q_HOOK_IF_SEQ_CST(order), __atomic_thread_fence(order))

#pragma GCC poison __sync_fetch_and_add __sync_fetch_and_sub __sync_fetch_and_or __sync_fetch_and_and
#pragma GCC poison __sync_add_and_fetch __sync_sub_and_fetch __sync_or_and_fetch __sync_and_and_fetch
#pragma GCC poison __sync_bool_compare_and_swap __sync_val_compare_and_swap __sync_lock_test_and_set __sync_synchronize
#endif
#endif

#endif

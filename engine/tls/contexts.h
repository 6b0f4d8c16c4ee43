// Contexts: what is dear to build is built once per loop and kept while it is used, and for a while behind that. A
// cache from digests of configs to values (SSL_CTX) that its owner builds and destroys; of neither does it know
// anything.
//
// Vocabulary. *Context*: an entry with a value, named by {index, generation}. *User*: who got it and has not released
// it. A context with users is never evicted, however many there are. *Current*: the one that a get with its digest
// finds. *Stale*: not current any more (invalidated); it serves nobody new and ends with its last user. *Idle*:
// current, without users; idle ones alone are evicted (the longest idle first, when there are more contexts than
// `capacity`) and expire. Both count from the last release, not from the last get: a context that is used for an hour
// is fresh when it comes back.
//
// Single flight: a get that finds its context being built waits for that build, and gets its outcome. Failures are kept
// too, for a short while: a host that asks again and again must not make the loop build again and again.
//
// Life of an entry:
//     building --> ready (users > 0) <--> ready (idle) --> ending --> gone
//         |           '--invalidate--> ready, stale --last release--^
//         '------> failed --expiry, room, invalidate--> gone
// A value is destroyed by a task of the loop, never inside the call that ended it: the last release may come from a
// callback of something that the value itself is busy with. Nobody is told anything inside a call of his own either.
//
// Room is made before an entry is taken, so none is its own victim. When all are in use one more is made all the same,
// and counted: capacity bounds what is kept for later; what is in use is bounded by its users. Loop thread only.
#ifndef QUOIT_ENGINE_TLS_CONTEXTS_H
#define QUOIT_ENGINE_TLS_CONTEXTS_H

#include "engine/base/error.h"
#include "engine/base/slots.h"
#include "engine/loop/loop.h"

#define Q_CONTEXTS_DIGEST_LEN 32
#define Q_CONTEXTS_BUCKETS    64 // contexts are few; beyond the usual capacity a bucket has more than one

// In use at once, those being built and failures included; as many as there are requests, each with a config of its
// own.
#define Q_CONTEXTS_MAX 16384

enum q_build_result {
    Q_BUILD_DONE,   // the value was given
    Q_BUILD_FAILED, // the error was
    Q_BUILD_LATER,  // q_contexts_built or q_contexts_build_failed will follow
};

struct q_contexts_owner {
    // Makes the value for `digest` from `material`, which is what the caller of q_contexts_get gave and is there during
    // the call alone. `context` names the entry for an outcome that comes later.
    enum q_build_result (*build)(void *owner, struct q_handle context, const uint8_t *digest, const void *material,
                                 void **out_value, struct q_error *out_error);
    // Frees a value that nobody uses any more. It may release contexts and ask for others.
    void (*destroy)(void *owner, void *value);
};

struct q_contexts_options {
    uint32_t capacity;   // at least 1
    uint64_t idle_ns;    // how long an idle context is kept
    uint64_t failure_ns; // how long a failure is; 0: not at all
};

struct q_contexts_stats {
    uint64_t hits;      // served from a value that was there
    uint64_t misses;    // began a build, or waited for one
    uint64_t builds;    // that were begun
    uint64_t failures;  // builds that failed
    uint64_t refused;   // by a failure that was kept
    uint64_t evictions; // idle contexts and failures that made room
    uint64_t expired;   // idle contexts and failures whose time was over
    uint64_t overflows; // entries made although all others were in use
    uint64_t destroyed; // values
    uint32_t current;   // entries that a get finds, failures too
    uint32_t stale;     // with users, or being built
};

// Embedded by who asks; linked while it waits. `on_ready` gives a context of which the waiter is a user; exactly one of
// the two is called, from a task of the loop, unless q_contexts_cancel comes first.
struct q_context_waiter {
    struct q_list_node link;
    void (*on_ready)(struct q_context_waiter *waiter, struct q_handle context);
    void (*on_failed)(struct q_context_waiter *waiter, struct q_error error);
    struct q_handle context; // the one that it waits for, and is a user of once is_ready
    struct q_error error;
    bool is_ready;
};

struct q_contexts {
    struct q_loop *loop;
    const struct q_contexts_owner *functions;
    void *owner;
    struct q_contexts_options options;
    struct q_contexts_stats stats;
    struct q_slots entries;
    struct q_list buckets[Q_CONTEXTS_BUCKETS]; // the current ones
    struct q_list idle;                        // the longest idle first
    struct q_list failed;                      // the oldest first
    struct q_list ending;
    struct q_list outcomes; // waiters that are to be told
    struct q_task task;     // destroys, and tells
    struct q_timer timer;   // of the first to expire
    uint64_t timer_ns;
    bool is_over; // being unmade, maybe not by the loop's thread
};

enum q_contexts_result {
    Q_CONTEXTS_NOW,     // the caller is a user of `out_context`, and ends that with q_contexts_release
    Q_CONTEXTS_WAITING, // `waiter` will be told
    Q_CONTEXTS_FAILED,  // `out_error` says why
};

// q_contexts_init prepares an empty cache. `loop`, `functions` and `owner` outlive it. False: no memory; it is in its
// zero state then.
Q_MUST_USE bool q_contexts_init(struct q_contexts *contexts, const struct q_alloc *alloc, struct q_loop *loop,
                                const struct q_contexts_options *options, const struct q_contexts_owner *functions,
                                void *owner);

// q_contexts_deinit destroys all values at once; on the loop's thread, or when the loop is over. Nobody may use a context or
// wait for one, and no build be under way (checked). Legal on a zeroed cache.
void q_contexts_deinit(struct q_contexts *contexts);

// q_contexts_get asks for the context of `digest`, and builds it from `material` if it is not there. `waiter`, with its
// two functions set, is used with Q_CONTEXTS_WAITING alone. Errors: those of `build`, now or lately, and NO_MEMORY,
// which is not kept. Never calls the caller back before it returns, nor does it destroy anything.
Q_MUST_USE enum q_contexts_result q_contexts_get(struct q_contexts *contexts,
                                                 const uint8_t digest[Q_CONTEXTS_DIGEST_LEN], const void *material,
                                                 struct q_context_waiter *waiter, struct q_handle *out_context,
                                                 struct q_error *out_error);

// q_contexts_cancel takes a waiter back, which is told nothing any more; the build goes on. One that does not wait is
// left alone.
void q_contexts_cancel(struct q_contexts *contexts, struct q_context_waiter *waiter);

// q_contexts_value gives the value of a context to one of its users (checked).
void *q_contexts_value(const struct q_contexts *contexts, struct q_handle context);

// q_contexts_is_current tells one of its users (checked) whether a context is the one that a get finds.
bool q_contexts_is_current(const struct q_contexts *contexts, struct q_handle context);

// q_contexts_acquire adds a user, for one who is a user (checked): stale ones too.
void q_contexts_acquire(struct q_contexts *contexts, struct q_handle context);

// q_contexts_release ends one use. One too many is a failed check.
void q_contexts_release(struct q_contexts *contexts, struct q_handle context);

// q_contexts_built and q_contexts_build_failed are the outcome of a build that was to come later, once (checked). With
// the first the value is the cache's.
void q_contexts_built(struct q_contexts *contexts, struct q_handle context, void *value);
void q_contexts_build_failed(struct q_contexts *contexts, struct q_handle context, struct q_error error);

// q_contexts_invalidate makes the context of `digest` stale, or drops the failure that is kept: the next get builds
// anew. Who uses it goes on; who waits for it gets it still. q_contexts_invalidate_all does so with all of them.
void q_contexts_invalidate(struct q_contexts *contexts, const uint8_t digest[Q_CONTEXTS_DIGEST_LEN]);
void q_contexts_invalidate_all(struct q_contexts *contexts);

// q_contexts_validate checks every invariant and stops the program when one is broken. For tests.
void q_contexts_validate(const struct q_contexts *contexts);

#endif

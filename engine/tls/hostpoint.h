// Hostpoint: a decision point as a host holds it: a number that the process gives out once, the host's context, and a
// function that is called when nobody can ask by it any more. Configs (policy.h) hold it besides the host, and whatever is
// made under a config holds that: contexts, pooled connections, sessions, requests.
//
// Identity. The number is all that tells points apart (in digests, and so in origin keys): two points with one context are
// two, and a context that is freed and given to a new point, at the same address, never meets what was made under the old.
//
// Holders. The host's holds are counted apart from the configs', so that one release too many is found out as long as
// a config has the point; a tag that is wiped finds out what has not been given out again. The host's holds together are
// one hold of the point.
//
// The end. The release function is called once, behind the last hold, and the point's memory goes: on the thread that let go,
// at once; but on a loop's thread, inside its tick, at the publish step, the one place where code of the host's may run. It is
// not called in a forked child of the process that made the point: what the context names is the parent's.
//
// Any thread.
#ifndef QUOIT_ENGINE_TLS_HOSTPOINT_H
#define QUOIT_ENGINE_TLS_HOSTPOINT_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/loop/loop.h"
#include "engine/tls/policy.h"

#include <stdatomic.h>

typedef void (*q_hostpoint_release_fn)(void *context);

// Hosts know no more of it than its name, which is therefore a public one.
struct quoit_tls_point {
    const struct q_alloc *alloc;
    uint64_t serial;
    void *context;
    q_hostpoint_release_fn release; // NULL: nobody wants to know
    uint32_t epoch;                 // of the process that made it
    _Atomic(uint32_t) holds;        // configs, and one for all of the host's
    _Atomic(uint32_t) hosts_holds;
    struct q_task farewell;
    uint64_t tag; // last, where an allocator that keeps its own notes in free memory comes late
};

// q_hostpoint_new gives a point with one hold of the host's. `alloc` must outlive it, and be one for any thread. Errors:
// NO_MEMORY; `release` is not called then.
Q_MUST_USE struct q_error q_hostpoint_new(struct quoit_tls_point **out, const struct q_alloc *alloc, void *context,
                                          q_hostpoint_release_fn release);

// q_hostpoint_is_hosts tells whether a pointer that a host gave is its own: not NULL, and not released.
bool q_hostpoint_is_hosts(const struct quoit_tls_point *point);

// q_hostpoint_acquire and q_hostpoint_release count the host's holds. They do nothing (false) when it has none.
bool q_hostpoint_acquire(struct quoit_tls_point *point);
bool q_hostpoint_release(struct quoit_tls_point *point);

// q_hostpoint_point gives the value that a policy has of a point: who copies it holds it (q_tls_point_hold). The caller has
// a hold, of whichever kind.
struct q_tls_point q_hostpoint_point(struct quoit_tls_point *point);

#endif

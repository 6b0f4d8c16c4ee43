// Pending word: life of an engine, and who is inside it, in one atomic word of a process-wide, type-stable table of
// engines. It answers, in one step each: does this handle still name the engine, may I come in, was I the last?
//
//     {requests:22, users:16, draining:1, closed:1, generation:24}
//
// Vocabulary. A *user* is a thread inside an API call: the engine's memory, doorbell and queue stay while it is inside.
// A *request* is one that was accepted and has not had its terminal event. Submit becomes a user and counts its
// requests in one step, before it pushes: so a shutdown can never pass it.
//
// Life:
//     open      {g} to live (by create). Generation 0 is never live.
//     drain     no more requests come in (draining); calls still do: cancel, grant, answer, read.
//     close     when no request is left: nobody comes in any more (closed).
//     the last user to leave a closed engine is told so, and only it: it must tell the loop, which it may still do,
//               as nothing is torn down before it did. When nobody is inside, close itself says so.
//     try_close is close for a user who ends the engine itself (destroy): only when it is alone inside.
//     retire    by the loop, when nobody is inside: g + 1, and the table's slot may be opened again. After 2^24
//               engines the slot is worn out.
//
// Thread-free: each function names its caller. Model: tests/model/pending.pml.
#ifndef QUOIT_ENGINE_QUEUE_PENDING_H
#define QUOIT_ENGINE_QUEUE_PENDING_H

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define Q_PENDING_REQUESTS_MAX ((UINT32_C(1) << 22) - 1)
#define Q_PENDING_USERS_MAX ((UINT32_C(1) << 16) - 1) // one per thread inside a call, and one per signal handler

// Alone on its cache line, whatever the alignment around it: each submit and each terminal event writes it.
struct q_pending {
    char unused_before[Q_CACHE_LINE - sizeof(uint64_t)];
    _Atomic(uint64_t) word;
    char unused_behind[Q_CACHE_LINE - sizeof(uint64_t)];
};

enum q_pending_result {
    Q_PENDING_ENTERED,  // inside: q_pending_leave must follow
    Q_PENDING_STALE,    // the generation is gone, or the engine is closed
    Q_PENDING_DRAINING, // no new requests
    Q_PENDING_FULL,     // more than `limit` requests
};

// q_pending_open makes the engine live and returns its generation; 0 when the slot is worn out. A zeroed word was never
// used. By create, which owns the slot.
Q_MUST_USE uint32_t q_pending_open(struct q_pending *p);

// q_pending_enter makes the caller a user of the engine that `generation` names. False: it is gone or closed, and
// nothing of it may be touched. Any thread; async-signal-safe.
Q_MUST_USE bool q_pending_enter(struct q_pending *p, uint32_t generation);

// q_pending_enter_requests makes the caller a user, and counts `n` requests, all or none; `limit` is the most that may
// be pending. Each accepted request ends by q_pending_end_requests, wherever that happens. Any thread.
Q_MUST_USE enum q_pending_result q_pending_enter_requests(struct q_pending *p, uint32_t generation, uint32_t n,
                                                          uint32_t limit);

// q_pending_leave ends the caller's use. True: the engine is closed and the caller was the last one inside; it must
// tell the loop, and only for that it may still touch the engine. Any thread; async-signal-safe.
Q_MUST_USE bool q_pending_leave(struct q_pending *p);

// q_pending_end_requests says that `n` requests are over. True: the engine is draining and has none left; who is not
// the loop (a submit that was refused by the queue) must tell the loop, before it leaves. Loop thread, or a user.
Q_MUST_USE bool q_pending_end_requests(struct q_pending *p, uint32_t n);

// q_pending_drain refuses new requests. True: none is left. Idempotent. Loop thread.
Q_MUST_USE bool q_pending_drain(struct q_pending *p);

// q_pending_close refuses everybody. Draining, with no requests left (checked). True: nobody is inside; else the last
// user will tell. Loop thread.
Q_MUST_USE bool q_pending_close(struct q_pending *p);

// q_pending_retire ends the generation. Closed, nobody inside (checked). The slot may be opened again. Loop thread, or
// a create that failed after open (it drains, closes and retires).
void q_pending_retire(struct q_pending *p);

// q_pending_try_close is q_pending_close for a caller that is inside itself: only when it is the only user. False: the
// word is not draining, has requests, or others are inside; nothing was changed. A user.
Q_MUST_USE bool q_pending_try_close(struct q_pending *p);

// q_pending_abandon makes a word that was copied by fork fit for re-use in the child: whatever the parent's threads had
// counted in it is forgotten, and its generation moved on. The only thread of a fresh child, or under its create lock.
void q_pending_abandon(struct q_pending *p);

// q_pending_requests is the number of requests now. Any thread.
uint32_t q_pending_requests(const struct q_pending *p);

#endif

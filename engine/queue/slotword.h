// Slot word: the one atomic word of a request slot that threads other than the loop may touch. It decides whether a
// handle {index, generation} still names the slot's tenant, and does so in the same step that acts on it.
//
//     {generation:32, credit:29, credit_queued:1, cancel_queued:1, live:1}
//
// Vocabulary. *Live*: the slot has a tenant, named by `generation`. A *pin* is a queued flag: it says that the slot's
// cancel (or credit) node is, or is about to be, in the submission queue; while it stands the slot cannot change
// tenants. Each flag has one node, so nothing is allocated, and a node is in the queue once at most.
//
// Life of the word, each arrow one compare-and-swap (or one fetch_and):
//     {g}  --open, who took the slot-->  {g, live}  --try_retire, loop, demands no pin-->  {g+1}
//     {g, live}  --cancel / grant, any thread, demands g and live-->  {g, live, pin}
//     {g, live, pin}  --unpin_cancel / take_credit, loop, when the node came out of the queue-->  {g, live}
// So a late cancel or grant never reaches the next tenant: either it demands a generation that is gone, or its pin
// stands and there is no next tenant before the loop has drained it.
//
// Credit is part of the word, not of a counter beside it: the compare-and-swap that demands the generation is the one
// that adds the bytes, so there is no moment in which a grant has been checked but not yet been added. It is exact up
// to 256 MiB of not yet taken credit; above that it is kept in units of 64 KiB, rounded up, and ends at 16 TiB.
//
// A cancel or grant by a guessed handle may come out of the queue before the tenant's own submit: the slot is live from
// open on. The loop remembers the cancel, and obeys it at the submit.
//
// A word of zeros is a slot that was never used: memory of slots need not be touched before its first tenant.
// Generation 0 is never live. All slots of an array begin with the same generation, which is theirs to choose (`first`): so
// that what another array gave out names nobody here. A slot whose generation would come back to it is worn out and never
// opened again.
//
// Thread-free: each function names its caller. Model: tests/model/slotword.pml.
#ifndef QUOIT_ENGINE_QUEUE_SLOTWORD_H
#define QUOIT_ENGINE_QUEUE_SLOTWORD_H

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct q_slotword {
    _Atomic(uint64_t) word;
};

enum q_pin_result {
    Q_PIN_DONE,    // the caller pinned the slot and must push its node
    Q_PIN_ALREADY, // a cancel is queued already; nothing to do
    Q_PIN_STALE,   // the generation is gone; nothing to do, and nothing of the slot may be touched
};

enum q_grant_result {
    Q_GRANT_PUSH,   // the caller pinned the slot and must push its credit node
    Q_GRANT_MERGED, // added to a grant that is queued already; nothing to do
    Q_GRANT_STALE,  // the generation is gone; nothing was added
};

enum q_retire_result {
    Q_RETIRE_DONE,     // the slot may go to the free list
    Q_RETIRE_PINNED,   // a node is in the queue or on its way: try again when it was drained
    Q_RETIRE_WORN_OUT, // the slot's last generation ended: it must never go to the free list
};

// q_slotword_open gives the slot, just taken from the free list, to its next tenant and returns the tenant's
// generation: `first`, which is not 0, if the slot was never used. From here on whoever knows (or guesses) the handle may
// pin the slot, so everything in the slot that those need, the nodes, must be ready. The thread that took the slot.
uint32_t q_slotword_open(struct q_slotword *w, uint32_t first);

// q_slotword_is_live says whether `generation` names the tenant now; it may be over in the next moment. Any thread.
bool q_slotword_is_live(const struct q_slotword *w, uint32_t generation);

// q_slotword_try_pin_cancel asks for the tenant's cancel. Any thread; async-signal-safe; idempotent.
// With Q_PIN_DONE the caller must push the slot's cancel node; it may not touch the slot after that push.
Q_MUST_USE enum q_pin_result q_slotword_try_pin_cancel(struct q_slotword *w, uint32_t generation);

// q_slotword_unpin_cancel: the cancel node came out of the queue. Its `next` must have been read: from here on it may
// be pushed again. Loop thread.
void q_slotword_unpin_cancel(struct q_slotword *w);

// q_slotword_grant adds `bytes` of credit for the tenant. Any thread; async-signal-safe.
// With Q_GRANT_PUSH the caller must push the slot's credit node; it may not touch the slot after that push.
Q_MUST_USE enum q_grant_result q_slotword_grant(struct q_slotword *w, uint32_t generation, uint64_t bytes);

// q_slotword_take_credit: the credit node came out of the queue. Returns all bytes granted since the last call, and
// unpins. The node's `next` must have been read: from here on it may be pushed again. Loop thread.
uint64_t q_slotword_take_credit(struct q_slotword *w);

// q_slotword_try_retire ends the tenant's life, unless the slot is pinned. `generation` must be live (checked); `first` is as at
// open. Loop thread, or the thread that opened the slot if its submit was refused.
Q_MUST_USE enum q_retire_result q_slotword_try_retire(struct q_slotword *w, uint32_t generation,
                                                      uint32_t first);

#endif

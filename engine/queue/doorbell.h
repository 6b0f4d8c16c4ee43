// Doorbell: wakes the loop that sleeps in the kernel. It is a word which each ring counts up, and a function, set by
// the owner, which makes the kernel look: a futex wake where the ring waits on the word itself (kernel 6.7 and later),
// else a write to an eventfd that the ring polls. This floor knows neither.
//
// Protocol against a lost wake-up, with the queue of mpsc.h:
//     loop:   value = q_doorbell_value(); q_mpsc_park() is true; wait for `word != value` (or the eventfd)
//     pusher: q_mpsc_push() returns Q_MPSC_PUSHED_WAKE; q_doorbell_ring()
// The value is read *before* park: so a ring that answers this park can only come after the read, and the kernel finds
// the word changed. A ring that answers an earlier park may come late; it wakes the loop once for nothing.
//
// The bell must outlive its ringers: who rings holds a pin on the engine (pending.h).
// Thread-free: each function names its caller. Model: tests/model/mpsc.pml.
#ifndef QUOIT_ENGINE_QUEUE_DOORBELL_H
#define QUOIT_ENGINE_QUEUE_DOORBELL_H

#include "engine/base/check.h"

#include <stdint.h>

struct q_doorbell {
    uint32_t word; // a plain word, as the kernel wants it; touched by atomic builtins only
    int fd;        // for a wake that needs a descriptor; whoever hung the bell up sets it. Outlives every ringer.
    void (*wake)(void *context, uint32_t *word);
    void *context;
};

// q_doorbell_init sets the bell up. `wake` must be async-signal-safe (it keeps errno), must not block, and must cope
// with nobody waiting. Before any other thread knows of the bell.
void q_doorbell_init(struct q_doorbell *bell, void (*wake)(void *context, uint32_t *word), void *context);

// q_doorbell_value gives the value for the wait that follows the next q_mpsc_park. Loop thread.
uint32_t q_doorbell_value(const struct q_doorbell *bell);

// q_doorbell_ring wakes the loop, now or when it next waits with an older value. Any thread; async-signal-safe.
void q_doorbell_ring(struct q_doorbell *bell);

#endif

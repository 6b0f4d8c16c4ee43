// The loop: one thread's ring, timers and run queue, and the tick that drives them. What stands above (core) supplies
// three steps: taking in commands, publishing events, and sleeping. Everything on this floor and above runs inside a
// tick, on the loop thread, and nothing is ever called from inside the call that asked for it: completions, timers and
// tasks are run from the tick.
#ifndef QUOIT_ENGINE_LOOP_LOOP_H
#define QUOIT_ENGINE_LOOP_LOOP_H

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/loop/io.h"
#include "engine/loop/wheel.h"

#include <stdatomic.h>

// A task runs once, in a later step or tick of the loop. Posting a posted task does nothing.
struct q_task {
    struct q_list_node link;
    void (*run)(struct q_task *task);
};

// What core does in a tick. `owner` is core's own pointer.
struct q_loop_steps {
    // Takes in a bounded number of commands. True: more are waiting, or there is something to publish.
    bool (*take_commands)(void *owner);
    // Publishes events to the ports and takes back what hosts have released. True: there is more to do at once.
    bool (*publish)(void *owner);
    // Tries to fall asleep: false when commands came in meanwhile. Gives the doorbell's value from before.
    bool (*park)(void *owner, uint32_t *out_bell_value);
    // Whether commands wait. Asked again and again by a loop that spins.
    bool (*has_commands)(void *owner);
    // Farewells were said: functions of the host's have run, and may have forked. NULL: nobody asks.
    void (*on_farewells)(void *owner);
};

struct q_loop {
    struct q_io *io;
    const struct q_clock *clock;
    const struct q_log *log;
    struct q_random random;
    struct q_wheel wheel;
    struct q_list tasks;
    struct q_list farewells; // tasks of the publish step
    uint64_t now_ns; // read once per tick; all code below uses this
    uint64_t ticks;
    uint64_t spin_ns; // how long to look for work before a sleep; the owner's to set
    bool has_more;   // the last tick left something to do at once: the next one must not sleep
    bool is_behind;  // the last turn left completions that had come before it
    bool is_idle;    // the last tick found nothing to do, and left the queue parked and the doorbell armed
    bool is_stale;   // code of the host's has taken long in this tick: what came meanwhile is not known here
    bool is_doubtful; // the last turn may have left something: a host that waits by itself asks again soon
    bool is_open;    // false once nothing may sleep any more: the engine is going
    const struct q_loop_steps *steps;
    void *owner;
    _Atomic(uint64_t) thread; // serial of the loop thread; 0: none yet
};

// q_loop_init prepares a loop on an io that outlives it. `seed` starts its random numbers.
void q_loop_init(struct q_loop *loop, struct q_io *io, const struct q_clock *clock, const struct q_log *log,
                 uint64_t seed, const struct q_loop_steps *steps, void *owner);

// q_loop_bind makes the calling thread the loop thread.
void q_loop_bind(struct q_loop *loop);

// q_loop_is_here tells whether the caller is the loop thread. Any thread.
bool q_loop_is_here(const struct q_loop *loop);

// q_loop_current gives the loop in whose tick the calling thread is, NULL outside of one: for what ends on whichever thread
// lets go last and, on a loop's, must wait for the publish step. A forked child is in no tick of its parent's. Any thread.
struct q_loop *q_loop_current(void);

// q_loop_tick is one round of the loop; see loop.c, where it can be read in one look. `may_sleep`: wait in the kernel
// when there is nothing to do.
void q_loop_tick(struct q_loop *loop, bool may_sleep);

// q_loop_post puts a task at the end of the run queue. It runs in this tick or the next, never from inside this call.
void q_loop_post(struct q_loop *loop, struct q_task *task);

// q_loop_post_farewell puts a task in line for the publish step, the one place where code of the host's may run
// (release functions).
void q_loop_post_farewell(struct q_loop *loop, struct q_task *task);

// q_loop_host_took is told how long code of the host's has run, and since when, for what follows from it.
void q_loop_host_took(struct q_loop *loop, uint64_t since_ns);

// q_loop_say_farewells runs them now: the publish step, and who ends the loop.
void q_loop_say_farewells(struct q_loop *loop);

// q_loop_unpost takes a posted task back; one that is not posted is left alone.
void q_loop_unpost(struct q_task *task);

static inline void q_loop_arm(struct q_loop *loop, struct q_timer *timer, uint64_t deadline_ns) {
    q_wheel_arm(&loop->wheel, timer, deadline_ns);
}

static inline void q_loop_disarm(struct q_loop *loop, struct q_timer *timer) { q_wheel_disarm(&loop->wheel, timer); }

#endif

// Schedules: lock-free code run through one chosen interleaving, by a script and not by luck.
//
// Vocabulary. An *actor* is a named thread of the test. A *point* is a place that an actor arrives at: each
// Q_HOOK("name") in the engine (engine/base/hook.h), each q_schedule_point in the test, and "start" and "end" of every
// actor. It is written "actor:name", or "actor:name#2" for the second time that the actor comes there. A *rule* holds
// an actor at a point until another point has been reached. The rules are a partial order: what they do not order may
// run in any order, and actors that no rule holds run freely.
//
//     static const struct q_schedule_rule k_rules[] = {
//         {"loop:start", "host:mpsc.push.before_cas"},   // the loop comes when the host has looked at the word,
//         {"host:mpsc.push.before_cas", "loop:end"},     // and is through before the host makes its exchange
//     };
//
// Each wait is bounded. A script that does not come to pass fails, and names the point that nobody reached; so does one
// with a point that was never reached at all: a renamed hook cannot make a test pass for nothing.
//
// One schedule at a time per process; the test's main thread runs it, and is no actor itself.
#ifndef QUOIT_TESTS_SUPPORT_SCHEDULE_H
#define QUOIT_TESTS_SUPPORT_SCHEDULE_H

#include "engine/base/check.h"

#include <stdbool.h>
#include <stddef.h>

// Longer than any busy machine holds a ready thread, short enough that a broken test still ends in time.
#define Q_SCHEDULE_TIMEOUT_MS 10000

#define Q_SCHEDULE_ACTORS_MAX 8
#define Q_SCHEDULE_POINTS_MAX 128   // different ones, of all actors; more is a failed check
#define Q_SCHEDULE_ARRIVALS_MAX 256 // of which the order is reported

struct q_schedule_actor {
    const char *name;
    void (*run)(void *context);
    void *context;
};

struct q_schedule_rule {
    const char *hold;  // the point at which to wait
    const char *until; // the point that must have been reached
};

// q_schedule_run starts all actors, runs them through the rules, and returns when they have ended. True: every point
// of the rules was reached, in an order that the rules allow. False: it did not come to pass; a report is on stderr,
// and the actors ran on unheld from the first timeout. An actor that does not even end then aborts the process.
Q_MUST_USE bool q_schedule_run(const struct q_schedule_rule *rules, size_t rules_len,
                               const struct q_schedule_actor *actors, size_t actors_len);

// q_schedule_point is a point of the test's own. In a thread that is no actor, or without a schedule, it does nothing.
void q_schedule_point(const char *name);

#endif

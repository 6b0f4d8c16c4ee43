// Rendezvous hooks: named points in lock-free code at which a test may hold a thread, so that a schedule is a script
// and not luck. Compiled to nothing in what users get. Thread-free.
//
// A test sets q_hook_fn before it starts threads and clears it after they ended (tests/support/schedule.h does both).
#ifndef QUOIT_ENGINE_BASE_HOOK_H
#define QUOIT_ENGINE_BASE_HOOK_H

#if defined(Q_HOOKS) && Q_HOOKS
extern void (*q_hook_fn)(const char *name);
#define Q_HOOK(name) (q_hook_fn != NULL ? q_hook_fn(name) : (void)0)
#else
#define Q_HOOK(name) ((void)0)
#endif

#endif

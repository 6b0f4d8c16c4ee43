// The simulated kernel: an io_uring in memory below `struct q_sys_uring`, a clock that is a variable, and (simnet.h)
// a network of scripted peers. ring.c, and with it the whole engine, runs on it unchanged, and a run is replayable
// from one number.
//
// Vocabulary. A *request* is one SQE that was taken. It is *waiting* (armed on a file or a futex word), *ready* (its
// wake-up happened; it is task work that runs inside enter with GETEVENTS only), or done (its last CQE is posted).
// An *event* is something that the world does at a time: a segment arrives, a peer answers. *Plain* mode does all at
// once and in order; with a seed, every choice that a real kernel is free to make is drawn from it: order of
// completions, how many completions one enter gives, cuts of byte streams, delays, EINTR.
//
// A *violation* is something that a kernel allows and that Quoit must never do: installing over an occupied slot,
// closing a number twice, changing the bytes of a send in flight, lending a buffer twice. Violations are counted and
// kept as text; a test ends with q_sim_check.
//
// Thread rule: everything on the thread that called q_sim_new; checked. Nothing here blocks: a wait that nothing can
// end is reported as *stuck*.
#ifndef QUOIT_TESTS_SUPPORT_SIMKERNEL_H
#define QUOIT_TESTS_SUPPORT_SIMKERNEL_H

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/loop/sys_uring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct q_sim;

// What this kernel can do. The zero value can do everything that 6.18 can; each field takes something away, so that
// every rung of the feature ladder can be forced.
struct q_sim_profile {
    bool no_defer_taskrun;   // before 6.1
    bool no_single_issuer;   // before 6.0
    bool no_submit_all;      // before 5.18
    bool no_sparse_files;    // before 5.19
    bool no_buffer_rings;    // before 5.19
    bool no_cancel_by_slot;  // before 5.19
    bool no_socket_op;       // before 5.19
    bool no_recv_multishot;  // before 6.0
    bool no_registered_ring; // before 5.18
    bool no_reg_reg_ring;    // before 6.3: register calls need the ring's number
    bool no_socket_cmd;      // before 6.7: no setsockopt by URING_CMD
    bool no_futex;           // before 6.7
    bool no_recv_bundle;     // before 6.10
    bool no_bind_op;         // before 6.11
    bool no_iowait_flag;     // before 6.15
    bool taskrun_stays;      // the flag that task work is pending is up although none is, as 6.18 has it at times
    int setup_errno;         // setup fails with this, positive
    unsigned setup_errno_count; // that many times; 0: always
    unsigned cq_entries_max; // setup with a larger CQ fails with ENOMEM; 0: no limit
};

struct q_sim_options {
    uint64_t seed;     // 0: plain mode
    struct q_sim_profile profile;
    uint64_t start_ns; // 0: one hour, so that "now minus something" stays positive
    bool no_eintr;     // random mode without injected EINTR

    // Called when enter would block: the simulated host may act, also through the seam (futex_wake, eventfd_signal).
    // `next_ns` is when the world acts next, or UINT64_MAX. True says that it did something, so the wait looks again.
    bool (*on_block)(void *context, struct q_sim *sim, uint64_t next_ns);

    // Called when enter waits, nothing can ever happen and there is no timeout. NULL: it panics. After it returned,
    // enter gives EINTR.
    void (*on_stuck)(void *context, struct q_sim *sim);
    void *context;
};

struct q_sim_stats {
    uint64_t setups;
    uint64_t enters;
    uint64_t enters_waiting;      // that asked for at least one completion
    uint64_t enters_empty;        // that submitted nothing and got nothing
    uint64_t zero_timeout_waits;  // a hundred times as dear as no wait (DESIGN.md section 11)
    uint64_t sqes;
    uint64_t cqes;
    uint64_t cqes_overflowed;
    uint64_t enobufs;
    uint64_t eintr_injected;
    uint64_t stuck;
    uint64_t registers;
    uint64_t futex_wakes;
    uint64_t connections;
};

struct q_sim_leaks {
    size_t rings;
    size_t requests;
    size_t files;    // sockets and eventfds that something still holds
    size_t numbers;  // descriptor numbers that were not closed
    size_t mappings;
};

// q_sim_new makes a kernel with an empty network. `options` is copied. Never NULL: a test without memory stops.
struct q_sim *q_sim_new(const struct q_sim_options *options);

// q_sim_free takes the kernel down, whatever is left on it; peers get their on_closed. Ask q_sim_check before.
void q_sim_free(struct q_sim *sim);

// q_sim_sys and q_sim_clock are the two seams, valid until q_sim_free.
struct q_sys_uring *q_sim_sys(struct q_sim *sim);
const struct q_clock *q_sim_clock(struct q_sim *sim);

// q_sim_calendar gives the clock's seconds since 1970: 2025-01-01 at time 0, and on from there.
int64_t q_sim_calendar(const struct q_sim *sim);

uint64_t q_sim_now(const struct q_sim *sim);
uint64_t q_sim_seed(const struct q_sim *sim);
bool q_sim_is_plain(const struct q_sim *sim);
const struct q_sim_stats *q_sim_stats(const struct q_sim *sim);

// q_sim_profile gives the profile for changes in the middle of a run (a kernel that starts to refuse).
struct q_sim_profile *q_sim_profile(struct q_sim *sim);

// q_sim_random is the run's one source of choice: host scripts draw from it too.
struct q_random *q_sim_random(struct q_sim *sim);

// q_sim_chance is true in `percent` of the cases, and never in plain mode.
bool q_sim_chance(struct q_sim *sim, unsigned percent);

// q_sim_between gives a number in [low, high] in random mode and `plain` in plain mode.
uint64_t q_sim_between(struct q_sim *sim, uint64_t low, uint64_t high, uint64_t plain);

// q_sim_at calls `fn` at a time of the simulated clock (at once, in the next step, when that is past).
void q_sim_at(struct q_sim *sim, uint64_t at_ns, void (*fn)(void *context, uint64_t arg), void *context, uint64_t arg);

// q_sim_next_ns gives the time of the next event, or UINT64_MAX.
uint64_t q_sim_next_ns(const struct q_sim *sim);

// q_sim_step moves time to the next event, or to `until_ns` when that comes first, and runs all events that are due.
// For hosts that drive the loop themselves. False when there was no event up to `until_ns`.
bool q_sim_step(struct q_sim *sim, uint64_t until_ns);

// q_sim_run_due runs the events that are due now, and lets no time pass.
void q_sim_run_due(struct q_sim *sim);

// q_sim_jump moves time on at once, as for a program that was stopped: what was due meanwhile is due then, all together.
// q_sim_hold_clock makes the clock of the seam stand still while the world goes on, or jump to where the world is.
void q_sim_jump(struct q_sim *sim, uint64_t by_ns);
void q_sim_hold_clock(struct q_sim *sim, bool held);

// q_sim_eventfd_take reads an eventfd as a host would: gives its count and sets it to 0. An unknown number is a
// violation. q_sim_eventfd_count only looks.
uint64_t q_sim_eventfd_take(struct q_sim *sim, int fd);
uint64_t q_sim_eventfd_count(struct q_sim *sim, int fd);

// q_sim_fail_op makes the `nth` request (1 is the next) with this opcode fail with `os_errno` when it is issued.
// q_sim_fail_register does the same for io_uring_register; q_sim_fail_call for "socket", "setsockopt", "bind", "eventfd",
// "map_ring", "map_memory", "enter". One per opcode, one register call and one call at a time; a later call replaces
// an earlier one, and `nth` 0 takes it back.
void q_sim_fail_op(struct q_sim *sim, unsigned opcode, unsigned nth, int os_errno);
void q_sim_fail_register(struct q_sim *sim, unsigned opcode, unsigned nth, int os_errno);
void q_sim_fail_call(struct q_sim *sim, const char *call, unsigned nth, int os_errno);

// q_sim_miss_cancels makes the next `times` cancels pass over requests with this opcode, as the kernel's pass over one that
// is on its way to a worker thread. What else they match they find.
void q_sim_miss_cancels(struct q_sim *sim, unsigned opcode, unsigned times);

// q_sim_slots_open counts the occupied slots of the direct descriptor tables of all rings.
size_t q_sim_slots_open(const struct q_sim *sim);

// q_sim_leaks counts what is alive.
struct q_sim_leaks q_sim_leaks(const struct q_sim *sim);

// q_sim_violations counts violations; q_sim_violation gives the text of the n-th (of the first 16), or NULL.
size_t q_sim_violations(const struct q_sim *sim);
const char *q_sim_violation(const struct q_sim *sim, size_t index);

// q_sim_check is the last word of a test: true when there was no violation, no stuck wait, and nothing leaks.
// Otherwise it writes what it found, with the seed, to `text`.
bool q_sim_check(struct q_sim *sim, char *text, size_t text_size);

#endif

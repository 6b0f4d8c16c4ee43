// What an engine costs, counted: system calls, allocations, copied bytes and atomic read-modify-writes, each by who did
// it, a loop or a host. Nothing here is timed, so nothing here is noise.
//
// A thread is a loop while it does a loop's work (core/table.h), and a host between counts_host_begin and _end; what
// anybody else does (the test's own bookkeeping, the server) is not counted. System calls are counted at the seam below
// the ring, and poll(2), which waiting at a port uses, by a definition of its own; that a loop makes none beside the
// seam is shown by tests/life/gate_test. Allocations: those of the allocator that the host gives, and, by malloc and
// its family defined anew, what goes to libc behind its back. Atomics and copies: engine/base/hook_counts.h.
//
// One set of counts for the process. Any thread counts; one thread begins and ends, while no engine does anything.
#ifndef QUOIT_TESTS_ENGINE_CORE_COUNTS_H
#define QUOIT_TESTS_ENGINE_CORE_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/quoit.h"
#include "engine/base/clock.h"
#include "engine/loop/sys_uring.h"

enum {
    COUNTS_SITES_MAX = 64,
};

enum counts_role { COUNTS_LOOP, COUNTS_HOST, COUNTS_ROLES };

enum counts_call {
    COUNTS_ENTER,          // io_uring_enter
    COUNTS_LOOK,           // of those, what neither submits nor waits
    COUNTS_FUTEX_WAKE,     // a doorbell
    COUNTS_EVENTFD_SIGNAL, // a write
    COUNTS_EVENTFD_CLEAR,  // a read
    COUNTS_POLL,
    COUNTS_OTHER, // everything else of the seam: set-up, registers, maps, sockets, closes
    COUNTS_CALLS,
};

// What one function of the engine did, all its threads of one role together.
struct counts_site {
    const char *function;
    uint64_t done;      // read-modify-writes
    uint64_t lost;      // compare-and-swaps that found another value
    uint64_t copied;    // bytes
    uint64_t copy_most; // of them in one copy
};

struct counts_of_role {
    uint64_t calls[COUNTS_CALLS];
    uint64_t allocations; // calls to allocate or free, of the given allocator or of libc
    struct counts_site sites[COUNTS_SITES_MAX];
};

struct counts {
    struct counts_of_role of[COUNTS_ROLES];
};

// counts_allocator, counts_sys are what an engine that is counted is made with. Constant. Asked for while no engine is.
const struct quoit_allocator *counts_allocator(void);
struct q_sys_uring *counts_sys(void);

// counts_clock is the kernel's, but a loop sees it move only where it enters the kernel: so no callback is ever slow,
// however long the scheduler lets it wait, and the loop has no reason for a second look behind it (engine/loop/loop.c).
const struct q_clock *counts_clock(void);

// counts_held gives the blocks that engines hold of the allocator now.
uint64_t counts_held(void);

// counts_host_begin makes the calling thread a host, counts_host_end ends that. While it is one it may not do anything
// else that allocates or polls.
void counts_host_begin(void);
void counts_host_end(void);

// counts_begin sets everything to zero and counts from now on; counts_end ends that and tells.
void counts_begin(void);
void counts_end(struct counts *out);

// counts_rmw gives the read-modify-writes that `function` did, counts_copied the bytes that it copied; NULL: all
// functions together. `role` is a role, or COUNTS_ROLES for both.
uint64_t counts_rmw(const struct counts *counts, unsigned role, const char *function);
uint64_t counts_copied(const struct counts *counts, unsigned role, const char *function);

// counts_copy_most gives the bytes of the longest single copy in `function`.
uint64_t counts_copy_most(const struct counts *counts, const char *function);

// counts_lost gives the compare-and-swaps that were lost.
uint64_t counts_lost(const struct counts *counts, unsigned role);

// counts_print tells everything that is not zero.
void counts_print(const struct counts *counts);

#endif

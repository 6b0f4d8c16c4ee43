// The process's table of engines: type-stable, static, zero at start, never freed. It turns a public handle into an
// engine and keeps that engine alive for the length of a call, in one atomic step (queue/pending.h); and it knows when
// the process is a forked child, in which every engine of the parent is out of bounds.
//
// Fork. An engine remembers the process's epoch (base/epoch.h) in which it was made; after a fork no engine's epoch is the
// process's any more. A create in the child abandons what the parent's threads left in the table, if it needs the place.
// Thread-free: any thread, but for take and give back, which create and destroy call.
#ifndef QUOIT_ENGINE_CORE_TABLE_H
#define QUOIT_ENGINE_CORE_TABLE_H

#include "api/quoit.h"
#include "engine/base/error.h"
#include "engine/queue/pending.h"

#include <setjmp.h>

#define Q_TABLE_ENGINES_MAX 1024

struct q_engine;

struct q_table_entry {
    struct q_pending pending;
    struct q_engine *engine; // written while the word is closed, read by who is inside
    // Looked at by callers with any handle, before they are inside: at worst of another engine, whose generation refuses.
    _Atomic(uint32_t) requests_max;
    _Atomic(uint32_t) epoch;
    _Atomic(uint32_t) is_taken;
    // How far the names have come that engines in this place gave out: the next one begins behind them. Whoever has taken
    // the entry.
    uint32_t generations_given; // of a request slot, the most
    uint64_t questions_given;   // likewise
    uint64_t pieces_given;      // likewise, of a slot of taken pieces
};

// q_table_take gives a free entry, for create to fill and open. Errors: ENGINES_MAX, NO_MEMORY (the fork page).
Q_MUST_USE struct q_error q_table_take(struct q_table_entry **out);

// q_table_open publishes a filled entry and gives its handle; a zero handle when the entry is worn out.
struct quoit_engine q_table_open(struct q_table_entry *entry);

// q_table_give_back frees an entry whose word is closed or was never opened.
void q_table_give_back(struct q_table_entry *entry);

// q_table_enter gives the engine and makes the caller a user of it, or says why not: STALE_HANDLE, FORKED. The caller
// ends with q_table_leave.
Q_MUST_USE struct q_engine *q_table_enter(struct quoit_engine handle, int32_t *out_code);

// q_table_enter_request is q_table_enter that also counts one request: CLOSED and REQUESTS_MAX are possible too.
Q_MUST_USE struct q_engine *q_table_enter_request(struct quoit_engine handle, int32_t *out_code);

// q_table_enter_beside is the same for what keeps the engine going like a request and is none: no limit counts.
Q_MUST_USE struct q_engine *q_table_enter_beside(struct quoit_engine handle, int32_t *out_code);

// q_table_leave ends the caller's use of the engine, which may not be touched after it. Any thread that entered.
void q_table_leave(struct q_table_entry *entry);

// q_table_enter_loop and q_table_leave_loop mark what the calling thread does between them as a loop's work; in a forked
// child the mark of its parent does not count.
void q_table_enter_loop(void);

// q_table_leave_loop: see above.
void q_table_leave_loop(void);

// q_table_is_in_loop tells whether the caller is at a loop's work, any engine's: it must not wait for another one.
bool q_table_is_in_loop(void);

// Where a loop ends in a forked child: a child that was made on the loop's own thread, in a callback of the host's, comes back
// into a loop without a ring, without request slots, and with nobody to serve. `at` is set where the loop begins.
struct q_table_escape {
    uint32_t epoch; // of the engine
    jmp_buf at;
};

// q_table_epoch_of gives the epoch in which an entry was taken.
uint32_t q_table_epoch_of(const struct q_table_entry *entry);

// q_table_escape_if_forked goes to `escape->at` in a child; elsewhere it does nothing. Behind whatever calls the host.
void q_table_escape_if_forked(struct q_table_escape *escape);

// q_table_place gives the place of an entry in the table, below Q_TABLE_ENGINES_MAX.
uint32_t q_table_place(const struct q_table_entry *entry);

// q_table_entry_of gives the entry that a handle points at, whether live or not; NULL for an impossible handle.
struct q_table_entry *q_table_entry_of(struct quoit_engine handle);

#endif

// The ledger: a `struct q_sys_uring` around another one (simulated or real) that writes down every SQE and CQE and
// checks them against the rules of descriptors without numbers:
//
//   - each CQE belongs to exactly one SQE; only multishot requests have more than one, and each of those ends;
//   - no operation names a slot's dead generation, a generation is opened once and closed at most once, a slot is
//     opened again only when its close is complete and nothing of it is in flight;
//   - a close comes behind a cancel of everything in flight on its slot;
//   - at most one receive and one send are in flight on a slot;
//   - a provided buffer is given only when it is not with the kernel, and consumed only when it is;
//   - at the end every request is complete and every socket closed.
//
// user_data is read as io.h lays it out: [kind:8 | generation:36 | slot:20].
// Thread rule: that of the seam; q_ledger_check and the rest when no loop runs on it.
#ifndef QUOIT_TESTS_SUPPORT_LEDGER_H
#define QUOIT_TESTS_SUPPORT_LEDGER_H

#include "engine/loop/sys_uring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct q_ledger;

struct q_ledger_counts {
    uint64_t sqes;
    uint64_t cqes;
    uint64_t opened;  // sockets put into slots
    uint64_t closed;  // slots closed
    uint64_t in_flight;
    uint64_t in_flight_max;
    uint64_t by_op[64]; // SQEs by opcode
};

// q_ledger_new wraps `inner`, which outlives it. Never NULL.
struct q_ledger *q_ledger_new(struct q_sys_uring *inner);
void q_ledger_free(struct q_ledger *ledger);

// q_ledger_sys is what the ring gets in place of the kernel.
struct q_sys_uring *q_ledger_sys(struct q_ledger *ledger);

const struct q_ledger_counts *q_ledger_counts(const struct q_ledger *ledger);

// q_ledger_violations counts broken rules so far; q_ledger_violation gives the first one's text, or NULL.
size_t q_ledger_violations(const struct q_ledger *ledger);
const char *q_ledger_violation(const struct q_ledger *ledger);

// q_ledger_check is the last word: true when no rule was broken and everything has ended. Otherwise the cause is in
// `text`.
bool q_ledger_check(struct q_ledger *ledger, char *text, size_t text_size);

// q_ledger_dump writes the last `count` lines of the ledger, oldest first.
void q_ledger_dump(const struct q_ledger *ledger, FILE *out, size_t count);

#endif

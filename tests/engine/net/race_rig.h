// A test bench for races to connect: a loop on a ring on the simulated kernel, addresses that answer as a test says, a
// name's answers that come when it says, and the outcome of one race with the time of it.
//
// Vocabulary. Addresses are written as a letter and a number: IPv4 "4" is 192.0.2.N, IPv6 "6" is 2001:db8::N. Times are
// milliseconds since the race began. What a race holds when it tells its end is checked: nothing but the winner's slot.
// One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_NET_RACE_RIG_H
#define QUOIT_TESTS_ENGINE_NET_RACE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/loop/ring.h"
#include "engine/net/eyeballs.h"
#include "tests/support/failalloc.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#define RACE_ANSWERS_MAX 4

struct race;

// An answer that is brought by a timer of the loop's.
struct race_answer {
    struct q_timer timer;
    struct race *race;
    unsigned family;
    struct q_endpoint addresses[Q_ADDRESS_ORDER_MAX];
    uint32_t count;
    struct q_error error;
};

enum race_end { RACE_RUNS, RACE_CONNECTED, RACE_FAILED, RACE_CANCELED };

struct race {
    struct q_failalloc *memory;
    struct q_sim *sim;
    struct q_doorbell bell;
    struct q_chunk_budget budget;
    struct q_chunk_pool buffers;
    struct q_log log;
    struct q_ring *ring;
    struct q_loop loop;
    struct q_eyeballs_params params;
    struct q_eyeballs eyeballs;
    struct race_answer answers[RACE_ANSWERS_MAX];
    uint32_t num_answers;
    uint64_t began_ns;

    // The outcome.
    enum race_end end;
    uint64_t end_ms;
    struct q_io_slot slot;
    struct q_io_op close_op;
    struct q_endpoint winner;
    struct q_error error;
    struct q_try tries[Q_ADDRESS_ORDER_MAX];
    uint32_t num_tries;
    bool is_slot_closed;
    uint32_t num_strange; // slots that are not the race's
};

// race_open makes the bench; num_slots 0: 80, of which the bell has one. race_close checks that nothing is left anywhere.
void race_open(struct race *race, uint64_t seed, uint32_t num_slots);
void race_close(struct race *race);

// race_address makes an address; race_listen says what it answers, and after how long.
struct q_endpoint race_address(char family, unsigned number);
void race_listen(struct race *race, char family, unsigned number, enum q_sim_answer answer, uint64_t delay_ms);

// race_begin begins a race for one family or both; race_answer brings an answer `in_ms` from the begin on: addresses
// `first` to `first` + `count` - 1; no count: NAME_NO_ADDRESS.
void race_begin(struct race *race, unsigned families);
void race_answer(struct race *race, uint64_t in_ms, unsigned family, unsigned first, uint32_t count);

// race_until ticks until the race is over, race_run_for for so long.
void race_until_over(struct race *race);
void race_run_for(struct race *race, uint64_t ms);

// race_slots_open counts the slots that are taken by the race.
uint32_t race_slots_open(const struct race *race);

// race_drop closes the winner's slot and waits for it.
void race_drop(struct race *race);

// assert_try checks what is told of the try `index`: which address, and when it began.
void assert_try(const struct race *race, uint32_t index, char family, unsigned number, uint64_t began_ms,
                enum q_try_state state);

#endif

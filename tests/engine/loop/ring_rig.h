// A ring on a test bench: on the real kernel at any rung of the feature ladder, or on the simulated one, with the
// memory that it needs and a peer to talk to.
//
// Vocabulary. A *rung* is a set of capabilities that is forced off. A *probe op* is an op that writes down its end.
// Turns are made one by one, by rig_turn, or until a probe op is done, by rig_await; both run what is done at once, so
// that a test reads from top to bottom. A wait that lasts longer than any machine needs fails the test. One thread, the
// ring's.
#ifndef QUOIT_TESTS_ENGINE_LOOP_RING_RIG_H
#define QUOIT_TESTS_ENGINE_LOOP_RING_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "engine/loop/ring.h"
#include "tests/support/failalloc.h"
#include "tests/support/simkernel.h"

struct rig_options {
    struct q_sim *sim; // NULL: the real kernel
    uint32_t capabilities_off;
    uint32_t num_buffers;  // 0: 8
    uint32_t buffer_bytes; // 0: 1024
    uint32_t large_bytes;  // of large buffers; 0: none
    uint32_t large_weight; // 0: 1
    uint32_t num_slots;    // 0: 16
    uint32_t sq_entries;   // 0: 32
    uint32_t cq_entries;   // 0: 256
    uint32_t chunks_max;   // what the budget allows; 0: 64
    bool host_driven;
};

struct rig {
    struct q_failalloc *memory;
    struct q_chunk_budget budget;
    struct q_chunk_pool pool, large;
    struct q_log log;
    struct q_doorbell bell;
    struct q_ring_options options;
    struct q_ring *ring; // NULL: it was refused
    struct q_io *io;
    struct q_sim *sim;
    struct sockaddr_in address; // somebody listens here
    struct sockaddr_in nobody;  // and nobody here
    int listener, closed_port;  // real kernel only
    int num_done;               // ops that have ended
};

// An op that writes down how it ended.
struct rig_op {
    struct q_io_op op;
    struct rig *rig;
    int times; // that `done` was called
    int order; // the how manieth of all ops it was
    int32_t result;
};

// One rung of the ladder; k_rig_rungs has the whole ladder, each capability off by itself, and all of them off.
struct rig_rung {
    const char *name;
    uint32_t off;
};

#define RIG_RUNGS 10
extern const struct rig_rung k_rig_rungs[RIG_RUNGS];

// RIG_ON_EACH_RUNG lists a test function ten times; rig_rung_of(state) says where it is.
#define RIG_ON_RUNG(test, i, name)                                                                                     \
    { #test " (" name ")", (test), NULL, NULL, (void *)(uintptr_t)&k_rig_rungs[i] }
#define RIG_ON_EACH_RUNG(test)                                                                                         \
    RIG_ON_RUNG(test, 0, "whole ladder"), RIG_ON_RUNG(test, 1, "no defer-taskrun"),                                    \
        RIG_ON_RUNG(test, 2, "not hidden"), RIG_ON_RUNG(test, 3, "sockets by number"),                                 \
        RIG_ON_RUNG(test, 4, "bell by eventfd"), RIG_ON_RUNG(test, 5, "no no-iowait"),                                 \
        RIG_ON_RUNG(test, 6, "bound by number"), RIG_ON_RUNG(test, 7, "receives one by one"),                           \
        RIG_ON_RUNG(test, 8, "buffers one by one"), RIG_ON_RUNG(test, 9, "lowest rung")

static inline uint32_t rig_rung_of(void **state) {
    return ((const struct rig_rung *)*state)->off;
}

// rig_prepare fills in a rig without a ring, and rig_create makes the ring; rig_open does both and fails the test when
// it is refused.
void rig_prepare(struct rig *rig, struct rig_options options);
Q_MUST_USE struct q_error rig_create(struct rig *rig);
void rig_open(struct rig *rig, struct rig_options options);

// rig_close quiesces and destroys the ring, if there is one, and checks that nothing leaks. rig_destroy does the first
// half. The simulated kernel stays the test's.
void rig_destroy(struct rig *rig);
void rig_close(struct rig *rig);

// rig_turn makes one turn and runs what is done; with `wait_ns` > 0 it sleeps that long at most. Gives what the turn
// gave: more is waiting.
enum q_io_rest rig_turn(struct rig *rig, uint64_t wait_ns);

// rig_patience_ns gives how long a test waits for what must come: longer than any busy machine holds a ready thread, and
// only a moment once something did not come, so that the tests behind the first that hangs do not hang as long.
// rig_assert_patient fails the test when most of that has passed since `start_ns`.
uint64_t rig_patience_ns(void);
void rig_assert_patient(const struct rig *rig, uint64_t start_ns);

// rig_patience_ns gives how long a test waits for what must come: longer than any busy machine holds a ready thread, and
// only a moment once something did not come, so that the tests behind the first that hangs do not hang as long.
// rig_assert_patient fails the test when most of that has passed since `start_ns`.
uint64_t rig_patience_ns(void);
void rig_assert_patient(const struct rig *rig, uint64_t start_ns);

// rig_await turns until `op` has ended and gives its result. rig_settle turns until nothing more comes.
int32_t rig_await(struct rig *rig, struct rig_op *op);
void rig_settle(struct rig *rig);

// rig_op makes a probe op ready.
struct rig_op rig_op(struct rig *rig);

// rig_connect opens a slot and connects it to `address`; rig_shut closes it and waits for the end.
struct q_io_slot rig_connect(struct rig *rig, const struct sockaddr_in *address);
void rig_shut(struct rig *rig, struct q_io_slot slot);

// The peer on the real kernel: rig_accept gives the next connection's descriptor, rig_listener one more port to listen
// on. rig_ends tells whether the peer sees the end of the stream within a moment.
int rig_accept(struct rig *rig);
int rig_listen(struct sockaddr_in *out_address, int backlog);
bool rig_ends(int fd);

// rig_count_fds counts the descriptor numbers of this process.
size_t rig_count_fds(void);

#endif

// A gate: what a test and a server's thread wait at for each other, in place of sleeping.
//
// A gate holds a count of passes. Opening adds one, waiting takes one and blocks while there is none. It is an eventfd,
// so a waiter can watch other descriptors beside it. Thread-free: any thread may open or wait; destroy is the last
// call.
#ifndef QUOIT_BENCH_SERVER_GATE_H
#define QUOIT_BENCH_SERVER_GATE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_gate {
    int fd;
};

// bench_gate_init makes a gate without passes. It aborts when there is no descriptor for it: a test cannot go on then.
void bench_gate_init(struct bench_gate *gate);

// bench_gate_deinit closes the gate.
void bench_gate_deinit(struct bench_gate *gate);

// bench_gate_open adds one pass.
void bench_gate_open(struct bench_gate *gate);

// bench_gate_wait takes one pass; false when none came for `timeout_ms`, or when `other_fd` (-1: none) became readable.
bool bench_gate_wait(struct bench_gate *gate, int other_fd, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif

// Running a simulation for many seeds. A run that fails says its seed, also when the program dies in the middle:
//
//     QUOIT_SIM_SEED=N    runs that seed alone
//     QUOIT_SIM_SEEDS=N   runs N seeds, in place of the gate's number
//     QUOIT_SIM_FIRST=N   starts at seed N (default 1)
//
// A seed that has failed once becomes a test of its own, in the list of the simulation that it broke.
#ifndef QUOIT_TESTS_SIM_SEEDS_H
#define QUOIT_TESTS_SIM_SEEDS_H

#include "engine/base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// q_seeds_run calls `run` for `known` seeds that have failed before, then for `count` seeds in a row, unless the
// environment says otherwise. Gives how many it ran.
uint64_t q_seeds_run(void (*run)(uint64_t seed), const uint64_t *known, size_t num_known, uint64_t count);

// q_seeds_are_dear says that a run takes `times` as long as others: of QUOIT_SIM_SEEDS that part is run.
void q_seeds_are_dear(uint64_t times);

// q_seeds_current is the seed that runs now.
uint64_t q_seeds_current(void);

// Q_SEEDS_CHECK fails the test with the seed and a sentence.
#define Q_SEEDS_CHECK(condition, ...)                                                                                  \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            q_seeds_fail(__FILE__, __LINE__, __VA_ARGS__);                                                             \
        }                                                                                                              \
    } while (0)

void q_seeds_fail(const char *file, int line, const char *format, ...) Q_PRINTF(3, 4);

#endif

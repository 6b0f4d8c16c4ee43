// What every fuzz target offers and uses. Under --config=fuzz libFuzzer calls LLVMFuzzerTestOneInput; in the gate
// replay_main.c calls it with each file of the target's corpus and with seeded changes of them. A target stops the
// process when something is wrong. Single thread.
#ifndef QUOIT_TESTS_FUZZ_FUZZ_H
#define QUOIT_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// FUZZ_CHECK stops with a line that says what did not hold.
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif

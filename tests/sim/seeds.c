#define _GNU_SOURCE
#include "tests/sim/seeds.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static volatile uint64_t current_seed;

uint64_t q_seeds_current(void) { return current_seed; }

void q_seeds_fail(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error("seed %llu: %s\n", (unsigned long long)current_seed, text);
    _fail(file, line);
}

// A broken invariant stops the program; which seed it was must not be lost with it.
static void say_seed(int signal_number) {
    char text[48] = "simulation died at seed ";
    size_t at = 24;
    char digits[20];
    size_t count = 0;
    for (uint64_t rest = current_seed; rest > 0 || count == 0; rest /= 10) {
        digits[count++] = (char)('0' + rest % 10);
    }
    while (count > 0) {
        text[at++] = digits[--count];
    }
    text[at++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, at);
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t dearness = 1;

void q_seeds_are_dear(uint64_t times) { dearness = times; }

static void run_one(void (*run)(uint64_t seed), uint64_t seed) {
    current_seed = seed;
    run(seed);
}

uint64_t q_seeds_run(void (*run)(uint64_t seed), const uint64_t *known, size_t num_known, uint64_t count) {
    signal(SIGABRT, say_seed);
    uint64_t only = number_from_environment("QUOIT_SIM_SEED", 0);
    if (only != 0) {
        run_one(run, only);
        return 1;
    }
    for (size_t i = 0; i < num_known; i++) {
        run_one(run, known[i]);
    }
    uint64_t first = number_from_environment("QUOIT_SIM_FIRST", 1);
    uint64_t wanted = number_from_environment("QUOIT_SIM_SEEDS", 0);
    count = wanted == 0 ? count : (wanted + dearness - 1) / dearness;
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_one(run, seed);
    }
    return num_known + count;
}

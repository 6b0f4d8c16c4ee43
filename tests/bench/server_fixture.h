// What the tests of the embedded server share: starting one, and waiting for what its threads are about to count.
#ifndef QUOIT_TESTS_BENCH_SERVER_FIXTURE_H
#define QUOIT_TESTS_BENCH_SERVER_FIXTURE_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bench/server/server.h"
#include "tests/bench/raw_client.h"

// server_start starts a server with `options`, or fails the test.
static inline struct bench_server *server_start(struct bench_server_options options) {
    struct bench_server *server = bench_server_start(&options);
    assert_non_null(server);
    return server;
}

// counters is a snapshot of the server's counters.
static inline struct bench_server_counters counters(const struct bench_server *server) {
    struct bench_server_counters now;
    bench_server_counters(server, &now);
    return now;
}

// clock_ms is a clock for measuring spans.
static inline uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// until waits for what another thread is about to count. The wait has an end, and what it waits for is certain to come.
#define until(condition)                                                                                               \
    do {                                                                                                               \
        uint64_t end_ms = clock_ms() + 10000;                                                                          \
        while (!(condition)) {                                                                                         \
            if (clock_ms() > end_ms)                                                                                   \
                fail_msg("%s did not come true", #condition);                                                          \
            poll(NULL, 0, 1);                                                                                          \
        }                                                                                                              \
    } while (0)

#endif

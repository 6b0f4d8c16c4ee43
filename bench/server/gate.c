#include "bench/server/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void bench_gate_init(struct bench_gate *gate) {
    gate->fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    if (gate->fd < 0)
        abort();
}

void bench_gate_deinit(struct bench_gate *gate) {
    close(gate->fd);
    gate->fd = -1;
}

void bench_gate_open(struct bench_gate *gate) {
    uint64_t one = 1;
    while (write(gate->fd, &one, sizeof one) < 0) {
        if (errno != EINTR)
            abort();
    }
}

static int64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool bench_gate_wait(struct bench_gate *gate, int other_fd, int timeout_ms) {
    int64_t end_ms = clock_ms() + timeout_ms;
    for (;;) {
        uint64_t pass;
        if (read(gate->fd, &pass, sizeof pass) == sizeof pass)
            return true;
        int64_t left_ms = end_ms - clock_ms();
        if (left_ms <= 0)
            return false;
        struct pollfd polled[2] = {{.fd = gate->fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
        if (poll(polled, 2, (int)left_ms) < 0 && errno != EINTR)
            return false;
        if (polled[1].revents && !polled[0].revents)
            return false;
    }
}

#include "bench/peers/ring_init.h"

#include <errno.h>
#include <time.h>

#include "bench/peers/meter.h"

enum { TRIES = 100, PAUSE_NS = 10 * 1000 * 1000 };

void peer_ring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params) {
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    const struct io_uring_params wanted = *params; // the kernel writes into them
    int result = io_uring_queue_init_params(entries, ring, params);
    for (int i = 1; i < TRIES && result == -ENOMEM; i++) {
        nanosleep(&pause, NULL);
        *params = wanted;
        result = io_uring_queue_init_params(entries, ring, params);
    }
    if (result < 0) {
        errno = -result;
        peer_die("the kernel gives no ring");
    }
}

// Makes a ring where ring memory is short. Any thread.
#ifndef QUOIT_BENCH_PEERS_RING_INIT_H
#define QUOIT_BENCH_PEERS_RING_INIT_H

#include <liburing.h>

// peer_ring_init is io_uring_queue_init_params that, for want of memory, tries again for a second: the kernel counts ring
// memory by user and gives that of rings that are closed back late, and the last peer's has only just been closed. It ends
// the process when there is no ring to be had.
void peer_ring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params);

#endif

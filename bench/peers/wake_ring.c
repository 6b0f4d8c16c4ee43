// The bare wake-ups: a loop that sleeps in io_uring_enter until a word changes or an eventfd is written. The word is
// also the whole queue, which is less than any queue that carries something.
#include "bench/peers/wake.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include "bench/peers/meter.h"
#include "bench/peers/ring_init.h"

enum {
    ENTRIES = 64,
    OP_FUTEX_WAIT = 51,       // IORING_OP_FUTEX_WAIT (6.7)
    FUTEX2_WORD = 2 | 128,    // FUTEX2_SIZE_U32 | FUTEX2_PRIVATE
};

static struct {
    struct wake_sightings *sightings;
    bool is_futex;
    _Atomic uint32_t word; // rings so far, the last one ends the loop
    _Atomic bool is_over;
    int event_fd;
    pthread_t thread;
    sem_t started;
    struct io_uring uring;
} loop;

// Arms the futex for the next ring, unless that has come already: then it completes at once.
static void arm_futex(uint32_t seen) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop.uring);
    io_uring_prep_rw(OP_FUTEX_WAIT, sqe, FUTEX2_WORD, &loop.word, 0, seen);
    sqe->addr3 = FUTEX_BITSET_MATCH_ANY;
}

static void arm_eventfd(void) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop.uring);
    io_uring_prep_poll_multishot(sqe, loop.event_fd, POLLIN); // by edges: nobody reads the count
}

// Takes what has completed; true when the operation has to be armed again.
static bool reap(void) {
    unsigned head;
    unsigned count = 0;
    bool is_ended = false;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&loop.uring, head, cqe) {
        count++;
        is_ended = is_ended || (cqe->flags & IORING_CQE_F_MORE) == 0;
        if (cqe->res < 0 && cqe->res != -EAGAIN) {
            errno = -cqe->res;
            peer_die("the kernel cannot wait for this through a ring");
        }
    }
    io_uring_cq_advance(&loop.uring, count);
    return is_ended;
}

static void *sleep_and_wake(void *unused) {
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    peer_ring_init(&loop.uring, ENTRIES, &params);
    io_uring_register_ring_fd(&loop.uring);
    uint32_t seen = 0;
    sem_post(&loop.started);
    for (bool is_armed = false; !atomic_load(&loop.is_over);) {
        if (!is_armed) {
            if (loop.is_futex) {
                arm_futex(seen);
            } else {
                arm_eventfd();
            }
            is_armed = true;
        }
        io_uring_submit_and_wait(&loop.uring, 1);
        is_armed = !reap();
        uint32_t now = atomic_load(&loop.word);
        for (; seen != now && !atomic_load(&loop.is_over); seen++) {
            wake_seen(loop.sightings);
        }
    }
    io_uring_queue_exit(&loop.uring);
    return unused;
}

static void start(struct wake_sightings *sightings, bool is_futex) {
    loop.sightings = sightings;
    loop.is_futex = is_futex;
    loop.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sem_init(&loop.started, 0, 0);
    if (loop.event_fd < 0 || pthread_create(&loop.thread, NULL, sleep_and_wake, NULL) != 0) {
        peer_die("cannot begin");
    }
    sem_wait(&loop.started);
}

static void ring_futex(void) {
    atomic_fetch_add(&loop.word, 1);
    syscall(SYS_futex, &loop.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static void ring_eventfd(void) {
    uint64_t one = 1;
    atomic_fetch_add(&loop.word, 1);
    if (write(loop.event_fd, &one, sizeof one) < 0) {
        peer_die("eventfd");
    }
}

static uint64_t stop(void) {
    atomic_store(&loop.is_over, true);
    if (loop.is_futex) {
        ring_futex();
    } else {
        ring_eventfd();
    }
    pthread_join(loop.thread, NULL);
    close(loop.event_fd);
    sem_destroy(&loop.started);
    return UINT64_MAX;
}

static void start_futex(struct wake_sightings *sightings) { start(sightings, true); }
static void start_eventfd(struct wake_sightings *sightings) { start(sightings, false); }

const struct wake_subject k_wake_futex = {"futex", start_futex, ring_futex, stop};
const struct wake_subject k_wake_eventfd = {"eventfd", start_eventfd, ring_eventfd, stop};

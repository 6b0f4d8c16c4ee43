// A ring driven by hand, SQE by SQE, on any `struct q_sys_uring`: for tests of the simulated kernel, and for scripts
// that are played on it and on the real one. Nothing is hidden and nothing is clever: what a test writes is what the
// kernel gets. A failing set-up call fails the test.
// One thread.
#ifndef QUOIT_TESTS_SUPPORT_RAWRING_H
#define QUOIT_TESTS_SUPPORT_RAWRING_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include "engine/loop/sys_uring.h"
#include "engine/loop/uring_abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define Q_RAWRING_DEFAULT_FLAGS                                                                                        \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |   \
     IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)
#define Q_RAWRING_NO_TIMEOUT UINT64_MAX

struct q_rawring {
    struct q_sys_uring *sys;
    int fd;
    unsigned enter_flags; // added to each enter
    struct io_uring_params params;
    char *rings;
    size_t rings_size;
    struct io_uring_sqe *sqes;
    size_t sqes_size;
    uint32_t queued; // SQEs that enter has not been told of
    struct io_uring_buf_ring *buffers;
    size_t buffers_size;
    char *buffer_memory;
    size_t buffer_size;
    unsigned num_buffers;
    uint16_t group;
};

// q_rawring_open sets up and maps a ring. Returns 0, or what io_uring_setup gave.
int q_rawring_open(struct q_rawring *ring, struct q_sys_uring *sys, unsigned flags, unsigned sq_entries,
                   unsigned cq_entries);

// q_rawring_close gives everything back; the slots are the test's business.
void q_rawring_close(struct q_rawring *ring);

// q_rawring_slots registers a sparse table of slots. q_rawring_buffers registers a ring of `count` buffers of `size`
// bytes with ids 0..count-1, none of them given; q_rawring_give gives one.
int q_rawring_slots(struct q_rawring *ring, unsigned count);
int q_rawring_buffers(struct q_rawring *ring, uint16_t group, unsigned count, size_t size);
void q_rawring_give(struct q_rawring *ring, uint16_t id);
char *q_rawring_buffer(struct q_rawring *ring, uint16_t id);

// q_rawring_sqe queues a zeroed SQE for the test to fill.
struct io_uring_sqe *q_rawring_sqe(struct q_rawring *ring, uint64_t user_data);

// The operations that the engine uses, on direct slots.
struct io_uring_sqe *q_rawring_socket(struct q_rawring *ring, uint64_t user_data, unsigned slot);
struct io_uring_sqe *q_rawring_option(struct q_rawring *ring, uint64_t user_data, unsigned slot, int level, int name,
                                      const int *value);
struct io_uring_sqe *q_rawring_bind(struct q_rawring *ring, uint64_t user_data, unsigned slot,
                                    const struct sockaddr *address, socklen_t len);
struct io_uring_sqe *q_rawring_connect(struct q_rawring *ring, uint64_t user_data, unsigned slot,
                                       const struct sockaddr *address, socklen_t len);
struct io_uring_sqe *q_rawring_receive(struct q_rawring *ring, uint64_t user_data, unsigned slot);
struct io_uring_sqe *q_rawring_send(struct q_rawring *ring, uint64_t user_data, unsigned slot, const void *data,
                                    size_t len);
struct io_uring_sqe *q_rawring_close_slot(struct q_rawring *ring, uint64_t user_data, unsigned slot);
struct io_uring_sqe *q_rawring_cancel_slot(struct q_rawring *ring, uint64_t user_data, unsigned slot);

// q_rawring_enter hands what is queued to the kernel and waits for `min_complete`. Gives what enter gave.
int q_rawring_enter(struct q_rawring *ring, unsigned min_complete, uint64_t timeout_ns);

// q_rawring_submit is an enter without GETEVENTS.
int q_rawring_submit(struct q_rawring *ring);

// q_rawring_pop takes the next completion, if there is one.
bool q_rawring_pop(struct q_rawring *ring, struct io_uring_cqe *out);

// q_rawring_await enters until there is a completion, takes it, and gives its result; INT32_MIN after `timeout_ns`.
int32_t q_rawring_await(struct q_rawring *ring, uint64_t timeout_ns, struct io_uring_cqe *out);

uint32_t q_rawring_sq_flags(const struct q_rawring *ring);
uint32_t q_rawring_ready(const struct q_rawring *ring); // completions that can be popped

#endif

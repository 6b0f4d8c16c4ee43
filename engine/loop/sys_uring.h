// The seam below the ring: everything that ring.c asks of the kernel. Its two implementations are the real kernel
// (sys_uring.c) and the simulated one (tests/support/simkernel), on which ring.c runs unchanged. A conformance suite
// plays the same scripts on both.
//
// All calls return what the system call returns, with -errno in place of -1 and errno: no thread-local state.
// Thread rule: the loop thread, but for futex_wake, eventfd_signal and eventfd_clear, which any thread calls.
#ifndef QUOIT_ENGINE_LOOP_SYS_URING_H
#define QUOIT_ENGINE_LOOP_SYS_URING_H

#include <stdint.h>
#include <stddef.h>
#include <sys/socket.h>

struct io_uring_params;

struct q_sys_uring {
    // io_uring_setup(2).
    int (*setup)(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params);

    // io_uring_enter(2), with its extended argument form: `arg` of `arg_size` bytes goes as it is.
    int (*enter)(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                 const void *arg, size_t arg_size);

    // io_uring_register(2). `ring_fd` is the registered index when `opcode` carries the USE_REGISTERED_RING flag.
    int (*reg)(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args);

    // Maps `size` bytes of ring memory at `offset` of the ring's file, shared, populated, and marked not to reach a
    // forked child. NULL when it cannot.
    void *(*map_ring)(struct q_sys_uring *sys, int ring_fd, size_t size, uint64_t offset);

    // Maps `size` bytes of private zeroed memory that does not reach a forked child: buffers that the kernel writes.
    void *(*map_memory)(struct q_sys_uring *sys, size_t size);
    void (*unmap)(struct q_sys_uring *sys, void *ptr, size_t size);

    // close(2) of a number that this caller owns and forgets with the call.
    void (*close)(struct q_sys_uring *sys, int fd);

    // eventfd(2), non-blocking and close-on-exec, with a count of 0; and a write of 1 to it.
    int (*eventfd)(struct q_sys_uring *sys);
    void (*eventfd_signal)(struct q_sys_uring *sys, int fd);

    // Sets the count of an eventfd back to 0 (a read) and gives what it was; 0 when there was nothing to read.
    uint64_t (*eventfd_clear)(struct q_sys_uring *sys, int fd);

    // Lets `ms` milliseconds pass. Only in create, while the kernel gives the memory of closed rings back.
    void (*pause_ms)(struct q_sys_uring *sys, unsigned ms);

    // socket(2) with SOCK_CLOEXEC, blocking, setsockopt(2) and bind(2): for kernels that cannot make sockets
    // in slots (before 6.7), or bind them there (before 6.11). The number lives between these calls and `close` only, on
    // the loop thread.
    int (*socket)(struct q_sys_uring *sys, int domain, int type, int protocol);
    int (*setsockopt)(struct q_sys_uring *sys, int fd, int level, int name, const void *data, socklen_t len);
    int (*bind)(struct q_sys_uring *sys, int fd, const struct sockaddr *address, socklen_t len);

    // Wakes what waits on `word` with a futex operation of the ring: futex(2) FUTEX_WAKE, private. Any thread.
    void (*futex_wake)(struct q_sys_uring *sys, uint32_t *word);
};

// q_sys_uring_real is the kernel. Constant; never freed.
struct q_sys_uring *q_sys_uring_real(void);

#endif

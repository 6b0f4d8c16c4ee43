#define _GNU_SOURCE
#include "engine/loop/sys_uring.h"

#include "engine/base/check.h"
#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result_of(long returned) { return returned < 0 ? -errno : (int)returned; }

static int real_setup(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params) {
    (void)sys;
    return result_of(syscall(__NR_io_uring_setup, entries, params));
}

static int real_enter(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                      const void *arg, size_t arg_size) {
    (void)sys;
    return result_of(syscall(__NR_io_uring_enter, ring_fd, to_submit, min_complete, flags, arg, arg_size));
}

static int real_register(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args) {
    (void)sys;
    return result_of(syscall(__NR_io_uring_register, ring_fd, opcode, arg, num_args));
}

// A mapping that a forked child would inherit keeps the ring, and with it our connections, alive in the child.
static void *keep_from_children(void *ptr, size_t size) {
    if (ptr == MAP_FAILED) {
        return NULL;
    }
    if (madvise(ptr, size, MADV_DONTFORK) != 0) {
        munmap(ptr, size);
        return NULL;
    }
    return ptr;
}

static void *real_map_ring(struct q_sys_uring *sys, int ring_fd, size_t size, uint64_t offset) {
    (void)sys;
    void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, (off_t)offset);
    return keep_from_children(ptr, size);
}

static void *real_map_memory(struct q_sys_uring *sys, size_t size) {
    (void)sys;
    void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return keep_from_children(ptr, size);
}

static void real_unmap(struct q_sys_uring *sys, void *ptr, size_t size) {
    (void)sys;
    munmap(ptr, size);
}

static void real_close(struct q_sys_uring *sys, int fd) {
    (void)sys;
    close(fd); // Linux frees the number whatever close returns; a second call could hit a stranger
}

static int real_eventfd(struct q_sys_uring *sys) {
    (void)sys;
    return result_of(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static void real_eventfd_signal(struct q_sys_uring *sys, int fd) {
    (void)sys;
    int saved = errno; // a signal handler may ring: the thread that it interrupted must not see our errno
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(fd, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    // EAGAIN means that the count is at its maximum: the reader is signalled already.
    errno = saved;
}

static uint64_t real_eventfd_clear(struct q_sys_uring *sys, int fd) {
    (void)sys;
    int saved = errno; // a drain that finds nothing is no failure of the host's
    uint64_t count;
    ssize_t got;
    do {
        got = read(fd, &count, sizeof count);
    } while (got < 0 && errno == EINTR);
    errno = saved;
    return got == (ssize_t)sizeof count ? count : 0;
}

static void real_pause_ms(struct q_sys_uring *sys, unsigned ms) {
    (void)sys;
    poll(NULL, 0, (int)ms);
}

static int real_socket(struct q_sys_uring *sys, int domain, int type, int protocol) {
    (void)sys;
    return result_of(socket(domain, type | SOCK_CLOEXEC, protocol));
}

static int real_setsockopt(struct q_sys_uring *sys, int fd, int level, int name, const void *data, socklen_t len) {
    (void)sys;
    return result_of(setsockopt(fd, level, name, data, len));
}

static int real_bind(struct q_sys_uring *sys, int fd, const struct sockaddr *address, socklen_t len) {
    (void)sys;
    return result_of(bind(fd, address, len));
}

static void real_futex_wake(struct q_sys_uring *sys, uint32_t *word) {
    (void)sys;
    int saved = errno; // as in real_eventfd_signal
    syscall(__NR_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    errno = saved;
}

// Not const: the simulated kernel has state behind the same type. The real one is never written.
static struct q_sys_uring the_real_kernel = {
    .setup = real_setup,
    .enter = real_enter,
    .reg = real_register,
    .map_ring = real_map_ring,
    .map_memory = real_map_memory,
    .unmap = real_unmap,
    .close = real_close,
    .eventfd = real_eventfd,
    .eventfd_signal = real_eventfd_signal,
    .eventfd_clear = real_eventfd_clear,
    .pause_ms = real_pause_ms,
    .socket = real_socket,
    .setsockopt = real_setsockopt,
    .bind = real_bind,
    .futex_wake = real_futex_wake,
};

struct q_sys_uring *q_sys_uring_real(void) { return &the_real_kernel; }

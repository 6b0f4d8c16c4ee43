// The real kernel behind the seam: results instead of errno, numbers that do not leak, and wake-ups that a signal
// handler may make.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/loop/sys_uring.h"
#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <poll.h>
#include <pthread.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void failures_are_results_and_not_errno(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    struct io_uring_params params = {.flags = ~0u};
    errno = 0;
    assert_true(sys->setup(sys, 8, &params) < 0);
    assert_int_equal(sys->enter(sys, -1, 0, 0, 0, NULL, 0), -EBADF);
    assert_true(sys->reg(sys, -1, IORING_REGISTER_PROBE, NULL, 0) < 0);
    assert_int_equal(sys->socket(sys, -1, SOCK_STREAM, 0), -EAFNOSUPPORT);
    int one = 1;
    assert_int_equal(sys->setsockopt(sys, -1, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), -EBADF);
    assert_int_equal(sys->bind(sys, -1, &(struct sockaddr){.sa_family = AF_INET}, sizeof(struct sockaddr)), -EBADF);
    assert_null(sys->map_ring(sys, -1, 4096, 0));
}

static void an_eventfd_starts_at_zero_counts_and_is_cleared(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    eventfd_t count = 0;
    int fd = sys->eventfd(sys);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(eventfd_read(fd, &count), -1);
    sys->eventfd_signal(sys, fd);
    sys->eventfd_signal(sys, fd);
    assert_int_equal(eventfd_read(fd, &count), 0);
    assert_int_equal(count, 2);
    sys->eventfd_signal(sys, fd);
    sys->eventfd_clear(sys, fd);
    sys->eventfd_clear(sys, fd); // of nothing: does not block
    assert_int_equal(eventfd_read(fd, &count), -1);
    sys->close(sys, fd);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_full_eventfd_does_not_block_its_signaller(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    int fd = sys->eventfd(sys);
    assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
    sys->eventfd_signal(sys, fd); // its reader is signalled already
    sys->close(sys, fd);
}

static void ringing_leaves_errno_alone(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    errno = 4711; // of the code that a signal handler has interrupted
    sys->eventfd_signal(sys, -1);
    assert_int_equal(errno, 4711);
    sys->futex_wake(sys, (uint32_t *)8);
    assert_int_equal(errno, 4711);
}

struct sleeper {
    uint32_t word;
    long result;
};

static void *sleep_on_word(void *context) {
    struct sleeper *sleeper = context;
    struct timespec most = {.tv_sec = 20};
    sleeper->result = syscall(SYS_futex, &sleeper->word, FUTEX_WAIT_PRIVATE, 0, &most, NULL, 0);
    return NULL;
}

static void a_futex_wake_wakes_one_that_waits_on_the_word(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    struct sleeper sleeper = {.result = -1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, sleep_on_word, &sleeper), 0);
    // The word stays as it is, so that nothing but a wake ends the wait; as often as it takes until it waits.
    while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
        sys->futex_wake(sys, &sleeper.word);
        sched_yield();
    }
    assert_int_equal(sleeper.result, 0);
}

static void mapped_memory_is_zero_and_does_not_reach_a_child(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    size_t size = 4096;
    int status;
    unsigned char *memory = sys->map_memory(sys, size);
    assert_non_null(memory);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(memory[i], 0);
    }
    memory[0] = 1;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        // A system call looks for us: EFAULT where there is nothing, and no crash that a sanitizer would report.
        _exit(write(fds[1], memory, 1) == -1 && errno == EFAULT ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(write(fds[1], memory, 1), 1); // here it is
    close(fds[0]);
    close(fds[1]);
    sys->unmap(sys, memory, size);
}

static void a_socket_is_closed_by_exec_and_takes_options(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    int value = 0;
    socklen_t len = sizeof value;
    int fd = sys->socket(sys, AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); // or the ring's operations would give EAGAIN
    int one = 1;
    assert_int_equal(sys->setsockopt(sys, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_equal(value, 1);
    sys->close(sys, fd);
}

static void a_socket_is_bound_to_an_address(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = sys->socket(sys, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(sys->bind(sys, fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(sys->bind(sys, fd, (struct sockaddr *)&address, sizeof address), -EINVAL);
    sys->close(sys, fd);
}

static void a_pause_lets_time_pass(void **state) {
    (void)state;
    struct q_sys_uring *sys = q_sys_uring_real();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    sys->pause_ms(sys, 3);
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t ns = (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
    assert_true(ns >= 3000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_results_and_not_errno),
        cmocka_unit_test(an_eventfd_starts_at_zero_counts_and_is_cleared),
        cmocka_unit_test(a_full_eventfd_does_not_block_its_signaller),
        cmocka_unit_test(ringing_leaves_errno_alone),
        cmocka_unit_test(a_futex_wake_wakes_one_that_waits_on_the_word),
        cmocka_unit_test(mapped_memory_is_zero_and_does_not_reach_a_child),
        cmocka_unit_test(a_socket_is_closed_by_exec_and_takes_options),
        cmocka_unit_test(a_socket_is_bound_to_an_address),
        cmocka_unit_test(a_pause_lets_time_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/engine/core/counts.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/hook.h"
#include "engine/core/table.h"

// What struct counts tells, while it is being counted. A site is found by the address of its function's name.
struct counted_site {
    _Atomic(const char *) function;
    _Atomic uint64_t done;
    _Atomic uint64_t lost;
    _Atomic uint64_t copied;
    _Atomic uint64_t copy_most;
};

static struct {
    _Atomic uint64_t calls[COUNTS_CALLS];
    _Atomic uint64_t allocations;
    struct counted_site sites[COUNTS_SITES_MAX];
} the_counts[COUNTS_ROLES];

static _Atomic bool is_counting;
static _Atomic uint64_t num_held;
static _Thread_local bool is_host;

// COUNTS_ROLES: nobody whose doings count.
static enum counts_role role_here(void) {
    if (!atomic_load_explicit(&is_counting, memory_order_relaxed)) {
        return COUNTS_ROLES;
    }
    return q_table_is_in_loop() ? COUNTS_LOOP : is_host ? COUNTS_HOST : COUNTS_ROLES;
}

static void count_one(_Atomic uint64_t *counter, uint64_t more) {
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

// --- atomics and copies --------------------------------------------------------------------------------------------

static struct counted_site *site_of(enum counts_role role, const char *function) {
    for (size_t i = 0; i < COUNTS_SITES_MAX; i++) {
        struct counted_site *site = &the_counts[role].sites[i];
        const char *seen = NULL;
        if (atomic_compare_exchange_strong(&site->function, &seen, function) || seen == function) {
            return site;
        }
    }
    abort(); // COUNTS_SITES_MAX is too small
}

static void count_rmw(const char *function, bool is_done) {
    enum counts_role role = role_here();
    if (role != COUNTS_ROLES) {
        struct counted_site *site = site_of(role, function);
        count_one(is_done ? &site->done : &site->lost, 1);
    }
}

static void count_copy(const char *function, size_t len) {
    enum counts_role role = role_here();
    if (role != COUNTS_ROLES) {
        struct counted_site *site = site_of(role, function);
        uint64_t most = atomic_load(&site->copy_most);
        count_one(&site->copied, len);
        while (most < len && !atomic_compare_exchange_weak(&site->copy_most, &most, len)) {
        }
    }
}

// --- allocations ---------------------------------------------------------------------------------------------------

static void count_allocation(void) {
    enum counts_role role = role_here();
    if (role != COUNTS_ROLES) {
        count_one(&the_counts[role].allocations, 1);
    }
}

static void *give(void *context, size_t size) {
    (void)context;
    count_allocation();
    atomic_fetch_add(&num_held, 1);
    return malloc(size);
}

static void take_back(void *context, void *ptr, size_t size) {
    (void)context;
    (void)size;
    count_allocation();
    atomic_fetch_sub(&num_held, 1);
    free(ptr);
}

const struct quoit_allocator *counts_allocator(void) {
    static const struct quoit_allocator k_allocator = {.allocate = give, .release = take_back};
    return &k_allocator;
}

uint64_t counts_held(void) {
    return atomic_load(&num_held);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // a sanitizer brings its own
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void __libc_free(void *ptr);
extern __attribute__((visibility("default"))) void *malloc(size_t size);
extern __attribute__((visibility("default"))) void *calloc(size_t count, size_t size);
extern __attribute__((visibility("default"))) void *realloc(void *ptr, size_t size);
extern __attribute__((visibility("default"))) void free(void *ptr);

void *malloc(size_t size) {
    count_allocation();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_allocation();
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size) {
    count_allocation();
    return __libc_realloc(ptr, size);
}

void free(void *ptr) {
    if (ptr != NULL) {
        count_allocation();
    }
    __libc_free(ptr);
}
#endif

// --- time ----------------------------------------------------------------------------------------------------------

// What the clock shows on this thread while it is a loop.
static _Thread_local uint64_t shown_ns;

static void move_time_on(void) {
    shown_ns = q_clock_now(q_clock_monotonic());
}

static uint64_t shown_now(const struct q_clock *clock) {
    (void)clock;
    if (!q_table_is_in_loop()) {
        return q_clock_now(q_clock_monotonic());
    }
    if (shown_ns == 0) {
        move_time_on();
    }
    return shown_ns;
}

const struct q_clock *counts_clock(void) {
    static const struct q_clock k_clock = {.now_ns = shown_now};
    return &k_clock;
}

// --- system calls --------------------------------------------------------------------------------------------------

static struct q_sys_uring *count_call(enum counts_call call) {
    enum counts_role role = role_here();
    if (role != COUNTS_ROLES) {
        count_one(&the_counts[role].calls[call], 1);
    }
    return q_sys_uring_real();
}

#define COUNTED(call, method, ...)                       \
    do {                                                 \
        struct q_sys_uring *kernel_ = count_call(call);  \
        (void)sys;                                       \
        return kernel_->method(kernel_, ##__VA_ARGS__); \
    } while (0)

static int setup(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params) {
    COUNTED(COUNTS_OTHER, setup, entries, params);
}

static int enter(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                 const void *arg, size_t arg_size) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_ENTER);
    if (to_submit == 0 && min_complete == 0) {
        count_call(COUNTS_LOOK);
    }
    int result = kernel->enter(kernel, ring_fd, to_submit, min_complete, flags, arg, arg_size);
    move_time_on();
    return result;
}

static int reg(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args) {
    COUNTED(COUNTS_OTHER, reg, ring_fd, opcode, arg, num_args);
}

static void *map_ring(struct q_sys_uring *sys, int ring_fd, size_t size, uint64_t offset) {
    COUNTED(COUNTS_OTHER, map_ring, ring_fd, size, offset);
}

static void *map_memory(struct q_sys_uring *sys, size_t size) {
    COUNTED(COUNTS_OTHER, map_memory, size);
}

static void unmap(struct q_sys_uring *sys, void *ptr, size_t size) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_OTHER);
    kernel->unmap(kernel, ptr, size);
}

static void close_number(struct q_sys_uring *sys, int fd) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_OTHER);
    kernel->close(kernel, fd);
}

static int make_eventfd(struct q_sys_uring *sys) {
    COUNTED(COUNTS_OTHER, eventfd);
}

static void eventfd_signal(struct q_sys_uring *sys, int fd) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_EVENTFD_SIGNAL);
    kernel->eventfd_signal(kernel, fd);
}

static uint64_t eventfd_clear(struct q_sys_uring *sys, int fd) {
    move_time_on(); // a host that drives begins each tick with it
    COUNTED(COUNTS_EVENTFD_CLEAR, eventfd_clear, fd);
}

static void pause_ms(struct q_sys_uring *sys, unsigned ms) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_OTHER);
    kernel->pause_ms(kernel, ms);
}

static int make_socket(struct q_sys_uring *sys, int domain, int type, int protocol) {
    COUNTED(COUNTS_OTHER, socket, domain, type, protocol);
}

static int set_option(struct q_sys_uring *sys, int fd, int level, int name, const void *data, socklen_t len) {
    COUNTED(COUNTS_OTHER, setsockopt, fd, level, name, data, len);
}

static int bind_number(struct q_sys_uring *sys, int fd, const struct sockaddr *address, socklen_t len) {
    COUNTED(COUNTS_OTHER, bind, fd, address, len);
}

static void futex_wake(struct q_sys_uring *sys, uint32_t *word) {
    (void)sys;
    struct q_sys_uring *kernel = count_call(COUNTS_FUTEX_WAKE);
    kernel->futex_wake(kernel, word);
}

struct q_sys_uring *counts_sys(void) {
    static struct q_sys_uring counted = {
        .setup = setup,
        .enter = enter,
        .reg = reg,
        .map_ring = map_ring,
        .map_memory = map_memory,
        .unmap = unmap,
        .close = close_number,
        .eventfd = make_eventfd,
        .eventfd_signal = eventfd_signal,
        .eventfd_clear = eventfd_clear,
        .pause_ms = pause_ms,
        .socket = make_socket,
        .setsockopt = set_option,
        .bind = bind_number,
        .futex_wake = futex_wake,
    };
    q_hook_rmw_fn = count_rmw;
    q_hook_copy_fn = count_copy;
    return &counted;
}

// Waiting at a port is poll(2), and no part of the seam: a host's thread waits as hosts do.
extern __attribute__((visibility("default"))) int poll(struct pollfd *fds, nfds_t num, int timeout_ms);

int poll(struct pollfd *fds, nfds_t num, int timeout_ms) {
    count_call(COUNTS_POLL);
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    return (int)syscall(SYS_ppoll, fds, num, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

// --- counting ------------------------------------------------------------------------------------------------------

void counts_host_begin(void) {
    is_host = true;
}

void counts_host_end(void) {
    is_host = false;
}

void counts_begin(void) {
    for (size_t role = 0; role < COUNTS_ROLES; role++) {
        for (size_t call = 0; call < COUNTS_CALLS; call++) {
            atomic_store(&the_counts[role].calls[call], 0);
        }
        atomic_store(&the_counts[role].allocations, 0);
        for (size_t i = 0; i < COUNTS_SITES_MAX; i++) {
            struct counted_site *site = &the_counts[role].sites[i];
            atomic_store(&site->done, 0);
            atomic_store(&site->lost, 0);
            atomic_store(&site->copied, 0);
            atomic_store(&site->copy_most, 0);
        }
    }
    atomic_store(&is_counting, true);
}

void counts_end(struct counts *out) {
    atomic_store(&is_counting, false);
    for (size_t role = 0; role < COUNTS_ROLES; role++) {
        struct counts_of_role *of = &out->of[role];
        for (size_t call = 0; call < COUNTS_CALLS; call++) {
            of->calls[call] = atomic_load(&the_counts[role].calls[call]);
        }
        of->allocations = atomic_load(&the_counts[role].allocations);
        for (size_t i = 0; i < COUNTS_SITES_MAX; i++) {
            struct counted_site *site = &the_counts[role].sites[i];
            of->sites[i] = (struct counts_site){.function = atomic_load(&site->function),
                                                .done = atomic_load(&site->done),
                                                .lost = atomic_load(&site->lost),
                                                .copied = atomic_load(&site->copied),
                                                .copy_most = atomic_load(&site->copy_most)};
        }
    }
}

// --- telling -------------------------------------------------------------------------------------------------------

// All that `function` did; two static functions of one name are one.
static struct counts_site sum_of(const struct counts *counts, unsigned role, const char *function) {
    struct counts_site sum = {.function = function};
    for (unsigned i = 0; i < COUNTS_ROLES; i++) {
        for (size_t at = 0; (role == COUNTS_ROLES || role == i) && at < COUNTS_SITES_MAX; at++) {
            const struct counts_site *site = &counts->of[i].sites[at];
            if (site->function == NULL || (function != NULL && strcmp(site->function, function) != 0)) {
                continue;
            }
            sum.done += site->done;
            sum.lost += site->lost;
            sum.copied += site->copied;
            sum.copy_most = site->copy_most > sum.copy_most ? site->copy_most : sum.copy_most;
        }
    }
    return sum;
}

uint64_t counts_rmw(const struct counts *counts, unsigned role, const char *function) {
    return sum_of(counts, role, function).done;
}

uint64_t counts_copied(const struct counts *counts, unsigned role, const char *function) {
    return sum_of(counts, role, function).copied;
}

uint64_t counts_copy_most(const struct counts *counts, const char *function) {
    return sum_of(counts, COUNTS_ROLES, function).copy_most;
}

uint64_t counts_lost(const struct counts *counts, unsigned role) {
    return sum_of(counts, role, NULL).lost;
}

void counts_print(const struct counts *counts) {
    static const char *const k_roles[COUNTS_ROLES] = {"loop", "host"};
    static const char *const k_calls[COUNTS_CALLS] = {"io_uring_enter", "of them looks", "futex_wake", "eventfd write",
                                                      "eventfd read",   "poll",          "other calls"};
    for (size_t role = 0; role < COUNTS_ROLES; role++) {
        const struct counts_of_role *of = &counts->of[role];
        for (size_t call = 0; call < COUNTS_CALLS; call++) {
            if (of->calls[call] > 0) {
                print_message("    %s: %llu %s\n", k_roles[role], (unsigned long long)of->calls[call], k_calls[call]);
            }
        }
        if (of->allocations > 0) {
            print_message("    %s: %llu allocations\n", k_roles[role], (unsigned long long)of->allocations);
        }
        for (size_t i = 0; i < COUNTS_SITES_MAX; i++) {
            const struct counts_site *site = &of->sites[i];
            if (site->done + site->lost + site->copied > 0) {
                print_message("    %s: %s: %llu atomics, %llu lost, %llu bytes copied, %llu at most\n", k_roles[role],
                              site->function, (unsigned long long)site->done, (unsigned long long)site->lost,
                              (unsigned long long)site->copied, (unsigned long long)site->copy_most);
            }
        }
    }
}

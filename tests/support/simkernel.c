#define _GNU_SOURCE
#include "tests/support/simkernel_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h> // behind sys/socket.h, which it needs

void *sim_alloc(size_t size) {
    void *ptr = calloc(1, size);
    Q_CHECK(ptr != NULL);
    return ptr;
}

void sim_bytes_add(struct sim_bytes *bytes, const void *data, size_t len) {
    if (len == 0) {
        return;
    }
    if (bytes->start + bytes->len + len > bytes->capacity) {
        if (bytes->start > 0 && bytes->len > 0) {
            memmove(bytes->data, bytes->data + bytes->start, bytes->len);
        }
        bytes->start = 0;
        if (bytes->len + len > bytes->capacity) {
            bytes->capacity = (bytes->len + len) * 2;
            bytes->data = realloc(bytes->data, bytes->capacity);
            Q_CHECK(bytes->data != NULL);
        }
    }
    memcpy(bytes->data + bytes->start + bytes->len, data, len);
    bytes->len += len;
}

size_t sim_bytes_take(struct sim_bytes *bytes, void *out, size_t len) {
    if (len > bytes->len) {
        len = bytes->len;
    }
    if (out != NULL && len > 0) {
        memcpy(out, bytes->data + bytes->start, len);
    }
    bytes->start += len;
    bytes->len -= len;
    if (bytes->len == 0) {
        bytes->start = 0;
    }
    return len;
}

void sim_bytes_free(struct sim_bytes *bytes) {
    free(bytes->data);
    *bytes = (struct sim_bytes){0};
}

bool sim_owner_is_caller(const struct q_sim *sim) { return pthread_equal(sim->owner, pthread_self()) != 0; }

// Violations and injected failures.

void sim_violation(struct q_sim *sim, const char *format, ...) {
    if (sim->num_violations < SIM_VIOLATIONS_KEPT) {
        va_list args;
        va_start(args, format);
        vsnprintf(sim->violations[sim->num_violations], SIM_VIOLATION_TEXT, format, args);
        va_end(args);
    }
    sim->num_violations++;
}

size_t q_sim_violations(const struct q_sim *sim) { return sim->num_violations; }

const char *q_sim_violation(const struct q_sim *sim, size_t index) {
    return index < sim->num_violations && index < SIM_VIOLATIONS_KEPT ? sim->violations[index] : NULL;
}

int sim_failure_now(struct sim_failure *failure, unsigned opcode, const char *call) {
    bool is_it = failure->armed && failure->opcode == opcode && (call == NULL || strcmp(failure->call, call) == 0);
    if (!is_it || --failure->countdown > 0) {
        return 0;
    }
    failure->armed = false;
    return -failure->os_errno;
}

static void arm_failure(struct sim_failure *failure, unsigned opcode, const char *call, unsigned nth, int os_errno) {
    *failure = (struct sim_failure){.armed = nth > 0, .opcode = opcode, .countdown = nth, .os_errno = os_errno};
    snprintf(failure->call, sizeof failure->call, "%s", call);
}

void q_sim_fail_op(struct q_sim *sim, unsigned opcode, unsigned nth, int os_errno) {
    Q_CHECK(opcode < Q_COUNT_OF(sim->fail_ops));
    arm_failure(&sim->fail_ops[opcode], opcode, "", nth, os_errno);
}

void q_sim_fail_register(struct q_sim *sim, unsigned opcode, unsigned nth, int os_errno) {
    arm_failure(&sim->fail_register, opcode, "", nth, os_errno);
}

void q_sim_fail_call(struct q_sim *sim, const char *call, unsigned nth, int os_errno) {
    arm_failure(&sim->fail_call, 0, call, nth, os_errno);
}

void q_sim_miss_cancels(struct q_sim *sim, unsigned opcode, unsigned times) {
    sim->missed_opcode = opcode;
    sim->num_misses = times;
}

// Time and events: a binary heap by (time, tie, number).

static bool event_before(const struct sim_event *a, const struct sim_event *b) {
    if (a->at_ns != b->at_ns) {
        return a->at_ns < b->at_ns;
    }
    return a->tie != b->tie ? a->tie < b->tie : a->number < b->number;
}

static void event_swap(struct q_sim *sim, size_t a, size_t b) {
    struct sim_event held = sim->events[a];
    sim->events[a] = sim->events[b];
    sim->events[b] = held;
}

void q_sim_at(struct q_sim *sim, uint64_t at_ns, sim_event_fn fn, void *context, uint64_t arg) {
    if (sim->num_events == sim->events_capacity) {
        sim->events_capacity = sim->events_capacity == 0 ? 64 : sim->events_capacity * 2;
        sim->events = realloc(sim->events, sim->events_capacity * sizeof *sim->events);
        Q_CHECK(sim->events != NULL);
    }
    size_t at = sim->num_events++;
    sim->events[at] = (struct sim_event){
        .at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns,
        .tie = q_sim_is_plain(sim) ? 0 : q_random_below(&sim->random, 8),
        .number = sim->next_event++,
        .fn = fn,
        .context = context,
        .arg = arg,
    };
    while (at > 0 && event_before(&sim->events[at], &sim->events[(at - 1) / 2])) {
        event_swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct sim_event event_pop(struct q_sim *sim) {
    struct sim_event first = sim->events[0];
    sim->events[0] = sim->events[--sim->num_events];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim->num_events; child++) {
            if (event_before(&sim->events[child], &sim->events[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        event_swap(sim, at, least);
        at = least;
    }
}

uint64_t q_sim_next_ns(const struct q_sim *sim) { return sim->num_events == 0 ? UINT64_MAX : sim->events[0].at_ns; }

void q_sim_run_due(struct q_sim *sim) {
    while (sim->num_events > 0 && sim->events[0].at_ns <= sim->now_ns) {
        struct sim_event event = event_pop(sim);
        event.fn(event.context, event.arg);
    }
}

bool q_sim_step(struct q_sim *sim, uint64_t until_ns) {
    uint64_t next = q_sim_next_ns(sim);
    if (next == UINT64_MAX || next > until_ns) {
        if (until_ns != UINT64_MAX && until_ns > sim->now_ns) {
            sim->now_ns = until_ns;
        }
        return false;
    }
    if (next > sim->now_ns) {
        sim->now_ns = next;
    }
    q_sim_run_due(sim);
    return true;
}

static uint64_t sim_clock_now(const struct q_clock *clock) {
    const struct q_sim *sim = q_container_of(clock, const struct q_sim, clock);
    return sim->is_clock_held ? sim->held_ns : sim->now_ns;
}

static int64_t calendar_at(uint64_t now_ns) { return INT64_C(1735689600) + (int64_t)(now_ns / Q_NS_PER_S); }

static int64_t sim_clock_calendar(const struct q_clock *clock) { return calendar_at(sim_clock_now(clock)); }

int64_t q_sim_calendar(const struct q_sim *sim) { return calendar_at(sim->now_ns); }

void q_sim_jump(struct q_sim *sim, uint64_t by_ns) { sim->now_ns += by_ns; }

void q_sim_hold_clock(struct q_sim *sim, bool held) {
    if (held && !sim->is_clock_held) {
        sim->held_ns = sim->now_ns;
    }
    sim->is_clock_held = held;
}

// Files and numbers.

struct sim_file *sim_file_new(struct q_sim *sim, enum sim_file_kind kind) {
    struct sim_file *file = sim_alloc(sizeof *file);
    file->kind = kind;
    file->refs = 1;
    q_list_init(&file->waiting);
    if (kind != SIM_FILE_RING) {
        sim->num_files++;
    }
    return file;
}

void sim_file_drop(struct q_sim *sim, struct sim_file *file) {
    Q_CHECK(file->refs > 0);
    if (--file->refs > 0) {
        return;
    }
    if (file->kind == SIM_FILE_SOCKET) {
        sim_sock_last_close(file->sock);
    }
    if (file->kind == SIM_FILE_RING) {
        sim_ring_drop(file->ring);
    } else {
        sim->num_files--;
    }
    free(file);
}

void sim_file_wake(struct sim_file *file, uint32_t events) {
    struct q_list_node *node = file->waiting.head.next;
    while (node != &file->waiting.head) {
        struct sim_request *request = q_container_of(node, struct sim_request, in_queue);
        node = node->next;
        if ((request->events & events) != 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
            sim_ring_make_ready(request);
        }
    }
}

int sim_number_add(struct q_sim *sim, struct sim_file *file) {
    if (sim->num_numbers == sim->numbers_capacity) {
        sim->numbers_capacity = sim->numbers_capacity == 0 ? 16 : sim->numbers_capacity * 2;
        sim->numbers = realloc(sim->numbers, sim->numbers_capacity * sizeof(struct sim_file *));
        Q_CHECK(sim->numbers != NULL);
    }
    sim->numbers[sim->num_numbers] = file;
    return SIM_FIRST_NUMBER + (int)sim->num_numbers++;
}

struct sim_file *sim_number_get(struct q_sim *sim, int fd) {
    bool known = fd >= SIM_FIRST_NUMBER && (size_t)(fd - SIM_FIRST_NUMBER) < sim->num_numbers;
    return known ? sim->numbers[fd - SIM_FIRST_NUMBER] : NULL;
}

static void sys_close(struct q_sys_uring *sys, int fd) {
    struct q_sim *sim = sim_of(sys);
    struct sim_file *file = sim_number_get(sim, fd);
    if (file == NULL) {
        sim_violation(sim, "close of number %d, which is not open", fd);
        return;
    }
    sim->numbers[fd - SIM_FIRST_NUMBER] = NULL;
    sim_file_drop(sim, file);
}

static int sys_eventfd(struct q_sys_uring *sys) {
    struct q_sim *sim = sim_of(sys);
    int failure = sim_failure_now(&sim->fail_call, 0, "eventfd");
    return failure != 0 ? failure : sim_number_add(sim, sim_file_new(sim, SIM_FILE_EVENTFD));
}

static struct sim_file *eventfd_of(struct q_sim *sim, int fd, const char *what) {
    struct sim_file *file = sim_number_get(sim, fd);
    if (file == NULL || file->kind != SIM_FILE_EVENTFD) {
        sim_violation(sim, "%s of number %d, which is not an open eventfd", what, fd);
        return NULL;
    }
    return file;
}

static void sys_eventfd_signal(struct q_sys_uring *sys, int fd) {
    struct sim_file *file = eventfd_of(sim_of(sys), fd, "signal");
    if (file != NULL) {
        file->count++;
        sim_file_wake(file, EPOLLIN);
    }
}

static uint64_t sys_eventfd_clear(struct q_sys_uring *sys, int fd) { return q_sim_eventfd_take(sim_of(sys), fd); }

static void sys_pause_ms(struct q_sys_uring *sys, unsigned ms) {
    struct q_sim *sim = sim_of(sys);
    uint64_t until_ns = sim->now_ns + ms * Q_NS_PER_MS;
    while (q_sim_step(sim, until_ns)) {
        // events on the way
    }
}

uint64_t q_sim_eventfd_take(struct q_sim *sim, int fd) {
    struct sim_file *file = eventfd_of(sim, fd, "read");
    uint64_t count = file != NULL ? file->count : 0;
    if (file != NULL) {
        file->count = 0;
    }
    return count;
}

uint64_t q_sim_eventfd_count(struct q_sim *sim, int fd) {
    struct sim_file *file = eventfd_of(sim, fd, "look");
    return file != NULL ? file->count : 0;
}

static int sys_socket(struct q_sys_uring *sys, int domain, int type, int protocol) {
    struct q_sim *sim = sim_of(sys);
    int failure = sim_failure_now(&sim->fail_call, 0, "socket");
    if (failure != 0) {
        return failure;
    }
    if ((domain != AF_INET && domain != AF_INET6 && domain != AF_VSOCK) || type != SOCK_STREAM || protocol < 0) {
        return -EAFNOSUPPORT;
    }
    struct sim_file *file = sim_file_new(sim, SIM_FILE_SOCKET);
    file->sock = sim_sock_new(sim, domain);
    file->sock->file = file;
    return sim_number_add(sim, file);
}

static int sys_setsockopt(struct q_sys_uring *sys, int fd, int level, int name, const void *data, socklen_t len) {
    struct q_sim *sim = sim_of(sys);
    int failure = sim_failure_now(&sim->fail_call, 0, "setsockopt");
    struct sim_file *file = sim_number_get(sim, fd);
    if (failure != 0) {
        return failure;
    }
    if (file == NULL) {
        sim_violation(sim, "setsockopt on number %d, which is not open", fd);
        return -EBADF;
    }
    return file->kind == SIM_FILE_SOCKET ? sim_sock_set_option(file->sock, level, name, data, len) : -ENOTSOCK;
}

static int sys_bind(struct q_sys_uring *sys, int fd, const struct sockaddr *address, socklen_t len) {
    struct q_sim *sim = sim_of(sys);
    int failure = sim_failure_now(&sim->fail_call, 0, "bind");
    struct sim_file *file = sim_number_get(sim, fd);
    if (failure != 0) {
        return failure;
    }
    if (file == NULL) {
        sim_violation(sim, "bind on number %d, which is not open", fd);
        return -EBADF;
    }
    struct sockaddr_storage copy = {0};
    if (len > sizeof copy) {
        return -EINVAL;
    }
    memcpy(&copy, address, len);
    return file->kind == SIM_FILE_SOCKET ? sim_sock_bind(file->sock, &copy, len) : -ENOTSOCK;
}

static void sys_futex_wake(struct q_sys_uring *sys, uint32_t *word) {
    struct q_sim *sim = sim_of(sys);
    sim->stats.futex_wakes++;
    for (struct q_list_node *node = sim->futex_waiting.head.next; node != &sim->futex_waiting.head;
         node = node->next) {
        struct sim_request *request = q_container_of(node, struct sim_request, in_queue);
        if (request->word == word) {
            sim_ring_make_ready(request);
            return; // FUTEX_WAKE of one
        }
    }
}

// Memory.

static void mapping_add(struct q_sim *sim, void *ptr, size_t size, struct sim_ring *ring) {
    if (sim->num_mappings == sim->mappings_capacity) {
        sim->mappings_capacity = sim->mappings_capacity == 0 ? 16 : sim->mappings_capacity * 2;
        sim->mappings = realloc(sim->mappings, sim->mappings_capacity * sizeof *sim->mappings);
        Q_CHECK(sim->mappings != NULL);
    }
    sim->mappings[sim->num_mappings++] = (struct sim_mapping){.ptr = ptr, .size = size, .ring = ring};
}

static void *sys_map_ring(struct q_sys_uring *sys, int ring_fd, size_t size, uint64_t offset) {
    struct q_sim *sim = sim_of(sys);
    struct sim_file *file = sim_number_get(sim, ring_fd);
    if (file == NULL || file->kind != SIM_FILE_RING) {
        sim_violation(sim, "map_ring of number %d, which is not an open ring", ring_fd);
        return NULL;
    }
    if (sim_failure_now(&sim->fail_call, 0, "map_ring") != 0) {
        return NULL;
    }
    struct sim_ring *ring = file->ring;
    bool is_sqes = offset == IORING_OFF_SQES;
    bool is_rings = offset == IORING_OFF_SQ_RING || offset == IORING_OFF_CQ_RING; // FEAT_SINGLE_MMAP
    size_t there = is_sqes ? ring->sqes_size : is_rings ? ring->memory_size : 0;
    if (size == 0 || size > there) {
        return NULL;
    }
    void *ptr = is_sqes ? (void *)ring->sqes : (void *)ring->memory;
    ring->handles++;
    mapping_add(sim, ptr, size, ring);
    return ptr;
}

static void *sys_map_memory(struct q_sys_uring *sys, size_t size) {
    struct q_sim *sim = sim_of(sys);
    if (size == 0 || sim_failure_now(&sim->fail_call, 0, "map_memory") != 0) {
        return NULL;
    }
    void *ptr = NULL;
    int failed = posix_memalign(&ptr, 4096, size);
    Q_CHECK(failed == 0);
    memset(ptr, 0, size);
    mapping_add(sim, ptr, size, NULL);
    return ptr;
}

// A buffer ring that the kernel still reads may not be unmapped: on the real one that is memory that the kernel keeps.
static bool mapping_is_registered(struct q_sim *sim, const char *start, size_t size) {
    for (struct q_list_node *node = sim->rings.head.next; node != &sim->rings.head; node = node->next) {
        struct sim_ring *ring = q_container_of(node, struct sim_ring, in_sim);
        for (size_t i = 0; i < SIM_BUFFER_GROUPS; i++) {
            const char *at = (const char *)ring->groups[i].ring;
            if (ring->groups[i].used && at >= start && at < start + size) {
                return true;
            }
        }
    }
    return false;
}

static void sys_unmap(struct q_sys_uring *sys, void *ptr, size_t size) {
    struct q_sim *sim = sim_of(sys);
    for (size_t i = 0; i < sim->num_mappings; i++) {
        struct sim_mapping mapping = sim->mappings[i];
        if (mapping.ptr != ptr || mapping.size != size) {
            continue;
        }
        sim->mappings[i] = sim->mappings[--sim->num_mappings];
        if (mapping.ring != NULL) {
            sim_ring_drop(mapping.ring);
            return;
        }
        if (mapping_is_registered(sim, ptr, size)) {
            sim_violation(sim, "unmap of a buffer ring that is still registered");
        }
        free(ptr);
        return;
    }
    sim_violation(sim, "unmap of %zu bytes that were not mapped so", size);
}

// Addresses.

void sim_address_make(struct sockaddr_storage *out, const char *text, uint16_t port) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return;
    }
    struct sockaddr_vm *vm = (struct sockaddr_vm *)out;
    if (sscanf(text, "vsock:%u", &vm->svm_cid) == 1) {
        vm->svm_family = AF_VSOCK;
        vm->svm_port = port;
        return;
    }
    int parsed = inet_pton(AF_INET6, text, &v6->sin6_addr);
    Q_CHECK(parsed == 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
}

bool sim_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const struct sockaddr_in *)a;
        const struct sockaddr_in *y = (const struct sockaddr_in *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    if (a->ss_family == AF_VSOCK) {
        const struct sockaddr_vm *x = (const struct sockaddr_vm *)a;
        const struct sockaddr_vm *y = (const struct sockaddr_vm *)b;
        return x->svm_port == y->svm_port && x->svm_cid == y->svm_cid;
    }
    const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)b;
    return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

// Life.

struct q_sim *q_sim_new(const struct q_sim_options *options) {
    struct q_sim *sim = sim_alloc(sizeof *sim);
    sim->options = *options;
    sim->now_ns = options->start_ns != 0 ? options->start_ns : UINT64_C(3600) * Q_NS_PER_S;
    sim->owner = pthread_self();
    sim->clock = (struct q_clock){.now_ns = sim_clock_now, .calendar_s = sim_clock_calendar};
    q_random_seed(&sim->random, options->seed);
    q_list_init(&sim->rings);
    q_list_init(&sim->futex_waiting);
    sim->sys = (struct q_sys_uring){
        .setup = sim_ring_setup,
        .enter = sim_ring_enter,
        .reg = sim_ring_register,
        .map_ring = sys_map_ring,
        .map_memory = sys_map_memory,
        .unmap = sys_unmap,
        .close = sys_close,
        .eventfd = sys_eventfd,
        .eventfd_signal = sys_eventfd_signal,
        .eventfd_clear = sys_eventfd_clear,
        .pause_ms = sys_pause_ms,
        .socket = sys_socket,
        .setsockopt = sys_setsockopt,
        .bind = sys_bind,
        .futex_wake = sys_futex_wake,
    };
    return sim;
}

void q_sim_free(struct q_sim *sim) {
    for (size_t i = 0; i < sim->num_numbers; i++) {
        if (sim->numbers[i] != NULL) {
            sys_close(&sim->sys, SIM_FIRST_NUMBER + (int)i);
        }
    }
    for (size_t i = 0; i < SIM_RING_INDEXES; i++) {
        if (sim->indexes[i] != NULL) {
            struct sim_ring *ring = sim->indexes[i];
            sim->indexes[i] = NULL;
            sim_ring_drop(ring);
        }
    }
    while (sim->num_mappings > 0) {
        sys_unmap(&sim->sys, sim->mappings[0].ptr, sim->mappings[0].size);
    }
    sim_net_free(sim);
    free(sim->events);
    free(sim->numbers);
    free(sim->mappings);
    free(sim->endpoints);
    free(sim);
}

struct q_sys_uring *q_sim_sys(struct q_sim *sim) { return &sim->sys; }
const struct q_clock *q_sim_clock(struct q_sim *sim) { return &sim->clock; }
uint64_t q_sim_now(const struct q_sim *sim) { return sim->now_ns; }
uint64_t q_sim_seed(const struct q_sim *sim) { return sim->options.seed; }
bool q_sim_is_plain(const struct q_sim *sim) { return sim->options.seed == 0; }
const struct q_sim_stats *q_sim_stats(const struct q_sim *sim) { return &sim->stats; }
struct q_sim_profile *q_sim_profile(struct q_sim *sim) { return &sim->options.profile; }
struct q_random *q_sim_random(struct q_sim *sim) { return &sim->random; }

bool q_sim_chance(struct q_sim *sim, unsigned percent) {
    return !q_sim_is_plain(sim) && q_random_below(&sim->random, 100) < percent;
}

uint64_t q_sim_between(struct q_sim *sim, uint64_t low, uint64_t high, uint64_t plain) {
    return q_sim_is_plain(sim) ? plain : low + q_random_below(&sim->random, high - low + 1);
}

size_t q_sim_slots_open(const struct q_sim *sim) {
    size_t open = 0;
    for (struct q_list_node *node = sim->rings.head.next; node != &sim->rings.head; node = node->next) {
        struct sim_ring *ring = q_container_of(node, struct sim_ring, in_sim);
        for (uint32_t i = 0; i < ring->num_slots; i++) {
            open += ring->slots[i] != NULL;
        }
    }
    return open;
}

struct q_sim_leaks q_sim_leaks(const struct q_sim *sim) {
    struct q_sim_leaks leaks = {.files = sim->num_files, .mappings = sim->num_mappings};
    for (struct q_list_node *node = sim->rings.head.next; node != &sim->rings.head; node = node->next) {
        struct sim_ring *ring = q_container_of(node, struct sim_ring, in_sim);
        leaks.rings++;
        for (struct q_list_node *at = ring->requests.head.next; at != &ring->requests.head; at = at->next) {
            leaks.requests++;
        }
    }
    for (size_t i = 0; i < sim->num_numbers; i++) {
        leaks.numbers += sim->numbers[i] != NULL;
    }
    return leaks;
}

bool q_sim_check(struct q_sim *sim, char *text, size_t text_size) {
    struct q_sim_leaks leaks = q_sim_leaks(sim);
    bool leaks_any = leaks.rings + leaks.requests + leaks.files + leaks.numbers + leaks.mappings > 0;
    if (sim->num_violations == 0 && sim->stats.stuck == 0 && !leaks_any) {
        return true;
    }
    snprintf(text, text_size,
             "seed %llu: %zu violations (first: %s), stuck %llu times, alive: %zu rings, %zu requests, %zu files, "
             "%zu numbers, %zu mappings",
             (unsigned long long)sim->options.seed, sim->num_violations,
             sim->num_violations > 0 ? sim->violations[0] : "none", (unsigned long long)sim->stats.stuck, leaks.rings,
             leaks.requests, leaks.files, leaks.numbers, leaks.mappings);
    return false;
}

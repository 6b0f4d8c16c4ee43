// The rings of the simulated kernel: set-up, taking SQEs with their chains, posting CQEs with overflow, enter.
#define _GNU_SOURCE
#include "tests/support/simkernel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SQ_ENTRIES_MAX 32768u
#define CQ_ENTRIES_MAX 65536u
#define STUCK_MAX 1000 // a caller that keeps waiting for nothing is stopped

static uint32_t load_acquire(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void store_release(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static void set_sq_flag(struct sim_ring *ring, uint32_t flag, bool on) {
    uint32_t flags = *ring->sq_flags;
    __atomic_store_n(ring->sq_flags, on ? flags | flag : flags & ~flag, __ATOMIC_SEQ_CST);
}

// Set-up.

static uint32_t round_up_to_power(uint32_t value) {
    uint32_t power = 1;
    while (power < value) {
        power *= 2;
    }
    return power;
}

static int check_flags(const struct q_sim_profile *profile, const struct io_uring_params *params) {
    uint32_t known = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    known |= profile->no_submit_all ? 0 : IORING_SETUP_SUBMIT_ALL;
    known |= profile->no_single_issuer ? 0 : IORING_SETUP_SINGLE_ISSUER;
    known |= profile->no_defer_taskrun ? 0 : IORING_SETUP_DEFER_TASKRUN;
    known |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    if ((params->flags & ~known) != 0 || params->resv[0] != 0 || params->resv[1] != 0 || params->resv[2] != 0) {
        return -EINVAL;
    }
    bool defers = (params->flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    bool coop = (params->flags & IORING_SETUP_COOP_TASKRUN) != 0;
    if (defers && (params->flags & IORING_SETUP_SINGLE_ISSUER) == 0) {
        return -EINVAL;
    }
    return (params->flags & IORING_SETUP_TASKRUN_FLAG) != 0 && !defers && !coop ? -EINVAL : 0;
}

static int choose_sizes(struct io_uring_params *params, unsigned entries) {
    bool clamps = (params->flags & IORING_SETUP_CLAMP) != 0;
    if (entries == 0 || (entries > SQ_ENTRIES_MAX && !clamps)) {
        return -EINVAL;
    }
    params->sq_entries = round_up_to_power(entries > SQ_ENTRIES_MAX ? SQ_ENTRIES_MAX : entries);
    if ((params->flags & IORING_SETUP_CQSIZE) == 0) {
        params->cq_entries = params->sq_entries * 2;
        return 0;
    }
    if (params->cq_entries == 0 || (params->cq_entries > CQ_ENTRIES_MAX && !clamps)) {
        return -EINVAL;
    }
    uint32_t cq = params->cq_entries > CQ_ENTRIES_MAX ? CQ_ENTRIES_MAX : params->cq_entries;
    params->cq_entries = round_up_to_power(cq);
    return params->cq_entries < params->sq_entries ? -EINVAL : 0;
}

// The words lie apart as the kernel's do, behind a gap that the kernel does not have: nobody may know offsets.
static void lay_out(struct sim_ring *ring, struct io_uring_params *params) {
    params->sq_off = (struct io_sqring_offsets){
        .head = 64, .tail = 128, .ring_mask = 320, .ring_entries = 328, .flags = 336, .dropped = 340};
    params->cq_off = (struct io_cqring_offsets){
        .head = 192, .tail = 256, .ring_mask = 324, .ring_entries = 332, .flags = 344, .overflow = 348, .cqes = 384};
    params->sq_off.array = params->cq_off.cqes + params->cq_entries * (uint32_t)sizeof(struct io_uring_cqe);
    ring->memory_size = (params->sq_off.array + params->sq_entries * sizeof(uint32_t) + 4095) & ~(size_t)4095;
    ring->sqes_size = (params->sq_entries * sizeof(struct io_uring_sqe) + 4095) & ~(size_t)4095;
    void *memory = NULL;
    void *sqes = NULL;
    int failed = posix_memalign(&memory, 4096, ring->memory_size) + posix_memalign(&sqes, 4096, ring->sqes_size);
    Q_CHECK(failed == 0);
    ring->memory = memset(memory, 0, ring->memory_size);
    ring->sqes = memset(sqes, 0, ring->sqes_size);
    ring->sq_head = (uint32_t *)(void *)(ring->memory + params->sq_off.head);
    ring->sq_tail = (uint32_t *)(void *)(ring->memory + params->sq_off.tail);
    ring->sq_flags = (uint32_t *)(void *)(ring->memory + params->sq_off.flags);
    ring->sq_dropped = (uint32_t *)(void *)(ring->memory + params->sq_off.dropped);
    ring->sq_array = (uint32_t *)(void *)(ring->memory + params->sq_off.array);
    ring->cq_head = (uint32_t *)(void *)(ring->memory + params->cq_off.head);
    ring->cq_tail = (uint32_t *)(void *)(ring->memory + params->cq_off.tail);
    ring->cq_overflow = (uint32_t *)(void *)(ring->memory + params->cq_off.overflow);
    ring->cqes = (struct io_uring_cqe *)(void *)(ring->memory + params->cq_off.cqes);
    *(uint32_t *)(void *)(ring->memory + params->sq_off.ring_mask) = params->sq_entries - 1;
    *(uint32_t *)(void *)(ring->memory + params->sq_off.ring_entries) = params->sq_entries;
    *(uint32_t *)(void *)(ring->memory + params->cq_off.ring_mask) = params->cq_entries - 1;
    *(uint32_t *)(void *)(ring->memory + params->cq_off.ring_entries) = params->cq_entries;
}

static int setup_refusal(struct q_sim *sim, unsigned entries, struct io_uring_params *params) {
    struct q_sim_profile *profile = &sim->options.profile;
    if (profile->setup_errno != 0) {
        int refusal = -profile->setup_errno;
        if (profile->setup_errno_count > 0 && --profile->setup_errno_count == 0) {
            profile->setup_errno = 0;
        }
        return refusal;
    }
    int refusal = check_flags(profile, params);
    refusal = refusal == 0 ? choose_sizes(params, entries) : refusal;
    if (refusal == 0 && profile->cq_entries_max != 0 && params->cq_entries > profile->cq_entries_max) {
        return -ENOMEM; // RLIMIT_MEMLOCK
    }
    return refusal;
}

int sim_ring_setup(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params) {
    struct q_sim *sim = sim_of(sys);
    sim->stats.setups++;
    int refusal = setup_refusal(sim, entries, params);
    if (refusal != 0) {
        return refusal;
    }
    struct sim_ring *ring = sim_alloc(sizeof *ring);
    ring->sim = sim;
    ring->handles = 1;
    ring->flags = params->flags;
    ring->sq_entries = params->sq_entries;
    ring->cq_entries = params->cq_entries;
    ring->disabled = (params->flags & IORING_SETUP_R_DISABLED) != 0;
    ring->has_submitter = (params->flags & IORING_SETUP_SINGLE_ISSUER) != 0 && !ring->disabled;
    ring->submitter = pthread_self();
    q_list_init(&ring->overflowed);
    q_list_init(&ring->requests);
    q_list_init(&ring->ready);
    lay_out(ring, params);
    params->features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                       IORING_FEAT_RW_CUR_POS | IORING_FEAT_FAST_POLL | IORING_FEAT_POLL_32BITS | IORING_FEAT_EXT_ARG |
                       IORING_FEAT_NATIVE_WORKERS | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP |
                       IORING_FEAT_LINKED_FILE;
    params->features |= sim->options.profile.no_reg_reg_ring ? 0 : Q_URING_FEAT_REG_REG_RING;
    params->features |= sim->options.profile.no_iowait_flag ? 0 : Q_URING_FEAT_NO_IOWAIT;
    params->features |= sim->options.profile.no_recv_bundle ? 0 : Q_URING_FEAT_RECVSEND_BUNDLE;
    q_list_push_back(&sim->rings, &ring->in_sim);
    struct sim_file *file = sim_file_new(sim, SIM_FILE_RING);
    file->ring = ring;
    return sim_number_add(sim, file);
}

struct sim_ring *sim_ring_find(struct q_sim *sim, int fd, bool registered) {
    if (registered) {
        return fd >= 0 && fd < SIM_RING_INDEXES ? sim->indexes[fd] : NULL;
    }
    struct sim_file *file = sim_number_get(sim, fd);
    return file != NULL && file->kind == SIM_FILE_RING ? file->ring : NULL;
}

int sim_ring_caller_error(struct sim_ring *ring) {
    if (ring->has_submitter && pthread_equal(ring->submitter, pthread_self()) == 0) {
        sim_violation(ring->sim, "a ring with SINGLE_ISSUER was used by another thread");
        return -EEXIST;
    }
    return 0;
}

static void request_free(struct sim_request *request) {
    struct q_sim *sim = request->ring->sim;
    if (q_list_is_linked(&request->in_queue)) {
        q_list_remove(&request->in_queue);
    }
    q_list_remove(&request->in_ring);
    if (request->file != NULL) {
        sim_file_drop(sim, request->file);
    }
    free(request->parts);
    free(request);
}

// The last handle is gone: what is in flight dies without a word, as it does when a process ends its ring.
void sim_ring_drop(struct sim_ring *ring) {
    if (--ring->handles > 0) {
        return;
    }
    struct q_sim *sim = ring->sim;
    struct q_list_node *node;
    while ((node = q_list_first(&ring->requests)) != NULL) {
        request_free(q_container_of(node, struct sim_request, in_ring));
    }
    for (uint32_t i = 0; i < ring->num_slots; i++) {
        if (ring->slots[i] != NULL) {
            sim_file_drop(sim, ring->slots[i]);
        }
    }
    if (ring->eventfd != NULL) {
        sim_file_drop(sim, ring->eventfd);
    }
    while ((node = q_list_pop_front(&ring->overflowed)) != NULL) {
        free(q_container_of(node, struct sim_overflow, node));
    }
    q_list_remove(&ring->in_sim);
    free(ring->slots);
    free(ring->memory);
    free(ring->sqes);
    free(ring);
}

// Completion.

static uint32_t cq_ready(const struct sim_ring *ring) { return *ring->cq_tail - load_acquire(ring->cq_head); }

static void ring_signal(struct sim_ring *ring) {
    if (ring->eventfd != NULL) {
        ring->eventfd->count++;
        sim_file_wake(ring->eventfd, EPOLLIN);
    }
}

static void cq_put(struct sim_ring *ring, const struct io_uring_cqe *cqe) {
    uint32_t tail = *ring->cq_tail;
    ring->cqes[tail & (ring->cq_entries - 1)] = *cqe;
    store_release(ring->cq_tail, tail + 1);
    ring_signal(ring);
}

void sim_ring_post(struct sim_ring *ring, uint64_t user_data, int32_t result, uint32_t flags) {
    struct io_uring_cqe cqe = {.user_data = user_data, .res = result, .flags = flags};
    ring->sim->stats.cqes++;
    if (q_list_is_empty(&ring->overflowed) && cq_ready(ring) < ring->cq_entries) {
        cq_put(ring, &cqe);
        return;
    }
    struct sim_overflow *overflow = sim_alloc(sizeof *overflow);
    overflow->cqe = cqe;
    q_list_push_back(&ring->overflowed, &overflow->node);
    ring->sim->stats.cqes_overflowed++;
    set_sq_flag(ring, IORING_SQ_CQ_OVERFLOW, true);
    ring_signal(ring);
}

static void flush_overflow(struct sim_ring *ring) {
    while (!q_list_is_empty(&ring->overflowed) && cq_ready(ring) < ring->cq_entries) {
        struct sim_overflow *overflow =
            q_container_of(q_list_pop_front(&ring->overflowed), struct sim_overflow, node);
        cq_put(ring, &overflow->cqe);
        free(overflow);
    }
    set_sq_flag(ring, IORING_SQ_CQ_OVERFLOW, !q_list_is_empty(&ring->overflowed));
}

void sim_ring_make_ready(struct sim_request *request) {
    struct sim_ring *ring = request->ring;
    if (request->state == REQ_READY) {
        return;
    }
    if (q_list_is_linked(&request->in_queue)) {
        q_list_remove(&request->in_queue);
    }
    bool was_empty = q_list_is_empty(&ring->ready);
    request->state = REQ_READY;
    q_list_push_back(&ring->ready, &request->in_queue);
    if ((ring->flags & IORING_SETUP_TASKRUN_FLAG) != 0) {
        set_sq_flag(ring, IORING_SQ_TASKRUN, true);
    }
    if (was_empty) {
        ring_signal(ring);
    }
}

static void cancel_chain(struct sim_request *request, bool swallow) {
    while (request != NULL) {
        struct sim_request *next = request->next;
        if (!swallow) {
            sim_ring_post(request->ring, request->sqe.user_data, -ECANCELED, 0);
        }
        request_free(request);
        request = next;
    }
}

// sim_request_finish posts the last CQE of a request, frees it, and goes on with its chain, or cancels that.
void sim_request_finish(struct sim_request *request, int32_t result, uint32_t flags, bool failed) {
    bool skips = (request->sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0;
    if (!skips || failed) {
        sim_ring_post(request->ring, request->sqe.user_data, result, flags);
    }
    struct sim_request *next = request->next;
    bool hard = (request->sqe.flags & IOSQE_IO_HARDLINK) != 0;
    request_free(request);
    if (next == NULL) {
        return;
    }
    if (failed && !hard) {
        cancel_chain(next, skips);
    } else {
        sim_ring_make_ready(next); // the kernel, too, starts the next member from task work
    }
}

// Submission.

static struct sim_request *take_sqe(struct sim_ring *ring, struct io_uring_sqe *sqe) {
    struct sim_request *request = sim_alloc(sizeof *request);
    request->ring = ring;
    request->sqe = *sqe;
    request->state = REQ_CHAINED;
    q_list_push_back(&ring->requests, &request->in_ring);
    ring->sim->stats.sqes++;
    if (!q_sim_is_plain(ring->sim)) {
        memset(sqe, 0xA5, sizeof *sqe); // what lies in an entry is not the next user's
    }
    request->prep_result = sim_request_prepare(request);
    return request;
}

// A chain with a member that is not well-formed does not start: the bad member gets its error, the others ECANCELED.
static bool fail_bad_chain(struct sim_request *head) {
    bool bad = false;
    for (struct sim_request *at = head; at != NULL; at = at->next) {
        bad = bad || at->prep_result != 0;
    }
    while (bad && head != NULL) {
        struct sim_request *next = head->next;
        int32_t result = head->prep_result != 0 ? head->prep_result : -ECANCELED;
        sim_ring_post(head->ring, head->sqe.user_data, result, 0);
        request_free(head);
        head = next;
    }
    return bad;
}

static void start_chain(struct sim_ring *ring) {
    struct sim_request *head = ring->chain_head;
    ring->chain_head = NULL;
    ring->chain_tail = NULL;
    if (head == NULL || fail_bad_chain(head)) {
        return;
    }
    if (!q_sim_chance(ring->sim, 5) || !sim_request_start_late(head)) {
        sim_request_issue(head);
    }
}

// False when the batch must stop here.
static bool submit_one(struct sim_ring *ring, struct io_uring_sqe *sqe) {
    struct sim_request *request = take_sqe(ring, sqe);
    bool bad = request->prep_result != 0;
    bool links = (request->sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) != 0;
    if (ring->chain_tail != NULL) {
        ring->chain_tail->next = request;
    } else {
        ring->chain_head = request;
    }
    ring->chain_tail = request;
    if (!links) {
        start_chain(ring);
    }
    return !bad || (ring->flags & IORING_SETUP_SUBMIT_ALL) != 0;
}

static int submit(struct sim_ring *ring, unsigned to_submit) {
    uint32_t head = *ring->sq_head;
    uint32_t there = load_acquire(ring->sq_tail) - head;
    if (there > ring->sq_entries) {
        sim_violation(ring->sim, "the SQ's tail is %u ahead of its head, with %u entries", there, ring->sq_entries);
        return -EINVAL;
    }
    unsigned count = to_submit < there ? to_submit : there;
    int submitted = 0;
    bool goes_on = true;
    for (unsigned i = 0; i < count && goes_on; i++) {
        uint32_t index = ring->sq_array[head++ & (ring->sq_entries - 1)];
        if (index >= ring->sq_entries) {
            sim_violation(ring->sim, "SQ array entry %u is out of range", index);
            *ring->sq_dropped += 1;
            store_release(ring->sq_head, head);
            break;
        }
        goes_on = submit_one(ring, &ring->sqes[index]);
        submitted++;
        store_release(ring->sq_head, head);
    }
    start_chain(ring); // a chain ends with its batch
    return submitted;
}

// Enter.

// Runs ready requests, at most `limit` of them, and gives how many it ran.
static unsigned run_ready(struct sim_ring *ring, unsigned limit) {
    unsigned ran = 0;
    size_t ready = 0;
    for (struct q_list_node *at = ring->ready.head.next; at != &ring->ready.head; at = at->next) {
        ready++;
    }
    while (ran < limit && !q_list_is_empty(&ring->ready)) {
        struct q_list_node *node = q_list_first(&ring->ready);
        if (ready > 1) {
            for (uint64_t skip = q_sim_between(ring->sim, 0, ready - 1, 0); skip > 0; skip--) {
                node = node->next != &ring->ready.head ? node->next : q_list_first(&ring->ready);
            }
        }
        q_list_remove(node);
        struct sim_request *request = q_container_of(node, struct sim_request, in_queue);
        request->state = REQ_CHAINED; // in no queue while it runs
        sim_request_issue(request);
        ran++;
    }
    if ((ring->flags & IORING_SETUP_TASKRUN_FLAG) != 0) {
        set_sq_flag(ring, IORING_SQ_TASKRUN,
                    !q_list_is_empty(&ring->ready) || ring->sim->options.profile.taskrun_stays);
    }
    return ran;
}

static int read_timeout(struct sim_ring *ring, unsigned flags, const void *arg, size_t arg_size, uint64_t *deadline) {
    struct q_sim *sim = ring->sim;
    *deadline = UINT64_MAX;
    if ((flags & IORING_ENTER_EXT_ARG) == 0) {
        return 0;
    }
    struct io_uring_getevents_arg extended;
    if (arg_size != sizeof extended || arg == NULL) {
        return -EINVAL;
    }
    memcpy(&extended, arg, sizeof extended);
    if (extended.ts == 0) {
        return 0;
    }
    struct __kernel_timespec ts;
    memcpy(&ts, (const void *)(uintptr_t)extended.ts, sizeof ts);
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000) {
        return -EINVAL;
    }
    uint64_t wait_ns = (uint64_t)ts.tv_sec * Q_NS_PER_S + (uint64_t)ts.tv_nsec;
    sim->stats.zero_timeout_waits += wait_ns == 0;
    *deadline = wait_ns > UINT64_MAX / 2 - sim->now_ns ? UINT64_MAX / 2 : sim->now_ns + wait_ns;
    return 0;
}

// Lets time pass until something may have changed. 0: look again; else what enter gives.
static int sleep_once(struct sim_ring *ring, uint64_t deadline) {
    struct q_sim *sim = ring->sim;
    uint64_t next = q_sim_next_ns(sim);
    if (sim->options.on_block != NULL && sim->options.on_block(sim->options.context, sim, next)) {
        return 0;
    }
    if (!sim->options.no_eintr && q_sim_chance(sim, 4)) {
        sim->stats.eintr_injected++;
        return -EINTR;
    }
    next = q_sim_next_ns(sim);
    if (next == UINT64_MAX && deadline == UINT64_MAX) {
        sim->stats.stuck++;
        Q_CHECK(sim->options.on_stuck != NULL && sim->stats.stuck < STUCK_MAX);
        sim->options.on_stuck(sim->options.context, sim);
        return -EINTR;
    }
    if (!q_sim_step(sim, deadline)) {
        return cq_ready(ring) > 0 ? 1 : -ETIME;
    }
    return 0;
}

static int wait_for(struct sim_ring *ring, unsigned min_complete, uint64_t deadline) {
    struct q_sim *sim = ring->sim;
    bool defers = (ring->flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    unsigned least = min_complete > ring->cq_entries ? ring->cq_entries : min_complete;
    unsigned most = least > SIM_TASK_WORK_MAX ? least : SIM_TASK_WORK_MAX;
    most = (unsigned)q_sim_between(sim, least > 1 ? least : 1, most, most);
    sim->stats.enters_waiting += least > 0;
    for (;;) {
        flush_overflow(ring);
        run_ready(ring, defers ? most : UINT32_MAX);
        if (cq_ready(ring) >= least) {
            return 0;
        }
        if (!q_list_is_empty(&ring->overflowed)) {
            return -EBUSY; // no room for what is there already
        }
        if (!q_list_is_empty(&ring->ready)) {
            continue;
        }
        int slept = sleep_once(ring, deadline);
        if (slept != 0) {
            return slept > 0 ? 0 : slept;
        }
    }
}

static int enter_ring(struct sim_ring *ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                      const void *arg, size_t arg_size) {
    struct q_sim *sim = ring->sim;
    int refusal = sim_ring_caller_error(ring);
    if (refusal != 0) {
        return refusal;
    }
    if (ring->disabled) {
        return -EBADFD;
    }
    int submitted = 0;
    if (to_submit > 0) {
        submitted = submit(ring, to_submit);
        if (submitted != (int)to_submit) {
            return submitted;
        }
    }
    int waited = 0;
    q_sim_run_due(sim);
    if ((flags & IORING_ENTER_GETEVENTS) != 0) {
        uint64_t deadline;
        waited = read_timeout(ring, flags, arg, arg_size, &deadline);
        waited = waited == 0 ? wait_for(ring, min_complete, deadline) : waited;
    } else if ((ring->flags & IORING_SETUP_DEFER_TASKRUN) == 0) {
        run_ready(ring, UINT32_MAX);
    }
    return submitted > 0 ? submitted : waited;
}

int sim_ring_enter(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void *arg, size_t arg_size) {
    struct q_sim *sim = sim_of(sys);
    unsigned known = IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG;
    known |= sim->options.profile.no_registered_ring ? 0 : IORING_ENTER_REGISTERED_RING;
    known |= sim->options.profile.no_iowait_flag ? 0 : Q_URING_ENTER_NO_IOWAIT;
    if ((flags & ~known) != 0) {
        return -EINVAL;
    }
    int failure = sim_failure_now(&sim->fail_call, 0, "enter");
    if (failure != 0) {
        return failure;
    }
    bool registered = (flags & IORING_ENTER_REGISTERED_RING) != 0;
    struct sim_ring *ring = sim_ring_find(sim, ring_fd, registered);
    if (ring == NULL) {
        sim_violation(sim, "enter on %s %d, which names no ring", registered ? "index" : "number", ring_fd);
        return -EBADF;
    }
    sim->stats.enters++;
    if (!q_sim_is_plain(sim)) {
        sim->now_ns += q_random_below(&sim->random, 3000); // a program takes time, too
    }
    uint64_t cqes_before = sim->stats.cqes;
    int result = enter_ring(ring, to_submit, min_complete, flags, arg, arg_size);
    sim->stats.enters_empty += result == 0 && cqes_before == sim->stats.cqes;
    return result;
}

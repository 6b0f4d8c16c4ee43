// Making a ring: what a refusal is called, how the ladder is found, patience and modesty when memory is short, and that
// nothing is left behind, whatever fails.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"
#include "tests/support/simnet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// --- refusals --------------------------------------------------------------------------------------------------------

static void a_refusal_names_its_cause(void **state) {
    (void)state;
    static const struct {
        int os_errno;
        const char *sysctl;
        enum q_error_code code;
    } k_cases[] = {
        {EPERM, "2\n", Q_ERR_RING_SYSCTL},  // switched off for all
        {EPERM, "1\n", Q_ERR_RING_SYSCTL},  // switched off for those without the privilege
        {EPERM, "0\n", Q_ERR_RING_SECCOMP}, // allowed: somebody else refuses
        {EPERM, "", Q_ERR_RING_SECCOMP},
        {EPERM, NULL, Q_ERR_RING_SECCOMP}, // before 6.6 there is no such file
        {EACCES, "2\n", Q_ERR_RING_SYSCTL},
        {EACCES, NULL, Q_ERR_RING_SECCOMP},
        {ENOSYS, "0\n", Q_ERR_RING_SECCOMP}, // the kernel has it, and a filter hides it
        {ENOSYS, "", Q_ERR_RING_SECCOMP},
        {ENOSYS, NULL, Q_ERR_RING_NOT_SUPPORTED},
        {EINVAL, NULL, Q_ERR_RING_TOO_OLD},
        {ENOMEM, NULL, Q_ERR_RING_MEMLOCK},
        {EMFILE, NULL, Q_ERR_FD_LIMIT},
        {ENFILE, NULL, Q_ERR_FD_LIMIT},
        {EFAULT, NULL, Q_ERR_RING_FAILED},
        {EINTR, NULL, Q_ERR_RING_FAILED},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_error error = q_ring_refusal(k_cases[i].os_errno, k_cases[i].sysctl);
        assert_int_equal(error.code, k_cases[i].code);
        assert_int_equal(error.os_errno, k_cases[i].os_errno);
        assert_int_equal(error.phase, Q_PHASE_CREATE);
    }
}

static struct q_error create_on(struct q_sim_profile profile, uint64_t *out_took_ns, struct q_ring_options *sizes) {
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){.profile = profile});
    uint64_t start = q_sim_now(sim);
    rig_prepare(&rig, (struct rig_options){.sim = sim, .sq_entries = 128, .cq_entries = 1024});
    struct q_error error = rig_create(&rig);
    if (out_took_ns != NULL) {
        *out_took_ns = q_sim_now(sim) - start;
    }
    if (sizes != NULL && !q_error_is(error)) {
        sizes->sq_entries = q_ring_sq_entries(rig.ring);
        sizes->cq_entries = q_ring_cq_entries(rig.ring);
    }
    rig_close(&rig); // nothing is left on the kernel, nor of our memory
    q_sim_free(sim);
    return error;
}

static void a_kernel_that_refuses_is_reported_with_its_errno(void **state) {
    (void)state;
    static const struct {
        int os_errno;
        enum q_error_code code;
    } k_cases[] = {{EINVAL, Q_ERR_RING_TOO_OLD},
                   {ENOMEM, Q_ERR_RING_MEMLOCK},
                   {EMFILE, Q_ERR_FD_LIMIT},
                   {EFAULT, Q_ERR_RING_FAILED}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_error error = create_on((struct q_sim_profile){.setup_errno = k_cases[i].os_errno}, NULL, NULL);
        assert_int_equal(error.code, k_cases[i].code);
        assert_int_equal(error.os_errno, k_cases[i].os_errno);
    }
}

static void a_permission_refused_is_sysctl_or_seccomp(void **state) {
    (void)state;
    // Which of the two depends on this machine's sysctl; never anything else.
    struct q_error error = create_on((struct q_sim_profile){.setup_errno = EPERM}, NULL, NULL);
    assert_true(error.code == Q_ERR_RING_SECCOMP || error.code == Q_ERR_RING_SYSCTL);
    assert_int_equal(error.os_errno, EPERM);
    bool has_sysctl = access("/proc/sys/kernel/io_uring_disabled", F_OK) == 0;
    error = create_on((struct q_sim_profile){.setup_errno = ENOSYS}, NULL, NULL);
    assert_int_equal(error.code, has_sysctl ? Q_ERR_RING_SECCOMP : Q_ERR_RING_NOT_SUPPORTED);
}

static void a_kernel_that_lacks_what_is_needed_is_too_old(void **state) {
    (void)state;
    static const struct q_sim_profile k_old[] = {{.no_single_issuer = true},
                                                 {.no_submit_all = true},
                                                 {.no_sparse_files = true},
                                                 {.no_buffer_rings = true},
                                                 {.no_defer_taskrun = true}};
    for (size_t i = 0; i < Q_COUNT_OF(k_old); i++) {
        assert_int_equal(create_on(k_old[i], NULL, NULL).code, Q_ERR_RING_TOO_OLD);
    }
}

// --- memory of the ring ----------------------------------------------------------------------------------------------

static void memory_that_comes_back_late_is_waited_for(void **state) {
    (void)state;
    struct q_ring_options sizes = {0};
    uint64_t took_ns;
    struct q_sim_profile profile = {.setup_errno = ENOMEM, .setup_errno_count = 5};
    assert_false(q_error_is(create_on(profile, &took_ns, &sizes)));
    assert_int_equal(sizes.sq_entries, 128); // patient: not a byte smaller
    assert_int_equal(sizes.cq_entries, 1024);
    assert_true(took_ns > 0 && took_ns <= 200 * Q_NS_PER_MS);
}

static void a_ring_that_does_not_fit_is_made_smaller_after_at_most_200_ms(void **state) {
    (void)state;
    static const unsigned k_most[] = {512, 256, 100, 64};
    for (size_t i = 0; i < Q_COUNT_OF(k_most); i++) {
        struct q_ring_options sizes = {0};
        uint64_t took_ns;
        assert_false(q_error_is(create_on((struct q_sim_profile){.cq_entries_max = k_most[i]}, &took_ns, &sizes)));
        assert_true(sizes.cq_entries <= k_most[i]);
        assert_true(sizes.cq_entries * 2 > k_most[i]); // halved only as often as needed
        assert_true(sizes.sq_entries <= sizes.cq_entries);
        assert_true(took_ns <= 201 * Q_NS_PER_MS);
    }
}

static void a_ring_that_never_fits_is_given_up(void **state) {
    (void)state;
    uint64_t took_ns;
    assert_int_equal(create_on((struct q_sim_profile){.cq_entries_max = 1}, &took_ns, NULL).code, Q_ERR_RING_MEMLOCK);
    assert_true(took_ns <= 201 * Q_NS_PER_MS);
}

// --- whatever fails --------------------------------------------------------------------------------------------------

static void each_failing_allocation_is_no_memory_and_leaves_nothing(void **state) {
    (void)state;
    for (int host_driven = 0; host_driven < 2; host_driven++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            struct rig rig;
            struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
            rig_prepare(&rig, (struct rig_options){.sim = sim, .host_driven = host_driven != 0});
            q_failalloc_fail_at(rig.memory, nth);
            struct q_error error = rig_create(&rig);
            failed = q_failalloc_failed(rig.memory);
            assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : Q_ERR_OK);
            rig_close(&rig);
            q_sim_free(sim);
            assert_true(nth < 100);
        }
    }
}

// Plays create on a kernel on which one call fails, by `make_fail`, for the first, second ... time, until none does.
static void fail_each(void (*make_fail)(struct q_sim *sim, unsigned nth), unsigned most, bool host_driven,
                      struct q_sim_profile profile) {
    for (unsigned nth = 1; nth <= most; nth++) {
        struct rig rig;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){.profile = profile});
        rig_prepare(&rig, (struct rig_options){.sim = sim, .host_driven = host_driven});
        make_fail(sim, nth);
        struct q_error error = rig_create(&rig);
        if (q_error_is(error)) {
            assert_null(rig.ring);
            assert_int_equal(error.phase, Q_PHASE_CREATE);
        } else if (host_driven) {
            error = q_ring_enable(rig.ring);
        }
        rig_close(&rig);
        q_sim_free(sim);
    }
}

static void fail_map_ring(struct q_sim *sim, unsigned nth) {
    q_sim_fail_call(sim, "map_ring", nth, ENOMEM);
}
static void fail_map_memory(struct q_sim *sim, unsigned nth) {
    q_sim_fail_call(sim, "map_memory", nth, ENOMEM);
}
static void fail_eventfd(struct q_sim *sim, unsigned nth) {
    q_sim_fail_call(sim, "eventfd", nth, EMFILE);
}
static void fail_enter(struct q_sim *sim, unsigned nth) {
    q_sim_fail_call(sim, "enter", nth, EINTR);
}
static void fail_nop(struct q_sim *sim, unsigned nth) {
    q_sim_fail_op(sim, IORING_OP_NOP, nth, EPERM);
}
static void fail_socket(struct q_sim *sim, unsigned nth) {
    q_sim_fail_op(sim, IORING_OP_SOCKET, nth, EINVAL);
}

static unsigned failing_register;
static int failing_errno;
static void fail_register(struct q_sim *sim, unsigned nth) {
    q_sim_fail_register(sim, failing_register, nth, failing_errno);
}

static void each_failing_call_leaves_nothing(void **state) {
    (void)state;
    static void (*const k_fail[])(struct q_sim * sim, unsigned nth) = {fail_map_ring, fail_map_memory, fail_eventfd,
                                                                       fail_enter,    fail_nop,        fail_socket};
    struct q_sim_profile no_futex = {.no_futex = true};
    for (size_t i = 0; i < Q_COUNT_OF(k_fail); i++) {
        fail_each(k_fail[i], 4, false, (struct q_sim_profile){0});
        fail_each(k_fail[i], 4, true, (struct q_sim_profile){0});
        fail_each(k_fail[i], 4, false, no_futex);
        fail_each(k_fail[i], 4, true, no_futex);
    }
}

static void each_failing_register_leaves_nothing(void **state) {
    (void)state;
    static const unsigned k_opcodes[] = {
        IORING_REGISTER_PROBE,   IORING_REGISTER_FILES2,       IORING_REGISTER_PBUF_RING,   IORING_REGISTER_RING_FDS,
        IORING_REGISTER_EVENTFD, IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_FILES_UPDATE};
    static const int k_errnos[] = {EINVAL, ENOMEM, EMFILE};
    for (size_t i = 0; i < Q_COUNT_OF(k_opcodes) * Q_COUNT_OF(k_errnos); i++) {
        failing_register = k_opcodes[i / Q_COUNT_OF(k_errnos)];
        failing_errno = k_errnos[i % Q_COUNT_OF(k_errnos)];
        fail_each(fail_register, 2, false, (struct q_sim_profile){.no_futex = true});
        fail_each(fail_register, 2, true, (struct q_sim_profile){0});
    }
}

static struct q_error create_with_failing_register(unsigned opcode, int os_errno) {
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_prepare(&rig, (struct rig_options){.sim = sim});
    q_sim_fail_register(sim, opcode, 1, os_errno);
    struct q_error error = rig_create(&rig);
    rig_close(&rig);
    q_sim_free(sim);
    return error;
}

static void a_refused_table_is_named_by_its_cause(void **state) {
    (void)state;
    static const struct {
        unsigned opcode;
        int os_errno;
        enum q_error_code code;
    } k_cases[] = {{IORING_REGISTER_FILES2, EMFILE, Q_ERR_FD_LIMIT},
                   {IORING_REGISTER_FILES2, ENOMEM, Q_ERR_NO_MEMORY},
                   {IORING_REGISTER_FILES2, EINVAL, Q_ERR_RING_TOO_OLD},
                   {IORING_REGISTER_PBUF_RING, ENOMEM, Q_ERR_OK}, // waited for: closed rings give memory back late
                   {IORING_REGISTER_PBUF_RING, EINVAL, Q_ERR_RING_TOO_OLD},
                   {IORING_REGISTER_PROBE, EINVAL, Q_ERR_OK},    // no probe: the lowest rung, but a ring
                   {IORING_REGISTER_RING_FDS, EBUSY, Q_ERR_OK}}; // not hidden, but a ring
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct q_error error = create_with_failing_register(k_cases[i].opcode, k_cases[i].os_errno);
        assert_int_equal(error.code, k_cases[i].code);
        assert_int_equal(error.os_errno, k_cases[i].code == Q_ERR_OK ? 0 : k_cases[i].os_errno);
    }
}

static void a_ring_whose_first_operation_is_refused_is_not_given_out(void **state) {
    (void)state;
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_prepare(&rig, (struct rig_options){.sim = sim});
    q_sim_fail_op(sim, IORING_OP_NOP, 1, EPERM); // as a filter does that allows the set-up alone
    assert_int_equal(rig_create(&rig).code, Q_ERR_RING_SECCOMP);
    assert_null(rig.ring);
    rig_close(&rig);
    q_sim_free(sim);
}

// An operation of the proof that an interrupted entry left in the queue would be played later, over somebody's slot.
static void an_interrupted_proof_is_made_again(void **state) {
    (void)state;
    for (unsigned nth = 1; nth <= 4; nth++) {
        struct rig rig;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
        rig_prepare(&rig, (struct rig_options){.sim = sim});
        q_sim_fail_call(sim, "enter", nth, EINTR);
        assert_int_equal(rig_create(&rig).code, Q_ERR_OK);
        assert_int_equal(q_ring_capabilities(rig.ring), Q_RING_CAPABILITIES);
        rig_close(&rig);
        q_sim_free(sim);
    }
}

// --- the ladder ------------------------------------------------------------------------------------------------------

static uint32_t capabilities_on(struct q_sim_profile profile, uint32_t off) {
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){.profile = profile});
    rig_open(&rig, (struct rig_options){.sim = sim, .capabilities_off = off});
    uint32_t found = q_ring_capabilities(rig.ring);
    rig_close(&rig);
    q_sim_free(sim);
    return found;
}

static void each_rung_is_found_by_trying(void **state) {
    (void)state;
    static const struct {
        struct q_sim_profile profile;
        uint32_t missing;
    } k_cases[] = {
        {{0}, 0},
        {{.no_reg_reg_ring = true}, Q_RING_HIDDEN},
        {{.no_registered_ring = true}, Q_RING_HIDDEN},
        {{.no_socket_cmd = true}, Q_RING_DIRECT_SOCKET},
        {{.no_socket_op = true}, Q_RING_DIRECT_SOCKET},
        {{.no_futex = true}, Q_RING_FUTEX_DOORBELL | Q_RING_DIRECT_BIND}, // which came later
        {{.no_iowait_flag = true}, Q_RING_NO_IOWAIT},
        {{.no_bind_op = true}, Q_RING_DIRECT_BIND},
        {{.no_recv_multishot = true}, Q_RING_RECV_MULTISHOT},
        {{.no_recv_bundle = true}, Q_RING_RECV_BUNDLE},
        {{.no_socket_op = true, .no_recv_multishot = true, .no_recv_bundle = true}, // tried on a socket with a number
         Q_RING_DIRECT_SOCKET | Q_RING_RECV_MULTISHOT | Q_RING_RECV_BUNDLE},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        assert_int_equal(capabilities_on(k_cases[i].profile, 0), Q_RING_CAPABILITIES & ~k_cases[i].missing);
    }
}

static void what_is_forced_off_is_not_used(void **state) {
    (void)state;
    for (uint32_t off = 0; off <= Q_RING_CAPABILITIES; off++) {
        assert_int_equal(capabilities_on((struct q_sim_profile){0}, off), Q_RING_CAPABILITIES & ~off);
    }
}

static void defer_taskrun_may_be_missing_when_it_is_not_asked_for(void **state) {
    (void)state;
    assert_int_equal(capabilities_on((struct q_sim_profile){.no_defer_taskrun = true}, Q_RING_DEFER_TASKRUN),
                     Q_RING_CAPABILITIES & ~(uint32_t)Q_RING_DEFER_TASKRUN);
}

static void trying_leaves_no_socket_behind(void **state) {
    (void)state;
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_open(&rig, (struct rig_options){.sim = sim});
    assert_int_equal(q_sim_slots_open(sim), 0); // the bell is a futex
    rig_close(&rig);
    q_sim_free(sim);
}

static void a_ring_is_made_in_any_random_world(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rig rig;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){.seed = seed});
        rig_open(&rig, (struct rig_options){.sim = sim, .host_driven = seed % 2 == 0});
        if (seed % 2 == 0) {
            struct q_error error = q_ring_enable(rig.ring);
            assert_int_equal(error.code, Q_ERR_OK);
        }
        assert_int_equal(q_ring_capabilities(rig.ring), Q_RING_CAPABILITIES);
        rig_close(&rig);
        q_sim_free(sim);
    }
}

// --- descriptor numbers, on the real kernel --------------------------------------------------------------------------

static void a_ring_has_the_numbers_that_its_rung_needs_and_leaves_none(void **state) {
    struct rig rig;
    uint32_t off = rig_rung_of(state);
    rig_prepare(&rig, (struct rig_options){.capabilities_off = off});
    size_t before = rig_count_fds();
    assert_false(q_error_is(rig_create(&rig)));
    uint32_t found = q_ring_capabilities(rig.ring);
    assert_int_equal(found & off, 0);
    size_t expected = before + ((found & Q_RING_HIDDEN) == 0) + ((found & Q_RING_FUTEX_DOORBELL) == 0);
    assert_int_equal(rig_count_fds(), expected); // with everything: not one
    rig_destroy(&rig);
    assert_int_equal(rig_count_fds(), before);
    rig_close(&rig);
}

static void a_ring_may_be_made_and_destroyed_many_times(void **state) {
    size_t before = rig_count_fds();
    for (int i = 0; i < 20; i++) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
        struct q_io_slot slot = rig_connect(&rig, &rig.address);
        rig_shut(&rig, slot);
        rig_close(&rig);
    }
    assert_int_equal(rig_count_fds(), before);
}

// Whoever gets the number that the ring had is a stranger: neither the ring's life nor its end may touch it.
static void a_hidden_ring_leaves_the_stranger_at_its_old_number_alone(void **state) {
    (void)state;
    struct rig rig;
    rig_prepare(&rig, (struct rig_options){0});
    int pipe_fds[2];
    int next = dup(rig.listener); // the number that the ring will have had
    close(next);
    assert_false(q_error_is(rig_create(&rig)));
    if ((q_ring_capabilities(rig.ring) & Q_RING_HIDDEN) == 0) {
        rig_close(&rig);
        skip(); // not run: this kernel cannot
    }
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(pipe_fds[0], next);
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    rig_turn(&rig, Q_NS_PER_MS);
    rig_shut(&rig, slot);
    rig_destroy(&rig);
    char byte = 0;
    assert_int_equal(write(pipe_fds[1], "s", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 's');
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    rig_close(&rig);
}

// --- host-driven -----------------------------------------------------------------------------------------------------

static void *enable_and_use(void *context) {
    struct rig *rig = context;
    struct q_error error = q_ring_enable(rig->ring);
    assert_int_equal(error.code, Q_ERR_OK);
    struct q_io_slot slot = rig_connect(rig, &rig->address);
    rig_shut(rig, slot);
    rig_destroy(rig);
    return NULL;
}

static void a_host_driven_ring_is_bound_to_the_thread_that_enables_it(void **state) {
    struct rig rig;
    pthread_t thread;
    size_t before = rig_count_fds();
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .host_driven = true});
    assert_true(q_ring_event_fd(rig.ring) >= 0);
    assert_int_equal(pthread_create(&thread, NULL, enable_and_use, &rig), 0);
    pthread_join(thread, NULL);
    rig_close(&rig);
    assert_int_equal(rig_count_fds(), before);
}

static void a_host_driven_ring_that_was_never_enabled_is_destroyed(void **state) {
    struct rig rig;
    size_t before = rig_count_fds();
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .host_driven = true});
    rig_destroy(&rig);
    rig_close(&rig);
    assert_int_equal(rig_count_fds(), before);
}

// A pusher that was told to ring may be held up until the loop, woken by something else, has finished.
static void a_bell_that_rings_behind_the_rings_end_touches_nobody(void **state) {
    struct rig rig;
    size_t before = rig_count_fds();
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    q_ring_destroy(rig.ring); // never armed, so there is nothing to quiesce
    rig.ring = NULL;
    int stranger = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    eventfd_t count;
    q_doorbell_ring(&rig.bell);
    assert_int_equal(eventfd_read(stranger, &count), -1);
    q_ring_take_down_bell(rig.options.sys, &rig.bell);
    q_ring_take_down_bell(rig.options.sys, &rig.bell);
    close(stranger);
    rig_close(&rig);
    assert_int_equal(rig_count_fds(), before);
}

static void completions_and_the_bell_make_the_event_descriptor_readable(void **state) {
    struct rig rig;
    uint64_t count;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .host_driven = true});
    assert_int_equal(q_ring_enable(rig.ring).code, Q_ERR_OK);
    struct pollfd poll_fd = {.fd = q_ring_event_fd(rig.ring), .events = POLLIN};
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, Q_NS_PER_MS); // arms the bell too
    assert_true(read(poll_fd.fd, &count, sizeof count) > 0);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    assert_int_equal(send(peer, "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    assert_int_equal(rig_await(&rig, &op), 1);
    q_chunk_release(op.op.chunk);
    rig_turn(&rig, Q_NS_PER_MS);
    assert_true(read(poll_fd.fd, &count, sizeof count) > 0);
    q_doorbell_ring(&rig.bell);
    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    close(peer);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

static void a_loops_own_ring_has_no_event_descriptor(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){0});
    assert_int_equal(q_ring_event_fd(rig.ring), -1);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_names_its_cause),
        cmocka_unit_test(a_kernel_that_refuses_is_reported_with_its_errno),
        cmocka_unit_test(a_permission_refused_is_sysctl_or_seccomp),
        cmocka_unit_test(a_kernel_that_lacks_what_is_needed_is_too_old),
        cmocka_unit_test(memory_that_comes_back_late_is_waited_for),
        cmocka_unit_test(a_ring_that_does_not_fit_is_made_smaller_after_at_most_200_ms),
        cmocka_unit_test(a_ring_that_never_fits_is_given_up),
        cmocka_unit_test(each_failing_allocation_is_no_memory_and_leaves_nothing),
        cmocka_unit_test(each_failing_call_leaves_nothing),
        cmocka_unit_test(each_failing_register_leaves_nothing),
        cmocka_unit_test(a_refused_table_is_named_by_its_cause),
        cmocka_unit_test(a_ring_whose_first_operation_is_refused_is_not_given_out),
        cmocka_unit_test(an_interrupted_proof_is_made_again),
        cmocka_unit_test(each_rung_is_found_by_trying),
        cmocka_unit_test(what_is_forced_off_is_not_used),
        cmocka_unit_test(defer_taskrun_may_be_missing_when_it_is_not_asked_for),
        cmocka_unit_test(trying_leaves_no_socket_behind),
        cmocka_unit_test(a_ring_is_made_in_any_random_world),
        RIG_ON_EACH_RUNG(a_ring_has_the_numbers_that_its_rung_needs_and_leaves_none),
        RIG_ON_EACH_RUNG(a_ring_may_be_made_and_destroyed_many_times),
        cmocka_unit_test(a_hidden_ring_leaves_the_stranger_at_its_old_number_alone),
        RIG_ON_EACH_RUNG(a_host_driven_ring_is_bound_to_the_thread_that_enables_it),
        RIG_ON_EACH_RUNG(a_host_driven_ring_that_was_never_enabled_is_destroyed),
        RIG_ON_EACH_RUNG(completions_and_the_bell_make_the_event_descriptor_readable),
        RIG_ON_EACH_RUNG(a_bell_that_rings_behind_the_rings_end_touches_nobody),
        cmocka_unit_test(a_loops_own_ring_has_no_event_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

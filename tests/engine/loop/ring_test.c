// The ring's turn: sleeping and being woken, deadlines, floods, and its end; on the real kernel on each rung of the
// ladder.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"
#include "engine/loop/wheel.h"
#include "tests/support/simnet.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct q_io_stats *stats(struct rig *rig) {
    return q_io_get_stats(rig->io);
}

// --- the doorbell ----------------------------------------------------------------------------------------------------

static void *ring_bell(void *context) {
    q_doorbell_ring(context);
    return NULL;
}

// The value is read before the turn, as park does; the bell rings at any moment from then on, also before the kernel is
// entered. However it falls, the turn must end.
static void a_bell_from_another_thread_ends_the_sleep(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        struct q_list done;
        struct q_io_turn turn = {.is_idle = true,
                                 .may_sleep = true,
                                 .now_ns = q_clock_now(rig.options.clock),
                                 .deadline_ns = q_clock_now(rig.options.clock) + rig_patience_ns(),
                                 .bell_value = q_doorbell_value(&rig.bell)};
        q_list_init(&done);
        assert_int_equal(pthread_create(&thread, NULL, ring_bell, &rig.bell), 0);
        q_io_turn(rig.io, &turn, &done);
        pthread_join(thread, NULL);
        assert_true(q_list_is_empty(&done)); // a bell is nobody's op
        rig_assert_patient(&rig, turn.now_ns);
    }
    rig_close(&rig);
}

static void a_bell_that_rang_before_the_sleep_is_not_missed(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (int round = 0; round < 3; round++) {
        uint64_t now = q_clock_now(rig.options.clock);
        struct q_io_turn turn = {.is_idle = true,
                                 .may_sleep = true,
                                 .now_ns = now,
                                 .deadline_ns = now + rig_patience_ns(),
                                 .bell_value = q_doorbell_value(&rig.bell)};
        struct q_list done;
        q_list_init(&done);
        q_doorbell_ring(&rig.bell); // between the look at the bell and the kernel
        q_io_turn(rig.io, &turn, &done);
        rig_assert_patient(&rig, now);
    }
    rig_close(&rig);
}

static void a_bell_that_stays_armed_is_not_armed_twice(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (int i = 0; i < 5; i++) {
        rig_turn(&rig, Q_NS_PER_MS);
    }
    assert_int_equal(q_ring_slot(rig.ring, rig.ring->bell_slot)->in_flight, 1);
    rig_close(&rig);
}

static void ringing_for_nobody_does_no_harm(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (int i = 0; i < 100; i++) {
        q_doorbell_ring(&rig.bell);
    }
    rig_turn(&rig, 0);
    rig_settle(&rig);
    uint64_t now = q_clock_now(rig.options.clock);
    rig_turn(&rig, 5 * Q_NS_PER_MS); // and leaves no endless wake-ups behind
    assert_true(q_clock_now(rig.options.clock) >= now + 5 * Q_NS_PER_MS);
    rig_close(&rig);
}

// --- sleeping --------------------------------------------------------------------------------------------------------

static void a_turn_sleeps_until_its_deadline(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    uint64_t now = q_clock_now(rig.options.clock);
    rig_turn(&rig, 30 * Q_NS_PER_MS);
    assert_true(q_clock_now(rig.options.clock) >= now + 30 * Q_NS_PER_MS);
    rig_close(&rig);
}

static void a_turn_that_may_not_sleep_comes_back(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    struct rig_op op = rig_op(&rig);
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    for (int i = 0; i < 10; i++) {
        rig_turn(&rig, 0);
    }
    assert_int_equal(op.times, 0);
    rig_shut(&rig, slot);
    rig_close(&rig);
}

static void bytes_end_the_sleep(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, 0);
    assert_int_equal(send(peer, "wake", 4, MSG_NOSIGNAL), 4);
    assert_int_equal(rig_await(&rig, &op), 4);
    q_chunk_release(op.op.chunk);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_turn_with_nothing_to_do_does_not_enter_the_kernel(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    rig_turn(&rig, 0);
    uint64_t enters = stats(&rig)->enters;
    for (int i = 0; i < 10; i++) {
        rig_turn(&rig, 0);
    }
    assert_int_equal(stats(&rig)->enters, enters);
    rig_close(&rig);
}

static void one_turn_is_one_entry_however_much_it_starts(void **state) {
    struct rig rig;
    struct q_io_slot slots[8];
    struct rig_op ops[8];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    for (size_t i = 0; i < 8; i++) {
        slots[i] = rig_connect(&rig, &rig.address);
        ops[i] = rig_op(&rig);
        q_io_recv(rig.io, slots[i], &ops[i].op, Q_IO_RECV_ANY);
    }
    uint64_t enters = stats(&rig)->enters;
    rig_turn(&rig, 0);
    assert_int_equal(stats(&rig)->enters, enters + 1);
    for (size_t i = 0; i < 8; i++) {
        rig_shut(&rig, slots[i]);
    }
    rig_close(&rig);
}

static void on_signal(int number) {
    (void)number;
}

static void *send_signals(void *context) {
    pthread_t target = *(pthread_t *)context;
    for (int i = 0; i < 5; i++) {
        pthread_kill(target, SIGUSR1);
    }
    return NULL;
}

static void a_signal_in_the_sleep_is_no_failure(void **state) {
    struct rig rig;
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    pthread_t self = pthread_self();
    pthread_t thread;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    sigaction(SIGUSR1, &action, &before);
    assert_int_equal(pthread_create(&thread, NULL, send_signals, &self), 0);
    rig_turn(&rig, 20 * Q_NS_PER_MS);
    rig_turn(&rig, 20 * Q_NS_PER_MS);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    rig_close(&rig);
}

// --- floods and failures ---------------------------------------------------------------------------------------------

static void a_flood_is_taken_in_bounded_turns(void **state) {
    (void)state;
    enum { FLOOD = 800, TURNS = FLOOD / Q_RING_COMPLETIONS_PER_TURN, MORE = 100, SLOTS = FLOOD + TURNS * MORE };
    static struct rig_op ops[SLOTS];
    static struct q_io_slot slots[SLOTS];
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_open(&rig, (struct rig_options){.sim = sim, .num_slots = SLOTS + 1, .cq_entries = 2048, .sq_entries = 1024});
    for (size_t i = 0; i < SLOTS; i++) {
        ops[i] = rig_op(&rig);
        assert_false(q_error_is(q_io_open(rig.io, &slots[i])));
    }
    for (size_t i = 0; i < FLOOD; i++) {
        q_io_close(rig.io, slots[i], &ops[i].op);
    }
    size_t next = FLOOD;
    while (next < SLOTS) {
        int before = rig.num_done;
        assert_int_equal(rig_turn(&rig, 0), Q_IO_REST_BEHIND); // it says so, and the loop does not sleep on it
        assert_int_equal(rig.num_done - before, Q_RING_COMPLETIONS_PER_TURN);
        for (size_t end = next + MORE; next < end; next++) { // what comes meanwhile is not what it is behind with
            q_io_close(rig.io, slots[next], &ops[next].op);
        }
    }
    assert_int_equal(rig_turn(&rig, 0), Q_IO_REST_MORE);
    for (size_t i = 0; i < SLOTS; i++) {
        rig_await(&rig, &ops[i]);
    }
    rig_close(&rig);
    q_sim_free(sim);
}

static void an_overflow_of_completions_loses_none(void **state) {
    (void)state;
    enum { SLOTS = 200 };
    static struct rig_op ops[SLOTS];
    static struct q_io_slot slots[SLOTS];
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_open(&rig, (struct rig_options){.sim = sim, .num_slots = SLOTS + 1, .cq_entries = 64, .sq_entries = 16});
    for (size_t i = 0; i < SLOTS; i++) {
        ops[i] = rig_op(&rig);
        assert_false(q_error_is(q_io_open(rig.io, &slots[i])));
        q_io_close(rig.io, slots[i], &ops[i].op);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        rig_await(&rig, &ops[i]);
        assert_int_equal(ops[i].times, 1);
    }
    assert_true(stats(&rig)->overflows > 0);
    rig_close(&rig);
    q_sim_free(sim);
}

static void an_entry_that_the_kernel_puts_off_is_made_again(void **state) {
    (void)state;
    static const int k_errnos[] = {EINTR, EAGAIN, EBUSY, ENOMEM};
    for (size_t i = 0; i < Q_COUNT_OF(k_errnos); i++) {
        struct rig rig;
        struct q_io_slot slot;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
        rig_open(&rig, (struct rig_options){.sim = sim});
        struct rig_op op = rig_op(&rig);
        assert_false(q_error_is(q_io_open(rig.io, &slot)));
        q_io_close(rig.io, slot, &op.op);
        q_sim_fail_call(sim, "enter", 1, k_errnos[i]);
        assert_true(rig_turn(&rig, 0)); // more to do: the entry was not taken
        assert_int_equal(op.times, 0);
        assert_int_equal(rig_await(&rig, &op), 0);
        rig_close(&rig);
        q_sim_free(sim);
    }
}

static void a_wait_never_has_a_timeout_of_zero(void **state) {
    (void)state;
    struct rig rig;
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
    rig_open(&rig, (struct rig_options){.sim = sim});
    for (uint64_t wait_ns = 0; wait_ns < 3; wait_ns++) {
        rig_turn(&rig, wait_ns);
    }
    assert_int_equal(q_sim_stats(sim)->zero_timeout_waits, 0);
    rig_close(&rig);
    q_sim_free(sim);
}

static void quiescing_ends_an_armed_bell_and_one_that_never_was(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    assert_true(q_ring_quiesce(rig.ring)); // never armed: at once
    rig_close(&rig);
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state)});
    rig_turn(&rig, Q_NS_PER_MS);
    assert_false(q_ring_quiesce(rig.ring));
    rig_turn(&rig, Q_NS_PER_MS); // which must not arm it again
    rig_turn(&rig, Q_NS_PER_MS);
    assert_true(q_ring_quiesce(rig.ring));
    rig_close(&rig);
}

// Kernel 6.18 does so at times. The loop must come to its sleep, and a host to its own.
static void a_flag_of_pending_work_that_stays_up_is_not_believed_for_long(void **state) {
    (void)state;
    for (int driven = 0; driven < 2; driven++) {
        struct rig rig;
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){0});
        rig_open(&rig, (struct rig_options){.sim = sim, .host_driven = driven != 0});
        assert_true(!driven || !q_error_is(q_ring_enable(rig.ring)));
        q_sim_profile(sim)->taskrun_stays = true;
        rig_turn(&rig, Q_NS_PER_MS); // the first entry under it
        int turns = 0;
        while (rig_turn(&rig, 0) != Q_IO_REST_NONE) {
            assert_true(++turns < 10);
        }
        assert_true(q_io_get_stats(rig.io)->is_doubtful); // a host that waits by itself is asked to come back soon
        rig_close(&rig);
        q_sim_free(sim);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(a_bell_from_another_thread_ends_the_sleep),
        RIG_ON_EACH_RUNG(a_bell_that_rang_before_the_sleep_is_not_missed),
        RIG_ON_EACH_RUNG(a_bell_that_stays_armed_is_not_armed_twice),
        RIG_ON_EACH_RUNG(ringing_for_nobody_does_no_harm),
        RIG_ON_EACH_RUNG(a_turn_sleeps_until_its_deadline),
        RIG_ON_EACH_RUNG(a_turn_that_may_not_sleep_comes_back),
        RIG_ON_EACH_RUNG(bytes_end_the_sleep),
        RIG_ON_EACH_RUNG(a_turn_with_nothing_to_do_does_not_enter_the_kernel),
        RIG_ON_EACH_RUNG(one_turn_is_one_entry_however_much_it_starts),
        RIG_ON_EACH_RUNG(a_signal_in_the_sleep_is_no_failure),
        RIG_ON_EACH_RUNG(quiescing_ends_an_armed_bell_and_one_that_never_was),
        cmocka_unit_test(a_flood_is_taken_in_bounded_turns),
        cmocka_unit_test(an_overflow_of_completions_loses_none),
        cmocka_unit_test(an_entry_that_the_kernel_puts_off_is_made_again),
        cmocka_unit_test(a_wait_never_has_a_timeout_of_zero),
        cmocka_unit_test(a_flag_of_pending_work_that_stays_up_is_not_believed_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

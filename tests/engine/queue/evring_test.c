// The event ring: room, hand-over, arming and wake node, one by one; the schedules of tests/model/evring.pml (each named
// by its mutation); and a short run of real threads with a real eventfd for the sanitizers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/queue/evring.h"
#include "engine/queue/mpsc.h"
#include "tests/engine/base/dies.h"
#include "tests/support/schedule.h"

struct entry {
    uint64_t number;
    uint64_t lent; // set when the entry lends something; taken back by collect
};

// What the actors of one test share. Results are looked at when all have ended.
struct scene {
    struct q_evring ring;
    uint64_t filled;
    uint64_t passed;
    bool result[2];
};

enum { CAPACITY = 8, RESERVABLE = 6, DATA = 2 };

static void scene_init(struct scene *scene) {
    memset(scene, 0, sizeof *scene);
    assert_true(q_evring_init(&scene->ring, q_alloc_libc(), CAPACITY, sizeof(struct entry)));
}

static void scene_deinit(struct scene *scene) { q_evring_deinit(&scene->ring); }

static void fill_reserved(struct scene *scene) {
    Q_CHECK(q_evring_reserve(&scene->ring, 1));
    struct entry *entry = q_evring_produce_reserved(&scene->ring);
    entry->number = scene->filled++;
}

static bool fill_data(struct scene *scene) {
    struct entry *entry = q_evring_produce_unreserved(&scene->ring);
    if (entry != NULL) {
        entry->number = scene->filled++;
    }
    return entry != NULL;
}

// Reads all that is there; false when an entry is out of order.
static bool pass_all(struct scene *scene, size_t expected) {
    size_t count = 0;
    for (struct entry *entry; (entry = q_evring_peek(&scene->ring, count)) != NULL; count++) {
        if (entry->number != scene->passed + count) {
            return false;
        }
    }
    scene->passed += count;
    return count == expected && !q_evring_advance(&scene->ring, count);
}

static void the_capacity_is_split(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_false(q_evring_reserve(&s.ring, RESERVABLE + 1));
    assert_true(q_evring_reserve(&s.ring, RESERVABLE));
    assert_false(q_evring_reserve(&s.ring, 1));
    for (int i = 0; i < DATA; i++) {
        assert_true(fill_data(&s));
    }
    assert_false(fill_data(&s));
    for (int i = 0; i < RESERVABLE; i++) {
        assert_non_null(q_evring_produce_reserved(&s.ring));
    }
    scene_deinit(&s);
}

static void unreserved_slots_can_be_reserved_again(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_evring_reserve(&s.ring, RESERVABLE));
    q_evring_unreserve(&s.ring, 2);
    assert_true(q_evring_reserve(&s.ring, 2));
    assert_false(q_evring_reserve(&s.ring, 1));
    scene_deinit(&s);
}

static void entries_are_invisible_until_published(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_false(q_evring_publish(&s.ring));
    fill_reserved(&s);
    fill_reserved(&s);
    assert_null(q_evring_peek(&s.ring, 0));
    assert_false(q_evring_publish(&s.ring));
    assert_non_null(q_evring_peek(&s.ring, 1));
    assert_null(q_evring_peek(&s.ring, 2));
    assert_true(pass_all(&s, 2));
    scene_deinit(&s);
}

static void order_is_kept_round_after_round(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 3; i++) {
            fill_reserved(&s);
        }
        assert_true(fill_data(&s));
        assert_false(q_evring_publish(&s.ring));
        assert_true(pass_all(&s, 4));
        assert_int_equal(q_evring_collect(&s.ring, NULL, NULL), 4);
    }
    assert_true(q_evring_reserve(&s.ring, RESERVABLE));
    scene_deinit(&s);
}

struct collected {
    uint64_t next;
    bool is_ordered;
};

static void note_collected(void *context, void *entry) {
    struct collected *collected = context;
    collected->is_ordered = collected->is_ordered && ((struct entry *)entry)->number == collected->next++;
}

// Mutation 7: every slot is given back as a data slot.
static void each_slot_goes_back_to_its_own_kind(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(fill_data(&s));
    fill_reserved(&s);
    assert_true(fill_data(&s));
    assert_false(q_evring_publish(&s.ring));
    assert_true(q_evring_reserve(&s.ring, RESERVABLE - 1));
    assert_false(fill_data(&s));
    assert_int_equal(q_evring_collect(&s.ring, NULL, NULL), 0); // the consumer has not moved
    assert_true(pass_all(&s, 3));
    struct collected collected = {.is_ordered = true};
    assert_int_equal(q_evring_collect(&s.ring, note_collected, &collected), 3);
    assert_true(collected.is_ordered);
    assert_int_equal(collected.next, 3);
    assert_true(q_evring_reserve(&s.ring, 1));
    assert_false(q_evring_reserve(&s.ring, 1));
    assert_true(fill_data(&s) && fill_data(&s));
    assert_false(fill_data(&s));
    scene_deinit(&s);
}

// Mutation 10: a data entry takes any slot that is free, and the reserved one finds none.
static void data_never_takes_a_reserved_slot(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_evring_reserve(&s.ring, RESERVABLE));
    while (fill_data(&s)) {
    }
    for (int i = 0; i < RESERVABLE; i++) {
        ((struct entry *)q_evring_produce_reserved(&s.ring))->number = s.filled++;
    }
    assert_false(q_evring_publish(&s.ring));
    assert_true(pass_all(&s, CAPACITY));
    scene_deinit(&s);
}

// Mutations 9 and 11: each answered arming is one signal, in the producer's eyes and in the consumer's.
static void an_armed_ring_is_signalled_once(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_evring_arm(&s.ring, 0));
    assert_true(q_evring_arm(&s.ring, 0));
    assert_false(q_evring_signal_due(&s.ring));
    fill_reserved(&s);
    assert_true(q_evring_publish(&s.ring));
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    assert_true(q_evring_signal_due(&s.ring));
    assert_int_equal(q_evring_signal_read(&s.ring, 1), 0);
    assert_false(q_evring_signal_due(&s.ring));
    assert_true(pass_all(&s, 2));
    assert_true(q_evring_arm(&s.ring, 0));
    scene_deinit(&s);
}

static void a_signal_is_counted_when_it_is_read_before_its_events_are_seen(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_evring_arm(&s.ring, 0));
    fill_reserved(&s);
    assert_true(q_evring_publish(&s.ring));
    assert_int_equal(q_evring_signal_read(&s.ring, 1), 0);
    assert_false(q_evring_signal_due(&s.ring));
    scene_deinit(&s);
}

static void signals_of_other_rings_are_left_over(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_int_equal(q_evring_signal_read(&s.ring, 2), 2);
    assert_true(q_evring_arm(&s.ring, 0));
    fill_reserved(&s);
    assert_true(q_evring_publish(&s.ring));
    assert_int_equal(q_evring_signal_read(&s.ring, 3), 2);
    scene_deinit(&s);
}

static void arming_is_refused_while_there_are_entries(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    assert_false(q_evring_arm(&s.ring, 0));
    assert_true(pass_all(&s, 1));
    assert_true(q_evring_arm(&s.ring, 0));
    scene_deinit(&s);
}

static void arming_counts_what_was_seen_and_not_advanced_past(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    assert_non_null(q_evring_peek(&s.ring, 1));
    assert_false(q_evring_arm(&s.ring, 1));
    assert_true(q_evring_arm(&s.ring, 2));
    assert_true(pass_all(&s, 2));
    assert_true(q_evring_arm(&s.ring, 0)); // it still is
    fill_reserved(&s);
    assert_true(q_evring_publish(&s.ring));
    scene_deinit(&s);
}

static void the_wake_node_is_asked_for_once_until_it_came(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    for (int i = 0; i < 4; i++) {
        fill_reserved(&s);
    }
    assert_false(q_evring_publish(&s.ring));
    assert_false(q_evring_want_wake(&s.ring));
    assert_false(q_evring_want_wake(&s.ring));
    assert_non_null(q_evring_peek(&s.ring, 3));
    assert_true(q_evring_advance(&s.ring, 1));
    assert_false(q_evring_advance(&s.ring, 1));
    assert_int_equal(q_evring_collect(&s.ring, NULL, NULL), 2);
    assert_false(q_evring_want_wake(&s.ring)); // the node is on its way: no second one may be asked for
    assert_false(q_evring_advance(&s.ring, 1));
    q_evring_wake_drained(&s.ring);
    assert_true(q_evring_want_wake(&s.ring)); // the head has moved meanwhile
    assert_true(q_evring_advance(&s.ring, 1));
    scene_deinit(&s);
}

static void an_advance_by_nothing_wakes_nobody(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_false(q_evring_want_wake(&s.ring));
    assert_false(q_evring_advance(&s.ring, 0));
    scene_deinit(&s);
}

static void a_request_for_the_wake_node_can_be_retracted(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(q_evring_retract_wake(&s.ring));
    fill_reserved(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    assert_false(q_evring_want_wake(&s.ring));
    assert_true(q_evring_retract_wake(&s.ring));
    assert_non_null(q_evring_peek(&s.ring, 1));
    assert_false(q_evring_advance(&s.ring, 1));
    assert_true(q_evring_want_wake(&s.ring)); // asked for, though the head has moved
    assert_true(q_evring_advance(&s.ring, 1));
    assert_false(q_evring_retract_wake(&s.ring)); // too late: it is on its way
    q_evring_wake_drained(&s.ring);
    assert_true(q_evring_retract_wake(&s.ring));
    scene_deinit(&s);
}

static void *no_memory(void *context, size_t size) {
    (void)context;
    (void)size;
    return NULL;
}

static void out_of_memory_leaves_the_zero_state(void **state) {
    (void)state;
    const struct q_alloc alloc = {.allocate = no_memory};
    struct q_evring ring;
    assert_false(q_evring_init(&ring, &alloc, CAPACITY, sizeof(struct entry)));
    assert_null(ring.entries);
    q_evring_deinit(&ring);
}

static void unreserve_too_much(void *context) { q_evring_unreserve(context, 1); }

static void advance_past_the_tail(void *context) {
    if (q_evring_advance(context, 1)) {
        _exit(1);
    }
}

static void use_more_than_was_reserved(void *context) {
    for (int i = 0; i <= CAPACITY; i++) {
        q_evring_produce_reserved(context);
    }
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    assert_true(dies_saying(unreserve_too_much, &s.ring, "evring.c"));
    assert_true(dies_saying(advance_past_the_tail, &s.ring, "seen_tail"));
    assert_true(dies_saying(use_more_than_was_reserved, &s.ring, "evring.c"));
    scene_deinit(&s);
}

// Schedules.

static void publish(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_evring_publish(&scene->ring);
}

static void arm(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_evring_arm(&scene->ring, 0);
}

static void pass_one(void *context) {
    struct scene *scene = context;
    Q_CHECK(q_evring_peek(&scene->ring, 0) != NULL);
    scene->result[1] = q_evring_advance(&scene->ring, 1);
}

static void want_wake(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_evring_want_wake(&scene->ring);
}

static void reserve_all_0(void *context) {
    struct scene *scene = context;
    scene->result[0] = q_evring_reserve(&scene->ring, RESERVABLE);
}

static void reserve_all_1(void *context) {
    struct scene *scene = context;
    scene->result[1] = q_evring_reserve(&scene->ring, RESERVABLE);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: the producer reads the flag, then stores the position.
static void arming_just_before_the_hand_over_is_signalled(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:evring.publish.before_exchange"},
        {"loop:evring.publish.before_exchange", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    const struct q_schedule_actor actors[] = {{"loop", publish, &s}, {"host", arm, &s}};
    RUN(k_rules, actors);
    assert_true(s.result[1]);
    assert_true(s.result[0]);
    scene_deinit(&s);
}

// Mutation 2: the consumer arms whatever the position is by then.
static void arming_just_after_the_hand_over_is_refused(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:evring.arm.before_cas"},
        {"host:evring.arm.before_cas", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    const struct q_schedule_actor actors[] = {{"loop", publish, &s}, {"host", arm, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[1]);
    assert_false(s.result[0]);
    assert_false(q_evring_signal_due(&s.ring));
    assert_true(pass_all(&s, 1));
    scene_deinit(&s);
}

// Mutation 3: the consumer reads the flag, then stores the position.
static void a_wish_for_the_wake_node_during_an_advance_is_seen(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:evring.advance.before_exchange"},
        {"host:evring.advance.before_exchange", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    const struct q_schedule_actor actors[] = {{"loop", want_wake, &s}, {"host", pass_one, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[0]);
    assert_true(s.result[1]);
    scene_deinit(&s);
}

// Mutation 4: the producer asks for the wake node without a look at the head that it finds.
static void an_advance_just_before_the_wish_is_told(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:evring.want_wake.before_or"},
        {"loop:evring.want_wake.before_or", "host:end"},
    };
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    const struct q_schedule_actor actors[] = {{"loop", want_wake, &s}, {"host", pass_one, &s}};
    RUN(k_rules, actors);
    assert_true(s.result[0]);
    assert_false(s.result[1]);
    assert_int_equal(q_evring_collect(&s.ring, NULL, NULL), 1);
    scene_deinit(&s);
}

static void pass_two(void *context) {
    struct scene *scene = context;
    Q_CHECK(q_evring_peek(&scene->ring, 1) != NULL);
    scene->result[0] = q_evring_advance(&scene->ring, 1);
    scene->result[1] = q_evring_advance(&scene->ring, 1);
}

static void want_wake_again(void *context) {
    struct scene *scene = context;
    Q_CHECK(q_evring_want_wake(&scene->ring)); // the head has moved
}

// Mutation 5: the producer asks again while the wake node is on its way; the consumer would push it twice.
static void the_wake_node_is_never_on_its_way_twice(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:evring.advance.after_exchange"},
        {"host:evring.advance.after_exchange", "loop:end"},
    };
    struct scene s;
    scene_init(&s);
    fill_reserved(&s);
    fill_reserved(&s);
    assert_false(q_evring_publish(&s.ring));
    assert_false(q_evring_want_wake(&s.ring));
    const struct q_schedule_actor actors[] = {{"loop", want_wake_again, &s}, {"host", pass_two, &s}};
    RUN(k_rules, actors);
    assert_true(s.result[0]);
    assert_false(s.result[1]);
    scene_deinit(&s);
}

// Mutation 6: the count is stored without being compared.
static void the_last_slots_are_reserved_by_one_only(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:evring.reserve.before_cas"},
        {"first:evring.reserve.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", reserve_all_0, &s}, {"second", reserve_all_1, &s}};
    RUN(k_rules, actors);
    assert_false(s.result[0]);
    assert_true(s.result[1]);
    scene_deinit(&s);
}

// The run of real threads: a loop that lends something with each data event, a consumer that sleeps on an eventfd, and
// a host that reserves. The wake node comes through a real submission queue, on which the loop spins for brevity.

enum { EVENTS = 20000, WATCHDOG_S = 30 };

struct theatre {
    struct q_evring ring;
    struct q_mpsc queue;
    struct q_mpsc_node wake_node;
    int eventfd;
    _Atomic(uint32_t) reserved; // submits on their way to the loop
    uint64_t lent;              // loop only
    bool is_ordered;            // consumer's
};

static void take_back(void *context, void *entry) {
    struct theatre *theatre = context;
    theatre->lent -= ((struct entry *)entry)->lent;
}

static void signal_if(struct theatre *theatre, bool is_due) {
    uint64_t one = 1;
    if (is_due) {
        Q_CHECK(write(theatre->eventfd, &one, sizeof one) == sizeof one);
    }
}

static void *be_host(void *argument) {
    struct theatre *theatre = argument;
    for (unsigned i = 0; i < EVENTS;) {
        if (q_evring_reserve(&theatre->ring, 1)) {
            atomic_fetch_add(&theatre->reserved, 1);
            i++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

// Waits for the wake node, or for a submit.
static void await_wake(struct theatre *theatre) {
    if (q_evring_want_wake(&theatre->ring)) {
        q_evring_collect(&theatre->ring, take_back, theatre);
        return;
    }
    while (atomic_load(&theatre->reserved) == 0) {
        if (q_mpsc_drain(&theatre->queue) != NULL) {
            q_evring_wake_drained(&theatre->ring);
            q_evring_collect(&theatre->ring, take_back, theatre);
            return;
        }
        sched_yield();
    }
}

static void *be_loop(void *argument) {
    struct theatre *theatre = argument;
    uint64_t number = 0;
    for (unsigned data = 0, terminals = 0; data < EVENTS || terminals < EVENTS;) {
        struct entry *entry = NULL;
        bool is_terminal = terminals < EVENTS && atomic_load(&theatre->reserved) > 0;
        if (is_terminal) {
            atomic_fetch_sub(&theatre->reserved, 1);
            entry = q_evring_produce_reserved(&theatre->ring);
            *entry = (struct entry){.number = number++};
            terminals++;
        } else if (data < EVENTS) {
            entry = q_evring_produce_unreserved(&theatre->ring);
            if (entry != NULL) {
                *entry = (struct entry){.number = number++, .lent = 1};
                theatre->lent++;
                data++;
            }
        }
        if (entry == NULL || number % 3 == 0) {
            signal_if(theatre, q_evring_publish(&theatre->ring));
        }
        if (entry == NULL) {
            await_wake(theatre);
        }
    }
    signal_if(theatre, q_evring_publish(&theatre->ring));
    return NULL;
}

static void *be_consumer(void *argument) {
    struct theatre *theatre = argument;
    uint64_t next = 0;
    theatre->is_ordered = true;
    while (next < 2 * EVENTS) {
        uint64_t count;
        if (q_evring_signal_due(&theatre->ring) && read(theatre->eventfd, &count, sizeof count) == sizeof count) {
            Q_CHECK(q_evring_signal_read(&theatre->ring, count) == 0);
        }
        size_t n = 0;
        for (struct entry *entry; n < 3 && (entry = q_evring_peek(&theatre->ring, n)) != NULL; n++) {
            theatre->is_ordered = theatre->is_ordered && entry->number == next++;
        }
        if (q_evring_advance(&theatre->ring, n)) {
            Q_CHECK(q_mpsc_push(&theatre->queue, &theatre->wake_node) == Q_MPSC_PUSHED);
        }
        if (n == 0 && q_evring_arm(&theatre->ring, 0)) {
            struct pollfd pollfd = {.fd = theatre->eventfd, .events = POLLIN};
            (void)poll(&pollfd, 1, -1);
        }
    }
    return NULL;
}

static void a_full_ring_under_real_threads_loses_nothing(void **state) {
    (void)state;
    static struct theatre theatre;
    assert_true(q_evring_init(&theatre.ring, q_alloc_libc(), CAPACITY, sizeof(struct entry)));
    q_mpsc_init(&theatre.queue);
    theatre.eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(theatre.eventfd >= 0);
    alarm(WATCHDOG_S); // a lost wake-up must fail, not hang
    void *(*const roles[])(void *) = {be_host, be_loop, be_consumer};
    pthread_t threads[Q_COUNT_OF(roles)];
    for (size_t i = 0; i < Q_COUNT_OF(roles); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &theatre), 0);
    }
    for (size_t i = 0; i < Q_COUNT_OF(roles); i++) {
        pthread_join(threads[i], NULL);
    }
    alarm(0);
    assert_true(theatre.is_ordered);
    q_evring_collect(&theatre.ring, take_back, &theatre);
    assert_int_equal(theatre.lent, 0);
    assert_true(q_evring_reserve(&theatre.ring, RESERVABLE));
    close(theatre.eventfd);
    q_evring_deinit(&theatre.ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_capacity_is_split),
        cmocka_unit_test(unreserved_slots_can_be_reserved_again),
        cmocka_unit_test(entries_are_invisible_until_published),
        cmocka_unit_test(order_is_kept_round_after_round),
        cmocka_unit_test(each_slot_goes_back_to_its_own_kind),
        cmocka_unit_test(data_never_takes_a_reserved_slot),
        cmocka_unit_test(an_armed_ring_is_signalled_once),
        cmocka_unit_test(a_signal_is_counted_when_it_is_read_before_its_events_are_seen),
        cmocka_unit_test(signals_of_other_rings_are_left_over),
        cmocka_unit_test(arming_is_refused_while_there_are_entries),
        cmocka_unit_test(arming_counts_what_was_seen_and_not_advanced_past),
        cmocka_unit_test(the_wake_node_is_asked_for_once_until_it_came),
        cmocka_unit_test(an_advance_by_nothing_wakes_nobody),
        cmocka_unit_test(a_request_for_the_wake_node_can_be_retracted),
        cmocka_unit_test(out_of_memory_leaves_the_zero_state),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(arming_just_before_the_hand_over_is_signalled),
        cmocka_unit_test(arming_just_after_the_hand_over_is_refused),
        cmocka_unit_test(a_wish_for_the_wake_node_during_an_advance_is_seen),
        cmocka_unit_test(an_advance_just_before_the_wish_is_told),
        cmocka_unit_test(the_wake_node_is_never_on_its_way_twice),
        cmocka_unit_test(the_last_slots_are_reserved_by_one_only),
        cmocka_unit_test(a_full_ring_under_real_threads_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

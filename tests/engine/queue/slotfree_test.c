// The free list of slots: one by one, the schedules of tests/model/slotfree.pml (each named by its mutation), and a
// short run of real threads, with slot words and the queue, for the sanitizers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "engine/queue/mpsc.h"
#include "engine/queue/slotfree.h"
#include "engine/queue/slotword.h"
#include "tests/support/schedule.h"

enum { CAPACITY = 4 };

// What the actors of one test share.
struct scene {
    struct q_slotfree list;
    uint32_t taken[3];
};

static void scene_init(struct scene *scene) {
    *scene = (struct scene){0};
    assert_true(q_slotfree_init(&scene->list, q_alloc_libc(), CAPACITY));
}

// Takes what is left: each slot that is not in `owned` must come once. False when one is lost or comes twice.
static bool rest_is_complete(struct scene *scene, const uint32_t *owned, size_t owned_len) {
    bool is_seen[CAPACITY] = {false};
    size_t count = owned_len;
    for (size_t i = 0; i < owned_len; i++) {
        is_seen[owned[i]] = true;
    }
    for (uint32_t slot; count <= CAPACITY && (slot = q_slotfree_take(&scene->list)) != Q_SLOTFREE_NONE; count++) {
        if (slot >= CAPACITY || is_seen[slot]) {
            return false;
        }
        is_seen[slot] = true;
    }
    return count == CAPACITY;
}

static void each_slot_is_given_out_once(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        assert_int_equal(q_slotfree_take(&s.list), i);
    }
    assert_int_equal(q_slotfree_take(&s.list), Q_SLOTFREE_NONE);
    assert_int_equal(q_slotfree_take(&s.list), Q_SLOTFREE_NONE);
    q_slotfree_deinit(&s.list);
}

static void used_slots_come_before_fresh_ones_and_the_warmest_first(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    uint32_t a = q_slotfree_take(&s.list);
    uint32_t b = q_slotfree_take(&s.list);
    q_slotfree_give(&s.list, a);
    q_slotfree_give(&s.list, b);
    assert_int_equal(q_slotfree_take(&s.list), b);
    assert_int_equal(q_slotfree_take(&s.list), a);
    assert_int_equal(q_slotfree_take(&s.list), 2);
    const uint32_t owned[] = {a, b, 2};
    assert_true(rest_is_complete(&s, owned, 3));
    q_slotfree_deinit(&s.list);
}

static void *no_memory(void *context, size_t size) {
    (void)context;
    (void)size;
    return NULL;
}

static void out_of_memory_leaves_the_zero_state(void **state) {
    (void)state;
    const struct q_alloc alloc = {.allocate = no_memory};
    struct q_slotfree list;
    assert_false(q_slotfree_init(&list, &alloc, CAPACITY));
    assert_null(list.next);
    q_slotfree_deinit(&list);
}

// Schedules.

static void take_0(void *context) {
    struct scene *scene = context;
    scene->taken[0] = q_slotfree_take(&scene->list);
}

static void take_1(void *context) {
    struct scene *scene = context;
    scene->taken[1] = q_slotfree_take(&scene->list);
}

static void give_0(void *context) {
    struct scene *scene = context;
    q_slotfree_give(&scene->list, scene->taken[0]);
}

static void give_1(void *context) {
    struct scene *scene = context;
    q_slotfree_give(&scene->list, scene->taken[1]);
}

// Takes the two on top, and gives the first back: the top is as it was, its successor is not.
static void take_two_give_one(void *context) {
    struct scene *scene = context;
    uint32_t top = q_slotfree_take(&scene->list);
    scene->taken[1] = q_slotfree_take(&scene->list);
    q_slotfree_give(&scene->list, top);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 1: the tag is not compared (ABA).
static void a_top_that_went_and_came_back_is_noticed(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"other:start", "slow:slotfree.take.before_cas"},
        {"slow:slotfree.take.before_cas", "other:end"},
    };
    struct scene s;
    scene_init(&s);
    uint32_t first = q_slotfree_take(&s.list);
    uint32_t second = q_slotfree_take(&s.list);
    q_slotfree_give(&s.list, second);
    q_slotfree_give(&s.list, first);
    const struct q_schedule_actor actors[] = {{"slow", take_0, &s}, {"other", take_two_give_one, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.taken[1], second);
    assert_int_equal(s.taken[0], first);
    assert_true(rest_is_complete(&s, s.taken, 2));
    q_slotfree_deinit(&s.list);
}

// Mutation 2: the top is stored without being compared.
static void two_takers_get_two_slots(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:slotfree.take.before_cas"},
        {"first:slotfree.take.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    uint32_t a = q_slotfree_take(&s.list);
    uint32_t b = q_slotfree_take(&s.list);
    q_slotfree_give(&s.list, a);
    q_slotfree_give(&s.list, b);
    const struct q_schedule_actor actors[] = {{"first", take_0, &s}, {"second", take_1, &s}};
    RUN(k_rules, actors);
    assert_int_not_equal(s.taken[0], s.taken[1]);
    assert_true(rest_is_complete(&s, s.taken, 2));
    q_slotfree_deinit(&s.list);
}

// Mutation 3: giving stores the top without comparing it.
static void two_givers_lose_no_slot(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:slotfree.give.before_cas"},
        {"first:slotfree.give.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    s.taken[0] = q_slotfree_take(&s.list);
    s.taken[1] = q_slotfree_take(&s.list);
    const struct q_schedule_actor actors[] = {{"first", give_0, &s}, {"second", give_1, &s}};
    RUN(k_rules, actors);
    assert_true(rest_is_complete(&s, NULL, 0));
    q_slotfree_deinit(&s.list);
}

// Mutation 5: the successor is written when the slot is on the list already.
static void a_slot_is_linked_before_it_is_on_the_list(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"taker:start", "giver:slotfree.give.after_cas"},
        {"giver:slotfree.give.after_cas", "taker:end"},
    };
    struct scene s;
    scene_init(&s);
    s.taken[0] = q_slotfree_take(&s.list);
    uint32_t below = q_slotfree_take(&s.list);
    q_slotfree_give(&s.list, below);
    const struct q_schedule_actor actors[] = {{"giver", give_0, &s}, {"taker", take_1, &s}};
    RUN(k_rules, actors);
    assert_int_equal(s.taken[1], s.taken[0]);
    assert_int_equal(q_slotfree_take(&s.list), below);
    q_slotfree_deinit(&s.list);
}

// Mutation 4: the count of fresh slots is stored without being compared.
static void two_takers_get_two_fresh_slots(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:slotfree.fresh.before_cas"},
        {"first:slotfree.fresh.before_cas", "second:end"},
    };
    struct scene s;
    scene_init(&s);
    const struct q_schedule_actor actors[] = {{"first", take_0, &s}, {"second", take_1, &s}};
    RUN(k_rules, actors);
    assert_int_not_equal(s.taken[0], s.taken[1]);
    assert_true(rest_is_complete(&s, s.taken, 2));
    q_slotfree_deinit(&s.list);
}

// The run of real threads: hosts submit, cancel and grant; a loop ends tenants and gives slots back.

enum { HOSTS = 3, SUBMITS = 10000, SLOTS = 8, WATCHDOG_S = 30 };

enum kind { SUBMIT, CANCEL, CREDIT };

struct command {
    struct q_mpsc_node node;
    enum kind kind;
    uint32_t slot;
};

struct slot {
    struct q_slotword word;
    struct command commands[3]; // by kind
    uint32_t generation;        // the tenant's own note; loop and submitter
    bool is_submitted;          // loop
    bool is_ending;             // loop
};

struct town {
    struct q_slotfree list;
    struct q_mpsc queue;
    struct slot slots[SLOTS];
    _Atomic(uint64_t) granted;
    uint64_t received; // loop
};

static void push_command(struct town *town, uint32_t slot, enum kind kind) {
    struct command *command = &town->slots[slot].commands[kind];
    command->kind = kind;
    command->slot = slot;
    Q_CHECK(q_mpsc_push(&town->queue, &command->node) == Q_MPSC_PUSHED);
}

// Grants, and cancels every second one, by a handle that may have become stale by now.
static void disturb(struct town *town, uint32_t slot, uint32_t generation, uint64_t bytes) {
    enum q_grant_result grant = q_slotword_grant(&town->slots[slot].word, generation, bytes);
    if (grant != Q_GRANT_STALE) {
        atomic_fetch_add(&town->granted, bytes);
    }
    if (grant == Q_GRANT_PUSH) {
        push_command(town, slot, CREDIT);
    }
    if (bytes % 2 == 0 && q_slotword_try_pin_cancel(&town->slots[slot].word, generation) == Q_PIN_DONE) {
        push_command(town, slot, CANCEL);
    }
}

static void *be_host(void *argument) {
    struct town *town = argument;
    uint32_t last_slot = 0;
    uint32_t last_generation = 0; // names nobody
    for (unsigned i = 0; i < SUBMITS;) {
        uint32_t slot = q_slotfree_take(&town->list);
        if (slot == Q_SLOTFREE_NONE) {
            sched_yield();
            continue;
        }
        i++;
        uint32_t generation = q_slotword_open(&town->slots[slot].word, 1);
        town->slots[slot].generation = generation;
        push_command(town, slot, SUBMIT);
        disturb(town, slot, generation, i);
        disturb(town, last_slot, last_generation, i);
        last_slot = slot;
        last_generation = generation;
    }
    return NULL;
}

// One command, at the loop. Returns how many tenants ended by it.
static unsigned obey(struct town *town, const struct command *command) {
    uint32_t index = command->slot;
    struct slot *slot = &town->slots[index];
    switch (command->kind) {
    case SUBMIT:
        slot->is_submitted = true;
        slot->is_ending = slot->is_ending || slot->generation % 3 == 0; // some requests end at once
        break;
    case CANCEL:
        slot->is_ending = true;
        q_slotword_unpin_cancel(&slot->word);
        break;
    case CREDIT:
        slot->is_ending = true; // else a tenant whom nobody cancels would stay for ever
        town->received += q_slotword_take_credit(&slot->word);
        break;
    }
    if (!slot->is_submitted || !slot->is_ending ||
        q_slotword_try_retire(&slot->word, slot->generation, 1) != Q_RETIRE_DONE) {
        return 0;
    }
    slot->is_submitted = slot->is_ending = false;
    q_slotfree_give(&town->list, index);
    return 1;
}

static void *be_loop(void *argument) {
    struct town *town = argument;
    for (unsigned ended = 0; ended < HOSTS * SUBMITS;) {
        struct q_mpsc_node *node = q_mpsc_drain(&town->queue);
        if (node == NULL) {
            sched_yield();
        }
        while (node != NULL) {
            struct q_mpsc_node *next = node->next; // before the command is obeyed: then the node may be pushed again
            ended += obey(town, q_container_of(node, struct command, node));
            node = next;
        }
    }
    return NULL;
}

static void tenants_come_and_go_under_real_threads(void **state) {
    (void)state;
    static struct town town;
    assert_true(q_slotfree_init(&town.list, q_alloc_libc(), SLOTS));
    q_mpsc_init(&town.queue);
    alarm(WATCHDOG_S); // a lost slot must fail, not hang
    pthread_t threads[HOSTS + 1];
    for (int i = 0; i <= HOSTS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < HOSTS ? be_host : be_loop, &town), 0);
    }
    for (int i = 0; i <= HOSTS; i++) {
        pthread_join(threads[i], NULL);
    }
    alarm(0);
    assert_null(q_mpsc_close(&town.queue));
    assert_int_equal(town.received, atomic_load(&town.granted));
    q_slotfree_deinit(&town.list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_slot_is_given_out_once),
        cmocka_unit_test(used_slots_come_before_fresh_ones_and_the_warmest_first),
        cmocka_unit_test(out_of_memory_leaves_the_zero_state),
        cmocka_unit_test(a_top_that_went_and_came_back_is_noticed),
        cmocka_unit_test(two_takers_get_two_slots),
        cmocka_unit_test(two_givers_lose_no_slot),
        cmocka_unit_test(two_takers_get_two_fresh_slots),
        cmocka_unit_test(a_slot_is_linked_before_it_is_on_the_list),
        cmocka_unit_test(tenants_come_and_go_under_real_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

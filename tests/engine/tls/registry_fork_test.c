// The registry in a forked child: with its lock held by a thread that is not there, and drops that nobody goes on with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/hook.h"
#include "engine/tls/registry.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"

enum { CONTENTS = 4, CAPACITY = 200, WATCHDOG_S = 30 };

// ThreadSanitizer ends a process that makes threads behind a fork of many.
#if defined(__SANITIZE_THREAD__)
#define CHILD_HAS_THREADS 0
#else
#define CHILD_HAS_THREADS 1
#endif

struct scene {
    struct q_registry registry;
    unsigned released[CONTENTS];
    struct q_handle handle[CONTENTS];
    void *got[CONTENTS];
    enum q_intern_result result[CONTENTS];
    int (*child)(struct scene *s); // 0, or the line at which it went wrong
    int child_line;
};

static struct scene the_scene;

static struct scene *open_scene_with(const struct q_alloc *alloc) {
    memset(&the_scene, 0, sizeof the_scene);
    q_registry_init(&the_scene.registry, alloc, CAPACITY);
    return &the_scene;
}

static struct scene *open_scene(void) {
    return open_scene_with(q_alloc_libc());
}

static void release(void *content) {
    ++*(unsigned *)content;
}

static void intern(struct scene *s, int which, uint8_t number) {
    const uint8_t digest[Q_REGISTRY_DIGEST_LEN] = {number};
    s->result[which] =
        q_registry_intern(&s->registry, digest, &s->released[which], release, &s->handle[which], &s->got[which]);
}

static void drop(struct scene *s, int which) {
    q_registry_drop(&s->registry, s->handle[which]);
}

#define EXPECT(is)                                                                                                     \
    do {                                                                                                               \
        if (!(is)) {                                                                                                   \
            return __LINE__;                                                                                           \
        }                                                                                                              \
    } while (0)

// The line at which the child went wrong, 0 for none, -1 when it was killed.
static int line_of_child(struct scene *s) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        q_hook_set(NULL); // nobody else is there
        alarm(WATCHDOG_S);
        int line = s->child(s);
        if (line != 0) {
            dprintf(STDOUT_FILENO, "child: line %d\n", line);
        }
        _exit(line != 0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fork_child(void *context) {
    struct scene *s = context;
    s->child_line = line_of_child(s);
}

static bool is_same(struct q_handle left, struct q_handle right) {
    return left.index == right.index && left.generation == right.generation;
}

// Content 0 is the parent's, with one reference; a thread of the parent's may be anywhere.
static int own_map_and_parents_handles(struct scene *s) {
    unsigned *parents = q_registry_upgrade(&s->registry, s->handle[0]);
    EXPECT(parents == &s->released[0]);
    intern(s, 2, 7);
    EXPECT(s->result[2] == Q_INTERN_MADE); // the parent's is not found
    EXPECT(!is_same(s->handle[2], s->handle[0]));
    intern(s, 3, 7);
    EXPECT(s->result[3] == Q_INTERN_FOUND && s->got[3] == &s->released[2]);
    drop(s, 0);
    EXPECT(s->released[0] == 0); // the upgrade's is left
    drop(s, 0);
    EXPECT(s->released[0] == 1);
    EXPECT(q_registry_upgrade(&s->registry, s->handle[0]) == NULL);
    intern(s, 0, 7); // its drop has left the child's entry alone
    EXPECT(s->result[0] == Q_INTERN_FOUND && s->got[0] == &s->released[2]);
    drop(s, 0);
    drop(s, 2);
    drop(s, 3);
    EXPECT(s->released[2] == 1);
    q_registry_validate(&s->registry);
    return 0;
}

static void a_child_has_a_map_of_its_own_and_its_parents_handles(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    s->child = own_map_and_parents_handles;
    assert_int_equal(line_of_child(s), 0);
    assert_int_equal(s->released[0], 0); // the parent's own is as it was
    intern(s, 1, 7);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    drop(s, 0);
    drop(s, 1);
    q_registry_validate(&s->registry);
    q_registry_deinit(&s->registry);
}

static void intern_1_as_7(void *context) {
    intern(context, 1, 7);
}
static void drop_0(void *context) {
    drop(context, 0);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

static void a_lock_that_is_held_for_ever_stops_no_child(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"forker:start", "holder:registry.intern.found"}, // under the lock
        {"holder:registry.intern.found", "forker:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    s->child = own_map_and_parents_handles;
    const struct q_schedule_actor actors[] = {{"holder", intern_1_as_7, s}, {"forker", fork_child, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->child_line, 0);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    drop(s, 0);
    drop(s, 1);
    q_registry_deinit(&s->registry);
}

// Content 0 has ended, and the thread that ended it is not there to give its slot back.
static int the_slot_is_used_again(struct scene *s) {
    EXPECT(q_registry_upgrade(&s->registry, s->handle[0]) == NULL);
    intern(s, 2, 7);
    EXPECT(s->result[2] == Q_INTERN_MADE);
    struct q_registry_stats stats = q_registry_get_stats(&s->registry);
    EXPECT(stats.entries == 1 && stats.free == stats.slots - 1);
    drop(s, 2);
    q_registry_validate(&s->registry);
    return 0;
}

static void a_slot_that_was_ending_at_the_fork_is_not_lost(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"forker:start", "dropper:registry.drop.before_lock"},
        {"dropper:registry.drop.before_lock", "forker:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    s->child = the_slot_is_used_again;
    const struct q_schedule_actor actors[] = {{"dropper", drop_0, s}, {"forker", fork_child, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->child_line, 0);
    assert_int_equal(s->released[0], 1);
    q_registry_validate(&s->registry);
    q_registry_deinit(&s->registry);
}

#if CHILD_HAS_THREADS
static void drop_0_and_intern(void *context) {
    drop(context, 0);
    intern(context, 1, 8);
}

static void intern_2_and_3(void *context) {
    intern(context, 2, 9);
    intern(context, 3, 10);
}

// Mutation 7: the last dropper does not look whether the slot is still its own. In the child one thread ends what the
// parent made; before it comes for the lock another builds the map, and finds and uses the slot.
static int ends_while_another_builds(struct scene *s) {
    static const struct q_schedule_rule k_rules[] = {
        {"builder:start", "dropper:registry.drop.before_lock"},
        {"dropper:registry.drop.before_lock", "builder:end"},
    };
    const struct q_schedule_actor actors[] = {{"dropper", drop_0_and_intern, s}, {"builder", intern_2_and_3, s}};
    EXPECT(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    EXPECT(s->released[0] == 1);
    for (int i = 1; i < CONTENTS; i++) { // three contents, three slots
        EXPECT(s->result[i] == Q_INTERN_MADE && q_registry_content(&s->registry, s->handle[i]) == &s->released[i]);
    }
    q_registry_validate(&s->registry);
    for (int i = 1; i < CONTENTS; i++) {
        drop(s, i);
        EXPECT(s->released[i] == 1);
    }
    struct q_registry_stats stats = q_registry_get_stats(&s->registry);
    EXPECT(stats.free == stats.slots);
    q_registry_validate(&s->registry);
    return 0;
}

static void a_slot_that_ends_while_the_map_is_built_has_one_owner(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    s->child = ends_while_another_builds;
    assert_int_equal(line_of_child(s), 0);
    drop(s, 0);
    q_registry_deinit(&s->registry);
}
#endif

// Without memory for a map of its own a child can still use and end what it has.
static int drops_without_memory(struct scene *s) {
    struct q_failalloc *failalloc = s->registry.alloc->context;
    q_failalloc_fail_from(failalloc, 1);
    intern(s, 1, 8);
    EXPECT(s->result[1] == Q_INTERN_NO_MEMORY);
    EXPECT(q_registry_upgrade(&s->registry, s->handle[0]) == &s->released[0]);
    drop(s, 0);
    drop(s, 0);
    EXPECT(s->released[0] == 1);
    EXPECT(q_registry_get_stats(&s->registry).slots == 0);
    q_failalloc_fail_at(failalloc, 0);
    intern(s, 1, 8);
    EXPECT(s->result[1] == Q_INTERN_MADE);
    EXPECT(is_same(s->handle[1], (struct q_handle){s->handle[0].index, s->handle[0].generation + 1})); // not lost
    drop(s, 1);
    q_registry_validate(&s->registry);
    q_registry_deinit(&s->registry);
    char text[200];
    EXPECT(q_failalloc_check(failalloc, text, sizeof text)); // the parent's map is freed too, in the child's memory
    return 0;
}

static void a_child_without_memory_ends_what_it_has(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    struct scene *s = open_scene_with(q_failalloc_alloc(failalloc));
    intern(s, 0, 7);
    s->child = drops_without_memory;
    assert_int_equal(line_of_child(s), 0);
    drop(s, 0);
    q_registry_deinit(&s->registry);
    char text[200];
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

static int has_a_child_of_its_own(struct scene *s) {
    intern(s, 1, 7);
    EXPECT(s->result[1] == Q_INTERN_MADE);
    drop(s, 1);
    s->child = own_map_and_parents_handles;
    EXPECT(line_of_child(s) == 0);
    return 0;
}

static void a_grandchild_begins_again(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    s->child = has_a_child_of_its_own;
    assert_int_equal(line_of_child(s), 0);
    drop(s, 0);
    q_registry_deinit(&s->registry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_a_map_of_its_own_and_its_parents_handles),
        cmocka_unit_test(a_lock_that_is_held_for_ever_stops_no_child),
        cmocka_unit_test(a_slot_that_was_ending_at_the_fork_is_not_lost),
#if CHILD_HAS_THREADS
        cmocka_unit_test(a_slot_that_ends_while_the_map_is_built_has_one_owner),
#endif
        cmocka_unit_test(a_child_without_memory_ends_what_it_has),
        cmocka_unit_test(a_grandchild_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

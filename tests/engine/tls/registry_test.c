// The registry: one by one, and the schedules of tests/model/registry.pml (each named by its mutation).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/tls/registry.h"
#include "tests/engine/base/dies.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"

#define GENERATION_SHIFT 32 // as registry.h draws the word

enum { CONTENTS = 4 };

// What is interned: the test's own, which says how often it was let go.
struct content {
    unsigned released;
    struct q_registry *registry;
    struct q_handle holds; // dropped by the release, if it names anything
};

struct scene {
    struct q_registry registry;
    struct content contents[CONTENTS];
    struct q_handle handle[CONTENTS];
    void *got[CONTENTS];
    enum q_intern_result result[CONTENTS];
    void *upgraded;
};

static struct scene the_scene; // 8 KiB of block pointers

static struct scene *open_scene_with(const struct q_alloc *alloc, uint32_t capacity) {
    memset(&the_scene, 0, sizeof the_scene);
    q_registry_init(&the_scene.registry, alloc, capacity);
    return &the_scene;
}

static struct scene *open_scene(void) {
    return open_scene_with(q_alloc_libc(), 1000);
}

static void close_scene(struct scene *s) {
    q_registry_validate(&s->registry);
    q_registry_deinit(&s->registry);
}

static void release(void *content) {
    struct content *c = content;
    c->released++;
    if (c->holds.generation != 0) {
        q_registry_drop(c->registry, c->holds);
    }
}

struct digest {
    uint8_t bytes[Q_REGISTRY_DIGEST_LEN];
};

// Digest number `number`: the number stands at both ends, so that what looks at one end alone is found out.
static struct digest digest_of(uint32_t number) {
    struct digest digest = {{0}};
    memcpy(digest.bytes, &number, sizeof number);
    memcpy(digest.bytes + Q_REGISTRY_DIGEST_LEN - sizeof number, &number, sizeof number);
    return digest;
}

// Interns content `which` under digest `number`.
static void intern(struct scene *s, int which, uint32_t number) {
    struct digest digest = digest_of(number);
    s->result[which] =
        q_registry_intern(&s->registry, digest.bytes, &s->contents[which], release, &s->handle[which], &s->got[which]);
}

static void drop(struct scene *s, int which) {
    q_registry_drop(&s->registry, s->handle[which]);
}

static bool is_same(struct q_handle left, struct q_handle right) {
    return left.index == right.index && left.generation == right.generation;
}

static void equal_digests_share_one_content(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    assert_int_equal(s->result[0], Q_INTERN_MADE);
    assert_ptr_equal(s->got[0], &s->contents[0]);
    intern(s, 1, 7);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[1], &s->contents[0]);
    assert_true(is_same(s->handle[0], s->handle[1]));
    intern(s, 2, 8);
    assert_int_equal(s->result[2], Q_INTERN_MADE);
    assert_false(is_same(s->handle[0], s->handle[2]));
    assert_int_equal(q_registry_get_stats(&s->registry).entries, 2);
    q_registry_validate(&s->registry);
    drop(s, 0);
    assert_int_equal(s->contents[0].released, 0);
    drop(s, 1);
    assert_int_equal(s->contents[0].released, 1);
    assert_int_equal(s->contents[1].released, 0); // its owner kept it
    drop(s, 2);
    assert_int_equal(s->contents[2].released, 1);
    assert_int_equal(q_registry_get_stats(&s->registry).entries, 0);
    close_scene(s);
}

static void every_byte_of_a_digest_counts(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 0);
    for (size_t i = 0; i < Q_REGISTRY_DIGEST_LEN; i++) {
        struct digest digest = digest_of(0);
        digest.bytes[i] = 1;
        assert_int_equal(
            q_registry_intern(&s->registry, digest.bytes, &s->contents[1], release, &s->handle[1], &s->got[1]),
            Q_INTERN_MADE);
        drop(s, 1);
    }
    drop(s, 0);
    close_scene(s);
}

static void a_weak_handle_ends_with_the_last_reference(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    struct q_handle weak = s->handle[0];
    assert_ptr_equal(q_registry_upgrade(&s->registry, weak), &s->contents[0]);
    drop(s, 0);
    assert_ptr_equal(q_registry_content(&s->registry, weak), &s->contents[0]);
    assert_int_equal(s->contents[0].released, 0);
    q_registry_drop(&s->registry, weak);
    assert_int_equal(s->contents[0].released, 1);
    assert_null(q_registry_upgrade(&s->registry, weak));
    close_scene(s);
}

// Mutations 1 and 8: no generation test; the last drop leaves the generation.
static void a_stale_handle_never_names_the_next_content(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    drop(s, 0);
    intern(s, 1, 8);
    assert_int_equal(s->handle[1].index, s->handle[0].index); // the same slot
    assert_int_not_equal(s->handle[1].generation, s->handle[0].generation);
    assert_null(q_registry_upgrade(&s->registry, s->handle[0]));
    drop(s, 1);
    assert_int_equal(s->contents[1].released, 1);
    close_scene(s);
}

static void handles_that_nobody_gave_out_name_nothing(void **state) {
    (void)state;
    struct scene *s = open_scene();
    static const struct q_handle k_handles[] = {{0, 0},  {0, 1},          {0, 2},         {1, 1},
                                                {64, 1}, {999, 1},        {1000, 1},      {Q_REGISTRY_ENTRIES_MAX, 1},
                                                {1, 0},  {UINT32_MAX, 1}, {UINT32_MAX, 0}};
    for (int round = 0; round < 2; round++) { // before there is a block, and behind
        for (size_t i = 0; i < Q_COUNT_OF(k_handles); i++) {
            if (round == 0 || !is_same(k_handles[i], s->handle[0])) {
                assert_null(q_registry_upgrade(&s->registry, k_handles[i]));
            }
        }
        if (round == 0) {
            intern(s, 0, 7);
        }
    }
    drop(s, 0);
    close_scene(s);
}

static void acquire_counts_like_an_upgrade(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    for (int i = 0; i < 1000; i++) {
        q_registry_acquire(&s->registry, s->handle[0]);
    }
    for (int i = 0; i < 1000; i++) {
        drop(s, 0);
        assert_int_equal(s->contents[0].released, 0);
    }
    drop(s, 0);
    assert_int_equal(s->contents[0].released, 1);
    close_scene(s);
}

static void the_last_drop_can_be_passed_on(void **state) {
    (void)state;
    struct scene *s = open_scene();
    struct q_registry_last last = {0};
    intern(s, 0, 7);
    q_registry_acquire(&s->registry, s->handle[0]);
    assert_false(q_registry_drop_to(&s->registry, s->handle[0], &last));
    assert_null(last.content);
    assert_true(q_registry_drop_to(&s->registry, s->handle[0], &last));
    assert_int_equal(s->contents[0].released, 0); // not yet; but it is over
    assert_null(q_registry_upgrade(&s->registry, s->handle[0]));
    intern(s, 1, 7);
    assert_int_equal(s->result[1], Q_INTERN_MADE);
    last.release(last.content);
    assert_int_equal(s->contents[0].released, 1);
    drop(s, 1);
    close_scene(s);
}

// A content whose end brings the end of others: release runs without the lock, and behind everything else.
static void a_release_may_drop_the_last_reference_of_another(void **state) {
    (void)state;
    struct scene *s = open_scene();
    for (int i = CONTENTS - 1; i >= 0; i--) {
        intern(s, i, (uint32_t)i);
        s->contents[i].registry = &s->registry;
        if (i + 1 < CONTENTS) {
            s->contents[i].holds = s->handle[i + 1];
        }
    }
    drop(s, 0);
    for (int i = 0; i < CONTENTS; i++) {
        assert_int_equal(s->contents[i].released, 1);
    }
    close_scene(s);
}

static _Atomic(uint64_t) *word_of_slot_0(struct scene *s) {
    return (_Atomic(uint64_t) *)(void *)atomic_load(&s->registry.blocks[0]);
}

static void a_slot_is_retired_before_its_names_repeat(void **state) {
    (void)state;
    struct scene *s = open_scene_with(q_alloc_libc(), 2);
    intern(s, 0, 7);
    drop(s, 0);
    atomic_store(word_of_slot_0(s), (uint64_t)UINT32_MAX << GENERATION_SHIFT);
    intern(s, 0, 7);
    assert_int_equal(s->handle[0].index, 0);
    assert_int_equal(s->handle[0].generation, UINT32_MAX);
    drop(s, 0);
    assert_int_equal(s->contents[0].released, 2);
    assert_null(q_registry_upgrade(&s->registry, s->handle[0]));
    assert_null(q_registry_upgrade(&s->registry, (struct q_handle){0}));
    assert_int_equal(q_registry_get_stats(&s->registry).retired, 1);
    intern(s, 1, 7);
    assert_int_equal(s->handle[1].index, 1);
    intern(s, 2, 8);
    assert_int_equal(s->result[2], Q_INTERN_FULL);
    drop(s, 1);
    close_scene(s);
}

enum { MANY = 1000 };

static void slots_grow_up_to_the_bound_and_never_move(void **state) {
    (void)state;
    struct scene *s = open_scene_with(q_alloc_libc(), MANY);
    static struct q_handle handles[MANY];
    static struct content contents[MANY];
    void *got;
    const void *first = NULL;
    memset(contents, 0, sizeof contents);
    for (uint32_t i = 0; i < MANY; i++) {
        struct digest digest = digest_of(i * 64); // all in one bucket, as long as there are 64
        assert_int_equal(q_registry_intern(&s->registry, digest.bytes, &contents[i], release, &handles[i], &got),
                         Q_INTERN_MADE);
        first = i == 0 ? word_of_slot_0(s) : first;
        assert_ptr_equal(word_of_slot_0(s), first);
    }
    q_registry_validate(&s->registry);
    intern(s, 0, 1);
    assert_int_equal(s->result[0], Q_INTERN_FULL);
    assert_int_equal(s->contents[0].released, 0);
    intern(s, 0, 64 * 5); // one that is there is found even so
    assert_int_equal(s->result[0], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[0], &contents[5]);
    drop(s, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ptr_equal(q_registry_content(&s->registry, handles[i]), &contents[i]);
        q_registry_drop(&s->registry, handles[i]);
        assert_int_equal(contents[i].released, 1);
    }
    intern(s, 0, 1);
    assert_int_equal(s->result[0], Q_INTERN_MADE);
    drop(s, 0);
    struct q_registry_stats stats = q_registry_get_stats(&s->registry);
    assert_int_equal(stats.slots, MANY);
    assert_int_equal(stats.free, MANY);
    close_scene(s);
}

static void the_zero_state_is_the_registry_of_the_process(void **state) {
    (void)state;
    struct q_registry *registry = q_registry_process();
    struct content content = {0};
    struct q_handle handle;
    void *got;
    assert_ptr_equal(registry, q_registry_process());
    assert_null(q_registry_upgrade(registry, (struct q_handle){0, 1}));
    struct digest digest = digest_of(1);
    assert_int_equal(q_registry_intern(registry, digest.bytes, &content, release, &handle, &got), Q_INTERN_MADE);
    q_registry_validate(registry);
    q_registry_drop(registry, handle);
    assert_int_equal(content.released, 1);
}

// Each allocation of a first intern, of one that needs slots, and of one that needs buckets.
static void without_memory_nothing_is_taken_and_nothing_lost(void **state) {
    (void)state;
    static struct content contents[200];
    static struct q_handle handles[200];
    bool is_through = false;
    for (uint64_t nth = 1; !is_through; nth++) {
        struct q_failalloc *failalloc = q_failalloc_new();
        struct scene *s = open_scene_with(q_failalloc_alloc(failalloc), 200);
        memset(contents, 0, sizeof contents);
        uint32_t made = 0;
        q_failalloc_fail_at(failalloc, nth);
        for (uint32_t i = 0; i < 200; i++) {
            struct digest digest = digest_of(i);
            void *got;
            enum q_intern_result result =
                q_registry_intern(&s->registry, digest.bytes, &contents[made], release, &handles[made], &got);
            made += result == Q_INTERN_MADE;
            assert_true(result == Q_INTERN_MADE || (result == Q_INTERN_NO_MEMORY && q_failalloc_failed(failalloc)));
        }
        is_through = !q_failalloc_failed(failalloc);
        assert_true(made >= 199); // one failed at most: the next one tried again
        q_registry_validate(&s->registry);
        for (uint32_t i = 0; i < made; i++) {
            q_registry_drop(&s->registry, handles[i]);
            assert_int_equal(contents[i].released, 1);
        }
        close_scene(s);
        char text[200];
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        q_failalloc_free(failalloc);
    }
}

// --- misuse ---------------------------------------------------------------------------------------------------------

static void drop_again(void *context) {
    drop(context, 0);
}
static void acquire_what_is_over(void *context) {
    q_registry_acquire(&((struct scene *)context)->registry, the_scene.handle[0]);
}
static void look_at_what_is_over(void *context) {
    q_registry_content(&((struct scene *)context)->registry, the_scene.handle[0]);
}
static void drop_what_never_was(void *context) {
    q_registry_drop(&((struct scene *)context)->registry, (struct q_handle){.index = 500, .generation = 1});
}
static void count_to_the_end(void *context) {
    atomic_store(word_of_slot_0(context), UINT64_C(1) << GENERATION_SHIFT | UINT32_MAX);
    q_registry_acquire(&((struct scene *)context)->registry, (struct q_handle){.index = 0, .generation = 1});
}
static void deinit_under_a_holder(void *context) {
    intern(context, 1, 9);
    q_registry_deinit(&((struct scene *)context)->registry);
}

static void misuse_dies(void **state) {
    (void)state;
    struct scene *s = open_scene();
    intern(s, 0, 7);
    assert_true(dies_saying(count_to_the_end, s, "STRONG_MAX"));
    drop(s, 0);
    assert_true(dies_saying(drop_again, s, "is_held"));
    assert_true(dies_saying(acquire_what_is_over, s, "is_held"));
    assert_true(dies_saying(look_at_what_is_over, s, "generation"));
    assert_true(dies_saying(drop_what_never_was, s, "slot"));
    assert_true(dies_saying(deinit_under_a_holder, s, "registry.c"));
    intern(s, 1, 8); // the next in that slot is not hit either
    assert_true(dies_saying(drop_again, s, "is_held"));
    drop(s, 1);
    close_scene(s);
}

// --- schedules ------------------------------------------------------------------------------------------------------

static void drop_0(void *context) {
    drop(context, 0);
}
static void intern_1_as_7(void *context) {
    intern(context, 1, 7);
}
static void intern_2_as_7(void *context) {
    intern(context, 2, 7);
}

static void upgrade_0(void *context) {
    struct scene *s = context;
    s->upgraded = q_registry_upgrade(&s->registry, s->handle[0]);
}

static void drop_0_and_intern_1_as_8(void *context) {
    drop(context, 0);
    intern(context, 1, 8);
}

static void intern_1_as_8(void *context) {
    intern(context, 1, 8);
}

#define RUN(rules, actors) assert_true(q_schedule_run((rules), Q_COUNT_OF(rules), (actors), Q_COUNT_OF(actors)))

// Mutation 2: an increment instead of a compare-and-swap.
static void an_upgrade_that_comes_behind_the_last_drop_gets_nothing(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"dropper:start", "weak:registry.upgrade.before_cas"},
        {"weak:registry.upgrade.before_cas", "dropper:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"weak", upgrade_0, s}, {"dropper", drop_0, s}};
    RUN(k_rules, actors);
    assert_null(s->upgraded);
    assert_int_equal(s->contents[0].released, 1);
    assert_int_equal(q_registry_get_stats(&s->registry).entries, 0);
    close_scene(s);
}

// Mutation 3: the drop decides by its first look, and stores.
static void an_upgrade_that_comes_before_the_last_drop_keeps_the_content(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"weak:start", "dropper:registry.drop.before_cas"},
        {"dropper:registry.drop.before_cas", "weak:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"dropper", drop_0, s}, {"weak", upgrade_0, s}};
    RUN(k_rules, actors);
    assert_ptr_equal(s->upgraded, &s->contents[0]);
    assert_int_equal(s->contents[0].released, 0);
    drop(s, 0);
    assert_int_equal(s->contents[0].released, 1);
    close_scene(s);
}

// Mutation 1 again, with the slot's next content in the window: {1, 1} was seen, {2, 1} is there.
static void a_late_upgrade_never_gets_the_next_content(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"others:start", "weak:registry.upgrade.before_cas"},
        {"weak:registry.upgrade.before_cas", "others:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"weak", upgrade_0, s}, {"others", drop_0_and_intern_1_as_8, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->handle[1].index, s->handle[0].index);
    assert_null(s->upgraded);
    drop(s, 1);
    assert_int_equal(s->contents[1].released, 1);
    close_scene(s);
}

// Mutation 2 in its family's first form (a map that takes a reference on what is ending): the entry is found, the last
// drop comes, the upgrade behind it.
static void intern_that_finds_what_is_ending_makes_its_own(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"dropper:start", "other:registry.upgrade.before_cas"},
        {"other:registry.upgrade.before_cas", "dropper:registry.drop.after_cas"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"other", intern_1_as_7, s}, {"dropper", drop_0, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->result[1], Q_INTERN_MADE);
    assert_ptr_equal(s->got[1], &s->contents[1]);
    assert_int_equal(s->contents[0].released, 1);
    intern(s, 2, 7); // the dropper has left the new entry alone
    assert_int_equal(s->result[2], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[2], &s->contents[1]);
    drop(s, 1);
    drop(s, 2);
    assert_int_equal(s->contents[1].released, 1);
    close_scene(s);
}

// Mutation 5: the entry is taken out by its digest alone.
static void the_last_dropper_leaves_its_successors_entry(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"other:start", "dropper:registry.drop.before_lock"},
        {"dropper:registry.drop.before_lock", "other:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"dropper", drop_0, s}, {"other", intern_1_as_7, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->result[1], Q_INTERN_MADE);
    assert_int_not_equal(s->handle[1].index, s->handle[0].index); // the old slot was not given back yet
    intern(s, 2, 7);
    assert_int_equal(s->result[2], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[2], &s->contents[1]);
    drop(s, 1);
    drop(s, 2);
    close_scene(s);
}

static void intern_before_the_last_drop_keeps_the_content(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"other:start", "dropper:registry.drop.before_cas"},
        {"dropper:registry.drop.before_cas", "other:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"dropper", drop_0, s}, {"other", intern_1_as_7, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[1], &s->contents[0]);
    assert_int_equal(s->contents[0].released, 0);
    drop(s, 1);
    assert_int_equal(s->contents[0].released, 1);
    close_scene(s);
}

// Mutation 4: a second look behind the drop decides who was the last.
static void a_dropper_that_was_not_the_last_does_nothing_more(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:registry.drop.after_cas"},
        {"first:registry.drop.after_cas", "second:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    q_registry_acquire(&s->registry, s->handle[0]);
    const struct q_schedule_actor actors[] = {{"first", drop_0, s}, {"second", drop_0, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->contents[0].released, 1);
    close_scene(s);
}

// Mutation 6: the content is read when the slot has been given back.
static void the_last_dropper_does_not_look_into_the_slot_again(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"other:start", "dropper:registry.drop.after_bury"},
        {"dropper:registry.drop.after_bury", "other:end"},
    };
    struct scene *s = open_scene();
    intern(s, 0, 7);
    const struct q_schedule_actor actors[] = {{"dropper", drop_0, s}, {"other", intern_1_as_8, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->handle[1].index, s->handle[0].index);
    assert_int_equal(s->contents[0].released, 1);
    assert_int_equal(s->contents[1].released, 0);
    drop(s, 1);
    assert_int_equal(s->contents[1].released, 1);
    close_scene(s);
}

// Mutation 9: who has got slots does not look again. Both need slots: the second to come back finds the first one's
// block, its own is freed, and the equal content is found.
static void two_that_grow_at_once_agree_on_one_content(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:registry.grow.before_lock"},
        {"first:registry.grow.before_lock", "second:end"},
    };
    struct q_failalloc *failalloc = q_failalloc_new();
    struct scene *s = open_scene_with(q_failalloc_alloc(failalloc), 1000);
    const struct q_schedule_actor actors[] = {{"first", intern_1_as_7, s}, {"second", intern_2_as_7, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->result[2], Q_INTERN_MADE);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    assert_ptr_equal(s->got[1], &s->contents[2]);
    assert_int_equal(q_registry_get_stats(&s->registry).slots, Q_REGISTRY_BLOCK_SLOTS);
    drop(s, 1);
    drop(s, 2);
    close_scene(s);
    char text[200];
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

// The map is made by two at once: one is taken whole, the other leaves nothing behind.
static void two_first_interns_make_one_map(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:registry.shape.before_cas"},
        {"first:registry.shape.before_cas", "second:end"},
    };
    struct q_failalloc *failalloc = q_failalloc_new();
    struct scene *s = open_scene_with(q_failalloc_alloc(failalloc), 1000);
    const struct q_schedule_actor actors[] = {{"first", intern_1_as_7, s}, {"second", intern_2_as_7, s}};
    RUN(k_rules, actors);
    assert_int_equal(s->result[2], Q_INTERN_MADE);
    assert_int_equal(s->result[1], Q_INTERN_FOUND);
    assert_true(is_same(s->handle[1], s->handle[2]));
    drop(s, 1);
    drop(s, 2);
    close_scene(s);
    char text[200];
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_digests_share_one_content),
        cmocka_unit_test(every_byte_of_a_digest_counts),
        cmocka_unit_test(a_weak_handle_ends_with_the_last_reference),
        cmocka_unit_test(a_stale_handle_never_names_the_next_content),
        cmocka_unit_test(handles_that_nobody_gave_out_name_nothing),
        cmocka_unit_test(acquire_counts_like_an_upgrade),
        cmocka_unit_test(the_last_drop_can_be_passed_on),
        cmocka_unit_test(a_release_may_drop_the_last_reference_of_another),
        cmocka_unit_test(a_slot_is_retired_before_its_names_repeat),
        cmocka_unit_test(slots_grow_up_to_the_bound_and_never_move),
        cmocka_unit_test(the_zero_state_is_the_registry_of_the_process),
        cmocka_unit_test(without_memory_nothing_is_taken_and_nothing_lost),
        cmocka_unit_test(misuse_dies),
        cmocka_unit_test(an_upgrade_that_comes_behind_the_last_drop_gets_nothing),
        cmocka_unit_test(an_upgrade_that_comes_before_the_last_drop_keeps_the_content),
        cmocka_unit_test(a_late_upgrade_never_gets_the_next_content),
        cmocka_unit_test(intern_that_finds_what_is_ending_makes_its_own),
        cmocka_unit_test(the_last_dropper_leaves_its_successors_entry),
        cmocka_unit_test(intern_before_the_last_drop_keeps_the_content),
        cmocka_unit_test(a_dropper_that_was_not_the_last_does_nothing_more),
        cmocka_unit_test(the_last_dropper_does_not_look_into_the_slot_again),
        cmocka_unit_test(two_that_grow_at_once_agree_on_one_content),
        cmocka_unit_test(two_first_interns_make_one_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

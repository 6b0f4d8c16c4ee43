// Slots: names that never resolve to a stranger.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/base/slots.h"
#include "tests/engine/base/dies.h"

#include <string.h>

struct object {
    uint64_t value;
};

enum { CAPACITY = 150 }; // two and a half blocks

static void init(struct q_slots *slots) {
    assert_true(q_slots_init(slots, q_alloc_libc(), sizeof(struct object), CAPACITY));
}

static void a_taken_object_is_found_by_its_handle(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    struct q_handle handle;
    struct object *object = q_slots_take(&slots, &handle);
    assert_non_null(object);
    assert_int_equal(object->value, 0);
    assert_ptr_equal(q_slots_get(&slots, handle), object);
    assert_int_equal(slots.live, 1);
    q_slots_release(&slots, handle);
    q_slots_deinit(&slots);
}

static void a_stale_handle_is_refused(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    struct q_handle old, now;
    struct object *object = q_slots_take(&slots, &old);
    object->value = 5;
    q_slots_release(&slots, old);
    assert_null(q_slots_get(&slots, old));
    struct object *tenant = q_slots_take(&slots, &now);
    assert_ptr_equal(tenant, object); // the same memory, the warmest
    assert_int_equal(tenant->value, 0);
    assert_null(q_slots_get(&slots, old));
    assert_non_null(q_slots_get(&slots, now));
    q_slots_release(&slots, now);
    q_slots_deinit(&slots);
}

static void handles_that_nobody_gave_out_name_nothing(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    struct q_handle handle;
    assert_null(q_slots_get(&slots, (struct q_handle){0}));
    assert_non_null(q_slots_take(&slots, &handle));
    assert_null(q_slots_get(&slots, (struct q_handle){0}));
    assert_null(q_slots_get(&slots, (struct q_handle){.index = handle.index, .generation = handle.generation + 1}));
    assert_null(q_slots_get(&slots, (struct q_handle){.index = 1, .generation = 1}));
    assert_null(q_slots_get(&slots, (struct q_handle){.index = UINT32_MAX, .generation = 1}));
    assert_null(q_slots_at(&slots, 1, &handle));
    assert_null(q_slots_at(&slots, UINT32_MAX, &handle));
    assert_non_null(q_slots_at(&slots, 0, &handle));
    q_slots_release(&slots, handle);
    assert_null(q_slots_at(&slots, 0, &handle));
    q_slots_deinit(&slots);
}

static void the_capacity_is_a_bound_and_objects_stay_where_they_are(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    struct q_handle handles[CAPACITY];
    struct object *objects[CAPACITY];
    for (uint32_t i = 0; i < CAPACITY; i++) {
        objects[i] = q_slots_take(&slots, &handles[i]);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 16, 0);
        objects[i]->value = i;
    }
    struct q_handle none;
    assert_null(q_slots_take(&slots, &none));
    for (uint32_t i = 0; i < CAPACITY; i++) {
        assert_ptr_equal(q_slots_get(&slots, handles[i]), objects[i]);
        assert_int_equal(objects[i]->value, i);
        q_slots_release(&slots, handles[i]);
    }
    assert_int_equal(slots.live, 0);
    q_slots_deinit(&slots);
}

static void a_slot_at_its_last_generation_is_retired(void **state) {
    (void)state;
    struct q_slots slots;
    assert_true(q_slots_init(&slots, q_alloc_libc(), sizeof(struct object), 1));
    struct q_handle handle;
    struct object *object = q_slots_take(&slots, &handle);
    memset((char *)object - 16, 0xff, sizeof(uint32_t)); // the header's first word, as slots.c lays it out
    handle.generation = UINT32_MAX;
    assert_ptr_equal(q_slots_get(&slots, handle), object);
    q_slots_release(&slots, handle);
    assert_int_equal(slots.retired, 1);
    assert_null(q_slots_get(&slots, handle));
    assert_null(q_slots_take(&slots, &handle));
    q_slots_deinit(&slots);
}

// Against a plain array of who is alive, over a random history.
static void a_long_history_keeps_every_name_apart(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    struct q_random random;
    q_random_seed(&random, 20240607);
    struct q_handle live[CAPACITY], dead[64] = {{0}};
    size_t live_len = 0, dead_next = 0;
    for (int step = 0; step < 5000; step++) {
        if (live_len < CAPACITY && q_random_below(&random, 2) == 0) {
            struct object *object = q_slots_take(&slots, &live[live_len]);
            assert_non_null(object);
            object->value = (uint64_t)live[live_len].generation << 32 | live[live_len].index;
            live_len++;
        } else if (live_len > 0) {
            size_t at = q_random_below(&random, live_len);
            struct object *object = q_slots_get(&slots, live[at]);
            assert_int_equal(object->value, (uint64_t)live[at].generation << 32 | live[at].index);
            q_slots_release(&slots, live[at]);
            dead[dead_next++ % 64] = live[at];
            live[at] = live[--live_len];
        }
        assert_int_equal(slots.live, live_len);
        assert_null(q_slots_get(&slots, dead[q_random_below(&random, 64)]));
    }
    while (live_len > 0) {
        q_slots_release(&slots, live[--live_len]);
    }
    q_slots_deinit(&slots);
}

struct miser {
    int left; // allocations that succeed
};

static void *allocate_grudgingly(void *context, size_t size) {
    struct miser *miser = context;
    return miser->left-- > 0 ? q_alloc_libc()->allocate(NULL, size) : NULL;
}

static void release_plainly(void *context, void *ptr, size_t size) {
    (void)context;
    q_alloc_libc()->release(NULL, ptr, size);
}

static void running_out_of_memory_leaves_what_there_was(void **state) {
    (void)state;
    struct miser miser = {.left = 0};
    const struct q_alloc alloc = {.allocate = allocate_grudgingly, .release = release_plainly, .context = &miser};
    struct q_slots slots;
    assert_false(q_slots_init(&slots, &alloc, sizeof(struct object), CAPACITY));
    q_slots_deinit(&slots);
    miser.left = 2; // the array of blocks, and one block
    assert_true(q_slots_init(&slots, &alloc, sizeof(struct object), CAPACITY));
    struct q_handle handles[Q_SLOTS_PER_BLOCK], none;
    for (int i = 0; i < Q_SLOTS_PER_BLOCK; i++) {
        assert_non_null(q_slots_take(&slots, &handles[i]));
    }
    assert_null(q_slots_take(&slots, &none));
    miser.left = 1;
    assert_non_null(q_slots_take(&slots, &none));
    q_slots_release(&slots, none);
    for (int i = 0; i < Q_SLOTS_PER_BLOCK; i++) {
        q_slots_release(&slots, handles[i]);
    }
    q_slots_deinit(&slots);
}

static void release_twice(void *context) {
    struct q_handle handle;
    Q_CHECK(q_slots_take(context, &handle) != NULL);
    q_slots_release(context, handle);
    q_slots_release(context, handle);
}

static void deinit_with_a_live_slot(void *context) {
    struct q_handle handle;
    Q_CHECK(q_slots_take(context, &handle) != NULL);
    q_slots_deinit(context);
}

static void misuse_dies(void **state) {
    (void)state;
    struct q_slots slots;
    init(&slots);
    assert_true(dies_saying(release_twice, &slots, "slots.c"));
    assert_true(dies_saying(deinit_with_a_live_slot, &slots, "live == 0"));
    q_slots_deinit(&slots);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_object_is_found_by_its_handle),
        cmocka_unit_test(a_stale_handle_is_refused),
        cmocka_unit_test(handles_that_nobody_gave_out_name_nothing),
        cmocka_unit_test(the_capacity_is_a_bound_and_objects_stay_where_they_are),
        cmocka_unit_test(a_slot_at_its_last_generation_is_retired),
        cmocka_unit_test(a_long_history_keeps_every_name_apart),
        cmocka_unit_test(running_out_of_memory_leaves_what_there_was),
        cmocka_unit_test(misuse_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

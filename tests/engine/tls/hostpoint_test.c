// A point's function runs once, when the last holder has let go, and where it may.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/hostpoint.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/support/failalloc.h"

static _Atomic(int) num_released;

static void count(void *context) {
    assert_ptr_equal(context, &num_released);
    atomic_fetch_add(&num_released, 1);
}

static struct quoit_tls_point *new_point(void) {
    struct quoit_tls_point *point = NULL;
    atomic_store(&num_released, 0);
    assert_int_equal(q_hostpoint_new(&point, q_alloc_libc(), &num_released, count).code, 0);
    return point;
}

static void it_ends_with_its_last_holder_whoever_that_is(void **state) {
    (void)state;
    struct quoit_tls_point *point = new_point();
    assert_true(q_hostpoint_is_hosts(point));
    struct q_tls_point value = q_hostpoint_point(point);
    q_tls_point_hold(&value);
    assert_true(q_hostpoint_acquire(point));
    assert_true(q_hostpoint_release(point));
    assert_true(q_hostpoint_release(point));
    assert_int_equal(num_released, 0);
    assert_false(q_hostpoint_is_hosts(point)); // a config has it, and that is all
    assert_false(q_hostpoint_release(point));
    assert_false(q_hostpoint_acquire(point));
    assert_int_equal(num_released, 0);
    q_tls_point_drop(&value);
    assert_int_equal(num_released, 1);
    point = new_point();
    value = q_hostpoint_point(point);
    q_tls_point_hold(&value);
    q_tls_point_drop(&value);
    assert_int_equal(num_released, 0);
    assert_true(q_hostpoint_release(point));
    assert_int_equal(num_released, 1);
    assert_false(q_hostpoint_is_hosts(NULL));
    assert_false(q_hostpoint_release(NULL));
}

static void two_points_are_never_one(void **state) {
    (void)state;
    struct quoit_tls_point *one = new_point();
    struct q_tls_point first = q_hostpoint_point(one);
    assert_int_equal(q_hostpoint_point(one).serial, first.serial);
    assert_true(q_hostpoint_release(one));
    struct quoit_tls_point *two = new_point(); // with one context, and maybe in the same memory
    struct q_tls_point second = q_hostpoint_point(two);
    assert_ptr_equal(first.context, second.context);
    assert_int_not_equal(first.serial, second.serial);
    assert_true(q_hostpoint_release(two));
}

static void there_is_none_without_memory_and_nothing_is_released(void **state) {
    (void)state;
    struct q_failalloc *memory = q_failalloc_new();
    struct quoit_tls_point *point = NULL;
    atomic_store(&num_released, 0);
    q_failalloc_fail_from(memory, 1);
    assert_int_equal(q_hostpoint_new(&point, q_failalloc_alloc(memory), &num_released, count).code, Q_ERR_NO_MEMORY);
    assert_null(point);
    assert_int_equal(num_released, 0);
    q_failalloc_free(memory);
}

// --- where ----------------------------------------------------------------------------------------------------------

static struct quoit_tls_point *the_point;

static void let_go_in_a_tick(struct q_task *task) {
    (void)task;
    assert_non_null(q_loop_current());
    assert_true(q_hostpoint_release(the_point));
    assert_int_equal(num_released, 0); // not here
}

static void on_a_loops_thread_it_waits_for_the_publish_step(void **state) {
    (void)state;
    struct scene *s = scene_open();
    struct q_task task = {.run = let_go_in_a_tick};
    assert_null(q_loop_current());
    the_point = new_point();
    q_loop_post(&s->loop, &task);
    scene_tick(s);
    assert_int_equal(num_released, 1);
    assert_null(q_loop_current());
    scene_close(s);
}

static void it_does_not_run_in_a_child_of_who_made_it(void **state) {
    (void)state;
    struct quoit_tls_point *point = new_point();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)q_hostpoint_release(point);
        _exit(num_released);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(q_hostpoint_release(point));
    assert_int_equal(num_released, 1);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *hold_and_drop(void *context) {
    struct q_tls_point *value = context;
    for (int i = 0; i < ROUNDS; i++) {
        q_tls_point_hold(value);
        q_tls_point_drop(value);
    }
    q_tls_point_drop(value); // the hold that was made for this thread
    return NULL;
}

static void of_many_threads_one_is_the_last(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    struct quoit_tls_point *point = new_point();
    struct q_tls_point value = q_hostpoint_point(point);
    for (int i = 0; i < THREADS; i++) {
        q_tls_point_hold(&value);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, &value), 0);
    }
    assert_true(q_hostpoint_release(point));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(num_released, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_with_its_last_holder_whoever_that_is),
        cmocka_unit_test(two_points_are_never_one),
        cmocka_unit_test(there_is_none_without_memory_and_nothing_is_released),
        cmocka_unit_test(on_a_loops_thread_it_waits_for_the_publish_step),
        cmocka_unit_test(it_does_not_run_in_a_child_of_who_made_it),
        cmocka_unit_test(of_many_threads_one_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

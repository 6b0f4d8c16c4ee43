// The watch on a clock that the test turns: which bound counts in which stage, what the times add up to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/exchange/watch.h"

#define MS Q_NS_PER_MS

struct scene {
    struct q_loop loop;
    struct q_log log;
    struct q_watch watch;
    struct q_bounds bounds;
    struct q_error error;
    int expirations;
};

static void expired(struct q_watch *watch, struct q_error error) {
    struct scene *s = watch->owner;
    s->error = error;
    s->expirations++;
    q_watch_end(watch);
}

static void open_scene(struct scene *s, struct q_bounds bounds) {
    static const struct q_loop_steps k_steps;
    memset(s, 0, sizeof *s);
    s->bounds = bounds;
    q_loop_init(&s->loop, NULL, q_clock_monotonic(), &s->log, 1, &k_steps, NULL);
    q_loop_bind(&s->loop);
    q_watch_begin(&s->watch, &s->loop, &s->bounds, expired, s);
}

// Lets time pass in steps of a millisecond, as ticks would.
static void pass(struct scene *s, uint64_t ms) {
    for (uint64_t i = 0; i < ms; i++) {
        s->loop.now_ns += MS;
        struct q_list due;
        q_list_init(&due);
        q_wheel_expire(&s->loop.wheel, s->loop.now_ns, &due);
        struct q_list_node *node;
        while ((node = q_list_pop_front(&due)) != NULL) {
            struct q_timer *timer = q_container_of(node, struct q_timer, link);
            timer->fired(timer);
        }
    }
}

static void each_stage_has_its_own_bound_and_error(void **state) {
    static const struct {
        enum q_stage stage;
        struct q_bounds bounds;
        int32_t code;
    } k_rows[] = {
        {Q_STAGE_QUEUED, {.queue_ns = 50 * MS}, Q_ERR_TIMEOUT_QUEUE},
        {Q_STAGE_AWAITING, {.first_byte_ns = 50 * MS}, Q_ERR_TIMEOUT_FIRST_BYTE},
        {Q_STAGE_RECEIVING, {.idle_ns = 50 * MS}, Q_ERR_TIMEOUT_IDLE},
        {Q_STAGE_RECEIVING, {.low_speed_ns = 50 * MS, .low_speed_bytes = 1}, Q_ERR_TIMEOUT_LOW_SPEED},
        {Q_STAGE_ASKING, {.answer_ns = 50 * MS}, Q_ERR_TIMEOUT_ANSWER},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct scene s;
        open_scene(&s, k_rows[i].bounds);
        q_watch_enter(&s.watch, k_rows[i].stage);
        pass(&s, 49);
        assert_int_equal(s.expirations, 0); // never early
        pass(&s, 3);
        assert_int_equal(s.expirations, 1);
        assert_int_equal(s.error.code, k_rows[i].code);
        pass(&s, 200);
        assert_int_equal(s.expirations, 1);
    }
}

static void a_bound_does_not_count_in_another_stage(void **state) {
    static const enum q_stage k_others[] = {Q_STAGE_CONNECTING, Q_STAGE_SENDING, Q_STAGE_PAUSED};
    (void)state;
    struct q_bounds all = {.queue_ns = MS, .first_byte_ns = MS, .idle_ns = MS, .low_speed_ns = MS,
                           .low_speed_bytes = 1, .answer_ns = MS};
    for (size_t i = 0; i < Q_COUNT_OF(k_others); i++) {
        struct scene s;
        open_scene(&s, all);
        q_watch_enter(&s.watch, k_others[i]);
        pass(&s, 1000);
        assert_int_equal(s.expirations, 0);
        q_watch_end(&s.watch);
    }
}

static void bytes_put_the_idle_bound_off_and_count_for_the_speed(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct q_bounds){.idle_ns = 10 * MS, .low_speed_ns = 100 * MS, .low_speed_bytes = 50});
    q_watch_enter(&s.watch, Q_STAGE_RECEIVING);
    for (int i = 0; i < 60; i++) { // 50 bytes in each 100 ms, never 10 ms of silence
        pass(&s, 8);
        q_watch_bytes(&s.watch, 5);
    }
    assert_int_equal(s.expirations, 0);
    for (int i = 0; i < 60 && s.expirations == 0; i++) { // 12 bytes in each 100 ms
        pass(&s, 8);
        q_watch_bytes(&s.watch, 1);
    }
    assert_int_equal(s.error.code, Q_ERR_TIMEOUT_LOW_SPEED);
}

static void a_pause_of_the_hosts_is_no_silence_of_the_servers(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct q_bounds){.idle_ns = 20 * MS});
    q_watch_enter(&s.watch, Q_STAGE_RECEIVING);
    pass(&s, 15);
    q_watch_enter(&s.watch, Q_STAGE_PAUSED);
    pass(&s, 500);
    q_watch_enter(&s.watch, Q_STAGE_RECEIVING);
    pass(&s, 15);
    assert_int_equal(s.expirations, 0); // counted anew
    pass(&s, 10);
    assert_int_equal(s.error.code, Q_ERR_TIMEOUT_IDLE);
}

static void without_bounds_no_timer_is_touched(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct q_bounds){0});
    for (int stage = Q_STAGE_QUEUED; stage < Q_STAGES; stage++) {
        q_watch_enter(&s.watch, (enum q_stage)stage);
        assert_int_equal(s.loop.wheel.num_armed, 0);
    }
    q_watch_end(&s.watch);
}

static void the_times_in_the_stages_add_up(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct q_bounds){0});
    q_watch_enter(&s.watch, Q_STAGE_QUEUED);
    pass(&s, 3);
    q_watch_enter(&s.watch, Q_STAGE_SENDING);
    pass(&s, 4);
    q_watch_enter(&s.watch, Q_STAGE_RECEIVING);
    pass(&s, 5);
    q_watch_enter(&s.watch, Q_STAGE_PAUSED);
    pass(&s, 6);
    q_watch_enter(&s.watch, Q_STAGE_RECEIVING);
    pass(&s, 7);
    uint32_t stage;
    uint64_t stage_ns;
    uint64_t spent_ns[Q_STAGES];
    q_watch_read(&s.watch, s.loop.now_ns, &stage, &stage_ns, spent_ns);
    assert_int_equal(stage, Q_STAGE_RECEIVING);
    assert_int_equal(stage_ns, 7 * MS);
    assert_int_equal(spent_ns[Q_STAGE_RECEIVING], 5 * MS); // those before this one
    q_watch_end(&s.watch);
    q_watch_read(&s.watch, s.loop.now_ns, &stage, &stage_ns, spent_ns);
    assert_int_equal(stage, Q_STAGE_NONE);
    assert_int_equal(spent_ns[Q_STAGE_QUEUED], 3 * MS);
    assert_int_equal(spent_ns[Q_STAGE_SENDING], 4 * MS);
    assert_int_equal(spent_ns[Q_STAGE_RECEIVING], 12 * MS);
    assert_int_equal(spent_ns[Q_STAGE_PAUSED], 6 * MS);
}

static void stages_have_names_of_their_own(void **state) {
    (void)state;
    for (unsigned i = 0; i < Q_STAGES; i++) {
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(q_stage_name(i), q_stage_name(j));
        }
    }
    assert_string_equal(q_stage_name(1000), "none");
}

static void a_cleared_watch_tells_nothing_until_it_begins(void **state) {
    (void)state;
    struct scene s;
    uint32_t stage;
    uint64_t stage_ns;
    uint64_t spent_ns[Q_STAGES];
    open_scene(&s, (struct q_bounds){0});
    q_watch_enter(&s.watch, Q_STAGE_QUEUED);
    pass(&s, 5);
    q_watch_enter(&s.watch, Q_STAGE_SENDING);
    q_watch_clear(&s.watch);
    q_watch_read(&s.watch, s.loop.now_ns + 7, &stage, &stage_ns, spent_ns);
    assert_int_equal(stage, Q_STAGE_NONE);
    assert_int_equal(stage_ns, 0);
    for (int i = 0; i < Q_STAGES; i++) {
        assert_int_equal(spent_ns[i], 0);
    }
    q_watch_begin(&s.watch, &s.loop, &s.bounds, expired, &s);
    q_watch_read(&s.watch, s.loop.now_ns + 7, &stage, &stage_ns, spent_ns);
    assert_int_equal(stage, Q_STAGE_NONE);
    assert_int_equal(stage_ns, 7);
    assert_int_equal(spent_ns[Q_STAGE_QUEUED], 0);
    q_watch_end(&s.watch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cleared_watch_tells_nothing_until_it_begins),
        cmocka_unit_test(each_stage_has_its_own_bound_and_error),
        cmocka_unit_test(a_bound_does_not_count_in_another_stage),
        cmocka_unit_test(bytes_put_the_idle_bound_off_and_count_for_the_speed),
        cmocka_unit_test(a_pause_of_the_hosts_is_no_silence_of_the_servers),
        cmocka_unit_test(without_bounds_no_timer_is_touched),
        cmocka_unit_test(the_times_in_the_stages_add_up),
        cmocka_unit_test(stages_have_names_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

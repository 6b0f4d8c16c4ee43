// The tick, on an io that is a script: order of its steps, what runs when, and when it may sleep.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "engine/loop/loop.h"

#define START (UINT64_C(1000) * Q_NS_PER_S)

// A loop whose every step leaves a letter: K park, E kernel entry, D completion, F timer, 0 to 3
// task, P publish, C commands, H what was started is handed over.
struct scene {
    struct q_loop loop;
    struct q_io io;
    struct q_clock clock;
    struct q_log log;
    uint64_t now_ns;
    char trace[64];
    size_t trace_len;
    bool commands_left;
    bool publish_left;
    bool park_refused;
    enum q_io_rest turn_left;
    bool has_news;
    unsigned looks, news_at_look, commands_at_look; // of a loop that spins
    uint64_t look_takes_ns;
    uint64_t host_takes_ns; // in publish
    bool has_started; // something waits to be handed to the kernel
    uint64_t turn_takes_ns;
    struct q_io_turn turn; // as the io got it last
    int turns;
    struct q_io_op ops[4]; // done in the next turn
    size_t num_ops;
    struct q_io_op unasked[4]; // collected with the next call
    size_t num_unasked;
    size_t asks_left; // times that an op asks again for what is there
    struct q_task tasks[4];
    size_t posts_left; // times that a task posts itself or the other
    struct q_timer timers[3];
};

static void mark(struct scene *s, char letter) {
    if (s->trace_len + 1 < sizeof s->trace) {
        s->trace[s->trace_len++] = letter;
    }
}

static uint64_t read_clock(const struct q_clock *clock) {
    return q_container_of(clock, struct scene, clock)->now_ns;
}

static bool take_commands(void *owner) {
    struct scene *s = owner;
    mark(s, 'C');
    return s->commands_left;
}

static bool publish(void *owner) {
    struct scene *s = owner;
    mark(s, 'P');
    uint64_t since_ns = s->now_ns;
    s->now_ns += s->host_takes_ns;
    q_loop_host_took(&s->loop, since_ns);
    return s->publish_left;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    struct scene *s = owner;
    mark(s, 'K');
    *out_bell_value = 77;
    return !s->park_refused;
}

// A clock that goes on while somebody looks at it, and the end of what he looks for.
static bool has_commands(void *owner) {
    struct scene *s = owner;
    s->looks++;
    s->now_ns += s->look_takes_ns;
    s->has_news |= s->looks == s->news_at_look;
    return s->looks == s->commands_at_look;
}

static const struct q_loop_steps k_steps = {
    .take_commands = take_commands, .publish = publish, .park = park, .has_commands = has_commands};

static enum q_io_rest fake_turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    struct scene *s = q_container_of(io, struct scene, io);
    mark(s, 'E');
    s->turn = *turn;
    s->turns++;
    s->now_ns += s->turn_takes_ns;
    for (size_t i = 0; i < s->num_ops; i++) {
        q_list_push_back(out_done, &s->ops[i].link);
    }
    s->num_ops = 0;
    return s->turn_left;
}

static bool fake_has_started(const struct q_io *io) {
    return q_container_of(io, struct scene, io)->has_started;
}

static bool fake_collect(struct q_io *io, struct q_list *out_done) {
    struct scene *s = q_container_of(io, struct scene, io);
    bool has_any = s->num_unasked > 0;
    for (size_t i = 0; i < s->num_unasked; i++) {
        q_list_push_back(out_done, &s->unasked[i].link);
    }
    s->num_unasked = 0;
    return has_any;
}

static bool fake_has_news(const struct q_io *io) {
    return q_container_of(io, struct scene, io)->has_news;
}

static void fake_flush(struct q_io *io) {
    mark(q_container_of(io, struct scene, io), 'H');
}

static const struct q_io_vtable k_fake_io = {.turn = fake_turn,
                                             .collect = fake_collect,
                                             .has_started = fake_has_started,
                                             .has_news = fake_has_news,
                                             .flush = fake_flush};

static struct scene *the_scene; // ops and timers have no context of their own

static void op_done(struct q_io_op *op) {
    assert_false(q_list_is_linked(&op->link));
    mark(the_scene, 'D');
}

// Asks on, and what it asks for has come already.
static void op_asks_again(struct q_io_op *op) {
    op_done(op);
    if (the_scene->asks_left > 0) {
        the_scene->asks_left--;
        the_scene->unasked[the_scene->num_unasked++].done = op_asks_again;
    }
}

static void op_posts(struct q_io_op *op) {
    op_done(op);
    q_loop_post(&the_scene->loop, &the_scene->tasks[0]);
}

static void task_runs(struct q_task *task) {
    assert_false(q_list_is_linked(&task->link));
    mark(the_scene, (char)('0' + (task - the_scene->tasks)));
}

static void task_posts_itself(struct q_task *task) {
    task_runs(task);
    if (the_scene->posts_left > 0) {
        the_scene->posts_left--;
        q_loop_post(&the_scene->loop, task);
    }
}

static void task_unposts_the_next(struct q_task *task) {
    task_runs(task);
    q_loop_unpost(task + 1);
}

static void timer_fired(struct q_timer *timer) {
    assert_false(q_timer_is_armed(timer));
    mark(the_scene, 'F');
}

static void timer_posts(struct q_timer *timer) {
    timer_fired(timer);
    q_loop_post(&the_scene->loop, &the_scene->tasks[0]);
}

static void timer_disarms_the_next(struct q_timer *timer) {
    timer_fired(timer);
    q_loop_disarm(&the_scene->loop, timer + 1);
}

static void open_scene(struct scene *s) {
    memset(s, 0, sizeof *s);
    the_scene = s;
    s->io.v = &k_fake_io;
    s->clock.now_ns = read_clock;
    s->now_ns = START;
    q_loop_init(&s->loop, &s->io, &s->clock, &s->log, 1, &k_steps, s);
    q_loop_bind(&s->loop);
    for (size_t i = 0; i < Q_COUNT_OF(s->tasks); i++) {
        s->tasks[i].run = task_runs;
        s->ops[i].done = op_done;
    }
    for (size_t i = 0; i < Q_COUNT_OF(s->timers); i++) {
        s->timers[i].fired = timer_fired;
    }
}

// One tick; gives the letters that it left.
static const char *tick(struct scene *s, bool may_sleep) {
    memset(s->trace, 0, sizeof s->trace);
    s->trace_len = 0;
    q_loop_tick(&s->loop, may_sleep);
    return s->trace;
}

// --- the order of the steps ------------------------------------------------------------------------------------------

static void a_tick_does_its_steps_in_order(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    q_loop_post(&s.loop, &s.tasks[1]);
    q_loop_arm(&s.loop, &s.timers[0], START + Q_NS_PER_MS);
    s.turn_takes_ns = 5 * Q_NS_PER_MS;
    s.num_ops = 2;
    assert_string_equal(tick(&s, true), "KEDDF1PC");
    assert_int_equal(s.turns, 1); // one kernel entry per tick
    assert_int_equal(s.loop.ticks, 1);
}

static void what_an_op_asks_for_and_is_there_comes_in_the_same_tick(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.num_ops = 2;
    s.ops[0].done = op_asks_again;
    s.asks_left = 3;
    assert_string_equal(tick(&s, true), "KEDDDDDPC");
    assert_int_equal(s.turns, 1);
}

static void what_was_asked_for_outside_of_completions_comes_first_and_keeps_the_loop_awake(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.unasked[s.num_unasked++].done = op_done; // a task, a timer or a command has asked
    s.num_ops = 1;
    assert_string_equal(tick(&s, true), "EDDPC"); // not parked
    assert_false(s.turn.is_idle || s.turn.may_sleep);
    assert_string_equal(tick(&s, true), "KEPC");
    assert_true(s.turn.may_sleep);
}

static void a_host_that_takes_long_is_followed_by_another_look_at_the_kernel(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.has_news = true;
    s.host_takes_ns = 50 * Q_NS_PER_US;
    assert_string_equal(tick(&s, true), "KEPC"); // it did not take long
    s.host_takes_ns = 2 * Q_NS_PER_MS;
    s.num_ops = 0;
    assert_string_equal(tick(&s, true), "KEPEC");
    assert_false(s.turn.may_sleep || s.turn.is_idle);
    assert_true(s.loop.has_more); // what came is still to be published
    s.has_news = false;
    assert_string_equal(tick(&s, true), "EPC");
    s.has_started = true; // a receive: what it would bring is no news to the kernel before it has got it
    assert_string_equal(tick(&s, true), "KEPEC");
}

static void a_loop_may_look_for_work_before_it_sleeps(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.loop.spin_ns = 20 * Q_NS_PER_US;
    s.look_takes_ns = Q_NS_PER_US;
    assert_string_equal(tick(&s, true), "HKEPC"); // what was begun is handed over first, and in the end it sleeps
    assert_true(s.turn.may_sleep);
    assert_int_equal(s.looks, 20);
    assert_true(s.turn.now_ns == START + s.loop.spin_ns); // a wait that is bounded is bounded from there
    s.looks = 0;
    s.news_at_look = 3;
    tick(&s, true);
    assert_int_equal(s.looks, 3);
    s.has_news = false;
    s.looks = s.news_at_look = 0;
    s.commands_at_look = 5;
    tick(&s, true);
    assert_int_equal(s.looks, 5);
    s.looks = s.commands_at_look = 0;
    s.loop.spin_ns = 100 * Q_NS_PER_MS;
    s.look_takes_ns = Q_NS_PER_MS;
    q_loop_arm(&s.loop, &s.timers[0], s.now_ns + 8 * Q_NS_PER_MS);
    tick(&s, true);
    assert_in_range(s.looks, 1, 10); // a timer ends it, too
    s.looks = 0;
    tick(&s, false);
    assert_int_equal(s.looks, 0); // who does not sleep does not look
    s.commands_left = true;
    tick(&s, true);
    s.looks = 0;
    tick(&s, true);
    assert_int_equal(s.looks, 0); // nor who has work
}

static void a_spin_ends_although_the_clock_stands(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.loop.spin_ns = Q_NS_PER_MS;
    assert_string_equal(tick(&s, true), "HKEPC");
    assert_true(s.looks > 1000);
}

static void who_is_driven_by_a_host_hands_over_at_the_end(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    assert_string_equal(tick(&s, false), "KEPCH");
    assert_string_equal(tick(&s, true), "KEPC"); // the next tick follows at once, and does it
}

static void time_is_read_again_behind_the_wait(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.turn_takes_ns = Q_NS_PER_S;
    tick(&s, true);
    assert_true(s.turn.now_ns == START);
    assert_true(s.loop.now_ns == START + Q_NS_PER_S);
}

static void completions_run_in_the_order_in_which_they_came(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.num_ops = 4;
    s.ops[1].done = op_posts; // what a completion posts runs behind them all, not among the completions
    assert_string_equal(tick(&s, true), "KEDDDD0PC");
    assert_string_equal(tick(&s, true), "KEPC");
}

// --- tasks -----------------------------------------------------------------------------------------------------------

static void tasks_run_once_in_the_order_of_posting(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    q_loop_post(&s.loop, &s.tasks[2]);
    q_loop_post(&s.loop, &s.tasks[0]);
    q_loop_post(&s.loop, &s.tasks[2]); // posted already: it stays where it is
    assert_string_equal(tick(&s, true), "KE20PC");
    assert_string_equal(tick(&s, true), "KEPC");
}

static void a_task_posted_by_a_task_waits_for_the_next_tick(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.tasks[0].run = task_posts_itself;
    s.posts_left = 2;
    q_loop_post(&s.loop, &s.tasks[0]);
    q_loop_post(&s.loop, &s.tasks[1]);
    // However often it posts itself, a tick is bounded; and while it is posted the next tick does not sleep.
    assert_string_equal(tick(&s, true), "KE01PC");
    assert_true(s.turn.may_sleep);
    assert_string_equal(tick(&s, true), "E0PC");
    assert_false(s.turn.may_sleep);
    assert_string_equal(tick(&s, true), "E0PC");
    assert_string_equal(tick(&s, true), "KEPC");
    assert_true(s.turn.may_sleep);
}

static void a_task_may_take_back_another_that_is_about_to_run(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.tasks[0].run = task_unposts_the_next;
    for (size_t i = 0; i < 3; i++) {
        q_loop_post(&s.loop, &s.tasks[i]);
    }
    assert_string_equal(tick(&s, true), "KE02PC");
    q_loop_unpost(&s.tasks[3]); // never posted: left alone
}

static void farewells_are_said_at_the_publish_step_alone(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    q_loop_post_farewell(&s.loop, &s.tasks[1]);
    q_loop_post_farewell(&s.loop, &s.tasks[0]);
    q_loop_post(&s.loop, &s.tasks[2]);
    assert_string_equal(tick(&s, true), "KE2P10C"); // whatever was posted before
    assert_string_equal(tick(&s, true), "KEPC");
    q_loop_post_farewell(&s.loop, &s.tasks[0]);
    q_loop_say_farewells(&s.loop); // who ends the loop does not wait for a tick
    assert_false(q_list_is_linked(&s.tasks[0].link));
    assert_string_equal(tick(&s, true), "KEPC");
}

// --- timers ----------------------------------------------------------------------------------------------------------

static void due_timers_run_behind_the_wait_and_bound_it(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    tick(&s, true);
    assert_true(s.turn.deadline_ns == Q_WHEEL_NEVER);
    q_loop_arm(&s.loop, &s.timers[0], START + 20 * Q_NS_PER_MS);
    assert_string_equal(tick(&s, true), "KEPC");
    assert_true(s.turn.deadline_ns > START && s.turn.deadline_ns <= START + 20 * Q_NS_PER_MS);
    s.now_ns = START + 20 * Q_NS_PER_MS;
    assert_string_equal(tick(&s, true), "EFPC"); // due already: it does not even try to sleep
    assert_false(s.turn.may_sleep);
}

static void a_timer_may_disarm_another_that_is_due(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.timers[0].fired = timer_disarms_the_next;
    for (size_t i = 0; i < 3; i++) {
        q_loop_arm(&s.loop, &s.timers[i], START + Q_NS_PER_MS);
    }
    s.turn_takes_ns = Q_NS_PER_S;
    assert_string_equal(tick(&s, true), "KEFFPC");
}

static void what_a_timer_posts_runs_behind_the_timers(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.timers[0].fired = timer_posts;
    q_loop_arm(&s.loop, &s.timers[0], START + Q_NS_PER_MS);
    s.turn_takes_ns = 2 * Q_NS_PER_MS;
    assert_string_equal(tick(&s, true), "KEF0PC");
    assert_false(s.loop.is_idle); // a host that drives the loop itself must come again: a timer fired behind the look
}

// --- sleeping --------------------------------------------------------------------------------------------------------

static void a_tick_sleeps_only_when_parked_and_allowed(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    tick(&s, true);
    assert_true(s.turn.is_idle && s.turn.may_sleep && s.loop.is_idle);
    assert_int_equal(s.turn.bell_value, 77); // as park read it
    tick(&s, false);
    assert_true(s.turn.is_idle && !s.turn.may_sleep); // the bell is armed for a host that drives the loop itself
    s.park_refused = true;
    tick(&s, true);
    assert_true(!s.turn.is_idle && !s.turn.may_sleep && !s.loop.is_idle);
}

static void work_that_is_left_keeps_the_tick_awake(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.commands_left = true;
    assert_string_equal(tick(&s, true), "KEPC"); // found at the end of the tick
    assert_false(s.loop.is_idle);
    s.commands_left = false;
    s.publish_left = true;
    assert_string_equal(tick(&s, true), "EPC");
    s.publish_left = false;
    s.turn_left = Q_IO_REST_MORE; // completions that did not fit into this turn
    assert_string_equal(tick(&s, true), "EPC");
    s.turn_left = Q_IO_REST_NONE;
    assert_string_equal(tick(&s, true), "EPC");
    assert_string_equal(tick(&s, true), "KEPC");
    assert_true(s.loop.is_idle);
}

static void commands_wait_for_completions_that_came_before(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.turn_left = Q_IO_REST_BEHIND;
    assert_string_equal(tick(&s, true), "KEP");
    assert_string_equal(tick(&s, true), "EP"); // and the loop does not sleep on it
    s.turn_left = Q_IO_REST_MORE;
    assert_string_equal(tick(&s, true), "EPC");
}

static void what_was_started_is_handed_over_and_waited_for_in_one_entry(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.has_started = true;
    tick(&s, true);
    assert_false(s.loop.is_idle); // a host that drives the loop itself must come again, to hand it over
    tick(&s, true);
    assert_true(s.turn.is_idle && s.turn.may_sleep);
}

static void a_tick_that_got_completions_is_not_idle(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.num_ops = 1;
    tick(&s, true);
    assert_false(s.loop.is_idle);
    tick(&s, true);
    assert_true(s.loop.is_idle);
}

// A timer that comes due between the look at the wheel and the end of the turn has left something to do: a host that
// drives the loop would else wait for the next cause, with a task in line.
static void a_tick_whose_timer_fired_is_not_idle(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.timers[0].fired = timer_posts;
    q_loop_arm(&s.loop, &s.timers[0], START + Q_NS_PER_MS);
    s.turn_takes_ns = 2 * Q_NS_PER_MS;
    assert_string_equal(tick(&s, true), "KEF0PC");
    assert_true(s.turn.is_idle);
    assert_false(s.loop.is_idle);
    s.turn_takes_ns = 0;
    tick(&s, false);
    assert_true(s.loop.is_idle);
}

static void a_loop_that_is_going_does_not_sleep(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s);
    s.loop.is_open = false;
    assert_string_equal(tick(&s, true), "EPC");
    assert_false(s.turn.is_idle || s.turn.may_sleep);
}

// --- the thread ------------------------------------------------------------------------------------------------------

static void *ask_where(void *context) {
    struct scene *s = context;
    bool was_here = q_loop_is_here(&s->loop);
    q_loop_bind(&s->loop);
    return was_here || !q_loop_is_here(&s->loop) ? s : NULL;
}

static void the_loop_knows_its_thread(void **state) {
    (void)state;
    struct scene s;
    pthread_t thread;
    void *failed;
    open_scene(&s);
    assert_true(q_loop_is_here(&s.loop));
    assert_int_equal(pthread_create(&thread, NULL, ask_where, &s), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    q_loop_bind(&s.loop);
    assert_true(q_loop_is_here(&s.loop));
}

static void equal_seeds_give_equal_numbers(void **state) {
    (void)state;
    struct scene a, b;
    open_scene(&a);
    open_scene(&b);
    assert_true(q_random_next(&a.loop.random) == q_random_next(&b.loop.random));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tick_does_its_steps_in_order),
        cmocka_unit_test(what_an_op_asks_for_and_is_there_comes_in_the_same_tick),
        cmocka_unit_test(what_was_asked_for_outside_of_completions_comes_first_and_keeps_the_loop_awake),
        cmocka_unit_test(a_host_that_takes_long_is_followed_by_another_look_at_the_kernel),
        cmocka_unit_test(a_loop_may_look_for_work_before_it_sleeps),
        cmocka_unit_test(a_spin_ends_although_the_clock_stands),
        cmocka_unit_test(who_is_driven_by_a_host_hands_over_at_the_end),
        cmocka_unit_test(time_is_read_again_behind_the_wait),
        cmocka_unit_test(completions_run_in_the_order_in_which_they_came),
        cmocka_unit_test(tasks_run_once_in_the_order_of_posting),
        cmocka_unit_test(a_task_posted_by_a_task_waits_for_the_next_tick),
        cmocka_unit_test(a_task_may_take_back_another_that_is_about_to_run),
        cmocka_unit_test(farewells_are_said_at_the_publish_step_alone),
        cmocka_unit_test(due_timers_run_behind_the_wait_and_bound_it),
        cmocka_unit_test(a_timer_may_disarm_another_that_is_due),
        cmocka_unit_test(what_a_timer_posts_runs_behind_the_timers),
        cmocka_unit_test(a_tick_sleeps_only_when_parked_and_allowed),
        cmocka_unit_test(work_that_is_left_keeps_the_tick_awake),
        cmocka_unit_test(commands_wait_for_completions_that_came_before),
        cmocka_unit_test(what_was_started_is_handed_over_and_waited_for_in_one_entry),
        cmocka_unit_test(a_tick_that_got_completions_is_not_idle),
        cmocka_unit_test(a_tick_whose_timer_fired_is_not_idle),
        cmocka_unit_test(a_loop_that_is_going_does_not_sleep),
        cmocka_unit_test(the_loop_knows_its_thread),
        cmocka_unit_test(equal_seeds_give_equal_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

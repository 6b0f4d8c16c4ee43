#include "engine/loop/loop.h"

// Its address is another one in each thread: the cheapest identity of a thread that there is.
static _Thread_local char this_thread;

void q_loop_init(struct q_loop *loop, struct q_io *io, const struct q_clock *clock, const struct q_log *log,
                 uint64_t seed, const struct q_loop_steps *steps, void *owner) {
    *loop = (struct q_loop){
        .io = io, .clock = clock, .log = log, .steps = steps, .owner = owner, .is_open = true};
    loop->now_ns = q_clock_now(clock);
    q_random_seed(&loop->random, seed);
    q_wheel_init(&loop->wheel, loop->now_ns);
    q_list_init(&loop->tasks);
    q_list_init(&loop->farewells);
}

void q_loop_bind(struct q_loop *loop) { loop->thread = &this_thread; }

bool q_loop_is_here(const struct q_loop *loop) { return loop->thread == &this_thread; }

void q_loop_post(struct q_loop *loop, struct q_task *task) {
    Q_ASSERT(q_loop_is_here(loop) && task->run != NULL);
    if (!q_list_is_linked(&task->link)) {
        q_list_push_back(&loop->tasks, &task->link);
    }
}

void q_loop_unpost(struct q_task *task) {
    if (q_list_is_linked(&task->link)) {
        q_list_remove(&task->link);
    }
}

void q_loop_post_farewell(struct q_loop *loop, struct q_task *task) {
    Q_ASSERT(q_loop_is_here(loop) && task->run != NULL);
    q_list_push_back(&loop->farewells, &task->link);
}

// Runs what was posted before now; what these post waits for the next tick, so the step is bounded. A task may unpost
// or free others: nothing is remembered across a call but the list itself.
static void run_tasks(struct q_list *tasks) {
    struct q_list due;
    q_list_init(&due);
    q_list_take(&due, tasks);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
}

void q_loop_say_farewells(struct q_loop *loop) { run_tasks(&loop->farewells); }

static void run_completed(struct q_list *completed) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(completed)) != NULL) {
        struct q_io_op *op = q_container_of(node, struct q_io_op, link);
        op->done(op);
    }
}

// Gives whether there were any.
static bool run_timers(struct q_loop *loop) {
    struct q_list due;
    q_list_init(&due);
    q_wheel_expire(&loop->wheel, loop->now_ns, &due);
    bool any = !q_list_is_empty(&due);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_timer *timer = q_container_of(node, struct q_timer, link);
        timer->fired(timer);
    }
    return any;
}

void q_loop_tick(struct q_loop *loop, bool may_sleep) {
    Q_ASSERT(q_loop_is_here(loop));
    loop->ticks++;
    loop->now_ns = q_clock_now(loop->clock);

    // Commands first, so that what they start goes out in this tick's one kernel entry.
    bool has_more = loop->steps->take_commands(loop->owner);
    run_tasks(&loop->tasks);

    // Publishing before the entry lets the wake-ups of hosts ride on it too.
    has_more |= loop->steps->publish(loop->owner);
    q_loop_say_farewells(loop);
    has_more |= !q_list_is_empty(&loop->tasks) || loop->has_more;

    struct q_io_turn turn = {.now_ns = loop->now_ns, .deadline_ns = q_wheel_next(&loop->wheel)};
    turn.is_idle = loop->is_open && !has_more && turn.deadline_ns > loop->now_ns &&
                   loop->steps->park(loop->owner, &turn.bell_value);
    turn.may_sleep = may_sleep && turn.is_idle;
    struct q_list completed;
    q_list_init(&completed);
    loop->has_more = q_io_turn(loop->io, &turn, &completed);

    loop->now_ns = q_clock_now(loop->clock);
    loop->is_idle = turn.is_idle && q_list_is_empty(&completed);
    run_completed(&completed);
    if (run_timers(loop)) {
        loop->is_idle = false; // what they started waits for the next tick
    }
}

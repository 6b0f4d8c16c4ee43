#include "engine/loop/loop.h"

#include "engine/base/epoch.h"

#define SPIN_STEP_NS 10 // less than any step of a spin takes

// Identity of a thread: a number drawn once, never its address or id, which the next thread may get.
static _Atomic(uint64_t) the_last_thread;
static _Thread_local uint64_t this_thread; // 0: not drawn yet

static uint64_t thread_serial(void) {
    if (this_thread == 0) {
        this_thread = atomic_fetch_add_explicit(&the_last_thread, 1, memory_order_relaxed) + 1;
    }
    return this_thread;
}

// The tick that this thread is in. A child that leaves its parent's by a jump takes the note along, and nothing else of it.
static _Thread_local struct q_loop *the_current;
static _Thread_local uint32_t the_current_epoch;

struct q_loop *q_loop_current(void) {
    return the_current != NULL && the_current_epoch == q_epoch_now() ? the_current : NULL;
}

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

void q_loop_bind(struct q_loop *loop) {
    atomic_store_explicit(&loop->thread, thread_serial(), memory_order_release);
}

bool q_loop_is_here(const struct q_loop *loop) {
    return atomic_load_explicit(&loop->thread, memory_order_acquire) == thread_serial();
}

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

// A request that is begun goes out with the next kernel entry. What comes on its connection between the last look at
// the kernel and that entry would be taken for its answer, as nobody can tell the two apart. The loop's own steps take
// what they take, much less than this in all; the host's code may take any time. When it took longer, there is another
// look.
#define STALE_NS Q_NS_PER_MS

void q_loop_host_took(struct q_loop *loop, uint64_t since_ns) {
    loop->is_stale |= q_clock_now(loop->clock) - since_ns > STALE_NS;
}

void q_loop_say_farewells(struct q_loop *loop) {
    if (!q_list_is_empty(&loop->farewells)) {
        uint64_t since_ns = q_clock_now(loop->clock);
        run_tasks(&loop->farewells);
        if (loop->steps->on_farewells != NULL) {
            loop->steps->on_farewells(loop->owner);
        }
        q_loop_host_took(loop, since_ns);
    }
}

// What came for an owner in several pieces is handed over in the tick that brought it: as much as it asks for.
static void run_completed(struct q_loop *loop, struct q_list *completed) {
    struct q_list_node *node;
    do {
        while ((node = q_list_pop_front(completed)) != NULL) {
            struct q_io_op *op = q_container_of(node, struct q_io_op, link);
            op->done(op);
        }
    } while (q_io_collect(loop->io, completed));
}

// True: some were due.
static bool run_timers(struct q_loop *loop) {
    struct q_list due;
    q_list_init(&due);
    q_wheel_expire(&loop->wheel, loop->now_ns, &due);
    bool were_due = !q_list_is_empty(&due);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&due)) != NULL) {
        struct q_timer *timer = q_container_of(node, struct q_timer, link);
        timer->fired(timer);
    }
    return were_due;
}

// Looks for work without sleeping, for hosts that pay a core for latency: a wake-up costs more than most answers take on
// a short way. Bounded by count, too, should the clock stand.
static void spin(struct q_loop *loop, uint64_t deadline_ns) {
    uint64_t end_ns = loop->now_ns + loop->spin_ns;
    end_ns = deadline_ns < end_ns ? deadline_ns : end_ns;
    q_io_flush(loop->io); // or nobody would answer
    for (uint64_t left = loop->spin_ns / SPIN_STEP_NS; left > 0; left--) {
        if (q_io_has_news(loop->io) || loop->steps->has_commands(loop->owner) || q_clock_now(loop->clock) >= end_ns) {
            return;
        }
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
}

// Hands the kernel what the last tick started, sleeps if there is nothing to do, and brings back what is done. True:
// nothing was to be done, and nothing came.
static bool turn(struct q_loop *loop, bool may_sleep, struct q_list *out_done) {
    struct q_io_turn turn = {.now_ns = loop->now_ns, .deadline_ns = q_wheel_next(&loop->wheel)};
    bool has_nothing = loop->is_open && !loop->has_more && q_list_is_empty(out_done) && turn.deadline_ns > loop->now_ns;
    if (has_nothing && may_sleep && loop->spin_ns > 0) {
        spin(loop, turn.deadline_ns);
        turn.now_ns = q_clock_now(loop->clock); // the wait is reckoned from here
    }
    turn.is_idle = has_nothing && turn.deadline_ns > turn.now_ns && loop->steps->park(loop->owner, &turn.bell_value);
    turn.may_sleep = may_sleep && turn.is_idle;
    enum q_io_rest rest = q_io_turn(loop->io, &turn, out_done);
    loop->has_more = rest != Q_IO_REST_NONE;
    loop->is_doubtful = q_io_get_stats(loop->io)->is_doubtful;
    loop->is_behind = rest == Q_IO_REST_BEHIND;
    return turn.is_idle && !loop->has_more && q_list_is_empty(out_done);
}

// True: something may have come. The kernel has no news of a receive that it has not got yet, as that of a connection which
// came free in this tick.
static bool look_again(struct q_loop *loop) {
    if (!q_io_has_news(loop->io) && !q_io_has_started(loop->io)) {
        return false;
    }
    struct q_list done;
    q_list_init(&done);
    loop->now_ns = q_clock_now(loop->clock);
    struct q_io_turn turn = {.now_ns = loop->now_ns, .deadline_ns = Q_WHEEL_NEVER};
    loop->is_behind = q_io_turn(loop->io, &turn, &done) == Q_IO_REST_BEHIND;
    run_completed(loop, &done);
    return true;
}

void q_loop_tick(struct q_loop *loop, bool may_sleep) {
    Q_ASSERT(q_loop_is_here(loop));
    the_current = loop;
    the_current_epoch = q_epoch_now();
    loop->ticks++;
    loop->is_stale = false;
    loop->now_ns = q_clock_now(loop->clock);

    // The kernel first: what it knows already (a connection that was closed, bytes that nobody asked for) must be known
    // here before a command takes that connection. In a flood commands wait for it, a few ticks at most.
    struct q_list done;
    q_list_init(&done);
    q_io_collect(loop->io, &done);
    bool is_idle = turn(loop, may_sleep, &done);
    loop->now_ns = q_clock_now(loop->clock);
    run_completed(loop, &done);
    is_idle &= !run_timers(loop);

    run_tasks(&loop->tasks);

    // Publishing before commands: what inline callbacks submit is taken in now, so that it goes out, with the wake-ups of
    // sleeping hosts, in the next tick's one kernel entry.
    bool has_more = loop->steps->publish(loop->owner);
    q_loop_say_farewells(loop);
    has_more |= loop->is_stale && look_again(loop);
    has_more |= loop->is_behind || loop->steps->take_commands(loop->owner);
    has_more |= !q_list_is_empty(&loop->tasks) || !q_list_is_empty(&loop->farewells);
    // What was started and not handed over yet does not keep the next tick from sleeping: it submits and waits in one.
    loop->is_idle = is_idle && !has_more && !q_io_has_started(loop->io);
    loop->has_more |= has_more;
    if (!may_sleep) {
        q_io_flush(loop->io); // driven by a host, who takes its time
    }
    the_current = NULL;
}

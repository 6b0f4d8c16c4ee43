// Shutdown, by schedule: each counterexample of tests/model/shutdown.pml, forced upon the C code. The engine is host-driven
// wherever the loop itself must be held, and the actor "loop" drives it; so a parked loop is one that has returned 0 from
// its tick, and nothing here depends on time.
#include "tests/life/life.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "engine/base/hook.h"
#include "tests/support/schedule.h"

enum {
    LONG_MS = 3600000,  // a drain that does not end by itself
    A_LOOK_MS = 50,     // how long something is watched that must not happen; never how long something is waited for
    NUM_BAIT = 8,
    SMALL_PORT = 16,
    TICKS_AT_ONCE = 16, // more than anything here takes to come to rest
    LOOKS_MAX = 5,      // ticks from a close to where the loop sleeps, and some
    REQUESTS_MAX = 64,
};

static struct stage {
    struct bench_server *server;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_port second_port;
    struct quoit_request *silent; // is never answered
    struct quoit_handle handle;
    int32_t code;        // what the host's call gave
    int32_t other_code;
    unsigned num_submitted;
    unsigned num_ends;
    unsigned num_closed;
    int32_t last_failure;
    int line; // first expectation that did not hold, in an actor
} stage;

// In an actor cmocka cannot fail a test: the line is kept, and asserted at the end.
#define HOLDS(is) ((is) ? true : (fprintf(stderr, "%d: %s does not hold\n", __LINE__, #is), stage.line = __LINE__, false))

static void stage_begin(uint32_t engine_mode, uint32_t port_mode, quoit_event_fn on_event) {
    struct quoit_engine_options engine = {.struct_size = sizeof engine, .mode = engine_mode, .tls = host_route.tls};
    struct quoit_port_options port = {
        .struct_size = sizeof port, .mode = port_mode, .capacity = SMALL_PORT, .on_event = on_event};
    char url[HOST_URL_MAX];
    stage = (struct stage){.server = bench_server_start(NULL)};
    assert_non_null(stage.server);
    assert_int_equal(quoit_engine_create(&engine, &stage.engine, NULL), QUOIT_OK);
    assert_int_equal(quoit_port_create(stage.engine, &port, &stage.port), QUOIT_OK);
    stage.silent = host_request("GET", bench_server_url(stage.server, "/size/1?silent=1", url, sizeof url));
    assert_int_equal(quoit_request_freeze(stage.silent), QUOIT_OK);
}

static void stage_end(void) {
    assert_int_equal(stage.line, 0);
    assert_int_equal(stage.num_closed, 1);
    assert_int_equal(stage.num_ends, stage.num_submitted);
    assert_int_equal(quoit_engine_destroy(stage.engine), QUOIT_OK);
    quoit_request_release(stage.silent);
    bench_server_stop(stage.server);
}

static bool submit_silent(void) {
    int32_t code = quoit_submit(stage.engine, stage.port, stage.silent, 1, &stage.handle);
    stage.num_submitted += code == QUOIT_OK;
    return code == QUOIT_OK;
}

static void note(const struct quoit_event *event) {
    bool is_end = event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED;
    HOLDS(stage.num_closed == 0); // nothing comes behind CLOSED
    stage.num_ends += is_end;
    stage.last_failure = is_end ? event->u.summary.failure.code : stage.last_failure;
    stage.num_closed += event->type == QUOIT_EVENT_CLOSED;
}

static void drain(void) {
    struct quoit_event events[16];
    int32_t num;
    while ((num = quoit_port_drain(stage.port, events, sizeof events[0], 16)) > 0) {
        for (int32_t i = 0; i < num; i++) {
            note(&events[i]);
        }
        HOLDS(quoit_port_advance(stage.port) == QUOIT_OK);
    }
}

// Ticks until the loop has parked (or is over), and takes note of all that came. A loop that waits for somebody who has
// pinned a slot does not park: it stays awake for that moment.
static void tick_until_parked(void) {
    int32_t more = 1;
    for (int i = 0; i < TICKS_AT_ONCE && more > 0; i++) {
        more = quoit_engine_tick(stage.engine);
        drain();
    }
    HOLDS(more >= 0);
}

// Ticks as a host does: when the engine asks for it. What does not come within the bound never comes.
static void drive_until_closed(void) {
    while (stage.num_closed == 0 && stage.line == 0) {
        tick_until_parked();
        struct pollfd wait = {.fd = quoit_engine_fd(stage.engine), .events = POLLIN};
        int64_t timeout_ms = quoit_engine_timeout_ms(stage.engine);
        if (stage.num_closed == 0 && timeout_ms != 0) {
            HOLDS(poll(&wait, 1, HOST_WAIT_MS / 2) == 1);
        }
    }
}

static void drives(void *context) {
    (void)context;
    drive_until_closed();
}

// Lets everything happen that can happen without the actors that are held. The peer answers, the kernel completes: so
// the engine is asked until it has been still for a while. It must not come to its end.
static void let_all_happen_that_can(void) {
    struct pollfd wait = {.fd = quoit_engine_fd(stage.engine), .events = POLLIN};
    do {
        tick_until_parked();
    } while (stage.num_closed == 0 && poll(&wait, 1, A_LOOK_MS) == 1);
    HOLDS(stage.num_closed == 0);
    HOLDS(quoit_engine_destroy(stage.engine) == QUOIT_ERR_NOT_CLOSED);
}

static void wait_for_the_server(unsigned num_requests) {
    struct bench_server_counters counters = {0};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && counters.requests < num_requests; left_ms--) {
        struct pollfd wait = {.fd = quoit_engine_fd(stage.engine), .events = POLLIN};
        tick_until_parked();
        poll(&wait, 1, 1);
        bench_server_counters(stage.server, &counters);
    }
    HOLDS(counters.requests == num_requests);
}

#define RUN(rules, ...)                                                                                                \
    do {                                                                                                               \
        static const struct q_schedule_actor k_actors[] = {__VA_ARGS__};                                               \
        assert_true(q_schedule_run(rules, Q_COUNT_OF(rules), k_actors, Q_COUNT_OF(k_actors)));                         \
    } while (0)

// --- submit against close ----------------------------------------------------------------------------------------------

static void submits_one(void *context) {
    (void)context;
    stage.code = submit_silent() ? QUOIT_OK : QUOIT_ERR_CLOSED;
}

static void closes_at_once_and_looks(void *context) {
    (void)context;
    HOLDS(quoit_engine_close(stage.engine, 0) == QUOIT_OK);
    let_all_happen_that_can();
    q_schedule_point("looked");
    drive_until_closed();
}

// Mutation 1: counted, and not in the queue yet. The list of live requests is empty, the engine is not done.
static void a_submit_that_was_counted_holds_the_end_up(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:core.submit.before_push"},
        {"host:core.submit.before_push", "loop:looked"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"host", submits_one, NULL}, {"loop", closes_at_once_and_looks, NULL});
    assert_int_equal(stage.code, QUOIT_OK);
    assert_int_equal(stage.last_failure, QUOIT_ERR_CLOSED);
    assert_int_equal(stage.num_submitted, 1);
    stage_end();
}

// The other order: drained while the submitter looks at the word. It is refused, and nothing follows.
static void a_submit_that_comes_behind_the_drain_is_refused(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:pending.enter_requests.before_cas"},
        {"host:pending.enter_requests.before_cas", "loop:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    assert_int_equal(quoit_engine_close(stage.engine, 0), QUOIT_OK);
    RUN(k_rules, {"host", submits_one, NULL}, {"loop", drives, NULL});
    assert_int_equal(stage.code, QUOIT_ERR_CLOSED);
    assert_int_equal(stage.num_submitted, 0);
    stage_end();
}

// Mutation 5: the submit comes out of the queue when the live requests have been swept already.
static void a_submit_that_comes_out_behind_the_sweep_is_ended_too(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:mpsc.push.before_cas"},
        {"host:mpsc.push.before_cas", "loop:looked"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    assert_true(submit_silent()); // one that is there to be swept
    RUN(k_rules, {"host", submits_one, NULL}, {"loop", closes_at_once_and_looks, NULL});
    assert_int_equal(stage.num_submitted, 2);
    stage_end();
}

static void submits_into_a_full_port(void *context) {
    (void)context;
    stage.code = quoit_submit(stage.engine, stage.port, stage.silent, 1, NULL);
}

static void fills_the_port_closes_and_looks(void *context) {
    (void)context;
    while (stage.num_submitted < REQUESTS_MAX && submit_silent()) {
    }
    tick_until_parked();
    q_schedule_point("full");
    closes_at_once_and_looks(NULL);
}

// Mutation 6: the last that was counted is a submit that was refused, and nobody but it can tell the sleeping loop.
static void a_refused_submit_that_was_the_last_wakes_the_loop(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:full"},
        {"loop:full", "host:face.submit.before_uncount"},
        {"host:face.submit.before_uncount", "loop:looked"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"host", submits_into_a_full_port, NULL}, {"loop", fills_the_port_closes_and_looks, NULL});
    assert_int_equal(stage.code, QUOIT_ERR_PORT_FULL);
    assert_in_range(stage.num_submitted, 1, REQUESTS_MAX - 1);
    stage_end();
}

// What holds the refused submit, and lets it end at the one moment that matters: between the loop's look at the count, in
// its publish step, and its look at the queue.
static struct {
    sem_t is_held;
    sem_t may_go_on;
    sem_t is_over;
    _Atomic(int) num_looks; // of the loop until then
} late;

static void sem_wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) {
    }
}

static void let_the_submit_end_before_the_commands(const char *name) {
    if (strcmp(name, "face.submit.before_uncount") == 0) {
        sem_post(&late.is_held);
        sem_wait_for(&late.may_go_on);
    } else if (strcmp(name, "core.commands.before_look") == 0 && atomic_fetch_sub(&late.num_looks, 1) == 1) {
        sem_post(&late.may_go_on);
        sem_wait_for(&late.is_over);
    }
}

static int unhook(void **state) {
    (void)state;
    q_hook_set(NULL);
    return 0;
}

// Refused for its port, and the engine has no other request: so nothing else wakes the loop.
static void *is_refused_late(void *context) {
    (void)context;
    stage.code = quoit_submit(stage.engine, (struct quoit_port){0}, stage.silent, 1, NULL);
    sem_post(&late.is_over);
    return NULL;
}

// The same whether the loop is the host's or has a thread of its own: the hook holds either.
// With `number` 0 the loop sleeps already, and a second close wakes it: the node that the submit would push is queued.
static void end_behind_look(uint32_t engine_mode, int number) {
    pthread_t thread;
    stage_begin(engine_mode, QUOIT_PORT_EVENTFD, NULL);
    sem_init(&late.is_held, 0, 0);
    sem_init(&late.may_go_on, 0, 0);
    sem_init(&late.is_over, 0, 0);
    atomic_store(&late.num_looks, 0);
    q_hook_set(let_the_submit_end_before_the_commands);
    assert_int_equal(pthread_create(&thread, NULL, is_refused_late, NULL), 0);
    sem_wait_for(&late.is_held);
    atomic_store(&late.num_looks, number);
    assert_int_equal(quoit_engine_close(stage.engine, 0), QUOIT_OK);
    for (int i = 0; engine_mode == QUOIT_ENGINE_HOST_DRIVEN && i < LOOKS_MAX; i++) {
        assert_true(quoit_engine_tick(stage.engine) >= 0);
    }
    // A loop that sleeps by now, since only the held submit is left, has fewer looks than that.
    struct pollfd wait = {.fd = quoit_port_fd(stage.port), .events = POLLIN};
    poll(&wait, 1, A_LOOK_MS);
    if (number == 0) {
        atomic_store(&late.num_looks, 1);
        assert_int_equal(quoit_engine_close(stage.engine, 0), QUOIT_OK);
        assert_true(engine_mode == QUOIT_ENGINE_THREAD || quoit_engine_tick(stage.engine) >= 0);
    } else if (atomic_exchange(&late.num_looks, 0) > 0) {
        sem_post(&late.may_go_on);
    }
    pthread_join(thread, NULL);
    if (engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
        drive_until_closed();
    } else {
        assert_int_equal(poll(&wait, 1, HOST_WAIT_MS / 2), 1);
        drain();
    }
    q_hook_set(NULL);
    assert_int_equal(stage.code, QUOIT_ERR_STALE_HANDLE);
    stage_end();
}

// Mutation 12: the loop has looked at the count already when the last one ends; its node is all that is left of it, and
// the loop is awake, so nobody rings.
static void a_count_that_ends_behind_the_look_at_it_is_heard(void **state) {
    (void)state;
    for (int number = 0; number <= LOOKS_MAX; number++) {
        end_behind_look(QUOIT_ENGINE_HOST_DRIVEN, number);
        end_behind_look(QUOIT_ENGINE_THREAD, number);
    }
}

// --- cancel against recycling ------------------------------------------------------------------------------------------

static void cancels(void *context) {
    (void)context;
    stage.code = quoit_cancel(stage.engine, stage.handle);
}

static void has_one_live_closes_and_looks(void *context) {
    (void)context;
    HOLDS(submit_silent());
    wait_for_the_server(1);
    q_schedule_point("live");
    closes_at_once_and_looks(NULL);
}

// Mutation 7: the slot is pinned by a cancel whose node is not in the queue yet; the request has had its end.
static void a_cancel_that_is_on_its_way_keeps_its_slot_and_the_engine(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:live"},
        {"loop:live", "host:slotword.pin_cancel.after_cas"},
        {"host:slotword.pin_cancel.after_cas", "loop:looked"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"host", cancels, NULL}, {"loop", has_one_live_closes_and_looks, NULL});
    assert_int_equal(stage.code, QUOIT_OK);
    assert_int_equal(stage.last_failure, QUOIT_ERR_CLOSED); // the close came first; one end either way
    stage_end();
}

static void has_one_live_and_drives(void *context) {
    (void)context;
    HOLDS(submit_silent());
    wait_for_the_server(1);
    q_schedule_point("live");
    HOLDS(quoit_engine_close(stage.engine, 0) == QUOIT_OK);
    drive_until_closed();
}

// The slot is given back while the cancel looks at it: the handle is stale, and nothing is touched.
static void a_cancel_of_a_slot_that_was_given_back_is_stale(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:live"},
        {"loop:live", "host:slotword.pin_cancel.before_cas"},
        {"host:slotword.pin_cancel.before_cas", "loop:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"host", cancels, NULL}, {"loop", has_one_live_and_drives, NULL});
    assert_int_equal(stage.code, QUOIT_ERR_STALE_HANDLE);
    stage_end();
}

// --- two closes --------------------------------------------------------------------------------------------------------

static void closes_at_once(void *context) {
    (void)context;
    stage.code = quoit_engine_close(stage.engine, 0);
}

static void has_one_live_and_a_long_drain(void *context) {
    (void)context;
    HOLDS(submit_silent());
    wait_for_the_server(1);
    HOLDS(quoit_engine_close(stage.engine, LONG_MS) == QUOIT_OK);
    drive_until_closed();
}

// Mutation 2: wherever the second close comes while the loop runs the first one, its shorter drain is heard.
static void a_second_close_is_heard_wherever_it_comes(void **state) {
    static const struct q_schedule_rule k_before[] = {
        {"second:start", "loop:core.close.before_clear"},
        {"loop:core.close.before_clear", "second:end"},
    };
    static const struct q_schedule_rule k_behind[] = {
        {"second:start", "loop:core.close.after_clear"},
        {"loop:core.close.after_clear", "second:end"},
    };
    static const struct q_schedule_rule k_across[] = {
        {"loop:core.close.before_clear", "second:core.poke.before_exchange"},
        {"second:core.poke.before_exchange", "loop:core.close.after_clear"},
        {"loop:core.close.after_clear", "second:end"},
    };
    static const struct {
        const struct q_schedule_rule *rules;
        size_t num;
    } k_schedules[] = {{k_before, 2}, {k_behind, 2}, {k_across, 3}};
    static const struct q_schedule_actor k_actors[] = {
        {"second", closes_at_once, NULL}, {"loop", has_one_live_and_a_long_drain, NULL}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_schedules); i++) {
        stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
        assert_true(q_schedule_run(k_schedules[i].rules, k_schedules[i].num, k_actors, Q_COUNT_OF(k_actors)));
        assert_int_equal(stage.code, QUOIT_OK);
        assert_int_equal(stage.last_failure, QUOIT_ERR_CLOSED);
        stage_end();
    }
}

static void is_parked_with_one_live(void *context) {
    (void)context;
    HOLDS(submit_silent());
    wait_for_the_server(1);
    tick_until_parked();
    q_schedule_point("parked");
    tick_until_parked();
    q_schedule_point("drains");
    drive_until_closed();
}

static void closes_behind_a_long_drain(void *context) {
    (void)context;
    stage.other_code = quoit_engine_close(stage.engine, LONG_MS);
}

// The loop sleeps in the drain of the first close; the second one wakes it.
static void a_second_close_wakes_a_loop_that_drains(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"first:start", "loop:parked"},
        {"loop:parked", "first:end"},
        {"second:start", "loop:drains"},
        {"loop:drains", "second:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"first", closes_behind_a_long_drain, NULL}, {"second", closes_at_once, NULL},
        {"loop", is_parked_with_one_live, NULL});
    assert_int_equal(stage.code, QUOIT_OK);
    assert_int_equal(stage.other_code, QUOIT_OK);
    stage_end();
}

// Mutation 10: two closes come to their push at once. The node is one, and goes into the queue once.
static void two_closes_at_once_queue_one_node(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"second:start", "first:core.poke.before_exchange"},
        {"first:core.poke.before_exchange", "second:mpsc.push.before_cas"},
        {"second:mpsc.push.before_cas", "first:end"},
        {"loop:start", "second:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"first", closes_behind_a_long_drain, NULL}, {"second", closes_at_once, NULL}, {"loop", drives, NULL});
    assert_int_equal(stage.code, QUOIT_OK);
    assert_int_equal(stage.other_code, QUOIT_OK);
    stage_end();
}

// --- the end, and who is late for it -----------------------------------------------------------------------------------

static int bait[NUM_BAIT];

static void parks_ends_and_lays_bait(void *context) {
    (void)context;
    tick_until_parked();
    q_schedule_point("parked");
    drive_until_closed();
    for (int i = 0; i < NUM_BAIT; i++) {
        bait[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); // on the numbers that came free
    }
    // Mutation 11: somebody is inside still.
    HOLDS(quoit_engine_destroy(stage.engine) == QUOIT_ERR_BUSY);
    q_schedule_point("closed");
}

// Mutation 9: told to wake the loop, and held up before the bell; meanwhile the loop has woken by itself and ended.
static void a_ringer_that_comes_late_rings_nobody(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:parked"},
        {"loop:parked", "host:doorbell.ring.before_bump"},
        {"host:doorbell.ring.before_bump", "loop:closed"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"host", closes_at_once, NULL}, {"loop", parks_ends_and_lays_bait, NULL});
    assert_int_equal(stage.code, QUOIT_OK);
    for (int i = 0; i < NUM_BAIT; i++) {
        uint64_t count;
        assert_int_equal(read(bait[i], &count, sizeof count), -1);
        assert_int_equal(errno, EAGAIN);
        close(bait[i]);
    }
    stage_end();
}

static void notes_and_stops_at_closed(void *context, const struct quoit_event *event) {
    (void)context;
    note(event);
    if (event->type == QUOIT_EVENT_CLOSED) {
        q_schedule_point("told");
    }
}

static void destroys(void *context) {
    (void)context;
    stage.code = quoit_engine_destroy(stage.engine);
}

static void closes_and_drives(void *context) {
    (void)context;
    HOLDS(quoit_engine_close(stage.engine, 0) == QUOIT_OK);
    for (int i = 0; i < REQUESTS_MAX && stage.num_closed == 0; i++) {
        HOLDS(quoit_engine_tick(stage.engine) >= 0);
    }
}

// Mutation 8: whoever has been told CLOSED may destroy. The loop is inside its tick still: BUSY, never NOT_CLOSED.
static void who_has_seen_closed_is_not_told_that_it_is_not_closed(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:told"},
        {"loop:told", "host:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_INLINE, notes_and_stops_at_closed);
    RUN(k_rules, {"host", destroys, NULL}, {"loop", closes_and_drives, NULL});
    assert_int_equal(stage.code, QUOIT_ERR_BUSY);
    stage_end();
}

// --- a port that is opened meanwhile -----------------------------------------------------------------------------------

static void opens_a_port(void *context) {
    (void)context;
    stage.code = quoit_port_create(stage.engine, NULL, &stage.second_port);
}

static void closes_and_looks_at_the_first_port(void *context) {
    struct quoit_event event;
    (void)context;
    HOLDS(quoit_engine_close(stage.engine, 0) == QUOIT_OK);
    HOLDS(quoit_port_wait(stage.port, &event, sizeof event, 1, A_LOOK_MS) == 0);
    HOLDS(quoit_engine_destroy(stage.engine) == QUOIT_ERR_NOT_CLOSED);
    q_schedule_point("looked");
}

static void assert_hears_closed(struct quoit_port port) {
    struct quoit_event event;
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    assert_int_equal(quoit_port_advance(port), QUOIT_OK);
    assert_int_equal(quoit_port_drain(port, &event, sizeof event, 1), 0);
}

// Mutations 3 and 4: the loop has the port, and nobody can find it yet. The end waits for it, and it hears of the end.
static void a_port_that_is_being_opened_holds_the_end_up_and_hears_of_it(void **state) {
    static const struct q_schedule_rule k_open[] = {
        {"host:start", "opener:core.open_port.listed"},
        {"opener:core.open_port.listed", "host:looked"},
    };
    static const struct q_schedule_rule k_pushed[] = {
        {"host:start", "opener:mpsc.push.before_cas"},
        {"opener:mpsc.push.before_cas", "host:looked"},
    };
    const struct q_schedule_rule *const schedules[] = {k_open, k_pushed};
    static const struct q_schedule_actor k_actors[] = {
        {"opener", opens_a_port, NULL}, {"host", closes_and_looks_at_the_first_port, NULL}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(schedules); i++) {
        stage_begin(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, NULL);
        assert_true(q_schedule_run(schedules[i], 2, k_actors, Q_COUNT_OF(k_actors)));
        assert_int_equal(stage.code, QUOIT_OK);
        assert_hears_closed(stage.port);
        assert_hears_closed(stage.second_port);
        stage.num_closed = 1;
        stage_end();
    }
}

static void closes_and_hears_closed(void *context) {
    struct quoit_event event;
    (void)context;
    HOLDS(quoit_engine_close(stage.engine, 0) == QUOIT_OK);
    HOLDS(quoit_port_wait(stage.port, &event, sizeof event, 1, HOST_WAIT_MS) == 1 && event.type == QUOIT_EVENT_CLOSED);
    HOLDS(quoit_port_advance(stage.port) == QUOIT_OK);
}

static void a_port_that_comes_behind_the_drain_is_refused(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "opener:pending.enter_requests.before_cas"},
        {"opener:pending.enter_requests.before_cas", "host:end"},
    };
    (void)state;
    stage_begin(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, NULL);
    RUN(k_rules, {"opener", opens_a_port, NULL}, {"host", closes_and_hears_closed, NULL});
    assert_int_equal(stage.code, QUOIT_ERR_CLOSED);
    stage.num_closed = 1;
    stage_end();
}

// --- from inside an inline callback ------------------------------------------------------------------------------------

static struct host host;

static void close_at(struct host *of, const struct quoit_event *event) {
    uint32_t type = *(const uint32_t *)of->context;
    if (event->type == type) {
        int32_t code = quoit_engine_close(of->engine, 0);
        // Once CLOSED is told, the engine is there until it is destroyed.
        if (code != QUOIT_OK || quoit_engine_close(of->engine, LONG_MS) != QUOIT_OK) {
            of->broken = "a close from inside a callback was refused";
        }
        if (type != QUOIT_EVENT_CLOSED && quoit_engine_destroy(of->engine) == QUOIT_OK) {
            of->broken = "destroyed from inside a callback";
        }
    }
}

static void an_engine_may_be_closed_from_inside_each_kind_of_event(void **state) {
    static const uint32_t k_types[] = {QUOIT_EVENT_INFORMATIONAL, QUOIT_EVENT_HEAD, QUOIT_EVENT_DATA,
                                       QUOIT_EVENT_TRAILERS,      QUOIT_EVENT_DONE, QUOIT_EVENT_FAILED,
                                       QUOIT_EVENT_CLOSED};
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    for (size_t i = 0; i < 2 * Q_COUNT_OF(k_types); i++) {
        uint32_t type = k_types[i / 2];
        struct quoit_engine_options engine = {.mode = i % 2 == 0 ? QUOIT_ENGINE_THREAD : QUOIT_ENGINE_HOST_DRIVEN};
        if (type == QUOIT_EVENT_CLOSED && engine.mode == QUOIT_ENGINE_THREAD) {
            continue; // the test's thread destroys it as soon as it is told
        }
        struct quoit_port_options port = {.mode = QUOIT_PORT_INLINE};
        host_start(&host, &engine, &port);
        host.context = &type;
        host.on_event = close_at;
        host_get(&host, 0, bench_server_url(server, "/size/1?silent=1", url, sizeof url));
        host_get(&host, 1, bench_server_url(server, "/size/2?silent=1", url, sizeof url));
        const char *path = type == QUOIT_EVENT_FAILED ? "/size/1000?fin_at=300"
                                                      : "/size/90000?chunked=900&trailers=1&early=1";
        host_get(&host, 2, bench_server_url(server, path, url, sizeof url)); // whose event closes
        if (type == QUOIT_EVENT_CLOSED) {
            assert_int_equal(quoit_engine_close(host.engine, 0), QUOIT_OK);
        }
        host_wait_all(&host, 3);
        assert_int_equal(host.records[0].summary.failure.code, QUOIT_ERR_CLOSED);
        assert_int_equal(host.records[1].summary.failure.code, QUOIT_ERR_CLOSED);
        host_stop(&host);
    }
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submit_that_was_counted_holds_the_end_up),
        cmocka_unit_test(a_submit_that_comes_behind_the_drain_is_refused),
        cmocka_unit_test(a_submit_that_comes_out_behind_the_sweep_is_ended_too),
        cmocka_unit_test(a_refused_submit_that_was_the_last_wakes_the_loop),
        cmocka_unit_test_teardown(a_count_that_ends_behind_the_look_at_it_is_heard, unhook),
        cmocka_unit_test(a_cancel_that_is_on_its_way_keeps_its_slot_and_the_engine),
        cmocka_unit_test(a_cancel_of_a_slot_that_was_given_back_is_stale),
        cmocka_unit_test(a_second_close_is_heard_wherever_it_comes),
        cmocka_unit_test(a_second_close_wakes_a_loop_that_drains),
        cmocka_unit_test(two_closes_at_once_queue_one_node),
        cmocka_unit_test(a_ringer_that_comes_late_rings_nobody),
        cmocka_unit_test(who_has_seen_closed_is_not_told_that_it_is_not_closed),
        cmocka_unit_test(a_port_that_is_being_opened_holds_the_end_up_and_hears_of_it),
        cmocka_unit_test(a_port_that_comes_behind_the_drain_is_refused),
        cmocka_unit_test(an_engine_may_be_closed_from_inside_each_kind_of_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

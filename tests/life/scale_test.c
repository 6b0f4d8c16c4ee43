// Many of everything at once: fifty threads, ten thousand connections opened and closed with `Connection: close`, and
// ten thousand held open. Each request has its one terminal event, nothing leaks, and the descriptor thief (thief.h)
// stands behind every close of the process, the server's and the engine's.
//
// Where connections have numbers in the process (no direct sockets), each held one costs two of them, its server's too:
// as many are held as the hard limit allows, and the test says how many. Direct ones cost one, the server's. A limit that
// is too small for the ten thousand direct ones skips the test, and says so.
#include "tests/life/life.h"

#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "tests/life/thief.h"
#include "tests/support/failalloc.h"

enum {
    NUM_THREADS = 50,
    NUM_CONNECTIONS = LIFE_SANITIZED ? 1000 : 10000,
    NUM_WARM = 1000, // enough for what is kept for use again to be there
    PER_THREAD_MAX = NUM_CONNECTIONS / NUM_THREADS,
    WINDOW = 4, // requests of a thread in flight while connections come and go
    BATCH = 32,
    BODY = 100,
    LONG_BODY = 20000, // does not fit the one receive buffer that may come without credit
    PORT_CAPACITY = 1024, // a third of it can be pending: more than PER_THREAD_MAX
    THEFTS = 1000,
    SPARE = 3 * THEFTS + 1000, // numbers that are not connections'
    SLACK_HEAP = 1 << 20,      // what libc keeps of fifty threads and a server of its ten thousand; a leak has more
};

_Static_assert(PER_THREAD_MAX * 3 < PORT_CAPACITY, "a thread's requests fit its port");

enum work { COME_AND_GO, HOLD, HOLD_SILENT };

// struct worker is a thread, its port, and what it was told.
struct worker {
    pthread_t thread;
    struct quoit_port port;
    enum work work;
    unsigned num; // requests
    unsigned num_submitted;
    unsigned num_ended;
    unsigned num_closed;
    struct quoit_handle handles[PER_THREAD_MAX];
    uint8_t num_ends[PER_THREAD_MAX];
    uint32_t body_len[PER_THREAD_MAX];
    int32_t codes[PER_THREAD_MAX];
};

static struct {
    struct bench_server *server;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct quoit_engine engine;
    struct quoit_request *request;
    pthread_barrier_t barrier;
    struct worker workers[NUM_THREADS];
} scene;

static rlim_t fd_limit(void) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_max;
}

static struct quoit_engine_info engine_info(void) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(scene.engine, &info), QUOIT_OK);
    return info;
}

// Counters follow events within a tick, and the server hears of ends a moment later: bounded looks, no verdict by time.
static void until_open(uint64_t num) {
    struct bench_server_counters counters;
    for (int left_ms = HOST_WAIT_MS; left_ms > 0; left_ms--) {
        bench_server_counters(scene.server, &counters);
        if (engine_info().connections_open == num && counters.open == num) {
            return;
        }
        poll(NULL, 0, 1);
    }
    fail_msg("%llu connections are open, and %llu at the server, not %llu",
             (unsigned long long)engine_info().connections_open, (unsigned long long)counters.open,
             (unsigned long long)num);
}

static void until_requests(uint64_t num) {
    struct bench_server_counters counters = {0};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && counters.requests < num; left_ms--) {
        bench_server_counters(scene.server, &counters);
        poll(NULL, 0, 1);
    }
    assert_int_equal(counters.requests, num);
}

// --- a thread ----------------------------------------------------------------------------------------------------------

static int submit_one(struct worker *worker) {
    unsigned index = worker->num_submitted++;
    EXPECT(quoit_submit(scene.engine, worker->port, scene.request, index, &worker->handles[index]) == QUOIT_OK);
    return 0;
}

static int note(struct worker *worker, const struct quoit_event *event) {
    EXPECT(worker->num_closed == 0);
    if (event->type == QUOIT_EVENT_CLOSED) {
        EXPECT(worker->num_ended == worker->num); // it comes behind all ends
        worker->num_closed++;
        return 0;
    }
    EXPECT(event->user_data < worker->num_submitted);
    EXPECT(worker->num_ends[event->user_data] == 0); // nothing behind the terminal event
    if (event->type == QUOIT_EVENT_DATA) {
        EXPECT(event->u.data.offset == worker->body_len[event->user_data]);
        worker->body_len[event->user_data] += (uint32_t)event->u.data.len;
    } else if (event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED) {
        worker->num_ends[event->user_data]++;
        worker->codes[event->user_data] = event->u.summary.failure.code;
        worker->num_ended++;
    }
    return 0;
}

static int take_some(struct worker *worker) {
    struct quoit_event events[BATCH];
    int32_t num = quoit_port_wait(worker->port, events, sizeof events[0], BATCH, HOST_WAIT_MS);
    EXPECT(num > 0); // else an end is lost
    for (int32_t i = 0; i < num; i++) {
        EXPECT(note(worker, &events[i]) == 0);
    }
    EXPECT(quoit_port_advance(worker->port) == QUOIT_OK);
    return 0;
}

static int come_and_go(struct worker *worker) {
    while (worker->num_ended < worker->num) {
        while (worker->num_submitted < worker->num && worker->num_submitted - worker->num_ended < WINDOW) {
            EXPECT(submit_one(worker) == 0);
        }
        EXPECT(take_some(worker) == 0);
    }
    for (unsigned i = 0; i < worker->num; i++) {
        EXPECT(worker->codes[i] == QUOIT_OK && worker->body_len[i] == BODY);
    }
    return 0;
}

// The first wait is over when all have submitted, the second when the test has seen all connections open.
static int hold(struct worker *worker) {
    while (worker->num_submitted < worker->num) {
        EXPECT(submit_one(worker) == 0);
    }
    pthread_barrier_wait(&scene.barrier);
    pthread_barrier_wait(&scene.barrier);
    for (unsigned i = 0; worker->work == HOLD && i < worker->num; i++) {
        EXPECT((i % 4 == 0 ? quoit_cancel(scene.engine, worker->handles[i])
                           : quoit_grant(scene.engine, worker->handles[i], LONG_BODY)) == QUOIT_OK);
    }
    while (worker->num_ended < worker->num) {
        EXPECT(take_some(worker) == 0);
    }
    for (unsigned i = 0; i < worker->num; i++) {
        int32_t code = i % 4 == 0 ? QUOIT_ERR_CANCELED : QUOIT_OK;
        EXPECT(worker->codes[i] == (worker->work == HOLD_SILENT ? QUOIT_ERR_CLOSED : code));
        EXPECT(code != QUOIT_OK || worker->work == HOLD_SILENT || worker->body_len[i] == LONG_BODY);
    }
    return 0;
}

// A worker that gave up would leave the others at the barrier: the line is printed, and the process ends with it.
static void *worker_main(void *argument) {
    struct worker *worker = argument;
    int line = worker->work == COME_AND_GO ? come_and_go(worker) : hold(worker);
    if (line != 0) {
        _exit(1);
    }
    return NULL;
}

// --- all of them -------------------------------------------------------------------------------------------------------

static void start_workers(enum work work, const char *path, unsigned num_in_all) {
    char url[HOST_URL_MAX];
    bench_server_url(scene.server, path, url, sizeof url);
    scene.request = host_request("GET", url);
    if (work == HOLD) {
        assert_int_equal(quoit_request_set_credit(scene.request, 0, 1), QUOIT_OK);
    }
    assert_int_equal(quoit_request_freeze(scene.request), QUOIT_OK);
    assert_int_equal(pthread_barrier_init(&scene.barrier, NULL, NUM_THREADS + 1), 0);
    for (unsigned i = 0; i < NUM_THREADS; i++) {
        struct worker *worker = &scene.workers[i];
        *worker = (struct worker){.port = worker->port, .work = work, .num = num_in_all / NUM_THREADS};
        assert_int_equal(pthread_create(&worker->thread, NULL, worker_main, worker), 0);
    }
}

static void end_workers(void) {
    for (unsigned i = 0; i < NUM_THREADS; i++) {
        pthread_join(scene.workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&scene.barrier);
    quoit_request_release(scene.request);
}

static void open_engine(uint32_t capabilities_off) {
    struct quoit_port_options port = {.struct_size = sizeof port, .capacity = PORT_CAPACITY};
    scene.failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(scene.failalloc);
    scene.allocator =
        (struct quoit_allocator){.allocate = alloc->allocate, .release = alloc->release, .context = alloc->context};
    struct quoit_engine_options options = {
        .struct_size = sizeof options,
        .capabilities_off = capabilities_off,
        .connections_max = NUM_CONNECTIONS,
        .connections_per_origin_max = NUM_CONNECTIONS,
        .memory_max = UINT64_C(1) << 30, // a head that waits for credit may hold a whole receive buffer
        .allocator = &scene.allocator,
    };
    struct quoit_failure failure;
    int32_t code = quoit_engine_create(&options, &scene.engine, &failure);
    if (code != QUOIT_OK) {
        fail_msg("no engine: %s (%s)", quoit_error_name(code), quoit_errno_name(failure.os_errno));
    }
    for (unsigned i = 0; i < NUM_THREADS; i++) {
        assert_int_equal(quoit_port_create(scene.engine, &port, &scene.workers[i].port), QUOIT_OK);
    }
}

// Each port's last event, unless its thread has seen it together with an end; all else was taken by the thread.
static void close_engine(void) {
    char text[512];
    assert_int_equal(quoit_engine_close(scene.engine, 0), QUOIT_OK);
    for (unsigned i = 0; i < NUM_THREADS; i++) {
        struct quoit_event events[2];
        struct quoit_port port = scene.workers[i].port;
        if (scene.workers[i].num_closed == 0) {
            assert_int_equal(quoit_port_wait(port, events, sizeof events[0], 2, HOST_WAIT_MS), 1);
            assert_int_equal(events[0].type, QUOIT_EVENT_CLOSED);
            assert_int_equal(quoit_port_advance(port), QUOIT_OK);
        }
        assert_int_equal(quoit_port_drain(port, events, sizeof events[0], 2), 0);
    }
    assert_int_equal(engine_info().requests_pending, 0);
    assert_int_equal(quoit_engine_destroy(scene.engine), QUOIT_OK);
    if (!q_failalloc_check(scene.failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(scene.failalloc);
}

static void server_is_left_alone(void) {
    struct bench_server_counters counters = {.open = 1};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && counters.open > 0; left_ms--) {
        bench_server_counters(scene.server, &counters);
        poll(NULL, 0, 1);
    }
    assert_int_equal(counters.open, 0);
}

// struct level is what must be at the end as it was at the beginning.
struct level {
    unsigned num_fds;
    unsigned num_threads;
};

static struct level level_now(void) {
    return (struct level){.num_fds = life_num_fds(), .num_threads = life_num_threads()};
}

static void begin(struct level *out_level) {
    scene.server = bench_server_start(NULL);
    assert_non_null(scene.server);
    *out_level = level_now();
    thief_begin(THEFTS);
}

static void end(const struct level *level, size_t thefts_least) {
    server_is_left_alone();
    size_t num_thefts = thief_end();
    if (num_thefts < thefts_least) {
        fail_msg("only %zu numbers came free under the thief's eyes", num_thefts);
    }
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && life_num_threads() != level->num_threads; left_ms--) {
        poll(NULL, 0, 1); // a thread that was joined stands in /proc for a moment longer
    }
    assert_int_equal(life_num_threads(), level->num_threads);
    assert_int_equal(life_num_fds(), level->num_fds);
    bench_server_stop(scene.server);
}

// --- opened and closed -------------------------------------------------------------------------------------------------

static void open_and_close(unsigned num) {
    struct bench_server_counters before, after;
    struct quoit_engine_info info = engine_info();
    uint64_t opened_before = info.connections_opened;
    bench_server_counters(scene.server, &before);
    start_workers(COME_AND_GO, "/size/100?close=1", num);
    end_workers();
    until_open(0);
    info = engine_info();
    bench_server_counters(scene.server, &after);
    assert_int_equal(info.connections_opened - opened_before, num); // one each, and none that nobody asked for
    assert_int_equal(after.accepted - before.accepted, num);
    assert_int_equal(after.requests - before.requests, num);
    assert_int_equal(info.connections_reused, 0);
    assert_int_equal(info.requests_failed, 0);
    assert_int_equal(info.requests_pending, 0);
}

static void come_and_go_on(uint32_t capabilities_off) {
    struct level level;
    bool has_numbers = (capabilities_off & QUOIT_CAP_DIRECT_SOCKET) != 0;
    begin(&level);
    open_engine(capabilities_off);
    open_and_close(NUM_WARM);
    uint64_t engine_bytes = q_failalloc_peak_bytes(scene.failalloc);
    size_t heap = mallinfo2().uordblks;
    open_and_close(NUM_CONNECTIONS);
    size_t heap_after = mallinfo2().uordblks;
    // What is kept for use again is bounded by what was in use at once, which the windows bound.
    assert_true(q_failalloc_peak_bytes(scene.failalloc) <= engine_bytes + SLACK_HEAP);
    if (!LIFE_SANITIZED && heap_after > heap + SLACK_HEAP) {
        fail_msg("the heap grew from %zu to %zu bytes", heap, heap_after);
    }
    close_engine();
    // The server's, and the engine's where they have numbers; threads open and close at once, so that not each is his.
    end(&level, (has_numbers ? 2 : 1) * (size_t)NUM_CONNECTIONS / 2);
}

static void ten_thousand_connections_come_and_go(void **state) {
    (void)state;
    come_and_go_on(0);
}

static void so_do_those_that_have_numbers(void **state) {
    (void)state;
    come_and_go_on(LIFE_ALL_OFF);
}

// --- held open ---------------------------------------------------------------------------------------------------------

// Each has had its head and waits for credit; a quarter is canceled, the others finish and lie idle until the server ends
// them; then as many again wait for a head when the engine is closed.
static void hold_on(uint32_t capabilities_off, unsigned num) {
    struct level level;
    begin(&level);
    open_engine(capabilities_off);
    start_workers(HOLD, "/size/20000", num);
    pthread_barrier_wait(&scene.barrier);
    until_open(num);
    until_requests(num);
    assert_int_equal(engine_info().connections_opened, num);
    assert_int_equal(engine_info().requests_pending, num);
    pthread_barrier_wait(&scene.barrier);
    end_workers();
    unsigned num_canceled = NUM_THREADS * ((num / NUM_THREADS + 3) / 4);
    until_open(num - num_canceled);
    assert_int_equal(engine_info().requests_done, num - num_canceled);
    assert_int_equal(engine_info().requests_failed, num_canceled);
    bench_server_kill_connections(scene.server);
    until_open(0);

    start_workers(HOLD_SILENT, "/size/1?silent=1", num);
    pthread_barrier_wait(&scene.barrier);
    until_open(num);
    until_requests(2 * (uint64_t)num);
    assert_int_equal(quoit_engine_close(scene.engine, 0), QUOIT_OK);
    pthread_barrier_wait(&scene.barrier);
    end_workers();
    close_engine();
    end(&level, 0);
}

static void ten_thousand_connections_are_held_open(void **state) {
    (void)state;
    rlim_t limit = fd_limit();
    if (limit < NUM_CONNECTIONS + SPARE) {
        print_message("SKIPPED: %llu descriptors (ulimit -Hn) do not suffice for the %d ends of the server's\n",
                      (unsigned long long)limit, NUM_CONNECTIONS);
        skip();
    }
    hold_on(0, NUM_CONNECTIONS);
}

static void so_are_as_many_with_numbers_as_there_are_numbers(void **state) {
    (void)state;
    rlim_t limit = fd_limit();
    if (limit < NUM_CONNECTIONS / 10 * 2 + SPARE) {
        print_message("SKIPPED: %llu descriptors (ulimit -Hn) do not suffice for a tenth of %d connections\n",
                      (unsigned long long)limit, NUM_CONNECTIONS);
        skip();
    }
    rlim_t fit = (limit - SPARE) / 2 / NUM_THREADS * NUM_THREADS;
    unsigned num = fit < NUM_CONNECTIONS ? (unsigned)fit : NUM_CONNECTIONS;
    print_message("%u connections with numbers at both ends in this process\n", num);
    hold_on(LIFE_ALL_OFF, num);
}

static int raise_limit(void **state) {
    (void)state;
    (void)fd_limit();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_connections_come_and_go),
        cmocka_unit_test(so_do_those_that_have_numbers),
        cmocka_unit_test(ten_thousand_connections_are_held_open),
        cmocka_unit_test(so_are_as_many_with_numbers_as_there_are_numbers),
    };
    return cmocka_run_group_tests(tests, raise_limit, NULL);
}

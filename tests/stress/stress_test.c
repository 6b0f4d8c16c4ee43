// Many threads on one engine, against the embedded server: each request ends exactly once and brings its own body, and
// nothing grows. Fewer requests under a sanitizer, which costs ten times or more.
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/load/load.h"
#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/bench/raw_client.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    NUM_THREADS = 16,
    NUM_CONNECTIONS = 64,
    WINDOW = 16, // 256 in flight on 64 connections, so that requests wait for one too
    NUM_REQUESTS = SANITIZED ? 12000 : 200000,
    URL_MAX = 160,
    LIMIT_MS = 20000, // how long anything here is waited for that comes
    SLACK_HEAP = 128 * 1024,   // what a warm process may still grow by between two phases of one load, buffers apart
    SLACK_RESIDENT = 16 << 20, // the same for pages, buffers included
    BUFFERS_MAX = 16 << 20,    // a pool keeps its peak; a leak of one buffer in a hundred requests would pass this
};

// struct rig is a server, an engine and its load.
struct rig {
    struct bench_server *server;
    struct quoit_engine engine;
    struct load *load;
    unsigned fds_before;
    char urls[LOAD_TARGETS_MAX][URL_MAX];
    struct load_target targets[LOAD_TARGETS_MAX];
    unsigned num_targets;
};

static void add_target(struct rig *rig, const char *method, const char *path, uint64_t len) {
    struct load_target *target = &rig->targets[rig->num_targets];
    target->method = method;
    target->url = bench_server_url(rig->server, path, rig->urls[rig->num_targets], URL_MAX);
    target->response_len = len;
    if (strcmp(method, "POST") == 0) {
        target->body = bench_body_at(0);
        target->body_len = (size_t)len;
    }
    rig->num_targets++;
}

static struct rig rig_start(unsigned num_threads, const struct quoit_allocator *allocator) {
    struct rig rig = {.fds_before = raw_num_fds()};
    struct quoit_failure failure;
    int32_t error;
    struct quoit_engine_options options = {
        .struct_size = sizeof options, .connections_per_origin_max = NUM_CONNECTIONS, .allocator = allocator};
    rig.server = bench_server_start(&(struct bench_server_options){.num_threads = 2});
    assert_non_null(rig.server);
    assert_int_equal(quoit_engine_create(&options, &rig.engine, &failure), QUOIT_OK);
    rig.load = load_open(rig.engine, num_threads, &error);
    assert_non_null(rig.load);
    return rig;
}

static void rig_stop(struct rig *rig) {
    assert_int_equal(load_close(rig->load), QUOIT_OK);
    bench_server_stop(rig->server);
    assert_int_equal(raw_num_fds(), rig->fds_before);
}

// The load, whose result is to be asserted on when no other thread is left that looks at it.
static void play(struct rig *rig, struct load_scenario scenario, struct load_result *out, _Atomic uint64_t *progress) {
    scenario.targets = rig->targets;
    scenario.num_targets = rig->num_targets;
    if (scenario.window == 0)
        scenario.window = WINDOW;
    load_run(rig->load, &scenario, out, progress);
}

static void assert_played(uint64_t num_requests, const struct load_result *result) {
    if (result->errors > 0)
        fail_msg("%llu errors, the first: %s", (unsigned long long)result->errors, result->first_error);
    assert_int_equal(result->submitted, num_requests);
}

static void run(struct rig *rig, struct load_scenario scenario, struct load_result *out) {
    play(rig, scenario, out, NULL);
    assert_played(scenario.num_requests, out);
}

static struct quoit_engine_info engine_info(const struct rig *rig) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(rig->engine, &info), QUOIT_OK);
    return info;
}

static size_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

// struct footprint is what the process holds between two phases; the heap without the engine's buffers, whose pool
// keeps its peak, which differs from phase to phase.
struct footprint {
    unsigned fds;
    size_t heap, resident;
    uint64_t buffers;
};

static struct footprint footprint(const struct rig *rig) {
    struct footprint now = {
        .fds = raw_num_fds(), .resident = resident_bytes(), .buffers = engine_info(rig).buffer_bytes};
    now.heap = mallinfo2().uordblks - (SANITIZED ? 0 : (size_t)now.buffers);
    return now;
}

// struct doorman keeps the server from accepting until the load has as many connections as it may: they stand in the
// kernel's backlog, each with a request on it that nobody answers.
struct doorman {
    struct rig *rig;
    pthread_t thread;
    _Atomic uint64_t done; // requests that have ended
    bool was_full;         // all connections were there when none had ended
};

static void *doorman_main(void *arg) {
    struct doorman *doorman = arg;
    bool is_full = false;
    for (int left_ms = LIMIT_MS; left_ms > 0 && !is_full; left_ms--) {
        struct quoit_engine_info info = {.struct_size = sizeof info};
        is_full = quoit_engine_info(doorman->rig->engine, &info) == QUOIT_OK &&
                  info.connections_open >= NUM_CONNECTIONS;
        poll(NULL, 0, is_full ? 0 : 1);
    }
    doorman->was_full = is_full && atomic_load(&doorman->done) == 0;
    bench_server_set_accepting(doorman->rig->server, true);
    return NULL;
}

static void doorman_start(struct doorman *doorman) {
    bench_server_set_accepting(doorman->rig->server, false);
    assert_int_equal(pthread_create(&doorman->thread, NULL, doorman_main, doorman), 0);
}

static void doorman_join(struct doorman *doorman) { pthread_join(doorman->thread, NULL); }

static void every_request_of_sixteen_threads_ends_once_and_nothing_grows(void **state) {
    static struct load_result warm, main_part;
    struct rig rig = rig_start(NUM_THREADS, NULL);
    (void)state;
    add_target(&rig, "GET", "/size/0", 0);
    add_target(&rig, "GET", "/size/1024", 1024);
    add_target(&rig, "GET", "/size/3000?chunked=700", 3000);
    add_target(&rig, "POST", "/echo", 500);
    add_target(&rig, "GET", "/size/40000", 40000);
    add_target(&rig, "GET", "/size/100?early=1&headers=5", 100);
    add_target(&rig, "POST", "/echo?chunked=1000", 20000);
    struct load_scenario scenario = {.num_requests = NUM_REQUESTS / 4, .take_every = 16};
    struct doorman doorman = {.rig = &rig};
    doorman_start(&doorman);
    play(&rig, scenario, &warm, &doorman.done);
    doorman_join(&doorman);
    assert_played(scenario.num_requests, &warm);
    assert_true(doorman.was_full);
    struct footprint before = footprint(&rig);
    scenario.num_requests = NUM_REQUESTS - NUM_REQUESTS / 4;
    run(&rig, scenario, &main_part);
    struct footprint after = footprint(&rig);

    assert_int_equal(warm.done + main_part.done, NUM_REQUESTS);
    struct quoit_engine_info info = engine_info(&rig);
    assert_int_equal(info.requests_done, NUM_REQUESTS);
    assert_int_equal(info.requests_failed, 0);
    assert_int_equal(info.requests_pending, 0);
    assert_int_equal(info.connections_opened, NUM_CONNECTIONS);
    struct bench_server_counters counters;
    bench_server_counters(rig.server, &counters);
    assert_int_equal(counters.accepted, NUM_CONNECTIONS);
    assert_int_equal(counters.open, NUM_CONNECTIONS);
    assert_int_equal(after.fds, before.fds);
    assert_true(after.buffers <= BUFFERS_MAX);
    if (!SANITIZED) { // a sanitizer's own heap tells nothing
        if (after.heap > before.heap + SLACK_HEAP || after.resident > before.resident + SLACK_RESIDENT)
            fail_msg("heap %zu to %zu, resident %zu to %zu", before.heap, after.heap, before.resident, after.resident);
    }
    rig_stop(&rig);
}

// struct usher lets no request be answered before all connections have one.
struct usher {
    struct bench_gate arrived; // a pass for each request that a connection has read
    struct bench_gate answer;  // a pass for each answer that it may send
    unsigned num_rounds;       // in which all connections held a request at once
};

// A client has its share of the requests. Fewer than NUM_CONNECTIONS are in flight at the earliest when 13 clients of 16
// are through with theirs, so the last of as many rounds as there are requests for are not held.
enum { NUM_ROUNDS = 16, NUM_UNHELD = 4, NUM_USHERED = (NUM_ROUNDS + NUM_UNHELD) * NUM_CONNECTIONS };

static void *usher_main(void *arg) {
    struct usher *usher = arg;
    bool is_full = true;
    for (unsigned round = 0; round < NUM_ROUNDS; round++) {
        // So many more were read than answered, and a connection reads one request at a time.
        for (unsigned i = 0; i < NUM_CONNECTIONS && is_full; i++)
            is_full = bench_gate_wait(&usher->arrived, -1, LIMIT_MS);
        usher->num_rounds += is_full;
        for (unsigned i = 0; i < NUM_CONNECTIONS; i++) // also when it has failed, so that the load comes to its end
            bench_gate_open(&usher->answer);
    }
    for (unsigned i = 0; i < NUM_UNHELD * NUM_CONNECTIONS; i++)
        bench_gate_open(&usher->answer);
    return NULL;
}

static void sixteen_threads_keep_all_connections_in_use_at_once(void **state) {
    static struct load_result result;
    static struct usher usher;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_OPEN, .gate = &usher.arrived},
        {.kind = BENCH_WAIT, .gate = &usher.answer},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.kind = BENCH_REPEAT},
        {0}};
    char url[URL_MAX];
    pthread_t thread;
    struct rig rig = rig_start(NUM_THREADS, NULL);
    (void)state;
    bench_gate_init(&usher.arrived);
    bench_gate_init(&usher.answer);
    struct bench_scripted *scripted = bench_scripted_start_one(k_script);
    rig.targets[rig.num_targets++] = (struct load_target){.url = bench_scripted_url(scripted, "/", url, sizeof url)};
    assert_int_equal(pthread_create(&thread, NULL, usher_main, &usher), 0);
    struct load_scenario scenario = {.num_requests = NUM_USHERED};
    play(&rig, scenario, &result, NULL);
    pthread_join(thread, NULL);
    assert_played(scenario.num_requests, &result);
    assert_int_equal(result.done, scenario.num_requests);
    assert_int_equal(usher.num_rounds, NUM_ROUNDS);
    assert_int_equal(bench_scripted_accepted(scripted), NUM_CONNECTIONS);
    bench_scripted_stop(scripted);
    bench_gate_deinit(&usher.arrived);
    bench_gate_deinit(&usher.answer);
    rig_stop(&rig);
}

static void canceled_requests_end_once_too(void **state) {
    static struct load_result result;
    struct rig rig = rig_start(NUM_THREADS, NULL);
    (void)state;
    add_target(&rig, "GET", "/size/1024", 1024);
    add_target(&rig, "GET", "/size/300000?chunked=5000", 300000);
    add_target(&rig, "GET", "/size/1024?delay_ms=2", 1024);
    run(&rig, (struct load_scenario){.num_requests = NUM_REQUESTS / 10, .cancel_every = 3, .take_every = 7}, &result);
    assert_int_equal(result.done + result.canceled, NUM_REQUESTS / 10);
    assert_true(result.canceled > 0);
    struct quoit_engine_info info = engine_info(&rig);
    assert_int_equal(info.requests_pending, 0);
    assert_int_equal(info.requests_failed, result.canceled);
    rig_stop(&rig);
}

// struct killer resets all connections each time that another part of the requests has ended.
struct killer {
    struct bench_server *server;
    struct bench_gate over; // opened when the load has come to its end, whatever came of it
    _Atomic uint64_t done;
    uint64_t num_requests;
    uint64_t num_killed;
};

enum { NUM_KILLS = 20 };

static void *killer_main(void *arg) {
    struct killer *killer = arg;
    for (uint64_t i = 1; i <= NUM_KILLS; i++) {
        while (atomic_load(&killer->done) < killer->num_requests / (NUM_KILLS + 2) * i) {
            if (bench_gate_wait(&killer->over, -1, 1))
                return NULL;
        }
        killer->num_killed += bench_server_kill_connections(killer->server);
    }
    return NULL;
}

static void requests_under_resets_end_once_too(void **state) {
    static struct load_result result;
    struct rig rig = rig_start(NUM_THREADS, NULL);
    pthread_t thread;
    (void)state;
    add_target(&rig, "GET", "/size/1024", 1024);
    add_target(&rig, "GET", "/size/200000", 200000);
    add_target(&rig, "POST", "/echo", 3000);
    struct killer killer = {.server = rig.server, .num_requests = NUM_REQUESTS / 10};
    bench_gate_init(&killer.over);
    assert_int_equal(pthread_create(&thread, NULL, killer_main, &killer), 0);
    struct load_scenario scenario = {.num_requests = NUM_REQUESTS / 10, .failures_expected = true};
    play(&rig, scenario, &result, &killer.done);
    bench_gate_open(&killer.over);
    pthread_join(thread, NULL);
    bench_gate_deinit(&killer.over);
    assert_played(scenario.num_requests, &result);
    assert_int_equal(result.done + result.failed, NUM_REQUESTS / 10);
    assert_true(killer.num_killed > 0);
    // Afterwards all is well again.
    run(&rig, (struct load_scenario){.num_requests = 1000, .failures_expected = false}, &result);
    assert_int_equal(result.done, 1000);
    rig_stop(&rig);
}

// struct allocations counts what an engine takes from its allocator.
struct allocations {
    _Atomic uint64_t taken, returned;
};

static void *counting_allocate(void *context, size_t size) {
    struct allocations *allocations = context;
    atomic_fetch_add_explicit(&allocations->taken, 1, memory_order_relaxed);
    return malloc(size);
}

static void counting_release(void *context, void *ptr, size_t size) {
    struct allocations *allocations = context;
    (void)size;
    atomic_fetch_add_explicit(&allocations->returned, ptr != NULL, memory_order_relaxed);
    free(ptr);
}

static void a_warm_engine_allocates_nothing_and_enters_the_kernel_once_a_tick(void **state) {
    static struct load_result result;
    struct allocations allocations = {0};
    struct quoit_allocator allocator = {counting_allocate, counting_release, &allocations};
    struct rig rig = rig_start(1, &allocator);
    (void)state;
    add_target(&rig, "GET", "/size/1024", 1024);
    add_target(&rig, "GET", "/size/3000?chunked=700", 3000);
    struct load_scenario scenario = {.num_requests = NUM_REQUESTS / 10, .window = 64};
    run(&rig, scenario, &result); // more at once than what is measured, so that no peak comes later
    uint64_t warm = atomic_load(&allocations.taken);
    struct quoit_engine_info before = engine_info(&rig);
    scenario.window = 4;
    run(&rig, scenario, &result);
    struct quoit_engine_info after = engine_info(&rig);
    assert_int_equal(atomic_load(&allocations.taken), warm);
    uint64_t ticks = after.ticks - before.ticks, enters = after.enters - before.enters;
    if (enters > ticks + 1) // the two counters may be a tick apart
        fail_msg("%llu enters in %llu ticks", (unsigned long long)enters, (unsigned long long)ticks);
    rig_stop(&rig);
    assert_int_equal(atomic_load(&allocations.taken), atomic_load(&allocations.returned));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_sixteen_threads_ends_once_and_nothing_grows),
        cmocka_unit_test(sixteen_threads_keep_all_connections_in_use_at_once),
        cmocka_unit_test(a_warm_engine_allocates_nothing_and_enters_the_kernel_once_a_tick),
        cmocka_unit_test(canceled_requests_end_once_too),
        cmocka_unit_test(requests_under_resets_end_once_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

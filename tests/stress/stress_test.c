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

static void run(struct rig *rig, struct load_scenario scenario, struct load_result *out, _Atomic uint64_t *progress) {
    scenario.targets = rig->targets;
    scenario.num_targets = rig->num_targets;
    if (scenario.window == 0)
        scenario.window = WINDOW;
    load_run(rig->load, &scenario, out, progress);
    if (out->errors > 0)
        fail_msg("%llu errors, the first: %s", (unsigned long long)out->errors, out->first_error);
    assert_int_equal(out->submitted, scenario.num_requests);
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
    run(&rig, scenario, &warm, NULL);
    struct footprint before = footprint(&rig);
    scenario.num_requests = NUM_REQUESTS - NUM_REQUESTS / 4;
    run(&rig, scenario, &main_part, NULL);
    struct footprint after = footprint(&rig);

    assert_int_equal(warm.done + main_part.done, NUM_REQUESTS);
    struct quoit_engine_info info = engine_info(&rig);
    assert_int_equal(info.requests_done, NUM_REQUESTS);
    assert_int_equal(info.requests_failed, 0);
    assert_int_equal(info.requests_pending, 0);
    assert_in_range(info.connections_opened, 1, NUM_CONNECTIONS);
    assert_int_equal(after.fds, before.fds);
    assert_true(after.buffers <= BUFFERS_MAX);
    if (!SANITIZED) { // a sanitizer's own heap tells nothing
        if (after.heap > before.heap + SLACK_HEAP || after.resident > before.resident + SLACK_RESIDENT)
            fail_msg("heap %zu to %zu, resident %zu to %zu", before.heap, after.heap, before.resident, after.resident);
    }
    rig_stop(&rig);
}

static void canceled_requests_end_once_too(void **state) {
    static struct load_result result;
    struct rig rig = rig_start(NUM_THREADS, NULL);
    (void)state;
    add_target(&rig, "GET", "/size/1024", 1024);
    add_target(&rig, "GET", "/size/300000?chunked=5000", 300000);
    add_target(&rig, "GET", "/size/1024?delay_ms=2", 1024);
    run(&rig, (struct load_scenario){.num_requests = NUM_REQUESTS / 10, .cancel_every = 3, .take_every = 7}, &result,
        NULL);
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
    _Atomic uint64_t done;
    uint64_t num_requests;
    uint64_t num_killed;
};

enum { NUM_KILLS = 20 };

static void *killer_main(void *arg) {
    struct killer *killer = arg;
    for (uint64_t i = 1; i <= NUM_KILLS; i++) {
        while (atomic_load(&killer->done) < killer->num_requests / (NUM_KILLS + 2) * i)
            poll(NULL, 0, 1);
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
    assert_int_equal(pthread_create(&thread, NULL, killer_main, &killer), 0);
    run(&rig, (struct load_scenario){.num_requests = NUM_REQUESTS / 10, .failures_expected = true}, &result,
        &killer.done);
    pthread_join(thread, NULL);
    assert_int_equal(result.done + result.failed, NUM_REQUESTS / 10);
    assert_true(killer.num_killed > 0);
    // Afterwards all is well again.
    run(&rig, (struct load_scenario){.num_requests = 1000, .failures_expected = false}, &result, NULL);
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
    run(&rig, scenario, &result, NULL); // more at once than what is measured, so that no peak comes later
    uint64_t warm = atomic_load(&allocations.taken);
    struct quoit_engine_info before = engine_info(&rig);
    scenario.window = 4;
    run(&rig, scenario, &result, NULL);
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
        cmocka_unit_test(a_warm_engine_allocates_nothing_and_enters_the_kernel_once_a_tick),
        cmocka_unit_test(canceled_requests_end_once_too),
        cmocka_unit_test(requests_under_resets_end_once_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

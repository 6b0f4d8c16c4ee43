// What a request costs once everything is warm: no allocation, no lock of the allocator's, and at most one entry into
// the kernel per tick. Counted, not timed.
#include "tests/engine/core/host.h"

#include <stdatomic.h>

#include "bench/server/server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    FEW = 16,
    MANY = SANITIZED ? 100 : 700, // more than complete, or are submitted, in one tick
    CAPACITY = 16384, // what was advanced over has room again from the loop's next tick on
    WARM_UP = 2000,
    REQUESTS = SANITIZED ? 1000 : 10000,
    ROUNDS_MAX = 5,
    BODY = 1024,
};

// Counts the host's allocator, which the engine was given, and, by thread, what goes to libc behind its back.
static _Atomic uint64_t num_given;
static _Atomic uint64_t num_taken_back;
static _Atomic bool is_counting_libc;
static _Atomic uint64_t num_libc;
static _Thread_local bool is_engine_thread;

static void *give(void *context, size_t size) {
    (void)context;
    atomic_fetch_add(&num_given, 1);
    return malloc(size);
}

static void take_back(void *context, void *ptr, size_t size) {
    (void)context;
    (void)size;
    atomic_fetch_add(&num_taken_back, 1);
    free(ptr);
}

#if !SANITIZED // a sanitizer brings its own
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void __libc_free(void *ptr);
extern __attribute__((visibility("default"))) void *malloc(size_t size);
extern __attribute__((visibility("default"))) void *calloc(size_t count, size_t size);
extern __attribute__((visibility("default"))) void *realloc(void *ptr, size_t size);
extern __attribute__((visibility("default"))) void free(void *ptr);

static void count_libc(void) {
    if (is_engine_thread && atomic_load_explicit(&is_counting_libc, memory_order_relaxed)) {
        atomic_fetch_add(&num_libc, 1);
    }
}

void *malloc(size_t size) {
    count_libc();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_libc();
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size) {
    count_libc();
    return __libc_realloc(ptr, size);
}

void free(void *ptr) {
    if (ptr != NULL) {
        count_libc();
    }
    __libc_free(ptr);
}
#endif

static const struct quoit_allocator k_allocator = {.allocate = give, .release = take_back};

// struct run is a load that keeps CONNECTIONS requests in flight: each that ends is followed by the next.
struct run {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request;
    uint32_t num_connections;
    _Atomic uint64_t num_ended;
    _Atomic uint64_t num_wrong; // events that should not have come, and submits that were refused
    _Atomic bool is_closed;
    uint64_t num_submitted; // by the thread that takes the events
    uint64_t goal;
    pthread_mutex_t lock;
    pthread_cond_t idle;
};

static void submit(struct run *run) {
    run->num_submitted++;
    if (quoit_submit(run->engine, run->port, run->request, 0, NULL) != QUOIT_OK) {
        atomic_fetch_add(&run->num_wrong, 1);
    }
}

static void take_event(struct run *run, const struct quoit_event *event) {
    switch (event->type) {
    case QUOIT_EVENT_DONE:
        if (run->num_submitted < run->goal) {
            submit(run);
        }
        if (atomic_fetch_add(&run->num_ended, 1) + 1 == run->goal) {
            pthread_mutex_lock(&run->lock);
            pthread_cond_broadcast(&run->idle);
            pthread_mutex_unlock(&run->lock);
        }
        break;
    case QUOIT_EVENT_FAILED: atomic_fetch_add(&run->num_wrong, 1); break;
    case QUOIT_EVENT_CLOSED:
        pthread_mutex_lock(&run->lock);
        atomic_store(&run->is_closed, true);
        pthread_cond_broadcast(&run->idle);
        pthread_mutex_unlock(&run->lock);
        break;
    default: break;
    }
}

static void on_event(void *context, const struct quoit_event *event) {
    is_engine_thread = true;
    take_event(context, event);
}

static void wait_inline(struct run *run, bool is_for_close) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&run->lock);
    while (is_for_close ? !atomic_load(&run->is_closed) : atomic_load(&run->num_ended) < run->goal) {
        if (pthread_cond_timedwait(&run->idle, &run->lock, &end) != 0) {
            fail_msg("%llu of %llu ended", (unsigned long long)run->num_ended, (unsigned long long)run->goal);
        }
    }
    pthread_mutex_unlock(&run->lock);
}

// Has the engine's thread say that it is one, by an inline port of its own.
static void mark_engine_thread(struct run *run) {
    static struct run marking;
    struct quoit_port_options port = {
        .struct_size = sizeof port, .mode = QUOIT_PORT_INLINE, .on_event = on_event, .context = &marking};
    marking = (struct run){.engine = run->engine, .goal = 1, .num_submitted = 1};
    pthread_mutex_init(&marking.lock, NULL);
    pthread_cond_init(&marking.idle, NULL);
    assert_int_equal(quoit_port_create(run->engine, &port, &marking.port), QUOIT_OK);
    assert_int_equal(quoit_submit(run->engine, marking.port, run->request, 0, NULL), QUOIT_OK);
    wait_inline(&marking, false);
}

static void wait_draining(struct run *run, bool is_for_close) {
    struct quoit_event events[64];
    while (is_for_close ? !atomic_load(&run->is_closed) : atomic_load(&run->num_ended) < run->goal) {
        int32_t count = quoit_port_wait(run->port, events, sizeof events[0], 64, HOST_WAIT_MS);
        if (count <= 0) {
            fail_msg("%llu of %llu ended, %llu wrong", (unsigned long long)run->num_ended, (unsigned long long)run->goal,
                     (unsigned long long)run->num_wrong);
        }
        // Released first: what these events held is there for the requests that they are followed by.
        assert_int_equal(quoit_port_advance(run->port), QUOIT_OK);
        for (int32_t i = 0; i < count; i++) {
            take_event(run, &events[i]);
        }
    }
}

static void run_until(struct run *run, uint32_t mode, uint64_t goal) {
    uint64_t first = goal - run->goal < run->num_connections ? goal - run->goal : run->num_connections;
    // Nobody takes events now: all that was submitted has ended.
    run->goal = goal;
    run->num_submitted += first;
    for (uint64_t i = 0; i < first; i++) {
        assert_int_equal(quoit_submit(run->engine, run->port, run->request, 0, NULL), QUOIT_OK);
    }
    (mode == QUOIT_PORT_INLINE ? wait_inline : wait_draining)(run, false);
    assert_int_equal(run->num_wrong, 0);
}

// Counters are a tick behind; when nothing is pending and nothing changes between two looks, they have come to rest.
static struct quoit_engine_info info_at_rest(const struct run *run) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    uint64_t ticks;
    do {
        assert_int_equal(quoit_engine_info(run->engine, &info), QUOIT_OK);
        ticks = info.ticks;
        sched_yield();
        assert_int_equal(quoit_engine_info(run->engine, &info), QUOIT_OK);
    } while (info.requests_pending > 0 || info.ticks != ticks || info.requests_done < run->goal);
    return info;
}

static void a_warm_engine_allocates_nothing_and_enters_once_a_tick(uint32_t mode, uint32_t num_connections) {
    static struct run run;
    char url[HOST_URL_MAX];
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/1024", url, sizeof url);
    run = (struct run){.request = host_request("GET", url), .num_connections = num_connections};
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.idle, NULL);
    struct quoit_engine_options options = {
        .struct_size = sizeof options, .allocator = &k_allocator, .connections_per_origin_max = num_connections};
    struct quoit_port_options port = {
        .struct_size = sizeof port, .mode = mode, .on_event = on_event, .context = &run, .capacity = CAPACITY};
    assert_int_equal(quoit_engine_create(&options, &run.engine, NULL), QUOIT_OK);
    assert_int_equal(quoit_port_create(run.engine, &port, &run.port), QUOIT_OK);
    mark_engine_thread(&run);
    run_until(&run, mode, WARM_UP);

    // Pools may still grow to the most that was ever needed at once; then a whole round allocates nothing.
    struct quoit_engine_info before;
    struct quoit_engine_info after;
    uint64_t given;
    uint64_t taken_back;
    uint64_t goal = WARM_UP;
    is_counting_libc = true;
    do {
        assert_true(goal < WARM_UP + ROUNDS_MAX * REQUESTS);
        goal += REQUESTS;
        before = info_at_rest(&run);
        given = num_given;
        taken_back = num_taken_back;
        num_libc = 0;
        run_until(&run, mode, goal);
        after = info_at_rest(&run);
    } while (num_given != given);
    is_counting_libc = false;

    assert_int_equal(num_taken_back, taken_back);
    assert_int_equal(num_libc, 0);
    assert_int_equal(after.requests_done - before.requests_done, REQUESTS);
    assert_int_equal(after.connections_opened, before.connections_opened);
    assert_true(before.connections_opened <= num_connections);
    uint64_t ticks = after.ticks - before.ticks;
    uint64_t enters = after.enters - before.enters;
    print_message("%d requests on %u connections: %llu ticks, %llu kernel entries, %llu wakes\n", REQUESTS, num_connections,
                  (unsigned long long)ticks,
                  (unsigned long long)enters, (unsigned long long)(after.wakes - before.wakes));
    assert_true(enters <= ticks + 1); // the snapshot is taken inside a tick, before its entry
    assert_true(enters > 0);

    quoit_request_release(run.request);
    assert_int_equal(quoit_engine_close(run.engine, 0), QUOIT_OK);
    (mode == QUOIT_PORT_INLINE ? wait_inline : wait_draining)(&run, true);
    assert_int_equal(quoit_engine_destroy(run.engine), QUOIT_OK);
    assert_int_equal(num_given, num_taken_back);
    bench_server_stop(server);
}

static void inline_events_cost_no_allocation_and_one_entry_a_tick(void **state) {
    (void)state;
    a_warm_engine_allocates_nothing_and_enters_once_a_tick(QUOIT_PORT_INLINE, FEW);
    a_warm_engine_allocates_nothing_and_enters_once_a_tick(QUOIT_PORT_INLINE, MANY);
}

static void drained_events_cost_no_allocation_and_one_entry_a_tick(void **state) {
    (void)state;
    a_warm_engine_allocates_nothing_and_enters_once_a_tick(QUOIT_PORT_EVENTFD, FEW);
    a_warm_engine_allocates_nothing_and_enters_once_a_tick(QUOIT_PORT_EVENTFD, MANY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inline_events_cost_no_allocation_and_one_entry_a_tick),
        cmocka_unit_test(drained_events_cost_no_allocation_and_one_entry_a_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

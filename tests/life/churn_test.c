// Engines made and ended a thousand times, at most 32 alive at a time, by several threads, each closed with requests in
// flight, while another thread calls on handles of engines that may be gone: nothing grows. The same as an ordinary user
// with 8 MiB of locked memory, for whom the kernel counts what it takes back late.
#include "tests/life/life.h"

#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/server/server.h"

enum {
    NUM_THREADS = 8,
    ALIVE_MAX = 4, // of a thread
    NUM_ENGINES = LIFE_SANITIZED ? 160 : 1000,
    NUM_WARM = LIFE_SANITIZED ? 32 : 200,
    NUM_REQUESTS = 6, // in flight at each close
    MEMLOCK = 8 << 20,
    SLACK_HEAP = 256 << 10, // arenas and what libc keeps of threads; an engine has more than that
};

static struct bench_server *server;

// struct alive is an engine of a thread, and what it still owes.
struct alive {
    struct quoit_engine engine;
    struct quoit_port port;
    bool is_driven;
    unsigned num_pending;
};

// What the churning threads and the one with the old handles share.
static struct {
    _Atomic(unsigned) num_left; // engines to be made
    _Atomic(uint64_t) some_engine;
    _Atomic(uint64_t) some_port;
    _Atomic(uint64_t) some_handle;
    _Atomic(bool) is_over;
} churn;

static int submit_some(struct alive *alive, unsigned serial) {
    static const char *const k_paths[NUM_REQUESTS] = {
        "/size/1000",           "/size/1?silent=1",      "/size/300000",
        "/size/10?delay_ms=50", "/size/1000?close=1", "/size/1000000?drip=5000",
    };
    char url[HOST_URL_MAX];
    struct quoit_handle handle;
    for (unsigned i = 0; i < NUM_REQUESTS; i++) {
        struct quoit_request *request = NULL;
        bench_server_url(server, k_paths[(i + serial) % NUM_REQUESTS], url, sizeof url);
        EXPECT(quoit_request_new("GET", url, &request) == QUOIT_OK);
        EXPECT(quoit_submit(alive->engine, alive->port, request, i, &handle) == QUOIT_OK);
        quoit_request_release(request);
        alive->num_pending++;
        if (i == serial % NUM_REQUESTS) {
            int32_t code = quoit_cancel(alive->engine, handle);
            EXPECT(code == QUOIT_OK || code == QUOIT_ERR_STALE_HANDLE); // it may have ended
        }
    }
    atomic_store(&churn.some_engine, alive->engine.id);
    atomic_store(&churn.some_port, alive->port.id);
    atomic_store(&churn.some_handle, handle.id);
    return 0;
}

static int begin(struct alive *alive, unsigned serial) {
    struct quoit_engine_options options = {
        .struct_size = sizeof options,
        .mode = serial % 5 == 4 ? QUOIT_ENGINE_HOST_DRIVEN : QUOIT_ENGINE_THREAD,
        .capabilities_off = life_rungs[serial / 5 % LIFE_RUNGS],
    };
    *alive = (struct alive){.is_driven = options.mode == QUOIT_ENGINE_HOST_DRIVEN};
    EXPECT(life_open(&options, &alive->engine, &alive->port) == 0);
    EXPECT(submit_some(alive, serial) == 0);
    for (int i = 0; alive->is_driven && i < 3; i++) {
        EXPECT(quoit_engine_tick(alive->engine) >= 0);
    }
    struct quoit_event event;
    if (!alive->is_driven && serial % 3 == 0) { // let something begin to come
        EXPECT(quoit_port_wait(alive->port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
        alive->num_pending -= event.type == QUOIT_EVENT_FAILED || event.type == QUOIT_EVENT_DONE;
        EXPECT(quoit_port_advance(alive->port) == QUOIT_OK);
    }
    EXPECT(quoit_engine_close(alive->engine, serial % 4 == 0 ? 2 : 0) == QUOIT_OK);
    return 0;
}

static int drive(const struct alive *alive) {
    struct pollfd wait = {.fd = quoit_engine_fd(alive->engine), .events = POLLIN};
    int64_t timeout_ms = quoit_engine_timeout_ms(alive->engine);
    if (timeout_ms != 0) {
        poll(&wait, 1, timeout_ms < 0 || timeout_ms > HOST_WAIT_MS ? HOST_WAIT_MS : (int)timeout_ms);
    }
    EXPECT(quoit_engine_tick(alive->engine) >= 0);
    return 0;
}

static int end(struct alive *alive) {
    struct quoit_event event = {0};
    while (event.type != QUOIT_EVENT_CLOSED) {
        int32_t num = quoit_port_wait(alive->port, &event, sizeof event, 1, alive->is_driven ? 0 : HOST_WAIT_MS);
        EXPECT(num == 1 || (alive->is_driven && num == 0));
        if (num == 0) { // the engine has nothing to say while there are events
            EXPECT(drive(alive) == 0);
        }
        if (num == 1 && (event.type == QUOIT_EVENT_DONE || event.type == QUOIT_EVENT_FAILED)) {
            EXPECT(alive->num_pending-- > 0); // no end comes twice
        }
        EXPECT(quoit_port_advance(alive->port) == QUOIT_OK);
        event.type = num == 1 ? event.type : 0;
    }
    EXPECT(alive->num_pending == 0); // and none is lost
    int32_t code = QUOIT_ERR_BUSY;
    while (code == QUOIT_ERR_BUSY) { // the one with the old handles is inside just now
        code = quoit_engine_destroy(alive->engine);
    }
    EXPECT(code == QUOIT_OK);
    return 0;
}

static int make_and_end(void) {
    struct alive alive[ALIVE_MAX];
    unsigned num_alive = 0;
    unsigned oldest = 0;
    for (;;) {
        unsigned left = atomic_load(&churn.num_left);
        while (left > 0 && !atomic_compare_exchange_weak(&churn.num_left, &left, left - 1)) {
        }
        if (num_alive > 0 && (left == 0 || num_alive == ALIVE_MAX)) {
            EXPECT(end(&alive[oldest]) == 0);
            oldest = (oldest + 1) % ALIVE_MAX;
            num_alive--;
        }
        if (left > 0) {
            EXPECT(begin(&alive[(oldest + num_alive++) % ALIVE_MAX], left) == 0);
        } else if (num_alive == 0) {
            return 0;
        }
    }
}

static void *churn_main(void *argument) {
    (void)argument;
    return (void *)(intptr_t)make_and_end();
}

static bool is_one_of(int32_t code, const int32_t *codes) {
    for (; *codes >= 0; codes++) {
        if (code == *codes) {
            return true;
        }
    }
    return false;
}

// Calls on whatever engine was last heard of. It may be alive, closing, gone, or another one in the same place.
static int call_on_old_handles(void) {
    static const int32_t k_maybe[] = {QUOIT_OK, QUOIT_ERR_STALE_HANDLE, -1};
    struct quoit_engine_info info = {.struct_size = sizeof info};
    while (!atomic_load(&churn.is_over)) {
        struct quoit_engine engine = {.id = atomic_load(&churn.some_engine)};
        struct quoit_port port = {.id = atomic_load(&churn.some_port)};
        struct quoit_handle handle = {.id = atomic_load(&churn.some_handle)};
        EXPECT(is_one_of(quoit_engine_info(engine, &info), k_maybe));
        EXPECT(is_one_of(quoit_cancel(engine, handle), k_maybe));
        EXPECT(is_one_of(quoit_grant(engine, handle, 1), k_maybe));
        EXPECT(is_one_of(quoit_answer(engine, handle.id, QUOIT_ANSWER_YES), k_maybe));
        (void)quoit_port_fd(port);
        EXPECT(is_one_of(quoit_engine_close(engine, 5), k_maybe));
    }
    return 0;
}

static void *pest_main(void *argument) {
    (void)argument;
    return (void *)(intptr_t)call_on_old_handles();
}

static int run_churn(unsigned num_engines) {
    pthread_t threads[NUM_THREADS];
    pthread_t pest;
    void *result;
    int line = 0;
    atomic_store(&churn.num_left, num_engines);
    atomic_store(&churn.is_over, false);
    EXPECT(pthread_create(&pest, NULL, pest_main, NULL) == 0);
    for (int i = 0; i < NUM_THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, churn_main, NULL) == 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(threads[i], &result);
        line = line == 0 ? (int)(intptr_t)result : line;
    }
    atomic_store(&churn.is_over, true);
    pthread_join(pest, &result);
    return line == 0 ? (int)(intptr_t)result : line;
}

// A thread that was joined stands in /proc for a moment longer; the server hears of the ends a moment later.
static int expect_calm(unsigned num_threads, unsigned num_fds) {
    struct bench_server_counters counters = {.open = 1};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && (counters.open > 0 || life_num_threads() != num_threads); left_ms--) {
        bench_server_counters(server, &counters);
        poll(NULL, 0, 1);
    }
    EXPECT(counters.open == 0);
    EXPECT(life_num_threads() == num_threads);
    EXPECT(life_num_fds() == num_fds);
    return 0;
}

static int make_a_thousand(void) {
    server = bench_server_start(NULL);
    EXPECT(server != NULL);
    unsigned num_threads = life_num_threads();
    unsigned num_fds = life_num_fds();
    EXPECT(run_churn(NUM_WARM) == 0);
    EXPECT(expect_calm(num_threads, num_fds) == 0);
    size_t heap = mallinfo2().uordblks;
    EXPECT(run_churn(NUM_ENGINES - NUM_WARM) == 0);
    EXPECT(expect_calm(num_threads, num_fds) == 0);
    size_t heap_after = mallinfo2().uordblks;
    if (!LIFE_SANITIZED && heap_after > heap + SLACK_HEAP) {
        fprintf(stderr, "heap: %zu to %zu\n", heap, heap_after);
        EXPECT(false);
    }
    bench_server_stop(server);
    return 0;
}

static void a_thousand_engines_leave_nothing_behind(void **state) {
    (void)state;
    assert_int_equal(make_a_thousand(), 0);
}

static int make_a_thousand_as_an_ordinary_user(struct life_child *child, void *context) {
    (void)child;
    (void)context;
    struct rlimit memlock = {.rlim_cur = MEMLOCK, .rlim_max = MEMLOCK};
    EXPECT(setrlimit(RLIMIT_MEMLOCK, &memlock) == 0);
    EXPECT(life_become_ordinary() == 0);
    return make_a_thousand();
}

static void so_do_those_of_an_ordinary_user(void **state) {
    (void)state;
    if (geteuid() != 0) {
        print_message("not root: the test above was that of an ordinary user\n");
        skip();
    }
    life_child_run(make_a_thousand_as_an_ordinary_user, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_do_those_of_an_ordinary_user), // first: before this process has threads of its own
        cmocka_unit_test(a_thousand_engines_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

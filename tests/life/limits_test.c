// The lowest limits that a process can be given, and the end of a process whose engine runs. Each case in a child, which
// gives up root and its capabilities where root would not be held to the limit.
#include "tests/life/life.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/server/server.h"

enum {
    NUM_AT_ONCE = 40,
    EXIT_CODE = 7,
};

static struct bench_server *server;
static char url[HOST_URL_MAX];
static char silent_url[HOST_URL_MAX];

static int set_limit(int resource, rlim_t limit) {
    struct rlimit both = {.rlim_cur = limit, .rlim_max = limit};
    EXPECT(setrlimit(resource, &both) == 0);
    return 0;
}

// --- descriptors -------------------------------------------------------------------------------------------------------

// More requests than there are descriptors, each on a connection of its own: each ends once, by whatever typed end.
static int ask_at_once(struct quoit_engine engine, struct quoit_port port) {
    struct quoit_request *request = NULL;
    struct quoit_event event;
    unsigned num_done = 0;
    EXPECT(quoit_request_new("GET", url, &request) == QUOIT_OK);
    for (uint64_t i = 0; i < NUM_AT_ONCE; i++) {
        EXPECT(quoit_submit(engine, port, request, i, NULL) == QUOIT_OK);
    }
    quoit_request_release(request);
    for (unsigned num_ended = 0; num_ended < NUM_AT_ONCE;) {
        EXPECT(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
        bool is_end = event.type == QUOIT_EVENT_DONE || event.type == QUOIT_EVENT_FAILED;
        num_ended += is_end;
        num_done += event.type == QUOIT_EVENT_DONE;
        EXPECT(event.type != QUOIT_EVENT_FAILED || event.u.summary.failure.code == QUOIT_ERR_SOCKET_FAILED ||
               event.u.summary.failure.code == QUOIT_ERR_FD_LIMIT);
        EXPECT(quoit_port_advance(port) == QUOIT_OK);
    }
    return (int)num_done;
}

static int live_with_few_descriptors(struct life_child *child, void *context) {
    uint32_t capabilities_off = *(const uint32_t *)context;
    struct quoit_engine_options options = {.struct_size = sizeof options, .capabilities_off = capabilities_off};
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_failure failure;
    int num_whole = 0;
    for (int fd = 3; fd < 256; fd++) {
        if (fd != child->link) {
            close(fd);
        }
    }
    EXPECT(dup2(child->link, 3) == 3);
    close(child->link);
    child->link = 3;
    for (rlim_t limit = 0; limit <= 24; limit++) {
        struct rlimit few = {.rlim_cur = limit, .rlim_max = 1024};
        EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
        int32_t code = quoit_engine_create(&options, &engine, &failure);
        if (code != QUOIT_OK && code != QUOIT_ERR_FD_LIMIT) {
            fprintf(stderr, "with %u descriptors: %s (%s)\n", (unsigned)limit, quoit_error_name(code),
                    quoit_errno_name(failure.os_errno));
        }
        EXPECT(code == QUOIT_OK || code == QUOIT_ERR_FD_LIMIT);
        EXPECT(failure.code == code && (code == QUOIT_OK || failure.phase == QUOIT_PHASE_CREATE));
        if (code != QUOIT_OK) {
            continue;
        }
        code = quoit_port_create(engine, NULL, &port);
        EXPECT(code == QUOIT_OK || code == QUOIT_ERR_FD_LIMIT);
        if (code == QUOIT_OK) {
            num_whole += ask_at_once(engine, port) == NUM_AT_ONCE;
        } else { // somebody must see the end
            few.rlim_cur = 1024;
            EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
            EXPECT(quoit_port_create(engine, NULL, &port) == QUOIT_OK);
        }
        EXPECT(life_shut(engine, port) == 0);
    }
    EXPECT(num_whole > 0); // with a few dozen all goes well already
    return 0;
}

static void few_descriptors_are_told_as_such(void **state) {
    (void)state;
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        uint32_t capabilities_off = life_rungs[rung];
        life_child_run(live_with_few_descriptors, &capabilities_off);
    }
}

// --- memory and threads ------------------------------------------------------------------------------------------------

enum { NOT_HELD = 1 }; // in *context: the kernel did not hold the child to the limit

static int create_with(int resource, rlim_t limit, int32_t wanted, int32_t os_errno) {
    struct rlimit soft = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_failure failure = {0};
    EXPECT(getrlimit(resource, &soft) == 0);
    rlim_t before = soft.rlim_cur;
    EXPECT(life_become_ordinary() == 0);
    soft.rlim_cur = limit;
    EXPECT(setrlimit(resource, &soft) == 0);
    int32_t code = quoit_engine_create(NULL, &engine, &failure);
    if (code == QUOIT_OK) {
        return -NOT_HELD;
    }
    fprintf(stderr, "create: %s, %s\n", quoit_error_name(code), quoit_error_sentence(code));
    EXPECT(code == wanted && failure.code == wanted && failure.os_errno == os_errno);
    struct quoit_probe_result probe = {.struct_size = sizeof probe};
    EXPECT(quoit_probe(&probe) == QUOIT_OK);
    EXPECT(resource != RLIMIT_MEMLOCK || probe.failure.code == wanted);
    soft.rlim_cur = before; // and it is no lasting harm
    EXPECT(setrlimit(resource, &soft) == 0);
    EXPECT(life_open(NULL, &engine, &port) == 0);
    return life_shut(engine, port);
}

static int report(struct life_child *child, int line) {
    if (line == -NOT_HELD) {
        life_child_say(child);
    }
    return line == -NOT_HELD ? 0 : line;
}

static int create_without_locked_memory(struct life_child *child, void *context) {
    (void)context;
    return report(child, create_with(RLIMIT_MEMLOCK, 0, QUOIT_ERR_RING_MEMLOCK, ENOMEM));
}

static int create_without_a_thread(struct life_child *child, void *context) {
    (void)context;
    return report(child, create_with(RLIMIT_NPROC, 0, QUOIT_ERR_THREAD_FAILED, EAGAIN));
}

static void run_held(int (*run)(struct life_child *child, void *context)) {
    struct life_child child = life_child_begin(run, NULL);
    char said;
    int status = 0;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    bool is_not_held = recv(child.link, &said, 1, MSG_DONTWAIT) == 1;
    close(child.link);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    if (is_not_held) {
        print_message("this kernel does not hold a process to the limit: not run\n");
        skip();
    }
}

static void no_locked_memory_is_told_as_such(void **state) {
    (void)state;
    run_held(create_without_locked_memory);
}

static void no_thread_is_told_as_such(void **state) {
    (void)state;
    run_held(create_without_a_thread);
}

// Just enough for rings of the smallest size: they are made, smaller, and work.
static int live_with_little_locked_memory(struct life_child *child, void *context) {
    (void)child;
    (void)context;
    EXPECT(set_limit(RLIMIT_MEMLOCK, 24 << 10) == 0);
    EXPECT(life_become_ordinary() == 0);
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request = NULL;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    EXPECT(life_open(NULL, &engine, &port) == 0);
    EXPECT(quoit_engine_info(engine, &info) == QUOIT_OK);
    fprintf(stderr, "a ring of %u and %u entries\n", info.ring_sq_entries, info.ring_cq_entries);
    EXPECT(quoit_request_new("GET", url, &request) == QUOIT_OK);
    for (int i = 0; i < 20; i++) {
        EXPECT(life_ask(engine, port, request) == QUOIT_OK);
    }
    EXPECT(ask_at_once(engine, port) == NUM_AT_ONCE); // more at once than the ring has entries
    quoit_request_release(request);
    return life_shut(engine, port);
}

static void little_locked_memory_makes_smaller_rings(void **state) {
    (void)state;
    life_child_run(live_with_little_locked_memory, NULL);
}

// --- the end of a process ----------------------------------------------------------------------------------------------

enum way { BY_EXIT, BY_EXIT_OF_THE_LOOP, BY_EXIT_WHILE_CLOSING, BY_QUICK_EXIT, NUM_WAYS };

static void exit_at_the_head(void *context, const struct quoit_event *event) {
    (void)context;
    if (event->type == QUOIT_EVENT_HEAD) {
        exit(EXIT_CODE);
    }
}

static void *submit_for_ever(void *context) {
    struct quoit_engine engine = *(const struct quoit_engine *)context;
    struct quoit_port_options small = {.struct_size = sizeof small, .capacity = 64};
    struct quoit_port port;
    struct quoit_request *request = NULL;
    struct quoit_event events[16];
    if (quoit_port_create(engine, &small, &port) != QUOIT_OK || quoit_request_new("GET", url, &request) != QUOIT_OK) {
        return NULL;
    }
    for (;;) {
        int32_t code = quoit_submit(engine, port, request, 1, NULL);
        if (code != QUOIT_OK && code != QUOIT_ERR_PORT_FULL) {
            return NULL; // it is closing
        }
        (void)quoit_port_drain(port, events, sizeof events[0], 16);
        (void)quoit_port_advance(port);
    }
}

static int leave(struct life_child *child, void *context) {
    enum way way = *(const enum way *)context;
    static struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_port inline_port;
    struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_INLINE, .on_event = exit_at_the_head};
    struct quoit_request *request = NULL;
    struct quoit_request *silent = NULL;
    struct quoit_event event;
    pthread_t threads[2];
    (void)child;
    EXPECT(life_open(NULL, &engine, &port) == 0);
    EXPECT(quoit_port_create(engine, &options, &inline_port) == QUOIT_OK);
    EXPECT(quoit_request_new("GET", url, &request) == QUOIT_OK);
    EXPECT(quoit_request_new("GET", silent_url, &silent) == QUOIT_OK);
    for (int i = 0; i < 8; i++) {
        EXPECT(quoit_submit(engine, port, i % 2 == 0 ? request : silent, 1, NULL) == QUOIT_OK);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_create(&threads[i], NULL, submit_for_ever, &engine) == 0);
    }
    EXPECT(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
    switch (way) {
    case BY_EXIT_OF_THE_LOOP:
        EXPECT(quoit_submit(engine, inline_port, request, 1, NULL) == QUOIT_OK);
        for (;;) {
            pause(); // the callback ends the process
        }
    case BY_EXIT_WHILE_CLOSING: EXPECT(quoit_engine_close(engine, 0) == QUOIT_OK); exit(EXIT_CODE);
    case BY_QUICK_EXIT: _exit(EXIT_CODE);
    default: exit(EXIT_CODE);
    }
}

static void a_process_ends_cleanly_with_its_engine_running(void **state) {
    (void)state;
    for (int i = 0; i < 3 * NUM_WAYS; i++) {
        enum way way = i % NUM_WAYS;
        struct life_child child = life_child_begin(leave, &way);
        int status = life_child_end(&child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_CODE) {
            fail_msg("way %d: wait status 0x%x", way, (unsigned)status);
        }
    }
    // Nobody's connections outlive him.
    struct bench_server_counters counters = {.open = 1};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0 && counters.open > 0; left_ms--) {
        bench_server_counters(server, &counters);
        poll(NULL, 0, 1);
    }
    assert_int_equal(counters.open, 0);
}

static int start(void **state) {
    (void)state;
    server = bench_server_start(NULL);
    bench_server_url(server, "/size/100", url, sizeof url);
    bench_server_url(server, "/size/100?silent=1", silent_url, sizeof silent_url);
    return server == NULL;
}

static int stop(void **state) {
    (void)state;
    bench_server_stop(server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_locked_memory_is_told_as_such),
        cmocka_unit_test(no_thread_is_told_as_such),
        cmocka_unit_test(little_locked_memory_makes_smaller_rings),
        cmocka_unit_test(few_descriptors_are_told_as_such),
        cmocka_unit_test(a_process_ends_cleanly_with_its_engine_running),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

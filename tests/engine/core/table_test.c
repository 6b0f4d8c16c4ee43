// Names of engines: those that are gone, those that were never there, and those of a parent process.
#include "tests/engine/core/host.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "engine/core/table.h"

static struct host host;

static struct quoit_engine create(void) {
    struct quoit_engine engine = {0};
    struct quoit_failure failure;
    assert_int_equal(quoit_engine_create(NULL, &engine, &failure), QUOIT_OK);
    assert_int_not_equal(engine.id, 0);
    return engine;
}

static void close_and_destroy(struct quoit_engine engine) {
    struct quoit_port port;
    struct quoit_event event;
    assert_int_equal(quoit_port_create(engine, NULL, &port), QUOIT_OK);
    assert_int_equal(quoit_engine_close(engine, 0), QUOIT_OK);
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    assert_int_equal(quoit_engine_destroy(engine), QUOIT_OK);
}

static void assert_stale(struct quoit_engine engine) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(engine, &info), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_engine_close(engine, 0), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_engine_destroy(engine), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_cancel(engine, (struct quoit_handle){0}), QUOIT_ERR_STALE_HANDLE);
}

static void a_handle_that_was_never_given_is_stale(void **state) {
    (void)state;
    static const uint64_t k_ids[] = {0, 1, 0xffff, 0x10000, UINT64_MAX, UINT64_C(1) << 63};
    struct quoit_engine engine = create();
    for (size_t i = 0; i < Q_COUNT_OF(k_ids); i++) {
        assert_stale((struct quoit_engine){.id = k_ids[i]});
    }
    for (int bit = 0; bit < 64; bit++) { // no neighbour of a good handle is good
        assert_stale((struct quoit_engine){.id = engine.id ^ (UINT64_C(1) << bit)});
    }
    close_and_destroy(engine);
}

static void a_place_that_is_used_again_has_another_name(void **state) {
    (void)state;
    struct quoit_engine first = create();
    close_and_destroy(first);
    assert_stale(first);
    struct quoit_engine second = create();
    assert_int_equal(second.id & 0xffff, first.id & 0xffff); // the same place
    assert_int_not_equal(second.id, first.id);
    assert_stale(first);
    close_and_destroy(second);
    assert_stale(first);
    assert_stale(second);
}

static void handles_of_two_engines_do_not_mix(void **state) {
    (void)state;
    struct quoit_engine first = create();
    struct quoit_engine second = create();
    struct quoit_port port;
    assert_int_not_equal(first.id, second.id);
    struct quoit_port own_port; // the same place in its engine as the stranger
    assert_int_equal(quoit_port_create(first, NULL, &port), QUOIT_OK);
    assert_int_equal(quoit_port_create(second, NULL, &own_port), QUOIT_OK);
    struct quoit_request *request = host_request("GET", "http://127.0.0.1:1/");
    assert_int_equal(quoit_submit(second, port, request, 1, NULL), QUOIT_ERR_STALE_HANDLE);
    quoit_request_release(request);
    close_and_destroy(first);
    assert_int_equal(quoit_port_fd(port), -1);
    close_and_destroy(second);
}

static void the_table_has_an_end(void **state) {
    static struct q_table_entry *entries[Q_TABLE_ENGINES_MAX];
    struct q_table_entry *one_more;
    size_t count = 0;
    (void)state;
    while (count < Q_TABLE_ENGINES_MAX && !q_error_is(q_table_take(&entries[count]))) {
        count++;
    }
    assert_int_equal(count, Q_TABLE_ENGINES_MAX);
    struct q_error error = q_table_take(&one_more);
    assert_int_equal(error.code, Q_ERR_ENGINES_MAX);
    assert_int_equal(error.phase, Q_PHASE_CREATE);
    while (count > 0) {
        q_table_give_back(entries[--count]);
    }
    assert_false(q_error_is(q_table_take(&one_more)));
    q_table_give_back(one_more);
}

// --- fork
// -------------------------------------------------------------------------------------------------------------

// What a child is told: its exit status is the number of the first expectation that failed, 0 for none.
struct parent {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle;
    struct quoit_request *request;
    struct quoit_slice slice;
    const char *url;
};

#define EXPECT(is)                                                                                                     \
    do {                                                                                                               \
        if (!(is)) {                                                                                                   \
            return __LINE__;                                                                                           \
        }                                                                                                              \
    } while (0)

static int every_call_is_refused(struct parent *parent) {
    struct quoit_event event;
    struct quoit_slice slice;
    struct quoit_port port;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    EXPECT(quoit_engine_info(parent->engine, &info) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_close(parent->engine, 0) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_destroy(parent->engine) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_tick(parent->engine) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_fd(parent->engine) == -1);
    EXPECT(quoit_engine_timeout_ms(parent->engine) == 0);
    EXPECT(quoit_port_create(parent->engine, NULL, &port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_fd(parent->port) == -1);
    EXPECT(quoit_port_drain(parent->port, &event, sizeof event, 1) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_wait(parent->port, &event, sizeof event, 1, 0) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_advance(parent->port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_take(parent->port, &event, &slice) == QUOIT_ERR_FORKED);
    slice = parent->slice;
    EXPECT(quoit_slice_release(parent->engine, &slice) == QUOIT_ERR_FORKED);
    EXPECT(quoit_submit(parent->engine, parent->port, parent->request, 9, NULL) == QUOIT_ERR_FORKED);
    EXPECT(quoit_cancel(parent->engine, parent->handle) == QUOIT_ERR_FORKED);
    EXPECT(quoit_grant(parent->engine, parent->handle, 1) == QUOIT_ERR_FORKED);
    EXPECT(quoit_answer(parent->engine, 1, QUOIT_ANSWER_YES) == QUOIT_ERR_FORKED);
    return 0;
}

// The child's own engine, with the parent's frozen request.
__attribute__((unused)) static int own_engine_works(struct parent *parent) {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_event event;
    uint32_t last = 0;
    EXPECT(quoit_engine_create(NULL, &engine, NULL) == QUOIT_OK);
    EXPECT(engine.id != parent->engine.id);
    EXPECT(quoit_port_create(engine, NULL, &port) == QUOIT_OK);
    EXPECT(quoit_submit(engine, port, parent->request, 1, NULL) == QUOIT_OK);
    while (last != QUOIT_EVENT_DONE) {
        EXPECT(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
        EXPECT(event.type != QUOIT_EVENT_FAILED);
        last = event.type;
        EXPECT(quoit_port_advance(port) == QUOIT_OK);
    }
    EXPECT(every_call_is_refused(parent) == 0); // still, although the child has an engine now
    EXPECT(quoit_engine_close(engine, 0) == QUOIT_OK);
    EXPECT(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
    EXPECT(event.type == QUOIT_EVENT_CLOSED);
    EXPECT(quoit_engine_destroy(engine) == QUOIT_OK);
    return 0;
}

static int exit_line_of(int (*run)(struct parent *parent), struct parent *parent) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int line = run(parent);
        if (line != 0) {
            dprintf(STDOUT_FILENO, "child: line %d\n", line);
        }
        _exit(line != 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) {
        fail_msg("the child was killed by signal %d", WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}

static bool take_first_piece(struct parent *parent) {
    struct quoit_event event;
    bool has_taken = false;
    for (uint32_t last = 0; last != QUOIT_EVENT_DONE; last = event.type) {
        assert_int_equal(quoit_port_wait(parent->port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
        if (event.type == QUOIT_EVENT_DATA && !has_taken) {
            assert_int_equal(quoit_port_take(parent->port, &event, &parent->slice), QUOIT_OK);
            has_taken = true;
        }
        host_note(&host, &event);
        assert_int_equal(quoit_port_advance(parent->port), QUOIT_OK);
    }
    return has_taken;
}

static void a_forked_child_is_told_and_its_parent_goes_on(void **state) {
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    char url[HOST_URL_MAX];
    char silent_url[HOST_URL_MAX];
    assert_non_null(server);
    bench_server_url(server, "/size/1000", url, sizeof url);
    bench_server_url(server, "/size/10?delay_ms=300", silent_url, sizeof silent_url);
    host_start(&host, NULL, NULL);
    struct parent parent = {.engine = host.engine, .port = host.port, .request = host_request("GET", url), .url = url};
    assert_int_equal(quoit_request_freeze(parent.request), QUOIT_OK);
    host_get(&host, 0, url);
    assert_true(take_first_piece(&parent));
    host_get(&host, 1, silent_url); // in flight across the forks
    parent.handle = host.records[1].handle;

    assert_int_equal(exit_line_of(every_call_is_refused, &parent), 0);
#if !defined(__SANITIZE_THREAD__) // which ends a process that makes threads behind a fork of many
    assert_int_equal(exit_line_of(own_engine_works, &parent), 0);
#endif

    host_assert_done(host_wait(&host, 1), 10);
    assert_int_equal(host.records[1].summary.reused, 1); // the connection outlived both children
    assert_int_equal(host.records[1].summary.attempts, 1);
    assert_int_equal(quoit_slice_release(parent.engine, &parent.slice), QUOIT_OK);
    host_fetch(&host, 2, url, 1000);
    assert_int_equal(host_info(&host).connections_opened, 1);
    quoit_request_release(parent.request);
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_that_was_never_given_is_stale),
        cmocka_unit_test(a_place_that_is_used_again_has_another_name),
        cmocka_unit_test(handles_of_two_engines_do_not_mix),
        cmocka_unit_test(the_table_has_an_end),
        cmocka_unit_test(a_forked_child_is_told_and_its_parent_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Fork: what the peer sees of it, and children of many kinds: preforked ones, grandchildren, those that outlive their
// parent, those that are forked on the loop and go back into it. (The states of an engine: fork_states_test.)
#include "tests/life/inheritance.h"

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum {
    PREFORK_CHILDREN = 8,
    PREFORK_REQUESTS = 20,
};

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"

static struct host host;

static struct {
    struct bench_gate reached; // the other side has come to where it waits
    struct bench_gate go;
} gates;

// --- what the peer sees ------------------------------------------------------------------------------------------------

static int wait_for_the_parent(struct life_child *child, void *context) {
    (void)context;
    life_child_say(child);
    life_child_wait(child); // with every descriptor and mapping that it inherited
    return 0;
}

static const struct bench_step k_answer_twice[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                   {.kind = BENCH_SEND, .bytes = ANSWER},
                                                   {.kind = BENCH_EXPECT_REQUEST},
                                                   {.kind = BENCH_SEND, .bytes = ANSWER},
                                                   {.kind = BENCH_OPEN, .gate = &gates.reached},
                                                   {.kind = BENCH_EXPECT_CLOSE},
                                                   {0}};

static void the_peer_sees_the_end_when_the_parent_closes_and_not_when_the_child_ends(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        struct quoit_engine_options options = {.capabilities_off = life_rungs[rung]};
        bench_gate_init(&gates.reached);
        struct bench_scripted *scripted = bench_scripted_start_one(k_answer_twice);
        assert_non_null(scripted);
        bench_scripted_url(scripted, "/", url, sizeof url);
        host_start(&host, &options, NULL);
        host_get(&host, 0, url);
        host_assert_done(host_wait(&host, 0), 10);
        struct life_child first = life_child_begin(wait_for_the_parent, NULL);
        struct life_child second = life_child_begin(wait_for_the_parent, NULL);
        life_child_hear(&first);
        life_child_hear(&second);
        life_child_must_succeed(&first); // ends, with its copies of all
        host_get(&host, 1, url);
        host_assert_done(host_wait(&host, 1), 10);
        assert_int_equal(host.records[1].summary.reused, 1);
        assert_true(bench_gate_wait(&gates.reached, -1, HOST_WAIT_MS)); // the peer waits for the end now
        host_stop(&host);
        assert_int_equal(bench_scripted_wait(scripted, 0, HOST_WAIT_MS), BENCH_SCRIPT_DONE);
        life_child_must_succeed(&second); // was there all the time
        assert_int_equal(bench_scripted_accepted(scripted), 1);
        bench_scripted_stop(scripted);
        bench_gate_deinit(&gates.reached);
    }
}

#if LIFE_CHILD_HAS_THREADS
// struct line is what is handed down a line of processes.
struct line {
    struct quoit_engine_options options;
    struct inheritance of[2];
    const char *url;
};

// The parent of a process that outlives it. It ends without a word to its engine.
static int die_before_the_child(struct life_child *child, void *context) {
    const struct line *line = context;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request = NULL;
    EXPECT(life_open(&line->options, &engine, &port) == 0);
    EXPECT(quoit_request_new("GET", line->url, &request) == QUOIT_OK);
    EXPECT(life_ask(engine, port, request) == QUOIT_OK);
    pid_t survivor = fork();
    EXPECT(survivor >= 0);
    if (survivor == 0) {
        close(child->link); // or it would look as if its parent lived
        bool is_let_go = bench_gate_wait(&gates.go, -1, HOST_WAIT_MS);
        bench_gate_open(&gates.reached);
        _exit(is_let_go ? 0 : 1);
    }
    return 0;
}

static const struct bench_step k_answer_once[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_SEND, .bytes = ANSWER},
                                                  {.kind = BENCH_EXPECT_CLOSE},
                                                  {0}};

// Without the hidden ring (kernels before 6.3) the child has the ring's number too, and keeps all that is in the ring.
static void a_parent_that_dies_leaves_no_connection_to_its_child(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        if (life_rungs[rung] & QUOIT_CAP_HIDDEN_RING) {
            continue;
        }
        bench_gate_init(&gates.reached);
        bench_gate_init(&gates.go);
        struct bench_scripted *scripted = bench_scripted_start_one(k_answer_once);
        assert_non_null(scripted);
        bench_scripted_url(scripted, "/", url, sizeof url);
        struct line line = {.options = {.struct_size = sizeof line.options, .capabilities_off = life_rungs[rung]},
                            .url = url};
        life_child_run(die_before_the_child, &line);
        assert_int_equal(bench_scripted_wait(scripted, 0, HOST_WAIT_MS), BENCH_SCRIPT_DONE);
        bench_gate_open(&gates.go); // the survivor was there until now:
        assert_true(bench_gate_wait(&gates.reached, -1, HOST_WAIT_MS));
        bench_scripted_stop(scripted);
        bench_gate_deinit(&gates.go);
        bench_gate_deinit(&gates.reached);
    }
}

// --- children of many kinds --------------------------------------------------------------------------------------------

static int serve(struct life_child *child, void *context) {
    (void)child;
    return life_fetch(NULL, context, PREFORK_REQUESTS);
}

static void prefork(const char *url) {
    struct life_child children[PREFORK_CHILDREN];
    for (int i = 0; i < PREFORK_CHILDREN; i++) {
        children[i] = life_child_begin(serve, (void *)(uintptr_t)url);
    }
    for (int i = 0; i < PREFORK_CHILDREN; i++) {
        life_child_must_succeed(&children[i]);
    }
}

static void eight_children_have_an_engine_each(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/1000", url, sizeof url);
    prefork(url);
    // Once more, with engines and connections in the parent.
    host_start(&host, NULL, NULL);
    host_fetch(&host, 0, url, 1000);
    prefork(url);
    host_fetch(&host, 1, url, 1000);
    assert_int_equal(host.records[1].summary.reused, 1);
    host_stop(&host);
    struct bench_server_counters counters;
    bench_server_counters(server, &counters);
    assert_int_equal(counters.requests, 2 * PREFORK_CHILDREN * PREFORK_REQUESTS + 2);
    bench_server_stop(server);
}

static int grandchild(struct life_child *child, void *context) {
    struct line *line = context;
    (void)child;
    EXPECT(inheritance_is_refused(&line->of[0]) == 0);
    EXPECT(inheritance_is_refused(&line->of[1]) == 0);
    return life_fetch(NULL, line->url, 1);
}

static int child_with_a_child(struct life_child *child, void *context) {
    struct line *line = context;
    struct inheritance *own = &line->of[1];
    (void)child;
    EXPECT(life_open(NULL, &own->engine, &own->port) == 0);
    own->request = line->of[0].request;
    EXPECT(life_ask(own->engine, own->port, own->request) == QUOIT_OK);
    struct life_child next = life_child_begin(grandchild, line);
    int status = life_child_end(&next);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(life_ask(own->engine, own->port, own->request) == QUOIT_OK);
    EXPECT(inheritance_is_refused(&line->of[0]) == 0);
    return life_shut(own->engine, own->port);
}

static void a_grandchild_is_refused_by_the_engines_of_both(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/10", url, sizeof url);
    host_start(&host, NULL, NULL);
    host_fetch(&host, 0, url, 10);
    struct line line = {.url = url};
    line.of[0] = (struct inheritance){
        .engine = host.engine, .port = host.port, .handle = host.records[0].handle, .request = host_request("GET", url)};
    life_child_run(child_with_a_child, &line);
    quoit_request_release(line.of[0].request);
    host_fetch(&host, 1, url, 10);
    assert_int_equal(host_info(&host).connections_opened, 1);
    host_stop(&host);
    bench_server_stop(server);
}

#endif

// Forked on the loop thread itself, the child runs on a copy of the loop's stack, and is a stranger all the same.
static struct life_child child_of_the_loop;

static void fork_at_the_head(struct host *of, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_HEAD && event->user_data == 0) {
        child_of_the_loop = life_child_begin(inheritance_is_refused_and_replaced, of->context);
    }
}

static void a_fork_on_the_loop_thread_is_like_any_other(void **state) {
    struct quoit_port_options port = {.mode = QUOIT_PORT_INLINE};
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/50000", url, sizeof url);
    host_start(&host, NULL, &port);
    struct inheritance of = {.options = {.struct_size = sizeof of.options},
                             .engine = host.engine,
                             .port = host.port,
                             .request = host_request("GET", url),
                             .url = url};
    assert_int_equal(quoit_request_freeze(of.request), QUOIT_OK);
    host.context = &of;
    host.on_event = fork_at_the_head;
    host_get(&host, 0, url);
    host_assert_done(host_wait(&host, 0), 50000);
    life_child_must_succeed(&child_of_the_loop);
    host_fetch(&host, 1, url, 50000);
    assert_int_equal(host.records[1].summary.reused, 1);
    quoit_request_release(of.request);
    host_stop(&host);
    bench_server_stop(server);
}

// --- children that go back into the loop ------------------------------------------------------------------------------

enum { ORDERLY = 7 }; // the status of a child that came to where it should

static pid_t returned; // from its callback, as if nothing had happened; 0 in the child, -1: not forked yet

static pthread_t main_thread;

// The first exit handler to run, before any of a sanitizer that would look for what the parent's threads held. A copy
// of the main thread would be one that has gone on with the tests.
static void be_orderly(void) { _exit(pthread_equal(pthread_self(), main_thread) ? 1 : ORDERLY); }

static void fork_and_return(struct host *of, const struct quoit_event *event) {
    (void)of;
    if (event->type == QUOIT_EVENT_HEAD && returned < 0) {
        fflush(NULL);
        returned = fork();
        if (returned == 0 && atexit(be_orderly) != 0) {
            _exit(1);
        }
    }
}

static void fork_in_release(void *context, const void *data, size_t len) {
    (void)data;
    (void)len;
    fork_and_return(NULL, context);
}

// Who submits has let the request go before its end comes: the last to hold it, who runs its release, is the loop.
static void wait_for_the_submitter(struct host *of, const struct quoit_event *event) {
    (void)of;
    if (event->type == QUOIT_EVENT_HEAD && !bench_gate_wait(&gates.go, -1, HOST_WAIT_MS)) {
        _exit(1);
    }
}

static int status_of_returned(void) {
    int status = -1;
    for (int left_ms = HOST_WAIT_MS; waitpid(returned, &status, WNOHANG) == 0; left_ms--) {
        assert_true(left_ms > 0);
        poll(NULL, 0, 1);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Its only thread is the copy of the loop's, which ends; and with it the child, by exit.
static void a_child_that_returns_into_the_loop_ends_with_its_thread(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/50000", url, sizeof url);
    for (int in_release = 0; in_release < 2; in_release++) {
        struct quoit_event head = {.type = QUOIT_EVENT_HEAD};
        struct quoit_request *request = host_request("POST", url);
        returned = -1;
        bench_gate_init(&gates.go);
        host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
        host.on_event = in_release ? wait_for_the_submitter : fork_and_return;
        if (in_release) {
            assert_int_equal(quoit_request_set_body(request, "x", 1, fork_in_release, &head), QUOIT_OK);
        }
        host_submit(&host, 0, request);
        bench_gate_open(&gates.go);
        host_assert_done(host_wait(&host, 0), 50000);
        host_stop(&host); // the release, too, has come
        assert_true(returned > 0);
        assert_int_equal(status_of_returned(), ORDERLY);
        bench_gate_deinit(&gates.go);
    }
    bench_server_stop(server);
}

// The tick that it is in says so, and it is a child like any other.
static void a_child_that_returns_into_a_tick_is_told_there(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/size/50000", url, sizeof url);
    returned = -1;
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN},
               &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = fork_and_return;
    host_get(&host, 0, url);
    while (returned < 0) {
        int32_t code = quoit_engine_tick(host.engine);
        if (returned == 0) {
            bool is_told = code == -QUOIT_ERR_FORKED && quoit_engine_tick(host.engine) == -QUOIT_ERR_FORKED;
            _exit(is_told && quoit_engine_close(host.engine, 0) == QUOIT_ERR_FORKED ? ORDERLY : 1);
        }
        assert_true(code >= 0);
    }
    host_assert_done(host_wait(&host, 0), 50000);
    assert_int_equal(status_of_returned(), ORDERLY);
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    main_thread = pthread_self();
    const struct CMUnitTest tests[] = {
#if LIFE_CHILD_HAS_THREADS
        cmocka_unit_test(eight_children_have_an_engine_each), // first: from a parent that has never had one
        cmocka_unit_test(a_grandchild_is_refused_by_the_engines_of_both),
        cmocka_unit_test(a_parent_that_dies_leaves_no_connection_to_its_child),
#endif
        cmocka_unit_test(the_peer_sees_the_end_when_the_parent_closes_and_not_when_the_child_ends),
        cmocka_unit_test(a_fork_on_the_loop_thread_is_like_any_other),
        cmocka_unit_test(a_child_that_returns_into_the_loop_ends_with_its_thread),
        cmocka_unit_test(a_child_that_returns_into_a_tick_is_told_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

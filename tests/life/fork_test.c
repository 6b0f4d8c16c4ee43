// Fork, in every state of an engine. The child is refused by name on everything that it has from its parent, may close
// every descriptor that it inherited, and has engines of its own; the parent's connections do not notice.
#include "tests/life/life.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum {
    PREFORK_CHILDREN = 8,
    PREFORK_REQUESTS = 20,
    LONG_DRAIN_MS = 60000,
};

static struct host host;

// struct inheritance is what a child has of its parent.
struct inheritance {
    struct quoit_engine_options options;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle;
    struct quoit_request *request;
    const char *url;
};

static int every_call_is_refused(const struct inheritance *of) {
    struct quoit_event event = {.type = QUOIT_EVENT_DATA};
    struct quoit_port port;
    char byte = 0;
    struct quoit_slice slice = {.data = &byte, .len = 1, .owner = &byte};
    struct quoit_slice taken;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    EXPECT(quoit_engine_info(of->engine, &info) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_tick(of->engine) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_fd(of->engine) == -1);
    EXPECT(quoit_engine_timeout_ms(of->engine) == 0);
    struct quoit_request_state state = {.struct_size = sizeof state};
    EXPECT(quoit_request_state(of->engine, of->handle, &state) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_create(of->engine, NULL, &port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_submit(of->engine, of->port, of->request, 1, NULL) == QUOIT_ERR_FORKED);
    EXPECT(quoit_cancel(of->engine, of->handle) == QUOIT_ERR_FORKED);
    EXPECT(quoit_grant(of->engine, of->handle, 1) == QUOIT_ERR_FORKED);
    EXPECT(quoit_answer(of->engine, 1, QUOIT_ANSWER_YES) == QUOIT_ERR_FORKED);
    EXPECT(quoit_slice_release(of->engine, &slice) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_fd(of->port) == -1);
    EXPECT(quoit_port_drain(of->port, &event, sizeof event, 1) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_wait(of->port, &event, sizeof event, 1, -1) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_advance(of->port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_take(of->port, &event, &taken) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_close(of->engine, 0) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_destroy(of->engine) == QUOIT_ERR_FORKED);
    return 0;
}

// What a daemon does to what it inherited. A number that meant something to the parent's engine is a stranger's soon.
static void close_all_but_the_link(const struct life_child *child) {
    for (int fd = 3; fd < 1024; fd++) {
        if (fd != child->link) {
            close(fd);
        }
    }
}

static int child_with_an_engine_of_its_own(struct life_child *child, void *context) {
    struct inheritance *of = context;
    EXPECT(every_call_is_refused(of) == 0);
    close_all_but_the_link(child);
    EXPECT(!LIFE_CHILD_HAS_THREADS || life_fetch(&of->options, of->url, 3) == 0);
    EXPECT(every_call_is_refused(of) == 0); // still
    quoit_request_release(of->request);     // its copy of the memory
    return 0;
}

// --- every state -------------------------------------------------------------------------------------------------------

enum state { IDLE, CONNECTING, AWAITING_HEAD, RECEIVING, CLOSING, CLOSED, NUM_STATES };

// More than the backlog of the deaf listener: whether each of them gets in does not matter.
#define NUM_FILLERS 4

#define FIRST_HALF "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
#define SECOND_HALF "56789"

static struct {
    struct bench_gate reached; // the scripted peer has come to where it waits
    struct bench_gate go;
    struct bench_scripted *scripted;
    struct bench_server *server;
    struct bench_server *deaf;
    int fillers[NUM_FILLERS];
    char url[HOST_URL_MAX];
    char scripted_url[HOST_URL_MAX];
    char deaf_url[HOST_URL_MAX];
} peers;

static const struct bench_step k_before_head[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_OPEN, .gate = &peers.reached},
                                                  {.kind = BENCH_WAIT, .gate = &peers.go},
                                                  {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
                                                  {.kind = BENCH_REPEAT},
                                                  {0}};
static const struct bench_step k_amid_body[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                {.kind = BENCH_SEND, .bytes = FIRST_HALF},
                                                {.kind = BENCH_OPEN, .gate = &peers.reached},
                                                {.kind = BENCH_WAIT, .gate = &peers.go},
                                                {.kind = BENCH_SEND, .bytes = SECOND_HALF},
                                                {.kind = BENCH_REPEAT},
                                                {0}};

// Begins to connect and does not wait for it.
static int knock(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_true(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
    return fd;
}

static void peers_start(enum state state) {
    bench_gate_init(&peers.reached);
    bench_gate_init(&peers.go);
    peers.scripted = bench_scripted_start_one(state == RECEIVING ? k_amid_body : k_before_head);
    peers.server = bench_server_start(NULL);
    // A listener whose backlog is full answers no SYN; the kernel lets one more in than the backlog says.
    peers.deaf = bench_server_start(&(struct bench_server_options){.backlog = 1});
    assert_true(peers.scripted != NULL && peers.server != NULL && peers.deaf != NULL);
    bench_server_set_accepting(peers.deaf, false);
    for (int i = 0; i < NUM_FILLERS; i++) {
        peers.fillers[i] = knock(bench_server_port(peers.deaf));
    }
    bench_server_url(peers.server, "/size/10", peers.url, sizeof peers.url);
    bench_server_url(peers.deaf, "/size/10", peers.deaf_url, sizeof peers.deaf_url);
    bench_scripted_url(peers.scripted, "/", peers.scripted_url, sizeof peers.scripted_url);
}

static void peers_stop(void) {
    for (int i = 0; i < NUM_FILLERS; i++) {
        close(peers.fillers[i]);
    }
    bench_server_stop(peers.deaf);
    bench_server_stop(peers.server);
    bench_scripted_stop(peers.scripted);
    bench_gate_deinit(&peers.reached);
    bench_gate_deinit(&peers.go);
}

static void wait_until_reached(void) {
    for (int left_ms = HOST_WAIT_MS; !bench_gate_wait(&peers.reached, -1, 1); left_ms--) {
        assert_true(left_ms > 0);
        if (host.engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host.engine) >= 0);
        }
    }
}

// Brings the engine into the state; request 0 is the one that is in flight, if any.
static void reach(enum state state) {
    switch (state) {
    case IDLE:
    case CLOSED: host_fetch(&host, 0, peers.url, 10); break;
    case CONNECTING:
        host_get(&host, 0, peers.deaf_url);
        host_until(&host, host_is_open, 1);
        break;
    case RECEIVING:
    case AWAITING_HEAD:
    case CLOSING:
        host_get(&host, 0, peers.scripted_url);
        wait_until_reached();
        if (state == RECEIVING) {
            host_wait_body(&host, 0, strlen("01234"));
        }
        break;
    default: fail_msg("no such state");
    }
    if (state == CLOSING) {
        assert_int_equal(quoit_engine_close(host.engine, LONG_DRAIN_MS), QUOIT_OK);
    } else if (state == CLOSED) {
        host_close_and_wait(&host, 0);
    }
}

// The parent goes on from where it was, as if there had never been a child.
static void go_on(enum state state) {
    switch (state) {
    case IDLE: {
        uint32_t connection = host.records[0].summary.connection_id; // over: nobody writes it any more
        host_fetch(&host, 1, peers.url, 10);
        assert_int_equal(host.records[1].summary.reused, 1);
        assert_int_equal(host.records[1].summary.connection_id, connection);
        break;
    }
    case CONNECTING:
        assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
        assert_int_equal(host_wait(&host, 0)->summary.failure.code, QUOIT_ERR_CANCELED);
        break;
    case RECEIVING:
    case AWAITING_HEAD:
        for (uint32_t i = 0; i < 2; i++) {
            bench_gate_open(&peers.go);
            host_assert_done(host_wait(&host, i), 10);
            if (i == 0) {
                host_get(&host, 1, peers.scripted_url);
            }
        }
        assert_int_equal(host.records[1].summary.reused, 1);
        assert_int_equal(bench_scripted_accepted(peers.scripted), 1);
        break;
    case CLOSING:
        bench_gate_open(&peers.go);
        host_assert_done(host_wait(&host, 0), 10);
        break;
    default: break;
    }
    if (state != CLOSED) {
        host_close_and_wait(&host, 0);
    }
    host_destroy(&host);
}

static void fork_in(enum state state, uint32_t engine_mode, uint32_t port_mode, uint32_t capabilities_off) {
    struct quoit_engine_options engine = {
        .struct_size = sizeof engine, .mode = engine_mode, .capabilities_off = capabilities_off};
    struct quoit_port_options port = {.mode = port_mode};
    peers_start(state);
    host_start(&host, &engine, &port);
    reach(state);
    engine.mode = QUOIT_ENGINE_THREAD; // the child's own
    struct inheritance of = {.options = engine,
                             .engine = host.engine,
                             .port = host.port,
                             .handle = host.records[0].handle,
                             .request = host_request("GET", peers.url),
                             .url = peers.url};
    assert_int_equal(quoit_request_freeze(of.request), QUOIT_OK);
    life_child_run(child_with_an_engine_of_its_own, &of);
    quoit_request_release(of.request);
    go_on(state);
    peers_stop();
}

static void a_child_is_refused_and_its_parent_goes_on_in_every_state(void **state) {
    (void)state;
    for (int i = 0; i < NUM_STATES; i++) {
        fork_in(i, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, 0);
    }
}

static void so_it_is_with_callbacks_on_the_loop(void **state) {
    (void)state;
    for (int i = 0; i < NUM_STATES; i++) {
        fork_in(i, QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE, 0);
    }
}

static void so_it_is_with_an_engine_that_its_host_drives(void **state) {
    (void)state;
    for (int i = 0; i < NUM_STATES; i++) {
        fork_in(i, QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, 0);
    }
}

static void so_it_is_on_every_rung(void **state) {
    (void)state;
    for (int rung = 1; rung < LIFE_RUNGS; rung++) {
        fork_in(IDLE, QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, life_rungs[rung]);
        fork_in(RECEIVING, QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, life_rungs[rung]);
    }
}

// --- what the peer sees ------------------------------------------------------------------------------------------------

static int wait_for_the_parent(struct life_child *child, void *context) {
    (void)context;
    life_child_say(child);
    life_child_wait(child); // with every descriptor and mapping that it inherited
    return 0;
}

static const struct bench_step k_answer_twice[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                   {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
                                                   {.kind = BENCH_EXPECT_REQUEST},
                                                   {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
                                                   {.kind = BENCH_OPEN, .gate = &peers.reached},
                                                   {.kind = BENCH_EXPECT_CLOSE},
                                                   {0}};

static void the_peer_sees_the_end_when_the_parent_closes_and_not_when_the_child_ends(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        struct quoit_engine_options options = {.capabilities_off = life_rungs[rung]};
        bench_gate_init(&peers.reached);
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
        assert_true(bench_gate_wait(&peers.reached, -1, HOST_WAIT_MS)); // the peer waits for the end now
        host_stop(&host);
        assert_int_equal(bench_scripted_wait(scripted, 0, HOST_WAIT_MS), BENCH_SCRIPT_DONE);
        life_child_must_succeed(&second); // was there all the time
        assert_int_equal(bench_scripted_accepted(scripted), 1);
        bench_scripted_stop(scripted);
        bench_gate_deinit(&peers.reached);
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
        bool is_let_go = bench_gate_wait(&peers.go, -1, HOST_WAIT_MS);
        bench_gate_open(&peers.reached);
        _exit(is_let_go ? 0 : 1);
    }
    return 0;
}

static const struct bench_step k_answer_once[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
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
        bench_gate_init(&peers.reached);
        bench_gate_init(&peers.go);
        struct bench_scripted *scripted = bench_scripted_start_one(k_answer_once);
        assert_non_null(scripted);
        bench_scripted_url(scripted, "/", url, sizeof url);
        struct line line = {.options = {.struct_size = sizeof line.options, .capabilities_off = life_rungs[rung]},
                            .url = url};
        life_child_run(die_before_the_child, &line);
        assert_int_equal(bench_scripted_wait(scripted, 0, HOST_WAIT_MS), BENCH_SCRIPT_DONE);
        bench_gate_open(&peers.go); // the survivor was there until now:
        assert_true(bench_gate_wait(&peers.reached, -1, HOST_WAIT_MS));
        bench_scripted_stop(scripted);
        bench_gate_deinit(&peers.go);
        bench_gate_deinit(&peers.reached);
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
    EXPECT(every_call_is_refused(&line->of[0]) == 0);
    EXPECT(every_call_is_refused(&line->of[1]) == 0);
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
    EXPECT(every_call_is_refused(&line->of[0]) == 0);
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
        child_of_the_loop = life_child_begin(child_with_an_engine_of_its_own, of->context);
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

// The first exit handler to run, before any of a sanitizer that would look for what the parent's threads held.
static void be_orderly(void) { _exit(ORDERLY); }

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
        host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
        host.on_event = in_release ? NULL : fork_and_return;
        if (in_release) {
            assert_int_equal(quoit_request_set_body(request, "x", 1, fork_in_release, &head), QUOIT_OK);
        }
        host_submit(&host, 0, request);
        host_assert_done(host_wait(&host, 0), 50000);
        host_stop(&host); // the release, too, has come
        assert_true(returned > 0);
        assert_int_equal(status_of_returned(), ORDERLY);
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
    const struct CMUnitTest tests[] = {
#if LIFE_CHILD_HAS_THREADS
        cmocka_unit_test(eight_children_have_an_engine_each), // first: from a parent that has never had one
        cmocka_unit_test(a_grandchild_is_refused_by_the_engines_of_both),
        cmocka_unit_test(a_parent_that_dies_leaves_no_connection_to_its_child),
#endif
        cmocka_unit_test(a_child_is_refused_and_its_parent_goes_on_in_every_state),
        cmocka_unit_test(so_it_is_with_callbacks_on_the_loop),
        cmocka_unit_test(so_it_is_with_an_engine_that_its_host_drives),
        cmocka_unit_test(so_it_is_on_every_rung),
        cmocka_unit_test(the_peer_sees_the_end_when_the_parent_closes_and_not_when_the_child_ends),
        cmocka_unit_test(a_fork_on_the_loop_thread_is_like_any_other),
        cmocka_unit_test(a_child_that_returns_into_the_loop_ends_with_its_thread),
        cmocka_unit_test(a_child_that_returns_into_a_tick_is_told_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

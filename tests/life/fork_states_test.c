// Fork, in every state of a request and of an engine. The child is refused by name on everything that it has from its
// parent, may close every descriptor that it inherited, and has an engine of its own; the parent goes on from where it
// was, as if there had never been a child.
#include "tests/life/inheritance.h"

#include <stdint.h>
#include <unistd.h>

#include "bench/server/body.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum {
    VICTIM = 0,          // the request that is in flight when the process forks, if any
    OTHER = 1,           // one before it, or behind it
    SIZE = 10,           // of a small body
    PAUSED_SIZE = 40000, // more than a receive takes without credit
    LONG_DRAIN_MS = 60000,
};

static struct host host;
static uint8_t large[LIFE_LARGE]; // lent to the engine; the child has a copy
static uint32_t num_returned;     // so often

static struct {
    struct bench_gate reached; // the scripted peer has come to where it waits
    struct bench_gate go;
    struct bench_scripted *scripted;
    struct bench_server *server;
    struct bench_server *deaf;
    int fillers[LIFE_KNOCKS];
    char url[HOST_URL_MAX];
    char scripted_url[HOST_URL_MAX];
    char deaf_url[HOST_URL_MAX];
} peers;

#define FIRST_HALF "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
#define SECOND_HALF "56789"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: talk\r\n\r\n"

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
static const struct bench_step k_before_request[] = {{.kind = BENCH_WAIT, .gate = &peers.go},
                                                     {.kind = BENCH_EXPECT_REQUEST},
                                                     {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
                                                     {0}};
static const struct bench_step k_amid_redirect[] = {
    {.kind = BENCH_EXPECT_REQUEST},
    {.kind = BENCH_SEND, .bytes = "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 10\r\n\r\n01234"},
    {.kind = BENCH_WAIT, .gate = &peers.go},
    {.kind = BENCH_SEND, .bytes = SECOND_HALF},
    {.kind = BENCH_EXPECT_REQUEST},
    {.kind = BENCH_SEND, .bytes = FIRST_HALF SECOND_HALF},
    {0}};
static const struct bench_step k_amid_stream[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                  {.kind = BENCH_SEND, .bytes = SWITCHING "01234"},
                                                  {.kind = BENCH_EXPECT_BYTES, .bytes = "before"},
                                                  {.kind = BENCH_OPEN, .gate = &peers.reached},
                                                  {.kind = BENCH_WAIT, .gate = &peers.go},
                                                  {.kind = BENCH_EXPECT_BYTES, .bytes = "behind"},
                                                  {.kind = BENCH_SEND, .bytes = SECOND_HALF},
                                                  {.kind = BENCH_FIN},
                                                  {0}};
static const struct bench_step k_ends_and_reads_late[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                          {.kind = BENCH_SEND, .bytes = SWITCHING},
                                                          {.kind = BENCH_WAIT, .gate = &peers.go},
                                                          {.kind = BENCH_FIN},
                                                          {.kind = BENCH_WAIT, .gate = &peers.go},
                                                          {0}};

// --- requests ----------------------------------------------------------------------------------------------------------

static void wait_until_reached(void) {
    for (int left_ms = HOST_WAIT_MS; !bench_gate_wait(&peers.reached, -1, 1); left_ms--) {
        assert_true(left_ms > 0);
        if (host.engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host.engine) >= 0);
        }
    }
}

static void note_return(void *context, const void *data, size_t len) {
    assert_true(context == &host && data == large && len == sizeof large);
    num_returned++;
}

static void ask_for_a_redirect(bool is_asking) {
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = 5, .ask = is_asking};
    struct quoit_request *request = host_request("GET", peers.scripted_url);
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    host_submit(&host, VICTIM, request);
}

static void upgrade(void) {
    struct quoit_request *request = host_request("GET", peers.scripted_url);
    assert_int_equal(quoit_request_set_upgrade(request, "talk", strlen("talk")), QUOIT_OK);
    assert_int_equal(quoit_request_set_feed_max(request, sizeof large), QUOIT_OK);
    host_submit(&host, VICTIM, request);
    host_wait_head(&host, VICTIM);
}

static void feed(const char *text) {
    struct quoit_handle handle = host.records[VICTIM].handle;
    assert_int_equal(quoit_feed(host.engine, handle, text, strlen(text), NULL, NULL), QUOIT_OK);
}

static const struct host_record *wait_for_answer(uint32_t index) {
    const struct host_record *record = host_wait(&host, index);
    host_assert_done(record, SIZE);
    assert_string_equal(record->text, "0123456789");
    assert_int_equal(bench_scripted_accepted(peers.scripted), 1);
    return record;
}

// The peer has all that was lent, as it was, at the end of what it received.
static void assert_peer_has_large(void) {
    size_t len = bench_scripted_received(peers.scripted, 0, NULL, 0);
    assert_true(len > sizeof large);
    char *received = malloc(len);
    assert_non_null(received);
    assert_int_equal(bench_scripted_received(peers.scripted, 0, received, len), len);
    assert_memory_equal(received + len - sizeof large, large, sizeof large);
    free(received);
}

// --- every state: how it is reached, and how the parent goes on --------------------------------------------------------

static void reach_idle(void) { host_fetch(&host, VICTIM, peers.url, SIZE); }

static void go_on_with_the_next(void) {
    const struct host_record *record = host_wait(&host, VICTIM);
    host_assert_done(record, record->body_len);
    assert_false(record->is_foreign);
    uint32_t connection = record->summary.connection_id; // over: nobody writes it any more
    host_fetch(&host, OTHER, peers.url, SIZE);
    assert_int_equal(host.records[OTHER].summary.reused, 1);
    assert_int_equal(host.records[OTHER].summary.connection_id, connection);
}

// Where the host drives, the engine has not seen it; elsewhere it may have.
static void reach_new(void) { host_get(&host, VICTIM, peers.url); }

static void reach_queued(void) {
    host_get(&host, OTHER, peers.scripted_url);
    wait_until_reached();
    host_get(&host, VICTIM, peers.scripted_url);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_QUEUED);
}

static void go_on_queued(void) {
    bench_gate_open(&peers.go);
    wait_for_answer(OTHER);
    bench_gate_open(&peers.go);
    assert_int_equal(wait_for_answer(VICTIM)->summary.reused, 1);
}

static void reach_connecting(void) {
    host_get(&host, VICTIM, peers.deaf_url);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_CONNECTING);
}

static void go_on_connecting(void) {
    assert_int_equal(quoit_cancel(host.engine, host.records[VICTIM].handle), QUOIT_OK);
    host_assert_failed(host_wait(&host, VICTIM), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
}

static void reach_sending(void) {
    struct quoit_request *request = host_request("POST", peers.scripted_url);
    assert_int_equal(quoit_request_set_body(request, large, sizeof large, note_return, &host), QUOIT_OK);
    host_submit(&host, VICTIM, request);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_SENDING);
}

static void go_on_sending(void) {
    bench_gate_open(&peers.go);
    wait_for_answer(VICTIM);
    assert_peer_has_large();
}

static void reach_awaiting(void) {
    host_get(&host, VICTIM, peers.scripted_url);
    wait_until_reached();
}

static void reach_receiving(void) {
    reach_awaiting();
    host_wait_body(&host, VICTIM, strlen("01234"));
}

static void go_on_with_both_halves(void) {
    bench_gate_open(&peers.go);
    wait_for_answer(VICTIM);
    bench_gate_open(&peers.go);
    host_get(&host, OTHER, peers.scripted_url);
    assert_int_equal(wait_for_answer(OTHER)->summary.reused, 1);
}

static void reach_paused(void) {
    char url[HOST_URL_MAX];
    char path[32];
    snprintf(path, sizeof path, "/size/%u", PAUSED_SIZE);
    struct quoit_request *request = host_request("GET", bench_server_url(peers.server, path, url, sizeof url));
    assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
    host_submit(&host, VICTIM, request);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_PAUSED);
}

static void go_on_paused(void) {
    assert_int_equal(quoit_grant(host.engine, host.records[VICTIM].handle, PAUSED_SIZE), QUOIT_OK);
    host_assert_done(host_wait(&host, VICTIM), PAUSED_SIZE);
    assert_false(host.records[VICTIM].is_foreign);
    go_on_with_the_next();
}

static void reach_asking(void) {
    ask_for_a_redirect(true);
    host_wait_question(&host, VICTIM);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_ASKING);
}

static void go_on_asking(void) {
    assert_int_equal(quoit_answer(host.engine, host.records[VICTIM].token, QUOIT_ANSWER_YES), QUOIT_OK);
    bench_gate_open(&peers.go);
    assert_int_equal(wait_for_answer(VICTIM)->summary.num_redirects, 1);
}

static void reach_discarding(void) {
    ask_for_a_redirect(false);
    host_until_stage(&host, VICTIM, QUOIT_STAGE_RECEIVING);
}

static void go_on_discarding(void) {
    bench_gate_open(&peers.go);
    assert_int_equal(wait_for_answer(VICTIM)->summary.num_redirects, 1);
}

static void reach_upgraded(void) {
    upgrade();
    feed("before");
    wait_until_reached();
    host_wait_body(&host, VICTIM, strlen("01234"));
}

static void go_on_upgraded(void) {
    feed("behind");
    bench_gate_open(&peers.go);
    wait_for_answer(VICTIM);
    assert_int_equal(bench_scripted_wait(peers.scripted, 0, HOST_WAIT_MS), BENCH_SCRIPT_DONE);
}

static void reach_flushing(void) {
    upgrade();
    struct quoit_handle handle = host.records[VICTIM].handle;
    assert_int_equal(quoit_feed(host.engine, handle, large, sizeof large, note_return, &host), QUOIT_OK);
    bench_gate_open(&peers.go); // the peer ends its direction now
    life_until_flushing(&host, VICTIM);
}

static void go_on_flushing(void) {
    bench_gate_open(&peers.go);
    host_assert_done(host_wait(&host, VICTIM), 0);
    assert_true(bench_scripted_wait_closed(peers.scripted, 0, HOST_WAIT_MS));
    assert_peer_has_large();
}

// Its end is not drained, unless the port is inline.
static void reach_ended(void) {
    host_get(&host, VICTIM, peers.url);
    host_until(&host, host_is_pending, 0);
}

static void reach_closing(void) {
    reach_awaiting();
    assert_int_equal(quoit_engine_close(host.engine, LONG_DRAIN_MS), QUOIT_OK);
}

static void go_on_closing(void) {
    bench_gate_open(&peers.go);
    wait_for_answer(VICTIM);
}

static void reach_closed(void) {
    reach_idle();
    host_close_and_wait(&host, 0);
}

static const struct situation {
    const struct bench_step *script; // NULL: nobody talks to the scripted peer
    void (*reach)(void);
    void (*go_on)(void); // NULL: it is over
    uint32_t connections_per_origin_max;
    bool is_large_lent;
} k_situations[] = {
    {NULL, reach_idle, go_on_with_the_next, 0, false},
    {NULL, reach_new, go_on_with_the_next, 0, false},
    {k_before_head, reach_queued, go_on_queued, 1, false},
    {NULL, reach_connecting, go_on_connecting, 0, false},
    {k_before_request, reach_sending, go_on_sending, 0, true},
    {k_before_head, reach_awaiting, go_on_with_both_halves, 0, false},
    {k_amid_body, reach_receiving, go_on_with_both_halves, 0, false},
    {NULL, reach_paused, go_on_paused, 0, false},
    {k_amid_redirect, reach_asking, go_on_asking, 0, false},
    {k_amid_redirect, reach_discarding, go_on_discarding, 0, false},
    {k_amid_stream, reach_upgraded, go_on_upgraded, 0, false},
    {k_ends_and_reads_late, reach_flushing, go_on_flushing, 0, true},
    {NULL, reach_ended, go_on_with_the_next, 0, false},
    {k_before_head, reach_closing, go_on_closing, 0, false},
    {NULL, reach_closed, NULL, 0, false},
};

enum { NUM_SITUATIONS = sizeof k_situations / sizeof k_situations[0] };

// --- the fork ----------------------------------------------------------------------------------------------------------

static void peers_start(const struct bench_step *script) {
    bench_gate_init(&peers.reached);
    bench_gate_init(&peers.go);
    peers.scripted = bench_scripted_start_one(script != NULL ? script : k_before_head);
    peers.server = bench_server_start(NULL);
    // A listener whose backlog is full answers no SYN; the kernel lets one more in than the backlog says.
    peers.deaf = bench_server_start(&(struct bench_server_options){.backlog = 1});
    assert_true(peers.scripted != NULL && peers.server != NULL && peers.deaf != NULL);
    bench_server_set_accepting(peers.deaf, false);
    host_route.bare_ports[0] = bench_server_port(peers.deaf);
    for (int i = 0; i < LIFE_KNOCKS; i++) {
        peers.fillers[i] = life_knock(bench_server_port(peers.deaf));
    }
    bench_server_url(peers.server, "/size/10", peers.url, sizeof peers.url);
    bench_server_url(peers.deaf, "/size/10", peers.deaf_url, sizeof peers.deaf_url);
    bench_scripted_url(peers.scripted, "/", peers.scripted_url, sizeof peers.scripted_url);
}

static void peers_stop(void) {
    for (int i = 0; i < LIFE_KNOCKS; i++) {
        close(peers.fillers[i]);
    }
    bench_server_stop(peers.deaf);
    bench_server_stop(peers.server);
    bench_scripted_stop(peers.scripted);
    bench_gate_deinit(&peers.reached);
    bench_gate_deinit(&peers.go);
}

static void fork_in(const struct situation *in, uint32_t engine_mode, uint32_t port_mode, uint32_t capabilities_off) {
    struct quoit_engine_options engine = {.struct_size = sizeof engine,
                                          .mode = engine_mode,
                                          .capabilities_off = capabilities_off,
                                          .connections_per_origin_max = in->connections_per_origin_max};
    struct quoit_port_options port = {.mode = port_mode};
    peers_start(in->script);
    host_start(&host, &engine, &port);
    num_returned = 0;
    in->reach();
    engine.mode = QUOIT_ENGINE_THREAD; // the child's own
    struct inheritance of = {.options = engine,
                             .engine = host.engine,
                             .port = host.port,
                             .handle = host.records[VICTIM].handle,
                             .token = host.records[VICTIM].token,
                             .request = host_request("GET", peers.url),
                             .url = peers.url};
    assert_int_equal(quoit_request_freeze(of.request), QUOIT_OK);
    life_child_run(inheritance_is_refused_and_replaced, &of);
    quoit_request_release(of.request);
    if (in->go_on != NULL) {
        in->go_on();
        host_close_and_wait(&host, 0);
    }
    host_destroy(&host);
    assert_int_equal(num_returned, in->is_large_lent);
    peers_stop();
}

static void a_child_is_refused_and_its_parent_goes_on_in_every_state(void **state) {
    (void)state;
    for (int i = 0; i < NUM_SITUATIONS; i++) {
        fork_in(&k_situations[i], QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, 0);
    }
}

static void so_it_is_with_callbacks_on_the_loop(void **state) {
    (void)state;
    for (int i = 0; i < NUM_SITUATIONS; i++) {
        fork_in(&k_situations[i], QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE, 0);
    }
}

static void so_it_is_with_an_engine_that_its_host_drives(void **state) {
    (void)state;
    for (int i = 0; i < NUM_SITUATIONS; i++) {
        fork_in(&k_situations[i], QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, 0);
    }
}

static void so_it_is_on_every_rung(void **state) {
    (void)state;
    for (int rung = 1; rung < LIFE_RUNGS; rung++) {
        for (int i = 0; i < NUM_SITUATIONS; i++) {
            fork_in(&k_situations[i], i % 2 == 0 ? QUOIT_ENGINE_THREAD : QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD,
                    life_rungs[rung]);
        }
    }
}

static int fill_large(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = bench_server_body_byte(i);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_refused_and_its_parent_goes_on_in_every_state),
        cmocka_unit_test(so_it_is_with_callbacks_on_the_loop),
        cmocka_unit_test(so_it_is_with_an_engine_that_its_host_drives),
        cmocka_unit_test(so_it_is_on_every_rung),
    };
    return cmocka_run_group_tests(tests, fill_large, NULL);
}

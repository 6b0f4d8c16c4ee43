// From bytes to events: credit, lending, and the order of what a host is told.
#include "tests/engine/core/host.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "engine/core/engine.h"

enum { BUFFER = 16384 };

static struct host host;
static char the_url[HOST_URL_MAX];

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

static struct quoit_request *request_with_credit(uint64_t bytes, int32_t manual) {
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_request_set_credit(request, bytes, manual), QUOIT_OK);
    return request;
}

// Lets the loop do whatever it still wants to do: a fetch of its own on another port, several times.
static void let_the_loop_go_on(struct quoit_port port, const struct bench_server *server) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", bench_server_url(server, "/size/100", url, sizeof url));
    for (int i = 0; i < 20; i++) {
        struct quoit_event events[8];
        assert_int_equal(quoit_submit(host.engine, port, request, 1, NULL), QUOIT_OK);
        for (uint32_t last = 0; last != QUOIT_EVENT_DONE;) {
            int32_t count = quoit_port_wait(port, events, sizeof events[0], 8, HOST_WAIT_MS);
            assert_true(count > 0);
            last = events[count - 1].type;
            assert_int_equal(quoit_port_advance(port), QUOIT_OK);
        }
    }
    quoit_request_release(request);
}

// Drains what is there without advancing; gives the bytes of body.
static uint64_t drain_without_advancing(void) {
    struct quoit_event events[1024];
    int32_t count = quoit_port_drain(host.port, events, sizeof events[0], 1024);
    uint64_t len = 0;
    assert_true(count >= 0 && count < 1024);
    for (int32_t i = 0; i < count; i++) {
        host_note(&host, &events[i]);
        len += events[i].type == QUOIT_EVENT_DATA ? events[i].u.data.len : 0;
    }
    return len;
}

static void automatic_credit_bounds_what_is_on_its_way_and_comes_back(void **state) {
    static const uint64_t k_credits[] = {1, 1000, 20000, 65536};
    enum { LEN = 1000000 };
    (void)state;
    struct bench_server *server = server_start("/size/1000000");
    for (size_t i = 0; i < sizeof k_credits / sizeof k_credits[0]; i++) {
        struct quoit_port port;
        host_start(&host, NULL, NULL);
        assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
        host_submit(&host, 0, request_with_credit(k_credits[i], 0));
        while (host.records[0].num_ends == 0) {
            uint64_t held = 0;
            let_the_loop_go_on(port, server);
            held += drain_without_advancing();
            let_the_loop_go_on(port, server);
            held += drain_without_advancing();
            assert_true(held <= k_credits[i] + Q_ENGINE_LARGE_BYTES);
            assert_true(held > 0 || host.records[0].num_ends > 0);
            assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
            if (host.records[0].body_len > 5 * BUFFER) { // enough looked at
                host_wait(&host, 0);
            }
        }
        host_assert_done(&host.records[0], LEN);
        assert_false(host.records[0].is_foreign);
        host_stop(&host);
    }
    bench_server_stop(server);
}

static void manual_credit_comes_from_grants_alone(void **state) {
    enum { LEN = 200000, STEP = 10000 };
    (void)state;
    struct bench_server *server = server_start("/size/200000?gap_ms=1");
    struct quoit_port port;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    host_submit(&host, 0, request_with_credit(0, 1));
    uint64_t granted = 0;
    while (host.records[0].num_ends == 0) {
        let_the_loop_go_on(port, server);
        (void)drain_without_advancing();
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK); // brings nothing back
        let_the_loop_go_on(port, server);
        (void)drain_without_advancing();
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
        assert_true(host.records[0].body_len <= granted + 2 * BUFFER);
        if (host.records[0].num_ends == 0) {
            assert_int_equal(quoit_grant(host.engine, host.records[0].handle, STEP), QUOIT_OK);
            granted += STEP;
        }
    }
    assert_true(granted >= LEN - 3 * BUFFER);
    host_assert_done(&host.records[0], LEN);
    assert_false(host.records[0].is_foreign);
    host_stop(&host);
    bench_server_stop(server);
}

// A host that grants what it got, octet for octet, never runs dry: nothing is charged but octets of body.
static void manual_credit_is_counted_in_octets_of_body(void **state) {
    static const char *const k_paths[] = {"/size/500000", "/size/50000?chunked=100", "/size/300000?chunked=9000"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bench_server *server = server_start(k_paths[i]);
        host_start(&host, NULL, NULL);
        host_submit(&host, 0, request_with_credit(20000, 1));
        uint64_t granted = 0;
        while (host.records[0].num_ends == 0) {
            host_step(&host);
            uint64_t more = host.records[0].body_len - granted;
            int32_t code = more == 0 ? QUOIT_OK : quoit_grant(host.engine, host.records[0].handle, more);
            assert_true(code == QUOIT_OK || host.records[0].num_ends > 0 || code == QUOIT_ERR_STALE_HANDLE);
            granted += more;
        }
        host_assert_done(&host.records[0], strtoull(k_paths[i] + 6, NULL, 10));
        host_stop(&host);
        bench_server_stop(server);
    }
}

static void what_needs_no_credit_ends_without_any(void **state) {
    static const char *const k_paths[] = {"/size/0", "/size/0?chunked=10", "/status/204", "/status/304"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bench_server *server = server_start(k_paths[i]);
        host_start(&host, NULL, NULL);
        host_submit(&host, 0, request_with_credit(0, 1));
        host_assert_done(host_wait(&host, 0), 0);
        host_stop(&host);
        bench_server_stop(server);
    }
}

static void grants_of_many_threads_add_up(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/300000");
    host_start(&host, NULL, NULL);
    host_submit(&host, 0, request_with_credit(0, 1));
    while (host.records[0].num_ends == 0) {
        for (int i = 0; i < 10; i++) {
            int32_t code = quoit_grant(host.engine, host.records[0].handle, 1000);
            assert_true(code == QUOIT_OK || code == QUOIT_ERR_STALE_HANDLE);
        }
        struct quoit_event events[16];
        int32_t count = quoit_port_wait(host.port, events, sizeof events[0], 16, 5);
        for (int32_t i = 0; i < count; i++) {
            host_note(&host, &events[i]);
        }
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    }
    host_assert_done(&host.records[0], 300000);
    host_stop(&host);
    bench_server_stop(server);
}

struct taken {
    struct quoit_slice slices[64];
    size_t count;
};

static void take(struct host *from, const struct quoit_event *event) {
    struct taken *taken = from->context;
    if (event->type == QUOIT_EVENT_DATA) {
        assert_true(taken->count < 64);
        assert_int_equal(quoit_port_take(from->port, event, &taken->slices[taken->count++]), QUOIT_OK);
    }
}

// Taken bytes count against the credit until they are released, advanced over or not.
static void taken_bytes_hold_the_credit_until_they_are_released(void **state) {
    enum { CREDIT = 40000, LEN = 500000 };
    (void)state;
    struct bench_server *server = server_start("/size/500000");
    struct taken taken = {0};
    struct quoit_port port;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    host.on_event = take;
    host.context = &taken;
    host_submit(&host, 0, request_with_credit(CREDIT, 0));
    for (int i = 0; i < 10; i++) {
        let_the_loop_go_on(port, server);
        (void)drain_without_advancing();
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
        assert_true(host.records[0].body_len <= CREDIT + BUFFER);
    }
    assert_true(host.records[0].body_len > 0);
    while (host.records[0].num_ends == 0) {
        while (taken.count > 0) {
            assert_int_equal(quoit_slice_release(host.engine, &taken.slices[--taken.count]), QUOIT_OK);
        }
        host_step(&host);
    }
    while (taken.count > 0) {
        assert_int_equal(quoit_slice_release(host.engine, &taken.slices[--taken.count]), QUOIT_OK);
    }
    host_assert_done(&host.records[0], LEN);
    assert_false(host.records[0].is_foreign);
    host_stop(&host);
    bench_server_stop(server);
}

// Receive buffers are never the host's for long: with all events of many small answers unread, one connection still
// gets its bytes, and memory stays in its bounds.
static void small_pieces_do_not_hold_receive_buffers(void **state) {
    enum { NUM = 300 };
    (void)state;
    struct bench_server *server = server_start("/size/64");
    struct quoit_port port;
    host_start(&host, &(struct quoit_engine_options){.memory_max = 8 << 20}, NULL);
    assert_int_equal(quoit_port_create(host.engine, NULL, &port), QUOIT_OK);
    for (uint32_t i = 0; i < NUM; i++) {
        host_get(&host, i, the_url);
    }
    host_until(&host, host_is_pending, 0);
    let_the_loop_go_on(port, server);
    struct quoit_engine_info info = host_info(&host);
    assert_true(info.buffer_bytes < 8 << 20);
    assert_int_equal(info.buffers_starved, 0);
    host_wait_all(&host, NUM);
    for (uint32_t i = 0; i < NUM; i++) {
        host_assert_done(&host.records[i], 64);
        assert_false(host.records[i].is_foreign);
    }
    host_stop(&host);
    bench_server_stop(server);
}

// Receives without advancing until half of the credit is there.
static void receive_half_of_the_credit(const char *path, uint64_t credit, uint64_t len_of_all) {
    struct bench_server *server = server_start(path);
    host_start(&host, NULL, NULL);
    host_submit(&host, 0, request_with_credit(credit, 0));
    struct pollfd wait = {.fd = quoit_port_fd(host.port), .events = POLLIN};
    for (uint64_t len = 0; len < credit / 2;) {
        assert_int_equal(poll(&wait, 1, HOST_WAIT_MS), 1);
        len += drain_without_advancing();
    }
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    host_assert_done(host_wait(&host, 0), len_of_all);
    host_stop(&host);
    bench_server_stop(server);
}

// Large pieces are lent, and charged by what they hold on to: at least half of it is body.
static void credit_lets_in_half_of_itself_at_least(void **state) {
    (void)state;
    receive_half_of_the_credit("/size/1000000", 16 * BUFFER, 1000000);
}

// Pieces that lie in one buffer hold on to it together.
static void a_buffer_of_several_pieces_is_charged_once(void **state) {
    (void)state;
    receive_half_of_the_credit("/size/20000000?chunked=10000", UINT64_C(256) * BUFFER, 20000000);
}

// Large chunks, up to so many: fewer than the ring takes at once, so that there are no spare ones.
struct scarcity {
    _Atomic uint32_t num_large_left;
};

static void *allocate_few_large(void *context, size_t size) {
    struct scarcity *scarcity = context;
    bool is_large = size > Q_ENGINE_LARGE_BYTES && size < 2 * Q_ENGINE_LARGE_BYTES;
    if (is_large && atomic_load(&scarcity->num_large_left) == 0) {
        return NULL;
    }
    if (is_large) {
        atomic_fetch_sub(&scarcity->num_large_left, 1);
    }
    return malloc(size);
}

static void release_any(void *context, void *ptr, size_t size) {
    (void)context;
    (void)size;
    free(ptr);
}

// A large piece fits in no chunk that small ones are copied into.
static void a_large_piece_without_a_spare_is_lent_all_the_same(void **state) {
    enum { LEN = 4000000 };
    struct scarcity scarcity = {.num_large_left = 8};
    struct quoit_allocator allocator = {.allocate = allocate_few_large, .release = release_any, .context = &scarcity};
    (void)state;
    struct bench_server *server = server_start("/size/4000000");
    host_start(&host, &(struct quoit_engine_options){.allocator = &allocator}, NULL);
    host_submit(&host, 0, request_with_credit(LEN, 0));
    host_wait(&host, 0);
    assert_int_equal(atomic_load(&scarcity.num_large_left), 0); // it has come to that
    host_assert_done(&host.records[0], LEN);
    assert_false(host.records[0].is_foreign);
    host_stop(&host);
    bench_server_stop(server);
}

// A host that does not look holds a small chunk for each head, and not the large one in which it was read.
static void heads_that_wait_for_their_host_are_small(void **state) {
    enum { MANY = 200, SMALL_CHUNK = 4096 + 256 };
    (void)state;
    struct bench_server *server = server_start("/size/0");
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL); // one is read at a time
    host_get(&host, 0, the_url);
    host_assert_done(host_wait(&host, 0), 0);
    uint64_t before = host_info(&host).buffer_bytes;
    for (uint32_t i = 1; i <= MANY; i++) {
        host_get(&host, i, the_url);
    }
    struct quoit_engine_info info;
    time_t end = time(NULL) + HOST_WAIT_MS / 1000;
    do {
        assert_true(time(NULL) <= end);
        sched_yield();
        info = host_info(&host);
    } while (info.requests_done < MANY + 1);
    assert_true(info.buffer_bytes <= before + MANY * SMALL_CHUNK + 8 * BUFFER); // and what the connection has
    host_wait_all(&host, MANY + 1);
    host_stop(&host);
    bench_server_stop(server);
}

// The memory's limit pauses connections; it fails none of them.
static void requests_wait_for_memory_and_then_go_on(void **state) {
    enum { NUM = 40, LEN = 300000 };
    (void)state;
    struct bench_server *server = server_start("/size/300000");
    host_start(&host, &(struct quoit_engine_options){.memory_max = 2 << 20}, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        host_get(&host, i, the_url);
    }
    host_wait_all(&host, NUM);
    for (uint32_t i = 0; i < NUM; i++) {
        host_assert_done(&host.records[i], LEN);
        assert_false(host.records[i].is_foreign);
    }
    assert_true(host_info(&host).buffer_bytes <= 2 << 20);
    host_stop(&host);
    bench_server_stop(server);
}

// Memory that lies free in one pool is there for the others: bulk first, then trailers, which need another kind.
static void free_memory_of_one_kind_serves_the_others(void **state) {
    enum { NUM = 40 };
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = server_start("/size/300000");
    host_start(&host, &(struct quoit_engine_options){.memory_max = 2 << 20}, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        host_get(&host, i, the_url);
    }
    host_wait_all(&host, NUM);
    bench_server_url(server, "/size/1000?chunked=100&trailers=1", url, sizeof url);
    for (uint32_t i = NUM; i < 2 * NUM; i++) {
        host_get(&host, i, url);
    }
    host_wait_all(&host, 2 * NUM);
    for (uint32_t i = NUM; i < 2 * NUM; i++) {
        host_assert_done(&host.records[i], 1000);
        assert_int_equal(host.records[i].num_trailers, 1);
    }
    host_stop(&host);
    bench_server_stop(server);
}

// --- what is told
// -----------------------------------------------------------------------------------------------------

struct told {
    char text[4096];
};

static void tell(struct host *from, const struct quoit_event *event) {
    struct told *told = from->context;
    size_t len = strlen(told->text);
    const struct quoit_headers *headers = NULL;
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_HEAD:
    case QUOIT_EVENT_TRAILERS:
        headers = event->u.head.headers;
        len += (size_t)snprintf(told->text + len, sizeof told->text - len, "%u %u/%u", event->type,
                                event->u.head.status, event->u.head.http_version);
        break;
    case QUOIT_EVENT_DATA: len += (size_t)snprintf(told->text + len, sizeof told->text - len, "body"); break;
    default: len += (size_t)snprintf(told->text + len, sizeof told->text - len, "%u", event->type); break;
    }
    for (size_t i = 0; i < quoit_headers_count(headers); i++) {
        const char *name;
        const char *value;
        size_t name_len;
        size_t value_len;
        assert_int_equal(quoit_headers_at(headers, i, &name, &name_len, &value, &value_len), 1);
        len += (size_t)snprintf(told->text + len, sizeof told->text - len, " %.*s=%.*s", (int)name_len, name,
                                (int)value_len, value);
    }
    snprintf(told->text + len, sizeof told->text - len, "\n");
}

#define ANSWER                                                                                                         \
    "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\nx: 2\r\n"   \
    "Empty:\r\n\r\n3\r\nabc\r\n0\r\nSum: 6\r\n\r\n"

static void events_come_in_order_with_their_fields(void **state) {
    static const struct bench_step k_whole[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = ANSWER}, {0}};
    static const struct bench_step k_bytewise[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND_PIECES, .bytes = ANSWER, .number = 1}, {0}};
    static const struct bench_step *const k_scripts[] = {k_whole, k_bytewise};
    static const char k_first[] = "1 103/11 Link=<a>\n2 200/11 Transfer-Encoding=chunked X=1 x=2 Empty=\n";
    static const char k_last[] = "4 0/11 Sum=6\n5\n7\n";
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct told told = {0};
        struct bench_scripted *server = bench_scripted_start_one(k_scripts[i / 2]);
        bench_scripted_url(server, "/", the_url, sizeof the_url);
        host_start(&host, NULL, &(struct quoit_port_options){.mode = (uint32_t)i % 2});
        host.on_event = tell;
        host.context = &told;
        host_get(&host, 0, the_url);
        host_assert_done(host_wait(&host, 0), 3);
        host_stop(&host);
        assert_memory_equal(host.records[0].text, "abc", 4);
        assert_memory_equal(told.text, k_first, sizeof k_first - 1);
        size_t len = strlen(told.text);
        assert_string_equal(told.text + len - (sizeof k_last - 1), k_last);
        bench_scripted_stop(server);
    }
}

static void an_old_server_is_told_as_such(void **state) {
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = "HTTP/1.0 200 OK\r\n\r\nold"},
                                                 {.kind = BENCH_FIN},
                                                 {0}};
    struct told told = {0};
    (void)state;
    struct bench_scripted *server = bench_scripted_start_one(k_script);
    bench_scripted_url(server, "/", the_url, sizeof the_url);
    host_start(&host, NULL, NULL);
    host.on_event = tell;
    host.context = &told;
    host_get(&host, 0, the_url);
    host_assert_done(host_wait(&host, 0), 3);
    assert_ptr_equal(strstr(told.text, "2 200/10\n"), told.text);
    host_stop(&host);
    bench_scripted_stop(server);
}

// Five connections for each of 65 hops do not fit the public field.
static void attempts_beyond_what_is_told_are_told_as_the_most(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN, .requests_max = 1}, NULL);
    host_get(&host, 0, bench_server_url(server, "/size/10", url, sizeof url));
    assert_true(quoit_engine_tick(host.engine) >= 0); // it has begun, and waits for its connection
    struct q_engine *engine = q_table_entry_of(host.engine)->engine;
    engine->port_env.requests.slots[0].exchange.summary.attempts = 255;
    host_assert_done(host_wait(&host, 0), 10);
    assert_int_equal(host.records[0].summary.attempts, 255);
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_beyond_what_is_told_are_told_as_the_most),
        cmocka_unit_test(automatic_credit_bounds_what_is_on_its_way_and_comes_back),
        cmocka_unit_test(manual_credit_comes_from_grants_alone),
        cmocka_unit_test(manual_credit_is_counted_in_octets_of_body),
        cmocka_unit_test(what_needs_no_credit_ends_without_any),
        cmocka_unit_test(grants_of_many_threads_add_up),
        cmocka_unit_test(taken_bytes_hold_the_credit_until_they_are_released),
        cmocka_unit_test(small_pieces_do_not_hold_receive_buffers),
        cmocka_unit_test(credit_lets_in_half_of_itself_at_least),
        cmocka_unit_test(a_buffer_of_several_pieces_is_charged_once),
        cmocka_unit_test(a_large_piece_without_a_spare_is_lent_all_the_same),
        cmocka_unit_test(heads_that_wait_for_their_host_are_small),
        cmocka_unit_test(requests_wait_for_memory_and_then_go_on),
        cmocka_unit_test(free_memory_of_one_kind_serves_the_others),
        cmocka_unit_test(events_come_in_order_with_their_fields),
        cmocka_unit_test(an_old_server_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

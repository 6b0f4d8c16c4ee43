// Upgraded requests from outside: the raw stream both ways, its bounds, and all of its ends.
#include "tests/engine/face/streams.h"

#include "bench/server/body.h"
#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"

enum { PIECE = 10000, LONG = 4 << 20, SHORT_MS = 100 };

// Feeds `len` bytes of the body that the host expects; every other piece is lent. Waits for room when it must.
static void feed_body(uint64_t len, uint32_t *out_num_full, uint32_t *out_num_lent) {
    *out_num_full = *out_num_lent = 0;
    uint64_t at = 0;
    for (uint32_t i = 0; at < len; i++) {
        size_t piece = len - at < PIECE ? (size_t)(len - at) : PIECE;
        piece = piece < BENCH_BODY_RUN_MAX ? piece : BENCH_BODY_RUN_MAX;
        int32_t code = i % 2 == 0 ? feed(bench_body_at(at), piece) : lend(bench_body_at(at), piece);
        if (code == QUOIT_ERR_FEED_FULL) {
            ++*out_num_full;
            host_wait_rooms(&host, 0, *out_num_full);
            continue;
        }
        assert_int_equal(code, QUOIT_OK);
        *out_num_lent += i % 2;
        at += piece;
    }
}

static void echo_a_long_stream(uint32_t engine_mode, uint32_t port_mode) {
    struct bench_server *server = echo_start();
    num_released = 0;
    host_start(&host, &(struct quoit_engine_options){.mode = engine_mode},
               &(struct quoit_port_options){.mode = port_mode});
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, 50000), QUOIT_OK);
    assert_int_equal(quoit_request_set_credit(request, 20000, 0), QUOIT_OK);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .body_bytes_max = 1000};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK); // is for bodies
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    uint32_t num_full, num_lent;
    feed_body(LONG, &num_full, &num_lent);
    assert_true(num_full > 0);
    end_feeds();
    const struct host_record *record = host_wait(&host, 0);
    host_assert_done(record, LONG);
    assert_false(record->is_foreign);
    assert_int_equal(record->summary.status, 101);
    assert_true(record->summary.bytes_out > LONG);
    assert_true(record->num_rooms <= num_full);
    host_until(&host, host_is_open, 0); // such a connection serves nobody else
    host_stop(&host);
    assert_int_equal(num_released, num_lent);
    bench_server_stop(server);
}

static void a_long_stream_is_echoed_whole_to_a_draining_host(void **state) {
    (void)state;
    echo_a_long_stream(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
}

static void a_long_stream_is_echoed_whole_to_an_inline_host(void **state) {
    (void)state;
    echo_a_long_stream(QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE);
}

static void a_long_stream_is_echoed_whole_to_a_host_that_drives(void **state) {
    (void)state;
    echo_a_long_stream(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD);
}

static void what_comes_behind_the_head_is_the_streams(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = SWITCHED "HTTP/1.1 200 OK\r\n\r\n"},
                                                 {.kind = BENCH_FIN},
                                                 {0}};
    struct bench_scripted *scripted = script_start(k_script);
    host_start(&host, NULL, NULL);
    host_submit(&host, 0, upgrade_request());
    const struct host_record *record = host_wait(&host, 0);
    host_assert_done(record, 19);
    assert_string_equal(record->text, "HTTP/1.1 200 OK\r\n\r\n");
    char head[1024] = {0};
    bench_scripted_received(scripted, 0, head, sizeof head - 1);
    assert_non_null(strstr(head, "\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n"));
    host_stop(&host);
    bench_scripted_stop(scripted);
}

static void a_switch_that_was_not_asked_for_so_fails(void **state) {
    (void)state;
    static const char *const k_heads[] = {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw/1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/1, other\r\n\r\n",
        SWITCHED, // to a plain request
    };
    for (size_t i = 0; i < sizeof k_heads / sizeof k_heads[0]; i++) {
        const struct bench_step script[] = {
            {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = k_heads[i]}, {0}};
        struct bench_scripted *scripted = script_start(script);
        host_start(&host, NULL, NULL);
        host_submit(&host, 0, i < 4 ? upgrade_request() : host_request("GET", the_url));
        const struct host_record *record = host_wait(&host, 0);
        host_assert_failed(record, QUOIT_ERR_HTTP_UNEXPECTED_UPGRADE, QUOIT_PHASE_HEAD);
        assert_int_equal(record->num_heads, 0);
        assert_int_equal(feed("x", 1), QUOIT_ERR_STALE_HANDLE);
        host_stop(&host);
        bench_scripted_stop(scripted);
    }
}

static void an_upgrade_that_is_refused_is_an_ordinary_response(void **state) {
    (void)state;
    static struct bench_gate gate;
    bench_gate_init(&gate);
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"},
        {.kind = BENCH_WAIT, .gate = &gate},
        {.kind = BENCH_SEND, .bytes = "no"},
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {0}};
    struct bench_scripted *scripted = script_start(k_script);
    host_start(&host, NULL, NULL);
    host_submit(&host, 0, upgrade_request());
    assert_int_equal(feed("x", 1), QUOIT_ERR_NOT_UPGRADED);
    host_wait_head(&host, 0);
    assert_int_equal(feed("x", 1), QUOIT_ERR_NOT_UPGRADED);
    assert_int_equal(quoit_feed_end(host.engine, host.records[0].handle), QUOIT_ERR_NOT_UPGRADED);
    bench_gate_open(&gate);
    host_assert_done(host_wait(&host, 0), 2);
    assert_int_equal(feed("x", 1), QUOIT_ERR_STALE_HANDLE);
    host_get(&host, 1, the_url);
    host_assert_done(host_wait(&host, 1), 2);
    assert_int_equal(host.records[1].summary.reused, 1);
    host_stop(&host);
    bench_scripted_stop(scripted);
}

static void a_redirect_is_followed_and_asks_again(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_SEND, .bytes = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"},
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = BENCH_SEND, .bytes = SWITCHED "hi"},
        {.kind = BENCH_FIN},
        {0}};
    struct bench_scripted *scripted = script_start(k_script);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = 3};
    assert_int_equal(quoit_request_set_redirects(request, &redirects), QUOIT_OK);
    host_submit(&host, 0, request);
    const struct host_record *record = host_wait(&host, 0);
    host_assert_done(record, 2);
    assert_int_equal(record->status, 101);
    char heads[2048] = {0};
    bench_scripted_received(scripted, 0, heads, sizeof heads - 1);
    const char *second = strstr(heads, "GET /b ");
    assert_non_null(second);
    assert_non_null(strstr(second, "\r\nUpgrade: raw/1\r\n"));
    host_stop(&host);
    bench_scripted_stop(scripted);
}

static void what_cannot_be_asked_for_is_refused(void **state) {
    (void)state;
    static const char *const k_bad[] = {"", "a b", "a/", "/a", "a/b/c", "a,b", "a\r\nb", "\xc3\xa9"};
    struct quoit_request *request = host_request("GET", "http://127.0.0.1:1/");
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_equal(quoit_request_set_upgrade(request, k_bad[i], strlen(k_bad[i])), QUOIT_ERR_INVALID_ARGUMENT);
    }
    char text[65];
    memset(text, 'a', sizeof text);
    assert_int_equal(quoit_request_set_upgrade(request, text, 65), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, text, 64), QUOIT_OK);
    assert_int_equal(quoit_request_set_upgrade(NULL, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_upgrade(request, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_feed_max(NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_feed_max(request, (1 << 27) + 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_feed_max(request, 1 << 27), QUOIT_OK);
    assert_int_equal(quoit_request_add_header(request, "Upgrade", 7, "a", 1), QUOIT_ERR_FORBIDDEN_HEADER);
    assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
    request = host_request("GET", "http://127.0.0.1:1/");
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_upgrade(request, "a", 1), QUOIT_ERR_FROZEN);
    assert_int_equal(quoit_request_set_feed_max(request, 1), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

// --- bounds ----------------------------------------------------------------------------------------------------------

static void feeding_is_bounded_and_room_is_told(void **state) {
    (void)state;
    static struct bench_gate gate;
    bench_gate_init(&gate);
    static char big[16 << 20]; // more than the kernel buffers on the way to a peer that does not read
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = SWITCHED},
                                        {.kind = BENCH_WAIT, .gate = &gate},
                                        {.kind = BENCH_FIN},
                                        {0}};
    struct bench_scripted *scripted = script_start(script);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, sizeof big), QUOIT_OK);
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    assert_int_equal(feed(NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(feed("x", 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(feed(big, sizeof big + 1), QUOIT_ERR_INVALID_ARGUMENT); // would never fit
    assert_int_equal(feed(big, SIZE_MAX), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(feed(big, SIZE_MAX - 127), QUOIT_ERR_INVALID_ARGUMENT);
    num_released = 0;
    assert_int_equal(lend(big, sizeof big - 256), QUOIT_OK);
    assert_int_equal(feed("x", 1), QUOIT_OK); // counts as 128
    assert_int_equal(feed("y", 1), QUOIT_OK);
    assert_int_equal(feed("z", 1), QUOIT_ERR_FEED_FULL);
    assert_int_equal(lend(big, 1), QUOIT_ERR_FEED_FULL);
    bench_gate_open(&gate);
    const struct host_record *record = host_wait(&host, 0); // the peer's end: what was fed before goes all the same
    host_assert_done(record, 0);
    assert_int_equal(feed("z", 1), QUOIT_ERR_STALE_HANDLE);
    assert_true(record->summary.bytes_out > sizeof big - 254);
    host_stop(&host);
    assert_true(bench_scripted_wait_closed(scripted, 0, HOST_WAIT_MS));
    size_t received = bench_scripted_received(scripted, 0, NULL, 0);
    assert_int_equal(received, record->summary.bytes_out); // all of it
    assert_int_equal(num_released, 1);
    bench_scripted_stop(scripted);
}

static void room_is_told_when_the_peer_reads_again(void **state) {
    (void)state;
    static struct bench_gate gate;
    bench_gate_init(&gate);
    static char big[16 << 20];
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = SWITCHED},
                                        {.kind = BENCH_WAIT, .gate = &gate},
                                        {.kind = BENCH_EXPECT_CLOSE},
                                        {0}};
    struct bench_scripted *scripted = script_start(script);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, sizeof big), QUOIT_OK);
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    assert_int_equal(feed(big, sizeof big), QUOIT_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(feed("z", 1), QUOIT_ERR_FEED_FULL);
    }
    bench_gate_open(&gate);
    host_wait_rooms(&host, 0, 1);
    assert_int_equal(feed("z", 1), QUOIT_OK);
    end_feeds();
    end_feeds(); // does nothing
    assert_int_equal(feed("z", 1), QUOIT_ERR_FROZEN);
    host_assert_done(host_wait(&host, 0), 0);
    assert_int_equal(host.records[0].num_rooms, 1); // five refusals, one word
    host_stop(&host);
    bench_scripted_stop(scripted);
}

static void an_idle_stream_ends_by_its_bound(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .idle_ms = SHORT_MS};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, 0, request);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_IDLE, QUOIT_PHASE_BODY);
    request = upgrade_request();
    bounds = (struct quoit_request_bounds){.struct_size = sizeof bounds, .total_ms = SHORT_MS};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, 1, request);
    host_assert_failed(host_wait(&host, 1), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_BODY);
    assert_int_equal(host.records[1].status, 101);
    host_stop(&host);
    bench_server_stop(server);
}

// --- ends ------------------------------------------------------------------------------------------------------------

static void a_canceled_stream_gives_everything_back(void **state) {
    (void)state;
    static struct bench_gate gate; // the peer does not read
    bench_gate_init(&gate);
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = SWITCHED "abc"},
                                        {.kind = BENCH_WAIT, .gate = &gate},
                                        {0}};
    struct bench_scripted *scripted = script_start(script);
    static char big[16 << 20];
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, 2 * sizeof big), QUOIT_OK);
    host_submit(&host, 0, request);
    host_wait_body(&host, 0, 3);
    num_released = 0;
    assert_int_equal(lend(big, sizeof big), QUOIT_OK);
    assert_int_equal(lend(big, 10), QUOIT_OK);
    assert_int_equal(feed(big, 10), QUOIT_OK);
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    assert_int_equal(lend(big, 10), QUOIT_ERR_STALE_HANDLE);
    host_stop(&host);
    assert_int_equal(num_released, 2);
    bench_gate_open(&gate);
    bench_scripted_stop(scripted);
}

static void closing_lets_a_stream_live_until_the_deadline(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    for (uint64_t drain_ms = 0; drain_ms <= SHORT_MS; drain_ms += SHORT_MS) {
        num_released = 0;
        host_start(&host, NULL, NULL);
        upgrade();
        assert_int_equal(quoit_engine_close(host.engine, drain_ms), QUOIT_OK);
        int32_t code = lend(bench_body_at(0), 100);
        assert_true(code == QUOIT_OK || (code == QUOIT_ERR_STALE_HANDLE && drain_ms == 0));
        const struct host_record *record = host_wait(&host, 0);
        host_assert_failed(record, QUOIT_ERR_CLOSED, QUOIT_PHASE_CLOSE);
        assert_true(drain_ms == 0 || record->body_len == 100);
        host_stop(&host);
        assert_int_equal(num_released, code == QUOIT_OK);
    }
    bench_server_stop(server);
}

static void a_reset_by_the_peer_is_a_failure(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = SWITCHED "abc"},
                                                 {.kind = BENCH_EXPECT_BYTES, .bytes = "go"},
                                                 {.kind = BENCH_RST},
                                                 {0}};
    struct bench_scripted *scripted = script_start(k_script);
    host_start(&host, NULL, NULL);
    upgrade();
    assert_int_equal(feed("go", 2), QUOIT_OK);
    const struct host_record *record = host_wait(&host, 0);
    host_assert_failed(record, QUOIT_ERR_CONNECTION_RESET, QUOIT_PHASE_BODY);
    assert_int_equal(record->body_len, 3);
    assert_int_equal(feed("x", 1), QUOIT_ERR_STALE_HANDLE);
    host_stop(&host);
    bench_scripted_stop(scripted);
}

// Feeds a stream whose peer has reset it, and whose host has no credit: the send meets the reset, and what was fed is
// given up; but what the peer had sent before may still be there to receive, so the stream goes on.
static void feed_what_was_reset(struct bench_scripted *scripted, const struct quoit_request_bounds *bounds) {
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_bounds(request, bounds), QUOIT_OK);
    assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
    assert_int_equal(quoit_request_set_feed_max(request, 128), QUOIT_OK); // one piece at a time
    num_released = 0;
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    assert_true(bench_scripted_wait_closed(scripted, 0, HOST_WAIT_MS));
    uint32_t num_rooms = 0;
    for (uint32_t i = 0; i < 5; i++) { // room for the next: the one before was given up
        int32_t code;
        while ((code = lend("x", 1)) == QUOIT_ERR_FEED_FULL) {
            host_wait_rooms(&host, 0, ++num_rooms);
        }
        assert_int_equal(code, QUOIT_OK);
    }
    assert_int_equal(host.records[0].num_ends, 0);
}

static void a_reset_that_only_a_send_has_met_ends_by_the_total_bound(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = SWITCHED}, {.kind = BENCH_RST}, {0}};
    struct bench_scripted *scripted = script_start(k_script);
    // The idle bound counts the peer's silence, and not the host's.
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .idle_ms = 1, .total_ms = 10 * SHORT_MS};
    feed_what_was_reset(scripted, &bounds);
    const struct host_record *record = host_wait(&host, 0);
    host_assert_failed(record, QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_BODY);
    host_stop(&host);
    assert_int_equal(num_released, 5);
    bench_scripted_stop(scripted);
}

static void a_reset_that_only_a_send_has_met_is_told_with_credit(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = SWITCHED}, {.kind = BENCH_RST}, {0}};
    struct bench_scripted *scripted = script_start(k_script);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds};
    feed_what_was_reset(scripted, &bounds);
    assert_int_equal(quoit_grant(host.engine, host.records[0].handle, 1), QUOIT_OK);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_CONNECTION_RESET, QUOIT_PHASE_BODY);
    host_stop(&host);
    assert_int_equal(num_released, 5);
    bench_scripted_stop(scripted);
}

static void handles_that_name_nobody_are_refused(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    host_start(&host, NULL, NULL);
    struct quoit_handle nobody = {0};
    assert_int_equal(quoit_feed(host.engine, nobody, "x", 1, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed_end(host.engine, nobody), QUOIT_ERR_STALE_HANDLE);
    struct quoit_handle out_of_range = {.id = UINT64_MAX};
    assert_int_equal(quoit_feed(host.engine, out_of_range, "x", 1, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    struct quoit_handle first = upgrade();
    end_feeds();
    host_assert_done(host_wait(&host, 0), 0);
    // Until its slot is another's, and then.
    assert_int_equal(quoit_feed(host.engine, first, "x", 1, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    host_until(&host, host_is_pending, 0);
    host_submit(&host, 1, upgrade_request());
    host_wait_head(&host, 1);
    assert_int_equal((uint32_t)host.records[1].handle.id, (uint32_t)first.id); // the same slot
    assert_int_equal(quoit_feed(host.engine, first, "x", 1, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed_end(host.engine, first), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed(host.engine, host.records[1].handle, bench_body_at(0), 5, NULL, NULL), QUOIT_OK);
    assert_int_equal(quoit_feed_end(host.engine, host.records[1].handle), QUOIT_OK);
    host_assert_done(host_wait(&host, 1), 5);
    host_stop(&host);
    assert_int_equal(feed("x", 1), QUOIT_ERR_STALE_HANDLE); // the engine is gone
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_stream_is_echoed_whole_to_a_draining_host),
        cmocka_unit_test(a_long_stream_is_echoed_whole_to_an_inline_host),
        cmocka_unit_test(a_long_stream_is_echoed_whole_to_a_host_that_drives),
        cmocka_unit_test(what_comes_behind_the_head_is_the_streams),
        cmocka_unit_test(a_switch_that_was_not_asked_for_so_fails),
        cmocka_unit_test(an_upgrade_that_is_refused_is_an_ordinary_response),
        cmocka_unit_test(a_redirect_is_followed_and_asks_again),
        cmocka_unit_test(what_cannot_be_asked_for_is_refused),
        cmocka_unit_test(feeding_is_bounded_and_room_is_told),
        cmocka_unit_test(room_is_told_when_the_peer_reads_again),
        cmocka_unit_test(an_idle_stream_ends_by_its_bound),
        cmocka_unit_test(a_canceled_stream_gives_everything_back),
        cmocka_unit_test(closing_lets_a_stream_live_until_the_deadline),
        cmocka_unit_test(a_reset_by_the_peer_is_a_failure),
        cmocka_unit_test(a_reset_that_only_a_send_has_met_ends_by_the_total_bound),
        cmocka_unit_test(a_reset_that_only_a_send_has_met_is_told_with_credit),
        cmocka_unit_test(handles_that_name_nobody_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The embedded server, path by path and parameter by parameter, over plain sockets.
#include "tests/bench/server_fixture.h"

static struct bench_server *g_server; // one for all tests that need nothing special

static int start_common(void **state) {
    (void)state;
    g_server = server_start((struct bench_server_options){.num_threads = 2});
    return 0;
}

static int stop_common(void **state) {
    (void)state;
    bench_server_stop(g_server);
    return 0;
}

static struct raw_client dial(void) {
    return raw_connect(bench_server_port(g_server));
}

static void bodies_arrive_as_computed(void **state) {
    static const size_t k_sizes[] = {0, 1, 1023, 1024, 65536, 262144, 262145, 1 << 20, 5000000};
    struct raw_client client = dial();
    (void)state;
    for (size_t i = 0; i < sizeof k_sizes / sizeof k_sizes[0]; i++) {
        char target[64];
        snprintf(target, sizeof target, "/size/%zu", k_sizes[i]);
        struct raw_response response = raw_get(&client, target);
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(response.head, "\r\nContent-Length: "));
        raw_assert_body(&response, k_sizes[i]);
        raw_response_free(&response);
    }
    raw_close(&client);
}

static void chunked_bodies_arrive_as_computed(void **state) {
    static const size_t k_sizes[] = {0, 1, 9, 10, 11, 1000, 300000};
    static const size_t k_chunks[] = {1, 7, 10, 16, 4096, 299999, 300000, 1000000};
    struct raw_client client = dial();
    (void)state;
    for (size_t i = 0; i < sizeof k_sizes / sizeof k_sizes[0]; i++) {
        for (size_t k = 0; k < sizeof k_chunks / sizeof k_chunks[0]; k++) {
            if (k_sizes[i] / k_chunks[k] > 1000)
                continue; // a hundred thousand chunks prove no more than a thousand
            char target[64];
            snprintf(target, sizeof target, "/size/%zu?chunked=%zu%s", k_sizes[i], k_chunks[k], k % 2 ? "&ext=1" : "");
            struct raw_response response = raw_get(&client, target);
            assert_non_null(strstr(response.head, "\r\nTransfer-Encoding: chunked\r\n"));
            raw_assert_body(&response, k_sizes[i]);
            assert_string_equal(response.trailers, "");
            raw_response_free(&response);
        }
    }
    raw_close(&client);
}

static void trailers_follow_the_last_chunk(void **state) {
    struct raw_client client = dial();
    struct raw_response response = raw_get(&client, "/size/10000?trailers=1");
    (void)state;
    raw_assert_body(&response, 10000);
    assert_string_equal(response.trailers, "X-Checksum: none\r\n");
    raw_response_free(&response);
    raw_close(&client);
}

static void a_closed_response_ends_with_fin(void **state) {
    static const char *const k_targets[] = {"/size/1000?close=1", "/size/1000?close=2", "/size/1000?close=3"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct raw_client client = dial();
        struct raw_response response = raw_get(&client, k_targets[i]);
        raw_assert_body(&response, 1000);
        assert_int_equal(strstr(response.head, "\r\nConnection: close\r\n") != NULL, i != 2);
        assert_int_equal(strstr(response.head, "\r\nContent-Length: ") != NULL, i != 1);
        raw_read_to_end(&client);
        assert_true(client.eof);
        assert_int_equal(client.held_len, 0);
        raw_response_free(&response);
        raw_close(&client);
    }
}

static void a_client_that_asks_for_close_gets_it(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, "GET /size/5 HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\nGET /size/5 HTTP/1.1\r\n");
    struct raw_response response = raw_take_response(&client, false);
    assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
    raw_read_to_end(&client);
    assert_true(client.eof); // not a reset, although a part of a second request was there
    raw_response_free(&response);
    raw_close(&client);
}

static void http_1_0_closes_unless_asked(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, "GET /size/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /size/300?chunked=7 HTTP/1.0\r\n\r\n");
    struct raw_response response = raw_take_response(&client, false);
    raw_assert_body(&response, 5);
    raw_response_free(&response);
    response = raw_take_response(&client, false); // close-delimited in place of chunked
    raw_assert_body(&response, 300);
    assert_true(client.eof);
    raw_response_free(&response);
    raw_close(&client);
}

static void head_and_bodiless_statuses_have_no_body(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(
        &client,
        "HEAD /size/1000 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /size/9?chunked=2&trailers=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct raw_response response = raw_take_response(&client, true);
    assert_non_null(strstr(response.head, "\r\nContent-Length: 1000\r\n"));
    raw_response_free(&response);
    response = raw_take_response(&client, true);
    assert_non_null(strstr(response.head, "\r\nTransfer-Encoding: chunked\r\n"));
    raw_response_free(&response);
    static const unsigned k_statuses[] = {204, 304};
    for (size_t i = 0; i < 2; i++) {
        char target[32];
        snprintf(target, sizeof target, "/status/%u", k_statuses[i]);
        response = raw_get(&client, target);
        assert_int_equal(response.status, k_statuses[i]);
        assert_null(strstr(response.head, "Content-Length"));
        raw_response_free(&response);
    }
    response = raw_get(&client, "/size/10"); // the connection is still in step
    raw_assert_body(&response, 10);
    raw_response_free(&response);
    raw_close(&client);
}

static void statuses_early_heads_and_long_headers_are_as_asked(void **state) {
    struct raw_client client = dial();
    struct raw_response response = raw_get(&client, "/size/7?status=503&early=3");
    (void)state;
    assert_int_equal(response.status, 503);
    assert_int_equal(response.num_early, 3);
    raw_assert_body(&response, 7);
    raw_response_free(&response);
    response = raw_get(&client, "/size/7?headers=100&header_bytes=20000");
    assert_true(strlen(response.head) > 20000);
    assert_non_null(strstr(response.head, "\r\nX-Header-99: value 99\r\n"));
    raw_response_free(&response);
    response = raw_get(&client, "/status/404");
    assert_int_equal(response.status, 404);
    raw_response_free(&response);
    raw_close(&client);
}

static void echo_returns_the_body(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client,
             "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloPOST /echo HTTP/1.1\r\nHost: x\r\n"
             "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
             "POST /echo?chunked=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"
             "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    static const char *const k_bodies[] = {"hello", "abc0123456789", "xyz", ""};
    for (size_t i = 0; i < 4; i++) {
        struct raw_response response = raw_take_response(&client, false);
        assert_int_equal(response.status, 200);
        assert_string_equal((const char *)response.body, k_bodies[i]);
        raw_response_free(&response);
    }
    raw_close(&client);
}

static void a_large_echo_comes_back_whole(void **state) {
    enum { LEN = 3000000 };
    struct raw_client client = dial();
    uint8_t *body = malloc(LEN);
    (void)state;
    for (size_t i = 0; i < LEN; i++)
        body[i] = bench_server_body_byte(i);
    raw_send(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    raw_send_bytes(&client, body, LEN);
    struct raw_response response = raw_take_response(&client, false);
    raw_assert_body(&response, LEN);
    raw_response_free(&response);
    free(body);
    raw_close(&client);
}

static void a_body_that_is_not_echoed_is_read_and_dropped(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(
        &client,
        "POST /size/3 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /size/4 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (size_t i = 3; i <= 4; i++) {
        struct raw_response response = raw_take_response(&client, false);
        raw_assert_body(&response, i);
        raw_response_free(&response);
    }
    raw_close(&client);
}

static void an_echo_beyond_the_limit_is_refused(void **state) {
    struct bench_server *server = server_start((struct bench_server_options){.max_body = 10});
    struct raw_client client = raw_connect(bench_server_port(server));
    (void)state;
    raw_send(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world");
    struct raw_response response = raw_take_response(&client, false);
    assert_int_equal(response.status, 413);
    raw_response_free(&response);
    raw_close(&client);
    bench_server_stop(server);
}

static void a_client_that_expects_100_gets_it_first(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_true(raw_read(&client));
    assert_memory_equal(client.held, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    raw_send(&client, "hi");
    struct raw_response response = raw_take_response(&client, false);
    assert_int_equal(response.num_early, 1);
    assert_string_equal((const char *)response.body, "hi");
    raw_response_free(&response);
    raw_close(&client);
}

static void an_answer_can_come_before_the_body(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, "POST /size/8?nowait=1&status=413 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\npart");
    struct raw_response response = raw_take_response(&client, false);
    assert_int_equal(response.status, 413);
    assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
    raw_read_to_end(&client);
    assert_true(client.eof);
    raw_response_free(&response);
    raw_close(&client);
}

static void headers_returns_the_head_as_it_came(void **state) {
    static const char k_head[] = "GET /headers?tag=a-b HTTP/1.1\r\nhOsT: x\r\nA:  b \r\nEmpty:\r\n\r\n";
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, k_head);
    struct raw_response response = raw_take_response(&client, false);
    assert_string_equal((const char *)response.body, k_head);
    raw_response_free(&response);
    raw_close(&client);
}

static void redirects_count_down(void **state) {
    struct raw_client client = dial();
    struct raw_response response = raw_get(&client, "/redirect/2?status=307");
    (void)state;
    assert_int_equal(response.status, 307);
    assert_non_null(strstr(response.head, "\r\nLocation: /redirect/1\r\n"));
    raw_response_free(&response);
    response = raw_get(&client, "/redirect/0");
    assert_int_equal(response.status, 200);
    raw_response_free(&response);
    raw_close(&client);
}

static void events_come_one_to_a_chunk(void **state) {
    struct raw_client client = dial();
    struct raw_response response = raw_get(&client, "/sse?n=2&gap_ms=1");
    (void)state;
    assert_non_null(strstr(response.head, "\r\nContent-Type: text/event-stream\r\n"));
    assert_string_equal((const char *)response.body,
                        "id: 0000000\ndata: tick 0000000\n\nid: 0000001\ndata: tick 0000001\n\n");
    raw_response_free(&response);
    raw_close(&client);
}

static void an_absolute_target_is_understood(void **state) {
    struct raw_client client = dial();
    struct raw_response response = raw_get(&client, "http://example.test:81/size/12?chunked=5");
    (void)state;
    raw_assert_body(&response, 12);
    raw_response_free(&response);
    raw_close(&client);
}

static void wrong_targets_are_told(void **state) {
    static const struct {
        const char *target;
        unsigned status;
    } k_wrong[] = {{"/nowhere", 404},         {"/size/", 404},           {"/size/x", 404},
                   {"/size/1?chnked=1", 400}, {"/size/1?close", 400},    {"/size/1?status=99", 400},
                   {"/status/1000", 400},     {"/size/1?chunked=", 400}, {"/", 404},
                   {"/sizes", 404},           {"/size/1?silent=2", 400}, {"/redirect/1001", 400}};
    (void)state;
    for (size_t i = 0; i < sizeof k_wrong / sizeof k_wrong[0]; i++) {
        struct raw_client client = dial();
        struct raw_response response = raw_get(&client, k_wrong[i].target);
        if (response.status != k_wrong[i].status)
            fail_msg("%s got %u", k_wrong[i].target, response.status);
        raw_response_free(&response);
        raw_close(&client);
    }
}

static void malformed_requests_are_refused_and_the_connection_closed(void **state) {
    static const struct {
        const char *request;
        unsigned status;
    } k_malformed[] = {
        {"GET /size/1 HTTP/1.1\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\nHost: a\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1\r\nHost: a\r\nA: \001\r\n\r\n", 400},
        {"GET  /size/1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /size/1 HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        {"G=T /size/1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET size/1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /size/1#f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /size/1 HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET /size/1 http/1.1\r\nHost: a\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_malformed / sizeof k_malformed[0]; i++) {
        struct raw_client client = dial();
        raw_send(&client, k_malformed[i].request);
        struct raw_response response = raw_take_response(&client, false);
        if (response.status != k_malformed[i].status)
            fail_msg("malformed request %zu got %u", i, response.status);
        raw_read_to_end(&client);
        assert_true(client.eof);
        raw_response_free(&response);
        raw_close(&client);
    }
}

static void a_head_without_end_is_refused(void **state) {
    struct raw_client client = dial();
    char line[1024];
    (void)state;
    memset(line, 'a', sizeof line);
    raw_send(&client, "GET /size/1 HTTP/1.1\r\nHost: x\r\nA: ");
    for (int i = 0; i < 64; i++)
        raw_send_bytes(&client, line, sizeof line);
    struct raw_response response = raw_take_response(&client, false);
    assert_int_equal(response.status, 431);
    raw_response_free(&response);
    raw_close(&client);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    enum { NUM = 1000 };
    struct raw_client client = dial();
    char *requests = malloc(NUM * 64);
    size_t len = 0;
    (void)state;
    for (int i = 0; i < NUM; i++)
        len += (size_t)sprintf(requests + len, "GET /size/%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
    raw_send_bytes(&client, requests, len);
    for (size_t i = 0; i < NUM; i++) {
        struct raw_response response = raw_take_response(&client, false);
        raw_assert_body(&response, i);
        raw_response_free(&response);
    }
    free(requests);
    raw_close(&client);
}

static void a_request_may_come_byte_by_byte(void **state) {
    static const char k_request[] =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    struct raw_client client = dial();
    (void)state;
    for (size_t i = 0; i + 1 < sizeof k_request; i++) {
        uint64_t before = counters(g_server).bytes_in;
        raw_send_bytes(&client, k_request + i, 1);
        until(counters(g_server).bytes_in == before + 1);
    }
    struct raw_response response = raw_take_response(&client, false);
    assert_string_equal((const char *)response.body, "hello");
    raw_response_free(&response);
    raw_close(&client);
}

// full_response returns what the server answers a target with, to its last octet.
static size_t full_response(const char *target, uint8_t *out, size_t size) {
    struct raw_client client = dial();
    char request[256];
    snprintf(request, sizeof request, "GET %s&fin_at=1000000 HTTP/1.1\r\nHost: x\r\n\r\n", target);
    raw_send(&client, request);
    raw_read_to_end(&client);
    assert_true(client.eof && client.held_len <= size);
    memcpy(out, client.held, client.held_len);
    size_t len = client.held_len;
    raw_close(&client);
    return len;
}

static void check_cuts(const char *target, const char *how, bool want_eof) {
    uint8_t full[4096];
    size_t len = full_response(target, full, sizeof full);
    for (size_t cut = 0; cut <= len; cut++) {
        struct raw_client client = dial();
        char request[256];
        snprintf(request, sizeof request, "GET %s&%s=%zu HTTP/1.1\r\nHost: x\r\n\r\n", target, how, cut);
        raw_send(&client, request);
        raw_read_to_end(&client);
        assert_int_equal(client.held_len, cut);
        assert_memory_equal(cut ? client.held : full, full, cut);
        assert_int_equal(client.eof, want_eof);
        if (!want_eof)
            assert_int_equal(client.read_error, ECONNRESET);
        raw_close(&client);
    }
}

static void a_response_can_be_reset_at_every_octet(void **state) {
    (void)state;
    check_cuts("/size/40?tag=x", "reset_at", false);
    check_cuts("/size/40?chunked=16&trailers=1&early=1", "reset_at", false);
}

static void a_response_can_end_at_every_octet(void **state) {
    (void)state;
    check_cuts("/size/40?tag=x", "fin_at", true);
    check_cuts("/size/40?chunked=16&trailers=1", "fin_at", true);
}

static void a_long_response_is_reset_after_exactly_k_octets(void **state) {
    struct raw_client client = dial();
    (void)state;
    raw_send(&client, "GET /size/5000000?reset_at=1234567 HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read_to_end(&client);
    assert_int_equal(client.read_error, ECONNRESET);
    assert_int_equal(client.held_len, 1234567);
    raw_close(&client);
}

static void drips_and_gaps_change_no_octet(void **state) {
    static const char *const k_targets[] = {"/size/200?drip=1", "/size/200?drip=7&chunked=9&gap_ms=1",
                                            "/size/200?gap_ms=1&chunked=30&trailers=1", "/size/200?gap_ms=1",
                                            "/size/200?chunked=200&gap_ms=2"};
    struct raw_client client = dial();
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct raw_response response = raw_get(&client, k_targets[i]);
        raw_assert_body(&response, 200);
        raw_response_free(&response);
    }
    raw_close(&client);
}

static void the_hash_does_not_depend_on_the_cuts(void **state) {
    uint8_t body[1000];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = bench_server_body_byte(i);
    for (size_t len = 0; len <= sizeof body; len += 37) {
        for (size_t cut = 1; cut < 40; cut++) {
            struct bench_hash hash;
            bench_hash_init(&hash);
            for (size_t at = 0; at < len; at += cut)
                bench_hash_add(&hash, body + at, len - at < cut ? len - at : cut);
            assert_true(bench_hash_end(&hash) == bench_server_body_hash(len));
        }
    }
    assert_true(bench_server_body_hash(8) != bench_server_body_hash(9));
    assert_true(bench_server_body_hash(0) != bench_server_body_hash(1)); // byte 0 is a zero: the length counts
}

static void the_hash_sees_a_swap_and_a_repeat(void **state) {
    enum { LEN = 1 << 20, BLOCK = 1 << 14 };
    uint8_t *body = malloc(LEN);
    struct bench_hash hash;
    (void)state;
    for (size_t i = 0; i < LEN; i++)
        body[i] = bench_server_body_byte(i);
    uint64_t right = bench_server_body_hash(LEN);
    for (size_t at = BLOCK; at < LEN; at += BLOCK) {
        bench_hash_init(&hash); // block 0 in place of this one
        bench_hash_add(&hash, body, at);
        bench_hash_add(&hash, body, BLOCK);
        bench_hash_add(&hash, body + at + BLOCK, LEN - at - BLOCK);
        assert_true(bench_hash_end(&hash) != right);
    }
    bench_hash_init(&hash);
    bench_hash_add(&hash, body, LEN);
    assert_true(bench_hash_end(&hash) == right);
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_does_not_depend_on_the_cuts),
        cmocka_unit_test(the_hash_sees_a_swap_and_a_repeat),
        cmocka_unit_test(bodies_arrive_as_computed),
        cmocka_unit_test(chunked_bodies_arrive_as_computed),
        cmocka_unit_test(trailers_follow_the_last_chunk),
        cmocka_unit_test(a_closed_response_ends_with_fin),
        cmocka_unit_test(a_client_that_asks_for_close_gets_it),
        cmocka_unit_test(http_1_0_closes_unless_asked),
        cmocka_unit_test(head_and_bodiless_statuses_have_no_body),
        cmocka_unit_test(statuses_early_heads_and_long_headers_are_as_asked),
        cmocka_unit_test(echo_returns_the_body),
        cmocka_unit_test(a_large_echo_comes_back_whole),
        cmocka_unit_test(a_body_that_is_not_echoed_is_read_and_dropped),
        cmocka_unit_test(an_echo_beyond_the_limit_is_refused),
        cmocka_unit_test(a_client_that_expects_100_gets_it_first),
        cmocka_unit_test(an_answer_can_come_before_the_body),
        cmocka_unit_test(headers_returns_the_head_as_it_came),
        cmocka_unit_test(redirects_count_down),
        cmocka_unit_test(events_come_one_to_a_chunk),
        cmocka_unit_test(an_absolute_target_is_understood),
        cmocka_unit_test(wrong_targets_are_told),
        cmocka_unit_test(malformed_requests_are_refused_and_the_connection_closed),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(a_response_can_be_reset_at_every_octet),
        cmocka_unit_test(a_response_can_end_at_every_octet),
        cmocka_unit_test(a_long_response_is_reset_after_exactly_k_octets),
        cmocka_unit_test(drips_and_gaps_change_no_octet),
    };
    return cmocka_run_group_tests(tests, start_common, stop_common);
}

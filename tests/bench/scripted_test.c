// The scripted server: what it says, octet by octet, and what it notices about its client.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/server/scripted.h"
#include "tests/bench/raw_client.h"

enum { LIMIT_MS = 10000 };

static const char k_request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
static const char k_response[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void a_request_gets_the_exact_octets(void **state) {
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = "\0\1garbage", .len = 9},
                                                 {.kind = BENCH_FIN},
                                                 {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(k_script);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    (void)state;
    raw_send(&client, k_request);
    raw_read_to_end(&client);
    assert_true(client.eof);
    assert_int_equal(client.held_len, 9);
    assert_memory_equal(client.held, "\0\1garbage", 9);
    assert_int_equal(bench_scripted_wait(scripted, 0, LIMIT_MS), BENCH_SCRIPT_DONE);
    char received[100];
    assert_int_equal(bench_scripted_received(scripted, 0, received, sizeof received), sizeof k_request - 1);
    assert_memory_equal(received, k_request, sizeof k_request - 1);
    raw_close(&client);
    assert_true(bench_scripted_wait_closed(scripted, 0, LIMIT_MS));
    bench_scripted_stop(scripted);
}

static void requests_with_bodies_are_read_whole(void **state) {
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = "1"},
                                                 {.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND, .bytes = "2"},
                                                 {.kind = BENCH_EXPECT_BYTES, .bytes = "rest"},
                                                 {.kind = BENCH_CLOSE},
                                                 {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(k_script);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    (void)state;
    raw_send(&client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nHost: x\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nrest");
    raw_read_to_end(&client);
    assert_true(client.eof);
    assert_memory_equal(client.held, "12", 2);
    assert_int_equal(bench_scripted_wait(scripted, 0, LIMIT_MS), BENCH_SCRIPT_DONE);
    raw_close(&client);
    bench_scripted_stop(scripted);
}

static void a_reset_comes_after_all_that_was_sent(void **state) {
    enum { LEN = 300000 };
    char *bytes = malloc(LEN);
    (void)state;
    memset(bytes, 'x', LEN);
    const struct bench_step script[] = {{.kind = BENCH_SEND, .bytes = bytes, .len = LEN}, {.kind = BENCH_RST}, {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(script);
    for (int i = 0; i < 5; i++) {
        struct raw_client client = raw_connect(bench_scripted_port(scripted));
        raw_read_to_end(&client);
        assert_int_equal(client.read_error, ECONNRESET);
        assert_int_equal(client.held_len, LEN);
        raw_close(&client);
    }
    bench_scripted_stop(scripted);
    free(bytes);
}

static void a_gate_holds_the_script_until_the_test_opens_it(void **state) {
    struct bench_gate go, reached;
    bench_gate_init(&go);
    bench_gate_init(&reached);
    (void)state;
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = "a"},
                                        {.kind = BENCH_OPEN, .gate = &reached},
                                        {.kind = BENCH_WAIT, .gate = &go},
                                        {.kind = BENCH_SEND, .bytes = "b"},
                                        {.kind = BENCH_CLOSE},
                                        {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(script);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    assert_false(bench_gate_wait(&reached, -1, 20)); // nothing was asked yet
    raw_send(&client, k_request);
    assert_true(bench_gate_wait(&reached, -1, LIMIT_MS));
    assert_true(raw_read(&client));
    struct pollfd polled = {.fd = client.fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 20), 0);
    assert_int_equal(bench_scripted_wait(scripted, 0, 0), BENCH_SCRIPT_RUNNING);
    bench_gate_open(&go);
    raw_read_to_end(&client);
    assert_int_equal(client.held_len, 2);
    raw_close(&client);
    bench_scripted_stop(scripted);
    bench_gate_deinit(&go);
    bench_gate_deinit(&reached);
}

static void a_script_repeats_on_one_connection(void **state) {
    static const struct bench_step k_script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                 {.kind = BENCH_SEND_PIECES, .bytes = k_response, .number = 1},
                                                 {.kind = BENCH_REPEAT, .number = 3},
                                                 {.kind = BENCH_FIN},
                                                 {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(k_script);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    (void)state;
    for (int i = 0; i < 3; i++) {
        raw_send(&client, k_request);
        struct raw_response response = raw_take_response(&client, false);
        assert_string_equal((const char *)response.body, "ok");
        raw_response_free(&response);
    }
    raw_read_to_end(&client);
    assert_true(client.eof);
    raw_close(&client);
    bench_scripted_stop(scripted);
}

static void each_connection_plays_its_own_script(void **state) {
    static const struct bench_step k_first[] = {{.kind = BENCH_SEND, .bytes = "1"}, {.kind = BENCH_FIN}, {0}};
    static const struct bench_step k_others[] = {{.kind = BENCH_SEND, .bytes = "2"}, {.kind = BENCH_FIN}, {0}};
    static const struct bench_step *const k_scripts[] = {k_first, k_others, NULL};
    struct bench_scripted *scripted = bench_scripted_start("127.0.0.1", k_scripts);
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct raw_client client = raw_connect(bench_scripted_port(scripted));
        raw_read_to_end(&client);
        assert_int_equal(client.held[0], i == 0 ? '1' : '2');
        raw_close(&client);
    }
    assert_int_equal(bench_scripted_accepted(scripted), 3);
    bench_scripted_stop(scripted);
}

static void a_script_goes_on_behind_its_fin_and_reads_only_what_it_wants(void **state) {
    struct bench_gate go;
    bench_gate_init(&go);
    (void)state;
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_FIN},
                                        {.kind = BENCH_WAIT, .gate = &go},
                                        {.kind = BENCH_EXPECT_BYTES, .bytes = "more"},
                                        {.kind = BENCH_WAIT, .gate = &go},
                                        {0}};
    struct bench_scripted *scripted = bench_scripted_start_one(script);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    raw_send(&client, k_request);
    raw_read_to_end(&client);
    assert_true(client.eof);
    raw_send(&client, "more");
    assert_int_equal(bench_scripted_wait(scripted, 0, 20), BENCH_SCRIPT_RUNNING);
    assert_int_equal(bench_scripted_received(scripted, 0, NULL, 0), sizeof k_request - 1); // it has not read on
    bench_gate_open(&go);
    for (int left_ms = LIMIT_MS; bench_scripted_received(scripted, 0, NULL, 0) < sizeof k_request + 3; left_ms--) {
        assert_true(left_ms > 0);
        poll(NULL, 0, 1);
    }
    raw_send(&client, "rest");
    assert_int_equal(bench_scripted_wait(scripted, 0, 20), BENCH_SCRIPT_RUNNING);
    assert_int_equal(bench_scripted_received(scripted, 0, NULL, 0), sizeof k_request + 3);
    bench_gate_open(&go); // no steps left: it reads all
    assert_int_equal(bench_scripted_wait(scripted, 0, LIMIT_MS), BENCH_SCRIPT_DONE);
    raw_close(&client);
    assert_true(bench_scripted_wait_closed(scripted, 0, LIMIT_MS));
    assert_int_equal(bench_scripted_received(scripted, 0, NULL, 0), sizeof k_request + 7);
    bench_scripted_stop(scripted);
    bench_gate_deinit(&go);
}

static void what_the_client_does_wrong_is_noticed(void **state) {
    static const struct bench_step k_bytes[] = {{.kind = BENCH_EXPECT_BYTES, .bytes = "abc"}, {0}};
    static const struct bench_step k_request_step[] = {{.kind = BENCH_EXPECT_REQUEST}, {0}};
    static const struct bench_step *const k_scripts[] = {k_bytes, k_request_step, NULL};
    struct bench_scripted *scripted = bench_scripted_start(NULL, k_scripts);
    struct raw_client client = raw_connect(bench_scripted_port(scripted));
    (void)state;
    raw_send(&client, "abd");
    assert_int_equal(bench_scripted_wait(scripted, 0, LIMIT_MS), BENCH_SCRIPT_MISMATCH);
    raw_close(&client);
    client = raw_connect(bench_scripted_port(scripted));
    raw_send(&client, "GET / HT");
    raw_close(&client);
    assert_int_equal(bench_scripted_wait(scripted, 1, LIMIT_MS), BENCH_SCRIPT_CLIENT_GONE);
    client = raw_connect(bench_scripted_port(scripted));
    raw_send(&client, "GET / HTTP/1.1\r\n\r\n"); // no Host
    assert_int_equal(bench_scripted_wait(scripted, 2, LIMIT_MS), BENCH_SCRIPT_MISMATCH);
    raw_close(&client);
    bench_scripted_stop(scripted);
}

static void silence_and_expected_closes_end_with_the_client(void **state) {
    static const struct bench_step k_silent[] = {{0}};
    static const struct bench_step k_closes[] = {{.kind = BENCH_EXPECT_CLOSE}, {0}};
    static const struct bench_step *const k_scripts[] = {k_silent, k_closes, NULL};
    struct bench_scripted *scripted = bench_scripted_start(NULL, k_scripts);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct raw_client client = raw_connect(bench_scripted_port(scripted));
        raw_send(&client, k_request);
        assert_false(bench_scripted_wait_closed(scripted, i, 20));
        raw_reset(&client);
        assert_int_equal(bench_scripted_wait(scripted, i, LIMIT_MS), BENCH_SCRIPT_DONE);
        assert_true(bench_scripted_wait_closed(scripted, i, LIMIT_MS));
    }
    bench_scripted_stop(scripted);
}

static void it_can_be_stopped_at_any_step(void **state) {
    struct bench_gate never, arrived;
    unsigned before = raw_num_fds();
    (void)state;
    bench_gate_init(&never);
    bench_gate_init(&arrived);
    const struct bench_step arrives = {.kind = BENCH_OPEN, .gate = &arrived};
    const struct bench_step waits[] = {arrives, {.kind = BENCH_WAIT, .gate = &never}, {0}};
    const struct bench_step reads[] = {arrives, {.kind = BENCH_EXPECT_REQUEST}, {0}};
    const struct bench_step closes[] = {arrives, {.kind = BENCH_EXPECT_CLOSE}, {0}};
    const struct bench_step silent[] = {arrives, {0}};
    const struct bench_step *const scripts[] = {waits, reads, closes, silent, NULL};
    struct bench_scripted *scripted = bench_scripted_start("127.0.0.1", scripts);
    struct raw_client clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = raw_connect(bench_scripted_port(scripted));
        assert_true(bench_gate_wait(&arrived, -1, LIMIT_MS));
        assert_int_equal(bench_scripted_accepted(scripted), i + 1);
    }
    bench_scripted_stop(scripted);
    for (int i = 0; i < 4; i++) {
        assert_false(raw_read(&clients[i]));
        raw_close(&clients[i]);
    }
    bench_gate_deinit(&never);
    bench_gate_deinit(&arrived);
    assert_int_equal(raw_num_fds(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_gets_the_exact_octets),
        cmocka_unit_test(requests_with_bodies_are_read_whole),
        cmocka_unit_test(a_reset_comes_after_all_that_was_sent),
        cmocka_unit_test(a_gate_holds_the_script_until_the_test_opens_it),
        cmocka_unit_test(a_script_repeats_on_one_connection),
        cmocka_unit_test(each_connection_plays_its_own_script),
        cmocka_unit_test(a_script_goes_on_behind_its_fin_and_reads_only_what_it_wants),
        cmocka_unit_test(what_the_client_does_wrong_is_noticed),
        cmocka_unit_test(silence_and_expected_closes_end_with_the_client),
        cmocka_unit_test(it_can_be_stopped_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

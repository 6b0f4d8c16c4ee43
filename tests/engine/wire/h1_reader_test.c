#include "engine/wire/h1_reader.h"

#include "tests/engine/wire/reader_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Alignas(8) char g_mem[8192];

static struct q_h1_reader reader_of(unsigned flags) {
    struct q_h1_reader r;
    q_h1_reader_begin(&r, flags, g_mem, sizeof(g_mem), NULL);
    return r;
}

static void a_small_response_takes_three_calls(void **state) {
    (void)state;
    struct q_h1_reader r = reader_of(0);
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    const char *end = input.ptr + input.len;
    struct q_h1_out out;
    assert_false(q_h1_reader_has_begun(&r));
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
    assert_true(q_h1_reader_has_begun(&r));
    assert_int_equal(out.status, 200);
    assert_int_equal(out.content_length, 5);
    assert_int_equal(out.body, Q_H1_BODY_LENGTH);
    assert_ptr_equal(out.headers, g_mem);
    assert_false(q_h1_reader_keep_alive(&r));
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_DATA);
    assert_ptr_equal(out.data.ptr, end - 5); // in the input: no copy
    assert_int_equal(out.data.len, 5);
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_END);
    assert_null(out.headers);
    assert_true(q_h1_reader_keep_alive(&r));
}

static void the_reader_is_small(void **state) {
    (void)state;
    // It stands by value in a connection whose whole cost when idle is 1 KiB.
    assert_true(sizeof(struct q_h1_reader) <= 320);
}

static void the_caller_may_stop_between_any_two_events(void **state) {
    (void)state;
    struct q_h1_reader r = reader_of(0);
    struct q_slice input =
        Q_SLICE("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "1\r\na\r\n1\r\nb\r\n0\r\n\r\nmore");
    struct q_h1_out out;
    size_t before = input.len;
    static const enum q_h1_event k_events[] = {Q_H1_INFORMATIONAL, Q_H1_HEAD, Q_H1_DATA, Q_H1_DATA, Q_H1_END};
    for (size_t i = 0; i < sizeof(k_events) / sizeof(k_events[0]); i++) {
        assert_int_equal(q_h1_reader_next(&r, &input, &out), k_events[i]);
        assert_true(input.len < before);
        before = input.len;
    }
    assert_int_equal(input.len, 4);
}

static void earlier_heads_stay_readable_in_the_same_memory(void **state) {
    (void)state;
    struct q_h1_reader r = reader_of(0);
    struct q_slice input = Q_SLICE("HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 103 E\r\nLink: bb\r\n\r\n"
                                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nDigest: x\r\n\r\n");
    const struct q_headers *blocks[4];
    struct q_h1_out out;
    for (size_t i = 0; i < 4; i++) {
        assert_true(q_h1_reader_next(&r, &input, &out) != Q_H1_FAILED);
        blocks[i] = out.headers;
    }
    static const char *const k_values[] = {"a", "bb", "chunked", "x"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(q_headers_validate(blocks[i]));
        struct q_slice name, value;
        assert_true(q_headers_at(blocks[i], 0, &name, &value));
        assert_true(q_slice_equal(value, q_slice_of_string(k_values[i])));
    }
}

static void memory_may_come_with_the_first_byte(void **state) {
    (void)state;
    struct q_h1_reader r;
    q_h1_reader_begin(&r, 0, NULL, 0, NULL);
    struct q_slice input = {0};
    struct q_h1_out out;
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_NEED_MORE);
    q_h1_reader_lend(&r, g_mem, sizeof(g_mem));
    input = Q_SLICE("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_END);
}

static void trailers_may_have_memory_of_their_own(void **state) {
    (void)state;
    static _Alignas(8) char other[256];
    struct q_h1_reader r = reader_of(0);
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nDigest: x\r\n\r\n");
    struct q_h1_out out;
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
    q_h1_reader_lend(&r, other, sizeof(other));
    memset(g_mem, 0xff, sizeof(g_mem)); // the host's now
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_END);
    assert_ptr_equal(out.headers, other);
    assert_true(q_headers_validate(out.headers));
}

static void trailers_ask_for_memory_and_an_empty_section_does_not(void **state) {
    (void)state;
    static const struct {
        const char *tail;
        enum q_h1_event event;
    } k_rows[] = {{"0\r\n\r\n", Q_H1_END}, {"0\r\nA: b\r\n\r\n", Q_H1_NEED_MEMORY}};
    for (size_t i = 0; i < 2; i++) {
        struct q_h1_reader r = reader_of(0);
        struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        struct q_h1_out out;
        assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
        q_h1_reader_lend(&r, NULL, 0);
        input = q_slice_of_string(k_rows[i].tail);
        assert_int_equal(q_h1_reader_next(&r, &input, &out), k_rows[i].event);
    }
}

static void a_failure_is_repeated_and_nothing_is_kept_alive(void **state) {
    (void)state;
    struct q_h1_reader r = reader_of(0);
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
    struct q_h1_out out;
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_FAILED);
    for (int i = 0; i < 2; i++) {
        memset(&out, 0, sizeof(out));
        input = Q_SLICE("HTTP/1.1 200 OK\r\n\r\n");
        assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_FAILED);
        assert_int_equal(out.error.code, Q_ERR_HTTP_BAD_LENGTH);
        assert_int_equal(q_h1_reader_eof(&r, &out), Q_H1_FAILED);
        assert_int_equal(out.error.code, Q_ERR_HTTP_BAD_LENGTH);
    }
    assert_false(q_h1_reader_keep_alive(&r));
}

static void one_reader_reads_one_response_after_the_other(void **state) {
    (void)state;
    struct q_h1_reader r;
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: y\r\n\r\na"
                                   "HTTP/1.0 404 No\r\nContent-Length: 1\r\n\r\nb");
    static const unsigned k_status[] = {200, 404};
    for (size_t i = 0; i < 2; i++) {
        q_h1_reader_begin(&r, 0, g_mem, sizeof(g_mem), NULL);
        struct q_h1_out out;
        assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
        assert_int_equal(out.status, k_status[i]);
        assert_int_equal(q_headers_count(out.headers), 2 - i);
        assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_DATA);
        assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_END);
        assert_int_equal(q_h1_reader_keep_alive(&r), i == 0);
    }
}

static void an_end_that_needs_no_byte_survives_the_peer_closing(void **state) {
    (void)state;
    struct q_h1_reader r = reader_of(0);
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    struct q_h1_out out;
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_HEAD);
    assert_int_equal(q_h1_reader_next(&r, &input, &out), Q_H1_DATA);
    assert_int_equal(q_h1_reader_eof(&r, &out), Q_H1_END);
    assert_false(q_h1_reader_keep_alive(&r));
}

static void a_reader_may_be_moved_between_two_calls(void **state) {
    (void)state;
    struct q_h1_reader first = reader_of(0), second;
    struct q_slice input = Q_SLICE("HTTP/1.1 200 OK\r\nContent-Le");
    struct q_h1_out out;
    assert_int_equal(q_h1_reader_next(&first, &input, &out), Q_H1_NEED_MORE);
    memcpy(&second, &first, sizeof(second));
    memset(&first, 0xff, sizeof(first));
    input = Q_SLICE("ngth: 0\r\n\r\n");
    assert_int_equal(q_h1_reader_next(&second, &input, &out), Q_H1_HEAD);
    assert_int_equal(out.content_length, 0);
}

static void the_promised_memory_is_enough_for_whatever_the_limits_allow(void **state) {
    (void)state;
    // Heads of tiny fields, of one large one and of everything between, each at the very limit.
    for (uint32_t value_len = 0; value_len < 120; value_len += 7) {
        char text[1024] = "HTTP/1.1 204 N\r\n";
        size_t len = strlen(text);
        uint32_t fields = 0;
        while (len + value_len + 5 + 2 <= 700 && fields < 60) {
            text[len++] = 'a';
            text[len++] = ':';
            memset(text + len, 'v', value_len);
            len += value_len;
            memcpy(text + len, "\r\n", 2);
            len += 2;
            fields++;
        }
        memcpy(text + len, "\r\n", 2);
        len += 2;
        struct reader_log_run run = {
            .limits = {.head_bytes = (uint32_t)len, .headers_count = fields, .trailer_bytes = 1}};
        char *log = reader_log(q_slice_make(text, len), &run);
        assert_non_null(strstr(log, "end keep-alive left 0"));
        free(log);
        run.limits.head_bytes--;
        log = reader_log(q_slice_make(text, len), &run);
        assert_string_equal(log, "failed QUOIT_ERR_HEAD_TOO_LARGE head\n");
        free(log);
    }
}

// Every byte value at every place of a good response: never a crash, never another result when cut elsewhere.
static size_t one_byte(void *context, size_t left) {
    (void)context;
    (void)left;
    return 1;
}

static void any_changed_byte_gives_the_same_events_whole_and_byte_by_byte(void **state) {
    (void)state;
    static const char k_good[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y z\r\n\r\n"
                                 "3;a=\"b\"\r\nabc\r\n0\r\nT: u\r\n\r\n";
    char text[sizeof(k_good) - 1];
    for (size_t at = 0; at < sizeof(text); at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, k_good, sizeof(text));
            text[at] = (char)byte;
            struct reader_log_run run = {.eof = true};
            char *whole = reader_log(q_slice_make(text, sizeof(text)), &run);
            run.cut_fn = one_byte;
            char *cut = reader_log(q_slice_make(text, sizeof(text)), &run);
            assert_string_equal(whole, cut);
            free(whole);
            free(cut);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_response_takes_three_calls),
        cmocka_unit_test(the_reader_is_small),
        cmocka_unit_test(the_caller_may_stop_between_any_two_events),
        cmocka_unit_test(earlier_heads_stay_readable_in_the_same_memory),
        cmocka_unit_test(memory_may_come_with_the_first_byte),
        cmocka_unit_test(trailers_may_have_memory_of_their_own),
        cmocka_unit_test(trailers_ask_for_memory_and_an_empty_section_does_not),
        cmocka_unit_test(a_failure_is_repeated_and_nothing_is_kept_alive),
        cmocka_unit_test(one_reader_reads_one_response_after_the_other),
        cmocka_unit_test(an_end_that_needs_no_byte_survives_the_peer_closing),
        cmocka_unit_test(a_reader_may_be_moved_between_two_calls),
        cmocka_unit_test(the_promised_memory_is_enough_for_whatever_the_limits_allow),
        cmocka_unit_test(any_changed_byte_gives_the_same_events_whole_and_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

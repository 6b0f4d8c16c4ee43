#include "engine/wire/h1_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Alignas(8) char g_mem[4096];

// headers_of makes a block of "name: value" lines.
static const struct q_headers *headers_of(const char *const *lines) {
    struct q_headers_builder b;
    q_headers_builder_init(&b, g_mem, sizeof(g_mem), NULL);
    for (; *lines != NULL; lines++) {
        const char *colon = strchr(*lines, ':');
        struct q_error error =
            q_headers_builder_add(&b, q_slice_make(*lines, (size_t)(colon - *lines)), q_slice_of_string(colon + 1));
        assert_int_equal(error.code, 0);
    }
    return q_headers_builder_freeze(&b);
}

#define LINES(...) headers_of((const char *const[]){__VA_ARGS__, NULL})

static struct q_h1_head_in get(void) {
    return (struct q_h1_head_in){.method = Q_SLICE("GET"),
                                 .target = Q_SLICE("/a?b"),
                                 .authority = Q_SLICE("h:8080"),
                                 .user_agent = Q_SLICE("quoit/1")};
}

static void expect_head(const struct q_h1_head_in *in, const char *expected) {
    char out[1024];
    assert_int_equal(q_h1_check_head(in).code, 0);
    size_t need = q_h1_write_head(in, NULL, 0);
    assert_int_equal(need, strlen(expected));
    assert_int_equal(q_h1_write_head(in, out, sizeof(out)), need);
    out[need] = '\0';
    assert_string_equal(out, expected);
}

static void a_plain_get_has_host_and_the_defaults(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: quoit/1\r\nAccept: */*\r\n\r\n");
    in.user_agent = (struct q_slice){0};
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\n\r\n");
}

static void given_fields_keep_their_order_and_take_the_place_of_defaults(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    in.headers = LINES("X-B: 1", "accept: text/html", "host: other", "USER-AGENT: me", "X-B:", "Expect: 100-continue");
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: other\r\nX-B: 1\r\naccept: text/html\r\nUSER-AGENT: me\r\nX-B: \r\n"
                     "Expect: 100-continue\r\n\r\n");
}

static void an_authorization_is_sent_unless_the_fields_have_one(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    in.authorization = Q_SLICE("Basic dTpw");
    in.headers = LINES("X: y");
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nX: y\r\nAuthorization: Basic dTpw\r\n"
                     "User-Agent: quoit/1\r\nAccept: */*\r\n\r\n");
    in.headers = LINES("authorization: Bearer t");
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nauthorization: Bearer t\r\n"
                     "User-Agent: quoit/1\r\nAccept: */*\r\n\r\n");
}

static void content_length_is_there_when_it_belongs_there(void **state) {
    (void)state;
    static const struct {
        const char *method;
        bool has_body;
        uint64_t body_len;
        const char *line;
    } k_rows[] = {
        {"GET", false, 0, ""},
        {"GET", true, 3, "Content-Length: 3\r\n"},
        {"DELETE", false, 0, ""},
        {"POST", false, 0, "Content-Length: 0\r\n"},
        {"PUT", false, 9, "Content-Length: 0\r\n"},
        {"PATCH", true, 0, "Content-Length: 0\r\n"},
        {"POST", true, UINT64_MAX, "Content-Length: 18446744073709551615\r\n"},
        {"post", false, 0, ""}, // methods have case
    };
    for (size_t i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++) {
        struct q_h1_head_in in = get();
        in.method = q_slice_of_string(k_rows[i].method);
        in.has_body = k_rows[i].has_body;
        in.body_len = k_rows[i].body_len;
        char expected[256] = "";
        strcat(expected, k_rows[i].method);
        strcat(expected, " /a?b HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: quoit/1\r\nAccept: */*\r\n");
        strcat(expected, k_rows[i].line);
        strcat(expected, "\r\n");
        expect_head(&in, expected);
    }
}

static void close_is_asked_for_once(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    in.close = true;
    in.user_agent = (struct q_slice){0};
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    in.headers = LINES("Connection: keep-alive, Close");
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nConnection: keep-alive, Close\r\nAccept: */*\r\n\r\n");
    assert_true(q_h1_asks_close(in.headers));
    assert_false(q_h1_asks_close(LINES("Connection: keep-alive")));
    assert_false(q_h1_asks_close(NULL));
}

static void nothing_is_written_where_it_does_not_fit(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    size_t need = q_h1_write_head(&in, NULL, 0);
    char out[256];
    memset(out, 0x5a, sizeof(out));
    assert_int_equal(q_h1_write_head(&in, out, need - 1), need);
    for (size_t i = 0; i < sizeof(out); i++) {
        assert_int_equal(out[i], 0x5a);
    }
    assert_int_equal(q_h1_write_head(&in, out, need), need);
    for (size_t i = need; i < sizeof(out); i++) {
        assert_int_equal(out[i], 0x5a);
    }
}

static void expect_refused(const struct q_h1_head_in *in, enum q_error_code code) {
    struct q_error error = q_h1_check_head(in);
    assert_int_equal(error.code, code);
    assert_int_equal(error.phase, Q_PHASE_SUBMIT);
}

static void fields_of_the_engine_are_refused(void **state) {
    (void)state;
    static const char *const k_lines[] = {
        "Content-Length: 5",     "content-length:", "Transfer-Encoding: chunked", "Connection: upgrade",
        "Connection: close, TE", "Connection:",     "Connection: close,",
    };
    for (size_t i = 0; i < sizeof(k_lines) / sizeof(k_lines[0]); i++) {
        struct q_h1_head_in in = get();
        in.headers = headers_of((const char *const[]){"X: y", k_lines[i], NULL});
        expect_refused(&in, Q_ERR_FORBIDDEN_HEADER);
    }
    struct q_h1_head_in in = get();
    in.headers = LINES("Host: a", "Host: a");
    expect_refused(&in, Q_ERR_FORBIDDEN_HEADER);
}

static void an_upgrade_is_asked_for_behind_the_given_fields(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    in.upgrade = Q_SLICE("raw/1");
    in.user_agent = (struct q_slice){0};
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n");
    in.headers = LINES("Connection: keep-alive", "Accept: a");
    in.has_body = true;
    expect_head(&in, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nConnection: keep-alive\r\nAccept: a\r\n"
                     "Connection: Upgrade\r\nUpgrade: raw/1\r\nContent-Length: 0\r\n\r\n");
}

static void an_upgrade_does_not_go_with_close(void **state) {
    (void)state;
    struct q_h1_head_in in = get();
    in.upgrade = Q_SLICE("raw/1");
    in.close = true;
    expect_refused(&in, Q_ERR_INVALID_ARGUMENT);
    in.close = false;
    in.headers = LINES("Connection: keep-alive, Close");
    expect_refused(&in, Q_ERR_INVALID_ARGUMENT);
    in.headers = NULL;
    in.upgrade = Q_SLICE("raw 1");
    expect_refused(&in, Q_ERR_INVALID_ARGUMENT);
}

static void nothing_that_could_break_the_request_line_passes(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'A', (char)byte, 'B'};
        bool tchar = byte > 0x20 && byte < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;
        struct q_h1_head_in in = get();
        in.method = q_slice_make(text, 3);
        assert_int_equal(q_h1_check_head(&in).code, tchar ? 0 : Q_ERR_INVALID_METHOD);
        bool visible = byte > 0x20 && byte < 0x7f;
        in = get();
        in.target = q_slice_make(text, 3);
        assert_int_equal(q_h1_check_head(&in).code, visible ? 0 : Q_ERR_INVALID_URL);
        in = get();
        in.authority = q_slice_make(text, 3);
        assert_int_equal(q_h1_check_head(&in).code, visible ? 0 : Q_ERR_INVALID_URL);
    }
    struct q_h1_head_in in = get();
    in.method = (struct q_slice){0};
    expect_refused(&in, Q_ERR_INVALID_METHOD);
    in = get();
    in.target = (struct q_slice){0};
    expect_refused(&in, Q_ERR_INVALID_URL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_get_has_host_and_the_defaults),
        cmocka_unit_test(given_fields_keep_their_order_and_take_the_place_of_defaults),
        cmocka_unit_test(an_authorization_is_sent_unless_the_fields_have_one),
        cmocka_unit_test(content_length_is_there_when_it_belongs_there),
        cmocka_unit_test(close_is_asked_for_once),
        cmocka_unit_test(nothing_is_written_where_it_does_not_fit),
        cmocka_unit_test(fields_of_the_engine_are_refused),
        cmocka_unit_test(an_upgrade_is_asked_for_behind_the_given_fields),
        cmocka_unit_test(an_upgrade_does_not_go_with_close),
        cmocka_unit_test(nothing_that_could_break_the_request_line_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

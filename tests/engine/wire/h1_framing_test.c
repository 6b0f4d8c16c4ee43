#include "engine/wire/h1_framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Alignas(8) char g_mem[1024];

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

#define LINES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define LENGTH5    "Content-Length: 5"
#define CHUNKED    "Transfer-Encoding: chunked"

enum request { PLAIN, TO_HEAD, TO_CONNECT };

struct row {
    const char *const *lines;
    unsigned status;
    unsigned minor;
    enum request request;
    int code;
    enum q_h1_body body;
    bool keep_alive;
};

static void expect(const struct row *row) {
    struct q_h1_framing framing;
    struct q_error error = q_h1_frame(headers_of(row->lines), row->status, row->minor, row->request == TO_HEAD,
                                      row->request == TO_CONNECT, &framing);
    assert_int_equal(error.code, row->code);
    if (row->code == 0) {
        assert_int_equal(framing.body, row->body);
        assert_int_equal(framing.keep_alive, row->keep_alive);
    } else {
        assert_int_equal(error.phase, Q_PHASE_HEAD);
    }
}

#define EXPECT(...) expect(&(struct row){__VA_ARGS__})

static void the_body_is_what_rfc_9112_section_6_3_says(void **state) {
    (void)state;
    EXPECT(LINES(LENGTH5), 200, 1, PLAIN, 0, Q_H1_BODY_LENGTH, true);
    EXPECT(LINES("Content-Length: 0"), 200, 1, PLAIN, 0, Q_H1_BODY_NONE, true);
    EXPECT(LINES(CHUNKED), 200, 1, PLAIN, 0, Q_H1_BODY_CHUNKED, true);
    EXPECT(LINES(), 200, 1, PLAIN, 0, Q_H1_BODY_CLOSE, false);
    EXPECT(LINES(LENGTH5), 200, 0, PLAIN, 0, Q_H1_BODY_LENGTH, false);
    EXPECT(LINES(), 500, 1, PLAIN, 0, Q_H1_BODY_CLOSE, false);
}

static void some_responses_never_have_a_body(void **state) {
    (void)state;
    static const unsigned k_bodiless[] = {204, 304};
    for (size_t i = 0; i < 2; i++) {
        // A 304 tells the length that a 200 would have; a 204 that does may send it behind the next request's head.
        EXPECT(LINES(LENGTH5), k_bodiless[i], 1, PLAIN, 0, Q_H1_BODY_NONE, k_bodiless[i] == 304);
        EXPECT(LINES(CHUNKED), k_bodiless[i], 1, PLAIN, 0, Q_H1_BODY_NONE, k_bodiless[i] == 304);
        EXPECT(LINES("Content-Length: 0"), k_bodiless[i], 1, PLAIN, 0, Q_H1_BODY_NONE, true);
        EXPECT(LINES(), k_bodiless[i], 1, PLAIN, 0, Q_H1_BODY_NONE, true);
    }
    EXPECT(LINES(LENGTH5), 200, 1, TO_HEAD, 0, Q_H1_BODY_NONE, true);
    EXPECT(LINES(CHUNKED), 200, 1, TO_HEAD, 0, Q_H1_BODY_NONE, true);
    EXPECT(LINES(), 404, 1, TO_HEAD, 0, Q_H1_BODY_NONE, true);
}

static void only_a_success_to_connect_is_a_tunnel(void **state) {
    (void)state;
    EXPECT(LINES(LENGTH5, CHUNKED, "Content-Length: x"), 200, 1, TO_CONNECT, 0, Q_H1_BODY_TUNNEL, false);
    EXPECT(LINES(), 299, 0, TO_CONNECT, 0, Q_H1_BODY_TUNNEL, false);
    EXPECT(LINES(LENGTH5), 407, 1, TO_CONNECT, 0, Q_H1_BODY_LENGTH, true);
    EXPECT(LINES(LENGTH5, CHUNKED), 502, 1, TO_CONNECT, Q_ERR_HTTP_BAD_TRANSFER_CODING, 0, false);
}

static void ambiguous_framing_is_an_error_for_every_request(void **state) {
    (void)state;
    for (enum request request = PLAIN; request <= TO_HEAD; request++) {
        EXPECT(LINES(LENGTH5, "Content-Length: 6"), 200, 1, request, Q_ERR_HTTP_BAD_LENGTH, 0, false);
        EXPECT(LINES("Content-Length: 5, 6"), 200, 1, request, Q_ERR_HTTP_BAD_LENGTH, 0, false);
        EXPECT(LINES("Content-Length: 6", "Content-Length: 5, 6"), 304, 1, request, Q_ERR_HTTP_BAD_LENGTH, 0, false);
        EXPECT(LINES("Content-Length: -1"), 204, 1, request, Q_ERR_HTTP_BAD_LENGTH, 0, false);
        EXPECT(LINES(LENGTH5, CHUNKED), 200, 1, request, Q_ERR_HTTP_BAD_TRANSFER_CODING, 0, false);
        EXPECT(LINES(CHUNKED), 200, 0, request, Q_ERR_HTTP_BAD_TRANSFER_CODING, 0, false);
        EXPECT(LINES(CHUNKED, CHUNKED), 200, 1, request, Q_ERR_HTTP_BAD_TRANSFER_CODING, 0, false);
        EXPECT(LINES("Transfer-Encoding: gzip"), 200, 1, request, Q_ERR_HTTP_BAD_TRANSFER_CODING, 0, false);
    }
}

static void equal_lengths_are_one(void **state) {
    (void)state;
    EXPECT(LINES(LENGTH5, LENGTH5), 200, 1, PLAIN, 0, Q_H1_BODY_LENGTH, true);
    EXPECT(LINES("Content-Length: 5,5 , 005"), 200, 1, PLAIN, 0, Q_H1_BODY_LENGTH, true);
    struct q_h1_framing framing;
    assert_int_equal(q_h1_frame(headers_of(LINES("Content-Length: 7, 7")), 200, 1, false, false, &framing).code, 0);
    assert_int_equal(framing.content_length, 7);
    assert_int_equal(q_h1_frame(headers_of(LINES()), 200, 1, false, false, &framing).code, 0);
    assert_int_equal(framing.content_length, Q_H1_NO_CONTENT_LENGTH);
}

static void the_connection_lives_on_as_section_9_3_says(void **state) {
    (void)state;
    EXPECT(LINES(LENGTH5, "Connection: close"), 200, 1, PLAIN, 0, Q_H1_BODY_LENGTH, false);
    EXPECT(LINES(LENGTH5, "Connection: keep-alive"), 200, 0, PLAIN, 0, Q_H1_BODY_LENGTH, true);
    EXPECT(LINES(LENGTH5, "Connection: keep-alive", "Connection: Close"), 200, 0, PLAIN, 0, Q_H1_BODY_LENGTH, false);
    EXPECT(LINES("Connection: keep-alive"), 200, 1, PLAIN, 0, Q_H1_BODY_CLOSE, false);
    EXPECT(LINES("Connection: close"), 204, 1, PLAIN, 0, Q_H1_BODY_NONE, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_is_what_rfc_9112_section_6_3_says),
        cmocka_unit_test(some_responses_never_have_a_body),
        cmocka_unit_test(only_a_success_to_connect_is_a_tunnel),
        cmocka_unit_test(ambiguous_framing_is_an_error_for_every_request),
        cmocka_unit_test(equal_lengths_are_one),
        cmocka_unit_test(the_connection_lives_on_as_section_9_3_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "engine/wire/h1_chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum q_h1_chunk_event next(struct q_h1_chunk *c, struct q_slice *input) {
    struct q_slice data;
    return q_h1_chunk_next(c, input, &data);
}

static void content_points_into_the_input(void **state) {
    (void)state;
    struct q_h1_chunk c;
    q_h1_chunk_init(&c, 0);
    struct q_slice input = Q_SLICE("5\r\nhello\r\n0\r\nrest"), data;
    const char *start = input.ptr;
    assert_int_equal(q_h1_chunk_next(&c, &input, &data), Q_H1_CHUNK_DATA);
    assert_ptr_equal(data.ptr, start + 3);
    assert_int_equal(data.len, 5);
    assert_int_equal(next(&c, &input), Q_H1_CHUNK_LAST);
    // The trailer section is not touched.
    assert_int_equal(input.len, 4);
    assert_memory_equal(input.ptr, "rest", 4);
}

static void an_empty_input_asks_for_more(void **state) {
    (void)state;
    struct q_h1_chunk c;
    q_h1_chunk_init(&c, 10);
    struct q_slice input = Q_SLICE("");
    assert_int_equal(next(&c, &input), Q_H1_CHUNK_MORE);
    input = (struct q_slice){0};
    assert_int_equal(next(&c, &input), Q_H1_CHUNK_MORE);
}

// take_off reads `coded` in pieces of at most `step` bytes and gives the number of content bytes, or -1.
static int take_off(struct q_slice coded, size_t step, char *content) {
    struct q_h1_chunk c;
    q_h1_chunk_init(&c, 1000);
    size_t len = 0;
    while (coded.len > 0) {
        struct q_slice input = q_slice_make(coded.ptr, coded.len < step ? coded.len : step);
        coded = q_slice_from(coded, step);
        enum q_h1_chunk_event event;
        do {
            struct q_slice data = {0};
            event = q_h1_chunk_next(&c, &input, &data);
            if (event == Q_H1_CHUNK_DATA) {
                memcpy(content + len, data.ptr, data.len);
                len += data.len;
            } else if (event == Q_H1_CHUNK_LAST) {
                return coded.len == 0 && input.len == 0 ? (int)len : -1;
            } else if (event != Q_H1_CHUNK_MORE) {
                return -1;
            }
        } while (event != Q_H1_CHUNK_MORE);
        assert_int_equal(input.len, 0);
    }
    return -1;
}

static void every_size_comes_through_at_every_cut(void **state) {
    (void)state;
    static char plain[5000], coded[20000], content[5000];
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (char)(i * 7 + i / 251);
    }
    size_t coded_len = 0, at = 0;
    for (size_t size = 1; at < sizeof(plain); size = size * 2 + 1) {
        size_t len = size < sizeof(plain) - at ? size : sizeof(plain) - at;
        static const char k_hex[] = "0123456789aBCdEF";
        for (int shift = 12; shift >= 0; shift -= 4) {
            coded[coded_len++] = k_hex[len >> shift & 15];
        }
        memcpy(coded + coded_len, "\r\n", 2);
        memcpy(coded + coded_len + 2, plain + at, len);
        memcpy(coded + coded_len + 2 + len, "\r\n", 2);
        coded_len += len + 4;
        at += len;
    }
    memcpy(coded + coded_len, "000\r\n", 5);
    coded_len += 5;
    for (size_t step = 1; step < 300; step++) {
        assert_int_equal(take_off(q_slice_make(coded, coded_len), step, content), sizeof(plain));
        assert_memory_equal(content, plain, sizeof(plain));
    }
}

// After any valid beginning, each of the 256 bytes is either right or an error; nothing else, and never a crash.
static void each_byte_in_each_place_is_right_or_an_error(void **state) {
    (void)state;
    static const struct {
        const char *begin;
        const char *right; // classes of bytes that may follow, spelled out
    } k_places[] = {
        {"", "0123456789abcdefABCDEF"},
        {"5", "0123456789abcdefABCDEF;\r \t"},
        {"5 ", "; \t"},
        {"5\r", "\n"},
        {"1\r\nx", "\r"},
        {"1\r\nx\r", "\n"},
        {"1\r\nx\r\n", "0123456789abcdefABCDEF"},
        {"5;a\r", "\n"},
        {"5;a \t", "; \t="},
        {"5;a=b ", "; \t"},
        {"5;a=\"b\"", "; \t\r"},
    };
    for (size_t i = 0; i < sizeof(k_places) / sizeof(k_places[0]); i++) {
        for (int byte = 0; byte < 256; byte++) {
            struct q_h1_chunk c;
            q_h1_chunk_init(&c, 1000);
            struct q_slice input = q_slice_of_string(k_places[i].begin), data;
            while (q_h1_chunk_next(&c, &input, &data) == Q_H1_CHUNK_DATA) {
            }
            char one = (char)byte;
            input = q_slice_make(&one, 1);
            bool right = byte != 0 && strchr(k_places[i].right, byte) != NULL;
            assert_int_equal(q_h1_chunk_next(&c, &input, &data) != Q_H1_CHUNK_BAD, right);
        }
    }
}

static void the_limit_is_exact(void **state) {
    (void)state;
    for (uint32_t max = 0; max < 12; max++) {
        struct q_h1_chunk c;
        q_h1_chunk_init(&c, max);
        struct q_slice input = Q_SLICE("1;ab=\"c\"\r\nx\r\n00\r\n"), data; // 7 bytes of extension, 1 zero
        enum q_h1_chunk_event event;
        while ((event = q_h1_chunk_next(&c, &input, &data)) == Q_H1_CHUNK_DATA) {
        }
        assert_int_equal(event, max >= 8 ? Q_H1_CHUNK_LAST : Q_H1_CHUNK_TOO_LARGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_points_into_the_input),
        cmocka_unit_test(an_empty_input_asks_for_more),
        cmocka_unit_test(every_size_comes_through_at_every_cut),
        cmocka_unit_test(each_byte_in_each_place_is_right_or_an_error),
        cmocka_unit_test(the_limit_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

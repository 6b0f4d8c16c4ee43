// The reader against a second reading of RFC 9112 (rfc9112.h): responses with every byte in every place, and responses
// that were changed at random several times. Both must take the same ones, and see the same in them.
#include "tests/engine/wire/rfc9112.h"

#include "engine/base/random.h"
#include "engine/wire/h1_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INPUT_MAX 1024
#define RANDOM_RUNS 200000

struct input {
    size_t len;
    char bytes[INPUT_MAX];
};

#define OK "HTTP/1.1 200 OK\r\n"

static const char *const k_responses[] = {
    OK "Content-Length: 5\r\n\r\nhello",
    OK "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n1 ; a = \"q\\\"\" ;b\r\nx\r\n0A\r\n0123456789\r\n00\r\n\r\n",
    OK "Content-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", // neither takes it
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n0000000000000005\r\nhello\r\n0\r\n\r\n", // as many digits as 64 bits have
    "HTTP/1.1 204\r\n\r\n",
    "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 304 N\r\nContent-Length: 10\r\n\r\n",
    "HTTP/1.1 200 \r\nA:\r\nB:  c \t\r\n\r\nrest",
    "HTTP/1.0 500 a\tb\r\n\r\n",
};

static const char *const k_pieces[] = {
    "\r\n", "\r", "\n", " ", "\t", ":", ",", ";", "=", "\"", "\\", "0", "1", "5", "a", "F", "+", "-", "\x7f", "\x80",
    "chunked", "close", "keep-alive", "HTTP/1.1 ", OK, "X: y\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "\r\n\r\n", "204", "0\r\n",
};

// What the reader makes of it, in the same words.
static void read_it(struct q_slice input, struct rfc9112 *out) {
    static _Alignas(8) char memory[128 * 1024];
    struct q_h1_reader reader;
    struct q_h1_out event = {0};
    q_h1_reader_begin(&reader, Q_H1_REQUEST_PLAIN, memory, sizeof memory, NULL);
    out->body_len = 0;
    enum q_h1_event what;
    while ((what = q_h1_reader_next(&reader, &input, &event)) != Q_H1_NEED_MORE && what != Q_H1_END &&
           what != Q_H1_FAILED) {
        if (what == Q_H1_HEAD) {
            out->status = event.status;
        } else if (what == Q_H1_DATA) {
            assert_true(out->body_len + event.data.len <= sizeof out->body);
            memcpy(out->body + out->body_len, event.data.ptr, event.data.len);
            out->body_len += event.data.len;
        }
    }
    what = what == Q_H1_NEED_MORE ? q_h1_reader_eof(&reader, &event) : what;
    out->is_response = what == Q_H1_END;
    out->keep_alive = q_h1_reader_keep_alive(&reader);
    out->left = input.len;
}

static void fail_with(const struct input *input, const struct rfc9112 *expected, const struct rfc9112 *got) {
    for (size_t i = 0; i < input->len; i++) {
        unsigned char byte = (unsigned char)input->bytes[i];
        bool is_plain = byte >= 0x20 && byte < 0x7f && byte != '\\';
        print_error(is_plain ? "%c" : "\\x%02x", byte);
    }
    print_error("\n");
    const struct rfc9112 *both[] = {expected, got};
    for (int i = 0; i < 2; i++) {
        print_error("%s: response %d, status %u, keep-alive %d, %zu bytes of body, %zu left\n",
                    i == 0 ? "RFC 9112" : "reader", both[i]->is_response, both[i]->status, both[i]->keep_alive,
                    both[i]->body_len, both[i]->left);
    }
    fail();
}

// True: it is a response.
static bool compare(const struct input *input) {
    static struct rfc9112 expected, got;
    struct q_slice slice = q_slice_make(input->bytes, input->len);
    rfc9112_read(slice, &expected);
    read_it(slice, &got);
    bool is_same = expected.is_response == got.is_response;
    if (is_same && got.is_response) {
        is_same = expected.status == got.status && expected.keep_alive == got.keep_alive && expected.left == got.left &&
                  expected.body_len == got.body_len && memcmp(expected.body, got.body, got.body_len) == 0;
    }
    if (!is_same) {
        fail_with(input, &expected, &got);
    }
    return got.is_response;
}

static struct input input_of(const char *text) {
    struct input input = {.len = strlen(text)};
    memcpy(input.bytes, text, input.len);
    return input;
}

// Puts `piece` in the place of `count` bytes at `at`; does nothing where it does not fit.
static void replace(struct input *input, size_t at, size_t count, const char *piece, size_t len) {
    if (at + count > input->len || input->len - count + len > INPUT_MAX / 2) {
        return;
    }
    memmove(input->bytes + at + len, input->bytes + at + count, input->len - at - count);
    memcpy(input->bytes + at, piece, len);
    input->len = input->len - count + len;
}

static void every_byte_in_every_place_is_read_as_the_grammar_says(void **state) {
    (void)state;
    unsigned responses = 0;
    for (size_t r = 0; r < sizeof(k_responses) / sizeof(k_responses[0]); r++) {
        struct input whole = input_of(k_responses[r]);
        for (size_t at = 0; at < whole.len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                char piece = (char)byte;
                struct input put = whole, pushed = whole;
                replace(&put, at, 1, &piece, 1);
                replace(&pushed, at, 0, &piece, 1);
                responses += compare(&put);
                responses += compare(&pushed);
            }
            struct input without = whole;
            replace(&without, at, 1, "", 0);
            responses += compare(&without);
            without.len = at; // and cut
            memcpy(without.bytes, whole.bytes, at);
            responses += compare(&without);
        }
    }
    assert_true(responses > 10000);
}

static void change(struct input *input, struct q_random *random) {
    size_t at = (size_t)q_random_below(random, input->len + 1);
    const char *piece = k_pieces[q_random_below(random, sizeof(k_pieces) / sizeof(k_pieces[0]))];
    char byte = (char)q_random_below(random, 256);
    switch (q_random_below(random, 6)) {
    case 0: replace(input, at, 1, &byte, 1); break;
    case 1: replace(input, at, 0, &byte, 1); break;
    case 2: replace(input, at, 1 + (size_t)q_random_below(random, 3), "", 0); break;
    case 3: replace(input, at, 0, piece, strlen(piece)); break;
    case 4: replace(input, at, strlen(piece), piece, strlen(piece)); break;
    default: { // some of it once more
        char copy[20];
        size_t len = input->len - at < sizeof copy ? input->len - at : sizeof copy;
        memcpy(copy, input->bytes + at, len);
        replace(input, at, 0, copy, len);
    }
    }
}

static void changed_responses_are_read_as_the_grammar_says(void **state) {
    (void)state;
    struct q_random random;
    q_random_seed(&random, 9112);
    unsigned responses = 0;
    for (unsigned i = 0; i < RANDOM_RUNS; i++) {
        size_t which = (size_t)q_random_below(&random, sizeof(k_responses) / sizeof(k_responses[0]));
        struct input input = input_of(k_responses[which]);
        for (uint64_t changes = 1 + q_random_below(&random, 4); changes > 0; changes--) {
            change(&input, &random);
        }
        responses += compare(&input);
    }
    assert_true(responses > RANDOM_RUNS / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_in_every_place_is_read_as_the_grammar_says),
        cmocka_unit_test(changed_responses_are_read_as_the_grammar_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

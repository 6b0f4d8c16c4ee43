// What a server may send at most, through the public API: each limit is an option of the engine, holds to the byte, and
// ends its request with an error of its own, whole or byte by byte.
#include "tests/engine/core/host.h"

#include "bench/server/scripted.h"

#define OPTION(field) offsetof(struct quoit_engine_options, field)

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static struct host the_host; // too large for a stack

// One limit: a response that keeps it to the byte, and one that is a byte, or a field, or a head, beyond.
struct row {
    size_t option;
    uint32_t limit;
    int32_t code;
    int32_t phase;
    const char *at;
    const char *beyond;
};

static const struct row k_rows[] = {
    {OPTION(head_bytes_max), 143, QUOIT_ERR_HEAD_TOO_LARGE, QUOIT_PHASE_HEAD,
     "HTTP/1.1 200 OK\r\nA: " X100 "\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nA: " X100 "x\r\nContent-Length: 0\r\n\r\n"},
    {OPTION(headers_max), 3, QUOIT_ERR_TOO_MANY_HEADERS, QUOIT_PHASE_HEAD,
     "HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\nContent-Length: 0\r\n\r\n"},
    {OPTION(line_bytes_max), 102, QUOIT_ERR_LINE_TOO_LONG, QUOIT_PHASE_HEAD,
     "HTTP/1.1 200 OK\r\nAB: " X100 "\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nABC: " X100 "\r\nContent-Length: 0\r\n\r\n"},
    {OPTION(line_bytes_max), 100, QUOIT_ERR_LINE_TOO_LONG, QUOIT_PHASE_HEAD,
     "HTTP/1.1 200 " X100 "\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 " X100 "x\r\nContent-Length: 0\r\n\r\n"},
    {OPTION(line_bytes_max), 101, QUOIT_ERR_LINE_TOO_LONG, QUOIT_PHASE_BODY, CHUNKED "0\r\nA: " X100 "\r\n\r\n",
     CHUNKED "0\r\nAB: " X100 "\r\n\r\n"},
    {OPTION(informational_max), 2, QUOIT_ERR_TOO_MANY_INFORMATIONAL, QUOIT_PHASE_HEAD,
     "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 102 P\r\n\r\n" EMPTY,
     "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n" EMPTY},
    {OPTION(chunk_extension_bytes_max), 99, QUOIT_ERR_CHUNK_EXTENSION_TOO_LARGE, QUOIT_PHASE_BODY,
     CHUNKED "01;a=" X10 X10 X10 X10 "xx\r\ny\r\n1;a=" X10 X10 X10 X10 X10 "x\r\ny\r\n0\r\n\r\n",
     CHUNKED "01;a=" X10 X10 X10 X10 "xx\r\ny\r\n1;a=" X10 X10 X10 X10 X10 "xx\r\ny\r\n0\r\n\r\n"},
    {OPTION(trailer_bytes_max), 107, QUOIT_ERR_TRAILERS_TOO_LARGE, QUOIT_PHASE_BODY,
     CHUNKED "0\r\nA: " X100 "\r\n\r\n", CHUNKED "0\r\nA: " X100 "x\r\n\r\n"},
    {OPTION(headers_max), 2, QUOIT_ERR_TOO_MANY_HEADERS, QUOIT_PHASE_BODY, CHUNKED "0\r\nA: 1\r\nB: 2\r\n\r\n",
     CHUNKED "0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"},
};

// Asks an engine with `limit` for what the server sends, `piece` bytes at a time; 0: at once.
static const struct host_record *ask(const struct row *row, const char *response, size_t piece) {
    struct quoit_engine_options options = {.struct_size = sizeof options};
    const struct bench_step script[] = {
        {.kind = BENCH_EXPECT_REQUEST},
        {.kind = piece > 0 ? BENCH_SEND_PIECES : BENCH_SEND, .bytes = response, .number = piece},
        {.kind = BENCH_STEP_END},
    };
    char url[HOST_URL_MAX];
    memcpy((char *)&options + row->option, &row->limit, sizeof row->limit);
    struct bench_scripted *server = bench_scripted_start_one(script);
    assert_non_null(server);
    host_start(&the_host, &options, NULL);
    host_get(&the_host, 0, bench_scripted_url(server, "/", url, sizeof url));
    const struct host_record *record = host_wait(&the_host, 0);
    host_stop(&the_host);
    bench_scripted_stop(server);
    return record;
}

static void each_limit_holds_to_the_byte(void **state) {
    static const size_t k_pieces[] = {0, 1, 7};
    (void)state;
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        for (size_t k = 0; k < sizeof k_pieces / sizeof k_pieces[0]; k++) {
            const struct host_record *record = ask(&k_rows[i], k_rows[i].at, k_pieces[k]);
            if (record->end_type != QUOIT_EVENT_DONE) {
                fail_msg("row %zu, pieces of %zu: %s at the limit", i, k_pieces[k],
                         quoit_error_name(record->summary.failure.code));
            }
            record = ask(&k_rows[i], k_rows[i].beyond, k_pieces[k]);
            if (record->summary.failure.code != k_rows[i].code) {
                fail_msg("row %zu, pieces of %zu: %s beyond the limit", i, k_pieces[k],
                         quoit_error_name(record->summary.failure.code));
            }
            host_assert_failed(record, k_rows[i].code, k_rows[i].phase);
        }
    }
}

// By default trailers are built in a small chunk; an option beyond it must find memory that holds them.
static void trailers_as_large_as_the_most_are_delivered(void **state) {
    enum { MOST = 262144 };
    static const char k_begin[] = CHUNKED "0\r\n";
    static char response[sizeof k_begin + MOST];
    struct row row = {.option = OPTION(trailer_bytes_max), .limit = MOST};
    (void)state;
    char *at = response + snprintf(response, sizeof response, "%sA: ", k_begin);
    memset(at, 'x', MOST - 7);
    memcpy(at + MOST - 7, "\r\n\r\n", 5);
    const struct host_record *record = ask(&row, response, 0);
    assert_int_equal(record->summary.failure.code, QUOIT_ERR_LINE_TOO_LONG); // a line is as long as a head at most
    for (int i = 1; i < 100; i++) { // so: a hundred lines
        memcpy(at + i * (MOST / 100), "\r\nA: ", 5);
    }
    record = ask(&row, response, 0);
    host_assert_done(record, 0);
    assert_int_equal(record->num_trailers, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_holds_to_the_byte),
        cmocka_unit_test(trailers_as_large_as_the_most_are_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

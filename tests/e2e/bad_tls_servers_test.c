// The fetch example, as a user runs it, against each bad TLS server of tests/support/bad_tls.h, by TLS 1.2 and 1.3: the
// error has the kind's name, what came before it was written, and no byte of the request left before the server was
// known.
//
// Usage: bad_tls_servers_test FETCH
#include "tests/e2e/fetched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/bad_tls.h"
#include "tests/support/certs.h"

#define LIMIT_S   "20" // of one that must come to its end by itself
#define SILENCE_S "0.6"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304 };

static const uint16_t k_versions[] = {TLS_1_2, TLS_1_3};

static const char *the_fetch;
static char *the_folder;
static char *the_roots; // a file

static int make_roots(void **state) {
    (void)state;
    the_folder = q_certs_folder_new();
    the_roots = q_certs_write(the_folder, "roots.pem", bad_tls_roots());
    return 0;
}

static int remove_roots(void **state) {
    (void)state;
    q_certs_folder_remove(the_folder);
    free(the_folder);
    free(the_roots);
    return 0;
}

// Fetches from the server by the name that it is for.
static struct fetched fetch(const struct bad_tls *server, const char *max_time_s) {
    char detour[64];
    snprintf(detour, sizeof detour, "%s:443:127.0.0.1:%u", BAD_TLS_HOST, bad_tls_port(server));
    return fetched_run(the_fetch, (const char *[]){"--cacert", the_roots, "--connect-to", detour, "--max-time",
                                                   max_time_s, "https://" BAD_TLS_HOST "/x", NULL});
}

// The body as far as it came: nothing, half of it or all.
static void assert_body(const struct fetched *fetched, const char *title, size_t len) {
    if (fetched->said.out_len != len) {
        fail_msg("%s: %zu bytes of body, not %zu", title, fetched->said.out_len, len);
    }
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(fetched->said.out[i], 'a' + i % 26);
    }
}

// Fetches from a new server, and gives what it has seen.
static struct bad_tls_facts meet(const struct bad_tls_options *options, int status, const char *error,
                                 size_t body_len) {
    const char *title = bad_tls_title(options->kind);
    struct bad_tls_facts facts;
    struct bad_tls *server = bad_tls_start(options);
    struct fetched fetched = fetch(server, LIMIT_S);
    fetched_assert(&fetched, title, status, error);
    assert_body(&fetched, title, body_len);
    fetched_free(&fetched);
    bad_tls_wait(server, 1);
    bad_tls_stop(server, &facts);
    assert_int_equal(facts.num_connections, 1); // a server like that is not asked again
    assert_false(facts.was_left);
    return facts;
}

static void a_whole_answer_is_one_however_it_is_closed(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int kind = BAD_TLS_NONE; kind <= BAD_TLS_TO_THE_END; kind++) {
            struct bad_tls_options options = {.kind = kind, .version = k_versions[i]};
            assert_int_equal(meet(&options, 200, NULL, BAD_TLS_BODY_LEN).num_requests, 1);
        }
    }
}

static void a_bad_certificate_has_its_error_and_gets_no_request(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int kind = BAD_TLS_EXPIRED; kind <= BAD_TLS_SHA1; kind++) {
            struct bad_tls_options options = {.kind = kind, .version = k_versions[i]};
            struct bad_tls_facts facts = meet(&options, 0, bad_tls_error(kind), 0);
            assert_int_equal(facts.num_requests, 0);
            assert_int_equal(facts.num_shaken, 0);
        }
    }
}

static void a_bad_handshake_has_its_error(void **state) {
    (void)state;
    for (int kind = BAD_TLS_OLD_VERSION; kind <= BAD_TLS_CLOSE; kind++) {
        struct bad_tls_options options = {.kind = kind};
        assert_int_equal(meet(&options, 0, bad_tls_error(kind), 0).num_requests, 0);
    }
}

// Which of the bounds is first is not the server's to say: --max-time is all of them.
static void a_silent_server_is_left_in_time(void **state) {
    (void)state;
    for (int kind = BAD_TLS_SILENT; kind <= BAD_TLS_SILENT_MIDWAY; kind++) {
        struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = kind});
        struct fetched fetched = fetch(server, SILENCE_S);
        bad_tls_stop(server, NULL);
        bool is_total = strstr(fetched.report, "\"QUOIT_ERR_TIMEOUT_TOTAL\"") != NULL;
        fetched_assert(&fetched, bad_tls_title(kind), 0, is_total ? "QUOIT_ERR_TIMEOUT_TOTAL" : bad_tls_error(kind));
        fetched_free(&fetched);
    }
}

// The status is known wherever the head came.
static void a_cut_answer_has_its_error_and_what_came_of_it(void **state) {
    static const struct {
        enum bad_tls_kind kind;
        int status;
        size_t body_len;
    } k_cases[] = {
        {BAD_TLS_LENGTH_CUT, 200, BAD_TLS_BODY_LEN / 2},
        {BAD_TLS_LENGTH_CUT_CLOSED, 200, BAD_TLS_BODY_LEN / 2},
        {BAD_TLS_CHUNKED_CUT, 200, BAD_TLS_BODY_LEN / 2},
        {BAD_TLS_TO_THE_END_CUT, 200, BAD_TLS_BODY_LEN},
        {BAD_TLS_HEAD_ALONE, 0, 0},
        {BAD_TLS_BODY_GARBLED, 200, BAD_TLS_BODY_LEN / 2},
        {BAD_TLS_BODY_ALERT, 200, BAD_TLS_BODY_LEN / 2},
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof k_cases / sizeof k_cases[0]; i++) {
        enum bad_tls_kind kind = k_cases[i / 2].kind;
        struct bad_tls_options options = {.kind = kind, .version = k_versions[i % 2]};
        struct bad_tls_facts facts =
            meet(&options, k_cases[i / 2].status, bad_tls_error(kind), k_cases[i / 2].body_len);
        assert_int_equal(facts.num_requests, 1);
    }
}

// Behind each record, and within the next: whatever was lost, the name is the same. Once the head has come its status
// is told, and once the body has, nothing was lost.
static void a_server_that_stops_at_any_record_is_truncated(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bad_tls_options options = {
            .kind = BAD_TLS_TRUNCATED, .version = k_versions[i], .records = BAD_TLS_EVERY_RECORD};
        struct bad_tls_facts whole = meet(&options, 200, NULL, BAD_TLS_BODY_LEN);
        uint32_t before_head = whole.num_records - 4; // head, two halves, close_notify
        assert_true(before_head >= whole.num_shaken);
        for (options.records = 0; options.records < whole.num_records; options.records++) {
            uint32_t num_body = options.records > before_head ? options.records - before_head - 1 : 0;
            for (options.bytes = 0; options.bytes <= 7; options.bytes += 7) {
                bool is_whole = num_body == 2;
                meet(&options, options.records > before_head ? 200 : 0,
                     is_whole ? NULL : bad_tls_error(BAD_TLS_TRUNCATED), num_body * (BAD_TLS_BODY_LEN / 2));
            }
        }
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_is_one_however_it_is_closed),
        cmocka_unit_test(a_bad_certificate_has_its_error_and_gets_no_request),
        cmocka_unit_test(a_bad_handshake_has_its_error),
        cmocka_unit_test(a_silent_server_is_left_in_time),
        cmocka_unit_test(a_cut_answer_has_its_error_and_what_came_of_it),
        cmocka_unit_test(a_server_that_stops_at_any_record_is_truncated),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: bad_tls_servers_test FETCH\n");
        return 2;
    }
    the_fetch = argv[1];
    return cmocka_run_group_tests(tests, make_roots, remove_roots);
}

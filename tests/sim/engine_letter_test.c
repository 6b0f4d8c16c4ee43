// The transcripts of the reader, sent by a server to the whole engine: each ends there as it does in the reader, with the
// same error in the same phase or with a response that is complete, and its connection serves another request only where
// the transcript says so. Then each is broken off, by FIN and by RST, behind every one of its bytes.
#define _GNU_SOURCE
#include "tests/sim/stand.h"

#include "tests/engine/wire/transcripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVERY_BYTE_MAX 300 // inputs up to this length are broken off at every byte
#define SILENCE_MS 200

// How a log ends: what must come of the same bytes in the engine.
struct outcome {
    char error[48]; // its name; empty: none
    char phase[8];
    bool goes_on; // the response is not over, and nothing more comes
    bool is_reusable;
};

static struct outcome outcome_of(const char *log) {
    struct outcome outcome = {0};
    const char *last = transcript_last_line(log);
    char how[16];
    unsigned left;
    if (sscanf(last, "failed %47s %7s", outcome.error, outcome.phase) == 2) {
        return outcome;
    }
    outcome.goes_on = strcmp(last, "more\n") == 0;
    if (!outcome.goes_on) {
        assert_int_equal(sscanf(last, "end %15s left %u", how, &left), 2);
        outcome.is_reusable = strcmp(how, "keep-alive") == 0 && left == 0;
    }
    return outcome;
}

static struct outcome outcome_of_bytes(const struct transcript *t, size_t len, bool eof) {
    struct reader_log_run run = t->run;
    run.eof = eof;
    char *log = reader_log(q_slice_make(t->input, len), &run);
    struct outcome outcome = outcome_of(log);
    free(log);
    return outcome;
}

// The engine never asks for a tunnel yet, and its memory is never less than its limits need.
static bool is_for_the_engine(const struct transcript *t) {
    return t->run.memory == 0 && (t->run.request_flags & Q_H1_REQUEST_CONNECT) == 0;
}

static struct quoit_engine_options limits_of(const struct transcript *t) {
    const struct q_h1_limits *limits = &t->run.limits;
#define OR_DEFAULT(field, fallback) (limits->field != 0 ? limits->field : (fallback))
    return (struct quoit_engine_options){
        .head_bytes_max = OR_DEFAULT(head_bytes, Q_H1_HEAD_BYTES_DEFAULT),
        .headers_max = OR_DEFAULT(headers_count, Q_H1_HEADERS_COUNT_DEFAULT),
        .line_bytes_max = OR_DEFAULT(line_bytes, Q_H1_LINE_BYTES_DEFAULT),
        .informational_max = OR_DEFAULT(informational_count, Q_H1_INFORMATIONAL_COUNT_DEFAULT),
        .chunk_extension_bytes_max = OR_DEFAULT(chunk_extension_bytes, Q_H1_CHUNK_EXTENSION_BYTES_DEFAULT),
        .trailer_bytes_max = OR_DEFAULT(trailer_bytes, Q_H1_TRAILER_BYTES_DEFAULT),
    };
#undef OR_DEFAULT
}

// /raw/0 is the transcript, /raw/1 a response that every limit lets pass.
static struct stand *stand_for(const struct transcript *t, struct q_simhttp_raw raws[2]) {
    static const char k_small[] = "HTTP/1.1 204 \r\n\r\n";
    struct outcome outcome = outcome_of(t->events);
    raws[0] = (struct q_simhttp_raw){.bytes = t->input,
                                  .len = t->input_len,
                                  .is_end = t->run.eof,
                                  .is_final = !outcome.is_reusable || t->run.eof};
    raws[1] = (struct q_simhttp_raw){.bytes = k_small, .len = sizeof k_small - 1};
    struct quoit_engine_options limits = limits_of(t);
    struct stand *stand = stand_new(raws, 2, &limits);
    stand->is_body_unchecked = true;
    return stand;
}

static struct ask ask_of(const struct transcript *t) {
    return (struct ask){
        .method = (t->run.request_flags & Q_H1_REQUEST_HEAD) != 0 ? "HEAD" : "POST", // POST is never sent again
        .upgrade = (t->run.request_flags & Q_H1_REQUEST_UPGRADE) != 0 ? "websocket" : NULL,
        .total_ms = SILENCE_MS,
    };
}

static void check(const struct stand *stand, const struct outcome *outcome, const char *name, const char *how) {
    const struct quoit_failure *failure = &stand->summary.failure;
    const char *error = failure->code == 0 ? "" : quoit_error_name(failure->code);
    const char *expected = outcome->goes_on ? "QUOIT_ERR_TIMEOUT_TOTAL" : outcome->error;
    bool is_phase = outcome->phase[0] == '\0' || strcmp(quoit_phase_name(failure->phase), outcome->phase) == 0;
    if (strcmp(error, expected) != 0 || !is_phase) {
        fail_msg("%s%s: '%s' in %s, not '%s' in %s", name, how, error, quoit_phase_name(failure->phase), expected,
                 outcome->phase);
    }
}

static void the_engine_says_what_the_reader_says(void **state) {
    const struct transcript *t = *state;
    struct outcome outcome = outcome_of(t->events);
    struct q_simhttp_raw raws[2];
    struct stand *stand = stand_for(t, raws);
    stand_ask(stand, ask_of(t), "/raw/0");
    check(stand, &outcome, t->name, "");
    uint32_t connection = stand->summary.connection_id;
    bool is_reusable = outcome.is_reusable && !t->run.eof;
    stand_ask(stand, (struct ask){0}, "/raw/1");
    stand_expect(stand, 0);
    assert_int_equal(stand->status, 204);
    assert_int_equal(stand->summary.connection_id == connection, is_reusable);
    stand_free(stand);
}

// `reset`: by RST; else by FIN.
static void break_off_everywhere(const struct transcript *t, bool reset) {
    struct q_simhttp_raw raws[2];
    struct stand *stand = stand_for(t, raws);
    raws[0].is_final = false; // it is broken off otherwise
    size_t step = sim_route == NULL ? 1 : 23; // each is a handshake there
    for (size_t at = 0; at < t->input_len; at += step) {
        char how[64];
        snprintf(how, sizeof how, ", %s behind byte %zu", reset ? "reset" : "ended", at);
        struct outcome outcome = outcome_of_bytes(t, at, !reset);
        if (reset && outcome.goes_on) {
            outcome = (struct outcome){.error = "QUOIT_ERR_CONNECTION_RESET"};
        }
        stand_ask(stand, ask_of(t), "/raw/0?%s=%zu", reset ? "reset" : "cut", at);
        bool is_unknown = at == 0 && stand->summary.reused; // nobody knows what the server did
        if (is_unknown) {
            stand_expect(stand, QUOIT_ERR_MAYBE_PROCESSED);
        } else {
            check(stand, &outcome, t->name, how);
        }
    }
    stand_free(stand);
}

static void all_broken_off(const struct transcript *list, bool reset) {
    for (const struct transcript *t = list; t->name != NULL; t++) {
        if (is_for_the_engine(t) && t->input_len <= EVERY_BYTE_MAX) {
            break_off_everywhere(t, reset);
        }
    }
}

static void an_end_behind_any_byte_is_what_the_reader_says(void **state) { all_broken_off(*state, false); }
static void a_reset_behind_any_byte_is_what_the_reader_says(void **state) { all_broken_off(*state, true); }

// What a redirect's head must not say; and what is allowed, so that nothing else was the reason.
static void a_redirect_leads_to_one_place_or_nowhere(void **state) {
    static const struct {
        const char *fields;
        int32_t code;
        unsigned status; // of what the host gets in the end; 0: nothing
    } k_rows[] = {
        {"Location: /raw/0", 0, 204},
        {"Location: /raw/0\r\nLocation: /raw/0", 0, 204},
        {"Location: //127.0.0.1/raw/0#fragment", 0, 204},
        {"Content-Location: /raw/0", 0, 302}, // it leads nowhere, and is a response as any other
        {"Location: /raw/0\r\nLocation: /raw/1", QUOIT_ERR_HTTP_BAD_LOCATION, 0},
        {"Location: /raw/1\r\nX: y\r\nlocation: /raw/0", QUOIT_ERR_HTTP_BAD_LOCATION, 0},
        {"Location: http://[::1", QUOIT_ERR_HTTP_BAD_LOCATION, 0},
        {"Location: http://127.0.0.1:65536/", QUOIT_ERR_HTTP_BAD_LOCATION, 0},
        {"Location: /raw\t/0", QUOIT_ERR_HTTP_BAD_LOCATION, 0},
        {"Location: javascript:alert(1)", QUOIT_ERR_UNSUPPORTED_SCHEME, 0},
        {"Location: http+unix://%2Frun%2Fserver.sock/", QUOIT_ERR_UNSUPPORTED_SCHEME, 0},
        {"Location: https://127.0.0.1/", QUOIT_ERR_TLS_NO_TRUST_STORE, 0}, // what is simulated has none
        {"Location:", QUOIT_ERR_TOO_MANY_REDIRECTS, 0}, // to itself, for ever
    };
    (void)state;
    char heads[Q_COUNT_OF(k_rows)][256];
    struct q_simhttp_raw raws[Q_COUNT_OF(k_rows) + 1];
    static const char k_end[] = "HTTP/1.1 204 No Content\r\n\r\n";
    raws[0] = (struct q_simhttp_raw){.bytes = k_end, .len = sizeof k_end - 1};
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        int len = snprintf(heads[i], sizeof heads[i], "HTTP/1.1 302 Found\r\n%s\r\nContent-Length: 0\r\n\r\n",
                           k_rows[i].fields);
        raws[i + 1] = (struct q_simhttp_raw){.bytes = heads[i], .len = (size_t)len};
    }
    struct stand *stand = stand_new(raws, Q_COUNT_OF(raws), NULL);
    stand->answer = QUOIT_ANSWER_YES;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        if (sim_route != NULL && strstr(k_rows[i].fields, "//127.0.0.1/") != NULL) {
            continue; // https has another port
        }
        stand_ask(stand, (struct ask){0}, "/raw/%zu", i + 1);
        stand_expect(stand, k_rows[i].code);
        assert_int_equal(stand->status, k_rows[i].status);
        uint64_t requests = k_rows[i].code == QUOIT_ERR_TOO_MANY_REDIRECTS ? 4 : k_rows[i].status == 204 ? 2 : 1;
        assert_int_equal(stand->heads_at_server, requests);
        assert_null(strchr(q_simhttp_stats(stand->server)->last_head, '#'));
    }
    stand_free(stand);
}

int main(void) {
    size_t count;
    struct transcript *list = transcripts_read(&count);
    struct CMUnitTest *tests = calloc(count + 3, sizeof *tests);
    Q_CHECK(tests != NULL);
    size_t num_tests = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_for_the_engine(&list[i])) {
            tests[num_tests++] = (struct CMUnitTest){
                .name = list[i].name, .test_func = the_engine_says_what_the_reader_says, .initial_state = &list[i]};
        }
    }
    tests[num_tests++] =
        (struct CMUnitTest)cmocka_unit_test_prestate(an_end_behind_any_byte_is_what_the_reader_says, list);
    tests[num_tests++] =
        (struct CMUnitTest)cmocka_unit_test_prestate(a_reset_behind_any_byte_is_what_the_reader_says, list);
    tests[num_tests++] = (struct CMUnitTest)cmocka_unit_test(a_redirect_leads_to_one_place_or_nowhere);
    int failures = _cmocka_run_group_tests("the letter", tests, num_tests, NULL, NULL);
    transcripts_free(list, count);
    free(tests);
    return failures;
}

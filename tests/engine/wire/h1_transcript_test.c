// Golden transcripts of the response reader: transcripts/README.md says how they are written. Each case is read whole,
// byte by byte, cut once at every place, and at random cuts; the log must be the expected one every time. And each is
// ended by the peer behind every byte: what was not complete must never look as if it were.
//
// Usage: h1_transcript_test [--print]; with --print the logs are written instead of compared.
#include "tests/engine/wire/transcripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVERY_CUT_MAX 4096 // inputs up to this length are cut once at every place
#define RANDOM_RUNS   40

static size_t cut_each(void *context, size_t left) {
    size_t step = *(size_t *)context;
    return left < step ? left : step;
}

// cut_once gives the first piece its length, then all the rest.
static size_t cut_once(void *context, size_t left) {
    size_t len = *(size_t *)context;
    *(size_t *)context = SIZE_MAX;
    return len < left ? len : left;
}

static size_t cut_random(void *context, size_t left) {
    uint64_t *seed = context;
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    size_t len = 1 + (size_t)(*seed >> 33) % (1 + (*seed >> 20) % 64);
    return len < left ? len : left;
}

static void check(const struct transcript *t, size_t (*cut_fn)(void *, size_t), void *context, const char *how) {
    struct reader_log_run run = t->run;
    run.cut_fn = cut_fn;
    run.cut_context = context;
    char *log = reader_log(q_slice_make(t->input, t->input_len), &run);
    if (strcmp(log, t->events) != 0) {
        print_error("%s, read %s:\n%s--- expected:\n%s", t->name, how, log, t->events);
        free(log);
        fail();
    }
    free(log);
}

static void the_log_is_the_expected_one(void **state) {
    const struct transcript *t = *state;
    check(t, NULL, NULL, "whole");
    size_t one = 1, two = 2;
    check(t, cut_each, &one, "byte by byte");
    check(t, cut_each, &two, "two bytes at a time");
    for (size_t at = 1; at < t->input_len && t->input_len <= EVERY_CUT_MAX; at++) {
        char how[64];
        snprintf(how, sizeof(how), "cut at %zu", at);
        size_t first = at;
        check(t, cut_once, &first, how);
    }
    for (uint64_t seed = 1; seed <= RANDOM_RUNS; seed++) {
        char how[64];
        snprintf(how, sizeof(how), "at random cuts, seed %llu", (unsigned long long)seed);
        uint64_t random = seed;
        check(t, cut_random, &random, how);
    }
}

// What the peer's end behind byte `at` must make of a case whose log is `log`.
static void check_end(const struct transcript *t, size_t at, size_t complete_at, const char *log) {
    const char *last = transcript_last_line(log);
    const char *head = strstr(log, "head ");
    head = head != NULL && (head == log || head[-1] == '\n') ? head : NULL;
    bool ends_with_connection = head != NULL && (strncmp(head + 12, " close", 6) == 0 || strncmp(head + 12, " tunnel", 7) == 0);
    const char *expected = at >= complete_at || ends_with_connection ? "end "
                           : at == 0                                 ? "failed QUOIT_ERR_CONNECTION_CLOSED head"
                           : head == NULL                            ? "failed QUOIT_ERR_HTTP_TRUNCATED_HEAD head"
                                                                     : "failed QUOIT_ERR_HTTP_TRUNCATED_BODY body";
    // A broken response may have been found out before its end.
    bool is_known = strcmp(last, transcript_last_line(t->events)) == 0 && strncmp(last, "failed ", 7) == 0;
    if (strncmp(last, expected, strlen(expected)) != 0 && !is_known) {
        print_error("%s, ended behind byte %zu:\n%s--- expected: %s\n", t->name, at, log, expected);
        fail();
    }
}

// How many bytes of the input are the response's, when the log says that it is complete; else SIZE_MAX.
static size_t complete_at(const struct transcript *t) {
    const char *last = transcript_last_line(t->events);
    unsigned left;
    return sscanf(last, "end %*s left %u", &left) == 1 ? t->input_len - left : SIZE_MAX;
}

static void an_end_behind_any_byte_is_no_short_success(void **state) {
    const struct transcript *list = *state;
    for (const struct transcript *t = list; t->name != NULL; t++) {
        for (size_t at = 0; at <= t->input_len && t->input_len <= EVERY_CUT_MAX; at++) {
            struct reader_log_run run = t->run;
            run.eof = true;
            char *log = reader_log(q_slice_make(t->input, at), &run);
            check_end(t, at, complete_at(t), log);
            free(log);
        }
    }
}

static void print_case(const struct transcript *t) {
    char *log = reader_log(q_slice_make(t->input, t->input_len), &t->run);
    printf("== %s\n%s\n", t->name, log);
    free(log);
}

int main(int argc, char **argv) {
    size_t count;
    struct transcript *list = transcripts_read(&count); // behind the last stands an empty one
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for (size_t i = 0; i < count; i++) {
            print_case(&list[i]);
        }
        return 0;
    }
    struct CMUnitTest *tests = calloc(count + 1, sizeof(*tests));
    if (tests == NULL) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = list[i].name, .test_func = the_log_is_the_expected_one, .initial_state = &list[i]};
    }
    tests[count] = (struct CMUnitTest)cmocka_unit_test_prestate(an_end_behind_any_byte_is_no_short_success, list);
    int failures = _cmocka_run_group_tests("transcripts", tests, count + 1, NULL, NULL);
    transcripts_free(list, count);
    free(tests);
    return failures;
}

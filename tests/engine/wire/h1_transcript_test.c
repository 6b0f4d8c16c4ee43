// Golden transcripts of the response reader: transcripts/README.md says how they are written. Each case is read whole,
// byte by byte, cut once at every place, and at random cuts; the log must be the expected one every time.
//
// Usage: h1_transcript_test [--print]; with --print the logs are written instead of compared.
#include "tests/engine/wire/reader_log.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER        "tests/engine/wire/transcripts"
#define CASES_MAX     512
#define INPUT_MAX     (1 << 20)
#define EVERY_CUT_MAX 4096 // inputs up to this length are cut once at every place
#define RANDOM_RUNS   40

struct transcript {
    char *name;
    struct reader_log_run run;
    char *input;
    size_t input_len;
    char *events;
};

static struct transcript g_cases[CASES_MAX];
static size_t g_count;

static void *must(void *ptr) {
    if (ptr == NULL) {
        abort();
    }
    return ptr;
}

static _Noreturn void bad(const char *file, int line, const char *why) {
    fprintf(stderr, "%s:%d: %s\n", file, line, why);
    exit(2);
}

// ---- reading the files ----

// unescape appends one input line: \r \n \t \\ \xNN, and \{N:text} for N times text.
static const char *unescape(struct transcript *t, const char *at, const char *end, int depth) {
    while (at < end) {
        char byte = *at++;
        if (depth > 0 && byte == '}') {
            return at;
        }
        if (byte == '\\' && at < end) {
            char kind = *at++;
            if (kind == '{') {
                char *text;
                unsigned long count = strtoul(at, &text, 10);
                const char *behind = text + 1;
                for (unsigned long i = 0; i < count; i++) {
                    behind = unescape(t, text + 1, end, depth + 1);
                }
                at = behind;
                continue;
            }
            byte = kind == 'r' ? '\r' : kind == 'n' ? '\n' : kind == 't' ? '\t' : kind;
            if (kind == 'x') {
                char digits[3] = {at[0], at[1], 0};
                byte = (char)strtoul(digits, NULL, 16);
                at += 2;
            }
        }
        if (t->input_len == INPUT_MAX) {
            abort();
        }
        t->input[t->input_len++] = byte;
    }
    return at;
}

static bool read_setting(struct transcript *t, const char *line) {
    static const struct {
        const char *word;
        unsigned flag;
    } k_requests[] = {{"plain", Q_H1_REQUEST_PLAIN},
                      {"head", Q_H1_REQUEST_HEAD},
                      {"connect", Q_H1_REQUEST_CONNECT},
                      {"upgrade", Q_H1_REQUEST_UPGRADE}};
    char key[32], value[32];
    unsigned number = 0;
    if (sscanf(line, "%31[a-z_]: %31s", key, value) != 2) {
        return false;
    }
    number = (unsigned)strtoul(value, NULL, 10);
    struct q_h1_limits *limits = &t->run.limits;
    uint32_t *slot = strcmp(key, "head_bytes") == 0              ? &limits->head_bytes
                     : strcmp(key, "headers_count") == 0         ? &limits->headers_count
                     : strcmp(key, "line_bytes") == 0            ? &limits->line_bytes
                     : strcmp(key, "informational_count") == 0   ? &limits->informational_count
                     : strcmp(key, "chunk_extension_bytes") == 0 ? &limits->chunk_extension_bytes
                     : strcmp(key, "trailer_bytes") == 0         ? &limits->trailer_bytes
                                                                 : NULL;
    if (slot != NULL) {
        *slot = number;
        return true;
    }
    if (strcmp(key, "memory") == 0) {
        t->run.memory = number;
        return true;
    }
    if (strcmp(key, "eof") == 0) {
        t->run.eof = strcmp(value, "yes") == 0;
        return true;
    }
    for (size_t i = 0; strcmp(key, "request") == 0 && i < sizeof(k_requests) / sizeof(k_requests[0]); i++) {
        if (strcmp(value, k_requests[i].word) == 0) {
            t->run.request_flags = k_requests[i].flag;
            return true;
        }
    }
    return false;
}

static void add_event_line(struct transcript *t, const char *line) {
    size_t old = strlen(t->events), len = strlen(line);
    t->events = must(realloc(t->events, old + len + 2));
    memcpy(t->events + old, line, len);
    memcpy(t->events + old + len, "\n", 2);
}

static struct transcript *start_case(const char *name) {
    if (g_count == CASES_MAX) {
        abort();
    }
    struct transcript *t = &g_cases[g_count++];
    t->name = must(strdup(name));
    t->input = must(malloc(INPUT_MAX));
    t->events = must(strdup(""));
    return t;
}

static void read_file(const char *path) {
    FILE *file = must(fopen(path, "r"));
    char *line = NULL;
    size_t cap = 0;
    struct transcript *t = NULL;
    enum { SETTINGS, INPUT, EVENTS } part = SETTINGS;
    int number = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, file)) > 0) {
        number++;
        if (line[len - 1] == '\n') {
            line[--len] = '\0';
        }
        if (line[0] == '#' || len == 0) {
            continue;
        }
        if (strncmp(line, "== ", 3) == 0) {
            t = start_case(line + 3);
            part = SETTINGS;
        } else if (t == NULL) {
            bad(path, number, "a case begins with '== '");
        } else if (strcmp(line, "input:") == 0) {
            part = INPUT;
        } else if (strcmp(line, "events:") == 0) {
            part = EVENTS;
        } else if (strncmp(line, "  ", 2) == 0 && part == INPUT) {
            (void)unescape(t, line + 2, line + len, 0);
        } else if (strncmp(line, "  ", 2) == 0 && part == EVENTS) {
            add_event_line(t, line + 2);
        } else if (part != SETTINGS || !read_setting(t, line)) {
            bad(path, number, "neither a setting nor an indented line");
        }
    }
    free(line);
    fclose(file);
}

static int is_transcript(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".txt") == 0;
}

static void read_folder(void) {
    struct dirent **entries;
    int count = scandir(FOLDER, &entries, is_transcript, alphasort);
    if (count <= 0) {
        bad(FOLDER, 0, "no transcripts; run from the root of the tree");
    }
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", FOLDER, entries[i]->d_name);
        read_file(path);
        free(entries[i]);
    }
    free(entries);
}

// ---- running them ----

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

static void print_case(const struct transcript *t) {
    char *log = reader_log(q_slice_make(t->input, t->input_len), &t->run);
    printf("== %s\n%s\n", t->name, log);
    free(log);
}

int main(int argc, char **argv) {
    read_folder();
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for (size_t i = 0; i < g_count; i++) {
            print_case(&g_cases[i]);
        }
        return 0;
    }
    struct CMUnitTest *tests = must(calloc(g_count, sizeof(*tests)));
    for (size_t i = 0; i < g_count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = g_cases[i].name, .test_func = the_log_is_the_expected_one, .initial_state = &g_cases[i]};
    }
    int failures = _cmocka_run_group_tests("transcripts", tests, g_count, NULL, NULL);
    for (size_t i = 0; i < g_count; i++) {
        free(g_cases[i].name);
        free(g_cases[i].input);
        free(g_cases[i].events);
    }
    free(tests);
    return failures;
}

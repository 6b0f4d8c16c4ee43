#define _GNU_SOURCE
#include "tests/engine/wire/transcripts.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER    "tests/engine/wire/transcripts"
#define CASES_MAX 1024
#define INPUT_MAX (1 << 20)

// The list that is being read.
struct reading {
    struct transcript *cases; // CASES_MAX
    size_t count;
};

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

static struct transcript *start_case(struct reading *reading, const char *name) {
    if (reading->count == CASES_MAX) {
        abort();
    }
    struct transcript *t = &reading->cases[reading->count++];
    t->name = must(strdup(name));
    t->input = must(malloc(INPUT_MAX));
    t->events = must(strdup(""));
    return t;
}

// Gives back what the input did not need.
static void close_case(struct transcript *t) {
    if (t != NULL) {
        t->input = must(realloc(t->input, t->input_len + 1));
    }
}

static void read_file(struct reading *reading, const char *path) {
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
            close_case(t);
            t = start_case(reading, line + 3);
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
    close_case(t);
    free(line);
    fclose(file);
}

static int is_transcript(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".txt") == 0;
}

struct transcript *transcripts_read(size_t *out_count) {
    struct dirent **entries;
    int count = scandir(FOLDER, &entries, is_transcript, alphasort);
    if (count <= 0) {
        bad(FOLDER, 0, "no transcripts; run from the root of the tree");
    }
    struct reading reading = {.cases = must(calloc(CASES_MAX, sizeof *reading.cases))};
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", FOLDER, entries[i]->d_name);
        read_file(&reading, path);
        free(entries[i]);
    }
    free(entries);
    *out_count = reading.count;
    return reading.cases;
}

void transcripts_free(struct transcript *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].input);
        free(list[i].events);
    }
    free(list);
}

const char *transcript_last_line(const char *log) {
    const char *last = log;
    for (const char *at = log; (at = strchr(at, '\n')) != NULL && at[1] != '\0';) {
        last = ++at;
    }
    return last;
}

// Hard worlds, for every seed: servers each of which breaks one rule of HTTP (the transcripts of the reader that end in an
// error), clocks that jump by hours or stand still, hosts that starve their engine; alone and together. Each request has
// exactly one terminal event, and what a breach comes to is the one error that its transcript names.
#define _GNU_SOURCE
#include "tests/sim/engine_world.h"

#include "tests/engine/wire/transcripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 2000
#define SEEDS_BY_TLS 70
#define TLS_IS_DEAR 20
#define BREACHES_MAX 512
#define BREACH_BYTES_MAX 4096

static struct {
    uint64_t requests, done, failed, jumps, breaches, starved[STARVATIONS];
    uint64_t failed_by_code[1000];
    uint64_t of_breach[BREACHES_MAX];
} seen;

static struct q_simhttp_raw raws[BREACHES_MAX];
static int32_t codes[BREACHES_MAX];
static const char *names[BREACHES_MAX];
static size_t num_raws;

static int32_t code_of(const char *name) {
    for (int32_t code = 1; code < 1000; code++) {
        if (strcmp(quoit_error_name(code), name) == 0) {
            return code;
        }
    }
    fail_msg("there is no %s", name);
    return 0;
}

// Gives the name of the error that a transcript ends with, or "" when it is a complete response with nothing behind it
// (what is behind it may come so late that the next request takes it for its answer). False: neither.
static bool ends_with(const struct transcript *t, char name[48]) {
    const char *last = transcript_last_line(t->events);
    unsigned left;
    name[0] = '\0';
    return sscanf(last, "failed %47s", name) == 1 || (sscanf(last, "end %*s left %u", &left) == 1 && left == 0);
}

// A transcript is taken when it ends with the limits that a world has, and without anything that a host is told before
// the final head.
static void add_breach(const struct transcript *t) {
    static const struct q_h1_limits k_none;
    char name[48];
    bool is_plain = t->run.request_flags == 0 && t->run.memory == 0 &&
                    memcmp(&t->run.limits, &k_none, sizeof k_none) == 0 && strstr(t->events, "informational") == NULL;
    if (!is_plain || t->input_len == 0 || t->input_len > BREACH_BYTES_MAX ||
        !ends_with(t, name)) {
        return;
    }
    Q_CHECK(num_raws < BREACHES_MAX);
    bool is_final = name[0] != '\0' || t->run.eof || strstr(transcript_last_line(t->events), "close") != NULL;
    raws[num_raws] =
        (struct q_simhttp_raw){.bytes = t->input, .len = t->input_len, .is_end = t->run.eof, .is_final = is_final};
    names[num_raws] = t->name;
    codes[num_raws++] = name[0] == '\0' ? 0 : code_of(name);
}

static void note_seen(struct world *world) {
    seen.requests += world->num_requests;
    seen.done += world->done;
    seen.failed += world->failed;
    seen.jumps += world->jumps;
    seen.starved[world->starvation]++;
    for (size_t i = 0; i < Q_COUNT_OF(seen.failed_by_code); i++) {
        seen.failed_by_code[i] += world->failed_by_code[i];
    }
    for (uint32_t i = 0; i < world->num_requests; i++) {
        const struct world_request *request = &world->requests[i];
        if (hard_is_breach(request) && request->has_ended && request->failure.code == codes[request->count]) {
            seen.breaches++;
            seen.of_breach[request->count]++;
        }
    }
}

static void run(uint64_t seed) {
    struct world_hardships hard = {.kinds = 1 + (unsigned)(seed % 7), .raws = raws, .codes = codes, .num_raws = num_raws};
    world_live(seed, &hard, note_seen);
}

static void the_engine_keeps_its_promises_in_hard_worlds(void **state) {
    (void)state;
    uint64_t seeds = q_seeds_run(run, NULL, 0, sim_route == NULL ? SEEDS : SEEDS_BY_TLS);
    print_message("%llu seeds: %llu requests, %llu done, %llu failed, %llu of %zu breaches, %llu jumps\n",
                  (unsigned long long)seeds, (unsigned long long)seen.requests, (unsigned long long)seen.done,
                  (unsigned long long)seen.failed, (unsigned long long)seen.breaches, num_raws,
                  (unsigned long long)seen.jumps);
    for (int32_t i = 0; i < (int32_t)Q_COUNT_OF(seen.failed_by_code); i++) {
        if (seen.failed_by_code[i] > 0) {
            print_message("  %6llu %s\n", (unsigned long long)seen.failed_by_code[i], quoit_error_name(i));
        }
    }
    if (seeds < SEEDS || sim_route != NULL) {
        return;
    }
    for (size_t i = 0; i < num_raws; i++) {
        if (seen.of_breach[i] == 0) {
            fail_msg("these seeds do not meet '%s'", names[i]);
        }
    }
    for (size_t i = 0; i < STARVATIONS; i++) {
        assert_true(seen.starved[i] > 100);
    }
    assert_true(seen.jumps > seeds && seen.done > seeds);
}

int main(void) {
    size_t count;
    struct transcript *list = transcripts_read(&count);
    for (size_t i = 0; i < count; i++) {
        add_breach(&list[i]);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_engine_keeps_its_promises_in_hard_worlds)};
    q_seeds_are_dear(sim_route == NULL ? 1 : TLS_IS_DEAR);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    transcripts_free(list, count);
    return failures;
}

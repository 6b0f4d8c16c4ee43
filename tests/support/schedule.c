#include "tests/support/schedule.h"

#include "engine/base/hook.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct arrival {
    const char *actor;
    const char *name;
};

struct point {
    struct arrival at;
    size_t times; // how often it was reached
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct q_schedule_rule *rules;
    size_t rules_len;
    struct timespec deadline;
    bool is_broken; // a wait timed out: nobody is held any more
    struct point points[Q_SCHEDULE_POINTS_MAX]; // each once, and all of them: what holds and what releases goes by these
    size_t points_len;
    struct arrival arrivals[Q_SCHEDULE_ARRIVALS_MAX]; // the first ones in their order, for the report alone
    size_t arrivals_len;
    size_t running; // actors that have not ended
} g_schedule = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local const char *t_actor; // NULL: not an actor

static bool ends_at(const char *text, size_t len, char c) { return text[len] == c; }

// Whether the point `text` ("actor:name" or "actor:name#2") is of this actor and name; gives the count that it asks for.
static bool names(const char *text, const char *actor, const char *name, size_t *out_count) {
    size_t actor_len = strlen(actor);
    size_t name_len = strlen(name);
    if (strncmp(text, actor, actor_len) != 0 || !ends_at(text, actor_len, ':')) {
        return false;
    }
    const char *rest = text + actor_len + 1;
    if (strncmp(rest, name, name_len) != 0 || !(ends_at(rest, name_len, 0) || ends_at(rest, name_len, '#'))) {
        return false;
    }
    *out_count = rest[name_len] == '#' ? (size_t)strtoul(rest + name_len + 1, NULL, 10) : 1;
    return true;
}

static bool was_reached(const char *text) {
    for (size_t i = 0; i < g_schedule.points_len; i++) {
        const struct point *point = &g_schedule.points[i];
        size_t wanted;
        if (names(text, point->at.actor, point->at.name, &wanted) && point->times >= wanted) {
            return true;
        }
    }
    return false;
}

// Writes the arrival down and gives how often this actor has been here with it.
static size_t record(struct arrival arrival) {
    size_t i = 0;
    while (i < g_schedule.points_len && (strcmp(g_schedule.points[i].at.actor, arrival.actor) != 0 ||
                                         strcmp(g_schedule.points[i].at.name, arrival.name) != 0)) {
        i++;
    }
    if (i == g_schedule.points_len) {
        Q_CHECK(i < Q_SCHEDULE_POINTS_MAX);
        g_schedule.points[g_schedule.points_len++] = (struct point){.at = arrival};
    }
    if (g_schedule.arrivals_len < Q_SCHEDULE_ARRIVALS_MAX) {
        g_schedule.arrivals[g_schedule.arrivals_len++] = arrival;
    }
    return ++g_schedule.points[i].times;
}

static void report_arrivals(void) {
    fprintf(stderr, "schedule: reached, in this order:\n");
    for (size_t i = 0; i < g_schedule.arrivals_len; i++) {
        fprintf(stderr, "schedule:   %s:%s\n", g_schedule.arrivals[i].actor, g_schedule.arrivals[i].name);
    }
}

static void hold_until(const struct q_schedule_rule *rule) {
    while (!g_schedule.is_broken && !was_reached(rule->until)) {
        int error = pthread_cond_clockwait(&g_schedule.changed, &g_schedule.lock, CLOCK_MONOTONIC, &g_schedule.deadline);
        if (error == ETIMEDOUT && !g_schedule.is_broken && !was_reached(rule->until)) {
            fprintf(stderr, "schedule: held at %s until %s, which nobody reached within %d ms\n", rule->hold,
                    rule->until, Q_SCHEDULE_TIMEOUT_MS);
            report_arrivals();
            g_schedule.is_broken = true;
            pthread_cond_broadcast(&g_schedule.changed);
        }
    }
}

void q_schedule_point(const char *name) {
    if (t_actor == NULL) {
        return;
    }
    pthread_mutex_lock(&g_schedule.lock);
    size_t times = record((struct arrival){.actor = t_actor, .name = name});
    pthread_cond_broadcast(&g_schedule.changed);
    for (size_t i = 0; i < g_schedule.rules_len; i++) {
        size_t wanted;
        if (names(g_schedule.rules[i].hold, t_actor, name, &wanted) && wanted == times) {
            hold_until(&g_schedule.rules[i]);
        }
    }
    pthread_mutex_unlock(&g_schedule.lock);
}

static void *run_actor(void *argument) {
    const struct q_schedule_actor *actor = argument;
    t_actor = actor->name;
    q_schedule_point("start");
    actor->run(actor->context);
    q_schedule_point("end");
    t_actor = NULL;
    pthread_mutex_lock(&g_schedule.lock);
    g_schedule.running--;
    pthread_cond_broadcast(&g_schedule.changed);
    pthread_mutex_unlock(&g_schedule.lock);
    return NULL;
}

static bool all_points_were_reached(void) {
    bool all = true;
    for (size_t i = 0; i < g_schedule.rules_len; i++) {
        const char *const points[] = {g_schedule.rules[i].hold, g_schedule.rules[i].until};
        for (size_t j = 0; j < Q_COUNT_OF(points); j++) {
            if (!was_reached(points[j])) {
                fprintf(stderr, "schedule: nobody reached %s\n", points[j]);
                all = false;
            }
        }
    }
    if (!all) {
        report_arrivals();
    }
    return all;
}

static struct timespec now_plus_ms(long ms) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

// A plain join would wait for ever for an actor that hangs, and so hide the report.
static void await_end(void) {
    struct timespec end = now_plus_ms(2 * Q_SCHEDULE_TIMEOUT_MS);
    pthread_mutex_lock(&g_schedule.lock);
    while (g_schedule.running > 0) {
        if (pthread_cond_clockwait(&g_schedule.changed, &g_schedule.lock, CLOCK_MONOTONIC, &end) == ETIMEDOUT) {
            fprintf(stderr, "schedule: %zu actor(s) do not end\n", g_schedule.running);
            report_arrivals();
            abort();
        }
    }
    pthread_mutex_unlock(&g_schedule.lock);
}

bool q_schedule_run(const struct q_schedule_rule *rules, size_t rules_len, const struct q_schedule_actor *actors,
                    size_t actors_len) {
    Q_CHECK(actors_len <= Q_SCHEDULE_ACTORS_MAX && q_hook_fn == NULL);
    pthread_t threads[Q_SCHEDULE_ACTORS_MAX];
    pthread_cond_init(&g_schedule.changed, NULL);
    g_schedule.rules = rules;
    g_schedule.rules_len = rules_len;
    g_schedule.deadline = now_plus_ms(Q_SCHEDULE_TIMEOUT_MS);
    g_schedule.is_broken = false;
    g_schedule.points_len = 0;
    g_schedule.arrivals_len = 0;
    g_schedule.running = actors_len;
    q_hook_set(q_schedule_point);
    for (size_t i = 0; i < actors_len; i++) {
        int error = pthread_create(&threads[i], NULL, run_actor, (void *)&actors[i]);
        Q_CHECK(error == 0);
    }
    await_end();
    for (size_t i = 0; i < actors_len; i++) {
        pthread_join(threads[i], NULL);
    }
    q_hook_set(NULL);
    bool is_kept = all_points_were_reached() && !g_schedule.is_broken;
    pthread_cond_destroy(&g_schedule.changed);
    return is_kept;
}

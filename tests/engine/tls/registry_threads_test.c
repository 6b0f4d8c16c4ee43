// Real threads on one registry, for the sanitizers: equal and different contents are interned, upgraded by others' weak
// handles, used and dropped. Contents are made and freed like the real ones; a look at one that is gone is the
// sanitizer's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "engine/tls/registry.h"

enum { THREADS = 16, OPERATIONS = 100000, SHARED = 32, HOLDS = 4, DIGESTS = SHARED + THREADS, WATCHDOG_S = 120 };

struct content {
    uint32_t number;
};

struct town {
    pthread_barrier_t gate;
    struct q_registry registry;
    _Atomic(uint64_t) weak[DIGESTS]; // a handle that somebody has seen for this number: stale at any moment
    _Atomic(uint64_t) made;
    _Atomic(uint64_t) found;
    _Atomic(uint64_t) upgraded;
    _Atomic(uint64_t) stale;
    _Atomic(uint64_t) released;
};

// A reference that a thread holds.
struct held {
    struct q_handle handle;
    struct content *content; // NULL: none
    uint32_t number;
};

struct citizen {
    pthread_t thread;
    struct town *town;
    uint32_t number;
    struct held held[HOLDS];
};

static struct town the_town;

static void let_go(void *context) {
    struct content *content = context;
    atomic_fetch_add(&the_town.released, 1);
    content->number = UINT32_MAX;
    free(content);
}

static void drop(struct town *town, struct held *held) {
    if (held->content != NULL) {
        Q_CHECK(held->content->number == held->number); // it was there all the time
        Q_CHECK(q_registry_content(&town->registry, held->handle) == held->content);
        q_registry_drop(&town->registry, held->handle);
        held->content = NULL;
    }
}

static void intern(struct town *town, struct held *out, uint32_t number) {
    uint8_t digest[Q_REGISTRY_DIGEST_LEN] = {0};
    memcpy(digest, &number, sizeof number);
    struct content *mine = malloc(sizeof *mine);
    Q_CHECK(mine != NULL);
    *mine = (struct content){.number = number};
    void *got;
    enum q_intern_result result = q_registry_intern(&town->registry, digest, mine, let_go, &out->handle, &got);
    Q_CHECK(result == Q_INTERN_MADE || result == Q_INTERN_FOUND);
    Q_CHECK((result == Q_INTERN_MADE) == (got == mine));
    if (result == Q_INTERN_FOUND) {
        free(mine);
    }
    atomic_fetch_add(result == Q_INTERN_MADE ? &town->made : &town->found, 1);
    atomic_store(&town->weak[number], (uint64_t)out->handle.generation << 32 | out->handle.index);
    out->content = got;
    out->number = number;
}

static void upgrade(struct town *town, struct held *out, uint32_t number) {
    uint64_t seen = atomic_load(&town->weak[number]);
    out->handle = (struct q_handle){.index = (uint32_t)seen, .generation = (uint32_t)(seen >> 32)};
    out->content = q_registry_upgrade(&town->registry, out->handle);
    out->number = number;
    atomic_fetch_add(out->content == NULL ? &town->stale : &town->upgraded, 1);
}

// Two references on one content, of which one ends.
static void hold_twice(struct town *town, const struct held *held) {
    if (held->content != NULL) {
        q_registry_acquire(&town->registry, held->handle);
        q_registry_drop(&town->registry, held->handle);
    }
}

static void *live(void *context) {
    struct citizen *citizen = context;
    struct town *town = citizen->town;
    struct q_random random;
    q_random_seed(&random, citizen->number + 1);
    pthread_barrier_wait(&town->gate);
    for (int i = 0; i < OPERATIONS / THREADS; i++) {
        uint64_t draw = q_random_next(&random);
        uint32_t number = draw % 8 == 0 ? SHARED + citizen->number : (uint32_t)(draw >> 8) % SHARED;
        struct held *held = &citizen->held[(draw >> 32) % HOLDS];
        drop(town, held);
        if (draw >> 63) {
            intern(town, held, number);
        } else {
            upgrade(town, held, number);
        }
        hold_twice(town, held);
        if (draw >> 60 == 3) { // or what all share would never end
            for (int j = 0; j < HOLDS; j++) {
                drop(town, &citizen->held[j]);
            }
        }
        if (draw >> 58 == 5) {
            sched_yield(); // with references in hand
        }
    }
    for (int j = 0; j < HOLDS; j++) {
        drop(town, &citizen->held[j]);
    }
    return NULL;
}

static void sixteen_threads_share_and_let_go(void **state) {
    (void)state;
    static struct citizen citizens[THREADS];
    struct town *town = &the_town;
    alarm(WATCHDOG_S);
    assert_int_equal(pthread_barrier_init(&town->gate, NULL, THREADS), 0);
    q_registry_init(&town->registry, q_alloc_libc(), DIGESTS + THREADS); // one ending in each thread, besides
    for (uint32_t i = 0; i < THREADS; i++) {
        citizens[i] = (struct citizen){.town = town, .number = i};
        assert_int_equal(pthread_create(&citizens[i].thread, NULL, live, &citizens[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(citizens[i].thread, NULL);
    }
    assert_int_equal(atomic_load(&town->made), atomic_load(&town->released));
    assert_int_equal(town->made + town->found + town->upgraded + town->stale, OPERATIONS);
    assert_true(town->made > 0 && town->found > 0 && town->upgraded > 0 && town->stale > 0);
    q_registry_validate(&town->registry);
    struct q_registry_stats stats = q_registry_get_stats(&town->registry);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.free, stats.slots);
    q_registry_deinit(&town->registry);
    alarm(0);
    pthread_barrier_destroy(&town->gate);
    print_message("made %llu, found %llu, upgraded %llu, stale %llu\n", (unsigned long long)town->made,
                  (unsigned long long)town->found, (unsigned long long)town->upgraded, (unsigned long long)town->stale);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_threads_share_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

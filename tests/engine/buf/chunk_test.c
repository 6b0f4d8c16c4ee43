// Chunks: the pool and its budget, holds, and giving slices back from other threads, by schedule and with real threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "engine/base/random.h"
#include "engine/buf/chunk.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"

enum { CAPACITY = 256, KEPT = 2 };

#define CHUNK_BYTES (sizeof(struct q_chunk) + CAPACITY)

struct scene {
    struct q_failalloc *memory;
    struct q_chunk_budget budget;
    struct q_chunk_pool pool;
};

static void scene_init(struct scene *s, uint64_t chunks_allowed) {
    *s = (struct scene){.memory = q_failalloc_new(), .budget = {.limit = chunks_allowed * CHUNK_BYTES}};
    q_chunk_pool_init(&s->pool, q_failalloc_alloc(s->memory), &s->budget, CAPACITY, KEPT);
}

static void scene_deinit(struct scene *s) {
    char text[256];
    q_chunk_pool_deinit(&s->pool);
    assert_int_equal(s->budget.used, 0);
    if (!q_failalloc_check(s->memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(s->memory);
}

static struct q_chunk *take(struct scene *s) {
    struct q_chunk *chunk = q_chunk_take(&s->pool, Q_CHUNK_FOR_KERNEL);
    assert_non_null(chunk);
    return chunk;
}

// --- pool and budget -------------------------------------------------------------------------------------------------

static void a_new_pool_holds_no_memory(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 4);
    assert_int_equal(q_failalloc_live(s.memory), 0);
    assert_int_equal(s.budget.used, 0);
    scene_deinit(&s);
}

static void a_taken_chunk_is_empty_with_one_hold(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 4);
    struct q_chunk *chunk = take(&s);
    assert_int_equal(chunk->refs, 1);
    assert_int_equal(chunk->used, 0);
    assert_int_equal(chunk->owner.generation, 0);
    assert_int_equal(chunk->command.kind, Q_COMMAND_CHUNK);
    assert_ptr_equal(chunk->pool, &s.pool);
    assert_int_equal((uintptr_t)chunk->data % 16, 0);
    assert_int_equal(s.pool.num_out, 1);
    assert_int_equal(s.budget.used, CHUNK_BYTES); // the header counts too
    memset(chunk->data, 'x', CAPACITY);           // the guard behind it is checked when it is freed
    q_chunk_release(chunk);
    scene_deinit(&s);
}

static void a_chunk_that_comes_home_is_used_again_first(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 4);
    struct q_chunk *first = take(&s);
    struct q_chunk *second = take(&s);
    first->used = 9;
    first->owner = (struct q_handle){.index = 3, .generation = 7};
    q_chunk_release(second);
    q_chunk_release(first);
    struct q_chunk *again = take(&s);
    assert_ptr_equal(again, first); // the last one home: its memory is warm
    assert_int_equal(again->used, 0);
    assert_int_equal(again->owner.generation, 0);
    assert_int_equal(again->refs, 1);
    assert_ptr_equal(take(&s), second);
    assert_int_equal(q_failalloc_calls(s.memory), 2);
    q_chunk_release(first);
    q_chunk_release(second);
    scene_deinit(&s);
}

// Takes `num` chunks at once and releases them, `times` times.
static void take_and_release(struct scene *s, size_t num, uint32_t times) {
    struct q_chunk *chunks[5];
    for (uint32_t time = 0; time < times; time++) {
        for (size_t i = 0; i < num; i++) {
            chunks[i] = take(s);
        }
        for (size_t i = 0; i < num; i++) {
            q_chunk_release(chunks[i]);
        }
    }
}

static void a_steady_load_of_any_size_allocates_once(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 8);
    take_and_release(&s, 5, Q_CHUNK_SPAN);
    assert_int_equal(s.pool.num_free, 5);
    assert_int_equal(q_failalloc_calls(s.memory), 5);
    scene_deinit(&s);
}

static void a_pool_keeps_no_more_free_chunks_than_were_needed_lately(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 8);
    take_and_release(&s, 5, 1);
    assert_int_equal(s.pool.num_free, 5);
    take_and_release(&s, 1, Q_CHUNK_SPAN); // the rest of that span, and some of the next, which remembers it
    assert_int_equal(s.pool.num_free, 5);
    take_and_release(&s, 1, Q_CHUNK_SPAN);
    assert_int_equal(s.pool.num_free, KEPT);
    assert_int_equal(s.pool.num_out, 0);
    assert_int_equal(q_failalloc_live(s.memory), KEPT);
    assert_int_equal(s.budget.used, KEPT * CHUNK_BYTES); // what was given back is somebody else's to use
    scene_deinit(&s);
}

static void the_budget_is_never_exceeded(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 3);
    s.budget.limit += CHUNK_BYTES - 1; // room for three and nearly a fourth
    struct q_chunk *chunks[3];
    for (size_t i = 0; i < Q_COUNT_OF(chunks); i++) {
        chunks[i] = take(&s);
    }
    assert_null(q_chunk_take(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_false(q_chunk_pool_prime(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_true(s.budget.used <= s.budget.limit);
    assert_int_equal(q_failalloc_calls(s.memory), 3); // the allocator was not even asked
    q_chunk_release(chunks[1]);
    chunks[1] = take(&s);
    for (size_t i = 0; i < Q_COUNT_OF(chunks); i++) {
        q_chunk_release(chunks[i]);
    }
    scene_deinit(&s);
}

static void the_budget_may_be_used_to_its_last_byte(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 1);
    struct q_chunk *chunk = take(&s);
    assert_int_equal(s.budget.used, s.budget.limit);
    q_chunk_release(chunk);
    scene_deinit(&s);
}

static uint32_t take_all(struct scene *s, enum q_chunk_use use, struct q_chunk **chunks, uint32_t num) {
    while ((chunks[num] = q_chunk_take(&s->pool, use)) != NULL) {
        num++;
    }
    assert_false(q_chunk_pool_allows(&s->pool, use));
    assert_false(q_chunk_pool_prime(&s->pool, use)); // though chunks may lie free
    return num;
}

static void release_all(struct q_chunk **chunks, uint32_t num) {
    while (num > 0) {
        q_chunk_release(chunks[--num]);
    }
}

// Hosts have three quarters of what is not in reserve, heads all of that, and what is received has everything.
static void each_use_leaves_the_next_its_share(void **state) {
    (void)state;
    struct scene s;
    struct q_chunk *chunks[21];
    scene_init(&s, 20);
    s.budget.reserve = 4 * CHUNK_BYTES;
    uint32_t num = take_all(&s, Q_CHUNK_FOR_HOST, chunks, 0);
    assert_int_equal(num, 12);
    num = take_all(&s, Q_CHUNK_FOR_HEAD, chunks, num);
    assert_int_equal(num, 16);
    num = take_all(&s, Q_CHUNK_FOR_KERNEL, chunks, num);
    assert_int_equal(num, 20);
    assert_false(q_chunk_pool_allows(&s.pool, Q_CHUNK_FOR_HEAD) || q_chunk_pool_allows(&s.pool, Q_CHUNK_FOR_HOST));
    q_chunk_release(chunks[--num]);
    assert_true(q_chunk_pool_allows(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_false(q_chunk_pool_allows(&s.pool, Q_CHUNK_FOR_HEAD)); // the reserve is not theirs
    release_all(chunks, num);
    num = take_all(&s, Q_CHUNK_FOR_HEAD, chunks, 0);
    assert_int_equal(num, 16);
    release_all(chunks, num);
    scene_deinit(&s);
}

// The reserve is about what is received and stays: what lies ready for it with the kernel takes nothing from the others.
static void what_lies_with_the_kernel_is_nobodys_share(void **state) {
    (void)state;
    struct scene s;
    struct q_chunk *lent[4];
    struct q_chunk *chunks[21];
    scene_init(&s, 20);
    s.budget.reserve = 4 * CHUNK_BYTES;
    for (size_t i = 0; i < Q_COUNT_OF(lent); i++) {
        lent[i] = take(&s);
        s.budget.with_kernel += CHUNK_BYTES;
    }
    uint32_t num = take_all(&s, Q_CHUNK_FOR_HOST, chunks, 0);
    assert_int_equal(num, 12);
    num = take_all(&s, Q_CHUNK_FOR_HEAD, chunks, num);
    assert_int_equal(num, 16);
    num = take_all(&s, Q_CHUNK_FOR_KERNEL, chunks, num);
    assert_int_equal(num, 16); // these four are what was lent
    s.budget.with_kernel = 0;  // they are filled, and held
    release_all(chunks + 13, 3);
    assert_false(q_chunk_pool_allows(&s.pool, Q_CHUNK_FOR_HEAD));
    release_all(chunks, 13);
    release_all(lent, 4);
    scene_deinit(&s);
}

static void pools_share_one_budget(void **state) {
    (void)state;
    struct scene s;
    struct q_chunk_pool other;
    scene_init(&s, 2);
    q_chunk_pool_init(&other, q_failalloc_alloc(s.memory), &s.budget, CAPACITY, 0);
    struct q_chunk *mine = take(&s);
    struct q_chunk *theirs = q_chunk_take(&other, Q_CHUNK_FOR_KERNEL);
    assert_non_null(theirs);
    assert_null(q_chunk_take(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_null(q_chunk_take(&other, Q_CHUNK_FOR_KERNEL));
    q_chunk_release(theirs); // kept at most for itself: its bytes make room
    struct q_chunk *second = take(&s);
    q_chunk_release(mine);
    q_chunk_release(second);
    q_chunk_pool_deinit(&other);
    scene_deinit(&s);
}

static void what_lies_free_in_another_pool_makes_room(void **state) {
    (void)state;
    struct scene s;
    struct q_chunk_pool other;
    scene_init(&s, 2);
    q_chunk_pool_init(&other, q_failalloc_alloc(s.memory), &s.budget, CAPACITY, KEPT);
    struct q_chunk *mine = take(&s);
    struct q_chunk *theirs = q_chunk_take(&other, Q_CHUNK_FOR_KERNEL);
    assert_non_null(theirs);
    q_chunk_release(theirs); // kept for re-use: on the budget, but nobody's
    assert_int_equal(s.budget.used, s.budget.limit);
    struct q_chunk *second = take(&s);
    assert_int_equal(other.num_free, 0);
    assert_true(s.budget.used <= s.budget.limit);
    q_chunk_release(mine);
    q_chunk_release(second);
    q_chunk_pool_deinit(&other);
    assert_int_equal(q_failalloc_live(s.memory), s.pool.num_free);
    struct q_chunk *third = take(&s); // a pool that is gone is not looked at
    q_chunk_release(third);
    scene_deinit(&s);
}

static void a_primed_pool_gives_without_allocating(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 4);
    assert_true(q_chunk_pool_prime(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_true(q_chunk_pool_prime(&s.pool, Q_CHUNK_FOR_KERNEL)); // one is enough
    assert_int_equal(q_failalloc_calls(s.memory), 1);
    q_failalloc_fail_from(s.memory, 1);
    struct q_chunk *chunk = take(&s);
    assert_false(q_chunk_pool_prime(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_null(q_chunk_take(&s.pool, Q_CHUNK_FOR_KERNEL));
    q_chunk_release(chunk);
    scene_deinit(&s);
}

static void a_failed_allocation_leaves_budget_and_pool_as_they_were(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 4);
    q_failalloc_fail_at(s.memory, 1);
    assert_null(q_chunk_take(&s.pool, Q_CHUNK_FOR_KERNEL));
    assert_int_equal(s.budget.used, 0);
    assert_int_equal(s.pool.num_out, 0);
    assert_int_equal(s.pool.num_free, 0);
    struct q_chunk *chunk = take(&s); // once only, and the pool has recovered
    q_chunk_release(chunk);
    scene_deinit(&s);
}

static void a_zeroed_pool_may_be_deinitialised(void **state) {
    (void)state;
    struct q_chunk_pool pool = {0};
    q_chunk_pool_deinit(&pool);
}

// Taking and releasing at random, against counts kept beside: nothing is lost and no limit is passed.
static void random_takes_and_releases_keep_every_count(void **state) {
    (void)state;
    enum { LIMIT = 12, HOLDS_MAX = 3 };
    struct scene s;
    struct q_random random;
    struct q_chunk *held[LIMIT] = {0};
    uint32_t holds[LIMIT] = {0};
    uint32_t num_out = 0;
    uint32_t most_out = KEPT;
    scene_init(&s, LIMIT);
    q_random_seed(&random, 11);
    for (int step = 0; step < 50000; step++) {
        size_t at = (size_t)q_random_below(&random, LIMIT);
        if (held[at] == NULL) {
            q_failalloc_fail_at(s.memory, q_random_below(&random, 8) == 0 ? 1 : 0);
            held[at] = q_chunk_take(&s.pool, Q_CHUNK_FOR_KERNEL);
            holds[at] = held[at] != NULL;
            num_out += held[at] != NULL;
        } else if (holds[at] < HOLDS_MAX && q_random_below(&random, 2) == 0) {
            assert_ptr_equal(q_chunk_acquire(held[at]), held[at]);
            holds[at]++;
        } else {
            q_chunk_release(held[at]);
            holds[at]--;
            num_out -= holds[at] == 0;
            held[at] = holds[at] == 0 ? NULL : held[at];
        }
        assert_int_equal(s.pool.num_out, num_out);
        most_out = num_out > most_out ? num_out : most_out;
        assert_true(s.pool.num_free <= KEPT || s.pool.num_free + num_out <= most_out);
        assert_int_equal(s.budget.used, (s.pool.num_out + s.pool.num_free) * CHUNK_BYTES);
        assert_true(s.budget.used <= s.budget.limit);
        assert_int_equal(q_failalloc_live_bytes(s.memory), s.budget.used);
    }
    for (size_t at = 0; at < LIMIT; at++) {
        while (holds[at] > 0) {
            q_chunk_release(held[at]);
            holds[at]--;
        }
    }
    scene_deinit(&s);
}

// --- holds and returns -----------------------------------------------------------------------------------------------

static void a_chunk_goes_home_with_its_last_hold(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 2);
    struct q_chunk *chunk = take(&s);
    q_chunk_acquire(chunk);
    q_chunk_acquire(chunk);
    q_chunk_release(chunk);
    q_chunk_release(chunk);
    assert_int_equal(s.pool.num_out, 1);
    q_chunk_release(chunk);
    assert_int_equal(s.pool.num_out, 0);
    assert_int_equal(s.pool.num_free, 1);
    scene_deinit(&s);
}

static void the_first_return_alone_asks_for_a_push(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 2);
    struct q_chunk *chunk = take(&s);
    q_chunk_acquire(chunk);
    q_chunk_acquire(chunk);
    assert_true(q_chunk_return(chunk, 100));
    assert_false(q_chunk_return(chunk, 20)); // its command is on its way already
    assert_int_equal(s.pool.num_out, 1);     // a return frees nothing by itself
    assert_int_equal(q_chunk_collect(chunk), 120);
    assert_int_equal(chunk->refs, 1);
    assert_true(q_chunk_return(chunk, 3)); // after a collect it must be pushed again
    assert_int_equal(q_chunk_collect(chunk), 3);
    assert_int_equal(s.pool.num_out, 0);
    scene_deinit(&s);
}

static void a_return_of_no_bytes_is_a_return(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, 2);
    struct q_chunk *chunk = take(&s);
    assert_true(q_chunk_return(chunk, 0));
    assert_int_equal(q_chunk_collect(chunk), 0);
    assert_int_equal(s.pool.num_out, 0);
    scene_deinit(&s);
}

static void many_returns_do_not_run_into_the_count_of_bytes(void **state) {
    (void)state;
    enum { SLICES = 1000 };
    struct scene s;
    scene_init(&s, 1);
    struct q_chunk *chunk = take(&s);
    for (int i = 1; i < SLICES; i++) {
        q_chunk_acquire(chunk);
    }
    for (int i = 0; i < SLICES; i++) {
        assert_int_equal(q_chunk_return(chunk, UINT64_C(1) << 32), i == 0);
    }
    assert_int_equal(q_chunk_collect(chunk), SLICES * (UINT64_C(1) << 32));
    assert_int_equal(s.pool.num_out, 0);
    scene_deinit(&s);
}

// --- other threads ---------------------------------------------------------------------------------------------------

// A chunk with two slices lent. The host's thread gives both back; the loop collects when it was told to.
struct duel {
    struct scene s;
    struct q_chunk *chunk;
    uint64_t bytes;
    int pushes;
    int pushes_seen; // by the loop's first collect
};

static void host_returns_twice(void *context) {
    struct duel *d = context;
    d->pushes += q_chunk_return(d->chunk, 10);
    q_schedule_point("returned_once");
    d->pushes += q_chunk_return(d->chunk, 5);
}

static void loop_collects_once(void *context) {
    struct duel *d = context;
    d->pushes_seen = d->pushes;
    d->bytes += q_chunk_collect(d->chunk);
}

static void play(struct duel *d, const struct q_schedule_rule *rules, size_t num_rules) {
    const struct q_schedule_actor actors[] = {{"host", host_returns_twice, d}, {"loop", loop_collects_once, d}};
    memset(d, 0, sizeof *d);
    scene_init(&d->s, 1);
    d->chunk = take(&d->s);
    q_chunk_acquire(d->chunk);
    assert_true(q_schedule_run(rules, num_rules, actors, Q_COUNT_OF(actors)));
    assert_int_equal(d->pushes_seen, 1);
}

static void a_collect_before_the_last_return_leaves_the_chunk_alive(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {{"loop:start", "host:returned_once"},
                                                     {"host:returned_once", "loop:end"}};
    struct duel d;
    play(&d, k_rules, Q_COUNT_OF(k_rules));
    assert_int_equal(d.bytes, 10);
    assert_int_equal(d.pushes, 2); // the second one found zero again: it must be pushed, or it is never collected
    assert_int_equal(d.s.pool.num_out, 1);
    assert_int_equal(q_chunk_collect(d.chunk), 5);
    assert_int_equal(d.s.pool.num_out, 0);
    scene_deinit(&d.s);
}

static void a_collect_behind_the_last_return_takes_both(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {{"loop:start", "host:end"}};
    struct duel d;
    play(&d, k_rules, Q_COUNT_OF(k_rules));
    assert_int_equal(d.bytes, 15);
    assert_int_equal(d.pushes, 1);
    assert_int_equal(d.s.pool.num_out, 0);
    scene_deinit(&d.s);
}

// Real threads: hosts read lent slices and give them back while the loop collects. A missing barrier is a race for
// tsan (it found one: collect and return must order the links of the queue too), a lost return a chunk that stays out.
enum { HOSTS = 2, SLICES_EACH = 8, ROUNDS = 300 };

struct arena {
    struct scene s;
    struct q_mpsc queue;
    struct q_chunk *chunk; // lent to all hosts in this round; NULL: it is over
    sem_t lent[HOSTS];
    uint64_t bytes_returned;
};

struct host {
    struct arena *arena;
    size_t index;
    uint64_t mismatches;
};

static void give_back(struct host *host, struct q_chunk *chunk) {
    for (size_t i = 1; i < CAPACITY; i++) {
        host->mismatches += chunk->data[i] != chunk->data[0];
    }
    if (q_chunk_return(chunk, 1 + host->index)) {
        enum q_mpsc_push_result result = q_mpsc_push(&host->arena->queue, &chunk->command.node);
        Q_CHECK(result == Q_MPSC_PUSHED);
    }
}

static void *host_main(void *context) {
    struct host *host = context;
    for (;;) {
        sem_wait(&host->arena->lent[host->index]);
        struct q_chunk *chunk = host->arena->chunk;
        if (chunk == NULL) {
            return NULL;
        }
        for (int i = 0; i < SLICES_EACH; i++) {
            give_back(host, chunk);
        }
    }
}

static void collect_all(struct arena *arena) {
    struct q_mpsc_node *next;
    for (struct q_mpsc_node *node = q_mpsc_drain(&arena->queue); node != NULL; node = next) {
        next = node->next;
        struct q_command *command = q_command_of(node);
        arena->bytes_returned += q_chunk_collect(q_container_of(command, struct q_chunk, command));
    }
}

static void lend_round(struct arena *arena, int round) {
    arena->chunk = take(&arena->s);
    memset(arena->chunk->data, round & 0x7f, CAPACITY);
    for (int i = 1; i < HOSTS * SLICES_EACH; i++) {
        q_chunk_acquire(arena->chunk);
    }
    for (size_t i = 0; i < HOSTS; i++) {
        sem_post(&arena->lent[i]);
    }
    while (arena->bytes_returned < (uint64_t)(round + 1) * SLICES_EACH * (1 + 2)) {
        collect_all(arena);
        sched_yield();
    }
    assert_int_equal(arena->s.pool.num_out, 0); // who gave the last bytes back gave the last hold back
}

static void hosts_give_back_from_their_threads(void **state) {
    (void)state;
    static struct arena arena;
    struct host hosts[HOSTS];
    pthread_t threads[HOSTS];
    memset(&arena, 0, sizeof arena);
    scene_init(&arena.s, 1);
    q_mpsc_init(&arena.queue);
    for (size_t i = 0; i < HOSTS; i++) {
        hosts[i] = (struct host){.arena = &arena, .index = i};
        sem_init(&arena.lent[i], 0, 0);
        assert_int_equal(pthread_create(&threads[i], NULL, host_main, &hosts[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        lend_round(&arena, round);
    }
    arena.chunk = NULL;
    for (size_t i = 0; i < HOSTS; i++) {
        sem_post(&arena.lent[i]);
        pthread_join(threads[i], NULL);
        sem_destroy(&arena.lent[i]);
        assert_int_equal(hosts[i].mismatches, 0);
    }
    assert_int_equal(arena.bytes_returned, ROUNDS * SLICES_EACH * (1 + 2));
    assert_int_equal(q_failalloc_calls(arena.s.memory), 1); // one chunk served all rounds
    scene_deinit(&arena.s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_pool_holds_no_memory),
        cmocka_unit_test(a_taken_chunk_is_empty_with_one_hold),
        cmocka_unit_test(a_chunk_that_comes_home_is_used_again_first),
        cmocka_unit_test(a_steady_load_of_any_size_allocates_once),
        cmocka_unit_test(a_pool_keeps_no_more_free_chunks_than_were_needed_lately),
        cmocka_unit_test(the_budget_is_never_exceeded),
        cmocka_unit_test(the_budget_may_be_used_to_its_last_byte),
        cmocka_unit_test(each_use_leaves_the_next_its_share),
        cmocka_unit_test(what_lies_with_the_kernel_is_nobodys_share),
        cmocka_unit_test(pools_share_one_budget),
        cmocka_unit_test(what_lies_free_in_another_pool_makes_room),
        cmocka_unit_test(a_primed_pool_gives_without_allocating),
        cmocka_unit_test(a_failed_allocation_leaves_budget_and_pool_as_they_were),
        cmocka_unit_test(a_zeroed_pool_may_be_deinitialised),
        cmocka_unit_test(random_takes_and_releases_keep_every_count),
        cmocka_unit_test(a_chunk_goes_home_with_its_last_hold),
        cmocka_unit_test(the_first_return_alone_asks_for_a_push),
        cmocka_unit_test(a_return_of_no_bytes_is_a_return),
        cmocka_unit_test(many_returns_do_not_run_into_the_count_of_bytes),
        cmocka_unit_test(a_collect_before_the_last_return_leaves_the_chunk_alive),
        cmocka_unit_test(a_collect_behind_the_last_return_takes_both),
        cmocka_unit_test(hosts_give_back_from_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

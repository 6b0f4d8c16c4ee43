#include "engine/tls/contexts.h"

#include <string.h>

enum entry_state { BUILDING, READY, FAILED, ENDING };

struct entry {
    struct q_list_node in_bucket; // while it is current
    struct q_list_node link;      // by state: idle, failed or ending
    struct q_list waiters;        // BUILDING
    struct q_handle handle;
    uint8_t digest[Q_CONTEXTS_DIGEST_LEN];
    void *value;
    struct q_error error;
    uint64_t expires_ns; // idle, FAILED
    uint32_t users;      // READY
    enum entry_state state;
};

static struct q_list *bucket_of(struct q_contexts *contexts, const uint8_t *digest) {
    return &contexts->buckets[digest[0] % Q_CONTEXTS_BUCKETS]; // digests are as good as random
}

static struct entry *find(struct q_contexts *contexts, const uint8_t *digest) {
    struct q_list *bucket = bucket_of(contexts, digest);
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct entry *entry = q_container_of(node, struct entry, in_bucket);
        if (memcmp(entry->digest, digest, Q_CONTEXTS_DIGEST_LEN) == 0) {
            return entry;
        }
    }
    return NULL;
}

static bool is_stale(const struct entry *entry) {
    return !q_list_is_linked(&entry->in_bucket);
}

static bool is_idle(const struct entry *entry) {
    return entry->state == READY && entry->users == 0;
}

static struct entry *first_of(const struct q_list *list) {
    struct q_list_node *node = q_list_first(list);
    return node == NULL ? NULL : q_container_of(node, struct entry, link);
}

static struct entry *used_entry(const struct q_contexts *contexts, struct q_handle context) {
    struct entry *entry = q_slots_get(&contexts->entries, context);
    bool is_used = entry != NULL && entry->state == READY && entry->users > 0;
    Q_CHECK(is_used);
    return entry;
}

// --- time -----------------------------------------------------------------------------------------------------------

// The timer may come early, when the entry it was set for is in use again: it looks, and sleeps on.
static void set_timer(struct q_contexts *contexts, uint64_t due_ns) {
    if (!q_timer_is_armed(&contexts->timer) || due_ns < contexts->timer_ns) {
        contexts->timer_ns = due_ns;
        q_loop_arm(contexts->loop, &contexts->timer, due_ns);
    }
}

// Both lists are in the order in which they expire, since all their entries are kept for the same time.
static void keep(struct q_contexts *contexts, struct entry *entry, struct q_list *list, uint64_t for_ns) {
    uint64_t now_ns = contexts->loop->now_ns;
    entry->expires_ns = for_ns < UINT64_MAX - now_ns ? now_ns + for_ns : UINT64_MAX;
    q_list_push_back(list, &entry->link);
    set_timer(contexts, entry->expires_ns);
}

// --- how entries end ------------------------------------------------------------------------------------------------

static void leave_map(struct q_contexts *contexts, struct entry *entry) {
    q_list_remove(&entry->in_bucket);
    contexts->stats.current--;
}

// The entry is in no list but perhaps the map, and has no users. A value goes by the task.
static void end_entry(struct q_contexts *contexts, struct entry *entry) {
    if (!is_stale(entry)) {
        leave_map(contexts, entry);
    } else {
        contexts->stats.stale--;
    }
    if (entry->state == FAILED) {
        q_slots_release(&contexts->entries, entry->handle);
        return;
    }
    Q_ASSERT(is_idle(entry));
    entry->state = ENDING;
    q_list_push_back(&contexts->ending, &entry->link);
    if (!contexts->is_over) {
        q_loop_post(contexts->loop, &contexts->task);
    }
}

static void drop_first(struct q_contexts *contexts, struct q_list *list) {
    struct entry *entry = first_of(list);
    q_list_remove(&entry->link);
    end_entry(contexts, entry);
}

// Leaves at most `limit` current entries, as far as idle ones and failures can go: failures first, they were cheap.
static void make_room(struct q_contexts *contexts, uint32_t limit) {
    while (contexts->stats.current > limit) {
        struct q_list *list = q_list_is_empty(&contexts->failed) ? &contexts->idle : &contexts->failed;
        if (q_list_is_empty(list)) {
            return;
        }
        drop_first(contexts, list);
        contexts->stats.evictions++;
    }
}

static void expire(struct q_contexts *contexts, struct q_list *list) {
    const struct entry *first;
    while ((first = first_of(list)) != NULL && first->expires_ns <= contexts->loop->now_ns) {
        drop_first(contexts, list);
        contexts->stats.expired++;
    }
    if (first != NULL) {
        set_timer(contexts, first->expires_ns);
    }
}

static void timer_fired(struct q_timer *timer) {
    struct q_contexts *contexts = q_container_of(timer, struct q_contexts, timer);
    expire(contexts, &contexts->idle);
    expire(contexts, &contexts->failed);
}

static void destroy_value(struct q_contexts *contexts, struct entry *entry) {
    void *value = entry->value;
    q_slots_release(&contexts->entries, entry->handle);
    contexts->stats.destroyed++;
    contexts->functions->destroy(contexts->owner, value); // last: it may call us
}

static void end_use(struct q_contexts *contexts, struct entry *entry) {
    if (--entry->users > 0) {
        return;
    }
    if (is_stale(entry)) {
        end_entry(contexts, entry);
    } else {
        keep(contexts, entry, &contexts->idle, contexts->options.idle_ns);
        make_room(contexts, contexts->options.capacity); // all others may have been in use so far
    }
}

static void begin_use(struct entry *entry) {
    Q_CHECK(entry->users < UINT32_MAX);
    if (entry->users++ == 0 && q_list_is_linked(&entry->link)) {
        q_list_remove(&entry->link);
    }
}

// --- outcomes -------------------------------------------------------------------------------------------------------

static void tell(struct q_list *outcomes) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(outcomes)) != NULL) {
        struct q_context_waiter *waiter = q_container_of(node, struct q_context_waiter, link);
        if (waiter->is_ready) {
            waiter->on_ready(waiter, waiter->context);
        } else {
            waiter->on_failed(waiter, waiter->error);
        }
    }
}

// What these calls bring about waits for the next run, so that each is bounded.
static void run_task(struct q_task *task) {
    struct q_contexts *contexts = q_container_of(task, struct q_contexts, task);
    struct q_list outcomes;
    struct q_list ending;
    q_list_init(&outcomes);
    q_list_init(&ending);
    q_list_take(&outcomes, &contexts->outcomes);
    q_list_take(&ending, &contexts->ending);
    tell(&outcomes);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&ending)) != NULL) {
        destroy_value(contexts, q_container_of(node, struct entry, link));
    }
}

// Every waiter is a user of a context from here on, so that it is there when its waiter is told.
static void pass_on(struct q_contexts *contexts, struct entry *entry) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(&entry->waiters)) != NULL) {
        struct q_context_waiter *waiter = q_container_of(node, struct q_context_waiter, link);
        waiter->is_ready = entry->state == READY;
        waiter->error = entry->error;
        if (waiter->is_ready) {
            begin_use(entry);
        }
        q_list_push_back(&contexts->outcomes, node);
        q_loop_post(contexts->loop, &contexts->task);
    }
}

static void finish(struct q_contexts *contexts, struct entry *entry, void *value) {
    Q_CHECK(entry->state == BUILDING && value != NULL);
    entry->state = READY;
    entry->value = value;
    entry->users = 1; // the build's own, for as long as this takes: nobody may be left who waits
    pass_on(contexts, entry);
}

static void fail(struct q_contexts *contexts, struct entry *entry, struct q_error error) {
    Q_CHECK(entry->state == BUILDING && q_error_is(error));
    entry->state = FAILED;
    entry->error = error;
    contexts->stats.failures++;
    pass_on(contexts, entry);
    if (is_stale(entry) || contexts->options.failure_ns == 0) {
        end_entry(contexts, entry);
    } else {
        keep(contexts, entry, &contexts->failed, contexts->options.failure_ns);
    }
}

static struct entry *building_entry(const struct q_contexts *contexts, struct q_handle context) {
    struct entry *entry = q_slots_get(&contexts->entries, context);
    Q_CHECK(entry != NULL);
    return entry;
}

void q_contexts_built(struct q_contexts *contexts, struct q_handle context, void *value) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    struct entry *entry = building_entry(contexts, context);
    finish(contexts, entry, value);
    end_use(contexts, entry);
}

void q_contexts_build_failed(struct q_contexts *contexts, struct q_handle context, struct q_error error) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    fail(contexts, building_entry(contexts, context), error);
}

// --- asking ---------------------------------------------------------------------------------------------------------

static struct entry *add_entry(struct q_contexts *contexts, const uint8_t *digest) {
    make_room(contexts, contexts->options.capacity - 1);
    struct q_handle handle;
    struct entry *entry = q_slots_take(&contexts->entries, &handle);
    if (entry == NULL) {
        return NULL;
    }
    entry->handle = handle;
    entry->state = BUILDING;
    memcpy(entry->digest, digest, Q_CONTEXTS_DIGEST_LEN);
    q_list_init(&entry->waiters);
    q_list_push_front(bucket_of(contexts, digest), &entry->in_bucket);
    contexts->stats.current++;
    contexts->stats.overflows += contexts->stats.current > contexts->options.capacity;
    return entry;
}

static void wait_for(struct entry *entry, struct q_context_waiter *waiter) {
    waiter->context = entry->handle;
    waiter->is_ready = false;
    q_list_push_back(&entry->waiters, &waiter->link);
}

static enum q_contexts_result build(struct q_contexts *contexts, const uint8_t *digest, const void *material,
                                    struct q_context_waiter *waiter, struct q_handle *out_context,
                                    struct q_error *out_error) {
    struct entry *entry = add_entry(contexts, digest);
    if (entry == NULL) {
        *out_error = q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_TLS);
        return Q_CONTEXTS_FAILED;
    }
    contexts->stats.builds++;
    void *value = NULL;
    struct q_error error = Q_OK;
    switch (contexts->functions->build(contexts->owner, entry->handle, entry->digest, material, &value, &error)) {
    case Q_BUILD_DONE:
        finish(contexts, entry, value);
        *out_context = entry->handle; // its own use is the caller's
        return Q_CONTEXTS_NOW;
    case Q_BUILD_LATER:
        Q_CHECK(entry->state == BUILDING); // later, not before it returned
        wait_for(entry, waiter);
        return Q_CONTEXTS_WAITING;
    case Q_BUILD_FAILED: break;
    }
    *out_error = error;
    fail(contexts, entry, error);
    return Q_CONTEXTS_FAILED;
}

enum q_contexts_result q_contexts_get(struct q_contexts *contexts, const uint8_t digest[Q_CONTEXTS_DIGEST_LEN],
                                      const void *material, struct q_context_waiter *waiter,
                                      struct q_handle *out_context, struct q_error *out_error) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    Q_ASSERT(!q_list_is_linked(&waiter->link));
    struct entry *entry = find(contexts, digest);
    if (entry != NULL && entry->state == FAILED) {
        if (entry->expires_ns > contexts->loop->now_ns) {
            contexts->stats.refused++;
            *out_error = entry->error;
            return Q_CONTEXTS_FAILED;
        }
        q_list_remove(&entry->link); // over; the timer was not here yet
        end_entry(contexts, entry);
        contexts->stats.expired++;
        entry = NULL;
    }
    if (entry != NULL && entry->state == READY) {
        contexts->stats.hits++;
        begin_use(entry);
        *out_context = entry->handle;
        return Q_CONTEXTS_NOW;
    }
    contexts->stats.misses++;
    if (entry != NULL) {
        wait_for(entry, waiter);
        return Q_CONTEXTS_WAITING;
    }
    return build(contexts, digest, material, waiter, out_context, out_error);
}

void q_contexts_cancel(struct q_contexts *contexts, struct q_context_waiter *waiter) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    if (!q_list_is_linked(&waiter->link)) {
        return;
    }
    q_list_remove(&waiter->link);
    if (waiter->is_ready) {
        end_use(contexts, used_entry(contexts, waiter->context));
    }
}

void *q_contexts_value(const struct q_contexts *contexts, struct q_handle context) {
    return used_entry(contexts, context)->value;
}

bool q_contexts_is_current(const struct q_contexts *contexts, struct q_handle context) {
    return !is_stale(used_entry(contexts, context));
}

void q_contexts_acquire(struct q_contexts *contexts, struct q_handle context) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    begin_use(used_entry(contexts, context));
}

void q_contexts_release(struct q_contexts *contexts, struct q_handle context) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    end_use(contexts, used_entry(contexts, context));
}

// --- rotation -------------------------------------------------------------------------------------------------------

static void invalidate(struct q_contexts *contexts, struct entry *entry) {
    leave_map(contexts, entry);
    contexts->stats.stale++;
    if (entry->state == FAILED || is_idle(entry)) {
        q_list_remove(&entry->link);
        end_entry(contexts, entry);
    }
}

void q_contexts_invalidate(struct q_contexts *contexts, const uint8_t digest[Q_CONTEXTS_DIGEST_LEN]) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    struct entry *entry = find(contexts, digest);
    if (entry != NULL) {
        invalidate(contexts, entry);
    }
}

static void invalidate_each(struct q_contexts *contexts) {
    for (size_t i = 0; i < Q_CONTEXTS_BUCKETS; i++) {
        struct q_list_node *node;
        while ((node = q_list_first(&contexts->buckets[i])) != NULL) {
            invalidate(contexts, q_container_of(node, struct entry, in_bucket));
        }
    }
}

void q_contexts_invalidate_all(struct q_contexts *contexts) {
    Q_ASSERT(q_loop_is_here(contexts->loop));
    invalidate_each(contexts);
}

// --- beginning and end ----------------------------------------------------------------------------------------------

bool q_contexts_init(struct q_contexts *contexts, const struct q_alloc *alloc, struct q_loop *loop,
                     const struct q_contexts_options *options, const struct q_contexts_owner *functions, void *owner) {
    Q_CHECK(options->capacity > 0);
    *contexts = (struct q_contexts){0};
    if (!q_slots_init(&contexts->entries, alloc, sizeof(struct entry), Q_CONTEXTS_MAX)) {
        return false;
    }
    contexts->loop = loop;
    contexts->functions = functions;
    contexts->owner = owner;
    contexts->options = *options;
    contexts->task.run = run_task;
    contexts->timer.fired = timer_fired;
    for (size_t i = 0; i < Q_CONTEXTS_BUCKETS; i++) {
        q_list_init(&contexts->buckets[i]);
    }
    q_list_init(&contexts->idle);
    q_list_init(&contexts->failed);
    q_list_init(&contexts->ending);
    q_list_init(&contexts->outcomes);
    return true;
}

void q_contexts_deinit(struct q_contexts *contexts) {
    if (contexts->loop == NULL) {
        return;
    }
    contexts->is_over = true;
    invalidate_each(contexts);
    Q_CHECK(contexts->stats.stale == 0 && q_list_is_empty(&contexts->outcomes));
    while (!q_list_is_empty(&contexts->ending)) {
        struct entry *entry = first_of(&contexts->ending);
        q_list_remove(&entry->link);
        destroy_value(contexts, entry);
    }
    q_loop_unpost(&contexts->task);
    q_loop_disarm(contexts->loop, &contexts->timer);
    q_slots_deinit(&contexts->entries);
    *contexts = (struct q_contexts){0};
}

static void validate_entry(const struct entry *entry) {
    Q_CHECK(entry->state == READY || entry->users == 0);
    Q_CHECK(entry->state == BUILDING || q_list_is_empty(&entry->waiters));
    Q_CHECK((entry->value != NULL) == (entry->state == READY || entry->state == ENDING));
    Q_CHECK(q_error_is(entry->error) == (entry->state == FAILED));
    Q_CHECK(q_list_is_linked(&entry->link) == (entry->state == FAILED || entry->state == ENDING || is_idle(entry)));
    Q_CHECK(!is_stale(entry) || entry->state == BUILDING || entry->state == ENDING || entry->users > 0);
    Q_CHECK(is_stale(entry) || entry->state != ENDING);
}

static void validate_order(const struct q_contexts *contexts, const struct q_list *list) {
    uint64_t last_ns = 0;
    for (const struct q_list_node *node = list->head.next; node != &list->head; node = node->next) {
        const struct entry *entry = q_container_of(node, const struct entry, link);
        Q_CHECK(entry->expires_ns >= last_ns);
        Q_CHECK(q_timer_is_armed(&contexts->timer) && contexts->timer_ns <= entry->expires_ns);
        last_ns = entry->expires_ns;
    }
}

void q_contexts_validate(const struct q_contexts *contexts) {
    uint32_t current = 0;
    uint32_t stale = 0;
    for (uint32_t i = 0; i < contexts->entries.made; i++) {
        struct q_handle handle;
        const struct entry *entry = q_slots_at(&contexts->entries, i, &handle);
        if (entry != NULL) {
            validate_entry(entry);
            current += !is_stale(entry);
            stale += is_stale(entry) && entry->state != ENDING;
        }
    }
    Q_CHECK(current == contexts->stats.current && stale == contexts->stats.stale);
    validate_order(contexts, &contexts->idle);
    validate_order(contexts, &contexts->failed);
}

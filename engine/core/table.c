#include "engine/core/table.h"

#include "engine/base/epoch.h"

#include <stdatomic.h>

#define INDEX_BITS 16

static struct q_table_entry the_table[Q_TABLE_ENGINES_MAX];

static _Thread_local uint32_t loop_epoch; // 0: not at a loop's work

void q_table_enter_loop(void) { loop_epoch = q_epoch_now(); }

void q_table_leave_loop(void) { loop_epoch = 0; }

bool q_table_is_in_loop(void) { return loop_epoch != 0 && loop_epoch == q_epoch_now(); }

// An entry is free when nobody has taken it in this epoch. What a parent's threads left in it is forgotten, and its
// handle is then stale; so a child comes to its parent's entries last, and calls on the parent's engines say FORKED.
static bool try_take(struct q_table_entry *entry, uint32_t epoch, bool is_parents_too) {
    uint32_t owner = atomic_load_explicit(&entry->is_taken, memory_order_acquire);
    if (owner == epoch || (owner != 0 && !is_parents_too) ||
        !atomic_compare_exchange_strong(&entry->is_taken, &owner, epoch)) {
        return false;
    }
    if (owner != 0) {
        q_pending_abandon(&entry->pending);
    }
    atomic_store_explicit(&entry->epoch, epoch, memory_order_relaxed);
    return true;
}

struct q_error q_table_take(struct q_table_entry **out) {
    uint32_t epoch = q_epoch_begin();
    if (epoch == 0) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    for (size_t i = 0; i < (size_t)2 * Q_TABLE_ENGINES_MAX; i++) {
        struct q_table_entry *entry = &the_table[i % Q_TABLE_ENGINES_MAX];
        if (try_take(entry, epoch, i >= Q_TABLE_ENGINES_MAX)) {
            *out = entry;
            return Q_OK;
        }
    }
    return q_error_make(Q_ERR_ENGINES_MAX, Q_PHASE_CREATE);
}

struct quoit_engine q_table_open(struct q_table_entry *entry) {
    uint32_t generation = q_pending_open(&entry->pending);
    if (generation == 0) {
        return (struct quoit_engine){0};
    }
    return (struct quoit_engine){.id = ((uint64_t)generation << INDEX_BITS) | (q_table_place(entry) + 1)};
}

void q_table_give_back(struct q_table_entry *entry) {
    entry->engine = NULL;
    atomic_store_explicit(&entry->is_taken, 0, memory_order_release);
}

uint32_t q_table_place(const struct q_table_entry *entry) { return (uint32_t)(entry - the_table); }

struct q_table_entry *q_table_entry_of(struct quoit_engine handle) {
    uint64_t index = handle.id & ((1u << INDEX_BITS) - 1);
    return index == 0 || index > Q_TABLE_ENGINES_MAX ? NULL : &the_table[index - 1];
}

static uint32_t generation_of(struct quoit_engine handle) {
    uint64_t generation = handle.id >> INDEX_BITS;
    return generation > UINT32_MAX ? 0 : (uint32_t)generation;
}

// In a child the words still look live; nothing behind them may be touched.
static bool is_forked(const struct q_table_entry *entry) {
    uint32_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    return epoch != 0 && epoch != q_epoch_now();
}

uint32_t q_table_epoch_of(const struct q_table_entry *entry) {
    return atomic_load_explicit(&entry->epoch, memory_order_relaxed);
}

void q_table_escape_if_forked(struct q_table_escape *escape) {
    if (escape->epoch != q_epoch_now()) {
        q_table_leave_loop();
        longjmp(escape->at, 1);
    }
}

struct q_engine *q_table_enter(struct quoit_engine handle, int32_t *out_code) {
    struct q_table_entry *entry = q_table_entry_of(handle);
    if (entry == NULL) {
        *out_code = Q_ERR_STALE_HANDLE;
        return NULL;
    }
    if (is_forked(entry)) {
        *out_code = Q_ERR_FORKED;
        return NULL;
    }
    if (!q_pending_enter(&entry->pending, generation_of(handle))) {
        *out_code = Q_ERR_STALE_HANDLE;
        return NULL;
    }
    *out_code = 0;
    return entry->engine;
}

static struct q_engine *enter_counted(struct quoit_engine handle, bool is_limited, int32_t *out_code) {
    static const int32_t k_codes[] = {
        [Q_PENDING_ENTERED] = 0,
        [Q_PENDING_STALE] = Q_ERR_STALE_HANDLE,
        [Q_PENDING_DRAINING] = Q_ERR_CLOSED,
        [Q_PENDING_FULL] = Q_ERR_REQUESTS_MAX,
    };
    struct q_table_entry *entry = q_table_entry_of(handle);
    *out_code = entry == NULL ? Q_ERR_STALE_HANDLE : is_forked(entry) ? Q_ERR_FORKED : 0;
    if (*out_code != 0) {
        return NULL;
    }
    uint32_t limit = atomic_load_explicit(&entry->requests_max, memory_order_relaxed);
    enum q_pending_result result = q_pending_enter_requests(&entry->pending, generation_of(handle), 1,
                                                            is_limited ? limit : Q_PENDING_REQUESTS_MAX);
    *out_code = k_codes[result];
    return result == Q_PENDING_ENTERED ? entry->engine : NULL;
}

struct q_engine *q_table_enter_request(struct quoit_engine handle, int32_t *out_code) {
    return enter_counted(handle, true, out_code);
}

struct q_engine *q_table_enter_beside(struct quoit_engine handle, int32_t *out_code) {
    return enter_counted(handle, false, out_code);
}

void q_table_leave(struct q_table_entry *entry) {
    bool was_last = q_pending_leave(&entry->pending);
    Q_ASSERT(!was_last); // destroy closes the word only when it is alone inside
    (void)was_last;
}

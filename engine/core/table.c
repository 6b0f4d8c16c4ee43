#include "engine/core/table.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define INDEX_BITS 16

struct fork_page {
    _Atomic(uint32_t) epoch; // 0 in a child that has made no engine yet, and before the first create
};

static struct q_table_entry the_table[Q_TABLE_ENGINES_MAX];
static _Atomic(struct fork_page *) the_fork_page;
static _Atomic(uint32_t) the_last_epoch; // ordinary memory: a child sees its parent's number

static struct fork_page *make_fork_page(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct fork_page *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    struct fork_page *expected = NULL;
    if (madvise(page, size, MADV_WIPEONFORK) != 0 ||
        !atomic_compare_exchange_strong(&the_fork_page, &expected, page)) {
        munmap(page, size);
        return expected; // another thread's, or NULL
    }
    return page;
}

static uint32_t current_epoch(void) {
    struct fork_page *page = atomic_load_explicit(&the_fork_page, memory_order_acquire);
    return page == NULL ? 0 : atomic_load_explicit(&page->epoch, memory_order_acquire);
}

static _Thread_local uint32_t loop_epoch; // 0: not at a loop's work

void q_table_enter_loop(void) { loop_epoch = current_epoch(); }

void q_table_leave_loop(void) { loop_epoch = 0; }

bool q_table_is_in_loop(void) { return loop_epoch != 0 && loop_epoch == current_epoch(); }

// The current epoch, begun now if this is the first create of the process or of a child.
static uint32_t begin_epoch(void) {
    struct fork_page *page = atomic_load_explicit(&the_fork_page, memory_order_acquire);
    if (page == NULL) {
        page = make_fork_page();
    }
    if (page == NULL) {
        return 0;
    }
    uint32_t epoch = atomic_load_explicit(&page->epoch, memory_order_acquire);
    if (epoch != 0) {
        return epoch;
    }
    uint32_t next = atomic_fetch_add(&the_last_epoch, 1) + 1;
    // Two creates at once may both count up; one number wins, and gaps do not matter.
    return atomic_compare_exchange_strong(&page->epoch, &epoch, next) ? next : epoch;
}

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
    uint32_t epoch = begin_epoch();
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
    return epoch != 0 && epoch != current_epoch();
}

uint32_t q_table_epoch_of(const struct q_table_entry *entry) {
    return atomic_load_explicit(&entry->epoch, memory_order_relaxed);
}

void q_table_escape_if_forked(struct q_table_escape *escape) {
    if (escape->epoch != current_epoch()) {
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

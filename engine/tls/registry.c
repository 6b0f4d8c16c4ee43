#include "engine/tls/registry.h"

#include "engine/base/epoch.h"
#include "engine/base/hook.h"

#include <pthread.h>
#include <string.h>

#define STRONG_MAX       UINT32_MAX
#define GENERATION_SHIFT 32
#define BUCKETS_FIRST    64u

struct q_registry_slot {
    _Atomic(uint64_t) word;
    // Written by intern before it publishes the word, constant while anybody holds a reference.
    void *content;
    void (*release)(void *content);
    // The rest is the map's, under the lock.
    uint8_t digest[Q_REGISTRY_DIGEST_LEN];
    uint32_t next;   // index + 1, in the bucket or on the list of free slots
    uint32_t mapped; // the generation that the map's entry names; 0: there is no entry
    bool is_back;    // given back: on the list of free slots, or retired
};

// The map and the free slots of one process, with their lock.
struct q_registry_shape {
    pthread_mutex_t lock;
    uint32_t epoch;
    bool is_built;     // the slots were looked through; else what they say of the map is the parent's
    uint32_t *buckets; // index + 1
    uint32_t num_buckets;
    uint32_t first_free; // index + 1
    uint32_t num_blocks;
    struct q_registry_stats stats;
    struct q_registry_shape *abandoned; // the parent's, never touched; kept to be found by who looks for leaks
};

static struct q_registry the_registry;

struct q_registry *q_registry_process(void) {
    return &the_registry;
}

static const struct q_alloc *alloc_of(const struct q_registry *registry) {
    return registry->alloc != NULL ? registry->alloc : q_alloc_libc();
}

static uint32_t capacity_of(const struct q_registry *registry) {
    return registry->capacity != 0 ? registry->capacity : Q_REGISTRY_ENTRIES_MAX;
}

static uint32_t blocks_max(const struct q_registry *registry) {
    return (capacity_of(registry) + Q_REGISTRY_BLOCK_SLOTS - 1) / Q_REGISTRY_BLOCK_SLOTS;
}

// --- the control word -----------------------------------------------------------------------------------------------

static uint32_t generation_of(uint64_t word) {
    return (uint32_t)(word >> GENERATION_SHIFT);
}

static uint32_t strong_of(uint64_t word) {
    return (uint32_t)word;
}

static uint64_t word_of(uint32_t generation, uint32_t strong) {
    return (uint64_t)generation << GENERATION_SHIFT | strong;
}

// The slot that a handle points into, whatever its generation; NULL when there is none.
static struct q_registry_slot *slot_at(const struct q_registry *registry, uint32_t index) {
    if (index >= capacity_of(registry)) {
        return NULL;
    }
    // Acquire: the block was filled before it was hung up.
    struct q_registry_slot *block =
        atomic_load_explicit(&registry->blocks[index / Q_REGISTRY_BLOCK_SLOTS], memory_order_acquire);
    return block == NULL ? NULL : &block[index % Q_REGISTRY_BLOCK_SLOTS];
}

static bool try_upgrade(struct q_registry_slot *slot, uint32_t generation) {
    uint64_t seen = atomic_load_explicit(&slot->word, memory_order_relaxed);
    do {
        if (generation_of(seen) != generation || strong_of(seen) == 0) {
            return false;
        }
        // Nobody has so many; but who loses references in a loop must not come round to 0 under those who hold one.
        Q_CHECK(strong_of(seen) < STRONG_MAX);
        Q_HOOK("registry.upgrade.before_cas");
        // Acquire: the content was written before the word that says so.
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &seen, seen + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

// True: it was the last one.
static bool drop_one(struct q_registry_slot *slot, uint32_t generation) {
    uint64_t seen = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint64_t wanted;
    do {
        bool is_held = generation_of(seen) == generation && strong_of(seen) > 0;
        Q_CHECK(is_held); // else a reference is dropped that nobody has
        wanted = strong_of(seen) == 1 ? word_of(generation + 1, 0) : seen - 1;
        Q_HOOK("registry.drop.before_cas");
        // Release: what this holder did with the content comes before its end. Acquire: what all others did, too.
    } while (
        !atomic_compare_exchange_weak_explicit(&slot->word, &seen, wanted, memory_order_acq_rel, memory_order_relaxed));
    Q_HOOK("registry.drop.after_cas");
    return strong_of(wanted) == 0;
}

// --- the map, under the lock ----------------------------------------------------------------------------------------

static bool is_equal(const uint8_t *left, const uint8_t *right) {
    return memcmp(left, right, Q_REGISTRY_DIGEST_LEN) == 0; // in what time, tells nothing: digests are keyed
}

// Digests are as good as random.
static uint32_t *bucket_of(const struct q_registry_shape *shape, const uint8_t *digest) {
    uint32_t hash = digest[0] | (uint32_t)digest[1] << 8 | (uint32_t)digest[2] << 16 | (uint32_t)digest[3] << 24;
    return &shape->buckets[hash & (shape->num_buckets - 1)];
}

// The link at which the entry of this digest hangs; its value is 0 when there is none.
static uint32_t *find(const struct q_registry *registry, const struct q_registry_shape *shape, const uint8_t *digest) {
    uint32_t *link = bucket_of(shape, digest);
    while (*link != 0) {
        struct q_registry_slot *slot = slot_at(registry, *link - 1);
        if (is_equal(slot->digest, digest)) {
            break;
        }
        link = &slot->next;
    }
    return link;
}

static void add_entry(struct q_registry_shape *shape, struct q_registry_slot *slot, uint32_t index) {
    uint32_t *bucket = bucket_of(shape, slot->digest);
    slot->next = *bucket;
    *bucket = index + 1;
    shape->stats.entries++;
}

static void remove_entry(struct q_registry_shape *shape, struct q_registry_slot *slot, uint32_t *link) {
    *link = slot->next;
    slot->mapped = 0;
    shape->stats.entries--;
}

static void add_free(struct q_registry_shape *shape, struct q_registry_slot *slot, uint32_t index) {
    slot->next = shape->first_free;
    slot->is_back = true;
    shape->first_free = index + 1;
    shape->stats.free++;
}

// For its next content; or for good, if one more would have a name that was another's.
static void take_back(struct q_registry_shape *shape, struct q_registry_slot *slot, uint32_t index,
                      uint32_t generation) {
    if (generation != 0) {
        add_free(shape, slot, index);
    } else {
        slot->is_back = true;
        shape->stats.retired++;
    }
}

static struct q_registry_slot *take_free(const struct q_registry *registry, struct q_registry_shape *shape,
                                         uint32_t *out_index) {
    if (shape->first_free == 0) {
        return NULL;
    }
    *out_index = shape->first_free - 1;
    struct q_registry_slot *slot = slot_at(registry, *out_index);
    shape->first_free = slot->next;
    slot->is_back = false;
    shape->stats.free--;
    return slot;
}

// Takes in the slots of the next block: all of them in a child, where nothing that stood in them of the map still
// counts. A slot that is ending in another thread looks free here; that thread finds out (see bury).
static void add_block(struct q_registry *registry, struct q_registry_shape *shape) {
    uint32_t first = shape->num_blocks++ * Q_REGISTRY_BLOCK_SLOTS;
    for (uint32_t i = first + Q_REGISTRY_BLOCK_SLOTS; i-- > first;) {
        struct q_registry_slot *slot = slot_at(registry, i);
        if (slot == NULL) {
            continue; // beyond the capacity
        }
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        shape->stats.slots++;
        slot->mapped = 0;
        slot->is_back = false;
        if (strong_of(word) == 0) {
            take_back(shape, slot, i, generation_of(word));
        }
    }
}

static void build(struct q_registry *registry, struct q_registry_shape *shape) {
    for (uint32_t i = 0; i < blocks_max(registry) && slot_at(registry, i * Q_REGISTRY_BLOCK_SLOTS) != NULL; i++) {
        add_block(registry, shape);
    }
    shape->is_built = true;
}

// --- the lock -------------------------------------------------------------------------------------------------------

static void free_shape(struct q_registry *registry, struct q_registry_shape *shape) {
    q_alloc_free(alloc_of(registry), shape->buckets, shape->num_buckets * sizeof *shape->buckets);
    q_alloc_free(alloc_of(registry), shape, sizeof *shape);
}

// Made whole before it is seen; but what it knows of the slots is written under its lock (see build): of two threads
// that make one at once the one whose is not taken must have changed nothing.
static struct q_registry_shape *make_shape(struct q_registry *registry, struct q_registry_shape *old, uint32_t epoch) {
    struct q_registry_shape *shape = q_alloc_new(alloc_of(registry), sizeof *shape);
    if (shape == NULL) {
        return NULL;
    }
    shape->num_buckets = BUCKETS_FIRST;
    shape->buckets = q_alloc_new_array(alloc_of(registry), shape->num_buckets, sizeof *shape->buckets);
    if (shape->buckets == NULL || pthread_mutex_init(&shape->lock, NULL) != 0) {
        free_shape(registry, shape);
        return NULL;
    }
    shape->epoch = epoch;
    shape->abandoned = old;
    Q_HOOK("registry.shape.before_cas");
    struct q_registry_shape *seen = old;
    if (!atomic_compare_exchange_strong_explicit(&registry->shape, &seen, shape, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        pthread_mutex_destroy(&shape->lock);
        free_shape(registry, shape);
        return seen; // another thread's, of this process: an epoch changes by a fork alone
    }
    return shape;
}

// NULL: no memory.
static struct q_registry_shape *lock_shape(struct q_registry *registry) {
    uint32_t epoch = q_epoch_begin();
    struct q_registry_shape *shape = atomic_load_explicit(&registry->shape, memory_order_acquire);
    if (epoch != 0 && (shape == NULL || shape->epoch != epoch)) {
        shape = make_shape(registry, shape, epoch);
    }
    if (epoch == 0 || shape == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&shape->lock);
    if (!shape->is_built) {
        build(registry, shape);
    }
    return shape;
}

static void unlock_shape(struct q_registry_shape *shape) {
    pthread_mutex_unlock(&shape->lock);
}

// --- growing: the allocator is asked without the lock ---------------------------------------------------------------

static struct q_registry_slot *new_block(const struct q_registry *registry) {
    struct q_registry_slot *block = q_alloc_new_array(alloc_of(registry), Q_REGISTRY_BLOCK_SLOTS, sizeof *block);
    for (uint32_t i = 0; block != NULL && i < Q_REGISTRY_BLOCK_SLOTS; i++) {
        atomic_init(&block[i].word, word_of(1, 0)); // generation 0 names nobody
    }
    return block;
}

static enum q_intern_result add_slots(struct q_registry *registry) {
    struct q_registry_slot *block = new_block(registry);
    Q_HOOK("registry.grow.before_lock");
    struct q_registry_shape *shape = block == NULL ? NULL : lock_shape(registry);
    if (shape == NULL) {
        q_alloc_free(alloc_of(registry), block, Q_REGISTRY_BLOCK_SLOTS * sizeof *block);
        return Q_INTERN_NO_MEMORY;
    }
    bool is_wanted = shape->first_free == 0 && shape->num_blocks < blocks_max(registry);
    if (is_wanted) {
        atomic_store_explicit(&registry->blocks[shape->num_blocks], block, memory_order_release);
        add_block(registry, shape);
    }
    unlock_shape(shape);
    if (!is_wanted) { // another thread was first
        q_alloc_free(alloc_of(registry), block, Q_REGISTRY_BLOCK_SLOTS * sizeof *block);
    }
    return Q_INTERN_MADE;
}

static void rehash(struct q_registry *registry, struct q_registry_shape *shape, uint32_t *buckets, uint32_t num) {
    uint32_t *old = shape->buckets;
    uint32_t num_old = shape->num_buckets;
    shape->buckets = buckets;
    shape->num_buckets = num;
    for (uint32_t i = 0; i < num_old; i++) {
        for (uint32_t link = old[i]; link != 0;) {
            struct q_registry_slot *slot = slot_at(registry, link - 1);
            uint32_t next = slot->next;
            uint32_t *bucket = bucket_of(shape, slot->digest);
            slot->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
}

// Twice the buckets. Without memory the chains stay as long as they are.
static void add_buckets(struct q_registry *registry, uint32_t num_seen) {
    uint32_t num = 2 * num_seen;
    uint32_t *buckets = q_alloc_new_array(alloc_of(registry), num, sizeof *buckets);
    struct q_registry_shape *shape = buckets == NULL ? NULL : lock_shape(registry);
    if (shape != NULL) {
        if (shape->num_buckets == num_seen) {
            uint32_t *old = shape->buckets;
            rehash(registry, shape, buckets, num);
            buckets = old;
            num = num_seen;
        }
        unlock_shape(shape);
    }
    q_alloc_free(alloc_of(registry), buckets, num * sizeof *buckets);
}

// --- what callers call ----------------------------------------------------------------------------------------------

void q_registry_init(struct q_registry *registry, const struct q_alloc *alloc, uint32_t capacity) {
    Q_CHECK(capacity > 0 && capacity <= Q_REGISTRY_ENTRIES_MAX);
    memset(registry, 0, sizeof *registry);
    registry->alloc = alloc;
    registry->capacity = capacity;
}

void q_registry_deinit(struct q_registry *registry) {
    uint32_t epoch = q_epoch_now();
    struct q_registry_shape *shape = atomic_load_explicit(&registry->shape, memory_order_acquire);
    Q_CHECK(shape == NULL || (shape->epoch == epoch && shape->stats.entries == 0 &&
                              shape->stats.free + shape->stats.retired == shape->stats.slots));
    while (shape != NULL) {
        struct q_registry_shape *abandoned = shape->abandoned;
        if (shape->epoch == epoch) { // nobody may look at a lock of the parent's
            pthread_mutex_destroy(&shape->lock);
        }
        free_shape(registry, shape);
        shape = abandoned;
    }
    for (uint32_t i = 0; i < blocks_max(registry); i++) {
        struct q_registry_slot *block = atomic_load_explicit(&registry->blocks[i], memory_order_relaxed);
        q_alloc_free(alloc_of(registry), block, Q_REGISTRY_BLOCK_SLOTS * sizeof *block);
    }
    memset(registry, 0, sizeof *registry);
}

struct interning {
    const uint8_t *digest;
    void *content;
    void (*release)(void *content);
    struct q_handle handle;
};

// False: there is no free slot.
static bool make_entry(struct q_registry *registry, struct q_registry_shape *shape, struct interning *in) {
    uint32_t index;
    struct q_registry_slot *slot = take_free(registry, shape, &index);
    if (slot == NULL) {
        return false;
    }
    // Nobody changes the word of a free slot, and no upgrade succeeds before it is published.
    uint32_t generation = generation_of(atomic_load_explicit(&slot->word, memory_order_relaxed));
    slot->content = in->content;
    slot->release = in->release;
    slot->mapped = generation;
    memcpy(slot->digest, in->digest, Q_REGISTRY_DIGEST_LEN);
    add_entry(shape, slot, index);
    atomic_store_explicit(&slot->word, word_of(generation, 1), memory_order_release);
    in->handle = (struct q_handle){.index = index, .generation = generation};
    return true;
}

// An entry whose content has ended is replaced here, before its last dropper comes for the lock: or equal contents
// would have to wait for that thread.
static enum q_intern_result find_or_make(struct q_registry *registry, struct q_registry_shape *shape,
                                         struct interning *in, bool *out_needs_slots) {
    uint32_t *link = find(registry, shape, in->digest);
    if (*link != 0) {
        struct q_registry_slot *slot = slot_at(registry, *link - 1);
        Q_HOOK("registry.intern.found");
        if (try_upgrade(slot, slot->mapped)) {
            in->handle = (struct q_handle){.index = *link - 1, .generation = slot->mapped};
            in->content = slot->content;
            return Q_INTERN_FOUND;
        }
        remove_entry(shape, slot, link);
    }
    *out_needs_slots = !make_entry(registry, shape, in);
    return *out_needs_slots && shape->num_blocks == blocks_max(registry) ? Q_INTERN_FULL : Q_INTERN_MADE;
}

enum q_intern_result q_registry_intern(struct q_registry *registry, const uint8_t digest[Q_REGISTRY_DIGEST_LEN],
                                       void *content, void (*release)(void *content), struct q_handle *out_handle,
                                       void **out_content) {
    Q_CHECK(content != NULL && release != NULL);
    struct interning in = {.digest = digest, .content = content, .release = release};
    enum q_intern_result result;
    bool needs_slots;
    uint32_t crowded = 0; // so many buckets are too few
    do {
        struct q_registry_shape *shape = lock_shape(registry);
        if (shape == NULL) {
            return Q_INTERN_NO_MEMORY;
        }
        needs_slots = false;
        result = find_or_make(registry, shape, &in, &needs_slots);
        crowded = shape->stats.entries > shape->num_buckets ? shape->num_buckets : 0;
        unlock_shape(shape);
        if (needs_slots && result == Q_INTERN_MADE) {
            result = add_slots(registry);
        }
        // Again, until this thread has got one of the new slots before others took all of them.
    } while (needs_slots && result == Q_INTERN_MADE);
    if (crowded != 0) {
        add_buckets(registry, crowded);
    }
    if (result == Q_INTERN_MADE || result == Q_INTERN_FOUND) {
        *out_handle = in.handle;
        *out_content = in.content;
    }
    return result;
}

void *q_registry_upgrade(struct q_registry *registry, struct q_handle handle) {
    struct q_registry_slot *slot = slot_at(registry, handle.index);
    return slot != NULL && try_upgrade(slot, handle.generation) ? slot->content : NULL;
}

void q_registry_acquire(struct q_registry *registry, struct q_handle handle) {
    struct q_registry_slot *slot = slot_at(registry, handle.index);
    bool is_held = slot != NULL && try_upgrade(slot, handle.generation);
    Q_CHECK(is_held);
}

void *q_registry_content(struct q_registry *registry, struct q_handle handle) {
    struct q_registry_slot *slot = slot_at(registry, handle.index);
    Q_CHECK(slot != NULL);
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    Q_CHECK(generation_of(word) == handle.generation && strong_of(word) > 0);
    return slot->content;
}

// Takes the entry out, if there is one that still names this slot and generation, and gives the slot back. In a fresh
// child another thread may have built the map since the last drop and found this slot free: then it is that list's, or
// even somebody's, and no business of ours. Without memory for a child's map the slot is found when it is built.
static void bury(struct q_registry *registry, struct q_registry_slot *slot, struct q_handle handle) {
    Q_HOOK("registry.drop.before_lock");
    struct q_registry_shape *shape = lock_shape(registry);
    if (shape == NULL) {
        return;
    }
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    if (word == word_of(handle.generation + 1, 0) && !slot->is_back) {
        uint32_t *link = find(registry, shape, slot->digest);
        if (*link == handle.index + 1 && slot->mapped == handle.generation) {
            remove_entry(shape, slot, link);
        }
        take_back(shape, slot, handle.index, generation_of(word));
    }
    unlock_shape(shape);
}

bool q_registry_drop_to(struct q_registry *registry, struct q_handle handle, struct q_registry_last *out) {
    struct q_registry_slot *slot = slot_at(registry, handle.index);
    Q_CHECK(slot != NULL);
    // Read while the caller's own reference still keeps it: behind the drop the slot may be somebody else's.
    struct q_registry_last last = {.content = slot->content, .release = slot->release};
    if (!drop_one(slot, handle.generation)) {
        return false;
    }
    bury(registry, slot, handle);
    Q_HOOK("registry.drop.after_bury");
    *out = last;
    return true;
}

void q_registry_drop(struct q_registry *registry, struct q_handle handle) {
    struct q_registry_last last;
    if (q_registry_drop_to(registry, handle, &last)) {
        last.release(last.content);
    }
}

struct q_registry_stats q_registry_get_stats(struct q_registry *registry) {
    struct q_registry_shape *shape = lock_shape(registry);
    if (shape == NULL) {
        return (struct q_registry_stats){0};
    }
    struct q_registry_stats stats = shape->stats;
    unlock_shape(shape);
    return stats;
}

static uint32_t validate_buckets(const struct q_registry *registry, const struct q_registry_shape *shape) {
    uint32_t entries = 0;
    for (uint32_t i = 0; i < shape->num_buckets; i++) {
        for (uint32_t link = shape->buckets[i]; link != 0; entries++) {
            struct q_registry_slot *slot = slot_at(registry, link - 1);
            uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
            Q_CHECK(entries < shape->stats.entries); // a circle would not end
            Q_CHECK(!slot->is_back && slot->mapped == generation_of(word) && strong_of(word) > 0);
            Q_CHECK(bucket_of(shape, slot->digest) == &shape->buckets[i]);
            link = slot->next;
        }
    }
    return entries;
}

void q_registry_validate(struct q_registry *registry) {
    struct q_registry_shape *shape = lock_shape(registry);
    Q_CHECK(shape != NULL);
    Q_CHECK(validate_buckets(registry, shape) == shape->stats.entries);
    uint32_t num_free = 0;
    for (uint32_t link = shape->first_free; link != 0; num_free++) {
        struct q_registry_slot *slot = slot_at(registry, link - 1);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
        Q_CHECK(num_free < shape->stats.free);
        Q_CHECK(slot->is_back && slot->mapped == 0 && strong_of(word) == 0 && generation_of(word) != 0);
        link = slot->next;
    }
    Q_CHECK(num_free == shape->stats.free);
    unlock_shape(shape);
}

#include "engine/net/name_cache.h"

#include "engine/base/clock.h"

#include <string.h>

struct entry {
    struct q_list_node bucket_link;
    struct q_list_node lru_link;
    size_t size;
    uint64_t fresh_until_ns;
    uint64_t kept_until_ns;
    int32_t code;
    uint16_t name_len;
    uint8_t family;
    uint8_t count;
    bool is_held; // it is stale, and passes for fresh
    uint8_t addresses[][16]; // and the name behind them
};

_Static_assert(Q_RESOLVE_ADDRESSES_MAX <= UINT8_MAX, "a count has 8 bits");

static struct q_slice name_of(const struct entry *entry) {
    return q_slice_make(entry->addresses[entry->count], entry->name_len);
}

void q_name_cache_init(struct q_name_cache *cache, const struct q_alloc *alloc,
                       const struct q_name_cache_options *options, const uint64_t hash_key[2]) {
    *cache = (struct q_name_cache){.alloc = alloc, .options = *options, .hash_key = {hash_key[0], hash_key[1]}};
    for (size_t i = 0; i < Q_NAME_CACHE_BUCKETS; i++) {
        q_list_init(&cache->buckets[i]);
    }
    q_list_init(&cache->lru);
}

static void drop(struct q_name_cache *cache, struct entry *entry) {
    q_list_remove(&entry->bucket_link);
    q_list_remove(&entry->lru_link);
    cache->num_entries--;
    cache->num_bytes -= entry->size;
    q_alloc_free(cache->alloc, entry, entry->size);
}

static struct entry *oldest(const struct q_name_cache *cache) {
    struct q_list_node *node = q_list_first(&cache->lru);
    return node == NULL ? NULL : q_container_of(node, struct entry, lru_link);
}

void q_name_cache_clear(struct q_name_cache *cache) {
    while (cache->num_entries > 0) {
        drop(cache, oldest(cache));
    }
}

static struct q_list *bucket_of(struct q_name_cache *cache, struct q_slice name) {
    return &cache->buckets[q_hash_keyed(cache->hash_key, name.ptr, name.len) % Q_NAME_CACHE_BUCKETS];
}

static struct entry *find(struct q_list *bucket, struct q_slice name, unsigned family) {
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct entry *entry = q_container_of(node, struct entry, bucket_link);
        if (entry->family == family && q_slice_equal(name_of(entry), name)) {
            return entry;
        }
    }
    return NULL;
}

bool q_name_cache_find(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, bool takes_stale,
                       struct q_cached *out) {
    struct entry *entry = find(bucket_of(cache, name), name, family);
    if (entry == NULL) {
        return false;
    }
    if (now_ns >= entry->kept_until_ns) {
        drop(cache, entry);
        return false;
    }
    bool is_stale = now_ns >= entry->fresh_until_ns;
    if (is_stale && !takes_stale) {
        return false;
    }
    q_list_remove(&entry->lru_link);
    q_list_push_back(&cache->lru, &entry->lru_link);
    *out = (struct q_cached){
        .addresses = (const uint8_t(*)[16])entry->addresses,
        .count = entry->count,
        .code = entry->code,
        .ttl_s = is_stale ? 0 : (uint32_t)((entry->fresh_until_ns - now_ns) / Q_NS_PER_S),
        .is_stale = is_stale || entry->is_held,
    };
    return true;
}

void q_name_cache_hold(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, uint32_t for_s) {
    struct entry *entry = find(bucket_of(cache, name), name, family);
    if (entry != NULL && now_ns >= entry->fresh_until_ns) {
        uint64_t until_ns = now_ns + for_s * Q_NS_PER_S;
        entry->fresh_until_ns = until_ns < entry->kept_until_ns ? until_ns : entry->kept_until_ns;
        entry->is_held = true;
    }
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most) {
    return value < least ? least : value > most ? most : value;
}

static void make_room(struct q_name_cache *cache, size_t size) {
    while (cache->num_entries > 0 &&
           (cache->num_entries >= cache->options.entries_max || cache->num_bytes + size > cache->options.bytes_max)) {
        drop(cache, oldest(cache));
        cache->num_evicted++;
    }
}

void q_name_cache_put(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, uint32_t ttl_s,
                      int32_t code, const uint8_t (*addresses)[16], uint32_t count) {
    const struct q_name_cache_options *options = &cache->options;
    Q_CHECK(name.len <= Q_RESOLVE_NAME_MAX && count <= Q_RESOLVE_ADDRESSES_MAX);
    struct q_list *bucket = bucket_of(cache, name);
    struct entry *old = find(bucket, name, family);
    if (old != NULL) {
        drop(cache, old);
    }
    size_t size = sizeof(struct entry) + count * sizeof addresses[0] + name.len;
    if (options->entries_max == 0 || size > options->bytes_max) {
        return;
    }
    make_room(cache, size);
    struct entry *entry = q_alloc_new(cache->alloc, size);
    if (entry == NULL) {
        return;
    }
    uint64_t ttl = clamp(ttl_s, options->ttl_min_s, count > 0 ? options->ttl_max_s : options->negative_ttl_max_s);
    entry->size = size;
    entry->code = code;
    entry->family = (uint8_t)family;
    entry->count = (uint8_t)count;
    entry->name_len = (uint16_t)name.len;
    entry->fresh_until_ns = now_ns + ttl * Q_NS_PER_S;
    entry->kept_until_ns = entry->fresh_until_ns + (count > 0 ? options->stale_s * Q_NS_PER_S : 0);
    if (count > 0) {
        memcpy(entry->addresses, addresses, count * sizeof addresses[0]);
    }
    memcpy(entry->addresses[count], name.ptr, name.len);
    q_list_push_back(bucket, &entry->bucket_link);
    q_list_push_back(&cache->lru, &entry->lru_link);
    cache->num_entries++;
    cache->num_bytes += size;
}

void q_name_cache_validate(const struct q_name_cache *cache) {
    uint32_t num_entries = 0;
    uint64_t num_bytes = 0;
    for (struct q_list_node *node = cache->lru.head.next; node != &cache->lru.head; node = node->next) {
        struct entry *entry = q_container_of(node, struct entry, lru_link);
        num_entries++;
        num_bytes += entry->size;
        Q_CHECK(entry->fresh_until_ns <= entry->kept_until_ns);
    }
    uint32_t num_found = 0;
    for (size_t i = 0; i < Q_NAME_CACHE_BUCKETS; i++) {
        for (struct q_list_node *node = cache->buckets[i].head.next; node != &cache->buckets[i].head; node = node->next) {
            num_found++;
        }
    }
    Q_CHECK(num_entries == cache->num_entries && num_found == num_entries && num_bytes == cache->num_bytes);
    Q_CHECK(num_entries <= cache->options.entries_max && num_bytes <= cache->options.bytes_max);
}

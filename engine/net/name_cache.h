// Name cache: what name servers have said, for as long as it holds. Pure: every call takes `now`. One entry for each name
// and family, found by a keyed hash, so that nobody who chooses names chooses collisions.
//
// An entry is fresh until its TTL is over, clamped at both ends. Where stale answers are wanted (RFC 8767) one with
// addresses stays for a while behind that, for when no server answers. Bounded by entries and bytes; the one that was
// used longest ago makes room.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_NAME_CACHE_H
#define QUOIT_ENGINE_NET_NAME_CACHE_H

#include "engine/base/alloc.h"
#include "engine/base/list.h"
#include "engine/base/random.h"
#include "engine/net/resolve.h"

#define Q_NAME_CACHE_BUCKETS 512

struct q_name_cache_options {
    uint32_t entries_max; // 0: nothing is kept
    uint64_t bytes_max;
    uint32_t ttl_min_s;
    uint32_t ttl_max_s;
    uint32_t negative_ttl_max_s; // of what is not there
    uint32_t stale_s;            // 0: nothing is used behind its time
};

struct q_name_cache {
    const struct q_alloc *alloc;
    struct q_name_cache_options options;
    uint64_t hash_key[2];
    struct q_list buckets[Q_NAME_CACHE_BUCKETS];
    struct q_list lru; // used longest ago first
    uint32_t num_entries;
    uint64_t num_bytes;
    uint64_t num_evicted;
};

// What is kept of one family. Valid until the cache changes.
struct q_cached {
    const uint8_t (*addresses)[16];
    uint32_t count;  // 0: there is none, and `code` says why
    int32_t code;    // enum q_error_code
    uint32_t ttl_s;  // what is left of it
    bool is_stale;
};

// q_name_cache_init prepares an empty cache. `hash_key` is drawn at random.
void q_name_cache_init(struct q_name_cache *cache, const struct q_alloc *alloc,
                       const struct q_name_cache_options *options, const uint64_t hash_key[2]);

// q_name_cache_clear drops all entries: to deinit, or since another network's servers may say otherwise.
void q_name_cache_clear(struct q_name_cache *cache);

// q_name_cache_find looks for `family` (Q_RESOLVE_V4 or Q_RESOLVE_V6) of `name`. What is not fresh is given only with
// `takes_stale`.
bool q_name_cache_find(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, bool takes_stale,
                       struct q_cached *out);

// q_name_cache_put keeps what a server has said, in place of what was known: addresses, or with `count` 0 that there are
// none, by `code`. Without memory it is not kept.
void q_name_cache_put(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, uint32_t ttl_s,
                      int32_t code, const uint8_t (*addresses)[16], uint32_t count);

// q_name_cache_hold lets a stale entry pass for fresh for `for_s`, within the time for which it is kept: who could not be
// reached a moment ago is not asked again at once (RFC 8767 section 5). It is still told that it is stale.
void q_name_cache_hold(struct q_name_cache *cache, struct q_slice name, unsigned family, uint64_t now_ns, uint32_t for_s);

// q_name_cache_validate checks the counts and lists. For tests.
void q_name_cache_validate(const struct q_name_cache *cache);

#endif

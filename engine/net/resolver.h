// Resolver: names to addresses, for all who dial. In this order: `localhost` and `invalid`, which never leave the machine
// (RFC 6761); the host's own static addresses; the hosts file; the cache; name servers, along the search list.
//
// Vocabulary. A *lookup* is one name that is being looked up, for one set of families. *Waiters* are the requests
// (resolve.h) that wait for it: identical ones share it, each may be cancelled alone, and the last one takes the lookup
// along. A lookup *asks* while queries of it may be in flight; only so many do at a time, the others stand in line.
// A *candidate* is the name with one domain of the search list behind it, or as it is.
//
// Everything happens in a lookup's own task: answers of servers, changes of files and new waiters only post it. So nobody
// is called back from inside a call, and a lookup's memory goes at the end of its own task, or when it is cancelled and
// nothing of it is in flight.
//
// Both families are asked for at the same time, and the first that is found is told at once. Where no server answers, what
// was known before may be used behind its time, if the engine's options say so (RFC 8767): at once when the servers have
// failed, or after 1.8 s of waiting, while the lookup goes on by itself.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_RESOLVER_H
#define QUOIT_ENGINE_NET_RESOLVER_H

#include "engine/net/dns_exchange.h"
#include "engine/net/name_cache.h"
#include "engine/net/name_files.h"
#include "engine/net/resolve.h"

#define Q_RESOLVER_BUCKETS 256
#define Q_RESOLVER_ASKING_MAX 64       // lookups that ask at a time: two sockets each
#define Q_RESOLVER_LOOKUPS_MAX 16384   // names at a time; each has memory of its own
#define Q_RESOLVER_STALE_NS (1800 * Q_NS_PER_MS) // RFC 8767 section 5: how long a waiter is kept from a stale answer
#define Q_RESOLVER_STALE_HOLD_S 30               // section 5: servers that failed are left alone for this long

// An address that the host gives a name.
struct q_static_name {
    struct q_slice name; // lower case, no final dot
    uint16_t port;       // 0: any
    bool is_v6;
    uint8_t address[16];
};

struct q_resolver_options {
    struct q_name_cache_options cache;
    const struct q_static_name *statics; // outlive the resolver
    uint32_t num_statics;
};

struct q_resolver_stats {
    uint64_t lookups; // requests that were asked
    uint64_t merged;  // of them those that joined a lookup
    uint64_t hits;    // families of candidates that the cache knew
    uint64_t stale;   // families that were told from behind their time
    uint64_t asked;   // families of candidates that servers were asked for
    uint64_t refused; // for want of room or memory
};

struct q_resolver {
    struct q_names names; // first: what q_resolve_ask takes
    const struct q_alloc *alloc;
    struct q_loop *loop;
    struct q_name_files *files;
    struct q_resolver_options options;
    struct q_resolver_stats stats;
    struct q_dns_env env;
    struct q_name_cache cache;
    uint64_t hash_key[2];
    struct q_list buckets[Q_RESOLVER_BUCKETS]; // lookups that can be joined
    struct q_list live;    // all lookups
    struct q_list unread;  // that wait for files
    struct q_list line;    // that wait for room to ask
    struct q_list refused; // requests that there is no room for, until they are told
    struct q_task task;    // tells them
    uint32_t num_lookups;
    uint32_t num_asking;
    uint32_t rotation;
    bool is_closing;
};

// q_resolver_init prepares a resolver on `files`, which it starts. All outlive it. Nothing can fail.
void q_resolver_init(struct q_resolver *resolver, const struct q_alloc *alloc, struct q_loop *loop,
                     struct q_name_files *files, const struct q_resolver_options *options);

// q_resolver_close ends everything; requests that are left hear nothing more. It is over when q_resolver_is_quiet.
void q_resolver_close(struct q_resolver *resolver);

// q_resolver_is_quiet tells whether nothing of the resolver is in flight.
bool q_resolver_is_quiet(const struct q_resolver *resolver);

// q_resolver_deinit gives the memory back; quiet (checked). Legal on a zeroed resolver.
void q_resolver_deinit(struct q_resolver *resolver);

#endif

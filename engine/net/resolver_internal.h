// Lookups, as the resolver and what goes along the candidates of one (resolver_lookup.c) share them. Nobody else includes
// this. Loop thread only.
#ifndef QUOIT_ENGINE_NET_RESOLVER_INTERNAL_H
#define QUOIT_ENGINE_NET_RESOLVER_INTERNAL_H

#include "engine/net/resolver.h"

enum lookup_state {
    NEW,    // its task will look where the name may be known
    UNREAD, // files are being read
    INLINE, // there is no room to ask
    ASKING,
    DONE, // everything is known, or nobody wants it
};

// What the candidate has come to, for one family.
enum outcome { UNKNOWN, PENDING, FOUND, NO_NAME, NO_DATA, FAILED };

enum { NUM_FAMILIES = 2 };
static const uint8_t k_families[NUM_FAMILIES] = {Q_RESOLVE_V6, Q_RESOLVE_V4}; // asked, and told, in this order

struct q_lookup_family {
    struct q_error error; // FAILED; once known: why there is no address
    uint32_t ttl_s;
    uint32_t count;
    uint8_t outcome; // enum outcome, of the candidate
    bool is_known;   // and will not change: waiters are told
    bool is_stale;
    uint8_t addresses[Q_RESOLVE_ADDRESSES_MAX][16];
};

// What a lookup needs besides while it asks.
struct q_lookup_asks {
    struct q_lookup_half {
        struct q_dns_exchange exchange;
        struct q_lookup *lookup;
        struct q_error error;
        bool has_come; // the exchange has told, and nobody has looked at it yet
    } halves[NUM_FAMILIES];
};

struct q_lookup {
    struct q_list_node bucket_link;
    struct q_list_node live_link;
    struct q_list_node line_link; // unread, or line
    struct q_resolver *resolver;
    struct q_task task;
    struct q_timer timer;  // until stale answers are told
    struct q_list untold;  // waiters who have not heard all that is known
    struct q_list told;    // the others
    struct q_name_servers *servers;
    struct q_lookup_asks *asks;
    struct q_error failure; // of a candidate, that is told if no other is found
    struct q_lookup_family families[NUM_FAMILIES];
    uint32_t candidate;    // index of
    uint16_t candidate_len;
    uint16_t name_len;
    uint16_t port;
    uint8_t wanted; // enum q_resolve_families
    uint8_t state;  // enum lookup_state
    bool has_no_data; // a candidate exists, without an address
    bool is_running;
    bool is_rooted;      // the name ends with the root's dot, and is tried as it is alone
    bool goes_on_alone;  // for the cache
    char name[Q_RESOLVE_NAME_MAX];
    char candidate_name[Q_RESOLVE_NAME_MAX];
};

static inline struct q_slice q_lookup_name(const struct q_lookup *lookup) {
    return q_slice_make(lookup->name, lookup->name_len);
}

static inline struct q_error q_lookup_error(enum q_error_code code) {
    struct q_error error = q_error_make(code, Q_PHASE_RESOLVE);
    error.retry_safe = 1;
    return error;
}

static inline bool q_lookup_wants(const struct q_lookup *lookup, unsigned i) {
    return (lookup->wanted & k_families[i]) != 0;
}

// q_lookup_post has the lookup's task run.
static inline void q_lookup_post(struct q_lookup *lookup) { q_loop_post(lookup->resolver->loop, &lookup->task); }

// --- resolver.c ---

// q_lookup_know says that a family will not change any more: waiters are told.
void q_lookup_know(struct q_lookup *lookup, unsigned i);

// q_lookup_fail ends it: no address will be found, of none of the families that are not known.
void q_lookup_fail(struct q_lookup *lookup, struct q_error error);

// --- resolver_lookup.c ---

// q_lookup_begin begins with the first candidate; q_lookup_go_on goes along the candidates as far as it gets without
// waiting, and takes what has come. Of the lookup's task.
void q_lookup_begin(struct q_lookup *lookup);
void q_lookup_go_on(struct q_lookup *lookup);

// q_lookup_waited is the lookup's timer: waiters have waited long enough for what was known before.
void q_lookup_waited(struct q_timer *timer);

#endif

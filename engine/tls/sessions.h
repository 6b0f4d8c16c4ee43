// Sessions: what servers have given so that a later connection need not begin anew (RFC 5077, RFC 8446 section 2.2), kept
// for as long as they are good, up to a bound.
//
// Vocabulary. A *session* is the library's object: a secret, the ticket that names it to the server, and the certificates
// that were found good when it was made. An *audience* is the bytes that say whom one talks to (origin.h). A *peer* is
// the identity of a config (config.h) and an audience: sessions are kept by peer, and a session made under one config, or with
// one audience, never serves another.
//
// Single use. A session of TLS 1.3 is removed when it is taken: a ticket that is shown twice lets who watches tell that two
// connections are one client's (RFC 8446, C.4). One of TLS 1.2 stays, is shared by connections, and is dropped when it was of
// no use; of those a peer has one, the latest.
//
// Bounds. Sessions and bytes, per peer and in all: a server may give as many and as large ones as it likes, and hosts talk to
// any number of servers. Within a peer the oldest goes first; beyond that, the oldest of the peer that has been asked for
// longest ago. What a session is worth in bytes is estimated upwards: certificates that several share are counted for each.
//
// Time is the loop's, never the wall's. The library sees none at all: its clock stands still (q_tls_stream_prepare), and what
// is taken is told its age. Sessions end with the lifetime that the server gave them, at most Q_SESSIONS_LIFE_S; ended ones
// are swept out now and then, and never given.
//
// Life: q_sessions_init -> q_sessions_deinit, which frees all. References on sessions pass as each function says. Loop
// thread only.
#ifndef QUOIT_ENGINE_TLS_SESSIONS_H
#define QUOIT_ENGINE_TLS_SESSIONS_H

#include "engine/base/slice.h"
#include "engine/loop/loop.h"

#define Q_SESSIONS_BUCKETS 64
#define Q_SESSIONS_LIFE_S (7 * 24 * 3600) // RFC 8446 section 4.6.1; shorter in TLS 1.2, as the library has it
#define Q_SESSIONS_CLOCK_S (INT64_C(1) << 31) // where the library's clock stands: ages lie before it
#define Q_SESSIONS_SWEEP_NS (600 * Q_NS_PER_S) // between two sweeps
#define Q_SESSIONS_AUDIENCE_MAX 1024 // bytes; two names of hosts and what belongs to them are half of it

struct ssl_session_st;

struct q_sessions_options {
    uint32_t max;          // sessions in all; at least 1
    uint32_t peer_max;     // of one peer; at least 1
    size_t bytes_max;      // in all
    size_t peer_bytes_max; // of one peer; no session is larger
};

struct q_sessions_stats {
    uint64_t kept;
    uint64_t taken;
    uint64_t missed;  // asked for, and there was none
    uint64_t refused; // too large, over already, or no memory for them
    uint64_t evicted; // to make room
    uint64_t expired;
    uint64_t dropped; // of no use, or by digest or peer
    uint32_t sessions; // now
    uint32_t peers;
    size_t bytes;
};

struct q_sessions {
    struct q_loop *loop;
    const struct q_alloc *alloc;
    struct q_sessions_options options;
    struct q_sessions_stats stats;
    struct q_list buckets[Q_SESSIONS_BUCKETS];
    struct q_list peers; // asked for longest ago first
    struct q_timer timer;
    uint64_t hash_key[2];
};

// Whom a session is for. Borrowed for the call.
struct q_sessions_peer {
    const uint8_t *digest; // Q_CRYPTO_DIGEST_LEN bytes, of the config: its identity (config.h)
    struct q_slice audience;
    bool is_local; // the identity means nothing in another process
};

// A session and its peer, as told to who walks over all of them; borrowed for the call.
struct q_sessions_view {
    struct q_sessions_peer peer;
    struct ssl_session_st *session;
    uint64_t age_s;
    uint64_t left_s; // of its life
};

// q_sessions_init prepares an empty store. `loop` and `alloc` outlive it. The library's own objects lie in libc's memory.
void q_sessions_init(struct q_sessions *sessions, const struct q_alloc *alloc, struct q_loop *loop,
                     const struct q_sessions_options *options);

// q_sessions_deinit frees all. On the loop's thread, or when the loop is over. Legal on a zeroed store.
void q_sessions_deinit(struct q_sessions *sessions);

// q_sessions_keep takes over one reference on `session`, which is `age_s` old. It may be freed in the call: there is no room,
// no memory, or its life is over.
void q_sessions_keep(struct q_sessions *sessions, const struct q_sessions_peer *peer, struct ssl_session_st *session,
                     uint64_t age_s);

// q_sessions_take gives the latest session for `peer`, with one reference for the caller, its age set; NULL: there is none.
struct ssl_session_st *q_sessions_take(struct q_sessions *sessions, const struct q_sessions_peer *peer);

// q_sessions_drop forgets `session` of `peer`, which was of no use, if it is there still.
void q_sessions_drop(struct q_sessions *sessions, const struct q_sessions_peer *peer,
                     const struct ssl_session_st *session);

// q_sessions_drop_peer forgets all of a peer's; q_sessions_drop_digest all of a config's, q_sessions_drop_all all there are.
void q_sessions_drop_peer(struct q_sessions *sessions, const struct q_sessions_peer *peer);
void q_sessions_drop_digest(struct q_sessions *sessions, const uint8_t *digest);
void q_sessions_drop_all(struct q_sessions *sessions);

// q_sessions_drop_exported forgets those of single use that q_sessions_walk would tell of, but for the first `but`, and those
// that are local.
void q_sessions_drop_exported(struct q_sessions *sessions, uint32_t but);

// q_sessions_walk calls `tell` with each session that is good, in an order in which they can be kept again so that what would
// go first goes first. It stops when `tell` gives false, and then gives false. `tell` must not change the store.
bool q_sessions_walk(const struct q_sessions *sessions, bool (*tell)(void *context, const struct q_sessions_view *view),
                     void *context);

// q_sessions_early_max gives how many bytes may be sent early with a session, 0 when none.
uint64_t q_sessions_early_max(const struct ssl_session_st *session);

// q_sessions_weigh estimates what a session takes up, in bytes.
size_t q_sessions_weigh(const struct ssl_session_st *session);

// q_sessions_validate checks every invariant and stops the program when one is broken. For tests.
void q_sessions_validate(const struct q_sessions *sessions);

#endif

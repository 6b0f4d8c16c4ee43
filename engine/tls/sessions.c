#include "engine/tls/sessions.h"

#include "engine/tls/crypto.h"

#include <openssl/bytestring.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#define OBJECT_SIZE 1024 // of the library's object, and ours, with what the allocators take
#define BUFFER_SIZE 64   // of a certificate's, besides its bytes

// All sessions of one peer. It is there as long as it has any.
struct peer {
    struct q_list_node in_bucket;
    struct q_list_node link; // by when it was last asked for
    struct q_list sessions;  // the latest first
    uint32_t num_sessions;
    size_t bytes;
    uint8_t digest[Q_CRYPTO_DIGEST_LEN];
    size_t audience_len;
    bool is_local;
    char audience[];
};

struct kept {
    struct q_list_node link;
    SSL_SESSION *session; // one reference
    size_t bytes;
    uint64_t kept_ns;
    uint64_t age_s; // when it was kept
    uint64_t life_s;
};

static struct kept *kept_of(struct q_list_node *node) { return q_container_of(node, struct kept, link); }

static struct peer *peer_of(struct q_list_node *node) { return q_container_of(node, struct peer, link); }

// --- time ------------------------------------------------------------------------------------------------------------

static uint64_t age_of(const struct q_sessions *sessions, const struct kept *kept) {
    return kept->age_s + (sessions->loop->now_ns - kept->kept_ns) / Q_NS_PER_S;
}

static bool is_over(const struct q_sessions *sessions, const struct kept *kept) {
    return age_of(sessions, kept) >= kept->life_s;
}

static uint64_t life_of(const SSL_SESSION *session) {
    uint64_t life_s = SSL_SESSION_get_timeout(session);
    uint64_t hint_s = SSL_SESSION_get_ticket_lifetime_hint(session); // of TLS 1.2; of 1.3 the timeout knows
    life_s = hint_s > 0 && hint_s < life_s ? hint_s : life_s;
    return life_s < Q_SESSIONS_LIFE_S ? life_s : Q_SESSIONS_LIFE_S;
}

// --- the map ---------------------------------------------------------------------------------------------------------

static struct q_list *bucket_of(struct q_sessions *sessions, const struct q_sessions_peer *peer) {
    uint64_t hash = q_hash_keyed(sessions->hash_key, peer->audience.ptr, peer->audience.len);
    return &sessions->buckets[(hash ^ peer->digest[0]) % Q_SESSIONS_BUCKETS];
}

static bool is_peer(const struct peer *peer, const struct q_sessions_peer *wanted) {
    return q_crypto_equal(peer->digest, wanted->digest, sizeof peer->digest) &&
           q_slice_equal(q_slice_make(peer->audience, peer->audience_len), wanted->audience);
}

static struct peer *find(struct q_sessions *sessions, const struct q_sessions_peer *wanted) {
    struct q_list *bucket = bucket_of(sessions, wanted);
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct peer *peer = q_container_of(node, struct peer, in_bucket);
        if (is_peer(peer, wanted)) {
            return peer;
        }
    }
    return NULL;
}

static void touch(struct q_sessions *sessions, struct peer *peer) {
    q_list_remove(&peer->link);
    q_list_push_back(&sessions->peers, &peer->link);
}

static struct peer *new_peer(struct q_sessions *sessions, const struct q_sessions_peer *wanted) {
    struct peer *peer = q_alloc_new(sessions->alloc, sizeof *peer + wanted->audience.len);
    if (peer == NULL) {
        return NULL;
    }
    q_list_init(&peer->sessions);
    memcpy(peer->digest, wanted->digest, sizeof peer->digest);
    peer->is_local = wanted->is_local;
    peer->audience_len = wanted->audience.len;
    if (wanted->audience.len > 0) {
        memcpy(peer->audience, wanted->audience.ptr, wanted->audience.len);
    }
    q_list_push_back(bucket_of(sessions, wanted), &peer->in_bucket);
    q_list_push_back(&sessions->peers, &peer->link);
    sessions->stats.peers++;
    return peer;
}

static void free_peer_if_empty(struct q_sessions *sessions, struct peer *peer) {
    if (peer->num_sessions == 0) {
        q_list_remove(&peer->in_bucket);
        q_list_remove(&peer->link);
        q_alloc_free(sessions->alloc, peer, sizeof *peer + peer->audience_len);
        sessions->stats.peers--;
    }
}

// Takes a session out of the books; its reference is the caller's. The peer may be empty behind it.
static SSL_SESSION *take_out(struct q_sessions *sessions, struct peer *peer, struct kept *kept) {
    SSL_SESSION *session = kept->session;
    q_list_remove(&kept->link);
    peer->num_sessions--;
    peer->bytes -= kept->bytes;
    sessions->stats.sessions--;
    sessions->stats.bytes -= kept->bytes;
    q_alloc_free(sessions->alloc, kept, sizeof *kept);
    return session;
}

static void forget(struct q_sessions *sessions, struct peer *peer, struct kept *kept) {
    SSL_SESSION_free(take_out(sessions, peer, kept));
}

static void forget_all_of(struct q_sessions *sessions, struct peer *peer) {
    struct q_list_node *node;
    while ((node = q_list_first(&peer->sessions)) != NULL) {
        forget(sessions, peer, kept_of(node));
        sessions->stats.dropped++;
    }
    free_peer_if_empty(sessions, peer);
}

static void sweep_peer(struct q_sessions *sessions, struct peer *peer) {
    struct q_list_node *next;
    for (struct q_list_node *node = peer->sessions.head.next; node != &peer->sessions.head; node = next) {
        next = node->next;
        if (is_over(sessions, kept_of(node))) {
            forget(sessions, peer, kept_of(node));
            sessions->stats.expired++;
        }
    }
}

// All are looked at: they are as few as `max` says, and this is seldom.
static void sweep(struct q_timer *timer) {
    struct q_sessions *sessions = q_container_of(timer, struct q_sessions, timer);
    struct q_list_node *next;
    for (struct q_list_node *node = sessions->peers.head.next; node != &sessions->peers.head; node = next) {
        next = node->next;
        sweep_peer(sessions, peer_of(node));
        free_peer_if_empty(sessions, peer_of(node));
    }
    if (sessions->stats.sessions > 0) {
        q_loop_arm(sessions->loop, timer, sessions->loop->now_ns + Q_SESSIONS_SWEEP_NS);
    }
}

// --- room ------------------------------------------------------------------------------------------------------------

static void evict_oldest(struct q_sessions *sessions, struct peer *peer) {
    forget(sessions, peer, kept_of(q_list_last(&peer->sessions)));
    sessions->stats.evicted++;
}

static bool fits(const struct q_sessions *sessions, size_t bytes) {
    return sessions->stats.sessions < sessions->options.max &&
           sessions->stats.bytes + bytes <= sessions->options.bytes_max;
}

// Makes room for one more session of `bytes` bytes of `peer`, which stays even when it has none left: it has just been asked
// for, so all others go before it.
static void make_room(struct q_sessions *sessions, struct peer *peer, size_t bytes) {
    const struct q_sessions_options *options = &sessions->options;
    while (peer->num_sessions > 0 &&
           (peer->num_sessions >= options->peer_max || peer->bytes + bytes > options->peer_bytes_max)) {
        evict_oldest(sessions, peer);
    }
    while (!fits(sessions, bytes)) {
        struct peer *victim = peer_of(q_list_first(&sessions->peers));
        if (victim == peer && victim->num_sessions == 0) {
            return; // nothing is left
        }
        evict_oldest(sessions, victim);
        if (victim != peer) {
            free_peer_if_empty(sessions, victim);
        }
    }
}

size_t q_sessions_weigh(const struct ssl_session_st *session) {
    const uint8_t *bytes;
    size_t len = 0;
    size_t weight = OBJECT_SIZE;
    SSL_SESSION_get0_ticket(session, &bytes, &len);
    weight += len;
    SSL_SESSION_get0_ocsp_response(session, &bytes, &len);
    weight += len;
    SSL_SESSION_get0_signed_cert_timestamp_list(session, &bytes, &len);
    weight += len;
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_SESSION_get0_peer_certificates(session);
    for (size_t i = 0; chain != NULL && i < sk_CRYPTO_BUFFER_num(chain); i++) {
        weight += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i)) + BUFFER_SIZE;
    }
    return weight;
}

// The library tells the limit to nobody, but writes it down: [24] INTEGER, in the sequence that a session is.
static uint64_t find_early_max(const uint8_t *der, size_t len) {
    static const unsigned k_tag = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 24;
    CBS all;
    CBS fields;
    CBS_init(&all, der, len);
    if (!CBS_get_asn1(&all, &fields, CBS_ASN1_SEQUENCE)) {
        return 0;
    }
    while (CBS_len(&fields) > 0) {
        CBS field;
        unsigned tag;
        uint64_t most = 0;
        if (!CBS_get_any_asn1(&fields, &field, &tag)) {
            return 0;
        }
        if (tag == k_tag) {
            return CBS_get_asn1_uint64(&field, &most) ? most : 0;
        }
    }
    return 0;
}

uint64_t q_sessions_early_max(const struct ssl_session_st *session) {
    uint8_t *der = NULL;
    size_t len = 0;
    if (!SSL_SESSION_early_data_capable(session) || !SSL_SESSION_to_bytes(session, &der, &len)) {
        return 0;
    }
    uint64_t most = find_early_max(der, len);
    OPENSSL_cleanse(der, len);
    OPENSSL_free(der);
    return most;
}

// --- life ------------------------------------------------------------------------------------------------------------

void q_sessions_init(struct q_sessions *sessions, const struct q_alloc *alloc, struct q_loop *loop,
                     const struct q_sessions_options *options) {
    Q_CHECK(options->max > 0 && options->peer_max > 0 && options->peer_bytes_max <= options->bytes_max);
    *sessions = (struct q_sessions){.loop = loop, .alloc = alloc, .options = *options, .timer = {.fired = sweep}};
    for (size_t i = 0; i < Q_SESSIONS_BUCKETS; i++) {
        q_list_init(&sessions->buckets[i]);
    }
    q_list_init(&sessions->peers);
    sessions->hash_key[0] = q_random_next(&loop->random);
    sessions->hash_key[1] = q_random_next(&loop->random);
}

void q_sessions_deinit(struct q_sessions *sessions) {
    if (sessions->loop != NULL) {
        q_sessions_drop_all(sessions);
        q_loop_disarm(sessions->loop, &sessions->timer);
        *sessions = (struct q_sessions){0};
    }
}

// --- keeping and taking ----------------------------------------------------------------------------------------------

static void drop_shared(struct q_sessions *sessions, struct peer *peer) {
    struct q_list_node *next;
    for (struct q_list_node *node = peer->sessions.head.next; node != &peer->sessions.head; node = next) {
        next = node->next;
        if (!SSL_SESSION_should_be_single_use(kept_of(node)->session)) {
            forget(sessions, peer, kept_of(node));
            sessions->stats.dropped++;
        }
    }
}

static void enter(struct q_sessions *sessions, struct peer *peer, struct kept *kept) {
    if (!SSL_SESSION_should_be_single_use(kept->session)) {
        drop_shared(sessions, peer);
    }
    make_room(sessions, peer, kept->bytes);
    q_list_push_front(&peer->sessions, &kept->link);
    peer->num_sessions++;
    peer->bytes += kept->bytes;
    sessions->stats.sessions++;
    sessions->stats.bytes += kept->bytes;
    sessions->stats.kept++;
    if (!q_timer_is_armed(&sessions->timer)) {
        q_loop_arm(sessions->loop, &sessions->timer, sessions->loop->now_ns + Q_SESSIONS_SWEEP_NS);
    }
}

void q_sessions_keep(struct q_sessions *sessions, const struct q_sessions_peer *wanted, struct ssl_session_st *session,
                     uint64_t age_s) {
    size_t bytes = q_sessions_weigh(session);
    uint64_t life_s = life_of(session);
    bool is_good = bytes <= sessions->options.peer_bytes_max && age_s < life_s &&
                   wanted->audience.len <= Q_SESSIONS_AUDIENCE_MAX;
    struct kept *kept = is_good ? q_alloc_new(sessions->alloc, sizeof *kept) : NULL;
    struct peer *peer = kept == NULL ? NULL : find(sessions, wanted);
    if (kept != NULL && peer == NULL) {
        peer = new_peer(sessions, wanted);
    }
    if (peer == NULL) {
        q_alloc_free(sessions->alloc, kept, sizeof *kept);
        SSL_SESSION_free(session);
        sessions->stats.refused++;
        return;
    }
    touch(sessions, peer);
    *kept = (struct kept){.session = session,
                          .bytes = bytes,
                          .kept_ns = sessions->loop->now_ns,
                          .age_s = age_s,
                          .life_s = life_s};
    enter(sessions, peer, kept);
}

// The library's clock stands still, so a session's age is what it was born before that.
static void set_age(SSL_SESSION *session, uint64_t age_s) {
    (void)SSL_SESSION_set_time(session, (uint64_t)Q_SESSIONS_CLOCK_S - age_s);
}

struct ssl_session_st *q_sessions_take(struct q_sessions *sessions, const struct q_sessions_peer *wanted) {
    struct peer *peer = find(sessions, wanted);
    if (peer != NULL) {
        sweep_peer(sessions, peer);
    }
    if (peer == NULL || peer->num_sessions == 0) {
        if (peer != NULL) {
            free_peer_if_empty(sessions, peer);
        }
        sessions->stats.missed++;
        return NULL;
    }
    touch(sessions, peer);
    struct kept *kept = kept_of(q_list_first(&peer->sessions));
    SSL_SESSION *session = kept->session;
    set_age(session, age_of(sessions, kept));
    sessions->stats.taken++;
    if (SSL_SESSION_should_be_single_use(session)) {
        (void)take_out(sessions, peer, kept);
        free_peer_if_empty(sessions, peer);
    } else {
        (void)SSL_SESSION_up_ref(session);
    }
    return session;
}

// --- dropping --------------------------------------------------------------------------------------------------------

void q_sessions_drop(struct q_sessions *sessions, const struct q_sessions_peer *wanted,
                     const struct ssl_session_st *session) {
    struct peer *peer = find(sessions, wanted);
    if (peer == NULL) {
        return;
    }
    for (struct q_list_node *node = peer->sessions.head.next; node != &peer->sessions.head; node = node->next) {
        if (kept_of(node)->session == session) {
            forget(sessions, peer, kept_of(node));
            sessions->stats.dropped++;
            free_peer_if_empty(sessions, peer);
            return;
        }
    }
}

void q_sessions_drop_peer(struct q_sessions *sessions, const struct q_sessions_peer *wanted) {
    struct peer *peer = find(sessions, wanted);
    if (peer != NULL) {
        forget_all_of(sessions, peer);
    }
}

void q_sessions_drop_digest(struct q_sessions *sessions, const uint8_t *digest) {
    struct q_list_node *next;
    for (struct q_list_node *node = sessions->peers.head.next; node != &sessions->peers.head; node = next) {
        next = node->next;
        if (q_crypto_equal(peer_of(node)->digest, digest, Q_CRYPTO_DIGEST_LEN)) {
            forget_all_of(sessions, peer_of(node));
        }
    }
}

// Of one peer; gives how many of `but` are left.
static uint32_t drop_exported_of(struct q_sessions *sessions, struct peer *peer, uint32_t but) {
    struct q_list_node *next;
    for (struct q_list_node *node = peer->sessions.head.prev; node != &peer->sessions.head; node = next) {
        next = node->prev;
        if (is_over(sessions, kept_of(node))) {
            continue;
        }
        if (but > 0) {
            but--;
        } else if (SSL_SESSION_should_be_single_use(kept_of(node)->session)) {
            forget(sessions, peer, kept_of(node));
            sessions->stats.dropped++;
        }
    }
    return but;
}

void q_sessions_drop_exported(struct q_sessions *sessions, uint32_t but) {
    struct q_list_node *next;
    for (struct q_list_node *node = sessions->peers.head.next; node != &sessions->peers.head; node = next) {
        next = node->next;
        if (!peer_of(node)->is_local) {
            but = drop_exported_of(sessions, peer_of(node), but);
            free_peer_if_empty(sessions, peer_of(node));
        }
    }
}

void q_sessions_drop_all(struct q_sessions *sessions) {
    struct q_list_node *node;
    while ((node = q_list_first(&sessions->peers)) != NULL) {
        forget_all_of(sessions, peer_of(node));
    }
}

// --- looking ---------------------------------------------------------------------------------------------------------

bool q_sessions_walk(const struct q_sessions *sessions, bool (*tell)(void *context, const struct q_sessions_view *view),
                     void *context) {
    for (const struct q_list_node *at = sessions->peers.head.next; at != &sessions->peers.head; at = at->next) {
        const struct peer *peer = q_container_of(at, struct peer, link);
        const struct q_list_node *head = &peer->sessions.head;
        for (const struct q_list_node *node = head->prev; node != head; node = node->prev) {
            const struct kept *kept = q_container_of(node, struct kept, link);
            uint64_t age_s = age_of(sessions, kept);
            struct q_sessions_view view = {
                .peer = {.digest = peer->digest,
                         .audience = q_slice_make(peer->audience, peer->audience_len),
                         .is_local = peer->is_local},
                .session = kept->session,
                .age_s = age_s,
                .left_s = age_s < kept->life_s ? kept->life_s - age_s : 0,
            };
            if (view.left_s > 0 && !tell(context, &view)) {
                return false;
            }
        }
    }
    return true;
}

static void validate_peer(const struct q_sessions *sessions, const struct peer *peer) {
    uint32_t num_sessions = 0;
    uint32_t num_shared = 0;
    size_t bytes = 0;
    for (const struct q_list_node *node = peer->sessions.head.next; node != &peer->sessions.head; node = node->next) {
        const struct kept *kept = q_container_of(node, struct kept, link);
        num_sessions++;
        num_shared += !SSL_SESSION_should_be_single_use(kept->session);
        bytes += kept->bytes;
        Q_CHECK(kept->bytes == q_sessions_weigh(kept->session) && kept->life_s <= Q_SESSIONS_LIFE_S);
    }
    Q_CHECK(num_sessions == peer->num_sessions && num_sessions > 0 && num_sessions <= sessions->options.peer_max);
    Q_CHECK(bytes == peer->bytes && bytes <= sessions->options.peer_bytes_max && num_shared <= 1);
}

void q_sessions_validate(const struct q_sessions *sessions) {
    uint32_t num_sessions = 0;
    uint32_t num_peers = 0;
    uint32_t num_in_buckets = 0;
    size_t bytes = 0;
    for (const struct q_list_node *at = sessions->peers.head.next; at != &sessions->peers.head; at = at->next) {
        const struct peer *peer = q_container_of(at, struct peer, link);
        validate_peer(sessions, peer);
        num_sessions += peer->num_sessions;
        bytes += peer->bytes;
        num_peers++;
    }
    for (size_t i = 0; i < Q_SESSIONS_BUCKETS; i++) {
        const struct q_list_node *head = &sessions->buckets[i].head;
        for (const struct q_list_node *node = head->next; node != head; node = node->next) {
            num_in_buckets++;
        }
    }
    Q_CHECK(num_peers == sessions->stats.peers && num_in_buckets == num_peers);
    Q_CHECK(num_sessions == sessions->stats.sessions && num_sessions <= sessions->options.max);
    Q_CHECK(bytes == sessions->stats.bytes && bytes <= sessions->options.bytes_max);
    Q_CHECK(num_sessions == 0 || q_timer_is_armed(&sessions->timer));
}

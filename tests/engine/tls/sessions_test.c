// The store of sessions: whom they serve, how often, how long, and how many there are. The last test compares it, step by
// step, with a list that is searched from end to end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "engine/tls/crypto.h"
#include "engine/tls/sessions.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/support/failalloc.h"

enum { MAX = 12, PEER_MAX = 4, BYTES_MAX = 40000, PEER_BYTES_MAX = 16000, LIFE_S = 1000, SPARE = 100 };

struct bench {
    struct scene *scene;
    struct q_failalloc *memory;
    struct q_sessions store;
    SSL_CTX *context;
};

static struct bench *open_with(const struct q_sessions_options *options) {
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->scene = scene_open();
    b->memory = q_failalloc_new();
    b->context = SSL_CTX_new(TLS_with_buffers_method());
    assert_non_null(b->context);
    q_sessions_init(&b->store, q_failalloc_alloc(b->memory), &b->scene->loop, options);
    return b;
}

static struct bench *open_bench(void) {
    return open_with(&(struct q_sessions_options){
        .max = MAX, .peer_max = PEER_MAX, .bytes_max = BYTES_MAX, .peer_bytes_max = PEER_BYTES_MAX});
}

static void close_bench(struct bench *b) {
    char text[256];
    q_sessions_deinit(&b->store);
    if (!q_failalloc_check(b->memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(b->memory);
    SSL_CTX_free(b->context);
    scene_close(b->scene);
    free(b);
}

// A session that no server has made. `size` is of its ticket.
static SSL_SESSION *make(struct bench *b, uint16_t version, size_t size, uint32_t life_s) {
    static const uint8_t k_ticket[PEER_BYTES_MAX + 1] = {1};
    SSL_SESSION *session = SSL_SESSION_new(b->context);
    assert_non_null(session);
    assert_true(SSL_SESSION_set_protocol_version(session, version));
    assert_true(SSL_SESSION_set_ticket(session, k_ticket, size));
    SSL_SESSION_set_timeout(session, life_s);
    return session;
}

// Peer number `number`: its digest is number / 16, its audience what is left.
static struct q_sessions_peer peer_of(unsigned number) {
    static uint8_t digests[16][Q_CRYPTO_DIGEST_LEN];
    static char audiences[16][2];
    unsigned which = number / 16;
    memset(digests[which], 7, sizeof digests[which]);
    digests[which][Q_CRYPTO_DIGEST_LEN - 1] = (uint8_t)which;
    audiences[number % 16][0] = 'a';
    audiences[number % 16][1] = (char)('a' + number % 16);
    return (struct q_sessions_peer){.digest = digests[which], .audience = q_slice_make(audiences[number % 16], 2)};
}

static void keep(struct bench *b, unsigned number, SSL_SESSION *session) {
    struct q_sessions_peer peer = peer_of(number);
    q_sessions_keep(&b->store, &peer, session, 0);
    q_sessions_validate(&b->store);
}

static SSL_SESSION *keep_new(struct bench *b, unsigned number, uint16_t version) {
    SSL_SESSION *session = make(b, version, 100, LIFE_S);
    keep(b, number, session);
    return session;
}

static SSL_SESSION *take(struct bench *b, unsigned number) {
    struct q_sessions_peer peer = peer_of(number);
    SSL_SESSION *session = q_sessions_take(&b->store, &peer);
    q_sessions_validate(&b->store);
    return session;
}

static void assert_takes(struct bench *b, unsigned number, const SSL_SESSION *expected) {
    SSL_SESSION *session = take(b, number);
    assert_ptr_equal(session, expected);
    SSL_SESSION_free(session);
}

static void a_session_of_tls_1_3_is_given_once_and_the_latest_first(void **state) {
    (void)state;
    struct bench *b = open_bench();
    SSL_SESSION *first = keep_new(b, 0, TLS1_3_VERSION);
    SSL_SESSION *second = keep_new(b, 0, TLS1_3_VERSION);
    assert_takes(b, 0, second);
    assert_takes(b, 0, first);
    assert_takes(b, 0, NULL);
    assert_int_equal(b->store.stats.peers, 0);
    assert_int_equal(b->store.stats.missed, 1);
    close_bench(b);
}

static void a_session_of_tls_1_2_is_shared_and_the_latest_alone_is_kept(void **state) {
    (void)state;
    struct bench *b = open_bench();
    SSL_SESSION *first = keep_new(b, 0, TLS1_2_VERSION);
    assert_takes(b, 0, first);
    assert_takes(b, 0, first);
    SSL_SESSION *second = keep_new(b, 0, TLS1_2_VERSION);
    assert_takes(b, 0, second);
    assert_int_equal(b->store.stats.sessions, 1);
    struct q_sessions_peer peer = peer_of(0);
    q_sessions_drop(&b->store, &peer, first); // is gone already
    assert_takes(b, 0, second);
    q_sessions_drop(&b->store, &peer, second); // it was of no use
    assert_takes(b, 0, NULL);
    q_sessions_drop(&b->store, &peer, second);
    close_bench(b);
}

static void nobody_gets_anothers(void **state) {
    (void)state;
    struct bench *b = open_bench();
    SSL_SESSION *session = keep_new(b, 0, TLS1_3_VERSION);
    assert_takes(b, 1, NULL);  // the same config, another audience
    assert_takes(b, 16, NULL); // another config, the same audience
    struct q_sessions_peer peer = peer_of(0);
    struct q_sessions_peer shorter = {.digest = peer.digest, .audience = q_slice_make(peer.audience.ptr, 1)};
    assert_null(q_sessions_take(&b->store, &shorter));
    for (size_t i = 0; i < Q_CRYPTO_DIGEST_LEN; i++) {
        uint8_t digest[Q_CRYPTO_DIGEST_LEN];
        memcpy(digest, peer.digest, sizeof digest);
        digest[i] ^= 0x40; // in the same bucket
        struct q_sessions_peer other = {.digest = digest, .audience = peer.audience};
        assert_null(q_sessions_take(&b->store, &other));
    }
    assert_takes(b, 0, session);
    close_bench(b);
}

static void a_session_ends_with_its_life_and_is_told_its_age(void **state) {
    (void)state;
    struct bench *b = open_bench();
    (void)keep_new(b, 0, TLS1_3_VERSION);
    (void)keep_new(b, 0, TLS1_3_VERSION);
    (void)keep_new(b, 0, TLS1_3_VERSION);
    SSL_SESSION *session = take(b, 0);
    assert_int_equal(SSL_SESSION_get_time(session), Q_SESSIONS_CLOCK_S);
    SSL_SESSION_free(session);
    scene_let_pass(b->scene, (LIFE_S - 1) * Q_NS_PER_S);
    session = take(b, 0);
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_get_time(session), Q_SESSIONS_CLOCK_S - (LIFE_S - 1));
    SSL_SESSION_free(session);
    scene_let_pass(b->scene, Q_NS_PER_S);
    assert_takes(b, 0, NULL);
    assert_int_equal(b->store.stats.expired, 1);
    close_bench(b);
}

// Nobody asks for it any more.
static void what_is_over_is_swept_out(void **state) {
    (void)state;
    struct bench *b = open_bench();
    (void)keep_new(b, 0, TLS1_3_VERSION);
    (void)keep_new(b, 1, TLS1_2_VERSION);
    keep(b, 2, make(b, TLS1_3_VERSION, 10, 10 * LIFE_S));
    for (uint64_t passed = 0; passed < 2 * LIFE_S * Q_NS_PER_S; passed += Q_SESSIONS_SWEEP_NS) {
        scene_let_pass(b->scene, Q_SESSIONS_SWEEP_NS);
    }
    assert_int_equal(b->store.stats.sessions, 1);
    assert_int_equal(b->store.stats.peers, 1);
    assert_int_equal(b->store.stats.expired, 2);
    for (uint64_t passed = 0; passed < 20 * LIFE_S * Q_NS_PER_S; passed += Q_SESSIONS_SWEEP_NS) {
        scene_let_pass(b->scene, Q_SESSIONS_SWEEP_NS);
    }
    assert_int_equal(b->store.stats.sessions, 0);
    assert_false(q_timer_is_armed(&b->store.timer)); // an engine without sessions is not woken for them
    close_bench(b);
}

static void no_session_lives_longer_than_a_week(void **state) {
    (void)state;
    struct bench *b = open_bench();
    keep(b, 0, make(b, TLS1_3_VERSION, 10, UINT32_MAX));
    keep(b, 1, make(b, TLS1_3_VERSION, 10, UINT32_MAX));
    scene_let_pass(b->scene, (Q_SESSIONS_LIFE_S - 1) * Q_NS_PER_S);
    SSL_SESSION *session = take(b, 0);
    assert_non_null(session);
    SSL_SESSION_free(session);
    scene_let_pass(b->scene, Q_NS_PER_S);
    assert_takes(b, 1, NULL);
    close_bench(b);
}

static void a_session_that_comes_old_has_less_to_live(void **state) {
    (void)state;
    struct bench *b = open_bench();
    struct q_sessions_peer peer = peer_of(0);
    q_sessions_keep(&b->store, &peer, make(b, TLS1_3_VERSION, 10, LIFE_S), LIFE_S);
    assert_int_equal(b->store.stats.refused, 1);
    q_sessions_keep(&b->store, &peer, make(b, TLS1_3_VERSION, 10, LIFE_S), LIFE_S - 2);
    scene_let_pass(b->scene, Q_NS_PER_S);
    SSL_SESSION *session = take(b, 0);
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_get_time(session), Q_SESSIONS_CLOCK_S - (LIFE_S - 1));
    SSL_SESSION_free(session);
    q_sessions_keep(&b->store, &peer, make(b, TLS1_3_VERSION, 10, LIFE_S), LIFE_S - 2);
    scene_let_pass(b->scene, 2 * Q_NS_PER_S);
    assert_takes(b, 0, NULL);
    close_bench(b);
}

static void a_peer_has_so_many_and_the_oldest_goes(void **state) {
    (void)state;
    struct bench *b = open_bench();
    SSL_SESSION *made[PEER_MAX + 2];
    for (int i = 0; i < PEER_MAX + 2; i++) {
        made[i] = keep_new(b, 0, TLS1_3_VERSION);
    }
    assert_int_equal(b->store.stats.evicted, 2);
    for (int i = PEER_MAX + 1; i >= 2; i--) {
        assert_takes(b, 0, made[i]);
    }
    assert_takes(b, 0, NULL);
    close_bench(b);
}

static void a_peer_has_so_many_bytes(void **state) {
    (void)state;
    struct bench *b = open_bench();
    (void)keep_new(b, 0, TLS1_3_VERSION);
    SSL_SESSION *large = make(b, TLS1_3_VERSION, PEER_BYTES_MAX / 2, LIFE_S);
    keep(b, 0, large);
    SSL_SESSION *larger = make(b, TLS1_3_VERSION, PEER_BYTES_MAX / 2 + 1, LIFE_S);
    keep(b, 0, larger);
    assert_int_equal(b->store.stats.sessions, 1);
    keep(b, 0, make(b, TLS1_3_VERSION, PEER_BYTES_MAX, LIFE_S)); // no room would be enough
    assert_int_equal(b->store.stats.refused, 1);
    assert_takes(b, 0, larger);
    close_bench(b);
}

// The one that was asked for longest ago, be it in vain or not.
static void whose_peer_was_asked_for_longest_ago_goes_first(void **state) {
    (void)state;
    struct bench *b = open_bench();
    for (unsigned i = 0; i < MAX; i++) {
        (void)keep_new(b, i, i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    }
    SSL_SESSION_free(take(b, 0)); // stays, and is the freshest
    (void)keep_new(b, MAX, TLS1_3_VERSION);
    (void)keep_new(b, MAX + 1, TLS1_3_VERSION);
    assert_int_equal(b->store.stats.sessions, MAX);
    assert_takes(b, 1, NULL);
    assert_takes(b, 2, NULL);
    for (unsigned i = 3; i < MAX + 2; i++) {
        SSL_SESSION *session = take(b, i);
        assert_non_null(session);
        SSL_SESSION_free(session);
    }
    SSL_SESSION *session = take(b, 0);
    assert_non_null(session);
    SSL_SESSION_free(session);
    close_bench(b);
}

static void all_bytes_together_are_bounded(void **state) {
    (void)state;
    struct bench *b = open_bench();
    for (unsigned i = 0; i < 8; i++) {
        keep(b, i, make(b, TLS1_3_VERSION, PEER_BYTES_MAX / 2, LIFE_S));
        assert_true(b->store.stats.bytes <= BYTES_MAX);
    }
    assert_takes(b, 0, NULL);
    SSL_SESSION *session = take(b, 7);
    assert_non_null(session);
    SSL_SESSION_free(session);
    close_bench(b);
}

static void the_only_peer_makes_room_for_itself(void **state) {
    (void)state;
    struct bench *b = open_with(
        &(struct q_sessions_options){.max = 1, .peer_max = 8, .bytes_max = BYTES_MAX, .peer_bytes_max = BYTES_MAX});
    (void)keep_new(b, 0, TLS1_3_VERSION);
    SSL_SESSION *session = keep_new(b, 0, TLS1_3_VERSION);
    assert_takes(b, 0, session);
    close_bench(b);
}

static void a_config_that_is_no_longer_good_takes_its_sessions_along(void **state) {
    (void)state;
    struct bench *b = open_bench();
    for (unsigned i = 0; i < 3; i++) {
        (void)keep_new(b, i, TLS1_3_VERSION);
        (void)keep_new(b, 16 + i, TLS1_3_VERSION);
    }
    q_sessions_drop_digest(&b->store, peer_of(16).digest);
    q_sessions_validate(&b->store);
    assert_int_equal(b->store.stats.sessions, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_takes(b, 16 + i, NULL);
    }
    struct q_sessions_peer peer = peer_of(1);
    q_sessions_drop_peer(&b->store, &peer);
    q_sessions_drop_peer(&b->store, &peer);
    assert_takes(b, 1, NULL);
    SSL_SESSION *session = take(b, 0);
    assert_non_null(session);
    SSL_SESSION_free(session);
    q_sessions_drop_all(&b->store);
    assert_int_equal(b->store.stats.sessions, 0);
    close_bench(b);
}

struct walk {
    const SSL_SESSION *seen[SPARE];
    size_t count;
    size_t limit;
};

static bool note(void *context, const struct q_sessions_view *view) {
    struct walk *walk = context;
    assert_int_equal(view->age_s + view->left_s, LIFE_S);
    walk->seen[walk->count++] = view->session;
    return walk->count < walk->limit;
}

static void a_walk_sees_what_is_good_in_the_order_in_which_it_was_kept(void **state) {
    (void)state;
    struct bench *b = open_bench();
    (void)keep_new(b, 5, TLS1_3_VERSION);
    scene_let_pass(b->scene, LIFE_S * Q_NS_PER_S);
    SSL_SESSION *made[4];
    for (int i = 0; i < 4; i++) {
        made[i] = keep_new(b, (unsigned)i / 2, TLS1_3_VERSION);
    }
    struct walk walk = {.limit = SPARE};
    assert_true(q_sessions_walk(&b->store, note, &walk));
    assert_int_equal(walk.count, 4);
    assert_memory_equal(walk.seen, made, sizeof made);
    walk = (struct walk){.limit = 2};
    assert_false(q_sessions_walk(&b->store, note, &walk));
    assert_int_equal(walk.count, 2);
    close_bench(b);
}

static void without_memory_a_session_is_not_kept_and_nothing_else_is_lost(void **state) {
    (void)state;
    struct bench *b = open_bench();
    SSL_SESSION *kept = keep_new(b, 0, TLS1_3_VERSION);
    for (uint64_t nth = 1; nth <= 2; nth++) { // its entry, and its peer's
        q_failalloc_fail_at(b->memory, nth);
        (void)keep_new(b, 1, TLS1_3_VERSION);
        assert_true(q_failalloc_failed(b->memory));
        assert_int_equal(b->store.stats.refused, nth);
        assert_int_equal(b->store.stats.peers, 1);
    }
    q_failalloc_fail_at(b->memory, 0);
    (void)keep_new(b, 1, TLS1_3_VERSION);
    assert_int_equal(b->store.stats.sessions, 2);
    assert_takes(b, 0, kept);
    close_bench(b);
}

static void a_zeroed_store_can_be_ended(void **state) {
    (void)state;
    struct q_sessions store = {0};
    q_sessions_deinit(&store);
}

// --- the same by a list ----------------------------------------------------------------------------------------------

enum { STEPS = 60000, PEERS = 40, MODEL_MAX = 64 };

struct row {
    SSL_SESSION *session;
    unsigned peer;
    size_t bytes;
    uint64_t over_s;
    bool is_shared;
};

// Rows in the order in which they came; peers with the step in which they were last asked for.
struct model {
    struct row rows[MODEL_MAX];
    int count;
    int asked[PEERS];
    uint64_t now_s;
    int step;
};

static void cross_out(struct model *m, int at) {
    memmove(&m->rows[at], &m->rows[at + 1], (size_t)(m->count - at - 1) * sizeof m->rows[0]);
    m->count--;
}

static int first_of_peer(const struct model *m, unsigned peer) {
    for (int i = 0; i < m->count; i++) {
        if (m->rows[i].peer == peer) {
            return i;
        }
    }
    return -1;
}

static void add_up(const struct model *m, unsigned peer, int *out_count, size_t *out_bytes, size_t *out_all) {
    *out_count = 0;
    *out_bytes = *out_all = 0;
    for (int i = 0; i < m->count; i++) {
        *out_count += m->rows[i].peer == peer;
        *out_bytes += m->rows[i].peer == peer ? m->rows[i].bytes : 0;
        *out_all += m->rows[i].bytes;
    }
}

static int victim_of(const struct model *m) {
    int best = -1;
    for (int i = 0; i < m->count; i++) {
        if (best < 0 || m->asked[m->rows[i].peer] < m->asked[m->rows[best].peer]) {
            best = i;
        }
    }
    return best;
}

static void model_keep(struct model *m, unsigned peer, struct row row) {
    int count;
    size_t bytes;
    size_t all;
    m->asked[peer] = m->step;
    for (int i = m->count - 1; row.is_shared && i >= 0; i--) {
        if (m->rows[i].peer == peer && m->rows[i].is_shared) {
            cross_out(m, i);
        }
    }
    for (add_up(m, peer, &count, &bytes, &all); count > 0 && (count >= PEER_MAX || bytes + row.bytes > PEER_BYTES_MAX);
         add_up(m, peer, &count, &bytes, &all)) {
        cross_out(m, first_of_peer(m, peer));
    }
    while (m->count >= MAX || all + row.bytes > BYTES_MAX) {
        cross_out(m, victim_of(m));
        add_up(m, peer, &count, &bytes, &all);
    }
    m->rows[m->count++] = row;
}

static const SSL_SESSION *model_take(struct model *m, unsigned peer) {
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->rows[i].peer == peer && m->rows[i].over_s <= m->now_s) {
            cross_out(m, i);
        }
    }
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->rows[i].peer == peer) {
            const SSL_SESSION *session = m->rows[i].session;
            m->asked[peer] = m->step;
            if (!m->rows[i].is_shared) {
                cross_out(m, i);
            }
            return session;
        }
    }
    return NULL;
}

static void keep_in_both(struct bench *b, struct model *m, struct q_random *random, unsigned peer) {
    uint16_t version = q_random_next(random) % 3 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    uint32_t life_s = 1 + (uint32_t)(q_random_next(random) % LIFE_S);
    SSL_SESSION *session = make(b, version, 1 + q_random_next(random) % 12000, life_s);
    size_t bytes = q_sessions_weigh(session);
    struct q_sessions_peer key = peer_of(peer);
    model_keep(m, peer, (struct row){.session = session,
                                     .peer = peer,
                                     .bytes = bytes,
                                     .over_s = m->now_s + life_s,
                                     .is_shared = version == TLS1_2_VERSION});
    q_sessions_keep(&b->store, &key, session, 0);
}

static void drop_in_both(struct bench *b, struct model *m, struct q_random *random, unsigned peer) {
    bool is_all_of_config = q_random_next(random) % 4 == 0;
    struct q_sessions_peer key = peer_of(peer);
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->rows[i].peer == peer || (is_all_of_config && m->rows[i].peer / 16 == peer / 16)) {
            cross_out(m, i);
        }
    }
    if (is_all_of_config) {
        q_sessions_drop_digest(&b->store, key.digest);
    } else {
        q_sessions_drop_peer(&b->store, &key);
    }
}

static void it_does_what_a_list_does(void **state) {
    (void)state;
    struct bench *b = open_bench();
    struct q_random random;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    q_random_seed(&random, 20261121);
    for (m->step = 1; m->step < STEPS; m->step++) {
        unsigned peer = (unsigned)(q_random_next(&random) % PEERS) * (q_random_next(&random) % 4 != 0); // one is a favourite
        uint64_t dice = q_random_next(&random) % 100;
        if (dice < 50) {
            keep_in_both(b, m, &random, peer);
        } else if (dice < 90) {
            assert_takes(b, peer, model_take(m, peer));
        } else if (dice < 92) {
            drop_in_both(b, m, &random, peer);
        } else {
            uint64_t pass_s = q_random_next(&random) % 200;
            b->scene->loop.now_ns += pass_s * Q_NS_PER_S; // without a tick: nothing is swept
            m->now_s += pass_s;
        }
        q_sessions_validate(&b->store);
        assert_int_equal(b->store.stats.sessions, m->count);
    }
    assert_true(b->store.stats.evicted > 1000);
    assert_true(b->store.stats.expired > 300);
    assert_true(b->store.stats.taken > 1000);
    free(m);
    close_bench(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_of_tls_1_3_is_given_once_and_the_latest_first),
        cmocka_unit_test(a_session_of_tls_1_2_is_shared_and_the_latest_alone_is_kept),
        cmocka_unit_test(nobody_gets_anothers),
        cmocka_unit_test(a_session_ends_with_its_life_and_is_told_its_age),
        cmocka_unit_test(what_is_over_is_swept_out),
        cmocka_unit_test(no_session_lives_longer_than_a_week),
        cmocka_unit_test(a_session_that_comes_old_has_less_to_live),
        cmocka_unit_test(a_peer_has_so_many_and_the_oldest_goes),
        cmocka_unit_test(a_peer_has_so_many_bytes),
        cmocka_unit_test(whose_peer_was_asked_for_longest_ago_goes_first),
        cmocka_unit_test(all_bytes_together_are_bounded),
        cmocka_unit_test(the_only_peer_makes_room_for_itself),
        cmocka_unit_test(a_config_that_is_no_longer_good_takes_its_sessions_along),
        cmocka_unit_test(a_walk_sees_what_is_good_in_the_order_in_which_it_was_kept),
        cmocka_unit_test(without_memory_a_session_is_not_kept_and_nothing_else_is_lost),
        cmocka_unit_test(a_zeroed_store_can_be_ended),
        cmocka_unit_test(it_does_what_a_list_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The digest of a configuration: every field is in it, and no two texts run into each other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "engine/base/check.h"
#include "engine/tls/policy.h"

// A field that is added to one of these belongs into k_changes below, and into the digest.
_Static_assert(sizeof(struct q_tls_policy) == 216, "every field of the policy is changed by this test");
_Static_assert(sizeof(struct q_tls_material) == 40, "every field of the material is changed by this test");

struct text {
    struct q_tls_policy policy;
    struct q_tls_material material;
};

static const uint8_t k_digests[3][Q_CRYPTO_DIGEST_LEN] = {{1}, {2}, {3}};

static void change_verify(struct text *t) { t->policy.verify = 1; }
static void change_sni(struct text *t) { t->policy.sni = Q_TLS_SNI_OFF; }
static void change_tickets(struct text *t) { t->policy.switches ^= Q_TLS_TICKETS; }
static void change_early_data(struct text *t) { t->policy.switches ^= Q_TLS_EARLY_DATA; }
static void change_grease(struct text *t) { t->policy.switches ^= Q_TLS_GREASE; }
static void change_staple(struct text *t) { t->policy.switches ^= Q_TLS_STAPLE; }
static void change_key_log_events(struct text *t) { t->policy.switches ^= Q_TLS_KEY_LOG_EVENTS; }
static void change_compression(struct text *t) { t->policy.switches ^= Q_TLS_COMPRESSION; }
static void change_min_version(struct text *t) { t->policy.min_version = 2; }
static void change_max_version(struct text *t) { t->policy.max_version = 2; }
static void change_sni_name(struct text *t) { t->policy.sni_name = Q_SLICE("x"); }
static void change_verify_name(struct text *t) { t->policy.verify_name = Q_SLICE("x"); }
static void change_ciphers(struct text *t) { t->policy.ciphers = Q_SLICE("x"); }
static void change_groups(struct text *t) { t->policy.groups = Q_SLICE("x"); }
static void change_alpn(struct text *t) { t->policy.alpn = Q_SLICE("x"); }
static void change_alpn_order(struct text *t) { t->policy.alpn = Q_SLICE("\1y\1x"); }
static void change_alpn_other_order(struct text *t) { t->policy.alpn = Q_SLICE("\1x\1y"); }
static void change_key_log_path(struct text *t) { t->policy.key_log_path = Q_SLICE("x"); }
static void change_pin(struct text *t) {
    t->policy.pins = k_digests;
    t->policy.num_pins = 1;
}
static void change_pin_to_another(struct text *t) {
    t->policy.pins = k_digests + 1;
    t->policy.num_pins = 1;
}
static void change_pins(struct text *t) {
    t->policy.pins = k_digests;
    t->policy.num_pins = 2;
}
static void change_verify_point(struct text *t) { t->policy.verify_point.serial = 7; }
static void change_verify_point_high(struct text *t) { t->policy.verify_point.serial = UINT64_C(7) << 40; }
static void change_asks_verify(struct text *t) { t->policy.asks_verify = Q_TLS_ASKS_ALWAYS; }
static void change_key_point(struct text *t) { t->policy.key_point.serial = 7; }
static void change_no_roots(struct text *t) { t->material.roots = NULL; }
static void change_roots(struct text *t) { t->material.roots = k_digests[1]; }
static void change_chain(struct text *t) {
    t->material.chain = k_digests;
    t->material.chain_len = 1;
}
static void change_longer_chain(struct text *t) {
    t->material.chain = k_digests;
    t->material.chain_len = 2;
}
static void change_crls(struct text *t) {
    t->material.crls = k_digests;
    t->material.crls_len = 1;
}

static void (*const k_changes[])(struct text *) = {
    change_verify, change_sni, change_tickets, change_early_data, change_grease, change_staple, change_key_log_events,
    change_compression, change_min_version, change_max_version, change_sni_name, change_verify_name, change_ciphers,
    change_groups, change_alpn, change_alpn_order, change_alpn_other_order, change_key_log_path, change_pin,
    change_pin_to_another, change_pins, change_verify_point, change_verify_point_high, change_asks_verify,
    change_key_point, change_no_roots,
    change_roots, change_chain, change_longer_chain, change_crls,
};

static void digest_changed(void (*change)(struct text *), uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct text text = {.policy = {.min_version = 1, .max_version = 3}, .material = {.roots = k_digests[0]}};
    if (change != NULL) {
        change(&text);
    }
    q_tls_policy_digest(&text.policy, &text.material, out);
    // The identity tells as much apart: what is equal by one of them is equal by the other.
    static uint8_t digests[64][Q_CRYPTO_DIGEST_LEN];
    static uint8_t identities[64][Q_CRYPTO_DIGEST_LEN];
    static size_t count;
    uint8_t identity[Q_CRYPTO_DIGEST_LEN];
    q_tls_policy_identify(&text.policy, &text.material, identity);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(memcmp(digests[i], out, Q_CRYPTO_DIGEST_LEN) == 0,
                         memcmp(identities[i], identity, Q_CRYPTO_DIGEST_LEN) == 0);
    }
    if (count < 64) {
        memcpy(digests[count], out, Q_CRYPTO_DIGEST_LEN);
        memcpy(identities[count++], identity, Q_CRYPTO_DIGEST_LEN);
    }
}

// The same in every process, whatever its key.
static void an_identity_is_known_beforehand(void **state) {
    (void)state;
    uint8_t identity[Q_CRYPTO_DIGEST_LEN];
    struct q_tls_material material = {0};
    q_tls_policy_identify(&(struct q_tls_policy){.min_version = Q_TLS_1_2, .max_version = Q_TLS_1_3}, &material, identity);
    static const uint8_t k_known[Q_CRYPTO_DIGEST_LEN] = {
        0x31, 0x19, 0x9b, 0xab, 0x7c, 0x2b, 0x7f, 0xd1, 0x62, 0x29, 0xc4, 0xae, 0x58, 0xae, 0xdb, 0x73,
        0x44, 0x4e, 0x6e, 0x9b, 0x1b, 0xd3, 0x99, 0x0d, 0x79, 0x02, 0xcf, 0x37, 0x98, 0x72, 0xdf, 0x0d};
    assert_memory_equal(identity, k_known, sizeof identity);
}

static void each_change_gives_a_digest_of_its_own(void **state) {
    (void)state;
    static uint8_t digests[Q_COUNT_OF(k_changes) + 1][Q_CRYPTO_DIGEST_LEN];
    uint8_t again[Q_CRYPTO_DIGEST_LEN];
    for (size_t i = 0; i <= Q_COUNT_OF(k_changes); i++) {
        digest_changed(i == 0 ? NULL : k_changes[i - 1], digests[i]);
        digest_changed(i == 0 ? NULL : k_changes[i - 1], again);
        assert_memory_equal(digests[i], again, sizeof again);
        for (size_t before = 0; before < i; before++) {
            assert_memory_not_equal(digests[before], digests[i], sizeof again);
        }
    }
}

static void what_is_not_identity_is_not_in_it(void **state) {
    (void)state;
    uint8_t one[Q_CRYPTO_DIGEST_LEN];
    uint8_t two[Q_CRYPTO_DIGEST_LEN];
    struct q_tls_policy policy = {.verify_point = {.serial = 5, .context = &policy, .owner = &policy}};
    struct q_tls_material material = {0};
    q_tls_policy_digest(&policy, &material, one);
    policy.verify_point.owner = &material; // an address means nothing
    policy.verify_point.context = &material;
    q_tls_policy_digest(&policy, &material, two);
    assert_memory_equal(one, two, sizeof one);
}

static void a_byte_never_belongs_to_two_fields(void **state) {
    (void)state;
    uint8_t one[Q_CRYPTO_DIGEST_LEN];
    uint8_t two[Q_CRYPTO_DIGEST_LEN];
    struct q_tls_material material = {0};
    q_tls_policy_digest(&(struct q_tls_policy){.ciphers = Q_SLICE("ab"), .groups = Q_SLICE("c")}, &material, one);
    q_tls_policy_digest(&(struct q_tls_policy){.ciphers = Q_SLICE("a"), .groups = Q_SLICE("bc")}, &material, two);
    assert_memory_not_equal(one, two, sizeof one);
}

static void digests_are_sorted_and_each_is_kept_once(void **state) {
    (void)state;
    uint8_t list[6][Q_CRYPTO_DIGEST_LEN] = {{3}, {1}, {3}, {2}, {1}, {3}};
    assert_int_equal(q_tls_policy_sort(list, 6), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(list[i], k_digests[i], Q_CRYPTO_DIGEST_LEN);
    }
    assert_int_equal(q_tls_policy_sort(list, 0), 0);
}

static unsigned num_held;
static unsigned num_dropped;

static void hold(void *owner) { *(unsigned *)owner += 1; }

static void a_point_is_held_and_dropped_if_it_is_one(void **state) {
    (void)state;
    const struct q_tls_point nobody = {.owner = &num_held, .acquire = hold, .release = hold};
    const struct q_tls_point silent = {.serial = 1};
    struct q_tls_point point = {.serial = 1, .owner = &num_held, .acquire = hold};
    q_tls_point_hold(&nobody);
    q_tls_point_drop(&nobody);
    q_tls_point_hold(&silent);
    q_tls_point_drop(&silent);
    assert_int_equal(num_held, 0);
    q_tls_point_hold(&point);
    q_tls_point_drop(&point);
    assert_int_equal(num_held, 1);
    point = (struct q_tls_point){.serial = 1, .owner = &num_dropped, .release = hold};
    q_tls_point_drop(&point);
    assert_int_equal(num_dropped, 1);
}

enum { DRAWN = 1000 };

static void *draw_many(void *context) {
    uint64_t *drawn = context;
    for (size_t i = 0; i < DRAWN; i++) {
        drawn[i] = q_tls_point_draw();
    }
    return NULL;
}

static void no_serial_is_drawn_twice(void **state) {
    (void)state;
    static uint64_t drawn[2][DRAWN];
    static bool is_seen[2 * DRAWN + 10];
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw_many, drawn[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < (size_t)2 * DRAWN; i++) {
        uint64_t serial = drawn[i / DRAWN][i % DRAWN];
        assert_true(serial > 0 && serial < Q_COUNT_OF(is_seen) && !is_seen[serial]);
        is_seen[serial] = true;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identity_is_known_beforehand),
        cmocka_unit_test(each_change_gives_a_digest_of_its_own),
        cmocka_unit_test(what_is_not_identity_is_not_in_it),
        cmocka_unit_test(a_byte_never_belongs_to_two_fields),
        cmocka_unit_test(digests_are_sorted_and_each_is_kept_once),
        cmocka_unit_test(a_point_is_held_and_dropped_if_it_is_one),
        cmocka_unit_test(no_serial_is_drawn_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

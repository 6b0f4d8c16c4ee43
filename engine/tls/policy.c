#include "engine/tls/policy.h"

#include <stdatomic.h>
#include <stdlib.h>

// Numbers of fields in the canonical text. An identity that left the process is of use to the same version of the library
// alone, so they may change with the version.
enum field {
    FIELD_VERIFY = 1,
    FIELD_VERSIONS,
    FIELD_SWITCHES,
    FIELD_SNI,
    FIELD_SNI_NAME,
    FIELD_VERIFY_NAME,
    FIELD_CIPHERS,
    FIELD_GROUPS,
    FIELD_ALPN,
    FIELD_KEY_LOG_PATH,
    FIELD_PINS,
    FIELD_VERIFY_POINT,
    FIELD_KEY_POINT,
    FIELD_ROOTS,
    FIELD_CHAIN,
    FIELD_CRLS,
    FIELD_ASKS_VERIFY,
};

enum { FIELD_HEAD_LEN = 1 + 1 + 8, NUMBER_LEN = 8 };

static void write_number(uint8_t *at, uint64_t number) {
    for (size_t i = 0; i < NUMBER_LEN; i++) {
        at[i] = (uint8_t)(number >> 8 * i);
    }
}

static void put(struct q_mac *mac, enum field field, bool is_there, const void *data, size_t len) {
    uint8_t head[FIELD_HEAD_LEN] = {(uint8_t)field, is_there};
    write_number(head + 2, len);
    q_mac_add(mac, head, sizeof head);
    if (len > 0) {
        q_mac_add(mac, data, len);
    }
}

static void put_number(struct q_mac *mac, enum field field, uint64_t number) {
    uint8_t bytes[NUMBER_LEN];
    write_number(bytes, number);
    put(mac, field, true, bytes, sizeof bytes);
}

static void put_text(struct q_mac *mac, enum field field, struct q_slice text) {
    put(mac, field, text.len > 0, text.ptr, text.len);
}

static void put_list(struct q_mac *mac, enum field field, const uint8_t (*list)[Q_CRYPTO_DIGEST_LEN], size_t count) {
    put(mac, field, count > 0, list, count * Q_CRYPTO_DIGEST_LEN);
}

static void add_text(struct q_mac *mac, const struct q_tls_policy *policy, const struct q_tls_material *material) {
    static const char k_what[] = "quoit tls configuration"; // so that it is equal to no digest of anything else
    q_mac_add(mac, k_what, sizeof k_what);
    put_number(mac, FIELD_VERIFY, policy->verify);
    put_number(mac, FIELD_VERSIONS, (uint64_t)policy->min_version << 16 | policy->max_version);
    put_number(mac, FIELD_SWITCHES, policy->switches);
    put_number(mac, FIELD_SNI, policy->sni);
    put_text(mac, FIELD_SNI_NAME, policy->sni_name);
    put_text(mac, FIELD_VERIFY_NAME, policy->verify_name);
    put_text(mac, FIELD_CIPHERS, policy->ciphers);
    put_text(mac, FIELD_GROUPS, policy->groups);
    put_text(mac, FIELD_ALPN, policy->alpn);
    put_text(mac, FIELD_KEY_LOG_PATH, policy->key_log_path);
    put_list(mac, FIELD_PINS, policy->pins, policy->num_pins);
    put_number(mac, FIELD_VERIFY_POINT, policy->verify_point.serial);
    put_number(mac, FIELD_ASKS_VERIFY, policy->asks_verify);
    put_number(mac, FIELD_KEY_POINT, policy->key_point.serial);
    put(mac, FIELD_ROOTS, material->roots != NULL, material->roots, material->roots == NULL ? 0 : Q_CRYPTO_DIGEST_LEN);
    put_list(mac, FIELD_CHAIN, material->chain, material->chain_len);
    put_list(mac, FIELD_CRLS, material->crls, material->crls_len);
}

void q_tls_policy_digest(const struct q_tls_policy *policy, const struct q_tls_material *material,
                         uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct q_mac mac;
    q_mac_start_keyed(&mac);
    add_text(&mac, policy, material);
    q_mac_end(&mac, out);
}

void q_tls_policy_identify(const struct q_tls_policy *policy, const struct q_tls_material *material,
                           uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct q_mac mac;
    q_mac_start(&mac, NULL, 0);
    add_text(&mac, policy, material);
    q_mac_end(&mac, out);
}

static int compare(const void *left, const void *right) { return memcmp(left, right, Q_CRYPTO_DIGEST_LEN); }

size_t q_tls_policy_sort(uint8_t (*digests)[Q_CRYPTO_DIGEST_LEN], size_t count) {
    size_t kept = 0;
    if (count > 0) {
        qsort(digests, count, sizeof *digests, compare);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare(digests[kept - 1], digests[i]) != 0) {
            memmove(digests[kept++], digests[i], sizeof *digests);
        }
    }
    return kept;
}

void q_tls_point_hold(const struct q_tls_point *point) {
    if (point->serial != 0 && point->acquire != NULL) {
        point->acquire(point->owner);
    }
}

void q_tls_point_drop(const struct q_tls_point *point) {
    if (point->serial != 0 && point->release != NULL) {
        point->release(point->owner);
    }
}

uint64_t q_tls_point_draw(void) {
    static _Atomic(uint64_t) the_last;
    return atomic_fetch_add_explicit(&the_last, 1, memory_order_relaxed) + 1;
}

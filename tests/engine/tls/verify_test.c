// The kinds of a refused chain, one fault at a time, and what is taken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tls/verify.h"
#include "tests/support/certs.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { KEY_ROOT = 1, KEY_MIDDLE, KEY_LEAF, KEY_OTHER };

// A root, an intermediate and a leaf for a.example, *.b.example and two addresses, and what else a case needs.
struct rig {
    struct q_cert *root;
    struct q_cert *middle;
    struct q_cert *leaf;
    X509_STORE *roots;
    struct q_verify_policy policy;
    struct q_verify_verdict verdict;
};

static X509_STORE *store_of(const struct q_cert *cert) {
    X509_STORE *store = X509_STORE_new();
    assert_non_null(store);
    if (cert != NULL) {
        assert_true(X509_STORE_add_cert(store, cert->x509));
    }
    return store;
}

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig->root = q_certs_authority(NULL, "root", KEY_ROOT);
    rig->middle = q_certs_authority(rig->root, "middle", KEY_MIDDLE);
    rig->leaf = q_certs_make(rig->middle, &(struct q_certs_spec){
                                              .common_name = "cn.example",
                                              .alt_names = "DNS:a.example,DNS:*.b.example,DNS:*.example,DNS:d*.e.example,"
                                                           "DNS:f.*.example,IP:127.0.0.1,IP:::1,DNS:10.0.0.1",
                                              .key_number = KEY_LEAF,
                                          });
    rig->roots = store_of(rig->root);
    rig->policy = (struct q_verify_policy){.roots = rig->roots, .now_s = Q_CERTS_NOW};
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    X509_STORE_free(rig->roots);
    q_certs_free(rig->leaf);
    q_certs_free(rig->middle);
    q_certs_free(rig->root);
    free(rig);
    return 0;
}

static int32_t verify(struct rig *rig, const char *name, const struct q_cert *const *certs, size_t count) {
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    for (size_t i = 0; i < count; i++) {
        assert_true(sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(certs[i]->der, certs[i]->der_len, NULL)));
    }
    memset(&rig->verdict, 0xee, sizeof rig->verdict);
    q_verify(&rig->policy, chain, q_slice_of_string(name), &rig->verdict);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    if (rig->verdict.error.code != 0) {
        assert_int_equal(rig->verdict.error.phase, Q_PHASE_TLS);
        assert_int_not_equal(rig->verdict.alert, 0);
    }
    return rig->verdict.error.code;
}

#define CHAIN(...)                                                                                                     \
    (const struct q_cert *const[]){__VA_ARGS__}, sizeof((const struct q_cert *const[]){__VA_ARGS__}) / sizeof(void *)

// The rig's own chain, for `name`.
static int32_t name_of(struct rig *rig, const char *name) {
    return verify(rig, name, CHAIN(rig->leaf, rig->middle));
}

// A leaf for a.example that `spec` describes, by the rig's intermediate.
static int32_t leaf_of(struct rig *rig, struct q_certs_spec spec) {
    spec.alt_names = spec.alt_names == NULL ? "DNS:a.example" : spec.alt_names;
    struct q_cert *leaf = q_certs_make(rig->middle, &spec);
    int32_t code = verify(rig, "a.example", CHAIN(leaf, rig->middle));
    q_certs_free(leaf);
    return code;
}

static void a_good_chain_is_taken(void **state) {
    struct rig *rig = *state;
    assert_int_equal(name_of(rig, "a.example"), 0);
    assert_string_equal(q_verify_reason(&rig->verdict), "");
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf, rig->middle, rig->root)), 0);
    rig->policy.now_s = 0; // the system's time lies within as well
    assert_int_equal(name_of(rig, "a.example"), 0);
}

static void names_are_compared_strictly(void **state) {
    struct rig *rig = *state;
    static const char *const k_taken[] = {"a.example", "A.EXAMPLE", "a.example.", "x.b.example", "X.b.Example",
                                          "127.0.0.1", "::1"};
    static const char *const k_refused[] = {
        "b.a.example", "example",     "b.example", ".b.example", "x.y.b.example", // a wildcard is one label
        "z.example",                                                              // no wildcard in front of one label
        "dd.e.example", "d*.e.example_", "f.g.example",                           // nor a part of a label, nor elsewhere
        "cn.example",  "test",        "",          ".",          "*",
        "127.0.0.2",   "::2",         "10.0.0.1",                                 // an address is no host name
        "a.exampleX",  "xa.example"};
    for (size_t i = 0; i < sizeof k_taken / sizeof k_taken[0]; i++) {
        if (name_of(rig, k_taken[i]) != 0) {
            fail_msg("%s is refused", k_taken[i]);
        }
    }
    for (size_t i = 0; i < sizeof k_refused / sizeof k_refused[0]; i++) {
        if (name_of(rig, k_refused[i]) != Q_ERR_TLS_NAME_MISMATCH) {
            fail_msg("%s gives %d", k_refused[i], rig->verdict.error.code);
        }
    }
    rig->policy.skips_name = true;
    assert_int_equal(name_of(rig, "z.example"), 0);
}

static void a_name_with_a_nul_matches_nothing(void **state) {
    struct rig *rig = *state;
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    assert_true(sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(rig->leaf->der, rig->leaf->der_len, NULL)));
    assert_true(sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(rig->middle->der, rig->middle->der_len, NULL)));
    q_verify(&rig->policy, chain, Q_SLICE("a.example\0"), &rig->verdict);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    assert_int_equal(rig->verdict.error.code, Q_ERR_TLS_NAME_MISMATCH);
}

static void the_common_name_counts_for_nothing(void **state) {
    struct rig *rig = *state;
    struct q_cert *leaf = q_certs_make(rig->middle, &(struct q_certs_spec){.common_name = "a.example"});
    assert_int_equal(verify(rig, "a.example", CHAIN(leaf, rig->middle)), Q_ERR_TLS_NAME_MISMATCH);
    q_certs_free(leaf);
}

static void times_have_kinds_of_their_own(void **state) {
    struct rig *rig = *state;
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.not_after = Q_CERTS_NOW - 1}), Q_ERR_TLS_CERT_EXPIRED);
    assert_int_equal(rig->verdict.depth, 0);
    assert_string_equal(q_verify_reason(&rig->verdict), "certificate has expired");
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.not_before = Q_CERTS_NOW + 1}), Q_ERR_TLS_CERT_NOT_YET_VALID);
    rig->policy.now_s = Q_CERTS_2050 + 1;
    int32_t code = name_of(rig, "a.example");
    assert_int_equal(code, Q_ERR_TLS_CERT_EXPIRED);
}

static void trust_ends_where_the_policy_says(void **state) {
    struct rig *rig = *state;
    struct q_cert *alone = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example", .key_number = KEY_OTHER});
    assert_int_equal(verify(rig, "a.example", CHAIN(alone)), Q_ERR_TLS_SELF_SIGNED);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf)), Q_ERR_TLS_UNTRUSTED_ROOT); // its issuer is not there
    rig->policy.roots = NULL;
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_UNTRUSTED_ROOT);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf, rig->middle, rig->root)), Q_ERR_TLS_UNTRUSTED_ROOT);

    // A root of the same name and another key is another one.
    struct q_cert *twin = q_certs_authority(NULL, "root", KEY_OTHER);
    X509_STORE *store = store_of(twin);
    rig->policy.roots = store;
    assert_int_not_equal(name_of(rig, "a.example"), 0);
    X509_STORE_free(store);
    q_certs_free(twin);

    // Trusted itself.
    rig->policy.roots = store = store_of(alone);
    assert_int_equal(verify(rig, "a.example", CHAIN(alone)), 0);
    X509_STORE_free(store);
    q_certs_free(alone);
}

static void an_anchor_need_not_be_signed_by_itself(void **state) {
    struct rig *rig = *state;
    X509_STORE *store = store_of(rig->middle);
    rig->policy.roots = store;
    assert_int_equal(name_of(rig, "a.example"), 0);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf)), 0);
    X509_STORE_free(store);
    rig->policy.roots = store = store_of(rig->leaf);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf)), 0);
    assert_int_equal(verify(rig, "z.example", CHAIN(rig->leaf)), Q_ERR_TLS_NAME_MISMATCH);
    X509_STORE_free(store);
}

static void a_certificate_is_for_its_purpose_alone(void **state) {
    struct rig *rig = *state;
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.extended_usage = "clientAuth"}), Q_ERR_TLS_BAD_PURPOSE);
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.extended_usage = ""}), 0);

    // A leaf that signs; one that by its usage cannot is not even taken for the issuer.
    struct q_cert *child = q_certs_make(rig->leaf, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    assert_int_equal(verify(rig, "a.example", CHAIN(child, rig->leaf, rig->middle)), Q_ERR_TLS_UNTRUSTED_ROOT);
    q_certs_free(child);
    struct q_cert *leaf = q_certs_make(rig->middle, &(struct q_certs_spec){.key_usage = "", .common_name = "signer"});
    child = q_certs_make(leaf, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    assert_int_equal(verify(rig, "a.example", CHAIN(child, leaf, rig->middle)), Q_ERR_TLS_BAD_PURPOSE);
    assert_int_equal(rig->verdict.depth, 1);
    q_certs_free(child);
    q_certs_free(leaf);
}

static void weak_keys_and_hashes_are_refused(void **state) {
    struct rig *rig = *state;
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.key = Q_CERTS_RSA_1024}), Q_ERR_TLS_WEAK_KEY);
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.key = Q_CERTS_RSA_2048}), 0);
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.key = Q_CERTS_P384}), 0);
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.digest = Q_CERTS_SHA1}), Q_ERR_TLS_WEAK_SIGNATURE);
    assert_int_equal(leaf_of(rig, (struct q_certs_spec){.digest = Q_CERTS_SHA384}), 0);

    // In the middle; the same as an anchor, whose own signature nobody relies on, and whose owner was chosen.
    struct q_cert *middle = q_certs_make(rig->root, &(struct q_certs_spec){
                                                        .common_name = "weak", .is_ca = true, .key = Q_CERTS_RSA_1024});
    struct q_cert *leaf = q_certs_make(middle, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    assert_int_equal(verify(rig, "a.example", CHAIN(leaf, middle)), Q_ERR_TLS_WEAK_KEY);
    assert_int_equal(rig->verdict.depth, 1);
    X509_STORE *store = store_of(middle);
    rig->policy.roots = store;
    assert_int_equal(verify(rig, "a.example", CHAIN(leaf, middle)), 0);
    X509_STORE_free(store);
    q_certs_free(leaf);
    q_certs_free(middle);

    // A weak leaf is weak also where it is trusted itself.
    leaf = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example", .key = Q_CERTS_RSA_1024});
    rig->policy.roots = store = store_of(leaf);
    assert_int_equal(verify(rig, "a.example", CHAIN(leaf)), Q_ERR_TLS_WEAK_KEY);
    X509_STORE_free(store);
    q_certs_free(leaf);
}

static void pins_are_looked_for_in_the_path(void **state) {
    struct rig *rig = *state;
    uint8_t pins[2][Q_VERIFY_PIN_LEN] = {{1}, {2}};
    rig->policy.pins = (const uint8_t(*)[Q_VERIFY_PIN_LEN])pins;
    rig->policy.num_pins = 2;
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_PIN_MISMATCH);
    const struct q_cert *const certs[] = {rig->leaf, rig->middle, rig->root};
    for (size_t i = 0; i < 3; i++) {
        memcpy(pins[1], certs[i]->spki_sha256, sizeof pins[1]);
        assert_int_equal(name_of(rig, "a.example"), 0);
    }

    // A pinned certificate that is sent along, and is no part of the path, proves nothing.
    struct q_cert *stranger = q_certs_authority(NULL, "stranger", KEY_OTHER);
    memcpy(pins[1], stranger->spki_sha256, sizeof pins[1]);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf, rig->middle, stranger)), Q_ERR_TLS_PIN_MISMATCH);
    q_certs_free(stranger);
}

static void without_a_path_only_the_leaf_is_looked_at(void **state) {
    struct rig *rig = *state;
    rig->policy.skips_path = true;
    rig->policy.roots = NULL;
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf)), 0);
    assert_int_equal(verify(rig, "z.example", CHAIN(rig->leaf)), Q_ERR_TLS_NAME_MISMATCH);
    uint8_t pin[1][Q_VERIFY_PIN_LEN];
    rig->policy.pins = (const uint8_t(*)[Q_VERIFY_PIN_LEN])pin;
    rig->policy.num_pins = 1;
    memcpy(pin[0], rig->leaf->spki_sha256, sizeof pin[0]);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf, rig->middle)), 0);
    memcpy(pin[0], rig->middle->spki_sha256, sizeof pin[0]);
    assert_int_equal(verify(rig, "a.example", CHAIN(rig->leaf, rig->middle)), Q_ERR_TLS_PIN_MISMATCH);
}

// Of a host that may overrule what is wrong: a missing pin does not hide behind it, and a pinned key that nobody vouches for
// by a good path is worth nothing.
static void where_pins_come_first_nothing_hides_a_missing_one(void **state) {
    struct rig *rig = *state;
    uint8_t pin[1][Q_VERIFY_PIN_LEN] = {{1}};
    rig->policy.pins = (const uint8_t(*)[Q_VERIFY_PIN_LEN])pin;
    rig->policy.num_pins = 1;
    assert_int_equal(name_of(rig, "z.example"), Q_ERR_TLS_NAME_MISMATCH);
    rig->policy.puts_pins_first = true;
    assert_int_equal(name_of(rig, "z.example"), Q_ERR_TLS_PIN_MISMATCH);
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_PIN_MISMATCH);
    memcpy(pin[0], rig->middle->spki_sha256, sizeof pin[0]);
    assert_int_equal(name_of(rig, "a.example"), 0);
    assert_int_equal(name_of(rig, "z.example"), Q_ERR_TLS_NAME_MISMATCH); // the path is good
    X509_STORE *roots = rig->policy.roots;
    rig->policy.roots = NULL; // no path
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_PIN_MISMATCH);
    memcpy(pin[0], rig->leaf->spki_sha256, sizeof pin[0]);
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_UNTRUSTED_ROOT);
    assert_int_equal(verify(rig, "a.example", NULL, 0), Q_ERR_TLS_PIN_MISMATCH); // nothing to have one
    rig->policy.roots = roots;
}

static STACK_OF(X509_CRL) *lists_of(char *const *texts, size_t count) {
    STACK_OF(X509_CRL) *lists = sk_X509_CRL_new_null();
    for (size_t i = 0; i < count; i++) {
        BIO *bio = BIO_new_mem_buf(texts[i], -1);
        X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
        assert_non_null(list);
        assert_true(sk_X509_CRL_push(lists, list));
        BIO_free(bio);
    }
    return lists;
}

// `code` comes of lists of middle and root that revoke these serials; 0 revokes nobody.
static int32_t revoking(struct rig *rig, uint64_t by_middle, uint64_t by_root, int64_t next_update) {
    char *texts[2] = {q_certs_crl(rig->middle, &by_middle, by_middle != 0, next_update),
                      q_certs_crl(rig->root, &by_root, by_root != 0, next_update)};
    rig->policy.crls = lists_of(texts, 2);
    int32_t code = name_of(rig, "a.example");
    sk_X509_CRL_pop_free(rig->policy.crls, X509_CRL_free);
    rig->policy.crls = NULL;
    free(texts[0]);
    free(texts[1]);
    return code;
}

static void the_revoked_are_refused(void **state) {
    struct rig *rig = *state;
    assert_int_equal(revoking(rig, 0, 0, 0), 0);
    assert_int_equal(revoking(rig, rig->leaf->serial, 0, 0), Q_ERR_TLS_CERT_REVOKED);
    assert_int_equal(revoking(rig, 0, rig->middle->serial, 0), Q_ERR_TLS_CERT_REVOKED);
    assert_int_equal(rig->verdict.depth, 1);
    assert_int_equal(revoking(rig, 0, 0, Q_CERTS_NOW - 1), Q_ERR_TLS_NO_CRL);
}

static void each_certificate_but_the_anchor_needs_a_list(void **state) {
    struct rig *rig = *state;
    char *text = q_certs_crl(rig->root, NULL, 0, 0);
    rig->policy.crls = lists_of(&text, 1);
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_NO_CRL);
    sk_X509_CRL_pop_free(rig->policy.crls, X509_CRL_free);
    free(text);

    // With the intermediate as the anchor nobody has to say anything about it.
    text = q_certs_crl(rig->middle, NULL, 0, 0);
    rig->policy.crls = lists_of(&text, 1);
    assert_int_equal(name_of(rig, "a.example"), Q_ERR_TLS_NO_CRL);
    X509_STORE *store = store_of(rig->middle);
    rig->policy.roots = store;
    assert_int_equal(name_of(rig, "a.example"), 0);
    X509_STORE_free(store);
    sk_X509_CRL_pop_free(rig->policy.crls, X509_CRL_free);
    free(text);
}

static void what_is_no_certificate_is_a_bad_chain(void **state) {
    struct rig *rig = *state;
    q_verify(&rig->policy, NULL, Q_SLICE("a.example"), &rig->verdict);
    assert_int_equal(rig->verdict.error.code, Q_ERR_TLS_BAD_CHAIN);
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    q_verify(&rig->policy, chain, Q_SLICE("a.example"), &rig->verdict);
    assert_int_equal(rig->verdict.error.code, Q_ERR_TLS_BAD_CHAIN);
    assert_true(sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new((const uint8_t *)"junk", 4, NULL)));
    q_verify(&rig->policy, chain, Q_SLICE("a.example"), &rig->verdict);
    assert_int_equal(rig->verdict.error.code, Q_ERR_TLS_BAD_CHAIN);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);

    const struct q_cert *many[Q_VERIFY_CHAIN_MAX + 1];
    for (size_t i = 0; i < Q_VERIFY_CHAIN_MAX + 1; i++) {
        many[i] = i == 0 ? rig->leaf : rig->middle;
    }
    assert_int_equal(verify(rig, "a.example", many, Q_VERIFY_CHAIN_MAX), 0);
    assert_int_equal(verify(rig, "a.example", many, Q_VERIFY_CHAIN_MAX + 1), Q_ERR_TLS_BAD_CHAIN);
}

// Each byte of a leaf turned over in turn: nothing that was signed may change unseen.
static void a_changed_leaf_is_never_taken(void **state) {
    struct rig *rig = *state;
    struct q_cert changed = *rig->leaf;
    changed.der = malloc(rig->leaf->der_len);
    for (size_t i = 0; i < rig->leaf->der_len; i++) {
        memcpy(changed.der, rig->leaf->der, rig->leaf->der_len);
        changed.der[i] ^= 1;
        if (verify(rig, "a.example", CHAIN(&changed, rig->middle)) == 0) {
            fail_msg("byte %zu of %zu", i, rig->leaf->der_len);
        }
    }
    free(changed.der);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_good_chain_is_taken),
        CASE(names_are_compared_strictly),
        CASE(a_name_with_a_nul_matches_nothing),
        CASE(the_common_name_counts_for_nothing),
        CASE(times_have_kinds_of_their_own),
        CASE(trust_ends_where_the_policy_says),
        CASE(an_anchor_need_not_be_signed_by_itself),
        CASE(a_certificate_is_for_its_purpose_alone),
        CASE(weak_keys_and_hashes_are_refused),
        CASE(pins_are_looked_for_in_the_path),
        CASE(without_a_path_only_the_leaf_is_looked_at),
        CASE(where_pins_come_first_nothing_hides_a_missing_one),
        CASE(the_revoked_are_refused),
        CASE(each_certificate_but_the_anchor_needs_a_list),
        CASE(what_is_no_certificate_is_a_bad_chain),
        CASE(a_changed_leaf_is_never_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

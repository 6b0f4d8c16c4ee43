// Client certificates, keys and revocation lists: every form that is written out there, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/mem.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tls/identity.h"
#include "tests/support/certs.h"

#define PASSPHRASE "correct horse"

static int read_chain(struct q_slice bytes, size_t *out_len) {
    STACK_OF(CRYPTO_BUFFER) *chain = NULL;
    struct q_error error = q_identity_read_chain(bytes, &chain);
    *out_len = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain);
    assert_true((chain == NULL) == q_error_is(error));
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    return error.code;
}

static int read_chain_text(char *text, size_t *out_len) {
    int code = read_chain(q_slice_of_string(text), out_len);
    free(text);
    return code;
}

// The code of reading a key, which must be that of `cert` when it is read.
static int read_key(const struct q_cert *cert, const void *bytes, size_t len, const char *passphrase) {
    EVP_PKEY *key = NULL;
    struct q_error error = q_identity_read_key(q_slice_make(bytes, len), q_slice_of_string(passphrase), &key);
    assert_true((key == NULL) == q_error_is(error));
    if (key != NULL) {
        assert_int_equal(EVP_PKEY_cmp(key, cert->key), 1);
        EVP_PKEY_free(key);
    }
    return error.code;
}

static int read_key_text(const struct q_cert *cert, char *text, const char *passphrase) {
    int code = read_key(cert, text, strlen(text), passphrase);
    free(text);
    return code;
}

static void chains_are_read_in_their_order_or_refused_whole(void **state) {
    (void)state;
    struct q_cert *root = q_certs_authority(NULL, "root", 1);
    struct q_cert *leaf = q_certs_make(root, &(struct q_certs_spec){.key_number = 2});
    STACK_OF(CRYPTO_BUFFER) *chain = NULL;
    size_t len;
    char *text = q_certs_join("words\n", leaf->pem, leaf->key_pem, root->pem, NULL);
    assert_int_equal(q_identity_read_chain(q_slice_of_string(text), &chain).code, 0);
    assert_int_equal(sk_CRYPTO_BUFFER_num(chain), 2);
    assert_memory_equal(CRYPTO_BUFFER_data(sk_CRYPTO_BUFFER_value(chain, 0)), leaf->der, leaf->der_len);
    assert_memory_equal(CRYPTO_BUFFER_data(sk_CRYPTO_BUFFER_value(chain, 1)), root->der, root->der_len);
    assert_int_equal(q_identity_check_key(chain, leaf->key).code, 0);
    assert_int_equal(q_identity_check_key(chain, root->key).code, Q_ERR_TLS_KEY_MISMATCH);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    assert_int_equal(read_chain_text(text, &len), 0);
    assert_int_equal(read_chain(q_slice_make(leaf->der, leaf->der_len), &len), 0);
    assert_int_equal(len, 1);
    assert_int_equal(read_chain(q_slice_make(leaf->der, leaf->der_len - 1), &len), Q_ERR_TLS_BAD_CERTIFICATE);
    assert_int_equal(read_chain((struct q_slice){0}, &len), Q_ERR_TLS_BAD_CERTIFICATE);
    assert_int_equal(read_chain_text(q_certs_join(leaf->key_pem, NULL), &len), Q_ERR_TLS_BAD_CERTIFICATE);
    assert_int_equal(read_chain_text(q_certs_join(leaf->pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                                  NULL), &len), Q_ERR_TLS_BAD_CERTIFICATE);
    text = q_certs_join("", NULL);
    for (size_t i = 0; i < Q_IDENTITY_CHAIN_MAX; i++) {
        char *longer = q_certs_join(text, leaf->pem, NULL);
        free(text);
        text = longer;
    }
    assert_int_equal(read_chain(q_slice_of_string(text), &len), 0);
    assert_int_equal(len, Q_IDENTITY_CHAIN_MAX);
    assert_int_equal(read_chain_text(q_certs_join(text, leaf->pem, NULL), &len), Q_ERR_TLS_BAD_CERTIFICATE);
    free(text);
    q_certs_free(leaf);
    q_certs_free(root);
}

static void every_form_of_key_is_read(void **state) {
    (void)state;
    static const enum q_certs_key k_kinds[] = {Q_CERTS_P256, Q_CERTS_RSA_2048};
    for (size_t i = 0; i < Q_COUNT_OF(k_kinds); i++) {
        struct q_cert *cert = q_certs_make(NULL, &(struct q_certs_spec){.key = k_kinds[i]});
        size_t locked_len;
        uint8_t *locked = q_certs_key_der_locked(cert, PASSPHRASE, &locked_len);
        assert_int_equal(read_key_text(cert, q_certs_join(cert->pem, cert->key_pem, NULL), ""), 0);
        assert_int_equal(read_key_text(cert, q_certs_key_pem_locked(cert, PASSPHRASE), PASSPHRASE), 0);
        assert_int_equal(read_key_text(cert, q_certs_key_pem_old(cert, NULL), ""), 0);
        assert_int_equal(read_key_text(cert, q_certs_key_pem_old(cert, PASSPHRASE), PASSPHRASE), 0);
        assert_int_equal(read_key(cert, cert->key_der, cert->key_der_len, ""), 0);
        assert_int_equal(read_key(cert, locked, locked_len, PASSPHRASE), 0);
        assert_int_equal(read_key_text(cert, q_certs_join(cert->key_pem, NULL), "not needed"), 0);
        free(locked);
        q_certs_free(cert);
    }
}

static void a_wrong_or_missing_passphrase_has_an_error_of_its_own(void **state) {
    (void)state;
    struct q_cert *cert = q_certs_make(NULL, &(struct q_certs_spec){0});
    static const char *const k_wrong[] = {"", "correct horsf", "correct hors", "correct horse "};
    size_t len;
    uint8_t *der = q_certs_key_der_locked(cert, PASSPHRASE, &len);
    for (size_t i = 0; i < Q_COUNT_OF(k_wrong); i++) {
        assert_int_equal(read_key_text(cert, q_certs_key_pem_locked(cert, PASSPHRASE), k_wrong[i]), Q_ERR_TLS_BAD_PASSPHRASE);
        assert_int_equal(read_key_text(cert, q_certs_key_pem_old(cert, PASSPHRASE), k_wrong[i]), Q_ERR_TLS_BAD_PASSPHRASE);
        assert_int_equal(read_key(cert, der, len, k_wrong[i]), Q_ERR_TLS_BAD_PASSPHRASE);
    }
    free(der);
    q_certs_free(cert);
}

static void what_is_no_key_is_refused(void **state) {
    (void)state;
    struct q_cert *cert = q_certs_make(NULL, &(struct q_certs_spec){0});
    assert_int_equal(read_key(cert, "", 0, ""), Q_ERR_TLS_BAD_KEY);
    assert_int_equal(read_key(cert, "words", 5, PASSPHRASE), Q_ERR_TLS_BAD_KEY);
    assert_int_equal(read_key_text(cert, q_certs_join(cert->pem, NULL), ""), Q_ERR_TLS_BAD_KEY);
    assert_int_equal(read_key_text(cert, q_certs_join("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", NULL),
                                   PASSPHRASE), Q_ERR_TLS_BAD_KEY);
    for (size_t len = 0; len < cert->key_der_len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, cert->key_der, len);
        assert_int_equal(read_key(cert, exact, len, ""), Q_ERR_TLS_BAD_KEY);
        free(exact);
    }
    uint8_t *longer = malloc(cert->key_der_len + 1);
    assert_non_null(longer);
    memcpy(longer, cert->key_der, cert->key_der_len);
    longer[cert->key_der_len] = 0;
    assert_int_equal(read_key(cert, longer, cert->key_der_len + 1, ""), Q_ERR_TLS_BAD_KEY);
    free(longer);
    q_certs_free(cert);
}

static void lists_are_read_one_behind_the_other(void **state) {
    (void)state;
    struct q_cert *root = q_certs_authority(NULL, "root", 1);
    char *one = q_certs_crl(root, (const uint64_t[]){5}, 1, 0);
    char *two = q_certs_crl(root, (const uint64_t[]){6, 7}, 2, 0);
    char *both = q_certs_join(one, root->pem, two, NULL);
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    assert_int_equal(q_identity_read_crls(q_slice_of_string(both), crls).code, 0);
    assert_int_equal(sk_X509_CRL_num(crls), 2);
    uint8_t *der = NULL;
    int der_len = i2d_X509_CRL(sk_X509_CRL_value(crls, 0), &der);
    assert_int_equal(q_identity_read_crls(q_slice_make(der, (size_t)der_len), crls).code, 0);
    assert_int_equal(sk_X509_CRL_num(crls), 3);
    assert_int_equal(q_identity_read_crls(q_slice_make(der, (size_t)der_len - 1), crls).code, Q_ERR_TLS_BAD_CRL);
    assert_int_equal(q_identity_read_crls(q_slice_of_string(root->pem), crls).code, Q_ERR_TLS_BAD_CRL);
    assert_int_equal(q_identity_read_crls((struct q_slice){0}, crls).code, Q_ERR_TLS_BAD_CRL);
    while (sk_X509_CRL_num(crls) < Q_IDENTITY_CRLS_MAX) {
        assert_int_equal(q_identity_read_crls(q_slice_of_string(one), crls).code, 0);
    }
    assert_int_equal(q_identity_read_crls(q_slice_of_string(one), crls).code, Q_ERR_TLS_BAD_CRL);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    OPENSSL_free(der);
    free(one);
    free(two);
    free(both);
    q_certs_free(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_read_in_their_order_or_refused_whole),
        cmocka_unit_test(every_form_of_key_is_read),
        cmocka_unit_test(a_wrong_or_missing_passphrase_has_an_error_of_its_own),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(lists_are_read_one_behind_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The factory of certificates makes what it says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/certs.h"

// verify_error gives X509_V_OK, or why `leaf` is not trusted at Q_CERTS_NOW.
static int verify_error(const struct q_cert *leaf, const struct q_cert *between, const struct q_cert *root,
                        const char *crl_pem, const char *name) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    assert_true(X509_STORE_add_cert(store, root->x509));
    if (between != NULL) {
        assert_true(sk_X509_push(others, between->x509) > 0);
    }
    if (crl_pem != NULL) {
        BIO *bio = BIO_new_mem_buf(crl_pem, -1);
        X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
        assert_true(crl != NULL && X509_STORE_add_crl(store, crl));
        X509_CRL_free(crl);
        BIO_free(bio);
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    assert_true(X509_STORE_CTX_init(context, store, leaf->x509, others));
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    X509_STORE_CTX_set_time(context, 0, Q_CERTS_NOW);
    if (name != NULL) {
        X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(context), name, strlen(name));
    }
    (void)X509_verify_cert(context);
    int error = X509_STORE_CTX_get_error(context);
    sk_X509_free(others);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return error;
}

static void chains_are_what_they_say(void **state) {
    (void)state;
    struct q_cert *root = q_certs_authority(NULL, "root", 1);
    struct q_cert *between = q_certs_authority(root, "between", 2);
    struct q_cert *leaf = q_certs_make(between, &(struct q_certs_spec){.alt_names = "DNS:a.example", .key_number = 3});
    struct q_cert *late = q_certs_make(root, &(struct q_certs_spec){.not_after = Q_CERTS_NOW - 1, .key_number = 3});
    struct q_cert *early = q_certs_make(root, &(struct q_certs_spec){.not_before = Q_CERTS_NOW + 9, .key_number = 3});
    struct q_cert *client = q_certs_make(root, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 3});
    struct q_cert *rsa = q_certs_make(root, &(struct q_certs_spec){.key = Q_CERTS_RSA_2048});
    assert_int_equal(verify_error(leaf, between, root, NULL, "a.example"), X509_V_OK);
    assert_int_equal(verify_error(leaf, between, root, NULL, "b.example"), X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_not_equal(verify_error(leaf, NULL, root, NULL, NULL), X509_V_OK);
    assert_int_equal(verify_error(late, NULL, root, NULL, NULL), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(verify_error(early, NULL, root, NULL, NULL), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(verify_error(client, NULL, root, NULL, NULL), X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(verify_error(rsa, NULL, root, NULL, NULL), X509_V_OK);
    assert_int_equal(EVP_PKEY_bits(rsa->key), 2048);
    char *crl = q_certs_crl(root, &rsa->serial, 1, 0);
    assert_int_equal(verify_error(rsa, NULL, root, crl, NULL), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verify_error(client, NULL, root, crl, NULL), X509_V_ERR_INVALID_PURPOSE);
    free(crl);
    q_certs_free(rsa);
    q_certs_free(client);
    q_certs_free(early);
    q_certs_free(late);
    q_certs_free(leaf);
    q_certs_free(between);
    q_certs_free(root);
}

static void an_ec_key_is_the_same_in_every_run(void **state) {
    (void)state;
    struct q_cert *one = q_certs_make(NULL, &(struct q_certs_spec){.key_number = 1});
    struct q_cert *same = q_certs_make(NULL, &(struct q_certs_spec){.key_number = 1});
    struct q_cert *other = q_certs_make(NULL, &(struct q_certs_spec){.key_number = 2});
    assert_memory_equal(one->spki_sha256, same->spki_sha256, 32);
    assert_memory_not_equal(one->spki_sha256, other->spki_sha256, 32);
    assert_int_not_equal(one->serial, same->serial);
    q_certs_free(one);
    q_certs_free(same);
    q_certs_free(other);
}

static void files_are_written_and_removed(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char *path = q_certs_write(folder, "etc/ssl/x.pem", "text");
    assert_int_equal(access(path, R_OK), 0);
    q_certs_folder_remove(folder);
    assert_int_not_equal(access(folder, F_OK), 0);
    free(path);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_what_they_say),
        cmocka_unit_test(an_ec_key_is_the_same_in_every_run),
        cmocka_unit_test(files_are_written_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What is said of a certificate: who it is, what of it does not fit, and nothing that a server could have us say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tls/verify_words.h"
#include "tests/support/certs.h"

#include <openssl/x509.h>

static struct q_cert *the_root;

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "the root", 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_free(the_root);
    return 0;
}

static struct q_verify_verdict words_of(const struct q_cert *cert, enum q_error_code code, const char *name) {
    struct q_verify_verdict verdict;
    memset(&verdict, 'x', sizeof verdict);
    verdict.error = q_error_make(code, Q_PHASE_TLS);
    verdict.reason = 0;
    q_verify_words(cert == NULL ? NULL : cert->x509, q_slice_of_string(name), &verdict);
    const char *texts[] = {verdict.subject, verdict.issuer, verdict.more};
    for (size_t i = 0; i < 3; i++) {
        assert_true(strlen(texts[i]) < Q_VERIFY_WORDS_MAX);
        for (const char *at = texts[i]; *at != '\0'; at++) {
            assert_in_range(*at, ' ', '~');
        }
    }
    return verdict;
}

// Words about a leaf that `spec` describes.
static struct q_verify_verdict leaf_of(struct q_certs_spec spec, enum q_error_code code, const char *name) {
    struct q_cert *leaf = q_certs_make(the_root, &spec);
    struct q_verify_verdict verdict = words_of(leaf, code, name);
    q_certs_free(leaf);
    return verdict;
}

static void who_it_is_and_who_vouches(void **state) {
    (void)state;
    struct q_verify_verdict verdict = leaf_of((struct q_certs_spec){.common_name = "a leaf"}, Q_ERR_TLS_BAD_CHAIN, "a");
    assert_string_equal(verdict.subject, "CN=a leaf");
    assert_string_equal(verdict.issuer, "CN=the root");
    assert_string_equal(verdict.more, "");
}

static void what_does_not_fit(void **state) {
    (void)state;
    struct q_certs_spec spec = {.alt_names = "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1",
                                .not_before = Q_CERTS_2020, .not_after = Q_CERTS_NOW};
    assert_string_equal(leaf_of(spec, Q_ERR_TLS_CERT_EXPIRED, "a").more, "valid until Jan  1 00:00:00 2025 GMT");
    assert_string_equal(leaf_of(spec, Q_ERR_TLS_CERT_NOT_YET_VALID, "a").more, "valid from Jan  1 00:00:00 2020 GMT");
    assert_string_equal(leaf_of(spec, Q_ERR_TLS_NAME_MISMATCH, "c.example").more,
                        "not for c.example: it is for a.example, *.b.example, 127.0.0.1, 0:0:0:0:0:0:0:1");
    assert_string_equal(leaf_of((struct q_certs_spec){0}, Q_ERR_TLS_NAME_MISMATCH, "c.example").more,
                        "not for c.example: it is for no host at all");
    assert_string_equal(leaf_of((struct q_certs_spec){.key = Q_CERTS_RSA_1024}, Q_ERR_TLS_WEAK_KEY, "a").more,
                        "its key has 1024 bits");
    assert_string_equal(leaf_of((struct q_certs_spec){.digest = Q_CERTS_SHA1}, Q_ERR_TLS_WEAK_SIGNATURE, "a").more,
                        "signed with ecdsa-with-SHA1");
    assert_string_equal(words_of(NULL, Q_ERR_TLS_BAD_CHAIN, "a").more, "it cannot be read");
}

// What a server puts into its names stays inside them, and within bounds.
static void names_are_escaped_and_cut(void **state) {
    (void)state;
    char name[65] = {0};
    char wanted[600];
    memset(wanted, 'w', sizeof wanted - 1);
    wanted[sizeof wanted - 1] = '\0';
    memset(name, '\n', 64);
    struct q_verify_verdict verdict = leaf_of((struct q_certs_spec){.common_name = name}, Q_ERR_TLS_BAD_CHAIN, "a");
    assert_memory_equal(verdict.subject, "CN=\\0A\\0A", 9);
    verdict = leaf_of((struct q_certs_spec){.common_name = "a\",issuer \"CN=b\r\x1b[2J\xc3\xa9"}, Q_ERR_TLS_BAD_CHAIN, "a");
    assert_non_null(strstr(verdict.subject, "a\\\"\\,issuer \\\"CN=b\\0D\\1B[2J"));
    verdict = leaf_of((struct q_certs_spec){.alt_names = "DNS:a.example"}, Q_ERR_TLS_NAME_MISMATCH, wanted);
    assert_int_equal(strlen(verdict.more), Q_VERIFY_WORDS_MAX - 1);
    assert_string_equal(verdict.more + Q_VERIFY_WORDS_MAX - 4, "...");
    verdict = leaf_of((struct q_certs_spec){.alt_names = "DNS:a.example"}, Q_ERR_TLS_NAME_MISMATCH, "a, b\x7f\\");
    assert_string_equal(verdict.more, "not for a\\2C\\20b\\7F\\5C: it is for a.example");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_it_is_and_who_vouches),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(names_are_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

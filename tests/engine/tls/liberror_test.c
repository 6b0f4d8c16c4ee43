// Want of memory is told from bytes that cannot be read, at every allocation of a parse.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tls/liberror.h"
#include <openssl/ssl.h>
#include "tests/support/certs.h"
#include "tests/support/libmemory.h"

static X509 *parse(const uint8_t *der, size_t len) {
    ERR_clear_error();
    return d2i_X509(NULL, &der, (long)len);
}

static void bytes_that_cannot_be_read_are_not_want_of_memory(void **state) {
    (void)state;
    struct q_cert *cert = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    for (size_t len = 0; len < cert->der_len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, cert->der, len);
        assert_null(parse(exact, len));
        assert_false(q_liberror_was_memory());
        assert_int_equal(ERR_peek_error(), 0);
        free(exact);
    }
    for (size_t at = 0; at < cert->der_len; at++) {
        cert->der[at] ^= 0xff;
        X509 *x509 = parse(cert->der, cert->der_len);
        assert_true(x509 != NULL || !q_liberror_was_memory());
        X509_free(x509);
        cert->der[at] ^= 0xff;
    }
    q_certs_free(cert);
}

static void want_of_memory_is_known_at_every_allocation(void **state) {
    (void)state;
    struct q_cert *cert = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    X509_free(parse(cert->der, cert->der_len));
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        q_libmemory_fail_at(nth);
        X509 *x509 = parse(cert->der, cert->der_len);
        failed = q_libmemory_failed();
        q_libmemory_fail_at(0);
        assert_true(x509 != NULL || q_liberror_was_memory());
        X509_free(x509);
    }
    q_certs_free(cert);
}

// Each reason that a server can cause and that has a kind of its own; the others are told in the library's word beside it.
static void what_a_server_has_done_wrong_has_its_kind(void **state) {
    static const struct {
        int reason;
        int32_t code;
    } k_cases[] = {
        {SSL_R_UNSUPPORTED_PROTOCOL, Q_ERR_TLS_NOTHING_IN_COMMON},
        {SSL_R_WRONG_CIPHER_RETURNED, Q_ERR_TLS_NOTHING_IN_COMMON},
        {SSL_R_UNKNOWN_CIPHER_RETURNED, Q_ERR_TLS_NOTHING_IN_COMMON},
        {SSL_R_WRONG_CURVE, Q_ERR_TLS_NOTHING_IN_COMMON},
        {SSL_R_WRONG_SIGNATURE_TYPE, Q_ERR_TLS_NOTHING_IN_COMMON},
        {SSL_R_INVALID_ALPN_PROTOCOL, Q_ERR_TLS_BAD_ALPN},
        {SSL_R_BAD_SIGNATURE, Q_ERR_TLS_BAD_SIGNATURE},
        {SSL_R_CERT_DECOMPRESSION_FAILED, Q_ERR_TLS_BAD_CHAIN},
        {SSL_R_CANNOT_PARSE_LEAF_CERT, Q_ERR_TLS_BAD_CHAIN},
        {SSL_R_UNCOMPRESSED_CERT_TOO_LARGE, Q_ERR_TLS_BAD_CHAIN},
        {SSL_R_ECC_CERT_NOT_FOR_SIGNING, Q_ERR_TLS_BAD_PURPOSE},
        {SSL_R_KEY_USAGE_BIT_INCORRECT, Q_ERR_TLS_BAD_PURPOSE},
        {SSL_R_WRONG_VERSION_NUMBER, Q_ERR_TLS_PROTOCOL},
        {SSL_R_DECODE_ERROR, Q_ERR_TLS_PROTOCOL},
        {SSL_R_DIGEST_CHECK_FAILED, Q_ERR_TLS_PROTOCOL},
        {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, Q_ERR_TLS_PROTOCOL},
        {SSL_R_EXCESSIVE_MESSAGE_SIZE, Q_ERR_TLS_PROTOCOL},
        {SSL_R_UNEXPECTED_EXTENSION, Q_ERR_TLS_PROTOCOL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        uint32_t packed = ERR_PACK(ERR_LIB_SSL, k_cases[i].reason);
        assert_int_equal(q_liberror_kind(packed), k_cases[i].code);
        assert_non_null(ERR_reason_error_string(packed));
        assert_int_equal(q_liberror_kind(ERR_PACK(ERR_LIB_X509, k_cases[i].reason)), Q_ERR_TLS_PROTOCOL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_cannot_be_read_are_not_want_of_memory),
        cmocka_unit_test(want_of_memory_is_known_at_every_allocation),
        cmocka_unit_test(what_a_server_has_done_wrong_has_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

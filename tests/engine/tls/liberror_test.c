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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_cannot_be_read_are_not_want_of_memory),
        cmocka_unit_test(want_of_memory_is_known_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// nginx with TLS is what nginx_tls.h says, seen by Debian's curl: versions, keys, resumption, clients' certificates.
#include "tests/e2e/nginx_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/program.h"

// The two requests of one curl, each on a connection of its own. Gives curl's exit code.
static int get_twice(const struct nginx_tls *tls, const char *roots, const char *cert, const char *key) {
    char url[256];
    nginx_url(&tls->nginx, "/x.bin", url, sizeof url);
    const char *arguments[] = {"-q",
                               "-s",
                               "-S",
                               "--max-time",
                               "20",
                               "-H",
                               "Connection: close",
                               "--cacert",
                               roots,
                               url,
                               url,
                               cert == NULL ? NULL : "--cert",
                               cert,
                               "--key",
                               key,
                               NULL};
    struct program_said said = program_run("/usr/bin/curl", arguments);
    int exit_code = said.exit_code;
    program_free(&said);
    return exit_code;
}

static void versions_keys_and_resumption_are_as_asked(void **state) {
    static const struct {
        struct nginx_tls_options options;
        const char *protocol;
        const char *cipher_part;
        const char *reused;
    } k_cases[] = {
        {{.protocols = "TLSv1.2"}, "TLSv1.2", "ECDHE-ECDSA-", "r"},
        {{.protocols = "TLSv1.2", .has_rsa = true, .has_no_tickets = true}, "TLSv1.2", "ECDHE-RSA-", "r"},
        {{.protocols = "TLSv1.2", .has_no_tickets = true, .has_no_cache = true}, "TLSv1.2", "ECDHE-ECDSA-", "."},
        {{.protocols = "TLSv1.3"}, "TLSv1.3", "TLS_", "r"},
        {{.protocols = "TLSv1.3", .has_no_tickets = true, .has_no_cache = true}, "TLSv1.3", "TLS_", "."},
        {{.has_rsa = true, .has_ecdsa = true}, "TLSv1.3", "TLS_", "r"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct nginx_tls tls = nginx_tls_start(&k_cases[i].options);
        nginx_add_file(&tls.nginx, "x.bin", 100);
        assert_int_equal(get_twice(&tls, tls.roots, NULL, NULL), 0);
        for (unsigned k = 0; k < 2; k++) {
            struct nginx_tls_line line = nginx_tls_wait_line(&tls, k);
            assert_string_equal(line.protocol, k_cases[i].protocol);
            assert_non_null(strstr(line.cipher, k_cases[i].cipher_part));
            assert_string_equal(line.reused, k == 0 ? "." : k_cases[i].reused);
            assert_string_equal(line.verify, "NONE");
            assert_int_equal(line.status, 200);
        }
        assert_int_equal(get_twice(&tls, tls.next_roots, NULL, NULL), 60); // not trusted
        nginx_tls_stop(&tls);
    }
}

static void assert_client(const struct nginx_tls *tls, unsigned index, const char *verify, int status) {
    struct nginx_tls_line line = nginx_tls_wait_line(tls, index);
    assert_ptr_equal(strstr(line.verify, verify), line.verify);
    assert_int_equal(line.status, status);
}

static void clients_are_let_in_by_their_certificate(void **state) {
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){.wants_client = true});
    nginx_add_file(&tls.nginx, "x.bin", 100);
    get_twice(&tls, tls.roots, NULL, NULL);
    assert_client(&tls, 0, "NONE", 400);
    get_twice(&tls, tls.roots, tls.client_cert, tls.client_key);
    assert_client(&tls, 2, "SUCCESS", 200);
    get_twice(&tls, tls.roots, tls.wrong_cert, tls.wrong_key);
    assert_client(&tls, 4, "FAILED:", 400);
    nginx_tls_stop(&tls);
}

static void a_rotated_certificate_is_of_the_other_root(void **state) {
    enum { ROUNDS = 1000 };
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){.has_rsa = true, .has_ecdsa = true});
    nginx_add_file(&tls.nginx, "x.bin", 100);
    assert_int_equal(get_twice(&tls, tls.next_roots, NULL, NULL), 60);
    nginx_tls_rotate(&tls);
    bool is_new = false;
    for (int i = 0; i < ROUNDS && !is_new; i++) {
        assert_int_equal(get_twice(&tls, tls.both_roots, NULL, NULL), 0);
        is_new = get_twice(&tls, tls.next_roots, NULL, NULL) == 0;
    }
    assert_true(is_new);
    nginx_tls_stop(&tls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_keys_and_resumption_are_as_asked),
        cmocka_unit_test(clients_are_let_in_by_their_certificate),
        cmocka_unit_test(a_rotated_certificate_is_of_the_other_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

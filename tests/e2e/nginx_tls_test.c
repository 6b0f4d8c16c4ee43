// The fetch example against Debian's nginx with TLS: both versions, both kinds of keys, certificates that it must
// refuse, a client's certificate that it does not have, and a server whose certificate is changed. What the sessions
// were, nginx's log says.
//
// Usage: nginx_tls_test FETCH
#include "tests/e2e/fetched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/server/body.h"
#include "tests/e2e/nginx_tls.h"

enum { SIZES = 5, URL_MAX = 256, RELOAD_ROUNDS = 1000 };

static const uint64_t k_sizes[SIZES] = {0, 1, 16384, 65537, 1000000};

static const char *the_fetch;

static void add_files(const struct nginx_tls *tls) {
    for (int i = 0; i < SIZES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%llu.bin", (unsigned long long)k_sizes[i]);
        nginx_add_file(&tls->nginx, name, k_sizes[i]);
    }
}

// Fetches `path` by the address, or with `host`, as that host.
static struct fetched fetch(const struct nginx_tls *tls, const char *roots, const char *host, const char *path) {
    char url[URL_MAX];
    char detour[URL_MAX];
    nginx_url(&tls->nginx, path, url, sizeof url);
    snprintf(detour, sizeof detour, "%s:443:127.0.0.1:%u", host == NULL ? "nobody.example" : host, tls->nginx.port);
    if (host != NULL) {
        snprintf(url, sizeof url, "https://%s%s", host, path);
    }
    return fetched_run(the_fetch,
                       (const char *[]){"--cacert", roots, "--connect-to", detour, "--max-time", "20", url, NULL});
}

static void assert_body(const struct fetched *fetched, uint64_t len) {
    assert_int_equal(fetched->said.out_len, len);
    for (size_t at = 0; at < fetched->said.out_len; at++) {
        assert_int_equal((unsigned char)fetched->said.out[at], bench_server_body_byte(at));
    }
}

// Gets every file, plain and chunked, by name and by address in turn.
static void get_all(const struct nginx_tls *tls, const char *protocol, const char *cipher_part) {
    for (unsigned i = 0; i < SIZES * 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%llu.bin", i < SIZES ? "" : "/ssi", (unsigned long long)k_sizes[i % SIZES]);
        struct fetched fetched = fetch(tls, tls->roots, i % 2 == 0 ? NGINX_TLS_HOST : NULL, path);
        fetched_assert(&fetched, path, 200, NULL);
        assert_body(&fetched, k_sizes[i % SIZES]);
        fetched_free(&fetched);
        struct nginx_tls_line line = nginx_tls_wait_line(tls, i);
        assert_string_equal(line.protocol, protocol);
        assert_non_null(strstr(line.cipher, cipher_part));
        assert_string_equal(line.reused, "."); // each fetch is a process of its own
        assert_string_equal(line.verify, "NONE");
        assert_int_equal(line.status, 200);
    }
}

static void files_come_by_both_versions_and_kinds_of_keys(void **state) {
    static const struct {
        struct nginx_tls_options options;
        const char *protocol;
        const char *cipher_part;
    } k_cases[] = {
        {{.protocols = "TLSv1.2"}, "TLSv1.2", "ECDHE-ECDSA-"},
        {{.protocols = "TLSv1.2", .has_rsa = true}, "TLSv1.2", "ECDHE-RSA-"},
        {{.protocols = "TLSv1.2", .has_no_tickets = true, .has_no_cache = true}, "TLSv1.2", "ECDHE-ECDSA-"},
        {{.protocols = "TLSv1.3"}, "TLSv1.3", "TLS_"},
        {{.protocols = "TLSv1.3", .has_rsa = true, .has_no_tickets = true}, "TLSv1.3", "TLS_"},
        {{.has_rsa = true, .has_ecdsa = true}, "TLSv1.3", "TLS_"}, // the best of what both have
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct nginx_tls tls = nginx_tls_start(&k_cases[i].options);
        add_files(&tls);
        get_all(&tls, k_cases[i].protocol, k_cases[i].cipher_part);
        nginx_tls_stop(&tls);
    }
}

static void assert_fetch(const struct nginx_tls *tls, const char *roots, const char *host, int status,
                         const char *error) {
    struct fetched fetched = fetch(tls, roots, host, "/1.bin");
    fetched_assert(&fetched, roots, status, error);
    if (error != NULL) {
        assert_int_equal(fetched.said.out_len, 0);
    }
    fetched_free(&fetched);
}

static void a_server_that_is_not_known_is_refused(void **state) {
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){0});
    add_files(&tls);
    assert_fetch(&tls, tls.roots, "other.example", 0, "QUOIT_ERR_TLS_NAME_MISMATCH");
    assert_fetch(&tls, tls.roots, "a." NGINX_TLS_HOST, 0, "QUOIT_ERR_TLS_NAME_MISMATCH");
    assert_fetch(&tls, tls.next_roots, NGINX_TLS_HOST, 0, "QUOIT_ERR_TLS_UNTRUSTED_ROOT");
    assert_fetch(&tls, tls.client_key, NGINX_TLS_HOST, 0, "QUOIT_ERR_TLS_NO_ROOTS"); // no certificate is in there
    assert_fetch(&tls, tls.roots, NGINX_TLS_HOST, 200, NULL);
    nginx_tls_wait_line(&tls, 0);
    assert_fetch(&tls, tls.both_roots, NULL, 200, NULL);
    nginx_tls_stop(&tls);
}

// nginx lets everybody in, and then answers with an error to who has no certificate.
static void a_client_without_a_certificate_hears_so(void **state) {
    (void)state;
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    for (int i = 0; i < 2; i++) {
        struct nginx_tls tls =
            nginx_tls_start(&(struct nginx_tls_options){.protocols = k_protocols[i], .wants_client = true});
        add_files(&tls);
        struct fetched fetched = fetch(&tls, tls.roots, NULL, "/1.bin");
        fetched_assert(&fetched, k_protocols[i], 400, NULL);
        assert_non_null(strstr(fetched.said.out, "No required SSL certificate was sent"));
        fetched_free(&fetched);
        assert_string_equal(nginx_tls_wait_line(&tls, 0).verify, "NONE");
        nginx_tls_stop(&tls);
    }
}

static void plain_http_to_a_tls_port_gets_the_servers_answer(void **state) {
    char url[URL_MAX];
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){0});
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", tls.nginx.port);
    struct fetched fetched = fetched_run(the_fetch, (const char *[]){"--max-time", "20", url, NULL});
    fetched_assert(&fetched, "plain", 400, NULL);
    fetched_free(&fetched);
    nginx_tls_stop(&tls);
}

static void https_to_a_plain_port_is_told(void **state) {
    char url[URL_MAX];
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){0}); // for its roots
    struct nginx nginx = nginx_start();
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", nginx.port);
    struct fetched fetched =
        fetched_run(the_fetch, (const char *[]){"--cacert", tls.roots, "--max-time", "20", url, NULL});
    fetched_assert(&fetched, "plain", 0, "QUOIT_ERR_TLS_PLAIN_HTTP");
    fetched_free(&fetched);
    nginx_stop(&nginx);
    nginx_tls_stop(&tls);
}

// Who trusts both is served all the time; who trusts the old one alone is, until he is not, and never again.
static void a_certificate_that_is_changed_is_followed(void **state) {
    (void)state;
    struct nginx_tls tls = nginx_tls_start(&(struct nginx_tls_options){0});
    add_files(&tls);
    assert_fetch(&tls, tls.roots, NULL, 200, NULL);
    nginx_tls_rotate(&tls);
    bool is_changed = false;
    for (int i = 0; i < RELOAD_ROUNDS && !is_changed; i++) {
        assert_fetch(&tls, tls.both_roots, NULL, 200, NULL);
        struct fetched fetched = fetch(&tls, tls.roots, NULL, "/1.bin");
        is_changed = fetched.said.exit_code != 0;
        fetched_assert(&fetched, "the old root", is_changed ? 0 : 200,
                       is_changed ? "QUOIT_ERR_TLS_UNTRUSTED_ROOT" : NULL);
        fetched_free(&fetched);
    }
    assert_true(is_changed);
    assert_fetch(&tls, tls.both_roots, NULL, 200, NULL);
    nginx_tls_stop(&tls);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_by_both_versions_and_kinds_of_keys),
        cmocka_unit_test(a_server_that_is_not_known_is_refused),
        cmocka_unit_test(a_client_without_a_certificate_hears_so),
        cmocka_unit_test(plain_http_to_a_tls_port_gets_the_servers_answer),
        cmocka_unit_test(https_to_a_plain_port_is_told),
        cmocka_unit_test(a_certificate_that_is_changed_is_followed),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: nginx_tls_test FETCH\n");
        return 2;
    }
    the_fetch = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

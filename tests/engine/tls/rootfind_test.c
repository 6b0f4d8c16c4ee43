// Where trusted certificates come from: the well-known places below a prefix, the environment that was handed over, files,
// folders and memory; and what is skipped, refused and told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/tls/rootfind.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

enum { CERTS = 3 };

struct scene {
    struct q_cert *certs[CERTS];
    char *folder;
    struct q_rootfind found;
    struct q_roots_told told;
    struct q_roots_search search;
};

static int open_scene(void **state) {
    static struct scene the_scene;
    the_scene = (struct scene){.folder = q_certs_folder_new()};
    for (unsigned i = 0; i < CERTS; i++) {
        the_scene.certs[i] = q_certs_authority(NULL, "root", i);
    }
    the_scene.search.prefix = the_scene.folder;
    *state = &the_scene;
    return 0;
}

static int close_scene(void **state) {
    struct scene *s = *state;
    for (unsigned i = 0; i < CERTS; i++) {
        q_certs_free(s->certs[i]);
    }
    q_certs_folder_remove(s->folder);
    free(s->folder);
    return 0;
}

// count_of reads one source, and gives the number of different certificates, or minus the error's code.
static int count_of(struct scene *s, enum q_roots_kind kind, struct q_slice value) {
    struct q_roots_source source = {.kind = kind, .value = value};
    s->told = (struct q_roots_told){0};
    q_rootfind_init(&s->found, q_alloc_libc(), &s->told);
    struct q_error error = q_rootfind_read(&s->found, &source, &s->search);
    q_rootfind_sort(&s->found);
    int count = q_error_is(error) ? -error.code : (int)s->found.count;
    q_rootfind_deinit(&s->found);
    return count;
}

static int count_in_system(struct scene *s) { return count_of(s, Q_ROOTS_SYSTEM, (struct q_slice){0}); }

static int count_in_text(struct scene *s, char *text) {
    int count = count_of(s, Q_ROOTS_MEMORY, q_slice_of_string(text));
    free(text);
    return count;
}

static void write_to(struct scene *s, const char *name, const char *text) { free(q_certs_write(s->folder, name, text)); }

static void each_distributions_place_is_known(void **state) {
    struct scene *s = *state;
    static const char *const k_places[] = {
        "etc/ssl/certs/ca-certificates.crt",     "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "etc/pki/tls/certs/ca-bundle.crt",       "etc/ssl/ca-bundle.pem",
        "var/lib/ca-certificates/ca-bundle.pem", "etc/ssl/cert.pem",
        "etc/ssl/certs/one.pem",                 "etc/pki/tls/certs/one.pem",
    };
    assert_int_equal(count_in_system(s), -Q_ERR_TLS_NO_TRUST_STORE);
    for (size_t i = 0; i < Q_COUNT_OF(k_places); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", s->folder, k_places[i]);
        write_to(s, k_places[i], s->certs[0]->pem);
        assert_int_equal(count_in_system(s), 1);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(count_in_system(s), -Q_ERR_TLS_NO_TRUST_STORE);
    }
}

static void a_missing_store_lists_the_places_that_were_looked_at(void **state) {
    struct scene *s = *state;
    write_to(s, "etc/ssl/ca-bundle.pem", "nothing in it");
    assert_int_equal(count_in_system(s), -Q_ERR_TLS_NO_TRUST_STORE);
    assert_non_null(strstr(s->told.places, s->folder));
    assert_non_null(strstr(s->told.places, "/etc/ssl/certs/ca-certificates.crt (ENOENT)"));
    assert_non_null(strstr(s->told.places, "/etc/ssl/ca-bundle.pem (empty)"));
    assert_non_null(strstr(s->told.places, "/etc/pki/tls/certs (ENOENT)"));
    assert_true(strlen(s->told.places) < sizeof s->told.places);
    s->search.prefix = "/a/very/long/name/of/a/folder/that/is/not/there/and/of/which/there/are/many/copies/here/"
                       "a/very/long/name/of/a/folder/that/is/not/there/and/of/which/there/are/many/copies/here/"
                       "a/very/long/name/of/a/folder/that/is/not/there/and/of/which/there/are/many/copies/here/"
                       "a/very/long/name/of/a/folder/that/is/not/there/and/of/which/there/are/many/copies/here";
    assert_int_equal(count_in_system(s), -Q_ERR_TLS_NO_TRUST_STORE); // longer than there is room for
    assert_int_equal(strlen(s->told.places), sizeof s->told.places - 1);
}

static void the_first_place_with_a_certificate_is_the_store(void **state) {
    struct scene *s = *state;
    char *two = q_certs_join(s->certs[0]->pem, s->certs[1]->pem, NULL);
    write_to(s, "etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write_to(s, "etc/pki/tls/certs/ca-bundle.crt", two);
    write_to(s, "etc/ssl/cert.pem", s->certs[2]->pem);
    free(two);
    assert_int_equal(count_in_system(s), 2);
    assert_int_equal(s->told.num_skipped, 1);
}

static void the_environment_is_what_was_handed_over(void **state) {
    struct scene *s = *state;
    char file[600];
    char folders[600];
    write_to(s, "etc/ssl/cert.pem", s->certs[0]->pem);
    char *two = q_certs_join(s->certs[0]->pem, s->certs[1]->pem, NULL);
    write_to(s, "given.pem", two);
    free(two);
    write_to(s, "more/x.pem", s->certs[2]->pem);
    snprintf(file, sizeof file, "SSL_CERT_FILE=%s/given.pem", s->folder);
    snprintf(folders, sizeof folders, "SSL_CERT_DIR=/none:%s/more:", s->folder);
    assert_int_equal(setenv("SSL_CERT_FILE", "/none", 1), 0); // the process's own: nobody looks
    assert_int_equal(setenv("SSL_CERT_DIR", "/none", 1), 0);
    q_roots_search_environment(&s->search, NULL);
    assert_int_equal(count_in_system(s), 1);
    q_roots_search_environment(&s->search, (const char *const[]){"PATH=/bin", "SSL_CERT_FILE=", "SSL_CERT_DIR=", NULL});
    assert_int_equal(count_in_system(s), 1); // empty is none
    q_roots_search_environment(&s->search, (const char *const[]){"SSL_CERT_FILE_=/x", "XSSL_CERT_FILE=/x", file, NULL});
    assert_int_equal(count_in_system(s), 2);
    q_roots_search_environment(&s->search, (const char *const[]){folders, NULL});
    assert_int_equal(count_in_system(s), 3);
    q_roots_search_environment(&s->search, (const char *const[]){"SSL_CERT_FILE=", NULL});
    assert_int_equal(count_in_system(s), 1);
    q_roots_search_environment(&s->search, (const char *const[]){"SSL_CERT_DIR=/none:/nor-this", NULL});
    assert_int_equal(count_in_system(s), -Q_ERR_TLS_NO_TRUST_STORE); // the well-known places do not come behind it
    assert_non_null(strstr(s->told.places, "/nor-this (ENOENT)"));
    q_roots_search_environment(&s->search, (const char *const[]){"SSL_CERT_FILE=/none", NULL});
    assert_int_equal(count_in_system(s), -Q_ERR_TLS_FILE);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    assert_int_equal(unsetenv("SSL_CERT_DIR"), 0);
}

static void what_is_broken_in_a_bundle_is_skipped_and_counted(void **state) {
    struct scene *s = *state;
    const char *one = s->certs[0]->pem;
    assert_int_equal(count_in_text(s, q_certs_join("# a comment\n", one, NULL)), 1);
    assert_int_equal(s->told.num_skipped, 0);
    assert_int_equal(count_in_text(s, q_certs_join("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", one,
                                                   s->certs[0]->key_pem, NULL)), 1);
    assert_int_equal(s->told.num_skipped, 2); // a key is no certificate either
    assert_int_equal(count_in_text(s, q_certs_join("-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n"
                                                   "-----END TRUSTED CERTIFICATE-----\n", NULL)), -Q_ERR_TLS_NO_ROOTS);
    assert_int_equal(count_in_text(s, q_certs_join("nothing", NULL)), -Q_ERR_TLS_NO_ROOTS);
    assert_int_equal(count_in_text(s, q_certs_join("", NULL)), -Q_ERR_TLS_NO_ROOTS);
    assert_int_equal(count_in_text(s, q_certs_join(one, s->certs[1]->pem, one, NULL)), 2);
}

static void der_is_one_certificate_and_not_less(void **state) {
    struct scene *s = *state;
    struct q_slice der = q_slice_make(s->certs[0]->der, s->certs[0]->der_len);
    assert_int_equal(count_of(s, Q_ROOTS_MEMORY, der), 1);
    for (size_t len = 0; len < der.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, der.ptr, len);
        assert_int_equal(count_of(s, Q_ROOTS_MEMORY, q_slice_make(exact, len)), -Q_ERR_TLS_NO_ROOTS);
        free(exact);
    }
}

static void a_folder_is_read_whole_with_what_is_in_it(void **state) {
    struct scene *s = *state;
    char path[600];
    char link_path[600];
    write_to(s, "all/a.pem", s->certs[0]->pem);
    write_to(s, "all/words.txt", "nothing");
    write_to(s, "all/below/b.pem", s->certs[1]->pem); // folders below are not entered
    free(q_certs_write_bytes(s->folder, "all/c.der", s->certs[2]->der, s->certs[2]->der_len));
    snprintf(path, sizeof path, "%s/all", s->folder);
    snprintf(link_path, sizeof link_path, "%s/all/12345678.0", s->folder);
    assert_int_equal(symlink("a.pem", link_path), 0);
    snprintf(link_path, sizeof link_path, "%s/all/to-nowhere", s->folder);
    assert_int_equal(symlink("nowhere", link_path), 0);
    assert_int_equal(count_of(s, Q_ROOTS_FOLDER, q_slice_of_string(path)), 2);
    assert_int_equal(s->told.num_skipped, 3);
    snprintf(path, sizeof path, "%s/all/below/..", s->folder);
    assert_int_equal(count_of(s, Q_ROOTS_FOLDER, q_slice_of_string(path)), 2);
    write_to(s, "empty/x", "");
    snprintf(path, sizeof path, "%s/empty", s->folder);
    assert_int_equal(count_of(s, Q_ROOTS_FOLDER, q_slice_of_string(path)), -Q_ERR_TLS_NO_ROOTS);
    assert_non_null(strstr(s->told.places, path));
    assert_int_equal(count_of(s, Q_ROOTS_FILE, q_slice_of_string(path)), -Q_ERR_TLS_FILE);
    assert_int_equal(count_of(s, Q_ROOTS_FOLDER, Q_SLICE("/none")), -Q_ERR_TLS_FILE);
    assert_int_equal(count_of(s, Q_ROOTS_FILE, Q_SLICE("a\0b")), -Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(count_of(s, Q_ROOTS_FILE, Q_SLICE("")), -Q_ERR_INVALID_ARGUMENT);
}

static void digest_of(struct scene *s, char *text, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct q_roots_source source = {.kind = Q_ROOTS_MEMORY, .value = q_slice_of_string(text)};
    q_rootfind_init(&s->found, q_alloc_libc(), &s->told);
    assert_int_equal(q_rootfind_read(&s->found, &source, &s->search).code, 0);
    q_rootfind_sort(&s->found);
    q_rootfind_digest(&s->found, out);
    q_rootfind_deinit(&s->found);
    free(text);
}

static void equal_sets_have_equal_digests_whatever_their_order(void **state) {
    struct scene *s = *state;
    const char *a = s->certs[0]->pem;
    const char *b = s->certs[1]->pem;
    uint8_t one[32];
    uint8_t two[32];
    digest_of(s, q_certs_join(a, b, NULL), one);
    digest_of(s, q_certs_join(b, "words\n", a, b, NULL), two);
    assert_memory_equal(one, two, 32);
    digest_of(s, q_certs_join(a, NULL), two);
    assert_memory_not_equal(one, two, 32);
    digest_of(s, q_certs_join(a, s->certs[2]->pem, NULL), two);
    assert_memory_not_equal(one, two, 32);
}

static void more_certificates_than_the_limit_are_refused(void **state) {
    struct scene *s = *state;
    size_t one_len = strlen(s->certs[0]->pem);
    char *many = malloc(one_len * (Q_ROOTS_MAX + 1) + 1);
    assert_non_null(many);
    for (size_t i = 0; i <= Q_ROOTS_MAX; i++) {
        memcpy(many + i * one_len, s->certs[0]->pem, one_len);
    }
    many[one_len * Q_ROOTS_MAX] = 0;
    assert_int_equal(count_of(s, Q_ROOTS_MEMORY, q_slice_of_string(many)), 1);
    memcpy(many + one_len * Q_ROOTS_MAX, s->certs[0]->pem, one_len + 1);
    assert_int_equal(count_in_text(s, many), -Q_ERR_TLS_FILE_TOO_LARGE);
}

static void every_allocation_may_fail(void **state) {
    struct scene *s = *state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[200];
    struct q_roots_source source = {.kind = Q_ROOTS_SYSTEM};
    write_to(s, "etc/ssl/certs/a.pem", s->certs[0]->pem);
    write_to(s, "etc/ssl/certs/b.pem", s->certs[1]->pem);
    for (uint64_t nth = 1;; nth++) {
        s->told = (struct q_roots_told){0};
        q_failalloc_fail_at(failalloc, nth);
        q_rootfind_init(&s->found, q_failalloc_alloc(failalloc), &s->told);
        struct q_error error = q_rootfind_read(&s->found, &source, &s->search);
        bool failed = q_failalloc_failed(failalloc);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        q_rootfind_deinit(&s->found);
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        if (!failed) {
            break;
        }
    }
    q_failalloc_free(failalloc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_distributions_place_is_known, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_missing_store_lists_the_places_that_were_looked_at, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(the_first_place_with_a_certificate_is_the_store, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(the_environment_is_what_was_handed_over, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(what_is_broken_in_a_bundle_is_skipped_and_counted, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(der_is_one_certificate_and_not_less, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_folder_is_read_whole_with_what_is_in_it, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(equal_sets_have_equal_digests_whatever_their_order, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(more_certificates_than_the_limit_are_refused, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, open_scene, close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

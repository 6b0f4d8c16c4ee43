// Sets of trusted certificates: parsed once, shared while somebody holds one, never found again behind the last release.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/roots_internal.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"

static struct q_roots *load(const char *text, struct q_error *out_error, struct q_roots_told *told) {
    struct q_roots_source source = {.kind = Q_ROOTS_MEMORY, .value = q_slice_of_string(text)};
    struct q_roots *roots = NULL;
    *out_error = q_roots_load(&roots, q_alloc_libc(), &source, 1, &(struct q_roots_search){0}, told);
    return roots;
}

static struct q_roots *load_well(const char *text) {
    struct q_error error;
    struct q_roots_told told;
    struct q_roots *roots = load(text, &error, &told);
    assert_int_equal(error.code, 0);
    return roots;
}

static void an_equal_set_is_parsed_once(void **state) {
    (void)state;
    struct q_cert *a = q_certs_authority(NULL, "a", 1);
    struct q_cert *b = q_certs_authority(NULL, "b", 2);
    char *forth = q_certs_join(a->pem, b->pem, NULL);
    char *back = q_certs_join(b->pem, "words\n", a->pem, b->pem, NULL);
    struct q_roots_stats before = q_roots_get_stats();
    struct q_roots *one = load_well(forth);
    struct q_roots *two = load_well(back);
    struct q_roots *other = load_well(a->pem);
    struct q_roots_stats after = q_roots_get_stats();
    assert_ptr_equal(one, two);
    assert_ptr_equal(q_roots_store(one), q_roots_store(two));
    assert_ptr_not_equal(one, other);
    assert_int_equal(q_roots_count(one), 2);
    assert_int_equal(after.built - before.built, 2);
    assert_int_equal(after.shared - before.shared, 1);
    assert_int_equal(after.live - before.live, 2);
    q_roots_release(q_roots_acquire(one));
    q_roots_release(one);
    q_roots_release(two);
    q_roots_release(other);
    q_roots_release(NULL);
    assert_int_equal(q_roots_get_stats().live, before.live);
    one = load_well(forth);
    assert_int_equal(q_roots_get_stats().built, after.built + 1); // weak: nobody kept it
    q_roots_release(one);
    free(forth);
    free(back);
    q_certs_free(a);
    q_certs_free(b);
}

static void what_is_no_certificate_is_told_to_each_who_shares(void **state) {
    (void)state;
    static const char k_no_certificate[] = // a SEQUENCE of 128 zeros
        "-----BEGIN CERTIFICATE-----\n"
        "MIGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        "\n-----END CERTIFICATE-----\n";
    struct q_cert *a = q_certs_authority(NULL, "a", 1);
    char *text = q_certs_join(k_no_certificate, a->pem, NULL);
    struct q_error error;
    struct q_roots_told told;
    struct q_roots *one = load(text, &error, &told);
    assert_int_equal(error.code, 0);
    assert_int_equal(told.num_skipped, 1);
    assert_int_equal(told.num_certificates, 1);
    struct q_roots *two = load(text, &error, &told);
    assert_ptr_equal(one, two);
    assert_int_equal(told.num_skipped, 1);
    q_roots_release(one);
    q_roots_release(two);
    assert_null(load(k_no_certificate, &error, &told));
    assert_int_equal(error.code, Q_ERR_TLS_NO_ROOTS);
    free(text);
    q_certs_free(a);
}

// The library's own default is what the process's environment names: it is never asked.
static void the_store_trusts_what_is_in_it_and_has_no_lookups(void **state) {
    (void)state;
    struct q_cert *root = q_certs_authority(NULL, "root", 1);
    struct q_cert *other = q_certs_authority(NULL, "other", 2);
    char *folder = q_certs_folder_new();
    char *path = q_certs_write(folder, "default.pem", root->pem);
    assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
    struct q_cert *leaf = q_certs_make(root, &(struct q_certs_spec){.key_number = 3});
    char *both = q_certs_join(root->pem, other->pem, NULL);
    struct q_roots *with = load_well(both);
    struct q_roots *without = load_well(other->pem);
    struct q_roots *const sets[] = {with, without};
    for (size_t i = 0; i < 2; i++) {
        X509_STORE_CTX *context = X509_STORE_CTX_new();
        assert_true(X509_STORE_CTX_init(context, q_roots_store(sets[i]), leaf->x509, NULL));
        X509_STORE_CTX_set_time(context, 0, Q_CERTS_NOW);
        assert_int_equal(X509_verify_cert(context) == 1, i == 0);
        X509_STORE_CTX_free(context);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    q_certs_folder_remove(folder);
    free(folder);
    free(path);
    q_roots_release(with);
    q_roots_release(without);
    free(both);
    q_certs_free(leaf);
    q_certs_free(other);
    q_certs_free(root);
}

// --- threads -------------------------------------------------------------------------------------------------------

struct pair {
    const char *text;
    struct q_roots *first;
    struct q_roots *second;
};

static void release_first(void *context) {
    struct pair *pair = context;
    q_roots_release(pair->first);
}

static void load_second(void *context) {
    struct pair *pair = context;
    pair->second = load_well(pair->text);
}

// The set whose last reference has gone is still in the table: it is not revived, an equal one is made.
static void a_set_that_ends_is_not_found_again(void **state) {
    (void)state;
    struct q_cert *a = q_certs_authority(NULL, "a", 1);
    struct pair pair = {.text = a->pem, .first = load_well(a->pem)};
    uint64_t built = q_roots_get_stats().built;
    const struct q_schedule_rule rules[] = {
        {"loader:start", "holder:roots.release.last"},
        {"holder:roots.release.last", "loader:end"},
    };
    const struct q_schedule_actor actors[] = {{"holder", release_first, &pair}, {"loader", load_second, &pair}};
    assert_true(q_schedule_run(rules, Q_COUNT_OF(rules), actors, Q_COUNT_OF(actors)));
    assert_int_equal(q_roots_get_stats().built, built + 1);
    assert_int_equal(q_roots_count(pair.second), 1);
    struct q_roots *third = load_well(a->pem); // and its going did not take the new one out of the table
    assert_ptr_equal(third, pair.second);
    q_roots_release(third);
    q_roots_release(pair.second);
    q_certs_free(a);
}

static void load_first(void *context) {
    struct pair *pair = context;
    pair->first = load_well(pair->text);
}

static void two_who_build_the_same_share_one(void **state) {
    (void)state;
    struct q_cert *a = q_certs_authority(NULL, "a", 1);
    struct pair pair = {.text = a->pem};
    uint64_t live = q_roots_get_stats().live;
    const struct q_schedule_rule rules[] = {
        {"one:roots.load.not_found", "two:end"}, // both have looked, and the other is through first
        {"two:roots.load.not_found", "one:roots.load.not_found"},
    };
    const struct q_schedule_actor actors[] = {{"one", load_first, &pair}, {"two", load_second, &pair}};
    assert_true(q_schedule_run(rules, Q_COUNT_OF(rules), actors, Q_COUNT_OF(actors)));
    assert_ptr_equal(pair.first, pair.second);
    assert_int_equal(q_roots_get_stats().live, live + 1);
    q_roots_release(pair.first);
    q_roots_release(pair.second);
    q_certs_free(a);
}

static void *load_and_release(void *context) {
    for (unsigned i = 0; i < 200; i++) {
        struct q_roots *roots = load_well(context);
        assert_true(q_roots_count(roots) == 1);
        q_roots_release(q_roots_acquire(roots));
        q_roots_release(roots);
    }
    return NULL;
}

static void many_threads_load_and_release(void **state) {
    (void)state;
    struct q_cert *certs[2] = {q_certs_authority(NULL, "a", 1), q_certs_authority(NULL, "b", 2)};
    uint64_t live = q_roots_get_stats().live;
    pthread_t threads[4];
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_release, certs[i % 2]->pem), 0);
    }
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(q_roots_get_stats().live, live);
    q_certs_free(certs[0]);
    q_certs_free(certs[1]);
}

static void a_child_has_a_table_of_its_own(void **state) {
    (void)state;
    struct q_cert *a = q_certs_authority(NULL, "a", 1);
    struct q_roots *parents = load_well(a->pem);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct q_roots *own = load_well(a->pem);
        bool is_own = own != parents;
        q_roots_release(parents); // the copy of the parent's: freed, and its table left alone
        struct q_roots *again = load_well(a->pem);
        _exit(is_own && again == own ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    q_roots_release(parents);
    q_certs_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_equal_set_is_parsed_once),
        cmocka_unit_test(what_is_no_certificate_is_told_to_each_who_shares),
        cmocka_unit_test(the_store_trusts_what_is_in_it_and_has_no_lookups),
        cmocka_unit_test(a_set_that_ends_is_not_found_again),
        cmocka_unit_test(two_who_build_the_same_share_one),
        cmocka_unit_test(many_threads_load_and_release),
        cmocka_unit_test(a_child_has_a_table_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

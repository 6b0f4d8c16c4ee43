// The default config: by the environment that is handed over, kept for a while, and never by a child of its parent's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/config.h"
#include "engine/tls/default.h"
#include "engine/tls/interned.h"
#include "tests/support/certs.h"

#define START UINT64_C(5000000000)

static char the_detail[Q_TLS_DETAIL_MAX];

static char *the_folder;
static char the_variable[2][512]; // SSL_CERT_FILE of two different stores

static struct q_handle get(const char *variable, uint64_t now_ns) {
    const char *environment[] = {"HOME=/", variable, NULL};
    struct q_handle tls;
    assert_int_equal(q_tls_default(environment, now_ns, &tls, the_detail).code, 0);
    assert_string_equal(the_detail, "");
    return tls;
}

static uint32_t num_roots(struct q_handle tls) {
    return q_tls_config_roots_facts(q_tls_config_of(tls)).num_certificates;
}

static void write_store(int which, unsigned num_roots_in_it) {
    char name[32];
    char *pems = q_certs_join("", NULL);
    for (unsigned i = 0; i < num_roots_in_it; i++) {
        struct q_cert *root = q_certs_authority(NULL, "root", 1 + i);
        char *more = q_certs_join(pems, root->pem, NULL);
        free(pems);
        pems = more;
        q_certs_free(root);
    }
    snprintf(name, sizeof name, "%d.pem", which);
    char *path = q_certs_write(the_folder, name, pems);
    snprintf(the_variable[which], sizeof the_variable[which], "SSL_CERT_FILE=%s", path);
    free(path);
    free(pems);
}

static void it_is_what_the_environment_says(void **state) {
    (void)state;
    struct q_handle one = get(the_variable[0], START);
    struct q_handle two = get(the_variable[1], START);
    assert_int_equal(num_roots(one), 1);
    assert_int_equal(num_roots(two), 2);
    q_tls_let_go(one);
    q_tls_let_go(two);
}

static void it_is_read_again_when_it_is_old(void **state) {
    (void)state;
    uint64_t now_ns = START + 10 * Q_TLS_DEFAULT_KEPT_NS;
    struct q_handle old = get(the_variable[0], now_ns);
    assert_int_equal(num_roots(old), 1);
    write_store(0, 3);
    struct q_handle kept = get(the_variable[0], now_ns + Q_TLS_DEFAULT_KEPT_NS - 1);
    assert_int_equal(num_roots(kept), 1);
    struct q_handle fresh = get(the_variable[0], now_ns + Q_TLS_DEFAULT_KEPT_NS);
    assert_int_equal(num_roots(fresh), 3);
    write_store(0, 1);
    q_tls_let_go(old);
    q_tls_let_go(kept);
    q_tls_let_go(fresh);
}

static void a_store_that_is_not_there_is_an_error_and_is_not_kept(void **state) {
    (void)state;
    static const char *const k_nowhere[] = {"SSL_CERT_FILE=/nowhere/at/all.pem", NULL};
    uint64_t now_ns = START + 20 * Q_TLS_DEFAULT_KEPT_NS;
    struct q_handle tls;
    assert_int_not_equal(q_tls_default(k_nowhere, now_ns, &tls, the_detail).code, 0);
    assert_string_equal(the_detail, "/nowhere/at/all.pem (ENOENT)");
    struct q_handle good = get(the_variable[1], now_ns);
    assert_int_not_equal(q_tls_default(k_nowhere, now_ns, &tls, the_detail).code, 0);
    q_tls_let_go(good);
}

// What the parent made is the parent's: a lock inside it may be held by a thread that the child does not have.
static void a_child_makes_its_own(void **state) {
    (void)state;
    uint64_t now_ns = START + 30 * Q_TLS_DEFAULT_KEPT_NS;
    struct q_handle parents = get(the_variable[0], now_ns);
    write_store(0, 2);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *environment[] = {the_variable[0], NULL};
        struct q_handle own;
        bool is_good = q_tls_default(environment, now_ns, &own, the_detail).code == 0 && num_roots(own) == 2;
        _exit(is_good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    write_store(0, 1);
    q_tls_let_go(parents);
}

static int set_up(void **state) {
    (void)state;
    the_folder = q_certs_folder_new();
    write_store(0, 1);
    write_store(1, 2);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_folder_remove(the_folder);
    free(the_folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_environment_says),
        cmocka_unit_test(it_is_read_again_when_it_is_old),
        cmocka_unit_test(a_store_that_is_not_there_is_an_error_and_is_not_kept),
        cmocka_unit_test(a_child_makes_its_own),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

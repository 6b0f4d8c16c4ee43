// A dossier shows what its question is about, and goes on showing it when the connection is gone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/tls/dossier.h"
#include "tests/engine/tls/tls_rig.h"

static struct tls_rig *rig_that_asks(bool asks_key) {
    const struct tls_rig_options options = {.asks_verify = asks_key ? Q_TLS_ASKS_NEVER : Q_TLS_ASKS_ALWAYS,
                                            .asks_key = asks_key,
                                            .wants_client_certificate = asks_key};
    struct tls_rig *rig = tls_rig_new(&options);
    rig->question_answer = -1; // later
    tls_rig_connect(rig);
    tls_rig_run(rig);
    assert_int_equal(rig->question.kind, asks_key ? Q_TLS_ASK_SIGN : Q_TLS_ASK_VERIFY);
    return rig;
}

static void hold(void *owner) { ++*(unsigned *)owner; }
static void let_go(void *owner) { --*(unsigned *)owner; }

static void what_it_shows_outlives_the_connection(void **state) {
    (void)state;
    struct tls_rig *rig = rig_that_asks(false);
    struct q_failalloc *memory = q_failalloc_new();
    struct q_tls_dossiers all = {.alloc = q_failalloc_alloc(memory)};
    struct q_tls_question question = rig->question;
    struct q_verify_verdict verdict = {.error = q_error_make(Q_ERR_TLS_CERT_EXPIRED, Q_PHASE_TLS)};
    question.verdict = &verdict;
    unsigned num_holds = 1;
    const struct q_tls_point point = {
        .serial = 7, .context = &all, .owner = &num_holds, .acquire = hold, .release = let_go};
    question.point = &point;
    char host[] = "host.example";
    struct q_tls_dossier *dossier = q_tls_dossier_new(&all, &rig->tls, &question, q_slice_of_string(host), 8443);
    assert_non_null(dossier);
    assert_int_equal(all.bytes, dossier->size);
    memset(host, 'x', sizeof host);
    uint8_t leaf[8192];
    size_t leaf_len = rig->leaf->der_len;
    memcpy(leaf, rig->leaf->der, leaf_len);
    tls_rig_close(rig);
    tls_rig_free(rig);
    assert_int_equal(dossier->kind, Q_TLS_ASK_VERIFY);
    assert_int_equal(dossier->verdict.code, Q_ERR_TLS_CERT_EXPIRED);
    assert_ptr_equal(dossier->point.context, &all);
    assert_int_equal(num_holds, 2); // of what its context names, too
    assert_int_equal(dossier->port, 8443);
    assert_true(q_slice_equal(dossier->host, Q_SLICE("host.example")));
    assert_true(q_slice_equal(dossier->verify_name, Q_SLICE("a.example")));
    assert_int_equal(dossier->num_certificates, 2);
    assert_true(q_slice_equal(dossier->certificates[0], q_slice_make(leaf, leaf_len)));
    assert_true(dossier->certificates[1].len > 0);
    assert_int_equal(dossier->message.len, 0);
    assert_ptr_equal(q_tls_dossier_acquire(dossier), dossier);
    q_tls_dossier_release(dossier);
    assert_true(all.bytes > 0);
    assert_int_equal(num_holds, 2);
    q_tls_dossier_release(dossier);
    assert_int_equal(all.bytes, 0);
    assert_int_equal(num_holds, 1);
    q_tls_dossier_release(NULL);
    q_failalloc_free(memory);
}

static void a_message_to_sign_comes_without_the_servers_chain(void **state) {
    (void)state;
    struct tls_rig *rig = rig_that_asks(true);
    struct q_tls_dossiers all = {.alloc = q_alloc_libc()};
    struct q_tls_dossier *dossier = q_tls_dossier_new(&all, &rig->tls, &rig->question, Q_SLICE("h"), 443);
    assert_non_null(dossier);
    assert_true(q_slice_equal(dossier->message, rig->question.input));
    assert_int_equal(dossier->algorithm, rig->question.algorithm);
    assert_int_equal(dossier->num_certificates, 0);
    assert_int_equal(dossier->staple.len, 0);
    assert_int_equal(dossier->verdict.code, 0);
    q_tls_dossier_release(dossier);
    tls_rig_close(rig);
    tls_rig_free(rig);
}

static void there_is_none_without_memory_or_beyond_the_bound(void **state) {
    (void)state;
    struct tls_rig *rig = rig_that_asks(true);
    struct q_failalloc *memory = q_failalloc_new();
    struct q_tls_dossiers all = {.alloc = q_failalloc_alloc(memory)};
    q_failalloc_fail_from(memory, 1);
    assert_null(q_tls_dossier_new(&all, &rig->tls, &rig->question, Q_SLICE("h"), 443));
    assert_int_equal(all.bytes, 0);
    q_failalloc_fail_at(memory, 0);
    struct q_tls_dossier *dossier = q_tls_dossier_new(&all, &rig->tls, &rig->question, Q_SLICE("h"), 443);
    assert_non_null(dossier);
    size_t size = dossier->size;
    q_tls_dossier_release(dossier);
    all.bytes = Q_TLS_DOSSIERS_MAX - size + 1;
    assert_null(q_tls_dossier_new(&all, &rig->tls, &rig->question, Q_SLICE("h"), 443));
    all.bytes--;
    dossier = q_tls_dossier_new(&all, &rig->tls, &rig->question, Q_SLICE("h"), 443);
    assert_non_null(dossier);
    q_tls_dossier_release(dossier);
    q_failalloc_free(memory);
    tls_rig_close(rig);
    tls_rig_free(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_shows_outlives_the_connection),
        cmocka_unit_test(a_message_to_sign_comes_without_the_servers_chain),
        cmocka_unit_test(there_is_none_without_memory_or_beyond_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

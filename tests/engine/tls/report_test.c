// Reports: what a failed handshake leaves behind, what an open stream tells, and how much of both may be out at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tls/report.h"
#include "tests/engine/tls/tls_rig.h"

#include <openssl/ssl.h>

static const struct q_slice *certificate(const struct q_tls_report *report, size_t index) {
    assert_true(index < report->view.num_certificates);
    return &report->view.certificates[index];
}

static bool is_cert(const struct q_slice *der, const struct q_cert *cert) {
    return q_slice_equal(*der, q_slice_make(cert->der, cert->der_len));
}

static void assert_text(const struct q_tls_report *report, const char *message, int depth) {
    assert_string_equal(report->view.message, message);
    assert_int_equal(report->view.depth, depth);
}

static struct q_tls_report *failed(struct tls_rig *rig, struct q_tls_reports *all) {
    *all = (struct q_tls_reports){.alloc = rig->env.alloc};
    tls_rig_connect(rig);
    tls_rig_run(rig);
    assert_int_equal(rig->tls.state, Q_TLS_FAILED);
    struct q_tls_report *report = q_tls_report_of_stream(all, &rig->tls, rig->connect_error);
    assert_non_null(report);
    tls_rig_close(rig); // nothing of the stream's is needed any more
    return report;
}

static void drop(struct tls_rig *rig, struct q_tls_report *report) {
    q_tls_report_drop(report);
    tls_rig_free(rig);
}

static void a_refused_chain_is_told_with_the_one_that_is_wrong(void **state) {
    (void)state;
    struct q_tls_reports all;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.name = "b.example"});
    struct q_tls_report *report = failed(rig, &all);
    assert_text(report, "the server's certificate is for another name: certificate 0, subject \"CN=test\", issuer \"CN=middle\"; "
                        "not for b.example: it is for a.example", 0);
    assert_string_equal(report->view.subject, "CN=test");
    assert_string_equal(report->view.issuer, "CN=middle");
    assert_int_equal(report->view.num_certificates, 2);
    assert_true(is_cert(certificate(report, 0), rig->leaf));
    assert_true(is_cert(certificate(report, 1), rig->middle));
    assert_int_equal(all.bytes, rig->leaf->der_len + rig->middle->der_len);
    assert_ptr_equal(q_tls_report_hold(report), report);
    q_tls_report_drop(report);
    assert_true(is_cert(certificate(report, 0), rig->leaf));
    drop(rig, report);
    assert_int_equal(all.bytes, 0);
}

static void an_alert_is_told_by_name(void **state) {
    (void)state;
    static const char k_alert[] = "\x15\x03\x03\x00\x02\x02\x28"; // handshake_failure
    struct q_tls_reports all;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    tls_rig_inject(rig, k_alert, sizeof k_alert - 1);
    struct q_tls_report *report = failed(rig, &all);
    assert_text(report, "the server ended the TLS handshake with an alert: handshake failure (40)", -1);
    assert_string_equal(report->view.subject, "");
    assert_int_equal(report->view.num_certificates, 0);
    assert_int_equal(all.bytes, 0);
    drop(rig, report);
}

static void what_is_no_tls_is_told_in_the_librarys_word(void **state) {
    (void)state;
    struct q_tls_reports all;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    tls_rig_inject(rig, "220 mail.example ESMTP\r\n", 24);
    struct q_tls_report *report = failed(rig, &all);
    assert_non_null(strstr(report->view.message, q_error_sentence(rig->connect_error.code)));
    assert_non_null(strstr(report->view.message, ": WRONG_VERSION_NUMBER"));
    drop(rig, report);
}

static void an_open_stream_tells_its_chain(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    struct q_tls_reports all = {.alloc = rig->env.alloc};
    SSL_CTX_enable_ocsp_stapling(rig->client_context);
    assert_true(SSL_set_ocsp_response(rig->server, (const uint8_t *)"staple", 6));
    tls_rig_open(rig);
    struct q_tls_report *report = q_tls_report_of_stream(&all, &rig->tls, Q_OK);
    tls_rig_close(rig);
    assert_text(report, "", -1);
    assert_int_equal(report->view.num_certificates, 2);
    assert_true(is_cert(certificate(report, 0), rig->leaf));
    assert_true(q_slice_equal(report->view.staple, Q_SLICE("staple")));
    assert_int_equal(all.bytes, rig->leaf->der_len + rig->middle->der_len + 6);
    drop(rig, report);
}

// Hosts that do not read must not make us hold what servers send.
static void beyond_the_bound_reports_come_without_certificates(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    struct q_tls_reports all = {.alloc = rig->env.alloc};
    tls_rig_open(rig);
    size_t one = rig->leaf->der_len + rig->middle->der_len;
    all.bytes = Q_TLS_REPORTS_BYTES_MAX - one;
    struct q_tls_report *last = q_tls_report_of_stream(&all, &rig->tls, Q_OK);
    struct q_tls_report *without = q_tls_report_of_stream(&all, &rig->tls, Q_OK);
    assert_int_equal(last->view.num_certificates, 2);
    assert_int_equal(without->view.num_certificates, 0);
    assert_int_equal(all.bytes, Q_TLS_REPORTS_BYTES_MAX);
    q_tls_report_drop(without);
    q_tls_report_drop(last);
    assert_int_equal(all.bytes, Q_TLS_REPORTS_BYTES_MAX - one);
    tls_rig_close(rig);
    tls_rig_free(rig);
}

static void without_memory_there_is_none(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    struct q_tls_reports all = {.alloc = rig->env.alloc};
    tls_rig_open(rig);
    q_failalloc_fail_at(rig->failalloc, 1);
    assert_null(q_tls_report_of_stream(&all, &rig->tls, Q_OK));
    assert_int_equal(all.bytes, 0);
    q_failalloc_fail_at(rig->failalloc, 0);
    tls_rig_close(rig);
    tls_rig_free(rig);
}

static void a_text_stands_behind_the_sentence(void **state) {
    (void)state;
    struct q_tls_reports all = {.alloc = q_alloc_libc()};
    char text[Q_TLS_REPORT_TEXT_MAX + 1000];
    memset(text, 'p', sizeof text);
    text[sizeof text - 1] = '\0';
    struct q_error error = q_error_make(Q_ERR_TLS_NO_TRUST_STORE, Q_PHASE_TLS);
    struct q_tls_report *report = q_tls_report_of_text(&all, error, "/etc/x (ENOENT)");
    assert_text(report, "no trust store was found at the well-known places; give roots by file, folder or memory: "
                        "/etc/x (ENOENT)", -1);
    q_tls_report_drop(report);
    report = q_tls_report_of_text(&all, error, text);
    assert_true(strlen(report->view.message) > Q_TLS_REPORT_TEXT_MAX);
    q_tls_report_drop(report);
    q_tls_report_drop(NULL);
    assert_null(q_tls_report_hold(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_chain_is_told_with_the_one_that_is_wrong),
        cmocka_unit_test(an_alert_is_told_by_name),
        cmocka_unit_test(what_is_no_tls_is_told_in_the_librarys_word),
        cmocka_unit_test(an_open_stream_tells_its_chain),
        cmocka_unit_test(beyond_the_bound_reports_come_without_certificates),
        cmocka_unit_test(without_memory_there_is_none),
        cmocka_unit_test(a_text_stands_behind_the_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

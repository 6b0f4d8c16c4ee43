// A host against Debian's `openssl s_server` in forms that nginx does not have: status pages by every cipher, a server that
// has nothing in common with us, one that demands a certificate by an alert, and one that changes its keys or wants to
// shake hands again in the middle of an answer.
#include "tests/engine/core/host.h"

#include "tests/e2e/s_server.h"

enum { ALERT_HANDSHAKE_FAILURE = 40, ALERT_PROTOCOL_VERSION = 70, ALERT_UNKNOWN_CA = 48, ALERT_CERTIFICATE_REQUIRED = 116 };

static struct host host;
static struct s_server peer;

static struct quoit_tls *builder(void) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, peer.roots, strlen(peer.roots)), QUOIT_OK);
    return tls;
}

static void submit_by(uint32_t index, struct quoit_tls *tls) {
    char url[HOST_URL_MAX];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", peer.port);
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    quoit_tls_release(tls);
    host_submit(&host, index, request);
}

static const struct host_record *get_by(uint32_t index, struct quoit_tls *tls) {
    submit_by(index, tls);
    return host_wait(&host, index);
}

static void start(const char *const *arguments) {
    s_server_start(&peer, arguments);
    host_start(&host, NULL, NULL);
}

static void stop(void) {
    host_stop(&host);
    s_server_stop(&peer);
}

// --- ciphers ---------------------------------------------------------------------------------------------------------

// Its page is HTTP/1.0 and ends with the connection.
static void a_status_page_comes_by_each_cipher_that_is_spoken(void **state) {
    static const struct {
        const char *version, *list, *name;
        uint16_t number;
    } k_cases[] = {
        {"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", 0x1301},
        {"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", 0x1302},
        {"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", 0x1303},
        {"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b},
        {"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c},
        {"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        start((const char *[]){"-www", k_cases[i].version, k_cases[i].list, k_cases[i].name, NULL});
        const struct host_record *record = get_by(0, builder());
        assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
        assert_int_equal(record->status, 200);
        assert_true(record->body_len > 100);
        assert_non_null(strstr(record->text, "s_server"));
        assert_int_equal(record->summary.tls_cipher, k_cases[i].number);
        stop();
    }
}

// --- nothing in common -----------------------------------------------------------------------------------------------

static void who_has_nothing_in_common_with_us_is_told_by_an_alert(void **state) {
    static const struct {
        const char *arguments[10];
        uint8_t alert;
    } k_cases[] = {
        {{"-www", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, ALERT_PROTOCOL_VERSION},
        {{"-www", "-tls1", "-cipher", "ALL:@SECLEVEL=0"}, ALERT_PROTOCOL_VERSION},
        {{"-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"}, ALERT_HANDSHAKE_FAILURE}, // CBC
        {{"-www", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0", "-nocert"}, ALERT_HANDSHAKE_FAILURE},
        {{"-www", "-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"}, ALERT_HANDSHAKE_FAILURE},
        {{"-www", "-tls1_2", "-cipher", "PSK", "-psk", "0123456789abcdef", "-nocert"}, ALERT_HANDSHAKE_FAILURE},
        {{"-www", "-tls1_3", "-psk", "0123456789abcdef", "-nocert"}, ALERT_HANDSHAKE_FAILURE},
        {{"-www", "-tls1_3", "-groups", "X448"}, ALERT_HANDSHAKE_FAILURE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        start(k_cases[i].arguments);
        const struct host_record *record = get_by(0, builder());
        const struct quoit_failure *failure = &record->summary.failure;
        if (failure->code != QUOIT_ERR_TLS_HANDSHAKE_ALERT || failure->alert != k_cases[i].alert) {
            fail_msg("case %zu: %s, alert %u", i, quoit_error_name(failure->code), failure->alert);
        }
        assert_int_equal(failure->phase, QUOIT_PHASE_TLS);
        assert_int_equal(failure->retry_safe, 1);
        assert_int_equal(record->summary.bytes_out, 0);
        stop();
    }
}

// --- clients' certificates -------------------------------------------------------------------------------------------

static struct quoit_tls *identified(const char *cert, const char *key) {
    struct quoit_tls *tls = builder();
    struct quoit_tls_identity identity = {.struct_size = sizeof identity,
                                          .chain_source = QUOIT_TLS_FILE,
                                          .key_source = QUOIT_TLS_FILE,
                                          .chain = cert,
                                          .chain_len = strlen(cert),
                                          .key = key,
                                          .key_len = strlen(key)};
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    return tls;
}

// By TLS 1.2 the server refuses in the handshake. By TLS 1.3 ours is over by then: the alert comes in place of an answer,
// and the request may have left.
static void assert_refused(const struct host_record *record, bool is_late, uint8_t alert) {
    const struct quoit_failure *failure = &record->summary.failure;
    int32_t code = is_late ? QUOIT_ERR_TLS_ALERT : QUOIT_ERR_TLS_HANDSHAKE_ALERT;
    if (failure->code != code || failure->alert != alert) {
        fail_msg("%s, alert %u, not %s, alert %u", quoit_error_name(failure->code), failure->alert,
                 quoit_error_name(code), alert);
    }
    assert_int_equal(failure->retry_safe, record->summary.bytes_out == 0);
    assert_int_equal(record->num_heads, 0);
}

static void a_certificate_that_is_demanded_is_given_or_its_want_is_told(void **state) {
    static const char *const k_versions[] = {"-tls1_2", "-tls1_3"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool is_late = i == 1;
        start((const char *[]){"-www", k_versions[i], "-Verify", "3", "-verify_return_error", NULL});
        const struct host_record *record = get_by(0, identified(peer.client_cert, peer.client_key));
        assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
        assert_int_equal(record->status, 200);
        assert_refused(get_by(1, builder()), is_late, is_late ? ALERT_CERTIFICATE_REQUIRED : ALERT_HANDSHAKE_FAILURE);
        assert_refused(get_by(2, identified(peer.wrong_cert, peer.wrong_key)), is_late, ALERT_UNKNOWN_CA);
        stop();
    }
}

// --- in the middle of an answer --------------------------------------------------------------------------------------

// The test is the server's standard input: each line of it goes to the client as it stands.
static void begin_answer(void) {
    submit_by(0, builder());
    s_server_wait(&peer, "GET / HTTP/1.1");
    s_server_order(&peer, "HTTP/1.1 200 OK\r\n");
    s_server_order(&peer, "Content-Length: 12\r\n\r\n");
    host_wait_head(&host, 0);
}

static void keys_that_change_in_the_middle_of_an_answer_change_nothing_of_it(void **state) {
    (void)state;
    start((const char *[]){"-tls1_3", NULL});
    begin_answer();
    s_server_order(&peer, "k\n"); // its own
    s_server_order(&peer, "12345\n");
    host_wait_body(&host, 0, 6);
    s_server_order(&peer, "K\n"); // and ours, too
    s_server_order(&peer, "67890\n");
    host_assert_done(host_wait(&host, 0), 12);
    assert_string_equal(host.records[0].text, "12345\n67890\n");
    stop();
}

// What we send behind a key update that was asked for is sealed with the new key: the server reads it.
static void a_key_update_that_is_asked_for_is_made(void **state) {
    (void)state;
    start((const char *[]){"-tls1_3", NULL});
    begin_answer();
    s_server_order(&peer, "K\n");
    s_server_order(&peer, "12345678901\n");
    host_assert_done(host_wait(&host, 0), 12);
    char url[HOST_URL_MAX];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/second", peer.port);
    struct quoit_request *request = host_request("GET", url);
    struct quoit_tls *tls = builder();
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    quoit_tls_release(tls);
    host_submit(&host, 1, request);
    s_server_wait(&peer, "GET /second HTTP/1.1");
    s_server_order(&peer, "HTTP/1.1 204 No Content\r\n\r\n");
    host_assert_done(host_wait(&host, 1), 0);
    assert_int_equal(host.records[1].summary.reused, 1);
    stop();
}

static void a_second_handshake_is_refused(void **state) {
    (void)state;
    start((const char *[]){"-tls1_2", NULL});
    begin_answer();
    s_server_order(&peer, "r\n");
    const struct host_record *record = host_wait(&host, 0);
    assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
    assert_int_equal(quoit_error_category(record->summary.failure.code), QUOIT_CATEGORY_TLS);
    assert_int_equal(record->summary.failure.phase, QUOIT_PHASE_BODY);
    assert_int_equal(record->summary.failure.retry_safe, 0);
    stop();
}

// A server that sends everything back, turned round, and is no HTTP server at all.
static void a_server_of_another_protocol_is_a_bad_response(void **state) {
    static const char *const k_versions[] = {"-tls1_2", "-tls1_3"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        start((const char *[]){"-rev", k_versions[i], NULL});
        const struct host_record *record = get_by(0, builder());
        assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
        assert_int_equal(quoit_error_category(record->summary.failure.code), QUOIT_CATEGORY_HTTP);
        assert_int_equal(record->summary.failure.phase, QUOIT_PHASE_HEAD);
        assert_int_equal(record->summary.failure.retry_safe, 0);
        stop();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_page_comes_by_each_cipher_that_is_spoken),
        cmocka_unit_test(who_has_nothing_in_common_with_us_is_told_by_an_alert),
        cmocka_unit_test(a_certificate_that_is_demanded_is_given_or_its_want_is_told),
        cmocka_unit_test(keys_that_change_in_the_middle_of_an_answer_change_nothing_of_it),
        cmocka_unit_test(a_key_update_that_is_asked_for_is_made),
        cmocka_unit_test(a_second_handshake_is_refused),
        cmocka_unit_test(a_server_of_another_protocol_is_a_bad_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The handshake: with every fault of the server's that has a kind of its own, and with the host's say in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/tls/tls_rig.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>

static const uint16_t k_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void end(struct tls_rig *rig) {
    tls_rig_close(rig);
    tls_rig_free(rig);
}

// Runs a handshake that must fail, and gives its kind.
static struct q_error failing(struct tls_rig *rig) {
    tls_rig_connect(rig);
    tls_rig_run(rig);
    assert_int_equal(rig->tls.state, Q_TLS_FAILED);
    assert_int_equal(rig->told[rig->told_len - 1], 'C');
    assert_int_equal(rig->connect_error.phase, Q_PHASE_TLS);
    assert_int_equal(rig->connect_error.retry_safe, 1);
    return rig->connect_error;
}

// --- days ------------------------------------------------------------------------------------------------------------

static int64_t the_day;

static int64_t tell_day(const struct q_clock *clock) {
    (void)clock;
    return the_day;
}

static void certificates_expire_on_the_day_of_the_clock(void **state) {
    static const struct {
        int64_t day;
        int32_t code;
    } k_days[] = {{Q_CERTS_2020 - 1, Q_ERR_TLS_CERT_NOT_YET_VALID},
                  {Q_CERTS_2020, 0},
                  {Q_CERTS_2050 - 1, 0},
                  {Q_CERTS_2050, Q_ERR_TLS_CERT_EXPIRED}};
    (void)state;
    for (size_t i = 0; i < sizeof k_days / sizeof k_days[0]; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
        rig->policy.now_s = 0;
        the_day = k_days[i].day;
        rig->clock.calendar_s = tell_day;
        tls_rig_connect(rig);
        tls_rig_run(rig);
        assert_int_equal(rig->connect_error.code, k_days[i].code);
        end(rig);
    }
}

// --- kinds -----------------------------------------------------------------------------------------------------------

static int32_t kind_of_leaf(uint16_t version, struct q_certs_spec spec) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = version});
    struct q_cert *leaf = q_certs_make(rig->middle, &spec);
    tls_rig_free(rig);
    rig = tls_rig_new(&(struct tls_rig_options){.version = version, .leaf = leaf});
    int32_t code = failing(rig).code;
    // Not a byte of the owner's, and no last flight: an alert at most.
    assert_int_equal(rig->wire.num_sends, 2);
    assert_false(rig->server_is_done);
    const struct q_verify_verdict *verdict = q_tls_stream_verdict(&rig->tls);
    assert_true(verdict != NULL && verdict->error.code == code);
    struct q_slice cert;
    assert_true(q_tls_stream_peer_certificate(&rig->tls, 0, &cert));
    assert_true(q_slice_equal(cert, q_slice_make(leaf->der, leaf->der_len)));
    end(rig);
    q_certs_free(leaf);
    return code;
}

static void a_refused_certificate_has_a_kind_and_ends_it_before_the_last_flight(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint16_t version = k_versions[i];
        assert_int_equal(kind_of_leaf(version, (struct q_certs_spec){.alt_names = "DNS:b.example"}),
                         Q_ERR_TLS_NAME_MISMATCH);
        assert_int_equal(
            kind_of_leaf(version, (struct q_certs_spec){.alt_names = "DNS:a.example", .not_after = Q_CERTS_NOW - 1}),
            Q_ERR_TLS_CERT_EXPIRED);
        assert_int_equal(
            kind_of_leaf(version, (struct q_certs_spec){.alt_names = "DNS:a.example", .extended_usage = "clientAuth"}),
            Q_ERR_TLS_BAD_PURPOSE);
    }
    struct q_cert *alone = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.leaf = alone});
    assert_int_equal(failing(rig).code, Q_ERR_TLS_SELF_SIGNED);
    end(rig);
    q_certs_free(alone);
}

static void the_server_hears_why(void **state) {
    (void)state;
    struct q_cert *alone = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "DNS:a.example"});
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = TLS1_2_VERSION, .leaf = alone});
    failing(rig);
    // In TLS 1.2 the alert is not sealed yet.
    static const uint8_t k_alert[] = {21, 3, 3, 0, 2, 2, SSL_AD_UNKNOWN_CA};
    assert_memory_equal(rig->wire.out + rig->wire.out_len - sizeof k_alert, k_alert, sizeof k_alert);
    end(rig);
    q_certs_free(alone);
}

static int32_t kind_of_bytes(const void *data, size_t len) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    tls_rig_inject(rig, data, len);
    tls_rig_end(rig, Q_OK);
    struct q_error error = failing(rig);
    end(rig);
    return error.code;
}

static void what_is_no_tls_has_kinds_too(void **state) {
    (void)state;
    assert_int_equal(kind_of_bytes("HTTP/1.1 400 Bad Request\r\n\r\n", 28), Q_ERR_TLS_PLAIN_HTTP);
    assert_int_equal(kind_of_bytes("220 mail.example ESMTP\r\n", 24), Q_ERR_TLS_PROTOCOL);
    assert_int_equal(kind_of_bytes("\x00\x00\x00\x00\x00\x00\x00\x00", 8), Q_ERR_TLS_PROTOCOL);
    assert_int_equal(kind_of_bytes("", 0), Q_ERR_TLS_TRUNCATED);
    assert_int_equal(kind_of_bytes("HTT", 3), Q_ERR_TLS_TRUNCATED);
    assert_int_equal(kind_of_bytes("\x16\x03\x03\xff\xff....", 9), Q_ERR_TLS_PROTOCOL);
    assert_int_equal(kind_of_bytes("\x17\x03\x03\x00\x01x", 6), Q_ERR_TLS_PROTOCOL);
}

static int choose_h2(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg) {
    (void)ssl;
    (void)in;
    (void)in_len;
    (void)arg;
    *out = (const uint8_t *)"h2";
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

static void a_protocol_that_was_not_offered_ends_it(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        assert_int_equal(SSL_CTX_set_alpn_protos(rig->client_context, (const uint8_t *)"\x08http/1.1", 9), 0);
        SSL_CTX_set_alpn_select_cb(rig->server_context, choose_h2, NULL);
        assert_int_equal(failing(rig).code, Q_ERR_TLS_BAD_ALPN);
        end(rig);
    }
}

static void an_alert_has_its_number(void **state) {
    (void)state;
    for (int alert = 1; alert < 256; alert += 51) {
        uint8_t record[] = {21, 3, 3, 0, 2, 2, (uint8_t)alert};
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
        tls_rig_inject(rig, record, sizeof record);
        struct q_error error = failing(rig);
        assert_int_equal(error.code, Q_ERR_TLS_HANDSHAKE_ALERT);
        assert_int_equal(error.alert, alert);
        end(rig);
    }
}

static void a_version_that_is_not_allowed_has_a_kind(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = TLS1_3_VERSION});
    assert_true(SSL_set_max_proto_version(rig->server, TLS1_2_VERSION));
    struct q_error error = failing(rig); // the server finds out first
    assert_int_equal(error.code, Q_ERR_TLS_HANDSHAKE_ALERT);
    assert_int_equal(error.alert, SSL_AD_PROTOCOL_VERSION);
    end(rig);

    // A server that answers with another version all the same.
    static const uint8_t k_hello[] = {22, 3, 3, 0, 44, 2, 0, 0, 40, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                      17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0xc0, 0x2b, 0, 0, 0};
    assert_int_equal(kind_of_bytes(k_hello, sizeof k_hello), Q_ERR_TLS_NOTHING_IN_COMMON);
}

static void a_reset_in_the_handshake_is_told_as_one(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    tls_rig_end(rig, q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD, 104));
    assert_int_equal(failing(rig).code, Q_ERR_CONNECTION_RESET);
    assert_int_equal(rig->connect_error.os_errno, 104);
    end(rig);
}

// The send knows of the reset first, and the alert lies in the socket.
static void an_alert_in_front_of_a_reset_is_heard(void **state) {
    (void)state;
    static const uint8_t k_alert[] = {21, 3, 3, 0, 2, 2, SSL_AD_HANDSHAKE_FAILURE};
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    rig->wire.send_error = q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_SEND, 32);
    tls_rig_inject(rig, k_alert, sizeof k_alert);
    struct q_error error = failing(rig);
    assert_int_equal(error.code, Q_ERR_TLS_HANDSHAKE_ALERT);
    end(rig);

    rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    rig->wire.send_error = q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_SEND);
    assert_int_equal(failing(rig).code, Q_ERR_CONNECTION_FAILED);
    end(rig);
}

static void a_flood_of_fragments_ends(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    // A hello of 16000 bytes, one byte in each record.
    static const uint8_t k_first[] = {22, 3, 3, 0, 4, 2, 0, 0x3e, 0x80};
    tls_rig_inject(rig, k_first, sizeof k_first);
    for (int i = 0; i < 2 * Q_TLS_PIPE_RECORDS_MAX; i++) {
        tls_rig_inject(rig, (const uint8_t[]){22, 3, 3, 0, 1, 0}, 6);
    }
    assert_int_equal(failing(rig).code, Q_ERR_TLS_PROTOCOL);
    end(rig);
}

static void a_bound_on_the_handshake_has_its_own_error(void **state) {
    (void)state;
    struct tls_rig *rig =
        tls_rig_new(&(struct tls_rig_options){.server_is_mute = true, .handshake_ns = 5 * Q_NS_PER_S});
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_pass(rig, 4999 * Q_NS_PER_MS);
    tls_rig_assert_told(rig, "");
    tls_rig_pass(rig, 10 * Q_NS_PER_MS);
    tls_rig_assert_told(rig, "C");
    assert_int_equal(rig->connect_error.code, Q_ERR_TIMEOUT_TLS);
    end(rig);

    rig = tls_rig_new(&(struct tls_rig_options){.handshake_ns = 5 * Q_NS_PER_S});
    tls_rig_open(rig);
    tls_rig_pass(rig, 50 * Q_NS_PER_S);
    tls_rig_assert_told(rig, "C");
    end(rig);
}

static void a_failed_connect_below_is_passed_on(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->wire.connect_error = q_error_os(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT, 111);
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_assert_told(rig, "C");
    assert_int_equal(rig->connect_error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(rig->wire.out_len, 0);
    end(rig);
}

static void a_server_name_is_sent_without_its_last_dot(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.name = "a.example."});
    tls_rig_open(rig);
    assert_string_equal(SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name), "a.example");
    end(rig);

    rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->params.server_name = (struct q_slice){0};
    tls_rig_open(rig);
    assert_null(SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name));
    end(rig);

    char name[300];
    memset(name, 'n', sizeof name);
    rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->params.server_name = q_slice_make(name, 256);
    static const struct q_address k_anywhere;
    assert_int_equal(q_stream_connect(&rig->tls.stream, &k_anywhere).code, Q_ERR_INVALID_ARGUMENT);
    tls_rig_free(rig);
}

// --- the host's say --------------------------------------------------------------------------------------------------

static void the_host_may_refuse_what_the_policy_takes(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool is_accepted = i % 2 == 0;
        struct tls_rig *rig = tls_rig_new(
            &(struct tls_rig_options){.version = k_versions[i / 2], .asks_verify = Q_TLS_ASKS_IF_GOOD});
        rig->question_answer = -1;
        rig->send_at_connect = "GET";
        tls_rig_connect(rig);
        tls_rig_run(rig);
        tls_rig_assert_told(rig, "Q");
        assert_int_equal(rig->question.kind, Q_TLS_ASK_VERIFY);
        assert_int_equal(rig->question_verdict.error.code, 0);
        struct q_slice cert;
        assert_true(q_tls_stream_peer_certificate(&rig->tls, 0, &cert));
        size_t sent = rig->wire.out_len;
        tls_rig_pass(rig, Q_NS_PER_S);
        assert_int_equal(rig->wire.out_len, sent);
        q_tls_stream_answer_verify(&rig->tls, is_accepted);
        tls_rig_assert_told(rig, "Q"); // never from inside
        q_tls_stream_answer_verify(&rig->tls, !is_accepted); // too late
        tls_rig_run(rig);
        assert_int_equal(rig->connect_error.code, is_accepted ? 0 : Q_ERR_TLS_VERIFY_REFUSED);
        assert_int_equal(rig->server_got_len, is_accepted ? 3 : 0);
        end(rig);
    }
}

static void the_host_may_have_the_last_word(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){
            .name = "b.example", .asks_verify = i == 2 ? Q_TLS_ASKS_IF_GOOD : Q_TLS_ASKS_ALWAYS});
        rig->question_answer = i == 0;
        tls_rig_connect(rig);
        tls_rig_run(rig);
        // One that is only asked about good ones is not asked.
        tls_rig_assert_told(rig, i == 2 ? "C" : "QC");
        assert_int_equal(rig->connect_error.code, i == 0 ? 0 : Q_ERR_TLS_NAME_MISMATCH);
        if (i < 2) {
            assert_int_equal(rig->question_verdict.error.code, Q_ERR_TLS_NAME_MISMATCH);
        }
        end(rig);
    }
}

static void the_hosts_time_is_not_the_servers(void **state) {
    (void)state;
    struct tls_rig *rig =
        tls_rig_new(&(struct tls_rig_options){.asks_verify = Q_TLS_ASKS_ALWAYS, .handshake_ns = Q_NS_PER_S});
    rig->question_answer = -1;
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_pass(rig, 10 * Q_NS_PER_S);
    tls_rig_assert_told(rig, "Q");
    q_tls_stream_answer_verify(&rig->tls, true);
    tls_rig_run(rig);
    tls_rig_assert_told(rig, "QC");
    struct q_tls_facts facts;
    q_tls_stream_facts(&rig->tls, &facts);
    assert_int_equal(facts.handshake_ns, 0);
    end(rig);
}

static void the_bound_goes_on_behind_an_answer(void **state) {
    (void)state;
    struct tls_rig *rig =
        tls_rig_new(&(struct tls_rig_options){.version = TLS1_2_VERSION, .asks_verify = Q_TLS_ASKS_ALWAYS,
                                              .handshake_ns = Q_NS_PER_S});
    rig->question_answer = -1;
    tls_rig_connect(rig);
    tls_rig_run(rig);
    rig->wire.limit = rig->wire.delivered; // the server's Finished never comes
    tls_rig_pass(rig, 10 * Q_NS_PER_S);
    q_tls_stream_answer_verify(&rig->tls, true);
    tls_rig_run(rig);
    tls_rig_pass(rig, 990 * Q_NS_PER_MS);
    tls_rig_assert_told(rig, "Q");
    tls_rig_pass(rig, 20 * Q_NS_PER_MS);
    assert_int_equal(rig->connect_error.code, Q_ERR_TIMEOUT_TLS);
    end(rig);
}

// --- the client's key ------------------------------------------------------------------------------------------------

static void a_client_certificate_is_sent(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){
            .version = k_versions[i], .wants_client_certificate = true, .has_client_key = true});
        tls_rig_open(rig);
        tls_rig_run(rig);
        assert_true(rig->server_is_done);
        assert_non_null(SSL_get0_peer_certificates(rig->server));
        end(rig);
    }
}

static struct q_slice sign(struct tls_rig *rig, uint8_t out[Q_TLS_SIGNATURE_MAX]) {
    struct q_cert *cert = q_certs_make(rig->root, &(struct q_certs_spec){.key_number = 4});
    EVP_MD_CTX context;
    EVP_MD_CTX_init(&context);
    size_t len = Q_TLS_SIGNATURE_MAX;
    assert_true(EVP_DigestSignInit(&context, NULL, SSL_get_signature_algorithm_digest(rig->question.algorithm), NULL,
                                   cert->key));
    assert_true(EVP_DigestSign(&context, out, &len, (const uint8_t *)rig->question.input.ptr, rig->question.input.len));
    EVP_MD_CTX_cleanup(&context);
    q_certs_free(cert);
    return q_slice_make(out, len);
}

static void a_key_that_the_host_keeps_signs_by_question(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(
            &(struct tls_rig_options){.version = k_versions[i], .wants_client_certificate = true, .asks_key = true});
        rig->question_answer = -1;
        tls_rig_connect(rig);
        tls_rig_run(rig);
        tls_rig_assert_told(rig, "Q");
        assert_int_equal(rig->question.kind, Q_TLS_ASK_SIGN);
        assert_int_equal(rig->question.algorithm, SSL_SIGN_ECDSA_SECP256R1_SHA256);
        uint8_t signature[Q_TLS_SIGNATURE_MAX];
        q_tls_stream_answer_sign(&rig->tls, sign(rig, signature));
        tls_rig_run(rig);
        assert_int_equal(rig->connect_error.code, 0);
        assert_true(rig->server_is_done);
        end(rig);
    }
}

static void a_host_that_does_not_sign_is_told_so(void **state) {
    (void)state;
    uint8_t signature[Q_TLS_SIGNATURE_MAX + 1] = {0};
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.wants_client_certificate = true, .asks_key = true});
        rig->question_answer = -1;
        tls_rig_connect(rig);
        tls_rig_run(rig);
        q_tls_stream_answer_sign(&rig->tls, q_slice_make(signature, i * sizeof signature));
        tls_rig_run(rig);
        assert_int_equal(rig->connect_error.code, Q_ERR_TLS_SIGN_REFUSED);
        end(rig);
    }
}

static void nothing_is_signed_for_a_server_that_is_not_good(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){
            .version = k_versions[i], .name = "b.example", .wants_client_certificate = true, .asks_key = true});
        assert_int_equal(failing(rig).code, Q_ERR_TLS_NAME_MISMATCH);
        tls_rig_assert_told(rig, "C");
        end(rig);
    }
}

static void answers_to_nothing_do_nothing(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    q_tls_stream_answer_verify(&rig->tls, false);
    q_tls_stream_answer_sign(&rig->tls, Q_SLICE("x"));
    tls_rig_connect(rig);
    q_tls_stream_answer_verify(&rig->tls, false);
    tls_rig_run(rig);
    q_tls_stream_answer_verify(&rig->tls, false);
    q_tls_stream_answer_sign(&rig->tls, Q_SLICE("x"));
    tls_rig_run(rig);
    assert_int_equal(rig->tls.state, Q_TLS_OPEN);
    end(rig);
}

static void a_flight_that_does_not_fit_goes_in_several_sends(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(
        &(struct tls_rig_options){.chunk_capacity = 128, .wants_client_certificate = true, .has_client_key = true});
    tls_rig_open(rig);
    tls_rig_run(rig);
    assert_true(rig->server_is_done);
    assert_true(rig->wire.num_sends > 2);
    end(rig);
}

static void without_memory_the_handshake_waits_and_then_fails(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    uint64_t limit = rig->budget.limit;
    rig->budget.limit = 0;
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_pass(rig, 50 * Q_NS_PER_MS);
    assert_int_equal(rig->wire.out_len, 0);
    rig->budget.limit = limit;
    tls_rig_pass(rig, 50 * Q_NS_PER_MS);
    assert_int_equal(rig->tls.state, Q_TLS_OPEN);
    end(rig);

    rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->budget.limit = 0;
    tls_rig_connect(rig);
    tls_rig_run(rig);
    for (int i = 0; i < 120; i++) {
        tls_rig_pass(rig, 10 * Q_NS_PER_MS);
    }
    assert_int_equal(rig->connect_error.code, Q_ERR_NO_MEMORY);
    rig->budget.limit = limit;
    end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_expire_on_the_day_of_the_clock),
        cmocka_unit_test(a_refused_certificate_has_a_kind_and_ends_it_before_the_last_flight),
        cmocka_unit_test(the_server_hears_why),
        cmocka_unit_test(what_is_no_tls_has_kinds_too),
        cmocka_unit_test(a_protocol_that_was_not_offered_ends_it),
        cmocka_unit_test(an_alert_has_its_number),
        cmocka_unit_test(a_version_that_is_not_allowed_has_a_kind),
        cmocka_unit_test(a_reset_in_the_handshake_is_told_as_one),
        cmocka_unit_test(an_alert_in_front_of_a_reset_is_heard),
        cmocka_unit_test(a_flood_of_fragments_ends),
        cmocka_unit_test(a_bound_on_the_handshake_has_its_own_error),
        cmocka_unit_test(a_failed_connect_below_is_passed_on),
        cmocka_unit_test(a_server_name_is_sent_without_its_last_dot),
        cmocka_unit_test(the_host_may_refuse_what_the_policy_takes),
        cmocka_unit_test(the_host_may_have_the_last_word),
        cmocka_unit_test(the_hosts_time_is_not_the_servers),
        cmocka_unit_test(the_bound_goes_on_behind_an_answer),
        cmocka_unit_test(a_client_certificate_is_sent),
        cmocka_unit_test(a_key_that_the_host_keeps_signs_by_question),
        cmocka_unit_test(a_host_that_does_not_sign_is_told_so),
        cmocka_unit_test(nothing_is_signed_for_a_server_that_is_not_good),
        cmocka_unit_test(answers_to_nothing_do_nothing),
        cmocka_unit_test(a_flight_that_does_not_fit_goes_in_several_sends),
        cmocka_unit_test(without_memory_the_handshake_waits_and_then_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

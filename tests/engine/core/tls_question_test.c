// Questions about TLS, through the public API: what is asked, what each answer does, with servers good and bad, keys of both
// kinds and both versions, in each mode of engine and port. What comes between a question and its answer is in
// tls_answer_test.c, whom a point keeps alive in tls_point_test.c.
#include "tests/engine/core/asked.h"

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/bad_tls.h"
#include "tests/support/tls_front.h"

static struct bench_server *the_server;
static char the_url[HOST_URL_MAX];

static struct tls_front *front_start(uint16_t version, const char *client_roots) {
    struct tls_front *front = tls_front_start(&(struct tls_front_options){
        .port = bench_server_port(the_server), .version = version, .client_roots = client_roots});
    snprintf(the_url, sizeof the_url, "https://127.0.0.1:%u/size/10", tls_front_port(front));
    return front;
}

static const uint8_t *the_pin; // of the configurations that are made; NULL: none

static struct quoit_tls *tls_by(struct asked_point *owner, uint32_t ask, const char *roots) {
    struct quoit_tls *tls;
    asked_point_new(owner);
    if (the_pin == NULL) {
        tls = asked_verify(roots, ask, owner->point);
    } else {
        assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
        assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)), QUOIT_OK);
        assert_int_equal(quoit_tls_add_pin(tls, the_pin, 32), QUOIT_OK);
        assert_int_equal(quoit_tls_set_verify_question(tls, ask, owner->point), QUOIT_OK);
        assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    }
    quoit_tls_point_release(owner->point); // the configuration has its own hold
    return tls;
}

// --- verify ----------------------------------------------------------------------------------------------------------

static void assert_is_about_the_front(const struct asked_question *question, void *context, uint16_t port) {
    assert_int_equal(question->kind, QUOIT_QUESTION_TLS_VERIFY);
    assert_ptr_equal(question->context, context);
    assert_int_equal(question->verdict, QUOIT_OK);
    assert_int_equal(question->port, port);
    assert_string_equal(question->host, "127.0.0.1");
    assert_string_equal(question->verify_name, "127.0.0.1");
    assert_int_equal(question->num_certs, 1);
    assert_memory_equal(question->certs[0], "\x30\x82", 2); // a sequence with two bytes of length: DER
    assert_int_equal(question->cert_len[0], 4 + question->certs[0][2] * 256 + question->certs[0][3]);
    assert_int_equal(question->message_len, 0);
    assert_int_equal(question->staple_len, 0);
}

static void a_good_server_is_asked_about_and_trusted_in_every_mode(void **state) {
    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        struct asked_point owner;
        struct tls_front *front = front_start((mode & 4) != 0 ? 0x0303 : 0x0304, NULL);
        struct quoit_tls *tls = tls_by(&owner, QUOIT_TLS_ASK_BEFORE_TRUSTING, tls_front_roots());
        asked_start(&(struct quoit_engine_options){.mode = mode & 1},
                    &(struct quoit_port_options){.mode = mode >> 1 & 1});
        asked.answer = ASKED_YES;
        for (uint32_t i = 0; i < 2; i++) {
            asked_get(i, the_url, tls);
            host_assert_done(host_wait(&asked_host, i), 10);
        }
        assert_int_equal(asked.num, 1); // the connection was trusted, and serves again
        assert_is_about_the_front(&asked.questions[0], &owner, tls_front_port(front));
        assert_int_equal(host_info(&asked_host).connections_opened, 1);
        quoit_tls_release(tls);
        host_stop(&asked_host);
        assert_int_equal(owner.num_released, 1);
        tls_front_stop(front);
    }
}

static void a_refused_server_sees_no_byte_of_the_request(void **state) {
    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        struct asked_point owner;
        struct tls_front *front = front_start((mode & 4) != 0 ? 0x0303 : 0x0304, NULL);
        struct quoit_tls *tls = tls_by(&owner, QUOIT_TLS_ASK_BEFORE_TRUSTING, tls_front_roots());
        asked_start(&(struct quoit_engine_options){.mode = mode & 1},
                    &(struct quoit_port_options){.mode = mode >> 1 & 1});
        asked.answer = ASKED_REFUSE;
        asked_get(0, the_url, tls);
        const struct host_record *record = host_wait(&asked_host, 0);
        host_assert_failed(record, QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_PHASE_TLS);
        assert_true(record->summary.failure.retry_safe);
        assert_int_equal(asked.num, 1);
        quoit_tls_release(tls);
        host_stop(&asked_host);
        assert_int_equal(owner.num_released, 1);
        assert_int_equal(tls_front_facts(front).bytes_in, 0);
        tls_front_stop(front);
    }
}

// Kinds of servers with something wrong that is found in their certificates, and what it is.
static const enum bad_tls_kind k_bad[] = {BAD_TLS_EXPIRED,   BAD_TLS_SELF_SIGNED,    BAD_TLS_WRONG_NAME,
                                          BAD_TLS_NO_MIDDLE, BAD_TLS_UNTRUSTED_ROOT, BAD_TLS_WEAK_RSA};

// The outcome of one request to a bad server; the number of questions.
static uint32_t visit_bad(enum bad_tls_kind kind, uint32_t ask, enum asked_answer answer, int32_t *out_code) {
    struct asked_point owner;
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = kind});
    struct quoit_tls *tls = tls_by(&owner, ask, bad_tls_roots());
    asked_start(NULL, NULL);
    asked.answer = answer;
    snprintf(the_url, sizeof the_url, "https://" BAD_TLS_HOST "/");
    struct quoit_request *request = asked_request(the_url, tls, 0);
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(server)), QUOIT_OK);
    host_submit(&asked_host, 0, request);
    *out_code = host_wait(&asked_host, 0)->summary.failure.code;
    uint32_t num = asked.num;
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
    struct bad_tls_facts facts;
    bad_tls_stop(server, &facts);
    assert_int_equal(facts.num_requests, *out_code == QUOIT_OK);
    return num;
}

static void who_may_only_refuse_is_not_asked_about_bad_servers(void **state) {
    (void)state;
    int32_t code;
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_int_equal(visit_bad(k_bad[i], QUOIT_TLS_ASK_BEFORE_TRUSTING, ASKED_YES, &code), 0);
        assert_string_equal(quoit_error_name(code), bad_tls_error(k_bad[i]));
    }
    assert_int_equal(visit_bad(BAD_TLS_NONE, QUOIT_TLS_ASK_BEFORE_TRUSTING, ASKED_YES, &code), 1);
    assert_int_equal(code, QUOIT_OK);
}

static void who_has_the_last_word_trusts_whom_it_likes(void **state) {
    (void)state;
    int32_t code;
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_int_equal(visit_bad(k_bad[i], QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, ASKED_YES, &code), 1);
        assert_int_equal(code, QUOIT_OK);
        assert_string_equal(quoit_error_name(asked.questions[0].verdict), bad_tls_error(k_bad[i]));
        assert_string_equal(asked.questions[0].host, BAD_TLS_HOST);
        assert_int_equal(asked.questions[0].port, 443); // the URL's, wherever it leads
        assert_true(asked.questions[0].num_certs >= 1);
    }
}

static void who_has_the_last_word_and_refuses_leaves_the_verdict(void **state) {
    (void)state;
    int32_t code;
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_int_equal(visit_bad(k_bad[i], QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, ASKED_REFUSE, &code), 1);
        assert_string_equal(quoit_error_name(code), bad_tls_error(k_bad[i]));
    }
    assert_int_equal(visit_bad(BAD_TLS_NONE, QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, ASKED_REFUSE, &code), 1);
    assert_int_equal(code, QUOIT_ERR_TLS_VERIFY_REFUSED);
}

// Pins are the stricter wish: a YES does not overrule them, since nobody is asked for one.
static void nobody_overrules_a_pin(void **state) {
    static const enum bad_tls_kind k_kinds[] = {BAD_TLS_NONE, BAD_TLS_EXPIRED, BAD_TLS_SELF_SIGNED, BAD_TLS_WRONG_NAME,
                                                BAD_TLS_UNTRUSTED_ROOT};
    static const uint8_t k_pin[32] = {1};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_kinds); i++) {
        int32_t code;
        the_pin = k_pin;
        assert_int_equal(visit_bad(k_kinds[i], QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, ASKED_YES, &code), 0);
        assert_int_equal(code, QUOIT_ERR_TLS_PIN_MISMATCH);
        the_pin = NULL;
    }
}

// One that has the key is asked about like any other, and its own certificate's key is enough.
static void a_server_with_a_pinned_key_may_be_trusted_against_the_verdict(void **state) {
    (void)state;
    struct q_cert *self = q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 63});
    struct bench_server *server =
        bench_server_start(&(struct bench_server_options){.tls_cert = self->pem, .tls_key = self->key_pem});
    assert_non_null(server);
    struct asked_point owner;
    asked_start(NULL, NULL);
    asked.answer = ASKED_YES;
    the_pin = self->spki_sha256;
    struct quoit_tls *tls = tls_by(&owner, QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, tls_front_roots());
    the_pin = NULL;
    asked_get(0, bench_server_url(server, "/size/10", the_url, sizeof the_url), tls);
    host_assert_done(host_wait(&asked_host, 0), 10);
    assert_int_equal(asked.num, 1);
    assert_int_equal(asked.questions[0].verdict, QUOIT_ERR_TLS_SELF_SIGNED);
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
    bench_server_stop(server);
    q_certs_free(self);
}

// A session stands for its connection's question, but is not shown to a server whose certificates are not good by themselves.
static void a_resumed_session_is_not_asked_about_unless_it_was_trusted_against_the_verdict(void **state) {
    (void)state;
    for (uint32_t is_bad = 0; is_bad < 2; is_bad++) {
        struct asked_point owner;
        struct q_cert *other = q_certs_authority(NULL, "another root", 61);
        struct tls_front *front = front_start(0x0304, NULL);
        asked_start(NULL, NULL);
        asked.answer = ASKED_YES;
        asked.has_tickets = true;
        struct quoit_tls *tls = tls_by(&owner, QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS,
                                       is_bad ? other->pem : tls_front_roots());
        for (uint32_t i = 0; i < 2; i++) {
            struct quoit_request *request = asked_request(the_url, tls, 0);
            assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
            host_submit(&asked_host, i, request);
            host_assert_done(host_wait(&asked_host, i), 10);
        }
        assert_int_equal(asked_host.records[1].summary.tls_resumed, !is_bad);
        assert_int_equal(asked.num, is_bad ? 2 : 1);
        quoit_tls_release(tls);
        host_stop(&asked_host);
        assert_int_equal(owner.num_released, 1);
        asked.has_tickets = false;
        tls_front_stop(front);
        q_certs_free(other);
    }
}

// --- sign ------------------------------------------------------------------------------------------------------------

static struct q_cert *the_client_root;
static struct q_cert *the_clients[2]; // ECDSA, RSA

static int make_clients(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    assert_non_null(the_server);
    the_client_root = q_certs_authority(NULL, "clients", 41);
    for (size_t i = 0; i < Q_COUNT_OF(the_clients); i++) {
        the_clients[i] = q_certs_make(the_client_root, &(struct q_certs_spec){.common_name = "client",
                                                                              .extended_usage = "clientAuth",
                                                                              .key = i == 0 ? Q_CERTS_P256 : Q_CERTS_RSA_2048,
                                                                              .key_number = 42});
    }
    return 0;
}

static int free_clients(void **state) {
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(the_clients); i++) {
        q_certs_free(the_clients[i]);
    }
    q_certs_free(the_client_root);
    bench_server_stop(the_server);
    return 0;
}

// One request with `client`'s certificate, whose key answers so.
static const struct host_record *visit_signing(const struct q_cert *client, uint16_t version, uint32_t mode,
                                               enum asked_answer answer) {
    struct asked_point owner;
    struct tls_front *front = front_start(version, the_client_root->pem);
    asked_point_new(&owner);
    struct quoit_tls *tls = asked_sign(tls_front_roots(), client, owner.point);
    quoit_tls_point_release(owner.point);
    asked_start(&(struct quoit_engine_options){.mode = mode & 1}, &(struct quoit_port_options){.mode = mode >> 1});
    asked.answer = answer;
    asked.signer = client;
    asked_get(0, the_url, tls);
    const struct host_record *record = host_wait(&asked_host, 0);
    assert_int_equal(asked.num, 1);
    assert_int_equal(asked.questions[0].kind, QUOIT_QUESTION_TLS_SIGN);
    assert_ptr_equal(asked.questions[0].context, &owner);
    assert_int_equal(asked.questions[0].num_certs, 0);
    assert_int_equal(asked.questions[0].port, tls_front_port(front));
    assert_string_equal(asked.questions[0].host, "127.0.0.1");
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
    if (record->summary.failure.code != QUOIT_OK) {
        assert_int_equal(tls_front_facts(front).bytes_in, 0);
    }
    tls_front_stop(front);
    return record;
}

static void a_key_that_the_engine_has_not_signs(void **state) {
    static const uint16_t k_versions[] = {0x0303, 0x0304};
    (void)state;
    for (size_t kind = 0; kind < Q_COUNT_OF(the_clients); kind++) {
        for (size_t i = 0; i < Q_COUNT_OF(k_versions); i++) {
            for (uint32_t mode = 0; mode < 4; mode++) {
                host_assert_done(visit_signing(the_clients[kind], k_versions[i], mode, ASKED_SIGN), 10);
                uint16_t algorithm = asked.questions[0].algorithm;
                assert_int_equal(algorithm, kind == 0 ? 0x0403 : 0x0804); // ECDSA with P-256, RSA-PSS; both with SHA-256
                assert_true(asked.questions[0].message_len > 0);
            }
        }
    }
}

static void a_signature_that_is_refused_or_wrong_ends_the_request_with_its_own_error(void **state) {
    static const struct {
        enum asked_answer answer;
        int32_t code_1_2;
        int32_t code_1_3;
    } k_rows[] = {
        {ASKED_REFUSE, QUOIT_ERR_TLS_SIGN_REFUSED, QUOIT_ERR_TLS_SIGN_REFUSED},
        {ASKED_SIGN_LONG, QUOIT_ERR_TLS_SIGN_REFUSED, QUOIT_ERR_TLS_SIGN_REFUSED},
        // The server of TLS 1.3 looks when the handshake is over for us.
        {ASKED_SIGN_WRONG, QUOIT_ERR_TLS_HANDSHAKE_ALERT, QUOIT_ERR_TLS_ALERT},
    };
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        for (size_t kind = 0; kind < Q_COUNT_OF(the_clients); kind++) {
            const struct host_record *record = visit_signing(the_clients[kind], 0x0303, 0, k_rows[i].answer);
            assert_int_equal(record->summary.failure.code, k_rows[i].code_1_2);
            record = visit_signing(the_clients[kind], 0x0304, 0, k_rows[i].answer);
            assert_int_equal(record->summary.failure.code, k_rows[i].code_1_3);
        }
    }
}

// A yes alone is no signature.
static void a_question_to_sign_takes_a_signature_and_no_other_yes(void **state) {
    struct asked_point owner;
    struct tls_front *front = front_start(0, the_client_root->pem);
    (void)state;
    asked_point_new(&owner);
    struct quoit_tls *tls = asked_sign(tls_front_roots(), the_clients[0], owner.point);
    quoit_tls_point_release(owner.point);
    asked_start(NULL, NULL);
    asked.signer = the_clients[0];
    asked_get(0, the_url, tls);
    const struct asked_question *question = asked_wait(1);
    assert_int_equal(quoit_answer(asked_host.engine, question->token, QUOIT_ANSWER_YES), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_answer(asked_host.engine, question->token, QUOIT_ANSWER_STOP), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(asked_sign_it(question), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 10);
    assert_int_equal(asked.num, 1);
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
    tls_front_stop(front);
}

static void one_handshake_asks_one_request_both_questions(void **state) {
    struct asked_point owner;
    (void)state;
    struct tls_front *front = front_start(0, the_client_root->pem);
    struct quoit_tls *tls;
    asked_point_new(&owner);
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, tls_front_roots(), strlen(tls_front_roots())), QUOIT_OK);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, owner.point), QUOIT_OK);
    const char *pem = the_clients[0]->pem;
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_MEMORY, pem, strlen(pem), owner.point), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    asked_start(&(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    asked.signer = the_clients[0];
    for (uint32_t i = 0; i < 3; i++) {
        asked_get(i, the_url, tls);
    }
    const struct asked_question *verify = asked_wait(1);
    assert_int_equal(verify->kind, QUOIT_QUESTION_TLS_VERIFY);
    assert_int_equal(quoit_answer(asked_host.engine, verify->token, QUOIT_ANSWER_YES), QUOIT_OK);
    const struct asked_question *sign = asked_wait(2);
    assert_int_equal(sign->kind, QUOIT_QUESTION_TLS_SIGN);
    assert_int_equal(sign->request.id, verify->request.id);
    assert_int_equal(asked_sign_it(sign), QUOIT_OK);
    host_wait_all(&asked_host, 3);
    for (uint32_t i = 0; i < 3; i++) {
        host_assert_done(&asked_host.records[i], 10);
    }
    assert_int_equal(asked.num, 2);
    quoit_tls_point_release(owner.point);
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
    tls_front_stop(front);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_server_is_asked_about_and_trusted_in_every_mode),
        cmocka_unit_test(a_refused_server_sees_no_byte_of_the_request),
        cmocka_unit_test(who_may_only_refuse_is_not_asked_about_bad_servers),
        cmocka_unit_test(who_has_the_last_word_trusts_whom_it_likes),
        cmocka_unit_test(who_has_the_last_word_and_refuses_leaves_the_verdict),
        cmocka_unit_test(nobody_overrules_a_pin),
        cmocka_unit_test(a_server_with_a_pinned_key_may_be_trusted_against_the_verdict),
        cmocka_unit_test(a_resumed_session_is_not_asked_about_unless_it_was_trusted_against_the_verdict),
        cmocka_unit_test(a_key_that_the_engine_has_not_signs),
        cmocka_unit_test(a_signature_that_is_refused_or_wrong_ends_the_request_with_its_own_error),
        cmocka_unit_test(a_question_to_sign_takes_a_signature_and_no_other_yes),
        cmocka_unit_test(one_handshake_asks_one_request_both_questions),
    };
    return cmocka_run_group_tests(tests, make_clients, free_clients);
}

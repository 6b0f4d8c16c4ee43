// What a host is told, through the C API, of each TLS server that does one thing wrong (tests/support/bad_tls.h): code,
// phase, the alert's number and whether the request may be sent again; once with an engine's own thread and once driven
// by the host. And of good servers that its own configuration must refuse: revoked, not covered, not pinned, nothing in
// common. Each kind of error that TLS can have is met here or named as one that no server can cause.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/support/bad_tls.h"
#include "tests/support/certs.h"

enum { SILENCE_MS = 300, TLS_1_2 = 0x0303, TLS_1_3 = 0x0304, ALERT_HANDSHAKE_FAILURE = 40, ALERT_PROTOCOL_VERSION = 70,
       ALERT_INTERNAL_ERROR = 80 };

static struct host host;

// --- what was met ----------------------------------------------------------------------------------------------------

static bool the_met[1000]; // codes

static void meet(const struct host_record *record, const char *title, const char *error) {
    const char *name = quoit_error_name(record->summary.failure.code);
    if (strcmp(name, error == NULL ? "QUOIT_OK" : error) != 0) {
        fail_msg("%s: %s, not %s", title, name, error == NULL ? "QUOIT_OK" : error);
    }
    assert_int_equal(record->end_type, error == NULL ? QUOIT_EVENT_DONE : QUOIT_EVENT_FAILED);
    the_met[record->summary.failure.code] = true;
}

// --- bad servers -----------------------------------------------------------------------------------------------------

static struct quoit_tls *trusting(const char *roots) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, roots, strlen(roots)), QUOIT_OK);
    return tls;
}

static void start(uint32_t mode, struct quoit_tls *tls) {
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    host_start(&host, &(struct quoit_engine_options){.mode = mode, .tls = tls}, NULL);
    quoit_tls_release(tls);
}

// A POST: what may have been processed is not sent again, so that each failure is told as it was.
static const struct host_record *ask(uint32_t index, const struct bad_tls *server, uint64_t connect_ms) {
    struct quoit_request *request = host_request("POST", "https://" BAD_TLS_HOST "/x");
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .connect_ms = connect_ms};
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(server)), QUOIT_OK);
    assert_int_equal(quoit_request_set_body(request, "once", 4, NULL, NULL), QUOIT_OK);
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, index, request);
    return host_wait(&host, index);
}

static uint8_t alert_of(enum bad_tls_kind kind) {
    switch (kind) {
    case BAD_TLS_OLD_VERSION: return ALERT_PROTOCOL_VERSION;
    case BAD_TLS_ALERT: return ALERT_HANDSHAKE_FAILURE;
    case BAD_TLS_BODY_ALERT: return ALERT_INTERNAL_ERROR;
    default: return 0;
    }
}

static int32_t phase_of(enum bad_tls_kind kind) {
    if (!bad_tls_is_cut(kind)) {
        return QUOIT_PHASE_TLS;
    }
    return kind == BAD_TLS_HEAD_ALONE ? QUOIT_PHASE_HEAD : QUOIT_PHASE_BODY;
}

static bool is_silent(enum bad_tls_kind kind) { return kind == BAD_TLS_SILENT || kind == BAD_TLS_SILENT_MIDWAY; }

static void play(uint32_t mode, enum bad_tls_kind kind, uint16_t version, uint32_t index) {
    const char *title = bad_tls_title(kind);
    struct bad_tls_facts facts;
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = kind, .version = version});
    const struct host_record *record = ask(index, server, is_silent(kind) ? SILENCE_MS : 0);
    const struct quoit_failure *failure = &record->summary.failure;
    if (mode == QUOIT_ENGINE_HOST_DRIVEN && bad_tls_error(kind) == NULL) {
        host_until(&host, host_is_open, 0); // whoever drives says goodbye, too
    }
    if (is_silent(kind)) { // which of the two bounds it was, the shorter one decides
        assert_true(failure->code == QUOIT_ERR_TIMEOUT_CONNECT || failure->code == QUOIT_ERR_TIMEOUT_TLS);
    } else {
        meet(record, title, bad_tls_error(kind));
    }
    if (bad_tls_error(kind) != NULL) {
        if (failure->phase != phase_of(kind) && !is_silent(kind)) {
            fail_msg("%s: phase %s", title, quoit_phase_name(failure->phase));
        }
        if (failure->alert != alert_of(kind) || failure->retry_safe != !bad_tls_is_cut(kind)) {
            fail_msg("%s: alert %u, retry_safe %u", title, failure->alert, failure->retry_safe);
        }
        assert_int_equal(record->summary.bytes_out > 0, bad_tls_is_cut(kind));
        assert_int_equal(record->num_heads, phase_of(kind) == QUOIT_PHASE_BODY);
    }
    host_until(&host, host_is_open, 0); // none of them is kept
    bad_tls_stop(server, &facts);
    assert_int_equal(facts.num_connections + is_silent(kind), 1 + is_silent(kind));
    assert_int_equal(facts.num_requests, bad_tls_is_cut(kind) || bad_tls_error(kind) == NULL);
}

static void play_all(uint32_t mode) {
    static const uint16_t k_versions[] = {TLS_1_2, TLS_1_3};
    uint32_t index = 0;
    start(mode, trusting(bad_tls_roots()));
    for (size_t i = 0; i < 2; i++) {
        for (int kind = 0; kind < BAD_TLS_COUNT; kind++) {
            // Where it stops in each place is bad_tls_servers_test's.
            if (kind != BAD_TLS_TRUNCATED) {
                play(mode, kind, k_versions[i], index++);
            }
        }
    }
    host_stop(&host);
}

static void each_bad_server_is_told_by_its_kind(void **state) {
    (void)state;
    play_all(QUOIT_ENGINE_THREAD);
}

static void so_it_is_when_the_host_drives(void **state) {
    (void)state;
    play_all(QUOIT_ENGINE_HOST_DRIVEN);
}

// It may be sent again exactly when not a byte of it had left, and so the server has not got it.
static void where_a_server_stops_tells_whether_the_request_may_be_sent_again(void **state) {
    (void)state;
    for (uint16_t version = TLS_1_2; version <= TLS_1_3; version++) {
        struct bad_tls_options options = {
            .kind = BAD_TLS_TRUNCATED, .version = version, .records = BAD_TLS_EVERY_RECORD};
        struct bad_tls_facts facts;
        bool is_whole = false;
        start(QUOIT_ENGINE_THREAD, trusting(bad_tls_roots()));
        for (options.records = 0; !is_whole; options.records++) {
            struct bad_tls *server = bad_tls_start(&options);
            const struct host_record *record = ask(options.records, server, 0);
            const struct quoit_summary *summary = &record->summary;
            host_until(&host, host_is_open, 0);
            bad_tls_stop(server, &facts);
            assert_int_equal(facts.num_connections, 1);
            is_whole = record->end_type == QUOIT_EVENT_DONE;
            if (!is_whole) {
                assert_int_equal(summary->failure.code, QUOIT_ERR_TLS_TRUNCATED);
                assert_int_equal(summary->failure.retry_safe, summary->bytes_out == 0);
                assert_int_equal(summary->failure.phase == QUOIT_PHASE_TLS, summary->bytes_out == 0);
                assert_true(facts.num_requests == 0 || !summary->failure.retry_safe);
            }
        }
        assert_in_range(options.records, 4, 32);
        host_stop(&host);
    }
}

// By TLS 1.2 the server has the last word in the handshake, and here an answer behind it, in one piece: what came before
// the request was on its way answers nothing, also where it lies sealed behind what the handshake needed.
static void an_answer_that_comes_with_the_handshake_answers_nothing(void **state) {
    static const uint32_t k_modes[] = {QUOIT_ENGINE_THREAD, QUOIT_ENGINE_HOST_DRIVEN};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bad_tls *server =
            bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_NONE, .version = TLS_1_2, .is_eager = true});
        start(k_modes[i], trusting(bad_tls_roots()));
        const struct host_record *record = ask(0, server, 0);
        assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
        assert_int_equal(record->num_heads, 0);
        assert_int_equal(record->body_len, 0);
        host_until(&host, host_is_open, 0);
        host_stop(&host);
        bad_tls_stop(server, NULL);
    }
}

// --- good servers that are refused -----------------------------------------------------------------------------------

static struct {
    struct q_cert *root;
    struct q_cert *leaf;
    struct q_cert *other;
    struct bench_server *server;
} good;

static int set_up(void **state) {
    (void)state;
    good.root = q_certs_authority(NULL, "root", 31);
    good.other = q_certs_authority(NULL, "other", 32);
    good.leaf = q_certs_make(good.root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 33});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_free(good.leaf);
    q_certs_free(good.other);
    q_certs_free(good.root);
    return 0;
}

static void serve(uint16_t version) {
    good.server = bench_server_start(&(struct bench_server_options){
        .tls_cert = good.leaf->pem, .tls_key = good.leaf->key_pem, .tls_version = version});
    assert_non_null(good.server);
}

// Asks it by a configuration, which is frozen and released; the error, or NULL, is told in the phase of TLS.
static struct quoit_failure refused_by(struct quoit_tls *tls, const char *title, const char *error) {
    char url[HOST_URL_MAX];
    start(QUOIT_ENGINE_THREAD, tls);
    host_get(&host, 0, bench_server_url(good.server, "/size/10", url, sizeof url));
    const struct host_record *record = host_wait(&host, 0);
    struct quoit_failure failure = record->summary.failure;
    meet(record, title, error);
    if (error != NULL) {
        assert_int_equal(failure.phase, QUOIT_PHASE_TLS);
        assert_int_equal(failure.retry_safe, 1);
        assert_int_equal(record->summary.bytes_out, 0);
    }
    host_stop(&host);
    return failure;
}

static struct quoit_tls *with_list(const struct q_cert *issuer, uint64_t serial, int64_t next_update) {
    struct quoit_tls *tls = trusting(good.root->pem);
    char *list = q_certs_crl(issuer, &serial, 1, next_update);
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_MEMORY, list, strlen(list)), QUOIT_OK);
    free(list);
    return tls;
}

static struct quoit_tls *with_pin(const struct q_cert *cert) {
    struct quoit_tls *tls = trusting(good.root->pem);
    assert_int_equal(quoit_tls_add_pin(tls, cert->spki_sha256, sizeof cert->spki_sha256), QUOIT_OK);
    return tls;
}

static void what_the_host_demands_besides_is_told_by_its_kind(void **state) {
    (void)state;
    for (uint16_t version = TLS_1_2; version <= TLS_1_3; version++) {
        serve(version);
        refused_by(trusting(good.root->pem), "nothing", NULL);
        refused_by(with_list(good.root, good.leaf->serial, 0), "revoked", "QUOIT_ERR_TLS_CERT_REVOKED");
        refused_by(with_list(good.root, good.leaf->serial + 1, 0), "not revoked", NULL);
        refused_by(with_list(good.root, good.leaf->serial + 1, Q_CERTS_2020 + 86400), "an old list",
                   "QUOIT_ERR_TLS_NO_CRL");
        refused_by(with_list(good.other, good.leaf->serial, 0), "another's list", "QUOIT_ERR_TLS_NO_CRL");
        refused_by(with_pin(good.leaf), "pinned leaf", NULL);
        refused_by(with_pin(good.root), "pinned root", NULL);
        refused_by(with_pin(good.other), "pinned another", "QUOIT_ERR_TLS_PIN_MISMATCH");
        refused_by(trusting(good.other->pem), "another root", "QUOIT_ERR_TLS_UNTRUSTED_ROOT");
        refused_by(trusting(good.leaf->pem), "the leaf itself is trusted", NULL);
        bench_server_stop(good.server);
    }
}

static void a_server_with_no_version_or_cipher_in_common_is_told_as_such(void **state) {
    (void)state;
    for (uint16_t version = TLS_1_2; version <= TLS_1_3; version++) {
        uint16_t wanted = version == TLS_1_2 ? TLS_1_3 : TLS_1_2;
        struct quoit_tls *tls = trusting(good.root->pem);
        serve(version);
        assert_int_equal(quoit_tls_set_versions(tls, wanted, wanted), QUOIT_OK);
        struct quoit_failure failure = refused_by(tls, "versions", "QUOIT_ERR_TLS_HANDSHAKE_ALERT");
        assert_int_equal(failure.alert, ALERT_PROTOCOL_VERSION);
        bench_server_stop(good.server);
    }
    struct quoit_tls *tls = trusting(good.root->pem);
    serve(TLS_1_2);
    assert_int_equal(quoit_tls_set_ciphers(tls, "ECDHE-RSA-AES128-GCM-SHA256", 27), QUOIT_OK); // its key is ECDSA
    assert_int_equal(refused_by(tls, "ciphers", "QUOIT_ERR_TLS_HANDSHAKE_ALERT").alert, ALERT_HANDSHAKE_FAILURE);
    bench_server_stop(good.server);
}

// Without a store there is an error of its own, whoever answers.
static void a_missing_trust_store_is_told_by_each_request(void **state) {
    static const char *const k_environment[] = {"SSL_CERT_FILE=/no/such/file", "SSL_CERT_DIR=/no/such/folder", NULL};
    char url[HOST_URL_MAX];
    (void)state;
    serve(0);
    host_start(&host, &(struct quoit_engine_options){.environment = k_environment}, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        host_get(&host, i, bench_server_url(good.server, "/size/10", url, sizeof url));
        const struct host_record *record = host_wait(&host, i);
        const struct quoit_failure *failure = &record->summary.failure;
        assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
        assert_int_equal(quoit_error_category(failure->code), QUOIT_CATEGORY_TLS);
        assert_int_equal(failure->retry_safe, 1);
        the_met[failure->code] = true;
    }
    host_stop(&host);
    bench_server_stop(good.server);
}

// --- and the list is whole -------------------------------------------------------------------------------------------

// Those of the category that a server can cause were all met above, those of a host's own making elsewhere.
static void every_kind_of_error_was_met(void **state) {
    static const int32_t k_elsewhere[] = {
        QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_ERR_TLS_SIGN_REFUSED, // the host's answers to questions
    };
    (void)state;
    for (int32_t code = QUOIT_ERR_TLS_CERT_EXPIRED; code < QUOIT_ERR_TLS_NO_TRUST_STORE; code++) {
        bool is_excused = strcmp(quoit_error_name(code), "QUOIT_ERR_UNKNOWN") == 0;
        for (size_t i = 0; i < sizeof k_elsewhere / sizeof k_elsewhere[0]; i++) {
            is_excused |= code == k_elsewhere[i];
        }
        if (!is_excused && !the_met[code]) {
            fail_msg("%s was not met", quoit_error_name(code));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_server_is_told_by_its_kind),
        cmocka_unit_test(so_it_is_when_the_host_drives),
        cmocka_unit_test(an_answer_that_comes_with_the_handshake_answers_nothing),
        cmocka_unit_test(where_a_server_stops_tells_whether_the_request_may_be_sent_again),
        cmocka_unit_test(what_the_host_demands_besides_is_told_by_its_kind),
        cmocka_unit_test(a_server_with_no_version_or_cipher_in_common_is_told_as_such),
        cmocka_unit_test(a_missing_trust_store_is_told_by_each_request),
        cmocka_unit_test(every_kind_of_error_was_met),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

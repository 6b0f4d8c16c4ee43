// What a host program is told of servers' certificates: of each that is not to be trusted, in words and whole; of those that
// are, when it asked; and of a trust store that is not there, where it was looked for.
#include "tests/engine/core/host.h"

#include "tests/support/bad_tls.h"

enum { TEXT_MAX = 8192 };

// What the last terminal event said, copied while it was there.
static struct {
    bool has_report;
    size_t num_certificates;
    size_t first_len;
    uint8_t first_octet;
    size_t staple_len;
    int32_t depth;
    char message[TEXT_MAX];
    char subject[TEXT_MAX];
    char issuer[TEXT_MAX];
    char alpn[32];
} told;

static struct host host;

static void look(struct host *the_host, const struct quoit_event *event) {
    (void)the_host;
    if (event->type != QUOIT_EVENT_DONE && event->type != QUOIT_EVENT_FAILED) {
        return;
    }
    memset(&told, 0, sizeof told);
    memcpy(told.alpn, event->u.summary.tls_alpn, sizeof told.alpn);
    const struct quoit_tls_report *report = event->u.summary.tls_report;
    if (report == NULL) {
        return;
    }
    told.has_report = true;
    told.num_certificates = report->certificates.count;
    if (told.num_certificates > 0) {
        told.first_len = report->certificates.list[0].len;
        told.first_octet = *(const uint8_t *)report->certificates.list[0].data;
    }
    told.staple_len = report->staple.len;
    told.depth = report->depth;
    snprintf(told.message, TEXT_MAX, "%s", report->message);
    snprintf(told.subject, TEXT_MAX, "%s", report->subject);
    snprintf(told.issuer, TEXT_MAX, "%s", report->issuer);
}

static void start(void) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, bad_tls_roots(), strlen(bad_tls_roots())), QUOIT_OK);
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_STAPLE, 1), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    host_start(&host, &(struct quoit_engine_options){.tls = tls}, NULL);
    assert_string_equal(quoit_engine_tls_detail(host.engine), "");
    quoit_tls_release(tls);
    host.on_event = look;
}

static const struct host_record *get(uint32_t index, const struct bad_tls *server, int asks) {
    struct quoit_request *request = host_request("GET", "https://" BAD_TLS_HOST "/");
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(server)), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls_report(request, asks), QUOIT_OK);
    host_submit(&host, index, request);
    return host_wait(&host, index);
}

static void who_is_not_to_be_trusted_is_told_in_words(void **state) {
    static const struct {
        enum bad_tls_kind kind;
        int depth;
        const char *words;
    } k_cases[] = {
        {BAD_TLS_EXPIRED, 0, "; valid until "},
        {BAD_TLS_EXPIRED_MIDDLE, 1, "; valid until "},
        {BAD_TLS_NOT_YET_VALID, 0, "; valid from "},
        {BAD_TLS_WRONG_NAME, 0, "; not for " BAD_TLS_HOST ": it is for "},
        {BAD_TLS_NAME_IN_CN_ALONE, 0, ": it is for other.example"},
        {BAD_TLS_SELF_SIGNED, 0, ", issuer \"CN=" BAD_TLS_HOST "\""},
        {BAD_TLS_NO_MIDDLE, 0, "unable to get local issuer certificate"},
        {BAD_TLS_FOR_CLIENTS, 0, "; unsupported certificate purpose"},
        {BAD_TLS_WEAK_RSA, 0, "; its key has 1024 bits"},
        {BAD_TLS_MD5, 0, "; signed with "},
        {BAD_TLS_SHA1, 0, "; signed with "},
    };
    (void)state;
    start();
    for (uint32_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = k_cases[i].kind});
        const struct host_record *record = get(i, server, 0);
        bad_tls_stop(server, NULL);
        assert_string_equal(quoit_error_name(record->summary.failure.code), bad_tls_error(k_cases[i].kind));
        assert_true(told.has_report);
        assert_int_equal(told.depth, k_cases[i].depth);
        const char *sentence = quoit_error_sentence(record->summary.failure.code);
        assert_memory_equal(told.message, sentence, strlen(sentence));
        if (strstr(told.message, k_cases[i].words) == NULL) {
            fail_msg("%s: '%s'", bad_tls_title(k_cases[i].kind), told.message);
        }
        assert_non_null(strstr(told.message, told.subject));
        assert_memory_equal(told.subject, "CN=", 3);
        assert_memory_equal(told.issuer, "CN=", 3);
        assert_true(told.num_certificates >= 1 && told.first_len > 100);
        assert_int_equal(told.first_octet, 0x30); // SEQUENCE
    }
    host_stop(&host);
}

// Each that waited for a connection hears for itself.
static void everybody_who_waited_is_told(void **state) {
    enum { MANY = 12 };
    (void)state;
    start();
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_EXPIRED});
    for (uint32_t i = 0; i < MANY; i++) {
        struct quoit_request *request = host_request("GET", "https://" BAD_TLS_HOST "/");
        assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(server)), QUOIT_OK);
        host_submit(&host, i, request);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        host_assert_failed(host_wait(&host, i), QUOIT_ERR_TLS_CERT_EXPIRED, QUOIT_PHASE_TLS);
        assert_non_null(host.records[i].summary.tls_report); // the pointer; what it pointed at has gone with the event
    }
    bad_tls_stop(server, NULL);
    host_stop(&host);
}

static void what_is_no_certificates_fault_is_about_none(void **state) {
    (void)state;
    start();
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_ALERT});
    host_assert_failed(get(0, server, 0), QUOIT_ERR_TLS_HANDSHAKE_ALERT, QUOIT_PHASE_TLS);
    bad_tls_stop(server, NULL);
    assert_int_equal(told.depth, -1);
    assert_string_equal(told.message, "the server ended the TLS handshake with an alert: handshake failure (40)");
    assert_string_equal(told.subject, "");
    assert_int_equal(told.num_certificates, 0);
    server = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_CLOSE});
    get(1, server, 0);
    bad_tls_stop(server, NULL);
    assert_int_equal(told.depth, -1);
    host_stop(&host);
}

static void a_good_one_is_told_to_who_asks(void **state) {
    (void)state;
    start();
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_NONE});
    host_assert_done(get(0, server, 0), BAD_TLS_BODY_LEN);
    assert_false(told.has_report);
    host_assert_done(get(1, server, 1), BAD_TLS_BODY_LEN);
    assert_true(told.has_report);
    assert_int_equal(told.num_certificates, 2);
    assert_int_equal(told.first_octet, 0x30);
    assert_string_equal(told.message, "");
    assert_int_equal(told.depth, -1);
    assert_int_equal(told.staple_len, 0);
    bad_tls_stop(server, NULL);
    host_stop(&host);
}

// The engine looked for the system's certificates by itself, and tells where.
static void a_missing_trust_store_tells_where_it_was_looked_for(void **state) {
    static const char *const k_nowhere[] = {"SSL_CERT_DIR=/nowhere/at/all:/nor/here", NULL};
    (void)state;
    host_start(&host, &(struct quoit_engine_options){.environment = k_nowhere}, NULL);
    host.on_event = look;
    assert_string_equal(quoit_engine_tls_detail(host.engine), "/nowhere/at/all (ENOENT), /nor/here (ENOENT)");
    host_get(&host, 0, "https://127.0.0.1:1/");
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TLS_NO_TRUST_STORE, QUOIT_PHASE_TLS);
    assert_true(told.has_report);
    assert_non_null(strstr(told.message, ": /nowhere/at/all (ENOENT), /nor/here (ENOENT)"));
    struct quoit_engine engine = host.engine;
    host_stop(&host);
    assert_string_equal(quoit_engine_tls_detail(engine), "");
}

// Events that nobody has read hold their reports until the engine is destroyed.
static void unread_reports_end_with_the_engine(void **state) {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    (void)state;
    assert_int_equal(quoit_engine_create(&(struct quoit_engine_options){.struct_size = sizeof(struct quoit_engine_options),
                                                                        .environment = (const char *const[]){NULL}},
                                         &engine, NULL), QUOIT_OK);
    assert_int_equal(quoit_port_create(engine, NULL, &port), QUOIT_OK);
    struct bad_tls *server = bad_tls_start(&(struct bad_tls_options){.kind = BAD_TLS_SELF_SIGNED});
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, bad_tls_roots(), strlen(bad_tls_roots())), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    struct quoit_request *request = host_request("GET", "https://" BAD_TLS_HOST "/");
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", bad_tls_port(server)), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(quoit_submit(engine, port, request, 0, NULL), QUOIT_OK);
    }
    quoit_request_release(request);
    quoit_tls_release(tls);
    do {
        assert_int_equal(quoit_engine_info(engine, &info), QUOIT_OK);
        sched_yield();
    } while (info.requests_failed < 3);
    bad_tls_stop(server, NULL);
    assert_int_equal(quoit_engine_close(engine, 0), QUOIT_OK);
    while (quoit_engine_destroy(engine) == QUOIT_ERR_NOT_CLOSED) {
        sched_yield();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_not_to_be_trusted_is_told_in_words),
        cmocka_unit_test(everybody_who_waited_is_told),
        cmocka_unit_test(what_is_no_certificates_fault_is_about_none),
        cmocka_unit_test(a_good_one_is_told_to_who_asks),
        cmocka_unit_test(a_missing_trust_store_tells_where_it_was_looked_for),
        cmocka_unit_test(unread_reports_end_with_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

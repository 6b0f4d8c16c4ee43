// A host program against Debian's nginx with TLS, through the C API: who shares a connection with whom, whose trust holds,
// how long a configuration lives, in each mode of port and engine.
#include "tests/engine/core/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/e2e/nginx_tls.h"

enum { SIZES = 5, MANY = 300 };

static const uint64_t k_sizes[SIZES] = {0, 1, 16384, 65537, 1000000};

static struct nginx_tls nginx;
static struct host host;

static char *url_of(const char *path, char out[HOST_URL_MAX]) { return nginx_url(&nginx.nginx, path, out, HOST_URL_MAX); }

static char *url_of_size(unsigned i, char out[HOST_URL_MAX]) {
    char path[64];
    snprintf(path, sizeof path, "%s/%llu.bin", i % 3 == 0 ? "/ssi" : "", (unsigned long long)k_sizes[i % SIZES]);
    return url_of(path, out);
}

static struct quoit_tls *builder_trusting(const char *roots) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, roots, strlen(roots)), QUOIT_OK);
    return tls;
}

static struct quoit_tls *frozen(struct quoit_tls *tls) {
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static struct quoit_tls *trusting(const char *roots) { return frozen(builder_trusting(roots)); }

static struct quoit_tls *trusting_anybody(void) {
    struct quoit_tls *tls = builder_trusting(nginx.roots);
    assert_int_equal(quoit_tls_set_verify(tls, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING), QUOIT_OK);
    return frozen(tls);
}

// A GET of one byte by `tls`, which is released; NULL: the engine's own.
static const struct host_record *get_by(uint32_t index, struct quoit_tls *tls) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", url_of("/1.bin", url));
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    if (tls != NULL) {
        quoit_tls_release(tls); // the request has its own hold
    }
    host_submit(&host, index, request);
    return host_wait(&host, index);
}

static void start(uint32_t engine_mode, uint32_t port_mode) {
    struct quoit_tls *tls = trusting(nginx.roots);
    host_start(&host, &(struct quoit_engine_options){.mode = engine_mode, .tls = tls, .connections_per_origin_max = 8},
               &(struct quoit_port_options){.mode = port_mode});
    quoit_tls_release(tls); // the engine has its own
}

static void play_many(uint32_t engine_mode, uint32_t port_mode) {
    char url[HOST_URL_MAX];
    start(engine_mode, port_mode);
    for (uint32_t i = 0; i < MANY; i++) {
        host_get(&host, i, url_of_size(i, url));
    }
    host_wait_all(&host, MANY);
    uint32_t num_reused = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        const struct host_record *record = &host.records[i];
        host_assert_done(record, k_sizes[i % SIZES]);
        assert_false(record->is_foreign);
        assert_int_equal(record->summary.tls_version, QUOIT_TLS_1_3);
        assert_in_range(record->summary.tls_cipher, 0x1301, 0x1303);
        assert_true(record->summary.tls_handshake_ns > 0);
        num_reused += record->summary.reused;
    }
    assert_in_range(host_info(&host).connections_opened, 1, 8);
    assert_true(num_reused >= MANY - 8);
    host_stop(&host);
}

static void many_requests_share_connections_by_eventfd(void **state) {
    (void)state;
    play_many(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
}

static void many_requests_share_connections_inline(void **state) {
    (void)state;
    play_many(QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE);
}

static void many_requests_share_connections_when_the_host_drives(void **state) {
    (void)state;
    play_many(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD);
}

// What one trusts, another does not get, though an idle connection lies there; and the other way round.
static void a_strict_request_is_never_on_a_lax_ones_connection(void **state) {
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    const struct host_record *lax = get_by(0, trusting_anybody());
    host_assert_done(lax, 1);
    const struct host_record *strict = get_by(1, trusting(nginx.next_roots)); // of an authority that has nothing to do with it
    host_assert_failed(strict, QUOIT_ERR_TLS_UNTRUSTED_ROOT, QUOIT_PHASE_TLS);
    assert_int_equal(strict->summary.status, 0);
    const struct host_record *good = get_by(2, NULL);
    host_assert_done(good, 1);
    assert_false(good->summary.reused);
    const struct host_record *again = get_by(3, trusting_anybody());
    host_assert_done(again, 1);
    assert_true(again->summary.reused);
    assert_int_equal(again->summary.connection_id, lax->summary.connection_id);
    host_stop(&host);
}

static void equal_configurations_share_their_connections(void **state) {
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    const struct host_record *first = get_by(0, trusting(nginx.both_roots));
    const struct host_record *second = get_by(1, trusting(nginx.both_roots)); // made anew, behind the first one's end
    host_assert_done(first, 1);
    host_assert_done(second, 1);
    assert_true(second->summary.reused);
    assert_int_equal(first->summary.connection_id, second->summary.connection_id);
    host_stop(&host);
}

static void without_a_configuration_the_engine_trusts_what_its_environment_says(void **state) {
    (void)state;
    char variable[512];
    snprintf(variable, sizeof variable, "SSL_CERT_FILE=%s", nginx.roots);
    const char *const environment[] = {variable, NULL};
    host_start(&host, &(struct quoit_engine_options){.environment = environment}, NULL);
    host_assert_done(get_by(0, NULL), 1);
    host_stop(&host);
    host_start(&host, NULL, NULL); // the system's own, which has never heard of this authority
    const struct host_record *record = get_by(0, NULL);
    assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
    assert_true(record->summary.failure.code == QUOIT_ERR_TLS_UNTRUSTED_ROOT ||
                record->summary.failure.code == QUOIT_ERR_TLS_NO_TRUST_STORE);
    host_stop(&host);
}

static void a_name_must_be_the_certificates(void **state) {
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    struct quoit_tls *tls = builder_trusting(nginx.roots);
    assert_int_equal(quoit_tls_set_verify_name(tls, "other.example", 13), QUOIT_OK);
    host_assert_failed(get_by(0, frozen(tls)), QUOIT_ERR_TLS_NAME_MISMATCH, QUOIT_PHASE_TLS);
    tls = builder_trusting(nginx.roots);
    assert_int_equal(quoit_tls_set_verify_name(tls, NGINX_TLS_HOST, strlen(NGINX_TLS_HOST)), QUOIT_OK);
    host_assert_done(get_by(1, frozen(tls)), 1);
    host_stop(&host);
}

// What cannot be told to a server is wrong with the request, and nothing to wait for, whoever else is connected.
static void a_name_that_tls_cannot_tell_fails_beside_others(void **state) {
    enum { LABELS = 5, LABEL_LEN = 60 };
    char url[16 + LABELS * (LABEL_LEN + 1)] = "https://";
    char slow[HOST_URL_MAX];
    (void)state;
    for (int i = 0; i < LABELS; i++) {
        size_t len = strlen(url);
        memset(url + len, 'a', LABEL_LEN);
        url[len + LABEL_LEN] = i + 1 < LABELS ? '.' : '/';
    }
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    host_get(&host, 0, url_of("/slow/1000000.bin", slow));
    host_wait_body(&host, 0, 1);
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_connect_to(request, NULL, 0, "127.0.0.1", nginx.nginx.port), QUOIT_OK);
    host_submit(&host, 1, request);
    const struct host_record *record = host_wait(&host, 1);
    assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
    assert_int_equal(record->summary.failure.code, QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(host.records[0].num_ends, 0);
    host_stop(&host);
}

static void versions_are_the_hosts(void **state) {
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    struct quoit_tls *tls = builder_trusting(nginx.roots);
    assert_int_equal(quoit_tls_set_versions(tls, 0, QUOIT_TLS_1_2), QUOIT_OK);
    const struct host_record *record = get_by(0, frozen(tls));
    host_assert_done(record, 1);
    assert_int_equal(record->summary.tls_version, QUOIT_TLS_1_2);
    host_stop(&host);
}

// Its pointer and its hold are gone before the handshake begins.
static void requests_outlive_the_hosts_hold_on_their_configuration(void **state) {
    enum { EACH = 40 };
    char url[HOST_URL_MAX];
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    for (uint32_t i = 0; i < EACH; i++) {
        struct quoit_tls *tls = i % 2 == 0 ? trusting(nginx.both_roots) : trusting_anybody();
        struct quoit_request *request = host_request("GET", url_of_size(i, url));
        assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
        quoit_tls_release(tls);
        host_submit(&host, i, request);
    }
    host_wait_all(&host, EACH);
    for (uint32_t i = 0; i < EACH; i++) {
        host_assert_done(&host.records[i], k_sizes[i % SIZES]);
    }
    host_stop(&host);
}

static void an_engine_ends_with_handshakes_under_way(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
        for (uint32_t i = 0; i < 8; i++) {
            host_get(&host, i, url_of("/1000000.bin", url));
        }
        if (round % 2 == 1) {
            host_wait_body(&host, 0, 1);
        }
        host_stop(&host); // each has its one terminal event
    }
}

static size_t the_chain[2]; // certificates that the last two summaries told

static void count_chain(struct host *the_host, const struct quoit_event *event) {
    (void)the_host;
    if (event->type == QUOIT_EVENT_DONE) {
        the_chain[0] = the_chain[1];
        the_chain[1] = event->u.summary.tls_report == NULL ? 0 : event->u.summary.tls_report->certificates.count;
    }
}

static void a_connection_tells_its_chain_again(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    start(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD);
    host.on_event = count_chain;
    for (uint32_t i = 0; i < 2; i++) {
        struct quoit_request *request = host_request("GET", url_of("/1.bin", url));
        assert_int_equal(quoit_request_set_tls_report(request, 1), QUOIT_OK);
        host_submit(&host, i, request);
        host_assert_done(host_wait(&host, i), 1);
        assert_int_equal(host.records[i].summary.reused, i);
    }
    assert_int_equal(the_chain[0], 2);
    assert_int_equal(the_chain[1], 2);
    host_stop(&host);
}

// A request that meets the change: by either certificate it is trusted, and nothing is lost.
static void certificates_are_changed_under_load(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct quoit_tls *tls = trusting(nginx.both_roots);
    host_start(&host, &(struct quoit_engine_options){.tls = tls, .connections_per_origin_max = 8}, NULL);
    quoit_tls_release(tls);
    for (uint32_t i = 0; i < MANY; i++) {
        struct quoit_request *request = host_request("GET", url_of_size(i, url));
        if (i % 4 == 0) {
            assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
        }
        host_submit(&host, i, request);
        if (i == MANY / 2) {
            host_wait_all(&host, MANY / 4);
            nginx_tls_rotate(&nginx);
        }
    }
    host_wait_all(&host, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        host_assert_done(&host.records[i], k_sizes[i % SIZES]);
    }
    host_stop(&host);
}

static int set_up(void **state) {
    (void)state;
    nginx = nginx_tls_start(&(struct nginx_tls_options){0});
    for (int i = 0; i < SIZES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%llu.bin", (unsigned long long)k_sizes[i]);
        nginx_add_file(&nginx.nginx, name, k_sizes[i]);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    nginx_tls_stop(&nginx);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_requests_share_connections_by_eventfd),
        cmocka_unit_test(many_requests_share_connections_inline),
        cmocka_unit_test(many_requests_share_connections_when_the_host_drives),
        cmocka_unit_test(a_strict_request_is_never_on_a_lax_ones_connection),
        cmocka_unit_test(equal_configurations_share_their_connections),
        cmocka_unit_test(without_a_configuration_the_engine_trusts_what_its_environment_says),
        cmocka_unit_test(a_name_must_be_the_certificates),
        cmocka_unit_test(a_name_that_tls_cannot_tell_fails_beside_others),
        cmocka_unit_test(versions_are_the_hosts),
        cmocka_unit_test(requests_outlive_the_hosts_hold_on_their_configuration),
        cmocka_unit_test(an_engine_ends_with_handshakes_under_way),
        cmocka_unit_test(a_connection_tells_its_chain_again),
        cmocka_unit_test(certificates_are_changed_under_load),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

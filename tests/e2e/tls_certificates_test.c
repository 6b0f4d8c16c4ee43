// What servers may do with their certificates, as users and hosts meet it: a chain that ends at a trusted certificate that is
// not its own issuer, by fetch; certificates that come compressed, and a stapled status, by the C API.
//
// Usage: tls_certificates_test FETCH
#include "tests/e2e/fetched.h"
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/support/cert_pack.h"
#include "tests/support/certs.h"
#include "tests/support/tls_front.h"

static const char *the_fetch;
static struct bench_server *plain;
static struct host host;

static int set_up(void **state) {
    (void)state;
    plain = bench_server_start(NULL);
    return plain == NULL;
}

static int tear_down(void **state) {
    (void)state;
    bench_server_stop(plain);
    return 0;
}

// --- anchors ---------------------------------------------------------------------------------------------------------

static struct {
    struct q_cert *root;
    struct q_cert *upper; // below the root
    struct q_cert *lower; // below the upper one
    struct q_cert *leaf;
    struct q_cert *stranger;
} certs;

static void make_certs(void) {
    certs.root = q_certs_authority(NULL, "anchors root", 31);
    certs.upper = q_certs_authority(certs.root, "anchors upper", 32);
    certs.lower = q_certs_authority(certs.upper, "anchors lower", 33);
    certs.leaf = q_certs_make(
        certs.lower, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 34});
    certs.stranger = q_certs_authority(certs.root, "anchors stranger", 35);
}

static void free_certs(void) {
    q_certs_free(certs.leaf);
    q_certs_free(certs.lower);
    q_certs_free(certs.upper);
    q_certs_free(certs.stranger);
    q_certs_free(certs.root);
}

static void fetch_by(const char *folder, const char *name, const struct q_cert *anchor, const char *error) {
    // The leaf and both intermediates, never the root.
    const struct q_cert *const chain[] = {certs.leaf, certs.lower, certs.upper, NULL};
    struct tls_front *front =
        tls_front_start(&(struct tls_front_options){.port = bench_server_port(plain), .chain = chain});
    char *path = q_certs_write(folder, name, anchor->pem);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/size/10", tls_front_port(front));
    struct fetched fetched = fetched_run(
        the_fetch, (const char *[]){"--cacert", path, "--max-time", "20", url, NULL});
    fetched_assert(&fetched, name, error == NULL ? 200 : 0, error);
    assert_int_equal(fetched.said.out_len, error == NULL ? 10 : 0);
    fetched_free(&fetched);
    tls_front_stop(front);
    free(path);
}

static void a_chain_may_end_at_any_trusted_certificate(void **state) {
    (void)state;
    make_certs();
    char *folder = q_certs_folder_new();
    fetch_by(folder, "root.pem", certs.root, NULL);
    fetch_by(folder, "upper.pem", certs.upper, NULL);
    fetch_by(folder, "lower.pem", certs.lower, NULL);
    fetch_by(folder, "leaf.pem", certs.leaf, NULL);
    fetch_by(folder, "stranger.pem", certs.stranger, "QUOIT_ERR_TLS_UNTRUSTED_ROOT"); // below the same root
    q_certs_folder_remove(folder);
    free(folder);
    free_certs();
}

// --- by the C API ----------------------------------------------------------------------------------------------------

static struct {
    bool has_report;
    size_t num_certificates;
    size_t staple_len;
    char staple[64];
} told;

static void look(struct host *the_host, const struct quoit_event *event) {
    (void)the_host;
    if (event->type != QUOIT_EVENT_DONE && event->type != QUOIT_EVENT_FAILED) {
        return;
    }
    memset(&told, 0, sizeof told);
    const struct quoit_tls_report *report = event->u.summary.tls_report;
    if (report != NULL) {
        told.has_report = true;
        told.num_certificates = report->certificates.count;
        told.staple_len = report->staple.len;
        assert_true(told.staple_len <= sizeof told.staple);
        if (told.staple_len > 0) {
            memcpy(told.staple, report->staple.data, told.staple_len);
        }
    }
}

// One request to a new server, by a configuration of its own with that switch on or off, and what the server saw.
static struct tls_front_facts get(struct tls_front_options options, uint32_t name, int is_on) {
    char url[HOST_URL_MAX];
    struct quoit_tls *tls;
    options.port = bench_server_port(plain);
    struct tls_front *front = tls_front_start(&options);
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(
        quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, tls_front_roots(), strlen(tls_front_roots())), QUOIT_OK);
    assert_int_equal(quoit_tls_set_switch(tls, name, is_on), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    host_start(&host, &(struct quoit_engine_options){.tls = tls}, NULL);
    quoit_tls_release(tls);
    host.on_event = look;
    snprintf(url, sizeof url, "https://127.0.0.1:%u/size/10", tls_front_port(front));
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_set_tls_report(request, 1), QUOIT_OK);
    host_submit(&host, 0, request);
    host_assert_done(host_wait(&host, 0), 10);
    assert_true(told.has_report);
    assert_int_equal(told.num_certificates, 1);
    host_stop(&host);
    struct tls_front_facts facts = tls_front_facts(front);
    tls_front_stop(front);
    return facts;
}

// --- compressed certificates -----------------------------------------------------------------------------------------

static void certificates_come_compressed_when_the_host_wants_it(void **state) {
    static const uint16_t k_algorithms[] = {CERT_PACK_BROTLI, CERT_PACK_ZLIB};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned is_on = 0; is_on < 2; is_on++) {
            struct tls_front_options options = {.compression = k_algorithms[i], .version = QUOIT_TLS_1_3};
            assert_int_equal(get(options, QUOIT_TLS_COMPRESSION, (int)is_on).num_compressed, is_on);
            options.version = QUOIT_TLS_1_2; // which has no such thing
            assert_int_equal(get(options, QUOIT_TLS_COMPRESSION, (int)is_on).num_compressed, 0);
        }
    }
}

// --- a stapled status ------------------------------------------------------------------------------------------------

static const char k_staple[] = "not read by anybody but the host"; // nor checked

static void a_stapled_status_comes_to_the_host_that_asked_byte_for_byte(void **state) {
    static const uint16_t k_versions[] = {QUOIT_TLS_1_2, QUOIT_TLS_1_3};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct tls_front_options options = {.staple = k_staple, .version = k_versions[i]};
        get(options, QUOIT_TLS_STAPLE, 1);
        assert_int_equal(told.staple_len, strlen(k_staple));
        assert_memory_equal(told.staple, k_staple, strlen(k_staple));
        get(options, QUOIT_TLS_STAPLE, 0);
        assert_int_equal(told.staple_len, 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_may_end_at_any_trusted_certificate),
        cmocka_unit_test(certificates_come_compressed_when_the_host_wants_it),
        cmocka_unit_test(a_stapled_status_comes_to_the_host_that_asked_byte_for_byte),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: tls_certificates_test FETCH\n");
        return 2;
    }
    the_fetch = argv[1];
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

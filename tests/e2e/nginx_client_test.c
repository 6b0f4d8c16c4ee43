// A host against Debian's nginx that lets nobody in without a certificate: every form in which a host may give one, none,
// and one of a stranger's, by both versions and both kinds of the server's key; and what a server may do to bodies: large
// ones both ways, and an end in the middle.
#include "tests/engine/core/host.h"

#include <signal.h>

#include "bench/server/body.h"
#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "tests/e2e/nginx_tls.h"
#include "tests/support/certs.h"

enum { LARGE = 12 << 20, SLOW = 4000000, FORMS = 7 };

static struct host host;

static struct bench_gate the_gate;
static struct bench_scripted *the_deaf;
static const struct bench_step k_reads_nothing[] = {{.kind = BENCH_WAIT, .gate = &the_gate}, {0}};

static struct {
    struct q_cert *root; // whom nginx trusts: the same name and key as its own
    struct q_cert *middle;
    char *folder;
} clients;

static int set_up(void **state) {
    (void)state;
    clients.root = q_certs_authority(NULL, NGINX_TLS_AUTHORITY, NGINX_TLS_AUTHORITY_KEY);
    clients.middle = q_certs_authority(clients.root, NGINX_TLS_AUTHORITY, NGINX_TLS_AUTHORITY_KEY + 1);
    clients.folder = q_certs_folder_new();
    bench_gate_init(&the_gate);
    the_deaf = bench_scripted_start_one(k_reads_nothing);
    assert_non_null(the_deaf);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < BENCH_SCRIPTED_CONNECTIONS_MAX; i++) {
        bench_gate_open(&the_gate);
    }
    bench_scripted_stop(the_deaf);
    bench_gate_deinit(&the_gate);
    q_certs_folder_remove(clients.folder);
    free(clients.folder);
    q_certs_free(clients.middle);
    q_certs_free(clients.root);
    return 0;
}

// --- who asks --------------------------------------------------------------------------------------------------------

static struct quoit_tls *builder_trusting(const struct nginx_tls *nginx) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, nginx->roots, strlen(nginx->roots)), QUOIT_OK);
    return tls;
}

static void identify(struct quoit_tls *tls, struct quoit_tls_identity identity) {
    identity.struct_size = sizeof identity;
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
}

static void identify_by_files(struct quoit_tls *tls, const char *chain, const char *key, const char *passphrase) {
    identify(tls, (struct quoit_tls_identity){.chain_source = QUOIT_TLS_FILE,
                                              .key_source = QUOIT_TLS_FILE,
                                              .chain = chain,
                                              .chain_len = strlen(chain),
                                              .key = key,
                                              .key_len = key == NULL ? 0 : strlen(key),
                                              .passphrase = passphrase,
                                              .passphrase_len = passphrase == NULL ? 0 : strlen(passphrase)});
}

static void identify_by_memory(struct quoit_tls *tls, const void *chain, size_t chain_len, const void *key,
                               size_t key_len, const char *passphrase) {
    identify(tls, (struct quoit_tls_identity){.chain_source = QUOIT_TLS_MEMORY,
                                              .key_source = QUOIT_TLS_MEMORY,
                                              .chain = chain,
                                              .chain_len = chain_len,
                                              .key = key,
                                              .key_len = key_len,
                                              .passphrase = passphrase,
                                              .passphrase_len = passphrase == NULL ? 0 : strlen(passphrase)});
}

// PEM and DER, locked and not, both forms of a key, in files and in memory; a chain, a leaf of the root's own, and all in
// one file.
static void identify_by_form(struct quoit_tls *tls, int form, const struct q_cert *leaf, const struct q_cert *child) {
    char *chain = q_certs_join(leaf->pem, clients.middle->pem, NULL);
    char *text = NULL;
    char *path = NULL;
    char *second = NULL;
    uint8_t *der = NULL;
    size_t der_len = 0;
    switch (form) {
    case 0:
        path = q_certs_write(clients.folder, "chain.pem", chain);
        second = q_certs_write(clients.folder, "key.pem", leaf->key_pem);
        identify_by_files(tls, path, second, NULL);
        break;
    case 1:
        text = q_certs_join(leaf->key_pem, chain, NULL);
        path = q_certs_write(clients.folder, "both.pem", text);
        identify_by_files(tls, path, NULL, NULL);
        break;
    case 2:
        text = q_certs_key_pem_locked(leaf, "open sesame");
        identify_by_memory(tls, chain, strlen(chain), text, strlen(text), "open sesame");
        break;
    case 3:
        text = q_certs_key_pem_old(leaf, "open sesame");
        identify_by_memory(tls, chain, strlen(chain), text, strlen(text), "open sesame");
        break;
    case 4:
        text = q_certs_key_pem_old(leaf, NULL);
        identify_by_memory(tls, chain, strlen(chain), text, strlen(text), NULL);
        break;
    case 5: identify_by_memory(tls, child->der, child->der_len, child->key_der, child->key_der_len, NULL); break;
    default:
        der = q_certs_key_der_locked(child, "open sesame", &der_len);
        path = q_certs_write_bytes(clients.folder, "leaf.der", child->der, child->der_len);
        second = q_certs_write_bytes(clients.folder, "key.der", der, der_len);
        identify_by_files(tls, path, second, "open sesame");
        break;
    }
    free(chain);
    free(text);
    free(path);
    free(second);
    free(der);
}

// A GET of one byte by `tls`, which is frozen here and released.
static const struct host_record *get_by(const struct nginx_tls *nginx, uint32_t index, struct quoit_tls *tls) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", nginx_url(&nginx->nginx, "/1.bin", url, sizeof url));
    struct quoit_failure failure;
    if (quoit_tls_freeze(tls, &failure) != QUOIT_OK) {
        fail_msg("%s: %s", quoit_error_name(failure.code), quoit_tls_detail(tls));
    }
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    quoit_tls_release(tls);
    host_submit(&host, index, request);
    return host_wait(&host, index);
}

static void assert_turned_away(const struct host_record *record, const char *why) {
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    assert_int_equal(record->status, 400);
    assert_non_null(strstr(record->text, why));
}

// --- clients' certificates -------------------------------------------------------------------------------------------

static void play_forms(const struct nginx_tls *nginx, const char *protocol, enum q_certs_key kind) {
    struct q_certs_spec spec = {
        .common_name = "client", .extended_usage = "clientAuth", .key = kind, .key_number = 51};
    struct q_cert *leaf = q_certs_make(clients.middle, &spec);
    struct q_cert *child = q_certs_make(clients.root, &spec);
    host_start(&host, NULL, NULL);
    for (int form = 0; form < FORMS; form++) {
        struct quoit_tls *tls = builder_trusting(nginx);
        identify_by_form(tls, form, leaf, child);
        const struct host_record *record = get_by(nginx, (uint32_t)form, tls);
        host_assert_done(record, 1);
        assert_int_equal(record->status, 200);
        struct nginx_tls_line line = nginx_tls_wait_line(nginx, (unsigned)form);
        assert_string_equal(line.protocol, protocol);
        assert_string_equal(line.verify, "SUCCESS");
        // Whatever form it came in, it is the same: two chains, so two connections.
        assert_int_equal(record->summary.reused, form != 0 && form != 5);
    }
    assert_int_equal(host_info(&host).connections_opened, 2);
    host_stop(&host);
    q_certs_free(child);
    q_certs_free(leaf);
}

static void every_form_of_a_certificate_lets_its_owner_in(void **state) {
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct nginx_tls_options options = {
            .protocols = k_protocols[i / 2], .has_rsa = i % 2 == 1, .wants_client = true};
        struct nginx_tls nginx = nginx_tls_start(&options);
        nginx_add_file(&nginx.nginx, "1.bin", 1);
        play_forms(&nginx, k_protocols[i / 2], i % 2 == 0 ? Q_CERTS_P256 : Q_CERTS_RSA_2048);
        nginx_tls_stop(&nginx);
    }
}

// And none of them on a connection that another made.
static void none_and_a_strangers_are_turned_away_beside_one_that_is_let_in(void **state) {
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct nginx_tls nginx =
            nginx_tls_start(&(struct nginx_tls_options){.protocols = k_protocols[i], .wants_client = true});
        nginx_add_file(&nginx.nginx, "1.bin", 1);
        host_start(&host, NULL, NULL);
        struct quoit_tls *known = builder_trusting(&nginx);
        identify_by_files(known, nginx.client_cert, nginx.client_key, NULL);
        const struct host_record *first = get_by(&nginx, 0, known);
        host_assert_done(first, 1);
        assert_string_equal(nginx_tls_wait_line(&nginx, 0).verify, "SUCCESS");
        assert_turned_away(get_by(&nginx, 1, builder_trusting(&nginx)), "No required SSL certificate was sent");
        assert_string_equal(nginx_tls_wait_line(&nginx, 1).verify, "NONE");
        struct quoit_tls *stranger = builder_trusting(&nginx);
        identify_by_files(stranger, nginx.wrong_cert, nginx.wrong_key, NULL);
        assert_turned_away(get_by(&nginx, 2, stranger), "The SSL certificate error");
        assert_memory_equal(nginx_tls_wait_line(&nginx, 2).verify, "FAILED:", 7);
        known = builder_trusting(&nginx);
        identify_by_files(known, nginx.client_cert, nginx.client_key, NULL);
        const struct host_record *again = get_by(&nginx, 3, known);
        assert_int_equal(again->summary.connection_id, first->summary.connection_id);
        host_stop(&host);
        nginx_tls_stop(&nginx);
    }
}

// --- bodies ----------------------------------------------------------------------------------------------------------

static const char k_proxy[] = "    proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;\n"
                              "    client_max_body_size 0; proxy_set_header Connection \"\";\n"
                              "    location /through/ { proxy_pass http://127.0.0.1:%u/; }\n"
                              "    location /deaf/ { proxy_pass http://127.0.0.1:%u/; }\n"
                              "    location /slowssi/ { alias ./files/; ssi on; limit_rate 256k; }\n";

static char the_more[1024];

static struct nginx_tls start_before(const struct bench_server *server, const char *protocol) {
    snprintf(the_more, sizeof the_more, k_proxy, bench_server_port(server), bench_scripted_port(the_deaf));
    return nginx_tls_start(&(struct nginx_tls_options){.protocols = protocol, .more = the_more});
}

static void start_host(const struct nginx_tls *nginx) {
    struct quoit_tls *tls = builder_trusting(nginx);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    host_start(&host, &(struct quoit_engine_options){.tls = tls}, NULL);
    quoit_tls_release(tls);
}

static uint8_t *the_body;

static void keep_body(void *context, const void *data, size_t len) {
    (void)data;
    (void)len;
    ++*(_Atomic unsigned *)context;
}

// What goes out and comes back at the same time, through a server that holds neither.
static void large_bodies_go_both_ways(void **state) {
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    enum { AT_ONCE = 4 };
    _Atomic unsigned num_released = 0;
    char url[HOST_URL_MAX];
    (void)state;
    the_body = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        the_body[i] = bench_server_body_byte(i);
    }
    for (int i = 0; i < 2; i++) {
        struct bench_server *server = bench_server_start(NULL);
        struct nginx_tls nginx = start_before(server, k_protocols[i]);
        start_host(&nginx);
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            const char *path = k % 2 == 0 ? "/through/echo" : "/through/echo?chunked=7000";
            struct quoit_request *request = host_request("POST", nginx_url(&nginx.nginx, path, url, sizeof url));
            assert_int_equal(quoit_request_set_body(request, the_body, LARGE, keep_body, &num_released), QUOIT_OK);
            host_submit(&host, k, request);
        }
        host_wait_all(&host, AT_ONCE);
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            host_assert_done(&host.records[k], LARGE);
            assert_false(host.records[k].is_foreign);
        }
        host_stop(&host);
        assert_int_equal(num_released, (unsigned)(i + 1) * AT_ONCE);
        nginx_tls_stop(&nginx);
        bench_server_stop(server);
    }
    free(the_body);
}

// In the middle of bodies of both kinds, and of one that is being sent: an error each, and never a short success.
static void a_server_that_is_killed_truncates_nothing_in_silence(void **state) {
    static const char *const k_paths[] = {"/slow/4000000.bin", "/slowssi/4000000.bin", "/deaf/"};
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    enum { EACH = 3 };
    static char body[LARGE];
    char url[HOST_URL_MAX];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bench_server *server = bench_server_start(NULL);
        struct nginx_tls nginx = start_before(server, k_protocols[i]);
        nginx_add_file(&nginx.nginx, "4000000.bin", SLOW);
        start_host(&nginx);
        for (uint32_t k = 0; k < 3 * EACH; k++) {
            bool is_sent = k >= 2 * EACH;
            struct quoit_request *request = host_request(
                is_sent ? "POST" : "GET", nginx_url(&nginx.nginx, k_paths[k / EACH], url, sizeof url));
            if (is_sent) {
                assert_int_equal(quoit_request_set_body(request, body, sizeof body, NULL, NULL), QUOIT_OK);
            }
            host_submit(&host, k, request);
        }
        for (uint32_t k = 0; k < 2 * EACH; k++) {
            host_wait_body(&host, k, 1);
        }
        for (uint32_t k = 2 * EACH; k < 3 * EACH; k++) {
            host_until_stage(&host, k, QUOIT_STAGE_SENDING);
        }
        nginx_signal(&nginx.nginx, SIGTERM); // at once, whatever is under way
        nginx_wait(&nginx.nginx);
        host_wait_all(&host, 3 * EACH);
        for (uint32_t k = 0; k < 3 * EACH; k++) {
            const struct host_record *record = &host.records[k];
            const struct quoit_failure *failure = &record->summary.failure;
            assert_int_equal(record->end_type, QUOIT_EVENT_FAILED);
            if (failure->code != QUOIT_ERR_TLS_TRUNCATED && failure->code != QUOIT_ERR_CONNECTION_RESET &&
                failure->code != QUOIT_ERR_HTTP_TRUNCATED_BODY && failure->code != QUOIT_ERR_CONNECTION_CLOSED) {
                fail_msg("%s: %s", k_paths[k / EACH], quoit_error_name(failure->code));
            }
            assert_int_equal(failure->retry_safe, 0);
            assert_true(record->body_len < SLOW);
            assert_false(record->is_foreign);
        }
        host_stop(&host);
        nginx_tls_stop(&nginx);
        bench_server_stop(server);
    }
}

// --- a stapled status ------------------------------------------------------------------------------------------------

// What is stapled is for the host to judge; here it is a responder's "try later" (RFC 6960 section 4.2.1).
static void a_stapled_status_disturbs_nobody(void **state) {
    static const uint8_t k_try_later[] = {0x30, 0x03, 0x0a, 0x01, 0x03};
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    (void)state;
    char *path = q_certs_write_bytes(clients.folder, "staple.der", k_try_later, sizeof k_try_later);
    for (int i = 0; i < 2; i++) {
        snprintf(the_more, sizeof the_more, "    ssl_stapling on;\n    ssl_stapling_file %s;\n", path);
        struct nginx_tls nginx =
            nginx_tls_start(&(struct nginx_tls_options){.protocols = k_protocols[i], .more = the_more});
        nginx_add_file(&nginx.nginx, "1.bin", 1);
        host_start(&host, NULL, NULL);
        host_assert_done(get_by(&nginx, 0, builder_trusting(&nginx)), 1);
        host_stop(&host);
        nginx_tls_stop(&nginx);
    }
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_certificate_lets_its_owner_in),
        cmocka_unit_test(none_and_a_strangers_are_turned_away_beside_one_that_is_let_in),
        cmocka_unit_test(large_bodies_go_both_ways),
        cmocka_unit_test(a_server_that_is_killed_truncates_nothing_in_silence),
        cmocka_unit_test(a_stapled_status_disturbs_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

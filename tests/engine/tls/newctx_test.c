// Contexts out of configs, at work: a client of ours and a server of the test's shake hands over a pair of buffers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/tls/config.h"
#include "engine/tls/files.h"
#include "engine/tls/roots.h"
#include "engine/tls/tls_internal.h"
#include "tests/support/certs.h"
#include "tests/support/libmemory.h"

#define LAX Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING

static const struct q_tls_context_parts k_no_parts;

static struct q_cert *the_root;
static struct q_cert *the_between;
static struct q_cert *the_leaf;
static struct q_cert *the_client;

static int make_certificates(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    the_between = q_certs_authority(the_root, "between", 2);
    the_leaf = q_certs_make(the_between, &(struct q_certs_spec){.alt_names = "DNS:a.example", .key_number = 3});
    the_client = q_certs_make(the_between, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 4});
    return 0;
}

static int free_certificates(void **state) {
    (void)state;
    q_certs_free(the_root);
    q_certs_free(the_between);
    q_certs_free(the_leaf);
    q_certs_free(the_client);
    return 0;
}

static void ok(struct q_error error) { assert_int_equal(error.code, 0); }

static struct q_tls_builder *new_builder(const struct q_cert *root) {
    struct q_tls_builder *builder;
    ok(q_tls_builder_new(&builder, q_alloc_libc()));
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(root->pem)));
    return builder;
}

static struct q_tls_config *freeze(struct q_tls_builder *builder) {
    struct q_tls_config *config;
    ok(q_tls_builder_freeze(builder, &config));
    q_tls_builder_destroy(builder);
    return config;
}

static SSL_CTX *new_server(const struct q_cert *leaf, const struct q_cert *between) {
    SSL_CTX *server = SSL_CTX_new(TLS_method());
    assert_true(server != NULL && SSL_CTX_use_certificate(server, leaf->x509) && SSL_CTX_use_PrivateKey(server, leaf->key));
    if (between != NULL) {
        assert_true(SSL_CTX_add1_chain_cert(server, between->x509));
    }
    return server;
}

// Whom the client takes for good, in place of the verification that contexts get from those who use them.
static enum ssl_verify_result_t take_any(SSL *ssl, uint8_t *out_alert) {
    (void)ssl;
    (void)out_alert;
    return ssl_verify_ok;
}

static SSL_CTX *new_client(const struct q_tls_config *config) {
    SSL_CTX *client = q_tls_config_new_context(config, &k_no_parts);
    assert_non_null(client);
    SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER, take_any);
    return client;
}

struct pair {
    SSL *client;
    SSL *server;
    bool is_done;
};

// shake_hands connects a client and a server of these contexts, and lets both move until they are done or stuck.
static struct pair shake_hands(SSL_CTX *client, SSL_CTX *server) {
    struct pair pair = {.client = SSL_new(client), .server = SSL_new(server)};
    BIO *client_end = NULL;
    BIO *server_end = NULL;
    assert_true(pair.client != NULL && pair.server != NULL && BIO_new_bio_pair(&client_end, 0, &server_end, 0));
    SSL_set_bio(pair.client, client_end, client_end);
    SSL_set_bio(pair.server, server_end, server_end);
    SSL_set_connect_state(pair.client);
    SSL_set_accept_state(pair.server);
    for (unsigned round = 0; round < 16 && !pair.is_done; round++) {
        int client_done = SSL_do_handshake(pair.client);
        int server_done = SSL_do_handshake(pair.server);
        pair.is_done = client_done == 1 && server_done == 1;
    }
    ERR_clear_error();
    return pair;
}

static void free_pair(struct pair *pair) {
    SSL_free(pair->client);
    SSL_free(pair->server);
}

static void a_context_that_nobody_verifies_for_refuses_every_server(void **state) {
    (void)state;
    static const uint32_t k_verify[] = {Q_TLS_VERIFY_FULL, LAX};
    SSL_CTX *server = new_server(the_leaf, the_between);
    for (size_t i = 0; i < Q_COUNT_OF(k_verify); i++) {
        struct q_tls_builder *builder = new_builder(the_root);
        ok(q_tls_builder_set_verify(builder, k_verify[i]));
        struct q_tls_config *config = freeze(builder);
        SSL_CTX *client = q_tls_config_new_context(config, &k_no_parts);
        struct pair pair = shake_hands(client, server);
        assert_false(pair.is_done);
        free_pair(&pair);
        SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER, take_any);
        pair = shake_hands(client, server);
        assert_true(pair.is_done);
        free_pair(&pair);
        SSL_CTX_free(client);
        q_tls_config_release(config);
    }
    SSL_CTX_free(server);
}

static void a_context_opens_no_file_and_needs_no_config_any_more(void **state) {
    (void)state;
    struct q_tls_config *config = freeze(new_builder(the_root));
    struct rlimit limit;
    struct rlimit none = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    uint64_t built = q_roots_get_stats().built;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    SSL_CTX *client = new_client(config);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(q_roots_get_stats().built, built);
    q_tls_config_release(config);
    SSL_CTX *server = new_server(the_leaf, the_between);
    struct pair pair = shake_hands(client, server);
    assert_true(pair.is_done);
    free_pair(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

static void versions_groups_and_ciphers_are_those_that_were_set(void **state) {
    (void)state;
    static const unsigned k_versions[] = {Q_TLS_1_2, Q_TLS_1_3};
    SSL_CTX *server = new_server(the_leaf, the_between);
    assert_true(SSL_CTX_set1_curves_list(server, "P-384"));
    for (size_t i = 0; i < Q_COUNT_OF(k_versions); i++) {
        struct q_tls_builder *builder = new_builder(the_root);
        ok(q_tls_builder_set_versions(builder, k_versions[i], k_versions[i]));
        ok(q_tls_builder_set_groups(builder, Q_SLICE("P-384:P-256")));
        ok(q_tls_builder_set_ciphers(builder, Q_SLICE("ECDHE-ECDSA-AES256-GCM-SHA384")));
        struct q_tls_config *config = freeze(builder);
        SSL_CTX *client = new_client(config);
        struct pair pair = shake_hands(client, server);
        assert_true(pair.is_done);
        assert_int_equal(SSL_version(pair.client), k_versions[i]);
        assert_int_equal(SSL_get_curve_id(pair.client), SSL_CURVE_SECP384R1);
        if (k_versions[i] == Q_TLS_1_2) {
            assert_string_equal(SSL_get_cipher_name(pair.client), "ECDHE-ECDSA-AES256-GCM-SHA384");
        }
        free_pair(&pair);
        SSL_CTX_free(client);
        q_tls_config_release(config);
    }
    SSL_CTX_free(server);
}

static int choose_last(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg) {
    (void)ssl;
    assert_int_equal(in_len, *(const unsigned *)arg);
    *out = in + 4; // behind "\2h2"
    *out_len = in[3];
    return SSL_TLSEXT_ERR_OK;
}

static void alpn_is_offered_in_its_order(void **state) {
    (void)state;
    unsigned offered = 12;
    const struct q_slice protocols[] = {Q_SLICE("h2"), Q_SLICE("http/1.1")};
    struct q_tls_builder *builder = new_builder(the_root);
    ok(q_tls_builder_set_alpn(builder, protocols, 2));
    struct q_tls_config *config = freeze(builder);
    SSL_CTX *client = new_client(config);
    SSL_CTX *server = new_server(the_leaf, the_between);
    SSL_CTX_set_alpn_select_cb(server, choose_last, &offered);
    struct pair pair = shake_hands(client, server);
    const uint8_t *chosen;
    unsigned chosen_len;
    SSL_get0_alpn_selected(pair.client, &chosen, &chosen_len);
    assert_int_equal(chosen_len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    free_pair(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    q_tls_config_release(config);
}

static void the_defaults_refuse_what_is_weak(void **state) {
    (void)state;
    struct q_tls_config *config = freeze(new_builder(the_root));
    SSL_CTX *client = new_client(config);
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(client);
    size_t in_tls12 = 0;
    for (size_t i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        assert_true(SSL_CIPHER_is_aead(cipher));
        assert_true(SSL_CIPHER_get_bits(cipher, NULL) >= 128);
        assert_true(SSL_CIPHER_get_min_version(cipher) >= TLS1_2_VERSION);
        assert_true(SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe || SSL_CIPHER_get_kx_nid(cipher) == NID_kx_any);
        in_tls12 += SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe;
    }
    assert_int_equal(in_tls12, 6); // AES-128, AES-256 and ChaCha20, with RSA and ECDSA
    SSL_CTX *server = new_server(the_leaf, the_between);
    static const uint16_t k_sha1 = SSL_SIGN_ECDSA_SHA1;
    assert_true(SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION));
    assert_true(SSL_CTX_set_signing_algorithm_prefs(server, &k_sha1, 1));
    struct pair pair = shake_hands(client, server);
    assert_false(pair.is_done); // a server that signs with SHA-1
    free_pair(&pair);
    SSL_CTX_free(server);
    server = new_server(the_leaf, the_between);
    assert_true(SSL_CTX_set_max_proto_version(server, TLS1_1_VERSION));
    pair = shake_hands(client, server);
    assert_false(pair.is_done);
    free_pair(&pair);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    q_tls_config_release(config);
}

static void the_client_certificate_goes_with_its_chain(void **state) {
    (void)state;
    char *chain = q_certs_join(the_client->pem, the_between->pem, NULL);
    struct q_tls_builder *builder = new_builder(the_root);
    const struct q_tls_source chain_source = {.value = q_slice_of_string(chain)};
    const struct q_tls_source key = {.value = q_slice_of_string(the_client->key_pem)};
    ok(q_tls_builder_set_identity(builder, chain_source, key, Q_SLICE("")));
    struct q_tls_config *config = freeze(builder);
    SSL_CTX *client = new_client(config);
    SSL_CTX *server = new_server(the_leaf, the_between);
    assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(server), the_root->x509));
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    struct pair pair = shake_hands(client, server);
    assert_true(pair.is_done);
    X509 *peer = SSL_get_peer_certificate(pair.server);
    assert_int_equal(X509_cmp(peer, the_client->x509), 0);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(pair.server)), 1); // behind its own
    X509_free(peer);
    free_pair(&pair);
    SSL_CTX_free(client);
    client = new_client(config);
    q_tls_config_release(config);
    SSL_CTX_free(client);
    config = freeze(new_builder(the_root));
    client = new_client(config);
    pair = shake_hands(client, server);
    assert_false(pair.is_done); // without one
    free_pair(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    q_tls_config_release(config);
    free(chain);
}

static unsigned num_signatures;

static enum ssl_private_key_result_t refuse_to_sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
                                                    uint16_t algorithm, const uint8_t *in, size_t in_len) {
    (void)ssl;
    (void)out;
    (void)out_len;
    (void)max_out;
    (void)algorithm;
    (void)in;
    (void)in_len;
    num_signatures++;
    return ssl_private_key_failure;
}

static void a_point_in_the_keys_place_is_asked_to_sign(void **state) {
    (void)state;
    static const SSL_PRIVATE_KEY_METHOD k_method = {.sign = refuse_to_sign};
    const struct q_tls_context_parts parts[] = {{.key_method = &k_method}, {0}};
    const struct q_tls_source source = {.value = q_slice_of_string(the_client->pem)};
    struct q_tls_builder *builder = new_builder(the_root);
    ok(q_tls_builder_set_identity_point(builder, source, &(struct q_tls_point){.serial = 1}));
    struct q_tls_config *config = freeze(builder);
    SSL_CTX *server = new_server(the_leaf, the_between);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER, NULL);
    for (size_t i = 0; i < Q_COUNT_OF(parts); i++) {
        SSL_CTX *client = q_tls_config_new_context(config, &parts[i]);
        assert_non_null(client);
        SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER, take_any);
        struct pair pair = shake_hands(client, server);
        assert_int_equal(pair.is_done, i == 1); // without anybody to sign there is no certificate
        assert_int_equal(num_signatures, 1);
        free_pair(&pair);
        SSL_CTX_free(client);
    }
    SSL_CTX_free(server);
    q_tls_config_release(config);
}

static unsigned num_decompressed;

static int compress_nothing(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len) {
    (void)ssl;
    return CBB_add_bytes(out, in, in_len);
}

static int decompress_nothing(SSL *ssl, CRYPTO_BUFFER **out, size_t uncompressed_len, const uint8_t *in, size_t in_len) {
    (void)ssl;
    assert_int_equal(uncompressed_len, in_len);
    num_decompressed++;
    *out = CRYPTO_BUFFER_new(in, in_len, NULL);
    return *out != NULL;
}

static void certificates_are_compressed_when_it_is_on(void **state) {
    (void)state;
    static const struct q_tls_decompressor k_nothing = {.algorithm = 0xff00, .decompress = decompress_nothing};
    const struct q_tls_context_parts parts = {.decompressors = &k_nothing, .num_decompressors = 1};
    SSL_CTX *server = new_server(the_leaf, the_between);
    assert_true(SSL_CTX_add_cert_compression_alg(server, 0xff00, compress_nothing, NULL));
    for (unsigned is_on = 0; is_on < 2; is_on++) {
        struct q_tls_builder *builder = new_builder(the_root);
        ok(q_tls_builder_set_switch(builder, Q_TLS_COMPRESSION, is_on != 0));
        struct q_tls_config *config = freeze(builder);
        SSL_CTX *client = q_tls_config_new_context(config, &parts);
        assert_non_null(client);
        SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER, take_any);
        struct pair pair = shake_hands(client, server);
        assert_true(pair.is_done);
        assert_int_equal(num_decompressed, is_on);
        free_pair(&pair);
        SSL_CTX_free(client);
        q_tls_config_release(config);
    }
    SSL_CTX_free(server);
}

static unsigned num_sessions;

static int count_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    (void)session;
    num_sessions++;
    return 0;
}

static void tickets_are_kept_or_not_asked_for(void **state) {
    (void)state;
    for (unsigned has_tickets = 0; has_tickets < 2; has_tickets++) {
        struct q_tls_builder *builder = new_builder(the_root);
        ok(q_tls_builder_set_versions(builder, Q_TLS_1_2, Q_TLS_1_2));
        ok(q_tls_builder_set_switch(builder, Q_TLS_TICKETS, has_tickets != 0));
        struct q_tls_config *config = freeze(builder);
        SSL_CTX *client = new_client(config);
        SSL_CTX *server = new_server(the_leaf, the_between);
        num_sessions = 0;
        SSL_CTX_sess_set_new_cb(client, count_session);
        struct pair pair = shake_hands(client, server);
        assert_true(pair.is_done);
        assert_int_equal(num_sessions, has_tickets);
        assert_int_equal(SSL_CTX_sess_number(client), 0); // never in the context
        assert_int_equal((SSL_CTX_get_options(client) & SSL_OP_NO_TICKET) != 0, !has_tickets);
        free_pair(&pair);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
        q_tls_config_release(config);
    }
}

static void the_key_log_outlives_its_config(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[600];
    struct q_file file;
    snprintf(path, sizeof path, "%s/keys", folder);
    struct q_tls_builder *builder = new_builder(the_root);
    ok(q_tls_builder_set_key_log(builder, q_slice_of_string(path)));
    struct q_tls_config *config = freeze(builder);
    SSL_CTX *client = new_client(config);
    q_tls_config_release(config);
    SSL_CTX *server = new_server(the_leaf, the_between);
    struct pair pair = shake_hands(client, server);
    assert_true(pair.is_done);
    q_tls_context_log_key(client, "a line of ours");
    q_tls_context_log_key(server, "lost: it has no log");
    ok(q_file_read(&file, q_alloc_libc(), AT_FDCWD, path));
    assert_non_null(memmem(file.ptr, file.len, "CLIENT_TRAFFIC_SECRET_0 ", 24));
    assert_non_null(memmem(file.ptr, file.len, "\na line of ours\n", 16));
    assert_null(memmem(file.ptr, file.len, "lost", 4));
    q_file_deinit(&file);
    free_pair(&pair);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    q_certs_folder_remove(folder);
    free(folder);
}

// --- memory and threads --------------------------------------------------------------------------------------------

static void a_context_is_all_or_nothing_without_memory(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char path[600];
    snprintf(path, sizeof path, "%s/keys", folder);
    struct q_tls_builder *builder = new_builder(the_root);
    const struct q_tls_source source = {.value = q_slice_of_string(the_client->pem)};
    const struct q_tls_source key = {.value = q_slice_of_string(the_client->key_pem)};
    ok(q_tls_builder_set_identity(builder, source, key, Q_SLICE("")));
    ok(q_tls_builder_set_key_log(builder, q_slice_of_string(path)));
    struct q_tls_config *config = freeze(builder);
    SSL_CTX_free(q_tls_config_new_context(config, &k_no_parts)); // what is made once in a process is made
    size_t live = q_libmemory_live();
    for (uint64_t nth = 1;; nth++) {
        q_libmemory_fail_at(nth);
        SSL_CTX *context = q_tls_config_new_context(config, &k_no_parts);
        bool failed = q_libmemory_failed();
        q_libmemory_fail_at(0);
        assert_int_equal(context == NULL, failed);
        SSL_CTX_free(context);
        assert_int_equal(q_libmemory_live(), live);
        if (!failed) {
            break;
        }
    }
    q_tls_config_release(config);
    q_certs_folder_remove(folder);
    free(folder);
}

static void *connect_often(void *context) {
    for (unsigned i = 0; i < 10; i++) {
        SSL_CTX *client = new_client(context);
        SSL_CTX *server = new_server(the_leaf, the_between);
        struct pair pair = shake_hands(client, server);
        assert_true(pair.is_done);
        free_pair(&pair);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
    }
    q_tls_config_release(context);
    return NULL;
}

static void many_threads_use_one_config_at_once(void **state) {
    (void)state;
    struct q_tls_config *config = freeze(new_builder(the_root));
    pthread_t threads[4];
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, connect_often, q_tls_config_acquire(config)), 0);
    }
    q_tls_config_release(config);
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_that_nobody_verifies_for_refuses_every_server),
        cmocka_unit_test(a_context_opens_no_file_and_needs_no_config_any_more),
        cmocka_unit_test(versions_groups_and_ciphers_are_those_that_were_set),
        cmocka_unit_test(alpn_is_offered_in_its_order),
        cmocka_unit_test(the_defaults_refuse_what_is_weak),
        cmocka_unit_test(the_client_certificate_goes_with_its_chain),
        cmocka_unit_test(a_point_in_the_keys_place_is_asked_to_sign),
        cmocka_unit_test(certificates_are_compressed_when_it_is_on),
        cmocka_unit_test(tickets_are_kept_or_not_asked_for),
        cmocka_unit_test(the_key_log_outlives_its_config),
        cmocka_unit_test(a_context_is_all_or_nothing_without_memory),
        cmocka_unit_test(many_threads_use_one_config_at_once),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}

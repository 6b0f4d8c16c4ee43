// TLS configurations from outside: what is wrong in files and certificates is a code and a detail of its own and can be
// corrected, a frozen one is shared by threads, and who was given one holds it. Misuse of arguments is misuse_tls.c's.
#include "tests/engine/core/host.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tls/registry.h"
#include "tests/support/certs.h"

#define LAX QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING

static struct q_cert *the_root;
static struct q_cert *the_leaf;
static struct q_cert *the_other;
static char *the_folder;
static struct host host;

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 2});
    the_other = q_certs_make(the_root, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 3});
    the_folder = q_certs_folder_new();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_folder_remove(the_folder);
    free(the_folder);
    q_certs_free(the_root);
    q_certs_free(the_leaf);
    q_certs_free(the_other);
    return 0;
}

static struct quoit_tls *new_tls(void) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    return tls;
}

// One that trusts the root of these tests, and reads no file.
static struct quoit_tls *with_root(void) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, the_root->pem, strlen(the_root->pem)), QUOIT_OK);
    return tls;
}

static void freeze(struct quoit_tls *tls) {
    struct quoit_failure failure = {.code = -1};
    if (quoit_tls_freeze(tls, &failure) != QUOIT_OK) {
        fail_msg("%s: %s", quoit_error_name(failure.code), quoit_tls_detail(tls));
    }
    assert_int_equal(failure.code, QUOIT_OK);
    assert_string_equal(quoit_tls_detail(tls), "");
}

static uint32_t num_interned(void) { return q_registry_get_stats(q_registry_process()).entries; }

// --- files ---------------------------------------------------------------------------------------------------------

static struct quoit_tls_identity in_memory(const char *chain, const char *key, const char *passphrase) {
    return (struct quoit_tls_identity){.struct_size = sizeof(struct quoit_tls_identity),
                                       .chain_source = QUOIT_TLS_MEMORY,
                                       .key_source = QUOIT_TLS_MEMORY,
                                       .chain = chain,
                                       .chain_len = strlen(chain),
                                       .key = key,
                                       .key_len = key == NULL ? 0 : strlen(key),
                                       .passphrase = passphrase,
                                       .passphrase_len = passphrase == NULL ? 0 : strlen(passphrase)};
}

// Freezes, and demands this code, this detail (a part of it), and this errno (its name; "" for none).
static void fails(struct quoit_tls *tls, int32_t code, const char *detail, const char *os_error) {
    struct quoit_failure failure = {0};
    assert_int_equal(quoit_tls_freeze(tls, &failure), code);
    assert_int_equal(failure.code, code);
    assert_int_equal(failure.phase, QUOIT_PHASE_CREATE);
    assert_string_equal(quoit_errno_name(failure.os_errno), os_error);
    if (strstr(quoit_tls_detail(tls), detail) == NULL || (detail[0] == '\0') != (quoit_tls_detail(tls)[0] == '\0')) {
        fail_msg("'%s' is not in '%s'", detail, quoit_tls_detail(tls));
    }
    assert_int_equal(quoit_tls_freeze(tls, NULL), code); // and again: nothing has changed
}

static void what_is_wrong_with_roots_is_told_and_corrected(void **state) {
    (void)state;
    char *garbage = q_certs_write(the_folder, "garbage.pem", "this is no certificate\n");
    char *good = q_certs_write(the_folder, "roots.pem", the_root->pem);
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, "/nowhere/at/all.pem", 19), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_FILE, "/nowhere/at/all.pem (ENOENT)", "ENOENT");
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FOLDER, "/nowhere/at/all", 15), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_FILE, "/nowhere/at/all", "ENOENT");
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, garbage, strlen(garbage)), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_NO_ROOTS, "garbage.pem", "");
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, "garbage", 7), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_ERR_TLS_NO_ROOTS);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, good, strlen(good)), QUOIT_OK);
    freeze(tls);
    quoit_tls_release(tls);
    free(garbage);
    free(good);
}

static void roots_are_taken_from_each_source(void **state) {
    (void)state;
    char variable[600];
    char *folder = q_certs_folder_new();
    char *file = q_certs_write(folder, "root.pem", the_root->pem);
    struct quoit_tls *sources[5];
    for (int i = 0; i < 5; i++) {
        sources[i] = new_tls();
    }
    assert_int_equal(quoit_tls_set_roots(sources[0], QUOIT_TLS_MEMORY, the_root->der, the_root->der_len), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(sources[1], QUOIT_TLS_FILE, file, strlen(file)), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(sources[2], QUOIT_TLS_FOLDER, folder, strlen(folder)), QUOIT_OK);
    snprintf(variable, sizeof variable, "SSL_CERT_FILE=%s", file);
    assert_int_equal(quoit_tls_set_environment(sources[3], (const char *const[]){"A=b", variable, NULL}), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(sources[3], QUOIT_TLS_SYSTEM, NULL, 0), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(sources[4], QUOIT_TLS_FILE, file, strlen(file)), QUOIT_OK);
    assert_int_equal(quoit_tls_add_roots(sources[4], QUOIT_TLS_FOLDER, folder, strlen(folder)), QUOIT_OK); // the same again
    uint32_t before = num_interned();
    for (int i = 0; i < 5; i++) {
        freeze(sources[i]);
        assert_int_equal(num_interned(), before + 1); // wherever it came from, it is one
    }
    for (int i = 0; i < 5; i++) {
        quoit_tls_release(sources[i]);
    }
    assert_int_equal(num_interned(), before);
    q_certs_folder_remove(folder);
    free(folder);
    free(file);
}

static void what_is_wrong_with_an_identity_is_told_and_corrected(void **state) {
    (void)state;
    char *locked = q_certs_key_pem_locked(the_leaf, "open sesame");
    char *both = q_certs_join(the_leaf->pem, the_leaf->key_pem, NULL);
    char *file = q_certs_write(the_folder, "bad-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    struct quoit_tls *tls = with_root();
    struct quoit_tls_identity identity = in_memory(the_leaf->pem, the_other->key_pem, NULL);
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_KEY_MISMATCH, "", "");
    identity = in_memory("garbage", the_leaf->key_pem, NULL);
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_CERTIFICATE, "", "");
    identity = in_memory(the_leaf->pem, NULL, NULL); // there is none in the chain
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_KEY, "", "");
    identity = in_memory(the_leaf->pem, file, NULL);
    identity.key_source = QUOIT_TLS_FILE;
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_KEY, "bad-key.pem", "");
    identity.key = "/nowhere/at/all.key";
    identity.key_len = 19;
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_FILE, "/nowhere/at/all.key (ENOENT)", "ENOENT");
    identity = in_memory(the_leaf->pem, locked, NULL);
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_PASSPHRASE, "", "");
    identity = in_memory(the_leaf->pem, locked, "open, barley");
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_PASSPHRASE, "", "");
    identity = in_memory(the_leaf->pem, locked, "open sesame");
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_OK);
    freeze(tls);
    struct quoit_tls *same = with_root();
    identity = in_memory(both, NULL, NULL);
    assert_int_equal(quoit_tls_set_identity(same, &identity), QUOIT_OK);
    uint32_t before = num_interned();
    freeze(same);
    assert_int_equal(num_interned(), before); // who we are is the certificate, not how its key was kept
    quoit_tls_release(same);
    quoit_tls_release(tls);
    free(locked);
    free(both);
    free(file);
}

static void an_identity_is_taken_away_by_none(void **state) {
    (void)state;
    struct quoit_tls *without = with_root();
    struct quoit_tls *taken = with_root();
    struct quoit_tls_identity identity = in_memory(the_leaf->pem, the_leaf->key_pem, NULL);
    freeze(without);
    assert_int_equal(quoit_tls_set_identity(taken, &identity), QUOIT_OK);
    assert_int_equal(quoit_tls_set_identity(taken, NULL), QUOIT_OK);
    uint32_t before = num_interned();
    freeze(taken);
    assert_int_equal(num_interned(), before);
    quoit_tls_release(taken);
    quoit_tls_release(without);
}

static void what_is_wrong_with_other_files_is_told(void **state) {
    (void)state;
    char *crl = q_certs_crl(the_root, (const uint64_t[]){1}, 1, 0);
    char *garbage = q_certs_write(the_folder, "garbage.crl", "no list");
    struct quoit_tls *tls = with_root();
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_MEMORY, crl, strlen(crl)), QUOIT_OK);
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_FILE, garbage, strlen(garbage)), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_BAD_CRL, "garbage.crl", "");
    quoit_tls_release(tls);
    tls = with_root();
    assert_int_equal(quoit_tls_set_key_log(tls, "/nowhere/at/all.log", 19), QUOIT_OK);
    fails(tls, QUOIT_ERR_TLS_FILE, "/nowhere/at/all.log (ENOENT)", "ENOENT");
    assert_int_equal(quoit_tls_set_key_log(tls, NULL, 0), QUOIT_OK);
    freeze(tls);
    quoit_tls_release(tls);
    free(crl);
    free(garbage);
}

// --- each setting tells configurations apart -------------------------------------------------------------------------

static int32_t other_versions(struct quoit_tls *tls) { return quoit_tls_set_versions(tls, QUOIT_TLS_1_3, 0); }
static int32_t other_versions_too(struct quoit_tls *tls) { return quoit_tls_set_versions(tls, 0, QUOIT_TLS_1_2); }
static int32_t other_ciphers(struct quoit_tls *tls) { return quoit_tls_set_ciphers(tls, "ECDHE", 5); }
static int32_t other_groups(struct quoit_tls *tls) { return quoit_tls_set_groups(tls, "P-256", 5); }
static int32_t other_sni(struct quoit_tls *tls) { return quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, "a.b", 3); }
static int32_t no_sni(struct quoit_tls *tls) { return quoit_tls_set_sni(tls, QUOIT_TLS_SNI_OFF, NULL, 0); }
static int32_t other_name(struct quoit_tls *tls) { return quoit_tls_set_verify_name(tls, "a.b", 3); }
static int32_t a_pin(struct quoit_tls *tls) { return quoit_tls_add_pin(tls, the_root->spki_sha256, 32); }
static int32_t grease(struct quoit_tls *tls) { return quoit_tls_set_switch(tls, QUOIT_TLS_GREASE, 1); }
static int32_t lax(struct quoit_tls *tls) { return quoit_tls_set_verify(tls, LAX); }
static int32_t more_roots(struct quoit_tls *tls) {
    return quoit_tls_add_roots(tls, QUOIT_TLS_MEMORY, the_leaf->pem, strlen(the_leaf->pem));
}
static int32_t a_crl(struct quoit_tls *tls) {
    char *crl = q_certs_crl(the_root, NULL, 0, 0);
    int32_t code = quoit_tls_add_crls(tls, QUOIT_TLS_MEMORY, crl, strlen(crl));
    free(crl);
    return code;
}
static int32_t identity(struct quoit_tls *tls) {
    struct quoit_tls_identity given = in_memory(the_leaf->pem, the_leaf->key_pem, NULL);
    return quoit_tls_set_identity(tls, &given);
}
static int32_t key_log(struct quoit_tls *tls) {
    char path[600];
    int len = snprintf(path, sizeof path, "%s/keys.log", the_folder);
    return quoit_tls_set_key_log(tls, path, (size_t)len);
}

static void each_setter_makes_another_configuration(void **state) {
    (void)state;
    static int32_t (*const k_setters[])(struct quoit_tls *tls) = {
        other_versions, other_versions_too, other_ciphers, other_groups, other_sni, no_sni,   other_name,
        a_pin,          grease,             lax,           more_roots,   a_crl,     identity, key_log,
    };
    enum { SETTERS = sizeof k_setters / sizeof k_setters[0] };
    struct quoit_tls *made[SETTERS];
    struct quoit_tls *base = with_root();
    freeze(base);
    uint32_t before = num_interned();
    for (uint32_t i = 0; i < SETTERS; i++) {
        made[i] = with_root();
        assert_int_equal(k_setters[i](made[i]), QUOIT_OK);
        freeze(made[i]);
        if (num_interned() != before + i + 1) {
            fail_msg("setter %u makes no difference", i);
        }
    }
    for (uint32_t i = 0; i < SETTERS; i++) {
        quoit_tls_release(made[i]);
    }
    assert_int_equal(num_interned(), before);
    quoit_tls_release(base);
}

static void defaults_that_are_given_are_the_defaults(void **state) {
    (void)state;
    struct quoit_tls *base = with_root();
    struct quoit_tls *given = with_root();
    freeze(base);
    assert_int_equal(other_versions(given), QUOIT_OK);
    assert_int_equal(quoit_tls_set_versions(given, 0, 0), QUOIT_OK);
    assert_int_equal(other_sni(given), QUOIT_OK);
    assert_int_equal(quoit_tls_set_sni(given, QUOIT_TLS_SNI_HOST, NULL, 0), QUOIT_OK);
    assert_int_equal(grease(given), QUOIT_OK);
    assert_int_equal(quoit_tls_set_switch(given, QUOIT_TLS_GREASE, 0), QUOIT_OK);
    assert_int_equal(lax(given), QUOIT_OK);
    assert_int_equal(quoit_tls_set_verify(given, QUOIT_TLS_VERIFY_FULL), QUOIT_OK);
    uint32_t before = num_interned();
    freeze(given);
    assert_int_equal(num_interned(), before);
    quoit_tls_release(given);
    quoit_tls_release(base);
}

// --- holders -------------------------------------------------------------------------------------------------------

static void a_request_holds_what_it_was_given(void **state) {
    (void)state;
    uint32_t before = num_interned();
    struct quoit_request *request = host_request("GET", "https://127.0.0.1:1/");
    struct quoit_tls *one = with_root();
    struct quoit_tls *two = with_root();
    freeze(one);
    assert_int_equal(grease(two), QUOIT_OK);
    freeze(two);
    assert_int_equal(num_interned(), before + 2);
    assert_int_equal(quoit_request_set_tls(request, one), QUOIT_OK);
    quoit_tls_release(one);
    assert_int_equal(num_interned(), before + 2);
    assert_int_equal(quoit_request_set_tls(request, two), QUOIT_OK); // the first one goes
    quoit_tls_release(two);
    assert_int_equal(num_interned(), before + 1);
    assert_int_equal(quoit_request_set_tls(request, NULL), QUOIT_OK);
    assert_int_equal(num_interned(), before);
    quoit_request_release(request);
    assert_int_equal(num_interned(), before);
}

static void end(struct quoit_engine engine) {
    struct quoit_port port;
    struct quoit_event event = {0};
    assert_int_equal(quoit_port_create(engine, NULL, &port), QUOIT_OK);
    assert_int_equal(quoit_engine_close(engine, 0), QUOIT_OK);
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    assert_int_equal(quoit_engine_destroy(engine), QUOIT_OK);
}

static void an_engine_takes_a_frozen_one(void **state) {
    (void)state;
    struct quoit_tls *tls = with_root();
    struct quoit_engine engine;
    struct quoit_failure failure = {0};
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = tls};
    assert_int_equal(quoit_engine_create(&options, &engine, &failure), QUOIT_ERR_NOT_FROZEN);
    assert_int_equal(failure.code, QUOIT_ERR_NOT_FROZEN);
    options.struct_size = offsetof(struct quoit_engine_options, tls); // of a header that had none: what follows is not read
    assert_int_equal(quoit_engine_create(&options, &engine, &failure), QUOIT_OK);
    end(engine);
    freeze(tls);
    host_start(&host, &(struct quoit_engine_options){.tls = tls}, NULL);
    quoit_tls_release(tls);
    host_stop(&host);
}

enum { THREADS = 8, ROUNDS = 200 };

static void *use_and_let_go(void *argument) {
    struct quoit_tls *tls = argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct quoit_request *request = host_request("GET", "http://127.0.0.1:1/");
        assert_ptr_equal(quoit_tls_acquire(tls), tls);
        assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
        assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK); // does nothing
        assert_string_equal(quoit_tls_detail(tls), "");
        quoit_request_release(request);
        quoit_tls_release(tls);
    }
    quoit_tls_release(tls);
    return NULL;
}

static void a_frozen_one_is_for_any_thread(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    uint32_t before = num_interned();
    struct quoit_tls *tls = with_root();
    freeze(tls);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_and_let_go, quoit_tls_acquire(tls)), 0);
    }
    quoit_tls_release(tls);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(num_interned(), before);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // which rightly see a use of freed memory
// No promise, but what is to be expected: nobody has been given its memory in between.
static void a_use_behind_the_last_release_is_refused(void **state) {
    (void)state;
    struct quoit_request *request = host_request("GET", "https://127.0.0.1:1/");
    struct quoit_engine engine;
    struct quoit_tls *tls = with_root();
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = tls};
    freeze(tls);
    quoit_tls_release(tls);
    quoit_tls_release(tls);
    assert_null(quoit_tls_acquire(tls));
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_verify(tls, LAX), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
}
#endif

static int use_in_child(struct quoit_tls *tls) {
    struct quoit_engine engine;
    struct quoit_request *request;
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = tls};
    bool is_refused = quoit_request_new("GET", "https://127.0.0.1:1/", &request) == QUOIT_OK &&
                      quoit_request_set_tls(request, tls) == QUOIT_ERR_FORKED &&
                      quoit_engine_create(&options, &engine, NULL) == QUOIT_ERR_FORKED &&
                      quoit_tls_freeze(tls, NULL) == QUOIT_ERR_FORKED;
    quoit_request_release(request);
    quoit_tls_release(tls);
    return is_refused ? 0 : 1;
}

static void a_parents_is_refused_in_a_child(void **state) {
    (void)state;
    int status = 0;
    struct quoit_tls *tls = with_root();
    freeze(tls);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(use_in_child(tls));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    quoit_tls_release(tls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_roots_is_told_and_corrected),
        cmocka_unit_test(roots_are_taken_from_each_source),
        cmocka_unit_test(what_is_wrong_with_an_identity_is_told_and_corrected),
        cmocka_unit_test(an_identity_is_taken_away_by_none),
        cmocka_unit_test(what_is_wrong_with_other_files_is_told),
        cmocka_unit_test(each_setter_makes_another_configuration),
        cmocka_unit_test(defaults_that_are_given_are_the_defaults),
        cmocka_unit_test(a_request_holds_what_it_was_given),
        cmocka_unit_test(an_engine_takes_a_frozen_one),
        cmocka_unit_test(a_frozen_one_is_for_any_thread),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_use_behind_the_last_release_is_refused),
#endif
        cmocka_unit_test(a_parents_is_refused_in_a_child),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

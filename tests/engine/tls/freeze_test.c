// Freezing: files are read once, what is wrong has its own error, each setting is in the digest, secrets are gone, and
// every allocation may fail, ours and the library's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/tls/config_internal.h"
#include "engine/tls/identity.h"
#include "engine/tls/tls_internal.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"
#include "tests/support/libmemory.h"

#define PASSPHRASE "correct horse battery"
#define LAX Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING

static struct q_cert *the_root;
static struct q_cert *the_other;
static struct q_cert *the_leaf;
static struct q_cert *the_other_leaf;
static char *the_crl;
static char *the_other_crl;
static char *the_folder;

static int make_certificates(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    the_other = q_certs_authority(NULL, "other", 2);
    the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 3});
    the_other_leaf = q_certs_make(the_root, &(struct q_certs_spec){.extended_usage = "clientAuth", .key_number = 4});
    the_crl = q_certs_crl(the_root, (const uint64_t[]){1000}, 1, 0);
    the_other_crl = q_certs_crl(the_root, (const uint64_t[]){1001}, 1, 0);
    the_folder = q_certs_folder_new();
    return 0;
}

static int free_certificates(void **state) {
    (void)state;
    q_certs_folder_remove(the_folder);
    free(the_folder);
    free(the_crl);
    free(the_other_crl);
    q_certs_free(the_root);
    q_certs_free(the_other);
    q_certs_free(the_leaf);
    q_certs_free(the_other_leaf);
    return 0;
}

static void ok(struct q_error error) { assert_int_equal(error.code, 0); }

static struct q_tls_source text_source(const char *text) { return (struct q_tls_source){.value = q_slice_of_string(text)}; }

static struct q_tls_source file_source(const char *path) {
    return (struct q_tls_source){.is_file = true, .value = q_slice_of_string(path)};
}

static const struct q_tls_source k_none;

// new_builder gives one with a root in memory, which is the base of every comparison.
static struct q_tls_builder *new_builder(const struct q_alloc *alloc) {
    struct q_tls_builder *builder;
    ok(q_tls_builder_new(&builder, alloc));
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_root->pem)));
    return builder;
}

static struct q_tls_config *freeze(struct q_tls_builder *builder) {
    struct q_tls_config *config;
    struct q_error error = q_tls_builder_freeze(builder, &config);
    if (q_error_is(error)) {
        print_error("%s: %s\n", q_error_name(error.code), q_tls_builder_detail(builder));
    }
    ok(error);
    q_tls_builder_destroy(builder);
    return config;
}

// --- the digest ----------------------------------------------------------------------------------------------------

static void set_nothing(struct q_tls_builder *b) { (void)b; }
static void set_other_root(struct q_tls_builder *b) {
    ok(q_tls_builder_set_roots(b, Q_ROOTS_MEMORY, q_slice_of_string(the_other->pem)));
}
static void set_extra_root(struct q_tls_builder *b) {
    ok(q_tls_builder_add_roots(b, Q_ROOTS_MEMORY, q_slice_of_string(the_other->pem)));
}
static void set_lax(struct q_tls_builder *b) { ok(q_tls_builder_set_verify(b, LAX)); }
static void set_verify_point(struct q_tls_builder *b) {
    ok(q_tls_builder_set_verify_point(b, &(struct q_tls_point){.serial = 71}, Q_TLS_ASKS_IF_GOOD));
}
static void set_verify_point_with_the_last_word(struct q_tls_builder *b) {
    ok(q_tls_builder_set_verify_point(b, &(struct q_tls_point){.serial = 71}, Q_TLS_ASKS_ALWAYS));
}
static void set_other_verify_point(struct q_tls_builder *b) {
    ok(q_tls_builder_set_verify_point(b, &(struct q_tls_point){.serial = 72}, Q_TLS_ASKS_IF_GOOD));
}
static void set_identity(struct q_tls_builder *b) {
    ok(q_tls_builder_set_identity(b, text_source(the_leaf->pem), text_source(the_leaf->key_pem), Q_SLICE("")));
}
static void set_other_identity(struct q_tls_builder *b) {
    ok(q_tls_builder_set_identity(b, text_source(the_other_leaf->pem), text_source(the_other_leaf->key_pem), Q_SLICE("")));
}
static void set_longer_chain(struct q_tls_builder *b) {
    char *chain = q_certs_join(the_leaf->pem, the_root->pem, NULL);
    ok(q_tls_builder_set_identity(b, text_source(chain), text_source(the_leaf->key_pem), Q_SLICE("")));
    free(chain);
}
static void set_identity_point(struct q_tls_builder *b) {
    ok(q_tls_builder_set_identity_point(b, text_source(the_leaf->pem), &(struct q_tls_point){.serial = 73}));
}
static void set_other_identity_point(struct q_tls_builder *b) {
    ok(q_tls_builder_set_identity_point(b, text_source(the_leaf->pem), &(struct q_tls_point){.serial = 74}));
}
static void set_min_version(struct q_tls_builder *b) { ok(q_tls_builder_set_versions(b, Q_TLS_1_3, Q_TLS_1_3)); }
static void set_max_version(struct q_tls_builder *b) { ok(q_tls_builder_set_versions(b, Q_TLS_1_2, Q_TLS_1_2)); }
static void set_ciphers(struct q_tls_builder *b) { ok(q_tls_builder_set_ciphers(b, Q_SLICE("ECDHE"))); }
static void set_other_ciphers(struct q_tls_builder *b) { ok(q_tls_builder_set_ciphers(b, Q_SLICE("AESGCM"))); }
static void set_groups(struct q_tls_builder *b) { ok(q_tls_builder_set_groups(b, Q_SLICE("P-256:X25519"))); }
static void set_other_groups(struct q_tls_builder *b) { ok(q_tls_builder_set_groups(b, Q_SLICE("X25519:P-256"))); }
static void set_alpn(struct q_tls_builder *b) {
    ok(q_tls_builder_set_alpn(b, (const struct q_slice[]){Q_SLICE("h2"), Q_SLICE("http/1.1")}, 2));
}
static void set_alpn_backwards(struct q_tls_builder *b) {
    ok(q_tls_builder_set_alpn(b, (const struct q_slice[]){Q_SLICE("http/1.1"), Q_SLICE("h2")}, 2));
}
static void set_alpn_one(struct q_tls_builder *b) {
    ok(q_tls_builder_set_alpn(b, (const struct q_slice[]){Q_SLICE("h2")}, 1));
}
static void set_sni_off(struct q_tls_builder *b) { ok(q_tls_builder_set_sni(b, Q_TLS_SNI_OFF, Q_SLICE(""))); }
static void set_sni_name(struct q_tls_builder *b) { ok(q_tls_builder_set_sni(b, Q_TLS_SNI_NAME, Q_SLICE("a.example"))); }
static void set_other_sni_name(struct q_tls_builder *b) { ok(q_tls_builder_set_sni(b, Q_TLS_SNI_NAME, Q_SLICE("b.example"))); }
static void set_verify_name(struct q_tls_builder *b) { ok(q_tls_builder_set_verify_name(b, Q_SLICE("a.example"))); }
static void set_other_verify_name(struct q_tls_builder *b) { ok(q_tls_builder_set_verify_name(b, Q_SLICE("b.example"))); }
static void set_no_tickets(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_TICKETS, false)); }
static void set_early_data(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_EARLY_DATA, true)); }
static void set_grease(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_GREASE, true)); }
static void set_staple(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_STAPLE, true)); }
static void set_key_log_events(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_KEY_LOG_EVENTS, true)); }
static void set_compression(struct q_tls_builder *b) { ok(q_tls_builder_set_switch(b, Q_TLS_COMPRESSION, true)); }
static void set_key_log_in(struct q_tls_builder *b, const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", the_folder, name);
    ok(q_tls_builder_set_key_log(b, q_slice_of_string(path)));
}
static void set_key_log(struct q_tls_builder *b) { set_key_log_in(b, "keys"); }
static void set_other_key_log(struct q_tls_builder *b) { set_key_log_in(b, "other-keys"); }
static void set_pin(struct q_tls_builder *b) { ok(q_tls_builder_add_pin(b, the_leaf->spki_sha256)); }
static void set_other_pin(struct q_tls_builder *b) { ok(q_tls_builder_add_pin(b, the_root->spki_sha256)); }
static void set_two_pins(struct q_tls_builder *b) {
    set_pin(b);
    set_other_pin(b);
}
static void set_crl(struct q_tls_builder *b) { ok(q_tls_builder_add_crls(b, text_source(the_crl))); }
static void set_other_crl(struct q_tls_builder *b) { ok(q_tls_builder_add_crls(b, text_source(the_other_crl))); }
static void set_two_crls(struct q_tls_builder *b) {
    set_crl(b);
    set_other_crl(b);
}

// One row for each value that a setting may take.
static void (*const k_settings[])(struct q_tls_builder *) = {
    set_nothing, set_other_root, set_extra_root, set_lax, set_verify_point,
    set_verify_point_with_the_last_word, set_other_verify_point, set_identity,
    set_other_identity, set_longer_chain, set_identity_point, set_other_identity_point, set_min_version, set_max_version,
    set_ciphers, set_other_ciphers, set_groups, set_other_groups, set_alpn, set_alpn_backwards, set_alpn_one, set_sni_off,
    set_sni_name, set_other_sni_name, set_verify_name, set_other_verify_name, set_no_tickets, set_early_data, set_grease,
    set_staple, set_key_log_events, set_compression, set_key_log, set_other_key_log, set_pin, set_other_pin, set_two_pins,
    set_crl, set_other_crl, set_two_crls,
};

static struct q_tls_config *config_with(void (*set)(struct q_tls_builder *)) {
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    set(builder);
    return freeze(builder);
}

static void each_setting_gives_a_digest_of_its_own(void **state) {
    (void)state;
    static uint8_t digests[Q_COUNT_OF(k_settings)][Q_CRYPTO_DIGEST_LEN];
    for (size_t i = 0; i < Q_COUNT_OF(k_settings); i++) {
        struct q_tls_config *config = config_with(k_settings[i]);
        struct q_tls_config *again = config_with(k_settings[i]); // built separately: equal
        assert_memory_equal(q_tls_config_digest(config), q_tls_config_digest(again), Q_CRYPTO_DIGEST_LEN);
        memcpy(digests[i], q_tls_config_digest(config), Q_CRYPTO_DIGEST_LEN);
        for (size_t before = 0; before < i; before++) {
            assert_memory_not_equal(digests[before], digests[i], Q_CRYPTO_DIGEST_LEN);
        }
        q_tls_config_release(config);
        q_tls_config_release(again);
    }
}

static void expect_equal(struct q_tls_config *one, struct q_tls_config *two) {
    assert_memory_equal(q_tls_config_digest(one), q_tls_config_digest(two), Q_CRYPTO_DIGEST_LEN);
    q_tls_config_release(one);
    q_tls_config_release(two);
}

static void set_roots_file_twice(struct q_tls_builder *b) {
    char *bundle = q_certs_join("words\n", the_root->pem, the_root->pem, NULL);
    char *path = q_certs_write(the_folder, "bundle.pem", bundle);
    ok(q_tls_builder_set_roots(b, Q_ROOTS_FILE, q_slice_of_string(path)));
    ok(q_tls_builder_add_roots(b, Q_ROOTS_MEMORY, q_slice_make(the_root->der, the_root->der_len)));
    free(path);
    free(bundle);
}
static void set_identity_file_locked(struct q_tls_builder *b) {
    char *key = q_certs_key_pem_locked(the_leaf, PASSPHRASE);
    char *both = q_certs_join(key, the_leaf->pem, NULL);
    char *path = q_certs_write(the_folder, "both.pem", both);
    ok(q_tls_builder_set_identity(b, file_source(path), k_none, Q_SLICE(PASSPHRASE)));
    free(path);
    free(both);
    free(key);
}
static void set_upper_sni_name(struct q_tls_builder *b) { ok(q_tls_builder_set_sni(b, Q_TLS_SNI_NAME, Q_SLICE("A.Example"))); }
static void set_two_pins_backwards(struct q_tls_builder *b) {
    set_other_pin(b);
    set_pin(b);
    set_other_pin(b);
}
static void set_two_crls_backwards(struct q_tls_builder *b) {
    set_other_crl(b);
    set_two_crls(b);
}

static void what_means_the_same_has_the_same_digest(void **state) {
    (void)state;
    expect_equal(config_with(set_nothing), config_with(set_roots_file_twice));
    expect_equal(config_with(set_identity), config_with(set_identity_file_locked));
    expect_equal(config_with(set_sni_name), config_with(set_upper_sni_name));
    expect_equal(config_with(set_two_pins), config_with(set_two_pins_backwards));
    expect_equal(config_with(set_two_crls), config_with(set_two_crls_backwards));
}

// --- files ---------------------------------------------------------------------------------------------------------

static void files_are_read_when_it_is_frozen_and_never_again(void **state) {
    (void)state;
    char *folder = q_certs_folder_new();
    char *roots = q_certs_write(folder, "roots.pem", "nothing yet");
    char *chain = q_certs_write(folder, "chain.pem", the_leaf->pem);
    char *key = q_certs_write(folder, "key.pem", the_leaf->key_pem);
    char *crl = q_certs_write(folder, "crl.pem", the_crl);
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_FILE, q_slice_of_string(roots)));
    ok(q_tls_builder_set_identity(builder, file_source(chain), file_source(key), Q_SLICE("")));
    ok(q_tls_builder_add_crls(builder, file_source(crl)));
    free(q_certs_write(folder, "roots.pem", the_root->pem)); // not read before
    struct q_tls_config *config = freeze(builder);
    q_certs_folder_remove(folder);
    SSL_CTX *context = q_tls_config_new_context(config, &(struct q_tls_context_parts){0}); // nor after
    assert_non_null(context);
    assert_int_equal(q_tls_config_roots_facts(config).num_certificates, 1);
    assert_int_equal(sk_CRYPTO_BUFFER_num(q_tls_config_chain(config)), 1);
    assert_int_equal(sk_X509_CRL_num(q_tls_config_crls(config)), 1);
    SSL_CTX_free(context);
    q_tls_config_release(config);
    free(folder);
    free(roots);
    free(chain);
    free(key);
    free(crl);
}

// --- errors --------------------------------------------------------------------------------------------------------

// expect_failure freezes, and the detail holds `words`. The builder can be corrected and frozen then.
static void expect_failure(struct q_tls_builder *builder, int code, const char *words) {
    struct q_tls_config *config;
    struct q_error error = q_tls_builder_freeze(builder, &config);
    assert_int_equal(error.code, code);
    assert_null(config);
    assert_non_null(strstr(q_tls_builder_detail(builder), words));
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_root->pem)));
    ok(q_tls_builder_set_identity(builder, k_none, k_none, Q_SLICE("")));
    ok(q_tls_builder_set_key_log(builder, Q_SLICE("")));
    ok(q_tls_builder_set_switch(builder, Q_TLS_EARLY_DATA, false));
    q_tls_config_release(freeze(builder));
}

static void each_thing_that_is_wrong_has_its_own_error(void **state) {
    (void)state;
    struct q_tls_builder *b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_roots(b, Q_ROOTS_FILE, Q_SLICE("/none/roots.pem")));
    expect_failure(b, Q_ERR_TLS_FILE, "/none/roots.pem (ENOENT)");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_roots(b, Q_ROOTS_SYSTEM, Q_SLICE("")));
    ok(q_tls_builder_set_probe_prefix(b, Q_SLICE("/none")));
    expect_failure(b, Q_ERR_TLS_NO_TRUST_STORE, "/none/etc/ssl/certs/ca-certificates.crt (ENOENT)");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_roots(b, Q_ROOTS_MEMORY, Q_SLICE("words")));
    expect_failure(b, Q_ERR_TLS_NO_ROOTS, "");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_identity(b, text_source("words"), text_source(the_leaf->key_pem), Q_SLICE("")));
    expect_failure(b, Q_ERR_TLS_BAD_CERTIFICATE, "");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_identity(b, text_source(the_leaf->pem), k_none, Q_SLICE("")));
    expect_failure(b, Q_ERR_TLS_BAD_KEY, "");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_identity(b, text_source(the_leaf->pem), file_source("/none/key.pem"), Q_SLICE("")));
    expect_failure(b, Q_ERR_TLS_FILE, "/none/key.pem (ENOENT)");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_identity(b, text_source(the_leaf->pem), text_source(the_other_leaf->key_pem), Q_SLICE("")));
    expect_failure(b, Q_ERR_TLS_KEY_MISMATCH, "");
    b = new_builder(q_alloc_libc());
    char *path = q_certs_write(the_folder, "locked.pem", "");
    char *locked = q_certs_key_pem_locked(the_leaf, PASSPHRASE);
    free(q_certs_write(the_folder, "locked.pem", locked));
    ok(q_tls_builder_set_identity(b, text_source(the_leaf->pem), file_source(path), Q_SLICE("wrong")));
    expect_failure(b, Q_ERR_TLS_BAD_PASSPHRASE, "locked.pem");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_key_log(b, Q_SLICE("/none/keys")));
    expect_failure(b, Q_ERR_TLS_FILE, "/none/keys (ENOENT)");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_switch(b, Q_TLS_EARLY_DATA, true));
    ok(q_tls_builder_set_switch(b, Q_TLS_TICKETS, false));
    expect_failure(b, Q_ERR_INVALID_ARGUMENT, "");
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_switch(b, Q_TLS_EARLY_DATA, true));
    ok(q_tls_builder_set_versions(b, Q_TLS_1_2, Q_TLS_1_2));
    expect_failure(b, Q_ERR_INVALID_ARGUMENT, "");
    free(path);
    free(locked);
}

static void a_list_that_cannot_be_read_is_an_error(void **state) {
    (void)state;
    struct q_tls_config *config;
    struct q_tls_builder *b = new_builder(q_alloc_libc());
    ok(q_tls_builder_add_crls(b, text_source("words")));
    assert_int_equal(q_tls_builder_freeze(b, &config).code, Q_ERR_TLS_BAD_CRL);
    q_tls_builder_destroy(b);
    b = new_builder(q_alloc_libc());
    ok(q_tls_builder_add_crls(b, file_source("/none/crl")));
    assert_int_equal(q_tls_builder_freeze(b, &config).code, Q_ERR_TLS_FILE);
    assert_string_equal(q_tls_builder_detail(b), "/none/crl (ENOENT)");
    q_tls_builder_destroy(b);
}

static void without_verification_no_roots_are_needed(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_FILE, Q_SLICE("/none")));
    set_lax(builder);
    struct q_tls_config *config = freeze(builder);
    assert_null(q_tls_config_store(config));
    q_tls_config_release(config);
}

// --- points --------------------------------------------------------------------------------------------------------

static int num_holds;

static void hold(void *owner) { *(int *)owner += 1; }

static void let_go(void *owner) { *(int *)owner -= 1; }

static void a_config_holds_its_points(void **state) {
    (void)state;
    const struct q_tls_point point = {.serial = 5, .owner = &num_holds, .acquire = hold, .release = let_go};
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    ok(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD));
    ok(q_tls_builder_set_identity_point(builder, text_source(the_leaf->pem), &point));
    struct q_tls_config *config = freeze(builder);
    assert_int_equal(num_holds, 2);
    assert_int_equal(q_tls_config_policy(config)->verify_point.serial, 5);
    assert_int_equal(q_tls_config_policy(config)->key_point.serial, 5);
    q_tls_config_release(config);
    assert_int_equal(num_holds, 0);
    builder = new_builder(q_alloc_libc()); // and not when it fails
    ok(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD));
    ok(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("words")));
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, Q_ERR_TLS_NO_ROOTS);
    assert_int_equal(num_holds, 1);
    q_tls_builder_destroy(builder);
    assert_int_equal(num_holds, 0);
}

// --- secrets and memory --------------------------------------------------------------------------------------------

static char the_secret[64];
static bool secret_came_back;

static void *allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void look_and_release(void *context, void *ptr, size_t size) {
    (void)context;
    secret_came_back = secret_came_back || memmem(ptr, size, the_secret, strlen(the_secret)) != NULL ||
                       memmem(ptr, size, PASSPHRASE, strlen(PASSPHRASE)) != NULL;
    free(ptr);
}

static void the_key_and_its_passphrase_are_gone_when_freeze_returns(void **state) {
    (void)state;
    static const struct q_alloc k_alloc = {.allocate = allocate, .release = look_and_release};
    char *locked = q_certs_key_pem_locked(the_leaf, PASSPHRASE);
    char *path = q_certs_write(the_folder, "key.pem", locked);
    memcpy(the_secret, strchr(locked, '\n') + 1, 40); // of the key's body
    for (unsigned i = 0; i < 2; i++) {
        struct q_tls_config *config;
        struct q_tls_source key = i == 0 ? text_source(locked) : file_source(path);
        struct q_tls_builder *builder = new_builder(&k_alloc);
        ok(q_tls_builder_set_identity(builder, text_source(the_leaf->pem), key, Q_SLICE(PASSPHRASE)));
        ok(q_tls_builder_freeze(builder, &config));
        assert_int_equal(builder->passphrase.len + builder->key.value.len + builder->chain.value.len, 0);
        assert_false(secret_came_back);
        q_tls_builder_destroy(builder);
        q_tls_config_release(config);
        assert_false(secret_came_back);
    }
    free(path);
    free(locked);
}

static void set_much(struct q_tls_builder *builder) {
    set_identity_file_locked(builder);
    set_two_crls(builder);
    set_two_pins(builder);
    set_alpn(builder);
    set_ciphers(builder);
    set_sni_name(builder);
    set_key_log(builder);
    ok(q_tls_builder_add_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_other->pem)));
}

static void every_allocation_of_ours_may_fail(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[200];
    for (uint64_t nth = 1;; nth++) {
        struct q_tls_config *config;
        struct q_tls_builder *builder = new_builder(q_failalloc_alloc(failalloc));
        set_much(builder);
        q_failalloc_fail_at(failalloc, nth);
        struct q_error error = q_tls_builder_freeze(builder, &config);
        bool failed = q_failalloc_failed(failalloc);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        if (failed) {
            ok(q_tls_builder_freeze(builder, &config)); // it is as it was
        }
        q_tls_config_release(config);
        q_tls_builder_destroy(builder);
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        if (!failed) {
            break;
        }
    }
    q_failalloc_free(failalloc);
}

// What the library cannot parse for want of memory is not taken for broken: a trusted certificate would be left out.
static void every_allocation_of_the_librarys_may_fail(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    q_tls_config_release(config_with(set_much)); // what is made once in a process is made
    set_much(builder);
    size_t live = q_libmemory_live();
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct q_tls_config *config;
        q_libmemory_fail_at(nth);
        struct q_error error = q_tls_builder_freeze(builder, &config);
        failed = q_libmemory_failed();
        q_libmemory_fail_at(0);
        if (!q_error_is(error)) {
            assert_int_equal(q_tls_config_roots_facts(config).num_certificates, 2);
            assert_int_equal(q_tls_config_roots_facts(config).num_skipped, 0);
            assert_int_equal(sk_X509_CRL_num(q_tls_config_crls(config)), 2);
            assert_int_equal(sk_CRYPTO_BUFFER_num(q_tls_config_chain(config)), 1);
            q_tls_config_release(config);
            q_tls_builder_destroy(builder);
            builder = new_builder(q_alloc_libc());
            set_much(builder);
        } else {
            assert_true(failed);
            // Unlocking a key, the library does not always say which: a passphrase that is not taken is as good as wrong.
            assert_true(error.code == Q_ERR_NO_MEMORY || error.code == Q_ERR_TLS_BAD_PASSPHRASE);
        }
        assert_int_equal(q_libmemory_live(), live);
    }
    q_tls_builder_destroy(builder);
}

static void a_config_with_shared_roots_is_small(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[200];
    struct q_tls_builder *builder = new_builder(q_alloc_libc());
    ok(q_tls_builder_add_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_other->pem)));
    struct q_tls_config *first = freeze(builder);
    uint64_t built = q_roots_get_stats().built;
    builder = new_builder(q_failalloc_alloc(failalloc));
    set_two_pins(builder);
    set_alpn(builder);
    set_identity(builder);
    ok(q_tls_builder_add_roots(builder, Q_ROOTS_MEMORY, q_slice_of_string(the_other->pem)));
    size_t library_before = q_libmemory_live_bytes();
    struct q_tls_config *second = freeze(builder);
    size_t ours = q_failalloc_live_bytes(failalloc);
    size_t library = q_libmemory_live_bytes() - library_before;
    print_message("a config with shared roots and a client certificate: %zu bytes of ours, %zu of the library's\n", ours,
                  library);
    assert_true(ours + library < 8192);
    assert_int_equal(q_roots_get_stats().built, built);
    assert_ptr_equal(q_tls_config_store(first), q_tls_config_store(second));
    q_tls_config_release(first);
    q_tls_config_release(second);
    assert_true(q_failalloc_check(failalloc, text, sizeof text));
    q_failalloc_free(failalloc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_setting_gives_a_digest_of_its_own),
        cmocka_unit_test(what_means_the_same_has_the_same_digest),
        cmocka_unit_test(files_are_read_when_it_is_frozen_and_never_again),
        cmocka_unit_test(each_thing_that_is_wrong_has_its_own_error),
        cmocka_unit_test(a_list_that_cannot_be_read_is_an_error),
        cmocka_unit_test(without_verification_no_roots_are_needed),
        cmocka_unit_test(a_config_holds_its_points),
        cmocka_unit_test(the_key_and_its_passphrase_are_gone_when_freeze_returns),
        cmocka_unit_test(every_allocation_of_ours_may_fail),
        cmocka_unit_test(every_allocation_of_the_librarys_may_fail),
        cmocka_unit_test(a_config_with_shared_roots_is_small),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}

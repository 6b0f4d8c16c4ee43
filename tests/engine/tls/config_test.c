// The builder takes what is good whole and refuses what is not, and forgets its secrets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tls/config_internal.h"
#include "tests/engine/base/dies.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

static struct q_tls_builder *new_builder(void) {
    struct q_tls_builder *builder;
    assert_int_equal(q_tls_builder_new(&builder, q_alloc_libc()).code, 0);
    return builder;
}

static void the_defaults_are_what_a_careful_person_would_choose(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    assert_int_equal(builder->policy.verify, Q_TLS_VERIFY_FULL);
    assert_int_equal(builder->policy.min_version, Q_TLS_1_2);
    assert_int_equal(builder->policy.max_version, Q_TLS_1_3);
    assert_int_equal(builder->policy.switches, Q_TLS_TICKETS);
    assert_int_equal(builder->policy.sni, Q_TLS_SNI_HOST);
    assert_int_equal(builder->num_roots, 1);
    assert_int_equal(builder->roots[0].kind, Q_ROOTS_SYSTEM);
    assert_string_equal(q_tls_builder_detail(builder), "");
    q_tls_builder_destroy(builder);
    q_tls_builder_destroy(NULL);
}

static void verification_is_not_turned_off_by_accident(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    static const uint32_t k_accidents[] = {1, 2, UINT32_MAX, 0x0ff5afe1, 0x80000000};
    for (size_t i = 0; i < Q_COUNT_OF(k_accidents); i++) {
        assert_int_equal(q_tls_builder_set_verify(builder, k_accidents[i]).code, Q_ERR_INVALID_ARGUMENT);
        assert_int_equal(builder->policy.verify, Q_TLS_VERIFY_FULL);
    }
    assert_int_equal(q_tls_builder_set_verify(builder, Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING).code, 0);
    assert_int_equal(q_tls_builder_set_verify(builder, Q_TLS_VERIFY_FULL).code, 0);
    q_tls_builder_destroy(builder);
}

static int set_sni_name(struct q_tls_builder *builder, struct q_slice name) {
    return q_tls_builder_set_sni(builder, Q_TLS_SNI_NAME, name).code;
}

static void names_are_host_names_in_lower_case(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    char long_name[Q_TLS_NAME_MAX + 2];
    memset(long_name, 'a', sizeof long_name);
    for (size_t i = 50; i < sizeof long_name; i += 50) {
        long_name[i] = '.';
    }
    const struct q_slice bad[] = {
        Q_SLICE(""),      Q_SLICE("."),         Q_SLICE(".a"),     Q_SLICE("a..b"),  Q_SLICE("a."),
        Q_SLICE("a b"),   Q_SLICE("a\0b"),      Q_SLICE("a/b"),    Q_SLICE("*.a"),   Q_SLICE("\xc3\xa9.a"),
        Q_SLICE("[::1]"), q_slice_make(long_name, Q_TLS_NAME_MAX + 1),
        Q_SLICE("a123456789b123456789c123456789d123456789e123456789f123456789g123.a"),
    };
    for (size_t i = 0; i < Q_COUNT_OF(bad); i++) {
        assert_int_equal(set_sni_name(builder, bad[i]), Q_ERR_INVALID_ARGUMENT);
        assert_int_equal(q_tls_builder_set_verify_name(builder, bad[i]).code, bad[i].len == 0 ? 0 : Q_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(set_sni_name(builder, Q_SLICE("1.2.3.4")), Q_ERR_INVALID_ARGUMENT); // an address is no name
    assert_int_equal(set_sni_name(builder, Q_SLICE("::1")), Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_verify_name(builder, Q_SLICE("1.2.3.4")).code, 0);
    assert_int_equal(q_tls_builder_set_verify_name(builder, Q_SLICE("FE80::1")).code, 0);
    assert_string_equal(builder->policy.verify_name.ptr, "fe80::1");
    assert_int_equal(set_sni_name(builder, q_slice_make(long_name, Q_TLS_NAME_MAX)), 0);
    assert_int_equal(set_sni_name(builder, Q_SLICE("Some_Host-1.Example")), 0);
    assert_string_equal(builder->policy.sni_name.ptr, "some_host-1.example");
    assert_int_equal(q_tls_builder_set_sni(builder, Q_TLS_SNI_OFF, Q_SLICE("a")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_sni(builder, (enum q_tls_sni)3, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(builder->policy.sni, Q_TLS_SNI_NAME); // what was refused has changed nothing
    assert_int_equal(q_tls_builder_set_sni(builder, Q_TLS_SNI_OFF, Q_SLICE("")).code, 0);
    assert_int_equal(builder->policy.sni_name.len, 0);
    q_tls_builder_destroy(builder);
}

static void versions_are_a_range_of_what_is_spoken(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    static const unsigned k_versions[] = {0, 0x0300, 0x0301, 0x0302, Q_TLS_1_2, Q_TLS_1_3, 0x0305, 0x10303, 0x10304};
    for (size_t i = 0; i < Q_COUNT_OF(k_versions); i++) {
        for (size_t j = 0; j < Q_COUNT_OF(k_versions); j++) {
            bool is_good = (i == 4 || i == 5) && (j == 4 || j == 5) && i <= j;
            assert_int_equal(q_tls_builder_set_versions(builder, k_versions[i], k_versions[j]).code,
                             is_good ? 0 : Q_ERR_INVALID_ARGUMENT);
        }
    }
    q_tls_builder_destroy(builder);
}

static void lists_are_what_the_library_takes_and_encrypts_with(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    static const char *const k_bad_ciphers[] = {"NONSENSE", "ECDHE-RSA-AES128-GCM-SHA256:NONSENSE", "NULL-SHA", ":", "!ALL",
                                                "ALL:NULL-SHA"};
    char *long_list = calloc(1, Q_TLS_LIST_MAX + 2);
    assert_non_null(long_list);
    memset(long_list, ':', Q_TLS_LIST_MAX + 1);
    for (size_t i = 0; i < Q_COUNT_OF(k_bad_ciphers); i++) {
        assert_int_equal(q_tls_builder_set_ciphers(builder, q_slice_of_string(k_bad_ciphers[i])).code, Q_ERR_TLS_BAD_CIPHERS);
    }
    assert_int_equal(q_tls_builder_set_ciphers(builder, q_slice_of_string(long_list)).code, Q_ERR_TLS_BAD_CIPHERS);
    assert_int_equal(q_tls_builder_set_ciphers(builder, Q_SLICE("ALL\0")).code, Q_ERR_TLS_BAD_CIPHERS);
    assert_int_equal(q_tls_builder_set_ciphers(builder, Q_SLICE("ECDHE-RSA-AES128-GCM-SHA256")).code, 0);
    assert_int_equal(q_tls_builder_set_ciphers(builder, Q_SLICE("NONSENSE")).code, Q_ERR_TLS_BAD_CIPHERS);
    assert_string_equal(builder->policy.ciphers.ptr, "ECDHE-RSA-AES128-GCM-SHA256");
    assert_int_equal(q_tls_builder_set_ciphers(builder, Q_SLICE("")).code, 0);
    assert_int_equal(builder->policy.ciphers.len, 0);
    assert_int_equal(q_tls_builder_set_groups(builder, Q_SLICE("P-256:X25519")).code, 0);
    assert_int_equal(q_tls_builder_set_groups(builder, Q_SLICE("P-256:P-257")).code, Q_ERR_TLS_BAD_GROUPS);
    assert_string_equal(builder->policy.groups.ptr, "P-256:X25519");
    free(long_list);
    q_tls_builder_destroy(builder);
}

static void alpn_is_a_list_without_repetition(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    char name[256];
    memset(name, 'x', sizeof name);
    const struct q_slice good[] = {Q_SLICE("h2"), Q_SLICE("http/1.1"), q_slice_make(name, 255)};
    assert_int_equal(q_tls_builder_set_alpn(builder, good, 3).code, 0);
    assert_int_equal(builder->policy.alpn.len, 3 + 9 + 256);
    assert_memory_equal(builder->policy.alpn.ptr, "\2h2\x08http/1.1\xffxxx", 16);
    const struct q_slice twice[] = {Q_SLICE("h2"), Q_SLICE("http/1.1"), Q_SLICE("h2")};
    assert_int_equal(q_tls_builder_set_alpn(builder, twice, 3).code, Q_ERR_INVALID_ARGUMENT);
    const struct q_slice empty[] = {Q_SLICE("h2"), Q_SLICE("")};
    assert_int_equal(q_tls_builder_set_alpn(builder, empty, 2).code, Q_ERR_INVALID_ARGUMENT);
    const struct q_slice longer[] = {q_slice_make(name, 256)};
    assert_int_equal(q_tls_builder_set_alpn(builder, longer, 1).code, Q_ERR_INVALID_ARGUMENT);
    struct q_slice many[Q_TLS_ALPN_MAX + 1];
    for (size_t i = 0; i < Q_COUNT_OF(many); i++) {
        many[i] = q_slice_make(name, 200 + i);
    }
    assert_int_equal(q_tls_builder_set_alpn(builder, many, Q_TLS_ALPN_MAX + 1).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(builder->policy.alpn.len, 3 + 9 + 256);
    assert_int_equal(q_tls_builder_set_alpn(builder, many, Q_TLS_ALPN_MAX).code, 0);
    assert_int_equal(q_tls_builder_set_alpn(builder, NULL, 0).code, 0);
    assert_int_equal(builder->policy.alpn.len, 0);
    q_tls_builder_destroy(builder);
}

static void one_switch_is_turned_at_a_time(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    static const unsigned k_bad[] = {0, 3, Q_TLS_SWITCHES, 64, 0x80000000};
    for (size_t i = 0; i < Q_COUNT_OF(k_bad); i++) {
        assert_int_equal(q_tls_builder_set_switch(builder, (enum q_tls_switch)k_bad[i], true).code, Q_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(q_tls_builder_set_switch(builder, Q_TLS_GREASE, true).code, 0);
    assert_int_equal(q_tls_builder_set_switch(builder, Q_TLS_TICKETS, false).code, 0);
    assert_int_equal(builder->policy.switches, Q_TLS_GREASE);
    q_tls_builder_destroy(builder);
}

static void sources_are_paths_or_bytes(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    char path[5000];
    memset(path, 'x', sizeof path);
    struct q_slice too_long = q_slice_make(path, 4096);
    const struct q_tls_source file = {.is_file = true, .value = Q_SLICE("/x")};
    const struct q_tls_source long_file = {.is_file = true, .value = too_long};
    const struct q_tls_source none = {0};
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_FILE, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_FILE, too_long).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_FOLDER, Q_SLICE("a\0b")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_SYSTEM, Q_SLICE("x")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, (enum q_roots_kind)9, Q_SLICE("x")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("a\0b")).code, 0);
    assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_SYSTEM, Q_SLICE("")).code, 0);
    for (size_t i = 1; i < Q_ROOTS_SOURCES_MAX; i++) {
        assert_int_equal(q_tls_builder_add_roots(builder, Q_ROOTS_FILE, Q_SLICE("/x")).code, 0);
    }
    assert_int_equal(q_tls_builder_add_roots(builder, Q_ROOTS_FILE, Q_SLICE("/x")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_identity(builder, none, file, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_identity(builder, long_file, file, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_identity(builder, file, long_file, Q_SLICE("")).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_identity(builder, file, none, q_slice_make(path, 1001)).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_identity(builder, file, none, q_slice_make(path, 1000)).code, 0);
    assert_int_equal(q_tls_builder_set_identity(builder, none, none, Q_SLICE("")).code, 0);
    assert_int_equal(builder->chain.value.len + builder->passphrase.len, 0);
    for (size_t i = 0; i < Q_TLS_CRL_SOURCES_MAX; i++) {
        assert_int_equal(q_tls_builder_add_crls(builder, file).code, 0);
    }
    assert_int_equal(q_tls_builder_add_crls(builder, file).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_key_log(builder, too_long).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_probe_prefix(builder, Q_SLICE("a\0b")).code, Q_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < Q_TLS_PINS_MAX; i++) {
        assert_int_equal(q_tls_builder_add_pin(builder, (const uint8_t *)path).code, 0);
    }
    assert_int_equal(q_tls_builder_add_pin(builder, (const uint8_t *)path).code, Q_ERR_INVALID_ARGUMENT);
    q_tls_builder_destroy(builder);
}

static int num_holds;

static void hold(void *owner) {
    assert_ptr_equal(owner, &num_holds);
    num_holds++;
}

static void let_go(void *owner) {
    assert_ptr_equal(owner, &num_holds);
    num_holds--;
}

static void a_point_is_held_once_for_each_place(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    const struct q_tls_point point = {.serial = 5, .owner = &num_holds, .acquire = hold, .release = let_go};
    const struct q_tls_point none = {.owner = &num_holds, .acquire = hold, .release = let_go};
    const struct q_tls_source chain = {.value = Q_SLICE("x")};
    assert_int_equal(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD).code, 0);
    assert_int_equal(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD).code, 0);
    assert_int_equal(num_holds, 1);
    assert_int_equal(q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_NEVER).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_verify_point(builder, &none, Q_TLS_ASKS_ALWAYS).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(
        q_tls_builder_set_verify_point(builder, &point, (enum q_tls_asks_verify)(Q_TLS_ASKS_ALWAYS + 1)).code,
        Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(num_holds, 1);
    assert_int_equal(q_tls_builder_set_identity_point(builder, chain, &point).code, 0);
    assert_int_equal(num_holds, 2);
    assert_int_equal(q_tls_builder_set_identity_point(builder, chain, &none).code, Q_ERR_INVALID_ARGUMENT);
    assert_int_equal(q_tls_builder_set_verify_point(builder, &none, Q_TLS_ASKS_NEVER).code, 0);
    assert_int_equal(num_holds, 1);
    assert_int_equal(q_tls_builder_set_identity(builder, chain, chain, Q_SLICE("")).code, 0); // a key takes the point's place
    assert_int_equal(num_holds, 0);
    assert_int_equal(q_tls_builder_set_identity_point(builder, chain, &point).code, 0);
    assert_int_equal(num_holds, 1);
    q_tls_builder_destroy(builder);
    assert_int_equal(num_holds, 0);
}

// --- secrets and memory --------------------------------------------------------------------------------------------

static bool secret_came_back;

static void *allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void look_and_release(void *context, void *ptr, size_t size) {
    (void)context;
    secret_came_back = secret_came_back || memmem(ptr, size, "secret", 6) != NULL;
    free(ptr);
}

static void what_was_given_is_wiped_when_it_is_replaced_and_at_the_end(void **state) {
    (void)state;
    static const struct q_alloc k_alloc = {.allocate = allocate, .release = look_and_release};
    struct q_tls_builder *builder;
    const struct q_tls_source source = {.value = Q_SLICE("a secret key")};
    assert_int_equal(q_tls_builder_new(&builder, &k_alloc).code, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(q_tls_builder_set_identity(builder, source, source, Q_SLICE("a secret")).code, 0);
        assert_int_equal(q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("a secret")).code, 0);
    }
    assert_non_null(memmem(builder->passphrase.ptr, builder->passphrase.len, "secret", 6));
    assert_false(secret_came_back);
    q_tls_builder_destroy(builder);
    assert_false(secret_came_back);
}

// Each setter either takes all or changes nothing.
static struct q_error set_everything(struct q_tls_builder *builder) {
    const struct q_tls_source source = {.value = Q_SLICE("bytes")};
    const struct q_slice protocols[] = {Q_SLICE("h2")};
    struct q_error errors[] = {
        q_tls_builder_set_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("roots")),
        q_tls_builder_add_roots(builder, Q_ROOTS_MEMORY, Q_SLICE("more")),
        q_tls_builder_set_environment(builder, (const char *const[]){"SSL_CERT_FILE=a", "SSL_CERT_DIR=b", NULL}),
        q_tls_builder_set_probe_prefix(builder, Q_SLICE("/x")),
        q_tls_builder_set_identity(builder, source, source, Q_SLICE("phrase")),
        q_tls_builder_set_ciphers(builder, Q_SLICE("ALL")),
        q_tls_builder_set_groups(builder, Q_SLICE("P-256")),
        q_tls_builder_set_alpn(builder, protocols, 1),
        q_tls_builder_set_sni(builder, Q_TLS_SNI_NAME, Q_SLICE("a.example")),
        q_tls_builder_set_verify_name(builder, Q_SLICE("b.example")),
        q_tls_builder_set_key_log(builder, Q_SLICE("/keys")),
        q_tls_builder_add_crls(builder, source),
    };
    for (size_t i = 0; i < Q_COUNT_OF(errors); i++) {
        if (q_error_is(errors[i])) {
            return errors[i];
        }
    }
    return Q_OK;
}

static void every_allocation_of_a_setter_may_fail(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[200];
    for (uint64_t nth = 1;; nth++) {
        struct q_tls_builder *builder;
        q_failalloc_fail_at(failalloc, nth);
        struct q_error error = q_tls_builder_new(&builder, q_failalloc_alloc(failalloc));
        if (!q_error_is(error)) {
            error = set_everything(builder);
            assert_int_equal(builder->passphrase.len == 0, builder->chain.value.len == 0);
            assert_int_equal(builder->cert_file.len == 0, builder->cert_folder.len == 0);
        }
        bool failed = q_failalloc_failed(failalloc);
        assert_int_equal(error.code, failed ? Q_ERR_NO_MEMORY : 0);
        q_tls_builder_destroy(builder);
        assert_true(q_failalloc_check(failalloc, text, sizeof text));
        if (!failed) {
            break;
        }
    }
    q_failalloc_free(failalloc);
}

// --- the frozen config ---------------------------------------------------------------------------------------------

static struct q_tls_config *freeze_lax(void) {
    struct q_tls_builder *builder = new_builder();
    struct q_tls_config *config;
    uint8_t pin[Q_CRYPTO_DIGEST_LEN] = {7};
    assert_int_equal(q_tls_builder_set_verify(builder, Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING).code, 0);
    assert_int_equal(q_tls_builder_add_pin(builder, pin).code, 0);
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    q_tls_builder_destroy(builder);
    return config;
}

static void a_frozen_builder_takes_nothing_more(void **state) {
    (void)state;
    struct q_tls_builder *builder = new_builder();
    struct q_tls_config *config;
    struct q_tls_config *second;
    const struct q_tls_point point = {.serial = 1};
    const uint8_t pin[Q_CRYPTO_DIGEST_LEN] = {0};
    const struct q_tls_source source = {.value = Q_SLICE("x")};
    assert_int_equal(q_tls_builder_set_verify(builder, Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING).code, 0);
    assert_int_equal(q_tls_builder_freeze(builder, &config).code, 0);
    struct q_error errors[] = {
        q_tls_builder_set_roots(builder, Q_ROOTS_SYSTEM, Q_SLICE("")),
        q_tls_builder_add_roots(builder, Q_ROOTS_FILE, Q_SLICE("/x")),
        q_tls_builder_set_environment(builder, NULL),
        q_tls_builder_set_probe_prefix(builder, Q_SLICE("")),
        q_tls_builder_set_verify(builder, Q_TLS_VERIFY_FULL),
        q_tls_builder_set_verify_point(builder, &point, Q_TLS_ASKS_IF_GOOD),
        q_tls_builder_set_identity(builder, source, source, Q_SLICE("")),
        q_tls_builder_set_identity_point(builder, source, &point),
        q_tls_builder_set_versions(builder, Q_TLS_1_2, Q_TLS_1_3),
        q_tls_builder_set_ciphers(builder, Q_SLICE("")),
        q_tls_builder_set_groups(builder, Q_SLICE("")),
        q_tls_builder_set_alpn(builder, NULL, 0),
        q_tls_builder_set_sni(builder, Q_TLS_SNI_OFF, Q_SLICE("")),
        q_tls_builder_set_verify_name(builder, Q_SLICE("")),
        q_tls_builder_set_switch(builder, Q_TLS_GREASE, true),
        q_tls_builder_set_key_log(builder, Q_SLICE("")),
        q_tls_builder_add_pin(builder, pin),
        q_tls_builder_add_crls(builder, source),
        q_tls_builder_freeze(builder, &second),
    };
    for (size_t i = 0; i < Q_COUNT_OF(errors); i++) {
        assert_int_equal(errors[i].code, Q_ERR_FROZEN);
    }
    q_tls_builder_destroy(builder);
    q_tls_config_release(config);
}

static void pins_are_found(void **state) {
    (void)state;
    struct q_tls_config *config = freeze_lax();
    uint8_t pin[Q_CRYPTO_DIGEST_LEN] = {7};
    assert_true(q_tls_config_has_pin(config, pin));
    pin[Q_CRYPTO_DIGEST_LEN - 1] = 1;
    assert_false(q_tls_config_has_pin(config, pin));
    q_tls_config_release(config);
    q_tls_config_release(NULL);
}

static void *use_and_release(void *context) {
    struct q_tls_config *config = context;
    for (unsigned i = 0; i < 1000; i++) {
        q_tls_config_release(q_tls_config_acquire(config));
        assert_int_equal(q_tls_config_policy(config)->num_pins, 1);
    }
    q_tls_config_release(config);
    return NULL;
}

static void the_last_of_many_threads_frees(void **state) {
    (void)state;
    struct q_tls_config *config = freeze_lax();
    pthread_t threads[4];
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_and_release, q_tls_config_acquire(config)), 0);
    }
    q_tls_config_release(config);
    for (size_t i = 0; i < Q_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void release_what_nobody_holds(void *context) {
    struct q_tls_config *config = context;
    atomic_store(&config->holders, 0);
    q_tls_config_release(config);
}

static void acquire_what_nobody_holds(void *context) {
    struct q_tls_config *config = context;
    atomic_store(&config->holders, 0);
    (void)q_tls_config_acquire(config);
}

static void a_count_that_has_ended_is_not_touched_again(void **state) {
    (void)state;
    struct q_tls_config *config = freeze_lax();
    assert_true(dies_saying(release_what_nobody_holds, config, "before"));
    assert_true(dies_saying(acquire_what_nobody_holds, config, "before"));
    q_tls_config_release(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_what_a_careful_person_would_choose),
        cmocka_unit_test(verification_is_not_turned_off_by_accident),
        cmocka_unit_test(names_are_host_names_in_lower_case),
        cmocka_unit_test(versions_are_a_range_of_what_is_spoken),
        cmocka_unit_test(lists_are_what_the_library_takes_and_encrypts_with),
        cmocka_unit_test(alpn_is_a_list_without_repetition),
        cmocka_unit_test(one_switch_is_turned_at_a_time),
        cmocka_unit_test(sources_are_paths_or_bytes),
        cmocka_unit_test(a_point_is_held_once_for_each_place),
        cmocka_unit_test(what_was_given_is_wiped_when_it_is_replaced_and_at_the_end),
        cmocka_unit_test(every_allocation_of_a_setter_may_fail),
        cmocka_unit_test(a_frozen_builder_takes_nothing_more),
        cmocka_unit_test(pins_are_found),
        cmocka_unit_test(the_last_of_many_threads_frees),
        cmocka_unit_test(a_count_that_has_ended_is_not_touched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Building TLS configurations, in every wrong way. What is wrong inside of files and certificates is face_tls_test.c's.
#include "tests/engine/face/misuse.h"

#include "tests/engine/core/host.h"

#define LAX QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING

static struct quoit_tls *new_tls(void) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    return tls;
}

static struct quoit_tls *frozen_tls(void) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_verify(tls, LAX), QUOIT_OK); // so that it needs no trust store
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

// Lengths that no memory has, and some that some memory has: whatever is told of them, nothing is read beyond the limits.
static const size_t k_lengths[] = {SIZE_MAX,      SIZE_MAX - 1,           SIZE_MAX / 2,    SIZE_MAX / 2 + 1,
                                   (size_t)1 << 48, ((size_t)1 << 32) + 1, (size_t)1 << 32, ((size_t)16 << 20) + 1};

enum { LENGTHS = sizeof k_lengths / sizeof k_lengths[0] };

typedef int32_t setter_fn(struct quoit_tls *tls, const char *text, size_t len);

// What each setter of text refuses alike: no configuration, no text, lengths that no text has, and a frozen one.
static void refuses(setter_fn *set, const char *good, int32_t too_long) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(set(NULL, good, strlen(good)), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set(tls, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set(tls, NULL, SIZE_MAX), QUOIT_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < LENGTHS; i++) {
        assert_int_equal(set(tls, good, k_lengths[i]), too_long);
    }
    assert_int_equal(set(tls, good, strlen(good)), QUOIT_OK);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(set(tls, good, strlen(good)), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_new(void) { assert_int_equal(quoit_tls_new(NULL), QUOIT_ERR_INVALID_ARGUMENT); }

static int32_t set_roots_file(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_set_roots(tls, QUOIT_TLS_FILE, text, len);
}

static int32_t set_roots_memory(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, text, len);
}

static void tls_set_roots(void) {
    struct quoit_tls *tls = new_tls();
    refuses(set_roots_file, "/a", QUOIT_ERR_INVALID_ARGUMENT);
    refuses(set_roots_memory, "a", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, 4, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, UINT32_MAX, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_SYSTEM, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, "", 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FOLDER, "/a\0b", 4), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_tls_release(tls);
}

static int32_t add_roots_folder(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_add_roots(tls, QUOIT_TLS_FOLDER, text, len);
}

static void tls_add_roots(void) {
    struct quoit_tls *tls = new_tls();
    refuses(add_roots_folder, "/a", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_roots(tls, 4, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(quoit_tls_add_roots(tls, QUOIT_TLS_FILE, "/a", 2), QUOIT_OK);
    }
    assert_int_equal(quoit_tls_add_roots(tls, QUOIT_TLS_FILE, "/a", 2), QUOIT_ERR_INVALID_ARGUMENT); // too many
    quoit_tls_release(tls);
}

static void tls_set_environment(void) {
    struct quoit_tls *tls = frozen_tls();
    assert_int_equal(quoit_tls_set_environment(NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_environment(tls, NULL), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_set_verify(void) {
    static const uint32_t k_accidents[] = {1, 2, UINT32_MAX, LAX + 1, INT32_MAX};
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_verify(NULL, LAX), QUOIT_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof k_accidents / sizeof k_accidents[0]; i++) {
        assert_int_equal(quoit_tls_set_verify(tls, k_accidents[i]), QUOIT_ERR_INVALID_ARGUMENT);
    }
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_verify(tls, QUOIT_TLS_VERIFY_FULL), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void must_not_run(void *context) { *(bool *)context = true; }

static struct quoit_tls_point *new_point(bool *is_released) {
    struct quoit_tls_point *point = NULL;
    assert_int_equal(quoit_tls_point_new(is_released, must_not_run, &point), QUOIT_OK);
    return point;
}

static void point_new(void) {
    bool is_released = false;
    assert_int_equal(quoit_tls_point_new(&is_released, must_not_run, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_false(is_released);
    struct quoit_tls_point *point;
    assert_int_equal(quoit_tls_point_new(NULL, NULL, &point), QUOIT_OK); // nobody wants to know
    quoit_tls_point_release(point);
}

static void point_acquire(void) { assert_null(quoit_tls_point_acquire(NULL)); }

// One release too many, of a point that a configuration has still.
static void point_release(void) {
    bool is_released = false;
    struct quoit_tls *tls = new_tls();
    struct quoit_tls_point *point = new_point(&is_released);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, point), QUOIT_OK);
    quoit_tls_point_release(NULL);
    for (int i = 0; i < 3; i++) {
        quoit_tls_point_release(point);
    }
    assert_null(quoit_tls_point_acquire(point));
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, point), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_FILE, "/a", 2, point), QUOIT_ERR_INVALID_ARGUMENT);
    assert_false(is_released);
    quoit_tls_release(tls);
    assert_true(is_released);
}

static void tls_set_verify_question(void) {
    static const uint32_t k_accidents[] = {2, 3, UINT32_MAX, INT32_MAX,
                                           QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS + 1};
    bool is_released = false;
    struct quoit_tls *tls = new_tls();
    struct quoit_tls_point *point = new_point(&is_released);
    assert_int_equal(quoit_tls_set_verify_question(NULL, QUOIT_TLS_ASK_BEFORE_TRUSTING, point), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_NEVER, point), QUOIT_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof k_accidents / sizeof k_accidents[0]; i++) {
        assert_int_equal(quoit_tls_set_verify_question(tls, k_accidents[i], point), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_NEVER, NULL), QUOIT_OK);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, point), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
    assert_false(is_released);
    quoit_tls_point_release(point); // nobody took it
    assert_true(is_released);
}

static struct quoit_tls_point *the_point;

static int32_t set_sign_memory(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_set_sign_question(tls, QUOIT_TLS_MEMORY, text, len, the_point);
}

static void tls_set_sign_question(void) {
    bool is_released = false;
    struct quoit_tls *tls = new_tls();
    the_point = new_point(&is_released);
    refuses(set_sign_memory, "a", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_sign_memory(tls, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_MEMORY, "a", 1, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_SYSTEM, "a", 1, the_point), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_FOLDER, "/a", 2, the_point), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_tls_release(tls);
    assert_false(is_released);
    quoit_tls_point_release(the_point);
    assert_true(is_released);
}

static void halves_of_identities(struct quoit_tls *tls) {
    const struct quoit_tls_identity whole = {.struct_size = sizeof whole,
                                             .chain_source = QUOIT_TLS_MEMORY,
                                             .key_source = QUOIT_TLS_FILE,
                                             .chain = "a",
                                             .chain_len = 1,
                                             .key = "/b",
                                             .key_len = 2,
                                             .passphrase = "c",
                                             .passphrase_len = 1};
    struct quoit_tls_identity wrong[11];
    const size_t num = sizeof wrong / sizeof wrong[0];
    for (size_t i = 0; i < num; i++) {
        wrong[i] = whole;
    }
    wrong[0].chain = NULL;
    wrong[1].chain_len = 0;
    wrong[2].chain_source = QUOIT_TLS_SYSTEM;
    wrong[3].chain_source = QUOIT_TLS_FOLDER;
    wrong[4].key = NULL;
    wrong[5].key_len = 0;
    wrong[6].key_source = QUOIT_TLS_SYSTEM;
    wrong[7].key_source = 4;
    wrong[8].passphrase = NULL;
    wrong[9].passphrase_len = 1001;
    wrong[10].reserved = 1;
    for (size_t i = 0; i < num; i++) {
        assert_int_equal(quoit_tls_set_identity(tls, &wrong[i]), QUOIT_ERR_INVALID_ARGUMENT);
    }
    for (int i = 0; i < LENGTHS; i++) {
        struct quoit_tls_identity long_one = whole;
        long_one.chain_len = k_lengths[i];
        assert_int_equal(quoit_tls_set_identity(tls, &long_one), QUOIT_ERR_INVALID_ARGUMENT);
        long_one = whole;
        long_one.key_len = k_lengths[i];
        assert_int_equal(quoit_tls_set_identity(tls, &long_one), QUOIT_ERR_INVALID_ARGUMENT);
        long_one = whole;
        long_one.passphrase_len = k_lengths[i];
        assert_int_equal(quoit_tls_set_identity(tls, &long_one), QUOIT_ERR_INVALID_ARGUMENT);
    }
    assert_int_equal(quoit_tls_set_identity(tls, &whole), QUOIT_OK);
}

static void tls_set_identity(void) {
    struct quoit_tls_identity identity = {.struct_size = sizeof identity};
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_identity(NULL, &identity), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_identity(NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_identity(tls, NULL), QUOIT_OK); // there was none
    for (identity.struct_size = 0; identity.struct_size < sizeof identity.struct_size; identity.struct_size++) {
        assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_ERR_INVALID_STRUCT_SIZE);
    }
    identity.struct_size = UINT32_MAX;
    assert_int_equal(quoit_tls_set_identity(tls, &identity), QUOIT_ERR_INVALID_STRUCT_SIZE);
    halves_of_identities(tls);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_identity(tls, NULL), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_set_versions(void) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_versions(NULL, 0, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, 0x0302, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, 0, 0x0305), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, UINT32_MAX, UINT32_MAX), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, 0x10303, 0x10304), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, QUOIT_TLS_1_3, QUOIT_TLS_1_2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_versions(tls, 0, 0), QUOIT_OK);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_versions(tls, 0, 0), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_set_ciphers(void) {
    struct quoit_tls *tls = new_tls();
    refuses(quoit_tls_set_ciphers, "ECDHE", QUOIT_ERR_TLS_BAD_CIPHERS);
    assert_int_equal(quoit_tls_set_ciphers(tls, "NONSENSE", 8), QUOIT_ERR_TLS_BAD_CIPHERS);
    assert_int_equal(quoit_tls_set_ciphers(tls, "eNULL", 5), QUOIT_ERR_TLS_BAD_CIPHERS);
    assert_int_equal(quoit_tls_set_ciphers(tls, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
}

static void tls_set_groups(void) {
    struct quoit_tls *tls = new_tls();
    refuses(quoit_tls_set_groups, "X25519", QUOIT_ERR_TLS_BAD_GROUPS);
    assert_int_equal(quoit_tls_set_groups(tls, "P-255", 5), QUOIT_ERR_TLS_BAD_GROUPS);
    assert_int_equal(quoit_tls_set_groups(tls, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
}

static int32_t set_sni_name(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, text, len);
}

static void tls_set_sni(void) {
    struct quoit_tls *tls = new_tls();
    refuses(set_sni_name, "a.example", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_sni_name(tls, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_sni_name(tls, "192.0.2.1", 9), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(set_sni_name(tls, "a\0b", 3), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sni(tls, QUOIT_TLS_SNI_HOST, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sni(tls, QUOIT_TLS_SNI_OFF, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sni(tls, 3, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sni(tls, UINT32_MAX, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_sni(tls, QUOIT_TLS_SNI_OFF, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
}

static void tls_set_verify_name(void) {
    struct quoit_tls *tls = new_tls();
    refuses(quoit_tls_set_verify_name, "192.0.2.1", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_verify_name(tls, "*.example", 9), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_verify_name(tls, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
}

static void tls_add_pin(void) {
    static const char k_pin[33] = "0123456789abcdef0123456789abcdef";
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_add_pin(NULL, k_pin, 32), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_pin(tls, NULL, 32), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_pin(tls, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_pin(tls, k_pin, 31), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_pin(tls, k_pin, 33), QUOIT_ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(quoit_tls_add_pin(tls, k_pin, 32), QUOIT_OK);
    }
    assert_int_equal(quoit_tls_add_pin(tls, k_pin, 32), QUOIT_ERR_INVALID_ARGUMENT); // too many
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_add_pin(tls, k_pin, 32), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static int32_t add_crls_memory(struct quoit_tls *tls, const char *text, size_t len) {
    return quoit_tls_add_crls(tls, QUOIT_TLS_MEMORY, text, len);
}

static void tls_add_crls(void) {
    struct quoit_tls *tls = new_tls();
    refuses(add_crls_memory, "a", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_SYSTEM, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_FOLDER, "/a", 2), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_add_crls(tls, QUOIT_TLS_FILE, NULL, 0), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_tls_release(tls);
}

// Every bit but those that the header has: what does not work from end to end yet cannot be turned on by its number.
static void tls_set_switch(void) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_switch(NULL, QUOIT_TLS_GREASE, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_switch(tls, 0, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_switch(tls, UINT32_MAX, 1), QUOIT_ERR_INVALID_ARGUMENT);
    const uint32_t known = QUOIT_TLS_TICKETS | QUOIT_TLS_EARLY_DATA | QUOIT_TLS_GREASE |
                           QUOIT_TLS_STAPLE | QUOIT_TLS_COMPRESSION |
                           QUOIT_TLS_KEY_LOG_EVENTS;
    for (uint32_t bit = 0; bit < 32; bit++) {
        bool is_known = (UINT32_C(1) << bit & known) != 0;
        assert_int_equal(quoit_tls_set_switch(tls, UINT32_C(1) << bit, 1), is_known ? QUOIT_OK : QUOIT_ERR_INVALID_ARGUMENT);
    }
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_GREASE, 1), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_set_alpn(void) {
    static const char *const k_bad[] = {",", "a,", ",a", "a,,b", "a,a", "h2", "http/1.1,h2", "h3-29", "spdy/3", "http/2.0",
                                        "a234567890123456789012345678901x"};
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_tls_set_alpn(NULL, "a", 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_alpn(tls, NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_equal(quoit_tls_set_alpn(tls, k_bad[i], strlen(k_bad[i])), QUOIT_ERR_TLS_BAD_PROTOCOLS);
    }
    assert_int_equal(quoit_tls_set_alpn(tls, "http/1.1,x-amzn-http-ca", 23), QUOIT_OK);
    assert_int_equal(quoit_tls_set_alpn(tls, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_tls_set_alpn(tls, "a", 1), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
}

static void tls_set_key_log(void) {
    struct quoit_tls *tls = new_tls();
    refuses(quoit_tls_set_key_log, "/a", QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_key_log(tls, "/a\0b", 4), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_set_key_log(tls, NULL, 0), QUOIT_OK);
    quoit_tls_release(tls);
}

static void tls_freeze(void) {
    struct quoit_failure failure = {0};
    assert_int_equal(quoit_tls_freeze(NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_tls_freeze(NULL, &failure), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(failure.code, QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_tls *tls = frozen_tls();
    assert_int_equal(quoit_tls_freeze(tls, &failure), QUOIT_OK); // does nothing
    assert_int_equal(failure.code, QUOIT_OK);
    quoit_tls_release(tls);
}

static void tls_detail(void) { assert_string_equal(quoit_tls_detail(NULL), ""); }

static void tls_acquire(void) { assert_null(quoit_tls_acquire(NULL)); }

static void tls_release(void) { quoit_tls_release(NULL); }

static void request_set_tls_report(void) {
    struct quoit_request *request = host_request("GET", MISUSE_URL);
    assert_int_equal(quoit_request_set_tls_report(NULL, 1), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_tls_report(request, 1), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls_report(request, 0), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
}

static void engine_tls_detail(void) {
    assert_string_equal(quoit_engine_tls_detail((struct quoit_engine){0}), "");
    assert_string_equal(quoit_engine_tls_detail((struct quoit_engine){UINT64_MAX}), "");
}

static void engine_invalidate_tls(void) {
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_engine_invalidate_tls((struct quoit_engine){0}, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_engine_invalidate_tls((struct quoit_engine){0}, tls), QUOIT_ERR_NOT_FROZEN);
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_engine_invalidate_tls((struct quoit_engine){UINT64_MAX}, tls), QUOIT_ERR_STALE_HANDLE);
    quoit_tls_release(tls);
}

static void request_set_tls(void) {
    struct quoit_request *request = host_request("GET", MISUSE_URL);
    struct quoit_tls *tls = new_tls();
    assert_int_equal(quoit_request_set_tls(NULL, tls), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_tls(NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_ERR_NOT_FROZEN);
    assert_int_equal(quoit_request_set_tls(request, NULL), QUOIT_OK); // there was none
    quoit_tls_release(tls);
    tls = frozen_tls();
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_ERR_FROZEN);
    assert_int_equal(quoit_request_set_tls(request, NULL), QUOIT_ERR_FROZEN);
    quoit_tls_release(tls);
    quoit_request_release(request);
}

const struct misuse k_misuse_tls[] = {
    {"quoit_tls_new", tls_new},
    {"quoit_tls_set_roots", tls_set_roots},
    {"quoit_tls_add_roots", tls_add_roots},
    {"quoit_tls_set_environment", tls_set_environment},
    {"quoit_tls_set_verify", tls_set_verify},
    {"quoit_tls_point_new", point_new},
    {"quoit_tls_point_acquire", point_acquire},
    {"quoit_tls_point_release", point_release},
    {"quoit_tls_set_verify_question", tls_set_verify_question},
    {"quoit_tls_set_sign_question", tls_set_sign_question},
    {"quoit_tls_set_identity", tls_set_identity},
    {"quoit_tls_set_versions", tls_set_versions},
    {"quoit_tls_set_ciphers", tls_set_ciphers},
    {"quoit_tls_set_groups", tls_set_groups},
    {"quoit_tls_set_sni", tls_set_sni},
    {"quoit_tls_set_verify_name", tls_set_verify_name},
    {"quoit_tls_add_pin", tls_add_pin},
    {"quoit_tls_add_crls", tls_add_crls},
    {"quoit_tls_set_switch", tls_set_switch},
    {"quoit_tls_set_key_log", tls_set_key_log},
    {"quoit_tls_freeze", tls_freeze},
    {"quoit_tls_detail", tls_detail},
    {"quoit_tls_acquire", tls_acquire},
    {"quoit_tls_release", tls_release},
    {"quoit_request_set_tls", request_set_tls},
    {"quoit_tls_set_alpn", tls_set_alpn},
    {"quoit_request_set_tls_report", request_set_tls_report},
    {"quoit_engine_tls_detail", engine_tls_detail},
    {"quoit_engine_invalidate_tls", engine_invalidate_tls},
};

const size_t k_misuse_tls_len = sizeof k_misuse_tls / sizeof k_misuse_tls[0];

// From a builder to a config: read, parse, digest. See config.h.
#include "engine/tls/config_internal.h"

#include "engine/base/epoch.h"
#include "engine/tls/files.h"
#include "engine/tls/identity.h"
#include "engine/tls/roots_internal.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <stdio.h>

static struct q_error fail(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

// --- sources -------------------------------------------------------------------------------------------------------

// Bytes of a source: borrowed from the builder, or a file's.
struct bytes {
    struct q_slice slice;
    struct q_file file;
};

static void tell_file(struct q_tls_builder *builder, const struct q_tls_source *source, struct q_error error) {
    if (source->is_file) {
        const char *why = error.os_errno != 0 ? q_errno_name(error.os_errno) : q_error_sentence(error.code);
        (void)snprintf(builder->detail, sizeof builder->detail, "%s (%s)", source->value.ptr, why);
    }
}

static struct q_error get_bytes(struct q_tls_builder *builder, const struct q_tls_source *source, struct bytes *out) {
    *out = (struct bytes){.slice = source->value, .file = {.alloc = builder->alloc}};
    if (!source->is_file) {
        return Q_OK;
    }
    struct q_error error = q_file_read(&out->file, builder->alloc, AT_FDCWD, source->value.ptr);
    out->slice = q_file_slice(&out->file);
    if (q_error_is(error)) {
        tell_file(builder, source, error);
    }
    return error;
}

static void drop_bytes(struct bytes *bytes) { q_file_deinit(&bytes->file); }

// --- parts ---------------------------------------------------------------------------------------------------------

static struct q_error read_roots(struct q_tls_builder *builder, struct q_tls_config *config) {
    struct q_roots_told told;
    struct q_roots_search search = {
        .prefix = builder->probe_prefix.ptr,
        .cert_file = builder->cert_file,
        .cert_folder = builder->cert_folder,
    };
    if (builder->policy.verify != Q_TLS_VERIFY_FULL) {
        return Q_OK; // nobody would ask
    }
    struct q_error error = q_roots_load(&config->roots, builder->alloc, builder->roots, builder->num_roots, &search, &told);
    config->roots_facts = (struct q_tls_roots_facts){told.num_certificates, told.num_skipped};
    if (q_error_is(error)) {
        (void)snprintf(builder->detail, sizeof builder->detail, "%s", told.places);
    }
    return error;
}

static struct q_error parse_key(struct q_tls_builder *builder, struct q_tls_config *config, struct q_slice bytes,
                                const struct q_tls_source *source) {
    struct q_error error = q_identity_read_key(bytes, builder->passphrase, &config->key);
    if (!q_error_is(error)) {
        error = q_identity_check_key(config->chain, config->key);
    }
    if (q_error_is(error)) {
        tell_file(builder, source, error);
    }
    return error;
}

// read_key reads the key from a source of its own, or out of `chain`, the bytes of the certificates.
static struct q_error read_key(struct q_tls_builder *builder, struct q_tls_config *config, struct q_slice chain) {
    struct bytes bytes;
    if (builder->key.value.len == 0) {
        return parse_key(builder, config, chain, &builder->chain);
    }
    struct q_error error = get_bytes(builder, &builder->key, &bytes);
    if (!q_error_is(error)) {
        error = parse_key(builder, config, bytes.slice, &builder->key);
    }
    drop_bytes(&bytes);
    return error;
}

static struct q_error read_identity(struct q_tls_builder *builder, struct q_tls_config *config) {
    struct bytes bytes;
    if (builder->chain.value.len == 0) {
        return Q_OK;
    }
    struct q_error error = get_bytes(builder, &builder->chain, &bytes);
    if (q_error_is(error)) {
        return error;
    }
    error = q_identity_read_chain(bytes.slice, &config->chain);
    if (q_error_is(error)) {
        tell_file(builder, &builder->chain, error);
    } else if (builder->policy.key_point.serial == 0) {
        error = read_key(builder, config, bytes.slice);
    }
    drop_bytes(&bytes);
    return error;
}

static struct q_error read_crls(struct q_tls_builder *builder, struct q_tls_config *config) {
    struct q_error error = Q_OK;
    if (builder->num_crls == 0) {
        return Q_OK;
    }
    config->crls = sk_X509_CRL_new_null();
    if (config->crls == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    for (size_t i = 0; i < builder->num_crls && !q_error_is(error); i++) {
        struct bytes bytes;
        error = get_bytes(builder, &builder->crls[i], &bytes);
        if (!q_error_is(error)) {
            error = q_identity_read_crls(bytes.slice, config->crls);
            if (q_error_is(error)) {
                tell_file(builder, &builder->crls[i], error);
            }
        }
        drop_bytes(&bytes);
    }
    return error;
}

static struct q_error open_key_log(struct q_tls_builder *builder, struct q_tls_config *config) {
    struct q_slice path = builder->policy.key_log_path;
    if (path.len == 0) {
        return Q_OK;
    }
    struct q_error error = q_key_log_new(&config->key_log, path);
    if (q_error_is(error)) {
        tell_file(builder, &(struct q_tls_source){.is_file = true, .value = path}, error);
    }
    return error;
}

// --- policy --------------------------------------------------------------------------------------------------------

// copy_policy copies the policy with all that it points to into one piece of memory, each text with a NUL behind it.
static struct q_error copy_policy(struct q_tls_builder *builder, struct q_tls_config *config) {
    struct q_tls_policy *policy = &config->policy;
    *policy = builder->policy;
    policy->verify_point = policy->key_point = (struct q_tls_point){0}; // held when nothing can fail any more
    policy->num_pins = q_tls_policy_sort(builder->pins, builder->policy.num_pins);
    builder->policy.num_pins = policy->num_pins;
    size_t pins_size = policy->num_pins * Q_CRYPTO_DIGEST_LEN;
    struct q_slice *const texts[] = {&policy->sni_name, &policy->verify_name, &policy->ciphers,
                                     &policy->groups,   &policy->alpn,        &policy->key_log_path};
    config->text_size = pins_size;
    for (size_t i = 0; i < Q_COUNT_OF(texts); i++) {
        config->text_size += texts[i]->len + 1;
    }
    config->text = q_alloc_new(config->alloc, config->text_size);
    if (config->text == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    policy->pins = (const uint8_t(*)[Q_CRYPTO_DIGEST_LEN])(const void *)config->text;
    memcpy(config->text, builder->pins, pins_size);
    char *at = config->text + pins_size;
    for (size_t i = 0; i < Q_COUNT_OF(texts); i++) {
        if (texts[i]->len > 0) {
            memcpy(at, texts[i]->ptr, texts[i]->len);
        }
        texts[i]->ptr = at;
        at += texts[i]->len + 1;
    }
    return Q_OK;
}

// digest makes the config's digest.
static struct q_error digest(struct q_tls_config *config) {
    uint8_t chain[Q_IDENTITY_CHAIN_MAX][Q_CRYPTO_DIGEST_LEN];
    uint8_t crls[Q_IDENTITY_CRLS_MAX][Q_CRYPTO_DIGEST_LEN];
    struct q_tls_material material = {
        .roots = config->roots == NULL ? NULL : q_roots_digest(config->roots),
        .chain = (const uint8_t(*)[Q_CRYPTO_DIGEST_LEN])chain,
        .chain_len = config->chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(config->chain),
        .crls = (const uint8_t(*)[Q_CRYPTO_DIGEST_LEN])crls,
        .crls_len = config->crls == NULL ? 0 : sk_X509_CRL_num(config->crls),
    };
    for (size_t i = 0; i < material.chain_len; i++) {
        const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(config->chain, i);
        q_crypto_sha256(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der), chain[i]);
    }
    for (size_t i = 0; i < material.crls_len; i++) {
        uint8_t *der = NULL;
        int len = i2d_X509_CRL(sk_X509_CRL_value(config->crls, i), &der);
        if (len <= 0) {
            ERR_clear_error();
            return fail(Q_ERR_NO_MEMORY);
        }
        q_crypto_sha256(der, (size_t)len, crls[i]);
        OPENSSL_free(der);
    }
    material.crls_len = q_tls_policy_sort(crls, material.crls_len);
    q_tls_policy_digest(&config->policy, &material, config->digest);
    q_tls_policy_identify(&config->policy, &material, config->identity);
    return Q_OK;
}

// --- freeze --------------------------------------------------------------------------------------------------------

static bool is_consistent(const struct q_tls_policy *policy) {
    bool has_early_data = (policy->switches & Q_TLS_EARLY_DATA) != 0;
    return !has_early_data || ((policy->switches & Q_TLS_TICKETS) != 0 && policy->max_version >= Q_TLS_1_3);
}

static struct q_error fill(struct q_tls_builder *builder, struct q_tls_config *config) {
    static struct q_error (*const k_steps[])(struct q_tls_builder *, struct q_tls_config *) = {
        read_roots, read_identity, read_crls, open_key_log, copy_policy,
    };
    struct q_error error = Q_OK;
    for (size_t i = 0; i < Q_COUNT_OF(k_steps) && !q_error_is(error); i++) {
        error = k_steps[i](builder, config);
    }
    if (q_error_is(error)) {
        return error;
    }
    config->policy.verify_point = builder->policy.verify_point;
    config->policy.key_point = builder->policy.key_point;
    q_tls_point_hold(&config->policy.verify_point);
    q_tls_point_hold(&config->policy.key_point);
    return digest(config);
}

struct q_error q_tls_builder_freeze(struct q_tls_builder *builder, struct q_tls_config **out) {
    *out = NULL;
    if (builder->is_frozen) {
        return fail(Q_ERR_FROZEN);
    }
    builder->detail[0] = 0;
    if (!is_consistent(&builder->policy)) {
        return fail(Q_ERR_INVALID_ARGUMENT);
    }
    struct q_tls_config *config = q_alloc_new(builder->alloc, sizeof *config);
    if (config == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    config->alloc = builder->alloc;
    config->epoch = q_epoch_begin();
    atomic_init(&config->holders, 1);
    struct q_error error = fill(builder, config);
    if (q_error_is(error)) {
        q_tls_config_release(config);
        return error;
    }
    q_tls_builder_empty(builder);
    builder->is_frozen = true;
    *out = config;
    return Q_OK;
}

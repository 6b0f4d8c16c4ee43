#include "engine/tls/config_internal.h"

#include "engine/base/epoch.h"
#include "engine/net/address.h"
#include "engine/tls/files.h"
#include "engine/tls/identity.h"
#include "engine/tls/roots_internal.h"
#include "engine/tls/tls_internal.h"

#include <openssl/err.h>

// --- memory --------------------------------------------------------------------------------------------------------

static struct q_error refuse(void) { return q_error_make(Q_ERR_INVALID_ARGUMENT, Q_PHASE_CREATE); }

static struct q_error no_memory(void) { return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE); }

// drop wipes and frees a copy: it may be a secret, and nobody needs to know.
static void drop(struct q_tls_builder *builder, struct q_slice *copy) {
    if (copy->ptr != NULL) {
        char *bytes = (char *)(uintptr_t)copy->ptr;
        q_wipe(bytes, copy->len);
        q_alloc_free(builder->alloc, bytes, copy->len + 1);
    }
    *copy = (struct q_slice){0};
}

// replace puts a copy of `value` where another was.
static struct q_error replace(struct q_tls_builder *builder, struct q_slice *copy, struct q_slice value) {
    char *bytes = value.len == 0 ? NULL : q_alloc_copy(builder->alloc, value.ptr, value.len);
    if (bytes == NULL && value.len > 0) {
        return no_memory();
    }
    drop(builder, copy);
    *copy = q_slice_make(bytes, value.len);
    return Q_OK;
}

// copy_all copies all values, or none.
static bool copy_all(struct q_tls_builder *builder, struct q_slice *copies, const struct q_slice *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        copies[i] = (struct q_slice){0};
        struct q_error error = replace(builder, &copies[i], values[i]);
        if (q_error_is(error)) {
            while (i > 0) {
                drop(builder, &copies[--i]);
            }
            return false;
        }
    }
    return true;
}

// take puts a copy that was made already where another was.
static void take(struct q_tls_builder *builder, struct q_slice *at, struct q_slice copy) {
    drop(builder, at);
    *at = copy;
}

static void set_defaults(struct q_tls_builder *builder) {
    builder->policy = (struct q_tls_policy){
        .switches = Q_TLS_TICKETS,
        .min_version = Q_TLS_1_2,
        .max_version = Q_TLS_1_3,
    };
    builder->roots[0] = (struct q_roots_source){.kind = Q_ROOTS_SYSTEM};
    builder->num_roots = 1;
    builder->num_crls = 0;
}

struct q_error q_tls_builder_new(struct q_tls_builder **out, const struct q_alloc *alloc) {
    struct q_tls_builder *builder = q_alloc_new(alloc, sizeof *builder);
    *out = builder;
    if (builder == NULL) {
        return no_memory();
    }
    q_crypto_init();
    builder->alloc = alloc;
    set_defaults(builder);
    return Q_OK;
}

void q_tls_builder_empty(struct q_tls_builder *builder) {
    struct q_slice *const owned[] = {
        &builder->policy.sni_name,    &builder->policy.verify_name, &builder->policy.ciphers,
        &builder->policy.groups,      &builder->policy.alpn,        &builder->policy.key_log_path,
        &builder->cert_file,          &builder->cert_folder,        &builder->probe_prefix,
        &builder->chain.value,        &builder->key.value,          &builder->passphrase,
    };
    for (size_t i = 0; i < Q_COUNT_OF(owned); i++) {
        drop(builder, owned[i]);
    }
    for (size_t i = 0; i < builder->num_roots; i++) {
        drop(builder, &builder->roots[i].value);
    }
    for (size_t i = 0; i < builder->num_crls; i++) {
        drop(builder, &builder->crls[i].value);
    }
    q_tls_point_drop(&builder->policy.verify_point);
    q_tls_point_drop(&builder->policy.key_point);
    set_defaults(builder);
}

void q_tls_builder_destroy(struct q_tls_builder *builder) {
    if (builder != NULL) {
        q_tls_builder_empty(builder);
        q_alloc_free(builder->alloc, builder, sizeof *builder);
    }
}

const char *q_tls_builder_detail(const struct q_tls_builder *builder) { return builder->detail; }

// --- checks --------------------------------------------------------------------------------------------------------

static struct q_error frozen(void) { return q_error_make(Q_ERR_FROZEN, Q_PHASE_CREATE); }

static bool has_nul(struct q_slice text) { return text.len > 0 && memchr(text.ptr, 0, text.len) != NULL; }

static bool is_path(struct q_slice text) { return text.len > 0 && text.len < Q_FILES_PATH_MAX && !has_nul(text); }

static bool is_source(struct q_slice value, bool is_path_wanted) {
    return is_path_wanted ? is_path(value) : value.len > 0 && value.len <= Q_TLS_MEMORY_MAX;
}

static bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// is_host_name takes labels of letters, digits, hyphens and underscores (which are in use), none empty or over 63, and no
// address: an address is never sent as a name.
static bool is_host_name(struct q_slice name) {
    struct q_address address;
    size_t label = 0;
    if (name.len == 0 || name.len > Q_TLS_NAME_MAX || q_address_parse(name, 0, &address)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '.' ? label == 0 : !is_letter_or_digit(c) && c != '-' && c != '_') {
            return false;
        }
        label = c == '.' ? 0 : label + 1;
        if (label > 63) {
            return false;
        }
    }
    return label > 0;
}

// replace_name puts a name in lower case where another was, so that one name has one digest.
static struct q_error replace_name(struct q_tls_builder *builder, struct q_slice *copy, struct q_slice name) {
    char lower[Q_TLS_NAME_MAX];
    for (size_t i = 0; i < name.len; i++) {
        lower[i] = q_ascii_lower(name.ptr[i]);
    }
    return replace(builder, copy, q_slice_make(lower, name.len));
}

// --- trust ---------------------------------------------------------------------------------------------------------

static bool is_roots_source(enum q_roots_kind kind, struct q_slice value) {
    switch (kind) {
    case Q_ROOTS_SYSTEM: return value.len == 0;
    case Q_ROOTS_FILE:
    case Q_ROOTS_FOLDER: return is_source(value, true);
    case Q_ROOTS_MEMORY: return is_source(value, false);
    }
    return false;
}

static struct q_error put_roots(struct q_tls_builder *builder, size_t at, enum q_roots_kind kind, struct q_slice value) {
    struct q_error error = replace(builder, &builder->roots[at].value, value);
    if (!q_error_is(error)) {
        builder->roots[at].kind = kind;
    }
    return error;
}

struct q_error q_tls_builder_set_roots(struct q_tls_builder *builder, enum q_roots_kind kind, struct q_slice value) {
    if (builder->is_frozen || !is_roots_source(kind, value)) {
        return builder->is_frozen ? frozen() : refuse();
    }
    return put_roots(builder, 0, kind, value);
}

struct q_error q_tls_builder_add_roots(struct q_tls_builder *builder, enum q_roots_kind kind, struct q_slice value) {
    if (builder->is_frozen || !is_roots_source(kind, value) || builder->num_roots == Q_ROOTS_SOURCES_MAX) {
        return builder->is_frozen ? frozen() : refuse();
    }
    struct q_error error = put_roots(builder, builder->num_roots, kind, value);
    builder->num_roots += !q_error_is(error);
    return error;
}

struct q_error q_tls_builder_set_environment(struct q_tls_builder *builder, const char *const *environment) {
    struct q_roots_search search = {0};
    if (builder->is_frozen) {
        return frozen();
    }
    q_roots_search_environment(&search, environment);
    struct q_slice copies[2];
    if (!copy_all(builder, copies, (const struct q_slice[]){search.cert_file, search.cert_folder}, 2)) {
        return no_memory();
    }
    take(builder, &builder->cert_file, copies[0]);
    take(builder, &builder->cert_folder, copies[1]);
    return Q_OK;
}

struct q_error q_tls_builder_set_probe_prefix(struct q_tls_builder *builder, struct q_slice prefix) {
    if (builder->is_frozen || (prefix.len > 0 && !is_path(prefix))) {
        return builder->is_frozen ? frozen() : refuse();
    }
    return replace(builder, &builder->probe_prefix, prefix);
}

struct q_error q_tls_builder_set_verify(struct q_tls_builder *builder, uint32_t verify) {
    bool is_known = verify == Q_TLS_VERIFY_FULL || verify == Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING;
    if (builder->is_frozen || !is_known) {
        return builder->is_frozen ? frozen() : refuse();
    }
    builder->policy.verify = verify;
    return Q_OK;
}

// put_point puts a point where another was. Held before the other is dropped: they may be one.
static void put_point(struct q_tls_point *at, const struct q_tls_point *point) {
    struct q_tls_point before = *at;
    q_tls_point_hold(point);
    *at = point->serial == 0 ? (struct q_tls_point){0} : *point;
    q_tls_point_drop(&before);
}

struct q_error q_tls_builder_set_verify_point(struct q_tls_builder *builder, const struct q_tls_point *point,
                                              enum q_tls_asks_verify asks) {
    bool is_known = asks == Q_TLS_ASKS_NEVER || asks == Q_TLS_ASKS_IF_GOOD || asks == Q_TLS_ASKS_ALWAYS;
    if (builder->is_frozen || !is_known || (asks == Q_TLS_ASKS_NEVER) != (point->serial == 0)) {
        return builder->is_frozen ? frozen() : refuse();
    }
    put_point(&builder->policy.verify_point, point);
    builder->policy.asks_verify = asks;
    return Q_OK;
}

struct q_error q_tls_builder_add_pin(struct q_tls_builder *builder, const uint8_t pin[Q_CRYPTO_DIGEST_LEN]) {
    if (builder->is_frozen || builder->policy.num_pins == Q_TLS_PINS_MAX) {
        return builder->is_frozen ? frozen() : refuse();
    }
    memcpy(builder->pins[builder->policy.num_pins++], pin, Q_CRYPTO_DIGEST_LEN);
    return Q_OK;
}

struct q_error q_tls_builder_add_crls(struct q_tls_builder *builder, struct q_tls_source source) {
    if (builder->is_frozen || !is_source(source.value, source.is_file) || builder->num_crls == Q_TLS_CRL_SOURCES_MAX) {
        return builder->is_frozen ? frozen() : refuse();
    }
    struct q_tls_source *place = &builder->crls[builder->num_crls];
    *place = (struct q_tls_source){.is_file = source.is_file};
    struct q_error error = replace(builder, &place->value, source.value);
    builder->num_crls += !q_error_is(error);
    return error;
}

// --- identity ------------------------------------------------------------------------------------------------------

struct q_error q_tls_builder_set_identity(struct q_tls_builder *builder, struct q_tls_source chain,
                                          struct q_tls_source key, struct q_slice passphrase) {
    bool is_clear = chain.value.len == 0 && key.value.len == 0 && passphrase.len == 0;
    if (builder->is_frozen || passphrase.len > Q_IDENTITY_PASSPHRASE_MAX ||
        !(is_clear || is_source(chain.value, chain.is_file)) ||
        !(key.value.len == 0 || is_source(key.value, key.is_file))) {
        return builder->is_frozen ? frozen() : refuse();
    }
    struct q_slice copies[3];
    if (!copy_all(builder, copies, (const struct q_slice[]){chain.value, key.value, passphrase}, 3)) {
        return no_memory();
    }
    builder->chain.is_file = chain.is_file;
    builder->key.is_file = key.is_file;
    take(builder, &builder->chain.value, copies[0]);
    take(builder, &builder->key.value, copies[1]);
    take(builder, &builder->passphrase, copies[2]);
    put_point(&builder->policy.key_point, &(struct q_tls_point){0});
    return Q_OK;
}

struct q_error q_tls_builder_set_identity_point(struct q_tls_builder *builder, struct q_tls_source chain,
                                                const struct q_tls_point *point) {
    if (builder->is_frozen || point->serial == 0 || !is_source(chain.value, chain.is_file)) {
        return builder->is_frozen ? frozen() : refuse();
    }
    struct q_error error = replace(builder, &builder->chain.value, chain.value);
    if (q_error_is(error)) {
        return error;
    }
    builder->chain.is_file = chain.is_file;
    drop(builder, &builder->key.value);
    drop(builder, &builder->passphrase);
    put_point(&builder->policy.key_point, point);
    return Q_OK;
}

// --- protocol ------------------------------------------------------------------------------------------------------

struct q_error q_tls_builder_set_versions(struct q_tls_builder *builder, unsigned min, unsigned max) {
    if (builder->is_frozen || min < Q_TLS_1_2 || max > Q_TLS_1_3 || min > max) {
        return builder->is_frozen ? frozen() : refuse();
    }
    builder->policy.min_version = (uint16_t)min;
    builder->policy.max_version = (uint16_t)max;
    return Q_OK;
}

static bool all_encrypt(const SSL_CTX *context) {
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);
    for (size_t i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        if (SSL_CIPHER_get_bits(sk_SSL_CIPHER_value(ciphers, i), NULL) == 0) {
            return false;
        }
    }
    return sk_SSL_CIPHER_num(ciphers) > 0;
}

static bool takes_ciphers(SSL_CTX *context, const char *list) {
    return SSL_CTX_set_strict_cipher_list(context, list) == 1 && all_encrypt(context);
}

static bool takes_groups(SSL_CTX *context, const char *list) { return SSL_CTX_set1_curves_list(context, list) == 1; }

// replace_list takes a list that the library takes, which is asked with a context of no further use.
static struct q_error replace_list(struct q_tls_builder *builder, struct q_slice *copy, struct q_slice list,
                                   bool (*takes)(SSL_CTX *context, const char *list), enum q_error_code code) {
    if (list.len > Q_TLS_LIST_MAX || has_nul(list)) {
        return q_error_make(code, Q_PHASE_CREATE);
    }
    struct q_slice fresh = {0};
    struct q_error error = replace(builder, &fresh, list);
    if (q_error_is(error)) {
        return error;
    }
    if (list.len > 0) {
        ERR_clear_error();
        SSL_CTX *context = SSL_CTX_new(TLS_method());
        bool is_taken = context != NULL && takes(context, fresh.ptr);
        error = is_taken ? Q_OK : context == NULL ? no_memory() : q_error_make(code, Q_PHASE_CREATE);
        SSL_CTX_free(context);
        ERR_clear_error();
    }
    drop(builder, q_error_is(error) ? &fresh : copy);
    if (!q_error_is(error)) {
        *copy = fresh;
    }
    return error;
}

struct q_error q_tls_builder_set_ciphers(struct q_tls_builder *builder, struct q_slice ciphers) {
    return builder->is_frozen
               ? frozen()
               : replace_list(builder, &builder->policy.ciphers, ciphers, takes_ciphers, Q_ERR_TLS_BAD_CIPHERS);
}

struct q_error q_tls_builder_set_groups(struct q_tls_builder *builder, struct q_slice groups) {
    return builder->is_frozen ? frozen()
                              : replace_list(builder, &builder->policy.groups, groups, takes_groups, Q_ERR_TLS_BAD_GROUPS);
}

struct q_error q_tls_builder_set_alpn(struct q_tls_builder *builder, const struct q_slice *protocols,
                                      size_t protocols_len) {
    char wire[Q_TLS_ALPN_MAX * 256];
    size_t len = 0;
    if (builder->is_frozen || protocols_len > Q_TLS_ALPN_MAX) {
        return builder->is_frozen ? frozen() : refuse();
    }
    for (size_t i = 0; i < protocols_len; i++) {
        bool is_good = protocols[i].len >= 1 && protocols[i].len <= 255;
        for (size_t before = 0; before < i && is_good; before++) {
            is_good = !q_slice_equal(protocols[before], protocols[i]);
        }
        if (!is_good) {
            return refuse();
        }
        wire[len++] = (char)protocols[i].len;
        memcpy(wire + len, protocols[i].ptr, protocols[i].len);
        len += protocols[i].len;
    }
    return replace(builder, &builder->policy.alpn, q_slice_make(wire, len));
}

struct q_error q_tls_builder_set_sni(struct q_tls_builder *builder, enum q_tls_sni sni, struct q_slice name) {
    bool is_good = sni == Q_TLS_SNI_NAME ? is_host_name(name)
                                         : (sni == Q_TLS_SNI_HOST || sni == Q_TLS_SNI_OFF) && name.len == 0;
    if (builder->is_frozen || !is_good) {
        return builder->is_frozen ? frozen() : refuse();
    }
    struct q_error error = replace_name(builder, &builder->policy.sni_name, name);
    if (!q_error_is(error)) {
        builder->policy.sni = sni;
    }
    return error;
}

struct q_error q_tls_builder_set_verify_name(struct q_tls_builder *builder, struct q_slice name) {
    struct q_address address;
    if (builder->is_frozen || !(name.len == 0 || is_host_name(name) || q_address_parse(name, 0, &address))) {
        return builder->is_frozen ? frozen() : refuse();
    }
    return replace_name(builder, &builder->policy.verify_name, name);
}

struct q_error q_tls_builder_set_switch(struct q_tls_builder *builder, enum q_tls_switch which, bool is_on) {
    bool is_one = which != 0 && (which & (which - 1)) == 0 && (which & ~(unsigned)Q_TLS_SWITCHES) == 0;
    if (builder->is_frozen || !is_one) {
        return builder->is_frozen ? frozen() : refuse();
    }
    builder->policy.switches = is_on ? builder->policy.switches | which : builder->policy.switches & ~(uint32_t)which;
    return Q_OK;
}

struct q_error q_tls_builder_set_key_log(struct q_tls_builder *builder, struct q_slice path) {
    if (builder->is_frozen || (path.len > 0 && !is_path(path))) {
        return builder->is_frozen ? frozen() : refuse();
    }
    return replace(builder, &builder->policy.key_log_path, path);
}

// --- the frozen config ---------------------------------------------------------------------------------------------

struct q_tls_config *q_tls_config_acquire(struct q_tls_config *config) {
    // Who holds one has it above 0; a count that wraps would free under its holders.
    uint32_t before = atomic_fetch_add_explicit(&config->holders, 1, memory_order_relaxed);
    Q_CHECK(before != 0 && before != UINT32_MAX);
    return config;
}

void q_tls_config_release(struct q_tls_config *config) {
    if (config == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&config->holders, 1, memory_order_acq_rel);
    Q_CHECK(before != 0); // one release too many
    if (before != 1) {
        return;
    }
    q_tls_point_drop(&config->policy.verify_point);
    q_tls_point_drop(&config->policy.key_point);
    q_roots_release(config->roots);
    sk_CRYPTO_BUFFER_pop_free(config->chain, CRYPTO_BUFFER_free);
    EVP_PKEY_free(config->key);
    sk_X509_CRL_pop_free(config->crls, X509_CRL_free);
    q_key_log_release(config->key_log);
    if (config->text != NULL) {
        q_wipe(config->text, config->text_size);
        q_alloc_free(config->alloc, config->text, config->text_size);
    }
    const struct q_alloc *alloc = config->alloc;
    q_wipe(config, sizeof *config);
    q_alloc_free(alloc, config, sizeof *config);
}

bool q_tls_config_is_ours(const struct q_tls_config *config) { return config->epoch == q_epoch_now(); }

const uint8_t *q_tls_config_digest(const struct q_tls_config *config) { return config->digest; }

const uint8_t *q_tls_config_identity(const struct q_tls_config *config, bool *out_is_local) {
    *out_is_local = config->policy.verify_point.serial != 0 || config->policy.key_point.serial != 0;
    return config->identity;
}

const struct q_tls_policy *q_tls_config_policy(const struct q_tls_config *config) { return &config->policy; }

bool q_tls_config_has_pin(const struct q_tls_config *config, const uint8_t spki[Q_CRYPTO_DIGEST_LEN]) {
    for (size_t i = 0; i < config->policy.num_pins; i++) {
        if (q_crypto_equal(config->policy.pins[i], spki, Q_CRYPTO_DIGEST_LEN)) {
            return true;
        }
    }
    return false;
}

struct q_tls_roots_facts q_tls_config_roots_facts(const struct q_tls_config *config) { return config->roots_facts; }

X509_STORE *q_tls_config_store(const struct q_tls_config *config) {
    return config->roots == NULL ? NULL : q_roots_store(config->roots);
}

STACK_OF(X509_CRL) *q_tls_config_crls(const struct q_tls_config *config) { return config->crls; }

STACK_OF(CRYPTO_BUFFER) *q_tls_config_chain(const struct q_tls_config *config) { return config->chain; }

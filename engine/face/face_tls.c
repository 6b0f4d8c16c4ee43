#include "engine/core/options.h"
#include "engine/exchange/spec.h"
#include "engine/face/calls.h"
#include "engine/tls/config.h"
#include "engine/tls/hostpoint.h"
#include "engine/tls/settings.h"
#include "engine/tls/tls_stream.h"

// The public numbers are the engine's own.
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)

SAME(Q_ROOTS_SYSTEM, QUOIT_TLS_SYSTEM);
SAME(Q_ROOTS_FILE, QUOIT_TLS_FILE);
SAME(Q_ROOTS_FOLDER, QUOIT_TLS_FOLDER);
SAME(Q_ROOTS_MEMORY, QUOIT_TLS_MEMORY);
SAME(Q_TLS_VERIFY_FULL, QUOIT_TLS_VERIFY_FULL);
SAME(Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING);
SAME(Q_TLS_1_2, QUOIT_TLS_1_2);
SAME(Q_TLS_1_3, QUOIT_TLS_1_3);
SAME(Q_TLS_SNI_HOST, QUOIT_TLS_SNI_HOST);
SAME(Q_TLS_SNI_NAME, QUOIT_TLS_SNI_NAME);
SAME(Q_TLS_SNI_OFF, QUOIT_TLS_SNI_OFF);
SAME(Q_TLS_TICKETS, QUOIT_TLS_TICKETS);
SAME(Q_TLS_EARLY_DATA, QUOIT_TLS_EARLY_DATA);
SAME(Q_TLS_GREASE, QUOIT_TLS_GREASE);
SAME(Q_TLS_EARLY_NONE, QUOIT_TLS_EARLY_NONE);
SAME(Q_TLS_EARLY_ACCEPTED, QUOIT_TLS_EARLY_ACCEPTED);
SAME(Q_TLS_EARLY_REJECTED, QUOIT_TLS_EARLY_REJECTED);
SAME(Q_TLS_EARLY_SENT, QUOIT_TLS_EARLY_SENT);
SAME(Q_TLS_STAPLE, QUOIT_TLS_STAPLE);
SAME(Q_TLS_KEY_LOG_EVENTS, QUOIT_TLS_KEY_LOG_EVENTS);
SAME(Q_TLS_COMPRESSION, QUOIT_TLS_COMPRESSION);

// Of enum q_tls_switch, those that hosts may turn: what does not work from end to end is not theirs.
#define HOSTS_SWITCHES                                                                                                 \
    ((uint32_t)(QUOIT_TLS_TICKETS | QUOIT_TLS_EARLY_DATA | QUOIT_TLS_GREASE |                                          \
                QUOIT_TLS_STAPLE | QUOIT_TLS_KEY_LOG_EVENTS | QUOIT_TLS_COMPRESSION))

static const int32_t k_bad = Q_ERR_INVALID_ARGUMENT;

// The builder of what a host gave, and the bytes that it gave with it.
static int32_t begin(struct quoit_tls *tls, const void *data, size_t len, struct q_tls_builder **out_builder,
                     struct q_slice *out) {
    if (data == NULL && len > 0) {
        return k_bad;
    }
    *out = q_slice_make(data, len);
    return q_tls_settings_builder(tls, out_builder).code;
}

static bool is_single(uint32_t source) { return source == QUOIT_TLS_FILE || source == QUOIT_TLS_MEMORY; }

int32_t quoit_tls_new(struct quoit_tls **out) {
    return out == NULL ? k_bad : q_tls_settings_new(out, q_alloc_libc()).code;
}

int32_t quoit_tls_set_roots(struct quoit_tls *tls, uint32_t source, const void *data, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, data, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_roots(builder, (enum q_roots_kind)source, value).code;
}

int32_t quoit_tls_add_roots(struct quoit_tls *tls, uint32_t source, const void *data, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, data, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_add_roots(builder, (enum q_roots_kind)source, value).code;
}

int32_t quoit_tls_set_environment(struct quoit_tls *tls, const char *const *environment) {
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    return code != 0 ? code : q_tls_builder_set_environment(builder, environment).code;
}

int32_t quoit_tls_set_verify(struct quoit_tls *tls, uint32_t verify) {
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    return code != 0 ? code : q_tls_builder_set_verify(builder, verify).code;
}

// An identity of a host's, whole: what is given has a source, and bytes.
static bool is_identity(const struct quoit_tls_identity *given) {
    bool has_key = given->key_len > 0;
    return given->reserved == 0 && given->chain != NULL && given->chain_len > 0 && is_single(given->chain_source) &&
           (has_key ? given->key != NULL && is_single(given->key_source) : given->key == NULL) &&
           (given->passphrase_len == 0 || given->passphrase != NULL);
}

int32_t quoit_tls_set_identity(struct quoit_tls *tls, const struct quoit_tls_identity *identity) {
    struct quoit_tls_identity given = {0};
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    if (code == 0 && identity != NULL) {
        code = q_options_read_struct(&given, sizeof given, identity);
    }
    if (code != 0 || (identity != NULL && !is_identity(&given))) {
        return code != 0 ? code : k_bad;
    }
    const struct q_tls_source chain = {.is_file = given.chain_source == QUOIT_TLS_FILE,
                                       .value = q_slice_make(given.chain, given.chain_len)};
    const struct q_tls_source key = {.is_file = given.key_source == QUOIT_TLS_FILE,
                                     .value = q_slice_make(given.key, given.key_len)};
    return q_tls_builder_set_identity(builder, chain, key, q_slice_make(given.passphrase, given.passphrase_len)).code;
}

int32_t quoit_tls_point_new(void *context, quoit_tls_point_release_fn release, struct quoit_tls_point **out) {
    return out == NULL ? k_bad : q_hostpoint_new(out, q_alloc_libc(), context, release).code;
}

struct quoit_tls_point *quoit_tls_point_acquire(struct quoit_tls_point *point) {
    return q_hostpoint_acquire(point) ? point : NULL;
}

void quoit_tls_point_release(struct quoit_tls_point *point) {
    (void)q_hostpoint_release(point); // of nothing, or once too often: there is nobody to tell
}

int32_t quoit_tls_set_verify_question(struct quoit_tls *tls, uint32_t ask, struct quoit_tls_point *point) {
    static const struct q_tls_point k_none = {0};
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    if (code != 0) {
        return code;
    }
    bool is_hosts = q_hostpoint_is_hosts(point);
    if (ask == QUOIT_TLS_ASK_NEVER && point == NULL) {
        return q_tls_builder_set_verify_point(builder, &k_none, Q_TLS_ASKS_NEVER).code;
    }
    if (!is_hosts || (ask != QUOIT_TLS_ASK_BEFORE_TRUSTING && ask != QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS)) {
        return k_bad;
    }
    const struct q_tls_point given = q_hostpoint_point(point);
    enum q_tls_asks_verify asks = ask == QUOIT_TLS_ASK_BEFORE_TRUSTING ? Q_TLS_ASKS_IF_GOOD : Q_TLS_ASKS_ALWAYS;
    return q_tls_builder_set_verify_point(builder, &given, asks).code;
}

int32_t quoit_tls_set_sign_question(struct quoit_tls *tls, uint32_t source, const void *chain, size_t chain_len,
                                    struct quoit_tls_point *point) {
    struct q_tls_builder *builder;
    struct q_tls_source given = {.is_file = source == QUOIT_TLS_FILE};
    int32_t code = begin(tls, chain, chain_len, &builder, &given.value);
    if (code == 0 && (!is_single(source) || chain == NULL || !q_hostpoint_is_hosts(point))) {
        code = k_bad;
    }
    if (code != 0) {
        return code;
    }
    const struct q_tls_point signer = q_hostpoint_point(point);
    return q_tls_builder_set_identity_point(builder, given, &signer).code;
}

int32_t quoit_tls_set_versions(struct quoit_tls *tls, uint32_t min, uint32_t max) {
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    unsigned least = min == 0 ? Q_TLS_1_2 : min;
    unsigned most = max == 0 ? Q_TLS_1_3 : max;
    return code != 0 ? code : q_tls_builder_set_versions(builder, least, most).code;
}

int32_t quoit_tls_set_ciphers(struct quoit_tls *tls, const char *ciphers, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, ciphers, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_ciphers(builder, value).code;
}

int32_t quoit_tls_set_groups(struct quoit_tls *tls, const char *groups, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, groups, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_groups(builder, value).code;
}

// What is spoken here is HTTP/1.1, by whatever name; these are the names of something else.
static bool is_other_protocol(struct q_slice name) {
    static const char *const k_others[] = {"h2", "h3", "hq", "spdy/", "http/0.9", "http/2", "http/3"};
    for (size_t i = 0; i < Q_COUNT_OF(k_others); i++) {
        size_t len = strlen(k_others[i]);
        if (name.len >= len && memcmp(name.ptr, k_others[i], len) == 0) {
            return true;
        }
    }
    return false;
}

int32_t quoit_tls_set_alpn(struct quoit_tls *tls, const char *protocols, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice rest;
    struct q_slice names[Q_TLS_ALPN_MAX];
    size_t count = 0;
    int32_t code = begin(tls, protocols, len, &builder, &rest);
    while (code == 0 && len > 0) {
        const char *comma = rest.len == 0 ? NULL : memchr(rest.ptr, ',', rest.len);
        struct q_slice name = q_slice_make(rest.ptr, comma == NULL ? rest.len : (size_t)(comma - rest.ptr));
        if (name.len == 0 || name.len >= Q_CONN_ALPN_MAX || count == Q_TLS_ALPN_MAX || is_other_protocol(name)) {
            return Q_ERR_TLS_BAD_PROTOCOLS;
        }
        names[count++] = name;
        if (comma == NULL) {
            break;
        }
        rest = q_slice_from(rest, name.len + 1);
    }
    code = code != 0 ? code : q_tls_builder_set_alpn(builder, names, count).code;
    return code == Q_ERR_INVALID_ARGUMENT && count > 0 ? Q_ERR_TLS_BAD_PROTOCOLS : code; // one of them twice
}

int32_t quoit_tls_set_sni(struct quoit_tls *tls, uint32_t sni, const char *name, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, name, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_sni(builder, (enum q_tls_sni)sni, value).code;
}

int32_t quoit_tls_set_verify_name(struct quoit_tls *tls, const char *name, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, name, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_verify_name(builder, value).code;
}

int32_t quoit_tls_add_pin(struct quoit_tls *tls, const void *sha256, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, sha256, len, &builder, &value);
    if (code == 0 && len != Q_CRYPTO_DIGEST_LEN) {
        code = k_bad;
    }
    return code != 0 ? code : q_tls_builder_add_pin(builder, sha256).code;
}

int32_t quoit_tls_add_crls(struct quoit_tls *tls, uint32_t source, const void *data, size_t len) {
    struct q_tls_builder *builder;
    struct q_tls_source crls = {.is_file = source == QUOIT_TLS_FILE};
    int32_t code = begin(tls, data, len, &builder, &crls.value);
    if (code == 0 && !is_single(source)) {
        code = k_bad;
    }
    return code != 0 ? code : q_tls_builder_add_crls(builder, crls).code;
}

int32_t quoit_tls_set_switch(struct quoit_tls *tls, uint32_t which, int32_t on) {
    struct q_tls_builder *builder;
    int32_t code = q_tls_settings_builder(tls, &builder).code;
    if (code == 0 && (which & ~HOSTS_SWITCHES) != 0) {
        code = k_bad;
    }
    return code != 0 ? code : q_tls_builder_set_switch(builder, (enum q_tls_switch)which, on != 0).code;
}

int32_t quoit_tls_set_key_log(struct quoit_tls *tls, const char *path, size_t len) {
    struct q_tls_builder *builder;
    struct q_slice value;
    int32_t code = begin(tls, path, len, &builder, &value);
    return code != 0 ? code : q_tls_builder_set_key_log(builder, value).code;
}

int32_t quoit_tls_freeze(struct quoit_tls *tls, struct quoit_failure *out_failure) {
    struct q_error error = q_tls_settings_freeze(tls);
    if (out_failure != NULL) {
        *out_failure = q_call_failure_of(error);
    }
    return error.code;
}

const char *quoit_tls_detail(const struct quoit_tls *tls) { return q_tls_settings_detail(tls); }

struct quoit_tls *quoit_tls_acquire(struct quoit_tls *tls) { return q_tls_settings_acquire(tls) ? tls : NULL; }

void quoit_tls_release(struct quoit_tls *tls) {
    (void)q_tls_settings_release(tls); // of nothing, or once too often: there is nobody to tell
}

int32_t quoit_request_set_tls(struct quoit_request *request, const struct quoit_tls *tls) {
    struct q_spec *spec = (struct q_spec *)(void *)request;
    if (!q_spec_is_hosts(spec)) {
        return k_bad;
    }
    int32_t code = tls == NULL ? 0 : q_tls_settings_check(tls).code;
    struct q_handle handle = {0}; // none: the engine's
    if (code == 0 && tls != NULL) {
        handle = q_tls_settings_handle(tls);
    }
    return code != 0 ? code : q_spec_set_tls(spec, handle).code;
}

int32_t quoit_request_set_tls_report(struct quoit_request *request, int32_t on) {
    struct q_spec *spec = (struct q_spec *)(void *)request;
    return q_spec_is_hosts(spec) ? q_spec_ask_report(spec, on != 0).code : k_bad;
}

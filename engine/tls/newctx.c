// From a config to a context of the library's. See tls_internal.h.
#include "engine/tls/config_internal.h"
#include "engine/tls/identity.h"
#include "engine/tls/tls_internal.h"

#include <openssl/err.h>
#include <pthread.h>

// All that encrypt and authenticate at once, with a key exchange of the moment. Which of AES and ChaCha20 comes first
// depends on the machine: the library orders them before it takes others away.
#define DEFAULT_CIPHERS "ALL:!kRSA:!aPSK:!SHA1:!3DES"

// Signatures that servers and we ourselves may make: none with SHA-1 or MD5.
static const uint16_t k_signatures[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
    SSL_SIGN_ED25519,
};

// --- key log -------------------------------------------------------------------------------------------------------

static pthread_once_t the_once = PTHREAD_ONCE_INIT;
static int the_log_index = -1; // of a context's extra data

static void free_log(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp) {
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    q_key_log_release(ptr);
}

static void draw_log_index(void) { the_log_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_log); }

void q_tls_context_log_key(const SSL_CTX *context, const char *line) {
    const struct q_key_log *log = the_log_index < 0 ? NULL : SSL_CTX_get_ex_data(context, the_log_index);
    if (log != NULL) {
        q_key_log_write(log, line);
    }
}

static void log_key(const SSL *ssl, const char *line) { q_tls_context_log_key(SSL_get_SSL_CTX(ssl), line); }

static bool set_key_log(SSL_CTX *context, const struct q_tls_config *config) {
    if (config->key_log == NULL) {
        return true;
    }
    Q_CHECK(pthread_once(&the_once, draw_log_index) == 0);
    if (the_log_index < 0 || !SSL_CTX_set_ex_data(context, the_log_index, config->key_log)) {
        return false;
    }
    (void)q_key_log_acquire(config->key_log); // the context's now
    SSL_CTX_set_keylog_callback(context, log_key);
    return true;
}

// --- parts of a context --------------------------------------------------------------------------------------------

// What is spoken here; it is offered by whoever says nothing else.
#define DEFAULT_ALPN Q_SLICE("\x08http/1.1")

static bool set_protocol(SSL_CTX *context, const struct q_tls_policy *policy) {
    struct q_slice alpn = policy->alpn.len > 0 ? policy->alpn : DEFAULT_ALPN;
    const char *ciphers = policy->ciphers.len > 0 ? policy->ciphers.ptr : DEFAULT_CIPHERS;
    return SSL_CTX_set_min_proto_version(context, policy->min_version) &&
           SSL_CTX_set_max_proto_version(context, policy->max_version) &&
           SSL_CTX_set_strict_cipher_list(context, ciphers) &&
           (policy->groups.len == 0 || SSL_CTX_set1_curves_list(context, policy->groups.ptr)) &&
           SSL_CTX_set_verify_algorithm_prefs(context, k_signatures, Q_COUNT_OF(k_signatures)) &&
           SSL_CTX_set_signing_algorithm_prefs(context, k_signatures, Q_COUNT_OF(k_signatures)) &&
           // This one gives 0 when it has worked.
           SSL_CTX_set_alpn_protos(context, (const uint8_t *)alpn.ptr, alpn.len) == 0;
}

static void set_switches(SSL_CTX *context, uint32_t switches) {
    bool has_tickets = (switches & Q_TLS_TICKETS) != 0;
    SSL_CTX_set_grease_enabled(context, (switches & Q_TLS_GREASE) != 0);
    SSL_CTX_set_early_data_enabled(context, (switches & Q_TLS_EARLY_DATA) != 0);
    if ((switches & Q_TLS_STAPLE) != 0) {
        SSL_CTX_enable_ocsp_stapling(context);
    }
    // Sessions are told to their callback and kept by us, with caps and by name: never in the context.
    SSL_CTX_set_session_cache_mode(
        context, has_tickets ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
    if (!has_tickets) {
        (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
}

// refuse_all is the verification of a context until it gets one: forgotten is refused.
static enum ssl_verify_result_t refuse_all(SSL *ssl, uint8_t *out_alert) {
    (void)ssl;
    *out_alert = SSL_AD_INTERNAL_ERROR;
    return ssl_verify_invalid;
}

static bool set_identity(SSL_CTX *context, const struct q_tls_config *config, const SSL_PRIVATE_KEY_METHOD *key_method) {
    CRYPTO_BUFFER *chain[Q_IDENTITY_CHAIN_MAX];
    size_t chain_len = config->chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(config->chain);
    if (chain_len == 0 || (config->key == NULL && key_method == NULL)) {
        return true;
    }
    for (size_t i = 0; i < chain_len; i++) {
        chain[i] = sk_CRYPTO_BUFFER_value(config->chain, i);
    }
    return SSL_CTX_set_chain_and_key(context, chain, chain_len, config->key, config->key == NULL ? key_method : NULL) == 1;
}

static bool set_compression(SSL_CTX *context, const struct q_tls_config *config, const struct q_tls_context_parts *parts) {
    size_t count = (config->policy.switches & Q_TLS_COMPRESSION) != 0 ? parts->num_decompressors : 0;
    for (size_t i = 0; i < count; i++) {
        const struct q_tls_decompressor *one = &parts->decompressors[i];
        if (!SSL_CTX_add_cert_compression_alg(context, one->algorithm, NULL, one->decompress)) {
            return false;
        }
    }
    return true;
}

SSL_CTX *q_tls_config_new_context(const struct q_tls_config *config, const struct q_tls_context_parts *parts) {
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    if (context == NULL) {
        ERR_clear_error();
        return NULL;
    }
    SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, refuse_all);
    set_switches(context, config->policy.switches);
    if (!set_protocol(context, &config->policy) || !set_identity(context, config, parts->key_method) ||
        !set_compression(context, config, parts) || !set_key_log(context, config)) {
        SSL_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

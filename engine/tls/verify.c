#include "engine/tls/verify.h"

#include "engine/net/address.h"
#include "engine/tls/liberror.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// A path is a chain and an anchor behind it.
#define PATH_DEPTH_MAX Q_VERIFY_CHAIN_MAX

#define RSA_BITS_MIN 2048
#define OTHER_BITS_MIN 224 // an elliptic curve as strong as such an RSA key

// What lives while a chain is looked at.
struct look {
    const struct q_verify_policy *policy;
    struct q_slice name;
    STACK_OF(X509) *certs; // parsed, leaf first
    X509_STORE *no_roots;  // stands in for roots that are not there
    X509_STORE_CTX *path;
    bool has_path;         // it leads to an anchor, and no link of it is weak
    X509 *about;           // the certificate that a failure is about; NULL: it could not be parsed
};

static const struct {
    int reason;
    enum q_error_code code;
} k_kinds[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, Q_ERR_TLS_CERT_EXPIRED},
    {X509_V_ERR_CERT_NOT_YET_VALID, Q_ERR_TLS_CERT_NOT_YET_VALID},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, Q_ERR_TLS_SELF_SIGNED},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_CERT_UNTRUSTED, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_CERT_REJECTED, Q_ERR_TLS_UNTRUSTED_ROOT},
    {X509_V_ERR_CERT_REVOKED, Q_ERR_TLS_CERT_REVOKED},
    {X509_V_ERR_UNABLE_TO_GET_CRL, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_CRL_NOT_YET_VALID, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_CRL_HAS_EXPIRED, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_DIFFERENT_CRL_SCOPE, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_CRL_PATH_VALIDATION_ERROR, Q_ERR_TLS_NO_CRL},
    {X509_V_ERR_INVALID_PURPOSE, Q_ERR_TLS_BAD_PURPOSE},
    {X509_V_ERR_INVALID_CA, Q_ERR_TLS_BAD_PURPOSE},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, Q_ERR_TLS_BAD_PURPOSE},
    {X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE, Q_ERR_TLS_BAD_PURPOSE},
    {X509_V_ERR_OUT_OF_MEM, Q_ERR_NO_MEMORY},
};

static void tell(struct q_verify_verdict *out, enum q_error_code code, int reason, int depth, uint8_t alert) {
    *out = (struct q_verify_verdict){
        .error = q_error_make(code, Q_PHASE_TLS), .reason = reason, .depth = depth, .alert = alert};
}

static void tell_reason(struct q_verify_verdict *out, int reason, int depth) {
    enum q_error_code code = Q_ERR_TLS_BAD_CHAIN;
    for (size_t i = 0; i < Q_COUNT_OF(k_kinds); i++) {
        code = k_kinds[i].reason == reason ? k_kinds[i].code : code;
    }
    tell(out, code, reason, depth, (uint8_t)SSL_alert_from_verify_result(reason));
}

// Tells what was found, unless it was found for want of memory.
static void tell_found(struct q_verify_verdict *out, enum q_error_code code, int reason, int depth, uint8_t alert) {
    if (q_liberror_has_memory()) {
        tell_reason(out, X509_V_ERR_OUT_OF_MEM, depth);
    } else {
        tell(out, code, reason, depth, alert);
    }
}

// False: told.
static bool parse(struct look *look, const STACK_OF(CRYPTO_BUFFER) *chain, struct q_verify_verdict *out) {
    size_t count = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain);
    look->certs = sk_X509_new_null();
    if (count == 0 || count > Q_VERIFY_CHAIN_MAX || look->certs == NULL) {
        tell_reason(out, look->certs == NULL ? X509_V_ERR_OUT_OF_MEM : X509_V_ERR_CERT_CHAIN_TOO_LONG, 0);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
        if (cert == NULL || !sk_X509_push(look->certs, cert)) {
            bool is_parsed = cert != NULL;
            X509_free(cert);
            if (is_parsed || q_liberror_was_memory()) {
                tell_reason(out, X509_V_ERR_OUT_OF_MEM, (int)i);
            } else {
                tell(out, Q_ERR_TLS_BAD_CHAIN, 0, (int)i, SSL_AD_BAD_CERTIFICATE);
            }
            return false;
        }
    }
    return true;
}

// The anchor is trusted as it is: no list has to say anything about it, and of one that is signed by another none here can.
static int on_path_error(int is_ok, X509_STORE_CTX *path) {
    int last = (int)sk_X509_num(X509_STORE_CTX_get0_chain(path)) - 1;
    if (!is_ok && X509_STORE_CTX_get_error(path) == X509_V_ERR_UNABLE_TO_GET_CRL && last > 0 &&
        X509_STORE_CTX_get_error_depth(path) == last) {
        X509_STORE_CTX_set_error(path, X509_V_OK);
        return 1;
    }
    return is_ok;
}

static bool prepare_path(struct look *look) {
    const struct q_verify_policy *policy = look->policy;
    X509_STORE *roots = policy->roots;
    if (roots == NULL) {
        roots = look->no_roots = X509_STORE_new();
    }
    look->path = X509_STORE_CTX_new();
    if (roots == NULL || look->path == NULL ||
        !X509_STORE_CTX_init(look->path, roots, sk_X509_value(look->certs, 0), look->certs) ||
        !X509_STORE_CTX_set_default(look->path, "ssl_server")) {
        return false;
    }
    unsigned long flags = X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN;
    if (policy->crls != NULL) {
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
        X509_STORE_CTX_set0_crls(look->path, policy->crls);
    }
    X509_STORE_CTX_set_flags(look->path, flags);
    X509_STORE_CTX_set_depth(look->path, PATH_DEPTH_MAX);
    X509_STORE_CTX_set_verify_cb(look->path, on_path_error);
    if (policy->now_s != 0) {
        X509_STORE_CTX_set_time(look->path, 0, (time_t)policy->now_s);
    }
    return true;
}

static bool find_path(struct look *look, struct q_verify_verdict *out) {
    if (!prepare_path(look)) {
        tell_reason(out, X509_V_ERR_OUT_OF_MEM, 0);
        return false;
    }
    if (X509_verify_cert(look->path) > 0) {
        return true;
    }
    int reason = q_liberror_has_memory() ? X509_V_ERR_OUT_OF_MEM : X509_STORE_CTX_get_error(look->path);
    look->about = X509_STORE_CTX_get_current_cert(look->path);
    tell_reason(out, reason == X509_V_OK ? X509_V_ERR_UNSPECIFIED : reason, X509_STORE_CTX_get_error_depth(look->path));
    // The library calls only those signed by themselves that may sign others.
    X509 *leaf = sk_X509_value(look->certs, 0);
    if (out->error.code == Q_ERR_TLS_UNTRUSTED_ROOT && out->depth == 0 &&
        X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0) {
        out->error.code = Q_ERR_TLS_SELF_SIGNED;
    }
    return false;
}

// --- keys and signatures ---------------------------------------------------------------------------------------------

static bool is_key_weak(X509 *cert) {
    EVP_PKEY *key = X509_get_pubkey(cert);
    if (key == NULL) {
        return true;
    }
    int bits = EVP_PKEY_bits(key);
    bool is_rsa = EVP_PKEY_id(key) == EVP_PKEY_RSA;
    EVP_PKEY_free(key);
    return bits < (is_rsa ? RSA_BITS_MIN : OTHER_BITS_MIN);
}

// The hash of an RSA-PSS signature is a parameter of it, and SHA-1 when it is left out.
static int pss_digest(const X509_ALGOR *algorithm) {
    int type = 0;
    const void *value = NULL;
    X509_ALGOR_get0(NULL, &type, &value, algorithm);
    if (type != V_ASN1_SEQUENCE) {
        return NID_sha1;
    }
    const ASN1_STRING *text = value;
    const uint8_t *der = ASN1_STRING_get0_data(text);
    RSA_PSS_PARAMS *params = d2i_RSA_PSS_PARAMS(NULL, &der, ASN1_STRING_length(text));
    int digest = NID_sha1;
    if (params != NULL && params->hashAlgorithm != NULL) {
        digest = OBJ_obj2nid(params->hashAlgorithm->algorithm);
    }
    RSA_PSS_PARAMS_free(params);
    return digest;
}

static bool is_signature_weak(const X509 *cert) {
    const X509_ALGOR *algorithm = NULL;
    X509_get0_signature(NULL, &algorithm, cert);
    int nid = X509_get_signature_nid(cert);
    int digest = NID_undef;
    if (nid == NID_rsassaPss) {
        digest = pss_digest(algorithm);
    } else if (nid == NID_ED25519) {
        return false;
    } else if (!OBJ_find_sigid_algs(nid, &digest, NULL)) {
        return true;
    }
    // By what is good: a hash that somebody adds to the library some day is not.
    return digest != NID_sha224 && digest != NID_sha256 && digest != NID_sha384 && digest != NID_sha512;
}

// Of the anchor neither counts, since nothing rests on its signature and its owner was chosen; a leaf that is its own
// anchor has a key that is used here.
static bool is_strong(struct look *look, struct q_verify_verdict *out) {
    const STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(look->path);
    int count = (int)sk_X509_num(path);
    for (int i = 0; i < count; i++) {
        X509 *cert = sk_X509_value(path, (size_t)i);
        bool is_anchor = i == count - 1;
        look->about = cert;
        if ((!is_anchor || i == 0) && is_key_weak(cert)) {
            tell_found(out, Q_ERR_TLS_WEAK_KEY, 0, i, SSL_AD_INSUFFICIENT_SECURITY);
            return false;
        }
        if (!is_anchor && is_signature_weak(cert)) {
            tell_found(out, Q_ERR_TLS_WEAK_SIGNATURE, 0, i, SSL_AD_INSUFFICIENT_SECURITY);
            return false;
        }
    }
    return true;
}

// --- names and pins --------------------------------------------------------------------------------------------------

static bool is_name_there(const struct look *look) {
    X509 *leaf = sk_X509_value(look->certs, 0);
    struct q_slice name = look->name;
    struct q_address address;
    if (name.len == 0) {
        return false;
    }
    if (q_address_parse(name, 0, &address)) {
        bool is_v4 = address.u.any.sa_family == AF_INET;
        const void *bytes = is_v4 ? (const void *)&address.u.v4.sin_addr : (const void *)&address.u.v6.sin6_addr;
        return X509_check_ip(leaf, bytes, is_v4 ? 4 : 16, 0) == 1;
    }
    if (name.ptr[name.len - 1] == '.') {
        name.len--; // the root's label; certificates never have it
    }
    // A name that begins with a dot would match whatever ends with it.
    return name.len > 0 && name.ptr[0] != '.' && memchr(name.ptr, '\0', name.len) == NULL &&
           X509_check_host(leaf, name.ptr, name.len, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

static bool is_pinned(const struct q_verify_policy *policy, X509 *cert) {
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (len <= 0) {
        return false;
    }
    uint8_t digest[Q_VERIFY_PIN_LEN];
    SHA256(der, (size_t)len, digest);
    OPENSSL_free(der);
    for (size_t i = 0; i < policy->num_pins; i++) {
        if (memcmp(digest, policy->pins[i], sizeof digest) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_pin(const struct look *look) {
    const STACK_OF(X509) *path = look->has_path ? X509_STORE_CTX_get0_chain(look->path) : look->certs;
    size_t count = look->has_path ? sk_X509_num(path) : 1; // else nobody vouches for what is behind the leaf
    for (size_t i = 0; i < count; i++) {
        if (is_pinned(look->policy, sk_X509_value(path, i))) {
            return true;
        }
    }
    return false;
}

static void look_at(struct look *look, const STACK_OF(CRYPTO_BUFFER) *chain, struct q_verify_verdict *out) {
    const struct q_verify_policy *policy = look->policy;
    if (!parse(look, chain, out)) {
        return;
    }
    if (!policy->skips_path && (!find_path(look, out) || !is_strong(look, out))) {
        return;
    }
    look->has_path = !policy->skips_path;
    look->about = sk_X509_value(look->certs, 0);
    if (!policy->skips_name && !is_name_there(look)) {
        tell_found(out, Q_ERR_TLS_NAME_MISMATCH, X509_V_ERR_HOSTNAME_MISMATCH, 0, SSL_AD_BAD_CERTIFICATE);
        return;
    }
    if (policy->num_pins > 0 && !has_pin(look)) {
        tell_found(out, Q_ERR_TLS_PIN_MISMATCH, 0, 0, SSL_AD_BAD_CERTIFICATE);
        return;
    }
    *out = (struct q_verify_verdict){0};
}

// Something is wrong; where the pins come first, so is what they say. A chain that cannot be read has none of them.
static void look_for_pins_after_all(struct look *look, struct q_verify_verdict *out) {
    bool is_told = out->error.code == Q_ERR_TLS_PIN_MISMATCH || out->error.code == Q_ERR_NO_MEMORY;
    if (!look->policy->puts_pins_first || look->policy->num_pins == 0 || is_told) {
        return;
    }
    ERR_clear_error(); // of what was found before; want of memory from here on is our own
    X509 *leaf = sk_X509_num(look->certs) > 0 ? sk_X509_value(look->certs, 0) : NULL;
    if (leaf == NULL || !has_pin(look)) {
        look->about = leaf;
        tell_found(out, Q_ERR_TLS_PIN_MISMATCH, 0, 0, SSL_AD_BAD_CERTIFICATE);
    }
}

void q_verify(const struct q_verify_policy *policy, const struct stack_st_CRYPTO_BUFFER *chain, struct q_slice name,
              struct q_verify_verdict *out) {
    struct look look = {.policy = policy, .name = name};
    ERR_clear_error();
    look_at(&look, chain, out);
    if (q_error_is(out->error)) {
        look_for_pins_after_all(&look, out);
        q_verify_words(look.about, name, out);
    }
    ERR_clear_error(); // what the library noted on the way is told by now
    X509_STORE_CTX_free(look.path);
    X509_STORE_free(look.no_roots);
    sk_X509_pop_free(look.certs, X509_free);
}

#include "engine/tls/identity.h"

#include "engine/tls/liberror.h"
#include "engine/tls/pem.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pool.h>

static struct q_error fail(enum q_error_code code) { return q_error_make(code, Q_PHASE_CREATE); }

// fail_parse gives `code` for bytes that the library could not read.
static struct q_error fail_parse(enum q_error_code code) { return fail(q_liberror_was_memory() ? Q_ERR_NO_MEMORY : code); }

typedef struct q_error (*der_fn)(const uint8_t *der, size_t len, void *out);

// each_block decodes the blocks that are called `label` or `other`, and hands them to `fn` until one fails. Neither
// certificates nor lists are secret, so that the bytes may lie in the library's memory, which it wipes all the same.
static struct q_error each_block(struct q_slice text, const char *label, const char *other, der_fn fn, void *out) {
    struct q_pem_block block;
    struct q_error error = Q_OK;
    while (!q_error_is(error) && q_pem_next(&text, &block)) {
        if (!q_pem_label_is(&block, label) && !q_pem_label_is(&block, other)) {
            continue;
        }
        size_t len = 0;
        uint8_t *der = OPENSSL_malloc(q_pem_decoded_max(&block));
        if (der == NULL) {
            return fail_parse(Q_ERR_NO_MEMORY);
        }
        error = fn(der, q_pem_decode(&block, der, &len) ? len : 0, out);
        OPENSSL_free(der);
    }
    return error;
}

// read_all reads PEM or DER.
static struct q_error read_all(struct q_slice bytes, const char *label, const char *other, der_fn fn, void *out) {
    ERR_clear_error();
    return q_pem_is_text(bytes) ? each_block(bytes, label, other, fn, out) : fn((const uint8_t *)bytes.ptr, bytes.len, out);
}

// --- certificates --------------------------------------------------------------------------------------------------

static struct q_error add_certificate(const uint8_t *der, size_t len, void *out) {
    STACK_OF(CRYPTO_BUFFER) *chain = out;
    if (len == 0 || sk_CRYPTO_BUFFER_num(chain) == Q_IDENTITY_CHAIN_MAX) {
        return fail(Q_ERR_TLS_BAD_CERTIFICATE);
    }
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, len, NULL);
    if (buffer == NULL) {
        return fail_parse(Q_ERR_NO_MEMORY);
    }
    X509 *certificate = X509_parse_from_buffer(buffer); // to see that it is one
    struct q_error error = certificate == NULL ? fail_parse(Q_ERR_TLS_BAD_CERTIFICATE) : Q_OK;
    X509_free(certificate);
    if (!q_error_is(error) && !sk_CRYPTO_BUFFER_push(chain, buffer)) {
        error = fail_parse(Q_ERR_NO_MEMORY);
    }
    if (q_error_is(error)) {
        CRYPTO_BUFFER_free(buffer);
    }
    return error;
}

struct q_error q_identity_read_chain(struct q_slice bytes, STACK_OF(CRYPTO_BUFFER) **out) {
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    *out = NULL;
    if (chain == NULL) {
        return fail_parse(Q_ERR_NO_MEMORY);
    }
    struct q_error error = read_all(bytes, "CERTIFICATE", "X509 CERTIFICATE", add_certificate, chain);
    if (!q_error_is(error) && sk_CRYPTO_BUFFER_num(chain) == 0) {
        error = fail(Q_ERR_TLS_BAD_CERTIFICATE);
    }
    if (q_error_is(error)) {
        sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    } else {
        *out = chain;
    }
    return error;
}

// --- keys ----------------------------------------------------------------------------------------------------------

// give_passphrase is the library's callback: without it, it would ask on the terminal.
static int give_passphrase(char *out, int size, int for_writing, void *context) {
    const struct q_slice *passphrase = context;
    (void)for_writing;
    if (passphrase->len == 0 || passphrase->len > (size_t)size) {
        return 0;
    }
    memcpy(out, passphrase->ptr, passphrase->len);
    return (int)passphrase->len;
}

static bool is_key(const struct q_pem_block *block) {
    static const char *const k_labels[] = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"};
    for (size_t i = 0; i < Q_COUNT_OF(k_labels); i++) {
        if (q_pem_label_is(block, k_labels[i])) {
            return true;
        }
    }
    return false;
}

// is_locked tells whether a passphrase is needed: PKCS #8 says so in its label, the older forms in a header.
static bool is_locked(const struct q_pem_block *block) {
    static const char k_header[] = "Proc-Type: 4,ENCRYPTED";
    return q_pem_label_is(block, "ENCRYPTED PRIVATE KEY") ||
           memmem(block->body.ptr, block->body.len, k_header, sizeof k_header - 1) != NULL;
}

static struct q_error read_pem_key(struct q_slice text, struct q_slice passphrase, EVP_PKEY **out) {
    struct q_pem_block block;
    bool is_found = false;
    while (!is_found && q_pem_next(&text, &block)) {
        is_found = is_key(&block);
    }
    if (!is_found || block.whole.len > INT32_MAX) {
        return fail(Q_ERR_TLS_BAD_KEY);
    }
    BIO *bio = BIO_new_mem_buf(block.whole.ptr, (int)block.whole.len);
    *out = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &passphrase);
    BIO_free(bio);
    return *out != NULL ? Q_OK : fail_parse(is_locked(&block) ? Q_ERR_TLS_BAD_PASSPHRASE : Q_ERR_TLS_BAD_KEY);
}

// read_locked_der reads PKCS #8 under a passphrase. What opens under none is no key, or locked: its outermost structure
// says which.
static struct q_error read_locked_der(struct q_slice der, struct q_slice passphrase, EVP_PKEY **out) {
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509_SIG *sealed = d2i_X509_SIG(NULL, &at, (long)der.len);
    bool is_sealed = sealed != NULL;
    X509_SIG_free(sealed);
    ERR_clear_error();
    if (!is_sealed || passphrase.len == 0) {
        return fail(is_sealed ? Q_ERR_TLS_BAD_PASSPHRASE : Q_ERR_TLS_BAD_KEY);
    }
    BIO *bio = BIO_new_mem_buf(der.ptr, (int)der.len);
    *out = bio == NULL ? NULL : d2i_PKCS8PrivateKey_bio(bio, NULL, give_passphrase, &passphrase);
    BIO_free(bio);
    return *out != NULL ? Q_OK : fail_parse(Q_ERR_TLS_BAD_PASSPHRASE);
}

static struct q_error read_der_key(struct q_slice der, struct q_slice passphrase, EVP_PKEY **out) {
    const uint8_t *at = (const uint8_t *)der.ptr;
    if (der.len == 0 || der.len > INT32_MAX) {
        return fail(Q_ERR_TLS_BAD_KEY);
    }
    *out = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    if (*out != NULL && at != (const uint8_t *)der.ptr + der.len) {
        EVP_PKEY_free(*out);
        *out = NULL;
        return fail(Q_ERR_TLS_BAD_KEY);
    }
    if (*out != NULL) {
        return Q_OK;
    }
    ERR_clear_error();
    return read_locked_der(der, passphrase, out);
}

struct q_error q_identity_read_key(struct q_slice bytes, struct q_slice passphrase, EVP_PKEY **out) {
    *out = NULL;
    ERR_clear_error();
    return q_pem_is_text(bytes) ? read_pem_key(bytes, passphrase, out) : read_der_key(bytes, passphrase, out);
}

struct q_error q_identity_check_key(const STACK_OF(CRYPTO_BUFFER) *chain, const EVP_PKEY *key) {
    ERR_clear_error();
    X509 *certificate = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
    if (certificate == NULL) {
        return fail_parse(Q_ERR_TLS_BAD_CERTIFICATE);
    }
    bool fits = X509_check_private_key(certificate, key) == 1;
    X509_free(certificate);
    return fits ? Q_OK : fail_parse(Q_ERR_TLS_KEY_MISMATCH);
}

// --- revocation lists ----------------------------------------------------------------------------------------------

static struct q_error add_crl(const uint8_t *der, size_t len, void *out) {
    STACK_OF(X509_CRL) *crls = out;
    const uint8_t *at = der;
    if (len == 0 || len > INT32_MAX || sk_X509_CRL_num(crls) == Q_IDENTITY_CRLS_MAX) {
        return fail(Q_ERR_TLS_BAD_CRL);
    }
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)len);
    if (crl == NULL || at != der + len) {
        X509_CRL_free(crl);
        return fail_parse(Q_ERR_TLS_BAD_CRL);
    }
    if (!sk_X509_CRL_push(crls, crl)) {
        X509_CRL_free(crl);
        return fail_parse(Q_ERR_NO_MEMORY);
    }
    return Q_OK;
}

struct q_error q_identity_read_crls(struct q_slice bytes, STACK_OF(X509_CRL) *out) {
    size_t before = sk_X509_CRL_num(out);
    struct q_error error = read_all(bytes, "X509 CRL", "X509 CRL", add_crl, out);
    return !q_error_is(error) && sk_X509_CRL_num(out) == before ? fail(Q_ERR_TLS_BAD_CRL) : error;
}

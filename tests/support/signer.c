#include "tests/support/signer.h"

#include "engine/base/check.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

size_t signer_sign(const struct q_cert *cert, uint16_t algorithm, const void *message, size_t len,
                   uint8_t out[SIGNER_MAX]) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key;
    size_t signature_len = SIGNER_MAX;
    Q_CHECK(EVP_PKEY_id(cert->key) == SSL_get_signature_algorithm_key_type(algorithm));
    Q_CHECK(EVP_DigestSignInit(context, &key, SSL_get_signature_algorithm_digest(algorithm), NULL, cert->key) == 1);
    if (SSL_is_signature_algorithm_rsa_pss(algorithm)) {
        Q_CHECK(EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(key, -1) == 1);
    }
    Q_CHECK(EVP_DigestSign(context, out, &signature_len, message, len) == 1);
    EVP_MD_CTX_free(context);
    return signature_len;
}

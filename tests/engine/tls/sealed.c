#include "tests/engine/tls/sealed.h"

#include "engine/tls/crypto.h"

#include <openssl/aead.h>
#include <string.h>

enum { HEAD = 40, TAG = 16 };

size_t sealed_write(const struct q_sessions_seal *seal, const uint8_t *data, size_t size, uint8_t *out) {
    static const uint8_t k_nonce[12];
    uint8_t key_len[2] = {(uint8_t)seal->key.len, (uint8_t)(seal->key.len >> 8)};
    uint8_t key[Q_CRYPTO_DIGEST_LEN];
    struct q_mac mac;
    EVP_AEAD_CTX aead;
    size_t len = 0;
    memset(out, 0, HEAD);
    memcpy(out, "QuoitSe1", 8);
    q_mac_start(&mac, seal->key.ptr, seal->key.len);
    q_mac_add(&mac, key_len, sizeof key_len);
    q_mac_add(&mac, out, HEAD);
    q_mac_add(&mac, seal->version.ptr, seal->version.len);
    q_mac_end(&mac, key);
    Q_CHECK(EVP_AEAD_CTX_init(&aead, EVP_aead_aes_256_gcm(), key, sizeof key, TAG, NULL));
    Q_CHECK(EVP_AEAD_CTX_seal(&aead, out + HEAD, &len, size + TAG, k_nonce, sizeof k_nonce, data, size, out, HEAD));
    EVP_AEAD_CTX_cleanup(&aead);
    return HEAD + len;
}

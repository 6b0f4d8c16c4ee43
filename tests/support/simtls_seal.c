#include "tests/support/simtls_internal.h"

#include "engine/base/check.h"

#include <openssl/aead.h>
#include <openssl/hkdf.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define TAG 16
#define KEY_MAX 32

enum { TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };

void simtls_seal_learn(struct simtls_seal *seal, const char *line) {
    if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0) {
        return;
    }
    const char *hex = strrchr(line, ' ') + 1;
    seal->secret_len = 0;
    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        Q_CHECK(seal->secret_len < sizeof seal->secret);
        seal->secret[seal->secret_len++] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

// HKDF-Expand-Label of RFC 8446 section 7.1, with no context.
static void expand(const struct simtls_seal *seal, const EVP_MD *digest, const char *label, uint8_t *out, size_t len) {
    uint8_t info[64] = {0, (uint8_t)len, (uint8_t)(6 + strlen(label)), 't', 'l', 's', '1', '3', ' '};
    memcpy(info + 9, label, strlen(label));
    Q_CHECK(seal->secret_len == EVP_MD_size(digest) &&
            HKDF_expand(out, len, digest, seal->secret, seal->secret_len, info, 9 + strlen(label) + 1));
}

static const EVP_MD *digest_of(const SSL *ssl) {
    return SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) == 0x1302 ? EVP_sha384() : EVP_sha256();
}

// What a record is sealed with.
struct key {
    const EVP_AEAD *aead;
    uint8_t key[KEY_MAX];
    uint8_t nonce[12];
    size_t explicit_len; // of the nonce, in front of the record's body
};

static void mix_sequence(struct key *key, uint64_t sequence) {
    for (int i = 0; i < 8; i++) {
        key->nonce[11 - i] ^= (uint8_t)(sequence >> (8 * i));
    }
}

static void make_key_1_3(const struct simtls_seal *seal, const SSL *ssl, struct key *out) {
    switch (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl))) {
    case 0x1301: out->aead = EVP_aead_aes_128_gcm(); break;
    case 0x1302: out->aead = EVP_aead_aes_256_gcm(); break;
    default: out->aead = EVP_aead_chacha20_poly1305(); break;
    }
    expand(seal, digest_of(ssl), "key", out->key, EVP_AEAD_key_length(out->aead));
    expand(seal, digest_of(ssl), "iv", out->nonce, sizeof out->nonce);
    mix_sequence(out, seal->sequence);
}

// Keys of the client and of the server, then their fixed parts of the nonce (RFC 5246 section 6.3). Servers here take
// AES-128-GCM alone (RFC 5288).
static void make_key_1_2(const struct simtls_seal *seal, const SSL *ssl, struct key *out) {
    uint8_t block[40];
    uint16_t cipher = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
    Q_CHECK(cipher == 0xc02b || cipher == 0xc02f);
    Q_CHECK(SSL_get_key_block_len(ssl) == sizeof block && SSL_generate_key_block(ssl, block, sizeof block));
    out->aead = EVP_aead_aes_128_gcm();
    out->explicit_len = 8;
    memcpy(out->key, block + 16, 16);
    memcpy(out->nonce, block + 36, 4);
    mix_sequence(out, seal->sequence);
}

size_t simtls_seal_record(struct simtls_seal *seal, const SSL *ssl, uint8_t type, const void *data, size_t len,
                          uint8_t *out) {
    static uint8_t plain[SIMTLS_RECORD_MAX + 1];
    bool is_1_3 = SSL_version(ssl) == TLS1_3_VERSION;
    Q_CHECK(len <= SIMTLS_RECORD_MAX);
    if (!seal->is_begun) {
        seal->is_begun = true;
        seal->sequence = SSL_get_write_sequence(ssl);
    }
    struct key key = {0};
    if (is_1_3) {
        make_key_1_3(seal, ssl, &key);
    } else {
        make_key_1_2(seal, ssl, &key);
    }
    memcpy(plain, data, len);
    plain[len] = type;
    size_t plain_len = is_1_3 ? len + 1 : len;
    size_t body_len = key.explicit_len + plain_len + TAG;
    out[0] = is_1_3 ? TYPE_DATA : type;
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(body_len >> 8);
    out[4] = (uint8_t)body_len;
    memcpy(out + 5, key.nonce + 4, key.explicit_len);
    uint8_t seen[13]; // by the seal, besides the data: the sequence's number, and the header with the length of the plaintext
    for (int i = 0; i < 8; i++) {
        seen[7 - i] = (uint8_t)(seal->sequence >> (8 * i));
    }
    memcpy(seen + 8, (const uint8_t[]){type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len}, 5);
    EVP_AEAD_CTX context;
    size_t out_len;
    Q_CHECK(EVP_AEAD_CTX_init(&context, key.aead, key.key, EVP_AEAD_key_length(key.aead), TAG, NULL));
    Q_CHECK(EVP_AEAD_CTX_seal(&context, out + 5 + key.explicit_len, &out_len, plain_len + TAG, key.nonce, sizeof key.nonce,
                              plain, plain_len, is_1_3 ? out : seen, is_1_3 ? 5 : sizeof seen));
    EVP_AEAD_CTX_cleanup(&context);
    seal->sequence++;
    return 5 + body_len;
}

size_t simtls_seal_flood(struct simtls_seal *seal, const SSL *ssl, enum q_simtls_flood flood, uint8_t *out) {
    static const uint8_t k_ticket[] = {4, 0, 0, 17, 0, 0, 14, 16, 1, 2, 3, 4, 1, 7, 0, 3, 'a', 'b', 'c', 0, 0};
    static const uint8_t k_update[] = {24, 0, 0, 1, 0};
    static const uint8_t k_request[] = {0, 0, 0, 0};
    static const uint8_t k_warning[] = {1, 90}; // user_canceled, which is to be ignored in 1.3 too
    size_t len = 0;
    switch (flood) {
    case Q_SIMTLS_TICKETS: return simtls_seal_record(seal, ssl, TYPE_HANDSHAKE, k_ticket, sizeof k_ticket, out);
    case Q_SIMTLS_UPDATES:
        len = simtls_seal_record(seal, ssl, TYPE_HANDSHAKE, k_update, sizeof k_update, out);
        uint8_t next[SIMTLS_SECRET_MAX];
        expand(seal, digest_of(ssl), "traffic upd", next, seal->secret_len);
        memcpy(seal->secret, next, seal->secret_len);
        seal->sequence = 0;
        return len;
    case Q_SIMTLS_WARNINGS: return simtls_seal_record(seal, ssl, TYPE_ALERT, k_warning, sizeof k_warning, out);
    case Q_SIMTLS_REQUESTS: return simtls_seal_record(seal, ssl, TYPE_HANDSHAKE, k_request, sizeof k_request, out);
    case Q_SIMTLS_EMPTY:
    case Q_SIMTLS_FLOODS: break;
    }
    return simtls_seal_record(seal, ssl, TYPE_DATA, "", 0, out);
}

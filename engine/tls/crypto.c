#include "engine/tls/crypto.h"

#include "engine/base/alloc.h"

#include <openssl/crypto.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct q_sha256), "the library's state fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct q_sha256), "the library's state is aligned");
_Static_assert(SHA256_DIGEST_LENGTH == Q_CRYPTO_DIGEST_LEN, "one length of digests");

static pthread_once_t the_once = PTHREAD_ONCE_INIT;
static uint8_t the_key[Q_CRYPTO_DIGEST_LEN];

static void init_once(void) {
    CRYPTO_library_init();
    q_crypto_random(the_key, sizeof the_key);
}

void q_crypto_init(void) { Q_CHECK(pthread_once(&the_once, init_once) == 0); }

static SHA256_CTX *state_of(struct q_sha256 *sha256) { return (SHA256_CTX *)(void *)sha256->state; }

void q_sha256_start(struct q_sha256 *sha256) { SHA256_Init(state_of(sha256)); }

void q_sha256_add(struct q_sha256 *sha256, const void *data, size_t len) { SHA256_Update(state_of(sha256), data, len); }

void q_sha256_end(struct q_sha256 *sha256, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    SHA256_Final(out, state_of(sha256));
    q_wipe(sha256, sizeof *sha256);
}

void q_crypto_sha256(const void *data, size_t len, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct q_sha256 sha256;
    q_sha256_start(&sha256);
    q_sha256_add(&sha256, data, len);
    q_sha256_end(&sha256, out);
}

// By hand, and not by HMAC_CTX, which allocates and so can fail: RFC 2104, section 2.
void q_mac_start(struct q_mac *mac, const void *key, size_t key_len) {
    uint8_t block[SHA256_CBLOCK] = {0};
    if (key_len > sizeof block) {
        q_crypto_sha256(key, key_len, block);
    } else {
        for (size_t i = 0; i < key_len; i++) {
            block[i] = ((const uint8_t *)key)[i];
        }
    }
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36;
    }
    q_sha256_start(&mac->inner);
    q_sha256_add(&mac->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    q_sha256_start(&mac->outer);
    q_sha256_add(&mac->outer, block, sizeof block);
    q_wipe(block, sizeof block);
}

void q_mac_start_keyed(struct q_mac *mac) {
    q_crypto_init();
    q_mac_start(mac, the_key, sizeof the_key);
}

void q_mac_add(struct q_mac *mac, const void *data, size_t len) { q_sha256_add(&mac->inner, data, len); }

void q_mac_end(struct q_mac *mac, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    uint8_t inner[Q_CRYPTO_DIGEST_LEN];
    q_sha256_end(&mac->inner, inner);
    q_sha256_add(&mac->outer, inner, sizeof inner);
    q_sha256_end(&mac->outer, out);
    q_wipe(inner, sizeof inner);
}

bool q_crypto_equal(const void *a, const void *b, size_t len) { return CRYPTO_memcmp(a, b, len) == 0; }

void q_crypto_random(void *out, size_t len) {
    Q_CHECK(RAND_bytes(out, len) == 1); // it stops the program itself when the kernel gives nothing
}

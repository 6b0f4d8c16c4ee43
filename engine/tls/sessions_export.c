// An export: {mark, salt, sealed}. The sealing key is made of the host's, the library's version and the salt, so that each
// export has one of its own and the nonce may be zero. Sealed are {calendar, sessions ...}, each {identity, age, length of
// the audience, of the session, both}. Numbers are little-endian.
#include "engine/tls/sessions_export.h"

#include "engine/tls/crypto.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

enum {
    MARK_LEN = 8,
    SALT_LEN = 32,
    HEAD_LEN = MARK_LEN + SALT_LEN,
    TAG_LEN = 16,
    TIME_LEN = 8,
    ENTRY_LEN = Q_CRYPTO_DIGEST_LEN + 4 + 2 + 4, // in front of the audience
};

_Static_assert(HEAD_LEN + TIME_LEN + TAG_LEN <= Q_SESSIONS_EXPORT_MIN, "an empty export fits");

static const char k_mark[MARK_LEN] = {'Q', 'u', 'o', 'i', 't', 'S', 'e', '1'};

static struct q_error fail(enum q_error_code code) { return q_error_make(code, Q_PHASE_TLS); }

static uint8_t *put_number(uint8_t *at, uint64_t number, size_t len) {
    for (size_t i = 0; i < len; i++) {
        *at++ = (uint8_t)(number >> 8 * i);
    }
    return at;
}

static uint64_t get_number(const uint8_t *at, size_t len) {
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        number |= (uint64_t)at[i] << 8 * i;
    }
    return number;
}

// --- sealing ---------------------------------------------------------------------------------------------------------

static void make_key(const struct q_sessions_seal *seal, const uint8_t *head, uint8_t out[Q_CRYPTO_DIGEST_LEN]) {
    struct q_mac mac;
    uint8_t key_len[2];
    (void)put_number(key_len, seal->key.len, sizeof key_len);
    q_mac_start(&mac, seal->key.ptr, seal->key.len);
    q_mac_add(&mac, key_len, sizeof key_len); // zeros behind a short key are the same key to a MAC
    q_mac_add(&mac, head, HEAD_LEN);
    q_mac_add(&mac, seal->version.ptr, seal->version.len);
    q_mac_end(&mac, out);
}

static bool begin(EVP_AEAD_CTX *aead, const struct q_sessions_seal *seal, const uint8_t *head) {
    uint8_t own[Q_CRYPTO_DIGEST_LEN];
    make_key(seal, head, own);
    bool is_made = EVP_AEAD_CTX_init(aead, EVP_aead_aes_256_gcm(), own, sizeof own, TAG_LEN, NULL);
    q_wipe(own, sizeof own);
    return is_made;
}

static const uint8_t k_nonce[12];

// Seals what lies behind the head, in place.
static bool close_sealed(uint8_t *out, size_t plain_len, const struct q_sessions_seal *seal, size_t *out_len) {
    EVP_AEAD_CTX aead;
    size_t len = 0;
    bool is_done = begin(&aead, seal, out) &&
                   EVP_AEAD_CTX_seal(&aead, out + HEAD_LEN, &len, plain_len + TAG_LEN, k_nonce, sizeof k_nonce,
                                     out + HEAD_LEN, plain_len, out, HEAD_LEN);
    EVP_AEAD_CTX_cleanup(&aead);
    q_wipe(&aead, sizeof aead); // the library leaves the key in it
    *out_len = HEAD_LEN + len;
    return is_done;
}

static bool open_sealed(struct q_slice bytes, const struct q_sessions_seal *seal, uint8_t *out, size_t *out_len) {
    const uint8_t *head = (const uint8_t *)bytes.ptr;
    EVP_AEAD_CTX aead;
    bool is_done = begin(&aead, seal, head) &&
                   EVP_AEAD_CTX_open(&aead, out, out_len, bytes.len - HEAD_LEN, k_nonce, sizeof k_nonce, head + HEAD_LEN,
                                     bytes.len - HEAD_LEN, head, HEAD_LEN);
    EVP_AEAD_CTX_cleanup(&aead);
    q_wipe(&aead, sizeof aead); // the library leaves the key in it
    return is_done;
}

// --- export ----------------------------------------------------------------------------------------------------------

struct writing {
    uint8_t *at;       // NULL: nothing is written
    size_t len;        // of all entries seen
    size_t left_out;   // bytes of entries that find no room, from the first
    uint32_t num_left_out;
};

static bool measure(void *context, const struct q_sessions_view *view) {
    struct writing *writing = context;
    uint8_t *der = NULL;
    size_t der_len = 0;
    if (view->peer.is_local) {
        return true;
    }
    if (!SSL_SESSION_to_bytes(view->session, &der, &der_len)) {
        return false;
    }
    size_t entry_len = ENTRY_LEN + view->peer.audience.len + der_len;
    writing->len += entry_len;
    if (writing->at != NULL && writing->left_out > 0) {
        writing->left_out -= entry_len < writing->left_out ? entry_len : writing->left_out;
        writing->num_left_out++;
    } else if (writing->at != NULL) {
        uint8_t *at = writing->at;
        memcpy(at, view->peer.digest, Q_CRYPTO_DIGEST_LEN);
        at = put_number(at + Q_CRYPTO_DIGEST_LEN, view->age_s, 4);
        at = put_number(at, view->peer.audience.len, 2);
        at = put_number(at, der_len, 4);
        if (view->peer.audience.len > 0) {
            memcpy(at, view->peer.audience.ptr, view->peer.audience.len);
        }
        memcpy(at + view->peer.audience.len, der, der_len);
        writing->at += entry_len;
    }
    OPENSSL_cleanse(der, der_len);
    OPENSSL_free(der);
    return true;
}

static struct q_error fail_for_memory(void) {
    ERR_clear_error();
    return fail(Q_ERR_NO_MEMORY);
}

struct q_error q_sessions_export(struct q_sessions *sessions, const struct q_sessions_seal *seal, int64_t now_s, void *out,
                                 size_t size, size_t *out_len) {
    enum { AROUND = HEAD_LEN + TIME_LEN + TAG_LEN };
    struct writing all = {0};
    ERR_clear_error();
    if (!q_sessions_walk(sessions, measure, &all)) {
        return fail_for_memory();
    }
    if (out == NULL) {
        *out_len = AROUND + all.len > Q_SESSIONS_EXPORT_MIN ? AROUND + all.len : Q_SESSIONS_EXPORT_MIN;
        return Q_OK;
    }
    Q_CHECK(size >= Q_SESSIONS_EXPORT_MIN);
    uint8_t *head = out;
    memcpy(head, k_mark, MARK_LEN);
    q_crypto_random(head + MARK_LEN, SALT_LEN);
    struct writing writing = {.at = put_number(head + HEAD_LEN, (uint64_t)now_s, TIME_LEN),
                              .left_out = AROUND + all.len > size ? AROUND + all.len - size : 0};
    bool is_done = q_sessions_walk(sessions, measure, &writing) &&
                   close_sealed(head, (size_t)(writing.at - head) - HEAD_LEN, seal, out_len);
    if (!is_done) {
        q_wipe(out, size);
        return fail_for_memory();
    }
    q_sessions_drop_exported(sessions, writing.num_left_out);
    return Q_OK;
}

// --- import ----------------------------------------------------------------------------------------------------------

struct reading {
    struct q_sessions *sessions;
    SSL_CTX *context;
    uint64_t passed_s; // since the export
    uint32_t count;
};

// Takes one entry from the front of `rest`.
static bool read_entry(struct reading *reading, struct q_slice *rest) {
    const uint8_t *entry = (const uint8_t *)rest->ptr;
    if (rest->len < ENTRY_LEN) {
        return false;
    }
    const uint8_t *at = entry + Q_CRYPTO_DIGEST_LEN;
    uint64_t age_s = get_number(at, 4) + reading->passed_s;
    size_t audience_len = get_number(at + 4, 2);
    size_t der_len = get_number(at + 6, 4);
    if (rest->len - ENTRY_LEN < audience_len || rest->len - ENTRY_LEN - audience_len < der_len) {
        return false;
    }
    const uint8_t *audience = entry + ENTRY_LEN;
    SSL_SESSION *session = SSL_SESSION_from_bytes(audience + audience_len, der_len, reading->context);
    if (session == NULL) {
        return false;
    }
    struct q_sessions_peer peer = {.digest = entry, .audience = q_slice_make(audience, audience_len)};
    uint64_t kept = reading->sessions->stats.kept;
    q_sessions_keep(reading->sessions, &peer, session, age_s);
    reading->count += reading->sessions->stats.kept > kept;
    *rest = q_slice_from(*rest, ENTRY_LEN + audience_len + der_len);
    return true;
}

static struct q_error read_all(struct q_sessions *sessions, const uint8_t *plain, size_t len, int64_t now_s,
                               uint32_t *out_count) {
    uint64_t then_s = len < TIME_LEN ? UINT64_MAX : get_number(plain, TIME_LEN);
    if (then_s > (uint64_t)now_s) {
        return fail(Q_ERR_TLS_BAD_SESSIONS); // how old they are nobody can tell
    }
    struct reading reading = {.sessions = sessions,
                              .context = SSL_CTX_new(TLS_with_buffers_method()),
                              .passed_s = (uint64_t)now_s - then_s};
    if (reading.context == NULL) {
        return fail_for_memory();
    }
    struct q_slice rest = q_slice_make(plain + TIME_LEN, len - TIME_LEN);
    bool is_good = true;
    while (is_good && rest.len > 0) {
        is_good = read_entry(&reading, &rest);
    }
    bool is_short = !is_good && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    SSL_CTX_free(reading.context);
    ERR_clear_error();
    *out_count = reading.count;
    return is_good ? Q_OK : fail(is_short ? Q_ERR_NO_MEMORY : Q_ERR_TLS_BAD_SESSIONS);
}

struct q_error q_sessions_import(struct q_sessions *sessions, const struct q_sessions_seal *seal, int64_t now_s,
                                 struct q_slice bytes, uint32_t *out_count) {
    *out_count = 0;
    if (bytes.len < HEAD_LEN + TIME_LEN + TAG_LEN || bytes.len > Q_SESSIONS_EXPORT_MAX ||
        memcmp(bytes.ptr, k_mark, MARK_LEN) != 0) {
        return fail(Q_ERR_TLS_BAD_SESSIONS);
    }
    uint8_t *plain = q_alloc_new(sessions->alloc, bytes.len);
    size_t len = 0;
    if (plain == NULL) {
        return fail(Q_ERR_NO_MEMORY);
    }
    ERR_clear_error();
    struct q_error error = open_sealed(bytes, seal, plain, &len) ? read_all(sessions, plain, len, now_s, out_count)
                                                                : fail(Q_ERR_TLS_BAD_SESSIONS);
    ERR_clear_error();
    q_wipe(plain, bytes.len);
    q_alloc_free(sessions->alloc, plain, bytes.len);
    return error;
}

#include "bench/server/cert.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALID_DAYS = 30, SERIAL_LEN = 8 };

struct extension {
    int nid;
    const char *value;
};

static const struct extension k_authority[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
};

static const struct extension k_server[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_alt_name, "IP:127.0.0.1,IP:::1,DNS:localhost"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid"},
};

static EVP_PKEY *draw_key(void) {
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_set1_EC_KEY(key, ec)) {
        EC_KEY_free(ec);
        return key;
    }
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

static bool set_serial(X509 *x509) {
    uint8_t bytes[SERIAL_LEN];
    uint64_t number;
    RAND_bytes(bytes, sizeof bytes);
    memcpy(&number, bytes, sizeof number);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), number >> 1);
}

static bool add_extensions(X509 *x509, X509 *issuer, const struct extension *extensions, size_t num) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    bool is_good = true;
    for (size_t i = 0; i < num && is_good; i++) {
        X509_EXTENSION *made = X509V3_EXT_nconf_nid(NULL, &context, extensions[i].nid, extensions[i].value);
        is_good = made && X509_add_ext(x509, made, -1);
        X509_EXTENSION_free(made);
    }
    return is_good;
}

// sign_one makes a certificate for `key`, signed by `issuer` (NULL: by itself) with `issuer_key`.
static X509 *sign_one(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                      const struct extension *extensions, size_t num_extensions) {
    X509 *x509 = X509_new();
    if (x509 && X509_set_version(x509, X509_VERSION_3) && set_serial(x509) &&
        ASN1_TIME_adj(X509_getm_notBefore(x509), time(NULL), -1, 0) &&
        ASN1_TIME_adj(X509_getm_notAfter(x509), time(NULL), VALID_DAYS, 0) &&
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0) &&
        X509_set_issuer_name(x509, X509_get_subject_name(issuer ? issuer : x509)) && X509_set_pubkey(x509, key) &&
        add_extensions(x509, issuer ? issuer : x509, extensions, num_extensions) &&
        X509_sign(x509, issuer_key, EVP_sha256()) > 0)
        return x509;
    X509_free(x509);
    return NULL;
}

// text_of takes what was written to `bio` as a string of libc's, and frees it. NULL: no memory.
static char *text_of(BIO *bio) {
    const uint8_t *data = NULL;
    size_t len = 0;
    char *text = BIO_mem_contents(bio, &data, &len) ? malloc(len + 1) : NULL;
    if (text) {
        memcpy(text, data, len);
        text[len] = '\0';
    }
    BIO_free(bio);
    return text;
}

static char *cert_text(X509 *x509) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && PEM_write_bio_X509(bio, x509))
        return text_of(bio);
    BIO_free(bio);
    return NULL;
}

static char *key_text(EVP_PKEY *key) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return text_of(bio);
    BIO_free(bio);
    return NULL;
}

bool bench_cert_make(struct bench_cert *out) {
    CRYPTO_library_init();
    EVP_PKEY *ca_key = draw_key();
    EVP_PKEY *key = draw_key();
    X509 *ca = NULL, *server = NULL;
    *out = (struct bench_cert){0};
    if (ca_key && key)
        ca = sign_one("Quoit bench authority", ca_key, NULL, ca_key, k_authority,
                      sizeof k_authority / sizeof k_authority[0]);
    if (ca)
        server = sign_one("Quoit bench server", key, ca, ca_key, k_server, sizeof k_server / sizeof k_server[0]);
    if (server)
        *out = (struct bench_cert){.authority = cert_text(ca), .cert = cert_text(server), .key = key_text(key)};
    X509_free(server);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    ERR_clear_error();
    if (out->authority && out->cert && out->key)
        return true;
    bench_cert_free(out);
    return false;
}

void bench_cert_free(struct bench_cert *cert) {
    if (cert->key)
        OPENSSL_cleanse(cert->key, strlen(cert->key));
    free(cert->authority);
    free(cert->cert);
    free(cert->key);
    *cert = (struct bench_cert){0};
}

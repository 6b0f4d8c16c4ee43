#include "tests/support/certs.h"

#include "engine/base/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cipher.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN_MAX = 4096, FOLDER_DEPTH_MAX = 16 };

static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
static EVP_PKEY *the_keys[Q_CERTS_KEY_COUNT][Q_CERTS_KEYS_MAX];
static uint64_t the_last_serial;

// --- keys ----------------------------------------------------------------------------------------------------------

static EVP_PKEY *make_ec_key(int curve, enum q_certs_key kind, unsigned number) {
    uint8_t seed[SHA256_DIGEST_LENGTH];
    char words[64];
    int len = snprintf(words, sizeof words, "quoit test key %d %u", (int)kind, number);
    SHA256((const uint8_t *)words, (size_t)len, seed);
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
    BIGNUM *scalar = BN_bin2bn(seed, 24, NULL); // below the order of every curve here
    EVP_PKEY *key = EVP_PKEY_new();
    Q_CHECK(ec != NULL && scalar != NULL && key != NULL);
    EC_POINT *point = EC_POINT_new(EC_KEY_get0_group(ec));
    Q_CHECK(point != NULL && EC_POINT_mul(EC_KEY_get0_group(ec), point, scalar, NULL, NULL, NULL) &&
            EC_KEY_set_private_key(ec, scalar) && EC_KEY_set_public_key(ec, point) && EC_KEY_check_key(ec) &&
            EVP_PKEY_assign_EC_KEY(key, ec));
    EC_POINT_free(point);
    BN_free(scalar);
    return key;
}

static EVP_PKEY *make_rsa_key(int bits) {
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    EVP_PKEY *key = EVP_PKEY_new();
    Q_CHECK(rsa != NULL && exponent != NULL && key != NULL && BN_set_word(exponent, RSA_F4) &&
            RSA_generate_key_ex(rsa, bits, exponent, NULL) && EVP_PKEY_assign_RSA(key, rsa));
    BN_free(exponent);
    return key;
}

static EVP_PKEY *make_key(enum q_certs_key kind, unsigned number) {
    switch (kind) {
    case Q_CERTS_P224: return make_ec_key(NID_secp224r1, kind, number);
    case Q_CERTS_P384: return make_ec_key(NID_secp384r1, kind, number);
    case Q_CERTS_RSA_2048: return make_rsa_key(2048);
    case Q_CERTS_RSA_1024: return make_rsa_key(1024);
    default: return make_ec_key(NID_X9_62_prime256v1, kind, number);
    }
}

// key_of gives the one key of {kind, number}; it lives as long as the process.
static EVP_PKEY *key_of(enum q_certs_key kind, unsigned number) {
    Q_CHECK(kind < Q_CERTS_KEY_COUNT && number < Q_CERTS_KEYS_MAX);
    pthread_mutex_lock(&the_lock);
    if (the_keys[kind][number] == NULL) {
        the_keys[kind][number] = make_key(kind, number);
    }
    EVP_PKEY *key = the_keys[kind][number];
    pthread_mutex_unlock(&the_lock);
    EVP_PKEY_up_ref(key);
    return key;
}

// --- certificates --------------------------------------------------------------------------------------------------

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    Q_CHECK(extension != NULL && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

// with_default gives what was asked for, or what holds when nothing was; NULL for "".
static const char *with_default(const char *asked, const char *otherwise) {
    const char *value = asked == NULL ? otherwise : asked;
    return value == NULL || value[0] == 0 ? NULL : value;
}

static void add_extensions(X509 *cert, X509 *issuer, const struct q_certs_spec *spec) {
    const char *usage = with_default(spec->key_usage, spec->is_ca ? "critical,keyCertSign,cRLSign" : "digitalSignature");
    const char *extended = with_default(spec->extended_usage, spec->is_ca ? NULL : "serverAuth");
    if (!spec->no_constraints) {
        add_extension(cert, issuer, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    }
    if (usage != NULL) {
        add_extension(cert, issuer, NID_key_usage, usage);
    }
    if (extended != NULL) {
        add_extension(cert, issuer, NID_ext_key_usage, extended);
    }
    if (spec->alt_names != NULL) {
        add_extension(cert, issuer, NID_subject_alt_name, spec->alt_names);
    }
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (issuer != cert) {
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
    }
}

static void set_serial(ASN1_INTEGER *to, uint64_t serial) {
    Q_CHECK(ASN1_INTEGER_set_uint64(to, serial));
}

static const EVP_MD *digest_of(enum q_certs_digest digest) {
    switch (digest) {
    case Q_CERTS_MD5: return EVP_md5();
    case Q_CERTS_SHA1: return EVP_sha1();
    case Q_CERTS_SHA384: return EVP_sha384();
    default: return EVP_sha256();
    }
}

static X509 *make_x509(const struct q_cert *issuer, const struct q_certs_spec *spec, EVP_PKEY *key, uint64_t serial) {
    X509 *cert = X509_new();
    const char *name = spec->common_name == NULL ? "test" : spec->common_name;
    Q_CHECK(cert != NULL && X509_set_version(cert, X509_VERSION_3));
    set_serial(X509_get_serialNumber(cert), serial);
    Q_CHECK(ASN1_TIME_set(X509_getm_notBefore(cert), spec->not_before == 0 ? Q_CERTS_2020 : spec->not_before) != NULL);
    Q_CHECK(ASN1_TIME_set(X509_getm_notAfter(cert), spec->not_after == 0 ? Q_CERTS_2050 : spec->not_after) != NULL);
    Q_CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0));
    Q_CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer == NULL ? cert : issuer->x509)));
    Q_CHECK(X509_set_pubkey(cert, key));
    add_extensions(cert, issuer == NULL ? cert : issuer->x509, spec);
    Q_CHECK(X509_sign(cert, issuer == NULL ? key : issuer->key, digest_of(spec->digest)) > 0);
    return cert;
}

// text_of takes what was written to `bio` as a string, and frees it.
static char *text_of(BIO *bio) {
    const uint8_t *data;
    size_t len;
    Q_CHECK(BIO_mem_contents(bio, &data, &len));
    char *text = malloc(len + 1);
    Q_CHECK(text != NULL);
    memcpy(text, data, len);
    text[len] = 0;
    BIO_free(bio);
    return text;
}

// bytes_of takes what BoringSSL allocated into memory of libc's.
static uint8_t *bytes_of(uint8_t *made, size_t len) {
    uint8_t *bytes = malloc(len);
    Q_CHECK(bytes != NULL);
    memcpy(bytes, made, len);
    OPENSSL_free(made);
    return bytes;
}

static void write_forms(struct q_cert *cert) {
    BIO *pem = BIO_new(BIO_s_mem());
    BIO *key_pem = BIO_new(BIO_s_mem());
    uint8_t *der = NULL;
    CBB cbb;
    Q_CHECK(pem != NULL && key_pem != NULL && PEM_write_bio_X509(pem, cert->x509) &&
            PEM_write_bio_PKCS8PrivateKey(key_pem, cert->key, NULL, NULL, 0, NULL, NULL));
    cert->pem = text_of(pem);
    cert->key_pem = text_of(key_pem);
    int len = i2d_X509(cert->x509, &der);
    Q_CHECK(len > 0);
    cert->der_len = (size_t)len;
    cert->der = bytes_of(der, cert->der_len);
    Q_CHECK(CBB_init(&cbb, 0) && EVP_marshal_private_key(&cbb, cert->key) && CBB_finish(&cbb, &der, &cert->key_der_len));
    cert->key_der = bytes_of(der, cert->key_der_len);
    uint8_t *spki = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert->x509), &spki);
    Q_CHECK(len > 0);
    SHA256(spki, (size_t)len, cert->spki_sha256);
    OPENSSL_free(spki);
}

struct q_cert *q_certs_make(const struct q_cert *issuer, const struct q_certs_spec *spec) {
    CRYPTO_library_init();
    struct q_cert *cert = calloc(1, sizeof *cert);
    Q_CHECK(cert != NULL);
    cert->key = key_of(spec->key, spec->key_number);
    cert->serial = spec->serial != 0 ? spec->serial : __atomic_add_fetch(&the_last_serial, 1, __ATOMIC_RELAXED);
    cert->x509 = make_x509(issuer, spec, cert->key, cert->serial);
    write_forms(cert);
    return cert;
}

struct q_cert *q_certs_authority(const struct q_cert *issuer, const char *common_name, unsigned key_number) {
    return q_certs_make(issuer, &(struct q_certs_spec){.common_name = common_name, .is_ca = true, .key_number = key_number});
}

void q_certs_free(struct q_cert *cert) {
    if (cert != NULL) {
        X509_free(cert->x509);
        EVP_PKEY_free(cert->key);
        free(cert->pem);
        free(cert->key_pem);
        free(cert->der);
        free(cert->key_der);
        free(cert);
    }
}

char *q_certs_key_pem_locked(const struct q_cert *cert, const char *passphrase) {
    BIO *bio = BIO_new(BIO_s_mem());
    Q_CHECK(bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, cert->key, EVP_aes_128_cbc(), (char *)(uintptr_t)passphrase,
                                                         (int)strlen(passphrase), NULL, NULL));
    return text_of(bio);
}

uint8_t *q_certs_key_der_locked(const struct q_cert *cert, const char *passphrase, size_t *out_len) {
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *data;
    Q_CHECK(bio != NULL && i2d_PKCS8PrivateKey_bio(bio, cert->key, EVP_aes_128_cbc(), (char *)(uintptr_t)passphrase,
                                                   (int)strlen(passphrase), NULL, NULL));
    Q_CHECK(BIO_mem_contents(bio, &data, out_len));
    return (uint8_t *)text_of(bio);
}

char *q_certs_key_pem_old(const struct q_cert *cert, const char *passphrase) {
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = passphrase == NULL ? NULL : EVP_aes_128_cbc();
    uint8_t *password = (uint8_t *)(uintptr_t)passphrase;
    int len = passphrase == NULL ? 0 : (int)strlen(passphrase);
    RSA *rsa = EVP_PKEY_get0_RSA(cert->key);
    Q_CHECK(bio != NULL);
    if (rsa != NULL) {
        Q_CHECK(PEM_write_bio_RSAPrivateKey(bio, rsa, cipher, password, len, NULL, NULL));
    } else {
        Q_CHECK(PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(cert->key), cipher, password, len, NULL, NULL));
    }
    return text_of(bio);
}

// --- revocation lists ----------------------------------------------------------------------------------------------

char *q_certs_crl(const struct q_cert *issuer, const uint64_t *serials, size_t serials_len, int64_t next_update) {
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, Q_CERTS_2020);
    ASN1_TIME *to = ASN1_TIME_set(NULL, next_update == 0 ? Q_CERTS_2050 : next_update);
    BIO *bio = BIO_new(BIO_s_mem());
    Q_CHECK(crl != NULL && from != NULL && to != NULL && bio != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
            X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) &&
            X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to));
    for (size_t i = 0; i < serials_len; i++) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        Q_CHECK(revoked != NULL && serial != NULL);
        set_serial(serial, serials[i]);
        Q_CHECK(X509_REVOKED_set_serialNumber(revoked, serial) && X509_REVOKED_set_revocationDate(revoked, from) &&
                X509_CRL_add0_revoked(crl, revoked));
        ASN1_INTEGER_free(serial);
    }
    Q_CHECK(X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, EVP_sha256()) && PEM_write_bio_X509_CRL(bio, crl));
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_CRL_free(crl);
    return text_of(bio);
}

// --- texts and files -----------------------------------------------------------------------------------------------

char *q_certs_join(const char *first, ...) {
    char *joined = strdup(first);
    va_list rest;
    va_start(rest, first);
    for (const char *text = va_arg(rest, const char *); text != NULL; text = va_arg(rest, const char *)) {
        size_t len = strlen(joined);
        joined = realloc(joined, len + strlen(text) + 1);
        Q_CHECK(joined != NULL);
        memcpy(joined + len, text, strlen(text) + 1);
    }
    va_end(rest);
    return joined;
}

char *q_certs_folder_new(void) {
    const char *base = getenv("TEST_TMPDIR");
    char path[PATH_LEN_MAX];
    int len = snprintf(path, sizeof path, "%s/certs.XXXXXX", base == NULL ? "/tmp" : base);
    Q_CHECK(len > 0 && (size_t)len < sizeof path && mkdtemp(path) != NULL);
    return strdup(path);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void q_certs_folder_remove(const char *folder) {
    Q_CHECK(nftw(folder, remove_one, FOLDER_DEPTH_MAX, FTW_DEPTH | FTW_PHYS) == 0);
}

char *q_certs_write_bytes(const char *folder, const char *name, const void *data, size_t len) {
    char path[PATH_LEN_MAX];
    int path_len = snprintf(path, sizeof path, "%s/%s", folder, name);
    Q_CHECK(path_len > 0 && (size_t)path_len < sizeof path);
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        (void)mkdir(path, 0755); // it may be there
        *at = '/';
    }
    FILE *file = fopen(path, "wb");
    Q_CHECK(file != NULL && fwrite(data, 1, len, file) == len && fclose(file) == 0);
    return strdup(path);
}

char *q_certs_write(const char *folder, const char *name, const char *text) {
    return q_certs_write_bytes(folder, name, text, strlen(text));
}

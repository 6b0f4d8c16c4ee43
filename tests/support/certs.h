// A factory of certificates for tests: authorities, intermediates, leaves and revocation lists, in memory and in files.
//
// Times are fixed numbers and not offsets from a clock: a certificate is valid from 2020 to 2050 unless its spec says
// otherwise, so real and simulated clocks both lie within. EC keys are made from {kind, number} and are the same in
// every run; RSA keys are made at their first use in a process, once, and kept. Serial numbers count from 1.
//
// struct q_cert is owned by its maker until q_certs_free. Pointers inside it live as long as it does. The two pointers
// to BoringSSL's own types are what <openssl/base.h> calls X509 and EVP_PKEY.
// Everything here aborts the test when it fails. Any thread may call.
#ifndef QUOIT_TESTS_SUPPORT_CERTS_H
#define QUOIT_TESTS_SUPPORT_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define Q_CERTS_2020 INT64_C(1577836800) // default of not_before
#define Q_CERTS_2050 INT64_C(2524608000) // default of not_after
#define Q_CERTS_NOW INT64_C(1735689600)  // 2025-01-01, for simulated clocks

enum q_certs_key {
    Q_CERTS_P256 = 0,
    Q_CERTS_P224,
    Q_CERTS_P384,
    Q_CERTS_RSA_2048,
    Q_CERTS_RSA_1024,
    Q_CERTS_KEY_COUNT,
};

enum q_certs_digest { Q_CERTS_SHA256 = 0, Q_CERTS_SHA1, Q_CERTS_SHA384, Q_CERTS_MD5 /* of RSA alone */ };

enum { Q_CERTS_KEYS_MAX = 64 }; // numbers of keys, per kind

// All zero is a P-256 leaf without names, for a TLS server. Strings are borrowed for the call.
struct q_certs_spec {
    const char *common_name;    // NULL: "test"
    const char *alt_names;      // "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1"; NULL: none
    const char *key_usage;      // "digitalSignature"; NULL: as is_ca asks, "": no extension
    const char *extended_usage; // "serverAuth", "clientAuth"; NULL: serverAuth for leaves, "": no extension
    int64_t not_before;         // seconds since 1970; 0: 2020
    int64_t not_after;          // 0: 2050
    uint64_t serial;            // 0: the next one
    enum q_certs_key key;
    unsigned key_number;        // equal kind and number: equal key
    enum q_certs_digest digest; // of the issuer's signature
    bool is_ca;
    bool no_constraints;        // leaves out the basic constraints
};

struct q_cert {
    struct x509_st *x509;
    struct evp_pkey_st *key;
    char *pem;         // certificate, NUL-terminated
    char *key_pem;     // PKCS #8, NUL-terminated
    uint8_t *der;
    size_t der_len;
    uint8_t *key_der;  // PKCS #8
    size_t key_der_len;
    uint8_t spki_sha256[32];
    uint64_t serial;
};

// q_certs_make makes one, signed by `issuer`, or by itself when that is NULL.
struct q_cert *q_certs_make(const struct q_cert *issuer, const struct q_certs_spec *spec);

// q_certs_authority is q_certs_make of a CA with defaults and the given common name; key number `key_number`.
struct q_cert *q_certs_authority(const struct q_cert *issuer, const char *common_name, unsigned key_number);

// q_certs_free frees it; NULL is nothing.
void q_certs_free(struct q_cert *cert);

// q_certs_key_pem_locked gives the key as an encrypted PKCS #8 PEM, q_certs_key_der_locked as such a DER,
// q_certs_key_pem_old as the older form ("RSA PRIVATE KEY"), encrypted when `passphrase` is not NULL. Free by free.
char *q_certs_key_pem_locked(const struct q_cert *cert, const char *passphrase);
uint8_t *q_certs_key_der_locked(const struct q_cert *cert, const char *passphrase, size_t *out_len);
char *q_certs_key_pem_old(const struct q_cert *cert, const char *passphrase);

// q_certs_crl makes a PEM list of `issuer`, in which `serials` are revoked. `next_update` 0: 2050. Free by free.
char *q_certs_crl(const struct q_cert *issuer, const uint64_t *serials, size_t serials_len, int64_t next_update);

// q_certs_join joins texts (NULL ends the list): a chain or a bundle out of PEMs. Free by free.
char *q_certs_join(const char *first, ...) __attribute__((sentinel));

// q_certs_folder_new makes a fresh folder below the test's own; q_certs_folder_remove removes it and all in it.
// Free the path by free, after q_certs_folder_remove.
char *q_certs_folder_new(void);
void q_certs_folder_remove(const char *folder);

// q_certs_write writes `text` to `folder`/`name` (sub-folders are made) and gives the path. Free by free.
char *q_certs_write(const char *folder, const char *name, const char *text);
char *q_certs_write_bytes(const char *folder, const char *name, const void *data, size_t len);

#endif

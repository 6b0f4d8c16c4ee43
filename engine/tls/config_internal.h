// Config, from inside: for config.c, freeze.c and newctx.c.
#ifndef QUOIT_ENGINE_TLS_CONFIG_INTERNAL_H
#define QUOIT_ENGINE_TLS_CONFIG_INTERNAL_H

#include "engine/tls/config.h"
#include "engine/tls/keylog.h"
#include "engine/tls/roots.h"

#include <openssl/pool.h>
#include <openssl/x509.h>
#include <stdatomic.h>

struct q_tls_builder {
    const struct q_alloc *alloc;
    struct q_tls_policy policy; // slices own their bytes, each with a NUL behind it; pins are in the field below
    uint8_t pins[Q_TLS_PINS_MAX][Q_CRYPTO_DIGEST_LEN];
    struct q_roots_source roots[Q_ROOTS_SOURCES_MAX]; // the chosen one, then those that were added
    size_t num_roots;
    struct q_slice cert_file;   // SSL_CERT_FILE
    struct q_slice cert_folder; // SSL_CERT_DIR
    struct q_slice probe_prefix;
    struct q_tls_source chain;
    struct q_tls_source key;
    struct q_slice passphrase;
    struct q_tls_source crls[Q_TLS_CRL_SOURCES_MAX];
    size_t num_crls;
    bool is_frozen;
    char detail[Q_TLS_DETAIL_MAX];
};

struct q_tls_config {
    _Atomic(uint32_t) holders;
    const struct q_alloc *alloc;
    struct q_tls_policy policy; // slices and pins lie in `text`
    char *text;
    size_t text_size;
    struct q_roots *roots;     // NULL: verification is off
    struct q_tls_roots_facts roots_facts;
    STACK_OF(CRYPTO_BUFFER) *chain; // NULL: no client certificate
    EVP_PKEY *key;             // NULL: none, or a point has it
    STACK_OF(X509_CRL) *crls;  // NULL: none
    struct q_key_log *key_log; // NULL: none
    uint8_t digest[Q_CRYPTO_DIGEST_LEN];
    uint8_t identity[Q_CRYPTO_DIGEST_LEN];
    uint32_t epoch; // of the process that made it
};

// q_tls_builder_empty wipes and frees what was set, drops the points, and leaves the defaults.
void q_tls_builder_empty(struct q_tls_builder *builder);

#endif

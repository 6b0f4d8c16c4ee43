// Tls, for the files of this floor alone: what the library's objects are that a config stands for. They are borrowed from
// the config, and shared and immutable like it; who keeps one takes a reference of the library's.
#ifndef QUOIT_ENGINE_TLS_TLS_INTERNAL_H
#define QUOIT_ENGINE_TLS_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct q_tls_config;

// A way to decompress certificates (RFC 8879); the library calls it during the handshake, and has bounded the length.
struct q_tls_decompressor {
    uint16_t algorithm; // its number in TLS
    ssl_cert_decompression_func_t decompress;
};

// What a context needs of other modules. All zeros is none of it.
struct q_tls_context_parts {
    const SSL_PRIVATE_KEY_METHOD *key_method; // signs when the config has a point in its key's place; without one of the
                                              // two the client certificate is left out
    const struct q_tls_decompressor *decompressors; // offered, the first as the best, when the config says so
    size_t num_decompressors;
};

// q_tls_config_new_context builds a context: versions, ciphers, groups, signature algorithms, ALPN, tickets, 0-RTT, client
// certificate, certificate compression, key log by file. Cheap: nothing is read from files and nothing parsed, so the loop
// may call it. `parts` is borrowed for the call, what it names must last.
//
// The context is of the library's kind that keeps certificates as bytes and does not verify: until somebody sets a
// verification of theirs (verify.h, with the store and the lists below), it refuses every server. It keeps no reference on
// the config, whose decision points are the caller's to hold. Set by the caller are also the session callbacks, with
// Q_TLS_TICKETS alone, and the key log as events, which takes the place of the file's callback: see q_tls_context_log_key.
// NULL: out of memory.
SSL_CTX *q_tls_config_new_context(const struct q_tls_config *config, const struct q_tls_context_parts *parts);

// q_tls_context_log_key writes a line to the key log that a context has, if it has one. Blocks on the file.
void q_tls_context_log_key(const SSL_CTX *context, const char *line);

// q_tls_config_store gives the trusted certificates; NULL when verification is off.
X509_STORE *q_tls_config_store(const struct q_tls_config *config);

// q_tls_config_crls gives the revocation lists; NULL when there are none.
STACK_OF(X509_CRL) *q_tls_config_crls(const struct q_tls_config *config);

// q_tls_config_chain gives the client certificate and its chain, as DER; NULL without one.
STACK_OF(CRYPTO_BUFFER) *q_tls_config_chain(const struct q_tls_config *config);

#endif

// Identity: client certificates, keys and revocation lists, from bytes to the library's objects. PEM or DER, whichever the
// bytes are; strict: what is there must be readable. Nothing is kept of the bytes or of the passphrase.
// Thread-free: no state; the caller owns what it gets. For engine/tls alone.
#ifndef QUOIT_ENGINE_TLS_IDENTITY_H
#define QUOIT_ENGINE_TLS_IDENTITY_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <openssl/pool.h>
#include <openssl/x509.h>

#define Q_IDENTITY_CHAIN_MAX 16 // certificates, the client's own among them; servers take ten at most
#define Q_IDENTITY_CRLS_MAX 256 // lists of a configuration
#define Q_IDENTITY_PASSPHRASE_MAX 1000 // bytes; the library's own room is 1024

// q_identity_read_chain gives the certificates of a PEM text in its order, or the one of a DER. They stay bytes, of which
// it is known that they are certificates. Free by sk_CRYPTO_BUFFER_pop_free.
// Errors: TLS_BAD_CERTIFICATE (one unreadable, none, or too many), NO_MEMORY.
Q_MUST_USE struct q_error q_identity_read_chain(struct q_slice bytes, STACK_OF(CRYPTO_BUFFER) **out);

// q_identity_read_key gives the first key of a PEM text, or the one of a DER: PKCS #8, locked or not, or the older forms.
// Free by EVP_PKEY_free. Errors: TLS_BAD_KEY, TLS_BAD_PASSPHRASE (locked, and not opened, which
// may be for want of memory too), NO_MEMORY.
Q_MUST_USE struct q_error q_identity_read_key(struct q_slice bytes, struct q_slice passphrase, EVP_PKEY **out);

// q_identity_check_key tells whether a key is that of the first certificate. Errors: TLS_KEY_MISMATCH, NO_MEMORY.
Q_MUST_USE struct q_error q_identity_check_key(const STACK_OF(CRYPTO_BUFFER) *chain, const EVP_PKEY *key);

// q_identity_read_crls adds the lists of a PEM text, or the one of a DER, to `out`. Errors: TLS_BAD_CRL, NO_MEMORY.
Q_MUST_USE struct q_error q_identity_read_crls(struct q_slice bytes, STACK_OF(X509_CRL) *out);

#endif

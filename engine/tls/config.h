// Config: how TLS is spoken and whom it trusts. Built by one owner, then frozen: read from its files once, parsed, digested,
// and immutable from then on.
//
// Vocabulary. The *builder* takes what is wanted; each setter checks what it is given, and refuses it whole or takes it
// whole. *Freeze* reads files and parses, on the caller's thread, and makes the *config*; it is the only step that blocks.
// The *digest* (policy.h) is what a config is known by: equal digests, equal configs.
//
// Secrets. A passphrase, and what was given of a key, live in the builder until freeze has succeeded or the builder is
// destroyed, and are overwritten then. A config holds the key only as the library's own object. Nothing here writes a secret
// or a digest anywhere.
//
// Life: q_tls_builder_new, setters, q_tls_builder_freeze, q_tls_builder_destroy. After a success the builder is empty, and
// every setter and a second freeze give FROZEN; after a failure it is as it was, and may be corrected. A config is counted:
// freeze gives one reference, q_tls_config_acquire and _release are for those who hold one; the last release wipes and
// frees, on whichever thread that is. Whoever may come from 0 to 1 goes by a weak handle (registry.h), never by this count.
// The allocator given to q_tls_builder_new must outlive the config; a config that engines share takes libc's. The library's
// own objects lie in libc's memory.
//
// Threads: a builder has one owner at a time. A config is for any number of threads; nobody writes to it but its count.
// Fork: a config belongs to the process that made it; in a child the locks inside the library's objects may be held for ever.
#ifndef QUOIT_ENGINE_TLS_CONFIG_H
#define QUOIT_ENGINE_TLS_CONFIG_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/tls/policy.h"
#include "engine/tls/rootfind.h"

#define Q_TLS_ALPN_MAX 16         // protocols; a handful exist
#define Q_TLS_PINS_MAX 64         // a chain has three keys, and each may have spares
#define Q_TLS_NAME_MAX 253        // of a host name (RFC 1035)
#define Q_TLS_LIST_MAX 2048       // bytes of a list of ciphers or groups; all names together are shorter
#define Q_TLS_CRL_SOURCES_MAX 64  // files of revocation lists; each may have several
#define Q_TLS_DETAIL_MAX 4096     // of what a failed freeze has to tell
#define Q_TLS_MEMORY_MAX (UINT32_C(16) << 20) // bytes of one source in memory, as of a file

struct q_tls_builder;
struct q_tls_config;

// Bytes in a file, or here.
struct q_tls_source {
    bool is_file;
    struct q_slice value; // path, or bytes; copied by the setter
};

// What reading the trusted certificates had to tell; for those who want to warn.
struct q_tls_roots_facts {
    uint32_t num_certificates;
    uint32_t num_skipped;
};

// q_tls_builder_new gives a builder with the defaults: the system's roots, full verification, TLS 1.2 and 1.3, no client
// certificate, tickets. Errors: NO_MEMORY.
Q_MUST_USE struct q_error q_tls_builder_new(struct q_tls_builder **out, const struct q_alloc *alloc);

// q_tls_builder_destroy wipes and frees; NULL is nothing. Configs that were frozen from it stay.
void q_tls_builder_destroy(struct q_tls_builder *builder);

// Each setter below copies what it is given, and takes the place of what was set before. Errors of all: INVALID_ARGUMENT,
// FROZEN, NO_MEMORY; further ones are named.

// q_tls_builder_set_roots chooses the trusted certificates: one source, and no other is looked at. The value of
// Q_ROOTS_SYSTEM is empty.
Q_MUST_USE struct q_error q_tls_builder_set_roots(struct q_tls_builder *builder, enum q_roots_kind kind,
                                                  struct q_slice value);

// q_tls_builder_add_roots adds a source to whichever is chosen; at most Q_ROOTS_SOURCES_MAX - 1 of them.
Q_MUST_USE struct q_error q_tls_builder_add_roots(struct q_tls_builder *builder, enum q_roots_kind kind,
                                                  struct q_slice value);

// q_tls_builder_set_environment takes SSL_CERT_FILE and SSL_CERT_DIR for the system's roots from a NULL-terminated list of
// "NAME=value"; NULL is an empty one. Nothing is ever read from the process's own environment.
Q_MUST_USE struct q_error q_tls_builder_set_environment(struct q_tls_builder *builder, const char *const *environment);

// q_tls_builder_set_probe_prefix puts a path in front of the well-known places. A seam for tests.
Q_MUST_USE struct q_error q_tls_builder_set_probe_prefix(struct q_tls_builder *builder, struct q_slice prefix);

// q_tls_builder_set_verify sets how the server is checked; anything but the two values of the enum is refused.
Q_MUST_USE struct q_error q_tls_builder_set_verify(struct q_tls_builder *builder, uint32_t verify);

// q_tls_builder_set_verify_point has the host asked about servers, besides all else. The builder and each config hold the
// point. A serial of 0 goes with Q_TLS_ASKS_NEVER, and takes it away.
Q_MUST_USE struct q_error q_tls_builder_set_verify_point(struct q_tls_builder *builder, const struct q_tls_point *point,
                                                         enum q_tls_asks_verify asks);

// q_tls_builder_set_identity sets the client certificate, with its chain behind it, and its key; `key` with an empty value
// is in the same source. PEM or DER. `passphrase` may be empty. An empty chain takes the identity away.
Q_MUST_USE struct q_error q_tls_builder_set_identity(struct q_tls_builder *builder, struct q_tls_source chain,
                                                     struct q_tls_source key, struct q_slice passphrase);

// q_tls_builder_set_identity_point sets the client certificate whose key somebody else has, who is asked to sign.
Q_MUST_USE struct q_error q_tls_builder_set_identity_point(struct q_tls_builder *builder, struct q_tls_source chain,
                                                           const struct q_tls_point *point);

// q_tls_builder_set_versions sets the range that may be spoken (enum q_tls_version).
Q_MUST_USE struct q_error q_tls_builder_set_versions(struct q_tls_builder *builder, unsigned min, unsigned max);

// q_tls_builder_set_ciphers sets those of TLS 1.2, in OpenSSL's notation, every word of which must be known; those of 1.3
// are all good and not chosen. One that does not encrypt is refused. Empty: the default. Errors: TLS_BAD_CIPHERS.
Q_MUST_USE struct q_error q_tls_builder_set_ciphers(struct q_tls_builder *builder, struct q_slice ciphers);

// q_tls_builder_set_groups sets the groups of the key exchange, between colons, the best first. Empty: the default.
// Errors: TLS_BAD_GROUPS.
Q_MUST_USE struct q_error q_tls_builder_set_groups(struct q_tls_builder *builder, struct q_slice groups);

// q_tls_builder_set_alpn sets the protocols to offer, the best first; none twice. None: http/1.1.
Q_MUST_USE struct q_error q_tls_builder_set_alpn(struct q_tls_builder *builder, const struct q_slice *protocols,
                                                 size_t protocols_len);

// q_tls_builder_set_sni sets what the server is told of the name: `name` with Q_TLS_SNI_NAME, else empty.
Q_MUST_USE struct q_error q_tls_builder_set_sni(struct q_tls_builder *builder, enum q_tls_sni sni, struct q_slice name);

// q_tls_builder_set_verify_name sets the name or address that the certificate must be for, when it is not the one that is
// connected to. Empty: that one.
Q_MUST_USE struct q_error q_tls_builder_set_verify_name(struct q_tls_builder *builder, struct q_slice name);

// q_tls_builder_set_switch turns one switch of enum q_tls_switch on or off.
Q_MUST_USE struct q_error q_tls_builder_set_switch(struct q_tls_builder *builder, enum q_tls_switch which, bool is_on);

// q_tls_builder_set_key_log sets the file into which secrets are written (keylog.h). Empty: none.
Q_MUST_USE struct q_error q_tls_builder_set_key_log(struct q_tls_builder *builder, struct q_slice path);

// q_tls_builder_add_pin adds the SHA-256 of a public key (SubjectPublicKeyInfo), one of which must be in the chain. At most
// Q_TLS_PINS_MAX.
Q_MUST_USE struct q_error q_tls_builder_add_pin(struct q_tls_builder *builder, const uint8_t pin[Q_CRYPTO_DIGEST_LEN]);

// q_tls_builder_add_crls adds revocation lists. With any, each certificate below a trusted one must be covered by one. At
// most Q_TLS_CRL_SOURCES_MAX times.
Q_MUST_USE struct q_error q_tls_builder_add_crls(struct q_tls_builder *builder, struct q_tls_source source);

// q_tls_builder_freeze makes the config. Blocks on files. Errors: INVALID_ARGUMENT (settings that contradict each other: 0-RTT
// without tickets or TLS 1.3), FROZEN, NO_MEMORY, TLS_NO_TRUST_STORE, TLS_NO_ROOTS,
// TLS_FILE with the errno, TLS_FILE_TOO_LARGE, TLS_BAD_CERTIFICATE, TLS_BAD_KEY, TLS_BAD_PASSPHRASE, TLS_KEY_MISMATCH,
// TLS_BAD_CRL. What more there is to say about a failure is in q_tls_builder_detail.
Q_MUST_USE struct q_error q_tls_builder_freeze(struct q_tls_builder *builder, struct q_tls_config **out);

// q_tls_builder_detail tells which file the last freeze failed at, or the places that were looked at; "" when there is
// nothing to add. No secrets. It lives as long as the builder, until the next freeze.
const char *q_tls_builder_detail(const struct q_tls_builder *builder);

// q_tls_config_acquire adds a reference for a caller that holds one. Any thread.
struct q_tls_config *q_tls_config_acquire(struct q_tls_config *config);

// q_tls_config_release ends one; NULL is nothing. Behind it the caller does not touch the config. Any thread.
void q_tls_config_release(struct q_tls_config *config);

// q_tls_config_is_ours tells whether this process made the config, and not its parent: of a parent's nothing but the digest
// and the policy may be looked at.
bool q_tls_config_is_ours(const struct q_tls_config *config);

// q_tls_config_digest gives Q_CRYPTO_DIGEST_LEN bytes that live as long as the config. To be compared, never written down.
const uint8_t *q_tls_config_digest(const struct q_tls_config *config);

// q_tls_config_identity gives as many bytes, of the same configuration, which are equal in every process that runs this
// version; unless `out_is_local`, when there is a decision point in it, and they are good in this process alone. They live as
// long as the config, and are no secret of the same weight.
const uint8_t *q_tls_config_identity(const struct q_tls_config *config, bool *out_is_local);

// q_tls_config_policy gives what the config says; it lives as long as the config.
const struct q_tls_policy *q_tls_config_policy(const struct q_tls_config *config);

// q_tls_config_has_pin tells whether a public key is pinned, by its SHA-256.
bool q_tls_config_has_pin(const struct q_tls_config *config, const uint8_t spki[Q_CRYPTO_DIGEST_LEN]);

// q_tls_config_roots_facts tells of the trusted certificates; zeros when verification is off.
struct q_tls_roots_facts q_tls_config_roots_facts(const struct q_tls_config *config);

#endif

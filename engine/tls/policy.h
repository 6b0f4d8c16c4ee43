// Policy: what a TLS configuration says besides its certificates and keys, as a plain value; and the digest under which a
// configuration is known.
//
// The digest is a code under the process's key (crypto.h) of a canonical text: each field with its number, whether it is
// there, its length and its bytes, so that no two different configurations have one text. In it is everything that affects
// whom we trust and who we are: two connections may be mixed up if and only if their digests are equal. The order counts
// where it has a meaning (ALPN, the chain, and the lists of ciphers and groups, which are taken letter by letter), and does
// not where it has none (trusted certificates, revocation lists, pins). Decision points are in it by serial, never by
// address. Not in it: passphrases, time limits, where files lay, the allocator.
//
// Life: value types; slices and pointers borrow from whoever holds the policy. Thread-free: no state.
#ifndef QUOIT_ENGINE_TLS_POLICY_H
#define QUOIT_ENGINE_TLS_POLICY_H

#include "engine/base/slice.h"
#include "engine/tls/crypto.h"

// TLS 1.0 and 1.1 need signatures with SHA-1 and MD5, and are not spoken.
enum q_tls_version { Q_TLS_1_2 = 0x0303, Q_TLS_1_3 = 0x0304 };

// How the server is checked. The second value is neither 1 nor -1: nobody gets it by mistake.
enum q_tls_verify {
    Q_TLS_VERIFY_FULL = 0,
    Q_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING = 0x0ff5afe0,
};

enum q_tls_sni {
    Q_TLS_SNI_HOST = 0, // the name that is connected to; none for an address
    Q_TLS_SNI_NAME,     // another name
    Q_TLS_SNI_OFF,
};

// What is on or off. Bits.
enum q_tls_switch {
    Q_TLS_TICKETS = 1,        // sessions are kept and resumed; on unless turned off
    Q_TLS_EARLY_DATA = 2,     // 0-RTT, for idempotent requests; needs tickets and TLS 1.3
    Q_TLS_GREASE = 4,         // reserved values in the hello keep servers honest
    Q_TLS_STAPLE = 8,         // the server is asked for its OCSP response, whose bytes go to the host
    Q_TLS_KEY_LOG_EVENTS = 16, // the secrets of each connection go to the host as events
    Q_TLS_COMPRESSION = 32,   // the server may compress its certificates
    Q_TLS_SWITCHES = 63,
};

// Whether the host has a say in the verification, and how far it goes.
enum q_tls_asks_verify {
    Q_TLS_ASKS_NEVER,
    Q_TLS_ASKS_IF_GOOD, // it may refuse what the policy takes
    Q_TLS_ASKS_ALWAYS,  // it has the last word, for better and for worse, over all but the pins
};

// A decision of the host's: a question that is asked instead of something that the engine does itself. `serial` is unique
// in the process and never 0 (0: there is no point). Who copies a point holds it by `acquire`, and lets it go by `release`;
// both may be NULL. They are called with `owner`, from any thread.
struct q_tls_point {
    uint64_t serial;
    void *context; // told with each question; of the host's alone, and never looked at
    void *owner;
    void (*acquire)(void *owner);
    void (*release)(void *owner);
};

struct q_tls_policy {
    uint32_t verify;   // enum q_tls_verify
    uint32_t sni;      // enum q_tls_sni
    uint32_t switches; // of enum q_tls_switch
    uint16_t min_version;
    uint16_t max_version;
    struct q_slice sni_name;     // lower case; with Q_TLS_SNI_NAME
    struct q_slice verify_name;  // of the certificate, when it is not the name that is connected to; lower case
    struct q_slice ciphers;      // of TLS 1.2; empty: the default
    struct q_slice groups;       // empty: the default
    struct q_slice alpn;         // each protocol behind a byte with its length; empty: http/1.1
    struct q_slice key_log_path; // empty: none
    const uint8_t (*pins)[Q_CRYPTO_DIGEST_LEN]; // SHA-256 of public keys, in order and each once; one must be in the chain
    size_t num_pins;
    struct q_tls_point verify_point; // asked besides everything else, as far as `asks_verify` says
    uint32_t asks_verify;            // enum q_tls_asks_verify
    struct q_tls_point key_point;    // signs for the client certificate
};

// What is digested besides the policy; borrowed for the call. The lists hold SHA-256 of DER.
struct q_tls_material {
    const uint8_t *roots;                        // q_roots_digest; NULL: none
    const uint8_t (*chain)[Q_CRYPTO_DIGEST_LEN]; // the client certificate first. Its key need not be here: it fits
    size_t chain_len;
    const uint8_t (*crls)[Q_CRYPTO_DIGEST_LEN]; // in order of their bytes
    size_t crls_len;
};

// q_tls_policy_digest digests a configuration.
void q_tls_policy_digest(const struct q_tls_policy *policy, const struct q_tls_material *material,
                         uint8_t out[Q_CRYPTO_DIGEST_LEN]);

// q_tls_policy_identify digests it without a key: equal for equal configurations in every process, but for decision points,
// whose serials mean nothing elsewhere. It tells nobody anything who cannot guess the configuration, and is kept secret all
// the same.
void q_tls_policy_identify(const struct q_tls_policy *policy, const struct q_tls_material *material,
                           uint8_t out[Q_CRYPTO_DIGEST_LEN]);

// q_tls_policy_sort orders digests and drops repetitions; the number that is left.
size_t q_tls_policy_sort(uint8_t (*digests)[Q_CRYPTO_DIGEST_LEN], size_t count);

// q_tls_point_hold and q_tls_point_drop call a point's functions, if it is one and has any.
void q_tls_point_hold(const struct q_tls_point *point);
void q_tls_point_drop(const struct q_tls_point *point);

// q_tls_point_draw draws a serial for a point. Any thread.
uint64_t q_tls_point_draw(void);

#endif

// Verify: whether a server's certificates are what a policy demands, and if not, why, as one kind.
//
// Vocabulary. The *chain* is what the server sent, its own certificate (the *leaf*) first. The *path* is what is built out
// of it, from the leaf to an *anchor*, a certificate of the policy's roots, which need not be signed by itself. A *pin* is
// the SHA-256 of a key as certificates hold it (SubjectPublicKeyInfo).
//
// The order of what is looked at decides which kind is told of a chain with several faults: the path (trust, times,
// purpose, signatures, revocation), weak keys and signatures, the name, the pins. Of a host that may overrule a verdict the
// pins come first: they are what it may not overrule, so a missing one must not hide behind anything else.
//
// Ours and not the handshake's own: that one checks no hash, no key length and no pin, keeps every parsed certificate as
// long as the session lives (20 KiB for a common chain, when an idle connection may have 8), and cannot wait for a host's
// answer. What is parsed here is gone when the call returns. Building the path and comparing names are the library's.
//
// What is stricter than the library's defaults: no MD5 and no SHA-1 in any signature that the path rests on; no RSA key
// under 2048 bits and no other under 224 in leaf and intermediates; names are those of the subject alternative name alone,
// never the common name; a wildcard is one whole leftmost label and stands for one, and two labels follow it at least.
//
// Thread-free: no state; a policy is read only, and may be shared by threads.
#ifndef QUOIT_ENGINE_TLS_VERIFY_H
#define QUOIT_ENGINE_TLS_VERIFY_H

#include "engine/tls/verify_words.h"

#define Q_VERIFY_PIN_LEN 32

// Certificates in a chain; servers send up to five. Bounds the work that a server can ask for before it is known.
#define Q_VERIFY_CHAIN_MAX 16

struct stack_st_CRYPTO_BUFFER;
struct stack_st_X509_CRL;
struct x509_store_st;

// What is demanded. All that it points at outlives it and does not change.
struct q_verify_policy {
    struct x509_store_st *roots;    // the anchors; NULL: there are none
    struct stack_st_X509_CRL *crls; // NULL: revocation is not looked at. Else a list is needed for each certificate of the
                                    // path but the anchor
    const uint8_t (*pins)[Q_VERIFY_PIN_LEN];
    size_t num_pins;                // 0: none demanded. Else one key of the path has to be among them
    int64_t now_s;                  // since 1970; 0: the system's time. A seam for tests and simulation
    bool skips_path; // anybody may have made the chain; pins are then looked for in the leaf alone, whose key the server has
    bool skips_name; // it may be for any name
    bool puts_pins_first; // a missing pin is told before all else but want of memory; where no good path is, pins are
                          // looked for in the leaf alone, as with skips_path
};

// q_verify looks at `chain` on behalf of a client that wants to talk to `name`: a host name, or an address without
// brackets. What is empty matches nothing.
// Kinds: TLS_CERT_EXPIRED, TLS_CERT_NOT_YET_VALID, TLS_NAME_MISMATCH, TLS_UNTRUSTED_ROOT, TLS_SELF_SIGNED,
// TLS_CERT_REVOKED, TLS_PIN_MISMATCH, TLS_BAD_PURPOSE, TLS_WEAK_KEY, TLS_WEAK_SIGNATURE, TLS_BAD_CHAIN, TLS_NO_CRL,
// NO_MEMORY; all of the phase TLS.
void q_verify(const struct q_verify_policy *policy, const struct stack_st_CRYPTO_BUFFER *chain, struct q_slice name,
              struct q_verify_verdict *out);

#endif

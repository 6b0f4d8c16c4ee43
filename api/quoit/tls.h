// How TLS is spoken and whom it trusts. Hosts include quoit.h.
//
// A configuration is built by one thread, frozen, and then shared by any number of requests, engines and threads. What
// holds for all of them stands in api/README.md under "TLS".
#ifndef QUOIT_TLS_H
#define QUOIT_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

// quoit_tls is a TLS configuration: a counted pointer.
struct quoit_tls;

// quoit_der is a piece of DER, as it was on the wire: not checked by anybody, unless what it came with says so. It is
// valid as long as that.
struct quoit_der {
    const void *data;
    size_t len;
};

// quoit_certificates is a chain of certificates (X.509, RFC 5280), as the server sent it, its own first. Those behind it
// may be out of order, superfluous or foreign: what was trusted of them is not told by this. `list` and what it points at
// are valid as long as what they came with. NULL and 0: none.
struct quoit_certificates {
    const struct quoit_der *list;
    size_t count;
};

// quoit_tls_report is what is known of a server's certificates, and of what was found wrong. It, and all that it points at,
// is valid as long as the event that it came with. Texts are printable ASCII, and never NULL; what stands in a certificate is
// the server's word.
struct quoit_tls_report {
    struct quoit_certificates certificates; // that the server sent; of a resumed session, had sent when it was made. None
                                            // when it sent none, or when 4 MiB of them are out in events
    struct quoit_der staple; // the server's OCSP response (RFC 6960), which nobody has read or checked; QUOIT_TLS_STAPLE
    const char *message;     // of a failure: what went wrong, in a sentence that says more than quoit_error_sentence, as
                             // which certificate it was and until when it was valid; else ""
    const char *subject;     // of the certificate that the failure is about ("CN=a.example,O=A", RFC 4514), cut at 255; ""
    const char *issuer;      // likewise, of who signed it
    int32_t depth;           // of that certificate: 0 is the server's own, 1 the one that signed it; -1: it is about none
    uint32_t reserved;
};

// Where certificates, keys and lists come from. Paths and bytes are given with their length, and copied.
enum quoit_tls_source {
    QUOIT_TLS_SYSTEM = 0, // trusted certificates alone: SSL_CERT_FILE and SSL_CERT_DIR of an environment that was given,
                          // else the well-known places of distributions. No path.
    QUOIT_TLS_FILE = 1,   // PEM, or one object as DER
    QUOIT_TLS_FOLDER = 2, // trusted certificates alone: every file in it; what is no certificate is skipped
    QUOIT_TLS_MEMORY = 3, // the bytes themselves, as in a file
};

// quoit_tls_new begins a configuration with the defaults: the system's trusted certificates, full verification, TLS 1.2 and
// 1.3, no client certificate. It belongs to the calling thread until quoit_tls_freeze. Free with quoit_tls_release. It
// belongs to no engine, and its memory comes from malloc. Errors: INVALID_ARGUMENT, NO_MEMORY.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_new(struct quoit_tls **out);

// Each setter below takes the place of what was set before, copies what it is given, and takes it whole or refuses it and
// changes nothing. Builder's thread. Errors of all: INVALID_ARGUMENT, FROZEN, NO_MEMORY; further ones are named.

// quoit_tls_set_roots chooses the trusted certificates, by enum quoit_tls_source: one source, and no other is looked at.
// `data` and `len` are the path or the bytes (16 MiB at most); NULL and 0 for the system's.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_roots(struct quoit_tls *tls, uint32_t source, const void *data,
                                                     size_t len);

// quoit_tls_add_roots trusts one more source, beside the chosen one; 15 at most.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_add_roots(struct quoit_tls *tls, uint32_t source, const void *data,
                                                     size_t len);

// quoit_tls_set_environment takes SSL_CERT_FILE and SSL_CERT_DIR for QUOIT_TLS_SYSTEM from a NULL-terminated list of
// "NAME=value" texts; a host that wants its own environment looked at gives `environ`. NULL: none, as at the beginning.
// Nothing is ever read from the process's own environment.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_environment(struct quoit_tls *tls, const char *const *environment);

// How the server is checked. The second value is neither 1 nor -1: nobody gets it by mistake.
enum quoit_tls_verify {
    QUOIT_TLS_VERIFY_FULL = 0, // chain, times, purpose, name
    QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING = 0x0ff5afe0,
};

// quoit_tls_set_verify sets how the server is checked (enum quoit_tls_verify). With the second value nothing of its
// certificate is checked; with pins, its own key must be one of them. For tests.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_verify(struct quoit_tls *tls, uint32_t verify);

// A client certificate and its key.
struct quoit_tls_identity {
    uint32_t struct_size;
    uint32_t chain_source;  // QUOIT_TLS_FILE or QUOIT_TLS_MEMORY
    uint32_t key_source;    // likewise
    uint32_t reserved;
    const void *chain;      // the certificate, and behind it those that lead to a root; 16 at most
    size_t chain_len;
    const void *key;        // PKCS #8, or one of the older forms. NULL and 0: it is in the chain's source
    size_t key_len;
    const void *passphrase; // of a locked key; NULL and 0: none. 1000 bytes at most
    size_t passphrase_len;
};

// quoit_tls_set_identity sets the client certificate for servers that ask for one. Key and passphrase are overwritten in our
// memory when they are not needed any more. NULL takes it away. Errors: INVALID_STRUCT_SIZE, too.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_identity(struct quoit_tls *tls, const struct quoit_tls_identity *identity);

// TLS 1.0 and 1.1 are not spoken.
enum quoit_tls_version {
    QUOIT_TLS_1_2 = 0x0303,
    QUOIT_TLS_1_3 = 0x0304,
};

// quoit_tls_set_versions sets the range that may be spoken (enum quoit_tls_version). 0: the least, or the most, that there is.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_versions(struct quoit_tls *tls, uint32_t min, uint32_t max);

// quoit_tls_set_ciphers sets the cipher suites of TLS 1.2, in OpenSSL's notation, 2048 bytes at most; those of TLS 1.3 are all
// good, and not chosen. A word that is not known is refused, and so is a suite that does not encrypt. NULL and 0: the default,
// which is what has forward secrecy and authenticated encryption. Errors: TLS_BAD_CIPHERS, too.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_ciphers(struct quoit_tls *tls, const char *ciphers, size_t len);

// quoit_tls_set_groups sets the groups of the key exchange, the best first, with colons between ("X25519:P-256"). NULL and 0:
// the default. Errors: TLS_BAD_GROUPS, too.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_groups(struct quoit_tls *tls, const char *groups, size_t len);

// quoit_tls_set_alpn sets the protocols that are offered to the server, with commas between, the best first (ALPN, RFC 7301).
// NULL and 0: the default, which is "http/1.1". What is spoken here is HTTP/1.1: another name is for servers that want it under
// that one, and is offered on the host's word; names of other protocols (h2, h3, spdy ...) are refused. 16 at most, of 31
// octets each, none twice. A server that chooses what was not offered ends it with TLS_BAD_ALPN; one that chooses nothing is
// spoken to all the same. quoit_summary.tls_alpn has the choice. Errors: TLS_BAD_PROTOCOLS, too.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_alpn(struct quoit_tls *tls, const char *protocols, size_t len);

// What the server is told of the name, in clear text (SNI, RFC 6066 section 3).
enum quoit_tls_sni {
    QUOIT_TLS_SNI_HOST = 0, // the URL's host; nothing when that is an address
    QUOIT_TLS_SNI_NAME = 1, // another name
    QUOIT_TLS_SNI_OFF = 2,  // nothing
};

// quoit_tls_set_sni sets what the server is told (enum quoit_tls_sni): `name` with QUOIT_TLS_SNI_NAME, else NULL and 0. A name
// is letters, digits, hyphens, underscores and dots; an address is none. What is verified does not change by it.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_sni(struct quoit_tls *tls, uint32_t sni, const char *name, size_t len);

// quoit_tls_set_verify_name sets the name, or the address, that the certificate must be for, when that is not the URL's
// host. NULL and 0: the URL's host.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_verify_name(struct quoit_tls *tls, const char *name, size_t len);

// quoit_tls_add_pin pins a public key: the SHA-256 of its SubjectPublicKeyInfo, 32 bytes (RFC 7469 section 2.4). With pins one
// of them must be in the server's chain, besides all else. 64 at most.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_add_pin(struct quoit_tls *tls, const void *sha256, size_t len);

// quoit_tls_add_crls adds revocation lists, from QUOIT_TLS_FILE or QUOIT_TLS_MEMORY (RFC 5280 section 5). With any, each
// certificate below a trusted one must be covered by one that is up to date. 64 sources at most, with 256 lists.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_add_crls(struct quoit_tls *tls, uint32_t source, const void *data, size_t len);

// ---------------------------------------------------------------------------------------------------------------
// The host's own decisions. They arrive as questions on the port of a request (QUOIT_EVENT_QUESTION in quoit.h) and are
// answered from any thread.

// quoit_tls_point is a decision point: a name by which the host knows who is asking, and knows when nobody can ask any more.
// A counted pointer. Each point is one of its own for ever: configurations with the same point are equal in it, those with
// two points are not, whatever their contexts; so a connection that one point has trusted serves no request of another's.
struct quoit_tls_point;

// Called once, when the point's last holder has gone: the host's own holds, configurations, and all that was made under
// them, which is requests, engines' contexts and connections, and questions that the host has not advanced over. An engine
// keeps a context for five minutes behind its last connection; quoit_engine_invalidate_tls ends it at once, or with the
// connections that still serve; destroy ends all. On the thread that lets go last, from inside the call that does so, or on
// a loop's thread at the publish step. It must not call Quoit. It is not called in a forked child for a point of the
// parent's.
typedef void (*quoit_tls_point_release_fn)(void *context);

// quoit_tls_point_new makes a point. `context` comes back in each question and is not looked at; `release` may be NULL. It
// belongs to no engine, and its memory comes from malloc. Release with quoit_tls_point_release. Any thread.
// Errors: INVALID_ARGUMENT, NO_MEMORY; `release` is not called then.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_point_new(void *context, quoit_tls_point_release_fn release,
                                                     struct quoit_tls_point **out);

// quoit_tls_point_acquire adds a hold of the host's and gives the point back; NULL for NULL, and for what is released.
QUOIT_API struct quoit_tls_point *quoit_tls_point_acquire(struct quoit_tls_point *point);

// quoit_tls_point_release ends one of the host's holds; at once, if you like, behind the configurations that got the point.
// NULL, and one release too many while a configuration has the point, do nothing. Any thread.
QUOIT_API void quoit_tls_point_release(struct quoit_tls_point *point);

// Whether the host has a say about servers, and how far it goes. The last value is not got by mistake.
enum quoit_tls_ask {
    QUOIT_TLS_ASK_NEVER = 0,
    QUOIT_TLS_ASK_BEFORE_TRUSTING = 1, // about servers with which nothing is wrong; it can refuse them
    QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS = 0x0a5caa11, // about all but those without a pinned key; it has the
                                                                     // last word, and can trust one that has expired, is
                                                                     // signed by itself, or another
};

// quoit_tls_set_verify_question has the host asked (QUOIT_QUESTION_TLS_VERIFY) about servers, as enum quoit_tls_ask says,
// once in each handshake, behind all other checks and before anything of the request is sent. `point` is NULL with
// QUOIT_TLS_ASK_NEVER, and with nothing else. With verification off there is nothing wrong with any server.
// Pins are stricter than any answer: with them, a server that has none of the keys is not asked about and fails with
// TLS_PIN_MISMATCH, whatever else is wrong with it. Of one whose chain does not lead to a trusted certificate its own key
// has to be among them: nobody vouches for the others. Nor is anybody asked when there was no memory to look (NO_MEMORY).
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_verify_question(struct quoit_tls *tls, uint32_t ask,
                                                               struct quoit_tls_point *point);

// quoit_tls_set_sign_question sets a client certificate whose key is not in this process, but in a module, an agent, a
// service: for each handshake that needs it the host is asked to sign (QUOIT_QUESTION_TLS_SIGN, quoit_answer_signature).
// `source` and `chain` are as in struct quoit_tls_identity, whose place this takes, and the other way round.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_sign_question(struct quoit_tls *tls, uint32_t source, const void *chain,
                                                             size_t chain_len, struct quoit_tls_point *point);

// What is on or off.
enum quoit_tls_switch {
    QUOIT_TLS_TICKETS = 1, // sessions that servers give are kept, by engine, and resumed by later connections of equal
                           // configurations to the same host and port: a shorter handshake, without a new look at the
                           // server's key (its certificates are looked at again). On.
    QUOIT_TLS_EARLY_DATA = 2, // requests without a body by GET, HEAD and OPTIONS may go out with the first flight of a
                           // connection that resumes a session of TLS 1.3, where the server allows it (0-RTT, RFC 8446
                           // section 2.3, RFC 8470). Whoever watches can send them to the server once more, and what they say
                           // is safe only as long as the server keeps its keys. A server that rejects them, or answers 425,
                           // gets them again behind the handshake. Off; needs QUOIT_TLS_TICKETS and TLS 1.3.
                           // Configurations with a decision point of the host's send nothing early.
    QUOIT_TLS_COMPRESSION = 32, // the server may compress its certificates, by brotli or zlib (RFC 8879): some hundred bytes
                          // less in each full handshake of TLS 1.3, for some of our time; off. What a compressed chain may
                          // cost is bounded, as of any. Without either library built in it changes nothing
    QUOIT_TLS_KEY_LOG_EVENTS = 16, // the secrets of each connection come as QUOIT_EVENT_KEY_LOG on the engine's ports that
                          // asked for them (quoit_port_options.key_log); off. WHOEVER HAS THEM CAN READ THE TRAFFIC
    QUOIT_TLS_STAPLE = 8, // the server is asked for its OCSP response (RFC 6066 section 8); off. Its bytes are the host's to
                          // judge: see quoit_tls_report.staple
    QUOIT_TLS_GREASE = 4, // reserved values in our hello, which keep servers honest (RFC 8701); off
};

// What became of a request as early data (QUOIT_TLS_EARLY_DATA).
enum quoit_tls_early {
    QUOIT_TLS_EARLY_NONE = 0,     // it did not go early
    QUOIT_TLS_EARLY_ACCEPTED = 1, // the server took it
    QUOIT_TLS_EARLY_REJECTED = 2, // it did not, and got the request again when the handshake was over
    QUOIT_TLS_EARLY_SENT = 3,     // the connection failed before the server had said
};

// quoit_tls_set_switch turns one switch of enum quoit_tls_switch on (1) or off (0).
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_switch(struct quoit_tls *tls, uint32_t which, int32_t on);

// quoit_tls_set_key_log sets a file to which the secrets of each connection are appended, for a tool that decrypts captured
// traffic (NSS key log format). Whoever has the file can read the traffic. It is made for its owner alone (0600) when it is
// not there; each line opens and writes it on the loop's thread, which waits for that. NULL and 0: none. SSLKEYLOGFILE is
// never looked at.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_set_key_log(struct quoit_tls *tls, const char *path, size_t len);

// quoit_tls_freeze reads the files, checks everything, and ends all change: any thread may then use the configuration, any
// number of times, on any engine. Files are read once, here; a file that changes later is for a later configuration. It
// blocks on them. A second call does nothing.
// `out_failure` (may be NULL) is written always; quoit_tls_detail says which file it was. Builder's thread.
// Errors: INVALID_ARGUMENT, NO_MEMORY, TLS_NO_TRUST_STORE (no certificate at any well-known place), TLS_NO_ROOTS (none in a
// source that was given), TLS_FILE (with the errno), TLS_FILE_TOO_LARGE (16 MiB), TLS_BAD_CERTIFICATE, TLS_BAD_KEY,
// TLS_BAD_PASSPHRASE, TLS_KEY_MISMATCH, TLS_BAD_CRL. All was left as it was, and can be corrected and frozen again.
// TLS_CONFIGS_MAX: 65536 different ones are in use in this process; nothing can be set any more, but it can be frozen again
// when there is room. FORKED: frozen by the parent process.
QUOIT_API QUOIT_MUST_USE int32_t quoit_tls_freeze(struct quoit_tls *tls, struct quoit_failure *out_failure);

// quoit_tls_detail tells what more there is to say about the last freeze's failure: the file and why, as in
// "/etc/client.pem (ENOENT)", or all places that were looked at. "" when there is nothing. No secrets. Never NULL; valid
// until the next freeze or the release. Builder's thread.
QUOIT_API const char *quoit_tls_detail(const struct quoit_tls *tls);

// quoit_tls_acquire adds a holder and gives the configuration back; NULL for NULL, and for what is released. Any thread,
// frozen ones only.
QUOIT_API struct quoit_tls *quoit_tls_acquire(struct quoit_tls *tls);

// quoit_tls_release ends the caller's hold; the last one frees. Requests and engines that were given it have holds of
// their own on what is in it, so it may be released at once. NULL does nothing. Behind its end the pointer must not be used:
// api/README.md. Any thread.
QUOIT_API void quoit_tls_release(struct quoit_tls *tls);

#ifdef __cplusplus
}
#endif

#endif  // QUOIT_TLS_H

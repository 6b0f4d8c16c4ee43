// Bad TLS servers, made by the test itself: each does one thing wrong, on a thread of its own, over a loopback socket.
//
// Vocabulary. A *kind* is what is wrong; bad_tls_error gives the error that a client must tell of it. The good ones are
// kinds too: a table without them would pass for a client that fails always. Every server is for BAD_TLS_HOST (a name
// that no resolver knows; the client connects to 127.0.0.1 at bad_tls_port) and asks to be trusted through
// bad_tls_roots, which is one root; between it and the leaf there is one intermediate. A *record* is one of TLS's,
// counted from the server's first; what it sends is cut into records of 512 bytes, so that a handshake has several.
//
// A server serves one connection after the other, each in the same way: it reads a request, answers, and closes.
// Whatever its kind, it ends the connection with FIN and reads on until the client closes, so that nothing it said is
// lost in a reset (but for BAD_TLS_RESET). Nobody sleeps; a client that does nothing for BAD_TLS_WAIT_MS is left.
//
// Life: bad_tls_start returns a server that listens, bad_tls_stop ends and frees it. Any thread may call; what cannot
// go on aborts the test.
#ifndef QUOIT_TESTS_SUPPORT_BAD_TLS_H
#define QUOIT_TESTS_SUPPORT_BAD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAD_TLS_HOST         "good.example"
#define BAD_TLS_WAIT_MS      20000
#define BAD_TLS_BODY_LEN     1000 // of every answer, bytes 'a' to 'z' in turn
#define BAD_TLS_EVERY_RECORD UINT32_MAX

enum bad_tls_kind {
    // The good ones.
    BAD_TLS_NONE,             // Content-Length and close_notify
    BAD_TLS_LENGTH_UNCLOSED,  // the whole body by its Content-Length, then FIN without close_notify
    BAD_TLS_CHUNKED_UNCLOSED, // likewise, chunked
    BAD_TLS_TO_THE_END,       // a body without a length, and close_notify
    // Certificates.
    BAD_TLS_EXPIRED,
    BAD_TLS_EXPIRED_MIDDLE, // the intermediate
    BAD_TLS_NOT_YET_VALID,
    BAD_TLS_WRONG_NAME,
    BAD_TLS_NAME_IN_CN_ALONE,
    BAD_TLS_WIDE_WILDCARD, // *.example
    BAD_TLS_NO_NAME,
    BAD_TLS_SELF_SIGNED,
    BAD_TLS_UNTRUSTED_ROOT, // a whole chain, root included, of another authority
    BAD_TLS_NO_MIDDLE,      // the leaf alone
    BAD_TLS_WRONG_CHAIN,    // with an intermediate that is another leaf's
    BAD_TLS_FORGED,         // the leaf's signature is wrong
    BAD_TLS_GARBLED_CHAIN,  // the intermediate cannot be parsed
    BAD_TLS_LEAF_ISSUED,    // the intermediate is no CA
    BAD_TLS_FOR_CLIENTS,    // the leaf's purpose is another
    BAD_TLS_WEAK_RSA,       // 1024 bits
    BAD_TLS_MD5,            // in the leaf's signature
    BAD_TLS_SHA1,           // likewise
    // The handshake.
    BAD_TLS_OLD_VERSION, // a server that cannot do better than TLS 1.1
    BAD_TLS_OLD_HELLO,   // one that answers with TLS 1.1 all the same
    BAD_TLS_OTHER_PROTOCOL, // it chooses h2, whatever it was offered
    BAD_TLS_BAD_SIGNATURE,  // the handshake's is none: it has the certificate, and not the key
    BAD_TLS_GARBAGE,
    BAD_TLS_ZEROS,
    BAD_TLS_LONG_RECORD, // longer than may be
    BAD_TLS_PLAIN_HTTP,
    BAD_TLS_ALERT,         // handshake_failure
    BAD_TLS_RESET,         // RST in place of a ServerHello
    BAD_TLS_CLOSE,         // FIN likewise
    BAD_TLS_SILENT,        // nothing at all
    BAD_TLS_SILENT_MIDWAY, // nothing behind the first record
    // Connections that are cut.
    BAD_TLS_TRUNCATED,         // FIN behind `records` whole records and `bytes` of the next
    BAD_TLS_LENGTH_CUT,        // FIN without close_notify in the middle of a body with a length
    BAD_TLS_LENGTH_CUT_CLOSED, // close_notify in the middle of such a body
    BAD_TLS_CHUNKED_CUT,       // FIN without close_notify between two chunks
    BAD_TLS_TO_THE_END_CUT,    // FIN without close_notify at the end of a body without a length
    BAD_TLS_HEAD_ALONE,        // close_notify in place of an answer
    BAD_TLS_BODY_GARBLED,      // the body's last record fails its MAC
    BAD_TLS_BODY_ALERT,        // internal_error in the middle of the body
    BAD_TLS_COUNT,
};

struct bad_tls_options {
    enum bad_tls_kind kind;
    uint16_t version; // 0x0303 or 0x0304, and no other; 0: both
    uint32_t records; // of BAD_TLS_TRUNCATED
    uint32_t bytes;
    bool is_eager; // it answers before it is asked: in one piece with its last words of the handshake
};

// struct bad_tls_facts is what a server has seen; on all connections.
struct bad_tls_facts {
    uint32_t num_connections; // that are over
    uint32_t num_records;     // sent whole on the last of them
    uint32_t num_shaken;      // records sent when the last's handshake was over; 0: it never was
    uint32_t num_requests;    // heads that came whole
    bool was_left;            // a client did nothing for too long
};

struct bad_tls;

// bad_tls_start starts a server. bad_tls_stop ends it, whatever it does, and says what it has seen (`out` may be NULL).
struct bad_tls *bad_tls_start(const struct bad_tls_options *options);
void bad_tls_stop(struct bad_tls *server, struct bad_tls_facts *out);

// bad_tls_wait waits until `num` connections are over, and gives the facts; it aborts the test when they are not in
// time.
struct bad_tls_facts bad_tls_wait(struct bad_tls *server, uint32_t num);

uint16_t bad_tls_port(const struct bad_tls *server);

// bad_tls_roots gives the root to trust, as PEM. It is the same for all servers, and stays for good.
const char *bad_tls_roots(void);

// bad_tls_title says what is wrong, bad_tls_error the name of the error that must be told of it, or NULL for the good
// ones. bad_tls_is_cut: the request has been sent; otherwise not a byte of it may leave.
const char *bad_tls_title(enum bad_tls_kind kind);
const char *bad_tls_error(enum bad_tls_kind kind);
bool bad_tls_is_cut(enum bad_tls_kind kind);

#endif

// What can go wrong, and what is known of it. Hosts include quoit.h.
#ifndef QUOIT_ERROR_H
#define QUOIT_ERROR_H

#include <stdint.h>

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

// quoit_error numbers never change meaning. 0 is no error; the hundreds are the category. Names, sentences and hints
// come from the functions below. A test keeps this list equal to the engine's own table.
enum quoit_error {
    QUOIT_OK = 0, // no error
    QUOIT_ERR_INVALID_ARGUMENT = 100, // an argument is NULL, out of range or contradicts another
    QUOIT_ERR_INVALID_STRUCT_SIZE = 101, // the struct's size field is not one that this library knows
    QUOIT_ERR_INVALID_URL = 102, // the URL is not valid
    QUOIT_ERR_UNSUPPORTED_SCHEME = 103, // the URL's scheme is not supported
    QUOIT_ERR_INVALID_METHOD = 104, // the method is not a token that may be sent
    QUOIT_ERR_INVALID_HEADER_NAME = 105, // a header name is not a token
    QUOIT_ERR_INVALID_HEADER_VALUE = 106, // a header value holds a control byte such as CR, LF or NUL
    QUOIT_ERR_FORBIDDEN_HEADER = 107, // this header is set by the engine and may not be given
    QUOIT_ERR_FROZEN = 108, // the object is frozen and cannot be changed
    QUOIT_ERR_NOT_FROZEN = 109, // the object must be frozen first
    QUOIT_ERR_STALE_HANDLE = 110, // the handle names something that is gone
    QUOIT_ERR_WRONG_THREAD = 111, // this call is not allowed on this thread
    QUOIT_ERR_WRONG_MODE = 112, // this call does not fit the mode of the engine or port
    QUOIT_ERR_BUSY = 113, // the object is still in use
    QUOIT_ERR_NOT_CLOSED = 114, // the engine must have closed before it is destroyed
    QUOIT_ERR_FORKED = 115, // the object belongs to the parent process; create a new engine in the child
    QUOIT_ERR_HEADERS_CHANGED = 116, // the header block changed under its iterator
    QUOIT_ERR_NOT_UPGRADED = 117, // the connection was not upgraded, so nothing can be fed into it
    QUOIT_ERR_NO_MEMORY = 200, // out of memory
    QUOIT_ERR_RING_NOT_SUPPORTED = 201, // the kernel has no io_uring; Linux 6.1 or later is needed
    QUOIT_ERR_RING_TOO_OLD = 202, // the kernel's io_uring lacks what is needed; Linux 6.1 or later is needed
    QUOIT_ERR_RING_SYSCTL = 203, // io_uring is switched off by the sysctl kernel.io_uring_disabled; set it to 0
    QUOIT_ERR_RING_SECCOMP = 204, // io_uring is refused, most likely by a seccomp profile
    QUOIT_ERR_RING_MEMLOCK = 205, // the ring's memory is refused by RLIMIT_MEMLOCK; raise ulimit -l or close other rings
    QUOIT_ERR_RING_FAILED = 206, // the ring could not be set up or stopped working
    QUOIT_ERR_THREAD_FAILED = 207, // the engine's thread could not be started
    QUOIT_ERR_FD_LIMIT = 208, // no free descriptor; raise ulimit -n
    QUOIT_ERR_ENGINES_MAX = 209, // too many engines are alive in this process
    QUOIT_ERR_PORTS_MAX = 210, // an engine has at most 256 ports
    QUOIT_ERR_NAME_NOT_FOUND = 300, // the host name is not known
    QUOIT_ERR_NAME_NO_ADDRESS = 301, // the host name has no address of a usable family
    QUOIT_ERR_NAME_SERVER_FAILED = 302, // the name servers could not find out about the host name
    QUOIT_ERR_NAME_SERVER_REFUSED = 303, // the name servers refuse to answer
    QUOIT_ERR_NAME_BAD_ANSWER = 304, // the name servers' answers are not valid DNS
    QUOIT_ERR_NAME_SERVERS_SILENT = 305, // no name server answered
    QUOIT_ERR_CONNECT_REFUSED = 310, // the peer refused the connection
    QUOIT_ERR_CONNECT_UNREACHABLE = 311, // the peer's host or network is unreachable
    QUOIT_ERR_CONNECT_TIMED_OUT = 312, // the kernel gave up on connecting
    QUOIT_ERR_CONNECT_FAILED = 313, // connecting failed
    QUOIT_ERR_SOCKET_FAILED = 314, // a socket could not be made
    QUOIT_ERR_BIND_FAILED = 315, // the request's local address could not be bound
    QUOIT_ERR_NO_LOCAL_PORT = 316, // no local port is free towards the peer
    QUOIT_ERR_OPTION_REFUSED = 317, // the kernel refused an option of the request's socket
    QUOIT_ERR_CONNECTION_RESET = 400, // the peer reset the connection
    QUOIT_ERR_CONNECTION_CLOSED = 401, // the peer closed the connection before it answered
    QUOIT_ERR_CONNECTION_FAILED = 402, // the connection failed
    QUOIT_ERR_MAYBE_PROCESSED = 403, // a re-used connection died without an answer; the peer may have processed the request
    QUOIT_ERR_TLS_CERT_EXPIRED = 500, // a certificate of the server's chain has expired
    QUOIT_ERR_TLS_CERT_NOT_YET_VALID = 501, // a certificate of the server's chain is not valid yet
    QUOIT_ERR_TLS_NAME_MISMATCH = 502, // the server's certificate is for another name
    QUOIT_ERR_TLS_UNTRUSTED_ROOT = 503, // the server's chain ends at no certificate that is trusted
    QUOIT_ERR_TLS_SELF_SIGNED = 504, // the server's certificate is signed by itself and not trusted
    QUOIT_ERR_TLS_CERT_REVOKED = 505, // a certificate of the server's chain is revoked
    QUOIT_ERR_TLS_PIN_MISMATCH = 506, // no key of the server's chain is one of the pinned ones
    QUOIT_ERR_TLS_BAD_PURPOSE = 507, // a certificate of the server's chain may not be used for this
    QUOIT_ERR_TLS_WEAK_KEY = 508, // a key of the server's chain is too short
    QUOIT_ERR_TLS_WEAK_SIGNATURE = 509, // a certificate of the server's chain is signed with a hash that is no longer safe
    QUOIT_ERR_TLS_BAD_CHAIN = 510, // the server's chain of certificates is not valid
    QUOIT_ERR_TLS_NO_CRL = 511, // the revocation lists do not cover the server's chain or are out of date
    QUOIT_ERR_TLS_VERIFY_REFUSED = 512, // the host refused the server's certificate
    QUOIT_ERR_TLS_HANDSHAKE_ALERT = 520, // the server ended the TLS handshake with an alert
    QUOIT_ERR_TLS_ALERT = 521, // the server ended the TLS connection with an alert
    QUOIT_ERR_TLS_PROTOCOL = 522, // the server does not speak TLS as it must
    QUOIT_ERR_TLS_TRUNCATED = 523, // the connection ended without TLS's closing message
    QUOIT_ERR_TLS_PLAIN_HTTP = 524, // the server answered TLS with plain HTTP
    QUOIT_ERR_TLS_NOTHING_IN_COMMON = 525, // the server wants a TLS version or cipher that is not allowed here
    QUOIT_ERR_TLS_SIGN_REFUSED = 526, // the host refused to sign with the client certificate's key
    QUOIT_ERR_TLS_BAD_ALPN = 527, // the server chose a protocol that was not offered to it (ALPN)
    QUOIT_ERR_TLS_BAD_SIGNATURE = 528, // the server does not have the key of its certificate
    QUOIT_ERR_TLS_NO_TRUST_STORE = 530, // no trust store was found at the well-known places; give roots by file, folder or memory
    QUOIT_ERR_TLS_NO_ROOTS = 531, // the trust store has no certificate that can be read
    QUOIT_ERR_TLS_BAD_CERTIFICATE = 532, // the client certificate cannot be read
    QUOIT_ERR_TLS_BAD_KEY = 533, // the client certificate's key cannot be read
    QUOIT_ERR_TLS_BAD_PASSPHRASE = 534, // the passphrase of the client certificate's key is missing or wrong
    QUOIT_ERR_TLS_KEY_MISMATCH = 535, // the key does not belong to the client certificate
    QUOIT_ERR_TLS_BAD_CRL = 536, // a revocation list cannot be read
    QUOIT_ERR_TLS_FILE = 537, // a file of the TLS configuration cannot be read
    QUOIT_ERR_TLS_FILE_TOO_LARGE = 538, // a file of the TLS configuration is larger than the limit
    QUOIT_ERR_TLS_BAD_CIPHERS = 539, // the list of TLS ciphers is not valid
    QUOIT_ERR_TLS_BAD_GROUPS = 540, // the list of TLS key exchange groups is not valid
    QUOIT_ERR_TLS_CONFIGS_MAX = 541, // too many different TLS configurations are alive in this process
    QUOIT_ERR_TLS_BAD_PROTOCOLS = 542, // the list of TLS protocols (ALPN) is not valid or names one not spoken here
    QUOIT_ERR_TLS_BAD_SESSIONS = 543, // no TLS sessions that this version exported under this key
    QUOIT_ERR_HTTP_BAD_RESPONSE = 600, // the response is not valid HTTP/1.1
    QUOIT_ERR_HTTP_BAD_STATUS_LINE = 601, // the response's status line is not valid
    QUOIT_ERR_HTTP_BAD_HEADER = 602, // a response header is not valid
    QUOIT_ERR_HTTP_BAD_CHUNK = 603, // the chunked coding is not valid
    QUOIT_ERR_HTTP_BAD_LENGTH = 604, // the response's Content-Length is not valid or contradicts itself
    QUOIT_ERR_HTTP_BAD_TRANSFER_CODING = 605, // the response's Transfer-Encoding is not valid here
    QUOIT_ERR_HTTP_TRUNCATED_HEAD = 606, // the connection ended inside the response's head
    QUOIT_ERR_HTTP_TRUNCATED_BODY = 607, // the connection ended before the response's body was complete
    QUOIT_ERR_HTTP_BAD_VERSION = 608, // the response's HTTP version is not supported
    QUOIT_ERR_HTTP_UNEXPECTED_UPGRADE = 609, // the server switched protocols without being asked
    QUOIT_ERR_HTTP_BAD_LOCATION = 610, // the redirect's Location is not a URL that may be followed
    QUOIT_ERR_REDIRECT_REFUSED = 611, // the host refused the redirect
    QUOIT_ERR_HEAD_TOO_LARGE = 700, // a head is larger than the limit
    QUOIT_ERR_TOO_MANY_HEADERS = 701, // a head or trailers have more fields than the limit
    QUOIT_ERR_TOO_MANY_INFORMATIONAL = 702, // the server sent more informational responses than the limit
    QUOIT_ERR_TRAILERS_TOO_LARGE = 703, // the response's trailers are larger than the limit
    QUOIT_ERR_CHUNK_EXTENSION_TOO_LARGE = 704, // chunk extensions are larger than the limit
    QUOIT_ERR_BODY_TOO_LARGE = 705, // the response's body is larger than the request's bound
    QUOIT_ERR_TOO_MANY_REDIRECTS = 706, // the server redirected more often than the request allows
    QUOIT_ERR_LINE_TOO_LONG = 707, // a line of the response's head or trailers is longer than the limit
    QUOIT_ERR_REQUESTS_MAX = 710, // too many requests are pending on this engine
    QUOIT_ERR_PORT_FULL = 711, // the port has no room for the head and the terminal event of one more request
    QUOIT_ERR_WAITERS_MAX = 712, // too many requests wait for a connection to this origin
    QUOIT_ERR_FEED_FULL = 713, // too much was fed and is not sent yet; an event tells when there is room
    QUOIT_ERR_TIMEOUT_CONNECT = 720, // connecting took longer than the limit
    QUOIT_ERR_TIMEOUT_TOTAL = 721, // the request took longer than the limit
    QUOIT_ERR_TIMEOUT_QUEUE = 722, // the request waited longer for a connection than its bound
    QUOIT_ERR_TIMEOUT_FIRST_BYTE = 723, // the server took longer to begin its answer than the request's bound
    QUOIT_ERR_TIMEOUT_IDLE = 724, // the server was silent in the middle of its answer for longer than the request's bound
    QUOIT_ERR_TIMEOUT_LOW_SPEED = 725, // the answer came slower than the request's bound
    QUOIT_ERR_TIMEOUT_ANSWER = 726, // the host took longer to answer a question than its bound
    QUOIT_ERR_TIMEOUT_TLS = 727, // the TLS handshake took longer than its bound
    QUOIT_ERR_TIMEOUT_RESOLVE = 728, // looking up the name took longer than its bound
    QUOIT_ERR_CANCELED = 800, // the host canceled the request
    QUOIT_ERR_CLOSED = 801, // the engine is closing or closed
    QUOIT_ERR_FORCE_32_BITS = 0x7fffffff,
};

enum quoit_category {
    QUOIT_CATEGORY_NONE = 0,
    QUOIT_CATEGORY_USAGE = 1,      // the call was wrong; nothing happened
    QUOIT_CATEGORY_ENGINE = 2,     // this process or this kernel
    QUOIT_CATEGORY_NAME_CONNECT = 3,
    QUOIT_CATEGORY_CONNECTION = 4,
    QUOIT_CATEGORY_TLS = 5,
    QUOIT_CATEGORY_HTTP = 6,
    QUOIT_CATEGORY_LIMIT = 7,      // a limit or a timeout
    QUOIT_CATEGORY_ENDED = 8,      // canceled or closed
};

// The step at which a failure happened, in the order in which steps happen.
enum quoit_phase {
    QUOIT_PHASE_NONE = 0,
    QUOIT_PHASE_CREATE = 1,
    QUOIT_PHASE_SUBMIT = 2,
    QUOIT_PHASE_QUEUE = 3,
    QUOIT_PHASE_RESOLVE = 4,
    QUOIT_PHASE_CONNECT = 5,
    QUOIT_PHASE_TLS = 6,
    QUOIT_PHASE_SEND = 7,
    QUOIT_PHASE_HEAD = 8,
    QUOIT_PHASE_BODY = 9,
    QUOIT_PHASE_CLOSE = 10,
};

// quoit_failure says all that is known of a failure.
struct quoit_failure {
    int32_t code;       // enum quoit_error
    int32_t os_errno;   // positive errno where the kernel gave one, else 0
    uint8_t phase;      // enum quoit_phase
    uint8_t retry_safe; // 1: the peer provably has not processed the request
    uint8_t alert;      // TLS_HANDSHAKE_ALERT, TLS_ALERT: the number that the server sent (RFC 8446 section 6), else 0
    uint8_t reserved[5];
};

// quoit_error_name gives the stable name of a code ("QUOIT_ERR_CANCELED"; "QUOIT_OK" for 0). Constant text, any
// thread; "QUOIT_ERR_UNKNOWN" for a number that this version does not know.
QUOIT_API const char *quoit_error_name(int32_t code);

// quoit_error_sentence gives one English sentence for a code. Constant text, any thread, no locale.
QUOIT_API const char *quoit_error_sentence(int32_t code);

// quoit_error_category gives enum quoit_category of a code. Any thread.
QUOIT_API int32_t quoit_error_category(int32_t code);

// quoit_error_is_retryable gives 1 when the same request may succeed later without being changed. It is a hint; the
// proof that the peer has not processed the request is quoit_failure.retry_safe. Any thread.
QUOIT_API int32_t quoit_error_is_retryable(int32_t code);

// quoit_phase_name gives a lower-case word for a phase ("connect"). Constant text, any thread.
QUOIT_API const char *quoit_phase_name(int32_t phase);

// quoit_errno_name gives the symbolic name of an errno ("ECONNREFUSED"), or "". Constant text, any thread.
QUOIT_API const char *quoit_errno_name(int32_t os_errno);

#ifdef __cplusplus
}
#endif

#endif  // QUOIT_ERROR_H

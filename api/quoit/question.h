// What hosts are asked in the middle of a request, and what they may say. Hosts include quoit.h, which has the event that
// brings a question, and the functions that answer it.
#ifndef QUOIT_QUESTION_H
#define QUOIT_QUESTION_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "tls.h"

enum quoit_question_kind {
    QUOIT_QUESTION_REDIRECT = 1,   // shall this redirect be followed?
    QUOIT_QUESTION_TLS_VERIFY = 2, // is this server to be trusted? (quoit_tls_set_verify_question)
    QUOIT_QUESTION_TLS_SIGN = 3,   // a signature by the client certificate's key (quoit_tls_set_sign_question)
};

// A question to the host, answered by quoit_answer or quoit_answer_signature. Until then the request stands still: of a
// redirect what follows its head stays unread, of a connection that is being made no byte of the request is sent, and no
// bound runs but answer_ms and total_ms; it holds its connection, and of a redirect one or two buffers of memory_max. A
// question waits for room in the port like a piece of body.
// An answer that is late, or comes when the request has ended, is refused by its token and does no harm.
//
// Connections are made for whoever waits for one, and of several requests one is asked, about each connection another; what
// it answers decides about that connection, which is its own then. A request that gets another one before it has answered
// (one that came free) or ends takes its question along: the next in line is asked the same again, by a token of its own.
// When nobody is left the connection is given up. So each question has at most one answer that counts, and one connection
// may be asked about several times. A resumed TLS session is not asked about: it was when it was new.
//
// Each request has its own answer_ms, from its own question on. So with a host that never answers, those that wait for one
// connection time out one after another; where that may be many (quoit_engine_options.connections_per_origin_max is small),
// total_ms bounds all of them at once. What all questions about TLS show has 4 MiB of an engine together, until they are
// answered and the port has been advanced over them: a connection that finds no room there waits for it as long as connecting
// may take (TIMEOUT_CONNECT). quoit_engine_invalidate_tls takes a question back; the connection is made anew, and asks anew.
struct quoit_question {
    uint32_t kind;      // enum quoit_question_kind; the fields behind `token` are each of one kind, and zero in others
    uint32_t status;    // of the redirect
    uint64_t token;     // for quoit_answer; never 0, and never given out twice
    const char *url;    // where it leads: absolute, as in quoit_summary.redirects, with neither fragment nor credentials;
    size_t url_len;     // not NUL-terminated
    const char *method; // of the next hop
    size_t method_len;
    uint32_t hop;       // 1: the first redirect of this request
    uint32_t reserved;
    // TLS, both kinds.
    void *context;    // of the quoit_tls_point
    const char *host; // of the URL, without a port; not NUL-terminated
    size_t host_len;
    const char *verify_name; // that the certificate must be for: the host, unless quoit_tls_set_verify_name says otherwise
    size_t verify_name_len;
    // VERIFY.
    struct quoit_certificates certificates; // as the server sent them, its own first
    struct quoit_der staple;                // its OCSP response, if one was asked for and sent; neither read nor judged
    // SIGN.
    const void *message; // what is to be signed; not hashed
    size_t message_len;
    int32_t verdict;     // VERIFY: what all other checks found, a code of enum quoit_error; QUOIT_OK: nothing is wrong
    uint16_t port;       // both: of the URL
    uint16_t algorithm;  // SIGN: how, by its number in RFC 8446 section 4.2.3 (0x0403 is ecdsa_secp256r1_sha256)
};

// Answers, and the questions that they suit.
enum quoit_answer_kind {
    QUOIT_ANSWER_YES = 1,    // REDIRECT: follow. TLS_VERIFY: trust this server, also against the verdict (never against
                             // pins: a server that has none of the pinned keys is not asked about)
    QUOIT_ANSWER_STOP = 2,   // REDIRECT: do not follow: this response is the final one, its head and body are delivered
    QUOIT_ANSWER_REFUSE = 3, // REDIRECT: fail with REDIRECT_REFUSED. TLS_VERIFY: with the verdict, or, if nothing was
                             // wrong, TLS_VERIFY_REFUSED. TLS_SIGN: with TLS_SIGN_REFUSED
};

#endif  // QUOIT_QUESTION_H

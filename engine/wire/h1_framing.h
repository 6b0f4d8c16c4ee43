// How long a response's body is and whether its connection lives on (RFC 9112 sections 6 and 9.3), from the head alone.
//
// Strict where readers have been played off against each other: Content-Length beside Transfer-Encoding, differing
// Content-Lengths, Transfer-Encoding from an HTTP/1.0 server, codings other than one single `chunked` are errors, also
// where no body can follow. Thread-free: a pure function.
#ifndef QUOIT_ENGINE_WIRE_H1_FRAMING_H
#define QUOIT_ENGINE_WIRE_H1_FRAMING_H

#include "engine/base/error.h"
#include "engine/wire/headers.h"

#include <stdbool.h>
#include <stdint.h>

enum q_h1_body {
    Q_H1_BODY_NONE = 0, // nothing follows the head
    Q_H1_BODY_LENGTH,   // content_length bytes
    Q_H1_BODY_CHUNKED,
    Q_H1_BODY_CLOSE,  // until the peer closes
    Q_H1_BODY_TUNNEL, // 2xx to CONNECT, 101 that was asked for: the connection is not HTTP any more
};

#define Q_H1_NO_CONTENT_LENGTH UINT64_MAX

struct q_h1_framing {
    uint64_t content_length; // what the field said; Q_H1_NO_CONTENT_LENGTH when there is none
    uint8_t body;            // enum q_h1_body
    bool keep_alive;         // the connection may live on: the server lets it, and nothing may come behind this message
};

// q_h1_frame reads the framing of a final head. `to_head` and `to_connect` say what the request was. Fails with
// HTTP_BAD_LENGTH or HTTP_BAD_TRANSFER_CODING.
Q_MUST_USE struct q_error q_h1_frame(const struct q_headers *headers, unsigned status, unsigned version_minor,
                                     bool to_head, bool to_connect, struct q_h1_framing *out);

#endif

// HTTP/1.1 request heads, from validated parts to bytes.
//
// Life of a head: q_h1_check_head on the host's thread at submit says whether it may be sent at all; q_h1_write_head on
// the loop thread, with the same input, first gives the size, then writes it. Nothing is allocated.
//
// What is written, in this order: request line, Host, the given fields in their order, Authorization, User-Agent
// and Accept unless given, Connection: close or Upgrade when asked for, Content-Length where it belongs. Thread-free:
// pure functions.
#ifndef QUOIT_ENGINE_WIRE_H1_WRITER_H
#define QUOIT_ENGINE_WIRE_H1_WRITER_H

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/wire/headers.h"

#include <stdbool.h>
#include <stdint.h>

struct q_h1_head_in {
    struct q_slice method;
    struct q_slice target;           // origin form, or absolute or authority form for a proxy
    struct q_slice authority;        // value of Host unless the fields give one
    const struct q_headers *headers; // NULL: none
    struct q_slice user_agent;       // value of User-Agent unless the fields give one; empty: not sent
    struct q_slice authorization;    // value of Authorization unless the fields give one; empty: not sent
    struct q_slice upgrade;          // the protocol that is asked for; empty: none. Not together with close.
    uint64_t body_len;
    bool has_body; // a body is sent, also one of 0 bytes
    bool close;    // the connection is not to be used again: Connection: close
};

// q_h1_check_head refuses what must not be sent: a method that is no token (INVALID_METHOD), a target or authority
// with anything but visible ASCII (INVALID_URL), and fields that are the engine's to set (FORBIDDEN_HEADER):
// Content-Length, Transfer-Encoding, a second Host, Connection with members other than close and keep-alive; also an
// upgrade that is no protocol, or that is asked for together with close, and TRACE with a body, which RFC 9110 section
// 9.3.8 forbids (INVALID_ARGUMENT).
Q_MUST_USE struct q_error q_h1_check_head(const struct q_h1_head_in *in);

// q_h1_is_engines tells whether a field is the engine's to set, so that a host may not give it; see q_h1_check_head.
bool q_h1_is_engines(struct q_slice name, struct q_slice value);

// q_h1_is_host tells whether a value is one of Host: empty, or the bytes that a host and a port are made of (RFC 9110
// section 7.2). Another one would be read as one host here and as another there.
bool q_h1_is_host(struct q_slice value);

// q_h1_write_head gives the size of the head in bytes, and writes it to `out` when `cap` is at least that; else nothing
// is written. `in` has passed q_h1_check_head.
size_t q_h1_write_head(const struct q_h1_head_in *in, char *out, size_t cap);

// q_h1_asks_close says whether the given fields have Connection: close, after which the connection must not be used
// for another request.
bool q_h1_asks_close(const struct q_headers *headers);

#endif

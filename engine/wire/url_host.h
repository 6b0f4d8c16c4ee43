// Hosts of http and https URLs, by the host parser of the WHATWG URL standard: names (international ones by
// engine/wire/idna.h), IPv4 in all its spellings, IPv6 in brackets; and of http+unix URLs, where the host is the path of
// a socket, percent-encoded (the form is defined in api/README.md). Thread-free: pure functions.
#ifndef QUOIT_ENGINE_WIRE_URL_HOST_H
#define QUOIT_ENGINE_WIRE_URL_HOST_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum q_host_kind {
    Q_HOST_NAME = 0,
    Q_HOST_IPV4,
    Q_HOST_IPV6,
    Q_HOST_SOCKET, // http+unix
};

// The longest name of a socket: what fits into sun_path (unix(7)). A path has one octet less, for its NUL.
#define Q_HOST_SOCKET_MAX 108

// A host's normal form is no longer than what was written, or than this: a socket's name with every octet encoded. An
// IPv6 address has 39 characters, a name that was not ASCII 255 (Q_IDNA_DOMAIN_MAX).
#define Q_HOST_TEXT_ROOM (3 * Q_HOST_SOCKET_MAX)

struct q_host {
    size_t text_len;
    uint8_t kind;        // enum q_host_kind
    uint8_t address[16]; // of an IPv4 (first 4 bytes) or IPv6 host, in network order
};

// q_host_parse reads a host as it stands in a URL and writes its normal form to `text`, which has room for
// `raw.len + Q_HOST_TEXT_ROOM` bytes: a name is percent-decoded, in ASCII and lower case, an IPv4 address dotted, an
// IPv6 address shortest and without brackets. Gives Q_ERR_OK, Q_ERR_INVALID_URL or Q_ERR_NO_MEMORY, the last two with
// anything in `text`.
Q_MUST_USE enum q_error_code q_host_parse(struct q_slice raw, char *text, struct q_host *out);

// q_host_parse_socket is q_host_parse for http+unix: an absolute path, or a NUL and the name of an abstract socket. Its
// normal form has every octet but letters, digits and "-._~" percent-encoded; decoded it has Q_HOST_SOCKET_MAX bytes at
// most. Gives Q_ERR_OK or Q_ERR_INVALID_URL.
Q_MUST_USE enum q_error_code q_host_parse_socket(struct q_slice raw, char *text, struct q_host *out);

#endif

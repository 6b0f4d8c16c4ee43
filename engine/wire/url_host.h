// Hosts of http and https URLs, by the host parser of the WHATWG URL standard: names (international ones by
// engine/wire/idna.h), IPv4 in all its spellings, IPv6 in brackets. Thread-free: pure functions.
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
};

// A host's normal form is no longer than what was written, or than this: an IPv6 address has 39 characters, a name that
// was not ASCII 255 (Q_IDNA_DOMAIN_MAX).
#define Q_HOST_TEXT_ROOM 255

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

#endif

// Hosts of http and https URLs, by the host parser of the WHATWG URL standard without IDNA: names, IPv4 in all its
// spellings, IPv6 in brackets. Thread-free: pure functions.
#ifndef QUOIT_ENGINE_WIRE_URL_HOST_H
#define QUOIT_ENGINE_WIRE_URL_HOST_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum q_host_kind {
    Q_HOST_NAME = 0,
    Q_HOST_IPV4,
    Q_HOST_IPV6,
};

// The longest text of an address: 8 groups of 4 digits and 7 colons.
#define Q_HOST_ADDRESS_TEXT_MAX 39

struct q_host {
    size_t text_len;
    uint8_t kind;        // enum q_host_kind
    uint8_t address[16]; // of an IPv4 (first 4 bytes) or IPv6 host, in network order
};

// q_host_parse reads a host as it stands in a URL and writes its normal form to `text`, which has room for
// `raw.len + Q_HOST_ADDRESS_TEXT_MAX` bytes: a name is percent-decoded and lower-cased, an IPv4 address dotted, an IPv6
// address shortest and without brackets. False, and anything in `text`, when it is not valid or not ASCII.
bool q_host_parse(struct q_slice raw, char *text, struct q_host *out);

#endif

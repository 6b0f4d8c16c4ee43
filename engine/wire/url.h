// URLs of http and https, by the rules of the WHATWG URL standard (https://url.spec.whatwg.org), with one deliberate
// difference: CR, LF, TAB and NUL are errors wherever they stand; the standard strips the first three. And URLs of
// http+unix, whose host is the path of a socket: everything behind the host is as in http; api/README.md defines them.
//
// Vocabulary. The *target* is what goes into the request line: path and query, never empty. The *authority* is what
// goes into Host: the host, in brackets when it is an IPv6 address, and the port when it is not the scheme's own; for
// a socket it is `localhost`. The fragment is dropped; it is never sent.
//
// Invariants of a parsed URL. Every text is visible ASCII without spaces (the rest is percent-encoded). The host is
// lower-case (international names in their ASCII form), or an IPv4 address in its dotted form, or an IPv6 address in its
// shortest form without brackets, or a socket's name, percent-encoded. Dot segments are gone.
//
// Life: q_url_parse or q_url_resolve, any number of readers, q_url_deinit. Thread-free: frozen once parsed.
#ifndef QUOIT_ENGINE_WIRE_URL_H
#define QUOIT_ENGINE_WIRE_URL_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/wire/url_host.h"

#include <stdbool.h>
#include <stdint.h>

// The longest URL that is read. Servers stop at 8 KiB to 64 KiB; a longer Location is an attack or a mistake.
#define Q_URL_BYTES_MAX (64u * 1024u)

enum q_scheme {
    Q_SCHEME_NONE = 0,
    Q_SCHEME_HTTP,
    Q_SCHEME_HTTPS,
    Q_SCHEME_HTTP_UNIX,
    Q_SCHEME_COUNT,
};

struct q_url {
    const struct q_alloc *alloc; // owns `text`
    char *text;
    size_t text_size;
    struct q_slice href;      // scheme://authority + target; no credentials, no fragment
    struct q_slice authority; // host[:port] as for Host; of a socket, a constant outside `text`
    struct q_slice host;      // without brackets
    struct q_slice target;    // path and query
    struct q_slice path;      // the target up to the first '?'
    struct q_slice user;      // percent-encoded as in the standard; empty when not given
    struct q_slice password;
    uint16_t port;     // the scheme's own when not given; 0 for a socket
    uint8_t scheme;    // enum q_scheme
    uint8_t host_kind; // enum q_host_kind
    bool has_credentials;
    uint8_t address[16]; // of an IPv4 (first 4 bytes) or IPv6 host, in network order
};

// q_url_parse parses an absolute URL. On success `out` owns memory of `alloc` and is ended with q_url_deinit; on
// failure it is the zero value. Fails with INVALID_URL, UNSUPPORTED_SCHEME or NO_MEMORY.
Q_MUST_USE struct q_error q_url_parse(const struct q_alloc *alloc, struct q_slice text, struct q_url *out);

// q_url_resolve parses `reference` (absolute or relative) against `base`, as a Location is. `out` may not be `base`.
// Which schemes a Location may lead to is for the caller to say; a stranger's must never lead to a socket.
// Credentials of `base` pass on only where the standard says so (a reference without an authority). Fails as
// q_url_parse does.
Q_MUST_USE struct q_error q_url_resolve(const struct q_alloc *alloc, const struct q_url *base, struct q_slice reference,
                                        struct q_url *out);

// q_url_deinit gives the memory back, overwritten when credentials lay in it; legal on the zero value.
void q_url_deinit(struct q_url *url);

// q_url_same_origin: equal scheme, host (or socket) and port.
bool q_url_same_origin(const struct q_url *a, const struct q_url *b);

#endif

// Redirects: what the next hop of a request is (RFC 9110 section 15.4), as a spec of its own. 301 and 302 turn POST
// into GET, 303 everything but HEAD, and then the body and the fields that speak of it go; 307 and 308 keep both.
// Secret fields (see spec.h), a Host of the user's and the URL's credentials never go to another origin.
// Nothing leads onto a unix socket but what is on that socket already.
// Loop thread only; it allocates, which only a request that is redirected does.
#ifndef QUOIT_ENGINE_EXCHANGE_REDIRECT_H
#define QUOIT_ENGINE_EXCHANGE_REDIRECT_H

#include "engine/exchange/spec.h"

// q_redirect_is tells whether a status is one that may be followed: 301, 302, 303, 307, 308.
bool q_redirect_is(uint16_t status);

// q_redirect_location gives where a redirect's head leads to, or an empty slice without a pointer when it does not say
// so. Several fields that say different things lead nowhere, since another reader may take another one:
// HTTP_BAD_LOCATION. The slice points into `headers`.
Q_MUST_USE struct q_error q_redirect_location(const struct q_headers *headers, struct q_slice *out);

// q_redirect_next makes the spec of the next hop, frozen, with one hold, the caller's. `spec` is the hop that was
// answered with `status` and `location`. Errors: HTTP_BAD_LOCATION, UNSUPPORTED_SCHEME (also a scheme that the request
// does not want to leave, and a socket), NO_MEMORY.
Q_MUST_USE struct q_error q_redirect_next(struct q_spec *spec, uint16_t status, struct q_slice location,
                                          struct q_spec **out);

#endif

// Credentials of a URL as the Basic scheme sends them (RFC 7617): user and password percent-decoded, their octets as
// they are (UTF-8 when the URL was), joined by a colon, in base64. Thread-free: pure functions.
#ifndef QUOIT_ENGINE_WIRE_URL_BASIC_H
#define QUOIT_ENGINE_WIRE_URL_BASIC_H

#include "engine/wire/url.h"

#include <stdbool.h>
#include <stddef.h>

// q_url_basic_is_valid says whether the URL's credentials may be sent: no control octet in either, and no colon in the
// user, which the server would take for the end of it (RFC 7617 section 2). True when there are none.
bool q_url_basic_is_valid(const struct q_url *url);

// q_url_write_basic gives the size of "Basic ..." in bytes, 0 when the URL has no credentials, and writes it to `out`,
// without NUL, when `cap` is at least that; else nothing is written. What is written is a secret: it goes into a
// request's head and nowhere else.
size_t q_url_write_basic(const struct q_url *url, char *out, size_t cap);

#endif

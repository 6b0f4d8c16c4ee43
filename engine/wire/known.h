// Well-known header names as small integers, so that the engine compares numbers where it would compare text.
// The numbers live in memory only: they are not part of any contract and may change with a build.
// Thread-free: constant data and pure functions.
#ifndef QUOIT_ENGINE_WIRE_KNOWN_H
#define QUOIT_ENGINE_WIRE_KNOWN_H

#include "engine/base/slice.h"

#include <stdint.h>

// The one list: Q_KNOWN(id, "canonical-name"). In order of length, as q_known_find relies on.
#define Q_KNOWN_LIST(Q_KNOWN_ROW)                                                                                      \
    Q_KNOWN_ROW(TE, "TE")                                                                                              \
    Q_KNOWN_ROW(AGE, "Age")                                                                                            \
    Q_KNOWN_ROW(VIA, "Via")                                                                                            \
    Q_KNOWN_ROW(DATE, "Date")                                                                                          \
    Q_KNOWN_ROW(ETAG, "ETag")                                                                                          \
    Q_KNOWN_ROW(HOST, "Host")                                                                                          \
    Q_KNOWN_ROW(LINK, "Link")                                                                                          \
    Q_KNOWN_ROW(VARY, "Vary")                                                                                          \
    Q_KNOWN_ROW(ALLOW, "Allow")                                                                                        \
    Q_KNOWN_ROW(RANGE, "Range")                                                                                        \
    Q_KNOWN_ROW(ACCEPT, "Accept")                                                                                      \
    Q_KNOWN_ROW(COOKIE, "Cookie")                                                                                      \
    Q_KNOWN_ROW(EXPECT, "Expect")                                                                                      \
    Q_KNOWN_ROW(ORIGIN, "Origin")                                                                                      \
    Q_KNOWN_ROW(SERVER, "Server")                                                                                      \
    Q_KNOWN_ROW(ALT_SVC, "Alt-Svc")                                                                                    \
    Q_KNOWN_ROW(EXPIRES, "Expires")                                                                                    \
    Q_KNOWN_ROW(REFERER, "Referer")                                                                                    \
    Q_KNOWN_ROW(TRAILER, "Trailer")                                                                                    \
    Q_KNOWN_ROW(UPGRADE, "Upgrade")                                                                                    \
    Q_KNOWN_ROW(IF_MATCH, "If-Match")                                                                                  \
    Q_KNOWN_ROW(IF_RANGE, "If-Range")                                                                                  \
    Q_KNOWN_ROW(LOCATION, "Location")                                                                                  \
    Q_KNOWN_ROW(CONNECTION, "Connection")                                                                              \
    Q_KNOWN_ROW(KEEP_ALIVE, "Keep-Alive")                                                                              \
    Q_KNOWN_ROW(SET_COOKIE, "Set-Cookie")                                                                              \
    Q_KNOWN_ROW(USER_AGENT, "User-Agent")                                                                              \
    Q_KNOWN_ROW(RETRY_AFTER, "Retry-After")                                                                            \
    Q_KNOWN_ROW(CONTENT_TYPE, "Content-Type")                                                                          \
    Q_KNOWN_ROW(ACCEPT_RANGES, "Accept-Ranges")                                                                        \
    Q_KNOWN_ROW(AUTHORIZATION, "Authorization")                                                                        \
    Q_KNOWN_ROW(CACHE_CONTROL, "Cache-Control")                                                                        \
    Q_KNOWN_ROW(CONTENT_RANGE, "Content-Range")                                                                        \
    Q_KNOWN_ROW(IF_NONE_MATCH, "If-None-Match")                                                                        \
    Q_KNOWN_ROW(LAST_EVENT_ID, "Last-Event-ID")                                                                        \
    Q_KNOWN_ROW(LAST_MODIFIED, "Last-Modified")                                                                        \
    Q_KNOWN_ROW(CONTENT_LENGTH, "Content-Length")                                                                      \
    Q_KNOWN_ROW(HTTP2_SETTINGS, "HTTP2-Settings")                                                                      \
    Q_KNOWN_ROW(ACCEPT_ENCODING, "Accept-Encoding")                                                                    \
    Q_KNOWN_ROW(ACCEPT_LANGUAGE, "Accept-Language")                                                                    \
    Q_KNOWN_ROW(CONTENT_ENCODING, "Content-Encoding")                                                                  \
    Q_KNOWN_ROW(CONTENT_LANGUAGE, "Content-Language")                                                                  \
    Q_KNOWN_ROW(PROXY_CONNECTION, "Proxy-Connection")                                                                  \
    Q_KNOWN_ROW(WWW_AUTHENTICATE, "WWW-Authenticate")                                                                  \
    Q_KNOWN_ROW(CONTENT_LOCATION, "Content-Location")                                                                  \
    Q_KNOWN_ROW(IF_MODIFIED_SINCE, "If-Modified-Since")                                                                \
    Q_KNOWN_ROW(TRANSFER_ENCODING, "Transfer-Encoding")                                                                \
    Q_KNOWN_ROW(PROXY_AUTHENTICATE, "Proxy-Authenticate")                                                              \
    Q_KNOWN_ROW(CONTENT_DISPOSITION, "Content-Disposition")                                                            \
    Q_KNOWN_ROW(IF_UNMODIFIED_SINCE, "If-Unmodified-Since")                                                            \
    Q_KNOWN_ROW(PROXY_AUTHORIZATION, "Proxy-Authorization")                                                            \
    Q_KNOWN_ROW(AUTHENTICATION_INFO, "Authentication-Info")                                                            \
    Q_KNOWN_ROW(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security")

enum q_known {
    Q_KNOWN_NONE = 0, // not one of the list
#define Q_KNOWN_ROW(id, name) Q_KNOWN_##id,
    Q_KNOWN_LIST(Q_KNOWN_ROW)
#undef Q_KNOWN_ROW
        Q_KNOWN_COUNT,
};

// q_known_find gives the number of a name, ASCII case folded, or Q_KNOWN_NONE.
enum q_known q_known_find(struct q_slice name);

// q_known_name gives the canonical spelling; an empty slice for Q_KNOWN_NONE and for numbers outside the list.
struct q_slice q_known_name(unsigned known);

#endif

// Default: the config of who has none of his own: the system's trusted certificates, and the defaults of config.h. Looked for
// in an engine's create, on the caller's thread, and kept for the process's next engines for a while: reading all of a
// system's certificates takes milliseconds.
//
// The kept one is a cache and nothing else: where its lock is held (by another create, or for ever in a forked child) it is
// passed by. Any thread.
#ifndef QUOIT_ENGINE_TLS_DEFAULT_H
#define QUOIT_ENGINE_TLS_DEFAULT_H

#include "engine/base/error.h"
#include "engine/base/slots.h"

// How long another engine of the process is given what was read. A trust store that changes is seen by engines made later.
#define Q_TLS_DEFAULT_KEPT_NS UINT64_C(60000000000)

// q_tls_default gives a held handle. SSL_CERT_FILE and SSL_CERT_DIR are taken from `environment`, a NULL-terminated list of
// "NAME=value" (NULL: an empty one), and take the well-known places' place. `now_ns`: monotonic. Errors: those of
// q_tls_builder_freeze, of which TLS_NO_TRUST_STORE says that no place had any; what more there is to say, as the places that
// were looked at, is written to `detail` (Q_TLS_DETAIL_MAX bytes; "": nothing).
Q_MUST_USE struct q_error q_tls_default(const char *const *environment, uint64_t now_ns, struct q_handle *out,
                                        char *detail);

#endif

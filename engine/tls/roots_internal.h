// Roots, for those who verify: the library's own store. It is complete and never changed; the library's lookups in it take
// its lock for a moment, as they sort it if need be, so it is sorted before anybody gets it.
#ifndef QUOIT_ENGINE_TLS_ROOTS_INTERNAL_H
#define QUOIT_ENGINE_TLS_ROOTS_INTERNAL_H

#include "engine/tls/roots.h"

#include <openssl/x509.h>

// q_roots_store gives the store, borrowed for as long as the set lives; X509_STORE_up_ref makes it last.
X509_STORE *q_roots_store(const struct q_roots *roots);

#endif

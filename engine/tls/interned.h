// Interned: configs by weak handles. A frozen config goes into the process's registry under its digest, and equal ones are
// one from there on, whoever made them: requests, origins and engines name it by handle and hold it by a count of the
// registry's. The handle of an ended config names nothing for ever (registry.h).
//
// The zero handle is no config. Any thread.
#ifndef QUOIT_ENGINE_TLS_INTERNED_H
#define QUOIT_ENGINE_TLS_INTERNED_H

#include "engine/base/error.h"
#include "engine/base/slots.h"

struct q_tls_config;

// q_tls_intern gives a held handle of the one config that is equal to `config`, whose reference the caller gives away, also
// on errors. Errors: NO_MEMORY, TLS_CONFIGS_MAX.
Q_MUST_USE struct q_error q_tls_intern(struct q_tls_config *config, struct q_handle *out);

// q_tls_hold adds a hold for a caller that has one (checked); the zero handle is nothing. q_tls_let_go ends one; behind the
// last the config is wiped and freed, on this thread.
void q_tls_hold(struct q_handle tls);
void q_tls_let_go(struct q_handle tls);

// q_tls_config_of gives the config to a caller that holds it (checked).
const struct q_tls_config *q_tls_config_of(struct q_handle tls);

static inline bool q_tls_is_none(struct q_handle tls) { return tls.generation == 0; }

#endif

// Settings: a TLS configuration as a host holds it: a builder (config.h) until it is frozen, from then on the name of the
// one interned config that is equal to what was built (interned.h), and nothing else of it.
//
// Holders. Only a host holds settings, by a count of its own; what is made with a frozen one (requests, engines) holds the
// interned config. With the last hold the memory goes, and nothing can be told for certain of a pointer into it; a tag that
// is wiped then finds out what has not been given out again.
//
// Life: q_tls_settings_new gives one hold; the builder's calls; q_tls_settings_freeze, any number of times until it works;
// q_tls_settings_acquire and _release. A freeze that made a config and found no room for it among the interned ones keeps
// it: then nothing can be set any more, and the next freeze tries that alone.
//
// Threads: until it is frozen it has one owner, from then on it is for any number of threads.
// Fork: frozen settings are of the process that froze them, as their config is: locks inside it may be held for ever in a
// child. They are refused there, and may be released.
#ifndef QUOIT_ENGINE_TLS_SETTINGS_H
#define QUOIT_ENGINE_TLS_SETTINGS_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slots.h"

#include <stdatomic.h>

struct q_tls_builder;
struct q_tls_config;

// Hosts know no more of it than its name, which is therefore a public one.
struct quoit_tls {
    const struct q_alloc *alloc;
    struct q_tls_builder *builder; // NULL: frozen
    struct q_tls_config *config;   // made, and not interned yet; else NULL
    struct q_handle handle;        // one hold; none until it is frozen
    uint32_t epoch;                // of the process that froze it
    _Atomic(uint32_t) holds;
    uint64_t tag; // last, where an allocator that keeps its own notes in free memory comes late
};

#define Q_TLS_SETTINGS_TAG UINT64_C(0x51756f6974544c53)

// q_tls_settings_new gives settings with the defaults of q_tls_builder_new, and one hold of the caller's. `alloc` must outlive
// the settings and every config made of them. Errors: NO_MEMORY.
Q_MUST_USE struct q_error q_tls_settings_new(struct quoit_tls **out, const struct q_alloc *alloc);

// q_tls_settings_is_hosts tells whether a pointer that a host gave is its own: not NULL, and not released.
bool q_tls_settings_is_hosts(const struct quoit_tls *tls);

// q_tls_settings_builder gives the builder, whose setters the caller may call until the next freeze; it stays the settings'.
// Errors: INVALID_ARGUMENT (not the host's), FROZEN. Owner's thread.
Q_MUST_USE struct q_error q_tls_settings_builder(struct quoit_tls *tls, struct q_tls_builder **out);

// q_tls_settings_freeze makes the config and interns it; it blocks on files. Of frozen settings: nothing happens. Errors:
// INVALID_ARGUMENT (not the host's, too), FORKED, those of q_tls_builder_freeze (which leave all as it was, to be corrected),
// TLS_CONFIGS_MAX and NO_MEMORY (behind which it may be that nothing can be set any more). Owner's thread.
Q_MUST_USE struct q_error q_tls_settings_freeze(struct quoit_tls *tls);

// q_tls_settings_detail tells what more is known of the last freeze's failure; "" when there is nothing. It lives until the
// next freeze, or the settings' end. Owner's thread; of frozen settings any thread.
const char *q_tls_settings_detail(const struct quoit_tls *tls);

// q_tls_settings_check tells whether a pointer that a host gave can be used: errors INVALID_ARGUMENT (not the host's),
// NOT_FROZEN, FORKED. Any thread, of frozen settings.
Q_MUST_USE struct q_error q_tls_settings_check(const struct quoit_tls *tls);

// q_tls_settings_handle names the config of frozen settings (checked). Who keeps it holds it (q_tls_hold) while the caller has
// a hold of the settings. Any thread.
struct q_handle q_tls_settings_handle(const struct quoit_tls *tls);

// q_tls_settings_acquire and q_tls_settings_release count the host's holds; behind the last one secrets are wiped and all is
// freed. They do nothing (false) when it has none. Any thread.
bool q_tls_settings_acquire(struct quoit_tls *tls);
bool q_tls_settings_release(struct quoit_tls *tls);

#endif

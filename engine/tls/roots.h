// Roots: the certificates at which a chain may end. Read whole from files, folders and memory on the caller's thread, parsed
// once, and shared by every configuration with the same certificates, as long as one of them lives.
//
// Vocabulary. A *source* is where certificates come from. *Well-known places* are where distributions keep theirs; they are
// looked at here and nowhere else, in a fixed order, and the first with a certificate in it is the system's store.
// SSL_CERT_FILE and SSL_CERT_DIR take their place, and are known only from the environment that the host hands over.
// *Skipped* is what lay between certificates and could not be read as one: it is counted, and no reason to stop. No
// certificate at all is an error.
//
// Equal roots: the same set of certificates, byte by byte as DER. Order, repetition, the text around them, and where they
// came from do not matter. A set is found by a digest under the process's key before anything is parsed.
//
// Life: q_roots_load gives a reference, q_roots_acquire another, q_roots_release ends one; the last one ends the set. The
// table of sets holds no references (weak): a set whose last reference has gone is never found again, even while it is
// still in the table; an equal one is made anew. A forked child abandons its parent's table, whose locks may be held.
// Immutable and shared by threads once loaded; any thread may load, acquire and release.
#ifndef QUOIT_ENGINE_TLS_ROOTS_H
#define QUOIT_ENGINE_TLS_ROOTS_H

#include "engine/tls/rootfind.h"

struct q_roots_stats {
    uint64_t live;   // sets
    uint64_t built;  // sets parsed so far
    uint64_t shared; // loads that found theirs
};

struct q_roots;

// q_roots_load reads `sources`, and gives a reference on the one set of what is in them. `told` is always filled.
// `alloc` serves this call alone; a set outlives every host's allocator and lies in libc's memory.
// Errors: TLS_NO_TRUST_STORE (no well-known place had any), TLS_NO_ROOTS (a source without any), TLS_FILE with the errno,
// TLS_FILE_TOO_LARGE, NO_MEMORY.
Q_MUST_USE struct q_error q_roots_load(struct q_roots **out, const struct q_alloc *alloc,
                                       const struct q_roots_source *sources, size_t sources_len,
                                       const struct q_roots_search *search, struct q_roots_told *told);

// q_roots_acquire adds a reference for a caller that holds one.
struct q_roots *q_roots_acquire(struct q_roots *roots);

// q_roots_release ends one; NULL is nothing. Behind it the caller does not touch the set.
void q_roots_release(struct q_roots *roots);

// q_roots_digest is the set's, Q_CRYPTO_DIGEST_LEN bytes; it lives as long as the set.
const uint8_t *q_roots_digest(const struct q_roots *roots);

// q_roots_count gives the number of certificates in the set.
uint32_t q_roots_count(const struct q_roots *roots);

// q_roots_get_stats reads the process's counts.
struct q_roots_stats q_roots_get_stats(void);

#endif

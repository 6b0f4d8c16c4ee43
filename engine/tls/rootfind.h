// Rootfind: reads the sources of trusted certificates and lists what is in them as DER, without looking into it. The first
// half of roots.h, where the vocabulary is.
//
// Life: init, q_rootfind_read for each source, sort, then digest and the list; deinit at any time. The list owns its bytes,
// which certificates parsed from it keep.
// One owner, any thread. Blocks on files: never on a loop's thread.
#ifndef QUOIT_ENGINE_TLS_ROOTFIND_H
#define QUOIT_ENGINE_TLS_ROOTFIND_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/tls/crypto.h"

// Certificates in all sources of a set, repetitions counted: a folder of hashed links has each of its 150 three times. More
// than this takes seconds to sort.
#define Q_ROOTS_MAX 8192
#define Q_ROOTS_SOURCES_MAX 16
#define Q_ROOTS_PLACES_MAX 2048 // of the text that lists places; longer is cut

enum q_roots_kind {
    Q_ROOTS_SYSTEM = 0, // SSL_CERT_FILE and SSL_CERT_DIR if the host's environment has them, else the well-known places
    Q_ROOTS_FILE,       // a PEM bundle, or one certificate as DER
    Q_ROOTS_FOLDER,     // every file in it; what is no certificate is skipped
    Q_ROOTS_MEMORY,     // as of a file
};

struct q_roots_source {
    enum q_roots_kind kind;
    struct q_slice value; // path, or bytes
};

// How the system's store is looked for.
struct q_roots_search {
    const char *prefix;         // in front of every well-known place; NULL or "": none. A seam for tests
    struct q_slice cert_file;   // of SSL_CERT_FILE; empty: not set
    struct q_slice cert_folder; // of SSL_CERT_DIR, folders between colons; empty: not set
};

// What a load has to tell, also when it fails.
struct q_roots_told {
    uint32_t num_certificates; // different ones in the set
    uint32_t num_skipped;
    char places[Q_ROOTS_PLACES_MAX]; // those that did not serve, and why: "/etc/x (ENOENT), /etc/y (empty)"
};

struct q_rootfind_entry {
    uint8_t hash[Q_CRYPTO_DIGEST_LEN];
    struct crypto_buffer_st *der; // what the library calls CRYPTO_BUFFER
};

struct q_rootfind {
    const struct q_alloc *alloc;
    struct q_roots_told *told;
    struct q_rootfind_entry *list;
    size_t count;
    size_t capacity;
    size_t places_len;
};

// q_roots_search_environment takes the two variables out of a NULL-terminated list of "NAME=value", which may be NULL
// itself. The slices borrow from the list. The last of equal names counts; an empty value is none.
void q_roots_search_environment(struct q_roots_search *search, const char *const *environment);

// q_rootfind_init begins an empty list; `told` counts what is skipped, and lists places.
void q_rootfind_init(struct q_rootfind *found, const struct q_alloc *alloc, struct q_roots_told *told);

// q_rootfind_deinit frees it.
void q_rootfind_deinit(struct q_rootfind *found);

// q_rootfind_read adds the certificates of one source. Errors: as q_roots_load; the list keeps what it had.
Q_MUST_USE struct q_error q_rootfind_read(struct q_rootfind *found, const struct q_roots_source *source,
                                          const struct q_roots_search *search);

// q_rootfind_sort orders the list by hash and drops repetitions: equal sets have equal lists behind it.
void q_rootfind_sort(struct q_rootfind *found);

// q_rootfind_digest digests a sorted list under the process's key.
void q_rootfind_digest(const struct q_rootfind *found, uint8_t out[Q_CRYPTO_DIGEST_LEN]);

#endif

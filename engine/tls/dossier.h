// Dossier: what the host is shown with a question of a TLS stream (tls_stream.h): who is there, what was found of its
// certificates, or what is to be signed. One piece of memory with copies of all of it, counted, so that it lives as long as
// an event that shows it, whatever becomes of the connection meanwhile; and with it lives what the host's context names, for
// it holds the decision point. Copied and not lent: a question comes once a
// handshake, which costs a hundred times as much, and a host that drains late holds nothing of the connection's.
//
// Bound. A server says how long its chain is (the library takes 100 KiB), and a host when it advances over events: dossiers
// that are out at a time have Q_TLS_DOSSIERS_MAX bytes together, beside the engine's other memory. Beyond that there is none,
// as without memory, and who asks tries again.
//
// Life: q_tls_dossier_new gives one hold; _acquire and _release. Loop thread, or destroy behind the loop's end.
#ifndef QUOIT_ENGINE_TLS_DOSSIER_H
#define QUOIT_ENGINE_TLS_DOSSIER_H

#include "engine/base/alloc.h"
#include "engine/tls/tls_stream.h"

#define Q_TLS_DOSSIERS_MAX (UINT32_C(4) << 20) // of usual chains about a thousand

// All dossiers of a loop; outlives them.
struct q_tls_dossiers {
    const struct q_alloc *alloc;
    size_t bytes;
};

// Everything it points at lies in its own memory, but for the point, which it holds.
struct q_tls_dossier {
    struct q_tls_dossiers *all;
    size_t size;
    uint32_t holds;
    uint8_t kind;       // enum q_tls_question_kind
    uint16_t algorithm; // sign
    uint16_t port;
    struct q_tls_point point; // that asks
    struct q_slice host;
    struct q_slice verify_name;
    struct q_error verdict;             // verify
    const struct q_slice *certificates; // verify: the server's own first
    size_t num_certificates;
    struct q_slice staple;  // verify
    struct q_slice message; // sign
};

// q_tls_dossier_new makes the dossier of a question that `tls` asks, of a server that is called `host` and `port`. NULL: no
// memory, or too much of it is out.
struct q_tls_dossier *q_tls_dossier_new(struct q_tls_dossiers *all, const struct q_tls_stream *tls,
                                        const struct q_tls_question *question, struct q_slice host, uint16_t port);

// q_tls_dossier_acquire adds a hold. q_tls_dossier_release ends one; NULL is nothing.
struct q_tls_dossier *q_tls_dossier_acquire(struct q_tls_dossier *dossier);
void q_tls_dossier_release(struct q_tls_dossier *dossier);

#endif

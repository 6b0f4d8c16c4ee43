// Client: what the connections of one loop share to speak TLS: the cache of contexts, made from interned configs, and the
// environment of the streams. A connection *enters* a context, says with it what its stream is to be, and leaves it when it
// is closed; a context lives as long as it has users, and for a while behind that (contexts.h).
//
// Sessions. What servers give is kept by config and audience, when the config has tickets, and what is kept is taken for the
// next connection. Its certificates are looked at once more before it is shown to anybody: time has passed, they may be over,
// and so may a revocation list. What is not good any more is dropped, and the connection begins anew, with a server that may
// have new ones. The host's own word about a server (verify point) is not asked for again: it was given about the same
// certificates for the same name. A host that takes what the policy refuses has no sessions, for they would not pass here.
//
// Loop thread only.
#ifndef QUOIT_ENGINE_TLS_CLIENT_H
#define QUOIT_ENGINE_TLS_CLIENT_H

#include "engine/tls/contexts.h"
#include "engine/tls/dossier.h"
#include "engine/tls/report.h"
#include "engine/tls/sessions.h"
#include "engine/tls/tls_stream.h"

// Between the TCP connection and the last of our flights. Two round trips to the far side of the world take one second.
#define Q_TLS_HANDSHAKE_NS (10 * Q_NS_PER_S)

struct q_tls_client {
    struct q_tls_env env;
    struct q_contexts contexts;
    struct q_sessions sessions;
    struct q_tls_reports reports; // that are out
    struct q_tls_dossiers dossiers; // likewise
};

// Who is to answer. Slices outlive the connection.
struct q_tls_peer {
    struct q_slice name; // of the URL: a host name, or an address, in brackets when it is IPv6's
    bool is_address;
    uint16_t port; // of the URL, told with questions
};

// A connection's way to its sessions: by a context that it uses, with an audience (origin.h) that outlives it.
struct q_tls_user {
    struct q_handle context;
    struct q_slice audience;
};

// q_tls_client_init prepares it. `chunks` hold what is received and sent, and outlive it. False: no memory; it is in its
// zero state then.
Q_MUST_USE bool q_tls_client_init(struct q_tls_client *client, const struct q_alloc *alloc, struct q_loop *loop,
                                  struct q_chunk_pool *chunks);

// q_tls_client_deinit frees all contexts. Nobody may use one (checked). Legal on a zeroed client.
void q_tls_client_deinit(struct q_tls_client *client);

// q_tls_client_enter gives a context of the config `tls`, which the caller holds, and of which it is a user from here on.
// Errors: NO_MEMORY, FORKED (the config is the parent's).
Q_MUST_USE struct q_error q_tls_client_enter(struct q_tls_client *client, struct q_handle tls,
                                             struct q_handle *out_context);

// q_tls_client_leave ends one use.
void q_tls_client_leave(struct q_tls_client *client, struct q_handle context);

// q_tls_client_invalidate has what was made with the config `tls`, which the caller holds, serve nobody any more who comes from
// now on: its context, and the sessions that it knows. The zero handle: with any.
void q_tls_client_invalidate(struct q_tls_client *client, struct q_handle tls);

// q_tls_client_params says what a stream to `peer` is to be, by a context that the caller uses as long as the stream does.
void q_tls_client_params(const struct q_tls_client *client, struct q_handle context, const struct q_tls_peer *peer,
                         struct q_tls_params *out);

// q_tls_client_take_session gives a session to resume, whose certificates are good for `verify_name` now; one reference passes
// to the caller. NULL: there is none.
struct ssl_session_st *q_tls_client_take_session(struct q_tls_client *client, const struct q_tls_user *user,
                                                 struct q_slice verify_name);

// q_tls_client_keep_session takes over a reference on a session that the server gave, to be kept or not.
void q_tls_client_keep_session(struct q_tls_client *client, const struct q_tls_user *user,
                               struct ssl_session_st *session);

// q_tls_client_drop_session forgets a session that was taken and was of no use.
void q_tls_client_drop_session(struct q_tls_client *client, const struct q_tls_user *user,
                               const struct ssl_session_st *session);

#endif

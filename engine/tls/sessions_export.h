// Export of sessions: a store's sessions as bytes for a later process, and back.
//
// The bytes are sealed under a key of the host's: sessions hold secrets, and whoever could put one of his own among them
// would be taken for the server from then on. What was changed, cut, made under another key, or by another version of this
// library, is refused as a whole; so is what is said to come from the future.
//
// Who may use what. With each session goes the identity of its config (q_tls_config_identity): the digest is keyed by the
// process, and this is made of the same text without a key. So a session meets a config that is equal in all that affects
// trust, or nobody; and its certificates are looked at again before it is shown (client.h). Configs with a decision point of
// the host's are equal to none of another process's: theirs are not exported.
//
// Single use. A session of TLS 1.3 that was exported is not in the store any more: two processes must not show one ticket.
// Time between the processes is the calendar's. Loop thread only.
#ifndef QUOIT_ENGINE_TLS_SESSIONS_EXPORT_H
#define QUOIT_ENGINE_TLS_SESSIONS_EXPORT_H

#include "engine/base/error.h"
#include "engine/tls/sessions.h"

#define Q_SESSIONS_KEY_MIN 16
#define Q_SESSIONS_KEY_MAX 1024
#define Q_SESSIONS_EXPORT_MIN 128          // bytes of an export without sessions, with room
#define Q_SESSIONS_EXPORT_MAX (64u << 20)  // of one that is looked at

// What an export is sealed under. Borrowed for the call.
struct q_sessions_seal {
    struct q_slice key;     // the host's, Q_SESSIONS_KEY_MIN to Q_SESSIONS_KEY_MAX bytes
    struct q_slice version; // of the library: another one may judge servers otherwise
};

// q_sessions_export writes what fits into `size` bytes, at least Q_SESSIONS_EXPORT_MIN: the sessions asked for latest. What is
// written leaves the store, but for what may be shared. `now_s` is the calendar's. `out` NULL: nothing is written or leaves,
// and `out_len` is how much room all would take now. Errors: NO_MEMORY, and nothing has changed.
Q_MUST_USE struct q_error q_sessions_export(struct q_sessions *sessions, const struct q_sessions_seal *seal,
                                            int64_t now_s, void *out, size_t size, size_t *out_len);

// q_sessions_import puts into the store what is in `bytes` and not over yet; `out_count` sessions, of which there may be more
// than the store keeps. Errors: TLS_BAD_SESSIONS (not exported by this version, under this key, or damaged), NO_MEMORY.
Q_MUST_USE struct q_error q_sessions_import(struct q_sessions *sessions, const struct q_sessions_seal *seal,
                                            int64_t now_s, struct q_slice bytes, uint32_t *out_count);

#endif

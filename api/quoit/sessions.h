// Sessions of TLS, from one process to the next. Hosts include quoit.h.
#ifndef QUOIT_SESSIONS_H
#define QUOIT_SESSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

struct quoit_engine;

// quoit_engine_export_tls_sessions writes the sessions that servers gave this engine (QUOIT_TLS_TICKETS) into `out`, for
// quoit_engine_import_tls_sessions in a later process; `out_len` bytes of `size`, which is at least 128. Where there is no room
// for all, those asked for latest go in. With `out` NULL and `size` 0 it only tells how much room all of them would take now.
// Sessions of TLS 1.3 are for one use: the engine does not have those any more that were exported, so export when it is about
// to end. Sessions of configurations with a decision point of the host's stay: no other process has that point.
// The bytes are encrypted and authenticated under `key`, 16 to 1024 bytes, which should be random and is not to be kept
// beside them: who has both can resume the sessions, and who could write them be taken for the servers.
// Any thread; it waits for the loop as quoit_port_create does, and under the same conditions.
// Errors: STALE_HANDLE, INVALID_ARGUMENT, NO_MEMORY, CLOSED, FORKED, WRONG_THREAD, BUSY (as quoit_port_create).
QUOIT_API QUOIT_MUST_USE int32_t quoit_engine_export_tls_sessions(struct quoit_engine engine, const void *key,
                                                                  size_t key_len, void *out, size_t size,
                                                                  size_t *out_len);

// quoit_engine_import_tls_sessions takes up what another engine has exported under the same key, by the same version of the
// library: sessions whose time is not over, `out_count` (may be NULL) of them, at most as many as it keeps. Each is resumed by
// requests alone whose configuration is equal to the one that it was made under, in all that affects trust, and only while
// the server's certificates pass that configuration's verification. Import one export once, into one engine.
// Any thread, as above. Errors: TLS_BAD_SESSIONS (not exported under this key by this version, damaged, or of a time to
// come), and those above.
QUOIT_API QUOIT_MUST_USE int32_t quoit_engine_import_tls_sessions(struct quoit_engine engine, const void *key,
                                                                  size_t key_len, const void *data, size_t len,
                                                                  uint32_t *out_count);

#ifdef __cplusplus
}
#endif

#endif  // QUOIT_SESSIONS_H

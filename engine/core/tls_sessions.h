// What hosts may do with an engine's sessions of TLS: take them along to another process. See the functions of the same names
// in api/quoit.h.
#ifndef QUOIT_ENGINE_CORE_TLS_SESSIONS_H
#define QUOIT_ENGINE_CORE_TLS_SESSIONS_H

#include "engine/core/engine.h"

// q_engine_export_tls_sessions and q_engine_import_tls_sessions give codes. The caller has counted a request. Any thread inside
// the engine; they wait for the loop, as opening a port does, unless they are on it. WRONG_THREAD: another engine's loop, or
// host-driven and not the ticking thread. BUSY: host-driven, before the first tick, and another thread does the same.
int32_t q_engine_export_tls_sessions(struct q_engine *engine, struct q_slice key, void *out, size_t size, size_t *out_len);

// q_engine_import_tls_sessions: see above.
int32_t q_engine_import_tls_sessions(struct q_engine *engine, struct q_slice key, struct q_slice data, uint32_t *out_count);

// q_engine_run_errand runs what either of them has pushed. Loop thread.
void q_engine_run_errand(struct q_engine *engine, struct q_command *command);

#endif

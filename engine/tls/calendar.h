// Calendar: by what the TLS library tells whether a session has expired. The system's, unless the loop's clock has a calendar
// of its own, as a simulated one has. Certificates expire by the same clock: tls_handshake.c gives its time to verify.h.
// The function that the library asks is told nothing, not even the connection: so there is one such clock in a thread, the
// last that a context was given there. It outlives those contexts. Loop thread only.
#ifndef QUOIT_ENGINE_TLS_CALENDAR_H
#define QUOIT_ENGINE_TLS_CALENDAR_H

#include "engine/base/clock.h"

struct ssl_ctx_st;

// q_calendar_set has the context go by the calendar of `clock`. Does nothing when it has none: the system's holds.
void q_calendar_set(struct ssl_ctx_st *context, const struct q_clock *clock);

#endif

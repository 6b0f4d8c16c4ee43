// Target: where connections of an origin go to, and how, as the dialler wants it. Thread-free.
#ifndef QUOIT_ENGINE_CONN_TARGET_H
#define QUOIT_ENGINE_CONN_TARGET_H

#include "engine/conn/origin.h"
#include "engine/net/dialer.h"

// q_target_of gives the target of `origin`, into which it points. `winner` names the origin for net/winners.h.
struct q_dial_target q_target_of(const struct q_origin *origin, uint64_t winner);

#endif

// Upgrade: what a protocol's name looks like, and whether a 101 answers the one that was asked for (RFC 9110
// sections 7.8 and 15.2.2). Thread-free: pure functions.
#ifndef QUOIT_ENGINE_WIRE_H1_UPGRADE_H
#define QUOIT_ENGINE_WIRE_H1_UPGRADE_H

#include "engine/base/slice.h"
#include "engine/wire/headers.h"

#include <stdbool.h>

// q_h1_is_protocol tells whether `protocol` is one protocol: a token, or a token, "/" and a token.
bool q_h1_is_protocol(struct q_slice protocol);

// q_h1_upgrade_matches tells whether the fields of a 101 switch to `protocol` and nothing else: Upgrade names it (in
// any case), once and alone, and Connection has "upgrade".
bool q_h1_upgrade_matches(const struct q_headers *headers, struct q_slice protocol);

#endif

// Sources: what the kernel would send from towards an address, found with a connected UDP socket: connecting one sends
// nothing, and the kernel then has chosen a route and a source.
//
// This is the one plain descriptor that the loop makes where sockets have no number: one for each family, which lives
// inside one call of q_sources_kernel's `find`, on the loop thread, and whose number goes nowhere else. (io_uring has no
// operation that tells a socket's own name.)
#ifndef QUOIT_ENGINE_NET_SOURCES_H
#define QUOIT_ENGINE_NET_SOURCES_H

#include "engine/net/address_order.h"

// q_sources_kernel asks the kernel. Never blocks; leaves no descriptor. Constant; loop thread, since the number that it
// has for a moment must not be another thread's business. `find` is false when no socket can be made (EMFILE).
extern const struct q_sources q_sources_kernel;

#endif

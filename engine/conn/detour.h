// Detours: rules of a program's that have connections for one host and port go to another one. What is asked for stays:
// the target and Host. The first rule that matches counts. Where a connection goes is a part of what it is
// (engine/conn/origin.h), so that none is shared that goes elsewhere.
// Thread-free: one owner builds the list; once it is frozen with its spec, any thread reads it.
#ifndef QUOIT_ENGINE_CONN_DETOUR_H
#define QUOIT_ENGINE_CONN_DETOUR_H

#include "engine/conn/origin.h"

#define Q_DETOURS_MAX 16            // more are a table of names, which has a place of its own: the hosts file
#define Q_DETOUR_HOST_BYTES_MAX 255 // no name of DNS is longer (RFC 1035 section 2.3.4)

struct q_detour;

struct q_detours {
    struct q_detour *first;
    uint32_t count;
};

// One rule as a program gives it: an empty `host` and port 0 match any; an empty `to_host` and `to_port` 0 keep. Hosts
// are as in URLs, an IPv6 address with or without brackets.
struct q_detour_rule {
    struct q_slice host;
    struct q_slice to_host;
    uint16_t port;
    uint16_t to_port;
};

// q_detours_add appends a rule; texts are copied. Fails with INVALID_ARGUMENT (no host of a URL, too many rules) or
// NO_MEMORY, and leaves the list as it was.
Q_MUST_USE struct q_error q_detours_add(struct q_detours *detours, const struct q_alloc *alloc,
                                        const struct q_detour_rule *rule);

// q_detours_copy fills the empty list `to` with the rules of `from`. Fails with NO_MEMORY; `to` then has some of them.
Q_MUST_USE struct q_error q_detours_copy(const struct q_detours *from, const struct q_alloc *alloc,
                                         struct q_detours *to);

// q_detours_apply sets the origin's peer by the first rule that matches; once. A socket's origin goes where it says.
// Fails with NO_MEMORY, and leaves the origin as it was.
Q_MUST_USE struct q_error q_detours_apply(const struct q_detours *detours, struct q_origin *origin);

// q_detours_deinit gives the memory back; legal on the zero value.
void q_detours_deinit(struct q_detours *detours, const struct q_alloc *alloc);

#endif

// Address order: in which order the addresses of a name are tried (RFC 6724 section 6). What the kernel would send from
// is asked through a seam, so that tests and the simulation have sources of their own (net/sources.h).
//
// Of the ten rules these are kept: 1 (unusable last), 2 (matching scope), 5 (matching label), 6 (precedence), 8 (smaller
// scope), 9 (longest matching prefix, of IPv6 alone and of at most 64 bits), 10 (else as they came). 3, 4 and 7 ask for
// what only netlink tells (deprecated and home addresses, tunnels). Rule 9 is left out for IPv4, as everybody does: it
// would undo a server's rotation, and an IPv4 prefix says nothing of distance. Behind 64 bits is the interface identifier,
// which says nothing either, and the source's own prefix length is not known here.
// The rotation of a name server's stays: equal addresses keep their order.
// Thread-free: nothing is kept between calls.
#ifndef QUOIT_ENGINE_NET_ADDRESS_ORDER_H
#define QUOIT_ENGINE_NET_ADDRESS_ORDER_H

#include "engine/base/check.h"
#include "engine/net/address.h"

// Addresses that are tried for one connection. 64 at the default pace of 250 ms take 16 s, half of the default bound on
// connecting; real names have a dozen, and more than these are a server's mistake or an attack on whoever connects.
#define Q_ADDRESS_ORDER_MAX 64

// Where the kernel would send from. Implementations: net/sources.h.
struct q_sources {
    // Fills `out_from[i]` with the source towards `to[i]`; family NONE: there is no way there. False: nobody can tell, and
    // the addresses stay as they came.
    bool (*find)(const struct q_sources *sources, const struct q_endpoint *to, uint32_t count, struct q_endpoint *out_from);
    void *context;
};

// q_address_label, q_address_precedence and q_address_scope give an address's place in the policy table of RFC 6724
// section 2.1 and its scope (section 3.1, as of multicast: 2 link-local, 5 site-local, 14 global).
unsigned q_address_label(const struct q_endpoint *address);
unsigned q_address_precedence(const struct q_endpoint *address);
unsigned q_address_scope(const struct q_endpoint *address);

// q_address_order_by sorts `list` by the sources `from` towards each, stably, and gives how many are left: addresses
// without a source stand last, and are left out when no address of their family has one, unless none has any: then the
// kernel shall say what is wrong. `count` is at most Q_ADDRESS_ORDER_MAX.
uint32_t q_address_order_by(struct q_endpoint *list, const struct q_endpoint *from, uint32_t count);

// q_address_order asks `sources` (NULL: nobody can tell) and sorts. `out_is_reachable` is false when it is known that none
// has a source.
uint32_t q_address_order(const struct q_sources *sources, struct q_endpoint *list, uint32_t count,
                         bool *out_is_reachable);

#endif

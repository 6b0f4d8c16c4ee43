// resolv.conf(5): which name servers are asked, how often and how long, and which domains a short name is tried under.
// What cannot be understood is passed over, as libc does: a mistake in one line never takes the others with it. Neither
// LOCALDOMAIN nor RES_OPTIONS is looked at: nothing here reads the environment.
//
// Value type without memory of its own; thread-free.
#ifndef QUOIT_ENGINE_NET_RESOLV_CONF_H
#define QUOIT_ENGINE_NET_RESOLV_CONF_H

#include "engine/net/address.h"

#define Q_RESOLV_PORT 53
#define Q_RESOLV_SERVERS_MAX 8        // an engine's own list; of a file the first three count, as for libc
#define Q_RESOLV_FILE_SERVERS_MAX 3
#define Q_RESOLV_SEARCH_MAX 32        // domains; each may cost a query of a name that is not there
#define Q_RESOLV_SEARCH_TEXT_MAX 2048 // bytes of all of them
#define Q_RESOLV_NDOTS_MAX 15         // these three as in libc
#define Q_RESOLV_TIMEOUT_MAX 30
#define Q_RESOLV_ATTEMPTS_MAX 5
#define Q_RESOLV_FILE_MAX (64u * 1024u) // bytes read of the file
#define Q_RESOLV_ZONE_MAX 16            // of an interface's name, NUL included, as the kernel has it

// An interface that a server's address named, and what it was then.
struct q_resolv_zone {
    char name[Q_RESOLV_ZONE_MAX];
    uint32_t index;
};

struct q_resolv_conf {
    struct q_address servers[Q_RESOLV_SERVERS_MAX]; // with the port
    struct q_resolv_zone zones[Q_RESOLV_SERVERS_MAX]; // of the server at the same place; index 0: it names none
    uint32_t num_servers;                           // never 0 once parsed
    uint32_t num_search;
    struct {
        uint16_t at; // in search_text
        uint16_t len;
    } search[Q_RESOLV_SEARCH_MAX];
    char search_text[Q_RESOLV_SEARCH_TEXT_MAX]; // lower case, no dots at the ends
    uint32_t ndots;
    uint32_t timeout_s; // of one query to one server
    uint32_t attempts;  // rounds over all servers
    bool rotate;
    bool use_vc; // TCP from the start
    bool single_request; // IPv4 and IPv6 one after the other
    bool no_aaaa;
};

// Gives the index of a network interface, or 0.
typedef uint32_t q_resolv_zone_fn(const void *context, struct q_slice name);

// q_resolv_conf_parse reads `text`, the file's. Where it names no server, the one of this machine is asked; where it names
// no domain, `hostname`'s own is searched (from behind its first dot; empty: none). An address with a zone (fe80::1%eth0)
// is resolved by `zone_of`, which may be NULL: then zones must be numbers.
void q_resolv_conf_parse(struct q_resolv_conf *conf, struct q_slice text, struct q_slice hostname,
                         q_resolv_zone_fn *zone_of, const void *context);

// q_resolv_conf_zone is a q_resolv_zone_fn that knows what the conf at `context` knows.
uint32_t q_resolv_conf_zone(const void *context, struct q_slice name);

// q_resolv_server_parse reads one server: "192.0.2.1", "::1", "fe80::1%2", each also with a port: "192.0.2.1:5353",
// "[::1]:5353". False on anything else.
bool q_resolv_server_parse(struct q_slice text, q_resolv_zone_fn *zone_of, const void *context, struct q_address *out);

// q_resolv_conf_search gives the domain at `index`.
static inline struct q_slice q_resolv_conf_search(const struct q_resolv_conf *conf, uint32_t index) {
    return q_slice_make(conf->search_text + conf->search[index].at, conf->search[index].len);
}

#endif

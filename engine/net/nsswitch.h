// nsswitch.conf(5): where this machine's programs look names up. The resolver reads the hosts file and asks name servers;
// where the file wants more than that, or the two in another order, what programs that use libc find can be another thing
// than what is found here, and a host is told so.
// Value type; thread-free.
#ifndef QUOIT_ENGINE_NET_NSSWITCH_H
#define QUOIT_ENGINE_NET_NSSWITCH_H

#include "engine/base/slice.h"

#define Q_NSSWITCH_FILE_MAX (64u * 1024u) // bytes read of the file
#define Q_NSSWITCH_SERVICE_MAX 32         // of a service's name, NUL included; longer ones are cut

struct q_nsswitch {
    bool needs_more;                     // than files, then dns
    char first[Q_NSSWITCH_SERVICE_MAX]; // the first thing that says so: "mdns4_minimal", or "[NOTFOUND=return]"
};

// q_nsswitch_parse reads the `hosts:` line of `text`; the last one holds. Without one it is files and dns, as for libc.
void q_nsswitch_parse(struct q_nsswitch *out, struct q_slice text);

#endif

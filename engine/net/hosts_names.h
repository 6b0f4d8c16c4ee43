// Hosts' names: a q_names that knows what the hosts file says, and nothing else: for tests, simulation, and machines
// without a name server.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_HOSTS_NAMES_H
#define QUOIT_ENGINE_NET_HOSTS_NAMES_H

#include "engine/loop/loop.h"
#include "engine/net/hosts.h"
#include "engine/net/resolve.h"

struct q_hosts_names {
    struct q_names names; // first: a q_names is one of these
    struct q_loop *loop;
    const struct q_alloc *alloc;
    const struct q_hosts *hosts;
    struct q_list asked;
    struct q_task task;
};

// q_hosts_names_init prepares it; all three outlive it. q_hosts_names_deinit ends it: nothing may be asked any more
// (checked).
void q_hosts_names_init(struct q_hosts_names *names, struct q_loop *loop, const struct q_alloc *alloc,
                        const struct q_hosts *hosts);
void q_hosts_names_deinit(struct q_hosts_names *names);

#endif

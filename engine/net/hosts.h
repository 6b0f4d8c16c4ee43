// Hosts: names that need no query. The hosts file (hosts(5)) is read once, in create, on the creating thread, into an
// immutable table; `localhost` and everything under it is the loopback by definition (RFC 6761 section 6.3) and is
// never looked up anywhere else. After loading, thread-free: nobody writes.
#ifndef QUOIT_ENGINE_NET_HOSTS_H
#define QUOIT_ENGINE_NET_HOSTS_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/net/address.h"

#define Q_ADDRESSES_MAX 8               // of one name; more are not tried, which bounds a connect
#define Q_HOSTS_FILE_MAX (1024u * 1024u) // bytes read of the file: block lists are long, but not endless

struct q_addresses {
    struct q_address list[Q_ADDRESSES_MAX];
    uint32_t count;
};

struct q_hosts {
    const struct q_alloc *alloc;
    struct q_hosts_entry *entries; // sorted by name, then by place in the file
    size_t num_entries;
    size_t entries_size;
    char *text; // the file, names folded to lower case in place
    size_t text_size;
};

// q_hosts_load reads `path`. A file that cannot be read makes an empty table, as libc does. Fails with NO_MEMORY only.
// Ends with q_hosts_deinit.
Q_MUST_USE struct q_error q_hosts_load(struct q_hosts *hosts, const struct q_alloc *alloc, const char *path);

// q_hosts_parse is q_hosts_load for text that is already there; the text is copied.
Q_MUST_USE struct q_error q_hosts_parse(struct q_hosts *hosts, const struct q_alloc *alloc, struct q_slice text);

// q_hosts_deinit gives the memory back; legal on the zero value.
void q_hosts_deinit(struct q_hosts *hosts);

// q_hosts_find gives the addresses of `name` (lower case, without a final dot), each with `port`, in the order of the
// file. False when the name is not there.
bool q_hosts_find(const struct q_hosts *hosts, struct q_slice name, uint16_t port, struct q_addresses *out);

// q_hosts_is_localhost tells whether `name` (lower case, without a final dot) is localhost or under it: always this machine.
bool q_hosts_is_localhost(struct q_slice name);

// q_hosts_find_family copies the addresses of one family of `name`, at most `room`, and gives their number. `*out_is_there`:
// the file has the name, maybe with addresses of the other family alone. The file alone is asked: not for localhost.
uint32_t q_hosts_find_family(const struct q_hosts *hosts, struct q_slice name, bool is_v6, uint8_t (*out)[16], uint32_t room,
                             bool *out_is_there);

#endif

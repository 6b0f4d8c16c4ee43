// Dialling: addresses, how a request's connections are made, and what became of those that did not come about. Included by
// quoit.h; what every comment may assume is said in api/README.md.
#ifndef QUOIT_DIAL_H
#define QUOIT_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

struct quoit_request;

enum quoit_address_family {
    QUOIT_ADDRESS_NONE = 0,
    QUOIT_ADDRESS_UNIX = 1, // a unix socket; neither port nor ip
    QUOIT_ADDRESS_IPV4 = 4,
    QUOIT_ADDRESS_IPV6 = 6,
    QUOIT_ADDRESS_VSOCK = 40, // a virtual machine, or its host; no port, and `ip` is context id and port, 4 bytes each
};

struct quoit_address {
    uint16_t family; // enum quoit_address_family
    uint16_t port;   // in host order
    uint8_t ip[16];  // in network order; of IPv4 the first 4
};

enum quoit_dial_flag {
    QUOIT_DIAL_NAGLE = 1 << 0,     // small segments wait for acknowledgements; default: TCP_NODELAY
    QUOIT_DIAL_FAST_OPEN = 1 << 1, // TCP fast open (RFC 7413): where the kernel has a cookie of the server's, the request
                                   // goes out with the first packet. A server may then get it twice: for what may be
                                   // repeated alone. An address is then taken for reached before it has answered.
};

#define QUOIT_DIAL_OFF UINT32_MAX // in the place of a time: not at all

// How a request's connections are made. Zero in a field means its default. Requests that differ in any of it share no
// connection. Addresses of a name are raced to (RFC 8305), in the order of RFC 6724: one each attempt_delay_ms, and the next
// at once when one fails.
struct quoit_dial_options {
    uint32_t struct_size;
    uint32_t family;               // QUOIT_ADDRESS_IPV4 or _IPV6: addresses of that family alone; 0: both
    uint32_t flags;                // enum quoit_dial_flag
    uint32_t attempt_delay_ms;     // default 250, 100 to 2000
    uint32_t mark;                 // SO_MARK, which needs the right to it (OPTION_REFUSED); 0: none
    uint32_t keepalive_idle_s;     // silence before the first keep-alive probe; default 60, most 32767; QUOIT_DIAL_OFF
    uint32_t keepalive_interval_s; // between probes; default 15, most 32767
    uint32_t keepalive_count;      // probes without an answer that end the connection; default 4, most 127
    uint32_t user_timeout_ms;      // TCP_USER_TIMEOUT: how long what was sent may stay unacknowledged; default 120000, most
                                   // 86400000; QUOIT_DIAL_OFF: the kernel's own
    uint32_t vsock_cid;            // connect to this virtual machine, or 2: its host; with vsock_port
    uint32_t vsock_port;           // 0: none
    uint32_t reserved;
    const char *interface_name;    // SO_BINDTODEVICE: a network interface, at most 15 characters; NULL: any (OPTION_REFUSED
                                   // when there is none such)
    const char *unix_path;         // connect to this socket: a path, or a NUL and an abstract name; NULL: none. What is asked
    size_t unix_path_len;          // for stays, and so do Host and certificate; it holds for each redirect hop
};

// quoit_request_set_dial says how the request's connections are made, in each hop. What `options` points at is copied.
// A unix_path or a vsock_port go before quoit_request_connect_to. A second call takes the place of the first. Builder's
// thread.
// Errors: INVALID_ARGUMENT (out of range; two places to connect to, or one for an http+unix URL), INVALID_STRUCT_SIZE, FROZEN.
QUOIT_API QUOIT_MUST_USE int32_t quoit_request_set_dial(struct quoit_request *request,
                                                        const struct quoit_dial_options *options);

// quoit_dials is what was tried to get a connection, see quoit_summary.dials.
struct quoit_dials;

// What became of one address that was tried.
struct quoit_dial {
    uint32_t struct_size;
    int32_t code;                 // 0: it was given up, for another one or when the time was over
    int32_t os_errno;
    struct quoit_address address;
    uint64_t began_ns;            // since connecting began, looking up the name included
    uint64_t took_ns;
};

// quoit_dials_at gives the address that was tried as number `index`, from 0, in the order in which they were. `out->struct_size`
// must be set. Any thread, while the event is valid. Errors: INVALID_ARGUMENT (there is no such one), INVALID_STRUCT_SIZE.
QUOIT_API int32_t quoit_dials_at(const struct quoit_dials *dials, size_t index, struct quoit_dial *out);

#ifdef __cplusplus
}
#endif

#endif

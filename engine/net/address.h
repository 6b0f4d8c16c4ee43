// Addresses: where a socket may connect to. Value type; thread-free.
#ifndef QUOIT_ENGINE_NET_ADDRESS_H
#define QUOIT_ENGINE_NET_ADDRESS_H

#include "engine/base/slice.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h> // behind sys/socket.h, which it needs

struct q_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
        struct sockaddr_vm vm;
    } u;
    socklen_t len;
};

// What a host is told of an address. Equal to struct quoit_address of the public header, but for the names.
enum q_endpoint_family { Q_ENDPOINT_NONE = 0, Q_ENDPOINT_UNIX = 1, Q_ENDPOINT_V4 = 4, Q_ENDPOINT_V6 = 6, Q_ENDPOINT_VSOCK = 40 };

struct q_endpoint {
    uint16_t family; // enum q_endpoint_family
    uint16_t port;   // host order; 0 for a unix socket and of a virtual machine
    uint8_t ip[16];  // network order; of IPv4 the first 4; of a virtual machine context id and port, 4 bytes each
};

#define Q_ADDRESS_TEXT_MAX 128 // "[v6]:port", or "unix:" and sun_path; and a NUL

// q_address_v4 and q_address_v6 make an address from bytes in network order and a port in host order.
struct q_address q_address_v4(const uint8_t bytes[4], uint16_t port);
struct q_address q_address_v6(const uint8_t bytes[16], uint16_t port);

// q_address_unix makes the address of a socket in the file system from its path, or of an abstract one from a NUL and its
// name. False when `name` is empty, does not fit into sun_path, or has a NUL at another place.
bool q_address_unix(struct q_slice name, struct q_address *out);

// q_address_vsock makes the address of a port in a virtual machine, or of its host (vsock(7)).
struct q_address q_address_vsock(uint32_t cid, uint32_t port);

// q_address_parse reads a literal "1.2.3.4" or "::1" (no brackets, no zone), with `port`. False on anything else.
bool q_address_parse(struct q_slice text, uint16_t port, struct q_address *out);

// q_address_endpoint gives what is told of an address; the zero value for one of another family.
struct q_endpoint q_address_endpoint(const struct q_address *address);

// q_endpoint_address is the address of an endpoint, but for a unix socket's, whose name is not there.
struct q_address q_endpoint_address(const struct q_endpoint *endpoint);

// q_address_text writes "1.2.3.4:80", "[::1]:80", "vsock:2:80", "unix:/run/x" or, for an abstract socket, "unix:@x" with a
// NUL, and gives the number of characters before it. What is not visible ASCII in a socket's name is written as '?'.
size_t q_address_text(const struct q_address *address, char out[Q_ADDRESS_TEXT_MAX]);

#endif

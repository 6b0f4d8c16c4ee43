// What a client that parses nothing must know of its server: where it is, what to send, and how many octets come back.
#ifndef QUOIT_BENCH_PEERS_WIRE_H
#define QUOIT_BENCH_PEERS_WIRE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/peers/options.h"

enum { PEER_REQUEST_MAX = 1024 };

struct peer_wire {
    struct sockaddr_in address;
    bool is_tls; // the URL is https
    char request[PEER_REQUEST_MAX];
    size_t request_len;
    uint64_t response_len; // head and body, the same for each request
};

// Gives the next octets of a response: as recv.
typedef ssize_t peer_receive_fn(void *context, void *out, size_t size);

// peer_wire_make reads the URL (a literal IPv4 address) and makes the request's octets. It ends the process when they are
// none.
void peer_wire_make(struct peer_wire *wire, const struct peer_options *options);

// peer_wire_learn is peer_wire_make for plain HTTP, and sends the request once on a connection of its own to learn how long
// the response is. It ends the process when that fails.
void peer_wire_learn(struct peer_wire *wire, const struct peer_options *options);

// peer_wire_read_length reads a head by `receive` and gives the length of the response, head included, or ends the process.
uint64_t peer_wire_read_length(peer_receive_fn *receive, void *context);

// peer_wire_dial gives a connected, blocking socket without delay.
int peer_wire_dial(const struct peer_wire *wire);

#endif

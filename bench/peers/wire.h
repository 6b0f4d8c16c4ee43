// What a client that parses nothing must know of its server: where it is, what to send, and how many octets come back.
#ifndef QUOIT_BENCH_PEERS_WIRE_H
#define QUOIT_BENCH_PEERS_WIRE_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/peers/options.h"

enum { PEER_REQUEST_MAX = 1024 };

struct peer_wire {
    struct sockaddr_in address;
    char request[PEER_REQUEST_MAX];
    size_t request_len;
    uint64_t response_len; // head and body, the same for each request
};

// peer_wire_learn reads the URL (a literal address, plain HTTP), makes the request's octets, and sends it once on a
// connection of its own to learn how long the response is. It ends the process when that fails.
void peer_wire_learn(struct peer_wire *wire, const struct peer_options *options);

// peer_wire_dial gives a connected, blocking socket without delay.
int peer_wire_dial(const struct peer_wire *wire);

#endif

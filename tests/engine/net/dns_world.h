// A world of name servers: a loop on an I/O seam whose sockets all lead to one function of the test, in simulated time. The
// function sees each query with the address that it was sent to, and answers, at once or later, once, often or never.
//
// What is checked in passing: queries come from sockets of their own, two ops of a kind are never in flight on a slot, and
// at the end no slot, no timer and no memory is left. One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_NET_DNS_WORLD_H
#define QUOIT_TESTS_ENGINE_NET_DNS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/loop/loop.h"
#include "engine/net/address.h"
#include "tests/support/dnswire.h"
#include "tests/support/failalloc.h"

#define DNS_WORLD_SLOTS 256

struct dns_world;

// A query that has come to a server.
struct dns_query {
    struct dns_world *world;
    uint32_t slot;       // of the client's socket
    uint64_t generation; // likewise
    char server[Q_ADDRESS_TEXT_MAX];
    bool is_tcp;
    uint8_t bytes[600]; // without TCP's length
    size_t len;
    char name[256];
    uint16_t type;
};

struct dns_packet {
    uint64_t at_ns;
    uint64_t order;
    uint32_t slot;
    uint64_t generation;
    uint8_t *bytes;
    size_t len;
    int error; // positive errno, instead of bytes
};

struct dns_slot {
    uint64_t generation;
    bool is_open, is_datagram, is_connected;
    struct q_address peer;
    struct q_io_op *connect, *recv, *send, *close;
    uint8_t inbox[70000]; // of a stream; of a socket of datagrams the first one
    size_t inbox_len;
    size_t sent_len; // of TCP's query so far
    uint8_t sent[600];
};

struct dns_world {
    struct q_io io; // first
    struct q_io_stats stats;
    struct q_clock clock;
    uint64_t now_ns;
    struct q_log log;
    struct q_loop loop;
    struct q_failalloc *memory;
    struct q_chunk_budget budget;
    struct q_chunk_pool chunks;
    struct dns_slot slots[DNS_WORLD_SLOTS];
    uint32_t slots_max; // fewer: FD_LIMIT
    struct q_list completed;
    struct dns_packet packets[4096];
    size_t num_packets;
    uint64_t next_order;

    // The test's.
    void (*on_query)(struct dns_query *query);
    int (*on_connect)(struct dns_world *world, const char *server, bool is_tcp); // an errno, or 0; NULL: 0
    size_t (*on_read)(struct dns_world *world, const char *path, char *into, size_t size); // a file
    void *context;
    unsigned num_queries, num_tcp; // that have come to servers
    unsigned num_sockets;          // that were made
    unsigned most_open;            // at a time
};

void dns_world_open(struct dns_world *world);

// dns_world_close runs what is left, and checks that nothing is.
void dns_world_close(struct dns_world *world);

// dns_world_run runs ticks for `ms` of simulated time; dns_world_until runs until `*condition`, and fails after 1000 s.
void dns_world_run(struct dns_world *world, uint64_t ms);
void dns_world_until(struct dns_world *world, const bool *condition);

static inline const struct q_alloc *dns_world_alloc(struct dns_world *world) {
    return q_failalloc_alloc(world->memory);
}

// dns_reply sends `wire` back after `delay_ms`, from the address that was asked.
void dns_reply(const struct dns_query *query, const struct dnswire *wire, uint64_t delay_ms);
void dns_reply_bytes(const struct dns_query *query, const void *bytes, size_t len, uint64_t delay_ms); // as they are

// dns_fail makes the socket of the query fail.
void dns_fail(const struct dns_query *query, int error, uint64_t delay_ms);

// dns_end ends a TCP connection.
void dns_end(const struct dns_query *query, uint64_t delay_ms);

#endif

// One connection of the server, owned by one worker; only that worker's thread comes here.
//
// A connection reads a head, then the body, waits if it was told to, sends, and starts again. While it waits or
// sends it does not read: requests that were pipelined stay in the kernel, or in `pending` when they came along with
// an earlier one. On a server with TLS a handshake comes first. The socket is registered once, edge-triggered, for
// everything; `readable` and `writable` remember the edges.
#ifndef QUOIT_BENCH_SERVER_CONN_H
#define QUOIT_BENCH_SERVER_CONN_H

#include "bench/server/tls.h"
#include "bench/server/worker.h"

enum bench_conn_state {
    BENCH_CONN_SHAKE,  // in TLS's handshake
    BENCH_CONN_HEAD,   // reading a head
    BENCH_CONN_BODY,   // reading a body
    BENCH_CONN_WAIT,   // until the deadline, then SEND
    BENCH_CONN_SEND,   // sending up to `stop`
    BENCH_CONN_DRAIN,  // all is sent; waits until the kernel has passed it on, then resets
    BENCH_CONN_LINGER, // our direction is shut down; reads and drops until the client closes
    BENCH_CONN_ECHO,   // upgraded: sends back what it reads
    BENCH_CONN_SILENT, // does nothing until the client closes
    BENCH_CONN_CLOSED, // on the worker's dead list
    BENCH_CONN_NUM_STATES
};

struct bench_conn {
    struct bench_worker *worker;
    struct bench_conn *next, **link; // in the worker's conns; `next` alone in its dead list
    int fd;
    struct bench_tls *tls; // NULL: plain
    enum bench_conn_state state;
    bool readable, writable;
    bool peer_fin; // the client has shut down its direction
    uint64_t deadline_ns;
    size_t timer_index; // in the worker's heap, from 1; 0: none
    uint64_t num_requests;
    bool cut;     // the end is one that TLS does not announce
    bool yielded; // the deadline is no more than a turn taken by others
    uint64_t drain_until_ns;

    struct bench_bytes pending; // read from the socket, not yet used
    struct bench_bytes head;    // of the request whose body is being read, when /echo will need it
    struct bench_bytes body;    // of it
    struct bench_body_reader body_reader;

    struct bench_response *response; // what is being answered; NULL between requests
    uint64_t sent;                   // octets of it
    uint64_t stop;                   // where to pause next
};

// bench_conn_open takes over the socket `fd` (on failure it closes it) and adds the connection to `worker`.
void bench_conn_open(struct bench_worker *worker, int fd);

// bench_conn_on_events notes what epoll reported and moves the connection on.
void bench_conn_on_events(struct bench_conn *conn, uint32_t events);

// bench_conn_on_deadline moves the connection on after its deadline has come (it is no longer in the heap).
void bench_conn_on_deadline(struct bench_conn *conn);

// bench_conn_close closes the socket, with a reset if `reset`, and puts the connection on the worker's dead list.
void bench_conn_close(struct bench_conn *conn, bool reset);

// bench_conn_free frees a closed connection.
void bench_conn_free(struct bench_conn *conn);

#endif

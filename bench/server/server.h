// An HTTP/1.1 server that lives in the process of a test, of the demo or of a benchmark, on loopback.
//
// Vocabulary: a server has one or more workers; a worker is a thread with an epoll of its own, which owns every
// connection that it was given, so no connection is ever touched by two threads. Worker 0 also accepts, and deals
// connections out in turn. What a request gets is said by its path and query (bench/server/README.md). Bodies are
// computed (body.h).
//
// Life: bench_server_start returns a server that already listens; bench_server_stop joins its threads, closes every
// descriptor and frees it. Nothing is global: any number of servers can run at once.
//
// It is no part of the engine, uses none of it, and may use libc as it likes. It raises no signals and blocks all of
// them in its threads. Thread-free: every function here may be called from any thread but the server's own; stop is the
// last call.
#ifndef QUOIT_BENCH_SERVER_SERVER_H
#define QUOIT_BENCH_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/server/body.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_server;

// struct bench_server_options: all zero is a good choice, that is one thread on 127.0.0.1 at any free port.
struct bench_server_options {
    const char *address;      // "127.0.0.1" (NULL: this one), "::1", any other literal, or "unix:/path"
    uint16_t port;            // 0: any free one
    unsigned num_threads;     // 0: 1; at most 64
    unsigned max_connections; // beyond it new ones are reset; 0: 65,536
    int backlog;              // 0: 4096 (the kernel lowers it to net.core.somaxconn)
    uint64_t idle_close_ms;   // closes a connection that waits that long for a request; 0: never
    uint64_t max_requests;    // closes a connection after so many responses, unannounced; 0: never
    size_t max_body;          // longest request body that /echo keeps; 0: 64 MiB
    const char *tls_cert;     // PEM in memory, the server's own certificate first: the server speaks TLS. NULL: plain
    const char *tls_key;      // PEM of its key
    uint16_t tls_version;     // 0x0303 or 0x0304 alone; 0: both
    bool tls_no_tickets;      // no session is ever resumed
};

// struct bench_server_counters is a snapshot; the numbers are each right, but not of one instant. What the server
// received or refused is counted before the client can see a consequence of it; what it sent is counted after, so a
// client may be ahead of `responses` and `bytes_out`.
struct bench_server_counters {
    uint64_t accepted;  // connections ever accepted
    uint64_t open;      // connections now
    uint64_t refused;   // reset because max_connections were open
    uint64_t requests;  // heads parsed
    uint64_t responses; // sent to their last octet, cut ones included
    uint64_t refusals;  // requests answered with 4xx or 5xx because they were malformed
    uint64_t resets;    // resets sent by reset_at or bench_server_kill_connections
    uint64_t hangups;   // connections that the client ended while we still owed it octets
    uint64_t bytes_in;
    uint64_t bytes_out;
};

// The octets that are counted are HTTP's, also where TLS seals them.

// bench_server_start starts a server. EINVAL: its TLS certificate or key is none. On failure it returns NULL, with
// errno from the call that failed. The options are copied. A unix path that exists already is refused (EADDRINUSE),
// never removed.
struct bench_server *bench_server_start(const struct bench_server_options *options);

// bench_server_port returns the port that is listened on, 0 for a unix path.
uint16_t bench_server_port(const struct bench_server *server);

// bench_server_url writes "http://127.0.0.1:PORT" (or https) and `path` (which starts with a slash) into `out`, and
// returns `out`; for a unix path the authority is "localhost". It aborts when `size` is too small: a test's mistake.
char *bench_server_url(const struct bench_server *server, const char *path, char *out, size_t size);

// bench_server_counters fills `out`.
void bench_server_counters(const struct bench_server *server, struct bench_server_counters *out);

// bench_server_cpu_ns returns the CPU time that the server's threads have used, to take off a process's own.
uint64_t bench_server_cpu_ns(const struct bench_server *server);

// bench_server_kill_connections resets every connection, also those that wait to be accepted, and returns how many when
// all of them are gone. The server goes on listening.
uint64_t bench_server_kill_connections(struct bench_server *server);

// bench_server_set_accepting(false) leaves new connections in the kernel's backlog, until it is called with true. With
// a small backlog that makes connecting hang, as against a host that drops packets.
void bench_server_set_accepting(struct bench_server *server, bool accepting);

// bench_server_stop closes the listener and every connection (as close(2) does: FIN, or RST where bytes were unread),
// joins the threads, removes the unix path, and frees `server`. NULL is allowed.
void bench_server_stop(struct bench_server *server);

#ifdef __cplusplus
}
#endif

#endif

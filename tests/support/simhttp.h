// A scripted HTTP/1.1 server on the simulated network. What a request asks for in its target, it gets:
//
//     /size/N        N bytes with Content-Length          /chunked/N   N bytes, chunked, with a trailer
//     /close/N       N bytes, ended by the close          /status/C    status C, and no body for 204 and 304
//     /echo          the request's body                   /garbage     bytes that are not HTTP
//     /never         nothing, ever                      /raw/N       bytes N of the server's table, as they are
//
// and behind a '?', joined by '&', in any order:
//
//     tag=T     the body is that of T, see q_simhttp_byte    delay=MS   before the head
//     pause=MS  in the middle of the body                    info=N     N informational heads before the final one
//     reset=K   RST behind K bytes of the response           cut=K      FIN behind K bytes of the response
//     last      Connection: close, and a close               drop       a close behind the response, unannounced
//     stall=MS  the server stops reading the body that long  early      answers before it has read the body
//     check     the request's body must be that of T         linger=MS  a close that long behind the response
//     hops=N    a 307 to the same target with N - 1 hops, whose body is Q_SIMHTTP_HOP_BYTES of T's, before what is asked for
//     extra=MS  a second response that nobody asked for, that long behind the first
//
// It also checks its client: a request that is malformed, that comes before the response before it was read whole, or
// whose body is not what it should be, is a fault.
// Thread rule as for simkernel.h.
#ifndef QUOIT_TESTS_SUPPORT_SIMHTTP_H
#define QUOIT_TESTS_SUPPORT_SIMHTTP_H

#include "tests/support/simnet.h"

#define Q_SIMHTTP_HOP_BYTES 500

struct q_simhttp;

// Bytes that a server sends for a response, mostly against the rules.
struct q_simhttp_raw {
    const char *bytes;
    size_t len;
    bool is_end;   // FIN right behind them
    bool is_final; // no client may send another request on the connection: one that does is a fault
};

struct q_simhttp_options {
    unsigned idle_close_percent; // after so many of the responses, the server closes at a random moment soon after
    uint64_t accept_delay_ns;
    size_t send_buffer, receive_buffer; // as in struct q_sim_listener
    const struct q_sim_filter *filter; // as in struct q_sim_listener
    void *filter_context;
    const struct q_simhttp_raw *raws;   // what /raw/N sends; stays the caller's
    size_t num_raws;

    // Called for each request head that is whole: from here on the peer may have processed it. May be NULL.
    void (*on_request)(void *context, uint64_t tag, const char *method);
    void *context;
};

struct q_simhttp_stats {
    uint64_t connections;
    uint64_t requests;   // heads parsed
    uint64_t responses;  // whole ones, queued to their end
    uint64_t body_bytes; // of requests
    uint64_t faults;
    char first_fault[128];
    char last_head[2048]; // of the last request, as it came
};

// q_simhttp_new listens at an address. Never NULL. Free it after the kernel, which still calls it.
struct q_simhttp *q_simhttp_new(struct q_sim *sim, const char *address, uint16_t port,
                                const struct q_simhttp_options *options);
void q_simhttp_free(struct q_simhttp *server);

const struct q_simhttp_stats *q_simhttp_stats(const struct q_simhttp *server);

// q_simhttp_byte gives byte `at` of the body that belongs to `tag`.
char q_simhttp_byte(uint64_t tag, uint64_t at);

// q_simhttp_fill writes `len` bytes of the body of `tag`, from byte `at` on. q_simhttp_matches compares with it.
void q_simhttp_fill(uint64_t tag, uint64_t at, char *out, size_t len);
bool q_simhttp_matches(uint64_t tag, uint64_t at, const char *data, size_t len);

#endif

// What one request target is answered with.
//
// A response is immutable once built: its octets are a pure function of their position, so a send that was cut short
// goes on from a number, "reset after exactly K octets" is a limit on that number, and one response serves many
// connections and many requests at once. It is reference-counted without atomics: a response never leaves the worker
// thread that built it.
//
// Paths and query parameters are listed in bench/server/README.md. An unknown path is 404, an unknown parameter 400: a
// test with a typing error must not pass by chance.
#ifndef QUOIT_BENCH_SERVER_RESPONSE_H
#define QUOIT_BENCH_SERVER_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "bench/server/request.h"

enum bench_end {
    BENCH_END_KEEP,    // read the next request
    BENCH_END_FIN,     // shut down our direction, then wait for the client to close
    BENCH_END_RST,     // close with a reset
    BENCH_END_SILENCE, // nothing more, ever
    BENCH_END_ECHO,    // send back whatever comes, until the client ends its direction
};

struct bench_response {
    uint32_t num_refs;
    bool cacheable;     // does not depend on anything but method, target, version and keep-alive
    bool needs_body;    // /echo: built for good by bench_response_echo once the body is there
    bool before_body;   // answer without reading the request's body
    bool cut;           // fin_at: with TLS, no close_notify goes before the FIN
    enum bench_end end; // after `octets_len` octets
    uint64_t octets_len;
    uint64_t delay_ms; // before the first octet
    uint64_t gap_ms;   // at each stop
    uint64_t drip;     // stop every that many octets, 0: stop where the chunks end

    struct bench_bytes head; // 1xx heads included
    bool body_is_pattern;    // bytes of bench_body_at; otherwise `body`
    struct bench_bytes body;
    uint64_t body_len;
    uint64_t chunk_len;  // 0: not chunked
    char chunk_line[24]; // "400\r\n" of each whole chunk
    size_t chunk_line_len;
    char last_line[24]; // of the chunk that is shorter, if there is one
    size_t last_line_len;
    struct bench_bytes tail; // "0\r\n", trailers, "\r\n"
};

// bench_response_build returns the response to `request` with one reference, or NULL when there is no memory.
struct bench_response *bench_response_build(const struct bench_request *request);

// bench_response_echo returns the response to `request` of /echo now that its body has come; it empties `body`.
struct bench_response *bench_response_echo(const struct bench_request *request, struct bench_bytes *body);

// bench_response_refuse returns a response with a sentence for a body that closes the connection.
struct bench_response *bench_response_refuse(int status, const char *sentence);

// bench_response_release drops one reference. After it the caller may not look at `response`.
void bench_response_release(struct bench_response *response);

// bench_response_stop returns the first position after `at` where sending pauses: at most `octets_len`.
uint64_t bench_response_stop(const struct bench_response *response, uint64_t at);

// bench_response_gather fills up to `max` vectors with the octets from `at` up to `end` and returns how many it filled.
// They may cover less than was asked for, but never nothing when `at` < `end`.
size_t bench_response_gather(const struct bench_response *response, uint64_t at, uint64_t end,
                             struct iovec *out_vectors, size_t max);

#endif

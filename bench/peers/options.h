// The command line that all peers share, so that what drives one can drive each.
//
//     PEER -c CONNECTIONS (-n REQUESTS | -d SECONDS) [OPTION]... URL
//     PEER --idle CONNECTIONS URL
//
// With -d a warm-up comes first that is not counted: connections are open, caches warm, branches learned. With -n
// everything counts, so that a test can tell what a server must have seen.
#ifndef QUOIT_BENCH_PEERS_OPTIONS_H
#define QUOIT_BENCH_PEERS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PEER_EXIT_FAILED = 1,
    PEER_EXIT_USAGE = 2,
    PEER_EXIT_KERNEL = 77, // this kernel has not what was asked for; whoever runs the peer may go on without it
    PEER_CONNECTIONS_MAX = 32768, // what a table of direct descriptors may have
};

// How bytes come in, for the peers that have the choice.
enum peer_receive { PEER_RECEIVE_SINGLE, PEER_RECEIVE_MULTISHOT, PEER_RECEIVE_BUNDLE };

// Which of its two interfaces libcurl is driven by.
enum peer_loop { PEER_LOOP_POLL, PEER_LOOP_SOCKET };

struct peer_options {
    const char *program;
    unsigned connections;
    double seconds;        // used when num_requests is 0
    double warmup_s;       // before `seconds`
    uint64_t num_requests; // 0: as many as the time allows
    bool is_fresh;         // a new connection for each request
    bool is_idle;          // opens the connections, one request each, and tells what they hold in memory
    enum peer_receive receive;
    enum peer_loop loop;
    unsigned buffer_bytes; // 0: the peer's default
    unsigned num_buffers;  // likewise; a power of two
    const char *cacert;    // PEM file of those who are trusted, for https
    unsigned tls_version;  // 12 or 13; 0: the best that both ends speak
    bool resumes;          // TLS sessions are taken up again
    const char *url;
};

// peer_options_parse reads argv, or prints what is wrong and ends the process with PEER_EXIT_USAGE.
void peer_options_parse(struct peer_options *out, int argc, char **argv);

// peer_options_receive_name gives the word of the command line.
const char *peer_options_receive_name(const struct peer_options *options);

#endif

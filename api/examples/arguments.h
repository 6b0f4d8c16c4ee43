// The command line of `fetch`.
#ifndef QUOIT_API_EXAMPLES_ARGUMENTS_H
#define QUOIT_API_EXAMPLES_ARGUMENTS_H

#include "api/quoit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARGUMENTS_HEADERS_MAX = 256, ARGUMENTS_DETOURS_MAX = 16, ARGUMENTS_NAMES_MAX = 64 };

// HOST:PORT:CONNECT_HOST:CONNECT_PORT of --connect-to. An empty text or 0: the field was empty.
struct detour {
    const char *host;
    const char *connect_host;
    uint16_t port;
    uint16_t connect_port;
};

// What was asked for. All texts are argv's, or live until the program ends.
struct arguments {
    const char *method; // NULL: by default
    const char *url;
    const char *body;      // NULL: none, or in a file
    const char *body_file; // NULL: none
    size_t body_len;
    const char *cacert;    // NULL: the default roots
    char *roots;           // what is in it, when it has been read
    size_t roots_len;
    const char *headers[ARGUMENTS_HEADERS_MAX];
    struct detour detours[ARGUMENTS_DETOURS_MAX];
    int num_headers;
    int num_detours;
    uint64_t max_time_ms; // 0: no bound
    const char *from;     // --interface: an address or a network interface; NULL: any
    const char *unix_path; // NULL: none
    int family;           // 4 or 6; 0: both
    bool follows;
    struct quoit_static_name names[ARGUMENTS_NAMES_MAX]; // of --resolve
    uint32_t num_names;
    const char *dns_servers; // NULL: the machine's
};

extern const char k_usage[];

// arguments_parse reads argv. It gives NULL, or what is wrong in one sentence.
const char *arguments_parse(int argc, char **argv, struct arguments *out);

#endif

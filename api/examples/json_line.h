// The one line of JSON that `fetch` ends with (CONTRACTS of this project; see README.md beside this file): always valid
// UTF-8, whatever a server has sent.
#ifndef QUOIT_API_EXAMPLES_JSON_LINE_H
#define QUOIT_API_EXAMPLES_JSON_LINE_H

#include "api/quoit.h"

#include <stdio.h>

// What is known of one fetch.
struct json_result {
    int status; // 0: unknown
    int http_version; // 10, 11; 0: unknown
    char *headers;    // text of a JSON array, or NULL for none
    struct quoit_failure failure;
    char *attempts;   // text of a JSON array: the addresses that were tried in vain; NULL for none
    struct quoit_address remote;
    uint64_t spent_ns[QUOIT_STAGES];
    uint16_t tls_version; // 0: no TLS
    uint16_t tls_cipher;
    uint8_t tls_resumed;
    uint64_t tls_handshake_ns;
    char tls_alpn[32];
    char *message; // more than the error's own sentence; NULL: that one
    char *subject; // of the certificate that it is about, with its issuer and depth; NULL: of none
    char *issuer;
    int tls_depth;
};

// json_headers gives the fields as the text of a JSON array of pairs, in order; free() it. NULL when out of memory.
char *json_headers(const struct quoit_headers *headers);

// json_attempts gives what was tried to get a connection as the text of a JSON array, in order; free() it. NULL when there is
// nothing to tell, or out of memory.
char *json_attempts(const struct quoit_dials *dials, uint32_t count);

// json_line gives the line, with its newline; free() it. NULL when out of memory.
char *json_line(const struct json_result *result, size_t *out_len);

#endif

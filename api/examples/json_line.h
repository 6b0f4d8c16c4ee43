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
};

// json_headers gives the fields as the text of a JSON array of pairs, in order; free() it. NULL when out of memory.
char *json_headers(const struct quoit_headers *headers);

// json_write_line writes the line, with its newline.
void json_write_line(FILE *out, const struct json_result *result);

#endif

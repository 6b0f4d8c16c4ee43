// Event logs of the HTTP/1.1 response reader: what it said about some bytes, as text that does not depend on how the
// bytes were cut. Used by the transcripts, the reader's tests and its fuzz target. Thread-free.
//
// One line per event: `head 200 1.1 length 5`, `field Name: value`, `data hello`, `end keep-alive left 0`,
// `failed QUOIT_ERR_HTTP_BAD_HEADER head`, `more`. Adjacent data is one line. Bytes that are not visible ASCII are
// written as \r, \n or \xNN; long texts by their length and a checksum.
#ifndef QUOIT_TESTS_ENGINE_WIRE_READER_LOG_H
#define QUOIT_TESTS_ENGINE_WIRE_READER_LOG_H

#include "engine/wire/h1_reader.h"

#include <stdbool.h>
#include <stddef.h>

// How a response is read.
struct reader_log_run {
    unsigned request_flags; // enum q_h1_request_flags
    struct q_h1_limits limits;
    size_t memory; // lent; 0: what the limits need
    bool eof;      // the peer closes behind the input
    // Gives the length of the next piece of `left` bytes, at least 1; NULL: everything at once.
    size_t (*cut_fn)(void *context, size_t left);
    void *cut_context;
};

// reader_log gives the log of `input`; the caller frees it with free(). Every piece is a heap block of its own, so that
// a sanitizer sees a byte read beyond it, and every block that is handed out is validated.
char *reader_log(struct q_slice input, const struct reader_log_run *run);

#endif

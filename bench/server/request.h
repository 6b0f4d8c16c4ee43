// Reading a request, without I/O: the head in one go once all of it is there, then the body piece by piece.
//
// The parser is strict on purpose. The server is the other end of a client under test, so whatever HTTP/1.1 forbids a
// client to send (bare LF, space before the colon, no Host, two framings, a control character) is refused, not mended.
//
// Thread-free: no function here keeps anything but in the struct that it is given.
#ifndef QUOIT_BENCH_SERVER_REQUEST_H
#define QUOIT_BENCH_SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_REQUEST_HEAD_MAX = 64 * 1024, // a client's head beyond this is a client gone wrong: 431
};

// struct bench_text borrows `len` characters.
struct bench_text {
    const char *at;
    size_t len;
};

// struct bench_request is one parsed head. The texts point into the bytes that were parsed.
struct bench_request {
    struct bench_text head; // all of it, with the empty line
    struct bench_text method;
    struct bench_text upgrade; // the protocols that are asked for, "" for none
    struct bench_text target; // path and query: scheme and authority of an absolute target are cut off
    uint64_t content_length;
    bool has_content_length;
    bool chunked;
    bool http10;
    bool keep_alive;
    bool expect_continue;
};

// bench_request_parse reads the head at the front of `data`. It returns 0 when the head is not whole yet, 1 when `out`
// is filled (`out->head.len` bytes belong to the head), or the negated status to refuse the request with.
int bench_request_parse(struct bench_request *out, const char *data, size_t len);

// bench_text_is tells whether `text` is exactly `literal`.
bool bench_text_is(struct bench_text text, const char *literal);

// struct bench_body_reader takes the framing off a request's body. Its zero state is a body of no bytes.
struct bench_body_reader {
    uint64_t left;     // of the content-length body, or of the current chunk
    int state;         // where the chunked decoder stands; see request.c
    uint32_t line_len; // of the chunk-size line or of the trailer so far, to bound it
    bool digits;       // the chunk-size line has had a digit
    bool done;
    bool failed;
    bool too_long; // failed because of `sink_max` or memory, not of the framing
};

// struct bench_bytes is a growing array that owns its memory; its zero state is empty.
struct bench_bytes {
    uint8_t *at;
    size_t len;
    size_t size;
};

// bench_bytes_add appends; it returns false, and changes nothing, when there is no memory.
bool bench_bytes_add(struct bench_bytes *bytes, const void *data, size_t len);

// bench_bytes_free frees the array and makes it empty.
void bench_bytes_free(struct bench_bytes *bytes);

// bench_body_reader_init makes `reader` ready for the body that `request` announces.
void bench_body_reader_init(struct bench_body_reader *reader, const struct bench_request *request);

// bench_body_read takes what belongs to the body from the front of `data` and returns how many bytes that were, framing
// included. Content goes to `sink` unless it is NULL; growing beyond `sink_max`, or no memory, fails the reader.
// Afterwards `done` says that the body is whole, `failed` that the framing is wrong.
size_t bench_body_read(struct bench_body_reader *reader, const void *data, size_t len, struct bench_bytes *sink,
                       size_t sink_max);

#endif

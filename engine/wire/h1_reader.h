// HTTP/1.1 responses, from bytes to events. Pulled: the caller asks for one event at a time and may stop between any
// two, so that credit, fairness and cancel are its own business.
//
// Vocabulary. A *head* is the status line and the fields, informational (1xx) or final; a *section* is a head or the
// trailers. *Lent memory* is a chunk of the
// caller's in which heads and trailers are built as frozen blocks (engine/wire/headers.h), one behind the other.
//
// Life. q_h1_reader_begin per request, then q_h1_reader_next with whatever was received, any number of
// Q_H1_INFORMATIONAL, one Q_H1_HEAD, any number of Q_H1_DATA, then Q_H1_END or Q_H1_FAILED. After these two (and before
// the first begin) the reader holds nothing and nothing need be ended. The zero value may be overwritten at will.
//
// Invariants. The events do not depend on how the input is cut, but for the borders between Q_H1_DATA. Nothing is
// allocated. Every byte of input is looked at once and none is copied but heads and trailers. Framing follows RFC 9112
// strictly: what two readers could understand in two ways is an error, never a guess.
//
// llhttp scans heads and trailers; it is told to take every field as plain text, and the framing (Content-Length,
// Transfer-Encoding, Connection, chunks) is read here, so that every rule and every limit has one place and one error.
// Loop thread only, as its owner is; it touches nothing but its arguments.
#ifndef QUOIT_ENGINE_WIRE_H1_READER_H
#define QUOIT_ENGINE_WIRE_H1_READER_H

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "engine/wire/h1_chunk.h"
#include "engine/wire/h1_framing.h"
#include "engine/wire/headers.h"

#include <stdbool.h>
#include <stdint.h>

// What a server may send at most; each answers an attack. Zero fields take the defaults.
struct q_h1_limits {
    uint32_t head_bytes;            // one head, status line and blank line included: a head without end
    uint32_t headers_count;         // fields in one head or trailer section: a flood of tiny fields
    uint32_t line_bytes;            // a field's name and value, or the reason: one field that fills the head
    uint32_t informational_count;   // 1xx heads before the final one: 1xx without end
    uint32_t chunk_extension_bytes; // extensions and leading zeros, all chunks together: framing without content
    uint32_t trailer_bytes;         // the trailer section: a trailer without end
};

#define Q_H1_HEAD_BYTES_DEFAULT            (64u * 1024u)
#define Q_H1_HEADERS_COUNT_DEFAULT         256u
#define Q_H1_LINE_BYTES_DEFAULT            (32u * 1024u)
#define Q_H1_INFORMATIONAL_COUNT_DEFAULT   32u
#define Q_H1_CHUNK_EXTENSION_BYTES_DEFAULT (16u * 1024u)
#define Q_H1_TRAILER_BYTES_DEFAULT         (16u * 1024u)

// What the reader must know of the request. May be or-ed.
enum q_h1_request_flags {
    Q_H1_REQUEST_PLAIN = 0,
    Q_H1_REQUEST_HEAD = 1 << 0,    // the response has no body whatever its fields say
    Q_H1_REQUEST_CONNECT = 1 << 1, // a 2xx ends with its head; what follows is the tunnel's
    Q_H1_REQUEST_UPGRADE = 1 << 2, // set by q_h1_reader_ask_upgrade
};

enum q_h1_event {
    Q_H1_NEED_MORE = 0, // the input is used up and the response goes on
    Q_H1_INFORMATIONAL, // out: status, version_minor, headers
    Q_H1_HEAD,          // out: status, version_minor, headers, body, content_length
    Q_H1_DATA,          // out: data
    Q_H1_END,           // out: headers with the trailers, or NULL when there are none
    Q_H1_FAILED,        // out: error; the connection must be closed
    Q_H1_NEED_MEMORY,   // a head or trailers begin, and no memory is lent: q_h1_reader_lend, then call again
};

struct q_h1_out {
    const struct q_headers *headers; // in the lent memory
    struct q_slice data;             // in the input
    uint64_t content_length;         // what the field said; Q_H1_NO_CONTENT_LENGTH when there is none
    struct q_error error;
    uint16_t status;
    uint8_t version_minor; // 0 or 1
    uint8_t body;          // enum q_h1_body
};

// llhttp 8.1 needs 96 bytes; some to spare for the next release.
#define Q_H1_PARSER_BYTES 112

// The fields are the reader's own. Some 350 bytes, so that it may stand by value in a connection.
struct q_h1_reader {
    _Alignas(8) unsigned char parser[Q_H1_PARSER_BYTES]; // llhttp's state, used while a section is read
    struct q_headers_builder builder;                    // of the section that is being read
    struct q_h1_limits limits;
    char *mem; // what is left of the lent memory
    size_t mem_size;
    uint64_t body_left; // of the Content-Length
    struct q_h1_chunk chunk;
    struct q_slice upgrade; // the protocol that was asked for; borrowed
    struct q_error error;
    uint32_t section_bytes; // of this section so far
    uint32_t lines;         // line ends in this section so far
    uint32_t name_len;      // of the field that is being read, whose text is the builder's last
    uint32_t value_len;     // or of the status line's reason
    uint32_t informational_count;
    uint8_t state;
    uint8_t request_flags;
    char previous_byte; // of this section
    bool in_trailers;
    bool overflow; // the field that is being read does not fit the lent memory
    bool begun;
    bool keep_alive;
};

// q_h1_reader_begin readies the reader for the response to one request. `mem` (aligned to 8) stays lent until Q_H1_END
// or Q_H1_FAILED, and as long after as the caller reads the blocks in it. It may be NULL when q_h1_reader_lend comes
// before the first byte. `limits` may be NULL. With q_h1_reader_memory_for(limits) bytes the limits alone decide;
// with less, what does not fit is Q_ERR_HEAD_TOO_LARGE.
void q_h1_reader_begin(struct q_h1_reader *r, unsigned request_flags, void *mem, size_t mem_size,
                       const struct q_h1_limits *limits);

// q_h1_reader_ask_upgrade says, behind begin, that the request asked for `protocol`, which stays valid until Q_H1_END or
// Q_H1_FAILED. A 101 that switches to it is then Q_H1_HEAD with Q_H1_BODY_TUNNEL, and every byte behind it is Q_H1_DATA
// until the peer closes; any other 101 is HTTP_UNEXPECTED_UPGRADE still.
void q_h1_reader_ask_upgrade(struct q_h1_reader *r, struct q_slice protocol);

// q_h1_reader_lend puts other memory in the place of what is left of the lent one: for the next head or the trailers.
// Legal before the first byte and after Q_H1_INFORMATIONAL, Q_H1_HEAD and Q_H1_DATA; the blocks given so far are then
// the caller's alone.
void q_h1_reader_lend(struct q_h1_reader *r, void *mem, size_t mem_size);

// q_h1_reader_memory_for gives how many bytes one head needs at most under these limits.
size_t q_h1_reader_memory_for(const struct q_h1_limits *limits);

// q_h1_reader_next gives the next event and moves `input` past what it used. After Q_H1_NEED_MORE `input` is empty.
// After Q_H1_END what is left in `input` is not of this response. Only the fields of `out` named at the event are
// written. Q_H1_DATA's slice and Q_H1_HEAD's block live as long as the input and the lent memory.
// Call again until Q_H1_NEED_MORE, Q_H1_END or Q_H1_FAILED, also with an empty input: Q_H1_END may need no byte.
enum q_h1_event q_h1_reader_next(struct q_h1_reader *r, struct q_slice *input, struct q_h1_out *out);

// q_h1_reader_eof says that the peer has closed, once all input has been used. Gives Q_H1_END when that is how the body
// ends, else Q_H1_FAILED: CONNECTION_CLOSED when not one byte came, HTTP_TRUNCATED_HEAD or HTTP_TRUNCATED_BODY.
enum q_h1_event q_h1_reader_eof(struct q_h1_reader *r, struct q_h1_out *out);

// q_h1_reader_keep_alive says, after Q_H1_END, whether the connection is at a message boundary and the server lets it
// live on. The caller adds its own side: request sent completely, no leftover input, no Connection: close of its own.
bool q_h1_reader_keep_alive(const struct q_h1_reader *r);

// q_h1_reader_has_begun says whether a byte of the response has been seen.
bool q_h1_reader_has_begun(const struct q_h1_reader *r);

#endif

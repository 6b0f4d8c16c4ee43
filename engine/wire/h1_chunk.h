// The chunked transfer coding (RFC 9112 section 7.1), taken off: from bytes to runs of content, up to the end of the
// last chunk's line. The trailer section behind it is the response reader's.
//
// The grammar is followed to the letter: CR LF and nothing else ends a line; a size is 1 to 16 digits' worth and fits
// 63 bits; white space stands only where the grammar has it (BWS in front of ';' and around '='); extensions are
// tokens or quoted strings. Extensions are checked, counted and dropped.
//
// Life: q_h1_chunk_init per message, then q_h1_chunk_next. The results do not depend on how the input is cut, but for
// the borders between runs of content. Thread-free: touches its arguments only.
#ifndef QUOIT_ENGINE_WIRE_H1_CHUNK_H
#define QUOIT_ENGINE_WIRE_H1_CHUNK_H

#include "engine/base/slice.h"

#include <stdint.h>

enum q_h1_chunk_event {
    Q_H1_CHUNK_MORE = 0,  // the input is used up
    Q_H1_CHUNK_DATA,      // `out_data` is content, in the input
    Q_H1_CHUNK_LAST,      // the last chunk's line has ended; the trailer section follows
    Q_H1_CHUNK_BAD,       // the coding is not valid
    Q_H1_CHUNK_TOO_LARGE, // extensions and leading zeros are more than the limit
};

struct q_h1_chunk {
    uint64_t left;        // of this chunk's content; while its size is read, the size so far
    uint32_t extra_bytes; // extensions and leading zeros so far, all chunks together
    uint32_t extra_max;
    uint8_t state;
};

// q_h1_chunk_init readies `c` for one message. `extra_max` bounds extensions and leading zeros, all chunks together.
void q_h1_chunk_init(struct q_h1_chunk *c, uint32_t extra_max);

// q_h1_chunk_next gives the next event and moves `input` past what it used. After BAD or TOO_LARGE it may not be called
// again.
enum q_h1_chunk_event q_h1_chunk_next(struct q_h1_chunk *c, struct q_slice *input, struct q_slice *out_data);

#endif

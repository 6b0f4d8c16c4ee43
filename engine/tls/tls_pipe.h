// TLS pipe: the two ends of a TLS session's I/O. In: ciphertext in the chunk that the layer below has brought, borrowed until
// the library has read it. Out: ciphertext in chunks of a pool, gathered until somebody sends them. No socket, no memory of
// the library's own in between.
//
// In. The library reads a record's five bytes of header and then exactly its body, so the pipe knows where records begin. It
// gives out a bounded number of them in one pass, and says "later" although there is more: whoever runs the pass comes back
// through the run queue, so that no peer can keep the loop. It counts the records since the last that held data of the
// application's: tickets, key updates, empty records and warnings are free of charge for a peer, and a flood of them ends
// at a count that no sane server reaches.
//
// Out. What is gathered goes as one send, of up to Q_TLS_PIPE_CHUNKS chunks, and nothing is added while it is under way:
// writes then say "later". Before application data is sealed room is made for all of it (q_tls_pipe_make_room), so that such
// a write never stops half-way. After a failed send the pipe is deaf: it swallows what is written, and the receive tells
// what became of the connection.
//
// Life: zero state -> q_tls_pipe_init -> q_tls_pipe_attach to a session -> q_tls_pipe_drop_in and _drop_out, each legal at
// any time in between. Loop thread only.
#ifndef QUOIT_ENGINE_TLS_TLS_PIPE_H
#define QUOIT_ENGINE_TLS_TLS_PIPE_H

#include "engine/base/slice.h"
#include "engine/buf/chunk.h"
#include "engine/loop/io.h"

#include <sys/uio.h>

#define Q_TLS_PIPE_CHUNKS Q_IO_SEND_PARTS_MAX // 64 KiB of the usual chunks: one send
#define Q_TLS_PIPE_HEADER 5

// Records in one pass. A whole receive buffer of small ones takes a few passes; 64 of them take some 50 us.
#define Q_TLS_PIPE_RECORDS_PER_PASS 64

// Records without data of the application's in a row. A handshake has some 10, or some 400 when a server cuts 200 KiB of
// certificates into the smallest fragments that may be asked for; servers send up to 8 tickets at a time.
#define Q_TLS_PIPE_RECORDS_MAX 1024

struct ssl_st;

struct q_tls_pipe {
    struct q_chunk_pool *pool;
    struct q_chunk *in_chunk; // one hold, while `in` is not empty
    struct q_slice in;        // come and not read by the library yet
    struct q_chunk *out[Q_TLS_PIPE_CHUNKS];
    uint32_t records_left;    // of this pass
    uint32_t records_idle;    // since the last data of the application's
    uint32_t sessions_idle;   // likewise; who uses the pipe counts them
    uint16_t body_left;       // of the record that is being read
    uint8_t header_len;       // of its header, so far
    uint8_t header[Q_TLS_PIPE_HEADER];
    uint8_t num_out;          // chunks taken
    uint8_t fill;             // the first of them with room
    bool has_ended;           // no more will come from below
    bool has_begun;           // the first header was read
    bool is_http;             // and it was not TLS's, but "HTTP/"
    bool is_flooded;          // more than Q_TLS_PIPE_RECORDS_MAX, or its user says so: nothing is read any more
    bool is_sending;          // what is in `out` is being sent
    bool is_deaf;             // a send has failed
};

// q_tls_pipe_init prepares an empty pipe. `pool` outlives it.
void q_tls_pipe_init(struct q_tls_pipe *pipe, struct q_chunk_pool *pool);

// q_tls_pipe_attach makes the pipe the session's I/O; it stays where it is as long as the session lives. False: no memory.
Q_MUST_USE bool q_tls_pipe_attach(struct q_tls_pipe *pipe, struct ssl_st *ssl);

// q_tls_pipe_of gives the pipe of a session that has one.
struct q_tls_pipe *q_tls_pipe_of(const struct ssl_st *ssl);

// q_tls_pipe_feed takes over `chunk`, with one hold, and the bytes in it. Nothing may be left of what was fed before.
void q_tls_pipe_feed(struct q_tls_pipe *pipe, struct q_chunk *chunk, struct q_slice bytes);

// q_tls_pipe_begin_pass grants the records of one pass.
static inline void q_tls_pipe_begin_pass(struct q_tls_pipe *pipe) { pipe->records_left = Q_TLS_PIPE_RECORDS_PER_PASS; }

// q_tls_pipe_had_data is told that data of the application's came.
static inline void q_tls_pipe_had_data(struct q_tls_pipe *pipe) {
    pipe->records_idle = 0;
    pipe->sessions_idle = 0;
}

// q_tls_pipe_has_part tells whether what is left to read is less than one record: the library takes it in without
// decrypting anything.
bool q_tls_pipe_has_part(const struct q_tls_pipe *pipe);

// q_tls_pipe_make_room takes chunks until there is room for `len` more bytes, or as much as there can be, and gives the
// room. 0 while a send is under way.
size_t q_tls_pipe_make_room(struct q_tls_pipe *pipe, size_t len);

// q_tls_pipe_has_out tells whether something is gathered and not being sent.
bool q_tls_pipe_has_out(const struct q_tls_pipe *pipe);

// q_tls_pipe_gathered gives the number of bytes that are gathered.
size_t q_tls_pipe_gathered(const struct q_tls_pipe *pipe);

// q_tls_pipe_send begins a send of all that is gathered: it gives its parts, which stay until q_tls_pipe_sent.
unsigned q_tls_pipe_send(struct q_tls_pipe *pipe, struct iovec parts[Q_TLS_PIPE_CHUNKS]);

// q_tls_pipe_sent is told that the send is over. `has_failed`: nothing more can be sent.
void q_tls_pipe_sent(struct q_tls_pipe *pipe, bool has_failed);

// q_tls_pipe_drop_in and q_tls_pipe_drop_out let the chunks go; those of a send that is under way must not.
void q_tls_pipe_drop_in(struct q_tls_pipe *pipe);
void q_tls_pipe_drop_out(struct q_tls_pipe *pipe);

#endif

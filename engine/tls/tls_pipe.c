#include "engine/tls/tls_pipe.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

void q_tls_pipe_init(struct q_tls_pipe *pipe, struct q_chunk_pool *pool) { *pipe = (struct q_tls_pipe){.pool = pool}; }

// --- in --------------------------------------------------------------------------------------------------------------

void q_tls_pipe_feed(struct q_tls_pipe *pipe, struct q_chunk *chunk, struct q_slice bytes) {
    Q_CHECK(pipe->in.len == 0 && pipe->in_chunk == NULL && bytes.len > 0);
    pipe->in_chunk = chunk;
    pipe->in = bytes;
}

void q_tls_pipe_drop_in(struct q_tls_pipe *pipe) {
    pipe->in = (struct q_slice){0};
    if (pipe->in_chunk != NULL) {
        q_chunk_release(pipe->in_chunk);
        pipe->in_chunk = NULL;
    }
}

bool q_tls_pipe_has_part(const struct q_tls_pipe *pipe) {
    if (pipe->in.len == 0) {
        return false;
    }
    if (pipe->header_len == 0 && pipe->in.len >= Q_TLS_PIPE_HEADER) {
        const uint8_t *header = (const uint8_t *)pipe->in.ptr;
        return pipe->in.len - Q_TLS_PIPE_HEADER < (((size_t)header[3] << 8) | header[4]);
    }
    // Within a header the length is not known, or only in part; the rest of it is read first.
    return pipe->header_len == Q_TLS_PIPE_HEADER ? pipe->in.len < pipe->body_left
                                                 : pipe->in.len + pipe->header_len < Q_TLS_PIPE_HEADER;
}

static void end_header(struct q_tls_pipe *pipe) {
    pipe->is_http = !pipe->has_begun && memcmp(pipe->header, "HTTP/", Q_TLS_PIPE_HEADER) == 0;
    pipe->has_begun = true;
    pipe->body_left = (uint16_t)((pipe->header[3] << 8) | pipe->header[4]);
    pipe->header_len = pipe->body_left == 0 ? 0 : Q_TLS_PIPE_HEADER;
}

// Follows the records through what the library reads.
static void follow(struct q_tls_pipe *pipe, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        size_t step = 1;
        if (pipe->header_len < Q_TLS_PIPE_HEADER) {
            pipe->header[pipe->header_len++] = *bytes;
            if (pipe->header_len == Q_TLS_PIPE_HEADER) {
                end_header(pipe);
            }
        } else {
            step = len < pipe->body_left ? len : pipe->body_left;
            pipe->body_left -= (uint16_t)step;
            pipe->header_len = pipe->body_left == 0 ? 0 : Q_TLS_PIPE_HEADER;
        }
        bytes += step;
        len -= step;
    }
}

// False: not in this pass.
static bool begin_record(struct q_tls_pipe *pipe) {
    if (pipe->records_left == 0) {
        return false;
    }
    pipe->records_left--;
    pipe->records_idle++;
    pipe->is_flooded |= pipe->records_idle > Q_TLS_PIPE_RECORDS_MAX;
    return true;
}

static int pipe_read(BIO *bio, char *out, int len) {
    struct q_tls_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0 || (pipe->in.len == 0 && pipe->has_ended)) {
        return 0;
    }
    bool is_new = pipe->header_len == 0;
    if (pipe->in.len == 0 || (is_new && !begin_record(pipe))) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (pipe->is_flooded) {
        return -1;
    }
    size_t taken = (size_t)len < pipe->in.len ? (size_t)len : pipe->in.len;
    memcpy(out, pipe->in.ptr, taken);
    follow(pipe, (const uint8_t *)out, taken);
    pipe->in = q_slice_from(pipe->in, taken);
    if (pipe->in.len == 0) {
        q_tls_pipe_drop_in(pipe); // the kernel may want it back
    }
    return (int)taken;
}

// --- out -------------------------------------------------------------------------------------------------------------

static size_t room_in(const struct q_chunk *chunk) { return chunk->pool->capacity - chunk->used; }

static bool take_chunk(struct q_tls_pipe *pipe) {
    if (pipe->num_out == Q_TLS_PIPE_CHUNKS) {
        return false;
    }
    // A server that does not read keeps it as long as it likes. One is enough to go on, as half a head is; more are like
    // what hosts keep.
    struct q_chunk *chunk = q_chunk_take(pipe->pool, pipe->num_out == 0 ? Q_CHUNK_FOR_HEAD : Q_CHUNK_FOR_HOST);
    if (chunk == NULL) {
        return false;
    }
    pipe->out[pipe->num_out++] = chunk;
    return true;
}

size_t q_tls_pipe_make_room(struct q_tls_pipe *pipe, size_t len) {
    if (pipe->is_sending) {
        return 0;
    }
    size_t room = 0;
    for (unsigned i = pipe->fill; i < pipe->num_out; i++) {
        room += room_in(pipe->out[i]);
    }
    while (room < len && take_chunk(pipe)) {
        room += room_in(pipe->out[pipe->num_out - 1]);
    }
    return room;
}

static size_t put(struct q_tls_pipe *pipe, const char *data, size_t len) {
    size_t done = 0;
    while (done < len && (pipe->fill < pipe->num_out || take_chunk(pipe))) {
        struct q_chunk *chunk = pipe->out[pipe->fill];
        size_t step = room_in(chunk) < len - done ? room_in(chunk) : len - done;
        memcpy(chunk->data + chunk->used, data + done, step);
        chunk->used += (uint32_t)step;
        done += step;
        pipe->fill += room_in(chunk) == 0;
    }
    return done;
}

static int pipe_write(BIO *bio, const char *data, int len) {
    struct q_tls_pipe *pipe = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0 || pipe->is_deaf) {
        return len;
    }
    size_t done = pipe->is_sending ? 0 : put(pipe, data, (size_t)len);
    if (done == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return (int)done;
}

bool q_tls_pipe_has_out(const struct q_tls_pipe *pipe) {
    return !pipe->is_sending && pipe->num_out > 0 && pipe->out[0]->used > 0;
}

size_t q_tls_pipe_gathered(const struct q_tls_pipe *pipe) {
    size_t len = 0;
    for (unsigned i = 0; i < pipe->num_out; i++) {
        len += pipe->out[i]->used;
    }
    return len;
}

unsigned q_tls_pipe_send(struct q_tls_pipe *pipe, struct iovec parts[Q_TLS_PIPE_CHUNKS]) {
    Q_CHECK(q_tls_pipe_has_out(pipe));
    unsigned num_parts = 0;
    for (unsigned i = 0; i < pipe->num_out && pipe->out[i]->used > 0; i++) {
        parts[num_parts++] = (struct iovec){.iov_base = pipe->out[i]->data, .iov_len = pipe->out[i]->used};
    }
    pipe->is_sending = true;
    return num_parts;
}

void q_tls_pipe_drop_out(struct q_tls_pipe *pipe) {
    pipe->is_sending = false;
    while (pipe->num_out > 0) {
        q_chunk_release(pipe->out[--pipe->num_out]);
    }
    pipe->fill = 0;
}

void q_tls_pipe_sent(struct q_tls_pipe *pipe, bool has_failed) {
    Q_CHECK(pipe->is_sending);
    q_tls_pipe_drop_out(pipe);
    pipe->is_deaf |= has_failed;
}

// --- the library's side ----------------------------------------------------------------------------------------------

// A flush has nothing to do: what is written is sent when the call that wrote it is over.
static long pipe_ctrl(BIO *bio, int command, long number, void *data) {
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD k_pipe_method = {
    .name = "quoit",
    .bwrite = pipe_write,
    .bread = pipe_read,
    .ctrl = pipe_ctrl,
};

bool q_tls_pipe_attach(struct q_tls_pipe *pipe, struct ssl_st *ssl) {
    BIO *bio = BIO_new(&k_pipe_method);
    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, pipe);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); // one reference serves both ends
    return true;
}

struct q_tls_pipe *q_tls_pipe_of(const struct ssl_st *ssl) { return BIO_get_data(SSL_get_rbio(ssl)); }

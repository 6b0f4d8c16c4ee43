// The bare kernel client with TLS: what bare.c does, and between it and the kernel one BoringSSL session for each
// connection. It verifies the server and parses nothing. What it costs is the limit that an engine can come near to.
//
// With --fresh each request has a handshake of its own, whose hello goes out with the connect; with --resume it takes up
// the session that the server gave in the connection before, in the same slot.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/bare_ring.h"
#include "bench/peers/bare_tls_session.h"
#include "bench/peers/meter.h"
#include "bench/peers/wire.h"

// What a completion is of: the lowest bits of user_data, below the connection's slot.
enum op { OP_RECEIVE, OP_SEND, OP_OPEN, OP_BITS = 2 };

enum { FACTS_MAX = 128 };

struct conn {
    struct bare_tls tls;
    uint64_t left;   // of the response that is coming in
    bool is_waiting; // its request goes when the handshake is over
};

struct client {
    struct peer_options options;
    struct peer_wire wire;
    struct peer_meter meter;
    struct bare_ring ring;
    SSL_CTX *context;
    struct conn *conns;
};

static uint64_t tag(unsigned slot, enum op op) { return (uint64_t)slot << OP_BITS | op; }

static void install(struct client *client, unsigned slot) {
    int fd = peer_wire_dial(&client->wire);
    int result = io_uring_register_files_update(&client->ring.uring, slot, &fd, 1);
    if (result < 0) {
        errno = -result;
        peer_die("a socket cannot be registered");
    }
    close(fd);
}

// What is gathered goes. It lies still until the server has answered it, and nothing is gathered before.
static void flush(struct client *client, unsigned slot, unsigned flags) {
    struct bare_tls *tls = &client->conns[slot].tls;
    if (tls->out_len == 0) {
        return;
    }
    struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_send(sqe, (int)slot, tls->out, tls->out_len, MSG_NOSIGNAL);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS | flags;
    sqe->user_data = tag(slot, OP_SEND);
    tls->out_len = 0;
}

// A chain must lie in one submission: it may not be cut where the queue is full.
static void reserve(struct client *client, unsigned entries) {
    if (io_uring_sq_space_left(&client->ring.uring) < entries) {
        io_uring_submit(&client->ring.uring);
    }
}

// Socket, connect, hello and the first receive, as one chain that reports through its last member or its first failure.
static void open_and_greet(struct client *client, unsigned slot) {
    reserve(client, 4);
    struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, slot, 0);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag(slot, OP_OPEN);
    sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_connect(sqe, (int)slot, (const struct sockaddr *)&client->wire.address, sizeof client->wire.address);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag(slot, OP_OPEN);
    flush(client, slot, IOSQE_IO_LINK);
    bare_ring_receive(&client->ring, slot, tag(slot, OP_RECEIVE));
}

static void send_request(struct client *client, unsigned slot) {
    client->conns[slot].is_waiting = false;
    bare_tls_write(&client->conns[slot].tls, client->wire.request, client->wire.request_len);
    flush(client, slot, 0);
}

static void request(struct client *client, unsigned slot) {
    struct conn *conn = &client->conns[slot];
    if (!peer_meter_may_request(&client->meter)) {
        return;
    }
    conn->left = client->wire.response_len;
    conn->is_waiting = true;
    if (client->options.is_fresh) {
        bare_tls_begin(&conn->tls, client->context);
        open_and_greet(client, slot);
    } else if (conn->tls.is_open) {
        send_request(client, slot);
    }
}

static void end_response(struct client *client, unsigned slot) {
    client->meter.num_done++;
    if (client->options.is_fresh) {
        struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
        io_uring_prep_close_direct(sqe, slot);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS; // done within the submission, so the slot is free for the chain behind it
        sqe->user_data = tag(slot, OP_OPEN);
        bare_tls_end(&client->conns[slot].tls);
    }
    request(client, slot);
}

// Goes on with what lies in one buffer. True: the response is whole.
static bool go_on(struct client *client, unsigned slot, const uint8_t *bytes, size_t len) {
    struct conn *conn = &client->conns[slot];
    conn->tls.in = bytes;
    conn->tls.in_len = len;
    if (!conn->tls.is_open) {
        if (!bare_tls_shake(&conn->tls)) {
            flush(client, slot, 0);
            return false;
        }
        client->meter.num_resumed += (uint64_t)SSL_session_reused(conn->tls.ssl);
        if (conn->is_waiting) {
            send_request(client, slot);
        }
    }
    bool is_ended;
    uint64_t got = bare_tls_read(&conn->tls, &is_ended);
    client->meter.bytes_in += got;
    if (got > conn->left || (is_ended && (conn->left > got || !client->options.is_fresh))) {
        errno = EPROTO;
        peer_die("the response is not as long as the first one was");
    }
    conn->left -= got;
    return got > 0 && conn->left == 0;
}

static void on_receive(struct client *client, unsigned slot, const struct io_uring_cqe *cqe) {
    bool is_end = cqe->res == 0;
    bool is_whole = false;
    if (cqe->res < 0 && cqe->res != -ENOBUFS) {
        errno = -cqe->res;
        peer_die("receive");
    }
    if (is_end && (client->conns[slot].left > 0 || !client->options.is_fresh)) {
        errno = EPROTO;
        peer_die("the response is not as long as the first one was");
    }
    size_t left = cqe->res > 0 ? (size_t)cqe->res : 0;
    for (unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT; left > 0;) {
        size_t len = left < client->ring.buffer_bytes ? left : client->ring.buffer_bytes;
        is_whole = go_on(client, slot, bare_ring_buffer(&client->ring, id), len) || is_whole;
        id = (id + 1) & (client->ring.num_buffers - 1);
        left -= len;
    }
    bare_ring_give_back(&client->ring, cqe);
    if (client->options.is_fresh ? is_end : is_whole) {
        end_response(client, slot);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && !is_end) {
        bare_ring_receive(&client->ring, slot, tag(slot, OP_RECEIVE));
    }
}

static void take(struct client *client, const struct io_uring_cqe *cqe) {
    if ((cqe->user_data & ((1 << OP_BITS) - 1)) == OP_RECEIVE) {
        on_receive(client, (unsigned)(cqe->user_data >> OP_BITS), cqe);
    } else if (cqe->res < 0) { // they report failures alone
        errno = -cqe->res;
        peer_die("send or connect");
    }
}

static void begin_all(struct client *client) {
    for (unsigned slot = 0; slot < client->options.connections; slot++) {
        if (!client->options.is_fresh) {
            bare_tls_begin(&client->conns[slot].tls, client->context);
            flush(client, slot, 0);
            bare_ring_receive(&client->ring, slot, tag(slot, OP_RECEIVE));
        }
        request(client, slot);
    }
}

static void run(struct client *client) {
    struct io_uring *uring = &client->ring.uring;
    begin_all(client);
    while (peer_meter_goes_on(&client->meter)) {
        int result = io_uring_submit_and_wait(uring, 1);
        if (result < 0 && result != -EINTR && result != -EBUSY && result != -EAGAIN) {
            errno = -result;
            peer_die("io_uring_enter");
        }
        unsigned head;
        unsigned count = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(uring, head, cqe) {
            take(client, cqe);
            count++;
        }
        bare_ring_publish(&client->ring);
        io_uring_cq_advance(uring, count);
    }
}

static void report(struct client *client) {
    const char *how = peer_options_receive_name(&client->options);
    if (client->options.is_idle) {
        peer_meter_report_idle(&client->meter, "bare_tls", how);
    } else {
        peer_meter_report(&client->meter, "bare_tls", how);
    }
}

int main(int argc, char **argv) {
    static struct client client;
    static char facts[FACTS_MAX];
    peer_options_parse(&client.options, argc, argv);
    peer_wire_make(&client.wire, &client.options);
    CRYPTO_library_init();
    client.context = bare_tls_context(&client.options, &client.wire);
    client.wire.response_len = bare_tls_learn(client.context, &client.wire, facts, sizeof facts);
    client.meter.tls = facts;
    bare_ring_init(&client.ring, &client.options, client.options.connections);
    peer_meter_idle_begin(&client.meter);
    client.conns = calloc(client.options.connections, sizeof *client.conns);
    if (client.conns == NULL) {
        peer_die("cannot begin");
    }
    for (unsigned slot = 0; slot < client.options.connections && !client.options.is_fresh; slot++) {
        install(&client, slot);
    }
    peer_meter_begin(&client.meter, &client.options);
    run(&client);
    report(&client);
    bare_ring_deinit(&client.ring);
    return EXIT_SUCCESS; // what the library holds goes with the process
}

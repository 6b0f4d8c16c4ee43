// The bare kernel client: HTTP/1.1 GETs on io_uring as cheaply as they can be had, without parsing, pool, timers or
// checks. It counts the octets of responses whose length it has learned. What it costs is the limit that an engine with
// all those can come near to, and never reach.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/bare_ring.h"
#include "bench/peers/meter.h"
#include "bench/peers/wire.h"

// What a completion is of: the lowest bits of user_data, below the connection's slot.
enum op { OP_RECEIVE, OP_SEND, OP_OPEN, OP_BITS = 2 };

struct conn {
    uint64_t left; // of the response that is coming in
};

struct client {
    struct peer_options options;
    struct peer_wire wire;
    struct peer_meter meter;
    struct bare_ring ring;
    struct conn *conns;
};

static uint64_t tag(unsigned slot, enum op op) { return (uint64_t)slot << OP_BITS | op; }

// A connected socket goes into its slot of the ring's table, and its number is given back.
static void install(struct client *client, unsigned slot) {
    int fd = peer_wire_dial(&client->wire);
    int result = io_uring_register_files_update(&client->ring.uring, slot, &fd, 1);
    if (result < 0) {
        errno = -result;
        peer_die("a socket cannot be registered");
    }
    close(fd);
}

static void prepare_send(struct client *client, unsigned slot, unsigned flags) {
    struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_send(sqe, (int)slot, client->wire.request, client->wire.request_len, MSG_NOSIGNAL);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS | flags;
    sqe->user_data = tag(slot, OP_SEND);
}

// A chain must lie in one submission: it may not be cut where the queue is full.
static void reserve(struct client *client, unsigned entries) {
    if (io_uring_sq_space_left(&client->ring.uring) < entries) {
        io_uring_submit(&client->ring.uring);
    }
}

// Socket, connect, send and the first receive, as one chain that reports through its last member or its first failure.
static void open_and_request(struct client *client, unsigned slot) {
    reserve(client, 4);
    struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, slot, 0);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag(slot, OP_OPEN);
    sqe = bare_ring_sqe(&client->ring);
    io_uring_prep_connect(sqe, (int)slot, (const struct sockaddr *)&client->wire.address, sizeof client->wire.address);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag(slot, OP_OPEN);
    prepare_send(client, slot, IOSQE_IO_LINK);
    bare_ring_receive(&client->ring, slot, tag(slot, OP_RECEIVE));
}

static void request(struct client *client, unsigned slot) {
    if (!peer_meter_may_request(&client->meter)) {
        return;
    }
    client->conns[slot].left = client->wire.response_len;
    if (client->options.is_fresh) {
        open_and_request(client, slot);
    } else {
        prepare_send(client, slot, 0);
    }
}

static void end_response(struct client *client, unsigned slot) {
    client->meter.num_done++;
    if (client->options.is_fresh) {
        struct io_uring_sqe *sqe = bare_ring_sqe(&client->ring);
        io_uring_prep_close_direct(sqe, slot);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS; // done within the submission, so the slot is free for the chain behind it
        sqe->user_data = tag(slot, OP_OPEN);
    }
    request(client, slot);
}

static void on_receive(struct client *client, unsigned slot, const struct io_uring_cqe *cqe) {
    struct conn *conn = &client->conns[slot];
    bool is_fresh = client->options.is_fresh;
    bool is_end = cqe->res == 0;
    if (cqe->res < 0 && cqe->res != -ENOBUFS) {
        errno = -cqe->res;
        peer_die("receive");
    }
    uint64_t got = cqe->res > 0 ? (uint64_t)cqe->res : 0;
    client->meter.bytes_in += got;
    if (got > conn->left || (is_end && (conn->left > 0 || !is_fresh))) {
        errno = EPROTO;
        peer_die("the response is not as long as the first one was");
    }
    conn->left -= got;
    bare_ring_give_back(&client->ring, cqe);
    if (is_fresh ? is_end : got > 0 && conn->left == 0) {
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

static void run(struct client *client) {
    struct io_uring *uring = &client->ring.uring;
    for (unsigned slot = 0; slot < client->options.connections; slot++) {
        request(client, slot);
        if (!client->options.is_fresh) {
            bare_ring_receive(&client->ring, slot, tag(slot, OP_RECEIVE));
        }
    }
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

int main(int argc, char **argv) {
    static struct client client;
    peer_options_parse(&client.options, argc, argv);
    peer_wire_learn(&client.wire, &client.options);
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
    if (client.options.is_idle) {
        peer_meter_report_idle(&client.meter, "bare", peer_options_receive_name(&client.options));
    } else {
        peer_meter_report(&client.meter, "bare", peer_options_receive_name(&client.options));
    }
    bare_ring_deinit(&client.ring);
    free(client.conns);
    return EXIT_SUCCESS;
}

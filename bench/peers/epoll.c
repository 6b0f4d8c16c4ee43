// The bare client's twin on epoll: HTTP/1.1 GETs over keep-alive connections, without parsing, without a library. What
// it costs is what the kernel's TCP path costs when a readiness loop asks for it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/meter.h"
#include "bench/peers/wire.h"

enum {
    EVENTS_MAX = 512,
    BUFFER_BYTES = 65536, // one for all: what is read is counted and forgotten
    WAIT_MS = 1000,       // so that a server that falls silent does not hide the end of the time
};

struct conn {
    int fd;
    uint64_t left; // of the response that is coming in
};

struct client {
    struct peer_options options;
    struct peer_wire wire;
    struct peer_meter meter;
    struct conn *conns;
    char *buffer;
    size_t buffer_bytes;
    int epoll_fd;
};

static void open_conn(struct client *client, struct conn *conn) {
    conn->fd = peer_wire_dial(&client->wire);
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = conn}};
    if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        peer_die("epoll_ctl");
    }
}

static void request(struct client *client, struct conn *conn) {
    if (!peer_meter_may_request(&client->meter)) {
        return;
    }
    if (client->options.is_fresh) {
        open_conn(client, conn);
    }
    conn->left = client->wire.response_len;
    if (send(conn->fd, client->wire.request, client->wire.request_len, MSG_NOSIGNAL) !=
        (ssize_t)client->wire.request_len) {
        peer_die("send");
    }
}

static void end_response(struct client *client, struct conn *conn) {
    client->meter.num_done++;
    if (client->options.is_fresh) {
        close(conn->fd); // the server has closed before, so that its end waits out the time and no port of ours is held
        conn->fd = -1;
    }
    request(client, conn);
}

// Reads once, or as long as whole buffers come: a short read says that there was no more, without asking.
static void receive(struct client *client, struct conn *conn) {
    for (ssize_t got = (ssize_t)client->buffer_bytes; got == (ssize_t)client->buffer_bytes;) {
        got = recv(conn->fd, client->buffer, client->buffer_bytes, 0);
        if (got < 0) {
            if (errno == EAGAIN) {
                return;
            }
            peer_die("recv");
        }
        client->meter.bytes_in += (uint64_t)got;
        if ((uint64_t)got > conn->left || (got == 0 && (conn->left > 0 || !client->options.is_fresh))) {
            errno = EPROTO;
            peer_die("the response is not as long as the first one was");
        }
        conn->left -= (uint64_t)got;
        if (client->options.is_fresh ? got == 0 : conn->left == 0) {
            end_response(client, conn);
            return;
        }
    }
}

static void run(struct client *client) {
    struct epoll_event events[EVENTS_MAX];
    for (unsigned i = 0; i < client->options.connections; i++) {
        request(client, &client->conns[i]);
    }
    while (peer_meter_goes_on(&client->meter)) {
        int count = epoll_wait(client->epoll_fd, events, EVENTS_MAX, WAIT_MS);
        for (int i = 0; i < count; i++) {
            receive(client, events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv) {
    static struct client client;
    peer_options_parse(&client.options, argc, argv);
    peer_wire_learn(&client.wire, &client.options);
    client.buffer_bytes = client.options.buffer_bytes > 0 ? client.options.buffer_bytes : BUFFER_BYTES;
    client.buffer = malloc(client.buffer_bytes);
    client.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    peer_meter_idle_begin(&client.meter);
    client.conns = calloc(client.options.connections, sizeof *client.conns);
    if (client.buffer == NULL || client.conns == NULL || client.epoll_fd < 0) {
        peer_die("cannot begin");
    }
    for (unsigned i = 0; i < client.options.connections && !client.options.is_fresh; i++) {
        open_conn(&client, &client.conns[i]);
    }
    peer_meter_begin(&client.meter, &client.options);
    run(&client);
    if (client.options.is_idle) {
        peer_meter_report_idle(&client.meter, "epoll", "level");
    } else {
        peer_meter_report(&client.meter, "epoll", "level");
    }
    free(client.conns);
    free(client.buffer);
    return EXIT_SUCCESS;
}

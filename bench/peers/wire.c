#include "bench/peers/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/meter.h"

enum { HEAD_MAX = 16384, ADDRESS_MAX = 64 };

static _Noreturn void refuse(const char *problem) {
    fprintf(stderr, "%s\n", problem);
    exit(PEER_EXIT_FAILED);
}

// Splits http://ADDRESS:PORT/PATH. Gives the path, which may be empty.
static const char *read_url(struct peer_wire *wire, const char *url) {
    char host[ADDRESS_MAX];
    unsigned port = 80;
    int used = 0;
    bool has_port = sscanf(url, "http://%63[0-9.]:%5u%n", host, &port, &used) == 2;
    if (!has_port && (sscanf(url, "http://%63[0-9.]%n", host, &used) != 1 || used == 0)) {
        refuse("the URL is not http://ADDRESS:PORT/PATH with an IPv4 literal");
    }
    wire->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    bool is_good = inet_pton(AF_INET, host, &wire->address.sin_addr) == 1 && port > 0 && port < 65536;
    if (!is_good || (url[used] != '/' && url[used] != 0)) {
        refuse("the URL is not http://ADDRESS:PORT/PATH with an IPv4 literal");
    }
    return url + used;
}

static void make_request(struct peer_wire *wire, const char *url, const char *path, bool is_fresh) {
    int authority_len = (int)(path - url) - (int)strlen("http://");
    int len = snprintf(wire->request, sizeof wire->request, "GET %s HTTP/1.1\r\nHost: %.*s\r\n%s\r\n",
                       *path != 0 ? path : "/", authority_len, url + strlen("http://"),
                       is_fresh ? "Connection: close\r\n" : "");
    if (len < 0 || (size_t)len >= sizeof wire->request) {
        refuse("the URL is too long");
    }
    wire->request_len = (size_t)len;
}

int peer_wire_dial(const struct peer_wire *wire) {
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&wire->address, sizeof wire->address) != 0) {
        peer_die("cannot connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

// Reads a head and gives what it says of the response's length, head included.
static uint64_t learn_length(int fd) {
    static char head[HEAD_MAX];
    for (size_t len = 0; len < sizeof head - 1;) {
        ssize_t got = recv(fd, head + len, sizeof head - 1 - len, 0);
        if (got <= 0) {
            refuse("the server ended the connection within the head");
        }
        len += (size_t)got;
        head[len] = 0;
        const char *end = strstr(head, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }
        const char *field = strcasestr(head, "\r\ncontent-length:");
        if (strncmp(head, "HTTP/1.1 200", strlen("HTTP/1.1 200")) != 0 || field == NULL || field > end) {
            refuse("the server's answer is not a 200 with a Content-Length");
        }
        uint64_t body = strtoull(field + strlen("\r\ncontent-length:"), NULL, 10);
        return (uint64_t)(end - head) + strlen("\r\n\r\n") + body;
    }
    refuse("the head is too long");
}

void peer_wire_learn(struct peer_wire *wire, const struct peer_options *options) {
    const char *path = read_url(wire, options->url);
    make_request(wire, options->url, path, options->is_fresh);
    int fd = peer_wire_dial(wire);
    if (send(fd, wire->request, wire->request_len, MSG_NOSIGNAL) != (ssize_t)wire->request_len) {
        peer_die("cannot send");
    }
    wire->response_len = learn_length(fd);
    close(fd);
}

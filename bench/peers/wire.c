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

static const char k_no_url[] = "the URL is not http://ADDRESS:PORT/PATH, or https, with an IPv4 literal";

static _Noreturn void refuse(const char *problem) {
    fprintf(stderr, "%s\n", problem);
    exit(PEER_EXIT_FAILED);
}

// Splits http://ADDRESS:PORT/PATH, or https. Gives the path, which may be empty.
static const char *read_url(struct peer_wire *wire, const char *url) {
    char host[ADDRESS_MAX];
    wire->is_tls = strncmp(url, "https:", strlen("https:")) == 0;
    unsigned port = wire->is_tls ? 443 : 80;
    int used = 0;
    const char *rest = url + strlen(wire->is_tls ? "https://" : "http://");
    if (strncmp(url, wire->is_tls ? "https://" : "http://", (size_t)(rest - url)) != 0) {
        refuse(k_no_url);
    }
    bool has_port = sscanf(rest, "%63[0-9.]:%5u%n", host, &port, &used) == 2;
    if (!has_port && (sscanf(rest, "%63[0-9.]%n", host, &used) != 1 || used == 0)) {
        refuse(k_no_url);
    }
    wire->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    bool is_good = inet_pton(AF_INET, host, &wire->address.sin_addr) == 1 && port > 0 && port < 65536;
    if (!is_good || (rest[used] != '/' && rest[used] != 0)) {
        refuse(k_no_url);
    }
    return rest + used;
}

void peer_wire_make(struct peer_wire *wire, const struct peer_options *options) {
    const char *path = read_url(wire, options->url);
    const char *authority = strstr(options->url, "//") + strlen("//");
    int len = snprintf(wire->request, sizeof wire->request, "GET %s HTTP/1.1\r\nHost: %.*s\r\n%s\r\n",
                       *path != 0 ? path : "/", (int)(path - authority), authority,
                       options->is_fresh ? "Connection: close\r\n" : "");
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

uint64_t peer_wire_read_length(peer_receive_fn *receive, void *context) {
    static char head[HEAD_MAX];
    for (size_t len = 0; len < sizeof head - 1;) {
        ssize_t got = receive(context, head + len, sizeof head - 1 - len);
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

static ssize_t receive_plain(void *context, void *out, size_t size) { return recv(*(const int *)context, out, size, 0); }

void peer_wire_learn(struct peer_wire *wire, const struct peer_options *options) {
    peer_wire_make(wire, options);
    if (wire->is_tls) {
        refuse("this peer speaks no TLS");
    }
    int fd = peer_wire_dial(wire);
    if (send(fd, wire->request, wire->request_len, MSG_NOSIGNAL) != (ssize_t)wire->request_len) {
        peer_die("cannot send");
    }
    wire->response_len = peer_wire_read_length(receive_plain, &fd);
    close(fd);
}

#include "bench/server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// union address is any of the three kinds that a server listens on.
union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

// parse_address fills `out` and the listener's `host` and `unix_path`; it returns the length, 0 for what is no address.
static socklen_t parse_address(struct bench_listener *listener, union address *out, const char *text, uint16_t port) {
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) {
        size_t len = strlen(text + 5);
        if (len == 0 || len >= sizeof out->un.sun_path || len >= sizeof listener->unix_path)
            return 0;
        out->un.sun_family = AF_UNIX;
        memcpy(out->un.sun_path, text + 5, len + 1);
        memcpy(listener->unix_path, text + 5, len + 1);
        snprintf(listener->host, sizeof listener->host, "localhost");
        return sizeof out->un;
    }
    if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons(port);
        snprintf(listener->host, sizeof listener->host, "%.60s", text);
        return sizeof out->in;
    }
    if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(port);
        snprintf(listener->host, sizeof listener->host, "[%.60s]", text);
        return sizeof out->in6;
    }
    return 0;
}

int bench_listener_open(struct bench_listener *out, const char *address_text, uint16_t port, int backlog) {
    union address address;
    *out = (struct bench_listener){.fd = -1, .scheme = "http"};
    socklen_t len = parse_address(out, &address, address_text ? address_text : "127.0.0.1", port);
    if (len == 0)
        return EINVAL;
    out->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out->fd < 0)
        return errno;
    int one = 1;
    setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(out->fd, &address.any, len) != 0) {
        int error = errno;
        close(out->fd); // the unix path is not ours to remove
        return error;
    }
    if (listen(out->fd, backlog) != 0 || getsockname(out->fd, &address.any, &len) != 0) {
        int error = errno;
        bench_listener_close(out);
        return error;
    }
    if (address.any.sa_family == AF_INET)
        out->port = ntohs(address.in.sin_port);
    else if (address.any.sa_family == AF_INET6)
        out->port = ntohs(address.in6.sin6_port);
    return 0;
}

void bench_listener_close(struct bench_listener *listener) {
    close(listener->fd);
    listener->fd = -1;
    if (listener->unix_path[0])
        unlink(listener->unix_path);
}

char *bench_listener_url(const struct bench_listener *listener, const char *path, char *out, size_t size) {
    int len = listener->unix_path[0]
                  ? snprintf(out, size, "%s://%s%s", listener->scheme, listener->host, path)
                  : snprintf(out, size, "%s://%s:%u%s", listener->scheme, listener->host, (unsigned)listener->port, path);
    if (len < 0 || (size_t)len >= size)
        abort();
    return out;
}

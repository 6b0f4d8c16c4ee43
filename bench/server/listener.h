// A listening socket and the address that URLs to it carry. Shared by the embedded and the scripted server.
//
// Thread-free: a listener is written by open and close only; in between anyone may read it.
#ifndef QUOIT_BENCH_SERVER_LISTENER_H
#define QUOIT_BENCH_SERVER_LISTENER_H

#include <stddef.h>
#include <stdint.h>

struct bench_listener {
    int fd;
    uint16_t port;       // 0 for a unix path
    char host[64];       // as it stands in a URL
    char unix_path[108]; // "" for none
    const char *scheme;  // of URLs; "http" after open
};

// bench_listener_open listens on `address` ("127.0.0.1" for NULL, any other literal, "unix:/path") without blocking. It
// returns 0, or an errno and has left nothing behind.
int bench_listener_open(struct bench_listener *out, const char *address, uint16_t port, int backlog);

// bench_listener_close closes the socket and removes the unix path.
void bench_listener_close(struct bench_listener *listener);

// bench_listener_url writes the URL of `path` into `out` and returns `out`; it aborts when `size` is too small.
char *bench_listener_url(const struct bench_listener *listener, const char *path, char *out, size_t size);

#endif

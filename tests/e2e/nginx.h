// Debian's nginx as a child of a test: a server that we did not write, on a free loopback port, with files of its own.
//
// Life: nginx_start (which returns when it answers), nginx_signal and fetches, nginx_stop (which ends it, waits for it
// and removes its folder). No rights are needed. The test's main thread calls these; all failures fail the test.
#ifndef QUOIT_TESTS_E2E_NGINX_H
#define QUOIT_TESTS_E2E_NGINX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { NGINX_PATH_MAX = 128, NGINX_KEEPALIVE_REQUESTS = 20 };

struct nginx {
    pid_t pid; // 0: it has ended
    uint16_t port;
    const char *scheme;
    char folder[NGINX_PATH_MAX];
};

// nginx_start starts it. Below / are the files that nginx_add_file made; below /few/ the same with
// NGINX_KEEPALIVE_REQUESTS requests a connection; below /ssi/ the same through a filter that makes them chunked; below
// /slow/ the same at 64 KiB a second.
struct nginx nginx_start(void);

// struct nginx_more is what stands in its configuration besides: lines of the http block and of its server, and words
// behind the listen address ("" for plain HTTP). Relative paths are below nginx.folder.
struct nginx_more {
    const char *http;
    const char *listen;
    const char *server;
};

struct nginx nginx_start_with(const struct nginx_more *more);

// nginx_add_file adds a file with `len` bytes of bench/server/body.h.
void nginx_add_file(const struct nginx *nginx, const char *name, uint64_t len);

// nginx_url writes a URL into `out`, and returns it.
char *nginx_url(const struct nginx *nginx, const char *path, char *out, size_t size);

// nginx_signal sends a signal to the master process: SIGHUP reloads, SIGQUIT ends when all is served, SIGTERM at once.
void nginx_signal(const struct nginx *nginx, int number);

// nginx_wait waits until it has ended by itself.
void nginx_wait(struct nginx *nginx);

void nginx_stop(struct nginx *nginx);

#endif

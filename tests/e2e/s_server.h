// Debian's `openssl s_server` as a child of a test: a TLS server that we did not write, in forms that nginx does not have.
//
// It has a certificate for 127.0.0.1 and S_SERVER_HOST below a root of the test's own, ECDSA unless it is told otherwise.
// What the test orders goes to its standard input; what it prints is kept. The test's main thread calls; all failures
// fail the test.
#ifndef QUOIT_TESTS_E2E_S_SERVER_H
#define QUOIT_TESTS_E2E_S_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define S_SERVER_HOST "openssl.example"

enum { S_SERVER_SAID_MAX = 1 << 16 };

struct s_server {
    pid_t pid;
    int orders;
    int output;
    uint16_t port;
    char *folder;
    char *roots;       // a PEM file: whom to trust,
    char *client_cert; // one that the server's -Verify takes, with its key,
    char *client_key;
    char *wrong_cert; // and one of a stranger's
    char *wrong_key;
    char said[S_SERVER_SAID_MAX]; // all that was read of its output, with a NUL
    size_t said_len;
};

// s_server_start starts it with `arguments` (NULL ends them) behind its address and certificate, in place of which
// "-nocert" may stand; it returns when it listens. s_server_stop ends it.
void s_server_start(struct s_server *server, const char *const *arguments);
void s_server_stop(struct s_server *server);

// s_server_order writes `line` to its input, and waits until it has read that: what it reads at a time is one order.
// s_server_wait waits until it has printed `text`.
void s_server_order(struct s_server *server, const char *line);
void s_server_wait(struct s_server *server, const char *text);

#endif

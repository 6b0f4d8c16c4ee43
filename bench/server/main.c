// The embedded server as a program of its own: prints the address that it listens on, serves until its standard input
// ends or it gets SIGINT or SIGTERM, then prints its counters.
//
//     server [--address A] [--port N] [--threads N] [--max-connections N] [--backlog N] [--idle-close-ms N]
//            [--tls-cert FILE --tls-key FILE | --tls-authority FILE] [--tls-version 12|13] [--tls-tickets 0]
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench/server/cert.h"
#include "bench/server/server.h"

// What the program is asked for beside the server's own options.
struct asked {
    struct bench_server_options options;
    const char *authority; // where the authority of a certificate that is made goes
    bool ends_with_stdin;
};

enum { PEM_MAX = 1 << 20 };

// read_pem reads a whole file as a string; NULL with errno.
static char *read_pem(const char *path) {
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(PEM_MAX) : NULL;
    if (text)
        text[fread(text, 1, PEM_MAX - 1, file)] = '\0';
    if (file)
        fclose(file);
    return text;
}

// parse_tls takes the options of TLS; the files are read later.
static bool parse_tls(struct asked *asked, const char *name, const char *value) {
    struct bench_server_options *options = &asked->options;
    if (strcmp(name, "--tls-authority") == 0)
        asked->authority = value;
    else if (strcmp(name, "--tls-cert") == 0)
        options->tls_cert = value;
    else if (strcmp(name, "--tls-key") == 0)
        options->tls_key = value;
    else if (strcmp(name, "--tls-version") == 0 && strcmp(value, "12") == 0)
        options->tls_version = 0x0303;
    else if (strcmp(name, "--tls-version") == 0 && strcmp(value, "13") == 0)
        options->tls_version = 0x0304;
    else if (strcmp(name, "--tls-tickets") == 0)
        options->tls_no_tickets = strcmp(value, "0") == 0;
    else
        return false;
    return true;
}

static bool parse_options(struct asked *asked, int argc, char **argv) {
    struct bench_server_options *options = &asked->options;
    for (int i = 1; i + 1 < argc; i += 2) {
        char *end = NULL;
        unsigned long number = strtoul(argv[i + 1], &end, 10);
        bool is_number = end != argv[i + 1] && *end == '\0';
        if (strcmp(argv[i], "--address") == 0)
            options->address = argv[i + 1];
        else if (parse_tls(asked, argv[i], argv[i + 1]))
            continue;
        else if (!is_number)
            return false;
        else if (strcmp(argv[i], "--port") == 0)
            options->port = (uint16_t)number;
        else if (strcmp(argv[i], "--threads") == 0)
            options->num_threads = (unsigned)number;
        else if (strcmp(argv[i], "--max-connections") == 0)
            options->max_connections = (unsigned)number;
        else if (strcmp(argv[i], "--backlog") == 0)
            options->backlog = (int)number;
        else if (strcmp(argv[i], "--idle-close-ms") == 0)
            options->idle_close_ms = number;
        else if (strcmp(argv[i], "--stdin") == 0)
            asked->ends_with_stdin = number != 0;
        else
            return false;
    }
    return argc % 2 == 1 && !options->tls_cert == !options->tls_key && !(options->tls_cert && asked->authority);
}

// wait_for_end blocks until a signal, or, if asked to watch it, the end of standard input.
static void wait_for_end(const sigset_t *signals, bool watch_stdin) {
    int signal_fd = signalfd(-1, signals, SFD_CLOEXEC);
    struct pollfd polled[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = watch_stdin ? 0 : -1, .events = POLLIN}};
    for (;;) {
        char ignored[256];
        if (poll(polled, 2, -1) < 0 || polled[0].revents)
            break;
        if (polled[1].revents && read(0, ignored, sizeof ignored) <= 0)
            break;
    }
    close(signal_fd);
}

// start_with_files starts the server with what is in the files that `options` name.
static struct bench_server *start_with_files(struct bench_server_options *options) {
    struct bench_server *server = NULL;
    char *cert = read_pem(options->tls_cert);
    char *key = cert ? read_pem(options->tls_key) : NULL;
    options->tls_cert = cert;
    options->tls_key = key;
    if (cert && key)
        server = bench_server_start(options);
    int error = errno;
    free(cert);
    free(key);
    errno = error;
    return server;
}

static bool write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    bool is_written = file && fputs(text, file) >= 0;
    return file && fclose(file) == 0 && is_written;
}

// start_with_own starts the server with a certificate made now; who is to trust it finds its authority in a file.
static struct bench_server *start_with_own(struct asked *asked) {
    struct bench_server *server = NULL;
    struct bench_cert made;
    if (!bench_cert_make(&made)) {
        errno = ENOMEM;
        return NULL;
    }
    asked->options.tls_cert = made.cert;
    asked->options.tls_key = made.key;
    if (write_text(asked->authority, made.authority))
        server = bench_server_start(&asked->options);
    int error = errno;
    bench_cert_free(&made);
    errno = error;
    return server;
}

static struct bench_server *start(struct asked *asked) {
    if (asked->authority)
        return start_with_own(asked);
    return asked->options.tls_cert ? start_with_files(&asked->options) : bench_server_start(&asked->options);
}

int main(int argc, char **argv) {
    struct asked asked = {0};
    if (!parse_options(&asked, argc, argv)) {
        fprintf(stderr, "usage: server [--address A] [--port N] [--threads N] [--max-connections N] [--backlog N] "
                        "[--idle-close-ms N] [--stdin 1: end with standard input]\n"
                        "              [--tls-cert FILE --tls-key FILE | --tls-authority FILE: for a certificate made now]\n"
                        "              [--tls-version 12|13] [--tls-tickets 0]\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct bench_server *server = start(&asked);
    if (!server) {
        perror("server: cannot start");
        return 1;
    }
    char url[256];
    printf("%s\n", bench_server_url(server, "/", url, sizeof url));
    fflush(stdout);
    wait_for_end(&signals, asked.ends_with_stdin);
    struct bench_server_counters counters;
    bench_server_counters(server, &counters);
    bench_server_stop(server);
    printf("connections %" PRIu64 " requests %" PRIu64 " in %" PRIu64 " out %" PRIu64 " bytes\n", counters.accepted,
           counters.requests, counters.bytes_in, counters.bytes_out);
    return 0;
}

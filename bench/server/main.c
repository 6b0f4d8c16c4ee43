// The embedded server as a program of its own: prints the address that it listens on, serves until its standard input
// ends or it gets SIGINT or SIGTERM, then prints its counters.
//
//     server [--address A] [--port N] [--threads N] [--max-connections N] [--backlog N] [--idle-close-ms N]
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench/server/server.h"

static bool parse_options(struct bench_server_options *options, bool *out_stdin, int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        char *end = NULL;
        unsigned long number = strtoul(argv[i + 1], &end, 10);
        bool is_number = end != argv[i + 1] && *end == '\0';
        if (strcmp(argv[i], "--address") == 0)
            options->address = argv[i + 1];
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
            *out_stdin = number != 0;
        else
            return false;
    }
    return argc % 2 == 1;
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

int main(int argc, char **argv) {
    struct bench_server_options options = {0};
    bool watch_stdin = false;
    if (!parse_options(&options, &watch_stdin, argc, argv)) {
        fprintf(stderr, "usage: server [--address A] [--port N] [--threads N] [--max-connections N] [--backlog N] "
                        "[--idle-close-ms N] [--stdin 1: end with standard input]\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct bench_server *server = bench_server_start(&options);
    if (!server) {
        perror("server: cannot listen");
        return 1;
    }
    char url[256];
    printf("%s\n", bench_server_url(server, "/", url, sizeof url));
    fflush(stdout);
    wait_for_end(&signals, watch_stdin);
    struct bench_server_counters counters;
    bench_server_counters(server, &counters);
    bench_server_stop(server);
    printf("connections %" PRIu64 " requests %" PRIu64 " in %" PRIu64 " out %" PRIu64 " bytes\n", counters.accepted,
           counters.requests, counters.bytes_in, counters.bytes_out);
    return 0;
}

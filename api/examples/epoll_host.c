// epoll_host: a port in a host's own epoll loop. Gets all URLs at once, beside a timer of the host's.
//
//     epoll_host URL...
#include "api/quoit.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 16, TIMER_MS = 250 };

// What a request is in this host: its user_data is its place in argv.
static void take(const struct quoit_event *event, char **argv, int *num_left, bool *is_closed) {
    const char *url = argv[event->user_data];
    switch (event->type) {
    case QUOIT_EVENT_HEAD: printf("%s: status %d\n", url, event->u.head.status); break;
    case QUOIT_EVENT_DATA: printf("%s: %zu bytes\n", url, event->u.data.len); break;
    case QUOIT_EVENT_DONE: printf("%s: done\n", url); break;
    case QUOIT_EVENT_FAILED: printf("%s: %s\n", url, quoit_error_name(event->u.summary.failure.code)); break;
    case QUOIT_EVENT_CLOSED: *is_closed = true; break; // of no request
    default: break;
    }
    *num_left -= event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED;
}

// The port's descriptor is readable: takes what is there. A drain that gives less than it may has armed the descriptor
// for the next event; one that gives as much has not, so it is drained again.
static void drain(struct quoit_port port, char **argv, int *num_left, bool *is_closed) {
    struct quoit_event events[EVENTS];
    int32_t count;
    do {
        count = quoit_port_drain(port, events, sizeof events[0], EVENTS);
        for (int32_t i = 0; i < count; i++) {
            take(&events[i], argv, num_left, is_closed);
        }
        quoit_port_advance(port);
    } while (count == EVENTS);
}

static void submit(struct quoit_engine engine, struct quoit_port port, char **argv, int i, int *num_left) {
    struct quoit_request *request = NULL;
    int32_t code = quoit_request_new("GET", argv[i], &request);
    if (code == QUOIT_OK) {
        code = quoit_submit(engine, port, request, (uint64_t)i, NULL);
    }
    if (code == QUOIT_OK) {
        ++*num_left;
    } else {
        printf("%s: %s\n", argv[i], quoit_error_name(code));
    }
    quoit_request_release(request); // the engine has its own hold
}

int main(int argc, char **argv) {
    struct quoit_engine engine;
    struct quoit_port port;
    if (quoit_engine_create(NULL, &engine, NULL) != QUOIT_OK || quoit_port_create(engine, NULL, &port) != QUOIT_OK) {
        return 1;
    }
    int num_left = 0;
    for (int i = 1; i < argc; i++) {
        submit(engine, port, argv, i, &num_left);
    }

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec every = {.it_value.tv_nsec = TIMER_MS * 1000000, .it_interval.tv_nsec = TIMER_MS * 1000000};
    timerfd_settime(timer, 0, &every, NULL);
    epoll_ctl(epoll, EPOLL_CTL_ADD, quoit_port_fd(port), &(struct epoll_event){.events = EPOLLIN, .data.fd = -1});
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.fd = timer});

    bool is_closing = false;
    bool is_closed = false;
    drain(port, argv, &num_left, &is_closed); // arms the descriptor for the first event
    while (!is_closed) {
        if (num_left == 0 && !is_closing) {
            is_closing = quoit_engine_close(engine, 0) == QUOIT_OK;
        }
        struct epoll_event ready;
        uint64_t ticks;
        if (epoll_wait(epoll, &ready, 1, -1) == 1 && ready.data.fd == timer) {
            fprintf(stderr, "%d to go\n", num_left); // the host's own work goes on
            (void)!read(timer, &ticks, sizeof ticks);
        } else {
            drain(port, argv, &num_left, &is_closed);
        }
    }
    close(epoll);
    close(timer);
    return quoit_engine_destroy(engine) == QUOIT_OK ? 0 : 1;
}

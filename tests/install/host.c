// A host program as a stranger would write it: quoit.h, plain cc, pkg-config, nothing else of this tree.
//
// It serves one canned response on loopback from a thread of its own, fetches it through Quoit, and prints what came.
#include <quoit.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 16, WAIT_MS = 10000 };

static const char k_response[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

static void *serve_once(void *listener) {
    int client = accept(*(int *)listener, NULL, NULL);
    char request[4096];
    if (client >= 0 && read(client, request, sizeof request) > 0 &&
        write(client, k_response, sizeof k_response - 1) < 0) {
        perror("write");
    }
    close(client);
    return NULL;
}

// listen_on_loopback gives a listening socket and its port, which the kernel chooses.
static int listen_on_loopback(unsigned *out_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
        perror("listen");
        return -1;
    }
    *out_port = ntohs(address.sin_port);
    return listener;
}

// print_event says what came, and gives 1 when it was the terminal event.
static int print_event(const struct quoit_event *event) {
    switch (event->type) {
    case QUOIT_EVENT_HEAD:
        printf("status %u\n", event->u.head.status);
        return 0;
    case QUOIT_EVENT_DATA:
        printf("body %.*s\n", (int)event->u.data.len, (const char *)event->u.data.data);
        return 0;
    case QUOIT_EVENT_DONE:
        printf("done\n");
        return 1;
    case QUOIT_EVENT_FAILED:
        printf("failed %s\n", quoit_error_name(event->u.summary.failure.code));
        return 1;
    default:
        return event->type == QUOIT_EVENT_CLOSED;
    }
}

// drain_until prints events until a terminal one, or the port's last one.
static int drain_until(struct quoit_port port) {
    struct quoit_event events[EVENTS_MAX];
    for (;;) {
        int32_t count = quoit_port_wait(port, events, sizeof events[0], EVENTS_MAX, WAIT_MS);
        int ended = 0;
        for (int32_t i = 0; i < count; i++) {
            ended |= print_event(&events[i]);
        }
        if (count <= 0 || quoit_port_advance(port) != QUOIT_OK) {
            printf("no event: %d\n", count);
            return 1;
        }
        if (ended) {
            return 0;
        }
    }
}

static int must(const char *what, int32_t code) {
    if (code != QUOIT_OK) {
        printf("%s: %s: %s\n", what, quoit_error_name(code), quoit_error_sentence(code));
    }
    return code != QUOIT_OK;
}

int main(void) {
    unsigned number = 0;
    char url[64];
    pthread_t server;
    struct quoit_failure failure;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request;
    int listener = listen_on_loopback(&number);

    printf("quoit %s\n", quoit_version());
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", number);
    if (listener < 0 || pthread_create(&server, NULL, serve_once, &listener) != 0) {
        return 1;
    }
    if (must("engine", quoit_engine_create(NULL, &engine, &failure)) ||
        must("port", quoit_port_create(engine, NULL, &port)) ||
        must("request", quoit_request_new("GET", url, &request)) ||
        must("submit", quoit_submit(engine, port, request, 1, NULL))) {
        return 1;
    }
    quoit_request_release(request);
    int failed = drain_until(port);
    failed |= must("close", quoit_engine_close(engine, 0));
    failed |= drain_until(port);
    failed |= must("destroy", quoit_engine_destroy(engine));
    shutdown(listener, SHUT_RDWR); // ends an accept that nobody came for
    pthread_join(server, NULL);
    close(listener);
    return failed;
}

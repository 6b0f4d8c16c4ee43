// hostdriven: an engine without a thread. The host's one thread waits and ticks; events come as calls inside the tick.
//
//     hostdriven URL
#include "api/quoit.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

struct host {
    struct quoit_engine engine;
    int32_t code;
    bool is_closed;
};

static void on_event(void *context, const struct quoit_event *event) {
    struct host *host = context;
    if (event->type == QUOIT_EVENT_DATA) {
        fwrite(event->u.data.data, 1, event->u.data.len, stdout);
    } else if (event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED) {
        host->code = event->u.summary.failure.code;
        quoit_engine_close(host->engine, 0); // calls on Quoit are allowed here
    } else if (event->type == QUOIT_EVENT_CLOSED) {
        host->is_closed = true;
    }
}

static int32_t start(struct host *host, const char *url) {
    struct quoit_engine_options options = {.struct_size = sizeof options, .mode = QUOIT_ENGINE_HOST_DRIVEN};
    struct quoit_port_options inline_port = {
        .struct_size = sizeof inline_port, .mode = QUOIT_PORT_INLINE, .on_event = on_event, .context = host};
    struct quoit_port port;
    struct quoit_request *request = NULL;
    int32_t code = quoit_engine_create(&options, &host->engine, NULL);
    if (code == QUOIT_OK) {
        code = quoit_port_create(host->engine, &inline_port, &port);
    }
    if (code == QUOIT_OK) {
        code = quoit_request_new("GET", url, &request);
    }
    if (code == QUOIT_OK) {
        code = quoit_submit(host->engine, port, request, 0, NULL);
    }
    quoit_request_release(request);
    return code;
}

int main(int argc, char **argv) {
    struct host host = {0};
    int32_t code = argc == 2 ? start(&host, argv[1]) : QUOIT_ERR_INVALID_ARGUMENT;
    if (code != QUOIT_OK) {
        fprintf(stderr, "hostdriven: %s\n", quoit_error_sentence(code));
        return 1;
    }
    while (!host.is_closed) {
        int32_t more = quoit_engine_tick(host.engine); // 1: come again at once, 0: wait, below: an error
        if (more < 0) {
            fprintf(stderr, "hostdriven: %s\n", quoit_error_sentence(-more));
            return 1;
        }
        if (more == 0 && !host.is_closed) {
            // In a real host this is its own loop: watch the descriptor, come back by then at the latest.
            struct pollfd ready = {.fd = quoit_engine_fd(host.engine), .events = POLLIN};
            poll(&ready, 1, (int)quoit_engine_timeout_ms(host.engine));
        }
    }
    quoit_engine_destroy(host.engine);
    if (host.code != QUOIT_OK) {
        fprintf(stderr, "hostdriven: %s\n", quoit_error_sentence(host.code));
    }
    return host.code == QUOIT_OK ? 0 : 1;
}

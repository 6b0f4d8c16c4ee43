// inline: events as calls on the engine's own thread: the fastest way, for work that is short and never blocks.
//
//     inline URL COUNT
//
// Gets the URL COUNT times, one after the other: each is begun where the one before has ended, so that no other thread
// is ever woken.
#include "api/quoit.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

struct chain {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request;
    long num_left;
    int32_t code; // of the one that ended the chain
    uint64_t num_bytes;
    sem_t closed;
};

static void next(struct chain *chain) {
    if (chain->code == QUOIT_OK && chain->num_left > 0) {
        chain->num_left--;
        int32_t code = quoit_submit(chain->engine, chain->port, chain->request, 0, NULL);
        if (code == QUOIT_OK) {
            return; // what follows may be under way already, on the engine's thread
        }
        chain->code = code;
    }
    quoit_engine_close(chain->engine, 0);
}

static void on_event(void *context, const struct quoit_event *event) {
    struct chain *chain = context;
    switch (event->type) {
    case QUOIT_EVENT_DATA: chain->num_bytes += event->u.data.len; break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED:
        chain->code = event->u.summary.failure.code;
        next(chain);
        break;
    case QUOIT_EVENT_CLOSED: sem_post(&chain->closed); break;
    default: break;
    }
}

int main(int argc, char **argv) {
    static struct chain chain;
    struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_INLINE, .on_event = on_event, .context = &chain};
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (count <= 0) {
        fprintf(stderr, "usage: inline URL COUNT\n");
        return 2;
    }
    sem_init(&chain.closed, 0, 0);
    int32_t code = quoit_request_new("GET", argv[1], &chain.request);
    if (code == QUOIT_OK) {
        code = quoit_engine_create(NULL, &chain.engine, NULL);
    }
    if (code == QUOIT_OK) {
        code = quoit_port_create(chain.engine, &options, &chain.port);
    }
    if (code != QUOIT_OK) {
        fprintf(stderr, "inline: %s\n", quoit_error_sentence(code));
        return 1;
    }
    chain.num_left = count;
    next(&chain); // the first from here; from now on the chain is the engine's thread's
    sem_wait(&chain.closed);
    quoit_engine_destroy(chain.engine);
    quoit_request_release(chain.request);
    printf("%ld requests, %llu bytes of bodies\n", count - chain.num_left, (unsigned long long)chain.num_bytes);
    if (chain.code != QUOIT_OK) {
        fprintf(stderr, "inline: %s\n", quoit_error_sentence(chain.code));
    }
    return chain.code == QUOIT_OK ? 0 : 1;
}

// many: 1,000 requests over 50 connections from 8 threads, on one engine.
//
//     many URL
//
// Each thread has a port of its own, so no thread waits for another; the engine and the request are shared by all.
#include "api/quoit.h"

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 8, REQUESTS = 1000, CONNECTIONS = 50, EVENTS = 64, WAIT_MS = 60000 };

struct worker {
    pthread_t thread;
    struct quoit_engine engine;
    struct quoit_request *request;
    int num_requests;
    int num_done;
    int num_failed;
    uint64_t num_bytes;
};

static void take(struct worker *worker, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_DATA) {
        worker->num_bytes += event->u.data.len;
    } else if (event->type == QUOIT_EVENT_DONE) {
        worker->num_done++;
    } else if (event->type == QUOIT_EVENT_FAILED) {
        worker->num_failed++;
        fprintf(stderr, "%s\n", quoit_error_name(event->u.summary.failure.code));
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct quoit_port port;
    struct quoit_event events[EVENTS];
    if (quoit_port_create(worker->engine, NULL, &port) != QUOIT_OK) {
        return NULL;
    }
    for (int i = 0; i < worker->num_requests; i++) {
        if (quoit_submit(worker->engine, port, worker->request, 0, NULL) != QUOIT_OK) {
            worker->num_failed++; // refused: no event follows
        }
    }
    while (worker->num_done + worker->num_failed < worker->num_requests) {
        int32_t count = quoit_port_wait(port, events, sizeof events[0], EVENTS, WAIT_MS);
        if (count <= 0) {
            break;
        }
        for (int32_t i = 0; i < count; i++) {
            take(worker, &events[i]);
        }
        quoit_port_advance(port);
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct quoit_engine engine;
    struct quoit_request *request;
    struct quoit_failure failure = {0};
    struct quoit_engine_options options = {.struct_size = sizeof options, .connections_per_origin_max = CONNECTIONS};
    if (argc != 2) {
        fprintf(stderr, "usage: many URL\n");
        return 2;
    }
    int32_t code = quoit_engine_create(&options, &engine, &failure);
    if (code == QUOIT_OK) {
        code = quoit_request_new("GET", argv[1], &request);
    }
    if (code == QUOIT_OK) {
        code = quoit_request_freeze(request); // from here on any thread may submit it
    }
    if (code != QUOIT_OK) {
        fprintf(stderr, "many: %s\n", quoit_error_sentence(code));
        return 1;
    }

    struct worker workers[THREADS];
    struct worker all = {0};
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.engine = engine, .request = request, .num_requests = REQUESTS / THREADS};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        all.num_done += workers[i].num_done;
        all.num_failed += workers[i].num_failed;
        all.num_bytes += workers[i].num_bytes;
    }
    struct quoit_engine_info info = {.struct_size = sizeof info};
    quoit_engine_info(engine, &info);
    printf("%d done, %d failed, %llu bytes of bodies, %llu connections\n", all.num_done, all.num_failed,
           (unsigned long long)all.num_bytes, (unsigned long long)info.connections_opened);
    quoit_request_release(request);
    return all.num_done == REQUESTS ? 0 : 1; // the process ends with the engine; see epoll_host.c for how to close one
}

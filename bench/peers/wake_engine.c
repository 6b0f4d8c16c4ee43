// An engine that is woken by a submit. The request cannot be sent (its local address and its peer are of different
// families), so the engine ends it by itself: the cost is that of the queue, the wake-up, and a request's life and end,
// without a socket. The event tells that the loop saw it.
#include "bench/peers/wake.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/quoit.h"
#include "bench/peers/options.h"

static struct {
    struct wake_sightings *sightings;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request;
    sem_t closed;
} host;

static void check(int32_t code) {
    if (code != QUOIT_OK) {
        fprintf(stderr, "wake: %s: %s\n", quoit_error_name(code), quoit_error_sentence(code));
        exit(PEER_EXIT_FAILED);
    }
}

static void on_event(void *unused, const struct quoit_event *event) {
    (void)unused;
    if (event->type == QUOIT_EVENT_FAILED) {
        wake_seen(host.sightings);
    } else if (event->type == QUOIT_EVENT_CLOSED) {
        sem_post(&host.closed);
    }
}

static void start(struct wake_sightings *sightings) {
    struct quoit_port_options port = {
        .struct_size = sizeof port, .mode = QUOIT_PORT_INLINE, .on_event = on_event};
    host.sightings = sightings;
    sem_init(&host.closed, 0, 0);
    check(quoit_request_new("GET", "http://[::1]:9/", &host.request));
    check(quoit_request_set_local_address(host.request, "127.0.0.1"));
    check(quoit_request_freeze(host.request));
    check(quoit_engine_create(NULL, &host.engine, NULL));
    check(quoit_port_create(host.engine, &port, &host.port));
}

static void ring(void) { check(quoit_submit(host.engine, host.port, host.request, 0, NULL)); }

static uint64_t stop(void) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    check(quoit_engine_info(host.engine, &info));
    quoit_engine_close(host.engine, 0);
    sem_wait(&host.closed);
    check(quoit_engine_destroy(host.engine));
    quoit_request_release(host.request);
    sem_destroy(&host.closed);
    return info.wakes;
}

const struct wake_subject k_wake_engine = {"engine", start, ring, stop};

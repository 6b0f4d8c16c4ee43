#include "bench/driver/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS_PER_DRAIN = 256, NS_PER_S = 1000000000 };

uint64_t worker_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void count_error(struct worker_counts *counts, int32_t code) {
    unsigned i = 0;
    while (i < counts->num_errors && counts->errors[i].code != code) {
        i++;
    }
    if (i == counts->num_errors) {
        if (counts->num_errors == WORKER_ERRORS_MAX) {
            i--; // the last kind stands for all that follow
        } else {
            counts->errors[counts->num_errors++].code = code;
        }
    }
    counts->errors[i].count++;
    counts->failed++;
}

// Begins the slot's next request, if there is to be one. One that is refused is the slot's last: what refuses it would
// refuse the next as well.
static void begin(struct worker *worker, unsigned slot, uint64_t now_ns) {
    if (worker->num_left == 0 || now_ns >= worker->until_ns) {
        return;
    }
    struct quoit_request *request = worker->requests[worker->num_begun % worker->options->num_urls];
    worker->begun_ns[slot] = now_ns;
    worker->num_begun++;
    worker->num_left -= worker->num_left != UINT64_MAX;
    int32_t code = quoit_submit(worker->engine, worker->port, request, slot, NULL);
    if (code == QUOIT_OK) {
        worker->num_in_flight++;
    } else {
        worker->counts.requests++;
        count_error(&worker->counts, code);
    }
}

static void end(struct worker *worker, const struct quoit_event *event) {
    struct worker_counts *counts = &worker->counts;
    uint64_t now_ns = worker_now_ns();
    unsigned slot = (unsigned)event->user_data;
    worker->num_in_flight--;
    counts->requests++;
    counts->end_ns = now_ns;
    if (event->type == QUOIT_EVENT_DONE) {
        histogram_add(&counts->latency_ns, now_ns - worker->begun_ns[slot]);
        counts->bad_status += event->u.summary.status >= 400;
    } else {
        count_error(counts, event->u.summary.failure.code);
    }
    begin(worker, slot, now_ns);
    if (worker->num_in_flight == 0) {
        quoit_engine_close(worker->engine, 0);
    }
}

static void take_event(struct worker *worker, const struct quoit_event *event) {
    switch ((enum quoit_event_type)event->type) {
    case QUOIT_EVENT_HEAD: worker->counts.http_version = event->u.head.http_version; break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: end(worker, event); break;
    case QUOIT_EVENT_CLOSED: sem_post(&worker->closed); break;
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_DATA:
    case QUOIT_EVENT_TRAILERS:
    case QUOIT_EVENT_UPGRADED: // these three come only to who asked for them
    case QUOIT_EVENT_ROOM:
    case QUOIT_EVENT_QUESTION: break;
    }
}

static void on_event(void *context, const struct quoit_event *event) { take_event(context, event); }

// Begins the first request of each slot. What the events will touch is set before, since they may come at once.
static int32_t begin_all(struct worker *worker) {
    unsigned first = worker->num_slots < worker->num_left ? worker->num_slots : (unsigned)worker->num_left;
    uint64_t now_ns = worker_now_ns();
    worker->counts.begin_ns = now_ns;
    worker->num_in_flight = first;
    worker->num_begun = first;
    worker->num_left -= worker->num_left == UINT64_MAX ? 0 : first;
    for (unsigned slot = 0; slot < first; slot++) {
        worker->begun_ns[slot] = now_ns;
    }
    int32_t code = first > 0 ? QUOIT_OK : quoit_engine_close(worker->engine, 0);
    for (unsigned slot = 0; slot < first && code == QUOIT_OK; slot++) {
        struct quoit_request *request = worker->requests[slot % worker->options->num_urls];
        code = quoit_submit(worker->engine, worker->port, request, slot, NULL);
    }
    return code;
}

static void *drain(void *argument) {
    struct worker *worker = argument;
    static _Thread_local struct quoit_event events[EVENTS_PER_DRAIN];
    for (bool is_closed = false; !is_closed;) {
        int32_t count = quoit_port_wait(worker->port, events, sizeof events[0], EVENTS_PER_DRAIN, -1);
        for (int32_t i = 0; i < count; i++) {
            take_event(worker, &events[i]);
            is_closed = is_closed || events[i].type == QUOIT_EVENT_CLOSED;
        }
        quoit_port_advance(worker->port);
    }
    return NULL;
}

static int32_t make_requests(struct worker *worker) {
    int32_t code = QUOIT_OK;
    for (unsigned i = 0; i < worker->options->num_urls && code == QUOIT_OK; i++) {
        code = quoit_request_new("GET", worker->options->urls[i], &worker->requests[i]);
        code = code == QUOIT_OK ? quoit_request_freeze(worker->requests[i]) : code;
    }
    return code;
}

static int32_t make_engine(struct worker *worker, struct quoit_failure *out_failure) {
    // A request counts until its terminal event is advanced over (or its callback returns), and the next is begun before.
    uint32_t requests = worker->num_slots * 2 + EVENTS_PER_DRAIN;
    struct quoit_engine_options options = {
        .struct_size = sizeof options,
        .capabilities_off = worker->options->capabilities_off,
        .requests_max = requests,
        .connections_max = worker->num_slots,
        .connections_per_origin_max = worker->num_slots,
    };
    struct quoit_port_options port = {
        .struct_size = sizeof port,
        .mode = worker->options->is_port ? QUOIT_PORT_EVENTFD : QUOIT_PORT_INLINE,
        .capacity = requests * 3, // a third of it can be pending
        .on_event = on_event,
        .context = worker,
    };
    int32_t code = quoit_engine_create(&options, &worker->engine, out_failure);
    return code == QUOIT_OK ? quoit_port_create(worker->engine, &port, &worker->port) : code;
}

int32_t worker_start(struct worker *worker, const struct options *options, unsigned num_slots, uint64_t share,
                     uint64_t until_ns, struct quoit_failure *out_failure) {
    *worker = (struct worker){.options = options, .num_slots = num_slots, .num_left = share, .until_ns = until_ns};
    worker->begun_ns = calloc(num_slots, sizeof *worker->begun_ns);
    sem_init(&worker->closed, 0, 0);
    int32_t code = worker->begun_ns == NULL ? QUOIT_ERR_NO_MEMORY : make_requests(worker);
    code = code == QUOIT_OK ? make_engine(worker, out_failure) : code;
    code = code == QUOIT_OK ? begin_all(worker) : code;
    if (code == QUOIT_OK && options->is_port && pthread_create(&worker->thread, NULL, drain, worker) != 0) {
        code = QUOIT_ERR_THREAD_FAILED;
    }
    out_failure->code = code;
    return code;
}

void worker_join(struct worker *worker) {
    sem_wait(&worker->closed);
    if (worker->options->is_port) {
        pthread_join(worker->thread, NULL);
    }
    worker->info.struct_size = sizeof worker->info;
    quoit_engine_info(worker->engine, &worker->info);
    quoit_engine_destroy(worker->engine);
    for (unsigned i = 0; i < worker->options->num_urls; i++) {
        quoit_request_release(worker->requests[i]);
    }
    sem_destroy(&worker->closed);
    free(worker->begun_ns);
}

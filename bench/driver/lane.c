#include "bench/driver/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS_PER_DRAIN = 256, NS_PER_S = 1000000000 };

uint64_t lane_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

// A request counts until its terminal event is advanced over (or its callback returns), and the next is begun before.
uint32_t lane_requests_max(unsigned num_slots) { return num_slots * 2 + EVENTS_PER_DRAIN; }

static void count_error(struct lane_counts *counts, int32_t code) {
    unsigned i = 0;
    while (i < counts->num_errors && counts->errors[i].code != code) {
        i++;
    }
    if (i == counts->num_errors) {
        if (counts->num_errors == LANE_ERRORS_MAX) {
            i--; // the last kind stands for all that follow
        } else {
            counts->errors[counts->num_errors++].code = code;
        }
    }
    counts->errors[i].count++;
    counts->failed++;
}

static void count_end(struct lane *lane) {
    lane->counts.requests++;
    atomic_store_explicit(&lane->num_ended, lane->counts.requests, memory_order_relaxed);
}

// Begins the slot's next request, if there is to be one. One that is refused is the slot's last: what refuses it would
// refuse the next as well.
static void begin(struct lane *lane, unsigned slot, uint64_t now_ns) {
    if (lane->num_left == 0 || now_ns >= lane->until_ns) {
        return;
    }
    struct quoit_request *request = lane->requests[lane->num_begun % lane->options->num_urls];
    lane->begun_ns[slot] = now_ns;
    lane->num_begun++;
    lane->num_left -= lane->num_left != UINT64_MAX;
    int32_t code = quoit_submit(lane->engine, lane->port, request, slot, NULL);
    if (code == QUOIT_OK) {
        lane->num_in_flight++;
    } else {
        count_end(lane);
        count_error(&lane->counts, code);
    }
}

// The lane begins no more requests. The last lane of an engine closes it.
static void leave(struct lane *lane) {
    if (atomic_fetch_sub(lane->num_working, 1) == 1) {
        quoit_engine_close(lane->engine, 0);
    }
}

static void note_tls(struct lane_counts *counts, const struct quoit_summary *summary) {
    if (summary->tls_version != 0) {
        counts->tls_version = summary->tls_version;
        counts->tls_cipher = summary->tls_cipher;
        counts->tls_resumed += summary->tls_resumed && !summary->reused;
    }
}

static void note_bytes(struct lane *lane, unsigned slot, uint64_t received) {
    uint64_t open = atomic_load_explicit(&lane->bytes_open, memory_order_relaxed);
    atomic_store_explicit(&lane->bytes_open, open - lane->received[slot] + received, memory_order_relaxed);
    lane->received[slot] = received;
}

static void end(struct lane *lane, const struct quoit_event *event) {
    struct lane_counts *counts = &lane->counts;
    uint64_t now_ns = lane_now_ns();
    unsigned slot = (unsigned)event->user_data;
    lane->num_in_flight--;
    note_bytes(lane, slot, 0);
    count_end(lane);
    counts->end_ns = now_ns;
    if (event->type == QUOIT_EVENT_FAILED) {
        count_error(counts, event->u.summary.failure.code);
    } else {
        note_tls(counts, &event->u.summary);
        counts->bad_status += event->u.summary.status >= 400;
        if (lane->begun_ns[slot] >= lane->warm_ns) {
            histogram_add(&counts->latency_ns, now_ns - lane->begun_ns[slot]);
        }
    }
    begin(lane, slot, now_ns);
    if (lane->num_in_flight == 0) {
        leave(lane);
    }
}

static void take_event(struct lane *lane, const struct quoit_event *event) {
    switch ((enum quoit_event_type)event->type) {
    case QUOIT_EVENT_HEAD: lane->counts.http_version = event->u.head.http_version; break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: end(lane, event); break;
    case QUOIT_EVENT_CLOSED: sem_post(lane->closed); break;
    case QUOIT_EVENT_DATA: {
        unsigned slot = (unsigned)event->user_data;
        note_bytes(lane, slot, lane->received[slot] + event->u.data.len);
        break;
    }
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_TRAILERS:
    case QUOIT_EVENT_UPGRADED: // these three come only to who asked for them
    case QUOIT_EVENT_ROOM:
    case QUOIT_EVENT_KEY_LOG:
    case QUOIT_EVENT_QUESTION: break;
    }
}

static void on_event(void *context, const struct quoit_event *event) { take_event(context, event); }

// Begins the first request of each slot. What the events will touch is set before, since they may come at once.
static int32_t begin_all(struct lane *lane) {
    unsigned first = lane->num_slots < lane->num_left ? lane->num_slots : (unsigned)lane->num_left;
    uint64_t now_ns = lane_now_ns();
    lane->counts.begin_ns = now_ns;
    lane->num_in_flight = first;
    lane->num_begun = first;
    lane->num_left -= lane->num_left == UINT64_MAX ? 0 : first;
    for (unsigned slot = 0; slot < first; slot++) {
        lane->begun_ns[slot] = now_ns;
    }
    if (first == 0) {
        leave(lane);
    }
    int32_t code = QUOIT_OK;
    for (unsigned slot = 0; slot < first && code == QUOIT_OK; slot++) {
        struct quoit_request *request = lane->requests[slot % lane->options->num_urls];
        code = quoit_submit(lane->engine, lane->port, request, slot, NULL);
    }
    return code;
}

// A producer: submits the first requests and then from where their ends are drained.
static void *produce(void *argument) {
    struct lane *lane = argument;
    struct quoit_event *events = calloc(EVENTS_PER_DRAIN, sizeof *events);
    int32_t code = events == NULL ? QUOIT_ERR_NO_MEMORY : begin_all(lane);
    if (code != QUOIT_OK) {
        fprintf(stderr, "quoit-bench: %s\n", quoit_error_name(code));
        abort(); // the port is made for all of them, so none of the first can be refused
    }
    for (bool is_closed = false; !is_closed;) {
        int32_t count = quoit_port_wait(lane->port, events, sizeof events[0], EVENTS_PER_DRAIN, -1);
        for (int32_t i = 0; i < count; i++) {
            take_event(lane, &events[i]);
            is_closed = is_closed || events[i].type == QUOIT_EVENT_CLOSED;
        }
        quoit_port_advance(lane->port);
    }
    free(events);
    return NULL;
}

int32_t lane_start(struct lane *lane) {
    struct quoit_port_options port = {
        .struct_size = sizeof port,
        .mode = lane->options->is_port ? QUOIT_PORT_EVENTFD : QUOIT_PORT_INLINE,
        .capacity = lane_requests_max(lane->num_slots) * 3, // a third of it can be pending
        .on_event = on_event,
        .context = lane,
    };
    lane->begun_ns = calloc(lane->num_slots, sizeof *lane->begun_ns);
    lane->received = calloc(lane->num_slots, sizeof *lane->received);
    if (lane->begun_ns == NULL || lane->received == NULL) {
        return QUOIT_ERR_NO_MEMORY;
    }
    int32_t code = quoit_port_create(lane->engine, &port, &lane->port);
    if (code != QUOIT_OK || !lane->options->is_port) {
        return code == QUOIT_OK ? begin_all(lane) : code;
    }
    return pthread_create(&lane->thread, NULL, produce, lane) == 0 ? QUOIT_OK : QUOIT_ERR_THREAD_FAILED;
}

void lane_join(struct lane *lane) {
    if (lane->options->is_port) {
        pthread_join(lane->thread, NULL);
    }
    free(lane->begun_ns);
    free(lane->received);
}

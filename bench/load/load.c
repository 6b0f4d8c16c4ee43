#include "bench/load/load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/server/body.h"

enum {
    EVENTS_MAX = 256,
    TAKEN_MAX = 7,    // slices that a client holds at once; of 32 KiB at most, they leave some of a request's credit
    STALL_MS = 30000, // without any event: something hangs
    CLOSE_MS = 30000,
};

// Where a request stands, as its client sees it.
enum phase {
    PHASE_FREE,
    PHASE_SENT,
    PHASE_HEAD,
};

// struct flight is one request in flight. Its place in the window and its serial together are the user_data, so an
// event after the terminal one is seen to be stray.
struct flight {
    enum phase phase;
    uint32_t serial;
    unsigned target;
    bool canceled;
    uint64_t begin_ns;
    uint64_t received;
    struct bench_hash hash;
};

struct taken {
    struct quoit_slice slice;
    uint64_t offset;
    bool full;
};

struct client {
    struct load *load;
    unsigned index;
    pthread_t thread;
    struct quoit_port port;
    struct flight flights[LOAD_WINDOW_MAX];
    uint32_t free_list[LOAD_WINDOW_MAX];
    unsigned num_free;
    uint64_t quota;
    uint64_t num_pieces;
    struct taken taken[TAKEN_MAX];
    unsigned next_taken;
    struct load_result result;
};

// struct load: the scenario's part is written before the clients' threads start and read-only while they run.
struct load {
    struct quoit_engine engine;
    unsigned num_clients;
    struct client *clients;
    const struct load_scenario *scenario;
    struct quoit_request *requests[LOAD_TARGETS_MAX];
    uint64_t hashes[LOAD_TARGETS_MAX];
    uint64_t begin_ns;
    _Atomic uint64_t *progress;
};

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct load_result *result, const char *format, ...) {
    if (result->errors++ > 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(result->first_error, sizeof result->first_error, format, args);
    va_end(args);
}

static const struct load_target *target_of(const struct client *client, const struct flight *flight) {
    return &client->load->scenario->targets[flight->target];
}

// --- slices that are kept for a while ---

static void give_back(struct client *client, struct taken *taken) {
    if (!taken->full)
        return;
    taken->full = false;
    const uint8_t *data = taken->slice.data;
    for (size_t at = 0; at < taken->slice.len;) {
        size_t run = taken->slice.len - at < BENCH_BODY_RUN_MAX ? taken->slice.len - at : BENCH_BODY_RUN_MAX;
        if (memcmp(data + at, bench_body_at(taken->offset + at), run) != 0) {
            wrong(&client->result, "a slice that was taken has changed, at body offset %" PRIu64, taken->offset + at);
            break;
        }
        at += run;
    }
    int32_t code = quoit_slice_release(client->load->engine, &taken->slice);
    if (code != QUOIT_OK)
        wrong(&client->result, "releasing a slice: %s", quoit_error_name(code));
}

static void maybe_take(struct client *client, const struct quoit_event *event) {
    unsigned every = client->load->scenario->take_every;
    if (every == 0 || client->num_pieces++ % every != 0)
        return;
    struct taken *taken = &client->taken[client->next_taken];
    client->next_taken = (client->next_taken + 3) % TAKEN_MAX; // a full cycle, out of order
    give_back(client, taken);
    int32_t code = quoit_port_take(client->port, event, &taken->slice);
    if (code != QUOIT_OK) {
        wrong(&client->result, "taking a slice: %s", quoit_error_name(code));
        return;
    }
    taken->full = true;
    taken->offset = event->u.data.offset;
}

// --- events ---

static void on_data(struct client *client, struct flight *flight, const struct quoit_event *event) {
    const struct quoit_data *data = &event->u.data;
    if (flight->phase != PHASE_HEAD)
        wrong(&client->result, "a piece of body came before the head");
    if (data->offset != flight->received)
        wrong(&client->result, "a piece of body is at offset %" PRIu64 " and not at %" PRIu64, data->offset,
              flight->received);
    bench_hash_add(&flight->hash, data->data, data->len);
    flight->received += data->len;
    client->result.body_bytes += data->len;
    maybe_take(client, event);
}

static void check_done(struct client *client, const struct flight *flight, const struct quoit_summary *summary) {
    const struct load_target *target = target_of(client, flight);
    unsigned status = target->status ? target->status : 200;
    if (flight->phase != PHASE_HEAD)
        wrong(&client->result, "a request is done without a head");
    else if (summary->failure.code != QUOIT_OK)
        wrong(&client->result, "a request is done with %s", quoit_error_name(summary->failure.code));
    else if (summary->status != status)
        wrong(&client->result, "%s: status %u", target->url, summary->status);
    else if (flight->received != target->response_len)
        wrong(&client->result, "%s: %" PRIu64 " bytes of body", target->url, flight->received);
    else if (bench_hash_end(&flight->hash) != client->load->hashes[flight->target])
        wrong(&client->result, "%s: the body's hash is wrong", target->url);
    else
        client->result.done++;
}

static void check_failed(struct client *client, const struct flight *flight, const struct quoit_summary *summary) {
    const struct quoit_failure *failure = &summary->failure;
    if (failure->code == QUOIT_ERR_CANCELED && flight->canceled)
        client->result.canceled++;
    else if (client->load->scenario->failures_expected && failure->code != QUOIT_ERR_CANCELED &&
             failure->code != QUOIT_OK)
        client->result.failed++;
    else
        wrong(&client->result, "%s: %s in phase %s (%s)", target_of(client, flight)->url,
              quoit_error_name(failure->code), quoit_phase_name(failure->phase), quoit_errno_name(failure->os_errno));
}

static void on_end(struct client *client, struct flight *flight, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_DONE)
        check_done(client, flight, &event->u.summary);
    else
        check_failed(client, flight, &event->u.summary);
    histogram_add(&client->result.latency_ns, clock_ns(CLOCK_MONOTONIC) - flight->begin_ns);
    flight->phase = PHASE_FREE;
    flight->serial++;
    client->free_list[client->num_free++] = (uint32_t)(flight - client->flights);
    if (client->load->progress)
        atomic_fetch_add_explicit(client->load->progress, 1, memory_order_relaxed);
}

static void on_event(struct client *client, const struct quoit_event *event) {
    uint32_t place = (uint32_t)event->user_data;
    struct flight *flight = place < LOAD_WINDOW_MAX ? &client->flights[place] : NULL;
    if (event->type == QUOIT_EVENT_CLOSED || !flight || flight->phase == PHASE_FREE ||
        flight->serial != (uint32_t)(event->user_data >> 32)) {
        wrong(&client->result, "a stray event of type %u for request %" PRIx64, event->type, event->user_data);
        return;
    }
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL:
        if (flight->phase != PHASE_SENT)
            wrong(&client->result, "an informational head came after the final one");
        break;
    case QUOIT_EVENT_HEAD:
        if (flight->phase != PHASE_SENT)
            wrong(&client->result, "a second head");
        flight->phase = PHASE_HEAD;
        break;
    case QUOIT_EVENT_DATA: on_data(client, flight, event); break;
    case QUOIT_EVENT_TRAILERS: break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: on_end(client, flight, event); break;
    default: wrong(&client->result, "an event of unknown type %u", event->type); break;
    }
}

// --- the client's thread ---

// submit_one sends the client's next request; false when the engine refuses it.
static bool submit_one(struct client *client) {
    struct load *load = client->load;
    const struct load_scenario *scenario = load->scenario;
    uint64_t number = client->result.submitted;
    uint32_t place = client->free_list[--client->num_free];
    struct flight *flight = &client->flights[place];
    *flight = (struct flight){.phase = PHASE_SENT, .serial = flight->serial, .begin_ns = clock_ns(CLOCK_MONOTONIC)};
    flight->target = (unsigned)((number + client->index) % scenario->num_targets);
    flight->canceled = scenario->cancel_every > 0 && number % scenario->cancel_every == 0;
    bench_hash_init(&flight->hash);
    struct quoit_handle handle;
    int32_t code = quoit_submit(load->engine, client->port, load->requests[flight->target],
                                (uint64_t)flight->serial << 32 | place, &handle);
    if (code != QUOIT_OK) {
        wrong(&client->result, "submit: %s", quoit_error_name(code));
        flight->phase = PHASE_FREE;
        client->free_list[client->num_free++] = place;
        return false;
    }
    client->result.submitted++;
    if (flight->canceled) {
        code = quoit_cancel(load->engine, handle);
        if (code != QUOIT_OK && code != QUOIT_ERR_STALE_HANDLE)
            wrong(&client->result, "cancel: %s", quoit_error_name(code));
    }
    return true;
}

static bool may_submit(const struct client *client, bool refused) {
    const struct load_scenario *scenario = client->load->scenario;
    return !refused && client->num_free > 0 && client->result.submitted < client->quota &&
           (scenario->limit_ms == 0 ||
            clock_ns(CLOCK_MONOTONIC) - client->load->begin_ns < scenario->limit_ms * 1000000u);
}

static void *client_main(void *arg) {
    struct client *client = arg;
    unsigned window = client->load->scenario->window;
    struct quoit_event events[EVENTS_MAX];
    bool refused = false;
    for (;;) {
        while (may_submit(client, refused))
            refused = !submit_one(client);
        if (client->num_free == window)
            break;
        int32_t num = quoit_port_wait(client->port, events, sizeof events[0], EVENTS_MAX, STALL_MS);
        if (num <= 0) {
            wrong(&client->result, "%u requests wait for their end: %s", window - client->num_free,
                  num == 0 ? "nothing came for 30 s" : quoit_error_name(-num));
            break;
        }
        for (int32_t i = 0; i < num; i++)
            on_event(client, &events[i]);
        int32_t code = quoit_port_advance(client->port);
        if (code != QUOIT_OK)
            wrong(&client->result, "advance: %s", quoit_error_name(code));
    }
    for (unsigned i = 0; i < TAKEN_MAX; i++)
        give_back(client, &client->taken[i]);
    return NULL;
}

// --- the load ---

struct load *load_open(struct quoit_engine engine, unsigned num_clients, int32_t *out_error) {
    struct load *load = calloc(1, sizeof *load);
    *out_error = QUOIT_ERR_NO_MEMORY;
    if (!load || num_clients == 0 || num_clients > LOAD_CLIENTS_MAX) {
        free(load);
        return NULL;
    }
    load->engine = engine;
    load->num_clients = num_clients;
    load->clients = calloc(num_clients, sizeof *load->clients);
    for (unsigned i = 0; load->clients && i < num_clients; i++) {
        struct quoit_port_options options = {.struct_size = sizeof options};
        load->clients[i].load = load;
        load->clients[i].index = i;
        *out_error = quoit_port_create(engine, &options, &load->clients[i].port);
        if (*out_error != QUOIT_OK)
            break;
    }
    if (load->clients && *out_error == QUOIT_OK)
        return load;
    free(load->clients);
    free(load);
    return NULL;
}

static bool build_request(const struct load_target *target, struct quoit_request **out, struct load_result *result) {
    int32_t code = quoit_request_new(target->method ? target->method : "GET", target->url, out);
    if (code != QUOIT_OK) {
        *out = NULL;
        wrong(result, "%s: %s", target->url, quoit_error_name(code));
        return false;
    }
    if (target->body)
        code = quoit_request_set_body(*out, target->body, target->body_len, NULL, NULL);
    if (code == QUOIT_OK)
        code = quoit_request_freeze(*out);
    if (code != QUOIT_OK)
        wrong(result, "%s: %s", target->url, quoit_error_name(code));
    return code == QUOIT_OK;
}

static void reset_client(struct client *client) {
    unsigned window = client->load->scenario->window;
    client->num_free = 0;
    for (unsigned i = window; i-- > 0;) {
        if (client->flights[i].phase != PHASE_FREE) { // given up on by a run that stalled: what still comes is stray
            client->flights[i].phase = PHASE_FREE;
            client->flights[i].serial++;
        }
        client->free_list[client->num_free++] = i;
    }
    client->num_pieces = 0;
    client->quota = client->load->scenario->num_requests / client->load->num_clients +
                    (client->index < client->load->scenario->num_requests % client->load->num_clients);
    memset(&client->result, 0, sizeof client->result);
}

static void add_result(struct load_result *sum, const struct load_result *part) {
    sum->submitted += part->submitted;
    sum->done += part->done;
    sum->failed += part->failed;
    sum->canceled += part->canceled;
    sum->body_bytes += part->body_bytes;
    if (sum->errors == 0)
        memcpy(sum->first_error, part->first_error, sizeof sum->first_error);
    sum->errors += part->errors;
    histogram_merge(&sum->latency_ns, &part->latency_ns);
}

static void run_clients(struct load *load, struct load_result *out) {
    unsigned num = 0;
    load->begin_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (; num < load->num_clients; num++) {
        reset_client(&load->clients[num]);
        if (pthread_create(&load->clients[num].thread, NULL, client_main, &load->clients[num]) != 0) {
            wrong(out, "a client's thread could not be started");
            break;
        }
    }
    for (unsigned i = 0; i < num; i++) {
        pthread_join(load->clients[i].thread, NULL);
        add_result(out, &load->clients[i].result);
    }
    out->wall_ns = clock_ns(CLOCK_MONOTONIC) - load->begin_ns;
    out->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
}

void load_run(struct load *load, const struct load_scenario *scenario, struct load_result *out,
              _Atomic uint64_t *progress) {
    memset(out, 0, sizeof *out);
    if (scenario->num_targets == 0 || scenario->num_targets > LOAD_TARGETS_MAX || scenario->window == 0 ||
        scenario->window > LOAD_WINDOW_MAX) {
        wrong(out, "the scenario is out of bounds");
        return;
    }
    load->scenario = scenario;
    load->progress = progress;
    bool ready = true;
    for (unsigned i = 0; i < scenario->num_targets; i++) {
        load->hashes[i] = bench_server_body_hash(scenario->targets[i].response_len);
        ready &= build_request(&scenario->targets[i], &load->requests[i], out);
    }
    if (ready)
        run_clients(load, out);
    for (unsigned i = 0; i < scenario->num_targets; i++)
        quoit_request_release(load->requests[i]);
    if (out->submitted != out->done + out->failed + out->canceled && out->errors == 0)
        wrong(out, "%" PRIu64 " requests were submitted and %" PRIu64 " ended", out->submitted,
              out->done + out->failed + out->canceled);
}

// wait_closed drains a port up to its last event.
static int32_t wait_closed(struct quoit_port port) {
    struct quoit_event events[EVENTS_MAX];
    for (;;) {
        int32_t num = quoit_port_wait(port, events, sizeof events[0], EVENTS_MAX, CLOSE_MS);
        if (num <= 0)
            return num < 0 ? -num : QUOIT_ERR_NOT_CLOSED;
        bool closed = events[num - 1].type == QUOIT_EVENT_CLOSED;
        int32_t code = quoit_port_advance(port);
        if (closed || code != QUOIT_OK)
            return code;
    }
}

int32_t load_close(struct load *load) {
    int32_t code = quoit_engine_close(load->engine, 0);
    for (unsigned i = 0; i < load->num_clients && code == QUOIT_OK; i++)
        code = wait_closed(load->clients[i].port);
    if (code == QUOIT_OK)
        code = quoit_engine_destroy(load->engine);
    free(load->clients);
    free(load);
    return code;
}

#include "bench/driver/worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

int32_t worker_make_requests(const struct options *options, struct quoit_request **requests) {
    int32_t code = QUOIT_OK;
    for (unsigned i = 0; i < options->num_urls && code == QUOIT_OK; i++) {
        code = quoit_request_new("GET", options->urls[i], &requests[i]);
        if (code == QUOIT_OK && options->is_fresh) {
            code = quoit_request_add_header(requests[i], "Connection", strlen("Connection"), "close", strlen("close"));
        }
        code = code == QUOIT_OK ? quoit_request_freeze(requests[i]) : code;
    }
    return code;
}

static int32_t make_engine(struct worker *worker, unsigned num_slots, struct quoit_failure *out_failure) {
    uint32_t requests = 0;
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        requests += lane_requests_max(worker->lanes[i].num_slots);
    }
    struct quoit_engine_options options = {
        .struct_size = sizeof options,
        .capabilities_off = worker->options->capabilities_off,
        .spin_us = worker->options->spin_us,
        .requests_max = requests,
        .connections_max = num_slots,
        .connections_per_origin_max = num_slots,
        .tls = worker->options->tls,
    };
    return quoit_engine_create(&options, &worker->engine, out_failure);
}

static void divide(struct worker *worker, unsigned num_slots, uint64_t share) {
    worker->num_lanes = worker->options->producers < num_slots ? worker->options->producers : num_slots;
    atomic_init(&worker->num_working, worker->num_lanes);
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        worker->lanes[i] = (struct lane){
            .options = worker->options,
            .requests = worker->requests,
            .num_working = &worker->num_working,
            .closed = &worker->closed,
            .num_slots = (unsigned)options_part(num_slots, i, worker->num_lanes),
            .num_left = share == UINT64_MAX ? UINT64_MAX : options_part(share, i, worker->num_lanes),
        };
    }
}

int32_t worker_make(struct worker *worker, const struct options *options, unsigned num_slots, uint64_t share,
                    struct quoit_failure *out_failure) {
    *worker = (struct worker){.options = options};
    sem_init(&worker->closed, 0, 0);
    divide(worker, num_slots, share);
    int32_t code = worker_make_requests(options, worker->requests);
    code = code == QUOIT_OK ? make_engine(worker, num_slots, out_failure) : code;
    out_failure->code = code;
    return code;
}

int32_t worker_begin(struct worker *worker, uint64_t warm_ns, uint64_t until_ns) {
    int32_t code = QUOIT_OK;
    for (unsigned i = 0; i < worker->num_lanes && code == QUOIT_OK; i++) {
        worker->lanes[i].engine = worker->engine;
        worker->lanes[i].warm_ns = warm_ns;
        worker->lanes[i].until_ns = until_ns;
        code = lane_start(&worker->lanes[i]);
    }
    return code;
}

bool worker_is_closed(struct worker *worker, uint64_t until_ns) {
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    unsigned count = 0;
    bool is_in_time = true;
    while (count < worker->num_lanes && is_in_time) {
        int result = until_ns == UINT64_MAX ? sem_wait(&worker->closed)
                                            : sem_clockwait(&worker->closed, CLOCK_MONOTONIC, &until);
        count += result == 0;
        is_in_time = result == 0 || errno == EINTR;
    }
    for (unsigned i = 0; i < count; i++) {
        sem_post(&worker->closed); // whoever asks again gets the same answer
    }
    return count == worker->num_lanes;
}

uint64_t worker_num_ended(struct worker *worker) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        sum += atomic_load_explicit(&worker->lanes[i].num_ended, memory_order_relaxed);
    }
    return sum;
}

uint64_t worker_bytes_in(struct worker *worker) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    quoit_engine_info(worker->engine, &info);
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        info.bytes_in += atomic_load_explicit(&worker->lanes[i].bytes_open, memory_order_relaxed);
    }
    return info.bytes_in;
}

void worker_join(struct worker *worker) {
    worker_is_closed(worker, UINT64_MAX);
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        lane_join(&worker->lanes[i]);
    }
    worker->info.struct_size = sizeof worker->info;
    quoit_engine_info(worker->engine, &worker->info);
    quoit_engine_destroy(worker->engine);
    for (unsigned i = 0; i < worker->options->num_urls; i++) {
        quoit_request_release(worker->requests[i]);
    }
    sem_destroy(&worker->closed);
}

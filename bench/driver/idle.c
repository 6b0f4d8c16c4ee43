#include "bench/driver/idle.h"

#include <malloc.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/quoit.h"
#include "bench/driver/worker.h"

// Counted by the allocator that the engine gets: octets that are allocated now.
static _Atomic int64_t allocated;

static void *allocate(void *unused, size_t size) {
    (void)unused;
    atomic_fetch_add_explicit(&allocated, (int64_t)size, memory_order_relaxed);
    return malloc(size);
}

static void release(void *unused, void *memory, size_t size) {
    (void)unused;
    atomic_fetch_sub_explicit(&allocated, (int64_t)size, memory_order_relaxed);
    free(memory);
}

struct memory {
    double rss;
    double allocated;
    double heap;    // what libc has given out: what is allocated and what other libraries have
    double buffers; // a part of `allocated`
    uint64_t connections;
};

struct host {
    const struct options *options;
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *requests[OPTIONS_URLS_MAX];
    sem_t ended;
    sem_t closed;
    _Atomic uint64_t num_failed;
};

static void on_event(void *context, const struct quoit_event *event) {
    struct host *host = context;
    if (event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED) {
        if (event->type == QUOIT_EVENT_FAILED && atomic_fetch_add(&host->num_failed, 1) == 0) {
            fprintf(stderr, "quoit-bench: %s\n", quoit_error_name(event->u.summary.failure.code));
        }
        sem_post(&host->ended);
    } else if (event->type == QUOIT_EVENT_CLOSED) {
        sem_post(&host->closed);
    }
}

static double resident_bytes(void) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    int fields = statm != NULL ? fscanf(statm, "%*d %ld", &pages) : 0;
    if (statm != NULL) {
        fclose(statm);
    }
    return fields == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static int32_t set_up(struct host *host) {
    static const struct quoit_allocator allocator = {.allocate = allocate, .release = release};
    unsigned connections = host->options->connections;
    struct quoit_engine_options engine = {
        .struct_size = sizeof engine,
        .capabilities_off = host->options->capabilities_off,
        .requests_max = lane_requests_max(connections),
        .connections_max = connections,
        .connections_per_origin_max = connections,
        .waiters_per_origin_max = connections,
        .idle_timeout_ms = 600000,
        .allocator = &allocator,
        .tls = host->options->tls,
    };
    struct quoit_port_options port = {
        .struct_size = sizeof port,
        .mode = QUOIT_PORT_INLINE,
        .capacity = lane_requests_max(connections) * 3,
        .on_event = on_event,
        .context = host,
    };
    sem_init(&host->ended, 0, 0);
    sem_init(&host->closed, 0, 0);
    int32_t code = worker_make_requests(host->options, host->requests);
    code = code == QUOIT_OK ? quoit_engine_create(&engine, &host->engine, NULL) : code;
    return code == QUOIT_OK ? quoit_port_create(host->engine, &port, &host->port) : code;
}

static int32_t request(struct host *host, unsigned count) {
    int32_t code = QUOIT_OK;
    unsigned begun = 0;
    while (begun < count && code == QUOIT_OK) {
        code = quoit_submit(host->engine, host->port, host->requests[begun % host->options->num_urls], 0, NULL);
        begun += code == QUOIT_OK;
    }
    for (unsigned i = 0; i < begun; i++) {
        sem_wait(&host->ended);
    }
    return code;
}

// Reads what is held now. A look at the counters is behind the tick that published the last event.
static void look(struct host *host, struct memory *out) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    malloc_trim(0);
    quoit_engine_info(host->engine, &info);
    *out = (struct memory){
        .rss = resident_bytes(),
        .allocated = (double)atomic_load(&allocated),
        .heap = heap_bytes(),
        .buffers = (double)info.buffer_bytes,
        .connections = info.connections_open,
    };
}

static int tell(const struct host *host, const struct memory *one, const struct memory *all) {
    bool is_good = all->connections == host->options->connections && host->num_failed == 0;
    double more = is_good ? (double)(all->connections - one->connections) : 1; // of what failed it tells the whole
    FILE *out = host->options->json != NULL && host->options->json[0] != '-' ? fopen(host->options->json, "w") : stdout;
    if (out == NULL) {
        perror(host->options->json);
        return EXIT_FAILURE;
    }
    fprintf(out,
            "{\"connections\":%llu,\"errors\":{},\"valid\":%s,\"allocated_bytes_per_connection\":%.1f,"
            "\"heap_bytes_per_connection\":%.1f,\"buffer_bytes_per_connection\":%.1f,"
            "\"rss_bytes_per_connection\":%.1f,\"rss_bytes\":%.0f}\n",
            (unsigned long long)all->connections, is_good ? "true" : "false", (all->allocated - one->allocated) / more,
            (all->heap - one->heap) / more, (all->buffers - one->buffers) / more,
            (all->rss - one->rss) / more, all->rss);
    if (out != stdout) {
        fclose(out);
    }
    if (!is_good) {
        fprintf(stderr, "quoit-bench: %llu connections are open, %llu requests failed, of %u\n",
                (unsigned long long)all->connections, (unsigned long long)host->num_failed, host->options->connections);
    }
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int idle_run(const struct options *options) {
    static struct host host;
    struct memory one = {0};
    struct memory all = {0};
    host.options = options;
    int32_t code = set_up(&host);
    code = code == QUOIT_OK ? request(&host, 1) : code;
    if (code == QUOIT_OK) {
        look(&host, &one);
        code = request(&host, options->connections);
    }
    if (code != QUOIT_OK) {
        fprintf(stderr, "quoit-bench: %s: %s\n", quoit_error_name(code), quoit_error_sentence(code));
        return EXIT_FAILURE;
    }
    look(&host, &all);
    int result = tell(&host, &one, &all);
    quoit_engine_close(host.engine, 0);
    sem_wait(&host.closed);
    quoit_engine_destroy(host.engine);
    for (unsigned i = 0; i < options->num_urls; i++) {
        quoit_request_release(host.requests[i]);
    }
    return result;
}

#include "bench/server/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "bench/server/worker.h"

enum {
    THREADS_MAX = 64,
    CONNECTIONS_DEFAULT = 65536,
    BACKLOG_DEFAULT = 4096,
    BODY_DEFAULT = 64 << 20,
};

static void fill_defaults(struct bench_server_options *options) {
    if (options->num_threads == 0)
        options->num_threads = 1;
    if (options->num_threads > THREADS_MAX)
        options->num_threads = THREADS_MAX;
    if (options->max_connections == 0)
        options->max_connections = CONNECTIONS_DEFAULT;
    if (options->backlog == 0)
        options->backlog = BACKLOG_DEFAULT;
    if (options->max_body == 0)
        options->max_body = BODY_DEFAULT;
}

// start_workers starts all threads; on failure it has joined those that ran. Worker 0 accepts, so it starts last: then
// all that it can hand connections to are there.
static int start_workers(struct bench_server *server) {
    unsigned num = server->num_workers;
    for (unsigned i = num; i-- > 0;) {
        struct bench_worker *worker = &server->workers[i];
        worker->server = server;
        worker->index = i;
        worker->listen_fd = i == 0 ? server->listener.fd : -1;
        int error = bench_worker_start(worker);
        if (error != 0) {
            for (unsigned k = i + 1; k < num; k++)
                bench_worker_join(&server->workers[k]);
            return error;
        }
    }
    return 0;
}

struct bench_server *bench_server_start(const struct bench_server_options *options) {
    struct bench_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    if (options)
        server->options = *options;
    fill_defaults(&server->options);
    server->num_workers = server->options.num_threads;
    server->workers = calloc(server->num_workers, sizeof *server->workers);
    int error = server->workers ? 0 : ENOMEM;
    if (error == 0 && server->options.tls_cert)
        server->tls_context = bench_tls_context_new(&server->options, &error);
    if (error == 0)
        error = bench_listener_open(&server->listener, server->options.address, server->options.port,
                                    server->options.backlog);
    server->listener.scheme = server->tls_context ? "https" : "http";
    server->options.address = server->options.tls_cert = server->options.tls_key = NULL; // borrowed for this call only
    if (error == 0) {
        error = start_workers(server);
        if (error == 0)
            return server;
        bench_listener_close(&server->listener);
    }
    bench_tls_context_free(server->tls_context);
    free(server->workers);
    free(server);
    errno = error;
    return NULL;
}

uint16_t bench_server_port(const struct bench_server *server) {
    return server->listener.port;
}

char *bench_server_url(const struct bench_server *server, const char *path, char *out, size_t size) {
    return bench_listener_url(&server->listener, path, out, size);
}

void bench_server_counters(const struct bench_server *server, struct bench_server_counters *out) {
    uint64_t sums[BENCH_NUM_COUNTERS] = {0};
    // Closed before accepted, so that a connection that comes and goes meanwhile does not make `open` negative.
    static const enum bench_counter k_order[BENCH_NUM_COUNTERS] = {
        BENCH_CLOSED,   BENCH_ACCEPTED, BENCH_REFUSED, BENCH_REQUESTS, BENCH_RESPONSES,
        BENCH_REFUSALS, BENCH_RESETS,   BENCH_HANGUPS, BENCH_BYTES_IN, BENCH_BYTES_OUT,
    };
    for (size_t c = 0; c < BENCH_NUM_COUNTERS; c++) {
        for (unsigned i = 0; i < server->num_workers; i++)
            sums[k_order[c]] += atomic_load_explicit(&server->workers[i].counters[k_order[c]], memory_order_relaxed);
    }
    *out = (struct bench_server_counters){
        .accepted = sums[BENCH_ACCEPTED],
        .open = sums[BENCH_ACCEPTED] > sums[BENCH_CLOSED] ? sums[BENCH_ACCEPTED] - sums[BENCH_CLOSED] : 0,
        .refused = sums[BENCH_REFUSED],
        .requests = sums[BENCH_REQUESTS],
        .responses = sums[BENCH_RESPONSES],
        .refusals = sums[BENCH_REFUSALS],
        .resets = sums[BENCH_RESETS],
        .hangups = sums[BENCH_HANGUPS],
        .bytes_in = sums[BENCH_BYTES_IN],
        .bytes_out = sums[BENCH_BYTES_OUT],
    };
}

uint64_t bench_server_cpu_ns(const struct bench_server *server) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < server->num_workers; i++) {
        clockid_t clock;
        struct timespec used;
        if (pthread_getcpuclockid(server->workers[i].thread, &clock) == 0 && clock_gettime(clock, &used) == 0)
            sum += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    }
    return sum;
}

uint64_t bench_server_kill_connections(struct bench_server *server) {
    uint64_t num = 0;
    for (unsigned i = 0; i < server->num_workers; i++) // worker 0 first: it empties the backlog and hands out
        num += bench_worker_call(&server->workers[i], bench_worker_kill, 0);
    return num;
}

void bench_server_set_accepting(struct bench_server *server, bool accepting) {
    bench_worker_call(&server->workers[0], bench_worker_accepting, accepting);
}

void bench_server_stop(struct bench_server *server) {
    if (!server)
        return;
    for (unsigned i = 0; i < server->num_workers; i++) // worker 0 first: after it nobody hands out connections
        bench_worker_join(&server->workers[i]);
    bench_listener_close(&server->listener);
    bench_tls_context_free(server->tls_context);
    free(server->workers);
    free(server);
}

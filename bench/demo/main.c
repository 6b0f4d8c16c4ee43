// The demo: starts the embedded server on loopback, runs Quoit's main job on it through the public API, and prints a
// table.
//
//     demo [--seconds S]      S: how long each scenario may go on submitting, 1.2 otherwise
//
// Four threads share one engine. Every request is checked (see bench/load/load.h); the exit status is 1 when anything
// was not as it should be. Progress is shown on standard error, and only when that is a terminal.
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/load.h"
#include "bench/server/cert.h"
#include "bench/server/server.h"

enum {
    NUM_CLIENTS = 4,
    URL_MAX = 160,
    REFRESH_MS = 100,
    UPLOAD_LEN = 16 * 1024,
};

// struct row is one line of the table: what is asked for, how often, how much at a time.
struct row {
    const char *name;
    const char *paths[4]; // up to the first NULL, in turn
    uint64_t lens[4];     // of their bodies
    unsigned window;      // of each client
    uint64_t num_requests;
    bool upload;
    bool tls;
};

static const struct row k_rows[] = {
    {"empty body", {"/size/0"}, {0}, 16, 120000, false, false},
    {"1 KiB", {"/size/1024"}, {1024}, 16, 120000, false, false},
    {"1 KiB, one at a time", {"/size/1024"}, {1024}, 1, 40000, false, false},
    {"64 KiB", {"/size/65536"}, {65536}, 8, 20000, false, false},
    {"1 MiB", {"/size/1048576"}, {1048576}, 4, 2000, false, false},
    {"chunked, 1 KiB in 100 B", {"/size/1024?chunked=100"}, {1024}, 16, 60000, false, false},
    {"chunked, 1 MiB in 4 KiB", {"/size/1048576?chunked=4096&trailers=1"}, {1048576}, 4, 1000, false, false},
    {"upload and echo, 16 KiB", {"/echo"}, {UPLOAD_LEN}, 8, 20000, true, false},
    {"delays of 0 to 20 ms",
     {"/size/1024?delay_ms=5", "/size/1024", "/size/1024?delay_ms=20", "/size/4096?chunked=1024&gap_ms=1"},
     {1024, 1024, 1024, 4096},
     16,
     6000,
     false,
     false},
    {"server closes each time", {"/size/1024?close=1", "/size/1024?close=2"}, {1024, 1024}, 8, 8000, false, false},
    {"TLS, 1 KiB", {"/size/1024"}, {1024}, 16, 120000, false, true},
    {"TLS, 1 MiB", {"/size/1048576"}, {1048576}, 4, 2000, false, true},
    {"TLS, upload, 16 KiB", {"/echo"}, {UPLOAD_LEN}, 8, 20000, true, true},
    {"TLS, a handshake each", {"/size/1024?close=1"}, {1024}, 8, 4000, false, true},
};
enum { NUM_ROWS = sizeof k_rows / sizeof k_rows[0] };

// struct servers: the plain one, and the one that speaks TLS by a certificate that was made for it at start.
struct servers {
    struct bench_server *plain;
    struct bench_server *tls;
    struct quoit_tls *trust; // its authority, and nobody else
};

// --- progress ---

// struct progress is the display's thread: what it shows is written before it starts, but for the count.
struct progress {
    pthread_t thread;
    bool on;
    int stop_fd;
    const char *name;
    unsigned number;
    uint64_t num_requests;
    uint64_t limit_ms, begin_ms; // a scenario ends by count or by time, whichever is first
    _Atomic uint64_t done;
};

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// steps_done says how many of the bar's 20 steps are done.
static int steps_done(const struct progress *progress, uint64_t done) {
    uint64_t by_count = done * 20 / progress->num_requests;
    uint64_t by_time = (clock_ms() - progress->begin_ms) * 20 / progress->limit_ms;
    uint64_t steps = by_count > by_time ? by_count : by_time;
    return steps < 20 ? (int)steps : 20;
}

static void *progress_main(void *arg) {
    struct progress *progress = arg;
    struct pollfd stop = {.fd = progress->stop_fd, .events = POLLIN};
    do {
        uint64_t done = atomic_load_explicit(&progress->done, memory_order_relaxed);
        fprintf(stderr, "\r%2u/%u  %-26s [%-20.*s] %9" PRIu64, progress->number, (unsigned)NUM_ROWS, progress->name,
                steps_done(progress, done), "####################", done);
    } while (poll(&stop, 1, REFRESH_MS) == 0);
    fprintf(stderr, "\r%-75s\r", "");
    return NULL;
}

static void progress_start(struct progress *progress, unsigned index, uint64_t limit_ms) {
    *progress = (struct progress){.on = isatty(STDERR_FILENO) == 1,
                                  .name = k_rows[index].name,
                                  .number = index + 1,
                                  .num_requests = k_rows[index].num_requests,
                                  .limit_ms = limit_ms,
                                  .begin_ms = clock_ms()};
    if (!progress->on)
        return;
    progress->stop_fd = eventfd(0, EFD_CLOEXEC);
    progress->on = progress->stop_fd >= 0 && pthread_create(&progress->thread, NULL, progress_main, progress) == 0;
}

static void progress_stop(struct progress *progress) {
    uint64_t one = 1;
    if (!progress->on)
        return;
    if (write(progress->stop_fd, &one, sizeof one) == sizeof one)
        pthread_join(progress->thread, NULL);
    close(progress->stop_fd);
}

// --- the table ---

static const char k_line[] =
    "--------------------------  ---------  ------  ---------  --------  --------  --------  ----------\n";

static void print_head(void) {
    printf("%-26s  %9s  %6s  %9s  %8s  %8s  %8s  %10s\n%s", "scenario", "requests", "errors", "req/s", "MB/s", "p50 us",
           "p99 us", "CPU us/req", k_line);
}

static void print_row(const char *name, const struct load_result *result, uint64_t cpu_ns) {
    double seconds = (double)result->wall_ns / 1e9;
    double requests = result->submitted ? (double)result->submitted : 1;
    printf("%-26s  %9" PRIu64 "  %6" PRIu64 "  %9.0f  %8.1f  %8.0f  %8.0f  %10.1f\n", name, result->submitted,
           result->errors, (double)result->submitted / seconds, (double)result->body_bytes / 1e6 / seconds,
           (double)histogram_at(&result->latency_ns, 0.5) / 1e3, (double)histogram_at(&result->latency_ns, 0.99) / 1e3,
           (double)cpu_ns / 1e3 / requests);
    if (result->errors > 0)
        printf("  first error: %s\n", result->first_error);
    fflush(stdout);
}

// --- the run ---

// run_row plays one line of the table and adds it to `total`; the CPU time is what the process used less what the
// server did.
static void run_row(struct load *load, const struct servers *servers, unsigned index, uint64_t limit_ms,
                    struct load_result *total, uint64_t *total_cpu_ns) {
    static struct load_result result; // a histogram is too large for a stack
    const struct row *row = &k_rows[index];
    const struct bench_server *server = row->tls ? servers->tls : servers->plain;
    struct load_target targets[4] = {{0}};
    char urls[4][URL_MAX];
    struct load_scenario scenario = {.name = row->name,
                                     .targets = targets,
                                     .num_requests = row->num_requests,
                                     .limit_ms = limit_ms,
                                     .window = row->window};
    for (; scenario.num_targets < 4 && row->paths[scenario.num_targets]; scenario.num_targets++) {
        unsigned i = scenario.num_targets;
        targets[i].url = bench_server_url(server, row->paths[i], urls[i], sizeof urls[i]);
        targets[i].response_len = row->lens[i];
        if (row->upload) {
            targets[i].method = "POST";
            targets[i].body = bench_body_at(0);
            targets[i].body_len = (size_t)row->lens[i];
        }
    }
    struct progress progress;
    progress_start(&progress, index, limit_ms);
    uint64_t server_ns = bench_server_cpu_ns(server);
    load_run(load, &scenario, &result, &progress.done);
    server_ns = bench_server_cpu_ns(server) - server_ns;
    progress_stop(&progress);
    uint64_t cpu_ns = result.cpu_ns > server_ns ? result.cpu_ns - server_ns : 0;
    print_row(row->name, &result, cpu_ns);
    total->submitted += result.submitted;
    total->errors += result.errors;
    total->body_bytes += result.body_bytes;
    total->wall_ns += result.wall_ns;
    histogram_merge(&total->latency_ns, &result.latency_ns);
    *total_cpu_ns += cpu_ns;
}

static void print_engine(struct quoit_engine engine, uint64_t num_requests) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    if (quoit_engine_info(engine, &info) != QUOIT_OK)
        return;
    double requests = num_requests ? (double)num_requests : 1;
    printf("connections opened %" PRIu64 ", re-used %" PRIu64
           " times; io_uring_enter %.3f per request; wake-ups %.3f per "
           "request\n",
           info.connections_opened, info.connections_reused, (double)info.enters / requests,
           (double)info.wakes / requests);
}

// run_all plays the table on an engine of its own; it returns the number of errors.
static uint64_t run_all(const struct servers *servers, uint64_t limit_ms) {
    static struct load_result total;
    uint64_t total_cpu_ns = 0;
    struct quoit_engine engine;
    struct quoit_failure failure;
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = servers->trust};
    int32_t code = quoit_engine_create(&options, &engine, &failure);
    if (code != QUOIT_OK) {
        fprintf(stderr, "demo: no engine: %s: %s\n", quoit_error_name(code), quoit_error_sentence(code));
        return 1;
    }
    struct load *load = load_open(engine, NUM_CLIENTS, &code);
    if (!load) {
        fprintf(stderr, "demo: no ports: %s\n", quoit_error_name(code));
        return 1;
    }
    print_head();
    for (unsigned i = 0; i < NUM_ROWS; i++)
        run_row(load, servers, i, limit_ms, &total, &total_cpu_ns);
    printf("%s", k_line);
    print_row("all", &total, total_cpu_ns);
    print_engine(engine, total.submitted);
    code = load_close(load);
    if (code != QUOIT_OK) {
        fprintf(stderr, "demo: closing: %s\n", quoit_error_name(code));
        total.errors++;
    }
    return total.errors;
}

// --- the servers ---

static void stop_servers(struct servers *servers) {
    bench_server_stop(servers->plain);
    bench_server_stop(servers->tls);
    quoit_tls_release(servers->trust);
}

// make_trust makes the configuration that trusts `authority`.
static struct quoit_tls *make_trust(const char *authority) {
    struct quoit_tls *trust = NULL;
    int32_t code = quoit_tls_new(&trust);
    if (code == QUOIT_OK)
        code = quoit_tls_set_roots(trust, QUOIT_TLS_MEMORY, authority, strlen(authority));
    if (code == QUOIT_OK)
        code = quoit_tls_freeze(trust, NULL);
    if (code == QUOIT_OK)
        return trust;
    fprintf(stderr, "demo: no trust: %s: %s\n", quoit_error_name(code), quoit_error_sentence(code));
    quoit_tls_release(trust);
    return NULL;
}

// start_servers starts both; false: what is wrong has been said.
static bool start_servers(struct servers *out) {
    struct bench_cert cert;
    *out = (struct servers){.plain = bench_server_start(NULL)};
    if (!out->plain) {
        perror("demo: the embedded server cannot listen");
        return false;
    }
    if (!bench_cert_make(&cert)) {
        fprintf(stderr, "demo: no certificate can be made\n");
    } else {
        struct bench_server_options options = {.tls_cert = cert.cert, .tls_key = cert.key};
        out->tls = bench_server_start(&options);
        if (!out->tls)
            perror("demo: the embedded server cannot listen for TLS");
        out->trust = make_trust(cert.authority);
        bench_cert_free(&cert);
    }
    if (out->tls && out->trust)
        return true;
    stop_servers(out);
    return false;
}

int main(int argc, char **argv) {
    double seconds = 1.2;
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0)
        seconds = strtod(argv[2], NULL);
    if ((argc != 1 && argc != 3) || !(seconds >= 0.01 && seconds < 3600)) {
        fprintf(stderr, "usage: demo [--seconds S]\n");
        return 2;
    }
    struct servers servers;
    struct utsname system;
    char url[URL_MAX], tls_url[URL_MAX];
    if (!start_servers(&servers))
        return 1;
    uname(&system);
    printf("Quoit %s, Linux %s, %d threads on one engine, HTTP/1.1 to %s and %s in this process\n\n", quoit_version(),
           system.release, NUM_CLIENTS, bench_server_url(servers.plain, "/", url, sizeof url),
           bench_server_url(servers.tls, "/", tls_url, sizeof tls_url));
    uint64_t errors = run_all(&servers, (uint64_t)(seconds * 1000));
    stop_servers(&servers);
    if (errors > 0) {
        printf("\n%" PRIu64 " errors\n", errors);
        return 1;
    }
    printf("\nEach request had exactly one terminal event; each body was verified by its hash.\n");
    printf("CPU is this process without the server's thread, hashing included. Latency of all rows: submit to last "
           "event.\n");
    if (fflush(stdout) != 0) {
        perror("demo");
        return 1;
    }
    return 0;
}

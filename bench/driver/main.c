// quoit-bench: loads an HTTP server, and measures what that costs, on the engine that hosts get.
//
//     quoit-bench [OPTION]... URL...
//
// The load is closed: each connection has one request at a time, and begins the next when the last has ended. The exit
// code is 0 only when no request failed, or when that was allowed. bench/README.md says what the figures mean.
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/driver/report.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static uint64_t cpu_ns(const struct rusage *usage) {
    return ((uint64_t)usage->ru_utime.tv_sec + (uint64_t)usage->ru_stime.tv_sec) * 1000000000 +
           ((uint64_t)usage->ru_utime.tv_usec + (uint64_t)usage->ru_stime.tv_usec) * 1000;
}

// The i-th of `parts` parts of `whole`, which differ by one at most.
static uint64_t part(uint64_t whole, unsigned i, unsigned parts) { return whole / parts + (i < whole % parts); }

static bool start_all(const struct options *options, struct worker *workers) {
    uint64_t until_ns = options->num_requests > 0 ? UINT64_MAX : worker_now_ns() + (uint64_t)(options->seconds * 1e9);
    for (unsigned i = 0; i < options->engines; i++) {
        uint64_t share = options->num_requests > 0 ? part(options->num_requests, i, options->engines) : UINT64_MAX;
        unsigned slots = (unsigned)part(options->connections, i, options->engines);
        struct quoit_failure failure = {0};
        if (worker_start(&workers[i], options, slots, share, until_ns, &failure) != QUOIT_OK) {
            fprintf(stderr, "quoit-bench: %s: %s\n", quoit_error_name(failure.code), quoit_error_sentence(failure.code));
            return false;
        }
    }
    return true;
}

static int tell(const struct report *report) {
    const struct options *options = report->options;
    bool is_stdout = options->json != NULL && strcmp(options->json, "-") == 0;
    if (!is_stdout) {
        report_write_table(report, stdout);
    }
    if (options->json != NULL) {
        FILE *out = is_stdout ? stdout : fopen(options->json, "w");
        if (out == NULL) {
            perror(options->json);
            return EXIT_FAILED;
        }
        report_write_json(report, out);
        if ((is_stdout ? fflush(out) : fclose(out)) != 0) {
            perror(options->json);
            return EXIT_FAILED;
        }
    }
    bool is_good = report->counts.failed == 0 || options->allows_errors;
    return is_good && report->counts.requests > 0 ? EXIT_SUCCESS : EXIT_FAILED;
}

int main(int argc, char **argv) {
    struct options options;
    const char *problem = options_parse(argc, argv, &options);
    if (problem != NULL) {
        fprintf(stderr, "quoit-bench: %s\n%s", problem, k_options_usage);
        return EXIT_USAGE;
    }
    struct worker *workers = calloc(options.engines, sizeof *workers);
    struct report *report = calloc(1, sizeof *report);
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    if (workers == NULL || report == NULL || !start_all(&options, workers)) {
        return EXIT_FAILED; // engines that run end with the process
    }
    report->options = &options;
    for (unsigned i = 0; i < options.engines; i++) {
        worker_join(&workers[i]);
        report_add(report, &workers[i]);
    }
    getrusage(RUSAGE_SELF, &after);
    report->cpu_ns = cpu_ns(&after) - cpu_ns(&before);
    report->max_rss_kib = after.ru_maxrss;
    int code = tell(report);
    free(workers);
    free(report);
    return code;
}

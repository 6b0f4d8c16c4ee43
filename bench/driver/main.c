// quoit-bench: loads an HTTP server, and measures what that costs, on the engine that hosts get.
//
//     quoit-bench [OPTION]... URL...
//
// The load is closed: each connection has one request at a time, and begins the next when the last has ended. The exit
// code is 0 only when no request failed, or when that was allowed. bench/README.md says what the figures mean.
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "bench/driver/idle.h"
#include "bench/driver/report.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

// When a run by time begins to count and when it ends.
struct times {
    uint64_t warm_ns;
    uint64_t until_ns;
};

static bool is_ok(int32_t code) {
    if (code != QUOIT_OK) {
        fprintf(stderr, "quoit-bench: %s: %s\n", quoit_error_name(code), quoit_error_sentence(code));
    }
    return code == QUOIT_OK;
}

static bool has_https(const struct options *options) {
    for (unsigned i = 0; i < options->num_urls; i++) {
        if (strncasecmp(options->urls[i], "https:", 6) == 0) {
            return true;
        }
    }
    return false;
}

// Makes options->tls, when there is something to be said in it: the engine's own takes sessions up again.
static bool make_tls(struct options *options) {
    struct quoit_tls *tls = NULL;
    struct quoit_failure failure = {0};
    if (options->cacert == NULL && options->tls_version == 0 && (options->resumes || !has_https(options))) {
        return true;
    }
    int32_t code = quoit_tls_new(&tls);
    if (code == QUOIT_OK && options->cacert != NULL) {
        code = quoit_tls_set_roots(tls, QUOIT_TLS_FILE, options->cacert, strlen(options->cacert));
    }
    if (code == QUOIT_OK) {
        code = quoit_tls_set_versions(tls, options->tls_version, options->tls_version);
    }
    if (code == QUOIT_OK) {
        code = quoit_tls_set_switch(tls, QUOIT_TLS_TICKETS, options->resumes);
    }
    code = code == QUOIT_OK ? quoit_tls_freeze(tls, &failure) : code;
    if (code != QUOIT_OK) {
        const char *detail = tls != NULL ? quoit_tls_detail(tls) : "";
        fprintf(stderr, "quoit-bench: %s: %s%s%s\n", quoit_error_name(code), quoit_error_sentence(code),
                detail[0] != 0 ? ": " : "", detail);
        quoit_tls_release(tls);
        return false;
    }
    options->tls = tls;
    return true;
}

static bool make_all(const struct options *options, struct worker *workers) {
    bool is_good = true;
    for (unsigned i = 0; i < options->engines && is_good; i++) {
        bool has_end = options->num_requests > 0;
        uint64_t share = has_end ? options_part(options->num_requests, i, options->engines) : UINT64_MAX;
        unsigned slots = (unsigned)options_part(options->connections, i, options->engines);
        struct quoit_failure failure = {0};
        is_good = is_ok(worker_make(&workers[i], options, slots, share, &failure));
    }
    return is_good;
}

static bool begin_all(const struct options *options, const struct times *times, struct worker *workers) {
    bool is_good = true;
    for (unsigned i = 0; i < options->engines && is_good; i++) {
        is_good = is_ok(worker_begin(&workers[i], times->warm_ns, times->until_ns));
    }
    return is_good;
}

// Sleeps until then, or until there is nothing more to wait for.
static void wait_until(uint64_t until_ns, struct worker *workers, unsigned num_workers) {
    for (unsigned i = 0; i < num_workers; i++) {
        if (!worker_is_closed(&workers[i], until_ns)) {
            return;
        }
    }
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
    return is_good && report->to.requests > report->from.requests ? EXIT_SUCCESS : EXIT_FAILED;
}

// Notes what was used and done when the warm-up is over and when the time is, while the workers work.
static void mark_both(const struct options *options, const struct times *times, struct worker *workers,
                      struct report *report) {
    wait_until(times->warm_ns, workers, options->engines);
    report_mark(&report->from, workers, options->engines);
    wait_until(times->until_ns, workers, options->engines);
    report_mark(&report->to, workers, options->engines);
}

static bool run(const struct options *options, struct worker *workers, struct report *report) {
    report_mark(&report->from, workers, 0);
    if (!make_all(options, workers)) {
        return false;
    }
    uint64_t now_ns = lane_now_ns();
    uint64_t warm_ns = now_ns + (uint64_t)(options->warmup_s * 1e9);
    struct times times = {warm_ns, warm_ns + (uint64_t)(options->seconds * 1e9)};
    bool is_warmed = options->warmup_s > 0;
    if (options->num_requests > 0) {
        times = (struct times){0, UINT64_MAX};
    }
    if (!begin_all(options, &times, workers)) {
        return false;
    }
    if (is_warmed) {
        mark_both(options, &times, workers, report);
    }
    for (unsigned i = 0; i < options->engines; i++) {
        worker_join(&workers[i]);
        report_add(report, &workers[i]);
    }
    if (!is_warmed) {
        report_mark(&report->to, workers, 0);
        report_whole(report);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    report->max_rss_kib = usage.ru_maxrss;
    return true;
}

// A run under load, from its memory to its report.
static int run_load(const struct options *options) {
    struct worker *workers = calloc(options->engines, sizeof *workers);
    struct report *report = calloc(1, sizeof *report);
    if (workers == NULL || report == NULL) {
        return EXIT_FAILED;
    }
    report->options = options;
    if (!run(options, workers, report)) {
        return EXIT_FAILED; // engines that run end with the process
    }
    int code = tell(report);
    free(workers);
    free(report);
    return code;
}

int main(int argc, char **argv) {
    struct options options;
    const char *problem = options_parse(argc, argv, &options);
    if (problem != NULL) {
        fprintf(stderr, "quoit-bench: %s\n%s", problem, k_options_usage);
        return EXIT_USAGE;
    }
    if (!make_tls(&options)) {
        return EXIT_FAILED;
    }
    int code = options.is_idle ? idle_run(&options) : run_load(&options);
    quoit_tls_release(options.tls);
    return code;
}

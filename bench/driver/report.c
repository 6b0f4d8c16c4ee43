#include "bench/driver/report.h"

#include <inttypes.h>
#include <sys/utsname.h>

static const struct {
    const char *name;
    double share;
} k_latencies[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1.0}};

enum { LATENCIES = sizeof k_latencies / sizeof k_latencies[0] };

static void add_errors(struct worker_counts *to, const struct worker_counts *from) {
    for (unsigned i = 0; i < from->num_errors; i++) {
        unsigned k = 0;
        while (k < to->num_errors && to->errors[k].code != from->errors[i].code) {
            k++;
        }
        if (k == WORKER_ERRORS_MAX) {
            k--; // the last kind stands for all that follow
        } else if (k == to->num_errors) {
            to->errors[to->num_errors++].code = from->errors[i].code;
        }
        to->errors[k].count += from->errors[i].count;
    }
}

void report_add(struct report *report, const struct worker *worker) {
    struct worker_counts *to = &report->counts;
    const struct worker_counts *from = &worker->counts;
    bool is_first = to->begin_ns == 0;
    to->requests += from->requests;
    to->failed += from->failed;
    to->bad_status += from->bad_status;
    to->begin_ns = is_first || from->begin_ns < to->begin_ns ? from->begin_ns : to->begin_ns;
    to->end_ns = from->end_ns > to->end_ns ? from->end_ns : to->end_ns;
    to->http_version = from->http_version > 0 ? from->http_version : to->http_version;
    add_errors(to, from);
    histogram_merge(&to->latency_ns, &from->latency_ns);
    struct quoit_engine_info *sum = &report->info;
    if (is_first) {
        sum->capabilities = worker->info.capabilities;
        sum->ring_sq_entries = worker->info.ring_sq_entries;
        sum->ring_cq_entries = worker->info.ring_cq_entries;
    }
    sum->connections_opened += worker->info.connections_opened;
    sum->bytes_in += worker->info.bytes_in;
    sum->bytes_out += worker->info.bytes_out;
    sum->ticks += worker->info.ticks;
    sum->enters += worker->info.enters;
    sum->buffers_starved += worker->info.buffers_starved;
}

double report_duration_s(const struct report *report) {
    return (double)(report->counts.end_ns - report->counts.begin_ns) / 1e9;
}

static double per_request(const struct report *report, double value) {
    return report->counts.requests > 0 ? value / (double)report->counts.requests : 0;
}

static double rate(const struct report *report) {
    double seconds = report_duration_s(report);
    return seconds > 0 ? (double)report->counts.requests / seconds : 0;
}

static const char *version_text(uint16_t http_version) {
    return http_version == 11 ? "1.1" : http_version == 10 ? "1.0" : "none";
}

void report_write_table(const struct report *report, FILE *out) {
    const struct worker_counts *counts = &report->counts;
    fprintf(out, "requests       %" PRIu64 " (%" PRIu64 " failed, %" PRIu64 " of status 400 and above)\n", counts->requests,
            counts->failed, counts->bad_status);
    for (unsigned i = 0; i < counts->num_errors; i++) {
        fprintf(out, "               %" PRIu64 " %s\n", counts->errors[i].count, quoit_error_name(counts->errors[i].code));
    }
    fprintf(out, "time           %.3f s, %.0f requests/s, %.1f MB/s\n", report_duration_s(report), rate(report),
            report_duration_s(report) > 0 ? (double)report->info.bytes_in / 1e6 / report_duration_s(report) : 0);
    fprintf(out, "latency        ");
    for (unsigned i = 0; i < LATENCIES; i++) {
        fprintf(out, "%s %.1f us%s", k_latencies[i].name,
                (double)histogram_at(&counts->latency_ns, k_latencies[i].share) / 1e3, i + 1 < LATENCIES ? ", " : "\n");
    }
    fprintf(out, "CPU            %.2f us a request\n", per_request(report, (double)report->cpu_ns / 1e3));
    fprintf(out, "kernel entries %.3f a request\n", per_request(report, (double)report->info.enters));
    fprintf(out, "connections    %" PRIu64 " opened\n", report->info.connections_opened);
    fprintf(out, "memory         %ld KiB at most\n", report->max_rss_kib);
}

static void write_engine(const struct report *report, FILE *out) {
    struct utsname kernel;
    uname(&kernel);
    fprintf(out,
            "\"engine\":{\"backend\":\"io_uring\",\"kernel\":\"%s\",\"capabilities\":%u,\"mode\":\"%s\",\"engines\":%u,"
            "\"connections\":%u,\"connections_opened\":%" PRIu64 ",\"ticks\":%" PRIu64 ",\"enters\":%" PRIu64
            ",\"buffers_starved\":%" PRIu64 "}",
            kernel.release, report->info.capabilities, report->options->is_port ? "port" : "inline",
            report->options->engines, report->options->connections, report->info.connections_opened, report->info.ticks,
            report->info.enters, report->info.buffers_starved);
}

void report_write_json(const struct report *report, FILE *out) {
    const struct worker_counts *counts = &report->counts;
    fprintf(out, "{\"requests\":%" PRIu64 ",\"errors\":{", counts->requests);
    for (unsigned i = 0; i < counts->num_errors; i++) {
        fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", quoit_error_name(counts->errors[i].code),
                counts->errors[i].count);
    }
    fprintf(out, "},\"bad_status\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, counts->bad_status,
            report->info.bytes_in, report->info.bytes_out);
    fprintf(out, ",\"duration_s\":%.6f,\"rps\":%.1f,\"latency_us\":{", report_duration_s(report), rate(report));
    for (unsigned i = 0; i < LATENCIES; i++) {
        fprintf(out, "%s\"%s\":%.1f", i > 0 ? "," : "", k_latencies[i].name,
                (double)histogram_at(&counts->latency_ns, k_latencies[i].share) / 1e3);
    }
    fprintf(out, "},\"cpu_us_per_request\":%.3f,\"max_rss_kib\":%ld,\"http_version\":\"%s\",\"valid\":true,",
            per_request(report, (double)report->cpu_ns / 1e3), report->max_rss_kib, version_text(counts->http_version));
    write_engine(report, out);
    fputs("}\n", out);
}

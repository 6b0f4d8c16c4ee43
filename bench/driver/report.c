#include "bench/driver/report.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static const struct {
    const char *name;
    double share;
} k_latencies[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1.0}};

// How the engine receives bulk: what a comparison has the bare client do as well.
static const char *receive_of(const struct quoit_engine_info *info) {
    return info->capabilities & QUOIT_CAP_RECV_BUNDLE ? "bundle" : "single";
}

enum { LATENCIES = sizeof k_latencies / sizeof k_latencies[0] };

static void add_errors(struct lane_counts *to, const struct lane_counts *from) {
    for (unsigned i = 0; i < from->num_errors; i++) {
        unsigned k = 0;
        while (k < to->num_errors && to->errors[k].code != from->errors[i].code) {
            k++;
        }
        if (k == LANE_ERRORS_MAX) {
            k--; // the last kind stands for all that follow
        } else if (k == to->num_errors) {
            to->errors[to->num_errors++].code = from->errors[i].code;
        }
        to->errors[k].count += from->errors[i].count;
    }
}

static uint64_t nanoseconds(const struct timeval *time) {
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

void report_mark(struct report_mark *out, struct worker *workers, unsigned num_workers) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *out = (struct report_mark){.now_ns = lane_now_ns(),
                                .user_ns = nanoseconds(&usage.ru_utime),
                                .system_ns = nanoseconds(&usage.ru_stime)};
    for (unsigned i = 0; i < num_workers; i++) {
        out->requests += worker_num_ended(&workers[i]);
        out->bytes_in += worker_bytes_in(&workers[i]);
    }
}

static void add_lane(struct lane_counts *to, const struct lane_counts *from) {
    bool is_first = to->begin_ns == 0;
    to->requests += from->requests;
    to->failed += from->failed;
    to->bad_status += from->bad_status;
    to->begin_ns = is_first || from->begin_ns < to->begin_ns ? from->begin_ns : to->begin_ns;
    to->end_ns = from->end_ns > to->end_ns ? from->end_ns : to->end_ns;
    to->http_version = from->http_version > 0 ? from->http_version : to->http_version;
    to->tls_version = from->tls_version > 0 ? from->tls_version : to->tls_version;
    to->tls_cipher = from->tls_version > 0 ? from->tls_cipher : to->tls_cipher;
    to->tls_resumed += from->tls_resumed;
    add_errors(to, from);
    histogram_merge(&to->latency_ns, &from->latency_ns);
}

void report_add(struct report *report, const struct worker *worker) {
    bool is_first = report->counts.begin_ns == 0;
    for (unsigned i = 0; i < worker->num_lanes; i++) {
        add_lane(&report->counts, &worker->lanes[i].counts);
    }
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

void report_whole(struct report *report) {
    report->from.requests = 0;
    report->from.bytes_in = 0;
    report->from.now_ns = report->counts.begin_ns;
    report->to.requests = report->counts.requests;
    report->to.bytes_in = report->info.bytes_in;
    report->to.now_ns = report->counts.end_ns;
}

static double share(double value, double of) { return of > 0 ? value / of : 0; }

// The figures that are told.
struct figures {
    double requests;
    double bytes_in;
    double duration_s;
    double user_us;
    double system_us;
};

static struct figures figures_of(const struct report *report) {
    const struct report_mark *from = &report->from;
    const struct report_mark *to = &report->to;
    return (struct figures){
        .requests = (double)(to->requests - from->requests),
        .bytes_in = (double)(to->bytes_in - from->bytes_in),
        .duration_s = (double)(to->now_ns - from->now_ns) / 1e9,
        .user_us = (double)(to->user_ns - from->user_ns) / 1e3,
        .system_us = (double)(to->system_ns - from->system_ns) / 1e3,
    };
}

static const char *version_text(uint16_t http_version) {
    return http_version == 11 ? "1.1" : http_version == 10 ? "1.0" : "none";
}

static const char *tls_text(uint16_t version) {
    return version == QUOIT_TLS_1_3 ? "1.3" : version == QUOIT_TLS_1_2 ? "1.2" : "none";
}

static void write_tls(const struct lane_counts *counts, FILE *out) {
    if (counts->tls_version == 0) {
        fputs("\"tls\":null,", out);
    } else {
        fprintf(out, "\"tls\":{\"version\":\"%s\",\"cipher\":\"0x%04x\"},\"resumed\":%" PRIu64 ",",
                tls_text(counts->tls_version), counts->tls_cipher, counts->tls_resumed);
    }
}

void report_write_table(const struct report *report, FILE *out) {
    const struct lane_counts *counts = &report->counts;
    struct figures it = figures_of(report);
    fprintf(out, "requests       %.0f (%" PRIu64 " failed, %" PRIu64 " of status 400 and above)\n", it.requests,
            counts->failed, counts->bad_status);
    for (unsigned i = 0; i < counts->num_errors; i++) {
        fprintf(out, "               %" PRIu64 " %s\n", counts->errors[i].count, quoit_error_name(counts->errors[i].code));
    }
    fprintf(out, "time           %.3f s, %.0f requests/s, %.1f MB/s\n", it.duration_s, share(it.requests, it.duration_s),
            share(it.bytes_in / 1e6, it.duration_s));
    fprintf(out, "latency        ");
    for (unsigned i = 0; i < LATENCIES; i++) {
        fprintf(out, "%s %.1f us%s", k_latencies[i].name,
                (double)histogram_at(&counts->latency_ns, k_latencies[i].share) / 1e3, i + 1 < LATENCIES ? ", " : "\n");
    }
    fprintf(out, "CPU            %.2f us a request (%.2f in user space), %.3f s a GB\n",
            share(it.user_us + it.system_us, it.requests), share(it.user_us, it.requests),
            share((it.user_us + it.system_us) / 1e6, it.bytes_in / 1e9));
    fprintf(out, "kernel entries %.3f a request\n", share((double)report->info.enters, (double)counts->requests));
    fprintf(out, "connections    %" PRIu64 " opened\n", report->info.connections_opened);
    if (counts->tls_version != 0) {
        fprintf(out, "TLS            %s, cipher suite 0x%04x, %" PRIu64 " sessions taken up again\n",
                tls_text(counts->tls_version), counts->tls_cipher, counts->tls_resumed);
    }
    fprintf(out, "memory         %ld KiB at most\n", report->max_rss_kib);
}

static void write_engine(const struct report *report, FILE *out) {
    const struct quoit_engine_info *info = &report->info;
    const struct options *options = report->options;
    struct utsname kernel;
    uname(&kernel);
    fprintf(out, "\"engine\":{\"backend\":\"io_uring\",\"kernel\":\"%s\",\"capabilities\":%u,\"receive\":\"%s\",", kernel.release,
            info->capabilities, receive_of(info));
    fprintf(out, "\"mode\":\"%s\",\"engines\":%u,\"producers\":%u,\"connections\":%u,\"connections_opened\":%" PRIu64 ",",
            options->is_port ? "port" : "inline", options->engines, options->producers, options->connections,
            info->connections_opened);
    fprintf(out, "\"ticks\":%" PRIu64 ",\"enters\":%" PRIu64 ",\"buffers_starved\":%" PRIu64 "}", info->ticks, info->enters,
            info->buffers_starved);
}

void report_write_json(const struct report *report, FILE *out) {
    const struct lane_counts *counts = &report->counts;
    struct figures it = figures_of(report);
    double cpu_us = it.user_us + it.system_us;
    fprintf(out, "{\"requests\":%.0f,\"errors\":{", it.requests);
    for (unsigned i = 0; i < counts->num_errors; i++) {
        fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", quoit_error_name(counts->errors[i].code),
                counts->errors[i].count);
    }
    fprintf(out, "},\"bad_status\":%" PRIu64 ",\"bytes_in\":%.0f,\"bytes_out\":%" PRIu64, counts->bad_status, it.bytes_in,
            report->info.bytes_out);
    fprintf(out, ",\"duration_s\":%.6f,\"rps\":%.1f,\"latency_us\":{", it.duration_s, share(it.requests, it.duration_s));
    for (unsigned i = 0; i < LATENCIES; i++) {
        fprintf(out, "%s\"%s\":%.1f", i > 0 ? "," : "", k_latencies[i].name,
                (double)histogram_at(&counts->latency_ns, k_latencies[i].share) / 1e3);
    }
    fprintf(out,
            "},\"cpu_us_per_request\":%.4f,\"user_us_per_request\":%.4f,\"system_us_per_request\":%.4f,"
            "\"cpu_s_per_gb\":%.5f,\"max_rss_kib\":%ld,\"http_version\":\"%s\",\"valid\":true,",
            share(cpu_us, it.requests), share(it.user_us, it.requests), share(it.system_us, it.requests),
            share(cpu_us / 1e6, it.bytes_in / 1e9), report->max_rss_kib, version_text(counts->http_version));
    write_tls(counts, out);
    write_engine(report, out);
    fputs("}\n", out);
}

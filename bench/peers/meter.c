#include "bench/peers/meter.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// The clock is read this seldom: a read costs 1 % of a request.
enum { TURNS_PER_CLOCK = 16 };

void peer_die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? PEER_EXIT_KERNEL : PEER_EXIT_FAILED);
}

uint64_t peer_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t nanoseconds(const struct timeval *time) {
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

static void mark(const struct peer_meter *meter, struct peer_mark *out) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *out = (struct peer_mark){
        .now_ns = peer_now_ns(),
        .user_ns = nanoseconds(&usage.ru_utime),
        .system_ns = nanoseconds(&usage.ru_stime),
        .num_done = meter->num_done,
        .bytes_in = meter->bytes_in,
    };
}

static size_t resident_bytes(void) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1) {
        peer_die("/proc/self/statm");
    }
    fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

void peer_meter_idle_begin(struct peer_meter *meter) {
    meter->rss_before = resident_bytes();
    meter->heap_before = heap_bytes();
}

void peer_meter_begin(struct peer_meter *meter, const struct peer_options *options) {
    meter->options = options;
    meter->is_counting = options->num_requests > 0;
    meter->warm_ns = peer_now_ns() + (uint64_t)(options->warmup_s * 1e9);
    meter->end_ns = meter->warm_ns + (uint64_t)(options->seconds * 1e9);
    mark(meter, &meter->first);
}

bool peer_meter_may_request(struct peer_meter *meter) {
    bool may = meter->options->num_requests == 0 || meter->num_begun < meter->options->num_requests;
    meter->num_begun += may;
    return may;
}

bool peer_meter_goes_on(struct peer_meter *meter) {
    if (meter->options->num_requests > 0) {
        if (meter->num_done < meter->options->num_requests) {
            return true;
        }
        mark(meter, &meter->last);
        return false;
    }
    if (++meter->turns % TURNS_PER_CLOCK != 0) {
        return true;
    }
    uint64_t now_ns = peer_now_ns();
    if (!meter->is_counting && now_ns >= meter->warm_ns) {
        meter->is_counting = true;
        mark(meter, &meter->first);
        meter->end_ns = meter->first.now_ns + (uint64_t)(meter->options->seconds * 1e9);
    }
    if (!meter->is_counting || now_ns < meter->end_ns) {
        return true;
    }
    mark(meter, &meter->last);
    return false;
}

// The end of the line.
static void print_tls(const struct peer_meter *meter) {
    if (meter->tls != NULL) {
        printf(",\"tls\":\"%s\",\"resumed\":%" PRIu64, meter->tls, meter->num_resumed);
    }
    printf("}\n");
}

static double share(double value, double of) { return of > 0 ? value / of : 0; }

void peer_meter_report(struct peer_meter *meter, const char *peer, const char *how) {
    const struct peer_mark *from = &meter->first;
    const struct peer_mark *to = &meter->last;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double requests = (double)(to->num_done - from->num_done);
    double bytes = (double)(to->bytes_in - from->bytes_in);
    double seconds = (double)(to->now_ns - from->now_ns) / 1e9;
    double user_us = (double)(to->user_ns - from->user_ns) / 1e3;
    double system_us = (double)(to->system_ns - from->system_ns) / 1e3;
    printf("{\"peer\":\"%s\",\"how\":\"%s\",\"connections\":%u,\"requests\":%.0f,\"errors\":{},\"bytes_in\":%.0f,"
           "\"duration_s\":%.6f,\"rps\":%.1f,\"cpu_us_per_request\":%.4f,\"user_us_per_request\":%.4f,"
           "\"system_us_per_request\":%.4f,\"cpu_s_per_gb\":%.5f,\"max_rss_kib\":%ld",
           peer, how, meter->options->connections, requests, bytes, seconds, share(requests, seconds),
           share(user_us + system_us, requests), share(user_us, requests), share(system_us, requests),
           share((user_us + system_us) / 1e6, bytes / 1e9), usage.ru_maxrss);
    print_tls(meter);
}

void peer_meter_report_idle(struct peer_meter *meter, const char *peer, const char *how) {
    double connections = (double)meter->options->connections;
    malloc_trim(0); // what was freed is nobody's any more
    double rss = (double)resident_bytes() - (double)meter->rss_before;
    double heap = (double)heap_bytes() - (double)meter->heap_before;
    printf("{\"peer\":\"%s\",\"how\":\"%s\",\"connections\":%.0f,\"errors\":{},\"rss_bytes_per_connection\":%.1f,"
           "\"heap_bytes_per_connection\":%.1f",
           peer, how, connections, rss / connections, heap / connections);
    print_tls(meter);
}

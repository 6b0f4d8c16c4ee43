#include "bench/driver/options.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/quoit.h"

const char k_options_usage[] =
    "usage: quoit-bench [-c CONNECTIONS] [-t ENGINES] [-d SECONDS | -n REQUESTS] [OPTION]... URL...\n"
    "  -c CONNECTIONS       of all engines together, each with one request at a time (default 64)\n"
    "  -t ENGINES           each has a thread of its own (default 1)\n"
    "  -d SECONDS           begin requests for so long (default 10)\n"
    "  -n REQUESTS          or so many of them\n"
    "  --warmup SECONDS     before -d, not counted (default 0)\n"
    "  --producers THREADS  of each engine, each with a port of its own; with --mode port (default 1)\n"
    "  --fresh              a new connection for each request\n"
    "  --idle               open the connections, one request each, and tell what they hold in memory\n"
    "  --mode inline|port   events on the engine's thread, or by a port and a thread that drains it (default inline)\n"
    "  --caps-off MASK      engine features to do without (enum quoit_capability)\n"
    "  --spin US            look for work so long before each sleep\n"
    "  --cacert FILE        trust who is in there (PEM) for https, in place of the system's\n"
    "  --tls-version 12|13  speak this version alone\n"
    "  --resume             take up TLS sessions again; without it each connection has a full handshake\n"
    "  --json FILE          write the result as JSON (\"-\": to standard output, in place of the table)\n"
    "  --allow-errors       failed requests do not fail the run\n";

struct option {
    const char *name;
    const char *(*set)(struct options *options, const char *value);
};

static bool read_number(const char *text, uint64_t most, uint64_t *out) {
    char *end;
    unsigned long long number = strtoull(text, &end, 0);
    *out = number;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && number <= most;
}

static const char *set_connections(struct options *options, const char *value) {
    uint64_t number;
    if (!read_number(value, (uint64_t)OPTIONS_CONNECTIONS_MAX * OPTIONS_ENGINES_MAX, &number) || number == 0) {
        return "-c wants a number of connections";
    }
    options->connections = (unsigned)number;
    return NULL;
}

static const char *set_engines(struct options *options, const char *value) {
    uint64_t number;
    if (!read_number(value, OPTIONS_ENGINES_MAX, &number) || number == 0) {
        return "-t wants a number of engines, at most 64";
    }
    options->engines = (unsigned)number;
    return NULL;
}

static bool read_seconds(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == 0 && isfinite(*out) && *out > 0 && *out <= 86400;
}

static const char *set_seconds(struct options *options, const char *value) {
    return read_seconds(value, &options->seconds) ? NULL : "-d wants a positive number of seconds, at most a day";
}

static const char *set_warmup(struct options *options, const char *value) {
    return read_seconds(value, &options->warmup_s) ? NULL : "--warmup wants a positive number of seconds";
}

static const char *set_producers(struct options *options, const char *value) {
    uint64_t number;
    bool is_good = read_number(value, OPTIONS_PRODUCERS_MAX, &number) && number > 0;
    options->producers = (unsigned)number;
    return is_good ? NULL : "--producers wants a number of threads, at most 64";
}

static const char *set_requests(struct options *options, const char *value) {
    bool is_good = read_number(value, UINT64_MAX / 2, &options->num_requests) && options->num_requests > 0;
    return is_good ? NULL : "-n wants a positive number of requests";
}

static const char *set_mode(struct options *options, const char *value) {
    options->is_port = strcmp(value, "port") == 0;
    return options->is_port || strcmp(value, "inline") == 0 ? NULL : "--mode is inline or port";
}

static const char *set_spin(struct options *options, const char *value) {
    uint64_t number;
    bool is_good = read_number(value, 1000, &number);
    options->spin_us = (uint32_t)number;
    return is_good ? NULL : "--spin wants 0 to 1000";
}

static const char *set_capabilities_off(struct options *options, const char *value) {
    uint64_t number;
    bool is_good = read_number(value, UINT32_MAX, &number);
    options->capabilities_off = (uint32_t)number;
    return is_good ? NULL : "--caps-off wants a number";
}

static const char *set_cacert(struct options *options, const char *value) {
    options->cacert = value;
    return NULL;
}

static const char *set_tls_version(struct options *options, const char *value) {
    options->tls_version = strcmp(value, "12") == 0 ? QUOIT_TLS_1_2 : strcmp(value, "13") == 0 ? QUOIT_TLS_1_3 : 0;
    return options->tls_version > 0 ? NULL : "--tls-version is 12 or 13";
}

static const char *set_json(struct options *options, const char *value) {
    options->json = value;
    return NULL;
}

static const struct option k_options[] = {
    {"-c", set_connections}, {"-t", set_engines},  {"-d", set_seconds},
    {"-n", set_requests},    {"--mode", set_mode}, {"--caps-off", set_capabilities_off}, {"--spin", set_spin},
    {"--json", set_json},    {"--warmup", set_warmup}, {"--producers", set_producers},
    {"--cacert", set_cacert}, {"--tls-version", set_tls_version},
};

static const struct {
    const char *name;
    size_t offset;
} k_flags[] = {
    {"--allow-errors", offsetof(struct options, allows_errors)},
    {"--fresh", offsetof(struct options, is_fresh)},
    {"--idle", offsetof(struct options, is_idle)},
    {"--resume", offsetof(struct options, resumes)},
};

static bool take_flag(struct options *options, const char *name) {
    for (size_t i = 0; i < sizeof k_flags / sizeof k_flags[0]; i++) {
        if (strcmp(name, k_flags[i].name) == 0) {
            *(bool *)((char *)options + k_flags[i].offset) = true;
            return true;
        }
    }
    return false;
}

static const char *take_option(struct options *options, const char *name, const char *value) {
    for (size_t i = 0; i < sizeof k_options / sizeof k_options[0]; i++) {
        if (strcmp(name, k_options[i].name) == 0) {
            return value == NULL ? "an option lacks its value" : k_options[i].set(options, value);
        }
    }
    return "there is no such option";
}

static const char *check(const struct options *options) {
    if (options->num_urls == 0) {
        return "there is no URL";
    }
    if (options->connections < options->engines) {
        return "each engine needs a connection";
    }
    if (options->warmup_s > 0 && options->num_requests > 0) {
        return "a warm-up goes with -d";
    }
    if (options->producers > 1 && !options->is_port) {
        return "producers go with --mode port";
    }
    if (options->is_idle && (options->engines > 1 || options->is_port || options->is_fresh || options->connections < 2)) {
        return "--idle is a run of its own, of one engine and two connections or more";
    }
    return options->connections / options->engines >= OPTIONS_CONNECTIONS_MAX ? "too many connections for an engine" : NULL;
}

const char *options_parse(int argc, char **argv, struct options *out) {
    *out = (struct options){.connections = 64, .engines = 1, .seconds = 10, .producers = 1};
    for (int i = 1; i < argc; i++) {
        const char *problem = NULL;
        if (take_flag(out, argv[i])) {
            continue;
        }
        if (argv[i][0] == '-') {
            problem = take_option(out, argv[i], argv[i + 1]); // argv ends with NULL
            i++;
        } else if (out->num_urls == OPTIONS_URLS_MAX) {
            problem = "too many URLs";
        } else {
            out->urls[out->num_urls++] = argv[i];
        }
        if (problem != NULL) {
            return problem;
        }
    }
    return check(out);
}

uint64_t options_part(uint64_t whole, unsigned i, unsigned parts) { return whole / parts + (i < whole % parts); }

#include "bench/driver/options.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char k_options_usage[] =
    "usage: quoit-bench [-c CONNECTIONS] [-t ENGINES] [-d SECONDS | -n REQUESTS] [OPTION]... URL...\n"
    "  -c CONNECTIONS       of all engines together, each with one request at a time (default 64)\n"
    "  -t ENGINES           each has a thread of its own (default 1)\n"
    "  -d SECONDS           begin requests for so long (default 10)\n"
    "  -n REQUESTS          or so many of them\n"
    "  --mode inline|port   events on the engine's thread, or by a port and a thread that drains it (default inline)\n"
    "  --caps-off MASK      engine features to do without (enum quoit_capability)\n"
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

static const char *set_seconds(struct options *options, const char *value) {
    char *end;
    options->seconds = strtod(value, &end);
    bool is_good = end != value && *end == 0 && isfinite(options->seconds) && options->seconds > 0 &&
                   options->seconds <= 86400;
    return is_good ? NULL : "-d wants a positive number of seconds, at most a day";
}

static const char *set_requests(struct options *options, const char *value) {
    bool is_good = read_number(value, UINT64_MAX / 2, &options->num_requests) && options->num_requests > 0;
    return is_good ? NULL : "-n wants a positive number of requests";
}

static const char *set_mode(struct options *options, const char *value) {
    options->is_port = strcmp(value, "port") == 0;
    return options->is_port || strcmp(value, "inline") == 0 ? NULL : "--mode is inline or port";
}

static const char *set_capabilities_off(struct options *options, const char *value) {
    uint64_t number;
    bool is_good = read_number(value, UINT32_MAX, &number);
    options->capabilities_off = (uint32_t)number;
    return is_good ? NULL : "--caps-off wants a number";
}

static const char *set_json(struct options *options, const char *value) {
    options->json = value;
    return NULL;
}

static const struct option k_options[] = {
    {"-c", set_connections}, {"-t", set_engines},  {"-d", set_seconds},
    {"-n", set_requests},    {"--mode", set_mode}, {"--caps-off", set_capabilities_off},
    {"--json", set_json},
};

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
    return options->connections / options->engines >= OPTIONS_CONNECTIONS_MAX ? "too many connections for an engine" : NULL;
}

const char *options_parse(int argc, char **argv, struct options *out) {
    *out = (struct options){.connections = 64, .engines = 1, .seconds = 10};
    for (int i = 1; i < argc; i++) {
        const char *problem = NULL;
        if (strcmp(argv[i], "--allow-errors") == 0) {
            out->allows_errors = true;
        } else if (argv[i][0] == '-') {
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

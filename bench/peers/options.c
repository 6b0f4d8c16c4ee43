#include "bench/peers/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const k_receives[] = {"single", "multishot", "bundle"};
static const char *const k_loops[] = {"poll", "socket"};
static const char *const k_versions[] = {"12", "13"};

static const char k_usage[] = "usage: %s -c CONNECTIONS (-n REQUESTS | -d SECONDS) [OPTION]... http[s]://ADDRESS:PORT/PATH\n"
                              "       %s --idle CONNECTIONS http[s]://ADDRESS:PORT/PATH\n"
                              "  -c CONNECTIONS    each with one request at a time\n"
                              "  -d SECONDS        behind a warm-up that is not counted\n"
                              "  -n REQUESTS       all of them counted\n"
                              "  --warmup SECONDS  before -d (default 0.3)\n"
                              "  --fresh           a new connection for each request\n"
                              "  --receive HOW     single, multishot or bundle (default multishot; io_uring alone)\n"
                              "  --loop WHICH      poll or socket (default poll; libcurl alone)\n"
                              "  --buffer BYTES    of one receive\n"
                              "  --buffers NUMBER  how many such buffers are shared; a power of two (io_uring alone)\n"
                              "  --cacert FILE     of those who are trusted, for https (bare_tls and libcurl alone)\n"
                              "  --tls-version N   12 or 13\n"
                              "  --resume          take up TLS sessions again\n";

static _Noreturn void refuse(const struct peer_options *options, const char *problem) {
    fprintf(stderr, "%s: %s\n", options->program, problem);
    fprintf(stderr, k_usage, options->program, options->program);
    exit(PEER_EXIT_USAGE);
}

static uint64_t number(const struct peer_options *options, const char *value, uint64_t most) {
    char *end = NULL;
    unsigned long long read = value != NULL ? strtoull(value, &end, 10) : 0;
    if (value == NULL || value[0] < '0' || value[0] > '9' || *end != 0 || read == 0 || read > most) {
        refuse(options, "a number is missing, zero or too large");
    }
    return read;
}

static double seconds(const struct peer_options *options, const char *value) {
    char *end = NULL;
    double read = value != NULL ? strtod(value, &end) : 0;
    if (value == NULL || end == value || *end != 0 || !isfinite(read) || read < 0 || read > 3600) {
        refuse(options, "a time is missing or none");
    }
    return read;
}

static unsigned word(const struct peer_options *options, const char *value, const char *const *words, unsigned count) {
    for (unsigned i = 0; value != NULL && i < count; i++) {
        if (strcmp(value, words[i]) == 0) {
            return i;
        }
    }
    refuse(options, "a word that is not one of the choices");
}

static void take(struct peer_options *options, const char *name, const char *value) {
    if (strcmp(name, "-c") == 0) {
        options->connections = (unsigned)number(options, value, PEER_CONNECTIONS_MAX);
    } else if (strcmp(name, "-n") == 0) {
        options->num_requests = number(options, value, UINT64_MAX / 2);
    } else if (strcmp(name, "-d") == 0) {
        options->seconds = seconds(options, value);
    } else if (strcmp(name, "--warmup") == 0) {
        options->warmup_s = seconds(options, value);
    } else if (strcmp(name, "--idle") == 0) {
        options->connections = (unsigned)number(options, value, PEER_CONNECTIONS_MAX);
        options->is_idle = true;
    } else if (strcmp(name, "--receive") == 0) {
        options->receive = word(options, value, k_receives, sizeof k_receives / sizeof k_receives[0]);
    } else if (strcmp(name, "--loop") == 0) {
        options->loop = word(options, value, k_loops, sizeof k_loops / sizeof k_loops[0]);
    } else if (strcmp(name, "--buffer") == 0) {
        options->buffer_bytes = (unsigned)number(options, value, 1 << 20);
    } else if (strcmp(name, "--buffers") == 0) {
        options->num_buffers = (unsigned)number(options, value, 1 << 15);
    } else if (strcmp(name, "--cacert") == 0) {
        if (value == NULL) {
            refuse(options, "a file is missing");
        }
        options->cacert = value;
    } else if (strcmp(name, "--tls-version") == 0) {
        options->tls_version = 12 + word(options, value, k_versions, sizeof k_versions / sizeof k_versions[0]);
    } else {
        refuse(options, "there is no such option");
    }
}

void peer_options_parse(struct peer_options *out, int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/');
    *out = (struct peer_options){.program = slash != NULL ? slash + 1 : argv[0],
                                 .warmup_s = 0.3,
                                 .receive = PEER_RECEIVE_MULTISHOT};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--fresh") == 0) {
            out->is_fresh = true;
        } else if (strcmp(argv[i], "--resume") == 0) {
            out->resumes = true;
        } else if (argv[i][0] == '-') {
            take(out, argv[i], argv[i + 1]); // argv ends with NULL
            i++;
        } else if (out->url != NULL) {
            refuse(out, "more than one URL");
        } else {
            out->url = argv[i];
        }
    }
    bool has_end = (out->num_requests > 0) != (out->seconds > 0);
    if (out->url == NULL || out->connections == 0 || (!out->is_idle && !has_end)) {
        refuse(out, "-c, one of -n and -d, and a URL are needed");
    }
    if (out->is_idle && (has_end || out->is_fresh)) {
        refuse(out, "--idle is a run of its own");
    }
    if ((out->num_buffers & (out->num_buffers - 1)) != 0) {
        refuse(out, "--buffers wants a power of two");
    }
    if (out->is_idle) {
        out->num_requests = out->connections;
    }
    if (out->num_requests > 0) {
        out->warmup_s = 0;
    }
}

const char *peer_options_receive_name(const struct peer_options *options) { return k_receives[options->receive]; }

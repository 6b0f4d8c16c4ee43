// fetch: gets one URL, written against api/quoit.h alone. The program that a user tries first.
//
//     fetch [-X METHOD] [-d BODY | -d @FILE] [-H 'k: v']... [-L] [--max-time SECONDS] URL
//
// The body goes to stdout as it arrives; one line of JSON about the response goes to stderr, last. The exit code is 0
// only for a complete response, of any status.
#include "api/examples/json_line.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 256
#define EVENTS_PER_DRAIN 32
#define REDIRECTS_MAX 20

struct arguments {
    const char *method; // NULL: by default
    const char *url;
    const char *body; // NULL: none
    size_t body_len;
    const char *headers[HEADERS_MAX];
    int num_headers;
    uint64_t max_time_ms; // 0: no bound
    bool follows;
};

static void usage(const char *problem) {
    fprintf(stderr, "fetch: %s\nusage: fetch [-X METHOD] [-d BODY | -d @FILE] [-H 'k: v']... [-L] [--max-time S] URL\n",
            problem);
    exit(2);
}

static bool read_body_file(const char *path, struct arguments *arguments) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    char *body = NULL;
    size_t size = 0;
    size_t len = 0;
    ssize_t got;
    do {
        if (len == size) {
            size = size == 0 ? 65536 : size * 2;
            char *larger = realloc(body, size);
            if (larger == NULL) {
                free(body);
                close(fd);
                return false;
            }
            body = larger;
        }
        got = read(fd, body + len, size - len);
        len += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    close(fd);
    if (got < 0) {
        free(body);
        return false;
    }
    arguments->body = body; // until the program ends
    arguments->body_len = len;
    return true;
}

static void set_body(struct arguments *arguments, const char *value) {
    if (value[0] != '@') {
        arguments->body = value;
        arguments->body_len = strlen(value);
    } else if (!read_body_file(value + 1, arguments)) {
        usage("the file of -d cannot be read");
    }
}

static void set_max_time(struct arguments *arguments, const char *value) {
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end != 0 || !isfinite(seconds) || seconds <= 0 || seconds > 864000) {
        usage("--max-time wants a positive number of seconds");
    }
    arguments->max_time_ms = (uint64_t)ceil(seconds * 1000);
}

static void add_header(struct arguments *arguments, const char *value) {
    if (arguments->num_headers == HEADERS_MAX) {
        usage("too many -H");
    }
    arguments->headers[arguments->num_headers++] = value;
}

static void parse_arguments(int argc, char **argv, struct arguments *out) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-') {
            if (out->url != NULL) {
                usage("more than one URL");
            }
            out->url = word;
            continue;
        }
        if (strcmp(word, "-L") == 0) {
            out->follows = true;
            continue;
        }
        const char *value = argv[i + 1];
        if (value == NULL) {
            usage("unknown option, or one without its value");
        }
        if (strcmp(word, "-X") == 0) {
            out->method = value;
        } else if (strcmp(word, "-d") == 0) {
            set_body(out, value);
        } else if (strcmp(word, "-H") == 0) {
            add_header(out, value);
        } else if (strcmp(word, "--max-time") == 0) {
            set_max_time(out, value);
        } else {
            usage("unknown option");
        }
        i++;
    }
    if (out->url == NULL) {
        usage("no URL");
    }
}

static int32_t add_field(struct quoit_request *request, const char *field) {
    const char *colon = strchr(field, ':');
    if (colon == NULL) {
        return QUOIT_ERR_INVALID_HEADER_NAME;
    }
    const char *value = colon + 1;
    while (*value == ' ' || *value == '\t') {
        value++;
    }
    return quoit_request_add_header(request, field, (size_t)(colon - field), value, strlen(value));
}

static int32_t build_request(const struct arguments *arguments, struct quoit_request **out) {
    const char *method = arguments->method;
    if (method == NULL) {
        method = arguments->body == NULL ? "GET" : "POST";
    }
    int32_t code = quoit_request_new(method, arguments->url, out);
    for (int i = 0; i < arguments->num_headers && code == QUOIT_OK; i++) {
        code = add_field(*out, arguments->headers[i]);
    }
    if (code == QUOIT_OK && arguments->body != NULL) {
        code = quoit_request_set_body(*out, arguments->body, arguments->body_len, NULL, NULL);
    }
    if (code == QUOIT_OK) {
        struct quoit_request_bounds bounds = {
            .struct_size = sizeof bounds, .total_ms = arguments->max_time_ms, .connect_ms = arguments->max_time_ms};
        code = quoit_request_set_bounds(*out, &bounds);
    }
    if (code == QUOIT_OK && arguments->follows) {
        struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = REDIRECTS_MAX};
        code = quoit_request_set_redirects(*out, &redirects);
    }
    return code;
}

static bool write_all(const char *data, size_t len) {
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, data, len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        data += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

struct fetch {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle;
    struct json_result result;
    bool is_closed;
};

static void take_head(struct fetch *fetch, const struct quoit_head *head) {
    fetch->result.status = head->status;
    fetch->result.http_version = head->http_version;
    free(fetch->result.headers);
    fetch->result.headers = json_headers(head->headers);
}

static void take_event(struct fetch *fetch, const struct quoit_event *event) {
    switch ((enum quoit_event_type)event->type) {
    case QUOIT_EVENT_HEAD: take_head(fetch, &event->u.head); break;
    case QUOIT_EVENT_DATA:
        if (fetch->result.failure.code == QUOIT_OK && !write_all(event->u.data.data, event->u.data.len)) {
            // Whoever read our output has gone; there is nobody to fetch for.
            fetch->result.failure = (struct quoit_failure){
                .code = QUOIT_ERR_CANCELED, .os_errno = errno, .phase = QUOIT_PHASE_BODY};
            quoit_cancel(fetch->engine, fetch->handle);
        }
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED:
        if (fetch->result.failure.code == QUOIT_OK) {
            fetch->result.failure = event->u.summary.failure;
        }
        quoit_engine_close(fetch->engine, 0);
        break;
    case QUOIT_EVENT_CLOSED: fetch->is_closed = true; break;
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_TRAILERS:
    case QUOIT_EVENT_UPGRADED: // these three come only to who asked for them
    case QUOIT_EVENT_ROOM:
    case QUOIT_EVENT_QUESTION: break;
    }
}

static int32_t run(struct fetch *fetch, struct quoit_request *request) {
    int32_t code = quoit_engine_create(NULL, &fetch->engine, &fetch->result.failure);
    if (code != QUOIT_OK) {
        return code;
    }
    code = quoit_port_create(fetch->engine, NULL, &fetch->port);
    if (code == QUOIT_OK) {
        code = quoit_submit(fetch->engine, fetch->port, request, 0, &fetch->handle);
    }
    if (code != QUOIT_OK) {
        return code; // the process ends with the engine
    }
    struct quoit_event events[EVENTS_PER_DRAIN];
    while (!fetch->is_closed) {
        int32_t count = quoit_port_wait(fetch->port, events, sizeof events[0], EVENTS_PER_DRAIN, -1);
        if (count < 0) {
            return -count;
        }
        for (int32_t i = 0; i < count; i++) {
            take_event(fetch, &events[i]);
        }
        quoit_port_advance(fetch->port);
    }
    return quoit_engine_destroy(fetch->engine);
}

int main(int argc, char **argv) {
    struct arguments arguments = {0};
    parse_arguments(argc, argv, &arguments);
    signal(SIGPIPE, SIG_IGN); // a closed stdout is an error of write, not the end of the program

    struct fetch fetch = {0};
    struct quoit_request *request = NULL;
    int32_t code = build_request(&arguments, &request);
    if (code == QUOIT_OK) {
        code = run(&fetch, request);
    }
    quoit_request_release(request);
    if (fetch.result.failure.code == QUOIT_OK && code != QUOIT_OK) {
        fetch.result.failure = (struct quoit_failure){.code = code, .phase = QUOIT_PHASE_SUBMIT, .retry_safe = 1};
    }
    json_write_line(stderr, &fetch.result);
    free(fetch.result.headers);
    return fetch.result.failure.code == QUOIT_OK ? 0 : 1;
}

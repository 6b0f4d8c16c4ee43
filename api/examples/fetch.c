// fetch: gets one URL, written against api/quoit.h alone. The program that a user tries first.
//
//     fetch [OPTION]... URL
//
// The body goes to stdout as it arrives; one line of JSON about the response goes to stderr, last. The exit code is 0
// only for a complete response, of any status. Options: arguments.c; what all of it promises: README.md beside this file.
#include "api/examples/arguments.h"
#include "api/examples/deadline.h"
#include "api/examples/json_line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define EVENTS_PER_DRAIN 32
#define REDIRECTS_MAX 20
#define STDERR_GRACE_MS 1000 // behind the deadline, for who reads stderr at all

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

extern char **environ; // SSL_CERT_FILE and SSL_CERT_DIR, which Quoit takes from nowhere by itself

struct fetch {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle;
    struct json_result result;
    bool is_closed;
};

// The first failure is the one to tell.
static void fail(struct fetch *fetch, struct quoit_failure failure) {
    if (fetch->result.failure.code == QUOIT_OK) {
        fetch->result.failure = failure;
    }
}

// Reads what the options name. False: errno says why, *out_problem what it was for.
static bool read_files(struct arguments *arguments, const char **out_problem) {
    *out_problem = "the file of --cacert cannot be read";
    if (arguments->cacert != NULL) {
        arguments->roots = deadline_read_file(arguments->cacert, &arguments->roots_len);
    }
    bool is_read = arguments->cacert == NULL || arguments->roots != NULL;
    if (is_read && arguments->body_file != NULL) {
        *out_problem = "the file of -d cannot be read";
        arguments->body = deadline_read_file(arguments->body_file, &arguments->body_len);
        is_read = arguments->body != NULL;
    }
    return is_read;
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

static void free_body(void *context, const void *data, size_t len) {
    (void)context;
    (void)len;
    free((void *)(uintptr_t)data);
}

// A body that was read from a file is the request's from here on.
static int32_t set_body(const struct arguments *arguments, struct quoit_request *request) {
    bool is_ours = arguments->body_file != NULL;
    int32_t code = quoit_request_set_body(request, arguments->body, arguments->body_len, is_ours ? free_body : NULL, NULL);
    if (code != QUOIT_OK && is_ours) {
        free_body(NULL, arguments->body, arguments->body_len);
    }
    return code;
}

// An address goes before a network interface of that name.
static int32_t set_dial(const struct arguments *arguments, struct quoit_request *request) {
    char abstract[128] = {0};
    struct quoit_dial_options dial = {.struct_size = sizeof dial, .family = (uint32_t)arguments->family};
    const char *path = arguments->unix_path;
    if (path != NULL) {
        dial.unix_path = path;
        dial.unix_path_len = strlen(path);
    }
    if (path != NULL && path[0] == '@' && dial.unix_path_len < sizeof abstract) {
        memcpy(abstract + 1, path + 1, dial.unix_path_len - 1);
        dial.unix_path = abstract;
    }
    if (arguments->from != NULL && quoit_request_set_local_address(request, arguments->from) != QUOIT_OK) {
        dial.interface_name = arguments->from;
    }
    return quoit_request_set_dial(request, &dial);
}

static int32_t set_up_request(const struct arguments *arguments, struct quoit_request *request) {
    int32_t code = QUOIT_OK;
    for (int i = 0; i < arguments->num_headers && code == QUOIT_OK; i++) {
        code = add_field(request, arguments->headers[i]);
    }
    for (int i = 0; i < arguments->num_detours && code == QUOIT_OK; i++) {
        const struct detour *detour = &arguments->detours[i];
        code = quoit_request_connect_to(request, detour->host, detour->port, detour->connect_host,
                                        detour->connect_port);
    }
    if (code == QUOIT_OK) {
        code = set_dial(arguments, request);
    }
    if (code == QUOIT_OK && arguments->follows) {
        struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = REDIRECTS_MAX};
        code = quoit_request_set_redirects(request, &redirects);
    }
    if (code == QUOIT_OK && arguments->max_time_ms > 0) {
        uint64_t left_ms = deadline_left_ms();
        struct quoit_request_bounds bounds = {
            .struct_size = sizeof bounds, .total_ms = left_ms, .connect_ms = left_ms};
        code = left_ms == 0 ? QUOIT_ERR_TIMEOUT_TOTAL : quoit_request_set_bounds(request, &bounds);
    }
    return code;
}

// Plain HTTP that is not led elsewhere asks nobody who he is.
static bool may_speak_tls(const struct arguments *arguments) {
    return arguments->follows || strncasecmp(arguments->url, "http:", 5) != 0;
}

// Whom to trust, when that is not whom the system does.
static int32_t set_roots(const struct arguments *arguments, struct quoit_request *request) {
    struct quoit_tls *tls = NULL;
    int32_t code = quoit_tls_new(&tls);
    if (code == QUOIT_OK && arguments->roots_len == 0) {
        code = QUOIT_ERR_TLS_NO_ROOTS;
    } else if (code == QUOIT_OK) {
        code = quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, arguments->roots, arguments->roots_len);
    }
    if (code == QUOIT_OK) {
        code = quoit_tls_freeze(tls, NULL);
    }
    if (code == QUOIT_OK) {
        code = quoit_request_set_tls(request, tls);
    }
    quoit_tls_release(tls); // the request holds what is in it
    return code;
}

static int32_t build_request(const struct arguments *arguments, struct quoit_request **out) {
    const char *method = arguments->method;
    if (method == NULL) {
        method = arguments->body == NULL ? "GET" : "POST";
    }
    int32_t code = quoit_request_new(method, arguments->url, out);
    if (code == QUOIT_OK && arguments->body != NULL) {
        code = set_body(arguments, *out);
    } else if (arguments->body_file != NULL) {
        free_body(NULL, arguments->body, arguments->body_len);
    }
    if (code == QUOIT_OK && arguments->roots != NULL && may_speak_tls(arguments)) {
        code = set_roots(arguments, *out);
    }
    return code == QUOIT_OK ? set_up_request(arguments, *out) : code;
}

static void take_head(struct fetch *fetch, const struct quoit_head *head) {
    fetch->result.status = head->status;
    fetch->result.http_version = head->http_version;
    free(fetch->result.headers);
    fetch->result.headers = json_headers(head->headers);
}

// Whoever reads our output has gone, or does not read in time: there is nobody to fetch for.
static void give_up_output(struct fetch *fetch) {
    bool is_late = errno == EINTR;
    fail(fetch, (struct quoit_failure){.code = is_late ? QUOIT_ERR_TIMEOUT_TOTAL : QUOIT_ERR_CANCELED,
                                       .os_errno = is_late ? 0 : errno,
                                       .phase = QUOIT_PHASE_BODY});
    quoit_cancel(fetch->engine, fetch->handle);
}

static void take_data(struct fetch *fetch, const struct quoit_data *data) {
    if (fetch->result.failure.code == QUOIT_OK && !deadline_write(STDOUT_FILENO, data->data, data->len, 0)) {
        give_up_output(fetch);
    }
}

// What is told of a failure beside its code; it goes with the event.
static void keep_report(struct json_result *result, const struct quoit_tls_report *report) {
    result->message = report->message[0] == '\0' ? NULL : strdup(report->message);
    if (report->depth >= 0) {
        result->subject = strdup(report->subject);
        result->issuer = strdup(report->issuer);
        result->tls_depth = report->depth;
    }
}

static void take_end(struct fetch *fetch, const struct quoit_summary *summary) {
    if (summary->tls_report != NULL && fetch->result.failure.code == QUOIT_OK) {
        keep_report(&fetch->result, summary->tls_report);
    }
    fail(fetch, summary->failure);
    if (fetch->result.status == 0) {
        fetch->result.status = summary->status; // of a redirect that could not be followed: its head is not told
    }
    free(fetch->result.attempts);
    fetch->result.attempts = json_attempts(summary->dials, summary->num_dials);
    fetch->result.remote = summary->remote;
    fetch->result.tls_version = summary->tls_version;
    fetch->result.tls_cipher = summary->tls_cipher;
    fetch->result.tls_resumed = summary->tls_resumed;
    fetch->result.tls_handshake_ns = summary->tls_handshake_ns;
    memcpy(fetch->result.tls_alpn, summary->tls_alpn, sizeof fetch->result.tls_alpn);
    memcpy(fetch->result.spent_ns, summary->spent_ns, sizeof fetch->result.spent_ns);
    quoit_engine_close(fetch->engine, 0);
}

static void take_event(struct fetch *fetch, const struct quoit_event *event) {
    switch ((enum quoit_event_type)event->type) {
    case QUOIT_EVENT_HEAD: take_head(fetch, &event->u.head); break;
    case QUOIT_EVENT_DATA: take_data(fetch, &event->u.data); break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: take_end(fetch, &event->u.summary); break;
    case QUOIT_EVENT_CLOSED: fetch->is_closed = true; break;
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_TRAILERS:
    case QUOIT_EVENT_UPGRADED: // these three come only to who asked for them
    case QUOIT_EVENT_ROOM:
    case QUOIT_EVENT_KEY_LOG:
    case QUOIT_EVENT_QUESTION: break;
    }
}

static int32_t run(struct fetch *fetch, const struct arguments *arguments, struct quoit_request *request) {
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .environment = (const char *const *)environ,
                                           .dns_servers = arguments->dns_servers,
                                           .static_names = arguments->names,
                                           .static_names_count = arguments->num_names};
    int32_t code = quoit_engine_create(&options, &fetch->engine, &fetch->result.failure);
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

// A standard descriptor that is closed would be given out again, to a socket say, and then be written to as stdout.
static void fill_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) { // read-only: writing to it is an error still
            _exit(EXIT_FAILED);
        }
    }
}

// Ends the output: the line goes to stderr behind all of the body, also for who reads the one to its end before the
// other.
static int finish(struct fetch *fetch, int failed) {
    if (close(STDOUT_FILENO) != 0 && errno != EINTR) {
        fail(fetch, (struct quoit_failure){.code = QUOIT_ERR_CANCELED, .os_errno = errno, .phase = QUOIT_PHASE_BODY});
    }
    size_t len = 0;
    char *line = json_line(&fetch->result, &len);
    bool is_told = line != NULL && deadline_write(STDERR_FILENO, line, len, STDERR_GRACE_MS);
    free(line);
    free(fetch->result.headers);
    free(fetch->result.attempts);
    free(fetch->result.message);
    free(fetch->result.subject);
    free(fetch->result.issuer);
    return fetch->result.failure.code != QUOIT_OK ? failed : is_told ? 0 : EXIT_FAILED;
}

static int refuse(struct fetch *fetch, const char *problem) {
    fprintf(stderr, "fetch: %s\n%s", problem, k_usage);
    fail(fetch, (struct quoit_failure){.code = QUOIT_ERR_INVALID_ARGUMENT, .retry_safe = 1});
    return finish(fetch, EXIT_USAGE);
}

int main(int argc, char **argv) {
    struct fetch fetch = {0};
    struct arguments arguments = {0};
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); // a closed stdout is an error of write, not the end of the program
    const char *problem = arguments_parse(argc, argv, &arguments);
    if (problem != NULL) {
        return refuse(&fetch, problem);
    }
    if (arguments.max_time_ms > 0) {
        deadline_set(arguments.max_time_ms);
    }
    int32_t code = QUOIT_OK;
    if (!read_files(&arguments, &problem)) {
        if (errno != EINTR) {
            return refuse(&fetch, problem);
        }
        code = QUOIT_ERR_TIMEOUT_TOTAL;
    }
    struct quoit_request *request = NULL;
    code = code == QUOIT_OK ? build_request(&arguments, &request) : code;
    code = code == QUOIT_OK ? run(&fetch, &arguments, request) : code;
    quoit_request_release(request);
    free(arguments.roots);
    if (code != QUOIT_OK) {
        fail(&fetch, (struct quoit_failure){.code = code, .phase = QUOIT_PHASE_SUBMIT, .retry_safe = 1});
    }
    return finish(&fetch, EXIT_FAILED);
}

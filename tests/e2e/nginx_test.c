// The engine against Debian's nginx: files over keep-alive from several threads, every kind of answer, and a server
// that reloads and stops in the middle. And the fetch example, as a user runs it.
//
// All of it in C.UTF-8 and under a poisoned environment (tests/life/poison.h), from the moment that the process's first
// create has returned.
//
// Usage: nginx_test FETCH
#include "tests/engine/core/host.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load/load.h"
#include "bench/server/body.h"
#include "bench/server/gate.h"
#include "tests/bench/raw_client.h"
#include "tests/e2e/nginx.h"
#include "tests/life/life.h"
#include "tests/life/poison.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum { THREADS = 4, REQUESTS = SANITIZED ? 2000 : 20000, SIZES = 7 };

static const uint64_t k_sizes[SIZES] = {0, 1, 100, 1024, 16384, 65537, 1000000};

static const char *the_fetch;
static struct nginx nginx;
static struct host host;

static int start_nginx(void **state) {
    (void)state;
    nginx = nginx_start();
    for (int i = 0; i < SIZES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%llu.bin", (unsigned long long)k_sizes[i]);
        nginx_add_file(&nginx, name, k_sizes[i]);
    }
    struct quoit_engine first;
    struct quoit_port port;
    poison_set_locale();
    assert_int_equal(life_open(NULL, &first, &port), 0);
    assert_int_equal(life_shut(first, port), 0);
    return 0;
}

static int stop_nginx(void **state) {
    (void)state;
    nginx_stop(&nginx);
    return 0;
}

// struct rig is a load of THREADS threads, each with a port of its own, on one engine.
struct rig {
    struct quoit_engine engine;
    struct load *load;
    char urls[SIZES][HOST_URL_MAX];
    struct load_target targets[SIZES];
    unsigned fds_before;
};

static void rig_start(struct rig *rig, const char *folder) {
    int32_t error;
    rig->fds_before = raw_num_fds();
    struct quoit_engine_options options = {.struct_size = sizeof options, .connections_per_origin_max = 16};
    assert_int_equal(quoit_engine_create(&options, &rig->engine, NULL), QUOIT_OK);
    rig->load = load_open(rig->engine, THREADS, &error);
    assert_non_null(rig->load);
    for (int i = 0; i < SIZES; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%llu.bin", folder, (unsigned long long)k_sizes[i]);
        rig->targets[i] = (struct load_target){.url = nginx_url(&nginx, path, rig->urls[i], HOST_URL_MAX),
                                               .response_len = k_sizes[i]};
    }
}

static void rig_stop(struct rig *rig) {
    assert_int_equal(load_close(rig->load), QUOIT_OK);
    assert_int_equal(raw_num_fds(), rig->fds_before);
}

// The load, whose result is to be asserted on when no other thread is left that looks at it.
static void rig_play(struct rig *rig, uint64_t num, bool failures_expected, struct load_result *out,
                     _Atomic uint64_t *progress) {
    struct load_scenario scenario = {.targets = rig->targets,
                                     .num_targets = SIZES,
                                     .num_requests = num,
                                     .window = 8,
                                     .take_every = 5,
                                     .failures_expected = failures_expected};
    load_run(rig->load, &scenario, out, progress);
}

static void assert_played(uint64_t num, const struct load_result *result) {
    if (result->errors > 0) {
        fail_msg("%llu errors, the first: %s", (unsigned long long)result->errors, result->first_error);
    }
    assert_int_equal(result->done + result->failed, num);
}

static void rig_run(struct rig *rig, uint64_t num, bool failures_expected, struct load_result *out) {
    rig_play(rig, num, failures_expected, out, NULL);
    assert_played(num, out);
}

static struct quoit_engine_info info_of(const struct rig *rig) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(rig->engine, &info), QUOIT_OK);
    return info;
}

static void four_threads_get_files_of_all_sizes_over_keep_alive(void **state) {
    static struct rig rig;
    static struct load_result result;
    (void)state;
    rig_start(&rig, "");
    rig_run(&rig, REQUESTS, false, &result);
    assert_int_equal(result.done, REQUESTS);
    assert_true(info_of(&rig).connections_opened <= 16);
    rig_stop(&rig);
}

static void chunked_answers_come_whole(void **state) {
    static struct rig rig;
    static struct load_result result;
    (void)state;
    rig_start(&rig, "/ssi");
    rig_run(&rig, REQUESTS / 10, false, &result);
    assert_int_equal(result.done, REQUESTS / 10);
    rig_stop(&rig);
}

// nginx says Connection: close with the last answer of a connection, and closes it: no request is lost or sent twice.
static void connections_that_have_served_enough_are_left(void **state) {
    enum { NUM = 205 };
    char url[HOST_URL_MAX];
    (void)state;
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        host_fetch(&host, i, nginx_url(&nginx, "/few/1024.bin", url, sizeof url), 1024);
        assert_int_equal(host.records[i].summary.attempts, 1);
        assert_int_equal(host.records[i].summary.reused, i % NGINX_KEEPALIVE_REQUESTS != 0);
    }
    uint32_t expected = (NUM + NGINX_KEEPALIVE_REQUESTS - 1) / NGINX_KEEPALIVE_REQUESTS;
    assert_int_equal(host_info(&host).connections_opened, expected);
    host_stop(&host);
}

struct seen {
    char etag[128];
    char modified[128];
    char length[32];
    char coding[32];
};

static void copy_field(const struct quoit_headers *headers, const char *name, char *out, size_t size) {
    const char *value;
    size_t len;
    if (quoit_headers_get(headers, name, strlen(name), &value, &len) == 1 && len < size) {
        memcpy(out, value, len);
        out[len] = 0;
    }
}

static void see(struct host *from, const struct quoit_event *event) {
    struct seen *seen = from->context;
    if (event->type == QUOIT_EVENT_HEAD) {
        memset(seen, 0, sizeof *seen);
        copy_field(event->u.head.headers, "etag", seen->etag, sizeof seen->etag);
        copy_field(event->u.head.headers, "last-modified", seen->modified, sizeof seen->modified);
        copy_field(event->u.head.headers, "content-length", seen->length, sizeof seen->length);
        copy_field(event->u.head.headers, "transfer-encoding", seen->coding, sizeof seen->coding);
    }
}

static void add(struct quoit_request *request, const char *name, const char *value) {
    assert_int_equal(quoit_request_add_header(request, name, strlen(name), value, strlen(value)), QUOIT_OK);
}

static const struct host_record *answer(uint32_t index, struct quoit_request *request, uint16_t status, uint64_t len) {
    host_submit(&host, index, request);
    const struct host_record *record = host_wait(&host, index);
    host_assert_done(record, len);
    assert_int_equal(record->status, status);
    return record;
}

static void every_kind_of_answer_is_framed_right_on_one_connection(void **state) {
    char url[HOST_URL_MAX];
    struct seen seen = {0};
    uint32_t index = 0;
    (void)state;
    nginx_url(&nginx, "/65537.bin", url, sizeof url);
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    host.on_event = see;
    host.context = &seen;
    answer(index++, host_request("GET", url), 200, 65537);
    assert_string_equal(seen.length, "65537");
    struct seen first = seen;

    answer(index++, host_request("HEAD", url), 200, 0);
    assert_string_equal(seen.length, "65537"); // of what a GET would bring

    struct quoit_request *request = host_request("GET", url);
    add(request, "If-None-Match", first.etag);
    answer(index++, request, 304, 0);
    request = host_request("GET", url);
    add(request, "If-Modified-Since", first.modified);
    answer(index++, request, 304, 0);

    request = host_request("GET", url);
    add(request, "Range", "bytes=0-99");
    answer(index++, request, 206, 100);

    answer(index++, host_request("GET", nginx_url(&nginx, "/ssi/65537.bin", url, sizeof url)), 200, 65537);
    assert_string_equal(seen.coding, "chunked");
    assert_string_equal(seen.length, "");

    host_submit(&host, index, host_request("GET", nginx_url(&nginx, "/nowhere", url, sizeof url)));
    assert_int_equal(host_wait(&host, index)->end_type, QUOIT_EVENT_DONE);
    assert_int_equal(host.records[index].status, 404);
    index++;
    answer(index++, host_request("GET", nginx_url(&nginx, "/0.bin", url, sizeof url)), 200, 0);
    answer(index++, host_request("GET", nginx_url(&nginx, "/100.bin", url, sizeof url)), 200, 100);
    assert_int_equal(host_info(&host).connections_opened, 1);
    host_stop(&host);
}

struct shaker {
    _Atomic uint64_t progress;
    struct bench_gate over; // opened when the load has come to its end, whatever came of it
    uint64_t num_requests;
    int num_reloads;
};

static void *reload_now_and_then(void *argument) {
    struct shaker *shaker = argument;
    for (uint64_t i = 1; i <= 3; i++) {
        while (atomic_load(&shaker->progress) < shaker->num_requests / 5 * i) {
            if (bench_gate_wait(&shaker->over, -1, 1)) {
                return NULL;
            }
        }
        kill(nginx.pid, SIGHUP);
        shaker->num_reloads++;
    }
    return NULL;
}

static void a_reload_in_the_middle_loses_no_request(void **state) {
    static struct rig rig;
    static struct load_result result;
    pthread_t thread;
    (void)state;
    rig_start(&rig, "");
    struct shaker shaker = {.num_requests = REQUESTS / 2};
    bench_gate_init(&shaker.over);
    assert_int_equal(pthread_create(&thread, NULL, reload_now_and_then, &shaker), 0);
    rig_play(&rig, shaker.num_requests, true, &result, &shaker.progress);
    bench_gate_open(&shaker.over);
    pthread_join(thread, NULL);
    bench_gate_deinit(&shaker.over);
    assert_played(shaker.num_requests, &result);
    assert_int_equal(shaker.num_reloads, 3);
    // What died on its way was replayed; a fresh connection that dies under its first request is the one exception.
    assert_true(result.failed <= 16);
    rig_run(&rig, 100, true, &result);
    rig_stop(&rig);
}

static bool is_of_a_dead_server(int32_t code) {
    return code == QUOIT_ERR_CONNECTION_RESET || code == QUOIT_ERR_CONNECTION_CLOSED ||
           code == QUOIT_ERR_CONNECT_REFUSED || code == QUOIT_ERR_HTTP_TRUNCATED_HEAD ||
           code == QUOIT_ERR_HTTP_TRUNCATED_BODY;
}

// A server of its own: it does not come back.
static void a_server_that_stops_in_the_middle_is_told_in_typed_errors(void **state) {
    enum { NUM = 200 };
    char url[HOST_URL_MAX];
    (void)state;
    struct nginx doomed = nginx_start();
    nginx_add_file(&doomed, "x.bin", 1000000);
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        const char *path = i % 2 == 0 ? "/x.bin" : "/slow/x.bin"; // the latter are never done in time
        host_get(&host, i, nginx_url(&doomed, path, url, sizeof url));
    }
    host_wait_all(&host, 1);
    nginx_signal(&doomed, SIGTERM);
    nginx_wait(&doomed);
    host_wait_all(&host, NUM);
    uint32_t num_failed = 0;
    for (uint32_t i = 0; i < NUM; i++) {
        const struct quoit_summary *summary = &host.records[i].summary;
        if (host.records[i].end_type == QUOIT_EVENT_FAILED) {
            num_failed++;
            if (!is_of_a_dead_server(summary->failure.code)) {
                fail_msg("request %u: %s", i, quoit_error_name(summary->failure.code));
            }
        } else {
            host_assert_done(&host.records[i], 1000000);
        }
        assert_false(host.records[i].is_foreign);
    }
    assert_true(num_failed >= NUM / 2);
    host_until(&host, host_is_open, 0);
    host_stop(&host);
    nginx_stop(&doomed);
}

// --- the fetch example
// ------------------------------------------------------------------------------------------------

struct fetched {
    int exit_code;
    char *body;
    size_t body_len;
    char *report; // stderr
};

static char *read_all(FILE *file, size_t *out_len) {
    char *bytes = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&bytes, &size);
    int c;
    rewind(file);
    while ((c = fgetc(file)) != EOF) {
        fputc(c, memory);
    }
    fclose(memory);
    *out_len = size;
    return bytes;
}

static struct fetched fetch(const char *const *arguments) {
    struct fetched fetched = {0};
    const char *argv[16] = {the_fetch};
    posix_spawn_file_actions_t actions;
    FILE *body = tmpfile();
    FILE *report = tmpfile();
    pid_t pid;
    int status;
    size_t report_len;
    for (int i = 0; arguments[i] != NULL; i++) {
        argv[i + 1] = arguments[i];
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(body), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(report), STDERR_FILENO);
    assert_int_equal(posix_spawn(&pid, the_fetch, &actions, NULL, (char *const *)(uintptr_t)argv, poison_environment()), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    fetched.exit_code = WEXITSTATUS(status);
    fetched.body = read_all(body, &fetched.body_len);
    fetched.report = read_all(report, &report_len);
    fclose(body);
    fclose(report);
    return fetched;
}

static void fetched_free(struct fetched *fetched) {
    free(fetched->body);
    free(fetched->report);
}

// The last line of stderr is the report; it says `status` and `error` (as JSON).
static void assert_report(const struct fetched *fetched, int status, const char *error) {
    char expected[64];
    size_t len = strlen(fetched->report);
    assert_true(len > 2 && fetched->report[len - 1] == '\n' && fetched->report[len - 2] == '}');
    fetched->report[len - 1] = 0;
    const char *line = strrchr(fetched->report, '\n');
    line = line == NULL ? fetched->report : line + 1;
    snprintf(expected, sizeof expected, "{\"status\":%d,", status);
    assert_ptr_equal(strstr(line, expected), line);
    snprintf(expected, sizeof expected, "\"error\":%s", error);
    if (strstr(line, expected) == NULL) {
        fail_msg("%s is not in %s", expected, line);
    }
    assert_int_equal(fetched->exit_code != 0, strcmp(error, "null") != 0);
}

static void fetch_writes_the_body_and_one_line_of_json(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    for (int i = 0; i < SIZES * 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%llu.bin", i < SIZES ? "" : "/ssi", (unsigned long long)k_sizes[i % SIZES]);
        struct fetched fetched = fetch((const char *[]){nginx_url(&nginx, path, url, sizeof url), NULL});
        assert_report(&fetched, 200, "null");
        assert_int_equal(fetched.body_len, k_sizes[i % SIZES]);
        for (size_t at = 0; at < fetched.body_len; at++) {
            assert_int_equal((unsigned char)fetched.body[at], bench_server_body_byte(at));
        }
        assert_non_null(strstr(fetched.report, "\"http_version\":\"1.1\""));
        assert_non_null(strstr(fetched.report, "[\"Server\",\"nginx"));
        fetched_free(&fetched);
    }
}

static void fetch_takes_its_options_in_any_order(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    nginx_url(&nginx, "/1024.bin", url, sizeof url);
    struct fetched fetched = fetch((const char *[]){"-H", "Range: bytes=0-9", url, "--max-time", "10", NULL});
    assert_report(&fetched, 206, "null");
    assert_int_equal(fetched.body_len, 10);
    fetched_free(&fetched);
    fetched = fetch((const char *[]){url, "-X", "HEAD", NULL});
    assert_report(&fetched, 200, "null");
    assert_int_equal(fetched.body_len, 0);
    fetched_free(&fetched);
    fetched = fetch((const char *[]){"-d", "some=data", url, NULL}); // nginx allows no POST on a file
    assert_report(&fetched, 405, "null");
    fetched_free(&fetched);
    fetched = fetch((const char *[]){nginx_url(&nginx, "/nowhere", url, sizeof url), NULL});
    assert_report(&fetched, 404, "null");
    assert_true(fetched.body_len > 0);
    fetched_free(&fetched);
}

static void fetch_says_why_it_failed(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct nginx gone = nginx_start();
    nginx_add_file(&gone, "x.bin", 1000000);
    nginx_url(&gone, "/slow/x.bin", url, sizeof url);
    struct fetched fetched = fetch((const char *[]){"--max-time", "0.2", url, NULL});
    assert_report(&fetched, 200, "\"QUOIT_ERR_TIMEOUT_TOTAL\"");
    fetched_free(&fetched);
    nginx_stop(&gone);
    fetched = fetch((const char *[]){url, NULL});
    assert_report(&fetched, 0, "\"QUOIT_ERR_CONNECT_REFUSED\"");
    assert_int_equal(fetched.body_len, 0);
    fetched_free(&fetched);
    fetched = fetch((const char *[]){"no url", NULL});
    assert_report(&fetched, 0, "\"QUOIT_ERR_INVALID_URL\"");
    fetched_free(&fetched);
    fetched = fetch((const char *[]){"-H", "X: a\nY: b", url, NULL});
    assert_report(&fetched, 0, "\"QUOIT_ERR_INVALID_HEADER_VALUE\"");
    fetched_free(&fetched);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        POISONED_TEST(four_threads_get_files_of_all_sizes_over_keep_alive),
        POISONED_TEST(chunked_answers_come_whole),
        POISONED_TEST(connections_that_have_served_enough_are_left),
        POISONED_TEST(every_kind_of_answer_is_framed_right_on_one_connection),
        POISONED_TEST(fetch_writes_the_body_and_one_line_of_json),
        POISONED_TEST(fetch_takes_its_options_in_any_order),
        POISONED_TEST(fetch_says_why_it_failed),
        POISONED_TEST(a_reload_in_the_middle_loses_no_request),
        POISONED_TEST(a_server_that_stops_in_the_middle_is_told_in_typed_errors),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: nginx_test FETCH\n");
        return 2;
    }
    the_fetch = argv[1];

    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}

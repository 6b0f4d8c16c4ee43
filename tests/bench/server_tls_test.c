// The embedded server with TLS, seen by Debian's curl and openssl, which share no code with it: what plain clients get,
// they get, and every end is announced but the one that is not to be.
//
// Usage: server_tls_test SERVER
#include "tests/bench/server_fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/certs.h"
#include "tests/support/program.h"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304, ARGUMENTS_MAX = 32, URL_LEN = 256 };

// Exit codes of curl's.
enum { CURL_OK = 0, CURL_PARTIAL_FILE = 18, CURL_SSL_CONNECT = 35, CURL_RECV = 56, CURL_UNTRUSTED = 60 };

static const char *the_program;
static char *the_folder;
static char *the_roots; // a file
static struct q_cert *the_root;
static struct q_cert *the_leaves[2]; // ECDSA and RSA

static int make_certificates(void **state) {
    (void)state;
    the_folder = q_certs_folder_new();
    the_root = q_certs_authority(NULL, "bench", 1);
    the_roots = q_certs_write(the_folder, "roots.pem", the_root->pem);
    for (int i = 0; i < 2; i++) {
        struct q_certs_spec spec = {
            .alt_names = "IP:127.0.0.1", .key = i == 0 ? Q_CERTS_P256 : Q_CERTS_RSA_2048, .key_number = 2};
        the_leaves[i] = q_certs_make(the_root, &spec);
    }
    return 0;
}

static int remove_certificates(void **state) {
    (void)state;
    q_certs_folder_remove(the_folder);
    free(the_folder);
    free(the_roots);
    q_certs_free(the_leaves[0]);
    q_certs_free(the_leaves[1]);
    q_certs_free(the_root);
    return 0;
}

static struct bench_server *start(struct bench_server_options options, int leaf) {
    options.tls_cert = the_leaves[leaf]->pem;
    options.tls_key = the_leaves[leaf]->key_pem;
    return server_start(options);
}

// Runs curl with options (NULL ends them), and `path` at the server behind them.
static struct program_said curl(const struct bench_server *server, const char *path, ...) {
    const char *arguments[ARGUMENTS_MAX] = {"-q", "-sS", "--max-time", "30", "--cacert", the_roots};
    char url[URL_LEN];
    size_t num = 6;
    va_list more;
    va_start(more, path);
    for (const char *next = va_arg(more, const char *); next != NULL; next = va_arg(more, const char *)) {
        assert_true(num < ARGUMENTS_MAX - 2);
        arguments[num++] = next;
    }
    va_end(more);
    arguments[num] = bench_server_url(server, path, url, sizeof url);
    return program_run("/usr/bin/curl", arguments);
}

static void assert_said(const struct program_said *said, int exit_code) {
    if (said->exit_code != exit_code)
        fail_msg("curl: %d, not %d: %s", said->exit_code, exit_code, said->err);
}

static void assert_body(struct program_said said, uint64_t len) {
    assert_said(&said, CURL_OK);
    assert_int_equal(said.out_len, len);
    for (size_t i = 0; i < said.out_len; i++)
        if ((unsigned char)said.out[i] != bench_server_body_byte(i))
            fail_msg("byte %zu", i);
    program_free(&said);
}

static void assert_text(struct program_said said, const char *text) {
    assert_said(&said, CURL_OK);
    assert_string_equal(said.out, text);
    program_free(&said);
}

static void assert_fails(struct program_said said, int exit_code) {
    assert_said(&said, exit_code);
    program_free(&said);
}

static void bodies_of_all_sizes_and_framings_come_whole(void **state) {
    static const uint64_t k_sizes[] = {0, 1, 1024, 16383, 16384, 16385, 65537, 262144, 262145, 3000000};
    static const char *const k_ways[] = {
        "", "?chunked=1000", "?chunked=20000&trailers=1", "?close=1", "?close=2", "?close=3", "?drip=100000"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bench_server_options options = {.tls_version = i % 2 == 0 ? TLS_1_2 : TLS_1_3, .num_threads = 2};
        struct bench_server *server = start(options, i / 2);
        char path[64];
        for (size_t k = 0; k < sizeof k_sizes / sizeof k_sizes[0]; k++) {
            snprintf(path, sizeof path, "/size/%llu%s", (unsigned long long)k_sizes[k],
                     k_ways[(k + (size_t)i) % (sizeof k_ways / sizeof k_ways[0])]);
            assert_body(curl(server, path, NULL), k_sizes[k]);
        }
        assert_int_equal(counters(server).refusals, 0);
        bench_server_stop(server);
    }
}

static void versions_and_protocols_are_as_asked(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bench_server *server =
            start((struct bench_server_options){.tls_version = i == 0 ? TLS_1_2 : TLS_1_3}, 0);
        assert_fails(curl(server, "/size/1", i == 0 ? "--tlsv1.3" : "--tls-max", i == 0 ? "--tlsv1.3" : "1.2", NULL),
                     CURL_SSL_CONNECT);
        assert_text(curl(server, "/status/204", "-w", "%{http_version} %{ssl_verify_result} %{scheme}", NULL),
                    "1.1 0 HTTPS");
        bench_server_stop(server);
    }
    struct bench_server *server = start((struct bench_server_options){0}, 0);
    struct program_said said = curl(server, "/status/204", "-v", NULL);
    assert_non_null(strstr(said.err, "TLSv1.3"));
    assert_non_null(strstr(said.err, "http/1.1"));
    program_free(&said);
    char url[URL_LEN];
    assert_ptr_equal(strstr(bench_server_url(server, "/", url, sizeof url), "https://127.0.0.1:"), url);
    bench_server_stop(server);
}

static void requests_with_bodies_are_echoed_and_connections_kept(void **state) {
    (void)state;
    struct bench_server *server = start((struct bench_server_options){0}, 0);
    char url[URL_LEN];
    bench_server_url(server, "/echo", url, sizeof url);
    assert_text(curl(server, "/echo", "-d", "hello", url, NULL), "hellohello");
    assert_int_equal(counters(server).accepted, 1);
    assert_int_equal(counters(server).responses, 2);

    // Long enough for curl to ask first, and for several records in either direction.
    enum { LONG = 3000000 };
    char *text = malloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = 0;
    char *path = q_certs_write(the_folder, "body", text);
    char data[512];
    snprintf(data, sizeof data, "@%s", path);
    assert_text(curl(server, "/echo", "--data-binary", data, NULL), text);
    assert_text(curl(server, "/echo", "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "--data-binary",
                     data, NULL),
                text);
    assert_int_equal(counters(server).bytes_out > 2 * LONG, 1);
    free(path);
    free(text);
    bench_server_stop(server);
}

static void a_client_that_reads_slowly_gets_everything(void **state) {
    (void)state;
    struct bench_server *server = start((struct bench_server_options){0}, 0);
    assert_body(curl(server, "/size/12000000", "--limit-rate", "24M", NULL), 12000000);
    assert_body(curl(server, "/size/6000000?close=2", "--limit-rate", "12M", NULL), 6000000);
    bench_server_stop(server);
}

// Debian's openssl, which tells an end without close_notify from one with it, as curl does not. `more`: words behind
// its own.
static struct program_said s_client(const struct bench_server *server, const char *path, const char *more) {
    char command[1024];
    int len = snprintf(command, sizeof command,
                       "printf 'GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' |"
                       " timeout 30 openssl s_client -ign_eof -connect 127.0.0.1:%u -CAfile %s -verify_return_error %s",
                       path, bench_server_port(server), the_roots, more);
    assert_true(len > 0 && (size_t)len < sizeof command);
    return program_run("/bin/sh", (const char *[]){"-c", command, NULL});
}

static void an_end_is_announced_unless_it_is_a_cut(void **state) {
    static const struct {
        const char *path;
        bool is_cut;
    } k_cases[] = {
        {"/size/100?close=1", false},        {"/size/100?close=2", false},
        {"/size/100?close=3", false},        {"/size/100000?chunked=1000&close=1", false},
        {"/size/100000?fin_at=50000", true}, {"/size/100000?fin_at=50000&close=2", true},
        {"/size/100?fin_at=0", true},
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof k_cases / sizeof k_cases[0]; i++) {
        struct bench_server *server =
            start((struct bench_server_options){.tls_version = TLS_1_2 + (uint16_t)(i % 2)}, 0);
        struct program_said said = s_client(server, k_cases[i / 2].path, "");
        bool is_cut = strstr(said.err, "unexpected eof") != NULL;
        if (is_cut != k_cases[i / 2].is_cut || strstr(said.out, "Verify return code: 0 (ok)") == NULL)
            fail_msg("%s: %s", k_cases[i / 2].path, said.err);
        program_free(&said);
        until(counters(server).open == 0);
        bench_server_stop(server);
    }
}

static void a_reset_is_one(void **state) {
    (void)state;
    struct bench_server *server = start((struct bench_server_options){0}, 0);
    struct program_said said = curl(server, "/size/100000?reset_at=50000", NULL);
    assert_true(said.exit_code == CURL_RECV || said.exit_code == CURL_PARTIAL_FILE);
    program_free(&said);
    assert_int_equal(counters(server).resets, 1);
    bench_server_stop(server);
}

static void sessions_are_resumed_unless_told_not_to(void **state) {
    (void)state;
    char with[600];
    for (int i = 0; i < 4; i++) {
        struct bench_server_options options = {.tls_version = i / 2 == 0 ? TLS_1_2 : TLS_1_3,
                                               .tls_no_tickets = i % 2 == 1};
        struct bench_server *server = start(options, 0);
        for (int k = 0; k < 2; k++) {
            if (k == 1 && access(with + strlen("-sess_out "), F_OK) != 0) {
                assert_int_equal(i, 3); // by TLS 1.3 nothing but a ticket is a session
                break;
            }
            snprintf(with, sizeof with, "%s %s/session%d", k == 0 ? "-sess_out" : "-sess_in", the_folder, i);
            struct program_said said = s_client(server, "/size/1?close=1", with);
            bool is_reused = strstr(said.out, "Reused, TLSv1.") != NULL;
            if (is_reused != (k == 1 && i % 2 == 0) || strstr(said.out, "200 OK") == NULL)
                fail_msg("%d %d: %s", i, k, said.out);
            program_free(&said);
        }
        bench_server_stop(server);
    }
}

static void what_is_no_certificate_or_key_is_refused(void **state) {
    (void)state;
    const char *pem = the_leaves[0]->pem;
    const struct bench_server_options k_bad[] = {
        {.tls_cert = "nothing", .tls_key = the_leaves[0]->key_pem},
        {.tls_cert = pem, .tls_key = "nothing"},
        {.tls_cert = pem, .tls_key = NULL},
        {.tls_cert = pem, .tls_key = the_leaves[1]->key_pem},
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        errno = 0;
        assert_null(bench_server_start(&k_bad[i]));
        assert_int_equal(errno, EINVAL);
    }
}

static int connect_plain(const struct bench_server *server) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(bench_server_port(server))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void what_is_no_client_is_left(void **state) {
    (void)state;
    char bytes[256];
    struct bench_server *server = start((struct bench_server_options){.idle_close_ms = 50}, 0);
    assert_fails(curl(server, "/size/1", "--cacert", "/dev/null", NULL), 77); // curl has no root
    int fd = connect_plain(server);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), 27);
    ssize_t len;
    while ((len = read(fd, bytes, sizeof bytes)) > 0) // an alert
        assert_null(memmem(bytes, (size_t)len, "HTTP/", 5));
    close(fd);
    fd = connect_plain(server); // says nothing
    assert_int_equal(read(fd, bytes, sizeof bytes), 0);
    close(fd);
    until(counters(server).open == 0);
    assert_int_equal(counters(server).requests, 0);
    bench_server_stop(server);
}

// The program, with files, which prints its URL and ends with its standard input.
static void the_program_takes_files(void **state) {
    (void)state;
    char line[URL_LEN] = "";
    char command[1024];
    char *cert = q_certs_write(the_folder, "server.pem", the_leaves[0]->pem);
    char *key = q_certs_write(the_folder, "server.key", the_leaves[0]->key_pem);
    int to[2], from[2];
    assert_int_equal(pipe(to) | pipe(from), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execl(the_program, the_program, "--tls-cert", cert, "--tls-key", key, "--tls-version", "13", "--stdin", "1",
              (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    FILE *said = fdopen(from[0], "r");
    assert_non_null(fgets(line, sizeof line, said));
    line[strcspn(line, "\n")] = 0;
    snprintf(command, sizeof command, "%ssize/1000", line);
    assert_body(program_run("/usr/bin/curl",
                            (const char *[]){"-q", "-sS", "--max-time", "30", "--cacert", the_roots, command, NULL}),
                1000);
    close(to[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fclose(said);
    free(cert);
    free(key);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_all_sizes_and_framings_come_whole),
        cmocka_unit_test(versions_and_protocols_are_as_asked),
        cmocka_unit_test(requests_with_bodies_are_echoed_and_connections_kept),
        cmocka_unit_test(a_client_that_reads_slowly_gets_everything),
        cmocka_unit_test(an_end_is_announced_unless_it_is_a_cut),
        cmocka_unit_test(a_reset_is_one),
        cmocka_unit_test(sessions_are_resumed_unless_told_not_to),
        cmocka_unit_test(what_is_no_certificate_or_key_is_refused),
        cmocka_unit_test(what_is_no_client_is_left),
        cmocka_unit_test(the_program_takes_files),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: server_tls_test SERVER\n");
        return 2;
    }
    the_program = argv[1];
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}

#include "tests/e2e/nginx.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/server/body.h"

enum { WAIT_MS = 20000, STARTS_MAX = 5 };

static const char k_conf[] = "%sdaemon off;\n"
                             "pid %s/pid;\n"
                             "error_log %s/error.log;\n"
                             "worker_processes 2;\n"
                             "events { worker_connections 512; }\n"
                             "http {\n"
                             "%s"
                             "  default_type text/html;\n"
                             "  client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3;\n"
                             "  uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
                             "  keepalive_requests 1000000;\n"
                             "  server {\n"
                             "    listen 127.0.0.1:%u%s;\n"
                             "%s"
                             "    root %s/files;\n"
                             "    location /few/ { alias %s/files/; keepalive_requests %d; }\n"
                             "    location /ssi/ { alias %s/files/; ssi on; }\n"
                             "    location /slow/ { alias %s/files/; limit_rate 64k; }\n"
                             "  }\n"
                             "}\n";

// A port that was free a moment ago. Somebody may take it before nginx does: then it starts again with another.
static uint16_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void write_conf(const struct nginx *nginx, const struct nginx_more *more) {
    char path[NGINX_PATH_MAX + 32];
    const char *f = nginx->folder;
    snprintf(path, sizeof path, "%s/nginx.conf", f);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, k_conf, geteuid() == 0 ? "user root;\n" : "", f, f, more->http, f, f, f, f, f, nginx->port,
            more->listen, more->server, f, f, NGINX_KEEPALIVE_REQUESTS, f, f);
    assert_int_equal(fclose(file), 0);
}

static void run(const struct nginx *nginx) {
    char conf[NGINX_PATH_MAX + 32];
    char log[NGINX_PATH_MAX + 32];
    snprintf(conf, sizeof conf, "%s/nginx.conf", nginx->folder);
    snprintf(log, sizeof log, "%s/early.log", nginx->folder);
    prctl(PR_SET_PDEATHSIG, SIGTERM); // a test that crashes leaves nobody behind
    char *const arguments[] = {"nginx", "-c", conf, "-p", (char *)(uintptr_t)nginx->folder, "-e", log, NULL};
    char *const nothing[] = {NULL}; // the test's own environment may be one that nobody can read
    execve("/usr/sbin/nginx", arguments, nothing);
    _exit(127);
}

static bool answers(const struct nginx *nginx) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(nginx->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_connected;
}

// False: it has ended, most likely because the port was taken.
static bool come_up(struct nginx *nginx) {
    fflush(NULL);
    nginx->pid = fork();
    assert_true(nginx->pid >= 0);
    if (nginx->pid == 0) {
        run(nginx);
    }
    for (int left_ms = WAIT_MS; left_ms > 0; left_ms -= 5) {
        if (waitpid(nginx->pid, NULL, WNOHANG) == nginx->pid) {
            return false;
        }
        if (answers(nginx)) {
            return true;
        }
        poll(NULL, 0, 5);
    }
    fail_msg("nginx does not answer");
    return false;
}

struct nginx nginx_start(void) {
    return nginx_start_with(&(struct nginx_more){.http = "  access_log off;\n", .listen = "", .server = ""});
}

struct nginx nginx_start_with(const struct nginx_more *more) {
    struct nginx nginx = {.scheme = more->listen[0] == 0 ? "http" : "https"};
    char files[NGINX_PATH_MAX + 32];
    static const char *base;
    if (base == NULL) { // the first time only: later ones may come under a poisoned environment
        base = getenv("TEST_TMPDIR") != NULL ? getenv("TEST_TMPDIR") : "/tmp";
    }
    snprintf(nginx.folder, sizeof nginx.folder, "%s/nginx.XXXXXX", strlen(base) < 90 ? base : "/tmp");
    assert_non_null(mkdtemp(nginx.folder));
    snprintf(files, sizeof files, "%s/files", nginx.folder);
    assert_int_equal(mkdir(files, 0755), 0);
    bool is_up = false;
    for (int i = 0; i < STARTS_MAX && !is_up; i++) {
        nginx.port = free_port();
        write_conf(&nginx, more);
        is_up = come_up(&nginx);
    }
    assert_true(is_up);
    return nginx;
}

void nginx_add_file(const struct nginx *nginx, const char *name, uint64_t len) {
    char path[NGINX_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/files/%s", nginx->folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (uint64_t i = 0; i < len; i++) {
        fputc(bench_server_body_byte(i), file);
    }
    assert_int_equal(fclose(file), 0);
}

char *nginx_url(const struct nginx *nginx, const char *path, char *out, size_t size) {
    int len = snprintf(out, size, "%s://127.0.0.1:%u%s", nginx->scheme, nginx->port, path);
    assert_true(len > 0 && (size_t)len < size);
    return out;
}

void nginx_signal(const struct nginx *nginx, int number) {
    assert_int_equal(kill(nginx->pid, number), 0);
}

void nginx_wait(struct nginx *nginx) {
    assert_int_equal(waitpid(nginx->pid, NULL, 0), nginx->pid);
    nginx->pid = 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *where) {
    (void)stat;
    (void)type;
    (void)where;
    return remove(path);
}

void nginx_stop(struct nginx *nginx) {
    if (nginx->pid != 0) {
        nginx_signal(nginx, SIGTERM);
        nginx_wait(nginx);
    }
    assert_int_equal(nftw(nginx->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

// http+unix, end to end: a server on a path, one on an abstract name, and what there is when nobody listens.
#include "tests/engine/core/host.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/server/server.h"

// struct rig is a host and a folder for sockets, named shortly: a path has 107 octets at most.
struct rig {
    struct host host;
    char folder[32];
};

static struct rig the_rig; // too large for a stack

static struct rig *rig_start(void) {
    memcpy(the_rig.folder, "/tmp/quoit-unix-XXXXXX", 23);
    assert_non_null(mkdtemp(the_rig.folder));
    host_start(&the_rig.host, NULL, NULL);
    return &the_rig;
}

static void rig_stop(struct rig *rig) {
    host_stop(&rig->host);
    assert_int_equal(rmdir(rig->folder), 0); // nothing is left behind
}

static void path_of(const struct rig *rig, const char *name, char out[64]) {
    snprintf(out, 64, "%s/%s", rig->folder, name);
}

// url_of writes the URL of `target` on the socket `name` in the rig's folder.
static const char *url_of(const struct rig *rig, const char *credentials, const char *name, const char *target) {
    static char url[HOST_URL_MAX];
    int len = snprintf(url, sizeof url, "http+unix://%s", credentials);
    for (const char *at = rig->folder; *at != 0; at++) {
        len += snprintf(url + len, sizeof url - (size_t)len, *at == '/' ? "%%2F" : "%c", *at);
    }
    snprintf(url + len, sizeof url - (size_t)len, "%%2f%s%s", name, target);
    return url;
}

static struct bench_server *serve(const struct rig *rig, const char *name) {
    char address[64 + 8] = "unix:";
    path_of(rig, name, address + 5);
    struct bench_server *server = bench_server_start(&(struct bench_server_options){.address = address});
    assert_non_null(server);
    return server;
}

static void a_server_on_a_path_answers(void **state) {
    (void)state;
    struct rig *rig = rig_start();
    struct bench_server *server = serve(rig, "a sock");
    host_fetch(&rig->host, 0, url_of(rig, "", "a%20sock", "/size/100000"), 100000);
    host_get(&rig->host, 1, url_of(rig, "user:pass@", "a%20sock", "/headers?tag=x"));
    const struct host_record *record = host_wait(&rig->host, 1);
    assert_int_equal(record->status, 200);
    assert_ptr_equal(strstr(record->text, "GET /headers?tag=x HTTP/1.1\r\nHost: localhost\r\n"), record->text);
    assert_non_null(strstr(record->text, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
    assert_null(strstr(record->text, "sock"));
    assert_int_equal(record->summary.reused, 1);
    assert_int_equal(record->summary.remote.family, QUOIT_ADDRESS_UNIX);
    assert_int_equal(record->summary.remote.port, 0);
    bench_server_stop(server);
    rig_stop(rig);
}

static void each_path_has_connections_of_its_own(void **state) {
    (void)state;
    struct rig *rig = rig_start();
    struct bench_server *servers[2] = {serve(rig, "0"), serve(rig, "1")};
    for (uint32_t i = 0; i < 8; i++) {
        host_fetch(&rig->host, i, url_of(rig, "", i % 2 == 0 ? "0" : "1", "/size/10"), 10);
    }
    for (size_t i = 0; i < 2; i++) {
        struct bench_server_counters counters;
        bench_server_counters(servers[i], &counters);
        assert_int_equal(counters.accepted, 1);
        assert_int_equal(counters.requests, 4);
        bench_server_stop(servers[i]);
    }
    rig_stop(rig);
}

static void where_nobody_listens_there_is_an_error_with_the_kernels_word(void **state) {
    (void)state;
    struct rig *rig = rig_start();
    char path[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    path_of(rig, "stale", address.sun_path);
    int bound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bound, (struct sockaddr *)&address, sizeof address), 0);
    path_of(rig, "folder", path);
    assert_int_equal(mkdir(path, 0700), 0);
    static const struct {
        const char *name;
        int32_t code;
        int os_errno;
    } k_rows[] = {
        {"missing", QUOIT_ERR_CONNECT_FAILED, ENOENT},
        {"stale", QUOIT_ERR_CONNECT_REFUSED, ECONNREFUSED},
        {"folder", QUOIT_ERR_CONNECT_REFUSED, ECONNREFUSED},
        {"folder%2Fno", QUOIT_ERR_CONNECT_FAILED, ENOENT},
    };
    for (uint32_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        host_get(&rig->host, i, url_of(rig, "", k_rows[i].name, "/"));
        const struct host_record *record = host_wait(&rig->host, i);
        host_assert_failed(record, k_rows[i].code, QUOIT_PHASE_CONNECT);
        assert_int_equal(record->summary.failure.os_errno, k_rows[i].os_errno);
        assert_int_equal(record->summary.failure.retry_safe, 1);
    }
    close(bound);
    assert_int_equal(unlink(address.sun_path) | rmdir(path), 0);
    rig_stop(rig);
}

// listen_abstractly makes an abstract socket that the kernel names (unix(7), autobind), and its URL.
static int listen_abstractly(struct sockaddr_un *address, socklen_t *len, char *url, size_t size) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(listener, 0), 0);
    *len = sizeof *address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)address, len), 0);
    assert_int_equal(address->sun_path[0], 0);
    int name_len = (int)(*len - offsetof(struct sockaddr_un, sun_path) - 1);
    snprintf(url, size, "http+unix://%%00%.*s/x", name_len, address->sun_path + 1);
    return listener;
}

static void an_abstract_socket_is_named_by_a_nul(void **state) {
    (void)state;
    static const char k_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct rig *rig = rig_start();
    char url[HOST_URL_MAX];
    char request[1024];
    struct sockaddr_un address;
    socklen_t address_len;
    int listener = listen_abstractly(&address, &address_len, url, sizeof url);
    host_get(&rig->host, 0, url);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    size_t len = 0;
    while (len < 4 || memcmp(request + len - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(peer, request + len, sizeof request - len, 0);
        assert_true(got > 0);
        len += (size_t)got;
    }
    assert_memory_equal(request, "GET /x HTTP/1.1\r\nHost: localhost\r\n", 34);
    assert_int_equal(send(peer, k_answer, sizeof k_answer - 1, MSG_NOSIGNAL), sizeof k_answer - 1);
    assert_int_equal(host_wait(&rig->host, 0)->status, 200);
    close(peer);
    close(listener);
    rig_stop(rig);
}

// A full backlog makes connect wait on a unix socket, where TCP would answer or time out by itself.
static void a_server_that_accepts_nobody_does_not_hold_up_the_end(void **state) {
    (void)state;
    struct rig *rig = rig_start();
    char url[HOST_URL_MAX];
    struct sockaddr_un address;
    socklen_t address_len;
    int listener = listen_abstractly(&address, &address_len, url, sizeof url);
    int filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(filler, (struct sockaddr *)&address, address_len), 0); // a backlog of 0 takes one
    struct quoit_request *request = host_request("GET", url);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .connect_ms = 50};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&rig->host, 0, request);
    host_assert_failed(host_wait(&rig->host, 0), QUOIT_ERR_TIMEOUT_CONNECT, QUOIT_PHASE_CONNECT);
    host_get(&rig->host, 1, url);
    host_get(&rig->host, 2, url);
    assert_int_equal(quoit_cancel(rig->host.engine, rig->host.records[1].handle), QUOIT_OK);
    assert_int_equal(host_wait(&rig->host, 1)->summary.failure.code, QUOIT_ERR_CANCELED);
    host_close_and_wait(&rig->host, 0); // with connects in flight
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(rig->host.records[i].num_ends, 1);
    }
    host_destroy(&rig->host);
    close(filler);
    close(listener);
    assert_int_equal(rmdir(rig->folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_on_a_path_answers),
        cmocka_unit_test(each_path_has_connections_of_its_own),
        cmocka_unit_test(where_nobody_listens_there_is_an_error_with_the_kernels_word),
        cmocka_unit_test(an_abstract_socket_is_named_by_a_nul),
        cmocka_unit_test(a_server_that_accepts_nobody_does_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

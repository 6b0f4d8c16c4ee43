// How a request's connections are made: the options of its sockets, where they go to, and what is told of those that did not
// come about. On the real kernel.
#define _GNU_SOURCE
#include "tests/engine/core/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "bench/server/server.h"

static struct host host;
static char the_url[HOST_URL_MAX];

static struct quoit_request *with(const char *url, struct quoit_dial_options options) {
    struct quoit_request *request = host_request("GET", url);
    options.struct_size = sizeof options;
    assert_int_equal(quoit_request_set_dial(request, &options), QUOIT_OK);
    return request;
}

// --- what is told ----------------------------------------------------------------------------------------------------

// The dials are told in an event, and are valid as long as it.
static struct quoit_dial the_dials[4];
static uint32_t num_dials;

static void note_dials(struct host *of, const struct quoit_event *event) {
    (void)of;
    if (event->type != QUOIT_EVENT_FAILED) {
        return;
    }
    num_dials = event->u.summary.num_dials;
    for (uint32_t i = 0; i < num_dials; i++) {
        the_dials[i] = (struct quoit_dial){.struct_size = sizeof the_dials[i]};
        assert_int_equal(quoit_dials_at(event->u.summary.dials, i, &the_dials[i]), QUOIT_OK);
    }
    struct quoit_dial none = {.struct_size = sizeof none};
    assert_int_equal(quoit_dials_at(event->u.summary.dials, num_dials, &none), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_dials_at(NULL, 0, &none), QUOIT_ERR_INVALID_ARGUMENT);
    none.struct_size = 3;
    assert_int_equal(quoit_dials_at(event->u.summary.dials, 0, &none),
                     num_dials > 0 ? QUOIT_ERR_INVALID_STRUCT_SIZE : QUOIT_ERR_INVALID_ARGUMENT);
}

static uint16_t closed_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void each_address_that_was_tried_is_told_with_its_errno(void **state) {
    (void)state;
    char path[] = "/tmp/quoit-hosts-XXXXXX";
    int fd = mkstemp(path);
    static const char k_hosts[] = "127.0.0.7 two.example\n127.0.0.8 two.example\n";
    assert_int_equal(write(fd, k_hosts, sizeof k_hosts - 1), sizeof k_hosts - 1);
    close(fd);
    host_start(&host, &(struct quoit_engine_options){.hosts_file = path}, NULL);
    host.on_event = note_dials;
    uint16_t port = closed_port();
    snprintf(the_url, sizeof the_url, "http://two.example:%u/", port);
    host_get(&host, 0, the_url);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_CONNECT_REFUSED, QUOIT_PHASE_CONNECT);
    assert_int_equal(num_dials, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(the_dials[i].code, QUOIT_ERR_CONNECT_REFUSED);
        assert_int_equal(the_dials[i].os_errno, ECONNREFUSED);
        assert_int_equal(the_dials[i].address.family, QUOIT_ADDRESS_IPV4);
        assert_int_equal(the_dials[i].address.port, port);
        assert_int_equal(the_dials[i].address.ip[3], 7 + i);
    }
    assert_true(the_dials[0].began_ns <= the_dials[1].began_ns);
    host_get(&host, 1, "http://no-such-name.invalid/");
    host_wait(&host, 1);
    assert_int_equal(num_dials, 0); // nothing was tried
    host_stop(&host);
    unlink(path);
}

// --- sockets ---------------------------------------------------------------------------------------------------------

static void options_are_a_part_of_what_a_connection_is(void **state) {
    static const struct quoit_dial_options k_options[] = {
        {0}, {.flags = QUOIT_DIAL_NAGLE}, {.keepalive_idle_s = QUOIT_DIAL_OFF, .user_timeout_ms = QUOIT_DIAL_OFF},
        {.flags = QUOIT_DIAL_FAST_OPEN}, {.interface_name = "lo"}, {.family = QUOIT_ADDRESS_IPV4},
    };
    enum { NUM = sizeof k_options / sizeof k_options[0] };
    static const uint32_t k_off[] = {0, QUOIT_CAP_DIRECT_SOCKET};
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/10", the_url, sizeof the_url);
    for (size_t off = 0; off < 2; off++) {
        host_start(&host, &(struct quoit_engine_options){.capabilities_off = k_off[off]}, NULL);
        for (uint32_t i = 0; i < 2 * NUM; i++) {
            host_submit(&host, i, with(the_url, k_options[i % NUM]));
            const struct host_record *record = host_wait(&host, i);
            host_assert_done(record, 10);
            assert_int_equal(record->summary.reused, i >= NUM);
        }
        assert_int_equal(host_info(&host).connections_opened, NUM);
        host_submit(&host, 2 * NUM, with(the_url, (struct quoit_dial_options){.interface_name = "nosuch0"}));
        host_assert_failed(host_wait(&host, 2 * NUM), QUOIT_ERR_OPTION_REFUSED, QUOIT_PHASE_CONNECT);
        assert_int_equal(host.records[2 * NUM].summary.failure.os_errno, ENODEV);
        host_submit(&host, 2 * NUM + 1, with(the_url, (struct quoit_dial_options){.family = QUOIT_ADDRESS_IPV6}));
        host_assert_failed(host_wait(&host, 2 * NUM + 1), QUOIT_ERR_NAME_NO_ADDRESS, QUOIT_PHASE_RESOLVE);
        host_submit(&host, 2 * NUM + 2, with(the_url, (struct quoit_dial_options){.mark = 7}));
        const struct host_record *marked = host_wait(&host, 2 * NUM + 2);
        if (marked->end_type == QUOIT_EVENT_FAILED) { // without the right to it
            host_assert_failed(marked, QUOIT_ERR_OPTION_REFUSED, QUOIT_PHASE_CONNECT);
            assert_int_equal(marked->summary.failure.os_errno, EPERM);
        }
        host_stop(&host);
    }
    bench_server_stop(server);
}

// --- elsewhere -------------------------------------------------------------------------------------------------------

// One connection is served: its request is read, and answered.
static void *serve_one(void *argument) {
    static const char k_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    char request[4096];
    int fd = accept4(*(int *)argument, NULL, NULL, SOCK_CLOEXEC);
    size_t len = 0;
    while (fd >= 0 && len < sizeof request) {
        ssize_t got = recv(fd, request + len, sizeof request - len, 0);
        len += got > 0 ? (size_t)got : 0;
        if (got <= 0 || (len >= 4 && memcmp(request + len - 4, "\r\n\r\n", 4) == 0)) {
            break;
        }
    }
    ssize_t sent = send(fd, k_answer, sizeof k_answer - 1, MSG_NOSIGNAL);
    (void)sent;
    close(fd);
    return NULL;
}

static void fetch_from(int listener, uint32_t index, struct quoit_dial_options options) {
    pthread_t thread;
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_one, &listener), 0);
    host_submit(&host, index, with("http://nobody.example/path", options));
    const struct host_record *record = host_wait(&host, index);
    pthread_join(thread, NULL);
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    assert_string_equal(record->text, "ok");
    close(listener);
}

static void a_unix_socket_takes_the_place_of_the_host(void **state) {
    (void)state;
    char folder[] = "/tmp/quoit-dial-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(local.sun_path, sizeof local.sun_path, "%s/socket", folder);
    host_start(&host, NULL, NULL);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&local, sizeof local), 0);
    fetch_from(listener, 0, (struct quoit_dial_options){.unix_path = local.sun_path, .unix_path_len = strlen(local.sun_path)});
    assert_int_equal(host.records[0].summary.remote.family, QUOIT_ADDRESS_UNIX);
    unlink(local.sun_path);
    rmdir(folder);

    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    int name_len = snprintf(abstract.sun_path + 1, sizeof abstract.sun_path - 1, "quoit-dial-%d", (int)getpid()) + 1;
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)name_len);
    assert_int_equal(bind(listener, (struct sockaddr *)&abstract, len), 0);
    fetch_from(listener, 1, (struct quoit_dial_options){.unix_path = abstract.sun_path, .unix_path_len = (size_t)name_len});
    host_stop(&host);
}

static void a_virtual_machines_port_takes_the_place_of_the_host(void **state) {
    (void)state;
    struct sockaddr_vm local = {.svm_family = AF_VSOCK, .svm_cid = 1, .svm_port = VMADDR_PORT_ANY}; // VMADDR_CID_LOCAL
    socklen_t len = sizeof local;
    int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&local, sizeof local) != 0) {
        print_message("no loopback of vsock here (%s): not run\n", quoit_errno_name(errno));
        if (listener >= 0) {
            close(listener);
        }
        skip();
    }
    assert_int_equal(getsockname(listener, (struct sockaddr *)&local, &len), 0);
    host_start(&host, NULL, NULL);
    fetch_from(listener, 0, (struct quoit_dial_options){.vsock_cid = 1, .vsock_port = local.svm_port});
    assert_int_equal(host.records[0].summary.remote.family, QUOIT_ADDRESS_VSOCK);
    host_stop(&host);
}

// --- misuse ----------------------------------------------------------------------------------------------------------

static void what_is_out_of_range_is_refused(void **state) {
    static const struct quoit_dial_options k_wrong[] = {
        {.family = 5},
        {.flags = 4},
        {.attempt_delay_ms = 99},
        {.attempt_delay_ms = 2001},
        {.keepalive_idle_s = 32768},
        {.keepalive_interval_s = QUOIT_DIAL_OFF},
        {.keepalive_count = 128},
        {.user_timeout_ms = 86400001},
        {.vsock_cid = 2},
        {.reserved = 1},
        {.interface_name = "sixteen-letters-"},
        {.interface_name = "a/b"},
        {.unix_path = "/run/x"},
        {.unix_path_len = 3},
        {.unix_path = "a\0b", .unix_path_len = 3},
        {.unix_path = "/run/x", .unix_path_len = 6, .vsock_port = 80},
    };
    (void)state;
    struct quoit_request *request = host_request("GET", "http://a/");
    for (size_t i = 0; i < sizeof k_wrong / sizeof k_wrong[0]; i++) {
        struct quoit_dial_options options = k_wrong[i];
        options.struct_size = sizeof options;
        assert_int_equal(quoit_request_set_dial(request, &options), QUOIT_ERR_INVALID_ARGUMENT);
    }
    struct quoit_dial_options good = {.struct_size = sizeof good, .attempt_delay_ms = 100};
    assert_int_equal(quoit_request_set_dial(NULL, &good), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_dial(request, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_request_set_dial(request, &good), QUOIT_OK);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    assert_int_equal(quoit_request_set_dial(request, &good), QUOIT_ERR_FROZEN);
    quoit_request_release(request);
    request = host_request("GET", "http+unix://%2Frun%2Fx/");
    good.unix_path = "/run/y";
    good.unix_path_len = 6;
    assert_int_equal(quoit_request_set_dial(request, &good), QUOIT_ERR_INVALID_ARGUMENT);
    quoit_request_release(request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_that_was_tried_is_told_with_its_errno),
        cmocka_unit_test(options_are_a_part_of_what_a_connection_is),
        cmocka_unit_test(a_unix_socket_takes_the_place_of_the_host),
        cmocka_unit_test(a_virtual_machines_port_takes_the_place_of_the_host),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

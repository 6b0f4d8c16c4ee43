// The descriptor thief (thief.h) through the making, the life and the end of engines on every rung and in every mode, and
// through creates that fail at each of their steps for want of a descriptor.
#include "tests/life/life.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "tests/life/thief.h"

enum {
    THEFTS_MAX = 512,   // of one engine's life; the scenario comes to a fifth of it
    FEW_MAX = 8,        // free descriptors with which a create is tried; the last ones are plenty
};

// --- what is stolen from -----------------------------------------------------------------------------------------------

static struct host host;

static struct {
    struct bench_server *server;
    char refused_url[HOST_URL_MAX];
} peers;

static int peers_start(void **state) {
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct bench_server *gone = bench_server_start(NULL);
    peers.server = bench_server_start(NULL);
    assert_true(gone != NULL && peers.server != NULL);
    host_route.bare_ports[0] = bench_server_port(gone);
    bench_server_url(gone, "/", peers.refused_url, sizeof peers.refused_url);
    bench_server_stop(gone);
    return 0;
}

static int peers_stop(void **state) {
    (void)state;
    bench_server_stop(peers.server);
    return 0;
}

static void get_path(uint32_t index, const char *path) {
    char url[HOST_URL_MAX];
    host_get(&host, index, bench_server_url(peers.server, path, url, sizeof url));
}

static void live(void) {
    static const char *const k_paths[] = {
        "/size/1000",           "/size/1000",          "/size/100?close=1",     "/size/100?close=2",
        "/size/100?close=3",    "/size/100?close=1",   "/size/100?reset_at=20", "/size/100?fin_at=20",
        "/size/9000?chunked=9", "/size/100?fin_at=0",  "/size/10?headers=200",  "/size/100000",
    };
    struct quoit_port second;
    uint32_t index = 0;
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        get_path(index, k_paths[i]);
        host_wait(&host, index++);
    }
    host_get(&host, index, peers.refused_url);
    assert_int_equal(host_wait(&host, index++)->summary.failure.code, QUOIT_ERR_CONNECT_REFUSED);
    get_path(index, "/size/1?silent=1");
    assert_int_equal(quoit_cancel(host.engine, host.records[index].handle), QUOIT_OK);
    host_wait(&host, index++);
    get_path(index, "/size/10"); // a connection that dies idle
    host_assert_done(host_wait(&host, index++), 10);
    bench_server_kill_connections(peers.server);
    host_until(&host, host_is_open, 0);
    for (uint32_t i = 0; i < 8; i++) { // at once
        get_path(index++, "/size/5000?close=1");
    }
    host_wait_all(&host, index);
    assert_int_equal(quoit_port_create(host.engine, NULL, &second), QUOIT_OK);
    get_path(index++, "/size/1?silent=1"); // in flight at the close
}

static void one_life(uint32_t engine_mode, uint32_t port_mode, uint32_t capabilities_off) {
    struct quoit_engine_options engine = {.mode = engine_mode, .capabilities_off = capabilities_off};
    struct quoit_port_options port = {.mode = port_mode};
    thief_begin(THEFTS_MAX);
    host_start(&host, &engine, &port);
    live();
    host_stop(&host);
    size_t num = thief_end();
    // The hosts file, the ring, the second port's eventfd at least; and each socket where they have numbers.
    size_t least = 3 + ((capabilities_off & QUOIT_CAP_DIRECT_SOCKET) != 0 ? 10 : 0);
    if (num < least) {
        fail_msg("only %zu numbers came free under the thief's eyes", num);
    }
}

static void no_rung_touches_a_number_that_it_gave_up(void **state) {
    (void)state;
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        one_life(QUOIT_ENGINE_THREAD, QUOIT_PORT_EVENTFD, life_rungs[rung]);
        one_life(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_EVENTFD, life_rungs[rung]);
    }
}

static void callbacks_on_the_loop_touch_none_either(void **state) {
    (void)state;
    one_life(QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE, 0);
    one_life(QUOIT_ENGINE_THREAD, QUOIT_PORT_INLINE, LIFE_ALL_OFF);
    one_life(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_INLINE, 0);
    one_life(QUOIT_ENGINE_HOST_DRIVEN, QUOIT_PORT_INLINE, LIFE_ALL_OFF);
}

static void a_probe_touches_none_either(void **state) {
    struct quoit_probe_result probe = {.struct_size = sizeof probe};
    (void)state;
    thief_begin(THEFTS_MAX);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(quoit_probe(&probe), QUOIT_OK);
        assert_int_equal(probe.failure.code, QUOIT_OK);
    }
    assert_true(thief_end() >= 3);
}

// --- too few descriptors -----------------------------------------------------------------------------------------------

static int fillers[THIEF_FLOOR];
static size_t num_fillers;

// Leaves `num_free` descriptors, all below THIEF_FLOOR.
static void fill_up(size_t num_free) {
    struct rlimit limit;
    num_fillers = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = THIEF_FLOOR;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) {
        fillers[num_fillers++] = fd;
    }
    assert_int_equal(errno, EMFILE);
    assert_true(num_fillers >= num_free);
    while (num_free-- > 0) {
        thief_close(fillers[--num_fillers]);
    }
}

static void empty_again(void) {
    struct rlimit limit;
    while (num_fillers > 0) {
        thief_close(fillers[--num_fillers]);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

// One engine with so few descriptors; true when it could be made, with a port.
static bool try_with(size_t num_free, uint32_t mode, uint32_t capabilities_off) {
    struct quoit_engine_options options = {
        .struct_size = sizeof options, .mode = mode, .capabilities_off = capabilities_off, .connections_max = 16};
    struct quoit_port_options inline_port = {
        .struct_size = sizeof inline_port, .mode = QUOIT_PORT_EVENTFD};
    struct quoit_engine engine;
    struct quoit_port port = {0};
    struct quoit_failure failure;
    thief_begin(THEFTS_MAX);
    fill_up(num_free);
    int32_t code = quoit_engine_create(&options, &engine, &failure);
    int32_t port_code = code == QUOIT_OK ? quoit_port_create(engine, &inline_port, &port) : code;
    empty_again();
    if (code == QUOIT_OK && port_code != QUOIT_OK) { // somebody must see the end
        assert_int_equal(quoit_port_create(engine, NULL, &port), QUOIT_OK);
    }
    if (code == QUOIT_OK && mode == QUOIT_ENGINE_HOST_DRIVEN) {
        assert_int_equal(quoit_engine_close(engine, 0), QUOIT_OK);
        while (quoit_engine_tick(engine) > 0 || quoit_engine_destroy(engine) == QUOIT_ERR_NOT_CLOSED) {
        }
    } else if (code == QUOIT_OK) {
        assert_int_equal(life_shut(engine, port), 0);
    }
    (void)thief_end();
    if (port_code != QUOIT_OK && port_code != QUOIT_ERR_FD_LIMIT) {
        fail_msg("with %zu descriptors: %s (%s)", num_free, quoit_error_name(port_code),
                 quoit_errno_name(failure.os_errno));
    }
    return port_code == QUOIT_OK;
}

static void a_create_that_lacks_a_descriptor_touches_none_either(void **state) {
    (void)state;
    unsigned before = life_num_fds();
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        for (uint32_t mode = QUOIT_ENGINE_THREAD; mode <= QUOIT_ENGINE_HOST_DRIVEN; mode++) {
            assert_false(try_with(0, mode, life_rungs[rung]));
            for (size_t num_free = 1; num_free < FEW_MAX; num_free++) {
                (void)try_with(num_free, mode, life_rungs[rung]);
            }
            assert_true(try_with(FEW_MAX, mode, life_rungs[rung]));
        }
    }
    assert_int_equal(life_num_fds(), before);
}

// What the other tests would not be worth a thing without: each fault, done on purpose, is seen.
static void the_thief_sees_what_is_done_to_him(void **state) {
    enum { NOTHING, CLOSED, REPLACED, READ, WRITTEN, SHUT, FLAGGED, FAULTS };
    static const char *const k_seen[FAULTS] = {NULL, "was closed", "somebody else's", "read", "written", "shut", "flags"};
    (void)state;
    for (int fault = 0; fault < FAULTS; fault++) {
        for (size_t thefts_behind = 0; thefts_behind < 8; thefts_behind += 7) { // seen at the end, or when he lets go
            int pair[2];
            int later[2];
            char byte;
            size_t exact;
            thief_begin(4);
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
            assert_int_equal(close(pair[0]), 0);
            switch (fault) {
            case CLOSED: assert_int_equal(thief_close(pair[0]), 0); break;
            case REPLACED: assert_int_equal(dup2(0, pair[0]), pair[0]); break;
            case READ: assert_int_equal(recv(pair[0], &byte, 1, 0), 1); break;
            case WRITTEN: assert_int_equal(send(pair[0], "x", 1, MSG_NOSIGNAL), 1); break;
            case SHUT: assert_int_equal(shutdown(pair[0], SHUT_WR), 0); break;
            case FLAGGED: assert_int_equal(fcntl(pair[0], F_SETFL, 0), 0); break;
            default: break;
            }
            assert_int_equal(thief_close(pair[1]), 0);
            for (size_t i = 0; i < thefts_behind; i++) {
                assert_int_equal(pipe2(later, O_CLOEXEC), 0);
                assert_int_equal(close(later[0]), 0);
                assert_int_equal(thief_close(later[1]), 0);
            }
            const char *damage = thief_stop(&exact);
            assert_true((damage == NULL) == (fault == NOTHING));
            assert_true(fault == NOTHING || strstr(damage, k_seen[fault]) != NULL || thefts_behind > 0);
            assert_int_equal(exact, 1 + thefts_behind);
            thief_close(fault == REPLACED || fault >= READ ? pair[0] : -1); // the thief left it to whoever has it
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_thief_sees_what_is_done_to_him),
        cmocka_unit_test(no_rung_touches_a_number_that_it_gave_up),
        cmocka_unit_test(callbacks_on_the_loop_touch_none_either),
        cmocka_unit_test(a_probe_touches_none_either),
        cmocka_unit_test(a_create_that_lacks_a_descriptor_touches_none_either),
    };
    return cmocka_run_group_tests(tests, peers_start, peers_stop);
}

// The descriptor thief. Right behind every close(2) in this process (the linker sends them all through __wrap_close) it
// takes the number that has just come free for a socket of its own, with a letter in it, and keeps it. Whoever acts on a
// number that is not his any more, closes twice, or reads, writes or registers late, does it to the thief, who looks at
// the end whether each of his is still his own: the same file, the letter unread, nothing written to it, both ways open.
//
// So it is done through the making, the life and the end of engines on every rung and in every mode, and through creates
// that fail at each of their steps for want of a descriptor.
#include "tests/life/life.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/server/server.h"

enum {
    THEFTS_MAX = 512,   // of one engine's life; the scenario comes to a fifth of it
    HIGH = 640,         // the thief's own numbers begin here, out of everybody's way
    FEW_MAX = 8,        // free descriptors with which a create is tried; the last ones are plenty
};

int __real_close(int fd);
int __wrap_close(int fd);

// struct theft is a number that was taken, one end of a pair; the other end lies high up.
struct theft {
    int fd;
    int far_end;
    ino_t file;
};

static struct {
    pthread_mutex_t lock;
    bool is_at_work;
    int pairs[THEFTS_MAX][2]; // made beforehand: a theft opens nothing
    struct theft thefts[THEFTS_MAX];
    size_t num_thefts;
    size_t num_exact; // thefts of just the number that was closed
    size_t num_missed;
} thief = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char k_letter[] = "not yours";

static void steal(int fd) {
    if (thief.num_thefts == THEFTS_MAX) {
        thief.num_missed++;
        return;
    }
    int *pair = thief.pairs[thief.num_thefts];
    int mine = fcntl(pair[0], F_DUPFD_CLOEXEC, fd);
    struct stat about;
    if (mine < 0 || fstat(mine, &about) != 0) {
        thief.num_missed++;
        return;
    }
    __real_close(pair[0]);
    thief.thefts[thief.num_thefts++] = (struct theft){.fd = mine, .far_end = pair[1], .file = about.st_ino};
    thief.num_exact += mine == fd;
}

int __wrap_close(int fd) {
    pthread_mutex_lock(&thief.lock);
    int result = __real_close(fd);
    int error = errno;
    if (thief.is_at_work && result == 0) {
        steal(fd);
    }
    pthread_mutex_unlock(&thief.lock);
    errno = error;
    return result;
}

static int move_up(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
    assert_true(high >= HIGH);
    __real_close(fd);
    return high;
}

static void thief_begin(void) {
    for (size_t i = 0; i < THEFTS_MAX; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(send(pair[1], k_letter, sizeof k_letter, MSG_NOSIGNAL), (ssize_t)sizeof k_letter);
        thief.pairs[i][0] = move_up(pair[0]);
        thief.pairs[i][1] = move_up(pair[1]);
    }
    pthread_mutex_lock(&thief.lock);
    thief.num_thefts = 0;
    thief.num_exact = 0;
    thief.num_missed = 0;
    thief.is_at_work = true;
    pthread_mutex_unlock(&thief.lock);
}

static void assert_still_mine(const struct theft *theft) {
    struct stat about;
    char text[2 * sizeof k_letter];
    if (fstat(theft->fd, &about) != 0) {
        fail_msg("number %d was closed under its new owner", theft->fd);
    }
    if (about.st_ino != theft->file) {
        fail_msg("number %d was closed under its new owner, and is somebody else's now", theft->fd);
    }
    if (recv(theft->fd, text, sizeof text, MSG_DONTWAIT) != (ssize_t)sizeof k_letter ||
        memcmp(text, k_letter, sizeof k_letter) != 0) {
        fail_msg("somebody has read from number %d, which was another's", theft->fd);
    }
    if (recv(theft->far_end, text, sizeof text, MSG_DONTWAIT) != -1 || errno != EAGAIN) {
        fail_msg("somebody has written to number %d, or shut it down, which was another's", theft->fd);
    }
    assert_int_equal(send(theft->fd, "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(send(theft->far_end, "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(fcntl(theft->fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(theft->fd, F_GETFL) & (O_NONBLOCK | O_ASYNC | O_APPEND), O_NONBLOCK);
}

// Looks at the loot, gives it back, and tells how much of it there was.
static size_t thief_end(void) {
    pthread_mutex_lock(&thief.lock);
    thief.is_at_work = false;
    pthread_mutex_unlock(&thief.lock);
    assert_int_equal(thief.num_missed, 0);
    for (size_t i = 0; i < thief.num_thefts; i++) {
        assert_still_mine(&thief.thefts[i]);
        __real_close(thief.thefts[i].fd);
        __real_close(thief.thefts[i].far_end);
    }
    for (size_t i = thief.num_thefts; i < THEFTS_MAX; i++) {
        __real_close(thief.pairs[i][0]);
        __real_close(thief.pairs[i][1]);
    }
    return thief.num_exact;
}

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
    thief_begin();
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
    thief_begin();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(quoit_probe(&probe), QUOIT_OK);
        assert_int_equal(probe.failure.code, QUOIT_OK);
    }
    assert_true(thief_end() >= 3);
}

// --- too few descriptors -----------------------------------------------------------------------------------------------

static int fillers[HIGH];
static size_t num_fillers;

// Leaves `num_free` descriptors, all below HIGH.
static void fill_up(size_t num_free) {
    struct rlimit limit;
    num_fillers = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = HIGH;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) {
        fillers[num_fillers++] = fd;
    }
    assert_int_equal(errno, EMFILE);
    assert_true(num_fillers >= num_free);
    while (num_free-- > 0) {
        __real_close(fillers[--num_fillers]);
    }
}

static void empty_again(void) {
    struct rlimit limit;
    while (num_fillers > 0) {
        __real_close(fillers[--num_fillers]);
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
    thief_begin();
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
    (void)state;
    int pair[2];
    char byte;
    thief_begin();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(thief.num_exact, 2);
    struct stat about;
    assert_int_equal(fstat(pair[0], &about), 0); // the number lives on, as the thief's
    assert_int_equal(about.st_ino, thief.thefts[0].file);
    assert_int_equal(recv(pair[0], &byte, 1, 0), 1); // reads what is not his
    assert_int_equal(__real_close(pair[1]), 0);      // closes what is not his
    assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(fstat(pair[1], &about), -1);
    thief.is_at_work = false;
    for (size_t i = 0; i < THEFTS_MAX; i++) {
        if (i > 1) {
            __real_close(thief.pairs[i][0]);
        }
        __real_close(thief.pairs[i][1]);
    }
    __real_close(pair[0]);
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

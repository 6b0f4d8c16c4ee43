// The gate of system calls. A seccomp filter that the creating thread installs on itself is inherited by the engine's
// thread: every system call but those for memory, time and futexes stops there until this test's supervisor has judged
// it. In its life the loop may enter the ring and register with it, and on lower rungs make a socket by number or read
// its own doorbell; nothing else, and never with a descriptor that is not its own. At the end it may close and signal
// what is its own, and exit.
//
// What goes through the ring is not seen here: the ledger of tests/support and the thief look at that. Where the kernel
// or a sandbox refuses such a filter the tests are not run, which is told, and is not a pass.
#include "tests/life/life.h"

#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/server/server.h"

enum {
    CALLS_MAX = 65536,
    FDS_MAX = 1024,
    PHASE_TEXT_MAX = 64,
};

// Newer than the headers of Debian 12.
#define ENTER_REGISTERED_RING (1u << 4)
#define REGISTER_USE_REGISTERED_RING (1u << 31)

enum phase { MAKING, LIVING, ENDING };

// struct call is one system call of a filtered thread.
struct call {
    enum phase phase;
    pid_t thread;
    int number;
    uint64_t args[4];
    const char *wrong; // NULL: may be
};

static struct {
    pthread_t maker;
    pthread_t supervisor;
    int listener;
    int stop; // eventfd
    int setup_errno;
    sem_t is_listening;
    sem_t may_create;
    _Atomic(int) phase; // enum phase
    uint32_t capabilities; // in use
    int port_fd;
    bool is_stranger[FDS_MAX]; // open before the engine was made
    size_t num_calls;
    struct call calls[CALLS_MAX];
} gate;

// --- judging -----------------------------------------------------------------------------------------------------------

static bool is_kind(int fd, const char *kind) {
    char path[64];
    char target[PHASE_TEXT_MAX] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 && strcmp(target, kind) == 0;
}

static bool is_stranger(int fd) { return fd < 0 || fd >= FDS_MAX || gate.is_stranger[fd]; }

static bool is_own_eventfd(int fd) { return !is_stranger(fd) && is_kind(fd, "anon_inode:[eventfd]"); }

// A socket that the loop has just made: connected to nobody, listening to nobody.
static bool is_new_socket(int fd) {
    int is_listening = 1;
    int type = 0;
    socklen_t len = sizeof is_listening;
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    return !is_stranger(fd) && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 &&
           is_listening == 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 && errno == ENOTCONN;
}

static bool has(uint32_t capability) { return (gate.capabilities & capability) != 0; }

static const char *judge_ring_call(const struct call *call) {
    bool is_enter = call->number == SYS_io_uring_enter;
    bool is_by_index = is_enter ? (call->args[3] & ENTER_REGISTERED_RING) != 0
                                : (call->args[1] & REGISTER_USE_REGISTERED_RING) != 0;
    if (has(QUOIT_CAP_HIDDEN_RING)) {
        if (!is_by_index) {
            return "is on the ring's number, which is hidden";
        }
    } else if (is_stranger((int)call->args[0]) || !is_kind((int)call->args[0], "anon_inode:[io_uring]")) {
        return "is not on its own ring";
    }
    uint64_t opcode = call->args[1] & ~(uint64_t)REGISTER_USE_REGISTERED_RING;
    if (!is_enter && call->phase == LIVING && opcode != IORING_REGISTER_FILES_UPDATE) {
        return "registers something else than a file in a slot";
    }
    return NULL;
}

static const char *judge_living(const struct call *call) {
    int fd = (int)call->args[0];
    switch (call->number) {
    case SYS_io_uring_enter:
    case SYS_io_uring_register: return judge_ring_call(call);
    case SYS_socket: return has(QUOIT_CAP_DIRECT_SOCKET) ? "sockets have no number here" : NULL;
    case SYS_setsockopt:
    case SYS_bind:
    case SYS_close:
        return has(QUOIT_CAP_DIRECT_SOCKET) ? "sockets have no number here"
               : is_new_socket(fd)          ? NULL
                                            : "is not on a socket that it has just made";
    case SYS_read:
        return has(QUOIT_CAP_FUTEX_DOORBELL) ? "the doorbell has no number here"
               : is_own_eventfd(fd)          ? NULL
                                             : "is not on its own doorbell";
    default: return "has no business in the loop";
    }
}

static const char *judge_ending(const struct call *call) {
    int fd = (int)call->args[0];
    switch (call->number) {
    case SYS_exit:
    case SYS_rt_sigprocmask: return NULL;
    case SYS_close:
        return is_own_eventfd(fd) || is_new_socket(fd) || (!is_stranger(fd) && is_kind(fd, "anon_inode:[io_uring]"))
                   ? NULL
                   : "closes what is not its own";
    case SYS_write: return fd == gate.port_fd && call->args[2] == sizeof(uint64_t) ? NULL : "is not on its port's eventfd";
    default: return judge_living(call);
    }
}

static void take_note(const struct seccomp_notif *notice) {
    struct call call = {.phase = atomic_load(&gate.phase), .thread = (pid_t)notice->pid, .number = notice->data.nr};
    for (int i = 0; i < 4; i++) {
        call.args[i] = notice->data.args[i];
    }
    // In the making everything may be that the other tests allow: no filter could be drawn tighter than the C library.
    call.wrong = call.phase == LIVING ? judge_living(&call) : call.phase == ENDING ? judge_ending(&call) : NULL;
    if (gate.num_calls < CALLS_MAX) {
        gate.calls[gate.num_calls++] = call;
    }
}

static void *supervise(void *argument) {
    static union {
        struct seccomp_notif notice;
        char room[4096]; // of later kernels, too
    } in;
    static union {
        struct seccomp_notif_resp answer;
        char room[4096];
    } out;
    (void)argument;
    struct pollfd waits[2] = {{.fd = gate.listener, .events = POLLIN}, {.fd = gate.stop, .events = POLLIN}};
    for (;;) {
        if (poll(waits, 2, -1) < 0 || (waits[0].revents & POLLIN) == 0) {
            if (waits[1].revents != 0 || (waits[0].revents & POLLHUP) != 0) {
                return NULL;
            }
            continue;
        }
        memset(&in, 0, sizeof in);
        if (ioctl(gate.listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0) {
            continue; // its thread is gone
        }
        take_note(&in.notice);
        memset(&out, 0, sizeof out);
        out.answer.id = in.notice.id;
        out.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void)ioctl(gate.listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
    }
}

// --- the gate ----------------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#define LET_PASS(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

// Gives the listener's descriptor, or a negated errno.
static int filter_this_thread(void) {
#if defined(OWN_ARCH)
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        LET_PASS(SYS_futex),
        LET_PASS(SYS_mmap),
        LET_PASS(SYS_munmap),
        LET_PASS(SYS_mprotect),
        LET_PASS(SYS_madvise),
        LET_PASS(SYS_brk),
        LET_PASS(SYS_clock_gettime),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof steps[0], .filter = steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -errno;
    }
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return fd < 0 ? -errno : (int)fd;
#else
    return -ENOSYS;
#endif
}

struct making {
    struct quoit_engine_options options;
    struct quoit_engine engine;
    int32_t code;
    void (*instead)(void); // of making an engine
};

static void *make_behind_the_gate(void *argument) {
    struct making *making = argument;
    int listener = filter_this_thread();
    gate.listener = listener;
    sem_post(&gate.is_listening);
    if (listener < 0) {
        return NULL;
    }
    sem_wait(&gate.may_create); // a futex, which passes
    if (making->instead != NULL) {
        making->instead();
    } else {
        making->code = quoit_engine_create(&making->options, &making->engine, NULL);
    }
    return NULL;
}

static void note_strangers(void) {
    for (int fd = 0; fd < FDS_MAX; fd++) {
        struct stat about;
        gate.is_stranger[fd] = fstat(fd, &about) == 0;
    }
}

// Makes an engine whose thread is behind the gate. False: no gate here.
static bool gate_begin(struct making *making) {
    gate.num_calls = 0;
    gate.port_fd = -1;
    gate.capabilities = 0;
    atomic_store(&gate.phase, MAKING);
    sem_init(&gate.is_listening, 0, 0);
    sem_init(&gate.may_create, 0, 0);
    gate.stop = eventfd(0, EFD_CLOEXEC);
    assert_true(gate.stop >= 0);
    assert_int_equal(pthread_create(&gate.maker, NULL, make_behind_the_gate, making), 0);
    sem_wait(&gate.is_listening);
    note_strangers();
    if (gate.listener < 0) {
        pthread_join(gate.maker, NULL);
        close(gate.stop);
        print_message("no filter of system calls here (%s): not run\n", quoit_errno_name(-gate.listener));
        return false;
    }
    assert_int_equal(pthread_create(&gate.supervisor, NULL, supervise, NULL), 0);
    sem_post(&gate.may_create);
    pthread_join(gate.maker, NULL);
    return true;
}

static void gate_end(void) {
    uint64_t one = 1;
    assert_int_equal(write(gate.stop, &one, sizeof one), sizeof one);
    pthread_join(gate.supervisor, NULL);
    close(gate.listener);
    close(gate.stop);
    sem_destroy(&gate.is_listening);
    sem_destroy(&gate.may_create);
}

// Counts the calls of `phase` with `number` (-1: all), and fails the test when one was wrong.
static size_t count_calls(enum phase phase, int number) {
    size_t count = 0;
    for (size_t i = 0; i < gate.num_calls; i++) {
        const struct call *call = &gate.calls[i];
        if (call->wrong != NULL) {
            fail_msg("system call %d (%llx, %llx, %llx) of the loop %s", call->number,
                     (unsigned long long)call->args[0], (unsigned long long)call->args[1],
                     (unsigned long long)call->args[2], call->wrong);
        }
        count += call->phase == phase && (number < 0 || call->number == number);
    }
    return count;
}

// --- tests -------------------------------------------------------------------------------------------------------------

static struct host host;

static void live(struct bench_server *server, const char *refused_url) {
    static const char *const k_paths[] = {
        "/size/1000",          "/size/1000",          "/size/300000",          "/size/100?close=1",
        "/size/100?close=2",   "/size/9000?chunked=9", "/size/100?reset_at=20", "/size/100?fin_at=20",
        "/size/10?headers=200", "/size/10?early=2",
    };
    char url[HOST_URL_MAX];
    uint32_t index = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
            host_get(&host, index, bench_server_url(server, k_paths[i], url, sizeof url));
            host_wait(&host, index++);
        }
        host_get(&host, index, refused_url);
        assert_int_equal(host_wait(&host, index++)->summary.failure.code, QUOIT_ERR_CONNECT_REFUSED);
        host_get(&host, index, "http://no-such-name.invalid/");
        assert_int_equal(host_wait(&host, index++)->end_type, QUOIT_EVENT_FAILED);
        struct quoit_request *request = host_request("GET", bench_server_url(server, "/size/1?silent=1", url, sizeof url));
        struct quoit_request_bounds bounds = {
            .struct_size = sizeof bounds, .total_ms = 20, .connect_ms = 20};
        assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
        host_submit(&host, index, request);
        assert_int_equal(host_wait(&host, index++)->summary.failure.code, QUOIT_ERR_TIMEOUT_TOTAL);
        for (int i = 0; i < 20; i++) {
            host_get(&host, index++, bench_server_url(server, "/size/20000", url, sizeof url));
        }
        host_wait_all(&host, index);
        bench_server_kill_connections(server);
        host_until(&host, host_is_open, 0);
    }
    host_get(&host, index, bench_server_url(server, "/size/1?silent=1", url, sizeof url)); // in flight at the close
}

// The host's own thread is not behind the gate; its engine's is.
static void host_start_behind_the_gate(const struct making *making, uint32_t port_mode) {
    struct quoit_port_options port = {.struct_size = sizeof port, .mode = port_mode};
    memset(&host, 0, sizeof host);
    pthread_mutex_init(&host.lock, NULL);
    pthread_cond_init(&host.noted, NULL);
    host.engine = making->engine;
    host.port_mode = port_mode;
    assert_int_equal(quoit_port_create(host.engine, &port, &host.port), QUOIT_OK);
}

static void one_rung(struct bench_server *server, const char *refused_url, uint32_t capabilities_off) {
    struct making making = {.options = {.struct_size = sizeof making.options, .capabilities_off = capabilities_off}};
    if (!gate_begin(&making)) {
        skip();
    }
    assert_int_equal(making.code, QUOIT_OK);
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(making.engine, &info), QUOIT_OK);
    gate.capabilities = info.capabilities;
    atomic_store(&gate.phase, LIVING);
    host_start_behind_the_gate(&making, QUOIT_PORT_EVENTFD);
    gate.port_fd = quoit_port_fd(host.port);
    live(server, refused_url);
    atomic_store(&gate.phase, ENDING);
    host_stop(&host);
    gate_end();

    assert_true(count_calls(MAKING, SYS_io_uring_setup) == 1);
    assert_true(count_calls(LIVING, SYS_io_uring_enter) > 20);
    assert_true(gate.num_calls < CALLS_MAX);
    bool has_sockets = (capabilities_off & QUOIT_CAP_DIRECT_SOCKET) != 0;
    assert_int_equal(count_calls(LIVING, SYS_socket) > 0, has_sockets);
    // The last request's socket may be between its two calls when the phase is turned.
    int num_closes = (int)count_calls(LIVING, SYS_close);
    assert_in_range((int)count_calls(LIVING, SYS_socket) - num_closes, 0, 1);
    assert_int_equal(count_calls(ENDING, SYS_exit), 1);
}

static void the_loop_calls_nothing_but_its_ring_on_every_rung(void **state) {
    char refused_url[HOST_URL_MAX];
    (void)state;
    struct bench_server *gone = bench_server_start(NULL);
    struct bench_server *server = bench_server_start(NULL);
    assert_true(gone != NULL && server != NULL);
    bench_server_url(gone, "/", refused_url, sizeof refused_url);
    bench_server_stop(gone);
    for (int rung = 0; rung < LIFE_RUNGS; rung++) {
        one_rung(server, refused_url, life_rungs[rung]);
    }
    bench_server_stop(server);
}

// What the other test would not be worth a thing without.
static void do_what_is_not_done(void) {
    char byte;
    ssize_t got = read(gate.stop, &byte, 0); // of a stranger
    (void)got;
    close(dup(0));
    (void)getppid();
}

static void the_gate_sees_what_is_not_done(void **state) {
    struct making making = {.instead = do_what_is_not_done};
    (void)state;
    gate.capabilities = LIFE_ALL_OFF;
    atomic_store(&gate.phase, MAKING);
    if (!gate_begin(&making)) {
        skip();
    }
    gate_end();
    size_t num_seen = 0;
    for (size_t i = 0; i < gate.num_calls; i++) {
        struct call call = gate.calls[i];
        call.phase = LIVING;
        gate.capabilities = LIFE_ALL_OFF & ~(uint32_t)QUOIT_CAP_FUTEX_DOORBELL;
        bool is_mine = call.number == SYS_read || call.number == SYS_dup || call.number == SYS_close ||
                       call.number == SYS_getppid;
        num_seen += is_mine && judge_living(&call) != NULL;
    }
    assert_int_equal(num_seen, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gate_sees_what_is_not_done),
        cmocka_unit_test(the_loop_calls_nothing_but_its_ring_on_every_rung),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

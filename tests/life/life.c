#include "tests/life/life.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const uint32_t life_rungs[LIFE_RUNGS] = {
    0,
    QUOIT_CAP_DEFER_TASKRUN,
    QUOIT_CAP_HIDDEN_RING,
    QUOIT_CAP_DIRECT_SOCKET,
    QUOIT_CAP_FUTEX_DOORBELL,
    QUOIT_CAP_NO_IOWAIT,
    QUOIT_CAP_DIRECT_BIND,
    QUOIT_CAP_RECV_MULTISHOT,
    QUOIT_CAP_RECV_BUNDLE,
    LIFE_ALL_OFF,
};

int life_become_ordinary(void) {
    enum { FIRST = 20000, COUNT = 30000, NOBODY = 65534 };
    uint32_t id;
    if (geteuid() != 0) {
        return 0;
    }
    EXPECT(getrandom(&id, sizeof id, 0) == sizeof id);
    id = FIRST + id % COUNT;
    id = setresgid(id, id, id) == 0 ? id : NOBODY; // a user namespace may have no such one
    EXPECT(setgroups(0, NULL) == 0 && setgid(id) == 0 && setuid(id) == 0);
    return 0;
}

struct life_child life_child_begin(int (*run)(struct life_child *child, void *context), void *context) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        fail_msg("no socket pair");
    }
    fflush(NULL);
    struct life_child child = {.pid = fork(), .link = ends[0]};
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves no child behind
        close(ends[0]);
        child.link = ends[1];
        int line = run(&child, context);
        _exit(line == 0 ? 0 : 1);
    }
    close(ends[1]);
    return child;
}

static void say(struct life_child *child) {
    ssize_t sent = send(child->link, "x", 1, MSG_NOSIGNAL);
    (void)sent; // who has ended already needs not hear it
}

static bool hear(struct life_child *child) {
    struct pollfd wait = {.fd = child->link, .events = POLLIN};
    char said = 0;
    while (poll(&wait, 1, HOST_WAIT_MS) < 0 && errno == EINTR) {
    }
    return wait.revents != 0 && recv(child->link, &said, 1, MSG_DONTWAIT) == 1;
}

void life_child_say(struct life_child *child) { say(child); }

void life_child_hear(struct life_child *child) {
    if (!hear(child)) {
        fail_msg("the child ended, or hangs, before it had anything to say");
    }
}

void life_child_wait(struct life_child *child) { (void)hear(child); }

void life_child_let_go(struct life_child *child) {
    if (!child->is_let_go) {
        child->is_let_go = true;
        say(child); // its end closed would not do: a later child has a copy of it
    }
}

// The child's end goes with the child, whatever ends it: so the wait needs no clock and no signal.
int life_child_end(struct life_child *child) {
    struct pollfd wait = {.fd = child->link, .events = 0};
    int status = 0;
    life_child_let_go(child);
    while (poll(&wait, 1, 3 * HOST_WAIT_MS) < 0 && errno == EINTR) {
    }
    if (wait.revents == 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, &status, 0);
        fail_msg("the child does not end");
    }
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->link);
    return status;
}

void life_child_must_succeed(struct life_child *child) {
    int status = life_child_end(child);
    if (!WIFEXITED(status)) {
        fail_msg("the child was killed by signal %d", WTERMSIG(status));
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

void life_child_run(int (*run)(struct life_child *child, void *context), void *context) {
    struct life_child child = life_child_begin(run, context);
    life_child_must_succeed(&child);
}

int32_t life_ask(struct quoit_engine engine, struct quoit_port port, struct quoit_request *request) {
    struct quoit_event event;
    int32_t code = quoit_submit(engine, port, request, 1, NULL);
    if (code != QUOIT_OK) {
        return code;
    }
    for (;;) {
        if (quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) != 1) {
            return -1;
        }
        bool is_end = event.type == QUOIT_EVENT_DONE || event.type == QUOIT_EVENT_FAILED;
        code = event.u.summary.failure.code;
        if (quoit_port_advance(port) != QUOIT_OK) {
            return -1;
        }
        if (is_end) {
            return code;
        }
    }
}

int life_open(const struct quoit_engine_options *options, struct quoit_engine *out_engine,
              struct quoit_port *out_port) {
    struct quoit_failure failure;
    int32_t code = quoit_engine_create(options, out_engine, &failure);
    if (code != QUOIT_OK) {
        fprintf(stderr, "no engine: %s (%s)\n", quoit_error_name(code), quoit_errno_name(failure.os_errno));
    }
    EXPECT(code == QUOIT_OK);
    EXPECT(quoit_port_create(*out_engine, NULL, out_port) == QUOIT_OK);
    return 0;
}

int life_shut(struct quoit_engine engine, struct quoit_port port) {
    struct quoit_event event = {0};
    EXPECT(quoit_engine_close(engine, 0) == QUOIT_OK);
    while (event.type != QUOIT_EVENT_CLOSED) {
        EXPECT(quoit_port_wait(port, &event, sizeof event, 1, HOST_WAIT_MS) == 1);
        EXPECT(quoit_port_advance(port) == QUOIT_OK);
    }
    EXPECT(quoit_engine_destroy(engine) == QUOIT_OK);
    return 0;
}

int life_fetch(const struct quoit_engine_options *options, const char *url, unsigned num) {
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_request *request = NULL;
    EXPECT(life_open(options, &engine, &port) == 0);
    EXPECT(quoit_request_new("GET", url, &request) == QUOIT_OK);
    for (unsigned i = 0; i < num; i++) {
        int32_t code = life_ask(engine, port, request);
        if (code != QUOIT_OK) {
            fprintf(stderr, "request %u: %s\n", i, quoit_error_name(code));
        }
        EXPECT(code == QUOIT_OK);
    }
    quoit_request_release(request);
    return life_shut(engine, port);
}

int life_knock(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_true(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
    return fd;
}

// The stage does not tell it from a stream whose peer is only silent. What is fed does: it is refused for another reason.
void life_until_flushing(struct host *host, uint32_t index) {
    struct quoit_handle handle = host->records[index].handle;
    int32_t code = QUOIT_ERR_FEED_FULL;
    for (int left_ms = HOST_WAIT_MS; code == QUOIT_ERR_FEED_FULL && left_ms > 0; left_ms--) {
        if (host->engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host->engine) >= 0);
        }
        code = quoit_feed(host->engine, handle, "x", 1, NULL, NULL);
        poll(NULL, 0, code == QUOIT_ERR_FEED_FULL ? 1 : 0);
    }
    assert_int_equal(code, QUOIT_ERR_STALE_HANDLE);
    struct quoit_request_state lives = {.struct_size = sizeof lives};
    assert_int_equal(quoit_request_state(host->engine, handle, &lives), QUOIT_OK);
}

unsigned life_num_threads(void) {
    char line[128];
    unsigned num = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) {
        return 0;
    }
    while (num == 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "Threads: %u", &num);
    }
    fclose(file);
    return num;
}

unsigned life_num_fds(void) {
    unsigned num = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL) {
        num++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return num;
}

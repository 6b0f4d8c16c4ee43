#define _GNU_SOURCE
#include "tests/engine/loop/conformance/stage.h"

#include "engine/base/check.h"
#include "engine/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MOMENT_MS 30             // for what must not

// --- the simulated peer ------------------------------------------------------------------------------------------

static void peer_open(void *context, struct q_sim_conn *conn) { ((struct stage *)context)->conn = conn; }

static void peer_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    (void)conn;
    (void)data;
    ((struct stage *)context)->peer_got += len;
}

static void peer_fin(void *context, struct q_sim_conn *conn) {
    (void)conn;
    ((struct stage *)context)->peer_fin = true;
}

static void peer_reset(void *context, struct q_sim_conn *conn) {
    (void)conn;
    ((struct stage *)context)->peer_reset = true;
}

static const struct q_sim_peer k_peer = {
    .on_open = peer_open, .on_bytes = peer_bytes, .on_fin = peer_fin, .on_reset = peer_reset};

static struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void open_simulated_net(struct stage *stage) {
    stage->address = loopback(80);
    stage->nobody = loopback(81);
    q_sim_listen(stage->sim, "127.0.0.1", 80, &(struct q_sim_listener){.peer = &k_peer, .context = stage});
}

// --- the real one ------------------------------------------------------------------------------------------------

static int bound_socket(struct sockaddr_in *out) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *out = loopback(0);
    socklen_t len = sizeof *out;
    int failed = fd < 0 || bind(fd, (struct sockaddr *)out, sizeof *out) != 0 ||
                 getsockname(fd, (struct sockaddr *)out, &len) != 0;
    Q_CHECK(!failed);
    return fd;
}

static void open_real_net(struct stage *stage) {
    stage->listener = bound_socket(&stage->address);
    int failed = listen(stage->listener, 16);
    Q_CHECK(!failed);
    stage->closed_port = bound_socket(&stage->nobody); // bound and not listening: refuses
}

// Whether this kernel knows the number of `opcode`, and, if asked for, also does it.
static bool has_op(const struct stage *stage, unsigned opcode, bool does) {
    size_t size = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, size);
    int result = stage->sys->reg(stage->sys, stage->ring.fd, IORING_REGISTER_PROBE, probe, 256);
    bool has = result == 0 && opcode <= probe->last_op;
    has = has && (!does || (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0);
    free(probe);
    return has;
}

static bool has_socket_command(struct stage *stage) {
    int on = 1;
    struct io_uring_cqe cqe;
    q_rawring_socket(&stage->ring, 1, 0);
    bool has = q_rawring_await(&stage->ring, STAGE_WAIT_NS, &cqe) == 0;
    q_rawring_option(&stage->ring, 2, 0, SOL_SOCKET, SO_KEEPALIVE, &on);
    has = q_rawring_await(&stage->ring, STAGE_WAIT_NS, &cqe) == 0 && has;
    stage_end_slot(stage, 0);
    return has;
}

static bool has_all(struct stage *stage, unsigned needs) {
    bool has = true;
    has = has && ((needs & STAGE_NEEDS_FUTEX) == 0 || has_op(stage, Q_URING_OP_FUTEX_WAIT, true));
    has = has && ((needs & STAGE_NEEDS_BIND) == 0 || has_op(stage, Q_URING_OP_BIND, true));
    has = has && ((needs & STAGE_NEEDS_MULTISHOT) == 0 || has_op(stage, IORING_OP_SEND_ZC, false)); // 6.0
    has = has && ((needs & STAGE_NEEDS_BUNDLE) == 0 ||
                  (stage->ring.params.features & Q_URING_FEAT_RECVSEND_BUNDLE) != 0);
    has = has && ((needs & STAGE_NEEDS_REG_REG_RING) == 0 ||
                  (stage->ring.params.features & Q_URING_FEAT_REG_REG_RING) != 0);
    return has && ((needs & STAGE_NEEDS_SOCKET_COMMAND) == 0 || has_socket_command(stage));
}

// --- the stage ---------------------------------------------------------------------------------------------------

bool stage_open(struct stage *stage, bool real, unsigned needs) {
    memset(stage, 0, sizeof *stage);
    stage->listener = stage->closed_port = stage->peer = -1;
    if (!real) {
        stage->sim = q_sim_new(&(struct q_sim_options){0});
    }
    stage->sys = real ? q_sys_uring_real() : q_sim_sys(stage->sim);
    if (q_rawring_open(&stage->ring, stage->sys, Q_RAWRING_DEFAULT_FLAGS, 64, 128) != 0) {
        Q_CHECK(real);
        return false;
    }
    int failed = q_rawring_slots(&stage->ring, STAGE_SLOTS);
    failed = failed != 0 ? failed : q_rawring_buffers(&stage->ring, 0, STAGE_BUFFERS, STAGE_BUFFER_SIZE);
    Q_CHECK(failed == 0);
    if (real) {
        open_real_net(stage);
    } else {
        open_simulated_net(stage);
    }
    if (!has_all(stage, needs)) {
        stage_close(stage);
        return false;
    }
    return true;
}

void stage_close(struct stage *stage) {
    q_rawring_close(&stage->ring);
    if (stage->sim != NULL) {
        q_sim_free(stage->sim);
        return;
    }
    close(stage->listener);
    close(stage->closed_port);
    if (stage->peer >= 0) {
        close(stage->peer);
    }
}

void stage_note(struct stage *stage, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(stage->note + stage->note_len, sizeof stage->note - stage->note_len, format, args);
    va_end(args);
    Q_CHECK(len >= 0 && stage->note_len + (size_t)len < sizeof stage->note);
    stage->note_len += (size_t)len;
}

static void note_cqe(struct stage *stage, const struct io_uring_cqe *cqe) {
    const char *name = cqe->res == -ECANCELED ? "ECANCELED" : cqe->res < 0 ? strerrorname_np(-cqe->res) : NULL;
    if (name != NULL) {
        stage_note(stage, "%llu=%s", (unsigned long long)cqe->user_data, name);
    } else {
        stage_note(stage, "%llu=%d", (unsigned long long)cqe->user_data, cqe->res);
    }
    stage_note(stage, "%s%s%s ", (cqe->flags & IORING_CQE_F_BUFFER) != 0 ? "B" : "",
               (cqe->flags & IORING_CQE_F_MORE) != 0 ? "M" : "",
               (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0 ? "N" : "");
}

static void collect(struct stage *stage, unsigned count, bool sorted) {
    struct io_uring_cqe cqes[64];
    Q_CHECK(count <= Q_COUNT_OF(cqes));
    for (unsigned i = 0; i < count; i++) {
        if (q_rawring_await(&stage->ring, STAGE_WAIT_NS, &cqes[i]) == INT32_MIN) {
            stage_note(stage, "missing ");
            return;
        }
        for (unsigned at = i; sorted && at > 0 && cqes[at].user_data < cqes[at - 1].user_data; at--) {
            struct io_uring_cqe held = cqes[at];
            cqes[at] = cqes[at - 1];
            cqes[at - 1] = held;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        note_cqe(stage, &cqes[i]);
    }
}

void stage_note_cqes(struct stage *stage, unsigned count) { collect(stage, count, true); }
void stage_note_cqes_in_order(struct stage *stage, unsigned count) { collect(stage, count, false); }

void stage_note_quiet(struct stage *stage) {
    struct io_uring_cqe cqe;
    if (q_rawring_await(&stage->ring, MOMENT_MS * Q_NS_PER_MS, &cqe) == INT32_MIN) {
        stage_note(stage, "quiet ");
    } else {
        note_cqe(stage, &cqe);
    }
}

void stage_connect(struct stage *stage, unsigned slot) {
    struct io_uring_cqe cqe;
    q_rawring_socket(&stage->ring, 1000, slot)->flags |= IOSQE_IO_LINK;
    q_rawring_connect(&stage->ring, 1001, slot, (struct sockaddr *)&stage->address, sizeof stage->address);
    for (int i = 0; i < 2; i++) {
        int32_t result = q_rawring_await(&stage->ring, STAGE_WAIT_NS, &cqe);
        Q_CHECK(result == 0);
    }
    if (stage->sim == NULL) {
        if (stage->peer >= 0) {
            close(stage->peer);
        }
        stage->peer = accept4(stage->listener, NULL, NULL, SOCK_CLOEXEC);
        Q_CHECK(stage->peer >= 0);
    }
    stage->peer_fin = stage->peer_reset = false;
    stage->peer_got = 0;
}

void stage_end_slot(struct stage *stage, unsigned slot) {
    struct io_uring_cqe cqe;
    q_rawring_close_slot(&stage->ring, 1002, slot);
    while (q_rawring_await(&stage->ring, MOMENT_MS * Q_NS_PER_MS, &cqe) != INT32_MIN && cqe.user_data != 1002) {
        // what else ends
    }
}

// --- the peer ----------------------------------------------------------------------------------------------------

void stage_peer_send(struct stage *stage, const void *data, size_t len) {
    if (stage->sim != NULL) {
        q_sim_conn_send(stage->conn, data, len);
        q_sim_run_due(stage->sim);
        return;
    }
    ssize_t sent = send(stage->peer, data, len, MSG_NOSIGNAL);
    Q_CHECK(sent == (ssize_t)len);
}

void stage_peer_fin(struct stage *stage) {
    if (stage->sim != NULL) {
        q_sim_conn_fin(stage->conn);
        q_sim_run_due(stage->sim);
        return;
    }
    shutdown(stage->peer, SHUT_WR);
}

void stage_peer_reset(struct stage *stage) {
    if (stage->sim != NULL) {
        q_sim_run_due(stage->sim); // what was sent before is there before
        q_sim_conn_reset_now(stage->conn);
        return;
    }
    struct linger linger = {.l_onoff = 1};
    setsockopt(stage->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(stage->peer);
    stage->peer = -1;
}

static void look_at_real_peer(struct stage *stage) {
    char bytes[65536];
    for (;;) {
        struct pollfd poll_fd = {.fd = stage->peer, .events = POLLIN};
        if (poll(&poll_fd, 1, MOMENT_MS) == 0) {
            return;
        }
        ssize_t got = recv(stage->peer, bytes, sizeof bytes, 0);
        if (got <= 0) {
            stage->peer_fin = got == 0;
            stage->peer_reset = got < 0 && errno == ECONNRESET;
            return;
        }
        stage->peer_got += (size_t)got;
    }
}

void stage_note_peer(struct stage *stage) {
    if (stage->sim != NULL) {
        while (q_sim_step(stage->sim, q_sim_now(stage->sim) + MOMENT_MS * Q_NS_PER_MS)) {
            // what is on its way arrives
        }
    } else {
        look_at_real_peer(stage);
    }
    if (stage->peer_got > 0) {
        stage_note(stage, "peer: bytes %zu ", stage->peer_got);
    }
    if (stage->peer_fin || stage->peer_reset) {
        stage_note(stage, "peer: %s ", stage->peer_reset ? "reset" : "fin");
    } else if (stage->peer_got == 0) {
        stage_note(stage, "peer: nothing ");
    }
    stage->peer_got = 0;
}

void stage_peer_pause(struct stage *stage, bool paused) {
    if (stage->sim != NULL) {
        q_sim_conn_pause(stage->conn, paused);
    }
}

uint64_t stage_take_eventfd(struct stage *stage, int fd) {
    if (stage->sim != NULL) {
        return q_sim_eventfd_take(stage->sim, fd);
    }
    uint64_t count = 0;
    ssize_t got = read(fd, &count, sizeof count);
    return got == (ssize_t)sizeof count ? count : 0;
}

// --- playing -----------------------------------------------------------------------------------------------------

static void play(void **state) {
    const struct stage_script *script = *state;
    char note[sizeof((struct stage *)NULL)->note];
    struct stage *stage = malloc(sizeof *stage);
    if (!stage_open(stage, false, script->needs)) {
        fail_msg("the simulated kernel lacks what the script needs");
    }
    script->play(stage);
    memcpy(note, stage->note, sizeof note);
    stage_close(stage);
    assert_string_equal(note, script->expected);
    if (!stage_open(stage, true, script->needs)) {
        free(stage);
        skip(); // not run: this kernel cannot
    }
    script->play(stage);
    memcpy(note, stage->note, sizeof note);
    stage_close(stage);
    free(stage);
    assert_string_equal(note, script->expected);
}

int stage_run_scripts(const struct stage_script *scripts, size_t count) {
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = scripts[i].name, .test_func = play, .initial_state = (void *)(uintptr_t)&scripts[i]};
    }
    int failed = _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
    free(tests);
    return failed;
}

#include "bench/server/scripted.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/server/listener.h"
#include "bench/server/request.h"

enum {
    BACKLOG = 128,
    RECEIVED_MAX = 64 << 20, // of one connection; a client that sends more is cut off
    QUEUE_POLL_MS = 1,       // there is no event for an empty send queue
};

// struct player is one connection. `lock` of the server guards `state`, `closed` and `received`; the rest is the
// thread's.
struct player {
    struct bench_scripted *scripted;
    const struct bench_step *script;
    pthread_t thread;
    int fd;
    enum bench_script_state state;
    bool closed;
    struct bench_bytes received;
    size_t used; // bytes of `received` that steps have taken
    bool eof;
    size_t num_rounds;
};

struct bench_scripted {
    struct bench_listener listener;
    const struct bench_step *const *scripts;
    const struct bench_step *one[2]; // where `scripts` points for a single one
    pthread_t thread;
    int stop_fd; // readable from the moment that stop was called
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct player *players[BENCH_SCRIPTED_CONNECTIONS_MAX];
    unsigned num_players;
};

static int64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_state(struct player *player, enum bench_script_state state) {
    pthread_mutex_lock(&player->scripted->lock);
    if (player->state == BENCH_SCRIPT_RUNNING)
        player->state = state;
    pthread_cond_broadcast(&player->scripted->changed);
    pthread_mutex_unlock(&player->scripted->lock);
}

// fail notes why the script cannot go on; it returns false, for the caller to pass on.
static bool fail(struct player *player, enum bench_script_state state) {
    set_state(player, state);
    return false;
}

// wait_fd waits until the socket has one of `events`; false when the server stops or the time is up.
static bool wait_fd(struct player *player, short events, int timeout_ms) {
    struct pollfd polled[2] = {{.fd = player->fd, .events = events},
                               {.fd = player->scripted->stop_fd, .events = POLLIN}};
    int num;
    do {
        num = poll(polled, 2, timeout_ms);
    } while (num < 0 && errno == EINTR);
    return num > 0 && polled[1].revents == 0;
}

// receive waits for more bytes and keeps them. False: no more will come (`eof`), or stop or time (not `eof`).
static bool receive(struct player *player, int timeout_ms) {
    char buffer[16 * 1024];
    if (player->eof || !wait_fd(player, POLLIN, timeout_ms))
        return false;
    ssize_t len = recv(player->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    pthread_mutex_lock(&player->scripted->lock);
    if (len <= 0 || player->received.len > RECEIVED_MAX || !bench_bytes_add(&player->received, buffer, (size_t)len))
        player->eof = true;
    pthread_mutex_unlock(&player->scripted->lock);
    return !player->eof;
}

// need_more receives on behalf of a step that cannot do without.
static bool need_more(struct player *player) {
    if (receive(player, BENCH_SCRIPT_LIMIT_MS))
        return true;
    return fail(player, player->eof ? BENCH_SCRIPT_CLIENT_GONE : BENCH_SCRIPT_TIMED_OUT);
}

// unread points at the bytes that no step has taken yet. Only the player's own thread changes `received`, so it may
// read it without the lock.
static const char *unread(const struct player *player) {
    return player->received.at ? (const char *)player->received.at + player->used : "";
}

static bool expect_request(struct player *player) {
    struct bench_request request;
    int parsed;
    while ((parsed = bench_request_parse(&request, unread(player), player->received.len - player->used)) == 0) {
        if (!need_more(player))
            return false;
    }
    if (parsed < 0)
        return fail(player, BENCH_SCRIPT_MISMATCH);
    player->used += request.head.len;
    struct bench_body_reader reader;
    bench_body_reader_init(&reader, &request);
    for (;;) {
        player->used += bench_body_read(&reader, unread(player), player->received.len - player->used, NULL, 0);
        if (reader.failed)
            return fail(player, BENCH_SCRIPT_MISMATCH);
        if (reader.done)
            return true;
        if (!need_more(player))
            return false;
    }
}

static size_t step_len(const struct bench_step *step) {
    return step->len > 0 || !step->bytes ? step->len : strlen(step->bytes);
}

static bool expect_bytes(struct player *player, const struct bench_step *step) {
    size_t len = step_len(step);
    for (;;) {
        size_t held = player->received.len - player->used;
        if (memcmp(unread(player), step->bytes, held < len ? held : len) != 0)
            return fail(player, BENCH_SCRIPT_MISMATCH);
        if (held >= len)
            break;
        if (!need_more(player))
            return false;
    }
    player->used += len;
    return true;
}

static bool expect_close(struct player *player) {
    while (receive(player, BENCH_SCRIPT_LIMIT_MS)) {
    }
    return player->eof ? true : fail(player, BENCH_SCRIPT_TIMED_OUT);
}

static bool send_all(struct player *player, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(player->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            if (!wait_fd(player, POLLOUT, BENCH_SCRIPT_LIMIT_MS))
                return fail(player, BENCH_SCRIPT_TIMED_OUT);
        } else if (sent < 0 && errno != EINTR) {
            return fail(player, BENCH_SCRIPT_CLIENT_GONE);
        } else if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        }
    }
    return true;
}

// wait_passed_on waits until the client's kernel has acknowledged everything that was sent.
static bool wait_passed_on(struct player *player) {
    int64_t end_ms = clock_ms() + BENCH_SCRIPT_LIMIT_MS;
    int queued = 0;
    struct pollfd stop = {.fd = player->scripted->stop_fd, .events = POLLIN};
    while (ioctl(player->fd, SIOCOUTQ, &queued) == 0 && queued > 0) {
        if (clock_ms() > end_ms || poll(&stop, 1, QUEUE_POLL_MS) > 0)
            return fail(player, BENCH_SCRIPT_TIMED_OUT);
    }
    return true;
}

static bool send_pieces(struct player *player, const struct bench_step *step) {
    size_t len = step_len(step);
    size_t piece = step->number > 0 ? step->number : 1;
    for (size_t at = 0; at < len; at += piece) {
        if (!send_all(player, step->bytes + at, len - at < piece ? len - at : piece) || !wait_passed_on(player))
            return false;
    }
    return true;
}

static void close_now(struct player *player, bool reset) {
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(player->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(player->fd);
    player->fd = -1;
}

// play_step does one step; false ends the script.
static bool play_step(struct player *player, const struct bench_step *step) {
    switch (step->kind) {
    case BENCH_EXPECT_REQUEST: return expect_request(player);
    case BENCH_EXPECT_BYTES: return expect_bytes(player, step);
    case BENCH_EXPECT_CLOSE: return expect_close(player);
    case BENCH_SEND: return send_all(player, step->bytes, step_len(step));
    case BENCH_SEND_PIECES: return send_pieces(player, step);
    case BENCH_WAIT:
        if (bench_gate_wait(step->gate, player->scripted->stop_fd, BENCH_SCRIPT_LIMIT_MS))
            return true;
        return fail(player, BENCH_SCRIPT_TIMED_OUT);
    case BENCH_OPEN: bench_gate_open(step->gate); return true;
    case BENCH_FIN: shutdown(player->fd, SHUT_WR); return true;
    case BENCH_CLOSE: close_now(player, false); return false;
    case BENCH_RST:
        if (wait_passed_on(player))
            close_now(player, true);
        return false;
    case BENCH_STEP_END:
    case BENCH_REPEAT: break;
    }
    return false;
}

static void *player_main(void *arg) {
    struct player *player = arg;
    const struct bench_step *step = player->script;
    while (step->kind != BENCH_STEP_END) {
        if (step->kind == BENCH_REPEAT) {
            bool again = step->number == 0 || ++player->num_rounds < step->number;
            step = again ? player->script : step + 1;
        } else if (play_step(player, step)) {
            step++;
        } else {
            break;
        }
    }
    set_state(player, BENCH_SCRIPT_DONE);
    if (player->fd >= 0) { // silent: read and keep until the client closes or we are stopped
        while (receive(player, -1)) {
        }
        close_now(player, false);
    }
    pthread_mutex_lock(&player->scripted->lock);
    player->closed = true;
    pthread_cond_broadcast(&player->scripted->changed);
    pthread_mutex_unlock(&player->scripted->lock);
    return NULL;
}

static const struct bench_step *script_for(const struct bench_scripted *scripted, unsigned index) {
    unsigned last = 0;
    while (last < index && scripted->scripts[last + 1])
        last++;
    return scripted->scripts[last];
}

// admit starts the thread of one more connection.
static void admit(struct bench_scripted *scripted, int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct player *player = calloc(1, sizeof *player);
    if (!player || scripted->num_players >= BENCH_SCRIPTED_CONNECTIONS_MAX)
        abort(); // a test that opens more has lost count
    *player = (struct player){.scripted = scripted, .script = script_for(scripted, scripted->num_players), .fd = fd};
    pthread_mutex_lock(&scripted->lock); // counted before it plays, so that a client never sees more than was counted
    scripted->players[scripted->num_players++] = player;
    pthread_cond_broadcast(&scripted->changed);
    pthread_mutex_unlock(&scripted->lock);
    if (pthread_create(&player->thread, NULL, player_main, player) != 0)
        abort();
}

static void *accept_main(void *arg) {
    struct bench_scripted *scripted = arg;
    struct pollfd polled[2] = {{.fd = scripted->listener.fd, .events = POLLIN},
                               {.fd = scripted->stop_fd, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (polled[1].revents)
            return NULL;
        int fd = accept4(scripted->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(scripted, fd);
    }
}

static int start_thread(struct bench_scripted *scripted) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); // the players inherit it
    int error = pthread_create(&scripted->thread, NULL, accept_main, scripted);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static struct bench_scripted *start(const char *address, const struct bench_step *const *scripts,
                                    const struct bench_step *one) {
    struct bench_scripted *scripted = calloc(1, sizeof *scripted);
    if (!scripted)
        return NULL;
    scripted->one[0] = one;
    scripted->scripts = one ? scripted->one : scripts;
    int error = bench_listener_open(&scripted->listener, address, 0, BACKLOG);
    if (error != 0) {
        free(scripted);
        errno = error;
        return NULL;
    }
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&scripted->lock, NULL);
    pthread_cond_init(&scripted->changed, &clock);
    pthread_condattr_destroy(&clock);
    scripted->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (scripted->stop_fd < 0 || start_thread(scripted) != 0)
        abort();
    return scripted;
}

struct bench_scripted *bench_scripted_start(const char *address, const struct bench_step *const *scripts) {
    return start(address, scripts, NULL);
}

struct bench_scripted *bench_scripted_start_one(const struct bench_step *script) {
    return start(NULL, NULL, script);
}

uint16_t bench_scripted_port(const struct bench_scripted *scripted) {
    return scripted->listener.port;
}

char *bench_scripted_url(const struct bench_scripted *scripted, const char *path, char *out, size_t size) {
    return bench_listener_url(&scripted->listener, path, out, size);
}

unsigned bench_scripted_accepted(struct bench_scripted *scripted) {
    pthread_mutex_lock(&scripted->lock);
    unsigned num = scripted->num_players;
    pthread_mutex_unlock(&scripted->lock);
    return num;
}

static bool script_over(const struct bench_scripted *scripted, unsigned index, bool want_closed) {
    const struct player *player = index < scripted->num_players ? scripted->players[index] : NULL;
    return player && (want_closed ? player->closed : player->state != BENCH_SCRIPT_RUNNING);
}

// wait_player waits, with the lock held, until the player is there and over, or the time is up.
static bool wait_player(struct bench_scripted *scripted, unsigned index, int timeout_ms, bool want_closed) {
    int64_t end_ms = clock_ms() + timeout_ms;
    struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
    while (!script_over(scripted, index, want_closed)) {
        if (pthread_cond_timedwait(&scripted->changed, &scripted->lock, &end) == ETIMEDOUT)
            return script_over(scripted, index, want_closed);
    }
    return true;
}

enum bench_script_state bench_scripted_wait(struct bench_scripted *scripted, unsigned index, int timeout_ms) {
    pthread_mutex_lock(&scripted->lock);
    bool over = wait_player(scripted, index, timeout_ms, false);
    enum bench_script_state state = over ? scripted->players[index]->state : BENCH_SCRIPT_RUNNING;
    pthread_mutex_unlock(&scripted->lock);
    return state;
}

bool bench_scripted_wait_closed(struct bench_scripted *scripted, unsigned index, int timeout_ms) {
    pthread_mutex_lock(&scripted->lock);
    bool closed = wait_player(scripted, index, timeout_ms, true);
    pthread_mutex_unlock(&scripted->lock);
    return closed;
}

size_t bench_scripted_received(struct bench_scripted *scripted, unsigned index, char *out, size_t size) {
    size_t len = 0;
    pthread_mutex_lock(&scripted->lock);
    if (index < scripted->num_players) {
        const struct bench_bytes *received = &scripted->players[index]->received;
        len = received->len;
        if (len > 0 && size > 0)
            memcpy(out, received->at, len < size ? len : size);
    }
    pthread_mutex_unlock(&scripted->lock);
    return len;
}

void bench_scripted_stop(struct bench_scripted *scripted) {
    if (!scripted)
        return;
    uint64_t one = 1;
    if (write(scripted->stop_fd, &one, sizeof one) != sizeof one)
        abort();
    pthread_join(scripted->thread, NULL);
    for (unsigned i = 0; i < scripted->num_players; i++) {
        pthread_join(scripted->players[i]->thread, NULL);
        bench_bytes_free(&scripted->players[i]->received);
        free(scripted->players[i]);
    }
    bench_listener_close(&scripted->listener);
    close(scripted->stop_fd);
    pthread_cond_destroy(&scripted->changed);
    pthread_mutex_destroy(&scripted->lock);
    free(scripted);
}

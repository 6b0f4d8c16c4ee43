// Sockets and connections of the simulated kernel.
#define _GNU_SOURCE
#include "tests/support/simkernel_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define DEFAULT_BUFFER (256u * 1024)
#define CONNECT_GIVE_UP_NS (UINT64_C(130) * Q_NS_PER_S) // what Linux's six SYN retries come to

enum out_kind { OUT_BYTES, OUT_DELAY, OUT_FIN, OUT_RESET };

// What the peer has queued for the client, in order.
struct out_item {
    struct out_item *next;
    enum out_kind kind;
    uint64_t delay_ns;
    struct sim_bytes bytes;
};

struct q_sim_conn {
    struct q_sim *sim;
    uint64_t id;
    struct q_sim_listener listener;
    struct sim_sock *sock; // NULL once the client's last reference is gone
    struct sim_sock *maker; // the same, kept for its options
    void *user;
    void *own;   // the filter's
    bool closed; // on_closed was called

    // Client to peer.
    struct sim_bytes up;
    size_t up_capacity;
    bool up_scheduled;
    bool paused;
    bool fin_wanted;    // the client has ended its stream, behind what is in `up`
    bool fin_told;      // and the peer knows
    bool reset_told;
    uint64_t received;

    // Peer to client.
    struct out_item *out_first, *out_last;
    bool out_scheduled;
    bool ended;         // the peer queued FIN or RST: nothing may follow
    bool deaf;          // the peer closed: bytes for it are answered with RST
    uint64_t queued;    // bytes in all
    uint64_t mark;      // of them, up to the last of the peer's own
    uint64_t taken;     // of them, received by the client
    struct sim_bytes down; // the client's receive buffer
    size_t down_capacity;
    bool down_fin;      // the client has the peer's FIN
    bool dead;          // reset, in either direction
    int error;          // positive errno that the next call on the client's socket gives, once
};

static void schedule_up(struct q_sim_conn *conn);
static void schedule_out(struct q_sim_conn *conn, uint64_t delay_ns);

static uint64_t latency(struct q_sim *sim) { return q_sim_between(sim, 0, 200 * Q_NS_PER_US, 0); }

// Listeners.

static struct sim_endpoint *find_endpoint(struct q_sim *sim, const struct sockaddr_storage *address) {
    for (size_t i = 0; i < sim->num_endpoints; i++) {
        if (sim_address_equal(&sim->endpoints[i].address, address)) {
            return &sim->endpoints[i];
        }
    }
    return NULL;
}

void q_sim_listen(struct q_sim *sim, const char *address, uint16_t port, const struct q_sim_listener *options) {
    struct sockaddr_storage wanted;
    sim_address_make(&wanted, address, port);
    struct sim_endpoint *endpoint = find_endpoint(sim, &wanted);
    if (endpoint == NULL) {
        sim->endpoints = realloc(sim->endpoints, (sim->num_endpoints + 1) * sizeof *sim->endpoints);
        Q_CHECK(sim->endpoints != NULL);
        endpoint = &sim->endpoints[sim->num_endpoints++];
        endpoint->address = wanted;
    }
    endpoint->listener = *options;
}

// Connections.

static struct q_sim_conn *conn_new(struct sim_sock *sock, const struct q_sim_listener *listener) {
    struct q_sim *sim = sock->sim;
    if (sim->num_conns == sim->conns_capacity) {
        sim->conns_capacity = sim->conns_capacity == 0 ? 16 : sim->conns_capacity * 2;
        sim->conns = realloc(sim->conns, sim->conns_capacity * sizeof(struct q_sim_conn *));
        Q_CHECK(sim->conns != NULL);
    }
    struct q_sim_conn *conn = sim_alloc(sizeof *conn);
    sim->conns[sim->num_conns++] = conn;
    sim->stats.connections++;
    *conn = (struct q_sim_conn){.sim = sim, .id = sim->num_conns, .listener = *listener, .sock = sock, .maker = sock};
    size_t drawn = (size_t)q_sim_between(sim, 1, 64, 64) * 4096;
    conn->up_capacity = listener->send_buffer != 0 ? listener->send_buffer : drawn;
    drawn = (size_t)q_sim_between(sim, 1, 64, 64) * 4096;
    conn->down_capacity = listener->receive_buffer != 0 ? listener->receive_buffer : drawn;
    return conn;
}

static void drop_out(struct q_sim_conn *conn) {
    while (conn->out_first != NULL) {
        struct out_item *item = conn->out_first;
        conn->out_first = item->next;
        sim_bytes_free(&item->bytes);
        free(item);
    }
    conn->out_last = NULL;
}

static void close_if_over(struct q_sim_conn *conn) {
    bool client_over = conn->sock == NULL && (conn->fin_told || conn->reset_told);
    bool peer_over = conn->dead || (conn->ended && conn->out_first == NULL);
    if (conn->closed || !client_over || !peer_over) {
        return;
    }
    conn->closed = true;
    if (conn->listener.peer != NULL && conn->listener.peer->on_closed != NULL) {
        conn->listener.peer->on_closed(conn->listener.context, conn);
    }
    if (conn->listener.filter != NULL) {
        conn->listener.filter->closed(conn->own);
    }
    drop_out(conn);
    sim_bytes_free(&conn->up);
    sim_bytes_free(&conn->down);
}

static void wake_client(struct q_sim_conn *conn, uint32_t events) {
    if (conn->sock != NULL && conn->sock->file != NULL) {
        sim_file_wake(conn->sock->file, events);
    }
}

static const struct q_sim_peer *peer_of(const struct q_sim_conn *conn) {
    static const struct q_sim_peer k_silent = {0};
    return conn->listener.peer != NULL ? conn->listener.peer : &k_silent;
}

// The peer's side learns that the client reset.
static void tell_reset(void *context, uint64_t arg) {
    (void)arg;
    struct q_sim_conn *conn = context;
    if (conn->reset_told) {
        return;
    }
    conn->reset_told = true;
    drop_out(conn);
    conn->ended = true;
    if (!conn->closed && peer_of(conn)->on_reset != NULL) {
        peer_of(conn)->on_reset(conn->listener.context, conn);
    }
    close_if_over(conn);
}

static void client_resets(struct q_sim_conn *conn) {
    conn->dead = true;
    sim_bytes_take(&conn->up, NULL, SIZE_MAX);
    q_sim_at(conn->sim, conn->sim->now_ns + latency(conn->sim), tell_reset, conn, 0);
}

// The client's side gets a RST: what has arrived stays readable, then the error comes once.
static void peer_resets(struct q_sim_conn *conn) {
    if (conn->dead) {
        return;
    }
    conn->dead = true;
    conn->reset_told = true; // nobody is left there to be told anything
    conn->ended = true;
    sim_bytes_take(&conn->up, NULL, SIZE_MAX);
    drop_out(conn);
    conn->error = conn->down_fin ? EPIPE : ECONNRESET;
    wake_client(conn, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
    close_if_over(conn);
}

// Taps and filters.

void q_sim_tap(struct q_sim *sim, void (*tap)(void *context, const struct q_sim_conn *conn, bool is_to_client,
                                              const char *data, size_t len), void *context) {
    sim->tap = tap;
    sim->tap_context = context;
}

static void tell_tap(const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len) {
    if (conn->sim->tap != NULL) {
        conn->sim->tap(conn->sim->tap_context, conn, is_to_client, data, len);
    }
}

void q_sim_conn_pass(struct q_sim_conn *conn, const void *data, size_t len) {
    if (peer_of(conn)->on_bytes != NULL) {
        peer_of(conn)->on_bytes(conn->listener.context, conn, data, len);
    }
}

// Client to peer.

static void deliver_up(void *context, uint64_t arg) {
    (void)arg;
    struct q_sim_conn *conn = context;
    conn->up_scheduled = false;
    if (conn->dead || conn->paused || conn->closed) {
        return;
    }
    if (conn->up.len > 0 && conn->deaf) {
        peer_resets(conn);
        return;
    }
    if (conn->up.len > 0) {
        size_t len = (size_t)q_sim_between(conn->sim, 1, conn->up.len, conn->up.len);
        char *segment = sim_alloc(len);
        sim_bytes_take(&conn->up, segment, len);
        conn->received += len;
        if (conn->up.len <= conn->up_capacity * 2 / 3) { // Linux reports room when a third is free
            wake_client(conn, EPOLLOUT);
        }
        tell_tap(conn, false, segment, len);
        if (conn->listener.filter != NULL) {
            conn->listener.filter->from_wire(conn->own, segment, len);
        } else {
            q_sim_conn_pass(conn, segment, len);
        }
        free(segment);
    }
    if (conn->up.len > 0) {
        schedule_up(conn);
    } else if (conn->fin_wanted && !conn->fin_told && !conn->dead) {
        conn->fin_told = true;
        if (conn->listener.filter != NULL) {
            conn->listener.filter->fin(conn->own);
        }
        if (peer_of(conn)->on_fin != NULL) {
            peer_of(conn)->on_fin(conn->listener.context, conn);
        }
    }
    close_if_over(conn);
}

static void schedule_up(struct q_sim_conn *conn) {
    if (!conn->up_scheduled && !conn->paused && !conn->dead) {
        conn->up_scheduled = true;
        q_sim_at(conn->sim, conn->sim->now_ns + latency(conn->sim), deliver_up, conn, 0);
    }
}

// Peer to client.

// One item, or a part of it. False when it must wait (for room or for time) or there is nothing more.
static bool deliver_item(struct q_sim_conn *conn) {
    struct out_item *item = conn->out_first;
    if (item == NULL || conn->dead) {
        return false;
    }
    if (item->kind == OUT_BYTES && conn->sock == NULL) {
        q_sim_at(conn->sim, conn->sim->now_ns, tell_reset, conn, 0); // bytes for a closed socket
        return false;
    }
    if (item->kind == OUT_BYTES) {
        size_t room = conn->down_capacity > conn->down.len ? conn->down_capacity - conn->down.len : 0;
        size_t len = item->bytes.len < room ? item->bytes.len : room;
        if (len == 0) {
            return false; // the client's next receive makes room and comes back here
        }
        len = (size_t)q_sim_between(conn->sim, 1, len, len);
        tell_tap(conn, true, item->bytes.data + item->bytes.start, len);
        sim_bytes_add(&conn->down, item->bytes.data + item->bytes.start, len);
        sim_bytes_take(&item->bytes, NULL, len);
        wake_client(conn, EPOLLIN);
        if (item->bytes.len > 0) {
            return true;
        }
    }
    enum out_kind kind = item->kind;
    uint64_t delay_ns = item->delay_ns;
    conn->out_first = item->next;
    conn->out_last = conn->out_first != NULL ? conn->out_last : NULL;
    sim_bytes_free(&item->bytes);
    free(item);
    if (kind == OUT_FIN) {
        conn->down_fin = true;
        wake_client(conn, EPOLLIN | EPOLLRDHUP);
    } else if (kind == OUT_RESET) {
        peer_resets(conn);
    } else if (kind == OUT_DELAY) {
        schedule_out(conn, delay_ns);
    }
    return kind != OUT_DELAY && conn->out_first != NULL;
}

static void deliver_out(void *context, uint64_t arg) {
    (void)arg;
    struct q_sim_conn *conn = context;
    conn->out_scheduled = false;
    bool more = deliver_item(conn);
    while (more && !q_sim_chance(conn->sim, 40)) { // several segments at one moment, or a pause
        more = deliver_item(conn);
    }
    if (more) {
        schedule_out(conn, latency(conn->sim));
    }
    close_if_over(conn);
}

static void schedule_out(struct q_sim_conn *conn, uint64_t delay_ns) {
    if (!conn->out_scheduled) {
        conn->out_scheduled = true;
        q_sim_at(conn->sim, conn->sim->now_ns + delay_ns, deliver_out, conn, 0);
    }
}

static struct out_item *out_add(struct q_sim_conn *conn, enum out_kind kind) {
    if (conn->ended || conn->dead || conn->closed) {
        return NULL; // a late callback of a peer: nobody listens any more
    }
    struct out_item *item = sim_alloc(sizeof *item);
    item->kind = kind;
    if (conn->out_last != NULL) {
        conn->out_last->next = item;
    } else {
        conn->out_first = item;
    }
    conn->out_last = item;
    schedule_out(conn, latency(conn->sim));
    return item;
}

void q_sim_wire_send(struct q_sim_conn *conn, const void *data, size_t len) {
    struct out_item *item = len > 0 ? out_add(conn, OUT_BYTES) : NULL;
    if (item != NULL) {
        sim_bytes_add(&item->bytes, data, len);
        conn->queued += len;
    }
}

static bool is_listening(const struct q_sim_conn *conn) { return !conn->ended && !conn->dead && !conn->closed; }

void q_sim_conn_send(struct q_sim_conn *conn, const void *data, size_t len) {
    if (conn->listener.filter == NULL) {
        q_sim_wire_send(conn, data, len);
    } else if (len > 0 && is_listening(conn)) {
        conn->listener.filter->from_peer(conn->own, data, len);
    }
    conn->mark = conn->queued;
}

void q_sim_conn_delay(struct q_sim_conn *conn, uint64_t delay_ns) {
    struct out_item *item = delay_ns > 0 ? out_add(conn, OUT_DELAY) : NULL;
    if (item != NULL) {
        item->delay_ns = delay_ns;
    }
}

void q_sim_wire_fin(struct q_sim_conn *conn) {
    if (out_add(conn, OUT_FIN) != NULL) {
        conn->ended = true;
    }
}

void q_sim_conn_fin(struct q_sim_conn *conn) {
    if (conn->listener.filter != NULL && is_listening(conn)) {
        conn->listener.filter->end(conn->own);
    }
    q_sim_wire_fin(conn);
}

void q_sim_conn_close(struct q_sim_conn *conn) {
    q_sim_conn_fin(conn);
    conn->deaf = true;
    conn->paused = false;
    if (conn->up.len > 0 || conn->fin_wanted) {
        schedule_up(conn);
    }
}

void q_sim_conn_reset(struct q_sim_conn *conn) {
    if (out_add(conn, OUT_RESET) != NULL) {
        conn->ended = true;
    }
}

void q_sim_conn_reset_now(struct q_sim_conn *conn) {
    if (!conn->closed) {
        peer_resets(conn);
    }
}

void q_sim_conn_pause(struct q_sim_conn *conn, bool paused) {
    conn->paused = paused;
    if (!paused && (conn->up.len > 0 || conn->fin_wanted)) {
        schedule_up(conn);
    }
}

void q_sim_conn_set_user(struct q_sim_conn *conn, void *user) { conn->user = user; }
void *q_sim_conn_user(const struct q_sim_conn *conn) { return conn->user; }
void *q_sim_conn_own(const struct q_sim_conn *conn) { return conn->own; }
struct q_sim *q_sim_conn_sim(const struct q_sim_conn *conn) { return conn->sim; }
uint64_t q_sim_conn_id(const struct q_sim_conn *conn) { return conn->id; }
bool q_sim_conn_is_alive(const struct q_sim_conn *conn) { return !conn->closed; }
uint64_t q_sim_conn_received(const struct q_sim_conn *conn) { return conn->received; }

size_t q_sim_conn_unread(const struct q_sim_conn *conn) {
    if (conn->listener.filter != NULL) {
        return conn->mark > conn->taken ? (size_t)(conn->mark - conn->taken) : 0;
    }
    size_t unread = conn->down.len;
    for (const struct out_item *item = conn->out_first; item != NULL; item = item->next) {
        unread += item->bytes.len;
    }
    return unread;
}

int q_sim_conn_option(const struct q_sim_conn *conn, int level, int name, int absent) {
    for (unsigned i = 0; i < conn->maker->num_options; i++) {
        const struct sim_option *option = &conn->maker->options[i];
        if (option->level == level && option->name == name) {
            return option->value;
        }
    }
    return absent;
}

const struct sockaddr_storage *q_sim_conn_local(const struct q_sim_conn *conn) { return &conn->maker->local; }

size_t q_sim_conn_count(const struct q_sim *sim) {
    size_t alive = 0;
    for (size_t i = 0; i < sim->num_conns; i++) {
        alive += !sim->conns[i]->closed;
    }
    return alive;
}

struct q_sim_conn *q_sim_conn_at(const struct q_sim *sim, size_t index) {
    return index < sim->num_conns ? sim->conns[index] : NULL;
}

// Sockets.

struct sim_sock *sim_sock_new(struct q_sim *sim, int domain) {
    if (sim->num_socks == sim->socks_capacity) {
        sim->socks_capacity = sim->socks_capacity == 0 ? 16 : sim->socks_capacity * 2;
        sim->socks = realloc(sim->socks, sim->socks_capacity * sizeof(struct sim_sock *));
        Q_CHECK(sim->socks != NULL);
    }
    struct sim_sock *sock = sim_alloc(sizeof *sock);
    sock->sim = sim;
    sock->domain = domain;
    sim->socks[sim->num_socks++] = sock;
    return sock;
}

void sim_sock_last_close(struct sim_sock *sock) {
    struct q_sim_conn *conn = sock->conn;
    sock->file = NULL;
    if (sock->state == SOCK_CONNECTING) {
        sock->state = SOCK_FAILED;
        sock->connect_result = -ECANCELED;
    }
    if (conn == NULL) {
        return;
    }
    conn->sock = NULL;
    if (conn->dead) {
        close_if_over(conn);
        return;
    }
    if (conn->down.len > 0) {
        client_resets(conn); // unread bytes at close: the peer gets RST
        return;
    }
    conn->fin_wanted = true;
    schedule_up(conn);
    if (conn->out_first != NULL) {
        schedule_out(conn, 0);
    }
}

static void finish_connect(struct sim_sock *sock, int result, const struct q_sim_listener *listener) {
    sock->state = result == 0 ? SOCK_CONNECTED : SOCK_FAILED;
    sock->connect_result = result;
    if (result == 0) {
        sock->conn = conn_new(sock, listener);
        if (listener->filter != NULL) {
            sock->conn->own = listener->filter->open(listener->filter_context, sock->conn);
        }
        if (peer_of(sock->conn)->on_open != NULL) {
            peer_of(sock->conn)->on_open(listener->context, sock->conn);
        }
    }
    if (sock->file != NULL) {
        sim_file_wake(sock->file, result == 0 ? EPOLLOUT : EPOLLOUT | EPOLLERR | EPOLLHUP);
    }
}

static void answer_connect(void *context, uint64_t result) {
    struct sim_sock *sock = context;
    if (sock->state == SOCK_CONNECTING) {
        struct q_sim_listener listener = sock->listener;
        finish_connect(sock, -(int)result, &listener);
    }
}

// This machine's addresses are 127.0.0.0/8 and ::1.
int sim_sock_bind(struct sim_sock *sock, const struct sockaddr_storage *address, socklen_t len) {
    bool is_v4 = sock->domain == AF_INET;
    if (len < (is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6))) {
        return -EINVAL;
    }
    if (address->ss_family != sock->domain) {
        return -EAFNOSUPPORT;
    }
    if (sock->local.ss_family != 0 || sock->state != SOCK_NEW) {
        return -EINVAL;
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    bool is_ours = is_v4 ? (ntohl(v4->sin_addr.s_addr) >> 24) == 127 : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    if (!is_ours) {
        return -EADDRNOTAVAIL;
    }
    sock->local = *address;
    return 0;
}

int sim_sock_connect(struct sim_sock *sock, const struct sockaddr_storage *address) {
    static const struct q_sim_listener k_nobody = {.answer = Q_SIM_REFUSE};
    static const int k_results[] = {[Q_SIM_ACCEPT] = 0,
                                    [Q_SIM_REFUSE] = ECONNREFUSED,
                                    [Q_SIM_UNREACHABLE] = EHOSTUNREACH,
                                    [Q_SIM_BLACKHOLE] = ETIMEDOUT};
    if (sock->state != SOCK_NEW) {
        return sock->state == SOCK_CONNECTING ? -EALREADY : -EISCONN;
    }
    if (address->ss_family != sock->domain) {
        return -EAFNOSUPPORT;
    }
    struct q_sim *sim = sock->sim;
    const struct sim_endpoint *endpoint = find_endpoint(sim, address);
    const struct q_sim_listener *listener = endpoint != NULL ? &endpoint->listener : &k_nobody;
    uint64_t delay_ns = listener->delay_ns + latency(sim);
    delay_ns = listener->answer == Q_SIM_BLACKHOLE ? CONNECT_GIVE_UP_NS : delay_ns;
    sock->listener = *listener;
    if (delay_ns == 0) {
        finish_connect(sock, -k_results[listener->answer], listener);
        return sock->connect_result;
    }
    sock->state = SOCK_CONNECTING;
    q_sim_at(sim, sim->now_ns + delay_ns, answer_connect, sock, (uint64_t)k_results[listener->answer]);
    return -EINPROGRESS;
}

// Once the peer's FIN is there the kernel hints at more for ever, so that the end is read (tcp_inq_hint).
bool sim_sock_has_more(const struct sim_sock *sock) {
    return sock->conn != NULL && (sock->conn->down.len > 0 || sock->conn->down_fin);
}

size_t sim_sock_readable(const struct sim_sock *sock) { return sock->conn != NULL ? sock->conn->down.len : 0; }

int sim_sock_receive(struct sim_sock *sock, void *out, size_t len) {
    struct q_sim_conn *conn = sock->conn;
    if (conn == NULL) {
        return -ENOTCONN;
    }
    if (conn->down.len > 0) {
        size_t taken = sim_bytes_take(&conn->down, out, len);
        conn->taken += taken;
        if (conn->out_first != NULL) {
            schedule_out(conn, latency(conn->sim));
        }
        return (int)taken;
    }
    if (conn->down_fin) {
        return 0;
    }
    if (conn->error != 0) {
        int error = -conn->error;
        conn->error = 0;
        return error;
    }
    return conn->dead ? 0 : -EAGAIN;
}

int sim_sock_send(struct sim_sock *sock, const void *data, size_t len) {
    struct q_sim_conn *conn = sock->conn;
    if (conn == NULL) {
        return sock->state == SOCK_CONNECTING ? -EAGAIN : -EPIPE;
    }
    if (conn->error != 0) {
        int error = -conn->error;
        conn->error = 0;
        return error;
    }
    if (conn->dead || sock->shut_write) {
        return -EPIPE;
    }
    size_t room = conn->up_capacity > conn->up.len ? conn->up_capacity - conn->up.len : 0;
    if (room == 0 && len > 0) {
        return -EAGAIN;
    }
    size_t taken = len < room ? len : room;
    sim_bytes_add(&conn->up, data, taken);
    schedule_up(conn);
    return (int)taken;
}

int sim_sock_shutdown(struct sim_sock *sock, int how) {
    struct q_sim_conn *conn = sock->conn;
    if (conn == NULL || conn->dead) {
        return -ENOTCONN;
    }
    if (how < SHUT_RD || how > SHUT_RDWR) {
        return -EINVAL;
    }
    if (how != SHUT_RD && !sock->shut_write) {
        sock->shut_write = true;
        conn->fin_wanted = true;
        schedule_up(conn);
    }
    if (how != SHUT_WR) {
        conn->down_fin = true;
        wake_client(conn, EPOLLIN);
    }
    return 0;
}

// The one interface is "lo".
int sim_sock_set_option(struct sim_sock *sock, int level, int name, const void *data, socklen_t len) {
    struct sim_option option = {.level = level, .name = name};
    if (level == SOL_SOCKET && name == SO_BINDTODEVICE) {
        if (len >= IFNAMSIZ || len != 2 || memcmp(data, "lo", 2) != 0) {
            return len >= IFNAMSIZ ? -EINVAL : -ENODEV;
        }
        memcpy(option.device, data, len);
    } else if (len < sizeof option.value) {
        return -EINVAL;
    } else {
        memcpy(&option.value, data, sizeof option.value);
    }
    if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP && level != IPPROTO_IPV6) {
        return -ENOPROTOOPT;
    }
    for (unsigned i = 0; i < sock->num_options; i++) {
        if (sock->options[i].level == level && sock->options[i].name == name) {
            sock->options[i] = option;
            return 0;
        }
    }
    if (sock->num_options < SIM_OPTIONS_MAX) {
        sock->options[sock->num_options++] = option;
    }
    return 0;
}

uint32_t sim_sock_events(const struct sim_sock *sock) {
    const struct q_sim_conn *conn = sock->conn;
    if (conn == NULL) {
        return sock->state == SOCK_CONNECTING ? 0 : EPOLLOUT | EPOLLHUP;
    }
    uint32_t events = conn->down.len > 0 || conn->down_fin || conn->dead ? EPOLLIN : 0;
    events |= conn->dead ? EPOLLERR | EPOLLHUP | EPOLLOUT : 0;
    events |= conn->up.len < conn->up_capacity ? EPOLLOUT : 0;
    return events | (conn->down_fin ? EPOLLRDHUP : 0);
}

void sim_net_free(struct q_sim *sim) {
    for (size_t i = 0; i < sim->num_conns; i++) {
        struct q_sim_conn *conn = sim->conns[i];
        if (!conn->closed) {
            conn->sock = NULL;
            conn->dead = true;
            conn->reset_told = true;
            close_if_over(conn);
        }
        free(conn);
    }
    for (size_t i = 0; i < sim->num_socks; i++) {
        free(sim->socks[i]);
    }
    free(sim->conns);
    free(sim->socks);
}

// The socket stream: on an io that ends each op as the test says, for what a kernel does once in a million times; and
// on the ring, on the simulated kernel, for all of it together.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/net/socket_stream.h"
#include "tests/support/simnet.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

// A stream and what it told its owner.
struct ear {
    struct q_socket_stream socket; // first
    int connected, received, ended, sent, closed;
    struct q_error error; // of the last event
    size_t sent_len;
    struct q_chunk *chunk;
    char got[65536];
    size_t got_len;
    bool keeps_receiving;
};

static struct ear *ear_of(struct q_stream *stream) {
    return q_container_of(stream, struct ear, socket.stream);
}

static void on_connected(struct q_stream *stream, struct q_error error) {
    ear_of(stream)->connected++;
    ear_of(stream)->error = error;
}

static void on_received(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    struct ear *ear = ear_of(stream);
    assert_true(bytes.len > 0);
    assert_true(bytes.ptr == chunk->data);
    assert_true(ear->got_len + bytes.len <= sizeof ear->got);
    memcpy(ear->got + ear->got_len, bytes.ptr, bytes.len);
    ear->got_len += bytes.len;
    ear->received++;
    q_chunk_release(chunk);
    if (ear->keeps_receiving) {
        q_stream_recv(stream, Q_STREAM_RECV_ANY);
    }
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    ear_of(stream)->ended++;
    ear_of(stream)->error = error;
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    ear_of(stream)->sent++;
    ear_of(stream)->sent_len = len;
    ear_of(stream)->error = error;
}

static void on_closed(struct q_stream *stream) {
    assert_true(q_socket_is_quiet(&ear_of(stream)->socket));
    ear_of(stream)->closed++;
}

static const struct q_stream_events k_events = {.on_connected = on_connected,
                                                .on_received = on_received,
                                                .on_ended = on_ended,
                                                .on_sent = on_sent,
                                                .on_closed = on_closed};

static struct q_address loopback(uint16_t port) {
    return q_address_v4((const uint8_t[4]){127, 0, 0, 1}, port);
}

// --- on a scripted io ------------------------------------------------------------------------------------------------

// Keeps the ops that were started; the test ends them. What a send was asked for is written down.
struct puppet {
    struct q_io io;
    struct q_io_op *connect, *recv, *send, *shutdown, *close;
    const struct q_io_connect *params;
    char asked[64]; // the bytes of the last send
    size_t asked_len;
    int sends;
    bool is_full;
};

static struct puppet *puppet_of(struct q_io *io) {
    return q_container_of(io, struct puppet, io);
}

static struct q_error puppet_open(struct q_io *io, struct q_io_slot *out) {
    *out = (struct q_io_slot){.generation = 1, .index = 5};
    return puppet_of(io)->is_full ? q_error_make(Q_ERR_FD_LIMIT, Q_PHASE_CONNECT) : Q_OK;
}

static void start(struct q_io_op **place, struct q_io_op *op) {
    assert_null(*place);
    op->busy = true;
    *place = op;
}

static void puppet_connect(struct q_io *io, struct q_io_slot slot, struct q_io_op *op,
                           const struct q_io_connect *params) {
    assert_int_equal(slot.index, 5);
    puppet_of(io)->params = params;
    start(&puppet_of(io)->connect, op);
}

static void puppet_recv(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, uint32_t most) {
    (void)most;
    assert_int_equal(slot.index, 5);
    start(&puppet_of(io)->recv, op);
}

static void puppet_send(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct msghdr *message) {
    struct puppet *puppet = puppet_of(io);
    assert_int_equal(slot.index, 5);
    assert_true(message->msg_iovlen > 0);
    puppet->asked_len = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        memcpy(puppet->asked + puppet->asked_len, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        puppet->asked_len += message->msg_iov[i].iov_len;
    }
    puppet->asked[puppet->asked_len] = 0;
    puppet->sends++;
    start(&puppet->send, op);
}

static void puppet_shutdown(struct q_io *io, struct q_io_slot slot, struct q_io_op *op) {
    assert_int_equal(slot.index, 5);
    start(&puppet_of(io)->shutdown, op);
}

static void puppet_close(struct q_io *io, struct q_io_slot slot, struct q_io_op *op) {
    assert_int_equal(slot.index, 5);
    start(&puppet_of(io)->close, op);
}

static const struct q_io_vtable k_puppet = {
    .open = puppet_open, .connect = puppet_connect, .recv = puppet_recv, .send = puppet_send,
    .shutdown = puppet_shutdown, .close = puppet_close};

// Ends an op as the loop does: from outside of any call.
static void end(struct q_io_op **place, int32_t result) {
    struct q_io_op *op = *place;
    assert_non_null(op);
    *place = NULL;
    op->busy = false;
    op->result = result;
    op->done(op);
}

static struct q_address the_address;

static void begin(struct puppet *puppet, struct ear *ear) {
    memset(ear, 0, sizeof *ear);
    *puppet = (struct puppet){.io = {.v = &k_puppet}};
    the_address = loopback(80);
    q_socket_stream_init(&ear->socket, &puppet->io, &k_events);
    assert_true(q_socket_is_quiet(&ear->socket));
    assert_false(q_error_is(q_stream_connect(&ear->socket.stream, &the_address)));
    assert_false(q_socket_is_quiet(&ear->socket));
    assert_int_equal(ear->connected, 0);
}

static void begin_open(struct puppet *puppet, struct ear *ear) {
    begin(puppet, ear);
    end(&puppet->connect, 0);
    assert_int_equal(ear->connected, 1);
    assert_int_equal(ear->error.code, Q_ERR_OK);
}

static void finish(struct puppet *puppet, struct ear *ear) {
    q_stream_close(&ear->socket.stream);
    assert_int_equal(ear->closed, 0);
    end(&puppet->close, 0);
    assert_int_equal(ear->closed, 1);
}

static void send_parts(struct ear *ear, const char *a, const char *b, const char *c) {
    struct iovec parts[3] = {
        {(char *)(uintptr_t)a, strlen(a)}, {(char *)(uintptr_t)b, strlen(b)}, {(char *)(uintptr_t)c, strlen(c)}};
    q_stream_send(&ear->socket.stream, parts, 3);
    memset(parts, 0, sizeof parts); // the stream has copied them
}

static void a_short_send_goes_on_where_it_stopped(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    begin_open(&puppet, &ear);
    send_parts(&ear, "abc", "", "defgh");
    assert_string_equal(puppet.asked, "abcdefgh");
    end(&puppet.send, 2);
    assert_string_equal(puppet.asked, "cdefgh");
    end(&puppet.send, 1); // to the end of a part
    assert_string_equal(puppet.asked, "defgh");
    end(&puppet.send, 4);
    assert_string_equal(puppet.asked, "h");
    assert_int_equal(ear.sent, 0); // it is one send for the owner
    end(&puppet.send, 1);
    assert_int_equal(ear.sent, 1);
    assert_int_equal(ear.sent_len, 8);
    assert_int_equal(ear.error.code, Q_ERR_OK);
    assert_null(puppet.send);
    finish(&puppet, &ear);
}

static void every_cut_of_a_gathered_send_sends_the_same_bytes(void **state) {
    (void)state;
    for (unsigned cuts = 0; cuts < 64; cuts++) { // a bit: the send ends there
        struct puppet puppet;
        struct ear ear;
        char wire[32] = "";
        size_t wire_len = 0;
        begin_open(&puppet, &ear);
        send_parts(&ear, "ab", "cde", "fg");
        while (puppet.send != NULL) {
            size_t len = 1;
            while (len < puppet.asked_len && ((cuts >> (wire_len + len - 1)) & 1) == 0) {
                len++;
            }
            memcpy(wire + wire_len, puppet.asked, len);
            wire_len += len;
            end(&puppet.send, (int32_t)len);
        }
        assert_int_equal(wire_len, 7);
        assert_memory_equal(wire, "abcdefg", 7);
        assert_int_equal(ear.sent, 1);
        assert_int_equal(ear.sent_len, 7);
        finish(&puppet, &ear);
    }
}

static void an_interrupted_send_is_made_again(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    begin_open(&puppet, &ear);
    send_parts(&ear, "ab", "c", "d");
    end(&puppet.send, -EINTR);
    assert_string_equal(puppet.asked, "abcd");
    end(&puppet.send, 3);
    end(&puppet.send, -EAGAIN);
    assert_string_equal(puppet.asked, "d");
    end(&puppet.send, 1);
    assert_int_equal(ear.sent, 1);
    assert_int_equal(puppet.sends, 4);
    finish(&puppet, &ear);
}

static void a_failed_send_tells_how_far_it_came(void **state) {
    (void)state;
    static const struct {
        int os_errno;
        enum q_error_code code;
    } k_cases[] = {{EPIPE, Q_ERR_CONNECTION_RESET},
                   {ECONNRESET, Q_ERR_CONNECTION_RESET},
                   {ECONNABORTED, Q_ERR_CONNECTION_RESET},
                   {ETIMEDOUT, Q_ERR_CONNECTION_FAILED},
                   {EHOSTUNREACH, Q_ERR_CONNECTION_FAILED}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct puppet puppet;
        struct ear ear;
        begin_open(&puppet, &ear);
        send_parts(&ear, "abc", "def", "");
        end(&puppet.send, 4);
        end(&puppet.send, -k_cases[i].os_errno);
        assert_int_equal(ear.sent, 1);
        assert_int_equal(ear.sent_len, 4);
        assert_int_equal(ear.error.code, k_cases[i].code);
        assert_int_equal(ear.error.os_errno, k_cases[i].os_errno);
        assert_int_equal(ear.error.phase, Q_PHASE_SEND);
        assert_int_equal(ear.error.retry_safe, 0); // four bytes are out
        finish(&puppet, &ear);
    }
}

static void a_failed_connect_is_typed_and_safe_to_retry(void **state) {
    (void)state;
    static const struct {
        int os_errno;
        enum q_error_code code;
    } k_cases[] = {{ECONNREFUSED, Q_ERR_CONNECT_REFUSED},
                   {ENETUNREACH, Q_ERR_CONNECT_UNREACHABLE},
                   {EHOSTUNREACH, Q_ERR_CONNECT_UNREACHABLE},
                   {ENETDOWN, Q_ERR_CONNECT_UNREACHABLE},
                   {EHOSTDOWN, Q_ERR_CONNECT_UNREACHABLE},
                   {ETIMEDOUT, Q_ERR_CONNECT_TIMED_OUT},
                   {EMFILE, Q_ERR_FD_LIMIT},
                   {ENFILE, Q_ERR_FD_LIMIT},
                   {EAFNOSUPPORT, Q_ERR_SOCKET_FAILED},
                   {EADDRNOTAVAIL, Q_ERR_NO_LOCAL_PORT},
                   {EACCES, Q_ERR_CONNECT_FAILED}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct puppet puppet;
        struct ear ear;
        begin(&puppet, &ear);
        end(&puppet.connect, -k_cases[i].os_errno);
        assert_int_equal(ear.connected, 1);
        assert_int_equal(ear.error.code, k_cases[i].code);
        assert_int_equal(ear.error.os_errno, k_cases[i].os_errno);
        assert_int_equal(ear.error.phase, Q_PHASE_CONNECT);
        assert_int_equal(ear.error.retry_safe, 1);
        finish(&puppet, &ear);
    }
}

static void without_a_slot_nothing_is_begun(void **state) {
    (void)state;
    struct puppet puppet = {.io = {.v = &k_puppet}, .is_full = true};
    struct ear ear = {0};
    the_address = loopback(80);
    q_socket_stream_init(&ear.socket, &puppet.io, &k_events);
    struct q_error error = q_stream_connect(&ear.socket.stream, &the_address);
    assert_int_equal(error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(error.retry_safe, 1);
    assert_null(puppet.connect);
    assert_true(q_socket_is_quiet(&ear.socket));
}

static void every_tcp_socket_gets_its_options(void **state) {
    (void)state;
    static const struct {
        int level, name, least;
    } k_wanted[] = {{IPPROTO_TCP, TCP_NODELAY, 1},  {SOL_SOCKET, SO_KEEPALIVE, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, 1}, {IPPROTO_TCP, TCP_KEEPINTVL, 1},
                    {IPPROTO_TCP, TCP_KEEPCNT, 1},  {IPPROTO_TCP, TCP_USER_TIMEOUT, 1000}};
    struct puppet puppet;
    struct ear ear;
    begin(&puppet, &ear);
    for (size_t i = 0; i < Q_COUNT_OF(k_wanted); i++) {
        int value = -1;
        for (uint32_t k = 0; k < puppet.params->num_options; k++) {
            const struct q_io_option *option = &puppet.params->options[k];
            value = option->level == k_wanted[i].level && option->name == k_wanted[i].name ? option->value : value;
        }
        assert_true(value >= k_wanted[i].least);
    }
    end(&puppet.connect, 0);
    finish(&puppet, &ear);
}

static void a_bound_socket_takes_its_port_late_and_its_failure_has_a_name(void **state) {
    (void)state;
    for (int is_bound = 0; is_bound < 2; is_bound++) {
        struct puppet puppet = {.io = {.v = &k_puppet}};
        struct ear ear = {0};
        struct q_address local = loopback(0);
        the_address = loopback(80);
        q_socket_stream_init(&ear.socket, &puppet.io, &k_events);
        if (is_bound) {
            q_socket_stream_bind(&ear.socket, &local);
        }
        assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address)));
        const struct q_io_option *last = &puppet.params->options[puppet.params->num_options - 1];
        assert_int_equal(last->level == IPPROTO_IP && last->name == IP_BIND_ADDRESS_NO_PORT, is_bound);
        assert_int_equal(puppet.params->local != NULL, is_bound);
        if (is_bound) {
            assert_int_equal(puppet.params->local_len, local.len);
            assert_memory_equal(puppet.params->local, &local.u.any, local.len);
        }
        puppet.connect->has_bind_failed = is_bound;
        end(&puppet.connect, -EADDRNOTAVAIL);
        assert_int_equal(ear.error.code, is_bound ? Q_ERR_BIND_FAILED : Q_ERR_NO_LOCAL_PORT);
        assert_int_equal(ear.error.os_errno, EADDRNOTAVAIL);
        assert_int_equal(ear.error.retry_safe, 1);
        finish(&puppet, &ear);
    }
}

static void a_connected_slot_goes_from_one_stream_to_another(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    static struct ear heir;
    begin_open(&puppet, &ear);
    struct q_io_slot slot = q_socket_stream_give(&ear.socket);
    assert_int_equal(slot.index, 5);
    assert_true(q_socket_is_quiet(&ear.socket));
    q_socket_stream_init(&heir.socket, &puppet.io, &k_events);
    q_socket_stream_adopt(&heir.socket, slot);
    assert_false(q_socket_is_quiet(&heir.socket));
    send_parts(&heir, "abc", "", "d");
    end(&puppet.send, 4);
    assert_int_equal(heir.sent, 1);
    assert_int_equal(heir.sent_len, 4);
    finish(&puppet, &heir);
    assert_int_equal(ear.closed, 0);
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address))); // as if it had never connected
    end(&puppet.connect, 0);
    assert_int_equal(ear.connected, 2);
    finish(&puppet, &ear);
    assert_true(q_socket_is_quiet(&heir.socket));
}

static void options_of_its_own_take_the_place_of_the_defaults(void **state) {
    (void)state;
    static const struct q_io_option k_own[] = {{.level = SOL_SOCKET, .name = SO_KEEPALIVE, .value = 0}};
    struct puppet puppet = {.io = {.v = &k_puppet}};
    struct ear ear = {0};
    the_address = loopback(80);
    q_socket_stream_init(&ear.socket, &puppet.io, &k_events);
    q_socket_stream_set_options(&ear.socket, k_own, 1);
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address)));
    assert_ptr_equal(puppet.params->options, k_own);
    assert_int_equal(puppet.params->num_options, 1);
    end(&puppet.connect, 0);
    finish(&puppet, &ear);
    ear.closed = 0;
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address))); // up to the first that succeeds
    assert_true(puppet.params->num_options > 1);
    end(&puppet.connect, 0);
    finish(&puppet, &ear);
}

static void a_unix_socket_gets_none(void **state) {
    (void)state;
    struct puppet puppet = {.io = {.v = &k_puppet}};
    struct ear ear = {0};
    assert_true(q_address_unix(Q_SLICE("/run/x"), &the_address));
    q_socket_stream_init(&ear.socket, &puppet.io, &k_events);
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address)));
    assert_int_equal(puppet.params->num_options, 0);
    assert_int_equal(puppet.params->address->sa_family, AF_UNIX);
    assert_int_equal(puppet.params->address_len, the_address.len);
    end(&puppet.connect, 0);
    finish(&puppet, &ear);
}

static void a_close_while_connecting_silences_the_connect(void **state) {
    (void)state;
    for (int32_t result = -ECANCELED; result <= 0; result += ECANCELED) { // also one that had just succeeded
        struct puppet puppet;
        struct ear ear;
        begin(&puppet, &ear);
        q_stream_close(&ear.socket.stream);
        end(&puppet.connect, result);
        assert_int_equal(ear.connected, 0);
        end(&puppet.close, 0);
        assert_int_equal(ear.connected, 0);
        assert_int_equal(ear.closed, 1);
    }
}

static void a_close_silences_what_is_under_way(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    begin_open(&puppet, &ear);
    send_parts(&ear, "abc", "d", "e");
    q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
    q_stream_close(&ear.socket.stream);
    end(&puppet.send, 2); // a part went out; the rest must not follow
    end(&puppet.recv, -ECANCELED);
    assert_int_equal(puppet.sends, 1);
    assert_int_equal(ear.sent + ear.ended + ear.received, 0);
    end(&puppet.close, 0);
    assert_int_equal(ear.closed, 1);
}

static void data_behind_a_close_is_dropped_and_released(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    struct q_failalloc *memory = q_failalloc_new();
    struct q_chunk_budget budget = {.limit = 1 << 20};
    struct q_chunk_pool pool;
    char text[128];
    q_chunk_pool_init(&pool, q_failalloc_alloc(memory), &budget, 64, 0);
    begin_open(&puppet, &ear);
    q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
    q_stream_close(&ear.socket.stream);
    puppet.recv->chunk = q_chunk_take(&pool, Q_CHUNK_FOR_KERNEL);
    end(&puppet.recv, 10);
    assert_int_equal(ear.received, 0);
    assert_int_equal(pool.num_out, 0);
    end(&puppet.close, 0);
    q_chunk_pool_deinit(&pool);
    assert_true(q_failalloc_check(memory, text, sizeof text));
    q_failalloc_free(memory);
}

static void an_end_is_told_with_or_without_an_error(void **state) {
    (void)state;
    static const struct {
        int32_t result;
        enum q_error_code code;
    } k_cases[] = {{0, Q_ERR_OK}, {-ECONNRESET, Q_ERR_CONNECTION_RESET}, {-ETIMEDOUT, Q_ERR_CONNECTION_FAILED}};
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct puppet puppet;
        struct ear ear;
        begin_open(&puppet, &ear);
        q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
        end(&puppet.recv, k_cases[i].result);
        assert_int_equal(ear.ended, 1);
        assert_int_equal(ear.error.code, k_cases[i].code);
        assert_int_equal(ear.error.os_errno, -k_cases[i].result);
        finish(&puppet, &ear);
    }
}

static void a_closed_stream_connects_again(void **state) {
    (void)state;
    struct puppet puppet;
    struct ear ear;
    begin(&puppet, &ear);
    end(&puppet.connect, -ECONNREFUSED);
    finish(&puppet, &ear);
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &the_address)));
    end(&puppet.connect, 0);
    assert_int_equal(ear.connected, 2);
    assert_int_equal(ear.error.code, Q_ERR_OK);
    send_parts(&ear, "x", "", "");
    end(&puppet.send, 1);
    assert_int_equal(ear.sent_len, 1); // nothing is left over from the life before
    q_stream_close(&ear.socket.stream);
    end(&puppet.close, 0);
    assert_int_equal(ear.closed, 2);
}

// --- on the ring and the simulated kernel ----------------------------------------------------------------------------

struct echo {
    char got[1 << 17];
    size_t len;
    int fins, resets;
};

static void echo_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    struct echo *echo = context;
    assert_true(echo->len + len <= sizeof echo->got);
    memcpy(echo->got + echo->len, data, len);
    echo->len += len;
    q_sim_conn_send(conn, data, len);
}

static void echo_fin(void *context, struct q_sim_conn *conn) {
    ((struct echo *)context)->fins++;
    q_sim_conn_close(conn);
}

static void echo_reset(void *context, struct q_sim_conn *conn) {
    (void)conn;
    ((struct echo *)context)->resets++;
}

static const struct q_sim_peer k_echo = {.on_bytes = echo_bytes, .on_fin = echo_fin, .on_reset = echo_reset};

static void await(struct rig *rig, const int *count, int least) {
    for (int turns = 0; *count < least; turns++) {
        assert_true(turns < 20000);
        rig_turn(rig, Q_NS_PER_S);
    }
}

// A conversation in a random world: cuts, short sends, delays. What went out is what arrived, and comes back whole.
static void play_echo(uint64_t seed) {
    enum { LEN = 50000 };
    struct rig rig;
    static struct echo echo;
    static struct ear ear;
    memset(&echo, 0, sizeof echo);
    memset(&ear, 0, sizeof ear);
    struct q_sim *sim = q_sim_new(&(struct q_sim_options){.seed = seed});
    q_sim_listen(sim, "127.0.0.1", 80, &(struct q_sim_listener){.peer = &k_echo, .context = &echo});
    rig_open(&rig, (struct rig_options){.sim = sim});
    char *bytes = malloc(LEN);
    for (size_t i = 0; i < LEN; i++) {
        bytes[i] = (char)(i * 7 + seed);
    }
    struct q_address address = loopback(80);
    q_socket_stream_init(&ear.socket, rig.io, &k_events);
    assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &address)));
    await(&rig, &ear.connected, 1);
    assert_int_equal(ear.error.code, Q_ERR_OK);
    ear.keeps_receiving = true;
    q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
    struct iovec parts[3] = {{bytes, 1}, {bytes + 1, 20000}, {bytes + 20001, LEN - 20001}};
    q_stream_send(&ear.socket.stream, parts, 3);
    await(&rig, &ear.sent, 1);
    assert_int_equal(ear.sent_len, LEN);
    for (int turns = 0; ear.got_len < LEN; turns++) {
        assert_true(turns < 20000);
        rig_turn(&rig, Q_NS_PER_S);
    }
    assert_memory_equal(ear.got, bytes, LEN);
    assert_int_equal(echo.len, LEN);
    q_stream_close(&ear.socket.stream); // a receive is armed
    await(&rig, &ear.closed, 1);
    assert_int_equal(ear.ended, 0);
    while (q_sim_step(sim, UINT64_MAX)) {
        // the peer sees the end
    }
    assert_int_equal(echo.fins + echo.resets, 1);
    free(bytes);
    rig_close(&rig);
    q_sim_free(sim);
}

static void bytes_go_out_and_come_back_whole_in_any_world(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        play_echo(seed);
    }
}

static void closing_at_any_moment_leaves_nothing_behind(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct rig rig;
        static struct echo echo;
        static struct ear ear;
        memset(&echo, 0, sizeof echo);
        memset(&ear, 0, sizeof ear);
        struct q_sim *sim = q_sim_new(&(struct q_sim_options){.seed = seed});
        q_sim_listen(sim, "127.0.0.1", 80, &(struct q_sim_listener){.peer = &k_echo, .context = &echo});
        rig_open(&rig, (struct rig_options){.sim = sim});
        struct q_address address = loopback(80);
        struct iovec part = {.iov_base = "hello", .iov_len = 5};
        q_socket_stream_init(&ear.socket, rig.io, &k_events);
        assert_false(q_error_is(q_stream_connect(&ear.socket.stream, &address)));
        ear.keeps_receiving = true;
        for (uint64_t turns = seed % 12; turns > 0; turns--) {
            int connected = ear.connected;
            rig_turn(&rig, 100 * Q_NS_PER_US);
            if (ear.connected > connected) {
                q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
                q_stream_send(&ear.socket.stream, &part, 1);
            }
        }
        q_stream_close(&ear.socket.stream);
        int events = ear.connected + ear.sent + ear.received + ear.ended;
        await(&rig, &ear.closed, 1);
        assert_int_equal(ear.connected + ear.sent + ear.received + ear.ended, events); // nothing but on_closed
        while (q_sim_step(sim, UINT64_MAX)) {
            // the peer sees the end
        }
        rig_close(&rig);
        q_sim_free(sim);
    }
}

// Whatever comes of it, a receive tells.
static void our_end_is_sent_without_a_word(void **state) {
    (void)state;
    static const int32_t k_results[] = {0, -ENOTCONN, -ECANCELED};
    for (size_t i = 0; i < Q_COUNT_OF(k_results); i++) {
        struct puppet puppet;
        struct ear ear;
        begin_open(&puppet, &ear);
        q_stream_recv(&ear.socket.stream, Q_STREAM_RECV_ANY);
        q_stream_shutdown(&ear.socket.stream);
        if (i == 2) { // closed meanwhile
            q_stream_close(&ear.socket.stream);
            end(&puppet.shutdown, k_results[i]);
            end(&puppet.recv, -ECANCELED);
            end(&puppet.close, 0);
            continue;
        }
        end(&puppet.shutdown, k_results[i]);
        assert_int_equal(ear.sent, 0);
        assert_int_equal(ear.ended, 0);
        end(&puppet.recv, 0);
        assert_int_equal(ear.ended, 1);
        assert_int_equal(ear.error.code, Q_ERR_OK);
        finish(&puppet, &ear);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_send_goes_on_where_it_stopped),
        cmocka_unit_test(every_cut_of_a_gathered_send_sends_the_same_bytes),
        cmocka_unit_test(an_interrupted_send_is_made_again),
        cmocka_unit_test(a_failed_send_tells_how_far_it_came),
        cmocka_unit_test(a_failed_connect_is_typed_and_safe_to_retry),
        cmocka_unit_test(without_a_slot_nothing_is_begun),
        cmocka_unit_test(every_tcp_socket_gets_its_options),
        cmocka_unit_test(a_bound_socket_takes_its_port_late_and_its_failure_has_a_name),
        cmocka_unit_test(a_connected_slot_goes_from_one_stream_to_another),
        cmocka_unit_test(options_of_its_own_take_the_place_of_the_defaults),
        cmocka_unit_test(a_unix_socket_gets_none),
        cmocka_unit_test(a_close_while_connecting_silences_the_connect),
        cmocka_unit_test(a_close_silences_what_is_under_way),
        cmocka_unit_test(data_behind_a_close_is_dropped_and_released),
        cmocka_unit_test(an_end_is_told_with_or_without_an_error),
        cmocka_unit_test(a_closed_stream_connects_again),
        cmocka_unit_test(our_end_is_sent_without_a_word),
        cmocka_unit_test(bytes_go_out_and_come_back_whole_in_any_world),
        cmocka_unit_test(closing_at_any_moment_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

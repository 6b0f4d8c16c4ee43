// Streams of datagrams, on an io that ends each op as the test says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "engine/net/socket_stream.h"

struct puppet {
    struct q_io io;
    struct q_io_op *connect, *recv, *send, *close;
    const struct q_io_connect *params;
};

static struct puppet puppet;
static struct q_socket_stream the_socket;
static int num_connected, num_ended, num_closed;
static struct q_error last_error;

static struct q_error io_open(struct q_io *io, struct q_io_slot *out) {
    (void)io;
    *out = (struct q_io_slot){.generation = 1, .index = 5};
    return Q_OK;
}

static void start(struct q_io_op **place, struct q_io_op *op) {
    assert_null(*place);
    op->busy = true;
    *place = op;
}

static void io_connect(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct q_io_connect *params) {
    (void)io;
    (void)slot;
    puppet.params = params;
    start(&puppet.connect, op);
}

static void io_recv(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, uint32_t most) {
    (void)io;
    (void)slot;
    (void)most;
    start(&puppet.recv, op);
}

static void io_send(struct q_io *io, struct q_io_slot slot, struct q_io_op *op, const struct msghdr *message) {
    (void)io;
    (void)slot;
    (void)message;
    start(&puppet.send, op);
}

static void io_close(struct q_io *io, struct q_io_slot slot, struct q_io_op *op) {
    (void)io;
    (void)slot;
    start(&puppet.close, op);
}

static const struct q_io_vtable k_io = {
    .open = io_open, .connect = io_connect, .recv = io_recv, .send = io_send, .close = io_close};

static void end(struct q_io_op **place, int32_t result) {
    struct q_io_op *op = *place;
    assert_non_null(op);
    *place = NULL;
    op->busy = false;
    op->result = result;
    op->done(op);
}

static void on_connected(struct q_stream *stream, struct q_error error) {
    (void)stream;
    assert_false(q_error_is(error));
    num_connected++;
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    (void)stream;
    num_ended++;
    last_error = error;
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    (void)stream;
    (void)len;
    (void)error;
}

static void on_closed(struct q_stream *stream) {
    (void)stream;
    num_closed++;
}

static const struct q_stream_events k_events = {
    .on_connected = on_connected, .on_ended = on_ended, .on_sent = on_sent, .on_closed = on_closed};

static void it_has_no_options_and_an_empty_datagram_is_no_reset(void **state) {
    (void)state;
    static char text[] = "query";
    struct q_address address = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, 53);
    puppet = (struct puppet){.io = {.v = &k_io}};
    q_socket_stream_init(&the_socket, &puppet.io, &k_events);
    q_socket_stream_datagram(&the_socket);
    assert_false(q_error_is(q_stream_connect(&the_socket.stream, &address)));
    assert_true(puppet.params->is_datagram);
    assert_int_equal(puppet.params->num_options, 0);
    end(&puppet.connect, 0);
    assert_int_equal(num_connected, 1);
    struct iovec part = {text, sizeof text};
    q_stream_send(&the_socket.stream, &part, 1);
    q_stream_recv(&the_socket.stream, 100);
    end(&puppet.recv, 0); // while the send is under way
    assert_int_equal(num_ended, 1);
    assert_int_equal(last_error.code, Q_ERR_OK);
    end(&puppet.send, sizeof text);
    q_stream_recv(&the_socket.stream, 100); // and it goes on
    end(&puppet.recv, -ECONNREFUSED);
    assert_int_equal(num_ended, 2);
    assert_int_equal(last_error.os_errno, ECONNREFUSED);
    q_stream_close(&the_socket.stream);
    end(&puppet.close, 0);
    assert_int_equal(num_closed, 1);
}

int main(void) {
    static const struct CMUnitTest k_tests[] = {
        cmocka_unit_test(it_has_no_options_and_an_empty_datagram_is_no_reset),
    };
    return cmocka_run_group_tests(k_tests, NULL, NULL);
}

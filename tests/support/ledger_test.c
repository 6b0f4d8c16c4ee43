// The ledger must see each fault that it is there for: every rule is broken once, on the simulated kernel, and one
// clean life passes.
#define _GNU_SOURCE
#include "tests/support/ledger.h"

#include "engine/base/check.h"
#include "engine/loop/io.h"
#include "tests/support/rawring.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_rawring ring;
    struct sockaddr_in address;
    struct q_sim_conn *conn;
};

static uint64_t name(unsigned kind, uint64_t generation, uint32_t slot) {
    return q_io_user_data((enum q_io_kind)kind, (struct q_io_slot){.generation = generation, .index = slot});
}

static void peer_open(void *context, struct q_sim_conn *conn) { ((struct fixture *)context)->conn = conn; }
static const struct q_sim_peer k_peer = {.on_open = peer_open};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    f->sim = q_sim_new(&(struct q_sim_options){0});
    f->ledger = q_ledger_new(q_sim_sys(f->sim));
    f->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
    f->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    q_sim_listen(f->sim, "127.0.0.1", 80, &(struct q_sim_listener){.peer = &k_peer, .context = f});
    assert_int_equal(q_rawring_open(&f->ring, q_ledger_sys(f->ledger), Q_RAWRING_DEFAULT_FLAGS, 32, 64), 0);
    assert_int_equal(q_rawring_slots(&f->ring, 8), 0);
    assert_int_equal(q_rawring_buffers(&f->ring, 0, 4, 256), 0);
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    q_rawring_close(&f->ring);
    q_ledger_free(f->ledger);
    q_sim_free(f->sim);
    free(f);
    return 0;
}

static int32_t await(struct fixture *f) {
    struct io_uring_cqe cqe;
    return q_rawring_await(&f->ring, Q_NS_PER_S, &cqe);
}

static void connect_slot(struct fixture *f, uint32_t slot, uint64_t generation) {
    q_rawring_socket(&f->ring, name(Q_IO_SOCKET, generation, slot), slot)->flags |= IOSQE_IO_LINK;
    q_rawring_connect(&f->ring, name(Q_IO_CONNECT, generation, slot), slot, (struct sockaddr *)&f->address,
                      sizeof f->address);
    await(f);
    await(f);
}

static void close_slot(struct fixture *f, uint32_t slot, uint64_t generation) {
    q_rawring_cancel_slot(&f->ring, name(Q_IO_CANCEL, generation, slot), slot);
    q_rawring_close_slot(&f->ring, name(Q_IO_CLOSE, generation, slot), slot);
    while (await(f) != INT32_MIN) {
        // all that ends
    }
}

static void expect(struct fixture *f, const char *what) {
    assert_non_null(q_ledger_violation(f->ledger));
    if (strstr(q_ledger_violation(f->ledger), what) == NULL) {
        fail_msg("expected '%s', got '%s'", what, q_ledger_violation(f->ledger));
    }
}

static void a_clean_life_passes(void **state) {
    struct fixture *f = *state;
    char text[256] = "";
    for (uint64_t generation = 1; generation <= 3; generation++) {
        connect_slot(f, 3, generation);
        q_rawring_give(&f->ring, 0);
        q_rawring_receive(&f->ring, name(Q_IO_RECV, generation, 3), 3);
        q_rawring_send(&f->ring, name(Q_IO_SEND, generation, 3), 3, "x", 1);
        q_sim_conn_send(f->conn, "y", 1);
        await(f);
        await(f);
        q_rawring_receive(&f->ring, name(Q_IO_RECV, generation, 3), 3);
        close_slot(f, 3, generation);
    }
    if (!q_ledger_check(f->ledger, text, sizeof text)) {
        fail_msg("%s", text);
    }
    assert_int_equal(q_ledger_counts(f->ledger)->opened, 3);
    assert_int_equal(q_ledger_counts(f->ledger)->closed, 3);
    assert_int_equal(q_ledger_counts(f->ledger)->by_op[IORING_OP_RECV], 6);
}

static void a_slot_in_use_may_not_be_made_again(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    connect_slot(f, 0, 2);
    expect(f, "occupied");
}

static void a_generation_may_not_come_back(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 2);
    close_slot(f, 0, 2);
    connect_slot(f, 0, 2);
    expect(f, "generation 2 after 2");
}

static void a_dead_generation_may_not_be_used(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    close_slot(f, 0, 1);
    connect_slot(f, 0, 2);
    assert_int_equal(q_ledger_violations(f->ledger), 0);
    q_rawring_send(&f->ring, name(Q_IO_SEND, 1, 0), 0, "x", 1);
    await(f);
    expect(f, "dead generation");
}

static void a_slot_is_closed_once(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    close_slot(f, 0, 1);
    q_rawring_close_slot(&f->ring, name(Q_IO_CLOSE, 1, 0), 0);
    await(f);
    expect(f, "closed twice");
}

static void a_close_comes_behind_a_cancel(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    q_rawring_give(&f->ring, 0);
    q_rawring_receive(&f->ring, name(Q_IO_RECV, 1, 0), 0);
    q_rawring_close_slot(&f->ring, name(Q_IO_CLOSE, 1, 0), 0);
    q_rawring_submit(&f->ring);
    expect(f, "before 1 requests on it were cancelled");
}

static void a_slot_is_used_again_only_when_nothing_of_it_is_in_flight(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    q_rawring_give(&f->ring, 0);
    q_rawring_receive(&f->ring, name(Q_IO_RECV, 1, 0), 0);
    q_rawring_cancel_slot(&f->ring, name(Q_IO_CANCEL, 1, 0), 0);
    q_rawring_close_slot(&f->ring, name(Q_IO_CLOSE, 1, 0), 0);
    q_rawring_submit(&f->ring); // cancel and close are done, the receive's end waits for our next enter
    assert_int_equal(q_ledger_violations(f->ledger), 0);
    q_rawring_socket(&f->ring, name(Q_IO_SOCKET, 2, 0), 0);
    q_rawring_submit(&f->ring);
    expect(f, "requests of before in flight");
}

static void one_receive_and_one_send_at_a_time(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    q_sim_conn_pause(f->conn, true);
    static char bytes[1 << 20];
    q_rawring_send(&f->ring, name(Q_IO_SEND, 1, 0), 0, bytes, sizeof bytes);
    q_rawring_submit(&f->ring);
    assert_int_equal(q_ledger_violations(f->ledger), 0);
    q_rawring_send(&f->ring, name(Q_IO_SEND, 1, 0), 0, bytes, sizeof bytes);
    q_rawring_submit(&f->ring);
    expect(f, "a second operation");
}

static void a_buffer_is_given_once(void **state) {
    struct fixture *f = *state;
    q_rawring_give(&f->ring, 2);
    q_rawring_give(&f->ring, 2);
    q_rawring_submit(&f->ring);
    expect(f, "was given to the kernel, which has it");
}

static void what_has_not_ended_is_found_at_the_end(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    char text[256] = "";
    assert_false(q_ledger_check(f->ledger, text, sizeof text));
    assert_non_null(strstr(text, "1 sockets open"));
    q_rawring_give(&f->ring, 0);
    q_rawring_receive(&f->ring, name(Q_IO_RECV, 1, 0), 0);
    q_rawring_submit(&f->ring);
    assert_false(q_ledger_check(f->ledger, text, sizeof text));
    assert_non_null(strstr(text, "1 requests without an end"));
}

static void the_dump_shows_requests_and_completions(void **state) {
    struct fixture *f = *state;
    connect_slot(f, 0, 1);
    char text[1024] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    q_ledger_dump(f->ledger, out, 4);
    fclose(out);
    assert_non_null(strstr(text, "->   op  16 kind"));
    assert_non_null(strstr(text, "  <- op  45 kind"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_clean_life_passes),
        TEST(a_slot_in_use_may_not_be_made_again),
        TEST(a_generation_may_not_come_back),
        TEST(a_dead_generation_may_not_be_used),
        TEST(a_slot_is_closed_once),
        TEST(a_close_comes_behind_a_cancel),
        TEST(a_slot_is_used_again_only_when_nothing_of_it_is_in_flight),
        TEST(one_receive_and_one_send_at_a_time),
        TEST(a_buffer_is_given_once),
        TEST(what_has_not_ended_is_found_at_the_end),
        TEST(the_dump_shows_requests_and_completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

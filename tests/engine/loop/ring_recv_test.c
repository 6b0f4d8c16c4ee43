// What an owner is brought, when it asks, with each way of receiving: on the real kernel on each rung of the ladder.
// Which way is in use is looked at inside the ring; what is brought must be the same with all of them.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1024, BUFFERS = 8 };

struct line {
    struct rig rig;
    struct q_io_slot slot;
    int peer;
};

static void open_line(struct line *line, void **state, uint32_t chunks_max) {
    rig_open(&line->rig, (struct rig_options){.capabilities_off = rig_rung_of(state),
                                              .buffer_bytes = BUFFER,
                                              .num_buffers = BUFFERS,
                                              .chunks_max = chunks_max});
    line->slot = rig_connect(&line->rig, &line->rig.address);
    line->peer = rig_accept(&line->rig);
}

static void close_line(struct line *line) {
    rig_shut(&line->rig, line->slot);
    close(line->peer);
    rig_close(&line->rig); // and nothing is out
}

static const struct ring_recv *recv_of(const struct line *line) {
    return &line->rig.ring->slots[line->slot.index].recv;
}

static bool has(const struct line *line, uint32_t capability) {
    return (q_ring_capabilities(line->rig.ring) & capability) != 0;
}

static bool has_unasked(struct line *line) { return q_io_has_unasked(line->rig.io, line->slot); }

static void say(struct line *line, const char *text) {
    assert_int_equal(send(line->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void ask(struct line *line, struct rig_op *op, uint32_t most) {
    *op = rig_op(&line->rig);
    q_io_recv(line->rig.io, line->slot, &op->op, most);
    assert_int_equal(op->times, 0); // never from inside the call
}

static void expect_bytes(struct line *line, struct rig_op *op, const void *bytes, size_t len) {
    assert_int_equal(rig_await(&line->rig, op), len);
    assert_memory_equal(op->op.chunk->data, bytes, len);
    q_chunk_release(op->op.chunk);
}

static void expect_text(struct line *line, struct rig_op *op, const char *text) {
    expect_bytes(line, op, text, strlen(text));
}

// An owner that has been answered once as it asked. Leaves its next ask with the kernel.
static void become_steady(struct line *line, struct rig_op *op) {
    ask(line, op, Q_IO_RECV_ANY);
    assert_false(recv_of(line)->is_multishot); // nothing is known of this connection yet
    say(line, "first");
    expect_text(line, op, "first");
    ask(line, op, Q_IO_RECV_ANY);
    assert_int_equal(recv_of(line)->is_multishot, has(line, Q_RING_RECV_MULTISHOT));
    rig_turn(&line->rig, 0);
}

static void fill(char *pattern, size_t len) {
    for (size_t i = 0; i < len; i++) {
        pattern[i] = (char)(i * 7 + i / BUFFER);
    }
}

static void the_first_ask_brings_one_buffer_and_leaves_the_rest_with_the_kernel(void **state) {
    struct line line;
    struct rig_op op;
    char pattern[4 * BUFFER];
    fill(pattern, sizeof pattern);
    open_line(&line, state, 0);
    assert_int_equal(send(line.peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
    ask(&line, &op, Q_IO_RECV_ANY);
    expect_bytes(&line, &op, pattern, BUFFER);
    rig_settle(&line.rig);
    assert_false(has_unasked(&line));
    close_line(&line);
}

static void one_receive_serves_a_steady_owner(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    for (char text[2] = "a"; text[0] <= 'z'; text[0]++) {
        bool was_armed = recv_of(&line)->is_armed;
        say(&line, text);
        expect_text(&line, &op, text);
        assert_true(was_armed);
        assert_int_equal(recv_of(&line)->is_armed, has(&line, Q_RING_RECV_MULTISHOT)); // still, without being asked again
        ask(&line, &op, Q_IO_RECV_ANY);
    }
    close_line(&line);
}

// Not asking is pausing. What had come before the receive was stopped waits, in its order; what comes later stays with
// the kernel.
static void what_nobody_asks_for_waits_in_its_order(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    say(&line, "b");
    rig_settle(&line.rig);
    assert_int_equal(has_unasked(&line), has(&line, Q_RING_RECV_MULTISHOT));
    assert_false(recv_of(&line)->is_armed);
    for (int i = 0; i < 100; i++) {
        say(&line, "c");
    }
    rig_settle(&line.rig);
    assert_true(line.rig.pool.num_out <= BUFFERS + 1); // they are not here
    assert_int_equal(op.times, 1);
    char got[101] = "";
    for (size_t len = 0; len < 101;) {
        bool is_there = has_unasked(&line);
        ask(&line, &op, Q_IO_RECV_ANY);
        assert_true(q_io_has_started(line.rig.io) || !is_there); // a host that drives does not sleep on it
        int32_t result = rig_await(&line.rig, &op);
        assert_in_range(result, 1, 101 - len);
        memcpy(got + len, op.op.chunk->data, (size_t)result);
        q_chunk_release(op.op.chunk);
        len += (size_t)result;
    }
    assert_int_equal(got[0], 'b');
    for (size_t i = 1; i < 101; i++) {
        assert_int_equal(got[i], 'c');
    }
    close_line(&line);
}

static void a_bound_ends_the_receive_that_goes_on(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    ask(&line, &op, 10);
    assert_true(has(&line, Q_RING_RECV_MULTISHOT) ? q_io_has_started(line.rig.io) : recv_of(&line)->is_armed);
    rig_settle(&line.rig);
    assert_true(recv_of(&line)->is_armed);
    assert_false(recv_of(&line)->is_multishot);
    say(&line, "b");
    expect_text(&line, &op, "b");
    rig_settle(&line.rig);
    assert_false(recv_of(&line)->is_armed);
    close_line(&line);
}

// Two receives at a time may be told of in another order than that of their bytes. So there is one, and the next follows
// its last completion.
static void who_asks_while_his_receive_is_being_stopped_waits_for_its_end(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    if (!has(&line, Q_RING_RECV_MULTISHOT)) {
        close_line(&line);
        return;
    }
    say(&line, "b");
    rig_turn(&line.rig, Q_NS_PER_S);
    q_ring_recv_cancel_unwanted(line.rig.ring); // as the next kernel entry would
    assert_true(recv_of(&line)->is_canceling);
    ask(&line, &op, Q_IO_RECV_ANY);
    struct q_list done;
    q_list_init(&done);
    assert_true(q_io_collect(line.rig.io, &done));
    op.op.done(q_container_of(q_list_pop_front(&done), struct q_io_op, link));
    assert_int_equal(op.result, 1);
    q_chunk_release(op.op.chunk);
    ask(&line, &op, Q_IO_RECV_ANY);
    const struct ring_slot *slot = &line.rig.ring->slots[line.slot.index];
    assert_int_equal(slot->in_flight, 2); // with the cancel
    rig_settle(&line.rig);
    assert_int_equal(slot->in_flight, 1);
    assert_true(recv_of(&line)->is_armed && !recv_of(&line)->is_canceling);
    say(&line, "c");
    expect_text(&line, &op, "c");
    close_line(&line);
}

static void an_end_that_nobody_asked_for_comes_behind_the_bytes(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    say(&line, "b");
    shutdown(line.peer, SHUT_WR);
    rig_settle(&line.rig);
    ask(&line, &op, Q_IO_RECV_ANY);
    expect_text(&line, &op, "b");
    ask(&line, &op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&line.rig, &op), 0);
    assert_null(op.op.chunk);
    assert_true(op.op.is_fin);
    assert_false(has_unasked(&line));
    close_line(&line);
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    shutdown(line.peer, SHUT_WR); // comes with the bytes, in one turn
    expect_text(&line, &op, "a");
    assert_int_equal(has_unasked(&line), has(&line, Q_RING_RECV_MULTISHOT));
    ask(&line, &op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&line.rig, &op), 0);
    assert_true(op.op.is_fin);
    assert_false(has_unasked(&line));
    close_line(&line);
}

static void a_close_drops_what_nobody_asked_for(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    say(&line, "b");
    rig_settle(&line.rig);
    close_line(&line); // with bytes unasked
    open_line(&line, state, 0);
    become_steady(&line, &op);
    say(&line, "a");
    expect_text(&line, &op, "a");
    say(&line, "b");
    rig_settle(&line.rig);
    ask(&line, &op, Q_IO_RECV_ANY); // ready to be collected, and closed before
    close_line(&line);
    assert_int_equal(op.times, 1);
    assert_int_equal(op.result, -ECANCELED);
}

static void a_bundle_is_brought_buffer_by_buffer(void **state) {
    struct line line;
    struct rig_op op;
    char pattern[BUFFERS * BUFFER - 100];
    fill(pattern, sizeof pattern);
    open_line(&line, state, 0);
    assert_int_equal(send(line.peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
    bool was_bundled = false;
    for (size_t at = 0; at < sizeof pattern;) {
        ask(&line, &op, BUFFERS * BUFFER);
        int32_t len = rig_await(&line.rig, &op);
        assert_in_range(len, 1, BUFFER);
        assert_memory_equal(op.op.chunk->data, pattern + at, (size_t)len);
        q_chunk_release(op.op.chunk);
        at += (size_t)len;
        was_bundled |= has_unasked(&line);
    }
    assert_int_equal(was_bundled, has(&line, Q_RING_RECV_BUNDLE));
    close_line(&line);
}

// The bytes come in the turn that closes: all of their buffers come home, and the kernel gets others for them.
static void a_bundle_for_a_slot_that_closes_goes_home_whole(void **state) {
    struct rig_op op;
    struct line line;
    char pattern[BUFFERS * BUFFER];
    fill(pattern, sizeof pattern);
    open_line(&line, state, 0);
    for (int round = 0; round < 2 * BUFFERS; round++) {
        struct q_io_slot slot = rig_connect(&line.rig, &line.rig.address);
        int peer = rig_accept(&line.rig);
        assert_int_equal(send(peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
        op = rig_op(&line.rig);
        q_io_recv(line.rig.io, slot, &op.op, sizeof pattern);
        rig_shut(&line.rig, slot);
        assert_int_equal(op.result, -ECANCELED);
        close(peer);
    }
    assert_int_equal(send(line.peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
    ask(&line, &op, sizeof pattern);
    expect_bytes(&line, &op, pattern, BUFFER);
    size_t num_unasked = 0;
    for (const struct q_chunk *chunk = recv_of(&line)->first; chunk != NULL; chunk = chunk->next) {
        num_unasked++;
    }
    assert_int_equal(num_unasked, has(&line, Q_RING_RECV_BUNDLE) ? BUFFERS - 1 : 0); // the kernel has them all
    close_line(&line);
}

// The buffers go round in whatever order they come home, and a bundle follows the order in which they were given.
static void bundles_follow_the_buffers_wherever_they_lie(void **state) {
    enum { KEPT = 5 };
    struct line line;
    struct rig_op op;
    struct q_chunk *kept[KEPT] = {NULL};
    char pattern[3 * BUFFER + 17];
    fill(pattern, sizeof pattern);
    open_line(&line, state, 0);
    for (int round = 0; round < 60; round++) {
        assert_int_equal(send(line.peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
        for (size_t at = 0; at < sizeof pattern;) {
            ask(&line, &op, BUFFERS * BUFFER);
            int32_t len = rig_await(&line.rig, &op);
            assert_in_range(len, 1, sizeof pattern - at);
            assert_memory_equal(op.op.chunk->data, pattern + at, (size_t)len);
            at += (size_t)len;
            struct q_chunk **place = &kept[(round * 7 + (int)at) % KEPT]; // comes home some other time
            if (*place != NULL) {
                q_chunk_release(*place);
            }
            *place = op.op.chunk;
        }
    }
    for (size_t i = 0; i < KEPT; i++) {
        if (kept[i] != NULL) {
            q_chunk_release(kept[i]);
        }
    }
    close_line(&line);
}

static void a_receive_that_goes_on_outlives_a_lack_of_buffers(void **state) {
    struct line line;
    struct rig_op op;
    struct q_chunk *lent[4 * BUFFERS];
    size_t num_lent = 0;
    open_line(&line, state, 4 * BUFFERS);
    become_steady(&line, &op);
    while (line.rig.budget.out - line.rig.budget.with_kernel + q_chunk_pool_size(&line.rig.pool) <= line.rig.budget.limit &&
           num_lent < 3 * BUFFERS) {
        lent[num_lent++] = q_chunk_take(&line.rig.pool, Q_CHUNK_FOR_KERNEL); // a host that keeps what it gets
    }
    for (int i = 0; i < 40; i++) {
        say(&line, "x");
        rig_turn(&line.rig, 0);
        if (op.times == 1 && op.op.chunk != NULL) {
            lent[num_lent++] = op.op.chunk;
            op.op.chunk = NULL;
            if (num_lent < 4 * BUFFERS) {
                ask(&line, &op, Q_IO_RECV_ANY);
            } else {
                break;
            }
        }
    }
    while (num_lent > 0) {
        q_chunk_release(lent[--num_lent]);
    }
    if (!op.op.busy && op.op.chunk == NULL) {
        ask(&line, &op, Q_IO_RECV_ANY);
    }
    say(&line, "!");
    for (bool is_over = false; !is_over; ask(&line, &op, Q_IO_RECV_ANY)) {
        int32_t len = rig_await(&line.rig, &op);
        assert_true(len > 0);
        is_over = op.op.chunk->data[len - 1] == '!';
        q_chunk_release(op.op.chunk);
    }
    close_line(&line);
}

static void where_memory_is_short_neither_fast_way_is_used(void **state) {
    struct line line;
    struct rig_op op;
    open_line(&line, state, BUFFERS + 1); // more than half of it is with the kernel
    ask(&line, &op, Q_IO_RECV_ANY);
    say(&line, "first");
    expect_text(&line, &op, "first");
    ask(&line, &op, Q_IO_RECV_ANY);
    assert_false(recv_of(&line)->is_multishot);
    say(&line, "second");
    expect_text(&line, &op, "second");
    char pattern[3 * BUFFER];
    fill(pattern, sizeof pattern);
    assert_int_equal(send(line.peer, pattern, sizeof pattern, MSG_NOSIGNAL), sizeof pattern);
    ask(&line, &op, sizeof pattern);
    expect_bytes(&line, &op, pattern, BUFFER);
    rig_settle(&line.rig);
    assert_false(has_unasked(&line));
    close_line(&line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(the_first_ask_brings_one_buffer_and_leaves_the_rest_with_the_kernel),
        RIG_ON_EACH_RUNG(one_receive_serves_a_steady_owner),
        RIG_ON_EACH_RUNG(what_nobody_asks_for_waits_in_its_order),
        RIG_ON_EACH_RUNG(a_bound_ends_the_receive_that_goes_on),
        RIG_ON_EACH_RUNG(who_asks_while_his_receive_is_being_stopped_waits_for_its_end),
        RIG_ON_EACH_RUNG(an_end_that_nobody_asked_for_comes_behind_the_bytes),
        RIG_ON_EACH_RUNG(a_close_drops_what_nobody_asked_for),
        RIG_ON_EACH_RUNG(a_bundle_is_brought_buffer_by_buffer),
        RIG_ON_EACH_RUNG(a_bundle_for_a_slot_that_closes_goes_home_whole),
        RIG_ON_EACH_RUNG(bundles_follow_the_buffers_wherever_they_lie),
        RIG_ON_EACH_RUNG(a_receive_that_goes_on_outlives_a_lack_of_buffers),
        RIG_ON_EACH_RUNG(where_memory_is_short_neither_fast_way_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The buffers that all connections of a ring share: how they go round, run out and come back; on the real kernel on
// each rung of the ladder.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint64_t starved(struct rig *rig) {
    return q_io_get_stats(rig->io)->buffers_starved;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void an_armed_receive_holds_no_buffer(void **state) {
    struct rig rig;
    struct q_io_slot slots[6];
    struct rig_op ops[6];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 2, .chunks_max = 2});
    for (size_t i = 0; i < 6; i++) {
        slots[i] = rig_connect(&rig, &rig.address);
        ops[i] = rig_op(&rig);
        q_io_recv(rig.io, slots[i], &ops[i].op, Q_IO_RECV_ANY);
    }
    rig_turn(&rig, 0);
    assert_int_equal(starved(&rig), 0); // six wait for their bytes on two buffers
    for (size_t i = 0; i < 6; i++) {
        int peer = rig_accept(&rig);
        say(peer, "x");
        assert_int_equal(rig_await(&rig, &ops[i]), 1);
        q_chunk_release(ops[i].op.chunk);
        close(peer);
        rig_shut(&rig, slots[i]);
    }
    rig_close(&rig);
}

static void buffers_go_round_for_ever(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 4, .chunks_max = 6});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    for (uint32_t i = 0; i < 200; i++) {
        struct rig_op op = rig_op(&rig);
        assert_int_equal(send(peer, &i, sizeof i, MSG_NOSIGNAL), sizeof i);
        q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
        assert_int_equal(rig_await(&rig, &op), sizeof i);
        assert_memory_equal(op.op.chunk->data, &i, sizeof i);
        q_chunk_release(op.op.chunk);
        assert_true(rig.budget.used <= rig.budget.limit);
    }
    assert_int_equal(starved(&rig), 0);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

// What lies with the kernel is counted beside: the shares of the others are about the rest.
static void what_the_kernel_has_is_counted_exactly(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 4, .chunks_max = 6});
    uint64_t size = q_chunk_pool_size(&rig.pool);
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    assert_int_equal(rig.budget.with_kernel, 4 * size);
    for (int i = 0; i < 10; i++) {
        struct rig_op op = rig_op(&rig);
        say(peer, "x");
        q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
        assert_int_equal(rig_await(&rig, &op), 1);
        assert_int_equal(rig.budget.with_kernel, q_io_get_stats(rig.io)->num_buffers * size);
        assert_int_equal(rig.budget.out, rig.budget.with_kernel + size); // and the one that was brought
        q_chunk_release(op.op.chunk);
    }
    rig_shut(&rig, slot);
    close(peer);
    rig_destroy(&rig);
    assert_int_equal(rig.budget.with_kernel, 0);
    rig_close(&rig);
}

// A receive that came too late for the last buffer waits for the next turn, and somebody must know that there is one to
// make; where there is no memory for another buffer there is nothing to do but to wait.
static void who_starves_keeps_the_loop_awake_while_there_is_memory(void **state) {
    struct rig rig;
    struct q_io_slot slots[2];
    struct rig_op ops[2];
    int peers[2];
    for (uint32_t chunks_max = 1; chunks_max <= 2; chunks_max++) {
        rig_open(&rig, (struct rig_options){
                           .capabilities_off = rig_rung_of(state), .num_buffers = 1, .chunks_max = chunks_max});
        for (size_t i = 0; i < 2; i++) {
            slots[i] = rig_connect(&rig, &rig.address);
            peers[i] = rig_accept(&rig);
            ops[i] = rig_op(&rig);
            q_io_recv(rig.io, slots[i], &ops[i].op, Q_IO_RECV_ANY);
        }
        rig_turn(&rig, 0);
        assert_false(q_io_has_started(rig.io));
        say(peers[0], "x");
        say(peers[1], "x");
        rig_turn(&rig, Q_NS_PER_S);
        assert_int_equal(ops[0].times + ops[1].times, 1);
        assert_int_equal(starved(&rig), 1);
        assert_true(q_io_has_started(rig.io));
        rig_turn(&rig, 0); // looks for memory
        assert_false(q_io_has_started(rig.io));
        assert_int_equal(q_io_get_stats(rig.io)->is_dry, chunks_max == 1);
        size_t first = ops[0].times == 1 ? 0 : 1;
        q_chunk_release(ops[first].op.chunk);
        assert_int_equal(rig_await(&rig, &ops[!first]), 1);
        q_chunk_release(ops[!first].op.chunk);
        for (size_t i = 0; i < 2; i++) {
            rig_shut(&rig, slots[i]);
            close(peers[i]);
        }
        rig_close(&rig);
    }
}

static void a_lent_buffer_is_replaced_by_a_spare(void **state) {
    struct rig rig;
    struct q_chunk *lent[8];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 2, .chunks_max = 10});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    for (size_t i = 0; i < 8; i++) { // kept, all of them: four times what the ring has
        struct rig_op op = rig_op(&rig);
        char byte = (char)('a' + i);
        assert_int_equal(send(peer, &byte, 1, MSG_NOSIGNAL), 1);
        q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
        assert_int_equal(rig_await(&rig, &op), 1);
        lent[i] = op.op.chunk;
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(lent[i]->data[0], 'a' + (int)i); // nobody has written into them since
        q_chunk_release(lent[i]);
    }
    assert_int_equal(starved(&rig), 0);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

// All memory is lent out: a receive with bytes waiting starves, without an error and without spinning, and goes on when
// a chunk comes home.
static void a_starved_receive_goes_on_when_memory_comes_home(void **state) {
    struct rig rig;
    struct q_chunk *lent[2];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 2, .chunks_max = 2});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    for (size_t i = 0; i < 2; i++) {
        struct rig_op op = rig_op(&rig);
        say(peer, "1");
        q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
        assert_int_equal(rig_await(&rig, &op), 1);
        lent[i] = op.op.chunk;
    }
    struct rig_op op = rig_op(&rig);
    say(peer, "three");
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    for (int i = 0; i < 5; i++) {
        rig_turn(&rig, 2 * Q_NS_PER_MS);
    }
    assert_int_equal(op.times, 0);
    assert_int_equal(starved(&rig), 1); // found none once, and was not tried again for nothing
    q_chunk_release(lent[0]);
    assert_int_equal(rig_await(&rig, &op), 5);
    assert_memory_equal(op.op.chunk->data, "three", 5);
    q_chunk_release(op.op.chunk);
    q_chunk_release(lent[1]);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void starving_hides_no_end_of_the_stream(void **state) {
    struct rig rig;
    struct q_chunk *lent;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 1, .chunks_max = 1});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op first = rig_op(&rig), second = rig_op(&rig);
    say(peer, "1");
    q_io_recv(rig.io, slot, &first.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &first), 1);
    lent = first.op.chunk;
    shutdown(peer, SHUT_WR);
    q_io_recv(rig.io, slot, &second.op, Q_IO_RECV_ANY);
    for (int i = 0; i < 3; i++) {
        rig_turn(&rig, 2 * Q_NS_PER_MS); // the kernel wants a buffer even to say that there is nothing to put into it
    }
    q_chunk_release(lent);
    assert_int_equal(rig_await(&rig, &second), 0);
    assert_null(second.op.chunk);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

static void a_starved_receive_ends_with_its_slot(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 1, .chunks_max = 1});
    struct q_io_slot greedy = rig_connect(&rig, &rig.address);
    int greedy_peer = rig_accept(&rig);
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op first = rig_op(&rig), second = rig_op(&rig);
    say(greedy_peer, "mine");
    q_io_recv(rig.io, greedy, &first.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &first), 4);
    say(peer, "never read");
    q_io_recv(rig.io, slot, &second.op, Q_IO_RECV_ANY);
    rig_settle(&rig);
    assert_int_equal(starved(&rig), 1);
    rig_shut(&rig, slot);
    assert_int_equal(second.times, 1);
    assert_int_equal(second.result, -ECANCELED);
    q_chunk_release(first.op.chunk);
    rig_settle(&rig); // what came home finds nobody waiting
    rig_shut(&rig, greedy);
    close(greedy_peer);
    close(peer);
    rig_close(&rig);
}

static void a_starved_receive_and_a_close_with_memory_coming_home_do_not_meet(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 1, .chunks_max = 1});
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op first = rig_op(&rig), second = rig_op(&rig), close_op = rig_op(&rig);
    say(peer, "one");
    q_io_recv(rig.io, slot, &first.op, Q_IO_RECV_ANY);
    assert_int_equal(rig_await(&rig, &first), 3);
    say(peer, "two");
    q_io_recv(rig.io, slot, &second.op, Q_IO_RECV_ANY);
    rig_settle(&rig);
    assert_int_equal(second.times, 0);
    q_io_close(rig.io, slot, &close_op.op);
    q_chunk_release(first.op.chunk); // a buffer for a receive that must not be armed any more
    assert_int_equal(rig_await(&rig, &close_op), 0);
    assert_int_equal(second.times, 1);
    assert_int_equal(second.result, -ECANCELED);
    assert_true(second.order < close_op.order);
    close(peer);
    rig_close(&rig);
}

static void many_starved_receives_are_all_served_in_the_end(void **state) {
    enum { MANY = 6 };
    struct rig rig;
    struct q_io_slot slots[MANY];
    struct rig_op ops[MANY];
    int peers[MANY];
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 1, .chunks_max = 1});
    for (size_t i = 0; i < MANY; i++) {
        slots[i] = rig_connect(&rig, &rig.address);
        peers[i] = rig_accept(&rig);
        ops[i] = rig_op(&rig);
        say(peers[i], "hello");
        q_io_recv(rig.io, slots[i], &ops[i].op, Q_IO_RECV_ANY);
    }
    // One chunk for all: whoever has got it gives it back before the next one can go on.
    int served = 0;
    for (int turns = 0; served < MANY && turns < 1000; turns++) {
        rig_turn(&rig, Q_NS_PER_MS);
        for (size_t i = 0; i < MANY; i++) {
            if (ops[i].times == 1 && ops[i].op.chunk != NULL) {
                assert_int_equal(ops[i].result, 5);
                q_chunk_release(ops[i].op.chunk);
                ops[i].op.chunk = NULL;
                served++;
            }
        }
    }
    assert_int_equal(served, MANY);
    assert_int_equal(starved(&rig), MANY - 1); // each found none once: no more are tried than there are buffers
    for (size_t i = 0; i < MANY; i++) {
        rig_shut(&rig, slots[i]);
        close(peers[i]);
    }
    rig_close(&rig);
}

static void an_allocator_that_fails_while_refilling_only_starves(void **state) {
    struct rig rig;
    rig_open(&rig, (struct rig_options){.capabilities_off = rig_rung_of(state), .num_buffers = 2, .chunks_max = 8});
    q_failalloc_fail_from(rig.memory, 1); // the ring has no buffer yet
    struct q_io_slot slot = rig_connect(&rig, &rig.address);
    int peer = rig_accept(&rig);
    struct rig_op op = rig_op(&rig);
    say(peer, "late");
    q_io_recv(rig.io, slot, &op.op, Q_IO_RECV_ANY);
    rig_turn(&rig, Q_NS_PER_MS);
    rig_turn(&rig, Q_NS_PER_MS);
    assert_int_equal(op.times, 0);
    q_failalloc_fail_at(rig.memory, 0);
    assert_int_equal(rig_await(&rig, &op), 4);
    q_chunk_release(op.op.chunk);
    rig_shut(&rig, slot);
    close(peer);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(an_armed_receive_holds_no_buffer),
        RIG_ON_EACH_RUNG(buffers_go_round_for_ever),
        RIG_ON_EACH_RUNG(what_the_kernel_has_is_counted_exactly),
        RIG_ON_EACH_RUNG(who_starves_keeps_the_loop_awake_while_there_is_memory),
        RIG_ON_EACH_RUNG(a_lent_buffer_is_replaced_by_a_spare),
        RIG_ON_EACH_RUNG(a_starved_receive_goes_on_when_memory_comes_home),
        RIG_ON_EACH_RUNG(starving_hides_no_end_of_the_stream),
        RIG_ON_EACH_RUNG(a_starved_receive_ends_with_its_slot),
        RIG_ON_EACH_RUNG(a_starved_receive_and_a_close_with_memory_coming_home_do_not_meet),
        RIG_ON_EACH_RUNG(many_starved_receives_are_all_served_in_the_end),
        RIG_ON_EACH_RUNG(an_allocator_that_fails_while_refilling_only_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

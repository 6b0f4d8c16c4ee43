// Large buffers: what streams fast is received into them, and nothing else for long. On the real kernel on each rung of
// the ladder; where there are no bundles there are none of them.
#define _GNU_SOURCE
#include "tests/engine/loop/ring_rig.h"

#include "engine/loop/ring_internal.h"

#include <string.h>
#include <unistd.h>

enum { BUFFER = 1024, BUFFERS = 8, LARGE = 4 * BUFFER, ALL = BUFFERS * BUFFER };

struct line {
    struct rig rig;
    struct q_io_slot slot;
    int peer;
    bool has_bundles;
};

static void open_weighed(struct line *line, void **state, uint32_t chunks_max, uint32_t weight) {
    rig_open(&line->rig, (struct rig_options){.capabilities_off = rig_rung_of(state),
                                              .buffer_bytes = BUFFER,
                                              .num_buffers = BUFFERS,
                                              .large_bytes = LARGE,
                                              .large_weight = weight,
                                              .chunks_max = chunks_max});
    line->slot = rig_connect(&line->rig, &line->rig.address);
    line->peer = rig_accept(&line->rig);
    line->has_bundles = (q_ring_capabilities(line->rig.ring) & Q_RING_RECV_BUNDLE) != 0;
}

static void open_line(struct line *line, void **state, uint32_t chunks_max) { open_weighed(line, state, chunks_max, 1); }

static void close_line(struct line *line) {
    rig_shut(&line->rig, line->slot);
    close(line->peer);
    rig_close(&line->rig); // and nothing is out
}

// Sends `len` bytes and receives them, asking for all. Gives the longest piece.
static uint32_t stream(struct line *line, size_t len) {
    char pattern[ALL] = "";
    uint32_t longest = 0;
    for (size_t i = 0; i < len; i++) {
        pattern[i] = (char)(i * 7 + i / BUFFER);
    }
    assert_int_equal(send(line->peer, pattern, len, MSG_NOSIGNAL), (ssize_t)len);
    for (size_t at = 0; at < len;) {
        struct rig_op op = rig_op(&line->rig);
        q_io_recv(line->rig.io, line->slot, &op.op, ALL);
        int32_t got = rig_await(&line->rig, &op);
        assert_in_range(got, 1, len - at);
        assert_int_equal(op.op.chunk->used, got);
        assert_true(op.op.chunk->used <= op.op.chunk->pool->capacity);
        assert_memory_equal(op.op.chunk->data, pattern + at, (size_t)got);
        longest = (uint32_t)got > longest ? (uint32_t)got : longest;
        at += (size_t)got;
        q_chunk_release(op.op.chunk);
        assert_true(line->rig.ring->buffer_bytes <= ALL); // large ones come in the place of small ones
    }
    return longest;
}

static void expect_with_kernel(struct line *line, uint32_t num_small, uint32_t num_large) {
    rig_turn(&line->rig, 0); // refilled
    assert_int_equal(line->rig.pool.num_out, num_small);
    assert_int_equal(line->rig.large.num_out, num_large);
    assert_int_equal(q_io_get_stats(line->rig.io)->num_buffers, num_small + num_large);
    assert_int_equal(line->rig.ring->buffer_bytes, num_small * BUFFER + num_large * LARGE * line->rig.options.large_weight);
    assert_int_equal(line->rig.budget.with_kernel, line->rig.budget.out);
}

static void what_streams_fast_is_received_into_large_buffers(void **state) {
    struct line line;
    open_line(&line, state, 0);
    expect_with_kernel(&line, BUFFERS, 0);
    assert_int_equal(stream(&line, ALL), BUFFER);
    if (line.has_bundles) {
        expect_with_kernel(&line, 0, ALL / LARGE);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(stream(&line, ALL), LARGE);
            expect_with_kernel(&line, 0, ALL / LARGE);
        }
    } else {
        expect_with_kernel(&line, BUFFERS, 0);
    }
    close_line(&line);
}

static void what_comes_slowly_is_received_into_small_ones(void **state) {
    struct line line;
    open_line(&line, state, 0);
    for (int i = 0; i < 20; i++) {
        assert_true(stream(&line, LARGE - 1) <= BUFFER); // one octet less than a large buffer holds
    }
    expect_with_kernel(&line, BUFFERS, 0);
    close_line(&line);
}

static void a_large_buffer_that_something_small_came_in_makes_room_for_small_ones(void **state) {
    struct line line;
    open_line(&line, state, 0);
    stream(&line, ALL);
    for (uint32_t num_large = ALL / LARGE; line.has_bundles && num_large > 0; num_large--) {
        expect_with_kernel(&line, (ALL / LARGE - num_large) * LARGE / BUFFER, num_large);
        assert_int_equal(stream(&line, 100), 100);
    }
    expect_with_kernel(&line, BUFFERS, 0);
    close_line(&line);
}

static void no_more_is_large_than_has_streamed(void **state) {
    struct line line;
    open_line(&line, state, 0);
    stream(&line, LARGE + BUFFER);
    expect_with_kernel(&line, line.has_bundles ? BUFFERS - LARGE / BUFFER : BUFFERS, line.has_bundles ? 1 : 0);
    close_line(&line);
}

static void large_ones_may_count_for_more_than_they_hold(void **state) {
    struct line line;
    open_weighed(&line, state, 0, 2);
    expect_with_kernel(&line, BUFFERS, 0);
    stream(&line, ALL);
    for (int i = 0; i < 20; i++) {
        expect_with_kernel(&line, line.has_bundles ? 0 : BUFFERS, line.has_bundles ? 1 : 0);
        assert_int_equal(stream(&line, LARGE), line.has_bundles ? LARGE : BUFFER);
    }
    stream(&line, 100);
    expect_with_kernel(&line, line.has_bundles ? 0 : BUFFERS, line.has_bundles ? 1 : 0); // one was due
    stream(&line, 100);
    expect_with_kernel(&line, BUFFERS, 0);
    close_line(&line);
}

// Everything that the kernel had is filled, and nothing is refilled yet. Gives the first of it.
static struct q_chunk *stream_to_the_last_buffer(struct line *line) {
    static const char k_bytes[ALL];
    assert_int_equal(send(line->peer, k_bytes, ALL, MSG_NOSIGNAL), ALL);
    struct rig_op op = rig_op(&line->rig);
    q_io_recv(line->rig.io, line->slot, &op.op, ALL);
    assert_int_equal(rig_await(&line->rig, &op), BUFFER);
    assert_int_equal(q_io_get_stats(line->rig.io)->num_buffers, line->has_bundles ? 0 : BUFFERS - 1);
    return op.op.chunk;
}

static void where_memory_is_short_buffers_are_small(void **state) {
    enum { HELD = BUFFERS + 2 };
    struct line line;
    struct q_chunk *held[HELD];
    open_line(&line, state, 4 * BUFFERS);
    struct q_chunk *first = stream_to_the_last_buffer(&line);
    for (int i = 0; i < HELD; i++) {
        held[i] = q_chunk_take(&line.rig.pool, Q_CHUNK_FOR_HOST); // more than half of it with what was received
        assert_non_null(held[i]);
    }
    rig_turn(&line.rig, 0);
    assert_int_equal(line.rig.large.num_out, 0);
    assert_int_equal(q_io_get_stats(line.rig.io)->num_buffers, BUFFERS);
    for (int i = 0; i < HELD; i++) {
        q_chunk_release(held[i]);
    }
    q_chunk_release(first);
    for (int32_t left = ALL - BUFFER; left > 0;) {
        struct rig_op op = rig_op(&line.rig);
        q_io_recv(line.rig.io, line.slot, &op.op, BUFFER);
        left -= rig_await(&line.rig, &op);
        q_chunk_release(op.op.chunk);
    }
    stream(&line, 100); // makes room for a small one, where large ones were due
    expect_with_kernel(&line, BUFFERS, 0);
    close_line(&line);
}

static void an_allocation_that_fails_gives_a_small_one(void **state) {
    struct line line;
    open_line(&line, state, 0);
    struct q_chunk *first = stream_to_the_last_buffer(&line);
    q_failalloc_fail_at(line.rig.memory, 1);
    rig_turn(&line.rig, 0);
    q_failalloc_fail_at(line.rig.memory, 0);
    assert_int_equal(line.rig.large.num_out, line.has_bundles ? 1 : 0); // the other one
    assert_int_equal(line.rig.ring->buffer_bytes, line.has_bundles ? ALL : ALL - BUFFER);
    q_chunk_release(first);
    close_line(&line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_ON_EACH_RUNG(what_streams_fast_is_received_into_large_buffers),
        RIG_ON_EACH_RUNG(what_comes_slowly_is_received_into_small_ones),
        RIG_ON_EACH_RUNG(a_large_buffer_that_something_small_came_in_makes_room_for_small_ones),
        RIG_ON_EACH_RUNG(no_more_is_large_than_has_streamed),
        RIG_ON_EACH_RUNG(large_ones_may_count_for_more_than_they_hold),
        RIG_ON_EACH_RUNG(where_memory_is_short_buffers_are_small),
        RIG_ON_EACH_RUNG(an_allocation_that_fails_gives_a_small_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Who is given up when memory is short, and who is not: on an io that only says how many buffers there are.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/conn/holders.h"

#define START (UINT64_C(1000) * Q_NS_PER_S)

enum { HOLDERS = 40, HEAD = 1000 };

struct scene {
    struct q_holders holders;
    struct q_loop loop;
    struct q_io io;
    struct q_io_stats stats;
    struct q_clock clock;
    struct q_log log;
    uint64_t now_ns;
    struct q_chunk_budget budget;
    struct q_chunk_pool heads;
    struct q_holder list[HOLDERS];
    bool is_given_up[HOLDERS];
    unsigned num_given_up;
    unsigned wet_after; // there is a buffer again when so many have been given up
};

static struct scene the_scene;

static uint64_t read_clock(const struct q_clock *clock) { return q_container_of(clock, struct scene, clock)->now_ns; }

static enum q_io_rest turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    (void)io;
    (void)turn;
    (void)out_done;
    return Q_IO_REST_NONE;
}

static bool none(struct q_io *io, struct q_list *out_done) {
    (void)io;
    (void)out_done;
    return false;
}

static bool nothing(const struct q_io *io) {
    (void)io;
    return false;
}

static const struct q_io_stats *stats(const struct q_io *io) { return &q_container_of(io, const struct scene, io)->stats; }

static const struct q_io_vtable k_io = {.turn = turn, .collect = none, .has_started = nothing, .stats = stats};

static bool look(void *owner) {
    struct scene *s = owner;
    q_holders_look(&s->holders);
    return false;
}

static bool no_commands(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    (void)owner;
    *out_bell_value = 0;
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = no_commands, .publish = look, .park = park};

static void give_up(struct q_holder *holder) {
    struct scene *s = &the_scene;
    size_t which = (size_t)(holder - s->list);
    assert_true(which < HOLDERS && !s->is_given_up[which]);
    assert_false(q_list_is_linked(&holder->link)); // it is out of the list already
    s->is_given_up[which] = true;
    if (++s->num_given_up == s->wet_after) {
        s->stats = (struct q_io_stats){.num_buffers = 1};
    }
}

static struct scene *open_scene(void) {
    struct scene *s = &the_scene;
    memset(s, 0, sizeof *s);
    s->io.v = &k_io;
    s->clock.now_ns = read_clock;
    s->now_ns = START;
    s->stats.num_buffers = 8;
    s->budget = (struct q_chunk_budget){.limit = 100 * HEAD, .reserve = 20 * HEAD};
    q_chunk_pool_init(&s->heads, q_alloc_libc(), &s->budget, HEAD, 1);
    q_loop_init(&s->loop, &s->io, &s->clock, &s->log, 1, &k_steps, s);
    q_loop_bind(&s->loop);
    q_holders_init(&s->holders, &s->loop, &s->heads);
    for (size_t i = 0; i < HOLDERS; i++) {
        s->list[i].give_up = give_up;
    }
    return s;
}

static void let_pass(struct scene *s, uint64_t ms) {
    for (uint64_t i = 0; i < ms; i++) {
        s->now_ns += Q_NS_PER_MS;
        q_loop_tick(&s->loop, true);
    }
}

static void run_dry(struct scene *s) { s->stats = (struct q_io_stats){.is_dry = true}; }

static void nobody_is_given_up_while_there_is_memory(void **state) {
    (void)state;
    struct scene *s = open_scene();
    q_holders_add(&s->holders, &s->list[0]);
    let_pass(s, 5000);
    assert_int_equal(s->num_given_up, 0);
}

static void who_has_held_for_long_is_given_up_when_the_ring_is_dry(void **state) {
    (void)state;
    struct scene *s = open_scene();
    q_holders_add(&s->holders, &s->list[0]);
    let_pass(s, 500);
    q_holders_add(&s->holders, &s->list[1]);
    q_holders_add(&s->holders, &s->list[0]); // does not begin anew
    run_dry(s);
    let_pass(s, 400);
    assert_int_equal(s->num_given_up, 0); // neither has had its second
    let_pass(s, 200);
    assert_true(s->is_given_up[0] && !s->is_given_up[1]);
    let_pass(s, 500);
    assert_true(s->is_given_up[1]);
}

// The last buffer goes in the tick behind which the loop may sleep for ever: the timer is there by then.
static void the_loop_does_not_sleep_through_it(void **state) {
    (void)state;
    struct scene *s = open_scene();
    q_holders_add(&s->holders, &s->list[0]);
    s->stats.num_buffers = 0;
    q_loop_tick(&s->loop, true);
    assert_true(q_wheel_next(&s->loop.wheel) <= START + Q_HOLDERS_PATIENCE_NS + 10 * Q_NS_PER_MS);
    s->stats.num_buffers = 8; // served meanwhile
    let_pass(s, 2000);
    assert_int_equal(s->num_given_up, 0);
}

static void a_head_that_cannot_be_had_is_a_shortage_too(void **state) {
    (void)state;
    struct scene *s = open_scene();
    q_holders_add(&s->holders, &s->list[0]);
    s->budget.out = 80 * HEAD; // all but the reserve
    let_pass(s, 900);
    assert_int_equal(s->num_given_up, 0);
    let_pass(s, 200);
    assert_int_equal(s->num_given_up, 1);
}

static void no_more_are_given_up_than_it_takes(void **state) {
    (void)state;
    struct scene *s = open_scene();
    for (size_t i = 0; i < HOLDERS; i++) {
        q_holders_add(&s->holders, &s->list[i]);
    }
    q_holders_remove(&s->list[1]);
    q_holders_remove(&s->list[1]); // twice does no harm
    run_dry(s);
    s->wet_after = 3;
    let_pass(s, 3000);
    assert_int_equal(s->num_given_up, 3);
    assert_true(s->is_given_up[0] && !s->is_given_up[1] && s->is_given_up[2] && s->is_given_up[3]); // the longest first
}

static void all_are_given_up_when_it_takes_all(void **state) {
    (void)state;
    struct scene *s = open_scene();
    for (size_t i = 0; i < HOLDERS; i++) {
        q_holders_add(&s->holders, &s->list[i]);
    }
    run_dry(s);
    let_pass(s, 1500);
    assert_int_equal(s->num_given_up, HOLDERS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_given_up_while_there_is_memory),
        cmocka_unit_test(who_has_held_for_long_is_given_up_when_the_ring_is_dry),
        cmocka_unit_test(the_loop_does_not_sleep_through_it),
        cmocka_unit_test(a_head_that_cannot_be_had_is_a_shortage_too),
        cmocka_unit_test(no_more_are_given_up_than_it_takes),
        cmocka_unit_test(all_are_given_up_when_it_takes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

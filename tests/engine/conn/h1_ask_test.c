// A question of a handshake on its way to the connection's owner, without a handshake: what the owner is told and when, and
// which time counts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/conn/h1_conn_internal.h"
#include "tests/support/failalloc.h"

struct scene {
    struct q_loop loop;
    struct q_log log;
    struct q_failalloc *memory;
    struct q_tls_client client;
    struct q_conn_env env;
    struct q_h1_conn h1;
    struct q_h1_tls tls;
    int num_told;
};

static struct scene the_scene; // too large for a stack

static void on_question(struct q_conn *conn) {
    assert_non_null(conn->dossier);
    the_scene.num_told++;
}

static struct scene *open_scene(void) {
    static const struct q_loop_steps k_steps;
    static const struct q_conn_owner_events k_owner = {.on_question = on_question};
    struct scene *s = &the_scene;
    memset(s, 0, sizeof *s);
    q_loop_init(&s->loop, NULL, q_clock_monotonic(), &s->log, 1, &k_steps, NULL);
    q_loop_bind(&s->loop);
    s->memory = q_failalloc_new();
    s->client.dossiers.alloc = q_failalloc_alloc(s->memory);
    s->env = (struct q_conn_env){.loop = &s->loop, .tls = &s->client};
    s->h1.env = &s->env;
    s->h1.conn.owner = &k_owner;
    s->h1.conn.state = Q_CONN_CONNECTING;
    s->h1.tls = &s->tls;
    s->h1.since.deadline_ns = s->loop.now_ns + 10 * Q_NS_PER_S;
    s->tls.stream.params = &s->tls.params;
    s->tls.params.verify_name = Q_SLICE("b.example");
    s->tls.ask = (struct q_h1_ask){.host = Q_SLICE("a.example"), .port = 444};
    q_loop_arm(&s->loop, &s->h1.timer, s->h1.since.deadline_ns);
    return s;
}

static void close_scene(struct scene *s) {
    q_h1_ask_drop(&s->h1);
    q_h1_ask_drop(&s->h1); // legal at any time
    assert_null(s->h1.conn.dossier);
    q_loop_disarm(&s->loop, &s->h1.timer);
    assert_int_equal(s->client.dossiers.bytes, 0);
    q_failalloc_free(s->memory); // and nothing is left
}

static const struct q_tls_point k_point = {.serial = 1, .context = &the_scene};
static const struct q_tls_question k_sign = {
    .kind = Q_TLS_ASK_SIGN, .algorithm = 0x0403, .input = {"message", 7}, .point = &k_point};

static void the_owner_is_told_and_the_bound_stands_still(void **state) {
    (void)state;
    struct scene *s = open_scene();
    uint64_t deadline_ns = s->h1.since.deadline_ns;
    q_h1_ask(&s->h1, &k_sign);
    assert_int_equal(s->num_told, 1);
    assert_false(q_timer_is_armed(&s->h1.timer));
    const struct q_tls_dossier *dossier = s->h1.conn.dossier;
    assert_true(q_slice_equal(dossier->host, Q_SLICE("a.example")));
    assert_true(q_slice_equal(dossier->verify_name, Q_SLICE("b.example")));
    assert_true(q_slice_equal(dossier->message, Q_SLICE("message")));
    assert_int_equal(dossier->port, 444);
    assert_int_equal(dossier->algorithm, 0x0403);
    assert_ptr_equal(dossier->point.context, &the_scene);
    s->loop.now_ns += 100 * Q_NS_PER_S;
    q_h1_ask_answer(&s->h1, true, Q_SLICE("signature"));
    assert_null(s->h1.conn.dossier);
    assert_true(q_timer_is_armed(&s->h1.timer));
    assert_int_equal(s->h1.since.deadline_ns, deadline_ns + 100 * Q_NS_PER_S);
    q_h1_ask_answer(&s->h1, false, (struct q_slice){0}); // nothing is asked any more
    assert_int_equal(s->h1.since.deadline_ns, deadline_ns + 100 * Q_NS_PER_S);
    close_scene(s);
}

static void a_question_without_memory_waits_for_some_within_the_bound(void **state) {
    (void)state;
    struct scene *s = open_scene();
    q_failalloc_fail_from(s->memory, 1);
    q_h1_ask(&s->h1, &k_sign);
    assert_int_equal(s->num_told, 0);
    assert_true(q_timer_is_armed(&s->h1.timer));
    q_h1_ask_answer(&s->h1, true, (struct q_slice){0}); // nobody was told
    s->loop.now_ns += Q_NS_PER_S;
    assert_true(q_h1_ask_again(&s->h1));
    assert_int_equal(s->num_told, 0);
    q_failalloc_fail_at(s->memory, 0);
    assert_true(q_h1_ask_again(&s->h1));
    assert_int_equal(s->num_told, 1);
    assert_false(q_h1_ask_again(&s->h1)); // it is with the owner
    close_scene(s);
    s = open_scene();
    q_failalloc_fail_from(s->memory, 1);
    q_h1_ask(&s->h1, &k_sign);
    s->loop.now_ns = s->h1.since.deadline_ns;
    assert_false(q_h1_ask_again(&s->h1)); // the bound is over, and the timer means that
    assert_int_equal(s->num_told, 0);
    close_scene(s);
}

static void a_connection_that_asks_nothing_has_its_timer_for_itself(void **state) {
    (void)state;
    struct scene *s = open_scene();
    assert_false(q_h1_ask_again(&s->h1));
    s->h1.tls = NULL;
    assert_false(q_h1_ask_again(&s->h1));
    q_h1_ask_drop(&s->h1);
    close_scene(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_told_and_the_bound_stands_still),
        cmocka_unit_test(a_question_without_memory_waits_for_some_within_the_bound),
        cmocka_unit_test(a_connection_that_asks_nothing_has_its_timer_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

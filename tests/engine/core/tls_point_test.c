// Decision points through the public API: what is made under one never serves another's requests, and its function runs once,
// when the last of that has gone, on a thread where it may.
#include "tests/engine/core/asked.h"

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/schedule.h"
#include "tests/support/tls_front.h"

static struct bench_server *the_server;
static struct tls_front *the_front;
static char the_url[HOST_URL_MAX];

static int set_up(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    assert_non_null(the_server);
    the_front = tls_front_start(&(struct tls_front_options){.port = bench_server_port(the_server)});
    snprintf(the_url, sizeof the_url, "https://127.0.0.1:%u/size/10", tls_front_port(the_front));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tls_front_stop(the_front);
    bench_server_stop(the_server);
    return 0;
}

static struct quoit_tls *tls_of(struct quoit_tls_point *point) {
    return asked_verify(tls_front_roots(), QUOIT_TLS_ASK_BEFORE_TRUSTING, point);
}

// A request by a configuration of its own with `point`, answered with `answer`.
static const struct host_record *get_by(uint32_t index, struct quoit_tls_point *point, enum asked_answer answer) {
    struct quoit_tls *tls = tls_of(point);
    asked.answer = answer;
    asked_get(index, the_url, tls);
    quoit_tls_release(tls);
    return host_wait(&asked_host, index);
}

// --- identity --------------------------------------------------------------------------------------------------------

static void one_point_in_two_configurations_is_one(void **state) {
    struct asked_point owner;
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    for (uint32_t i = 0; i < 3; i++) {
        host_assert_done(get_by(i, owner.point, ASKED_YES), 10);
    }
    assert_int_equal(asked.num, 1);
    assert_int_equal(host_info(&asked_host).connections_opened, 1);
    quoit_tls_point_release(owner.point);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

// bug-classes 5.3 and 5.7: a context that is given to a new point does not meet what the old one has trusted, at whatever
// address, and though the old one's connection is there to be taken.
static void a_context_that_is_registered_again_never_meets_the_old_points_connections(void **state) {
    struct asked_point owner; // one context, at one address
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    host_assert_done(get_by(0, owner.point, ASKED_YES), 10);
    struct quoit_tls_point *old = owner.point;
    quoit_tls_point_release(old);
    assert_int_equal(owner.num_released, 0); // its connection is idle
    for (uint32_t i = 1; i < 4; i++) {
        struct quoit_tls_point *point;
        assert_int_equal(quoit_tls_point_new(&owner, NULL, &point), QUOIT_OK);
        host_assert_failed(get_by(i, point, ASKED_REFUSE), QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_PHASE_TLS);
        assert_int_equal(asked.num, i + 1);
        assert_ptr_equal(asked.questions[i].context, &owner);
        quoit_tls_point_release(point);
    }
    assert_int_equal(owner.num_released, 0);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

// Each point's context is freed when it is released, and the next point's is made where it was.
static _Atomic(uint32_t) num_freed;

static void free_context(void *context) {
    free(context);
    num_freed++;
}

static void contexts_are_freed_and_made_again_in_their_place(void **state) {
    enum { ROUNDS = 20 };
    (void)state;
    num_freed = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct quoit_tls_point *point;
        int *context = malloc(sizeof *context);
        assert_non_null(context);
        *context = (int)round;
        asked_start(NULL, NULL);
        assert_int_equal(quoit_tls_point_new(context, free_context, &point), QUOIT_OK);
        struct quoit_tls *tls = tls_of(point);
        quoit_tls_point_release(point);
        asked_get(0, the_url, tls);
        quoit_tls_release(tls);
        const struct asked_question *question = asked_wait(1); // no connection of the last round's is taken
        assert_ptr_equal(question->context, context);
        assert_int_equal(*(const int *)question->context, (int)round); // it lives
        assert_int_equal(quoit_answer(asked_host.engine, question->token, QUOIT_ANSWER_YES), QUOIT_OK);
        host_assert_done(host_wait(&asked_host, 0), 10);
        assert_int_equal(num_freed, round);
        host_stop(&asked_host);
        assert_int_equal(num_freed, round + 1);
    }
}

// A host that drains late reads a question of a connection that is gone, made under a configuration that nobody has any
// more: the context that it is told is there all the same.
static void a_question_that_nobody_has_read_keeps_its_context(void **state) {
    enum { ROUNDS = 4 };
    struct asked_point owner;
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    struct quoit_tls *tls = tls_of(owner.point);
    asked_get(0, the_url, tls);
    host_until_stage(&asked_host, 0, QUOIT_STAGE_ASKING);
    assert_int_equal(quoit_cancel(asked_host.engine, asked_host.records[0].handle), QUOIT_OK);
    host_until(&asked_host, host_is_open, 0);
    assert_int_equal(quoit_engine_invalidate_tls(asked_host.engine, NULL), QUOIT_OK);
    quoit_tls_release(tls);
    quoit_tls_point_release(owner.point);
    for (int i = 0; i < ROUNDS; i++) {
        asked_come_round();
    }
    assert_int_equal(owner.num_released, 0);
    host_wait(&asked_host, 0); // drains and advances
    assert_int_equal(asked.num, 1);
    assert_ptr_equal(asked.questions[0].context, &owner);
    for (int i = 0; i < ROUNDS; i++) {
        asked_come_round();
    }
    assert_int_equal(owner.num_released, 1);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

static void a_connection_without_questions_is_not_one_with_them(void **state) {
    struct asked_point owner;
    struct quoit_tls *lax;
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    assert_int_equal(quoit_tls_new(&lax), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(lax, QUOIT_TLS_MEMORY, tls_front_roots(), strlen(tls_front_roots())), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(lax, NULL), QUOIT_OK);
    asked_get(0, the_url, lax);
    host_assert_done(host_wait(&asked_host, 0), 10);
    host_assert_failed(get_by(1, owner.point, ASKED_REFUSE), QUOIT_ERR_TLS_VERIFY_REFUSED, QUOIT_PHASE_TLS);
    // Nor is one that may trust whom it likes one that may only refuse.
    struct quoit_tls *strong =
        asked_verify(tls_front_roots(), QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, owner.point);
    asked.answer = ASKED_YES;
    asked_get(2, the_url, strong);
    host_assert_done(host_wait(&asked_host, 2), 10);
    host_assert_done(get_by(3, owner.point, ASKED_YES), 10);
    assert_int_equal(asked.num, 3);
    quoit_tls_release(lax);
    quoit_tls_release(strong);
    quoit_tls_point_release(owner.point);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

// A connection says who we are by one point's key, and never speaks for who has another, though the certificate is the same.
static void what_one_points_key_has_signed_is_not_anothers(void **state) {
    struct asked_point owners[2];
    struct q_cert *root = q_certs_authority(NULL, "clients", 51);
    struct q_cert *client = q_certs_make(root, &(struct q_certs_spec){.common_name = "client",
                                                                      .extended_usage = "clientAuth",
                                                                      .key = Q_CERTS_P256,
                                                                      .key_number = 52});
    struct tls_front *front = tls_front_start(
        &(struct tls_front_options){.port = bench_server_port(the_server), .client_roots = root->pem});
    char url[HOST_URL_MAX];
    (void)state;
    snprintf(url, sizeof url, "https://127.0.0.1:%u/size/10", tls_front_port(front));
    asked_start(NULL, NULL);
    asked.answer = ASKED_SIGN;
    asked.signer = client;
    for (uint32_t i = 0; i < 2; i++) {
        asked_point_new(&owners[i]);
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct quoit_tls *tls = asked_sign(tls_front_roots(), client, owners[i % 2].point);
        asked_get(i, url, tls);
        quoit_tls_release(tls);
        host_assert_done(host_wait(&asked_host, i), 10);
    }
    assert_int_equal(asked.num, 2);
    assert_int_equal(host_info(&asked_host).connections_opened, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_ptr_equal(asked.questions[i].context, &owners[i]);
        quoit_tls_point_release(owners[i].point);
    }
    host_stop(&asked_host);
    assert_int_equal(owners[0].num_released + owners[1].num_released, 2);
    tls_front_stop(front);
    q_certs_free(client);
    q_certs_free(root);
}

// --- the end ---------------------------------------------------------------------------------------------------------

static void a_point_lives_as_long_as_anything_that_was_given_it(void **state) {
    struct asked_point owner;
    (void)state;
    asked_point_new(&owner);
    struct quoit_tls *tls = tls_of(owner.point);
    struct quoit_request *request = asked_request(the_url, tls, 0);
    quoit_tls_point_release(owner.point);
    assert_int_equal(owner.num_released, 0); // the configuration
    quoit_tls_release(tls);
    assert_int_equal(owner.num_released, 0); // the request
    asked_start(NULL, NULL);
    host_submit(&asked_host, 0, request); // which is released
    const struct asked_question *question = asked_wait(1);
    assert_int_equal(owner.num_released, 0); // what asks
    assert_int_equal(quoit_answer(asked_host.engine, question->token, QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 10);
    asked_come_round();
    assert_int_equal(owner.num_released, 0); // the idle connection
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

static void a_configuration_that_is_equal_to_another_lets_its_own_hold_go(void **state) {
    struct asked_point owner;
    (void)state;
    asked_point_new(&owner);
    struct quoit_tls *one = tls_of(owner.point);
    struct quoit_tls *two = tls_of(owner.point); // interned as the first
    quoit_tls_point_release(owner.point);
    quoit_tls_release(one);
    assert_int_equal(owner.num_released, 0);
    quoit_tls_release(two);
    assert_int_equal(owner.num_released, 1);
    assert_true(pthread_equal(owner.released_by, pthread_self()));
}

static void a_builder_that_is_not_frozen_or_changes_its_mind_lets_it_go(void **state) {
    struct asked_point owner;
    struct asked_point other;
    struct quoit_tls *tls;
    (void)state;
    asked_point_new(&owner);
    asked_point_new(&other);
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, owner.point), QUOIT_OK);
    quoit_tls_point_release(owner.point);
    assert_int_equal(owner.num_released, 0);
    assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, other.point), QUOIT_OK);
    assert_int_equal(owner.num_released, 1);
    quoit_tls_point_release(other.point);
    quoit_tls_release(tls);
    assert_int_equal(other.num_released, 1);
}

// --- the last reference, inside the events of what it ends -----------------------------------------------------------

static struct asked_point the_owner;
static struct quoit_tls *the_last;
static uint32_t released_inside;

// The host's last hold goes inside an inline callback, on the loop's thread.
static void let_go_inside(uint32_t event_type) {
    (void)event_type;
    if (the_last != NULL) {
        quoit_tls_release(the_last);
        the_last = NULL;
        released_inside = the_owner.num_released;
    }
}

static uint32_t the_type; // of the event in which it goes

static void on_any_event(void *context, const struct quoit_event *event) {
    host_note(context, event);
    if (event->type == the_type) {
        let_go_inside(event->type);
    }
}

static void let_go_in(uint32_t type, uint32_t wanted_inside) {
    struct host *host = &asked_host;
    the_type = type;
    asked_point_new(&the_owner);
    the_last = tls_of(the_owner.point);
    quoit_tls_point_release(the_owner.point);
    asked_start(NULL, NULL); // for its port, and the hook, are not used here
    struct quoit_port port;
    struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_INLINE, .on_event = on_any_event, .context = host};
    assert_int_equal(quoit_port_create(host->engine, &options, &port), QUOIT_OK);
    host->on_event = NULL;
    struct quoit_request *request = asked_request("https://127.0.0.1:1/", the_last, 0); // nobody listens
    host->records[0].is_submitted = true;
    assert_int_equal(quoit_submit(host->engine, port, request, 0, &host->records[0].handle), QUOIT_OK);
    quoit_request_release(request);
    host_until(host, host_is_pending, 0);
    asked_come_round();
    if (type == QUOIT_EVENT_FAILED) {
        assert_null(the_last);
        assert_int_equal(released_inside, wanted_inside);
    }
    // CLOSED comes to both ports; host.h takes note of its own.
    assert_int_equal(quoit_engine_close(host->engine, 0), QUOIT_OK);
    struct quoit_event event;
    while (quoit_port_wait(host->port, &event, sizeof event, 1, HOST_WAIT_MS) == 0) {
    }
    assert_int_equal(event.type, QUOIT_EVENT_CLOSED);
    int32_t code;
    while ((code = quoit_engine_destroy(host->engine)) == QUOIT_ERR_NOT_CLOSED || code == QUOIT_ERR_BUSY) {
    }
    assert_int_equal(code, QUOIT_OK);
    assert_null(the_last);
    assert_int_equal(the_owner.num_released, 1);
}

static void the_last_hold_may_go_inside_the_event_of_what_it_held(void **state) {
    (void)state;
    let_go_in(QUOIT_EVENT_FAILED, 0);
    let_go_in(QUOIT_EVENT_CLOSED, 0); // when the loop has nothing left that would end it
}

static void one_drop_too_many_does_nothing(void **state) {
    struct asked_point owner;
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    struct quoit_tls *tls = tls_of(owner.point);
    asked_get(0, the_url, tls);
    const struct asked_question *question = asked_wait(1);
    for (int i = 0; i < 3; i++) {
        quoit_tls_point_release(owner.point);
    }
    assert_int_equal(owner.num_released, 0);
    assert_int_equal(quoit_answer(asked_host.engine, question->token, QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 10);
    quoit_tls_point_release(owner.point);
    assert_int_equal(owner.num_released, 0);
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_point_in_two_configurations_is_one),
        cmocka_unit_test(a_context_that_is_registered_again_never_meets_the_old_points_connections),
        cmocka_unit_test(contexts_are_freed_and_made_again_in_their_place),
        cmocka_unit_test(a_question_that_nobody_has_read_keeps_its_context),
        cmocka_unit_test(a_connection_without_questions_is_not_one_with_them),
        cmocka_unit_test(what_one_points_key_has_signed_is_not_anothers),
        cmocka_unit_test(a_point_lives_as_long_as_anything_that_was_given_it),
        cmocka_unit_test(a_configuration_that_is_equal_to_another_lets_its_own_hold_go),
        cmocka_unit_test(a_builder_that_is_not_frozen_or_changes_its_mind_lets_it_go),
        cmocka_unit_test(the_last_hold_may_go_inside_the_event_of_what_it_held),
        cmocka_unit_test(one_drop_too_many_does_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

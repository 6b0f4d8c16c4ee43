// What goes on around a question about TLS that stands: the bound on what questions show, hosts that never answer while others
// wait, invalidation, a fork, and want of memory where a signature is asked for.
#include "tests/engine/core/asked.h"

#include <sys/wait.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "engine/tls/dossier.h"
#include "tests/support/failalloc.h"
#include "tests/support/tls_front.h"

static struct bench_server *the_server;
static struct tls_front *the_front;
static struct tls_front *the_strict_front; // wants a client's certificate
static struct q_cert *the_client;
static struct q_cert *the_client_root;
static char the_url[HOST_URL_MAX];
static char the_strict_url[HOST_URL_MAX];

static int set_up(void **state) {
    (void)state;
    the_server = bench_server_start(NULL);
    assert_non_null(the_server);
    the_client_root = q_certs_authority(NULL, "clients", 41);
    the_client = q_certs_make(
        the_client_root,
        &(struct q_certs_spec){.common_name = "client", .extended_usage = "clientAuth", .key_number = 42});
    the_front = tls_front_start(&(struct tls_front_options){.port = bench_server_port(the_server)});
    the_strict_front = tls_front_start(&(struct tls_front_options){.port = bench_server_port(the_server),
                                                                   .client_roots = the_client_root->pem});
    snprintf(the_url, sizeof the_url, "https://127.0.0.1:%u/size/10", tls_front_port(the_front));
    snprintf(the_strict_url, sizeof the_strict_url, "https://127.0.0.1:%u/size/10", tls_front_port(the_strict_front));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tls_front_stop(the_strict_front);
    tls_front_stop(the_front);
    q_certs_free(the_client);
    q_certs_free(the_client_root);
    bench_server_stop(the_server);
    return 0;
}

static struct quoit_tls *verify_by(struct asked_point *owner, const char *roots) {
    asked_point_new(owner);
    struct quoit_tls *tls = asked_verify(roots, QUOIT_TLS_ASK_BEFORE_TRUSTING, owner->point);
    quoit_tls_point_release(owner->point); // the configuration has its own hold
    return tls;
}

static void stop(struct quoit_tls *tls, struct asked_point *owner) {
    quoit_tls_release(tls);
    host_stop(&asked_host);
    assert_int_equal(owner->num_released, 1);
}

static int32_t answer(const struct asked_question *question, uint32_t word) {
    return quoit_answer(asked_host.engine, question->token, word);
}

// --- the bound -------------------------------------------------------------------------------------------------------

// A certificate of some 60 KiB: names that nobody asks for, and the one that is asked for.
static struct q_cert *make_fat_leaf(const struct q_cert *root) {
    enum { NAMES = 1000, NAME_MAX_LEN = 80 };
    char *names = malloc(NAMES * NAME_MAX_LEN + 64);
    assert_non_null(names);
    int len = sprintf(names, "IP:127.0.0.1");
    for (int i = 0; i < NAMES; i++) {
        len += sprintf(names + len, ",DNS:a-name-that-nobody-asks-for-and-that-is-there-to-be-long-%04d.example", i);
    }
    struct q_cert *leaf = q_certs_make(root, &(struct q_certs_spec){.alt_names = names, .key_number = 52});
    free(names);
    return leaf;
}

static struct quoit_request *impatient(const char *url, const struct quoit_tls *tls, uint64_t connect_ms) {
    struct quoit_request *request = asked_request(url, tls, 0);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .connect_ms = connect_ms};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    return request;
}

// Who finds no room waits for others' answers as long as connecting may take.
static void what_questions_show_is_bounded_and_who_finds_no_room_waits(void **state) {
    struct asked_point owner;
    char url[HOST_URL_MAX];
    (void)state;
    struct q_cert *root = q_certs_authority(NULL, "root", 51);
    struct q_cert *leaf = make_fat_leaf(root);
    struct bench_server *server =
        bench_server_start(&(struct bench_server_options){.tls_cert = leaf->pem, .tls_key = leaf->key_pem});
    assert_non_null(server);
    bench_server_url(server, "/size/10", url, sizeof url);
    asked_start(&(struct quoit_engine_options){.connections_per_origin_max = 100}, NULL);
    struct quoit_tls *tls = verify_by(&owner, root->pem);
    uint32_t fitting = (uint32_t)(Q_TLS_DOSSIERS_MAX / (leaf->der_len + 500)); // as many as fit, and some bytes beside each
    assert_true(leaf->der_len > 55000 && fitting + 2 < ASKED_MAX);
    for (uint32_t i = 0; i < fitting; i++) {
        asked_get(i, url, tls);
    }
    assert_int_equal(asked_wait(fitting)->cert_len[0], leaf->der_len);
    host_submit(&asked_host, fitting, impatient(url, tls, 400));
    const struct host_record *late = host_wait(&asked_host, fitting);
    host_assert_failed(late, QUOIT_ERR_TIMEOUT_CONNECT, QUOIT_PHASE_CONNECT);
    assert_true(late->summary.failure.retry_safe);
    assert_int_equal(asked.num, fitting);
    // What was answered makes room.
    asked_get(fitting + 1, url, tls);
    asked.answer = ASKED_YES;
    for (uint32_t i = 0; i < fitting; i++) {
        assert_int_equal(answer(&asked.questions[i], QUOIT_ANSWER_YES), QUOIT_OK);
    }
    host_wait_all(&asked_host, fitting + 2);
    for (uint32_t i = 0; i < fitting + 2; i++) {
        if (i != fitting) {
            host_assert_done(&asked_host.records[i], 10);
        }
    }
    stop(tls, &owner);
    bench_server_stop(server);
    q_certs_free(leaf);
    q_certs_free(root);
}

// --- hosts that never answer -----------------------------------------------------------------------------------------

// One connection for three: who gives up hands its question on, so they time out one after another, each by its own bound.
static void waiters_of_one_connection_time_out_one_after_another(void **state) {
    enum { BOUND_MS = 150 };
    struct asked_point owner;
    (void)state;
    asked_start(&(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    struct quoit_tls *tls = verify_by(&owner, tls_front_roots());
    for (uint32_t i = 0; i < 3; i++) {
        host_submit(&asked_host, i, asked_request(the_url, tls, BOUND_MS));
    }
    host_wait_all(&asked_host, 3);
    assert_int_equal(asked.num, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct quoit_summary *summary = &asked_host.records[i].summary;
        host_assert_failed(&asked_host.records[i], QUOIT_ERR_TIMEOUT_ANSWER, QUOIT_PHASE_TLS);
        assert_int_equal(asked.questions[i].user_data, i);
        uint64_t asked_ns = summary->spent_ns[QUOIT_STAGE_ASKING];
        assert_true(asked_ns >= BOUND_MS * UINT64_C(1000000));
        assert_true(summary->end_ns >= (i + 1) * BOUND_MS * UINT64_C(1000000));
    }
    host_until(&asked_host, host_is_open, 0);
    stop(tls, &owner);
}

// The bound on everything runs for all of them at once.
static void waiters_of_one_connection_end_together_by_their_own_total(void **state) {
    enum { TOTAL_MS = 200 };
    struct asked_point owner;
    (void)state;
    asked_start(&(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    struct quoit_tls *tls = verify_by(&owner, tls_front_roots());
    for (uint32_t i = 0; i < 8; i++) {
        struct quoit_request *request = asked_request(the_url, tls, 0);
        struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .total_ms = TOTAL_MS};
        assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
        host_submit(&asked_host, i, request);
    }
    host_wait_all(&asked_host, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(asked_host.records[i].summary.failure.code, QUOIT_ERR_TIMEOUT_TOTAL);
        assert_true(asked_host.records[i].summary.end_ns < 4 * TOTAL_MS * UINT64_C(1000000)); // 8 in series take longer
    }
    host_until(&asked_host, host_is_open, 0);
    stop(tls, &owner);
}

// --- invalidation ----------------------------------------------------------------------------------------------------

// The connection that asks is one that is being made, and so it is made anew, and asks anew.
static void an_invalidation_takes_the_question_back_and_asks_again(void **state) {
    struct asked_point owner;
    (void)state;
    for (uint32_t is_all = 0; is_all < 2; is_all++) {
        asked_start(NULL, NULL);
        struct quoit_tls *tls = verify_by(&owner, tls_front_roots());
        asked_get(0, the_url, tls);
        const struct asked_question *first = asked_wait(1);
        assert_int_equal(quoit_engine_invalidate_tls(asked_host.engine, is_all ? NULL : tls), QUOIT_OK);
        const struct asked_question *second = asked_wait(2);
        assert_int_equal(second->request.id, first->request.id);
        assert_int_not_equal(second->token, first->token);
        assert_int_equal(answer(first, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
        assert_int_equal(answer(second, QUOIT_ANSWER_YES), QUOIT_OK);
        host_assert_done(host_wait(&asked_host, 0), 10);
        assert_int_equal(asked.num, 2);
        host_until(&asked_host, host_is_open, 1);
        stop(tls, &owner);
    }
}

// An engine keeps the point with its context, for minutes; who wants it back at once invalidates.
static void an_invalidation_lets_the_point_go_while_the_engine_lives(void **state) {
    struct asked_point owner;
    (void)state;
    asked_start(NULL, NULL);
    asked.answer = ASKED_YES;
    struct quoit_tls *tls = verify_by(&owner, tls_front_roots());
    asked_get(0, the_url, tls);
    host_assert_done(host_wait(&asked_host, 0), 10);
    assert_int_equal(quoit_engine_invalidate_tls(asked_host.engine, tls), QUOIT_OK);
    quoit_tls_release(tls);
    host_until(&asked_host, host_is_open, 0);
    for (int left = HOST_WAIT_MS; owner.num_released == 0; left--) {
        assert_true(left > 0);
        asked_come_round();
    }
    assert_int_equal(owner.num_released, 1);
    host_stop(&asked_host);
    assert_int_equal(owner.num_released, 1);
}

// --- fork ------------------------------------------------------------------------------------------------------------

// In the child: its copies are let go of, and nothing of the parent's is told.
static int let_go_in_the_child(struct quoit_tls *tls, const struct asked_point *owner, const struct asked_question *question) {
    if (answer(question, QUOIT_ANSWER_YES) == QUOIT_OK) {
        return 1;
    }
    quoit_tls_release(tls);
    quoit_tls_point_release(owner->point);
    if (owner->num_released != 0) {
        return 2;
    }
    static struct asked_point own;
    asked_point_new(&own);
    quoit_tls_point_release(own.point);
    return own.num_released == 1 ? 0 : 3;
}

static void a_child_of_a_fork_ends_no_point_of_its_parents(void **state) {
    struct asked_point owner;
    int status = -1;
    (void)state;
    asked_start(NULL, NULL);
    asked_point_new(&owner);
    struct quoit_tls *tls = asked_verify(tls_front_roots(), QUOIT_TLS_ASK_BEFORE_TRUSTING, owner.point);
    asked_get(0, the_url, tls);
    const struct asked_question *question = asked_wait(1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(let_go_in_the_child(tls, &owner, question));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(owner.num_released, 0);
    assert_int_equal(answer(question, QUOIT_ANSWER_YES), QUOIT_OK);
    host_assert_done(host_wait(&asked_host, 0), 10);
    quoit_tls_point_release(owner.point);
    stop(tls, &owner);
}

// --- want of memory --------------------------------------------------------------------------------------------------

static void *allocate(void *context, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    return alloc->allocate(alloc->context, size);
}

static void release(void *context, void *ptr, size_t size) {
    const struct q_alloc *alloc = q_failalloc_alloc(context);
    alloc->release(alloc->context, ptr, size);
}

// One visit at which the allocation `nth` of the engine's fails. False: there are not so many.
static bool visit_with_a_failure(struct quoit_tls *tls, uint64_t nth) {
    struct q_failalloc *memory = q_failalloc_new();
    const struct quoit_allocator allocator = {.allocate = allocate, .release = release, .context = memory};
    asked_start(&(struct quoit_engine_options){.allocator = &allocator, .tls = tls}, NULL);
    asked.signer = the_client;
    q_failalloc_fail_at(memory, nth);
    asked_get(0, the_strict_url, tls);
    const struct host_record *record = &asked_host.records[0];
    while (asked.num == 0 && record->num_ends == 0) {
        host_step(&asked_host);
    }
    int32_t code = QUOIT_OK;
    if (record->num_ends == 0) {
        code = asked_sign_it(&asked.questions[0]);
        if (code == QUOIT_ERR_NO_MEMORY) { // the question stands
            assert_true(q_failalloc_failed(memory));
            code = asked_sign_it(&asked.questions[0]);
        }
        assert_int_equal(code, QUOIT_OK);
    }
    code = host_wait(&asked_host, 0)->summary.failure.code;
    assert_true(code == QUOIT_OK || code == QUOIT_ERR_NO_MEMORY);
    bool has_failed = q_failalloc_failed(memory);
    host_stop(&asked_host);
    char text[512];
    if (!q_failalloc_check(memory, text, sizeof text)) {
        fail_msg("allocation %d: %s", (int)nth, text);
    }
    q_failalloc_free(memory);
    return has_failed;
}

static void each_allocation_on_the_way_to_a_signature_may_fail(void **state) {
    struct asked_point owner;
    (void)state;
    asked_point_new(&owner);
    struct quoit_tls *tls = asked_sign(tls_front_roots(), the_client, owner.point);
    quoit_tls_point_release(owner.point);
    uint64_t nth = 1;
    while (visit_with_a_failure(tls, nth)) {
        assert_true(++nth < 200);
    }
    assert_true(nth > 5);
    quoit_tls_release(tls);
    assert_int_equal(owner.num_released, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_questions_show_is_bounded_and_who_finds_no_room_waits),
        cmocka_unit_test(waiters_of_one_connection_time_out_one_after_another),
        cmocka_unit_test(waiters_of_one_connection_end_together_by_their_own_total),
        cmocka_unit_test(an_invalidation_takes_the_question_back_and_asks_again),
        cmocka_unit_test(an_invalidation_lets_the_point_go_while_the_engine_lives),
        cmocka_unit_test(a_child_of_a_fork_ends_no_point_of_its_parents),
        cmocka_unit_test(each_allocation_on_the_way_to_a_signature_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

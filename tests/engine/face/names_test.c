// Names across engines: a request's handle, or a question's token, of one engine names nothing of another one's, be it
// one that lives beside it or one that came after it in its place. Each time the other engine has a request, or a
// question, of its own in the same slot.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"

enum { MANY = 5 }; // requests of an engine that has gone, one after the other in the same slot

static struct host one;
static struct host two;
static struct bench_server *server;

static int set_up(void **state) {
    (void)state;
    server = bench_server_start(NULL);
    return server == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    bench_server_stop(server);
    return 0;
}

static struct quoit_request *request_for(const char *path) {
    char url[HOST_URL_MAX];
    return host_request("GET", bench_server_url(server, path, url, sizeof url));
}

static struct quoit_request *asking(void) {
    struct quoit_request *request = request_for("/redirect/1");
    struct quoit_redirect_options options = {.struct_size = sizeof options, .limit = 3, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
    return request;
}

static uint64_t wait_question(struct host *host, uint32_t index) {
    while (host->records[index].num_questions == 0) {
        host_step(host);
    }
    return host->records[index].token;
}

static void assert_names_nothing(struct quoit_engine engine, struct quoit_handle handle) {
    struct quoit_request_state state = {.struct_size = sizeof state};
    assert_int_equal(quoit_request_state(engine, handle, &state), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_grant(engine, handle, 1), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed(engine, handle, "a", 1, NULL, NULL), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_feed_end(engine, handle), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_cancel(engine, handle), QUOIT_ERR_STALE_HANDLE);
}

static void cancel_and_wait(struct host *host, uint32_t index) {
    assert_int_equal(quoit_cancel(host->engine, host->records[index].handle), QUOIT_OK);
    assert_int_equal(host_wait(host, index)->summary.failure.code, QUOIT_ERR_CANCELED);
}

static void a_handle_names_nothing_of_an_engine_beside_its_own(void **state) {
    (void)state;
    host_start(&one, NULL, NULL);
    host_start(&two, NULL, NULL);
    host_submit(&one, 0, request_for("/size/1?silent=1"));
    host_submit(&two, 0, request_for("/size/1?silent=1"));
    assert_names_nothing(two.engine, one.records[0].handle);
    assert_names_nothing(one.engine, two.records[0].handle);
    cancel_and_wait(&one, 0);
    cancel_and_wait(&two, 0); // what the other one's handle tried has not ended it
    host_stop(&two);
    host_stop(&one);
}

static void a_token_names_nothing_of_an_engine_beside_its_own(void **state) {
    (void)state;
    host_start(&one, NULL, NULL);
    host_start(&two, NULL, NULL);
    host_submit(&one, 0, asking());
    host_submit(&two, 0, asking());
    uint64_t token = wait_question(&one, 0);
    uint64_t other = wait_question(&two, 0);
    assert_int_equal(quoit_answer(two.engine, token, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer(one.engine, other, QUOIT_ANSWER_REFUSE), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_answer(one.engine, token, QUOIT_ANSWER_YES), QUOIT_OK);
    assert_int_equal(quoit_answer(two.engine, other, QUOIT_ANSWER_YES), QUOIT_OK);
    assert_int_equal(host_wait(&one, 0)->status, 200);
    assert_int_equal(host_wait(&two, 0)->status, 200);
    host_stop(&two);
    host_stop(&one);
}

// The first free place in the table is the one that the last engine had.
static void names_of_an_engine_that_has_gone_name_nothing_of_the_next_one(void **state) {
    struct quoit_handle handles[MANY];
    uint64_t tokens[MANY];
    (void)state;
    host_start(&one, &(struct quoit_engine_options){.requests_max = 1}, NULL);
    for (uint32_t i = 0; i < MANY; i++) {
        host_submit(&one, i, asking());
        tokens[i] = wait_question(&one, i);
        handles[i] = one.records[i].handle;
        cancel_and_wait(&one, i);
        host_until(&one, host_is_pending, 0);
    }
    uint64_t place = one.engine.id & 0xffff;
    host_stop(&one);
    host_start(&one, &(struct quoit_engine_options){.requests_max = 1}, NULL);
    assert_int_equal(one.engine.id & 0xffff, place);
    for (uint32_t i = 0; i < MANY; i++) {
        host_submit(&one, i, asking());
        uint64_t token = wait_question(&one, i);
        for (uint32_t old = 0; old < MANY; old++) {
            assert_names_nothing(one.engine, handles[old]);
            assert_int_equal(quoit_answer(one.engine, tokens[old], QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
        }
        assert_int_equal(quoit_answer(one.engine, token, QUOIT_ANSWER_YES), QUOIT_OK);
        assert_int_equal(host_wait(&one, i)->status, 200);
        host_until(&one, host_is_pending, 0);
    }
    host_stop(&one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_names_nothing_of_an_engine_beside_its_own),
        cmocka_unit_test(a_token_names_nothing_of_an_engine_beside_its_own),
        cmocka_unit_test(names_of_an_engine_that_has_gone_name_nothing_of_the_next_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SIGPIPE at its default, which ends a process: however often sends find a peer that is gone, the host hears of it by an
// event and not by a signal, also where its own thread makes the sends, and what it has set for the signal stays.
//
// Newer kernels let no send of a ring raise the signal, whatever its flags: so that the flags are there is for the
// simulated kernel to see, which refuses sends without them. Here the signal itself is looked for.
#include "tests/life/life.h"

#include <signal.h>
#include <unistd.h>

#include "bench/server/scripted.h"
#include "tests/engine/face/streams.h"

enum { NUM_PIECES = 4, NUM_REQUESTS = 40 };

static void put_default(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &pipe, NULL), 0);
}

static void assert_default(void) {
    struct sigaction action;
    sigset_t set;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    assert_int_equal(sigismember(&set, SIGPIPE), 0);
}

// A stream whose peer has closed, and whose host has no credit, so that no receive knows before the sends do. Each piece
// waits for the end of the one before: the first one finds a closed unix socket at once, and TCP's answer to it is the
// reset that the second one finds.
static void feed_one_that_is_gone(struct bench_scripted *scripted, uint32_t engine_mode, uint32_t off) {
    uint32_t num_rooms = 0;
    host_start(&host, &(struct quoit_engine_options){.mode = engine_mode, .capabilities_off = off}, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
    assert_int_equal(quoit_request_set_feed_max(request, 128), QUOIT_OK); // one piece
    unsigned index = bench_scripted_accepted(scripted);
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    assert_true(bench_scripted_wait_closed(scripted, index, HOST_WAIT_MS));
    for (int i = 0; i < NUM_PIECES; i++) {
        int32_t code;
        while ((code = feed("x", 1)) == QUOIT_ERR_FEED_FULL) {
            host_wait_rooms(&host, 0, ++num_rooms);
        }
        assert_int_equal(code, QUOIT_OK);
    }
    assert_int_equal(quoit_grant(host.engine, host.records[0].handle, 1), QUOIT_OK);
    host_wait(&host, 0);
    host_stop(&host);
}

static void feed_many_that_are_gone(const char *address, const char *url) {
    static const struct bench_step k_script[] = {
        {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = SWITCHED}, {.kind = BENCH_CLOSE}, {0}};
    static const struct bench_step *const k_scripts[] = {k_script, NULL};
    struct bench_scripted *scripted = bench_scripted_start(address, k_scripts);
    assert_non_null(scripted);
    if (url != NULL) {
        snprintf(the_url, sizeof the_url, "%s", url);
    } else {
        bench_scripted_url(scripted, "/", the_url, sizeof the_url);
    }
    put_default();
    for (unsigned i = 0; i < LIFE_RUNGS; i++) {
        feed_one_that_is_gone(scripted, QUOIT_ENGINE_HOST_DRIVEN, life_rungs[i]);
        feed_one_that_is_gone(scripted, QUOIT_ENGINE_THREAD, life_rungs[i]);
    }
    assert_default();
    bench_scripted_stop(scripted);
}

static void sends_to_closed_peers_raise_no_signal(void **state) {
    (void)state;
    feed_many_that_are_gone(NULL, NULL);
}

static void sends_to_closed_unix_peers_raise_no_signal(void **state) {
    (void)state;
    char folder[] = "/tmp/quoit-XXXXXX", address[64], url[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    snprintf(url, sizeof url, "http+unix://%%2Ftmp%%2F%s%%2Fs/", strrchr(folder, '/') + 1);
    feed_many_that_are_gone(address, url);
    unlink(address + 5);
    rmdir(folder);
}

static void requests_to_peers_that_reset_raise_no_signal(void **state) {
    (void)state;
    static const struct bench_step k_script[] = {{.kind = BENCH_RST}, {0}};
    struct bench_scripted *scripted = script_start(k_script);
    put_default();
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN}, NULL);
    for (uint32_t i = 0; i < NUM_REQUESTS; i++) {
        host_get(&host, i, the_url);
    }
    host_wait_all(&host, NUM_REQUESTS);
    for (uint32_t i = 0; i < NUM_REQUESTS; i++) {
        assert_int_equal(host.records[i].end_type, QUOIT_EVENT_FAILED);
    }
    host_stop(&host);
    assert_default();
    bench_scripted_stop(scripted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_to_closed_peers_raise_no_signal),
        cmocka_unit_test(sends_to_closed_unix_peers_raise_no_signal),
        cmocka_unit_test(requests_to_peers_that_reset_raise_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Upgraded requests when things come together: several feeders, the very moment of the end, memory that runs out.
#define _GNU_SOURCE
#include "tests/engine/face/streams.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/server/body.h"
#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/failalloc.h"
#include "tests/support/schedule.h"

// Four threads of one host, each with a letter of its own.
enum { FEEDERS = 4, PIECES = 300, PIECE_LEN = 500, FEED_MAX = 2000 };

static struct {
    uint64_t count[FEEDERS];
    uint64_t run; // of the letter that came last
    char last;
    bool is_torn;
} letters;

static void count_letters(struct host *of, const struct quoit_event *event) {
    (void)of;
    const char *text = event->type == QUOIT_EVENT_DATA ? event->u.data.data : NULL;
    for (size_t i = 0; text != NULL && i < event->u.data.len; i++) {
        letters.is_torn |= text[i] != letters.last && letters.run % PIECE_LEN != 0;
        letters.run = text[i] != letters.last ? 1 : letters.run + 1;
        letters.last = text[i];
        letters.count[(text[i] - 'a') % FEEDERS]++;
    }
}

static uint32_t num_rooms(void) {
    pthread_mutex_lock(&host.lock);
    uint32_t num = host.records[0].num_rooms;
    pthread_mutex_unlock(&host.lock);
    return num;
}

// Waits until room was told more often than `seen` times, which was read before the feed that found none.
static bool wait_for_room(uint32_t seen) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += HOST_WAIT_MS / 1000;
    int result = 0;
    pthread_mutex_lock(&host.lock);
    while (result == 0 && host.records[0].num_rooms == seen) {
        result = pthread_cond_timedwait(&host.noted, &host.lock, &end);
    }
    pthread_mutex_unlock(&host.lock);
    return result == 0;
}

// NULL when all went well.
static void *feed_letters(void *context) {
    static char failure;
    char text[PIECE_LEN];
    memset(text, 'a' + (int)(uintptr_t)context, sizeof text);
    for (int i = 0; i < PIECES;) {
        uint32_t seen = num_rooms();
        int32_t code = feed(text, sizeof text);
        if (code != QUOIT_OK && (code != QUOIT_ERR_FEED_FULL || !wait_for_room(seen))) {
            return &failure;
        }
        i += code == QUOIT_OK;
    }
    return NULL;
}

static void many_threads_feed_one_stream_and_each_piece_stays_whole(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    memset(&letters, 0, sizeof letters);
    host_start(&host, NULL, NULL);
    host.on_event = count_letters;
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, 10 * PIECE_LEN), QUOIT_OK);
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    pthread_t threads[FEEDERS];
    for (uintptr_t i = 0; i < FEEDERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, feed_letters, (void *)i), 0);
    }
    host_wait_body(&host, 0, FEEDERS * PIECES * PIECE_LEN);
    for (int i = 0; i < FEEDERS; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
        assert_int_equal(letters.count[i], PIECES * PIECE_LEN);
    }
    assert_false(letters.is_torn);
    end_feeds();
    host_assert_done(host_wait(&host, 0), FEEDERS * PIECES * PIECE_LEN);
    host_stop(&host);
    bench_server_stop(server);
}

static bool was_upgrade_named;

static void look_at_the_head(struct host *of, const struct quoit_event *event) {
    (void)of;
    const char *value;
    size_t len;
    if (event->type == QUOIT_EVENT_UPGRADED) {
        was_upgrade_named = quoit_headers_get(event->u.head.headers, "upgrade", 7, &value, &len) == 1 && len == 5 &&
                            memcmp(value, "raw/1", 5) == 0 && event->u.head.http_version == 11;
    }
}

static void the_upgrade_tells_its_headers(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    for (uint32_t mode = QUOIT_PORT_EVENTFD; mode <= QUOIT_PORT_INLINE; mode++) {
        host_start(&host, NULL, &(struct quoit_port_options){.mode = mode});
        host.on_event = look_at_the_head;
        was_upgrade_named = false;
        upgrade();
        end_feeds();
        host_assert_done(host_wait(&host, 0), 0);
        assert_true(was_upgrade_named);
        host_stop(&host);
    }
    bench_server_stop(server);
}

// The peer has ended and does not read: only a bound ends that.
static void what_cannot_be_sent_behind_the_peers_end_is_bounded(void **state) {
    (void)state;
    static char big[16 << 20];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t address_len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &address_len), 0);
    snprintf(the_url, sizeof the_url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    host_start(&host, NULL, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, sizeof big), QUOIT_OK);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .idle_ms = 300};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    num_released = 0;
    host_submit(&host, 0, request);
    int peer = accept(listener, NULL, NULL);
    char head[1024];
    assert_true(recv(peer, head, sizeof head, 0) > 0);
    assert_int_equal(send(peer, SWITCHED, strlen(SWITCHED), MSG_NOSIGNAL), strlen(SWITCHED));
    host_wait_head(&host, 0);
    assert_int_equal(lend(big, sizeof big), QUOIT_OK);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_IDLE, QUOIT_PHASE_BODY);
    host_stop(&host);
    assert_int_equal(num_released, 1);
    close(peer);
    close(listener);
}

// --- at the very moment of the end -----------------------------------------------------------------------------------

struct race {
    struct bench_gate gate;
    int32_t fed;
    int32_t refused; // what a feed behind the peer's end gave
};

static void lend_once(void *context) {
    struct race *race = context;
    race->fed = lend(bench_body_at(0), 1000);
}

static void cancel_and_wait(void *context) {
    (void)context;
    (void)quoit_cancel(host.engine, host.records[0].handle);
    host_wait(&host, 0);
    q_schedule_point("ended");
}

// The node is pushed when its request is over: the loop drops it, and gives back what was lent.
static void a_feed_that_comes_behind_the_end_is_given_back(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "feeder:face.feed.before_push"},
        {"feeder:face.feed.before_push", "host:ended"},
    };
    struct bench_server *server = echo_start();
    struct race race = {0};
    num_released = 0;
    host_start(&host, NULL, NULL);
    upgrade();
    const struct q_schedule_actor actors[] = {{"feeder", lend_once, &race}, {"host", cancel_and_wait, &race}};
    assert_true(q_schedule_run(k_rules, 2, actors, 2));
    assert_int_equal(race.fed, QUOIT_OK);
    host_stop(&host);
    assert_int_equal(num_released, 1);
    bench_server_stop(server);
}

// Drives the engine from beginning to end. Whether it has seen the peer's end tells a feed that it could never take.
static void let_the_peer_end(void *context) {
    static const char k_too_much[FEED_MAX + 1];
    struct race *race = context;
    host_wait_head(&host, 0);
    q_schedule_point("upgraded");
    bench_gate_open(&race->gate);
    while ((race->refused = feed(k_too_much, sizeof k_too_much)) == QUOIT_ERR_INVALID_ARGUMENT) {
        host_step(&host); // wakes for the peer's end, and for nothing that the test does
    }
    q_schedule_point("shut");
    host_wait(&host, 0);
    host_close_and_wait(&host, 0);
}

// The piece was counted before the peer's end was seen, so it is sent, though its node comes later.
static void a_feed_that_was_taken_before_the_peers_end_is_sent(void **state) {
    (void)state;
    static const struct q_schedule_rule k_rules[] = {
        {"feeder:start", "host:upgraded"},
        {"host:upgraded", "feeder:face.feed.before_push"},
        {"feeder:face.feed.before_push", "host:shut"},
        {"host:shut", "feeder:end"},
    };
    struct race race = {0};
    bench_gate_init(&race.gate);
    const struct bench_step script[] = {{.kind = BENCH_EXPECT_REQUEST},
                                        {.kind = BENCH_SEND, .bytes = SWITCHED},
                                        {.kind = BENCH_WAIT, .gate = &race.gate},
                                        {.kind = BENCH_FIN},
                                        {0}};
    struct bench_scripted *scripted = script_start(script);
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN}, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, FEED_MAX), QUOIT_OK);
    host_submit(&host, 0, request);
    const struct q_schedule_actor actors[] = {{"feeder", lend_once, &race}, {"host", let_the_peer_end, &race}};
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
    assert_int_equal(race.fed, QUOIT_OK);
    assert_int_equal(race.refused, QUOIT_ERR_STALE_HANDLE);
    host_assert_done(&host.records[0], 0);
    host_destroy(&host);
    assert_true(bench_scripted_wait_closed(scripted, 0, HOST_WAIT_MS));
    char head[4096] = {0};
    size_t received = bench_scripted_received(scripted, 0, head, sizeof head - 1);
    const char *end = strstr(head, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(received - (size_t)(end + 4 - head), 1000);
    bench_scripted_stop(scripted);
    bench_gate_deinit(&race.gate);
}

// --- memory ----------------------------------------------------------------------------------------------------------

static void an_allocation_that_fails_costs_one_feed(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    struct quoit_allocator allocator = {
        .allocate = alloc->allocate, .release = alloc->release, .context = alloc->context};
    host_start(&host, &(struct quoit_engine_options){.allocator = &allocator}, NULL);
    struct quoit_request *request = upgrade_request();
    assert_int_equal(quoit_request_set_feed_max(request, 1000), QUOIT_OK);
    host_submit(&host, 0, request);
    host_wait_head(&host, 0);
    num_released = 0;
    for (int i = 0; i < 5; i++) { // more than would fit, were they counted
        q_failalloc_fail_at(failalloc, 1);
        assert_int_equal(lend(bench_body_at(0), 500), QUOIT_ERR_NO_MEMORY);
        q_failalloc_fail_at(failalloc, 1);
        assert_int_equal(feed(bench_body_at(0), 500), QUOIT_ERR_NO_MEMORY);
    }
    assert_int_equal(num_released, 0);
    q_failalloc_fail_at(failalloc, 1);
    assert_int_equal(quoit_feed_end(host.engine, host.records[0].handle), QUOIT_ERR_NO_MEMORY);
    q_failalloc_fail_at(failalloc, 0);
    assert_int_equal(feed(bench_body_at(0), 1000), QUOIT_OK);
    host_wait_body(&host, 0, 1000);
    end_feeds();
    host_assert_done(host_wait(&host, 0), 1000);
    host_stop(&host);
    char text[512];
    if (!q_failalloc_check(failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(failalloc);
    bench_server_stop(server);
}

// One stream whose nth allocation fails. False: there was no nth.
static bool stream_survives(uint64_t nth) {
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    struct quoit_allocator allocator = {
        .allocate = alloc->allocate, .release = alloc->release, .context = alloc->context};
    host_start(&host, &(struct quoit_engine_options){.allocator = &allocator}, NULL);
    num_released = 0;
    q_failalloc_fail_at(failalloc, nth);
    host_submit(&host, 0, upgrade_request());
    while (host.records[0].num_heads == 0 && host.records[0].num_ends == 0) {
        host_step(&host);
    }
    int32_t code = QUOIT_ERR_NO_MEMORY;
    for (int i = 0; i < 2 && code == QUOIT_ERR_NO_MEMORY; i++) {
        code = lend(bench_body_at(0), 1000);
    }
    for (int i = 0; i < 2 && host.records[0].num_ends == 0; i++) {
        (void)quoit_feed_end(host.engine, host.records[0].handle);
    }
    const struct host_record *record = host_wait(&host, 0);
    bool has_failed = q_failalloc_failed(failalloc);
    if (record->end_type == QUOIT_EVENT_FAILED) {
        assert_true(has_failed);
        assert_int_equal(record->summary.failure.code, QUOIT_ERR_NO_MEMORY);
    } else {
        host_assert_done(record, 1000);
    }
    q_failalloc_fail_at(failalloc, 0);
    host_stop(&host);
    assert_int_equal(num_released, code == QUOIT_OK);
    char text[512];
    if (!q_failalloc_check(failalloc, text, sizeof text)) {
        fail_msg("allocation %llu: %s", (unsigned long long)nth, text);
    }
    q_failalloc_free(failalloc);
    return has_failed;
}

static void any_allocation_of_a_stream_may_fail(void **state) {
    (void)state;
    struct bench_server *server = echo_start();
    uint64_t nth = 1;
    while (stream_survives(nth)) {
        nth++;
        assert_true(nth < 100);
    }
    assert_true(nth > 3);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_feed_one_stream_and_each_piece_stays_whole),
        cmocka_unit_test(the_upgrade_tells_its_headers),
        cmocka_unit_test(what_cannot_be_sent_behind_the_peers_end_is_bounded),
        cmocka_unit_test(a_feed_that_comes_behind_the_end_is_given_back),
        cmocka_unit_test(a_feed_that_was_taken_before_the_peers_end_is_sent),
        cmocka_unit_test(an_allocation_that_fails_costs_one_feed),
        cmocka_unit_test(any_allocation_of_a_stream_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

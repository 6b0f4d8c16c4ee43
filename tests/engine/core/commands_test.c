// What other threads ask of the loop: submit, cancel, grant; from any thread, from a signal handler, early and late.
#include "tests/engine/core/host.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

#include "bench/server/gate.h"
#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/schedule.h"

enum {
    SHORT_MS = 100,
    LATE_MS = 10000,
    TICKS_AT_ONCE = 8, // more than anything here takes to come to rest
};

static struct host host;
static char the_url[HOST_URL_MAX];

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

// A listener that lets nobody in: connecting to it hangs.
static struct bench_server *deaf_start(struct bench_server_options options) {
    options.backlog = 1;
    struct bench_server *server = bench_server_start(&options);
    assert_non_null(server);
    bench_server_set_accepting(server, false);
    bench_server_url(server, "/size/1", the_url, sizeof the_url);
    return server;
}

static void until_heard(const struct bench_server *server, uint64_t num) {
    struct bench_server_counters counters = {0};
    for (uint64_t end_ms = clock_ms() + HOST_WAIT_MS; counters.requests < num; poll(NULL, 0, 1)) {
        bench_server_counters(server, &counters);
        assert_true(clock_ms() < end_ms);
    }
}

static void cancel(uint32_t index) {
    assert_int_equal(quoit_cancel(host.engine, host.records[index].handle), QUOIT_OK);
}

static void assert_canceled(uint32_t index, uint8_t retry_safe) {
    const struct host_record *record = host_wait(&host, index);
    host_assert_failed(record, QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    assert_int_equal(record->summary.failure.retry_safe, retry_safe);
}

// --- cancel in each state
// ---------------------------------------------------------------------------------------------

static void a_request_is_canceled_right_behind_its_submit(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < 200; i++) {
        host_get(&host, i, the_url);
        cancel(i);                                                         // it cannot have ended: nobody answers
        int32_t again = quoit_cancel(host.engine, host.records[i].handle); // idempotent, or too late
        assert_true(again == QUOIT_OK || again == QUOIT_ERR_STALE_HANDLE);
    }
    host_wait_all(&host, 200);
    for (uint32_t i = 0; i < 200; i++) {
        host_assert_failed(&host.records[i], QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    }
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_is_canceled_while_it_waits_for_a_connection(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    host_get(&host, 0, the_url);
    until_heard(server, 1);
    host_get(&host, 1, the_url);
    cancel(1);
    assert_canceled(1, 1);
    assert_int_equal(host.records[1].summary.attempts, 0);
    assert_int_equal(host.records[0].num_ends, 0); // the other one is left alone
    cancel(0);
    assert_canceled(0, 0);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_is_canceled_while_it_connects(void **state) {
    (void)state;
    struct bench_server *server = deaf_start((struct bench_server_options){0});
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < 8; i++) { // the first few fill the backlog
        host_get(&host, i, the_url);
    }
    host_until(&host, host_is_open, 8);
    for (uint32_t i = 0; i < 8; i++) {
        cancel(i);
    }
    host_wait_all(&host, 8);
    uint32_t num_safe = 0;
    for (uint32_t i = 0; i < 8; i++) {
        host_assert_failed(&host.records[i], QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
        num_safe += host.records[i].summary.failure.retry_safe;
    }
    assert_true(num_safe >= 6); // the backlog holds two at most
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_is_canceled_while_it_waits_for_the_head(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, NULL, NULL);
    host_get(&host, 0, the_url);
    until_heard(server, 1);
    cancel(0);
    assert_canceled(0, 0);
    assert_int_equal(host.records[0].num_heads, 0);
    host_until(&host, host_is_open, 0); // the connection is lost: an answer may still come on it
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_is_canceled_in_the_middle_of_its_body(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/100000?drip=1000&gap_ms=3600000");
    host_start(&host, NULL, NULL);
    host_get(&host, 0, the_url);
    host_wait_body(&host, 0, 1);
    cancel(0);
    assert_canceled(0, 0);
    assert_int_equal(host.records[0].status, 200);
    assert_int_equal(host.records[0].summary.status, 200);
    host_until(&host, host_is_open, 0);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_request_is_canceled_while_its_body_is_sent(void **state) {
    static const struct bench_step k_hears_nothing[] = {{0}};
    enum { BODY = 32 << 20 }; // more than any socket buffer takes
    (void)state;
    struct bench_scripted *server = bench_scripted_start_one(k_hears_nothing);
    bench_scripted_url(server, "/", the_url, sizeof the_url);
    char *body = calloc(1, BODY);
    host_start(&host, NULL, NULL);
    struct quoit_request *request = host_request("POST", the_url);
    assert_int_equal(quoit_request_set_body(request, body, BODY, NULL, NULL), QUOIT_OK);
    free(body);
    host_submit(&host, 0, request);
    host_until(&host, host_is_open, 1);
    cancel(0);
    (void)host_wait(&host, 0);
    host_assert_failed(&host.records[0], QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    host_stop(&host);
    bench_scripted_stop(server);
}

static void a_cancel_that_comes_too_late_is_harmless(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, &(struct quoit_engine_options){.requests_max = 1}, NULL);
    host_fetch(&host, 0, the_url, 10);
    host_until(&host, host_is_pending, 0);
    struct quoit_handle old = host.records[0].handle;
    assert_int_equal(quoit_cancel(host.engine, old), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_grant(host.engine, old, 1), QUOIT_ERR_STALE_HANDLE);
    for (uint32_t i = 1; i < 100; i++) { // the one slot has new tenants, which the old name never hits
        host_get(&host, i, the_url);
        assert_int_equal(quoit_cancel(host.engine, old), QUOIT_ERR_STALE_HANDLE);
        host_assert_done(host_wait(&host, i), 10);
        assert_int_equal((uint32_t)host.records[i].handle.id, (uint32_t)old.id);
        host_until(&host, host_is_pending, 0);
    }
    assert_int_equal(quoit_cancel(host.engine, (struct quoit_handle){0}), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_cancel(host.engine, (struct quoit_handle){UINT64_MAX}), QUOIT_ERR_STALE_HANDLE);
    host_stop(&host);
    bench_server_stop(server);
}

// --- by whom
// ----------------------------------------------------------------------------------------------------------

enum { CANCELERS = 4, CANCELED = 200 };

static void *cancel_all(void *unused) {
    (void)unused;
    for (uint32_t i = 0; i < CANCELED; i++) {
        int32_t code = quoit_cancel(host.engine, host.records[i].handle);
        if (code != QUOIT_OK && code != QUOIT_ERR_STALE_HANDLE) {
            return (void *)1;
        }
    }
    return NULL;
}

static void many_threads_cancel_the_same_requests(void **state) {
    pthread_t threads[CANCELERS];
    (void)state;
    struct bench_server *server = server_start("/size/1?delay_ms=20");
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < CANCELED; i++) {
        host_get(&host, i, the_url);
    }
    for (int i = 0; i < CANCELERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, cancel_all, NULL), 0);
    }
    host_wait_all(&host, CANCELED);
    for (int i = 0; i < CANCELERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    host_stop(&host);
    bench_server_stop(server);
}

static struct quoit_engine signal_engine;
static struct quoit_handle signal_handle;
static volatile sig_atomic_t signal_code = -1;

static void on_signal(int number) {
    (void)number;
    signal_code = quoit_cancel(signal_engine, signal_handle);
}

static void a_signal_handler_may_cancel(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    host_start(&host, NULL, NULL);
    host_get(&host, 0, the_url);
    signal_engine = host.engine;
    signal_handle = host.records[0].handle;
    assert_int_equal(pthread_kill(pthread_self(), SIGUSR1), 0);
    assert_int_equal(signal_code, QUOIT_OK);
    (void)host_wait(&host, 0);
    host_assert_failed(&host.records[0], QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    host_stop(&host);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    bench_server_stop(server);
}

static void cancel_first_data(struct host *from, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_DATA) {
        (void)quoit_cancel(from->engine, event->request);
    }
}

static void an_inline_callback_may_cancel(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/100000?drip=1000&gap_ms=1");
    host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = cancel_first_data;
    host_get(&host, 0, the_url);
    assert_canceled(0, 0);
    host_stop(&host);
    bench_server_stop(server);
}

// --- by schedule: the engine is host-driven, and the actor "loop" ticks it from its first tick to its last
// ------------------------------------------------------------------------------------------------------------------

static const struct quoit_engine_options k_driven = {.mode = QUOIT_ENGINE_HOST_DRIVEN, .requests_max = 2};
static int32_t the_code; // what the other actor's call gave

// Ticks until there is nothing left to do at once, and notes what came. A pinned slot keeps the loop awake: bounded.
static void come_to_rest(void) {
    struct quoit_event events[16];
    for (int i = 0; i < TICKS_AT_ONCE && quoit_engine_tick(host.engine) > 0; i++) {
    }
    int32_t count = quoit_port_drain(host.port, events, sizeof events[0], 16);
    for (int32_t i = 0; i < count; i++) {
        host_note(&host, &events[i]);
    }
    (void)quoit_port_advance(host.port);
}

static int32_t submit_again(uint32_t index) {
    struct quoit_request *request = host_request("GET", the_url);
    int32_t code = quoit_submit(host.engine, host.port, request, index, &host.records[index].handle);
    host.records[index].is_submitted = code == QUOIT_OK;
    quoit_request_release(request);
    return code;
}

static void cancels_the_first(void *context) {
    (void)context;
    the_code = quoit_cancel(host.engine, host.records[0].handle);
}

static void grants_to_the_first(void *context) {
    (void)context;
    the_code = quoit_grant(host.engine, host.records[0].handle, 1);
}

// A batch of three: what is asked of the first request, a second one's submit, and its cancel.
struct batch {
    void (*ask)(void *context);
    uint64_t num_left;    // of the two requests, behind the batch
    uint64_t num_pending; // in truth
};

static void runs_a_batch(void *context) {
    struct batch *batch = context;
    come_to_rest();
    batch->ask(NULL);
    (void)submit_again(1);
    (void)quoit_cancel(host.engine, host.records[1].handle);
    come_to_rest();
    batch->num_pending = host_info(&host).requests_pending;
    if (batch->num_pending == batch->num_left) { // else what is lost never ends
        host_close_and_wait(&host, 0);
    }
}

// Mutation 6 of tests/model/slotword.pml: a node may be pushed again as soon as its command has unpinned it. What
// stands behind it in the backlog must be known by then, or is lost.
static void a_node_that_is_pushed_again_at_once_loses_nothing_behind_it(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"host:start", "loop:core.commands.behind_run#2"}, // the first one was the submit
        {"loop:core.commands.behind_run#2", "host:end"},
    };
    struct batch batches[] = {{.ask = grants_to_the_first, .num_left = 1}, {.ask = cancels_the_first, .num_left = 0}};
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    for (size_t i = 0; i < Q_COUNT_OF(batches); i++) {
        const struct q_schedule_actor actors[] = {{"host", batches[i].ask, NULL},
                                                  {"loop", runs_a_batch, &batches[i]}};
        host_start(&host, &k_driven, NULL);
        host_get(&host, 0, the_url);
        assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), actors, Q_COUNT_OF(actors)));
        assert_int_equal(the_code, QUOIT_OK);
        assert_int_equal(batches[i].num_pending, batches[i].num_left);
        host_assert_failed(&host.records[1], QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
        host_destroy(&host);
    }
    bench_server_stop(server);
}

struct tenants {
    int32_t code_pinned;
    int32_t code_unpinned;
};

static void ends_by_itself(void *context) {
    struct tenants *tenants = context;
    struct pollfd wait = {.fd = quoit_engine_fd(host.engine), .events = POLLIN};
    come_to_rest();
    while (host.records[0].num_ends == 0 && poll(&wait, 1, HOST_WAIT_MS) == 1) {
        come_to_rest();
    }
    tenants->code_pinned = submit_again(1); // unpinned, the slot would have been given back by now
    q_schedule_point("ended");
    come_to_rest();
    tenants->code_unpinned = submit_again(1);
    if (tenants->code_unpinned == QUOIT_OK) { // else the first one is pending for ever
        host_wait(&host, 1);
        host_close_and_wait(&host, 0);
    }
}

// Mutation 10 of tests/model/slotword.pml: a pin has kept the loop from giving the slot back. It tries again when the
// pin has gone.
static void a_slot_that_was_pinned_at_its_end_is_given_back_behind_the_pin(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:slotword.pin_cancel.after_cas"},
        {"host:slotword.pin_cancel.after_cas", "loop:ended"},
        {"loop:ended", "host:end"},
    };
    static struct tenants tenants;
    static const struct q_schedule_actor k_actors[] = {{"host", cancels_the_first, NULL},
                                                       {"loop", ends_by_itself, &tenants}};
    (void)state;
    struct bench_server *server = server_start("/size/10");
    struct quoit_engine_options options = k_driven;
    options.requests_max = 1;
    host_start(&host, &options, NULL);
    host_get(&host, 0, the_url);
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), k_actors, Q_COUNT_OF(k_actors)));
    assert_int_equal(the_code, QUOIT_OK);
    host_assert_done(&host.records[0], 10);
    assert_int_equal(tenants.code_pinned, QUOIT_ERR_REQUESTS_MAX);
    assert_int_equal(tenants.code_unpinned, QUOIT_OK);
    host_assert_done(&host.records[1], 10);
    host_destroy(&host);
    bench_server_stop(server);
}

// --- submit
// -----------------------------------------------------------------------------------------------------------

static void pending_requests_are_bounded(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, &(struct quoit_engine_options){.requests_max = 8}, NULL);
    for (uint32_t i = 0; i < 8; i++) {
        host_get(&host, i, the_url);
    }
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_submit(host.engine, host.port, request, 8, NULL), QUOIT_ERR_REQUESTS_MAX);
    cancel(3);
    (void)host_wait(&host, 3);
    host_until(&host, host_is_pending, 7);
    host_submit(&host, 8, request);
    host_stop(&host);
    bench_server_stop(server);
}

static void waiters_of_one_origin_are_bounded(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1, .waiters_per_origin_max = 2},
               NULL);
    host_get(&host, 0, the_url);
    until_heard(server, 1);
    for (uint32_t i = 1; i < 4; i++) {
        host_get(&host, i, the_url);
    }
    host_assert_failed(host_wait(&host, 3), QUOIT_ERR_WAITERS_MAX, QUOIT_PHASE_QUEUE);
    assert_int_equal(host.records[3].summary.failure.retry_safe, 1);
    assert_int_equal(host.num_ended, 1);
    host_stop(&host);
    bench_server_stop(server);
}

static void waiters_are_served_in_their_order(void **state) {
    enum { NUM = 20 };
    (void)state;
    struct bench_server *server = server_start("/size/1");
    host_start(&host, &(struct quoit_engine_options){.connections_per_origin_max = 1}, NULL);
    for (uint32_t i = 0; i < NUM; i++) {
        host_get(&host, i, the_url);
    }
    host_wait_all(&host, NUM);
    for (uint32_t i = 1; i < NUM; i++) {
        assert_true(host.records[i].summary.leased_ns > 0);
        assert_int_equal(host.records[i].summary.connection_id, host.records[0].summary.connection_id);
    }
    assert_int_equal(host_info(&host).connections_opened, 1);
    host_stop(&host);
    bench_server_stop(server);
}

enum { SUBMITTERS = 8, PER_SUBMITTER = 100 };

struct submitter {
    struct quoit_request *request;
    uint32_t first;
    int32_t code;
};

static void *submit_some(void *argument) {
    struct submitter *submitter = argument;
    for (uint32_t i = submitter->first; i < submitter->first + PER_SUBMITTER; i++) {
        host.records[i].is_submitted = true;
        submitter->code |= quoit_submit(host.engine, host.port, submitter->request, i, NULL);
    }
    return NULL;
}

static void many_threads_submit_one_request_many_times(void **state) {
    pthread_t threads[SUBMITTERS];
    struct submitter submitters[SUBMITTERS];
    (void)state;
    struct bench_server *server = server_start("/size/500");
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){.request = request, .first = i * PER_SUBMITTER};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_some, &submitters[i]), 0);
    }
    host_wait_all(&host, SUBMITTERS * PER_SUBMITTER);
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(submitters[i].code, QUOIT_OK);
    }
    for (uint32_t i = 0; i < SUBMITTERS * PER_SUBMITTER; i++) {
        host_assert_done(&host.records[i], 500);
        assert_false(host.records[i].is_foreign);
    }
    quoit_request_release(request);
    host_stop(&host);
    bench_server_stop(server);
}

// --- timeouts
// ---------------------------------------------------------------------------------------------------------

static void get_within(uint32_t index, uint64_t total_ms, uint64_t connect_ms) {
    struct quoit_request *request = host_request("GET", the_url);
    struct quoit_request_bounds bounds = {
        .struct_size = sizeof bounds, .total_ms = total_ms, .connect_ms = connect_ms};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    host_submit(&host, index, request);
}

static void connecting_and_the_whole_have_their_own_timeouts(void **state) {
    (void)state;
    struct bench_server *server = deaf_start((struct bench_server_options){0});
    host_start(&host, NULL, NULL);
    uint64_t begin_ms = clock_ms();
    for (uint32_t i = 0; i < 4; i++) { // two get in, at most
        get_within(i, i % 2 == 0 ? 3 * SHORT_MS : 0, SHORT_MS);
    }
    get_within(4, SHORT_MS, 0); // struck while it connects, or waits for the head
    get_within(5, SHORT_MS, 0);
    get_within(6, SHORT_MS, 0);
    host_until(&host, host_is_open, 7);
    uint32_t num_connect = 0;
    for (uint32_t i = 0; i < 7; i++) {
        if (i != 1 && i != 3) {
            (void)host_wait(&host, i);
        }
    }
    assert_in_range(clock_ms() - begin_ms, SHORT_MS - 1, LATE_MS);
    for (uint32_t i = 0; i < 7; i++) {
        const struct quoit_summary *summary = &host.records[i].summary;
        if (host.records[i].num_ends == 0) {
            cancel(i); // one of those without a total timeout that got in
            continue;
        }
        bool is_connect = summary->failure.code == QUOIT_ERR_TIMEOUT_CONNECT;
        num_connect += is_connect;
        assert_true(is_connect || summary->failure.code == QUOIT_ERR_TIMEOUT_TOTAL);
        assert_true(!is_connect || summary->failure.phase == QUOIT_PHASE_CONNECT);
        assert_int_equal(summary->failure.retry_safe, summary->attempts == 0);
        assert_true(summary->end_ns >= (uint64_t)(SHORT_MS - 1) * 1000000);
    }
    assert_true(num_connect >= 1);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_silent_server_meets_the_total_timeout(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, NULL, NULL);
    uint64_t begin_ms = clock_ms();
    get_within(0, SHORT_MS, 0);
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_TIMEOUT_TOTAL, QUOIT_PHASE_HEAD);
    assert_in_range(clock_ms() - begin_ms, SHORT_MS - 1, LATE_MS);
    assert_int_equal(host.records[0].summary.failure.retry_safe, 0);
    host_stop(&host);
    bench_server_stop(server);
}

static void names_that_nobody_knows_are_told_at_once(void **state) {
    (void)state;
    host_start(&host, &(struct quoit_engine_options){.hosts_file = "/dev/null"}, NULL);
    host_get(&host, 0, "http://no-such-name.test/");
    host_assert_failed(host_wait(&host, 0), QUOIT_ERR_NAME_NOT_FOUND, QUOIT_PHASE_RESOLVE);
    assert_int_equal(host.records[0].summary.failure.retry_safe, 1);
    host_stop(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        // First: what they look for makes others hang.
        cmocka_unit_test(a_node_that_is_pushed_again_at_once_loses_nothing_behind_it),
        cmocka_unit_test(a_slot_that_was_pinned_at_its_end_is_given_back_behind_the_pin),
        cmocka_unit_test(a_request_is_canceled_right_behind_its_submit),
        cmocka_unit_test(a_request_is_canceled_while_it_waits_for_a_connection),
        cmocka_unit_test(a_request_is_canceled_while_it_connects),
        cmocka_unit_test(a_request_is_canceled_while_it_waits_for_the_head),
        cmocka_unit_test(a_request_is_canceled_in_the_middle_of_its_body),
        cmocka_unit_test(a_request_is_canceled_while_its_body_is_sent),
        cmocka_unit_test(a_cancel_that_comes_too_late_is_harmless),
        cmocka_unit_test(many_threads_cancel_the_same_requests),
        cmocka_unit_test(a_signal_handler_may_cancel),
        cmocka_unit_test(an_inline_callback_may_cancel),
        cmocka_unit_test(pending_requests_are_bounded),
        cmocka_unit_test(waiters_of_one_origin_are_bounded),
        cmocka_unit_test(waiters_are_served_in_their_order),
        cmocka_unit_test(many_threads_submit_one_request_many_times),
        cmocka_unit_test(connecting_and_the_whole_have_their_own_timeouts),
        cmocka_unit_test(a_silent_server_meets_the_total_timeout),
        cmocka_unit_test(names_that_nobody_knows_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

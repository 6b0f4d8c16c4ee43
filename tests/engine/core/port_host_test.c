// The draining side of a port: batches, the eventfd, waiting, and taking.
#include "tests/engine/core/host.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/server/server.h"
#include "engine/base/check.h"
#include "tests/support/schedule.h"

static struct host host;
static char the_url[HOST_URL_MAX];

static struct bench_server *server_start(const char *path) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, path, the_url, sizeof the_url);
    return server;
}

static int32_t drain(struct quoit_event *events, size_t max) {
    int32_t count = quoit_port_drain(host.port, events, sizeof events[0], max);
    assert_true(count >= 0);
    for (int32_t i = 0; i < count; i++) {
        host_note(&host, &events[i]);
    }
    return count;
}

// The loop of a host with epoll: sleeps only when a drain has come back with less than it asked for.
static void run_with_epoll(uint32_t num, size_t max, uint32_t flags) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = {.events = EPOLLIN | flags};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, quoit_port_fd(host.port), &interest), 0);
    while (host.num_ended < num) {
        struct quoit_event events[64];
        int32_t count;
        struct epoll_event ready;
        assert_int_equal(epoll_wait(epoll, &ready, 1, HOST_WAIT_MS), 1); // 0: a signal was lost
        do {
            count = drain(events, max);
            assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
        } while (count == (int32_t)max);
    }
    close(epoll);
}

static void a_host_with_epoll_is_woken_for_everything(void **state) {
    static const uint32_t k_flags[] = {0, EPOLLET};
    (void)state;
    struct bench_server *server = server_start("/size/500");
    for (size_t i = 0; i < 2; i++) {
        for (size_t max = 1; max <= 64; max = max * 4 + 1) {
            host_start(&host, NULL, NULL);
            for (uint32_t request = 0; request < 100; request++) {
                host_get(&host, request, the_url);
            }
            run_with_epoll(100, max > 64 ? 64 : max, k_flags[i]);
            for (uint32_t request = 0; request < 100; request++) {
                host_assert_done(&host.records[request], 500);
                assert_false(host.records[request].is_foreign);
            }
            host_stop(&host);
        }
    }
    bench_server_stop(server);
}

// One request at a time, so that the loop and the host fall asleep between any two events.
static void a_host_with_poll_is_woken_each_time(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/100");
    host_start(&host, NULL, NULL);
    for (uint32_t i = 0; i < 200; i++) {
        host_get(&host, i, the_url);
        while (host.records[i].num_ends == 0) {
            struct pollfd wait = {.fd = quoit_port_fd(host.port), .events = POLLIN};
            struct quoit_event events[3];
            assert_int_equal(poll(&wait, 1, HOST_WAIT_MS), 1);
            while (drain(events, 3) == 3) {
                assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
            }
            assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
        }
    }
    host_stop(&host);
    bench_server_stop(server);
}

struct look {
    int32_t count;    // what the drain gave
    bool is_readable; // whether a host that goes to sleep behind it is woken
};

static struct look looks[2];

static void looks_twice(void *context) {
    struct pollfd wait = {.fd = quoit_port_fd(host.port), .events = POLLIN};
    struct quoit_event events[4];
    (void)context;
    for (size_t i = 0; i < 2; i++) {
        looks[i].count = drain(events, 4);
        (void)quoit_port_advance(host.port);
        looks[i].is_readable = poll(&wait, 1, 0) == 1;
    }
}

// One event each time: a request that is canceled before it has begun.
static void publishes_twice(void *context) {
    struct pollfd wait = {.fd = quoit_port_fd(host.port), .events = POLLIN};
    (void)context;
    for (uint32_t i = 0; i < 2; i++) {
        host_get(&host, i, "http://127.0.0.1:1/");
        (void)quoit_cancel(host.engine, host.records[i].handle);
        while (quoit_engine_tick(host.engine) > 0) {
        }
        (void)poll(&wait, 1, HOST_WAIT_MS); // the kernel may write later than the tick
        q_schedule_point("signalled");
    }
    host_close_and_wait(&host, 0);
}

// Mutation 8 of tests/model/evring.pml: a host that reads the eventfd behind its look swallows the signal of what was
// published since, and sleeps for ever. Once with the arming that the port is born with, once with one of the host's.
static void a_signal_that_comes_behind_the_look_is_left_for_the_next(void **state) {
    static const struct q_schedule_rule k_rules[] = {
        {"loop:start", "host:core.drain.behind_arm"},
        {"host:core.drain.behind_arm", "loop:signalled"},
        {"loop:signalled", "host:core.drain.behind_arm#2"},
        {"host:core.drain.behind_arm#2", "loop:signalled#2"},
        {"loop:signalled#2", "host:end"},
    };
    static const struct q_schedule_actor k_actors[] = {{"host", looks_twice, NULL}, {"loop", publishes_twice, NULL}};
    (void)state;
    host_start(&host, &(struct quoit_engine_options){.mode = QUOIT_ENGINE_HOST_DRIVEN}, NULL);
    assert_true(q_schedule_run(k_rules, Q_COUNT_OF(k_rules), k_actors, Q_COUNT_OF(k_actors)));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(looks[i].count, i); // each finds what was published behind the one before it
        assert_true(looks[i].is_readable);
    }
    host_destroy(&host);
}

// Drains many times before it advances once: what was handed out stays valid, and more is still signalled.
static void events_stay_valid_until_the_advance(void **state) {
    struct quoit_event events[16];
    (void)state;
    struct bench_server *server = server_start("/size/20000");
    host_start(&host, NULL, NULL);
    host_get(&host, 0, the_url);
    int32_t count = 0;
    while (count == 0 || events[count - 1].type != QUOIT_EVENT_DONE) {
        struct pollfd wait = {.fd = quoit_port_fd(host.port), .events = POLLIN};
        int32_t more = drain(events + count, 1);
        count += more;
        assert_true(count < 16);
        assert_true(more == 1 || poll(&wait, 1, HOST_WAIT_MS) == 1);
    }
    uint64_t len = 0;
    for (int32_t i = 0; i < count; i++) {
        const char *value;
        size_t value_len;
        if (events[i].type == QUOIT_EVENT_HEAD) {
            assert_int_equal(quoit_headers_get(events[i].u.head.headers, "content-LENGTH", 14, &value, &value_len), 1);
            assert_int_equal(value_len, 5);
            assert_memory_equal(value, "20000", 5);
        }
        for (size_t at = 0; events[i].type == QUOIT_EVENT_DATA && at < events[i].u.data.len; at++, len++) {
            assert_int_equal(((const unsigned char *)events[i].u.data.data)[at], (len % 251) ^ ((len / 251) % 241));
        }
    }
    assert_int_equal(len, 20000);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK); // nothing drained: nothing
    assert_int_equal(quoit_port_drain(host.port, events, sizeof events[0], 16), 0);
    host_stop(&host);
    bench_server_stop(server);
}

// A host of the first header: its events end where the first field that was added begins.
static void a_host_of_an_older_header_gets_its_events_without_the_rest(void **state) {
    enum { SIZE = offsetof(struct quoit_event, u) + offsetof(struct quoit_summary, remote), MAX = 8 };
    (void)state;
    struct bench_server *server = server_start("/size/10");
    _Alignas(struct quoit_event) unsigned char events[(MAX + 1) * SIZE];
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_drain(host.port, (struct quoit_event *)(void *)events, SIZE - 1, MAX),
                     -QUOIT_ERR_INVALID_ARGUMENT);
    host_get(&host, 0, the_url);
    while (host.records[0].num_ends == 0) {
        memset(events, 0xee, sizeof events);
        int32_t count = quoit_port_wait(host.port, (struct quoit_event *)(void *)events, SIZE, MAX, HOST_WAIT_MS);
        assert_true(count > 0);
        assert_int_equal(events[(size_t)count * SIZE], 0xee); // nothing was written behind the last
        for (int32_t i = 0; i < count; i++) {
            struct quoit_event event = {0};
            memcpy(&event, events + (size_t)i * SIZE, SIZE);
            host_note(&host, &event);
        }
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    }
    host_assert_done(&host.records[0], 10);
    assert_int_equal(host.records[0].summary.attempts, 1);
    host_stop(&host);
    bench_server_stop(server);
}

static void events_may_be_wider_than_ours(void **state) {
    struct {
        struct quoit_event event;
        unsigned char tail[40];
    } wide[8];
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, NULL, NULL);
    memset(wide, 0xee, sizeof wide);
    assert_int_equal(quoit_port_drain(host.port, NULL, sizeof wide[0], 8), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(host.port, &wide[0].event, sizeof wide[0], 0), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(host.port, &wide[0].event, sizeof wide[0], 8, 0), 0);
    host_get(&host, 0, the_url);
    while (host.records[0].num_ends == 0) {
        int32_t count = quoit_port_wait(host.port, &wide[0].event, sizeof wide[0], 8, HOST_WAIT_MS);
        assert_true(count > 0);
        for (int32_t i = 0; i < count; i++) {
            host_note(&host, &wide[i].event);
            assert_int_equal(wide[i].tail[0], 0); // what a later header has there, we do not know
            assert_int_equal(wide[i].tail[sizeof wide[i].tail - 1], 0);
        }
        assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    }
    host_assert_done(&host.records[0], 10);
    host_stop(&host);
    bench_server_stop(server);
}

static void waiting_for_more_before_advancing_is_refused(void **state) {
    struct quoit_event event;
    (void)state;
    struct bench_server *server = server_start("/size/1?silent=1");
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_wait(host.port, &event, sizeof event, 1, 10), 0); // time is up
    host_get(&host, 0, the_url);
    assert_int_equal(quoit_cancel(host.engine, host.records[0].handle), QUOIT_OK);
    assert_int_equal(quoit_port_wait(host.port, &event, sizeof event, 1, HOST_WAIT_MS), 1);
    host_note(&host, &event);
    int32_t code = quoit_port_wait(host.port, &event, sizeof event, 1, 0);
    assert_true(code == 0 || code == -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    host_stop(&host);
    bench_server_stop(server);
}

// --- taking
// -----------------------------------------------------------------------------------------------------------

enum { TAKEN_MAX = 512 };

struct taken {
    struct quoit_slice slices[TAKEN_MAX];
    uint64_t offsets[TAKEN_MAX];
    size_t count;
};

static struct taken taken;

static void take(struct host *from, const struct quoit_event *event) {
    struct quoit_slice slice = {0};
    int32_t code = quoit_port_take(from->port, event, &slice);
    if (event->type != QUOIT_EVENT_DATA) {
        assert_int_equal(code, QUOIT_ERR_INVALID_ARGUMENT);
        assert_null(slice.owner);
        return;
    }
    assert_int_equal(code, QUOIT_OK);
    assert_ptr_equal(slice.data, event->u.data.data);
    assert_int_equal(slice.len, event->u.data.len);
    struct quoit_slice again = {0};
    assert_int_equal(quoit_port_take(from->port, event, &again), QUOIT_ERR_INVALID_ARGUMENT); // at most once
    assert_true(taken.count < TAKEN_MAX);
    taken.offsets[taken.count] = event->u.data.offset;
    taken.slices[taken.count++] = slice;
}

static void assert_taken_is_whole(void) {
    for (size_t i = 0; i < taken.count; i++) {
        const unsigned char *bytes = taken.slices[i].data;
        for (uint64_t at = 0; at < taken.slices[i].len; at++) {
            uint64_t offset = taken.offsets[i] + at;
            assert_int_equal(bytes[at], (offset % 251) ^ ((offset / 251) % 241));
        }
    }
}

struct releaser {
    size_t first;
    size_t step;
    int32_t code;
};

static void *release_some(void *argument) {
    struct releaser *releaser = argument;
    for (size_t i = taken.count; i-- > 0;) { // backwards
        if (i % releaser->step == releaser->first) {
            struct quoit_slice copy = taken.slices[i];
            releaser->code |= quoit_slice_release(host.engine, &taken.slices[i]);
            // Of no harm to those that share its chunk, whether that is still there or not.
            releaser->code |= quoit_slice_release(host.engine, &copy) != QUOIT_ERR_INVALID_ARGUMENT;
        }
    }
    return NULL;
}

// Small pieces share a chunk, large ones are lent: both outlive their events, their request and its connection.
static void taken_pieces_are_released_by_other_threads_in_any_order(void **state) {
    static const char *const k_paths[] = {"/size/200000", "/size/3000?chunked=30&gap_ms=1", "/size/100000?chunked=700"};
    static const uint64_t k_lens[] = {200000, 3000, 100000};
    (void)state;
    for (int i = 0; i < 3; i++) {
        for (uint32_t mode = QUOIT_PORT_EVENTFD; mode <= QUOIT_PORT_INLINE; mode++) {
            struct bench_server *server = server_start(k_paths[i]);
            pthread_t threads[3];
            struct releaser releasers[3];
            memset(&taken, 0, sizeof taken);
            host_start(&host, NULL, &(struct quoit_port_options){.mode = mode});
            host.on_event = take;
            struct quoit_request *request = host_request("GET", the_url);
            assert_int_equal(quoit_request_set_credit(request, 16 << 20, 0), QUOIT_OK);
            host_submit(&host, 0, request);
            host_assert_done(host_wait(&host, 0), k_lens[i]);
            bench_server_stop(server);
            host_until(&host, host_is_open, 0);
            assert_taken_is_whole();
            assert_int_equal(quoit_engine_destroy(host.engine), QUOIT_ERR_NOT_CLOSED);
            for (size_t thread = 0; thread < 3; thread++) {
                releasers[thread] = (struct releaser){.first = thread, .step = 3};
                assert_int_equal(pthread_create(&threads[thread], NULL, release_some, &releasers[thread]), 0);
            }
            for (int thread = 0; thread < 3; thread++) {
                pthread_join(threads[thread], NULL);
                assert_int_equal(releasers[thread].code, QUOIT_OK);
            }
            host.on_event = NULL;
            host_stop(&host);
        }
    }
}

static void only_a_drained_event_of_this_port_can_be_taken(void **state) {
    struct quoit_event events[8];
    struct quoit_slice slice = {0};
    struct quoit_port stranger;
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_create(host.engine, NULL, &stranger), QUOIT_OK);
    host_get(&host, 0, the_url);
    host_until(&host, host_is_pending, 0); // all events are there
    int32_t count = drain(events, 8);
    assert_int_equal(count, 3);
    assert_int_equal(events[1].type, QUOIT_EVENT_DATA);
    assert_int_equal(quoit_port_take(stranger, &events[1], &slice), QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_event forged = events[1];
    forged.cookie += 100;
    assert_int_equal(quoit_port_take(host.port, &forged, &slice), QUOIT_ERR_INVALID_ARGUMENT);
    forged = events[1];
    forged.request.id ^= UINT64_C(1) << 32;
    assert_int_equal(quoit_port_take(host.port, &forged, &slice), QUOIT_ERR_INVALID_ARGUMENT);
    forged = events[2];
    forged.type = QUOIT_EVENT_DATA; // the terminal event holds no memory
    assert_int_equal(quoit_port_take(host.port, &forged, &slice), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_take(host.port, NULL, &slice), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_take(host.port, &events[1], NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_OK);
    assert_int_equal(quoit_port_take(host.port, &events[1], &slice), QUOIT_ERR_INVALID_ARGUMENT);
    assert_null(slice.owner);
    host_stop(&host);
    bench_server_stop(server);
}

// --- two threads on one draining side ----------------------------------------------------------------------------------

static int32_t codes_of_stranger[4];

static void drain_alone(void *context) {
    struct quoit_event events[8];
    *(int32_t *)context = quoit_port_drain(host.port, events, sizeof events[0], 8);
}

static void wait_alone(void *context) {
    struct quoit_event event;
    *(int32_t *)context = quoit_port_wait(host.port, &event, sizeof event, 1, 1);
}

static void come_in_between(void *context) {
    struct quoit_event event = {.type = QUOIT_EVENT_DATA};
    struct quoit_slice slice;
    (void)context;
    codes_of_stranger[0] = -quoit_port_drain(host.port, &event, sizeof event, 1);
    codes_of_stranger[1] = -quoit_port_wait(host.port, &event, sizeof event, 1, -1);
    codes_of_stranger[2] = quoit_port_advance(host.port);
    codes_of_stranger[3] = quoit_port_take(host.port, &event, &slice);
}

static void a_second_draining_thread_is_told_so(void **state) {
    static const struct q_schedule_rule k_in_drain[] = {{"stranger:start", "host:core.drain.behind_arm"},
                                                        {"host:core.drain.behind_arm", "stranger:end"}};
    static const struct q_schedule_rule k_in_wait[] = {{"stranger:start", "host:core.wait.before_poll"},
                                                       {"host:core.wait.before_poll", "stranger:end"}};
    (void)state;
    struct bench_server *server = server_start("/size/10");
    for (int waits = 0; waits < 2; waits++) {
        int32_t count = -1;
        host_start(&host, NULL, NULL);
        memset(codes_of_stranger, 0, sizeof codes_of_stranger);
        const struct q_schedule_actor actors[] = {{"host", waits ? wait_alone : drain_alone, &count},
                                                  {"stranger", come_in_between, NULL}};
        assert_true(q_schedule_run(waits ? k_in_wait : k_in_drain, 2, actors, 2));
        assert_int_equal(count, 0);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(codes_of_stranger[i], QUOIT_ERR_WRONG_THREAD);
        }
        host_get(&host, 0, the_url); // and nothing has come of it
        host_assert_done(host_wait(&host, 0), 10);
        host_stop(&host);
    }
    bench_server_stop(server);
}

static int32_t code_of_take;

static void *take_elsewhere(void *argument) {
    struct quoit_slice slice;
    code_of_take = quoit_port_take(host.port, argument, &slice);
    return NULL;
}

static void take_on_another_thread(struct host *of, const struct quoit_event *event) {
    (void)of;
    if (event->type == QUOIT_EVENT_DATA) {
        pthread_t thread;
        struct quoit_event copy = *event;
        Q_CHECK(pthread_create(&thread, NULL, take_elsewhere, &copy) == 0);
        pthread_join(thread, NULL);
    }
}

static void an_inline_event_is_taken_inside_its_callback_alone(void **state) {
    (void)state;
    struct bench_server *server = server_start("/size/10");
    host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    host.on_event = take_on_another_thread;
    host_get(&host, 0, the_url);
    host_assert_done(host_wait(&host, 0), 10);
    assert_int_equal(code_of_take, QUOIT_ERR_WRONG_THREAD);
    host_stop(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_with_epoll_is_woken_for_everything),
        cmocka_unit_test(a_host_with_poll_is_woken_each_time),
        cmocka_unit_test(a_signal_that_comes_behind_the_look_is_left_for_the_next),
        cmocka_unit_test(events_stay_valid_until_the_advance),
        cmocka_unit_test(a_host_of_an_older_header_gets_its_events_without_the_rest),
        cmocka_unit_test(events_may_be_wider_than_ours),
        cmocka_unit_test(waiting_for_more_before_advancing_is_refused),
        cmocka_unit_test(taken_pieces_are_released_by_other_threads_in_any_order),
        cmocka_unit_test(only_a_drained_event_of_this_port_can_be_taken),
        cmocka_unit_test(a_second_draining_thread_is_told_so),
        cmocka_unit_test(an_inline_event_is_taken_inside_its_callback_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Cancel in each state of a request, by each kind of thread, and by a signal handler that interrupts a thread inside a
// call of Quoit, at each of its points. Whoever cancels whenever: one terminal event.
#include "tests/life/life.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "bench/server/scripted.h"
#include "bench/server/server.h"
#include "engine/base/hook.h"

enum {
    VICTIM = 0,  // the request that is canceled
    BLOCKER = 1, // has the origin's only connection
    TRIGGER = 2, // whose end is the callback's moment
};

static struct host host;

// --- the states --------------------------------------------------------------------------------------------------------

enum state {
    NEW,        // the loop has not seen it
    QUEUED,     // leasing: limits
    CONNECTING, // leasing: a connection is being made
    SHAKING,    // leasing: it is made, and its peer says nothing in TLS's handshake (by plain HTTP: AWAITING once more)
    SENDING,    // awaiting: the request is not out yet
    AWAITING,
    RECEIVING,
    PAUSED,     // receiving: no credit
    ASKING,     // a redirect's head waits for the host's answer
    UPGRADED,
    FLUSHING,   // upgraded; the peer has ended, and does not read what was fed before
    DISCARDING, // the body of a redirect
    ENDED,      // and its end not drained
    STATES,
};

enum actor {
    SUBMITTER,
    ANOTHER_THREAD,
    SIGNAL_HANDLER,
    CALLBACK, // on the loop
    TICKER,   // the thread that drives the engine, between ticks
    CALLBACK_OF_TICK,
    ACTORS,
};

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: talk\r\n\r\n"

static struct {
    struct bench_server *server;
    struct bench_server *other; // another origin
    struct bench_server *deaf;
    struct bench_gate never;
    struct bench_gate fed;
    struct bench_scripted *full;
    struct bench_scripted *mute;
    struct bench_scripted *redirecting;
    struct bench_scripted *switching;
    struct bench_scripted *ending;
    int fillers[LIFE_KNOCKS];
    _Atomic int32_t code;         // what the cancel gave
    _Atomic uint32_t num_returned; // bodies and pieces that the engine does not need any more
} scene;

static const struct bench_step k_reads_nothing[] = {{.kind = BENCH_WAIT, .gate = &scene.never}, {0}};
static const struct bench_step k_switches[] = {
    {.kind = BENCH_EXPECT_REQUEST}, {.kind = BENCH_SEND, .bytes = SWITCHING}, {0}};
static const struct bench_step k_switches_and_ends[] = {{.kind = BENCH_EXPECT_REQUEST},
                                                       {.kind = BENCH_SEND, .bytes = SWITCHING},
                                                       {.kind = BENCH_WAIT, .gate = &scene.fed},
                                                       {.kind = BENCH_FIN},
                                                       {.kind = BENCH_WAIT, .gate = &scene.never},
                                                       {0}};
static const struct bench_step k_half_a_redirect[] = {
    {.kind = BENCH_EXPECT_REQUEST},
    {.kind = BENCH_SEND, .bytes = "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 10\r\n\r\n01234"},
    {0}};

static int set_up(void **state) {
    (void)state;
    bench_gate_init(&scene.never);
    bench_gate_init(&scene.fed);
    scene.server = bench_server_start(NULL);
    scene.other = bench_server_start(NULL);
    scene.deaf = bench_server_start(&(struct bench_server_options){.backlog = 1});
    scene.full = bench_scripted_start_one(k_reads_nothing);
    scene.redirecting = bench_scripted_start_one(k_half_a_redirect);
    scene.switching = bench_scripted_start_one(k_switches);
    scene.ending = bench_scripted_start_one(k_switches_and_ends);
    assert_true(scene.server != NULL && scene.other != NULL && scene.deaf != NULL);
    assert_true(scene.full != NULL && scene.redirecting != NULL && scene.switching != NULL && scene.ending != NULL);
    bench_server_set_accepting(scene.deaf, false);
    host_route.bare_ports[0] = bench_server_port(scene.deaf);
    scene.mute = bench_scripted_start_one(k_reads_nothing);
    assert_non_null(scene.mute);
    host_route.bare_ports[1] = bench_scripted_port(scene.mute);
    for (int i = 0; i < LIFE_KNOCKS; i++) {
        scene.fillers[i] = life_knock(bench_server_port(scene.deaf));
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < LIFE_KNOCKS; i++) {
        close(scene.fillers[i]);
    }
    for (int i = 0; i < 2 * BENCH_SCRIPTED_CONNECTIONS_MAX; i++) {
        bench_gate_open(&scene.never); // a pass for each connection
    }
    bench_scripted_stop(scene.ending);
    bench_scripted_stop(scene.switching);
    bench_scripted_stop(scene.redirecting);
    bench_scripted_stop(scene.mute);
    bench_scripted_stop(scene.full);
    bench_server_stop(scene.deaf);
    bench_server_stop(scene.other);
    bench_server_stop(scene.server);
    bench_gate_deinit(&scene.fed);
    bench_gate_deinit(&scene.never);
    return 0;
}

static const char large[LIFE_LARGE];

static void note_return(void *context, const void *data, size_t len) {
    (void)context;
    assert_true(data == large && len == sizeof large);
    scene.num_returned++;
}

static struct quoit_request *upgrade_request(struct bench_scripted *peer) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", bench_scripted_url(peer, "/", url, sizeof url));
    assert_int_equal(quoit_request_set_upgrade(request, "talk", 4), QUOIT_OK);
    assert_int_equal(quoit_request_set_feed_max(request, sizeof large), QUOIT_OK);
    return request;
}

static void let_it_flush(void) {
    host_wait_head(&host, VICTIM);
    assert_int_equal(
        quoit_feed(host.engine, host.records[VICTIM].handle, large, sizeof large, note_return, NULL), QUOIT_OK);
    bench_gate_open(&scene.fed);
    life_until_flushing(&host, VICTIM);
}

static struct quoit_request *request_for(enum state state) {
    char url[HOST_URL_MAX];
    switch (state) {
    case CONNECTING: return host_request("GET", bench_server_url(scene.deaf, "/size/1", url, sizeof url));
    case SHAKING: return host_request("GET", bench_scripted_url(scene.mute, "/", url, sizeof url));
    case SENDING: {
        struct quoit_request *request = host_request("POST", bench_scripted_url(scene.full, "/", url, sizeof url));
        assert_int_equal(quoit_request_set_body(request, large, sizeof large, note_return, NULL), QUOIT_OK);
        return request;
    }
    case RECEIVING:
        return host_request("GET", bench_server_url(scene.server, "/size/100000?drip=1000&gap_ms=3600000", url,
                                                    sizeof url));
    case PAUSED: {
        struct quoit_request *request =
            host_request("GET", bench_server_url(scene.server, "/size/40000", url, sizeof url));
        assert_int_equal(quoit_request_set_credit(request, 0, 1), QUOIT_OK);
        return request;
    }
    case UPGRADED: return upgrade_request(scene.switching);
    case FLUSHING: return upgrade_request(scene.ending);
    case ASKING:
    case DISCARDING: {
        struct quoit_redirect_options options = {
            .struct_size = sizeof options, .limit = 5, .ask = state == ASKING};
        struct quoit_request *request =
            host_request("GET", bench_scripted_url(scene.redirecting, "/", url, sizeof url));
        assert_int_equal(quoit_request_set_redirects(request, &options), QUOIT_OK);
        return request;
    }
    case ENDED: return host_request("GET", bench_server_url(scene.server, "/size/10", url, sizeof url));
    default: return host_request("GET", bench_server_url(scene.server, "/size/1?silent=1", url, sizeof url));
    }
}

// The peer has the connection, so the handshake has begun.
static void until_taken(unsigned num_before) {
    for (int left_ms = HOST_WAIT_MS; bench_scripted_accepted(scene.mute) == num_before; left_ms--) {
        assert_true(left_ms > 0);
        if (host.engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host.engine) >= 0);
        }
        poll(NULL, 0, 1);
    }
}

static void reach(enum state state) {
    static const uint32_t k_stages[STATES] = {
        [QUEUED] = QUOIT_STAGE_QUEUED,       [CONNECTING] = QUOIT_STAGE_CONNECTING,
        [SENDING] = QUOIT_STAGE_SENDING,     [AWAITING] = QUOIT_STAGE_AWAITING,
        [RECEIVING] = QUOIT_STAGE_RECEIVING, [PAUSED] = QUOIT_STAGE_PAUSED,
        [DISCARDING] = QUOIT_STAGE_RECEIVING, [ASKING] = QUOIT_STAGE_ASKING,
        [UPGRADED] = QUOIT_STAGE_RECEIVING,  [SHAKING] = QUOIT_STAGE_AWAITING,
    };
    if (state == QUEUED) {
        host_submit(&host, BLOCKER, request_for(AWAITING));
        host_until_stage(&host, BLOCKER, QUOIT_STAGE_AWAITING);
    }
    if (state == NEW) {
        return; // submitted by who cancels it, unless that is a signal handler
    }
    unsigned num_taken = bench_scripted_accepted(scene.mute);
    host_submit(&host, VICTIM, request_for(state));
    if (state == SHAKING) {
        until_taken(num_taken);
    }
    if (state == ENDED) {
        host_until(&host, host_is_pending, 0);
    } else if (state == FLUSHING) {
        let_it_flush();
    } else {
        host_until_stage(&host, VICTIM,
                         state == SHAKING && host_route.tls != NULL ? QUOIT_STAGE_CONNECTING : k_stages[state]);
    }
}

// --- who cancels -------------------------------------------------------------------------------------------------------

// No cmocka in it: it runs on any thread.
static void cancel_victim(void) {
    struct host_record *victim = &host.records[VICTIM];
    if (!victim->is_submitted) {
        struct quoit_request *request = host.context;
        victim->is_submitted = quoit_submit(host.engine, host.port, request, VICTIM, &victim->handle) == QUOIT_OK;
    }
    atomic_store(&scene.code, quoit_cancel(host.engine, victim->handle));
}

static void *cancel_main(void *unused) {
    cancel_victim();
    return unused;
}

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    errno = 4242;
    int32_t code = quoit_cancel(host.engine, host.records[VICTIM].handle);
    atomic_store(&scene.code, errno == 4242 ? code : -1);
    errno = saved;
}

static void cancel_at_trigger(struct host *of, const struct quoit_event *event) {
    (void)of;
    if (event->user_data == TRIGGER && event->type == QUOIT_EVENT_HEAD) {
        cancel_victim();
    }
}

static void act(enum actor actor) {
    char url[HOST_URL_MAX];
    pthread_t thread;
    switch (actor) {
    case ANOTHER_THREAD:
        assert_int_equal(pthread_create(&thread, NULL, cancel_main, NULL), 0);
        pthread_join(thread, NULL);
        break;
    case SIGNAL_HANDLER:
        if (!host.records[VICTIM].is_submitted) {
            host_submit(&host, VICTIM, quoit_request_acquire(host.context));
        }
        assert_int_equal(raise(SIGUSR1), 0);
        break;
    case CALLBACK:
    case CALLBACK_OF_TICK:
        host_get(&host, TRIGGER, bench_server_url(scene.other, "/size/10", url, sizeof url));
        host_assert_done(host_wait(&host, TRIGGER), 10);
        break;
    default: cancel_victim(); break;
    }
}

static void cancel_in(enum state state, enum actor actor) {
    bool is_inline = actor == CALLBACK || actor == CALLBACK_OF_TICK;
    bool is_driven = actor == TICKER || actor == CALLBACK_OF_TICK;
    struct quoit_engine_options engine = {.mode = is_driven ? QUOIT_ENGINE_HOST_DRIVEN : QUOIT_ENGINE_THREAD,
                                          .connections_per_origin_max = state == QUEUED ? 1 : 0};
    struct quoit_port_options port = {.mode = is_inline ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD};
    host_start(&host, &engine, &port);
    struct quoit_request *silent = request_for(AWAITING);
    assert_int_equal(quoit_request_freeze(silent), QUOIT_OK);
    host.context = silent;
    host.on_event = is_inline ? cancel_at_trigger : NULL;
    atomic_store(&scene.code, -1);
    atomic_store(&scene.num_returned, 0);
    reach(state);
    act(actor);
    const struct host_record *victim = host_wait(&host, VICTIM);
    if (state == ENDED) {
        assert_int_equal(scene.code, QUOIT_ERR_STALE_HANDLE);
        host_assert_done(victim, 10);
    } else {
        assert_int_equal(scene.code, QUOIT_OK);
        host_assert_failed(victim, QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
        bool has_head = state == RECEIVING || state == PAUSED || state == UPGRADED || state == FLUSHING;
        assert_int_equal(victim->num_heads, has_head);
        if (state != NEW) { // which the loop may have seen meanwhile
            bool is_safe = state == QUEUED || state == CONNECTING || (state == SHAKING && host_route.tls != NULL);
            assert_int_equal(victim->summary.failure.retry_safe, is_safe);
        }
    }
    int32_t again = quoit_cancel(host.engine, victim->handle); // too late, or in the moment before the slot is free
    assert_true(again == QUOIT_OK || again == QUOIT_ERR_STALE_HANDLE);
    quoit_request_release(silent);
    host_stop(&host); // and here: one terminal event each
    assert_int_equal(scene.num_returned, state == SENDING || state == FLUSHING);
}

static void each_state_is_canceled_by_each_kind_of_thread(void **state) {
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    for (int actor = 0; actor < ACTORS; actor++) {
        for (int i = 0; i < STATES; i++) {
            cancel_in(i, actor);
        }
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

// --- a signal at each point of a call ----------------------------------------------------------------------------------

// The calls that a host makes all the time. Each is made as often as it has points, and is interrupted at another one
// each time, by a handler that cancels another request, grants credit to it, and cancels the one that is being submitted.
static struct {
    pthread_t thread;
    volatile sig_atomic_t is_armed;
    volatile sig_atomic_t is_inside; // the handler
    int call;
    volatile sig_atomic_t has_fired; // in the call under way
    volatile sig_atomic_t is_errno_touched;
    int32_t code;
    volatile int32_t own_code;
    struct quoit_handle target;
    struct quoit_handle own; // written by the submit that is interrupted
    char seen[2048];         // "call:point" of each that has been interrupted
} interrupt;

static void cancel_from_handler(int number) {
    (void)number;
    interrupt.is_inside = 1;
    errno = 4242;
    interrupt.code = quoit_cancel(host.engine, interrupt.target);
    (void)quoit_grant(host.engine, interrupt.target, 1);
    interrupt.own_code = interrupt.own.id != 0 ? quoit_cancel(host.engine, interrupt.own) : -1;
    interrupt.is_errno_touched = errno != 4242;
    interrupt.is_inside = 0;
}

static void raise_at_point(const char *name) {
    if (!pthread_equal(pthread_self(), interrupt.thread) || !interrupt.is_armed || interrupt.is_inside) {
        return;
    }
    char place[128];
    snprintf(place, sizeof place, "%d:%s ", interrupt.call, name);
    if (interrupt.has_fired || strstr(interrupt.seen, place) != NULL) {
        return;
    }
    assert_true(strlen(interrupt.seen) + strlen(place) < sizeof interrupt.seen);
    strcat(interrupt.seen, place);
    interrupt.has_fired = 1;
    raise(SIGUSR1);
}

enum call { CALL_SUBMIT, CALL_CANCEL, CALL_GRANT, CALL_STATE, CALL_DRAIN, CALL_ADVANCE, CALL_INFO, CALL_PORT_FD, CALLS };

static uint32_t num_records;

static uint32_t submit_silent(struct quoit_request *silent) {
    host_submit(&host, num_records, quoit_request_acquire(silent));
    return num_records++;
}

static int32_t make_call(enum call call, struct quoit_request *silent, struct quoit_handle other) {
    struct quoit_event events[8];
    struct quoit_engine_info info = {.struct_size = sizeof info};
    struct quoit_request_state state = {.struct_size = sizeof state};
    switch (call) {
    case CALL_SUBMIT: {
        int32_t code = quoit_submit(host.engine, host.port, silent, num_records, &interrupt.own);
        host.records[num_records].handle = interrupt.own;
        host.records[num_records++].is_submitted = code == QUOIT_OK;
        return code;
    }
    case CALL_CANCEL: return quoit_cancel(host.engine, other);
    case CALL_GRANT: return quoit_grant(host.engine, other, 1);
    case CALL_STATE: return quoit_request_state(host.engine, other, &state);
    case CALL_DRAIN: {
        int32_t num = quoit_port_drain(host.port, events, sizeof events[0], 8);
        interrupt.is_armed = 0;
        for (int32_t i = 0; i < num; i++) {
            host_note(&host, &events[i]);
        }
        return num < 0 ? -num : num == 0 ? QUOIT_OK : quoit_port_advance(host.port);
    }
    case CALL_ADVANCE: return quoit_port_advance(host.port);
    case CALL_INFO: return quoit_engine_info(host.engine, &info);
    default: return quoit_port_fd(host.port) >= 0 ? QUOIT_OK : QUOIT_ERR_STALE_HANDLE;
    }
}

// True when the call had a point that was not interrupted before.
static bool interrupt_once(enum call call, struct quoit_request *silent) {
    uint32_t target = submit_silent(silent);
    uint32_t other = submit_silent(silent);
    uint32_t own = num_records;
    if (call == CALL_DRAIN) { // there is something to drain, and so to arm for behind it
        assert_int_equal(quoit_cancel(host.engine, host.records[other].handle), QUOIT_OK);
        host_until(&host, host_is_pending, 1);
    }
    interrupt.target = host.records[target].handle;
    interrupt.own = (struct quoit_handle){0};
    interrupt.code = interrupt.own_code = -1;
    interrupt.call = (int)call;
    interrupt.has_fired = 0;
    interrupt.is_armed = 1;
    int32_t code = make_call(call, silent, host.records[other].handle);
    interrupt.is_armed = 0;
    assert_int_equal(code, QUOIT_OK);
    if (interrupt.has_fired) {
        assert_int_equal(interrupt.code, QUOIT_OK);
        assert_false(interrupt.is_errno_touched);
        host_assert_failed(host_wait(&host, target), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    } else {
        assert_int_equal(quoit_cancel(host.engine, host.records[target].handle), QUOIT_OK);
    }
    if (call == CALL_SUBMIT && interrupt.own_code != QUOIT_OK) {
        assert_int_equal(quoit_cancel(host.engine, host.records[own].handle), QUOIT_OK);
    }
    if (call != CALL_CANCEL && call != CALL_DRAIN) {
        assert_int_equal(quoit_cancel(host.engine, host.records[other].handle), QUOIT_OK);
    }
    host_wait_all(&host, num_records);
    return interrupt.has_fired;
}

static void a_signal_may_come_at_each_point_of_a_call_and_cancel(void **state) {
    static const char *const k_points[] = {
        "pending.enter.before_cas",     "pending.enter_requests.before_cas", "pending.leave.before_sub",
        "pending.leave.after_sub",      "evring.reserve.before_cas",         "slotfree.",
        "core.submit.before_push",      "mpsc.push.before_cas",              "mpsc.push.after_cas",
        "slotword.pin_cancel.before_cas", "slotword.grant.before_cas",       "evring.arm.before_cas",
    };
    struct sigaction action = {.sa_handler = cancel_from_handler};
    struct sigaction before;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    host_start(&host, NULL, NULL);
    struct quoit_request *silent = request_for(AWAITING);
    assert_int_equal(quoit_request_freeze(silent), QUOIT_OK);
    interrupt.thread = pthread_self();
    interrupt.seen[0] = '\0';
    num_records = 0;
    q_hook_set(raise_at_point);
    for (int call = 0; call < CALLS; call++) {
        while (interrupt_once(call, silent)) {
        }
    }
    q_hook_set(NULL);
    for (size_t i = 0; i < sizeof k_points / sizeof k_points[0]; i++) {
        if (strstr(interrupt.seen, k_points[i]) == NULL) {
            fail_msg("no signal came at %s, only at %s", k_points[i], interrupt.seen);
        }
    }
    quoit_request_release(silent);
    host_stop(&host);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

// --- signals at any instruction ----------------------------------------------------------------------------------------

enum {
    NUM_SIGNALS = LIFE_SANITIZED ? 300 : 3000,
    IN_FLIGHT = 16,
    SUBMITS_MAX = 1 << 16,
};

static struct {
    pthread_t thread;
    struct quoit_engine engine;
    _Atomic uint64_t latest; // handle
    _Atomic unsigned num_handled;
    _Atomic bool is_over;
    uint8_t num_ends[SUBMITS_MAX];
} rain;

static void cancel_latest(int number) {
    (void)number;
    int saved = errno;
    (void)quoit_cancel(rain.engine, (struct quoit_handle){.id = atomic_load(&rain.latest)});
    atomic_fetch_add(&rain.num_handled, 1);
    errno = saved;
}

static void *rain_main(void *unused) {
    for (unsigned i = 0; i < NUM_SIGNALS; i++) {
        pthread_kill(rain.thread, SIGUSR1);
        while (atomic_load(&rain.num_handled) == i) {
            sched_yield();
        }
    }
    atomic_store(&rain.is_over, true);
    return unused;
}

static uint32_t take_ends(struct quoit_port port, int32_t timeout_ms) {
    struct quoit_event events[IN_FLIGHT];
    uint32_t num_ends = 0;
    int32_t num = quoit_port_wait(port, events, sizeof events[0], IN_FLIGHT, timeout_ms);
    assert_true(num >= 0);
    for (int32_t i = 0; i < num; i++) {
        if (events[i].type == QUOIT_EVENT_DONE || events[i].type == QUOIT_EVENT_FAILED) {
            assert_int_equal(rain.num_ends[events[i].user_data]++, 0);
            num_ends++;
        }
    }
    assert_int_equal(quoit_port_advance(port), QUOIT_OK);
    return num_ends;
}

static void signals_at_any_moment_cancel_and_nothing_is_lost(void **state) {
    struct sigaction action = {.sa_handler = cancel_latest, .sa_flags = SA_RESTART};
    struct sigaction before;
    struct quoit_port port;
    char url[HOST_URL_MAX];
    pthread_t thread;
    (void)state;
    memset(&rain, 0, sizeof rain);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    struct quoit_engine_options options = {.struct_size = sizeof options, .tls = host_route.tls};
    assert_int_equal(life_open(&options, &rain.engine, &port), 0);
    struct quoit_request *request =
        host_request("GET", bench_server_url(scene.server, "/size/300", url, sizeof url));
    assert_int_equal(quoit_request_freeze(request), QUOIT_OK);
    rain.thread = pthread_self();
    uint32_t num_submitted = 0;
    uint32_t num_ended = 0;
    assert_int_equal(pthread_create(&thread, NULL, rain_main, NULL), 0);
    while (!atomic_load(&rain.is_over)) {
        while (num_submitted - num_ended < IN_FLIGHT && num_submitted < SUBMITS_MAX) {
            struct quoit_handle handle;
            assert_int_equal(quoit_submit(rain.engine, port, request, num_submitted++, &handle), QUOIT_OK);
            atomic_store(&rain.latest, handle.id);
            (void)quoit_cancel(rain.engine, (struct quoit_handle){.id = handle.id ^ (num_submitted % 4 == 0 ? 0 : 1)});
        }
        num_ended += take_ends(port, 0);
    }
    pthread_join(thread, NULL);
    while (num_ended < num_submitted) {
        uint32_t num = take_ends(port, HOST_WAIT_MS);
        num_ended += num;
    }
    quoit_request_release(request);
    assert_int_equal(life_shut(rain.engine, port), 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_is_canceled_by_each_kind_of_thread),
        cmocka_unit_test(a_signal_may_come_at_each_point_of_a_call_and_cancel),
        cmocka_unit_test(signals_at_any_moment_cancel_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

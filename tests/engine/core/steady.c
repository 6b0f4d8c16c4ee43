#include "tests/engine/core/steady.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/quoit.h"
#include "bench/server/cert.h"
#include "bench/server/server.h"
#include "engine/base/check.h"
#include "engine/core/engine.h"
#include "tests/engine/core/counts.h"

enum {
    WAIT_MS = 60000,
    ROUNDS_MAX = 10,
    PRODUCERS_MAX = 4,
    DRAIN_MAX = 64,
    URL_MAX = 256,
    CAPACITY = 16384, // what was advanced over has room again from the loop's next tick on
    TIMERS_MAX = 100, // entries of a round that are no request's: the loop's own timers
    COPY_MAX = 8191, // less than half a receive buffer: what is copied for a port's host, and nothing longer
    RECORD_OVERHEAD = 5 + 1 + 16, // of TLS 1.3: header, kind, tag
    GATHERED_MAX = 4096,              // of a head and the beginning of a body, into one record
    BESIDE_MAX = 640, // bytes that a request has copied beside its body and its events: its head, its key, in pieces
};

struct run;

// struct producer keeps its share of the connections busy: each request that ends is followed by the next.
struct producer {
    struct run *run;
    struct quoit_port port;
    uint64_t goal; // of all rounds so far
    uint64_t num_submitted; // or about to be, by the thread that takes the events
    _Atomic uint64_t num_ended;
    uint64_t num_events;
    uint64_t num_bytes;
    uint64_t num_calls; // into the engine, but submits
    uint64_t num_advances;
    _Atomic bool is_closed;
};

struct run {
    const struct steady_scenario *scenario;
    struct quoit_engine engine;
    struct quoit_request *request;
    struct producer producers[PRODUCERS_MAX];
    _Atomic uint64_t num_wrong; // events that should not have come, and submits that were refused
    pthread_mutex_t lock;
    pthread_cond_t noted;
    // What the last round came to.
    struct counts counts;
    uint64_t num_ticks;
    uint64_t num_enters;
    uint64_t num_events;
    uint64_t num_bytes;
    uint64_t num_calls;
    uint64_t num_advances;
    uint64_t num_opened; // connections, in it
    uint64_t num_held;   // blocks, before the engine was made
};

// --- the load ------------------------------------------------------------------------------------------------------

static void submit(struct producer *producer) {
    struct run *run = producer->run;
    if (quoit_submit(run->engine, producer->port, run->request, 0, NULL) != QUOIT_OK) {
        atomic_fetch_add(&run->num_wrong, 1);
    }
}

static void tell(struct run *run) {
    pthread_mutex_lock(&run->lock);
    pthread_cond_broadcast(&run->noted);
    pthread_mutex_unlock(&run->lock);
}

static void take_event(struct producer *producer, const struct quoit_event *event) {
    producer->num_events++;
    switch (event->type) {
    case QUOIT_EVENT_DATA: producer->num_bytes += event->u.data.len; break;
    case QUOIT_EVENT_DONE:
        if (producer->num_submitted < producer->goal) {
            producer->num_submitted++;
            submit(producer);
        }
        if (atomic_fetch_add(&producer->num_ended, 1) + 1 == producer->goal) {
            tell(producer->run);
        }
        break;
    case QUOIT_EVENT_FAILED: atomic_fetch_add(&producer->run->num_wrong, 1); break;
    case QUOIT_EVENT_CLOSED:
        atomic_store(&producer->is_closed, true);
        tell(producer->run);
        break;
    default: break;
    }
}

static void on_event(void *context, const struct quoit_event *event) {
    take_event(context, event);
}

static bool is_over(struct producer *producer, bool is_for_close) {
    return is_for_close ? atomic_load(&producer->is_closed) : atomic_load(&producer->num_ended) >= producer->goal;
}

static void give_up(struct producer *producer) {
    fail_msg("%llu of %llu ended, %llu wrong", (unsigned long long)producer->num_ended,
             (unsigned long long)producer->goal, (unsigned long long)producer->run->num_wrong);
}

static void wait_inline(struct producer *producer, bool is_for_close) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&producer->run->lock);
    while (!is_over(producer, is_for_close)) {
        if (pthread_cond_timedwait(&producer->run->noted, &producer->run->lock, &end) != 0) {
            give_up(producer);
        }
    }
    pthread_mutex_unlock(&producer->run->lock);
}

static void wait_draining(struct producer *producer, bool is_for_close) {
    struct quoit_event events[DRAIN_MAX];
    while (!is_over(producer, is_for_close)) {
        int32_t count = quoit_port_wait(producer->port, events, sizeof events[0], DRAIN_MAX, WAIT_MS);
        if (count <= 0) {
            give_up(producer);
        }
        // Released first: what these events held is there for the requests that they are followed by.
        int32_t code = quoit_port_advance(producer->port);
        atomic_fetch_add(&producer->run->num_wrong, code != QUOIT_OK);
        producer->num_calls += 2;
        producer->num_advances++;
        for (int32_t i = 0; i < count; i++) {
            take_event(producer, &events[i]);
        }
    }
}

static int32_t tick(struct producer *producer) {
    producer->num_calls++;
    return quoit_engine_tick(producer->run->engine);
}

static void wait_ticking(struct producer *producer, bool is_for_close) {
    struct pollfd wait = {.fd = quoit_engine_fd(producer->run->engine), .events = POLLIN};
    producer->num_calls++;
    while (!is_over(producer, is_for_close)) {
        int32_t more = tick(producer);
        if (more < 0 || (more == 0 && !is_over(producer, is_for_close) && poll(&wait, 1, WAIT_MS) <= 0)) {
            give_up(producer);
        }
    }
    while (tick(producer) > 0) { // what follows the last event: slots, the queue, connections
    }
}

static void wait_until_over(struct producer *producer, bool is_for_close) {
    const struct steady_scenario *scenario = producer->run->scenario;
    (scenario->engine_mode == QUOIT_ENGINE_HOST_DRIVEN ? wait_ticking
     : scenario->port_mode == QUOIT_PORT_INLINE        ? wait_inline
                                                       : wait_draining)(producer, is_for_close);
}

static void *play_share(void *context) {
    struct producer *producer = context;
    const struct steady_scenario *scenario = producer->run->scenario;
    uint64_t num_first = scenario->num_connections / scenario->num_producers;
    uint64_t num_left = producer->goal - producer->num_submitted;
    num_first = num_first < num_left ? num_first : num_left;
    producer->num_submitted += num_first; // before the first of them: from then on, inline, it is the loop's
    counts_host_begin();
    for (uint64_t i = 0; i < num_first; i++) {
        submit(producer);
    }
    wait_until_over(producer, false);
    counts_host_end();
    return NULL;
}

static void play(struct run *run, uint32_t num_requests) {
    pthread_t threads[PRODUCERS_MAX];
    uint32_t num = run->scenario->num_producers;
    for (uint32_t i = 0; i < num; i++) {
        struct producer *producer = &run->producers[i];
        producer->goal += num_requests / num;
        producer->num_events = 0;
        producer->num_bytes = 0;
        producer->num_calls = 0;
        producer->num_advances = 0;
        if (num == 1) {
            play_share(producer); // an engine without a thread has its tick here
        } else {
            assert_int_equal(pthread_create(&threads[i], NULL, play_share, producer), 0);
        }
    }
    for (uint32_t i = 0; num > 1 && i < num; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(run->num_wrong, 0);
}

// --- a run ---------------------------------------------------------------------------------------------------------

// Counters are a tick behind; when nothing is pending and nothing changes between two looks, they have come to rest.
static struct quoit_engine_info info_at_rest(const struct run *run) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    uint64_t num_ended = 0;
    uint64_t ticks;
    for (uint32_t i = 0; i < run->scenario->num_producers; i++) {
        num_ended += run->producers[i].num_ended;
    }
    do {
        assert_int_equal(quoit_engine_info(run->engine, &info), QUOIT_OK);
        ticks = info.ticks;
        sched_yield();
        assert_int_equal(quoit_engine_info(run->engine, &info), QUOIT_OK);
    } while (info.requests_pending > 0 || info.ticks != ticks || info.requests_done < num_ended);
    return info;
}

static struct quoit_tls *trusting(const char *authority) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, authority, strlen(authority)), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static void start(struct run *run, const struct steady_scenario *scenario, const struct bench_server *server,
                  const struct quoit_tls *tls) {
    static char body[STEADY_MIB];
    char url[URL_MAX];
    *run = (struct run){.scenario = scenario, .num_held = counts_held()};
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->noted, NULL);
    bench_server_url(server, scenario->path, url, sizeof url);
    assert_int_equal(quoit_request_new(scenario->sent_len > 0 ? "POST" : "GET", url, &run->request), QUOIT_OK);
    if (scenario->sent_len > 0) {
        assert_int_equal(quoit_request_set_body(run->request, body, scenario->sent_len, NULL, NULL), QUOIT_OK);
    }
    assert_int_equal(quoit_request_freeze(run->request), QUOIT_OK); // before producers share it
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .mode = scenario->engine_mode,
                                           .allocator = counts_allocator(),
                                           .tls = tls,
                                           .connections_per_origin_max = scenario->num_connections};
    struct q_engine_seams seams = {.sys = counts_sys(), .clock = counts_clock()};
    assert_int_equal(q_engine_create(&options, &seams, &run->engine).code, 0);
    for (uint32_t i = 0; i < scenario->num_producers; i++) {
        struct producer *producer = &run->producers[i];
        struct quoit_port_options port = {.struct_size = sizeof port,
                                          .mode = scenario->port_mode,
                                          .on_event = on_event,
                                          .context = producer,
                                          .capacity = CAPACITY};
        producer->run = run;
        assert_int_equal(quoit_port_create(run->engine, &port, &producer->port), QUOIT_OK);
    }
}

static void stop(struct run *run) {
    quoit_request_release(run->request);
    assert_int_equal(quoit_engine_close(run->engine, 0), QUOIT_OK);
    for (uint32_t i = 0; i < run->scenario->num_producers; i++) {
        wait_until_over(&run->producers[i], true);
    }
    assert_int_equal(quoit_engine_destroy(run->engine), QUOIT_OK);
    assert_int_equal(counts_held(), run->num_held);
}

static uint64_t num_allocations(const struct counts *counts) {
    return counts->of[COUNTS_LOOP].allocations + counts->of[COUNTS_HOST].allocations;
}

// The TLS library has a block for each record, which it asks for and gives back.
static uint64_t allocations_max(const struct run *run) {
    return (uint64_t)2 * run->scenario->num_records * run->scenario->num_requests;
}

static void count_one_round(struct run *run) {
    struct quoit_engine_info before = info_at_rest(run);
    counts_begin();
    play(run, run->scenario->num_requests);
    struct quoit_engine_info after = info_at_rest(run);
    counts_end(&run->counts);
    assert_int_equal(after.requests_done - before.requests_done, run->scenario->num_requests);
    run->num_opened = after.connections_opened - before.connections_opened;
    run->num_ticks = after.ticks - before.ticks;
    run->num_enters = after.enters - before.enters;
    run->num_events = run->num_bytes = run->num_calls = run->num_advances = 0;
    for (uint32_t i = 0; i < run->scenario->num_producers; i++) {
        run->num_events += run->producers[i].num_events;
        run->num_bytes += run->producers[i].num_bytes;
        run->num_calls += run->producers[i].num_calls;
        run->num_advances += run->producers[i].num_advances;
    }
    assert_int_equal(run->num_bytes, run->scenario->num_requests * run->scenario->body_len);
}

// --- the bars ------------------------------------------------------------------------------------------------------

// struct sheet adds up what has been accounted for, so that nothing else can hide.
struct sheet {
    const struct run *run;
    uint64_t num_listed;
};

static void exactly(struct sheet *sheet, unsigned role, const char *function, uint64_t wanted) {
    uint64_t got = counts_rmw(&sheet->run->counts, role, function);
    if (got != wanted) {
        fail_msg("%s: %llu atomics and not %llu", function, (unsigned long long)got, (unsigned long long)wanted);
    }
    sheet->num_listed += got;
}

static uint64_t at_most(struct sheet *sheet, unsigned role, const char *function, uint64_t bar) {
    uint64_t got = counts_rmw(&sheet->run->counts, role, function);
    if (got > bar) {
        fail_msg("%s: %llu atomics, over %llu", function, (unsigned long long)got, (unsigned long long)bar);
    }
    sheet->num_listed += got;
    return got;
}

static uint64_t calls(const struct run *run, unsigned role, enum counts_call call) {
    return run->counts.of[role].calls[call];
}

static uint64_t calls_of_all(const struct run *run, enum counts_call call) {
    return calls(run, COUNTS_LOOP, call) + calls(run, COUNTS_HOST, call);
}

static bool is_inline(const struct run *run) {
    return run->scenario->port_mode == QUOIT_PORT_INLINE;
}

// What a request costs: six for its submit, six for its start and its end.
static void hold_atomics_of_requests(struct sheet *sheet) {
    uint64_t num = sheet->run->scenario->num_requests;
    // Inline, the loop's callbacks submit; at a port its host does, and nobody else.
    unsigned submitter = is_inline(sheet->run) ? COUNTS_ROLES : COUNTS_HOST;
    exactly(sheet, submitter, "q_pending_enter_requests", num);
    exactly(sheet, submitter, "q_evring_reserve", num);
    // A slot that was never used yet is taken from another word.
    uint64_t num_fresh = at_most(sheet, submitter, "take_fresh", num);
    exactly(sheet, submitter, "q_slotfree_take", num - num_fresh);
    exactly(sheet, COUNTS_ROLES, "q_spec_acquire", 2 * num); // the submit's hold and the exchange's
    exactly(sheet, COUNTS_LOOP, "let_go", 2 * num);
    exactly(sheet, COUNTS_LOOP, "q_slotword_try_retire", num);
    exactly(sheet, COUNTS_LOOP, "q_slotfree_give", num);
    exactly(sheet, COUNTS_LOOP, "q_pending_end_requests", num);
}

// What a tick, an event or a call costs, whatever it is about.
static void hold_atomics_of_ticks(struct sheet *sheet) {
    const struct run *run = sheet->run;
    uint64_t num = run->scenario->num_requests;
    uint64_t ticks_and_ports = run->num_ticks * run->scenario->num_producers;
    at_most(sheet, COUNTS_LOOP, "q_mpsc_drain", run->num_ticks);
    uint64_t num_parks = at_most(sheet, COUNTS_LOOP, "q_mpsc_park", run->num_ticks + 1);
    at_most(sheet, COUNTS_LOOP, "q_evring_publish", ticks_and_ports);
    at_most(sheet, COUNTS_LOOP, "q_evring_unreserve", ticks_and_ports);
    uint64_t num_wanted = at_most(sheet, COUNTS_LOOP, "q_evring_want_wake", ticks_and_ports);
    uint64_t num_pushed = at_most(sheet, is_inline(run) ? COUNTS_ROLES : COUNTS_HOST, "q_mpsc_push", num + num_wanted);
    assert_true(num_pushed >= num);
    exactly(sheet, COUNTS_ROLES, "q_evring_advance", is_inline(run) ? run->num_events : run->num_advances);
    exactly(sheet, COUNTS_ROLES, "q_pending_enter", run->num_calls);
    exactly(sheet, COUNTS_ROLES, "come_in", is_inline(run) ? 0 : run->num_calls); // to the draining side
    exactly(sheet, COUNTS_ROLES, "q_pending_leave", run->num_calls + num);
    // A sleeper is woken once: by one count, one ring and one system call.
    uint64_t num_wakes = at_most(sheet, COUNTS_ROLES, "q_engine_push", num_parks + 1);
    exactly(sheet, COUNTS_ROLES, "q_doorbell_ring", num_wakes);
    assert_int_equal(calls_of_all(run, COUNTS_FUTEX_WAKE) + calls_of_all(run, COUNTS_EVENTFD_SIGNAL), num_wakes);
    // A drain arms once, and a wait drains once more for each time that it polled.
    uint64_t num_drains = run->num_advances + calls(run, COUNTS_HOST, COUNTS_POLL);
    at_most(sheet, COUNTS_HOST, "q_evring_arm", is_inline(run) ? 0 : num_drains);
}

static void hold_atomics(const struct run *run) {
    struct sheet sheet = {.run = run};
    hold_atomics_of_requests(&sheet);
    hold_atomics_of_ticks(&sheet);
    if (counts_rmw(&run->counts, COUNTS_ROLES, NULL) != sheet.num_listed) {
        fail_msg("%llu atomics in places that are not listed here",
                 (unsigned long long)(counts_rmw(&run->counts, COUNTS_ROLES, NULL) - sheet.num_listed));
    }
}

static void hold_system_calls(const struct run *run) {
    const struct steady_scenario *scenario = run->scenario;
    bool is_driven = scenario->engine_mode == QUOIT_ENGINE_HOST_DRIVEN;
    uint64_t num_enters = calls_of_all(run, COUNTS_ENTER);
    // The last look at the counters may come between a tick and its entry.
    assert_true(num_enters <= (is_driven ? 2 : 1) * (run->num_ticks + 1));
    // With kernel 6.18 the flag for pending work can stay up although none is: then the loop looks once, and sleeps.
    uint64_t num_looks = calls_of_all(run, COUNTS_LOOK);
    uint64_t most = (uint64_t)scenario->num_requests * scenario->entries_max + TIMERS_MAX * 10;
    assert_true((num_enters - num_looks) * 10 <= most);
    assert_true(num_looks * 10 <= most);
    assert_int_equal(calls(run, COUNTS_HOST, COUNTS_ENTER), 0);
    assert_int_equal(calls_of_all(run, COUNTS_OTHER), 0);
    assert_int_equal(calls(run, COUNTS_LOOP, COUNTS_POLL), 0);
    assert_int_equal(calls(run, COUNTS_LOOP, COUNTS_EVENTFD_CLEAR), 0);
    if (is_driven) { // each tick clears the eventfd before it is the loop; the polls are the test's own
        assert_int_equal(calls(run, COUNTS_HOST, COUNTS_EVENTFD_CLEAR), run->num_ticks);
        assert_int_equal(calls_of_all(run, COUNTS_FUTEX_WAKE), 0);
        return;
    }
    assert_int_equal(calls_of_all(run, COUNTS_EVENTFD_SIGNAL), 0); // hosts are signalled through the ring
    // At a port a wait polls and reads once; once more when it comes between the publishing and its signal.
    uint64_t num_polls = calls(run, COUNTS_HOST, COUNTS_POLL);
    assert_true(num_polls <= 2 * run->num_advances);
    assert_true(calls(run, COUNTS_HOST, COUNTS_EVENTFD_CLEAR) <= run->num_advances + num_polls);
    assert_int_equal(calls(run, COUNTS_LOOP, COUNTS_FUTEX_WAKE), 0); // it does not wake itself
}

// Ciphertext is copied once, between the chunks that the kernel sees and the library, and is as long as what is in it and
// its records.
static uint64_t hold_copies_of_ciphertext(const struct run *run) {
    const struct steady_scenario *scenario = run->scenario;
    uint64_t num_copied = counts_copied(&run->counts, COUNTS_LOOP, "pipe_read") + counts_copied(&run->counts, COUNTS_LOOP, "put");
    uint64_t most = scenario->body_len + scenario->sent_len + BESIDE_MAX + (uint64_t)scenario->num_records * RECORD_OVERHEAD;
    assert_true(num_copied <= (scenario->num_records > 0 ? scenario->num_requests * most : 0));
    uint64_t num_gathered = counts_copied(&run->counts, COUNTS_LOOP, "next_plain");
    assert_true(num_gathered <= (scenario->sent_len > 0 ? (uint64_t)scenario->num_requests * GATHERED_MAX : 0));
    return num_copied + num_gathered;
}

static void hold_copies(const struct run *run) {
    const struct counts *counts = &run->counts;
    uint64_t num_sealed = hold_copies_of_ciphertext(run);
    uint64_t num_copied =
        counts_copied(counts, COUNTS_ROLES, "keep_copy") + counts_copied(counts, COUNTS_ROLES, "keep_inline");
    uint64_t num_of_events = counts_copied(counts, COUNTS_ROLES, "copy_event");
    uint64_t num_beside = counts_copied(counts, COUNTS_ROLES, NULL) - num_copied - num_of_events - num_sealed;
    switch (run->scenario->copies) {
    case STEADY_COPIES_NONE: assert_int_equal(num_copied, 0); break;
    case STEADY_COPIES_ALL: assert_int_equal(num_copied, run->num_bytes); break;
    case STEADY_COPIES_SMALL:
        assert_true(counts_copy_most(counts, "keep_copy") <= COPY_MAX);
        assert_true(num_copied <= run->num_bytes / 2);
        break;
    }
    assert_int_equal(num_of_events, is_inline(run) ? 0 : run->num_events * sizeof(struct quoit_event));
    if (num_beside > (uint64_t)run->scenario->num_requests * BESIDE_MAX) { // so no body is copied anywhere else either
        fail_msg("%llu bytes copied beside bodies and events", (unsigned long long)num_beside);
    }
}

static void hold(const struct run *run) {
    uint64_t num = num_allocations(&run->counts);
    if (num > allocations_max(run)) {
        fail_msg("%llu allocations, over %llu", (unsigned long long)num, (unsigned long long)allocations_max(run));
    }
    assert_int_equal(run->num_opened, 0);
    hold_system_calls(run);
    hold_copies(run);
    hold_atomics(run);
}

static struct bench_server *start_server(const struct steady_scenario *scenario, struct quoit_tls **out_tls) {
    struct bench_cert cert = {0};
    struct bench_server_options options = {0};
    *out_tls = NULL;
    if (scenario->num_records > 0) {
        assert_true(bench_cert_make(&cert));
        *out_tls = trusting(cert.authority);
        options = (struct bench_server_options){.tls_cert = cert.cert, .tls_key = cert.key, .tls_version = QUOIT_TLS_1_3};
    }
    struct bench_server *server = bench_server_start(&options);
    assert_non_null(server);
    bench_cert_free(&cert);
    return server;
}

static void play_scenario(const struct steady_scenario *scenario) {
    static struct run run;
    struct quoit_tls *tls;
    struct bench_server *server = start_server(scenario, &tls);
    start(&run, scenario, server, tls);
    play(&run, scenario->num_requests);
    // Pools may still grow to the most that was ever needed at once, of memory and of connections; then there is a
    // whole round that needs nothing new.
    int num_rounds = 0;
    do {
        count_one_round(&run);
        num_rounds++;
    } while ((num_allocations(&run.counts) > allocations_max(&run) || run.num_opened > 0) && num_rounds < ROUNDS_MAX);
    print_message("%s%s, %u connections, %u producers: %u requests, %llu ticks, %llu events\n",
                  scenario->num_records > 0 ? "TLS, " : "", scenario->path, scenario->num_connections, scenario->num_producers,
                  scenario->num_requests, (unsigned long long)run.num_ticks, (unsigned long long)run.num_events);
    counts_print(&run.counts);
    hold(&run);
    stop(&run);
    bench_server_stop(server);
    quoit_tls_release(tls);
}

void steady_play(const struct steady_scenario *scenarios, size_t num) {
    for (size_t i = 0; i < num; i++) {
        play_scenario(&scenarios[i]);
    }
}

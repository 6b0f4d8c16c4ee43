// Races, scripted: what the host, the clock or the server does in the middle of a request is done at each of the moments
// there are. A run of the engine on the simulated kernel is a row of steps (a tick; what is due in the world); the act
// comes behind the first, the second, ... step of one and the same run, until the request is over before it. So "in one
// tick" is one of the moments, and each test demands that it was met. One terminal event always, and nothing is left.
#define _GNU_SOURCE
#include "api/quoit.h"
#include "engine/core/engine.h"
#include "tests/sim/route.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simhttp.h"
#include "tests/support/simkernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    STEPS_MAX = 100,   // of one request: it takes a dozen
    TICKS_MAX = 10000,
    TOTAL_MS = 100,
};

#define SOON_NS (20 * Q_NS_PER_MS)

struct stand {
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct q_simhttp *server;
    void *front; // what sim_route has put before it
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle; // of the request under way
    uint64_t heads_at_server;
    unsigned num_heads;
    unsigned num_ends;
    unsigned num_closed;
    struct quoit_summary summary;
    uint32_t act_at; // event type at which `act` is called, from inside the callback
    void (*act)(struct stand *stand);
    int32_t act_code;
};

static void on_server_request(void *context, uint64_t tag, const char *method) {
    (void)tag;
    (void)method;
    ((struct stand *)context)->heads_at_server++;
}

static void on_event(void *context, const struct quoit_event *event) {
    struct stand *stand = context;
    assert_int_equal(stand->num_closed, 0); // nothing comes behind CLOSED
    bool is_end = event->type == QUOIT_EVENT_DONE || event->type == QUOIT_EVENT_FAILED;
    if (event->type == QUOIT_EVENT_CLOSED) {
        stand->num_closed++;
    } else {
        assert_int_equal(stand->num_ends, 0); // and nothing behind the end
        stand->num_heads += event->type == QUOIT_EVENT_HEAD;
    }
    if (is_end) {
        stand->num_ends++;
        stand->summary = event->u.summary;
    }
    if (stand->act != NULL && event->type == stand->act_at) {
        stand->act(stand);
    }
}

static struct stand *stand_new(void) {
    struct stand *stand = calloc(1, sizeof *stand);
    stand->sim = q_sim_new(&(struct q_sim_options){0});
    stand->ledger = q_ledger_new(q_sim_sys(stand->sim));
    stand->failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(stand->failalloc);
    stand->allocator = (struct quoit_allocator){alloc->allocate, alloc->release, alloc->context};
    struct q_simhttp_options server = {.on_request = on_server_request, .context = stand};
    sim_route_begin(0);
    stand->front = sim_route_open(stand->sim, false, &server);
    stand->server = q_simhttp_new(stand->sim, "127.0.0.1", 80, &server);
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .mode = QUOIT_ENGINE_HOST_DRIVEN,
                                           .requests_max = 8,
                                           .connections_max = 8,
                                           .allocator = &stand->allocator,
                                           .hosts_file = "/nonexistent"};
    struct q_engine_seams seams = {
        .sys = q_ledger_sys(stand->ledger), .clock = q_sim_clock(stand->sim), .has_seed = true, .seed = 1};
    assert_int_equal(q_engine_create(&options, &seams, &stand->engine).code, 0);
    struct quoit_port_options port = {
        .struct_size = sizeof port, .mode = QUOIT_PORT_INLINE, .on_event = on_event, .context = stand};
    assert_int_equal(quoit_port_create(stand->engine, &port, &stand->port), QUOIT_OK);
    return stand;
}

// Ticks until nothing is to be done, and lets the world act, for as long as it takes.
static void settle(struct stand *stand, const unsigned *num) {
    for (unsigned i = 0; *num == 0; i++) {
        assert_true(i < TICKS_MAX);
        int32_t more = quoit_engine_tick(stand->engine);
        assert_true(more >= 0);
        if (more == 0 && *num == 0 && q_sim_eventfd_count(stand->sim, quoit_engine_fd(stand->engine)) == 0) {
            int64_t timeout_ms = quoit_engine_timeout_ms(stand->engine);
            uint64_t until_ns =
                timeout_ms < 0 ? UINT64_MAX : q_sim_now(stand->sim) + (uint64_t)timeout_ms * Q_NS_PER_MS;
            bool has_come = q_sim_step(stand->sim, until_ns);
            assert_true(has_come || until_ns != UINT64_MAX); // else nothing would ever happen again
        }
    }
}

static void stand_free(struct stand *stand) {
    char text[512] = "";
    if (stand->num_closed == 0) {
        assert_int_equal(quoit_engine_close(stand->engine, 0), QUOIT_OK);
        settle(stand, &stand->num_closed);
    }
    assert_int_equal(quoit_engine_destroy(stand->engine), QUOIT_OK);
    while (q_sim_step(stand->sim, q_sim_now(stand->sim) + Q_NS_PER_S)) {
        // FINs arrive
    }
    bool is_clean = q_ledger_check(stand->ledger, text, sizeof text) && q_sim_check(stand->sim, text, sizeof text) &&
                    q_failalloc_check(stand->failalloc, text, sizeof text);
    if (!is_clean) {
        fail_msg("%s", text);
    }
    q_sim_free(stand->sim);
    const char *fault = sim_route_close(stand->front);
    assert_null(fault);
    q_simhttp_free(stand->server);
    q_ledger_free(stand->ledger);
    q_failalloc_free(stand->failalloc);
    free(stand);
}

static void submit(struct stand *stand, const char *method, const char *target, uint64_t total_ms) {
    char url[128];
    snprintf(url, sizeof url, "%s://127.0.0.1:80%s", sim_route_scheme(), target);
    struct quoit_request *request;
    assert_int_equal(quoit_request_new(method, url, &request), QUOIT_OK);
    assert_int_equal(sim_route_set(request), QUOIT_OK);
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds, .total_ms = total_ms};
    assert_int_equal(quoit_request_set_bounds(request, &bounds), QUOIT_OK);
    stand->num_heads = 0;
    stand->num_ends = 0;
    stand->heads_at_server = 0;
    assert_int_equal(quoit_submit(stand->engine, stand->port, request, 1, &stand->handle), QUOIT_OK);
    quoit_request_release(request);
}

// The world and the engine in turn: an even step is a tick, an odd one what the world does next. (Servers think for a
// moment before they answer; else all would happen inside the tick that sends.)
static void run_steps(struct stand *stand, unsigned num) {
    for (unsigned i = 0; i < num && stand->num_ends == 0; i++) {
        if (i % 2 == 0) {
            assert_true(quoit_engine_tick(stand->engine) >= 0);
        } else if (q_sim_next_ns(stand->sim) <= q_sim_now(stand->sim) + SOON_NS) {
            (void)q_sim_step(stand->sim, UINT64_MAX);
        }
    }
}

// The connection that is alive, NULL if none is; there is never more than one but for a moment.
static struct q_sim_conn *connection(struct stand *stand) {
    struct q_sim_conn *conn;
    for (size_t i = 0; (conn = q_sim_conn_at(stand->sim, i)) != NULL; i++) {
        if (q_sim_conn_is_alive(conn)) {
            return conn;
        }
    }
    return NULL;
}

// Whether the response lies at the engine's socket (nothing is on its way any more), and the engine has not been told.
static bool has_answer_waiting(struct stand *stand) {
    struct q_sim_conn *conn = connection(stand);
    return stand->num_ends == 0 && conn != NULL && stand->heads_at_server > 0 && q_sim_conn_unread(conn) > 0 &&
           q_sim_next_ns(stand->sim) > q_sim_now(stand->sim) + SOON_NS;
}

// --- cancel, close, and the clock, against the response ----------------------------------------------------------------

static void cancels(struct stand *stand) { stand->act_code = quoit_cancel(stand->engine, stand->handle); }

static void closes(struct stand *stand) { stand->act_code = quoit_engine_close(stand->engine, 0); }

// Longer than the total timeout. What the world does meanwhile, the engine finds together with its deadline.
static void lets_time_pass(struct stand *stand) {
    uint64_t until_ns = q_sim_now(stand->sim) + (TOTAL_MS + 1) * Q_NS_PER_MS;
    while (q_sim_now(stand->sim) < until_ns) {
        (void)q_sim_step(stand->sim, until_ns);
    }
}

struct race {
    void (*act)(struct stand *stand);
    int32_t code; // with which the request fails, if the act wins
};

// The act behind each step. The row of outcomes is the act's, then the response's; where both come in one tick, the
// kernel's word is heard before the host's and the clock's.
static void race_at_each_step(const struct race *race, bool is_behind_world) {
    unsigned num_lost = 0;
    unsigned num_won = 0;
    unsigned num_together = 0;
    bool is_over = false;
    for (unsigned steps = 0; !is_over; steps++) {
        assert_true(steps < STEPS_MAX);
        struct stand *stand = stand_new();
        submit(stand, "GET", "/size/1000?delay=10", TOTAL_MS);
        run_steps(stand, steps);
        if (is_behind_world) {
            q_sim_run_due(stand->sim);
        }
        is_over = stand->num_ends > 0;
        bool is_together = has_answer_waiting(stand);
        race->act(stand);
        settle(stand, &stand->num_ends);
        int32_t code = stand->summary.failure.code;
        assert_true(code == QUOIT_OK || code == race->code);
        assert_true(!is_together || code == QUOIT_OK);
        assert_true(!is_over || code == QUOIT_OK);
        assert_int_equal(stand->num_heads, code == QUOIT_OK);
        num_together += is_together;
        num_lost += code != QUOIT_OK;
        num_won += code == QUOIT_OK;
        if (race->act == closes) {
            settle(stand, &stand->num_closed);
        }
        stand_free(stand);
    }
    assert_true(num_lost > 0 && num_won > 0);
    assert_true(num_together > 0 || !is_behind_world);
}

static void a_response_and_a_cancel_in_one_tick(void **state) {
    (void)state;
    race_at_each_step(&(struct race){.act = cancels, .code = QUOIT_ERR_CANCELED}, false);
    race_at_each_step(&(struct race){.act = cancels, .code = QUOIT_ERR_CANCELED}, true);
}

static void a_response_and_the_timeout_in_one_tick(void **state) {
    (void)state;
    race_at_each_step(&(struct race){.act = lets_time_pass, .code = QUOIT_ERR_TIMEOUT_TOTAL}, false);
    race_at_each_step(&(struct race){.act = lets_time_pass, .code = QUOIT_ERR_TIMEOUT_TOTAL}, true);
}

static void a_response_and_the_close_of_the_engine_in_one_tick(void **state) {
    (void)state;
    race_at_each_step(&(struct race){.act = closes, .code = QUOIT_ERR_CLOSED}, false);
    race_at_each_step(&(struct race){.act = closes, .code = QUOIT_ERR_CLOSED}, true);
}

// The deadline to the nanosecond: the answer comes just before it, with it, and just behind it.
static void a_response_around_the_deadline_is_one_or_the_other(void **state) {
    static const uint64_t k_delays_ms[] = {TOTAL_MS - 1, TOTAL_MS, TOTAL_MS + 1};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_delays_ms); i++) {
        char target[64];
        struct stand *stand = stand_new();
        snprintf(target, sizeof target, "/size/10?delay=%llu", (unsigned long long)k_delays_ms[i]);
        submit(stand, "GET", target, TOTAL_MS);
        settle(stand, &stand->num_ends);
        int32_t code = stand->summary.failure.code;
        assert_true(i != 0 || code == QUOIT_OK);
        assert_true(code == QUOIT_OK || code == QUOIT_ERR_TIMEOUT_TOTAL);
        assert_true(i != 2 || code == QUOIT_ERR_TIMEOUT_TOTAL);
        stand_free(stand);
    }
}

// All events of a response are published in one step; the host acts inside the first of them, or a later one.
static void acting_inside_each_event_of_a_response(void **state) {
    static const uint32_t k_types[] = {QUOIT_EVENT_INFORMATIONAL, QUOIT_EVENT_HEAD, QUOIT_EVENT_DATA,
                                       QUOIT_EVENT_TRAILERS, QUOIT_EVENT_DONE};
    static const struct race k_races[] = {{.act = cancels, .code = QUOIT_ERR_CANCELED},
                                          {.act = closes, .code = QUOIT_ERR_CLOSED}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_types) * Q_COUNT_OF(k_races); i++) {
        const struct race *race = &k_races[i % 2];
        struct stand *stand = stand_new();
        stand->act_at = k_types[i / 2];
        stand->act = race->act;
        submit(stand, "GET", "/chunked/100?info=1", 0);
        settle(stand, &stand->num_ends);
        assert_true(stand->summary.failure.code == QUOIT_OK || stand->summary.failure.code == race->code);
        assert_true(stand->act_at != QUOIT_EVENT_DONE || stand->summary.failure.code == QUOIT_OK);
        stand->act = NULL;
        if (race->act == closes) {
            settle(stand, &stand->num_closed);
        }
        stand_free(stand);
    }
}

// --- the server closes, as a request takes the idle connection ---------------------------------------------------------

static void fins(struct q_sim_conn *conn) { q_sim_conn_close(conn); }

static void resets(struct q_sim_conn *conn) { q_sim_conn_reset_now(conn); }

static void speaks_and_closes(struct q_sim_conn *conn) {
    static const char k_stray[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    q_sim_conn_send(conn, k_stray, sizeof k_stray - 1);
    q_sim_conn_close(conn);
}

struct ending {
    void (*end)(struct q_sim_conn *conn);
    bool may_answer; // what the server sends is taken for the answer where the request is out already
};

// Which moments a sweep has met.
struct moments {
    unsigned before; // the engine knew of the end when it took a connection
    unsigned under;  // the connection died under the request
    unsigned behind; // the answer was there
};

static bool end_at_step(const struct ending *ending, const char *method, unsigned steps, bool is_behind_world,
                        struct moments *moments) {
    struct stand *stand = stand_new();
    bool is_idempotent = strcmp(method, "GET") == 0;
    submit(stand, "GET", "/size/10", 0);
    settle(stand, &stand->num_ends);
    assert_int_equal(stand->summary.failure.code, QUOIT_OK);
    run_steps(stand, 4); // it lies idle, with its receive armed
    uint32_t first = stand->summary.connection_id;
    struct q_sim_conn *conn = connection(stand);
    assert_non_null(conn);

    submit(stand, method, "/status/204?delay=10", 0);
    run_steps(stand, steps);
    bool is_over = stand->num_ends > 0;
    ending->end(conn);
    if (is_behind_world) {
        q_sim_run_due(stand->sim);
    }
    settle(stand, &stand->num_ends);
    const struct quoit_summary *summary = &stand->summary;
    bool is_done = summary->failure.code == QUOIT_OK;
    assert_true(is_done || (!is_idempotent && summary->failure.code == QUOIT_ERR_MAYBE_PROCESSED) || ending->may_answer);
    assert_true(!is_done || summary->status == 204 || ending->may_answer);
    assert_true(is_done || summary->failure.retry_safe == 0);
    assert_true(stand->heads_at_server <= (is_idempotent ? 2u : 1u)); // what may not be repeated is not
    if (steps == 0 && is_behind_world) { // known before the connection was taken: nobody is any the worse for it
        assert_true(is_done && summary->status == 204);
        assert_int_equal(summary->attempts, 1);
        assert_int_not_equal(summary->connection_id, first);
    }
    moments->before += is_done && summary->attempts == 1 && summary->connection_id != first;
    moments->under += !is_done || summary->attempts > 1;
    moments->behind += is_done && summary->connection_id == first;
    stand_free(stand);
    return is_over;
}

static void a_server_closes_as_a_request_takes_the_idle_connection(void **state) {
    static const struct ending k_endings[] = {{fins, false}, {resets, false}, {speaks_and_closes, true}};
    static const char *const k_methods[] = {"GET", "POST"};
    (void)state;
    for (size_t e = 0; e < Q_COUNT_OF(k_endings); e++) {
        for (size_t m = 0; m < Q_COUNT_OF(k_methods); m++) {
            struct moments moments = {0};
            for (int is_behind_world = 0; is_behind_world < 2; is_behind_world++) {
                unsigned steps = 0;
                while (!end_at_step(&k_endings[e], k_methods[m], steps, is_behind_world, &moments)) {
                    assert_true(++steps < STEPS_MAX);
                }
            }
            assert_true(moments.before > 0 && moments.behind > 0);
            assert_true(moments.under > 0 || k_endings[e].may_answer);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_and_a_cancel_in_one_tick),
        cmocka_unit_test(a_response_and_the_timeout_in_one_tick),
        cmocka_unit_test(a_response_and_the_close_of_the_engine_in_one_tick),
        cmocka_unit_test(a_response_around_the_deadline_is_one_or_the_other),
        cmocka_unit_test(acting_inside_each_event_of_a_response),
        cmocka_unit_test(a_server_closes_as_a_request_takes_the_idle_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

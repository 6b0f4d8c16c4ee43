// The exchange without a socket: a connection and a sink of the test's own, and a pool that opens nothing, so that
// every lease waits until the test answers it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/conn/feed.h"
#include "engine/exchange/exchange.h"

// struct stage is everything around one exchange, and what the exchange did to it.
struct stage {
    struct q_loop loop;
    struct q_log log;
    struct q_hosts hosts;
    struct q_conn_env env;
    struct q_pool pool;
    struct q_conn conn;
    struct q_exchange exchange;
    int num_starts;
    int num_resumes;
    int num_abandons;
    int num_heads;
    int num_ended;
    int num_feeds;
    int num_room_offers;
    bool is_room_wanted;
    bool has_port_room;
    uint64_t fed_left;
    struct q_conn_request sent;
    struct q_exchange_summary summary;
    struct q_watch watch;
    struct q_chunk_budget budget;
    struct q_chunk_pool chunks;
};

static struct stage *stage_of_conn(struct q_conn *conn) {
    return q_container_of(conn, struct stage, conn);
}

static struct stage *stage_of(struct q_exchange *exchange) {
    return q_container_of(exchange, struct stage, exchange);
}

static void conn_start(struct q_conn *conn, struct q_conn_user *user, const struct q_conn_request *request) {
    struct stage *stage = stage_of_conn(conn);
    assert_ptr_equal(user, &stage->exchange.user);
    stage->num_starts++;
    stage->sent = *request;
    request->release(request->release_context, &stage->loop); // as if all was sent at once
}

static void conn_resume(struct q_conn *conn) {
    stage_of_conn(conn)->num_resumes++;
}

static void conn_abandon(struct q_conn *conn, struct q_conn_progress *out_progress) {
    *out_progress = (struct q_conn_progress){.bytes_out = 5};
    stage_of_conn(conn)->num_abandons++;
}

static void conn_feed(struct q_conn *conn, struct q_feed *feed) {
    stage_of_conn(conn)->num_feeds++;
    q_feed_free(feed);
}

static const struct q_conn_vtable k_conn = {
    .start = conn_start, .resume = conn_resume, .feed = conn_feed, .abandon = conn_abandon, .close = NULL};

static void sink_head(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk) {
    (void)out;
    (void)chunk;
    stage_of(exchange)->num_heads++;
}

static void sink_ended(struct q_exchange *exchange, const struct q_exchange_summary *summary) {
    stage_of(exchange)->num_ended++;
    stage_of(exchange)->summary = *summary;
}

static bool sink_fed(struct q_exchange *exchange, uint64_t bytes, uint64_t *out_left) {
    struct stage *stage = stage_of(exchange);
    assert_true(bytes <= stage->fed_left);
    stage->fed_left -= bytes;
    *out_left = stage->fed_left;
    return stage->is_room_wanted;
}

static bool sink_room(struct q_exchange *exchange) {
    struct stage *stage = stage_of(exchange);
    stage->num_room_offers++;
    return stage->has_port_room;
}

static uint64_t sink_stop_feeds(struct q_exchange *exchange) { return stage_of(exchange)->fed_left; }

static const struct q_exchange_sink k_sink = {.head = sink_head,
                                              .fed = sink_fed,
                                              .room = sink_room,
                                              .stop_feeds = sink_stop_feeds,
                                              .ended = sink_ended};

static struct q_spec *spec_of(const char *method, uint64_t total_ms) {
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(q_alloc_libc(), q_slice_of_string(method), Q_SLICE("http://1.2.3.4/"), &spec)));
    assert_false(q_error_is(q_spec_set_bounds(spec, &(struct q_bounds){.total_ns = total_ms * Q_NS_PER_MS})));
    assert_false(q_error_is(q_spec_set_credit(spec, 1000, false)));
    assert_false(q_error_is(q_spec_set_redirects(spec, 2, false)));
    assert_false(q_error_is(q_spec_freeze(spec)));
    return spec;
}

static struct stage *stage_new(void) {
    static const struct q_loop_steps k_steps;
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    q_loop_init(&stage->loop, NULL, q_clock_monotonic(), &stage->log, 1, &k_steps, NULL);
    q_loop_bind(&stage->loop);
    stage->env.loop = &stage->loop;
    stage->budget.limit = 1 << 20;
    q_chunk_pool_init(&stage->chunks, q_alloc_libc(), &stage->budget, 4096, 4);
    stage->env.small_chunks = &stage->chunks;
    struct q_pool_options options = {.connections_max = 1, .waiters_per_origin_max = 10};
    assert_false(q_error_is(q_pool_init(&stage->pool, q_alloc_libc(), &stage->env, &stage->hosts, &options)));
    stage->conn.v = &k_conn;
    return stage;
}

static void stage_start(struct stage *stage, const char *method) {
    q_exchange_start(&stage->exchange, &stage->loop, &stage->pool, &k_sink, &stage->watch,
                     spec_of(method, 1000));
}

// Ends whatever is still going on, so that nothing leaks.
static void stage_free(struct stage *stage) {
    if (stage->exchange.state != Q_X_ENDED && stage->exchange.spec != NULL) {
        q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
    }
    assert_false(q_timer_is_armed(&stage->exchange.deadline));
    assert_null(stage->exchange.lease.origin);
    q_loop_say_farewells(&stage->loop);
    q_pool_deinit(&stage->pool);
    q_loop_say_farewells(&stage->loop);
    q_chunk_pool_deinit(&stage->chunks);
    free(stage);
}

// The pool's answers and the connection's words, as those floors give them.
static void answer_leased(struct stage *stage) {
    struct q_lease *lease = &stage->exchange.lease;
    q_pool_cancel(&stage->pool, lease);
    lease->events->on_leased(lease, &stage->conn);
}

static void answer_failed(struct stage *stage, struct q_error error) {
    struct q_lease *lease = &stage->exchange.lease;
    q_pool_cancel(&stage->pool, lease);
    lease->events->on_failed(lease, error);
}

static void tell_head(struct stage *stage) {
    struct q_h1_out out = {.status = 200};
    stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL);
}

static void tell_upgrade(struct stage *stage) {
    struct q_h1_out out = {.status = 101, .body = Q_H1_BODY_TUNNEL};
    stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL);
}

static void tell_peer_end(struct stage *stage) { stage->exchange.user.events->on_peer_end(&stage->exchange.user); }

static void tell_redirect(struct stage *stage, const char *location) {
    _Alignas(8) char memory[512];
    struct q_headers_builder builder;
    q_headers_builder_init(&builder, memory, sizeof memory, NULL);
    assert_false(q_error_is(q_headers_builder_add(&builder, Q_SLICE("Location"), q_slice_of_string(location))));
    struct q_h1_out out = {.status = 302, .headers = q_headers_builder_freeze(&builder)};
    stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL);
}

static void tell_end(struct stage *stage) {
    struct q_conn_progress progress = {.bytes_in = 100, .bytes_out = 10, .connection_id = 3};
    stage->exchange.user.events->on_end(&stage->exchange.user, &progress);
}

static void tell_failed(struct stage *stage, struct q_error error, bool is_reused, bool has_begun) {
    struct q_conn_progress progress = {
        .bytes_in = 7, .bytes_out = 5, .connection_id = 9, .is_reused = is_reused, .has_response_begun = has_begun};
    stage->exchange.user.events->on_failed(&stage->exchange.user, error, &progress);
}

// --- the table
// --------------------------------------------------------------------------------------------------------

// What exchange.h says about the life of an exchange, written down a second time. -1: may not happen.
// A cell that is not written is 0, which is Q_X_NEW, and nothing leads there.
static const int k_next[Q_X_STATES][Q_X_EVENTS] = {
    [Q_X_NEW] = {[Q_X_EV_START] = Q_X_LEASING, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_LEASING] = {[Q_X_EV_LEASED] = Q_X_AWAITING, [Q_X_EV_LEASE_FAILED] = Q_X_ENDED, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_AWAITING] = {[Q_X_EV_HEAD] = Q_X_RECEIVING,
                      [Q_X_EV_UPGRADE] = Q_X_UPGRADED,
                      [Q_X_EV_REDIRECT] = Q_X_DISCARDING,
                      [Q_X_EV_CONN_FAILED] = Q_X_DECIDING,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_RECEIVING] = {[Q_X_EV_END] = Q_X_ENDED, [Q_X_EV_CONN_FAILED] = Q_X_ENDED, [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_UPGRADED] = {[Q_X_EV_PEER_END] = Q_X_FLUSHING,
                      [Q_X_EV_CONN_FAILED] = Q_X_ENDED,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_FLUSHING] = {[Q_X_EV_FLUSHED] = Q_X_ENDED,
                      [Q_X_EV_CONN_FAILED] = Q_X_ENDED,
                      [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_DISCARDING] = {[Q_X_EV_END] = Q_X_LEASING,
                        [Q_X_EV_CONN_FAILED] = Q_X_LEASING,
                        [Q_X_EV_CUT] = Q_X_LEASING,
                        [Q_X_EV_CANCEL] = Q_X_ENDED},
    [Q_X_DECIDING] = {[Q_X_EV_REPLAY] = Q_X_LEASING, [Q_X_EV_GIVE_UP] = Q_X_ENDED},
    [Q_X_ENDED] = {[Q_X_EV_CANCEL] = Q_X_ENDED},
};

static void the_table_allows_what_is_written_and_nothing_else(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            bool is_allowed = q_exchange_allows((enum q_exchange_state)from, (enum q_exchange_event)event);
            if (is_allowed != (k_next[from][event] != Q_X_NEW)) {
                fail_msg("%s: %s", q_exchange_state_name((enum q_exchange_state)from),
                         q_exchange_event_name((enum q_exchange_event)event));
            }
        }
    }
}

static bool has_connection(int state) {
    return state == Q_X_AWAITING || state == Q_X_RECEIVING || state == Q_X_DISCARDING || state == Q_X_UPGRADED ||
           state == Q_X_FLUSHING;
}

// An exchange that has come to `from` by the ways of its life. Deciding is passed through and never stayed in.
static struct stage *stage_at(int from) {
    struct stage *stage = stage_new();
    if (from == Q_X_NEW) {
        stage->exchange =
            (struct q_exchange){.loop = &stage->loop, .pool = &stage->pool, .sink = &k_sink, .watch = &stage->watch};
        stage->exchange.spec = spec_of("GET", 0);
        q_watch_begin(&stage->watch, &stage->loop, &stage->exchange.bounds, NULL, NULL);
        return stage;
    }
    stage_start(stage, "GET");
    if (has_connection(from)) {
        answer_leased(stage);
    }
    if (from == Q_X_RECEIVING) {
        tell_head(stage);
    }
    if (from == Q_X_DISCARDING) {
        tell_redirect(stage, "/elsewhere");
    }
    if (from == Q_X_UPGRADED || from == Q_X_FLUSHING) {
        tell_upgrade(stage);
    }
    if (from == Q_X_FLUSHING) {
        stage->fed_left = 10;
        tell_peer_end(stage);
    }
    if (from == Q_X_DECIDING) {
        q_pool_cancel(&stage->pool, &stage->exchange.lease);
        stage->exchange.state = Q_X_DECIDING;
    }
    if (from == Q_X_ENDED) {
        q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
    }
    assert_int_equal(stage->exchange.state, from);
    return stage;
}

static bool stops_the_program(int from, int event) {
    struct stage *stage = stage_at(from);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        close(STDERR_FILENO); // the sentence of the check that fails is expected here
        signal(SIGABRT, SIG_DFL);
        q_exchange_step(&stage->exchange, (enum q_exchange_event)event);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (from == Q_X_DECIDING) {
        q_exchange_step(&stage->exchange, Q_X_EV_GIVE_UP);
    }
    stage_free(stage);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void what_the_table_does_not_allow_stops_the_program(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            if (k_next[from][event] == Q_X_NEW && !stops_the_program(from, event)) {
                fail_msg("%s: %s went on", q_exchange_state_name((enum q_exchange_state)from),
                         q_exchange_event_name((enum q_exchange_event)event));
            }
        }
    }
}

// Lets `event` happen as the floors around would.
static void happen(struct stage *stage, int event) {
    struct q_error error = q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD);
    switch (event) {
    case Q_X_EV_LEASED: answer_leased(stage); break;
    case Q_X_EV_LEASE_FAILED: answer_failed(stage, error); break;
    case Q_X_EV_HEAD: tell_head(stage); break;
    case Q_X_EV_REDIRECT: tell_redirect(stage, "/elsewhere"); break;
    case Q_X_EV_UPGRADE: tell_upgrade(stage); break;
    case Q_X_EV_PEER_END: tell_peer_end(stage); break;
    case Q_X_EV_END: tell_end(stage); break;
    case Q_X_EV_CONN_FAILED: tell_failed(stage, error, false, true); break;
    case Q_X_EV_CANCEL: q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE)); break;
    default: q_exchange_step(&stage->exchange, (enum q_exchange_event)event); break;
    }
}

static void every_allowed_step_leads_where_it_should_and_ends_once(void **state) {
    (void)state;
    for (int from = 0; from < Q_X_STATES; from++) {
        for (int event = 0; event < Q_X_EVENTS; event++) {
            int next = k_next[from][event];
            if (next == Q_X_NEW) {
                continue;
            }
            struct stage *stage = stage_at(from);
            bool has_conn = stage->exchange.conn != NULL;
            happen(stage, event);
            // Deciding is left in the same step; here, with a response begun, by giving up.
            assert_int_equal(stage->exchange.state, next == Q_X_DECIDING ? Q_X_ENDED : next);
            assert_int_equal(stage->num_ended, stage->exchange.state == Q_X_ENDED);
            bool abandons = event == Q_X_EV_CANCEL || event == Q_X_EV_CUT || event == Q_X_EV_FLUSHED;
            assert_int_equal(stage->num_abandons, abandons && has_conn);
            assert_int_equal(stage->exchange.conn != NULL, has_connection(next));
            assert_int_equal(stage->exchange.lease.origin != NULL, next == Q_X_LEASING);
            assert_int_equal(stage->exchange.spec == NULL, stage->exchange.state == Q_X_ENDED);
            stage_free(stage);
        }
    }
}

static void states_and_events_have_names_of_their_own(void **state) {
    (void)state;
    for (int i = 0; i < Q_X_STATES; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(q_exchange_state_name((enum q_exchange_state)i),
                                    q_exchange_state_name((enum q_exchange_state)j));
        }
    }
    for (int i = 0; i < Q_X_EVENTS; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(q_exchange_event_name((enum q_exchange_event)i),
                                    q_exchange_event_name((enum q_exchange_event)j));
        }
    }
}

// --- what it sends and tells
// ------------------------------------------------------------------------------------------

static void a_whole_exchange_sends_its_request_and_sums_up(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(q_alloc_libc(), Q_SLICE("HEAD"), Q_SLICE("http://1.2.3.4/"), &spec)));
    assert_false(q_error_is(q_spec_set_body(spec, "abc", 3, NULL, NULL)));
    assert_false(q_error_is(q_spec_add_header(spec, Q_SLICE("Connection"), Q_SLICE("close"))));
    assert_false(q_error_is(q_spec_freeze(spec)));
    q_exchange_start(&stage->exchange, &stage->loop, &stage->pool, &k_sink, &stage->watch, spec);
    assert_false(q_timer_is_armed(&stage->exchange.deadline)); // no total timeout was asked for
    stage->loop.now_ns += 10;
    answer_leased(stage);
    assert_int_equal(stage->num_starts, 1);
    assert_int_equal(stage->sent.reader_flags, Q_H1_REQUEST_HEAD);
    assert_true(stage->sent.asks_close);
    assert_int_equal(stage->sent.body.len, 3);
    assert_ptr_equal(stage->sent.head.ptr, spec->head);
    stage->loop.now_ns += 10;
    tell_head(stage);
    stage->loop.now_ns += 10;
    tell_end(stage);
    assert_int_equal(stage->num_heads, 1);
    assert_int_equal(stage->num_ended, 1);
    const struct q_exchange_summary *summary = &stage->summary;
    assert_false(q_error_is(summary->error));
    assert_int_equal(summary->status, 200);
    assert_int_equal(summary->attempts, 1);
    assert_int_equal(summary->bytes_in, 100);
    assert_int_equal(summary->bytes_out, 10);
    assert_int_equal(summary->connection_id, 3);
    assert_int_equal(summary->leased_ns, 10);
    assert_int_equal(summary->head_ns, 20);
    assert_int_equal(summary->end_ns, 30);
    stage_free(stage);
}

static void the_total_deadline_says_in_which_phase_it_struck(void **state) {
    static const struct {
        int from;
        uint8_t phase;
        uint8_t retry_safe;
    } k_rows[] = {{Q_X_LEASING, Q_PHASE_CONNECT, 1}, {Q_X_AWAITING, Q_PHASE_HEAD, 0}, {Q_X_RECEIVING, Q_PHASE_BODY, 0}};
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_rows); i++) {
        struct stage *stage = stage_at(k_rows[i].from);
        struct q_timer *deadline = &stage->exchange.deadline;
        assert_true(q_timer_is_armed(deadline));
        q_loop_disarm(&stage->loop, deadline); // as the wheel does before it fires
        deadline->fired(deadline);
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.code, Q_ERR_TIMEOUT_TOTAL);
        assert_int_equal(stage->summary.error.phase, k_rows[i].phase);
        assert_int_equal(stage->summary.error.retry_safe, k_rows[i].retry_safe);
        stage_free(stage);
    }
}

static void a_cancel_behind_the_end_changes_nothing(void **state) {
    (void)state;
    struct stage *stage = stage_at(Q_X_RECEIVING);
    tell_end(stage);
    q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
    assert_int_equal(stage->num_ended, 1);
    assert_false(q_error_is(stage->summary.error));
    assert_int_equal(stage->num_abandons, 0);
    stage_free(stage);
}

static void credit_stops_and_resumes_the_connection_at_zero(void **state) {
    (void)state;
    struct stage *stage = stage_at(Q_X_RECEIVING);
    struct q_exchange *x = &stage->exchange;
    assert_int_equal(x->credit, 1000);
    assert_true(x->user.events->wants_more(&x->user));
    x->credit = 1;
    assert_true(x->user.events->wants_more(&x->user));
    q_exchange_grant(x, 5);
    assert_int_equal(stage->num_resumes, 0); // it had not stopped
    x->credit = 0;
    assert_false(x->user.events->wants_more(&x->user));
    x->credit = -100; // the one buffer that may come beyond it
    q_exchange_grant(x, 100);
    assert_int_equal(stage->num_resumes, 0);
    assert_false(x->user.events->wants_more(&x->user));
    q_exchange_grant(x, 1);
    assert_int_equal(stage->num_resumes, 1);
    q_exchange_grant(x, UINT64_MAX);
    assert_true(x->credit > 0);
    q_exchange_grant(x, UINT64_MAX);
    assert_true(x->credit > 0); // no overflow
    stage_free(stage);
}

// --- replay
// -----------------------------------------------------------------------------------------------------------

struct death {
    bool is_idempotent;
    bool is_reused;
    bool has_begun; // a byte of the response was there
    bool is_safe;   // nothing was handed to the kernel
};

static bool may_replay(const struct death *death) {
    return !death->has_begun && (death->is_safe || (death->is_reused && death->is_idempotent));
}

static void a_request_is_sent_again_only_when_it_may_be(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct death death = {bits & 1, bits & 2, bits & 4, bits & 8};
        struct stage *stage = stage_new();
        stage_start(stage, death.is_idempotent ? "PUT" : "POST");
        answer_leased(stage);
        struct q_error error = q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD, 104);
        error.retry_safe = death.is_safe;
        tell_failed(stage, error, death.is_reused, death.has_begun);
        assert_int_equal(stage->exchange.state, may_replay(&death) ? Q_X_LEASING : Q_X_ENDED);
        if (!may_replay(&death)) {
            bool is_maybe = death.is_reused && !death.has_begun;
            assert_int_equal(stage->summary.error.code, is_maybe ? Q_ERR_MAYBE_PROCESSED : Q_ERR_CONNECTION_RESET);
            assert_int_equal(stage->summary.error.os_errno, 104);
            assert_int_equal(stage->summary.error.retry_safe, death.is_safe);
            assert_int_equal(stage->summary.attempts, 1);
        }
        stage_free(stage);
    }
}

static void replays_are_bounded_and_their_octets_are_summed(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, "GET");
    int num_attempts = 0;
    while (stage->exchange.state == Q_X_LEASING) {
        num_attempts++;
        assert_true(num_attempts <= Q_EXCHANGE_ATTEMPTS_MAX);
        answer_leased(stage);
        tell_failed(stage, q_error_make(Q_ERR_CONNECTION_CLOSED, Q_PHASE_HEAD), true, false);
    }
    assert_int_equal(num_attempts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->num_starts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.attempts, Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.error.code, Q_ERR_CONNECTION_CLOSED);
    assert_int_equal(stage->summary.bytes_in, 7 * Q_EXCHANGE_ATTEMPTS_MAX);
    assert_int_equal(stage->summary.bytes_out, 5 * Q_EXCHANGE_ATTEMPTS_MAX);
    stage_free(stage);
}

static void a_replay_that_succeeds_is_a_success(void **state) {
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, "GET");
    answer_leased(stage);
    tell_failed(stage, q_error_make(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD), true, false);
    answer_leased(stage);
    tell_head(stage);
    tell_end(stage);
    assert_int_equal(stage->num_ended, 1);
    assert_int_equal(stage->summary.error.code, Q_ERR_OK);
    assert_int_equal(stage->summary.attempts, 2);
    assert_int_equal(stage->summary.connection_id, 3);
    stage_free(stage);
}

// Once a connection may have carried the request to the peer, no later failure proves that it did not.
static void what_may_have_been_processed_is_never_called_safe_again(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct stage *stage = stage_new();
        struct q_error safe = q_error_make(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT);
        safe.retry_safe = 1;
        stage_start(stage, "GET");
        answer_leased(stage);
        tell_failed(stage, q_error_make(Q_ERR_CONNECTION_CLOSED, Q_PHASE_HEAD), true, false);
        assert_int_equal(stage->exchange.state, Q_X_LEASING);
        if (way == 0) {
            answer_failed(stage, safe);
        } else if (way == 1) {
            q_exchange_cancel(&stage->exchange, q_error_make(Q_ERR_CANCELED, Q_PHASE_NONE));
        } else {
            answer_leased(stage);
            tell_failed(stage, safe, true, true);
        }
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.retry_safe, 0);
        stage_free(stage);
    }
}

// --- upgraded
// ---------------------------------------------------------------------------------------------------------

static struct stage *upgraded_stage(void) {
    struct stage *stage = stage_at(Q_X_UPGRADED);
    assert_int_equal(stage->num_heads, 1);
    stage->fed_left = 10;
    return stage;
}

static void tell_fed(struct stage *stage, uint64_t bytes) {
    stage->exchange.user.events->on_fed(&stage->exchange.user, bytes);
}

// Runs what was posted, as a tick does.
static void run_tasks(struct stage *stage) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(&stage->loop.tasks)) != NULL) {
        struct q_task *task = q_container_of(node, struct q_task, link);
        task->run(task);
    }
}

static void feeds_go_to_the_connection_while_it_is_upgraded(void **state) {
    (void)state;
    for (int at = 0; at < Q_X_STATES; at++) {
        struct stage *stage = stage_at(at);
        struct q_feed *feed = q_feed_new(q_alloc_libc(), (struct q_handle){0}, "x", 1, NULL, NULL);
        bool may_be_fed = at == Q_X_UPGRADED || at == Q_X_FLUSHING;
        assert_int_equal(q_exchange_feed(&stage->exchange, feed), may_be_fed);
        assert_int_equal(stage->num_feeds, may_be_fed);
        if (!may_be_fed) {
            q_feed_free(feed);
        }
        if (at == Q_X_DECIDING) {
            q_exchange_step(&stage->exchange, Q_X_EV_GIVE_UP);
        }
        stage_free(stage);
    }
}

static void the_peers_end_waits_for_what_was_fed_before(void **state) {
    (void)state;
    for (uint64_t before = 0; before <= 10; before += 5) {
        struct stage *stage = upgraded_stage();
        tell_fed(stage, before);
        tell_peer_end(stage);
        assert_int_equal(stage->num_ended, 0); // not from inside the connection's event
        run_tasks(stage);
        assert_int_equal(stage->exchange.state, before == 10 ? Q_X_ENDED : Q_X_FLUSHING);
        if (before < 10) {
            tell_fed(stage, 10 - before);
            assert_int_equal(stage->num_ended, 0);
            run_tasks(stage);
        }
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->num_abandons, 1);
        assert_int_equal(stage->summary.error.code, Q_ERR_OK);
        assert_int_equal(stage->summary.status, 101);
        stage_free(stage);
    }
}

static void a_failure_behind_the_peers_end_is_none(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct stage *stage = upgraded_stage();
        if (i == 0) {
            tell_peer_end(stage);
        }
        tell_failed(stage, q_error_make(Q_ERR_CONNECTION_FAILED, Q_PHASE_SEND), false, true);
        assert_int_equal(stage->num_ended, 1);
        assert_int_equal(stage->summary.error.code, i == 0 ? Q_ERR_OK : Q_ERR_CONNECTION_FAILED);
        assert_int_equal(stage->num_starts, 1); // nor is it ever sent again
        stage_free(stage);
    }
}

static void room_is_offered_until_it_is_taken(void **state) {
    (void)state;
    struct stage *stage = upgraded_stage();
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 0);
    stage->is_room_wanted = true;
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 1); // the port is full
    stage->is_room_wanted = false;
    stage->has_port_room = true;
    q_exchange_resume(&stage->exchange);
    assert_int_equal(stage->num_room_offers, 2);
    q_exchange_resume(&stage->exchange);
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 2);
    stage_free(stage);
}

static void nobody_is_told_of_room_behind_the_peers_end(void **state) {
    (void)state;
    struct stage *stage = upgraded_stage();
    stage->is_room_wanted = true;
    tell_fed(stage, 1);
    tell_peer_end(stage);
    stage->has_port_room = true;
    q_exchange_resume(&stage->exchange);
    tell_fed(stage, 1);
    assert_int_equal(stage->num_room_offers, 1);
    stage_free(stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_allows_what_is_written_and_nothing_else),
        cmocka_unit_test(what_the_table_does_not_allow_stops_the_program),
        cmocka_unit_test(every_allowed_step_leads_where_it_should_and_ends_once),
        cmocka_unit_test(states_and_events_have_names_of_their_own),
        cmocka_unit_test(a_whole_exchange_sends_its_request_and_sums_up),
        cmocka_unit_test(the_total_deadline_says_in_which_phase_it_struck),
        cmocka_unit_test(a_cancel_behind_the_end_changes_nothing),
        cmocka_unit_test(credit_stops_and_resumes_the_connection_at_zero),
        cmocka_unit_test(a_request_is_sent_again_only_when_it_may_be),
        cmocka_unit_test(replays_are_bounded_and_their_octets_are_summed),
        cmocka_unit_test(a_replay_that_succeeds_is_a_success),
        cmocka_unit_test(what_may_have_been_processed_is_never_called_safe_again),
        cmocka_unit_test(feeds_go_to_the_connection_while_it_is_upgraded),
        cmocka_unit_test(the_peers_end_waits_for_what_was_fed_before),
        cmocka_unit_test(a_failure_behind_the_peers_end_is_none),
        cmocka_unit_test(room_is_offered_until_it_is_taken),
        cmocka_unit_test(nobody_is_told_of_room_behind_the_peers_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

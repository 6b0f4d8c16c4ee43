#define _GNU_SOURCE
#include "tests/sim/stand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TICKS_MAX 100000

static void *stand_allocate(void *context, size_t size) {
    return q_failalloc_alloc(context)->allocate(q_failalloc_alloc(context)->context, size);
}

static void stand_release(void *context, void *ptr, size_t size) {
    q_failalloc_alloc(context)->release(q_failalloc_alloc(context)->context, ptr, size);
}

static void on_server_request(void *context, uint64_t tag, const char *method) {
    (void)tag;
    (void)method;
    ((struct stand *)context)->heads_at_server++;
}

void stand_on_event(void *context, const struct quoit_event *event) {
    struct stand *stand = context;
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL: stand->infos++; break;
    case QUOIT_EVENT_UPGRADED:
    case QUOIT_EVENT_HEAD: stand->status = event->u.head.status; break;
    case QUOIT_EVENT_DATA:
        stand->is_body_right = stand->is_body_right && event->u.data.offset == stand->received &&
                               q_simhttp_matches(stand->tag, stand->received, event->u.data.data, event->u.data.len);
        stand->received += event->u.data.len;
        break;
    case QUOIT_EVENT_TRAILERS: stand->has_trailers = true; break;
    case QUOIT_EVENT_QUESTION:
        stand->is_asked = true;
        stand->token = event->u.question.token;
        if (stand->answer != 0 && stand->answer_after_ms == 0) {
            assert_int_equal(quoit_answer(stand->engine, stand->token, stand->answer), 0);
        }
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED:
        assert_false(stand->has_ended);
        stand->has_ended = true;
        stand->summary = event->u.summary;
        break;
    case QUOIT_EVENT_CLOSED: stand->is_closed = true; break;
    default: break;
    }
}

struct stand *stand_new(const struct q_simhttp_raw *raws, size_t num_raws, const struct quoit_engine_options *limits) {
    struct stand *stand = calloc(1, sizeof *stand);
    assert_non_null(stand);
    stand->sim = q_sim_new(&(struct q_sim_options){0});
    sim_route_begin(0);
    stand->ledger = q_ledger_new(q_sim_sys(stand->sim));
    stand->failalloc = q_failalloc_new();
    stand->allocator = (struct quoit_allocator){stand_allocate, stand_release, stand->failalloc};
    struct q_simhttp_options server = {
        .on_request = on_server_request, .context = stand, .raws = raws, .num_raws = num_raws};
    stand->front = sim_route_open(stand->sim, false, &server);
    stand->server = q_simhttp_new(stand->sim, "127.0.0.1", 80, &server);
    q_sim_listen(stand->sim, "127.0.0.1", 82, &(struct q_sim_listener){.answer = Q_SIM_UNREACHABLE});
    q_sim_listen(stand->sim, "127.0.0.1", 83, &(struct q_sim_listener){.answer = Q_SIM_BLACKHOLE});
    struct quoit_engine_options options = limits != NULL ? *limits : (struct quoit_engine_options){0};
    options.struct_size = sizeof options;
    options.mode = QUOIT_ENGINE_HOST_DRIVEN;
    options.requests_max = options.requests_max != 0 ? options.requests_max : 64;
    options.connections_max = options.connections_max != 0 ? options.connections_max : 16;
    options.allocator = &stand->allocator;
    options.hosts_file = "/nonexistent";
    struct q_engine_seams seams = {
        .sys = q_ledger_sys(stand->ledger), .clock = q_sim_clock(stand->sim), .has_seed = true, .seed = 1};
    struct q_error error = q_engine_create(&options, &seams, &stand->engine);
    assert_int_equal(error.code, 0);
    struct quoit_port_options port_options = {
        .struct_size = sizeof port_options, .mode = QUOIT_PORT_INLINE, .on_event = stand_on_event, .context = stand};
    assert_int_equal(quoit_port_create(stand->engine, &port_options, &stand->port), 0);
    return stand;
}

int stand_set_up(void **state) {
    *state = stand_new(NULL, 0, NULL);
    return 0;
}

void stand_run_once(struct stand *stand, uint64_t until_ns) {
    int32_t result = quoit_engine_tick(stand->engine);
    assert_true(result >= 0);
    if (result == 1 || stand->is_closed) {
        return;
    }
    int64_t timeout_ms = quoit_engine_timeout_ms(stand->engine);
    uint64_t due_ns = timeout_ms < 0 ? UINT64_MAX : q_sim_now(stand->sim) + (uint64_t)timeout_ms * Q_NS_PER_MS;
    until_ns = due_ns < until_ns ? due_ns : until_ns;
    bool woken = q_sim_eventfd_count(stand->sim, quoit_engine_fd(stand->engine)) > 0;
    while (!woken && q_sim_step(stand->sim, until_ns)) {
        woken = q_sim_eventfd_count(stand->sim, quoit_engine_fd(stand->engine)) > 0;
    }
    assert_true(woken || until_ns != UINT64_MAX); // else nothing would ever happen again
}

void stand_run_until(struct stand *stand, const bool *flag) {
    for (unsigned i = 0; !*flag; i++) {
        assert_true(i < TICKS_MAX);
        stand_run_once(stand, UINT64_MAX);
    }
}

void stand_run_for(struct stand *stand, uint64_t ms) {
    uint64_t until_ns = q_sim_now(stand->sim) + ms * Q_NS_PER_MS;
    while (q_sim_now(stand->sim) < until_ns) {
        stand_run_once(stand, until_ns);
    }
}

static void close_server(struct q_simhttp *server, void *front) {
    if (server == NULL) {
        return;
    }
    if (q_simhttp_stats(server)->faults != 0) {
        fail_msg("%s", q_simhttp_stats(server)->first_fault);
    }
    const char *fault = sim_route_close(front);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
    q_simhttp_free(server);
}

void stand_free(struct stand *stand) {
    assert_int_equal(quoit_engine_close(stand->engine, 0), 0);
    stand_run_until(stand, &stand->is_closed);
    assert_int_equal(quoit_engine_destroy(stand->engine), 0);
    while (q_sim_step(stand->sim, q_sim_now(stand->sim) + Q_NS_PER_S)) {
        // FINs arrive
    }
    char text[512] = "";
    bool is_clean = q_ledger_check(stand->ledger, text, sizeof text) &&
                    q_sim_check(stand->sim, text, sizeof text) &&
                    q_failalloc_check(stand->failalloc, text, sizeof text);
    if (!is_clean) {
        print_error("%s\n", text);
    }
    assert_true(is_clean);
    q_sim_free(stand->sim);
    close_server(stand->server, stand->front);
    close_server(stand->more_server, stand->more_front);
    q_ledger_free(stand->ledger);
    q_failalloc_free(stand->failalloc);
    free(stand);
}

int stand_tear_down(void **state) {
    stand_free(*state);
    return 0;
}

static void begin(struct stand *stand, const struct ask *how, const char *format, va_list args) {
    char url[256];
    int at = snprintf(url, sizeof url, "%s://127.0.0.1:%u", sim_route_scheme(), how->port != 0 ? how->port : 80);
    vsnprintf(url + at, sizeof url - (size_t)at, format, args);
    struct quoit_request *request;
    assert_int_equal(quoit_request_new(how->method != NULL ? how->method : "GET", url, &request), 0);
    assert_int_equal(how->tls != NULL ? quoit_request_set_tls(request, how->tls) : sim_route_set(request), 0);
    if (how->body_len > 0) {
        char *body = malloc(how->body_len);
        q_simhttp_fill(stand->tag, 0, body, how->body_len);
        assert_int_equal(quoit_request_set_body(request, body, how->body_len, NULL, NULL), 0);
        free(body);
    }
    struct quoit_request_bounds bounds = {
        .struct_size = sizeof bounds, .total_ms = how->total_ms, .connect_ms = how->connect_ms,
        .first_byte_ms = how->every_ms, .idle_ms = how->every_ms, .low_speed_ms = how->every_ms,
        .low_speed_bytes = how->every_ms > 0 ? 1 : 0};
    struct quoit_redirect_options redirects = {.struct_size = sizeof redirects, .limit = 3, .ask = 1};
    assert_int_equal(quoit_request_set_redirects(request, &redirects), 0);
    assert_int_equal(quoit_request_set_bounds(request, &bounds), 0);
    if (how->bounds != NULL) {
        assert_int_equal(quoit_request_set_bounds(request, how->bounds), 0);
    }
    if (how->has_no_credit) {
        assert_int_equal(quoit_request_set_credit(request, 0, 1), 0);
    }
    if (how->upgrade != NULL) {
        assert_int_equal(quoit_request_set_upgrade(request, how->upgrade, strlen(how->upgrade)), 0);
    }
    stand->status = 0;
    stand->received = 0;
    stand->is_body_right = true;
    stand->has_trailers = false;
    stand->infos = 0;
    stand->has_ended = false;
    stand->is_asked = false;
    stand->heads_at_server = 0;
    assert_int_equal(quoit_submit(stand->engine, stand->port, request, 1, &stand->handle), 0);
    quoit_request_release(request);
}

void stand_begin(struct stand *stand, struct ask how, const char *format, ...) {
    va_list args;
    va_start(args, format);
    begin(stand, &how, format, args);
    va_end(args);
}

void stand_ask(struct stand *stand, struct ask how, const char *format, ...) {
    va_list args;
    va_start(args, format);
    begin(stand, &how, format, args);
    va_end(args);
    while (!stand->has_ended) {
        stand_run_once(stand, UINT64_MAX);
        if (stand->answer_after_ms > 0 && stand->is_asked) {
            stand->is_asked = false;
            stand_run_for(stand, stand->answer_after_ms);
            assert_false(stand->has_ended);
            assert_int_equal(quoit_answer(stand->engine, stand->token, stand->answer), 0);
        }
    }
    assert_true(stand->is_body_right || stand->is_body_unchecked);
    assert_true(stand->summary.failure.retry_safe == 0 || stand->heads_at_server == 0);
}

void stand_expect(struct stand *stand, int32_t code) {
    if (stand->summary.failure.code != code) {
        fail_msg("%s in %s, not %s", quoit_error_name(stand->summary.failure.code),
                 quoit_phase_name(stand->summary.failure.phase), quoit_error_name(code));
    }
}

#include "tests/engine/exchange/stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/conn/feed.h"

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

static bool conn_went_early(const struct q_conn *conn) {
    return q_container_of(conn, const struct stage, conn)->went_early;
}

static const struct q_conn_vtable k_conn = {.start = conn_start,
                                            .resume = conn_resume,
                                            .feed = conn_feed,
                                            .abandon = conn_abandon,
                                            .close = NULL,
                                            .went_early = conn_went_early};

static bool sink_head(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct stage *stage = stage_of(exchange);
    (void)chunk;
    stage->num_heads += !stage->refuses_head;
    stage->last_status = out->status;
    return !stage->refuses_head;
}

static void sink_ended(struct q_exchange *exchange, const struct q_exchange_summary *summary) {
    stage_of(exchange)->num_ended++;
    stage_of(exchange)->summary = *summary;
}

static bool sink_ask(struct q_exchange *exchange, uint16_t status, struct q_spec *next, uint32_t hop) {
    struct stage *stage = stage_of(exchange);
    if (stage->has_no_room) {
        return false;
    }
    stage->num_questions++;
    snprintf(stage->question, sizeof stage->question, "%u %u %.*s %.*s", hop, status, (int)next->method.len,
             next->method.ptr, (int)next->url.href.len, next->url.href.ptr);
    return true;
}

static bool sink_ask_connection(struct q_exchange *exchange, struct q_tls_dossier *dossier) {
    struct stage *stage = stage_of(exchange);
    assert_non_null(dossier);
    if (stage->has_no_room) {
        return false;
    }
    stage->num_questions++;
    return true;
}

static void sink_unask(struct q_exchange *exchange) { stage_of(exchange)->num_unasked++; }

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

const struct q_exchange_sink k_stage_sink = {.head = sink_head,
                                              .ask = sink_ask,
                                              .ask_connection = sink_ask_connection,
                                              .unask = sink_unask,
                                              .fed = sink_fed,
                                              .room = sink_room,
                                              .stop_feeds = sink_stop_feeds,
                                              .ended = sink_ended};

struct q_spec *stage_spec_of(const char *method, uint64_t total_ms, bool asks) {
    struct q_spec *spec = NULL;
    assert_false(q_error_is(q_spec_new(q_alloc_libc(), q_slice_of_string(method), Q_SLICE("http://1.2.3.4/"), &spec)));
    assert_false(q_error_is(q_spec_set_bounds(spec, &(struct q_bounds){.total_ns = total_ms * Q_NS_PER_MS})));
    assert_false(q_error_is(q_spec_set_credit(spec, 1000, false)));
    assert_false(q_error_is(q_spec_set_redirects(spec, 2, false)));
    assert_false(q_error_is(q_spec_ask_redirects(spec, asks)));
    assert_false(q_error_is(q_spec_freeze(spec)));
    return spec;
}

struct stage *stage_new(void) {
    static const struct q_loop_steps k_steps;
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    q_loop_init(&stage->loop, NULL, q_clock_monotonic(), &stage->log, 1, &k_steps, NULL);
    q_loop_bind(&stage->loop);
    stage->env.loop = &stage->loop;
    stage->budget.limit = 1 << 20;
    q_chunk_pool_init(&stage->chunks, q_alloc_libc(), &stage->budget, 4096, 4);
    stage->env.small_chunks = &stage->chunks;
    stage->env.head_chunks = &stage->chunks;
    stage->env.trailer_chunks = &stage->chunks;
    struct q_pool_options options = {.connections_max = 1, .waiters_per_origin_max = 10};
    assert_false(q_error_is(q_pool_init(&stage->pool, q_alloc_libc(), &stage->env, &options)));
    stage->conn.v = &k_conn;
    return stage;
}

void stage_start_asking(struct stage *stage, const char *method, bool asks) {
    q_exchange_start(&stage->exchange, &stage->loop, &stage->pool, &k_stage_sink, &stage->watch,
                     stage_spec_of(method, 1000, asks));
}

void stage_start(struct stage *stage, const char *method) { stage_start_asking(stage, method, false); }

void stage_free(struct stage *stage) {
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

void stage_answer_leased(struct stage *stage) {
    struct q_lease *lease = &stage->exchange.lease;
    q_pool_cancel(&stage->pool, lease);
    lease->events->on_leased(lease, &stage->conn);
}

void stage_answer_failed(struct stage *stage, struct q_error error) {
    struct q_lease *lease = &stage->exchange.lease;
    q_pool_cancel(&stage->pool, lease);
    lease->events->on_failed(lease, error);
}

void stage_tell_question(struct stage *stage) {
    static struct q_tls_dossier dossier;
    struct q_lease *lease = &stage->exchange.lease;
    lease->events->on_question(lease, &dossier);
}

void stage_tell_status(struct stage *stage, uint16_t status) {
    struct q_h1_out out = {.status = status};
    assert_true(stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL));
}

void stage_tell_head(struct stage *stage) { stage_tell_status(stage, 200); }

void stage_tell_upgrade(struct stage *stage) {
    struct q_h1_out out = {.status = 101, .body = Q_H1_BODY_TUNNEL};
    assert_true(stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL));
}

void stage_tell_peer_end(struct stage *stage) { stage->exchange.user.events->on_peer_end(&stage->exchange.user); }

bool stage_tell_redirect(struct stage *stage, const char *location) {
    _Alignas(8) char memory[512];
    struct q_headers_builder builder;
    q_headers_builder_init(&builder, memory, sizeof memory, NULL);
    assert_false(q_error_is(q_headers_builder_add(&builder, Q_SLICE("Location"), q_slice_of_string(location))));
    struct q_h1_out out = {.status = 302, .headers = q_headers_builder_freeze(&builder)};
    return stage->exchange.user.events->on_head(&stage->exchange.user, &out, NULL);
}

void stage_tell_end(struct stage *stage) {
    struct q_conn_progress progress = {.bytes_in = 100, .bytes_out = 10, .connection_id = 3};
    stage->exchange.user.events->on_end(&stage->exchange.user, &progress);
}

void stage_tell_failed(struct stage *stage, struct q_error error, bool is_reused, bool has_begun) {
    struct q_conn_progress progress = {
        .bytes_in = 7, .bytes_out = 5, .connection_id = 9, .is_reused = is_reused, .has_response_begun = has_begun,
        .tls.early = stage->early};
    stage->exchange.user.events->on_failed(&stage->exchange.user, error, &progress);
}

bool stage_has_connection(int state) {
    return state == Q_X_AWAITING || state == Q_X_ASKING || state == Q_X_RECEIVING || state == Q_X_DISCARDING ||
           state == Q_X_UPGRADED || state == Q_X_FLUSHING;
}

struct stage *stage_at(int from) {
    struct stage *stage = stage_new();
    if (from == Q_X_NEW) {
        stage->exchange =
            (struct q_exchange){.loop = &stage->loop, .pool = &stage->pool, .sink = &k_stage_sink, .watch = &stage->watch};
        stage->exchange.spec = stage_spec_of("GET", 0, false);
        q_watch_begin(&stage->watch, &stage->loop, &stage->exchange.bounds, NULL, NULL);
        return stage;
    }
    stage_start_asking(stage, "GET", from == Q_X_ASKING);
    if (stage_has_connection(from)) {
        stage_answer_leased(stage);
    }
    if (from == Q_X_RECEIVING) {
        stage_tell_head(stage);
    }
    if (from == Q_X_VOUCHING) {
        stage_tell_question(stage);
    }
    if (from == Q_X_DISCARDING || from == Q_X_ASKING) {
        assert_int_equal(stage_tell_redirect(stage, "/elsewhere"), from == Q_X_DISCARDING);
    }
    if (from == Q_X_UPGRADED || from == Q_X_FLUSHING) {
        stage_tell_upgrade(stage);
    }
    if (from == Q_X_FLUSHING) {
        stage->fed_left = 10;
        stage_tell_peer_end(stage);
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

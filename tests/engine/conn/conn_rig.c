#define _GNU_SOURCE
#include "tests/engine/conn/conn_rig.h"

#include <stdlib.h>
#include <string.h>

// --- the server ------------------------------------------------------------------------------------------------------

static void server_open(void *context, struct q_sim_conn *conn) {
    struct conn_rig *rig = context;
    rig->last = conn;
}

// Counts ends of heads; how far the current one has come is the connection's user value.
static void server_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    static const char k_end[] = "\r\n\r\n";
    struct conn_rig *rig = context;
    uintptr_t matched = (uintptr_t)q_sim_conn_user(conn);
    for (size_t i = 0; i < len; i++) {
        matched = data[i] == k_end[matched] ? matched + 1 : data[i] == '\r';
        if (matched < 4) {
            continue;
        }
        matched = 0;
        rig->num_requests++;
        if (rig->on_request != NULL) {
            rig->on_request(rig, conn, rig->num_requests);
        } else if (rig->response != NULL) {
            q_sim_conn_send(conn, rig->response, strlen(rig->response));
        }
    }
    q_sim_conn_set_user(conn, (void *)matched);
}

static void server_fin(void *context, struct q_sim_conn *conn) {
    ((struct conn_rig *)context)->num_fins++;
    q_sim_conn_close(conn);
}

static void server_reset(void *context, struct q_sim_conn *conn) {
    (void)conn;
    ((struct conn_rig *)context)->num_resets++;
}

static const struct q_sim_peer k_server = {
    .on_open = server_open, .on_bytes = server_bytes, .on_fin = server_fin, .on_reset = server_reset};

void conn_rig_listen(struct conn_rig *rig, const char *address, uint16_t port, enum q_sim_answer answer,
                     uint64_t delay_ns) {
    struct q_sim_listener listener = {.answer = answer, .delay_ns = delay_ns, .peer = &k_server, .context = rig};
    q_sim_listen(rig->sim, address, port, &listener);
}

void conn_rig_say(struct conn_rig *rig, const char *text) {
    assert_non_null(rig->last);
    q_sim_conn_send(rig->last, text, strlen(text));
}

// --- the loop --------------------------------------------------------------------------------------------------------

static bool nothing_to_do(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    struct conn_rig *rig = owner;
    *out_bell_value = q_doorbell_value(&rig->bell);
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = nothing_to_do, .publish = nothing_to_do, .park = park};

void conn_rig_open(struct conn_rig *rig, struct conn_rig_options options) {
    *rig = (struct conn_rig){.memory = q_failalloc_new(), .response = CONN_RIG_OK};
    rig->sim = q_sim_new(&(struct q_sim_options){.seed = options.seed});
    const struct q_alloc *alloc = q_failalloc_alloc(rig->memory);
    rig->budget.limit = options.budget == 0 ? 64 << 20 : options.budget;
    size_t head_bytes = q_h1_reader_memory_for(&rig->env.limits);
    q_chunk_pool_init(&rig->buffers, alloc, &rig->budget, 4096, 8);
    q_chunk_pool_init(&rig->heads, alloc, &rig->budget, (uint32_t)((head_bytes + 15) & ~(size_t)15), 0);
    q_chunk_pool_init(&rig->small, alloc, &rig->budget, 4096, 0);
    struct q_ring_options ring_options = {
        .sys = q_sim_sys(rig->sim),
        .alloc = alloc,
        .clock = q_sim_clock(rig->sim),
        .log = &rig->log,
        .doorbell = &rig->bell,
        .buffer_pool = &rig->buffers,
        .num_buffers = 16,
        .num_slots = options.num_slots == 0 ? 32 : options.num_slots,
        .sq_entries = 64,
        .cq_entries = 256,
    };
    struct q_error error = q_ring_create(&ring_options, &rig->ring);
    assert_int_equal(error.code, Q_ERR_OK);
    q_loop_init(&rig->loop, q_ring_io(rig->ring), q_sim_clock(rig->sim), &rig->log, 1, &k_steps, rig);
    q_loop_bind(&rig->loop);
    q_holders_init(&rig->holders, &rig->loop, &rig->heads);
    q_hosts_names_init(&rig->names, &rig->loop, alloc, &rig->hosts);
    rig->dial = (struct q_dial_env){.loop = &rig->loop, .alloc = alloc, .names = &rig->names.names};
    rig->env.dial = &rig->dial;
    rig->env.loop = &rig->loop;
    rig->env.holders = &rig->holders;
    rig->env.head_chunks = &rig->heads;
    rig->env.small_chunks = &rig->small;
    rig->env.trailer_chunks = &rig->small;
    rig->env.idle_timeout_ns = options.idle_timeout_ns == 0 ? 60 * Q_NS_PER_S : options.idle_timeout_ns;
    conn_rig_listen(rig, "127.0.0.1", 80, Q_SIM_ACCEPT, 0);
}

struct alarm {
    struct q_timer timer;
    bool rang;
};

static void ring_alarm(struct q_timer *timer) {
    q_container_of(timer, struct alarm, timer)->rang = true;
}

void conn_rig_tick(struct conn_rig *rig) {
    struct alarm alarm = {.timer = {.fired = ring_alarm}};
    rig->loop.has_more |= !q_list_is_empty(&rig->loop.tasks); // posted by the test, from outside of a tick
    q_loop_arm(&rig->loop, &alarm.timer, q_sim_now(rig->sim) + Q_NS_PER_S);
    q_loop_tick(&rig->loop, true);
    q_loop_disarm(&rig->loop, &alarm.timer);
}

void conn_rig_run_for(struct conn_rig *rig, uint64_t ns) {
    struct alarm alarm = {.timer = {.fired = ring_alarm}};
    q_loop_arm(&rig->loop, &alarm.timer, q_sim_now(rig->sim) + ns);
    while (!alarm.rang) {
        conn_rig_tick(rig);
    }
}

void conn_rig_until(struct conn_rig *rig, const bool *flag) {
    struct alarm alarm = {.timer = {.fired = ring_alarm}};
    q_loop_arm(&rig->loop, &alarm.timer, q_sim_now(rig->sim) + CONN_RIG_PATIENCE_NS);
    while (!*flag) {
        if (alarm.rang) {
            fail_msg("what was waited for did not happen in time");
        }
        conn_rig_tick(rig);
    }
    q_loop_disarm(&rig->loop, &alarm.timer);
}

void conn_rig_close(struct conn_rig *rig) {
    char text[512] = "";
    q_hosts_names_deinit(&rig->names);
    if (rig->hosts.alloc != NULL) {
        q_hosts_deinit(&rig->hosts);
    }
    assert_true(q_wheel_next(&rig->loop.wheel) == Q_WHEEL_NEVER); // no timer of a connection that is gone
    rig->loop.is_open = false;
    while (!q_ring_quiesce(rig->ring)) {
        q_loop_tick(&rig->loop, false);
    }
    q_ring_destroy(rig->ring);
    q_ring_take_down_bell(q_sim_sys(rig->sim), &rig->bell);
    while (q_sim_step(rig->sim, UINT64_MAX)) {
        // the peers see the end
    }
    q_chunk_pool_deinit(&rig->buffers);
    q_chunk_pool_deinit(&rig->heads);
    q_chunk_pool_deinit(&rig->small);
    assert_int_equal(rig->budget.used, 0);
    if (!q_failalloc_check(rig->memory, text, sizeof text) || !q_sim_check(rig->sim, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_sim_free(rig->sim);
    q_failalloc_free(rig->memory);
}

// --- exchanges -------------------------------------------------------------------------------------------------------

static struct rig_user *rig_user_of(struct q_conn_user *user) {
    return q_container_of(user, struct rig_user, user);
}

static void note(struct rig_user *user, const char *text) {
    size_t len = strlen(text);
    assert_false(user->is_over); // nothing comes behind the end
    assert_true(user->diary_len + len < sizeof user->diary);
    memcpy(user->diary + user->diary_len, text, len + 1);
    user->diary_len += len;
}

static bool refuses(struct rig_user *user) {
    if (user->refusals > 0) {
        user->refusals--;
        return true;
    }
    return false;
}

static bool on_informational(struct q_conn_user *base, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct rig_user *user = rig_user_of(base);
    assert_true(out->status < 200 && chunk != NULL);
    if (refuses(user)) {
        return false;
    }
    note(user, "1");
    return true;
}

static bool on_head(struct q_conn_user *base, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct rig_user *user = rig_user_of(base);
    char text[16] = "H";
    char digits[20];
    size_t len = q_u64_to_text(out->status, digits);
    memcpy(text + 1, digits, len);
    assert_non_null(chunk);
    if (user->head_refusals > 0) {
        user->head_refusals--;
        return false;
    }
    user->status = out->status;
    note(user, text);
    return true;
}

static bool on_data(struct q_conn_user *base, struct q_slice data, struct q_chunk *chunk) {
    struct rig_user *user = rig_user_of(base);
    assert_true(data.len > 0 && data.ptr >= chunk->data && data.ptr + data.len <= chunk->data + chunk->pool->capacity);
    if (refuses(user)) {
        return false;
    }
    assert_true(user->data_len + data.len <= sizeof user->data);
    memcpy(user->data + user->data_len, data.ptr, data.len);
    user->data_len += data.len;
    if (user->diary_len == 0 || user->diary[user->diary_len - 1] != 'D') {
        note(user, "D");
    }
    return true;
}

static bool on_trailers(struct q_conn_user *base, const struct q_headers *trailers, struct q_chunk *chunk) {
    struct rig_user *user = rig_user_of(base);
    assert_true(trailers != NULL && chunk != NULL && q_headers_count(trailers) > 0);
    if (refuses(user)) {
        return false;
    }
    note(user, "T");
    return true;
}

static void be_over(struct rig_user *user, const struct q_conn_progress *progress, const char *text) {
    note(user, text);
    user->is_over = true;
    user->progress = *progress;
    if (user->on_over != NULL) {
        user->on_over(user);
    }
}

static void on_end(struct q_conn_user *base, const struct q_conn_progress *progress) {
    be_over(rig_user_of(base), progress, "E");
}

static void on_failed(struct q_conn_user *base, struct q_error error, const struct q_conn_progress *progress) {
    struct rig_user *user = rig_user_of(base);
    assert_true(q_error_is(error));
    user->error = error;
    be_over(user, progress, "F");
}

static uint32_t wants(struct q_conn_user *base) {
    return rig_user_of(base)->wants_no_more ? 0 : 1; // a buffer at a time
}

static void ignore_sent(struct q_conn_user *user) {
    (void)user;
}

static void ignore_bytes(struct q_conn_user *user, size_t len) {
    (void)user;
    (void)len;
}

static const struct q_conn_user_events k_user_events = {.on_informational = on_informational,
                                                        .on_head = on_head,
                                                        .on_data = on_data,
                                                        .on_trailers = on_trailers,
                                                        .on_end = on_end,
                                                        .on_failed = on_failed,
                                                        .on_sent = ignore_sent,
                                                        .on_bytes = ignore_bytes,
                                                        .wants = wants};

void conn_rig_user(struct rig_user *user, struct conn_rig *rig) {
    memset(user, 0, offsetof(struct rig_user, data));
    user->data_len = 0;
    user->refusals = user->head_refusals = 0;
    user->wants_no_more = user->is_over = false;
    user->status = 0;
    user->error = Q_OK;
    user->on_over = NULL;
    user->user.events = &k_user_events;
    user->rig = rig;
}

struct q_conn_request conn_rig_request(const char *head, struct q_slice body) {
    return (struct q_conn_request){.head = q_slice_of_string(head), .body = body};
}

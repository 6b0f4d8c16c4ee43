// The HTTP/1.1 connection on the ring and the simulated kernel: dialling, one exchange after the other, everything that
// ends a connection, and what its user hears of it.
#define _GNU_SOURCE
#include "tests/engine/conn/conn_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A connection and what it told its owner.
struct scene {
    struct conn_rig rig;
    struct q_h1_conn h1;
    struct q_addresses addresses;
    int ready, freed, dying;
    bool is_ready, has_failed, is_closed, is_dying;
    struct q_error error;
    uint64_t opened_ns;
};

static struct rig_user the_user;

static struct scene *scene_of(struct q_conn *conn) {
    return conn->owner_context;
}

static void on_ready(struct q_conn *conn) {
    assert_int_equal(conn->state, Q_CONN_IDLE);
    scene_of(conn)->ready++;
    scene_of(conn)->is_ready = true;
}

static void on_connect_failed(struct q_conn *conn, struct q_error error) {
    assert_int_equal(conn->state, Q_CONN_CLOSING);
    assert_false(scene_of(conn)->has_failed);
    scene_of(conn)->has_failed = true;
    scene_of(conn)->error = error;
}

static void on_free(struct q_conn *conn) {
    assert_int_equal(conn->state, Q_CONN_IDLE);
    scene_of(conn)->freed++;
}

static void on_dying(struct q_conn *conn) {
    assert_int_equal(conn->state, Q_CONN_CLOSING);
    scene_of(conn)->dying++;
    scene_of(conn)->is_dying = true;
}

static void on_closed(struct q_conn *conn) {
    assert_false(scene_of(conn)->is_closed);
    assert_true(q_socket_is_quiet(&scene_of(conn)->h1.socket));
    scene_of(conn)->is_closed = true;
}

static const struct q_conn_owner_events k_owner = {.on_ready = on_ready,
                                                   .on_connect_failed = on_connect_failed,
                                                   .on_free = on_free,
                                                   .on_dying = on_dying,
                                                   .on_closed = on_closed};

static void open_scene(struct scene *s, struct conn_rig_options options) {
    memset(s, 0, sizeof *s);
    conn_rig_open(&s->rig, options);
    q_h1_conn_init(&s->h1, &s->rig.env);
    s->h1.conn.owner = &k_owner;
    s->h1.conn.owner_context = s;
    s->h1.conn.id = 7;
    s->addresses.count = 1;
    s->addresses.list[0] = q_address_v4((const uint8_t[4]){127, 0, 0, 1}, 80);
}

static void add_address(struct scene *s, uint8_t last, enum q_sim_answer answer, uint64_t delay_ns) {
    char text[8 + 20 + 1] = "127.0.0.";
    text[8 + q_u64_to_text(last, text + 8)] = 0;
    conn_rig_listen(&s->rig, text, 80, answer, delay_ns);
    s->addresses.list[s->addresses.count++] = q_address_v4((const uint8_t[4]){127, 0, 0, last}, 80);
}

static void dial(struct scene *s, uint64_t timeout_ns) {
    s->opened_ns = q_sim_now(s->rig.sim);
    struct q_error error = q_h1_conn_connect(&s->h1, &s->addresses, s->opened_ns + timeout_ns);
    assert_int_equal(error.code, Q_ERR_OK);
    assert_int_equal(s->h1.conn.state, Q_CONN_CONNECTING);
}

static void open_connected(struct scene *s, struct conn_rig_options options) {
    open_scene(s, options);
    dial(s, 5 * Q_NS_PER_S);
    conn_rig_until(&s->rig, &s->is_ready);
}

static void close_scene(struct scene *s) {
    if (!s->is_closed) {
        if (s->h1.conn.state != Q_CONN_CLOSING) {
            q_conn_close(&s->h1.conn);
        }
        conn_rig_until(&s->rig, &s->is_closed);
    }
    conn_rig_close(&s->rig);
}

static void start(struct scene *s, const char *head, struct q_slice body) {
    struct q_conn_request request = conn_rig_request(head, body);
    conn_rig_user(&the_user, &s->rig);
    q_conn_start(&s->h1.conn, &the_user.user, &request);
    assert_int_equal(the_user.diary_len, 0); // nothing comes from inside the call
}

static void exchange(struct scene *s) {
    start(s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_until(&s->rig, &the_user.is_over);
}

static void assert_data(const char *text) {
    assert_int_equal(the_user.data_len, strlen(text));
    assert_memory_equal(the_user.data, text, strlen(text));
}

// --- dialling --------------------------------------------------------------------------------------------------------

static void a_connection_becomes_idle_with_a_receive_armed(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    assert_int_equal(s.h1.conn.state, Q_CONN_IDLE);
    assert_true(s.h1.is_receiving);
    assert_int_equal(s.ready, 1);
    close_scene(&s);
    assert_int_equal(s.dying, 1);
}

static void a_refused_connect_is_the_kernels_own_word(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_true(s.has_failed);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_REFUSED);
    assert_int_equal(s.error.os_errno, ECONNREFUSED);
    assert_int_equal(s.error.retry_safe, 1);
    assert_int_equal(s.dying, 0); // it was never alive
    close_scene(&s);
}

static void the_next_address_is_tried_when_one_refuses(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_UNREACHABLE, 0);
    add_address(&s, 3, Q_SIM_ACCEPT, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_ready);
    assert_false(s.has_failed);
    exchange(&s);
    assert_string_equal(the_user.diary, "H200DE");
    close_scene(&s);
}

static void when_all_addresses_fail_the_last_error_is_told(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_UNREACHABLE, 0);
    dial(&s, 5 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_int_equal(s.error.code, Q_ERR_CONNECT_UNREACHABLE);
    close_scene(&s);
}

static void a_peer_that_never_answers_is_given_up_at_the_deadline(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){0});
    conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 0);
    add_address(&s, 2, Q_SIM_BLACKHOLE, 0);
    dial(&s, 3 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.has_failed);
    uint64_t took_ns = q_sim_now(s.rig.sim) - s.opened_ns;
    assert_true(took_ns >= 3 * Q_NS_PER_S && took_ns <= 3 * Q_NS_PER_S + 2 * Q_NS_PER_MS);
    assert_int_equal(s.error.code, Q_ERR_TIMEOUT_CONNECT);
    assert_int_equal(s.error.os_errno, ECONNREFUSED); // what the address before it had said
    assert_int_equal(s.error.retry_safe, 1);
    conn_rig_until(&s.rig, &s.is_closed);
    close_scene(&s);
}

// The deadline passes at every moment around the change from one address to the next.
static void a_deadline_between_two_addresses_ends_it_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){.seed = seed});
        conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, 10 * Q_NS_PER_MS);
        add_address(&s, 2, seed % 2 == 0 ? Q_SIM_REFUSE : Q_SIM_BLACKHOLE, 0);
        dial(&s, (9 + seed % 4) * Q_NS_PER_MS);
        conn_rig_until(&s.rig, &s.is_closed);
        assert_true(s.has_failed);
        assert_true(s.error.code == Q_ERR_TIMEOUT_CONNECT || s.error.code == Q_ERR_CONNECT_REFUSED);
        assert_int_equal(s.dying, 0);
        close_scene(&s);
    }
}

static void a_close_while_dialling_is_silent(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct scene s;
        open_scene(&s, (struct conn_rig_options){.seed = seed});
        conn_rig_listen(&s.rig, "127.0.0.1", 80, Q_SIM_REFUSE, Q_NS_PER_MS);
        add_address(&s, 2, Q_SIM_BLACKHOLE, 0);
        dial(&s, 5 * Q_NS_PER_S);
        conn_rig_run_for(&s.rig, (seed % 5) * Q_NS_PER_MS);
        q_conn_close(&s.h1.conn);
        conn_rig_until(&s.rig, &s.is_closed);
        assert_false(s.is_ready || s.has_failed);
        assert_int_equal(s.dying, 0);
        close_scene(&s);
    }
}

static void slot_closed(struct q_io_op *op) {
    (void)op;
}

static void without_a_free_slot_nothing_is_begun(void **state) {
    (void)state;
    struct scene s;
    struct q_io_slot slot;
    struct q_io_op close_op = {.done = slot_closed};
    open_scene(&s, (struct conn_rig_options){.num_slots = 2});
    assert_false(q_error_is(q_io_open(s.rig.loop.io, &slot))); // the bell has the other one
    struct q_error error = q_h1_conn_connect(&s.h1, &s.addresses, UINT64_MAX);
    assert_int_equal(error.code, Q_ERR_FD_LIMIT);
    assert_int_equal(error.retry_safe, 1);
    assert_int_equal(s.h1.conn.state, Q_CONN_NEW);
    q_io_close(s.rig.loop.io, slot, &close_op);
    while (close_op.busy) {
        conn_rig_tick(&s.rig);
    }
    dial(&s, Q_NS_PER_S); // and it can be tried again
    conn_rig_until(&s.rig, &s.is_ready);
    close_scene(&s);
}

// --- exchanges -------------------------------------------------------------------------------------------------------

static void one_connection_serves_one_exchange_after_the_other(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    for (int i = 1; i <= 5; i++) {
        exchange(&s);
        assert_string_equal(the_user.diary, "H200DE");
        assert_data("ok");
        assert_int_equal(the_user.progress.is_reused, i > 1);
        assert_int_equal(the_user.progress.connection_id, 7);
        assert_int_equal(the_user.progress.bytes_in, strlen(CONN_RIG_OK));
        assert_int_equal(the_user.progress.bytes_out, strlen(CONN_RIG_GET));
        assert_true(the_user.progress.has_response_begun);
        assert_int_equal(s.freed, i);
    }
    assert_int_equal(q_sim_conn_count(s.rig.sim), 1);
    assert_int_equal(s.rig.heads.num_out, 0); // an idle connection holds no memory
    close_scene(&s);
}

static void a_response_arrives_the_same_however_it_is_cut(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        s.rig.response =
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n";
        for (int i = 0; i < 2; i++) {
            exchange(&s);
            assert_string_equal(the_user.diary, "1H200DTE");
            assert_data("hello world");
        }
        close_scene(&s);
    }
}

static void a_body_is_sent_behind_its_head(void **state) {
    (void)state;
    static const char k_head[] = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    start(&s, k_head, Q_SLICE("body"));
    conn_rig_run_for(&s.rig, Q_NS_PER_MS);
    assert_int_equal(q_sim_conn_received(s.rig.last), strlen(k_head) + 4);
    conn_rig_say(&s.rig, CONN_RIG_OK);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_int_equal(the_user.progress.bytes_out, strlen(k_head) + 4);
    close_scene(&s);
}

// What ends the connection behind a response that is good.
static void a_connection_that_may_not_be_used_again_is_closed(void **state) {
    (void)state;
    static const struct {
        const char *response;
        bool asks_close;
    } k_cases[] = {
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
        {CONN_RIG_OK, true},
        {CONN_RIG_OK "stray", false}, // bytes behind a complete response, in the same segment
        {CONN_RIG_OK CONN_RIG_OK, false},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){0});
        s.rig.response = k_cases[i].response;
        struct q_conn_request request = conn_rig_request(CONN_RIG_GET, (struct q_slice){0});
        request.asks_close = k_cases[i].asks_close;
        conn_rig_user(&the_user, &s.rig);
        q_conn_start(&s.h1.conn, &the_user.user, &request);
        conn_rig_until(&s.rig, &the_user.is_over);
        assert_string_equal(the_user.diary, "H200DE");
        assert_data("ok");
        conn_rig_until(&s.rig, &s.is_closed);
        assert_int_equal(s.freed, 0);
        assert_int_equal(s.dying, 1);
        close_scene(&s);
    }
}

static void a_body_that_ends_with_the_connection_is_complete_with_the_fin(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_run_for(&s.rig, Q_NS_PER_MS);
    assert_string_equal(the_user.diary, "H200D");
    q_sim_conn_fin(s.rig.last);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "H200DE");
    assert_data("until the end");
    conn_rig_until(&s.rig, &s.is_closed);
    close_scene(&s);
}

// The server answers before it has read the request, and the request's rest is still in our hands.
static void a_response_before_the_request_is_sent_ends_the_connection_with_it(void **state) {
    (void)state;
    enum { LEN = 4 << 20 };
    struct scene s;
    char *body = calloc(1, LEN);
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    q_sim_conn_pause(s.rig.last, true);
    start(&s, "POST / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n", q_slice_make(body, LEN));
    conn_rig_run_for(&s.rig, Q_NS_PER_MS);
    assert_true(q_sim_conn_received(s.rig.last) < LEN);
    conn_rig_say(&s.rig, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "H413E");
    conn_rig_until(&s.rig, &s.is_closed);
    assert_int_equal(s.freed, 0); // a half-sent request must never be followed by another one
    free(body);
    close_scene(&s);
}

// --- how an exchange fails -------------------------------------------------------------------------------------------

enum hang_up { HANG_UP_FIN, HANG_UP_RESET };

static void an_exchange_that_is_cut_off_has_its_own_error(void **state) {
    (void)state;
    static const struct {
        const char *said;
        enum hang_up how;
        enum q_error_code code;
        bool has_begun;
    } k_cases[] = {
        {"", HANG_UP_FIN, Q_ERR_CONNECTION_CLOSED, false},
        {"", HANG_UP_RESET, Q_ERR_CONNECTION_RESET, false},
        {"HTTP/1.1 200", HANG_UP_FIN, Q_ERR_HTTP_TRUNCATED_HEAD, true},
        {"HTTP/1.1 200", HANG_UP_RESET, Q_ERR_CONNECTION_RESET, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", HANG_UP_FIN, Q_ERR_HTTP_TRUNCATED_BODY, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", HANG_UP_RESET, Q_ERR_CONNECTION_RESET, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", HANG_UP_FIN, Q_ERR_HTTP_TRUNCATED_BODY,
         true},
        {"HTTP/1.1 200 OK\r\n\r\nhalf", HANG_UP_RESET, Q_ERR_CONNECTION_RESET, true},
        {"nonsense\r\n\r\n", HANG_UP_FIN, 0, true},
    };
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){0});
        s.rig.response = k_cases[i].said;
        start(&s, CONN_RIG_GET, (struct q_slice){0});
        conn_rig_run_for(&s.rig, Q_NS_PER_MS);
        if (k_cases[i].how == HANG_UP_FIN) {
            q_sim_conn_fin(s.rig.last);
        } else {
            q_sim_conn_reset(s.rig.last);
        }
        conn_rig_until(&s.rig, &the_user.is_over);
        assert_int_equal(the_user.diary[the_user.diary_len - 1], 'F');
        if (k_cases[i].code != 0) {
            assert_int_equal(the_user.error.code, k_cases[i].code);
        }
        assert_int_equal(the_user.progress.has_response_begun, k_cases[i].has_begun);
        assert_int_equal(the_user.error.retry_safe, 0); // the request went out whole
        conn_rig_until(&s.rig, &s.is_closed);
        assert_int_equal(s.dying, 1);
        close_scene(&s);
    }
}

static void a_reset_that_the_send_may_find_first_is_told_once(void **state) {
    (void)state;
    int num_safe = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        s.rig.response = NULL;
        q_sim_conn_reset_now(s.rig.last); // it is on its way, or here, when the request starts
        exchange(&s);
        assert_string_equal(the_user.diary, "F");
        assert_int_equal(the_user.error.code, Q_ERR_CONNECTION_RESET);
        assert_false(the_user.progress.has_response_begun);
        if (the_user.error.retry_safe) { // the kernel has taken nothing, and said so
            assert_int_equal(the_user.progress.bytes_out, 0);
            num_safe++;
        }
        conn_rig_until(&s.rig, &s.is_closed);
        close_scene(&s);
    }
    assert_true(num_safe > 0);
}

// The server has answered early and resets; the answer waits for a slow user. The failed send must not fetch more
// behind its back, and what has arrived is not lost.
// A user that refuses is asked again when it says that it has room, and not before.
static void resume_until_over(struct scene *s) {
    for (int i = 0; i < 1000 && !the_user.is_over; i++) {
        conn_rig_run_for(&s->rig, 10 * Q_NS_PER_MS);
        q_conn_resume(&s->h1.conn);
    }
    assert_true(the_user.is_over);
}

static void a_failed_send_does_not_push_bytes_at_a_user_that_refuses_them(void **state) {
    (void)state;
    enum { LEN = 4 << 20, DATA = 6000 };
    struct scene s;
    static char data[DATA + 1];
    char *body = calloc(1, LEN);
    memset(data, 'd', DATA);
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    q_sim_conn_pause(s.rig.last, true);
    start(&s, "POST / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n", q_slice_make(body, LEN));
    the_user.refusals = 100;
    conn_rig_say(&s.rig, "HTTP/1.1 413 No\r\nContent-Length: 6000\r\n\r\n");
    conn_rig_say(&s.rig, data); // more than one buffer
    conn_rig_run_for(&s.rig, 50 * Q_NS_PER_MS);
    assert_string_equal(the_user.diary, "H413");
    assert_true(s.h1.is_sending);
    q_sim_conn_reset(s.rig.last);
    conn_rig_run_for(&s.rig, 50 * Q_NS_PER_MS);
    assert_false(s.h1.is_sending);
    assert_string_equal(the_user.diary, "H413"); // nobody has asked it again
    resume_until_over(&s);
    assert_string_equal(the_user.diary, "H413DE");
    assert_int_equal(the_user.data_len, DATA);
    conn_rig_until(&s.rig, &s.is_closed);
    assert_int_equal(s.freed, 0);
    free(body);
    close_scene(&s);
}

static void an_abandoned_exchange_hears_nothing_more(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        start(&s, CONN_RIG_GET, (struct q_slice){0});
        the_user.wants_no_more = seed % 3 == 0;
        for (uint64_t ticks = seed % 6; ticks > 0 && !the_user.is_over; ticks--) {
            conn_rig_tick(&s.rig);
        }
        if (!the_user.is_over) {
            size_t diary_len = the_user.diary_len;
            struct q_conn_progress progress;
            q_conn_abandon(&s.h1.conn, &progress);
            conn_rig_until(&s.rig, &s.is_closed);
            assert_int_equal(the_user.diary_len, diary_len);
            assert_int_equal(s.dying, 1);
        }
        close_scene(&s);
    }
}

// --- idle ------------------------------------------------------------------------------------------------------------

static void whatever_an_idle_connection_hears_ends_it_at_once(void **state) {
    (void)state;
    for (int used = 0; used < 2; used++) {
        for (int what = 0; what < 3; what++) {
            struct scene s;
            open_connected(&s, (struct conn_rig_options){0});
            if (used) {
                exchange(&s);
            }
            uint64_t now = q_sim_now(s.rig.sim);
            if (what == 0) {
                q_sim_conn_fin(s.rig.last);
            } else if (what == 1) {
                q_sim_conn_reset(s.rig.last);
            } else {
                conn_rig_say(&s.rig, CONN_RIG_OK); // an answer to nothing: it must never meet the next request
            }
            conn_rig_until(&s.rig, &s.is_dying);
            assert_true(q_sim_now(s.rig.sim) < now + Q_NS_PER_S);
            conn_rig_until(&s.rig, &s.is_closed);
            assert_int_equal(s.dying, 1);
            close_scene(&s);
        }
    }
}

static void an_idle_connection_is_closed_when_its_time_is_up(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){.idle_timeout_ns = 10 * Q_NS_PER_S});
    conn_rig_run_for(&s.rig, 8 * Q_NS_PER_S);
    exchange(&s);
    uint64_t idle_since = q_sim_now(s.rig.sim);
    conn_rig_run_for(&s.rig, 9 * Q_NS_PER_S); // the first alarm would have been in the middle
    assert_int_equal(s.h1.conn.state, Q_CONN_IDLE);
    conn_rig_until(&s.rig, &s.is_dying);
    uint64_t idle_ns = q_sim_now(s.rig.sim) - idle_since;
    assert_true(idle_ns >= 10 * Q_NS_PER_S && idle_ns <= 10 * Q_NS_PER_S + 5 * Q_NS_PER_MS);
    conn_rig_until(&s.rig, &s.is_closed);
    close_scene(&s);
}

static void a_busy_connection_has_no_idle_timeout(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){.idle_timeout_ns = Q_NS_PER_S});
    s.rig.response = NULL;
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_run_for(&s.rig, 30 * Q_NS_PER_S);
    assert_int_equal(s.h1.conn.state, Q_CONN_BUSY);
    conn_rig_say(&s.rig, CONN_RIG_OK);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "H200DE");
    conn_rig_until(&s.rig, &s.is_closed); // and now it has one
    close_scene(&s);
}

// --- back-pressure and memory ----------------------------------------------------------------------------------------

static void what_the_user_refused_is_offered_again_and_nothing_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        s.rig.response = "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\n";
        start(&s, CONN_RIG_GET, (struct q_slice){0});
        the_user.refusals = 1 + (int)(seed % 7);
        resume_until_over(&s);
        assert_string_equal(the_user.diary, "1H200DTE");
        assert_data("abcdef");
        assert_int_equal(s.freed, 1);
        close_scene(&s);
    }
}

static void a_user_that_wants_no_more_stops_the_receive(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_run_for(&s.rig, Q_NS_PER_MS);
    the_user.wants_no_more = true;
    static char block[100001];
    memset(block, 'b', 100000);
    conn_rig_say(&s.rig, block);
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    size_t before = the_user.data_len;
    assert_true(before <= 4096); // what was under way already
    assert_true(q_sim_conn_unread(s.rig.last) > 90000);
    assert_int_equal(s.rig.heads.num_out, 0); // paused, it holds nothing
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_int_equal(the_user.data_len, before);
    the_user.wants_no_more = false;
    q_conn_resume(&s.h1.conn);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_int_equal(the_user.data_len, 100000);
    assert_string_equal(the_user.diary, "H200DE");
    close_scene(&s);
}

static void a_resume_that_is_not_needed_does_no_harm(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    q_conn_resume(&s.h1.conn); // idle
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    q_conn_resume(&s.h1.conn); // receiving already
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "H200DE");
    close_scene(&s);
}

static void a_head_that_finds_no_memory_waits_for_it(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    uint64_t limit = s.rig.budget.limit;
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    s.rig.budget.limit = s.rig.budget.used + 4096; // no room for a head any more
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_string_equal(the_user.diary, "");
    s.rig.budget.limit = limit;
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "H200DE");
    assert_int_equal(s.freed, 1);
    close_scene(&s);
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){0});
        s.rig.response = "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        q_failalloc_fail_at(s.rig.memory, nth);
        exchange(&s); // memory comes from chunks alone, and a chunk that is not there is waited for
        assert_string_equal(the_user.diary, "1H200DTE");
        failed = q_failalloc_failed(s.rig.memory);
        close_scene(&s);
        assert_true(nth < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_becomes_idle_with_a_receive_armed),
        cmocka_unit_test(a_refused_connect_is_the_kernels_own_word),
        cmocka_unit_test(the_next_address_is_tried_when_one_refuses),
        cmocka_unit_test(when_all_addresses_fail_the_last_error_is_told),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up_at_the_deadline),
        cmocka_unit_test(a_deadline_between_two_addresses_ends_it_once),
        cmocka_unit_test(a_close_while_dialling_is_silent),
        cmocka_unit_test(without_a_free_slot_nothing_is_begun),
        cmocka_unit_test(one_connection_serves_one_exchange_after_the_other),
        cmocka_unit_test(a_response_arrives_the_same_however_it_is_cut),
        cmocka_unit_test(a_body_is_sent_behind_its_head),
        cmocka_unit_test(a_connection_that_may_not_be_used_again_is_closed),
        cmocka_unit_test(a_body_that_ends_with_the_connection_is_complete_with_the_fin),
        cmocka_unit_test(a_response_before_the_request_is_sent_ends_the_connection_with_it),
        cmocka_unit_test(an_exchange_that_is_cut_off_has_its_own_error),
        cmocka_unit_test(a_reset_that_the_send_may_find_first_is_told_once),
        cmocka_unit_test(a_failed_send_does_not_push_bytes_at_a_user_that_refuses_them),
        cmocka_unit_test(an_abandoned_exchange_hears_nothing_more),
        cmocka_unit_test(whatever_an_idle_connection_hears_ends_it_at_once),
        cmocka_unit_test(an_idle_connection_is_closed_when_its_time_is_up),
        cmocka_unit_test(a_busy_connection_has_no_idle_timeout),
        cmocka_unit_test(what_the_user_refused_is_offered_again_and_nothing_is_lost),
        cmocka_unit_test(a_user_that_wants_no_more_stops_the_receive),
        cmocka_unit_test(a_resume_that_is_not_needed_does_no_harm),
        cmocka_unit_test(a_head_that_finds_no_memory_waits_for_it),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

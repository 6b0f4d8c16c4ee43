// The HTTP/1.1 connection on the ring and the simulated kernel: one exchange after the other, everything that ends a
// connection, and what its user hears of it.
#define _GNU_SOURCE
#include "tests/engine/conn/h1_rig.h"

#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void count_release(void *context, struct q_loop *loop) {
    assert_non_null(loop);
    ++*(int *)context;
}

// The kernel reads head and body until the send is over, however early the exchange is.
static void what_is_sent_is_released_once_when_nobody_reads_it_any_more(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct scene s;
        int released = 0;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        struct q_conn_request request = conn_rig_request(CONN_RIG_GET, Q_SLICE("body"));
        request.release = count_release;
        request.release_context = &released;
        conn_rig_user(&the_user, &s.rig);
        q_conn_start(&s.h1.conn, &the_user.user, &request);
        assert_int_equal(released, 0);
        for (uint64_t ticks = seed % 4; ticks > 0 && !the_user.is_over; ticks--) {
            conn_rig_tick(&s.rig);
            assert_int_equal(released, !s.h1.is_sending);
        }
        if (!the_user.is_over) {
            struct q_conn_progress progress;
            q_conn_abandon(&s.h1.conn, &progress);
            assert_int_equal(released, !s.h1.is_sending);
        }
        close_scene(&s);
        assert_int_equal(released, 1);
    }
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

static void stray(struct q_sim_conn *conn) { q_sim_conn_send(conn, "stray", 5); }

static void nothing_more(struct q_sim_conn *conn) { (void)conn; }

static void (*the_end_of_it)(struct q_sim_conn *conn);

// A response that fills a buffer to its last byte, and behind it, in the same turn, what is in the next one.
static void fill_a_buffer_and_go_on(struct conn_rig *rig, struct q_sim_conn *conn, int number) {
    enum { BUFFER = 4096, BODY = BUFFER - 41 };
    static char response[BUFFER + 1];
    (void)number;
    int len = snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY);
    assert_int_equal(len + BODY, rig->buffers.capacity);
    memset(response + len, 'b', BODY);
    q_sim_conn_send(conn, response, BUFFER);
    the_end_of_it(conn);
}

// On a connection that was used before, the kernel's receive goes on by itself: what comes behind a response is with the
// ring when the response ends, and it is known there. What is known already must not meet the next request.
static void a_connection_with_bytes_or_an_end_that_nobody_asked_for_is_not_used_again(void **state) {
    (void)state;
    static void (*const k_ends[])(struct q_sim_conn *) = {nothing_more, stray, q_sim_conn_fin};
    for (size_t i = 0; i < Q_COUNT_OF(k_ends); i++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){0});
        exchange(&s);
        assert_int_equal(s.freed, 1);
        s.rig.on_request = fill_a_buffer_and_go_on;
        the_end_of_it = k_ends[i];
        exchange(&s);
        assert_string_equal(the_user.diary, "H200DE");
        assert_true(the_user.progress.is_reused);
        assert_int_equal(s.freed, i == 0 ? 2 : 1);
        assert_int_equal(s.dying, i == 0 ? 0 : 1);
        if (i > 0) {
            conn_rig_until(&s.rig, &s.is_closed);
        }
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

// A user that refuses is asked again when it says that it has room, and not before.
static void resume_until_over(struct scene *s) {
    for (int i = 0; i < 1000 && !the_user.is_over; i++) {
        conn_rig_run_for(&s->rig, 10 * Q_NS_PER_MS);
        q_conn_resume(&s->h1.conn);
    }
    assert_true(the_user.is_over);
}

// The server has answered early and resets; the answer waits for a slow user. The failed send must not fetch more
// behind its back, and what has arrived is not lost.
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

static void a_send_that_fails_without_a_reset_fails_its_exchange_at_once(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    q_sim_fail_op(s.rig.sim, IORING_OP_SEND, 1, ENOBUFS);
    exchange(&s);
    assert_string_equal(the_user.diary, "F");
    assert_int_equal(the_user.error.code, Q_ERR_CONNECTION_FAILED);
    assert_int_equal(the_user.error.os_errno, ENOBUFS);
    assert_int_equal(the_user.error.retry_safe, 1); // the kernel has not taken a byte
    conn_rig_until(&s.rig, &s.is_closed);
    close_scene(&s);
}

// The kernel told the send of the reset, and the receive finds an end: the send's word is told.
static void a_reset_that_the_send_found_is_told_as_the_sends(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    q_sim_fail_op(s.rig.sim, IORING_OP_SEND, 1, EPIPE);
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_run_for(&s.rig, 5 * Q_NS_PER_MS);
    assert_false(the_user.is_over); // the server may still have something to say
    q_sim_conn_fin(s.rig.last);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_string_equal(the_user.diary, "F");
    assert_int_equal(the_user.error.code, Q_ERR_CONNECTION_RESET);
    assert_int_equal(the_user.error.phase, Q_PHASE_SEND);
    assert_int_equal(the_user.error.os_errno, EPIPE);
    assert_int_equal(the_user.error.retry_safe, 1);
    conn_rig_until(&s.rig, &s.is_closed);
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

static void what_was_left_for_connecting_is_no_idle_time(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, (struct conn_rig_options){.idle_timeout_ns = Q_NS_PER_S});
    dial(&s, 30 * Q_NS_PER_S);
    conn_rig_until(&s.rig, &s.is_ready);
    conn_rig_run_for(&s.rig, Q_NS_PER_S + 10 * Q_NS_PER_MS);
    assert_true(s.is_dying);
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

// A head that is refused holds back everything behind it, and the connection's end too.
static void a_final_head_may_be_refused_for_as_long_as_it_takes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct scene s;
        open_connected(&s, (struct conn_rig_options){.seed = seed});
        s.rig.response = "HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        start(&s, CONN_RIG_GET, (struct q_slice){0});
        the_user.head_refusals = 1 + (int)(seed % 4);
        conn_rig_run_for(&s.rig, 100 * Q_NS_PER_MS);
        assert_string_equal(the_user.diary, "");
        if (seed % 2 == 0) {
            q_sim_conn_fin(s.rig.last);
            conn_rig_run_for(&s.rig, 100 * Q_NS_PER_MS);
            assert_string_equal(the_user.diary, "");
        }
        resume_until_over(&s);
        assert_string_equal(the_user.diary, "H302DTE");
        assert_data("abc");
        close_scene(&s);
    }
}

static void a_refused_head_alone_holds_no_receive_buffer(void **state) {
    (void)state;
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n";
    start(&s, CONN_RIG_GET, (struct q_slice){0});
    the_user.head_refusals = 1;
    conn_rig_run_for(&s.rig, 100 * Q_NS_PER_MS);
    assert_null(s.h1.chunk);
    assert_int_equal(s.rig.heads.num_out, 1);
    resume_until_over(&s);
    assert_string_equal(the_user.diary, "H302E");
    assert_int_equal(s.freed, 1);
    close_scene(&s);
}

// The send fails while the head is refused: the head is told first, then the failure; without asking again, nothing.
static void a_send_that_fails_behind_a_refused_head_is_told_behind_it(void **state) {
    (void)state;
    enum { LEN = 4 << 20 };
    char *body = calloc(1, LEN);
    struct scene s;
    open_connected(&s, (struct conn_rig_options){0});
    s.rig.response = NULL;
    q_sim_conn_pause(s.rig.last, true);
    start(&s, "POST / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n", q_slice_make(body, LEN));
    the_user.head_refusals = 1;
    conn_rig_say(&s.rig, "HTTP/1.1 302 Found\r\nContent-Length: 3\r\n\r\n");
    conn_rig_run_for(&s.rig, 50 * Q_NS_PER_MS);
    assert_true(s.h1.is_sending);
    // As the stream would say it; the operation itself goes down with the connection.
    struct q_stream *stream = &s.h1.socket.stream;
    stream->events->on_sent(stream, 1000, q_error_os(Q_ERR_CONNECTION_FAILED, Q_PHASE_SEND, ENOBUFS));
    assert_string_equal(the_user.diary, "");
    resume_until_over(&s);
    assert_string_equal(the_user.diary, "H302F");
    assert_int_equal(the_user.error.os_errno, ENOBUFS);
    conn_rig_until(&s.rig, &s.is_closed);
    free(body);
    close_scene(&s);
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
        cmocka_unit_test(one_connection_serves_one_exchange_after_the_other),
        cmocka_unit_test(a_response_arrives_the_same_however_it_is_cut),
        cmocka_unit_test(a_body_is_sent_behind_its_head),
        cmocka_unit_test(what_is_sent_is_released_once_when_nobody_reads_it_any_more),
        cmocka_unit_test(a_connection_that_may_not_be_used_again_is_closed),
        cmocka_unit_test(a_connection_with_bytes_or_an_end_that_nobody_asked_for_is_not_used_again),
        cmocka_unit_test(a_body_that_ends_with_the_connection_is_complete_with_the_fin),
        cmocka_unit_test(a_response_before_the_request_is_sent_ends_the_connection_with_it),
        cmocka_unit_test(an_exchange_that_is_cut_off_has_its_own_error),
        cmocka_unit_test(a_reset_that_the_send_may_find_first_is_told_once),
        cmocka_unit_test(a_failed_send_does_not_push_bytes_at_a_user_that_refuses_them),
        cmocka_unit_test(a_send_that_fails_without_a_reset_fails_its_exchange_at_once),
        cmocka_unit_test(a_reset_that_the_send_found_is_told_as_the_sends),
        cmocka_unit_test(an_abandoned_exchange_hears_nothing_more),
        cmocka_unit_test(whatever_an_idle_connection_hears_ends_it_at_once),
        cmocka_unit_test(an_idle_connection_is_closed_when_its_time_is_up),
        cmocka_unit_test(what_was_left_for_connecting_is_no_idle_time),
        cmocka_unit_test(a_busy_connection_has_no_idle_timeout),
        cmocka_unit_test(what_the_user_refused_is_offered_again_and_nothing_is_lost),
        cmocka_unit_test(a_final_head_may_be_refused_for_as_long_as_it_takes),
        cmocka_unit_test(a_refused_head_alone_holds_no_receive_buffer),
        cmocka_unit_test(a_send_that_fails_behind_a_refused_head_is_told_behind_it),
        cmocka_unit_test(a_user_that_wants_no_more_stops_the_receive),
        cmocka_unit_test(a_resume_that_is_not_needed_does_no_harm),
        cmocka_unit_test(a_head_that_finds_no_memory_waits_for_it),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What is fed into an upgraded connection: order, gathering, the end, and what is given up; and the connection itself,
// once it was switched.
#include "engine/conn/h1_feeds.h"
#include "tests/engine/conn/h1_rig.h"

#include <string.h>

#define GET_UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
#define SWITCHED    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"

// --- the list, without a connection ----------------------------------------------------------------------------------

static struct q_loop the_loop;
static struct q_h1_feeds feeds;
static struct q_failalloc *failalloc;
static struct iovec parts[8];
static unsigned num_parts;

static void open_list(void) {
    static const struct q_loop_steps k_steps;
    failalloc = q_failalloc_new();
    q_loop_init(&the_loop, NULL, q_clock_monotonic(), NULL, 1, &k_steps, NULL);
    q_loop_bind(&the_loop);
    feeds = (struct q_h1_feeds){0};
    q_h1_feeds_begin(&feeds);
}

static void close_list(void) {
    q_h1_feeds_drop(&feeds, &the_loop);
    assert_false(feeds.is_open || feeds.is_broken || feeds.is_end_due || feeds.has_ended); // as before its first use
    q_h1_feeds_drop(&feeds, &the_loop); // legal on nothing
    q_loop_say_farewells(&the_loop);
    char text[256];
    if (!q_failalloc_check(failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(failalloc);
}

static struct q_feed *feed_of(struct q_failalloc *memory, const char *text, size_t len) {
    struct q_feed *feed = q_feed_new(q_failalloc_alloc(memory), (struct q_handle){0}, text, len, NULL, NULL);
    assert_non_null(feed);
    return feed;
}

static uint64_t take(const char *text) {
    return q_h1_feeds_take(&feeds, feed_of(failalloc, text, strlen(text)), &the_loop);
}

static enum q_h1_feeds_next next(void) {
    return q_h1_feeds_next(&feeds, parts, 8, &num_parts);
}

static void pieces_go_in_order_and_together(void **state) {
    (void)state;
    open_list();
    assert_int_equal(next(), Q_H1_FEEDS_NOTHING);
    assert_int_equal(take("one"), 0);
    assert_int_equal(take("two"), 0);
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(num_parts, 2);
    assert_memory_equal(parts[0].iov_base, "one", 3);
    assert_memory_equal(parts[1].iov_base, "two", 3);
    assert_int_equal(take("three"), 0); // while the others are under way
    assert_int_equal(q_h1_feeds_sent(&feeds, false, &the_loop), 256);
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(num_parts, 1);
    assert_memory_equal(parts[0].iov_base, "three", 5);
    assert_int_equal(q_h1_feeds_sent(&feeds, false, &the_loop), 128);
    assert_int_equal(next(), Q_H1_FEEDS_NOTHING);
    close_list();
}

static void what_is_gathered_is_bounded(void **state) {
    (void)state;
    static char big[50000];
    open_list();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(take("x"), 0);
    }
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(num_parts, 8);
    assert_int_equal(q_h1_feeds_sent(&feeds, false, &the_loop), 8 * 128);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(q_h1_feeds_take(&feeds, feed_of(failalloc, big, sizeof big), &the_loop), 0);
    }
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(num_parts, 4); // two small ones, and two that together are beyond the bound
    assert_int_equal(q_h1_feeds_sent(&feeds, false, &the_loop), 2 * 128 + 2 * sizeof big);
    close_list();
}

static void the_end_comes_behind_everything_and_once(void **state) {
    (void)state;
    open_list();
    assert_int_equal(take("one"), 0);
    assert_int_equal(take(""), 0);       // the end
    assert_int_equal(take("late"), 128); // given up
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(num_parts, 1);
    assert_int_equal(q_h1_feeds_sent(&feeds, false, &the_loop), 128);
    assert_int_equal(next(), Q_H1_FEEDS_END);
    assert_int_equal(next(), Q_H1_FEEDS_NOTHING);
    close_list();
}

static void a_failure_gives_everything_up(void **state) {
    (void)state;
    open_list();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(take("x"), 0);
    }
    assert_int_equal(take(""), 0);
    assert_int_equal(next(), Q_H1_FEEDS_SEND);
    assert_int_equal(q_h1_feeds_sent(&feeds, true, &the_loop), 10 * 128);
    assert_int_equal(next(), Q_H1_FEEDS_NOTHING); // nor is there an end to send
    assert_int_equal(take("x"), 128);
    close_list();
}

// --- a connection that was switched ----------------------------------------------------------------------------------

static struct {
    int num_peer_ends;
    uint64_t fed;
    bool is_peer_done;
} heard;

static const struct q_conn_user_events *plain_events;
static struct q_conn_user_events events;

static void on_peer_end(struct q_conn_user *user) {
    (void)user;
    heard.num_peer_ends++;
    heard.is_peer_done = true;
}

static void on_fed(struct q_conn_user *user, uint64_t bytes) {
    (void)user;
    heard.fed += bytes;
}

static bool has_diary(const char *text) {
    return strncmp(the_user.diary, text, strlen(text)) == 0;
}

// A connection on which the server has switched, and said `text` behind its head.
static void open_switched(struct scene *s, const char *text) {
    open_connected(s, (struct conn_rig_options){0});
    s->rig.response = NULL;
    struct q_conn_request request = conn_rig_request(GET_UPGRADE, (struct q_slice){0});
    request.upgrade = Q_SLICE("raw");
    conn_rig_user(&the_user, &s->rig);
    plain_events = the_user.user.events;
    events = *plain_events;
    events.on_peer_end = on_peer_end;
    events.on_fed = on_fed;
    the_user.user.events = &events;
    memset(&heard, 0, sizeof heard);
    q_conn_start(&s->h1.conn, &the_user.user, &request);
    while (s->rig.num_requests == 0) {
        conn_rig_tick(&s->rig);
    }
    conn_rig_say(&s->rig, SWITCHED);
    conn_rig_say(&s->rig, text);
    for (int i = 0; i < 1000 && (!has_diary("H101") || the_user.data_len < strlen(text)); i++) {
        conn_rig_tick(&s->rig);
    }
    assert_true(has_diary("H101"));
    assert_data(text);
}

static void feed(struct scene *s, const char *text) {
    q_conn_feed(&s->h1.conn, feed_of(s->rig.memory, text, strlen(text)));
}

static void abandon_and_close(struct scene *s) {
    struct q_conn_progress progress;
    q_conn_abandon(&s->h1.conn, &progress);
    close_scene(s);
}

static void fed_bytes_reach_the_peer_and_are_counted(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "hello");
    uint64_t before = q_sim_conn_received(s.rig.last);
    feed(&s, "abc");
    feed(&s, "defgh");
    while (heard.fed < 256) {
        conn_rig_tick(&s.rig);
    }
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_int_equal(q_sim_conn_received(s.rig.last), before + 8);
    assert_int_equal(s.h1.bytes_out, strlen(GET_UPGRADE) + 8);
    assert_int_equal(heard.num_peer_ends, 0);
    abandon_and_close(&s);
}

static void our_end_reaches_the_peer_behind_what_was_fed(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "");
    uint64_t before = q_sim_conn_received(s.rig.last);
    q_sim_conn_delay(s.rig.last, Q_NS_PER_S);
    conn_rig_say(&s.rig, "still here");
    feed(&s, "abc");
    feed(&s, "");
    conn_rig_run_for(&s.rig, Q_NS_PER_S / 2);
    assert_int_equal(s.rig.num_fins, 1); // upon which this server ends too, behind what it says
    assert_int_equal(q_sim_conn_received(s.rig.last), before + 3);
    assert_int_equal(heard.num_peer_ends, 0);
    conn_rig_until(&s.rig, &heard.is_peer_done);
    assert_data("still here");
    abandon_and_close(&s);
}

static void the_peers_end_leaves_the_connection_to_its_user(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "bye");
    q_sim_conn_fin(s.rig.last);
    conn_rig_until(&s.rig, &heard.is_peer_done);
    assert_false(the_user.is_over);
    q_conn_resume(&s.h1.conn); // receives nothing more
    assert_false(s.h1.is_receiving);
    feed(&s, "last words");
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_int_equal(heard.fed, 128);
    assert_int_equal(heard.num_peer_ends, 1);
    abandon_and_close(&s);
}

static void a_reset_is_a_failure(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "");
    q_sim_conn_reset(s.rig.last);
    conn_rig_until(&s.rig, &the_user.is_over);
    assert_int_equal(the_user.error.code, Q_ERR_CONNECTION_RESET);
    assert_int_equal(the_user.error.phase, Q_PHASE_BODY);
    assert_int_equal(the_user.error.retry_safe, 0);
    close_scene(&s);
}

static void without_credit_nothing_is_received(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "a");
    the_user.wants_no_more = true;
    conn_rig_say(&s.rig, "b");
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    size_t len = the_user.data_len; // what was asked for already may still come
    assert_false(s.h1.is_receiving);
    conn_rig_say(&s.rig, "c");
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_int_equal(the_user.data_len, len);
    the_user.wants_no_more = false;
    q_conn_resume(&s.h1.conn);
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_data("abc");
    abandon_and_close(&s);
}

// What is under way or waits when the connection is given up is kept until the kernel does not look at it any more.
static void abandoning_keeps_what_the_kernel_reads(void **state) {
    (void)state;
    struct scene s;
    open_switched(&s, "");
    q_sim_conn_pause(s.rig.last, true);
    static char big[1 << 20];
    for (int i = 0; i < 3; i++) {
        q_conn_feed(&s.h1.conn, feed_of(s.rig.memory, big, sizeof big));
    }
    conn_rig_run_for(&s.rig, Q_NS_PER_S);
    assert_true(s.h1.is_sending);
    abandon_and_close(&s); // the rig finds what leaks, and the kernel what it reads too late
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_go_in_order_and_together),
        cmocka_unit_test(what_is_gathered_is_bounded),
        cmocka_unit_test(the_end_comes_behind_everything_and_once),
        cmocka_unit_test(a_failure_gives_everything_up),
        cmocka_unit_test(fed_bytes_reach_the_peer_and_are_counted),
        cmocka_unit_test(our_end_reaches_the_peer_behind_what_was_fed),
        cmocka_unit_test(the_peers_end_leaves_the_connection_to_its_user),
        cmocka_unit_test(a_reset_is_a_failure),
        cmocka_unit_test(without_credit_nothing_is_received),
        cmocka_unit_test(abandoning_keeps_what_the_kernel_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

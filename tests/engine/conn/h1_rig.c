#define _GNU_SOURCE
#include "tests/engine/conn/h1_rig.h"

#include <string.h>

struct rig_user the_user;

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

void open_scene(struct scene *s, struct conn_rig_options options) {
    memset(s, 0, sizeof *s);
    conn_rig_open(&s->rig, options);
    q_h1_conn_init(&s->h1, &s->rig.env);
    s->h1.conn.owner = &k_owner;
    s->h1.conn.owner_context = s;
    s->h1.conn.id = 7;
    strcat(s->peers, "127.0.0.1 peer\n");
}

void add_address(struct scene *s, uint8_t last, enum q_sim_answer answer, uint64_t delay_ns) {
    char text[8 + 20 + 1] = "127.0.0.";
    text[8 + q_u64_to_text(last, text + 8)] = 0;
    conn_rig_listen(&s->rig, text, 80, answer, delay_ns);
    assert_true(strlen(s->peers) + strlen(text) + sizeof " peer\n" < sizeof s->peers);
    strcat(strcat(s->peers, text), " peer\n");
}

void dial(struct scene *s, uint64_t timeout_ns) {
    s->opened_ns = q_sim_now(s->rig.sim);
    if (s->rig.hosts.alloc == NULL) {
        assert_false(q_error_is(q_hosts_parse(&s->rig.hosts, q_alloc_libc(), q_slice_of_string(s->peers))));
    }
    struct q_dial_target target = {.name = Q_SLICE("peer"), .port = 80, .options = &s->options};
    struct q_error error = q_h1_conn_connect(&s->h1, &target, s->opened_ns + timeout_ns);
    assert_int_equal(error.code, Q_ERR_OK);
    assert_int_equal(s->h1.conn.state, Q_CONN_CONNECTING);
}

void open_connected(struct scene *s, struct conn_rig_options options) {
    open_scene(s, options);
    dial(s, 5 * Q_NS_PER_S);
    conn_rig_until(&s->rig, &s->is_ready);
}

void close_scene(struct scene *s) {
    if (!s->is_closed) {
        if (s->h1.conn.state != Q_CONN_CLOSING) {
            q_conn_close(&s->h1.conn);
        }
        conn_rig_until(&s->rig, &s->is_closed);
    }
    conn_rig_close(&s->rig);
}

void start(struct scene *s, const char *head, struct q_slice body) {
    struct q_conn_request request = conn_rig_request(head, body);
    conn_rig_user(&the_user, &s->rig);
    q_conn_start(&s->h1.conn, &the_user.user, &request);
    assert_int_equal(the_user.diary_len, 0); // nothing comes from inside the call
}

void exchange(struct scene *s) {
    start(s, CONN_RIG_GET, (struct q_slice){0});
    conn_rig_until(&s->rig, &the_user.is_over);
}

void assert_data(const char *text) {
    assert_int_equal(the_user.data_len, strlen(text));
    assert_memory_equal(the_user.data, text, strlen(text));
}

// The key log as events: to the ports that asked, of the configurations that say so; what finds no room is counted, and nobody
// waits for it.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/support/certs.h"

static struct host host;
static struct bench_server *the_server;
static struct q_cert *the_root;
static struct q_cert *the_leaf;

// What the lines said.
static struct {
    unsigned num_lines;
    unsigned num_good;
    uint64_t lost;
} seen;

static void look(struct host *the_host, const struct quoit_event *event) {
    (void)the_host;
    if (event->type == QUOIT_EVENT_KEY_LOG) {
        const struct quoit_key_log *log = &event->u.key_log;
        seen.num_lines++;
        seen.lost = log->lost;
        seen.num_good += event->request.id == 0 && log->line_len == strlen(log->line) && strchr(log->line, '\n') == NULL &&
                         (strncmp(log->line, "CLIENT_", 7) == 0 || strncmp(log->line, "SERVER_", 7) == 0 ||
                          strncmp(log->line, "EXPORTER_", 9) == 0);
    }
}

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, "root", 1);
    the_leaf = q_certs_make(the_root, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 2});
    the_server = bench_server_start(
        &(struct bench_server_options){.tls_cert = the_leaf->pem, .tls_key = the_leaf->key_pem});
    return the_server == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    bench_server_stop(the_server);
    q_certs_free(the_leaf);
    q_certs_free(the_root);
    return 0;
}

static void start(int logs, uint32_t wants, uint32_t capacity) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, the_root->pem, strlen(the_root->pem)), QUOIT_OK);
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_KEY_LOG_EVENTS, logs), QUOIT_OK);
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    memset(&seen, 0, sizeof seen);
    host_start(&host, &(struct quoit_engine_options){.tls = tls},
               &(struct quoit_port_options){.key_log = wants, .capacity = capacity});
    quoit_tls_release(tls);
    host.on_event = look;
}

static void get(uint32_t index) {
    char url[HOST_URL_MAX];
    struct quoit_request *request = host_request("GET", bench_server_url(the_server, "/size/10", url, sizeof url));
    assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
    host_submit(&host, index, request);
}

static void each_connection_tells_its_secrets(void **state) {
    (void)state;
    start(1, 1, 0);
    get(0);
    host_assert_done(host_wait(&host, 0), 10);
    assert_in_range(seen.num_lines, 4, 8); // of TLS 1.3: two of the handshake, two of the traffic, the exporter's
    assert_int_equal(seen.num_good, seen.num_lines);
    assert_int_equal(seen.lost, 0);
    host_stop(&host);
}

static void nobody_is_told_who_did_not_ask(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        start(i, !i, 0);
        get(0);
        host_assert_done(host_wait(&host, 0), 10);
        assert_int_equal(seen.num_lines, 0);
        host_stop(&host);
    }
}

// A port with five places for what is not reserved, which the first connection's lines take up: the others are made all the
// same, and only what the host is to be told waits for it.
static void what_finds_no_room_is_counted(void **state) {
    (void)state;
    start(1, 1, 16);
    for (uint32_t i = 0; i < 5; i++) {
        get(i);
    }
    for (uint32_t i = 0; i < 5; i++) {
        host_until_stage(&host, i, QUOIT_STAGE_PAUSED); // nothing is drained meanwhile
    }
    host_wait_all(&host, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(host.records[i].num_ends, 1);
    }
    get(5);
    host_assert_done(host_wait(&host, 5), 10);
    assert_true(seen.lost > 0);
    host_stop(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_tells_its_secrets),
        cmocka_unit_test(nobody_is_told_who_did_not_ask),
        cmocka_unit_test(what_finds_no_room_is_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// Sessions of TLS between connections of one engine and Debian's nginx, through the C API. Each request has a connection of
// its own; whether it took up a session, the summary and nginx's log must say alike.
#include "tests/engine/core/host.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/e2e/nginx_tls.h"

enum { ROUNDS = 5, CROWD = 24 };

struct stage {
    struct nginx_tls nginx;
    struct host host;
    uint32_t num_requests;
};

static struct stage the_stage;

static struct quoit_tls *builder(const char *roots) {
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, roots, strlen(roots)), QUOIT_OK);
    return tls;
}

static struct quoit_tls *frozen(struct quoit_tls *tls) {
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    return tls;
}

static void start_engine(struct stage *s) {
    struct quoit_tls *tls = frozen(builder(s->nginx.roots));
    host_start(&s->host, &(struct quoit_engine_options){.tls = tls}, NULL);
    quoit_tls_release(tls);
}

static struct stage *stage_open(const struct nginx_tls_options *options) {
    struct stage *s = &the_stage;
    *s = (struct stage){.nginx = nginx_tls_start(options)};
    nginx_add_file(&s->nginx.nginx, "1.bin", 1);
    start_engine(s);
    return s;
}

static void stage_close(struct stage *s) {
    host_stop(&s->host);
    nginx_tls_stop(&s->nginx);
}

// A request whose connection is its own, by `tls`, which is released; NULL: the engine's. `host`: NULL is the address.
static struct quoit_request *request_by(const struct stage *s, struct quoit_tls *tls, const char *name) {
    char url[HOST_URL_MAX];
    nginx_url(&s->nginx.nginx, "/1.bin", url, sizeof url);
    if (name != NULL) {
        snprintf(url, sizeof url, "https://%s/1.bin", name);
    }
    struct quoit_request *request = host_request("GET", url);
    assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    if (tls != NULL) {
        quoit_tls_release(tls);
    }
    if (name != NULL) {
        assert_int_equal(quoit_request_connect_to(request, name, 0, "127.0.0.1", s->nginx.nginx.port), QUOIT_OK);
    }
    return request;
}

static const struct host_record *get(struct stage *s, struct quoit_tls *tls, const char *name) {
    uint32_t index = s->num_requests++;
    host_submit(&s->host, index, request_by(s, tls, name));
    return host_wait(&s->host, index);
}

// And nginx has written `line` lines before.
static void assert_gets(struct stage *s, struct quoit_tls *tls, const char *name, unsigned line, bool is_resumed) {
    const struct host_record *record = get(s, tls, name);
    host_assert_done(record, 1);
    assert_false(record->summary.reused);
    struct nginx_tls_line logged = nginx_tls_wait_line(&s->nginx, line);
    assert_int_equal(logged.status, 200);
    assert_string_equal(logged.reused, is_resumed ? "r" : ".");
    assert_int_equal(record->summary.tls_resumed, is_resumed);
}

static void a_later_connection_takes_up_a_session(void **state) {
    static const struct {
        struct nginx_tls_options options;
        bool is_resumed;
    } k_cases[] = {
        {{.protocols = "TLSv1.3"}, true},
        {{.protocols = "TLSv1.3", .has_rsa = true}, true},
        {{.protocols = "TLSv1.2"}, true},
        {{.protocols = "TLSv1.2", .has_no_tickets = true}, true}, // by the server's memory
        {{.protocols = "TLSv1.2", .has_no_tickets = true, .has_no_cache = true}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct stage *s = stage_open(&k_cases[i].options);
        for (unsigned round = 0; round < ROUNDS; round++) {
            assert_gets(s, NULL, NULL, round, round > 0 && k_cases[i].is_resumed);
        }
        stage_close(s);
    }
}

static void sessions_are_for_one_name(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){0});
    assert_gets(s, NULL, NULL, 0, false);
    assert_gets(s, NULL, NGINX_TLS_HOST, 1, false);
    assert_gets(s, NULL, NULL, 2, true);
    assert_gets(s, NULL, NGINX_TLS_HOST, 3, true);
    stage_close(s);
}

// What the server itself would resume: the same port, the same name, the same keys for its tickets.
static void no_session_crosses_from_one_configuration_to_another(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){0});
    struct quoit_tls *lax = builder(s->nginx.roots);
    assert_int_equal(quoit_tls_set_verify(lax, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING), QUOIT_OK);
    assert_gets(s, frozen(lax), NULL, 0, false);
    assert_gets(s, NULL, NULL, 1, false);
    assert_gets(s, frozen(builder(s->nginx.both_roots)), NULL, 2, false);
    const struct host_record *record = get(s, frozen(builder(s->nginx.next_roots)), NULL); // it would not trust this server
    host_assert_failed(record, QUOIT_ERR_TLS_UNTRUSTED_ROOT, QUOIT_PHASE_TLS);
    assert_gets(s, NULL, NULL, 3, true);
    assert_gets(s, frozen(builder(s->nginx.both_roots)), NULL, 4, true); // equal to what is long gone
    stage_close(s);
}

static void without_tickets_every_handshake_is_whole(void **state) {
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = k_protocols[i]});
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct quoit_tls *tls = builder(s->nginx.roots);
            assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_TICKETS, 0), QUOIT_OK);
            assert_gets(s, frozen(tls), NULL, round, false);
        }
        stage_close(s);
    }
}

static void engines_share_no_sessions(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){0});
    assert_gets(s, NULL, NULL, 0, false);
    host_stop(&s->host);
    start_engine(s);
    s->num_requests = 0;
    assert_gets(s, NULL, NULL, 1, false);
    stage_close(s);
}

// Tickets are for one connection each, so that not all of a crowd have one; nobody is worse off for it.
static void a_crowd_takes_up_what_there_is(void **state) {
    static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = k_protocols[i]});
        for (uint32_t wave = 0; wave < 3; wave++) {
            for (uint32_t k = 0; k < CROWD; k++) {
                host_submit(&s->host, s->num_requests++, request_by(s, NULL, NULL));
            }
            host_wait_all(&s->host, s->num_requests);
        }
        uint32_t num_resumed = 0;
        for (uint32_t k = 0; k < s->num_requests; k++) {
            host_assert_done(&s->host.records[k], 1);
            num_resumed += s->host.records[k].summary.tls_resumed;
        }
        assert_in_range(num_resumed, CROWD / 2, 3 * CROWD - 1); // the first has nothing to take up
        stage_close(s);
    }
}

static void sessions_outlive_a_change_of_the_servers_certificate(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){0});
    for (uint32_t round = 0; round < 2; round++) {
        host_assert_done(get(s, frozen(builder(s->nginx.both_roots)), NULL), 1);
    }
    nginx_tls_rotate(&s->nginx);
    for (uint32_t round = 0; round < 50; round++) { // whenever it happens, and whether it takes up old sessions or not
        host_assert_done(get(s, frozen(builder(s->nginx.both_roots)), NULL), 1);
    }
    stage_close(s);
}

// --- early data ------------------------------------------------------------------------------------------------------

static struct quoit_tls *early(const struct stage *s) {
    struct quoit_tls *tls = builder(s->nginx.roots);
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_EARLY_DATA, 1), QUOIT_OK);
    return frozen(tls);
}

// `tls` is released.
static const struct host_record *send_by(struct stage *s, struct quoit_tls *tls, const char *method, const char *path,
                                         const char *body) {
    char url[HOST_URL_MAX];
    uint32_t index = s->num_requests++;
    nginx_url(&s->nginx.nginx, path, url, sizeof url);
    struct quoit_request *request = host_request(method, url);
    assert_int_equal(quoit_request_add_header(request, "Connection", 10, "close", 5), QUOIT_OK);
    assert_int_equal(quoit_request_set_tls(request, tls), QUOIT_OK);
    if (body != NULL) {
        assert_int_equal(quoit_request_set_body(request, body, strlen(body), NULL, NULL), QUOIT_OK);
    }
    quoit_tls_release(tls);
    host_submit(&s->host, index, request);
    const struct host_record *record = host_wait(&s->host, index);
    assert_int_equal(record->end_type, QUOIT_EVENT_DONE);
    return record;
}

static const struct host_record *send_early(struct stage *s, const char *method, const char *path, const char *body) {
    return send_by(s, early(s), method, path, body);
}

static struct nginx_tls_line line_of(struct stage *s, unsigned line) { return nginx_tls_wait_line(&s->nginx, line); }

// How many of the first lines have this status (0: any) and were early, or not. Requests that follow one another may be logged
// the other way round.
static unsigned num_lines(struct stage *s, unsigned lines, int status, const char *early_mark) {
    unsigned count = 0;
    for (unsigned i = 0; i < lines; i++) {
        struct nginx_tls_line line = line_of(s, i);
        count += (status == 0 || line.status == status) && strcmp(line.early, early_mark) == 0;
    }
    return count;
}

// nginx tells of early data while the handshake goes on, which on a busy machine may be over when it looks. What it says is
// so; what it does not say may be so.
enum { TRIES = 100 };

static void requests_without_effect_go_early(void **state) {
    static const char *const k_methods[] = {"GET", "HEAD", "OPTIONS"};
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = "TLSv1.3", .has_early_data = true});
    assert_int_equal(send_early(s, "GET", "/1.bin", NULL)->summary.tls_early, QUOIT_TLS_EARLY_NONE); // there is no session
    assert_string_equal(line_of(s, 0).early, "-");
    for (unsigned i = 0; i < 3; i++) {
        bool is_seen = false;
        unsigned num_seen = num_lines(s, s->num_requests, 0, "1");
        for (int try = 0; try < TRIES && !is_seen; try++) {
            // Brings tickets, behind the handshake.
            assert_int_equal(send_early(s, "POST", "/1.bin", NULL)->summary.tls_early, QUOIT_TLS_EARLY_NONE);
            const struct host_record *record = send_early(s, k_methods[i], "/1.bin", NULL);
            assert_int_equal(record->summary.tls_early, QUOIT_TLS_EARLY_ACCEPTED);
            assert_int_equal(record->summary.tls_resumed, 1);
            assert_int_equal(record->summary.attempts, 1);
            assert_string_equal(line_of(s, s->num_requests - 1).reused, "r");
            is_seen = num_lines(s, s->num_requests, 0, "1") > num_seen;
        }
        assert_true(is_seen);
    }
    stage_close(s);
}

static void requests_with_effects_never_go_early(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = "TLSv1.3", .has_early_data = true});
    (void)send_early(s, "GET", "/1.bin", NULL);
    static const struct {
        const char *method;
        const char *body;
    } k_cases[] = {{"POST", NULL}, {"POST", "a"}, {"PUT", NULL}, {"DELETE", NULL}, {"GET", "a"}, {"PATCH", "a"}, {"OPTIONS", ""}};
    for (unsigned i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        const struct host_record *record = send_early(s, k_cases[i].method, "/1.bin", k_cases[i].body);
        assert_int_equal(record->summary.tls_early, QUOIT_TLS_EARLY_NONE);
        assert_int_equal(record->summary.tls_resumed, 1);
        assert_string_equal(line_of(s, 1 + i).early, "-");
    }
    stage_close(s);
}

static void nothing_goes_early_unless_the_configuration_says_so(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = "TLSv1.3", .has_early_data = true});
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_gets(s, NULL, NULL, round, round > 0);
        assert_string_equal(line_of(s, round).early, "-");
    }
    stage_close(s);
}

static void a_server_that_says_too_early_gets_it_again_behind_the_handshake(void **state) {
    (void)state;
    struct stage *s = stage_open(&(struct nginx_tls_options){.protocols = "TLSv1.3", .has_early_data = true});
    uint32_t attempts = 1;
    unsigned line = 0;
    for (int try = 0; try < TRIES && attempts == 1; try++) {
        (void)send_early(s, "POST", "/1.bin", NULL);
        const struct host_record *record = send_early(s, "GET", "/too_early/1.bin", NULL);
        host_assert_done(record, 1);
        assert_int_equal(record->status, 200);
        assert_int_equal(record->num_heads, 1);
        assert_int_equal(record->summary.num_redirects, 0);
        attempts = record->summary.attempts;
        line += 1 + attempts;
        assert_int_equal(num_lines(s, line, 425, "1"), attempts - 1);
        assert_int_equal(num_lines(s, line, 425, "-"), 0);
        assert_true(attempts == 1 || record->summary.tls_early == QUOIT_TLS_EARLY_NONE);
    }
    assert_int_equal(attempts, 2);
    stage_close(s);
}

static struct quoit_tls *early_trusting_both(const struct stage *s) {
    struct quoit_tls *tls = builder(s->nginx.both_roots);
    assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_EARLY_DATA, 1), QUOIT_OK);
    return frozen(tls);
}

// The server has other keys and another certificate since, and knows none of the tickets: what came early it cannot read.
static void what_a_server_rejects_it_gets_once_more(void **state) {
    (void)state;
    struct stage *s = stage_open(
        &(struct nginx_tls_options){.protocols = "TLSv1.3", .has_early_data = true, .has_no_cache = true});
    host_assert_done(get(s, early_trusting_both(s), NULL), 1);
    nginx_tls_rotate_wholly(&s->nginx);
    unsigned line = 1;
    const struct host_record *record = get(s, early_trusting_both(s), NULL);
    host_assert_done(record, 1);
    assert_int_equal(record->summary.tls_early, QUOIT_TLS_EARLY_REJECTED);
    assert_int_equal(record->summary.tls_resumed, 0);
    assert_int_equal(record->summary.attempts, 1);
    assert_int_equal(line_of(s, line).status, 200);
    assert_string_equal(line_of(s, line).early, "-");
    assert_string_equal(line_of(s, line).reused, ".");
    (void)send_by(s, early_trusting_both(s), "POST", "/nothing", NULL); // is the next that it has served
    assert_int_not_equal(line_of(s, line + 1).status, 200);
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_connection_takes_up_a_session),
        cmocka_unit_test(sessions_are_for_one_name),
        cmocka_unit_test(no_session_crosses_from_one_configuration_to_another),
        cmocka_unit_test(without_tickets_every_handshake_is_whole),
        cmocka_unit_test(engines_share_no_sessions),
        cmocka_unit_test(a_crowd_takes_up_what_there_is),
        cmocka_unit_test(sessions_outlive_a_change_of_the_servers_certificate),
        cmocka_unit_test(requests_without_effect_go_early),
        cmocka_unit_test(requests_with_effects_never_go_early),
        cmocka_unit_test(nothing_goes_early_unless_the_configuration_says_so),
        cmocka_unit_test(a_server_that_says_too_early_gets_it_again_behind_the_handshake),
        cmocka_unit_test(what_a_server_rejects_it_gets_once_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

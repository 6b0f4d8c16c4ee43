// Early data on the simulated network, in plain mode: servers that take it, reject it, find it too early, end behind it, or are
// not who they were.
#define _GNU_SOURCE
#include "tests/sim/stand.h"
#include "tests/sim/tls_route.h"

#include "tests/support/libmemory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct early {
    struct stand *stand;
    struct quoit_tls *tls;
};

// A server that gives sessions for early data, and an engine that has had one from it.
static struct early open_early(void) {
    const struct q_cert *root = tls_route_root();
    struct early early = {.stand = stand_new(NULL, 0, NULL)};
    struct q_simtls_options options = {.chain = {tls_route_leaf()},
                                       .version = 0x0304,
                                       .takes_early = true,
                                       .on_library = q_libmemory_suspend};
    struct q_simhttp_options http = {.filter = q_simtls_filter()};
    http.filter_context = early.stand->more_front = q_simtls_new(early.stand->sim, &options);
    early.stand->more_server = q_simhttp_new(early.stand->sim, "127.0.0.1", 443, &http);
    assert_int_equal(quoit_tls_new(&early.tls), 0);
    assert_int_equal(quoit_tls_set_roots(early.tls, QUOIT_TLS_MEMORY, root->pem, strlen(root->pem)), 0);
    assert_int_equal(quoit_tls_set_switch(early.tls, QUOIT_TLS_EARLY_DATA, 1), 0);
    assert_int_equal(quoit_tls_freeze(early.tls, NULL), 0);
    return early;
}

static void close_early(struct early *early) {
    quoit_tls_release(early->tls);
    stand_free(early->stand);
}

static const struct q_simtls_stats *stats_of(const struct early *early) { return q_simtls_stats(early->stand->more_front); }

// For connections from here on.
static void set_kind(const struct early *early, enum q_simtls_early kind) {
    q_simtls_set_script(early->stand->more_front, &(struct q_simtls_script){.early = kind});
}

static void visit(struct early *early, const char *method) {
    early->stand->tag = 7;
    stand_ask(early->stand, (struct ask){.port = 443, .tls = early->tls, .method = method}, "/size/10?tag=7&last");
}

// Asks, and demands an answer on so many connections by now, the last of which resumed, and by early data as `kind` says.
static void visit_well(struct early *early, const char *method, uint64_t connections, uint32_t kind) {
    visit(early, method);
    stand_expect(early->stand, 0);
    assert_int_equal(early->stand->status, 200);
    assert_int_equal(stats_of(early)->connections, connections);
    assert_int_equal(early->stand->summary.tls_early, kind);
}

static void a_server_that_takes_it_answers_in_its_first_flight(void **state) {
    (void)state;
    struct early early = open_early();
    visit_well(&early, "GET", 1, QUOIT_TLS_EARLY_NONE);
    for (unsigned i = 2; i < 5; i++) {
        visit_well(&early, "GET", i, QUOIT_TLS_EARLY_ACCEPTED);
        assert_int_equal(early.stand->summary.tls_resumed, 1);
        assert_int_equal(early.stand->summary.attempts, 1);
        assert_int_equal(stats_of(&early)->early, i - 1);
    }
    visit_well(&early, "POST", 5, QUOIT_TLS_EARLY_NONE); // it resumes, and waits
    assert_int_equal(early.stand->summary.tls_resumed, 1);
    assert_int_equal(stats_of(&early)->early, 3);
    close_early(&early);
}

static void what_is_rejected_is_heard_once_behind_the_handshake(void **state) {
    (void)state;
    struct early early = open_early();
    visit_well(&early, "GET", 1, QUOIT_TLS_EARLY_NONE);
    set_kind(&early, Q_SIMTLS_REJECT);
    uint64_t requests = q_simhttp_stats(early.stand->more_server)->requests;
    visit_well(&early, "GET", 2, QUOIT_TLS_EARLY_REJECTED);
    assert_int_equal(stats_of(&early)->early, 0);
    assert_int_equal(q_simhttp_stats(early.stand->more_server)->requests, requests + 1);
    assert_int_equal(early.stand->summary.attempts, 1);
    close_early(&early);
}

static void what_is_too_early_is_sent_again_once(void **state) {
    (void)state;
    struct early early = open_early();
    visit_well(&early, "GET", 1, QUOIT_TLS_EARLY_NONE);
    set_kind(&early, Q_SIMTLS_TOO_EARLY);
    uint64_t requests = q_simhttp_stats(early.stand->more_server)->requests;
    visit(&early, "GET");
    stand_expect(early.stand, 0);
    assert_int_equal(early.stand->status, 200);
    assert_int_equal(stats_of(&early)->early, 1);
    assert_int_equal(early.stand->summary.attempts, 2);
    assert_int_equal(q_simhttp_stats(early.stand->more_server)->requests, requests + 2);
    close_early(&early);
}

static void an_end_behind_early_data_is_tried_once_more(void **state) {
    (void)state;
    struct early early = open_early();
    visit_well(&early, "GET", 1, QUOIT_TLS_EARLY_NONE);
    set_kind(&early, Q_SIMTLS_EARLY_FIN);
    visit(&early, "GET");
    stand_expect(early.stand, 0);
    assert_int_equal(stats_of(&early)->connections, 3);
    assert_int_equal(early.stand->summary.attempts, 2);
    close_early(&early);
}

// A server that takes connections and says nothing, to a request that goes early and to one that waits ahead: the handshake is
// a part of connecting, whose bound is the request's; and when a bound is over, there is no second try under a new one.
static void a_mute_server_is_waited_for_as_long_as_connecting_may_take(void **state) {
    (void)state;
    static const struct {
        const char *method;
        uint64_t connect_ms, tls_ms, after_ms;
        int32_t code;
    } k_cases[] = {
        {"GET", 500, 0, 500, QUOIT_ERR_TIMEOUT_CONNECT},      {"POST", 500, 0, 500, QUOIT_ERR_TIMEOUT_CONNECT},
        {"GET", 500, 200, 200, QUOIT_ERR_TIMEOUT_TLS},        {"POST", 500, 200, 200, QUOIT_ERR_TIMEOUT_TLS},
        {"GET", 12000, 20000, 12000, QUOIT_ERR_TIMEOUT_CONNECT}, {"GET", 0, 0, 10000, QUOIT_ERR_TIMEOUT_TLS},
    };
    struct early early = open_early();
    for (size_t i = 0; i < Q_COUNT_OF(k_cases); i++) {
        set_kind(&early, Q_SIMTLS_TAKE);
        visit(&early, "GET");
        stand_expect(early.stand, 0); // its session is the next one's
        uint64_t connections = stats_of(&early)->connections;
        q_simtls_set_script(early.stand->more_front, &(struct q_simtls_script){.flight_delay_ns = 60 * Q_NS_PER_S});
        struct quoit_request_bounds bounds = {
            .struct_size = sizeof bounds, .connect_ms = k_cases[i].connect_ms, .tls_ms = k_cases[i].tls_ms};
        struct ask how = {.port = 443, .tls = early.tls, .method = k_cases[i].method, .bounds = &bounds};
        uint64_t before_ns = q_sim_now(early.stand->sim);
        stand_ask(early.stand, how, "/size/10?tag=7&last");
        uint64_t took_ms = (q_sim_now(early.stand->sim) - before_ns) / Q_NS_PER_MS;
        stand_expect(early.stand, k_cases[i].code);
        assert_in_range(took_ms, k_cases[i].after_ms, k_cases[i].after_ms + 2);
        assert_int_equal(early.stand->summary.attempts, 1);
        assert_int_equal(stats_of(&early)->connections, connections + 1);
    }
    close_early(&early);
}

// The session is of no use, so there is a whole handshake; who is not trusted then gets no answer, and no second try helps.
static void another_certificate_behind_it_is_looked_at_as_any(void **state) {
    (void)state;
    struct q_cert *wrong =
        q_certs_make(tls_route_root(), &(struct q_certs_spec){.alt_names = "DNS:other.example", .key_number = 6});
    struct early early = open_early();
    visit_well(&early, "GET", 1, QUOIT_TLS_EARLY_NONE);
    q_simtls_restart(early.stand->more_front, NULL);
    visit_well(&early, "GET", 2, QUOIT_TLS_EARLY_REJECTED);
    assert_int_equal(early.stand->summary.tls_resumed, 0);
    uint64_t requests = q_simhttp_stats(early.stand->more_server)->requests;
    q_simtls_restart(early.stand->more_front, wrong);
    visit(&early, "GET");
    stand_expect(early.stand, QUOIT_ERR_TLS_NAME_MISMATCH);
    assert_int_equal(q_simhttp_stats(early.stand->more_server)->requests, requests);
    assert_int_equal(stats_of(&early)->early, 0);
    close_early(&early);
    q_certs_free(wrong);
}

// Each time a session is there, and its request goes early. Want of memory ends in an answer or in an error, and in no hang.
static void each_allocation_of_the_library_may_fail(void **state) {
    (void)state;
    static const enum q_simtls_early k_kinds[] = {Q_SIMTLS_TAKE, Q_SIMTLS_REJECT, Q_SIMTLS_TOO_EARLY};
    for (size_t i = 0; i < Q_COUNT_OF(k_kinds); i++) {
        struct early early = open_early();
        unsigned num_traceless = 0;
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            assert_true(nth < 3000);
            set_kind(&early, Q_SIMTLS_TAKE);
            visit(&early, "GET"); // for the session; may itself be early
            stand_expect(early.stand, 0);
            set_kind(&early, k_kinds[i]);
            q_libmemory_fail_at(nth);
            visit(&early, "GET");
            has_failed = q_libmemory_failed();
            q_libmemory_fail_at(0);
            int32_t code = early.stand->summary.failure.code;
            assert_true(code == 0 || has_failed);
            num_traceless += code != 0 && code != QUOIT_ERR_NO_MEMORY;
            assert_true(code == 0 || code == QUOIT_ERR_NO_MEMORY || quoit_error_category(code) == QUOIT_CATEGORY_TLS);
        }
        assert_in_range(num_traceless, 0, 6);
        close_early(&early);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_takes_it_answers_in_its_first_flight),
        cmocka_unit_test(what_is_rejected_is_heard_once_behind_the_handshake),
        cmocka_unit_test(what_is_too_early_is_sent_again_once),
        cmocka_unit_test(an_end_behind_early_data_is_tried_once_more),
        cmocka_unit_test(a_mute_server_is_waited_for_as_long_as_connecting_may_take),
        cmocka_unit_test(another_certificate_behind_it_is_looked_at_as_any),
        cmocka_unit_test(each_allocation_of_the_library_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

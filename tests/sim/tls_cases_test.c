// Cases of https on the simulated network, in plain mode, each with the outcome that it must have: what only TLS can do. The
// cases that are the same without it run by TLS too, see route.h.
#define _GNU_SOURCE
#include "tests/sim/stand.h"
#include "tests/sim/tls_route.h"

#include "engine/core/table.h"
#include "tests/support/libmemory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL_VERSIONS 2

static const uint16_t k_versions[ALL_VERSIONS] = {0x0303, 0x0304};

// Puts another server in the place of the route's.
static void serve(struct stand *stand, const struct q_simtls_options *options) {
    struct q_simhttp_options http = {.filter = q_simtls_filter()};
    http.filter_context = stand->more_front = q_simtls_new(stand->sim, options);
    stand->more_server = q_simhttp_new(stand->sim, "127.0.0.1", 443, &http);
}

static void serve_script(struct stand *stand, uint16_t version, struct q_simtls_script script) {
    serve(stand, &(struct q_simtls_options){.chain = {tls_route_leaf()}, .version = version, .script = script});
}

static const struct q_simtls_stats *stats_of(struct stand *stand) { return q_simtls_stats(stand->more_front); }

static struct q_sim_conn *last_conn(struct stand *stand) {
    size_t count = 0;
    while (q_sim_conn_at(stand->sim, count) != NULL) {
        count++;
    }
    return count == 0 ? NULL : q_sim_conn_at(stand->sim, count - 1);
}

static struct quoit_tls *settings_with(const char *sni, uint32_t verify) {
    const struct q_cert *root = tls_route_root();
    struct quoit_tls *tls;
    assert_int_equal(quoit_tls_new(&tls), 0);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_MEMORY, root->pem, strlen(root->pem)), 0);
    assert_int_equal(quoit_tls_set_verify(tls, verify), 0);
    if (sni != NULL) {
        assert_int_equal(quoit_tls_set_sni(tls, QUOIT_TLS_SNI_NAME, sni, strlen(sni)), 0);
    }
    assert_int_equal(quoit_tls_freeze(tls, NULL), 0);
    return tls;
}

static struct q_contexts *contexts_of(struct stand *stand) {
    return &q_table_entry_of(stand->engine)->engine->tls_client.contexts;
}

// A case of its own per engine: with these of the ring's capabilities taken away.
static void ask_in_all_shapes(uint32_t capabilities_off, uint16_t version) {
    struct quoit_engine_options options = {.capabilities_off = capabilities_off};
    struct stand *stand = stand_new(NULL, 0, &options);
    serve_script(stand, version, (struct q_simtls_script){0});
    static const char *const k_targets[] = {"/size/0", "/size/100", "/size/70000", "/chunked/5000", "/close/3000",
                                            "/status/204", "/size/10?info=2&delay=3", "/size/10?hops=2"};
    stand->answer = QUOIT_ANSWER_YES;
    for (size_t i = 0; i < Q_COUNT_OF(k_targets); i++) {
        stand->tag = i;
        stand_ask(stand, (struct ask){.port = 443}, "%s%stag=%zu", k_targets[i], strchr(k_targets[i], '?') ? "&" : "?", i);
        stand_expect(stand, 0);
        assert_int_equal(stand->summary.tls_version, version);
    }
    stand->tag = 9;
    stand_ask(stand, (struct ask){.port = 443, .method = "POST", .body_len = 100000}, "/echo?tag=9&check");
    stand_expect(stand, 0);
    assert_int_equal(stand->received, 100000);
    stand_free(stand);
}

static void every_shape_goes_on_every_rung_of_the_ladder(void **state) {
    (void)state;
    for (unsigned version = 0; version < ALL_VERSIONS; version++) {
        ask_in_all_shapes(0, k_versions[version]);
        ask_in_all_shapes(Q_RING_CAPABILITIES, k_versions[version]);
        for (uint32_t off = 1; off < Q_RING_CAPABILITIES; off <<= 1) {
            ask_in_all_shapes(off, k_versions[version]);
        }
    }
}

static void records_may_be_cut_and_small_as_they_like(void **state) {
    (void)state;
    static const size_t k_pieces[] = {1, 2, 3, 4, 5, 6, 7, 21, 22, 100};
    static const size_t k_records[] = {1, 2, 511, 512, 16384};
    for (size_t i = 0; i < ALL_VERSIONS * (Q_COUNT_OF(k_pieces) + Q_COUNT_OF(k_records)); i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        size_t row = i / ALL_VERSIONS;
        struct q_simtls_script script = {.num_updates = 1, .asks_updates = true};
        if (row < Q_COUNT_OF(k_pieces)) {
            script.piece = k_pieces[row];
        } else {
            script.record_max = k_records[row - Q_COUNT_OF(k_pieces)];
        }
        serve_script(stand, k_versions[i % ALL_VERSIONS], script);
        for (unsigned again = 0; again < 2; again++) {
            stand->tag = i;
            stand_ask(stand, (struct ask){.port = 443, .method = "POST", .body_len = 300}, "/echo?tag=%zu&check", i);
            stand_expect(stand, 0);
            assert_int_equal(stand->received, 300);
        }
        assert_int_equal(stand->summary.reused, 1);
        stand_free(stand);
    }
}

// The server's stream ends in front of each of its records, and in the middle of them: a body is whole, or it is an error.
static void a_body_is_never_cut_in_silence(void **state) {
    (void)state;
    static const enum q_simtls_fault k_faults[] = {Q_SIMTLS_FIN, Q_SIMTLS_RESET};
    static const char *const k_targets[] = {"/close/600", "/size/600", "/chunked/600"};
    for (unsigned row = 0; row < ALL_VERSIONS * Q_COUNT_OF(k_faults) * Q_COUNT_OF(k_targets); row++) {
        const char *target = k_targets[row / (ALL_VERSIONS * Q_COUNT_OF(k_faults))];
        bool is_done = false;
        for (uint64_t at = 0; !is_done; at++) {
            assert_true(at < 60);
            struct stand *stand = stand_new(NULL, 0, NULL);
            serve_script(stand, k_versions[row % ALL_VERSIONS],
                         (struct q_simtls_script){.record_max = 100,
                                                  .fault = k_faults[(row / ALL_VERSIONS) % Q_COUNT_OF(k_faults)],
                                                  .fault_at = at,
                                                  .is_fault_at_record = true});
            stand->tag = 4;
            stand_ask(stand, (struct ask){.port = 443, .method = "POST"}, "%s?tag=4", target);
            is_done = stand->summary.failure.code == 0;
            assert_true(!is_done || stand->received == 600);
            assert_true(is_done || stand->received <= 600);
            stand_free(stand);
        }
    }
}

static void an_end_without_goodbye_is_no_end_of_a_body_that_goes_to_the_end(void **state) {
    (void)state;
    for (unsigned i = 0; i < ALL_VERSIONS; i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, k_versions[i], (struct q_simtls_script){.end = Q_SIMTLS_RUDE});
        stand_ask(stand, (struct ask){.port = 443}, "/close/1000");
        stand_expect(stand, QUOIT_ERR_TLS_TRUNCATED);
        stand_ask(stand, (struct ask){.port = 443}, "/size/1000?last"); // its length says that it is whole
        stand_expect(stand, 0);
        stand_free(stand);
    }
}

// What is wrong is found before the server hears a word of the request.
static void nothing_is_said_to_whom_is_not_trusted(void **state) {
    (void)state;
    struct q_cert *stranger = q_certs_authority(NULL, "stranger", 5);
    struct q_cert *certs[] = {
        q_certs_make(tls_route_root(), &(struct q_certs_spec){.alt_names = "DNS:other.example", .key_number = 6}),
        q_certs_make(stranger, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 6}),
        q_certs_make(NULL, &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .key_number = 6}),
        q_certs_make(tls_route_root(),
                     &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .not_after = Q_CERTS_2020 + 1, .key_number = 6}),
        q_certs_make(tls_route_root(),
                     &(struct q_certs_spec){
                         .alt_names = "IP:127.0.0.1", .extended_usage = "clientAuth", .key_number = 6})};
    static const int32_t k_codes[] = {QUOIT_ERR_TLS_NAME_MISMATCH, QUOIT_ERR_TLS_UNTRUSTED_ROOT, QUOIT_ERR_TLS_SELF_SIGNED,
                                      QUOIT_ERR_TLS_CERT_EXPIRED, QUOIT_ERR_TLS_BAD_PURPOSE};
    for (size_t i = 0; i < ALL_VERSIONS * Q_COUNT_OF(certs); i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve(stand, &(struct q_simtls_options){.chain = {certs[i / ALL_VERSIONS]}, .version = k_versions[i % ALL_VERSIONS]});
        stand_ask(stand, (struct ask){.port = 443, .method = "POST", .body_len = 100}, "/echo");
        stand_expect(stand, k_codes[i / ALL_VERSIONS]);
        assert_int_equal(stand->summary.failure.retry_safe, 1);
        assert_int_equal(stats_of(stand)->opened, 0);
        assert_int_equal(stats_of(stand)->handshakes, 0);
        stand_free(stand);
    }
    for (size_t i = 0; i < Q_COUNT_OF(certs); i++) {
        q_certs_free(certs[i]);
    }
    q_certs_free(stranger);
}

// The day of the simulated clock, from one hour before the certificate's end on.
static void a_certificate_expires_in_simulated_time(void **state) {
    (void)state;
    struct q_cert *leaf = q_certs_make(
        tls_route_root(),
        &(struct q_certs_spec){.alt_names = "IP:127.0.0.1", .not_after = Q_CERTS_NOW + 2 * 3600, .key_number = 6});
    struct stand *stand = stand_new(NULL, 0, NULL); // its time begins one hour behind Q_CERTS_NOW
    serve(stand, &(struct q_simtls_options){.chain = {leaf}});
    stand_ask(stand, (struct ask){.port = 443}, "/size/10?last");
    stand_expect(stand, 0);
    q_sim_jump(stand->sim, 3598 * Q_NS_PER_S);
    stand_ask(stand, (struct ask){.port = 443}, "/size/10?last");
    stand_expect(stand, 0);
    q_sim_jump(stand->sim, 3 * Q_NS_PER_S);
    stand_ask(stand, (struct ask){.port = 443}, "/size/10?last"); // not by the session of the one before either
    stand_expect(stand, QUOIT_ERR_TLS_CERT_EXPIRED);
    stand_free(stand);
    q_certs_free(leaf);
}

static void sessions_are_taken_up_again_until_they_expire(void **state) {
    (void)state;
    for (unsigned i = 0; i < ALL_VERSIONS; i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, k_versions[i], (struct q_simtls_script){0});
        for (unsigned visit = 0; visit < 3; visit++) {
            stand_ask(stand, (struct ask){.port = 443}, "/size/10?last");
            stand_expect(stand, 0);
            assert_int_equal(stand->summary.tls_resumed, visit > 0);
        }
        q_sim_jump(stand->sim, UINT64_C(8) * 24 * 3600 * Q_NS_PER_S);
        stand_ask(stand, (struct ask){.port = 443}, "/size/10?last");
        stand_expect(stand, 0);
        assert_int_equal(stand->summary.tls_resumed, 0);
        assert_int_equal(stats_of(stand)->resumed, 2);
        stand_free(stand);
    }
}

static void an_idle_connection_that_says_goodbye_retires(void **state) {
    (void)state;
    for (unsigned i = 0; i < ALL_VERSIONS * 2; i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, k_versions[i % ALL_VERSIONS], (struct q_simtls_script){0});
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        uint32_t first = stand->summary.connection_id;
        struct q_sim_conn *conn = last_conn(stand);
        if (i < ALL_VERSIONS) {
            q_simtls_say_goodbye(conn); // the stream below goes on
        } else {
            q_simtls_alert(conn, 80);
        }
        stand_run_for(stand, 10);
        assert_int_equal(q_sim_conn_count(stand->sim), 0); // at once: the client has closed, and the server behind it
        stand_ask(stand, (struct ask){.port = 443, .method = "POST"}, "/size/10");
        stand_expect(stand, 0);
        assert_int_not_equal(stand->summary.connection_id, first);
        stand_free(stand);
    }
}

// Tickets, key updates and the like are no bytes of a response, and no reason to retire an idle connection.
static void what_is_not_for_the_owner_keeps_a_connection(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < Q_SIMTLS_FLOODS; kind++) {
        if (kind == Q_SIMTLS_REQUESTS || kind == Q_SIMTLS_WARNINGS) {
            continue;
        }
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, 0x0304, (struct q_simtls_script){0});
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        uint32_t first = stand->summary.connection_id;
        q_simtls_flood(last_conn(stand), (enum q_simtls_flood)kind, 20);
        stand_run_for(stand, 10);
        stand_ask(stand, (struct ask){.port = 443, .method = "POST"}, "/size/10");
        stand_expect(stand, 0);
        assert_int_equal(stand->summary.connection_id, first);
        stand_free(stand);
    }
}

static void a_flood_ends_its_connection(void **state) {
    (void)state;
    for (unsigned i = 0; i < ALL_VERSIONS * Q_SIMTLS_FLOODS; i++) {
        enum q_simtls_flood kind = (enum q_simtls_flood)(i / ALL_VERSIONS);
        uint16_t version = k_versions[i % ALL_VERSIONS];
        bool is_of_1_3 = kind == Q_SIMTLS_TICKETS || kind == Q_SIMTLS_UPDATES;
        if ((is_of_1_3 && version == 0x0303) || (kind == Q_SIMTLS_REQUESTS && version == 0x0304)) {
            continue;
        }
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, version, (struct q_simtls_script){.num_floods = 5000, .flood = kind});
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        stand_expect(stand, QUOIT_ERR_TLS_PROTOCOL);
        stand_free(stand);
    }
}

static void a_slow_handshake_ends_at_its_bound(void **state) {
    (void)state;
    for (unsigned i = 0; i < ALL_VERSIONS; i++) {
        struct stand *stand = stand_new(NULL, 0, NULL);
        serve_script(stand, k_versions[i], (struct q_simtls_script){.flight_delay_ns = 4 * Q_NS_PER_S});
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        stand_expect(stand, 0); // two flights at most
        stand_free(stand);
        stand = stand_new(NULL, 0, NULL);
        serve_script(stand, k_versions[i], (struct q_simtls_script){.flight_delay_ns = 11 * Q_NS_PER_S});
        uint64_t before_ns = q_sim_now(stand->sim);
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        stand_expect(stand, QUOIT_ERR_TIMEOUT_TLS);
        assert_in_range((q_sim_now(stand->sim) - before_ns) / Q_NS_PER_MS, 10000, 10010);
        stand_free(stand);
    }
}

// --- configurations and contexts (the family of reference bug class 5.3) -------------------------------------------------

// A strict request never gets the connection of a lax one, and the other way round either.
static void a_strict_request_never_has_a_lax_ones_connection(void **state) {
    (void)state;
    struct q_cert *wrong =
        q_certs_make(tls_route_root(), &(struct q_certs_spec){.alt_names = "DNS:other.example", .key_number = 6});
    struct quoit_tls *lax =
        settings_with(NULL, QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING);
    struct stand *stand = stand_new(NULL, 0, NULL);
    serve(stand, &(struct q_simtls_options){.chain = {wrong}});
    for (unsigned i = 0; i < 3; i++) {
        stand_ask(stand, (struct ask){.port = 443, .tls = lax}, "/size/10");
        stand_expect(stand, 0);
        assert_int_equal(stand->summary.reused, i > 0);
        stand_ask(stand, (struct ask){.port = 443}, "/size/10");
        stand_expect(stand, QUOIT_ERR_TLS_NAME_MISMATCH);
    }
    quoit_tls_release(lax);
    stand_free(stand);
    q_certs_free(wrong);
}

struct counted {
    struct stand *stand;
    unsigned num_done, num_failed, num_closed;
};

static void count_event(void *context, const struct quoit_event *event) {
    struct counted *counted = context;
    counted->num_done += event->type == QUOIT_EVENT_DONE;
    counted->num_failed += event->type == QUOIT_EVENT_FAILED;
    if (event->type == QUOIT_EVENT_CLOSED) {
        counted->stand->is_closed = true;
    }
}

static struct quoit_port count_on(struct stand *stand, struct counted *counted) {
    const struct quoit_port_options options = {
        .struct_size = sizeof options, .mode = QUOIT_PORT_INLINE, .on_event = count_event, .context = counted};
    struct quoit_port port;
    *counted = (struct counted){.stand = stand};
    assert_int_equal(quoit_port_create(stand->engine, &options, &port), 0);
    return port;
}

// More configurations than contexts are kept, each with a request in flight: none is evicted under it. Each is released
// while its request is, and the last reference of most goes inside the close of the connection that had it.
static void contexts_live_as_long_as_their_connections(void **state) {
    (void)state;
    enum { CONFIGS = 80 };
    for (unsigned way = 0; way < 3; way++) {
        struct quoit_engine_options options = {
            .requests_max = 128, .connections_max = 128, .connections_per_origin_max = 100};
        struct stand *stand = stand_new(NULL, 0, &options);
        struct quoit_port own = stand->port;
        struct counted counted;
        serve_script(stand, 0, (struct q_simtls_script){0});
        stand->port = count_on(stand, &counted);
        for (unsigned i = 0; i < CONFIGS; i++) {
            char name[32];
            snprintf(name, sizeof name, "n%u.example", i);
            struct quoit_tls *tls = settings_with(name, QUOIT_TLS_VERIFY_FULL);
            stand_begin(stand, (struct ask){.port = 443, .tls = tls}, way == 0 ? "/size/100?delay=1000" : "/never");
            if (way == 2) {
                assert_int_equal(quoit_engine_invalidate_tls(stand->engine, tls), 0);
            }
            quoit_tls_release(tls);
        }
        stand_run_for(stand, 500);
        const struct q_contexts_stats *contexts = &contexts_of(stand)->stats;
        if (way != 2) {
            assert_int_equal(contexts->current, CONFIGS);
            assert_int_equal(contexts->evictions, 0);
            assert_int_equal(contexts->destroyed, 0);
        }
        for (size_t i = 0; way > 0 && q_sim_conn_at(stand->sim, i) != NULL; i++) {
            q_sim_conn_reset_now(q_sim_conn_at(stand->sim, i)); // the server closes first
        }
        stand_run_for(stand, 2000);
        assert_int_equal(counted.num_done + counted.num_failed, CONFIGS);
        assert_int_equal(counted.num_failed, way > 0 ? CONFIGS : 0);
        stand_run_for(stand, 400000); // idle connections end, and then contexts do
        assert_int_equal(contexts->current + contexts->stale, 0);
        stand->port = own;
        stand_free(stand);
    }
}

// Want of memory is nobody's fault. A few allocations leave no trace: what they were for looks like a signature, or a digest,
// that is wrong.
static void each_allocation_of_the_library_may_fail(void **state) {
    struct stand *stand = *state;
    unsigned num_traceless = 0;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        q_libmemory_fail_at(nth);
        stand->tag = 3;
        stand_ask(stand, (struct ask){.method = "POST", .body_len = 100}, "/echo?tag=3&last");
        has_failed = q_libmemory_failed();
        q_libmemory_fail_at(0);
        int32_t code = stand->summary.failure.code;
        assert_true(code == 0 || has_failed);
        if (code != 0 && code != QUOIT_ERR_NO_MEMORY) {
            num_traceless++;
            assert_int_equal(quoit_error_category(code), QUOIT_CATEGORY_TLS);
        }
    }
    assert_in_range(num_traceless, 0, 6);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stand_set_up, stand_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_goes_on_every_rung_of_the_ladder),
        cmocka_unit_test(records_may_be_cut_and_small_as_they_like),
        cmocka_unit_test(a_body_is_never_cut_in_silence),
        cmocka_unit_test(an_end_without_goodbye_is_no_end_of_a_body_that_goes_to_the_end),
        cmocka_unit_test(nothing_is_said_to_whom_is_not_trusted),
        cmocka_unit_test(a_certificate_expires_in_simulated_time),
        cmocka_unit_test(sessions_are_taken_up_again_until_they_expire),
        cmocka_unit_test(an_idle_connection_that_says_goodbye_retires),
        cmocka_unit_test(what_is_not_for_the_owner_keeps_a_connection),
        cmocka_unit_test(a_flood_ends_its_connection),
        cmocka_unit_test(a_slow_handshake_ends_at_its_bound),
        cmocka_unit_test(a_strict_request_never_has_a_lax_ones_connection),
        cmocka_unit_test(contexts_live_as_long_as_their_connections),
        CASE(each_allocation_of_the_library_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

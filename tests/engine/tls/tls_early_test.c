// Early data: what goes out with the hello, what waits, and what becomes of it when the server takes it, rejects it, or ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "engine/tls/sessions.h"
#include "tests/engine/tls/tls_rig.h"

enum { LIMIT = 14336 }; // the library's own, as a server

static const struct tls_rig_options k_early = {.has_early_data = true};

static void end(struct tls_rig *rig) {
    tls_rig_close(rig);
    tls_rig_free(rig);
}

// What gives sessions, and the last of them. `maker` stays open: its context knows the tickets.
struct pair {
    struct tls_rig *maker;
    struct tls_rig *rig;
};

// A rig with a session to take; its server is one that knows it, unless it is to be `strange`.
static struct pair open_pair(bool is_strange) {
    struct pair pair = {.maker = tls_rig_new(&k_early)};
    tls_rig_open(pair.maker);
    tls_rig_recv(pair.maker, Q_STREAM_RECV_ANY);
    tls_rig_say(pair.maker, "x", 1, 0);
    tls_rig_run(pair.maker);
    assert_non_null(pair.maker->session);
    struct tls_rig_options options = k_early;
    options.server_is_mute = !is_strange;
    pair.rig = tls_rig_new(&options);
    if (!is_strange) {
        pair.rig->server = SSL_new(pair.maker->server_context);
        SSL_set_accept_state(pair.rig->server);
        SSL_set_bio(pair.rig->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        BIO_set_mem_eof_return(SSL_get_rbio(pair.rig->server), -1);
    }
    pair.rig->offer = pair.maker->session;
    pair.maker->session = NULL;
    return pair;
}

static void close_pair(struct pair *pair) {
    end(pair->rig);
    end(pair->maker);
}

static void assert_server_got(const struct tls_rig *rig, const char *text) {
    assert_int_equal(rig->server_got_len, strlen(text));
    assert_memory_equal(rig->server_got, text, strlen(text));
}

static void assert_facts(const struct tls_rig *rig, bool is_resumed, uint8_t early) {
    struct q_tls_facts facts;
    q_tls_stream_facts(&rig->tls, &facts);
    assert_int_equal(facts.is_resumed, is_resumed);
    assert_int_equal(rig->tls.early, early);
}

// That the stream works, both ways, behind all that.
static void assert_works(struct tls_rig *rig) {
    size_t before = rig->server_got_len;
    rig->told_len = 0;
    memset(rig->told, 0, sizeof rig->told);
    tls_rig_send(rig, "and on", 6);
    tls_rig_run(rig);
    assert_int_equal(rig->server_got_len, before + 6);
    rig->received_len = 0;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, "answer", 6, 0);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 6);
}

static void an_early_send_goes_out_with_the_hello(void **state) {
    (void)state;
    struct pair pair = open_pair(false);
    struct tls_rig *rig = pair.rig;
    rig->send_at_connect = "GET";
    rig->goes_early = true;
    tls_rig_connect(rig);
    while (rig->server_got_len == 0 && tls_rig_step(rig)) {
    }
    assert_int_equal(rig->wire.num_sends, 1);
    assert_server_got(rig, "GET");
    assert_int_equal(rig->tls.state, Q_TLS_AHEAD);
    tls_rig_run(rig);
    tls_rig_assert_told(rig, "CZS"); // the send is over when the handshake is
    assert_int_equal(rig->sent_len, 3);
    assert_int_equal(rig->sent_error.code, 0);
    assert_server_got(rig, "GET");
    assert_facts(rig, true, Q_TLS_EARLY_ACCEPTED);
    assert_works(rig);
    close_pair(&pair);
}

static void what_may_not_go_early_waits_for_the_handshake(void **state) {
    (void)state;
    struct pair pair = open_pair(false);
    struct tls_rig *rig = pair.rig;
    rig->send_at_connect = "POST";
    tls_rig_connect(rig);
    while (rig->server_got_len == 0 && tls_rig_step(rig)) {
        assert_true(rig->server_got_len == 0 || rig->tls.state == Q_TLS_OPEN);
    }
    tls_rig_run(rig);
    tls_rig_assert_told(rig, "CZS");
    assert_true(rig->wire.num_sends > 1);
    assert_server_got(rig, "POST");
    assert_facts(rig, true, Q_TLS_EARLY_NONE);
    assert_works(rig);
    close_pair(&pair);
}

static void what_is_longer_than_the_limit_waits(void **state) {
    (void)state;
    static char text[LIMIT + 2];
    for (size_t len = LIMIT; len <= LIMIT + 1; len++) {
        struct pair pair = open_pair(false);
        memset(text, 'a', len);
        text[len] = 0;
        pair.rig->send_at_connect = text;
        pair.rig->goes_early = true;
        assert_int_equal(q_sessions_early_max(pair.rig->offer), LIMIT);
        tls_rig_connect(pair.rig);
        tls_rig_run(pair.rig);
        assert_server_got(pair.rig, text);
        assert_facts(pair.rig, true, len == LIMIT ? Q_TLS_EARLY_ACCEPTED : Q_TLS_EARLY_NONE);
        assert_works(pair.rig);
        close_pair(&pair);
    }
}

// By a server that resumes the session without it, and by one that does not know the session; whole, and byte by byte.
static void what_is_rejected_is_sent_again_once(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool is_strange = i % 2 == 1;
        struct pair pair = open_pair(is_strange);
        struct tls_rig *rig = pair.rig;
        SSL_set_early_data_enabled(rig->server, 0);
        rig->send_at_connect = "GET";
        rig->goes_early = true;
        rig->wire.cut = i < 2 ? rig->wire.cut : 1;
        tls_rig_connect(rig);
        tls_rig_run(rig);
        tls_rig_assert_told(rig, is_strange ? "CUZS" : "CZS");
        assert_server_got(rig, "GET");
        assert_int_equal(rig->sent_len, 3);
        assert_facts(rig, !is_strange, Q_TLS_EARLY_REJECTED);
        assert_works(rig);
        close_pair(&pair);
    }
}

static void a_rejection_of_nothing_is_nothing(void **state) {
    (void)state;
    struct pair pair = open_pair(true);
    tls_rig_connect(pair.rig);
    tls_rig_run(pair.rig);
    tls_rig_assert_told(pair.rig, "CUZ");
    assert_facts(pair.rig, false, Q_TLS_EARLY_NONE);
    assert_works(pair.rig);
    close_pair(&pair);
}

static void who_asks_for_bytes_ahead_gets_them_behind_the_handshake(void **state) {
    (void)state;
    struct pair pair = open_pair(false);
    pair.rig->send_at_connect = "GET";
    pair.rig->goes_early = true;
    pair.rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_connect(pair.rig);
    while (pair.rig->server_got_len == 0 && tls_rig_step(pair.rig)) {
    }
    assert_false(q_stream_has_unasked(&pair.rig->tls.stream));
    tls_rig_say(pair.rig, "answer", 6, 0); // before it has seen our Finished
    tls_rig_run(pair.rig);
    assert_int_equal(pair.rig->received_len, 6);
    assert_facts(pair.rig, true, Q_TLS_EARLY_ACCEPTED);
    close_pair(&pair);
}

static void without_leave_nothing_is_told_ahead(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair pair = open_pair(false);
        pair.rig->send_at_connect = "GET";
        pair.rig->goes_early = true;
        pair.rig->params.may_go_ahead = i == 1;
        pair.rig->params.asks_verify = i == 1 ? Q_TLS_ASKS_ALWAYS : Q_TLS_ASKS_NEVER;
        tls_rig_connect(pair.rig);
        tls_rig_run(pair.rig);
        tls_rig_assert_told(pair.rig, "CS");
        assert_server_got(pair.rig, "GET");
        assert_facts(pair.rig, true, Q_TLS_EARLY_NONE);
        close_pair(&pair);
    }
}

// An end of the connection, silence, and a server that has forgotten TLS 1.3.
static void a_handshake_that_fails_ends_what_was_begun(void **state) {
    static const int32_t k_codes[] = {Q_ERR_TLS_TRUNCATED, Q_ERR_TIMEOUT_TLS, Q_ERR_TLS_PROTOCOL};
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (int is_early = 0; is_early < 2; is_early++) {
            struct pair pair = open_pair(false);
            struct tls_rig *rig = pair.rig;
            rig->send_at_connect = "GET";
            rig->goes_early = is_early;
            rig->asks = Q_STREAM_RECV_ANY;
            rig->params.handshake_ns = 10 * Q_NS_PER_S;
            if (kind == 2) {
                assert_true(SSL_set_max_proto_version(rig->server, TLS1_2_VERSION));
            } else {
                rig->wire.limit = 20;
            }
            if (kind == 0) {
                tls_rig_end(rig, Q_OK);
            }
            tls_rig_connect(rig);
            tls_rig_run(rig);
            if (kind == 1) {
                tls_rig_pass(rig, 11 * Q_NS_PER_S);
            }
            tls_rig_assert_told(rig, "CUSE");
            // A server that has forgotten TLS 1.3 may complain first.
            int32_t code = kind == 2 && rig->sent_error.code == Q_ERR_TLS_HANDSHAKE_ALERT ? Q_ERR_TLS_HANDSHAKE_ALERT
                                                                                          : k_codes[kind];
            assert_int_equal(rig->sent_error.code, code);
            assert_int_equal(rig->sent_error.phase, Q_PHASE_TLS);
            assert_int_equal(rig->end_error.code, code);
            assert_int_equal(rig->sent_len, is_early ? 3 : 0); // who was not early can be sure that nobody has seen it
            assert_int_equal(rig->tls.early, is_early ? Q_TLS_EARLY_SENT : Q_TLS_EARLY_NONE);
            assert_true(q_stream_has_unasked(&rig->tls.stream));
            close_pair(&pair);
        }
    }
}

static void it_can_be_closed_at_any_moment(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        for (size_t steps = 0; steps < 12; steps++) {
            struct pair pair = open_pair(kind == 1);
            pair.rig->send_at_connect = "GET";
            pair.rig->goes_early = true;
            tls_rig_connect(pair.rig);
            for (size_t i = 0; i < steps && tls_rig_step(pair.rig); i++) {
            }
            close_pair(&pair);
        }
        for (const char *at = "CUZS"; *at != 0; at++) {
            struct pair pair = open_pair(kind == 1);
            pair.rig->send_at_connect = "GET";
            pair.rig->goes_early = true;
            if (*at != 'U') { // nothing of the stream's may be called there
                pair.rig->close_at = *at;
            }
            tls_rig_connect(pair.rig);
            tls_rig_run(pair.rig);
            close_pair(&pair);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_early_send_goes_out_with_the_hello),
        cmocka_unit_test(what_may_not_go_early_waits_for_the_handshake),
        cmocka_unit_test(what_is_longer_than_the_limit_waits),
        cmocka_unit_test(what_is_rejected_is_sent_again_once),
        cmocka_unit_test(a_rejection_of_nothing_is_nothing),
        cmocka_unit_test(who_asks_for_bytes_ahead_gets_them_behind_the_handshake),
        cmocka_unit_test(without_leave_nothing_is_told_ahead),
        cmocka_unit_test(a_handshake_that_fails_ends_what_was_begun),
        cmocka_unit_test(it_can_be_closed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

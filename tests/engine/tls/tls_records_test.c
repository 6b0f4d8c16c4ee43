// Records that are not the owner's: tickets and key updates on their way, idle and in floods, and records by the hundred.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/tls/tls_rig.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

static const uint16_t k_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

#define BULK (200 * 1024)

static char the_bulk[BULK];

static int fill_bulk(void **state) {
    (void)state;
    for (size_t i = 0; i < BULK; i++) {
        the_bulk[i] = (char)((i * 2654435761u) >> 13);
    }
    return 0;
}

static struct tls_rig *open_rig(uint16_t version) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = version, .server_has_alpn = true});
    tls_rig_open(rig);
    return rig;
}

static void end(struct tls_rig *rig) {
    tls_rig_close(rig);
    tls_rig_free(rig);
}

// The library's server sends tickets in front of its first data. Says one byte and takes its record off the wire again.
static void let_tickets_come_alone(struct tls_rig *rig) {
    tls_rig_say(rig, "x", 1, 0);
    assert_true(rig->wire.in_len > 100);
    rig->wire.in_len -= 5 + 1 + 1 + 16;
}

static void sessions_come_while_idle_and_are_no_bytes(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(TLS1_3_VERSION);
    assert_int_equal(rig->num_sessions, 0);
    assert_false(rig->wire.is_receiving);
    let_tickets_come_alone(rig);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_run(rig);
    assert_true(rig->num_sessions >= 1);
    assert_int_equal(rig->received_len, 0);
    assert_false(q_stream_has_unasked(&rig->tls.stream));
    assert_true(rig->wire.is_receiving);
    end(rig);
}

static void tickets_behind_an_answer_are_not_unasked(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(TLS1_3_VERSION);
    // Everything in one buffer: tickets, then the answer, and a key update with nothing behind it but one more.
    tls_rig_say(rig, "abc", 3, 0);
    tls_rig_recv(rig, 3);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 3);
    assert_false(q_stream_has_unasked(&rig->tls.stream));
    rig->wire.has_unasked = true;
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    rig->wire.has_unasked = false;
    // An answer that is longer than what was asked for.
    tls_rig_recv(rig, 3);
    tls_rig_say(rig, "defg", 4, 3);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 6);
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    tls_rig_recv(rig, 3);
    tls_rig_run(rig);
    assert_memory_equal(rig->received, "abcdefg", 7);
    assert_false(q_stream_has_unasked(&rig->tls.stream));
    // A clean end is something that the owner has not been brought.
    tls_rig_recv(rig, 1);
    tls_rig_say(rig, "h", 1, 0);
    tls_rig_goodbye(rig);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 8);
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    tls_rig_recv(rig, 1);
    tls_rig_run(rig);
    assert_int_equal(rig->told[rig->told_len - 1], 'E');
    assert_int_equal(rig->end_error.code, 0);
    end(rig);
}

// What a record that has begun is going to be nobody knows: were it thought a ticket, the rest of it could become the answer
// to a request that was sent meanwhile.
static void a_record_that_has_begun_is_unasked(void **state) {
    enum { RECORD_LEN_MIN = 5 + 1 + 1 + 16 }; // header, type, octet, tag; more in TLS 1.2
    (void)state;
    for (size_t i = 0; i < Q_COUNT_OF(k_versions); i++) {
        for (size_t cut = 1; cut < RECORD_LEN_MIN; cut++) {
            struct tls_rig *rig = open_rig(k_versions[i]);
            tls_rig_say(rig, "abc", 3, 0);
            tls_rig_recv(rig, 3);
            tls_rig_run(rig);
            assert_false(q_stream_has_unasked(&rig->tls.stream));
            tls_rig_recv(rig, Q_STREAM_RECV_ANY); // as an idle connection does
            rig->wire.limit = rig->wire.delivered + cut;
            tls_rig_say(rig, "x", 1, 0);
            tls_rig_run(rig);
            assert_int_equal(rig->received_len, 3);
            assert_true(q_stream_has_unasked(&rig->tls.stream));
            rig->wire.limit = TLS_RIG_ALL;
            tls_rig_run(rig);
            assert_int_equal(rig->received_len, 4);
            assert_false(q_stream_has_unasked(&rig->tls.stream));
            end(rig);
        }
    }
}

static void a_session_is_resumed(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = open_rig(k_versions[i]);
        tls_rig_recv(rig, Q_STREAM_RECV_ANY);
        tls_rig_say(rig, "x", 1, 0);
        tls_rig_run(rig);
        assert_non_null(rig->session);
        struct tls_rig *second = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i], .server_is_mute = true});
        second->params.session = rig->session;
        // The same server for both: its context has the ticket's key.
        second->server = SSL_new(rig->server_context);
        SSL_set_accept_state(second->server);
        SSL_set_bio(second->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        BIO_set_mem_eof_return(SSL_get_rbio(second->server), -1);
        tls_rig_open(second);
        struct q_tls_facts facts;
        q_tls_stream_facts(&second->tls, &facts);
        assert_true(facts.is_resumed);
        struct q_slice cert;
        assert_true(q_tls_stream_peer_certificate(&second->tls, 1, &cert)); // as it was then
        end(second);
        end(rig);
    }
}

static void key_updates_are_followed_and_answered(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_open(rig);
    for (int i = 0; i < 40; i++) {
        tls_rig_update(rig, i % 2 == 0);
        tls_rig_say(rig, "x", 1, 0);
        tls_rig_run(rig);
        tls_rig_send(rig, "y", 1);
        tls_rig_run(rig);
    }
    assert_int_equal(rig->received_len, 40);
    assert_int_equal(rig->server_got_len, 40);
    end(rig);
}

// A ticket as short as they can be.
static const uint8_t k_ticket[] = {4, 0, 0, 14, 0, 0, 1, 0, 1, 2, 3, 4, 0, 0, 1, 't', 0, 0};

enum { ALERT = 21, HANDSHAKE = 22, DATA = 23 };

static void a_ticket_right_behind_an_answer_is_not_unasked(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(TLS1_3_VERSION);
    tls_rig_seal(rig, DATA, "abc", 3);
    tls_rig_seal(rig, HANDSHAKE, k_ticket, sizeof k_ticket);
    tls_rig_recv(rig, 3); // and not a byte more
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 3);
    assert_int_equal(rig->num_sessions, 0);
    assert_false(q_stream_has_unasked(&rig->tls.stream));
    assert_int_equal(rig->num_sessions, 1);
    tls_rig_seal(rig, DATA, "def", 3);
    tls_rig_seal(rig, HANDSHAKE, k_ticket, sizeof k_ticket);
    tls_rig_seal(rig, DATA, "g", 1);
    tls_rig_recv(rig, 3);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 6);
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    end(rig);
}

// Whether a flood of such records (two of them in turn) ends the connection, and behind how many.
static size_t flood(struct tls_rig *rig, const void *first, size_t first_len, const void *second, size_t second_len) {
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_run(rig);
    for (size_t i = 0; i < 3 * Q_TLS_PIPE_RECORDS_MAX; i++) {
        const uint8_t *record = i % 2 == 0 ? first : second;
        tls_rig_seal(rig, record[0], record + 1, (i % 2 == 0 ? first_len : second_len) - 1);
        if (record[0] == HANDSHAKE && record[1] == 24) {
            tls_rig_rekey(rig);
        }
        tls_rig_run(rig);
        if (rig->told[rig->told_len - 1] == 'E') {
            assert_int_equal(rig->end_error.code, Q_ERR_TLS_PROTOCOL);
            return i + 1;
        }
    }
    return 0;
}

#define FLOOD(rig, first, second) flood((rig), first, sizeof first - 1, second, sizeof second - 1)

static void floods_without_data_end(void **state) {
    (void)state;
    static const char k_update[] = "\x16\x18\x00\x00\x01\x00";
    static const char k_empty[] = "\x17";
    static const char k_warning[] = "\x15\x01\x5a"; // user_canceled, the one warning that TLS 1.3 still has
    static const char k_one_ticket[] = "\x16\x04\x00\x00\x0e\x00\x00\x01\x00\x01\x02\x03\x04\x00\x00\x01t\x00\x00";
    static const char k_data[] = "\x17x";
    struct tls_rig *rig = open_rig(0);
    assert_in_range(FLOOD(rig, k_update, k_update), 20, 100);
    end(rig);
    rig = open_rig(0);
    assert_in_range(FLOOD(rig, k_empty, k_empty), 20, 100);
    end(rig);
    rig = open_rig(0);
    assert_in_range(FLOOD(rig, k_warning, k_warning), 3, 20);
    end(rig);
    rig = open_rig(0);
    assert_in_range(FLOOD(rig, k_one_ticket, k_one_ticket), Q_TLS_SESSIONS_MAX, 2 * Q_TLS_SESSIONS_MAX);
    end(rig);
    rig = open_rig(0);
    assert_in_range(FLOOD(rig, k_empty, k_data), 0, 0); // somebody pays for each
    assert_true(rig->received_len > Q_TLS_PIPE_RECORDS_MAX);
    end(rig);
}

static void a_record_full_of_tickets_is_the_last(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    uint8_t many[16384 / sizeof k_ticket * sizeof k_ticket];
    for (size_t i = 0; i + sizeof k_ticket <= sizeof many; i += sizeof k_ticket) {
        memcpy(many + i, k_ticket, sizeof k_ticket);
    }
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    for (int i = 0; i < 10; i++) {
        tls_rig_seal(rig, HANDSHAKE, many, sizeof many);
    }
    tls_rig_run(rig);
    assert_int_equal(rig->told[rig->told_len - 1], 'E');
    assert_int_equal(rig->end_error.code, Q_ERR_TLS_PROTOCOL);
    assert_int_equal(rig->num_sessions, Q_TLS_SESSIONS_MAX);
    end(rig);
}

static void tickets_of_a_long_life_are_no_flood(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_open(rig);
    for (int i = 0; i < 10 * Q_TLS_SESSIONS_MAX; i++) {
        tls_rig_seal(rig, HANDSHAKE, k_ticket, sizeof k_ticket);
        tls_rig_seal(rig, DATA, "x", 1);
        tls_rig_run(rig);
        rig->told_len = 0;
    }
    assert_int_equal(rig->received_len, 10 * Q_TLS_SESSIONS_MAX);
    end(rig);
}

static void a_flood_is_read_in_passes(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    for (int i = 0; i < 200; i++) {
        tls_rig_seal(rig, HANDSHAKE, (const uint8_t[]){24, 0, 0, 1, 0}, 5);
        tls_rig_rekey(rig);
        tls_rig_seal(rig, HANDSHAKE, k_ticket, sizeof k_ticket);
    }
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    assert_true(tls_rig_step(rig));
    assert_int_equal(rig->num_sessions, Q_TLS_PIPE_RECORDS_PER_PASS / 2);
    assert_true(tls_rig_step(rig));
    assert_int_equal(rig->num_sessions, Q_TLS_PIPE_RECORDS_PER_PASS);
    end(rig);
}

static void many_small_records_are_opened_in_passes(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, "x", 1, 0);
    tls_rig_run(rig); // with the tickets in front of it
    rig->received_len = 0;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, the_bulk, 500, 1);
    assert_true(tls_rig_step(rig));
    assert_int_equal(rig->received_len, Q_TLS_PIPE_RECORDS_PER_PASS);
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    assert_true(tls_rig_step(rig));
    assert_int_equal(rig->received_len, 2 * Q_TLS_PIPE_RECORDS_PER_PASS);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 500);
    end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_come_while_idle_and_are_no_bytes),
        cmocka_unit_test(a_record_that_has_begun_is_unasked),
        cmocka_unit_test(tickets_behind_an_answer_are_not_unasked),
        cmocka_unit_test(a_session_is_resumed),
        cmocka_unit_test(key_updates_are_followed_and_answered),
        cmocka_unit_test(a_ticket_right_behind_an_answer_is_not_unasked),
        cmocka_unit_test(floods_without_data_end),
        cmocka_unit_test(a_record_full_of_tickets_is_the_last),
        cmocka_unit_test(tickets_of_a_long_life_are_no_flood),
        cmocka_unit_test(a_flood_is_read_in_passes),
        cmocka_unit_test(many_small_records_are_opened_in_passes),
    };
    return cmocka_run_group_tests(tests, fill_bulk, NULL);
}

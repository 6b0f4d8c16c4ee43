// The stream when it is open: what comes and goes, whole and in pieces, and every way to end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/tls/tls_rig.h"

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

static void a_handshake_tells_its_facts(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = open_rig(k_versions[i]);
        struct q_tls_facts facts;
        q_tls_stream_facts(&rig->tls, &facts);
        assert_int_equal(facts.version_number, k_versions[i]);
        assert_string_equal(facts.version, i == 0 ? "TLSv1.2" : "TLSv1.3");
        assert_true(facts.cipher_number != 0 && strncmp(facts.cipher, "TLS_", 4) == 0);
        assert_true(q_slice_equal(facts.alpn, Q_SLICE("http/1.1")));
        assert_false(facts.is_resumed);
        struct q_slice cert;
        assert_true(q_tls_stream_peer_certificate(&rig->tls, 0, &cert));
        assert_true(q_slice_equal(cert, q_slice_make(rig->leaf->der, rig->leaf->der_len)));
        assert_true(q_tls_stream_peer_certificate(&rig->tls, 1, &cert));
        assert_false(q_tls_stream_peer_certificate(&rig->tls, 2, &cert));
        assert_int_equal(q_tls_stream_staple(&rig->tls).len, 0);
        assert_null(q_tls_stream_verdict(&rig->tls));
        assert_true(rig->server_is_done);
        end(rig);
    }
}

static void bytes_go_both_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = open_rig(k_versions[i]);
        tls_rig_send(rig, "question", 8);
        tls_rig_recv(rig, Q_STREAM_RECV_ANY);
        tls_rig_run(rig);
        assert_int_equal(rig->sent_len, 8);
        assert_int_equal(rig->sent_error.code, 0);
        assert_memory_equal(rig->server_got, "question", 8);
        tls_rig_say(rig, "answer", 6, 0);
        tls_rig_run(rig);
        assert_int_equal(rig->received_len, 6);
        assert_memory_equal(rig->received, "answer", 6);
        end(rig);
        // close says goodbye once.
    }
}

static void what_is_sent_in_on_connected_goes_with_the_last_flight(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->send_at_connect = "GET";
    tls_rig_open(rig);
    assert_int_equal(rig->wire.num_sends, 2); // the hello; everything else
    assert_int_equal(rig->server_got_len, 3);
    assert_int_equal(rig->sent_len, 3);
    tls_rig_assert_told(rig, "CS");
    end(rig);
}

static void small_parts_become_one_record(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    size_t before = rig->wire.out_len;
    struct iovec parts[4] = {{.iov_base = (char[]){'a'}, .iov_len = 1},
                             {.iov_base = NULL, .iov_len = 0},
                             {.iov_base = (char[]){'b', 'c'}, .iov_len = 2},
                             {.iov_base = (char[]){'d'}, .iov_len = 1}};
    q_stream_send(&rig->tls.stream, parts, 4);
    tls_rig_run(rig);
    assert_int_equal(rig->server_got_len, 4);
    assert_memory_equal(rig->server_got, "abcd", 4);
    assert_int_equal(rig->sent_len, 4);
    assert_int_equal(rig->wire.out_len - before, 5 + 4 + 1 + 16); // header, bytes, type, tag
    end(rig);
}

static void a_large_send_goes_64_kib_at_a_time(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    size_t sends = rig->wire.num_sends;
    tls_rig_send(rig, the_bulk, BULK);
    tls_rig_run(rig);
    assert_int_equal(rig->sent_len, BULK);
    assert_memory_equal(rig->server_got, the_bulk, BULK);
    assert_int_equal(rig->wire.num_sends - sends, 4);
    assert_true(rig->wire.send_max > 60000 && rig->wire.send_max <= 65536);
    tls_rig_assert_told(rig, "CS");
    end(rig);
}

static void nothing_is_opened_that_was_not_asked_for(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    tls_rig_recv(rig, 10);
    tls_rig_say(rig, the_bulk, 40000, 10000);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 10);
    assert_true(rig->wire.in_len > 20000); // what does not fit into one buffer was not fetched
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    tls_rig_recv(rig, 20);
    assert_int_equal(rig->received_len, 10); // never from inside the call
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 30);
    end(rig);
}

static void an_owner_that_asks_on_is_answered_four_times_at_once(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.chunk_capacity = 1000});
    tls_rig_open(rig);
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, the_bulk, 9500, 0);
    assert_true(tls_rig_step(rig));
    assert_int_equal(rig->received_len, 4000);
    assert_true(tls_rig_step(rig)); // the run queue
    assert_int_equal(rig->received_len, 8000);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 9500);
    assert_memory_equal(rig->received, the_bulk, 9500);
    assert_true(q_list_is_empty(&rig->loop.tasks));
    end(rig);
}

static void a_part_of_a_record_does_not_hold_the_buffer(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_say(rig, the_bulk, 30000, 16384);
    rig->wire.limit = rig->wire.delivered + 10000;
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 0);
    assert_int_equal(rig->wire_pool.num_out, 0);
    assert_int_equal(rig->pool.num_out, 0);

    // Nor behind a whole one that fills all that was asked for.
    rig->wire.limit = TLS_RIG_ALL;
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 16384);
    assert_int_equal(rig->wire_pool.num_out, 0);
    assert_true(q_stream_has_unasked(&rig->tls.stream));
    end(rig);
}

// --- ends ------------------------------------------------------------------------------------------------------------

static void a_goodbye_is_a_clean_end(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        rig->asks = Q_STREAM_RECV_ANY;
        tls_rig_open(rig);
        tls_rig_say(rig, "last", 4, 0);
        tls_rig_goodbye(rig);
        tls_rig_end(rig, Q_OK);
        tls_rig_run(rig);
        assert_int_equal(rig->received_len, 4);
        assert_int_equal(rig->told[rig->told_len - 1], 'E');
        assert_int_equal(rig->end_error.code, 0);
        // Our direction is still open.
        tls_rig_send(rig, "bye", 3);
        tls_rig_run(rig);
        assert_int_equal(rig->server_got_len, 3);
        assert_int_equal(rig->sent_len, 3);
        end(rig);
    }
}

static void an_end_without_a_goodbye_is_a_truncation(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
        rig->asks = Q_STREAM_RECV_ANY;
        tls_rig_open(rig);
        tls_rig_say(rig, "last", 4, 0);
        tls_rig_end(rig, Q_OK);
        tls_rig_run(rig);
        assert_int_equal(rig->received_len, 4);
        assert_int_equal(rig->told[rig->told_len - 1], 'E');
        assert_int_equal(rig->end_error.code, Q_ERR_TLS_TRUNCATED);
        end(rig);
    }
}

static void a_reset_below_is_told_as_one(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_open(rig);
    tls_rig_end(rig, q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD, 104));
    tls_rig_run(rig);
    assert_int_equal(rig->end_error.code, Q_ERR_CONNECTION_RESET);
    assert_int_equal(rig->end_error.os_errno, 104);
    end(rig);
}

static void an_alert_has_its_number(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_open(rig);
    assert_int_equal(SSL_send_fatal_alert(rig->server, SSL_AD_INTERNAL_ERROR), 1);
    tls_rig_say(rig, "", 0, 0);
    const uint8_t *data;
    size_t len;
    BIO_mem_contents(SSL_get_wbio(rig->server), &data, &len);
    tls_rig_inject(rig, data, len);
    tls_rig_run(rig);
    assert_int_equal(rig->end_error.code, Q_ERR_TLS_ALERT);
    assert_int_equal(rig->end_error.alert, SSL_AD_INTERNAL_ERROR);
    end(rig);
}

static void close_says_goodbye_once(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = open_rig(k_versions[i]);
        q_stream_close(&rig->tls.stream);
        assert_true(rig->server_saw_close);
        tls_rig_run(rig);
        tls_rig_assert_told(rig, i == 0 ? "TCX" : "CX");
        end(rig);
    }
}

static void shutdown_says_goodbye_and_ends_our_direction(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){0});
    rig->asks = Q_STREAM_RECV_ANY;
    tls_rig_open(rig);
    q_stream_shutdown(&rig->tls.stream);
    assert_false(rig->wire.is_shut); // behind the goodbye
    tls_rig_run(rig);
    assert_true(rig->server_saw_close);
    assert_true(rig->wire.is_shut);
    size_t sent = rig->wire.out_len;
    tls_rig_say(rig, "still here", 10, 0);
    tls_rig_run(rig);
    assert_int_equal(rig->received_len, 10);
    tls_rig_close(rig);
    assert_int_equal(rig->wire.out_len, sent);
    tls_rig_free(rig);
}

static void shutdown_waits_for_what_is_under_way(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.holds_sends = true});
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_finish_send(rig, Q_OK);
    tls_rig_run(rig); // the last flight is under way
    tls_rig_assert_told(rig, "C");
    q_stream_shutdown(&rig->tls.stream);
    tls_rig_run(rig);
    assert_false(rig->wire.is_shut);
    tls_rig_finish_send(rig, Q_OK);
    assert_false(rig->wire.is_shut);
    tls_rig_finish_send(rig, Q_OK);
    assert_true(rig->wire.is_shut && rig->server_saw_close);
    end(rig);
}

static void a_cut_request_gets_no_goodbye(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.holds_sends = true});
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_finish_send(rig, Q_OK);
    tls_rig_run(rig);
    tls_rig_finish_send(rig, Q_OK);
    tls_rig_send(rig, the_bulk, BULK);
    tls_rig_finish_send(rig, Q_OK);
    tls_rig_run(rig);
    q_stream_close(&rig->tls.stream);
    assert_int_equal(rig->pool.num_out, Q_TLS_PIPE_CHUNKS); // the layer below reads them until it has closed
    tls_rig_run(rig);
    assert_int_equal(rig->pool.num_out, 0);
    assert_false(rig->server_saw_close);
    assert_true(rig->server_got_len < BULK);
    tls_rig_free(rig);
}

static void a_request_that_waits_for_memory_gets_no_goodbye_either(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    uint64_t limit = rig->budget.limit;
    rig->budget.limit = 0;
    tls_rig_send(rig, "GET", 3);
    rig->budget.limit = limit;
    tls_rig_close(rig);
    assert_false(rig->server_saw_close);
    tls_rig_free(rig);
}

static void a_failed_send_tells_whether_anything_was_seen(void **state) {
    (void)state;
    static const size_t k_taken[] = {0, 1};
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig *rig = open_rig(0);
        rig->wire.send_error = q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_SEND, 32);
        rig->wire.send_taken = k_taken[i];
        tls_rig_send(rig, "abc", 3);
        tls_rig_run(rig);
        tls_rig_assert_told(rig, "CS");
        assert_int_equal(rig->sent_error.code, Q_ERR_CONNECTION_RESET);
        assert_int_equal(rig->sent_len, i == 0 ? 0 : 3);
        // And so does the next one, from the run queue.
        tls_rig_send(rig, "abc", 3);
        tls_rig_assert_told(rig, "CS");
        tls_rig_run(rig);
        tls_rig_assert_told(rig, "CSS");
        assert_int_equal(rig->sent_len, 0);
        end(rig);
    }
}

static void a_last_flight_that_fails_took_nothing_of_the_owners(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.holds_sends = true});
    rig->send_at_connect = "GET";
    tls_rig_connect(rig);
    tls_rig_run(rig);
    tls_rig_finish_send(rig, Q_OK);
    tls_rig_run(rig);
    tls_rig_assert_told(rig, "C");
    rig->wire.send_taken = 20; // of the flight
    tls_rig_finish_send(rig, q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_SEND, 32));
    tls_rig_assert_told(rig, "CS");
    assert_int_equal(rig->sent_len, 0);
    end(rig);
}

// --- memory ----------------------------------------------------------------------------------------------------------

static void without_memory_it_waits_and_goes_on(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    uint64_t limit = rig->budget.limit;
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_run(rig);
    tls_rig_say(rig, "answer", 6, 0);
    rig->budget.limit = rig->budget.out + q_chunk_pool_size(&rig->wire_pool); // for what is received, and nothing more
    tls_rig_run(rig);
    tls_rig_send(rig, "question", 8);
    tls_rig_run(rig);
    tls_rig_pass(rig, 100 * Q_NS_PER_MS);
    assert_int_equal(rig->received_len, 0);
    assert_int_equal(rig->server_got_len, 0);
    rig->budget.limit = limit;
    tls_rig_pass(rig, 11 * Q_NS_PER_MS);
    assert_int_equal(rig->received_len, 6);
    assert_int_equal(rig->server_got_len, 8);
    end(rig);
}

static void it_does_not_wait_for_memory_for_ever(void **state) {
    (void)state;
    struct tls_rig *rig = open_rig(0);
    tls_rig_recv(rig, Q_STREAM_RECV_ANY);
    tls_rig_run(rig);
    tls_rig_say(rig, "answer", 6, 0);
    rig->budget.limit = rig->budget.out + q_chunk_pool_size(&rig->wire_pool);
    tls_rig_run(rig);
    tls_rig_send(rig, "question", 8);
    for (int i = 0; i < 120; i++) {
        tls_rig_pass(rig, 10 * Q_NS_PER_MS);
    }
    assert_int_equal(rig->end_error.code, Q_ERR_NO_MEMORY);
    assert_int_equal(rig->sent_error.code, Q_ERR_NO_MEMORY);
    assert_int_equal(rig->sent_len, 0);
    end(rig);
}

static void each_allocation_may_fail_once(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.asks_key = true, .wants_client_certificate = true});
        rig->asks = Q_STREAM_RECV_ANY;
        rig->send_at_connect = "GET";
        q_failalloc_fail_at(rig->failalloc, nth);
        static const struct q_address k_anywhere;
        struct q_error error = q_stream_connect(&rig->tls.stream, &k_anywhere);
        if (q_error_is(error)) {
            assert_int_equal(error.code, Q_ERR_NO_MEMORY);
        } else {
            for (int i = 0; i < 5; i++) {
                tls_rig_run(rig);
                tls_rig_pass(rig, 20 * Q_NS_PER_MS);
            }
            assert_true(rig->told_len > 0);
        }
        failed = q_failalloc_failed(rig->failalloc);
        q_failalloc_fail_at(rig->failalloc, 0);
        end(rig);
        assert_true(nth < 50);
    }
}

// --- close, whatever is under way ------------------------------------------------------------------------------------

static void close_is_legal_after_any_step(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        bool is_over = false;
        for (int steps = 0; !is_over; steps++) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            rig->asks = 5;
            rig->send_at_connect = "GET";
            tls_rig_connect(rig);
            for (int step = 0; step < steps && !is_over; step++) {
                is_over = !tls_rig_step(rig);
                if (rig->told_len == 1 && rig->server_is_done && rig->wire.in_len < 2000 && rig->received_len == 0) {
                    tls_rig_say(rig, the_bulk, 3000, 100);
                }
            }
            tls_rig_close(rig);
            assert_int_equal(rig->told[rig->told_len - 1], 'X');
            tls_rig_free(rig);
        }
    }
}

static void close_is_legal_inside_each_event(void **state) {
    (void)state;
    for (const char *letter = "CRSEQ"; *letter != '\0'; letter++) {
        struct tls_rig *rig =
            tls_rig_new(&(struct tls_rig_options){.asks_verify = *letter == 'Q' ? Q_TLS_ASKS_ALWAYS : Q_TLS_ASKS_NEVER});
        rig->asks = Q_STREAM_RECV_ANY;
        rig->send_at_connect = "GET";
        rig->close_at = *letter;
        tls_rig_connect(rig);
        for (int i = 0; i < 20; i++) {
            tls_rig_step(rig);
        }
        if (rig->server_is_done && rig->tls.state == Q_TLS_OPEN) {
            tls_rig_say(rig, the_bulk, 1000, 100);
            tls_rig_goodbye(rig);
        }
        tls_rig_run(rig);
        assert_int_equal(rig->told[rig->told_len - 1], 'X');
        assert_int_equal(rig->told[rig->told_len - 2], *letter);
        tls_rig_free(rig);
    }
}

static void a_closed_stream_connects_again(void **state) {
    (void)state;
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.server_is_mute = true});
    rig->wire.connect_error = q_error_os(Q_ERR_CONNECT_REFUSED, Q_PHASE_CONNECT, 111);
    tls_rig_connect(rig);
    tls_rig_run(rig);
    assert_int_equal(rig->connect_error.code, Q_ERR_CONNECT_REFUSED);
    tls_rig_close(rig);
    rig->wire.connect_error = Q_OK;
    tls_rig_connect(rig);
    tls_rig_run(rig);
    assert_true(rig->wire.out_len > 100); // a hello
    tls_rig_close(rig);
    tls_rig_assert_told(rig, "CXX");
    tls_rig_free(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_tells_its_facts),
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(what_is_sent_in_on_connected_goes_with_the_last_flight),
        cmocka_unit_test(small_parts_become_one_record),
        cmocka_unit_test(a_large_send_goes_64_kib_at_a_time),
        cmocka_unit_test(nothing_is_opened_that_was_not_asked_for),
        cmocka_unit_test(an_owner_that_asks_on_is_answered_four_times_at_once),
        cmocka_unit_test(a_part_of_a_record_does_not_hold_the_buffer),
        cmocka_unit_test(a_goodbye_is_a_clean_end),
        cmocka_unit_test(an_end_without_a_goodbye_is_a_truncation),
        cmocka_unit_test(a_reset_below_is_told_as_one),
        cmocka_unit_test(an_alert_has_its_number),
        cmocka_unit_test(close_says_goodbye_once),
        cmocka_unit_test(shutdown_says_goodbye_and_ends_our_direction),
        cmocka_unit_test(shutdown_waits_for_what_is_under_way),
        cmocka_unit_test(a_cut_request_gets_no_goodbye),
        cmocka_unit_test(a_request_that_waits_for_memory_gets_no_goodbye_either),
        cmocka_unit_test(a_failed_send_tells_whether_anything_was_seen),
        cmocka_unit_test(a_last_flight_that_fails_took_nothing_of_the_owners),
        cmocka_unit_test(without_memory_it_waits_and_goes_on),
        cmocka_unit_test(it_does_not_wait_for_memory_for_ever),
        cmocka_unit_test(each_allocation_may_fail_once),
        cmocka_unit_test(close_is_legal_after_any_step),
        cmocka_unit_test(close_is_legal_inside_each_event),
        cmocka_unit_test(a_closed_stream_connects_again),
    };
    return cmocka_run_group_tests(tests, fill_bulk, NULL);
}

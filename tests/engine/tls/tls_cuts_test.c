// Every byte in turn: cut before it, cut in two at it, changed; and every size of reads, records and sends. Slower than the
// others, since each case is a connection of its own.
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

static void end(struct tls_rig *rig) {
    tls_rig_close(rig);
    tls_rig_free(rig);
}

// --- the handshake ---------------------------------------------------------------------------------------------------

static void it_succeeds_however_the_bytes_are_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t cut = 1; cut < 40; cut += 3) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            rig->wire.cut = cut;
            tls_rig_open(rig);
            end(rig);
        }
    }
}

static void an_end_at_any_byte_is_told_once(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t total = SIZE_MAX;
        for (size_t limit = 0; limit < total; limit++) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            rig->wire.limit = limit;
            tls_rig_end(rig, Q_OK);
            tls_rig_connect(rig);
            tls_rig_run(rig);
            if (rig->connect_error.code == 0) {
                total = limit; // everything that it needs was there
            } else {
                tls_rig_assert_told(rig, "C");
                assert_int_equal(rig->connect_error.code, Q_ERR_TLS_TRUNCATED);
                assert_int_equal(rig->connect_error.retry_safe, 1);
            }
            assert_int_equal(rig->server_got_len, 0);
            end(rig);
        }
        assert_true(total > 500);
    }
}

static void two_pieces_cut_anywhere_are_as_good_as_one(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t limit = 1; limit < 1500; limit += 1) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            rig->wire.limit = limit;
            tls_rig_connect(rig);
            tls_rig_run(rig);
            bool is_whole = rig->tls.state == Q_TLS_OPEN;
            rig->wire.limit = TLS_RIG_ALL;
            tls_rig_run(rig);
            assert_int_equal(rig->tls.state, Q_TLS_OPEN);
            assert_int_equal(rig->connect_error.code, 0);
            end(rig);
            if (is_whole) {
                break;
            }
        }
    }
}

// It is not looked at before there are keys, and says nothing (RFC 8446 section 5.1).
static bool is_minor_version_of_a_record(const uint8_t *bytes, size_t len, size_t at) {
    for (size_t start = 0; start < len; start += 5 + (size_t)((bytes[start + 3] << 8) | bytes[start + 4])) {
        if (at == start + 2) {
            return true;
        }
    }
    return false;
}

static void a_changed_byte_never_leads_to_an_open_stream(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t total = SIZE_MAX;
        for (size_t at = 0; at < total; at++) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            tls_rig_connect(rig);
            while (rig->wire.in_len == 0) {
                assert_true(tls_rig_step(rig));
            }
            total = rig->wire.in_len;
            if (at >= total) { // signatures differ in length
                end(rig);
                break;
            }
            bool is_minor_version = is_minor_version_of_a_record((const uint8_t *)rig->wire.in, total, at);
            rig->wire.in[at] ^= 1;
            tls_rig_end(rig, Q_OK);
            tls_rig_run(rig);
            if (rig->tls.state != Q_TLS_FAILED && !is_minor_version) {
                fail_msg("byte %zu of %zu", at, total);
            }
            assert_int_equal(rig->server_got_len, 0);
            end(rig);
        }
    }
}

// --- data ------------------------------------------------------------------------------------------------------------

static void a_cut_at_any_byte_is_told_from_a_clean_end(void **state) {
    (void)state;
    for (size_t version = 0; version < 2; version++) {
        size_t total = SIZE_MAX;
        for (size_t cut = 0; cut < total; cut++) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[version]});
            rig->asks = Q_STREAM_RECV_ANY;
            tls_rig_open(rig);
            size_t start = rig->wire.delivered;
            tls_rig_say(rig, the_bulk, 30, 10);
            tls_rig_goodbye(rig);
            total = rig->wire.in_len;
            rig->wire.limit = start + cut;
            tls_rig_end(rig, Q_OK);
            tls_rig_run(rig);
            assert_int_equal(rig->told[rig->told_len - 1], 'E');
            assert_int_equal(rig->end_error.code, Q_ERR_TLS_TRUNCATED);
            assert_true(rig->received_len % 10 == 0 && rig->received_len <= 30);
            assert_memory_equal(rig->received, the_bulk, rig->received_len);
            end(rig);
        }
        assert_true(total > 100 && total < 1000);
    }
}

static bool is_length_of_a_record(const uint8_t *bytes, size_t len, size_t at) {
    for (size_t start = 0; start < len; start += 5 + (size_t)((bytes[start + 3] << 8) | bytes[start + 4])) {
        if (at == start + 3 || at == start + 4) {
            return true;
        }
    }
    return false;
}

static void a_changed_byte_is_a_broken_protocol(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t total = SIZE_MAX;
        for (size_t at = 0; at < total; at++) {
            struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[i]});
            rig->asks = Q_STREAM_RECV_ANY;
            tls_rig_open(rig);
            tls_rig_say(rig, "answer", 6, 0);
            total = rig->wire.in_len;
            uint8_t sound[1000];
            assert_true(total <= sizeof sound);
            memcpy(sound, rig->wire.in, total);
            rig->wire.in[at] ^= 0x40;
            tls_rig_end(rig, Q_OK);
            tls_rig_run(rig);
            assert_int_equal(rig->received_len, 0);
            assert_int_equal(rig->told[rig->told_len - 1], 'E');
            // A record that became longer never ends.
            bool is_length = is_length_of_a_record(sound, total, at);
            if (rig->end_error.code != Q_ERR_TLS_PROTOCOL &&
                !(is_length && rig->end_error.code == Q_ERR_TLS_TRUNCATED)) {
                fail_msg("byte %zu: %s", at, q_error_name(rig->end_error.code));
            }
            end(rig);
        }
    }
}

static void parts_of_any_size_arrive_whole(void **state) {
    (void)state;
    static const size_t k_sizes[] = {1, 511, 4095, 4096, 4097, 16383, 16384, 16385, 40000};
    for (size_t i = 0; i < sizeof k_sizes / sizeof k_sizes[0]; i++) {
        for (size_t j = 0; j < sizeof k_sizes / sizeof k_sizes[0]; j++) {
            struct tls_rig *rig = tls_rig_new(
                &(struct tls_rig_options){.version = k_versions[(i + j) % 2], .chunk_capacity = i % 2 == 0 ? 0 : 1000});
            tls_rig_open(rig);
            struct iovec parts[2] = {{.iov_base = the_bulk, .iov_len = k_sizes[i]},
                                     {.iov_base = the_bulk + k_sizes[i], .iov_len = k_sizes[j]}};
            q_stream_send(&rig->tls.stream, parts, 2);
            tls_rig_run(rig);
            assert_int_equal(rig->sent_len, k_sizes[i] + k_sizes[j]);
            assert_int_equal(rig->server_got_len, k_sizes[i] + k_sizes[j]);
            assert_memory_equal(rig->server_got, the_bulk, rig->server_got_len);
            end(rig);
        }
    }
}

static void reads_of_any_size_bring_the_same(void **state) {
    (void)state;
    static const uint32_t k_asks[] = {1, 2, 7, 100, 1000, 16383, 16384, 16385, Q_STREAM_RECV_ANY};
    static const size_t k_records[] = {1, 100, 16384, 0};
    static const size_t k_cuts[] = {1, 5, 1000, TLS_RIG_ALL};
    for (size_t i = 0; i < sizeof k_asks / sizeof k_asks[0]; i++) {
        for (size_t j = 0; j < 4; j++) {
            for (size_t k = 0; k < 4; k++) {
                struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = k_versions[(i + j + k) % 2]});
                size_t len = j == 0 || i < 3 || k == 0 ? 2000 : 50000;
                rig->asks = k_asks[i];
                tls_rig_open(rig);
                rig->wire.cut = k_cuts[k];
                tls_rig_say(rig, the_bulk, len, k_records[j]);
                tls_rig_run(rig);
                assert_int_equal(rig->received_len, len);
                assert_memory_equal(rig->received, the_bulk, len);
                assert_true(rig->received_max <= k_asks[i]);
                end(rig);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_succeeds_however_the_bytes_are_cut),
        cmocka_unit_test(an_end_at_any_byte_is_told_once),
        cmocka_unit_test(two_pieces_cut_anywhere_are_as_good_as_one),
        cmocka_unit_test(a_changed_byte_never_leads_to_an_open_stream),
        cmocka_unit_test(a_cut_at_any_byte_is_told_from_a_clean_end),
        cmocka_unit_test(a_changed_byte_is_a_broken_protocol),
        cmocka_unit_test(parts_of_any_size_arrive_whole),
        cmocka_unit_test(reads_of_any_size_bring_the_same),
    };
    return cmocka_run_group_tests(tests, fill_bulk, NULL);
}

// The pipe: where records begin however they come, passes and floods, and what is gathered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tls/tls_pipe.h"
#include "tests/support/failalloc.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

enum { CHUNK = 64 };

struct rig {
    struct q_failalloc *failalloc;
    struct q_chunk_budget budget;
    struct q_chunk_pool pool;
    struct q_tls_pipe pipe;
    SSL_CTX *context;
    SSL *ssl;
    BIO *bio;
};

static int set_up(void **state) {
    static struct rig the_rig;
    struct rig *rig = &the_rig;
    memset(rig, 0, sizeof *rig);
    rig->failalloc = q_failalloc_new();
    rig->budget.limit = 1 << 20;
    q_chunk_pool_init(&rig->pool, q_failalloc_alloc(rig->failalloc), &rig->budget, CHUNK, 0);
    rig->context = SSL_CTX_new(TLS_with_buffers_method());
    rig->ssl = SSL_new(rig->context);
    q_tls_pipe_init(&rig->pipe, &rig->pool);
    assert_true(q_tls_pipe_attach(&rig->pipe, rig->ssl));
    assert_ptr_equal(q_tls_pipe_of(rig->ssl), &rig->pipe);
    rig->bio = SSL_get_rbio(rig->ssl);
    q_tls_pipe_begin_pass(&rig->pipe);
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    q_tls_pipe_drop_in(&rig->pipe);
    q_tls_pipe_drop_out(&rig->pipe);
    SSL_free(rig->ssl);
    SSL_CTX_free(rig->context);
    q_chunk_pool_deinit(&rig->pool);
    assert_true(q_failalloc_check(rig->failalloc, NULL, 0));
    q_failalloc_free(rig->failalloc);
    return 0;
}

static void feed(struct rig *rig, const void *data, size_t len) {
    struct q_chunk *chunk = q_chunk_take(&rig->pool, Q_CHUNK_FOR_KERNEL);
    assert_true(chunk != NULL && len <= CHUNK);
    memcpy(chunk->data, data, len);
    q_tls_pipe_feed(&rig->pipe, chunk, q_slice_make(chunk->data, len));
}

// Reads as the library does: header, then body. False: later.
static bool read_record(struct rig *rig, uint8_t *out) {
    uint8_t *header = rig->pipe.header_len == 0 ? out : NULL;
    if (header == NULL || BIO_read(rig->bio, out, 5) != 5) {
        return false;
    }
    int len = (out[3] << 8) | out[4];
    return len == 0 || BIO_read(rig->bio, out + 5, len) == len;
}

static void what_is_fed_is_read_and_its_chunk_goes_home(void **state) {
    struct rig *rig = *state;
    uint8_t bytes[CHUNK];
    assert_int_equal(BIO_read(rig->bio, bytes, 5), -1);
    assert_true(BIO_should_read(rig->bio));
    feed(rig, "\x17\x03\x03\x00\x02hi\x17\x03", 9);
    assert_true(read_record(rig, bytes));
    assert_memory_equal(bytes + 5, "hi", 2);
    assert_int_equal(rig->pool.num_out, 1);
    assert_int_equal(BIO_read(rig->bio, bytes, 5), 2);
    assert_int_equal(rig->pool.num_out, 0);
    assert_int_equal(BIO_read(rig->bio, bytes, 3), -1);
    feed(rig, "\x03\x00\x01x", 4);
    assert_int_equal(BIO_read(rig->bio, bytes, 3), 3);
    assert_int_equal(rig->pipe.body_left, 1);
    assert_int_equal(BIO_read(rig->bio, bytes, 1), 1);
    rig->pipe.has_ended = true;
    assert_int_equal(BIO_read(rig->bio, bytes, 5), 0);
    assert_false(BIO_should_retry(rig->bio));
}

static void a_pass_is_a_number_of_records(void **state) {
    struct rig *rig = *state;
    uint8_t bytes[CHUNK];
    unsigned count = 0;
    for (unsigned i = 0; i < 20; i++) {
        // 4 records, one of them empty.
        feed(rig, "\x17\x03\x03\x00\x01x\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01x\x17\x03\x03\x00\x01x", 23);
        while (rig->pipe.in.len > 0 && read_record(rig, bytes)) {
            count++;
        }
        if (rig->pipe.in.len > 0) {
            break;
        }
    }
    assert_int_equal(count, Q_TLS_PIPE_RECORDS_PER_PASS);
    assert_int_equal(rig->pipe.in.len, 23);
    assert_false(read_record(rig, bytes));
    assert_true(BIO_should_read(rig->bio));
    q_tls_pipe_begin_pass(&rig->pipe);
    assert_true(read_record(rig, bytes));
}

static void a_flood_without_data_ends(void **state) {
    struct rig *rig = *state;
    uint8_t bytes[CHUNK];
    for (unsigned i = 0; i < 3 * Q_TLS_PIPE_RECORDS_MAX; i++) {
        q_tls_pipe_begin_pass(&rig->pipe);
        feed(rig, "\x17\x03\x03\x00\x01x", 6);
        assert_true(read_record(rig, bytes));
        if (i % 1000 == 0) {
            q_tls_pipe_had_data(&rig->pipe);
        }
    }
    q_tls_pipe_had_data(&rig->pipe);
    for (unsigned i = 0; i < Q_TLS_PIPE_RECORDS_MAX; i++) {
        q_tls_pipe_begin_pass(&rig->pipe);
        feed(rig, "\x17\x03\x03\x00\x01x", 6);
        assert_true(read_record(rig, bytes));
    }
    assert_false(rig->pipe.is_flooded);
    feed(rig, "\x17\x03\x03\x00\x01x", 6);
    q_tls_pipe_begin_pass(&rig->pipe);
    assert_false(read_record(rig, bytes));
    assert_false(BIO_should_retry(rig->bio));
    assert_true(rig->pipe.is_flooded);
}

static void plain_http_is_seen_in_the_first_header_alone(void **state) {
    struct rig *rig = *state;
    uint8_t bytes[CHUNK];
    feed(rig, "HT", 2);
    assert_int_equal(BIO_read(rig->bio, bytes, 5), 2);
    assert_false(rig->pipe.is_http);
    feed(rig, "TP/1.1 400", 10);
    assert_int_equal(BIO_read(rig->bio, bytes, 3), 3);
    assert_true(rig->pipe.is_http);
    q_tls_pipe_drop_in(&rig->pipe);
    q_tls_pipe_init(&rig->pipe, &rig->pool);
    q_tls_pipe_begin_pass(&rig->pipe);
    feed(rig, "\x16\x03\x01\x00\x00HTTP/", 10);
    assert_true(read_record(rig, bytes));
    assert_int_equal(BIO_read(rig->bio, bytes, 5), 5);
    assert_false(rig->pipe.is_http);
}

static void a_part_of_a_record_is_known_as_one(void **state) {
    struct rig *rig = *state;
    static const char k_record[] = "\x17\x03\x03\x00\x03xyz\x17";
    assert_false(q_tls_pipe_has_part(&rig->pipe));
    for (size_t len = 1; len <= 9; len++) {
        feed(rig, k_record, len);
        assert_int_equal(q_tls_pipe_has_part(&rig->pipe), len < 8);
        q_tls_pipe_drop_in(&rig->pipe);
    }
    uint8_t bytes[CHUNK];
    feed(rig, k_record, 7);
    assert_int_equal(BIO_read(rig->bio, bytes, 5), 5);
    assert_true(q_tls_pipe_has_part(&rig->pipe));
    assert_int_equal(BIO_read(rig->bio, bytes, 3), 2);
    feed(rig, k_record + 7, 2);
    assert_false(q_tls_pipe_has_part(&rig->pipe));
}

static void what_is_written_is_gathered_over_chunks(void **state) {
    struct rig *rig = *state;
    char data[5 * CHUNK];
    memset(data, 'd', sizeof data);
    assert_false(q_tls_pipe_has_out(&rig->pipe));
    assert_int_equal(BIO_write(rig->bio, data, CHUNK - 4), CHUNK - 4);
    assert_int_equal(BIO_write(rig->bio, data, 10), 10);
    assert_int_equal(q_tls_pipe_gathered(&rig->pipe), CHUNK + 6);
    assert_int_equal(BIO_write(rig->bio, data, sizeof data), 3 * CHUNK - 6);
    assert_int_equal(BIO_write(rig->bio, data, 1), -1);
    assert_true(BIO_should_write(rig->bio));
    struct iovec parts[Q_TLS_PIPE_CHUNKS];
    assert_int_equal(q_tls_pipe_send(&rig->pipe, parts), Q_TLS_PIPE_CHUNKS);
    assert_false(q_tls_pipe_has_out(&rig->pipe));
    assert_int_equal(BIO_write(rig->bio, data, 1), -1);
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 1), 0);
    q_tls_pipe_sent(&rig->pipe, false);
    assert_int_equal(rig->pool.num_out, 0);
    assert_int_equal(BIO_write(rig->bio, data, 1), 1);
    assert_int_equal(BIO_flush(rig->bio), 1);
    assert_int_equal(q_tls_pipe_send(&rig->pipe, parts), 1);
    assert_int_equal(BIO_write(rig->bio, data, 1), -1); // although its chunk has room
    assert_int_equal(q_tls_pipe_gathered(&rig->pipe), 1);
}

static void room_is_what_chunks_can_be_had_for(void **state) {
    struct rig *rig = *state;
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 1), CHUNK);
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, CHUNK + 1), 2 * CHUNK);
    rig->budget.limit = rig->budget.out + q_chunk_pool_size(&rig->pool);
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 10 * CHUNK), 3 * CHUNK);
    char data[CHUNK + 10] = {0};
    assert_int_equal(BIO_write(rig->bio, data, sizeof data), sizeof data);
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 10 * CHUNK), 2 * CHUNK - 10);
    // Chunks without a byte in them are no parts of a send.
    struct iovec parts[Q_TLS_PIPE_CHUNKS];
    assert_int_equal(q_tls_pipe_send(&rig->pipe, parts), 2);
    assert_int_equal(parts[1].iov_len, 10);
}

static void behind_a_failed_send_it_swallows_everything(void **state) {
    struct rig *rig = *state;
    assert_int_equal(BIO_write(rig->bio, "abc", 3), 3);
    struct iovec parts[Q_TLS_PIPE_CHUNKS];
    assert_int_equal(q_tls_pipe_send(&rig->pipe, parts), 1);
    q_tls_pipe_sent(&rig->pipe, true);
    assert_int_equal(BIO_write(rig->bio, "abc", 3), 3);
    assert_false(q_tls_pipe_has_out(&rig->pipe));
}

// Who sends to a server that does not read keeps what hosts may keep, and of the rest one chunk: others can go on.
static void where_hosts_memory_is_used_up_one_chunk_is_gathered(void **state) {
    enum { COMMON = 12, RESERVE = 4, HOSTS = COMMON / 4 * 3 };
    struct rig *rig = *state;
    struct q_chunk *held[HOSTS];
    rig->budget.limit = (COMMON + RESERVE) * q_chunk_pool_size(&rig->pool);
    rig->budget.reserve = RESERVE * q_chunk_pool_size(&rig->pool);
    for (int i = 0; i < HOSTS; i++) {
        held[i] = q_chunk_take(&rig->pool, Q_CHUNK_FOR_HOST);
        assert_non_null(held[i]);
    }
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 3 * CHUNK), CHUNK);
    q_chunk_release(held[0]);
    q_chunk_release(held[1]);
    assert_int_equal(q_tls_pipe_make_room(&rig->pipe, 3 * CHUNK), 2 * CHUNK); // as far as hosts may
    for (int i = 2; i < HOSTS; i++) {
        q_chunk_release(held[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(where_hosts_memory_is_used_up_one_chunk_is_gathered),
        CASE(what_is_fed_is_read_and_its_chunk_goes_home),
        CASE(a_pass_is_a_number_of_records),
        CASE(a_flood_without_data_ends),
        CASE(plain_http_is_seen_in_the_first_header_alone),
        CASE(a_part_of_a_record_is_known_as_one),
        CASE(what_is_written_is_gathered_over_chunks),
        CASE(room_is_what_chunks_can_be_had_for),
        CASE(behind_a_failed_send_it_swallows_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

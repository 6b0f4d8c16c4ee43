// Counters: what quoit_engine_info counts, and for hosts of every age.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"

static struct host host;

static void counters_count_what_happened(void **state) {
    char url[HOST_URL_MAX];
    char silent_url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1000", url, sizeof url);
    bench_server_url(server, "/size/1?silent=1", silent_url, sizeof silent_url);
    host_start(&host, NULL, NULL);
    struct quoit_engine_info info = host_info(&host);
    assert_int_equal(info.requests_done + info.requests_failed + info.connections_opened, 0);
    assert_true(info.ring_sq_entries > 0 && info.ring_cq_entries >= info.ring_sq_entries);
    for (uint32_t i = 0; i < 5; i++) {
        host_fetch(&host, i, url, 1000);
    }
    host_until(&host, host_is_pending, 0);
    info = host_info(&host);
    assert_int_equal(info.requests_done, 5);
    assert_int_equal(info.connections_opened, 1);
    assert_int_equal(info.connections_open, 1);
    assert_int_equal(info.connections_reused, 4);
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    for (uint32_t i = 0; i < 5; i++) {
        bytes_in += host.records[i].summary.bytes_in;
        bytes_out += host.records[i].summary.bytes_out;
        assert_true(host.records[i].summary.bytes_in > 1000);
        assert_int_equal(host.records[i].summary.reused, i > 0);
        assert_true(host.records[i].summary.leased_ns <= host.records[i].summary.head_ns);
        assert_true(host.records[i].summary.head_ns <= host.records[i].summary.end_ns);
    }
    assert_int_equal(info.bytes_in, bytes_in);
    assert_int_equal(info.bytes_out, bytes_out);
    assert_true(info.ticks > 0 && info.enters > 0);
    assert_true(info.buffer_bytes > 0);
    assert_true(info.wakes > 0);

    host_get(&host, 5, silent_url);
    assert_int_equal(host_info(&host).requests_pending, 1);
    assert_int_equal(quoit_cancel(host.engine, host.records[5].handle), QUOIT_OK);
    host_assert_failed(host_wait(&host, 5), QUOIT_ERR_CANCELED, QUOIT_PHASE_NONE);
    host_until(&host, host_is_pending, 0);
    host_until(&host, host_is_open, 0);
    info = host_info(&host);
    assert_int_equal(info.requests_failed, 1);
    assert_int_equal(info.requests_done, 5);
    assert_int_equal(info.stale_completions, 0);
    host_stop(&host);
    bench_server_stop(server);
}

static void a_struct_of_another_age_gets_what_it_has_room_for(void **state) {
    struct {
        struct quoit_engine_info info;
        unsigned char tail[32];
    } out;
    (void)state;
    host_start(&host, NULL, NULL);
    memset(&out, 0xee, sizeof out);
    out.info.struct_size = offsetof(struct quoit_engine_info, requests_done); // an older one
    assert_int_equal(quoit_engine_info(host.engine, &out.info), QUOIT_OK);
    assert_int_equal(out.info.struct_size, offsetof(struct quoit_engine_info, requests_done));
    assert_int_equal(out.info.requests_pending, 0);
    assert_int_equal(out.info.requests_done, 0xeeeeeeeeeeeeeeee);
    memset(&out, 0xee, sizeof out);
    out.info.struct_size = sizeof out; // a younger one
    assert_int_equal(quoit_engine_info(host.engine, &out.info), QUOIT_OK);
    assert_int_equal(out.info.struct_size, sizeof out);
    assert_int_equal(out.info.requests_done, 0);
    out.info.struct_size = 0;
    assert_int_equal(quoit_engine_info(host.engine, &out.info), QUOIT_ERR_INVALID_STRUCT_SIZE);
    out.info.struct_size = 4;
    assert_int_equal(quoit_engine_info(host.engine, &out.info), QUOIT_ERR_INVALID_STRUCT_SIZE);
    host_stop(&host);
}

static void a_closed_engine_still_has_its_counters(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/1", url, sizeof url);
    host_start(&host, NULL, NULL);
    host_fetch(&host, 0, url, 1);
    host_close_and_wait(&host, 0);
    struct quoit_engine_info info = host_info(&host);
    assert_int_equal(info.requests_done, 1);
    assert_int_equal(info.requests_pending, 0);
    assert_int_equal(info.connections_open, 0);
    host_destroy(&host);
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_count_what_happened),
        cmocka_unit_test(a_struct_of_another_age_gets_what_it_has_room_for),
        cmocka_unit_test(a_closed_engine_still_has_its_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

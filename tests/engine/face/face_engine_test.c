// The engine's entry points with everything that is wrong: codes, and no harm.
#include "tests/engine/core/host.h"

#include "bench/server/server.h"
#include "tests/bench/raw_client.h"

static struct host host;

static const uint64_t k_bad_ids[] = {0, 1, 2, 0x10000, UINT64_MAX, UINT64_C(1) << 63, 0x7fffffff00000001};

enum { BAD_IDS = sizeof k_bad_ids / sizeof k_bad_ids[0] };

static void a_create_without_a_place_for_its_result_is_refused(void **state) {
    struct quoit_failure failure = {.code = -1};
    struct quoit_engine engine = {.id = 77};
    (void)state;
    assert_int_equal(quoit_engine_create(NULL, NULL, &failure), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(failure.code, QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(failure.phase, QUOIT_PHASE_CREATE);
    assert_int_equal(quoit_engine_create(NULL, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_engine_options options = {.struct_size = 3};
    assert_int_equal(quoit_engine_create(&options, &engine, &failure), QUOIT_ERR_INVALID_STRUCT_SIZE);
    assert_int_equal(failure.code, QUOIT_ERR_INVALID_STRUCT_SIZE);
    options = (struct quoit_engine_options){.struct_size = sizeof options, .mode = 9};
    assert_int_equal(quoit_engine_create(&options, &engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(engine.id, 77); // written on success only
}

static void a_create_that_succeeds_says_so(void **state) {
    struct quoit_failure failure;
    (void)state;
    memset(&failure, 0xff, sizeof failure);
    host_start(&host, NULL, NULL);
    struct quoit_engine engine;
    struct quoit_engine_options options = {.struct_size = sizeof options, .mode = QUOIT_ENGINE_HOST_DRIVEN};
    assert_int_equal(quoit_engine_create(&options, &engine, &failure), QUOIT_OK);
    assert_int_equal(failure.code, QUOIT_OK);
    assert_int_equal(failure.os_errno, 0);
    assert_int_equal(quoit_engine_close(engine, 0), QUOIT_OK);
    while (quoit_engine_destroy(engine) != QUOIT_OK) {
        assert_true(quoit_engine_tick(engine) >= 0);
    }
    host_stop(&host);
}

static void handles_that_name_nothing_are_refused(void **state) {
    (void)state;
    for (int with_engine = 0; with_engine < 2; with_engine++) {
        if (with_engine) {
            host_start(&host, NULL, NULL);
        }
        for (int i = 0; i < BAD_IDS; i++) {
            struct quoit_engine engine = {.id = k_bad_ids[i]};
            struct quoit_engine_info info = {.struct_size = sizeof info};
            struct quoit_port port = {.id = 5};
            struct quoit_slice slice = {.data = "x", .len = 1, .owner = &slice};
            struct quoit_request *request = host_request("GET", "http://127.0.0.1:1/");
            assert_int_equal(quoit_engine_close(engine, 0), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_engine_destroy(engine), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_engine_fd(engine), -1);
            assert_int_equal(quoit_engine_timeout_ms(engine), 0);
            assert_int_equal(quoit_engine_tick(engine), -QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_engine_info(engine, &info), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_port_create(engine, NULL, &port), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(port.id, 5);
            assert_int_equal(quoit_submit(engine, port, request, 0, NULL), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_cancel(engine, (struct quoit_handle){0}), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_grant(engine, (struct quoit_handle){0}, 1), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_answer(engine, 1, QUOIT_ANSWER_YES), QUOIT_ERR_STALE_HANDLE);
            assert_int_equal(quoit_slice_release(engine, &slice), QUOIT_ERR_STALE_HANDLE);
            quoit_request_release(request);
        }
        if (with_engine) {
            host_stop(&host);
        }
    }
}

static void missing_arguments_are_refused(void **state) {
    (void)state;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_engine_info(host.engine, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_probe(NULL), QUOIT_ERR_INVALID_ARGUMENT);
    struct quoit_probe_result result = {.struct_size = 4};
    assert_int_equal(quoit_probe(&result), QUOIT_ERR_INVALID_STRUCT_SIZE);
    host_stop(&host);
}

static void a_probe_says_what_create_would(void **state) {
    (void)state;
    unsigned fds_before = raw_num_fds();
    struct quoit_probe_result result = {.struct_size = sizeof result};
    assert_int_equal(quoit_probe(&result), QUOIT_OK);
    assert_int_equal(result.failure.code, QUOIT_OK);
    assert_int_equal(raw_num_fds(), fds_before); // nothing is kept
    host_start(&host, NULL, NULL);
    assert_int_equal(host_info(&host).capabilities, result.capabilities);
    host_stop(&host);
}

static void capabilities_that_are_off_are_not_in_use(void **state) {
    char url[HOST_URL_MAX];
    (void)state;
    struct bench_server *server = bench_server_start(NULL);
    bench_server_url(server, "/size/30000", url, sizeof url);
    for (uint32_t off = 0; off < 32; off++) {
        host_start(&host, &(struct quoit_engine_options){.capabilities_off = off}, NULL);
        assert_int_equal(host_info(&host).capabilities & off, 0);
        host_fetch(&host, 0, url, 30000);
        host_stop(&host);
    }
    bench_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_create_without_a_place_for_its_result_is_refused),
        cmocka_unit_test(a_create_that_succeeds_says_so),
        cmocka_unit_test(handles_that_name_nothing_are_refused),
        cmocka_unit_test(missing_arguments_are_refused),
        cmocka_unit_test(a_probe_says_what_create_would),
        cmocka_unit_test(capabilities_that_are_off_are_not_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

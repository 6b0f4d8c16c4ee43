// The port's entry points with everything that is wrong: codes, and no harm.
#include "tests/engine/core/host.h"

static struct host host;

static void assert_stale(struct quoit_port port) {
    struct quoit_event event;
    struct quoit_slice slice;
    memset(&event, 0, sizeof event);
    event.type = QUOIT_EVENT_DATA;
    assert_int_equal(quoit_port_fd(port), -1);
    assert_int_equal(quoit_port_drain(port, &event, sizeof event, 1), -QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_port_wait(port, &event, sizeof event, 1, 0), -QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_port_advance(port), QUOIT_ERR_STALE_HANDLE);
    assert_int_equal(quoit_port_take(port, &event, &slice), QUOIT_ERR_STALE_HANDLE);
}

static void handles_that_name_nothing_are_refused(void **state) {
    static const uint64_t k_ids[] = {0, 1, 0x10001, UINT64_MAX, UINT64_C(1) << 63, 0xffff0000};
    (void)state;
    for (size_t i = 0; i < sizeof k_ids / sizeof k_ids[0]; i++) {
        assert_stale((struct quoit_port){.id = k_ids[i]});
    }
    host_start(&host, NULL, NULL);
    for (int bit = 0; bit < 64; bit++) {
        assert_stale((struct quoit_port){.id = host.port.id ^ (UINT64_C(1) << bit)});
    }
    struct quoit_port port = host.port;
    host_stop(&host);
    assert_stale(port);
    host_start(&host, NULL, NULL); // in the same place
    assert_stale(port);
    host_stop(&host);
}

static void missing_arguments_are_refused(void **state) {
    struct quoit_event event;
    struct quoit_slice slice;
    struct quoit_port_options options = {.struct_size = 1};
    struct quoit_port port;
    (void)state;
    host_start(&host, NULL, NULL);
    assert_int_equal(quoit_port_create(host.engine, NULL, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_create(host.engine, &options, &port), QUOIT_ERR_INVALID_STRUCT_SIZE);
    assert_int_equal(quoit_port_drain(host.port, NULL, sizeof event, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(host.port, &event, 0, 1), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_drain(host.port, &event, sizeof event, 0), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_wait(host.port, NULL, sizeof event, 1, 0), -QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_take(host.port, NULL, &slice), QUOIT_ERR_INVALID_ARGUMENT);
    assert_int_equal(quoit_port_take(host.port, &event, NULL), QUOIT_ERR_INVALID_ARGUMENT);
    host_stop(&host);
}

static void an_inline_port_is_not_drained(void **state) {
    struct quoit_event event;
    (void)state;
    host_start(&host, NULL, &(struct quoit_port_options){.mode = QUOIT_PORT_INLINE});
    assert_int_equal(quoit_port_fd(host.port), -1);
    assert_int_equal(quoit_port_drain(host.port, &event, sizeof event, 1), -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(quoit_port_wait(host.port, &event, sizeof event, 1, 0), -QUOIT_ERR_WRONG_MODE);
    assert_int_equal(quoit_port_advance(host.port), QUOIT_ERR_WRONG_MODE);
    host_stop(&host);
}

static void a_port_keeps_its_descriptor_until_the_destroy(void **state) {
    (void)state;
    host_start(&host, NULL, NULL);
    int fd = quoit_port_fd(host.port);
    assert_true(fd >= 0);
    host_close_and_wait(&host, 0);
    assert_int_equal(quoit_port_fd(host.port), fd);
    struct quoit_port port = host.port;
    host_destroy(&host);
    assert_int_equal(quoit_port_fd(port), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handles_that_name_nothing_are_refused),
        cmocka_unit_test(missing_arguments_are_refused),
        cmocka_unit_test(an_inline_port_is_not_drained),
        cmocka_unit_test(a_port_keeps_its_descriptor_until_the_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
